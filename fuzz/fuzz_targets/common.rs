//! Writes the input to a file in memory, as readers take paths.

use std::path::PathBuf;

/// Writes `data` to this process's file in /dev/shm, whose name ends with `ending`.
pub fn file(data: &[u8], ending: &str) -> PathBuf {
    let path = PathBuf::from(format!("/dev/shm/galaxy-gpu-fuzz-{}.{ending}", std::process::id()));
    std::fs::write(&path, data).expect("room in /dev/shm");
    path
}

/// Checks that a refusal is one line that names the file.
#[allow(dead_code, reason = "not every target has refusals of its own")]
pub fn check<T>(path: &std::path::Path, outcome: galaxy_gpu::Result<T>) {
    if let Err(error) = outcome {
        let message = error.to_string();
        assert!(message.contains(path.file_name().unwrap().to_str().unwrap()), "{message}");
        assert!(!message.contains(char::is_control) && message.len() < 8000, "{message}");
    }
}
