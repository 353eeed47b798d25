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

mod native;
mod twins;

pub use twins::{backward_input, backward_weights, forward};

use super::{
    Binding, Case, Constants, Contract, Cost, Grid, Launch, Needs, SUM_WORKGROUPS, Shader, Split, Tolerance,
    launch_many_runs, launch_split, runs_of, subgroups_across,
};
use crate::kernels::sizes::{direct, implementation, sized, sizes};
use crate::shape::{Padding, Window};
use crate::{shader, twin};

sizes! {
    /// Sizes of a convolution.
    Sizes {
        batch: usize = "BATCH", in_h: usize = "IN_H", in_w: usize = "IN_W", in_c: usize = "IN_C",
        out_h: usize = "OUT_H", out_w: usize = "OUT_W", out_c: usize = "OUT_C",
        kernel: usize = "KERNEL", stride: usize = "STRIDE", pad_top: usize = "PAD_TOP", pad_left: usize = "PAD_LEFT",
        bias: bool = "BIAS", relu: bool = "RELU",
    }
}

impl Sizes {
    /// A layer with bias and without relu; `None` where no window fits. `input` is height, width, channels of one image.
    pub fn new(batch: usize, input: (usize, usize, usize), window: Window, out_c: usize) -> Option<Self> {
        let (in_h, in_w, in_c) = input;
        let ((out_h, pad_top), (out_w, pad_left)) = (window.over(in_h)?, window.over(in_w)?);
        let Window { kernel, stride, .. } = window;
        let (bias, relu) = (true, false);
        Some(Self { batch, in_h, in_w, in_c, out_h, out_w, out_c, kernel, stride, pad_top, pad_left, bias, relu })
    }

    fn inputs(self) -> usize {
        self.batch * self.in_h * self.in_w * self.in_c
    }

    fn weights(self) -> usize {
        self.rows() * self.out_c
    }

    pub(super) fn outputs(self) -> usize {
        self.pixels() * self.out_c
    }

    /// Rows of the weights, taken as a matrix with a column for each output channel.
    fn rows(self) -> usize {
        self.kernel * self.kernel * self.in_c
    }

