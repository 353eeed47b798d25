//! The twins of the dense layer; formulas and constants are in the folder's `mod.rs`.

use super::Sizes;
use crate::kernels::twin::add_scaled;
use crate::kernels::{Args, Real};
use rayon::prelude::*;

/// Twin of `dense.forward`; images spread over the cores.
pub fn forward<T: Real>(mut args: Args<T>) {
    let c = Sizes::from(args.constants);
    let (input, weights, bias) = (args.floats(0), args.floats(1), args.floats(2));
    let Sizes { ins, outs, .. } = c;
    args.floats_out(0).par_chunks_mut(outs).zip(input.par_chunks(ins)).for_each(|(output, input)| {
        output.fill(T::zero());
        for (&x, weights) in input.iter().zip(weights.chunks(outs)) {
            add_scaled(output, weights, x);
        }
        if c.bias {
            add_scaled(output, bias, T::one());
        }
        if c.relu {
            output.iter_mut().filter(|y| **y < T::zero()).for_each(|y| *y = T::zero());
        }
    });
}

/// Twin of `dense.backward_input`; images spread over the cores.
pub fn backward_input<T: Real>(mut args: Args<T>) {
    let (output_gradient, weights) = (args.floats(0), args.floats(1));
    let Sizes { ins, outs, .. } = args.constants.into();
    let rows = args.floats_out(0).par_chunks_mut(ins).zip(output_gradient.par_chunks(outs));
    rows.for_each(|(input_gradient, output_gradient)| {
        for (sum, weights) in input_gradient.iter_mut().zip(weights.chunks(outs)) {
            *sum = output_gradient.iter().zip(weights).map(|(&dy, &w)| dy * w).sum();
        }
    });
}

/// Twin of `dense.backward_weights`; inputs spread over the cores.
pub fn backward_weights<T: Real>(mut args: Args<T>) {
    let c = Sizes::from(args.constants);
    let (input, output_gradient) = (args.floats(0), args.floats(1));
    let Sizes { ins, outs, .. } = c;
    args.floats_out(0).par_chunks_mut(outs).enumerate().for_each(|(i, sums)| {
        sums.fill(T::zero());
        for (input, output_gradient) in input.chunks(ins).zip(output_gradient.chunks(outs)) {
            add_scaled(sums, output_gradient, input[i]);
        }
    });
    let bias_gradient = args.floats_out(1);
    bias_gradient.fill(T::zero());
    if c.bias {
        output_gradient.chunks(outs).for_each(|row| add_scaled(bias_gradient, row, T::one()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::{StepParams, View, ViewMut};

    /// Runs a twin on floats; returns its outputs, of the given lengths.
    fn run(twin: fn(Args<f64>), c: Sizes, reads: &[&[f64]], lengths: &[usize]) -> Vec<Vec<f64>> {
        let mut outputs: Vec<Vec<f64>> = lengths.iter().map(|&n| vec![f64::NAN; n]).collect();
        let writes = outputs.iter_mut().map(|o| Some(ViewMut::Float(&mut o[..]))).collect();
        let reads = reads.iter().map(|r| View::Float(r)).collect();
        twin(Args { constants: &c.into(), step: &StepParams::default(), reads, writes });
        outputs
    }

    const X: &[f64] = &[1.0, 2.0, 3.0, -1.0, 0.0, 2.0];
    const W: &[f64] = &[1.0, -1.0, 0.5, 2.0, -2.0, 1.0];
    const DY: &[f64] = &[1.0, 2.0, -1.0, 3.0];

    #[test]
    fn two_images_by_hand() {
        let c = Sizes::new(2, 3, 2);
        let output = run(forward, c, &[X, W, &[0.25, -10.0]], &[4]);
        assert_eq!(output[0], [-3.75, -4.0, -4.75, -7.0]);
        let gradient = run(backward_input, c, &[DY, W], &[6]);
        assert_eq!(gradient[0], [-1.0, 4.5, 0.0, -4.0, 5.5, 5.0]);
        let gradient = run(backward_weights, c, &[X, DY], &[6, 2]);
        assert_eq!(gradient, [vec![2.0, -1.0, 2.0, 4.0, 1.0, 12.0], vec![0.0, 5.0]]);
    }

    #[test]
    fn switches_are_obeyed() {
        let c = Sizes { bias: false, relu: true, ..Sizes::new(2, 3, 2) };
        assert_eq!(run(forward, c, &[X, W, &[9.0, 9.0]], &[4])[0], [0.0, 6.0, 0.0, 3.0]);
        assert_eq!(run(backward_weights, c, &[X, DY], &[6, 2])[1], [0.0, 0.0]);
    }
}
