//! The fused block on the CPU; formulas and constants are in the folder's `mod.rs`, what was tried in `NOTES.md`.

mod backward_input;
mod backward_weights;
mod forward;
mod shape;

use super::Sizes;
use crate::kernels::Args;
use crate::simd::InstructionSet;
use shape::Shape;

/// Native `conv_block.forward`.
pub fn forward(mut args: Args<f32>, set: InstructionSet) {
    let shape = Shape::from(Sizes::from(args.constants));
    let (pooled, argmax) = (args.floats_out(0), args.indices_out(1));
    let inputs = [args.floats(0), args.floats(1), args.floats(2)];
    forward::forward(shape, inputs, pooled, bytemuck::cast_slice_mut(argmax), set);
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
