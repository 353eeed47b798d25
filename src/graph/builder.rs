//! A graph under construction: what layers add to it.

use super::{BANK_ALIGNMENT, Bank, Call, Graph, ParameterTensors, Program, Settings, Storage, TensorId};
use crate::kernels::{Constants, Contract, Element, Precision, add};
use crate::shape::Shape;

/// A graph under construction.
pub struct Builder {
    /// What there is of it.
    pub graph: Graph,
    /// Images at a time: the batch, or a micro-batch.
    pub batch: usize,
    /// What activations and multiplied weights are stored in.
    pub precision: Precision,
    /// Calls of the program being written.
    pub calls: Vec<Call>,
    /// The program being written.
    pub program: Program,
    /// Whether backward calls compute the gradients of weights, and not only those of inputs.
    pub weights_wanted: bool,
    /// Elements of the banks so far: of the trainable tensors, which have the same places in all of their banks, and of the state.
    lengths: [usize; 2],
}

impl Builder {
    /// An empty graph.
    pub fn new(settings: &Settings) -> Self {
        let (graph, batch, precision) = (Graph::default(), settings.batch, settings.precision);
        Self {
            graph,
            batch,
            precision,
            calls: Vec::new(),
            program: Program::Train,
            weights_wanted: true,
            lengths: [0; 2],
        }
    }

    /// Whether the program being written trains.
    pub fn is_training(&self) -> bool {
        self.program == Program::Train
    }

    /// Adds a trainable tensor.
    pub fn add_trainable(&mut self, name: &str, shape: &Shape, settings: &Settings) {
        let mixed = settings.precision == Precision::Mixed;
        let has_ema = settings.training && settings.ema;
        let (elements, offset) = (shape.elements(), self.lengths[0]);
        let mut add = |ending: &str, bank: Bank| {
            self.graph.tensor(format!("{name}{ending}"), bank.element(), elements, Storage::Bank(bank, offset))
        };
        let tensors = ParameterTensors {
            name: name.to_owned(),
            shape: shape.clone(),
            values: add("", Bank::Parameters),
            half: mixed.then(|| add(".half", Bank::HalfParameters)),
            gradient: Some(add(".gradient", Bank::Gradients)),
            ema: has_ema.then(|| add(".ema", Bank::Ema)),
            half_ema: (has_ema && mixed).then(|| add(".half_ema", Bank::HalfEma)),
        };
        self.graph.parameters.push(tensors);
        self.lengths[0] += elements.next_multiple_of(BANK_ALIGNMENT);
    }

    /// Adds a tensor that forward calls of training change.
    pub fn add_state(&mut self, name: &str, shape: &Shape) {
        let (elements, storage) = (shape.elements(), Storage::Bank(Bank::State, self.lengths[1]));
        let values = self.graph.tensor(name, Bank::State.element(), elements, storage);
        let (name, shape) = (name.to_owned(), shape.clone());
        let tensors = ParameterTensors { name, shape, values, half: None, gradient: None, ema: None, half_ema: None };
        self.graph.parameters.push(tensors);
        self.lengths[1] += elements.next_multiple_of(BANK_ALIGNMENT);
    }

    /// What this program reads of a parameter: inference its EMA, where there is one.
    pub fn values(&self, parameter: usize) -> TensorId {
        let ParameterTensors { values, ema, .. } = self.graph.parameters[parameter];
        ema.filter(|_| self.program == Program::Infer).unwrap_or(values)
    }

    /// What this program multiplies with: as [`Builder::values`], in mixed precision their copy in f16.
    pub fn factor(&self, parameter: usize) -> TensorId {
        let ParameterTensors { half, half_ema, .. } = self.graph.parameters[parameter];
        let half = half_ema.filter(|_| self.program == Program::Infer).or(half);
        half.unwrap_or_else(|| self.values(parameter))
    }

    /// The gradient of a parameter, where it has one and the program computes it.
    pub fn gradient(&self, parameter: usize) -> Option<TensorId> {
        self.graph.parameters[parameter].gradient.filter(|_| self.weights_wanted)
    }

    /// An activation or its gradient, of so many elements for each image.
    pub fn activation(&mut self, name: &str, elements: usize) -> TensorId {
        let element = if self.precision == Precision::Mixed { Element::F16 } else { Element::F32 };
        self.transient(name, element, self.batch * elements)
    }

    /// A tensor that lives within the program.
    pub fn transient(&mut self, name: &str, element: Element, elements: usize) -> TensorId {
        self.graph.tensor(format!("{}.{name}", self.program.name()), element, elements, Storage::Transient)
    }

    /// Adds a call.
    pub fn call(
        &mut self,
        contract: &'static Contract,
        layer: &str,
        sizes: impl Into<Constants>,
        tensors: &[TensorId],
    ) {
        let wanted = self.precision;
        let precision = if contract.precisions().contains(&wanted) { wanted } else { Precision::F32 };
        let (layer, tensors, constants) = (layer.to_owned(), tensors.to_vec(), sizes.into());
        self.calls.push(Call { layer, contract, precision, constants, tensors });
    }

    /// Adds up tensors of so many elements for each image, from the first to the last; the sum is called `<layer>.<name>`.
    pub fn sum(&mut self, layer: &str, name: &str, tensors: &[TensorId], elements: usize) -> TensorId {
        let mut sum = tensors[0];
        for (number, &next) in tensors.iter().enumerate().skip(1) {
            let part = if number + 1 == tensors.len() { String::new() } else { format!("_{number}") };
            let output = self.activation(&format!("{layer}.{name}{part}"), elements);
            self.call(&add::FORWARD, layer, add::Sizes { elements: self.batch * elements }, &[sum, next, output]);
            sum = output;
        }
        sum
    }
}
