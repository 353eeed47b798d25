//! Options that give settings of a recipe. A field is named as the setting it gives; one that is not given is none, so that files, runs and
//! defaults can stand in for it.

use crate::graph::FillMode;
use crate::plan::Choice;
use crate::run::{
    Changes, CpuFeatures, DataMemory, DeviceKind, PrecisionChoice, Recipe, ScheduleKind, Span, fits_options,
};
use crate::suggest::did_you_mean;
use crate::train::{ClassWeights, MicroBatch};
use clap::{Args, ValueEnum};
use serde::Serialize;
use serde_json::Value;
use std::fmt::Display;
use std::path::PathBuf;
use std::str::FromStr;

/// The groups of options below, whose help says the defaults of [`Recipe`].
const GROUPS: [&str; 7] =
    ["DataFlags", "FitsFlags", "StepFlags", "AugmentFlags", "OptimizerFlags", "TrainFlags", "DeviceFlags"];

/// The recipe that options give, with defaults for what they do not give.
///
/// # Errors
/// As [`Recipe::with`].
pub fn recipe(flags: &impl Serialize) -> crate::Result<Recipe> {
    Recipe::default().with(&Changes::given(flags)?)
}

/// A command whose help says the defaults of its settings, as for other options.
pub fn with_defaults(mut command: clap::Command) -> clap::Command {
    let defaults = Recipe::default().to_json();
    let groups = command.get_groups().filter(|group| GROUPS.contains(&group.get_id().as_str()));
    let ids: Vec<String> = groups.flat_map(|group| group.get_args().map(ToString::to_string)).collect();
    for id in ids {
        let text = match &defaults[&id] {
            Value::Null | Value::Bool(_) => continue,
            Value::Array(values) => values.iter().map(Value::to_string).collect::<Vec<_>>().join(" "),
            Value::String(text) => text.clone(),
            other => other.as_f64().map_or_else(|| other.to_string(), |number| number.to_string()),
        };
        if text.is_empty() {
            continue;
        }
        command = command.mut_arg(id, |arg| {
            let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
            arg.help(format!("{help} [default: {text}]")).long_help(format!("{help}\n\n[default: {text}]"))
        });
    }
    let names: Vec<String> = command.get_subcommands().map(|below| below.get_name().to_owned()).collect();
    names.into_iter().fold(command, |command, name| command.mut_subcommand(name, with_defaults))
}

/// Which data.
#[derive(Args, Clone, Debug, Serialize)]
pub struct DataFlags {
    /// HDF5 file in Galaxy10's layout, a folder of class folders (or of train, val and test folders of these), a table with the
    /// columns path and label, or Parquet with pictures; simulated galaxies where absent
    #[arg(long, value_name = "FILE|FOLDER")]
    pub data: Option<PathBuf>,
    /// Split to use: CSV with the columns index, ans, split (train, validation or test); where absent that of the data, or
    /// drawn from the seed
    #[arg(long, value_name = "FILE.csv")]
    pub split: Option<PathBuf>,
    /// Simulated images, where no --data is given
    #[arg(long, value_name = "N")]
    images: Option<usize>,
    /// Side of an image in pixels: of simulated galaxies (64 where absent) and of pictures from a folder
    #[arg(long, value_name = "PIXELS")]
    size: Option<usize>,
    /// Names of the classes, separated by commas, where the data has none
    #[arg(long, value_delimiter = ',', value_name = "A,B,...")]
    class_names: Option<Vec<String>>,
    #[command(flatten)]
    #[serde(flatten)]
    fits: FitsFlags,
}

/// How FITS images become pictures. Cut-outs of the Legacy Survey need none of these.
#[derive(Args, Clone, Debug, Default, Serialize)]
pub struct FitsFlags {
    /// Part that holds the image: a number from 0, or an EXTNAME; the first image where absent
    #[arg(long, value_name = "N|NAME", help_heading = "FITS images")]
    fits_hdu: Option<String>,
    /// Bands of a cube's planes, or of the images in a file, such as g,r,i,z, of which g, r and z are taken; one letter for
    /// images of one band, which are grey; where absent what the file says, or grz, or griz
    #[arg(long, value_name = "B,B,B", help_heading = "FITS images")]
    fits_bands: Option<String>,
    /// Parameters of the arcsinh stretch that differ from the Legacy Survey's m=0.03,Q=20,g=6,r=3.4,z=2.2
    #[arg(long, value_name = "NAME=X,...", help_heading = "FITS images")]
    fits_stretch: Option<String>,
}

