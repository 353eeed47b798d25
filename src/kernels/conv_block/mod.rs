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

mod twins;

pub use twins::{backward_input, backward_weights, forward};

use super::{
    Binding, Case, Constants, Contract, Cost, Fill, Grid, Implementation, Launch, Needs, SUM_WORKGROUPS, Shader, Split,
    Tolerance, launch_many_runs, launch_split, runs_of, subgroups_across,
};
use crate::{shader, twin};

const CONSTANTS: &[&str] = &["BATCH", "IN_H", "IN_W", "IN_C", "POOL_H", "POOL_W", "OUT_C", "WORDS"];

/// Constants of a block; `None` where the image is too small to pool. `input` is height, width, channels of one image.
pub fn constants(batch: usize, input: (usize, usize, usize), out_channels: usize) -> Option<Constants> {
    let (in_h, in_w, in_c) = input;
    (in_h >= 2 && in_w >= 2).then(|| {
        Constants::sizes(&[
            ("BATCH", batch),
            ("IN_H", in_h),
            ("IN_W", in_w),
            ("IN_C", in_c),
            ("POOL_H", in_h / 2),
            ("POOL_W", in_w / 2),
            ("OUT_C", out_channels),
            ("WORDS", out_channels.div_ceil(4)),
        ])
    })
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
    constants: CONSTANTS,
    lengths: |c| vec![inputs(c), weights(c), c.size("OUT_C"), outputs(c), words(c)],
    twin: twin!(forward),
    cost,
    tolerance: |c| Tolerance::sum(9 * c.size("IN_C")),
    cases,
    implementations: &[
        Implementation {
            name: "matrix",
            needs: MATRIX_NEEDS,
            accepts: |c| c.size("IN_C").is_multiple_of(16) && c.size("OUT_C").is_multiple_of(16),
            launch: |c| {
                let blocks = c.size("BATCH") * c.size("POOL_H").div_ceil(8) * c.size("POOL_W").div_ceil(8);
                launch_matrix(shader!("conv_block/forward_matrix.wgsl"), 5, blocks, c.size("OUT_C"))
            },
        },
        Implementation {
            name: "matrix_rgb",
            needs: RGB_MATRIX_NEEDS,
            accepts: |c| c.size("IN_C") == 3 && c.size("OUT_C").is_multiple_of(16),
            launch: |c| {
                let blocks = c.size("BATCH") * c.size("POOL_H").div_ceil(8) * c.size("POOL_W").div_ceil(8);
                Launch::single(shader!("conv_block/forward_matrix_rgb.wgsl"), 5, Grid::groups(blocks))
            },
        },
        Implementation {
            name: "llvmpipe",
            needs: Needs::SOFTWARE,
            accepts: |c| c.size("IN_C").is_multiple_of(4) && c.size("OUT_C").is_multiple_of(16),
            launch: |c| launch_tiles(shader!("conv_block/forward_llvmpipe.wgsl"), 5, c, "OUT_C"),
        },
        Implementation {
            name: "llvmpipe_rgb",
            needs: Needs::SOFTWARE,
            accepts: |c| c.size("IN_C") == 3 && c.size("IN_W").is_multiple_of(4) && c.size("OUT_C").is_multiple_of(16),
            launch: |c| launch_tiles(shader!("conv_block/forward_llvmpipe_rgb.wgsl"), 5, c, "OUT_C"),
        },
        Implementation {
            name: "tiled",
            needs: Needs::HARDWARE,
            accepts: |c| {
                c.size("IN_C").is_multiple_of(4) && c.size("OUT_C").is_multiple_of(16) && c.size("POOL_W") >= 8
            },
            launch: |c| {
                let blocks = [c.size("POOL_H").div_ceil(4), c.size("POOL_W").div_ceil(8)];
                launch_tiled(shader!("conv_block/forward_tiled.wgsl"), 5, c, blocks, ["IN_C", "OUT_C"])
            },
        },
        Implementation {
            name: "registers",
            needs: Needs::NOTHING,
            accepts: |c| c.size("OUT_C").is_multiple_of(16),
            launch: |c| {
                Launch::single(shader!("conv_block/forward_registers.wgsl"), 5, Grid::elements(outputs(c) / 16, 64))
            },
        },
        Implementation::direct(|c| {
            Launch::single(shader!("conv_block/forward_direct.wgsl"), 5, Grid::elements(words(c), 64))
                .iterating(9 * c.size("IN_C"))
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
    constants: CONSTANTS,
    lengths: |c| vec![outputs(c), words(c), weights(c), inputs(c)],
    twin: twin!(backward_input),
    cost,
    tolerance: |c| Tolerance::sum(9 * c.size("OUT_C")),
    cases,
    implementations: &[
        Implementation {
            name: "matrix",
            needs: MATRIX_NEEDS,
            accepts: |c| c.size("IN_C").is_multiple_of(16) && c.size("OUT_C").is_multiple_of(16),
            launch: |c| {
                let blocks = c.size("BATCH") * c.size("IN_H").div_ceil(16) * c.size("IN_W").div_ceil(16);
                launch_matrix(shader!("conv_block/backward_input_matrix.wgsl"), 4, blocks, c.size("IN_C"))
            },
        },
        Implementation {
            name: "llvmpipe",
            needs: Needs::SOFTWARE,
            accepts: |c| c.size("IN_C").is_multiple_of(16) && c.size("OUT_C").is_multiple_of(4),
            launch: |c| launch_tiles(shader!("conv_block/backward_input_llvmpipe.wgsl"), 4, c, "IN_C"),
        },
        Implementation {
            name: "tiled",
            needs: Needs::HARDWARE,
            accepts: |c| c.size("IN_C").is_multiple_of(16) && c.size("OUT_C").is_multiple_of(4) && c.size("IN_W") >= 16,
            launch: |c| {
                let blocks = [c.size("IN_H").div_ceil(8), c.size("IN_W").div_ceil(16)];
                launch_tiled(shader!("conv_block/backward_input_tiled.wgsl"), 4, c, blocks, ["OUT_C", "IN_C"])
            },
        },
        Implementation {
            name: "registers",
            needs: Needs::NOTHING,
            accepts: |c| c.size("IN_C").is_multiple_of(16) && c.size("OUT_C").is_multiple_of(4),
            launch: |c| {
                let blocks = c.size("BATCH") * c.size("IN_H").div_ceil(2) * c.size("IN_W").div_ceil(2);
                let grid = Grid::elements(blocks * c.size("IN_C") / 16, 64);
                Launch::single(shader!("conv_block/backward_input_registers.wgsl"), 4, grid)
            },
        },
        Implementation::direct(|c| {
            Launch::single(shader!("conv_block/backward_input_direct.wgsl"), 4, Grid::elements(inputs(c), 64))
                .iterating(9 * c.size("OUT_C"))
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
    constants: CONSTANTS,
    lengths: |c| vec![inputs(c), outputs(c), words(c), weights(c), c.size("OUT_C")],
    twin: twin!(backward_weights),
    cost,
    tolerance: |c| Tolerance::sum(4 * c.product(&["BATCH", "POOL_H", "POOL_W"])),
    cases,
    implementations: &[
        Implementation {
            name: "matrix",
            needs: Needs {
                workgroup_bytes: 10 * 18 * 48 + 128 * 80 + 9 * 64 * 16,
                invocations: 9 * 64,
                ..Needs::MATRIX
            },
            accepts: |c| c.size("IN_C").is_multiple_of(16) && c.size("OUT_C").is_multiple_of(32),
            launch: |c| {
                let blocks = c.size("IN_C") / 16 * (c.size("OUT_C") / 32);
                launch_areas(shader!("conv_block/backward_weights_matrix.wgsl"), c, blocks)
            },
        },
        Implementation {
            name: "matrix_rgb",
            needs: RGB_MATRIX_NEEDS,
            accepts: |c| c.size("IN_C") == 3 && c.size("OUT_C").is_multiple_of(16),
            launch: |c| launch_areas(shader!("conv_block/backward_weights_matrix_rgb.wgsl"), c, c.size("OUT_C") / 16),
        },
        Implementation {
            name: "llvmpipe",
            needs: Needs::SOFTWARE,
            accepts: |c| c.size("IN_C").is_multiple_of(4) && c.size("OUT_C").is_multiple_of(32),
            launch: |c| {
                let threads = 8 * c.size("IN_C") / 4 * c.size("OUT_C") / 32;
                launch_runs(shader!("conv_block/backward_weights_llvmpipe.wgsl"), c, threads)
            },
        },
        Implementation {
            name: "llvmpipe_rgb",
            needs: Needs::SOFTWARE,
            accepts: |c| c.size("IN_C") == 3 && c.size("OUT_C").is_multiple_of(16),
            launch: |c| {
                launch_runs(shader!("conv_block/backward_weights_llvmpipe_rgb.wgsl"), c, 8 * c.size("OUT_C") / 16)
            },
        },
        Implementation {
            name: "sparse",
            needs: Needs::HARDWARE,
            accepts: |c| c.size("IN_C").is_multiple_of(16) && c.size("OUT_C").is_multiple_of(32),
            launch: |c| launch_segments(shader!("conv_block/backward_weights_sparse.wgsl"), c),
        },
        Implementation {
            name: "split",
            needs: Needs::NOTHING,
            accepts: |c| c.size("OUT_C").is_multiple_of(16),
            launch: |c| {
                let threads = 9 * c.size("IN_C").div_ceil(4) * c.size("OUT_C") / 16;
                launch_runs(shader!("conv_block/backward_weights_split.wgsl"), c, threads)
            },
        },
        Implementation::direct(|c| {
            let threads = weights(c) + c.size("OUT_C");
            launch_runs(shader!("conv_block/backward_weights_direct.wgsl"), c, threads)
        }),
    ],
};

/// Workgroups for each block of 16 x 8 pixels (rows and columns of them) x as many of the 16 to 64 channels that come out as divide them, 32
/// threads for each 16; narrower images would leave half of the threads idle. A thread loops over the channels that go in.
fn launch_tiled(shader: Shader, bindings: usize, c: &Constants, blocks: [usize; 2], channels: [&str; 2]) -> Launch {
    let [going_in, coming_out] = channels.map(|name| c.size(name));
    let across = subgroups_across(coming_out, 16);
    let grid = Grid::groups(c.size("BATCH") * blocks[0] * blocks[1] * coming_out / (16 * across));
    let launch = Launch::single(shader, bindings, grid).iterating(10 * going_in);
    Launch { extra: Constants::sizes(&[("ACROSS", across)]), ..launch }
}

/// A software adapter's tiles: 32 threads to a workgroup, each with 4x4 pixels x 16 of the `channels`, the same sixteen.
fn launch_tiles(shader: Shader, bindings: usize, c: &Constants, channels: &str) -> Launch {
    let blocks = c.size("BATCH") * c.size("IN_H").div_ceil(4) * c.size("IN_W").div_ceil(4);
    Launch::single(shader, bindings, Grid::groups(c.size(channels) / 16 * blocks.div_ceil(32)))
}

/// Workgroups for each of `blocks` of the weights, and so many runs of areas of 8 x 16 pixels that there are about
/// [`SUM_WORKGROUPS`].
fn launch_areas(shader: Shader, c: &Constants, blocks: usize) -> Launch {
    let areas = c.size("BATCH") * c.size("POOL_H").div_ceil(4) * c.size("POOL_W").div_ceil(8);
    let split = runs_of(areas, blocks, SUM_WORKGROUPS);
    launch_many_runs(shader, 3, split, blocks, [weights(c), c.size("OUT_C")])
}

/// The same for segments of eight windows, and workgroups of 32 or 16 input channels: twice as many of the smaller ones.
fn launch_segments(shader: Shader, c: &Constants) -> Launch {
    let segments = c.product(&["BATCH", "POOL_H"]) * c.size("POOL_W").div_ceil(8);
    let tile = if c.size("IN_C").is_multiple_of(32) { 32 } else { 16 };
    let blocks = c.size("IN_C") / tile * (c.size("OUT_C") / 32);
    let split = runs_of(segments, blocks, SUM_WORKGROUPS * 32 / tile);
    let mut launch = launch_many_runs(shader, 3, split, blocks, [weights(c), c.size("OUT_C")]);
    launch.extra = launch.extra.with("IN_TILE", tile as f64);
    launch.iterating(32 * split.rows)
}

/// Two dispatches over runs of pooled rows; see [`launch_split`].
fn launch_runs(shader: Shader, c: &Constants, threads: usize) -> Launch {
    let split = Split::new(c.product(&["BATCH", "POOL_H"]), c.size("POOL_W"), threads);
    launch_split(shader, 3, split, threads, [weights(c), c.size("OUT_C")])
}

fn inputs(c: &Constants) -> usize {
    c.product(&["BATCH", "IN_H", "IN_W", "IN_C"])
}

fn weights(c: &Constants) -> usize {
    9 * c.product(&["IN_C", "OUT_C"])
}

fn outputs(c: &Constants) -> usize {
    c.product(&["BATCH", "POOL_H", "POOL_W", "OUT_C"])
}

fn words(c: &Constants) -> usize {
    c.product(&["BATCH", "POOL_H", "POOL_W", "WORDS"])
}

/// The convolution's work; traffic is input, pooled values, argmax codes and weights.
fn cost(c: &Constants) -> Cost {
    let flops = 2.0 * (c.product(&["BATCH", "IN_H", "IN_W"]) * weights(c)) as f64;
    Cost { flops, bytes: 4.0 * (inputs(c) + weights(c) + c.size("OUT_C") + outputs(c) + words(c)) as f64 }
}

fn cases() -> Vec<Case> {
    let block = |name, batch, input, out| Case::new(name, constants(batch, input, out).unwrap_or_default());
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
