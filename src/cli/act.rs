//! `messo act show|retry|cancel|release`. Prints no names, tax ids of citizens or addresses.
//! Exit codes: 0 done, 1 refused or not found, 2 wrongly asked, 3 hub or store not reachable.

use std::process::ExitCode;

use super::hub::{self, Common, Reason};
use super::table::{euro, known, pairs, section, when, when_known};
use crate::service::control::Request;
use crate::service::report::{ActDetail, ActReport, HistoryEntry, JobEntry, OrderKind, OrderReport};
use crate::service::rome;
use crate::text::it::{operate as words, parking};

/// Mostra gli atti; riprende, annulla, rilascia.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Un atto: dov'è, che cosa accadrà, che cosa è stato comunicato, storia e file.
    Show {
        /// Riferimento, protocollo, IUN, numero avviso o identificativo.
        #[arg(value_name = "RIFERIMENTO|PROTOCOLLO|IUN")]
        text: String,
        #[command(flatten)]
        common: Common,
    },
    /// Riprende il lavoro sospeso di un atto, di tutti gli atti con un codice, o di una chiave ferma.
    Retry {
        #[command(flatten)]
        what: Retried,
        #[command(flatten)]
        reason: Reason,
        #[command(flatten)]
        common: Common,
    },
    /// Annulla un atto: lo ritira se nulla è arrivato a SEND, altrimenti ne chiede l'annullamento a SEND, appena si può.
    Cancel {
        /// Riferimento, protocollo, IUN, numero avviso o identificativo.
        #[arg(value_name = "RIFERIMENTO|PROTOCOLLO|IUN")]
        text: String,
        #[command(flatten)]
        reason: Reason,
        #[command(flatten)]
        common: Common,
    },
    /// Fa partire un atto trattenuto.
    Release {
        /// Riferimento, protocollo, IUN, numero avviso o identificativo.
        #[arg(value_name = "RIFERIMENTO|PROTOCOLLO|IUN")]
        text: String,
        #[command(flatten)]
        reason: Reason,
        #[command(flatten)]
        common: Common,
    },
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Retried {
    /// Riferimento, protocollo, IUN, numero avviso o identificativo.
    #[arg(value_name = "RIFERIMENTO|PROTOCOLLO|IUN")]
    text: Option<String>,
    /// Tutti gli atti sospesi con questo codice.
    #[arg(long, value_name = "CODICE")]
    code: Option<String>,
    /// La chiave ferma, come la scrive `messo status`: ente, barra, nome della chiave.
    #[arg(long, value_name = "ENTE/CHIAVE")]
    channel: Option<String>,
}

/// Runs the command.
pub fn run(args: Args) -> ExitCode {
    match args.action {
        Action::Show { text, common } => hub::run(&common, Request::Act { text }, print),
        Action::Retry { what, reason: Reason { reason }, common } => {
            let request = match what {
                Retried { code: Some(code), .. } => Request::RetryCode { code, reason },
                Retried { channel: Some(channel), .. } => Request::ResumeChannel { channel, reason },
                Retried { text, .. } => Request::RetryAct { text: text.unwrap_or_default(), reason },
            };
            hub::run(&common, request, order_text)
        }
        Action::Cancel { text, reason: Reason { reason }, common } => hub::run(&common, Request::CancelAct { text, reason }, order_text),
        Action::Release { text, reason: Reason { reason }, common } => hub::run(&common, Request::ReleaseAct { text, reason }, order_text),
    }
}

