//! Pictures and tables of what a run found: curves, confusion matrices, grids of images, aligned text, traces.
//!
//! Pure functions over plain numbers and bytes: the same input gives the same picture on every machine, because the font
//! is part of the program. This room knows nothing of engines, models, adapters or data sets, and it never prints.

mod canvas;
pub mod confusion;
pub mod curves;
mod font;
pub mod grid;
pub mod inspection;
pub mod table;
mod ticks;
pub mod trace;

pub use confusion::{confusion_matrix, confusion_table};
pub use curves::curves;
pub use grid::{Tile, grid};
pub use inspection::{feature_maps, inspection};
pub use table::Table;
