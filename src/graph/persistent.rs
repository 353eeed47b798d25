//! The tensors that live as long as the graph: images, labels, what a step measures, and the optimizer's banks.

use super::{Bank, Graph, METRICS_SLOTS, Settings, Shard, Storage, TensorId};
use crate::kernels::{Element, reduce};

/// A run of images on the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardTensors {
    /// The images' pixels, four to a word.
    pub pixels: TensorId,
    /// Which images `pixels` holds: the first, and how many.
    pub range: TensorId,
    /// The images it has room for.
    pub images: Shard,
}

/// The persistent tensors of a network's graph, which both programs share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Persistent {
    /// The images on the device.
    pub shards: Vec<ShardTensors>,
    /// The image at each position.
    pub order: TensorId,
    /// The positions 0, 1, 2, ...; only where images are streamed.
    pub positions: Option<TensorId>,
    /// The class of each image.
    pub labels: TensorId,
    /// Weights of the classes in the loss of training.
    pub class_weights: TensorId,
    /// Weights of the classes in the loss of inference: one each.
    pub unit_weights: TensorId,
    /// Softmax scores by position.
    pub probabilities: TensorId,
    /// A ring of [`METRICS_SLOTS`] slots.
    pub metrics: TensorId,
    /// Whether the last step was refused, and how many were.
    pub status: TensorId,
    /// The factor on the loss in mixed precision, and what adapts it.
    pub loss_scale: TensorId,
    /// The whole of each bank that training changes, by [`Bank`].
    banks: [Option<TensorId>; Bank::ALL.len()],
}

impl Persistent {
    /// Adds them to a graph, for images of these rows, columns and channels.
    pub fn add(
        graph: &mut Graph,
        (height, width, channels): (usize, usize, usize),
        classes: usize,
        settings: &Settings,
    ) -> Self {
        let mut add = |name: &str, element, elements| graph.tensor(name, element, elements, Storage::Persistent);
        let shards = settings.shards.iter().enumerate().map(|(number, &images)| {
            let words = (images.count * height * width * channels).div_ceil(4);
            let pixels = add(&format!("pixels.{number}"), Element::U32, words);
            ShardTensors { pixels, range: add(&format!("shard.{number}"), Element::U32, 2), images }
        });
        Self {
            shards: shards.collect(),
            order: add("order", Element::U32, settings.rows),
            positions: settings.streamed.then(|| add("positions", Element::U32, settings.rows)),
            labels: add("labels", Element::U32, settings.images),
            class_weights: add("class_weights", Element::F32, classes),
            unit_weights: add("unit_weights", Element::F32, classes),
            probabilities: add("probabilities", Element::F32, settings.rows * classes),
            metrics: add("metrics", Element::F32, METRICS_SLOTS * 4),
            status: add("status", Element::U32, 2),
            loss_scale: add("loss_scale", Element::F32, reduce::LOSS_SCALE),
            banks: [None; Bank::ALL.len()],
        }
    }

    /// The tensor over the whole of a bank, where training changes it.
    pub fn bank(&self, bank: Bank) -> Option<TensorId> {
        self.banks[bank as usize]
    }

    /// The tensor over the whole of a bank, made at the first call.
    pub fn whole_bank(&mut self, graph: &mut Graph, bank: Bank) -> TensorId {
        *self.banks[bank as usize].get_or_insert_with(|| {
            let elements = graph.bank_elements(bank);
            graph.tensor(bank.name(), bank.element(), elements, Storage::Bank(bank, 0))
        })
    }

    /// Where each position's image lies on the device: the images' order, or the positions themselves where images are streamed.
    pub fn places(&self) -> TensorId {
        self.positions.unwrap_or(self.order)
    }
}
