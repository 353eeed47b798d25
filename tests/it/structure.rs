//! The house's invariants, read from the source tree: who may import whom, where wgpu and `unsafe` may stand, how shaders
//! are named and bound, and how long a file may be. See ARCHITECTURE.md.

use galaxy_gpu::kernels::{self, Access, Contract, Implementation, Precision, Prelude, Shaders, Stage, registry};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Rooms and the other rooms each may import, lowest floor first.
#[rustfmt::skip] // a line a room
const ROOMS: &[(&str, &[&str])] = &[
    ("error", &[]),
    ("shape", &[]),
    ("rng", &[]),
    ("suggest", &[]),
    ("files", &["error"]),
    ("kernels", &["error", "shape", "rng"]),
    ("model", &["error", "shape", "rng", "suggest", "files"]),
    ("data", &["error", "shape", "rng", "suggest", "files"]),
    ("graph", &["error", "shape", "rng", "kernels", "model"]),
    ("plan", &["error", "shape", "rng", "suggest", "kernels", "graph"]),
    // of the graph only what names a tensor: see `the_engine_knows_no_layers`
    ("engine", &["error", "shape", "rng", "suggest", "kernels", "graph", "plan"]),
    ("train", &["error", "shape", "rng", "suggest", "files", "kernels", "model", "data", "graph", "plan", "engine"]),
    // draws the numbers that training kept, and feature maps by their sizes
    ("report", &["error", "shape", "files", "train"]),
    ("catalogue", &["error", "suggest", "files", "data", "train"]), // rows of what a trained network says
    ("interchange", &["error", "shape", "files", "model", "data", "train"]), // from and for other programs
    ("cli", &["error", "shape", "rng", "suggest", "files", "kernels", "model", "data", "graph", "plan", "engine", "train",
              "report", "catalogue", "interchange"]),
];

/// What the engine may know of the graph.
const TENSOR_NAMES: &[&str] = &["Bank", "Graph", "METRICS_SLOTS", "Storage", "Tensor", "TensorId"];

/// Files with `unsafe` blocks, and how many. Each says in the file what it is for.
const UNSAFE: &[(&str, usize)] = &[
    ("src/data/cache.rs", 1),
    ("src/data/hdf5/raw.rs", 3),
    ("src/engine/gpu/budget.rs", 1),
    ("src/engine/gpu/device.rs", 1),
    ("src/engine/gpu/pipeline_cache.rs", 1),
    ("src/engine/gpu/pipelines.rs", 1),
];

/// How shaders are called that serve several contracts or implementations, and words of their header that say so.
const SHARED: &[(&str, &str)] =
    &[("reduce/splits_", "split weights' gradients"), ("dense/forward_split_sum.wgsl", "dense.forward")];

const LONGEST_FILE: usize = 400;

/// A file of the crate.
pub(crate) struct Source {
    /// From the crate's root, with `/`.
    pub path: String,
    pub text: String,
}

/// Files below a folder of the crate whose name has this ending; none where there is no such folder.
fn sources(folder: &str, ending: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![root.join(folder)];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == ending) {
                let below: Vec<_> = path.strip_prefix(root).unwrap().iter().map(|p| p.to_string_lossy()).collect();
                found.push(Source { path: below.join("/"), text: std::fs::read_to_string(&path).unwrap() });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

pub(crate) fn rust() -> Vec<Source> {
    let found = sources("src", "rs");
    assert!(found.len() > 40, "the source tree was not found");
    found
}

impl Source {
    /// `src/kernels/adam.rs` -> `kernels`.
    fn room(&self) -> &str {
        let rest = self.path.strip_prefix("src/").unwrap();
        rest.split('/').next().unwrap().trim_end_matches(".rs")
    }

    /// Modules above the code of this file: 1 for `src/rng.rs` and `src/plan/mod.rs`.
    fn depth(&self) -> usize {
        let parts = self.path.matches('/').count();
        if self.path.ends_with("/mod.rs") { parts - 1 } else { parts }
    }

    fn code(&self) -> String {
        code(&self.text)
    }
}

/// Rust or WGSL without comments and without the contents of strings.
pub(crate) fn code(text: &str) -> String {
    let mut code = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if rest.starts_with("r\"") || rest.starts_with("r#") {
            let hashes = rest[1..].bytes().take_while(|&byte| byte == b'#').count();
            let end = format!("\"{}", "#".repeat(hashes));
            let body = 2 + hashes;
            rest.get(body..).and_then(|body| body.find(&end)).map_or(1, |at| body + at + end.len())
        } else if first == '"' {
            let mut escaped = false;
            let end = rest[1..].find(|c| {
                let ends = c == '"' && !escaped;
                escaped = c == '\\' && !escaped;
                ends
            });
            end.map_or(rest.len(), |end| end + 2)
        } else if rest.starts_with("'\"'") || rest.starts_with("'\\") {
            3
        } else {
            code.push(first);
            first.len_utf8()
        };
        rest = &rest[skipped..];
    }
    code
}

