//! `train --config FILE.toml`: settings from a file, and the file that every run leaves of its own.
//!
//! A file holds options of the command by their names, with or without the hyphens. They are turned into words of a command
//! line, and clap reads them: so a file may say what a command line may, and what is wrong with it is refused alike. What the command line
//! says itself goes before the file. Paths are relative to the file's folder.

use super::resume::{self, Given};
use crate::error::{Error, Result};
use crate::files::{line_and_column, read_text};
use crate::suggest::closest;
use clap::{Arg, ArgAction, ArgMatches, Command, CommandFactory};
use serde_json::Value;
use std::ffi::OsString;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use toml::Value as Toml;

/// Name of the file of a run's model, beside that of its settings.
const MODEL: &str = "model.toml";
/// Largest file that is read, in bytes.
const LARGEST_FILE: u64 = 1 << 20;
/// Options that say where a run goes on, or what it leaves where: a command line's, and no settings.
const NO_SETTINGS: [&str; 7] = ["config", "resume", "out", "force", "json", "help", "version"];
/// Options that mean nothing without another: where the command line gives that one anew, those of the file are left out.
const BELONGING: [(&str, &[&str]); 2] = [
    ("device", &["adapter", "shaders", "trust_shaders"]),
    ("schedule", &["schedule_epochs", "schedule_factor", "final_rate"]),
];
/// Options that are paths.
const PATHS: [&str; 4] = ["data", "split", "weights", "shaders"];
/// What to do about a file that will not do.
const REMEDY: &str = "mend it; `config.toml` in a run folder is an example";

/// The command line with the settings of the file that it names, where it names one.
///
/// # Errors
/// [`Error::File`]: a file that cannot be read, a setting that is not known, a value that is not allowed.
pub fn expanded(matches: ArgMatches) -> Result<ArgMatches> {
    let Some((name, train)) = matches.subcommand() else { return Ok(matches) };
    let file = train.try_get_one::<PathBuf>("config").ok().flatten();
    let Some(file) = file else { return Ok(matches) };
    let cli = super::Cli::command();
    let Some(command) = cli.find_subcommand(name) else { return Ok(matches) };
    let words = words(file, &read_text(file, LARGEST_FILE)?, command, &resume::given(&matches))?;
    let start = || [env!("CARGO_PKG_NAME"), name].map(OsString::from).into_iter();
    // by themselves first, so that what is wrong with them is said of the file
    let alone = super::Cli::command().try_get_matches_from(start().chain(words.clone()));
    alone.map_err(|error| Error::file(file, first_sentence(&error.to_string()), REMEDY))?;
    let mut own: Vec<OsString> = std::env::args_os().collect();
    let after = own.iter().skip(1).position(|word| word == name).map_or(own.len(), |place| place + 2);
    own.splice(after..after, words);
    Ok(super::Cli::command().get_matches_from(own))
}

/// What clap's message says before its advice on the command line.
fn first_sentence(message: &str) -> String {
    let lines = message.lines().take_while(|line| !line.trim().is_empty());
    let text = lines.collect::<Vec<_>>().join(" ");
    text.trim_start_matches("error: ").to_owned()
}

/// The settings of a file as words of a command line, without those that were given there.
fn words(file: &Path, text: &str, command: &Command, given: &[Given]) -> Result<Vec<OsString>> {
    let refuse = |problem: String| Error::file(file, problem, REMEDY);
    let table: toml::Table = toml::from_str(text).map_err(|error: toml::de::Error| {
        let place = error.span().map_or(String::new(), |span| line_and_column(text, span.start));
        refuse(format!("{place}{}", error.message()))
    })?;
    let is_given = |id: &str| given.iter().any(|other| other.id == id);
    let mut words = Vec::new();
    for (key, value) in &table {
        let argument = find(command, key).map_err(refuse)?;
        let id = argument.get_id().as_str();
        if is_given(id) || BELONGING.iter().any(|(whole, parts)| is_given(whole) && parts.contains(&id)) {
            continue;
        }
        let of_key = |problem: &str| refuse(format!("{key} is {value}, but must be {problem}"));
        for word in in_words(argument, value, file).map_err(of_key)? {
            words.push(word.into());
        }
    }
    Ok(words)
}

