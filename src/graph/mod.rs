//! A network as tensors and calls: what is computed, in which order, for training and for inference.
//!
//! The graph knows contracts and shapes. It knows no buffers, no adapters and no files: where a tensor lies and which
//! implementation runs is the plan's choice.

mod builder;
mod persistent;

pub use builder::Builder;
pub use persistent::{Persistent, ShardTensors};

use crate::kernels::{Access, Case, Constants, Contract, Element, Precision};
use std::ops::Range;

/// A tensor of a graph, by its place in [`Graph::tensors`].
pub type TensorId = usize;

/// The arrays that hold all trainable tensors, one for each purpose, at the same offsets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Bank {
    /// The weights, in f32.
    Parameters,
    /// Their copies in f16, which mixed precision multiplies with.
    HalfParameters,
    /// Their gradients.
    Gradients,
    /// The sums of their gradients over the micro-batches of a step, where it is made of several.
    GradientSums,
    /// Adam's mean of gradients.
    Moment1,
    /// Adam's mean of squared gradients.
    Moment2,
    /// The exponential moving average (EMA) of the weights over the steps, where there is one.
    Ema,
    /// Its copy in f16.
    HalfEma,
    /// What the forward calls of training change, such as running statistics; it has places of its own. There is none where no layer
    /// has state.
    State,
}

impl Bank {
    /// All banks.
    pub const ALL: [Self; 9] = [
        Self::Parameters,
        Self::HalfParameters,
        Self::Gradients,
        Self::GradientSums,
        Self::Moment1,
        Self::Moment2,
        Self::Ema,
        Self::HalfEma,
        Self::State,
    ];

    /// Its name as a tensor and buffer.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Parameters => "parameters",
            Self::HalfParameters => "half_parameters",
            Self::Gradients => "gradients",
            Self::GradientSums => "gradient_sums",
            Self::Moment1 => "moment1",
            Self::Moment2 => "moment2",
            // checkpoints hold these two names
            Self::Ema => "average",
            Self::HalfEma => "half_average",
            Self::State => "state",
        }
    }

    /// Type of its elements.
    pub fn element(self) -> Element {
        if matches!(self, Self::HalfParameters | Self::HalfEma) { Element::F16 } else { Element::F32 }
    }
}

/// How long a tensor lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// In a bank, from this element on.
    Bank(Bank, usize),
    /// In a buffer of its own, between steps too.
    Persistent,
    /// From the call that writes it to the last that reads it, within one program.
    Transient,
}

/// A named array.
#[derive(Clone, Debug)]
pub struct Tensor {
    /// Unique name, such as `conv2d_1.output`.
    pub name: String,
    /// Type of its elements.
    pub element: Element,
    /// Number of elements.
    pub elements: usize,
    /// How long it lives.
    pub storage: Storage,
}

impl Tensor {
    /// Bytes it takes in a buffer.
    pub fn bytes(&self) -> u64 {
        self.element.bytes(self.elements)
    }
}

/// The two programs of a graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// One training step.
    Train = 0,
    /// One batch of inference.
    Infer = 1,
}

impl Program {
    /// What the names of its transient tensors begin with.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Infer => "infer",
        }
    }
}

/// One use of a contract.
#[derive(Clone, Debug)]
pub struct Call {
    /// The layer it belongs to, for people.
    pub layer: String,
    /// What is computed.
    pub contract: &'static Contract,
    /// What its `or_half` tensors are stored in; f32 where it has none.
    pub precision: Precision,
    /// Its sizes.
    pub constants: Constants,
    /// Its tensors, in binding order.
    pub tensors: Vec<TensorId>,
}

/// A parameter of a layer in all of its banks.
#[derive(Clone, Debug)]
pub struct ParameterTensors {
    /// `conv2d_1.kernel`.
    pub name: String,
    /// Its sizes.
    pub shape: crate::shape::Shape,
    /// Its values.
    pub values: TensorId,
    /// Their copy in f16, in mixed precision.
    pub half: Option<TensorId>,
    /// Its gradient; none where it is state, which the optimizer does not train.
    pub gradient: Option<TensorId>,
    /// Its EMA, which inference uses where there is one.
    pub ema: Option<TensorId>,
    /// The EMA's copy in f16, in mixed precision.
    pub half_ema: Option<TensorId>,
}

impl ParameterTensors {
    /// All tensors that hold its values where nothing has been trained yet.
    pub fn copies(&self) -> Vec<TensorId> {
        [Some(self.values), self.half, self.ema, self.half_ema].into_iter().flatten().collect()
    }
}

/// Tensors and the two programs over them.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    /// All tensors.
    pub tensors: Vec<Tensor>,
    /// Those that both programs share; absent in a graph of a single call.
    pub persistent: Option<Persistent>,
    /// One training step: forward, loss, backward, update. With micro-batches, all but the update is of one of them.
    pub train: Vec<Call>,
    /// One batch of inference: forward and loss, without augmentation and dropout.
    pub infer: Vec<Call>,
    /// Segments of `train`: forward with loss, backward, update.
    pub segments: [Range<usize>; 3],
    /// Parameters in the model's order.
    pub parameters: Vec<ParameterTensors>,
    /// How a step of either program is cut, where it is.
    pub micro_batches: Option<MicroBatches>,
}

