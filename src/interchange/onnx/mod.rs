//! Trained weights as an ONNX graph: `images` (bytes, N x height x width x 3, as picture libraries give them) in, `logits` and
//! `probabilities` (N x classes) out; division by 255 is part of it. Operators as in opset 21 (ONNX 1.16).
//!
//! Which operator a layer is stands in the layer's own file. ONNX convolves with channels before rows, this program after columns: the
//! graph transposes where an operator wants the other order, which is before the first convolution and before values are flattened, and
//! kernels are stored OIHW.

#[allow(missing_docs, reason = "fields have the names and meanings of onnx.proto")]
mod proto;

use std::path::Path;

use prost::Message;

use self::proto::{
    AttributeProto, FLOAT, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, StringStringEntryProto, TensorProto,
    UINT8, ValueInfoProto,
};
use super::Origin;
use crate::error::{Error, Result};
use crate::layers::{Attribute, Channels, Input, Node, Operator};
use crate::model::Network;
use crate::train::Weights;

/// Set of operators.
const OPSET: i64 = 21;
/// Version of the format that goes with it.
const IR_VERSION: i64 = 10;
/// Longest message that protobuf can hold, in bytes.
const LARGEST_FILE: usize = i32::MAX as usize;

/// The bytes of a model, which is to be written to `path`.
///
/// # Errors
/// [`Error::File`] for a network of more than 2 GiB.
pub fn model_file(path: &Path, weights: &Weights) -> Result<Vec<u8>> {
    let card = &weights.card;
    let (height, width) = (card.height, card.width);
    let classes = serde_json::to_string(&card.classes).map_err(|e| Error::file(path, e, "please report this"))?;
    let entry = |key: &str, value: String| StringStringEntryProto { key: Some(key.into()), value: Some(value) };
    let network = weights.network()?;
    let graph = graph(&network, &weights.tensors);
    let model = ModelProto {
        ir_version: Some(IR_VERSION),
        producer_name: Some("galaxy-gpu".into()),
        producer_version: Some(env!("CARGO_PKG_VERSION").into()),
        doc_string: Some(format!("{} for images of {height} x {width} RGB pixels", network.name)),
        graph: Some(graph),
        opset_import: vec![OperatorSetIdProto { domain: Some(String::new()), version: Some(OPSET) }],
        metadata_props: vec![
            entry("classes", classes),
            entry("preprocessing", "none: images are RGB bytes of this size, NHWC".into()),
            entry("galaxy-gpu", Origin::of(path, weights)?),
        ],
    };
    if model.encoded_len() > LARGEST_FILE {
        let problem = format!("an ONNX file holds 2 GiB, and this network needs {} bytes", model.encoded_len());
        return Err(Error::file(path, problem, "export it as .keras or .safetensors"));
    }
    Ok(model.encode_to_vec())
}

/// A network with its parameters.
fn graph(network: &Network, parameters: &[Vec<f32>]) -> GraphProto {
    let (height, width, channels) = network.image;
    let mut graph = Graph::new(&[height, width, channels]);
    let images = graph.images();
    let mut values: Vec<Value> = Vec::new();
    for node in &network.nodes {
        let inputs = node.inputs.iter().map(|input| match *input {
            Input::Images => images.clone(),
            Input::Node(number) => values[number].clone(),
        });
        let inputs = inputs.collect();
        let own = &parameters[node.first_parameter..][..node.parameters.len()];
        values.push(graph.layer(node, inputs, own));
    }
    graph.finish(&network.name, values.pop().unwrap_or(images), network.classes)
}

/// A value of a graph.
#[derive(Clone)]
struct Value {
    name: String,
    /// Whether it has its channels before its rows.
    channels_first: bool,
}

/// A graph under construction.
struct Graph {
    graph: GraphProto,
}

impl Graph {
    /// A graph of images as bytes.
    fn new(image: &[usize]) -> Self {
        let about = "RGB pixels, 0 to 255, row by row from the top";
        let input = vec![ValueInfoProto::batch("images", UINT8, image, about)];
        let most = TensorProto::floats("largest_byte", &[], &[255.0]);
        Self { graph: GraphProto { input, initializer: vec![most], ..GraphProto::default() } }
    }

    /// Divides the bytes by 255.
    fn images(&mut self) -> Value {
        let floats = self.node("Cast", "floats", &["images"], vec![AttributeProto::int("to", FLOAT.into())]);
        let name = self.node("Div", "pixels", &[&floats, "largest_byte"], Vec::new());
        Value { name, channels_first: false }
    }

