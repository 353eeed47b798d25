//! An observer for TensorBoard: what a training measures, in an event file in `RUN/tensorboard/`. Each process writes a file of its
//! own; TensorBoard reads them as one run.
//!
//! Nothing here ends a training: a file that cannot be written is a note, and then nothing more is written.

use super::observer::{Begun, EndedEpoch, Finished, Observer};
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::model::Network;
use crate::report::tensorboard::{At, EventWriter, GraphNode, Hyperparameter};
use crate::report::{self, Tile};
use crate::train::StepRecord;
use crate::train::history::EpochRecord;
use image::RgbImage;
use serde_json::Value;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Points of a curve over steps in an epoch, at most.
const POINTS: u32 = 50;
/// Sample galaxies of each class, and in all at most.
const SAMPLES: (usize, usize) = (2, 40);
/// Pictures of the run folder that are shown at the end, where they are there.
const PICTURES: [&str; 3] = ["augmented", "mistakes", "reliability"];

/// Writes the event file.
pub(super) struct Board {
    folder: PathBuf,
    writer: Option<EventWriter<File>>,
    /// Steps to a point of a curve.
    every: u32,
    steps_per_epoch: u32,
    window: Window,
    /// Optimizer steps so far.
    steps: u32,
    /// What went wrong and was not told yet.
    pub(super) notes: Vec<String>,
}

/// Sums over the steps since the last point.
#[derive(Default)]
struct Window {
    steps: u32,
    loss: f64,
    hits: f64,
    images: f64,
    gradient_norm: f64,
}

impl Board {
    /// Begins a file with all that is known before the first step.
    pub(super) fn open(run: &Begun) -> Self {
        let (step, steps_per_epoch) = (run.standing.map_or(0, |standing| standing.steps), run.steps_per_epoch);
        let mut board = Self {
            folder: run.folder.to_owned(),
            writer: None,
            every: steps_per_epoch.div_ceil(POINTS).max(1),
            steps_per_epoch,
            window: Window::default(),
            steps: step,
            notes: Vec::new(),
        };
        match open(&run.folder.join("tensorboard"), step) {
            Ok(writer) => board.writer = Some(writer),
            Err(error) => board.fail(&error),
        }
        let options = run.recipe.to_json();
        board.write(|writer, at| {
            writer.graph(at, &graph(run.network))?;
            writer.text(at, "model", &model(run.network))?;
            writer.text(at, "settings", &settings(&options))?;
            writer.hyperparameters(at, &hyperparameters(&options))
        });
        board.picture("galaxies", picture(|path| samples(run.dataset, &run.split.train, path)));
        board
    }

    fn fail(&mut self, error: &Error) {
        self.notes.push(format!("nothing more is written for TensorBoard: {error}"));
        self.writer = None;
    }

    fn write(&mut self, write: impl FnOnce(&mut EventWriter<File>, At) -> Result<()>) {
        let Some(writer) = &mut self.writer else { return };
        if let Err(error) = write(writer, now(self.steps)) {
            self.fail(&error);
        }
    }

    /// Shows a picture, or says why there is none.
    fn picture(&mut self, tag: &str, picture: Result<RgbImage>) {
        match picture {
            Ok(picture) => self.write(|writer, at| writer.picture(at, tag, &picture)),
            Err(error) => self.notes.push(format!("TensorBoard does not show {tag}: {error}")),
        }
    }
}

impl Observer for Board {
    fn step(&mut self, step: &StepRecord, images_per_second: Option<f64>) {
        self.steps = step.steps;
        let window = &mut self.window;
        window.steps += 1;
        window.loss += f64::from(step.metrics.loss);
        window.hits += f64::from(step.metrics.hits);
        window.images += f64::from(step.metrics.count);
        window.gradient_norm += f64::from(step.gradient_norm());
        // the last step of an epoch is one, too, so that none is left over
        if !step.steps.is_multiple_of(self.every) && !step.steps.is_multiple_of(self.steps_per_epoch.max(1)) {
            return;
        }
        let Window { steps, loss, hits, images, gradient_norm } = std::mem::take(window);
        let mut numbers = vec![
            ("step/loss", (loss / images) as f32),
            ("step/accuracy", (hits / images) as f32),
            ("step/learning_rate", step.learning_rate),
            ("step/gradient_norm", (gradient_norm / f64::from(steps)) as f32),
        ];
        numbers.extend(images_per_second.map(|rate| ("step/images_per_second", rate as f32)));
        self.write(|writer, at| writer.scalars(at, &numbers));
    }

