//! `messo check`.

use std::process::ExitCode;

/// Checks configuration and flows.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the command.
pub fn run(_args: Args) -> ExitCode {
    ExitCode::FAILURE
}
