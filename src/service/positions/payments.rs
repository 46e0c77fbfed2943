//! Payments that PTs tell, and what SEND is told of them.

use jiff::{SignedDuration, Timestamp};

use crate::config::Institution;
use crate::domain::ids::PositionId;
use crate::domain::money::Cents;
use crate::domain::position::{CostChannel, PaymentEvent, PaymentSeen};
use crate::flow::position::PositionState;
use crate::service::dispatch::End;
use crate::service::{Hub, notify, rome};
use crate::store::{Leased, PositionMaterial, PositionView, StoreError, Taken};

use super::{PaymentTaken, reckon};

/// Keeps a payment. Durable when it returns.
pub async fn take(hub: &Hub, event: PaymentEvent) -> Result<PaymentTaken, StoreError> {
    let taken = keep(hub, event).await?;
    if taken != Taken::Repeated {
        hub.publish.notify_one();
    }
    Ok(match taken {
        Taken::New(_) => PaymentTaken::New,
        Taken::Repeated => PaymentTaken::Repeated,
        Taken::Unknown => PaymentTaken::Unknown,
    })
}

/// The same, for who asked the PT. A completion is often learnt late, a payment too: it is compared with what the rule asks for on its
/// day by what is known now, not with what was asked for when it was made.
pub async fn keep(hub: &Hub, event: PaymentEvent) -> Result<Taken, StoreError> {
    let (settings, day) = (hub.settings(), rome(event.payment.paid_at).date());
    let due = move |material: &PositionMaterial| {
        let calendar = settings.institution(&material.sender).map(Institution::calendar).unwrap_or_default();
        Some(reckon::breakdown(material, calendar, day).ok()?.due)
    };
    hub.store.take_payment_by(event, due, hub.clock.now()).await
}

/// SEND knows of an act only once it has accepted it: looked at again after so long (hours).
const NOT_THERE_YET: i64 = 1;

/// Tells SEND that a position was wholly paid. Told again it is the same element of the timeline.
pub async fn tell_send(hub: &Hub, leased: &Leased, id: PositionId) -> End {
    let found = match hub.store.position(id).await {
        Ok(found) => found,
        Err(error) => return End::from(error),
    };
    let Some(position) = found.filter(|position| position.state == PositionState::Paid.name()) else { return End::Nothing };
    let state = match hub.store.state_of(position.act).await {
        Ok(state) => state,
        Err(error) => return End::from(error),
    };
    if !state.is_live() {
        return End::Nothing; // it has no notification any more
    }
    let now = hub.clock.now();
    if state.iun().is_none() {
        let at = now.saturating_add(SignedDuration::from_hours(NOT_THERE_YET)).unwrap_or(Timestamp::MAX);
        return End::Later { at, code: "NON_ANCORA_PRESENTE" };
    }
    let payments = match hub.store.payments_of(&position.creditor, &position.notice).await {
        Ok(payments) => payments,
        Err(error) => return End::from(error),
    };
    // The whole of it, at the instant of its last part; of what a PT only calls paid, when it was read and what was asked for.
    let paid_at = payments.iter().map(|event| event.payment.paid_at).max().or(position.paid_at).or(position.read_at);
    // Two receipts of the whole are one debt paid twice: SEND is told of one.
    let whole = payments.iter().filter(|event| event.whole).map(|event| event.payment.amount.get()).next();
    let sum: i64 = whole.unwrap_or_else(|| payments.iter().map(|event| event.payment.amount.get()).sum());
    let amount = if payments.is_empty() { position.paid.or_else(|| asked_for(&position)) } else { Some(Cents(sum)) };
    let (Some(paid_at), Some(amount)) = (paid_at, amount) else { return End::Nothing };
    if i32::try_from(amount.get()).is_err() {
        tracing::warn!("un pagamento è più grande di quanto SEND possa registrare: non gli è comunicato");
        return End::Nothing;
    }
    let channel = match notify::channel(hub, &leased.channel) {
        Ok(channel) => channel,
        Err(end) => return end,
    };
    let answer = channel.pnd.paid(&position.creditor, &position.notice, &PaymentSeen { paid_at, amount, receipt: None }).await;
    failpoint!("payment.answered");
    notify::heard(hub, &channel, answer.as_ref().err());
    match answer {
        Ok(()) => hub.store.payment_told(id, leased.job, now).await.map_or_else(End::from, |()| End::Saved),
        Err(error) => notify::after_error(hub, &channel, &error),
    }
}

/// What the citizen was asked for, cost of notification included, whoever adds it: by a PT that asks messo what messo answered, by
/// another what it held.
fn asked_for(position: &PositionView) -> Option<Cents> {
    let (asked, apart) = match position.costs {
        CostChannel::Pull => (position.wanted.or(position.asked), position.cost),
        CostChannel::Async => (position.asked.or(position.wanted), position.fee),
        CostChannel::Push | CostChannel::None => (position.asked.or(position.wanted), None),
    };
    asked?.get().checked_add(apart.map_or(0, Cents::get)).map(Cents)
}
