//! Durable jobs: a row each, leased by a worker, gone in the transaction that saves what they brought.
//!
//! A job is about a *subject* (kind and id). `ATTESA` jobs become `PRONTO` when due; a lease carries its owner and a fencing
//! number, so that a worker that comes back too late changes nothing.

use jiff::Timestamp;
use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::codec::{batch_at, ms, optional, uuid_at};
use super::engine::{self, ActRow, fresh};
use super::positions;
use super::{CHUNK, Store, StoreError};
use crate::domain::ids::{ActId, BatchId, PositionId};
use crate::flow::effect::{EFFECT_VERSION, Effect, Lane};
use crate::flow::position::{PositionEffect, PositionFact};
use crate::flow::retry::Next;
use crate::flow::state::{HoldReason, State};

/// What a job is about, and what is to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Subject {
    Notifica { act: ActId, effect: Effect },
    Lotto { batch: BatchId, work: BatchWork },
    Posizione { position: PositionId, effect: PositionEffect },
}

/// Work about a whole batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "w")]
pub enum BatchWork {
    /// Start the staged acts, a thousand at a time.
    Start,
    /// The first acts have answered: release the rest, or park it.
    OpenGuard,
    /// Write the receipt.
    Receipt,
    /// Write the refused rows into `scarti/`.
    Rejects,
    /// Read the batch from a kept archive.
    Reread,
}

impl BatchWork {
    fn name(self) -> &'static str {
        match self {
            BatchWork::Start => "AVVIA",
            BatchWork::OpenGuard => "APRI",
            BatchWork::Receipt => "RICEVUTA",
            BatchWork::Rejects => "SCARTI",
            BatchWork::Reread => "RIELABORA",
        }
    }

    /// Files wait among themselves.
    pub fn lane(self) -> Lane {
        match self {
            BatchWork::Start | BatchWork::OpenGuard | BatchWork::Reread => Lane::FollowUp,
            BatchWork::Receipt | BatchWork::Rejects => Lane::Files,
        }
    }
}

/// A lease: which job, and the number that proves it is still ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobRef {
    pub id: Uuid,
    pub fence: i64,
}

/// A job taken.
#[derive(Debug, Clone, PartialEq)]
pub struct Leased {
    pub job: JobRef,
    pub subject: Subject,
    pub channel: String,
    /// Failures so far.
    pub attempts: u32,
}

/// Times that jobs of stopped batches are set aside in one lease to reach those behind them.
const LOOKS: usize = 50;

/// The most urgent jobs that are ready; those of stopped batches are set aside on the way.
fn next_jobs(db: &Connection, channel: &str, lane: u8, count: usize, pauses: bool) -> Result<Vec<Uuid>, StoreError> {
    let mut found = Vec::new();
    for _ in 0..LOOKS {
        let mut select = db.prepare_cached(
            "SELECT id FROM job WHERE state = 'PRONTO' AND channel = ?1 AND lane = ?2 \
             AND NOT EXISTS (SELECT 1 FROM channel_stop s WHERE s.sender = ?4 AND s.resumed IS NULL) ORDER BY priority, id LIMIT ?3",
        )?;
        let of = params![channel, lane, count as i64, super::stops::sender_of(channel)];
        let ids = select.query_map(of, |row| uuid_at(row, 0))?.collect::<Result<Vec<_>, _>>()?;
        if !pauses || lane != Lane::NewSend as u8 {
            return Ok(ids);
        }
        let mut aside = 0;
        found.clear();
        for id in ids {
            if super::pause::set_aside(db, id)? {
                aside += 1;
            } else {
                found.push(id);
            }
        }
        if aside == 0 {
            break;
        }
    }
    Ok(found)
}

/// Jobs with no deadline come after all those that have one.
const NO_DEADLINE: i64 = i64::MAX / 4;

