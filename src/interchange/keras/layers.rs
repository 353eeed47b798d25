//! Keras's layers as this program's. What computes something else is refused by class and name; what only acts in training and
//! this program does in another place (augmentation) or not at all is left out with a note.

use serde_json::Value;

use super::config::{Chain, KerasLayer};
use super::pixels::{Affine, scaled};
use super::{Refusal, refusal};
use crate::model::Layer;
use crate::shape::{Padding, Shape, Window};

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

/// What this program has layers for.
const SUPPORTED: &str = "supported are InputLayer, Rescaling, Conv2D, Dense, ReLU, Activation, MaxPooling2D, Dropout, Flatten and \
                         the layers of augmentation";

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

/// A chain in this program's layers.
#[derive(Default)]
pub struct Translated {
    /// The layers, but for the number of classes.
    pub layers: Vec<Layer>,
    /// Those with arrays, in order.
    pub weighted: Vec<Weighted>,
    /// What `Rescaling` layers make of a pixel; none without such a layer.
    pub rescaling: Option<Affine>,
    /// Outputs of the last layer, where it is dense.
    pub classes: Option<usize>,
    /// Layers that have been left out.
    pub left_out: Vec<String>,
    /// Max-pooling layers with Keras's padding "same", by place: equal to "valid" where nothing is padded.
    same_pools: Vec<(usize, String)>,
    /// A softmax has been met, after which nothing may come.
    softmax: bool,
}

/// Translates a chain.
///
/// # Errors
/// A layer that this program does not have, or a setting of it.
pub fn translate(chain: &Chain) -> Result<Translated, Refusal> {
    let mut translated = Translated::default();
    for layer in &chain.layers {
        translated.add(layer)?;
    }
    // The last layer gives as many numbers as there are classes.
    if let Some(Layer::Dense { units, .. }) = translated.layers.last_mut() {
        translated.classes = units.take();
    }
    Ok(translated)
}

impl Translated {
    /// A network of this program, for a file of weights alone.
    pub fn own(layers: Vec<Layer>, weighted: Vec<Weighted>) -> Self {
        Self { layers, weighted, ..Self::default() }
    }

    /// Checks what depends on the size of an image: a max-pooling layer with padding "same" whose input is padded.
    ///
    /// # Errors
    /// Such a layer.
    pub fn check_pools(&self, (height, width): (usize, usize), classes: usize) -> Result<(), Refusal> {
        let mut shape = Shape::new(&[height, width, 3]);
        for (place, layer) in self.layers.iter().enumerate() {
            let same = self.same_pools.iter().find(|(pool, _)| *pool == place);
            if let (Some((_, name)), Some((rows, columns, _)), Layer::MaxPool2d { size, stride }) =
                (same, shape.image(), layer)
            {
                let over =
                    |padding, side| Window { kernel: *size, stride: stride.unwrap_or(*size), padding }.over(side);
                if [rows, columns].iter().any(|&side| over(Padding::Same, side) != over(Padding::Valid, side)) {
                    let problem = format!("layer {name} (MaxPooling2D) pads its {rows}x{columns} input");
                    return Err(refusal(problem, "choose padding=\"valid\", or images that need no padding there"));
                }
            }
            // What else is wrong is said when the network is built.
            let Ok(output) = layer.output(&shape, classes) else { break };
            shape = output;
        }
        Ok(())
    }

    fn add(&mut self, layer: &KerasLayer) -> Result<(), Refusal> {
        let class = &layer.class[..];
        if class == "InputLayer" || class == "Identity" {
            return Ok(());
        }
        if TRAINING_ONLY.contains(&class) {
            self.left_out.push(format!("{class} {}", layer.name));
            return Ok(());
        }
        if self.softmax {
            return Err(layer.refuse("comes after softmax", "end the model with softmax, or with logits"));
        }
        layer.check_common()?;
        match class {
            "Rescaling" => return self.rescale(layer),
            "Conv2D" | "Convolution2D" => {
                let convolution = convolution(layer)?;
                self.weighted(layer, convolution);
                return self.activate(layer);
            }
            "Dense" => {
                let dense = Layer::Dense { units: Some(layer.size("units")?), bias: layer.flag("use_bias", true)? };
                self.weighted(layer, dense);
                return self.activate(layer);
            }
            "Activation" => return self.activate(layer),
            "ReLU" => {
                layer.must("max_value", |value| value.is_null(), "no bound")?;
                for name in ["negative_slope", "threshold"] {
                    layer.must(name, |value| value.as_f64().unwrap_or(0.0) == 0.0, "0")?;
                }
                self.layers.push(Layer::Relu {});
            }
            "Softmax" => {
                layer.must("axis", |value| value.is_null() || value.as_i64() == Some(-1), "-1")?;
                self.softmax = true;
            }
            "MaxPooling2D" | "MaxPool2D" => self.pool(layer)?,
            "Dropout" => {
                layer.must("noise_shape", |value| value.is_null(), "left out")?;
                let rate = layer.config["rate"].as_f64().unwrap_or(f64::NAN);
                self.layers.push(Layer::Dropout { rate });
            }
            "Flatten" => self.layers.push(Layer::Flatten {}),
            _ => return Err(refusal(format!("layer {} is a {class}", layer.name), SUPPORTED)),
        }
        Ok(())
    }

    fn weighted(&mut self, layer: &KerasLayer, own: Layer) {
        let (name, place) = (layer.name.clone(), layer.place.clone());
        self.weighted.push(Weighted { name, place, layer: self.layers.len() });
        self.layers.push(own);
    }

