//! Deletions that persons asked for, and the world outside of the store: which of them are still to be written there, and, in a store
//! that was put back from a copy, which of those found there must be done again.

use jiff::Timestamp;
use rusqlite::{Connection, params};
use serde_json::json;

use super::codec::{at, ms, optional, uuid_at};
use super::erasing::{BEGIN_ACT, BEGIN_BATCH, Cause};
use super::restore::{Gap, GapKind, note};
use super::{CHUNK, Store, StoreError};
use crate::domain::erasure::{Asked, Subject};

const TO_NOTE: &str = "SELECT e.subject_kind, e.subject_id, e.begun_at, coalesce((SELECT a.source FROM act a WHERE a.id = e.subject_id), \
     (SELECT b.source FROM batch b WHERE b.id = e.subject_id), '') FROM erasure e INDEXED BY erasure_to_note \
     WHERE e.noted_at IS NULL AND e.cause = 'RICHIESTA' ORDER BY e.begun_at LIMIT ?1";
const NOTED: &str = "UPDATE erasure SET noted_at = ?3 WHERE subject_kind = ?1 AND subject_id = ?2 AND noted_at IS NULL";
/// Reference and whether its data went, of an act or a batch that is known.
const ACT_KNOWN: &str = "SELECT reference, erased_at IS NOT NULL FROM act WHERE id = ?1 AND staged = 0";
const BATCH_KNOWN: &str = "SELECT '', erased_at IS NOT NULL FROM batch WHERE id = ?1";
/// Those that can be decided now: about an act of which nothing is left to do, or a batch that is here. The others wait, and keep none
/// of these from their turn.
const WAITING: &str = "SELECT g.about, json_extract(g.data, '$.che_cosa') FROM restore_gap g WHERE g.kind = 'CANCELLAZIONE' \
     AND (json_extract(g.data, '$.che_cosa') = 'atto' AND EXISTS (SELECT 1 FROM act_erasable v WHERE v.id = unhex(replace(g.about, '-', ''))) \
     OR json_extract(g.data, '$.che_cosa') <> 'atto' AND EXISTS (SELECT 1 FROM batch b WHERE b.id = unhex(replace(g.about, '-', '')) \
     AND b.erased_at IS NULL) AND NOT EXISTS (SELECT 1 FROM erasure e WHERE e.subject_kind = 'lotto' \
     AND e.subject_id = unhex(replace(g.about, '-', '')))) LIMIT ?1";

impl Store {
    /// Deletions that persons asked for and that are written nowhere but here, oldest first, each with its gestionale.
    pub async fn erasures_to_note(&self, limit: usize) -> Result<Vec<(String, Asked)>, StoreError> {
        self.read(move |db| {
            let mut select = db.prepare_cached(TO_NOTE)?;
            let rows = select.query_map([limit as i64], |row| {
                let subject = Subject::of(&row.get::<_, String>(0)?, uuid_at(row, 1)?);
                Ok((row.get::<_, String>(3)?, subject, at(row.get(2)?)))
            })?;
            let rows: Vec<_> = rows.collect::<Result<_, _>>()?;
            Ok(rows.into_iter().filter_map(|(source, subject, at)| Some((source, Asked { at, subject: subject? }))).collect())
        })
        .await
    }

    /// They are written outside.
    pub async fn erasures_noted(&self, subjects: Vec<Subject>, now: Timestamp) -> Result<(), StoreError> {
        self.write(move |db| subjects.iter().try_for_each(|subject| noted(db, *subject, now))).await
    }

    /// The store is an older copy, and outside it is written that these were asked for: decided again where nothing is left to do about
    /// the act, told with what came after the copy until then. What the copy knows as deleted is left out.
    pub async fn erase_again(&self, source: &str, asked: Vec<Asked>, now: Timestamp) -> Result<(), StoreError> {
        for chunk in asked.chunks(CHUNK) {
            let (source, chunk) = (source.to_owned(), chunk.to_vec());
            self.write(move |db| chunk.iter().try_for_each(|asked| again(db, &source, asked, now))).await?;
        }
        Ok(())
    }

    /// Decides those that could not be decided before and can be now, up to a thousand. Answers how many were.
    pub async fn erase_again_waiting(&self, now: Timestamp) -> Result<usize, StoreError> {
        // Mostly there is none, whatever still waits: nothing is written then.
        let waiting = self
            .read(|db| {
                let mut select = db.prepare_cached(WAITING)?;
                let rows = select.query_map([CHUNK as i64], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
                Ok(rows.collect::<Result<Vec<_>, _>>()?)
            })
            .await?;
        let subject = |(id, kind): (String, String)| Subject::of(if kind == "atto" { "notifica" } else { "lotto" }, id.parse().ok()?);
        let waiting: Vec<Subject> = waiting.into_iter().filter_map(subject).collect();
        if waiting.is_empty() {
            return Ok(0);
        }
        self.write(move |db| waiting.iter().try_fold(0, |sum, subject| Ok(sum + begin(db, *subject, now)?))).await
    }
}

fn noted(db: &Connection, subject: Subject, now: Timestamp) -> Result<(), StoreError> {
    db.prepare_cached(NOTED)?.execute(params![subject.kind(), subject.id().as_bytes(), ms(now)])?;
    Ok(())
}

/// Decides it, if nothing is left to do about it. It is written outside already.
fn begin(db: &Connection, subject: Subject, now: Timestamp) -> Result<usize, StoreError> {
    let sql = match subject {
        Subject::Act(_) => BEGIN_ACT,
        Subject::Batch(_) => BEGIN_BATCH,
    };
    let begun = db.prepare_cached(sql)?.execute(params![subject.id().as_bytes(), Cause::Request.as_str(), ms(now)])?;
    noted(db, subject, now)?;
    Ok(begun)
}

fn again(db: &Connection, source: &str, asked: &Asked, now: Timestamp) -> Result<(), StoreError> {
    let (sql, word) = match asked.subject {
        Subject::Act(_) => (ACT_KNOWN, "atto"),
        Subject::Batch(_) => (BATCH_KNOWN, "lotto"),
    };
    let id = asked.subject.id();
    let known = optional(db.prepare_cached(sql)?.query_row([id.as_bytes()], |row| Ok((row.get::<_, String>(0)?, row.get::<_, bool>(1)?))))?;
    let mut data = json!({ "che_cosa": word, "chiesta_il": asked.at });
    match known {
        Some((_, true)) => return Ok(()),
        Some((reference, false)) => {
            begin(db, asked.subject, now)?;
            if let Some(data) = data.as_object_mut().filter(|_| !reference.is_empty()) {
                data.insert("riferimento".to_owned(), reference.into());
            }
        }
        // It came after the copy too.
        None => {}
    }
    let gap = Gap {
        kind: GapKind::Erasure,
        source: source.to_owned(),
        about: id.to_string(),
        sender: None,
        iun: None,
        sha256: None,
        data,
        recovered: None,
    };
    note(db, &gap)
}
