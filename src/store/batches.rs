//! Drops and batches: from the claim of a file to the start of its acts.

use jiff::Timestamp;
use jiff::civil::Date;
use rusqlite::{Connection, params};
use serde_json::json;

use super::alerts::{self, Alert};
use super::codec::{at, batch_at, digest, ms, optional};
use super::engine;
use super::jobs::{self, BatchWork};
use super::staging::{StagingBatch, discard_chunk, stage_row, unstage_row};
use super::starting::guard_of_flow;
use super::{CHUNK, Store, StoreError};
use crate::batch::problem::{Problem, Severity};
use crate::batch::row::Place;
use crate::domain::act::Act;
use crate::domain::digest::Sha256;
use crate::domain::ids::BatchId;
use crate::domain::outcome::ReceiptState;
use crate::flow::definition::FlowDefinition;
use crate::flow::forecast::{Used, Work};
use crate::flow::state::HoldReason;

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
    /// A change dropped under another flow than its act's; that flow.
    OtherFlow(String),
    /// What of it stands in other live acts: everything, at least one.
    Conflicts(Vec<Conflict>),
}

/// What may stand in only one live act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// A protocol of the ente.
    Protocol,
    /// The main document, for one recipient.
    Document,
    /// A payment notice.
    Notice,
}

/// Something of a row that stands in another live act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    pub claim: Claim,
    /// As the row has it: the protocol, the name of the file, the number of the notice.
    pub found: String,
    /// The other act's reference, or words in its place when another gestionale has it.
    pub other: String,
    /// Whose notice, or to whom the document, from 0.
    pub recipient: usize,
    /// Which of the recipient's notices, from 0.
    pub item: usize,
}

/// A row that was staged and is taken back.
#[derive(Debug, Clone, PartialEq)]
pub struct Unstaged {
    pub place: Place,
    pub reference: String,
    /// `None`: an order that brings no content.
    pub act: Option<Act>,
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
    /// When its personal data was deleted.
    pub erased_at: Option<Timestamp>,
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
    /// When the last act of all is expected to be sent.
    pub forecast: Option<Timestamp>,
    /// The Rome day of the last act of each ente; `None`: its limits never let it.
    pub forecasts: Vec<(String, Option<Date>)>,
}

/// How operators are told that a batch is not wholly accepted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Telling {
    /// In place of the code of its state.
    pub code: Option<&'static str>,
    /// The ente, where the batch does not name it: that of a gestionale with only one.
    pub sender: Option<String>,
}

/// What a batch adds to the queue of one ente, and what goes before its last act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queue {
    pub sender: String,
    pub own: Work,
    /// Open acts whose term is not after the last one of the batch.
    pub ahead: Work,
    pub used: Used,
}

pub(super) const SUMMARY: &str = "id, source, original_name, dry_run, received_at, finished_at, state, sha256, size, layout, batch_file, batch_entry, bare, flow, sender, \
     acts, accepted, refused, duplicates, warnings, problems, duplicate_of, hold, forecast, erased_at";

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
        erased_at: row.get::<_, Option<i64>>(24)?.map(at),
    })
}

fn load_summary(db: &Connection, id: BatchId) -> Result<BatchSummary, StoreError> {
    let sql = format!("SELECT {SUMMARY} FROM batch WHERE id = ?1");
    optional(db.prepare_cached(&sql)?.query_row([id.0.as_bytes()], read_summary))?.ok_or(StoreError::NotFound("batch"))
}

/// Refuses to read again what was already acknowledged.
fn unfinished(db: &Connection, id: BatchId) -> Result<(), StoreError> {
    match load_summary(db, id)?.state.parse::<ReceiptState>() {
        Ok(_) => Err(StoreError::Stale),
        Err(()) => Ok(()),
    }
}

/// Rows of a batch that are staged by one function.
const STAGED_TOGETHER: usize = if cfg!(test) { 3 } else { 100 };