    fn epoch(&mut self, epoch: &EndedEpoch) {
        let EpochRecord { loss, accuracy, val_loss, val_accuracy, seconds, .. } = *epoch.record;
        let mut numbers = vec![
            ("epoch/loss", loss),
            ("epoch/accuracy", accuracy),
            ("epoch/val_loss", val_loss),
            ("epoch/val_accuracy", val_accuracy),
            ("epoch/seconds", seconds),
        ];
        let more = [
            ("epoch/learning_rate", epoch.learning_rate),
            ("epoch/images_per_second", epoch.images_per_second.map(|rate| rate as f32)),
            ("epoch/loss_scale", epoch.loss_scale),
        ];
        numbers.extend(more.into_iter().filter_map(|(name, number)| number.map(|number| (name, number))));
        self.write(|writer, at| writer.scalars(at, &numbers));
    }

    fn undo(&mut self, epochs: u32) {
        self.window = Window::default();
        self.steps = epochs * self.steps_per_epoch;
        self.write(|writer, at| writer.begin(at));
    }

    fn end(&mut self, run: &Finished) {
        self.steps = run.outcome.steps;
        if let Some(found) = &run.measured {
            let accuracy = [("test/accuracy", found.evaluation.accuracy as f32)];
            self.write(|writer, at| writer.scalars(at, &accuracy));
            let (classes, confusion) = (&run.weights.card.classes, &found.evaluation.confusion);
            self.picture("confusion_matrix", picture(|path| report::confusion_matrix(classes, confusion, path)));
            for name in PICTURES {
                if let Ok(picture) = image::open(self.folder.join(format!("{name}.png"))) {
                    self.picture(name, Ok(picture.to_rgb8()));
                }
            }
        }
        self.write(|writer, at| writer.end(at, run.outcome.failure.is_none()));
    }
}

fn now(step: u32) -> At {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    At { time: since.map_or(0.0, |since| since.as_secs_f64()), step }
}

/// A new event file; TensorBoard takes files of a folder in the order of their names, which begin with the time.
fn open(folder: &Path, step: u32) -> Result<EventWriter<File>> {
    let at = now(step);
    let path = folder.join(format!("events.out.tfevents.{:010}.{}.galaxy-gpu", at.time as u64, std::process::id()));
    let failed = |error| Error::file(&path, error, "check that its folder may be written to");
    std::fs::create_dir_all(folder).map_err(failed)?;
    let file = File::options().create(true).append(true).open(&path).map_err(failed)?;
    EventWriter::new(file, at)
}

/// A picture that is drawn into a file.
fn picture(draw: impl FnOnce(&Path) -> Result<()>) -> Result<RgbImage> {
    let failed = |error: &dyn std::fmt::Display| {
        Error::data("a picture", error, "see to it that the folder of temporary files has space left")
    };
    let folder = tempfile::tempdir().map_err(|error| failed(&error))?;
    let path = folder.path().join("picture.png");
    draw(&path)?;
    image::open(&path).map(|picture| picture.to_rgb8()).map_err(|error| failed(&error))
}

/// The first galaxies of each class among these, under the names of their classes.
fn samples(dataset: &Dataset, images: &[u32], path: &Path) -> Result<()> {
    let mut tiles = Vec::new();
    for (class, name) in dataset.classes.iter().enumerate() {
        let own = images.iter().filter(|&&image| dataset.labels[image as usize] as usize == class);
        for &image in own.take(SAMPLES.0) {
            let (pixels, height, width) = (dataset.image(image as usize), dataset.height, dataset.width);
            tiles.push(Tile { pixels, height, width, title: name.clone() });
        }
    }
    tiles.truncate(SAMPLES.1);
    report::grid(&tiles, 2 * SAMPLES.0, path)
}

