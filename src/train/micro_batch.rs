//! The setting for how many images of a step are computed at a time.

use crate::error::{Error, Result};
use crate::plan::Plan;
use crate::suggest::did_you_mean;
use serde::{Deserialize, Serialize};

/// How many images of a step are computed at a time. Their gradients are added up: the result is the whole batch's within rounding,
/// in the memory of a micro-batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum MicroBatch {
    /// All of them.
    #[default]
    Whole,
    /// As many as fit, in the fewest micro-batches of nearly one size.
    Auto,
    /// This many, at least 1.
    Images(usize),
}

impl MicroBatch {
    /// The micro-batches of a plan.
    pub fn of(plan: &Plan) -> Self {
        plan.micro_batches.map_or(Self::Whole, |micro| Self::Images(micro.images))
    }

    /// Images at a time, if that is decided.
    pub(super) fn images(self) -> Option<usize> {
        match self {
            Self::Images(images) => Some(images),
            Self::Whole | Self::Auto => None,
        }
    }
}

impl std::str::FromStr for MicroBatch {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match (text, text.parse()) {
            ("off", _) => Ok(Self::Whole),
            ("auto", _) => Ok(Self::Auto),
            (_, Ok(images)) if images > 0 => Ok(Self::Images(images)),
            _ => {
                let allowed = format!("off, auto, or a number of images from 1{}", did_you_mean(text, ["off", "auto"]));
                Err(Error::setting("--micro-batch", format!("\"{text}\""), allowed))
            }
        }
    }
}

impl TryFrom<String> for MicroBatch {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<MicroBatch> for String {
    fn from(micro_batch: MicroBatch) -> Self {
        match micro_batch {
            MicroBatch::Whole => "off".into(),
            MicroBatch::Auto => "auto".into(),
            MicroBatch::Images(images) => images.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_read_as_it_is_written() {
        for text in ["off", "auto", "64"] {
            assert_eq!(String::from(text.parse::<MicroBatch>().unwrap()), text);
        }
        for wrong in ["", "0", "-1", "1.5", "Auto", "all"] {
            let error = wrong.parse::<MicroBatch>().unwrap_err().to_string();
            assert!(error.contains("--micro-batch is") && error.contains("off, auto"), "{error}");
        }
    }
}
