//! What a network of Keras is fed, and what this program feeds: a byte divided by 255. The difference goes into the first layer with
//! weights, where that is exact but for rounding; elsewhere the model is refused.

use super::{Refusal, refusal};
use crate::model::{Layer, Network};
use crate::shape::{Padding, Window};

/// What the pixels of a Keras model were between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pixels {
    /// Bytes divided by 255 before the model.
    Unit,
    /// Bytes as they are.
    Bytes,
}

/// `scale * x + offset`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Affine {
    /// The factor.
    pub scale: f64,
    /// The summand.
    pub offset: f64,
}

/// `next` after `before`.
pub fn scaled(before: Option<Affine>, next: Affine) -> Affine {
    let before = before.unwrap_or(Affine { scale: 1.0, offset: 0.0 });
    Affine { scale: next.scale * before.scale, offset: next.scale * before.offset + next.offset }
}

/// What the network's first layer gets from what this program feeds it.
pub fn from_units(rescaling: Option<Affine>, pixels: Pixels) -> Affine {
    let bytes = Affine { scale: if pixels == Pixels::Bytes { 255.0 } else { 1.0 }, offset: 0.0 };
    rescaling.map_or(bytes, |rescaling| scaled(Some(bytes), rescaling))
}

/// 1/255 as f32 and as f64 differ by this share.
const ROUNDING: f64 = 1e-6;

/// Folds what happens to the pixels into the first layer with weights: kernel and, with an offset, bias. A layer without a bias gets
/// one. Returns whether anything was to be folded.
///
/// # Errors
/// An offset where that layer pads its input with zeros, which stand for other pixels then, or where other layers come before it.
pub fn fold(
    pixels: Affine,
    layers: &mut [Layer],
    network: &Network,
    tensors: &mut Vec<Vec<f32>>,
) -> Result<bool, Refusal> {
    let Affine { scale, offset } = pixels;
    if (scale - 1.0).abs() < ROUNDING && offset == 0.0 {
        return Ok(false);
    }
    let remedy = "build the model with keras.layers.Rescaling(1 / 255) and train it on";
    let first = network.nodes.iter().position(|node| !node.parameters.is_empty());
    let Some(first) = first.filter(|_| scale != 0.0 && (scale * offset).is_finite()) else {
        return Err(refusal(format!("it makes {scale:e} x pixel + {offset:e} of a pixel"), remedy));
    };
    let node = &network.nodes[first];
    // A positive factor passes through these, and an offset through none that compares or adds.
    let passes = |layer: &Layer| match layer {
        Layer::Flatten {} | Layer::Dropout { .. } => true,
        Layer::Relu {} | Layer::MaxPool2d { .. } => offset == 0.0 && scale > 0.0,
        _ => false,
    };
    if !layers[..first].iter().all(passes) || (offset != 0.0 && pads(&node.layer, node.input.image())) {
        let problem = format!(
            "its pixels are {:.6} x byte {:+.6}, and {} pads or compares them",
            scale / 255.0,
            offset,
            node.name
        );
        return Err(refusal(problem, remedy));
    }
    let outputs = node.output.sizes().last().copied().unwrap_or(1);
    let mut sums = vec![0.0f64; outputs];
    for row in tensors[0].chunks_mut(outputs) {
        for (value, sum) in row.iter_mut().zip(&mut sums) {
            *sum += f64::from(*value);
            *value = (f64::from(*value) * scale) as f32;
        }
    }
    if offset != 0.0 {
        if let Layer::Conv2d { bias, .. } | Layer::Dense { bias, .. } = &mut layers[first]
            && !*bias
        {
            *bias = true;
            tensors.insert(1, vec![0.0; outputs]);
        }
        let bias = tensors[1].iter_mut().zip(&sums);
        bias.for_each(|(bias, sum)| *bias = (f64::from(*bias) + offset * sum) as f32);
    }
    Ok(true)
}

/// Whether a layer puts zeros around this image.
fn pads(layer: &Layer, image: Option<(usize, usize, usize)>) -> bool {
    let (Layer::Conv2d { kernel, stride, padding, .. }, Some((height, width, _))) = (layer, image) else {
        return false;
    };
    let padded = |side: usize| match padding {
        Padding::Valid => false,
        Padding::Same => {
            let window = Window { kernel: *kernel, stride: *stride, padding: Padding::Same };
            window.over(side).is_none_or(|(out, _)| (out.max(1) - 1) * stride + kernel > side)
        }
    };
    padded(height) || padded(width)
}
