//! How numbers are stored and multiplied.
//!
//! Sums are f32 in every kernel. Mixed precision stores activations, their gradients and a copy of the weights in f16;
//! parameters, their gradients, moments and the loss stay f32 (Micikevicius et al., "Mixed Precision Training", ICLR 2018).

use serde::{Deserialize, Serialize};

/// Type of a tensor's elements. Bytes (pixels, argmax codes) travel four to a u32, lowest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Element {
    /// 32-bit float.
    F32,
    /// 16-bit float.
    F16,
    /// 32-bit unsigned integer.
    U32,
}

impl Element {
    /// Bytes of one element.
    pub fn size(self) -> usize {
        match self {
            Self::F32 | Self::U32 => 4,
            Self::F16 => 2,
        }
    }

    /// Bytes of `count` elements in a buffer, a multiple of 4.
    pub fn bytes(self, count: usize) -> u64 {
        (self.size() * count).next_multiple_of(4) as u64
    }
}

/// What activations and multiplied weights are stored in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// f32.
    #[default]
    F32,
    /// f16; everything that is summed up over steps stays f32.
    Mixed,
}

impl std::fmt::Display for Precision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(if *self == Self::F32 { "f32" } else { "mixed" })
    }
}

/// Cooperative matrices of an adapter: square, f16 factors, f32 sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Matrix {
    /// Rows and columns of a tile.
    pub tile: u32,
    /// Threads that hold a tile together.
    pub subgroup: u32,
    /// Whether they are plain WGSL in their place, for tests ([`super::can_emulate`]).
    #[serde(rename = "imitated", skip_serializing_if = "std::ops::Not::not")]
    pub emulated: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f16_ranges_end_on_words() {
        assert_eq!([0, 1, 2, 3].map(|count| Element::F16.bytes(count)), [0, 4, 4, 8]);
        assert_eq!(Element::F32.bytes(3), 12);
    }
}
