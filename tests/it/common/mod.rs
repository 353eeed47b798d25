//! What several tests need.

mod adapter;
pub mod desk;
pub mod npz;
pub mod rig;

pub use adapter::{emulating, gpu};

/// Where a test runs its steps.
#[derive(Clone, Copy, PartialEq)]
pub enum Device {
    Reference,
    Native,
    /// The first adapter, whatever its kind.
    Gpu,
}

/// What names it on a command line, after `--device`.
impl std::fmt::Display for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str(match self {
            Self::Reference => "reference",
            Self::Native => "native",
            Self::Gpu => "gpu --adapter 0",
        })
    }
}

/// Makes tests `name::reference`, `name::native` and `name::gpu` of a function `name(Device)`; the latter is ignored where the machine
/// has no adapter.
macro_rules! on_every_device {
    ($($name:ident),+) => {$(
        mod $name {
            use crate::common::Device;

            #[test]
            fn reference() {
                super::$name(Device::Reference);
            }

            #[test]
            fn native() {
                super::$name(Device::Native);
            }

            #[test]
            #[cfg_attr(no_adapter, ignore = "needs an adapter")]
            fn gpu() {
                super::$name(Device::Gpu);
            }
        }
    )+};
}
pub(crate) use on_every_device;

/// The same for what needs 16-bit floats, which native kernels have none of.
macro_rules! on_every_device_with_f16 {
    ($($name:ident),+) => {$(
        mod $name {
            use crate::common::Device;

            #[test]
            fn reference() {
                super::$name(Device::Reference);
            }

            #[test]
            #[cfg_attr(no_f16, ignore = "needs 16-bit floats")]
            fn gpu() {
                super::$name(Device::Gpu);
            }
        }
    )+};
}
pub(crate) use on_every_device_with_f16;
