//! Debt positions at work: verified on arrival, reckoned on each fact and date, kept right at their PTs, asked by them, paid.

use std::sync::Arc;

use jiff::civil::Date;

use super::Hub;
use super::dispatch::{End, settle};
use crate::domain::amount_rule::Breakdown;
use crate::domain::ids::PositionId;
use crate::domain::position::PaymentEvent;
use crate::flow::position::PositionEffect;
use crate::store::{Leased, StoreError};

/// What messo answers to a PT that asks the price of a notice.
#[derive(Debug, Clone, PartialEq)]
pub enum PriceAnswer {
    /// No act names the notice, or it is not of that PT and ente.
    Unknown,
    /// SEND has not accepted the act yet, or its price is not known: the amount of the position is in force.
    NotYet,
    /// Paid, cancelled, or withdrawn.
    NotPayable,
    Due(Box<Price>),
}

/// The price of a notice, now.
#[derive(Debug, Clone, PartialEq)]
pub struct Price {
    pub iun: String,
    pub breakdown: Breakdown,
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

/// The price of a notice, from what is known: one look, never a call.
pub async fn price(_hub: &Hub, _pt: &str, _creditor: &str, _notice: &str) -> Result<PriceAnswer, StoreError> {
    Ok(PriceAnswer::Unknown)
}

/// A PT tells that a notice was paid. Durable when it returns.
pub async fn paid(_hub: &Hub, _event: PaymentEvent) -> Result<PaymentTaken, StoreError> {
    Ok(PaymentTaken::Unknown)
}

/// A PT tells the outcome of a change that it had only taken in charge (`ticket`); `code`: why it did not make it.
pub async fn change_told(_hub: &Hub, _pt: &str, _ticket: &str, _code: Option<&str>) -> Result<(), StoreError> {
    Ok(())
}

/// One job of a position.
pub async fn one(_hub: &Arc<Hub>, _leased: &Leased, _position: PositionId, effect: &PositionEffect) -> End {
    match effect {
        PositionEffect::Verify
        | PositionEffect::Reckon
        | PositionEffect::Push { .. }
        | PositionEffect::ReadBack
        | PositionEffect::PollPayment
        | PositionEffect::TellPayment => End::Nothing,
    }
}

/// Reckons many positions together.
pub async fn reckon(hub: &Arc<Hub>, jobs: &[Leased]) {
    for job in jobs {
        settle(hub, job, End::Nothing).await;
    }
}
