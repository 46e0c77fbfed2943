//! Debt positions at work: verified on arrival, reckoned on each fact and date, kept right at their PTs, asked by them, paid.

pub mod answers;
pub mod balance;
pub mod inbound;
pub mod partners;
mod payments;
mod push;
pub mod reckon;
mod verify;

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::SignedDuration;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::dispatch::End;
use super::{Hub, rome};
use crate::domain::act::Act;
use crate::domain::ids::PositionId;
use crate::domain::money::Cents;
use crate::domain::position::{PaymentEvent, Undone, WhyUndone};
use crate::flow::position::{PositionEffect, code};
use crate::store::{AskedBack, Leased, Sheet, StoreError};

/// What messo answers to a PT that asks the price of a notice.
#[derive(Debug, Clone, PartialEq)]
pub enum PriceAnswer {
    /// No act names the notice, or it is not of that PT and ente.
    Unknown,
    /// SEND has not accepted the act yet, or its price is not known: the amount of the position is in force.
    NotYet,
    NotPayable(Over),
    Due(Box<Price>),
}

/// Why a notice cannot be paid any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    Paid,
    /// Cancelled, or its act withdrawn.
    Withdrawn,
    /// Past the last day on which its PT takes payments.
    Expired,
}

/// What is asked from a Rome day on. Why, line by line, `messo posizione` reckons again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriceDay {
    pub from: Date,
    /// `due` + `cost`.
    pub total: Cents,
    /// By the rule, without costs.
    pub due: Cents,
    /// Of notification.
    pub cost: Cents,
    /// Index of the step in force.
    pub step: usize,
    /// Last day on which time alone leaves it as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Date>,
}

/// The price of a notice, now.
#[derive(Debug, Clone, PartialEq)]
pub struct Price {
    pub iun: String,
    pub day: PriceDay,
    /// Days of Rome.
    pub viewed: Option<Date>,
    pub completed: Option<Date>,
    /// Bilancio of the position as the batch gave it.
    pub balance: Option<String>,
    /// Where the flow wants the cost to go in it.
    pub cost_place: Option<String>,
}

/// What became of a payment event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PaymentTaken {
    New,
    /// Told before: nothing changed.
    Repeated,
    /// No act names the notice: kept, and a person is told.
    Unknown,
}

/// The notices of an act (PT, creditor, notice) of which it states no id, at PTs that change a position by its id alone.
#[must_use]
pub fn without_id(hub: &Hub, act: &Act) -> BTreeSet<(String, String, String)> {
    let of_act = act.position.as_ref().is_some_and(|data| data.position_id.is_some());
    let mut without = BTreeSet::new();
    for channel in hub.partners.values() {
        let can = channel.partner.capabilities();
        if !can.changes_by_position_id || (can.ties_position_id && of_act) {
            continue;
        }
        let unnamed = act.notices().filter(|(_, creditor, notice)| act.position_of(creditor, notice).position_id.is_none());
        without.extend(unnamed.map(|(_, creditor, notice)| (channel.config.name.clone(), creditor.to_owned(), notice.to_owned())));
    }
    without
}

/// The price of a notice, from what is known: one look, never a call. A PT that asks while somebody pays takes payments of it, whatever
/// it said when it was read last: that it had expired then refuses nobody's payment.
pub fn price(hub: &Arc<Hub>, pt: &str, creditor: &str, notice: &str) -> Result<PriceAnswer, StoreError> {
    look(hub, pt, creditor, notice, |sheet| Sheet { park_code: None, ..sheet })
}

/// The same for a PT that replaces what it holds by the answer: of one that had expired it would get back the last day that was over.
pub fn price_unless_expired(hub: &Arc<Hub>, pt: &str, creditor: &str, notice: &str) -> Result<PriceAnswer, StoreError> {
    look(hub, pt, creditor, notice, |sheet| sheet)
}

