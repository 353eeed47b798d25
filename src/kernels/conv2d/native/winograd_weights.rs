//! The weights' gradient of a convolution of 3x3 and stride 1 by Winograd's F(2x2, 3x3): 16 products where direct sums make 36.
//!
//! A tile is 2x2 gradients and the 4x4 pixels that their windows see. As the convolution is `A^T ((G w G^T) * (B^T d B)) A`, the gradient
//! of its weights is `G^T ((A g A^T) * (B^T d B)) G`; the products are added over tiles before they are transformed back. Lavin and
//! Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016, arXiv:1509.09308, section 4.1. Tiles of 4x4 gradients
//! would need 36 products where four of these need 64, but multiply pixels by up to 5 and sums by up to 8.

#![allow(unsafe_code)]
// loops over registers have fixed ranges, and the index says which register
#![allow(clippy::needless_range_loop)]

use super::Sizes;
use super::backward_weights::{TILE, add_tile};
use crate::kernels::winograd::{crop, put, vector};
use crate::simd::{InstructionSet, Kernel, LANES, Simd, lanes, lanes_mut};
use rayon::prelude::*;
use std::ops::Range;

/// How many times larger than a direct sum's its rounding errors may be. Transforms only add and halve, and fewer products are added, so
/// that errors are about a direct sum's; the sums of four pixels or gradients may cancel.
pub const ROUNDING: f64 = 2.0;

/// Products of a tile and a pair of channels.
const PRODUCTS: usize = 16;
/// Tiles that are transformed together.
const TILES: usize = 64;
/// The most blocks of 16 channels, of the input and of the output, that a thread takes: their sums stay in the L2 cache.
const PART: usize = 8;
/// The most sums of all groups together, which are added in order.
const GROUPED: usize = 1 << 21;
/// The most groups.
const GROUPS: usize = 16;
/// Floats between planes beyond their tiles: without them, 16 stores could fall into one set of the L1 cache.
const SKEW: usize = LANES;

/// How the work is cut: fixed, so that the bits do not depend on threads. Sums are
/// `[groups][parts of the input's channels][parts of the output's][16 products][blocks][blocks][16][16]`.
#[derive(Clone, Copy)]
struct Cut {
    c: Sizes,
    /// Tiles of an image below each other and beside each other.
    grid: [usize; 2],
    /// Tiles of all images, and of a group.
    tiles: usize,
    group: usize,
    /// Parts of the input's channels and of the output's.
    parts: [usize; 2],
    /// Blocks of 16 channels of a part.
    blocks: [usize; 2],
}

impl Cut {
    fn new(c: Sizes) -> Self {
        let grid = [c.out_h.div_ceil(2), c.out_w.div_ceil(2)];
        let tiles = c.batch * grid[0] * grid[1];
        let groups = (GROUPED / (PRODUCTS * c.in_c * c.out_c)).clamp(1, GROUPS);
        let all = [c.in_c / LANES, c.out_c / LANES];
        let parts = all.map(|blocks| blocks.div_ceil(PART));
        let blocks = [all[0].div_ceil(parts[0]), all[1].div_ceil(parts[1])];
        Self { c, grid, tiles, group: tiles.div_ceil(groups).next_multiple_of(TILES), parts, blocks }
    }

    /// Floats of a product's sums in a part.
    fn product(self) -> usize {
        self.blocks[0] * self.blocks[1] * TILE
    }

    /// Floats of a group.
    fn floats(self) -> usize {
        self.parts[0] * self.parts[1] * PRODUCTS * self.product()
    }

    /// The channels of a part.
    fn channels(self, side: usize, part: usize) -> Range<usize> {
        let (all, own) = ([self.c.in_c, self.c.out_c][side], self.blocks[side] * LANES);
        (part * own).min(all)..((part + 1) * own).min(all)
    }

    /// A tile's image, row and column.
    fn place(self, tile: usize) -> [usize; 3] {
        let [down, across] = self.grid;
        [tile / (down * across), tile / across % down, tile % across]
    }
}

