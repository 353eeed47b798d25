//! Device memory over a training: memory that keeps growing would end a long one.

use super::device::OpenDevice;
use crate::engine::Gpu;
use serde::Serialize;
use std::sync::Arc;

/// Device memory at the ends of epochs.
pub struct DeviceMemory {
    gpu: Option<Arc<Gpu>>,
    found: Option<MemoryUse>,
    /// Bytes in use when last asked.
    in_use: Option<u64>,
}

/// In bytes, as the allocator counts them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct MemoryUse {
    /// At the end of the first epoch of this process.
    first_epoch: u64,
    /// The most at the end of a later one.
    most_later: u64,
}

impl DeviceMemory {
    /// Of a device; nothing is counted for the twins.
    pub fn of(device: &OpenDevice) -> Self {
        let gpu = match device {
            OpenDevice::Gpu(gpu) => Some(gpu.clone()),
            OpenDevice::Cpu | OpenDevice::Native(_) => None,
        };
        Self { gpu, found: None, in_use: None }
    }

    /// An epoch has ended.
    pub fn epoch(&mut self) {
        if let Some(now) = self.gpu.as_ref().and_then(|gpu| gpu.allocated_bytes()) {
            self.in_use = Some(now);
            self.found = Some(add(self.found, now));
        }
    }

    /// Bytes in use: at the end of the newest epoch, before the first at the first time it is asked. `None` where nothing counts.
    pub fn in_use(&mut self) -> Option<u64> {
        self.in_use = self.in_use.or_else(|| self.gpu.as_ref()?.allocated_bytes());
        self.in_use
    }

    /// What was found; `None` where nothing counts, or no epoch has ended.
    pub fn found(&self) -> Option<MemoryUse> {
        self.found
    }
}

fn add(found: Option<MemoryUse>, now: u64) -> MemoryUse {
    match found {
        None => MemoryUse { first_epoch: now, most_later: 0 },
        Some(found) => MemoryUse { most_later: found.most_later.max(now), ..found },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_after_the_first_epoch_is_kept() {
        let found = [5, 4, 9, 7].into_iter().fold(None, |found, now| Some(add(found, now)));
        assert_eq!(found, Some(MemoryUse { first_epoch: 5, most_later: 9 }));
        assert_eq!(DeviceMemory::of(&OpenDevice::Cpu).found(), None);
    }
}