/// What an order brought.
pub(super) fn order_text(report: &OrderReport) -> String {
    let state = report.state.as_deref().map(|state| format!("{state}: {}", words::state(state))).unwrap_or_default();
    let done = match (report.order, &report.reference) {
        (OrderKind::Retry, Some(_)) => "ripreso".to_owned(),
        (OrderKind::Retry, None) => format!("ripresi {} atti", report.count),
        (OrderKind::Cancel, _) if report.remembered => "annullamento ricordato: per ora non si può eseguire".to_owned(),
        (OrderKind::Cancel, _) => "annullamento registrato".to_owned(),
        (OrderKind::Release, _) => "rilasciato".to_owned(),
        (OrderKind::ReleaseBatch, _) if report.count == 0 => "rilasciato: gli atti partono appena avviati".to_owned(),
        (OrderKind::ReleaseBatch, _) => format!("rilasciati {} atti", report.count),
        (OrderKind::RetryBatch, _) => format!("ripresi {} lavori del lotto", report.count),
        (OrderKind::PauseBatch, _) => "lotto fermo: nulla di nuovo parte, ciò che è a SEND si segue".to_owned(),
        (OrderKind::ResumeBatch, _) => "lotto ripreso".to_owned(),
        (OrderKind::ReplayBatch, _) => "lotto da rileggere dall'archivio, con l'identificativo indicato qui sotto".to_owned(),
        (OrderKind::ReleaseRestore, _) => "ripristino rilasciato: gli invii riprendono".to_owned(),
        (OrderKind::ResumeChannel, _) => "chiave ripresa, e con l'ultima ferma l'ente e i suoi atti".to_owned(),
    };
    let effect = match (report.remembered, report.running) {
        (true, true) => "appena SEND ha deciso della richiesta",
        (false, true) => "subito",
        (_, false) => "al prossimo avvio del servizio, che ora è spento",
    };
    let next = report.state.as_deref().filter(|_| report.remembered).map(words::cancel_remembered);
    pairs(&[
        ("Fatto", done),
        ("Lotto", report.batch.map(|batch| batch.to_string()).unwrap_or_default()),
        ("Atto", report.act.map(|act| act.to_string()).unwrap_or_default()),
        ("Riferimento", known(report.reference.as_deref())),
        ("Chiave", known(report.channel.as_deref())),
        ("Stato", state),
        ("Effetto", effect.to_owned()),
        ("Che cosa accadrà", next.unwrap_or_default().to_owned()),
        ("Registrato", format!("{}, «{}»", report.who, report.why)),
    ])
}

fn print(report: &ActReport) -> String {
    let mut text = report.acts.iter().map(print_one).collect::<Vec<_>>().join("\n--------\n\n");
    let others: Vec<Vec<String>> = report
        .others
        .iter()
        .map(|act| vec![act.id.to_string(), act.sender.clone(), act.source.clone(), act.reference.clone(), act.state.clone()])
        .collect();
    text.push_str(&section("Altri atti trovati", &["atto", "ente", "gestionale", "riferimento", "stato"], &others));
    text
}

