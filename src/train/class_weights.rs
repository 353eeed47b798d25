//! Weights of the classes in the training loss.
//!
//! The weights are Keras's `class_weight`: the loss of a batch is `sum of weight[label] * loss of the image / images of the
//! batch`, and its gradient likewise. The sum is divided by the number of images, not by the sum of their weights, so that a
//! batch full of rare galaxies moves the network further than one of common ones, and twice the weights are twice the loss.
//! The training loss that is shown and stored is weighted. Scores after an epoch, and those of `evaluate`, are not.

use crate::data::{Dataset, Split};
use crate::error::{Error, Result};
use crate::suggest::did_you_mean;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The largest weight, so that its product with a loss stays far within f32.
const LARGEST: f32 = 1e6;

/// How classes are weighted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum ClassWeights {
    /// Every image has weight one.
    #[default]
    None,
    /// Every class has the same total weight: `images / (classes * images of the class)` over the training set, as
    /// scikit-learn's `class_weight="balanced"` (King and Zeng, "Logistic regression in rare events data", 2001). The mean
    /// over the training images is 1.
    Balanced,
    /// One number for each class, in the order of the labels.
    Given(Vec<f32>),
}

impl ClassWeights {
    /// The weight of each class; `None` if every image has weight one.
    ///
    /// # Errors
    /// [`Error::Setting`]: there are not as many weights as classes.
    pub fn weights(&self, dataset: &Dataset, split: &Split) -> Result<Option<Vec<f32>>> {
        let classes = dataset.classes.len();
        match self {
            Self::None => Ok(None),
            Self::Balanced => {
                let mut counts = vec![0usize; classes];
                split.train.iter().for_each(|&image| counts[dataset.labels[image as usize] as usize] += 1);
                let weight = |count: usize| (split.train.len() as f64 / (classes * count.max(1)) as f64) as f32;
                Ok(Some(counts.into_iter().map(weight).collect()))
            }
            Self::Given(weights) if weights.len() == classes => Ok(Some(weights.clone())),
            Self::Given(weights) => {
                let allowed = format!("none, balanced, or {classes} numbers, one for each class");
                Err(Error::setting("--class-weights", format!("{} numbers", weights.len()), allowed))
            }
        }
    }
}

impl FromStr for ClassWeights {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match text {
            "none" => return Ok(Self::None),
            "balanced" => return Ok(Self::Balanced),
            _ => {}
        }
        let weight = |word: &str| word.trim().parse().ok().filter(|weight| (0.0..=LARGEST).contains(weight));
        let weights = text.split(',').map(weight).collect::<Option<Vec<f32>>>();
        let weights = weights.filter(|weights| weights.iter().any(|weight| *weight > 0.0));
        weights.map(Self::Given).ok_or_else(|| {
            let near = did_you_mean(text, ["none", "balanced"]);
            format!(
                "write none, balanced, or a number from 0 to {LARGEST} for each class, W1,W2,..., not all of them 0{near}"
            )
        })
    }
}

impl fmt::Display for ClassWeights {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Balanced => f.write_str("balanced"),
            Self::Given(weights) => {
                let words: Vec<String> = weights.iter().map(f32::to_string).collect();
                f.write_str(&words.join(","))
            }
        }
    }
}

impl From<ClassWeights> for String {
    fn from(weights: ClassWeights) -> Self {
        weights.to_string()
    }
}

impl TryFrom<String> for ClassWeights {
    type Error = String;

    fn try_from(text: String) -> std::result::Result<Self, String> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::simulate;

    #[test]
    fn balanced_weights_by_hand() {
        let mut dataset = simulate::simulate(&simulate::Settings { images: 10, size: 16, seed: 1 }).unwrap();
        dataset.classes.truncate(3);
        dataset.labels = vec![0, 0, 0, 0, 1, 1, 1, 2, 2, 2];
        // four, three and one train, and n / (classes * count) counts neither of the test images
        let split = Split { train: (0..8).collect(), test: vec![8, 9], ..Split::default() };
        let got = ClassWeights::Balanced.weights(&dataset, &split).unwrap().unwrap();
        assert_eq!(got, [8.0 / 12.0, 8.0 / 9.0, 8.0 / 3.0].map(|weight: f64| weight as f32));
        let mean: f32 =
            split.train.iter().map(|&image| got[dataset.labels[image as usize] as usize]).sum::<f32>() / 8.0;
        assert!((mean - 1.0).abs() < 1e-6, "{mean}");
        assert_eq!(ClassWeights::None.weights(&dataset, &split).unwrap(), None);
        let given = ClassWeights::Given(vec![1.0, 0.0, 2.5]);
        assert_eq!(given.weights(&dataset, &split).unwrap(), Some(vec![1.0, 0.0, 2.5]));
        let error = ClassWeights::Given(vec![1.0; 2]).weights(&dataset, &split).unwrap_err().to_string();
        assert!(error.contains("--class-weights is 2 numbers") && error.contains("3 numbers, one for each"), "{error}");
    }

    #[test]
    fn weights_are_read_as_they_are_written() {
        for text in ["none", "balanced", "1,2", "0,0.1,1000000", "0.33333334,1"] {
            let weights: ClassWeights = text.parse().unwrap();
            assert_eq!(weights.to_string(), text);
            let json = serde_json::to_string(&weights).unwrap();
            assert_eq!(json, format!("\"{text}\""));
            assert_eq!(serde_json::from_str::<ClassWeights>(&json).unwrap(), weights);
        }
        assert_eq!(" 1, 2".parse(), Ok(ClassWeights::Given(vec![1.0, 2.0])));
        for wrong in ["", "1,", "-1,1", "nan,1", "inf,1", "1e7,1", "0,0", "Balanced", "1;2"] {
            assert!(wrong.parse::<ClassWeights>().unwrap_err().contains("W1,W2"), "{wrong}");
        }
    }
}
