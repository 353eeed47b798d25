//! The convolution on the CPU; formulas and constants are in the folder's `mod.rs`, what was tried in `NOTES.md`.

mod backward_input;
mod backward_weights;
mod forward;
mod shape;
mod winograd;
mod winograd_weights;

use super::Sizes;
use crate::kernels::tile::pack;
use crate::kernels::winograd::ROUNDING;
use crate::kernels::{Args, Native};
use crate::simd::InstructionSet;
use forward::Sweep;
use shape::Shape;

/// Native `conv2d.forward`.
pub const FORWARD: &[Native] = &[winograd(winograd::forward), Native::direct(forward)];

/// Native `conv2d.backward_input`.
pub const BACKWARD_INPUT: &[Native] = &[winograd(winograd::backward_input), Native::direct(backward_input)];

/// Native `conv2d.backward_weights`.
pub const BACKWARD_WEIGHTS: &[Native] = &[
    Native {
        name: "winograd",
        accepts: |constants| winograd::accepts(constants.into()),
        rounding: winograd_weights::ROUNDING,
        run: winograd_weights,
    },
    Native::direct(backward_weights),
];

const fn winograd(run: fn(Args<f32>, InstructionSet)) -> Native {
    Native { name: "winograd", accepts: |constants| winograd::accepts(constants.into()), rounding: ROUNDING, run }
}

fn forward(mut args: Args<f32>, set: InstructionSet) {
    let c = Sizes::from(args.constants);
    let shape = Shape::from(c).flattened(c.batch);
    let weights = pack(args.floats(1), c.out_c);
    let bias = if c.bias { pack(args.floats(2), c.out_c) } else { Sweep::no_bias(shape) };
    Sweep { c: shape, input: args.floats(0), weights, bias, relu: c.relu, set }.all(args.floats_out(0));
}

fn backward_input(mut args: Args<f32>, set: InstructionSet) {
    let shape = Shape::from(Sizes::from(args.constants));
    backward_input::backward_input(shape, args.floats(0), args.floats(1), args.floats_out(0), set);
}

fn winograd_weights(mut args: Args<f32>, set: InstructionSet) {
    let c = Sizes::from(args.constants);
    bias_gradient(c, &mut args);
    winograd_weights::backward_weights(c, args.floats(0), args.floats(1), args.floats_out(0), set);
}

fn backward_weights(mut args: Args<f32>, set: InstructionSet) {
    let c = Sizes::from(args.constants);
    let shape = Shape::from(c).flattened(c.batch);
    bias_gradient(c, &mut args);
    backward_weights::backward_weights(shape, args.floats(0), args.floats(1), args.floats_out(0), set);
}

fn bias_gradient(c: Sizes, args: &mut Args<f32>) {
    let to = args.floats_out(1);
    if c.bias {
        backward_weights::bias(args.floats(1), to);
    } else {
        to.fill(0.0);
    }
}
