//! Changes of a recipe: what two recipes differ in, what a settings file says, what a command line gives. Recipes follow from
//! each other by changes, and a command line is the change from the defaults.

use super::recipe::{FIELDS, Field, Property, Recipe};
use crate::error::{Error, Result};
use crate::files::line_and_column;
use crate::suggest::closest;
use serde::Serialize;
use serde_json::{Map, Value};
use std::fmt::{Display, Write};
use std::path::{Path, PathBuf};
use toml::Value as Toml;

/// Name of the file of a run's model, beside that of its settings.
const MODEL: &str = "model.toml";
/// What to do about a file that will not do.
const REMEDY: &str = "mend it; `config.toml` in a run folder is an example";

/// Some settings of a recipe with their new values.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Changes(Map<String, Value>);

/// A structure as JSON, by way of text, in which an f32 is as short as its user wrote it.
fn as_map(settings: &impl Serialize) -> Result<Map<String, Value>> {
    let map = serde_json::to_string(settings).and_then(|text| serde_json::from_str(&text));
    map.map_err(|error| Error::setting("the settings", error, "such that they can be stored"))
}

/// Whether nothing is said by this value: what no command line can give.
fn is_nothing(value: &Value) -> bool {
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

    /// The settings of a file's table, whose paths are relative to `folder`. Names may have hyphens or underscores, and values may be
    /// written as on a command line.
    ///
    /// # Errors
    /// What is wrong with a setting, as a sentence.
    fn from_table(table: &toml::Table, folder: &Path) -> std::result::Result<Self, String> {
        let mut changes = Map::new();
        for (key, value) in table {
            let option = key.replace('_', "-");
            let field = FIELDS.iter().find(|field| field.option() == option).ok_or_else(|| {
                let options: Vec<String> = FIELDS.iter().map(Field::option).collect();
                let near = closest(&option, options.iter().map(String::as_str)).join(" or ");
                let meant = if near.is_empty() { near } else { format!(" (did you mean {near}?)") };
                format!("there is no setting {key}{meant}")
            })?;
            let read = field.read(value, folder).map_err(|problem| format!("{key} is {value}: {problem}"))?;
            if !is_nothing(&read) {
                changes.insert(field.name.to_owned(), read);
            }
        }
        Ok(Self(changes))
    }

    /// The settings of a file. `take` is shown its table first, and takes out what is no setting of a recipe.
    ///
    /// # Errors
    /// [`Error::File`]: no TOML (with line and column), an unknown setting, a value that is not allowed; what `take` refuses.
    pub fn from_toml(
        text: &str,
        file: &Path,
        take: impl FnOnce(&mut toml::Table) -> std::result::Result<(), String>,
    ) -> Result<Self> {
        let refuse = |problem: String| Error::file(file, problem, REMEDY);
        let mut table: toml::Table = toml::from_str(text).map_err(|error: toml::de::Error| {
            let place = error.span().map_or(String::new(), |span| line_and_column(text, span.start));
            refuse(format!("{place}{}", error.message()))
        })?;
        take(&mut table).map_err(refuse)?;
        Self::from_table(&table, file.parent().unwrap_or(Path::new(""))).map_err(refuse)
    }

    /// The words of a command line that gives them.
    pub fn words(&self) -> Vec<String> {
        let words = self.0.iter().filter_map(|(name, value)| Field::find(name).map(|field| field.words(value)));
        words.flatten().collect()
    }
}

