//! Where a drop is: what the store knows of a file by its name, its bytes, its batch or an act of it. Read only.

use jiff::Timestamp;
use rusqlite::params;

use super::codec::{at, batch_at};
use super::door::read_event;
use super::{DoorEvent, Store, StoreError};
use crate::domain::digest::Sha256;
use crate::domain::ids::BatchId;

/// Something that operators were told about a batch or an act of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DropAlert {
    pub at: Timestamp,
    pub code: String,
}

/// A drop whose name is like the one that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Near {
    pub batch: BatchId,
    pub source: String,
    pub name: String,
    pub received_at: Timestamp,
}

const BY_NAME: &str = "SELECT id FROM batch WHERE original_name = ?1 COLLATE NOCASE ORDER BY received_at DESC, id DESC LIMIT ?2";
const BY_DIGEST: &str = "SELECT id FROM batch WHERE sha256 = ?1 ORDER BY received_at DESC, id DESC LIMIT ?2";
const NEAR: &str = "SELECT id, source, original_name, received_at FROM batch WHERE original_name >= ?1 COLLATE NOCASE \
     AND original_name < ?2 COLLATE NOCASE ORDER BY original_name COLLATE NOCASE LIMIT ?3";
const NEWEST: &str =
    "SELECT id, source, original_name, received_at FROM batch WHERE original_name IS NOT NULL ORDER BY received_at DESC, id DESC LIMIT ?1";
const DOOR_BY_DIGEST: &str = "SELECT at, act, account, address, client, name, target, bytes, sha256, outcome FROM door_event \
     WHERE sha256 = ?1 ORDER BY at DESC, id DESC LIMIT ?2";
const DOOR_BY_NAME: &str = "SELECT at, act, account, address, client, name, target, bytes, sha256, outcome FROM door_event \
     WHERE name = ?1 COLLATE NOCASE ORDER BY at DESC, id DESC LIMIT ?2";
const DOOR_BY_TARGET: &str = "SELECT at, act, account, address, client, name, target, bytes, sha256, outcome FROM door_event \
     WHERE target = ?1 COLLATE NOCASE ORDER BY at DESC, id DESC LIMIT ?2";
const ALERTS: &str = "SELECT at, code FROM alert WHERE batch_id = ?1 ORDER BY at DESC LIMIT ?2";
const DUPLICATES: &str = "SELECT id FROM batch WHERE sha256 = (SELECT sha256 FROM batch WHERE id = ?1) AND duplicate_of = ?1 LIMIT ?2";
const LAST_LINES: &str = "SELECT max(l.line) FROM act a JOIN line l ON l.act_id = a.id WHERE a.batch_id = ?1";
const NEXT: &str = "SELECT j.kind, j.state, count(*), min(j.due_at) FROM act a JOIN job j ON j.subject_kind = 'notifica' AND j.subject_id = a.id \
     WHERE a.batch_id = ?1 GROUP BY j.kind, j.state ORDER BY min(j.due_at) LIMIT 50";

const REJECTED_ACTS: &str = "SELECT p.created_at, p.kind, p.folder, p.name, p.state FROM act a JOIN publication p ON p.subject = a.id \
     WHERE a.batch_id = ?1 AND p.kind = 'SCARTO' ORDER BY p.created_at LIMIT ?2";

/// A published file: when, kind, folder, name, whether it has its name already.
pub type PublishedFile = (Timestamp, String, String, String, bool);

/// Work that the acts of a batch wait for: kind and state of the jobs, how many, the first.
pub type NextWork = (String, String, u64, Timestamp);

