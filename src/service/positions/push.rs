//! An amount on its way to a PT: said durably that it may leave, told, read back, recorded.
//!
//! Whatever stops the process in between, the next attempt reads what the PT holds before it tells it again.

use super::partners::{after_error, heard};
use super::verify::{Answered, Subject, ask_of_change, save, subject};
use tokio::sync::SemaphorePermit;

use crate::connectors::ConnectorError;
use crate::connectors::pt::OTHER_NOTICE;
use crate::domain::ids::PositionId;
use crate::domain::position::{Change, Changed, HeldState, Undone};
use crate::flow::position::{Pending, PositionEffect, PositionFact, PositionState, Stage, code};
use crate::flow::prepare;
use crate::flow::retry::FailureClass;
use crate::service::dispatch::End;
use crate::service::{Hub, rome};
use crate::store::{Beside, Leased};

/// Attempts of a change of unknown outcome, at a PT that tells the outcome later, before what it holds is taken for its answer.
const PATIENCE: u32 = 6;

/// Makes the PT ask for the pending amount.
pub async fn push(hub: &Hub, leased: &Leased, id: PositionId) -> End {
    let subject = match subject(hub, id).await {
        Ok(subject) => subject,
        Err(end) => return end,
    };
    let PositionState::Changing { change } = subject.material.state.clone() else { return End::Nothing };
    let can = subject.channel.partner.capabilities();
    let now = hub.clock.now();
    match change.stage {
        // A day has come since it was reckoned: what is due by now goes, not what was.
        Stage::ToPush if subject.material.next_day.is_some_and(|next| next <= rome(now).date()) => {
            let beside = Beside { then: Some((PositionEffect::Reckon, now)), ..Beside::job(leased.job) };
            save(hub, id, PositionFact::Moved, beside).await
        }
        Stage::ToPush => {
            // Its turn comes first: what is learnt while it waits (a payment, another sum) must still stop it.
            let turn = subject.channel.turn(2).await;
            let offered = Beside { held: Some(leased.job), ..Beside::default() };
            match hub.store.observe_position(id, PositionFact::Offered, offered, now).await {
                Ok(PositionState::Changing { change: now }) if now.stage == Stage::Offered && now.key == change.key => {}
                Ok(_) => return End::Nothing,
                Err(error) => return End::from(error),
            }
            failpoint!("amount.offered");
            tell(hub, leased, &subject, &change, Some(turn)).await
        }
        // Nobody can say whether it left.
        Stage::Offered if can.verify => match ask_of_change(hub, &subject).await {
            Answered::Held(held) => {
                let holds_it = change.is_in(&held, false, subject.material.asked);
                let not_yet = can.answers_later && !holds_it && leased.attempts < PATIENCE;
                if not_yet {
                    return End::Failed { class: FailureClass::Temporary { retry_after: None }, code: "ESITO_INCERTO" };
                }
                save(hub, id, PositionFact::ReadBack { held: *held, told: false }, Beside::job(leased.job)).await
            }
            Answered::Not(code) => save(hub, id, PositionFact::PushRefused { code }, Beside::job(leased.job)).await,
            Answered::Ends(end) => end,
        },
        // Nobody can be asked: the same key makes the repetition the same change.
        Stage::Offered => tell(hub, leased, &subject, &change, None).await,
        Stage::ToReadBack | Stage::TakenInCharge { .. } => End::Nothing,
    }
}

