//! Batches whose new sends an operator has stopped: what is at SEND is followed, nothing new of them goes there.
//!
//! The order is one row. Jobs are set aside (`FERMO`) one by one when their turn comes, so that a large batch costs nothing at
//! once and stands in nobody's way; they come back together, a thousand at a time.

use jiff::Timestamp;
use rusqlite::{Connection, params};
use uuid::Uuid;

use super::codec::{at, ms, optional};
use super::engine;
use super::orders::by;
use super::{CHUNK, Store, StoreError};
use crate::domain::ids::{ActId, BatchId};

/// A batch that is stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    pub since: Timestamp,
    pub who: String,
    pub why: String,
}

const PAUSED_ACT: &str = "SELECT EXISTS (SELECT 1 FROM act a JOIN batch_pause p ON p.batch_id = a.batch_id WHERE a.id = ?1)";
const SET_ASIDE: &str = "UPDATE job SET state = 'FERMO' WHERE id = ?1 AND subject_kind = 'notifica' \
     AND EXISTS (SELECT 1 FROM act a JOIN batch_pause p ON p.batch_id = a.batch_id WHERE a.id = job.subject_id)";
const STRAYS: &str = "SELECT j.id FROM job j JOIN act a ON a.id = j.subject_id WHERE j.state = 'FERMO' \
     AND NOT EXISTS (SELECT 1 FROM batch_pause p WHERE p.batch_id = a.batch_id) LIMIT ?1";
const COME_BACK: &str = "UPDATE job SET state = 'PRONTO' WHERE id = ?1 AND state = 'FERMO'";

impl Store {
    /// Stops the new sends of a batch. False: it is stopped already, and nothing is kept.
    pub async fn pause_batch(&self, batch: BatchId, who: &str, why: &str, now: Timestamp) -> Result<bool, StoreError> {
        let (who, why) = (who.to_owned(), why.to_owned());
        self.write(move |db| {
            let sql = "INSERT INTO batch_pause (batch_id, since, who, why) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING";
            let new = db.prepare_cached(sql)?.execute(params![batch.0.as_bytes(), ms(now), who, why])? == 1;
            if new {
                engine::append_history(db, "lotto", batch.0.as_bytes(), "ORDINE_FERMA", None, Some(&by(&who, &why)), now)?;
            }
            Ok(new)
        })
        .await
    }

    /// Lets a stopped batch go on. False: it was not stopped.
    pub async fn unpause_batch(&self, batch: BatchId, who: &str, why: &str, now: Timestamp) -> Result<bool, StoreError> {
        let about = by(who, why);
        let was = self
            .write(move |db| {
                let was = db.prepare_cached("DELETE FROM batch_pause WHERE batch_id = ?1")?.execute([batch.0.as_bytes()])? == 1;
                if was {
                    engine::append_history(db, "lotto", batch.0.as_bytes(), "ORDINE_RIPRENDI", None, Some(&about), now)?;
                }
                Ok(was)
            })
            .await?;
        while self.return_set_aside().await? > 0 {}
        Ok(was)
    }

    /// Jobs that were set aside and whose batch is stopped no longer come back, up to a thousand a call: answers how many.
    pub async fn return_set_aside(&self) -> Result<usize, StoreError> {
        let any: bool = self
            .read(|db| Ok(db.prepare_cached("SELECT EXISTS (SELECT 1 FROM job WHERE state = 'FERMO')")?.query_row([], |row| row.get(0))?))
            .await?;
        if !any {
            return Ok(0);
        }
        let back = self
            .write(|db| {
                let mut select = db.prepare_cached(STRAYS)?;
                let jobs: Vec<Vec<u8>> = select.query_map([CHUNK as i64], |row| row.get(0))?.collect::<Result<_, _>>()?;
                for job in &jobs {
                    db.prepare_cached(COME_BACK)?.execute([job])?;
                }
                Ok(jobs.len())
            })
            .await?;
        self.ring();
        Ok(back)
    }

    /// Whether a batch is stopped, by whom and why.
    pub async fn pause_of(&self, batch: BatchId) -> Result<Option<Pause>, StoreError> {
        self.read(move |db| {
            let sql = "SELECT since, who, why FROM batch_pause WHERE batch_id = ?1";
            let read = |row: &rusqlite::Row<'_>| Ok(Pause { since: at(row.get(0)?), who: row.get(1)?, why: row.get(2)? });
            optional(db.prepare_cached(sql)?.query_row([batch.0.as_bytes()], read))
        })
        .await
    }

    /// Batches that are stopped, the longest first.
    pub async fn paused_batches(&self) -> Result<Vec<BatchId>, StoreError> {
        self.read(|db| {
            let mut select = db.prepare_cached("SELECT batch_id FROM batch_pause ORDER BY since LIMIT 1000")?;
            Ok(select.query_map([], |row| super::codec::batch_at(row, 0))?.collect::<Result<_, _>>()?)
        })
        .await
    }
}

/// Whether any batch is stopped.
pub(super) fn any(db: &Connection) -> Result<bool, StoreError> {
    Ok(db.prepare_cached("SELECT EXISTS (SELECT 1 FROM batch_pause)")?.query_row([], |row| row.get(0))?)
}

/// Whether the batch of an act is stopped.
pub(super) fn holds(db: &Connection, act: ActId) -> Result<bool, StoreError> {
    Ok(db.prepare_cached(PAUSED_ACT)?.query_row([act.0.as_bytes()], |row| row.get(0))?)
}

/// Sets a job aside if the batch of its act is stopped. True: it was.
pub(super) fn set_aside(db: &Connection, job: Uuid) -> Result<bool, StoreError> {
    Ok(db.prepare_cached(SET_ASIDE)?.execute([job.as_bytes()])? == 1)
}