pub(super) fn enqueue_effect(db: &Connection, act: &ActRow, effect: &Effect, now: Timestamp) -> Result<(), StoreError> {
    // Should the stream stay silent: validation ends within 24 hours (`reference send.md` 4).
    let due = match effect {
        Effect::AskRequest => ms(now) + 26 * 3_600_000,
        _ => ms(now),
    };
    enqueue_at(db, act, effect, due, now)
}

/// The same, due at an instant of the caller's choice (milliseconds).
pub(super) fn enqueue_at(db: &Connection, act: &ActRow, effect: &Effect, due: i64, now: Timestamp) -> Result<(), StoreError> {
    let channel = match effect {
        Effect::Prepare | Effect::Resubmit | Effect::StartReplacement | Effect::WriteReject => String::new(),
        _ => act.channel(),
    };
    insert(
        db,
        Row {
            kind: "notifica",
            id: act.id.0.as_bytes(),
            name: effect.name(),
            key: &effect.key(),
            payload: &serde_json::to_string(effect)?,
            channel: &channel,
            lane: effect.lane() as i64,
            priority: act.notify_by.unwrap_or(NO_DEADLINE),
            due,
        },
        now,
    )
}

pub(super) fn enqueue_batch(db: &Connection, batch: BatchId, work: BatchWork, now: Timestamp) -> Result<(), StoreError> {
    let payload = serde_json::to_string(&work)?;
    let row = Row {
        kind: "lotto",
        id: batch.0.as_bytes(),
        name: work.name(),
        key: "",
        payload: &payload,
        channel: "",
        lane: work.lane() as i64,
        priority: 0,
        due: ms(now),
    };
    insert(db, row, now)
}

/// A job about a position, due at an instant (milliseconds); the one that is due earlier goes first.
pub(super) fn enqueue_position(
    db: &Connection,
    position: PositionId,
    effect: &PositionEffect,
    channel: &str,
    due: i64,
    now: Timestamp,
) -> Result<(), StoreError> {
    let payload = serde_json::to_string(effect)?;
    let row = Row {
        kind: positions::KIND,
        id: position.0.as_bytes(),
        name: effect.name(),
        key: "",
        payload: &payload,
        channel,
        lane: effect.lane() as i64,
        priority: due,
        due,
    };
    insert(db, row, now)
}

struct Row<'a> {
    kind: &'a str,
    id: &'a [u8],
    name: &'a str,
    key: &'a str,
    payload: &'a str,
    channel: &'a str,
    lane: i64,
    priority: i64,
    due: i64,
}

fn insert(db: &Connection, row: Row<'_>, now: Timestamp) -> Result<(), StoreError> {
    let state = if row.due <= ms(now) { "PRONTO" } else { "ATTESA" };
    // The same work asked for again while it runs: it is run once more, and the one under way no longer counts. But legal facts:
    // who fetches them looks, before it ends, whether there are others by now.
    db.prepare_cached(
        "INSERT INTO job (id, subject_kind, subject_id, kind, key, version, payload, channel, lane, priority, due_at, state, created_at) \
         VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13) \
         ON CONFLICT (subject_kind, subject_id, kind, key) DO UPDATE SET \
         state = excluded.state, due_at = excluded.due_at, fence = fence + 1, attempts = 0, error = NULL, payload = excluded.payload, \
         channel = excluded.channel, lane = excluded.lane, priority = excluded.priority \
         WHERE job.kind <> 'SCARICA_ATTESTAZIONI' OR job.state NOT IN ('PRONTO', 'IN_CORSO')",
    )?
    .execute(params![
        fresh(),
        row.kind,
        row.id,
        row.name,
        row.key,
        EFFECT_VERSION,
        row.payload,
        row.channel,
        row.lane,
        row.priority,
        row.due,
        state,
        ms(now),
    ])?;
    Ok(())
}

const IS_PARKED: &str = "SELECT EXISTS (SELECT 1 FROM job WHERE subject_kind = 'notifica' AND subject_id = ?1 AND kind = ?2 AND key = ?3 AND state = 'SOSPESO')";

