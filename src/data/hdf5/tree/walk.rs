//! Reads a user's file whole with libhdf5, in the child process unless the user of our library chooses otherwise.
//!
//! Links by name, links into other files and values in other files are not followed: a file from the internet has no business
//! there. Depth, members, text and values are bounded before they are read.

use std::path::Path;

use h5::LinkType;
use h5::plist::dataset_create::Layout;
use h5::types::TypeDescriptor;

use super::super::data_set::type_name;
use super::super::h5;
use super::super::library::{open_file, read_strings};
use super::{ATTRIBUTES, LEFT_OUT, MOST_VALUES, Tree, Values, size};
use crate::{Error, Result};

/// Most groups and arrays.
const MOST_MEMBERS: usize = 16_384;
/// Deepest nesting of groups. Links may lead in circles.
const DEEPEST: usize = 16;
/// Most strings of an attribute.
const MOST_STRINGS: usize = 4096;
/// Most text of all attributes, in bytes.
const MOST_TEXT: usize = 16 << 20;

/// A tree that is being read.
struct Walk<'a> {
    path: &'a Path,
    tree: Tree,
    members: usize,
    values: usize,
    text: usize,
}

/// Reads a file whole.
///
/// # Errors
/// [`Error::File`].
pub fn walk(path: &Path) -> Result<Tree> {
    let file = open_file(path)?;
    let mut walk = Walk { path, tree: Tree::default(), members: 0, values: 0, text: 0 };
    walk.group("", &file, 0)?;
    Ok(walk.tree)
}

impl Walk<'_> {
    fn refuse(&self, problem: impl ToString) -> Error {
        Error::file(self.path, problem, "check that it holds the weights of a network and is not damaged")
    }

    fn group(&mut self, at: &str, group: &h5::Group, depth: usize) -> Result<()> {
        self.attributes(at, group)?;
        let mut names = Vec::new();
        let listed = group.iter_visit_default(|name, link| {
            if names.len() > MOST_MEMBERS {
                return Err("too many members".into());
            }
            names.push((name.to_owned(), link.link_type == LinkType::Hard));
            Ok(())
        });
        listed.map_err(|error| self.refuse(format!("the group \"{at}\" cannot be listed ({error})")))?;
        self.members += names.len();
        if self.members > MOST_MEMBERS || depth > DEEPEST {
            let problem = format!("more than {MOST_MEMBERS} members, or more than {DEEPEST} groups within each other");
            return Err(self.refuse(problem));
        }
        for (name, own) in names {
            if at.is_empty() && LEFT_OUT.contains(&&name[..]) {
                continue;
            }
            let below = if at.is_empty() { name.clone() } else { format!("{at}/{name}") };
            if !own {
                self.tree.others.insert(below, "a link to somewhere else".into());
            } else if let Ok(inner) = group.group(&name) {
                self.group(&below, &inner, depth + 1)?;
            } else if let Ok(data) = group.dataset(&name) {
                self.array(below, &data)?;
            } else {
                self.tree.others.insert(below, "neither a group nor an array".into());
            }
        }
        Ok(())
    }

    fn array(&mut self, at: String, data: &h5::Dataset) -> Result<()> {
        let (descriptor, found) = type_name(data);
        if !matches!(descriptor, Some(TypeDescriptor::Float(_))) {
            self.tree.others.insert(at, found);
            return Ok(());
        }
        let damaged = |error: h5::Error| self.refuse(format!("{at} cannot be read ({error})"));
        let stored = data.dcpl().map_err(damaged)?;
        let elsewhere = stored.get_layout().map_err(damaged)? == Layout::Virtual || !stored.external().is_empty();
        if elsewhere {
            return Err(self.refuse(format!("{at} keeps its values in other files")));
        }
        let shape = data.get_shape().map_err(damaged)?;
        let count = size(&shape).filter(|count| self.values + count <= MOST_VALUES);
        let Some(count) = count else {
            let problem = format!("{at} of shape {shape:?} makes it more than {MOST_VALUES} values");
            return Err(self.refuse(problem));
        };
        let values: Vec<f32> = if count == 0 { Vec::new() } else { data.read_raw().map_err(damaged)? };
        self.values += count;
        self.tree.arrays.insert(at, Values { shape, values });
        Ok(())
    }

    fn attributes(&mut self, at: &str, group: &h5::Group) -> Result<()> {
        let names = group.attr_names().unwrap_or_default();
        for name in names.iter().filter(|name| ATTRIBUTES.contains(&&name[..])) {
            let failed = |problem: String| self.refuse(format!("the attribute {name} of \"{at}\" {problem}"));
            let attribute = group.attr(name).map_err(|error| failed(format!("cannot be read ({error})")))?;
            // Keras stores a list of no names as no numbers.
            if attribute.size() == 0 {
                continue;
            }
            let strings = read_strings(&attribute, MOST_STRINGS).map_err(failed)?;
            self.text += strings.iter().map(String::len).sum::<usize>();
            if self.text > MOST_TEXT {
                return Err(self.refuse(format!("its attributes hold more than {MOST_TEXT} bytes of text")));
            }
            self.tree.attributes.insert((at.to_owned(), name.clone()), strings);
        }
        Ok(())
    }
}
