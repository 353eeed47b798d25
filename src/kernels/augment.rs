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

use super::{
    Args, Binding, Case, Constants, Contract, Cost, Fill, Grid, Implementation, Launch, Real, StepParams, Tolerance,
    UNIT_ROUNDOFF,
};
use crate::rng::{pcg4d, unit};
use crate::{shader, twin};
use rayon::prelude::*;

/// Stream of the first four random words of an image, far from the layers' (which count from 0); the next is one more.
const STREAM: u32 = 0x4155_4700;

/// Constants of `augment.gather` on one shard that holds all images: `rows` images of `height` x `width` in `order`.
pub fn gather_constants(batch: usize, rows: usize, height: usize, width: usize) -> Constants {
    Constants::sizes(&[("BATCH", batch), ("ROWS", rows), ("HEIGHT", height), ("WIDTH", width), ("SHARD_IMAGES", rows)])
}

/// Constants of `augment.draw` that draws the identity.
pub fn draw_constants(batch: usize, height: usize, width: usize) -> Constants {
    let sizes = Constants::sizes(&[("BATCH", batch), ("HEIGHT", height), ("WIDTH", width), ("FLIP", 0)]);
    ["ROTATION", "ZOOM_LOW", "ZOOM_HIGH", "SHIFT"].iter().fold(sizes, |c, name| c.with(name, 0.0))
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
    constants: &["BATCH", "ROWS", "HEIGHT", "WIDTH", "SHARD_IMAGES"],
    lengths: |c| vec![words(c), 2, c.size("ROWS"), images(c)],
    twin: twin!(gather),
    cost: |c| cost(c, 1.0),
    // one division, which WGSL allows 2.5 units in the last place
    tolerance: |_| Tolerance::sum(1),
    cases: gather_cases,
    implementations: &[Implementation::direct(|c| {
        Launch::single(shader!("augment/gather_direct.wgsl"), 4, Grid::elements(images(c) / 3, 64))
    })],
};

/// `-> transforms (BATCH x 6)`.
pub static DRAW: Contract = Contract {
    name: "augment.draw",
    formula: "transforms[i] = Flip * Rotate * Zoom * Translate, drawn from (first + i, step, seed)",
    bindings: &[Binding::write("transforms")],
    constants: &["BATCH", "HEIGHT", "WIDTH", "FLIP", "ROTATION", "ZOOM_LOW", "ZOOM_HIGH", "SHIFT"],
    lengths: |c| vec![6 * c.size("BATCH")],
    twin: twin!(draw),
    cost: |c| Cost { flops: 60.0 * c.float("BATCH"), bytes: 24.0 * c.float("BATCH") },
    // Not a sum: sine and cosine are off by a few units in the last place, the products of places with them are rounded thrice
    tolerance: |_| Tolerance { relative: 64.0 * UNIT_ROUNDOFF },
    cases: draw_cases,
    implementations: &[Implementation::direct(|c| {
        Launch::single(shader!("augment/draw_direct.wgsl"), 1, Grid::elements(c.size("BATCH"), 64))
    })],
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
    constants: &["BATCH", "ROWS", "HEIGHT", "WIDTH", "SHARD_IMAGES", "FILL_MODE", "FILL_VALUE"],
    lengths: |c| vec![words(c), 2, c.size("ROWS"), 6 * c.size("BATCH"), images(c)],
    twin: twin!(warp),
    cost: |c| cost(c, 4.0),
    // Not a sum: a position of up to WIDTH + HEIGHT places is rounded four times, and a place is worth up to 1 (noise),
    // about twice the size of a typical value, along each of two axes.
    tolerance: |c| Tolerance { relative: 16.0 * UNIT_ROUNDOFF * (c.float("WIDTH") + c.float("HEIGHT") + 2.0) },
    cases: warp_cases,
    implementations: &[Implementation::direct(|c| {
        Launch::single(shader!("augment/warp_direct.wgsl"), 5, Grid::elements(images(c) / 3, 64))
    })],
};

/// Words of a shard's pixels.
fn words(c: &Constants) -> usize {
    (3 * c.product(&["SHARD_IMAGES", "HEIGHT", "WIDTH"])).div_ceil(4)
}

fn images(c: &Constants) -> usize {
    3 * c.product(&["BATCH", "HEIGHT", "WIDTH"])
}

/// One byte read and four written per value; `taps` pixels weighted.
fn cost(c: &Constants, taps: f64) -> Cost {
    let values = images(c) as f64;
    Cost { flops: 2.0 * taps * values, bytes: 5.0 * values }
}

