//! Gradients of weights and bias. Only the largest pixel of a window has a gradient, so this walks lists of those: a quarter of the
//! products of the whole convolution, and none for windows that relu closed. Input channels lie in the lanes, so the largest pixel only
//! moves an address.

#![allow(unsafe_code)]
// loops over registers have fixed ranges, and the index says which register
#![allow(clippy::needless_range_loop)]

use super::pictures::{self, Pairs};
use super::shape::{CLOSED, Shape};
use crate::simd::{InstructionSet, Kernel, LANES, NOWHERE, Simd, lanes, lanes_mut};
use rayon::prelude::*;

/// Groups of images whose sums are added in order: fixed, so that the bits do not depend on threads.
const GROUPS: usize = 10;
/// Vectors of a row of taps that are summed together.
const VECTORS: usize = 3;

impl Shape {
    /// Channels of an input block.
    fn ins(self) -> usize {
        if self.in_c.is_multiple_of(LANES) { LANES } else { self.in_c }
    }
    /// Vectors of a row of three taps of an input block.
    fn vectors(self) -> usize {
        (3 * self.ins()).div_ceil(LANES).next_multiple_of(VECTORS)
    }
    /// Floats of a group's sums: `[in blocks][out_c][3 tap rows][vectors][16]`.
    fn sums(self) -> usize {
        self.in_c / self.ins() * self.out_c * 3 * self.vectors() * LANES
    }
}

/// Gradients of weights and bias.
pub fn backward_weights(
    c: Shape,
    input: &[f32],
    gradient: &[f32],
    codes: &[u8],
    [weights_gradient, bias_gradient]: [&mut [f32]; 2],
    set: InstructionSet,
) {
    let wide = if few_channels(c) { pictures::sums(c) } else { c.sums() };
    let images = input.len() / c.image();
    let a_group = images.div_ceil(GROUPS);
    let mut sums = vec![0.0; images.div_ceil(a_group) * (wide + c.out_c)];
    sums.par_chunks_mut(wide + c.out_c).enumerate().for_each(|(group, sums)| {
        let (sums, bias) = sums.split_at_mut(wide);
        let images = (group * a_group..images.min((group + 1) * a_group)).map(|image| {
            let input = &input[image * c.image()..][..c.image()];
            let gradient = &gradient[image * c.pool_h * c.pooled_row()..][..c.pool_h * c.pooled_row()];
            (input, gradient, &codes[image * c.pool_h * c.codes_row()..][..c.pool_h * c.codes_row()])
        });
        if few_channels(c) {
            let mut pairs = Pairs::new(c);
            images.for_each(|(input, gradient, codes)| {
                pictures::add_image(c, [input, gradient], codes, [&mut *sums, &mut *bias], &mut pairs, set);
            });
        } else {
            let mut lists = Lists::new(c);
            images.for_each(|(input, gradient, codes)| {
                lists.add_image(c, [input, gradient], codes, [&mut *sums, &mut *bias], set);
            });
        }
    });
    unpack(c, &sums, wide, weights_gradient, bias_gradient);
}

/// Whether input channels are too few to fill the lanes.
fn few_channels(c: Shape) -> bool {
    c.in_c <= pictures::MOST_CHANNELS
}

/// Adds the groups' sums in order, and brings them to HWIO.
fn unpack(c: Shape, sums: &[f32], wide: usize, weights_gradient: &mut [f32], bias_gradient: &mut [f32]) {
    let groups: Vec<&[f32]> = sums.chunks(wide + c.out_c).collect();
    let place = if few_channels(c) { pictures::place } else { Lists::place };
    weights_gradient.par_chunks_mut(c.out_c).enumerate().for_each(|(row, to)| {
        let (ky, kx, ic) = (row / c.in_c / 3, row / c.in_c % 3, row % c.in_c);
        for (oc, to) in to.iter_mut().enumerate() {
            let place = place(c, [ky, kx, ic, oc]);
            *to = groups.iter().map(|sums| sums[place]).sum();
        }
    });
    bias_gradient.iter_mut().enumerate().for_each(|(oc, to)| *to = groups.iter().map(|sums| sums[wide + oc]).sum());
}

