//! Checkpoints: safetensors files with a description in JSON and a checksum. If the checksum is wrong, reading stops there, so the
//! fuzzer starts from a valid file.
#![no_main]

use galaxy_gpu::train::Checkpoint;
use std::path::PathBuf;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let run = PathBuf::from(format!("/dev/shm/galaxy-gpu-fuzz-{}", std::process::id()));
    let place = run.join("checkpoint/current.safetensors");
    std::fs::create_dir_all(run.join("checkpoint")).expect("room in /dev/shm");
    std::fs::write(&place, data).expect("room in /dev/shm");
    if let Err(error) = Checkpoint::load(&run) {
        let message = error.to_string();
        assert!(message.contains("current.safetensors") && !message.contains(char::is_control), "{message}");
    }
});
