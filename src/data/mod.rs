//! Labelled galaxy images, wherever they come from, as one flat block of u8 pixels.
//!
//! This room reads files and draws galaxies. It knows nothing of networks, kernels or adapters.

pub mod simulate;

/// The ten classes of Galaxy10 DECaLS, in the order of its labels.
pub const GALAXY10_CLASSES: [&str; 10] = [
    "Disturbed Galaxy",
    "Merging Galaxy",
    "Round Smooth Galaxy",
    "In-between Round Smooth Galaxy",
    "Cigar Shaped Smooth Galaxy",
    "Barred Spiral Galaxy",
    "Unbarred Tight Spiral Galaxy",
    "Unbarred Loose Spiral Galaxy",
    "Edge-on Galaxy without Bulge",
    "Edge-on Galaxy with Bulge",
];

/// Position of an image on the sky, in degrees (J2000).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sky {
    /// Right ascension, degrees.
    pub ra: f64,
    /// Declination, degrees.
    pub dec: f64,
}

/// Pixels of a data set: `count x height x width x 3` bytes, channels last.
pub enum Pixels {
    /// In memory.
    Owned(Vec<u8>),
    /// The flat cache file, mapped.
    Mapped(memmap2::Mmap),
}

impl std::ops::Deref for Pixels {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Owned(bytes) => bytes,
            Self::Mapped(map) => map,
        }
    }
}

/// Labelled RGB images of one size.
pub struct Dataset {
    /// Where it came from, for people.
    pub name: String,
    /// Rows of an image.
    pub height: usize,
    /// Columns of an image.
    pub width: usize,
    /// All images, one after the other.
    pub pixels: Pixels,
    /// Class of each image, below `classes.len()`.
    pub labels: Vec<u32>,
    /// Names of the classes.
    pub classes: Vec<String>,
    /// Position of each image, where known.
    pub sky: Option<Vec<Sky>>,
}

impl Dataset {
    /// Bytes of one image.
    pub fn image_bytes(&self) -> usize {
        self.height * self.width * 3
    }

    /// The pixels of image `index`.
    pub fn image(&self, index: usize) -> &[u8] {
        let n = self.image_bytes();
        &self.pixels[index * n..(index + 1) * n]
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are no images.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }
}
