//! The loop over epochs and steps: from the start, from where an earlier process left off, and on from where it failed.

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
/// Refusals that bring the largest loss scale of mixed precision down to 1; only those after them tell of divergence.
const HALVINGS: u32 = 24;
/// How often a diverged training may go back to its last sound state.
const MOST_ROLL_BACKS: u32 = 3;

/// Trains from seeded weights over the training side of a split, and measures the side that chooses the best epoch
/// ([`Split::choosing`]) after each. Where the
/// watcher stops it, the epoch it is in has no record, but its steps count and its parameters are those of that moment.
///
/// A training that diverges goes back to the end of its last sound epoch with a lower rate, three times at most. A device that fails is
/// set up anew, and training goes on from the newest state in memory: once, and again when an epoch has ended since.
/// What cannot go on ends with [`Outcome::failure`] and the newest sound state.
///
/// # Errors
/// A device that is lost before the first step.
pub fn train(
    session: &mut Session,
    network: &Network,
    split: &Split,
    settings: &Settings,
    watch: &mut dyn Watch,
) -> Result<Outcome> {
    check_average(session, settings)?;
    let seeded = || network.parameters().enumerate().map(|(i, p)| initialise(p, i, settings.seed)).collect();
    let start = settings.start.clone().unwrap_or_else(|| Arc::new(seeded()));
    session.set_parameters(&start)?;
    let state = State { standing: Standing::default(), tensors: session.device_state()?, sound: None };
    Training::at(Arc::new(state), session, split, settings, watch).run()
}

/// Goes on from a state. With the session, split and settings of the training it was taken from, the end is that of a
/// training that was never stopped, to the bit; `settings.epochs` and `settings.per_submit` may differ, and whether
/// images are streamed.
///
/// # Errors
/// As [`train`]; a state of another network or precision.
pub fn resume(
    session: &mut Session,
    split: &Split,
    settings: &Settings,
    state: &Arc<State>,
    watch: &mut dyn Watch,
) -> Result<Outcome> {
    check_average(session, settings)?;
    session.set_device_state(&state.tensors)?;
    Training::at(state.clone(), session, split, settings, watch).run()
}

/// Refuses a session that keeps an average nobody wants, or none that is wanted.
fn check_average(session: &Session, settings: &Settings) -> Result<()> {
    let (kept, wanted) = (session.averages(), settings.adam.average.is_some());
    match kept == wanted {
        true => Ok(()),
        false => Err(Error::setting("the setup's average", kept, format!("{wanted}, as the optimizer has it"))),
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
    /// Epochs that had ended when the device was last set up anew.
    renewed: Option<usize>,
    /// When the running epoch began, or went on.
    clock: Instant,
    /// How long this call has trained.
    time: Clock,
}

/// Why an epoch does not go on.
enum Halt {
    /// The watcher stopped it.
    Stopped,
    /// Training has come to its end.
    Early(Early),
    /// Nothing is learnt any more since this step.
    Diverged(StepParams),
    Failed(Error),
}

impl From<Error> for Halt {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl<'t, 's> Training<'t, 's> {
    /// At a state that the session's device is in.
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

    /// Why no further epoch begins, between two of them.
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
        // before the record is told of, so that an epoch whose end is lost with the device has none yet
        self.read_state()?;
        self.watch.rest(&self.newest);
        self.watch.epoch(&record, self.session.parameters_of(&self.newest.tensors))?;
        self.tell_of_plateau(rate);
        Ok(())
    }

    /// Says so where the epoch that has ended has changed the rate of the next step.
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

    /// Measures the images that choose the best epoch, which stand behind the training images.
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

    /// Waits for the steps in flight, so that the standing is that of the device.
    fn settle(&mut self) -> Result<(), Halt> {
        let arrived = self.session.wait()?;
        self.count(&arrived)
    }

    /// Adds up steps that have ended, one by one, so that no result depends on how many end at a time.
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

    /// Reads the state of this moment: the steps in flight end, and the device waits no longer than the copies take.
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

    /// Goes back to the sound state with a lower rate; gives up after that was done often enough.
    fn roll_back(&mut self, failing: &StepParams) -> Result<(), Halt> {
        let Standing { refused, streak, roll_backs, .. } = self.standing;
        if roll_backs == MOST_ROLL_BACKS {
            self.newest = self.sound.clone();
            self.watch.undo(&self.newest.standing.history);
            let place = origin(self.session, failing)?.map(|place| format!(": {place}")).unwrap_or_default();
            let problem = format!(
                "in step {} its loss or gradient is not finite, as it was before the {MOST_ROLL_BACKS} times it went back{place}",
                failing.step + 1
            );
            let remedy = format!(
                "train anew with a --learning-rate below {}",
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
            "loss or gradient not finite in {streak} steps up to step {}; training goes back to step {} with the learning rate {}",
            failing.step + 1,
            self.standing.steps,
            self.rate(self.standing.steps)
        ));
        Ok(())
    }

    /// Sets the device up anew and goes on from the newest state.
    fn renew(&mut self, error: Error) -> Result<()> {
        let epochs = self.newest.standing.history.epochs.len();
        if !matches!(error, Error::Device { .. }) || self.renewed == Some(epochs) {
            return Err(error);
        }
        self.renewed = Some(epochs);
        let step = self.newest.standing.steps;
        self.watch.note(format!("{error}; it is set up anew, and training goes on from step {step}"));
        self.session.renew()?;
        let newest = self.newest.clone();
        self.restore(&newest)
    }

    /// Brings the training to a state.
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
