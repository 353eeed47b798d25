//! A network, a small random data set and starting parameters, ready to be loaded into any engine.

use super::Device;
use galaxy_gpu::engine::{CpuEngine, Engine, Gpu, GpuEngine, read_floats, write_floats};
use galaxy_gpu::graph::{Graph, Settings, Shard, ShardTensors};
use galaxy_gpu::kernels::{Precision, Real, StepParams, reduce};
use galaxy_gpu::lowering::lower;
use galaxy_gpu::model::{Initialiser, Model, Network, initialise};
use galaxy_gpu::plan::{Options, Plan, Profile};
use galaxy_gpu::simd::InstructionSet;
use rand::{RngExt, SeedableRng, seq::SliceRandom};
use rand_pcg::Pcg64;
use std::sync::Arc;

/// Everything an engine needs before its first step.
#[derive(Clone)]
pub struct Rig {
    pub network: Network,
    pub settings: Settings,
    /// `images x height x width x 3`.
    pub pixels: Vec<u8>,
    pub order: Vec<u32>,
    pub labels: Vec<u32>,
    pub class_weights: Vec<f32>,
    /// Starting values, in the network's order.
    pub parameters: Vec<Vec<f32>>,
}

/// A model from the `[[layer]]` tables of a TOML file, each given on one line: `conv2d filters=3 kernel=5`.
pub fn model(layers: &[&str]) -> Model {
    let mut text = "name = \"test\"\n".to_owned();
    for layer in layers {
        let mut words = layer.split(' ');
        text += &format!("[[layer]]\ntype = \"{}\"\n", words.next().unwrap_or_default());
        words.for_each(|word| text += &format!("{word}\n"));
    }
    toml::from_str(&text).unwrap_or_else(|error| panic!("{error} in\n{text}"))
}

/// A network with a residual connection and a concatenation, that of `tests/fixtures/keras/branches.py`: `pooled` has two readers,
/// `rectified` three.
pub fn branches() -> Model {
    model(BRANCHES)
}

/// Its layers.
pub const BRANCHES: &[&str] = &[
    "conv2d filters=8 name=\"stem\"",
    "relu",
    "max_pool2d name=\"pooled\"",
    "conv2d filters=8 name=\"inner\"",
    "relu",
    "conv2d filters=8 name=\"outer\"",
    "add name=\"total\" inputs=[\"outer\",\"pooled\"]",
    "relu name=\"rectified\"",
    "conv2d filters=12 name=\"wide\"",
    "conv2d filters=5 kernel=1 padding=\"valid\" name=\"narrow\" inputs=[\"rectified\"]",
    "concatenate name=\"both\" inputs=[\"wide\",\"narrow\",\"rectified\"]",
    "flatten name=\"flat\"",
    "dense units=6 name=\"hidden\"",
    "relu",
    "dense name=\"logits\"",
];

impl Rig {
    /// Random pixels, labels, order, kernels and (so that they matter) biases, all the same in every run.
    pub fn new(model: &Model, (height, width): (usize, usize), classes: usize, images: usize, batch: usize) -> Self {
        let network = model.build(height, width, classes).unwrap();
        let mut rng = Pcg64::seed_from_u64(7);
        let mut order: Vec<u32> = (0..images as u32).collect();
        order.shuffle(&mut rng);
        let values = network.parameters().enumerate().map(|(index, parameter)| match parameter.initialiser {
            Initialiser::Zeros => {
                (0..parameter.shape.elements()).map(|_| rng.random_range(-0.1..0.1)).collect::<Vec<f32>>()
            }
            Initialiser::GlorotUniform { .. } => initialise(parameter, index, 11),
        });
        let parameters = values.collect();
        let settings = Settings {
            training: true,
            batch,
            micro_batch: None,
            images,
            rows: images,
            shards: vec![Shard { first: 0, count: images }],
            streamed: false,
            augment: None,
            label_smoothing: 0.0,
            fuse: true,
            precision: Precision::F32,
            ema: false,
        };
        Self {
            pixels: (0..images * height * width * 3).map(|_| rng.random_range(0..=255)).collect(),
            labels: (0..images).map(|_| rng.random_range(0..classes as u32)).collect(),
            class_weights: vec![1.0; classes],
            network,
            settings,
            order,
            parameters,
        }
    }

    /// The same rig without grouping layers into blocks.
    pub fn unfused(&self) -> Self {
        let mut rig = self.clone();
        rig.settings.fuse = false;
        rig
    }

    pub fn graph(&self) -> Graph {
        lower(&self.network, &self.settings).unwrap()
    }

    pub fn plan(&self, profile: &Profile) -> Plan {
        Plan::new(&self.graph(), profile, &Options::default()).unwrap()
    }

