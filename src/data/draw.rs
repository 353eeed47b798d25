//! Draws a fraction of each class, and keeps groups of images together: patches of sky and pictures of equal pixels.

use std::collections::{HashMap, HashSet};

use rand_pcg::Pcg64;

use super::conflicts::{DUPLICATE_ARCSEC, identical};
use super::order::{generator, shuffle};
use super::{Dataset, sky};

/// Images whose centres are at most this many arcseconds apart stay in one set.
pub const PATCH_ARCSEC: f64 = 20.0;

/// Patches of at most so many images are never cut.
const SMALL_PATCH: usize = 8;

/// What was drawn.
pub(super) struct Drawn {
    /// Whether each image is.
    pub images: Vec<bool>,
    /// How many were asked for.
    pub asked: usize,
    /// How many images of a class there are too few or too many, over all classes.
    pub missed: usize,
    /// Groups of several images.
    pub groups: usize,
    /// Patches of sky that were cut.
    pub cut: usize,
    /// Images that were drawn or not for the sake of groups.
    pub moved: usize,
}

/// Draws `fraction` of each class of the images that are not `beside`, by a generator of this purpose and seed, and keeps
/// groups together.
pub(super) fn draw(dataset: &Dataset, beside: &[bool], fraction: f64, (purpose, seed): (&str, u64)) -> Drawn {
    let labels = &dataset.labels;
    let mut members = vec![Vec::new(); dataset.classes.len()];
    for (index, &label) in labels.iter().enumerate().filter(|&(index, _)| !beside[index]) {
        members[label as usize].push(index);
    }
    let wanted: Vec<usize> = members.iter().map(|members| quota(members.len(), fraction)).collect();
    let asked: usize = wanted.iter().sum();
    let mut drawn = vec![false; dataset.len()];
    for (class, (members, &wanted)) in members.iter_mut().zip(&wanted).enumerate() {
        shuffle(members, &mut generator(purpose, seed, class as u64));
        members[..wanted].iter().for_each(|&index| drawn[index] = true);
    }
    let (groups, cut) = groups(dataset, beside, SMALL_PATCH.max(asked / 10));
    let mut moved = unite(&mut drawn, &groups);
    rebalance(&mut drawn, &members, &wanted, &groups);
    let mut balance = Balance::new(labels, &drawn, &members, wanted);
    if balance.missed() > 0 {
        let order = &mut generator(purpose, seed, members.len() as u64);
        moved += balance.fill(&mut drawn, labels, &groups, order);
        rebalance(&mut drawn, &members, &balance.wanted, &groups);
        balance = Balance::new(labels, &drawn, &members, balance.wanted);
    }
    Drawn { images: drawn, asked, missed: balance.missed(), groups: groups.len(), cut, moved }
}

/// How many of `count` images of a class are drawn: at least one, as long as one is left to train on.
fn quota(count: usize, fraction: f64) -> usize {
    let rounded = (count as f64 * fraction).round() as usize;
    rounded.max(1).min(count.saturating_sub(1))
}

/// The images, of those that are not `beside`, which must stay together: patches of sky and images of equal pixels. A patch
/// of more than `largest` places is cut into pieces of at most so many; images of one place ([`DUPLICATE_ARCSEC`]) or of
/// equal pixels stay together all the same. Also says how many patches were cut.
fn groups(dataset: &Dataset, beside: &[bool], largest: usize) -> (Vec<Vec<usize>>, usize) {
    let mut parent = copies(dataset);
    let mut cut = 0;
    if let Some(positions) = &dataset.sky {
        let same = sky::patches(positions, DUPLICATE_ARCSEC);
        same.iter().enumerate().for_each(|(index, &first)| sky::join(&mut parent, index, first));
        let place = sky::roots(&mut parent);
        for mut patch in group(&sky::patches(positions, PATCH_ARCSEC), beside) {
            let mut seen = HashSet::new();
            patch.retain(|&index| seen.insert(place[index]));
            cut += usize::from(patch.len() > largest);
            for piece in sky::cut(positions, &patch, largest) {
                piece.iter().for_each(|&index| sky::join(&mut parent, piece[0], index));
            }
        }
    }
    (group(&sky::roots(&mut parent), beside), cut)
}

/// For each image the first with the same pixels, perhaps itself. Images of one colour are nobody's copies.
pub(super) fn copies(dataset: &Dataset) -> Vec<usize> {
    let is_plain = |index: usize| dataset.image(index).windows(4).all(|values| values[0] == values[3]);
    let alone = |(index, twin): (usize, usize)| if twin != index && is_plain(index) { index } else { twin };
    identical(dataset).into_iter().enumerate().map(alone).collect()
}

