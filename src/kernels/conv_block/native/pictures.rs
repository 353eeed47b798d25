//! Gradients of the weights of pictures: with few input channels the output channels lie in the lanes, and each lane picks its window's
//! largest pixel out of four.

#![allow(unsafe_code)]
// loops over registers have fixed ranges, and the index says which register
#![allow(clippy::needless_range_loop)]

use super::shape::{CLOSED, Shape};
use crate::simd::{InstructionSet, Kernel, LANES, Simd, four, lanes, lanes_mut};

/// The most input channels for which this is the fastest.
pub const MOST_CHANNELS: usize = 5;

/// Floats of the sums of all output channels: `[out_c / 16][in_c][3 x 3][16]`.
pub fn sums(c: Shape) -> usize {
    c.out_c.div_ceil(LANES) * c.in_c * 9 * LANES
}

/// Place of a weight's sum.
pub fn place(c: Shape, [ky, kx, ic, oc]: [usize; 4]) -> usize {
    ((oc / LANES * c.in_c + ic) * 9 + 3 * ky + kx) * LANES + oc % LANES
}

/// Adds an image's gradients to the sums.
pub fn add_image(
    c: Shape,
    [input, gradient]: [&[f32]; 2],
    codes: &[u8],
    [sums, bias]: [&mut [f32]; 2],
    pairs: &mut Pairs,
    set: InstructionSet,
) {
    pairs.put(c, input, 0);
    for py in 0..c.pool_h {
        pairs.put(c, input, 2 * py + 1);
        pairs.put(c, input, 2 * py + 2);
        let gradient = &gradient[py * c.pooled_row()..][..c.pooled_row()];
        let codes = &codes[py * c.codes_row()..][..c.codes_row()];
        for block in 0..c.out_c.div_ceil(LANES) {
            pairs.open(c, block, gradient, codes, bias);
            let sums = &mut sums[block * c.in_c * 9 * LANES..][..c.in_c * 9 * LANES];
            set.run(AddRow { c, py, pairs, sums });
        }
    }
}

/// Pairs of neighbouring rows of an image, and what the windows of a pooled row hold.
pub struct Pairs {
    /// A ring of four pairs, by channels: the two pixels of a column lie side by side, so that the four of a window do.
    rows: Vec<f32>,
    /// Floats of a pair's channel.
    wide: usize,
    /// Gradients of a pooled row, zero where a window is closed.
    gradients: Vec<[f32; LANES]>,
    /// Which of its four pixels each belongs to, as they lie in a pair.
    places: Vec<[u8; LANES]>,
}

impl Pairs {
    pub fn new(c: Shape) -> Self {
        let wide = 2 * (c.in_w.max(2 * c.pool_w) + 2);
        let (gradients, places) = (vec![[0.0; LANES]; c.pool_w], vec![[0; LANES]; c.pool_w]);
        Self { rows: vec![0.0; 4 * c.in_c * wide], wide, gradients, places }
    }

    /// Takes up pair `y`: rows `y - 1` and `y` of the image, with zeros around it.
    fn put(&mut self, c: Shape, input: &[f32], y: usize) {
        let row = |y: usize| input.chunks(c.in_w * c.in_c).nth(y).filter(|_| y < c.in_h);
        let (above, below) = (row(y.wrapping_sub(1)), row(y));
        let to = &mut self.rows[y % 4 * c.in_c * self.wide..][..c.in_c * self.wide];
        for (ic, to) in to.chunks_mut(self.wide).enumerate() {
            for (half, row) in [above, below].into_iter().enumerate() {
                let to = to[2 + half..].iter_mut().step_by(2).take(c.in_w);
                match row {
                    Some(row) => to.zip(row[ic..].iter().step_by(c.in_c)).for_each(|(to, &from)| *to = from),
                    None => to.for_each(|to| *to = 0.0),
                }
            }
        }
    }