impl FitsFlags {
    /// What these texts mean.
    ///
    /// # Errors
    /// As [`fits_options`].
    pub fn options(&self) -> crate::Result<crate::data::FitsOptions> {
        fits_options([&self.fits_hdu, &self.fits_bands, &self.fits_stretch].map(|text| text.as_deref()))
    }
}

/// What a training step computes: data, network, loss and augmentation.
#[derive(Args, Clone, Serialize)]
pub struct StepFlags {
    #[command(flatten)]
    #[serde(flatten)]
    pub data: DataFlags,
    /// Network: conv3, conv4, or a TOML file
    #[arg(long, value_name = "NAME|FILE.toml")]
    model: Option<String>,
    /// Images in a step
    #[arg(long)]
    batch: Option<usize>,
    /// Images of a step that are computed at a time, for batches that do not fit into memory: the same result within
    /// rounding, in less memory; auto takes as many as fit
    #[arg(long, value_name = "off|auto|N")]
    micro_batch: Option<MicroBatch>,
    /// Fraction of the target spread over all classes
    #[arg(long, allow_negative_numbers = true, value_parser = number::<f64>)]
    label_smoothing: Option<f64>,
    /// What an image of each class counts in the loss of training: none (one each), balanced (every class the same in all),
    /// or a number for each class in the order of the labels
    #[arg(long, value_name = "none|balanced|W1,W2,...", allow_hyphen_values = true)]
    class_weights: Option<ClassWeights>,
    /// Fraction of the training set that is set aside to choose the best epoch and to fit the temperature, so that the test
    /// set is measured once, at the end; with 0 the test set chooses, and accuracy on it is optimistic
    #[arg(long, value_name = "FRACTION", allow_negative_numbers = true, value_parser = number::<f64>)]
    validation: Option<f64>,
    #[command(flatten)]
    #[serde(flatten)]
    augmentation: AugmentFlags,
    /// Seed of weights, split, order, dropout and augmentation
    #[arg(long)]
    seed: Option<u64>,
}

/// On or off.
#[derive(Clone, Copy, Debug, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
enum Switch {
    On,
    Off,
}

/// Random affine maps while training, as one composed map with bilinear sampling.
#[derive(Args, Clone, Serialize)]
pub struct AugmentFlags {
    /// Augment the training images (flips, rotation, zoom, shift)
    #[arg(long, value_enum, value_name = "on|off", hide_possible_values = true)]
    augment: Option<Switch>,
    /// Mirror rows and columns at random
    #[arg(long, value_enum, value_name = "on|off", hide_possible_values = true)]
    flip: Option<Switch>,
    /// Largest rotation either way, as a fraction of a full turn
    #[arg(long, allow_negative_numbers = true, value_parser = number::<f64>)]
    rotation: Option<f64>,
    /// Zoom factors drawn from 1+LOW to 1+HIGH; below 1 magnifies
    #[arg(long, num_args = 2, value_names = ["LOW", "HIGH"], allow_negative_numbers = true, value_parser = number::<f64>)]
    zoom: Option<Vec<f64>>,
    /// Largest shift either way, as a fraction of the image
    #[arg(long, allow_negative_numbers = true, value_parser = number::<f64>)]
    shift: Option<f64>,
    /// What lies outside the image: reflect, wrap, nearest or constant
    #[arg(long, value_parser = fill_mode)]
    fill: Option<FillMode>,
}

/// A number that is neither infinite nor NaN, which JSON could not hold.
fn number<T: FromStr<Err: Display> + Copy + Into<f64>>(text: &str) -> Result<T, String> {
    let number: T = text.parse().map_err(|error: T::Err| error.to_string())?;
    if number.into().is_finite() { Ok(number) } else { Err("it must be a finite number".into()) }
}

fn fill_mode(text: &str) -> Result<FillMode, String> {
    let refused = |_| {
        let near = did_you_mean(text, ["reflect", "wrap", "nearest", "constant"]);
        format!("choose reflect, wrap, nearest or constant{near}")
    };
    serde_json::from_value(text.into()).map_err(refused)
}

