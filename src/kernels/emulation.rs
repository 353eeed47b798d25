//! Cooperative matrices in plain WGSL: kernels written for them run on any adapter, tile for tile and thread for thread, and very
//! slowly. So the kernels for 16 x 16 tiles and subgroups of 32, which no software adapter has, are tested where there is no other.
//!
//! A subgroup is `SUBGROUP` neighbouring threads of the workgroup. Each thread holds [`Share`]: some neighbouring elements of one row
//! of a tile of sums, that whole row of the left factor, and those whole columns of the right factor, so that a product needs
//! nothing of another thread. As on hardware, other threads see what is stored after a barrier only.
//!
//! It is a translation of text, made for how this crate's kernels are written: tiles are loaded and stored as `&array[index]`, and
//! arrays are declared in one line.

use super::Matrix;
use crate::error::{Error, Result};

/// What a thread holds of a tile.
#[derive(Clone, Copy)]
struct Share {
    /// Rows and columns of a tile, in quads of elements.
    tile_quads: u32,
    /// Columns of sums that a thread holds, in quads.
    own_quads: u32,
    /// Threads that hold a row of sums.
    threads_a_row: u32,
}

impl Share {
    fn of(matrix: Matrix) -> Self {
        let threads_a_row = matrix.subgroup / matrix.tile;
        Self { tile_quads: matrix.tile / 4, own_quads: matrix.tile / threads_a_row / 4, threads_a_row }
    }

    /// Row of this thread, and first column of its own. Rows are dealt from the last one, so that threads seldom read what they stored
    /// themselves and a forgotten barrier shows.
    fn place(self) -> String {
        let (last, threads, columns) = (4 * self.tile_quads - 1, self.threads_a_row, 4 * self.own_quads);
        format!("let row = {last}u - emulated_lane / {threads}u; let column = emulated_lane % {threads}u * {columns}u;")
    }
}

/// Whether there is an emulation of such matrices: a thread holds four columns at least, of one row.
pub fn can_emulate(matrix: Matrix) -> bool {
    let Matrix { tile, subgroup, .. } = matrix;
    matches!(tile, 8 | 16)
        && subgroup >= tile
        && subgroup.is_multiple_of(tile)
        && (tile * tile / 4).is_multiple_of(subgroup)
}

/// Types of tiles and their product: what stands before a kernel in the place of the aliases of cooperative matrices.
pub(super) fn tiles(matrix: Matrix) -> String {
    let Share { tile_quads, own_quads, .. } = Share::of(matrix);
    let fields = |count: u32, name: &str| (0..count).map(|i| format!("v{i}: {name}, ")).collect::<String>();
    let mut text = String::from("var<private> emulated_lane: u32;\n");
    text += &format!("struct TileA {{ {}}}\n", fields(tile_quads, "vec4f"));
    text += &format!("struct TileB {{ {}}}\n", fields(tile_quads * own_quads, "mat4x4f"));
    text += &format!("struct TileC {{ {}}}\n", fields(own_quads, "vec4f"));
    text += "fn emulated_multiply_add(a: TileA, b: TileB, c: TileC) -> TileC {\n    var sum = c;\n";
    for (k, column) in (0..tile_quads).flat_map(|k| (0..own_quads).map(move |column| (k, column))) {
        text += &format!("    sum.v{column} += b.v{} * a.v{k};\n", k * own_quads + column);
    }
    text + "    return sum;\n}\n"
}

/// A kernel's text with its matrices emulated, line for line; what its loads and stores have become stands at the end.
pub(super) fn emulate(text: &str, matrix: Matrix) -> String {
    let mut kernel = threads_in_place_of_subgroups(&text.replace("coopMultiplyAdd(", "emulated_multiply_add("));
    let mut functions: Vec<String> = Vec::new();
    while let Some((call, replacement, function)) = next_access(&kernel, Share::of(matrix)) {
        kernel = kernel.replace(&call, &replacement);
        if !functions.contains(&function) {
            functions.push(function);
        }
    }
    kernel + &functions.concat()
}

