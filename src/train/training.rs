//! The loop over epochs and steps: from the start, resumed from a state, and after a failure.

use super::diagnose::origin;
use super::history::EpochRecord;
use super::pace::{self, Clock};
use super::session::{Session, Totals};
use super::state::{Standing, State};
use super::{Curve, Early, Moment, Outcome, Progress, Settings, StepRecord, Watch};
use crate::data::{Split, epoch_order};
use crate::engine::Metrics;
use crate::error::{Error, Result};
use crate::kernels::{Precision, StepParams};
use crate::model::{Network, initialise};
use crate::plan::Program;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

/// Refused steps in a row after which a training counts as diverged.
const PATIENCE: u32 = 5;
/// Refused steps that bring the largest loss scale of mixed precision down to 1; only those after them mean divergence.
const HALVINGS: u32 = 24;
/// How often a diverged training may return to its last good state.
const MOST_ROLL_BACKS: u32 = 3;

/// Trains from seeded weights on the training set of a split, and after each epoch measures the set that chooses the best epoch
/// ([`Split::choosing`]). If the watcher stops it within an epoch, that epoch has no record, but its steps count, and the parameters are
/// the current ones.
///
/// A training that diverges returns to its last good state with a lower rate, three times at most. A device that fails is opened
/// again, and training continues from the newest state in memory: once, and once more after each further epoch. If neither helps, the
/// outcome has a [`failure`](Outcome::failure) and the newest good state.
///
/// # Errors
/// The device is lost before the first step.
pub fn train(
    session: &mut Session,
    network: &Network,
    split: &Split,
    settings: &Settings,
    watch: &mut dyn Watch,
) -> Result<Outcome> {
    check_ema(session, settings)?;
    let seeded = || network.parameters().enumerate().map(|(i, p)| initialise(p, i, settings.seed)).collect();
    let start = settings.start.clone().unwrap_or_else(|| Arc::new(seeded()));
    session.set_parameters(&start)?;
    let state = State { standing: Standing::default(), tensors: session.device_state()?, sound: None };
    Training::at(Arc::new(state), session, split, settings, watch).run()
}

/// Resumes from a state. With the session, split and settings of the training it was taken from, the result is that of a training that
/// never stopped, bit for bit. `settings.epochs` and `settings.per_submit` may differ, and images may be streamed or not.
///
/// # Errors
/// As [`train`], or the state is of another network or precision.
pub fn resume(
    session: &mut Session,
    split: &Split,
    settings: &Settings,
    state: &Arc<State>,
    watch: &mut dyn Watch,
) -> Result<Outcome> {
    check_ema(session, settings)?;
    session.set_device_state(&state.tensors)?;
    Training::at(state.clone(), session, split, settings, watch).run()
}

/// Refuses a session that keeps an EMA though the optimizer has none, or the other way round.
fn check_ema(session: &Session, settings: &Settings) -> Result<()> {
    let (kept, wanted) = (session.has_ema(), settings.adam.ema.is_some());
    match kept == wanted {
        true => Ok(()),
        false => Err(Error::setting("the setup's ema", kept, format!("{wanted}, as the optimizer has it"))),
    }
}

struct Training<'t, 's> {
    session: &'t mut Session<'s>,
    split: &'t Split,
    settings: &'t Settings,
    watch: &'t mut dyn Watch,
    standing: Standing,
    /// Steps whose metrics have not arrived, the oldest first.
    queued: VecDeque<StepParams>,
    /// The newest state that was read from the device.
    newest: Arc<State>,
    /// The state to go back to, see [`State::sound`].
    sound: Arc<State>,
    /// Epochs that had ended when the device was last opened again.
    renewed: Option<usize>,
    /// When the running epoch began or was resumed.
    clock: Instant,
    /// How long this call has trained.
    time: Clock,
}

/// Why an epoch does not continue.
enum Halt {
    /// The watcher stopped it.
    Stopped,
    /// Training ends early.
    Early(Early),
    /// Training has diverged; this step was refused.
    Diverged(StepParams),
    Failed(Error),
}

impl From<Error> for Halt {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl<'t, 's> Training<'t, 's> {
    /// A training at the state that the session's device is in.
    fn at(
        state: Arc<State>,
        session: &'t mut Session<'s>,
        split: &'t Split,
        settings: &'t Settings,
        watch: &'t mut dyn Watch,
    ) -> Self {
        let (standing, sound) = (state.standing.clone(), state.sound.as_ref().unwrap_or(&state).clone());
        Self {
            session,
            split,
            settings,
            watch,
            standing,
            queued: VecDeque::new(),
            newest: state,
            sound,
            renewed: None,
            clock: Instant::now(),
            time: Clock::start(),
        }
    }

