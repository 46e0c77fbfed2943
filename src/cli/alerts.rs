//! `messo alerts`: what operators were told, and what is not over. Exit codes: 0 told, 2 wrongly asked, 3 hub or store not reachable.

use std::process::ExitCode;

use jiff::Timestamp;

use super::audit::{from, to};
use super::hub::{self, Common};
use super::status::{ALERT_HEADS, rows_of, troubles};
use super::table::section;
use crate::service::control::Request;
use crate::service::report::AlertList;

/// Elenca gli avvisi dati agli operatori, dal più recente, e quelli non ancora conclusi.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Da questa data (AAAA-MM-GG oppure AAAA-MM-GGTHH:MM, ora italiana).
    #[arg(long, value_name = "DATA", value_parser = from)]
    from: Option<Timestamp>,
    /// Fino a questa data compresa.
    #[arg(long, value_name = "DATA", value_parser = to)]
    to: Option<Timestamp>,
    /// Al massimo questi avvisi.
    #[arg(long, value_name = "N", default_value_t = 200)]
    limit: usize,
    #[command(flatten)]
    common: Common,
}

/// Runs the command.
pub fn run(args: Args) -> ExitCode {
    hub::run(&args.common, Request::Alerts { from: args.from, to: args.to, limit: args.limit }, print)
}

fn print(list: &AlertList) -> String {
    let text = troubles(&list.troubles) + &section("Avvisi", ALERT_HEADS, &rows_of(&list.alerts));
    if text.is_empty() { "Nessun avviso.\n".to_owned() } else { text.trim_start().to_owned() }
}
