//! Options of `train` that say how the optimizer steps: its rate and schedule, weight decay, clipping and averaging; and how
//! long a training may take.

use crate::error::{Error, Result};
use crate::train::{Adam, Curve, Schedule};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// How the learning rate changes after the warm-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Shape {
    /// It stays
    Constant,
    /// Half a cosine over --epochs, down to --final-rate
    Cosine,
    /// Times --schedule-factor after every --schedule-epochs
    Step,
    /// Times --schedule-factor when val_loss has not fallen for --schedule-epochs
    Plateau,
}

/// How the optimizer steps.
#[derive(Clone, clap::Args, Serialize, Deserialize)]
pub struct OptimizerOptions {
    /// Adam's step size, the largest of the schedule
    #[arg(long, default_value_t = 1e-3, allow_negative_numbers = true)]
    learning_rate: f32,
    /// How the learning rate changes
    #[arg(long, value_enum, default_value = "constant")]
    schedule: Shape,
    /// Epochs, or a part of one such as 0.5, over which the rate rises to --learning-rate step by step
    #[arg(long, default_value_t = 0.0, value_name = "EPOCHS", allow_negative_numbers = true)]
    warm_up: f64,
    /// Rate at which the cosine ends, and below which no schedule goes
    #[arg(long, default_value_t = 0.0, value_name = "RATE", allow_negative_numbers = true)]
    final_rate: f32,
    /// Epochs between two cuts of the step schedule; epochs without a lower val_loss before a cut of the plateau schedule (10
    /// where absent)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    schedule_epochs: Option<u32>,
    /// What a cut of the step and plateau schedules multiplies the rate with (0.1 where absent)
    #[arg(long, value_name = "F", allow_negative_numbers = true)]
    schedule_factor: Option<f64>,
    /// Decay of all weights and biases, times the learning rate and apart from the gradient (AdamW)
    #[arg(long, default_value_t = 0.0, value_name = "D", allow_negative_numbers = true)]
    weight_decay: f32,
    /// Largest norm of a step's gradient over all parameters; a larger one is scaled down to it
    #[arg(long, value_name = "NORM", allow_negative_numbers = true)]
    clip_norm: Option<f32>,
    /// Keep a running average of the weights with this decay, such as 0.999, and measure and save that; its first steps average
    /// over less, so that the start is soon forgotten
    #[arg(long, value_name = "DECAY", allow_negative_numbers = true)]
    ema: Option<f64>,
}

impl OptimizerOptions {
    /// The optimizer.
    ///
    /// # Errors
    /// As [`Adam::check`].
    pub fn adam(&self) -> Result<Adam> {
        let Self { learning_rate, weight_decay: decay, clip_norm, ema: average, .. } = *self;
        let adam = Adam { learning_rate, decay, clip_norm, average, ..Adam::default() };
        adam.check().map(|()| adam)
    }

    /// The schedule of a training of so many epochs.
    ///
    /// # Errors
    /// [`Error::Setting`]: a number out of range, or an option that the schedule does not know.
    pub fn schedule(&self, epochs: u32) -> Result<Schedule> {
        let refuse = |name, got: &dyn ToString, allowed: String| Err(Error::setting(name, got.to_string(), allowed));
        if !(0.0..=f64::from(epochs)).contains(&self.warm_up) {
            return refuse("--warm-up", &self.warm_up, format!("from 0 to the {epochs} of --epochs"));
        }
        if !(0.0..=self.learning_rate).contains(&self.final_rate) {
            let allowed = format!("from 0 to the {} of --learning-rate", self.learning_rate);
            return refuse("--final-rate", &self.final_rate, allowed);
        }
        if let Some(factor) = self.schedule_factor.filter(|factor| !(*factor > 0.0 && *factor < 1.0)) {
            return refuse("--schedule-factor", &factor, "above 0 and below 1".into());
        }
        let cuts = matches!(self.schedule, Shape::Step | Shape::Plateau);
        for (name, is_given) in [
            ("--schedule-epochs", self.schedule_epochs.is_some()),
            ("--schedule-factor", self.schedule_factor.is_some()),
        ] {
            if is_given && !cuts {
                return refuse(name, &"given", "left out, but for --schedule step or plateau".into());
            }
        }
        if self.schedule == Shape::Constant && self.final_rate > 0.0 {
            return refuse("--final-rate", &self.final_rate, "left out with --schedule constant".into());
        }
        let (epochs, factor) = (self.schedule_epochs.unwrap_or(10), self.schedule_factor.unwrap_or(0.1));
        let curve = match self.schedule {
            Shape::Constant => Curve::Constant,
            Shape::Cosine => Curve::Cosine,
            Shape::Step => Curve::Step { epochs, factor },
            Shape::Plateau => Curve::Plateau { epochs, factor },
        };
        // as its user wrote it, not as f32 rounds it
        let floor = self.final_rate.to_string().parse().unwrap_or_default();
        Ok(Schedule { curve, warm_up: self.warm_up, floor })
    }

