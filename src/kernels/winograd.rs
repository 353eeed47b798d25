//! Convolutions of 3x3 and stride 1 on the CPU by Winograd's F(4x4, 3x3): 36 products where a direct sum makes 144.
//!
//! A tile is 4x4 pixels of the convolution and reads 6x6 of its input. Pixels and weights are transformed, multiplied channel by channel,
//! and transformed back: `A^T ((G g G^T) * (B^T d B)) A`. Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016,
//! arXiv:1509.09308, section 4.

#![allow(unsafe_code)]
// Loops over registers have fixed ranges, and the index says which register. They are not `map`s, as a closure that is not inlined
// would be compiled without the set's instructions.
#![allow(clippy::needless_range_loop)]

use crate::simd::{InstructionSet, Kernel, LANES, MOST_PIXELS, Simd, lanes, value};
use rayon::prelude::*;
use std::cell::RefCell;

/// How many times larger than a direct sum's its rounding errors may be. The transforms multiply pixels by up to 5 and products by up to 8,
/// so that numbers in between are larger than what is left of them: 4 to 7 times the direct sums' errors with 16 to 64 channels. Why they
/// grow with the tile: Barabasz et al., "Error Analysis and Improving the Accuracy of Winograd Convolution for Deep Neural Networks",
/// arXiv:1803.10986.
pub const ROUNDING: f64 = 8.0;

/// Products of a tile and channel.
const PRODUCTS: usize = 36;
/// Tiles that are transformed together, about, and with more than 128 channels: they fill half of the L2 cache.
const TILES: usize = 32;
const TILES_OF_MANY_CHANNELS: usize = 16;
/// Floats between planes of products beyond their tiles: without them, 36 stores could fall into one set of the L1 cache.
const SKEW: usize = LANES;
/// The most tiles whose sums the registers hold.
const MOST: usize = 2 * MOST_PIXELS;

/// The weights' transform.
const G: [[f32; 3]; 6] = [
    [1.0 / 4.0, 0.0, 0.0],
    [-1.0 / 6.0, -1.0 / 6.0, -1.0 / 6.0],
    [-1.0 / 6.0, 1.0 / 6.0, -1.0 / 6.0],
    [1.0 / 24.0, 1.0 / 12.0, 1.0 / 6.0],
    [1.0 / 24.0, -1.0 / 12.0, 1.0 / 6.0],
    [0.0, 0.0, 1.0],
];

/// A convolution as tiles.
#[derive(Clone, Copy, Debug)]
pub struct Tiles {
    /// Height, width and channels of the input; channels are whole vectors.
    pub input: (usize, usize, usize),
    /// Rows of zeros above the input, and columns to its left.
    pub padding: (usize, usize),
    /// Tiles below each other and beside each other.
    pub grid: (usize, usize),
}

/// Where the sums of tiles go.
pub trait Output {
    /// Takes the 4x4 sums of 16 channels, from `channel` on; `place` is the tile's image, row and column within the unit.
    fn put<S: Simd>(&mut self, s: S, place: (usize, usize, usize), channel: usize, sums: [[S::V; 4]; 4]);
}

impl Tiles {
    /// Whether a convolution of so many channels is made of whole vectors.
    pub fn fit(in_c: usize, out_c: usize) -> bool {
        in_c.is_multiple_of(LANES) && out_c.is_multiple_of(LANES)
    }

    /// What a unit of work covers: several small images, or rows of tiles of one.
    fn unit(self) -> (usize, usize) {
        let (down, across) = self.grid;
        let tiles = if self.input.2 > 128 { TILES_OF_MANY_CHANNELS } else { TILES };
        let images = (tiles / (down * across)).max(1);
        (images, if images > 1 { down } else { (tiles / across).clamp(1, down) })
    }

    /// Cuts what comes out into units: it has `image` elements for an image, and `row` for a row of tiles.
    pub fn cut<T>(self, output: &mut [T], [image, row]: [usize; 2]) -> impl Iterator<Item = &mut [T]> {
        let (images, rows) = self.unit();
        let part = if images > 1 { images * image } else { rows * row };
        output.chunks_mut(images * image).flat_map(move |output| output.chunks_mut(part))
    }

