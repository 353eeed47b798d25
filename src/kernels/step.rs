//! What changes between steps. Everything else is fixed when the plan is made.

/// Parameters of one step: 64 bytes, the only struct shared with WGSL (`shaders/common/step.wgsl`).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
pub struct StepParams {
    /// Optimizer steps before this one.
    pub step: u32,
    /// Seed of the run.
    pub seed: u32,
    /// Position of the batch's first image in `order`.
    pub first: u32,
    /// Images in this batch, at most the plan's batch.
    pub count: u32,
    /// Adam's step size.
    pub learning_rate: f32,
    /// Decay of the first moment.
    pub beta1: f32,
    /// Decay of the second moment.
    pub beta2: f32,
    /// Keras's epsilon, outside the bias correction.
    pub epsilon: f32,
    /// `1 - beta1^t`.
    pub correction1: f32,
    /// `1 - beta2^t`.
    pub correction2: f32,
    /// Decoupled weight decay per unit of learning rate.
    pub decay: f32,
    /// Place in the metrics ring.
    pub slot: u32,
    /// Zero.
    pub reserved: [u32; 4],
}

impl Default for StepParams {
    fn default() -> Self {
        let mut params: Self = bytemuck::Zeroable::zeroed();
        params.count = u32::MAX;
        params
    }
}

impl StepParams {
    /// Images of this step, from the plan's batch.
    pub fn images(&self, batch: usize) -> usize {
        (self.count as usize).min(batch)
    }

    /// Position in `order` (of `rows` images) of the batch's image `i`; `None` past the last image.
    pub fn position(&self, i: usize, batch: usize, rows: usize) -> Option<usize> {
        let position = self.first as usize + i;
        (i < self.images(batch) && position < rows).then_some(position)
    }
}
