//! A network on an engine, for sessions, classifiers and inspectors.

use crate::engine::{Engine, write_floats};
use crate::error::Result;
use crate::graph::{Graph, ParameterTensors, Persistent, ShardTensors, TensorId};
use crate::kernels::{Precision, reduce};
use crate::plan::Plan;

/// The first factor on the loss in mixed precision; it adapts from there (see [`reduce`]).
const FIRST_LOSS_SCALE: f32 = 4096.0;

/// An engine, and the tensors of its plan that callers write and read.
pub(super) struct Loaded {
    pub engine: Box<dyn Engine>,
    pub persistent: Persistent,
    /// The tensors that hold each parameter, its values first, in the model's order.
    pub parameters: Vec<Vec<TensorId>>,
}

impl Loaded {
    /// Makes the engine of a plan; nothing is written yet.
    pub fn new(plan: Plan, graph: &Graph, make_engine: impl Fn(Plan) -> Result<Box<dyn Engine>>) -> Result<Self> {
        let persistent = plan.persistent()?.clone();
        let parameters = graph.parameters.iter().map(ParameterTensors::copies).collect();
        Ok(Self { engine: make_engine(plan)?, persistent, parameters })
    }

    /// Writes everything that neither program changes, except for pixels and order.
    pub fn fill(&mut self, labels: &[u32], class_weights: Option<&[f32]>, precision: Precision) -> Result<()> {
        let engine = &mut *self.engine;
        let Persistent { shards, positions, unit_weights, loss_scale, .. } = &self.persistent;
        for ShardTensors { range, images, .. } in shards {
            engine.write(*range, bytemuck::cast_slice(&[images.first as u32, images.count as u32]))?;
        }
        if let Some(positions) = *positions {
            let all: Vec<u32> = (0..engine.plan().tensors[positions].elements as u32).collect();
            engine.write(positions, bytemuck::cast_slice(&all))?;
        }
        let scale = reduce::loss_scale(if precision == Precision::Mixed { FIRST_LOSS_SCALE } else { 1.0 });
        engine.write(*loss_scale, bytemuck::cast_slice(&scale))?;
        engine.write(self.persistent.labels, bytemuck::cast_slice(labels))?;
        let ones = vec![1.0f32; engine.plan().tensors[*unit_weights].elements];
        engine.write(*unit_weights, bytemuck::cast_slice(&ones))?;
        engine.write(self.persistent.class_weights, bytemuck::cast_slice(class_weights.unwrap_or(&ones)))
    }

    /// Writes every parameter and its copies, if there are any: in f16, and in the average that training begins with.
    pub fn write_parameters(&mut self, values: &[Vec<f32>]) -> Result<()> {
        for (copies, values) in self.parameters.iter().zip(values) {
            for &id in copies {
                // inference in mixed precision may use only the copy; then there is no room for the values
                if self.engine.plan().places[id].bytes > 0 {
                    write_floats(&mut *self.engine, id, values)?;
                }
            }
        }
        Ok(())
    }

    /// Waits for the pipelines, which were built in the meantime. Fails if a shader does not compile.
    pub fn ready(&mut self) -> Result<()> {
        self.engine.wait().map(drop)
    }
}
