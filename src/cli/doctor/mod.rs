//! `doctor`: checks whether this machine has what a training needs, and prints a verdict a line with what to do.

mod adapters;
mod system;

use super::{print_json, print_text};
use crate::plan::Profile;
use serde::Serialize;
use std::process::ExitCode;

/// Arguments of `doctor`.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  galaxy-gpu doctor
  galaxy-gpu doctor --json

Verdicts: ok; note, if something is missing that training can do without; FAIL, with exit code 1.")]
pub struct Args {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Ok,
    /// Training can do without it.
    Note,
    Fail,
}

/// The result of a check.
#[derive(Debug, PartialEq, Serialize)]
struct Finding {
    check: String,
    verdict: Verdict,
    finding: String,
    /// What to do, if anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

impl Finding {
    fn new(check: impl Into<String>, verdict: Verdict, finding: impl Into<String>) -> Self {
        Self { check: check.into(), verdict, finding: finding.into(), remedy: None }
    }

    fn ok(check: impl Into<String>, finding: impl Into<String>) -> Self {
        Self::new(check, Verdict::Ok, finding)
    }

    fn note(check: impl Into<String>, finding: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { remedy: Some(remedy.into()), ..Self::new(check, Verdict::Note, finding) }
    }

    fn fail(check: impl Into<String>, finding: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { remedy: Some(remedy.into()), ..Self::new(check, Verdict::Fail, finding) }
    }

    /// An error, whose message already says what to do.
    fn error(check: impl Into<String>, error: &crate::Error) -> Self {
        Self::new(check, Verdict::Fail, error.to_string())
    }

    fn in_words(&self) -> String {
        let verdict = match self.verdict {
            Verdict::Ok => "ok",
            Verdict::Note => "note",
            Verdict::Fail => "FAIL",
        };
        let line = format!("{verdict:<4}  {:<20}  {}\n", self.check, self.finding);
        self.remedy.iter().fold(line, |line, remedy| format!("{line}{:<28}to do: {remedy}\n", ""))
    }
}

/// All findings. Each is printed at once, so that if a driver hangs or crashes, the missing line tells which.
struct Findings {
    quiet: bool,
    all: Vec<Finding>,
}

impl Findings {
    fn add(&mut self, finding: Finding) -> anyhow::Result<()> {
        if !self.quiet {
            print_text(finding.in_words())?;
        }
        self.all.push(finding);
        Ok(())
    }

    fn count(&self, verdict: Verdict) -> usize {
        self.all.iter().filter(|finding| finding.verdict == verdict).count()
    }
}

#[derive(Serialize)]
struct Report<'a> {
    version: &'static str,
    ok: usize,
    notes: usize,
    failed: usize,
    checks: &'a [Finding],
    adapters: &'a [Profile],
}

/// Checks the machine and prints what it finds; exit code 1 if something failed.
///
/// # Errors
/// Standard output cannot be written.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut findings = Findings { quiet: args.json, all: Vec::new() };
    findings.add(Finding::ok("galaxy-gpu", env!("CARGO_PKG_VERSION")))?;
    findings.add(system::hdf5())?;
    system::folders(&mut findings)?;
    let profiles = adapters::check(&mut findings)?;
    let [ok, notes, failed] = [Verdict::Ok, Verdict::Note, Verdict::Fail].map(|verdict| findings.count(verdict));
    if args.json {
        let (checks, adapters) = (&findings.all[..], &profiles[..]);
        print_json(&Report { version: env!("CARGO_PKG_VERSION"), ok, notes, failed, checks, adapters })?;
    } else {
        print_text(format!("{ok} ok, {notes} notes, {failed} failed\n"))?;
    }
    Ok(ExitCode::from(u8::from(failed > 0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_a_line_and_a_remedy_another() {
        assert_eq!(Finding::ok("libhdf5", "1.10.8").in_words(), "ok    libhdf5               1.10.8\n");
        let failed = Finding::fail("cache folder", "it is full", "make room").in_words();
        let lines: Vec<&str> = failed.lines().collect();
        assert_eq!(lines[0], "FAIL  cache folder          it is full");
        assert_eq!(lines[1].find("to do: make room"), lines[0].find("it is full"));
    }
}
