//! `messo pt`: the partner tecnologici of the configuration, and one question to one of them. Exit codes: 0 as it should be, 1 not
//! (unknown notice, another amount, no answer, refused), 2 wrongly asked.
//!
//! It speaks to the PT by itself, hub on or off, and stores nothing. Without `--change` it only asks.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use super::table::plain;
use crate::clock::Clock;
use crate::config::{self, Config, PaymentRoute, PtConfig};
use crate::connectors::pt::{Partner, PtSettings};
use crate::connectors::{ConnectorError, Distrust};
use crate::domain::act::PositionData;
use crate::domain::money::Cents;
use crate::domain::notice_code;
use crate::domain::position::{Asked, Change, Changed, Held, HeldState, Payer};
use crate::text::it;
use crate::text::it::pt as words;

/// I partner tecnologici.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Elenca i PT della configurazione e che cosa sanno fare.
    List {
        /// File di configurazione.
        #[arg(long, value_name = "FILE", default_value = "/etc/messo/messo.toml")]
        config: PathBuf,
    },
    /// Chiede a un PT di un avviso e dice che cosa ha risposto. Non cambia niente, salvo --change con --yes.
    Try(Question),
}

#[derive(Debug, clap::Args)]
struct Question {
    /// Nome del PT.
    name: String,
    /// Numero avviso, 18 cifre.
    #[arg(long, value_name = "NUMERO")]
    notice: String,
    /// Codice fiscale dell'ente; senza, quello che affida gli avvisi a questo PT, se è uno solo.
    #[arg(long, value_name = "CODICE_FISCALE")]
    ente: Option<String>,
    /// Importo che ci si aspetta, in euro (12,50).
    #[arg(long, value_name = "EURO")]
    amount: Option<String>,
    /// Identificativo della posizione presso il PT (IUPD, IUD, idPendenza), se il PT lo vuole.
    #[arg(long, value_name = "ID")]
    position_id: Option<String>,
    /// Codice fiscale di chi deve pagare, se il PT lo vuole.
    #[arg(long, value_name = "CODICE_FISCALE")]
    debtor: Option<String>,
    /// Nome di chi deve pagare, se il PT lo vuole.
    #[arg(long, value_name = "NOME")]
    debtor_name: Option<String>,
    /// Cambia l'importo presso il PT, in euro (12,50): solo con --yes.
    #[arg(long, value_name = "EURO")]
    change: Option<String>,
    /// Conferma --change.
    #[arg(long, requires = "change")]
    yes: bool,
    /// File di configurazione.
    #[arg(long, value_name = "FILE", default_value = "/etc/messo/messo.toml")]
    config: PathBuf,
}

/// Runs the command.
pub fn run(args: Args) -> ExitCode {
    let file = match &args.what {
        What::List { config } => config,
        What::Try(question) => &question.config,
    };
    let loaded = match config::load(file) {
        Ok(loaded) => loaded,
        Err(problems) => {
            eprint!("{}", it::config::lines(&problems));
            return ExitCode::from(2);
        }
    };
    match args.what {
        What::List { .. } => list(&loaded.config),
        What::Try(question) => try_one(&loaded.config, &question),
    }
}

fn partner(pt: &PtConfig) -> Result<Partner, String> {
    let settings = PtSettings::read(pt, Clock::REAL, pt.is_local());
    settings.and_then(Partner::new).map_err(|error| error.to_string())
}

fn list(config: &Config) -> ExitCode {
    if config.pts.is_empty() {
        say(words::NO_PT);
        return ExitCode::SUCCESS;
    }
    let mut good = true;
    for pt in &config.pts {
        say(&format!("{} ({})", pt.name, words::kind_name(pt.kind)));
        match partner(pt) {
            Ok(partner) => say(&format!("  {}", words::capabilities(&partner.capabilities()))),
            Err(error) => {
                good = false;
                say(&format!("  {}", words::not_usable(&plain(&error))));
            }
        }
        for institution in &config.institutions {
            for route in institution.payments.iter().filter(|route| route.pt == pt.name) {
                say(&format!("  {}", words::route(&institution.tax_id, route)));
            }
        }
    }
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn wrong(why: &str) -> ExitCode {
    eprintln!("messo: {why}");
    ExitCode::from(2)
}

/// The ente and its way to that PT; `Err`: why there is none (Italian).
fn way<'c>(config: &'c Config, question: &Question) -> Result<(&'c str, &'c PaymentRoute), String> {
    let asked = |tax_id: &str| question.ente.as_deref().is_none_or(|ente| ente == tax_id);
    let mut found = Vec::new();
    for institution in config.institutions.iter().filter(|institution| asked(&institution.tax_id)) {
        // The way of that very notice, else any to that PT: whoever tries knows what he asks.
        let own = institution.route(&question.notice).filter(|route| route.pt == question.name);
        let route = own.or_else(|| institution.payments.iter().find(|route| route.pt == question.name));
        found.extend(route.map(|route| (institution.tax_id.as_str(), route)));
    }
    match found.as_slice() {
        [one] => Ok(*one),
        [] => Err(words::no_route(&plain(&question.name))),
        _ => Err(words::WHICH_ENTE.to_owned()),
    }
}

