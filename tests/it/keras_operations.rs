//! Adam and the loss against Keras's own numbers for a small network.

use crate::common::npz::Npz;
use galaxy_gpu::engine::validate::{Values, run_twin};
use galaxy_gpu::kernels::{Case, Constants, Precision, StepParams, adam, reduce, softmax_cross_entropy};
use galaxy_gpu::train::Adam;

/// An array of the fixture.
fn array<T: npyz::Deserialize>(name: &str) -> Vec<T> {
    Npz::fixture("tiny2_fixture.npz").array(name).0
}

fn floats(values: &Values) -> &[f32] {
    let Values::Float(values) = values else { panic!("integers") };
    values
}

#[test]
fn the_loss_matches_keras() {
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
    let case = Case::new("keras", softmax_cross_entropy::Sizes::new(4, 10, 4, 4));
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
fn the_first_step_of_adam_matches_keras() {
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
        let case = Case::new("keras", adam::Sizes { elements: before.len() }).at(step);
        let end = run_twin(&adam::UPDATE, &case, Precision::F32, &start);
        let want: Vec<f32> = array(&format!("param_step1_{parameter:02}"));
        for ((got, want), before) in floats(&end[3]).iter().zip(&want).zip(&before) {
            assert!((got - want).abs() < 2e-6, "parameter {parameter}: {got} is not {want}");
            moved += usize::from((want - before).abs() > 5e-4);
        }
    }
    assert!(moved > 5_000, "only {moved} parameters moved");
}

/// Keras 3.15.1: `AdamW(learning_rate=0.01, weight_decay=0.1, global_clipnorm=1.0)` on `[0.5, -1, 2]`, by `optimizer.apply` of the three
/// gradients below, whose norms are 1.3, 0.3 and 13: the first and the last are clipped.
#[test]
fn steps_of_adamw_with_a_clipped_norm_match_keras() {
    let gradients = [[0.3, -0.4, 1.2], [0.1, 0.2, -0.2], [-3.0, 4.0, 12.0]];
    let wanted = [
        [0.489_500_22, -0.989_000_2, 1.988_000_2],
        [0.479_903_28, -0.986_450_85, 1.981_040_1],
        [0.478_559_17, -0.988_646_8, 1.971_844_6],
    ];
    let optimizer = Adam { learning_rate: 0.01, decay: 0.1, clip_norm: Some(1.0), ..Adam::default() };
    let zeros = || Values::Float(vec![0.0; 3]);
    let (mut parameters, mut moments) = (Values::Float(vec![0.5, -1.0, 2.0]), [zeros(), zeros()]);
    for (step, (gradient, want)) in gradients.into_iter().zip(wanted).enumerate() {
        let params = optimizer.params(step as u32);
        let run = |contract, constants: Constants, start: &[Values]| {
            run_twin(contract, &Case::new("keras", constants).at(params), Precision::F32, start)
        };
        // as mixed precision has it: the loss was scaled by 8
        let gradient = Values::Float(gradient.map(|g: f32| 8.0 * g).to_vec());
        let sums = run(&reduce::SUM_SQUARES, reduce::SumSquaresSizes::new(3).into(), &[gradient.clone(), zeros()]);
        let start = [
            sums[1].clone(),
            Values::Float(vec![0.0; 4]),
            Values::Index(vec![0, 0]),
            Values::Float(reduce::loss_scale(8.0).to_vec()),
        ];
        let norm = run(&reduce::GRADIENT, reduce::GradientSizes { groups: 1, slots: 1, dynamic: false }.into(), &start);
        let [first, second] = moments;
        let start = [gradient, norm[2].clone(), norm[3].clone(), parameters, first, second];
        let mut end = run(&adam::UPDATE, adam::Sizes { elements: 3 }.into(), &start);
        let second = end.pop().unwrap();
        let first = end.pop().unwrap();
        (parameters, moments) = (end.pop().unwrap(), [first, second]);
        for (got, want) in floats(&parameters).iter().zip(want) {
            // a dozen roundings of numbers up to 2 in each of three steps
            assert!((got - want).abs() < 1e-6, "step {step}: {got} is not {want}");
        }
    }
}