/// Number and place of a subgroup's thread come from its place in the workgroup.
fn threads_in_place_of_subgroups(text: &str) -> String {
    let names = ["subgroup_id", "subgroup_invocation_id"].map(|builtin| {
        let start = format!("@builtin({builtin}) ");
        let rest = text.split_once(&start).map(|(_, rest)| rest)?;
        let name = rest.split_once(':')?.0;
        Some((format!("{start}{name}: u32"), name.to_owned()))
    });
    let mut text = text.replace("fn main(", "fn main(@builtin(local_invocation_id) emulated: vec3u, ");
    let mut first = " emulated_lane = emulated.x % SUBGROUP;".to_owned();
    for (found, value) in names.into_iter().zip(["emulated.x / SUBGROUP", "emulated.x % SUBGROUP"]) {
        let Some((parameter, name)) = found else { continue };
        text = text.replace(&format!("{parameter},"), "").replace(&parameter, "");
        first += &format!(" let {name} = {value};");
    }
    let Some((before, after)) = text.split_once("fn main(") else { return text };
    let body = after.replacen(") {", &format!(") {{{first}"), 1);
    format!("{before}fn main({body}")
}

/// The next load or store of a tile: the text that names it, what stands there instead, and the function that it calls.
fn next_access(text: &str, share: Share) -> Option<(String, String, String)> {
    if let Some(start) = text.find("coopStoreT(") {
        let arguments = &text[start + "coopStoreT(".len()..];
        let value = &arguments[..end_of(arguments, ',')?];
        let (array, index) = accessed(text, arguments[value.len()..].strip_prefix(", ")?)?;
        let call = format!("coopStoreT({value}, &{}[{index}]", array.name);
        let name = format!("emulated_store_{}", array.name);
        return Some((call, format!("{name}({value}, {index}"), store(&name, &array, share)));
    }
    let start = text.find("coopLoad")?;
    let rest = &text[start + "coopLoad".len()..];
    let (row_major, role, arguments) =
        [(true, 'A'), (true, 'B'), (false, 'A'), (false, 'B')].into_iter().find_map(|(row_major, role)| {
            let head = format!("{}<Tile{role}>(", if row_major { "T" } else { "" });
            rest.strip_prefix(&head).map(|arguments| (row_major, role, arguments))
        })?;
    let (array, index) = accessed(text, arguments)?;
    let order = if row_major { "T" } else { "" };
    let name = format!("emulated_load{order}_{role}_{}", array.name);
    let function = load(&name, &array, role, row_major, share);
    Some((format!("coopLoad{order}<Tile{role}>(&{}[{index}]", array.name), format!("{name}({index}"), function))
}

/// Array and index of `&array[index], ...`; the text declares how many numbers an element has.
fn accessed<'a>(text: &str, arguments: &'a str) -> Option<(Array<'a>, &'a str)> {
    let (name, rest) = arguments.strip_prefix('&')?.split_once('[')?;
    let words = if text.contains(&format!(" {name}: array<vec4")) { 4 } else { 1 };
    Some((Array { name, words }, &rest[..end_of(rest, ']')?]))
}

/// Where a text meets `end` outside of all brackets that open in it.
fn end_of(text: &str, end: char) -> Option<usize> {
    let mut open = 0;
    text.char_indices().find_map(|(place, letter)| {
        if letter == end && open == 0 {
            return Some(place);
        }
        match letter {
            '(' | '[' => open += 1,
            ')' | ']' => open -= 1,
            _ => {}
        }
        None
    })
}

/// An array that holds tiles; places in it count numbers, not vectors.
struct Array<'a> {
    name: &'a str,
    words: u32,
}

impl Array<'_> {
    fn number(&self, place: &str) -> String {
        match self.words {
            4 => format!("f32({}[({place}) / 4u][({place}) % 4u])", self.name),
            _ => format!("f32({}[{place}])", self.name),
        }
    }

    /// Four neighbours; the first of a vector where elements are vectors.
    fn quad(&self, place: &str) -> String {
        match self.words {
            4 => format!("vec4f({}[({place}) / 4u])", self.name),
            _ => {
                format!("vec4f({})", (0..4).map(|i| self.number(&format!("{place} + {i}u")) + ", ").collect::<String>())
            }
        }
    }
}

