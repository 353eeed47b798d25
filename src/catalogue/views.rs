//! The eight views of a square image: its quarter turns and their mirror images (the dihedral group of order 8). A galaxy's class
//! is the same in all of them.

/// Number of views.
pub const ALL: usize = 8;

/// View `view` (below [`ALL`]) of a square RGB image: rows and columns are swapped where its bit 4 is set, then columns are
/// mirrored for bit 1 and rows for bit 2. View 0 is the image itself.
pub fn view(pixels: &[u8], side: usize, view: usize) -> Vec<u8> {
    let mut turned = Vec::with_capacity(pixels.len());
    for row in 0..side {
        for column in 0..side {
            let row = if view & 2 == 0 { row } else { side - 1 - row };
            let column = if view & 1 == 0 { column } else { side - 1 - column };
            let (row, column) = if view & 4 == 0 { (row, column) } else { (column, row) };
            turned.extend_from_slice(&pixels[(row * side + column) * 3..][..3]);
        }
    }
    turned
}

/// The mean of the views' probabilities (`views x classes`). Each class is added in the order of size, in f64, so that the order
/// of the views changes no bit.
pub fn mean(scores: &[f32], classes: usize) -> Vec<f32> {
    let views = scores.len() / classes;
    let mean = |class: usize| {
        let mut own: Vec<f32> = scores.chunks_exact(classes).map(|view| view[class]).collect();
        own.sort_by(f32::total_cmp);
        (own.iter().map(|&score| f64::from(score)).sum::<f64>() / views as f64) as f32
    };
    (0..classes).map(mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn views_are_a_group() {
        let image: Vec<u8> = (0..27).collect();
        let views: BTreeSet<Vec<u8>> = (0..ALL).map(|number| view(&image, 3, number)).collect();
        assert_eq!(views.len(), ALL, "all differ");
        assert!(view(&image, 3, 0) == image);
        // the views of any view are the same eight
        for turned in &views {
            assert_eq!((0..ALL).map(|number| view(turned, 3, number)).collect::<BTreeSet<_>>(), views);
        }
        // a quarter turn to the right: the first row becomes the last column
        let corner = |image: &[u8], at: usize| image[at * 3];
        let right = view(&image, 3, 5);
        assert_eq!([2, 5, 8].map(|at| corner(&right, at)), [0, 3, 6]);
    }

    #[test]
    fn the_mean_is_blind_to_order() {
        let scores: Vec<f32> = (1..=16).map(|number| 1.0 / (3.0 * number as f32)).collect();
        let swapped: Vec<f32> = scores.chunks(2).rev().flatten().copied().collect();
        assert_eq!(mean(&scores, 2), mean(&swapped, 2));
        assert_eq!(mean(&[0.25, 0.75], 2), [0.25, 0.75]);
    }
}
