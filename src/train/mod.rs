//! Training: the loop over epochs and steps, and what a run measures and writes down.
//!
//! This room drives an engine over a data set. It knows nothing of argument parsing or the terminal: progress leaves it
//! as plain numbers, and pictures are made of those numbers in `report`.

mod assess;
mod augmentations;
pub mod bench;
pub mod calibration;
pub mod checkpoint;
mod class_weights;
mod classifier;
mod diagnose;
mod fit;
pub mod history;
pub mod inspect;
#[cfg(test)]
mod layer_state;
mod loaded;
pub mod metrics;
mod micro_batch;
mod optimizer;
mod pace;
pub mod rate_finder;
mod run_folder;
mod schedule;
mod session;
mod setup;
mod state;
mod stream;
pub mod summary;
mod training;
pub mod tune;
mod weights;

pub use assess::{Assessment, Measured, Prediction, Scored, assess, assess_each};
pub use augmentations::augmentations;
pub use checkpoint::{Checkpoint, Identity};
pub use class_weights::ClassWeights;
pub use classifier::{Classifier, check_answer};
pub use fit::plan_for;
pub use micro_batch::MicroBatch;
pub use optimizer::Adam;
pub use pace::is_out_of_patience;
pub use run_folder::{RunFolder, SERIES, find_weights};
pub use schedule::{Curve, Schedule};
pub use session::{Session, Totals};
pub use setup::Setup;
pub use state::{DeviceTensor, Standing, State};
pub use training::{resume, train};
pub use weights::{Card, PREPROCESSING, Weights};

use crate::engine::Metrics;
use crate::error::{Error, Result};
use crate::plan::AdapterKind;
use history::{EpochRecord, History};
use std::sync::Arc;
use std::time::Duration;

/// What to train, beside the session's own setup.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Epochs.
    pub epochs: u32,
    /// Seed of weights, order, dropout and augmentation.
    pub seed: u64,
    /// The optimizer.
    pub adam: Adam,
    /// How its rate changes.
    pub schedule: Schedule,
    /// Epochs without a better one (see [`History::best`]) after which training ends, where it may.
    pub patience: Option<u32>,
    /// How long this call may train: no epoch begins that would take longer if it took as long as the one before, and where one does
    /// all the same, it ends after the submission in which time ran out, the first at the earliest.
    pub time_budget: Option<Duration>,
    /// Parameters to start from, in the model's order; seeded ones where absent.
    pub start: Option<Arc<Vec<Vec<f32>>>>,
    /// Steps handed to the device at once, one where zero; changes no result.
    pub per_submit: usize,
}

/// Steps handed at once to a device of this kind. A software adapter's steps are long, so that each is its own submission
/// and Ctrl-C acts at once.
pub fn default_per_submit(kind: AdapterKind) -> usize {
    if kind.is_on_the_cpu() { 1 } else { 8 }
}

/// Where a running epoch stands.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Number of the epoch, from 1.
    pub epoch: u32,
    /// Images of the epoch whose metrics have arrived.
    pub images: usize,
    /// Images of a whole epoch.
    pub of: usize,
    /// Mean loss so far.
    pub loss: f32,
    /// Accuracy so far.
    pub accuracy: f32,
}

/// What one optimizer step measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepRecord {
    /// Optimizer steps up to it, itself and refused ones included.
    pub steps: u32,
    /// Its step size.
    pub learning_rate: f32,
    /// What its images measured.
    pub metrics: Metrics,
}

impl StepRecord {
    /// Length of the gradient of the mean loss over all trainable values.
    pub fn gradient_norm(&self) -> f32 {
        self.metrics.gradient_squares.sqrt()
    }
}

/// Where a training's state may be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Between two submissions of an epoch.
    Step,
    /// Between two epochs.
    Epoch,
    /// After the last step, or where the training was stopped.
    End,
}

/// Watches a training: shows it, writes it down, stops it.
pub trait Watch {
    /// Some steps have ended.
    fn progress(&mut self, progress: Progress);

    /// A step has ended; told of each, in order, before [`Watch::progress`].
    fn step(&mut self, _step: &StepRecord) {}

    /// So many of the images that choose the best epoch have been handed to the device, of all that are measured after each
    /// epoch.
    fn validation(&mut self, _images: usize, _of: usize) {}

    /// The state at the end of an epoch, before [`Watch::epoch`].
    fn rest(&mut self, _state: &State) {}

    /// An epoch has ended, with these parameters in the model's order.
    ///
    /// # Errors
    /// Whatever keeps the watcher from writing down what must not be lost.
    fn epoch(&mut self, record: &EpochRecord, parameters: Vec<Vec<f32>>) -> Result<()>;

    /// Training went back to where only these epochs had ended.
    fn undo(&mut self, _history: &History) {}

    /// Something went wrong, and training continues.
    fn note(&mut self, _text: String) {}

