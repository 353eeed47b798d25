//! Gradients of weights and bias. The weights are a matrix with a row for each tap of each input channel and a column for each output
//! channel; a tile of it is 16 rows x 16 columns, whose sums stay in registers while it goes over a band's pixels.

#![allow(unsafe_code)]
// loops over registers have fixed ranges, and the index says which register
#![allow(clippy::needless_range_loop)]

use super::shape::Shape;
use crate::simd::{InstructionSet, Kernel, LANES, MOST_PIXELS, Simd, lanes, lanes_mut, value};
use rayon::prelude::*;
use std::ops::Range;

/// Pixels of a band, about: sixteen floats of each stay in the L1 cache.
const PIXELS: usize = 256;
/// Blocks of 16 rows that a thread takes: enough that copies of gradients cost little beside the sums.
const BLOCKS: usize = 36;
/// The most weights of all groups together, whose sums are added in order.
const GROUPED: usize = 1 << 21;
/// The most groups.
const GROUPS: usize = 16;
/// Floats of a tile.
pub(super) const TILE: usize = LANES * LANES;

/// Sizes of the sums: fixed, so that the bits do not depend on threads.
#[derive(Clone, Copy)]
struct Sums {
    /// Rows of windows in a band.
    band: usize,
    /// Rows of windows of a group, whole bands.
    group: usize,
    /// Rows of windows of all images.
    rows: usize,
    /// Blocks of 16 rows and of 16 columns of the weights; those of rows are filled up to whole parts.
    blocks: [usize; 2],
    /// Blocks of rows that a thread takes.
    part: usize,
}

impl Sums {
    fn new(c: Shape, rows: usize) -> Self {
        let taps = c.taps[0] * c.step_and_run()[1];
        let band = (PIXELS / c.windows[1]).max(1);
        let groups = (GROUPED / (taps * c.out_c)).clamp(1, GROUPS);
        let group = rows.div_ceil(groups).next_multiple_of(band);
        let part = taps.div_ceil(LANES).min(BLOCKS);
        let blocks = [taps.div_ceil(LANES).next_multiple_of(part), c.out_c.div_ceil(LANES)];
        Self { band, group, rows, blocks, part }
    }

    /// Floats of a group.
    fn floats(self) -> usize {
        self.blocks[0] * self.blocks[1] * TILE
    }
}

/// Gradient of the weights.
pub fn backward_weights(c: Shape, input: &[f32], gradient: &[f32], to: &mut [f32], set: InstructionSet) {
    let sizes = Sums::new(c, gradient.len() / (c.windows[1] * c.out_c));
    let mut sums = vec![0.0; sizes.rows.div_ceil(sizes.group) * sizes.floats()];
    let part = sizes.part * sizes.blocks[1] * TILE;
    sums.par_chunks_mut(part).enumerate().for_each_init(Band::default, |band, (i, sums)| {
        let (group, first) = (i * part / sizes.floats(), i * part % sizes.floats() / part * sizes.part);
        let end = sizes.rows.min((group + 1) * sizes.group);
        for row in (group * sizes.group..end).step_by(sizes.band) {
            band.fill(c, row..end.min(row + sizes.band), input, gradient);
            for (block, sums) in (first..).zip(sums.chunks_mut(sizes.blocks[1] * TILE)) {
                if block * LANES < c.taps[0] * c.step_and_run()[1] {
                    set.run(Product { c, block, band, sums });
                }
            }
        }
    });
    let groups: Vec<&[f32]> = sums.chunks(sizes.floats()).collect();
    to.par_chunks_mut(c.out_c).enumerate().for_each(|(row, to)| {
        for (block, to) in to.chunks_mut(LANES).enumerate() {
            let at = (row / LANES * sizes.blocks[1] + block) * TILE + row % LANES * LANES;
            to.iter_mut().zip(at..).for_each(|(to, at)| *to = groups.iter().map(|sums| sums[at]).sum());
        }
    });
}

/// Gradient of the bias: the pixels of fixed groups, added in order.
pub fn bias(gradient: &[f32], to: &mut [f32]) {
    let group = (gradient.len() / to.len()).div_ceil(GROUPS) * to.len();
    let add = |mut sums: Vec<f32>, pixel: &[f32]| {
        sums.iter_mut().zip(pixel).for_each(|(sum, value)| *sum += value);
        sums
    };
    let sums = |gradient: &[f32]| gradient.chunks(to.len()).fold(vec![0.0; to.len()], add);
    let groups: Vec<Vec<f32>> = gradient.par_chunks(group).map(sums).collect();
    to.copy_from_slice(&groups.iter().fold(vec![0.0; to.len()], |sums, group| add(sums, group)));
}

