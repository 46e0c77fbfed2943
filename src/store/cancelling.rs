//! Cancellations ordered by an operator or the gestionale while nobody can say what SEND has of the act: kept as a job of the act,
//! told in the esito, carried out as soon as SEND has decided.
//!
//! Three ways out. SEND accepts: the cancellation is asked with the IUN. SEND refuses: nothing is left to cancel, the job goes with
//! the act, and for whatever reason SEND refused, it is not sent again. Nobody knows whether the request arrived: SEND is asked by token, after it is certain that no POST is under way
//! and none will be; only what SEND never had is withdrawn.

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::codec::{act_at, ms, optional};
use super::engine::{self, ActRow};
use super::jobs::{self, JobRef};
use super::{Store, StoreError};
use crate::domain::ids::ActId;
use crate::domain::outcome::OutcomeState;
use crate::flow::effect::{Effect, LineDraft};
use crate::flow::event::Order;
use crate::flow::state::State;

/// SEND's answer to the request wakes the order; this is only the net below (milliseconds).
const LOOK_AGAIN: i64 = 3_600_000;
/// While a POST is under way (milliseconds).
const UNDER_WAY: i64 = 5_000;

const POST_UNDER_WAY: &str =
    "SELECT EXISTS (SELECT 1 FROM job WHERE subject_kind = 'notifica' AND subject_id = ?1 AND kind = 'INVIA' AND state = 'IN_CORSO')";
const STOP_SENDING: &str = "DELETE FROM job WHERE subject_kind = 'notifica' AND subject_id = ?1 AND lane = 1";
const WAKE: &str = "UPDATE job SET state = 'PRONTO', due_at = ?2 WHERE subject_kind = 'notifica' AND subject_id = ?1 \
     AND kind = 'ANNULLA_APPENA_POSSIBILE' AND state = 'ATTESA'";
const OURS: &str = "SELECT EXISTS (SELECT 1 FROM job WHERE id = ?1 AND fence = ?2)";
const PUT_OFF: &str = "UPDATE job SET state = 'ATTESA', due_at = ?3, error = ?4 WHERE id = ?1 AND fence = ?2";
const REMEMBERED: &str =
    "SELECT EXISTS (SELECT 1 FROM job WHERE subject_kind = 'notifica' AND subject_id = ?1 AND kind = 'ANNULLA_APPENA_POSSIBILE')";
const ORDERED: &str = "SELECT EXISTS (SELECT 1 FROM batch_order o JOIN batch b ON b.id = o.batch_id \
     WHERE o.act_id = ?1 AND o.done = 0 AND o.action = 'annulla' AND b.state IN ('PRESA_IN_CARICO', 'PARZIALE'))";
const GOES_AGAIN: &str = "SELECT EXISTS (SELECT 1 FROM job WHERE subject_kind = 'notifica' AND subject_id = ?1 AND kind = 'REINVIA')";
const WENT_AGAIN: &str = "SELECT n.id FROM act a JOIN act n ON n.sender = a.sender AND n.source = a.source AND n.reference = a.reference \
     AND n.submission = a.submission + 1 AND n.resubmissions > a.resubmissions WHERE a.id = ?1 AND a.state = 'RIFIUTATO'";
const NAMES: &str = "SELECT protocol, token FROM act WHERE id = ?1";

/// What can be done now about a cancellation that was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cancelling {
    /// Carried out, or no longer wanted: the job has ended.
    Ended,
    /// SEND is deciding, or a POST is under way: the job was put off.
    Waits,
    /// Nothing of the act is on its way to SEND any more: whether SEND has it is to be asked.
    Ask { protocol: String, token: String },
    /// It was never announced to SEND under a protocol, so that nothing can be there.
    Never,
}

