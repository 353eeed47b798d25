//! Keras's description of a model as a plain chain of layers: Sequential models, functional models in which each layer takes the
//! output of the one before, and such models within each other. It knows classes and numbers of layers only by name.

use serde_json::Value;
use std::collections::HashMap;

use super::{Refusal, refusal};

/// A layer of Keras.
pub struct KerasLayer {
    /// Its class, such as `Conv2D`.
    pub class: String,
    /// Its name.
    pub name: String,
    /// Its settings.
    pub config: Value,
    /// Its group in files of Keras 3, such as `layers/conv2d_1`: named after its class, not after its name.
    pub place: String,
}

/// A model that is a chain.
#[derive(Default)]
pub struct Chain {
    /// Its name.
    pub name: String,
    /// Height, width and channels of its input, where it says so.
    pub image: Option<[Option<usize>; 3]>,
    /// Its layers; those of models within it stand in their place.
    pub layers: Vec<KerasLayer>,
}

const REMEDY: &str = "rebuild it as a Sequential model of supported layers, and save that";

impl Chain {
    /// Reads the JSON of `config.json` or `model_config`.
    ///
    /// # Errors
    /// No JSON, no model, or one whose layers are no chain.
    pub fn read(text: &str) -> Result<Self, Refusal> {
        let damaged = |error| refusal(format!("its description is damaged ({error})"), "save it again with Keras");
        let model: Value = serde_json::from_str(text).map_err(damaged)?;
        let mut chain = Self { name: model["config"]["name"].as_str().unwrap_or("keras").into(), ..Self::default() };
        chain.add_model(&model, "layers")?;
        if chain.image.is_none() {
            let built = [&model["config"]["build_input_shape"], &model["build_config"]["input_shape"]];
            chain.image = built.into_iter().find_map(image);
        }
        Ok(chain)
    }

    /// Adds the layers of a model whose own are kept in the group `place`.
    fn add_model(&mut self, model: &Value, place: &str) -> Result<(), Refusal> {
        let class = model["class_name"].as_str().unwrap_or("nothing with a class");
        let config = &model["config"];
        let layers = match class {
            // Keras before 2.2 kept the list alone.
            "Sequential" => config["layers"].as_array().or_else(|| config.as_array()),
            "Functional" | "Model" => config["layers"].as_array(),
            _ => {
                let problem = format!("it is a model of class {class}, neither Sequential nor Functional");
                return Err(refusal(problem, REMEDY));
            }
        };
        let layers = layers.ok_or_else(|| refusal("its description lists no layers", "save it again with Keras"))?;
        if class != "Sequential" {
            check_chain(config, layers)?;
        }
        let mut seen: HashMap<&str, usize> = HashMap::new();
        for layer in layers {
            self.add_layer(layer, place, &mut seen)?;
        }
        Ok(())
    }

    fn add_layer<'a>(
        &mut self,
        layer: &'a Value,
        place: &str,
        seen: &mut HashMap<&'a str, usize>,
    ) -> Result<(), Refusal> {
        let class = layer["class_name"].as_str();
        let class = class.ok_or_else(|| refusal("a layer has no class", "save it again with Keras"))?;
        let count = seen.entry(class).and_modify(|n| *n += 1).or_insert(0);
        // Only what keeps weights, or has layers that do, is looked for by its place.
        let stem = match class {
            "Model" => "functional".to_owned(),
            class => class.to_lowercase(),
        };
        let place = if *count == 0 { format!("{place}/{stem}") } else { format!("{place}/{stem}_{count}") };
        let config = &layer["config"];
        if self.image.is_none() && self.layers.is_empty() {
            self.image = [&config["batch_shape"], &config["batch_input_shape"]].into_iter().find_map(image);
        }
        if matches!(class, "Sequential" | "Functional" | "Model") {
            return self.add_model(layer, &format!("{place}/layers"));
        }
        let name = config["name"].as_str().unwrap_or(class).to_owned();
        self.layers.push(KerasLayer { class: class.to_owned(), name, config: config.clone(), place });
        Ok(())
    }
}

/// Height, width and channels of a shape with a batch in front.
fn image(shape: &Value) -> Option<[Option<usize>; 3]> {
    let [_, height, width, channels] = shape.as_array()?.as_slice() else { return None };
    Some([height, width, channels].map(|size| size.as_u64().and_then(|size| usize::try_from(size).ok())))
}