impl Store {
    /// Notes a claimed file. Saying it again changes nothing; answers what is known of it.
    pub async fn claim(&self, drop: NewDrop) -> Result<Drop, StoreError> {
        self.write(move |db| {
            db.prepare_cached(
                "INSERT INTO batch (id, source, original_name, flow_hint, dry_run, received_at, state) VALUES (?1,?2,?3,?4,?5,?6,'RICEVUTO') \
                 ON CONFLICT (id) DO NOTHING",
            )?
            .execute(params![drop.id.0.as_bytes(), drop.source, drop.original_name, drop.flow_hint, drop.dry_run, ms(drop.received_at)])?;
            if !drop.dry_run {
                alerts::heard_from(db, &drop.source, drop.flow_hint.as_deref(), drop.received_at)?;
            }
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
        self.discard_staged(staging.batch).await?;
        self.write(move |db| {
            let id = staging.batch.0.as_bytes();
            unfinished(db, staging.batch)?;
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

    /// Nothing that was read of an unfinished drop counts: its bytes are gone. Its rows were thrown away before.
    pub async fn forget_reading(&self, batch: BatchId) -> Result<(), StoreError> {
        self.discard_staged(batch).await?;
        self.write(move |db| {
            unfinished(db, batch)?;
            for sql in [
                "DELETE FROM problem WHERE batch_id = ?1",
                "DELETE FROM reject WHERE batch_id = ?1",
                "DELETE FROM batch_order WHERE batch_id = ?1",
                "UPDATE batch SET sha256 = NULL, size = NULL, layout = NULL, problems = 0, warnings = 0 WHERE id = ?1",
            ] {
                db.execute(sql, [batch.0.as_bytes()])?;
            }
            Ok(())
        })
        .await
    }

    /// Keeps rows until the batch is accepted, after looking at what is already here. Answers row by row.
    pub async fn stage(&self, batch: BatchId, rows: Vec<Staged>, now: Timestamp) -> Result<Vec<Verdict>, StoreError> {
        // Sent together the parts are one commit. Until a part is over, every page that it touches is held in memory a second time.
        let mut parts = Vec::new();
        let mut rows = rows.into_iter().peekable();
        while rows.peek().is_some() {
            let part: Vec<Staged> = rows.by_ref().take(STAGED_TOGETHER).collect();
            parts.push(self.write(move |db| {
                let batch = StagingBatch::load(db, batch)?;
                part.into_iter().map(|row| stage_row(db, &batch, row, now)).collect::<Result<Vec<_>, _>>()
            }));
        }
        let verdicts: Result<Vec<_>, _> = futures_util::future::join_all(parts).await.into_iter().collect();
        Ok(verdicts?.concat())
    }

    /// Takes rows back that were staged, by their ordinals: they are refused after all. `None`: no row was taken under that one.
    pub async fn unstage(&self, batch: BatchId, ordinals: Vec<u64>) -> Result<Vec<Option<Unstaged>>, StoreError> {
        self.write(move |db| {
            // Only while it is being read.
            let batch = StagingBatch::load(db, batch)?;
            ordinals.into_iter().map(|ordinal| unstage_row(db, batch.id, ordinal)).collect()
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

    /// Whether rows of the batch were refused by messo.
    pub async fn has_rejects(&self, batch: BatchId) -> Result<bool, StoreError> {
        self.read(move |db| {
            let sql = "SELECT EXISTS (SELECT 1 FROM reject WHERE batch_id = ?1 AND act_id IS NULL)";
            Ok(db.prepare_cached(sql)?.query_row([batch.0.as_bytes()], |row| row.get(0))?)
        })
        .await
    }

    /// How many rows of a batch were refused by messo.
    pub async fn count_rejects(&self, batch: BatchId) -> Result<u64, StoreError> {
        self.read(move |db| {
            let sql = "SELECT count(*) FROM reject WHERE batch_id = ?1 AND act_id IS NULL";
            Ok(db.prepare_cached(sql)?.query_row([batch.0.as_bytes()], |row| row.get::<_, i64>(0))?.unsigned_abs())
        })
        .await
    }

    /// Refused rows of a batch after number `after`, in order of the file, at most a thousand: (number, encoded reject).
    pub async fn rejects(&self, batch: BatchId, after: u64) -> Result<Vec<(u64, String)>, StoreError> {
        self.read(move |db| {
            let mut select = db.prepare_cached(
                "SELECT ordinal, data FROM reject WHERE batch_id = ?1 AND ordinal > ?2 AND act_id IS NULL ORDER BY ordinal LIMIT ?3",
            )?;
            let after = i64::try_from(after).unwrap_or(i64::MAX);
            let rows = select.query_map(params![batch.0.as_bytes(), after, CHUNK as i64], |row| {
                Ok((row.get::<_, i64>(0)?.unsigned_abs(), row.get(1)?))
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
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

    /// Throws staged rows away: the batch is read again, refused as a whole, or was only a trial. Never rows of an accepted batch.
    pub async fn discard_staged(&self, batch: BatchId) -> Result<(), StoreError> {
        let discard = move |db: &Connection| {
            let sql = "SELECT dry_run = 0 AND state IN ('PRESA_IN_CARICO', 'PARZIALE') FROM batch WHERE id = ?1";
            let accepted: bool = optional(db.prepare_cached(sql)?.query_row([batch.0.as_bytes()], |row| row.get(0)))?.unwrap_or(false);
            if accepted { Err(StoreError::Stale) } else { discard_chunk(db, batch) }
        };
        while self.write(discard).await? > 0 {}
        Ok(())
    }

    /// Ends the reading: the drop is acknowledged from here on. Receipt, rejects and the start of the acts follow as jobs. What
    /// was staged for a batch that is not accepted, or only a trial, is thrown away.
    pub async fn finish_batch(&self, batch: BatchId, end: Finished, now: Timestamp) -> Result<(), StoreError> {
        self.finish_batch_telling(batch, end, Telling::default(), now).await
    }

    /// The same, when operators are told of it in another way than its state says.
    pub async fn finish_batch_telling(&self, batch: BatchId, end: Finished, telling: Telling, now: Timestamp) -> Result<(), StoreError> {
        let taken = matches!(end.state, ReceiptState::Taken | ReceiptState::Partial);
        let before = self.batch(batch).await?;
        if before.state.parse::<ReceiptState>().is_ok() {
            return Ok(()); // told twice: a restart
        }
        if !taken || before.dry_run {
            self.discard_staged(batch).await?;
        }
        self.write(move |db| {
            let summary = load_summary(db, batch)?;
            if summary.state.parse::<ReceiptState>().is_ok() {
                return Ok(());
            }
            let first = guard_of_flow(db, batch)?;
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
            for (sender, day) in &end.forecasts {
                db.prepare_cached("INSERT INTO batch_forecast (batch_id, sender, last_day) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING")?
                    .execute(params![batch.0.as_bytes(), sender, day.map(|day| day.to_string())])?;
            }
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
            if !summary.dry_run {
                tell_end(db, batch, &end, &telling, rejects, now)?;
            }
            Ok(())
        })
        .await?;
        self.ring();
        Ok(())
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

    /// The queue of each ente for which acts of the batch are staged, with what is used of its `day`. Acts that wait for an
    /// operator or are parked are before nobody.
    pub async fn queues(&self, batch: BatchId, day: &str) -> Result<Vec<Queue>, StoreError> {
        let day = day.to_owned();
        self.read(move |db| {
            let mut select = db.prepare_cached(
                "SELECT count(*), sum(recipients), sum(files), sender, max(coalesce(notify_by, ?2)) FROM act WHERE batch_id = ?1 AND staged = 1 \
                 GROUP BY sender ORDER BY sender",
            )?;
            let own = select.query_map(params![batch.0.as_bytes(), i64::MAX], |row| {
                Ok((read_work(row)?, row.get::<_, String>(3)?, row.get::<_, i64>(4)?))
            })?;
            let mut queues = Vec::new();
            for row in own {
                let (own, sender, last) = row?;
                let ahead = db
                    .prepare_cached(
                        "SELECT count(*), coalesce(sum(recipients), 0), coalesce(sum(files), 0) FROM act \
                         WHERE state IN ('IN_ATTESA', 'IN_PREPARAZIONE', 'IN_CARICAMENTO', 'IN_INVIO') AND sender = ?1 AND staged = 0 \
                         AND hold IS NOT 'OPERATORE' AND park_code IS NULL AND coalesce(notify_by, ?3) <= ?2",
                    )?
                    .query_row(params![sender, last, i64::MAX], read_work)?;
                let sql = "SELECT calls, spent FROM quota WHERE sender = ?1 AND day = ?2";
                let used = optional(db.prepare_cached(sql)?.query_row(params![sender, day], |row| {
                    Ok(Used { calls: row.get::<_, i64>(0)?.unsigned_abs(), cents: row.get::<_, i64>(1)?.unsigned_abs() })
                }))?;
                queues.push(Queue { sender, own, ahead, used: used.unwrap_or_default() });
            }
            Ok(queues)
        })
        .await
    }

    /// The day of the last act of each ente of a batch, as it was expected when the batch was accepted.
    pub async fn forecasts(&self, batch: BatchId) -> Result<Vec<(String, Option<Date>)>, StoreError> {
        self.read(move |db| {
            let mut select = db.prepare_cached("SELECT sender, last_day FROM batch_forecast WHERE batch_id = ?1 ORDER BY sender")?;
            let rows = select.query_map([batch.0.as_bytes()], |row| Ok((row.get::<_, String>(0)?, row.get::<_, Option<String>>(1)?)))?;
            rows.map(|row| {
                let (sender, day) = row?;
                Ok((sender, day.and_then(|day| day.parse().ok())))
            })
            .collect()
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
        self.kept_entries(vec![(archive, entry)]).await?.pop().flatten().ok_or(StoreError::NotFound("archive entry"))
    }

    /// The same for many, in their order; `None`: there is none.
    pub async fn kept_entries(&self, wanted: Vec<(Sha256, u32)>) -> Result<Vec<Option<KeptEntry>>, StoreError> {
        self.read(move |db| {
            let find = |(archive, entry): &(Sha256, u32)| {
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
              optional(found)
            };
            wanted.iter().map(find).collect()
        })
        .await
    }
}

/// Problems that an alert names.
const NAMED: i64 = 5;

/// Tells the operators of a batch that was refused, wholly or in part.
fn tell_end(db: &Connection, batch: BatchId, end: &Finished, telling: &Telling, rejects: bool, now: Timestamp) -> Result<(), StoreError> {
    let by_state = match end.state {
        ReceiptState::Rejected => Some("LOTTO_SCARTATO"),
        ReceiptState::Partial => Some("LOTTO_PARZIALE"),
        ReceiptState::Taken | ReceiptState::Duplicate => None,
    };
    let Some(code) = telling.code.or(by_state) else { return Ok(()) };
    let mut select =
        db.prepare_cached("SELECT code, data ->> '$.row' FROM problem WHERE batch_id = ?1 AND severity = 'ERRORE' ORDER BY seq LIMIT ?2")?;
    let read = |row: &rusqlite::Row<'_>| Ok(json!({ "code": row.get::<_, String>(0)?, "row": row.get::<_, Option<i64>>(1)? }));
    let mut problems = select.query_map(params![batch.0.as_bytes(), NAMED], read)?.collect::<Result<Vec<_>, _>>()?;
    // What refuses the whole drop is found last and named first.
    let last = "SELECT code, data ->> '$.row' FROM problem WHERE batch_id = ?1 AND severity = 'ERRORE' ORDER BY seq DESC LIMIT 1";
    let last =
        optional(db.prepare_cached(last)?.query_row([batch.0.as_bytes()], read))?.filter(|last| last.get("row") == Some(&json!(null)));
    if let Some(last) = last.filter(|last| problems.first() != Some(last)) {
        problems.retain(|problem| *problem != last);
        problems.insert(0, last);
        problems.truncate(NAMED as usize);
    }
    let mut data =
        json!({ "acts": end.acts, "accepted": end.accepted, "refused": end.refused, "duplicates": end.duplicates, "problems": problems });
    if rejects && let Some(fields) = data.as_object_mut() {
        // The rest of the name is that of the drop, which may hold a person's.
        let short = batch.0.simple().to_string().split_off(20);
        fields.insert("rejects".to_owned(), format!("scarti/scarto_{short}_***").into());
    }
    Alert::new(code, &batch.to_string()).batch(Some(batch)).sender(telling.sender.as_deref()).data(Some(&data)).raise(db, now)
}

pub(super) fn read_work(row: &rusqlite::Row<'_>) -> rusqlite::Result<Work> {
    let count = |index| row.get::<_, i64>(index).map(i64::unsigned_abs);
    Ok(Work { acts: count(0)?, recipients: count(1)?, files: count(2)? })
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
