//! A layer as an operator of ONNX.

use crate::shape::{Padding, Shape, Window};

/// Where an operator wants the channels of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channels {
    /// Before rows and columns.
    First,
    /// After them, as in this program.
    Last,
    /// In either place, alike in all inputs.
    Any,
}

/// A setting of an operator.
#[derive(Clone, Debug, PartialEq)]
pub enum Attribute {
    /// A number.
    Number(i64),
    /// Several.
    Numbers(Vec<usize>),
    /// The number of the axis that holds the channels, or the only values.
    LastAxis,
}

/// An operator on a layer's inputs and, after them, its parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct Operator {
    /// Its name in ONNX.
    pub name: &'static str,
    /// Where it wants the channels.
    pub channels: Channels,
    /// Its settings.
    pub attributes: Vec<(&'static str, Attribute)>,
}

impl Operator {
    /// An operator without settings that takes channels in either place.
    pub fn plain(name: &'static str) -> Self {
        Self { name, channels: Channels::Any, attributes: Vec::new() }
    }
}

/// Side, step and zeros of a window over an image: `pads` is top, left, bottom, right. Padding is in numbers, as runtimes differ on
/// ONNX's `SAME_UPPER`.
pub(super) fn window_attributes(window: Window, input: &Shape) -> Vec<(&'static str, Attribute)> {
    let (height, width, _) = input.image().unwrap_or((1, 1, 1));
    let pads = |side: usize| {
        let (out, front) = window.over(side).unwrap_or((1, 0));
        match window.padding {
            Padding::Valid => (0, 0),
            Padding::Same => (front, ((out - 1) * window.stride + window.kernel).saturating_sub(side) - front),
        }
    };
    let ((top, bottom), (left, right)) = (pads(height), pads(width));
    vec![
        ("kernel_shape", Attribute::Numbers(vec![window.kernel; 2])),
        ("strides", Attribute::Numbers(vec![window.stride; 2])),
        ("pads", Attribute::Numbers(vec![top, left, bottom, right])),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_is_that_of_the_kernels() {
        let pads = |kernel, stride, padding, sides: [usize; 2]| {
            let input = Shape::new(&[sides[0], sides[1], 3]);
            match window_attributes(Window { kernel, stride, padding }, &input).pop() {
                Some(("pads", Attribute::Numbers(numbers))) => numbers,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(pads(3, 1, Padding::Same, [8, 8]), [1, 1, 1, 1]);
        assert_eq!(pads(3, 2, Padding::Same, [8, 7]), [0, 1, 1, 1], "one zero, behind");
        assert_eq!(pads(4, 1, Padding::Same, [9, 9]), [1, 1, 2, 2]);
        assert_eq!(pads(5, 2, Padding::Same, [8, 8]), [1, 1, 2, 2]);
        assert_eq!(pads(1, 2, Padding::Same, [5, 5]), [0, 0, 0, 0]);
        assert_eq!(pads(3, 2, Padding::Valid, [8, 8]), [0, 0, 0, 0]);
    }
}