    /// Convolves images on all threads; each unit's sums go to its output, in the order of [`Tiles::cut`].
    pub fn convolve(
        self,
        input: &[f32],
        [weights, bias]: [&[f32]; 2],
        set: InstructionSet,
        outputs: Vec<impl Output + Send>,
    ) {
        let (images, rows) = self.unit();
        let units_of_an_image = self.grid.0.div_ceil(rows);
        let images: Vec<&[f32]> = input.chunks(images * self.image()).collect();
        outputs.into_par_iter().enumerate().for_each(|(unit, output)| {
            let first = unit % units_of_an_image * rows;
            let rows = [first, rows.min(self.grid.0 - first)];
            self.compute(images[unit / units_of_an_image], rows, [weights, bias], set, output);
        });
    }

    /// Floats of an image.
    fn image(self) -> usize {
        let (height, width, channels) = self.input;
        height * width * channels
    }

    /// Computes the tiles of some images, from row `first` of tiles on, `rows` in each.
    fn compute(
        self,
        images: &[f32],
        [first, rows]: [usize; 2],
        [weights, bias]: [&[f32]; 2],
        set: InstructionSet,
        output: impl Output,
    ) {
        let tiles = images.len() / self.image() * rows * self.grid.1;
        let wide = tiles.next_multiple_of(MOST) * LANES;
        let plane = self.input.2 / LANES * wide + SKEW;
        SPACE.with_borrow_mut(|space| {
            let (edge, planes) = (PRODUCTS * self.input.2, PRODUCTS * plane);
            space.resize(space.len().max(edge + planes), 0.0);
            let (edge, planes) = space[..edge + planes].split_at_mut(edge);
            set.run(Transform { c: self, images, first, rows, edge, planes: Planes { of: planes, plane, wide } });
            let planes = Planes { of: &*planes, plane, wide };
            set.run(Multiply { c: self, rows, tiles, weights, bias, planes, output });
        });
    }
}

std::thread_local! {
    /// Transformed pixels of a unit: kept, as fresh memory would cost as much as the transform.
    static SPACE: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// Transformed pixels: `[36][in_c / 16][tiles][16]`.
struct Planes<T> {
    of: T,
    /// Floats of a plane.
    plane: usize,
    /// Floats of sixteen channels of all tiles.
    wide: usize,
}

/// Transformed weights by blocks of 16 output channels: `[out_c / 16][36][in_c][16]`. `weights` are HWIO.
pub fn pack(weights: &[f32], [in_c, out_c]: [usize; 2], set: InstructionSet) -> Vec<f32> {
    let block = PRODUCTS * in_c * LANES;
    let mut packed = vec![0.0; out_c / LANES * block];
    packed
        .par_chunks_mut(block)
        .enumerate()
        .for_each(|(i, to)| set.run(Pack { weights, in_c, out_c, channel: i * LANES, to }));
    packed
}

struct Pack<'a> {
    weights: &'a [f32],
    in_c: usize,
    out_c: usize,
    /// The first output channel.
    channel: usize,
    to: &'a mut [f32],
}

impl Kernel for Pack<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { weights, in_c, out_c, channel, to } = self;
        for ic in 0..in_c {
            let tap = |y: usize, x: usize| vector(s, &weights[((3 * y + x) * in_c + ic) * out_c + channel..]);
            let mut columns = [[s.splat(0.0); 6]; 3];
            for x in 0..3 {
                columns[x] = weights_of(s, [tap(0, x), tap(1, x), tap(2, x)]);
            }
            for a in 0..6 {
                let row = weights_of(s, [columns[0][a], columns[1][a], columns[2][a]]);
                for b in 0..6 {
                    put(s, row[b], &mut to[((6 * a + b) * in_c + ic) * LANES..]);
                }
            }
        }
    }
}

/// `G g` of three weights.
#[inline(always)]
fn weights_of<S: Simd>(s: S, g: [S::V; 3]) -> [S::V; 6] {
    let mut transformed = [g[0]; 6];
    for i in 0..6 {
        let [a, b, c] = G[i];
        transformed[i] = s.fma(g[2], s.splat(c), s.fma(g[1], s.splat(b), s.mul(g[0], s.splat(a))));
    }
    transformed
}

/// The first sixteen floats.
#[inline(always)]
pub fn vector<S: Simd>(s: S, from: &[f32]) -> S::V {
    s.load(from.first_chunk().unwrap_or(&[0.0; LANES]))
}

