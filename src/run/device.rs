//! An open device: an adapter or the twins, with what a plan may count on there and the precision to compute in.

use super::{CpuFeatures, DeviceKind, Note, PrecisionChoice, Recipe, load_shaders};
use crate::data::Dataset;
use crate::engine::gpu::PipelineStore;
use crate::engine::validate::test_matrices;
use crate::engine::{CpuEngine, Engine, Gpu, GpuEngine};
use crate::error::{Error, Result};
use crate::files::{cache_folder, write_whole};
use crate::kernels::{Precision, Shaders};
use crate::model::Network;
use crate::plan::{Choice, Plan, Profile};
use crate::simd::InstructionSet;
use crate::suggest::did_you_mean;
use crate::train::{Classifier, Session, Setup, Weights};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// An open device that can make engines.
pub enum OpenDevice {
    /// An adapter.
    Gpu(Arc<Gpu>),
    /// Kernels compiled for the CPU, with this instruction set.
    Native(InstructionSet),
    /// The twins.
    Cpu,
}

/// Why a device was taken that nobody named.
pub const NO_GPU: &str = "no GPU was found; --device software runs the WGSL kernels";

impl Recipe {
    /// The shaders to run, once the implementations that are chosen are known to exist among them.
    ///
    /// # Errors
    /// As [`load_shaders`]; shaders for a device that runs none; a choice of what does not exist.
    pub fn load_shaders(&self, note: Note) -> Result<Shaders> {
        if self.device.has_no_driver() && self.shaders.is_some() {
            let got = format!("given with --device {}", self.device.name());
            return Err(Error::setting("--shaders", got, "left out, as only adapters run shaders"));
        }
        let shaders = load_shaders(self.shaders.as_deref(), self.trust_shaders, note)?;
        self.choices.iter().try_for_each(|choice| choice.check(&shaders))?;
        Ok(shaders)
    }

    /// Opens the device. An adapter that is named is opened whatever its kind; else `gpu` is none that computes on the CPU.
    ///
    /// # Errors
    /// As [`Gpu::open`]; there is no such device; a setting that means nothing there.
    pub fn open_device(&self) -> Result<OpenDevice> {
        let native = || self.cpu_features.set().map(OpenDevice::Native);
        let named = self.cpu_features != CpuFeatures::Auto;
        if let (Some(_), true) = (&self.adapter, self.device.has_no_driver() || named) {
            let with = if named { "--cpu-features" } else { &format!("--device {}", self.device.name()) };
            return Err(Error::setting(
                "--adapter",
                format!("given with {with}"),
                "left out, as the CPU needs no adapter",
            ));
        }
        match (self.device, &self.adapter) {
            (DeviceKind::Gpu | DeviceKind::Software | DeviceKind::Reference, _) if named => {
                let got = format!("given with --device {}", self.device.name());
                Err(Error::setting("--cpu-features", got, "left out, as only native kernels use them"))
            }
            (_, Some(adapter)) => Gpu::open(Some(adapter)).map(|gpu| self.adapter_device(gpu)),
            (DeviceKind::Native, None) => native(),
            (DeviceKind::Reference, None) => Ok(OpenDevice::Cpu),
            (DeviceKind::Auto, None) if named => native(),
            (kind, None) => match (Gpu::open_first(kind == DeviceKind::Software)?, kind) {
                (Some(gpu), _) => Ok(self.adapter_device(gpu)),
                (None, DeviceKind::Software) => {
                    let remedy = "install one (on Debian: scripts/setup), or use --device native";
                    Err(Error::device("no Vulkan driver that computes on the CPU was found", remedy))
                }
                (None, DeviceKind::Gpu) => {
                    let remedy = "use --device native, or run the WGSL kernels on the CPU with --device software";
                    Err(Error::device("no GPU was found", remedy))
                }
                (None, _) => native(),
            },
        }
    }

    /// An adapter, set up as this recipe says.
    fn adapter_device(&self, gpu: Arc<Gpu>) -> OpenDevice {
        gpu.set_timeout(Duration::from_secs(self.timeout.into()));
        if let Some(folder) = cache_folder() {
            gpu.keep_pipelines(Arc::new(PipelineFolder(folder)));
        }
        OpenDevice::Gpu(gpu)
    }
}

