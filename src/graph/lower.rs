//! Blocks become calls: each block's forward calls and, right beneath, its backward calls.

mod input;

use super::{Bank, Block, Call, Graph, METRICS_SLOTS, Settings, Shard, Storage, TensorId, TrainableTensor, group};
use crate::error::{Error, Result};
use crate::kernels::{self, Constants, Element, conv_block, conv2d, dense, maxpool2d, reduce};
use crate::model::{Layer, Network, Node};
use crate::shape::Window;

/// The graph of a network: a training step and a batch of inference.
///
/// # Errors
/// A layer whose window does not fit its input (which [`Model::build`](crate::model::Model::build) refuses first).
pub fn lower(network: &Network, settings: &Settings) -> Result<Graph> {
    let mut lowering = Lowering::new(network, settings);
    lowering.train()?;
    lowering.infer()?;
    Ok(lowering.graph)
}

/// A block after its forward calls: what its backward calls need.
struct Done<'a> {
    block: Block,
    nodes: &'a [Node],
    input: TensorId,
    output: TensorId,
    /// Winner codes of a fused block.
    winner: Option<TensorId>,
}

/// Tensors of the data set and the loss, shared by both programs.
struct Shared {
    pixels: Vec<(Shard, TensorId)>,
    order: TensorId,
    labels: TensorId,
    class_weights: TensorId,
    probabilities: TensorId,
    metrics: TensorId,
    status: TensorId,
}

struct Lowering<'a> {
    network: &'a Network,
    settings: &'a Settings,
    graph: Graph,
    shared: Shared,
    /// Calls of the program being written.
    calls: Vec<Call>,
    /// Prefix of passing tensors: each program has its own.
    program: &'static str,
}

impl<'a> Lowering<'a> {
    fn new(network: &'a Network, settings: &'a Settings) -> Self {
        let mut graph = Graph::default();
        let shared = Shared::add(&mut graph, network, settings);
        add_parameters(&mut graph, network);
        Self { network, settings, graph, shared, calls: Vec::new(), program: "train" }
    }

    /// augment -> forward -> loss | backward | update.
    fn train(&mut self) -> Result<()> {
        self.program = "train";
        let images = self.images(self.settings.augment);
        let done = self.forward(images, true)?;
        let logits_gradient = self.loss(done.last().map_or(images, |last| last.output));
        let forward_end = self.calls.len();
        self.backward(&done, logits_gradient)?;
        let backward_end = self.calls.len();
        self.update();
        self.graph.segments = [0..forward_end, forward_end..backward_end, backward_end..self.calls.len()];
        self.graph.train = std::mem::take(&mut self.calls);
        Ok(())
    }

    /// gather -> forward -> loss.
    fn infer(&mut self) -> Result<()> {
        self.program = "infer";
        let images = self.images(None);
        let done = self.forward(images, false)?;
        self.loss(done.last().map_or(images, |last| last.output));
        self.graph.infer = std::mem::take(&mut self.calls);
        Ok(())
    }

