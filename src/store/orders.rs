//! What operators' commands need beside the business of the hub: orders kept in the history, and a few looks from outside.
//!
//! Answers of this file hold no personal data: indexes, codes, ids.

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::batches::BatchSummary;
use super::codec::at;
use super::engine;
use super::queries::HistoryRow;
use super::{Store, StoreError};
use crate::domain::ids::{ActId, BatchId};
use crate::domain::outcome::OutcomeLine;

/// The first acts of a batch, which go alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GuardRow {
    /// How many they are; 0: no guard.
    pub first: u64,
    /// Still without an answer of SEND.
    pub open: u64,
    /// Refused among those that have one.
    pub refused: u64,
    /// Percent of them that may be refused.
    pub max_refused_percent: u64,
}

/// A recipient of an act, by its index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecipientRow {
    pub index: u32,
    pub completed_at: Option<Timestamp>,
    pub perfection: Option<String>,
    pub unreachable: bool,
    pub deceased: bool,
    /// Paper, cents, net of VAT.
    pub analog_cost: i64,
    /// What SEND adds to the citizen's payment, cents.
    pub citizen_cost: Option<i64>,
}

/// A legal fact of an act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LegalFactRow {
    pub category: String,
    pub recipient: Option<u32>,
    /// `ANNUNCIATA` or `CONSERVATA`.
    pub state: String,
    /// Name under `attestazioni/`, once kept.
    pub name: Option<String>,
    pub happened_at: Timestamp,
}

/// Problems of a batch with one code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProblemCount {
    pub code: String,
    /// `ERRORE` or `AVVISO`.
    pub severity: String,
    pub count: u64,
}

impl Store {
    /// Keeps in the history of a batch that a person gave an order about the whole of it.
    pub async fn note_batch_order(&self, batch: BatchId, order: &str, who: &str, why: &str, now: Timestamp) -> Result<(), StoreError> {
        let (order, about) = (order.to_owned(), by(who, why));
        self.write(move |db| engine::append_history(db, "lotto", batch.0.as_bytes(), &order, None, Some(&about), now)).await
    }

