//! Held to Keras: logits, loss, gradients and three steps of Adam of a small network that Keras 3.15.1 (TensorFlow
//! 2.21.0, CPU, f32) computed from the same parameters and images. Both engines, fused and single layers.
//!
//! The fixture (see `tests/fixtures/keras/README.md`) keeps its gradients away from ties of relu and max-pool: f32 and f64
//! agree on them to 2e-6 of each parameter's largest, and other orders of summation to 1.2e-5; hence 1e-4.

use crate::common::npz::Npz;
use crate::common::rig::{Rig, adam, model, read, share_of_largest};
use crate::common::{Device, on_every_device};
use galaxy_gpu::engine::Engine;
use galaxy_gpu::kernels::{Access, StepParams};
use galaxy_gpu::plan::{Place, Program};

const LAYERS: &[&str] = &[
    "conv2d filters=4",
    "relu",
    "max_pool2d",
    "conv2d filters=8",
    "relu",
    "max_pool2d",
    "conv2d filters=16",
    "relu",
    "max_pool2d",
    "conv2d filters=32",
    "relu",
    "max_pool2d",
    DROPOUT,
    "flatten",
    "dense units=24",
    "relu",
    "dense units=12",
    "relu",
    "dense",
];

/// In the network for its logits; gradients and steps of the fixture were taken without.
const DROPOUT: &str = "dropout rate=0.2";

const IMAGES: usize = 4;
const CLASSES: usize = 10;
const PARAMETERS: usize = 14;

/// The arrays of the fixture.
struct Fixture(std::cell::RefCell<Npz>);

impl Fixture {
    fn open() -> Self {
        Self(Npz::fixture("tiny2_fixture.npz").into())
    }

    fn array<T: npyz::Deserialize>(&self, name: &str) -> Vec<T> {
        self.0.borrow_mut().array(name).0
    }

    fn floats(&self, name: &str) -> Vec<f32> {
        self.array(name)
    }

    /// The network with the fixture's images, labels and parameters; images in their own order.
    fn rig(&self, dropout: bool) -> Rig {
        let layers: Vec<&str> = LAYERS.iter().copied().filter(|layer| dropout || *layer != DROPOUT).collect();
        let mut rig = Rig::new(&model(&layers), (32, 32), CLASSES, IMAGES, IMAGES);
        rig.pixels = self.array("images");
        rig.labels = self.array::<i64>("labels").into_iter().map(|label| label as u32).collect();
        rig.order = (0..IMAGES as u32).collect();
        rig.parameters = (0..PARAMETERS).map(|number| self.floats(&format!("param0_{number:02}"))).collect();
        rig
    }
}

/// Runs a test with both groupings.
fn on(device: Device, rig: &Rig, test: impl Fn(&str, &Rig, &mut dyn Engine)) {
    test("fused", rig, &mut *rig.on(device));
    let rig = rig.unfused();
    test("single layers", &rig, &mut *rig.on(device));
}

on_every_device!(logits_and_loss_match_keras, gradients_match_keras, three_steps_of_adam_match_keras);

/// Whether anything after the last call that reads `place` writes into its buffer.
fn is_overwritten(engine: &dyn Engine, program: Program, place: Place) -> bool {
    let steps = engine.plan().steps(program);
    let dispatches: Vec<_> = steps.iter().flat_map(|step| &step.dispatches).collect();
    let last_read = dispatches.iter().rposition(|d| d.bindings.contains(&(place, Access::Read))).unwrap();
    let mut later = dispatches[last_read..].iter().flat_map(|dispatch| &dispatch.bindings);
    later.any(|(other, access)| other.buffer == place.buffer && *access != Access::Read)
}

