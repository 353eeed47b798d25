// dense.forward, portable: output[n,o] = act(bias[o] + sum over i of input[n,i] * weights[i,o]).
// One thread per output element, outputs fastest: neighbours share the input and read neighbouring weights.
// Traffic without caches: 2 * IN loads per element. Sixteen products to an iteration keep the loop short: some adapters
// leave it after 65535 (LOOP_ITERATIONS in src/kernels/launch.rs), and a flattened image may be larger.
// use index

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
    let id = flat_group(group, groups) * 64u + local;
    if id >= BATCH * OUT { return; }
    let o = id % OUT;
    let row = id / OUT * IN;

    var sum = 0.0;
    var i = 0u;
    for (; i + 16u <= IN; i += 16u) {
        sum = four(sum, row + i, i * OUT + o);
        sum = four(sum, row + i + 4u, (i + 4u) * OUT + o);
        sum = four(sum, row + i + 8u, (i + 8u) * OUT + o);
        sum = four(sum, row + i + 12u, (i + 12u) * OUT + o);
    }
    for (; i < IN; i++) { sum = fma(f32(input[row + i]), f32(weights[i * OUT + o]), sum); }
    if BIAS { sum += bias[o]; }
    if RELU && sum < 0.0 { sum = 0.0; }
    output[id] = Elem(sum);
}

// Adds four products.
fn four(before: f32, x: u32, w: u32) -> f32 {
    var sum = fma(f32(input[x]), f32(weights[w]), before);
    sum = fma(f32(input[x + 1u]), f32(weights[w + OUT]), sum);
    sum = fma(f32(input[x + 2u]), f32(weights[w + 2u * OUT]), sum);
    return fma(f32(input[x + 3u]), f32(weights[w + 3u * OUT]), sum);
}
