//! Keras's layers as this program's; what a layer of Keras becomes is in the layer's own file. What computes something else is refused
//! by class and name; what only acts in training and this program does in another place (augmentation) or not at all is left out with a
//! note.

use super::config::{Description, Placed};
use super::pixels::{Affine, scaled};
use super::{Refusal, refusal, snake_case};
use crate::layers::{Input, KerasLayer, Layer, Passes};
use crate::model::{Entry, IMAGES, Node, automatic_names, is_layer_name};

/// Layers of Keras that pass everything on unchanged when a network is used.
const TRAINING_ONLY: [&str; 24] = [
    "ActivityRegularization",
    "AlphaDropout",
    "AugMix",
    "CutMix",
    "GaussianDropout",
    "GaussianNoise",
    "MixUp",
    "RandAugment",
    "RandomBrightness",
    "RandomColorDegeneration",
    "RandomColorJitter",
    "RandomContrast",
    "RandomElasticTransform",
    "RandomErasing",
    "RandomFlip",
    "RandomGaussianBlur",
    "RandomHue",
    "RandomPerspective",
    "RandomRotation",
    "RandomSaturation",
    "RandomShear",
    "RandomTranslation",
    "RandomZoom",
    "SpatialDropout2D",
];

/// A layer with arrays.
#[derive(Debug, PartialEq)]
pub struct Weighted {
    /// Its name in Keras.
    pub name: String,
    /// Its group in files of Keras 3.
    pub place: String,
    /// Its place among the translated layers.
    pub layer: usize,
}

/// A model in this program's layers.
#[derive(Default)]
pub struct Translated {
    /// The layers, but for the number of classes.
    pub layers: Vec<Entry>,
    /// What each reads.
    inputs: Vec<Vec<Input>>,
    /// What they are in Keras, in order; those without arrays are among them.
    pub weighted: Vec<Weighted>,
    /// What `Rescaling` layers make of a pixel; none without such a layer.
    pub rescaling: Option<Affine>,
    /// Outputs of the last layer, where it is dense.
    pub classes: Option<usize>,
    /// Layers that have been left out.
    pub left_out: Vec<String>,
    /// Layers of Keras whose settings are to be checked against the shapes of their inputs, by place.
    unchecked: Vec<(usize, KerasLayer)>,
    /// Whether a layer has read the pixels, so that `rescaling` is settled.
    pixels_read: bool,
    /// A softmax has been met, after which nothing may come.
    softmax: bool,
}

/// What a layer of Keras hands on.
#[derive(Clone, Copy)]
struct Value {
    input: Input,
    /// The rescaling so far, where it is still the pixels.
    pixels: Option<Option<Affine>>,
}

/// Translates a model.
///
/// # Errors
/// A layer that this program does not have, or a setting of it.
pub fn translate(description: &Description) -> Result<Translated, Refusal> {
    let mut translated = Translated::default();
    let images = Value { input: Input::Images, pixels: Some(None) };
    let mut values: Vec<Value> = Vec::new();
    let of = |values: &[Value], input: &Input| match *input {
        Input::Images => images,
        Input::Node(number) => values[number],
    };
    for Placed { layer, inputs, place } in &description.layers {
        let inputs: Vec<Value> = inputs.iter().map(|input| of(&values, input)).collect();
        values.push(translated.add(layer, place, &inputs)?);
    }
    let last = translated.layers.len().checked_sub(1).map_or(Input::Images, Input::Node);
    if of(&values, &description.output).input != last {
        return Err(refusal("layers come after its output", "save a model that ends with its output"));
    }
    translated.connect(description);
    // The last layer gives as many numbers as there are classes.
    translated.classes = translated.layers.last_mut().and_then(|last| last.layer.leave_outputs_open());
    Ok(translated)
}

impl Translated {
    /// A network of this program, for a file of weights alone.
    pub fn own(layers: Vec<Entry>, weighted: Vec<Weighted>) -> Self {
        Self { layers, weighted, ..Self::default() }
    }

    /// Checks what depends on the shapes of a layer's inputs.
    ///
    /// # Errors
    /// A setting that this program does not have.
    pub fn check_shapes(&self, nodes: &[Node]) -> Result<(), Refusal> {
        let mut checks = self.unchecked.iter().filter_map(|(place, layer)| Some((nodes.get(*place)?, layer)));
        checks.try_for_each(|(node, layer)| node.layer.check_keras(layer, &node.shapes))
    }

