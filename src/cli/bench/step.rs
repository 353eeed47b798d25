//! `bench step`: time and memory of a training step or an inference batch, and the fraction of the adapter's peak it reaches.

use super::kernels::{KernelTime, kernel_times, trace};
use crate::cli::flags::DeviceFlags;
use crate::cli::model::{Sizes, check_range};
use crate::cli::options::check_output;
use crate::cli::{note, print_json, print_text};
use crate::engine::measure::Samples;
use crate::engine::peak::{Peaks, absent, measure};
use crate::error::Result;
use crate::files::write_whole;
use crate::graph::Augment;
use crate::kernels::Precision;
use crate::kernels::peak::{F16_MATRIX, F32_FMA, Peak};
use crate::plan::{Profile, Program, Step, bytes_in_words};
use crate::run::Device;
use crate::train::Setup;
use crate::train::bench::{Bench, Preparation, noise};
use serde::Serialize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// The peak that a step of this precision is compared with.
fn peak(precision: Precision, profile: &Profile) -> &'static Peak {
    match precision {
        Precision::Mixed if absent(&F16_MATRIX, profile).is_none() => &F16_MATRIX,
        _ => &F32_FMA,
    }
}

/// Arguments of `bench step`.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  galaxy-gpu bench step
  galaxy-gpu bench step --size 64 --augment --kernels
  galaxy-gpu bench step --batch 256 --infer --json
  galaxy-gpu bench step --size 64 --steps 20 --trace step.json

A trace opens in ui.perfetto.dev.")]
pub struct Args {
    /// Network: conv3, conv4, or a TOML file
    #[arg(long, default_value = "conv4", value_name = "NAME|FILE.toml")]
    model: String,
    #[command(flatten)]
    sizes: Sizes,
    /// Random images on the device [default: eight batches]
    #[arg(long, value_name = "N")]
    images: Option<usize>,
    /// Augment the images, as train does by default
    #[arg(long)]
    augment: bool,
    /// Time inference instead of training
    #[arg(long, conflicts_with = "augment")]
    infer: bool,
    /// Steps to time, rounded up to whole submissions
    #[arg(long, value_name = "N", conflicts_with = "seconds", value_parser = clap::value_parser!(u32).range(1..))]
    steps: Option<u32>,
    /// Seconds to time steps for, but at least five submissions
    #[arg(long, value_name = "S", default_value_t = 3.0, value_parser = seconds, allow_negative_numbers = true)]
    seconds: f64,
    /// Time each dispatch alone, and print the fraction of the peak that it reaches
    #[arg(long)]
    kernels: bool,
    /// Write a trace of one step for Perfetto or chrome://tracing
    #[arg(long, value_name = "FILE.json")]
    trace: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    device: DeviceFlags,
}

fn seconds(text: &str) -> std::result::Result<f64, String> {
    let allowed = |seconds: &f64| (0.0..=3600.0).contains(seconds);
    text.parse().ok().filter(allowed).ok_or_else(|| "give a number from 0 to 3600".to_owned())
}

/// Milliseconds until the first step has ended.
#[derive(Serialize)]
struct SetUp {
    /// Finding and opening the adapter.
    open: f64,
    plan: f64,
    /// Buffers, shaders, pipelines and bind groups.
    pipelines: f64,
    /// Uploading images, labels and weights.
    upload: f64,
    first_step: f64,
    /// From the start of the program to the end of its first step, without drawing random images.
    total: f64,
}

#[derive(Serialize)]
struct Report {
    model: String,
    size: usize,
    batch: usize,
    images: usize,
    program: &'static str,
    precision: Precision,
    augment: bool,
    adapter: String,
    driver: String,
    backend: String,
    /// `gpu`: dispatches are timed by the adapter's own clock. `wall`: it has none, so submitting and waiting are included.
    clock: &'static str,
    /// Steps that were timed.
    steps: usize,
    steps_per_submit: usize,
    /// Median wall time with the queue kept full.
    ms_per_step: f64,
    /// By the adapter's own clock; null if it has none.
    gpu_ms_per_step: Option<f64>,
    images_per_s: f64,
    flops: f64,
    gflops: f64,
    /// Which peak the step is compared with.
    peak: &'static str,
    /// The most that the device does; null on the CPU twins.
    peak_gflops: Option<f64>,
    share_of_peak: Option<f64>,
    dispatches: usize,
    /// All buffers of the plan.
    gpu_bytes: u64,
    /// The same without the data set's images.
    gpu_bytes_without_data: u64,
    setup_ms: SetUp,
    /// Sum over the dispatches, each timed alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    kernels_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kernels: Option<Vec<KernelTime>>,
}

