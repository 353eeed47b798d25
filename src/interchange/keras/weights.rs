//! The arrays of a model's layers among those of a file: by the class and number of a layer in files of Keras 3, by names that
//! the file lists in older ones.

use std::collections::BTreeSet;

use super::layers::Weighted;
use super::listing::{Listed, listed};
use super::{Refusal, refusal};
use crate::data::hdf5::tree::Tree;
use crate::layers::Node;
use crate::model::Network;

/// Where older files keep a whole model's weights; those with nothing else keep them in the root.
const LEGACY: &str = "model_weights";
/// Where Keras 2.12 to 2.15 kept layers.
const OLDER: &str = "_layer_checkpoint_dependencies/";

/// Where a file keeps its arrays.
pub enum Layout {
    /// `layers/<class>_<number>/vars/<number>`; Keras 2.12 to 2.15 had another name for `layers`.
    Numbered(&'static str),
    /// `<group>/<layer>/<weight>`, both listed by attributes.
    Listed(&'static str),
}

impl Layout {
    /// The layout of a file, by what it lists.
    pub fn of(tree: &Tree) -> Self {
        let lists = |group: &&'static str| tree.strings(group, "layer_names").is_some();
        if let Some(group) = [LEGACY, ""].into_iter().find(lists) {
            return Self::Listed(group);
        }
        let older = tree.arrays.keys().any(|path| path.starts_with(OLDER));
        Self::Numbered(if older { OLDER } else { "layers/" })
    }
}

/// A file's arrays with `/` between all names: Keras 2.13 to 2.15 on Windows joined some with `\\`, which are then part of a name.
/// Where a file lists its names, they stay as they are.
pub fn slashed(mut tree: Tree) -> Tree {
    if matches!(Layout::of(&tree), Layout::Numbered(_)) {
        let slash = |path: String| path.replace('\\', "/");
        tree.arrays = tree.arrays.into_iter().map(|(path, values)| (slash(path), values)).collect();
        tree.others = tree.others.into_iter().map(|(path, kind)| (slash(path), kind)).collect();
    }
    tree
}

/// The layers of a network that have weights, in its order, by the names that Keras gives them, or that a file lists.
pub fn weighted_of(tree: &Tree, network: &Network) -> Vec<Weighted> {
    let names = listed_layers(tree);
    let layers = listed(network).into_iter().filter(|listed| !listed.node.parameters.is_empty());
    let weighted = layers.enumerate().map(|(number, Listed { node, place, .. })| {
        let listed = names.as_ref().and_then(|names| names.get(number));
        let name = listed.unwrap_or(&node.name).clone();
        Weighted { name, place, layer: node.number }
    });
    let mut weighted: Vec<Weighted> = weighted.collect();
    weighted.sort_by_key(|weighted| weighted.layer);
    weighted
}

/// Outputs of the last Dense layer, of a file that does not describe its model.
pub fn last_size(tree: &Tree) -> Option<usize> {
    let last = match Layout::of(tree) {
        Layout::Listed(group) => {
            let group = below(group, listed_layers(tree)?.last()?);
            below(&group, tree.strings(&group, "weight_names")?.first()?)
        }
        Layout::Numbered(root) => {
            let path = |number: usize| match number {
                0 => format!("{root}dense/vars/0"),
                number => format!("{root}dense_{number}/vars/0"),
            };
            (0..).map(path).take_while(|path| tree.arrays.contains_key(path)).last()?
        }
    };
    tree.arrays.get(&last)?.shape.last().copied()
}

/// Whether a file has an array of the right shape for each of a network's parameters.
pub fn fits(tree: &Tree, layout: &Layout, weighted: &[Weighted], network: &Network) -> bool {
    weighted.iter().all(|own| {
        let node = &network.nodes[own.layer];
        paths(tree, layout, own, node).is_ok_and(|paths| {
            let shape = |path: &String| tree.arrays.get(path).map(|array| &array.shape[..]);
            paths.iter().zip(&node.parameters).all(|(path, own)| shape(path) == Some(own.shape.sizes()))
        })
    })
}

/// Names of the layers that have weights, in order, where a file lists them.
fn listed_layers(tree: &Tree) -> Option<Vec<String>> {
    let Layout::Listed(group) = Layout::of(tree) else { return None };
    let names = tree.strings(group, "layer_names")?.iter();
    let weighted = names.filter(|name| tree.strings(&below(group, name), "weight_names").is_some());
    Some(weighted.cloned().collect())
}

/// Values of a network's parameters, in its order.
///
/// # Errors
/// An array that is missing, of another shape or type, holds what is not finite, or belongs to no layer.
pub fn tensors(tree: &Tree, weighted: &[Weighted], network: &Network) -> Result<Vec<Vec<f32>>, Refusal> {
    let layout = Layout::of(tree);
    let mut taken = BTreeSet::new();
    let mut tensors = Vec::new();
    for own in weighted {
        let node = &network.nodes[own.layer];
        for (path, parameter) in paths(tree, &layout, own, node)?.into_iter().zip(&node.parameters) {
            let shape = parameter.shape.sizes();
            let Some(array) = tree.arrays.get(&path) else {
                let problem = match tree.others.get(&path) {
                    Some(kind) => format!("{path} holds {kind}, not floats"),
                    None => format!("{path} is missing, which layer {} needs", own.name),
                };
                return Err(refusal(problem, "name the model that these weights belong to, saved in float32"));
            };
            if array.shape != shape {
                let problem = format!("{path} has the shape {:?}, layer {} needs {shape:?}", array.shape, own.name);
                return Err(refusal(problem, "name the model and the size of images that these weights belong to"));
            }
            if let Some(place) = array.values.iter().position(|value| !value.is_finite()) {
                let problem = format!("{path} holds {} at place {place}", array.values[place]);
                return Err(refusal(problem, "save weights from before the training went wrong"));
            }
            tensors.push(array.values.clone());
            taken.insert(path);
        }
    }
    match tree.arrays.keys().find(|path| !taken.contains(*path)) {
        None => Ok(tensors),
        Some(left) => {
            let problem = format!("{left} belongs to no layer of the model");
            Err(refusal(problem, "name the model that these weights belong to"))
        }
    }
}

/// Where the arrays of a layer lie.
fn paths(tree: &Tree, layout: &Layout, own: &Weighted, node: &Node) -> Result<Vec<String>, Refusal> {
    let count = node.parameters.len();
    let paths: Vec<String> = match layout {
        Layout::Numbered(root) => {
            let place = own.place.replace("layers/", root);
            (0..count).map(|number| format!("{place}/vars/{number}")).collect()
        }
        Layout::Listed(group) => {
            let group = below(group, &own.name);
            let names = tree.strings(&group, "weight_names").unwrap_or_default();
            names.iter().map(|name| below(&group, name)).collect()
        }
    };
    if paths.len() != count {
        let problem = format!("layer {} has {} arrays, not {count}", own.name, paths.len());
        return Err(refusal(problem, "name the model that these weights belong to"));
    }
    Ok(paths)
}

fn below(group: &str, name: &str) -> String {
    if group.is_empty() { name.to_owned() } else { format!("{group}/{name}") }
}
