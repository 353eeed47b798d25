//! 3x3 of stride 1 by Winograd's transform ([`crate::kernels::winograd`]): forward, and the input's gradient as a convolution of the
//! output's with turned weights.

use super::Sizes;
use crate::kernels::Args;
use crate::kernels::winograd::{Output, Tiles, pack};
use crate::simd::{InstructionSet, Simd};
use rayon::prelude::*;

/// Whether these sizes fit.
pub fn accepts(c: Sizes) -> bool {
    c.kernel == 3 && c.stride == 1 && c.pad_top.max(c.pad_left) <= 2 && Tiles::fit(c.in_c, c.out_c)
}

/// Native `conv2d.forward`.
pub fn forward(mut args: Args<f32>, set: InstructionSet) {
    let c = Sizes::from(args.constants);
    let packed = pack(args.floats(1), [c.in_c, c.out_c], set);
    let bias = if c.bias { args.floats(2) } else { &[] };
    let tiles = tiles((c.in_h, c.in_w, c.in_c), (c.pad_top, c.pad_left), (c.out_h, c.out_w));
    let size = [c.out_h, c.out_w, c.out_c];
    convolve(tiles, size, [args.floats(0), &packed, bias], c.relu, set, args.floats_out(0));
}

/// Native `conv2d.backward_input`.
pub fn backward_input(mut args: Args<f32>, set: InstructionSet) {
    let c = Sizes::from(args.constants);
    let packed = pack(&turned(args.floats(1), [c.in_c, c.out_c]), [c.out_c, c.in_c], set);
    let tiles = tiles((c.out_h, c.out_w, c.out_c), (2 - c.pad_top, 2 - c.pad_left), (c.in_h, c.in_w));
    let size = [c.in_h, c.in_w, c.in_c];
    convolve(tiles, size, [args.floats(0), &packed, &[]], false, set, args.floats_out(0));
}

fn tiles(input: (usize, usize, usize), padding: (usize, usize), (height, width): (usize, usize)) -> Tiles {
    Tiles { input, padding, grid: (height.div_ceil(4), width.div_ceil(4)) }
}

/// Weights with their taps in the opposite order, and output channels as the input's: `[3][3][out_c][in_c]`.
fn turned(weights: &[f32], [in_c, out_c]: [usize; 2]) -> Vec<f32> {
    let mut turned = vec![0.0; weights.len()];
    turned.par_chunks_mut(in_c).enumerate().for_each(|(row, to)| {
        let (tap, oc) = (8 - row / out_c, row % out_c);
        to.iter_mut().enumerate().for_each(|(ic, to)| *to = weights[(tap * in_c + ic) * out_c + oc]);
    });
    turned
}

/// A convolution of images. `size` is height, width and channels of what comes out.
fn convolve(
    tiles: Tiles,
    size: [usize; 3],
    [input, weights, bias]: [&[f32]; 3],
    relu: bool,
    set: InstructionSet,
    output: &mut [f32],
) {
    let [height, width, channels] = size;
    let row = width * channels;
    let outputs = tiles.cut(output, [height * row, 4 * row]).map(|output| {
        let height = height.min(output.len() / row);
        Pixels { size: [height, width, channels], relu, output }
    });
    tiles.convolve(input, [weights, bias], set, outputs.collect());
}

/// Pixels of a unit.
struct Pixels<'a> {
    /// Height, width and channels of each of its images, or of its rows of one.
    size: [usize; 3],
    relu: bool,
    output: &'a mut [f32],
}

impl Output for Pixels<'_> {
    #[inline(always)]
    fn put<S: Simd>(
        &mut self,
        s: S,
        (image, row, column): (usize, usize, usize),
        channel: usize,
        sums: [[S::V; 4]; 4],
    ) {
        let ([height, width, channels], zero) = (self.size, s.splat(0.0));
        for (y, sums) in (4 * row..height).zip(sums) {
            for (x, sum) in (4 * column..width).zip(sums) {
                // a sum that is not a number stays so
                let sum = if self.relu { s.where_greater(zero, sum, zero, sum) } else { sum };
                let at = ((image * height + y) * width + x) * channels + channel;
                if let Some(to) = self.output.get_mut(at..).and_then(|rest| rest.first_chunk_mut()) {
                    s.store(sum, to);
                }
            }
        }
    }
}