fn logits_and_loss_match_keras(device: Device) {
    let fixture = Fixture::open();
    let want = fixture.floats("logits");
    let [mean_loss] = fixture.floats("loss")[..] else { panic!("one loss") };
    on(device, &fixture.rig(true), |name, _, engine| {
        engine.run(Program::Infer, &[StepParams { count: IMAGES as u32, ..Default::default() }]).unwrap();
        let metrics = engine.wait().unwrap()[0];
        let loss = metrics.loss / metrics.count;
        assert!((loss - mean_loss).abs() < 1e-5 * mean_loss, "{name}: loss {loss}, Keras {mean_loss}");
        let logits = engine.plan().tensor("infer.dense_2.output").unwrap();
        let place = engine.plan().places[logits];
        // native kernels keep every tensor by itself, and have no dispatches
        let is_reused = device != Device::Native && is_overwritten(engine, Program::Infer, place);
        assert!(!is_reused, "{name}: the logits' buffer is used again");
        let logits = read(engine, "infer.dense_2.output");
        assert_eq!(logits.len(), want.len());
        for (i, (a, b)) in logits.iter().zip(&want).enumerate() {
            assert!((a - b).abs() < 1e-4, "{name}: logit {i} is {a}, Keras has {b}");
        }
        let probabilities = read(engine, "probabilities");
        for (row, logits) in probabilities.chunks(CLASSES).zip(want.chunks(CLASSES)) {
            let total: f32 = logits.iter().map(|logit| logit.exp()).sum();
            row.iter()
                .zip(logits)
                .for_each(|(p, logit)| assert!((p - logit.exp() / total).abs() < 1e-5, "{name}: {p}"));
        }
    });
}

#[test]
fn parameters_have_keras_names_and_order() {
    let fixture = Fixture::open();
    let rig = fixture.rig(true);
    let kinds = ["kernel", "bias"];
    for (number, name) in rig.names().iter().enumerate() {
        assert!(name.ends_with(kinds[number % 2]), "{name}");
        assert_eq!(rig.parameters[number].len(), fixture.floats(&format!("grad_{number:02}")).len(), "{name}");
    }
    assert_eq!(rig.names().len(), PARAMETERS);
    assert_eq!(rig.network.parameter_count(), 9_742);
}

fn gradients_match_keras(device: Device) {
    let fixture = Fixture::open();
    on(device, &fixture.rig(false), |name, rig, engine| {
        engine.run(Program::Train, &[adam(1, 0, IMAGES)]).unwrap();
        let mut worst = (0.0, String::new());
        for (number, parameter) in rig.names().into_iter().enumerate() {
            let gradient = read(engine, &format!("{parameter}.gradient"));
            let error = share_of_largest(&gradient, &fixture.floats(&format!("grad_{number:02}")));
            if error > worst.0 {
                worst = (error, parameter);
            }
        }
        println!("{name}: worst gradient {} of {}", worst.0, worst.1);
        assert!(worst.0 < 1e-4, "{name}: the gradient of {} differs by {} of its largest", worst.1, worst.0);
    });
}

fn three_steps_of_adam_match_keras(device: Device) {
    let fixture = Fixture::open();
    let want: Vec<f32> = fixture.array::<f64>("adam_losses").into_iter().map(|loss| loss as f32).collect();
    assert_eq!(want.len(), 4, "before step 1, 2, 3 and after step 3");
    on(device, &fixture.rig(false), |name, rig, engine| {
        for t in 1..=3 {
            engine.run(Program::Train, &[adam(t, 0, IMAGES)]).unwrap();
        }
        engine.run(Program::Infer, &[adam(4, 0, IMAGES)]).unwrap();
        let losses: Vec<f32> = engine.wait().unwrap().iter().map(|metrics| metrics.loss / metrics.count).collect();
        assert_eq!(losses.len(), want.len());
        println!("{name}: {losses:?}, Keras {want:?}");
        for (got, want) in losses.iter().zip(&want) {
            assert!((got - want).abs() < 1e-5 * want, "{name}: losses {losses:?}, Keras {want:?}");
        }
        let mut far = 0;
        for (number, parameter) in rig.names().iter().enumerate() {
            let got = read(engine, parameter);
            for (i, (a, b)) in got.iter().zip(fixture.floats(&format!("param_step3_{number:02}"))).enumerate() {
                // where the gradient is near 1e-7, Adam's step has any size up to the learning rate, either way
                let difference = (a - b).abs();
                assert!(difference < 6e-3, "{name}: {parameter}[{i}] is {a}, Keras has {b}");
                far += usize::from(difference >= 1e-5);
            }
        }
        println!("{name}: {far} parameters differ by more than 1e-5");
        assert!(far * 100 < rig.network.parameter_count(), "{name}: {far} parameters differ by more than 1e-5");
    });
}
