//! A convolution as the native kernels look at it: rows of windows over rows of pixels that have zeros around them.

use super::Sizes;
use crate::simd::{LANES, MOST_PIXELS};
use std::ops::Range;

/// Sizes of a convolution. A row is one of all images, counted from the first image's first.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Height, width and channels of what goes in.
    pub input: [usize; 3],
    /// Windows of an image below each other, and beside each other.
    pub windows: [usize; 2],
    /// Rows and columns of taps.
    pub taps: [usize; 2],
    pub stride: usize,
    /// Rows above an image and columns to its left that its first window sees; as many that it skips, if negative.
    pub before: [isize; 2],
    pub out_c: usize,
}

impl From<Sizes> for Shape {
    fn from(c: Sizes) -> Self {
        Self {
            input: [c.in_h, c.in_w, c.in_c],
            windows: [c.out_h, c.out_w],
            taps: [c.kernel; 2],
            stride: c.stride,
            before: [c.pad_top as isize, c.pad_left as isize],
            out_c: c.out_c,
        }
    }
}

impl Shape {
    /// The same with the pixels of all images as rows of as many as a tile has, where windows are single pixels.
    pub fn flattened(self, images: usize) -> Self {
        let [height, width, in_c] = self.input;
        let pixels = images * height * width;
        let rows = pixels / MOST_PIXELS;
        let flat = Self { input: [rows, MOST_PIXELS, in_c], windows: [rows, MOST_PIXELS], ..self };
        if flat.is_flat() && pixels.is_multiple_of(MOST_PIXELS) { flat } else { self }
    }

    /// Whether windows are single pixels, and rows need no zeros around them.
    pub fn is_flat(self) -> bool {
        let single = self.taps == [1, 1] && self.stride == 1 && self.before == [0, 0];
        single && self.input[1] == self.windows[1] && self.windows[1].is_multiple_of(MOST_PIXELS)
    }

    /// Floats between the first taps of windows beside each other, and those of one row of taps.
    pub fn step_and_run(self) -> [usize; 2] {
        [self.stride * self.input[2], self.taps[1] * self.input[2]]
    }

    /// Floats of a padded row, with room for a tile that reaches past the last window.
    pub fn row(self) -> usize {
        let windows = self.windows[1].next_multiple_of(MOST_PIXELS);
        ((windows - 1) * self.stride + self.taps[1]) * self.input[2]
    }

    /// The first padded row that a row of windows sees.
    pub fn first_tap(self, row: usize) -> usize {
        row / self.windows[0] * self.padded_height() + row % self.windows[0] * self.stride
    }

    fn padded_height(self) -> usize {
        (self.windows[0] - 1) * self.stride + self.taps[0]
    }

    /// Copies the pixels that these rows of windows see, with zeros around their images; a vector of zeros follows.
    pub fn pad(self, rows: Range<usize>, input: &[f32], padded: &mut Vec<f32>) {
        let [height, width, in_c] = self.input;
        let first = self.first_tap(rows.start);
        let count = self.first_tap(rows.end - 1) + self.taps[0] - first;
        padded.clear();
        padded.resize(count * self.row() + LANES, 0.0);
        let skipped = (-self.before[1]).max(0) as usize * in_c;
        let zeros = self.before[1].max(0) as usize * in_c;
        for (row, to) in (first..first + count).zip(padded.chunks_mut(self.row())) {
            let (image, y) = (row / self.padded_height(), row % self.padded_height());
            let y = y as isize - self.before[0];
            if (0..height as isize).contains(&y) {
                let from = &input[(image * height + y as usize) * width * in_c..][..width * in_c];
                let count = from.len().saturating_sub(skipped).min(to.len().saturating_sub(zeros));
                if count > 0 {
                    to[zeros..][..count].copy_from_slice(&from[skipped..][..count]);
                }
            }
        }
    }
}
