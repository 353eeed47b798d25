//! What whoever writes kernels or looks into a network works with: contracts shown in full, steps in lockstep with the twins,
//! shaders of a folder, and networks that explain a picture.

mod documents;
mod explain;
mod inspect;
mod lockstep;
mod shaders;
mod show;

use crate::common::desk::Desk;
