//! A model becomes a network: names, who reads whose output, shapes and parameters, all checked.

use super::{Entry, Input, Layer, Model, Network, Node, Role};
use crate::error::{Error, Result};
use crate::shape::Shape;
use crate::suggest::did_you_mean;
use std::collections::HashMap;

/// Most layers of a network.
const MOST_LAYERS: usize = 1024;
/// Most inputs of a layer.
const MOST_INPUTS: usize = 64;
/// Most values of a tensor, for one image: 256 GiB of f32.
const MOST_ELEMENTS: usize = 1 << 36;
/// Longest side of an image, in pixels.
const LONGEST_SIDE: usize = 1 << 16;
/// Longest name of a layer, in characters.
const LONGEST_NAME: usize = 64;
/// The input of a layer that reads the images.
pub const IMAGES: &str = "images";
/// What is no name for a layer.
const RESERVED: [&str; 3] = [IMAGES, "labels", "loss"];

impl Model {
    /// The network for images of `height x width` RGB pixels and this many classes.
    ///
    /// # Errors
    /// A layer that its inputs do not fit, inputs that are no layers before it, or a last layer that does not give one number per class;
    /// more than 1024 layers, a tensor of more than 2^36 values, or images of more than 65536 pixels a side.
    pub fn build(&self, height: usize, width: usize, classes: usize) -> Result<Network> {
        let image = (height, width, 3);
        let mut nodes = Vec::new();
        self.add_nodes(image, classes, &mut nodes)?;
        check_end(&nodes, image, classes)?;
        Ok(Network { name: self.name.clone(), image, classes, nodes })
    }

    /// The layers of that network up to the first that does not fit.
    pub fn nodes_that_fit(&self, height: usize, width: usize, classes: usize) -> Vec<Node> {
        let mut nodes = Vec::new();
        // what does not fit is said when the network is built
        let _ = self.add_nodes((height, width, 3), classes, &mut nodes);
        nodes
    }

    fn add_nodes(&self, image: (usize, usize, usize), classes: usize, nodes: &mut Vec<Node>) -> Result<()> {
        let (height, width, _) = image;
        if self.layers.len() > MOST_LAYERS {
            let problem = format!("there are {} layers", self.layers.len());
            return Err(Error::model(&self.name, problem, format!("use at most {MOST_LAYERS}")));
        }
        if ![height, width].iter().all(|side| (1..=LONGEST_SIDE).contains(side)) {
            let allowed = format!("1 to {LONGEST_SIDE} pixels a side");
            return Err(Error::setting("the size of an image", format!("{height} x {width}"), allowed));
        }
        let names = self.names()?;
        for entry in &self.layers {
            let inputs = inputs(entry, nodes.len(), &names)?;
            let node = node(&entry.layer, &names[nodes.len()], inputs, nodes, image, classes)?;
            nodes.push(node);
        }
        Ok(())
    }

    /// The name of each layer: its own, or an automatic one.
    fn names(&self) -> Result<Vec<String>> {
        let mut names: Vec<String> = Vec::new();
        for (entry, automatic) in self.layers.iter().zip(automatic_names(&self.layers)) {
            let name = entry.name.clone().unwrap_or(automatic);
            if !is_layer_name(&name) {
                let problem = format!("{name:?} is no name for a layer");
                let reserved = RESERVED.join(", ");
                let remedy = format!("use 1 to {LONGEST_NAME} letters, digits, _ and -, and none of {reserved}");
                return Err(Error::model(&self.name, problem, remedy));
            }
            if names.contains(&name) {
                return Err(Error::model(name, "two layers have this name", "give one of them another `name`"));
            }
            names.push(name);
        }
        Ok(names)
    }
}

/// Names of layers that have none of their own: the kind, with the number of layers of this kind before.
pub fn automatic_names(layers: &[Entry]) -> Vec<String> {
    let mut kinds: HashMap<&str, usize> = HashMap::new();
    let name = |Entry { layer, .. }: &Entry| {
        let count = kinds.entry(layer.kind()).and_modify(|n| *n += 1).or_insert(0);
        if *count == 0 { layer.kind().to_owned() } else { format!("{}_{count}", layer.kind()) }
    };
    layers.iter().map(name).collect()
}

/// Whether a layer may have this name.
pub fn is_layer_name(name: &str) -> bool {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "_-".contains(letter);
    (1..=LONGEST_NAME).contains(&name.len()) && name.chars().all(plain) && !RESERVED.contains(&name)
}

