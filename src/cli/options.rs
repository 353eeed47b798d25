//! Checks of options that several commands share.

use crate::error::{Error, Result};
use crate::suggest::did_you_mean;
use std::path::Path;

/// Refuses the output path of an option before any work is done for it: one of these endings, in a folder that exists
/// and can be written to. Leaves nothing behind.
///
/// # Errors
/// [`Error::Setting`] for another ending, [`Error::File`] for a folder that will not do.
pub fn check_output(option: &str, path: &Path, endings: &[&str]) -> Result<()> {
    let ending = path.extension().and_then(|ending| ending.to_str()).map(str::to_lowercase);
    if !endings.iter().any(|allowed| ending.as_deref() == Some(*allowed)) {
        let endings: Vec<String> = endings.iter().map(|ending| format!(".{ending}")).collect();
        let near = did_you_mean(&format!(".{}", ending.unwrap_or_default()), endings.iter().map(String::as_str));
        let allowed = format!("a file name that ends in {}{near}", endings.join(" or "));
        return Err(Error::setting(option, format!("\"{}\"", path.display()), allowed));
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let another = format!("choose another {option}");
    if !folder.is_dir() {
        let remedy = format!("create the folder first, or {another}");
        return Err(Error::file(path, "its folder does not exist", remedy));
    }
    if path.is_dir() {
        return Err(Error::file(path, "it is a folder", another));
    }
    let failed = |error| Error::file(path, format!("its folder cannot be written to ({error})"), another);
    tempfile::tempfile_in(folder).map(drop).map_err(failed)
}
