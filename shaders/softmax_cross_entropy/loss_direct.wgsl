// softmax_cross_entropy.loss, portable. Row i is image order[first + i], its label labels[image]; z = logits - max logits.
//   p[c]    = exp(z[c]) / s,   s = sum over c of exp(z[c]);   target[c] = (1 - SMOOTHING) * [c = label] + SMOOTHING / CLASSES
//   loss    = class_weights[label] * (log(s) - sum over c of target[c] * z[c])
//   logits_gradient[c] = class_weights[label] * loss_scale[0] * (p[c] - target[c]) / images of the whole step
//   stats   = loss, and 1 where the first largest logit is the label
// One thread per row; probabilities go to row first + i. Rows past the last image write zero gradient and stats only.
// The loss comes from z, not from p, so it stays right where p underflows.
// use index, step

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
    let id = flat_group(group, groups) * 64u + local;
    if id >= BATCH { return; }
    let row = id * CLASSES;
    if !step_has(id, BATCH, ROWS) {
        for (var c = 0u; c < CLASSES; c++) { logits_gradient[row + c] = Elem(0.0); }
        stats[id * 2u] = 0.0;
        stats[id * 2u + 1u] = 0.0;
        return;
    }
    let label = labels[order[params.first + id]];

    var largest = f32(logits[row]);
    var argmax = 0u;
    for (var c = 1u; c < CLASSES; c++) {
        let value = f32(logits[row + c]);
        if value > largest { largest = value; argmax = c; }
    }
    var exponentials = 0.0;
    var total = 0.0;
    for (var c = 0u; c < CLASSES; c++) {
        let z = f32(logits[row + c]) - largest;
        exponentials += exp(z);
        total += z;
    }

    let weight = class_weights[label];
    let share = SMOOTHING / f32(CLASSES);
    let expected = (1.0 - SMOOTHING) * (f32(logits[row + label]) - largest) + share * total;
    stats[id * 2u] = weight * (log(exponentials) - expected);
    stats[id * 2u + 1u] = select(0.0, 1.0, argmax == label);

    let factor = weight * loss_scale[0] / f32(step_mean_of(BATCH));
    for (var c = 0u; c < CLASSES; c++) {
        let p = exp(f32(logits[row + c]) - largest) / exponentials;
        let goal = select(0.0, 1.0 - SMOOTHING, c == label) + share;
        logits_gradient[row + c] = Elem(factor * (p - goal));
        probabilities[(params.first + id) * CLASSES + c] = p;
    }
}
