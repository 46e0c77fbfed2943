//! MyPay (Regione del Veneto and who runs its software): SOAP `pa-per-ente.wsdl`, password in the body, business errors in the
//! ordinary answer.
//!
//! Amounts are only told by `paaSILChiediPosizioniAperte`, which asks by debtor: that goes first, then
//! `paaSILChiediPagatiConRicevuta` for what was paid. `paaSILVerificaAvviso` opens a payment session, so it goes last and never
//! before a change. A change is `paaSILImportaDovuto`, action M, with the whole `Versamento` as MyPay has it.

mod faults;
mod installations;
mod wire;

use std::sync::Arc;

use reqwest::Url;

use super::balance;
use super::call::{broken, call, problem};
use super::rest::{address, code, protocol, refused, sound};
use super::{PtSettings, PtSetupError};
use crate::config::PaymentRoute;
use crate::connectors::ConnectorError;
use crate::connectors::soap::{self, Element};
use crate::domain::money::Cents;
use crate::domain::notice_code;
use crate::domain::position::{Asked, Capabilities, Change, Changed, Held, HeldState, PaymentSeen};
use faults::Fault;
pub use installations::{INSTALLATIONS, Installation};
use wire::{Action, Credentials, Open, Position, Row};

/// Debtors asked about one notice: who owes jointly.
const MOST_PAYERS: usize = 8;

/// An installation of MyPay.
#[derive(Clone)]
pub struct MyPay {
    inner: Arc<Inner>,
}

struct Inner {
    settings: PtSettings,
    installation: &'static Installation,
    url: Url,
    password: crate::config::secret::Secret,
}

/// What the open ones say of a notice.
enum Listed {
    Found(Open),
    /// `unread`: one of them could not be read, and may be it.
    Nowhere {
        unread: bool,
    },
}

/// What the paid ones say of a notice.
enum Past {
    Paid(PaymentSeen),
    State(HeldState),
    /// MyPay knows it and nobody began to pay.
    NotBegun,
    Unknown,
    /// The operation is not there.
    NotTold,
}

impl MyPay {
    /// Checks the settings; calls nobody.
    pub fn new(settings: PtSettings) -> Result<MyPay, PtSetupError> {
        let installation = installations::of(settings.config.profile.as_deref())
            .ok_or_else(|| PtSetupError::Profile(settings.config.profile.clone().unwrap_or_default()))?;
        let base = settings.config.url.clone().ok_or(PtSetupError::Missing { key: "url" })?;
        let whole =
            if installation.path.is_empty() { base.clone() } else { format!("{}{}", base.trim_end_matches('/'), installation.path) };
        let url = address(&whole).ok_or(PtSetupError::BaseUrl(base))?;
        let password = settings.password.clone().ok_or(PtSetupError::Missing { key: "password" })?;
        if !installation.confirmed {
            tracing::warn!(
                pt = settings.config.name,
                profile = installation.profile,
                "un'installazione di MyPay che non pubblica il suo servizio: è presa per uguale a quella di Veneto, da confermare con chi la gestisce"
            );
        }
        Ok(MyPay { inner: Arc::new(Inner { settings, installation, url, password }) })
    }

    /// What this installation can do.
    #[must_use]
    pub fn capabilities(&self) -> Capabilities {
        let Installation { open_positions, paid, check, import, .. } = *self.inner.installation;
        Capabilities {
            verify: open_positions || paid || check,
            tells_amount: open_positions,
            needs_position_id: !open_positions,
            changes_by_position_id: !open_positions,
            ties_position_id: false,
            update: import,
            moves_date: import,
            tells_date: false,
            answers_later: false,
            fee_apart: false,
            cancel: import,
        }
    }

    /// What it holds for a notice.
    pub async fn verify(&self, route: &PaymentRoute, asked: &Asked) -> Result<Held, ConnectorError> {
        let iuv = iuv(asked)?;
        if let Listed::Found(open) = self.open(route, asked, iuv).await? {
            let position_id = match &open {
                Open::Whole(position) => Some(position.iud.clone()),
                Open::Amount(..) => None,
            };
            return Ok(Held { amount: Some(open.amount()), position_id, ..Held::of(HeldState::Payable) });
        }
        match self.past(route, asked, iuv).await? {
            Past::Paid(payment) => Ok(Held {
                amount: Some(payment.amount),
                creditor: Some(asked.creditor.clone()),
                payment: Some(payment),
                ..Held::of(HeldState::Paid)
            }),
            Past::State(state) => Ok(Held::of(state)),
            Past::NotBegun => Ok(Held::of(HeldState::Payable)),
            Past::Unknown | Past::NotTold if self.inner.installation.check => self.check(route, asked, iuv).await,
            Past::Unknown | Past::NotTold => Err(ConnectorError::NotFound(problem(200, "PAA_IUV_NON_VALIDO"))),
        }
    }

