//! Gradient of the input: a convolution of the output's gradient with turned weights. With a stride, the pixels whose places leave the same
//! rest are seen by the same taps: each such phase is a convolution of its own, without a stride.

use super::forward::{Place, Sweep};
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

/// A phase as a convolution of the output's gradient.
fn turned(c: Shape, [y, x]: [Phase; 2]) -> Shape {
    Shape {
        input: [c.windows[0], c.windows[1], c.out_c],
        windows: [y.pixels, x.pixels],
        taps: [y.taps, x.taps],
        stride: 1,
        before: [y.before, x.before],
        out_c: c.input[2],
    }
}

/// Where a phase's sums go in an image.
fn place(c: Shape, [y, x]: [Phase; 2]) -> Place {
    let [_, width, in_c] = c.input;
    Place { first: (y.first * width + x.first) * in_c, row: c.stride * width * in_c, pixel: c.stride * in_c }
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
    let image: usize = c.input.iter().product();
    let [rows, columns] = [0, 1].map(|axis| Phase::all(c, axis));
    let phases = rows.iter().flat_map(|&y| columns.iter().map(move |&x| [y, x]));
    let parts = phases.map(|phases| {
        let (shape, weights) = (turned(c, phases), pack_turned(c, weights, phases));
        let shape = if c.stride == 1 { shape.flattened(input_gradient.len() / image) } else { shape };
        let bias = Sweep::no_bias(shape);
        (Sweep { c: shape, input: gradient, weights, bias, relu: false, set }, place(c, phases))
    });
    let parts: Vec<(Sweep, Place)> = parts.collect();
    if let ([(sweep, _)], 1) = (&parts[..], c.stride) {
        return sweep.all(input_gradient);
    }
    let images = input_gradient.par_chunks_mut(image).enumerate();
    images.for_each_init(Vec::new, |padded, (image, input_gradient)| {
        // pixels between windows have no phase
        input_gradient.fill(0.0);
        for (sweep, place) in &parts {
            let rows = image * sweep.c.windows[0]..(image + 1) * sweep.c.windows[0];
            sweep.rows(rows, padded, input_gradient, *place);
        }
    });
}
