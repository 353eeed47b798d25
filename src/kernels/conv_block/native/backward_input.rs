//! Gradient of the input. Each gradient of an open window is added, times nine weights, around the pixel that it belongs to; the sums of
//! a band of rows stay in the cache.

#![allow(unsafe_code)]
// loops over registers have fixed ranges, and the index says which register
#![allow(clippy::needless_range_loop)]

use super::shape::{CLOSED, Shape};
use crate::simd::{InstructionSet, Kernel, LANES, Simd, lanes, lanes_mut, value};
use rayon::prelude::*;
use std::ops::Range;

/// Output channels whose weights stay in the L1 cache.
const OUTS: usize = 32;

/// Weights by blocks of 16 input channels: `[in_c / 16][out_c][3 x 3][16]`, zeros past the last channel.
fn pack_turned(c: Shape, weights: &[f32]) -> Vec<f32> {
    let mut packed = vec![0.0; c.in_c.div_ceil(LANES) * c.out_c * 9 * LANES];
    packed.par_chunks_mut(9 * LANES).enumerate().for_each(|(i, to)| {
        let (block, oc) = (i / c.out_c, i % c.out_c);
        for (tap, to) in to.chunks_mut(LANES).enumerate() {
            for (ic, to) in (block * LANES..c.in_c).zip(to) {
                *to = weights[(tap * c.in_c + ic) * c.out_c + oc];
            }
        }
    });
    packed
}

/// Gradient of the input, image by image.
pub fn backward_input(
    c: Shape,
    gradient: &[f32],
    codes: &[u8],
    weights: &[f32],
    input_gradient: &mut [f32],
    set: InstructionSet,
) {
    let packed = pack_turned(c, weights);
    let images = gradient.par_chunks(c.pool_h * c.pooled_row()).zip(codes.par_chunks(c.pool_h * c.codes_row()));
    input_gradient.par_chunks_mut(c.image()).zip(images).for_each(|(input_gradient, (gradient, codes))| {
        let row = (2 * c.pool_w + 2) * LANES;
        let rows = 2 * c.band() + 2;
        let mut sums = vec![0.0; c.in_c.div_ceil(LANES) * rows * row];
        let mut picks = Picks::new(c);
        for first in (0..c.pool_h).step_by(c.band()) {
            let count = c.band().min(c.pool_h - first);
            set.run(Pick { c, first, gradient, codes, picks: &mut picks });
            for (block, (sums, weights)) in
                sums.chunks_mut(rows * row).zip(packed.chunks(c.out_c * 9 * LANES)).enumerate()
            {
                set.run(Scatter { c, count, picks: &picks, weights, sums });
                // the last two rows wait for the next band, or for the end of the image
                let last = first + count == c.pool_h;
                let done = 2 * count + if last { 2 } else { 0 };
                copy_out(c, 2 * first, block, &sums[..done * row], input_gradient);
                sums.copy_within(2 * count * row..(2 * count + 2) * row, 0);
                sums[2 * row..].fill(0.0);
            }
        }
    });
}

/// Copies finished rows without their padding; `first` counts from the row above the image.
fn copy_out(c: Shape, first: usize, block: usize, sums: &[f32], input_gradient: &mut [f32]) {
    let channels = block * LANES..c.in_c.min((block + 1) * LANES);
    for (y, row) in (first..).zip(sums.chunks((2 * c.pool_w + 2) * LANES)).filter(|(y, _)| (1..=c.in_h).contains(y)) {
        let to = &mut input_gradient[(y - 1) * c.in_w * c.in_c..][..c.in_w * c.in_c];
        for (to, from) in to.chunks_mut(c.in_c).zip(row[LANES..].chunks(LANES)) {
            to[channels.clone()].copy_from_slice(&from[..channels.len()]);
        }
    }
}

