//! `messo restore`: puts a copy back, shows what came after it, lets the store send again. Exit codes: 0 done, 1 refused, 2 wrongly
//! asked, 3 hub or store not reachable.

use std::path::PathBuf;
use std::process::ExitCode;

use super::act::order_text;
use super::backup::tell;
use super::hub::{self, Common, OptionalReason, Reason};
use super::table::{pairs, section, when, when_known};
use crate::clock::Clock;
use crate::config;
use crate::service::control::{Failure, Request};
use crate::service::report::{GapEntry, GapSection, RestoreReport};
use crate::service::restore::restore;
use crate::service::who::Who;
use crate::text::it;
use crate::text::it::backup as words;

/// Rimette una copia in una cartella vuota; dice che cosa manca; fa riprendere gli invii.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Args {
    /// Cartella delle copie, o una copia sola.
    #[arg(value_name = "CARTELLA", required = true)]
    dir: Option<PathBuf>,
    /// Quale copia; senza, la più recente.
    #[arg(long, value_name = "NOME")]
    at: Option<String>,
    /// Orologio degli affari: come in «messo run».
    #[arg(long, hide = true)]
    clock: Option<Clock>,
    #[command(flatten)]
    reason: OptionalReason,
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Come sta il ripristino: atti ancora da chiedere a SEND, e che cosa è accaduto dopo la copia.
    Show {
        #[command(flatten)]
        common: Common,
    },
    /// Fa riprendere gli invii dopo un ripristino.
    Release {
        /// Anche se di alcuni atti SEND non ha ancora risposto.
        #[arg(long)]
        skip_resync: bool,
        /// Anche se alcuni lotti ricevuti dopo la copia non sono stati depositati di nuovo, o non si sono ripetute tutte le cancellazioni.
        #[arg(long)]
        accept_gaps: bool,
        #[command(flatten)]
        reason: Reason,
        #[command(flatten)]
        common: Common,
    },
}

/// Runs the command.
pub fn run(args: Args) -> ExitCode {
    match (args.action, args.dir) {
        (Some(Action::Show { common }), _) => hub::run(&common, Request::Restored, print),
        (Some(Action::Release { skip_resync, accept_gaps, reason, common }), _) => {
            hub::run(&common, Request::ReleaseRestore { skip_resync, accept_gaps, reason: reason.reason }, order_text)
        }
        (None, Some(dir)) => put_back(&dir, args.at.as_deref(), &args.common, args.reason.reason, args.clock.unwrap_or(Clock::REAL)),
        // The command line has refused it before.
        (None, None) => ExitCode::from(2),
    }
}

fn put_back(dir: &std::path::Path, at: Option<&str>, common: &Common, why: Option<String>, clock: Clock) -> ExitCode {
    let loaded = match config::load(&common.config) {
        Ok(loaded) => loaded,
        Err(problems) => {
            eprint!("{}", it::config::lines(&problems));
            return ExitCode::from(2);
        }
    };
    let who = Who::this_process(std::env::var("SUDO_USER").ok().as_deref());
    match restore(dir, at, &loaded, (&who, why), clock) {
        Ok(report) => {
            hub::put(&if common.json { hub::json(&report) } else { print(&report) });
            ExitCode::SUCCESS
        }
        Err(error) if error.code == "NESSUNA_COPIA" => tell(error.code, &words::fault(error.code, &error.about, ""), common.json),
        Err(error) if error.code.starts_with("MOTIVO_") => {
            let failure = Failure { code: error.code.to_owned(), message: error.about, exit: 2, candidates: Vec::new() };
            hub::tell::<RestoreReport>(common, Err(failure), print)
        }
        Err(error) => tell(error.code, &words::not_restored(error.code, &error.about), common.json),
    }
}

/// One line for `messo status`.
pub(super) fn held(report: &RestoreReport) -> String {
    format!(
        "da rilasciare: invii fermi, {} atti ancora da chiedere a SEND ({} sospesi); copia {} delle {}. «messo restore show»",
        report.open,
        report.parked,
        report.backup,
        when_known(report.copied_at)
    )
}

fn print(report: &RestoreReport) -> String {
    if !report.restored {
        return "Questi dati non vengono da una copia.\n".to_owned();
    }
    let sends = match report.released_at {
        Some(at) => format!(
            "ripresi il {}, da {}: «{}»",
            when(at),
            report.released_by.as_deref().unwrap_or("-"),
            report.released_why.as_deref().unwrap_or("-")
        ),
        None => "FERMI fino a «messo restore release --reason …»".to_owned(),
    };
    let mut text = pairs(&[
        ("Copia", report.backup.clone()),
        ("Stato delle", when_known(report.copied_at)),
        ("Ripristinata il", when_known(report.restored_at)),
        ("Invii", sends),
        ("Atti da chiedere a SEND", format!("{} (di cui sospesi {})", report.open, report.parked)),
        ("Atti chiusi da rileggere", if report.late == 0 { String::new() } else { report.late.to_string() }),
    ]);
    for gap in &report.gaps {
        text.push_str(&gaps(gap));
    }
    text
}

/// Deletions that persons asked for.
const ERASURE: &str = "CANCELLAZIONE";

/// The first gaps of a kind, those still open before the others.
const SHOWN: usize = 20;

fn gaps(of: &GapSection) -> String {
    let title = match of.kind.as_str() {
        "NUMERI" => words::gap_title(&of.kind).to_owned(),
        ERASURE => format!("{}: {} (da ripetere {})", words::gap_title(ERASURE), of.count, of.open),
        kind => format!("{}: {} (da recuperare {})", words::gap_title(kind), of.count, of.open),
    };
    let mut named: Vec<&GapEntry> = of.named.iter().collect();
    named.sort_by_key(|gap| gap.recovered == Some(true));
    let mut rows: Vec<Vec<String>> = named
        .iter()
        .take(SHOWN)
        .map(|gap| {
            let state = match gap.recovered {
                Some(true) if of.kind == ERASURE => "ripetuta",
                Some(false) if of.kind == ERASURE => "da ripetere",
                None if of.kind == ERASURE => "non è nella copia",
                Some(true) => "recuperato",
                Some(false) => "da recuperare",
                None => "",
            };
            vec![gap.source.clone(), gap.about.clone(), gap.iun.clone().unwrap_or_default(), details(&gap.data), state.to_owned()]
        })
        .collect();
    if of.count as usize > rows.len() {
        rows.push(vec![format!("… altri {}", of.count as usize - rows.len()), String::new(), String::new(), String::new(), String::new()]);
    }
    section(&title, &["gestionale", "che cosa", "IUN", "", "stato"], &rows)
}

fn details(data: &serde_json::Value) -> String {
    let fields = data.as_object().into_iter().flatten();
    let shown =
        fields.map(|(name, value)| format!("{} {}", name.replace('_', " "), value.as_str().map_or(value.to_string(), str::to_owned)));
    shown.collect::<Vec<_>>().join(", ")
}
