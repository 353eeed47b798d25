//! `galaxy-gpu`: runs a command, prints its error with the chain of causes, and sets the exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !galaxy_gpu::engine::gpu::panic_is_caught() {
            report(panic);
        }
    }));
    match galaxy_gpu::cli::run() {
        Ok(code) => code,
        Err(error) => {
            galaxy_gpu::cli::voice::print_error(format_args!("{error:#}"));
            let known = error.downcast_ref::<galaxy_gpu::Error>();
            ExitCode::from(known.map_or(1, galaxy_gpu::Error::exit_code))
        }
    }
}
