//! The state of a training: everything that its continuation depends on, beside settings and data. Reads it from a device and writes
//! it back.
//!
//! Random numbers need no state: they follow from the seed, the epoch and the step.

use super::history::History;
use super::session::{Session, Totals};
use crate::error::{Error, Result};
use crate::graph::{Bank, TensorId};
use crate::kernels::Element;
use half::f16;
use safetensors::Dtype;
use std::sync::Arc;

/// The tensor whose first number is the factor on the loss.
const LOSS_SCALE: &str = "loss_scale";

/// The banks that training changes from step to step, where it has them. The f16 copies are among them, since a device need not
/// round as the host does.
const CHANGED_BANKS: [Bank; 7] =
    [Bank::Parameters, Bank::HalfParameters, Bank::Moment1, Bank::Moment2, Bank::Ema, Bank::HalfEma, Bank::State];

/// The progress of a training.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Standing {
    /// The epochs that have ended.
    pub history: History,
    /// Optimizer steps so far, with refused ones.
    pub steps: u32,
    /// Steps that changed nothing, as their loss or gradient was not finite.
    pub refused: u32,
    /// How many of the newest steps in a row were refused.
    pub streak: u32,
    /// How often the training returned to its last good state, each time with a lower rate.
    pub roll_backs: u32,
    /// Images of the running epoch that have been trained on, in its order.
    pub position: usize,
    /// Loss and hits of those images.
    pub totals: Totals,
    /// Seconds spent on the running epoch.
    pub seconds: f64,
}

/// A tensor as the device stores it.
#[derive(Clone, Debug, PartialEq)]
pub struct DeviceTensor {
    /// Its name in the plan.
    pub name: String,
    /// Type of its elements.
    pub element: Element,
    /// Its elements, little-endian.
    pub bytes: Vec<u8>,
}

/// The state of a training: with the same settings and data, what follows is the same, bit for bit.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// Its progress.
    pub standing: Standing,
    /// What the device holds.
    pub tensors: Vec<DeviceTensor>,
    /// The last good state, to which a diverging training returns: the newest at the end of an epoch whose last step was not refused, or
    /// the first one. `None` if it is this state.
    pub sound: Option<Arc<State>>,
}

impl State {
    /// The factor on the loss in mixed precision, 1 in f32; see [`crate::kernels::reduce`]. `None` if the state has none.
    pub fn loss_scale(&self) -> Option<f32> {
        let tensor = self.tensors.iter().find(|tensor| tensor.name == LOSS_SCALE)?;
        tensor.bytes.first_chunk().map(|&word| f32::from_le_bytes(word))
    }

    /// Whether every number on the device is finite.
    pub fn is_finite(&self) -> bool {
        self.tensors.iter().all(|DeviceTensor { element, bytes, .. }| match element {
            Element::F32 => bytes.as_chunks().0.iter().all(|&word| f32::from_le_bytes(word).is_finite()),
            Element::F16 => bytes.as_chunks().0.iter().all(|&word| f16::from_le_bytes(word).is_finite()),
            Element::U32 => true,
        })
    }
}

impl Session<'_> {
    /// Reads what training has changed on the device, one copy for each bank, after everything queued.
    ///
    /// # Errors
    /// A lost device.
    pub fn device_state(&mut self) -> Result<Vec<DeviceTensor>> {
        let mut tensors = Vec::new();
        for tensor in self.changed() {
            let mut bytes = self.engine_mut().read(tensor)?;
            let about = &self.engine().plan().tensors[tensor];
            bytes.truncate(about.element.size() * about.elements);
            tensors.push(DeviceTensor { name: about.name.clone(), element: about.element, bytes });
        }
        Ok(tensors)
    }

    /// The tensors that training changes and that the next step needs.
    fn changed(&self) -> Vec<TensorId> {
        let persistent = self.persistent();
        let banks = CHANGED_BANKS.iter().filter_map(|&bank| persistent.bank(bank));
        banks.chain([persistent.loss_scale, persistent.status]).collect()
    }

    /// The parameters that are measured among the tensors of a state of this session, in the model's order: their EMA, where there
    /// is one.
    pub fn parameters_of(&self, tensors: &[DeviceTensor]) -> Vec<Vec<f32>> {
        let find = |bank: Bank| tensors.iter().find(|tensor| tensor.name == bank.name());
        let values = |bank: Option<&DeviceTensor>| -> Vec<f32> {
            bank.map(|bank| bytemuck::pod_collect_to_vec(&bank.bytes)).unwrap_or_default()
        };
        let trained = values(find(Bank::Ema).or_else(|| find(Bank::Parameters)));
        self.cut(&trained, &values(find(Bank::State)))
    }

    /// Brings the device to a state that [`Session::device_state`] has read in a session of the same network and precision.
    ///
    /// # Errors
    /// A lost device; tensors that are not those of this session, and then nothing is changed.
    pub fn set_device_state(&mut self, tensors: &[DeviceTensor]) -> Result<()> {
        let plan = self.engine().plan();
        let mut writes = Vec::new();
        for id in self.changed() {
            let about = &plan.tensors[id];
            let bytes = about.element.size() * about.elements;
            let fits = |t: &&DeviceTensor| t.name == about.name && t.element == about.element && t.bytes.len() == bytes;
            let allowed = format!("{bytes} bytes of {:?}, as this network and precision need", about.element);
            let found =
                tensors.iter().find(fits).ok_or_else(|| Error::setting(&about.name, "missing or other", allowed))?;
            writes.push((id, &found.bytes));
        }
        if writes.len() != tensors.len() {
            return Err(Error::setting("the state of the device", format!("{} tensors", tensors.len()), writes.len()));
        }
        writes.into_iter().try_for_each(|(id, bytes)| self.engine_mut().write(id, bytes))
    }
}

/// How a file names an element.
pub(super) fn dtype(element: Element) -> Dtype {
    match element {
        Element::F32 => Dtype::F32,
        Element::F16 => Dtype::F16,
        Element::U32 => Dtype::U32,
    }
}

/// The element that a file names.
pub(super) fn element(dtype: Dtype) -> Option<Element> {
    [Element::F32, Element::F16, Element::U32].into_iter().find(|&element| self::dtype(element) == dtype)
}
