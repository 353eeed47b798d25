//! Networks that are no chain: what a model file may say, Keras's numbers for one on both engines, and who may name a layer.

use crate::common::npz::Npz;
use crate::common::rig::{BRANCHES, Rig, adam, branches, model, read, share_of_largest};
use crate::common::{Device, on_every_device};
use crate::structure::{rust, words};
use galaxy_gpu::engine::Engine;
use galaxy_gpu::kernels::{Precision, StepParams};
use galaxy_gpu::model::{Input, Model};
use galaxy_gpu::plan::Program;
use std::path::Path;

/// Files that name layers beside the layers' own: the list of them, the table of fusion and the built-in models.
const LAYER_TABLES: [&str; 3] = ["src/layers/mod.rs", "src/lowering/blocks.rs", "src/model/mod.rs"];

/// CONTRIBUTING.md promises that a new layer is its own file and a line in the list.
#[test]
fn a_layer_is_named_in_its_own_file_and_the_list_alone() {
    let sources = rust();
    let list = sources.iter().find(|source| source.path == LAYER_TABLES[0]).unwrap().code();
    // a layer with a condition is one for tests
    let list = list.rsplit("layers! {").next().unwrap();
    let entries = list
        .lines()
        .filter(|line| !line.contains("#["))
        .filter_map(|line| line.trim().trim_end_matches(',').rsplit(' ').next()?.split_once("::"));
    let entries: Vec<(&str, &str)> = entries.collect();
    assert!(entries.len() >= 8, "the list of layers was not found");
    for (file, layer) in entries {
        let own = format!("src/layers/{file}.rs");
        assert!(sources.iter().any(|source| source.path == own), "{layer} has no file {own}");
        for source in sources.iter().filter(|source| source.path != own && !LAYER_TABLES.contains(&&source.path[..])) {
            let code = source.code();
            // others may have their own use for a word such as `Add`
            let knows_layers = words(&code).any(|word| ["layers", "Layer"].contains(&word));
            let named = knows_layers && words(&code).any(|word| word == layer);
            assert!(!named, "{} names the layer {layer}", source.path);
        }
    }
}

#[test]
fn a_layer_names_what_it_reads() {
    let network = branches().build(12, 12, 4).unwrap();
    let node = |name: &str| network.nodes.iter().find(|node| node.name == name).unwrap();
    let number = |name: &str| Input::Node(node(name).number);
    assert_eq!(node("total").inputs, [number("outer"), number("pooled")]);
    assert_eq!(node("both").inputs, [number("wide"), number("narrow"), number("rectified")]);
    assert_eq!(node("both").output.sizes(), [6, 6, 25]);
    assert_eq!((&node("stem").inputs[..], node("relu").is_chained()), (&[Input::Images][..], true));
    // layers without a name are numbered within their kind
    assert_eq!([node("relu_1").number, node("flat").number], [4, 11]);
    // and the file comes back as it was
    let text = branches().to_toml();
    assert!(text.contains("[[layer]]\nname = \"total\"\ninputs = [\"outer\", \"pooled\"]\ntype = \"add\"\n"), "{text}");
    assert_eq!(Model::from_toml(Path::new("a.toml"), &text).unwrap(), branches());
}

#[test]
fn a_layer_may_read_the_images_and_one_tensor_twice() {
    let layers = ["conv2d filters=3", "add inputs=[\"images\",\"conv2d\",\"conv2d\"]", "flatten", "dense"];
    let network = model(&layers).build(8, 8, 2).unwrap();
    assert_eq!(network.nodes[1].inputs, [Input::Images, Input::Node(0), Input::Node(0)]);
    let mut rig = Rig::new(&model(&layers), (8, 8), 2, 3, 3);
    rig.pixels.fill(51);
    let mut engine = rig.twins::<f32>();
    engine.run(Program::Train, &[adam(1, 0, 3)]).unwrap();
    let [convolved, sum] = ["train.conv2d.output", "train.add.output"].map(|name| read(&mut engine, name));
    let wanted: Vec<f32> = convolved.iter().map(|value| 0.2 + value + value).collect();
    assert!(share_of_largest(&sum, &wanted) < 1e-6);
}

