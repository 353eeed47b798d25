//! The dense (fully connected) layer; weights IN x OUT.
//!
//! ```text
//! output[n,o]           = act(bias[o] + sum_i input[n,i] * weights[i,o])
//! input_gradient[n,i]   = sum_o output_gradient[n,o] * weights[i,o]
//! weights_gradient[i,o] = sum_n input[n,i] * output_gradient[n,o]
//! bias_gradient[o]      = sum_n output_gradient[n,o]
//! ```
//!
//! `act` is the identity or, with `RELU`, `max(0, .)`; its gradient is `relu.backward`'s work. Without `BIAS` the bias is
//! not read and its gradient is zero. Reference: Goodfellow, Bengio and Courville, "Deep Learning", 2016, section 6.5.
//!
//! Constants: `BATCH IN OUT BIAS RELU`.

mod native;
mod twins;

pub use twins::{backward_input, backward_weights, forward};

use super::{
    Binding, Case, Constants, Contract, Cost, Grid, LOOP_ITERATIONS, Launch, Native, Needs, SUM_WORKGROUPS, Shader,
    Stage, Tolerance, subgroups_across,
};
use crate::kernels::sizes::{direct, implementation, sized, sizes};
use crate::{shader, twin};

sizes! {
    /// Sizes of a dense layer.
    Sizes { batch: usize = "BATCH", ins: usize = "IN", outs: usize = "OUT", bias: bool = "BIAS", relu: bool = "RELU" }
}

impl Sizes {
    /// A layer with bias and without relu.
    pub fn new(batch: usize, ins: usize, outs: usize) -> Self {
        Self { batch, ins, outs, bias: true, relu: false }
    }

    fn inputs(self) -> usize {
        self.batch * self.ins
    }

    fn weights(self) -> usize {
        self.ins * self.outs
    }

    fn outputs(self) -> usize {
        self.batch * self.outs
    }
}

/// The contracts of this file.
pub const CONTRACTS: &[&Contract] = &[&FORWARD, &BACKWARD_INPUT, &BACKWARD_WEIGHTS];

/// `input (BATCH x IN), weights (IN x OUT), bias (OUT) -> output (BATCH x OUT)`.
pub static FORWARD: Contract = Contract {
    name: "dense.forward",
    formula: "output[n,o] = act(bias[o] + sum over i of input[n,i] * weights[i,o])",
    bindings: &[
        Binding::read("input").or_half(),
        Binding::read("weights").or_half(),
        Binding::read("bias"),
        Binding::write("output").or_half(),
    ],
    constants: Sizes::CONSTANTS,
    lengths: sized!(|c| vec![c.inputs(), c.weights(), c.outs, c.outputs()]),
    twin: twin!(forward),
    cost: sized!(cost),
    tolerance: sized!(|c| Tolerance::sum(c.ins)),
    cases,
    native: &[Native::direct(native::forward)],
    implementations: &[
        implementation!("matrix", MATRIX_NEEDS, |c| by_sixteen(c), split_launch_matrix(c)),
        implementation!("llvmpipe", Needs::SOFTWARE, |c| by_four(c), {
            let tiles = c.batch.div_ceil(32) * c.outs.div_ceil(32);
            split_launch(c, shader!("dense/forward_llvmpipe.wgsl"), 8 * tiles, 128)
        }),
        implementation!("tiled", Needs::HARDWARE, |c| c.ins.is_multiple_of(16) && c.outs.is_multiple_of(64), {
            let blocks = c.batch.div_ceil(64) * c.outs / 64;
            split_among(c, shader!("dense/forward_tiled.wgsl"), blocks, 16)
        }),
        implementation!("split", Needs::NOTHING, |c| by_four(c), {
            let tiles = c.batch.div_ceil(8) * c.outs.div_ceil(8);
            split_launch(c, shader!("dense/forward_split.wgsl"), tiles, 32)
        }),
        direct!(|c| Launch::items(shader!("dense/forward_direct.wgsl"), 4, c.outputs(), 1).iterating(c.ins / 16)),
    ],
};

