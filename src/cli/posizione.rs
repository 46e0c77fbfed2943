//! `messo posizione show|sospendi|riprendi|retry`: the debt position of a notice. Prints no names and no tax ids of citizens.
//! Exit codes: 0 done, 1 refused or not found, 2 wrongly asked, 3 hub or store not reachable.

use std::process::ExitCode;

use jiff::civil::Date;

use super::act::job_rows;
use super::hub::{self, Common, Reason};
use super::table::{euro, known, pairs, section, when, when_known};
use crate::domain::money::Cents;
use crate::service::control::Request;
use crate::service::report::{PositionOrder, PositionReport, PositionStep};
use crate::store::PositionView;
use crate::text::it::{parking, pt as words};

/// Mostra la posizione debitoria di un avviso; ne sospende i termini, la fa riprendere.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

/// Which one.
#[derive(Debug, clap::Args)]
struct Which {
    /// Codice fiscale dell'ente creditore, 11 cifre.
    #[arg(value_name = "CREDITORE")]
    creditor: String,
    /// Numero avviso, 18 cifre.
    #[arg(value_name = "AVVISO")]
    notice: String,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Una posizione: stato, partner tecnologico, importi riga per riga, pagamenti, storia.
    Show {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        common: Common,
    },
    /// Sospende i termini di pagamento (ricorso): da quel giorno i giorni non contano e l'importo è ricalcolato.
    Sospendi {
        #[command(flatten)]
        which: Which,
        /// Primo giorno che non conta; se manca, oggi.
        #[arg(long, value_name = "AAAA-MM-GG")]
        dal: Option<Date>,
        /// Ultimo giorno che non conta; se manca, fino a nuovo ordine.
        #[arg(long, value_name = "AAAA-MM-GG")]
        al: Option<Date>,
        #[command(flatten)]
        reason: Reason,
        #[command(flatten)]
        common: Common,
    },
    /// I termini di pagamento riprendono a decorrere.
    Riprendi {
        #[command(flatten)]
        which: Which,
        /// Ultimo giorno che non conta; se manca, ieri.
        #[arg(long, value_name = "AAAA-MM-GG")]
        al: Option<Date>,
        #[command(flatten)]
        reason: Reason,
        #[command(flatten)]
        common: Common,
    },
    /// Fa riprendere una posizione ferma: il partner tecnologico è interrogato di nuovo.
    Retry {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        reason: Reason,
        #[command(flatten)]
        common: Common,
    },
}

/// Runs the command.
pub fn run(args: Args) -> ExitCode {
    match args.action {
        Action::Show { which: Which { creditor, notice }, common } => hub::run(&common, Request::Position { creditor, notice }, print),
        Action::Sospendi { which: Which { creditor, notice }, dal, al, reason: Reason { reason }, common } => {
            hub::run(&common, Request::StopDays { creditor, notice, from: dal, until: al, reason }, order_text)
        }
        Action::Riprendi { which: Which { creditor, notice }, al, reason: Reason { reason }, common } => {
            hub::run(&common, Request::GoDays { creditor, notice, last: al, reason }, order_text)
        }
        Action::Retry { which: Which { creditor, notice }, reason: Reason { reason }, common } => {
            hub::run(&common, Request::RetryPosition { creditor, notice, reason }, order_text)
        }
    }
}

fn cents(amount: Option<Cents>) -> String {
    amount.map_or_else(|| "-".to_owned(), |amount| euro(amount.get()))
}

fn day(date: Date) -> String {
    date.strftime("%d/%m/%Y").to_string()
}

fn order_text(report: &PositionOrder) -> String {
    let done = match report.order.as_str() {
        "SOSPENDI" => "termini di pagamento sospesi",
        "RIPRENDI_TERMINI" => "termini di pagamento ripresi",
        _ => "posizione ripresa: il partner tecnologico è interrogato di nuovo",
    };
    let effect = if report.running { "subito" } else { "al prossimo avvio del servizio, che ora è spento" };
    pairs(&[
        ("Fatto", done.to_owned()),
        ("Posizione", format!("{} {}", report.position.creditor, report.position.notice)),
        ("Stato", state(&report.position)),
        ("Effetto", effect.to_owned()),
        ("Registrato", format!("{}, «{}»", report.who, report.why)),
    ])
}

