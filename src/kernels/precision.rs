//! How numbers are stored, and what a shader must be told about it.
//!
//! Sums are f32 in every kernel. Mixed precision stores activations, their gradients and a copy of the weights in f16;
//! parameters, their gradients, moments and the loss stay f32 (Micikevicius et al., "Mixed Precision Training", ICLR 2018).

use super::emulation::{self, can_emulate};
use crate::error::{Error, Result};
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

impl std::str::FromStr for Matrix {
    type Err = Error;

    /// Emulated ones, written as `16x32`: rows of a tile, threads of a subgroup.
    fn from_str(text: &str) -> Result<Self> {
        let sizes =
            text.split_once('x').and_then(|(tile, subgroup)| Some((tile.parse().ok()?, subgroup.parse().ok()?)));
        let matrix = sizes.map(|(tile, subgroup)| Self { tile, subgroup, emulated: true });
        let allowed = "rows of a tile and threads of a subgroup, such as 16x32, 16x16 or 8x8";
        matrix
            .filter(|&matrix| can_emulate(matrix))
            .ok_or_else(|| Error::setting("--emulate-matrices", format!("\"{text}\""), allowed))
    }
}

/// The lines that stand before all others in a shader: what its `Elem` is, and its matrices where it uses any.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Prelude {
    /// What `Elem` is.
    pub precision: Precision,
    /// `TileA`, `TileB` and `TileC`, of `TILE` x `TILE` elements held by `SUBGROUP` threads.
    pub matrix: Option<Matrix>,
}

impl Prelude {
    /// As WGSL.
    pub fn text(self) -> String {
        let elements = match self.precision {
            Precision::F32 => ("", "alias Elem = f32;\n"),
            Precision::Mixed => ("enable f16;\n", "alias Elem = f16;\n"),
        };
        let Some(matrix @ Matrix { tile, subgroup, emulated }) = self.matrix else {
            return [elements.0, elements.1].concat();
        };
        let aliases = [("TileA", "f16", "A"), ("TileB", "f16", "B"), ("TileC", "f32", "C")]
            .map(|(name, element, role)| format!("alias {name} = coop_mat{tile}x{tile}<{element}, {role}>;\n"));
        let (enable, tiles) = match emulated {
            true => ("", emulation::prelude(matrix)),
            false => ("enable wgpu_cooperative_matrix;\n", aliases.concat()),
        };
        let sizes = format!("const TILE = {tile}u;\nconst SUBGROUP = {subgroup}u;\n");
        [elements.0, enable, elements.1, &tiles, &sizes].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f16_ranges_end_on_words() {
        assert_eq!([0, 1, 2, 3].map(|count| Element::F16.bytes(count)), [0, 4, 4, 8]);
        assert_eq!(Element::F32.bytes(3), 12);
    }

    #[test]
    fn directives_come_first() {
        let matrix = Some(Matrix { tile: 16, subgroup: 32, emulated: false });
        let text = Prelude { precision: Precision::Mixed, matrix }.text();
        assert!(text.starts_with("enable f16;\nenable wgpu_cooperative_matrix;\nalias Elem = f16;\n"), "{text}");
        assert!(text.contains("alias TileC = coop_mat16x16<f32, C>;\nconst TILE = 16u;\nconst SUBGROUP = 32u;\n"));
        assert_eq!(Prelude { precision: Precision::F32, matrix: None }.text(), "alias Elem = f32;\n");
    }
}
