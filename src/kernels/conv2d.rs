//! Two-dimensional convolution (cross-correlation), NHWC, weights HWIO.
//!
//! ```text
//! output[n,oy,ox,oc]            = act(bias[oc] + sum_{ky,kx,ic} input[n, oy*s+ky-p, ox*s+kx-p, ic] * weights[ky,kx,ic,oc])
//! input_gradient[n,iy,ix,ic]    = sum_{ky,kx,oc: oy*s+ky-p = iy, ox*s+kx-p = ix} output_gradient[n,oy,ox,oc] * weights[ky,kx,ic,oc]
//! weights_gradient[ky,kx,ic,oc] = sum_{n,oy,ox} input[n, oy*s+ky-p, ox*s+kx-p, ic] * output_gradient[n,oy,ox,oc]
//! bias_gradient[oc]             = sum_{n,oy,ox} output_gradient[n,oy,ox,oc]
//! ```
//!
//! `act` is the identity or, with `RELU`, `max(0, .)`; its gradient is `relu.backward`'s work. Pixels outside the image
//! are zero. Without `BIAS` the bias is not read and its gradient is zero. Reference: Dumoulin and Visin, "A guide to
//! convolution arithmetic for deep learning", arXiv:1603.07285.
//!
//! Constants: `BATCH IN_H IN_W IN_C OUT_H OUT_W OUT_C KERNEL STRIDE PAD_TOP PAD_LEFT BIAS RELU`.

use super::{
    Args, Binding, Case, Constants, Contract, Cost, Grid, Implementation, Launch, Needs, Real, Shader, Split,
    Tolerance, launch_split, twin::add_scaled,
};
use crate::shape::{Padding, Window};
use crate::{shader, twin};
use rayon::prelude::*;

const CONSTANTS: &[&str] = &[
    "BATCH", "IN_H", "IN_W", "IN_C", "OUT_H", "OUT_W", "OUT_C", "KERNEL", "STRIDE", "PAD_TOP", "PAD_LEFT", "BIAS",
    "RELU",
];

/// Constants of a layer; `None` where no window fits. `input` is height, width, channels of one image.
pub fn constants(batch: usize, input: (usize, usize, usize), window: Window, out_channels: usize) -> Option<Constants> {
    let (in_h, in_w, in_c) = input;
    let ((out_h, pad_top), (out_w, pad_left)) = (window.over(in_h)?, window.over(in_w)?);
    Some(Constants::sizes(&[
        ("BATCH", batch),
        ("IN_H", in_h),
        ("IN_W", in_w),
        ("IN_C", in_c),
        ("OUT_H", out_h),
        ("OUT_W", out_w),
        ("OUT_C", out_channels),
        ("KERNEL", window.kernel),
        ("STRIDE", window.stride),
        ("PAD_TOP", pad_top),
        ("PAD_LEFT", pad_left),
        ("BIAS", 1),
        ("RELU", 0),
    ]))
}

/// The contracts of this file.
pub const CONTRACTS: &[&Contract] = &[&FORWARD, &BACKWARD_INPUT, &BACKWARD_WEIGHTS];

/// `input, weights, bias -> output`.
pub static FORWARD: Contract = Contract {
    name: "conv2d.forward",
    formula: "output[n,oy,ox,oc] = act(bias[oc] + sum input[n,oy*s+ky-p,ox*s+kx-p,ic] * weights[ky,kx,ic,oc])",
    bindings: &[
        Binding::read("input").or_half(),
        Binding::read("weights").or_half(),
        Binding::read("bias"),
        Binding::write("output").or_half(),
    ],
    constants: CONSTANTS,
    lengths: |c| vec![inputs(c), weights(c), c.size("OUT_C"), outputs(c)],
    twin: twin!(forward),
    cost,
    tolerance: |c| Tolerance::sum(c.product(&["KERNEL", "KERNEL", "IN_C"])),
    cases,
    implementations: &[
        Implementation {
            name: "wide",
            needs: Needs::SOFTWARE,
            accepts: |c| by_four(c) && c.size("OUT_C").is_multiple_of(16),
            launch: |c| launch_forward(c, shader!("conv2d/forward_wide.wgsl"), 16, 32),
        },
        Implementation {
            name: "registers",
            needs: Needs::NOTHING,
            accepts: by_four,
            launch: |c| launch_forward(c, shader!("conv2d/forward_registers.wgsl"), 8, 64),
        },
        Implementation {
            name: "narrow",
            needs: Needs::NOTHING,
            accepts: outputs_by_four,
            launch: |c| launch_forward(c, shader!("conv2d/forward_narrow.wgsl"), 8, 64),
        },
        Implementation::direct(|c| {
            let taps = c.product(&["KERNEL", "KERNEL", "IN_C"]);
            Launch::single(shader!("conv2d/forward_direct.wgsl"), 4, Grid::elements(outputs(c), 64)).iterating(taps)
        }),
    ],
};

