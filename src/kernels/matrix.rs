//! The product of two matrices, row-major: what cooperative matrices are tried on before any other kernel relies on them.
//!
//! ```text
//! product[r,c] = sum_k left[r,k] * right[k,c]
//! ```
//!
//! No layer uses it. Its kernel loads and stores tiles in all the ways that layers' kernels do, so that a driver that knows only
//! some of them is found out before (Metal takes no tiles from memory of vectors, as naga 30 writes them). Values are multiples of 1/16, so that every sum is exact and a transposed or misplaced tile, a role mixed
//! up or a sum kept in f16 shows as a plainly wrong number.
//!
//! Constants: `ROWS INNER COLUMNS`.

use super::{Args, Binding, Case, Contract, Cost, Fill, Grid, Launch, Native, Needs, Real, Tolerance};
use crate::kernels::sizes::{direct, implementation, sized, sizes};
use crate::{shader, twin};

sizes! {
    /// Sizes of a product of `rows x inner` and `inner x columns`.
    Sizes { rows: usize = "ROWS", inner: usize = "INNER", columns: usize = "COLUMNS" }
}

impl Sizes {
    /// All three.
    pub fn new(rows: usize, inner: usize, columns: usize) -> Self {
        Self { rows, inner, columns }
    }

    fn lengths(self) -> [usize; 3] {
        [self.rows * self.inner, self.inner * self.columns, self.rows * self.columns]
    }
}

/// The contracts of this file.
pub const CONTRACTS: &[&Contract] = &[&PRODUCT];

/// `left (ROWS x INNER), right (INNER x COLUMNS) -> product (ROWS x COLUMNS)`.
pub static PRODUCT: Contract = Contract {
    name: "matrix.product",
    formula: "product[r,c] = sum over k of left[r,k] * right[k,c]",
    bindings: &[
        Binding::read("left").filled(Fill::Dyadic).or_half(),
        Binding::read("right").filled(Fill::Dyadic).or_half(),
        Binding::write("product"),
    ],
    constants: Sizes::CONSTANTS,
    lengths: sized!(|c| c.lengths().to_vec()),
    twin: twin!(product),
    cost: sized!(|c| {
        let elements: usize = c.lengths().iter().sum();
        Cost { flops: 2.0 * (c.rows * c.inner * c.columns) as f64, bytes: 4.0 * elements as f64 }
    }),
    tolerance: |_| Tolerance::EXACT,
    cases,
    // no layer multiplies matrices by it, and what it tries out no CPU has
    native: &[Native::direct(|args, _| product(args))],
    implementations: &[
        implementation!(
            "matrix",
            Needs { workgroup_bytes: 16 * 48 + 1024, ..Needs::MATRIX },
            |c| [c.rows, c.inner, c.columns].iter().all(|size| size.is_multiple_of(16)),
            {
                let groups = c.rows * c.columns / 256;
                Launch::single(shader!("matrix/product_matrix.wgsl"), 3, Grid::groups(groups))
            }
        ),
        direct!(|c| {
            Launch::items(shader!("matrix/product_direct.wgsl"), 3, c.rows * c.columns, 1).iterating(c.inner)
        }),
    ],
};

/// Twin of `matrix.product`.
pub fn product<T: Real>(mut args: Args<T>) {
    let Sizes { inner, columns, .. } = args.constants.into();
    let (left, right) = (args.floats(0), args.floats(1));
    for (row, product) in args.floats_out(0).chunks_mut(columns).enumerate() {
        for (column, value) in product.iter_mut().enumerate() {
            *value = (0..inner).map(|k| left[row * inner + k] * right[k * columns + column]).sum();
        }
    }
}

fn cases() -> Vec<Case> {
    vec![
        Case::new("smallest", Sizes::new(1, 1, 1)),
        Case::new("one tile", Sizes::new(16, 16, 16)),
        Case::new("odd", Sizes::new(17, 5, 9)),
        Case::new("wide and flat", Sizes::new(32, 48, 80)),
        Case::new("a long sum", Sizes::new(16, 1024, 32)),
        Case::new("256 cubed", Sizes::new(256, 256, 256)).timed(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::{StepParams, View, ViewMut};

    #[test]
    fn two_by_three_by_hand() {
        let (left, right) = ([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [1.0, 0.0, 0.0, 1.0, -1.0, 2.0]);
        let mut product_values = [f64::NAN; 4];
        let reads = vec![View::Float(&left[..]), View::Float(&right[..])];
        let writes = vec![Some(ViewMut::Float(&mut product_values[..]))];
        product(Args { constants: &Sizes::new(2, 3, 2).into(), step: &StepParams::default(), reads, writes });
        assert_eq!(product_values, [-2.0, 8.0, -2.0, 17.0]);
    }
}
