//! `log.txt` in a run folder: what the program said, a line each, with the time.
//!
//! It appends whole lines to a file and knows nothing of what they say.

use super::voice::{self, Kind};
use crate::error::Error;
use crate::files::unlinked;
use crate::run::page::utc;
use std::io::Write;
use std::path::Path;
use std::time::SystemTime;

/// Writes everything that was said so far, and everything from now on, behind what the folder's log holds already. A log that
/// cannot be written is a note.
pub fn keep_in(folder: &Path) {
    let path = folder.join("log.txt");
    let failed = {
        let path = path.clone();
        move |error| {
            Error::file(&path, format!("it cannot be written ({error}); what follows is not in it"), "make room")
        }
    };
    match unlinked().create(true).append(true).open(&path) {
        Ok(mut file) => voice::listen(Box::new(move |kind, text| write(&mut file, kind, text).map_err(&failed))),
        Err(error) => voice::print_note(failed(error)),
    }
}

/// Appends the lines of a text, all in one write, so that no line is torn.
fn write(file: &mut impl Write, kind: Kind, text: &str) -> std::io::Result<()> {
    let word = match kind {
        Kind::Text => "",
        Kind::Note => "note: ",
        Kind::Error => "error: ",
    };
    let time = utc(SystemTime::now());
    let line = |(number, line): (usize, &str)| {
        let word = if number == 0 { word } else { "" };
        format!("{time}  {word}{line}").trim_end().to_owned() + "\n"
    };
    file.write_all(text.lines().enumerate().map(line).collect::<String>().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_has_its_time_and_notes_are_told_apart() {
        let mut log = Vec::new();
        write(&mut log, Kind::Text, "one\n\ntwo").unwrap();
        write(&mut log, Kind::Note, "three\nfour").unwrap();
        let log = String::from_utf8(log).unwrap();
        let rest: Vec<&str> = log.lines().map(|line| line[20..].trim_start()).collect();
        assert_eq!(rest, ["one", "", "two", "note: three", "four"]);
        assert!(log.lines().all(|line| line.starts_with("20") && line.as_bytes()[19] == b'Z') && log.ends_with('\n'));
    }
}