/// `output_gradient, weights -> input_gradient`.
pub static BACKWARD_INPUT: Contract = Contract {
    name: "conv2d.backward_input",
    formula: "input_gradient[n,iy,ix,ic] = sum over (ky,kx,oc) that reach it of output_gradient * weights[ky,kx,ic,oc]",
    bindings: &[
        Binding::read("output_gradient").or_half(),
        Binding::read("weights").or_half(),
        Binding::write("input_gradient").or_half(),
    ],
    constants: CONSTANTS,
    lengths: |c| vec![outputs(c), weights(c), inputs(c)],
    twin: twin!(backward_input),
    cost,
    tolerance: |c| Tolerance::sum(c.product(&["KERNEL", "KERNEL", "OUT_C"])),
    cases,
    implementations: &[
        Implementation {
            name: "wide",
            needs: Needs::SOFTWARE,
            accepts: |c| by_four(c) && c.size("IN_C").is_multiple_of(16),
            launch: |c| launch_backward_input(c, shader!("conv2d/backward_input_wide.wgsl"), 16, 32),
        },
        Implementation {
            name: "registers",
            needs: Needs::NOTHING,
            accepts: by_four,
            launch: |c| launch_backward_input(c, shader!("conv2d/backward_input_registers.wgsl"), 8, 64),
        },
        Implementation::direct(|c| {
            let (taps, grid) = (c.product(&["KERNEL", "KERNEL", "OUT_C"]), Grid::elements(inputs(c), 64));
            Launch::single(shader!("conv2d/backward_input_direct.wgsl"), 3, grid).iterating(taps)
        }),
    ],
};

/// `input, output_gradient -> weights_gradient, bias_gradient`.
pub static BACKWARD_WEIGHTS: Contract = Contract {
    name: "conv2d.backward_weights",
    formula: "weights_gradient[ky,kx,ic,oc] = sum over n,oy,ox of input[n,oy*s+ky-p,ox*s+kx-p,ic] * output_gradient[n,oy,ox,oc]",
    bindings: &[
        Binding::read("input").or_half(),
        Binding::read("output_gradient").or_half(),
        Binding::write("weights_gradient"),
        Binding::write("bias_gradient"),
    ],
    constants: CONSTANTS,
    lengths: |c| vec![inputs(c), outputs(c), weights(c), c.size("OUT_C")],
    twin: twin!(backward_weights),
    cost,
    tolerance: |c| Tolerance::sum(c.product(&["BATCH", "OUT_H", "OUT_W"])),
    cases,
    implementations: &[
        Implementation {
            name: "wide",
            needs: Needs::SOFTWARE,
            accepts: |c| by_four(c) && c.size("OUT_C").is_multiple_of(16),
            launch: |c| launch_runs(c, shader!("conv2d/backward_weights_wide.wgsl"), weights_tiles(c, 16), 16),
        },
        Implementation {
            name: "split",
            needs: Needs::NOTHING,
            accepts: by_four,
            launch: |c| launch_runs(c, shader!("conv2d/backward_weights_split.wgsl"), weights_tiles(c, 8), 1),
        },
        Implementation {
            name: "narrow",
            needs: Needs::NOTHING,
            accepts: outputs_by_four,
            launch: |c| launch_runs(c, shader!("conv2d/backward_weights_narrow.wgsl"), weights_tiles(c, 8), 1),
        },
        Implementation::direct(|c| {
            launch_runs(c, shader!("conv2d/backward_weights_direct.wgsl"), weights(c) + c.size("OUT_C"), 1)
        }),
    ],
};

/// Whether pixels are whole vec4s, before and after.
fn by_four(c: &Constants) -> bool {
    c.size("IN_C").is_multiple_of(4) && outputs_by_four(c)
}

/// Whether output pixels are whole vec4s.
fn outputs_by_four(c: &Constants) -> bool {
    c.size("OUT_C").is_multiple_of(4)
}

