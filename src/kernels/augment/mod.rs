//! From u8 images in order to a batch of floats: gathered as they are, or through a random affine map per image.
//!
//! ```text
//! gather  images[i] = pixels[order[first + i]] / 255
//! draw    transforms[i] = [a0 a1 a2 b0 b1 b2], so that Flip(Rotate(Zoom(Translate(x, y)))) = (a0 x + a1 y + a2, b0 x + b1 y + b2)
//! warp    images[i,y,x] = bilinear(pixels[order[first + i]], fill(a0 x + a1 y + a2), fill(b0 x + b1 y + b2)) / 255
//! ```
//!
//! A map leads from output to input positions, with pixel centres at integers; its parts turn about the image's centre.
//! Their ranges and the four fill modes are those of Keras 3 (`RandomFlip`, `RandomRotation`, `RandomZoom`,
//! `RandomTranslation`), whose layers resample one after the other; here the maps are composed, so an image is
//! interpolated once and stays sharper, and each axis has its own coin for the flip. Fill formulas are Keras's, with their
//! quirks. Pixels are bytes, four to a word, lowest first, HEIGHT x WIDTH x 3 per image and not aligned to words. They may
//! be split into shards, each read by its own dispatch, which leaves the other shards' rows alone. Which images a shard
//! holds is data (`shard`: the first and their number), not a constant: one pipeline serves them all, and a shard may hold
//! other images in the next step. Rows past the step's last image become zero.
//!
//! Constants: `BATCH ROWS HEIGHT WIDTH SHARD_IMAGES` (for how many images a shard has room), for warp also `FILL_MODE` (0 reflect, 1 wrap, 2 nearest,
//! 3 constant) and `FILL_VALUE` (0..255); for draw `BATCH HEIGHT WIDTH FLIP ROTATION ZOOM_LOW ZOOM_HIGH SHIFT`.

mod native;

use super::{
    Args, Binding, Case, Contract, Cost, Fill, Implementation, Launch, Native, Real, StepParams, Tolerance,
    UNIT_ROUNDOFF,
};
use crate::kernels::sizes::{sized, sizes};
use crate::rng::{pcg4d, unit};
use crate::{shader, twin};
use rayon::prelude::*;

/// Stream of the first four random words of an image, far from the layers' (which count from 0); the next is one more.
const STREAM: u32 = 0x4155_4700;

sizes! {
    /// Sizes of `augment.gather`: `rows` images in `order`, and room for `shard_images` of them in a shard.
    GatherSizes {
        batch: usize = "BATCH", rows: usize = "ROWS", height: usize = "HEIGHT", width: usize = "WIDTH",
        shard_images: usize = "SHARD_IMAGES",
    }
}

sizes! {
    /// Sizes and ranges of `augment.draw`; all zero, it draws the identity.
    DrawSizes {
        batch: usize = "BATCH", height: usize = "HEIGHT", width: usize = "WIDTH", flip: bool = "FLIP",
        rotation: f64 = "ROTATION", zoom_low: f64 = "ZOOM_LOW", zoom_high: f64 = "ZOOM_HIGH", shift: f64 = "SHIFT",
    }
}

sizes! {
    /// Sizes of `augment.warp`, as of `augment.gather`, and what lies outside of an image.
    WarpSizes {
        batch: usize = "BATCH", rows: usize = "ROWS", height: usize = "HEIGHT", width: usize = "WIDTH",
        shard_images: usize = "SHARD_IMAGES", fill_mode: usize = "FILL_MODE", fill_value: f64 = "FILL_VALUE",
    }
}

impl GatherSizes {
    /// On one shard that holds all `rows` images.
    pub fn new(batch: usize, rows: usize, height: usize, width: usize) -> Self {
        Self { batch, rows, height, width, shard_images: rows }
    }

    /// Words of a shard's pixels.
    fn words(self) -> usize {
        (3 * self.shard_images * self.height * self.width).div_ceil(4)
    }

    fn images(self) -> usize {
        3 * self.batch * self.height * self.width
    }

    /// The same with a map of each image.
    pub fn warp(self, fill_mode: usize, fill_value: f64) -> WarpSizes {
        let Self { batch, rows, height, width, shard_images } = self;
        WarpSizes { batch, rows, height, width, shard_images, fill_mode, fill_value }
    }
}

/// The contracts of this file.
pub const CONTRACTS: &[&Contract] = &[&GATHER, &DRAW, &WARP];

