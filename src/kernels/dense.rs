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

use super::{
    Args, Binding, Case, Constants, Contract, Cost, Grid, Implementation, LOOP_ITERATIONS, Launch, Needs, Real,
    SUM_WORKGROUPS, Shader, Stage, Tolerance, subgroups_across, twin::add_scaled,
};
use crate::{shader, twin};
use rayon::prelude::*;

const CONSTANTS: &[&str] = &["BATCH", "IN", "OUT", "BIAS", "RELU"];

/// Constants of a layer with bias and without relu.
pub fn constants(batch: usize, inputs: usize, outputs: usize) -> Constants {
    Constants::sizes(&[("BATCH", batch), ("IN", inputs), ("OUT", outputs), ("BIAS", 1), ("RELU", 0)])
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
    constants: CONSTANTS,
    lengths: |c| vec![inputs(c), weights(c), c.size("OUT"), outputs(c)],
    twin: twin!(forward),
    cost,
    tolerance: |c| Tolerance::sum(c.size("IN")),
    cases,
    implementations: &[
        Implementation { name: "matrix", needs: MATRIX_NEEDS, accepts: by_sixteen, launch: split_launch_matrix },
        Implementation {
            name: "wide",
            needs: Needs::SOFTWARE,
            accepts: by_four,
            launch: |c| {
                let tiles = c.size("BATCH").div_ceil(32) * c.size("OUT").div_ceil(32);
                split_launch(c, shader!("dense/forward_wide.wgsl"), 8 * tiles, 128)
            },
        },
        Implementation {
            name: "split",
            needs: Needs::NOTHING,
            accepts: by_four,
            launch: |c| {
                let tiles = c.size("BATCH").div_ceil(8) * c.size("OUT").div_ceil(8);
                split_launch(c, shader!("dense/forward_split.wgsl"), tiles, 32)
            },
        },
        Implementation::direct(|c| {
            Launch::single(shader!("dense/forward_direct.wgsl"), 4, Grid::elements(outputs(c), 64))
                .iterating(c.size("IN") / 16)
        }),
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
    constants: CONSTANTS,
    lengths: |c| vec![outputs(c), weights(c), inputs(c)],
    twin: twin!(backward_input),
    cost,
    tolerance: |c| Tolerance::sum(c.size("OUT")),
    cases,
    implementations: &[
        Implementation {
            name: "matrix",
            needs: MATRIX_NEEDS,
            accepts: by_sixteen,
            launch: |c| {
                let shader = shader!("dense/backward_input_matrix.wgsl");
                launch_matrix(shader, 3, c.size("BATCH").div_ceil(64), c.size("IN"))
            },
        },
        Implementation {
            name: "wide",
            needs: Needs::SOFTWARE,
            accepts: by_four,
            launch: |c| {
                let tiles = c.size("BATCH").div_ceil(32) * c.size("IN").div_ceil(32);
                Launch::single(shader!("dense/backward_input_wide.wgsl"), 3, Grid::elements(8 * tiles, 32))
                    .iterating(c.size("OUT"))
            },
        },
        Implementation {
            name: "registers",
            needs: Needs::NOTHING,
            accepts: by_four,
            launch: |c| {
                let tiles = c.size("BATCH").div_ceil(8) * c.size("IN").div_ceil(8);
                Launch::single(shader!("dense/backward_input_registers.wgsl"), 3, Grid::elements(tiles, 64))
                    .iterating(c.size("OUT"))
            },
        },
        Implementation::direct(|c| {
            Launch::single(shader!("dense/backward_input_direct.wgsl"), 3, Grid::elements(inputs(c), 64))
                .iterating(c.size("OUT"))
        }),
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
    constants: CONSTANTS,
    lengths: |c| vec![inputs(c), outputs(c), weights(c), c.size("OUT")],
    twin: twin!(backward_weights),
    cost,
    tolerance: |c| Tolerance::sum(c.size("BATCH")),
    cases,
    implementations: &[
        Implementation {
            name: "matrix",
            needs: MATRIX_NEEDS,
            accepts: by_sixteen,
            launch: |c| {
                let shader = shader!("dense/backward_weights_matrix.wgsl");
                launch_matrix(shader, 4, c.size("IN").div_ceil(64), c.size("OUT"))
            },
        },
        Implementation {
            name: "wide",
            needs: Needs::SOFTWARE,
            accepts: by_four,
            launch: |c| {
                let tiles = c.size("IN").div_ceil(32) * c.size("OUT").div_ceil(32);
                Launch::single(shader!("dense/backward_weights_wide.wgsl"), 4, Grid::elements(8 * tiles, 32))
                    .iterating(c.size("BATCH"))
            },
        },
        Implementation {
            name: "registers",
            needs: Needs::NOTHING,
            accepts: by_four,
            launch: |c| {
                let tiles = c.size("IN").div_ceil(8) * c.size("OUT").div_ceil(8);
                Launch::single(shader!("dense/backward_weights_registers.wgsl"), 4, Grid::elements(tiles, 64))
                    .iterating(c.size("BATCH"))
            },
        },
        Implementation::direct(|c| {
            let threads = weights(c) + c.size("OUT");
            Launch::single(shader!("dense/backward_weights_direct.wgsl"), 4, Grid::elements(threads, 64))
                .iterating(c.size("BATCH"))
        }),
    ],
};

/// Whether rows of inputs and of outputs are whole vec4s.
fn by_four(c: &Constants) -> bool {
    c.size("IN").is_multiple_of(4) && c.size("OUT").is_multiple_of(4)
}

/// Whether rows of inputs and of outputs are whole tiles of cooperative matrices.
fn by_sixteen(c: &Constants) -> bool {
    c.size("IN").is_multiple_of(16) && c.size("OUT").is_multiple_of(16)
}

/// 64 staged rows of 72 f16, and f32 sums of 64 x 16 for each of at most four subgroups of at most 64 threads.
const MATRIX_NEEDS: Needs = Needs { workgroup_bytes: 64 * 144 + 16 * 1024, invocations: 256, ..Needs::MATRIX };

/// A workgroup for each of `blocks` of 64 rows x 16 to 64 of the `columns`.
fn launch_matrix(shader: Shader, bindings: usize, blocks: usize, columns: usize) -> Launch {
    let across = subgroups_across(columns, 16);
    let extra = Constants::sizes(&[("ACROSS", across), ("WORDS", 4 * across)]);
    Launch { extra, ..Launch::single(shader, bindings, Grid::groups(blocks * columns / (16 * across))) }
}

/// As [`split_launch`] on cooperative matrices: runs of a multiple of 64 inputs, and [`SUM_WORKGROUPS`].
fn split_launch_matrix(c: &Constants) -> Launch {
    let across = subgroups_across(c.size("OUT"), 16);
    let blocks = c.size("BATCH").div_ceil(64) * c.size("OUT") / (16 * across);
    let run = c.size("IN").div_ceil((SUM_WORKGROUPS / blocks).max(1)).next_multiple_of(64).min(LOOP_ITERATIONS);
    let mut launch = launch_runs(c, shader!("dense/forward_matrix.wgsl"), run, |runs| Grid::groups(runs * blocks));
    launch.extra = launch.extra.with("ACROSS", across as f64);
    launch
}

/// Two dispatches: `shader` sums products over each run of inputs with `threads` threads, then the runs' ordered sum. The
/// number of runs follows from the shapes alone (about 2^14 threads, runs of at least `shortest` inputs, none too long for
/// a loop), so results do not depend on the device.
fn split_launch(c: &Constants, shader: Shader, threads: usize, shortest: usize) -> Launch {
    let inputs = c.size("IN");
    let wanted = (16_384 / threads).min(inputs / shortest).max(1);
    let run = (inputs / 4).div_ceil(wanted).min(LOOP_ITERATIONS) * 4;
    launch_runs(c, shader, run, |runs| Grid::elements(runs * threads, 64))
}

/// Runs of `run` inputs, summed by `shader` in a grid that follows from their number, then added in order.
fn launch_runs(c: &Constants, shader: Shader, run: usize, grid: impl Fn(usize) -> Grid) -> Launch {
    let splits = c.size("IN").div_ceil(run);
    let sum_runs = Stage { shader, bindings: vec![0, 1, 4], grid: grid(splits) };
    let add_runs = Stage {
        shader: shader!("dense/forward_split_sum.wgsl"),
        bindings: vec![2, 3, 4],
        grid: Grid::elements(outputs(c) / 4, 64),
    };
    Launch {
        extra: Constants::sizes(&[("SPLITS", splits), ("SPLIT_INS", run)]),
        stages: vec![sum_runs, add_runs],
        scratch: splits * outputs(c),
        iterations: 0,
    }
}

fn inputs(c: &Constants) -> usize {
    c.product(&["BATCH", "IN"])
}

fn weights(c: &Constants) -> usize {
    c.product(&["IN", "OUT"])
}

fn outputs(c: &Constants) -> usize {
    c.product(&["BATCH", "OUT"])
}

/// Every direction multiplies each image with each weight once.
fn cost(c: &Constants) -> Cost {
    let flops = 2.0 * (c.size("BATCH") * weights(c)) as f64;
    Cost { flops, bytes: 4.0 * (inputs(c) + weights(c) + c.size("OUT") + outputs(c)) as f64 }
}

/// Twin of `dense.forward`; images spread over the cores.
pub fn forward<T: Real>(mut args: Args<T>) {
    let c = args.constants;
    let (input, weights, bias) = (args.floats(0), args.floats(1), args.floats(2));
    let (ins, outs) = (c.size("IN"), c.size("OUT"));
    args.floats_out(0).par_chunks_mut(outs).zip(input.par_chunks(ins)).for_each(|(output, input)| {
        output.fill(T::zero());
        for (&x, weights) in input.iter().zip(weights.chunks(outs)) {
            add_scaled(output, weights, x);
        }
        if c.switch("BIAS") {
            add_scaled(output, bias, T::one());
        }
        if c.switch("RELU") {
            output.iter_mut().filter(|y| **y < T::zero()).for_each(|y| *y = T::zero());
        }
    });
}

/// Twin of `dense.backward_input`; images spread over the cores.
pub fn backward_input<T: Real>(mut args: Args<T>) {
    let (output_gradient, weights) = (args.floats(0), args.floats(1));
    let (ins, outs) = (args.constants.size("IN"), args.constants.size("OUT"));
    let rows = args.floats_out(0).par_chunks_mut(ins).zip(output_gradient.par_chunks(outs));
    rows.for_each(|(input_gradient, output_gradient)| {
        for (sum, weights) in input_gradient.iter_mut().zip(weights.chunks(outs)) {
            *sum = output_gradient.iter().zip(weights).map(|(&dy, &w)| dy * w).sum();
        }
    });
}

/// Twin of `dense.backward_weights`; inputs spread over the cores.
pub fn backward_weights<T: Real>(mut args: Args<T>) {
    let c = args.constants;
    let (input, output_gradient) = (args.floats(0), args.floats(1));
    let (ins, outs) = (c.size("IN"), c.size("OUT"));
    args.floats_out(0).par_chunks_mut(outs).enumerate().for_each(|(i, sums)| {
        sums.fill(T::zero());
        for (input, output_gradient) in input.chunks(ins).zip(output_gradient.chunks(outs)) {
            add_scaled(sums, output_gradient, input[i]);
        }
    });
    let bias_gradient = args.floats_out(1);
    bias_gradient.fill(T::zero());
    if c.switch("BIAS") {
        output_gradient.chunks(outs).for_each(|row| add_scaled(bias_gradient, row, T::one()));
    }
}

/// Cases: sizes around the tiles of 8, batches 1 to 512, each direction beyond 65535 workgroups, real layers.
fn cases() -> Vec<Case> {
    let layer = |name, batch, ins, outs| Case::new(name, constants(batch, ins, outs));
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
        let switched = cases[case].constants.clone().with("BIAS", 0.0).with("RELU", 1.0);
        cases.push(Case::new(name, switched));
    }
    cases.push(Case::new("bias, relu", constants(9, 12, 20).with("RELU", 1.0)));
    cases
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::{StepParams, View, ViewMut};

    /// Runs a twin on floats; returns its outputs, of the given lengths.
    fn run(twin: fn(Args<f64>), c: &Constants, reads: &[&[f64]], lengths: &[usize]) -> Vec<Vec<f64>> {
        let mut outputs: Vec<Vec<f64>> = lengths.iter().map(|&n| vec![f64::NAN; n]).collect();
        let writes = outputs.iter_mut().map(|o| Some(ViewMut::Float(&mut o[..]))).collect();
        let reads = reads.iter().map(|r| View::Float(r)).collect();
        twin(Args { constants: c, step: &StepParams::default(), reads, writes });
        outputs
    }

    const X: &[f64] = &[1.0, 2.0, 3.0, -1.0, 0.0, 2.0];
    const W: &[f64] = &[1.0, -1.0, 0.5, 2.0, -2.0, 1.0];
    const DY: &[f64] = &[1.0, 2.0, -1.0, 3.0];

    #[test]
    fn two_images_by_hand() {
        let c = constants(2, 3, 2);
        let output = run(forward, &c, &[X, W, &[0.25, -10.0]], &[4]);
        assert_eq!(output[0], [-3.75, -4.0, -4.75, -7.0]);
        let gradient = run(backward_input, &c, &[DY, W], &[6]);
        assert_eq!(gradient[0], [-1.0, 4.5, 0.0, -4.0, 5.5, 5.0]);
        let gradient = run(backward_weights, &c, &[X, DY], &[6, 2]);
        assert_eq!(gradient, [vec![2.0, -1.0, 2.0, 4.0, 1.0, 12.0], vec![0.0, 5.0]]);
    }

    #[test]
    fn switches_are_obeyed() {
        let c = constants(2, 3, 2).with("BIAS", 0.0).with("RELU", 1.0);
        assert_eq!(run(forward, &c, &[X, W, &[9.0, 9.0]], &[4])[0], [0.0, 6.0, 0.0, 3.0]);
        assert_eq!(run(backward_weights, &c, &[X, DY], &[6, 2])[1], [0.0, 0.0]);
    }

    #[test]
    fn runs_cover_the_inputs() {
        let sizes = cases().into_iter().map(|case| case.constants).chain([constants(4096, 800_000, 4096)]);
        for c in sizes.filter(by_four) {
            let split = |i: &&Implementation| i.name != "direct" && (i.accepts)(&c);
            for implementation in FORWARD.implementations.iter().filter(split) {
                let extra = (implementation.launch)(&c).extra;
                let (splits, run, ins) = (extra.size("SPLITS"), extra.size("SPLIT_INS"), c.size("IN"));
                assert!(run <= 4 * LOOP_ITERATIONS, "{} {c}", implementation.name);
                assert!(run.is_multiple_of(4) && splits * run >= ins && (splits - 1) * run < ins, "{c}");
            }
        }
    }
}
