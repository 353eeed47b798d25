//! A folder to run the program in, with a network that is small enough for the twins.

use std::path::PathBuf;
use std::process::Command;
use tempfile::TempDir;

/// The folder; it holds `tiny.toml`.
pub struct Desk {
    pub folder: TempDir,
}

/// The network in `tiny.toml`.
pub const TINY: &str = "name = 'tiny'\n[[layer]]\ntype = 'max_pool2d'\nsize = 4\n[[layer]]\ntype = 'flatten'\n\
                        [[layer]]\ntype = 'dense'\n";

impl Desk {
    pub fn new() -> Self {
        let desk = Self { folder: tempfile::tempdir().unwrap() };
        std::fs::write(desk.path("tiny.toml"), TINY).unwrap();
        desk
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The program, to be run here with these arguments.
    pub fn program(&self, line: &str) -> Command {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("galaxy-gpu"));
        command
            .current_dir(self.folder.path())
            .args(line.split_whitespace())
            .env("XDG_CACHE_HOME", self.path(".cache"));
        command
    }

    pub fn command(&self, line: &str) -> assert_cmd::Command {
        assert_cmd::Command::from_std(self.program(line))
    }

    /// Standard output and standard error of a command that succeeds.
    pub fn run(&self, line: &str) -> [String; 2] {
        let output = self.command(line).assert().success().get_output().clone();
        [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap())
    }
}
