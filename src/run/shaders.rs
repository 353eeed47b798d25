//! Reads a user's WGSL from a folder laid out like `shaders/`.

use super::Note;
use crate::error::{Error, Result};
use crate::files::read_text;
use crate::kernels::Shaders;
use std::path::Path;
use walkdir::WalkDir;

/// The longest shader that is read, in bytes; the longest of the crate has 8 KiB.
const LONGEST: u64 = 256 << 10;
/// The most shaders in a folder; the crate has fewer than a hundred.
const MOST: usize = 1000;

/// The shaders of a folder; the crate's own without one. A note says what they do.
///
/// # Errors
/// A folder without WGSL files, or that cannot be read; a file that is too long or not text; as [`Shaders::new`].
pub fn load_shaders(folder: Option<&Path>, trusted: bool, note: Note) -> Result<Shaders> {
    let Some(folder) = folder else { return Ok(Shaders::default()) };
    let shaders = Shaders::new(&folder.to_string_lossy(), trusted, read(folder)?)?;
    shaders.in_words().into_iter().for_each(note);
    Ok(shaders)
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