    fn forward(&mut self, images: TensorId, training: bool) -> Result<Vec<Done<'a>>> {
        let mut done: Vec<Done<'a>> = Vec::new();
        for (block, nodes) in group(&self.network.nodes, self.settings.fuse) {
            let input = done.last().map_or(images, |last| last.output);
            done.push(self.block_forward(block, nodes, input, training)?);
        }
        Ok(done)
    }

    /// Backward calls from the last block to the first with parameters; nothing before that needs a gradient.
    fn backward(&mut self, done: &[Done], logits_gradient: TensorId) -> Result<()> {
        let trainable = |d: &Done| d.nodes.iter().any(|node| !node.parameters.is_empty());
        let first = done.iter().position(trainable).unwrap_or(0);
        let mut gradient = logits_gradient;
        for (place, block) in done.iter().enumerate().skip(first).rev() {
            gradient = self.block_backward(block, gradient, place > first)?;
        }
        Ok(())
    }

    fn block_forward(&mut self, block: Block, nodes: &'a [Node], input: TensorId, training: bool) -> Result<Done<'a>> {
        let last = &nodes[block.layers() - 1];
        let elements = self.settings.batch * last.output.elements();
        let name = &nodes[0].name;
        if block == Block::Flatten || (block == Block::Dropout && !training) {
            return Ok(Done { block, nodes, input, output: input, winner: None });
        }
        let output = self.passing(&format!("{name}.output"), elements);
        let mut winner = None;
        match &block {
            Block::Conv2d { relu } => {
                let constants = self.conv2d(&nodes[0])?.with("RELU", f64::from(u8::from(*relu)));
                let [kernel, bias] = self.kernel_and_bias(&nodes[0]);
                self.call("conv2d.forward", name, constants, &[input, kernel, bias, output]);
            }
            Block::ConvBlock => {
                let constants = self.conv_block(nodes)?;
                let words = constants.product(&["BATCH", "POOL_H", "POOL_W", "WORDS"]);
                let codes = self.passing_of(&format!("{name}.winner"), Element::U32, words);
                let [kernel, bias] = self.kernel_and_bias(&nodes[0]);
                self.call("conv_block.forward", name, constants, &[input, kernel, bias, output, codes]);
                winner = Some(codes);
            }
            Block::Dense { relu } => {
                let constants = self.dense(&nodes[0]).with("RELU", f64::from(u8::from(*relu)));
                let [kernel, bias] = self.kernel_and_bias(&nodes[0]);
                self.call("dense.forward", name, constants, &[input, kernel, bias, output]);
            }
            Block::MaxPool2d => {
                let constants = self.maxpool2d(&nodes[0])?;
                self.call("maxpool2d.forward", name, constants, &[input, output]);
            }
            Block::Relu => {
                self.call("relu.forward", name, Constants::sizes(&[("ELEMENTS", elements)]), &[input, output]);
            }
            Block::Dropout => self.call("dropout.forward", name, self.dropout(&nodes[0]), &[input, output]),
            Block::Flatten => {}
        }
        Ok(Done { block, nodes, input, output, winner })
    }

    /// Returns the gradient of the block's input (its output's, where the input's is not wanted).
    fn block_backward(&mut self, done: &Done, gradient: TensorId, input_wanted: bool) -> Result<TensorId> {
        let (node, name) = (&done.nodes[0], &done.nodes[0].name);
        let elements = self.settings.batch * node.input.elements();
        if done.block == Block::Flatten {
            return Ok(gradient);
        }
        let gradient = match done.block {
            Block::Conv2d { relu: true } | Block::Dense { relu: true } => self.relu_backward(done, gradient),
            _ => gradient,
        };
        let input_gradient = match input_wanted {
            true => self.passing(&format!("{name}.input_gradient"), elements),
            false => gradient,
        };
        match done.block {
            Block::Conv2d { .. } => {
                let constants = self.conv2d(node)?;
                let [kernel_gradient, bias_gradient] = self.kernel_and_bias_gradients(node);
                let tensors = [done.input, gradient, kernel_gradient, bias_gradient];
                self.call("conv2d.backward_weights", name, constants.clone(), &tensors);
                if input_wanted {
                    let [kernel, _] = self.kernel_and_bias(node);
                    self.call("conv2d.backward_input", name, constants, &[gradient, kernel, input_gradient]);
                }
            }
            Block::ConvBlock => self.conv_block_backward(done, gradient, input_wanted.then_some(input_gradient))?,
            Block::Dense { .. } => {
                let constants = self.dense(node);
                let [kernel_gradient, bias_gradient] = self.kernel_and_bias_gradients(node);
                let tensors = [done.input, gradient, kernel_gradient, bias_gradient];
                self.call("dense.backward_weights", name, constants.clone(), &tensors);
                if input_wanted {
                    let [kernel, _] = self.kernel_and_bias(node);
                    self.call("dense.backward_input", name, constants, &[gradient, kernel, input_gradient]);
                }
            }
            Block::MaxPool2d => {
                let constants = self.maxpool2d(node)?;
                self.call("maxpool2d.backward", name, constants, &[done.input, gradient, input_gradient]);
            }
            Block::Relu => {
                let constants = Constants::sizes(&[("ELEMENTS", elements)]);
                self.call("relu.backward", name, constants, &[done.output, gradient, input_gradient]);
            }
            Block::Dropout => self.call("dropout.backward", name, self.dropout(node), &[gradient, input_gradient]),
            Block::Flatten => {}
        }
        Ok(input_gradient)
    }

    fn conv_block_backward(&mut self, done: &Done, gradient: TensorId, input_gradient: Option<TensorId>) -> Result<()> {
        let (node, name) = (&done.nodes[0], &done.nodes[0].name);
        let constants = self.conv_block(done.nodes)?;
        let winner = done.winner.unwrap_or(done.output);
        let [kernel_gradient, bias_gradient] = self.kernel_and_bias_gradients(node);
        let tensors = [done.input, gradient, winner, kernel_gradient, bias_gradient];
        self.call("conv_block.backward_weights", name, constants.clone(), &tensors);
        if let Some(input_gradient) = input_gradient {
            let [kernel, _] = self.kernel_and_bias(node);
            self.call("conv_block.backward_input", name, constants, &[gradient, winner, kernel, input_gradient]);
        }
        Ok(())
    }

    /// The gradient before a relu that stands in a kernel's epilogue.
    fn relu_backward(&mut self, done: &Done, gradient: TensorId) -> TensorId {
        let name = &done.nodes[1].name;
        let elements = self.settings.batch * done.nodes[1].output.elements();
        let before = self.passing(&format!("{name}.input_gradient"), elements);
        let constants = Constants::sizes(&[("ELEMENTS", elements)]);
        self.call("relu.backward", name, constants, &[done.output, gradient, before]);
        before
    }

    /// Loss, hits and probabilities; returns the gradient of the logits.
    fn loss(&mut self, logits: TensorId) -> TensorId {
        let (batch, classes) = (self.settings.batch, self.network.classes);
        let gradient = self.passing("logits_gradient", batch * classes);
        let stats = self.passing("stats", batch * 2);
        let constants = Constants::sizes(&[
            ("BATCH", batch),
            ("CLASSES", classes),
            ("ROWS", self.settings.rows),
            ("IMAGES", self.settings.images),
        ]);
        let constants = constants.with("SMOOTHING", self.settings.label_smoothing);
        let Shared { labels, order, class_weights, probabilities, metrics, .. } = self.shared;
        let tensors = [logits, labels, order, class_weights, gradient, stats, probabilities];
        self.call("softmax_cross_entropy.loss", "loss", constants, &tensors);
        let constants = Constants::sizes(&[("BATCH", batch), ("SLOTS", METRICS_SLOTS)]);
        self.call("reduce.loss", "loss", constants, &[stats, metrics]);
        gradient
    }

    /// Norm and finite check of all gradients, then Adam over the whole bank.
    fn update(&mut self) {
        let elements = self.graph.bank_elements();
        let groups = reduce::groups(elements);
        let [parameters, gradients, moment1, moment2] =
            [Bank::Parameters, Bank::Gradients, Bank::Moment1, Bank::Moment2].map(|bank| self.bank(bank, elements));
        let partial = self.passing("gradient_partial", groups);
        let Shared { metrics, status, .. } = self.shared;
        let constants = Constants::sizes(&[("ELEMENTS", elements), ("GROUPS", groups)]);
        self.call("reduce.sum_squares", "gradient norm", constants, &[gradients, partial]);
        let constants = Constants::sizes(&[("GROUPS", groups), ("SLOTS", METRICS_SLOTS)]);
        self.call("reduce.gradient", "gradient norm", constants, &[partial, metrics, status]);
        let constants = Constants::sizes(&[("ELEMENTS", elements)]);
        self.call("adam.update", "adam", constants, &[gradients, status, parameters, moment1, moment2]);
    }

    fn bank(&mut self, bank: Bank, elements: usize) -> TensorId {
        let name = match bank {
            Bank::Parameters => "parameters",
            Bank::Gradients => "gradients",
            Bank::Moment1 => "moment1",
            Bank::Moment2 => "moment2",
        };
        self.graph.tensor(name, Element::F32, elements, Storage::Bank(bank, 0))
    }

    fn passing(&mut self, name: &str, elements: usize) -> TensorId {
        self.passing_of(name, Element::F32, elements)
    }

    fn passing_of(&mut self, name: &str, element: Element, elements: usize) -> TensorId {
        self.graph.tensor(format!("{}.{name}", self.program), element, elements, Storage::Passing)
    }

    /// Adds a call. An unknown contract is a mistake in this file, which the tests below meet.
    fn call(&mut self, contract: &str, layer: &str, constants: Constants, tensors: &[TensorId]) {
        let contract = kernels::find(contract).unwrap_or_else(|| panic!("no contract {contract}"));
        self.calls.push(Call { layer: layer.to_owned(), contract, constants, tensors: tensors.to_vec() });
    }

    /// Kernel and bias of a layer; a layer without bias gets an unread stand-in.
    fn kernel_and_bias(&mut self, node: &Node) -> [TensorId; 2] {
        self.pair(node, |parameter| parameter.values)
    }

    fn kernel_and_bias_gradients(&mut self, node: &Node) -> [TensorId; 2] {
        self.pair(node, |parameter| parameter.gradient)
    }

    fn pair(&mut self, node: &Node, pick: fn(&TrainableTensor) -> TensorId) -> [TensorId; 2] {
        let find = |graph: &Graph, ending: &str| {
            let name = format!("{}.{ending}", node.name);
            graph.parameters.iter().find(|parameter| parameter.name == name).map(pick)
        };
        let outputs = node.output.sizes().last().copied().unwrap_or(1);
        let (kernel, bias) = (find(&self.graph, "kernel"), find(&self.graph, "bias"));
        let bias = bias.unwrap_or_else(|| self.passing(&format!("{}.no_bias", node.name), outputs));
        [kernel.unwrap_or(bias), bias]
    }

    fn conv2d(&self, node: &Node) -> Result<Constants> {
        let Layer::Conv2d { filters, kernel, stride, padding, bias } = node.layer else { return Err(misplaced(node)) };
        let window = Window { kernel, stride, padding };
        let image = node.input.image().ok_or_else(|| misplaced(node))?;
        let constants = conv2d::constants(self.settings.batch, image, window, filters);
        Ok(constants.ok_or_else(|| misplaced(node))?.with("BIAS", f64::from(u8::from(bias))))
    }

    fn conv_block(&self, nodes: &[Node]) -> Result<Constants> {
        let (image, filters) = (nodes[0].input.image(), nodes[0].output.image().map(|(_, _, filters)| filters));
        let constants = image.zip(filters).and_then(|(i, f)| conv_block::constants(self.settings.batch, i, f));
        constants.ok_or_else(|| misplaced(&nodes[0]))
    }

    fn maxpool2d(&self, node: &Node) -> Result<Constants> {
        let Layer::MaxPool2d { size, stride } = node.layer else { return Err(misplaced(node)) };
        let image = node.input.image().ok_or_else(|| misplaced(node))?;
        let constants = maxpool2d::constants(self.settings.batch, image, size, stride.unwrap_or(size));
        constants.ok_or_else(|| misplaced(node))
    }

    fn dense(&self, node: &Node) -> Constants {
        let constants = dense::constants(self.settings.batch, node.input.elements(), node.output.elements());
        let bias = matches!(node.layer, Layer::Dense { bias: true, .. });
        constants.with("BIAS", f64::from(u8::from(bias)))
    }

    /// Each dropout layer has its own stream of random numbers.
    fn dropout(&self, node: &Node) -> Constants {
        let rate = if let Layer::Dropout { rate } = node.layer { rate } else { 0.0 };
        let stream = self.network.nodes.iter().position(|other| other.name == node.name).unwrap_or(0);
        let elements = self.settings.batch * node.input.elements();
        Constants::sizes(&[("ELEMENTS", elements), ("STREAM", stream)]).with("RATE", rate)
    }
}

