//! Forward by Winograd's transform ([`crate::kernels::winograd`]): a tile is four windows of the pool.

use super::forward::write_window;
use super::shape::Shape;
use crate::kernels::winograd::{Output, Tiles, pack};
use crate::simd::{InstructionSet, Simd};

/// Whether these sizes fit.
pub fn accepts(c: Shape) -> bool {
    Tiles::fit(c.in_c, c.out_c)
}

/// The fused block's forward pass. `codes` are the bytes of the argmax words.
pub fn forward(
    c: Shape,
    [input, weights, bias]: [&[f32]; 3],
    pooled: &mut [f32],
    codes: &mut [u8],
    set: InstructionSet,
) {
    let packed = pack(weights, [c.in_c, c.out_c], set);
    let grid = (c.pool_h.div_ceil(2), c.pool_w.div_ceil(2));
    let tiles = Tiles { input: (c.in_h, c.in_w, c.in_c), padding: (1, 1), grid };
    let cut = |row: usize| [c.pool_h * row, 2 * row];
    let outputs = tiles.cut(pooled, cut(c.pooled_row())).zip(tiles.cut(codes, cut(c.codes_row())));
    let outputs = outputs.map(|(pooled, codes)| {
        let rows = c.pool_h.min(pooled.len() / c.pooled_row());
        Pooled { c, rows, pooled, codes }
    });
    tiles.convolve(input, [&packed, bias], set, outputs.collect());
}

/// Pooled windows of a unit.
struct Pooled<'a> {
    c: Shape,
    /// Rows of each of its images, or of its part of one.
    rows: usize,
    pooled: &'a mut [f32],
    codes: &'a mut [u8],
}

impl Output for Pooled<'_> {
    #[inline(always)]
    fn put<S: Simd>(
        &mut self,
        s: S,
        (image, row, column): (usize, usize, usize),
        channel: usize,
        sums: [[S::V; 4]; 4],
    ) {
        let c = self.c;
        for (y, py) in (2 * row..self.rows.min(2 * row + 2)).enumerate() {
            for (x, px) in (2 * column..c.pool_w.min(2 * column + 2)).enumerate() {
                let at = (image * self.rows + py) * c.pool_w + px;
                let window =
                    [sums[2 * y][2 * x], sums[2 * y][2 * x + 1], sums[2 * y + 1][2 * x], sums[2 * y + 1][2 * x + 1]];
                let codes = &mut self.codes[at * 4 * c.words()..][..4 * c.words()];
                write_window(s, c, window, channel, &mut self.pooled[at * c.out_c..][..c.out_c], codes);
            }
        }
    }
}