/// `expired`: what is answered of a position that its PT called expired. It is read again at once: it may be no longer.
fn look(hub: &Arc<Hub>, pt: &str, creditor: &str, notice: &str, expired: impl FnOnce(Sheet) -> Sheet) -> Result<PriceAnswer, StoreError> {
    let sheet = match hub.store.price_sheet(creditor, notice)?.filter(|sheet| sheet.pt == pt) {
        Some(sheet) if sheet.park_code.as_deref() == Some(code::EXPIRED) => {
            let (hub, creditor, notice) = (hub.clone(), creditor.to_owned(), notice.to_owned());
            // Nobody waits for it: a citizen pays.
            tokio::spawn(async move {
                if let Err(error) = hub.store.read_expired_again(&creditor, &notice, READ_SINCE, hub.clock.now()).await {
                    tracing::warn!(%error, "una posizione scaduta non si può rileggere ora");
                }
            });
            Some(expired(sheet))
        }
        sheet => sheet,
    };
    Ok(reckon::answer(pt, sheet, rome(hub.clock.now()).date()))
}

/// What was read so lately is not read again.
const READ_SINCE: SignedDuration = SignedDuration::from_secs(30);

/// A PT tells that a notice was paid. Durable when it returns.
pub async fn paid(hub: &Hub, event: PaymentEvent) -> Result<PaymentTaken, StoreError> {
    payments::take(hub, event).await
}

/// A PT tells the payment of a notice of one of our enti that no route gives to it: a person is told, and nothing is kept.
pub async fn payment_of_nobody(hub: &Hub, pt: &str, creditor: &str, notice: &str) -> Result<(), StoreError> {
    hub.store.payment_of_nobody(pt, creditor, notice, hub.clock.now()).await
}

/// Bytes of a ticket at most: PTs give back those of messo, or short numbers of theirs.
const LONGEST_TICKET: usize = 250;
/// Letters of a code of a PT that are kept.
const LONGEST_CODE: usize = 80;

/// A PT tells the outcome of a change that it had only taken in charge (`ticket`); `code`: why it did not make it, in its own word,
/// which its connector understands. Durable when it returns, also when nobody waits for that ticket yet. Told again it changes nothing.
pub async fn change_told(hub: &Hub, pt: &str, ticket: &str, code: Option<&str>) -> Result<(), StoreError> {
    if ticket.len() > LONGEST_TICKET {
        tracing::info!(pt, "il PT dà l'esito di un aggiornamento che nessuno può aspettare");
        return Ok(());
    }
    let partner = hub.partners.get(&partners::channel_of(pt)).map(|channel| channel.partner.clone());
    let reads = partner.as_ref().is_some_and(|partner| partner.capabilities().verify);
    let why = |code: &str| partner.as_ref().map_or(WhyUndone::Refused, |partner| partner.undone(code));
    // It goes into the history: a code, and nothing else.
    let plain = |code: &str| code.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-')).take(LONGEST_CODE).collect();
    let undone = code.map(|code| Undone { why: why(code), code: plain(code) });
    if hub.store.change_told(pt, ticket, undone, reads, hub.clock.now()).await? {
        hub.publish.notify_one();
    } else {
        tracing::info!(pt, "il PT dà l'esito di un aggiornamento che nessuno aspetta: è tenuto da parte");
    }
    Ok(())
}

/// A PT says that positions have expired, each by the notices that its IUV may stand for: those that are followed are parked, and told.
/// Durable when it returns. Answers how many are known.
pub async fn told_expired(hub: &Hub, pt: &str, creditor: &str, positions: Vec<Vec<String>>) -> Result<usize, StoreError> {
    let known = hub.store.told_expired(pt, creditor, positions, hub.clock.now()).await?;
    if known > 0 {
        hub.publish.notify_one();
    }
    Ok(known)
}

/// A payment is asked back. The position stays paid: a person decides. Durable when it returns; told again it changes nothing.
pub async fn asked_back(hub: &Hub, request: AskedBack) -> Result<bool, StoreError> {
    hub.store.payment_asked_back(request, hub.clock.now()).await
}

/// One job of a position, but reckoning ([`reckon::run`]).
pub async fn one(hub: &Hub, leased: &Leased, position: PositionId, effect: &PositionEffect) -> End {
    match effect {
        PositionEffect::Verify => verify::verify(hub, leased, position).await,
        PositionEffect::Push { .. } => push::push(hub, leased, position).await,
        PositionEffect::ReadBack => verify::read_back(hub, leased, position).await,
        PositionEffect::PollPayment => verify::poll(hub, leased, position).await,
        PositionEffect::TellPayment => payments::tell_send(hub, leased, position).await,
        // Many together: see `reckon::run`.
        PositionEffect::Reckon => End::Nothing,
    }
}

#[cfg(test)]
mod tests;