/// The members of each group with more than one that is not `beside`, groups in the order of their first member.
fn group(numbers: &[usize], beside: &[bool]) -> Vec<Vec<usize>> {
    let mut by_number: HashMap<usize, Vec<usize>> = HashMap::new();
    for (index, &number) in numbers.iter().enumerate().filter(|&(index, _)| !beside[index]) {
        by_number.entry(number).or_default().push(index);
    }
    let mut groups: Vec<Vec<usize>> = by_number.into_values().filter(|members| members.len() > 1).collect();
    groups.sort_unstable();
    groups
}

/// Draws a group if most of it is drawn, and does not otherwise; returns how many images moved.
fn unite(drawn: &mut [bool], groups: &[Vec<usize>]) -> usize {
    let mut moved = 0;
    for group in groups {
        let count = group.iter().filter(|&&index| drawn[index]).count();
        let is_drawn = count * 2 > group.len();
        group.iter().for_each(|&index| drawn[index] = is_drawn);
        moved += if is_drawn { group.len() - count } else { count };
    }
    moved
}

/// Brings each class to what is wanted of it by changing images that are in no group.
fn rebalance(drawn: &mut [bool], members: &[Vec<usize>], wanted: &[usize], groups: &[Vec<usize>]) {
    let mut grouped = vec![false; drawn.len()];
    groups.iter().flatten().for_each(|&index| grouped[index] = true);
    for (members, &wanted) in members.iter().zip(wanted) {
        let count = members.iter().filter(|&&index| drawn[index]).count();
        let more = count < wanted;
        // In the shuffled order, so that the choice is as random as the first one.
        let movable = members.iter().copied().filter(|&index| !grouped[index] && drawn[index] != more);
        let chosen: Vec<usize> = movable.take(count.abs_diff(wanted)).collect();
        chosen.into_iter().for_each(|index| drawn[index] = more);
    }
}

/// How many images of each class are drawn, wanted, and there.
struct Balance {
    drawn: Vec<usize>,
    wanted: Vec<usize>,
    all: Vec<usize>,
}

impl Balance {
    fn new(labels: &[u32], drawn: &[bool], members: &[Vec<usize>], wanted: Vec<usize>) -> Self {
        let mut counts = vec![0; wanted.len()];
        labels.iter().zip(drawn).filter(|(_, drawn)| **drawn).for_each(|(&label, _)| counts[label as usize] += 1);
        Self { drawn: counts, wanted, all: members.iter().map(Vec::len).collect() }
    }

    fn missed(&self) -> usize {
        self.drawn.iter().zip(&self.wanted).map(|(drawn, wanted)| drawn.abs_diff(*wanted)).sum()
    }

    /// How bad it is to have so many of a class: none at all is worse than one too few.
    fn fault(&self, class: usize, count: usize) -> usize {
        let wanted = self.wanted[class];
        count.abs_diff(wanted) + usize::from(count == 0 && wanted > 0)
    }

    /// Draws whole groups, or puts them back, in random order as long as that helps; returns how many images moved.
    fn fill(&mut self, drawn: &mut [bool], labels: &[u32], groups: &[Vec<usize>], order: &mut Pcg64) -> usize {
        let mut groups: Vec<&Vec<usize>> = groups.iter().collect();
        shuffle(&mut groups, order);
        let (mut moved, mut before) = (0, None);
        while before != Some(moved) {
            before = Some(moved);
            for group in &groups {
                if self.turn(!drawn[group[0]], labels, group) {
                    group.iter().for_each(|&index| drawn[index] = !drawn[index]);
                    moved += group.len();
                }
            }
        }
        moved
    }

    /// Counts a group as drawn, or as not drawn, if that brings the classes closer to what is wanted and leaves some of each
    /// to train on.
    fn turn(&mut self, draw: bool, labels: &[u32], group: &[usize]) -> bool {
        let mut images: HashMap<usize, usize> = HashMap::new();
        group.iter().for_each(|&index| *images.entry(labels[index] as usize).or_default() += 1);
        let after =
            |class: usize, count: usize| if draw { self.drawn[class] + count } else { self.drawn[class] - count };
        let old: usize = images.keys().map(|&class| self.fault(class, self.drawn[class])).sum();
        let new: usize = images.iter().map(|(&class, &count)| self.fault(class, after(class, count))).sum();
        let leaves = images.iter().all(|(&class, &count)| after(class, count) < self.all[class]);
        if new >= old || !leaves {
            return false;
        }
        let counts: Vec<(usize, usize)> = images.iter().map(|(&class, &count)| (class, after(class, count))).collect();
        counts.into_iter().for_each(|(class, count)| self.drawn[class] = count);
        true
    }
}
