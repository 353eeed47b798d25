//! The whole text of a kernel as it is compiled, and the way from a line of it back to the file that the line is in.
//!
//! The text has three parts: a head that is written for the kernel, the files that it uses, and its own file. The head holds the types of
//! its precision and those constants and bindings of its contract and launch that the kernel names and does not declare itself.
//!
//! The comment that a WGSL file opens with may have lines of these forms:
//!
//! ```text
//! // use index, products    files of shaders/common and shaders/parts that it needs
//! // vec4 input, weights    bindings that it sees as arrays of vec4
//! // item input, output     bindings that it sees as arrays of Item: one element or, where its launch says so, four
//! ```

use super::emulation::emulate;
use super::{Access, Binding, Constant, Contract, Element, Launch, Matrix, Prelude, Shader, Shaders, Stage};
use std::collections::HashSet;

/// Everything a kernel is compiled from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Source {
    /// What is written for it.
    head: String,
    /// The files it uses, and its own.
    files: Vec<Shader>,
    /// Matrices that are spelt out in plain WGSL.
    emulated: Option<Matrix>,
}

impl Source {
    /// The texts of a launch's stages, in order; `implementation` is the name of the contract's.
    pub fn of_launch(
        shaders: &Shaders,
        (contract, implementation): (&Contract, &str),
        launch: &Launch,
        prelude: Prelude,
    ) -> Vec<Self> {
        // what a launch adds are sizes
        let extra = launch.extra.pairs().iter().map(|&(name, _)| Constant { name, wgsl: "u32" });
        let constants: Vec<Constant> = contract.constants.iter().copied().chain(extra).collect();
        let stages = launch.stages.iter().zip(launch.accesses(contract)).map(|(stage, accesses)| {
            let kernel = shaders.shader(contract, implementation, stage.shader);
            let mut files = shaders.parts(&kernel);
            files.push(kernel);
            let mut head = prelude.text();
            declare(&mut head, &files, &constants, contract, stage, &accesses);
            Self { head, files, emulated: prelude.matrix.filter(|matrix| matrix.emulated) }
        });
        stages.collect()
    }

    /// The kernel's own file.
    pub fn kernel(&self) -> &Shader {
        &self.files[self.files.len() - 1]
    }

    /// The files it uses, and the kernel's own.
    pub fn files(&self) -> &[Shader] {
        &self.files
    }

    /// The text, as the compiler gets it.
    pub fn text(&self) -> String {
        self.parts().into_iter().map(|(_, text)| text).collect()
    }

    /// The parts of the text in order, each with the place of its file.
    pub fn parts(&self) -> Vec<(String, String)> {
        let head = ("prelude".to_owned(), self.head.clone());
        let files = self.files.iter().map(|file| (file.place(), file.text.to_owned()));
        let parts: Vec<(String, String)> = std::iter::once(head).chain(files).collect();
        let Some(matrix) = self.emulated else { return parts };
        // the emulation keeps every line in its place and adds what it needs at the end
        let whole = emulate(&parts.iter().map(|(_, text)| &text[..]).collect::<String>(), matrix);
        let mut lines = whole.split_inclusive('\n');
        let last = parts.len() - 1;
        let cut = |(i, (place, text)): (usize, (String, String))| {
            let count = if i == last { usize::MAX } else { text.lines().count() };
            (place, lines.by_ref().take(count).collect())
        };
        parts.into_iter().enumerate().map(cut).collect()
    }

    /// Names of the `override` constants that the text declares.
    pub fn overrides(&self) -> Vec<&str> {
        let lines = self.head.lines().chain(self.files.iter().flat_map(|file| file.text.lines()));
        lines.filter_map(declared_constant).collect()
    }

    /// Whether all of it is the crate's own.
    pub fn is_own(&self) -> bool {
        self.files.iter().all(|file| file.folder.is_none())
    }

    /// Whether it may run without the driver's checks: the crate's own text, which the tests have run checked, or a user's who
    /// vouches for it.
    pub fn is_trusted(&self) -> bool {
        self.files.iter().all(|file| file.folder.is_none_or(|folder| folder.trusted))
    }

    /// The file that a line of the text (from 1) stands in, and its number there.
    pub fn locate(&self, line: usize) -> (String, usize) {
        let mut before = 0;
        for (file, text) in self.parts() {
            let lines = text.lines().count();
            if line <= before + lines {
                return (file, line - before);
            }
            before += lines;
        }
        // the end of the text
        (self.kernel().place(), self.kernel().text.lines().count())
    }

