//! Adam on the CPU: as fast as memory brings seven streams.

use crate::kernels::Args;
use crate::kernels::elements::each;
use crate::simd::{InstructionSet, Kernel, LANES, Simd};
use rayon::prelude::*;

/// Parameters that a thread updates at a time.
const CHUNK: usize = 1 << 14;

/// One chunk's update; each array is of sixteen parameters.
struct Update<'a> {
    gradients: &'a [f32],
    parameters: &'a mut [f32],
    moment1: &'a mut [f32],
    moment2: &'a mut [f32],
    numbers: Numbers,
}

/// The numbers of a step.
#[derive(Clone, Copy)]
struct Numbers {
    beta1: f32,
    beta2: f32,
    epsilon: f32,
    /// The step size with its corrections.
    rate: f32,
    /// What decay leaves of a parameter.
    kept: f32,
    /// What the gradients are multiplied by.
    inverse: f32,
}

impl Kernel for Update<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { gradients, parameters, moment1, moment2, numbers } = self;
        let Numbers { beta1, beta2, epsilon, rate, kept, inverse } = numbers;
        let [b1, b2, epsilon, rate, kept, inverse] = [beta1, beta2, epsilon, rate, kept, inverse].map(|n| s.splat(n));
        let [new1, new2] = [1.0 - beta1, 1.0 - beta2].map(|n| s.splat(n));
        let sixteen = |values: &[f32]| {
            let mut array = [0.0; LANES];
            array[..values.len()].copy_from_slice(values);
            array
        };
        let moments = moment1.chunks_mut(LANES).zip(moment2.chunks_mut(LANES));
        let arrays = parameters.chunks_mut(LANES).zip(moments).zip(gradients.chunks(LANES));
        for ((p, (m, v)), g) in arrays {
            let mut out = [sixteen(p), sixteen(m), sixteen(v)];
            let g = s.mul(s.load(&sixteen(g)), inverse);
            let moment = s.fma(b1, s.load(&out[1]), s.mul(new1, g));
            let square = s.fma(b2, s.load(&out[2]), s.mul(s.mul(new2, g), g));
            let change = s.div(s.mul(rate, moment), s.add(s.sqrt(square), epsilon));
            let parameter = s.sub(s.mul(s.load(&out[0]), kept), change);
            for (to, vector) in out.iter_mut().zip([parameter, moment, square]) {
                s.store(vector, to);
            }
            for (to, from) in [p, m, v].into_iter().zip(&out) {
                to.copy_from_slice(&from[..to.len()]);
            }
        }
    }
}

/// Native `adam.update`.
pub fn update(mut args: Args<f32>, set: InstructionSet) {
    if args.indices(1)[0] == 0 {
        return;
    }
    let step = args.step;
    let numbers = Numbers {
        beta1: step.beta1,
        beta2: step.beta2,
        epsilon: step.epsilon,
        rate: step.learning_rate * step.correction2.sqrt() / step.correction1,
        kept: 1.0 - step.learning_rate * step.decay,
        inverse: args.floats(2)[1],
    };
    let gradients = args.floats(0).par_chunks(CHUNK);
    let [parameters, moment1, moment2] = [0, 1, 2].map(|i| args.floats_out(i).par_chunks_mut(CHUNK));
    gradients.zip(parameters).zip(moment1.zip(moment2)).for_each(|((gradients, parameters), (moment1, moment2))| {
        set.run(Update { gradients, parameters, moment1, moment2, numbers });
    });
}

/// Native `adam.ema`.
pub fn ema(mut args: Args<f32>, set: InstructionSet) {
    let share = args.step.ema;
    if args.indices(1)[0] > 0 {
        each(args.floats_out(0), [args.floats(0)], set, |ema, [p]| *ema += share * (p - *ema));
    }
}