/// For each window of a band and each block of output channels, its gradients by the pixel that they belong to.
struct Picks {
    gradients: Vec<f32>,
    channels: Vec<u32>,
    /// Ends of the four pixels' gradients.
    ends: Vec<[usize; 4]>,
}

/// Room for the gradients of one window and block.
const ROOM: usize = OUTS + LANES;

impl Picks {
    fn new(c: Shape) -> Self {
        let lists = c.band() * c.pool_w * c.out_c.div_ceil(OUTS);
        Self { gradients: vec![0.0; lists * ROOM], channels: vec![0; lists * ROOM], ends: vec![[0; 4]; lists] }
    }
}

struct Pick<'a> {
    c: Shape,
    first: usize,
    gradient: &'a [f32],
    codes: &'a [u8],
    picks: &'a mut Picks,
}

impl Kernel for Pick<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { c, first, gradient, codes, picks } = self;
        let windows = gradient.chunks(c.out_c).zip(codes.chunks(4 * c.words()));
        let windows = windows.skip(first * c.pool_w).take(c.band() * c.pool_w);
        let blocks = windows.flat_map(|(gradient, codes)| gradient.chunks(OUTS).zip(codes[..c.out_c].chunks(OUTS)));
        let lists = picks.gradients.chunks_mut(ROOM).zip(picks.channels.chunks_mut(ROOM)).zip(&mut picks.ends);
        for ((gradient, codes), ((gradients, channels), ends)) in blocks.zip(lists) {
            let mut count = 0;
            for (code, end) in (0..CLOSED).zip(ends) {
                for (i, (gradient, codes)) in gradient.chunks(LANES).zip(codes.chunks(LANES)).enumerate() {
                    let (mut padded, mut closed) = ([0.0; LANES], [CLOSED; LANES]);
                    let gradient = gradient.first_chunk().unwrap_or_else(|| {
                        padded[..gradient.len()].copy_from_slice(gradient);
                        &padded
                    });
                    let codes = codes.first_chunk().unwrap_or_else(|| {
                        closed[..codes.len()].copy_from_slice(codes);
                        &closed
                    });
                    let (Some(values), Some(places)) =
                        (gradients[count..].first_chunk_mut(), channels[count..].first_chunk_mut())
                    else {
                        break;
                    };
                    let picked = s.pick(codes, code, gradient, values, places);
                    // all sixteen, picked or not, as that is one instruction
                    for place in places {
                        *place = place.wrapping_add((i * LANES) as u32).wrapping_mul((9 * LANES) as u32);
                    }
                    count += picked;
                }
                *end = count;
            }
        }
    }
}

/// Adds each gradient times the nine weights of its channel around the pixel it belongs to.
struct Scatter<'a> {
    c: Shape,
    /// Pooled rows.
    count: usize,
    picks: &'a Picks,
    weights: &'a [f32],
    sums: &'a mut [f32],
}

impl Kernel for Scatter<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { c, count, picks, weights, sums } = self;
        let row = (2 * c.pool_w + 2) * LANES;
        let blocks = c.out_c.div_ceil(OUTS);
        for (block, weights) in weights.chunks(OUTS * 9 * LANES).enumerate() {
            for window in 0..count * c.pool_w {
                let list = window * blocks + block;
                let gradients = &picks.gradients[list * ROOM..][..ROOM];
                let channels = &picks.channels[list * ROOM..][..ROOM];
                let at = window / c.pool_w * 2 * row + window % c.pool_w * 2 * LANES;
                let picked = Picked { gradients, channels, ends: picks.ends[list] };
                if S::TAP_ROWS == 3 {
                    add_window(s, picked, weights, &mut sums[at..], row);
                } else {
                    add_pixels(s, picked, weights, &mut sums[at..], row);
                }
            }
        }
    }
}

/// The gradients of one window and a block of output channels, by the pixel that they belong to.
#[derive(Clone, Copy)]
struct Picked<'a> {
    gradients: &'a [f32],
    /// Places of the channels' weights.
    channels: &'a [u32],
    ends: [usize; 4],
}