/// The layers, from the images to the loss.
fn graph(network: &Network) -> Vec<GraphNode> {
    let sizes = |sizes: &[usize]| std::iter::once(-1).chain(sizes.iter().map(|&size| size as i64)).collect();
    let node = |name: &str, operation: &str, inputs: &[&str], output| GraphNode {
        name: name.to_owned(),
        operation: operation.to_owned(),
        inputs: inputs.iter().map(|&input| input.to_owned()).collect(),
        output,
        attributes: Vec::new(),
    };
    let (height, width, channels) = network.image;
    let mut nodes = vec![node("images", "Placeholder", &[], sizes(&[height, width, channels]))];
    for layer in &network.nodes {
        let about = serde_json::to_value(&layer.layer).unwrap_or_default();
        let fields = about.as_object().into_iter().flatten().filter(|(name, _)| *name != "type");
        let tensors = layer.parameters.iter().map(|tensor| (tensor.name.clone(), tensor.shape.to_string()));
        let attributes = fields.map(|(name, value)| (name.clone(), in_words(value))).chain(tensors).collect();
        let plain = node(&layer.name, layer.layer.kind(), &[], sizes(layer.output.sizes()));
        nodes.push(GraphNode { attributes, inputs: network.input_names(layer), ..plain });
    }
    let last = network.nodes.last().map_or("images", |node| &node.name);
    nodes.push(node("labels", "Placeholder", &[], vec![-1]));
    nodes.push(node("loss", "softmax_cross_entropy", &[last, "labels"], vec![]));
    nodes
}

/// The layers as a table in Markdown.
fn model(network: &Network) -> String {
    let mut text = format!("**{}**: {} parameters\n\n", network.name, network.parameter_count());
    text += "| layer | output | parameters |\n|---|---|---|\n";
    for node in &network.nodes {
        let parameters: usize = node.parameters.iter().map(|tensor| tensor.shape.elements()).sum();
        text += &format!("| {} | {} | {parameters} |\n", node.name, node.output);
    }
    text
}

/// All options as a table in Markdown.
fn settings(options: &Value) -> String {
    let rows = options.as_object().into_iter().flatten();
    let rows = rows.map(|(name, value)| format!("| {name} | {} |\n", in_words(value).replace('|', "\\|")));
    format!("| option | value |\n|---|---|\n{}", rows.collect::<String>())
}

fn hyperparameters(options: &Value) -> Vec<(String, Hyperparameter)> {
    let given = options
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(_, value)| !value.is_null() && *value != &Value::Array(Vec::new()));
    let settings = given.map(|(name, value)| {
        let setting = match value {
            Value::Bool(on) => Hyperparameter::Switch(*on),
            Value::Number(number) => Hyperparameter::Number(number.as_f64().unwrap_or(f64::NAN)),
            other => Hyperparameter::Text(in_words(other)),
        };
        (name.clone(), setting)
    });
    settings.collect()
}

fn in_words(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "none".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Model;

    #[test]
    fn the_graph_is_the_chain_of_layers_between_images_and_loss() {
        let network = Model::preset("conv3").unwrap().build(32, 32, 10).unwrap();
        let nodes = graph(&network);
        let names: Vec<&str> = nodes.iter().map(|node| &node.name[..]).collect();
        assert_eq!((names[0], names[1], names[names.len() - 1]), ("images", "conv2d", "loss"));
        assert_eq!(nodes.len(), network.nodes.len() + 3);
        assert_eq!((&nodes[1].inputs[..], &nodes[1].output[..]), (&["images".to_owned()][..], &[-1, 32, 32, 16][..]));
        let attributes = &nodes[1].attributes;
        assert!(attributes.contains(&("filters".into(), "16".into())), "{attributes:?}");
        assert!(attributes.iter().any(|(name, _)| name == "conv2d.kernel"), "{attributes:?}");
        for node in &nodes {
            assert!(node.inputs.iter().all(|input| names.contains(&&input[..])), "{node:?}");
        }
    }

    #[test]
    fn options_are_a_table_and_comparable() {
        let options =
            serde_json::json!({"batch": 50, "checked": false, "data": null, "zoom": [-0.5, 0.1], "model": "a|b"});
        let text = settings(&options);
        assert!(text.contains("| data | none |\n") && text.contains("| model | a\\|b |\n"), "{text}");
        let found = hyperparameters(&options);
        assert_eq!(found[0], ("batch".into(), Hyperparameter::Number(50.0)));
        assert_eq!(found[2], ("zoom".into(), Hyperparameter::Text("[-0.5,0.1]".into())));
        assert_eq!(found.len(), 4);
    }
}
