//! What gestionali may read: ledger lines, and the files made of them. A file is prepared under a temporary name, told
//! here, renamed, and told again: whatever happens in between, the next start knows which of the three it was.

use jiff::Timestamp;
use rusqlite::{Connection, params};
use uuid::Uuid;

use super::alerts::Alert;
use super::codec::{act_at, at, digest, ms, optional, uuid_at};
use super::engine::ActRow;
use super::{Store, StoreError};
use crate::domain::digest::Sha256;
use crate::domain::outcome::{OutcomeLine, OutcomeState};
use crate::domain::send::RefusalReason;

/// A file for a gestionale.
#[derive(Debug, Clone, PartialEq)]
pub struct Publication {
    pub id: Uuid,
    pub source: String,
    /// `RICEVUTA`, `SCARTO`, `ESITO`, `ATTESTAZIONE`, `INDICE`.
    pub kind: String,
    /// Of an outcome file: gapless per gestionale.
    pub number: Option<u64>,
    /// Below the gestionale's root: `esiti`, `attestazioni/2026/...`.
    pub folder: String,
    pub name: String,
    /// Name it has in the same folder until it is published; empty: an attestation of which the folder has no copy yet.
    pub temporary: String,
    pub sha256: Sha256,
    pub size: u64,
    pub lines: Option<(u64, u64)>,
    /// Batch or act it speaks of.
    pub subject: Option<Uuid>,
    pub published: bool,
    pub created_at: Timestamp,
}

/// A line with what lives in deletable rows: the fields that the gestionale gets back, the reasons of a refusal.
#[derive(Debug, Clone, PartialEq)]
pub struct LineWithEcho {
    pub line: OutcomeLine,
    pub echo: Vec<(String, String)>,
    /// Of a refusal by SEND, all that it said; empty once erased.
    pub reasons: Vec<RefusalReason>,
}

/// Lines not yet in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingLines {
    pub first: u64,
    pub last: u64,
    /// Number of the file they will be in.
    pub number: u64,
    /// (flow, oldest line's instant).
    pub flows: Vec<(String, Timestamp)>,
}

const COLUMNS: &str = "id, source, kind, number, folder, name, temporary, sha256, size, first_line, last_line, subject, state, created_at";

fn read_publication(row: &rusqlite::Row<'_>) -> rusqlite::Result<Publication> {
    let number = |index| row.get::<_, Option<i64>>(index).map(|n| n.and_then(|n| u64::try_from(n).ok()));
    Ok(Publication {
        id: uuid_at(row, 0)?,
        source: row.get(1)?,
        kind: row.get(2)?,
        number: number(3)?,
        folder: row.get(4)?,
        name: row.get(5)?,
        temporary: row.get(6)?,
        sha256: digest(row.get(7)?).unwrap_or(Sha256::from_bytes([0; 32])),
        size: row.get::<_, i64>(8)?.unsigned_abs(),
        lines: number(9)?.zip(number(10)?),
        subject: match row.get::<_, Option<Vec<u8>>>(11)? {
            Some(_) => Some(uuid_at(row, 11)?),
            None => None,
        },
        published: row.get::<_, String>(12)? == "PUBBLICATO",
        created_at: at(row.get(13)?),
    })
}

/// Which flows of a gestionale have lines after the last that is in a file.
pub(super) fn count_pending(db: &Connection, source: &str) -> Result<(), StoreError> {
    db.prepare_cached("DELETE FROM pending_flow WHERE source = ?1")?.execute([source])?;
    db.prepare_cached(
        "INSERT INTO pending_flow (source, flow, oldest) SELECT l.source, a.flow, min(l.written_at) FROM line l JOIN act a ON a.id = l.act_id \
         WHERE l.source = ?1 AND l.line > (SELECT closed_line FROM counter WHERE source = ?1) GROUP BY a.flow",
    )?
    .execute([source])?;
    Ok(())
}