/// The option that a key of a file names, or what is wrong with the key.
fn find<'c>(command: &'c Command, key: &str) -> std::result::Result<&'c Arg, String> {
    let name = key.replace('_', "-");
    let named: Vec<(&str, &Arg)> =
        command.get_arguments().filter_map(|argument| Some((argument.get_long()?, argument))).collect();
    let is_setting = |argument: &Arg| !NO_SETTINGS.contains(&argument.get_id().as_str());
    match named.iter().find(|(long, _)| *long == name) {
        Some((_, argument)) if is_setting(argument) => Ok(argument),
        Some((long, _)) => Err(format!("{key} is no setting of a training; give --{long} on the command line")),
        None => {
            let settings = named.iter().filter(|(_, argument)| is_setting(argument)).map(|(long, _)| *long);
            let near = closest(&name, settings).join(" or ");
            let meant = if near.is_empty() { near } else { format!(" (did you mean {near}?)") };
            Err(format!("there is no setting {key}{meant}"))
        }
    }
}

/// An option with its value as words, or what its value must be.
fn in_words(argument: &Arg, value: &Toml, file: &Path) -> std::result::Result<Vec<String>, &'static str> {
    let option = format!("--{}", argument.get_long().unwrap_or_default());
    let is_flag = matches!(argument.get_action(), ArgAction::SetTrue);
    match value {
        Toml::Boolean(value) if is_flag => return Ok(if *value { vec![option] } else { Vec::new() }),
        _ if is_flag => return Err("true or false"),
        _ => {}
    }
    let Toml::Array(values) = value else {
        return Ok(vec![format!("{option}={}", in_text(argument, value, file)?)]);
    };
    let texts = values.iter().map(|value| in_text(argument, value, file));
    let texts = texts.collect::<std::result::Result<Vec<String>, _>>()?;
    Ok(match argument.get_value_delimiter() {
        _ if texts.is_empty() => texts,
        Some(delimiter) => vec![format!("{option}={}", texts.join(&delimiter.to_string()))],
        // one option with several values, or one value and as many options
        None if argument.get_num_args().is_some_and(|range| range.max_values() > 1) => [vec![option], texts].concat(),
        None => texts.iter().map(|text| format!("{option}={text}")).collect(),
    })
}

fn in_text(argument: &Arg, value: &Toml, file: &Path) -> std::result::Result<String, &'static str> {
    let id = argument.get_id().as_str();
    match value {
        Toml::String(text) if PATHS.contains(&id) || (id == "model" && text.ends_with(".toml")) => {
            let beside = file.parent().unwrap_or(Path::new("")).join(text);
            Ok(beside.to_string_lossy().into_owned())
        }
        Toml::String(text) => Ok(text.clone()),
        Toml::Integer(number) => Ok(number.to_string()),
        Toml::Float(number) => Ok(number.to_string()),
        Toml::Boolean(value) => Ok(if *value { "on" } else { "off" }.to_owned()),
        Toml::Array(_) | Toml::Table(_) | Toml::Datetime(_) => {
            Err("a text, a number, true or false, or a list of those")
        }
    }
}

/// The settings of a run ([`resume::stored`]) as the file that trains it again, in the order of the command's help. Its model stands in a
/// file beside it.
pub fn of_run(settings: &Value) -> String {
    let mut text = format!(
        "# Every setting of this run, written by galaxy-gpu {}. To train it again:\n\
         # galaxy-gpu train --config config.toml --out FOLDER\n",
        env!("CARGO_PKG_VERSION")
    );
    let cli = super::Cli::command();
    let arguments = cli.find_subcommand("train").into_iter().flat_map(Command::get_arguments);
    for argument in arguments {
        let (Some(long), Some(value)) = (argument.get_long(), settings.get(argument.get_id().as_str())) else {
            continue;
        };
        let value = if long == "model" { Some(Toml::String(MODEL.into())) } else { in_toml(value) };
        if let Some(value) = value {
            let _ = writeln!(text, "{long} = {value}");
        }
    }
    text
}

