//! What a trained network sees in one picture: the output of each block, and how much each pixel matters to the answer.
//!
//! The saliency of a pixel is the gradient of a class's logit with respect to it (Simonyan et al., arXiv:1312.6034), the largest of
//! its three channels by absolute value. SmoothGrad (Smilkov et al., arXiv:1706.03825) takes the mean gradient over copies of the
//! picture with added noise, which removes what changes from copy to copy.

use super::loaded::Loaded;
use super::{Setup, Weights};
use crate::engine::{Engine, read_floats, write_floats};
use crate::error::{Error, Result};
use crate::files::write_whole;
use crate::kernels::StepParams;
use crate::lowering::{Explained, explain};
use crate::plan::{Options, Plan, Profile, Program};
use crate::shape::Shape;
use rand::SeedableRng;
use rand_distr::{Distribution, StandardNormal};
use rand_pcg::Pcg64;
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use std::path::Path;

/// How a saliency map is smoothed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Smooth {
    /// Number of noisy copies whose gradients are averaged; with 0, the gradient of the picture itself is taken.
    pub samples: u32,
    /// Standard deviation of the noise; the picture's values are from 0 to 1.
    pub noise: f32,
    /// Seed of the noise.
    pub seed: u64,
}

/// The output of a block of layers.
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureMaps {
    /// Its layers.
    pub layers: Vec<String>,
    /// Sizes: height, width and channels, or a single one.
    pub shape: Shape,
    /// Values, channels fastest.
    pub values: Vec<f32>,
}

/// The results for a picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Inspection {
    /// Rows and columns of the picture.
    pub size: (usize, usize),
    /// The picture as the network got it, `height x width x 3` bytes.
    pub pixels: Vec<u8>,
    /// The output of each block; the last is the logits.
    pub blocks: Vec<FeatureMaps>,
    /// Softmax score of each class.
    pub scores: Vec<f32>,
    /// The class whose logit is explained.
    pub class: usize,
    /// Gradient of that logit with respect to the picture in 0..1, `height x width x 3`.
    pub gradient: Vec<f32>,
}

/// A network that explains pictures.
pub struct Inspector {
    engine: Box<dyn Engine>,
    explained: Explained,
    size: (usize, usize),
}

impl Inspector {
    /// Plans the network, makes the engine and writes the weights. Of the setup it takes fusion, precision, choices and shaders.
    ///
    /// # Errors
    /// Something does not fit on the adapter, the device is lost, or a shader does not compile.
    pub fn new(
        weights: &Weights,
        setup: &Setup,
        profile: &Profile,
        make_engine: impl Fn(Plan) -> Result<Box<dyn Engine>>,
    ) -> Result<Self> {
        let network = weights.network()?;
        let explained = explain(&network, setup.fuse, setup.precision)?;
        let options = Options { choices: setup.choices.clone(), guards: false, shaders: setup.shaders.clone() };
        let plan = Plan::new(&explained.graph, profile, &options)?;
        let mut loaded = Loaded::new(plan, &explained.graph, make_engine)?;
        loaded.write_parameters(&weights.tensors)?;
        loaded.ready()?;
        Ok(Self { engine: loaded.engine, explained, size: (network.image.0, network.image.1) })
    }

    /// The engine.
    pub fn engine(&self) -> &dyn Engine {
        &*self.engine
    }

    /// Looks at a picture (`height x width x 3` bytes) and explains the logit of `class`, or of the most likely class if `None`.
    ///
    /// # Errors
    /// The picture has another size, the class does not exist, or the device is lost.
    pub fn inspect(&mut self, pixels: &[u8], class: Option<usize>, smooth: Smooth) -> Result<Inspection> {
        let wanted = self.explained.graph.tensors[self.explained.images].elements;
        if pixels.len() != wanted {
            return Err(Error::setting("the bytes of a picture", pixels.len(), wanted));
        }
        let picture: Vec<f32> = pixels.iter().map(|&byte| f32::from(byte) / 255.0).collect();
        let blocks = self.forward(&picture, true)?;
        let logits = blocks.last().map(|block| block.values.clone()).unwrap_or_default();
        let best = (0..logits.len()).fold(0, |best, i| if logits[i] > logits[best] { i } else { best });
        let class = class.unwrap_or(best);
        if class >= logits.len() {
            return Err(Error::setting("the class", class, format!("below {}", logits.len())));
        }
        let gradient = match smooth.samples {
            0 => self.backward(class, logits.len())?,
            samples => {
                let mut rng = Pcg64::seed_from_u64(smooth.seed);
                let mut sum = vec![0.0f32; wanted];
                for _ in 0..samples {
                    let mut noise = || -> f32 { StandardNormal.sample(&mut rng) };
                    let noisy: Vec<f32> = picture.iter().map(|value| value + smooth.noise * noise()).collect();
                    self.forward(&noisy, false)?;
                    let gradient = self.backward(class, logits.len())?;
                    sum.iter_mut().zip(gradient).for_each(|(sum, value)| *sum += value);
                }
                sum.into_iter().map(|sum| sum / samples as f32).collect()
            }
        };
        let scores = softmax(&logits);
        Ok(Inspection { size: self.size, pixels: pixels.to_vec(), blocks, scores, class, gradient })
    }

