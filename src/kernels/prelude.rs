//! What stands before a shader: how its numbers are stored, and its matrices.

use super::{Matrix, Precision, emulation};

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
            true => ("", emulation::tiles(matrix)),
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
    fn directives_come_first() {
        let matrix = Some(Matrix { tile: 16, subgroup: 32, emulated: false });
        let text = Prelude { precision: Precision::Mixed, matrix }.text();
        assert!(text.starts_with("enable f16;\nenable wgpu_cooperative_matrix;\nalias Elem = f16;\n"), "{text}");
        assert!(text.contains("alias TileC = coop_mat16x16<f32, C>;\nconst TILE = 16u;\nconst SUBGROUP = 32u;\n"));
        assert_eq!(Prelude { precision: Precision::F32, matrix: None }.text(), "alias Elem = f32;\n");
    }
}
