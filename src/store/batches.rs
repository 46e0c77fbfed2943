//! Drops and batches: from the claim of a file to the start of its acts.

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::codec::{act_at, at, batch_at, digest, key_of, ms, optional, word};
use super::engine::{self, ActRow};
use super::jobs::{self, BatchWork, JobRef};
use super::{Store, StoreError};
use crate::batch::problem::{Problem, Severity};
use crate::batch::row::Place;
use crate::clock;
use crate::domain::act::{Act, Action, Payment};
use crate::domain::digest::Sha256;
use crate::domain::ids::{ActId, BatchId};
use crate::domain::outcome::ReceiptState;
use crate::flow::definition::FlowDefinition;
use crate::flow::event::{Order, OrderRefused};
use crate::flow::state::{HoldReason, State};
use crate::flow::step;

/// A claimed file, before anyone has looked inside.
#[derive(Debug, Clone, PartialEq)]
pub struct NewDrop {
    pub id: BatchId,
    pub source: String,
    pub original_name: String,
    pub flow_hint: Option<String>,
    pub dry_run: bool,
    pub received_at: Timestamp,
}

/// What the store knows of a drop.
#[derive(Debug, Clone, PartialEq)]
pub struct Drop {
    pub id: BatchId,
    pub source: String,
    pub original_name: String,
    pub flow_hint: Option<String>,
    pub dry_run: bool,
    pub received_at: Timestamp,
    /// `None` while it is being read.
    pub state: Option<ReceiptState>,
}

/// Facts of a batch that are known when its rows are staged.
#[derive(Debug, Clone, PartialEq)]
pub struct Staging {
    pub batch: BatchId,
    pub source: String,
    pub sha256: Sha256,
    pub size: u64,
    pub layout: Option<String>,
    pub batch_file: String,
    /// Index of the batch file in the archive.
    pub batch_entry: u32,
    /// A bare `.xml` or `.csv`, no archive.
    pub bare: bool,
    pub sender: Option<String>,
    pub flow: Option<FlowDefinition>,
}

/// One accepted row, to be kept until the whole batch is.
#[derive(Debug, Clone, PartialEq)]
pub struct Staged {
    pub act: Act,
    pub place: Place,
    /// API key under which it will be sent.
    pub key_id: String,
    /// Last instant at which it may be notified.
    pub notify_by: Option<Timestamp>,
}

/// What the store says of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Kept.
    New,
    /// The same content is already here.
    Duplicate,
    /// The reference is that of another act, live.
    Exists,
    /// The order names an act that is not known.
    Unknown,
    /// A change of what SEND already has.
    AlreadySent,
    /// An order about a closed act.
    Closed,
    /// Protocol of another live act of the ente; its reference.
    ProtocolLive(String),
    /// Same main document for the same recipient, in another live act; its reference.
    DocumentLive(String),
    /// Notice of another live act; its reference.
    NoticeLive(String),
}

/// A batch as receipts and commands show it.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchSummary {
    pub id: BatchId,
    pub source: String,
    pub original_name: String,
    pub dry_run: bool,
    pub received_at: Timestamp,
    pub finished_at: Option<Timestamp>,
    /// `RICEVUTO`, `IN_LETTURA`, or the state of the receipt.
    pub state: String,
    pub sha256: Option<Sha256>,
    pub size: u64,
    pub layout: Option<String>,
    pub batch_file: Option<String>,
    pub batch_entry: u32,
    pub bare: bool,
    pub flow: Option<String>,
    pub sender: Option<String>,
    pub acts: u64,
    pub accepted: u64,
    pub refused: u64,
    pub duplicates: u64,
    pub warnings: u64,
    pub problems: u64,
    pub duplicate_of: Option<BatchId>,
    pub hold: Option<String>,
    pub forecast: Option<Timestamp>,
}

/// How the reading of a batch ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Finished {
    pub state: ReceiptState,
    pub acts: u64,
    pub accepted: u64,
    pub refused: u64,
    pub duplicates: u64,
    pub duplicate_of: Option<BatchId>,
    /// Acts wait for an operator.
    pub held: bool,
    /// When the last act will be sent under the quota.
    pub forecast: Option<Timestamp>,
}

const SUMMARY: &str = "id, source, original_name, dry_run, received_at, finished_at, state, sha256, size, layout, batch_file, batch_entry, bare, flow, sender, \
     acts, accepted, refused, duplicates, warnings, problems, duplicate_of, hold, forecast";

fn read_summary(row: &rusqlite::Row<'_>) -> rusqlite::Result<BatchSummary> {
    let count = |index| row.get::<_, i64>(index).map(|n| u64::try_from(n).unwrap_or(0));
    Ok(BatchSummary {
        id: batch_at(row, 0)?,
        source: row.get(1)?,
        original_name: row.get::<_, Option<String>>(2)?.unwrap_or_default(),
        dry_run: row.get(3)?,
        received_at: at(row.get(4)?),
        finished_at: row.get::<_, Option<i64>>(5)?.map(at),
        state: row.get(6)?,
        sha256: row.get::<_, Option<Vec<u8>>>(7)?.and_then(digest),
        size: row.get::<_, Option<i64>>(8)?.and_then(|n| u64::try_from(n).ok()).unwrap_or(0),
        layout: row.get(9)?,
        batch_file: row.get(10)?,
        batch_entry: row.get::<_, Option<u32>>(11)?.unwrap_or(0),
        bare: row.get(12)?,
        flow: row.get(13)?,
        sender: row.get(14)?,
        acts: count(15)?,
        accepted: count(16)?,
        refused: count(17)?,
        duplicates: count(18)?,
        warnings: count(19)?,
        problems: count(20)?,
        duplicate_of: match row.get::<_, Option<Vec<u8>>>(21)? {
            Some(_) => Some(batch_at(row, 21)?),
            None => None,
        },
        hold: row.get(22)?,
        forecast: row.get::<_, Option<i64>>(23)?.map(at),
    })
}

