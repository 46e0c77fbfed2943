//! What a PT holds for a notice: asked on arrival, after a park, and from time to time.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::partners::{self, PtChannel, after_error, heard};
use super::reckon;
use crate::config::PaymentRoute;
use crate::connectors::ConnectorError;
use crate::connectors::pt::OTHER_NOTICE;
use crate::domain::act::RecipientType;
use crate::domain::ids::PositionId;
use crate::domain::money::Cents;
use crate::domain::position::{Asked, Change, CostChannel, Held, HeldState, Payer, PaymentEvent};
use crate::flow::position::{PositionEffect, PositionFact, code};
use crate::flow::prepare;
use crate::flow::retry::FailureClass;
use crate::service::Hub;
use crate::service::dispatch::End;
use crate::store::{Beside, JobRef, Leased, PositionMaterial};

/// Everything that a call about a position needs.
pub struct Subject {
    pub channel: Arc<PtChannel>,
    pub material: PositionMaterial,
    pub route: PaymentRoute,
    pub asked: Asked,
}

/// Reads it; or says how the job ends without it.
pub async fn subject(hub: &Hub, id: PositionId) -> Result<Subject, End> {
    let materials = hub.store.position_materials(vec![id]).await?;
    // Its act lost its content: nothing is left to ask about.
    let material = materials.into_iter().next().ok_or(End::Nothing)?;
    let person = |code| End::Failed { class: FailureClass::Person { code }, code };
    let channel = hub.partners.get(&partners::channel_of(&material.pt)).ok_or(person("PT_NON_CONFIGURATO"))?;
    let settings = hub.settings();
    let route = partners::route(&settings, &material.creditor, &material.notice, &material.pt).ok_or(person("PT_NON_CONFIGURATO"))?;
    let recipients = &material.content.recipients;
    let holder = recipients.get(material.facts.holder);
    let others = recipients.iter().enumerate().filter(|(index, _)| *index != material.facts.holder).map(|(_, other)| other);
    let payers = holder.into_iter().chain(others).map(|recipient| Payer {
        natural: recipient.recipient_type == RecipientType::Pf,
        tax_id: recipient.tax_id.clone(),
        denomination: recipient.denomination.clone(),
    });
    let data = material.data(channel.partner.capabilities().ties_position_id);
    let asked = Asked { creditor: material.creditor.clone(), notice: material.notice.clone(), data, payers: payers.collect() };
    Ok(Subject { channel, route: route.clone(), asked, material })
}

/// What came of a question.
pub enum Answered {
    Held(Box<Held>),
    /// It speaks of the position, and nothing of it can be used.
    Not(&'static str),
    /// The PT is away, or refuses messo.
    Ends(End),
}

/// Asks the PT about a change: one that has the id for another notice says nothing of this one, least of all that it is cancelled.
pub async fn ask_of_change(hub: &Hub, subject: &Subject) -> Answered {
    question(hub, subject, true).await
}

/// Asks the PT. An answer about another notice or creditor is refused, never used. A payment that it tells is kept before this returns.
pub async fn ask(hub: &Hub, subject: &Subject) -> Answered {
    question(hub, subject, false).await
}

async fn question(hub: &Hub, subject: &Subject, changing: bool) -> Answered {
    let channel = &subject.channel;
    if channel.partner.capabilities().needs_position_id && subject.asked.data.position_id.is_none() {
        return Answered::Not(prepare::code::NO_ID);
    }
    let answer = {
        let _turn = channel.turn(1).await;
        channel.partner.verify(&subject.route, &subject.asked).await
    };
    heard(hub, channel, answer.as_ref().err());
    let mut held = match answer {
        Ok(held) => held,
        Err(error) => {
            if let Some(end) = after_error(hub, channel, &error) {
                return Answered::Ends(end);
            }
            return Answered::Not(match &error {
                // The one id that the act states for its notices is of another of them.
                ConnectorError::NotFound(problem)
                    if problem.has(OTHER_NOTICE) && subject.material.asks_by_shared_id(&subject.asked.data) =>
                {
                    prepare::code::NO_ID
                }
                ConnectorError::NotFound(problem) if changing && problem.has(OTHER_NOTICE) => code::OTHER,
                // A PT that has it not asks messo for all of it.
                ConnectorError::NotFound(_) => unfit(subject, None).unwrap_or(code::NOT_FOUND),
                ConnectorError::Protocol { what } => {
                    tracing::error!(channel = channel.name, what, "risposta del PT non conforme");
                    "RISPOSTA_NON_CONFORME"
                }
                other => {
                    tracing::warn!(
                        channel = channel.name,
                        codes = other.problem().map(|problem| problem.codes()),
                        "il PT respinge la domanda"
                    );
                    "VERIFICA_RESPINTA_DAL_PT"
                }
            });
        }
    };
    let other = |told: &Option<String>, wanted: &str| told.as_deref().is_some_and(|told| told != wanted);
    if other(&held.creditor, &subject.asked.creditor) || other(&held.notice, &subject.asked.notice) {
        tracing::error!(channel = channel.name, "il PT risponde di un'altra posizione");
        return Answered::Not(code::OTHER);
    }
    held.unfit = unfit(subject, Some(&held));
    if let Some(payment) = &held.payment {
        // What was paid has the cost that the PT added by then, which may be more than it said last.
        if let Some(fee) = held.fee.filter(|_| channel.partner.capabilities().fee_apart)
            && let Err(error) = hub.store.keep_fee(subject.material.id, fee).await
        {
            return Answered::Ends(End::from(error));
        }
        let event = PaymentEvent {
            pt: subject.material.pt.clone(),
            creditor: subject.asked.creditor.clone(),
            notice: subject.asked.notice.clone(),
            payment: payment.clone(),
            whole: held.state == HeldState::Paid,
            polled: true,
        };
        if let Err(error) = super::payments::keep(hub, event).await {
            return Answered::Ends(End::from(error));
        }
        failpoint!("payment.kept");
    }
    Answered::Held(Box::new(held))
}

/// Why a PT that asks for the whole position would not take what messo answers, once its amount is another than what it holds now.
fn unfit(subject: &Subject, held: Option<&Held>) -> Option<&'static str> {
    let material = &subject.material;
    if material.costs != CostChannel::Pull {
        return None;
    }
    let cost = i64::from(material.facts.applies_cost);
    let moves = cost + i64::from(!reckon::rule(material).steps.is_empty());
    let holds = held.and_then(|held| held.amount).or(material.facts.amount).unwrap_or(Cents(1));
    let change = Change {
        key: String::new(),
        amount: Cents(holds.get() + moves),
        cost: Cents(cost),
        due_date: None,
        cost_place: material.flow.payments.cost_place.clone(),
        reason: String::new(),
    };
    let kept = held.and_then(|held| held.whole.as_deref());
    subject.channel.partner.whole(&subject.route, &subject.asked, kept, &change)?.err()
}

