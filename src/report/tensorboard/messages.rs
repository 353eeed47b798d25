//! The protocol buffers of an event file, as far as they are written here: no more than their fields and numbers.
//!
//! Numbers are those of TensorFlow's `tensorflow/core/util/event.proto` and `tensorflow/core/framework/`: `summary.proto`,
//! `tensor.proto`, `tensor_shape.proto`, `graph.proto`, `node_def.proto`, `attr_value.proto` and `versions.proto`; of TensorBoard's
//! `tensorboard/plugins/hparams/plugin_data.proto`; and of `google/protobuf/struct.proto`.

use super::Hyperparameter;
use prost::{Message, Oneof};
use std::collections::BTreeMap;

/// `SessionLog.START`.
pub(super) const START: i32 = 1;
/// `Summary.Image.colorspace` of RGB.
pub(super) const RGB: i32 = 3;
/// `STATUS_SUCCESS` and `STATUS_FAILURE` of `tensorboard/plugins/hparams/api.proto`.
pub(super) const SUCCESS: i32 = 1;
pub(super) const FAILURE: i32 = 2;
/// A `TF_GRAPH_DEF_VERSION` that every reader knows.
pub(super) const GRAPH_VERSION: i32 = 22;

/// One record of an event file.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Event {
    #[prost(double, tag = "1")]
    pub wall_time: f64,
    #[prost(int64, tag = "2")]
    pub step: i64,
    #[prost(oneof = "Payload", tags = "3, 4, 5, 7")]
    pub payload: Option<Payload>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum Payload {
    #[prost(string, tag = "3")]
    FileVersion(String),
    /// A [`GraphDef`].
    #[prost(bytes, tag = "4")]
    Graph(Vec<u8>),
    #[prost(message, tag = "5")]
    Summary(Summary),
    #[prost(message, tag = "7")]
    SessionLog(SessionLog),
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct SessionLog {
    #[prost(int32, tag = "1")]
    pub status: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Summary {
    #[prost(message, repeated, tag = "1")]
    pub values: Vec<Value>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Value {
    #[prost(string, tag = "1")]
    pub tag: String,
    #[prost(message, optional, tag = "9")]
    pub metadata: Option<SummaryMetadata>,
    #[prost(oneof = "ValueKind", tags = "2, 4, 8")]
    pub kind: Option<ValueKind>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum ValueKind {
    #[prost(float, tag = "2")]
    Simple(f32),
    #[prost(message, tag = "4")]
    Image(Image),
    #[prost(message, tag = "8")]
    Tensor(Tensor),
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Image {
    #[prost(int32, tag = "1")]
    pub height: i32,
    #[prost(int32, tag = "2")]
    pub width: i32,
    #[prost(int32, tag = "3")]
    pub colorspace: i32,
    /// PNG, among others.
    #[prost(bytes = "vec", tag = "4")]
    pub encoded: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct SummaryMetadata {
    #[prost(message, optional, tag = "1")]
    pub plugin: Option<PluginData>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct PluginData {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(bytes = "vec", tag = "2")]
    pub content: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Tensor {
    #[prost(int32, tag = "1")]
    pub element: i32,
    #[prost(message, optional, tag = "2")]
    pub shape: Option<TensorShape>,
    #[prost(float, repeated, tag = "5")]
    pub floats: Vec<f32>,
    #[prost(bytes = "vec", repeated, tag = "8")]
    pub strings: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct TensorShape {
    #[prost(message, repeated, tag = "2")]
    pub sizes: Vec<Size>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Size {
    #[prost(int64, tag = "1")]
    pub size: i64,
}

impl TensorShape {
    pub(super) fn of(sizes: &[i64]) -> Self {
        Self { sizes: sizes.iter().map(|&size| Size { size }).collect() }
    }
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct GraphDef {
    #[prost(message, repeated, tag = "1")]
    pub nodes: Vec<NodeDef>,
    #[prost(message, optional, tag = "4")]
    pub versions: Option<Versions>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Versions {
    #[prost(int32, tag = "1")]
    pub producer: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct NodeDef {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub operation: String,
    #[prost(string, repeated, tag = "3")]
    pub inputs: Vec<String>,
    #[prost(btree_map = "string, message", tag = "5")]
    pub attributes: BTreeMap<String, Attribute>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Attribute {
    #[prost(oneof = "AttributeKind", tags = "1, 2")]
    pub kind: Option<AttributeKind>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum AttributeKind {
    #[prost(message, tag = "1")]
    List(ShapeList),
    #[prost(bytes, tag = "2")]
    Text(Vec<u8>),
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ShapeList {
    #[prost(message, repeated, tag = "7")]
    pub shapes: Vec<TensorShape>,
}

impl Attribute {
    pub(super) fn text(text: &str) -> Self {
        Self { kind: Some(AttributeKind::Text(text.as_bytes().to_vec())) }
    }

    pub(super) fn shapes(shapes: &[&[i64]]) -> Self {
        let shapes = shapes.iter().map(|sizes| TensorShape::of(sizes)).collect();
        Self { kind: Some(AttributeKind::List(ShapeList { shapes })) }
    }
}

/// `HParamsPluginData`; its version is 0, which is not written.
#[derive(Clone, PartialEq, Message)]
pub(super) struct HyperparameterData {
    #[prost(message, optional, tag = "3")]
    pub start: Option<SessionStart>,
    #[prost(message, optional, tag = "4")]
    pub end: Option<SessionEnd>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct SessionStart {
    #[prost(btree_map = "string, message", tag = "1")]
    pub settings: BTreeMap<String, Setting>,
    #[prost(double, tag = "5")]
    pub start_time: f64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct SessionEnd {
    #[prost(int32, tag = "1")]
    pub status: i32,
    #[prost(double, tag = "2")]
    pub end_time: f64,
}

/// `google.protobuf.Value`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Setting {
    #[prost(oneof = "SettingKind", tags = "2, 3, 4")]
    pub kind: Option<SettingKind>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum SettingKind {
    #[prost(double, tag = "2")]
    Number(f64),
    #[prost(string, tag = "3")]
    Text(String),
    #[prost(bool, tag = "4")]
    Switch(bool),
}

impl Setting {
    pub(super) fn of(setting: &Hyperparameter) -> Self {
        Self {
            kind: Some(match setting {
                Hyperparameter::Number(number) => SettingKind::Number(*number),
                Hyperparameter::Switch(on) => SettingKind::Switch(*on),
                Hyperparameter::Text(text) => SettingKind::Text(text.clone()),
            }),
        }
    }
}
