//! What the documents link to exists, and the README stays short. (`src/cli` tests that their commands parse.)

use crate::structure::rust;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All documents: those in the root, in docs, and the notes beside shaders and sources.
fn documents() -> Vec<PathBuf> {
    fn below(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                below(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                found.push(path);
            }
        }
    }
    let mut found: Vec<PathBuf> = std::fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    for folder in ["docs", "shaders", "src"] {
        below(&root().join(folder), &mut found);
    }
    found.sort();
    found
}

/// Targets of links and pictures that are files.
fn links(text: &str) -> Vec<String> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
    targets.filter(|target| !target.is_empty() && !target.starts_with("http")).map(str::to_owned).collect()
}

#[test]
fn links_are_found() {
    assert_eq!(links("[a](b.md#c) ![d](e.png) [f](https://g) [h](#i)"), ["b.md", "e.png"]);
}

#[test]
fn every_link_leads_to_a_file() {
    let mut count = 0;
    for path in documents() {
        let folder = path.parent().unwrap();
        for link in links(&std::fs::read_to_string(&path).unwrap()) {
            assert!(folder.join(&link).exists(), "{} links to {link}, which is not there", path.display());
            count += 1;
        }
    }
    assert!(count >= 30, "{count} links");
}

/// Paths in backticks, such as `src/kernels/relu.rs` or `shaders/conv2d/`, that a reader would open.
#[test]
fn every_path_in_the_documents_exists() {
    let mut count = 0;
    for path in documents() {
        let text = std::fs::read_to_string(&path).unwrap();
        for name in text.split('`').skip(1).step_by(2) {
            let starts = ["src/", "shaders/", "tests/", "benches/", "examples/", "scripts/", "docs/"];
            let is_path = starts.iter().any(|start| name.starts_with(start))
                && name.chars().all(|letter| letter.is_ascii_alphanumeric() || "/._-".contains(letter));
            if is_path && !name.contains("mine") {
                assert!(root().join(name).exists(), "{} names {name}, which is not there", path.display());
                count += 1;
            }
        }
    }
    assert!(count >= 50, "{count} paths");
}

/// Code that a document shows stands in the program, but for what the reader is to write (`mine`).
#[test]
fn the_rust_code_in_documents_is_the_programs() {
    fn without_spaces(text: &str) -> String {
        text.split_whitespace().collect()
    }
    let example = std::fs::read_to_string(root().join("examples/train.rs")).unwrap();
    let sources: Vec<String> = rust().iter().map(|source| without_spaces(&source.text)).collect();
    let sources = [sources, vec![without_spaces(&example)]].concat();
    let mut count = 0;
    for path in documents() {
        let text = std::fs::read_to_string(&path).unwrap();
        let blocks = text.split("```rust\n").skip(1).filter_map(|rest| rest.split("```").next());
        for block in blocks.filter(|block| !block.contains("mine")) {
            let found = sources.iter().any(|source| source.contains(&without_spaces(block)));
            assert!(found, "{} shows code that is not there: {block}", path.display());
            count += 1;
        }
    }
    assert!(count >= 2, "{count} blocks");
}

#[test]
fn the_readme_is_short() {
    let text = std::fs::read_to_string(root().join("README.md")).unwrap();
    assert!(text.lines().count() <= 120, "{} lines", text.lines().count());
    for line in text.lines().filter(|line| !line.starts_with('|')) {
        assert!(line.chars().count() <= 120, "longer than 120 columns: {line}");
    }
}
