//! Options of `train` that say how training images are changed at random.

use crate::error::{Error, Result};
use crate::graph::{Augment, FillMode};
use crate::suggest::did_you_mean;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// On or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Switch {
    On,
    Off,
}

/// Random affine maps while training, as one composed map with bilinear sampling.
#[derive(Clone, clap::Args, Serialize, Deserialize)]
pub struct AugmentOptions {
    /// Augment the training images (flips, rotation, zoom, shift)
    #[arg(long, value_enum, default_value = "on", value_name = "on|off", hide_possible_values = true)]
    augment: Switch,
    /// Mirror rows and columns at random
    #[arg(long, value_enum, default_value = "on", value_name = "on|off", hide_possible_values = true)]
    flip: Switch,
    /// Largest rotation either way, as a fraction of a full turn
    #[arg(long, default_value_t = 0.5, allow_negative_numbers = true)]
    rotation: f64,
    /// Zoom factors drawn from 1+LOW to 1+HIGH; below 1 magnifies
    #[arg(long, num_args = 2, value_names = ["LOW", "HIGH"], default_values_t = [-0.5, 0.1], allow_negative_numbers = true)]
    zoom: Vec<f64>,
    /// Largest shift either way, as a fraction of the image
    #[arg(long, default_value_t = 0.08, allow_negative_numbers = true)]
    shift: f64,
    /// What lies outside the image: reflect, wrap, nearest or constant
    #[arg(long, default_value = "reflect", value_parser = fill_mode)]
    fill: FillMode,
}

fn fill_mode(text: &str) -> std::result::Result<FillMode, String> {
    match text {
        "reflect" => Ok(FillMode::Reflect),
        "wrap" => Ok(FillMode::Wrap),
        "nearest" => Ok(FillMode::Nearest),
        "constant" => Ok(FillMode::Constant),
        _ => {
            let near = did_you_mean(text, ["reflect", "wrap", "nearest", "constant"]);
            Err(format!("choose reflect, wrap, nearest or constant{near}"))
        }
    }
}

impl AugmentOptions {
    /// Whether images are changed at all.
    pub fn is_on(&self) -> bool {
        self.augment == Switch::On
    }

    /// The ranges of the random maps; `None` where there are none.
    ///
    /// # Errors
    /// [`Error::Setting`] for a range that makes no sense.
    pub fn ranges(&self) -> Result<Option<Augment>> {
        let [low, high] = self.zoom[..] else {
            return Err(Error::setting("--zoom", format!("{:?}", self.zoom), "two numbers"));
        };
        let within = |name, value: f64, range: std::ops::RangeInclusive<f64>| match range.contains(&value) {
            true => Ok(()),
            false => Err(Error::setting(name, value, format!("from {} to {}", range.start(), range.end()))),
        };
        within("--rotation", self.rotation, 0.0..=0.5)?;
        within("--shift", self.shift, 0.0..=1.0)?;
        within("--zoom LOW", low, -0.9..=high.max(-0.9))?;
        within("--zoom HIGH", high, low..=3.0)?;
        let (flip, rotation, shift, fill) = (self.flip == Switch::On, self.rotation, self.shift, self.fill);
        Ok((self.augment == Switch::On).then_some(Augment { flip, rotation, zoom: (low, high), shift, fill }))
    }
}