    fn run(mut self) -> Result<Outcome> {
        let mut reached = self.epochs();
        let (stopped, early, failure) = loop {
            reached = match reached {
                Ok(()) => break (false, None, None),
                Err(Halt::Stopped) => break (true, None, None),
                Err(Halt::Early(why)) => break (false, Some(why), None),
                Err(Halt::Diverged(step)) => self.roll_back(&step).and_then(|()| self.epochs()),
                Err(Halt::Failed(error)) => match self.renew(error) {
                    Ok(()) => self.epochs(),
                    Err(error) => break (false, None, Some(error)),
                },
            };
        };
        if self.watch.due(Moment::End, self.newest.standing.steps) {
            self.watch.keep(self.newest.clone());
        }
        let parameters = self.session.parameters_of(&self.newest.tensors);
        let Standing { history, steps, .. } = self.newest.standing.clone();
        let Standing { refused, roll_backs, .. } = self.standing;
        Ok(Outcome { history, parameters, steps, refused, roll_backs, stopped, early, failure })
    }

    /// Number of the running epoch, from 1.
    fn epoch_number(&self) -> u32 {
        self.standing.history.epochs.len() as u32 + 1
    }

    fn epochs(&mut self) -> Result<(), Halt> {
        while self.epoch_number() <= self.settings.epochs {
            if let Some(why) = self.early() {
                return Err(Halt::Early(why));
            }
            self.epoch()?;
            let goes_on = self.epoch_number() <= self.settings.epochs && self.early().is_none();
            if goes_on && self.watch.due(Moment::Epoch, self.standing.steps) {
                self.watch.keep(self.newest.clone());
            }
        }
        Ok(())
    }

    /// Why training ends before the next epoch, if it does.
    fn early(&self) -> Option<Early> {
        let patience =
            pace::is_out_of_patience(self.settings.patience, &self.standing.history).then_some(Early::Patience);
        patience.or_else(|| self.time.has_no_epoch_left(self.settings.time_budget).then_some(Early::TimeBudget))
    }

    /// The rest of an epoch.
    fn epoch(&mut self) -> Result<(), Halt> {
        self.clock = Instant::now();
        let (train, test) = (&self.split.train, self.split.choosing());
        let epoch = self.epoch_number();
        self.session.set_order(&[&epoch_order(train, self.settings.seed, epoch)[..], test].concat())?;
        let done = self.standing.position.min(train.len());
        let [training, test] = [(done, train.len() - done), (train.len(), test.len())]
            .map(|(first, count)| self.session.submissions(first, count, self.settings.per_submit));
        self.train(&training)?;
        let test = self.validate(&test)?;
        let Standing { totals, seconds, .. } = self.standing;
        let record = EpochRecord {
            epoch,
            loss: totals.loss(),
            accuracy: totals.accuracy(),
            val_loss: test.loss(),
            val_accuracy: test.accuracy(),
            seconds: (seconds + self.clock.elapsed().as_secs_f64()) as f32,
        };
        self.standing = Standing { position: 0, totals: Totals::default(), seconds: 0.0, ..self.standing.clone() };
        let rate = self.rate(self.standing.steps);
        self.standing.history.epochs.push(record.clone());
        self.time.epoch(record.seconds);
        self.clock = Instant::now();
        // read it before reporting the record, so that an epoch whose end is lost with the device has no record yet
        self.read_state()?;
        self.watch.rest(&self.newest);
        self.watch.epoch(&record, self.session.parameters_of(&self.newest.tensors))?;
        self.tell_of_plateau(rate);
        Ok(())
    }

    /// Notes if the epoch that has ended lowers the rate of the next step.
    fn tell_of_plateau(&mut self, before: f32) {
        let after = self.rate(self.standing.steps);
        if let (Curve::Plateau { epochs, .. }, true) = (self.settings.schedule.curve, after < before) {
            self.watch
                .note(format!("val_loss has not fallen for {epochs} epochs; the learning rate is {after} from now on"));
        }
    }

    /// The rest of a pass over the training images.
    fn train(&mut self, submissions: &[Vec<StepParams>]) -> Result<(), Halt> {
        for batches in submissions {
            if self.watch.stop() {
                self.read_state()?;
                return Err(Halt::Stopped);
            }
            if self.watch.due(Moment::Step, self.standing.steps) {
                self.read_state()?;
                self.watch.keep(self.newest.clone());
            }
            let first = self.standing.steps;
            let params = |(batch, step)| StepParams {
                learning_rate: self.rate(step),
                ..pace::params(self.settings, batch, step)
            };
            let queue: Vec<StepParams> = batches.iter().zip(first..).map(params).collect();
            self.queued.extend(&queue);
            let arrived = self.session.run(Program::Train, &queue)?;
            self.standing.steps += queue.len() as u32;
            self.standing.position += queue.iter().map(|step| step.count as usize).sum::<usize>();
            self.count(&arrived)?;
            self.watch.progress(self.progress());
            let more = self.standing.position < self.split.train.len();
            if more && self.time.is_over(self.settings.time_budget) {
                self.read_state()?;
                return Err(Halt::Early(Early::TimeBudget));
            }
        }
        self.settle()?;
        self.watch.progress(self.progress());
        Ok(())
    }

