//! The set of each image where the data says it: by folders `train`, `val` and `test`, by names of files, or by a column.

/// The set that an image is in. The numbers are hashed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Set {
    /// In none.
    #[default]
    Neither = 0,
    /// To train with.
    Train = 1,
    /// To measure the trained network with.
    Test = 2,
    /// To choose the best epoch with.
    Validation = 3,
}

impl Set {
    /// The set that a word names, in any capitals.
    pub fn named(word: &str) -> Option<Self> {
        match &word.trim().to_ascii_lowercase()[..] {
            "train" | "training" => Some(Self::Train),
            "test" | "testing" => Some(Self::Test),
            "val" | "valid" | "validation" => Some(Self::Validation),
            _ => None,
        }
    }
}

/// The split that a data set brings along.
#[derive(Clone, Debug, PartialEq)]
pub struct GivenSets {
    /// The set of each image.
    pub sets: Vec<Set>,
    /// What says so, for people.
    pub source: String,
}
