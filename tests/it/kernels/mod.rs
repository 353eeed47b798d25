//! `galaxy-gpu kernels`, and what whoever writes kernels works with: contracts shown in full, kernels validated and timed, steps in
//! lockstep with the twins, shaders of a folder.

mod list;
mod lockstep;
mod registry;
mod shaders;
mod show;
