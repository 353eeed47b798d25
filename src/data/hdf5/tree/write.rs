//! Writes trees as HDF5 files. Nothing here reads a user's file.

use std::path::Path;

use h5::types::VarLenUnicode;

use super::super::h5;
use super::super::write::write_file;
use super::Tree;
use crate::Result;

/// Writes a tree to `path`; with the groups that its paths need. Equal trees make equal files. The file appears complete or not
/// at all; one that was there is replaced.
///
/// # Errors
/// [`crate::Error::File`] where the file cannot be written.
pub fn write_tree(path: &Path, tree: &Tree) -> Result<()> {
    h5::silence_errors(true);
    write_file(path, |temporary| fill(temporary, tree))
}

fn fill(path: &Path, tree: &Tree) -> Result<(), h5::Error> {
    let file = h5::File::create(path)?;
    for (at, array) in &tree.arrays {
        let (group, name) = at.rsplit_once('/').unwrap_or(("", at));
        let data = group_at(&file, group)?.new_dataset::<f32>().no_chunk().shape(&array.shape[..]).create(name)?;
        data.write_raw(&array.values)?;
    }
    for ((at, name), strings) in &tree.attributes {
        let group = group_at(&file, at)?;
        let strings: Result<Vec<VarLenUnicode>, _> = strings.iter().map(|text| text.parse()).collect();
        let strings = strings.map_err(|_| h5::Error::from("a text holds a zero byte"))?;
        match strings.as_slice() {
            [one] => group.new_attr::<VarLenUnicode>().create(&name[..])?.write_scalar(one)?,
            several => group.new_attr_builder().with_data(several).create(&name[..]).map(drop)?,
        }
    }
    file.close()
}

/// The group at a path, which is made if it is missing.
fn group_at(file: &h5::File, path: &str) -> Result<h5::Group, h5::Error> {
    let mut group = file.group("/")?;
    for name in path.split('/').filter(|name| !name.is_empty()) {
        group = if group.link_exists(name) {
            group.group(name)?
        } else {
            group.create_group_builder().obj_track_times(false).create(name)?
        };
    }
    Ok(group)
}
