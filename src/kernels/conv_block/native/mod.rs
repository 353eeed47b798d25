//! The fused block on the CPU; formulas and constants are in the folder's `mod.rs`, what was tried in `NOTES.md`.

mod backward_input;
mod backward_weights;
mod forward;
mod pictures;
mod shape;
mod winograd;

use super::Sizes;
use crate::kernels::{Args, Native};
use crate::simd::InstructionSet;
use shape::Shape;

/// Native `conv_block.forward`.
pub const FORWARD: &[Native] = &[
    Native {
        name: "winograd",
        accepts: |constants| winograd::accepts(Sizes::from(constants).into()),
        rounding: crate::kernels::winograd::ROUNDING,
        run: |args, set| forward(args, set, winograd::forward),
    },
    Native::direct(|args, set| forward(args, set, forward::forward)),
];

/// A forward pass: its shape, input, weights, bias, and what it writes.
type Forward = fn(Shape, [&[f32]; 3], &mut [f32], &mut [u8], InstructionSet);

fn forward(mut args: Args<f32>, set: InstructionSet, compute: Forward) {
    let shape = Shape::from(Sizes::from(args.constants));
    let (pooled, argmax) = (args.floats_out(0), args.indices_out(1));
    let inputs = [args.floats(0), args.floats(1), args.floats(2)];
    compute(shape, inputs, pooled, bytemuck::cast_slice_mut(argmax), set);
}

/// Native `conv_block.backward_input`.
pub fn backward_input(mut args: Args<f32>, set: InstructionSet) {
    let shape = Shape::from(Sizes::from(args.constants));
    let codes = bytemuck::cast_slice(args.indices(1));
    backward_input::backward_input(shape, args.floats(0), codes, args.floats(2), args.floats_out(0), set);
}

/// Native `conv_block.backward_weights`.
pub fn backward_weights(mut args: Args<f32>, set: InstructionSet) {
    let shape = Shape::from(Sizes::from(args.constants));
    let gradients = [args.floats_out(0), args.floats_out(1)];
    let codes = bytemuck::cast_slice(args.indices(2));
    backward_weights::backward_weights(shape, args.floats(0), args.floats(1), codes, gradients, set);
}
