// dense.forward on tiles in workgroup memory, for hardware, first of two dispatches (formula: forward_direct.wgsl): products summed over
// a run of inputs. A workgroup computes 64 images x 64 outputs over one of SPLITS equal runs of SPLIT_INS inputs, a number fixed by the
// shapes, so that weights are read from memory once where a batch has at most 64 images. Per 16 inputs it stages both
// factors, inputs by columns; a thread sums 4 images x 8 outputs: 32 multiply-adds for three vec4 of workgroup memory.
// forward_split_sum.wgsl adds the runs in order. Scratch: SPLITS x BATCH x OUT. Needs IN divisible by 16 and OUT by 64.
// use dense_tiles, index
// vec4 input, weights, partial

@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
    let id = flat_group(group, groups);
    let blocks = (BATCH + 63u) / 64u;
    let stripes = OUT / 64u;
    if id >= SPLITS * blocks * stripes { return; }
    let first = id / stripes % blocks * 64u; // image
    let word = id % stripes * 16u; // of four outputs
    let split = id / (stripes * blocks);
    let four = local / 8u; // images
    let own = local % 8u; // this word and the eighth after it

    var sums = Sums();
    let last = min((split + 1u) * SPLIT_INS, IN);
    for (var start = split * SPLIT_INS; start < last; start += 16u) {
        workgroupBarrier();
        if local < 64u { stage_images(first, start, local); }
        for (var i = local; i < 256u; i += 128u) { columns[i] = vec4f(weights[(start + i / 16u) * (OUT / 4u) + word + i % 16u]); }
        workgroupBarrier();
        sums = add_terms(sums, four, own);
    }
    let place = split * BATCH * (OUT / 4u) + word + own;
    store_sums(first + four * 4u, place, sums);
}

fn load(n: u32, at: u32) -> vec4f {
    return vec4f(input[n * (IN / 4u) + at]);
}

fn store(n: u32, place: u32, left: vec4f, right: vec4f) {
    if n >= BATCH { return; }
    partial[place + n * (OUT / 4u)] = left;
    partial[place + n * (OUT / 4u) + 8u] = right;
}