/// Whether that work of an act waits for a person.
pub(super) fn is_parked(db: &Connection, act: ActId, effect: &Effect) -> Result<bool, StoreError> {
    Ok(db.prepare_cached(IS_PARKED)?.query_row(params![act.0.as_bytes(), effect.name(), effect.key()], |row| row.get(0))?)
}

/// Removes a finished job, if it is still ours.
pub(super) fn finish(db: &Connection, job: JobRef) -> Result<(), StoreError> {
    let gone = db.prepare_cached("DELETE FROM job WHERE id = ?1 AND fence = ?2")?.execute(params![job.id.as_bytes(), job.fence])?;
    if gone == 1 { Ok(()) } else { Err(StoreError::Stale) }
}

/// Whether a job is still ours.
pub(super) fn held(db: &Connection, job: JobRef) -> Result<(), StoreError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM job WHERE id = ?1 AND fence = ?2)";
    let held = db.prepare_cached(sql)?.query_row(params![job.id.as_bytes(), job.fence], |row| row.get(0))?;
    if held { Ok(()) } else { Err(StoreError::Stale) }
}

/// Whether there is work that could begin now.
pub(super) fn any_ready(db: &Connection) -> Result<bool, StoreError> {
    Ok(db.prepare_cached("SELECT EXISTS (SELECT 1 FROM job WHERE state = 'PRONTO' AND channel >= '')")?.query_row([], |row| row.get(0))?)
}

/// How many jobs of which channel and lane a worker would take.
pub type Wanted = (String, u8, usize);

/// Whether a job that waited has fallen due, and whether a lease has ended.
fn fallen_due(db: &Connection, now: Timestamp) -> Result<(bool, bool), StoreError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM job WHERE state = 'ATTESA' AND due_at <= ?1), \
               EXISTS (SELECT 1 FROM job WHERE state = 'IN_CORSO' AND lease_until < ?1)";
    Ok(db.prepare_cached(sql)?.query_row([ms(now)], |row| Ok((row.get(0)?, row.get(1)?)))?)
}

impl Store {
    /// Leases due jobs, the most urgent first, up to what is wanted of each channel and lane.
    pub async fn lease(&self, owner: &str, wanted: Vec<Wanted>, until: Timestamp, now: Timestamp) -> Result<Vec<Leased>, StoreError> {
        self.lease_of(owner, wanted, until, now, true).await
    }

