//! What a network of Keras is fed, and what this program feeds: a byte divided by 255. The difference goes into the first layer with
//! weights, where that is exact but for rounding; elsewhere the model is refused.

use super::{Refusal, refusal};
use crate::layers::{Input, Passes};
use crate::model::{Entry, Network};

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

/// Folds what happens to the pixels into the first layers that multiply them: kernel and, with an offset, bias. A layer without a bias
/// gets one. Returns the numbers of these layers, of which there are none where nothing was to be folded.
///
/// # Errors
/// An offset where such a layer pads its input with zeros, which stand for other pixels then, or where other layers come before it.
pub fn fold(
    pixels: Affine,
    layers: &mut [Entry],
    network: &Network,
    tensors: &mut Vec<Vec<f32>>,
) -> Result<Vec<usize>, Refusal> {
    let Affine { scale, offset } = pixels;
    if (scale - 1.0).abs() < ROUNDING && offset == 0.0 {
        return Ok(Vec::new());
    }
    let remedy = "build the model with keras.layers.Rescaling(1 / 255) and train it on";
    if scale == 0.0 || !(scale * offset).is_finite() {
        return Err(refusal(format!("it makes {scale:e} x pixel + {offset:e} of a pixel"), remedy));
    }
    let enough = if offset == 0.0 && scale > 0.0 { Passes::Scale } else { Passes::Affine };
    // outputs that are still pixels, as far as scale and offset go
    let mut raw = vec![false; network.nodes.len()];
    let (mut folded, mut added) = (Vec::new(), 0);
    for node in &network.nodes {
        let is_raw = |input: &Input| matches!(*input, Input::Images) || matches!(*input, Input::Node(n) if raw[n]);
        let (all, any) = (node.inputs.iter().all(is_raw), node.inputs.iter().any(is_raw));
        let layer = &mut layers[node.number].layer;
        if all && layer.passes() >= enough {
            raw[node.number] = true;
        } else if any {
            let pads = offset != 0.0 && layer.pads(node.input());
            let Some(bias) = layer.bias().filter(|_| all && !pads) else {
                let problem = format!(
                    "its pixels are {:.6} x byte {:+.6}, and {} pads or compares them",
                    scale / 255.0,
                    offset,
                    node.name
                );
                return Err(refusal(problem, remedy));
            };
            let first = node.first_parameter + added;
            if offset != 0.0 && !std::mem::replace(bias, true) {
                tensors.insert(first + 1, vec![0.0; node.channels()]);
                added += 1;
            }
            fold_into(&mut tensors[first..], pixels, node.channels());
            folded.push(node.number);
        }
    }
    Ok(folded)
}

/// Folds a change of its input into a kernel and, with an offset, the bias after it.
fn fold_into(tensors: &mut [Vec<f32>], Affine { scale, offset }: Affine, outputs: usize) {
    let mut sums = vec![0.0f64; outputs];
    for row in tensors[0].chunks_mut(outputs) {
        for (value, sum) in row.iter_mut().zip(&mut sums) {
            *sum += f64::from(*value);
            *value = (f64::from(*value) * scale) as f32;
        }
    }
    if offset != 0.0 {
        let bias = tensors[1].iter_mut().zip(&sums);
        bias.for_each(|(bias, sum)| *bias = (f64::from(*bias) + offset * sum) as f32);
    }
}
