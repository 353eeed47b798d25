//! The adapter that tests run on.

use galaxy_gpu::engine::Gpu;
use galaxy_gpu::error::Result;
use galaxy_gpu::kernels::Matrix;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock};

/// The adapter all tests of a process share. A test that calls this is marked `#[cfg_attr(no_adapter, ignore = "...")]`, or
/// `no_f16`: see `build.rs`.
pub fn gpu() -> Arc<Gpu> {
    static GPU: OnceLock<Arc<Gpu>> = OnceLock::new();
    GPU.get_or_init(|| opened(Gpu::open(None))).clone()
}

/// The same with emulated matrices, one for each shape.
pub fn emulating(matrix: Matrix) -> Arc<Gpu> {
    static GPUS: OnceLock<Mutex<HashMap<Matrix, Arc<Gpu>>>> = OnceLock::new();
    let mut gpus = GPUS.get_or_init(Mutex::default).lock().unwrap();
    gpus.entry(matrix).or_insert_with(|| opened(Gpu::open_emulating(None, matrix))).clone()
}

fn opened(gpu: Result<Arc<Gpu>>) -> Arc<Gpu> {
    gpu.unwrap_or_else(|error| panic!("{error} (GALAXY_GPU_NO_ADAPTER=allow ignores what needs an adapter)"))
}
