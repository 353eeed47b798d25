//! Event files that TensorBoard reads: scalars, pictures, text, the graph and the settings of a training.
//!
//! `records.rs` frames bytes, `messages.rs` holds the few protocol buffers that are needed. This room knows a stream to write to;
//! it knows neither run folders nor clocks.

mod messages;
mod records;

use crate::error::{Error, Result};
use image::{ImageFormat, RgbImage};
use messages::{
    Attribute, Event, GraphDef, HyperparameterData, Image, NodeDef, Payload, PluginData, SessionEnd, SessionLog,
    SessionStart, Setting, Summary, SummaryMetadata, Tensor, TensorShape, Value, ValueKind, Versions,
};
use prost::Message;
use std::collections::BTreeMap;
use std::io::{Cursor, Write};

/// When something was measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct At {
    /// Seconds since 1970.
    pub time: f64,
    /// Optimizer steps behind it.
    pub step: u32,
}

/// A node of the graph tab.
#[derive(Clone, Debug, PartialEq)]
pub struct GraphNode {
    /// Unique; `a/b` is `b` within the group `a`.
    pub name: String,
    /// What it does, such as `conv2d`.
    pub operation: String,
    /// Names of the nodes it reads.
    pub inputs: Vec<String>,
    /// Sizes of its output; -1 is any number.
    pub output: Vec<i64>,
    /// What else is known of it.
    pub attributes: Vec<(String, String)>,
}

/// A setting of a training, for the table that compares runs.
#[derive(Clone, Debug, PartialEq)]
pub enum Hyperparameter {
    /// A number.
    Number(f64),
    /// On or off.
    Switch(bool),
    /// Anything else.
    Text(String),
}

/// Writes one event file, record by record.
pub struct EventWriter<W: Write> {
    out: W,
}

/// The first record of a file says what it is: `tensorflow/core/util/events_writer.cc`.
const FILE_VERSION: &str = "brain.Event:2";
/// Plugin and tags of the settings: `tensorboard/plugins/hparams/metadata.py`.
const HPARAMS: &str = "hparams";
const SESSION_START: &str = "_hparams_/session_start_info";
const SESSION_END: &str = "_hparams_/session_end_info";
/// `DT_FLOAT` and `DT_STRING` of `tensorflow/core/framework/types.proto`.
const STRING: i32 = 7;
const FLOAT: i32 = 1;

impl<W: Write> EventWriter<W> {
    /// Begins a file at this moment. What earlier files of its folder say of later steps does not count any more.
    ///
    /// # Errors
    /// Whatever keeps the stream from being written.
    pub fn new(out: W, at: At) -> Result<Self> {
        let mut writer = Self { out };
        writer.write(at, Payload::FileVersion(FILE_VERSION.to_owned()))?;
        writer.begin(at)?;
        Ok(writer)
    }

    /// Says that training begins at this step, or again: what was written of later steps does not count any more.
    ///
    /// # Errors
    /// As [`EventWriter::new`].
    pub fn begin(&mut self, at: At) -> Result<()> {
        // a reader throws away the steps from this one on, and this one is the last that counts
        let at = At { step: at.step + 1, ..at };
        self.write(at, Payload::SessionLog(SessionLog { status: messages::START }))
    }

    /// Numbers by their tags.
    ///
    /// # Errors
    /// As [`EventWriter::new`].
    pub fn scalars(&mut self, at: At, numbers: &[(&str, f32)]) -> Result<()> {
        let values = numbers.iter().map(|(tag, number)| value(tag, None, ValueKind::Simple(*number)));
        self.summary(at, values.collect())
    }

    /// A picture that is PNG already, of this height and width.
    ///
    /// # Errors
    /// As [`EventWriter::new`].
    pub fn png(&mut self, at: At, tag: &str, bytes: Vec<u8>, (height, width): (u32, u32)) -> Result<()> {
        let (height, width) = (height as i32, width as i32);
        let image = Image { height, width, colorspace: messages::RGB, encoded: bytes };
        self.summary(at, vec![value(tag, None, ValueKind::Image(image))])
    }

