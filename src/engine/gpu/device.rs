//! Adapters and devices: which there are, which one is opened, and what the driver reports when something goes wrong.

use super::budget::memory_of;
use super::pipeline_cache::{KeptPipelines, PipelineStore};
use crate::error::{Error, Result};
use crate::kernels::{Matrix, can_emulate};
use crate::plan::{AdapterKind, Profile};
use crate::suggest::did_you_mean;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

/// An open GPU.
pub struct Gpu {
    pub(super) device: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    pub(super) profile: Profile,
    /// The store of compiled pipelines, once [`Gpu::keep_pipelines`] was called.
    pub(super) kept: OnceLock<KeptPipelines>,
    /// The first error that the driver reported outside a call.
    fault: Arc<Mutex<Option<String>>>,
    /// The adapter's number.
    number: usize,
    /// Milliseconds that a submission may take.
    timeout: AtomicU64,
}

/// How long a device may work at a submission before it counts as hung, unless [`Gpu::set_timeout`] says otherwise. The longest
/// step of a software adapter takes seconds; drivers of their own end what takes longer than 2 to 10 s.
pub const TIMEOUT: Duration = Duration::from_secs(300);

thread_local! {
    /// Whether this thread is within a call whose panic is caught.
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Whether a panic of this thread will be caught and become an error, so that it need not be printed.
pub fn panic_is_caught() -> bool {
    GUARDED.get()
}

/// All adapters, the fastest kind first, in the order that `--adapter` counts.
pub fn adapters() -> Vec<Profile> {
    enumerate().iter().map(profile_of).collect()
}

fn enumerate() -> Vec<wgpu::Adapter> {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let backends = wgpu::Backends::VULKAN | wgpu::Backends::METAL | wgpu::Backends::DX12;
    let mut adapters = pollster::block_on(instance.enumerate_adapters(backends));
    adapters.sort_by_key(|adapter| match adapter.get_info().device_type {
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::IntegratedGpu => 1,
        wgpu::DeviceType::VirtualGpu => 2,
        wgpu::DeviceType::Other => 3,
        wgpu::DeviceType::Cpu => 4,
    });
    adapters
}

fn profile_of(adapter: &wgpu::Adapter) -> Profile {
    let (info, limits, features) = (adapter.get_info(), adapter.limits(), adapter.features());
    let kind = match info.device_type {
        wgpu::DeviceType::DiscreteGpu => AdapterKind::Discrete,
        wgpu::DeviceType::IntegratedGpu => AdapterKind::Integrated,
        wgpu::DeviceType::VirtualGpu => AdapterKind::Virtual,
        wgpu::DeviceType::Other => AdapterKind::Other,
        wgpu::DeviceType::Cpu => AdapterKind::Software,
    };
    Profile {
        name: info.name,
        driver: format!("{} {}", info.driver, info.driver_info).trim().to_owned(),
        backend: format!("{:?}", info.backend).to_lowercase(),
        kind,
        binding_bytes: limits.max_storage_buffer_binding_size,
        buffer_bytes: limits.max_buffer_size,
        memory_bytes: memory_of(adapter).filter(|_| !kind.is_software()),
        storage_buffers: limits.max_storage_buffers_per_shader_stage,
        workgroup_bytes: limits.max_compute_workgroup_storage_size,
        invocations: limits.max_compute_invocations_per_workgroup,
        subgroup: match features.contains(wgpu::Features::SUBGROUP) {
            true => (info.subgroup_min_size, info.subgroup_max_size),
            false => (0, 0),
        },
        timestamps: features.contains(wgpu::Features::TIMESTAMP_QUERY),
        f16: features.contains(wgpu::Features::SHADER_F16),
        matrix: matrix_of(adapter),
        exact: false,
    }
}

/// Features that kernels with cooperative matrices need.
const MATRIX_FEATURES: wgpu::Features =
    wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX.union(wgpu::Features::SHADER_F16).union(wgpu::Features::SUBGROUP);

/// The adapter's cooperative matrices: the larger of the square tiles that WGSL knows, with f16 factors and f32 sums. `None` unless
/// subgroups have a single size, which a shader can rely on, and one that the kernels are written for.
fn matrix_of(adapter: &wgpu::Adapter) -> Option<Matrix> {
    let info = adapter.get_info();
    let subgroup = info.subgroup_min_size;
    let known = matches!(subgroup, 8 | 16 | 32 | 64) && subgroup == info.subgroup_max_size;
    if !known || !adapter.features().contains(MATRIX_FEATURES) {
        return None;
    }
    use wgpu::CooperativeScalarType::{F16, F32};
    let shapes = adapter.cooperative_matrix_properties();
    let offered = |tile: &u32| {
        shapes.iter().any(|shape| {
            [shape.m_size, shape.n_size, shape.k_size] == [*tile; 3] && shape.ab_type == F16 && shape.cr_type == F32
        })
    };
    [16, 8].into_iter().find(offered).map(|tile| Matrix { tile, subgroup, emulated: false })
}

#[expect(unsafe_code, reason = "cooperative matrices are an experimental feature of wgpu")]
fn experimental(features: wgpu::Features) -> wgpu::ExperimentalFeatures {
    if !features.contains(MATRIX_FEATURES) {
        return wgpu::ExperimentalFeatures::disabled();
    }
    // SAFETY: wgpu wants callers to know that an experimental feature may have faults. Only our own kernels use matrices, they
    // are tested against their twins, and they use only shapes that the adapter lists.
    unsafe { wgpu::ExperimentalFeatures::enabled() }
}

impl Gpu {
    /// Opens an adapter: the first, the one with the given number, or the first whose name contains the given text. Text that
    /// reads as a number is always a number.
    ///
    /// # Errors
    /// There is no adapter, none with this number or name, or it does not open.
    pub fn open(wanted: Option<&str>) -> Result<Arc<Self>> {
        Self::open_wanted(wanted).map(Arc::new)
    }

    /// Opens the first adapter that is a GPU, or the first that is a software driver; `None` where there is none.
    ///
    /// # Errors
    /// It does not open.
    pub fn open_first(software: bool) -> Result<Option<Arc<Self>>> {
        let adapters = enumerate();
        let wanted = |adapter: &wgpu::Adapter| (adapter.get_info().device_type == wgpu::DeviceType::Cpu) == software;
        let Some(number) = adapters.iter().position(wanted) else { return Ok(None) };
        Self::open_adapter(&adapters[number], number).map(|gpu| Some(Arc::new(gpu)))
    }

    /// As [`Gpu::open`], with cooperative matrices that are plain WGSL, whether the adapter has others or none: slow, and a way to
    /// run every kernel that is written for matrices anywhere.
    ///
    /// # Errors
    /// As [`Gpu::open`]; matrices that [`can_emulate`] does not know; an adapter without 16-bit floats.
    pub fn open_emulating(wanted: Option<&str>, matrix: Matrix) -> Result<Arc<Self>> {
        if !can_emulate(matrix) {
            return Err(Error::setting("emulated matrices", format!("{matrix:?}"), "of a shape that can be emulated"));
        }
        let mut gpu = Self::open_wanted(wanted)?;
        if !gpu.profile.f16 {
            let problem = format!("{} has no 16-bit floats, which matrices are made of", gpu.profile.name);
            return Err(Error::device(problem, "choose another one with --adapter"));
        }
        gpu.profile.matrix = Some(Matrix { emulated: true, ..matrix });
        Ok(Arc::new(gpu))
    }

    fn open_wanted(wanted: Option<&str>) -> Result<Self> {
        let adapters = enumerate();
        let names: Vec<String> = adapters.iter().map(|adapter| adapter.get_info().name).collect();
        if names.is_empty() {
            let remedy = "install a Vulkan driver (on Debian: scripts/setup), or use --device native";
            return Err(Error::device("no GPU adapter was found", remedy));
        }
        let index = match (wanted, wanted.map(str::parse::<usize>)) {
            (Some(_), Some(Ok(index))) => Some(index).filter(|&index| index < names.len()),
            (Some(text), _) => names.iter().position(|name| name.to_lowercase().contains(&text.to_lowercase())),
            (None, _) => Some(0),
        };
        let Some(index) = index else {
            let listed: Vec<String> = names.iter().enumerate().map(|(i, name)| format!("{i} = {name}")).collect();
            let wanted = wanted.unwrap_or_default();
            let words = names.iter().flat_map(|name| name.split_whitespace());
            let near = did_you_mean(wanted, words.chain(names.iter().map(String::as_str)));
            let allowed = format!("one of {}{near}", listed.join(", "));
            return Err(Error::setting("--adapter", format!("\"{wanted}\""), allowed));
        };
        Self::open_adapter(&adapters[index], index)
    }

    /// Opens another device of the same adapter, after this one has failed.
    ///
    /// # Errors
    /// The adapter is gone or does not open.
    pub fn reopen(&self) -> Result<Arc<Self>> {
        let adapters = enumerate();
        let same = |adapter: &wgpu::Adapter| {
            let found = profile_of(adapter);
            let facts = |profile: &Profile| [&profile.name, &profile.backend, &profile.driver].map(String::clone);
            facts(&found) == facts(&self.profile)
        };
        let by_number = Some(self.number).filter(|&number| adapters.get(number).is_some_and(same));
        let Some(number) = by_number.or_else(|| adapters.iter().position(same)) else {
            let remedy = "check that it is plugged in and its driver runs";
            return Err(Error::device(format!("adapter {} is gone", self.profile.name), remedy));
        };
        let mut gpu = Self::open_adapter(&adapters[number], number)?;
        gpu.profile = self.profile.clone();
        gpu.timeout = AtomicU64::new(self.timeout.load(Ordering::Relaxed));
        if let Some(kept) = self.kept.get() {
            gpu.keep_pipelines(kept.store.clone());
        }
        Ok(Arc::new(gpu))
    }

    fn open_adapter(adapter: &wgpu::Adapter, number: usize) -> Result<Self> {
        let profile = profile_of(adapter);
        use wgpu::Features;
        let mut wanted =
            Features::TIMESTAMP_QUERY | Features::SHADER_F16 | Features::SUBGROUP | Features::PIPELINE_CACHE;
        if profile.matrix.is_some() {
            wanted |= MATRIX_FEATURES;
        }
        let features = adapter.features() & wanted;
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("galaxy-gpu"),
            required_features: features,
            required_limits: adapter.limits(),
            experimental_features: experimental(features),
            memory_hints: wgpu::MemoryHints::Performance,
            ..Default::default()
        };
        let opened = pollster::block_on(adapter.request_device(&descriptor));
        let remedy = "update its driver, choose another one with --adapter, or use --device native";
        let (device, queue) =
            opened.map_err(|e| Error::device(format!("adapter {} does not open: {e}", profile.name), remedy))?;
        let fault = Arc::new(Mutex::new(None));
        let (uncaptured, lost) = (fault.clone(), fault.clone());
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| note(&uncaptured, error.to_string())));
        device.set_device_lost_callback(move |reason, message| {
            if reason != wgpu::DeviceLostReason::Destroyed {
                note(&lost, format!("the device was lost: {message}"));
            }
        });
        let timeout = AtomicU64::new(TIMEOUT.as_millis() as u64);
        Ok(Self { device, queue, profile, kept: OnceLock::new(), fault, number, timeout })
    }

    /// The first adapter, for a unit test that is ignored where there may be none.
    #[cfg(test)]
    pub(crate) fn for_tests() -> Arc<Self> {
        Self::open(None).unwrap()
    }

    /// What the adapter can do.
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// From now on a submission that takes longer counts as hung.
    pub fn set_timeout(&self, timeout: Duration) {
        self.timeout.store(timeout.as_millis() as u64, Ordering::Relaxed);
    }

    /// Destroys the device. Its memory is freed as soon as it has finished its current work.
    pub fn destroy(&self) {
        self.device.destroy();
    }

    /// Waits for a submission, or for everything queued.
    pub(super) fn wait_for(&self, submission_index: Option<wgpu::SubmissionIndex>) -> Result<()> {
        let timeout = Duration::from_millis(self.timeout.load(Ordering::Relaxed));
        let wait = wgpu::PollType::Wait { submission_index, timeout: Some(timeout) };
        GUARDED.set(true);
        // if a driver reports that the device is lost, wgpu calls our callback and then panics
        let waited = catch_unwind(AssertUnwindSafe(|| self.device.poll(wait)));
        GUARDED.set(false);
        let problem = match waited {
            Ok(Ok(_)) => return self.check(),
            Ok(Err(wgpu::PollError::Timeout)) => format!("it has not answered for {} s", timeout.as_secs_f64()),
            Ok(Err(error)) => format!("waiting failed ({error})"),
            Err(_) => "the device was lost".to_owned(),
        };
        // dropping a device waits for it, forever if it hangs; so the little it still holds is freed by the end of the process
        std::mem::forget((self.device.clone(), self.queue.clone()));
        note(&self.fault, problem);
        self.check()
    }

    /// Which clock times its work: `gpu`, or `wall` if it has none.
    pub fn clock(&self) -> &'static str {
        if self.profile.timestamps { "gpu" } else { "wall" }
    }

    /// Bytes of device memory in use now; `None` if the backend does not count them.
    pub fn allocated_bytes(&self) -> Option<u64> {
        self.device.generate_allocator_report().map(|report| report.total_allocated_bytes)
    }

    pub(super) fn buffer(&self, label: &str, size: u64, usage: wgpu::BufferUsages) -> wgpu::Buffer {
        let descriptor = wgpu::BufferDescriptor { label: Some(label), size, usage, mapped_at_creation: false };
        self.device.create_buffer(&descriptor)
    }

    /// From now on, looks for pipelines in `store` before compiling them, and saves them there once an engine has built its
    /// own. A second store is ignored, and so is any store if the adapter has no pipeline cache.
    pub fn keep_pipelines(&self, store: Arc<dyn PipelineStore>) {
        if !self.device.features().contains(wgpu::Features::PIPELINE_CACHE) {
            return;
        }
        let open = || KeptPipelines::open(&self.device, &self.profile, store);
        if let Ok(kept) = self.guarded("opening the pipeline cache", open) {
            let _ = self.kept.set(kept);
        }
    }

    /// Runs `work` and returns an error if the driver objects.
    pub(super) fn guarded<R>(&self, doing: &str, work: impl FnOnce() -> R) -> Result<R> {
        let memory = self.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let validation = self.device.push_error_scope(wgpu::ErrorFilter::Validation);
        let result = work();
        let errors = [pollster::block_on(validation.pop()), pollster::block_on(memory.pop())];
        match errors.into_iter().flatten().next() {
            None => Ok(result),
            Some(wgpu::Error::OutOfMemory { .. }) => {
                let problem = format!("{}, {doing}: out of memory", self.profile.name);
                let remedy = "use a smaller --batch, smaller images, a smaller --data-memory, or close other programs";
                Err(Error::Memory { problem, remedy: remedy.to_owned() })
            }
            Some(error) => Err(Error::device(format!("{}, {doing}: {error}", self.profile.name), "please report this")),
        }
    }

    /// Fails if the driver has reported a fault.
    pub(super) fn check(&self) -> Result<()> {
        let fault = self.fault.lock().map(|fault| fault.clone()).unwrap_or_default();
        let remedy = "see the driver's log; update the driver or choose another adapter with --adapter";
        fault.map_or(Ok(()), |message| Err(Error::device(format!("{}: {message}", self.profile.name), remedy)))
    }
}

fn note(fault: &Mutex<Option<String>>, message: String) {
    if let Ok(mut fault) = fault.lock() {
        fault.get_or_insert(message);
    }
}
