//! Finds the fastest implementation of each call of a step. It measures whole steps on the step's own data, since neighbouring
//! kernels and the values themselves matter, too.

use super::Setup;
use super::bench::{Bench, noise};
use crate::engine::Engine;
use crate::engine::measure::Samples;
use crate::error::Result;
use crate::kernels::Cost;
use crate::model::Network;
use crate::plan::{Choice, Plan, Profile, Step, candidates};

/// Another implementation must take less than this fraction of the time to be chosen; smaller differences vary between runs.
const CLEARLY: f64 = 0.97;

/// An implementation of a call, measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured {
    /// Its name.
    pub implementation: &'static str,
    /// Sum of its dispatches, each timed alone.
    pub seconds: f64,
}

/// A call of the step.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// Name of its layer.
    pub layer: String,
    /// Name of the contract.
    pub contract: &'static str,
    /// Work.
    pub cost: Cost,
    /// The implementations that can run it here, the plan's own choice first.
    pub measured: Vec<Measured>,
}

impl Call {
    /// The fastest, or the plan's own choice if none is clearly faster.
    pub fn best(&self) -> Option<Measured> {
        let fastest = self.measured.iter().copied().min_by(|a, b| a.seconds.total_cmp(&b.seconds))?;
        let own = *self.measured.first()?;
        Some(if fastest.seconds < CLEARLY * own.seconds { fastest } else { own })
    }

    /// The choice to insist on; `None` if the plan's own is the best.
    pub fn choice(&self) -> Option<Choice> {
        let best = self.best().filter(|best| Some(best) != self.measured.first())?;
        Some(Choice::of_layer(self.contract, &self.layer, best.implementation))
    }
}

/// The results.
#[derive(Clone, Debug)]
pub struct Tuned {
    /// `gpu`: the adapter's own clock. `wall`: it has none, so submitting and waiting are included.
    pub clock: &'static str,
    /// Every call with more than one implementation, in the step's order.
    pub calls: Vec<Call>,
    /// Seconds of a whole step with the plan's own choices.
    pub own: f64,
    /// The same with the best of each call, measured in turns with the former; `None` if those are the plan's own.
    pub best: Option<f64>,
}

/// Whole steps measured of each, in turns.
const TURNS: usize = 3;

impl Tuned {
    /// The choices to insist on; empty if the whole step does not gain.
    pub fn choices(&self) -> Vec<Choice> {
        let gains = self.best.is_some_and(|best| best < CLEARLY * self.own);
        self.calls.iter().filter(|_| gains).filter_map(Call::choice).collect()
    }
}

/// Measures all implementations of all calls of a step (of training, or of inference if `setup` does not train) on random images, then
/// a whole step with the plan's own choices beside one with the best. Calls `tell` for each round.
///
/// # Errors
/// As [`Bench::new`].
pub fn tune(
    network: &Network,
    setup: &Setup,
    profile: &Profile,
    make_engine: impl Fn(Plan) -> Result<Box<dyn Engine>>,
    mut tell: impl FnMut(usize, usize),
) -> Result<Tuned> {
    let dataset = noise(2 * setup.batch, network.image.0, network.classes);
    let round = |choices: Vec<Choice>| {
        let setup = Setup { choices, ..setup.clone() };
        Bench::new(network, &dataset, &setup, profile, &make_engine).map(|(bench, _)| bench)
    };
    let mut bench = round(Vec::new())?;
    let steps: Vec<Step> = bench.engine().plan().steps(bench.program()).to_vec();
    let mut calls = steps.iter().map(|step| call(step, setup, profile)).collect::<Vec<Call>>();
    let rounds = calls.iter().map(|call| call.measured.len()).max().unwrap_or(0);
    for number in 0..rounds {
        tell(number + 1, rounds);
        if number > 0 {
            drop(bench);
            bench = round(calls.iter().filter_map(|call| call.nth_choice(number)).collect())?;
        }
        let seconds = bench.dispatches()?.seconds;
        for (call, seconds) in calls.iter_mut().zip(&seconds) {
            if let Some(measured) = call.measured.get_mut(number) {
                measured.seconds = seconds.iter().sum();
            }
        }
    }
    calls.retain(|call| call.measured.len() > 1);
    let clock = bench.engine().clock();
    drop(bench); // so that no two steps' buffers are held at once
    let whole_step = |choices: &[Choice]| Ok(round(choices.to_vec())?.device_seconds()?.median());
    let choices: Vec<Choice> = calls.iter().filter_map(Call::choice).collect();
    let turns = if choices.is_empty() { 1 } else { TURNS };
    let (mut own, mut best) = (Vec::new(), Vec::new());
    for _ in 0..turns {
        own.push(whole_step(&[])?);
        if !choices.is_empty() {
            best.push(whole_step(&choices)?);
        }
    }
    let best = (!best.is_empty()).then(|| Samples::new(best).median());
    Ok(Tuned { clock, calls, own: Samples::new(own).median(), best })
}

/// A call with the implementations that can run it, the plan's own choice first; nothing is measured yet.
fn call(step: &Step, setup: &Setup, profile: &Profile) -> Call {
    let precision = step.dispatches.first().map(|dispatch| dispatch.prelude.precision).unwrap_or_default();
    let found = candidates(step.contract, &step.constants, precision, profile, &setup.shaders);
    let others = found.into_iter().map(|found| found.name).filter(|&name| name != step.implementation);
    let measured = std::iter::once(step.implementation).chain(others);
    let measured = measured.map(|implementation| Measured { implementation, seconds: f64::INFINITY }).collect();
    Call { layer: step.layer.clone(), contract: step.contract.name, cost: step.cost, measured }
}

impl Call {
    fn nth_choice(&self, number: usize) -> Option<Choice> {
        let measured = self.measured.get(number)?;
        Some(Choice::of_layer(self.contract, &self.layer, measured.implementation))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(seconds: &[f64]) -> Call {
        let names = ["own", "second", "third"];
        let measured = names.into_iter().zip(seconds);
        let measured = measured.map(|(implementation, &seconds)| Measured { implementation, seconds }).collect();
        Call { layer: "conv2d_1".into(), contract: "conv2d.forward", cost: Cost::default(), measured }
    }

    #[test]
    fn a_step_that_gains_nothing_is_left_as_it_is() {
        let tuned = |best| Tuned { clock: "gpu", calls: vec![call(&[1.0, 0.5])], own: 2.0, best };
        assert_eq!(tuned(Some(1.5)).choices().len(), 1);
        assert!(tuned(Some(1.99)).choices().is_empty() && tuned(None).choices().is_empty());
    }

    #[test]
    fn only_what_is_clearly_faster_is_chosen() {
        let chosen = |seconds: &[f64]| call(seconds).choice().map(|choice| choice.to_string());
        assert_eq!(chosen(&[1.0, 0.98, 2.0]), None);
        assert_eq!(chosen(&[1.0, 1.5, 0.9]).as_deref(), Some("conv2d.forward@conv2d_1=third"));
        assert_eq!(chosen(&[1.0]), None);
        assert_eq!(call(&[]).best(), None);
    }
}