/// Writes the first sixteen floats.
#[inline(always)]
pub fn put<S: Simd>(s: S, vector: S::V, to: &mut [f32]) {
    if let Some(to) = to.first_chunk_mut() {
        s.store(vector, to);
    }
}

/// `B^T d B` of each tile's 6x6 pixels.
struct Transform<'a> {
    c: Tiles,
    images: &'a [f32],
    /// The first row of tiles, and how many.
    first: usize,
    rows: usize,
    /// Room for the pixels of a tile at the edge: 6x6 of all channels.
    edge: &'a mut [f32],
    planes: Planes<&'a mut [f32]>,
}

impl Kernel for Transform<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { c, images, first, rows, edge, planes: Planes { of: planes, plane, wide } } = self;
        let channels = c.input.2;
        let mut tile = 0;
        for image in images.chunks(c.image()) {
            for (y, x) in (first..first + rows).flat_map(|y| (0..c.grid.1).map(move |x| (4 * y, 4 * x))) {
                let corner = (y.wrapping_sub(c.padding.0), x.wrapping_sub(c.padding.1));
                let (pixels, row) = crop(c.input, image, corner, 6, edge);
                for (block, channel) in (0..channels).step_by(LANES).enumerate() {
                    let to = &mut planes[block * wide + tile * LANES..];
                    transform(s, &pixels[channel..], [row, channels], to, plane);
                }
                tile += 1;
            }
        }
    }
}

/// A square of `side` pixels of an image of height, width and channels, and the floats from one of its rows to the next. Where it reaches
/// past the image it is copied to `edge`, with zeros around. Its corner, the topmost row and leftmost column, wraps below zero.
pub fn crop<'a>(
    (height, width, channels): (usize, usize, usize),
    image: &'a [f32],
    (top, left): (usize, usize),
    side: usize,
    edge: &'a mut [f32],
) -> (&'a [f32], usize) {
    if top < height && top.wrapping_add(side) <= height && left < width && left.wrapping_add(side) <= width {
        return (&image[(top * width + left) * channels..], width * channels);
    }
    let edge = &mut edge[..side * side * channels];
    edge.fill(0.0);
    let outside = if left < width { 0 } else { left.wrapping_neg().min(side) };
    let columns = left.wrapping_add(outside)..left.wrapping_add(side).min(width);
    for (i, row) in edge.chunks_mut(side * channels).enumerate() {
        let y = top.wrapping_add(i);
        if y < height && columns.start < columns.end {
            let from = &image[(y * width + columns.start) * channels..(y * width + columns.end) * channels];
            row[outside * channels..][..from.len()].copy_from_slice(from);
        }
    }
    (edge, side * channels)
}

/// Sixteen channels of 6x6 pixels, one value into each plane. `strides` are the floats from a row to the next and from a pixel to the next.
#[inline(always)]
fn transform<S: Simd>(s: S, pixels: &[f32], [row, pixel]: [usize; 2], to: &mut [f32], plane: usize) {
    assert!(pixels.len() >= 5 * row + 5 * pixel + LANES && to.len() >= (PRODUCTS - 1) * plane + LANES);
    let mut columns = [[s.splat(0.0); 6]; 6];
    for x in 0..6 {
        let mut column = [s.splat(0.0); 6];
        for y in 0..6 {
            // SAFETY: the assertion above covers the last pixel.
            column[y] = s.load(unsafe { lanes(pixels, y * row + x * pixel) });
        }
        columns[x] = pixels_of(s, column);
    }
    for y in 0..6 {
        let mut line = [s.splat(0.0); 6];
        for x in 0..6 {
            line[x] = columns[x][y];
        }
        let line = pixels_of(s, line);
        for x in 0..6 {
            // SAFETY: the assertion above covers the last plane.
            s.store(line[x], unsafe { crate::simd::lanes_mut(to, (6 * y + x) * plane) });
        }
    }
}

/// `B^T d` of six pixels.
#[inline(always)]
fn pixels_of<S: Simd>(s: S, d: [S::V; 6]) -> [S::V; 6] {
    let (two, four, minus_four, minus_five) = (s.splat(2.0), s.splat(4.0), s.splat(-4.0), s.splat(-5.0));
    let (a, b) = (s.fma(d[2], minus_four, d[4]), s.fma(d[1], minus_four, d[3]));
    let (e, f) = (s.sub(d[4], d[2]), s.mul(s.sub(d[3], d[1]), two));
    let first = s.fma(d[2], minus_five, s.fma(d[0], four, d[4]));
    let last = s.fma(d[3], minus_five, s.fma(d[1], four, d[5]));
    [first, s.add(a, b), s.sub(a, b), s.add(e, f), s.sub(e, f), last]
}

