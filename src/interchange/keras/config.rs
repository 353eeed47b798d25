//! Keras's description of a model as a plain list of layers: Sequential models, functional models and such models within each other.
//! It knows classes and numbers of layers only by name.

use serde_json::Value;
use std::collections::HashMap;

use super::{Refusal, refusal, snake_case};
use crate::layers::{Input, KerasLayer};

/// A layer of Keras among the others.
pub struct Placed {
    /// The layer.
    pub layer: KerasLayer,
    /// What it reads, by number of layer.
    pub inputs: Vec<Input>,
    /// Its group in files of Keras 3, such as `layers/conv2d_1`: named after its class, not after its name.
    pub place: String,
}

/// A model with one input and one output.
pub struct Description {
    /// Its name.
    pub name: String,
    /// Height, width and channels of its input, where it says so.
    pub image: Option<[Option<usize>; 3]>,
    /// Its layers, each behind those that it reads; those of models within it stand in their place.
    pub layers: Vec<Placed>,
    /// What its output is.
    pub output: Input,
}

/// Longest name of a model that is kept, in characters.
const LONGEST_NAME: usize = 100;
/// What to do about a model of another form.
const REMEDY: &str = "rebuild it as a Sequential or functional model of supported layers with one input and one output, each layer \
                      used once, and save that";

impl Description {
    /// Reads the JSON of `config.json` or `model_config`.
    ///
    /// # Errors
    /// No JSON, no model, or one with several inputs or outputs, or a layer that is used twice.
    pub fn read(text: &str) -> Result<Self, Refusal> {
        let damaged = |error| refusal(format!("its description is damaged ({error})"), "save it again with Keras");
        let model: Value = serde_json::from_str(text).map_err(damaged)?;
        let name = model["config"]["name"].as_str().unwrap_or("keras");
        // It is shown on terminals.
        let name = name.chars().filter(|letter| !letter.is_control()).take(LONGEST_NAME).collect();
        let mut found = Self { name, image: None, layers: Vec::new(), output: Input::Images };
        found.output = found.add_model(&model, "layers", Input::Images)?;
        if found.image.is_none() {
            let built = [&model["config"]["build_input_shape"], &model["build_config"]["input_shape"]];
            found.image = built.into_iter().find_map(image);
        }
        Ok(found)
    }

    /// Adds the layers of a model that reads `input`, and whose own are kept in the group `place`; returns its output.
    fn add_model(&mut self, model: &Value, place: &str, input: Input) -> Result<Input, Refusal> {
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
        let mut seen = HashMap::new();
        if class != "Sequential" {
            return self.add_functional(config, layers, place, input);
        }
        layers.iter().try_fold(input, |last, layer| self.add_layer(layer, place, &mut seen, vec![last]))
    }

    /// Adds the layers of a functional model.
    fn add_functional(
        &mut self,
        config: &Value,
        layers: &[Value],
        place: &str,
        input: Input,
    ) -> Result<Input, Refusal> {
        let mut seen = HashMap::new();
        let mut outputs: HashMap<String, Input> = HashMap::new();
        for layer in layers {
            let name = layer["name"].as_str().or(layer["config"]["name"].as_str()).unwrap_or("?");
            let refuse = |problem: String| Err(refusal(format!("layer {name} {problem}"), REMEDY));
            let uses = layer["inbound_nodes"].as_array().map_or(0, Vec::len);
            let mut sources = Vec::new();
            inbound(&layer["inbound_nodes"], &mut sources);
            if uses > 1 {
                return refuse(format!("is used {uses} times"));
            }
            if sources.is_empty() && !outputs.is_empty() {
                return refuse("takes its input from outside: the model has several inputs".into());
            }
            let mut inputs = if sources.is_empty() { vec![input] } else { Vec::new() };
            for source in sources {
                match outputs.get(&source) {
                    Some(&output) => inputs.push(output),
                    None => return refuse(format!("takes its input from {source}, which does not come before it")),
                }
            }
            let output = self.add_layer(layer, place, &mut seen, inputs)?;
            outputs.insert(name.to_owned(), output);
        }
        let mut names = Vec::new();
        // One output may stand without a list of its own.
        inbound(&Value::Array(vec![config["output_layers"].clone()]), &mut names);
        match &names[..] {
            [name] if outputs.contains_key(name) => Ok(outputs[name]),
            names => Err(refusal(format!("it has the outputs {}, not one", names.join(", ")), REMEDY)),
        }
    }

