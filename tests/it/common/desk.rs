//! A folder to run the program in.

use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use tempfile::TempDir;

/// The network in `tiny.toml` trains in a moment; dropout makes its result depend on every seed there is.
pub const TINY: &str = "name = 'tiny'
layer = [
    { type = 'conv2d', filters = 4 },
    { type = 'relu' },
    { type = 'max_pool2d' },
    { type = 'dropout', rate = 0.2 },
    { type = 'flatten' },
    { type = 'dense' },
]
";

/// A folder to work in, apart from which nothing is written. It holds `tiny.toml`.
pub struct Desk {
    folder: TempDir,
    /// For the cache, and the sockets that drivers ask for.
    elsewhere: TempDir,
}

impl Desk {
    pub fn new() -> Self {
        let desk = Self { folder: tempfile::tempdir().unwrap(), elsewhere: tempfile::tempdir().unwrap() };
        desk.write("tiny.toml", TINY);
        desk
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The program's cache folder, which is there once something is kept in it.
    pub fn cache(&self) -> PathBuf {
        self.elsewhere.path().join("cache")
    }

    /// Writes a file, and the folders it lies in.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        std::fs::write(self.path(name), content).unwrap();
    }

    pub fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// The program, to be run here with these arguments; RUN0 and RUN1 stand for the folders of [`trained`].
    pub fn program(&self, line: &str) -> Command {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("galaxy-gpu"));
        command.current_dir(self.folder.path()).args(line.split_whitespace().map(|word| match word {
            "RUN0" => trained().join("run0"),
            "RUN1" => trained().join("run1"),
            _ => word.into(),
        }));
        command.env("XDG_CACHE_HOME", self.cache()).env("XDG_RUNTIME_DIR", self.elsewhere.path());
        // a child that another test starts while this process writes an HDF5 file inherits it open, and with it its lock
        command.env("HDF5_USE_FILE_LOCKING", "FALSE");
        // tables that carry a date are the same to the byte
        command.env("SOURCE_DATE_EPOCH", "86400");
        command
    }

    /// The same, for assertions on what it does.
    pub fn command(&self, line: &str) -> assert_cmd::Command {
        assert_cmd::Command::from_std(self.program(line))
    }

    /// Exit code, standard output and standard error of a command.
    pub fn ended(&self, line: &str) -> (i32, String, String) {
        ended(&mut self.program(line))
    }

    /// The same where no file may grow beyond so many blocks of 512 bytes: a full disk, without one.
    #[cfg(unix)]
    pub fn ended_on_a_full_disk(&self, blocks: u32, line: &str) -> (i32, String, String) {
        let program = self.program(line);
        let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
        let mut shell = Command::new("sh");
        shell.current_dir(self.folder.path()).args(["-c", &script]).arg(program.get_program()).args(program.get_args());
        shell.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
        ended(&mut shell)
    }

    /// Standard output and standard error of a command that succeeds.
    pub fn both(&self, line: &str) -> (String, String) {
        let (code, out, err) = self.ended(line);
        assert_eq!(code, 0, "{line}: {out}{err}");
        (out, err)
    }

    /// Standard output of a command that succeeds.
    pub fn run(&self, line: &str) -> String {
        self.both(line).0
    }

    /// The one JSON object that a command prints.
    pub fn json(&self, line: &str) -> Value {
        let value: Value = serde_json::from_str(&self.run(line)).unwrap();
        assert!(value.is_object(), "{line}: not an object");
        value
    }

    /// A command fails with exit code 2, prints nothing, says `parts` in its one error and changes no file.
    pub fn refuses(&self, line: &str, parts: &[&str]) {
        let before = self.files();
        let (code, out, said) = self.ended(line);
        assert_eq!((code, &out[..]), (2, ""), "{line}: {said}");
        let errors = said.lines().filter(|line| line.starts_with("error: ") && !line.contains("XDG_RUNTIME_DIR"));
        assert_eq!(errors.count(), 1, "{line}: {said}");
        let error = &said[said.find("error: ").unwrap()..];
        for part in parts {
            assert!(error.contains(part), "{line}: {part:?} is not in: {said}");
        }
        assert!(before == self.files(), "{line} changed something");
    }

    /// Content of every file, by path; folders have none.
    pub fn files(&self) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
        fn visit(folder: &Path, found: &mut BTreeMap<PathBuf, Option<Vec<u8>>>) {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let content = path.is_file().then(|| std::fs::read(&path).unwrap());
                if content.is_none() {
                    visit(&path, found);
                }
                found.insert(path, content);
            }
        }
        let mut found = BTreeMap::new();
        visit(self.folder.path(), &mut found);
        found
    }

    /// Value of the line of a text that begins with `label`, such as `weights  hash`.
    pub fn said(text: &str, label: &str) -> String {
        let line = text.lines().find_map(|line| line.strip_prefix(label));
        line.unwrap_or_else(|| panic!("no {label:?} in {text}")).trim().to_owned()
    }
}

fn ended(command: &mut Command) -> (i32, String, String) {
    let output = command.output().unwrap();
    let [out, err] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    assert!(!err.contains("panicked"), "{command:?}: {err}");
    (output.status.code().unwrap(), out, err)
}

/// Run folders `run0` and `run1` of two trained networks, made once: seeds 0 and 1.
fn trained() -> &'static Path {
    static TRAINED: OnceLock<Desk> = OnceLock::new();
    let train = || {
        let desk = Desk::new();
        for seed in [0, 1] {
            desk.run(&format!(
                "train --device reference --model tiny.toml --size 16 --images 60 --epochs 2 --batch 17 --learning-rate 0.01 \
                 --seed {seed} --out run{seed}"
            ));
        }
        desk
    };
    TRAINED.get_or_init(train).folder.path()
}

/// A network of this many hidden layers, in which a rate of 1 soon gives scores beyond f32.
pub fn deep(hidden: usize) -> String {
    let layer = |text: &str| format!("[[layer]]\ntype = {text}\n");
    let layers = layer("'max_pool2d'\nsize = 4") + &layer("'flatten'") + &layer("'dense'\nunits = 8").repeat(hidden);
    format!("name = 'tiny'\n{layers}{}", layer("'dense'"))
}
