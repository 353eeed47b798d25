//! `plan`: shows what a training step and an inference batch will run on a device, without running it.

use super::flags::DeviceFlags;
use super::model::{Sizes, check_range};
use super::{note, print_json, print_text};
use crate::graph::Augment;
use crate::plan::{Plan, Profile, Program, Step, bytes_in_words};
use crate::run::Device;
use crate::train::{MicroBatch, Setup, plan_for};
use serde::Serialize;
use std::process::ExitCode;

/// Arguments of `plan`.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  galaxy-gpu plan
  galaxy-gpu plan --model conv3 --size 128 --batch 100 --no-fuse
  galaxy-gpu plan --device software --json")]
pub struct Args {
    /// Built-in network (conv3, conv4) or the path of a TOML file
    #[arg(long, default_value = "conv4", value_name = "NAME|FILE.toml")]
    model: String,
    #[command(flatten)]
    sizes: Sizes,
    /// Images of the data set
    #[arg(long, default_value_t = 17_736, value_name = "N")]
    images: usize,
    /// Images of a step to compute at a time; auto takes as many as fit
    #[arg(long, value_name = "off|auto|N", default_value = "off")]
    micro_batch: MicroBatch,
    /// Train on the images without augmentation
    #[arg(long)]
    no_augment: bool,
    #[command(flatten)]
    device: DeviceFlags,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Prints the plan.
///
/// # Errors
/// A size is out of range, the network cannot be built, or it does not fit on the device.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let Sizes { size, batch, .. } = args.sizes;
    check_range("--images", args.images, 10_000_000)?;
    let network = args.sizes.network(&args.model)?;
    let device = Device::for_training(&args.device.recipe()?, &mut note)?;
    let (precision, profile) = (device.precision, &device.profile);
    let setup = Setup {
        training: true,
        micro_batch: args.micro_batch,
        augment: (!args.no_augment).then(Augment::default),
        ..device.setup(batch)
    };
    let (plan, _) = plan_for(&network, args.images, &setup, profile)?;
    device.unused_choices(&plan).into_iter().for_each(note);
    if args.json {
        print_json(&Report::new(&plan, &args.model, profile))?;
        return Ok(ExitCode::SUCCESS);
    }
    let persistent = plan.persistent()?;
    let shards = persistent.shards.len();
    let streamed = if persistent.positions.is_some() { ", streamed" } else { "" };
    let micro = plan.micro_batches.map_or(String::new(), |micro| format!(" in micro-batches of {}", micro.images));
    let free = profile.memory_bytes.map_or("unknown".to_owned(), bytes_in_words);
    print_text(format!(
        "{} on {}, {precision}\nbatch {batch}{micro}, {} images of {size} x {size} pixels in {shards} shard{}{streamed}\n\n{plan}\n  \
         {:<24} {free:>10}\n",
        network.name,
        profile.name,
        args.images,
        if shards == 1 { "" } else { "s" },
        "free on the device",
    ))?;
    Ok(ExitCode::SUCCESS)
}

#[derive(Serialize)]
struct DispatchReport {
    shader: &'static str,
    /// Whether it is from a user's folder.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    foreign: bool,
    /// Workgroups along x and y.
    grid: (u32, u32),
}

#[derive(Serialize)]
struct StepReport<'a> {
    layer: &'a str,
    contract: &'static str,
    implementation: &'static str,
    reason: &'a str,
    flops: f64,
    bytes: f64,
    dispatches: Vec<DispatchReport>,
}

#[derive(Serialize)]
struct BufferReport<'a> {
    name: &'a str,
    bytes: u64,
}

#[derive(Serialize)]
struct Report<'a> {
    model: &'a str,
    device: &'a str,
    train: Vec<StepReport<'a>>,
    infer: Vec<StepReport<'a>>,
    buffers: Vec<BufferReport<'a>>,
    total_bytes: u64,
    data_set_bytes: u64,
    /// What a plan may take; null if the driver does not say.
    free_bytes: Option<u64>,
    /// Images of a step that are computed at a time; null if all are.
    micro_batch: Option<usize>,
}

impl<'a> Report<'a> {
    fn new(plan: &'a Plan, model: &'a str, profile: &'a Profile) -> Self {
        let (total_bytes, data_set_bytes) = plan.bytes();
        let steps = |program| plan.steps(program).iter().map(StepReport::new).collect();
        let buffers = plan.buffers.iter().map(|buffer| BufferReport { name: &buffer.name, bytes: buffer.bytes });
        let buffers = buffers.collect();
        let (train, infer) = (steps(Program::Train), steps(Program::Infer));
        let micro_batch = plan.micro_batches.map(|micro| micro.images);
        let (device, free_bytes) = (&profile.name[..], profile.memory_bytes);
        Self { model, device, train, infer, buffers, total_bytes, data_set_bytes, free_bytes, micro_batch }
    }
}

impl<'a> StepReport<'a> {
    fn new(step: &'a Step) -> Self {
        let dispatches = step.dispatches.iter();
        let dispatches = dispatches.map(|d| DispatchReport {
            shader: d.source.kernel().path,
            foreign: !d.source.is_own(),
            grid: (d.grid.x, d.grid.y),
        });
        Self {
            layer: &step.layer,
            contract: step.contract.name,
            implementation: step.implementation,
            reason: &step.reason,
            flops: step.cost.flops,
            bytes: step.cost.bytes,
            dispatches: dispatches.collect(),
        }
    }
}
