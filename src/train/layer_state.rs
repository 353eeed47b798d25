//! State of layers, which forward calls change and no optimizer: through training, checkpoints, resume and weights. The layer is one
//! for tests, `layers/memory.rs`: it keeps the first image of the last batch.

use super::checkpoint::Keeper;
use super::*;
use crate::data::{Dataset, Split, simulate};
use crate::engine::{CpuEngine, Engine};
use crate::graph::{Bank, Graph};
use crate::model::{Model, Network};
use crate::plan::{Options, Plan, Profile};
use std::path::Path;

/// Keeps the state at the end of each epoch.
#[derive(Default)]
struct EachEpoch(Vec<Arc<State>>);

impl Watch for EachEpoch {
    fn progress(&mut self, _: Progress) {}

    fn epoch(&mut self, _: &EpochRecord, _: Vec<Vec<f32>>) -> Result<()> {
        Ok(())
    }

    fn due(&mut self, moment: Moment, _: u32) -> bool {
        moment == Moment::Epoch
    }

    fn keep(&mut self, state: Arc<State>) {
        self.0.push(state);
    }

    fn stop(&self) -> bool {
        false
    }
}

const MODEL: &str = "name = 'remembering'
    layer = [{ type = 'memory' }, { type = 'max_pool2d', size = 4 }, { type = 'flatten' }, { type = 'dense' }]";

fn network(text: &str) -> Network {
    Model::from_toml(Path::new("test.toml"), text).unwrap().build(16, 16, 10).unwrap()
}

fn setup(ema: bool) -> Setup {
    Setup { training: true, ema, ..Setup::inference(3) }
}

fn session<'a>(dataset: &'a Dataset, ema: bool) -> Session<'a> {
    let make_engine = |plan: Plan| Ok(Box::new(CpuEngine::<f32>::new(plan)) as Box<dyn Engine>);
    Session::new(&network(MODEL), dataset, &setup(ema), &Profile::cpu(), make_engine).unwrap()
}

fn card(dataset: &Dataset) -> Card {
    Card {
        model: toml::from_str(MODEL).unwrap(),
        classes: dataset.classes.clone(),
        height: 16,
        width: 16,
        preprocessing: PREPROCESSING.into(),
        data: "simulated".into(),
        seed: 1,
        split_hash: String::new(),
        validation: 0.0,
        chosen_by: Default::default(),
        precision: Default::default(),
        shaders: None,
        epochs: 2,
        step: 8,
        val_accuracy: None,
    }
}

fn identity(dataset: &Dataset) -> Identity {
    Identity {
        program: "test".into(),
        device: "twins".into(),
        card: card(dataset),
        images: dataset.len(),
        data_hash: String::new(),
        options: serde_json::Value::Null,
    }
}

#[test]
fn state_of_layers_is_in_checkpoints_and_weights_and_resumes_to_the_bit() {
    let dataset = simulate::simulate(&simulate::Settings { images: 20, size: 16, seed: 1 }).unwrap();
    let split = Split { train: (0..12).collect(), test: (12..18).collect(), ..Split::default() };
    let folder = tempfile::tempdir().unwrap();
    for ema in [None, Some(0.9)] {
        let adam = Adam { ema, ..Adam::default() };
        let settings = Settings { epochs: 2, seed: 1, adam, ..Settings::default() };
        let mut watch = EachEpoch::default();
        let mut trained = session(&dataset, ema.is_some());
        let whole = train(&mut trained, &network(MODEL), &split, &settings, &mut watch).unwrap();
        // the layer remembers an image that was trained on, and measuring others has not changed that
        let seen = |image: u32| dataset.image(image as usize).iter().map(|&byte| f32::from(byte) / 255.0);
        assert!(split.train.iter().any(|&image| seen(image).eq(whole.parameters[0].iter().copied())));
        assert_eq!(trained.parameters().unwrap(), whole.parameters);

        let mut keeper = Keeper::new(folder.path());
        let state = watch.0.swap_remove(0);
        keeper.keep(Checkpoint { identity: identity(&dataset), state: state.clone() }).unwrap();
        keeper.finish().unwrap();
        let (found, note) = Checkpoint::load(folder.path()).unwrap();
        // a file sorts tensors by name
        let by_name = |state: &State| {
            let mut tensors = state.tensors.clone();
            tensors.sort_by(|a, b| a.name.cmp(&b.name));
            tensors
        };
        assert!(by_name(&found.state) == by_name(&state) && note.is_none());
        let bank = found.state.tensors.iter().find(|tensor| tensor.name == Bank::State.name()).unwrap();
        assert!(bank.bytes.len() >= 4 * 16 * 16 * 3 && bank.bytes.iter().any(|&byte| byte != 0));
        let mut other = session(&dataset, ema.is_some());
        let resumed = resume(&mut other, &split, &settings, &found.state, &mut EachEpoch::default()).unwrap();
        assert_eq!(resumed.parameters, whole.parameters);

        let path = folder.path().join("weights.safetensors");
        let weights = Weights { card: card(&dataset), tensors: whole.parameters };
        weights.save(&path).unwrap();
        assert_eq!(Weights::load(&path).unwrap(), weights);
    }
}

#[test]
fn a_network_without_state_has_no_bank_of_it() {
    let without = MODEL.replace("{ type = 'memory' }, ", "");
    for (text, bytes) in [(MODEL, Some(4 * 16 * 16 * 3)), (&without, None)] {
        let (_, graph): (Plan, Graph) =
            setup::plan_with(&network(text), 20, &setup(false), &Profile::cpu(), false).unwrap();
        let plan = Plan::new(&graph, &Profile::webgpu(), &Options::default()).unwrap();
        let buffer = plan.buffers.iter().find(|buffer| buffer.name == Bank::State.name());
        assert_eq!(buffer.map(|buffer| buffer.bytes), bytes);
        assert_eq!(graph.persistent.unwrap().bank(Bank::State).is_some(), bytes.is_some());
    }
}
