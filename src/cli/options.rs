//! Options that several commands share, and their conversion into ready-to-use things.

use super::fits::FitsArgs;
use super::shaders::ShaderOptions;
use crate::data::hdf5::Reader;
use crate::data::{Dataset, LoadOptions, Split, simulate};
use crate::engine::gpu::{PATIENCE, PipelineStore};
use crate::engine::validate::test_matrices;
use crate::engine::{CpuEngine, Engine, Gpu, GpuEngine};
use crate::error::{Error, Result};
use crate::files::{cache_folder, write_whole};
use crate::kernels::{Precision, Shaders};
use crate::plan::{Choice, Profile};
use crate::suggest::did_you_mean;
use crate::train::Setup;
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Which data.
#[derive(Args, Clone, Debug, Serialize, Deserialize)]
pub struct DataOptions {
    /// HDF5 file in Galaxy10's layout, or a folder of class folders; simulated galaxies where absent
    #[arg(long, value_name = "FILE|FOLDER")]
    pub data: Option<PathBuf>,
    /// Split to use: CSV with the columns index, ans, split (train, validation or test); drawn from the seed where absent
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
    #[command(flatten)]
    #[serde(flatten)]
    pub fits: FitsArgs,
}

/// The simulated galaxies that stand in where no data is given.
pub const SIMULATED: simulate::Settings = simulate::Settings { images: 2000, size: 64, seed: 1 };

/// Share of each class that is drawn for the test, as the notebook has it.
pub const TEST_FRACTION: f64 = 0.2;

impl DataOptions {
    /// Loads or draws the data set.
    ///
    /// # Errors
    /// As [`Dataset::load`] and [`simulate::simulate`]; names of classes without data.
    pub fn load(&self) -> Result<Dataset> {
        match &self.data {
            Some(path) => load_dataset(path, self.size, self.class_names.clone(), &self.fits),
            None if self.class_names.is_some() => {
                let allowed = "left out, as simulated galaxies have names";
                Err(Error::setting("--class-names", "given without --data", allowed))
            }
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
            Some(path) => {
                let split = Split::from_csv(path, dataset)?;
                split.note(dataset).into_iter().for_each(super::print_note);
                Ok(split)
            }
            None => Split::stratified(dataset, TEST_FRACTION, seed),
        }
    }
}

/// Loads a data set from a file or folder.
///
/// # Errors
/// As [`Dataset::load`] and [`FitsArgs::options`].
pub fn load_dataset(
    path: &Path,
    size: Option<usize>,
    class_names: Option<Vec<String>>,
    fits: &FitsArgs,
) -> Result<Dataset> {
    let fits = fits.options()?;
    Dataset::load(path, &LoadOptions { size, class_names, cache_dir: None, reader: Reader::own_child(), fits })
}

/// Prints what a data set's reader has to say.
pub fn print_notes(dataset: &Dataset) {
    dataset.notes.iter().for_each(super::print_note);
}

/// Refuses the output path of an option before any work is done for it: one of these endings, in a folder that exists
/// and can be written to. Leaves nothing behind.
///
/// # Errors
/// [`Error::Setting`] for another ending, [`Error::File`] for a folder that will not do.
pub fn check_output(option: &str, path: &Path, endings: &[&str]) -> Result<()> {
    let ending = path.extension().and_then(|ending| ending.to_str()).map(str::to_lowercase);
    if !endings.iter().any(|allowed| ending.as_deref() == Some(*allowed)) {
        let endings: Vec<String> = endings.iter().map(|ending| format!(".{ending}")).collect();
        let near = did_you_mean(&format!(".{}", ending.unwrap_or_default()), endings.iter().map(String::as_str));
        let allowed = format!("a file name that ends in {}{near}", endings.join(" or "));
        return Err(Error::setting(option, format!("\"{}\"", path.display()), allowed));
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let another = format!("choose another {option}");
    if !folder.is_dir() {
        let remedy = format!("create the folder first, or {another}");
        return Err(Error::file(path, "its folder does not exist", remedy));
    }
    if path.is_dir() {
        return Err(Error::file(path, "it is a folder", another));
    }
    let failed = |error| Error::file(path, format!("its folder cannot be written to ({error})"), another);
    tempfile::tempfile_in(folder).map(drop).map_err(failed)
}

/// Where to compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Device {
    /// An adapter, through WGSL kernels
    Gpu,
    /// The CPU twins: slow, but without any driver
    Cpu,
}

