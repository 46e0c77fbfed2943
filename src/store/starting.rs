//! From an accepted batch to acts under way: the first ones alone, holds and releases, orders about acts already known.
//!
//! Money guard: `guard_first` acts of a batch go alone (`act.guard` 1, then 2 when SEND has answered); `batch.guard_open` of
//! them are without answer. When none is, the rest goes, or stops if too many were refused.

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::batches::Claim;
use super::cancelling;
use super::codec::{act_at, batch_at, ms, optional, word};
use super::engine::{self, ActRow, STOPPED};
use super::jobs::{self, JobRef};
use super::position_acts;
use super::position_orders::{self, DaysOrder};
use super::staging::{self, Change};
use super::{CHUNK, Store, StoreError};
use crate::batch::problem::Code;
use crate::domain::act::Action;
use crate::domain::calendar::in_rome;
use crate::domain::ids::{ActId, BatchId};
use crate::domain::outcome::OutcomeState;
use crate::flow::effect::LineDraft;
use crate::flow::event::{Fact, Order, OrderRefused};
use crate::flow::state::{HoldReason, State};
use crate::flow::step;

/// An order that waits for an IUN is woken by it; this is only the net below (milliseconds).
const ASK_AGAIN: i64 = 600_000;
/// An order about an act of an accepted batch that is not started yet (milliseconds).
const ASK_SOON: i64 = 1_000;

impl Store {
    /// Starts up to a thousand staged acts or orders of an accepted batch. Answers whether more are left; when none is, the job ends.
    pub async fn start_acts(&self, batch: BatchId, job: JobRef, now: Timestamp) -> Result<bool, StoreError> {
        let more = self
            .write(move |db| {
                let mut select = db.prepare_cached("SELECT id FROM act WHERE batch_id = ?1 AND staged = 1 ORDER BY ordinal LIMIT ?2")?;
                let acts: Vec<ActId> =
                    select.query_map(params![batch.0.as_bytes(), CHUNK as i64], |row| act_at(row, 0))?.collect::<Result<_, _>>()?;
                if acts.is_empty() {
                    return carry_out_orders(db, batch, job, now);
                }
                let hold: Option<String> =
                    db.prepare_cached("SELECT hold FROM batch WHERE id = ?1")?.query_row([batch.0.as_bytes()], |row| row.get(0))?;
                let mut gate = Gate::of(db, batch)?;
                let routes = position_acts::any_route(db)?;
                for id in acts {
                    let mut act = ActRow::load(db, id)?;
                    db.prepare_cached("UPDATE act SET staged = 0 WHERE id = ?1")?.execute([id.0.as_bytes()])?;
                    if routes {
                        position_acts::route_act(db, &mut act)?;
                    }
                    let (hold, stopped) = if hold.is_some() {
                        (Some(HoldReason::Operator), false)
                    } else if act.waits_for_predecessor(db)? {
                        (Some(HoldReason::Cancellation), false)
                    } else {
                        gate.pass(db, &mut act)?.hold()
                    };
                    engine::begin(db, &mut act, hold, "ACCETTATO_DA_MESSO", None, now)?;
                    position_acts::join(db, &act, now)?;
                    if stopped {
                        engine::tell_parked(db, &act, STOPPED, now)?;
                    }
                }
                Ok(true)
            })
            .await?;
        self.ring();
        Ok(more)
    }

    /// Whether every act of the batch was started.
    pub async fn is_started(&self, batch: BatchId) -> Result<bool, StoreError> {
        self.read(move |db| {
            let sql = "SELECT started FROM batch WHERE id = ?1";
            Ok(optional(db.prepare_cached(sql)?.query_row([batch.0.as_bytes()], |row| row.get(0)))?.unwrap_or(false))
        })
        .await
    }

    /// Why acts of the batch are held for an operator: by the flow, or by the answers to its first acts.
    pub async fn held_for(&self, batch: BatchId) -> Result<Option<HoldReason>, StoreError> {
        self.read(move |db| {
            for reason in [HoldReason::Operator, HoldReason::Guard] {
                let sql = "SELECT EXISTS (SELECT 1 FROM act WHERE batch_id = ?1 AND hold = ?2)";
                if db.prepare_cached(sql)?.query_row(params![batch.0.as_bytes(), reason.as_str()], |row| row.get(0))? {
                    return Ok(Some(reason));
                }
            }
            Ok(None)
        })
        .await
    }

