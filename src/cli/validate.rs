//! `messo validate`.

use std::process::ExitCode;

/// Says offline what receipt a file would get.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the command.
pub fn run(_args: Args) -> ExitCode {
    ExitCode::FAILURE
}
