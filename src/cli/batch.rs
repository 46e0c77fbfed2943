//! `messo batch list|show|release|retry|pause|resume|replay`. Exit codes: 0 done, 1 refused or not found, 2 wrongly asked, 3 hub or store not reachable.

use std::process::ExitCode;

use super::act::{history_rows, job_rows, order_text};
use super::hub::{self, Common, Reason};
use super::table::{known, pairs, section, table, when, when_known};
use crate::service::control::Request;
use crate::service::report::{BatchList, BatchReport};
use crate::text::it::operate as words;

/// Elenca e mostra i lotti; fa partire quelli trattenuti.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// I lotti, dal più recente.
    List {
        /// Quanti al più.
        #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        limit: u32,
        #[command(flatten)]
        common: Common,
    },
    /// Un lotto: atti per stato, problemi per codice, storia, file, che cosa accadrà.
    Show {
        /// Identificativo del lotto, o il suo inizio.
        id: String,
        #[command(flatten)]
        common: Common,
    },
    /// Fa partire gli atti trattenuti del lotto.
    Release {
        /// Identificativo del lotto, o il suo inizio.
        id: String,
        /// Senza aspettare l'esito dei primi atti: ogni rifiuto di SEND si paga.
        #[arg(long)]
        skip_guard: bool,
        #[command(flatten)]
        reason: Reason,
        #[command(flatten)]
        common: Common,
    },
    /// Riprende il lavoro sospeso del lotto stesso: ricevuta, scarti, avvio degli atti.
    Retry {
        /// Identificativo del lotto, o il suo inizio.
        id: String,
        #[command(flatten)]
        reason: Reason,
        #[command(flatten)]
        common: Common,
    },
    /// Ferma gli invii nuovi del lotto; ciò che è già a SEND si segue.
    Pause {
        /// Identificativo del lotto, o il suo inizio.
        id: String,
        #[command(flatten)]
        reason: Reason,
        #[command(flatten)]
        common: Common,
    },
    /// Riprende un lotto fermo.
    Resume {
        /// Identificativo del lotto, o il suo inizio.
        id: String,
        #[command(flatten)]
        reason: Reason,
        #[command(flatten)]
        common: Common,
    },
    /// Rilegge da capo l'archivio conservato: ciò che era scartato si giudica con la configurazione di oggi, ciò che è noto resta com'è.
    Replay {
        /// Identificativo del lotto, o il suo inizio.
        id: String,
        #[command(flatten)]
        reason: Reason,
        #[command(flatten)]
        common: Common,
    },
}

/// Runs the command.
pub fn run(args: Args) -> ExitCode {
    match args.action {
        Action::List { limit, common } => hub::run(&common, Request::Batches { limit: limit as usize }, print_list),
        Action::Show { id, common } => hub::run(&common, Request::Batch { text: id }, print_one),
        Action::Release { id, skip_guard, reason, common } => {
            hub::run(&common, Request::ReleaseBatch { text: id, skip_guard, reason: reason.reason }, order_text)
        }
        Action::Retry { id, reason, common } => hub::run(&common, Request::RetryBatch { text: id, reason: reason.reason }, order_text),
        Action::Pause { id, reason, common } => hub::run(&common, Request::PauseBatch { text: id, reason: reason.reason }, order_text),
        Action::Resume { id, reason, common } => hub::run(&common, Request::ResumeBatch { text: id, reason: reason.reason }, order_text),
        Action::Replay { id, reason, common } => hub::run(&common, Request::ReplayBatch { text: id, reason: reason.reason }, order_text),
    }
}

fn print_list(list: &BatchList) -> String {
    let rows: Vec<Vec<String>> = list
        .batches
        .iter()
        .map(|batch| {
            let trial = if batch.dry_run { " (prova)" } else { "" };
            vec![
                batch.id.to_string(),
                when(batch.received_at),
                batch.source.clone(),
                format!("{}{trial}", batch.state),
                batch.acts.to_string(),
                batch.accepted.to_string(),
                batch.refused.to_string(),
                batch.name.clone(),
            ]
        })
        .collect();
    if rows.is_empty() {
        return "Nessun lotto.\n".to_owned();
    }
    table(&["lotto", "ricevuto", "gestionale", "stato", "atti", "accettati", "scartati", "file"], &rows)
}

fn print_one(report: &BatchReport) -> String {
    let batch = &report.batch;
    let trial = if batch.dry_run { " (prova: nulla è inviato)" } else { "" };
    let waits = report.held.as_deref().or(batch.hold.as_deref());
    let guard = report.guard.as_ref().map(|guard| {
        format!(
            "{} partiti da soli, {} senza risposta, {} rifiutati (al più {} %)",
            guard.first, guard.open, guard.refused, guard.max_refused_percent
        )
    });
    let mut text = pairs(&[
        ("Lotto", batch.id.to_string()),
        ("Stato", format!("{}{trial}", batch.state)),
        ("File", batch.name.clone()),
        ("Gestionale", batch.source.clone()),
        ("Ente", known(batch.sender.as_deref())),
        ("Flusso", known(batch.flow.as_deref())),
        ("Tracciato", known(batch.layout.as_deref())),
        ("Ricevuto", when(batch.received_at)),
        ("Letto", when_known(batch.finished_at)),
        ("Dati personali cancellati", when_known(batch.erased_at)),
        ("Atti", format!("{} (accettati {}, scartati {}, duplicati {})", batch.acts, batch.accepted, batch.refused, batch.duplicates)),
        ("Invii fermi dal", when_known(report.paused)),
        ("Rilettura di", report.replay_of.map(|first| first.to_string()).unwrap_or_default()),
        ("Duplicato di", batch.duplicate_of.map(|first| first.to_string()).unwrap_or_default()),
        ("Trattenuto", waits.map(|reason| format!("{reason}: {}", words::hold(reason))).unwrap_or_default()),
        ("Primi atti", guard.unwrap_or_default()),
        ("Ultimo invio previsto", when_known(batch.forecast)),
        ("SHA-256", known(batch.sha256.as_deref())),
    ]);
    let states: Vec<Vec<String>> =
        report.states.iter().map(|(state, count)| vec![state.clone(), count.to_string(), words::state(state).to_owned()]).collect();
    text.push_str(&section("Atti per stato", &["stato", "atti", ""], &states));
    let problems: Vec<Vec<String>> =
        report.problems.iter().map(|problem| vec![problem.code.clone(), problem.severity.clone(), problem.count.to_string()]).collect();
    text.push_str(&section("Problemi (in dettaglio nella ricevuta)", &["codice", "gravità", "volte"], &problems));
    text.push_str(&section("Che cosa accadrà", &["lavoro", "quando", "", "tentativi", "ultimo errore"], &job_rows(&report.jobs)));
    let files: Vec<Vec<String>> =
        report.files.iter().map(|file| vec![file.kind.clone(), format!("{}/{}", file.folder, file.name)]).collect();
    text.push_str(&section("File", &["tipo", "nome"], &files));
    text.push_str(&section("Storia", &["quando", "evento", "stato", "chi", "motivo o codice"], &history_rows(&report.history)));
    text
}