/// Calls `fill(i, pixels of its image from its first byte on, row of images)` for each row this shard is to write; rows
/// past the last image become zero.
fn rows<T: Real>(args: &mut Args<T>, output: usize, fill: impl Fn(usize, &Bytes, &mut [T]) + Sync) {
    let (c, step) = (args.constants, args.step);
    let (pixels, shard, order) = (args.indices(0), args.indices(1), args.indices(2));
    let size = 3 * c.product(&["HEIGHT", "WIDTH"]);
    let (first, count) = (shard[0], shard[1]);
    args.floats_out(output).par_chunks_mut(size).enumerate().for_each(|(i, row)| {
        match step.position(i, c.size("BATCH"), c.size("ROWS")) {
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
    let (c, step) = (args.constants, args.step);
    let [rotation, low, high, shift] =
        ["ROTATION", "ZOOM_LOW", "ZOOM_HIGH", "SHIFT"].map(|name| T::of(f64::from(c.float(name) as f32)));
    let size = ["WIDTH", "HEIGHT"].map(|name| T::of(c.float(name)));
    let (one, two) = (T::one(), T::of(2.0));
    let centre = size.map(|n| (n - one) / two);
    for (i, transform) in args.floats_out(0).chunks_mut(6).enumerate() {
        let word = |stream| pcg4d([step.first.wrapping_add(i as u32), step.step, step.seed, stream]);
        let draw = |word: u32| T::of(f64::from(unit(word)));
        let (first, second) = (word(STREAM), word(STREAM + 1));
        let mirror = |word| if c.switch("FLIP") && unit(word) < 0.5 { -one } else { one };
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
    let (c, transforms) = (args.constants, args.floats(3));
    let (mode, value) = (c.size("FILL_MODE"), T::of(c.float("FILL_VALUE")));
    let [height, width] = ["HEIGHT", "WIDTH"].map(|name| c.size(name));
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
    let room = |images: f64| gather_constants(7, 9, 3, 5).with("SHARD_IMAGES", images);
    vec![
        Case::new("smallest", gather_constants(1, 1, 1, 1)),
        Case::new("odd", gather_constants(5, 9, 7, 5)),
        Case::new("short batch, later", gather_constants(7, 9, 3, 5)).at(part),
        Case::new("first shard", room(4.0)).filled(&[("shard", Fill::Run(0, 4))]).at(part),
        Case::new("middle shard", room(3.0)).filled(&[("shard", Fill::Run(4, 3))]).at(part),
        Case::new("last shard", room(2.0)).filled(&[("shard", Fill::Run(7, 2))]),
        Case::new("half full shard", room(5.0)).filled(&[("shard", Fill::Run(3, 2))]),
        Case::new("empty shard", room(5.0)).filled(&[("shard", Fill::Run(3, 0))]).at(part),
        Case::new("past the order", gather_constants(7, 9, 3, 5)).at(StepParams { first: 6, ..Default::default() }),
        Case::new("beyond 65535 workgroups", gather_constants(1, 1, 2050, 2051)),
        Case::new("batch 50 of 64 px", gather_constants(50, 200, 64, 64)).timed(),
    ]
}

fn draw_cases() -> Vec<Case> {
    let step = StepParams { first: 150, step: 77, seed: 0xDEAD_BEEF, ..Default::default() };
    let full = draw_constants(50, 64, 48).with("FLIP", 1.0).with("ROTATION", 0.5).with("SHIFT", 0.08);
    let zoom = |c: Constants| c.with("ZOOM_LOW", -0.5).with("ZOOM_HIGH", 0.1);
    vec![
        Case::new("identity", draw_constants(1, 1, 1)),
        Case::new("flips", draw_constants(70, 5, 8).with("FLIP", 1.0)).at(step),
        Case::new("turns", draw_constants(70, 9, 6).with("ROTATION", 0.5)).at(step),
        Case::new("zooms", zoom(draw_constants(70, 9, 6))).at(step),
        Case::new("shifts", draw_constants(70, 9, 6).with("SHIFT", 0.3)).at(step),
        Case::new("all", zoom(full.clone())).at(step),
        Case::new("beyond 65535 workgroups", zoom(full.clone().with("BATCH", 4_200_000.0))).at(step),
        Case::new("batch 50 of 256 px", zoom(full.with("HEIGHT", 256.0).with("WIDTH", 256.0))).timed(),
    ]
}

/// Transforms are filled with -1..1, so positions run far over every border.
fn warp_cases() -> Vec<Case> {
    let part = StepParams { first: 2, count: 4, ..Default::default() };
    let mode = |c: Constants, mode: f64| c.with("FILL_MODE", mode).with("FILL_VALUE", 37.0);
    let odd = || gather_constants(7, 9, 13, 11);
    vec![
        Case::new("smallest", mode(gather_constants(1, 1, 1, 1), 0.0)),
        Case::new("one pixel, wrap", mode(gather_constants(3, 3, 1, 1), 1.0)),
        Case::new("reflect", mode(odd(), 0.0)).at(part),
        Case::new("wrap", mode(odd(), 1.0)).at(part),
        Case::new("nearest", mode(odd(), 2.0)).at(part),
        Case::new("constant", mode(odd(), 3.0)).at(part),
        Case::new("first shard", mode(odd().with("SHARD_IMAGES", 4.0), 0.0))
            .filled(&[("shard", Fill::Run(0, 4))])
            .at(part),
        Case::new("last shard", mode(odd().with("SHARD_IMAGES", 4.0), 1.0))
            .filled(&[("shard", Fill::Run(5, 4))])
            .at(part),
        Case::new(
            "beyond 65535 workgroups",
            mode(gather_constants(1025, 4, 64, 64), 0.0).with("ROWS", 1025.0).with("SHARD_IMAGES", 1025.0),
        ),
        Case::new("batch 50 of 64 px", mode(gather_constants(50, 200, 64, 64), 0.0)).timed(),
    ]
}