    /// Translates a layer; returns what it hands on.
    fn add(&mut self, layer: &KerasLayer, place: &str, inputs: &[Value]) -> Result<Value, Refusal> {
        let class = &layer.class[..];
        let left_out = TRAINING_ONLY.contains(&class);
        if let ([input], true) = (inputs, left_out || class == "Identity") {
            self.left_out.extend(left_out.then(|| format!("{class} {}", layer.name)));
            return Ok(*input);
        }
        if self.softmax {
            return Err(layer.refuse("comes after softmax", "end the model with softmax, or with logits"));
        }
        layer.check_common()?;
        match (class, inputs) {
            ("Rescaling", [input]) => rescale(layer, *input),
            ("Activation", [input]) => self.activate(layer, *input),
            ("Softmax", [input]) => {
                layer.must("axis", |value| value.is_null() || value.as_i64() == Some(-1), "-1")?;
                self.softmax = true;
                Ok(*input)
            }
            _ => {
                let Some(own) = Layer::from_keras(layer) else {
                    let supported = format!(
                        "supported are InputLayer, Rescaling, Activation, Softmax, {} and the layers of augmentation",
                        Layer::keras_classes().join(", ")
                    );
                    return Err(refusal(format!("layer {} is a {class}", layer.name), supported));
                };
                let number = self.layers.len();
                self.weighted.push(Weighted { name: layer.name.clone(), place: place.to_owned(), layer: number });
                self.unchecked.push((number, layer.clone()));
                let value = self.push(own?, layer, inputs)?;
                self.activate(layer, value)
            }
        }
    }

    /// Adds a layer of this program for one of Keras.
    fn push(&mut self, own: Layer, layer: &KerasLayer, inputs: &[Value]) -> Result<Value, Refusal> {
        // what only hands the pixels on, factor and summand alike, leaves them the pixels
        let hands_on = inputs.len() == 1 && own.passes() == Passes::Affine;
        let pixels = inputs.iter().filter_map(|input| input.pixels);
        for rescaling in pixels.filter(|_| !hands_on) {
            if std::mem::replace(&mut self.pixels_read, true) && self.rescaling != rescaling {
                let remedy = "rescale the pixels once, before the first layer";
                return Err(layer.refuse("reads pixels that another layer reads in another scale", remedy));
            }
            self.rescaling = rescaling;
        }
        self.layers.push(own.into());
        self.inputs.push(inputs.iter().map(|input| input.input).collect());
        let input = Input::Node(self.layers.len() - 1);
        Ok(Value { input, pixels: inputs[0].pixels.filter(|_| hands_on) })
    }

    /// Says what each layer reads, where the model is no chain; there layers keep the names that somebody gave them.
    fn connect(&mut self, description: &Description) {
        let before = |number: usize| [number.checked_sub(1).map_or(Input::Images, Input::Node)];
        if self.inputs.iter().enumerate().all(|(number, inputs)| **inputs == before(number)) {
            return;
        }
        let mut names = automatic_names(&self.layers);
        for Weighted { name, layer, .. } in &self.weighted {
            let class =
                description.layers.iter().find(|placed| placed.layer.name == *name).map(|placed| &placed.layer.class);
            let number = class.and_then(|class| name.strip_prefix(&snake_case(class)));
            let automatic =
                number.is_some_and(|rest| rest.trim_start_matches(['_']).chars().all(|c| c.is_ascii_digit()));
            if !automatic && is_layer_name(name) && !names.contains(name) {
                names[*layer].clone_from(name);
                self.layers[*layer].name = Some(name.clone());
            }
        }
        for (number, inputs) in self.inputs.iter().enumerate() {
            let name = |input: &Input| match *input {
                Input::Images => IMAGES.to_owned(),
                Input::Node(number) => names[number].clone(),
            };
            self.layers[number].inputs = (**inputs != before(number)).then(|| inputs.iter().map(name).collect());
        }
    }

    /// The activation that a layer ends with.
    fn activate(&mut self, layer: &KerasLayer, input: Value) -> Result<Value, Refusal> {
        let activation = &layer.config["activation"];
        // Keras 3 may write a function as an object.
        let name = activation.as_str().or(activation["config"].as_str()).or(activation["class_name"].as_str());
        let ends = || self.layers.last().and_then(|last| last.layer.clone().leave_outputs_open()).is_some();
        match name {
            None if activation.is_null() => Ok(input),
            Some("linear") => Ok(input),
            Some("softmax") if ends() => {
                self.softmax = true;
                Ok(input)
            }
            other => {
                let unknown = KerasLayer {
                    class: other.unwrap_or("of an unknown kind").to_owned(),
                    name: layer.name.clone(),
                    config: serde_json::Value::Null,
                };
                let own = Layer::from_keras(&unknown).transpose()?;
                let Some(own) = own.filter(|own| own.keras_activation() == other) else {
                    let problem = format!("has the activation {}", unknown.class);
                    return Err(layer.refuse(&problem, "use relu, and softmax or none at the end"));
                };
                self.push(own, layer, &[input])
            }
        }
    }
}

fn rescale(layer: &KerasLayer, input: Value) -> Result<Value, Refusal> {
    let Some(before) = input.pixels else {
        return Err(layer.refuse("comes after other layers", "rescale the pixels before the first layer"));
    };
    let number = |name: &str, absent: f64| match &layer.config[name] {
        serde_json::Value::Null => Ok(absent),
        value => value
            .as_f64()
            .filter(|number| number.is_finite())
            .ok_or_else(|| layer.refuse(&format!("has the {name} {value}"), "use one number for all colours")),
    };
    let next = Affine { scale: number("scale", 1.0)?, offset: number("offset", 0.0)? };
    Ok(Value { pixels: Some(Some(scaled(before, next))), ..input })
}
