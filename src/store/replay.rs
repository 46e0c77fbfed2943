//! A batch read again from its kept archive: under a new id, by today's configuration. What is known of it stays as it is.

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::codec::{batch_at, ms, optional};
use super::engine;
use super::jobs::{self, BatchWork};
use super::orders::by;
use super::{Store, StoreError};
use crate::domain::ids::BatchId;

/// Why a batch is not read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplayRefused {
    /// It is being read.
    Unfinished,
    /// It was only a trial: dropping it again is as good.
    Trial,
    /// Its content came before: that batch is to be read again.
    Duplicate(BatchId),
    /// Its bytes were never kept whole.
    NoArchive,
    /// Another reading of it is under way.
    UnderWay(BatchId),
}

impl Store {
    /// Queues another reading of a batch under a new id. `Ok(Err(..))`: it cannot be read again.
    pub async fn replay_batch(
        &self,
        batch: BatchId,
        new: BatchId,
        who: &str,
        why: &str,
        now: Timestamp,
    ) -> Result<Result<(), ReplayRefused>, StoreError> {
        let about = by(who, why);
        let queued = self
            .write(move |db| {
                let sql = "SELECT state, dry_run, duplicate_of, sha256 IS NOT NULL FROM batch WHERE id = ?1";
                let found = optional(db.prepare_cached(sql)?.query_row([batch.0.as_bytes()], |row| {
                    let duplicate = match row.get_ref(2)? {
                        rusqlite::types::ValueRef::Null => None,
                        _ => Some(batch_at(row, 2)?),
                    };
                    Ok((row.get::<_, String>(0)?, row.get::<_, bool>(1)?, duplicate, row.get::<_, bool>(3)?))
                }))?;
                let (state, trial, duplicate, kept) = found.ok_or(StoreError::NotFound("batch"))?;
                if let Some(first) = duplicate {
                    return Ok(Err(ReplayRefused::Duplicate(first)));
                }
                if state.parse::<crate::domain::outcome::ReceiptState>().is_err() {
                    return Ok(Err(ReplayRefused::Unfinished));
                }
                if trial {
                    return Ok(Err(ReplayRefused::Trial));
                }
                if !kept {
                    return Ok(Err(ReplayRefused::NoArchive));
                }
                let first = first_of(db, batch)?;
                let sql = "SELECT r.batch_id FROM batch_replay r JOIN batch b ON b.id = r.batch_id WHERE r.of = ?1 AND b.finished_at IS NULL LIMIT 1";
                if let Some(other) = optional(db.prepare_cached(sql)?.query_row([first.0.as_bytes()], |row| batch_at(row, 0)))? {
                    return Ok(Err(ReplayRefused::UnderWay(other)));
                }
                db.prepare_cached(
                    "INSERT INTO batch (id, source, original_name, flow_hint, dry_run, received_at, state, sha256, size) \
                     SELECT ?2, source, original_name, flow_hint, 0, ?3, 'RICEVUTO', sha256, size FROM batch WHERE id = ?1",
                )?
                .execute(params![batch.0.as_bytes(), new.0.as_bytes(), ms(now)])?;
                db.prepare_cached("INSERT INTO batch_replay (batch_id, of) VALUES (?1, ?2)")?
                    .execute(params![new.0.as_bytes(), first.0.as_bytes()])?;
                engine::append_history(db, "lotto", batch.0.as_bytes(), "ORDINE_RIELABORA", None, Some(&about), now)?;
                engine::append_history(db, "lotto", new.0.as_bytes(), "ORDINE_RIELABORA", None, Some(&about), now)?;
                jobs::enqueue_batch(db, new, BatchWork::Reread, now)?;
                Ok(Ok(()))
            })
            .await?;
        self.ring();
        Ok(queued)
    }

    /// Queues the reading of an unfinished batch from its kept archive: its claimed file is gone.
    pub async fn reread_batch(&self, batch: BatchId, now: Timestamp) -> Result<(), StoreError> {
        self.write(move |db| {
            db.prepare_cached("INSERT INTO batch_replay (batch_id, of) VALUES (?1, ?1) ON CONFLICT DO NOTHING")?
                .execute([batch.0.as_bytes()])?;
            jobs::enqueue_batch(db, batch, BatchWork::Reread, now)
        })
        .await?;
        self.ring();
        Ok(())
    }

    /// The batch whose archive this one is read from: another, or itself.
    pub async fn replay_of(&self, batch: BatchId) -> Result<Option<BatchId>, StoreError> {
        self.read(move |db| replay_of(db, batch)).await
    }
}

/// The same, in a transaction.
pub(super) fn replay_of(db: &Connection, batch: BatchId) -> Result<Option<BatchId>, StoreError> {
    let sql = "SELECT of FROM batch_replay WHERE batch_id = ?1";
    optional(db.prepare_cached(sql)?.query_row([batch.0.as_bytes()], |row| batch_at(row, 0)))
}

fn first_of(db: &Connection, batch: BatchId) -> Result<BatchId, StoreError> {
    Ok(replay_of(db, batch)?.unwrap_or(batch))
}

/// Whether a row was taken when the batch was read before, then or in a later reading: as an act, or as an order.
pub(super) fn was_taken(db: &Connection, first: BatchId, now_reading: BatchId, ordinal: i64) -> Result<bool, StoreError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM act WHERE ordinal = ?3 AND batch_id IN (SELECT ?1 UNION ALL SELECT batch_id FROM batch_replay WHERE of = ?1) AND batch_id <> ?2) \
               OR EXISTS (SELECT 1 FROM batch_order WHERE ordinal = ?3 AND batch_id IN (SELECT ?1 UNION ALL SELECT batch_id FROM batch_replay WHERE of = ?1) AND batch_id <> ?2)";
    let taken = db.prepare_cached(sql)?.query_row(params![first.0.as_bytes(), now_reading.0.as_bytes(), ordinal], |row| row.get(0))?;
    Ok(taken)
}
