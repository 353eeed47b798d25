//! `--shaders`: reads a user's WGSL from a folder laid out like `shaders/`.

use super::print_note;
use crate::error::{Error, Result};
use crate::files::read_text;
use crate::kernels::Shaders;
use clap::Args;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use walkdir::WalkDir;

/// The longest shader that is read, in bytes; the longest of the crate has 8 KiB.
const LONGEST: u64 = 256 << 10;
/// The most shaders in a folder; the crate has fewer than a hundred.
const MOST: usize = 1000;

/// Options for a user's shaders.
#[derive(Args, Clone, Debug, Default, Serialize, Deserialize)]
pub struct ShaderOptions {
    /// Folder of WGSL files that replace the program's own of the same path (conv2d/forward_registers.wgsl, common/index.wgsl), or
    /// add an implementation to --use (conv2d/forward_mine.wgsl, with a line `// launch: registers` in its header)
    #[arg(long, value_name = "FOLDER")]
    #[serde(default)]
    pub shaders: Option<PathBuf>,
    /// Run the shaders of --shaders without the driver's checks, like the program's own: faster, but a shader that reads or writes
    /// out of bounds, or never ends, can then do anything
    #[arg(long, requires = "shaders")]
    #[serde(default)]
    pub trust_shaders: bool,
}

impl ShaderOptions {
    /// Reads the folder, if there is one, and prints a note on what its shaders do.
    ///
    /// # Errors
    /// The folder has no WGSL files or cannot be read, a file is too long or not text, or as [`Shaders::new`].
    pub fn load(&self) -> Result<Shaders> {
        let Some(folder) = &self.shaders else { return Ok(Shaders::default()) };
        let shaders = Shaders::new(&folder.to_string_lossy(), self.trust_shaders, read(folder)?)?;
        shaders.in_words().into_iter().for_each(print_note);
        Ok(shaders)
    }
}

/// The files below the folder: path, with `/`, and text.
fn read(folder: &Path) -> Result<Vec<(String, String)>> {
    let remedy = "name a folder of WGSL files with the paths of the program's own, such as conv2d/forward_direct.wgsl";
    let mut files = Vec::new();
    for entry in WalkDir::new(folder).max_depth(2).sort_by_file_name() {
        let entry = entry.map_err(|error| Error::file(folder, error, remedy))?;
        let path = entry.path();
        if path.extension().is_none_or(|ending| ending != "wgsl") || !path.is_file() {
            continue;
        }
        let below = path.strip_prefix(folder).unwrap_or(path).iter().map(|part| part.to_string_lossy());
        files.push((below.collect::<Vec<_>>().join("/"), read_text(path, LONGEST)?));
        if files.len() > MOST {
            return Err(Error::file(folder, format!("it holds more than {MOST} shaders"), remedy));
        }
    }
    match files.is_empty() {
        true => Err(Error::file(folder, "it holds no WGSL files", remedy)),
        false => Ok(files),
    }
}
