//! `messo run`.

use std::process::ExitCode;

/// Runs the hub.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the command.
pub fn run(_args: Args) -> ExitCode {
    ExitCode::FAILURE
}
