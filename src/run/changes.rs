//! Changes of a recipe: what two recipes differ in, what a settings file says, what a command line gives. Recipes follow from
//! each other by changes, and a command line is the change from the defaults.

use super::DeviceKind;
use super::recipe::{FIELDS, Field, Property, Recipe};
use crate::error::{Error, Result};
use serde::Serialize;
use serde_json::{Map, Value};
use std::fmt::Display;
use std::path::{Path, PathBuf};

/// Some settings of a recipe with their new values.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Changes(pub(super) Map<String, Value>);

/// A structure as JSON, by way of text, in which an f32 is as short as its user wrote it.
fn as_map(settings: &impl Serialize) -> Result<Map<String, Value>> {
    let map = serde_json::to_string(settings).and_then(|text| serde_json::from_str(&text));
    map.map_err(|error| Error::setting("the settings", error, "such that they can be stored"))
}

/// Whether nothing is said by this value: what no command line can give.
pub(super) fn is_nothing(value: &Value) -> bool {
    matches!(value, Value::Null | Value::Bool(false)) || value.as_array().is_some_and(Vec::is_empty)
}

impl Changes {
    /// The settings that options give; their fields are named as those of [`Recipe`]. What is absent, false or empty was not given.
    ///
    /// # Errors
    /// A value that JSON cannot hold.
    pub fn given(options: &impl Serialize) -> Result<Self> {
        let mut map = as_map(options)?;
        map.retain(|_, value| !is_nothing(value));
        Ok(Self(map))
    }

    /// These changes after `earlier` ones. A setting that belongs to one which is given here returns to its default, unless it is
    /// given here, too.
    pub fn after(self, mut earlier: Self) -> Self {
        earlier.0.retain(|name, _| !self.replaces(name));
        earlier.0.extend(self.0);
        earlier
    }

    /// Whether this setting belongs to one that is given.
    fn replaces(&self, name: &str) -> bool {
        let properties = Field::find(name).map_or(&[][..], |field| field.properties);
        properties.iter().any(|known| matches!(known, Property::Of(other) if self.0.contains_key(*other)))
    }

    /// Also changes how long is trained, to what this recipe has.
    pub(super) fn and_length_of(mut self, recipe: &Recipe) -> Self {
        self.0.insert("epochs".into(), recipe.epochs.into());
        self.0.insert("patience".into(), recipe.patience.into());
        self
    }

    /// Whether this setting is given.
    pub fn give(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The words of a command line that gives them.
    pub fn words(&self) -> Vec<String> {
        let words = self.0.iter().filter_map(|(name, value)| Field::find(name).map(|field| field.words(value)));
        words.flatten().collect()
    }
}

impl Field {
    /// The option with this value; no words where a command line cannot give the value.
    fn words(&self, value: &Value) -> Vec<String> {
        let option = format!("--{}", self.option());
        match value {
            value if is_nothing(value) => Vec::new(),
            Value::Bool(_) => vec![option],
            Value::Array(values) => {
                let texts: Vec<String> = values.iter().map(in_words).collect();
                match self.properties {
                    [Property::Commas] => vec![option, texts.join(",")],
                    [Property::Several] => [vec![option], texts].concat(),
                    _ => texts.into_iter().flat_map(|text| [option.clone(), text]).collect(),
                }
            }
            other => vec![option, in_words(other)],
        }
    }
}

/// A value as it is written on a command line.
fn in_words(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "none".into(),
        Value::Array(values) => values.iter().map(in_words).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}

/// A word as a POSIX shell reads it back.
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./,=:+@%".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

/// The command that resumes the run or series in a folder, with the shaders it follows, as a POSIX shell reads it.
pub fn resume_command(folder: &Path, shaders: Option<&Path>) -> String {
    let word = |path: &Path| quoted(&path.to_string_lossy());
    let shaders = shaders.map_or(String::new(), |shaders| format!(" --shaders {}", word(shaders)));
    format!("galaxy-gpu train --resume {}{shaders}", word(folder))
}

impl Recipe {
    /// This recipe with other values for some settings.
    ///
    /// # Errors
    /// [`Error::Setting`] for a value of another kind.
    pub fn with(&self, changes: &Changes) -> Result<Self> {
        let mut map = as_map(self)?;
        map.extend(changes.0.clone());
        let names =
            || changes.0.keys().map(|name| Field::find(name).map_or(name.clone(), |f| format!("--{}", f.option())));
        let refuse = |error: serde_json::Error| {
            let values: Vec<String> = changes.0.values().map(in_words).collect();
            Error::setting(names().collect::<Vec<_>>().join(", "), values.join(", "), error)
        };
        serde_json::from_value(Value::Object(map)).map_err(refuse)
    }

    /// The settings in which this recipe differs from another, with the values that it has.
    pub fn minus(&self, other: &Self) -> Changes {
        let (own, other) = (self.as_map(), other.as_map());
        Changes(own.into_iter().filter(|(name, value)| other.get(name) != Some(value)).collect())
    }

    fn as_map(&self) -> Map<String, Value> {
        as_map(self).unwrap_or_default()
    }

    /// As checkpoints store it: paths are absolute, as the run may be resumed from another folder.
    pub fn to_json(&self) -> Value {
        let mut map = self.as_map();
        for field in FIELDS.iter().filter(|field| field.is(Property::Path)) {
            if let Some(Value::String(path)) = map.get_mut(field.name)
                && let Ok(absolute) = std::path::absolute(&*path)
            {
                *path = absolute.to_string_lossy().into_owned();
            }
        }
        Value::Object(map)
    }

