//! The bar at the bottom of a terminal, and the line of an epoch.

use super::line::Sight;
use crate::cli::voice;
use crate::train::history::EpochRecord;
use console::{Term, style};
use indicatif::{ProgressBar, ProgressStyle};

/// Columns of a terminal that does not say how many it has.
const COLUMNS: usize = 80;

/// The line at the bottom of a terminal; hidden where there is none.
pub struct Bar {
    bar: ProgressBar,
    has_colours: bool,
}

impl Bar {
    /// Shows a bar from now on, above which everything is printed that the program says.
    pub fn new() -> Self {
        let bar = ProgressBar::with_draw_target(None, voice::draw_target());
        bar.set_style(ProgressStyle::with_template("{wide_msg}").unwrap_or_else(|_| ProgressStyle::default_bar()));
        voice::set_bar(Some(bar.clone()));
        Self { bar, has_colours: voice::has_colours() }
    }

    /// Whether nobody sees it.
    pub fn is_hidden(&self) -> bool {
        self.bar.is_hidden()
    }

    /// Shows this.
    pub fn show(&self, sight: &Sight) {
        if self.is_hidden() {
            return;
        }
        let columns = Term::stderr().size_checked().map_or(0, |(_, columns)| usize::from(columns));
        let columns = if columns == 0 { COLUMNS } else { columns };
        let paint = |text: &str| {
            if self.has_colours { style(text).green().force_styling(true).to_string() } else { text.to_owned() }
        };
        // a character in the last column would make some terminals begin a new line
        self.bar.set_message(sight.line(columns - 1, paint));
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
        voice::set_bar(None);
    }
}

/// An epoch's line.
pub fn epoch_in_words(record: &EpochRecord, epochs: u32, learning_rate: Option<f32>) -> String {
    let EpochRecord { epoch, loss, accuracy, val_loss, val_accuracy, seconds } = record;
    let rate = learning_rate.map(|rate| format!("  learning_rate {rate:.2e}")).unwrap_or_default();
    format!(
        "epoch {epoch}/{epochs}  loss {loss:.4}  accuracy {accuracy:.4}  val_loss {val_loss:.4}  \
         val_accuracy {val_accuracy:.4}{rate}  {seconds:.1} s\n",
    )
}