    /// The activation that a layer ends with.
    fn activate(&mut self, layer: &KerasLayer) -> Result<(), Refusal> {
        let activation = &layer.config["activation"];
        // Keras 3 may write a function as an object.
        let name = activation.as_str().or(activation["config"].as_str()).or(activation["class_name"].as_str());
        match name {
            None if activation.is_null() => {}
            Some("linear") => {}
            Some("relu") => self.layers.push(Layer::Relu {}),
            Some("softmax") if matches!(self.layers.last(), Some(Layer::Dense { .. })) => self.softmax = true,
            other => {
                let problem = format!("has the activation {}", other.unwrap_or("of an unknown kind"));
                return Err(layer.refuse(&problem, "use relu, and softmax or none at the end"));
            }
        }
        Ok(())
    }

    fn pool(&mut self, layer: &KerasLayer) -> Result<(), Refusal> {
        let size = layer.square("pool_size")?.unwrap_or(2);
        let stride = layer.square("strides")?.filter(|stride| *stride != size);
        if layer.padding()? == Padding::Same {
            self.same_pools.push((self.layers.len(), layer.name.clone()));
        }
        self.layers.push(Layer::MaxPool2d { size, stride });
        Ok(())
    }

    fn rescale(&mut self, layer: &KerasLayer) -> Result<(), Refusal> {
        let first = self.layers.iter().all(|layer| matches!(layer, Layer::Dropout { .. } | Layer::Flatten {}));
        if !first {
            return Err(layer.refuse("comes after other layers", "rescale the pixels before the first layer"));
        }
        let number = |name: &str, absent: f64| match &layer.config[name] {
            Value::Null => Ok(absent),
            value => value
                .as_f64()
                .filter(|number| number.is_finite())
                .ok_or_else(|| layer.refuse(&format!("has the {name} {value}"), "use one number for all colours")),
        };
        let next = Affine { scale: number("scale", 1.0)?, offset: number("offset", 0.0)? };
        self.rescaling = Some(scaled(self.rescaling, next));
        Ok(())
    }
}

fn convolution(layer: &KerasLayer) -> Result<Layer, Refusal> {
    for name in ["dilation_rate", "groups"] {
        let one = |value: &Value| match value {
            Value::Null => true,
            Value::Array(items) => items.iter().all(|item| item.as_u64() == Some(1)),
            value => value.as_u64() == Some(1),
        };
        layer.must(name, one, "1")?;
    }
    let kernel = layer.square("kernel_size")?;
    Ok(Layer::Conv2d {
        filters: layer.size("filters")?,
        kernel: kernel.ok_or_else(|| layer.refuse("has no kernel_size", "save it again with Keras"))?,
        stride: layer.square("strides")?.unwrap_or(1),
        padding: layer.padding()?,
        bias: layer.flag("use_bias", true)?,
    })
}

impl KerasLayer {
    fn refuse(&self, problem: &str, remedy: &str) -> Refusal {
        refusal(format!("layer {} ({}) {problem}", self.name, self.class), remedy)
    }

    /// Refuses a setting with another value.
    fn must(&self, name: &str, holds: impl Fn(&Value) -> bool, wanted: &str) -> Result<(), Refusal> {
        match &self.config[name] {
            value if holds(value) => Ok(()),
            value => Err(self.refuse(&format!("has {name} = {value}"), &format!("only {wanted} is supported"))),
        }
    }

    /// What every layer may say.
    fn check_common(&self) -> Result<(), Refusal> {
        let last = |value: &Value| value.is_null() || value == "channels_last";
        self.must("data_format", last, "channels_last")?;
        self.must("quantization_config", Value::is_null, "no quantization")?;
        self.must("lora_rank", Value::is_null, "no low-rank adaptation")?;
        let policy = &self.config["dtype"];
        let name = policy.as_str().or(policy["config"]["name"].as_str()).unwrap_or("float32");
        // In mixed precision Keras keeps weights as f32.
        if !["float32", "float64", "float16", "mixed_float16", "mixed_bfloat16"].contains(&name) {
            return Err(self.refuse(&format!("has the type {name}"), "save the model in float32"));
        }
        Ok(())
    }

    fn flag(&self, name: &str, absent: bool) -> Result<bool, Refusal> {
        match &self.config[name] {
            Value::Null => Ok(absent),
            Value::Bool(flag) => Ok(*flag),
            other => Err(self.refuse(&format!("has {name} = {other}"), "save it again with Keras")),
        }
    }

    fn size(&self, name: &str) -> Result<usize, Refusal> {
        let value = &self.config[name];
        let size = value.as_u64().filter(|size| (1..=1 << 20).contains(size)).map(|size| size as usize);
        size.ok_or_else(|| self.refuse(&format!("has {name} = {value}"), "use 1 to 1048576"))
    }

    /// A number that stands once, or twice the same; none where it is absent.
    fn square(&self, name: &str) -> Result<Option<usize>, Refusal> {
        let value = &self.config[name];
        let number = match value {
            Value::Null => return Ok(None),
            Value::Array(pair) if pair.len() == 2 && pair[0] == pair[1] => pair[0].as_u64(),
            other => other.as_u64(),
        };
        let number = number.filter(|number| (1..=1 << 20).contains(number)).map(|number| Some(number as usize));
        number.ok_or_else(|| self.refuse(&format!("has {name} = {value}"), "use the same number for rows and columns"))
    }

    fn padding(&self) -> Result<Padding, Refusal> {
        match self.config["padding"].as_str() {
            Some("same") => Ok(Padding::Same),
            Some("valid") => Ok(Padding::Valid),
            None if self.config["padding"].is_null() => Ok(Padding::Valid),
            _ => Err(self.refuse(&format!("has padding = {}", self.config["padding"]), "use \"same\" or \"valid\"")),
        }
    }
}