pub(super) fn insert(db: &Connection, file: &Publication) -> Result<(), StoreError> {
    db.prepare_cached(&format!(
        "INSERT INTO publication ({COLUMNS}) VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14) ON CONFLICT DO NOTHING"
    ))?
    .execute(params![
        file.id.as_bytes(),
        file.source,
        file.kind,
        file.number.map(|n| n as i64),
        file.folder,
        file.name,
        file.temporary,
        file.sha256.as_bytes(),
        file.size as i64,
        file.lines.map(|lines| lines.0 as i64),
        file.lines.map(|lines| lines.1 as i64),
        file.subject.map(|subject| subject.as_bytes().to_vec()),
        if file.temporary.is_empty() { "DA_COPIARE" } else { "PREPARATO" },
        ms(file.created_at),
    ])?;
    Ok(())
}

/// Tells operators of an attestation that waits for its copy, if they were not told of one of that act before.
fn tell_of_copy(db: &Connection, id: Uuid, code: &str, now: Timestamp) -> Result<(), StoreError> {
    let sql = "SELECT subject FROM publication WHERE id = ?1 AND state = 'DA_COPIARE' AND subject IS NOT NULL";
    let Some(act) = optional(db.prepare_cached(sql)?.query_row([id.as_bytes()], |row| act_at(row, 0)))? else { return Ok(()) };
    let act = ActRow::load(db, act)?;
    Alert::new(code, &act.id.to_string()).act(&act).raise_unless_told(db, None, now).map(drop)
}

impl Store {
    /// What is known of a file of that name; attestations are found by their act.
    pub async fn publication(&self, source: &str, folder: &str, name: &str) -> Result<Option<Publication>, StoreError> {
        let (source, folder, name) = (source.to_owned(), folder.to_owned(), name.to_owned());
        self.read(move |db| {
            let sql =
                format!("SELECT {COLUMNS} FROM publication WHERE source = ?1 AND folder = ?2 AND name = ?3 AND kind <> 'ATTESTAZIONE'");
            optional(db.prepare_cached(&sql)?.query_row([source, folder, name], read_publication))
        })
        .await
    }

    /// Tells that the files lie whole under their temporary names. All of them or none.
    pub async fn prepare_publications(&self, files: Vec<Publication>) -> Result<(), StoreError> {
        self.write(move |db| files.iter().try_for_each(|file| insert(db, file))).await
    }

    /// Tells that an outcome file lies whole under its temporary names: takes its number, and the lines after the last file's.
    pub async fn prepare_outcome_files(&self, source: &str, number: u64, files: Vec<Publication>) -> Result<(), StoreError> {
        let source = source.to_owned();
        self.write(move |db| {
            let Some((first, last)) = files.first().and_then(|file| file.lines) else {
                return Err(StoreError::Corrupt("an outcome file without lines".to_owned()));
            };
            let sql = "UPDATE counter SET next_file = next_file + 1, closed_line = ?4 \
                       WHERE source = ?1 AND next_file = ?2 AND closed_line = ?3 - 1 AND ?4 >= ?3 AND ?4 < next_line";
            if db.prepare_cached(sql)?.execute(params![source, number as i64, first as i64, last as i64])? != 1 {
                return Err(StoreError::Stale);
            }
            count_pending(db, &source)?;
            files.iter().try_for_each(|file| insert(db, file))
        })
        .await
    }

    /// Tells that the file has its final name.
    pub async fn published(&self, ids: Vec<Uuid>) -> Result<(), StoreError> {
        self.write(move |db| {
            for id in &ids {
                db.prepare_cached("UPDATE publication SET state = 'PUBBLICATO' WHERE id = ?1")?.execute([id.as_bytes()])?;
            }
            Ok(())
        })
        .await
    }