/// A setting as TOML has it; `None` for one that was not given.
fn in_toml(value: &Value) -> Option<Toml> {
    match value {
        Value::Null | Value::Object(_) => None,
        Value::Bool(value) => Some(Toml::Boolean(*value)),
        Value::String(text) => Some(Toml::String(text.clone())),
        // TOML has no whole numbers beyond those of i64; as a text, an option reads them all the same
        Value::Number(number) => Some(match (number.as_i64(), number.is_u64(), number.as_f64()) {
            (Some(number), ..) => Toml::Integer(number),
            (None, false, Some(number)) => Toml::Float(number),
            _ => Toml::String(number.to_string()),
        }),
        Value::Array(values) => Some(Toml::Array(values.iter().filter_map(in_toml).collect())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<String>> {
        let cli = super::super::Cli::command();
        let given = [Given { id: "epochs".into(), option: "--epochs".into() }];
        let words = words(Path::new("folder/a.toml"), text, cli.find_subcommand("train").unwrap(), &given)?;
        Ok(words.into_iter().map(|word| word.into_string().unwrap()).collect())
    }

    #[test]
    fn settings_are_words_of_a_command_line() {
        let text = "epochs = 3\nbatch = 7\nlearning_rate = 1e-3\nuse = ['a=b', 'c=d']\nclass-names = ['x', 'y']\n\
                    zoom = [-0.5, 0.25]\nno-fuse = true\nchecked = false\naugment = false\ndata = 'd.h5'\nmodel = 'conv4'";
        let mut found = read(text).unwrap();
        let mut want = [
            "--batch=7",
            "--learning-rate=0.001",
            "--use=a=b",
            "--use=c=d",
            "--class-names=x,y",
            "--zoom",
            "-0.5",
            "0.25",
            "--no-fuse",
            "--augment=off",
            "--data=folder/d.h5",
            "--model=conv4",
        ];
        // a table has the order of its keys
        found.sort();
        want.sort_unstable();
        assert_eq!(found, want);
        assert_eq!(
            read("model = 'm.toml'\nweights = '/runs/a'").unwrap(),
            ["--model=folder/m.toml", "--weights=/runs/a"]
        );
    }

    #[test]
    fn what_is_no_setting_is_refused_with_what_was_meant() {
        for (text, part) in [
            ("learnig-rate = 1", "there is no setting learnig-rate (did you mean learning-rate?);"),
            ("xyz = 1", "there is no setting xyz; mend it"),
            ("out = 'runs/a'", "out is no setting of a training; give --out on the command line"),
            ("resume = 'runs/a'", "give --resume on the command line"),
            ("no-fuse = 1", "no-fuse is 1, but must be true or false"),
            ("batch = { a = 1 }", "must be a text, a number"),
            ("batch = 1\nbatch = 2", "line 2, column 1: duplicate key"),
            ("batch = ", "line 1, column "),
        ] {
            let message = read(text).unwrap_err().to_string();
            assert!(message.starts_with("folder/a.toml: ") && message.contains(part), "{message}");
        }
    }

    #[test]
    fn a_runs_settings_are_read_as_they_were() {
        let settings = serde_json::json!({
            "model": "conv4", "epochs": 2, "learning_rate": 0.003, "seed": u64::MAX, "schedule": "cosine", "ema": null,
            "zoom": [-0.5, 0.1], "no_fuse": false, "choices": [], "data_memory": "auto",
        });
        let text = of_run(&settings);
        assert!(
            text.contains("\nmodel = \"model.toml\"\n") && text.contains("\nseed = \"18446744073709551615\"\n"),
            "{text}"
        );
        assert!(!text.contains("ema") && text.contains("\nlearning-rate = 0.003\n"), "{text}");
        let words = read(&text).unwrap().join(" ");
        for part in ["--learning-rate=0.003", "--seed=18446744073709551615", "--schedule=cosine", "--zoom -0.5 0.1"] {
            assert!(words.contains(part), "{words}");
        }
        assert!(!words.contains("no-fuse") && !words.contains("use"), "{words}");
    }
}