/// A thread for each `side` output pixels x `side` output channels, `group` threads to a workgroup.
fn launch_forward(c: &Constants, shader: Shader, side: usize, group: usize) -> Launch {
    let tiles = c.product(&["BATCH", "OUT_H", "OUT_W"]).div_ceil(side) * c.size("OUT_C").div_ceil(side);
    Launch::single(shader, 4, Grid::elements(tiles, group)).iterating(c.product(&["KERNEL", "KERNEL", "IN_C"]))
}

/// A thread for each `side` input pixels that lie a stride apart x `side` input channels; every phase of the stride
/// counts as many pixels as the largest.
fn launch_backward_input(c: &Constants, shader: Shader, side: usize, group: usize) -> Launch {
    let stride = c.size("STRIDE");
    let pixels = c.size("BATCH") * c.size("IN_H").div_ceil(stride) * c.size("IN_W").div_ceil(stride);
    let tiles = stride * stride * pixels.div_ceil(side) * c.size("IN_C").div_ceil(side);
    Launch::single(shader, 3, Grid::elements(tiles, group)).iterating(c.product(&["KERNEL", "KERNEL", "OUT_C"]))
}

/// Tiles of `side` rows x `side` columns of the weights' gradient, taken as a matrix with `OUT_C` columns.
fn weights_tiles(c: &Constants, side: usize) -> usize {
    c.product(&["KERNEL", "KERNEL", "IN_C"]).div_ceil(side) * c.size("OUT_C").div_ceil(side)
}

/// Two dispatches over runs of output rows, `threads` to a run; see [`launch_split`]. `fewer` divides the number of runs:
/// a processor's few cores are soon busy, and partial sums cost memory.
fn launch_runs(c: &Constants, shader: Shader, threads: usize, fewer: usize) -> Launch {
    let split = Split::new(c.product(&["BATCH", "OUT_H"]), c.size("OUT_W"), fewer * threads);
    launch_split(shader, 2, split, threads, [weights(c), c.size("OUT_C")])
}

fn inputs(c: &Constants) -> usize {
    c.product(&["BATCH", "IN_H", "IN_W", "IN_C"])
}

fn weights(c: &Constants) -> usize {
    c.product(&["KERNEL", "KERNEL", "IN_C", "OUT_C"])
}

fn outputs(c: &Constants) -> usize {
    c.product(&["BATCH", "OUT_H", "OUT_W", "OUT_C"])
}

/// Every direction multiplies each output pixel with each weight once.
fn cost(c: &Constants) -> Cost {
    let flops = 2.0 * (c.product(&["BATCH", "OUT_H", "OUT_W"]) * weights(c)) as f64;
    Cost { flops, bytes: 4.0 * (inputs(c) + weights(c) + c.size("OUT_C") + outputs(c)) as f64 }
}

/// Sizes of a call, unpacked once, and the window's reach into the image.
struct Geometry {
    input: [usize; 3],
    output: [usize; 3],
    kernel: usize,
    stride: usize,
    pad: [usize; 2],
}

impl Geometry {
    fn new(c: &Constants) -> Self {
        Self {
            input: ["IN_H", "IN_W", "IN_C"].map(|name| c.size(name)),
            output: ["OUT_H", "OUT_W", "OUT_C"].map(|name| c.size(name)),
            kernel: c.size("KERNEL"),
            stride: c.size("STRIDE"),
            pad: ["PAD_TOP", "PAD_LEFT"].map(|name| c.size(name)),
        }
    }

    /// Input row (axis 0) or column (axis 1) that `tap` of the window at `out` sees; `None` outside the image.
    fn reach(&self, axis: usize, out: usize, tap: usize) -> Option<usize> {
        (out * self.stride + tap).checked_sub(self.pad[axis]).filter(|&place| place < self.input[axis])
    }

    /// Calls `visit(pixel of the image, ky * KERNEL + kx)` for each tap of the window at `oy, ox` inside the image.
    fn taps(&self, oy: usize, ox: usize, mut visit: impl FnMut(usize, usize)) {
        for ky in 0..self.kernel {
            let Some(iy) = self.reach(0, oy, ky) else { continue };
            for kx in 0..self.kernel {
                let Some(ix) = self.reach(1, ox, kx) else { continue };
                visit(iy * self.input[1] + ix, ky * self.kernel + kx);
            }
        }
    }
}

