//! Which images train, which choose the best epoch, and which test.
//!
//! A galaxy that is in a data set twice, or that lies in the corner of another one's image, must not be in two
//! sets: a network that has seen it would be tested on what it remembers. This file knows nothing of epochs.

use std::path::Path;

use serde::{Deserialize, Serialize};

pub use super::draw::PATCH_ARCSEC;
use super::draw::{Drawn, copies, draw};
use super::{Dataset, GivenSets, Set, sky};
use crate::files::{open_bounded, write_whole};
use crate::suggest::did_you_mean;
use crate::{Error, Result};

/// Bytes of a split's file besides [`ROW_BYTES`] for each image.
const FEW_BYTES: u64 = 64 << 10;
/// Bytes of a line of a split's file; one line may be longer.
const ROW_BYTES: u64 = 1 << 10;

/// Training, validation and test images of a data set.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Split {
    /// Indices of the training images, ascending.
    pub train: Vec<u32>,
    /// Indices of the images that choose the best epoch, ascending; none of them in `train` or `test`. Without any, the
    /// test images choose it ([`Split::choosing`]).
    pub validation: Vec<u32>,
    /// Indices of the test images, ascending; none of them in `train`.
    pub test: Vec<u32>,
    /// 16 hexadecimal digits of the BLAKE3 of the assignment: equal splits have equal hashes.
    pub hash: String,
    /// Groups of several images that were kept together, of one patch of sky or of equal pixels; 0 where a file says which
    /// image is in which set.
    pub patches: usize,
    /// Images that changed sets so that a group stays together, or to make up for that.
    pub moved: usize,
    /// Patches that had too many images to stay whole, and were cut.
    pub cut: usize,
    /// Fractions that groups did not allow, with the numbers.
    pub unmet: Vec<String>,
    /// How it was made, for people.
    pub source: String,
}

/// The set that is measured after each epoch, and whose accuracy chooses the best one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChosenBy {
    /// Images that neither train nor test, so that the test's accuracy is that of unseen images.
    Validation,
    /// The test images, whose accuracy then flatters: it is the best of several tries.
    #[default]
    Test,
}

impl Split {
    /// Draws `test_fraction` of each class for the test, and moves images so that no patch of sky (positions within
    /// [`PATCH_ARCSEC`] of each other, or joined by a chain of such) and no picture (equal pixels) is in both sets. Images
    /// without neighbours, and then whole groups, take the place of those that were moved, so that the classes keep their
    /// fractions as well as groups allow. A patch that holds more than a tenth of the images to draw, and more than 8, is
    /// cut: a chain through a crowded field would be one group. There is no validation set yet ([`Split::set_aside`]).
    ///
    /// # Errors
    /// [`Error::Setting`] where `test_fraction` is not between 0 and 1, [`Error::Data`] where a set has no images or a
    /// class none to train on.
    pub fn stratified(dataset: &Dataset, test_fraction: f64, seed: u64) -> Result<Self> {
        if !(test_fraction > 0.0 && test_fraction < 1.0) {
            return Err(Error::setting("test fraction", test_fraction, "above 0 and below 1"));
        }
        let mut sets = vec![Set::Train; dataset.len()];
        let drawn = draw(dataset, &vec![false; dataset.len()], test_fraction, ("split", seed));
        let percent = test_fraction * 100.0;
        let source = format!("{percent}% of each class drawn with seed {seed}");
        Self { source, ..Self::default() }.give(&mut sets, Set::Test, &drawn).finish(dataset, &sets)
    }

    /// Sets `fraction` of each class of the training set aside to choose the best epoch, by the rules of
    /// [`Split::stratified`]: the test set stays as it is, and no patch of sky of the training set is cut. 0 sets nothing
    /// aside.
    ///
    /// # Errors
    /// [`Error::Setting`] where `fraction` is not at least 0 and below 1, or the split has validation images already;
    /// [`Error::Data`] where a set would have no images or a class none to train on.
    pub fn set_aside(self, dataset: &Dataset, fraction: f64, seed: u64) -> Result<Self> {
        if fraction == 0.0 {
            return Ok(self);
        }
        if !(fraction > 0.0 && fraction < 1.0) {
            return Err(Error::setting("--validation", fraction, "at least 0 and below 1"));
        }
        if !self.validation.is_empty() {
            let allowed = format!("left out, as {} has {} validation images", self.source, self.validation.len());
            return Err(Error::setting("--validation", fraction, allowed));
        }
        let mut sets = self.sets(dataset);
        let beside: Vec<bool> = sets.iter().map(|&set| set != Set::Train).collect();
        let drawn = draw(dataset, &beside, fraction, ("validation", seed));
        let split = self.give(&mut sets, Set::Validation, &drawn);
        if !sets.contains(&Set::Validation) {
            return Err(no_images("validation", &split.source));
        }
        let percent = (fraction * 1e4).round() / 100.0;
        let source = format!("{}, {percent}% of its training set for validation with seed {seed}", split.source);
        Self { source, ..split }.finish(dataset, &sets)
    }

