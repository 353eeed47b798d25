//! Which images train and which test.
//!
//! A galaxy that is in a data set twice, or that lies in the corner of another one's image, must not be on both
//! sides: a network that has seen it would be tested on what it remembers. This file knows nothing of epochs.

use std::collections::HashMap;
use std::path::Path;

use super::order::{generator, shuffle};
use super::{Dataset, sky};
use crate::files::open_bounded;
use crate::{Error, Result};

/// Images whose centres are at most this many arcseconds apart are kept on one side.
pub const PATCH_ARCSEC: f64 = 20.0;

/// Bytes of a split's file besides [`ROW_BYTES`] for each image.
const FEW_BYTES: u64 = 64 << 10;
/// Bytes of a line of a split's file; one line may be longer.
const ROW_BYTES: u64 = 1 << 10;

/// Training and test images of a data set.
#[derive(Clone, Debug, PartialEq)]
pub struct Split {
    /// Indices of the training images, ascending.
    pub train: Vec<u32>,
    /// Indices of the test images, ascending; none of them in `train`.
    pub test: Vec<u32>,
    /// 16 hexadecimal digits of the BLAKE3 of the assignment: equal splits have equal hashes.
    pub hash: String,
    /// Images that changed sides so that a patch of sky stays together.
    pub moved: usize,
    /// How it was made, for people.
    pub source: String,
}

/// Side of an image.
#[derive(Clone, Copy, PartialEq)]
enum Side {
    Neither = 0,
    Train = 1,
    Test = 2,
}

impl Split {
    /// Draws `test_fraction` of each class for the test, and moves images so that no patch of sky (positions within
    /// [`PATCH_ARCSEC`] of each other, or joined by a chain of such) is on both sides. Images without neighbours then
    /// take the place of those that were moved, so that the classes keep their shares.
    ///
    /// # Errors
    /// [`Error::Setting`] where `test_fraction` is not between 0 and 1, [`Error::Data`] where a side has no images or a
    /// class none to train on.
    pub fn stratified(dataset: &Dataset, test_fraction: f64, seed: u64) -> Result<Self> {
        if !(test_fraction > 0.0 && test_fraction < 1.0) {
            return Err(Error::setting("test fraction", test_fraction, "above 0 and below 1"));
        }
        let mut members = vec![Vec::new(); dataset.classes.len()];
        for (index, &label) in dataset.labels.iter().enumerate() {
            members[label as usize].push(index);
        }
        let mut sides = vec![Side::Train; dataset.len()];
        for (class, members) in members.iter_mut().enumerate() {
            shuffle(members, &mut generator("split", seed, class as u64));
            for &index in &members[..quota(members.len(), test_fraction)] {
                sides[index] = Side::Test;
            }
        }
        let moved = match &dataset.sky {
            Some(positions) => {
                let patches = group(&sky::patches(positions, PATCH_ARCSEC));
                let moved = unite(&mut sides, &patches);
                rebalance(&mut sides, &members, &patches, test_fraction);
                moved
            }
            None => 0,
        };
        let percent = test_fraction * 100.0;
        Self::finish(dataset, &sides, moved, format!("{percent}% of each class drawn with seed {seed}"))
    }

    /// Reads a split from a CSV file with the columns `index`, `ans` (the label, as a check) and `split` (`train`, and
    /// `test` or `val` or `validation`). Images that it does not list are on neither side. There are two sides only, and
    /// training chooses its best weights by the second one: a file with both validation and test images is refused, as
    /// weights chosen by the images of a test would make that test flatter them.
    ///
    /// # Errors
    /// [`Error::File`] naming the line, or where the file is longer than 64 KiB and 1 KiB an image, [`Error::Data`] where a side has no images or a class none to train on.
    pub fn from_csv(path: &Path, dataset: &Dataset) -> Result<Self> {
        let most = FEW_BYTES + ROW_BYTES * dataset.len() as u64;
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(open_bounded(path, most)?);
        let headers = reader.headers().map_err(|error| unreadable(path, &error))?.clone();
        let column = |name: &str| {
            let place = headers.iter().position(|header| header.eq_ignore_ascii_case(name));
            place.ok_or_else(|| Error::file(path, format!("line 1 has no column `{name}`"), COLUMNS))
        };
        let columns = [column("index")?, column("ans")?, column("split")?];
        let mut sides = vec![Side::Neither; dataset.len()];
        let mut lines = vec![0; dataset.len()];
        let mut name = None;
        for record in reader.records() {
            let record = record.map_err(|error| unreadable(path, &error))?;
            let line = record.position().map_or(0, csv::Position::line);
            let [index, answer, word] = columns.map(|column| record.get(column).unwrap_or_default());
            let (index, side) = read_row(dataset, index, answer, word)
                .and_then(|row| one_name(&mut name, row.1, word, line).map(|()| row))
                .map_err(|(problem, remedy)| Error::file(path, format!("line {line}: {problem}"), remedy))?;
            if sides[index] != Side::Neither {
                let problem = format!("line {line}: index {index} was already in line {}", lines[index]);
                return Err(Error::file(path, problem, "list each image once"));
            }
            (sides[index], lines[index]) = (side, line);
        }
        Self::finish(dataset, &sides, 0, path.display().to_string())
    }