/// Twin of `conv2d.forward`; output rows spread over the cores.
pub fn forward<T: Real>(mut args: Args<T>) {
    let (c, g) = (args.constants, Geometry::new(args.constants));
    let (input, weights, bias) = (args.floats(0), args.floats(1), args.floats(2));
    let [out_h, out_w, out_c] = g.output;
    let [in_h, in_w, in_c] = g.input;
    args.floats_out(0).par_chunks_mut(out_w * out_c).enumerate().for_each(|(row, output)| {
        let image = &input[row / out_h * in_h * in_w * in_c..][..in_h * in_w * in_c];
        for (ox, output) in output.chunks_mut(out_c).enumerate() {
            output.fill(T::zero());
            if c.switch("BIAS") {
                output.copy_from_slice(bias);
            }
            g.taps(row % out_h, ox, |pixel, tap| {
                for ic in 0..in_c {
                    let x = image[pixel * in_c + ic];
                    let weights = &weights[(tap * in_c + ic) * out_c..][..out_c];
                    for (sum, &w) in output.iter_mut().zip(weights) {
                        *sum += x * w;
                    }
                }
            });
            if c.switch("RELU") {
                output.iter_mut().filter(|y| **y < T::zero()).for_each(|y| *y = T::zero());
            }
        }
    });
}

