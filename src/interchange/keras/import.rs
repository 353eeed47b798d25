//! Keras's files to trained weights.

use std::io::Read;
use std::path::Path;

use super::archive::{self, unpack};
use super::config::Description;
use super::layers::{Translated, translate};
use super::pixels::{Affine, Pixels, fold, from_units};
use super::weights::{Layout, fits, last_size, slashed, tensors, weighted_of};
use super::{Refusal, refusal};
use crate::data::hdf5::Reader;
use crate::data::hdf5::tree::{OWN_ATTRIBUTE, Tree};
use crate::data::name_classes;
use crate::error::{Error, Result};
use crate::files::open_bounded;
use crate::interchange::Origin;
use crate::model::{Model, Network, PRESETS};
use crate::train::{Card, PREPROCESSING, Weights};

/// Largest file, in bytes: the weights that an archive may hold, and some more.
const LARGEST_FILE: u64 = 5 << 30;
/// Longest side of an image, in pixels.
const LONGEST_SIDE: usize = 4096;

/// Most classes: labels are stored in a byte.
const MOST_CLASSES: usize = 256;

/// What the user knows of a file that it does not say itself.
#[derive(Clone, Debug, Default)]
pub struct Import {
    /// The network, for a file of weights alone.
    pub model: Option<Model>,
    /// Side of an image in pixels, where the file does not say it.
    pub size: Option<usize>,
    /// What the model was fed; [`Pixels::Bytes`] where it rescales them, else [`Pixels::Unit`].
    pub pixels: Option<Pixels>,
    /// Names of the classes, in the order of the logits.
    pub classes: Option<Vec<String>>,
    /// Who gives HDF5 files to libhdf5.
    pub reader: Reader,
}

/// A network from another program.
#[derive(Clone, Debug)]
pub struct Imported {
    /// What it has become.
    pub weights: Weights,
    /// What was assumed, changed or left out, a sentence each.
    pub notes: Vec<String>,
}

/// A file, read and not yet understood.
struct Source {
    tree: Tree,
    /// Its description, where it has one.
    config: Option<String>,
    /// What this program has said when it wrote it.
    origin: Option<Origin>,
}

/// A network that has been found to fit.
struct Found {
    name: String,
    translated: Translated,
    image: (usize, usize),
    classes: usize,
    notes: Vec<String>,
}

/// Reads a `.keras` archive, a legacy `.h5` model or the weights of one, by what they hold and not by their names.
///
/// # Errors
/// [`Error::File`] naming the layer or array that this program has no place for; [`Error::Setting`] for what is asked for in vain.
pub fn import(path: &Path, options: &Import) -> Result<Imported> {
    let source = read(path, &options.reader)?;
    let refuse = |(problem, remedy): Refusal| Error::file(path, problem, remedy);
    let found = match &source.config {
        Some(config) => described(config, options),
        None => alone(&source, options),
    };
    let Found { name, translated, image: (height, width), classes, mut notes } = found.map_err(refuse)?;
    let mut model = Model { name, layers: translated.layers.clone() };
    translated.check_shapes(&model.nodes_that_fit(height, width, classes)).map_err(refuse)?;
    let network = build(&model, (height, width), classes).map_err(refuse)?;
    let mut values = tensors(&source.tree, &translated.weighted, &network).map_err(refuse)?;
    let pixels = pixels(&translated, options, source.config.is_some(), &mut notes);
    let folded = fold(pixels, &mut model.layers, &network, &mut values).map_err(refuse)?;
    let names = translated.weighted.iter().filter(|weighted| folded.contains(&weighted.layer));
    let names: Vec<&str> = names.map(|weighted| &weighted.name[..]).collect();
    if !names.is_empty() {
        notes.push(format!("what it does to pixels is folded into {}", names.join(" and ")));
    }
    if !translated.left_out.is_empty() {
        let names = translated.left_out.join(", ");
        notes.push(format!("left out, as they act in training only: {names}"));
    }
    let card = card(path, model, (height, width));
    let weights = Weights { card, tensors: values };
    named(weights, classes, source.origin, options, notes)
}