    /// Makes a debt ask for another amount.
    pub async fn change(&self, route: &PaymentRoute, asked: &Asked, change: &Change) -> Result<Changed, ConnectorError> {
        sound(change)?;
        let iuv = iuv(asked)?;
        let position = self.rewritable(route, asked, iuv).await?;
        self.import(route, asked, iuv, &position, Action::Modify(change)).await
    }

    /// Withdraws a debt; one that is withdrawn already stays so.
    pub async fn cancel(&self, route: &PaymentRoute, asked: &Asked, _key: &str) -> Result<Changed, ConnectorError> {
        let iuv = iuv(asked)?;
        let cancelled =
            |error: &ConnectorError| matches!(error, ConnectorError::Conflict(problem) if problem.has("PAA_PAGAMENTO_ANNULLATO"));
        let done = match self.rewritable(route, asked, iuv).await {
            Ok(position) => self.import(route, asked, iuv, &position, Action::Cancel).await,
            Err(error) => Err(error),
        };
        match done {
            Err(error) if cancelled(&error) => Ok(Changed::Done),
            done => done,
        }
    }

    /// The debt behind a notice, as it must be written back.
    async fn rewritable(&self, route: &PaymentRoute, asked: &Asked, iuv: &str) -> Result<Position, ConnectorError> {
        let unread = match self.open(route, asked, iuv).await? {
            Listed::Found(Open::Whole(position)) => return Ok(*position),
            Listed::Found(Open::Amount(..)) => return Err(refused(code::NOT_REWRITABLE)),
            Listed::Nowhere { unread } => unread,
        };
        let conflict = |code: &str| Err(ConnectorError::Conflict(problem(200, code)));
        match self.past(route, asked, iuv).await? {
            Past::Paid(_) => return conflict("PAA_PAGAMENTO_DUPLICATO"),
            Past::State(HeldState::Cancelled) => return conflict("PAA_PAGAMENTO_ANNULLATO"),
            Past::State(HeldState::Expired) => return conflict("PAA_PAGAMENTO_SCADUTO"),
            Past::State(_) => return conflict("PAA_PAGAMENTO_IN_CORSO"),
            // MyPay finds a debt by its IUD: of an IUV that it does not know the batch's IUD could be another debt.
            Past::Unknown => return Err(ConnectorError::NotFound(problem(200, "PAA_IUV_NON_VALIDO"))),
            // What cannot be read would be written over.
            Past::NotBegun | Past::NotTold if unread => return Err(protocol("an open position that cannot be read")),
            // Open under another debtor, or nobody tells.
            Past::NotBegun | Past::NotTold => {}
        }
        let position = wire::from_batch(self.inner.installation, asked, route.service.as_deref());
        let missing = if asked.data.position_id.is_none() { code::POSITION_ID } else { code::NOT_REWRITABLE };
        position.ok_or_else(|| refused(missing))
    }

    /// `paaSILChiediPosizioniAperte`, debtor by debtor.
    async fn open(&self, route: &PaymentRoute, asked: &Asked, iuv: &str) -> Result<Listed, ConnectorError> {
        let installation = self.inner.installation;
        let mut unread = false;
        if !installation.open_positions {
            return Ok(Listed::Nowhere { unread });
        }
        let credentials = self.credentials(route, asked);
        for payer in asked.payers.iter().take(MOST_PAYERS).filter(|payer| !payer.tax_id.is_empty()) {
            let mut found: Option<Open> = None;
            let mut breach = None;
            let envelope = wire::open_positions(installation, credentials, payer);
            let fault = self
                .ask("paaSILChiediPosizioniAperte", envelope, false, |element| {
                    if element.name != "paaSILPosizioniAperte" {
                        return;
                    }
                    match wire::read_open(&element, credentials.ente, iuv) {
                        Ok(Row::Wanted(_)) if found.is_some() => breach = Some("two open positions with one IUV"),
                        Ok(Row::Wanted(open)) => found = Some(open),
                        Ok(Row::Other) => {}
                        // Another debt of the same debtor, unless this one is nowhere else.
                        Ok(Row::Unreadable) => unread = true,
                        Err(what) => breach = Some(what),
                    }
                })
                .await?;
            match (fault, breach, found) {
                (Some(code), _, _) => match faults::read(&code) {
                    Fault::Unknown => {}
                    Fault::NotThere => return Ok(Listed::Nowhere { unread }),
                    _ => return Err(faults::verdict(&code, false)),
                },
                (None, Some(what), _) => return Err(protocol(what)),
                (None, None, Some(open)) => return Ok(Listed::Found(open)),
                (None, None, None) => {}
            }
        }
        Ok(Listed::Nowhere { unread })
    }