/// Gradient of the weights, HWIO.
pub fn backward_weights(c: Sizes, input: &[f32], gradient: &[f32], to: &mut [f32], set: InstructionSet) {
    let cut = Cut::new(c);
    let part = PRODUCTS * cut.product();
    let mut sums = vec![0.0; cut.tiles.div_ceil(cut.group) * cut.floats()];
    sums.par_chunks_mut(part).enumerate().for_each_init(Planes::default, |planes, (i, sums)| {
        let group = i * part / cut.floats() * cut.group;
        let channels = [i / cut.parts[1] % cut.parts[0], i % cut.parts[1]];
        let channels = [cut.channels(0, channels[0]), cut.channels(1, channels[1])];
        for tile in (group..cut.tiles.min(group + cut.group)).step_by(TILES) {
            let tiles = tile..cut.tiles.min(tile + TILES);
            set.run(Pixels { cut, tiles: tiles.clone(), channels: channels[0].clone(), input, planes });
            set.run(Gradients { cut, tiles: tiles.clone(), channels: channels[1].clone(), gradient, planes });
            set.run(Multiply { cut, tiles: tiles.len(), planes, sums });
        }
    });
    let mut taps: Vec<_> = to.chunks_mut(c.in_c * c.out_c).map(|tap| tap.chunks_mut(c.out_c)).collect();
    let rows: Vec<Vec<&mut [f32]>> =
        (0..c.in_c).map(|_| taps.iter_mut().filter_map(Iterator::next).collect()).collect();
    rows.into_par_iter().enumerate().for_each(|(channel, taps)| set.run(Back { cut, channel, sums: &sums, taps }));
}

/// Transformed pixels and gradients of some tiles: `[16][blocks of a part][TILES][16]` each, and room for a tile at an edge.
#[derive(Default)]
struct Planes {
    pixels: Vec<f32>,
    gradients: Vec<f32>,
    edge: Vec<f32>,
}

/// Floats of a plane of so many blocks.
fn plane(blocks: usize) -> usize {
    blocks * TILES * LANES + SKEW
}

/// `B^T d B` of each tile's 4x4 pixels.
struct Pixels<'a> {
    cut: Cut,
    tiles: Range<usize>,
    channels: Range<usize>,
    input: &'a [f32],
    planes: &'a mut Planes,
}

impl Kernel for Pixels<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { cut, tiles, channels, input, planes: Planes { pixels: planes, edge, .. } } = self;
        let (c, plane) = (cut.c, plane(cut.blocks[0]));
        planes.resize(PRODUCTS * plane, 0.0);
        edge.resize(edge.len().max(4 * 4 * c.in_c), 0.0);
        for (i, tile) in tiles.enumerate() {
            let [image, y, x] = cut.place(tile);
            let image = &input[image * c.in_h * c.in_w * c.in_c..][..c.in_h * c.in_w * c.in_c];
            let corner = ((2 * y).wrapping_sub(c.pad_top), (2 * x).wrapping_sub(c.pad_left));
            let (pixels, row) = crop((c.in_h, c.in_w, c.in_c), image, corner, 4, edge);
            for (block, channel) in channels.clone().step_by(LANES).enumerate() {
                let to = &mut planes[(block * TILES + i) * LANES..];
                transform(s, &pixels[channel..], [row, c.in_c], to, plane, pixels_of);
            }
        }
    }
}

/// `A g A^T` of each tile's 2x2 gradients.
struct Gradients<'a> {
    cut: Cut,
    tiles: Range<usize>,
    channels: Range<usize>,
    gradient: &'a [f32],
    planes: &'a mut Planes,
}

impl Kernel for Gradients<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { cut, tiles, channels, gradient, planes: Planes { gradients: planes, edge, .. } } = self;
        let (c, plane) = (cut.c, plane(cut.blocks[1]));
        planes.resize(PRODUCTS * plane, 0.0);
        edge.resize(edge.len().max(2 * 2 * c.out_c), 0.0);
        for (i, tile) in tiles.enumerate() {
            let [image, y, x] = cut.place(tile);
            let image = &gradient[image * c.out_h * c.out_w * c.out_c..][..c.out_h * c.out_w * c.out_c];
            let (values, row) = crop((c.out_h, c.out_w, c.out_c), image, (2 * y, 2 * x), 2, edge);
            for (block, channel) in channels.clone().step_by(LANES).enumerate() {
                let to = &mut planes[(block * TILES + i) * LANES..];
                transform(s, &values[channel..], [row, c.out_c], to, plane, gradients_of);
            }
        }
    }
}