    /// Puts the drawn images into a set, and adds up what the draw did.
    fn give(mut self, sets: &mut [Set], to: Set, drawn: &Drawn) -> Self {
        sets.iter_mut().zip(&drawn.images).filter(|(_, drawn)| **drawn).for_each(|(set, _)| *set = to);
        self.patches = self.patches.max(drawn.groups);
        self.moved += drawn.moved;
        self.cut = self.cut.max(drawn.cut);
        let got = drawn.images.iter().filter(|drawn| **drawn).count();
        if drawn.missed > 0 {
            let purpose = if to == Set::Test { "test" } else { "validate" };
            let asked = drawn.asked;
            self.unmet.push(format!(
                "{got} to {purpose} instead of {asked}, {} too few or too many of a class",
                drawn.missed
            ));
        }
        self
    }

    /// Which set is measured after each epoch.
    pub fn chosen_by(&self) -> ChosenBy {
        if self.validation.is_empty() { ChosenBy::Test } else { ChosenBy::Validation }
    }

    /// The images that are measured after each epoch: the validation set, or the test set where there is none.
    pub fn choosing(&self) -> &[u32] {
        if self.validation.is_empty() { &self.test } else { &self.validation }
    }

    /// Reads a split from a CSV file with the columns `index`, `ans` (the label, as a check) and `split` (`train`, `test`,
    /// and `val` or `validation`). Images that it does not list are in no set. In a file without test images the
    /// validation images are the test set.
    ///
    /// # Errors
    /// [`Error::File`] naming the line, or where the file is longer than 64 KiB and 1 KiB an image, [`Error::Data`] where a set has no images or a class none to train on.
    pub fn from_csv(path: &Path, dataset: &Dataset) -> Result<Self> {
        let most = FEW_BYTES + ROW_BYTES * dataset.len() as u64;
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(open_bounded(path, most)?);
        let headers = reader.headers().map_err(|error| unreadable(path, &error))?.clone();
        let column = |name: &str| {
            let place = headers.iter().position(|header| header.eq_ignore_ascii_case(name));
            place.ok_or_else(|| Error::file(path, format!("line 1 has no column `{name}`"), COLUMNS))
        };
        let columns = [column("index")?, column("ans")?, column("split")?];
        let mut sets = vec![Set::Neither; dataset.len()];
        let mut lines = vec![0; dataset.len()];
        for record in reader.records() {
            let record = record.map_err(|error| unreadable(path, &error))?;
            let line = record.position().map_or(0, csv::Position::line);
            let [index, answer, word] = columns.map(|column| record.get(column).unwrap_or_default());
            let (index, set) = read_row(dataset, index, answer, word)
                .map_err(|(problem, remedy)| Error::file(path, format!("line {line}: {problem}"), remedy))?;
            if sets[index] != Set::Neither {
                let problem = format!("line {line}: index {index} was already in line {}", lines[index]);
                return Err(Error::file(path, problem, "list each image once"));
            }
            (sets[index], lines[index]) = (set, line);
        }
        Self::given(dataset, &GivenSets { sets, source: path.display().to_string() })
    }

    /// The split that a data set brings along ([`Dataset::given`]), or one that is drawn ([`Split::stratified`]).
    ///
    /// # Errors
    /// As [`Split::stratified`].
    pub fn of(dataset: &Dataset, test_fraction: f64, seed: u64) -> Result<Self> {
        match &dataset.given {
            Some(given) => Self::given(dataset, given),
            None => Self::stratified(dataset, test_fraction, seed),
        }
    }

    /// These sets; without test images the validation images are the test set.
    fn given(dataset: &Dataset, given: &GivenSets) -> Result<Self> {
        let mut sets = given.sets.clone();
        if !sets.contains(&Set::Test) {
            sets.iter_mut().filter(|set| **set == Set::Validation).for_each(|set| *set = Set::Test);
        }
        Self { source: given.source.clone(), ..Self::default() }.finish(dataset, &sets)
    }

    /// Writes the file that [`Split::from_csv`] reads: a line for each image that is in a set.
    ///
    /// # Errors
    /// [`Error::File`] where it cannot be written.
    pub fn write_csv(&self, path: &Path, dataset: &Dataset) -> Result<()> {
        let mut text = "index,ans,split\n".to_owned();
        for (index, set) in self.sets(dataset).into_iter().enumerate() {
            let word = match set {
                Set::Neither => continue,
                Set::Train => "train",
                Set::Test => "test",
                Set::Validation => "validation",
            };
            text += &format!("{index},{},{word}\n", dataset.labels[index]);
        }
        write_whole(path, text.as_bytes())
    }

