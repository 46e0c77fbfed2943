//! `messo batch`.

use std::process::ExitCode;

/// Lists and shows batches.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the command.
pub fn run(_args: Args) -> ExitCode {
    ExitCode::FAILURE
}
