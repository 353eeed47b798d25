//! Trained weights as an ONNX graph: `images` (bytes, N x height x width x 3, as picture libraries give them) in, `logits` and
//! `probabilities` (N x classes) out; division by 255 is part of it. Operators as in opset 21 (ONNX 1.16).
//!
//! ONNX convolves with channels before rows, this program after columns: the graph transposes once before the first such layer and
//! back before values are flattened, and kernels are stored OIHW. Padding is stated in numbers, since ONNX's `SAME_UPPER` is not
//! defined alike by all runtimes.

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
use crate::model::{Layer, Node};
use crate::shape::{Padding, Shape, Window};
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
    let mut graph = Graph::new(&[height, width, 3]);
    let network = weights.network()?;
    let mut tensors = weights.tensors.iter();
    for node in &network.nodes {
        let own: Vec<&Vec<f32>> = tensors.by_ref().take(node.parameters.len()).collect();
        graph.layer(node, &own);
    }
    let model = ModelProto {
        ir_version: Some(IR_VERSION),
        producer_name: Some("galaxy-gpu".into()),
        producer_version: Some(env!("CARGO_PKG_VERSION").into()),
        doc_string: Some(format!("{} for images of {height} x {width} RGB pixels", network.name)),
        graph: Some(graph.finish(&network.name, card.classes.len())),
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

/// A graph under construction.
struct Graph {
    graph: GraphProto,
    /// Name of the newest value.
    last: String,
    /// Whether that has its channels before its rows.
    channels_first: bool,
}

impl Graph {
    /// A graph that divides bytes by 255.
    fn new(image: &[usize]) -> Self {
        let about = "RGB pixels, 0 to 255, row by row from the top";
        let input = vec![ValueInfoProto::batch("images", UINT8, image, about)];
        let most = TensorProto::floats("largest_byte", &[], &[255.0]);
        let graph = GraphProto { input, initializer: vec![most], ..GraphProto::default() };
        let mut graph = Self { graph, last: "images".into(), channels_first: false };
        graph.node("Cast", "floats", &[], vec![AttributeProto::int("to", FLOAT.into())]);
        graph.node("Div", "pixels", &["largest_byte"], Vec::new());
        graph
    }

    /// Adds an operator on the newest value and these others.
    fn node(&mut self, operator: &str, name: &str, others: &[&str], attribute: Vec<AttributeProto>) {
        let inputs = std::iter::once(self.last.clone()).chain(others.iter().map(|&name| name.to_owned()));
        self.graph.node.push(NodeProto {
            input: inputs.collect(),
            output: vec![name.to_owned()],
            name: Some(name.to_owned()),
            op_type: Some(operator.to_owned()),
            attribute,
        });
        name.clone_into(&mut self.last);
    }

    /// Moves channels before rows, or back, where they are not there already.
    fn transpose(&mut self, channels_first: bool, before: &str) {
        if self.channels_first != channels_first {
            let order: &[usize] = if channels_first { &[0, 3, 1, 2] } else { &[0, 2, 3, 1] };
            let name = format!("{before}.{}", if channels_first { "nchw" } else { "nhwc" });
            self.node("Transpose", &name, &[], vec![AttributeProto::ints("perm", order)]);
            self.channels_first = channels_first;
        }
    }

    /// Adds a layer with its tensors: kernel, and bias where it has one.
    fn layer(&mut self, node: &Node, tensors: &[&Vec<f32>]) {
        let name = &node.name[..];
        match &node.layer {
            Layer::Conv2d { kernel, stride, padding, .. } => {
                self.transpose(true, name);
                let window = Window { kernel: *kernel, stride: *stride, padding: *padding };
                let names = self.parameters(node, tensors);
                let mut attributes = window_attributes(window, &node.input);
                attributes.push(AttributeProto::ints("dilations", &[1, 1]));
                self.node("Conv", name, &names.iter().map(|name| &name[..]).collect::<Vec<_>>(), attributes);
            }
            Layer::MaxPool2d { size, stride } => {
                self.transpose(true, name);
                let window = Window { kernel: *size, stride: stride.unwrap_or(*size), padding: Padding::Valid };
                self.node("MaxPool", name, &[], window_attributes(window, &node.input));
            }
            Layer::Relu {} => self.node("Relu", name, &[], Vec::new()),
            // A network in use drops nothing.
            Layer::Dropout { .. } => {}
            Layer::Flatten {} => {
                self.transpose(false, name);
                self.node("Flatten", name, &[], vec![AttributeProto::int("axis", 1)]);
            }
            Layer::Dense { .. } => {
                let names = self.parameters(node, tensors);
                self.node("Gemm", name, &names.iter().map(|name| &name[..]).collect::<Vec<_>>(), Vec::new());
            }
        }
    }

    /// Stores a layer's tensors as ONNX wants them and returns their names.
    fn parameters(&mut self, node: &Node, tensors: &[&Vec<f32>]) -> Vec<String> {
        for (parameter, values) in node.parameters.iter().zip(tensors) {
            let stored = match *parameter.shape.sizes() {
                [rows, columns, inputs, outputs] => {
                    let values = channels_first(values, (rows * columns, inputs, outputs));
                    TensorProto::floats(&parameter.name, &[outputs, inputs, rows, columns], &values)
                }
                ref sizes => TensorProto::floats(&parameter.name, sizes, values),
            };
            self.graph.initializer.push(stored);
        }
        node.parameters.iter().map(|parameter| parameter.name.clone()).collect()
    }

    /// Names the logits, and adds what softmax makes of them.
    fn finish(mut self, name: &str, classes: usize) -> GraphProto {
        self.node("Identity", "logits", &[], Vec::new());
        self.node("Softmax", "probabilities", &[], vec![AttributeProto::int("axis", -1)]);
        self.graph.output = vec![
            ValueInfoProto::batch("logits", FLOAT, &[classes], "scores before softmax"),
            ValueInfoProto::batch("probabilities", FLOAT, &[classes], "softmax of the logits"),
        ];
        self.graph.name = Some(if name.is_empty() { "network" } else { name }.to_owned());
        self.graph
    }
}

/// Side, step and zeros of a window: `pads` is top, left, bottom, right.
fn window_attributes(window: Window, input: &Shape) -> Vec<AttributeProto> {
    let (height, width, _) = input.image().unwrap_or((1, 1, 1));
    let pads = |side: usize| {
        let (out, front) = window.over(side).unwrap_or((1, 0));
        match window.padding {
            Padding::Valid => (0, 0),
            Padding::Same => (front, ((out - 1) * window.stride + window.kernel).saturating_sub(side) - front),
        }
    };
    let ((top, bottom), (left, right)) = (pads(height), pads(width));
    vec![
        AttributeProto::ints("kernel_shape", &[window.kernel; 2]),
        AttributeProto::ints("strides", &[window.stride; 2]),
        AttributeProto::ints("pads", &[top, left, bottom, right]),
    ]
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

    #[test]
    fn padding_is_that_of_the_kernels() {
        let pads = |kernel, stride, padding, sides: [usize; 2]| {
            let input = Shape::new(&[sides[0], sides[1], 3]);
            window_attributes(Window { kernel, stride, padding }, &input).pop().unwrap().ints
        };
        assert_eq!(pads(3, 1, Padding::Same, [8, 8]), [1, 1, 1, 1]);
        assert_eq!(pads(3, 2, Padding::Same, [8, 7]), [0, 1, 1, 1], "one zero, behind");
        assert_eq!(pads(4, 1, Padding::Same, [9, 9]), [1, 1, 2, 2]);
        assert_eq!(pads(5, 2, Padding::Same, [8, 8]), [1, 1, 2, 2]);
        assert_eq!(pads(1, 2, Padding::Same, [5, 5]), [0, 0, 0, 0]);
        assert_eq!(pads(3, 2, Padding::Valid, [8, 8]), [0, 0, 0, 0]);
    }
}