    /// An operator lets acts held for `reason` go, up to a thousand a call; answers how many went.
    pub async fn release_batch(
        &self,
        batch: BatchId,
        reason: HoldReason,
        who: &str,
        why: &str,
        now: Timestamp,
    ) -> Result<usize, StoreError> {
        let (who, why) = (who.to_owned(), why.to_owned());
        let released = self
            .write(move |db| {
                let id = batch.0.as_bytes();
                match reason {
                    HoldReason::Operator => db.prepare_cached("UPDATE batch SET hold = NULL WHERE id = ?1")?.execute([id])?,
                    // Whoever releases them knows of the refusals: the guard is over for this batch.
                    HoldReason::Guard => db.prepare_cached("UPDATE batch SET guard_first = 0 WHERE id = ?1")?.execute([id])?,
                    HoldReason::Cancellation => return Ok(0),
                };
                let about = serde_json::json!({ "who": who, "why": why }).to_string();
                let mut gate = Gate::of(db, batch)?;
                let acts = held_acts(db, batch, reason, true)?;
                for id in &acts {
                    let mut act = ActRow::load(db, *id)?;
                    if reason == HoldReason::Guard || act.waits_for_predecessor(db)? {
                        engine::release(db, &mut act, &who, &why, now)?;
                        continue;
                    }
                    match gate.pass(db, &mut act)?.hold() {
                        (None, _) => engine::command(db, &mut act, Order::Release, &who, &why, now)?,
                        (hold, stopped) => {
                            engine::begin(db, &mut act, hold, "ORDINE_RILASCIA", Some(&about), now)?;
                            if stopped {
                                engine::tell_parked(db, &act, STOPPED, now)?;
                            }
                        }
                    }
                }
                Ok(acts.len())
            })
            .await?;
        self.ring();
        Ok(released)
    }

    /// The first acts have answered: up to a thousand of the rest are released, or parked. Answers whether more are left.
    pub async fn open_guard(&self, batch: BatchId, job: JobRef, now: Timestamp) -> Result<bool, StoreError> {
        let more = self
            .write(move |db| {
                let gate = Gate::of(db, batch)?;
                if gate.open > 0 && gate.first > 0 {
                    jobs::finish(db, job)?;
                    return Ok(false); // it will be asked for again
                }
                let stop = gate.is_stopped();
                let acts = held_acts(db, batch, HoldReason::Guard, !stop)?;
                if acts.is_empty() {
                    jobs::finish(db, job)?;
                    if stop {
                        let about = format!("{}/{}", gate.refused, gate.first);
                        engine::raise_alert_for(db, STOPPED, None, Some(batch), &about, now)?;
                    }
                    return Ok(false);
                }
                for id in &acts {
                    let mut act = ActRow::load(db, *id)?;
                    if stop {
                        engine::tell_parked(db, &act, STOPPED, now)?;
                    } else {
                        engine::release(db, &mut act, "messo", "i primi atti del lotto sono stati accettati", now)?;
                    }
                }
                Ok(true)
            })
            .await?;
        self.ring();
        Ok(more)
    }

    /// The act is cancelled, withdrawn or refused: what waited for that goes. Ends the job.
    pub async fn start_replacement(&self, cancelled: ActId, job: JobRef, now: Timestamp) -> Result<(), StoreError> {
        self.write(move |db| {
            jobs::finish(db, job)?;
            if engine::is_live(db, cancelled)? {
                return Ok(());
            }
            let mut select = db.prepare_cached("SELECT id FROM act WHERE replaces = ?1 AND live = 1 AND staged = 0")?;
            let waiting: Vec<ActId> = select.query_map([cancelled.0.as_bytes()], |row| act_at(row, 0))?.collect::<Result<_, _>>()?;
            waiting.into_iter().try_for_each(|id| let_go(db, id, now))
        })
        .await?;
        self.ring();
        Ok(())
    }
}

