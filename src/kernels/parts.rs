//! The WGSL files that kernels use, and the names by which they do.

use super::Shader;
use crate::shader;

/// The files that kernels use. Those of `common/` stand alone; those of `parts/` need names of the kernel: its constants, bindings or
/// functions.
pub const PARTS: &[Shader] = &[
    shader!("common/block.wgsl"),
    shader!("common/index.wgsl"),
    shader!("common/pixels.wgsl"),
    shader!("common/pool.wgsl"),
    shader!("common/products.wgsl"),
    shader!("common/reduce.wgsl"),
    shader!("common/rng.wgsl"),
    shader!("common/step.wgsl"),
    shader!("parts/adam.wgsl"),
    shader!("parts/block_tiles.wgsl"),
    shader!("parts/codes.wgsl"),
    shader!("parts/conv2d_backward_weights.wgsl"),
    shader!("parts/conv2d_forward.wgsl"),
    shader!("parts/conv2d_matrix_inputs.wgsl"),
    shader!("parts/conv2d_phases.wgsl"),
    shader!("parts/conv2d_pixels.wgsl"),
    shader!("parts/conv2d_taps.wgsl"),
    shader!("parts/conv2d_windows.wgsl"),
    shader!("parts/dense_rows.wgsl"),
    shader!("parts/dense_tiles.wgsl"),
    shader!("parts/dropout.wgsl"),
    shader!("parts/finish.wgsl"),
    shader!("parts/first_maximum.wgsl"),
    shader!("parts/four_weights.wgsl"),
    shader!("parts/llvmpipe_images.wgsl"),
    shader!("parts/llvmpipe_patch.wgsl"),
    shader!("parts/llvmpipe_pool.wgsl"),
    shader!("parts/outer.wgsl"),
    shader!("parts/pick.wgsl"),
    shader!("parts/rgb_terms.wgsl"),
    shader!("parts/shard.wgsl"),
    shader!("parts/store_window.wgsl"),
    shader!("parts/sums16.wgsl"),
    shader!("parts/sums8.wgsl"),
];

/// Whether a path is that of a file which kernels use.
pub(super) fn is_part(path: &str) -> bool {
    path.starts_with("common/") || path.starts_with("parts/")
}

/// The name by which kernels use a part.
pub(super) fn part_name(path: &str) -> &str {
    path.split_once('/').map_or(path, |(_, file)| file).trim_end_matches(".wgsl")
}

/// What a file uses.
pub(super) fn uses(file: &Shader) -> Vec<&'static str> {
    let names = file.listed("use");
    match names.is_empty() && file.folder.is_some() && !is_part(file.path) {
        true => PARTS.iter().filter(|part| part.path.starts_with("common/")).map(|part| part_name(part.path)).collect(),
        false => names,
    }
}
