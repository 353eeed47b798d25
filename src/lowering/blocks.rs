//! Grouping of nodes into blocks: all there is of fusion. A table, never a rewriting of the network.

use crate::layers::{Block, Conv2d, Fused, Layer, MaxPool2d, Node, continues};
use crate::shape::Padding;

/// Blocks of a network, in order. Without `fuse` every node is a block of its own.
pub fn group(nodes: &[Node], fuse: bool) -> Vec<Block<'_>> {
    let mut blocks = Vec::new();
    let mut rest = nodes;
    while let Some((first, next)) = rest.split_first() {
        let next = next.iter().take(2).take_while(|node| continues(nodes, node.number));
        let next: Vec<&Layer> = next.map(|node| &node.layer).collect();
        let (fused, count) = if fuse { fused(&first.layer, &next) } else { (Fused::Nothing, 1) };
        let (nodes, left) = rest.split_at(count);
        blocks.push(Block { nodes, fused });
        rest = left;
    }
    blocks
}

/// What a layer is fused with of those after it, and how many layers that are together.
fn fused(first: &Layer, next: &[&Layer]) -> (Fused, usize) {
    match (first, next) {
        (
            Layer::Conv2d(Conv2d { kernel: 3, stride: 1, padding: Padding::Same, bias: true, .. }),
            [Layer::Relu(_), Layer::MaxPool2d(MaxPool2d { size: 2, stride: None | Some(2) }), ..],
        ) => (Fused::RectifiedAndPooled, 3),
        (Layer::Conv2d(_) | Layer::Dense(_), [Layer::Relu(_), ..]) => (Fused::Rectified, 2),
        _ => (Fused::Nothing, 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Model;
    use std::path::Path;

    fn grouped(model: &Model, fuse: bool) -> Vec<(String, Fused)> {
        let network = model.build(64, 64, 10).unwrap();
        group(&network.nodes, fuse).iter().map(|block| (block.first().name.clone(), block.fused)).collect()
    }

    #[test]
    fn conv4_groups_into_four_blocks_and_a_head() {
        let model = Model::preset("conv4").unwrap();
        let fused: Vec<Fused> = grouped(&model, true).into_iter().map(|(_, fused)| fused).collect();
        assert_eq!(fused[..4], [Fused::RectifiedAndPooled; 4]);
        assert_eq!(fused[4..], [Fused::Nothing, Fused::Nothing, Fused::Rectified, Fused::Rectified, Fused::Nothing]);
        assert_eq!(grouped(&model, false).len(), model.layers.len());
    }

    #[test]
    fn what_another_layer_reads_is_not_fused_away() {
        let read_twice = "name = 'a'
            layer = [
                { type = 'conv2d', filters = 4 },
                { type = 'relu' },
                { type = 'conv2d', filters = 4 },
                { type = 'relu' },
                { type = 'add', inputs = ['INPUT', 'relu_1'] },
                { type = 'flatten' },
                { type = 'dense' },
            ]";
        let blocks = |input| {
            let model = Model::from_toml(Path::new("a.toml"), &read_twice.replace("INPUT", input)).unwrap();
            grouped(&model, true).into_iter().take(3).collect::<Vec<_>>()
        };
        let block = |name: &str, fused| (name.to_owned(), fused);
        assert_eq!(blocks("relu")[..2], [block("conv2d", Fused::Rectified), block("conv2d_1", Fused::Rectified)]);
        let single =
            [block("conv2d", Fused::Nothing), block("relu", Fused::Nothing), block("conv2d_1", Fused::Rectified)];
        assert_eq!(blocks("conv2d"), single);
    }
}