/// How numbers are to be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PrecisionChoice {
    /// Mixed where it is faster, else f32
    Auto,
    /// f32 throughout
    F32,
    /// f16 with f32 sums
    Mixed,
}

/// Where and how to compute.
#[derive(Args, Clone, Debug, Serialize, Deserialize)]
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
    /// What activations and weights are stored in: mixed keeps them in f16 and everything that is summed up in f32; auto
    /// is mixed where the adapter multiplies 16 x 16 matrices of f16 in hardware
    #[arg(long, value_enum, default_value = "auto")]
    pub precision: PrecisionChoice,
    /// Run every layer alone, without fused blocks
    #[arg(long)]
    pub no_fuse: bool,
    /// Device memory for images: a larger data set is streamed, with the same results; auto streams what does not fit
    #[arg(long, value_name = "auto|BYTES", default_value = "auto", value_parser = data_memory)]
    pub data_memory: DataMemory,
    /// Seconds that the device may work at one submission before it counts as hung
    #[arg(long, value_name = "SECONDS", default_value_t = default_timeout(), value_parser = clap::value_parser!(u32).range(1..))]
    #[serde(default = "default_timeout")]
    pub timeout: u32,
    /// Let the driver check every access of every kernel (slower)
    #[arg(long)]
    pub checked: bool,
    #[command(flatten)]
    #[serde(flatten)]
    pub foreign: ShaderOptions,
}

fn default_timeout() -> u32 {
    PATIENCE.as_secs() as u32
}

/// Bytes of device memory for images, such as 512MiB; `None` for as many as there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DataMemory(pub Option<u64>);

impl TryFrom<String> for DataMemory {
    type Error = String;

    fn try_from(text: String) -> std::result::Result<Self, String> {
        data_memory(&text)
    }
}

impl From<DataMemory> for String {
    fn from(memory: DataMemory) -> Self {
        memory.0.map_or("auto".into(), |bytes| bytes.to_string())
    }
}

fn data_memory(text: &str) -> std::result::Result<DataMemory, String> {
    if text == "auto" {
        return Ok(DataMemory(None));
    }
    let (number, unit) = text.split_at(text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len()));
    let unit = match unit {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1_u64 << 30,
        _ => return Err("give auto, or a number of bytes, KiB, MiB or GiB".into()),
    };
    let bytes = number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
    bytes.map(|bytes| DataMemory(Some(bytes))).ok_or_else(|| "give auto, or a number such as 512MiB".into())
}

/// An open device that can make engines.
pub enum OpenDevice {
    /// An adapter.
    Gpu(Arc<Gpu>),
    /// The twins.
    Cpu,
}

impl DeviceOptions {
    /// The shaders to run, once the implementations of `--use` are known to exist among them.
    ///
    /// # Errors
    /// As [`ShaderOptions::load`]; shaders for the twins, which run none; a choice of what does not exist.
    pub fn shaders(&self) -> Result<Shaders> {
        if self.device == Device::Cpu && self.foreign.shaders.is_some() {
            return Err(Error::setting(
                "--shaders",
                "given with --device cpu",
                "left out, as the twins run no shaders",
            ));
        }
        let shaders = self.foreign.load()?;
        self.choices.iter().try_for_each(|choice| choice.check(&shaders))?;
        Ok(shaders)
    }

    /// Opens the device.
    ///
    /// # Errors
    /// As [`Gpu::open`].
    pub fn open(&self) -> Result<OpenDevice> {
        match self.device {
            Device::Gpu => {
                let gpu = Gpu::open(self.adapter.as_deref())?;
                gpu.set_patience(Duration::from_secs(self.timeout.into()));
                if let Some(folder) = cache_folder() {
                    gpu.keep_pipelines(Arc::new(PipelineFolder(folder)));
                }
                Ok(OpenDevice::Gpu(gpu))
            }
            Device::Cpu if self.adapter.is_some() => {
                Err(Error::setting("--adapter", "given with --device cpu", "left out, as the twins need no adapter"))
            }
            Device::Cpu => Ok(OpenDevice::Cpu),
        }
    }
}

/// Keeps compiled pipelines in a folder. Whatever goes wrong costs time and nothing else, so it is not told.
struct PipelineFolder(PathBuf);

impl PipelineStore for PipelineFolder {
    fn load(&self, name: &str) -> Option<Vec<u8>> {
        std::fs::read(self.0.join(name)).ok()
    }

    fn save(&self, name: &str, bytes: &[u8]) {
        if std::fs::create_dir_all(&self.0).is_ok() {
            let _ = write_whole(&self.0.join(name), bytes);
        }
    }
}

