//! Gathering and warping images on the CPU, image by image.

use super::{GatherSizes, WarpSizes, fill_position};
use crate::kernels::Args;
use crate::simd::InstructionSet;
use rayon::prelude::*;

/// Calls `fill(i, pixels of its image, row of images)` for each row that this shard is to write, as [`super::rows`].
fn rows(args: &mut Args<f32>, fill: impl Fn(usize, &[u8], &mut [f32]) + Sync) {
    let (c, step) = (GatherSizes::from(args.constants), args.step);
    let (pixels, shard, order) = (bytemuck::cast_slice::<u32, u8>(args.indices(0)), args.indices(1), args.indices(2));
    let size = 3 * c.height * c.width;
    args.floats_out(0).par_chunks_mut(size).enumerate().for_each(|(i, row)| {
        let Some(position) = step.position(i, c.batch, c.rows) else { return row.fill(0.0) };
        let image = order[position].wrapping_sub(shard[0]);
        if image < shard[1] {
            fill(i, &pixels[image as usize * size..][..size], row);
        }
    });
}

/// Native `augment.gather`.
pub fn gather(mut args: Args<f32>, _: InstructionSet) {
    rows(&mut args, |_, pixels, row| {
        row.iter_mut().zip(pixels).for_each(|(to, &byte)| *to = f32::from(byte) / 255.0);
    });
}

/// Native `augment.warp`: each pixel's place and weights are found once for its channels.
pub fn warp(mut args: Args<f32>, _: InstructionSet) {
    let (c, transforms) = (WarpSizes::from(args.constants), args.floats(3));
    let (height, width, value) = (c.height as f32, c.width as f32, c.fill_value as f32);
    rows(&mut args, |i, pixels, row| {
        let t = &transforms[i * 6..][..6];
        let tap = |x: f32, y: f32| {
            let inside = x >= 0.0 && y >= 0.0 && x < width && y < height;
            let at = if inside { (y as usize * c.width + x as usize) * 3 } else { usize::MAX };
            let pixel: Option<&[u8; 3]> = pixels.get(at..).and_then(|rest| rest.first_chunk());
            pixel.map_or([value; 3], |pixel| pixel.map(f32::from))
        };
        for (pixel, output) in row.chunks_mut(3).enumerate() {
            let (x, y) = ((pixel % c.width) as f32, (pixel / c.width) as f32);
            let sx = fill_position(t[0] * x + t[1] * y + t[2], width, c.fill_mode);
            let sy = fill_position(t[3] * x + t[4] * y + t[5], height, c.fill_mode);
            let (x0, y0) = (sx.floor(), sy.floor());
            let (fx, fy) = (sx - x0, sy - y0);
            let taps = [tap(x0, y0), tap(x0 + 1.0, y0), tap(x0, y0 + 1.0), tap(x0 + 1.0, y0 + 1.0)];
            for (channel, output) in output.iter_mut().enumerate() {
                let [a, b, c, d] = taps.map(|tap| tap[channel]);
                let (top, bottom) = ((1.0 - fx) * a + fx * b, (1.0 - fx) * c + fx * d);
                *output = ((1.0 - fy) * top + fy * bottom) / 255.0;
            }
        }
    });
}