/// Saves a fact and ends the job that brought it.
pub async fn save(hub: &Hub, id: PositionId, fact: PositionFact, beside: Beside) -> End {
    hub.store.observe_position(id, fact, beside, hub.clock.now()).await.map_or_else(End::from, |_| End::Saved)
}

/// The first question about a position, and the one after it was parked.
pub async fn verify(hub: &Hub, leased: &Leased, id: PositionId) -> End {
    let subject = match subject(hub, id).await {
        Ok(subject) => subject,
        Err(end) => return end,
    };
    if !subject.channel.partner.capabilities().verify {
        return save(hub, id, PositionFact::Unverifiable, Beside::job(leased.job)).await;
    }
    let fact = match ask(hub, &subject).await {
        Answered::Held(held) => PositionFact::Verified { held: *held },
        Answered::Not(code) => PositionFact::NotVerified { code },
        Answered::Ends(end) => return end,
    };
    save(hub, id, fact, Beside::job(leased.job)).await
}

/// After a change: whether the PT holds it.
pub async fn read_back(hub: &Hub, leased: &Leased, id: PositionId) -> End {
    let subject = match subject(hub, id).await {
        Ok(subject) => subject,
        Err(end) => return end,
    };
    if !subject.channel.partner.capabilities().verify {
        return save(hub, id, PositionFact::Pushed { reads: false }, Beside::job(leased.job)).await;
    }
    let fact = match ask_of_change(hub, &subject).await {
        Answered::Held(held) => PositionFact::ReadBack { held: *held, told: false },
        Answered::Not(code) => PositionFact::PushRefused { code },
        Answered::Ends(end) => return end,
    };
    save(hub, id, fact, Beside::job(leased.job)).await
}

const DAY: SignedDuration = SignedDuration::from_hours(24);
/// A position unpaid for so many days is no longer asked about.
const GIVE_UP_DAYS: i64 = 730;

/// Whether it was paid. Asked every day, less often as it grows old; every week where the PT tells payments by itself.
pub async fn poll(hub: &Hub, leased: &Leased, id: PositionId) -> End {
    let subject = match subject(hub, id).await {
        Ok(subject) => subject,
        Err(end) => return end,
    };
    if !subject.channel.partner.capabilities().verify {
        return End::Nothing;
    }
    let now = hub.clock.now();
    let then = next_poll(subject.material.created_at, subject.channel.config.chiama.is_some(), now);
    let beside = |job: JobRef| Beside { then: then.map(|at| (PositionEffect::PollPayment, at)), ..Beside::job(job) };
    match ask(hub, &subject).await {
        Answered::Held(held) => save(hub, id, PositionFact::Verified { held: *held }, beside(leased.job)).await,
        // Asked again another day: a question that goes wrong parks nothing.
        Answered::Not(code) => match then {
            Some(at) => End::Later { at, code },
            None => End::Nothing,
        },
        Answered::Ends(end) => end,
    }
}

fn next_poll(created: Timestamp, told: bool, now: Timestamp) -> Option<Timestamp> {
    let age = now.duration_since(created).as_hours() / 24;
    if age > GIVE_UP_DAYS {
        return None;
    }
    let days = (1 + age / 30) * if told { 7 } else { 1 };
    let wait = DAY.checked_mul(i32::try_from(days).unwrap_or(30))?;
    now.saturating_add(wait).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_positions_are_asked_about_less_often_and_in_the_end_not_at_all() {
        let created: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let day = |days: i64| created + SignedDuration::from_hours(24 * days);
        let table = [
            (0, false, Some(1)),
            (29, false, Some(30)),
            (30, false, Some(32)),
            (0, true, Some(7)),
            (400, false, Some(414)),
            (731, false, None),
        ];
        for (age, told, want) in table {
            assert_eq!(next_poll(created, told, day(age)), want.map(day), "{age} days old, told {told}");
        }
    }
}
