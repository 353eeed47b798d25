//! Networks in TOML, and their sizes.
#![no_main]

mod common;

use galaxy_gpu::model::Model;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let path = common::file(data, "toml");
    let model = Model::load(path.to_str().unwrap());
    if let Ok(Ok(network)) = model.as_ref().map(|model| model.build(64, 64, 10)) {
        let _ = (network.parameter_count(), network.forward_flops());
    }
    common::check(&path, model);
});