    /// The same; without `look` what has fallen due since is left to a later call.
    pub async fn lease_of(
        &self,
        owner: &str,
        wanted: Vec<Wanted>,
        until: Timestamp,
        now: Timestamp,
        look: bool,
    ) -> Result<Vec<Leased>, StoreError> {
        let owner = owner.to_owned();
        self.write(move |db| {
            // Mostly there is none of either: looking costs less than a change that finds nothing.
            let (due, expired): (bool, bool) = if look { fallen_due(db, now)? } else { (false, false) };
            if due {
                // After an hour of waiting many are due together: so many a call.
                db.prepare_cached(
                    "UPDATE job SET state = 'PRONTO' WHERE id IN (SELECT id FROM job WHERE state = 'ATTESA' AND due_at <= ?1 ORDER BY due_at LIMIT 5000)",
                )?
                .execute([ms(now)])?;
            }
            if expired {
                db.prepare_cached("UPDATE job SET state = 'PRONTO', attempts = attempts + 1 WHERE state = 'IN_CORSO' AND lease_until < ?1")?
                    .execute([ms(now)])?;
            }
            let mut taken = Vec::new();
            let (held, pauses) = (super::restore::is_held(db)?, super::pause::any(db)?);
            for (channel, lane, count) in wanted {
                // A store that was put back from a copy tells nobody another amount either.
                if held && (lane == Lane::NewSend as u8 || channel.starts_with("pt/")) {
                    continue;
                }
                for id in next_jobs(db, &channel, lane, count, pauses)? {
                    // Read, then written: RETURNING would make and drop a table of its own each time.
                    let mut select =
                        db.prepare_cached("SELECT subject_kind, subject_id, payload, attempts, fence + 1 FROM job WHERE id = ?1")?;
                    let row = select.query_row([id.as_bytes()], |row| {
                        Ok((
                            row.get::<_, String>(0)?,
                            uuid_at(row, 1)?,
                            row.get::<_, String>(2)?,
                            row.get::<_, u32>(3)?,
                            row.get::<_, i64>(4)?,
                        ))
                    })?;
                    db.prepare_cached("UPDATE job SET state = 'IN_CORSO', owner = ?2, lease_until = ?3, fence = ?4 WHERE id = ?1")?
                        .execute(params![id.as_bytes(), owner, ms(until), row.4])?;
                    let (kind, subject, payload, attempts, fence) = row;
                    let decoded = match kind.as_str() {
                        "notifica" => serde_json::from_str(&payload).map(|effect| Subject::Notifica { act: ActId(subject), effect }),
                        positions::KIND => {
                            serde_json::from_str(&payload).map(|effect| Subject::Posizione { position: PositionId(subject), effect })
                        }
                        _ => serde_json::from_str(&payload).map(|work| Subject::Lotto { batch: BatchId(subject), work }),
                    };
                    let subject = match decoded {
                        Ok(subject) => subject,
                        // One that cannot be read must not keep the others from being taken.
                        Err(_) => {
                            match kind.as_str() {
                                "notifica" => suspend_unreadable(db, id, ActId(subject), now)?,
                                positions::KIND => suspend_unreadable_position(db, id, PositionId(subject), now)?,
                                _ => suspend_unreadable_work(db, id, BatchId(subject), now)?,
                            }
                            continue;
                        }
                    };
                    taken.push(Leased { job: JobRef { id, fence }, subject, channel: channel.clone(), attempts });
                }
            }
            Ok(taken)
        })
        .await
    }

