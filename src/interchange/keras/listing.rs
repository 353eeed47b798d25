//! A network's layers as a model of Keras lists them: an activation within the layer before it, layers in Keras's order.
//!
//! Keras orders the layers of a functional model by their distance from the output, and within one distance as a walk back from the
//! output meets them (`keras/src/ops/function.py`). Files of weights number the layers of a class in this order.

use super::snake_case;
use crate::layers::{Input, Node, continues};
use crate::model::Network;
use serde_json::Value;
use std::cmp::Reverse;
use std::collections::HashMap;

/// A layer of Keras.
pub struct Listed<'a> {
    /// The node.
    pub node: &'a Node,
    /// Its class.
    pub class: &'static str,
    /// Its settings.
    pub config: Value,
    /// The layers that it reads, by place in the list; the images where there is none.
    pub inputs: Vec<Option<usize>>,
    /// Its group in files of Keras 3.
    pub place: String,
}

/// The layers of a network, in Keras's order.
pub fn listed(network: &Network) -> Vec<Listed<'_>> {
    let mut layers: Vec<Listed> = Vec::new();
    let mut layer_of: Vec<usize> = Vec::new();
    for node in &network.nodes {
        if let (true, Some(activation), Some(before)) =
            (continues(&network.nodes, node.number), node.layer.keras_activation(), layers.last_mut())
            && before.config["activation"] == "linear"
        {
            before.config["activation"] = activation.into();
            layer_of.push(layers.len() - 1);
            continue;
        }
        let (class, config) = node.layer.keras(node);
        let inputs = node.inputs.iter().map(|input| match *input {
            Input::Images => None,
            Input::Node(number) => Some(layer_of[number]),
        });
        let inputs = inputs.collect();
        layers.push(Listed { node, class, config, inputs, place: String::new() });
        layer_of.push(layers.len() - 1);
    }
    let mut layers = sorted(layers);
    let mut seen: HashMap<&str, usize> = HashMap::new();
    for Listed { class, place, .. } in &mut layers {
        let count = seen.entry(class).and_modify(|n| *n += 1).or_insert(0);
        let number = if *count == 0 { String::new() } else { format!("_{count}") };
        *place = format!("layers/{}{number}", snake_case(class));
    }
    layers
}

/// Layers by their distance from the last, then as a walk back from it meets them.
fn sorted(layers: Vec<Listed<'_>>) -> Vec<Listed<'_>> {
    let mut distance = vec![0; layers.len()];
    for (number, layer) in layers.iter().enumerate().rev() {
        for &input in layer.inputs.iter().flatten() {
            distance[input] = distance[input].max(distance[number] + 1);
        }
    }
    let mut met = vec![usize::MAX; layers.len()];
    let (mut count, mut ahead) = (0, vec![layers.len().saturating_sub(1)]);
    while let Some(number) = ahead.pop() {
        if met[number] == usize::MAX {
            met[number] = count;
            count += 1;
            ahead.extend(layers[number].inputs.iter().rev().flatten());
        }
    }
    let mut order: Vec<usize> = (0..layers.len()).collect();
    order.sort_by_key(|&number| (Reverse(distance[number]), met[number]));
    let mut place = vec![0; layers.len()];
    order.iter().enumerate().for_each(|(at, &number)| place[number] = at);
    let mut layers: Vec<Listed> = layers;
    for layer in &mut layers {
        layer.inputs.iter_mut().flatten().for_each(|input| *input = place[*input]);
    }
    let mut numbered: Vec<(usize, Listed)> = place.into_iter().zip(layers).collect();
    numbered.sort_by_key(|(place, _)| *place);
    numbered.into_iter().map(|(_, layer)| layer).collect()
}
