//! Gradient of the input: a convolution of the output's gradient with turned weights. With a stride, the pixels whose places leave the same
//! rest are seen by the same taps: each such phase is a convolution of its own, without a stride.

use super::forward::{Ends, Place, sweep, sweep_rows};
use super::shape::Shape;
use crate::simd::{InstructionSet, LANES};
use rayon::prelude::*;

/// Pixels of the input a stride apart, along one axis.
#[derive(Clone, Copy)]
struct Phase {
    /// The first tap that sees them; the others follow a stride apart.
    tap: usize,
    taps: usize,
    /// The first pixel.
    first: usize,
    pixels: usize,
    /// Gradients before the first that its taps reach back to; skipped ones, if negative.
    before: isize,
}

impl Phase {
    /// All phases of an axis that have pixels and taps.
    fn all(c: Shape, axis: usize) -> Vec<Self> {
        let (stride, pad, size) = (c.stride, c.before[axis].unsigned_abs(), c.input[axis]);
        let phase = |tap: usize| {
            // window `w` and tap `tap + stride * j` see the pixel `stride * (w + j) + tap - pad`
            let windows_before = pad.saturating_sub(tap).div_ceil(stride);
            let first = windows_before * stride + tap - pad;
            let taps = (c.taps[axis] - tap).div_ceil(stride);
            let pixels = size.saturating_sub(first).div_ceil(stride);
            Self { tap, taps, first, pixels, before: taps as isize - 1 - windows_before as isize }
        };
        (0..stride.min(c.taps[axis])).map(phase).filter(|phase| phase.pixels > 0).collect()
    }
}

/// A phase's convolution, its weights and where its sums go in an image.
struct Part {
    c: Shape,
    packed: Vec<f32>,
    place: Place,
}

impl Part {
    fn new(c: Shape, weights: &[f32], [y, x]: [Phase; 2]) -> Self {
        let [_, width, in_c] = c.input;
        let place =
            Place { first: (y.first * width + x.first) * in_c, row: c.stride * width * in_c, pixel: c.stride * in_c };
        let turned = Shape {
            input: [c.windows[0], c.windows[1], c.out_c],
            windows: [y.pixels, x.pixels],
            taps: [y.taps, x.taps],
            stride: 1,
            before: [y.before, x.before],
            out_c: in_c,
        };
        Self { c: turned, packed: pack_turned(c, weights, [y, x]), place }
    }
}

/// A phase's weights, the last tap first, by blocks of 16 input channels: `[in_c / 16][taps][out_c][16]`.
fn pack_turned(c: Shape, weights: &[f32], [y, x]: [Phase; 2]) -> Vec<f32> {
    let in_c = c.input[2];
    let mut packed = vec![0.0; in_c.div_ceil(LANES) * y.taps * x.taps * c.out_c * LANES];
    packed.par_chunks_mut(c.out_c * LANES).enumerate().for_each(|(i, to)| {
        let (block, tap) = (i / (y.taps * x.taps), y.taps * x.taps - 1 - i % (y.taps * x.taps));
        let (ky, kx) = (y.tap + tap / x.taps * c.stride, x.tap + tap % x.taps * c.stride);
        for (lane, ic) in (block * LANES..in_c.min((block + 1) * LANES)).enumerate() {
            let from = &weights[((ky * c.taps[1] + kx) * in_c + ic) * c.out_c..][..c.out_c];
            from.iter().zip(to.chunks_mut(LANES)).for_each(|(&weight, to)| to[lane] = weight);
        }
    });
    packed
}

/// Gradient of the input.
pub fn backward_input(c: Shape, gradient: &[f32], weights: &[f32], input_gradient: &mut [f32], set: InstructionSet) {
    let [rows, columns] = [0, 1].map(|axis| Phase::all(c, axis));
    let phases = rows.iter().flat_map(|&y| columns.iter().map(move |&x| [y, x]));
    let parts: Vec<Part> = phases.map(|phases| Part::new(c, weights, phases)).collect();
    let ends = Ends { bias: None, relu: false };
    if let ([part], 1) = (&parts[..], c.stride) {
        let images = input_gradient.len() / c.input.iter().product::<usize>();
        return sweep(part.c.flattened(images), gradient, &part.packed, ends, input_gradient, set);
    }
    let images = input_gradient.par_chunks_mut(c.input.iter().product());
    images.enumerate().for_each_init(Vec::new, |padded, (image, input_gradient)| {
        // pixels between windows have no phase
        input_gradient.fill(0.0);
        for Part { c, packed, place } in &parts {
            let rows = [image * c.windows[0], c.windows[0]];
            sweep_rows(*c, rows, gradient, padded, packed, ends, (input_gradient, *place), set);
        }
    });
}