    /// `paaSILChiediPagatiConRicevuta`
    async fn past(&self, route: &PaymentRoute, asked: &Asked, iuv: &str) -> Result<Past, ConnectorError> {
        let installation = self.inner.installation;
        if !installation.paid {
            return Ok(Past::NotTold);
        }
        let envelope = wire::paid(installation, self.credentials(route, asked), iuv);
        let mut pagati = None;
        let keep = |element: Element| {
            if element.name == "pagati" {
                pagati = element.own().map(str::to_owned);
            }
        };
        if let Some(code) = self.ask("paaSILChiediPagatiConRicevuta", envelope, false, keep).await? {
            return Ok(match faults::read(&code) {
                Fault::Unknown => Past::Unknown,
                Fault::NotBegun => Past::NotBegun,
                Fault::NotThere => Past::NotTold,
                Fault::BeingPaid => Past::State(HeldState::BeingPaid),
                Fault::Cancelled => Past::State(HeldState::Cancelled),
                Fault::Expired => Past::State(HeldState::Expired),
                _ => return Err(faults::verdict(&code, false)),
            });
        }
        let pagati = pagati.ok_or_else(|| protocol("an answer without payment and without fault"))?;
        match wire::read_paid(&pagati, &asked.creditor, iuv).map_err(protocol)? {
            Some(payment) => Ok(Past::Paid(payment)),
            None => Ok(Past::NotBegun),
        }
    }

    /// `paaSILVerificaAvviso`
    async fn check(&self, route: &PaymentRoute, asked: &Asked, iuv: &str) -> Result<Held, ConnectorError> {
        let envelope = wire::check(self.inner.installation, self.credentials(route, asked), iuv);
        let mut outcome = None;
        let keep = |element: Element| {
            if element.name == "esito" {
                outcome = element.own().map(str::to_owned);
            }
        };
        match self.ask("paaSILVerificaAvviso", envelope, false, keep).await? {
            None if outcome.as_deref() == Some("OK") => Ok(Held::of(HeldState::Payable)),
            None => Err(protocol("neither OK nor a fault")),
            Some(code) => match faults::read(&code) {
                Fault::Expired => Ok(Held::of(HeldState::Expired)),
                Fault::BeingPaid => Ok(Held::of(HeldState::BeingPaid)),
                Fault::Cancelled => Ok(Held::of(HeldState::Cancelled)),
                _ => Err(faults::verdict(&code, false)),
            },
        }
    }

    /// `paaSILImportaDovuto`
    async fn import(
        &self,
        route: &PaymentRoute,
        asked: &Asked,
        iuv: &str,
        position: &Position,
        action: Action<'_>,
    ) -> Result<Changed, ConnectorError> {
        let installation = self.inner.installation;
        let versamento =
            wire::versamento(installation, position, iuv, asked.data.balance.as_deref(), action).map_err(|_| refused(code::PARTS))?;
        let envelope = wire::import(installation, self.credentials(route, asked), &versamento);
        let (mut outcome, mut about) = (None, None);
        let keep = |element: Element| match element.name.as_str() {
            "esito" => outcome = element.own().map(str::to_owned),
            "identificativoUnivocoVersamento" => about = element.own().map(str::to_owned),
            _ => {}
        };
        match self.ask("paaSILImportaDovuto", envelope, true, keep).await? {
            Some(code) => Err(faults::verdict(&code, true)),
            None if about.is_some_and(|about| about != iuv) => Err(broken("an outcome of another notice", true)),
            None if outcome.as_deref() == Some("OK") => Ok(Changed::Done),
            None => Err(broken("neither OK nor a fault", true)),
        }
    }

    fn credentials<'c>(&'c self, route: &'c PaymentRoute, asked: &'c Asked) -> Credentials<'c> {
        Credentials { ente: route.ente.as_deref().unwrap_or(&asked.creditor), password: self.inner.password.expose() }
    }

    /// One call: `Some` is the code of MyPay's own fault; the rest of the answer goes to `each`.
    async fn ask(
        &self,
        operation: &str,
        envelope: Vec<u8>,
        writes: bool,
        mut each: impl FnMut(Element),
    ) -> Result<Option<String>, ConnectorError> {
        let request = soap::request(&self.inner.url, operation, envelope)?;
        let answer = call(&self.inner.settings, request, writes).await?;
        let mut fault = None;
        let mut ko = false;
        soap::answer(&answer.body, &format!("{operation}Risposta"), |element| match element.name.as_str() {
            "fault" => fault = element.value(&["faultCode"]).map(str::to_owned).or(fault.take()),
            "esito" => {
                ko = element.own() == Some("KO");
                each(element);
            }
            _ => each(element),
        })
        .map_err(|error| error.verdict(answer.status, writes))?;
        if ko && fault.is_none() {
            return Err(broken("KO without a fault", writes));
        }
        Ok(fault)
    }
}

/// The bilancio of a batch for another amount, as the element that an import file has; `None`: it cannot be spread over.
pub fn bilancio(given: &str, amount: Cents, cost: Cents, place: Option<&str>) -> Option<String> {
    let lines = balance::fit(&balance::of_chapters(given).ok()?, amount.get(), cost.get(), place).ok()?;
    String::from_utf8(soap::fragment(|xml| wire::bilancio(xml, &lines))).ok()
}

fn iuv(asked: &Asked) -> Result<&str, ConnectorError> {
    notice_code::iuv(&asked.notice).ok_or_else(|| protocol("not a notice number"))
}