/// For each output channel, the gradients of a band's open windows and the places of their largest pixels.
struct Lists {
    gradients: Vec<f32>,
    places: Vec<u32>,
    counts: Vec<usize>,
    /// Room for each channel.
    room: usize,
    /// Pixels of an input block in and around the band, with zeros around the image.
    pixels: Vec<f32>,
    /// Floats of a row of `pixels`.
    row: usize,
}

impl Lists {
    fn new(c: Shape) -> Self {
        let room = c.band() * c.pool_w + LANES;
        let row = (2 * c.pool_w + 2) * c.ins();
        // the last vectors of the last tap may read past their pixels
        let pixels = vec![0.0; (2 * c.band() + 2) * row + VECTORS * LANES];
        Self {
            gradients: vec![0.0; c.out_c * room],
            places: vec![0; c.out_c * room],
            counts: vec![0; c.out_c],
            room,
            pixels,
            row,
        }
    }

    /// Place of a weight's sum.
    fn place(c: Shape, [ky, kx, ic, oc]: [usize; 4]) -> usize {
        let wide = c.vectors() * LANES;
        ((ic / c.ins() * c.out_c + oc) * 3 + ky) * wide + kx * c.ins() + ic % c.ins()
    }

    /// Adds an image's gradients to the sums, band by band.
    fn add_image(
        &mut self,
        c: Shape,
        [input, gradient]: [&[f32]; 2],
        codes: &[u8],
        [sums, bias]: [&mut [f32]; 2],
        set: InstructionSet,
    ) {
        for first in (0..c.pool_h).step_by(c.band()) {
            set.run(Fill { c, first, gradient, codes, lists: self, bias });
            for (block, sums) in sums.chunks_mut(c.out_c * 3 * c.vectors() * LANES).enumerate() {
                self.copy_pixels(c, first, block, input);
                set.run(AddLists { c, lists: self, sums });
            }
        }
    }

    fn copy_pixels(&mut self, c: Shape, first: usize, block: usize, input: &[f32]) {
        let ins = c.ins();
        for (y, row) in (2 * first..2 * (first + c.band()) + 2).zip(self.pixels.chunks_mut(self.row)) {
            // y counts from the row above the image
            if y == 0 || y > c.in_h {
                row.fill(0.0);
                continue;
            }
            let image = &input[(y - 1) * c.in_w * c.in_c..][..c.in_w * c.in_c];
            row[..ins].fill(0.0);
            if ins == c.in_c {
                let inside = image.len().min(row.len() - ins);
                row[ins..][..inside].copy_from_slice(&image[..inside]);
            } else {
                let pixels = image.chunks(c.in_c).map(|pixel| &pixel[block * ins..][..ins]);
                row[ins..].chunks_mut(ins).zip(pixels).for_each(|(to, from)| to.copy_from_slice(from));
            }
            if c.in_w == 2 * c.pool_w {
                row[(c.in_w + 1) * ins..].fill(0.0);
            }
        }
    }
}

/// Fills a band's lists: sixteen windows of sixteen channels at a time, turned so that a channel's windows lie side by side.
struct Fill<'a> {
    c: Shape,
    /// The first pooled row.
    first: usize,
    gradient: &'a [f32],
    codes: &'a [u8],
    lists: &'a mut Lists,
    bias: &'a mut [f32],
}