fn load_summary(db: &Connection, id: BatchId) -> Result<BatchSummary, StoreError> {
    let sql = format!("SELECT {SUMMARY} FROM batch WHERE id = ?1");
    optional(db.prepare_cached(&sql)?.query_row([id.0.as_bytes()], read_summary))?.ok_or(StoreError::NotFound("batch"))
}

impl Store {
    /// Notes a claimed file. Saying it again changes nothing; answers what is known of it.
    pub async fn claim(&self, drop: NewDrop) -> Result<Drop, StoreError> {
        self.write(move |db| {
            db.prepare_cached(
                "INSERT INTO batch (id, source, original_name, flow_hint, dry_run, received_at, state) VALUES (?1,?2,?3,?4,?5,?6,'RICEVUTO') \
                 ON CONFLICT (id) DO NOTHING",
            )?
            .execute(params![drop.id.0.as_bytes(), drop.source, drop.original_name, drop.flow_hint, drop.dry_run, ms(drop.received_at)])?;
            let state = load_summary(db, drop.id)?.state;
            Ok(Drop {
                id: drop.id,
                source: drop.source,
                original_name: drop.original_name,
                flow_hint: drop.flow_hint,
                dry_run: drop.dry_run,
                received_at: drop.received_at,
                state: state.parse().ok(),
            })
        })
        .await
    }

    /// The first accepted drop of that gestionale with the same bytes.
    pub async fn content_seen(&self, source: &str, sha256: Sha256, not: BatchId) -> Result<Option<BatchSummary>, StoreError> {
        let source = source.to_owned();
        self.read(move |db| {
            let sql = format!(
                "SELECT {SUMMARY} FROM batch WHERE source = ?1 AND sha256 = ?2 AND id <> ?3 AND dry_run = 0 \
                 AND state IN ('PRESA_IN_CARICO', 'PARZIALE') ORDER BY received_at LIMIT 1"
            );
            optional(db.prepare_cached(&sql)?.query_row(params![source, sha256.as_bytes(), not.0.as_bytes()], read_summary))
        })
        .await
    }

    /// Begins (or begins again, after a crash) the reading of a batch: nothing staged before counts.
    pub async fn begin_staging(&self, staging: Staging) -> Result<(), StoreError> {
        loop {
            let batch = staging.batch;
            if self.write(move |db| discard_chunk(db, batch)).await? == 0 {
                break;
            }
        }
        self.write(move |db| {
            let id = staging.batch.0.as_bytes();
            db.execute("DELETE FROM problem WHERE batch_id = ?1", [id])?;
            db.execute("DELETE FROM reject WHERE batch_id = ?1", [id])?;
            db.execute("DELETE FROM batch_order WHERE batch_id = ?1", [id])?;
            let flow_digest = match &staging.flow {
                Some(flow) => {
                    let json = serde_json::to_string(flow)?;
                    let digest = Sha256::of(json.as_bytes());
                    db.execute(
                        "INSERT INTO flow_definition (digest, name, json) VALUES (?1, ?2, ?3) ON CONFLICT (digest) DO NOTHING",
                        params![digest.as_bytes(), flow.name, json],
                    )?;
                    Some(digest.as_bytes().to_vec())
                }
                None => None,
            };
            db.execute(
                "UPDATE batch SET state = 'IN_LETTURA', sha256 = ?2, size = ?3, layout = ?4, batch_file = ?5, batch_entry = ?6, bare = ?7, \
                 sender = ?8, flow = ?9, flow_digest = ?10, problems = 0, warnings = 0, guard_max = ?11 WHERE id = ?1",
                params![
                    id,
                    staging.sha256.as_bytes(),
                    i64::try_from(staging.size).unwrap_or(i64::MAX),
                    staging.layout,
                    staging.batch_file,
                    staging.batch_entry,
                    staging.bare,
                    staging.sender,
                    staging.flow.as_ref().map(|flow| flow.name.as_str()),
                    flow_digest,
                    staging.flow.as_ref().map_or(100, |flow| flow.guard.max_refused_percent),
                ],
            )?;
            Ok(())
        })
        .await
    }

    /// Keeps rows until the batch is accepted, after looking at what is already here. Answers row by row.
    pub async fn stage(&self, batch: BatchId, rows: Vec<Staged>, now: Timestamp) -> Result<Vec<Verdict>, StoreError> {
        self.write(move |db| {
            let owner =
                db.prepare_cached("SELECT source, flow, flow_digest FROM batch WHERE id = ?1")?.query_row([batch.0.as_bytes()], |row| {
                    Ok((row.get::<_, String>(0)?, row.get::<_, Option<String>>(1)?, row.get::<_, Option<Vec<u8>>>(2)?))
                })?;
            let (source, Some(flow), Some(flow_digest)) = owner else { return Err(StoreError::NotFound("flow")) };
            rows.into_iter().map(|row| stage_row(db, batch, &source, &flow, &flow_digest, row, now)).collect()
        })
        .await
    }