    /// A compiler's message with the lines of the whole text replaced by those of the files: naga prints `wgsl:70:9` and numbers the
    /// lines that it quotes (`70 │     let x = y;`).
    pub fn translate(&self, message: &str) -> String {
        let lines = message.trim().lines().map(|line| self.translate_line(line));
        lines.collect::<Vec<String>>().join("\n")
    }

    /// The file and line that a compiler's message names first.
    pub fn first_place(&self, message: &str) -> Option<(String, usize)> {
        message.lines().find_map(place_in).map(|(_, line, _)| self.locate(line))
    }

    fn translate_line(&self, line: &str) -> String {
        if let Some((before, number, column)) = place_in(line) {
            let (file, number) = self.locate(number);
            return format!("{before}─ {file}:{number}:{column}");
        }
        let Some((number, quoted)) = line.split_once(" │") else { return line.to_owned() };
        match number.trim().parse() {
            Ok(found) => format!("{:>width$} │{quoted}", self.locate(found).1, width = number.len()),
            Err(_) => line.to_owned(),
        }
    }
}

/// Adds to the head what the files name and do not declare: constants of these names, and the bindings of a stage.
fn declare(
    head: &mut String,
    files: &[Shader],
    constants: &[Constant],
    contract: &Contract,
    stage: &Stage,
    accesses: &[Access],
) {
    let lines = || files.iter().flat_map(|file| file.text.lines());
    let code = lines().map(|line| line.split_once("//").map_or(line, |(code, _)| code));
    let named: HashSet<&str> = code.flat_map(|code| code.split(|c: char| !c.is_alphanumeric() && c != '_')).collect();
    let declared: HashSet<&str> =
        lines().filter_map(|line| declared_constant(line).or(declared_binding(line))).collect();
    let wanted = |name: &str| named.contains(name) && !declared.contains(name);
    let listed = |word: &str| -> HashSet<&str> { files.iter().flat_map(|file| file.listed(word)).collect() };
    let (vectors, items) = (listed("vec4"), listed("item"));
    if !items.is_empty() {
        *head += match stage.lanes {
            1 => "alias Item = Elem;\nalias Value = f32;\nalias Index = u32;\nconst LANES = 1u;\n",
            _ => "alias Item = vec4<Elem>;\nalias Value = vec4f;\nalias Index = vec4u;\nconst LANES = 4u;\n",
        };
        if wanted("first_lanes") {
            let value = if stage.lanes == 1 { "v.x" } else { "v" };
            *head += &format!("fn first_lanes(v: vec4f) -> Value {{ return {value}; }}\n");
        }
    }
    for Constant { name, wgsl } in constants.iter().filter(|constant| wanted(constant.name)) {
        *head += &format!("override {name}: {wgsl};\n");
    }
    for ((&number, access), place) in stage.bindings.iter().zip(accesses).zip(1..) {
        let binding = contract.bindings.get(number).unwrap_or(&SCRATCH);
        if !wanted(binding.name) {
            continue;
        }
        let (one, item) = match binding.element {
            Element::U32 => ("u32", "Index"),
            _ if binding.half => ("Elem", "Item"),
            _ => ("f32", "Value"),
        };
        let element = match (vectors.contains(binding.name), items.contains(binding.name)) {
            (true, _) => format!("vec4<{one}>"),
            (_, true) => item.to_owned(),
            _ => one.to_owned(),
        };
        let access = if *access == Access::Read { "read" } else { "read_write" };
        *head += &format!("@group(0) @binding({place}) var<storage, {access}> {}: array<{element}>;\n", binding.name);
    }
}

/// What the number after a contract's last binding stands for.
const SCRATCH: Binding = Binding::write("partial");

/// `BATCH` of `override BATCH: u32;`.
fn declared_constant(line: &str) -> Option<&str> {
    line.strip_prefix("override ")?.split([':', ' ', ';']).next()
}

/// `input` of `@group(0) @binding(1) var<storage, read> input: array<f32>;`.
fn declared_binding(line: &str) -> Option<&str> {
    line.strip_prefix("@group(0) @binding(")?.split_once("> ")?.1.split([':', ' ']).next()
}

