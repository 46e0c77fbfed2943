//! `messo demo`.

use std::process::ExitCode;

/// Runs every example end to end, with simulators.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the command.
pub fn run(_args: Args) -> ExitCode {
    ExitCode::FAILURE
}
