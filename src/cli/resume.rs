//! `train --resume`: the settings of a run that was cut off, and which of them may be given anew.

use super::train::Args;
use crate::error::{Error, Result};
use crate::train::checkpoint::Identity;
use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory};
use serde_json::{Map, Value};

/// Options that may be given with `--resume`. They change no result, or only its rounding, or what they name is compared by
/// content.
const FREE: [&str; 18] = [
    "model",
    "data",
    "split",
    "epochs",
    "patience",
    "time_budget",
    "device",
    "adapter",
    "data_memory",
    "micro_batch",
    "checked",
    "shaders",
    "trust_shaders",
    "timeout",
    "steps_per_submit",
    "checkpoint_every",
    "checkpoint_minutes",
    "tensorboard",
];

/// An option that stands on the command line.
#[derive(Clone)]
pub struct Given {
    /// Its name in [`Args`].
    pub id: String,
    /// Its name for people, such as `--learning-rate`.
    pub option: String,
}

/// The options of the command that stand on the command line, as opposed to their defaults.
pub fn given(matches: &ArgMatches) -> Vec<Given> {
    let Some((name, matches)) = matches.subcommand() else { return Vec::new() };
    let cli = super::Cli::command();
    let arguments = cli.find_subcommand(name).into_iter().flat_map(clap::Command::get_arguments);
    let stands = arguments.filter(|argument| {
        let id = argument.get_id().as_str();
        matches.try_contains_id(id).is_ok() && matches.value_source(id) == Some(ValueSource::CommandLine)
    });
    let given = stands.map(|argument| {
        let id = argument.get_id().to_string();
        Given { option: format!("--{}", argument.get_long().unwrap_or(&id)), id }
    });
    given.collect()
}

/// Every setting of a training, as [`merged`] reads it. Paths are absolute, as it may go on from another folder.
///
/// # Errors
/// None that is known.
pub fn stored(args: &Args) -> Result<Value> {
    let failed = |e: serde_json::Error| Error::setting("the settings", e, "such that they can be stored");
    let mut settings = as_map(args).map_err(failed)?;
    for name in ["data", "split", "weights", "shaders"] {
        if let Some(Value::String(path)) = settings.get_mut(name)
            && let Ok(absolute) = std::path::absolute(&*path)
        {
            *path = absolute.to_string_lossy().into_owned();
        }
    }
    Ok(Value::Object(settings))
}

/// Every setting as JSON, by way of text, in which an f32 is as short as its user wrote it.
///
/// # Errors
/// None that is known.
pub(super) fn as_map(args: &Args) -> serde_json::Result<Map<String, Value>> {
    serde_json::from_str(&serde_json::to_string(args)?)
}

/// The settings of a run that goes on: those it was started with, but for what the command line gives anew and may.
///
/// # Errors
/// [`Error::Setting`] for an option that contradicts the run, by its name; fewer epochs than have ended.
pub fn merged(args: Args, given: &[Given], identity: &Identity, epochs: usize) -> Result<Args> {
    merged_settings(args, given, &identity.options, &identity.program, epochs)
}

/// As [`merged`], from the settings as [`stored`] has made them in this version of the program.
///
/// # Errors
/// As [`merged`].
pub fn merged_settings(args: Args, given: &[Given], own: &Value, program: &str, epochs: usize) -> Result<Args> {
    let unreadable = |e: &dyn std::fmt::Display| {
        let problem = format!("written by version {program} and unreadable ({e})");
        Error::setting("the run's settings", problem, "those of this version; go on with the program that wrote them")
    };
    let mut settings: Map<String, Value> = serde_json::from_value(own.clone()).map_err(|e| unreadable(&e))?;
    let now = as_map(&args).map_err(|e| unreadable(&e))?;
    let names = |id: &str| given.iter().any(|other| other.id == id);
    for Given { id, option } in given {
        let Some(value) = now.get(id) else { continue };
        let own = settings.get(id).cloned().unwrap_or_default();
        if FREE.contains(&&id[..]) || own == *value {
            settings.insert(id.clone(), value.clone());
        } else {
            let allowed = format!("left out or the run's own, {}, with --resume", text(&own));
            return Err(Error::setting(option, text(value), allowed));
        }
    }
    if names("device") && !names("adapter") {
        settings.insert("adapter".into(), Value::Null);
    }
    let mut merged: Args = serde_json::from_value(Value::Object(settings)).map_err(|e| unreadable(&e))?;
    if (merged.epochs as usize) < epochs {
        return Err(Error::setting(
            "--epochs",
            merged.epochs,
            format!("at least {epochs}, which the run has behind it"),
        ));
    }
    (merged.resume, merged.json) = (args.resume, args.json);
    (merged.part, merged.no_report) = (args.part, args.no_report);
    Ok(merged)
}

/// A value as it is written on a command line.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "none".into(),
        Value::Array(values) => values.iter().map(text).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}