/// `output_gradient (BATCH x OUT), weights (IN x OUT) -> input_gradient (BATCH x IN)`.
pub static BACKWARD_INPUT: Contract = Contract {
    name: "dense.backward_input",
    formula: "input_gradient[n,i] = sum over o of output_gradient[n,o] * weights[i,o]",
    bindings: &[
        Binding::read("output_gradient").or_half(),
        Binding::read("weights").or_half(),
        Binding::write("input_gradient").or_half(),
    ],
    constants: Sizes::CONSTANTS,
    lengths: sized!(|c| vec![c.outputs(), c.weights(), c.inputs()]),
    twin: twin!(backward_input),
    cost: sized!(cost),
    tolerance: sized!(|c| Tolerance::sum(c.outs)),
    cases,
    native: &[Native::direct(native::backward_input)],
    implementations: &[
        implementation!("matrix", MATRIX_NEEDS, |c| by_sixteen(c), {
            let shader = shader!("dense/backward_input_matrix.wgsl");
            launch_matrix(shader, 3, c.batch.div_ceil(64), c.ins)
        }),
        implementation!("llvmpipe", Needs::SOFTWARE, |c| by_four(c), {
            let tiles = c.batch.div_ceil(32) * c.ins.div_ceil(32);
            Launch::single(shader!("dense/backward_input_llvmpipe.wgsl"), 3, Grid::elements(8 * tiles, 32))
                .iterating(c.outs)
        }),
        implementation!("tiled", Needs::HARDWARE, |c| c.ins.is_multiple_of(64) && c.outs.is_multiple_of(16), {
            let grid = Grid::groups(c.batch.div_ceil(64) * c.ins / 64);
            Launch::single(shader!("dense/backward_input_tiled.wgsl"), 3, grid).iterating(3 * c.outs)
        }),
        implementation!("registers", Needs::NOTHING, |c| by_four(c), {
            let tiles = c.batch.div_ceil(8) * c.ins.div_ceil(8);
            Launch::items(shader!("dense/backward_input_registers.wgsl"), 3, tiles, 1).iterating(c.outs)
        }),
        direct!(|c| Launch::items(shader!("dense/backward_input_direct.wgsl"), 3, c.inputs(), 1).iterating(c.outs)),
    ],
};

/// `input (BATCH x IN), output_gradient (BATCH x OUT) -> weights_gradient (IN x OUT), bias_gradient (OUT)`.
pub static BACKWARD_WEIGHTS: Contract = Contract {
    name: "dense.backward_weights",
    formula: "weights_gradient[i,o] = sum over n of input[n,i] * output_gradient[n,o]",
    bindings: &[
        Binding::read("input").or_half(),
        Binding::read("output_gradient").or_half(),
        Binding::write("weights_gradient"),
        Binding::write("bias_gradient"),
    ],
    constants: Sizes::CONSTANTS,
    lengths: sized!(|c| vec![c.inputs(), c.outputs(), c.weights(), c.outs]),
    twin: twin!(backward_weights),
    cost: sized!(cost),
    tolerance: sized!(|c| Tolerance::sum(c.batch)),
    cases,
    native: &[Native::direct(native::backward_weights)],
    implementations: &[
        implementation!("matrix", MATRIX_NEEDS, |c| by_sixteen(c), {
            let shader = shader!("dense/backward_weights_matrix.wgsl");
            launch_matrix(shader, 4, c.ins.div_ceil(64), c.outs)
        }),
        implementation!("llvmpipe", Needs::SOFTWARE, |c| by_four(c), {
            let tiles = c.ins.div_ceil(32) * c.outs.div_ceil(32);
            Launch::single(shader!("dense/backward_weights_llvmpipe.wgsl"), 4, Grid::elements(8 * tiles, 32))
                .iterating(c.batch)
        }),
        implementation!("registers", Needs::NOTHING, |c| by_four(c), {
            let tiles = c.ins.div_ceil(8) * c.outs.div_ceil(8);
            Launch::items(shader!("dense/backward_weights_registers.wgsl"), 4, tiles, 1).iterating(c.batch)
        }),
        direct!(|c| {
            let threads = c.weights() + c.outs;
            Launch::items(shader!("dense/backward_weights_direct.wgsl"), 4, threads, 1).iterating(c.batch)
        }),
    ],
};

/// Whether rows of inputs and of outputs are whole vec4s.
fn by_four(c: Sizes) -> bool {
    c.ins.is_multiple_of(4) && c.outs.is_multiple_of(4)
}

/// Whether rows of inputs and of outputs are whole tiles of cooperative matrices.
fn by_sixteen(c: Sizes) -> bool {
    c.ins.is_multiple_of(16) && c.outs.is_multiple_of(16)
}

/// 64 staged rows of 72 f16, and f32 sums of 64 x 16 for each of at most four subgroups of at most 64 threads.
const MATRIX_NEEDS: Needs = Needs { workgroup_bytes: 64 * 144 + 16 * 1024, invocations: 256, ..Needs::MATRIX };

/// A workgroup for each of `blocks` of 64 rows x 16 to 64 of the `columns`.
fn launch_matrix(shader: Shader, bindings: usize, blocks: usize, columns: usize) -> Launch {
    let across = subgroups_across(columns, 16);
    let extra = Constants::sizes(&[("ACROSS", across), ("WORDS", 4 * across)]);
    Launch { extra, ..Launch::single(shader, bindings, Grid::groups(blocks * columns / (16 * across))) }
}

/// As [`split_launch`] on cooperative matrices.
fn split_launch_matrix(c: Sizes) -> Launch {
    let across = subgroups_across(c.outs, 16);
    let blocks = c.batch.div_ceil(64) * c.outs / (16 * across);
    let mut launch = split_among(c, shader!("dense/forward_matrix.wgsl"), blocks, 64);
    launch.extra = launch.extra.with("ACROSS", across as f64);
    launch
}

