//! Trials that an operator orders: one mail, the list of the PTs, one question to a PT. The hub makes them if one runs, because
//! only it has the credentials that systemd hands over; without a hub the command does.
//!
//! What is tried is the configuration as its file has it now, and it is told when the hub still works with another one.

use std::sync::Arc;

use async_trait::async_trait;

use super::Hub;
use super::mail::proof;
use super::operate::{PtQuestion, Trier};
use super::report::TrialReport;
use crate::clock::{self, Clock};
use crate::config::secret::SecretError;
use crate::config::{self, Config, PaymentRoute, PtConfig};
use crate::connectors::pt::{Partner, PtSettings, PtSetupError};
use crate::connectors::{ConnectorError, Distrust};
use crate::domain::act::PositionData;
use crate::domain::money::Cents;
use crate::domain::position::{Asked, Change, Changed, Held, HeldState, Payer};
use crate::text::it;
use crate::text::it::pt as words;
use crate::text::it::service as said;

/// Lines told one by one, as they are known.
pub type Say<'a> = &'a mut (dyn FnMut(String) + Send);

/// Trials of the process that a command is.
pub struct Here(pub Config);

/// Trials of a running hub.
pub struct OfHub(pub Arc<Hub>);

#[async_trait]
impl Trier for Here {
    async fn mail(&self, to: &[String]) -> TrialReport {
        let mut lines = Vec::new();
        let good = mail(&self.0, to, &mut |line| lines.push(line)).await;
        TrialReport { lines, good }
    }

    async fn pts(&self) -> TrialReport {
        let mut lines = Vec::new();
        let good = pts(&self.0, &mut |line| lines.push(line));
        TrialReport { lines, good }
    }

    async fn pt(&self, question: &PtQuestion) -> TrialReport {
        let mut lines = Vec::new();
        let good = pt(&self.0, question, &mut |line| lines.push(line)).await;
        TrialReport { lines, good }
    }
}

impl OfHub {
    /// The configuration as its file has it, and what is to be said if the hub works with another one. `Err`: it cannot be read.
    async fn fresh(&self, same: impl FnOnce(&Config, &Config) -> bool) -> Result<(Here, Option<String>), TrialReport> {
        let file = self.0.config_file.clone();
        let refused = |line: String| TrialReport { lines: vec![line], good: false };
        let loaded = tokio::task::spawn_blocking(move || config::load(&file)).await.map_err(|error| refused(error.to_string()))?;
        let loaded = loaded.map_err(|problems| TrialReport {
            lines: std::iter::once(said::TRIAL_UNREADABLE.to_owned()).chain(problems.list.iter().map(it::config::line)).collect(),
            good: false,
        })?;
        let note = (!same(&self.0.settings(), &loaded.config)).then(|| said::TRIAL_NOT_RELOADED.to_owned());
        Ok((Here(loaded.config), note))
    }
}

fn noted(mut report: TrialReport, note: Option<String>) -> TrialReport {
    report.lines.extend(note);
    report
}

#[async_trait]
impl Trier for OfHub {
    async fn mail(&self, to: &[String]) -> TrialReport {
        match self.fresh(|running, file| running.mail == file.mail).await {
            Ok((here, note)) => noted(here.mail(to).await, note),
            Err(report) => report,
        }
    }

    async fn pts(&self) -> TrialReport {
        match self.fresh(|running, file| running.pts == file.pts).await {
            Ok((here, note)) => noted(here.pts().await, note),
            Err(report) => report,
        }
    }

    async fn pt(&self, question: &PtQuestion) -> TrialReport {
        match self.fresh(|running, file| running.pt(&question.name) == file.pt(&question.name)).await {
            Ok((here, note)) => noted(here.pt(question).await, note),
            Err(report) => report,
        }
    }
}

/// One mail to each recipient: whether the server took them all.
pub async fn mail(config: &Config, to: &[String], say: Say<'_>) -> bool {
    let Some(mail) = &config.mail else {
        say(it::mail::NO_MAIL.to_owned());
        return false;
    };
    say(format!("Server: {}:{} ({})", mail.host, mail.port(), format!("{:?}", mail.tls).to_lowercase()));
    match proof::prove(config, mail, to, |told| say(proof::line(&told))).await {
        Ok(all) => all,
        Err(error) => {
            say(proof::why_not(&error));
            false
        }
    }
}

/// Every PT, what it can do and which notices are its own: whether all can be used.
pub fn pts(config: &Config, say: Say<'_>) -> bool {
    if config.pts.is_empty() {
        say(words::NO_PT.to_owned());
        return true;
    }
    let mut good = true;
    for pt in &config.pts {
        say(format!("{} ({})", pt.name, words::kind_name(pt.kind)));
        match partner(pt) {
            Ok(partner) => say(format!("  {}", words::capabilities(&partner.capabilities()))),
            Err(why) => {
                good = false;
                say(format!("  {why}"));
            }
        }
        for institution in &config.institutions {
            for route in institution.payments.iter().filter(|route| route.pt == pt.name) {
                say(format!("  {}", words::route(&institution.tax_id, route)));
            }
        }
    }
    good
}

/// `Err`: why it cannot be used, and how it can.
fn partner(pt: &PtConfig) -> Result<Partner, String> {
    let made = PtSettings::read(pt, Clock::REAL, pt.is_local()).and_then(Partner::new);
    made.map_err(|error| match &error {
        PtSetupError::Secret { error: SecretError::NoCredentials, .. } => {
            words::not_usable(&it::credentials_elsewhere(&format!("messo pt try {} --notice NUMERO", pt.name)))
        }
        _ => words::not_usable(&error.to_string()),
    })
}