/// A band's pixels and gradients as the sums read them.
#[derive(Default)]
struct Band {
    /// What its windows see.
    padded: Vec<f32>,
    /// Its gradients by blocks of 16 output channels: `[out_c / 16][windows][16]`.
    gradients: Vec<f32>,
    /// The first tap of each window.
    places: Vec<usize>,
    /// The taps of 16 rows of the weights: `[windows][16]`.
    unfolded: Vec<f32>,
    /// Rows of taps among those 16: the first of them, counted from a window's first tap, and its lane.
    runs: Vec<[usize; 2]>,
}

impl Band {
    fn fill(&mut self, c: Shape, rows: Range<usize>, input: &[f32], gradient: &[f32]) {
        let [step, _] = c.step_and_run();
        c.pad(rows.clone(), input, &mut self.padded);
        let place = |row| (c.first_tap(row) - c.first_tap(rows.start)) * c.row();
        self.places.clear();
        self.places.extend(rows.clone().flat_map(|row| (0..c.windows[1]).map(move |x| place(row) + x * step)));
        let windows = self.places.len();
        self.unfolded.resize((windows + 1) * LANES, 0.0);
        self.gradients.clear();
        self.gradients.resize(windows * c.out_c.next_multiple_of(LANES), 0.0);
        let pixels = gradient.chunks(c.out_c).skip(rows.start * c.windows[1]).take(windows);
        for (window, pixel) in pixels.enumerate() {
            for (block, from) in pixel.chunks(LANES).enumerate() {
                let to = &mut self.gradients[(block * windows + window) * LANES..][..LANES];
                match (from.first_chunk::<LANES>(), to.first_chunk_mut::<LANES>()) {
                    (Some(from), Some(to)) => *to = *from,
                    _ => to[..from.len()].copy_from_slice(from),
                }
            }
        }
    }

    /// Copies the taps of 16 rows of the weights. Those of one row of taps lie beside each other in memory: a vector is copied from the
    /// first of them on, and what it has too much is overwritten by the next row of taps or by the next window.
    #[inline(always)]
    fn unfold<S: Simd>(&mut self, s: S, c: Shape, block: usize) {
        let [_, run] = c.step_and_run();
        self.runs.clear();
        let mut row = block * LANES;
        while row < (c.taps[0] * run).min((block + 1) * LANES) {
            self.runs.push([row / run * c.row() + row % run, row % LANES]);
            row = (row / run + 1) * run;
        }
        let last = self.places.last().zip(self.runs.iter().map(|[tap, _]| tap).max());
        assert!(last.is_none_or(|(place, tap)| place + tap + LANES <= self.padded.len()));
        assert!((self.places.len() + 1) * LANES <= self.unfolded.len());
        for (window, place) in self.places.iter().enumerate() {
            for [tap, lane] in &self.runs {
                // SAFETY: the assertions cover the last window, which is the furthest, and a vector that begins within its own.
                unsafe {
                    let taps = s.load(lanes(&self.padded, place + tap));
                    s.store(taps, lanes_mut(&mut self.unfolded, window * LANES + lane));
                }
            }
        }
    }
}

/// Adds the products of a block of rows with all output channels to their sums.
struct Product<'a> {
    c: Shape,
    block: usize,
    band: &'a mut Band,
    sums: &'a mut [f32],
}

impl Kernel for Product<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { c, block, band, sums } = self;
        band.unfold(s, c, block);
        let Band { gradients, unfolded, places, .. } = band;
        for (sums, gradients) in sums.chunks_mut(TILE).zip(gradients.chunks(places.len() * LANES)) {
            for first in (0..LANES).step_by(2 * S::PIXELS) {
                add_tile(s, &unfolded[first..], gradients, &mut sums[first * LANES..]);
            }
        }
    }
}

/// Adds as many rows of a tile as the registers hold: for each window, its taps of the rows times its gradients of sixteen columns.
#[inline(always)]
pub(super) fn add_tile<S: Simd>(s: S, unfolded: &[f32], gradients: &[f32], sums: &mut [f32]) {
    let windows = gradients.len() / LANES;
    assert!(windows * LANES + 2 * S::PIXELS <= unfolded.len() + LANES && sums.len() >= 2 * S::PIXELS * LANES);
    let mut acc = [s.splat(0.0); 2 * MOST_PIXELS];
    // SAFETY: the assertion covers the sums and the taps of the last window; gradients are as many vectors.
    unsafe {
        for r in 0..2 * S::PIXELS {
            acc[r] = s.load(lanes(sums, r * LANES));
        }
        for window in 0..windows {
            let gradient = s.load(lanes(gradients, window * LANES));
            for r in 0..2 * S::PIXELS {
                acc[r] = s.fma(s.splat(value(unfolded, window * LANES + r)), gradient, acc[r]);
            }
        }
    }
    for r in 0..2 * S::PIXELS {
        if let Some(to) = sums[r * LANES..].first_chunk_mut() {
            s.store(acc[r], to);
        }
    }
}