/// The act that it replaces is out of the way.
fn let_go(db: &Connection, id: ActId, now: Timestamp) -> Result<(), StoreError> {
    let mut act = ActRow::load(db, id)?;
    // Held by an operator it goes when released.
    if act.state != (State::Held { reason: HoldReason::Cancellation }) || act.waits_for_predecessor(db)? {
        return Ok(());
    }
    match Gate::of(db, act.batch)?.pass(db, &mut act)?.hold() {
        (None, _) => engine::observe(db, &mut act, &Fact::PredecessorCancelled, now),
        (hold, stopped) => {
            engine::begin(db, &mut act, hold, &Fact::PredecessorCancelled.name(), None, now)?;
            if stopped { engine::tell_parked(db, &act, STOPPED, now) } else { Ok(()) }
        }
    }
}

/// The money guard of one batch.
struct Gate {
    first: i64,
    open: i64,
    refused: i64,
    max: i64,
    /// Acts that went as the first ones.
    passed: i64,
}

/// Whether an act that could go does.
enum Passage {
    Go,
    /// The first ones have not all answered.
    Wait,
    /// They have: too many were refused.
    Stop,
}

impl Passage {
    /// The hold it begins with, and whether a person must look.
    fn hold(&self) -> (Option<HoldReason>, bool) {
        match self {
            Passage::Go => (None, false),
            Passage::Wait => (Some(HoldReason::Guard), false),
            Passage::Stop => (Some(HoldReason::Guard), true),
        }
    }
}

impl Gate {
    fn of(db: &Connection, batch: BatchId) -> Result<Gate, StoreError> {
        let id = batch.0.as_bytes();
        let mut gate = db
            .prepare_cached("SELECT guard_first, guard_open, guard_refused, guard_max FROM batch WHERE id = ?1")?
            .query_row([id], |row| Ok(Gate { first: row.get(0)?, open: row.get(1)?, refused: row.get(2)?, max: row.get(3)?, passed: 0 }))?;
        if gate.first > 0 {
            let sql = "SELECT count(*) FROM act WHERE batch_id = ?1 AND guard > 0";
            gate.passed = db.prepare_cached(sql)?.query_row([id], |row| row.get(0))?;
        }
        Ok(gate)
    }

    fn is_stopped(&self) -> bool {
        self.first > 0 && self.refused * 100 > self.max * self.first
    }

    fn pass(&mut self, db: &Connection, act: &mut ActRow) -> Result<Passage, StoreError> {
        if self.first == 0 {
            return Ok(Passage::Go);
        }
        if self.passed < self.first {
            self.passed += 1;
            act.guard = 1;
            db.prepare_cached("UPDATE act SET guard = 1 WHERE id = ?1")?.execute([act.id.0.as_bytes()])?;
            return Ok(Passage::Go);
        }
        Ok(match self.open > 0 {
            true => Passage::Wait,
            false if self.is_stopped() => Passage::Stop,
            false => Passage::Go,
        })
    }
}

