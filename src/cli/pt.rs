//! `messo pt`: the partner tecnologici of the configuration, and one question to one of them. Exit codes: 0 as it should be, 1 not
//! (unknown notice, another amount, no answer, refused), 2 wrongly asked.
//!
//! The hub asks if one runs: it has the secrets. Without `--change` it only asks, and stores nothing; a change is in the books of
//! orders before it is made, wherever there are any.

use std::path::PathBuf;
use std::process::ExitCode;

use super::hub::{self, Common};
use super::table::plain;
use crate::config::{self, Config};
use crate::domain::money::Cents;
use crate::domain::notice_code;
use crate::service::control::Request;
use crate::service::operate::{PtQuestion, TaxId};
use crate::service::report::TrialReport;
use crate::service::trial;
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
    Try(Box<Question>),
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
    /// Motivo di --change: resta nel registro degli ordini con l'utente. Nessun codice fiscale.
    #[arg(long, value_name = "MOTIVO", alias = "motivo")]
    reason: Option<String>,
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
        What::Try(question) => try_one(&loaded.config, *question),
    }
}

fn list(config: &Config) -> ExitCode {
    hub::tried(config, Request::PtList).unwrap_or_else(|| hub::went(trial::pts(config, &mut hub::say)))
}

fn wrong(why: &str) -> ExitCode {
    eprintln!("messo: {why}");
    ExitCode::from(2)
}

/// The ente whose notices go to that PT; `Err`: why there is none (Italian).
fn creditor<'c>(config: &'c Config, question: &Question) -> Result<&'c str, String> {
    let asked = |tax_id: &str| question.ente.as_deref().is_none_or(|ente| ente == tax_id);
    let enti = config.institutions.iter().filter(|institution| asked(&institution.tax_id));
    let found: Vec<&str> = enti
        .filter(|institution| institution.payments.iter().any(|route| route.pt == question.name))
        .map(|institution| institution.tax_id.as_str())
        .collect();
    match found.as_slice() {
        [one] => Ok(*one),
        [] => Err(words::no_route(&plain(&question.name))),
        _ => Err(words::WHICH_ENTE.to_owned()),
    }
}

fn try_one(config: &Config, question: Question) -> ExitCode {
    if config.pt(&question.name).is_none() {
        return wrong(&words::no_such_pt(&plain(&question.name)));
    }
    if let Err(error) = notice_code::check(&question.notice) {
        match error {
            // SEND does not look at them either, and samples often break them.
            notice_code::NoticeCodeError::CheckDigits(_) => eprintln!("{}", words::CHECK_DIGITS),
            _ => return wrong(words::NOT_A_NOTICE),
        }
    }
    let euro = |text: &Option<String>| text.as_deref().map(Cents::parse_it).transpose();
    let (Ok(expected), Ok(change)) = (euro(&question.amount), euro(&question.change)) else { return wrong(words::NOT_AN_AMOUNT) };
    let creditor = match creditor(config, &question) {
        Ok(creditor) => creditor.to_owned(),
        Err(why) => return wrong(&why),
    };
    if config.route(&creditor, &question.notice).is_none_or(|(own, _)| own.pt != question.name) {
        eprintln!("{}", words::ANOTHER_ROUTE);
    }
    if change.is_some() && !question.yes {
        return wrong(words::NOT_CONFIRMED);
    }
    if change.is_some() && question.reason.is_none() {
        return wrong(it::operate::NO_REASON);
    }
    let asked = PtQuestion {
        name: question.name,
        creditor,
        notice: question.notice,
        expected,
        position_id: question.position_id,
        tax_id: question.debtor.as_deref().map(TaxId::typed),
        debtor_name: question.debtor_name,
        change,
        reason: question.reason,
    };
    if change.is_some() {
        return ordered(config, &Common { config: question.config, json: false }, asked);
    }
    hub::tried(config, Request::PtTry(asked.clone())).unwrap_or_else(|| here(config, &asked))
}

/// A change is an order: by the hub, or with the books of its store, which is opened for it. One that cannot be written down is not
/// made; where the service has never run there are no books yet.
fn ordered(config: &Config, common: &Common, asked: PtQuestion) -> ExitCode {
    match hub::asked::<TrialReport>(common, Request::PtTry(asked.clone())) {
        Ok(report) => hub::told(report),
        Err(failure) if failure.code == "SERVIZIO_MAI_AVVIATO" => {
            eprintln!("{}", words::NO_BOOKS);
            here(config, &asked)
        }
        Err(failure) => {
            eprintln!("messo: {}", plain(&failure.message));
            ExitCode::from(failure.exit)
        }
    }
}

fn here(config: &Config, asked: &PtQuestion) -> ExitCode {
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => hub::went(runtime.block_on(trial::pt(config, asked, &mut hub::say))),
        Err(error) => wrong(&error.to_string()),
    }
}
