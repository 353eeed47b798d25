//! Sizes of one image's block, as the native kernels look at it.

use super::Sizes;
use crate::simd::MOST_PIXELS;

/// Windows of a band, about: their pixels stay in the L1 cache.
const WINDOWS: usize = 32;

/// Code of a window that relu closed.
pub const CLOSED: u8 = 4;

/// Sizes of one image's block.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub in_h: usize,
    pub in_w: usize,
    pub in_c: usize,
    pub pool_h: usize,
    pub pool_w: usize,
    pub out_c: usize,
}

impl From<Sizes> for Shape {
    fn from(c: Sizes) -> Self {
        let Sizes { in_h, in_w, in_c, pool_h, pool_w, out_c, .. } = c;
        Self { in_h, in_w, in_c, pool_h, pool_w, out_c }
    }
}

impl Shape {
    /// Floats of an image.
    pub fn image(self) -> usize {
        self.in_h * self.in_w * self.in_c
    }
    /// Words of argmax codes of a pixel.
    pub fn words(self) -> usize {
        self.out_c.div_ceil(4)
    }
    /// Floats of a pooled row.
    pub fn pooled_row(self) -> usize {
        self.pool_w * self.out_c
    }
    /// Bytes of argmax codes of a pooled row.
    pub fn codes_row(self) -> usize {
        self.pool_w * self.words() * 4
    }
    /// Floats of a padded row: a zero pixel before and after, and room for a tile that reaches past the last window.
    pub fn row(self) -> usize {
        (self.in_w.max(self.pool_w.next_multiple_of(MOST_PIXELS / 2) * 2) + 2) * self.in_c
    }

    /// Pooled rows of a band.
    pub fn band(self) -> usize {
        (WINDOWS / self.pool_w).clamp(1, self.pool_h)
    }
}