    /// Takes up the windows of a pooled row and 16 output channels, and adds their gradients to the bias's.
    fn open(&mut self, c: Shape, block: usize, gradient: &[f32], codes: &[u8], bias: &mut [f32]) {
        let channels = block * LANES..c.out_c.min((block + 1) * LANES);
        let windows = gradient.chunks(c.out_c).zip(codes.chunks(4 * c.words()));
        let to = self.gradients.iter_mut().zip(&mut self.places);
        for ((gradients, places), (gradient, codes)) in to.zip(windows) {
            let from = gradient[channels.clone()].iter().zip(&codes[channels.clone()]);
            let lanes = gradients.iter_mut().zip(places).zip(&mut bias[channels.clone()]);
            for (((to, place), bias), (&gradient, &code)) in lanes.zip(from) {
                *to = if code < CLOSED { gradient } else { 0.0 };
                *bias += *to;
                // a code counts the rows first, a pair the columns
                *place = (code & 1) << 1 | (code >> 1 & 1);
            }
        }
    }
}

struct AddRow<'a> {
    c: Shape,
    py: usize,
    pairs: &'a Pairs,
    sums: &'a mut [f32],
}

impl Kernel for AddRow<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { c, py, pairs, sums } = self;
        for ic in (0..c.in_c).step_by(if S::TAP_ROWS == 3 && c.in_c == 3 { 3 } else { 1 }) {
            for ky in (0..3).step_by(S::TAP_ROWS) {
                let at = Taps { ic, ky, py };
                let sums = &mut sums[(ic * 9 + 3 * ky) * LANES..];
                match (S::TAP_ROWS, c.in_c) {
                    (3, 3) => add::<S, 3, 3>(s, c, pairs, at, sums),
                    (3, _) => add::<S, 1, 3>(s, c, pairs, at, sums),
                    _ => add::<S, 1, 1>(s, c, pairs, at, sums),
                }
            }
        }
    }
}

/// The first of some channels and rows of taps, and the pooled row.
struct Taps {
    ic: usize,
    ky: usize,
    py: usize,
}

/// Adds a pooled row's products with the taps of `C` channels and `R` rows, whose sums the registers hold.
#[inline(always)]
fn add<S: Simd, const C: usize, const R: usize>(s: S, c: Shape, pairs: &Pairs, at: Taps, sums: &mut [f32]) {
    let Pairs { rows, wide, gradients, places } = pairs;
    let mut from = [[0; R]; C];
    for channel in 0..C {
        for r in 0..R {
            from[channel][r] = ((2 * at.py + at.ky + r) % 4 * c.in_c + at.ic + channel) * wide;
        }
    }
    assert!(
        sums.len() >= ((C - 1) * 9 + R * 3) * LANES
            && *wide >= 4 * gradients.len() + 4
            && rows.len() == 4 * c.in_c * wide
    );
    let mut acc = [[[s.splat(0.0); 3]; R]; C];
    // SAFETY: the assertion above covers the last sum, and the last window's last column in the last pair.
    unsafe {
        for channel in 0..C {
            for r in 0..R {
                for kx in 0..3 {
                    acc[channel][r][kx] = s.load(lanes(sums, (channel * 9 + r * 3 + kx) * LANES));
                }
            }
        }
        for (px, (gradient, places)) in gradients.iter().zip(places).enumerate() {
            let (gradient, places) = (s.load(gradient), s.places(places));
            for channel in 0..C {
                for r in 0..R {
                    for kx in 0..3 {
                        let pixels = four(rows, from[channel][r] + 4 * px + 2 * kx);
                        acc[channel][r][kx] = s.fma(gradient, s.choose(pixels, places), acc[channel][r][kx]);
                    }
                }
            }
        }
        for channel in 0..C {
            for r in 0..R {
                for kx in 0..3 {
                    s.store(acc[channel][r][kx], lanes_mut(sums, (channel * 9 + r * 3 + kx) * LANES));
                }
            }
        }
    }
}
