//! The commands in the documents are commands of this program, and what they link to is there.

use super::Desk;
use std::path::{Path, PathBuf};

/// The documents for users, from the root of the repository.
const DOCUMENTS: [&str; 3] = ["README.md", "docs/one-training-step.md", "docs/adding-a-kernel.md"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Commands of the `sh` blocks that call the program, itself or through cargo, with continued lines joined and without comments.
fn commands(text: &str) -> Vec<String> {
    let mut commands = Vec::new();
    for block in text.split("```sh\n").skip(1) {
        let block = block.split("```").next().unwrap_or_default().replace("\\\n", " ");
        for line in block.lines() {
            let line = line.split(" #").next().unwrap_or_default();
            let calls = line.split("&&").map(|call| call.trim().trim_start_matches("$ "));
            let calls = calls.filter_map(|call| {
                call.strip_prefix("galaxy-gpu ").or_else(|| call.strip_prefix("cargo run --release -- "))
            });
            commands.extend(calls.map(str::to_owned));
        }
    }
    commands
}

/// Targets of links and pictures that are files.
fn links(text: &str) -> Vec<String> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
    targets.filter(|target| !target.is_empty() && !target.starts_with("http")).map(str::to_owned).collect()
}

#[test]
fn every_command_and_option_of_the_documents_exists() {
    let desk = Desk::new();
    for name in DOCUMENTS {
        let commands = commands(&std::fs::read_to_string(root().join(name)).unwrap());
        assert!(commands.len() >= 4, "{name}: {commands:?}");
        for command in commands {
            let mut words = command.split_whitespace().take_while(|word| !["|", ">"].contains(word)).peekable();
            let mut path = vec![words.next().unwrap()];
            if ["kernels", "bench", "data", "model"].contains(&path[0]) {
                path.extend(words.next());
            }
            let help = desk.run(&format!("{} --help", path.join(" ")));
            for option in words.filter(|word| word.starts_with("--")) {
                let option = option.split('=').next().unwrap();
                let listed = help.split_whitespace().any(|word| word.trim_end_matches(',') == option);
                assert!(listed, "{name}: {command}: {option} is no option of {}", path.join(" "));
            }
        }
    }
}

#[test]
fn comments_and_chains_are_no_part_of_a_command() {
    let text = "```sh\nscripts/setup && cargo run --release -- train --epochs 1 # not --this\ngalaxy-gpu plan \\\n  --json\n```";
    assert_eq!(commands(text), ["train --epochs 1", "plan    --json"]);
    assert_eq!(links("[a](b.md#c) ![d](e.png) [f](https://g) [h](#i)"), ["b.md", "e.png"]);
}

#[test]
fn every_link_of_the_documents_leads_to_a_file() {
    let own = ["ARCHITECTURE.md", "CONTRIBUTING.md", "RELIABILITY.md", "CHANGELOG.md", "docs/events.md"];
    let mut count = 0;
    for name in DOCUMENTS.into_iter().chain(own) {
        let path = root().join(name);
        let folder = path.parent().unwrap_or(Path::new("/"));
        for link in links(&std::fs::read_to_string(&path).unwrap()) {
            assert!(folder.join(&link).exists(), "{name} links to {link}, which is not there");
            count += 1;
        }
    }
    assert!(count >= 10, "{count} links");
}
