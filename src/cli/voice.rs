//! The program's voice: every line for people passes through here. So a progress bar steps aside for it, `--quiet` silences it,
//! colours stay on terminals that want them, and a log may listen.
//!
//! It knows streams and lines. It knows nothing of what they say.

use crate::error::is_unprintable;
use anyhow::Context;
use indicatif::{ProgressBar, ProgressDrawTarget};
use std::fmt::Display;
use std::io::{ErrorKind, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// What the command was asked for; on standard output.
    Text,
    /// What should be known beside it; on standard error.
    Note,
    /// Why the command ends without it; on standard error.
    Error,
}

/// Hears everything that is said, whether it is printed or not: one or more lines without the last line's end and without
/// colours. One that fails is not told anything more, and its failure is a note.
pub type Listener = Box<dyn FnMut(Kind, &str) -> crate::Result<()> + Send>;

struct Voice {
    /// The bar that steps aside.
    bar: Option<ProgressBar>,
    listeners: Vec<Listener>,
    /// What was said before a listener came.
    early: Vec<(Kind, String)>,
    /// What they have not heard yet.
    waiting: Vec<(Kind, String)>,
    /// Whether they are being told something.
    telling: bool,
}

static VOICE: Mutex<Voice> =
    Mutex::new(Voice { bar: None, listeners: Vec::new(), early: Vec::new(), waiting: Vec::new(), telling: false });
static QUIET: AtomicBool = AtomicBool::new(false);

/// Most lines that are kept for listeners to come.
const MOST_EARLY: usize = 1000;

fn voice() -> MutexGuard<'static, Voice> {
    VOICE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From now on only errors and data are printed. Listeners hear everything all the same.
pub fn be_quiet() {
    QUIET.store(true, Ordering::Relaxed);
}

/// Whether only errors and data are printed.
pub fn is_quiet() -> bool {
    QUIET.load(Ordering::Relaxed)
}

/// From now on everything that is printed makes this bar step aside; `None` where there is none any more.
pub fn set_bar(bar: Option<ProgressBar>) {
    voice().bar = bar;
}

/// Tells a listener everything that was said so far, and everything from now on.
pub fn listen(mut listener: Listener) {
    let early = voice().early.clone();
    match early.iter().try_for_each(|(kind, text)| listener(*kind, text)) {
        Ok(()) => voice().listeners.push(listener),
        Err(error) => print_note(error),
    }
}

/// From now on nobody listens; who comes next hears nothing of what was said until now.
pub fn forget_listeners() {
    let mut voice = voice();
    voice.listeners.clear();
    voice.early.clear();
}

/// Prints text for people on standard output. A reader that has seen enough (`| head`) is no failure, which `println!`
/// would make of it.
///
/// # Errors
/// Standard output cannot be written, as on a full disk.
pub fn print_text(text: impl AsRef<str>) -> anyhow::Result<()> {
    let text = harmless(text.as_ref());
    let printed = if is_quiet() { Ok(()) } else { print_data(&text) };
    tell(Kind::Text, &text);
    printed
}

/// Tells the listeners what would be printed for people, where a program reads standard output.
pub fn record(text: impl AsRef<str>) {
    tell(Kind::Text, &harmless(text.as_ref()));
}

/// Prints what programs read on standard output, as it is and also where it is to be quiet. No listener hears it.
///
/// # Errors
/// As [`print_text`].
pub fn print_data(text: impl AsRef<str>) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    match aside(|| out.write_all(text.as_ref().as_bytes()).and_then(|()| out.flush())) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.context("standard output cannot be written"),
    }
}

/// Prints one JSON object on standard output, as [`print_data`].
///
/// # Errors
/// As [`print_text`].
pub fn print_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    print_data(serde_json::to_string_pretty(value)? + "\n")
}

/// Prints a note on standard error. One that cannot be printed is lost, as there is nowhere left to say so.
pub fn print_note(text: impl Display) {
    say(Kind::Note, "note:", "33", text);
}

/// Prints on standard error why the program ends, also where it is to be quiet.
pub fn print_error(text: impl Display) {
    say(Kind::Error, "error:", "1;31", text);
}