fn state(position: &PositionView) -> String {
    format!("{}: {}", position.state, words::position_state(&position.state))
}

fn print(report: &PositionReport) -> String {
    let position = &report.position;
    let parked = position.park_code.as_deref();
    let why = parked.map(|code| parking::sentence(code).map_or_else(|| code.to_owned(), |why| format!("{code}: {why}")));
    let held = position.held_state.map(|held| format!("{held}, letto il {}", when_known(position.read_at)));
    let reckoned = position.reckoned_on.map(|on| format!("{} (calcolato il {})", cents(position.wanted), day(on)));
    let mut text = pairs(&[
        ("Creditore", position.creditor.clone()),
        ("Avviso", position.notice.clone()),
        ("Partner tecnologico", position.pt.clone()),
        ("Stato", state(position)),
        ("Fermo perché", why.unwrap_or_default()),
        ("Da fare", parked.and_then(parking::remedy).unwrap_or_default().to_owned()),
        ("Costo di notifica", words::channel(position.costs).to_owned()),
        ("Presso il PT", held.unwrap_or_default()),
        ("Il PT chiede", cents(position.asked)),
        ("Costo tenuto dal PT", cents(position.fee)),
        ("Deve chiedere", reckoned.unwrap_or_default()),
        ("di cui costo", cents(position.wanted_cost.filter(|cost| cost.get() > 0))),
        ("Cambia il", position.next_day.map(day).unwrap_or_default()),
        ("Aggiornata al PT", when_known(position.pushed_at)),
        ("Pagata", position.paid_at.map(|at| format!("{} il {}", cents(position.paid), when(at))).unwrap_or_default()),
    ]);
    let lines: Vec<Vec<String>> = report.breakdown.iter().map(|line| vec![line.clone()]).collect();
    text.push_str(&section("Quanto è dovuto oggi", &[], &lines));
    let payments: Vec<Vec<String>> = report
        .payments
        .iter()
        .map(|payment| {
            let whole = if payment.whole { "per intero" } else { "in parte" };
            vec![when(payment.paid_at), euro(payment.amount.get()), whole.to_owned(), known(payment.receipt.as_deref())]
        })
        .collect();
    text.push_str(&section("Pagamenti", &["quando", "euro", "", "ricevuta"], &payments));
    let days: Vec<Vec<String>> = report
        .suspensions
        .iter()
        .map(|days| vec![day(days.from), days.until.map_or_else(|| "fino a nuovo ordine".to_owned(), day)])
        .collect();
    text.push_str(&section("Giorni che non contano", &["dal", "al"], &days));
    let acts: Vec<Vec<String>> = report.acts.iter().map(|act| vec![act.id.to_string(), act.reference.clone(), act.state.clone()]).collect();
    text.push_str(&section("Atti", &["atto", "riferimento", "stato"], &acts));
    text.push_str(&section("Che cosa accadrà", &["lavoro", "quando", "", "tentativi", "ultimo errore"], &job_rows(&report.jobs)));
    let history: Vec<Vec<String>> = report.history.iter().map(step).collect();
    text.push_str(&section("Storia", &["quando", "evento", "stato", "chi", "che cosa"], &history));
    text
}

fn step(step: &PositionStep) -> Vec<String> {
    let entry = &step.entry;
    let about = step.data.as_ref().map(words::about).unwrap_or_default();
    let why = entry.why.clone().map_or(about.clone(), |why| if about.is_empty() { why } else { format!("{about}; «{why}»") });
    vec![when(entry.at), entry.event.clone(), known(entry.state.as_deref()), known(entry.who.as_deref()), why]
}

/// Rows of positions, for other commands: creditor, notice, state, PT, what is asked and what should be.
pub(super) fn rows(positions: &[PositionView]) -> Vec<Vec<String>> {
    let row = |position: &PositionView| {
        vec![
            position.creditor.clone(),
            position.notice.clone(),
            position.park_code.clone().map_or_else(|| position.state.clone(), |code| format!("{} {code}", position.state)),
            position.pt.clone(),
            cents(position.asked),
            cents(position.wanted),
        ]
    };
    positions.iter().map(row).collect()
}

pub(super) const HEADS: &[&str] = &["creditore", "avviso", "stato", "PT", "il PT chiede", "deve chiedere"];
