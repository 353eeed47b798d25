//! The threads of this process: one pool, which decoding, HDF5's chunks, native kernels and the twins share. Other threads only wait, for a
//! disk, a child or a driver.

use crate::error::{Error, Result};

/// Starts the pool, before anything uses it: `wanted` threads, else as many as RAYON_NUM_THREADS says, else as many as the machine allows.
///
/// # Errors
/// No threads, or more than the machine allows; threads that do not start.
pub fn start(wanted: Option<usize>) -> Result<()> {
    let mut pool = rayon::ThreadPoolBuilder::new();
    if let Some(count) = wanted {
        check(count, allowed())?;
        pool = pool.num_threads(count);
    }
    pool.build_global().map_err(|error| {
        let remedy = "allow this user more processes, or use a smaller --threads";
        Error::device(format!("threads cannot be started ({error})"), remedy)
    })
}

/// Threads that can run at once: what processors, affinity and a container's quota (cgroup) leave.
fn allowed() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn check(count: usize, most: usize) -> Result<()> {
    let allowed = match most {
        most if (1..=most).contains(&count) => return Ok(()),
        1 => "1, as this machine or its container allows no more".to_owned(),
        most => format!("from 1 to {most}, which this machine or its container allows"),
    };
    Err(Error::setting("--threads", count, allowed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_none_nor_more_than_there_are() {
        let said = |count, most| check(count, most).map_err(|error| error.to_string());
        assert_eq!((said(1, 1), said(4, 4)), (Ok(()), Ok(())));
        let error = said(0, 4).unwrap_err();
        assert!(error.starts_with("--threads is 0, but must be from 1 to 4, which"), "{error}");
        assert!(said(5, 4).unwrap_err().contains("--threads is 5, but must be from 1 to 4"));
        assert!(said(2, 1).unwrap_err().contains("--threads is 2, but must be 1, as"));
    }
}