/// Asks a PT about a notice, and changes its amount if that is wanted: whether it is as it should be.
pub async fn pt(config: &Config, question: &PtQuestion, say: Say<'_>) -> bool {
    let way = config.pt(&question.name).zip(route(config, question));
    let Some((pt, route)) = way else {
        say(words::no_route(&question.name));
        return false;
    };
    let partner = match partner(pt) {
        Ok(partner) => partner,
        Err(why) => {
            say(why);
            return false;
        }
    };
    let asked = asked(question);
    say(format!("{} ({}), ente {}, avviso {}", pt.name, words::kind_name(pt.kind), question.creditor, question.notice));
    say(format!("  {}", words::capabilities(&partner.capabilities())));
    let good = look(&partner, route, &asked, question.expected, say).await;
    match question.change {
        Some(amount) => change(&partner, route, &asked, amount, say).await,
        None => good,
    }
}

/// The way of that very notice, else any of the ente to that PT: whoever tries knows what he asks.
#[must_use]
pub fn route<'c>(config: &'c Config, question: &PtQuestion) -> Option<&'c PaymentRoute> {
    let institution = config.institution(&question.creditor)?;
    let own = institution.route(&question.notice).filter(|route| route.pt == question.name);
    own.or_else(|| institution.payments.iter().find(|route| route.pt == question.name))
}

fn asked(question: &PtQuestion) -> Asked {
    let payers = question.tax_id.iter().map(|tax_id| Payer {
        natural: tax_id.as_str().len() == 16,
        tax_id: tax_id.as_str().to_owned(),
        denomination: question.debtor_name.clone().unwrap_or_default(),
    });
    Asked {
        creditor: question.creditor.clone(),
        notice: question.notice.clone(),
        data: PositionData { position_id: question.position_id.clone(), ..PositionData::default() },
        payers: payers.collect(),
    }
}

/// Asks, says what was answered; whether it is as it should be.
async fn look(partner: &Partner, route: &PaymentRoute, asked: &Asked, expected: Option<Cents>, say: Say<'_>) -> bool {
    let capabilities = partner.capabilities();
    if !capabilities.verify {
        say(format!("  {}", words::CANNOT_ASK));
        return true;
    }
    let held = match partner.verify(route, asked).await {
        Ok(held) => held,
        Err(error) => {
            say(format!("  {}", failure(&error)));
            return false;
        }
    };
    words::held(&held).into_iter().for_each(|line| say(format!("  {line}")));
    if held.notice.as_ref().is_some_and(|notice| *notice != asked.notice)
        || held.creditor.as_ref().is_some_and(|creditor| *creditor != asked.creditor)
    {
        say(format!("  {}", words::ABOUT_ANOTHER));
        return false;
    }
    match (expected, total(&held)) {
        (Some(expected), Some(found)) if expected != found => {
            say(format!("  {}", words::other_amount(expected)));
            false
        }
        (Some(_), None) => {
            say(format!("  {}", words::NO_AMOUNT));
            false
        }
        _ => true,
    }
}

/// What the citizen is asked.
fn total(held: &Held) -> Option<Cents> {
    held.amount.map(|amount| Cents(amount.get() + held.fee.map_or(0, Cents::get)))
}

async fn change(partner: &Partner, route: &PaymentRoute, asked: &Asked, amount: Cents, say: Say<'_>) -> bool {
    // A key of its own for each run: two runs are two changes.
    let key = format!("prova-{}", clock::new_uuid().simple());
    let change = Change { key, amount, cost: Cents(0), due_date: None, cost_place: None, reason: words::TRIAL.to_owned() };
    say(format!("  {}", words::changing(amount)));
    match partner.change(route, asked, &change).await {
        Ok(Changed::Done) => {
            say(format!("  {}", words::CHANGED));
            if !partner.capabilities().verify {
                return true;
            }
            match partner.verify(route, asked).await {
                Ok(held) => {
                    words::held(&held).into_iter().for_each(|line| say(format!("  {line}")));
                    matches!(held.state, HeldState::Payable | HeldState::NotActive) && held.amount.is_none_or(|found| found == amount)
                }
                Err(error) => {
                    say(format!("  {}", failure(&error)));
                    false
                }
            }
        }
        Ok(Changed::TakenInCharge { ticket }) => {
            say(format!("  {}", words::taken_in_charge(&ticket)));
            true
        }
        Err(error) => {
            say(format!("  {}", failure(&error)));
            false
        }
    }
}

/// What went wrong, in Italian: codes only, never what the PT may quote.
fn failure(error: &ConnectorError) -> String {
    match error.certificate() {
        Some(Distrust::Its) => return words::certificate(&error.to_string()),
        Some(Distrust::Ours) => return words::our_certificate(&error.to_string()),
        None => {}
    }
    match error {
        ConnectorError::Temporary { what, .. } => words::temporary(what),
        ConnectorError::Refused(problem) => words::refused(&problem.codes()),
        ConnectorError::Sender(problem) => words::not_let_in(&problem.codes()),
        ConnectorError::Uncertain { what } => words::uncertain(what),
        ConnectorError::NotFound(problem) => words::unknown_notice(&problem.codes()),
        ConnectorError::Conflict(problem) => words::not_changeable(&problem.codes()),
        ConnectorError::Unclassified(problem) => words::unknown_code(&problem.codes()),
        ConnectorError::Protocol { what } => words::nonsense(what),
    }
}
