//! Forward. It keeps four windows' sums in registers: a tile is two rows of pixels x 16 output channels, and its weights stream from the
//! L2 cache. The windows are pooled before anything is written.

use super::shape::{CLOSED, Shape};
use crate::kernels::tile::{pack, tile};
use crate::simd::{InstructionSet, Kernel, LANES, Simd};
use rayon::prelude::*;

/// The fused block's forward pass. `codes` are the bytes of the argmax words.
pub fn forward(
    c: Shape,
    [input, weights, bias]: [&[f32]; 3],
    pooled: &mut [f32],
    codes: &mut [u8],
    set: InstructionSet,
) {
    let packed = pack(weights, c.out_c);
    let bias = pack(bias, c.out_c);
    let images = input.len() / c.image();
    // few images are cut into bands of rows, so that every thread has work
    let bands =
        (1..=c.pool_h.min(16usize.div_ceil(images))).rev().find(|bands| c.pool_h.is_multiple_of(*bands)).unwrap_or(1);
    let rows = c.pool_h / bands;
    let work = pooled.par_chunks_mut(rows * c.pooled_row()).zip(codes.par_chunks_mut(rows * c.codes_row()));
    work.enumerate().for_each(|(i, (pooled, codes))| {
        let image = &input[i / bands * c.image()..][..c.image()];
        let mut rows_of_zeros = vec![0.0; 4 * c.row()];
        let ring = &mut rows_of_zeros[..];
        set.run(Band { c, first: i % bands * rows, image, packed: &packed, bias: &bias, pooled, codes, ring });
    });
}

struct Band<'a> {
    c: Shape,
    /// The first pooled row.
    first: usize,
    image: &'a [f32],
    packed: &'a [f32],
    bias: &'a [f32],
    pooled: &'a mut [f32],
    codes: &'a mut [u8],
    ring: &'a mut [f32],
}

impl Kernel for Band<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { c, first, image, packed, bias, pooled, codes, ring } = self;
        let block = 9 * c.in_c * LANES;
        copy_row(c, image, (2 * first).wrapping_sub(1), ring);
        copy_row(c, image, 2 * first, ring);
        let rows = pooled.chunks_mut(c.pooled_row()).zip(codes.chunks_mut(c.codes_row()));
        for (py, (pooled, codes)) in (first..).zip(rows) {
            copy_row(c, image, 2 * py + 1, ring);
            copy_row(c, image, 2 * py + 2, ring);
            let row = |y: usize| &ring[(y + 2 * py) % 4 * c.row()..][..c.row()];
            let rows = [row(0), row(1), row(2), row(3)];
            for (b, weights) in packed.chunks(block).enumerate() {
                let bias = s.load(bias[b * LANES..].first_chunk().unwrap_or(&[0.0; LANES]));
                for x in (0..2 * c.pool_w).step_by(S::PIXELS) {
                    let at = x * c.in_c;
                    let taps = (0..3).map(|ky| [&rows[ky][at..], &rows[ky + 1][at..]]);
                    let sums = tile(s, taps, [c.in_c, 3 * c.in_c], weights, bias);
                    for p in 0..S::PIXELS / 2 {
                        let px = x / 2 + p;
                        if px < c.pool_w {
                            let window = [sums[0][2 * p], sums[0][2 * p + 1], sums[1][2 * p], sums[1][2 * p + 1]];
                            write_window(
                                s,
                                c,
                                window,
                                b * LANES,
                                &mut pooled[px * c.out_c..][..c.out_c],
                                &mut codes[px * 4 * c.words()..][..4 * c.words()],
                            );
                        }
                    }
                }
            }
        }
    }
}

/// Copies row `y` of the image, or zeros where it has none, to its place in a ring of four padded rows, which starts at row -1.
fn copy_row(c: Shape, image: &[f32], y: usize, ring: &mut [f32]) {
    let to = &mut ring[y.wrapping_add(1) % 4 * c.row()..][c.in_c..][..c.in_w * c.in_c];
    match image.chunks(c.in_w * c.in_c).nth(y) {
        Some(from) if y < c.in_h => to.copy_from_slice(from),
        _ => to.fill(0.0),
    }
}

/// Pools one window of 16 channels, from `channel` on, and writes value and code of those that exist.
#[inline(always)]
pub(super) fn write_window<S: Simd>(
    s: S,
    c: Shape,
    window: [S::V; 4],
    channel: usize,
    pooled: &mut [f32],
    codes: &mut [u8],
) {
    let (mut best, mut code) = (s.splat(0.0), s.splat(CLOSED.into()));
    for (q, sum) in window.into_iter().enumerate() {
        code = s.where_greater(sum, best, s.splat(q as f32), code);
        best = s.where_greater(sum, best, sum, best);
    }
    if channel + LANES <= c.out_c
        && let (Some(pooled), Some(codes)) = (pooled[channel..].first_chunk_mut(), codes[channel..].first_chunk_mut())
    {
        s.store(best, pooled);
        *codes = s.bytes(code);
    } else {
        let mut values = [0.0; LANES];
        s.store(best, &mut values);
        let count = c.out_c - channel;
        pooled[channel..].copy_from_slice(&values[..count]);
        codes[channel..].fill(CLOSED);
        codes[channel..][..count].copy_from_slice(&s.bytes(code)[..count]);
    }
}
