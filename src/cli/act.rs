//! `messo act`.

use std::process::ExitCode;

/// Shows and orders about acts.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the command.
pub fn run(_args: Args) -> ExitCode {
    ExitCode::FAILURE
}