impl Store {
    /// Drops of that name, whatever the case of its (ASCII) letters; the newest first.
    pub async fn batches_named(&self, name: &str, limit: usize) -> Result<Vec<BatchId>, StoreError> {
        let name = name.to_owned();
        self.read(move |db| {
            let mut select = db.prepare_cached(BY_NAME)?;
            let ids = select.query_map(params![name, limit as i64], |row| batch_at(row, 0))?;
            Ok(ids.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// Drops of those bytes; the newest first.
    pub async fn batches_of(&self, sha256: Sha256, limit: usize) -> Result<Vec<BatchId>, StoreError> {
        self.read(move |db| {
            let mut select = db.prepare_cached(BY_DIGEST)?;
            let ids = select.query_map(params![sha256.as_bytes(), limit as i64], |row| batch_at(row, 0))?;
            Ok(ids.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// Drops whose names begin like `prefix` (all of them: empty), at most `limit`.
    pub async fn names_near(&self, prefix: &str, limit: usize) -> Result<Vec<Near>, StoreError> {
        let prefix = prefix.to_owned();
        self.read(move |db| {
            let read = |row: &rusqlite::Row<'_>| {
                Ok(Near { batch: batch_at(row, 0)?, source: row.get(1)?, name: row.get(2)?, received_at: at(row.get(3)?) })
            };
            let found = if prefix.is_empty() {
                db.prepare_cached(NEWEST)?.query_map([limit as i64], read)?.collect::<Result<Vec<_>, _>>()?
            } else {
                let end = format!("{prefix}\u{10ffff}");
                db.prepare_cached(NEAR)?.query_map(params![prefix, end, limit as i64], read)?.collect::<Result<Vec<_>, _>>()?
            };
            Ok(found)
        })
        .await
    }

    /// What the books of the door say of those bytes; the newest first.
    pub async fn door_events_of(&self, sha256: Sha256, limit: usize) -> Result<Vec<DoorEvent>, StoreError> {
        self.read(move |db| {
            let mut select = db.prepare_cached(DOOR_BY_DIGEST)?;
            let rows = select.query_map(params![sha256.as_bytes(), limit as i64], read_event)?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// What they say of files of these paths, under any case of letters, before or after a change of name.
    pub async fn door_events_named(&self, paths: Vec<String>, limit: usize) -> Result<Vec<DoorEvent>, StoreError> {
        self.read(move |db| {
            let mut found = Vec::new();
            for path in &paths {
                for sql in [DOOR_BY_NAME, DOOR_BY_TARGET] {
                    let mut select = db.prepare_cached(sql)?;
                    found.extend(select.query_map(params![path, limit as i64], read_event)?.collect::<Result<Vec<_>, _>>()?);
                }
            }
            Ok(found)
        })
        .await
    }

    /// What operators were told about a batch and its acts, the newest first.
    pub async fn alerts_of(&self, batch: BatchId, limit: usize) -> Result<Vec<DropAlert>, StoreError> {
        self.read(move |db| {
            let mut select = db.prepare_cached(ALERTS)?;
            let rows = select
                .query_map(params![batch.0.as_bytes(), limit as i64], |row| Ok(DropAlert { at: at(row.get(0)?), code: row.get(1)? }))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// Later drops of the same bytes.
    pub async fn duplicates_of(&self, batch: BatchId, limit: usize) -> Result<Vec<BatchId>, StoreError> {
        self.read(move |db| {
            let mut select = db.prepare_cached(DUPLICATES)?;
            let ids = select.query_map(params![batch.0.as_bytes(), limit as i64], |row| batch_at(row, 0))?;
            Ok(ids.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// The last line that tells of an act of a batch.
    pub async fn last_line_of(&self, batch: BatchId) -> Result<Option<u64>, StoreError> {
        self.read(move |db| {
            let line: Option<i64> = db.prepare_cached(LAST_LINES)?.query_row([batch.0.as_bytes()], |row| row.get(0))?;
            Ok(line.map(i64::unsigned_abs))
        })
        .await
    }

    /// Files of acts of a batch that SEND refused.
    pub async fn rejected_acts_of(&self, batch: BatchId, limit: usize) -> Result<Vec<PublishedFile>, StoreError> {
        self.read(move |db| {
            let mut select = db.prepare_cached(REJECTED_ACTS)?;
            let rows = select.query_map(params![batch.0.as_bytes(), limit as i64], |row| {
                Ok((at(row.get(0)?), row.get(1)?, row.get(2)?, row.get(3)?, row.get::<_, String>(4)? == "PUBBLICATO"))
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// What the acts of a batch wait for, the nearest first.
    pub async fn next_of_batch(&self, batch: BatchId) -> Result<Vec<NextWork>, StoreError> {
        self.read(move |db| {
            let mut select = db.prepare_cached(NEXT)?;
            let rows = select.query_map([batch.0.as_bytes()], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get::<_, i64>(2)?.unsigned_abs(), at(row.get(3)?)))
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }
}