/// `pixels (SHARD_IMAGES images), shard (2), order (ROWS) -> images (BATCH x HEIGHT x WIDTH x 3)`.
pub static GATHER: Contract = Contract {
    name: "augment.gather",
    formula: "images[i] = pixels of image order[first + i] / 255",
    bindings: &[
        Binding::index("pixels", Fill::Bytes),
        Binding::index("shard", Fill::Run(0, u32::MAX)),
        Binding::index("order", Fill::Below("ROWS")),
        Binding::update("images", Fill::Shuffled).or_half(),
    ],
    constants: GatherSizes::CONSTANTS,
    lengths: sized!(|c: GatherSizes| vec![c.words(), 2, c.rows, c.images()]),
    twin: twin!(gather),
    cost: sized!(|c: GatherSizes| cost(c, 1.0)),
    // one division, which WGSL allows 2.5 units in the last place
    tolerance: |_| Tolerance::sum(1),
    cases: gather_cases,
    native: &[Native::direct(native::gather)],
    implementations: &[Implementation::direct(sized!(|c: GatherSizes| {
        Launch::items(shader!("augment/gather_direct.wgsl"), 4, c.images() / 3, 1)
    }))],
};

/// `-> transforms (BATCH x 6)`.
pub static DRAW: Contract = Contract {
    name: "augment.draw",
    formula: "transforms[i] = Flip * Rotate * Zoom * Translate, drawn from (first + i, step, seed)",
    bindings: &[Binding::write("transforms")],
    constants: DrawSizes::CONSTANTS,
    lengths: sized!(|c: DrawSizes| vec![6 * c.batch]),
    twin: twin!(draw),
    cost: sized!(|c: DrawSizes| Cost { flops: 60.0 * c.batch as f64, bytes: 24.0 * c.batch as f64 }),
    // Not a sum: sine and cosine are off by a few units in the last place, the products of places with them are rounded thrice
    tolerance: |_| Tolerance { relative: 64.0 * UNIT_ROUNDOFF },
    cases: draw_cases,
    // six numbers an image
    native: &[Native::direct(|args, _| draw(args))],
    implementations: &[Implementation::direct(sized!(|c: DrawSizes| {
        Launch::items(shader!("augment/draw_direct.wgsl"), 1, c.batch, 1)
    }))],
};

/// `pixels (SHARD_IMAGES images), shard (2), order (ROWS), transforms (BATCH x 6) -> images (BATCH x HEIGHT x WIDTH x 3)`.
pub static WARP: Contract = Contract {
    name: "augment.warp",
    formula: "images[i,y,x] = bilinear(pixels of image order[first + i], fill(a0 x + a1 y + a2), fill(b0 x + b1 y + b2)) / 255",
    bindings: &[
        Binding::index("pixels", Fill::Bytes),
        Binding::index("shard", Fill::Run(0, u32::MAX)),
        Binding::index("order", Fill::Below("ROWS")),
        Binding::read("transforms").filled(Fill::Uniform),
        Binding::update("images", Fill::Shuffled).or_half(),
    ],
    constants: WarpSizes::CONSTANTS,
    lengths: sized!(|c: GatherSizes| vec![c.words(), 2, c.rows, 6 * c.batch, c.images()]),
    twin: twin!(warp),
    cost: sized!(|c: GatherSizes| cost(c, 4.0)),
    // Not a sum: a position of up to WIDTH + HEIGHT places is rounded four times, and a place is worth up to 1 (noise),
    // about twice the size of a typical value, along each of two axes.
    tolerance: sized!(|c: WarpSizes| Tolerance { relative: 16.0 * UNIT_ROUNDOFF * (c.width + c.height + 2) as f64 }),
    cases: warp_cases,
    native: &[Native::direct(native::warp)],
    implementations: &[Implementation::direct(sized!(|c: GatherSizes| {
        Launch::items(shader!("augment/warp_direct.wgsl"), 5, c.images() / 3, 1)
    }))],
};

/// One byte read and four written per value; `taps` pixels weighted.
fn cost(c: GatherSizes, taps: f64) -> Cost {
    let values = c.images() as f64;
    Cost { flops: 2.0 * taps * values, bytes: 5.0 * values }
}

/// Calls `fill(i, pixels of its image from its first byte on, row of images)` for each row this shard is to write; rows
/// past the last image become zero.
fn rows<T: Real>(args: &mut Args<T>, output: usize, fill: impl Fn(usize, &Bytes, &mut [T]) + Sync) {
    let (c, step) = (GatherSizes::from(args.constants), args.step);
    let (pixels, shard, order) = (args.indices(0), args.indices(1), args.indices(2));
    let size = 3 * c.height * c.width;
    let (first, count) = (shard[0], shard[1]);
    args.floats_out(output).par_chunks_mut(size).enumerate().for_each(|(i, row)| {
        match step.position(i, c.batch, c.rows) {
            Some(position) => {
                let image = order[position].wrapping_sub(first);
                if image < count {
                    fill(i, &Bytes { words: pixels, first: image as usize * size }, row);
                }
            }
            None => row.fill(T::zero()),
        }
    });
}