impl OpenDevice {
    /// What the plan may count on.
    pub fn profile(&self) -> Profile {
        let profile = match self {
            Self::Gpu(gpu) => gpu.profile().clone(),
            Self::Cpu => Profile::cpu(),
        };
        let of_the_machine = matches!(&profile.kind[..], "software" | "cpu");
        let memory_bytes = if of_the_machine { free_memory() } else { profile.memory_bytes };
        Profile { memory_bytes, ..profile }
    }

    /// The precision for this device, and its profile. Matrices that fail a start-up test are taken out of the profile and
    /// said so.
    ///
    /// # Errors
    /// Mixed precision on an adapter without 16-bit floats; a lost device.
    pub fn precision(&self, choice: PrecisionChoice) -> Result<(Precision, Profile)> {
        let mut profile = self.profile();
        if choice == PrecisionChoice::F32 {
            return Ok((Precision::F32, profile));
        }
        if let (Self::Gpu(gpu), Some(_)) = (self, profile.matrix)
            && let Some(why) = test_matrices(gpu)?
        {
            super::print_note(format!("{}: its cooperative matrices are left alone, as {why}", profile.name));
            profile.matrix = None;
        }
        match choice {
            PrecisionChoice::Mixed if profile.f16 => Ok((Precision::Mixed, profile)),
            PrecisionChoice::Mixed => {
                let name = format!("mixed, but {} has no 16-bit floats", profile.name);
                Err(Error::setting("--precision", name, "f32 or auto on this adapter"))
            }
            _ => {
                let fast = profile.kind != "software" && profile.matrix.is_some_and(|matrix| matrix.tile == 16);
                Ok((if fast { Precision::Mixed } else { Precision::F32 }, profile))
            }
        }
    }

    /// As [`OpenDevice::precision`] for a trained network: `auto` is the precision it was trained in, where the device has that.
    ///
    /// # Errors
    /// As [`OpenDevice::precision`].
    pub fn precision_of_run(&self, choice: PrecisionChoice, trained: Precision) -> Result<(Precision, Profile)> {
        self.precision(match (choice, trained) {
            (PrecisionChoice::Auto, Precision::Mixed) if self.profile().f16 => PrecisionChoice::Mixed,
            (PrecisionChoice::Auto, _) => PrecisionChoice::F32,
            (choice, _) => choice,
        })
    }

    /// How a trained network's classifier computes here.
    ///
    /// # Errors
    /// As [`OpenDevice::precision`].
    pub fn inference(&self, options: &DeviceOptions, trained: Precision, batch: usize) -> Result<(Setup, Profile)> {
        let (precision, profile) = self.precision_of_run(options.precision, trained)?;
        let (fuse, choices, shaders) = (!options.no_fuse, options.choices.clone(), options.shaders()?);
        let setup =
            Setup { fuse, precision, choices, shaders, data_memory: options.data_memory.0, ..Setup::inference(batch) };
        Ok((setup, profile))
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

/// Bytes of the machine's own memory that programs may still take, where it says so: a failed allocation there would end
/// the program without a word.
fn free_memory() -> Option<u64> {
    std::fs::read_to_string("/proc/meminfo").ok().as_deref().and_then(available_memory)
}

/// Bytes that programs may still take, from Linux's `/proc/meminfo` (proc_meminfo(5): `MemAvailable`, in KiB).
fn available_memory(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_given_in_bytes_or_larger_units() {
        let bytes = |text| data_memory(text).map(|memory| memory.0);
        assert_eq!([bytes("auto"), bytes("0"), bytes("7B")], [Ok(None), Ok(Some(0)), Ok(Some(7))]);
        assert_eq!([bytes("3KiB"), bytes("512MiB")], [Ok(Some(3072)), Ok(Some(512 << 20))]);
        assert_eq!(bytes("2GiB"), Ok(Some(2 << 30)));
        for wrong in ["", "MiB", "-1", "1.5GiB", "1 GiB", "1GB", "99999999999GiB", "Auto"] {
            assert!(data_memory(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn free_memory_is_what_linux_calls_available() {
        let meminfo = "MemTotal:        8000000 kB\nMemFree:          100000 kB\nMemAvailable:    2097152 kB\n";
        assert_eq!(available_memory(meminfo), Some(2 << 30));
        assert_eq!(available_memory("MemTotal: 5 kB\n"), None);
        let profile = OpenDevice::Cpu.profile();
        assert_eq!(profile.memory_bytes.is_some(), cfg!(target_os = "linux"));
    }
}