    /// Adds a layer, or the layers of a model within the model; returns its output.
    fn add_layer<'a>(
        &mut self,
        layer: &'a Value,
        place: &str,
        seen: &mut HashMap<&'a str, usize>,
        inputs: Vec<Input>,
    ) -> Result<Input, Refusal> {
        let class = layer["class_name"].as_str();
        let class = class.ok_or_else(|| refusal("a layer has no class", "save it again with Keras"))?;
        let count = seen.entry(class).and_modify(|n| *n += 1).or_insert(0);
        // Only what keeps weights, or has layers that do, is looked for by its place.
        let stem = if class == "Model" { "functional".to_owned() } else { snake_case(class) };
        let place = if *count == 0 { format!("{place}/{stem}") } else { format!("{place}/{stem}_{count}") };
        let config = &layer["config"];
        if self.image.is_none() && self.layers.is_empty() {
            self.image = [&config["batch_shape"], &config["batch_input_shape"]].into_iter().find_map(image);
        }
        let name = config["name"].as_str().unwrap_or(class).to_owned();
        match (class, &inputs[..]) {
            ("InputLayer", [input]) => return Ok(*input),
            ("Sequential" | "Functional" | "Model", [input]) => {
                return self.add_model(layer, &format!("{place}/layers"), *input);
            }
            ("Sequential" | "Functional" | "Model", _) => {
                return Err(refusal(format!("the model {name} within it has {} inputs", inputs.len()), REMEDY));
            }
            _ => {}
        }
        let layer = KerasLayer { class: class.to_owned(), name, config: config.clone() };
        self.layers.push(Placed { layer, inputs, place });
        Ok(Input::Node(self.layers.len() - 1))
    }
}

/// Height, width and channels of a shape with a batch in front.
fn image(shape: &Value) -> Option<[Option<usize>; 3]> {
    let [_, height, width, channels] = shape.as_array()?.as_slice() else { return None };
    Some([height, width, channels].map(|size| size.as_u64().and_then(|size| usize::try_from(size).ok())))
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

    fn read(layers: &[Value], output: &str) -> Result<Description, String> {
        let config = json!({"name": "m", "layers": layers, "output_layers": [output, 0, 0]});
        let text = json!({"class_name": "Functional", "config": config}).to_string();
        Description::read(&text).map_err(|(problem, _)| problem)
    }

    #[test]
    fn functional_models_are_lists_of_layers_or_refused() {
        let layers = [layer("a", &[]), layer("b", &["a"]), layer("c", &["b", "a"])];
        let found = read(&layers, "c").unwrap();
        let places: Vec<&str> = found.layers.iter().map(|layer| &layer.place[..]).collect();
        assert_eq!(places, ["layers/dense", "layers/dense_1", "layers/dense_2"]);
        let inputs: Vec<&[Input]> = found.layers.iter().map(|layer| &layer.inputs[..]).collect();
        let wanted: [&[Input]; 3] = [&[Input::Images], &[Input::Node(0)], &[Input::Node(1), Input::Node(0)]];
        assert_eq!((&inputs[..], found.output), (&wanted[..], Input::Node(2)));
        for (layers, output, problem) in [
            (vec![layer("a", &[]), layer("b", &["c"]), layer("c", &["a"])], "c", "layer b takes its input from c"),
            (vec![layer("a", &[]), layer("b", &[])], "b", "layer b takes its input from outside"),
            (vec![layer("a", &[]), layer("b", &["a"])], "c", "it has the outputs c"),
        ] {
            let message = read(&layers, output).err().unwrap();
            assert!(message.contains(problem), "{message}");
        }
        let mut twice = layer("b", &["a"]);
        let node = twice["inbound_nodes"][0].clone();
        twice["inbound_nodes"].as_array_mut().unwrap().push(node);
        let message = read(&[layer("a", &[]), twice], "b").err().unwrap();
        assert!(message.contains("layer b is used 2 times"), "{message}");
    }

    #[test]
    fn names_are_fit_for_a_terminal() {
        let name = format!("a\u{1b}[2J{}", "b".repeat(5000));
        let text = json!({"class_name": "Sequential", "config": {"name": name, "layers": []}}).to_string();
        let kept = Description::read(&text).ok().unwrap().name;
        assert!(kept.starts_with("a[2Jbbb") && kept.len() == 100, "{kept}");
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
            let (message, _) = Description::read(text).err().unwrap();
            assert!(message.contains(problem), "{message}");
        }
        let deep = "[".repeat(100_000);
        assert!(Description::read(&deep).is_err());
    }
}
