//! A training's state of this moment in one line that fits its terminal.
//!
//! It knows numbers and columns; it prints nothing.

use crate::plan::bytes_in_words;
use crate::run::Status;

/// Fewest and most columns of the bar, without its brackets.
const BAR: (usize, usize) = (8, 30);

/// How soon the bar gives way: before the numbers that are worth more than it.
const BAR_RANK: u8 = 6;

/// What a line may show.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sight {
    /// Number of the running epoch, from 1, and of all.
    pub epoch: (u32, u32),
    /// Steps of the epoch that are done, and all.
    pub step: (usize, usize),
    /// Whether the epoch is being validated, and how far, as a share.
    pub validated: Option<f64>,
    /// Share of the whole training that is done, 0 to 1.
    pub share: f64,
    /// Mean loss and accuracy of the epoch so far; `None` before its first step has ended.
    pub scores: Option<(f32, f32)>,
    /// Step size, where it is not the same all the time.
    pub learning_rate: Option<f32>,
    /// Training images a second.
    pub rate: Option<f64>,
    /// Seconds until the end.
    pub left: Option<f64>,
    /// Bytes of device memory in use.
    pub memory: Option<u64>,
}

impl Sight {
    /// Of a training in batches of `batch` images.
    pub fn new(status: &Status, batch: usize, learning_rate: Option<f32>) -> Self {
        let progress = &status.progress;
        Self {
            epoch: (progress.epoch, status.epochs),
            step: (progress.images.div_ceil(batch), progress.of.div_ceil(batch)),
            validated: status.validated,
            share: status.done,
            scores: (progress.images > 0).then_some((progress.loss, progress.accuracy)),
            learning_rate,
            rate: status.images_per_second,
            left: status.seconds_left,
            memory: status.device_memory,
        }
    }
}

/// A part of the line: what it says, and how soon it gives way where there is no room (the highest number first).
type Part = (u8, String);

impl Sight {
    /// The line, of at most `columns` columns; `paint` may colour the bar. What matters least is left out first.
    pub fn line(&self, columns: usize, paint: impl Fn(&str) -> String) -> String {
        let mut parts = self.parts();
        let width = |parts: &[Part]| {
            parts.iter().map(|(_, text)| text.chars().count()).sum::<usize>() + 2 * parts.len().saturating_sub(1)
        };
        loop {
            let room = columns.saturating_sub(width(&parts) + 3);
            let worst = parts.iter().map(|part| part.0).max().unwrap_or(0);
            if room >= BAR.0 {
                parts[0].1 += &format!(" {}", self.bar(room.min(BAR.1), paint));
                break;
            }
            if worst < BAR_RANK && width(&parts) <= columns {
                break;
            }
            if parts.len() == 1 {
                return parts[0].1.chars().take(columns).collect();
            }
            parts.retain(|part| part.0 != worst);
        }
        parts.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join("  ")
    }

    fn parts(&self) -> Vec<Part> {
        let mut parts = vec![(0, format!("epoch {}/{}", self.epoch.0, self.epoch.1))];
        match self.validated {
            Some(share) => parts.push((1, format!("validating {:.0} %", share * 100.0))),
            None => parts.push((7, format!("step {}/{}", self.step.0, self.step.1))),
        }
        match self.scores {
            Some((loss, accuracy)) => {
                parts.push((2, format!("loss {loss:.4}")));
                parts.push((4, format!("acc {accuracy:.4}")));
            }
            None => parts.push((2, "starting".to_owned())),
        }
        parts.extend(self.learning_rate.map(|rate| (8, format!("lr {rate:.2e}"))));
        parts.extend(self.rate.map(|rate| (5, format!("{} images/s", number(rate)))));
        parts.extend(self.memory.map(|bytes| (9, bytes_in_words(bytes))));
        parts.extend(self.left.map(|seconds| (3, format!("{} left", time(seconds)))));
        parts
    }

    fn bar(&self, width: usize, paint: impl Fn(&str) -> String) -> String {
        let full = ((self.share * width as f64) as usize).min(width);
        let done = if full > 0 { paint(&"█".repeat(full)) } else { String::new() };
        format!("[{done}{}]", "░".repeat(width - full))
    }
}

/// Three digits, or all before the point.
fn number(value: f64) -> String {
    let digits = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
    format!("{value:.digits$}")
}

/// `0:42`, `12:03`, `3:00:07` or `4 d 05 h`.
fn time(seconds: f64) -> String {
    let seconds = seconds.clamp(0.0, 1e9).round() as u64;
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    match hours {
        0 => format!("{minutes}:{:02}", seconds % 60),
        1..48 => format!("{hours}:{:02}:{:02}", minutes % 60, seconds % 60),
        _ => format!("{} d {:02} h", hours / 24, hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sight() -> Sight {
        Sight {
            epoch: (3, 80),
            step: (120, 400),
            validated: None,
            share: 0.5,
            scores: Some((1.234_56, 0.567_89)),
            learning_rate: Some(5e-4),
            rate: Some(12_345.6),
            left: Some(7449.0),
            memory: Some(3 << 30),
        }
    }

    fn plain(sight: &Sight, columns: usize) -> String {
        sight.line(columns, str::to_owned)
    }

    #[test]
    fn wide_terminals_see_everything_and_narrow_ones_what_matters() {
        let wide = "epoch 3/80 [███████████████░░░░░░░░░░░░░░░]  step 120/400  loss 1.2346  acc 0.5679  lr 5.00e-4  \
                    12346 images/s  3.00 GiB  2:04:09 left";
        assert_eq!(plain(&sight(), 150), wide);
        let common = plain(&sight(), 79);
        assert_eq!(common, "epoch 3/80 [█████░░░░░░]  loss 1.2346  acc 0.5679  12346 images/s  2:04:09 left");
        assert_eq!(plain(&sight(), 40), "epoch 3/80  loss 1.2346  2:04:09 left");
        assert_eq!(plain(&sight(), 24), "epoch 3/80  loss 1.2346");
        assert_eq!(plain(&sight(), 7), "epoch 3");
    }

    #[test]
    fn no_line_is_too_long() {
        let starting = Sight { scores: None, rate: None, left: None, ..sight() };
        let validating = Sight { validated: Some(0.25), ..sight() };
        let diverged = Sight { scores: Some((f32::NAN, 0.0)), ..sight() };
        for sight in [sight(), starting, validating, diverged, Sight::default()] {
            for columns in 0..200 {
                let line = plain(&sight, columns);
                assert!(line.chars().count() <= columns, "{columns}: {line}");
                assert!(!line.contains(char::is_control), "{line:?}");
            }
        }
        assert!(plain(&Sight { validated: Some(0.25), ..sight() }, 200).contains("validating 25 %"));
    }

    #[test]
    fn times_are_short() {
        let shown = [0.4, 59.6, 723.0, 10_807.0, 360_000.0, f64::INFINITY].map(time);
        assert_eq!(shown, ["0:00", "1:00", "12:03", "3:00:07", "4 d 04 h", "11574 d 01 h"]);
        assert_eq!([1.234, 12.34, 123.4].map(number), ["1.23", "12.3", "123"]);
    }
}