    /// What the user should know of a split that came from a file: how many pairs of images of one patch of sky are on both sides.
    pub fn note(&self, dataset: &Dataset) -> Option<String> {
        let positions = dataset.sky.as_ref()?;
        let mut sides = vec![Side::Neither; dataset.len()];
        self.train.iter().for_each(|&index| sides[index as usize] = Side::Train);
        self.test.iter().for_each(|&index| sides[index as usize] = Side::Test);
        let (mut pairs, mut first) = (0, None);
        sky::for_each_pair(positions, PATCH_ARCSEC, |a, b, _| {
            if sides[a] != sides[b] && sides[a] != Side::Neither && sides[b] != Side::Neither {
                pairs += 1;
                first = Some(first.map_or((a, b), |known: (usize, usize)| known.min((a, b))));
            }
        });
        first.map(|(a, b)| {
            format!(
                "{pairs} pairs of images within {PATCH_ARCSEC} arcseconds are on both sides of the split ({}), such as {a} and \
                 {b}: the network is tested on sky that it has seen; without --split such images stay together.",
                self.source
            )
        })
    }

    /// Checks both sides and hashes the assignment.
    fn finish(dataset: &Dataset, sides: &[Side], moved: usize, source: String) -> Result<Self> {
        let pick =
            |side: Side| -> Vec<u32> { (0u32..).zip(sides).filter(|(_, s)| **s == side).map(|(i, _)| i).collect() };
        let (train, test) = (pick(Side::Train), pick(Side::Test));
        for (name, side) in [("training", &train), ("test", &test)] {
            if side.is_empty() {
                let problem = format!("the {name} side has no images");
                return Err(Error::data(format!("split ({source})"), problem, "change the split or add images"));
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
                "put some of its images into the training side",
            ));
        }
        let bytes: Vec<u8> = sides.iter().map(|&side| side as u8).collect();
        let hash = blake3::hash(&bytes).to_hex()[..16].to_owned();
        Ok(Self { train, test, hash, moved, source })
    }
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
fn read_row(dataset: &Dataset, index: &str, answer: &str, word: &str) -> Result<(usize, Side), (String, &'static str)> {
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
        "train" | "training" => Ok((index, Side::Train)),
        "test" | "val" | "validation" => Ok((index, Side::Test)),
        _ => Err((format!("split is {word:?}"), "write train or test")),
    }
}

/// Refuses validation images beside test images; `name` is whether the first such line, and which it was, said `test`.
fn one_name(name: &mut Option<(bool, u64)>, side: Side, word: &str, line: u64) -> Result<(), (String, &'static str)> {
    if side != Side::Test {
        return Ok(());
    }
    let test = word.eq_ignore_ascii_case("test");
    let (earlier, first) = *name.get_or_insert((test, line));
    if earlier == test {
        return Ok(());
    }
    let other = if earlier { "test" } else { "val" };
    let problem = format!("split is {word:?}, but line {first} has {other:?}, and training uses only one of them");
    Err((problem, "remove the rows of one: train with the validation images, and test with the test images afterwards"))
}

/// How many of `count` images of a class are for the test: at least one, as long as one is left to train on.
fn quota(count: usize, test_fraction: f64) -> usize {
    let rounded = (count as f64 * test_fraction).round() as usize;
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

/// Puts each patch on the side that most of it is on, the training side if in doubt; returns how many images moved.
fn unite(sides: &mut [Side], patches: &[Vec<usize>]) -> usize {
    let mut moved = 0;
    for patch in patches {
        let tests = patch.iter().filter(|&&index| sides[index] == Side::Test).count();
        let (side, movers) =
            if tests * 2 > patch.len() { (Side::Test, patch.len() - tests) } else { (Side::Train, tests) };
        patch.iter().for_each(|&index| sides[index] = side);
        moved += movers;
    }
    moved
}

/// Brings each class back to its quota by changing the sides of images that share their patch with no other.
fn rebalance(sides: &mut [Side], members: &[Vec<usize>], patches: &[Vec<usize>], test_fraction: f64) {
    let mut shared = vec![false; sides.len()];
    patches.iter().flatten().for_each(|&index| shared[index] = true);
    for members in members {
        let tests = members.iter().filter(|&&index| sides[index] == Side::Test).count();
        let wanted = quota(members.len(), test_fraction);
        let (from, to) = if tests < wanted { (Side::Train, Side::Test) } else { (Side::Test, Side::Train) };
        // In the shuffled order, so that the choice is as random as the first one.
        let movable = members.iter().filter(|&&index| !shared[index]);
        let chosen: Vec<usize> =
            movable.copied().filter(|&index| sides[index] == from).take(tests.abs_diff(wanted)).collect();
        chosen.into_iter().for_each(|index| sides[index] = to);
    }
}