/// Twin of `conv2d.backward_input`; images spread over the cores.
pub fn backward_input<T: Real>(mut args: Args<T>) {
    let g = Geometry::new(args.constants);
    let (output_gradient, weights) = (args.floats(0), args.floats(1));
    let ([out_h, out_w, out_c], [in_h, in_w, in_c]) = (g.output, g.input);
    args.floats_out(0).par_chunks_mut(in_h * in_w * in_c).enumerate().for_each(|(n, input_gradient)| {
        input_gradient.fill(T::zero());
        for (pixel, gradient) in
            output_gradient[n * out_h * out_w * out_c..][..out_h * out_w * out_c].chunks(out_c).enumerate()
        {
            g.taps(pixel / out_w, pixel % out_w, |place, tap| {
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
    let (c, g) = (args.constants, Geometry::new(args.constants));
    let (input, output_gradient) = (args.floats(0), args.floats(1));
    let ([out_h, out_w, out_c], [in_h, in_w, in_c]) = (g.output, g.input);
    let rows = c.size("BATCH") * out_h;
    args.floats_out(0).par_chunks_mut(out_c).enumerate().for_each(|(place, sums)| {
        let (ic, kx, ky) = (place % in_c, place / in_c % g.kernel, place / in_c / g.kernel);
        sums.fill(T::zero());
        let mut row_sums = vec![T::zero(); out_c];
        for row in 0..rows {
            let Some(iy) = g.reach(0, row % out_h, ky) else { continue };
            row_sums.fill(T::zero());
            for ox in 0..out_w {
                let Some(ix) = g.reach(1, ox, kx) else { continue };
                let x = input[((row / out_h * in_h + iy) * in_w + ix) * in_c + ic];
                add_scaled(&mut row_sums, &output_gradient[(row * out_w + ox) * out_c..], x);
            }
            add_scaled(sums, &row_sums, T::one());
        }
    });
    let bias_gradient = args.floats_out(1);
    bias_gradient.fill(T::zero());
    if c.switch("BIAS") {
        for row in output_gradient.chunks(out_w * out_c) {
            let mut row_sums = vec![T::zero(); out_c];
            row.chunks(out_c).for_each(|pixel| add_scaled(&mut row_sums, pixel, T::one()));
            add_scaled(bias_gradient, &row_sums, T::one());
        }
    }
}

/// Cases: kernels 1, 3, 5, 7, strides 1 to 3, both paddings, odd sizes, pixels and channels around the tiles of 8, one
/// beyond 65535 workgroups, real layers.
fn cases() -> Vec<Case> {
    use Padding::{Same, Valid};
    let layer = |name, batch, input, (kernel, stride, padding), out| {
        let window = Window { kernel, stride, padding };
        Case::new(name, constants(batch, input, window, out).unwrap_or_default())
    };
    let mut cases = vec![
        layer("smallest", 1, (1, 1, 1), (1, 1, Same), 1),
        layer("1x1", 2, (5, 7, 6), (1, 1, Same), 9),
        layer("1x1 stride 2", 2, (6, 9, 5), (1, 2, Same), 4),
        layer("3x3 odd", 3, (7, 5, 3), (3, 1, Same), 5),
        layer("3x3 stride 2 even", 2, (8, 10, 4), (3, 2, Same), 6),
        layer("3x3 stride 2 odd", 2, (9, 7, 4), (3, 2, Same), 3),
        layer("3x3 valid", 2, (8, 6, 4), (3, 1, Valid), 7),
        layer("5x5", 2, (9, 11, 3), (5, 1, Same), 4),
        layer("5x5 stride 2 valid", 2, (12, 9, 2), (5, 2, Valid), 5),
        layer("7x7 stride 2", 1, (15, 16, 3), (7, 2, Same), 8),
        layer("7x7 larger than the image", 1, (4, 5, 2), (7, 1, Same), 3),
        layer("around a tile", 1, (17, 15, 16), (3, 1, Same), 17),
        layer("one pixel less than a tile", 1, (7, 1, 4), (3, 1, Same), 4),
        layer("one pixel more than a tile", 1, (3, 3, 8), (1, 1, Same), 8),
        layer("channels around a tile", 3, (5, 7, 12), (3, 1, Same), 20),
        layer("one channel", 2, (9, 8, 1), (5, 1, Same), 12),
        layer("three channels, stride 2", 2, (11, 14, 3), (7, 2, Same), 16),
        layer("five channels", 2, (6, 7, 5), (3, 2, Valid), 4),
        layer("17 channels", 2, (6, 5, 17), (3, 1, Valid), 28),
        layer("1x1 stride 2, even", 3, (6, 8, 8), (1, 2, Same), 12),
        layer("1x1 stride 2, odd", 2, (7, 5, 4), (1, 2, Same), 8),
        layer("3x3 stride 2, even, tiled", 3, (8, 10, 8), (3, 2, Same), 16),
        layer("3x3 stride 2, odd, tiled", 3, (9, 7, 12), (3, 2, Same), 8),
        layer("4x4 stride 3", 2, (11, 13, 4), (4, 3, Same), 12),
        layer("2x2 stride 2 valid", 2, (7, 9, 8), (2, 2, Valid), 4),
        layer("5x5 stride 2 valid, tiled", 2, (12, 9, 4), (5, 2, Valid), 8),
        layer("7x7 larger than the image, tiled", 5, (3, 2, 4), (7, 1, Same), 8),
        layer("7x7 stride 2, tiled", 1, (10, 9, 4), (7, 2, Same), 4),
        layer("one pixel more than a wide tile", 1, (1, 17, 16), (3, 1, Same), 16),
        layer("one pixel less than a wide tile, nine rows of four", 1, (5, 7, 4), (3, 1, Valid), 16),
        layer("3x3 stride 2, odd, wide", 3, (7, 5, 16), (3, 2, Same), 32),
        layer("beyond 65535 workgroups", 1, (513, 513, 1), (1, 1, Same), 16),
        layer("conv1 64 px", 8, (64, 64, 3), (3, 1, Same), 16).timed(),
        layer("conv3 64 px", 8, (16, 16, 32), (3, 1, Same), 64).timed(),
        layer("residual stem 7x7 stride 2", 1, (64, 64, 3), (7, 2, Same), 64).timed(),
        layer("residual 1x1", 2, (28, 28, 64), (1, 1, Same), 256).timed(),
        layer("residual 3x3", 1, (28, 28, 64), (3, 1, Same), 64).timed(),
        layer("residual 3x3 stride 2", 1, (28, 28, 64), (3, 2, Same), 128).timed(),
        layer("residual 1x1 stride 2", 4, (28, 28, 64), (1, 2, Same), 128).timed(),
        layer("5x5 16 to 32", 1, (28, 28, 16), (5, 1, Same), 32).timed(),
    ];
    for (name, bias, input, out) in [
        ("no bias, relu", 0.0, (7, 5, 3), 5),
        ("no bias, relu, narrow", 0.0, (7, 5, 3), 12),
        ("no bias, relu, tiled", 0.0, (7, 5, 8), 12),
        ("no bias, relu, wide", 0.0, (7, 5, 16), 32),
        ("bias, relu, tiled", 1.0, (7, 5, 8), 12),
    ] {
        let case = layer(name, 3, input, (3, 1, Same), out);
        cases.push(Case::new(name, case.constants.with("BIAS", bias).with("RELU", 1.0)));
    }
    cases
}
