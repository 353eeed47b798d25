//! Sizes of tensors (NHWC), and the arithmetic of sliding windows.

use std::fmt;

/// The sizes of a tensor, outermost first, at most four. Images are `batch, height, width, channels`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Shape(Vec<usize>);

impl Shape {
    /// A shape from its sizes.
    pub fn new(sizes: &[usize]) -> Self {
        debug_assert!(sizes.len() <= 4, "a shape has at most four sizes");
        Self(sizes.to_vec())
    }

    /// The sizes, outermost first.
    pub fn sizes(&self) -> &[usize] {
        &self.0
    }

    /// Product of the sizes.
    pub fn elements(&self) -> usize {
        self.0.iter().product()
    }

    /// Height, width and channels, if this is the shape of one image.
    pub fn image(&self) -> Option<(usize, usize, usize)> {
        match self.0[..] {
            [height, width, channels] => Some((height, width, channels)),
            _ => None,
        }
    }

    /// This shape with a batch in front.
    pub fn batched(&self, batch: usize) -> Self {
        let mut sizes = vec![batch];
        sizes.extend(&self.0);
        Self(sizes)
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sizes: Vec<String> = self.0.iter().map(usize::to_string).collect();
        f.write_str(&sizes.join("x"))
    }
}

/// What a window does at the border.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Padding {
    /// Pads the image with zeros so that `out = ceil(in / stride)`; an odd zero goes at the end (TensorFlow's rule).
    #[default]
    Same,
    /// Pads nothing: `out = floor((in - kernel) / stride) + 1`.
    Valid,
}

/// A square window sliding over one axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    /// Side of the window.
    pub kernel: usize,
    /// Step between windows.
    pub stride: usize,
    /// What happens at the border.
    pub padding: Padding,
}

impl Window {
    /// Number of windows over `input` pixels, and how many zeros come before them; `None` if not one window fits.
    ///
    /// `Same` pads `max((out - 1) * stride + kernel - in, 0)` zeros, the smaller half in front.
    pub fn over(self, input: usize) -> Option<(usize, usize)> {
        match self.padding {
            Padding::Same => {
                let out = input.div_ceil(self.stride);
                let total = ((out.max(1) - 1) * self.stride + self.kernel).saturating_sub(input);
                (out > 0).then_some((out, total / 2))
            }
            Padding::Valid => (input >= self.kernel).then(|| ((input - self.kernel) / self.stride + 1, 0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_padding_follows_tensorflow() {
        let window = |kernel, stride| Window { kernel, stride, padding: Padding::Same };
        assert_eq!(window(3, 1).over(8), Some((8, 1)));
        assert_eq!(window(3, 2).over(8), Some((4, 0)), "one zero, at the end");
        assert_eq!(window(3, 2).over(7), Some((4, 1)));
        assert_eq!(window(5, 2).over(8), Some((4, 1)), "three zeros, one in front");
        assert_eq!(window(1, 2).over(5), Some((3, 0)));
    }

    #[test]
    fn valid_padding_drops_incomplete_windows() {
        let window = |kernel, stride| Window { kernel, stride, padding: Padding::Valid };
        assert_eq!(window(2, 2).over(5), Some((2, 0)));
        assert_eq!(window(3, 2).over(7), Some((3, 0)));
        assert_eq!(window(3, 1).over(2), None);
    }
}