/// Sets up, times steps, then does what else was asked for.
///
/// # Errors
/// As [`Bench::new`]; there is no adapter, or the trace cannot be written.
pub fn run(args: &Args, started: Instant) -> anyhow::Result<ExitCode> {
    args.trace.as_deref().map_or(Ok(()), |path| check_output("--trace", path, &["json"]))?;
    let network = args.sizes.network(&args.model)?;
    let recipe = args.device.recipe()?;
    let shaders = recipe.load_shaders(&mut note)?;
    let Sizes { size, classes, batch } = args.sizes;
    let images = args.images.unwrap_or(8 * batch);
    check_range("--images", images, 10_000_000)?;
    let drawing = Instant::now();
    let dataset = noise(images, size, classes);
    let drawing = drawing.elapsed();
    let opening = Instant::now();
    let open = recipe.open_device()?;
    let opening = opening.elapsed();
    let device = Device::ready(open, &recipe, shaders, None, &mut note)?;
    let (precision, profile) = (device.precision, device.profile.clone());
    let augment = args.augment.then(Augment::default);
    // the images are drawn for this device: they are never streamed
    let setup = Setup { training: !args.infer, augment, data_memory: None, ..device.setup(batch) };
    let make_engine = |plan| device.engine(plan);
    let (mut bench, preparation) = Bench::new(&network, &dataset, &setup, &profile, make_engine)?;
    if setup.training {
        device.unused_choices(bench.engine().plan()).into_iter().for_each(note);
    }
    let setup_ms = SetUp::new(opening, preparation, started.elapsed().saturating_sub(drawing));
    let peak = peak(precision, &profile);
    let peaks = args.peaks(&device, peak)?;
    let mut report = Report::new(args, images, profile, setup_ms, &bench);
    report.precision = precision;
    report.peak = peak.name;
    report.time(&mut bench, args, peaks)?;
    if args.kernels || args.trace.is_some() {
        let dispatches = bench.dispatches()?;
        let kernels = kernel_times(bench.engine().plan().steps(bench.program()), &dispatches.seconds, peaks);
        if let Some(path) = &args.trace {
            write_whole(path, trace(&kernels, &dispatches.timeline, &report.adapter).as_bytes())?;
        }
        report.kernels_ms = args.kernels.then(|| kernels.iter().map(|kernel| kernel.ms).sum());
        report.kernels = args.kernels.then_some(kernels);
    }
    if args.json {
        print_json(&report)?
    } else {
        print_text(report.in_words(args))?
    }
    Ok(ExitCode::SUCCESS)
}

impl Args {
    /// The peaks that the report compares with; none for the twins. That of memory is measured only for kernels.
    fn peaks(&self, device: &Device, arithmetic: &'static Peak) -> Result<Option<Peaks>> {
        let Device { open, profile, .. } = device;
        let make_engine = |plan| open.engine(plan, false);
        Ok(match self.kernels || self.trace.is_some() {
            _ if profile.kind.is_twins() => None,
            true => Some(Peaks::measure(profile, &make_engine, arithmetic)?),
            false => {
                let flops = measure(profile, &make_engine, arithmetic)?.per_second;
                Some(Peaks { flops, bytes: f64::INFINITY })
            }
        })
    }
}

impl SetUp {
    fn new(open: Duration, preparation: Preparation, total: Duration) -> Self {
        let Preparation { plan, pipelines, upload, first_step } = preparation;
        let [plan, pipelines, upload, first_step] = [plan, pipelines, upload, first_step].map(|seconds| 1e3 * seconds);
        let [open, total] = [open, total].map(|time| 1e3 * time.as_secs_f64());
        Self { open, plan, pipelines, upload, first_step, total }
    }
}

