//! What several tests need.

mod adapter;
pub mod desk;
pub mod npz;
pub mod rig;

pub use adapter::{emulating, gpu};

/// Where a test runs its steps.
#[derive(Clone, Copy, PartialEq)]
pub enum Device {
    Cpu,
    Gpu,
}

impl std::fmt::Display for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str(if *self == Self::Cpu { "cpu" } else { "gpu" })
    }
}

/// Makes tests `name::cpu` and `name::gpu` of a function `name(Device)`; the latter is ignored under a cfg of `build.rs`.
macro_rules! on_both_devices {
    ($lacking:ident: $($name:ident),+) => {$(
        mod $name {
            use crate::common::Device;

            #[test]
            fn cpu() {
                super::$name(Device::Cpu);
            }

            #[test]
            #[cfg_attr($lacking, ignore = "the machine lacks what it needs")]
            fn gpu() {
                super::$name(Device::Gpu);
            }
        }
    )+};
}
pub(crate) use on_both_devices;