    /// The newest orders about channels: (channel, order).
    pub async fn channel_orders(&self, limit: usize) -> Result<Vec<(String, HistoryRow)>, StoreError> {
        self.read(move |db| {
            let mut select = db.prepare_cached(
                "SELECT CAST(subject_id AS TEXT), at, event, state, data FROM history WHERE subject_kind = 'canale' ORDER BY at DESC, seq DESC LIMIT ?1",
            )?;
            let rows = select.query_map([limit as i64], |row| {
                Ok((row.get(0)?, HistoryRow { at: at(row.get(1)?), event: row.get(2)?, state: row.get(3)?, data: row.get(4)? }))
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// Batches whose id begins with these hexadecimal digits (hyphens are ignored), newest first, at most `limit`.
    pub async fn batches_like(&self, prefix: &str, limit: usize) -> Result<Vec<BatchSummary>, StoreError> {
        let Some((low, high)) = id_range(prefix) else { return Ok(Vec::new()) };
        let ids = self
            .read(move |db| {
                let mut select = db.prepare_cached("SELECT id FROM batch WHERE id >= ?1 AND id <= ?2 ORDER BY id DESC LIMIT ?3")?;
                let ids = select.query_map(params![low.as_slice(), high.as_slice(), limit as i64], |row| super::codec::batch_at(row, 0))?;
                Ok(ids.collect::<Result<Vec<_>, _>>()?)
            })
            .await?;
        let mut found = Vec::with_capacity(ids.len());
        for id in ids {
            found.push(self.batch(id).await?);
        }
        Ok(found)
    }

    /// The first acts of a batch and their answers so far.
    pub async fn guard_of(&self, batch: BatchId) -> Result<GuardRow, StoreError> {
        self.read(move |db| {
            let count = |row: &rusqlite::Row<'_>, index| row.get::<_, i64>(index).map(|n| u64::try_from(n).unwrap_or(0));
            let sql = "SELECT guard_first, guard_open, guard_refused, guard_max FROM batch WHERE id = ?1";
            Ok(db.prepare_cached(sql)?.query_row([batch.0.as_bytes()], |row| {
                Ok(GuardRow { first: count(row, 0)?, open: count(row, 1)?, refused: count(row, 2)?, max_refused_percent: count(row, 3)? })
            })?)
        })
        .await
    }

    /// Problems of a batch by code, the most frequent first.
    pub async fn problem_counts(&self, batch: BatchId) -> Result<Vec<ProblemCount>, StoreError> {
        self.read(move |db| {
            let mut select = db.prepare_cached(
                "SELECT code, severity, count(*) FROM problem WHERE batch_id = ?1 GROUP BY code, severity ORDER BY 3 DESC, code LIMIT 200",
            )?;
            let rows = select.query_map([batch.0.as_bytes()], |row| {
                Ok(ProblemCount { code: row.get(0)?, severity: row.get(1)?, count: row.get::<_, i64>(2)?.unsigned_abs() })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// The recipients of an act.
    pub async fn recipients_of(&self, act: ActId) -> Result<Vec<RecipientRow>, StoreError> {
        self.read(move |db| {
            let mut select = db.prepare_cached(
                "SELECT idx, completed_at, perfection, unreachable, deceased, analog_cost, citizen_cost FROM recipient WHERE act_id = ?1 ORDER BY idx",
            )?;
            let rows = select.query_map([act.0.as_bytes()], |row| {
                Ok(RecipientRow {
                    index: row.get(0)?,
                    completed_at: row.get::<_, Option<i64>>(1)?.map(at),
                    perfection: row.get(2)?,
                    unreachable: row.get(3)?,
                    deceased: row.get(4)?,
                    analog_cost: row.get(5)?,
                    citizen_cost: row.get(6)?,
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// The legal facts of an act, in the order SEND announced them.
    pub async fn legal_facts_of(&self, act: ActId) -> Result<Vec<LegalFactRow>, StoreError> {
        self.read(move |db| {
            let mut select = db.prepare_cached(
                "SELECT category, recipient, state, name, happened_at FROM legal_fact WHERE act_id = ?1 ORDER BY ordinal LIMIT 1000",
            )?;
            let rows = select.query_map([act.0.as_bytes()], |row| {
                Ok(LegalFactRow {
                    category: row.get(0)?,
                    recipient: row.get(1)?,
                    state: row.get(2)?,
                    name: row.get(3)?,
                    happened_at: at(row.get(4)?),
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// What the gestionale was last told of an act: one line for the whole act and one per recipient, information aside.
    pub async fn last_lines(&self, act: ActId) -> Result<Vec<OutcomeLine>, StoreError> {
        self.read(move |db| {
            let mut select = db.prepare_cached(
                "SELECT data FROM line WHERE act_id = ?1 AND line IN \
                 (SELECT max(line) FROM line WHERE act_id = ?1 AND state <> 'INFORMAZIONE' GROUP BY recipient) ORDER BY line",
            )?;
            let rows = select.query_map([act.0.as_bytes()], |row| row.get::<_, String>(0))?;
            rows.map(|row| Ok(serde_json::from_str(&row?)?)).collect()
        })
        .await
    }

    /// The outcome file (each of its forms) that holds a line of a gestionale: (folder, name); empty until one is closed.
    pub async fn outcome_files_with(&self, source: &str, line: u64) -> Result<Vec<(String, String)>, StoreError> {
        let source = source.to_owned();
        self.read(move |db| {
            let mut select = db.prepare_cached(
                "SELECT folder, name FROM publication WHERE source = ?1 AND kind = 'ESITO' AND number IS NOT NULL AND first_line <= ?2 AND last_line >= ?2 \
                 ORDER BY number, name LIMIT 10",
            )?;
            let line = i64::try_from(line).unwrap_or(i64::MAX);
            let rows = select.query_map(params![source, line], |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }
}

/// Clears what an act was parked for: it was withdrawn, and nothing of it is left to resume.
pub(super) fn unpark(db: &Connection, act: ActId) -> Result<(), StoreError> {
    db.prepare_cached("UPDATE act SET park_code = NULL WHERE id = ?1")?.execute([act.0.as_bytes()])?;
    db.prepare_cached("DELETE FROM job WHERE subject_kind = 'notifica' AND subject_id = ?1 AND state = 'SOSPESO'")?
        .execute([act.0.as_bytes()])?;
    Ok(())
}

pub(super) fn by(who: &str, why: &str) -> String {
    serde_json::json!({ "who": who, "why": why }).to_string()
}

/// The lowest and the highest id that begin with these digits. `None`: not a beginning of an id.
fn id_range(prefix: &str) -> Option<([u8; 16], [u8; 16])> {
    let digits: Vec<u8> =
        prefix.chars().filter(|c| *c != '-').map(|c| c.to_digit(16).and_then(|n| u8::try_from(n).ok())).collect::<Option<_>>()?;
    if digits.is_empty() || digits.len() > 32 {
        return None;
    }
    let (mut low, mut high) = ([0; 16], [0xff; 16]);
    for (index, digit) in digits.iter().enumerate() {
        let (low, high) = (low.get_mut(index / 2)?, high.get_mut(index / 2)?);
        if index % 2 == 0 {
            (*low, *high) = (digit << 4, (digit << 4) | 0x0f);
        } else {
            (*low, *high) = (*low | digit, (*high & 0xf0) | digit);
        }
    }
    Some((low, high))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beginning_of_an_id_is_a_range() {
        let hex = |bytes: [u8; 16]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let table = [
            ("0", Some(("00", "0f"))),
            ("01", Some(("01", "01"))),
            ("019A-b", Some(("019ab0", "019abf"))),
            ("019ab1c2-d3e", Some(("019ab1c2d3e0", "019ab1c2d3ef"))),
            ("", None),
            ("lotto", None),
            ("019ab1c2-d3e4-7000-8000-0000000000001", None),
        ];
        for (prefix, want) in table {
            let found = id_range(prefix).map(|(low, high)| (hex(low), hex(high)));
            let want = want.map(|(low, high)| (format!("{low:0<32}"), format!("{high:f<32}")));
            assert_eq!(found, want, "prefix {prefix:?}");
        }
    }
}