/// What a layer reads: the outputs that it names, or that of the layer before it.
fn inputs(entry: &Entry, number: usize, names: &[String]) -> Result<Vec<Input>> {
    let before = || number.checked_sub(1).map_or(Input::Images, Input::Node);
    let Some(wanted) = &entry.inputs else { return Ok(vec![before()]) };
    let refuse = |problem: String, remedy: String| Err(Error::model(&names[number], problem, remedy));
    let find = |name: &String| match names.iter().position(|other| other == name) {
        _ if name == IMAGES => Ok(Input::Images),
        Some(found) if found < number => Ok(Input::Node(found)),
        Some(_) => {
            refuse(format!("it reads {name}, which does not come before it"), "move it behind that layer".into())
        }
        None => {
            let near = did_you_mean(name, names[..number].iter().map(String::as_str));
            refuse(format!("it reads {name:?}, and no layer has this name"), format!("name a layer before it{near}"))
        }
    };
    wanted.iter().map(find).collect()
}

/// A layer at its place, with shapes and parameters.
fn node(
    layer: &Layer,
    name: &str,
    inputs: Vec<Input>,
    before: &[Node],
    image: (usize, usize, usize),
    classes: usize,
) -> Result<Node> {
    let refuse = |(problem, remedy): (String, String)| Error::model(name, problem, remedy);
    let arity = layer.arity();
    if !arity.contains(&inputs.len()) || inputs.len() > MOST_INPUTS {
        let most = *arity.end().min(&MOST_INPUTS);
        let wanted = if *arity.start() == most { most.to_string() } else { format!("{} to {most}", arity.start()) };
        let remedy = format!("give it {wanted} in `inputs`");
        return Err(refuse((format!("it has {} inputs", inputs.len()), remedy)));
    }
    let shape = |input: &Input| match *input {
        Input::Images => Shape::new(&[image.0, image.1, image.2]),
        Input::Node(number) => before[number].output.clone(),
    };
    let shapes: Vec<Shape> = inputs.iter().map(shape).collect();
    let output = layer.output(&shapes, classes).map_err(refuse)?;
    check_size(name, &output)?;
    let mut parameters = layer.parameters(&shapes, &output);
    for parameter in &mut parameters {
        parameter.name = format!("{name}.{}", parameter.name);
        check_size(&parameter.name, &parameter.shape)?;
    }
    let first_parameter = before.last().map_or(0, |node| node.first_parameter + node.parameters.len());
    let (number, name, layer) = (before.len(), name.to_owned(), layer.clone());
    Ok(Node { number, name, layer, inputs, shapes, output, parameters, first_parameter })
}

/// Refuses a network that does not end with the logits, or has other ends.
fn check_end(nodes: &[Node], (height, width, channels): (usize, usize, usize), classes: usize) -> Result<()> {
    let images = Shape::new(&[height, width, channels]);
    let shape = nodes.last().map_or(&images, |node| &node.output);
    let trainable = nodes.iter().flat_map(|node| &node.parameters).any(|own| own.role == Role::Trainable);
    if *shape != Shape::new(&[classes]) || !trainable {
        let last = nodes.last().map_or("input", |node| &node.name);
        let problem = format!("the network ends with shape {shape}, but there are {classes} classes");
        return Err(Error::model(last, problem, "end it with a dense layer that has no `units`"));
    }
    let is_read = |node: &Node| nodes.iter().any(|other| other.inputs.contains(&Input::Node(node.number)));
    match nodes[..nodes.len() - 1].iter().find(|node| !is_read(node)) {
        None => Ok(()),
        Some(node) => {
            let remedy = "remove it, or name it in the `inputs` of a later layer";
            Err(Error::model(&node.name, "no layer reads its output", remedy))
        }
    }
}

/// Refuses a tensor that no memory holds, before its size is multiplied with anything.
fn check_size(name: &str, shape: &Shape) -> Result<()> {
    let elements = shape.sizes().iter().try_fold(1usize, |product, &size| product.checked_mul(size));
    match elements.filter(|&elements| elements <= MOST_ELEMENTS) {
        Some(_) => Ok(()),
        None => Err(Error::model(name, format!("a tensor of {shape} values is too large"), "make the layer smaller")),
    }
}