impl Shared {
    fn add(graph: &mut Graph, network: &Network, settings: &Settings) -> Self {
        let (height, width, channels) = network.image;
        let mut kept = |name: &str, element, elements| graph.tensor(name, element, elements, Storage::Kept);
        let pixels = settings.shards.iter().enumerate().map(|(number, &shard)| {
            let words = (shard.count * height * width * channels).div_ceil(4);
            (shard, kept(&format!("pixels.{number}"), Element::U32, words))
        });
        Self {
            pixels: pixels.collect(),
            order: kept("order", Element::U32, settings.rows),
            labels: kept("labels", Element::U32, settings.images),
            class_weights: kept("class_weights", Element::F32, network.classes),
            probabilities: kept("probabilities", Element::F32, settings.rows * network.classes),
            metrics: kept("metrics", Element::F32, METRICS_SLOTS * 4),
            status: kept("status", Element::U32, 2),
        }
    }
}

/// Every trainable tensor starts on a 256-byte boundary of its bank, since that is where a binding may start.
fn add_parameters(graph: &mut Graph, network: &Network) {
    let mut offset = 0;
    for parameter in network.parameters() {
        let elements = parameter.shape.elements();
        let name = &parameter.name;
        let values = graph.tensor(name.clone(), Element::F32, elements, Storage::Bank(Bank::Parameters, offset));
        let gradient =
            graph.tensor(format!("{name}.gradient"), Element::F32, elements, Storage::Bank(Bank::Gradients, offset));
        let shape = parameter.shape.clone();
        graph.parameters.push(TrainableTensor { name: name.clone(), shape, values, gradient });
        offset += elements.next_multiple_of(64);
    }
}

fn misplaced(node: &Node) -> Error {
    Error::model(&node.name, format!("it cannot work on {}", node.input), "check the layers before it")
}
