//! A network as a program that explains one picture: forward as in inference, and from the gradient of the logits back to the
//! pixels, past the first layer with parameters where a training stops.

use super::Lowering;
use crate::error::Result;
use crate::graph::{Graph, Program, Settings, Storage, TensorId};
use crate::kernels::{Element, Precision};
use crate::model::Network;
use crate::shape::Shape;

/// What a block of layers hands on.
#[derive(Clone, Debug)]
pub struct Features {
    /// Its layers, such as `conv2d_1`, `relu_1`, `max_pool2d_1`.
    pub layers: Vec<String>,
    /// Sizes for one image.
    pub shape: Shape,
    /// Where they are.
    pub tensor: TensorId,
    /// The call that writes them; a later one may reuse their memory.
    pub call: usize,
}

/// A graph whose program `train` explains, and its tensors.
#[derive(Clone, Debug)]
pub struct Explained {
    /// One call after the other: forward, then backward. It has no other program.
    pub graph: Graph,
    /// One picture as floats in 0..1, `height x width x 3`; persistent, to be written before.
    pub images: TensorId,
    /// What each block hands on, in order. The last are the logits.
    pub features: Vec<Features>,
    /// Calls of the forward half.
    pub forward: usize,
    /// The gradient to begin with, one number for each logit; persistent, to be written between the halves.
    pub logits_gradient: TensorId,
    /// The gradient of the picture; the last call writes it.
    pub images_gradient: TensorId,
}

/// Lowers a network to explain one picture at a time.
///
/// # Errors
/// As [`lower`](super::lower).
pub fn explain(network: &Network, fuse: bool, precision: Precision) -> Result<Explained> {
    let settings = Settings {
        training: false,
        batch: 1,
        micro_batch: None,
        images: 1,
        rows: 1,
        shards: Vec::new(),
        streamed: false,
        augment: None,
        label_smoothing: 0.0,
        fuse,
        precision,
        ema: false,
    };
    let mut lowering = Lowering::new(network, &settings);
    lowering.builder.program = Program::Infer;
    lowering.builder.weights_wanted = false;
    let element = if precision == Precision::Mixed { Element::F16 } else { Element::F32 };
    let (height, width, channels) = network.image;
    let mut add = |name: &str, elements| lowering.builder.graph.tensor(name, element, elements, Storage::Persistent);
    let images = add("images", height * width * channels);
    let logits_gradient = add("logits_gradient", network.classes);
    let done = lowering.forward(images)?;
    let calls = &lowering.builder.calls;
    let forward = calls.len();
    let writes = |tensor: TensorId| calls.iter().position(|call| call.reads_and_writes().1.contains(&tensor));
    let features = done.iter().filter_map(|done| {
        let tensor = done.output.tensor;
        let call = writes(tensor).filter(|_| tensor != done.inputs[0])?;
        let layers = done.block.nodes.iter().map(|node| node.name.clone()).collect();
        Some(Features { layers, shape: done.block.last().output.clone(), tensor, call })
    });
    let features = features.collect();
    let wanted = vec![true; network.nodes.len() + 1];
    let images_gradient = lowering.backward(&done, logits_gradient, &wanted)?.unwrap_or(logits_gradient);
    let train = std::mem::take(&mut lowering.builder.calls);
    let segments = [0..forward, forward..train.len(), train.len()..train.len()];
    let graph = Graph { train, segments, ..lowering.finish() };
    Ok(Explained { graph, images, features, forward, logits_gradient, images_gradient })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Model;

    #[test]
    fn it_ends_at_the_pixels_and_computes_no_gradients_of_weights() {
        let network = Model::preset("conv4").unwrap().build(32, 32, 10).unwrap();
        for fuse in [true, false] {
            let Explained { graph, images, features, forward, images_gradient, .. } =
                explain(&network, fuse, Precision::F32).unwrap();
            let names: Vec<&str> = graph.train.iter().map(|call| call.contract.name).collect();
            assert!(
                !names.iter().any(|name| name.contains("backward_weights") || name.contains("dropout")),
                "{names:?}"
            );
            assert!(names[forward..].iter().all(|name| name.contains("backward")), "{names:?}");
            assert_eq!(graph.tensors[images_gradient].elements, graph.tensors[images].elements);
            let last = graph.train.last().unwrap();
            assert_eq!(last.reads_and_writes().1, [images_gradient]);
            assert_eq!(features.len(), if fuse { 7 } else { 17 });
            assert!(features.iter().all(|f| f.shape.elements() == graph.tensors[f.tensor].elements));
            assert_eq!(features.last().unwrap().shape.elements(), 10);
        }
    }
}
