//! What layers with a kernel and a bias share.

use super::{Block, Done, Initialiser, Node, Parameter};
use crate::graph::{Builder, TensorId};
use crate::kernels::{Constants, Contract, Element, relu};

/// Their places among a layer's parameters.
const KERNEL: usize = 0;
const BIAS: usize = 1;

/// Kernel, whose last two sizes are inputs and outputs, and bias.
pub fn parameters(kernel: &[usize], bias: bool) -> Vec<Parameter> {
    let [window @ .., inputs, outputs] = kernel else { return Vec::new() };
    let window: usize = window.iter().product();
    let initialiser = Initialiser::GlorotUniform { fan_in: window * inputs, fan_out: window * outputs };
    let mut parameters = vec![Parameter::trainable("kernel", kernel, initialiser)];
    parameters.extend(bias.then(|| Parameter::trainable("bias", &[*outputs], Initialiser::Zeros)));
    parameters
}

/// `input, kernel, bias -> output`, and what else the contract writes.
pub fn forward(
    contract: &'static Contract,
    block: &Block,
    sizes: impl Into<Constants> + Copy,
    [input, output]: [TensorId; 2],
    more: &[TensorId],
    builder: &mut Builder,
) {
    let node = block.first();
    let kernel = builder.factor(node.first_parameter + KERNEL);
    let bias = bias(node, builder, |builder, number| Some(builder.values(number)));
    builder.call(contract, &node.name, sizes, &[&[input, kernel, bias, output], more].concat());
}

/// `input, output gradient -> kernel gradient, bias gradient`, then `output gradient, kernel -> input gradient` where that is wanted.
/// `output` is the output's gradient, or what it is expanded from.
pub fn backward(
    [weights, inputs]: [&'static Contract; 2],
    done: &Done,
    sizes: impl Into<Constants> + Copy,
    output: &[TensorId],
    input_gradient: Option<TensorId>,
    builder: &mut Builder,
) {
    let node = done.block.first();
    if let Some(kernel) = builder.gradient(node.first_parameter + KERNEL) {
        let bias = bias(node, builder, Builder::gradient);
        let tensors = [&[done.inputs[0]], output, &[kernel, bias]].concat();
        builder.call(weights, &node.name, sizes, &tensors);
    }
    if let Some(gradient) = input_gradient {
        let kernel = builder.factor(node.first_parameter + KERNEL);
        builder.call(inputs, &node.name, sizes, &[output, &[kernel, gradient]].concat());
    }
}

/// A tensor of the bias; a layer without one gets a stand-in that nothing reads.
fn bias(node: &Node, builder: &mut Builder, of: fn(&Builder, usize) -> Option<TensorId>) -> TensorId {
    let own = (node.parameters.len() > BIAS).then(|| of(builder, node.first_parameter + BIAS)).flatten();
    let name = format!("{}.no_bias.{}", node.name, builder.calls.len());
    own.unwrap_or_else(|| builder.transient(&name, Element::F32, node.channels()))
}

/// The gradient before a relu that the block's first kernel has computed.
pub fn before_relu(done: &Done, gradient: TensorId, builder: &mut Builder) -> TensorId {
    let relu = &done.block.nodes[1];
    let before = builder.activation(&format!("{}.input_gradient", relu.name), relu.output.elements());
    let sizes = relu::Sizes { elements: builder.batch * relu.output.elements() };
    builder.call(&relu::BACKWARD, &relu.name, sizes, &[done.output.tensor, gradient, before]);
    before
}
