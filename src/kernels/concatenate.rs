//! Two tensors side by side along their last axis, and the gradient cut in two again.
//!
//! ```text
//! output[r, c]         = left[r, c] where c < LEFT, else right[r, c - LEFT]
//! left_gradient[r, c]  = output_gradient[r, c]
//! right_gradient[r, c] = output_gradient[r, LEFT + c]
//! ```
//!
//! More than two are put together one after the other.
//!
//! Constants: `ROWS LEFT RIGHT`; a row is a pixel of an image, or a whole vector.

use super::{Args, Binding, Case, Contract, Cost, Native, Real, Tolerance};
use crate::kernels::sizes::{by_item, sized, sizes};
use crate::simd::InstructionSet;
use crate::twin;
use rayon::prelude::*;

sizes! {
    /// Sizes of a concatenation: rows, and the floats that each side has in one.
    Sizes { rows: usize = "ROWS", left: usize = "LEFT", right: usize = "RIGHT" }
}

/// Floats of both sides that a thread copies at a time, about.
const CHUNK: usize = 1 << 14;

impl Sizes {
    /// Rows that a thread copies at a time.
    fn rows_at_a_time(self) -> usize {
        CHUNK.div_ceil(self.left + self.right)
    }

    /// Lengths of left, right and both together.
    fn lengths(self) -> [usize; 3] {
        [self.left, self.right, self.left + self.right].map(|floats| self.rows * floats)
    }

    /// A multiple of four where both sides are: the bits of either.
    fn common(self) -> usize {
        self.left | self.right
    }
}

/// The contracts of this file.
pub const CONTRACTS: &[&Contract] = &[&FORWARD, &BACKWARD];

/// `left, right -> output`.
pub static FORWARD: Contract = Contract {
    name: "concatenate.forward",
    formula: "output[r,c] = left[r,c] where c < LEFT, else right[r, c - LEFT]",
    bindings: &[Binding::read("left").or_half(), Binding::read("right").or_half(), Binding::write("output").or_half()],
    constants: Sizes::CONSTANTS,
    lengths: sized!(|c| c.lengths().to_vec()),
    twin: twin!(forward),
    cost: sized!(cost),
    tolerance: |_| Tolerance::EXACT,
    cases,
    native: &[Native::direct(native_forward)],
    implementations: by_item!("concatenate/forward.wgsl", 3, |c| c.lengths()[2], c.common()),
};

/// `output_gradient -> left_gradient, right_gradient`.
pub static BACKWARD: Contract = Contract {
    name: "concatenate.backward",
    formula: "left_gradient[r,c] = output_gradient[r,c], right_gradient[r,c] = output_gradient[r, LEFT + c]",
    bindings: &[
        Binding::read("output_gradient").or_half(),
        Binding::write("left_gradient").or_half(),
        Binding::write("right_gradient").or_half(),
    ],
    constants: Sizes::CONSTANTS,
    lengths: sized!(|c| {
        let [left, right, both] = c.lengths();
        vec![both, left, right]
    }),
    twin: twin!(backward),
    cost: sized!(cost),
    tolerance: |_| Tolerance::EXACT,
    cases,
    native: &[Native::direct(native_backward)],
    implementations: by_item!("concatenate/backward.wgsl", 3, |c| c.lengths()[2], c.common()),
};

/// Everything is read once and written once.
fn cost(c: Sizes) -> Cost {
    Cost { flops: 0.0, bytes: 8.0 * c.lengths()[2] as f64 }
}

/// Twin of `concatenate.forward`.
pub fn forward<T: Real>(mut args: Args<T>) {
    join(args.constants.into(), args.floats(0), args.floats(1), args.floats_out(0));
}

/// Puts rows of `a` and `b` side by side.
fn join<T: Real>(c: Sizes, a: &[T], b: &[T], output: &mut [T]) {
    let rows = a.chunks(c.left).zip(b.chunks(c.right));
    for (output, (a, b)) in output.chunks_mut(c.left + c.right).zip(rows) {
        output[..c.left].copy_from_slice(a);
        output[c.left..].copy_from_slice(b);
    }
}

/// Twin of `concatenate.backward`.
pub fn backward<T: Real>(mut args: Args<T>) {
    cut(args.constants.into(), args.floats(0), args.floats_out(0), args.floats_out(1));
}

/// Cuts rows in two.
fn cut<T: Real>(c: Sizes, rows: &[T], a: &mut [T], b: &mut [T]) {
    let sides = a.chunks_mut(c.left).zip(b.chunks_mut(c.right));
    for (row, (a, b)) in rows.chunks(c.left + c.right).zip(sides) {
        a.copy_from_slice(&row[..c.left]);
        b.copy_from_slice(&row[c.left..]);
    }
}

/// Native `concatenate.forward`: copies of rows, as the twin's, on all threads.
fn native_forward(mut args: Args<f32>, _: InstructionSet) {
    let c = Sizes::from(args.constants);
    let rows = c.rows_at_a_time();
    let sides = args.floats(0).par_chunks(rows * c.left).zip(args.floats(1).par_chunks(rows * c.right));
    let output = args.floats_out(0).par_chunks_mut(rows * (c.left + c.right));
    output.zip(sides).for_each(|(output, (a, b))| join(c, a, b, output));
}

/// Native `concatenate.backward`: copies of rows, as the twin's, on all threads.
fn native_backward(mut args: Args<f32>, _: InstructionSet) {
    let c = Sizes::from(args.constants);
    let rows = c.rows_at_a_time();
    let (a, b) = (args.floats_out(0), args.floats_out(1));
    let sides = a.par_chunks_mut(rows * c.left).zip(b.par_chunks_mut(rows * c.right));
    let input = args.floats(0).par_chunks(rows * (c.left + c.right));
    input.zip(sides).for_each(|(rows, (a, b))| cut(c, rows, a, b));
}

fn cases() -> Vec<Case> {
    let sizes = |rows, left, right| Sizes { rows, left, right };
    vec![
        Case::new("smallest", sizes(1, 1, 1)),
        Case::new("uneven", sizes(7, 5, 2)),
        Case::new("one channel in front", sizes(33, 1, 6)),
        Case::new("four channels at a time", sizes(35, 8, 4)),
        Case::new("a vector for each image", sizes(3, 24, 40)),
        Case::new("beyond 65535 workgroups", sizes(1_050_000, 1, 3)),
        Case::new("64 px, 16 and 16 channels", sizes(8 * 64 * 64, 16, 16)).timed(),
    ]
}
