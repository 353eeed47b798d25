//! Keras's files. `archive.rs` opens and makes `.keras` archives, `config.rs` reads the description of a model as a list of
//! layers, `layers.rs` turns these into this program's, `weights.rs` finds their arrays, `pixels.rs` settles what a network is fed,
//! `import.rs` puts it together; `listing.rs` is a network in Keras's order, and `export.rs` writes it. What Keras calls each layer is in
//! the layer's own file.
//!
//! Formats: Keras 3's `.keras` (a zip of `config.json`, `metadata.json` and `model.weights.h5`) and `.weights.h5`
//! (`keras/src/saving/saving_lib.py`), and the older `.h5` with an attribute `model_config`
//! (`keras/src/legacy/saving/legacy_h5_format.py`).

mod archive;
mod config;
mod export;
mod import;
mod layers;
mod listing;
mod pixels;
mod weights;

pub use export::{model_file, weights_file};
pub use import::{Import, Imported, import};
pub use pixels::Pixels;

/// What is wrong with a file, and what helps; the path is known where it becomes an error.
type Refusal = (String, String);

/// A class as Keras writes it in names: `MaxPooling2D` as `max_pooling2d`, `ReLU` as `re_lu` (`keras/src/utils/naming.py`).
fn snake_case(class: &str) -> String {
    let letters: Vec<char> = class.chars().collect();
    let is_lower = |place: usize| letters.get(place).is_some_and(char::is_ascii_lowercase);
    let starts =
        |place: usize| place > 0 && letters[place].is_ascii_uppercase() && (is_lower(place - 1) || is_lower(place + 1));
    let words = letters
        .iter()
        .enumerate()
        .flat_map(|(place, letter)| starts(place).then_some('_').into_iter().chain(letter.to_lowercase()));
    words.collect()
}

/// A [`Refusal`].
fn refusal(problem: impl Into<String>, remedy: impl Into<String>) -> Refusal {
    (problem.into(), remedy.into())
}

#[cfg(test)]
mod tests {
    #[test]
    fn classes_become_the_names_that_keras_gives() {
        let names = ["Conv2D", "MaxPooling2D", "ReLU", "Dense", "BatchNormalization", "Add"].map(super::snake_case);
        assert_eq!(names, ["conv2d", "max_pooling2d", "re_lu", "dense", "batch_normalization", "add"]);
    }
}
