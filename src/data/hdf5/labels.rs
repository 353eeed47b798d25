//! Labels as frameworks store them: whole numbers, the same as floats, or a row a class with one 1 ("one-hot").

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::data_set::{check_rows, type_name, unreadable};
use super::{LAYOUT, h5};
use crate::data::source::MOST_CLASSES;
use crate::{Error, Result};
use h5::types::TypeDescriptor;

/// Most numbers of one-hot labels: 2 GiB as f64.
const MOST_NUMBERS: usize = 1 << 28;

/// How labels are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) enum LabelForm {
    /// Whole numbers.
    #[default]
    Whole,
    /// Floats that are whole numbers.
    Floats,
    /// A row of 0 and one 1 for each image.
    OneHot,
}

impl LabelForm {
    /// What the user is told of it.
    pub fn note(self) -> Option<&'static str> {
        match self {
            Self::Whole => None,
            Self::Floats => Some("`ans` holds floats; all are whole numbers, which are the labels."),
            Self::OneHot => Some("`ans` is one-hot; the place of the 1 in each row is the label."),
        }
    }
}

/// Reads the labels of `count` images.
///
/// # Errors
/// [`Error::File`] naming the row that is no label.
pub(super) fn read(path: &Path, answers: &h5::Dataset, count: usize) -> Result<(Vec<u32>, LabelForm)> {
    let (descriptor, found) = type_name(answers);
    let float = matches!(descriptor, Some(TypeDescriptor::Float(_)));
    if !float && !matches!(descriptor, Some(TypeDescriptor::Integer(_) | TypeDescriptor::Unsigned(_))) {
        return Err(Error::file(path, format!("`ans` holds {found}, not integers"), LAYOUT));
    }
    let (classes, form) = match answers.shape()[..] {
        [rows, classes] if rows == count && (2..=MOST_CLASSES).contains(&classes) => (classes, LabelForm::OneHot),
        _ => (1, if float { LabelForm::Floats } else { LabelForm::Whole }),
    };
    if form != LabelForm::OneHot {
        check_rows(path, "ans", answers, count)?;
    }
    if count.saturating_mul(classes) > MOST_NUMBERS {
        let remedy = "store one whole number an image";
        return Err(Error::file(path, format!("`ans` holds {count} x {classes} numbers"), remedy));
    }
    // every label that is allowed is a float of 64 bits
    let numbers: Vec<f64> = answers.read_raw().map_err(|error| unreadable(path, "ans", &error))?;
    let label = |(row, numbers): (usize, &[f64])| {
        if form == LabelForm::OneHot {
            let one = numbers.iter().position(|&number| number == 1.0);
            let others = numbers.iter().filter(|&&number| number != 0.0).count();
            return one.filter(|_| others == 1).map(|place| place as u32).ok_or_else(|| {
                let problem = format!("`ans` has {classes} numbers an image, and row {row} is not one 1 among 0");
                Error::file(path, problem, "store one whole number an image, or one-hot rows")
            });
        }
        let number = numbers[0];
        let known = number.fract() == 0.0 && (0.0..MOST_CLASSES as f64).contains(&number);
        known
            .then_some(number as u32)
            .ok_or_else(|| Error::file(path, format!("`ans` is {number} in row {row}"), "labels must be 0 to 255"))
    };
    let labels: Result<Vec<u32>> = numbers.chunks(classes).enumerate().map(label).collect();
    Ok((labels?, form))
}