/// Each layer of a functional model must take the output of the one before, and nothing else.
fn check_chain(config: &Value, layers: &[Value]) -> Result<(), Refusal> {
    let name = |layer: &Value| layer["name"].as_str().or(layer["config"]["name"].as_str()).unwrap_or("?").to_owned();
    let mut before: Option<String> = None;
    for layer in layers {
        let (mut sources, uses) = (Vec::new(), layer["inbound_nodes"].as_array().map_or(0, Vec::len));
        inbound(&layer["inbound_nodes"], &mut sources);
        if sources != before.iter().cloned().collect::<Vec<_>>() || uses > 1 {
            let problem = format!(
                "layer {} takes its input from {}: the model is no plain chain",
                name(layer),
                if sources.is_empty() { "outside".to_owned() } else { sources.join(" and ") }
            );
            return Err(refusal(problem, REMEDY));
        }
        before = Some(name(layer));
    }
    let mut outputs = Vec::new();
    // One output may stand without a list of its own.
    inbound(&Value::Array(vec![config["output_layers"].clone()]), &mut outputs);
    if outputs != before.into_iter().collect::<Vec<_>>() {
        let problem = format!("it has the outputs {}, not the last layer's alone", outputs.join(", "));
        return Err(refusal(problem, REMEDY));
    }
    Ok(())
}

/// Names of the layers that a description of inputs refers to: `keras_history` in Keras 3, `["name", 0, 0, ...]` before.
fn inbound(value: &Value, names: &mut Vec<String>) {
    match value {
        Value::Object(fields) => match fields.get("keras_history") {
            Some(history) => names.extend(history[0].as_str().map(String::from)),
            None => fields.values().for_each(|value| inbound(value, names)),
        },
        Value::Array(items) => match items.as_slice() {
            [Value::String(name), Value::Number(_), Value::Number(_), ..] => names.push(name.clone()),
            _ => items.iter().for_each(|value| inbound(value, names)),
        },
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn layer(name: &str, from: &[&str]) -> Value {
        let history =
            |name: &&str| json!({"class_name": "__keras_tensor__", "config": {"keras_history": [name, 0, 0]}});
        let nodes: Vec<Value> = match from {
            [] => Vec::new(),
            from => vec![json!({"args": from.iter().map(history).collect::<Vec<_>>(), "kwargs": {}})],
        };
        json!({"class_name": "Dense", "name": name, "config": {"name": name}, "inbound_nodes": nodes})
    }

    fn read(layers: &[Value], output: &str) -> Result<Chain, String> {
        let config = json!({"name": "m", "layers": layers, "output_layers": [output, 0, 0]});
        let text = json!({"class_name": "Functional", "config": config}).to_string();
        Chain::read(&text).map_err(|(problem, _)| problem)
    }

    #[test]
    fn functional_models_are_chains_or_refused() {
        let chain = read(&[layer("a", &[]), layer("b", &["a"]), layer("c", &["b"])], "c").unwrap();
        let places: Vec<&str> = chain.layers.iter().map(|layer| &layer.place[..]).collect();
        assert_eq!(places, ["layers/dense", "layers/dense_1", "layers/dense_2"]);
        for (layers, output, problem) in [
            (vec![layer("a", &[]), layer("b", &["a"]), layer("c", &["a"])], "c", "layer c takes its input from a"),
            (vec![layer("a", &[]), layer("b", &["a", "a"])], "b", "layer b takes its input from a and a"),
            (vec![layer("a", &[]), layer("b", &[])], "b", "layer b takes its input from outside"),
            (vec![layer("a", &[]), layer("b", &["a"])], "a", "it has the outputs a"),
        ] {
            let message = read(&layers, output).err().unwrap();
            assert!(message.contains(problem), "{message}");
        }
    }

    #[test]
    fn inputs_of_keras_2_are_understood() {
        let mut names = Vec::new();
        inbound(&json!([[["conv2d", 0, 0, {"training": ["x", 0, 0]}]]]), &mut names);
        assert_eq!(names, ["conv2d"]);
    }

    #[test]
    fn what_is_no_model_is_refused() {
        for (text, problem) in [
            ("{", "damaged"),
            ("[]", "a model of class nothing with a class"),
            (r#"{"class_name": "MyModel", "config": {}}"#, "of class MyModel"),
            (r#"{"class_name": "Sequential", "config": {}}"#, "lists no layers"),
            (r#"{"class_name": "Sequential", "config": {"layers": [{}]}}"#, "a layer has no class"),
        ] {
            let (message, _) = Chain::read(text).err().unwrap();
            assert!(message.contains(problem), "{message}");
        }
        let deep = "[".repeat(100_000);
        assert!(Chain::read(&deep).is_err());
    }
}
