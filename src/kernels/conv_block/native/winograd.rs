//! Forward by Winograd's transform ([`crate::kernels::winograd`]): a tile is four windows of the pool.

use super::forward::write_window;
use super::shape::Shape;
use crate::kernels::winograd::{Output, Tiles, pack};
use crate::simd::{InstructionSet, Simd};
use rayon::prelude::*;

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
    let (images, rows) = tiles.unit();
    let windows = c.pool_h * c.pool_w;
    let work =
        pooled.par_chunks_mut(images * windows * c.out_c).zip(codes.par_chunks_mut(images * windows * 4 * c.words()));
    input.par_chunks(images * c.image()).zip(work).for_each(|(input, (pooled, codes))| {
        // one unit, or rows of an image
        let part = if images > 1 { images * windows } else { 2 * rows * c.pool_w };
        let parts = pooled.par_chunks_mut(part * c.out_c).zip(codes.par_chunks_mut(part * 4 * c.words()));
        parts.enumerate().for_each(|(i, (pooled, codes))| {
            let here = rows.min(grid.0 - i * rows);
            let output = Pooled { c, windows: 2 * here * c.pool_w, pooled, codes };
            tiles.compute(input, [i * rows, here], [&packed, bias], set, output);
        });
    });
}

/// Pooled windows of a unit.
struct Pooled<'a> {
    c: Shape,
    windows: usize,
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
        for window in 0..4 {
            let (py, px) = (row * 2 + window / 2, column * 2 + window % 2);
            let at = image * c.pool_h * c.pool_w + py * c.pool_w + px;
            if px < c.pool_w
                && py * c.pool_w < self.windows.min(c.pool_h * c.pool_w)
                && (at + 1) * c.out_c <= self.pooled.len()
            {
                let (y, x) = (window / 2 * 2, window % 2 * 2);
                let sums = [sums[y][x], sums[y][x + 1], sums[y + 1][x], sums[y + 1][x + 1]];
                let codes = &mut self.codes[at * 4 * c.words()..][..4 * c.words()];
                write_window(s, c, sums, channel, &mut self.pooled[at * c.out_c..][..c.out_c], codes);
            }
        }
    }
}