/// `turn`: that of its calls, if it has come already.
async fn tell(hub: &Hub, leased: &Leased, subject: &Subject, pending: &Pending, turn: Option<SemaphorePermit<'_>>) -> End {
    let (channel, id) = (&subject.channel, subject.material.id);
    let change = Change {
        key: pending.key.clone(),
        amount: pending.amount,
        cost: pending.cost,
        due_date: pending.due_date,
        cost_place: subject.material.flow.payments.cost_place.clone(),
        reason: reason(pending),
    };
    let answer = {
        // It reads the whole position, then writes it.
        let _turn = match turn {
            Some(turn) => turn,
            None => channel.turn(2).await,
        };
        if pending.cancel {
            channel.partner.cancel(&subject.route, &subject.asked, &pending.key).await
        } else {
            channel.partner.change(&subject.route, &subject.asked, &change).await
        }
    };
    failpoint!("amount.answered");
    heard(hub, channel, answer.as_ref().err());
    let beside = Beside::job(leased.job);
    match answer {
        Ok(Changed::TakenInCharge { ticket }) => save(hub, id, PositionFact::TakenInCharge { ticket }, beside).await,
        Ok(Changed::Done) if !channel.partner.capabilities().verify => save(hub, id, PositionFact::Pushed { reads: false }, beside).await,
        Ok(Changed::Done) => match ask_of_change(hub, subject).await {
            Answered::Held(held) => {
                failpoint!("amount.read");
                save(hub, id, PositionFact::ReadBack { held: *held, told: true }, beside).await
            }
            _ => save(hub, id, PositionFact::Pushed { reads: true }, beside).await,
        },
        // It can no longer be changed: the PT says why when it is asked.
        Err(ConnectorError::Conflict(problem)) => {
            tracing::warn!(channel = channel.name, codes = problem.codes(), "il PT non lascia cambiare la posizione");
            let said = problem.errors.first().map(|error| error.code.as_str()).unwrap_or_default();
            refused(hub, subject, pending, said, beside).await
        }
        Err(error) => match after_error(hub, channel, &error) {
            Some(end) => end,
            None => {
                let code = match &error {
                    // The id is of another notice: nothing is said of this one.
                    ConnectorError::NotFound(problem) if problem.has(OTHER_NOTICE) => prepare::code::NO_ID,
                    ConnectorError::NotFound(_) => code::NOT_FOUND,
                    ConnectorError::Protocol { .. } => "RISPOSTA_NON_CONFORME",
                    _ => code::REFUSED,
                };
                tracing::warn!(
                    channel = channel.name,
                    codes = error.problem().map(|problem| problem.codes()),
                    code,
                    annullamento = pending.cancel,
                    "il PT respinge una modifica"
                );
                save(hub, id, PositionFact::PushRefused { code }, beside).await
            }
        },
    }
}

/// A change that the PT refused for the state of the position; `said`: its code.
async fn refused(hub: &Hub, subject: &Subject, pending: &Pending, said: &str, beside: Beside) -> End {
    use HeldState as H;
    let id = subject.material.id;
    if !subject.channel.partner.capabilities().verify {
        // Nobody can be asked: its word is all that is known.
        let undone = Undone { why: subject.channel.partner.undone(said), code: said.to_owned() };
        return save(hub, id, PositionFact::ToldLater { undone: Some(undone), reads: false }, beside).await;
    }
    match ask_of_change(hub, subject).await {
        Answered::Held(held) if pending.cancel && matches!(held.state, H::Payable | H::NotActive | H::Expired) => {
            save(hub, id, PositionFact::PushRefused { code: code::NOT_CANCELLED }, beside).await
        }
        // It takes no payments any more, and no other date.
        Answered::Held(held) if held.state == H::Expired && (pending.due_date.is_some() || !subject.material.live) => {
            save(hub, id, PositionFact::PushRefused { code: code::NOT_REOPENED }, beside).await
        }
        Answered::Held(held) if matches!(held.state, H::Payable | H::NotActive) && !pending.is_in(&held, false, subject.material.asked) => {
            save(hub, id, PositionFact::PushRefused { code: code::REFUSED }, beside).await
        }
        Answered::Held(held) => save(hub, id, PositionFact::ReadBack { held: *held, told: false }, beside).await,
        Answered::Not(code) => save(hub, id, PositionFact::PushRefused { code }, beside).await,
        Answered::Ends(end) => end,
    }
}

fn reason(pending: &Pending) -> String {
    if pending.cost.get() > 0 {
        "Importo aggiornato con le spese di notifica".to_owned()
    } else {
        "Importo aggiornato secondo i termini dell'atto".to_owned()
    }
}
