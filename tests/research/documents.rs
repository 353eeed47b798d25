//! The commands in the documents are commands of this program.

use crate::Desk;
use std::path::Path;

/// Lines of the `sh` blocks that call the program, with continued lines joined.
fn commands(text: &str) -> Vec<String> {
    let mut commands = Vec::new();
    for block in text.split("```sh\n").skip(1) {
        let block = block.split("```").next().unwrap_or_default().replace("\\\n", " ");
        let calls = block.lines().filter_map(|line| line.trim_start_matches("$ ").strip_prefix("galaxy-gpu "));
        commands.extend(calls.map(str::to_owned));
    }
    commands
}

#[test]
fn every_command_and_option_of_the_documents_exists() {
    let desk = Desk::new();
    for name in ["one-training-step.md", "adding-a-kernel.md"] {
        let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name)).unwrap();
        let commands = commands(&text);
        assert!(commands.len() >= 4, "{name}: {commands:?}");
        for command in commands {
            let mut words = command.split_whitespace().take_while(|word| !["|", ">", "#"].contains(word)).peekable();
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