    /// Runs the forward half, and stores the output of each block if wanted.
    fn forward(&mut self, picture: &[f32], keep: bool) -> Result<Vec<FeatureMaps>> {
        write_floats(&mut *self.engine, self.explained.images, picture)?;
        let mut blocks = Vec::new();
        for call in 0..self.explained.forward {
            self.engine.run_alone(Program::Train, call, &StepParams::default())?;
            for features in self.explained.features.iter().filter(|features| keep && features.call == call) {
                let values = read_floats(&mut *self.engine, features.tensor)?;
                blocks.push(FeatureMaps { layers: features.layers.clone(), shape: features.shape.clone(), values });
            }
        }
        Ok(blocks)
    }

    /// Runs the backward half after [`Inspector::forward`]; returns the gradient of a class's logit.
    fn backward(&mut self, class: usize, classes: usize) -> Result<Vec<f32>> {
        let one_hot: Vec<f32> = (0..classes).map(|other| f32::from(u8::from(other == class))).collect();
        write_floats(&mut *self.engine, self.explained.logits_gradient, &one_hot)?;
        for call in self.explained.forward..self.explained.graph.train.len() {
            self.engine.run_alone(Program::Train, call, &StepParams::default())?;
        }
        read_floats(&mut *self.engine, self.explained.images_gradient)
    }
}

fn softmax(logits: &[f32]) -> Vec<f32> {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f32> = logits.iter().map(|logit| (logit - most).exp()).collect();
    let sum: f32 = powers.iter().sum();
    powers.into_iter().map(|power| power / sum).collect()
}

impl FeatureMaps {
    /// The values of one channel, row by row.
    pub fn channel(&self, channel: usize) -> Vec<f32> {
        let channels = self.channels();
        self.values.iter().skip(channel).step_by(channels).copied().collect()
    }

    /// Number of channels, or of values if they form no image.
    pub fn channels(&self) -> usize {
        self.shape.sizes().last().copied().unwrap_or(1).max(1)
    }

    /// Channels by the root mean square of their values, the strongest first.
    pub fn strongest(&self) -> Vec<usize> {
        let strength = |channel: usize| self.channel(channel).iter().map(|v| f64::from(*v).powi(2)).sum::<f64>();
        let mut channels: Vec<(usize, f64)> = (0..self.channels()).map(|c| (c, strength(c))).collect();
        channels.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        channels.into_iter().map(|(channel, _)| channel).collect()
    }
}

impl Inspection {
    /// How much each pixel matters: `height x width`, the largest absolute gradient of its channels.
    pub fn saliency(&self) -> Vec<f32> {
        self.gradient.chunks_exact(3).map(|pixel| pixel.iter().fold(0.0f32, |most, g| most.max(g.abs()))).collect()
    }

    /// Writes everything as a safetensors file: `picture` (u8), `gradient`, `saliency`, `scores`, and `features.<last layer>` of each
    /// block.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn save(&self, path: &Path) -> Result<()> {
        let (height, width) = self.size;
        let saliency = self.saliency();
        let mut tensors: Vec<(String, Dtype, Vec<usize>, &[u8])> = vec![
            ("picture".into(), Dtype::U8, vec![height, width, 3], &self.pixels),
            ("gradient".into(), Dtype::F32, vec![height, width, 3], bytemuck::cast_slice(&self.gradient)),
            ("saliency".into(), Dtype::F32, vec![height, width], bytemuck::cast_slice(&saliency)),
            ("scores".into(), Dtype::F32, vec![self.scores.len()], bytemuck::cast_slice(&self.scores)),
        ];
        for block in &self.blocks {
            let name = format!("features.{}", block.layers.last().map_or("", |name| name));
            tensors.push((name, Dtype::F32, block.shape.sizes().to_vec(), bytemuck::cast_slice(&block.values)));
        }
        let failed = |error: safetensors::SafeTensorError| Error::file(path, error, "please report this");
        let views =
            tensors.into_iter().map(|(name, dtype, shape, bytes)| Ok((name, TensorView::new(dtype, shape, bytes)?)));
        let views = views.collect::<std::result::Result<Vec<_>, _>>().map_err(failed)?;
        write_whole(path, &safetensors::serialize(views, None).map_err(failed)?)
    }
}
