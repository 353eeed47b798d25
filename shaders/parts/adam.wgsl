// One step of Adam for four parameters, in Keras's form: epsilon is added to the root of the uncorrected second moment.
// With g = gradients * loss_scale[1]:
//   m = beta1 * m + (1 - beta1) * g;   v = beta2 * v + (1 - beta2) * g^2
//   p = p - learning_rate * decay * p - learning_rate * sqrt(correction2) / correction1 * m / (sqrt(v) + epsilon)
// use step
// vec4 gradients, parameters, moment1, moment2

fn update(id: u32) -> vec4f {
    let g = gradients[id] * loss_scale[1];
    let m = params.beta1 * moment1[id] + (1.0 - params.beta1) * g;
    let v = params.beta2 * moment2[id] + (1.0 - params.beta2) * g * g;
    let rate = params.learning_rate * sqrt(params.correction2) / params.correction1;
    let p = parameters[id];
    moment1[id] = m;
    moment2[id] = v;
    let updated = p - params.learning_rate * params.decay * p - rate * m / (sqrt(v) + params.epsilon);
    parameters[id] = updated;
    return updated;
}
