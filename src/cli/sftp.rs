//! `messo sftp`: how the SFTP door is, and the fingerprints of its keys.
//! Exit codes: 0 told, 1 not found, 2 wrongly asked, 3 hub not reachable.

use std::path::PathBuf;
use std::process::ExitCode;

use super::hub::{self, Common};
use super::table::{pairs, section};
use crate::intake::sftp::server::host_keys;
use crate::service::control::Request;
use crate::service::report::SftpReport;
use crate::text::it;

/// Il server SFTP: chi è collegato, impronte delle chiavi.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Dice dove ascolta e quante sessioni ci sono.
    Status {
        #[command(flatten)]
        common: Common,
    },
    /// Stampa le impronte delle chiavi del server, da comunicare ai fornitori.
    Keys {
        /// File di configurazione.
        #[arg(long, value_name = "FILE", default_value = "/etc/messo/messo.toml")]
        config: PathBuf,
    },
}

/// Runs the command.
pub fn run(args: Args) -> ExitCode {
    match args.what {
        What::Status { common } => hub::run(&common, Request::Sftp, print),
        What::Keys { config } => keys(&config),
    }
}

fn print(report: &SftpReport) -> String {
    let mut text = pairs(&[
        ("In ascolto", report.listening.join(" ")),
        ("Connessioni", report.connections.to_string()),
        ("Senza accesso", report.strangers.to_string()),
        ("Sessioni", report.sessions.to_string()),
        ("Canali SFTP", report.channels.to_string()),
        ("Al lavoro", report.workers.to_string()),
    ]);
    let rows: Vec<Vec<String>> = report.keys.iter().map(|key| key.split(' ').map(str::to_owned).collect()).collect();
    text.push_str(&section("Chiavi del server", &["algoritmo", "impronta"], &rows));
    text
}

fn keys(config: &std::path::Path) -> ExitCode {
    let folder = match hub::load(config) {
        Ok(config) => config.host_keys(),
        Err(failure) => {
            eprintln!("messo: {}", super::table::plain(&failure.message));
            return ExitCode::from(failure.exit);
        }
    };
    match host_keys::list(&folder) {
        Ok(keys) if keys.is_empty() => {
            eprintln!("messo: {}", it::sftp::NO_KEYS);
            ExitCode::FAILURE
        }
        Ok(keys) => {
            let rows: Vec<Vec<String>> = keys.into_iter().map(|key| vec![key.algorithm, key.fingerprint]).collect();
            print!("{}", super::table::table(&["algoritmo", "impronta"], &rows));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("messo: {error}");
            ExitCode::FAILURE
        }
    }
}