    /// Adds problems of the batch, in order, after those already there.
    pub async fn add_problems(&self, batch: BatchId, problems: Vec<Problem>) -> Result<(), StoreError> {
        self.write(move |db| {
            let mut seq: i64 =
                db.prepare_cached("SELECT problems FROM batch WHERE id = ?1")?.query_row([batch.0.as_bytes()], |row| row.get(0))?;
            let mut warnings = 0;
            for problem in &problems {
                seq += 1;
                let severity = if problem.severity == Severity::Warning { "AVVISO" } else { "ERRORE" };
                warnings += i64::from(problem.severity == Severity::Warning);
                db.prepare_cached("INSERT INTO problem (batch_id, seq, code, severity, data) VALUES (?1,?2,?3,?4,?5)")?
                    .execute(params![batch.0.as_bytes(), seq, problem.code, severity, serde_json::to_string(problem)?])?;
            }
            db.prepare_cached("UPDATE batch SET problems = ?2, warnings = warnings + ?3 WHERE id = ?1")?.execute(params![
                batch.0.as_bytes(),
                seq,
                warnings
            ])?;
            Ok(())
        })
        .await
    }

    /// Problems after number `after`, at most a thousand.
    pub async fn problems(&self, batch: BatchId, after: u64) -> Result<Vec<(u64, Problem)>, StoreError> {
        self.read(move |db| {
            let mut select = db.prepare_cached(
                "SELECT seq, data FROM problem WHERE batch_id = ?1 AND seq > ?2 AND data IS NOT NULL ORDER BY seq LIMIT 1000",
            )?;
            let rows = select.query_map(params![batch.0.as_bytes(), i64::try_from(after).unwrap_or(i64::MAX)], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?))
            })?;
            rows.map(|row| {
                let (seq, data) = row?;
                Ok((u64::try_from(seq).unwrap_or(0), serde_json::from_str(&data)?))
            })
            .collect()
        })
        .await
    }

    /// Keeps refused rows for `scarti/`: (ordinal, encoded reject).
    pub async fn add_rejects(&self, batch: BatchId, rejects: Vec<(u64, String)>) -> Result<(), StoreError> {
        self.write(move |db| {
            for (ordinal, data) in &rejects {
                db.prepare_cached("INSERT INTO reject (batch_id, ordinal, data) VALUES (?1,?2,?3) ON CONFLICT DO NOTHING")?
                    .execute(params![batch.0.as_bytes(), i64::try_from(*ordinal).unwrap_or(i64::MAX), data])?;
            }
            Ok(())
        })
        .await
    }

    /// Refused rows of a batch, in order of the file, not yet published.
    pub async fn rejects(&self, batch: BatchId) -> Result<Vec<String>, StoreError> {
        self.read(move |db| {
            let mut select = db.prepare_cached("SELECT data FROM reject WHERE batch_id = ?1 AND act_id IS NULL ORDER BY ordinal")?;
            Ok(select.query_map([batch.0.as_bytes()], |row| row.get(0))?.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// Refused rows of a batch that is refused as a whole are not given back one by one.
    pub async fn clear_rejects(&self, batch: BatchId) -> Result<(), StoreError> {
        self.write(move |db| {
            db.execute("DELETE FROM reject WHERE batch_id = ?1", [batch.0.as_bytes()])?;
            Ok(())
        })
        .await
    }

    /// Throws staged rows away: the batch is refused as a whole, or was only a trial.
    pub async fn discard_staged(&self, batch: BatchId) -> Result<(), StoreError> {
        while self.write(move |db| discard_chunk(db, batch)).await? > 0 {}
        Ok(())
    }

    /// Ends the reading: the drop is acknowledged from here on. Receipt, rejects and the start of the acts follow as jobs.
    pub async fn finish_batch(&self, batch: BatchId, end: Finished, now: Timestamp) -> Result<(), StoreError> {
        self.write(move |db| {
            let summary = load_summary(db, batch)?;
            if summary.state.parse::<ReceiptState>().is_ok() {
                return Ok(()); // told twice: a restart
            }
            let first: i64 = db.query_row(
                "SELECT coalesce((SELECT json_extract(json, '$.guard.first_acts') FROM flow_definition d WHERE d.digest = b.flow_digest), 0) \
                 FROM batch b WHERE b.id = ?1",
                [batch.0.as_bytes()],
                |row| row.get(0),
            )?;
            let staged: i64 =
                db.query_row("SELECT count(*) FROM act WHERE batch_id = ?1 AND staged = 1", [batch.0.as_bytes()], |row| row.get(0))?;
            let guard = if staged > first && first > 0 { first } else { 0 };
            db.execute(
                "UPDATE batch SET state = ?2, finished_at = ?3, acts = ?4, accepted = ?5, refused = ?6, duplicates = ?7, duplicate_of = ?8, \
                 hold = ?9, forecast = ?10, guard_first = ?11, guard_open = ?11 WHERE id = ?1",
                params![
                    batch.0.as_bytes(),
                    end.state.as_str(),
                    ms(now),
                    end.acts as i64,
                    end.accepted as i64,
                    end.refused as i64,
                    end.duplicates as i64,
                    end.duplicate_of.map(|first| first.0.as_bytes().to_vec()),
                    end.held.then_some(HoldReason::Operator.as_str()),
                    end.forecast.map(ms),
                    guard,
                ],
            )?;
            let taken = matches!(end.state, ReceiptState::Taken | ReceiptState::Partial);
            engine::append_history(db, "lotto", batch.0.as_bytes(), end.state.as_str(), None, None, now)?;
            jobs::enqueue_batch(db, batch, BatchWork::Receipt, now)?;
            let rejects: bool =
                db.query_row("SELECT EXISTS (SELECT 1 FROM reject WHERE batch_id = ?1)", [batch.0.as_bytes()], |row| row.get(0))?;
            if rejects && !summary.dry_run {
                jobs::enqueue_batch(db, batch, BatchWork::Rejects, now)?;
            }
            if taken && !summary.dry_run {
                jobs::enqueue_batch(db, batch, BatchWork::Start, now)?;
            }
            Ok(())
        })
        .await?;
        self.ring();
        Ok(())
    }

    /// Starts up to a thousand staged acts or orders of an accepted batch. Answers whether more are left; when none is, the job ends.
    pub async fn start_acts(&self, batch: BatchId, job: JobRef, now: Timestamp) -> Result<bool, StoreError> {
        let more = self
            .write(move |db| {
                let (hold, first): (Option<String>, i64) = db
                    .prepare_cached("SELECT hold, guard_first FROM batch WHERE id = ?1")?
                    .query_row([batch.0.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))?;
                let mut select = db.prepare_cached(
                    "SELECT id, replaces IS NOT NULL FROM act WHERE batch_id = ?1 AND staged = 1 ORDER BY ordinal LIMIT 1000",
                )?;
                let acts: Vec<(ActId, bool)> =
                    select.query_map([batch.0.as_bytes()], |row| Ok((act_at(row, 0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
                if acts.is_empty() {
                    return carry_out_orders(db, batch, job, now);
                }
                let mut guarded = guarded_acts(db, batch)?;
                for (id, replaces) in acts {
                    let mut act = ActRow::load(db, id)?;
                    let reason = if replaces {
                        Some(HoldReason::Cancellation)
                    } else if hold.is_some() {
                        Some(HoldReason::Operator)
                    } else {
                        guard(db, &mut act, &mut guarded, first)?
                    };
                    db.prepare_cached("UPDATE act SET staged = 0 WHERE id = ?1")?.execute([id.0.as_bytes()])?;
                    engine::save(db, &mut act, step::begin(reason, now), "ACCETTATO_DA_MESSO", None, now)?;
                }
                Ok(true)
            })
            .await?;
        self.ring();
        Ok(more)
    }

    /// Why acts of the batch are held for an operator: by the flow, or by the answers to its first acts.
    pub async fn held_for(&self, batch: BatchId) -> Result<Option<HoldReason>, StoreError> {
        self.read(move |db| {
            for reason in [HoldReason::Operator, HoldReason::Guard] {
                if count_held(db, batch, reason)? > 0 {
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
                db.execute("UPDATE batch SET hold = NULL WHERE id = ?1", [batch.0.as_bytes()])?;
                let first: i64 =
                    db.prepare_cached("SELECT guard_first FROM batch WHERE id = ?1")?.query_row([batch.0.as_bytes()], |row| row.get(0))?;
                let mut guarded = guarded_acts(db, batch)?;
                let acts = held_acts(db, batch, reason, true)?;
                for id in &acts {
                    let mut act = ActRow::load(db, *id)?;
                    db.prepare_cached("UPDATE act SET park_code = NULL WHERE id = ?1")?.execute([id.0.as_bytes()])?;
                    let waits = if reason == HoldReason::Operator { guard(db, &mut act, &mut guarded, first)? } else { None };
                    match waits {
                        Some(reason) => engine::save(db, &mut act, step::begin(Some(reason), now), "RILASCIATO", None, now)?,
                        None => engine::command(db, &mut act, Order::Release, &who, &why, now)?,
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
                let (first, refused, max): (i64, i64, i64) = db
                    .prepare_cached("SELECT guard_first, guard_refused, guard_max FROM batch WHERE id = ?1")?
                    .query_row([batch.0.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
                let stop = refused * 100 > max * first;
                let acts = held_acts(db, batch, HoldReason::Guard, !stop)?;
                if acts.is_empty() {
                    jobs::finish(db, job)?;
                    if stop {
                        engine::raise_alert_for(db, "TROPPI_RIFIUTI", None, Some(batch), &format!("{refused}/{first}"), now)?;
                    }
                    return Ok(false);
                }
                for id in &acts {
                    let mut act = ActRow::load(db, *id)?;
                    if stop {
                        db.prepare_cached("UPDATE act SET park_code = 'TROPPI_RIFIUTI', updated_at = ?2 WHERE id = ?1")?
                            .execute(params![id.0.as_bytes(), ms(now)])?;
                        let mut line = crate::flow::effect::LineDraft::new(crate::domain::outcome::OutcomeState::Parked, "SOSPESO", now);
                        line.code = Some("TROPPI_RIFIUTI".to_owned());
                        engine::publish_line(db, &act, line, now)?;
                    } else {
                        engine::command(db, &mut act, Order::Release, "messo", "i primi atti del lotto sono stati accettati", now)?;
                    }
                }
                Ok(true)
            })
            .await?;
        self.ring();
        Ok(more)
    }

    /// One batch.
    pub async fn batch(&self, id: BatchId) -> Result<BatchSummary, StoreError> {
        self.read(move |db| load_summary(db, id)).await
    }

    /// The newest batches.
    pub async fn batches(&self, limit: usize) -> Result<Vec<BatchSummary>, StoreError> {
        self.read(move |db| {
            let sql = format!("SELECT {SUMMARY} FROM batch ORDER BY received_at DESC, id DESC LIMIT ?1");
            let mut select = db.prepare_cached(&sql)?;
            Ok(select.query_map([limit as i64], read_summary)?.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// Drops that were claimed and never finished: read again after a restart.
    pub async fn unfinished(&self) -> Result<Vec<BatchSummary>, StoreError> {
        self.read(|db| {
            let sql = format!("SELECT {SUMMARY} FROM batch WHERE state IN ('RICEVUTO', 'IN_LETTURA') ORDER BY received_at");
            let mut select = db.prepare_cached(&sql)?;
            Ok(select.query_map([], read_summary)?.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// The hint of its folder.
    pub async fn flow_hint(&self, id: BatchId) -> Result<Option<String>, StoreError> {
        self.read(move |db| Ok(db.query_row("SELECT flow_hint FROM batch WHERE id = ?1", [id.0.as_bytes()], |row| row.get(0))?)).await
    }

    /// How many recipients wait to be sent for an ente (for the forecast).
    pub async fn backlog(&self, sender: &str) -> Result<u64, StoreError> {
        let channel = format!("{sender}/%");
        self.read(move |db| {
            let sql = "SELECT count(*) FROM job WHERE lane = 1 AND (channel LIKE ?1 OR channel = '')";
            Ok(db.prepare_cached(sql)?.query_row([channel], |row| row.get::<_, i64>(0))?.unsigned_abs())
        })
        .await
    }

    /// Remembers where the entries of a kept archive lie, with what each must be: checked at every later read.
    pub async fn keep_entries(&self, archive: Sha256, entries: Vec<KeptEntry>) -> Result<(), StoreError> {
        self.write(move |db| {
            for entry in &entries {
                db.prepare_cached(
                    "INSERT INTO archive_entry (archive, entry, data_start, compressed, size, crc, method, sha256, header_offset) \
                     VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9) ON CONFLICT DO NOTHING",
                )?
                .execute(params![
                    archive.as_bytes(),
                    entry.entry,
                    entry.data_start as i64,
                    entry.compressed as i64,
                    entry.size as i64,
                    entry.crc,
                    entry.method,
                    entry.sha256.as_bytes(),
                    entry.header_offset as i64,
                ])?;
            }
            Ok(())
        })
        .await
    }

    /// Where one entry lies.
    pub async fn kept_entry(&self, archive: Sha256, entry: u32) -> Result<KeptEntry, StoreError> {
        self.read(move |db| {
            let found = db
                .prepare_cached(
                    "SELECT entry, data_start, compressed, size, crc, method, sha256, header_offset FROM archive_entry WHERE archive = ?1 AND entry = ?2",
                )?
                .query_row(params![archive.as_bytes(), entry], |row| {
                    Ok(KeptEntry {
                        entry: row.get(0)?,
                        data_start: row.get::<_, i64>(1)?.unsigned_abs(),
                        compressed: row.get::<_, i64>(2)?.unsigned_abs(),
                        size: row.get::<_, i64>(3)?.unsigned_abs(),
                        crc: row.get(4)?,
                        method: row.get(5)?,
                        sha256: digest(row.get(6)?).unwrap_or(Sha256::from_bytes([0; 32])),
                        header_offset: row.get::<_, i64>(7)?.unsigned_abs(),
                    })
                });
            optional(found)?.ok_or(StoreError::NotFound("archive entry"))
        })
        .await
    }
}

/// Where an entry lies in its archive and what it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptEntry {
    pub entry: u32,
    pub data_start: u64,
    pub compressed: u64,
    pub size: u64,
    pub crc: u32,
    pub method: String,
    pub sha256: Sha256,
    pub header_offset: u64,
}

fn stage_row(
    db: &Connection,
    batch: BatchId,
    source: &str,
    flow: &str,
    flow_digest: &[u8],
    row: Staged,
    now: Timestamp,
) -> Result<Verdict, StoreError> {
    let act = &row.act;
    let latest = latest_submission(db, &act.sender_tax_id, source, &act.reference)?;
    match act.action {
        Action::Cancel => {
            let Some((id, state, _, _)) = latest else { return Ok(Verdict::Unknown) };
            if !state.is_live() {
                return Ok(Verdict::Closed);
            }
            keep_order(db, batch, id, &row)?;
            return Ok(Verdict::New);
        }
        Action::Modify => {
            let Some((id, state, _, _)) = latest else { return Ok(Verdict::Unknown) };
            if !state.is_live() {
                return Ok(Verdict::Closed);
            }
            if !state.is_unsent() {
                return Ok(Verdict::AlreadySent);
            }
            if let Some(conflict) = conflict(db, act, Some(id))? {
                return Ok(conflict);
            }
            keep_order(db, batch, id, &row)?;
            return Ok(Verdict::New);
        }
        Action::Insert | Action::Replace => {}
    }
    let content = act.content_digest();
    let mut replaces = None;
    let mut submission = 1;
    if let Some((id, state, known, number)) = latest {
        if state.is_live() && act.action == Action::Insert {
            return Ok(if known == Some(content) { Verdict::Duplicate } else { Verdict::Exists });
        }
        if state.is_live() {
            replaces = Some(id);
        }
        submission = number + 1;
    } else if act.action == Action::Replace {
        return Ok(Verdict::Unknown);
    }
    if let Some(conflict) = conflict(db, act, replaces)? {
        return Ok(conflict);
    }
    let id = insert_act(
        db,
        &NewAct { batch, source, flow, flow_digest, row: &row, content, submission, replaces, resubmissions: 0, staged: true },
        now,
    )?;
    if let Some(old) = replaces {
        let order = Staged { act: Act { action: Action::Cancel, ..row.act.clone() }, ..row.clone() };
        keep_order(db, batch, old, &order)?;
    }
    let _ = id;
    Ok(Verdict::New)
}

/// What a new act row is made of.
pub(super) struct NewAct<'a> {
    pub batch: BatchId,
    pub source: &'a str,
    pub flow: &'a str,
    pub flow_digest: &'a [u8],
    pub row: &'a Staged,
    pub content: Sha256,
    pub submission: u32,
    pub replaces: Option<ActId>,
    pub resubmissions: u32,
    pub staged: bool,
}

pub(super) fn insert_act(db: &Connection, new: &NewAct<'_>, now: Timestamp) -> Result<ActId, StoreError> {
    let id = ActId(clock::new_uuid());
    let act = &new.row.act;
    let state = State::Preparing;
    let applies_cost = act.recipients.iter().flat_map(|recipient| &recipient.payments).any(|payment| match payment {
        Payment::PagoPa { apply_cost, .. } => *apply_cost,
        Payment::F24 { .. } => false,
    });
    db.prepare_cached(
        "INSERT INTO act (id, sender, source, reference, submission, batch_id, content_batch, ordinal, row, place, flow, flow_digest, key_id, \
         protocol, token, staged, state, state_data, state_version, revision, live, content_digest, recipients, applies_cost, amount, notify_by, \
         replaces, resubmissions, created_at, updated_at) \
         VALUES (?1,?2,?3,?4,?5,?6,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17,?18,0,1,?19,?20,?21,?22,?23,?24,?25,?26,?26)",
    )?
    .execute(params![
        id.0.as_bytes(),
        act.sender_tax_id,
        new.source,
        act.reference,
        new.submission,
        new.batch.0.as_bytes(),
        new.row.place.ordinal as i64,
        new.row.place.row as i64,
        encode_place(&new.row.place),
        new.flow,
        new.flow_digest,
        new.row.key_id,
        act.protocol,
        token(&act.sender_tax_id, new.source, &act.reference, new.submission),
        new.staged,
        state.name(),
        serde_json::to_string(&state)?,
        crate::flow::state::STATE_VERSION,
        new.content.as_bytes(),
        act.recipients.len() as i64,
        applies_cost,
        act.amount.map(|amount| amount.get()),
        new.row.notify_by.map(ms),
        new.replaces.map(|old| old.0.as_bytes().to_vec()),
        new.resubmissions,
        ms(now),
    ])?;
    write_content(db, id, act)?;
    Ok(id)
}

/// The act's deletable content and everything derived from it.
pub(super) fn write_content(db: &Connection, id: ActId, act: &Act) -> Result<(), StoreError> {
    let bytes = id.0.as_bytes();
    db.prepare_cached("INSERT INTO act_content (act_id, json) VALUES (?1, ?2) ON CONFLICT (act_id) DO UPDATE SET json = excluded.json")?
        .execute(params![bytes, serde_json::to_string(act)?])?;
    for (kind, key) in live_keys(act) {
        db.prepare_cached("INSERT INTO live_key (kind, key, act_id) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING")?
            .execute(params![kind, key, bytes])?;
    }
    for (index, recipient) in act.recipients.iter().enumerate() {
        db.prepare_cached("INSERT INTO recipient (act_id, idx) VALUES (?1, ?2) ON CONFLICT DO NOTHING")?
            .execute(params![bytes, index as i64])?;
        for (item, payment) in recipient.payments.iter().enumerate() {
            if let Payment::PagoPa { notice_code, creditor_tax_id, apply_cost, .. } = payment {
                db.prepare_cached(
                    "INSERT INTO notice (act_id, recipient, item, creditor, notice_code, apply_cost) VALUES (?1,?2,?3,?4,?5,?6)",
                )?
                .execute(params![bytes, index as i64, item as i64, creditor_tax_id, notice_code, apply_cost])?;
            }
        }
    }
    Ok(())
}

/// `idempotenceToken`: the same for every technical repetition of one submission, never random.
pub(super) fn token(sender: &str, source: &str, reference: &str, submission: u32) -> String {
    let mut hasher = crate::domain::digest::Hasher::new();
    for part in [sender, source, reference, &submission.to_string()] {
        hasher.update(part.as_bytes());
        hasher.update(&[0]);
    }
    hasher.finish().to_hex()
}

type Latest = Option<(ActId, State, Option<Sha256>, u32)>;

pub(super) fn latest_submission(db: &Connection, sender: &str, source: &str, reference: &str) -> Result<Latest, StoreError> {
    let found = optional(
        db.prepare_cached(
            "SELECT id, state_data, content_digest, submission FROM act WHERE sender = ?1 AND source = ?2 AND reference = ?3 ORDER BY submission DESC LIMIT 1",
        )?
        .query_row([sender, source, reference], |row| {
            Ok((act_at(row, 0)?, row.get::<_, String>(1)?, row.get::<_, Vec<u8>>(2)?, row.get::<_, u32>(3)?))
        }),
    )?;
    found.map(|(id, state, content, submission)| Ok((id, serde_json::from_str(&state)?, digest(content), submission))).transpose()
}

/// (kind, hash) of all that may stand in only one live act.
fn live_keys(act: &Act) -> Vec<(&'static str, Vec<u8>)> {
    let mut keys = Vec::new();
    if let Some(protocol) = &act.protocol {
        keys.push(("P", key_of(&[&act.sender_tax_id, protocol])));
    }
    if let Some(main) = act.documents.first().and_then(|document| document.stored) {
        for recipient in &act.recipients {
            keys.push(("D", key_of(&[&act.sender_tax_id, &main.sha256.to_hex(), &recipient.tax_id])));
        }
    }
    for (_, creditor, notice) in act.notices() {
        keys.push(("N", key_of(&[creditor, notice])));
    }
    keys
}

fn conflict(db: &Connection, act: &Act, except: Option<ActId>) -> Result<Option<Verdict>, StoreError> {
    for (kind, key) in live_keys(act) {
        // A reason given by the office overrules what is only unlikely; a notice is unique on the whole platform.
        if act.force.is_some() && kind != "N" {
            continue;
        }
        let except = except.map(|act| act.0.as_bytes().to_vec()).unwrap_or_default();
        let other: Option<String> = optional(
            db.prepare_cached(
                "SELECT a.reference FROM live_key k JOIN act a ON a.id = k.act_id WHERE k.kind = ?1 AND k.key = ?2 AND k.act_id <> ?3 LIMIT 1",
            )?
            .query_row(params![kind, key, except], |row| row.get(0)),
        )?;
        if let Some(reference) = other {
            return Ok(Some(match kind {
                "P" => Verdict::ProtocolLive(reference),
                "D" => Verdict::DocumentLive(reference),
                _ => Verdict::NoticeLive(reference),
            }));
        }
    }
    Ok(None)
}

fn keep_order(db: &Connection, batch: BatchId, act: ActId, row: &Staged) -> Result<(), StoreError> {
    let content = if row.act.action == Action::Modify { Some(serde_json::to_string(&row.act)?) } else { None };
    db.prepare_cached("INSERT INTO batch_order (batch_id, ordinal, act_id, action, place, json) VALUES (?1,?2,?3,?4,?5,?6)")?.execute(params![
        batch.0.as_bytes(),
        row.place.ordinal as i64,
        act.0.as_bytes(),
        row.act.action.as_str(),
        encode_place(&row.place),
        content,
    ])?;
    Ok(())
}

fn discard_chunk(db: &Connection, batch: BatchId) -> Result<usize, StoreError> {
    let mut select = db.prepare_cached("SELECT id FROM act WHERE batch_id = ?1 AND staged = 1 LIMIT 2000")?;
    let ids: Vec<ActId> = select.query_map([batch.0.as_bytes()], |row| act_at(row, 0))?.collect::<Result<_, _>>()?;
    for id in &ids {
        for sql in [
            "DELETE FROM act_content WHERE act_id = ?1",
            "DELETE FROM live_key WHERE act_id = ?1",
            "DELETE FROM recipient WHERE act_id = ?1",
            "DELETE FROM notice WHERE act_id = ?1",
            "DELETE FROM act WHERE id = ?1",
        ] {
            db.prepare_cached(sql)?.execute([id.0.as_bytes()])?;
        }
    }
    if ids.is_empty() {
        db.execute("DELETE FROM batch_order WHERE batch_id = ?1 AND done = 0", [batch.0.as_bytes()])?;
    }
    Ok(ids.len())
}

/// Orders of the batch about acts already known; one that must wait for an IUN is tried again in a minute.
fn carry_out_orders(db: &Connection, batch: BatchId, job: JobRef, now: Timestamp) -> Result<bool, StoreError> {
    let mut select = db
        .prepare_cached("SELECT ordinal, act_id, action, json, place FROM batch_order WHERE batch_id = ?1 AND done = 0 ORDER BY ordinal")?;
    let orders: Vec<(i64, ActId, String, Option<String>, String)> = select
        .query_map([batch.0.as_bytes()], |row| Ok((row.get(0)?, act_at(row, 1)?, row.get(2)?, row.get(3)?, row.get(4)?)))?
        .collect::<Result<_, _>>()?;
    let mut waiting = false;
    for (ordinal, id, action, content, place) in orders {
        let mut act = ActRow::load(db, id)?;
        let staged: bool = db.prepare_cached("SELECT staged FROM act WHERE id = ?1")?.query_row([id.0.as_bytes()], |row| row.get(0))?;
        if staged {
            // Its own batch has not been started yet, and would start it again whatever is ordered now.
            waiting = true;
            continue;
        }
        let outcome = match (word::<Action>(&action, "action")?, content) {
            (Action::Modify, Some(json)) => match engine::command(db, &mut act, Order::Modify, "gestionale", "modifica", now) {
                Ok(()) => modify(db, id, batch, &json, &place),
                Err(error) => Err(error),
            },
            _ => engine::command(db, &mut act, Order::Cancel, "gestionale", "annulla", now),
        };
        match outcome {
            Ok(()) => {}
            Err(StoreError::Order(OrderRefused::NoIunYet)) => {
                waiting = true;
                continue;
            }
            // Refused by SEND meanwhile: there is nothing to cancel, and what replaces it need not wait.
            Err(StoreError::Order(OrderRefused::Closed)) if act.facts(db)?.has_replacement => {
                jobs::enqueue_effect(db, &act, &crate::flow::effect::Effect::StartReplacement, now)?;
            }
            // Taken when the batch was read, impossible now: the gestionale is told in its esito.
            Err(StoreError::Order(refused)) => {
                let code = match refused {
                    OrderRefused::AlreadySent => "ATTO_GIA_INVIATO",
                    _ => "ATTO_NON_ANNULLABILE",
                };
                let mut line = crate::flow::effect::LineDraft::new(crate::domain::outcome::OutcomeState::Info, "ORDINE_RESPINTO", now);
                line.code = Some(code.to_owned());
                engine::publish_line(db, &act, line, now)?;
            }
            Err(error) => return Err(error),
        }
        db.prepare_cached("UPDATE batch_order SET done = 1, json = NULL WHERE batch_id = ?1 AND ordinal = ?2")?
            .execute(params![batch.0.as_bytes(), ordinal])?;
    }
    if waiting {
        db.prepare_cached("UPDATE job SET state = 'ATTESA', due_at = ?3 WHERE id = ?1 AND fence = ?2")?.execute(params![
            job.id.as_bytes(),
            job.fence,
            ms(now) + 60_000
        ])?;
        return Ok(false);
    }
    db.execute("UPDATE batch SET started = 1 WHERE id = ?1", [batch.0.as_bytes()])?;
    jobs::finish(db, job)?;
    Ok(false)
}

/// New content for an act that has not reached SEND: its files are now those of the batch that changed it.
fn modify(db: &Connection, id: ActId, batch: BatchId, json: &str, place: &str) -> Result<(), StoreError> {
    let act: Act = serde_json::from_str(json)?;
    let bytes = id.0.as_bytes();
    for sql in [
        "DELETE FROM live_key WHERE act_id = ?1",
        "DELETE FROM recipient WHERE act_id = ?1",
        "DELETE FROM notice WHERE act_id = ?1",
        "DELETE FROM upload WHERE act_id = ?1",
    ] {
        db.prepare_cached(sql)?.execute([bytes])?;
    }
    let applies_cost = act
        .recipients
        .iter()
        .flat_map(|recipient| &recipient.payments)
        .any(|payment| matches!(payment, Payment::PagoPa { apply_cost: true, .. }));
    db.prepare_cached(
        "UPDATE act SET content_batch = ?2, content_digest = ?3, protocol = ?4, recipients = ?5, applies_cost = ?6, amount = ?7, place = ?8 WHERE id = ?1",
    )?
    .execute(params![
        bytes,
        batch.0.as_bytes(),
        act.content_digest().as_bytes(),
        act.protocol,
        act.recipients.len() as i64,
        applies_cost,
        act.amount.map(|amount| amount.get()),
        place,
    ])?;
    write_content(db, id, &act)
}

fn guarded_acts(db: &Connection, batch: BatchId) -> Result<i64, StoreError> {
    let sql = "SELECT count(*) FROM act WHERE batch_id = ?1 AND guard > 0";
    Ok(db.prepare_cached(sql)?.query_row([batch.0.as_bytes()], |row| row.get(0))?)
}

/// Whether an act that could go must wait for the first ones of its batch.
fn guard(db: &Connection, act: &mut ActRow, guarded: &mut i64, first: i64) -> Result<Option<HoldReason>, StoreError> {
    if first == 0 {
        return Ok(None);
    }
    if *guarded >= first {
        return Ok(Some(HoldReason::Guard));
    }
    *guarded += 1;
    act.guard = 1;
    db.prepare_cached("UPDATE act SET guard = 1 WHERE id = ?1")?.execute([act.id.0.as_bytes()])?;
    Ok(None)
}

fn count_held(db: &Connection, batch: BatchId, reason: HoldReason) -> Result<i64, StoreError> {
    let sql = "SELECT count(*) FROM act WHERE batch_id = ?1 AND hold = ?2";
    Ok(db.prepare_cached(sql)?.query_row(params![batch.0.as_bytes(), reason.as_str()], |row| row.get(0))?)
}

fn held_acts(db: &Connection, batch: BatchId, reason: HoldReason, parked_too: bool) -> Result<Vec<ActId>, StoreError> {
    let sql = "SELECT id FROM act WHERE batch_id = ?1 AND hold = ?2 AND (park_code IS NULL OR ?3) ORDER BY ordinal LIMIT 1000";
    let mut select = db.prepare_cached(sql)?;
    Ok(select.query_map(params![batch.0.as_bytes(), reason.as_str(), parked_too], |row| act_at(row, 0))?.collect::<Result<_, _>>()?)
}

/// `row;start;end;ordinal;recipient rows`.
pub fn encode_place(place: &Place) -> String {
    let rows: Vec<String> = place.recipient_rows.iter().map(u64::to_string).collect();
    format!("{};{};{};{};{}", place.row, place.start, place.end, place.ordinal, rows.join(","))
}

/// Reads [`encode_place`] back.
pub fn decode_place(text: &str) -> Place {
    let mut parts = text.split(';');
    let mut number = || parts.next().and_then(|part| part.parse().ok()).unwrap_or(0);
    let (row, start, end, ordinal) = (number(), number(), number(), number());
    let recipient_rows = parts.next().unwrap_or_default().split(',').filter_map(|part| part.parse().ok()).collect();
    Place { row, recipient_rows, start, end, ordinal }
}
