//! The two programs: images, forward, loss; for training also backward and update. The blocks' own calls are in
//! `layers.rs`.

use super::layers::Done;
use super::lowering::Lowering;
use super::{
    Augment, Bank, FillMode, Graph, METRICS_SLOTS, Persistent, Program, Settings, ShardTensors, TensorId, group,
};
use crate::error::Result;
use crate::kernels::{Element, Precision, adam, augment, reduce, softmax_cross_entropy};
use crate::model::Network;

/// The graph of a network: a training step (where wanted) and a batch of inference.
///
/// # Errors
/// A layer whose window does not fit its input (which [`Model::build`](crate::model::Model::build) refuses first).
pub fn lower(network: &Network, settings: &Settings) -> Result<Graph> {
    let mut lowering = Lowering::new(network, settings);
    if settings.training {
        lowering.train()?;
    }
    lowering.infer()?;
    Ok(lowering.finish())
}

impl<'a> Lowering<'a> {
    /// augment -> forward -> loss | backward, and adding up of micro-batches | update.
    fn train(&mut self) -> Result<()> {
        self.program = Program::Train;
        let images = self.images(self.settings.augment);
        let done = self.forward(images)?;
        let logits_gradient = self.loss(done.last().map_or(images, |last| last.output));
        let forward_end = self.calls.len();
        self.backward(&done, logits_gradient)?;
        let gradients = self.gradients();
        let backward_end = self.calls.len();
        self.update(gradients);
        self.graph.segments = [0..forward_end, forward_end..backward_end, backward_end..self.calls.len()];
        self.graph.train = std::mem::take(&mut self.calls);
        Ok(())
    }

    /// gather -> forward -> loss.
    fn infer(&mut self) -> Result<()> {
        self.program = Program::Infer;
        let images = self.images(None);
        let done = self.forward(images)?;
        self.loss(done.last().map_or(images, |last| last.output));
        self.graph.infer = std::mem::take(&mut self.calls);
        Ok(())
    }

    /// The batch's images as floats in 0..1, one call per shard.
    fn images(&mut self, ranges: Option<Augment>) -> TensorId {
        let (height, width, channels) = self.network.image;
        let images = self.transient("images", self.batch * height * width * channels);
        let transforms = ranges.map(|ranges| self.transforms(ranges));
        let places = self.persistent.places();
        for ShardTensors { pixels, range, images: room } in self.persistent.shards.clone() {
            let constants = augment::gather_constants(self.batch, self.settings.rows, height, width)
                .with("SHARD_IMAGES", room.count as f64);
            match (transforms, ranges) {
                (Some(transforms), Some(ranges)) => {
                    let constants = constants.with("FILL_MODE", fill_mode(ranges.fill)).with("FILL_VALUE", 0.0);
                    self.call(&augment::WARP, "augment", constants, &[pixels, range, places, transforms, images]);
                }
                _ => self.call(&augment::GATHER, "images", constants, &[pixels, range, places, images]),
            }
        }
        images
    }

    fn transforms(&mut self, ranges: Augment) -> TensorId {
        let (height, width, _) = self.network.image;
        let constants = augment::draw_constants(self.batch, height, width)
            .with("FLIP", f64::from(u8::from(ranges.flip)))
            .with("ROTATION", ranges.rotation)
            .with("ZOOM_LOW", ranges.zoom.0)
            .with("ZOOM_HIGH", ranges.zoom.1)
            .with("SHIFT", ranges.shift);
        let transforms = self.transient_of("transforms", Element::F32, self.batch * 6);
        self.call(&augment::DRAW, "augment", constants, &[transforms]);
        transforms
    }

    pub(super) fn forward(&mut self, images: TensorId) -> Result<Vec<Done<'a>>> {
        let mut done: Vec<Done<'a>> = Vec::new();
        for (block, nodes) in group(&self.network.nodes, self.settings.fuse) {
            let input = done.last().map_or(images, |last| last.output);
            done.push(self.block_forward(block, nodes, input)?);
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

    /// Loss, hits and probabilities; returns the gradient of the logits.
    fn loss(&mut self, logits: TensorId) -> TensorId {
        let (batch, classes) = (self.batch, self.network.classes);
        let gradient = self.transient("logits_gradient", batch * classes);
        let stats = self.transient_of("stats", Element::F32, batch * 2);
        let Settings { rows, images, .. } = *self.settings;
        let constants = softmax_cross_entropy::constants(batch, classes, rows, images);
        let constants = constants.with("SMOOTHING", self.settings.label_smoothing);
        let Persistent { labels, order, loss_scale, probabilities, metrics, .. } = self.persistent;
        // an image that is measured counts as one, whatever it counts in training
        let weights = match self.program {
            Program::Train => self.persistent.class_weights,
            Program::Infer => self.persistent.unit_weights,
        };
        let tensors = [logits, labels, order, weights, loss_scale, gradient, stats, probabilities];
        self.call(&softmax_cross_entropy::LOSS, "loss", constants, &tensors);
        let constants = reduce::loss_constants(batch, METRICS_SLOTS);
        self.call(&reduce::LOSS, "loss", constants, &[stats, metrics]);
        gradient
    }

    /// The bank of the step's gradients: of the batch, or their sums over its micro-batches.
    fn gradients(&mut self) -> TensorId {
        let gradients = self.bank(Bank::Gradients);
        if self.graph.micro_batches.is_none() {
            return gradients;
        }
        let elements = self.graph.bank_elements();
        let sums = self.bank(Bank::GradientSums);
        self.call(&reduce::ACCUMULATE, "micro-batches", reduce::accumulate_constants(elements), &[gradients, sums]);
        sums
    }

    /// Norm and finite check of all gradients, then Adam and, where wanted, the average over the whole bank.
    fn update(&mut self, gradients: TensorId) {
        let elements = self.graph.bank_elements();
        let groups = reduce::groups(elements);
        let [parameters, moment1, moment2] =
            [Bank::Parameters, Bank::Moment1, Bank::Moment2].map(|bank| self.bank(bank));
        let partial = self.transient_of("gradient_partial", Element::F32, groups);
        let Persistent { metrics, status, loss_scale, .. } = self.persistent;
        let mixed = self.settings.precision == Precision::Mixed;
        let constants = reduce::sum_squares_constants(elements);
        self.call(&reduce::SUM_SQUARES, "gradient norm", constants, &[gradients, partial]);
        let constants = reduce::gradient_constants(groups, METRICS_SLOTS).with("DYNAMIC", f64::from(u8::from(mixed)));
        self.call(&reduce::GRADIENT, "gradient norm", constants, &[partial, metrics, status, loss_scale]);
        let mut tensors = vec![gradients, status, loss_scale, parameters, moment1, moment2];
        if mixed {
            tensors.push(self.bank(Bank::HalfParameters));
        }
        let contract = if mixed { &adam::UPDATE_MIXED } else { &adam::UPDATE };
        self.call(contract, "adam", adam::constants(elements), &tensors);
        if self.settings.average {
            let average = self.bank(Bank::Average);
            let mut tensors = vec![parameters, status, average];
            if mixed {
                tensors.push(self.bank(Bank::HalfAverage));
            }
            let contract = if mixed { &adam::AVERAGE_MIXED } else { &adam::AVERAGE };
            self.call(contract, "average", adam::constants(elements), &tensors);
        }
    }
}

fn fill_mode(fill: FillMode) -> f64 {
    match fill {
        FillMode::Reflect => 0.0,
        FillMode::Wrap => 1.0,
        FillMode::Nearest => 2.0,
        FillMode::Constant => 3.0,
    }
}
