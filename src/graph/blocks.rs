//! Grouping of layers into blocks: all there is of fusion. A table, never a rewriting of the graph.

use crate::model::{Layer, Node};
use crate::shape::Padding;

/// One or more layers that become one forward call (and its backward calls).
#[derive(Clone, Debug, PartialEq)]
pub enum Block {
    /// Convolution, with relu in the kernel's epilogue.
    Conv2d {
        /// Whether a relu layer is part of it.
        relu: bool,
    },
    /// 3x3 same convolution with bias, relu and 2x2 max-pool.
    ConvBlock,
    /// Dense layer, with relu in the kernel's epilogue.
    Dense {
        /// Whether a relu layer is part of it.
        relu: bool,
    },
    /// Max-pool alone.
    MaxPool2d,
    /// Relu alone.
    Relu,
    /// Dropout alone.
    Dropout,
    /// No call at all: the same elements.
    Flatten,
}

impl Block {
    /// Layers in this block.
    pub fn layers(&self) -> usize {
        match self {
            Self::ConvBlock => 3,
            Self::Conv2d { relu: true } | Self::Dense { relu: true } => 2,
            _ => 1,
        }
    }
}

/// Blocks of a chain of layers, in order. Without `fuse` every layer stands alone.
pub fn group(nodes: &[Node], fuse: bool) -> Vec<(Block, &[Node])> {
    let mut blocks = Vec::new();
    let mut rest = nodes;
    while let Some(first) = rest.first() {
        let block = first_block(first, &rest[1..], fuse);
        let (taken, left) = rest.split_at(block.layers());
        blocks.push((block, taken));
        rest = left;
    }
    blocks
}

fn first_block(first: &Node, next: &[Node], fuse: bool) -> Block {
    let next: Vec<&Layer> = next.iter().take(if fuse { 2 } else { 0 }).map(|node| &node.layer).collect();
    let relu = next.first() == Some(&&Layer::Relu {});
    match (&first.layer, &next[..]) {
        (
            Layer::Conv2d { kernel: 3, stride: 1, padding: Padding::Same, bias: true, .. },
            [Layer::Relu {}, Layer::MaxPool2d { size: 2, stride: None | Some(2) }],
        ) => Block::ConvBlock,
        (Layer::Conv2d { .. }, _) => Block::Conv2d { relu },
        (Layer::Dense { .. }, _) => Block::Dense { relu },
        (Layer::MaxPool2d { .. }, _) => Block::MaxPool2d,
        (Layer::Relu {}, _) => Block::Relu,
        (Layer::Dropout { .. }, _) => Block::Dropout,
        (Layer::Flatten {}, _) => Block::Flatten,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Model;

    #[test]
    fn conv4_groups_into_four_blocks_and_a_head() {
        let network = Model::preset("conv4").unwrap().build(64, 64, 10).unwrap();
        let blocks: Vec<Block> = group(&network.nodes, true).into_iter().map(|(block, _)| block).collect();
        let dense = |relu| Block::Dense { relu };
        let head = [Block::Dropout, Block::Flatten, dense(true), dense(true), dense(false)];
        assert_eq!(blocks[..4], [const { Block::ConvBlock }; 4]);
        assert_eq!(blocks[4..], head);
        assert_eq!(group(&network.nodes, false).len(), network.nodes.len());
    }
}
