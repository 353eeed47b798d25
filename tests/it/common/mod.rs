//! What several tests need.

mod adapter;
pub mod desk;
pub mod npz;
pub mod rig;

pub use adapter::{gpu, imitating};