impl Store {
    /// Carries a kept cancellation out as far as that goes. From an answer [`Cancelling::Ask`] on nothing is sent for that act.
    pub async fn cancel_later(&self, act: ActId, job: JobRef, who: &str, why: &str, now: Timestamp) -> Result<Cancelling, StoreError> {
        let (who, why) = (who.to_owned(), why.to_owned());
        let outcome = self
            .write(move |db| {
                let ours: bool = db.prepare_cached(OURS)?.query_row(params![job.id.as_bytes(), job.fence], |found| found.get(0))?;
                if !ours {
                    return Err(StoreError::Stale);
                }
                let mut row = ActRow::load(db, act)?;
                match &row.state {
                    State::AwaitingAcceptance { .. } => put_off(db, job, ms(now) + LOOK_AGAIN, "IN_VALIDAZIONE"),
                    State::Preparing | State::Uploading | State::Sending => {
                        if db.prepare_cached(POST_UNDER_WAY)?.query_row([act.0.as_bytes()], |found| found.get(0))? {
                            return put_off(db, job, ms(now) + UNDER_WAY, "ESITO_INCERTO");
                        }
                        db.prepare_cached(STOP_SENDING)?.execute([act.0.as_bytes()])?;
                        engine::settle_park(db, &mut row)?;
                        let names: (Option<String>, String) =
                            db.prepare_cached(NAMES)?.query_row([act.0.as_bytes()], |found| Ok((found.get(0)?, found.get(1)?)))?;
                        Ok(match names {
                            (Some(protocol), token) => Cancelling::Ask { protocol, token },
                            (None, _) => Cancelling::Never,
                        })
                    }
                    _ => {
                        jobs::finish(db, job)?;
                        match engine::command(db, &mut row, Order::Cancel, &who, &why, now) {
                            // Closed meanwhile: nothing is left to cancel.
                            Ok(()) | Err(StoreError::Order(_)) => Ok(Cancelling::Ended),
                            Err(error) => Err(error),
                        }
                    }
                }
            })
            .await?;
        self.ring();
        Ok(outcome)
    }
}

/// In the transaction that has seen why: what wakes it afterwards finds it waiting.
fn put_off(db: &Connection, job: JobRef, due: i64, code: &str) -> Result<Cancelling, StoreError> {
    let ours = db.prepare_cached(PUT_OFF)?.execute(params![job.id.as_bytes(), job.fence, due, code])?;
    if ours == 1 { Ok(Cancelling::Waits) } else { Err(StoreError::Stale) }
}

/// Keeps a cancellation that cannot be carried out yet. What is known without SEND is looked at soon.
pub(super) fn remember(db: &Connection, act: &ActRow, who: &str, why: &str, now: Timestamp) -> Result<(), StoreError> {
    let about = serde_json::json!({ "who": who, "why": why }).to_string();
    engine::append_history(db, "notifica", act.id.0.as_bytes(), "ORDINE_ANNULLA", Some(act.state.name()), Some(&about), now)?;
    if !is_remembered(db, act.id)? {
        engine::publish_line(db, act, LineDraft::new(OutcomeState::Info, "ANNULLAMENTO_IN_ATTESA", now), now)?;
    }
    let effect = Effect::CancelLater { who: who.to_owned(), why: why.to_owned() };
    let due = if matches!(act.state, State::AwaitingAcceptance { .. }) { ms(now) + LOOK_AGAIN } else { ms(now) };
    jobs::enqueue_at(db, act, &effect, due, now)
}

/// Whether a cancellation of the act is kept already.
pub(super) fn is_remembered(db: &Connection, act: ActId) -> Result<bool, StoreError> {
    Ok(db.prepare_cached(REMEMBERED)?.query_row([act.0.as_bytes()], |found| found.get(0))?)
}

/// Whether a cancellation is kept, or the gestionale has ordered one that was not carried out yet.
pub(super) fn is_wanted(db: &Connection, act: ActId) -> Result<bool, StoreError> {
    Ok(is_remembered(db, act)? || db.prepare_cached(ORDERED)?.query_row([act.0.as_bytes()], |found| found.get(0))?)
}

/// Whether a refused act is about to be sent anew by itself.
pub(super) fn is_about_to_go_again(db: &Connection, act: ActId) -> Result<bool, StoreError> {
    Ok(db.prepare_cached(GOES_AGAIN)?.query_row([act.0.as_bytes()], |found| found.get(0))?)
}

/// The act that an order about `act` is for: of one that was refused and sent anew by itself, the new submission.
pub(super) fn standing_for(db: &Connection, act: ActId) -> Result<ActId, StoreError> {
    let found = optional(db.prepare_cached(WENT_AGAIN)?.query_row([act.0.as_bytes()], |row| act_at(row, 0)))?;
    Ok(found.unwrap_or(act))
}

/// SEND has decided about the act: what waited for that is done now.
pub(super) fn wake(db: &Connection, act: ActId, now: Timestamp) -> Result<(), StoreError> {
    db.prepare_cached(WAKE)?.execute(params![act.0.as_bytes(), ms(now)])?;
    Ok(())
}
