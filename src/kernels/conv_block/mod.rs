//! The fused block: 3x3 same convolution, bias, relu and 2x2 max-pool in one kernel, NHWC, weights HWIO.
//!
//! ```text
//! y[n,y,x,oc]                   = bias[oc] + sum_{ky,kx,ic} input[n, y+ky-1, x+kx-1, ic] * weights[ky,kx,ic,oc]
//! pooled[n,py,px,oc]            = max(0, max_q y[n, 2py+q/2, 2px+q%2, oc]),  q = 0..3
//! argmax[n,py,px,oc]            = the first q that reaches the maximum, or 4 where relu closed the window
//! e[n,y,x,oc]                   = pooled_gradient of the window around (y,x) where its argmax is (y,x), else 0
//! input_gradient[n,iy,ix,ic]    = sum_{ky,kx,oc} e[n, iy+1-ky, ix+1-kx, oc] * weights[ky,kx,ic,oc]
//! weights_gradient[ky,kx,ic,oc] = sum_{n,y,x} input[n, y+ky-1, x+kx-1, ic] * e[n,y,x,oc]
//! bias_gradient[oc]             = sum_{n,y,x} e[n,y,x,oc]
//! ```
//!
//! Neither `y` nor `e` is ever in memory: per pooled element there are four bytes of value and one of argmax (codes
//! travel four channels to a word; bytes past the last channel hold 4). A `y` that is not a number counts as not
//! positive: its window closes. Odd sizes floor as in Keras. A twin is the
//! composition of the twins of [`conv2d`](super::conv2d) and [`maxpool2d`](super::maxpool2d).
//!
//! Constants: `BATCH IN_H IN_W IN_C POOL_H POOL_W OUT_C WORDS`.

mod native;
mod twins;

pub use twins::{backward_input, backward_weights, forward};

use super::{
    Binding, Case, Constants, Contract, Cost, Fill, Grid, Launch, Native, Needs, SUM_WORKGROUPS, Shader, Split,
    Tolerance, launch_many_runs, launch_split, runs_of, subgroups_across,
};
use crate::kernels::sizes::{direct, implementation, sized, sizes};
use crate::{shader, twin};

sizes! {
    /// Sizes of a block.
    Sizes {
        batch: usize = "BATCH", in_h: usize = "IN_H", in_w: usize = "IN_W", in_c: usize = "IN_C",
        pool_h: usize = "POOL_H", pool_w: usize = "POOL_W", out_c: usize = "OUT_C", words: usize = "WORDS",
    }
}

impl Sizes {
    /// `None` where the image is too small to pool. `input` is height, width, channels of one image.
    pub fn new(batch: usize, (in_h, in_w, in_c): (usize, usize, usize), out_c: usize) -> Option<Self> {
        let (pool_h, pool_w, words) = (in_h / 2, in_w / 2, out_c.div_ceil(4));
        (pool_h > 0 && pool_w > 0).then_some(Self { batch, in_h, in_w, in_c, pool_h, pool_w, out_c, words })
    }

    fn inputs(self) -> usize {
        self.batch * self.in_h * self.in_w * self.in_c
    }

    fn weights(self) -> usize {
        9 * self.in_c * self.out_c
    }

    fn outputs(self) -> usize {
        self.batch * self.pool_h * self.pool_w * self.out_c
    }

    /// Words of argmax codes, one code for each output.
    pub fn codes(self) -> usize {
        self.batch * self.pool_h * self.pool_w * self.words
    }
}

/// The contracts of this file.
pub const CONTRACTS: &[&Contract] = &[&FORWARD, &BACKWARD_INPUT, &BACKWARD_WEIGHTS];

/// An area of 18 x 18 pixels x 24 f16, and 2 KiB of sums for each of at most eight subgroups of at most 64 threads.
const MATRIX_NEEDS: Needs = Needs { workgroup_bytes: 18 * 18 * 48 + 16 * 1024, invocations: 512, ..Needs::MATRIX };

/// 18 x 18 pixels x 3 f16, 128 unfolded pixels of 40 f16 and their gradients of 24, and 2 KiB of sums for each of four
/// subgroups of at most 64 threads.
const RGB_MATRIX_NEEDS: Needs =
    Needs { workgroup_bytes: 18 * 18 * 6 + 128 * (80 + 48) + 8 * 1024, invocations: 256, ..Needs::MATRIX };

/// Workgroups of 16 x 16 pixels x as many of the 16 to 64 channels as divide `channels`.
fn launch_matrix(shader: Shader, bindings: usize, blocks: usize, channels: usize) -> Launch {
    let across = subgroups_across(channels, 16);
    let grid = Grid::groups(blocks * channels / (16 * across));
    Launch { extra: Constants::sizes(&[("ACROSS", across)]), ..Launch::single(shader, bindings, grid) }
}

