//! Which images train, which choose the best epoch, and which test.
//!
//! A galaxy that is in a data set twice, or that lies in the corner of another one's image, must not be in two
//! sets: a network that has seen it would be tested on what it remembers. This file knows nothing of epochs.

use std::collections::HashMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::order::{generator, shuffle};
use super::{Dataset, sky};
use crate::files::{open_bounded, write_whole};
use crate::suggest::did_you_mean;
use crate::{Error, Result};

/// Images whose centres are at most this many arcseconds apart stay in one set.
pub const PATCH_ARCSEC: f64 = 20.0;

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
    /// Patches of sky with several images that were kept together; 0 where a file says which image is in which set.
    pub patches: usize,
    /// Images that changed sets so that a patch of sky stays together.
    pub moved: usize,
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

/// The set that an image is in. The numbers are hashed.
#[derive(Clone, Copy, PartialEq)]
enum Set {
    Neither = 0,
    Train = 1,
    Test = 2,
    Validation = 3,
}

impl Split {
    /// Draws `test_fraction` of each class for the test, and moves images so that no patch of sky (positions within
    /// [`PATCH_ARCSEC`] of each other, or joined by a chain of such) is in both sets. Images without neighbours then
    /// take the place of those that were moved, so that the classes keep their fractions. There is no validation set yet
    /// ([`Split::set_aside`]).
    ///
    /// # Errors
    /// [`Error::Setting`] where `test_fraction` is not between 0 and 1, [`Error::Data`] where a set has no images or a
    /// class none to train on.
    pub fn stratified(dataset: &Dataset, test_fraction: f64, seed: u64) -> Result<Self> {
        if !(test_fraction > 0.0 && test_fraction < 1.0) {
            return Err(Error::setting("test fraction", test_fraction, "above 0 and below 1"));
        }
        let mut sets = vec![Set::Train; dataset.len()];
        let (patches, moved) = draw(&mut sets, dataset, Set::Test, test_fraction, ("split", seed));
        let percent = test_fraction * 100.0;
        let source = format!("{percent}% of each class drawn with seed {seed}");
        Self { patches, moved, source, ..Self::default() }.finish(dataset, &sets)
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
        let (patches, moved) = draw(&mut sets, dataset, Set::Validation, fraction, ("validation", seed));
        if !sets.contains(&Set::Validation) {
            return Err(no_images("validation", &self.source));
        }
        let percent = (fraction * 1e4).round() / 100.0;
        let source = format!("{}, {percent}% of its training set for validation with seed {seed}", self.source);
        Self { patches: self.patches.max(patches), moved: self.moved + moved, source, ..self }.finish(dataset, &sets)
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
        if !sets.contains(&Set::Test) {
            sets.iter_mut().filter(|set| **set == Set::Validation).for_each(|set| *set = Set::Test);
        }
        Self { source: path.display().to_string(), ..Self::default() }.finish(dataset, &sets)
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
        sky::for_each_pair(positions, PATCH_ARCSEC, |a, b, _| {
            if sets[a] != sets[b] && sets[a] != Set::Neither && sets[b] != Set::Neither {
                pairs += 1;
                first = Some(first.map_or((a, b), |known: (usize, usize)| known.min((a, b))));
            }
        });
        first.map(|(a, b)| {
            format!(
                "{pairs} pairs of images within {PATCH_ARCSEC} arcseconds are in different sets of the split ({}), such as {a} and \
                 {b}: the network is tested on sky that it has seen; without --split such images stay together.",
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
    match word.to_ascii_lowercase().as_str() {
        "train" | "training" => Ok((index, Set::Train)),
        "test" => Ok((index, Set::Test)),
        "val" | "validation" => Ok((index, Set::Validation)),
        other => {
            let near = did_you_mean(other, ["train", "test", "validation"]);
            Err((format!("split is {word:?}{near}"), "write train or test, or validation"))
        }
    }
}

/// Draws `fraction` of each class of the training set for the set `to`, by a generator of this purpose and seed, and
/// keeps patches of sky together. Returns how many patches have several images, and how many images were moved for that.
fn draw(sets: &mut [Set], dataset: &Dataset, to: Set, fraction: f64, (purpose, seed): (&str, u64)) -> (usize, usize) {
    let mut members = vec![Vec::new(); dataset.classes.len()];
    let mut beside = vec![true; dataset.len()];
    for (index, &label) in dataset.labels.iter().enumerate().filter(|&(index, _)| sets[index] == Set::Train) {
        members[label as usize].push(index);
        beside[index] = false;
    }
    for (class, members) in members.iter_mut().enumerate() {
        shuffle(members, &mut generator(purpose, seed, class as u64));
        for &index in &members[..quota(members.len(), fraction)] {
            sets[index] = to;
        }
    }
    let Some(positions) = &dataset.sky else { return (0, 0) };
    let mut patches = group(&sky::patches(positions, PATCH_ARCSEC));
    patches.iter_mut().for_each(|patch| patch.retain(|&index| !beside[index]));
    patches.retain(|patch| patch.len() > 1);
    let moved = unite(sets, &patches, to);
    rebalance(sets, &members, &patches, (to, fraction));
    (patches.len(), moved)
}

/// How many of `count` images of a class are drawn: at least one, as long as one is left to train on.
fn quota(count: usize, fraction: f64) -> usize {
    let rounded = (count as f64 * fraction).round() as usize;
    rounded.max(1).min(count.saturating_sub(1))
}

/// The members of each patch with more than one, patches in the order of their first member.
fn group(patches: &[usize]) -> Vec<Vec<usize>> {
    let mut by_patch: HashMap<usize, Vec<usize>> = HashMap::new();
    for (index, &patch) in patches.iter().enumerate() {
        by_patch.entry(patch).or_default().push(index);
    }
    let mut groups: Vec<Vec<usize>> = by_patch.into_values().filter(|members| members.len() > 1).collect();
    groups.sort_unstable();
    groups
}

/// Puts each patch into the set that most of it is in, the training set if in doubt; returns how many images moved.
fn unite(sets: &mut [Set], patches: &[Vec<usize>], to: Set) -> usize {
    let mut moved = 0;
    for patch in patches {
        let drawn = patch.iter().filter(|&&index| sets[index] == to).count();
        let (set, movers) = if drawn * 2 > patch.len() { (to, patch.len() - drawn) } else { (Set::Train, drawn) };
        patch.iter().for_each(|&index| sets[index] = set);
        moved += movers;
    }
    moved
}

/// Brings each class back to its quota by changing the sets of images that share their patch with no other.
fn rebalance(sets: &mut [Set], members: &[Vec<usize>], patches: &[Vec<usize>], (drawn, fraction): (Set, f64)) {
    let mut shared = vec![false; sets.len()];
    patches.iter().flatten().for_each(|&index| shared[index] = true);
    for members in members {
        let count = members.iter().filter(|&&index| sets[index] == drawn).count();
        let wanted = quota(members.len(), fraction);
        let (from, to) = if count < wanted { (Set::Train, drawn) } else { (drawn, Set::Train) };
        // In the shuffled order, so that the choice is as random as the first one.
        let movable = members.iter().filter(|&&index| !shared[index]);
        let chosen: Vec<usize> =
            movable.copied().filter(|&index| sets[index] == from).take(count.abs_diff(wanted)).collect();
        chosen.into_iter().for_each(|index| sets[index] = to);
    }
}