/// A batch that is computed a few images at a time, with the gradients added up, as memory is short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MicroBatches {
    /// Images at a time.
    pub images: usize,
    /// Images of a step.
    pub batch: usize,
}

/// Elements at whose multiples a bank's tensors start: 256 bytes in f16, where any binding may start.
pub(crate) const BANK_ALIGNMENT: usize = 128;

/// Slots of the metrics ring; each holds loss sum, hits, count and the gradient's squared norm.
pub const METRICS_SLOTS: usize = 64;

/// A run of images that is one buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Its first image.
    pub first: usize,
    /// Its images.
    pub count: usize,
}

impl Shard {
    /// Its part of a list of all images, which may be too short for the last shards.
    pub fn of<T>(self, all: &[T]) -> &[T] {
        &all[self.first.min(all.len())..(self.first + self.count).min(all.len())]
    }
}

/// Ranges of the random affine map; see `kernels::augment`.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Augment {
    /// Mirror rows and columns, each with probability one half.
    pub flip: bool,
    /// Largest rotation either way, as a fraction of a full turn.
    pub rotation: f64,
    /// Zoom from `1 + zoom.0` to `1 + zoom.1`; below 1 magnifies.
    pub zoom: (f64, f64),
    /// Largest shift either way, as a fraction of the image.
    pub shift: f64,
    /// What lies outside the image.
    pub fill: FillMode,
}

/// What lies outside the image, by Keras's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FillMode {
    /// Mirrored: `d c b a | a b c d | d c b a`.
    Reflect,
    /// Repeated: `a b c d | a b c d | a b c d`.
    Wrap,
    /// The nearest edge pixel.
    Nearest,
    /// Black.
    Constant,
}

impl Default for Augment {
    /// The notebook's ranges: both flips, +-180 degrees, zoom -0.5..0.1, shift +-8 %.
    fn default() -> Self {
        Self { flip: true, rotation: 0.5, zoom: (-0.5, 0.1), shift: 0.08, fill: FillMode::Reflect }
    }
}

/// What a graph needs to know beside the network.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whether there is a training program; without, there are neither gradients nor moments.
    pub training: bool,
    /// Images in a step.
    pub batch: usize,
    /// Images of a step that are computed at a time; all of them where absent, or where there are no more.
    pub micro_batch: Option<usize>,
    /// Images of the data set.
    pub images: usize,
    /// Length of `order`: positions that can be asked for.
    pub rows: usize,
    /// How the images on the device are cut: the whole data set, or, where it is streamed, those of a submission.
    pub shards: Vec<Shard>,
    /// Whether shards hold images by their position in `order`, and not by their number in the data set.
    pub streamed: bool,
    /// Random affine maps while training.
    pub augment: Option<Augment>,
    /// Share of the target spread over all classes.
    pub label_smoothing: f64,
    /// Whether layers are grouped into fused blocks.
    pub fuse: bool,
    /// What activations and multiplied weights are stored in.
    pub precision: Precision,
    /// Whether training keeps an EMA of the weights, which inference then uses.
    pub ema: bool,
}

impl Graph {
    /// Adds a tensor.
    pub fn tensor(&mut self, name: impl Into<String>, element: Element, elements: usize, storage: Storage) -> TensorId {
        self.tensors.push(Tensor { name: name.into(), element, elements, storage });
        self.tensors.len() - 1
    }

    /// Length of a bank in elements. All but that of state hold the same trainable tensors at the same places.
    pub fn bank_elements(&self, bank: Bank) -> usize {
        let end = |tensor: &Tensor| match tensor.storage {
            Storage::Bank(other, offset) if (other == Bank::State) == (bank == Bank::State) => offset + tensor.elements,
            _ => 0,
        };
        self.tensors.iter().map(end).max().unwrap_or(0).next_multiple_of(BANK_ALIGNMENT)
    }

    /// A graph of one call on persistent tensors named after the contract's bindings: what kernel tests and benches run.
    pub fn single(contract: &'static Contract, case: &Case, precision: Precision) -> Self {
        let mut graph = Self::default();
        let lengths = (contract.lengths)(&case.constants);
        let tensors = contract.bindings.iter().zip(lengths);
        let tensors =
            tensors.map(|(b, elements)| graph.tensor(b.name, b.element_in(precision), elements, Storage::Persistent));
        let tensors = tensors.collect();
        let constants = case.constants.clone();
        graph.train.push(Call { layer: case.name.to_owned(), contract, precision, constants, tensors });
        graph.segments = [0..1, 1..1, 1..1];
        graph
    }
}

impl Call {
    /// Tensors that are only read, and tensors that are written.
    pub fn reads_and_writes(&self) -> (Vec<TensorId>, Vec<TensorId>) {
        let uses = || self.contract.bindings.iter().zip(&self.tensors);
        let pick = |read: bool| uses().filter(|(b, _)| (b.access == Access::Read) == read).map(|(_, &t)| t).collect();
        (pick(true), pick(false))
    }
}