/// Adds a window's gradients where the registers hold all 4x4 pixels that they reach.
#[inline(always)]
fn add_window<S: Simd>(s: S, picked: Picked, weights: &[f32], sums: &mut [f32], row: usize) {
    let mut acc = [[s.splat(0.0); 4]; 4];
    assert!(sums.len() >= 3 * row + 4 * LANES);
    // SAFETY: the assertion above covers the last pixel.
    unsafe {
        for y in 0..4 {
            for x in 0..4 {
                acc[y][x] = s.load(lanes(sums, y * row + x * LANES));
            }
        }
    }
    let [a, b, c, d] = picked.ends;
    add_pixel::<S, 0, 0>(s, picked, 0..a, weights, &mut acc);
    add_pixel::<S, 0, 1>(s, picked, a..b, weights, &mut acc);
    add_pixel::<S, 1, 0>(s, picked, b..c, weights, &mut acc);
    add_pixel::<S, 1, 1>(s, picked, c..d, weights, &mut acc);
    // SAFETY: as above.
    unsafe {
        for y in 0..4 {
            for x in 0..4 {
                s.store(acc[y][x], lanes_mut(sums, y * row + x * LANES));
            }
        }
    }
}

/// Adds the gradients of the window's pixel `Y`, `X`.
#[inline(always)]
fn add_pixel<S: Simd, const Y: usize, const X: usize>(
    s: S,
    picked: Picked,
    range: Range<usize>,
    weights: &[f32],
    acc: &mut [[S::V; 4]; 4],
) {
    for i in range {
        // SAFETY: lists end within their room, and each channel has nine weights within the block.
        unsafe {
            let (gradient, channel) = (s.splat(value(picked.gradients, i)), *picked.channels.get_unchecked(i) as usize);
            for ky in 0..3 {
                for kx in 0..3 {
                    let weight = s.load(lanes(weights, channel + (3 * ky + kx) * LANES));
                    acc[Y + ky][X + kx] = s.fma(gradient, weight, acc[Y + ky][X + kx]);
                }
            }
        }
    }
}

/// The same where the registers hold a row of taps: pixel by pixel.
#[inline(always)]
fn add_pixels<S: Simd>(s: S, picked: Picked, weights: &[f32], sums: &mut [f32], row: usize) {
    let mut start = 0;
    for (q, &end) in picked.ends.iter().enumerate() {
        let at = q / 2 * row + q % 2 * LANES;
        if start < end {
            scatter(s, &picked.gradients[start..end], &picked.channels[start..end], weights, &mut sums[at..], row);
        }
        start = end;
    }
}

#[inline(always)]
fn scatter<S: Simd>(s: S, gradients: &[f32], channels: &[u32], weights: &[f32], sums: &mut [f32], row: usize) {
    for ky in (0..3).step_by(S::TAP_ROWS) {
        let mut acc = [[s.splat(0.0); 3]; 3];
        // SAFETY: the pixel and its eight neighbours lie within the padded band, and each channel's nine weights within the block.
        unsafe {
            for r in 0..S::TAP_ROWS {
                for kx in 0..3 {
                    acc[r][kx] = s.load(lanes(sums, (ky + r) * row + kx * LANES));
                }
            }
            for i in 0..gradients.len() {
                let gradient = s.splat(value(gradients, i));
                let channel = *channels.get_unchecked(i) as usize;
                for r in 0..S::TAP_ROWS {
                    for kx in 0..3 {
                        acc[r][kx] =
                            s.fma(gradient, s.load(lanes(weights, channel + (3 * (ky + r) + kx) * LANES)), acc[r][kx]);
                    }
                }
            }
            for r in 0..S::TAP_ROWS {
                for kx in 0..3 {
                    s.store(acc[r][kx], lanes_mut(sums, (ky + r) * row + kx * LANES));
                }
            }
        }
    }
}
