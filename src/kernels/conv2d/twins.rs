//! The twins of the 2-D convolution; formulas and constants are in the folder's `mod.rs`.

use super::Sizes;
use crate::kernels::twin::add_scaled;
use crate::kernels::{Args, Real};
use rayon::prelude::*;

/// The window's reach into the image.
impl Sizes {
    /// Input row (axis 0) or column (axis 1) that `tap` of the window at `out` sees; `None` outside the image.
    fn reach(&self, axis: usize, out: usize, tap: usize) -> Option<usize> {
        let (pad, size) = [(self.pad_top, self.in_h), (self.pad_left, self.in_w)][axis];
        (out * self.stride + tap).checked_sub(pad).filter(|&place| place < size)
    }

    /// Calls `visit(pixel of the image, ky * KERNEL + kx)` for each tap of the window at `oy, ox` inside the image.
    fn taps(&self, oy: usize, ox: usize, mut visit: impl FnMut(usize, usize)) {
        for ky in 0..self.kernel {
            let Some(iy) = self.reach(0, oy, ky) else { continue };
            for kx in 0..self.kernel {
                let Some(ix) = self.reach(1, ox, kx) else { continue };
                visit(iy * self.in_w + ix, ky * self.kernel + kx);
            }
        }
    }
}

/// Twin of `conv2d.forward`; output rows spread over the cores.
pub fn forward<T: Real>(mut args: Args<T>) {
    let c = Sizes::from(args.constants);
    let (input, weights, bias) = (args.floats(0), args.floats(1), args.floats(2));
    let Sizes { in_h, in_w, in_c, out_h, out_w, out_c, .. } = c;
    args.floats_out(0).par_chunks_mut(out_w * out_c).enumerate().for_each(|(row, output)| {
        let image = &input[row / out_h * in_h * in_w * in_c..][..in_h * in_w * in_c];
        for (ox, output) in output.chunks_mut(out_c).enumerate() {
            output.fill(T::zero());
            if c.bias {
                output.copy_from_slice(bias);
            }
            c.taps(row % out_h, ox, |pixel, tap| {
                for ic in 0..in_c {
                    let x = image[pixel * in_c + ic];
                    let weights = &weights[(tap * in_c + ic) * out_c..][..out_c];
                    for (sum, &w) in output.iter_mut().zip(weights) {
                        *sum += x * w;
                    }
                }
            });
            if c.relu {
                output.iter_mut().filter(|y| **y < T::zero()).for_each(|y| *y = T::zero());
            }
        }
    });
}

/// Twin of `conv2d.backward_input`; images spread over the cores.
pub fn backward_input<T: Real>(mut args: Args<T>) {
    let c = Sizes::from(args.constants);
    let (output_gradient, weights) = (args.floats(0), args.floats(1));
    let Sizes { in_h, in_w, in_c, out_h, out_w, out_c, .. } = c;
    args.floats_out(0).par_chunks_mut(in_h * in_w * in_c).enumerate().for_each(|(n, input_gradient)| {
        input_gradient.fill(T::zero());
        for (pixel, gradient) in
            output_gradient[n * out_h * out_w * out_c..][..out_h * out_w * out_c].chunks(out_c).enumerate()
        {
            c.taps(pixel / out_w, pixel % out_w, |place, tap| {
                for ic in 0..in_c {
                    let weights = &weights[(tap * in_c + ic) * out_c..][..out_c];
                    let sum: T = gradient.iter().zip(weights).map(|(&dy, &w)| dy * w).sum();
                    input_gradient[place * in_c + ic] += sum;
                }
            });
        }
    });
}

/// Twin of `conv2d.backward_weights`; taps and input channels spread over the cores, a row's sum before the whole.
pub fn backward_weights<T: Real>(mut args: Args<T>) {
    let c = Sizes::from(args.constants);
    let (input, output_gradient) = (args.floats(0), args.floats(1));
    let Sizes { in_h, in_w, in_c, out_h, out_w, out_c, .. } = c;
    let rows = c.batch * out_h;
    args.floats_out(0).par_chunks_mut(out_c).enumerate().for_each(|(place, sums)| {
        let (ic, kx, ky) = (place % in_c, place / in_c % c.kernel, place / in_c / c.kernel);
        sums.fill(T::zero());
        let mut row_sums = vec![T::zero(); out_c];
        for row in 0..rows {
            let Some(iy) = c.reach(0, row % out_h, ky) else { continue };
            row_sums.fill(T::zero());
            for ox in 0..out_w {
                let Some(ix) = c.reach(1, ox, kx) else { continue };
                let x = input[((row / out_h * in_h + iy) * in_w + ix) * in_c + ic];
                add_scaled(&mut row_sums, &output_gradient[(row * out_w + ox) * out_c..], x);
            }
            add_scaled(sums, &row_sums, T::one());
        }
    });
    let bias_gradient = args.floats_out(1);
    bias_gradient.fill(T::zero());
    if c.bias {
        for row in output_gradient.chunks(out_w * out_c) {
            let mut row_sums = vec![T::zero(); out_c];
            row.chunks(out_c).for_each(|pixel| add_scaled(&mut row_sums, pixel, T::one()));
            add_scaled(bias_gradient, &row_sums, T::one());
        }
    }
}
