//! Rules for shapes that several layers share.

use super::{Node, Refusal};
use crate::error::Error;
use crate::shape::{Shape, Window};

/// Refuses a number that is not from 1 to 2^20.
pub fn positive(numbers: &[(&str, usize)]) -> Result<(), Refusal> {
    match numbers.iter().find(|(_, value)| !(1..=1 << 20).contains(value)) {
        Some((name, value)) => Err((format!("its {name} is {value}"), format!("choose {name} from 1 to 1048576"))),
        None => Ok(()),
    }
}

/// Shape after a window slid over an image; the channels stay unless given.
pub fn slide(input: &Shape, window: Window, filters: Option<usize>) -> Result<Shape, Refusal> {
    let Some((height, width, channels)) = input.image() else {
        let remedy = "convolution and pooling layers must come before flatten";
        return Err((format!("it needs an image, but gets {input}"), remedy.into()));
    };
    match (window.over(height), window.over(width)) {
        (Some((rows, _)), Some((columns, _))) => Ok(Shape::new(&[rows, columns, filters.unwrap_or(channels)])),
        _ => Err((
            format!("a {0}x{0} window does not fit into its {height}x{width} input", window.kernel),
            "use larger images, fewer pooling layers or padding \"same\"".into(),
        )),
    }
}

/// A node whose shapes do not fit its layer, which [`Kind::output`](super::Kind::output) refuses first.
pub fn misplaced(node: &Node) -> Error {
    Error::model(&node.name, format!("it cannot work on {}", node.input()), "check the layers before it")
}
