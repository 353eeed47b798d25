// adam.update_mixed, portable. Keras's form: epsilon stands beside the uncorrected second moment. With g = gradients * loss_scale[1]:
//   m = beta1 * m + (1 - beta1) * g;   v = beta2 * v + (1 - beta2) * g^2
//   p = p - learning_rate * decay * p - learning_rate * sqrt(correction2) / correction1 * m / (sqrt(v) + epsilon)
// Nothing changes where status[0] is 0: the step's loss or gradient was not finite.
// One thread per element; 30 bytes per element: the copy in f16 is what the next step multiplies with.
override ELEMENTS: u32;

@group(0) @binding(1) var<storage, read> gradients: array<f32>;
@group(0) @binding(2) var<storage, read> status: array<u32>;
@group(0) @binding(3) var<storage, read> loss_scale: array<f32>;
@group(0) @binding(4) var<storage, read_write> parameters: array<f32>;
@group(0) @binding(5) var<storage, read_write> moment1: array<f32>;
@group(0) @binding(6) var<storage, read_write> moment2: array<f32>;
@group(0) @binding(7) var<storage, read_write> half_parameters: array<Elem>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
    let id = flat_group(group, groups) * 64u + local;
    if id >= ELEMENTS || status[0] == 0u { return; }
    let g = gradients[id] * loss_scale[1];
    let m = params.beta1 * moment1[id] + (1.0 - params.beta1) * g;
    let v = params.beta2 * moment2[id] + (1.0 - params.beta2) * g * g;
    let rate = params.learning_rate * sqrt(params.correction2) / params.correction1;
    let p = parameters[id];
    moment1[id] = m;
    moment2[id] = v;
    let updated = p - params.learning_rate * params.decay * p - rate * m / (sqrt(v) + params.epsilon);
    parameters[id] = updated;
    half_parameters[id] = Elem(updated);
}
