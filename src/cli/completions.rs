//! `messo completions SHELL`: what a shell wants to know to complete our command lines. Hidden from the help. Exit 0 written.

use std::io::Write;
use std::process::ExitCode;

use clap::{Command, ValueEnum};
use clap_complete::{Shell, generate};

use super::italian;

/// Scrive i completamenti per una shell.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// La shell.
    #[arg(value_name = "SHELL")]
    shell: Known,
}

/// Those that the package installs.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Known {
    Bash,
    Zsh,
    Fish,
}

/// Runs the command.
pub fn run(args: Args) -> ExitCode {
    let shell = match args.shell {
        Known::Bash => Shell::Bash,
        Known::Zsh => Shell::Zsh,
        Known::Fish => Shell::Fish,
    };
    let mut text = Vec::new();
    let mut command = without_hidden(italian::command()).version(env!("CARGO_PKG_VERSION"));
    generate(shell, &mut command, "messo", &mut text);
    // A closed pipe is the reader's choice.
    let _ = std::io::stdout().write_all(&text);
    ExitCode::SUCCESS
}

/// What the help does not show is not proposed either.
fn without_hidden(command: Command) -> Command {
    let shown: Vec<Command> = command.get_subcommands().filter(|sub| !sub.is_hide_set()).cloned().map(without_hidden).collect();
    let arguments: Vec<clap::Arg> = command.get_arguments().filter(|arg| !arg.is_hide_set()).cloned().collect();
    // clap keeps names for as long as the program lives, which ends when this is written.
    let name: &'static str = Box::leak(command.get_name().to_owned().into_boxed_str());
    let mut own = Command::new(name).disable_help_flag(true).disable_version_flag(true).disable_help_subcommand(true);
    if let Some(about) = command.get_about() {
        own = own.about(about.clone());
    }
    own.args(arguments).subcommands(shown)
}