/// `input, weights, bias -> pooled, argmax`.
pub static FORWARD: Contract = Contract {
    name: "conv_block.forward",
    formula: "pooled = max(0, max over 2x2 of bias + conv3x3(input, weights)); argmax = which of the four, or closed",
    // dyadic values make every sum exact, so argmax codes must agree exactly, ties included
    bindings: &[
        Binding::read("input").filled(Fill::Dyadic).or_half(),
        Binding::read("weights").filled(Fill::Dyadic).or_half(),
        Binding::read("bias").filled(Fill::Dyadic),
        Binding::write("pooled").or_half(),
        Binding::write("argmax").of_indices(),
    ],
    constants: Sizes::CONSTANTS,
    lengths: sized!(|c| vec![c.inputs(), c.weights(), c.out_c, c.outputs(), c.codes()]),
    twin: twin!(forward),
    cost: sized!(cost),
    tolerance: sized!(|c| Tolerance::sum(9 * c.in_c)),
    cases,
    native: native::FORWARD,
    implementations: &[
        implementation!("matrix", MATRIX_NEEDS, |c| c.in_c.is_multiple_of(16) && c.out_c.is_multiple_of(16), {
            let blocks = c.batch * c.pool_h.div_ceil(8) * c.pool_w.div_ceil(8);
            launch_matrix(shader!("conv_block/forward_matrix.wgsl"), 5, blocks, c.out_c)
        }),
        implementation!("matrix_rgb", RGB_MATRIX_NEEDS, |c| c.in_c == 3 && c.out_c.is_multiple_of(16), {
            let blocks = c.batch * c.pool_h.div_ceil(8) * c.pool_w.div_ceil(8);
            Launch::single(shader!("conv_block/forward_matrix_rgb.wgsl"), 5, Grid::groups(blocks))
        }),
        implementation!(
            "llvmpipe",
            Needs::SOFTWARE,
            |c| c.in_c.is_multiple_of(4) && c.out_c.is_multiple_of(16),
            launch_tiles(shader!("conv_block/forward_llvmpipe.wgsl"), 5, c, c.out_c)
        ),
        implementation!(
            "llvmpipe_rgb",
            Needs::SOFTWARE,
            |c| c.in_c == 3 && c.in_w.is_multiple_of(4) && c.out_c.is_multiple_of(16),
            launch_tiles(shader!("conv_block/forward_llvmpipe_rgb.wgsl"), 5, c, c.out_c)
        ),
        implementation!(
            "tiled",
            Needs::HARDWARE,
            |c| c.in_c.is_multiple_of(4) && c.out_c.is_multiple_of(16) && c.pool_w >= 8,
            {
                let blocks = c.pool_h.div_ceil(4) * c.pool_w.div_ceil(8);
                launch_tiled(shader!("conv_block/forward_tiled.wgsl"), 5, c.batch * blocks, [c.in_c, c.out_c])
            }
        ),
        implementation!("registers", Needs::NOTHING, |c| c.out_c.is_multiple_of(16), {
            Launch::items(shader!("conv_block/forward_registers.wgsl"), 5, c.outputs() / 16, 1)
        }),
        direct!(|c| {
            Launch::items(shader!("conv_block/forward_direct.wgsl"), 5, c.codes(), 1).iterating(9 * c.in_c)
        }),
    ],
};

