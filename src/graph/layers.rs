//! Blocks become calls: each kind's forward calls and, right beneath, its backward calls.

use super::lowering::Lowering;
use super::{Block, Graph, Program, TensorId, TrainableTensor};
use crate::error::{Error, Result};
use crate::kernels::{Constants, Contract, Element, conv_block, conv2d, dense, dropout, maxpool2d, relu};
use crate::model::{Layer, Node};
use crate::shape::Window;

/// A block after its forward calls: what its backward calls need.
pub(super) struct Done<'a> {
    pub block: Block,
    pub nodes: &'a [Node],
    pub input: TensorId,
    pub output: TensorId,
    /// Winner codes of a fused block.
    pub argmax: Option<TensorId>,
}

/// Gradients around a block: of its output, and of its input where that is wanted.
#[derive(Clone, Copy)]
struct Gradients {
    output: TensorId,
    input: Option<TensorId>,
}

impl<'a> Lowering<'a> {
    /// Forward calls of a block. Flatten has none, and dropout none in inference.
    pub(super) fn block_forward(&mut self, block: Block, nodes: &'a [Node], input: TensorId) -> Result<Done<'a>> {
        let mut done = Done { block, nodes, input, output: input, argmax: None };
        if done.block == Block::Flatten || (done.block == Block::Dropout && self.program == Program::Infer) {
            return Ok(done);
        }
        let elements = nodes.last().map_or(0, |node| node.output.elements());
        done.output = self.transient(&format!("{}.output", nodes[0].name), self.batch * elements);
        match done.block {
            Block::Conv2d { relu } => self.conv2d_forward(&done, relu)?,
            Block::ConvBlock => done.argmax = Some(self.conv_block_forward(&done)?),
            Block::Dense { relu } => self.dense_forward(&done, relu),
            Block::MaxPool2d => self.maxpool2d_forward(&done)?,
            Block::Relu => self.relu_forward(&done),
            Block::Dropout => self.dropout_forward(&done),
            Block::Flatten => {}
        }
        Ok(done)
    }

    /// Backward calls of a block. Returns the gradient of its input (of its output, where the input's is not wanted).
    pub(super) fn block_backward(&mut self, done: &Done, output: TensorId, input_wanted: bool) -> Result<TensorId> {
        // no call: flatten, and dropout in a program that does not train
        if done.output == done.input {
            return Ok(output);
        }
        let node = &done.nodes[0];
        let elements = self.batch * node.input.elements();
        let input = input_wanted.then(|| self.transient(&format!("{}.input_gradient", node.name), elements));
        let gradients = Gradients { output, input };
        match done.block {
            Block::Conv2d { relu } => self.conv2d_backward(done, gradients, relu)?,
            Block::ConvBlock => self.conv_block_backward(done, gradients)?,
            Block::Dense { relu } => self.dense_backward(done, gradients, relu),
            Block::MaxPool2d => self.maxpool2d_backward(done, gradients)?,
            Block::Relu => self.relu_backward(done, gradients),
            Block::Dropout => self.dropout_backward(done, gradients),
            Block::Flatten => {}
        }
        Ok(input.unwrap_or(output))
    }

    fn conv2d_forward(&mut self, done: &Done, relu: bool) -> Result<()> {
        let constants = self.conv2d(&done.nodes[0])?.with("RELU", switch(relu));
        self.weighted_forward(&conv2d::FORWARD, done, constants, &[]);
        Ok(())
    }

    fn conv2d_backward(&mut self, done: &Done, gradients: Gradients, relu: bool) -> Result<()> {
        let constants = self.conv2d(&done.nodes[0])?;
        let output = if relu { self.epilogue_backward(done, gradients.output) } else { gradients.output };
        self.weighted_backward(
            [&conv2d::BACKWARD_WEIGHTS, &conv2d::BACKWARD_INPUT],
            done,
            constants,
            &[output],
            gradients.input,
        );
        Ok(())
    }

    /// Returns the argmax codes.
    fn conv_block_forward(&mut self, done: &Done) -> Result<TensorId> {
        let constants = self.conv_block(done.nodes)?;
        let words = constants.product(&["BATCH", "POOL_H", "POOL_W", "WORDS"]);
        let argmax = self.transient_of(&format!("{}.argmax", done.nodes[0].name), Element::U32, words);
        self.weighted_forward(&conv_block::FORWARD, done, constants, &[argmax]);
        Ok(argmax)
    }

    fn conv_block_backward(&mut self, done: &Done, gradients: Gradients) -> Result<()> {
        let constants = self.conv_block(done.nodes)?;
        let expanded: Vec<TensorId> = [gradients.output].into_iter().chain(done.argmax).collect();
        self.weighted_backward(
            [&conv_block::BACKWARD_WEIGHTS, &conv_block::BACKWARD_INPUT],
            done,
            constants,
            &expanded,
            gradients.input,
        );
        Ok(())
    }

    fn dense_forward(&mut self, done: &Done, relu: bool) {
        let constants = self.dense(&done.nodes[0]).with("RELU", switch(relu));
        self.weighted_forward(&dense::FORWARD, done, constants, &[]);
    }

    fn dense_backward(&mut self, done: &Done, gradients: Gradients, relu: bool) {
        let constants = self.dense(&done.nodes[0]);
        let output = if relu { self.epilogue_backward(done, gradients.output) } else { gradients.output };
        self.weighted_backward(
            [&dense::BACKWARD_WEIGHTS, &dense::BACKWARD_INPUT],
            done,
            constants,
            &[output],
            gradients.input,
        );
    }

    fn maxpool2d_forward(&mut self, done: &Done) -> Result<()> {
        let constants = self.maxpool2d(&done.nodes[0])?;
        self.call(&maxpool2d::FORWARD, &done.nodes[0].name, constants, &[done.input, done.output]);
        Ok(())
    }

    fn maxpool2d_backward(&mut self, done: &Done, gradients: Gradients) -> Result<()> {
        let constants = self.maxpool2d(&done.nodes[0])?;
        self.unweighted_backward(&maxpool2d::BACKWARD, done, constants, &[done.input, gradients.output], gradients);
        Ok(())
    }

    fn relu_forward(&mut self, done: &Done) {
        let constants = relu::constants(self.batch * done.nodes[0].output.elements());
        self.call(&relu::FORWARD, &done.nodes[0].name, constants, &[done.input, done.output]);
    }

    fn relu_backward(&mut self, done: &Done, gradients: Gradients) {
        let constants = relu::constants(self.batch * done.nodes[0].output.elements());
        self.unweighted_backward(&relu::BACKWARD, done, constants, &[done.output, gradients.output], gradients);
    }

    /// The gradient before a relu that stands in a kernel's epilogue.
    fn epilogue_backward(&mut self, done: &Done, gradient: TensorId) -> TensorId {
        let relu = &done.nodes[1];
        let elements = self.batch * relu.output.elements();
        let before = self.transient(&format!("{}.input_gradient", relu.name), elements);
        self.call(&relu::BACKWARD, &relu.name, relu::constants(elements), &[done.output, gradient, before]);
        before
    }

    fn dropout_forward(&mut self, done: &Done) {
        let constants = self.dropout(&done.nodes[0]);
        self.call(&dropout::FORWARD, &done.nodes[0].name, constants, &[done.input, done.output]);
    }

    fn dropout_backward(&mut self, done: &Done, gradients: Gradients) {
        let constants = self.dropout(&done.nodes[0]);
        self.unweighted_backward(&dropout::BACKWARD, done, constants, &[gradients.output], gradients);
    }

    /// `input, kernel, bias -> output`, and what else the operation writes.
    fn weighted_forward(&mut self, contract: &'static Contract, done: &Done, constants: Constants, more: &[TensorId]) {
        let node = &done.nodes[0];
        let [kernel, bias] =
            self.kernel_and_bias(node, if self.program == Program::Infer { averaged } else { trained });
        let kernel = self.kernel(node).unwrap_or(kernel);
        let tensors = [&[done.input, kernel, bias, done.output], more].concat();
        self.call(contract, &node.name, constants, &tensors);
    }

    /// `input, output gradient -> kernel gradient, bias gradient`, then `output gradient, kernel -> input gradient`.
    fn weighted_backward(
        &mut self,
        [backward_weights, backward_input]: [&'static Contract; 2],
        done: &Done,
        constants: Constants,
        output: &[TensorId],
        input: Option<TensorId>,
    ) {
        let node = &done.nodes[0];
        if self.weights_wanted {
            let gradients = self.kernel_and_bias(node, |parameter| parameter.gradient);
            let tensors = [&[done.input], output, &gradients].concat();
            self.call(backward_weights, &node.name, constants.clone(), &tensors);
        }
        if let (Some(input), Some(kernel)) = (input, self.kernel(node)) {
            let tensors = [output, &[kernel, input]].concat();
            self.call(backward_input, &node.name, constants, &tensors);
        }
    }

    /// A block without parameters has work only where its input's gradient is wanted.
    fn unweighted_backward(
        &mut self,
        contract: &'static Contract,
        done: &Done,
        constants: Constants,
        reads: &[TensorId],
        gradients: Gradients,
    ) {
        if let Some(input) = gradients.input {
            self.call(contract, &done.nodes[0].name, constants, &[reads, &[input]].concat());
        }
    }

    /// Kernel and bias of a layer, or their gradients; a layer without bias gets an unread stand-in.
    fn kernel_and_bias(&mut self, node: &Node, pick: fn(&TrainableTensor) -> TensorId) -> [TensorId; 2] {
        let find = |graph: &Graph, ending: &str| {
            let name = format!("{}.{ending}", node.name);
            graph.parameters.iter().find(|parameter| parameter.name == name).map(pick)
        };
        let (kernel, bias) = (find(&self.graph, "kernel"), find(&self.graph, "bias"));
        let bias = bias.unwrap_or_else(|| {
            let outputs = node.output.sizes().last().copied().unwrap_or(1);
            self.transient_of(&format!("{}.no_bias.{}", node.name, self.calls.len()), Element::F32, outputs)
        });
        [kernel.unwrap_or(bias), bias]
    }

    /// What a layer multiplies with: its weights, in inference their average where there is one, or the copy of either in f16.
    fn kernel(&self, node: &Node) -> Option<TensorId> {
        let name = format!("{}.kernel", node.name);
        let parameter = self.graph.parameters.iter().find(|parameter| parameter.name == name);
        let average = |parameter: &TrainableTensor| parameter.half_average.or(parameter.average);
        parameter.map(|parameter| {
            let average = if self.program == Program::Infer { average(parameter) } else { None };
            average.or(parameter.half).unwrap_or(parameter.values)
        })
    }

    fn conv2d(&self, node: &Node) -> Result<Constants> {
        let Layer::Conv2d { filters, kernel, stride, padding, bias } = node.layer else { return Err(misplaced(node)) };
        let window = Window { kernel, stride, padding };
        let image = node.input.image().ok_or_else(|| misplaced(node))?;
        let constants = conv2d::constants(self.batch, image, window, filters);
        Ok(constants.ok_or_else(|| misplaced(node))?.with("BIAS", switch(bias)))
    }

    fn conv_block(&self, nodes: &[Node]) -> Result<Constants> {
        let (image, filters) = (nodes[0].input.image(), nodes[0].output.image().map(|(_, _, filters)| filters));
        let constants = image.zip(filters).and_then(|(i, f)| conv_block::constants(self.batch, i, f));
        constants.ok_or_else(|| misplaced(&nodes[0]))
    }

    fn maxpool2d(&self, node: &Node) -> Result<Constants> {
        let Layer::MaxPool2d { size, stride } = node.layer else { return Err(misplaced(node)) };
        let image = node.input.image().ok_or_else(|| misplaced(node))?;
        let constants = maxpool2d::constants(self.batch, image, size, stride.unwrap_or(size));
        constants.ok_or_else(|| misplaced(node))
    }

    fn dense(&self, node: &Node) -> Constants {
        let constants = dense::constants(self.batch, node.input.elements(), node.output.elements());
        constants.with("BIAS", switch(matches!(node.layer, Layer::Dense { bias: true, .. })))
    }

    /// Each dropout layer has its own stream of random numbers.
    fn dropout(&self, node: &Node) -> Constants {
        let rate = if let Layer::Dropout { rate } = node.layer { rate } else { 0.0 };
        let stream = self.network.nodes.iter().position(|other| other.name == node.name).unwrap_or(0);
        dropout::constants(self.batch, node.input.elements(), rate, stream)
    }
}

/// The values that training changes.
fn trained(parameter: &TrainableTensor) -> TensorId {
    parameter.values
}

/// The values that inference uses.
fn averaged(parameter: &TrainableTensor) -> TensorId {
    parameter.average.unwrap_or(parameter.values)
}

fn switch(on: bool) -> f64 {
    f64::from(u8::from(on))
}

fn misplaced(node: &Node) -> Error {
    Error::model(&node.name, format!("it cannot work on {}", node.input), "check the layers before it")
}
