//! Weights of other programs in HDF5: a tree of groups with arrays of floats and attributes of text, under any names.
//!
//! The child process reads a user's file (`walk.rs`), as a damaged one can crash libhdf5. It sends a header (JSON: version,
//! attributes, names and shapes) and the values (f32, little-endian) in the header's order, which the parent checks. This module
//! knows nothing of networks.
//!
//! **Memory**, whatever the file says: the child 4 GiB; the parent twice the values, of which there are at most 2^28 (1 GiB).

mod walk;
mod write;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

pub(super) use self::walk::walk;
pub use self::write::write_tree;
use crate::{Error, Result};

/// Most values of all arrays: 1 GiB of f32.
const MOST_VALUES: usize = 1 << 28;
/// Longest header, in bytes: 16384 members with their attributes.
const LONGEST_HEADER: usize = 64 << 20;
/// Longest answer of the child, in bytes.
pub(super) const LONGEST_TREE: usize = 4 + LONGEST_HEADER + 4 * MOST_VALUES;
/// Most axes of an array.
const MOST_AXES: usize = 8;

/// Attributes that are read: those in which Keras describes a model (`model_config`), orders its arrays (`layer_names`,
/// `weight_names`), and this program's own.
const ATTRIBUTES: [&str; 4] = ["model_config", "layer_names", "weight_names", OWN_ATTRIBUTE];
/// Attribute of the root in which this program describes the arrays that it writes.
pub const OWN_ATTRIBUTE: &str = "galaxy-gpu";
/// Groups of the root that are left out: the state of Keras's optimizers is twice as large as the weights.
const LEFT_OUT: [&str; 2] = ["optimizer", "optimizer_weights"];

/// An array of floats.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Values {
    /// Its sizes, outermost first; none for a single number.
    pub shape: Vec<usize>,
    /// Its values in row-major order.
    pub values: Vec<f32>,
}

/// Arrays and attributes by path, such as `layers/conv2d/vars/0`; the root's path is empty.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tree {
    /// Text by path and name, one string or several.
    pub attributes: BTreeMap<(String, String), Vec<String>>,
    /// Arrays of floats, converted to f32.
    pub arrays: BTreeMap<String, Values>,
    /// Types of all other arrays, which are not read.
    pub others: BTreeMap<String, String>,
}

impl Tree {
    /// The attribute `name` of the member at `path`, where it is one string.
    pub fn text(&self, path: &str, name: &str) -> Option<&str> {
        match self.attributes.get(&(path.to_owned(), name.to_owned()))?.as_slice() {
            [one] => Some(one),
            _ => None,
        }
    }

    /// The strings of the attribute `name` of the member at `path`.
    pub fn strings(&self, path: &str, name: &str) -> Option<&[String]> {
        self.attributes.get(&(path.to_owned(), name.to_owned())).map(Vec::as_slice)
    }
}

/// The beginning of the child's answer.
#[derive(Serialize, Deserialize)]
struct TreeHeader {
    version: String,
    attributes: Vec<(String, String, Vec<String>)>,
    arrays: Vec<(String, Vec<usize>)>,
    others: Vec<(String, String)>,
}

/// Sends a tree through `piece`.
pub(super) fn say(tree: &Tree, piece: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let attributes = tree.attributes.iter();
    let header = TreeHeader {
        version: env!("CARGO_PKG_VERSION").into(),
        attributes: attributes.map(|((path, name), text)| (path.clone(), name.clone(), text.clone())).collect(),
        arrays: tree.arrays.iter().map(|(path, array)| (path.clone(), array.shape.clone())).collect(),
        others: tree.others.iter().map(|(path, kind)| (path.clone(), kind.clone())).collect(),
    };
    let header = serde_json::to_vec(&header)?;
    let mut bytes = Vec::new();
    bytes.write_all(&u32::try_from(header.len()).map_err(io::Error::other)?.to_le_bytes())?;
    bytes.write_all(&header)?;
    piece(&bytes)?;
    for values in tree.arrays.values().flat_map(|array| array.values.chunks(1 << 18)) {
        piece(&values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>())?;
    }
    Ok(())
}