/// As [`split_launch`] with a workgroup for each of the `blocks`: runs of a multiple of `step` inputs, and [`SUM_WORKGROUPS`].
fn split_among(c: Sizes, shader: Shader, blocks: usize, step: usize) -> Launch {
    let run = c.ins.div_ceil((SUM_WORKGROUPS / blocks).max(1)).next_multiple_of(step).min(LOOP_ITERATIONS);
    launch_runs(c, shader, run, |runs| Grid::groups(runs * blocks))
}

/// Two dispatches: `shader` sums products over each run of inputs with `threads` threads, then the runs' ordered sum. The
/// number of runs follows from the shapes alone (about 2^14 threads, runs of at least `shortest` inputs, none too long for
/// a loop), so results do not depend on the device.
fn split_launch(c: Sizes, shader: Shader, threads: usize, shortest: usize) -> Launch {
    let inputs = c.ins;
    let wanted = (16_384 / threads).min(inputs / shortest).max(1);
    let run = (inputs / 4).div_ceil(wanted).min(LOOP_ITERATIONS) * 4;
    launch_runs(c, shader, run, |runs| Grid::elements(runs * threads, 64))
}

/// Runs of `run` inputs, summed by `shader` in a grid that follows from their number, then added in order.
fn launch_runs(c: Sizes, shader: Shader, run: usize, grid: impl Fn(usize) -> Grid) -> Launch {
    let splits = c.ins.div_ceil(run);
    let sum_runs = Stage { shader, bindings: vec![0, 1, 4], grid: grid(splits), lanes: 1 };
    let add_runs = Stage {
        shader: shader!("dense/forward_split_sum.wgsl"),
        bindings: vec![2, 3, 4],
        grid: Grid::elements(c.outputs() / 4, 64),
        lanes: 1,
    };
    Launch {
        extra: Constants::sizes(&[("SPLITS", splits), ("SPLIT_INS", run)]),
        stages: vec![sum_runs, add_runs],
        scratch: splits * c.outputs(),
        iterations: 0,
    }
}

/// Every direction multiplies each image with each weight once.
fn cost(c: Sizes) -> Cost {
    let flops = 2.0 * (c.batch * c.weights()) as f64;
    Cost { flops, bytes: 4.0 * (c.inputs() + c.weights() + c.outs + c.outputs()) as f64 }
}

/// Cases: sizes around the tiles of 8, batches 1 to 512, each direction beyond 65535 workgroups, real layers.
fn cases() -> Vec<Case> {
    let layer = |name, batch, ins, outs| Case::new(name, Sizes::new(batch, ins, outs));
    let mut cases = vec![
        layer("smallest", 1, 1, 1),
        layer("odd", 3, 7, 5),
        layer("one image", 1, 260, 36),
        layer("a tile", 8, 8, 8),
        layer("less than a tile", 7, 4, 4),
        layer("around a tile", 9, 12, 20),
        layer("last layer", 50, 128, 10),
        layer("batch 512", 512, 36, 24),
        layer("48 inputs and outputs, batch 17", 17, 48, 48),
        layer("more than 64 images and inputs", 65, 80, 32),
        layer("two runs of many images", 130, 1040, 640),
        layer("more images and inputs than a tile", 70, 192, 64),
        layer("beyond 65535 workgroups forward", 512, 4, 8200),
        layer("beyond 65535 workgroups of inputs", 512, 8200, 4),
        layer("beyond 65535 workgroups of weights", 1, 2052, 2052),
        layer("more inputs than iterations of a loop", 2, 70_001, 3),
        layer("more inputs than iterations, tiled", 1, 70_000, 4),
        layer("dense1 64 px", 8, 2048, 256).timed(),
        layer("dense1 64 px, batch 50", 50, 2048, 256).timed(),
        layer("dense1 256 px", 50, 32_768, 256).timed(),
        layer("dense2", 50, 256, 128).timed(),
    ];
    for (name, case) in [("no bias, relu", 1), ("no bias, relu, tiled", 5), ("no bias, relu, by 16", 8)] {
        let sizes = Sizes::from(&cases[case].constants);
        cases.push(Case::new(name, Sizes { bias: false, relu: true, ..sizes }));
    }
    cases.push(Case::new("bias, relu", Sizes { relu: true, ..Sizes::new(9, 12, 20) }));
    cases
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::Implementation;

    #[test]
    fn runs_cover_the_inputs() {
        let sizes = cases().into_iter().map(|case| Sizes::from(&case.constants));
        for sizes in sizes.chain([Sizes::new(4096, 800_000, 4096)]).filter(|&sizes| by_four(sizes)) {
            let c = Constants::from(sizes);
            let split = |i: &&Implementation| i.name != "direct" && (i.accepts)(&c);
            for implementation in FORWARD.implementations.iter().filter(split) {
                let extra = (implementation.launch)(&c).extra;
                let (splits, run, ins) = (extra.size("SPLITS"), extra.size("SPLIT_INS"), sizes.ins);
                assert!(run <= 4 * LOOP_ITERATIONS, "{} {c}", implementation.name);
                assert!(run.is_multiple_of(4) && splits * run >= ins && (splits - 1) * run < ins, "{c}");
            }
        }
    }
}
