//! Settings files: a recipe as TOML, as every run leaves it and `train --config` reads it.

use super::changes::{Changes, is_nothing};
use super::recipe::{FIELDS, Field, Property, Recipe};
use crate::error::{Error, Result};
use crate::files::line_and_column;
use crate::suggest::closest;
use serde_json::{Map, Value};
use std::fmt::Write;
use std::path::Path;
use toml::Value as Toml;

/// Name of the file of a run's model, beside that of its settings.
const MODEL: &str = "model.toml";
/// Settings that run a user's code. A file may be a stranger's.
const ONLY_BY_HAND: [&str; 2] = ["shaders", "trust-shaders"];
/// What to do about a file that will not do.
const REMEDY: &str = "mend it; `config.toml` in a run folder is an example";

impl Changes {
    /// The settings of a file's table, whose paths are relative to `folder`. Names may have hyphens or underscores, and values may be
    /// written as on a command line.
    ///
    /// # Errors
    /// What is wrong with a setting, as a sentence.
    fn from_table(table: &toml::Table, folder: &Path) -> std::result::Result<Self, String> {
        let mut changes = Map::new();
        for (key, value) in table {
            let option = key.replace('_', "-");
            if ONLY_BY_HAND.contains(&&option[..]) {
                return Err(format!("{key} runs code, so only a command line can give it, as --{option}"));
            }
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
        // the file of a run has every setting, but for those that were not given and those that its program did not know
        let has = |key: &str| table.contains_key(key);
        let is_of_old_run = has("device") && has("timeout") && !has("cpu-features");
        let mut changes = Self::from_table(&table, file.parent().unwrap_or(Path::new(""))).map_err(refuse)?;
        if is_of_old_run && let Some(adapter) = Recipe::default().with(&changes)?.before_native().adapter {
            changes.0.insert("adapter".into(), adapter.into());
        }
        Ok(changes)
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
        // JSON holds neither NaN nor infinity
        let own = (!is_path && !own.is_null()).then_some(own);
        // as the file has it, as a word of a command line, and as a number written as a text
        for candidate in [own, Some(Value::String(text)), number].into_iter().flatten() {
            let changes = Changes(Map::from_iter([(self.name.to_owned(), candidate.clone())]));
            let wrong = match Recipe::default().with(&changes).map(|recipe| recipe.check_bounds()) {
                Ok(Ok(())) => return Ok(candidate),
                Ok(Err(Error::Setting { allowed, .. })) => format!("it must be {allowed}"),
                Err(Error::Setting { allowed, .. }) => allowed,
                Ok(Err(error)) | Err(error) => error.to_string(),
            };
            if problem.is_empty() {
                problem = wrong;
            }
        }
        Err(problem)
    }
}

/// A value of TOML without quotation marks.
fn plain(value: &Toml) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
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

impl Recipe {
    /// The settings file from which a run is trained again. The run's model is a file beside it.
    pub fn to_toml(&self) -> String {
        let mut text = format!(
            "# Every setting of this run, written by galaxy-gpu {}. To train it again:\n\
             # galaxy-gpu train --config config.toml --out FOLDER\n",
            env!("CARGO_PKG_VERSION")
        );
        let stored = self.to_json();
        for field in FIELDS.iter().filter(|field| !ONLY_BY_HAND.contains(&&field.option()[..])) {
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::DeviceKind;
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
            ("epochs = 0", "epochs is 0: it must be at least 1"),
            ("epochs = -1", "epochs is -1: invalid value"),
            ("clip-norm = nan", "clip-norm is nan: invalid type"),
            ("schedule = 'sine'", "unknown variant `sine`, expected one of `constant`"),
            ("shaders = 'mal'", "only a command line can give it, as --shaders"),
            ("trust_shaders = true", "only a command line can give it, as --trust-shaders"),
            ("batch = { a = 1 }", "must be a text, a number"),
            ("batch = 1\nbatch = 2", "line 2, column 1: duplicate key"),
            ("batch = ", "line 1, column "),
        ] {
            let message = read(text).unwrap_err().to_string();
            assert!(message.starts_with("folder/a.toml: ") && message.contains(part), "{message}");
        }
    }

    #[test]
    fn the_file_of_an_old_run_keeps_its_device() {
        let old = |device: &str| {
            Recipe { device: DeviceKind::Gpu, ..Recipe::default() }.to_toml().replace("device = \"gpu\"", device)
        };
        let without = |text: String| text.replace("cpu-features = \"auto\"\n", "");
        let adapter = |text: String| read(&text).unwrap().adapter;
        assert_eq!(adapter(without(old("device = \"gpu\""))), Some("0".into()), "the first adapter, whatever its kind");
        assert_eq!(adapter(old("device = \"gpu\"")), None, "now it means a GPU");
        assert_eq!(adapter(without(old("device = \"gpu\"\nadapter = \"1\""))), Some("1".into()));
        assert_eq!(read(&without(old("device = \"cpu\""))).unwrap().device, DeviceKind::Reference);
        assert_eq!(adapter("device = \"gpu\"".into()), None, "a file that somebody wrote by hand");
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
}
