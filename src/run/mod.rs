//! A run: a training from its recipe to the folder it leaves.
//!
//! [`Recipe`] holds every setting, [`train`] follows it, and an [`Observer`] hears of it. Nothing is printed: what a user should know is a
//! note, which an observer or a [`Note`] receives.

mod changes;
mod data;
mod device;
mod files;
mod identity;
mod memory;
mod meter;
mod observer;
mod open;
mod pace;
pub mod page;
mod recipe;
mod repeat;
mod rhythm;
pub mod series;
mod settings_file;
mod shaders;
mod split;
mod tensorboard;
mod train;
mod values;
mod watcher;

pub use changes::{Changes, quoted, resume_command};
pub use data::{SIMULATED, TEST_FRACTION, fits_options, load_dataset};
pub use device::{Device, NO_GPU, OpenDevice, unused_choices};
pub use identity::recipe_of;
pub use memory::MemoryUse;
pub use observer::{Begun, EndedEpoch, Finished, Observer, Status};
pub use open::Opened;
pub use recipe::{FIELDS, Field, Property, Recipe};
pub use repeat::{EndedSeries, resume_series, train_series};
pub use shaders::load_shaders;
pub use split::{SplitSizes, choosing_set, split_in_words};
pub use train::{Target, resume, train};
pub use values::{CpuFeatures, DataMemory, DeviceKind, PrecisionChoice, ScheduleKind, Span};

/// Receives notes: what should be known and stops nothing.
pub type Note<'n> = &'n mut dyn FnMut(String);