/// What stands before a place in naga's message, its line and its column: `  ┌─ wgsl:70:9`.
fn place_in(line: &str) -> Option<(&str, usize, &str)> {
    let (before, place) = line.split_once("─ wgsl:")?;
    let (number, column) = place.split_once(':')?;
    Some((before, number.parse().ok()?, column))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::{Precision, find};

    /// The kernels of a call of a contract with the constants of its first case that the implementation accepts.
    fn sources(contract: &str, implementation: &str, shaders: &Shaders, prelude: Prelude) -> Vec<Source> {
        let contract = find(contract).unwrap();
        let found = shaders.implementation(contract, implementation).unwrap();
        let case = (contract.cases)().into_iter().find(|case| (found.accepts)(&case.constants)).unwrap();
        let launch = (found.launch)(&case.constants);
        Source::of_launch(shaders, (contract, implementation), &launch, prelude)
    }

    fn source(implementation: &str) -> Source {
        let prelude = Prelude { precision: Precision::Mixed, matrix: None };
        sources("relu.forward", implementation, &Shaders::default(), prelude).swap_remove(0)
    }

    #[test]
    fn every_line_is_found_in_its_file() {
        let matrix = Some("16x32".parse().unwrap());
        let prelude = Prelude { precision: Precision::Mixed, matrix };
        let emulated = sources("conv2d.forward", "matrix", &Shaders::default(), prelude).swap_remove(0);
        for source in [source("vectors"), emulated] {
            for (number, line) in source.text().lines().enumerate() {
                let (file, place) = source.locate(number + 1);
                let part = source.parts().into_iter().find(|(name, _)| *name == file).unwrap();
                assert_eq!(part.1.lines().nth(place - 1), Some(line), "line {} is {file}:{place}", number + 1);
            }
            assert_eq!(source.locate(1), ("prelude".to_owned(), 1));
            assert_eq!(source.locate(100_000).0, source.kernel().place());
            assert!(source.is_own() && source.is_trusted());
        }
    }

    #[test]
    fn messages_name_the_file_and_its_line() {
        let source = source("direct");
        let text = "    let x = Value(input[id]);";
        let first = source.text().lines().position(|line| line == text).unwrap() + 1;
        let own = source.kernel().text.lines().position(|line| line == text).unwrap() + 1;
        let message = format!("\nerror: wrong\n   ┌─ wgsl:{first}:10\n   │\n{first} │ {text}\n   │ ^^ a\n");
        let place = source.kernel().place();
        let want = format!("error: wrong\n   ┌─ {place}:{own}:10\n   │\n{own:>2} │ {text}\n   │ ^^ a");
        assert_eq!(source.first_place(&message), Some((place, own)));
        assert_eq!(source.translate(&message), want);
    }

    #[test]
    fn the_head_declares_what_the_kernel_names() {
        let head = |implementation: &str| source(implementation).parts().swap_remove(0).1;
        let wanted = "enable f16;\nalias Elem = f16;\nalias Item = vec4<Elem>;\nalias Value = vec4f;\nalias Index = vec4u;\n\
            const LANES = 4u;\noverride ELEMENTS: u32;\n@group(0) @binding(1) var<storage, read> input: array<Item>;\n\
            @group(0) @binding(2) var<storage, read_write> output: array<Item>;\n";
        assert_eq!(head("vectors"), wanted);
        assert!(
            head("direct").contains("alias Item = Elem;\nalias Value = f32;\nalias Index = u32;\nconst LANES = 1u;\n")
        );
        let f32 = Prelude { precision: Precision::F32, matrix: None };
        let stages = sources("dense.forward", "split", &Shaders::default(), f32);
        let [sums, added] = [&stages[0], &stages[1]].map(|stage| stage.text());
        assert!(sums.contains("@binding(1) var<storage, read> input: array<vec4<Elem>>;\n"), "{sums}");
        assert!(sums.contains("@binding(3) var<storage, read_write> partial: array<vec4<f32>>;\n"), "{sums}");
        assert!(added.contains("@binding(3) var<storage, read> partial: array<vec4<f32>>;\n"), "later stages read it");
        assert!(added.contains("override RELU: bool;\n") && !added.contains("override IN:"), "{added}");
    }

    #[test]
    fn a_file_may_declare_its_constants_and_bindings_itself() {
        let own = "// mine, of batches of seven. The ELEMENTS of BATCH images.\n@group(0) @binding(1) var<storage, read> input: \
            array<vec2f>;\noverride ELEMENTS: u32 = 7;\n@compute @workgroup_size(64)\nfn main() { let x = input[ELEMENTS].x; }";
        let shaders = Shaders::new("mine", false, vec![("relu/forward_mine.wgsl".to_owned(), own.to_owned())]).unwrap();
        let prelude = Prelude { precision: Precision::F32, matrix: None };
        let source = sources("relu.forward", "mine", &shaders, prelude).swap_remove(0);
        assert_eq!(source.parts()[0].1, "alias Elem = f32;\n", "neither again, nor what is only spoken of");
        assert_eq!(source.overrides(), ["ELEMENTS"]);
    }
}