impl Field {
    /// The value of a file for this setting.
    fn read(&self, value: &Toml, folder: &Path) -> std::result::Result<Value, String> {
        let text = match value {
            Toml::Table(_) | Toml::Datetime(_) => {
                return Err("it must be a text, a number, true or false, or a list of those".into());
            }
            Toml::Array(values) => values.iter().map(plain).collect::<Vec<_>>().join(","),
            Toml::Boolean(on) if self.is(Property::OnOff) => (if *on { "on" } else { "off" }).to_owned(),
            other => plain(other),
        };
        let is_path = self.is(Property::Path) || (self.is(Property::NameOrPath) && text.ends_with(".toml"));
        let text = if is_path { folder.join(text).to_string_lossy().into_owned() } else { text };
        let own = serde_json::to_value(value).unwrap_or_default();
        let number: Option<Value> = serde_json::from_str::<serde_json::Number>(&text).ok().map(Value::Number);
        let mut problem = String::new();
        // as the file has it, as a word of a command line, and as a number written as a text
        for candidate in [(!is_path).then_some(own), Some(Value::String(text)), number].into_iter().flatten() {
            let changes = Changes(Map::from_iter([(self.name.to_owned(), candidate.clone())]));
            match Recipe::default().with(&changes).and_then(|recipe| recipe.check_bounds()) {
                Ok(()) => return Ok(candidate),
                Err(Error::Setting { allowed, .. }) if problem.is_empty() => problem = allowed,
                Err(_) => {}
            }
        }
        Err(problem)
    }

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

/// A value of TOML without quotation marks.
fn plain(value: &Toml) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
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

/// A setting as TOML has it; `None` for one that was not given.
fn in_toml(value: &Value) -> Option<Toml> {
    match value {
        Value::Null | Value::Object(_) => None,
        Value::Bool(value) => Some(Toml::Boolean(*value)),
        Value::String(text) => Some(Toml::String(text.clone())),
        // TOML has no whole numbers beyond those of i64; a setting is also read from a text
        Value::Number(number) => Some(match (number.as_i64(), number.is_u64(), number.as_f64()) {
            (Some(number), ..) => Toml::Integer(number),
            (None, false, Some(number)) => Toml::Float(number),
            _ => Toml::String(number.to_string()),
        }),
        Value::Array(values) => Some(Toml::Array(values.iter().filter_map(in_toml).collect())),
    }
}

/// A word as a POSIX shell reads it back.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./,=:+@%".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
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

    /// The recipe that a run has stored.
    ///
    /// # Errors
    /// [`Error::Setting`] for what another `version` of the program stored and this one cannot read.
    pub fn from_json(stored: &Value, version: &str) -> Result<Self> {
        let unreadable = |error: &dyn Display| {
            let problem = format!("written by version {version} and unreadable ({error})");
            let allowed = "those of this version; use the program that wrote them";
            Error::setting("the run's settings", problem, allowed)
        };
        serde_json::from_value(stored.clone()).map_err(|error| unreadable(&error))
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
        let Self { device, precision, no_fuse, data_memory, timeout, checked, trust_shaders, .. } = *other;
        let (adapter, choices, shaders) = (other.adapter.clone(), other.choices.clone(), other.shaders.clone());
        let this = Self { adapter, choices, shaders, ..self };
        Self { device, precision, no_fuse, data_memory, timeout, checked, trust_shaders, ..this }
    }

    /// The file of the network, where it is no preset.
    pub fn model_file(&self) -> Option<PathBuf> {
        crate::model::Model::preset(&self.model).is_none().then(|| PathBuf::from(&self.model))
    }

    /// The settings file from which a run is trained again. The run's model is a file beside it.
    pub fn to_toml(&self) -> String {
        let mut text = format!(
            "# Every setting of this run, written by galaxy-gpu {}. To train it again:\n\
             # galaxy-gpu train --config config.toml --out FOLDER\n",
            env!("CARGO_PKG_VERSION")
        );
        let stored = self.to_json();
        for field in FIELDS {
            let model = field.is(Property::NameOrPath).then(|| Toml::String(MODEL.into()));
            if let Some(value) = model.or_else(|| in_toml(&stored[field.name])) {
                let _ = writeln!(text, "{} = {value}", field.option());
            }
        }
        text
    }