#[test]
fn what_a_layer_cannot_read_is_one_sentence() {
    let ends = ["flatten", "dense"];
    for (layers, words) in [
        (vec!["relu inputs=[\"conv\"]"], "layer relu: it reads \"conv\", and no layer has this name"),
        (vec!["conv2d filters=3", "relu inputs=[\"conv2\"]"], "name a layer before it; did you mean `conv2d`?"),
        (vec!["relu inputs=[\"flatten\"]"], "layer relu: it reads flatten, which does not come before it"),
        (vec!["relu inputs=[\"relu\"]"], "layer relu: it reads relu, which does not come before it"),
        (vec!["relu inputs=[]"], "layer relu: it has 0 inputs; give it 1 in `inputs`"),
        (vec!["relu inputs=[\"images\",\"images\"]"], "layer relu: it has 2 inputs; give it 1"),
        (vec!["add"], "layer add: it has 1 inputs; give it 2 to 64 in `inputs`"),
        (vec!["conv2d filters=3 stride=2", "add inputs=[\"conv2d\",\"images\"]"], "layer add: it adds 4x4x3 and 8x8x3"),
        (
            vec!["max_pool2d", "concatenate inputs=[\"images\",\"max_pool2d\"]"],
            "layer concatenate: it puts 8x8x3 and 4x4x3 side by side",
        ),
        (vec!["relu name=\"a\"", "relu name=\"a\""], "layer a: two layers have this name"),
        (vec!["relu name=\"relu_1\"", "relu"], "layer relu_1: two layers have this name"),
        (vec!["relu name=\"images\""], "\"images\" is no name for a layer"),
        (vec!["relu name=\"a/b\""], "use 1 to 64 letters, digits, _ and -"),
        (vec!["relu", "relu inputs=[\"images\"]"], "layer relu: no layer reads its output"),
    ] {
        let error = model(&[&layers[..], &ends].concat()).build(8, 8, 2).unwrap_err();
        let message = error.to_string();
        assert!(message.contains(words) && !message.contains('\n'), "{words:?} is not in: {message}");
        assert_eq!(error.exit_code(), 2, "{message}");
    }
}

/// A rig with the images, labels and parameters of the fixture.
fn keras_rig(fixture: &mut Npz) -> Rig {
    let mut rig = Rig::new(&branches(), (12, 12), 4, 4, 4);
    rig.pixels = fixture.array("images").0;
    rig.labels = fixture.array::<i64>("labels").0.into_iter().map(|label| label as u32).collect();
    rig.order = (0..4).collect();
    rig.parameters = rig.names().iter().map(|name| fixture.array(name).0).collect();
    rig
}

on_every_device!(logits_loss_and_gradients_are_kerass);

/// The bounds are those of `keras.rs`.
fn logits_loss_and_gradients_are_kerass(device: Device) {
    let mut fixture = Npz::fixture("branches.npz");
    let rig = keras_rig(&mut fixture);
    let (logits, loss): (Vec<f32>, Vec<f32>) = (fixture.array("logits").0, fixture.array("loss").0);
    for (grouping, rig) in [("fused", &rig), ("single layers", &rig.unfused())] {
        let mut engine = rig.on(device);
        engine.run(Program::Infer, &[StepParams { count: 4, ..Default::default() }]).unwrap();
        let metrics = engine.wait().unwrap()[0];
        assert!((metrics.loss / 4.0 - loss[0]).abs() < 1e-5 * loss[0], "{grouping}: {metrics:?}, Keras {loss:?}");
        for (got, want) in read(&mut *engine, "infer.logits.output").iter().zip(&logits) {
            assert!((got - want).abs() < 1e-4, "{grouping}: logit {got}, Keras has {want}");
        }
        engine.run(Program::Train, &[adam(1, 0, 4)]).unwrap();
        for name in rig.names() {
            let gradient = format!("{name}.gradient");
            let error = share_of_largest(&read(&mut *engine, &gradient), &fixture.array::<f32>(&gradient).0);
            assert!(error < 1e-4, "{grouping}: the gradient of {name} differs by {error} of its largest");
        }
    }
}

#[test]
fn gradients_of_a_tensor_with_several_readers_are_added_in_their_order() {
    let rig = Rig::new(&branches(), (12, 12), 4, 4, 4);
    let graph = rig.graph();
    let name = |id: usize| graph.tensors[id].name.as_str();
    let sums: Vec<Vec<&str>> = graph.train[graph.segments[1].clone()]
        .iter()
        .filter(|call| call.contract.name == "add.forward")
        .map(|call| call.tensors.iter().map(|&id| name(id).trim_start_matches("train.")).collect())
        .collect();
    let wanted = [
        ["wide.input_gradient", "narrow.input_gradient", "rectified.output_gradient_1"],
        ["rectified.output_gradient_1", "both.input_gradient_2", "rectified.output_gradient"],
        // the sum's own gradient goes to both that it adds
        ["inner.input_gradient", "rectified.input_gradient", "pooled.output_gradient"],
    ];
    assert_eq!(sums, wanted);
    // mixed precision adds in f32 and stores as it stores activations
    let mut mixed = rig.clone();
    mixed.settings.precision = Precision::Mixed;
    let mixed = mixed.graph();
    assert!(
        mixed
            .train
            .iter()
            .filter(|call| call.contract.name == "add.forward")
            .all(|call| call.precision == Precision::Mixed)
    );
    assert_eq!(BRANCHES.len(), rig.network.nodes.len());
}