    /// The recipe that a run has stored, but for its shaders: code runs where a command line names it, not because a folder does, which
    /// may be a stranger's.
    ///
    /// # Errors
    /// [`Error::Setting`] for what another `version` of the program stored and this one cannot read.
    pub fn from_json(stored: &Value, version: &str) -> Result<Self> {
        let unreadable = |error: &dyn Display| {
            let problem = format!("written by version {version} and unreadable ({error})");
            let allowed = "those of this version; use the program that wrote them";
            Error::setting("the run's settings", problem, allowed)
        };
        let recipe: Self = serde_json::from_value(stored.clone()).map_err(|error| unreadable(&error))?;
        let recipe = if stored.get("cpu_features").is_none() { recipe.before_native() } else { recipe };
        Ok(Self { shaders: None, trust_shaders: false, ..recipe })
    }

    /// This recipe, written when `gpu` was the default and meant the first adapter, of whatever kind. It still does: where that was a software
    /// driver, it is that driver, and the bits are the same. Such recipes are known by what they could not say, `cpu_features`.
    pub(super) fn before_native(self) -> Self {
        let first = (self.device == DeviceKind::Gpu).then(|| "0".to_owned());
        Self { adapter: self.adapter.or(first), ..self }
    }

    /// The recipe of a run that is resumed: its own, but for what changes and may.
    ///
    /// # Errors
    /// [`Error::Setting`] for a setting that may not change; fewer epochs than have ended.
    pub fn resumed(&self, changes: &Changes, epochs: usize) -> Result<Self> {
        let own = self.as_map();
        let mut different = changes.clone();
        different.0.retain(|name, value| own.get(name) != Some(value));
        for (name, value) in &different.0 {
            if let Some(field) = Field::find(name).filter(|field| !field.is(Property::Free)) {
                let allowed = format!("left out or the run's own, {}, with --resume", in_words(&own[name]));
                return Err(Error::setting(format!("--{}", field.option()), in_words(value), allowed));
            }
        }
        let defaults = Self::default().as_map();
        let returning = FIELDS.iter().filter(|field| different.replaces(field.name));
        let returning = returning.map(|field| (field.name.to_owned(), defaults[field.name].clone()));
        let resumed = self.with(&Changes(returning.collect()))?.with(&different)?;
        if (resumed.epochs as usize) < epochs {
            let allowed = format!("at least {epochs}, which the run has behind it");
            return Err(Error::setting("--epochs", resumed.epochs, allowed));
        }
        Ok(resumed)
    }

    /// This recipe on the device of another one.
    pub fn on_device_of(self, other: &Self) -> Self {
        let Self { device, cpu_features, precision, no_fuse, data_memory, timeout, checked, trust_shaders, .. } =
            *other;
        let (adapter, choices, shaders) = (other.adapter.clone(), other.choices.clone(), other.shaders.clone());
        let this = Self { adapter, choices, shaders, ..self };
        Self { device, cpu_features, precision, no_fuse, data_memory, timeout, checked, trust_shaders, ..this }
    }

    /// The file of the network, where it is no preset.
    pub fn model_file(&self) -> Option<PathBuf> {
        crate::model::Model::preset(&self.model).is_none().then(|| PathBuf::from(&self.model))
    }

    /// The command that trains it, as words that a POSIX shell reads back.
    pub fn command(&self) -> Vec<String> {
        let words = self.minus(&Self::default()).words();
        ["galaxy-gpu", "train"].map(str::to_owned).into_iter().chain(words.iter().map(|word| quoted(word))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_stay_one_word() {
        let recipe = Recipe { data: Some("/d/a b;$(rm)'\"<x>.h5".into()), ..Recipe::default() };
        assert_eq!(recipe.command().join(" "), "galaxy-gpu train --data '/d/a b;$(rm)'\\''\"<x>.h5'");
        assert_eq!(Recipe::default().command(), ["galaxy-gpu", "train"]);
    }

    /// What `gpu` and `cpu` meant before there were native kernels.
    #[test]
    fn old_runs_keep_their_device() {
        let mut stored = Recipe::default().to_json();
        stored.as_object_mut().unwrap().remove("cpu_features");
        let mut read = |device: &str, adapter: Option<&str>| {
            stored["device"] = device.into();
            stored["adapter"] = adapter.into();
            let recipe = Recipe::from_json(&stored, "0.1.0").unwrap();
            (recipe.device, recipe.adapter)
        };
        assert_eq!(read("gpu", None), (DeviceKind::Gpu, Some("0".into())), "the first adapter, also a software driver");
        assert_eq!(read("gpu", Some("llvmpipe")), (DeviceKind::Gpu, Some("llvmpipe".into())));
        assert_eq!(read("cpu", None), (DeviceKind::Reference, None));
        let new = Recipe { device: DeviceKind::Gpu, ..Recipe::default() };
        assert_eq!(Recipe::from_json(&new.to_json(), "0.1.0").unwrap(), new, "now it means a GPU");
    }

    #[test]
    fn only_free_settings_change_on_resume_and_take_along_what_belongs_to_them() {
        let own = Recipe { epochs: 3, adapter: Some("a".into()), checked: true, ..Recipe::default() };
        let other = Recipe { epochs: 5, device: super::super::DeviceKind::Reference, ..own.clone() };
        let resumed = own.resumed(&other.minus(&own), 3).unwrap();
        assert_eq!(resumed, Recipe { adapter: None, ..other.clone() });
        let message = own.resumed(&other.minus(&own), 6).unwrap_err().to_string();
        assert!(message.contains("--epochs is 5, but must be at least 6"), "{message}");
        let batch = Recipe { batch: 7, ..own.clone() }.minus(&own);
        let message = own.resumed(&batch, 0).unwrap_err().to_string();
        assert!(
            message.contains("--batch is 7, but must be left out or the run's own, 50, with --resume"),
            "{message}"
        );
    }
}