/// The bytes of one image among words.
struct Bytes<'a> {
    words: &'a [u32],
    first: usize,
}

impl Bytes<'_> {
    fn get<T: Real>(&self, i: usize) -> T {
        let byte = self.first + i;
        T::of(f64::from(self.words[byte / 4].to_le_bytes()[byte % 4]))
    }
}

/// Twin of `augment.gather`; images spread over the cores.
pub fn gather<T: Real>(mut args: Args<T>) {
    rows(&mut args, 0, |_, bytes, row| {
        for (j, value) in row.iter_mut().enumerate() {
            *value = bytes.get::<T>(j) / T::of(255.0);
        }
    });
}

/// Twin of `augment.draw`.
pub fn draw<T: Real>(mut args: Args<T>) {
    let (c, step) = (DrawSizes::from(args.constants), args.step);
    let [rotation, low, high, shift] =
        [c.rotation, c.zoom_low, c.zoom_high, c.shift].map(|range| T::of(f64::from(range as f32)));
    let size = [c.width, c.height].map(|size| T::of(size as f64));
    let (one, two) = (T::one(), T::of(2.0));
    let centre = size.map(|n| (n - one) / two);
    for (i, transform) in args.floats_out(0).chunks_mut(6).enumerate() {
        let word = |stream| pcg4d([step.first.wrapping_add(i as u32), step.step, step.seed, stream]);
        let draw = |word: u32| T::of(f64::from(unit(word)));
        let (first, second) = (word(STREAM), word(STREAM + 1));
        let mirror = |word| if c.flip && unit(word) < 0.5 { -one } else { one };
        let angle = (two * draw(first[2]) - one) * rotation * T::of(std::f64::consts::TAU);
        let zoom = one + low + draw(first[3]) * (high - low);
        let from_y = centre[1] + (two * draw(second[0]) - one) * shift * size[1];
        let from_x = centre[0] + (two * draw(second[1]) - one) * shift * size[0];
        let (sin, cos) = angle.sin_cos();
        let (x, y) = (mirror(first[0]) * zoom, mirror(first[1]) * zoom);
        let (a, b) = ([x * cos, -x * sin], [y * sin, y * cos]);
        transform[..3].copy_from_slice(&[a[0], a[1], centre[0] - a[0] * from_x - a[1] * from_y]);
        transform[3..].copy_from_slice(&[b[0], b[1], centre[1] - b[0] * from_x - b[1] * from_y]);
    }
}

/// Twin of `augment.warp`; images spread over the cores.
pub fn warp<T: Real>(mut args: Args<T>) {
    let (WarpSizes { height, width, fill_mode, fill_value, .. }, transforms) = (args.constants.into(), args.floats(3));
    let (mode, value) = (fill_mode, T::of(fill_value));
    let [rows_in, columns_in, one] = [height as f64, width as f64, 1.0].map(T::of);
    rows(&mut args, 0, |i, bytes, row| {
        let t = &transforms[i * 6..][..6];
        let tap = |x: T, y: T, channel: usize| {
            let inside = x >= T::zero() && y >= T::zero() && x < columns_in && y < rows_in;
            if !inside {
                return value;
            }
            bytes.get::<T>((y.wide() as usize * width + x.wide() as usize) * 3 + channel)
        };
        for (pixel, output) in row.chunks_mut(3).enumerate() {
            let (x, y) = (T::of((pixel % width) as f64), T::of((pixel / width) as f64));
            let sx = fill_position(t[0] * x + t[1] * y + t[2], columns_in, mode);
            let sy = fill_position(t[3] * x + t[4] * y + t[5], rows_in, mode);
            let (x0, y0) = (sx.floor(), sy.floor());
            let (fx, fy) = (sx - x0, sy - y0);
            for (channel, output) in output.iter_mut().enumerate() {
                let top = (one - fx) * tap(x0, y0, channel) + fx * tap(x0 + one, y0, channel);
                let bottom = (one - fx) * tap(x0, y0 + one, channel) + fx * tap(x0 + one, y0 + one, channel);
                *output = ((one - fy) * top + fy * bottom) / T::of(255.0);
            }
        }
    });
}

