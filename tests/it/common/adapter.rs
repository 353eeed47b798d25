//! The adapter that tests run on.

use galaxy_gpu::engine::Gpu;
use galaxy_gpu::error::Result;
use galaxy_gpu::kernels::Matrix;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock};

/// The adapter all tests of a process share. None is a failure, unless `GALAXY_GPU_NO_ADAPTER=allow` asks for a
/// printed skip.
pub fn gpu() -> Option<Arc<Gpu>> {
    static GPU: OnceLock<Option<Arc<Gpu>>> = OnceLock::new();
    GPU.get_or_init(|| opened(Gpu::open(None))).clone()
}

/// The same with imitated matrices, one for each shape.
pub fn imitating(matrix: Matrix) -> Option<Arc<Gpu>> {
    static GPUS: OnceLock<Mutex<HashMap<Matrix, Option<Arc<Gpu>>>>> = OnceLock::new();
    let mut gpus = GPUS.get_or_init(Mutex::default).lock().unwrap();
    gpus.entry(matrix).or_insert_with(|| opened(Gpu::open_imitating(None, matrix))).clone()
}

fn opened(gpu: Result<Arc<Gpu>>) -> Option<Arc<Gpu>> {
    match gpu {
        Ok(gpu) => Some(gpu),
        Err(error) if std::env::var("GALAXY_GPU_NO_ADAPTER").as_deref() == Ok("allow") => {
            eprintln!("SKIPPED, GALAXY_GPU_NO_ADAPTER=allow: {error}");
            None
        }
        Err(error) => panic!("{error} (GALAXY_GPU_NO_ADAPTER=allow turns this into a skip)"),
    }
}