/// Products with each block of 16 output channels, added over the input channels and transformed back.
struct Multiply<'a, O> {
    c: Tiles,
    rows: usize,
    tiles: usize,
    weights: &'a [f32],
    bias: &'a [f32],
    planes: Planes<&'a [f32]>,
    output: O,
}

impl<O: Output> Kernel for Multiply<'_, O> {
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { c, rows, tiles, weights, bias, planes, mut output } = self;
        let across = c.grid.1;
        let mut products = [[s.splat(0.0); PRODUCTS]; MOST];
        for (block, weights) in weights.chunks(PRODUCTS * c.input.2 * LANES).enumerate() {
            let bias = bias.get(block * LANES..).map_or(s.splat(0.0), |bias| vector(s, bias));
            for start in (0..tiles).step_by(2 * S::PIXELS) {
                multiply(s, c.input.2, &planes, start, weights, &mut products);
                for (tile, products) in (start..tiles).zip(&products[..2 * S::PIXELS]) {
                    let place = (tile / across / rows, tile / across % rows, tile % across);
                    output.put(s, place, block * LANES, transform_back(s, products, bias));
                }
            }
        }
    }
}

/// Products of as many tiles as the registers hold, from `start` on, with 16 output channels.
#[inline(always)]
fn multiply<S: Simd>(
    s: S,
    in_c: usize,
    planes: &Planes<&[f32]>,
    start: usize,
    weights: &[f32],
    products: &mut [[S::V; PRODUCTS]; MOST],
) {
    let Planes { of: planes, plane, wide } = planes;
    assert!(weights.len() >= PRODUCTS * in_c * LANES && in_c.is_multiple_of(LANES));
    assert!(planes.len() >= (PRODUCTS - 1) * plane + (in_c / LANES - 1) * wide + (start + 2 * S::PIXELS) * LANES);
    for p in 0..PRODUCTS {
        let mut acc = [s.splat(0.0); MOST];
        for channel in (0..in_c).step_by(LANES) {
            for k in 0..LANES {
                // SAFETY: the assertions above cover the last weight, and the last channel of the last tile in the last plane.
                unsafe {
                    let w = s.load(lanes(weights, (p * in_c + channel + k) * LANES));
                    let from = p * plane + channel / LANES * wide + start * LANES + k;
                    for t in 0..2 * S::PIXELS {
                        acc[t] = s.fma(s.splat(value(planes, from + t * LANES)), w, acc[t]);
                    }
                }
            }
        }
        for t in 0..2 * S::PIXELS {
            products[t][p] = acc[t];
        }
    }
}

/// The 4x4 sums of a tile: `A^T m A`, and the bias.
#[inline(always)]
fn transform_back<S: Simd>(s: S, products: &[S::V; PRODUCTS], bias: S::V) -> [[S::V; 4]; 4] {
    let mut columns = [[bias; 4]; 6];
    for x in 0..6 {
        let mut column = [bias; 6];
        for y in 0..6 {
            column[y] = products[6 * y + x];
        }
        columns[x] = sums_of(s, column);
    }
    let mut rows = [[bias; 4]; 4];
    for y in 0..4 {
        let mut row = [bias; 6];
        for x in 0..6 {
            row[x] = columns[x][y];
        }
        rows[y] = sums_of(s, row);
        for x in 0..4 {
            rows[y][x] = s.add(rows[y][x], bias);
        }
    }
    rows
}

/// `A^T m` of six products.
#[inline(always)]
fn sums_of<S: Simd>(s: S, m: [S::V; 6]) -> [S::V; 4] {
    let (two, four, eight) = (s.splat(2.0), s.splat(4.0), s.splat(8.0));
    let (a, b) = (s.add(m[1], m[2]), s.sub(m[1], m[2]));
    let (c, d) = (s.add(m[3], m[4]), s.sub(m[3], m[4]));
    [s.add(s.add(m[0], a), c), s.fma(d, two, b), s.fma(c, four, a), s.fma(d, eight, s.add(b, m[5]))]
}