    /// A picture.
    ///
    /// # Errors
    /// As [`EventWriter::new`].
    pub fn picture(&mut self, at: At, tag: &str, picture: &RgbImage) -> Result<()> {
        let mut bytes = Cursor::new(Vec::new());
        let written = picture.write_to(&mut bytes, ImageFormat::Png);
        written.map_err(|error| failed(&error))?;
        self.png(at, tag, bytes.into_inner(), (picture.height(), picture.width()))
    }

    /// Text in Markdown.
    ///
    /// # Errors
    /// As [`EventWriter::new`].
    pub fn text(&mut self, at: At, tag: &str, markdown: &str) -> Result<()> {
        let tensor = Tensor {
            element: STRING,
            shape: Some(TensorShape::of(&[1])),
            strings: vec![markdown.as_bytes().to_vec()],
            ..Tensor::default()
        };
        self.summary(at, vec![value(tag, Some(metadata("text", Vec::new())), ValueKind::Tensor(tensor))])
    }

    /// The graph; once a file.
    ///
    /// # Errors
    /// As [`EventWriter::new`].
    pub fn graph(&mut self, at: At, nodes: &[GraphNode]) -> Result<()> {
        let node = nodes.iter().map(|node| {
            let mut attributes: BTreeMap<String, Attribute> = BTreeMap::new();
            for (name, text) in &node.attributes {
                attributes.insert(name.clone(), Attribute::text(text));
            }
            // the size that the tab writes at an edge
            attributes.insert("_output_shapes".to_owned(), Attribute::shapes(&[&node.output]));
            let (name, operation, inputs) = (node.name.clone(), node.operation.clone(), node.inputs.clone());
            NodeDef { name, operation, inputs, attributes }
        });
        let graph = GraphDef { nodes: node.collect(), versions: Some(Versions { producer: messages::GRAPH_VERSION }) };
        self.write(at, Payload::Graph(graph.encode_to_vec()))
    }

    /// The settings of a training, for the table that compares runs.
    ///
    /// # Errors
    /// As [`EventWriter::new`].
    pub fn hyperparameters(&mut self, at: At, settings: &[(String, Hyperparameter)]) -> Result<()> {
        let settings = settings.iter().map(|(name, setting)| (name.clone(), Setting::of(setting))).collect();
        let start = SessionStart { settings, start_time: at.time };
        self.session(at, SESSION_START, HyperparameterData { start: Some(start), ..HyperparameterData::default() })
    }

    /// How the training ended.
    ///
    /// # Errors
    /// As [`EventWriter::new`].
    pub fn end(&mut self, at: At, succeeded: bool) -> Result<()> {
        let status = if succeeded { messages::SUCCESS } else { messages::FAILURE };
        let end = SessionEnd { status, end_time: at.time };
        self.session(at, SESSION_END, HyperparameterData { end: Some(end), ..HyperparameterData::default() })
    }

    fn session(&mut self, at: At, tag: &str, data: HyperparameterData) -> Result<()> {
        // the plugin wants a value of any kind beside its data
        let nothing =
            Tensor { element: FLOAT, shape: Some(TensorShape::of(&[])), floats: vec![0.0], ..Tensor::default() };
        let metadata = metadata(HPARAMS, data.encode_to_vec());
        self.summary(at, vec![value(tag, Some(metadata), ValueKind::Tensor(nothing))])
    }

    fn summary(&mut self, at: At, values: Vec<Value>) -> Result<()> {
        self.write(at, Payload::Summary(Summary { values }))
    }