fn try_one(config: &Config, question: &Question) -> ExitCode {
    let Some(pt) = config.pt(&question.name) else { return wrong(&words::no_such_pt(&plain(&question.name))) };
    if let Err(error) = notice_code::check(&question.notice) {
        match error {
            // SEND does not look at them either, and samples often break them.
            notice_code::NoticeCodeError::CheckDigits(_) => eprintln!("{}", words::CHECK_DIGITS),
            _ => return wrong(words::NOT_A_NOTICE),
        }
    }
    let euro = |text: &Option<String>| text.as_deref().map(Cents::parse_it).transpose();
    let (Ok(expected), Ok(amount)) = (euro(&question.amount), euro(&question.change)) else { return wrong(words::NOT_AN_AMOUNT) };
    let (creditor, route) = match way(config, question) {
        Ok(way) => way,
        Err(why) => return wrong(&why),
    };
    if config.route(creditor, &question.notice).is_none_or(|(own, _)| own.pt != question.name) {
        eprintln!("{}", words::ANOTHER_ROUTE);
    }
    if amount.is_some() && !question.yes {
        return wrong(words::NOT_CONFIRMED);
    }
    let partner = match partner(pt) {
        Ok(partner) => partner,
        Err(error) => {
            eprintln!("messo: {}", words::not_usable(&plain(&error)));
            return ExitCode::FAILURE;
        }
    };
    let asked = asked(question, creditor);
    say(&format!("{} ({}), ente {creditor}, avviso {}", pt.name, words::kind_name(pt.kind), question.notice));
    say(&format!("  {}", words::capabilities(&partner.capabilities())));
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return wrong(&error.to_string()),
    };
    let good = runtime.block_on(async {
        let mut good = look(&partner, route, &asked, expected).await;
        if let Some(amount) = amount {
            good = change(&partner, route, &asked, amount).await;
        }
        good
    });
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn asked(question: &Question, creditor: &str) -> Asked {
    let payers = question.debtor.iter().map(|tax_id| Payer {
        natural: tax_id.len() == 16,
        tax_id: tax_id.clone(),
        denomination: question.debtor_name.clone().unwrap_or_default(),
    });
    Asked {
        creditor: creditor.to_owned(),
        notice: question.notice.clone(),
        data: PositionData { position_id: question.position_id.clone(), ..PositionData::default() },
        payers: payers.collect(),
    }
}

/// Asks, says what was answered; whether it is as it should be.
async fn look(partner: &Partner, route: &PaymentRoute, asked: &Asked, expected: Option<Cents>) -> bool {
    let capabilities = partner.capabilities();
    if !capabilities.verify {
        say(&format!("  {}", words::CANNOT_ASK));
        return true;
    }
    let held = match partner.verify(route, asked).await {
        Ok(held) => held,
        Err(error) => {
            say(&format!("  {}", failure(&error)));
            return false;
        }
    };
    words::held(&held).iter().for_each(|line| say(&format!("  {}", plain(line))));
    if held.notice.as_ref().is_some_and(|notice| *notice != asked.notice)
        || held.creditor.as_ref().is_some_and(|creditor| *creditor != asked.creditor)
    {
        say(&format!("  {}", words::ABOUT_ANOTHER));
        return false;
    }
    match (expected, total(&held)) {
        (Some(expected), Some(found)) if expected != found => {
            say(&format!("  {}", words::other_amount(expected)));
            false
        }
        (Some(_), None) => {
            say(&format!("  {}", words::NO_AMOUNT));
            false
        }
        _ => true,
    }
}

/// What the citizen is asked.
fn total(held: &Held) -> Option<Cents> {
    held.amount.map(|amount| Cents(amount.get() + held.fee.map_or(0, Cents::get)))
}

async fn change(partner: &Partner, route: &PaymentRoute, asked: &Asked, amount: Cents) -> bool {
    // A key of its own for each run: two runs are two changes.
    let key = format!("prova-{}", uuid::Uuid::now_v7().simple());
    let change = Change { key, amount, cost: Cents(0), due_date: None, cost_place: None, reason: words::TRIAL.to_owned() };
    say(&format!("  {}", words::changing(amount)));
    match partner.change(route, asked, &change).await {
        Ok(Changed::Done) => {
            say(&format!("  {}", words::CHANGED));
            if !partner.capabilities().verify {
                return true;
            }
            match partner.verify(route, asked).await {
                Ok(held) => {
                    words::held(&held).iter().for_each(|line| say(&format!("  {}", plain(line))));
                    matches!(held.state, HeldState::Payable | HeldState::NotActive) && held.amount.is_none_or(|found| found == amount)
                }
                Err(error) => {
                    say(&format!("  {}", failure(&error)));
                    false
                }
            }
        }
        Ok(Changed::TakenInCharge { ticket }) => {
            say(&format!("  {}", words::taken_in_charge(&plain(&ticket))));
            true
        }
        Err(error) => {
            say(&format!("  {}", failure(&error)));
            false
        }
    }
}

/// What went wrong, in Italian: codes only, never what the PT may quote.
fn failure(error: &ConnectorError) -> String {
    let codes = |problem: &crate::connectors::Problem| plain(&problem.codes());
    match error.certificate() {
        Some(Distrust::Its) => return words::certificate(&plain(&error.to_string())),
        Some(Distrust::Ours) => return words::our_certificate(&plain(&error.to_string())),
        None => {}
    }
    match error {
        ConnectorError::Temporary { what, .. } => words::temporary(&plain(what)),
        ConnectorError::Refused(problem) => words::refused(&codes(problem)),
        ConnectorError::Sender(problem) => words::not_let_in(&codes(problem)),
        ConnectorError::Uncertain { what } => words::uncertain(&plain(what)),
        ConnectorError::NotFound(problem) => words::unknown_notice(&codes(problem)),
        ConnectorError::Conflict(problem) => words::not_changeable(&codes(problem)),
        ConnectorError::Unclassified(problem) => words::unknown_code(&codes(problem)),
        ConnectorError::Protocol { what } => words::nonsense(&plain(what)),
    }
}

/// A reader that went away is no error.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
