//! What whoever writes kernels or looks into a network works with: contracts shown in full, steps in lockstep with the twins,
//! shaders of a folder, and networks that explain a picture.

mod documents;
mod explain;
mod inspect;
mod lockstep;
mod shaders;
mod show;

use assert_cmd::Command;
use serde_json::Value;
use std::path::PathBuf;
use tempfile::TempDir;

/// A folder to work in, apart from which nothing is written.
struct Desk {
    folder: TempDir,
}

impl Desk {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file of the desk, in a folder of it that is made where it has to be.
    fn write(&self, name: &str, text: &str) {
        std::fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        std::fs::write(self.path(name), text).unwrap();
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("galaxy-gpu"));
        command.current_dir(self.folder.path()).args(line.split_whitespace());
        command.env("XDG_CACHE_HOME", self.path("cache")).env("XDG_RUNTIME_DIR", self.folder.path());
        command
    }

    /// Exit code, standard output and standard error of a command.
    fn ended(&self, line: &str) -> (i32, String, String) {
        let output = self.command(line).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
    }

    /// Standard output of a command that succeeds.
    fn run(&self, line: &str) -> String {
        let (code, out, error) = self.ended(line);
        assert_eq!(code, 0, "{line}: {error}");
        out
    }

    /// The one JSON object that a command prints.
    fn json(&self, line: &str) -> Value {
        serde_json::from_str(&self.run(line)).unwrap()
    }

    /// A command that refuses its input says all of `parts`.
    fn refuses(&self, line: &str, parts: &[&str]) {
        let (code, out, error) = self.ended(line);
        assert_eq!((code, &out[..]), (2, ""), "{line}: {error}");
        for part in parts {
            assert!(error.contains(part), "{line}: {part:?} is not in: {error}");
        }
    }
}
