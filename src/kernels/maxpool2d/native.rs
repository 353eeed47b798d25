//! Max-pooling on the CPU: window by window, all channels of a pixel at a time, in plain loops of which the compiler makes vectors.

use super::Sizes;
use crate::kernels::Args;
use crate::simd::{InstructionSet, Kernel, Simd};
use rayon::prelude::*;

impl Sizes {
    /// The first channel of each pixel of the window at `oy, ox` of an image, in the order that ties follow.
    fn window(self, oy: usize, ox: usize) -> impl Iterator<Item = usize> {
        let first = (oy * self.in_w + ox) * self.stride;
        (0..self.kernel)
            .flat_map(move |ky| (0..self.kernel).map(move |kx| (first + ky * self.in_w + kx) * self.channels))
    }

    /// Floats of an image.
    fn image(self) -> usize {
        self.in_h * self.in_w * self.channels
    }
}

/// Native `maxpool2d.forward`, by rows.
pub fn forward(mut args: Args<f32>, set: InstructionSet) {
    let (c, input) = (Sizes::from(args.constants), args.floats(0));
    args.floats_out(0).par_chunks_mut(c.out_w * c.channels).enumerate().for_each(|(row, output)| {
        let image = &input[row / c.out_h * c.image()..][..c.image()];
        set.run(Row { c, oy: row % c.out_h, image, output });
    });
}

struct Row<'a> {
    c: Sizes,
    oy: usize,
    image: &'a [f32],
    output: &'a mut [f32],
}

impl Kernel for Row<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Self { c, oy, image, output } = self;
        for (ox, best) in output.chunks_mut(c.channels).enumerate() {
            for (tap, at) in c.window(oy, ox).enumerate() {
                for (best, &x) in best.iter_mut().zip(&image[at..]) {
                    *best = if tap == 0 || x > *best { x } else { *best };
                }
            }
        }
    }
}

/// Native `maxpool2d.backward`, by images.
pub fn backward(mut args: Args<f32>, set: InstructionSet) {
    let (c, input, output_gradient) = (Sizes::from(args.constants), args.floats(0), args.floats(1));
    let gradients = output_gradient.par_chunks(c.out_h * c.out_w * c.channels);
    let images = args.floats_out(0).par_chunks_mut(c.image()).zip(input.par_chunks(c.image())).zip(gradients);
    images.for_each(|((input_gradient, image), output_gradient)| {
        set.run(Backward { c, image, output_gradient, input_gradient });
    });
}

struct Backward<'a> {
    c: Sizes,
    image: &'a [f32],
    output_gradient: &'a [f32],
    input_gradient: &'a mut [f32],
}

impl Kernel for Backward<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Self { c, image, output_gradient, input_gradient } = self;
        input_gradient.fill(0.0);
        let (mut best, mut first) = (vec![0.0; c.channels], vec![0u32; c.channels]);
        for (window, gradient) in output_gradient.chunks(c.channels).enumerate() {
            let window = || c.window(window / c.out_w, window % c.out_w).zip(0..);
            for (at, tap) in window() {
                for ((best, first), &x) in best.iter_mut().zip(&mut first).zip(&image[at..]) {
                    let larger = tap == 0 || x > *best;
                    (*best, *first) = if larger { (x, tap) } else { (*best, *first) };
                }
            }
            for (at, tap) in window() {
                for ((sum, &gradient), &first) in input_gradient[at..].iter_mut().zip(gradient).zip(&first) {
                    *sum += if first == tap { gradient } else { 0.0 };
                }
            }
        }
    }
}
