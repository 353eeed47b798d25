//! Options that several commands share, and their conversion into ready-to-use things.

use crate::data::{Dataset, LoadOptions, Split, simulate};
use crate::engine::{CpuEngine, Engine, Gpu, GpuEngine};
use crate::error::{Error, Result};
use crate::plan::{Choice, Profile};
use clap::{Args, ValueEnum};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Which data.
#[derive(Args, Clone, Debug)]
pub struct DataOptions {
    /// HDF5 file in Galaxy10's layout, or a folder of class folders; simulated galaxies where absent
    #[arg(long, value_name = "FILE|FOLDER")]
    pub data: Option<PathBuf>,
    /// Split to use: CSV with the columns index, ans, split (train or test); drawn from the seed where absent
    #[arg(long, value_name = "FILE.csv")]
    pub split: Option<PathBuf>,
    /// Simulated images, where no --data is given
    #[arg(long, default_value_t = SIMULATED.images, value_name = "N")]
    pub images: usize,
    /// Side of an image in pixels: of simulated galaxies (64 where absent) and of pictures from a folder
    #[arg(long, value_name = "PIXELS")]
    pub size: Option<usize>,
    /// Names of the classes, separated by commas, where the data has none
    #[arg(long, value_delimiter = ',', value_name = "A,B,...")]
    pub class_names: Option<Vec<String>>,
}

/// The simulated galaxies that stand in where no data is given.
pub const SIMULATED: simulate::Settings = simulate::Settings { images: 2000, size: 64, seed: 1 };

impl DataOptions {
    /// Loads or draws the data set.
    ///
    /// # Errors
    /// As [`Dataset::load`] and [`simulate::simulate`].
    pub fn load(&self) -> Result<Dataset> {
        match &self.data {
            Some(path) => load_dataset(path, self.size, self.class_names.clone()),
            None => {
                let size = self.size.unwrap_or(SIMULATED.size);
                simulate::simulate(&simulate::Settings { images: self.images, size, ..SIMULATED })
            }
        }
    }

    /// The split of `--split`, or a stratified one from the seed: 80 % to train with, 20 % to test.
    ///
    /// # Errors
    /// As [`Split::from_csv`] and [`Split::stratified`].
    pub fn split(&self, dataset: &Dataset, seed: u64) -> Result<Split> {
        match &self.split {
            Some(path) => Split::from_csv(path, dataset),
            None => Split::stratified(dataset, 0.2, seed),
        }
    }
}

/// Loads a data set from a file or folder.
///
/// # Errors
/// As [`Dataset::load`].
pub fn load_dataset(path: &Path, size: Option<usize>, class_names: Option<Vec<String>>) -> Result<Dataset> {
    Dataset::load(path, &LoadOptions { size, class_names, cache_dir: None })
}

/// Prints what a data set's reader has to say.
pub fn print_notes(dataset: &Dataset) {
    dataset.notes.iter().for_each(|note| eprintln!("note: {note}"));
}

/// Where to compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Device {
    /// An adapter, through WGSL kernels
    Gpu,
    /// The CPU twins: slow, but without any driver
    Cpu,
}

/// Where and how to compute.
#[derive(Args, Clone, Debug)]
pub struct DeviceOptions {
    /// Where to compute
    #[arg(long, value_enum, default_value = "gpu")]
    pub device: Device,
    /// Adapter by number or part of its name, as `galaxy-gpu devices` lists them
    #[arg(long, value_name = "N|NAME")]
    pub adapter: Option<String>,
    /// Insist on an implementation, such as conv_block.forward=direct (may be repeated)
    #[arg(long = "use", value_name = "CONTRACT=NAME")]
    pub choices: Vec<Choice>,
    /// Run every layer alone, without fused blocks
    #[arg(long)]
    pub no_fuse: bool,
    /// Let the driver check every access of every kernel (slower)
    #[arg(long)]
    pub checked: bool,
}

/// An open device that can make engines.
pub enum OpenDevice {
    /// An adapter.
    Gpu(Arc<Gpu>),
    /// The twins.
    Cpu,
}

impl DeviceOptions {
    /// Opens the device.
    ///
    /// # Errors
    /// As [`Gpu::open`].
    pub fn open(&self) -> Result<OpenDevice> {
        match self.device {
            Device::Gpu => Ok(OpenDevice::Gpu(Gpu::open(self.adapter.as_deref())?)),
            Device::Cpu if self.adapter.is_some() => {
                Err(Error::setting("--adapter", "given with --device cpu", "left out, as the twins need no adapter"))
            }
            Device::Cpu => Ok(OpenDevice::Cpu),
        }
    }
}

impl OpenDevice {
    /// What the plan may count on.
    pub fn profile(&self) -> Profile {
        match self {
            Self::Gpu(gpu) => gpu.profile().clone(),
            Self::Cpu => Profile::cpu(),
        }
    }

    /// An engine for a plan.
    ///
    /// # Errors
    /// As [`GpuEngine::new`].
    pub fn engine(&self, plan: crate::plan::Plan, checked: bool) -> Result<Box<dyn Engine>> {
        Ok(match self {
            Self::Gpu(gpu) => Box::new(GpuEngine::new(gpu, plan, checked)?),
            Self::Cpu => Box::new(CpuEngine::<f32>::new(plan)),
        })
    }
}
