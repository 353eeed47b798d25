//! `model summary`: what a network looks like and what it needs, without a device.

use super::super::{print_json, print_text, voice};
use super::Sizes;
use crate::error::Result;
use crate::graph::{Augment, Graph, Settings, Shard};
use crate::kernels::Precision;
use crate::lowering::lower;
use crate::model::{Model, Network};
use crate::plan::{Options, Plan, Profile, Program, bytes_in_words};
use crate::report::Table;
use crate::report::table::with_separators;
use serde::Serialize;
use std::process::ExitCode;

/// Arguments of `model summary`.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  galaxy-gpu model summary
  galaxy-gpu model summary conv3 --size 128 --batch 100
  galaxy-gpu model summary conv4 --toml > mine.toml
  galaxy-gpu model summary mine.toml")]
pub struct Args {
    /// Built-in network (conv3, conv4) or the path of a TOML file
    #[arg(default_value = "conv4", value_name = "NAME|FILE.toml")]
    model: String,
    #[command(flatten)]
    sizes: Sizes,
    /// Print one JSON object
    #[arg(long, conflicts_with = "toml")]
    json: bool,
    /// Print the network as a TOML file, to be edited
    #[arg(long)]
    toml: bool,
}

/// Runs the command.
///
/// # Errors
/// The network cannot be loaded or built.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if args.toml {
        voice::print_data(Model::load(&args.model)?.to_toml())?;
        return Ok(ExitCode::SUCCESS);
    }
    let network = args.sizes.network(&args.model)?;
    let summary = Summary::new(&network, args.sizes.batch)?;
    if args.json {
        print_json(&summary)?
    } else {
        print_text(summary.in_words())?
    }
    Ok(ExitCode::SUCCESS)
}

#[derive(Serialize)]
struct LayerSummary {
    name: String,
    kind: &'static str,
    /// What it reads, where that is not the layer before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    inputs: Option<Vec<String>>,
    /// Sizes of its output for one image.
    output: Vec<usize>,
    parameters: usize,
}

/// A network in numbers.
#[derive(Serialize)]
struct Summary {
    model: String,
    /// Height, width and channels.
    image: (usize, usize, usize),
    classes: usize,
    batch: usize,
    layers: Vec<LayerSummary>,
    parameters: usize,
    weight_bytes: u64,
    /// Everything a training step needs, without the data set.
    training_bytes: u64,
    forward_flops_per_image: f64,
    training_flops_per_image: f64,
}

impl Summary {
    fn new(network: &Network, batch: usize) -> Result<Self> {
        let plan = Plan::new(&graph(network, batch)?, &Profile::cpu(), &Options::default())?;
        let (all, data) = plan.bytes();
        let flops: f64 = plan.steps(Program::Train).iter().map(|step| step.cost.flops).sum();
        let layer = |node: &crate::model::Node| LayerSummary {
            name: node.name.clone(),
            kind: node.layer.kind(),
            inputs: (!node.is_chained()).then(|| network.input_names(node)),
            output: node.output.sizes().to_vec(),
            parameters: node.parameters.iter().map(|parameter| parameter.shape.elements()).sum(),
        };
        Ok(Self {
            model: network.name.clone(),
            image: network.image,
            classes: network.classes,
            batch,
            layers: network.nodes.iter().map(layer).collect(),
            parameters: network.parameter_count(),
            weight_bytes: 4 * network.parameter_count() as u64,
            training_bytes: all - data,
            forward_flops_per_image: network.forward_flops(),
            training_flops_per_image: flops / batch as f64,
        })
    }

    fn in_words(&self) -> String {
        let branches = self.layers.iter().any(|layer| layer.inputs.is_some());
        let shown = if branches { 4 } else { 3 };
        let mut table = Table::new(&["layer (kind)", "output shape", "parameters", "reads"][..shown]).right([2]);
        for layer in &self.layers {
            let sizes: Vec<String> = layer.output.iter().map(usize::to_string).collect();
            let shape = format!("(None, {})", sizes.join(", "));
            let reads = layer.inputs.as_ref().map_or(String::new(), |inputs| inputs.join(", "));
            let name = format!("{} ({})", layer.name, layer.kind);
            table.row(&[name, shape, with_separators(layer.parameters), reads][..shown]);
        }
        let (height, width, channels) = self.image;
        let [forward, training] = [self.forward_flops_per_image, self.training_flops_per_image].map(flops_in_words);
        format!(
            "{} for images of {height} x {width} x {channels} and {} classes\n\n{table}\n\
             Parameters:       {} ({})\n\
             Training memory:  {} for a batch of {}, without the data set\n\
             Arithmetic:       {forward} forward and {training} in training, an image\n",
            self.model,
            self.classes,
            with_separators(self.parameters),
            bytes_in_words(self.weight_bytes),
            bytes_in_words(self.training_bytes),
            self.batch,
        )
    }
}

/// The graph of a training whose data set is a single batch, as memory and arithmetic do not depend on more.
fn graph(network: &Network, batch: usize) -> Result<Graph> {
    let settings = Settings {
        training: true,
        batch,
        micro_batch: None,
        images: batch,
        rows: batch,
        shards: vec![Shard { first: 0, count: batch }],
        streamed: false,
        augment: Some(Augment::default()),
        label_smoothing: 0.0,
        fuse: true,
        precision: Precision::F32,
        ema: false,
    };
    lower(network, &settings)
}

/// Additions and multiplications, in words.
fn flops_in_words(flops: f64) -> String {
    match flops {
        flops if flops >= 1e9 => format!("{:.2} GFLOP", flops / 1e9),
        flops if flops >= 1e6 => format!("{:.1} MFLOP", flops / 1e6),
        flops => format!("{:.1} kFLOP", flops / 1e3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conv4_needs_what_its_layers_add_up_to() {
        let network = Model::preset("conv4").unwrap().build(256, 256, 10).unwrap();
        let summary = Summary::new(&network, 2).unwrap();
        assert_eq!(summary.parameters, summary.layers.iter().map(|layer| layer.parameters).sum::<usize>());
        // Values, gradients and two moments, plus the images as floats.
        assert!(summary.training_bytes > 4 * summary.weight_bytes + 4 * 2 * 256 * 256 * 3);
        let ratio = summary.training_flops_per_image / summary.forward_flops_per_image;
        assert!((2.0..4.0).contains(&ratio), "training is {ratio} times forward");
    }
}
