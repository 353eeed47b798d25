//! The house's invariants, read from the source tree: who may import whom, where wgpu and `unsafe` may stand, and how
//! long a file may be. Contracts and shaders have theirs in `kernels/registry.rs`. See ARCHITECTURE.md.

use std::collections::BTreeSet;
use std::path::Path;

/// Rooms and the other rooms each may import, lowest floor first.
#[rustfmt::skip] // a line a room
const ROOMS: &[(&str, &[&str])] = &[
    ("error", &[]),
    ("shape", &[]),
    ("rng", &[]),
    ("suggest", &[]),
    ("files", &["error"]),
    ("simd", &[]),
    ("kernels", &["error", "shape", "rng", "simd"]),
    ("data", &["error", "shape", "rng", "suggest", "files"]),
    ("graph", &["error", "shape", "kernels"]),
    ("layers", &["error", "shape", "kernels", "graph"]),
    ("model", &["error", "shape", "suggest", "files", "layers"]),
    ("lowering", &["error", "shape", "kernels", "graph", "layers", "model"]),
    ("plan", &["error", "shape", "rng", "simd", "suggest", "kernels", "graph"]),
    ("engine", &["error", "shape", "rng", "simd", "suggest", "kernels", "graph", "plan"]), // of the graph its TENSOR_NAMES alone
    ("train", &["error", "shape", "rng", "suggest", "files", "kernels", "model", "data", "graph", "lowering", "plan", "engine"]),
    ("report", &["error", "shape", "files", "train"]), // draws the numbers that training kept, and feature maps
    ("catalogue", &["error", "suggest", "files", "data", "train"]), // rows of what a trained network says
    ("interchange", &["error", "shape", "files", "layers", "model", "data", "train"]), // from and for other programs
    // a training from its settings to its folder
    ("run", &["error", "simd", "suggest", "files", "kernels", "model", "data", "graph", "plan", "engine", "train", "report"]),
    ("cli", &["error", "shape", "rng", "simd", "suggest", "files", "kernels", "model", "data", "graph", "lowering", "plan", "engine", "train",
              "report", "catalogue", "interchange", "run"]),
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
    ("src/kernels/conv2d/native/backward_weights.rs", 2),
    ("src/kernels/conv2d/native/winograd_weights.rs", 2),
    ("src/kernels/conv_block/native/backward_input.rs", 4),
    ("src/kernels/conv_block/native/backward_weights.rs", 1),
    ("src/kernels/conv_block/native/pictures.rs", 1),
    ("src/kernels/dense/native.rs", 1),
    ("src/kernels/tile.rs", 1),
    ("src/kernels/winograd.rs", 3),
    ("src/simd/avx2.rs", 14),
    ("src/simd/avx512.rs", 17),
    ("src/simd/neon.rs", 15),
    ("src/simd/unchecked.rs", 8),
];

const LONGEST_FILE: usize = 400;

/// A file of the crate.
pub(crate) struct Source {
    /// From the crate's root, with `/`.
    pub path: String,
    pub text: String,
}

/// Files below a folder of the crate whose name has this ending; none where there is no such folder.
pub(crate) fn sources(folder: &str, ending: &str) -> Vec<Source> {
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

    pub(crate) fn code(&self) -> String {
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

pub(crate) fn words(code: &str) -> impl Iterator<Item = &str> {
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
