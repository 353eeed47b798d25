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
            let constants = augment::gather_constants(self.builder.batch, self.settings.rows, height, width)
                .with("SHARD_IMAGES", room.count as f64);
            match (transforms, ranges) {
                (Some(transforms), Some(ranges)) => {
                    let constants = constants.with("FILL_MODE", fill_mode(ranges.fill)).with("FILL_VALUE", 0.0);
                    self.builder.call(
                        &augment::WARP,
                        "augment",
                        constants,
                        &[pixels, range, places, transforms, images],
                    );
                }
                _ => self.builder.call(&augment::GATHER, "images", constants, &[pixels, range, places, images]),
            }
        }
        images
    }

    fn transforms(&mut self, ranges: Augment) -> TensorId {
        let (height, width, _) = self.network.image;
        let constants = augment::draw_constants(self.builder.batch, height, width)
            .with("FLIP", f64::from(u8::from(ranges.flip)))
            .with("ROTATION", ranges.rotation)
            .with("ZOOM_LOW", ranges.zoom.0)
            .with("ZOOM_HIGH", ranges.zoom.1)
            .with("SHIFT", ranges.shift);
        let transforms = self.builder.transient("transforms", Element::F32, self.builder.batch * 6);
        self.builder.call(&augment::DRAW, "augment", constants, &[transforms]);
        transforms
    }

    /// Loss, hits and probabilities; returns the gradient of the logits.
    fn loss(&mut self, logits: TensorId) -> TensorId {
        let (batch, classes) = (self.builder.batch, self.network.classes);
        let gradient = self.builder.activation("logits_gradient", classes);
        let stats = self.builder.transient("stats", Element::F32, batch * 2);
        let Settings { rows, images, .. } = *self.settings;
        let constants = softmax_cross_entropy::constants(batch, classes, rows, images);
        let constants = constants.with("SMOOTHING", self.settings.label_smoothing);
        let Persistent { labels, order, loss_scale, probabilities, metrics, .. } = self.persistent;
        // an image that is measured counts as one, whatever it counts in training
        let weights =
            if self.builder.is_training() { self.persistent.class_weights } else { self.persistent.unit_weights };
        let tensors = [logits, labels, order, weights, loss_scale, gradient, stats, probabilities];
        self.builder.call(&softmax_cross_entropy::LOSS, "loss", constants, &tensors);
        let constants = reduce::loss_constants(batch, METRICS_SLOTS);
        self.builder.call(&reduce::LOSS, "loss", constants, &[stats, metrics]);
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
            reduce::accumulate_constants(elements),
            &[gradients, sums],
        );
        sums
    }

    /// Norm and finite check of all gradients, then Adam and, where wanted, the average over the whole bank.
    fn update(&mut self, gradients: TensorId) {
        let elements = self.builder.graph.bank_elements(Bank::Parameters);
        let groups = reduce::groups(elements);
        let [parameters, moment1, moment2] =
            [Bank::Parameters, Bank::Moment1, Bank::Moment2].map(|bank| self.bank(bank));
        let partial = self.builder.transient("gradient_partial", Element::F32, groups);
        let Persistent { metrics, status, loss_scale, .. } = self.persistent;
        let mixed = self.settings.precision == Precision::Mixed;
        let constants = reduce::sum_squares_constants(elements);
        self.builder.call(&reduce::SUM_SQUARES, "gradient norm", constants, &[gradients, partial]);
        let constants = reduce::gradient_constants(groups, METRICS_SLOTS).with("DYNAMIC", f64::from(u8::from(mixed)));
        self.builder.call(&reduce::GRADIENT, "gradient norm", constants, &[partial, metrics, status, loss_scale]);
        let mut tensors = vec![gradients, status, loss_scale, parameters, moment1, moment2];
        if mixed {
            tensors.push(self.bank(Bank::HalfParameters));
        }
        let contract = if mixed { &adam::UPDATE_MIXED } else { &adam::UPDATE };
        self.builder.call(contract, "adam", adam::constants(elements), &tensors);
        if self.settings.average {
            let average = self.bank(Bank::Average);
            let mut tensors = vec![parameters, status, average];
            if mixed {
                tensors.push(self.bank(Bank::HalfAverage));
            }
            let contract = if mixed { &adam::AVERAGE_MIXED } else { &adam::AVERAGE };
            self.builder.call(contract, "average", adam::constants(elements), &tensors);
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