    /// Files prepared and perhaps not renamed: a crash in between.
    pub async fn open_publications(&self) -> Result<Vec<Publication>, StoreError> {
        self.read(|db| {
            let sql = format!("SELECT {COLUMNS} FROM publication WHERE state = 'PREPARATO' ORDER BY created_at");
            let mut select = db.prepare_cached(&sql)?;
            Ok(select.query_map([], read_publication)?.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// Attestations that the folder of a gestionale could not take when they came, oldest first.
    pub async fn copies_to_make(&self, source: &str, limit: usize) -> Result<Vec<CopyToMake>, StoreError> {
        let source = source.to_owned();
        self.read(move |db| {
            // 14: behind `attestazioni/`.
            let sql = format!(
                "SELECT {COLUMNS}, (SELECT f.happened_at FROM legal_fact f WHERE f.act_id = p.subject \
                 AND f.name = substr(p.folder, 14) || '/' || p.name AND f.state = 'CONSERVATA') \
                 FROM publication p WHERE p.state = 'DA_COPIARE' AND p.source = ?1 ORDER BY p.created_at LIMIT ?2"
            );
            let mut select = db.prepare_cached(&sql)?;
            let rows = select.query_map(params![source, limit as i64], |row| {
                Ok(CopyToMake { file: read_publication(row)?, happened_at: row.get::<_, Option<i64>>(14)?.map(at) })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// Those copies lie whole under these temporary names.
    pub async fn copies_made(&self, copies: Vec<(Uuid, String)>) -> Result<(), StoreError> {
        self.write(move |db| {
            for (id, temporary) in &copies {
                db.prepare_cached("UPDATE publication SET temporary = ?2, state = 'PREPARATO' WHERE id = ?1 AND state = 'DA_COPIARE'")?
                    .execute(params![id.as_bytes(), temporary])?;
                super::erasing::look_again_from(db, *id)?;
            }
            Ok(())
        })
        .await
    }

    /// Those copies are never made: their file is no more. Operators are told under `code`, once for each act.
    pub async fn copies_given_up(&self, ids: Vec<Uuid>, code: &'static str, now: Timestamp) -> Result<(), StoreError> {
        self.write(move |db| {
            for id in &ids {
                tell_of_copy(db, *id, code, now)?;
                db.prepare_cached("UPDATE publication SET state = 'PUBBLICATO' WHERE id = ?1")?.execute([id.as_bytes()])?;
            }
            Ok(())
        })
        .await
    }

    /// Those copies cannot be made now. Operators are told under `code`, once for each act.
    pub async fn copies_not_made(&self, ids: Vec<Uuid>, code: &'static str, now: Timestamp) -> Result<(), StoreError> {
        self.write(move |db| ids.iter().try_for_each(|id| tell_of_copy(db, *id, code, now))).await
    }

    /// Files about a batch or an act, oldest first.
    pub async fn publications_of(&self, subject: Uuid) -> Result<Vec<Publication>, StoreError> {
        self.read(move |db| {
            let sql = format!("SELECT {COLUMNS} FROM publication WHERE subject = ?1 ORDER BY created_at LIMIT 1000");
            let mut select = db.prepare_cached(&sql)?;
            Ok(select.query_map([subject.as_bytes()], read_publication)?.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// Outcome files of a gestionale from a number on.
    pub async fn outcome_files(&self, source: &str, from: u64) -> Result<Vec<Publication>, StoreError> {
        self.numbered_files(source, "ESITO", from).await
    }

    /// Indexes of attestations of a gestionale from a number on.
    pub async fn index_files(&self, source: &str, from: u64) -> Result<Vec<Publication>, StoreError> {
        self.numbered_files(source, "INDICE", from).await
    }

    pub(super) async fn numbered_files(&self, source: &str, kind: &'static str, from: u64) -> Result<Vec<Publication>, StoreError> {
        let source = source.to_owned();
        self.read(move |db| {
            let sql = format!(
                "SELECT {COLUMNS} FROM publication WHERE source = ?1 AND kind = ?2 AND number IS NOT NULL AND number >= ?3 ORDER BY number, name"
            );
            let mut select = db.prepare_cached(&sql)?;
            Ok(select.query_map(params![source, kind, from as i64], read_publication)?.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// Lines of a gestionale that are in no file yet.
    pub async fn pending_lines(&self, source: &str) -> Result<Option<PendingLines>, StoreError> {
        let source = source.to_owned();
        self.read(move |db| {
            let counter: Option<(i64, i64, i64)> = optional(
                db.prepare_cached("SELECT next_line, next_file, closed_line FROM counter WHERE source = ?1")?
                    .query_row([&source], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))),
            )?;
            let Some((next_line, number, closed)) = counter else { return Ok(None) };
            if next_line - 1 <= closed {
                return Ok(None);
            }
            let mut select = db.prepare_cached("SELECT flow, oldest FROM pending_flow WHERE source = ?1 ORDER BY flow")?;
            let flows = select.query_map([&source], |row| Ok((row.get(0)?, at(row.get(1)?))))?.collect::<Result<_, _>>()?;
            Ok(Some(PendingLines {
                first: (closed + 1).unsigned_abs(),
                last: (next_line - 1).unsigned_abs(),
                number: number.unsigned_abs(),
                flows,
            }))
        })
        .await
    }

    /// Lines `first..=last` of a gestionale, at most `limit`, in order.
    pub async fn lines(&self, source: &str, first: u64, last: u64, limit: usize) -> Result<Vec<LineWithEcho>, StoreError> {
        let source = source.to_owned();
        self.read(move |db| {
            let mut select = db.prepare_cached(
                "SELECT l.data, CASE WHEN json_valid(c.json) THEN json_extract(c.json, '$.echo') END FROM line l \
                 LEFT JOIN act_content c ON c.act_id = l.act_id WHERE l.source = ?1 AND l.line >= ?2 AND l.line <= ?3 ORDER BY l.line LIMIT ?4",
            )?;
            let rows = select.query_map(params![source, first as i64, last as i64, limit as i64], |row| {
                Ok((row.get::<_, String>(0)?, row.get::<_, Option<String>>(1)?))
            })?;
            rows.map(|row| {
                let (line, echo) = row?;
                let line: OutcomeLine = serde_json::from_str(&line)?;
                let refused = line.state == OutcomeState::Refused;
                Ok(LineWithEcho {
                    reasons: if refused { super::refusals::of_line(db, line.act, line.line)? } else { Vec::new() },
                    line,
                    echo: echo.map(|echo| serde_json::from_str(&echo)).transpose()?.unwrap_or_default(),
                })
            })
            .collect()
        })
        .await
    }

    /// Gestionali that ever had a line.
    pub async fn sources_with_lines(&self) -> Result<Vec<String>, StoreError> {
        self.read(|db| {
            let mut select = db.prepare_cached("SELECT source FROM counter ORDER BY source")?;
            Ok(select.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// Stored legal facts of a gestionale that no index names yet, but those of acts of which a file is not in its folder yet.
    pub async fn facts_to_index(&self, source: &str) -> Result<Vec<IndexedFact>, StoreError> {
        let source = source.to_owned();
        self.read(move |db| {
            let mut select = db.prepare_cached(
                "SELECT f.act_id, f.key, a.iun, f.category, f.element_id, f.recipient, f.happened_at, f.name, f.sha256, f.size, a.sender, a.reference \
                 FROM legal_fact f JOIN act a ON a.id = f.act_id WHERE f.indexed = 0 AND f.state = 'CONSERVATA' AND f.stored_at >= 0 AND a.source = ?1 \
                 AND f.act_id NOT IN (SELECT p.subject FROM publication p WHERE p.state = 'PREPARATO' AND p.subject IS NOT NULL) \
                 AND f.act_id NOT IN (SELECT p.subject FROM publication p WHERE p.state = 'DA_COPIARE' AND p.source = ?1 AND p.subject IS NOT NULL) \
                 ORDER BY f.stored_at, f.name LIMIT 5000",
            )?;
            Ok(select.query_map([source], read_fact)?.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// Stored legal facts of a gestionale, a page at a time in the order of their keys, with the place of the last one looked at:
    /// `after` for the next page, `None` at the end.
    pub async fn stored_facts(
        &self,
        source: &str,
        after: Option<FactPlace>,
        limit: usize,
    ) -> Result<(Vec<StoredFact>, Option<FactPlace>), StoreError> {
        let source = source.to_owned();
        self.read(move |db| {
            let (act, key) = after.map_or((Vec::new(), String::new()), |FactPlace(act, key)| (act.0.as_bytes().to_vec(), key));
            let mut select = db.prepare_cached(
                "SELECT f.act_id, f.key, a.iun, f.category, f.element_id, f.recipient, f.happened_at, f.name, f.sha256, f.size, a.sender, a.reference, \
                 f.indexed, f.stored_at FROM legal_fact f CROSS JOIN act a ON a.id = f.act_id WHERE (f.act_id, f.key) > (?2, ?3) \
                 AND f.state = 'CONSERVATA' AND a.source = ?1 ORDER BY f.act_id, f.key LIMIT ?4",
            )?;
            let rows = select.query_map(params![source, act, key, limit as i64], |row| {
                Ok(StoredFact { fact: read_fact(row)?, index: row.get::<_, i64>(12)?.unsigned_abs(), stored_at: at(row.get(13)?) })
            })?;
            let facts: Vec<StoredFact> = rows.collect::<Result<_, _>>()?;
            let last = facts.last().filter(|_| facts.len() == limit).map(|last| FactPlace(last.fact.act, last.fact.key.clone()));
            Ok((facts, last))
        })
        .await
    }

    /// Files of a gestionale that were published in one folder, by name, after that one; not attestations.
    pub async fn published_in(&self, source: &str, folder: &str, after: &str, limit: usize) -> Result<Vec<Publication>, StoreError> {
        let (source, folder, after) = (source.to_owned(), folder.to_owned(), after.to_owned());
        self.read(move |db| {
            let sql = format!(
                "SELECT {COLUMNS} FROM publication WHERE source = ?1 AND folder = ?2 AND name > ?3 AND kind <> 'ATTESTAZIONE' AND state = 'PUBBLICATO' ORDER BY name LIMIT ?4"
            );
            let mut select = db.prepare_cached(&sql)?;
            Ok(select.query_map(params![source, folder, after, limit as i64], read_publication)?.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// The next number of a gestionale's attestation index.
    pub async fn next_index_number(&self, source: &str) -> Result<u64, StoreError> {
        let source = source.to_owned();
        self.read(move |db| {
            let sql = "SELECT coalesce(max(number), 0) + 1 FROM publication WHERE source = ?1 AND kind = 'INDICE' AND number IS NOT NULL";
            Ok(db.prepare_cached(sql)?.query_row([source], |row| row.get::<_, i64>(0))?.unsigned_abs())
        })
        .await
    }

    /// Tells that an index naming these facts lies whole under its temporary names.
    pub async fn prepare_index(&self, files: Vec<Publication>, facts: Vec<IndexedFact>) -> Result<(), StoreError> {
        let number = files.iter().find_map(|file| file.number).ok_or(StoreError::Corrupt("an index without a number".to_owned()))?;
        let number = i64::try_from(number).unwrap_or(i64::MAX);
        self.write(move |db| {
            for fact in &facts {
                db.prepare_cached("UPDATE legal_fact SET indexed = ?3 WHERE act_id = ?1 AND key = ?2")?.execute(params![
                    fact.act.0.as_bytes(),
                    fact.key,
                    number
                ])?;
            }
            files.iter().try_for_each(|file| insert(db, file))
        })
        .await
    }
}

/// An attestation of which the folder of its gestionale has no copy yet.
#[derive(Debug, Clone, PartialEq)]
pub struct CopyToMake {
    pub file: Publication,
    /// Of the kept fact; `None`: it was deleted, its term having passed.
    pub happened_at: Option<Timestamp>,
}

/// Where a page of facts ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FactPlace(crate::domain::ids::ActId, String);

/// A legal fact that messo keeps.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredFact {
    pub fact: IndexedFact,
    /// Number of the index that lists it; 0: none yet.
    pub index: u64,
    pub stored_at: Timestamp,
}

/// A legal fact on its way into an index.
#[derive(Debug, Clone, PartialEq)]
pub struct IndexedFact {
    pub act: crate::domain::ids::ActId,
    pub key: String,
    pub sender: String,
    pub reference: String,
    pub iun: String,
    pub category: String,
    pub element_id: String,
    pub recipient: Option<u32>,
    pub happened_at: Timestamp,
    pub name: String,
    pub sha256: Sha256,
    pub size: u64,
}

fn read_fact(row: &rusqlite::Row<'_>) -> rusqlite::Result<IndexedFact> {
    Ok(IndexedFact {
        act: act_at(row, 0)?,
        key: row.get(1)?,
        sender: row.get(10)?,
        reference: row.get(11)?,
        iun: row.get::<_, Option<String>>(2)?.unwrap_or_default(),
        category: row.get(3)?,
        element_id: row.get(4)?,
        recipient: row.get(5)?,
        happened_at: at(row.get(6)?),
        name: row.get::<_, Option<String>>(7)?.unwrap_or_default(),
        sha256: digest(row.get(8)?).unwrap_or(Sha256::from_bytes([0; 32])),
        size: row.get::<_, i64>(9)?.unsigned_abs(),
    })
}