fn read(path: &Path, reader: &Reader) -> Result<Source> {
    let mut start = Vec::new();
    let failed = |error| Error::file(path, format!("cannot be read ({error})"), "check that it is a readable file");
    open_bounded(path, LARGEST_FILE)?.take(4).read_to_end(&mut start).map_err(failed)?;
    if start.starts_with(archive::SIGNATURE) {
        let parts = unpack(path)?;
        // The user knows nothing of the file it was unpacked to.
        let tree = Tree::read(parts.weights.path(), reader).map_err(|error| match error {
            Error::File { problem, remedy, .. } => {
                Error::file(path, format!("its model.weights.h5: {problem}"), remedy)
            }
            other => other,
        })?;
        let metadata = parts.metadata.and_then(|text| serde_json::from_str::<serde_json::Value>(&text).ok());
        let origin = metadata.and_then(|metadata| serde_json::from_str(metadata[OWN_ATTRIBUTE].as_str()?).ok());
        return Ok(Source { tree: slashed(tree), config: Some(parts.config), origin });
    }
    if path.extension().is_some_and(|ending| ending == "safetensors") {
        let remedy =
            "name it to evaluate, predict or classify, which take weights that this program has written as they are";
        return Err(Error::file(path, "is no file of Keras", remedy));
    }
    let tree = Tree::read(path, reader)?;
    let config = tree.text("", "model_config").map(str::to_owned);
    let origin = tree.text("", OWN_ATTRIBUTE).and_then(|text| serde_json::from_str(text).ok());
    Ok(Source { tree: slashed(tree), config, origin })
}

/// A file that describes its model.
fn described(config: &str, options: &Import) -> Result<Found, Refusal> {
    if options.model.is_some() {
        return Err(refusal("it describes its own model", "leave out --model"));
    }
    let description = Description::read(config)?;
    let translated = translate(&description)?;
    let classes = translated.classes.ok_or_else(|| {
        refusal("its last layer is no Dense layer, which gives a number per class", "end the model with Dense")
    })?;
    if classes > MOST_CLASSES {
        return Err(refusal(format!("it has {classes} classes"), format!("use at most {MOST_CLASSES}")));
    }
    let sides = match (description.image, options.size) {
        (Some([.., Some(channels)]), _) if channels != 3 => {
            let problem = format!("its images have {channels} channels");
            return Err(refusal(problem, "train it on images of three colours"));
        }
        (Some([Some(height), Some(width), _]), None) => (height, width),
        (Some([Some(height), Some(width), _]), Some(size)) if (height, width) == (size, size) => (size, size),
        (Some([Some(height), Some(width), _]), Some(_)) => {
            return Err(refusal(format!("its images are {height} x {width} pixels"), "leave out --size"));
        }
        (_, Some(size)) => (size, size),
        (_, None) => return Err(refusal("it does not say how large its images are", "give --size")),
    };
    if ![sides.0, sides.1].iter().all(|side| (1..=LONGEST_SIDE).contains(side)) {
        let remedy = format!("use images of 1 to {LONGEST_SIDE} pixels a side");
        return Err(refusal(format!("its images are {} x {} pixels", sides.0, sides.1), remedy));
    }
    Ok(Found { name: description.name, translated, image: sides, classes, notes: Vec::new() })
}

