//! The binary: arguments, logs, runtime, run, exit code.

use std::process::ExitCode;

use dato_mirror::cli;

fn main() -> ExitCode {
    let args = match cli::args::Args::read(std::env::args_os()) {
        Ok(args) => args,
        // Prints help to stdout and exits 0, or usage errors to stderr and exits 2.
        Err(error) => error.exit(),
    };
    // The demo tells its own story, and a bar tells what is done.
    let story = matches!(args.command, Some(cli::args::Command::Demo(_)));
    cli::logs::start(&args.global, story || cli::shows_bar(&args));
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "the runtime cannot be started");
            return ExitCode::from(1);
        }
    };
    let exit = runtime.block_on(cli::run(args));
    // A blocked disk read must not hold up the exit.
    runtime.shutdown_background();
    exit.into()
}
