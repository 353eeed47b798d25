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
    reserved0: u32,
    reserved1: u32,
    reserved2: u32,
    reserved3: u32,
}
@group(0) @binding(0) var<uniform> params: StepParams;

// Images of this step, from the plan's batch.
fn step_images(batch: u32) -> u32 {
    return min(params.count, batch);
}

// Whether image i of the batch is there: its position first + i, in an order of `rows` images, is not past the last.
fn step_has(i: u32, batch: u32, rows: u32) -> bool {
    return i < step_images(batch) && params.first < rows && i < rows - params.first;
}
