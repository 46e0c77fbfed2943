//! `messo defender`: the addresses that the SFTP door does not let in.
//! Exit codes: 0 done, 1 refused or not found, 2 wrongly asked, 3 hub or store not reachable.

use std::process::ExitCode;

use super::hub::{self, Common, Reason};
use super::table::{section, when};
use crate::service::control::Request;
use crate::service::report::DefenderReport;

/// Indirizzi bloccati perché hanno tentato di indovinare una password.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Elenca gli indirizzi bloccati.
    List {
        #[command(flatten)]
        common: Common,
    },
    /// Toglie il blocco a un indirizzo.
    Lift {
        /// Indirizzo IP, come lo mostra l'elenco.
        address: String,
        #[command(flatten)]
        reason: Reason,
        #[command(flatten)]
        common: Common,
    },
}

/// Runs the command.
pub fn run(args: Args) -> ExitCode {
    match args.what {
        What::List { common } => hub::run(&common, Request::Defender, print),
        What::Lift { address, reason, common } => hub::run(&common, Request::DefenderLift { address, reason: reason.reason }, print),
    }
}

fn print(report: &DefenderReport) -> String {
    let rows: Vec<Vec<String>> =
        report.bans.iter().map(|ban| vec![ban.address.clone(), when(ban.since), when(ban.until), ban.times.to_string()]).collect();
    if rows.is_empty() {
        "Nessun indirizzo bloccato.\n".to_owned()
    } else {
        section("Indirizzi bloccati", &["indirizzo", "dal", "fino al", "volte"], &rows)
    }
}