/// `pooled_gradient, argmax, weights -> input_gradient`.
pub static BACKWARD_INPUT: Contract = Contract {
    name: "conv_block.backward_input",
    formula: "input_gradient[n,iy,ix,ic] = sum over ky,kx,oc of e[n,iy+1-ky,ix+1-kx,oc] * weights[ky,kx,ic,oc]",
    bindings: &[
        Binding::read("pooled_gradient").or_half(),
        Binding::index("argmax", Fill::Codes),
        Binding::read("weights").or_half(),
        Binding::write("input_gradient").or_half(),
    ],
    constants: Sizes::CONSTANTS,
    lengths: sized!(|c| vec![c.outputs(), c.codes(), c.weights(), c.inputs()]),
    twin: twin!(backward_input),
    cost: sized!(cost),
    tolerance: sized!(|c| Tolerance::sum(9 * c.out_c)),
    cases,
    native: &[Native::direct(native::backward_input)],
    implementations: &[
        implementation!("matrix", MATRIX_NEEDS, |c| c.in_c.is_multiple_of(16) && c.out_c.is_multiple_of(16), {
            let blocks = c.batch * c.in_h.div_ceil(16) * c.in_w.div_ceil(16);
            launch_matrix(shader!("conv_block/backward_input_matrix.wgsl"), 4, blocks, c.in_c)
        }),
        implementation!(
            "llvmpipe",
            Needs::SOFTWARE,
            |c| c.in_c.is_multiple_of(16) && c.out_c.is_multiple_of(4),
            launch_tiles(shader!("conv_block/backward_input_llvmpipe.wgsl"), 4, c, c.in_c)
        ),
        implementation!(
            "tiled",
            Needs::HARDWARE,
            |c| c.in_c.is_multiple_of(16) && c.out_c.is_multiple_of(4) && c.in_w >= 16,
            {
                let blocks = c.in_h.div_ceil(8) * c.in_w.div_ceil(16);
                launch_tiled(shader!("conv_block/backward_input_tiled.wgsl"), 4, c.batch * blocks, [c.out_c, c.in_c])
            }
        ),
        implementation!("registers", Needs::NOTHING, |c| c.in_c.is_multiple_of(16) && c.out_c.is_multiple_of(4), {
            let blocks = c.batch * c.in_h.div_ceil(2) * c.in_w.div_ceil(2);
            Launch::items(shader!("conv_block/backward_input_registers.wgsl"), 4, blocks * c.in_c / 16, 1)
        }),
        direct!(|c| {
            Launch::items(shader!("conv_block/backward_input_direct.wgsl"), 4, c.inputs(), 1).iterating(9 * c.out_c)
        }),
    ],
};

/// `input, pooled_gradient, argmax -> weights_gradient, bias_gradient`.
pub static BACKWARD_WEIGHTS: Contract = Contract {
    name: "conv_block.backward_weights",
    formula: "weights_gradient[ky,kx,ic,oc] = sum over n,y,x of input[n,y+ky-1,x+kx-1,ic] * e[n,y,x,oc]",
    bindings: &[
        Binding::read("input").or_half(),
        Binding::read("pooled_gradient").or_half(),
        Binding::index("argmax", Fill::Codes),
        Binding::write("weights_gradient"),
        Binding::write("bias_gradient"),
    ],
    constants: Sizes::CONSTANTS,
    lengths: sized!(|c| vec![c.inputs(), c.outputs(), c.codes(), c.weights(), c.out_c]),
    twin: twin!(backward_weights),
    cost: sized!(cost),
    tolerance: sized!(|c| Tolerance::sum(4 * c.batch * c.pool_h * c.pool_w)),
    cases,
    native: &[Native::direct(native::backward_weights)],
    implementations: &[
        implementation!(
            "matrix",
            Needs { workgroup_bytes: 10 * 18 * 48 + 128 * 80 + 9 * 64 * 16, invocations: 9 * 64, ..Needs::MATRIX },
            |c| c.in_c.is_multiple_of(16) && c.out_c.is_multiple_of(32),
            {
                let blocks = c.in_c / 16 * (c.out_c / 32);
                launch_areas(shader!("conv_block/backward_weights_matrix.wgsl"), c, blocks)
            }
        ),
        implementation!(
            "matrix_rgb",
            RGB_MATRIX_NEEDS,
            |c| c.in_c == 3 && c.out_c.is_multiple_of(16),
            launch_areas(shader!("conv_block/backward_weights_matrix_rgb.wgsl"), c, c.out_c / 16)
        ),
        implementation!("llvmpipe", Needs::SOFTWARE, |c| c.in_c.is_multiple_of(4) && c.out_c.is_multiple_of(32), {
            let threads = 8 * c.in_c / 4 * c.out_c / 32;
            launch_runs(shader!("conv_block/backward_weights_llvmpipe.wgsl"), c, threads)
        }),
        implementation!("llvmpipe_rgb", Needs::SOFTWARE, |c| c.in_c == 3 && c.out_c.is_multiple_of(16), {
            launch_runs(shader!("conv_block/backward_weights_llvmpipe_rgb.wgsl"), c, 8 * c.out_c / 16)
        }),
        implementation!(
            "sparse",
            Needs::HARDWARE,
            |c| c.in_c.is_multiple_of(16) && c.out_c.is_multiple_of(32),
            launch_segments(shader!("conv_block/backward_weights_sparse.wgsl"), c)
        ),
        implementation!("split", Needs::NOTHING, |c| c.out_c.is_multiple_of(16), {
            let threads = 9 * c.in_c.div_ceil(4) * c.out_c / 16;
            launch_runs(shader!("conv_block/backward_weights_split.wgsl"), c, threads)
        }),
        direct!(|c| {
            let threads = c.weights() + c.out_c;
            launch_runs(shader!("conv_block/backward_weights_direct.wgsl"), c, threads)
        }),
    ],
};