impl Kernel for Fill<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { c, first, gradient, codes, lists, bias } = self;
        lists.counts.fill(0);
        let windows = c.band().min(c.pool_h - first) * c.pool_w;
        for start in (0..windows).step_by(LANES) {
            for channel in (0..c.out_c).step_by(LANES) {
                let count = LANES.min(c.out_c - channel);
                let (mut gradients, mut places) = ([[0.0; LANES]; LANES], [[f32::from_bits(NOWHERE); LANES]; LANES]);
                let rows = gradients.iter_mut().zip(&mut places);
                for (window, (gradients, places)) in (start..windows).zip(rows) {
                    let at = first * c.pool_w + window;
                    let gradient = &gradient[at * c.out_c + channel..][..count];
                    let codes = &codes[at * 4 * c.words() + channel..][..count];
                    let place = window / c.pool_w * 2 * lists.row + window % c.pool_w * 2 * c.ins();
                    let steps = [c.ins() as u32, lists.row as u32];
                    let to = gradients.iter_mut().zip(places).zip(&mut bias[channel..]);
                    open(gradient.iter().zip(codes), place as u32, steps, to);
                }
                let (gradients, places) = (s.transpose(&gradients), s.transpose(&places));
                for (oc, (gradients, places)) in (channel..channel + count).zip(gradients.iter().zip(&places)) {
                    let at = oc * lists.room + lists.counts[oc];
                    if let (Some(values), Some(to)) =
                        (lists.gradients[at..].first_chunk_mut(), lists.places[at..].first_chunk_mut())
                    {
                        lists.counts[oc] += s.keep(gradients, places, values, to);
                    }
                }
            }
        }
    }
}

/// Gradients of a window that its channels' codes leave open, added to the bias's, and the places of their pixels. `steps` are the floats to
/// the window's second column and second row.
#[inline(always)]
fn open<'a>(
    from: impl Iterator<Item = (&'a f32, &'a u8)>,
    place: u32,
    steps: [u32; 2],
    to: impl Iterator<Item = ((&'a mut f32, &'a mut f32), &'a mut f32)>,
) {
    for ((&gradient, &code), ((kept, at), bias)) in from.zip(to) {
        let (open, code) = (code < CLOSED, u32::from(code));
        *kept = if open { gradient } else { 0.0 };
        *bias += *kept;
        let pixel = place + (code & 1) * steps[0] + (code >> 1 & 1) * steps[1];
        *at = f32::from_bits(if open { pixel } else { NOWHERE });
    }
}

/// Adds a band's products to the sums of one block of input channels.
struct AddLists<'a> {
    c: Shape,
    lists: &'a Lists,
    sums: &'a mut [f32],
}

impl Kernel for AddLists<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { c, lists, sums } = self;
        let wide = c.vectors() * LANES;
        for (oc, sums) in sums.chunks_mut(3 * wide).enumerate() {
            for ky in (0..3).step_by(S::TAP_ROWS) {
                for first in (0..wide).step_by(VECTORS * LANES) {
                    let (from, sums) = (ky * lists.row + first, &mut sums[ky * wide + first..]);
                    add_list(s, lists, oc, from, sums, wide);
                }
            }
        }
    }
}

/// Adds `gradient * pixels` for each entry: as many tap rows as fit, [`VECTORS`] vectors of each.
#[inline(always)]
fn add_list<S: Simd>(s: S, lists: &Lists, oc: usize, from: usize, sums: &mut [f32], wide: usize) {
    let list = oc * lists.room..oc * lists.room + lists.counts[oc];
    let (gradients, places) = (&lists.gradients[list.clone()], &lists.places[list]);
    let (pixels, row) = (&lists.pixels[from..], lists.row);
    let mut acc = [[s.splat(0.0); VECTORS]; 3];
    // SAFETY: sums hold `TAP_ROWS` rows of `wide`; places are of the first tap of a pixel of the band, whose taps all lie within the
    // buffer, which has room for the vectors of the last.
    unsafe {
        for r in 0..S::TAP_ROWS {
            for v in 0..VECTORS {
                acc[r][v] = s.load(lanes(sums, r * wide + v * LANES));
            }
        }
        for (&gradient, &place) in gradients.iter().zip(places) {
            let gradient = s.splat(gradient);
            for r in 0..S::TAP_ROWS {
                for v in 0..VECTORS {
                    acc[r][v] = s.fma(gradient, s.load(lanes(pixels, place as usize + r * row + v * LANES)), acc[r][v]);
                }
            }
        }
        for r in 0..S::TAP_ROWS {
            for v in 0..VECTORS {
                s.store(acc[r][v], lanes_mut(sums, r * wide + v * LANES));
            }
        }
    }
}
