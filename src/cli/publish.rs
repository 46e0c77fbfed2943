//! `messo publish`: files that were published are written again, marked as copies. Without a hub the command does it itself.
//! Exit codes: 0 done, 1 refused or not found, 2 wrongly asked, 3 hub or store not reachable.

use std::process::ExitCode;

use super::hub::{self, Common, OptionalReason};
use super::table::pairs;
use crate::service::control::Request;
use crate::service::report::RebuildReport;
use crate::text::it::privacy;

/// Scrive di nuovo, come copie, i file pubblicati.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    what: What,
    /// Soltanto questo gestionale (obbligatorio con --from: i numeri sono suoi).
    #[arg(long, value_name = "GESTIONALE")]
    source: Option<String>,
    #[command(flatten)]
    reason: OptionalReason,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct What {
    /// Tutti i file pubblicati.
    #[arg(long)]
    rebuild: bool,
    /// I file numerati dal numero N in poi: esiti, indici delle attestazioni e le attestazioni che questi elencano.
    #[arg(long, value_name = "N", requires = "source")]
    from: Option<u64>,
}

/// Runs the command.
pub fn run(args: Args) -> ExitCode {
    debug_assert!(args.what.rebuild || args.what.from.is_some());
    let request = Request::PublishRebuild { source: args.source, from: args.what.from, reason: args.reason.reason };
    hub::run(&args.common, request, |report: &RebuildReport| {
        let erased = if report.erased > 0 { privacy::not_given_again(report.erased, report.erased_at) } else { String::new() };
        pairs(&[("File scritti", report.files.to_string()), ("Cartelle", report.folders.join(" ")), ("File che non tornano", erased)])
    })
}