/// The function that loads a tile of a role: `(index, stride) -> tile`.
fn load(name: &str, array: &Array, role: char, row_major: bool, share: Share) -> String {
    // of the element in this row and column of the tile
    let place = |row: &str, column: &str| {
        let (line, along) = if row_major { (row, column) } else { (column, row) };
        format!("(at + ({line}) * stride) * {}u + {along}", array.words)
    };
    let left = |k: u32| match row_major {
        true => array.quad(&place("row", &format!("{}u", 4 * k))),
        false => (0..4).map(|i| array.number(&place("row", &format!("{}u", 4 * k + i))) + ", ").collect(),
    };
    let right = |i: u32| {
        let (k, column) = (i / share.own_quads * 4, i % share.own_quads * 4);
        let quads = (0..4).map(|i| match row_major {
            true => array.quad(&place(&format!("{}u", k + i), &format!("column + {column}u"))),
            false => array.quad(&place(&format!("{k}u"), &format!("column + {}u", column + i))),
        });
        let columns = quads.collect::<Vec<String>>().join(", ");
        if row_major { format!("mat4x4f({columns})") } else { format!("transpose(mat4x4f({columns}))") }
    };
    let parts: Vec<String> = match role {
        'A' => (0..share.tile_quads).map(|k| format!("vec4f({})", left(k))).collect(),
        _ => (0..share.tile_quads * share.own_quads).map(right).collect(),
    };
    let (parts, place) = (parts.join(",\n        "), share.place());
    format!(
        "fn {name}(at: u32, stride: u32) -> Tile{role} {{\n    {place}\n    return Tile{role}(\n        {parts});\n}}\n"
    )
}

/// The function that stores a tile of sums, row-major: `(tile, index, stride)`.
fn store(name: &str, array: &Array, share: Share) -> String {
    let (place, Array { name: target, words }) = (share.place(), array);
    let quads = (0..share.own_quads).map(|i| match words {
        4 => format!("    {target}[start / 4u + {i}u] = tile.v{i};\n"),
        _ => (0..4).map(|k| format!("    {target}[start + {}u] = tile.v{i}[{k}];\n", 4 * i + k)).collect(),
    });
    let quads: String = quads.collect();
    format!(
        "fn {name}(tile: TileC, at: u32, stride: u32) {{\n    {place}\n    let start = (at + row * stride) * {words}u + column;\n{quads}}}\n"
    )
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

#[cfg(test)]
mod tests {
    use super::*;

    const HARDWARE: Matrix = Matrix { tile: 16, subgroup: 32, emulated: true };

    #[test]
    fn a_thread_holds_whole_quads_of_one_row() {
        let can = |tile, subgroup| can_emulate(Matrix { tile, subgroup, emulated: true });
        assert!(can(16, 32) && can(16, 64) && can(16, 16) && can(8, 8) && can(8, 16));
        assert!(!can(16, 8) && !can(8, 32) && !can(4, 4) && !can(16, 24) && !can(16, 0) && !can(16, 1 << 30));
    }

    #[test]
    fn every_line_stays_where_it_was() {
        for (path, shader) in crate::kernels::embedded().into_iter().filter(|(_, shader)| shader.text.contains("coop"))
        {
            let text = emulate(shader.text, HARDWARE);
            let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
            assert!(!code.clone().any(|line| line.contains("coop") || line.contains("subgroup_i")), "{path}: {text}");
            let same = shader.text.lines().zip(text.lines()).filter(|(old, new)| old == new).count();
            assert!(same * 4 > shader.text.lines().count() * 3, "{path}: most lines are the kernel's own");
            assert!(text.contains(") { emulated_lane = "), "{path}: threads do not know their place");
            let size = shader.text.split_once("@workgroup_size(").unwrap().1.split_once(")\n").unwrap().0;
            assert!(!size.contains(','), "{path}: a thread's place is counted along one axis");
            let others =
                shader.text.match_indices("subgroup").filter_map(|(at, _)| shader.text[at + 8..].chars().next());
            assert!(!others.clone().any(char::is_uppercase), "{path}: operations of subgroups are not emulated");
        }
    }

    #[test]
    fn a_load_names_what_a_thread_needs() {
        let text = "@group(0) @binding(1) var<storage, read> left: array<Elem>;\nfn main(@builtin(subgroup_id) own: u32) {\n  let a = coopLoad<TileA>(&left[own * f(1u)[0]], 16u);\n}\n";
        let emulated = emulate(text, HARDWARE);
        assert!(emulated.contains("let a = emulated_load_A_left(own * f(1u)[0], 16u);"), "{emulated}");
        assert!(
            emulated.contains("emulated_lane = emulated.x % SUBGROUP; let own = emulated.x / SUBGROUP;"),
            "{emulated}"
        );
        assert!(emulated.contains("f32(left[(at + (15u) * stride) * 1u + row])"), "{emulated}");
    }
}