    /// Whether to keep the state of this moment, `steps` optimizer steps into the training.
    fn due(&mut self, _moment: Moment, _steps: u32) -> bool {
        false
    }

    /// A state that was due.
    fn keep(&mut self, _state: Arc<State>) {}

    /// Whether to end after the running steps; asked before each submission, of training and of validation.
    fn stop(&self) -> bool;
}

/// Why a training ended by itself before its last epoch. What it has is as good as that of its last epoch: it is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Early {
    /// No epoch was better than the best for as long as [`Settings::patience`] says.
    Patience,
    /// There was no more time, see [`Settings::time_budget`].
    TimeBudget,
}

/// How a training ended.
pub struct Outcome {
    /// Whole epochs.
    pub history: History,
    /// Parameters at the end; their EMA, where there is one.
    pub parameters: Vec<Vec<f32>>,
    /// Optimizer steps behind these parameters, refused ones included.
    pub steps: u32,
    /// Steps that changed nothing, as their loss or gradient was not finite.
    pub refused: u32,
    /// How often it went back to where it was sound, each time with a lower rate.
    pub roll_backs: u32,
    /// Whether the watcher stopped it.
    pub stopped: bool,
    /// Why it ended by itself before its last epoch, where it did.
    pub early: Option<Early>,
    /// Why it could not continue; the rest is then the newest good state.
    pub failure: Option<Error>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Split, simulate};
    use crate::engine::{CpuEngine, Engine};
    use crate::model::Model;
    use crate::plan::{Plan, Profile};
    use std::cell::Cell;

    /// Stops after it was asked some times.
    struct Stopper {
        asked: Cell<u32>,
        after: u32,
        records: u32,
    }

    impl Watch for Stopper {
        fn progress(&mut self, _: Progress) {}

        fn epoch(&mut self, _: &EpochRecord, _: Vec<Vec<f32>>) -> Result<()> {
            self.records += 1;
            Ok(())
        }

        fn undo(&mut self, history: &History) {
            self.records = history.epochs.len() as u32;
        }

        fn stop(&self) -> bool {
            self.asked.set(self.asked.get() + 1);
            self.asked.get() > self.after
        }
    }

    /// Two epochs of 4 steps and 2 validation batches, stopped after `after` submissions.
    fn stopped(after: u32, learning_rate: f32) -> (Outcome, u32) {
        let dataset = simulate::simulate(&simulate::Settings { images: 20, size: 16, seed: 1 }).unwrap();
        let everything: Vec<u32> = (0..20).collect();
        let (train_side, test) = (everything[..12].to_vec(), everything[12..18].to_vec());
        let split = Split { train: train_side, test, ..Split::default() };
        let network = Model::preset("conv3").unwrap().build(16, 16, 10).unwrap();
        let make_engine = |plan: Plan| Ok(Box::new(CpuEngine::<f32>::new(plan)) as Box<dyn Engine>);
        let setup = Setup { training: true, ..Setup::inference(3) };
        let mut session = Session::new(&network, &dataset, &setup, &Profile::cpu(), make_engine).unwrap();
        let adam = Adam { learning_rate, ..Adam::default() };
        let settings = Settings { epochs: 2, seed: 1, adam, per_submit: 1, ..Settings::default() };
        let mut watch = Stopper { asked: Cell::new(0), after, records: 0 };
        let outcome = train(&mut session, &network, &split, &settings, &mut watch).unwrap();
        (outcome, watch.records)
    }

    #[test]
    fn a_stop_acts_between_submissions_of_training_and_of_validation() {
        // Four steps, then two batches of validation, twice.
        for (after, steps, epochs) in [(0, 0, 0), (3, 3, 0), (4, 4, 0), (5, 4, 0), (6, 4, 1), (9, 7, 1), (11, 8, 1)] {
            let (outcome, records) = stopped(after, 1e-3);
            let found = (outcome.steps, outcome.history.epochs.len(), records);
            assert_eq!(found, (steps, epochs, epochs as u32), "stopped after {after} submissions");
            assert!(outcome.stopped && outcome.refused == 0);
        }
        let (outcome, records) = stopped(12, 1e-3);
        assert_eq!((outcome.steps, records, outcome.stopped), (8, 2, false));
    }

    #[test]
    fn a_training_that_cannot_recover_ends_where_it_was_sound_and_names_the_layer() {
        // The first step makes all parameters enormous; no later one has finite gradients, at a 64th of the rate neither.
        let (outcome, records) = stopped(1000, 1e30);
        assert_eq!((outcome.steps, outcome.refused, outcome.roll_backs, records), (0, 20, 3, 0));
        let message = outcome.failure.unwrap().to_string();
        assert!(message.contains("conv_block.forward of layer conv2d_1 writes"), "{message}");
        assert!(message.contains("--learning-rate below"), "{message}");
        assert!(outcome.parameters.iter().flatten().all(|value| value.abs() < 1.0));
    }
}
