//! What several integration tests need.

use galaxy_gpu::engine::Gpu;
use std::sync::{Arc, OnceLock};

/// The adapter all tests of a process share. None is a failure, unless `GALAXY_GPU_NO_ADAPTER=allow` asks for a
/// printed skip.
pub fn gpu() -> Option<Arc<Gpu>> {
    static GPU: OnceLock<Option<Arc<Gpu>>> = OnceLock::new();
    let open = || match Gpu::open(None) {
        Ok(gpu) => Some(gpu),
        Err(error) if std::env::var("GALAXY_GPU_NO_ADAPTER").as_deref() == Ok("allow") => {
            eprintln!("SKIPPED, GALAXY_GPU_NO_ADAPTER=allow: {error}");
            None
        }
        Err(error) => panic!("{error} (GALAXY_GPU_NO_ADAPTER=allow turns this into a skip)"),
    };
    GPU.get_or_init(open).clone()
}
