//! `completions` and `man`: shell completions and manual pages, made from the definitions of the commands.

use super::voice::{print_data, print_text};
use crate::error::Error;
use clap::Command;
use clap_complete::Shell;
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `completions`.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  galaxy-gpu completions bash > ~/.local/share/bash-completion/completions/galaxy-gpu
  galaxy-gpu completions zsh > ~/.zfunc/_galaxy-gpu
  galaxy-gpu completions fish > ~/.config/fish/completions/galaxy-gpu.fish")]
pub struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// Arguments of `man`.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  galaxy-gpu man --out ~/.local/share/man/man1
  galaxy-gpu man --out /tmp/man && man -l /tmp/man/galaxy-gpu-train.1")]
pub struct ManArgs {
    /// Folder for the pages, one for each command; created if need be
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
}

/// Prints a shell's completions for `program`.
///
/// # Errors
/// Standard output cannot be written.
pub fn completions(args: &CompletionsArgs, mut program: Command) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut program, "galaxy-gpu", &mut script);
    print_data(String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}

/// Writes a manual page for `program` and for each of its commands.
///
/// # Errors
/// The folder cannot be created or written to.
pub fn man(args: &ManArgs, program: Command) -> anyhow::Result<ExitCode> {
    let failed = |error| Error::file(&args.out, format!("it cannot be written to ({error})"), "choose another --out");
    std::fs::create_dir_all(&args.out).map_err(failed)?;
    clap_mangen::generate_to(program, &args.out).map_err(failed)?;
    let main_page = args.out.join("galaxy-gpu.1");
    print_text(format!(
        "wrote a page for each command to {}; start with man -l {}\n",
        args.out.display(),
        main_page.display()
    ))?;
    Ok(ExitCode::SUCCESS)
}
