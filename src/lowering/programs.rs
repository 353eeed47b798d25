//! The two programs: images, forward, loss; for training also backward and update.

use super::Lowering;
use crate::error::Result;
use crate::graph::{Augment, Bank, FillMode, METRICS_SLOTS, Persistent, Program, Settings, ShardTensors, TensorId};
use crate::kernels::{Element, Precision, adam, augment, reduce, softmax_cross_entropy};

impl Lowering<'_> {
    /// augment -> forward -> loss | backward, and adding up of micro-batches | update.
    pub(super) fn train(&mut self) -> Result<()> {
        self.builder.program = Program::Train;
        let images = self.images(self.settings.augment);
        let done = self.forward(images)?;
        let logits_gradient = self.loss(done.last().map_or(images, |last| last.output.tensor));
        let forward_end = self.builder.calls.len();
        self.backward(&done, logits_gradient, &self.trained())?;
        let gradients = self.gradients();
        let backward_end = self.builder.calls.len();
        self.update(gradients);
        let calls = std::mem::take(&mut self.builder.calls);
        self.builder.graph.segments = [0..forward_end, forward_end..backward_end, backward_end..calls.len()];
        self.builder.graph.train = calls;
        Ok(())
    }

    /// gather -> forward -> loss.
    pub(super) fn infer(&mut self) -> Result<()> {
        self.builder.program = Program::Infer;
        let images = self.images(None);
        let done = self.forward(images)?;
        self.loss(done.last().map_or(images, |last| last.output.tensor));
        self.builder.graph.infer = std::mem::take(&mut self.builder.calls);
        Ok(())
    }

    /// The batch's images as floats in 0..1, one call per shard.
    fn images(&mut self, ranges: Option<Augment>) -> TensorId {
        let (height, width, channels) = self.network.image;
        let images = self.builder.activation("images", height * width * channels);
        let transforms = ranges.map(|ranges| self.transforms(ranges));
        let places = self.persistent.places();
        for ShardTensors { pixels, range, images: room } in self.persistent.shards.clone() {
            let gather = augment::GatherSizes::new(self.builder.batch, self.settings.rows, height, width);
            let gather = augment::GatherSizes { shard_images: room.count, ..gather };
            match (transforms, ranges) {
                (Some(transforms), Some(ranges)) => {
                    let warp = gather.warp(fill_mode(ranges.fill), 0.0);
                    self.builder.call(&augment::WARP, "augment", warp, &[pixels, range, places, transforms, images]);
                }
                _ => self.builder.call(&augment::GATHER, "images", gather, &[pixels, range, places, images]),
            }
        }
        images
    }

    fn transforms(&mut self, ranges: Augment) -> TensorId {
        let (height, width, _) = self.network.image;
        let Augment { flip, rotation, zoom: (zoom_low, zoom_high), shift, .. } = ranges;
        let draw =
            augment::DrawSizes { batch: self.builder.batch, height, width, flip, rotation, zoom_low, zoom_high, shift };
        let transforms = self.builder.transient("transforms", Element::F32, self.builder.batch * 6);
        self.builder.call(&augment::DRAW, "augment", draw, &[transforms]);
        transforms
    }

    /// Loss, hits and probabilities; returns the gradient of the logits.
    fn loss(&mut self, logits: TensorId) -> TensorId {
        let (batch, classes) = (self.builder.batch, self.network.classes);
        let gradient = self.builder.activation("logits_gradient", classes);
        let stats = self.builder.transient("stats", Element::F32, batch * 2);
        let Settings { rows, images, .. } = *self.settings;
        let smoothing = self.settings.label_smoothing;
        let sizes = softmax_cross_entropy::Sizes {
            smoothing,
            ..softmax_cross_entropy::Sizes::new(batch, classes, rows, images)
        };
        let Persistent { labels, order, loss_scale, probabilities, metrics, .. } = self.persistent;
        // an image that is measured counts as one, whatever it counts in training
        let weights =
            if self.builder.is_training() { self.persistent.class_weights } else { self.persistent.unit_weights };
        let tensors = [logits, labels, order, weights, loss_scale, gradient, stats, probabilities];
        self.builder.call(&softmax_cross_entropy::LOSS, "loss", sizes, &tensors);
        let sizes = reduce::LossSizes { batch, slots: METRICS_SLOTS };
        self.builder.call(&reduce::LOSS, "loss", sizes, &[stats, metrics]);
        gradient
    }

    /// The bank of the step's gradients: of the batch, or their sums over its micro-batches.
    fn gradients(&mut self) -> TensorId {
        let gradients = self.bank(Bank::Gradients);
        if self.builder.graph.micro_batches.is_none() {
            return gradients;
        }
        let elements = self.builder.graph.bank_elements(Bank::Parameters);
        let sums = self.bank(Bank::GradientSums);
        self.builder.call(
            &reduce::ACCUMULATE,
            "micro-batches",
            reduce::AccumulateSizes { elements },
            &[gradients, sums],
        );
        sums
    }

    /// Norm and finite check of all gradients, then Adam and, where wanted, the EMA over the whole bank.
    fn update(&mut self, gradients: TensorId) {
        let elements = self.builder.graph.bank_elements(Bank::Parameters);
        let sum_squares = reduce::SumSquaresSizes::new(elements);
        let groups = sum_squares.groups;
        let [parameters, moment1, moment2] =
            [Bank::Parameters, Bank::Moment1, Bank::Moment2].map(|bank| self.bank(bank));
        let partial = self.builder.transient("gradient_partial", Element::F32, groups);
        let Persistent { metrics, status, loss_scale, .. } = self.persistent;
        let mixed = self.settings.precision == Precision::Mixed;
        self.builder.call(&reduce::SUM_SQUARES, "gradient norm", sum_squares, &[gradients, partial]);
        let sizes = reduce::GradientSizes { groups, slots: METRICS_SLOTS, dynamic: mixed };
        self.builder.call(&reduce::GRADIENT, "gradient norm", sizes, &[partial, metrics, status, loss_scale]);
        let mut tensors = vec![gradients, status, loss_scale, parameters, moment1, moment2];
        if mixed {
            tensors.push(self.bank(Bank::HalfParameters));
        }
        let contract = if mixed { &adam::UPDATE_MIXED } else { &adam::UPDATE };
        self.builder.call(contract, "adam", adam::Sizes { elements }, &tensors);
        if self.settings.ema {
            let ema = self.bank(Bank::Ema);
            let mut tensors = vec![parameters, status, ema];
            if mixed {
                tensors.push(self.bank(Bank::HalfEma));
            }
            let contract = if mixed { &adam::EMA_MIXED } else { &adam::EMA };
            self.builder.call(contract, "ema", adam::Sizes { elements }, &tensors);
        }
    }
}

fn fill_mode(fill: FillMode) -> usize {
    match fill {
        FillMode::Reflect => 0,
        FillMode::Wrap => 1,
        FillMode::Nearest => 2,
        FillMode::Constant => 3,
    }
}
