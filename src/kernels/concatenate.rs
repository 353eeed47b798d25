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

use super::{Args, Binding, Case, Contract, Cost, Real, Tolerance};
use crate::kernels::sizes::{by_item, sized, sizes};
use crate::twin;

sizes! {
    /// Sizes of a concatenation: rows, and the floats that each side has in one.
    Sizes { rows: usize = "ROWS", left: usize = "LEFT", right: usize = "RIGHT" }
}

impl Sizes {
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
    native: None,
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
    native: None,
    implementations: by_item!("concatenate/backward.wgsl", 3, |c| c.lengths()[2], c.common()),
};

/// Everything is read once and written once.
fn cost(c: Sizes) -> Cost {
    Cost { flops: 0.0, bytes: 8.0 * c.lengths()[2] as f64 }
}

/// Twin of `concatenate.forward`.
pub fn forward<T: Real>(mut args: Args<T>) {
    let Sizes { left, right, .. } = args.constants.into();
    let rows = args.floats(0).chunks(left).zip(args.floats(1).chunks(right));
    for (output, (a, b)) in args.floats_out(0).chunks_mut(left + right).zip(rows) {
        output[..left].copy_from_slice(a);
        output[left..].copy_from_slice(b);
    }
}

/// Twin of `concatenate.backward`.
pub fn backward<T: Real>(mut args: Args<T>) {
    let Sizes { left, right, .. } = args.constants.into();
    let rows = args.floats(0).chunks(left + right);
    let (a, b) = (args.floats_out(0), args.floats_out(1));
    for ((row, a), b) in rows.zip(a.chunks_mut(left)).zip(b.chunks_mut(right)) {
        a.copy_from_slice(&row[..left]);
        b.copy_from_slice(&row[left..]);
    }
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
