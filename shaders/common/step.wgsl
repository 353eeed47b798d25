// What changes between steps; the only struct shared with Rust (`kernels::StepParams`, 64 bytes, same order).
struct StepParams {
    step: u32,           // optimizer steps before this one
    seed: u32,           // of the run
    first: u32,          // position of the batch's first image in `order`
    count: u32,          // images in this batch, at most BATCH
    learning_rate: f32,
    beta1: f32,
    beta2: f32,
    epsilon: f32,
    correction1: f32,    // 1 - beta1^t
    correction2: f32,    // 1 - beta2^t
    decay: f32,
    slot: u32,           // place in the metrics ring
    before: u32,         // images of the optimizer step in the micro-batches before this one
    whole: u32,          // images of the optimizer step; 0 where this is all of it
    clip: f32,           // largest norm of the gradient; 0 where none is too large
    ema: f32,            // fraction of the new parameters in their EMA
}
@group(0) @binding(0) var<uniform> params: StepParams;

// Images of this step, from the plan's batch.
fn step_images(batch: u32) -> u32 {
    return min(params.count, batch);
}

// Images that the gradient is the mean of: those of the whole optimizer step.
fn step_mean_of(batch: u32) -> u32 {
    return max(params.whole, step_images(batch));
}

// Whether image i of the batch is there: its position first + i, in an order of `rows` images, is not past the last.
fn step_has(i: u32, batch: u32, rows: u32) -> bool {
    return i < step_images(batch) && params.first < rows && i < rows - params.first;
}