    /// What the user should know of a split that came from a file: how many pairs of images of one patch of sky are in
    /// different sets.
    pub fn note(&self, dataset: &Dataset) -> Option<String> {
        let positions = dataset.sky.as_ref()?;
        let sets = self.sets(dataset);
        let (mut pairs, mut first) = (0, None);
        let all = sky::for_each_pair(positions, PATCH_ARCSEC, |a, b, _| {
            if sets[a] != sets[b] && sets[a] != Set::Neither && sets[b] != Set::Neither {
                pairs += 1;
                first = Some(first.map_or((a, b), |known: (usize, usize)| known.min((a, b))));
            }
        });
        first.map(|(a, b)| {
            format!(
                "{}{pairs} pairs of images within {PATCH_ARCSEC} arcseconds are in different sets of the split ({}), such as {a} and \
                 {b}: the network is tested on sky that it has seen; a split that galaxy-gpu draws keeps such images together.",
                if all { "" } else { "at least " },
                self.source
            )
        })
    }

    /// What the user should know of a split that the program did not draw: how many images of one set are in another, too,
    /// pixel for pixel.
    pub fn note_on_copies(&self, dataset: &Dataset) -> Option<String> {
        let sets = self.sets(dataset);
        let apart = |&(a, b): &(usize, usize)| sets[a] != sets[b] && ![sets[a], sets[b]].contains(&Set::Neither);
        let found: Vec<(usize, usize)> = copies(dataset).into_iter().enumerate().filter(apart).collect();
        found.first().map(|(copy, image)| {
            format!(
                "{} images are in another set of the split ({}), too, pixel for pixel, such as {image} and {copy}: the network is \
                 tested on what it has seen; a split that galaxy-gpu draws keeps them together.",
                found.len(),
                self.source
            )
        })
    }

    /// The set of each image.
    fn sets(&self, dataset: &Dataset) -> Vec<Set> {
        let mut sets = vec![Set::Neither; dataset.len()];
        for (images, set) in [(&self.train, Set::Train), (&self.test, Set::Test), (&self.validation, Set::Validation)] {
            images.iter().for_each(|&index| sets[index as usize] = set);
        }
        sets
    }

    /// Checks the sets, keeps them and hashes the assignment.
    fn finish(self, dataset: &Dataset, sets: &[Set]) -> Result<Self> {
        let pick = |set: Set| -> Vec<u32> { (0u32..).zip(sets).filter(|(_, s)| **s == set).map(|(i, _)| i).collect() };
        let [train, validation, test] = [Set::Train, Set::Validation, Set::Test].map(pick);
        let source = &self.source;
        for (name, set) in [("training", &train), ("test", &test)] {
            if set.is_empty() {
                return Err(no_images(name, source));
            }
        }
        let mut seen = vec![false; dataset.classes.len()];
        for &index in &train {
            seen[dataset.labels[index as usize] as usize] = true;
        }
        if let Some(class) = seen.iter().position(|seen| !seen) {
            let problem = format!("class {class} ({}) has no training images", dataset.classes[class]);
            return Err(Error::data(
                format!("split ({source})"),
                problem,
                "put some of its images into the training set",
            ));
        }
        let bytes: Vec<u8> = sets.iter().map(|&set| set as u8).collect();
        let hash = blake3::hash(&bytes).to_hex()[..16].to_owned();
        Ok(Self { train, validation, test, hash, ..self })
    }
}

fn no_images(set: &str, source: &str) -> Error {
    let problem = format!("the {set} set has no images");
    Error::data(format!("split ({source})"), problem, "change the split or add images")
}

/// What a CSV file must look like, for remedies.
const COLUMNS: &str = "its columns must be index, ans and split";

/// What is wrong with a table that cannot be read, with its line where the reader knows it.
fn unreadable(path: &Path, error: &csv::Error) -> Error {
    let place = error.position().map_or(String::new(), |position| format!("line {}: ", position.line()));
    let problem = match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => format!("{len} fields instead of {expected_len}"),
        csv::ErrorKind::Utf8 { .. } => "not UTF-8 text".to_owned(),
        _ => format!("cannot be read ({error})"),
    };
    Error::file(path, format!("{place}{problem}"), COLUMNS)
}

/// Reads one line of a CSV file; the error is a problem and a remedy.
fn read_row(dataset: &Dataset, index: &str, answer: &str, word: &str) -> Result<(usize, Set), (String, &'static str)> {
    let count = dataset.len();
    let index = match index.parse::<usize>() {
        Ok(index) if index < count => index,
        Ok(index) => {
            return Err((format!("index {index} is outside 0 to {}", count - 1), "use the split of this data set"));
        }
        Err(_) => return Err((format!("index is {index:?}, not a whole number"), "number the images 0, 1, 2, ...")),
    };
    let label = dataset.labels[index];
    if answer.parse() != Ok(label) {
        let problem = format!("ans is {answer:?}, but image {index} has the label {label}");
        return Err((problem, "use the split of this data set"));
    }
    Set::named(word).map(|set| (index, set)).ok_or_else(|| {
        let near = did_you_mean(&word.to_ascii_lowercase(), ["train", "test", "validation"]);
        (format!("split is {word:?}{near}"), "write train or test, or validation")
    })
}