    /// Measures the images that choose the best epoch; in the order they follow the training images.
    fn validate(&mut self, submissions: &[Vec<StepParams>]) -> Result<Totals, Halt> {
        let (mut totals, mut images) = (Totals::default(), 0);
        for queue in submissions {
            self.watch.validation(images, self.split.choosing().len());
            if self.watch.stop() {
                self.session.wait()?;
                self.read_state()?;
                return Err(Halt::Stopped);
            }
            totals.add(&self.session.run(Program::Infer, queue)?);
            images += queue.iter().map(|step| step.count as usize).sum::<usize>();
        }
        totals.add(&self.session.wait()?);
        Ok(totals)
    }

    /// Waits for the steps in flight, so that the progress is that of the device.
    fn settle(&mut self) -> Result<(), Halt> {
        let arrived = self.session.wait()?;
        self.count(&arrived)
    }

    /// Counts steps that have ended, one by one, so that no result depends on how many end at a time.
    fn count(&mut self, metrics: &[Metrics]) -> Result<(), Halt> {
        let patience = PATIENCE + if self.session.precision() == Precision::Mixed { HALVINGS } else { 0 };
        for step in metrics {
            let params = self.queued.pop_front();
            // the rule of `reduce.gradient`
            let refused = !(step.loss.is_finite() && step.gradient_squares.is_finite());
            self.standing.refused += u32::from(refused);
            self.standing.streak = if refused { self.standing.streak + 1 } else { 0 };
            self.standing.totals.add(std::slice::from_ref(step));
            if let Some(StepParams { step: before, learning_rate, .. }) = params {
                self.watch.step(&StepRecord { steps: before + 1, learning_rate, metrics: *step });
            }
            if self.standing.streak == patience {
                return Err(Halt::Diverged(params.unwrap_or_default()));
            }
        }
        Ok(())
    }

    /// Reads the current state. Waits for the steps in flight; the device then waits only for the copies.
    fn read_state(&mut self) -> Result<(), Halt> {
        self.settle()?;
        let mut standing = self.standing.clone();
        standing.seconds += self.clock.elapsed().as_secs_f64();
        let is_sound = standing.position == 0 && standing.streak == 0;
        let sound = (!is_sound).then(|| self.sound.clone());
        let state = State { standing, tensors: self.session.device_state()?, sound };
        if !state.is_finite() {
            return Err(Halt::Diverged(StepParams::default()));
        }
        self.newest = Arc::new(state);
        if is_sound {
            self.sound = self.newest.clone();
        }
        Ok(())
    }

    /// Returns to the last good state with a lower rate, or gives up if that was done often enough.
    fn roll_back(&mut self, failing: &StepParams) -> Result<(), Halt> {
        let Standing { refused, streak, roll_backs, .. } = self.standing;
        if roll_backs == MOST_ROLL_BACKS {
            self.newest = self.sound.clone();
            self.watch.undo(&self.newest.standing.history);
            let place = origin(self.session, failing)?.map(|place| format!(": {place}")).unwrap_or_default();
            let problem = format!(
                "in step {} its loss or gradient is not finite, as {MOST_ROLL_BACKS} times before{place}",
                failing.step + 1
            );
            let remedy = format!(
                "train again with a --learning-rate below {}",
                self.settings.adam.learning_rate * pace::cut(&self.standing)
            );
            return Err(Error::data("training", problem, remedy).into());
        }
        let sound = self.sound.clone();
        self.restore(&sound)?;
        self.standing = Standing { refused, streak: 0, roll_backs: roll_backs + 1, ..self.standing.clone() };
        self.sound = Arc::new(State { standing: self.standing.clone(), ..State::clone(&sound) });
        self.newest = self.sound.clone();
        self.watch.undo(&self.standing.history);
        self.watch.note(format!(
            "loss or gradient not finite in {streak} steps up to step {}; training returns to step {} with the learning rate {}",
            failing.step + 1,
            self.standing.steps,
            self.rate(self.standing.steps)
        ));
        Ok(())
    }

    /// Opens the device again and continues from the newest state.
    fn renew(&mut self, error: Error) -> Result<()> {
        let epochs = self.newest.standing.history.epochs.len();
        if !matches!(error, Error::Device { .. }) || self.renewed == Some(epochs) {
            return Err(error);
        }
        self.renewed = Some(epochs);
        let step = self.newest.standing.steps;
        self.watch.note(format!("{error}; it is opened again, and training continues from step {step}"));
        self.session.renew()?;
        let newest = self.newest.clone();
        self.restore(&newest)
    }

    /// Sets the training to a state.
    fn restore(&mut self, state: &State) -> Result<()> {
        self.session.wait()?;
        self.session.set_device_state(&state.tensors)?;
        self.standing = state.standing.clone();
        self.queued.clear();
        Ok(())
    }

    /// The learning rate of a step of the running epoch.
    fn rate(&self, step: u32) -> f32 {
        let steps_per_epoch = self.split.train.len().div_ceil(self.session.batch().max(1));
        pace::rate(self.settings, &self.standing, steps_per_epoch as u32, step)
    }

    fn progress(&self) -> Progress {
        let totals = &self.standing.totals;
        let (epoch, of) = (self.epoch_number(), self.split.train.len());
        Progress { epoch, images: totals.count(), of, loss: totals.loss(), accuracy: totals.accuracy() }
    }
}