/// Says which choices a training of this plan does not follow, as it calls nothing of the kind: most likely a layer within a fused
/// block. A plan for inference alone calls little of what is chosen for a training, so it is not asked.
pub fn unused_choices(plan: &Plan, choices: &[Choice]) -> Vec<String> {
    let fused = plan.programs.iter().flatten().any(|step| step.contract.name.starts_with("conv_block."));
    let in_words = |choice: &Choice| {
        let contract = choice.contract();
        let calls = plan.programs.iter().flatten().filter(|step| step.contract.name == contract);
        let layers: Vec<&str> = calls.map(|step| &step.layer[..]).collect::<BTreeSet<&str>>().into_iter().collect();
        if let (Some(layer), false) = (choice.layer(), layers.is_empty()) {
            let near = did_you_mean(layer, layers.iter().copied());
            let called = layers.join(", ");
            return format!("--use {choice} has no effect: {contract} is called for {called}{near}");
        }
        let within = fused && ["conv2d.", "relu.", "maxpool2d."].iter().any(|layer| contract.starts_with(layer));
        let remedy = if within { "; fused blocks call conv_block.*, and --no-fuse runs each layer alone" } else { "" };
        format!("--use {choice} has no effect: this network calls no {contract}{remedy}")
    };
    plan.unused(choices).into_iter().map(in_words).collect()
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
            Self::Native(set) => Profile::native(*set),
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
    pub fn precision(&self, choice: PrecisionChoice, note: Note) -> Result<(Precision, Profile)> {
        let mut profile = self.profile();
        profile.exact = choice == PrecisionChoice::Exact;
        if profile.exact || choice == PrecisionChoice::F32 {
            return Ok((Precision::F32, profile));
        }
        if let (Self::Gpu(gpu), Some(_)) = (self, profile.matrix)
            && let Some(why) = test_matrices(gpu)?
        {
            note(format!("{}: its cooperative matrices are left alone, as {why}", profile.name));
            profile.matrix = None;
        }
        match choice {
            PrecisionChoice::Mixed if profile.f16 => Ok((Precision::Mixed, profile)),
            PrecisionChoice::Mixed if profile.kind.is_native() => {
                let allowed = "f32 or auto, or used with --device software or a GPU";
                Err(Error::setting("--precision", "mixed, but native kernels have no 16-bit floats", allowed))
            }
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
    fn precision_of_run(
        &self,
        choice: PrecisionChoice,
        trained: Precision,
        note: Note,
    ) -> Result<(Precision, Profile)> {
        let choice = match (choice, trained) {
            (PrecisionChoice::Auto, Precision::Mixed) if self.profile().f16 => PrecisionChoice::Mixed,
            (PrecisionChoice::Auto, _) => PrecisionChoice::F32,
            (choice, _) => choice,
        };
        self.precision(choice, note)
    }

    /// An engine for a plan.
    ///
    /// # Errors
    /// As [`GpuEngine::new`].
    pub fn engine(&self, plan: Plan, checked: bool) -> Result<Box<dyn Engine>> {
        Ok(match self {
            Self::Gpu(gpu) => Box::new(GpuEngine::new(gpu, plan, checked)?),
            Self::Native(set) => Box::new(CpuEngine::native(plan, *set)),
            Self::Cpu => Box::new(CpuEngine::<f32>::new(plan)),
        })
    }
}

/// A device that is ready to compute as a recipe says.
pub struct Device {
    /// The open device.
    pub open: OpenDevice,
    /// What a plan may count on there.
    pub profile: Profile,
    /// What activations and weights are stored in.
    pub precision: Precision,
    /// Why this device was taken, where nobody named it and there was no GPU.
    pub why: Option<&'static str>,
    shaders: Shaders,
    choices: Vec<Choice>,
    fuse: bool,
    data_memory: Option<u64>,
    checked: bool,
}

impl Device {
    /// Opens the recipe's device, to run these shaders. `trained` is the precision of trained weights, which `auto` then follows.
    ///
    /// # Errors
    /// As [`Recipe::open_device`] and [`OpenDevice::precision`].
    pub fn open(recipe: &Recipe, shaders: Shaders, trained: Option<Precision>, note: Note) -> Result<Self> {
        Self::ready(recipe.open_device()?, recipe, shaders, trained, note)
    }

    /// As [`Device::open`] with a device that is open.
    ///
    /// # Errors
    /// As [`OpenDevice::precision`]; shaders for a device that runs none.
    pub fn ready(
        open: OpenDevice,
        recipe: &Recipe,
        shaders: Shaders,
        trained: Option<Precision>,
        note: Note,
    ) -> Result<Self> {
        if !matches!(open, OpenDevice::Gpu(_)) && shaders.hash().is_some() {
            let allowed =
                "left out, or used with --device software, as native kernels run no WGSL and no GPU was found";
            return Err(Error::setting("--shaders", "given", allowed));
        }
        let is_auto = recipe.device == DeviceKind::Auto && recipe.cpu_features == CpuFeatures::Auto;
        let why = (is_auto && matches!(open, OpenDevice::Native(_))).then_some(NO_GPU);
        let (precision, profile) = match trained {
            Some(trained) => open.precision_of_run(recipe.precision, trained, note)?,
            None => open.precision(recipe.precision, note)?,
        };
        let (choices, fuse, checked) = (recipe.choices.clone(), !recipe.no_fuse, recipe.checked);
        Ok(Self { open, profile, precision, why, shaders, choices, fuse, data_memory: recipe.data_memory.0, checked })
    }

    /// Opens the recipe's device for a training, with the recipe's shaders.
    ///
    /// # Errors
    /// As [`Recipe::load_shaders`] and [`Device::open`].
    pub fn for_training(recipe: &Recipe, note: Note) -> Result<Self> {
        let shaders = recipe.load_shaders(note)?;
        Self::open(recipe, shaders, None, note)
    }

    /// Opens the recipe's device for trained weights, with the recipe's shaders.
    ///
    /// # Errors
    /// As [`Recipe::load_shaders`] and [`Device::open`].
    pub fn for_weights(recipe: &Recipe, weights: &Weights, note: Note) -> Result<Self> {
        let shaders = recipe.load_shaders(note)?;
        Self::open(recipe, shaders, Some(weights.card.precision), note)
    }

    /// How inference of batches of this size computes here; a training adds what it needs.
    pub fn setup(&self, batch: usize) -> Setup {
        Setup {
            fuse: self.fuse,
            precision: self.precision,
            choices: self.choices.clone(),
            shaders: self.shaders.clone(),
            data_memory: self.data_memory,
            ..Setup::inference(batch)
        }
    }

    /// How a training of this recipe computes here, apart from the weights of its classes.
    ///
    /// # Errors
    /// As [`Recipe::validate`].
    pub fn training(&self, recipe: &Recipe) -> Result<Setup> {
        recipe.validate()?;
        Ok(Setup {
            training: true,
            micro_batch: recipe.micro_batch,
            augment: recipe.augmentation()?,
            label_smoothing: recipe.label_smoothing,
            ema: recipe.ema.is_some(),
            ..self.setup(recipe.batch)
        })
    }

    /// An engine for a plan.
    ///
    /// # Errors
    /// As [`GpuEngine::new`].
    pub fn engine(&self, plan: Plan) -> Result<Box<dyn Engine>> {
        self.open.engine(plan, self.checked)
    }

    /// A session on this device.
    ///
    /// # Errors
    /// As [`Session::new`].
    pub fn session<'d>(&self, network: &Network, dataset: &'d Dataset, setup: &Setup) -> Result<Session<'d>> {
        Session::new(network, dataset, setup, &self.profile, |plan| self.engine(plan))
    }

    /// A classifier with these weights on this device, for batches of this size.
    ///
    /// # Errors
    /// As [`Classifier::new`].
    pub fn classifier(&self, weights: &Weights, batch: usize) -> Result<Classifier> {
        Classifier::new(weights, &self.setup(batch), &self.profile, |plan| self.engine(plan))
    }

    /// What a run is held to be computed by: device, driver, and a user's shaders, which compute as another device would.
    pub fn identity(&self) -> String {
        let Profile { name, backend, driver, .. } = &self.profile;
        match &self.open {
            // neither more lanes nor more threads change a bit
            OpenDevice::Native(set) if set.rounds_once() => format!("{name}, fused multiply-add"),
            OpenDevice::Native(_) => format!("{name}, portable code"),
            _ => {
                let shaders = self.shaders.hash().map_or(String::new(), |hash| format!(", with shaders {hash}"));
                format!("{name}, {backend}, {driver}{shaders}")
            }
        }
    }

    /// The hash of a user's shaders, where there are any.
    pub fn shaders_hash(&self) -> Option<String> {
        self.shaders.hash()
    }

    /// Says which of the recipe's choices a training of this plan does not follow.
    pub fn unused_choices(&self, plan: &Plan) -> Vec<String> {
        unused_choices(plan, &self.choices)
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
