//! `messo password`: asks for a password twice and prints what goes into the configuration. Exit 0 printed, 1 not.

use std::io::{BufRead, IsTerminal, Write};
use std::process::ExitCode;

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::intake::sftp::server::password::{self, PasswordError};
use crate::text::it::sftp as words;

/// Chiede due volte una password e stampa la riga da scrivere nella configurazione (argon2id).
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the command.
pub fn run(_: Args) -> ExitCode {
    let made = ask(words::PASSWORD_ONCE).and_then(|first| {
        let second = ask(words::PASSWORD_AGAIN)?;
        if first != second {
            return Err(words::PASSWORD_DIFFERS);
        }
        password::hash(&first).map_err(|error| match error {
            PasswordError::Length => words::PASSWORD_LENGTH,
            PasswordError::System => words::PASSWORD_FAILED,
        })
    });
    match made {
        Ok(hash) => {
            let _ = writeln!(std::io::stdout(), "{hash}");
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("messo: {why}");
            ExitCode::FAILURE
        }
    }
}

/// One line, without showing it when a person types it.
pub(super) fn ask(prompt: &str) -> Result<String, &'static str> {
    let stdin = std::io::stdin();
    let shown = stdin.is_terminal().then(|| tcgetattr(&stdin)).transpose().map_err(|_| words::PASSWORD_UNREADABLE)?;
    eprint!("{prompt}");
    if let Some(shown) = &shown {
        let mut hidden: Termios = shown.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        tcsetattr(&stdin, OptionalActions::Now, &hidden).map_err(|_| words::PASSWORD_UNREADABLE)?;
    }
    let mut line = String::new();
    let read = stdin.lock().read_line(&mut line);
    if let Some(shown) = &shown {
        let _ = tcsetattr(&stdin, OptionalActions::Now, shown);
        eprintln!();
    }
    match read {
        Ok(count) if count > 0 => Ok(line.trim_end_matches(['\n', '\r']).to_owned()),
        _ => Err(words::PASSWORD_UNREADABLE),
    }
}