    fn write(&mut self, at: At, payload: Payload) -> Result<()> {
        let event = Event { wall_time: at.time, step: i64::from(at.step), payload: Some(payload) };
        // in one piece, so that a reader seldom meets half of it
        let record = records::record(&event.encode_to_vec());
        self.out.write_all(&record).and_then(|()| self.out.flush()).map_err(|error| failed(&error))
    }
}

fn failed(problem: &dyn std::fmt::Display) -> Error {
    Error::data("TensorBoard's events", problem, "see to it that the run's folder can be written to and has space left")
}

fn value(tag: &str, metadata: Option<SummaryMetadata>, kind: ValueKind) -> Value {
    Value { tag: tag.to_owned(), metadata, kind: Some(kind) }
}

fn metadata(plugin: &str, content: Vec<u8>) -> SummaryMetadata {
    SummaryMetadata { plugin: Some(PluginData { name: plugin.to_owned(), content }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: At = At { time: 1.5, step: 3 };

    /// The events of a file.
    fn events(write: impl FnOnce(&mut EventWriter<&mut Vec<u8>>)) -> Vec<Event> {
        let mut bytes = Vec::new();
        write(&mut EventWriter::new(&mut bytes, At { time: 1.0, step: 2 }).unwrap());
        let mut events = Vec::new();
        let mut rest = &bytes[..];
        while let Some((record, after)) = records::tests::first(rest) {
            events.push(Event::decode(record).unwrap());
            rest = after;
        }
        assert!(rest.is_empty());
        events
    }

    #[test]
    fn a_file_opens_with_its_version_and_where_it_goes_on() {
        let events = events(|_| ());
        assert_eq!(events[0].payload, Some(Payload::FileVersion("brain.Event:2".into())));
        assert_eq!(events[1].payload, Some(Payload::SessionLog(SessionLog { status: 1 })));
        assert_eq!((events[0].step, events[1].step, events[1].wall_time), (2, 3, 1.0));
    }

    #[test]
    fn scalars_are_values_with_their_tags() {
        let events = events(|writer| writer.scalars(AT, &[("loss", 0.25), ("accuracy", f32::NAN)]).unwrap());
        let Some(Payload::Summary(summary)) = &events[2].payload else { panic!("{events:?}") };
        assert_eq!((events[2].step, events[2].wall_time), (3, 1.5));
        assert_eq!(summary.values[0].kind, Some(ValueKind::Simple(0.25)));
        assert_eq!(summary.values[1].tag, "accuracy");
        assert!(matches!(summary.values[1].kind, Some(ValueKind::Simple(number)) if number.is_nan()));
    }

    /// By the wire format (<https://protobuf.dev/programming-guides/encoding>): field 1 as a double, field 2 as a varint, then
    /// field 5 > field 1 > fields 1 (the tag) and 2 (a float).
    #[test]
    fn bytes_are_those_of_the_wire_format() {
        let mut bytes = Vec::new();
        let mut writer = EventWriter { out: &mut bytes };
        writer.scalars(At { time: 1.0, step: 300 }, &[("a", 1.0)]).unwrap();
        let expected = [
            &[0x09, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f][..], // 1: double 1.0
            &[0x10, 0xac, 0x02],                       // 2: varint 300
            &[0x2a, 0x0a, 0x0a, 0x08],                 // 5: ten bytes, in them 1: eight bytes
            &[0x0a, 0x01, b'a', 0x15, 0, 0, 0x80, 0x3f],
        ];
        assert_eq!(records::tests::first(&bytes).unwrap().0, expected.concat());
    }

    #[test]
    fn what_cannot_be_written_is_an_error() {
        let mut room = [0u8; 50];
        let mut writer = EventWriter::new(&mut room[..], AT).map_err(|error| error.to_string());
        if let Ok(writer) = &mut writer {
            let error = writer.text(AT, "model", &"long ".repeat(100)).unwrap_err();
            assert!(error.to_string().contains("TensorBoard's events"), "{error}");
        } else {
            assert!(writer.is_err_and(|error| error.contains("space left")));
        }
    }
}