/// A file of weights alone.
fn alone(source: &Source, options: &Import) -> Result<Found, Refusal> {
    let remedy = "name the network with --model (a built-in one or a TOML file) and the side of its images with --size";
    if source.tree.arrays.is_empty() {
        return Err(refusal("it holds no arrays of floats", "name a file of weights or a model that Keras has saved"));
    }
    let own = source.origin.as_ref().map(|origin| &origin.card);
    let classes = last_size(&source.tree).filter(|classes| (1..=MOST_CLASSES).contains(classes));
    let classes = classes.ok_or_else(|| refusal("it holds no last Dense layer of 1 to 256 classes", remedy))?;
    let mut notes = Vec::new();
    let layout = Layout::of(&source.tree);
    let fits = |model: &Model, sides: (usize, usize)| {
        let network = build(model, sides, classes);
        network.is_ok_and(|network| fits(&source.tree, &layout, &weighted_of(&source.tree, &network), &network))
    };
    let given = options.size.map(|size| (size, size));
    let sides = |model: &Model| match given.or(own.map(|card| (card.height, card.width))) {
        Some(sides) => Some(sides).filter(|sides| fits(model, *sides)),
        None => (1..=LONGEST_SIDE).map(|side| (side, side)).find(|sides| fits(model, *sides)),
    };
    let presets = || PRESETS.iter().filter_map(|name| Model::preset(name));
    let (model, image) = match (&options.model, own) {
        (Some(model), _) => (model.clone(), sides(model)),
        (None, Some(card)) => (card.model.clone(), sides(&card.model)),
        (None, None) => match presets().find_map(|model| sides(&model).map(|image| (model, image))) {
            Some((model, image)) => {
                notes.push(format!("its arrays are those of {}, which it is taken for; see --model", model.name));
                (model, Some(image))
            }
            None => return Err(refusal("it holds weights alone, and they are of no built-in network", remedy)),
        },
    };
    let Some(image) = image else {
        let problem = format!("its arrays do not fit the network {} for images of any size tried", model.name);
        return Err(refusal(problem, remedy));
    };
    if given.is_none() && own.is_none() {
        notes.push(format!("images of {} x {} pixels are assumed; see --size", image.0, image.1));
    }
    let network = build(&model, image, classes)?;
    let weighted = weighted_of(&source.tree, &network);
    let translated = Translated::own(model.layers, weighted);
    Ok(Found { name: model.name, translated, image, classes, notes })
}

/// The network, or what its layers break, as a file's fault.
fn build(model: &Model, (height, width): (usize, usize), classes: usize) -> Result<Network, Refusal> {
    let network = model.build(height, width, classes);
    network.map_err(|error| match error {
        Error::Model { layer, problem, remedy } => refusal(format!("layer {layer}: {problem}"), remedy),
        other => refusal(other.to_string(), "save a model of another size"),
    })
}

/// What the network's first layer gets of a pixel that this program has divided by 255.
fn pixels(translated: &Translated, options: &Import, described: bool, notes: &mut Vec<String>) -> Affine {
    let rescaling = translated.rescaling;
    let assumed = if rescaling.is_some() { Pixels::Bytes } else { Pixels::Unit };
    if rescaling.is_none() && options.pixels.is_none() && described {
        notes.push("it has no Rescaling layer: pixels of 0 to 1 are assumed; see --pixels".into());
    }
    from_units(rescaling, options.pixels.unwrap_or(assumed))
}

fn card(path: &Path, model: Model, (height, width): (usize, usize)) -> Card {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    Card {
        model,
        classes: Vec::new(),
        height,
        width,
        preprocessing: PREPROCESSING.to_owned(),
        data: format!("imported from {name}"),
        seed: 0,
        split_hash: String::new(),
        validation: 0.0,
        chosen_by: Default::default(),
        precision: Default::default(),
        shaders: None,
        epochs: 0,
        step: 0,
        val_accuracy: None,
    }
}

/// Names the classes, and brings back what this program knew of these very weights.
fn named(
    mut weights: Weights,
    classes: usize,
    origin: Option<Origin>,
    options: &Import,
    mut notes: Vec<String>,
) -> Result<Imported> {
    let mut stored = None;
    let sound =
        |card: &Card| card.classes.len() == classes && !card.classes.iter().any(|name| name.contains(char::is_control));
    if let Some(Origin { hash, card }) = origin.filter(|origin| sound(&origin.card)) {
        stored = Some(card.classes.clone());
        if hash == weights.hash() && (card.height, card.width) == (weights.card.height, weights.card.width) {
            let model = std::mem::replace(&mut weights.card.model, Model { name: String::new(), layers: Vec::new() });
            weights.card = Card { model, ..card };
        } else {
            notes.push("its weights have changed since this program wrote them; only names of classes are kept".into());
        }
    }
    if stored.is_none() && options.classes.is_none() {
        notes.push(match classes {
            10 => "its ten classes are taken for Galaxy10's; see --classes".into(),
            _ => "its classes have no names; see --classes".into(),
        });
    }
    // Names from a file are checked like those that a user gives.
    let names = options.classes.as_deref().or(stored.as_deref());
    weights.card.classes = name_classes(None, classes, names)?;
    Ok(Imported { weights, notes })
}
