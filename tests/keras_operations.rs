//! Adam and the loss against Keras's own numbers for a small network.

#[path = "common/npz.rs"]
mod npz;

use galaxy_gpu::engine::validate::{Values, run_twin};
use galaxy_gpu::kernels::{Case, Precision, StepParams, adam, reduce, softmax_cross_entropy};
use npz::Npz;

/// An array of the fixture.
fn array<T: npyz::Deserialize>(name: &str) -> Vec<T> {
    Npz::fixture("tiny2_fixture.npz").array(name).0
}

fn floats(values: &Values) -> &[f32] {
    let Values::Float(values) = values else { panic!("integers") };
    values
}

#[test]
fn the_loss_is_kerass() {
    let labels: Vec<i64> = array("labels");
    let start = [
        Values::Float(array("logits")),
        Values::Index(labels.iter().map(|&label| label as u32).collect()),
        Values::Index(vec![0, 1, 2, 3]),
        Values::Float(vec![1.0; 10]),
        Values::Float(reduce::loss_scale(1.0).to_vec()),
        Values::Float(vec![f32::NAN; 40]),
        Values::Float(vec![f32::NAN; 8]),
        Values::Float(vec![f32::NAN; 40]),
    ];
    let case = Case::new("keras", softmax_cross_entropy::constants(4, 10, 4, 4));
    let end = run_twin(&softmax_cross_entropy::LOSS, &case, Precision::F32, &start);
    let mean = floats(&end[6]).iter().step_by(2).sum::<f32>() / 4.0;
    let want = array::<f32>("loss")[0];
    assert!((mean - want).abs() < 1e-6, "{mean} is not {want}");
    // the bias of the last layer has the sum of the logits' gradients over the batch as its own
    let gradient = floats(&end[5]);
    for (class, want) in array::<f32>("grad_13").iter().enumerate() {
        let sum: f32 = (0..4).map(|i| gradient[i * 10 + class]).sum();
        assert!((sum - want).abs() < 1e-6, "class {class}: {sum} is not {want}");
    }
}

#[test]
fn the_first_step_of_adam_is_kerass() {
    let step = StepParams {
        learning_rate: 1e-3,
        beta1: 0.9,
        beta2: 0.999,
        epsilon: 1e-7,
        correction1: 0.1,
        correction2: 0.001,
        ..Default::default()
    };
    let mut moved = 0;
    for parameter in 0..14 {
        let before: Vec<f32> = array(&format!("param0_{parameter:02}"));
        let zeros = || Values::Float(vec![0.0; before.len()]);
        let gradient = Values::Float(array(&format!("grad_{parameter:02}")));
        let scale = Values::Float(reduce::loss_scale(1.0).to_vec());
        let start = [gradient, Values::Index(vec![1, 0]), scale, Values::Float(before.clone()), zeros(), zeros()];
        let case = Case::new("keras", adam::constants(before.len())).at(step);
        let end = run_twin(&adam::UPDATE, &case, Precision::F32, &start);
        let want: Vec<f32> = array(&format!("param_step1_{parameter:02}"));
        for ((got, want), before) in floats(&end[3]).iter().zip(&want).zip(&before) {
            assert!((got - want).abs() < 2e-6, "parameter {parameter}: {got} is not {want}");
            moved += usize::from((want - before).abs() > 5e-4);
        }
    }
    assert!(moved > 5_000, "only {moved} parameters moved");
}
