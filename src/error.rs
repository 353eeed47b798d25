//! The library's errors. Every message says what went wrong, where, and what to do, in the words of the command line.
//!
//! `galaxy-gpu` exits with [`Error::exit_code`].

use std::path::{Path, PathBuf};

/// The library's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong in the library.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder that cannot be read, written or understood.
    #[error("{}: {problem}; {remedy}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
        /// What the user can do.
        remedy: String,
    },
    /// Data that was read but cannot be used: labels out of range, an empty class, no images.
    #[error("{what}: {problem}; {remedy}")]
    Data {
        /// Which data.
        what: String,
        /// What is wrong with it.
        problem: String,
        /// What the user can do.
        remedy: String,
    },
    /// A network that cannot be built: names the layer, the rule and what the layer got.
    #[error("layer {layer}: {problem}; {remedy}")]
    Model {
        /// Name of the layer, such as `max_pool2d_3`.
        layer: String,
        /// The rule that is broken and what was found.
        problem: String,
        /// What the user can do.
        remedy: String,
    },
    /// Something larger than the adapter can hold.
    #[error("{what} needs {need}, but the adapter's limit is {limit}; {remedy}")]
    Limit {
        /// The tensor, dispatch or buffer.
        what: String,
        /// The need, with its unit.
        need: String,
        /// The limit, with its unit.
        limit: String,
        /// What the user can do.
        remedy: String,
    },
    /// A setting with a value outside its range.
    #[error("{name} is {got}, but must be {allowed}")]
    Setting {
        /// The setting, as the user writes it.
        name: String,
        /// What was given.
        got: String,
        /// What is allowed.
        allowed: String,
    },
    /// A shader that does not compile; `message` is the compiler's own.
    #[error("shader {file}: {message}")]
    Shader {
        /// Path of the WGSL file below `shaders/`.
        file: String,
        /// The compiler's message.
        message: String,
    },
    /// Too little memory, on the device or for the twins.
    #[error("{problem}; {remedy}")]
    Memory {
        /// What could not be allocated, and where.
        problem: String,
        /// What the user can do.
        remedy: String,
    },
    /// No adapter, a lost device, a failed read-back.
    #[error("{problem}; {remedy}")]
    Device {
        /// What happened.
        problem: String,
        /// What the user can do.
        remedy: String,
    },
}

impl Error {
    /// A [`Error::File`].
    pub fn file(path: &Path, problem: impl ToString, remedy: impl ToString) -> Self {
        Self::File {
            path: path.to_owned(),
            problem: one_line(&problem.to_string()),
            remedy: one_line(&remedy.to_string()),
        }
    }

    /// A [`Error::Data`].
    pub fn data(what: impl ToString, problem: impl ToString, remedy: impl ToString) -> Self {
        Self::Data {
            what: one_line(&what.to_string()),
            problem: one_line(&problem.to_string()),
            remedy: one_line(&remedy.to_string()),
        }
    }

    /// A [`Error::Model`].
    pub fn model(layer: impl ToString, problem: impl ToString, remedy: impl ToString) -> Self {
        Self::Model {
            layer: layer.to_string(),
            problem: one_line(&problem.to_string()),
            remedy: one_line(&remedy.to_string()),
        }
    }

    /// A [`Error::Setting`].
    pub fn setting(name: impl ToString, got: impl ToString, allowed: impl ToString) -> Self {
        Self::Setting { name: name.to_string(), got: one_line(&got.to_string()), allowed: allowed.to_string() }
    }

    /// A [`Error::Device`].
    pub fn device(problem: impl ToString, remedy: impl ToString) -> Self {
        Self::Device { problem: problem.to_string(), remedy: remedy.to_string() }
    }

    /// 2 if the user's input is at fault, 1 if the machine is.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Device { .. } | Self::Shader { .. } => 1,
            _ => 2,
        }
    }
}

/// Whether a character commands a terminal, or reorders the text around it (Unicode's bidirectional controls), so that a name would
/// show as another one.
pub fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The longest part of a message, in characters.
const LONGEST_PART: usize = 600;

/// `text` on one line and of bounded length, as messages quote files, which may hold line breaks, endless names or terminal commands.
fn one_line(text: &str) -> String {
    let spaced: String = text.chars().map(|c| if is_unprintable(c) { ' ' } else { c }).collect();
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut line = words.join(" ");
    if let Some((end, _)) = line.char_indices().nth(LONGEST_PART) {
        line.truncate(end);
        line.push_str(" ...");
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_line_whatever_it_quotes() {
        let hostile = format!("holds a\n\tb\u{1b}[2J {}", "é".repeat(5000));
        let message = Error::file(Path::new("a.h5"), hostile, "remove\nit").to_string();
        assert!(message.starts_with("a.h5: holds a b [2J é") && message.ends_with("é ...; remove it"), "{message}");
        assert!(!message.contains(char::is_control) && message.chars().count() < 700);
    }
}