/// Transforms sixteen channels of a tile by columns, then by rows, and puts one value into each plane. `strides` are the floats from a row to
/// the next and from a pixel to the next.
#[inline(always)]
fn transform<S: Simd, const N: usize>(
    s: S,
    values: &[f32],
    [row, pixel]: [usize; 2],
    to: &mut [f32],
    plane: usize,
    line: impl Fn(S, [S::V; N]) -> [S::V; 4],
) {
    assert!(values.len() >= (N - 1) * (row + pixel) + LANES && to.len() >= (PRODUCTS - 1) * plane + LANES);
    let mut columns = [[s.splat(0.0); 4]; N];
    for x in 0..N {
        let mut column = [s.splat(0.0); N];
        for y in 0..N {
            // SAFETY: the assertion covers the last value.
            column[y] = s.load(unsafe { lanes(values, y * row + x * pixel) });
        }
        columns[x] = line(s, column);
    }
    for y in 0..4 {
        let mut values = [s.splat(0.0); N];
        for x in 0..N {
            values[x] = columns[x][y];
        }
        let values = line(s, values);
        for x in 0..4 {
            // SAFETY: the assertion covers the last plane.
            s.store(values[x], unsafe { lanes_mut(to, (4 * y + x) * plane) });
        }
    }
}

/// `B^T d` of four pixels.
#[inline(always)]
fn pixels_of<S: Simd>(s: S, d: [S::V; 4]) -> [S::V; 4] {
    [s.sub(d[0], d[2]), s.add(d[1], d[2]), s.sub(d[2], d[1]), s.sub(d[1], d[3])]
}

/// `A g` of two gradients.
#[inline(always)]
fn gradients_of<S: Simd>(s: S, g: [S::V; 2]) -> [S::V; 4] {
    [g[0], s.add(g[0], g[1]), s.sub(g[0], g[1]), s.sub(s.splat(0.0), g[1])]
}

/// Adds the products of some tiles to a part's sums.
struct Multiply<'a> {
    cut: Cut,
    tiles: usize,
    planes: &'a Planes,
    sums: &'a mut [f32],
}

impl Kernel for Multiply<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { cut, tiles, planes: Planes { pixels, gradients, .. }, sums } = self;
        let planes = pixels.chunks(plane(cut.blocks[0])).zip(gradients.chunks(plane(cut.blocks[1])));
        for (sums, (pixels, gradients)) in sums.chunks_mut(cut.product()).zip(planes) {
            let rows = sums.chunks_mut(cut.blocks[1] * TILE).zip(pixels.chunks_exact(TILES * LANES));
            for (sums, pixels) in rows {
                for (sums, gradients) in sums.chunks_mut(TILE).zip(gradients.chunks_exact(TILES * LANES)) {
                    for first in (0..LANES).step_by(2 * S::PIXELS) {
                        add_tile(s, &pixels[first..], &gradients[..tiles * LANES], &mut sums[first * LANES..]);
                    }
                }
            }
        }
    }
}

/// Adds the groups' sums of an input channel, in order, and transforms them back: `G^T m G`.
struct Back<'a> {
    cut: Cut,
    channel: usize,
    sums: &'a [f32],
    /// The channel's weights: nine rows of all output channels.
    taps: Vec<&'a mut [f32]>,
}

impl Kernel for Back<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { cut, channel, sums, mut taps } = self;
        let [block, lane] = [channel / LANES, channel % LANES];
        for out in 0..cut.c.out_c / LANES {
            let part = block / cut.blocks[0] * cut.parts[1] + out / cut.blocks[1];
            let tile = block % cut.blocks[0] * cut.blocks[1] + out % cut.blocks[1];
            let first = part * PRODUCTS * cut.product() + tile * TILE + lane * LANES;
            let mut columns = [[s.splat(0.0); 3]; 4];
            for x in 0..4 {
                let mut column = [s.splat(0.0); 4];
                for y in 0..4 {
                    for group in sums.chunks(cut.floats()) {
                        column[y] = s.add(column[y], vector(s, &group[first + (4 * y + x) * cut.product()..]));
                    }
                }
                columns[x] = weights_of(s, column);
            }
            for y in 0..3 {
                let row = weights_of(s, [columns[0][y], columns[1][y], columns[2][y], columns[3][y]]);
                for x in 0..3 {
                    put(s, row[x], &mut taps[3 * y + x][out * LANES..]);
                }
            }
        }
    }
}

/// `G^T m` of four products.
#[inline(always)]
fn weights_of<S: Simd>(s: S, m: [S::V; 4]) -> [S::V; 3] {
    let half = s.splat(0.5);
    let [sum, difference] = [s.mul(half, s.add(m[1], m[2])), s.mul(half, s.sub(m[1], m[2]))];
    [s.add(m[0], sum), difference, s.add(sum, m[3])]
}