/// Parses a tree of exactly this length; none where it makes no sense.
pub(super) fn hear(path: &Path, bytes: &[u8]) -> Result<Option<Tree>> {
    let Some((header, mut rest)) = split(bytes) else { return Ok(None) };
    if header.version != env!("CARGO_PKG_VERSION") {
        let problem = format!("it was read by galaxy-gpu {}", header.version);
        return Err(Error::file(path, problem, "name a reader program of this version"));
    }
    let attributes = header.attributes.into_iter().map(|(path, name, text)| ((path, name), text)).collect();
    let mut tree = Tree { attributes, others: header.others.into_iter().collect(), ..Tree::default() };
    for (name, shape) in header.arrays {
        let Some((own, after)) = size(&shape).and_then(|count| rest.split_at_checked(4 * count)) else {
            return Ok(None);
        };
        rest = after;
        let values = own.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        tree.arrays.insert(name, Values { shape, values });
    }
    Ok(rest.is_empty().then_some(tree))
}

fn split(bytes: &[u8]) -> Option<(TreeHeader, &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    let length = u32::from_le_bytes(*length) as usize;
    let (header, values) = rest.split_at_checked(length).filter(|_| length <= LONGEST_HEADER)?;
    Some((serde_json::from_slice(header).ok()?, values))
}

/// Number of values of an array; none where that is more than this module holds.
fn size(shape: &[usize]) -> Option<usize> {
    let count = shape.iter().try_fold(1usize, |product, &size| product.checked_mul(size))?;
    (shape.len() <= MOST_AXES && count <= MOST_VALUES).then_some(count)
}

#[cfg(test)]
mod tests {
    use super::super::Reader;
    use super::*;

    fn tree() -> Tree {
        let array = |shape: &[usize], first: f32| {
            let count = shape.iter().product::<usize>();
            Values { shape: shape.to_vec(), values: (0..count).map(|i| first + i as f32 / 3.0).collect() }
        };
        let mut tree = Tree::default();
        tree.arrays.insert("layers/dense/vars/0".into(), array(&[2, 3], -0.5));
        tree.arrays.insert("layers/dense/vars/1".into(), array(&[3], f32::MIN_POSITIVE));
        tree.arrays.insert("number".into(), array(&[], 7.0));
        let own = ("".to_owned(), OWN_ATTRIBUTE.to_owned());
        tree.attributes.insert(own, vec!["x".repeat(200_000)]);
        tree.attributes.insert(("layers".into(), "layer_names".into()), ["a", "é b"].map(String::from).to_vec());
        tree
    }

    #[test]
    fn a_tree_is_written_and_read_again_and_equal_trees_are_equal_files() {
        let folder = tempfile::tempdir().unwrap();
        let files = ["a.h5", "b.h5"].map(|name| folder.path().join(name));
        for path in &files {
            write_tree(path, &tree()).unwrap();
            assert_eq!(Tree::read(path, &Reader::InProcess).unwrap(), tree());
        }
        assert!(std::fs::read(&files[0]).unwrap() == std::fs::read(&files[1]).unwrap());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "nothing else is left there");
        assert!(write_tree(&folder.path().join("none/a.h5"), &tree()).is_err());
    }

    #[test]
    fn what_is_said_is_heard_and_nothing_less_or_more() {
        let mut bytes = Vec::new();
        say(&tree(), &mut |piece| bytes.write_all(piece)).unwrap();
        let hear = |bytes: &[u8]| hear(Path::new("a.h5"), bytes);
        assert_eq!(hear(&bytes).unwrap(), Some(tree()));
        assert_eq!(hear(&bytes[..bytes.len() - 1]).unwrap(), None);
        assert_eq!(hear(&[&bytes[..], &[0]].concat()).unwrap(), None);
        assert_eq!(hear(&[]).unwrap(), None);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let place = text.find("[2,3]").unwrap();
        for (number, other) in [(place + 1, b'9'), (place + 2, b'0')] {
            let mut bytes = bytes.clone();
            bytes[number] = other;
            assert_eq!(hear(&bytes).unwrap(), None);
        }
        assert_eq!(size(&[usize::MAX, 2]), None);
        assert_eq!(size(&[1; 9]), None);
        assert_eq!(size(&[]), Some(1));
    }
}
