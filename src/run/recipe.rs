//! A recipe: every setting of a training, with its default and what else is known of it.
//!
//! The fields have the names and values that checkpoints store as JSON, in that order.

use super::values::{CpuFeatures, DataMemory, DeviceKind, PrecisionChoice, ScheduleKind, Span, on_off};
use crate::engine::gpu::TIMEOUT;
use crate::error::{Error, Result};
use crate::graph::{Augment, FillMode};
use crate::plan::Choice;
use crate::train::{Adam, ClassWeights, Curve, MicroBatch, Schedule};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What is known of a setting beside its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Property {
    /// It may change when a run is resumed: it changes no result, or only its rounding, or what it names is compared by content.
    Free,
    /// It is a path.
    Path,
    /// It is a path where it ends in `.toml`, else a name.
    NameOrPath,
    /// It means nothing without this other setting: where that one is replaced, this one returns to its default.
    Of(&'static str),
    /// Its option has another name.
    Option(&'static str),
    /// Its option takes values separated by commas.
    Commas,
    /// Its option takes several values.
    Several,
    /// Its values are `on` and `off`.
    OnOff,
}

/// A setting.
#[derive(Debug)]
pub struct Field {
    /// Its name in [`Recipe`] and in checkpoints.
    pub name: &'static str,
    /// What is known of it.
    pub properties: &'static [Property],
}

/// Declares the recipe: for each setting its name, type and default, and what is known of it.
macro_rules! recipe {
    ($($(#[$about:meta])* $name:ident: $kind:ty = $default:expr, $properties:expr;)*) => {
        /// Every setting of a training. [`train`](super::train) follows it.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct Recipe {
            $($(#[$about])* pub $name: $kind,)*
        }

        impl Default for Recipe {
            fn default() -> Self {
                Self { $($name: $default,)* }
            }
        }

        /// The settings, in the order of [`Recipe`].
        pub const FIELDS: &[Field] = &[$(Field { name: stringify!($name), properties: &$properties }),*];
    };
}

use Property::{Commas, Free, NameOrPath, Of, OnOff, Option as Named, Path, Several};

recipe! {
    /// HDF5 file in Galaxy10's layout, or a folder of class folders; simulated galaxies without.
    data: Option<PathBuf> = None, [Free, Path];
    /// Split as a CSV file; drawn from the seed without.
    split: Option<PathBuf> = None, [Free, Path];
    /// Simulated images, where there is no data.
    images: usize = 2000, [];
    /// Side of an image in pixels: of simulated galaxies (64 without) and of pictures from a folder.
    size: Option<usize> = None, [];
    /// Names of the classes, where the data has none.
    class_names: Option<Vec<String>> = None, [Commas];
    /// Part of a FITS file that holds the image: a number, or an `EXTNAME`.
    fits_hdu: Option<String> = None, [];
    /// Bands of the planes of FITS images.
    fits_bands: Option<String> = None, [];
    /// Parameters of the stretch of FITS images.
    fits_stretch: Option<String> = None, [];
    /// Network: a preset, or a TOML file.
    model: String = "conv4".into(), [Free, NameOrPath];
    /// Passes over the training images.
    epochs: u32 = 8, [Free];
    /// Epochs without a higher accuracy than the best after which training ends.
    patience: Option<u32> = None, [Free];
    /// Time that training may take.
    time_budget: Option<Span> = None, [Free];
    /// Images in a step.
    batch: usize = 50, [];
    /// Images of a step that are computed at a time.
    micro_batch: MicroBatch = MicroBatch::Whole, [Free];
    /// Adam's step size, the largest of the schedule.
    learning_rate: f32 = 1e-3, [];
    /// How the learning rate changes.
    schedule: ScheduleKind = ScheduleKind::Constant, [];
    /// Epochs over which the rate rises to the learning rate.
    warm_up: f64 = 0.0, [];
    /// Rate at which the cosine ends, and below which no schedule goes.
    final_rate: f32 = 0.0, [Of("schedule")];
    /// Epochs of the step and plateau schedules; 10 without.
    schedule_epochs: Option<u32> = None, [Of("schedule")];
    /// Factor of the step and plateau schedules; 0.1 without.
    schedule_factor: Option<f64> = None, [Of("schedule")];
    /// Decay of all weights and biases (AdamW).
    weight_decay: f32 = 0.0, [];
    /// Largest norm of a step's gradient.
    clip_norm: Option<f32> = None, [];
    /// Decay of the exponential moving average of the weights, which is measured and saved where there is one.
    ema: Option<f64> = None, [];
    /// Fraction of the target spread over all classes.
    label_smoothing: f64 = 0.0, [];
    /// What an image of each class counts in the loss of training.
    class_weights: ClassWeights = ClassWeights::None, [];
    /// Fraction of the training set that is set aside to choose the best epoch.
    validation: f64 = 0.0, [];
    /// Whether training images are changed at random.
    #[serde(with = "on_off")]
    augment: bool = true, [OnOff];
    /// Whether rows and columns are mirrored.
    #[serde(with = "on_off")]
    flip: bool = true, [OnOff];
    /// Largest rotation either way, as a fraction of a full turn.
    rotation: f64 = 0.5, [];
    /// Zoom factors are drawn from one more than the first to one more than the second.
    zoom: [f64; 2] = [-0.5, 0.1], [Several];
    /// Largest shift either way, as a fraction of the image.
    shift: f64 = 0.08, [];
    /// What lies outside the image.
    fill: FillMode = FillMode::Reflect, [];
    /// Trained weights to start from: a run folder, or a file.
    weights: Option<PathBuf> = None, [Path];
    /// Seed of weights, split, order, dropout and augmentation.
    seed: u64 = 0, [];
    /// Steps between two checkpoints.
    checkpoint_every: Option<u32> = None, [Free];
    /// Minutes between two checkpoints.
    checkpoint_minutes: Option<f64> = None, [Free];
    /// Steps handed to the device at once; as the device likes it without.
    steps_per_submit: Option<u32> = None, [Free];
    /// Whether to write TensorBoard's event files.
    tensorboard: bool = false, [Free];
    /// Where to compute.
    device: DeviceKind = DeviceKind::Auto, [Free];
    /// Adapter by number or part of its name.
    adapter: Option<String> = None, [Free, Of("device")];
    /// Which instructions native kernels use.
    cpu_features: CpuFeatures = CpuFeatures::Auto, [Free, Of("device")];
    /// Implementations to insist on.
    choices: Vec<Choice> = Vec::new(), [Named("use")];
    /// What activations and weights are stored in.
    precision: PrecisionChoice = PrecisionChoice::Auto, [];
    /// Whether to run every layer alone, without fused blocks.
    no_fuse: bool = false, [];
    /// Device memory for images.
    data_memory: DataMemory = DataMemory(None), [Free];
    /// Seconds that the device may work at one submission.
    timeout: u32 = TIMEOUT.as_secs() as u32, [Free];
    /// Whether the driver checks every access of every kernel.
    checked: bool = false, [Free];
    /// Folder of shaders that replace the crate's own.
    shaders: Option<PathBuf> = None, [Free, Path, Of("device")];
    /// Whether those run without the driver's checks.
    trust_shaders: bool = false, [Free, Of("device")];
}

impl Field {
    /// The setting of this name.
    pub fn find(name: &str) -> Option<&'static Self> {
        FIELDS.iter().find(|field| field.name == name)
    }

    /// Whether this is known of it.
    pub fn is(&self, what: Property) -> bool {
        self.properties.contains(&what)
    }

    /// Its name on command lines and in settings files, such as `learning-rate`.
    pub fn option(&self) -> String {
        let other = self.properties.iter().find_map(|known| if let Named(name) = known { Some(*name) } else { None });
        other.map_or_else(|| self.name.replace('_', "-"), str::to_owned)
    }
}

fn refuse(name: &str, got: impl ToString, allowed: impl ToString) -> Result<()> {
    Err(Error::setting(name, got, allowed))
}

impl Recipe {
    /// Refuses what needs neither data nor a device to be seen.
    ///
    /// # Errors
    /// [`Error::Setting`] by the name of the option.
    pub fn validate(&self) -> Result<()> {
        self.check_bounds()?;
        if let Some(minutes) = self.checkpoint_minutes.filter(|minutes| !(*minutes > 0.0 && minutes.is_finite())) {
            return refuse("--checkpoint-minutes", minutes, "a number above 0");
        }
        self.adam()?;
        self.learning_schedule()?;
        self.augmentation()?;
        match (0.0..1.0).contains(&self.label_smoothing) {
            true => Ok(()),
            false => refuse("--label-smoothing", self.label_smoothing, "at least 0 and below 1"),
        }
    }

    /// Refuses whole numbers that are out of bounds whatever else is set.
    pub(super) fn check_bounds(&self) -> Result<()> {
        let least_one = [
            ("--epochs", Some(self.epochs)),
            ("--patience", self.patience),
            ("--schedule-epochs", self.schedule_epochs),
            ("--checkpoint-every", self.checkpoint_every),
            ("--timeout", Some(self.timeout)),
        ];
        if let Some((name, _)) = least_one.iter().find(|(_, value)| *value == Some(0)) {
            return refuse(name, 0, "at least 1");
        }
        match self.steps_per_submit {
            Some(steps) if !(1..=64).contains(&steps) => refuse("--steps-per-submit", steps, "from 1 to 64"),
            _ => Ok(()),
        }
    }

    /// The optimizer.
    ///
    /// # Errors
    /// As [`Adam::check`].
    pub fn adam(&self) -> Result<Adam> {
        let Self { learning_rate, weight_decay: decay, clip_norm, ema, .. } = *self;
        let adam = Adam { learning_rate, decay, clip_norm, ema, ..Adam::default() };
        adam.check().map(|()| adam)
    }

    /// The schedule of the learning rate.
    ///
    /// # Errors
    /// [`Error::Setting`]: a number out of range, or a setting that the schedule does not know.
    pub fn learning_schedule(&self) -> Result<Schedule> {
        if !(0.0..=f64::from(self.epochs)).contains(&self.warm_up) {
            refuse("--warm-up", self.warm_up, format!("from 0 to the {} of --epochs", self.epochs))?;
        }
        if !(0.0..=self.learning_rate).contains(&self.final_rate) {
            let allowed = format!("from 0 to the {} of --learning-rate", self.learning_rate);
            refuse("--final-rate", self.final_rate, allowed)?;
        }
        if let Some(factor) = self.schedule_factor.filter(|factor| !(*factor > 0.0 && *factor < 1.0)) {
            refuse("--schedule-factor", factor, "above 0 and below 1")?;
        }
        let cuts = matches!(self.schedule, ScheduleKind::Step | ScheduleKind::Plateau);
        for (name, is_given) in [
            ("--schedule-epochs", self.schedule_epochs.is_some()),
            ("--schedule-factor", self.schedule_factor.is_some()),
        ] {
            if is_given && !cuts {
                refuse(name, "given", "left out, but for --schedule step or plateau")?;
            }
        }
        if self.schedule == ScheduleKind::Constant && self.final_rate > 0.0 {
            refuse("--final-rate", self.final_rate, "left out with --schedule constant")?;
        }
        let (epochs, factor) = (self.schedule_epochs.unwrap_or(10), self.schedule_factor.unwrap_or(0.1));
        let curve = match self.schedule {
            ScheduleKind::Constant => Curve::Constant,
            ScheduleKind::Cosine => Curve::Cosine,
            ScheduleKind::Step => Curve::Step { epochs, factor },
            ScheduleKind::Plateau => Curve::Plateau { epochs, factor },
        };
        // the decimal number that the user wrote, not its rounding to f32
        let floor = self.final_rate.to_string().parse().unwrap_or_default();
        Ok(Schedule { curve, warm_up: self.warm_up, floor })
    }

    /// The ranges of the random maps of training images; `None` where there are none.
    ///
    /// # Errors
    /// [`Error::Setting`] for a range that makes no sense.
    pub fn augmentation(&self) -> Result<Option<Augment>> {
        let [low, high] = self.zoom;
        let within = |name, value: f64, range: std::ops::RangeInclusive<f64>| match range.contains(&value) {
            true => Ok(()),
            false => refuse(name, value, format!("from {} to {}", range.start(), range.end())),
        };
        within("--rotation", self.rotation, 0.0..=0.5)?;
        within("--shift", self.shift, 0.0..=1.0)?;
        within("--zoom LOW", low, -0.9..=high.max(-0.9))?;
        within("--zoom HIGH", high, low..=3.0)?;
        let Self { flip, rotation, shift, fill, .. } = *self;
        Ok(self.augment.then_some(Augment { flip, rotation, zoom: (low, high), shift, fill }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A missing or renamed key would make old checkpoints unreadable, another order other bytes.
    #[test]
    fn checkpoints_store_these_settings_in_this_order() {
        let stored = serde_json::to_string(&Recipe::default()).unwrap();
        assert_eq!(
            stored,
            "{\"data\":null,\"split\":null,\"images\":2000,\"size\":null,\"class_names\":null,\"fits_hdu\":null,\
             \"fits_bands\":null,\"fits_stretch\":null,\"model\":\"conv4\",\"epochs\":8,\"patience\":null,\
             \"time_budget\":null,\"batch\":50,\"micro_batch\":\"off\",\"learning_rate\":0.001,\"schedule\":\"constant\",\
             \"warm_up\":0.0,\"final_rate\":0.0,\"schedule_epochs\":null,\"schedule_factor\":null,\"weight_decay\":0.0,\
             \"clip_norm\":null,\"ema\":null,\"label_smoothing\":0.0,\"class_weights\":\"none\",\"validation\":0.0,\
             \"augment\":\"on\",\"flip\":\"on\",\"rotation\":0.5,\"zoom\":[-0.5,0.1],\"shift\":0.08,\"fill\":\"reflect\",\
             \"weights\":null,\"seed\":0,\"checkpoint_every\":null,\"checkpoint_minutes\":null,\"steps_per_submit\":null,\
             \"tensorboard\":false,\"device\":\"auto\",\"adapter\":null,\"cpu_features\":\"auto\",\"choices\":[],\"precision\":\"auto\",\
             \"no_fuse\":false,\"data_memory\":\"auto\",\"timeout\":300,\"checked\":false,\"shaders\":null,\
             \"trust_shaders\":false}"
        );
        let value: serde_json::Value = serde_json::from_str(&stored).unwrap();
        let names: Vec<&String> = value.as_object().unwrap().keys().collect();
        assert_eq!(names, FIELDS.iter().map(|field| field.name).collect::<Vec<_>>());
        for field in FIELDS {
            for known in field.properties {
                assert!(!matches!(known, Of(other) if Field::find(other).is_none()), "{}", field.name);
            }
        }
    }

    #[test]
    fn bounds_are_checked_without_a_command_line() {
        for (recipe, part) in [
            (Recipe { epochs: 0, ..Recipe::default() }, "--epochs is 0, but must be at least 1"),
            (Recipe { steps_per_submit: Some(65), ..Recipe::default() }, "--steps-per-submit is 65"),
            (Recipe { checkpoint_minutes: Some(0.0), ..Recipe::default() }, "--checkpoint-minutes is 0"),
            (Recipe { zoom: [f64::NAN, 0.0], ..Recipe::default() }, "--zoom LOW is NaN"),
            (Recipe { label_smoothing: 1.0, ..Recipe::default() }, "--label-smoothing is 1"),
        ] {
            let message = recipe.validate().unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
        Recipe::default().validate().unwrap();
    }
}