    /// Adds an operator; returns the name of its value, which is its own.
    fn node(&mut self, operator: &str, name: &str, inputs: &[&str], attribute: Vec<AttributeProto>) -> String {
        self.graph.node.push(NodeProto {
            input: inputs.iter().map(|&input| input.to_owned()).collect(),
            output: vec![name.to_owned()],
            name: Some(name.to_owned()),
            op_type: Some(operator.to_owned()),
            attribute,
        });
        name.to_owned()
    }

    /// Moves channels before rows, or back, where they are not there already.
    fn transpose(&mut self, value: &mut Value, channels_first: bool, reader: &str) {
        if value.channels_first != channels_first {
            let order: &[usize] = if channels_first { &[0, 3, 1, 2] } else { &[0, 2, 3, 1] };
            let name = format!("{reader}.{}", if channels_first { "nchw" } else { "nhwc" });
            value.name = self.node("Transpose", &name, &[&value.name], vec![AttributeProto::ints("perm", order)]);
            value.channels_first = channels_first;
        }
    }

    /// Adds a layer with its parameters.
    fn layer(&mut self, node: &Node, mut inputs: Vec<Value>, parameters: &[Vec<f32>]) -> Value {
        let Some(Operator { name, channels, attributes }) = node.layer.onnx(node) else { return inputs.swap_remove(0) };
        let channels_first = match channels {
            Channels::First => true,
            Channels::Last => false,
            Channels::Any => inputs[0].channels_first,
        };
        for (number, input) in inputs.iter_mut().enumerate() {
            let reader = if number == 0 { node.name.clone() } else { format!("{}.{number}", node.name) };
            self.transpose(input, channels_first, &reader);
        }
        let attributes = attributes.into_iter().map(|(name, attribute)| match attribute {
            Attribute::Number(number) => AttributeProto::int(name, number),
            Attribute::Numbers(numbers) => AttributeProto::ints(name, &numbers),
            Attribute::LastAxis => AttributeProto::int(name, if channels_first { 1 } else { -1 }),
        });
        let attributes = attributes.collect();
        self.parameters(node, parameters);
        let parameters = node.parameters.iter().map(|parameter| &parameter.name[..]);
        let read: Vec<&str> = inputs.iter().map(|input| &input.name[..]).chain(parameters).collect();
        Value { name: self.node(name, &node.name, &read, attributes), channels_first }
    }

    /// Stores a layer's parameters as ONNX wants them.
    fn parameters(&mut self, node: &Node, parameters: &[Vec<f32>]) {
        for (parameter, values) in node.parameters.iter().zip(parameters) {
            let stored = match *parameter.shape.sizes() {
                [rows, columns, inputs, outputs] => {
                    let values = channels_first(values, (rows * columns, inputs, outputs));
                    TensorProto::floats(&parameter.name, &[outputs, inputs, rows, columns], &values)
                }
                ref sizes => TensorProto::floats(&parameter.name, sizes, values),
            };
            self.graph.initializer.push(stored);
        }
    }

    /// Names the logits, and adds what softmax makes of them.
    fn finish(mut self, name: &str, last: Value, classes: usize) -> GraphProto {
        let logits = self.node("Identity", "logits", &[&last.name], Vec::new());
        self.node("Softmax", "probabilities", &[&logits], vec![AttributeProto::int("axis", -1)]);
        self.graph.output = vec![
            ValueInfoProto::batch("logits", FLOAT, &[classes], "scores before softmax"),
            ValueInfoProto::batch("probabilities", FLOAT, &[classes], "softmax of the logits"),
        ];
        self.graph.name = Some(if name.is_empty() { "network" } else { name }.to_owned());
        self.graph
    }
}

/// A kernel HWIO as OIHW; `area` is rows x columns.
fn channels_first(values: &[f32], (area, inputs, outputs): (usize, usize, usize)) -> Vec<f32> {
    let place = |o: usize, i: usize, at: usize| (at * inputs + i) * outputs + o;
    let inputs_of = |o: usize| (0..inputs).flat_map(move |i| (0..area).map(move |at| place(o, i, at)));
    (0..outputs).flat_map(inputs_of).map(|place| values[place]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_are_transposed() {
        // rows x columns = 2, inputs = 2, outputs = 3
        let values: Vec<f32> = (0..12).map(|i| i as f32).collect();
        let wanted = [0.0, 6.0, 3.0, 9.0, 1.0, 7.0, 4.0, 10.0, 2.0, 8.0, 5.0, 11.0];
        assert_eq!(channels_first(&values, (2, 2, 3)), wanted);
    }
}
