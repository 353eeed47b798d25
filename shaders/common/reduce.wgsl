// A fixed tree over the 256 threads of a workgroup: the same order of additions on every adapter, no atomics.
const REDUCE_THREADS = 256u;
var<workgroup> reduce_values: array<f32, REDUCE_THREADS>;

// Sum of `value` over the workgroup, known to every thread. All threads must call it.
fn reduce_sum(value: f32, local: u32) -> f32 {
    reduce_values[local] = value;
    workgroupBarrier();
    for (var half = REDUCE_THREADS / 2u; half > 0u; half /= 2u) {
        if local < half {
            reduce_values[local] += reduce_values[local + half];
        }
        workgroupBarrier();
    }
    let sum = reduce_values[0];
    workgroupBarrier();
    return sum;
}