/// Workgroups for each block of 16 x 8 pixels x as many of the 16 to 64 channels that come out as divide them, 32
/// threads for each 16; narrower images would leave half of the threads idle. A thread loops over the channels that go in.
fn launch_tiled(shader: Shader, bindings: usize, blocks: usize, [going_in, coming_out]: [usize; 2]) -> Launch {
    let across = subgroups_across(coming_out, 16);
    let grid = Grid::groups(blocks * coming_out / (16 * across));
    let launch = Launch::single(shader, bindings, grid).iterating(10 * going_in);
    Launch { extra: Constants::sizes(&[("ACROSS", across)]), ..launch }
}

/// A software adapter's tiles: 32 threads to a workgroup, each with 4x4 pixels x 16 of the `channels`, the same sixteen.
fn launch_tiles(shader: Shader, bindings: usize, c: Sizes, channels: usize) -> Launch {
    let blocks = c.batch * c.in_h.div_ceil(4) * c.in_w.div_ceil(4);
    Launch::single(shader, bindings, Grid::groups(channels / 16 * blocks.div_ceil(32)))
}

/// Workgroups for each of `blocks` of the weights, and so many runs of areas of 8 x 16 pixels that there are about
/// [`SUM_WORKGROUPS`].
fn launch_areas(shader: Shader, c: Sizes, blocks: usize) -> Launch {
    let areas = c.batch * c.pool_h.div_ceil(4) * c.pool_w.div_ceil(8);
    let split = runs_of(areas, blocks, SUM_WORKGROUPS);
    launch_many_runs(shader, 3, split, blocks, [c.weights(), c.out_c])
}

/// The same for segments of eight windows, and workgroups of 32 or 16 input channels: twice as many of the smaller ones.
fn launch_segments(shader: Shader, c: Sizes) -> Launch {
    let segments = c.batch * c.pool_h * c.pool_w.div_ceil(8);
    let tile = if c.in_c.is_multiple_of(32) { 32 } else { 16 };
    let blocks = c.in_c / tile * (c.out_c / 32);
    let split = runs_of(segments, blocks, SUM_WORKGROUPS * 32 / tile);
    let mut launch = launch_many_runs(shader, 3, split, blocks, [c.weights(), c.out_c]);
    launch.extra = launch.extra.with("IN_TILE", tile as f64);
    launch.iterating(32 * split.rows)
}

/// Two dispatches over runs of pooled rows; see [`launch_split`].
fn launch_runs(shader: Shader, c: Sizes, threads: usize) -> Launch {
    let split = Split::new(c.batch * c.pool_h, c.pool_w, threads);
    launch_split(shader, 3, split, threads, [c.weights(), c.out_c])
}

/// The convolution's work; traffic is input, pooled values, argmax codes and weights.
fn cost(c: Sizes) -> Cost {
    let flops = 2.0 * (c.batch * c.in_h * c.in_w * c.weights()) as f64;
    Cost { flops, bytes: 4.0 * (c.inputs() + c.weights() + c.out_c + c.outputs() + c.codes()) as f64 }
}

fn cases() -> Vec<Case> {
    let block = |name, batch, input, out| Case::new(name, Sizes::new(batch, input, out).unwrap_or_default());
    vec![
        block("smallest", 1, (2, 2, 1), 1),
        block("odd", 2, (7, 5, 3), 6),
        block("odd, 16 channels", 2, (7, 9, 16), 16),
        block("channels not of four", 2, (6, 8, 5), 17),
        block("around a tile", 3, (10, 6, 17), 32),
        block("pictures, ragged tiles", 3, (7, 12, 3), 32),
        block("pictures, blocks of 16 pixels", 2, (35, 33, 3), 48),
        block("pictures, odd windows", 2, (6, 11, 3), 16),
        block("32 channels, odd windows", 2, (7, 11, 4), 32),
        block("many channels", 1, (2, 2, 1000), 5),
        block("one row", 1, (2, 33, 16), 48),
        block("ragged, 64 channels", 2, (19, 21, 32), 64),
        block("64 channels in, ragged", 1, (9, 19, 64), 32),
        block("48 channels in, ragged", 2, (5, 17, 48), 32),
        // 555 areas of 16 x 8 pixels: more than a run to a workgroup, and one past the last
        block("many areas, ragged", 37, (35, 35, 16), 32),
        block("beyond 65535 workgroups", 1, (1026, 1026, 1), 68),
        block("conv1 64 px", 8, (64, 64, 3), 16).timed(),
        block("conv2 64 px", 8, (32, 32, 16), 32).timed(),
        block("conv3 64 px", 8, (16, 16, 32), 64).timed(),
        block("conv4 64 px", 8, (8, 8, 64), 128).timed(),
    ]
}