/// How the optimizer steps.
#[derive(Args, Clone, Serialize)]
pub struct OptimizerFlags {
    /// Adam's step size, the largest of the schedule
    #[arg(long, allow_negative_numbers = true, value_parser = number::<f32>)]
    learning_rate: Option<f32>,
    /// How the learning rate changes
    #[arg(long, value_enum)]
    schedule: Option<ScheduleKind>,
    /// Epochs, or a part of one such as 0.5, over which the rate rises to --learning-rate step by step
    #[arg(long, value_name = "EPOCHS", allow_negative_numbers = true, value_parser = number::<f64>)]
    warm_up: Option<f64>,
    /// Rate at which the cosine ends, and below which no schedule goes
    #[arg(long, value_name = "RATE", allow_negative_numbers = true, value_parser = number::<f32>)]
    final_rate: Option<f32>,
    /// Epochs between two cuts of the step schedule; epochs without a lower val_loss before a cut of the plateau schedule (10
    /// where absent)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    schedule_epochs: Option<u32>,
    /// What a cut of the step and plateau schedules multiplies the rate with (0.1 where absent)
    #[arg(long, value_name = "F", allow_negative_numbers = true, value_parser = number::<f64>)]
    schedule_factor: Option<f64>,
    /// Decay of all weights and biases, times the learning rate and apart from the gradient (AdamW)
    #[arg(long, value_name = "D", allow_negative_numbers = true, value_parser = number::<f32>)]
    weight_decay: Option<f32>,
    /// Largest norm of a step's gradient over all parameters; a larger one is scaled down to it
    #[arg(long, value_name = "NORM", allow_negative_numbers = true, value_parser = number::<f32>)]
    clip_norm: Option<f32>,
    /// Keep a running average of the weights with this decay, such as 0.999, and measure and save that; its first steps average
    /// over less, so that the start is soon forgotten
    #[arg(long, value_name = "DECAY", allow_negative_numbers = true, value_parser = number::<f64>)]
    ema: Option<f64>,
}

/// Every setting of a training.
#[derive(Args, Clone, Serialize)]
pub struct TrainFlags {
    #[command(flatten)]
    #[serde(flatten)]
    step: StepFlags,
    /// Passes over the training images
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    epochs: Option<u32>,
    /// End after N epochs without a higher val_accuracy than the best
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    patience: Option<u32>,
    /// Time that training may take, such as 10m or 1h30m: no epoch begins that would go beyond it, and the first ends where it is
    /// over; schedules follow --epochs all the same, and --resume takes as much time again
    #[arg(long, value_name = "TIME")]
    time_budget: Option<Span>,
    #[command(flatten)]
    #[serde(flatten)]
    optimizer: OptimizerFlags,
    /// Start from trained weights of the same network, of a run (its best epoch) or a file, instead of seeded ones
    #[arg(long, value_name = "RUN|FILE")]
    weights: Option<PathBuf>,
    /// Write a checkpoint every N steps; at the end of each epoch where neither this nor --checkpoint-minutes is given, and
    /// always at the end and on Ctrl-C
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    checkpoint_every: Option<u32>,
    /// Write a checkpoint every M minutes
    #[arg(long, value_name = "M", allow_negative_numbers = true, value_parser = number::<f64>)]
    checkpoint_minutes: Option<f64>,
    /// Steps handed to the device at once; changes no result
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=64))]
    steps_per_submit: Option<u32>,
    /// Write what is measured for TensorBoard, too, into RUN/tensorboard
    #[arg(long)]
    tensorboard: bool,
    #[command(flatten)]
    #[serde(flatten)]
    device: DeviceFlags,
}

/// Where and how to compute.
#[derive(Args, Clone, Debug, Serialize)]
pub struct DeviceFlags {
    /// Where to compute
    #[arg(long, value_enum)]
    device: Option<DeviceKind>,
    /// Adapter by number or part of its name, as `galaxy-gpu devices` lists them
    #[arg(long, value_name = "N|NAME")]
    adapter: Option<String>,
    /// Which instructions native kernels use; all but portable give the same bits
    #[arg(long, value_enum)]
    cpu_features: Option<CpuFeatures>,
    /// Insist on an implementation, such as conv_block.forward=direct, or conv_block.forward@conv2d_1=direct for one layer (may be
    /// repeated); `bench choices` finds the fastest
    #[arg(long = "use", value_name = "CONTRACT[@LAYER]=NAME")]
    choices: Vec<Choice>,
    /// What activations and weights are stored in: mixed keeps them in f16 and everything that is summed up in f32; auto
    /// is mixed where the adapter multiplies 16 x 16 matrices of f16 in hardware
    #[arg(long, value_enum)]
    precision: Option<PrecisionChoice>,
    /// Run every layer alone, without fused blocks
    #[arg(long)]
    no_fuse: bool,
    /// Device memory for images: a larger data set is streamed, with the same results; auto streams what does not fit
    #[arg(long, value_name = "auto|BYTES")]
    data_memory: Option<DataMemory>,
    /// Seconds that the device may work at one submission before it counts as hung
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    timeout: Option<u32>,
    /// Let the driver check every access of every kernel (slower)
    #[arg(long)]
    checked: bool,
    #[command(flatten)]
    #[serde(flatten)]
    foreign: ShaderFlags,
}

