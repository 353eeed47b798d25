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

use super::{
    Args, Binding, Case, Constants, Contract, Cost, Fill, Grid, Implementation, Launch, Needs, Real, Tolerance,
};
use crate::{shader, twin};

/// Constants of a product of `rows x inner` and `inner x columns`.
pub fn constants(rows: usize, inner: usize, columns: usize) -> Constants {
    Constants::sizes(&[("ROWS", rows), ("INNER", inner), ("COLUMNS", columns)])
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
    constants: &["ROWS", "INNER", "COLUMNS"],
    lengths: |c| vec![c.product(&["ROWS", "INNER"]), c.product(&["INNER", "COLUMNS"]), c.product(&["ROWS", "COLUMNS"])],
    twin: twin!(product),
    cost: |c| {
        let elements =
            c.product(&["ROWS", "INNER"]) + c.product(&["INNER", "COLUMNS"]) + c.product(&["ROWS", "COLUMNS"]);
        Cost { flops: 2.0 * c.product(&["ROWS", "INNER", "COLUMNS"]) as f64, bytes: 4.0 * elements as f64 }
    },
    tolerance: |_| Tolerance::EXACT,
    cases,
    implementations: &[
        Implementation {
            name: "matrix",
            needs: Needs { workgroup_bytes: 16 * 48 + 1024, ..Needs::MATRIX },
            accepts: |c| ["ROWS", "INNER", "COLUMNS"].iter().all(|size| c.size(size).is_multiple_of(16)),
            launch: |c| {
                let groups = c.product(&["ROWS", "COLUMNS"]) / 256;
                Launch::single(shader!("matrix/product_matrix.wgsl"), 3, Grid::groups(groups))
            },
        },
        Implementation::direct(|c| {
            let grid = Grid::elements(c.product(&["ROWS", "COLUMNS"]), 64);
            Launch::single(shader!("matrix/product_direct.wgsl"), 3, grid).iterating(c.size("INNER"))
        }),
    ],
};

/// Twin of `matrix.product`.
pub fn product<T: Real>(mut args: Args<T>) {
    let (inner, columns) = (args.constants.size("INNER"), args.constants.size("COLUMNS"));
    let (left, right) = (args.floats(0), args.floats(1));
    for (row, product) in args.floats_out(0).chunks_mut(columns).enumerate() {
        for (column, value) in product.iter_mut().enumerate() {
            *value = (0..inner).map(|k| left[row * inner + k] * right[k * columns + column]).sum();
        }
    }
}

fn cases() -> Vec<Case> {
    vec![
        Case::new("smallest", constants(1, 1, 1)),
        Case::new("one tile", constants(16, 16, 16)),
        Case::new("odd", constants(17, 5, 9)),
        Case::new("wide and flat", constants(32, 48, 80)),
        Case::new("a long sum", constants(16, 1024, 32)),
        Case::new("256 cubed", constants(256, 256, 256)).timed(),
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
        product(Args { constants: &constants(2, 3, 2), step: &StepParams::default(), reads, writes });
        assert_eq!(product_values, [-2.0, 8.0, -2.0, 17.0]);
    }
}