fn held_acts(db: &Connection, batch: BatchId, reason: HoldReason, parked_too: bool) -> Result<Vec<ActId>, StoreError> {
    let sql = "SELECT id FROM act WHERE batch_id = ?1 AND hold = ?2 AND (park_code IS NULL OR ?3) ORDER BY ordinal LIMIT ?4";
    let mut select = db.prepare_cached(sql)?;
    let found = select.query_map(params![batch.0.as_bytes(), reason.as_str(), parked_too, CHUNK as i64], |row| act_at(row, 0))?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// Something happened that orders about this act may wait for: they are tried now.
pub(super) fn wake_orders(db: &Connection, act: ActId, now: Timestamp) -> Result<(), StoreError> {
    let mut select = db.prepare_cached("SELECT batch_id FROM batch_order WHERE act_id = ?1 AND done = 0")?;
    let batches: Vec<BatchId> = select.query_map([act.0.as_bytes()], |row| batch_at(row, 0))?.collect::<Result<_, _>>()?;
    for batch in batches {
        db.prepare_cached("UPDATE batch_order SET due_at = 0 WHERE act_id = ?1 AND batch_id = ?2 AND done = 0")?
            .execute(params![act.0.as_bytes(), batch.0.as_bytes()])?;
        db.prepare_cached(
            "UPDATE job SET state = 'PRONTO', due_at = ?2 WHERE subject_kind = 'lotto' AND subject_id = ?1 AND kind = 'AVVIA' AND state = 'ATTESA'",
        )?
        .execute(params![batch.0.as_bytes(), ms(now)])?;
    }
    Ok(())
}

/// What became of an order.
enum Carried {
    Done,
    /// Not yet, for so long (milliseconds): its batch is not started, or its replacement is held.
    Waits(i64),
    /// The same: the act has no IUN, and only SEND can say whether it will.
    WaitsForSend(i64),
    /// Impossible by now: the gestionale is told in its esito.
    Refused(&'static str),
}

/// Orders of the batch about acts already known.
fn carry_out_orders(db: &Connection, batch: BatchId, job: JobRef, now: Timestamp) -> Result<bool, StoreError> {
    let id = batch.0.as_bytes();
    db.prepare_cached("UPDATE batch SET started = 1 WHERE id = ?1 AND started = 0")?.execute([id])?;
    let mut select = db.prepare_cached(
        "SELECT ordinal, act_id, action, json, place FROM batch_order WHERE batch_id = ?1 AND done = 0 AND due_at <= ?2 \
         ORDER BY due_at, ordinal LIMIT ?3",
    )?;
    type Row = (i64, ActId, String, Option<String>, String);
    let orders: Vec<Row> = select
        .query_map(params![id, ms(now), CHUNK as i64], |row| Ok((row.get(0)?, act_at(row, 1)?, row.get(2)?, row.get(3)?, row.get(4)?)))?
        .collect::<Result<_, _>>()?;
    if orders.is_empty() {
        let sql = "SELECT min(due_at) FROM batch_order WHERE batch_id = ?1 AND done = 0";
        let next: Option<i64> = db.prepare_cached(sql)?.query_row([id], |row| row.get(0))?;
        let Some(due) = next else {
            jobs::finish(db, job)?;
            return Ok(false);
        };
        let sql = "UPDATE job SET state = 'ATTESA', due_at = ?3 WHERE id = ?1 AND fence = ?2";
        let ours = db.prepare_cached(sql)?.execute(params![job.id.as_bytes(), job.fence, due])?;
        return if ours == 1 { Ok(false) } else { Err(StoreError::Stale) };
    }
    for (ordinal, named, action, change, place) in orders {
        let action = word::<Action>(&action, "action")?;
        let act = if action == Action::Replace { named } else { cancelling::standing_for(db, named)? };
        if act != named {
            // What it waits for is told of that one.
            let sql = "UPDATE batch_order SET act_id = ?3 WHERE batch_id = ?1 AND ordinal = ?2";
            db.prepare_cached(sql)?.execute(params![id, ordinal, act.0.as_bytes()])?;
        }
        let carried = match (action, change) {
            (Action::Modify, Some(change)) => modify(db, act, batch, &change, &place, now)?,
            (Action::Replace, _) => cancel_replaced(db, act, batch, ordinal, now)?,
            (Action::Suspend | Action::Resume, days) => days_of(db, act, action, days.as_deref(), now)?,
            _ => cancel(db, act, now)?,
        };
        match carried {
            Carried::Waits(span) | Carried::WaitsForSend(span) => {
                // Nobody resumes what the gestionale wants gone: what SEND has of it is asked, not waited for.
                if matches!(carried, Carried::WaitsForSend(_)) {
                    remember_cancel(db, act, action, now)?;
                }
                db.prepare_cached("UPDATE batch_order SET due_at = ?3 WHERE batch_id = ?1 AND ordinal = ?2")?.execute(params![
                    id,
                    ordinal,
                    ms(now) + span
                ])?;
                continue;
            }
            Carried::Done => {}
            Carried::Refused(code) => {
                let mut line = LineDraft::new(OutcomeState::Info, "ORDINE_RESPINTO", now);
                line.code = Some(code.to_owned());
                engine::publish_line(db, &ActRow::load(db, act)?, line, now)?;
            }
        }
        db.prepare_cached("UPDATE batch_order SET done = 1, json = NULL WHERE batch_id = ?1 AND ordinal = ?2")?
            .execute(params![id, ordinal])?;
    }
    Ok(true)
}

/// The days of payment of an act's notices stand still, or count again: those that the row tells, else from the day on which the
/// order came.
fn days_of(db: &Connection, id: ActId, action: Action, days: Option<&str>, now: Timestamp) -> Result<Carried, StoreError> {
    let act = match ActRow::load(db, id) {
        Err(StoreError::NotFound(_)) => return Ok(Carried::Done),
        other => other?,
    };
    if act.staged {
        return Ok(Carried::Waits(ASK_SOON));
    }
    let days = match days {
        Some(days) => serde_json::from_str(days)?,
        None => staging::Days { from: None, until: None },
    };
    let today = in_rome(now).date();
    let order = match action {
        Action::Suspend => DaysOrder::Stop { from: days.from.unwrap_or(today), until: days.until },
        _ => DaysOrder::Go { last: days.until.unwrap_or_else(|| today.yesterday().unwrap_or(today)) },
    };
    match position_orders::order_days_of(db, &act, order, "gestionale", action.as_str(), now) {
        Ok(()) => Ok(Carried::Done),
        Err(StoreError::Order(OrderRefused::NoPosition)) => Ok(Carried::Refused("NESSUNA_POSIZIONE_GESTITA")),
        Err(StoreError::Order(OrderRefused::NotStopped)) => Ok(Carried::Refused("TERMINI_NON_SOSPESI")),
        Err(StoreError::Order(_)) => Ok(Carried::Refused("DATE_DELLA_SOSPENSIONE")),
        Err(error) => Err(error),
    }
}

fn cancel(db: &Connection, id: ActId, now: Timestamp) -> Result<Carried, StoreError> {
    let mut act = match ActRow::load(db, id) {
        Err(StoreError::NotFound(_)) => return Ok(Carried::Done),
        other => other?,
    };
    if act.staged {
        return Ok(Carried::Waits(ASK_SOON));
    }
    match engine::command(db, &mut act, Order::Cancel, "gestionale", "annulla", now) {
        Ok(()) => Ok(Carried::Done),
        Err(StoreError::Order(OrderRefused::NoIunYet)) => Ok(Carried::WaitsForSend(ASK_AGAIN)),
        // What was wanted has happened meanwhile.
        Err(StoreError::Order(_)) if matches!(act.state, State::Cancelled { .. } | State::Withdrawn) => Ok(Carried::Done),
        Err(StoreError::Order(_)) => Ok(Carried::Refused(Code::ActClosed.as_str())),
        Err(error) => Err(error),
    }
}

fn remember_cancel(db: &Connection, id: ActId, action: Action, now: Timestamp) -> Result<(), StoreError> {
    if cancelling::is_remembered(db, id)? {
        return Ok(());
    }
    cancelling::remember(db, &ActRow::load(db, id)?, "gestionale", action.as_str(), now)
}

/// The first half of a replacement. It waits for an operator if the new act does, and is dropped with it.
fn cancel_replaced(db: &Connection, old: ActId, batch: BatchId, ordinal: i64, now: Timestamp) -> Result<Carried, StoreError> {
    let mut select = db.prepare_cached("SELECT hold FROM act WHERE replaces = ?1 AND live = 1 AND staged = 0")?;
    let holds: Vec<Option<String>> = select.query_map([old.0.as_bytes()], |row| row.get(0))?.collect::<Result<_, _>>()?;
    if !holds.is_empty() && holds.iter().all(|hold| hold.as_deref() == Some(HoldReason::Operator.as_str())) {
        return Ok(Carried::Waits(ASK_AGAIN));
    }
    if holds.is_empty() {
        return Ok(Carried::Done);
    }
    match cancel(db, old, now)? {
        // Refused, or cancelled before the new act was started: nothing stands in its way.
        Carried::Done | Carried::Refused(_) if !engine::is_live(db, old)? => {
            let sql = "SELECT id FROM act WHERE batch_id = ?1 AND ordinal = ?2 AND staged = 0";
            let mut select = db.prepare_cached(sql)?;
            let new: Vec<ActId> =
                select.query_map(params![batch.0.as_bytes(), ordinal], |row| act_at(row, 0))?.collect::<Result<_, _>>()?;
            new.into_iter().try_for_each(|id| let_go(db, id, now))?;
            Ok(Carried::Done)
        }
        carried => Ok(carried),
    }
}

/// New content for an act that has not reached SEND: its files are now those of the batch that changed it.
fn modify(db: &Connection, id: ActId, batch: BatchId, json: &str, place: &str, now: Timestamp) -> Result<Carried, StoreError> {
    let old = match ActRow::load(db, id) {
        Err(StoreError::NotFound(_)) => return Ok(Carried::Done),
        other => other?,
    };
    if old.staged {
        return Ok(Carried::Waits(ASK_SOON));
    }
    match step::command(&old.state, old.facts(db, false)?, Order::Modify, now) {
        Ok(_) => {}
        Err(OrderRefused::Closed) => return Ok(Carried::Refused(Code::ActClosed.as_str())),
        Err(_) => return Ok(Carried::Refused(Code::ActAlreadySent.as_str())),
    }
    let change: Change = serde_json::from_str(json)?;
    let act = &change.act;
    // Time has passed since the row was read: what it claims may be taken.
    if let Some(conflict) = staging::conflicts(db, batch, &old.source, act)?.first() {
        let code = match conflict.claim {
            Claim::Protocol => Code::ProtocolLive,
            Claim::Document => Code::DocumentLive,
            Claim::Notice => Code::NoticeLive,
        };
        return Ok(Carried::Refused(code.as_str()));
    }
    // The flow's own term counts from the first drop: a correction does not put it off.
    let notify_by = match (old.notify_by, change.notify_by.map(ms)) {
        (Some(old), Some(new)) if act.notify_by.is_none() => Some(old.min(new)),
        (_, new) => new,
    };
    let bytes = id.0.as_bytes();
    if old.positions > 0 {
        position_acts::forsake(db, id, now)?;
    }
    for sql in [
        "DELETE FROM live_key WHERE act_id = ?1",
        "DELETE FROM recipient WHERE act_id = ?1",
        "DELETE FROM notice WHERE act_id = ?1",
        "DELETE FROM upload WHERE act_id = ?1",
    ] {
        db.prepare_cached(sql)?.execute([bytes])?;
    }
    db.prepare_cached(
        "UPDATE act SET content_batch = ?2, content_digest = ?3, protocol = ?4, recipients = ?5, applies_cost = ?6, amount = ?7, place = ?8, \
         key_id = ?9, files = ?11, deadline_told = CASE WHEN notify_by IS ?10 THEN deadline_told END, notify_by = ?10, \
         flow_digest = coalesce((SELECT flow_digest FROM batch WHERE id = ?2), flow_digest) WHERE id = ?1",
    )?
    .execute(params![
        bytes,
        batch.0.as_bytes(),
        staging::content_of(act).as_bytes(),
        act.protocol,
        act.recipients.len() as i64,
        staging::applies_cost(act),
        act.amount.map(|amount| amount.get()),
        place,
        change.key_id,
        notify_by,
        act.files().count() as i64,
    ])?;
    staging::write_content(db, id, act)?;
    let mut act = ActRow::load(db, id)?;
    position_acts::route_act(db, &mut act)?;
    engine::command(db, &mut act, Order::Modify, "gestionale", "modifica", now)?;
    position_acts::join(db, &act, now)?;
    Ok(Carried::Done)
}

/// Nothing waits any more for an act that is itself withdrawn: what would have replaced it replaces what it would have.
pub(super) fn inherit_predecessor(db: &Connection, act: &ActRow) -> Result<(), StoreError> {
    if let Some(old) = act.replaces
        && act.state == State::Withdrawn
        && engine::is_live(db, old)?
    {
        db.prepare_cached("UPDATE act SET replaces = ?2 WHERE replaces = ?1 AND live = 1")?
            .execute(params![act.id.0.as_bytes(), old.0.as_bytes()])?;
    }
    Ok(())
}

/// How many acts of a batch go first, by its flow.
pub(super) fn guard_of_flow(db: &Connection, batch: BatchId) -> Result<i64, StoreError> {
    let sql =
        "SELECT json_extract(d.json, '$.guard.first_acts') FROM batch b JOIN flow_definition d ON d.digest = b.flow_digest WHERE b.id = ?1";
    Ok(optional(db.prepare_cached(sql)?.query_row([batch.0.as_bytes()], |row| row.get::<_, Option<i64>>(0)))?.flatten().unwrap_or(0))
}