    /// When the next waiting job is due.
    pub async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        self.read(|db| {
            let due: Option<i64> =
                db.prepare_cached("SELECT min(due_at) FROM job WHERE state = 'ATTESA'")?.query_row([], |row| row.get(0))?;
            Ok(due.map(super::codec::at))
        })
        .await
    }

    /// After a start: leases of the process before are free again (the data folder has one process at a time). What it was doing
    /// counts as an attempt of unknown outcome, so that a POST is looked up before it is repeated.
    pub async fn free_leases(&self) -> Result<usize, StoreError> {
        let freed = self
            .write(|db| {
                let sql =
                    "UPDATE job SET state = 'PRONTO', fence = fence + 1, attempts = attempts + 1 WHERE state = 'IN_CORSO' AND lease_until >= 0";
                Ok(db.execute(sql, [])?)
            })
            .await?;
        self.ring();
        Ok(freed)
    }

    /// The job did its work and nothing else is to be saved.
    pub async fn finish_job(&self, job: JobRef) -> Result<(), StoreError> {
        self.write(move |db| finish(db, job)).await
    }

    /// The job failed: again later, or parked with the act it is about. `code` is a stable code, never a text of the remote.
    pub async fn fail_job(&self, job: JobRef, next: Next, code: &str, now: Timestamp) -> Result<(), StoreError> {
        let code = code.to_owned();
        self.write(move |db| {
            let Some((kind, subject, payload)) = optional(
                db.prepare_cached("SELECT subject_kind, subject_id, payload FROM job WHERE id = ?1 AND fence = ?2")?
                    .query_row(params![job.id.as_bytes(), job.fence], |row| {
                        Ok((row.get::<_, String>(0)?, uuid_at(row, 1)?, row.get::<_, String>(2)?))
                    }),
            )?
            else {
                return Err(StoreError::Stale);
            };
            if kind == positions::KIND {
                return fail_position(db, job, PositionId(subject), &payload, next, &code, now);
            }
            let act = match kind.as_str() {
                "notifica" => match ActRow::load(db, ActId(subject)) {
                    Ok(act) => Some(act),
                    // Nothing can be done about it but to show it.
                    Err(StoreError::Corrupt(_)) => return suspend_unreadable(db, job.id, ActId(subject), now),
                    Err(error) => return Err(error),
                },
                _ => None,
            };
            if let Some(act) = &act
                && !serde_json::from_str::<Effect>(&payload)?.is_wanted(&act.state)
            {
                return finish(db, job); // the act has moved on meanwhile: nothing is left to fail
            }
            match next {
                Next::At(due) => {
                    let sql = "UPDATE job SET state = 'ATTESA', due_at = ?2, attempts = attempts + 1, error = ?3 WHERE id = ?1";
                    db.prepare_cached(sql)?.execute(params![job.id.as_bytes(), ms(due), code])?;
                }
                Next::Park { code } => {
                    let sql = "UPDATE job SET state = 'SOSPESO', attempts = attempts + 1, error = ?2 WHERE id = ?1";
                    db.prepare_cached(sql)?.execute(params![job.id.as_bytes(), code])?;
                    match act {
                        // Told when its first job was parked for that.
                        Some(act) if act.park_code.as_deref() == Some(code) => {}
                        Some(act) => engine::park_act(db, &act, code, now)?,
                        None => engine::raise_alert_for(db, code, None, Some(BatchId(subject)), "lavoro del lotto sospeso", now)?,
                    }
                }
            }
            Ok(())
        })
        .await
    }

    /// The job waits for its hour: no failure is counted.
    pub async fn postpone_job(&self, job: JobRef, due: Timestamp, code: &str) -> Result<(), StoreError> {
        let code = code.to_owned();
        self.write(move |db| {
            let sql = "UPDATE job SET state = 'ATTESA', due_at = ?3, error = ?4 WHERE id = ?1 AND fence = ?2";
            let changed = db.prepare_cached(sql)?.execute(params![job.id.as_bytes(), job.fence, ms(due), code])?;
            if changed == 1 { Ok(()) } else { Err(StoreError::Stale) }
        })
        .await
    }

    /// The job goes back as it was, due and without a failure: nothing could be tried.
    pub async fn give_back_job(&self, job: JobRef, code: &str) -> Result<(), StoreError> {
        let code = code.to_owned();
        self.write(move |db| {
            let sql = "UPDATE job SET state = 'PRONTO', error = ?3 WHERE id = ?1 AND fence = ?2";
            let changed = db.prepare_cached(sql)?.execute(params![job.id.as_bytes(), job.fence, code])?;
            if changed == 1 { Ok(()) } else { Err(StoreError::Stale) }
        })
        .await
    }

    /// Channels that have work due.
    pub async fn channels_with_work(&self) -> Result<Vec<String>, StoreError> {
        self.read(|db| {
            let mut select = db.prepare_cached("SELECT DISTINCT channel FROM job WHERE state = 'PRONTO' AND channel > ''")?;
            Ok(select.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// Resumes one parked act, or all those parked with that code (`None`: with any), batches included. Answers how many.
    ///
    /// An act that waits because the first ones of its batch were refused is let go.
    pub async fn retry(&self, act: Option<ActId>, code: Option<&str>, who: &str, why: &str, now: Timestamp) -> Result<usize, StoreError> {
        let mut resumed = 0;
        loop {
            let (code, who, why) = (code.map(str::to_owned), who.to_owned(), why.to_owned());
            let some = self
                .write(move |db| {
                    let acts = parked_acts(db, act, code.as_deref())?;
                    for act in &acts {
                        resume_act(db, *act, &who, &why, now)?;
                    }
                    let batches =
                        if act.is_none() && acts.is_empty() { resume_batches(db, None, code.as_deref(), &who, &why, now)? } else { 0 };
                    Ok((acts.len(), batches))
                })
                .await?;
            self.ring();
            resumed += some.0 + some.1;
            if some.0 == 0 || act.is_some() {
                return Ok(resumed);
            }
        }
    }

    /// Resumes the suspended work of one batch (receipt, rejects, start of its acts). Answers how many jobs.
    pub async fn retry_batch(&self, batch: BatchId, who: &str, why: &str, now: Timestamp) -> Result<usize, StoreError> {
        let (who, why) = (who.to_owned(), why.to_owned());
        let resumed = self.write(move |db| resume_batches(db, Some(batch), None, &who, &why, now)).await?;
        self.ring();
        Ok(resumed)
    }
}

/// Under this code wait acts whose stored data cannot be decoded.
pub(super) const UNREADABLE: &str = "DATI_ILLEGGIBILI";

const SUSPEND: &str = "UPDATE job SET state = 'SOSPESO', attempts = attempts + 1, error = ?2 WHERE id = ?1";

/// Suspends a job that cannot be understood, or whose act cannot: the act is parked as far as it can be read.
fn suspend_unreadable(db: &Connection, job: Uuid, act: ActId, now: Timestamp) -> Result<(), StoreError> {
    db.prepare_cached(SUSPEND)?.execute(params![job.as_bytes(), UNREADABLE])?;
    engine::park_unreadable(db, act, UNREADABLE, now)
}

/// A job of a position failed: again later, or the position is parked and the job is over (its resumption begins anew). What does
/// not touch an amount is only suspended.
fn fail_position(
    db: &Connection,
    job: JobRef,
    id: PositionId,
    payload: &str,
    next: Next,
    error: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let effect: PositionEffect = serde_json::from_str(payload)?;
    let row = match positions::PositionRow::load(db, id) {
        Ok(row) => row,
        Err(StoreError::Corrupt(_)) => return suspend_unreadable_position(db, job.id, id, now),
        Err(error) => return Err(error),
    };
    if !effect.is_wanted(&row.state) {
        return finish(db, job);
    }
    match next {
        Next::At(due) => {
            let sql = "UPDATE job SET state = 'ATTESA', due_at = ?2, attempts = attempts + 1, error = ?3 WHERE id = ?1";
            db.prepare_cached(sql)?.execute(params![job.id.as_bytes(), ms(due), error])?;
            Ok(())
        }
        Next::Park { code } if matches!(effect, PositionEffect::PollPayment | PositionEffect::TellPayment) => {
            db.prepare_cached(SUSPEND)?.execute(params![job.id.as_bytes(), code])?;
            engine::raise_alert_for(db, code, Some(&row.sender), None, &id.to_string(), now)
        }
        Next::Park { code } => {
            let beside = positions::Beside::job(job);
            positions::observe_one(db, id, &PositionFact::GaveUp { code: code.to_owned() }, beside, now).map(drop)
        }
    }
}

/// The same for a job of a position.
fn suspend_unreadable_position(db: &Connection, job: Uuid, id: PositionId, now: Timestamp) -> Result<(), StoreError> {
    db.prepare_cached(SUSPEND)?.execute(params![job.as_bytes(), UNREADABLE])?;
    engine::raise_alert_for(db, UNREADABLE, None, None, &id.to_string(), now)
}

/// The same for work of a batch.
fn suspend_unreadable_work(db: &Connection, job: Uuid, batch: BatchId, now: Timestamp) -> Result<(), StoreError> {
    db.prepare_cached(SUSPEND)?.execute(params![job.as_bytes(), UNREADABLE])?;
    engine::raise_alert_for(db, UNREADABLE, None, Some(batch), "lavoro del lotto sospeso", now)
}

/// Up to a thousand parked acts.
fn parked_acts(db: &Connection, act: Option<ActId>, code: Option<&str>) -> Result<Vec<ActId>, StoreError> {
    let read = |row: &rusqlite::Row<'_>| super::codec::act_at(row, 0);
    match (act, code) {
        (Some(act), code) => {
            let mut select =
                db.prepare_cached("SELECT id FROM act WHERE id = ?1 AND park_code IS NOT NULL AND (?2 IS NULL OR park_code = ?2)")?;
            Ok(select.query_map(params![act.0.as_bytes(), code], read)?.collect::<Result<_, _>>()?)
        }
        (None, Some(code)) => {
            let mut select = db.prepare_cached("SELECT id FROM act WHERE park_code = ?1 LIMIT ?2")?;
            Ok(select.query_map(params![code, CHUNK as i64], read)?.collect::<Result<_, _>>()?)
        }
        (None, None) => {
            let mut select = db.prepare_cached("SELECT id FROM act WHERE park_code IS NOT NULL LIMIT ?1")?;
            Ok(select.query_map([CHUNK as i64], read)?.collect::<Result<_, _>>()?)
        }
    }
}

pub(super) fn resume_act(db: &Connection, id: ActId, who: &str, why: &str, now: Timestamp) -> Result<(), StoreError> {
    let bytes = id.0.as_bytes();
    let mut act = ActRow::load(db, id)?;
    act.park_code = None;
    db.prepare_cached("UPDATE act SET park_code = NULL, updated_at = ?2 WHERE id = ?1")?.execute(params![bytes, ms(now)])?;
    if act.state == (State::Held { reason: HoldReason::Guard }) {
        return engine::release(db, &mut act, who, why, now);
    }
    db.prepare_cached(
        "UPDATE job SET state = 'PRONTO', attempts = 0, error = NULL, due_at = ?2 \
         WHERE subject_kind = 'notifica' AND subject_id = ?1 AND (state = 'SOSPESO' OR (state = 'ATTESA' AND error IS NOT NULL))",
    )?
    .execute(params![bytes, ms(now)])?;
    if act.state == State::Preparing && act.positions > 0 {
        // Its PTs are asked anew, and waited for as long as the first time.
        db.prepare_cached("UPDATE job SET created_at = ?2 WHERE subject_kind = 'notifica' AND subject_id = ?1 AND kind = 'PREPARA'")?
            .execute(params![bytes, ms(now)])?;
        super::position_orders::resume_of(db, id, who, why, now)?;
    }
    let line = crate::flow::effect::LineDraft::new(crate::domain::outcome::OutcomeState::Info, "RIPRESO", now);
    engine::publish_line(db, &act, line, now)?;
    let about = serde_json::json!({"who": who, "why": why}).to_string();
    engine::append_history(db, "notifica", bytes, "RIPRESO", Some(act.state.name()), Some(&about), now)
}

fn resume_batches(
    db: &Connection,
    batch: Option<BatchId>,
    code: Option<&str>,
    who: &str,
    why: &str,
    now: Timestamp,
) -> Result<usize, StoreError> {
    let batches = match batch {
        Some(batch) => vec![batch],
        None => parked_batches(db)?,
    };
    let about = serde_json::json!({"who": who, "why": why}).to_string();
    let mut resumed = 0;
    for batch in batches {
        let jobs = db
            .prepare_cached(
                "UPDATE job SET state = 'PRONTO', attempts = 0, error = NULL, due_at = ?2 \
                 WHERE subject_kind = 'lotto' AND subject_id = ?1 AND state = 'SOSPESO' AND (?3 IS NULL OR error = ?3)",
            )?
            .execute(params![batch.0.as_bytes(), ms(now), code])?;
        if jobs > 0 {
            engine::append_history(db, "lotto", batch.0.as_bytes(), "RIPRESO", None, Some(&about), now)?;
        }
        resumed += jobs;
    }
    Ok(resumed)
}

/// Batches whose job is parked (for `status`).
pub(super) fn parked_batches(db: &Connection) -> Result<Vec<BatchId>, StoreError> {
    let mut select = db.prepare_cached("SELECT DISTINCT subject_id FROM job WHERE state = 'SOSPESO' AND subject_kind = 'lotto'")?;
    Ok(select.query_map([], |row| batch_at(row, 0))?.collect::<Result<_, _>>()?)
}
