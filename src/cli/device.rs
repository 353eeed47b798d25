//! An open device: an adapter or the twins, with what a plan may count on there and the precision to compute in.

use super::options::{Device, DeviceOptions, PrecisionChoice};
use crate::engine::gpu::PipelineStore;
use crate::engine::validate::test_matrices;
use crate::engine::{CpuEngine, Engine, Gpu, GpuEngine};
use crate::error::{Error, Result};
use crate::files::{cache_folder, write_whole};
use crate::kernels::{Precision, Shaders};
use crate::plan::{Choice, Plan, Profile};
use crate::suggest::did_you_mean;
use crate::train::Setup;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

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
                gpu.set_timeout(Duration::from_secs(self.timeout.into()));
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

/// Says which choices of `--use` a training of this plan does not follow, as it calls nothing of the kind: a layer within a fused
/// block, most likely. A plan for inference alone calls little of what is chosen for a training, so nothing is said of it.
pub fn note_unused(plan: &Plan, choices: &[Choice]) {
    let fused = plan.programs.iter().flatten().any(|step| step.contract.name.starts_with("conv_block."));
    for choice in plan.unused(choices) {
        let contract = choice.contract();
        let calls = plan.programs.iter().flatten().filter(|step| step.contract.name == contract);
        let layers: Vec<&str> = calls.map(|step| &step.layer[..]).collect::<BTreeSet<&str>>().into_iter().collect();
        if let (Some(layer), false) = (choice.layer(), layers.is_empty()) {
            let near = did_you_mean(layer, layers.iter().copied());
            let called = layers.join(", ");
            super::print_note(format!("--use {choice} has no effect: {contract} is called for {called}{near}"));
            continue;
        }
        let within = fused && ["conv2d.", "relu.", "maxpool2d."].iter().any(|layer| contract.starts_with(layer));
        let remedy = if within { "; fused blocks call conv_block.*, and --no-fuse runs each layer alone" } else { "" };
        super::print_note(format!("--use {choice} has no effect: this network calls no {contract}{remedy}"));
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
        let memory_bytes = if profile.kind.is_on_the_cpu() { free_memory() } else { profile.memory_bytes };
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
                let fast = !profile.kind.is_software() && profile.matrix.is_some_and(|matrix| matrix.tile == 16);
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
    pub fn engine(&self, plan: Plan, checked: bool) -> Result<Box<dyn Engine>> {
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
    fn free_memory_is_what_linux_calls_available() {
        let meminfo = "MemTotal:        8000000 kB\nMemFree:          100000 kB\nMemAvailable:    2097152 kB\n";
        assert_eq!(available_memory(meminfo), Some(2 << 30));
        assert_eq!(available_memory("MemTotal: 5 kB\n"), None);
        let profile = OpenDevice::Cpu.profile();
        assert_eq!(profile.memory_bytes.is_some(), cfg!(target_os = "linux"));
    }
}
