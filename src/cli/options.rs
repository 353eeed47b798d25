//! Options that several commands share, and their conversion into ready-to-use things.

use super::fits::FitsArgs;
use super::shaders::ShaderOptions;
use crate::data::hdf5::Reader;
use crate::data::{Dataset, LoadOptions, Split, simulate};
use crate::engine::gpu::TIMEOUT;
use crate::error::{Error, Result};
use crate::plan::Choice;
use crate::suggest::did_you_mean;
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

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
    /// Insist on an implementation, such as conv_block.forward=direct, or conv_block.forward@conv2d_1=direct for one layer (may be
    /// repeated); `bench choices` finds the fastest
    #[arg(long = "use", value_name = "CONTRACT[@LAYER]=NAME")]
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
    TIMEOUT.as_secs() as u32
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
}