/// Prints a line after a word, which has this colour (an SGR parameter of ECMA-48) where there are colours.
fn say(kind: Kind, word: &str, colour: &str, text: impl Display) {
    let text = harmless(&text.to_string());
    if kind == Kind::Error || !is_quiet() {
        let word = if has_colours() { format!("\x1b[{colour}m{word}\x1b[0m") } else { word.to_owned() };
        let _ = aside(|| writeln!(std::io::stderr(), "{word} {text}"));
    }
    tell(kind, &text);
}

/// Prints while the bar steps aside.
fn aside<T>(print: impl FnOnce() -> T) -> T {
    let bar = voice().bar.clone();
    match bar {
        Some(bar) => bar.suspend(print),
        None => print(),
    }
}

/// Tells the listeners. What they say themselves, and what other threads say meanwhile, they are told afterwards.
fn tell(kind: Kind, text: &str) {
    let line = (kind, text.strip_suffix('\n').unwrap_or(text).to_owned());
    let mut voice = self::voice();
    if voice.early.len() < MOST_EARLY {
        voice.early.push(line.clone());
    }
    voice.waiting.push(line);
    if std::mem::replace(&mut voice.telling, true) {
        return;
    }
    while !voice.waiting.is_empty() {
        let mut listeners = std::mem::take(&mut voice.listeners);
        let lines = std::mem::take(&mut voice.waiting);
        drop(voice);
        for (kind, text) in &lines {
            listeners.retain_mut(|listener| listener(*kind, text).map_err(print_note).is_ok());
        }
        voice = self::voice();
        listeners.append(&mut voice.listeners);
        voice.listeners = listeners;
    }
    voice.telling = false;
}

/// Text without what does not print, but for line ends and tabs: names in files may hold commands for the terminal.
fn harmless(text: &str) -> String {
    text.chars().map(|c| if is_unprintable(c) && c != '\n' && c != '\t' { ' ' } else { c }).collect()
}

/// Whether standard error is a terminal that can move its cursor.
pub fn is_terminal() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|name| name != "dumb")
}

/// Where a bar is drawn: on standard error where that is a terminal and progress is wanted.
pub fn draw_target() -> ProgressDrawTarget {
    match is_terminal() && !is_quiet() {
        true => ProgressDrawTarget::stderr(),
        false => ProgressDrawTarget::hidden(),
    }
}

/// Whether standard error is a terminal whose user wants colours: see <https://no-color.org> and
/// <https://bixense.com/clicolors>.
pub fn has_colours() -> bool {
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    is_terminal() && !unwanted && std::env::var_os("CLICOLOR").is_none_or(|value| value != "0")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use std::sync::Arc;

    #[test]
    fn commands_for_the_terminal_are_not_passed_on() {
        assert_eq!(harmless("a\x1b[2J\rb\tc\nd\u{9b}e"), "a [2J b\tc\nd e");
        assert_eq!(harmless("spiral\u{202e}gnp.exe\u{2066}é\u{627}"), "spiral gnp.exe é\u{627}");
    }

    /// One test, as the voice is the process's.
    #[test]
    fn listeners_hear_all_lines_once_and_may_speak_and_fail() {
        be_quiet();
        print_note("before anybody listens");
        let heard = Arc::new(Mutex::new(Vec::new()));
        let (own, other) = (heard.clone(), heard.clone());
        listen(Box::new(move |kind, text| {
            own.lock().unwrap().push((kind, text.to_owned()));
            if text == "first" {
                print_note("said while listening");
            }
            Ok(())
        }));
        listen(Box::new(move |_, text| match text {
            "fail" => Err(Error::setting("the disk", "full", "empty")),
            "after" => panic!("{other:?}"),
            _ => Ok(()),
        }));
        for text in ["first\n", "fail", "after"] {
            print_text(text).unwrap();
        }
        let texts: Vec<String> = heard.lock().unwrap().iter().map(|(_, text)| text.clone()).collect();
        let at = |line: &str| texts.iter().filter(|text| *text == line).count();
        let lines = [
            "before anybody listens",
            "first",
            "said while listening",
            "fail",
            "the disk is full, but must be empty",
            "after",
        ];
        assert!(lines.iter().all(|line| at(line) == 1), "{texts:?}");
        voice().listeners.clear();
    }
}