fn print_one(detail: &ActDetail) -> String {
    let act = &detail.act;
    let waits = act.hold.as_deref().map(|reason| format!("{reason}: {}", words::hold(reason)));
    let parked = act.parked.as_deref().map(|code| parking::sentence(code).map_or_else(|| code.to_owned(), |why| format!("{code}: {why}")));
    let remedy = act.parked.as_deref().map(|code| parking::remedy(code).unwrap_or("Toglierne la causa, poi messo act retry."));
    let stopped = detail.channel_stopped.as_deref().zip(detail.stopped_channel.as_deref());
    let stopped = stopped.map(|(code, channel)| format!("{} (fermo: {code}, «messo act retry --channel {channel}»)", act.sender));
    let mut text = pairs(&[
        ("Atto", format!("{} (invio {})", act.id, act.submission)),
        ("Riferimento", act.reference.clone()),
        ("Protocollo", known(act.protocol.as_deref())),
        ("IUN", known(act.iun.as_deref())),
        ("Stato", format!("{}: {}", act.state, words::state(&act.state))),
        ("Trattenuto", waits.unwrap_or_default()),
        ("Sospeso", parked.unwrap_or_default()),
        ("Da fare", remedy.unwrap_or_default().to_owned()),
        ("Da vedere", known(act.flag.as_deref())),
        ("Chiave", act.key.clone()),
        ("Ente", stopped.unwrap_or_else(|| act.sender.clone())),
        ("Gestionale", act.source.clone()),
        ("Flusso", act.flow.clone()),
        ("Lotto", format!("{} ({})", act.batch, detail.batch_state)),
        ("Richiesta a SEND", known(act.request_id.as_deref())),
        ("Preso in carico", when(act.created_at)),
        ("Inviato", when_known(act.sent_at)),
        ("Accettato", when_known(act.accepted_at)),
        ("Chiuso", when_known(act.closed_at)),
        ("Dati personali cancellati", when_known(act.erased_at)),
        ("Da notificare entro", act.notify_by.map_or_else(|| "-".to_owned(), last_day)),
    ]);
    text.push_str(&section("Che cosa accadrà", &["lavoro", "quando", "", "tentativi", "ultimo errore"], &job_rows(&detail.jobs)));
    let recipients: Vec<Vec<String>> = detail
        .recipients
        .iter()
        .map(|recipient| {
            let notes = [(recipient.unreachable, "irreperibile"), (recipient.deceased, "deceduto")];
            let notes: Vec<&str> = notes.iter().filter(|(is, _)| *is).map(|(_, note)| *note).collect();
            vec![
                (recipient.index + 1).to_string(),
                when_known(recipient.completed_at),
                known(recipient.perfection.as_deref()),
                euro(recipient.analog_cost),
                recipient.citizen_cost.map_or_else(|| "-".to_owned(), euro),
                notes.join(", "),
            ]
        })
        .collect();
    let heads = ["n.", "perfezionato", "come", "carta (euro)", "per il cittadino (euro)", ""];
    text.push_str(&section("Destinatari (numero nel lotto, da 1)", &heads, &recipients));
    let title = "Posizioni debitorie: «messo posizione show CREDITORE AVVISO»";
    text.push_str(&section(title, super::posizione::HEADS, &super::posizione::rows(&detail.positions)));
    let lines: Vec<Vec<String>> = detail
        .last_lines
        .iter()
        .map(|line| {
            let recipient = line.recipient.map_or_else(|| "atto".to_owned(), |index| format!("dest. {}", index + 1));
            vec![
                line.line.to_string(),
                recipient,
                line.state.to_string(),
                line.event.clone(),
                when(line.happened_at),
                known(line.code.as_deref()),
            ]
        })
        .collect();
    text.push_str(&section("Ultimi stati comunicati", &["riga", "di", "stato", "evento", "quando", "codice"], &lines));
    let facts: Vec<Vec<String>> = detail
        .legal_facts
        .iter()
        .map(|fact| {
            let recipient = fact.recipient.map_or_else(|| "-".to_owned(), |index| (index + 1).to_string());
            vec![fact.category.clone(), recipient, fact.state.clone(), when(fact.happened_at), known(fact.name.as_deref())]
        })
        .collect();
    text.push_str(&section("Attestazioni", &["categoria", "dest.", "stato", "del", "nome"], &facts));
    let files: Vec<Vec<String>> =
        detail.files.iter().map(|file| vec![file.kind.clone(), format!("{}/{}", file.folder, file.name)]).collect();
    text.push_str(&section("File", &["tipo", "nome"], &files));
    text.push_str(&section("Storia", &["quando", "evento", "stato", "chi", "motivo o codice"], &history_rows(&detail.history)));
    text
}

pub(super) fn job_rows(jobs: &[JobEntry]) -> Vec<Vec<String>> {
    jobs.iter()
        .map(|job| {
            let what = match words::job(&job.kind) {
                "" => job.kind.clone(),
                words => words.to_owned(),
            };
            vec![what, words::job_state(&job.state).to_owned(), when(job.due_at), job.attempts.to_string(), known(job.error.as_deref())]
        })
        .collect()
}

pub(super) fn history_rows(history: &[HistoryEntry]) -> Vec<Vec<String>> {
    history
        .iter()
        .map(|entry| {
            let why = entry.why.clone().or_else(|| entry.element.clone()).unwrap_or_else(|| entry.codes.join(", "));
            vec![when(entry.at), entry.event.clone(), known(entry.state.as_deref()), known(entry.who.as_deref()), why]
        })
        .collect()
}

/// The last useful day of a term that is kept as the midnight after it.
fn last_day(term: jiff::Timestamp) -> String {
    let last = term.saturating_sub(jiff::SignedDuration::from_secs(1)).unwrap_or(term);
    rome(last).strftime("%d/%m/%Y").to_string()
}