    /// The CPU twins, loaded.
    pub fn twins<T: Real>(&self) -> CpuEngine<T>
    where
        CpuEngine<T>: Engine,
    {
        let mut engine = CpuEngine::new(self.plan(&Profile::cpu()));
        self.load(&mut engine);
        engine
    }

    /// Native kernels with an instruction set, loaded.
    pub fn natively(&self, set: InstructionSet) -> CpuEngine<f32> {
        let mut engine = CpuEngine::native(self.plan(&Profile::native(set)), set);
        self.load(&mut engine);
        engine
    }

    /// The GPU engine, loaded.
    pub fn on_gpu(&self, gpu: &Arc<Gpu>, checked: bool) -> GpuEngine {
        let mut engine = GpuEngine::new(gpu, self.plan(gpu.profile()), checked).unwrap();
        self.load(&mut engine);
        engine
    }

    /// An engine of this device, loaded; the GPU's checked.
    pub fn on(&self, device: Device) -> Box<dyn Engine> {
        match device {
            Device::Reference => Box::new(self.twins::<f32>()),
            Device::Native => Box::new(self.natively(InstructionSet::fastest())),
            Device::Gpu => Box::new(self.on_gpu(&super::gpu(), true)),
        }
    }

    /// Writes data set, labels, order, class weights and parameters.
    pub fn load(&self, engine: &mut dyn Engine) {
        let (height, width, channels) = self.network.image;
        let image_bytes = height * width * channels;
        let persistent = engine.plan().persistent().unwrap().clone();
        for ShardTensors { pixels, range, images } in persistent.shards {
            engine.write(pixels, &self.pixels[images.first * image_bytes..][..images.count * image_bytes]).unwrap();
            engine.write(range, bytemuck::cast_slice(&[images.first as u32, images.count as u32])).unwrap();
        }
        let factor = if self.settings.precision == Precision::Mixed { 4096.0 } else { 1.0 };
        for (tensor, bytes) in [
            (persistent.order, bytemuck::cast_slice(&self.order)),
            (persistent.labels, bytemuck::cast_slice(&self.labels)),
            (persistent.class_weights, bytemuck::cast_slice(&self.class_weights)),
            (persistent.unit_weights, bytemuck::cast_slice(&vec![1.0f32; self.class_weights.len()])),
            (persistent.loss_scale, bytemuck::cast_slice(&reduce::loss_scale(factor))),
        ] {
            engine.write(tensor, bytes).unwrap();
        }
        for (parameter, values) in self.network.parameters().zip(&self.parameters) {
            write(engine, &parameter.name, bytemuck::cast_slice(values));
            if let Ok(half) = engine.plan().tensor(&format!("{}.half", parameter.name)) {
                write_floats(engine, half, values).unwrap();
            }
        }
    }

    /// Names of the parameters, in the network's order.
    pub fn names(&self) -> Vec<String> {
        self.network.parameters().map(|parameter| parameter.name.clone()).collect()
    }
}

pub fn write(engine: &mut dyn Engine, tensor: &str, bytes: &[u8]) {
    let id = engine.plan().tensor(tensor).unwrap();
    engine.write(id, bytes).unwrap();
}

pub fn read(engine: &mut dyn Engine, tensor: &str) -> Vec<f32> {
    let id = engine.plan().tensor(tensor).unwrap();
    read_floats(engine, id).unwrap()
}

/// Keras's Adam at step `t`, counted from 1, on a batch that starts at `first`.
pub fn adam(t: i32, first: usize, count: usize) -> StepParams {
    StepParams {
        step: t as u32 - 1,
        seed: 3,
        first: first as u32,
        count: count as u32,
        learning_rate: 1e-3,
        beta1: 0.9,
        beta2: 0.999,
        epsilon: 1e-7,
        correction1: (1.0 - 0.9f64.powi(t)) as f32,
        correction2: (1.0 - 0.999f64.powi(t)) as f32,
        slot: t as u32 - 1,
        ..Default::default()
    }
}

/// Largest difference, as a share of the largest wanted value.
pub fn share_of_largest(got: &[f32], want: &[f32]) -> f64 {
    assert_eq!(got.len(), want.len());
    let largest = want.iter().fold(0.0f64, |most, &value| most.max(f64::from(value).abs()));
    let differences = got.iter().zip(want).map(|(&a, &b)| (f64::from(a) - f64::from(b)).abs() / largest);
    // a NaN, from 0 / 0 too, must not pass as the smaller one
    differences.fold(0.0, |most, difference| if difference.is_nan() { f64::INFINITY } else { most.max(difference) })
}
