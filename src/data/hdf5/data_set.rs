//! Opens data sets of a user's file, and the checks and errors that all of them share.

use std::path::Path;

use h5::plist::dataset_create::Layout as StoredLayout;
use h5::types::TypeDescriptor;

use super::{LAYOUT, h5};
use crate::{Error, Result};

/// Opens the data set `name` of the root.
///
/// # Errors
/// [`Error::File`] where it is missing, kept in another file or of a form that libhdf5 does not know.
pub fn member(path: &Path, file: &h5::File, name: &str) -> Result<h5::Dataset> {
    let elsewhere = || Error::file(path, format!("`{name}` is kept in another file"), "store it in the file itself");
    if leads_elsewhere(file, name) {
        return Err(elsewhere());
    }
    let data = file.dataset(name).map_err(|_| {
        let names = file.member_names().unwrap_or_default();
        if names.iter().any(|held| held == name) {
            return too_new(path, name);
        }
        let held = if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
        Error::file(path, format!("has no data set `{name}`; it holds {held}"), LAYOUT)
    })?;
    // a link by name may lead to a link to another file
    if data.filename() != file.filename() {
        return Err(elsewhere());
    }
    let stored = data.dcpl().map_err(|error| unreadable(path, name, &error))?;
    match stored.get_layout() {
        Ok(StoredLayout::Virtual) | Err(_) => Err(elsewhere()),
        Ok(_) if !stored.external().is_empty() => Err(elsewhere()),
        Ok(_) => Ok(data),
    }
}

/// The error for a data set that is there and cannot be opened: newer versions of libhdf5 write forms that older ones do not know.
fn too_new(path: &Path, name: &str) -> Error {
    let (major, minor, patch) = super::library_version();
    let problem =
        format!("`{name}` is stored in a form that this program's HDF5 {major}.{minor}.{patch} does not know");
    let remedy = "write it again without libver=\"latest\" (h5py); if no newer version wrote it, it is damaged";
    Error::file(path, problem, remedy)
}

/// Whether a member of the root is a link to another file.
fn leads_elsewhere(file: &h5::File, name: &str) -> bool {
    let mut elsewhere = false;
    let listed = file.iter_visit_default(|found, link| {
        elsewhere |= found == name && link.link_type == h5::LinkType::External;
        Ok(())
    });
    listed.is_err() || elsewhere
}

/// The type of a data set or attribute, and its name for people.
pub fn type_name(container: &h5::Container) -> (Option<TypeDescriptor>, String) {
    match container.dtype().and_then(|dtype| dtype.to_descriptor()) {
        Ok(descriptor) => (Some(descriptor.clone()), descriptor.to_string()),
        Err(_) => (None, "an unknown type".to_owned()),
    }
}

/// A data set of one number per image must have the shape `[count]`.
pub fn check_rows(path: &Path, name: &str, data: &h5::Dataset, count: usize) -> Result<()> {
    let shape = data.shape();
    if shape != [count] {
        let problem = format!("`{name}` has the shape {shape:?}, but there are {count} images");
        return Err(Error::file(path, problem, format!("it must have the shape [{count}]")));
    }
    Ok(())
}

/// The error for a data set, `name`, whose values libhdf5 cannot read.
pub fn unreadable(path: &Path, name: &str, error: &h5::Error) -> Error {
    Error::file(path, format!("`{name}` cannot be read ({error})"), "the file is damaged: download or copy it again")
}
