//! The command line that makes a run again, from the settings it has stored.
//!
//! It asks the options themselves how they are written: the text that is given for a setting is one that reads back as just that.

use crate::cli::resume::as_map;
use crate::cli::{Cli, train};
use clap::{CommandFactory, FromArgMatches};
use serde_json::{Map, Value};

/// The words of the command of a run with these settings; `None` where one of them cannot be said on a command line, as those of another version
/// of this program.
pub fn reproducing(options: &Value) -> Option<Vec<String>> {
    let (stored, defaults) = (options.as_object()?, settings(&[])?);
    let cli = Cli::command();
    let known: Vec<&clap::Arg> = cli.find_subcommand("train")?.get_arguments().collect();
    let mut words: Vec<String> = Vec::new();
    for (name, value) in stored.iter().filter(|(name, value)| defaults.get(*name) != Some(*value)) {
        let option = known.iter().find(|argument| argument.get_id() == name.as_str())?.get_long()?;
        let more = spellings(&format!("--{option}"), value).into_iter().find(|spelling| {
            let read = settings(&[&words[..], spelling].concat());
            read.is_some_and(|read| read.get(name) == Some(value))
        });
        words.extend(more?);
    }
    let quoted = words.iter().map(|word| quoted(word));
    Some(["galaxy-gpu", "train"].map(String::from).into_iter().chain(quoted).collect())
}

/// What a training is told by these words.
fn settings(words: &[String]) -> Option<Map<String, Value>> {
    let words = ["galaxy-gpu", "train"].into_iter().chain(words.iter().map(String::as_str));
    let matches = Cli::command().try_get_matches_from(words).ok()?;
    as_map(&train::Args::from_arg_matches(matches.subcommand()?.1).ok()?).ok()
}

/// How a value may be written.
fn spellings(option: &str, value: &Value) -> Vec<Vec<String>> {
    let option = option.to_owned();
    match value {
        Value::Null | Value::Bool(false) => Vec::new(),
        Value::Bool(true) => vec![vec![option]],
        Value::Array(values) => {
            let texts: Vec<String> = values.iter().map(text).collect();
            let repeated = texts.iter().flat_map(|text| [option.clone(), text.clone()]).collect();
            let listed = [vec![option.clone()], texts.clone()].concat();
            vec![vec![option, texts.join(",")], listed, repeated]
        }
        // enumerations are stored by their names in the program
        value => vec![vec![option.clone(), text(value)], vec![option, text(value).to_lowercase()]],
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A word as a POSIX shell reads it back.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./,=:+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_says_what_is_no_default_and_reads_back_as_the_same_settings() {
        for line in [
            "",
            "--images 60 --size 16 --model conv3 --epochs 2 --batch 17 --learning-rate 0.0003 --seed 7",
            "--augment off --flip off --rotation 0.25 --zoom -0.25 0.5 --shift 0.1 --fill wrap --label-smoothing 0.1",
            "--data /d/F.h5 --split /d/S.csv --class-names a,b --validation 0.1 --class-weights 1,2.5 --micro-batch auto",
            "--device cpu --precision mixed --use conv_block.forward=direct --use dense.forward=direct --no-fuse --checked",
            "--schedule plateau --schedule-epochs 3 --schedule-factor 0.5 --weight-decay 0.01 --clip-norm 1 --ema 0.999",
            "--warm-up 0.5 --final-rate 1e-6 --patience 3 --time-budget 90m --weights /runs/1",
            "--data-memory 512MiB --timeout 30 --steps-per-submit 4 --checkpoint-every 10 --checkpoint-minutes 2.5",
        ] {
            let words: Vec<String> = line.split_whitespace().map(String::from).collect();
            let wanted = settings(&words).unwrap_or_else(|| panic!("{line}"));
            let command = reproducing(&Value::Object(wanted.clone())).unwrap_or_else(|| panic!("{line}"));
            let again = &command[2..];
            assert_eq!(settings(again).as_ref(), Some(&wanted), "{command:?}");
            assert_eq!(again.is_empty(), line.is_empty());
        }
    }

    #[test]
    fn hostile_names_stay_one_word_and_unknown_settings_are_no_command() {
        let words = ["--data", "/d/a b;$(rm)'\"<x>.h5"].map(String::from);
        let options = Value::Object(settings(&words).unwrap());
        assert_eq!(reproducing(&options).unwrap().join(" "), "galaxy-gpu train --data '/d/a b;$(rm)'\\''\"<x>.h5'");
        assert_eq!(reproducing(&serde_json::json!({ "of another version": 1 })), None);
        assert_eq!(reproducing(&Value::Null), None);
    }
}
