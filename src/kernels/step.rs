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
    /// Images of its optimizer step in the micro-batches before this one.
    pub before: u32,
    /// Images of its optimizer step, whose mean gradient is wanted; zero where this is all of it.
    pub whole: u32,
    /// Largest norm of the gradient: a larger one is scaled down to it; zero where none is too large.
    pub clip: f32,
    /// Fraction of the new parameters in their exponential moving average (EMA).
    pub ema: f32,
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

    /// This step of up to `batch` images as micro-batches of up to `at_a_time`.
    pub fn parts(&self, at_a_time: usize, batch: usize) -> Vec<Self> {
        let whole = self.images(batch);
        let part = |before: usize| Self {
            first: self.first.saturating_add(before as u32),
            count: at_a_time.min(whole - before) as u32,
            before: before as u32,
            whole: whole as u32,
            ..*self
        };
        (0..whole.max(1)).step_by(at_a_time.max(1)).map(part).collect()
    }

    /// Whether its optimizer step ends with this micro-batch.
    pub fn ends(&self) -> bool {
        self.before.saturating_add(self.count) >= self.whole
    }

    /// Images that the gradient is the mean of, from the images of the plan's batch.
    pub fn mean_of(&self, batch: usize) -> usize {
        self.images(batch).max(self.whole as usize)
    }

    /// Position in `order` (of `rows` images) of the batch's image `i`; `None` past the last image.
    pub fn position(&self, i: usize, batch: usize, rows: usize) -> Option<usize> {
        let position = self.first as usize + i;
        (i < self.images(batch) && position < rows).then_some(position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_follow_each_other_and_the_last_ends_the_step() {
        let step = StepParams { first: 30, count: 10, step: 7, slot: 3, ..StepParams::default() };
        let parts = step.parts(4, 12);
        let fields = |part: &StepParams| (part.first, part.count, part.before, part.whole, part.ends());
        let found: Vec<_> = parts.iter().map(fields).collect();
        assert_eq!(found, [(30, 4, 0, 10, false), (34, 4, 4, 10, false), (38, 2, 8, 10, true)]);
        assert!(parts.iter().all(|part| (part.step, part.slot, part.mean_of(4)) == (7, 3, 10)));
        let all = StepParams::default().parts(5, 10);
        assert_eq!(all.iter().map(|part| (part.count, part.ends())).collect::<Vec<_>>(), [(5, false), (5, true)]);
        let none = StepParams { count: 0, ..step }.parts(4, 12);
        assert_eq!(none.iter().map(fields).collect::<Vec<_>>(), [(30, 0, 0, 0, true)]);
        assert!(step.ends() && StepParams::default().ends(), "a step that is not cut ends with itself");
    }
}