    /// Reads a settings file; what it does not say has its default.
    ///
    /// # Errors
    /// As [`Changes::from_toml`].
    pub fn from_toml(text: &str, file: &Path) -> Result<Self> {
        Self::default().with(&Changes::from_toml(text, file, |_| Ok(()))?)
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
    use crate::train::ClassWeights;

    fn read(text: &str) -> Result<Recipe> {
        Recipe::from_toml(text, Path::new("folder/a.toml"))
    }

    #[test]
    fn a_file_may_write_values_as_a_command_line_does() {
        let text = "epochs = 3\nbatch = '7'\nlearning_rate = 1e-3\nuse = ['conv2d.forward=direct', 'dense.forward=direct']\n\
                    class-names = ['x', 'y']\nzoom = [-0.5, 0.25]\nno-fuse = true\nchecked = false\naugment = false\n\
                    data = 'd.h5'\nmodel = 'm.toml'\nmicro-batch = 64\nclass-weights = [1, 2.5]\nweights = '/runs/a'\n\
                    seed = '18446744073709551615'\nwarm-up = 1";
        let recipe = read(text).unwrap();
        assert_eq!((recipe.epochs, recipe.batch, recipe.seed), (3, 7, u64::MAX));
        assert_eq!((recipe.choices.len(), recipe.zoom, recipe.warm_up), (2, [-0.5, 0.25], 1.0));
        assert_eq!((recipe.no_fuse, recipe.checked, recipe.augment, recipe.flip), (true, false, false, true));
        assert_eq!(recipe.class_weights, ClassWeights::Given(vec![1.0, 2.5]));
        let [data, weights] = [recipe.data.unwrap(), recipe.weights.unwrap()].map(|path| path.display().to_string());
        assert_eq!([&data[..], &recipe.model, &weights], ["folder/d.h5", "folder/m.toml", "/runs/a"]);
        assert_eq!(read("model = 'conv4'").unwrap(), Recipe::default());
    }

    #[test]
    fn what_a_file_may_not_say_is_refused_with_what_was_meant() {
        for (text, part) in [
            ("learnig-rate = 1", "there is no setting learnig-rate (did you mean learning-rate?);"),
            ("xyz = 1", "there is no setting xyz; mend it"),
            ("no-fuse = 1", "no-fuse is 1: invalid type"),
            ("epochs = 0", "epochs is 0: at least 1"),
            ("epochs = -1", "epochs is -1: invalid value"),
            ("schedule = 'sine'", "unknown variant `sine`, expected one of `constant`"),
            ("batch = { a = 1 }", "must be a text, a number"),
            ("batch = 1\nbatch = 2", "line 2, column 1: duplicate key"),
            ("batch = ", "line 1, column "),
        ] {
            let message = read(text).unwrap_err().to_string();
            assert!(message.starts_with("folder/a.toml: ") && message.contains(part), "{message}");
        }
    }

    #[test]
    fn a_recipe_is_read_as_it_was_written() {
        let recipe = Recipe {
            learning_rate: 0.003,
            seed: u64::MAX,
            ema: Some(0.999),
            class_names: Some(vec!["a".into(), "b".into()]),
            time_budget: Some("1h30m".parse().unwrap()),
            micro_batch: "3".parse().unwrap(),
            augment: false,
            ..Recipe::default()
        };
        let text = recipe.to_toml();
        assert!(text.contains("\nmodel = \"model.toml\"\n") && text.contains("\nseed = \"18446744073709551615\"\n"));
        assert!(!text.contains("clip-norm") && text.contains("\nlearning-rate = 0.003\n"), "{text}");
        assert_eq!(read(&text).unwrap(), Recipe { model: "folder/model.toml".into(), ..recipe.clone() });
        assert_eq!(Recipe::from_json(&recipe.to_json(), "1").unwrap(), recipe);
        let message = Recipe::from_json(&serde_json::json!({ "of another version": 1 }), "9").unwrap_err().to_string();
        assert!(message.contains("written by version 9 and unreadable"), "{message}");
    }

    #[test]
    fn hostile_names_stay_one_word() {
        let recipe = Recipe { data: Some("/d/a b;$(rm)'\"<x>.h5".into()), ..Recipe::default() };
        assert_eq!(recipe.command().join(" "), "galaxy-gpu train --data '/d/a b;$(rm)'\\''\"<x>.h5'");
        assert_eq!(Recipe::default().command(), ["galaxy-gpu", "train"]);
    }

    #[test]
    fn only_free_settings_change_on_resume_and_take_along_what_belongs_to_them() {
        let own = Recipe { epochs: 3, adapter: Some("a".into()), checked: true, ..Recipe::default() };
        let other = Recipe { epochs: 5, device: super::super::DeviceKind::Cpu, ..own.clone() };
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
