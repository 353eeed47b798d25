//! Sum of two tensors of one shape: a residual connection, and the gradients that several readers of a tensor hand back.
//!
//! ```text
//! output[i] = left[i] + right[i]
//! ```
//!
//! More than two are added one after the other. There is no backward: the gradient of either input is that of the output.
//!
//! Constants: `ELEMENTS`.

use super::elements::each;
use super::{Args, Binding, Case, Contract, Cost, Native, Real, Tolerance};
use crate::kernels::sizes::{by_item, sized, sizes};
use crate::simd::InstructionSet;
use crate::twin;

sizes! {
    /// Sizes of a sum.
    Sizes { elements: usize = "ELEMENTS" }
}

/// The contracts of this file.
pub const CONTRACTS: &[&Contract] = &[&FORWARD];

/// `left, right -> output`.
pub static FORWARD: Contract = Contract {
    name: "add.forward",
    formula: "output[i] = left[i] + right[i]",
    bindings: &[Binding::read("left").or_half(), Binding::read("right").or_half(), Binding::write("output").or_half()],
    constants: Sizes::CONSTANTS,
    lengths: sized!(|c| vec![c.elements; 3]),
    twin: twin!(forward),
    cost: sized!(|c| Cost { flops: c.elements as f64, bytes: 12.0 * c.elements as f64 }),
    tolerance: |_| Tolerance::EXACT,
    cases,
    native: &[Native::direct(native_forward)],
    implementations: by_item!("add/forward.wgsl", 3, |c| c.elements, c.elements),
};

/// Twin of `add.forward`.
pub fn forward<T: Real>(mut args: Args<T>) {
    let pairs = args.floats(0).iter().zip(args.floats(1));
    args.floats_out(0).iter_mut().zip(pairs).for_each(|(sum, (&left, &right))| *sum = left + right);
}

/// Native `add.forward`.
fn native_forward(mut args: Args<f32>, set: InstructionSet) {
    each(args.floats_out(0), [args.floats(0), args.floats(1)], set, |sum, [left, right]| *sum = left + right);
}

fn cases() -> Vec<Case> {
    let sizes = |elements| Sizes { elements };
    vec![
        Case::new("smallest", sizes(1)),
        Case::new("around a workgroup", sizes(65)),
        Case::new("around a workgroup of vectors", sizes(260)),
        Case::new("beyond 65535 workgroups", sizes(4_200_000)),
        Case::new("64 px, 16 channels", sizes(8 * 64 * 64 * 16)).timed(),
    ]
}