    /// Output pixels.
    fn pixels(self) -> usize {
        self.batch * self.out_h * self.out_w
    }
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
    constants: Sizes::CONSTANTS,
    lengths: sized!(|c| vec![c.inputs(), c.weights(), c.out_c, c.outputs()]),
    twin: twin!(forward),
    cost: sized!(cost),
    tolerance: sized!(|c| Tolerance::sum(c.rows())),
    cases,
    native: native::FORWARD,
    implementations: &[
        implementation!("matrix", MATRIX_NEEDS, |c| by_sixteen(c), launch_forward_matrix(c)),
        implementation!(
            "llvmpipe",
            Needs::SOFTWARE,
            |c| by_four(c) && c.out_c.is_multiple_of(16),
            launch_forward(c, shader!("conv2d/forward_llvmpipe.wgsl"), 16, 32)
        ),
        implementation!(
            "registers",
            Needs::NOTHING,
            |c| by_four(c),
            launch_forward(c, shader!("conv2d/forward_registers.wgsl"), 8, 64)
        ),
        implementation!(
            "narrow",
            Needs::NOTHING,
            |c| outputs_by_four(c),
            launch_forward(c, shader!("conv2d/forward_narrow.wgsl"), 8, 64)
        ),
        direct!(|c| {
            let taps = c.rows();
            Launch::items(shader!("conv2d/forward_direct.wgsl"), 4, c.outputs(), 1).iterating(taps)
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
    constants: Sizes::CONSTANTS,
    lengths: sized!(|c| vec![c.outputs(), c.weights(), c.inputs()]),
    twin: twin!(backward_input),
    cost: sized!(cost),
    tolerance: sized!(|c| Tolerance::sum(c.kernel * c.kernel * c.out_c)),
    cases,
    native: native::BACKWARD_INPUT,
    implementations: &[
        implementation!("matrix", MATRIX_NEEDS, |c| by_sixteen(c), launch_backward_input_matrix(c)),
        implementation!(
            "llvmpipe",
            Needs::SOFTWARE,
            |c| by_four(c) && c.in_c.is_multiple_of(16),
            launch_backward_input(c, shader!("conv2d/backward_input_llvmpipe.wgsl"), 16, 32)
        ),
        implementation!(
            "registers",
            Needs::NOTHING,
            |c| by_four(c),
            launch_backward_input(c, shader!("conv2d/backward_input_registers.wgsl"), 8, 64)
        ),
        direct!(|c| {
            let (taps, grid) = (c.kernel * c.kernel * c.out_c, Grid::elements(c.inputs(), 64));
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
    constants: Sizes::CONSTANTS,
    lengths: sized!(|c| vec![c.inputs(), c.outputs(), c.weights(), c.out_c]),
    twin: twin!(backward_weights),
    cost: sized!(cost),
    tolerance: sized!(|c| Tolerance::sum(c.pixels())),
    cases,
    native: native::BACKWARD_WEIGHTS,
    implementations: &[
        implementation!("matrix", MATRIX_NEEDS, |c| by_sixteen(c), launch_backward_weights_matrix(c)),
        implementation!(
            "llvmpipe",
            Needs::SOFTWARE,
            |c| by_four(c) && c.out_c.is_multiple_of(16),
            launch_runs(c, shader!("conv2d/backward_weights_llvmpipe.wgsl"), weights_tiles(c, 16), 16)
        ),
        implementation!(
            "split",
            Needs::NOTHING,
            |c| by_four(c),
            launch_runs(c, shader!("conv2d/backward_weights_split.wgsl"), weights_tiles(c, 8), 1)
        ),
        implementation!(
            "narrow",
            Needs::NOTHING,
            |c| outputs_by_four(c),
            launch_runs(c, shader!("conv2d/backward_weights_narrow.wgsl"), weights_tiles(c, 8), 1)
        ),
        direct!(|c| launch_runs(c, shader!("conv2d/backward_weights_direct.wgsl"), c.weights() + c.out_c, 1)),
    ],
};

/// Whether pixels are whole vec4s, before and after.
fn by_four(c: Sizes) -> bool {
    c.in_c.is_multiple_of(4) && outputs_by_four(c)
}

/// Whether output pixels are whole vec4s.
fn outputs_by_four(c: Sizes) -> bool {
    c.out_c.is_multiple_of(4)
}

/// A thread for each `side` output pixels x `side` output channels, `group` threads to a workgroup.
fn launch_forward(c: Sizes, shader: Shader, side: usize, group: usize) -> Launch {
    let tiles = c.pixels().div_ceil(side) * c.out_c.div_ceil(side);
    Launch::single(shader, 4, Grid::elements(tiles, group)).iterating(c.rows())
}

/// A thread for each `side` input pixels that lie a stride apart x `side` input channels; every phase of the stride
/// counts as many pixels as the largest.
fn launch_backward_input(c: Sizes, shader: Shader, side: usize, group: usize) -> Launch {
    let stride = c.stride;
    let pixels = c.batch * c.in_h.div_ceil(stride) * c.in_w.div_ceil(stride);
    let tiles = stride * stride * pixels.div_ceil(side) * c.in_c.div_ceil(side);
    Launch::single(shader, 3, Grid::elements(tiles, group)).iterating(c.kernel * c.kernel * c.out_c)
}

/// Tiles of `side` rows x `side` columns of the weights' gradient, taken as a matrix with `OUT_C` columns.
fn weights_tiles(c: Sizes, side: usize) -> usize {
    c.rows().div_ceil(side) * c.out_c.div_ceil(side)
}

/// Two dispatches over runs of output rows, `threads` to a run; see [`launch_split`]. `fewer` divides the number of runs:
/// a processor's few cores are soon busy, and partial sums cost memory.
fn launch_runs(c: Sizes, shader: Shader, threads: usize, fewer: usize) -> Launch {
    let split = Split::new(c.batch * c.out_h, c.out_w, fewer * threads);
    launch_split(shader, 2, split, threads, [c.weights(), c.out_c])
}

/// Whether pixels are whole tiles of cooperative matrices, before and after.
fn by_sixteen(c: Sizes) -> bool {
    c.in_c.is_multiple_of(16) && c.out_c.is_multiple_of(16)
}

/// 64 places, 64 staged pixels of 72 f16 and as many gradients of 136, or sums of 64 x 16 for each of at most four subgroups
/// of at most 64 threads.
const MATRIX_NEEDS: Needs = Needs { workgroup_bytes: 1024 + 64 * 144 + 64 * 272, invocations: 256, ..Needs::MATRIX };

/// Tiles of 16 `channels` that a subgroup takes, and subgroups side by side.
fn matrix_columns(channels: usize) -> [(&'static str, usize); 2] {
    let wide = if channels.is_multiple_of(32) { 2 } else { 1 };
    [("WIDE", wide), ("ACROSS", subgroups_across(channels, 16 * wide))]
}

/// Channels of a workgroup.
fn matrix_width(channels: usize) -> usize {
    matrix_columns(channels).iter().map(|(_, count)| count).product::<usize>() * 16
}

/// A workgroup for each 64 output pixels x 16 to 128 output channels.
fn launch_forward_matrix(c: Sizes) -> Launch {
    let (pixels, channels) = (c.pixels(), c.out_c);
    let [wide, across] = matrix_columns(channels);
    let terms = ("TERMS", c.rows());
    let grid = Grid::groups(pixels.div_ceil(64) * channels / matrix_width(channels));
    let extra = Constants::sizes(&[wide, across, ("PIXELS", pixels), terms]);
    Launch { extra, ..Launch::single(shader!("conv2d/forward_matrix.wgsl"), 4, grid) }
}

/// A workgroup for each 64 input pixels of a phase of the stride x 16 to 128 input channels.
fn launch_backward_input_matrix(c: Sizes) -> Launch {
    let (stride, channels) = (c.stride, c.in_c);
    let (high, broad) = (c.in_h.div_ceil(stride), c.in_w.div_ceil(stride));
    let pixels = c.batch * high * broad;
    let [wide, across] = matrix_columns(channels);
    let grid = Grid::groups(stride * stride * pixels.div_ceil(64) * channels / matrix_width(channels));
    let extra = Constants::sizes(&[wide, across, ("HIGH", high), ("BROAD", broad), ("PIXELS", pixels)]);
    Launch { extra, ..Launch::single(shader!("conv2d/backward_input_matrix.wgsl"), 3, grid) }
}

/// A workgroup for each 64 rows of the weights x 16 to 128 output channels x run of blocks of 64 output pixels.
fn launch_backward_weights_matrix(c: Sizes) -> Launch {
    let (pixels, channels) = (c.pixels(), c.out_c);
    let rows = c.rows();
    let groups = rows.div_ceil(64) * channels / matrix_width(channels);
    let split = runs_of(pixels.div_ceil(64), groups, SUM_WORKGROUPS);
    let shader = shader!("conv2d/backward_weights_matrix.wgsl");
    let mut launch = launch_many_runs(shader, 2, split, groups, [c.weights(), channels]);
    let sizes =
        [("SPLIT_BLOCKS", split.rows), ("PIXELS", pixels), ("TERMS", rows), ("WORDS", matrix_width(channels) / 4)];
    for (name, size) in sizes.into_iter().chain(matrix_columns(channels)) {
        launch.extra = launch.extra.with(name, size as f64);
    }
    launch
}

/// Every direction multiplies each output pixel with each weight once.
fn cost(c: Sizes) -> Cost {
    let flops = 2.0 * (c.pixels() * c.weights()) as f64;
    Cost { flops, bytes: 4.0 * (c.inputs() + c.weights() + c.out_c + c.outputs()) as f64 }
}

fn layer(
    name: &'static str,
    batch: usize,
    input: (usize, usize, usize),
    (kernel, stride, padding): (usize, usize, Padding),
    out: usize,
) -> Case {
    Case::new(name, Sizes::new(batch, input, Window { kernel, stride, padding }, out).unwrap_or_default())
}

/// Cases: kernels 1, 3, 5, 7, strides 1 to 3, both paddings, odd sizes, pixels and channels around the tiles of 8, one
/// beyond 65535 workgroups, real layers.
fn cases() -> Vec<Case> {
    use Padding::{Same, Valid};
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
        layer("144 channels, more than a part", 2, (5, 4, 144), (3, 1, Same), 144),
        layer("48 channels, more pixels than a block", 5, (6, 5, 48), (3, 1, Same), 80),
        layer("3x3 stride 2, even, by 32", 2, (10, 8, 32), (3, 2, Same), 64),
        layer("5x5 stride 3 valid, by 16", 3, (14, 11, 16), (5, 3, Valid), 48),
        layer("7x7 larger than the image, by 16", 5, (3, 2, 16), (7, 1, Same), 16),
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
    cases.extend(switched_cases());
    cases
}

/// Cases with relu, with and without bias.
fn switched_cases() -> Vec<Case> {
    let switched = [
        ("no bias, relu", false, (7, 5, 3), 5),
        ("no bias, relu, narrow", false, (7, 5, 3), 12),
        ("no bias, relu, tiled", false, (7, 5, 8), 12),
        ("no bias, relu, wide", false, (7, 5, 16), 32),
        ("bias, relu, tiled", true, (7, 5, 8), 12),
        ("bias, relu, by 16", true, (7, 5, 48), 48),
    ];
    let window = Window { kernel: 3, stride: 1, padding: Padding::Same };
    let case = |(name, bias, input, out)| {
        Case::new(name, Sizes { bias, relu: true, ..Sizes::new(3, input, window, out).unwrap_or_default() })
    };
    switched.map(case).to_vec()
}