/// Where position `c` on an axis of `n` pixels is read; Keras's formulas, `trunc` for its `int()`.
fn fill_position<T: Real>(mut c: T, n: T, mode: usize) -> T {
    let one = T::one();
    match mode {
        3 => return c,
        0 | 1 if n <= one => return T::zero(),
        0 if c < T::zero() => {
            let period = n + n;
            c = period * (-c / period).trunc() + c;
            c = if c < -n { c + period } else { -c - one };
        }
        0 if c > n - one => {
            let period = n + n;
            c -= period * (c / period).trunc();
            c = if c >= n { period - c - one } else { c };
        }
        // the number of periods is counted with n - 1, but a period is n long: Keras's own rule
        1 if c < T::zero() => c += n * ((-c / (n - one)).trunc() + one),
        1 if c > n - one => c -= n * (c / (n - one)).trunc(),
        _ => {}
    }
    c.max(T::zero()).min(n - one)
}

/// Cases: odd sizes (images start inside words), shards before, around and after, none of the images, short batches.
fn gather_cases() -> Vec<Case> {
    let part = StepParams { first: 2, count: 4, ..Default::default() };
    let room = |shard_images| GatherSizes { shard_images, ..GatherSizes::new(7, 9, 3, 5) };
    vec![
        Case::new("smallest", GatherSizes::new(1, 1, 1, 1)),
        Case::new("odd", GatherSizes::new(5, 9, 7, 5)),
        Case::new("short batch, later", GatherSizes::new(7, 9, 3, 5)).at(part),
        Case::new("first shard", room(4)).filled(&[("shard", Fill::Run(0, 4))]).at(part),
        Case::new("middle shard", room(3)).filled(&[("shard", Fill::Run(4, 3))]).at(part),
        Case::new("last shard", room(2)).filled(&[("shard", Fill::Run(7, 2))]),
        Case::new("half full shard", room(5)).filled(&[("shard", Fill::Run(3, 2))]),
        Case::new("empty shard", room(5)).filled(&[("shard", Fill::Run(3, 0))]).at(part),
        Case::new("past the order", GatherSizes::new(7, 9, 3, 5)).at(StepParams { first: 6, ..Default::default() }),
        Case::new("beyond 65535 workgroups", GatherSizes::new(1, 1, 2050, 2051)),
        Case::new("batch 50 of 64 px", GatherSizes::new(50, 200, 64, 64)).timed(),
    ]
}

fn draw_cases() -> Vec<Case> {
    let step = StepParams { first: 150, step: 77, seed: 0xDEAD_BEEF, ..Default::default() };
    let still = |batch, height, width| DrawSizes { batch, height, width, ..DrawSizes::default() };
    let zoom = |c: DrawSizes| DrawSizes { zoom_low: -0.5, zoom_high: 0.1, ..c };
    let full = zoom(DrawSizes { flip: true, rotation: 0.5, shift: 0.08, ..still(50, 64, 48) });
    vec![
        Case::new("identity", still(1, 1, 1)),
        Case::new("flips", DrawSizes { flip: true, ..still(70, 5, 8) }).at(step),
        Case::new("turns", DrawSizes { rotation: 0.5, ..still(70, 9, 6) }).at(step),
        Case::new("zooms", zoom(still(70, 9, 6))).at(step),
        Case::new("shifts", DrawSizes { shift: 0.3, ..still(70, 9, 6) }).at(step),
        Case::new("all", full).at(step),
        Case::new("beyond 65535 workgroups", DrawSizes { batch: 4_200_000, ..full }).at(step),
        Case::new("batch 50 of 256 px", DrawSizes { height: 256, width: 256, ..full }).timed(),
    ]
}

/// Transforms are filled with -1..1, so positions run far over every border.
fn warp_cases() -> Vec<Case> {
    let part = StepParams { first: 2, count: 4, ..Default::default() };
    let mode = |c: GatherSizes, mode| c.warp(mode, 37.0);
    let odd = GatherSizes::new(7, 9, 13, 11);
    let four = GatherSizes { shard_images: 4, ..odd };
    vec![
        Case::new("smallest", mode(GatherSizes::new(1, 1, 1, 1), 0)),
        Case::new("one pixel, wrap", mode(GatherSizes::new(3, 3, 1, 1), 1)),
        Case::new("reflect", mode(odd, 0)).at(part),
        Case::new("wrap", mode(odd, 1)).at(part),
        Case::new("nearest", mode(odd, 2)).at(part),
        Case::new("constant", mode(odd, 3)).at(part),
        Case::new("first shard", mode(four, 0)).filled(&[("shard", Fill::Run(0, 4))]).at(part),
        Case::new("last shard", mode(four, 1)).filled(&[("shard", Fill::Run(5, 4))]).at(part),
        Case::new("beyond 65535 workgroups", mode(GatherSizes::new(1025, 1025, 64, 64), 0)),
        Case::new("batch 50 of 64 px", mode(GatherSizes::new(50, 200, 64, 64), 0)).timed(),
    ]
}