pub(crate) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn words(code: &str) -> impl Iterator<Item = &str> {
    code.split(|c| !is_word(c)).filter(|word| !word.is_empty())
}

/// What stands after each `prefix` (such as `crate::`): one name, or the names of a `{...}` group.
fn names_after(code: &str, prefix: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (at, _) in code.match_indices(prefix) {
        let rest = &code[at + prefix.len()..];
        let Some(group) = rest.strip_prefix('{') else {
            names.extend(words(rest.split(|c| !is_word(c)).next().unwrap_or_default()).map(str::to_owned));
            continue;
        };
        let (mut depth, mut first) = (1, true);
        for part in group.split_inclusive(['{', '}', ',']) {
            if depth == 1 && first {
                names.extend(words(part).next().map(str::to_owned));
            }
            match part.chars().last() {
                Some('{') => depth += 1,
                Some('}') => depth -= 1,
                _ => {}
            }
            first = part.ends_with(',');
            if depth == 0 {
                break;
            }
        }
    }
    names
}

#[test]
fn the_reader_sees_code_only() {
    let text = "a::b(\"crate::x \\\" y\"); // crate::y\n/* unsafe */ let c = '\"'; r#\"z \" z\"# 'static d";
    assert_eq!(words(&code(text)).collect::<Vec<_>>(), ["a", "b", "let", "c", "static", "d"]);
    let imports = "use crate::{error::{Error, Result}, graph, plan::{A, b::{C, D}}, rng}; crate::model::Model";
    let rooms: Vec<String> = names_after(imports, "crate::").into_iter().collect();
    assert_eq!(rooms, ["error", "graph", "model", "plan", "rng"]);
}