    /// Whether the rate of a step depends on how many epochs there will be.
    pub fn follows_epochs(&self) -> bool {
        self.schedule == Shape::Cosine
    }

    /// What is not as it is where nothing is asked for, each part after a comma.
    pub fn in_words(&self) -> String {
        let shape = match self.schedule {
            Shape::Constant => "",
            Shape::Cosine => ", cosine schedule",
            Shape::Step => ", step schedule",
            Shape::Plateau => ", plateau schedule",
        };
        let mut words = shape.to_owned();
        if self.warm_up > 0.0 {
            words += &format!(", warm-up of {} epochs", self.warm_up);
        }
        if self.weight_decay > 0.0 {
            words += &format!(", weight decay {}", self.weight_decay);
        }
        words += &self.clip_norm.map_or(String::new(), |norm| format!(", gradients clipped at {norm}"));
        words + &self.ema.map_or(String::new(), |decay| format!(", weights averaged with {decay}"))
    }
}

/// A stretch of time as users write it: `90s`, `10m`, `2h`, `1h30m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Span(pub Duration);

const UNITS: [(char, u64); 4] = [('d', 86_400), ('h', 3600), ('m', 60), ('s', 1)];
/// Longest stretch of time: ten years.
const LONGEST: u64 = 10 * 365 * 86_400;

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let refused = || "give hours, minutes or seconds, such as 2h, 10m, 1h30m or 90s".to_owned();
        let (mut seconds, mut rest) = (0u64, text);
        while !rest.is_empty() {
            let end = rest.find(|letter: char| !letter.is_ascii_digit()).ok_or_else(refused)?;
            let number: u64 = rest[..end].parse().map_err(|_| refused())?;
            let unit = rest[end..].chars().next().and_then(|letter| UNITS.iter().find(|unit| unit.0 == letter));
            let (_, unit) = unit.ok_or_else(refused)?;
            seconds = number.checked_mul(*unit).and_then(|more| seconds.checked_add(more)).ok_or_else(refused)?;
            // the letters of units are one byte long
            rest = &rest[end + 1..];
        }
        match seconds {
            1..=LONGEST => Ok(Self(Duration::from_secs(seconds))),
            _ => Err(refused()),
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut left = self.0.as_secs();
        for (letter, unit) in UNITS {
            if left >= unit {
                write!(f, "{}{letter}", left / unit)?;
                left %= unit;
            }
        }
        Ok(())
    }
}

impl TryFrom<String> for Span {
    type Error = String;

    fn try_from(text: String) -> std::result::Result<Self, String> {
        text.parse()
    }
}

impl From<Span> for String {
    fn from(span: Span) -> Self {
        span.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_written_as_people_write_it() {
        let seconds = |text: &str| text.parse::<Span>().ok().map(|span| span.0.as_secs());
        assert_eq!(
            [seconds("90s"), seconds("10m"), seconds("1h30m"), seconds("2d")],
            [90, 600, 5400, 172_800].map(Some)
        );
        for wrong in ["", "10", "m", "10 m", "-1m", "1.5h", "0s", "1µ", "99999999999999999999s", "9999999d", "10M"] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
        for text in ["1d2h", "1m30s", "10m"] {
            assert_eq!(text.parse::<Span>().unwrap().to_string(), text);
        }
    }
}