impl DeviceFlags {
    /// A recipe on this device.
    ///
    /// # Errors
    /// As [`recipe`].
    pub fn recipe(&self) -> crate::Result<Recipe> {
        recipe(self)
    }
}

/// Options for a user's shaders.
#[derive(Args, Clone, Debug, Default, Serialize)]
pub struct ShaderFlags {
    /// Folder of WGSL files that replace the program's own of the same path (conv2d/forward_registers.wgsl, common/index.wgsl), or
    /// add an implementation to --use (conv2d/forward_mine.wgsl, with a line `// launch: registers` in its header)
    #[arg(long, value_name = "FOLDER")]
    pub shaders: Option<PathBuf>,
    /// Run the shaders of --shaders without the driver's checks, like the program's own: faster, but a shader that reads or writes
    /// out of bounds, or never ends, can then do anything
    #[arg(long, requires = "shaders")]
    trust_shaders: bool,
}

impl ShaderFlags {
    /// Reads the folder, and says what its shaders do; the program's own where there is none.
    ///
    /// # Errors
    /// As [`load_shaders`](crate::run::load_shaders).
    pub fn load(&self) -> crate::Result<crate::kernels::Shaders> {
        crate::run::load_shaders(self.shaders.as_deref(), self.trust_shaders, &mut super::note)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use crate::run::FIELDS;
    use clap::{CommandFactory, Parser};

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        flags: TrainFlags,
    }

    fn read(line: &str) -> Recipe {
        let words = ["train"].into_iter().chain(line.split_whitespace());
        recipe(&Line::try_parse_from(words).unwrap_or_else(|error| panic!("{line}: {error}")).flags).unwrap()
    }

    #[test]
    fn every_setting_has_its_option_and_every_option_gives_a_setting() {
        let command = Line::command();
        let mut options: Vec<(String, String)> =
            command.get_arguments().map(|arg| (arg.get_id().to_string(), arg.get_long().unwrap().to_owned())).collect();
        let mut wanted: Vec<(String, String)> =
            FIELDS.iter().map(|field| (field.name.to_owned(), field.option())).collect();
        options.sort();
        wanted.sort();
        assert_eq!(options, wanted);
        let train = Cli::command().find_subcommand("train").unwrap().clone();
        let groups: Vec<String> = train.get_groups().map(|group| group.get_id().to_string()).collect();
        assert!(GROUPS.iter().all(|name| groups.contains(&(*name).to_owned())), "{groups:?}");
    }

    #[test]
    fn the_command_of_a_recipe_is_read_as_that_recipe() {
        for line in [
            "",
            "--images 60 --size 16 --model conv3 --epochs 2 --batch 17 --learning-rate 0.0003 --seed 7",
            "--augment off --flip off --rotation 0.25 --zoom -0.25 0.5 --shift 0.1 --fill wrap --label-smoothing 0.1",
            "--data /d/F.h5 --split /d/S.csv --class-names a,b --validation 0.1 --class-weights 1,2.5 --micro-batch auto",
            "--device reference --precision mixed --use conv_block.forward=direct --use dense.forward=direct --no-fuse --checked",
            "--schedule plateau --schedule-epochs 3 --schedule-factor 0.5 --weight-decay 0.01 --clip-norm 1 --ema 0.999",
            "--warm-up 0.5 --final-rate 1e-6 --patience 3 --time-budget 90m --weights /runs/1 --tensorboard",
            "--data-memory 512MiB --timeout 30 --steps-per-submit 4 --checkpoint-every 10 --checkpoint-minutes 2.5",
            "--shaders /s --trust-shaders --cpu-features avx2 --fits-hdu 2 --fits-bands g,r,z --fits-stretch Q=10 --adapter 1",
        ] {
            let (recipe, command) = (read(line), read(line).command());
            assert_eq!(read(&command[2..].join(" ")), recipe, "{command:?}");
            assert_eq!(command.len() == 2, line.is_empty());
        }
    }
}