#[test]
fn rooms_import_only_the_floors_below() {
    let mut wrong = Vec::new();
    let mut seen = BTreeSet::new();
    for source in rust().iter().filter(|source| !["src/lib.rs", "src/main.rs"].contains(&&*source.path)) {
        let row = ROOMS.iter().find(|(room, _)| *room == source.room());
        let (room, allowed) = row.unwrap_or_else(|| panic!("{} is in no room of ROOMS", source.path));
        seen.insert(room);
        let code = source.code();
        for name in names_after(&code, "crate::") {
            let imported = match &name[..] {
                "Error" | "Result" => "error",
                "shader" | "twin" => "kernels",
                other => other,
            };
            if imported != *room && !allowed.contains(&imported) {
                wrong.push(format!("{} imports crate::{name}; {room} may import {}", source.path, allowed.join(", ")));
            }
        }
        // the crate's root by another name would get around the table; tests may say `super::*` of their file
        let root = "super::".repeat(source.depth());
        if names_after(&code, &root).iter().any(|name| ROOMS.iter().any(|(room, _)| room == name)) {
            wrong.push(format!("{} reaches the crate's root through {root}", source.path));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(seen.len(), ROOMS.len(), "a room of ROOMS is empty");
}

#[test]
fn the_table_of_rooms_has_no_circle() {
    let floor = |room| ROOMS.iter().position(|(other, _)| *other == room).unwrap();
    for (room, allowed) in ROOMS {
        assert!(allowed.iter().all(|other| floor(*other) < floor(*room)), "{room} imports a room above itself");
    }
}

#[test]
fn the_engine_knows_no_layers() {
    for source in rust().iter().filter(|source| source.room() == "engine") {
        let names = names_after(&source.code(), "crate::graph::");
        let other: Vec<&String> = names.iter().filter(|name| !TENSOR_NAMES.contains(&&name[..])).collect();
        assert!(other.is_empty(), "{} imports {other:?} of the graph", source.path);
    }
}

#[test]
fn only_the_gpu_engine_names_wgpu() {
    let mut inside = 0;
    for source in rust() {
        let count = words(&source.code()).filter(|word| *word == "wgpu").count();
        if source.path.starts_with("src/engine/gpu/") {
            inside += count;
        } else {
            assert_eq!(count, 0, "{} names wgpu", source.path);
        }
    }
    assert!(inside > 0);
}

#[test]
fn unsafe_stands_in_its_listed_places_only() {
    let found = rust().into_iter().map(|source| {
        let count = words(&source.code()).filter(|word| *word == "unsafe").count();
        (source.path, count)
    });
    let found: Vec<(String, usize)> = found.filter(|(_, count)| *count > 0).collect();
    let wanted: Vec<(String, usize)> = UNSAFE.iter().map(|(path, count)| ((*path).to_owned(), *count)).collect();
    assert_eq!(found, wanted);
}

#[test]
fn files_are_short_and_say_what_they_hold() {
    let folders = [("src", "rs"), ("shaders", "wgsl"), ("tests", "rs"), ("benches", "rs")];
    let mut wrong = Vec::new();
    for source in folders.iter().flat_map(|(folder, ending)| sources(folder, ending)) {
        let lines = source.text.lines().count();
        if lines > LONGEST_FILE {
            wrong.push(format!("{} has {lines} lines, more than {LONGEST_FILE}: split it", source.path));
        }
        let opening = if source.path.ends_with(".wgsl") { "//" } else { "//!" };
        if !source.text.starts_with(opening) {
            wrong.push(format!("{} does not open with a comment on what it holds", source.path));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_shader_has_atomics() {
    for source in sources("shaders", "wgsl") {
        let found = words(&source.code()).any(|word| word.starts_with("atomic"));
        assert!(!found, "{} uses atomics: sums would depend on the order of threads", source.path);
    }
}

/// All (contract, implementation) pairs with the stages of each case it accepts.
fn launches() -> Vec<(&'static Contract, &'static Implementation, Vec<Stage>)> {
    let mut launches = Vec::new();
    for &contract in registry() {
        for implementation in contract.implementations {
            let mut accepted = (contract.cases)();
            accepted.retain(|case| (implementation.accepts)(&case.constants));
            let name = format!("{}={}", contract.name, implementation.name);
            assert!(!accepted.is_empty(), "no case of {name} runs it, so nothing tests it");
            let stages = accepted.iter().flat_map(|case| (implementation.launch)(&case.constants).stages);
            launches.push((contract, implementation, stages.collect()));
        }
    }
    launches
}

/// The comment a file opens with.
fn header(text: &str) -> String {
    text.lines().take_while(|line| line.starts_with("//")).collect::<Vec<_>>().join("\n")
}

#[test]
fn shaders_are_named_after_their_contract_and_none_is_an_orphan() {
    let files = sources("shaders", "wgsl").into_iter();
    let files: BTreeMap<String, String> =
        files.map(|source| (source.path["shaders/".len()..].to_owned(), source.text)).collect();
    let mut used = BTreeSet::new();
    for (contract, implementation, stages) in launches() {
        let (operation, direction) = contract.name.split_once('.').unwrap();
        let stem = format!("{operation}/{direction}_{}", implementation.name);
        let whole_direction = format!("{operation}/{direction}.wgsl");
        for Stage { shader, .. } in &stages {
            used.insert(shader.path);
            used.extend(Shaders::default().parts(shader).iter().map(|part| part.path));
            assert_eq!(files.get(shader.path).map(String::as_str), Some(shader.text), "{}", shader.path);
            let role = SHARED.iter().find(|(path, _)| shader.path.starts_with(path)).map(|(_, role)| *role);
            // a later stage of the same implementation adds a word: forward_split_sum
            let rest = shader.path.strip_prefix(&stem).and_then(|rest| rest.strip_suffix(".wgsl"));
            // and one file may hold all the implementations on items
            let named = rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('_'));
            let named = named || shader.path == whole_direction;
            assert!(named || role.is_some(), "{} should be named {stem}.wgsl", shader.path);
            let says = header(shader.text).contains(role.unwrap_or(contract.name));
            assert!(says, "the header of {} does not name {}", shader.path, role.unwrap_or(contract.name));
        }
        let own = |stage: &Stage| stage.shader.path.starts_with(&stem) || stage.shader.path == whole_direction;
        assert!(stages.iter().any(own), "no stage of {stem} has its name");
    }
    let orphans: Vec<&String> = files.keys().filter(|path| !used.contains(&path[..])).collect();
    assert!(orphans.is_empty(), "no implementation uses {orphans:?}");
}

/// A kernel's constants and bindings are those of its contract by construction where it leaves their declarations to the head.
#[test]
fn shaders_leave_declarations_to_the_head() {
    for (contract, _, stages) in launches() {
        for shader in stages.iter().map(|stage| stage.shader) {
            let files = [vec![shader], Shaders::default().parts(&shader)].concat();
            let bindings: BTreeSet<&str> =
                contract.bindings.iter().map(|binding| binding.name).chain(["partial"]).collect();
            for file in &files {
                let text = code(file.text);
                assert!(!text.contains("override "), "{} declares a constant", file.path);
                // shard is no array
                let bound = text.lines().filter(|line| line.contains("@binding") && !line.contains(" shard: vec2u"));
                let bound: Vec<&str> = bound.filter(|line| !line.contains(" params: StepParams")).collect();
                assert!(bound.is_empty(), "{} declares {bound:?}", file.path);
                let listed = ["vec4", "item"].iter().flat_map(|word| file.listed(word));
                let strange: Vec<&str> = listed.filter(|name| !bindings.contains(name)).collect();
                assert!(strange.is_empty(), "{} lists {strange:?}, which {} does not bind", file.path, contract.name);
            }
        }
    }
}

#[test]
fn contracts_are_unique_and_end_with_direct() {
    let mut names = BTreeSet::new();
    for &contract in registry() {
        assert!(names.insert(contract.name), "two contracts are called {}", contract.name);
        assert_eq!(contract.implementations.last().map(|i| i.name), Some("direct"), "{}", contract.name);
        let unique: BTreeSet<&str> = contract.implementations.iter().map(|i| i.name).collect();
        assert_eq!(unique.len(), contract.implementations.len(), "{} has two implementations of a name", contract.name);
        let bindings = contract.bindings;
        let reads_first = bindings.iter().skip(contract.reads()).all(|binding| binding.access != Access::Read);
        assert!(reads_first, "{}: reads come first", contract.name);
        let cases = (contract.cases)();
        let unique: BTreeSet<&str> = cases.iter().map(|case| case.name).collect();
        assert_eq!(unique.len(), cases.len(), "{} has two cases of a name", contract.name);
        assert!(cases.iter().any(|case| case.bench), "{} has no case worth timing", contract.name);
        let last = contract.implementations.last().unwrap();
        assert!(cases.iter().all(|case| (last.accepts)(&case.constants)), "{}: direct runs every case", contract.name);
    }
}

/// Constants that the kernels of an operation name, over its directions: those share their constants, and not every direction looks at
/// all of them.
fn overrides_of(operation: &str) -> BTreeSet<String> {
    let (shaders, prelude) = (Shaders::default(), Prelude { precision: Precision::F32, matrix: None });
    let mut found = BTreeSet::new();
    for contract in registry().into_iter().filter(|contract| contract.name.starts_with(operation)) {
        for case in (contract.cases)() {
            for implementation in contract.implementations.iter().filter(|i| (i.accepts)(&case.constants)) {
                let launch = (implementation.launch)(&case.constants);
                let (of, with) = ((*contract, implementation.name), (&case.constants, &launch));
                for source in kernels::Source::of_launch(&shaders, of, with, prelude) {
                    found.extend(source.overrides().into_iter().map(str::to_owned));
                }
            }
        }
    }
    found
}

#[test]
fn every_case_gives_exactly_the_contracts_constants() {
    for &contract in registry() {
        let wanted: BTreeSet<&str> = contract.constants.iter().copied().collect();
        for case in (contract.cases)() {
            let given: BTreeSet<&str> = case.constants.pairs().iter().map(|(name, _)| *name).collect();
            assert_eq!(given, wanted, "{}, case {}", contract.name, case.name);
            assert_eq!((contract.lengths)(&case.constants).len(), contract.bindings.len(), "{}", contract.name);
        }
        let used = overrides_of(&contract.name[..=contract.name.find('.').unwrap()]);
        let constants = (contract.cases)().swap_remove(0).constants;
        let sizes_a_binding = |name: &&'static str| {
            let larger = constants.clone().with(name, constants.float(name) + 1.0);
            (contract.lengths)(&larger) != (contract.lengths)(&constants)
        };
        let unused: Vec<_> =
            wanted.into_iter().filter(|name| !used.contains(*name) && !sizes_a_binding(name)).collect();
        assert!(unused.is_empty(), "{}: neither a shader nor a length uses {unused:?}", contract.name);
    }
}
