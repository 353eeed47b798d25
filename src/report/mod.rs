//! Charts, pictures, tables and pages of what a run found: curves, confusion matrices, reliability diagrams, grids of images,
//! aligned text, traces, and the report that holds a run.
//!
//! A chart is made once, as SVG: the page embeds it, and files hold it as SVG, PNG or PDF, by their ending. Pure functions over plain
//! numbers and bytes: the same input gives the same bytes on every machine, because the font is part of the program. This room
//! knows nothing of engines, models, adapters or data sets, and it never prints.

mod chart;
pub mod chosen;
pub mod comparison;
pub mod confusion;
pub mod curves;
mod drawing;
mod font;
pub mod grid;
pub mod html;
pub mod inspection;
mod pdf;
pub mod rates;
pub mod reliability;
mod svg;
pub mod table;
pub mod tensorboard;
mod thumbnail;
mod ticks;
pub mod trace;

pub use comparison::comparison;
pub use confusion::{confusion_matrix, confusion_table};
pub use curves::curves;
pub use drawing::FORMATS;
pub use grid::{Tile, grid, sentence};
pub use html::Report;
pub use inspection::{feature_maps, inspection};
pub use rates::rates;
pub use reliability::reliability;
pub use table::Table;
