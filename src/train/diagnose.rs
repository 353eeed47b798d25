//! Finds where numbers go wrong: runs a step call by call until one writes a number that is not finite.

use super::session::Session;
use crate::engine::read_floats;
use crate::error::Result;
use crate::graph::TensorId;
use crate::kernels::{Access, Element, StepParams};
use crate::plan::{Program, Step};

/// The first call of a training step, micro-batch by micro-batch, that writes a number that is not finite, in words; `None` if all are
/// finite. It leaves the session in the middle of that step.
///
/// # Errors
/// The device is lost.
pub(super) fn origin(session: &mut Session, params: &StepParams) -> Result<Option<String>> {
    // if images are streamed, this brings those of the batch to the device
    session.run(Program::Infer, std::slice::from_ref(params))?;
    session.wait()?;
    for part in session.engine().plan().parts(params) {
        for (number, step) in session.engine().plan().steps_of(Program::Train, &part).to_vec().iter().enumerate() {
            session.engine_mut().run_alone(Program::Train, number, &part)?;
            for tensor in floats_written(session, step) {
                if read_floats(session.engine_mut(), tensor)?.iter().any(|value| !value.is_finite()) {
                    let name = &session.engine().plan().tensors[tensor].name;
                    let (contract, layer) = (step.contract.name, &step.layer);
                    return Ok(Some(format!("{contract} of layer {layer} writes the first such number, in {name}")));
                }
            }
        }
    }
    Ok(None)
}

/// The floats that a call writes, except for the ring of metrics, which holds earlier steps.
fn floats_written(session: &Session, step: &Step) -> Vec<TensorId> {
    let (tensors, metrics) = (&session.engine().plan().tensors, session.persistent().metrics);
    let written = step.tensors.iter().zip(step.contract.bindings).filter(|(_, binding)| binding.access != Access::Read);
    let floats = written.filter(|(id, _)| tensors[**id].element != Element::U32 && **id != metrics);
    floats.map(|(&id, _)| id).collect()
}