impl Report {
    /// What is known before anything is timed.
    fn new(args: &Args, images: usize, profile: Profile, setup_ms: SetUp, bench: &Bench) -> Self {
        let plan = bench.engine().plan();
        let (all, data) = plan.bytes();
        // without a driver a call is one dispatch, however many it takes on a GPU
        let dispatches = |step: &Step| if profile.kind.has_no_driver() { 1 } else { step.dispatches.len() };
        Self {
            model: args.model.clone(),
            size: args.sizes.size,
            batch: args.sizes.batch,
            images,
            program: if bench.program() == Program::Train { "train" } else { "infer" },
            precision: Precision::F32,
            augment: args.augment,
            adapter: profile.name,
            driver: profile.driver,
            backend: profile.backend,
            clock: bench.engine().clock(),
            steps: 0,
            steps_per_submit: bench.per_submit(),
            ms_per_step: 0.0,
            gpu_ms_per_step: None,
            images_per_s: 0.0,
            flops: bench.cost().flops,
            gflops: 0.0,
            peak: F32_FMA.name,
            peak_gflops: None,
            share_of_peak: None,
            dispatches: plan.steps(bench.program()).iter().map(dispatches).sum(),
            gpu_bytes: all,
            gpu_bytes_without_data: all - data,
            setup_ms,
            kernels_ms: None,
            kernels: None,
        }
    }

    /// Times whole steps.
    fn time(&mut self, bench: &mut Bench, args: &Args, peaks: Option<Peaks>) -> Result<()> {
        let submissions = args.steps.map(|steps| (steps as usize).div_ceil(self.steps_per_submit));
        let clock = Instant::now();
        let seconds = bench.steps(|seconds| match submissions {
            Some(wanted) => seconds.len() < wanted,
            None => seconds.len() < 5 || clock.elapsed().as_secs_f64() < args.seconds,
        })?;
        self.steps = seconds.len() * self.steps_per_submit;
        let seconds = Samples::new(seconds).median();
        self.ms_per_step = 1e3 * seconds;
        if self.clock == "gpu" {
            self.gpu_ms_per_step = Some(1e3 * bench.device_seconds()?.median());
        }
        self.images_per_s = self.batch as f64 / seconds;
        self.gflops = self.flops / seconds / 1e9;
        self.peak_gflops = peaks.map(|peaks| peaks.flops / 1e9);
        self.share_of_peak = self.peak_gflops.map(|peak| self.gflops / peak);
        Ok(())
    }

    fn in_words(&self, args: &Args) -> String {
        let Self { adapter, driver, backend, precision, setup_ms: set_up, .. } = self;
        let driver = if driver.is_empty() { String::new() } else { format!(" ({backend}, {driver})") };
        let kind = if self.program == "train" { "training step" } else { "inference batch" };
        let augmented = if self.augment { ", augmented" } else { "" };
        let gpu = match self.gpu_ms_per_step {
            Some(ms) => format!("{ms:.3} ms on the GPU's own clock"),
            None => "no clock of its own".into(),
        };
        let of_peak = match (self.share_of_peak, self.peak_gflops) {
            (Some(fraction), Some(peak)) => {
                format!(", {:.1} % of the measured {} peak of {peak:.1}", 1e2 * fraction, self.peak)
            }
            _ => String::new(),
        };
        let (all, own) = (bytes_in_words(self.gpu_bytes), bytes_in_words(self.gpu_bytes_without_data));
        let mut text = [
            format!("adapter  {adapter}{driver}"),
            format!(
                "step     {} {kind}, {} px, batch {}, {}{augmented}: {} dispatches, {:.2} GFLOP",
                self.model,
                self.size,
                self.batch,
                precision,
                self.dispatches,
                self.flops / 1e9
            ),
            format!("set-up   {}", set_up.in_words()),
            format!(
                "wall     {:.3} ms a step, median of {} steps with the queue kept full",
                self.ms_per_step, self.steps
            ),
            format!("device   {gpu}"),
            format!("speed    {:.0} images/s, {:.1} GFLOP/s{of_peak}", self.images_per_s, self.gflops),
            format!("memory   {all}, {own} without the {} images\n", self.images),
        ]
        .join("\n");
        if let Some(kernels) = &self.kernels {
            let whole = self.gpu_ms_per_step.unwrap_or(self.ms_per_step);
            text += &format!("\n{}", super::kernels::in_words(kernels, whole, self.clock));
        }
        if let Some(path) = &args.trace {
            text += &format!("\ntrace    {}\n", path.display());
        }
        text
    }
}

impl SetUp {
    fn in_words(&self) -> String {
        let Self { open, plan, pipelines, upload, first_step, total } = self;
        format!(
            "{total:.0} ms from start to first step: open {open:.0}, plan {plan:.1}, pipelines {pipelines:.0}, \
             upload {upload:.0}, first step {first_step:.0}"
        )
    }
}
