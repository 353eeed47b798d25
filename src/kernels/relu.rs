//! The rectifier, where it is not part of the kernel before it.
//!
//! ```text
//! output[i]         = max(0, input[i])
//! input_gradient[i] = output_gradient[i] where output[i] > 0, else 0
//! ```
//!
//! NaN passes through forward, so that a diverged run is seen. The gradient looks at the output, which is what a layer
//! with a fused relu keeps. Reference: Nair and Hinton, "Rectified Linear Units Improve Restricted Boltzmann Machines",
//! ICML 2010.
//!
//! Constants: `ELEMENTS`.

use super::elements::each;
use super::{Args, Binding, Case, Contract, Cost, Fill, Native, Real, Tolerance};
use crate::kernels::sizes::{by_item, sized, sizes};
use crate::simd::InstructionSet;
use crate::twin;

sizes! {
    /// Sizes of a relu.
    Sizes { elements: usize = "ELEMENTS" }
}

/// The contracts of this file.
pub const CONTRACTS: &[&Contract] = &[&FORWARD, &BACKWARD];

/// `input -> output`.
pub static FORWARD: Contract = Contract {
    name: "relu.forward",
    formula: "output[i] = max(0, input[i])",
    bindings: &[Binding::read("input").or_half(), Binding::write("output").or_half()],
    constants: Sizes::CONSTANTS,
    lengths: sized!(|c| vec![c.elements; 2]),
    twin: twin!(forward),
    cost: sized!(|c| cost(c, 2)),
    tolerance: |_| Tolerance::EXACT,
    cases,
    native: &[Native::direct(native_forward)],
    implementations: by_item!("relu/forward.wgsl", 2, |c| c.elements, c.elements),
};

/// `output, output_gradient -> input_gradient`.
pub static BACKWARD: Contract = Contract {
    name: "relu.backward",
    formula: "input_gradient[i] = output_gradient[i] where output[i] > 0, else 0",
    // dyadic outputs are often exactly zero, where the gradient is closed
    bindings: &[
        Binding::read("output").filled(Fill::Dyadic).or_half(),
        Binding::read("output_gradient").or_half(),
        Binding::write("input_gradient").or_half(),
    ],
    constants: Sizes::CONSTANTS,
    lengths: sized!(|c| vec![c.elements; 3]),
    twin: twin!(backward),
    cost: sized!(|c| cost(c, 3)),
    tolerance: |_| Tolerance::EXACT,
    cases,
    native: &[Native::direct(native_backward)],
    implementations: by_item!("relu/backward.wgsl", 3, |c| c.elements, c.elements),
};

/// One comparison per element.
fn cost(c: Sizes, tensors: usize) -> Cost {
    let elements = c.elements as f64;
    Cost { flops: elements, bytes: 4.0 * elements * tensors as f64 }
}

/// Twin of `relu.forward`.
pub fn forward<T: Real>(mut args: Args<T>) {
    for (y, &x) in args.floats_out(0).iter_mut().zip(args.floats(0)) {
        *y = if x < T::zero() { T::zero() } else { x };
    }
}

/// Twin of `relu.backward`.
pub fn backward<T: Real>(mut args: Args<T>) {
    let pairs = args.floats(0).iter().zip(args.floats(1));
    for (dx, (&y, &dy)) in args.floats_out(0).iter_mut().zip(pairs) {
        *dx = if y > T::zero() { dy } else { T::zero() };
    }
}

/// Native `relu.forward`.
fn native_forward(mut args: Args<f32>, set: InstructionSet) {
    each(args.floats_out(0), [args.floats(0)], set, |y, [x]| *y = if x < 0.0 { 0.0 } else { x });
}

/// Native `relu.backward`.
fn native_backward(mut args: Args<f32>, set: InstructionSet) {
    let reads = [args.floats(0), args.floats(1)];
    each(args.floats_out(0), reads, set, |dx, [y, dy]| *dx = if y > 0.0 { dy } else { 0.0 });
}

fn cases() -> Vec<Case> {
    vec![
        Case::new("smallest", Sizes { elements: 1 }),
        Case::new("around a workgroup", Sizes { elements: 65 }),
        Case::new("around a workgroup of vectors", Sizes { elements: 260 }),
        Case::new("beyond 65535 workgroups", Sizes { elements: 4_200_000 }),
        Case::new("conv1 64 px", Sizes { elements: 8 * 64 * 64 * 16 }).timed(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::{StepParams, View, ViewMut};

    #[test]
    fn nan_passes_and_zero_closes_the_gradient() {
        let (c, step) = (Sizes { elements: 4 }.into(), StepParams::default());
        let mut output = [9.0f32; 4];
        let (reads, writes) =
            (vec![View::Float(&[-1.0f32, 0.0, 2.0, f32::NAN][..])], vec![Some(ViewMut::Float(&mut output[..]))]);
        forward(Args { constants: &c, step: &step, reads, writes });
        assert_eq!(output[..3], [0.0, 0.0, 2.0]);
        assert!(output[3].is_nan());

        let mut gradient = [9.0f32; 4];
        let reads = vec![View::Float(&[0.0f32, 1e-9, 2.0, -0.0][..]), View::Float(&[5.0f32, -6.0, 7.0, 8.0][..])];
        backward(Args { constants: &c, step: &step, reads, writes: vec![Some(ViewMut::Float(&mut gradient[..]))] });
        assert_eq!(gradient, [0.0, -6.0, 7.0, 0.0]);
    }
}
