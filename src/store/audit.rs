//! The books of operators' orders: appended, never changed, each row sealed with the one before it.

use aws_lc_rs::hmac;
use jiff::Timestamp;
use rusqlite::{Connection, Row, params};

use super::codec::{at, digest, ms, optional};
use super::erasing::overwriting;
use super::{Store, StoreError};
use crate::domain::digest::{Hasher, Sha256};

/// An order as it is about to be carried out. Holds no personal data: who writes it has replaced what may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderLine {
    /// As the history names people.
    pub who: String,
    /// `retry_act`, `batch_release`, ...: the name in the language of the socket.
    pub command: String,
    /// Arguments, JSON.
    pub about: String,
    pub why: Option<String>,
}

/// An order and how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderEvent {
    pub id: i64,
    pub at: Timestamp,
    pub line: OrderLine,
    /// `OK`, or a code; `None`: it is under way, or the process died in the middle of it.
    pub outcome: Option<String>,
    pub ended_at: Option<Timestamp>,
}

/// What the seals say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seals {
    /// Rows looked at.
    pub rows: u64,
    /// The first row that does not fit the one before it: it, or one before it, was changed or taken out.
    pub broken: Option<i64>,
}

const LAST: &str = "SELECT id, seal FROM operator_event WHERE id = (SELECT max(id) FROM operator_event)";
const APPEND: &str =
    "INSERT INTO operator_event (id, at, of, who, command, about, why, outcome, seal) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
const ORDER: &str = "SELECT who, command FROM operator_event WHERE id = ?1";
const ORDERS: &str = "SELECT o.id, o.at, o.who, o.command, o.about, o.why, e.outcome, e.at FROM operator_event o \
     LEFT JOIN operator_event e ON e.of = o.id WHERE o.at >= ?1 AND o.at < ?2 AND o.of IS NULL \
     AND (?4 IS NULL OR instr(o.who, ?4) > 0) AND (?5 IS NULL OR o.command = ?5) ORDER BY o.at DESC, o.id DESC LIMIT ?3";
const ROWS: &str = "SELECT id, at, of, who, command, about, why, outcome, seal FROM operator_event WHERE id > ?1 ORDER BY id LIMIT 5000";
const KEY: &str = "SELECT value FROM setting WHERE name = 'registro.chiave'";
const NEW_KEY: &str = "INSERT INTO setting (name, value) VALUES ('registro.chiave', ?1) ON CONFLICT DO NOTHING";
const HORIZON: &str = "INSERT INTO setting (name, value) VALUES ('registro.da', ?1) ON CONFLICT (name) DO UPDATE SET value = excluded.value \
     WHERE CAST(excluded.value AS INTEGER) > CAST(setting.value AS INTEGER)";
const SHORTEN_ORDERS: &str = "DELETE FROM operator_event WHERE at < ?1";
const SHORTEN_DOOR: &str = "DELETE FROM door_event WHERE at < ?1";

impl Store {
    /// Writes an order down before it is carried out; what is answered here is on the disk.
    pub async fn note_order(&self, line: OrderLine, now: Timestamp) -> Result<i64, StoreError> {
        self.write(move |db| append(db, &line, None, None, now)).await
    }

    /// Writes down how an order ended: `OK`, or a code.
    pub async fn note_outcome(&self, order: i64, outcome: &str, now: Timestamp) -> Result<(), StoreError> {
        let outcome = outcome.to_owned();
        self.write(move |db| {
            let (who, command) = db.prepare_cached(ORDER)?.query_row([order], |row| Ok((row.get(0)?, row.get(1)?)))?;
            let line = OrderLine { who, command, about: "{}".to_owned(), why: None };
            append(db, &line, Some(order), Some(&outcome), now).map(drop)
        })
        .await
    }

    /// Orders from `from` up to `to` (not included), the newest first; `who`: a part of the name, `command`: all of it.
    pub async fn orders(
        &self,
        (from, to): (Timestamp, Timestamp),
        who: Option<&str>,
        command: Option<&str>,
        limit: usize,
    ) -> Result<Vec<OrderEvent>, StoreError> {
        let (who, command) = (who.map(str::to_owned), command.map(str::to_owned));
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.read(move |db| {
            let mut select = db.prepare_cached(ORDERS)?;
            let rows = select.query_map(params![ms(from), ms(to), limit, who, command], |row| {
                Ok(OrderEvent {
                    id: row.get(0)?,
                    at: at(row.get(1)?),
                    line: OrderLine { who: row.get(2)?, command: row.get(3)?, about: row.get(4)?, why: row.get(5)? },
                    outcome: row.get(6)?,
                    ended_at: row.get::<_, Option<i64>>(7)?.map(at),
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// Whether every row of the books is as it was written. The oldest row that is left vouches for itself.
    pub async fn check_seals(&self) -> Result<Seals, StoreError> {
        self.read(|db| {
            let mut seals = Seals { rows: 0, broken: None };
            let (mut after, mut before) = (0, None);
            loop {
                let mut select = db.prepare_cached(ROWS)?;
                let page: Vec<Sealed> = select.query_map([after], read_sealed)?.collect::<Result<_, _>>()?;
                let Some(last) = page.last() else { return Ok(seals) };
                after = last.id;
                for row in page {
                    seals.rows += 1;
                    if before.is_some_and(|(id, seal)| row.id != id + 1 || row.seal != Some(row.sealed_after(seal))) {
                        seals.broken = Some(row.id);
                        return Ok(seals);
                    }
                    before = row.seal.map(|seal| (row.id, seal));
                    if before.is_none() {
                        seals.broken = Some(row.id);
                        return Ok(seals);
                    }
                }
            }
        })
        .await
    }

    /// A digest of a tax id by which two orders about one person can be matched, and from which nobody reads who it was without
    /// the key, which is made at the first call and never leaves the store.
    pub async fn person_digest(&self, tax_id: &str) -> Result<String, StoreError> {
        let tax_id = tax_id.to_owned();
        self.write(move |db| {
            let fresh = [crate::clock::new_uuid(), crate::clock::new_uuid()].map(|id| id.simple().to_string()).concat();
            let random = key_material().unwrap_or(fresh);
            db.prepare_cached(NEW_KEY)?.execute([random])?;
            let key: String = db.prepare_cached(KEY)?.query_row([], |row| row.get(0))?;
            let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes()), tax_id.as_bytes());
            Ok(tag.as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect())
        })
        .await
    }

    /// Shortens both books from their beginning up to an instant: what they told is overwritten. Answers the rows that went.
    pub async fn shorten_books(&self, before: Timestamp) -> Result<usize, StoreError> {
        self.write(move |db| {
            db.prepare_cached(HORIZON)?.execute([ms(before).to_string()])?;
            overwriting(db, |db| {
                Ok(db.prepare_cached(SHORTEN_ORDERS)?.execute([ms(before)])? + db.prepare_cached(SHORTEN_DOOR)?.execute([ms(before)])?)
            })
        })
        .await
    }
}

/// 32 random bytes of the system, in hexadecimal digits.
fn key_material() -> Option<String> {
    let mut bytes = [0u8; 32];
    aws_lc_rs::rand::fill(&mut bytes).ok()?;
    Some(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

pub(super) fn append(db: &Connection, line: &OrderLine, of: Option<i64>, outcome: Option<&str>, now: Timestamp) -> Result<i64, StoreError> {
    let last: Option<(i64, Vec<u8>)> = optional(db.prepare_cached(LAST)?.query_row([], |row| Ok((row.get(0)?, row.get(1)?))))?;
    let (id, seal) = last.map_or((0, None), |(id, seal)| (id, digest(seal)));
    let mut row = Sealed {
        id: id + 1,
        at: ms(now),
        of,
        who: line.who.clone(),
        command: line.command.clone(),
        about: line.about.clone(),
        why: line.why.clone(),
        outcome: outcome.map(str::to_owned),
        seal: None,
    };
    let seal = row.sealed_after(seal.unwrap_or(Sha256::from_bytes([0; 32])));
    row.seal = Some(seal);
    db.prepare_cached(APPEND)?.execute(params![
        row.id,
        row.at,
        row.of,
        row.who,
        row.command,
        row.about,
        row.why,
        row.outcome,
        seal.as_bytes()
    ])?;
    Ok(row.id)
}

struct Sealed {
    id: i64,
    at: i64,
    of: Option<i64>,
    who: String,
    command: String,
    about: String,
    why: Option<String>,
    outcome: Option<String>,
    seal: Option<Sha256>,
}

impl Sealed {
    fn sealed_after(&self, before: Sha256) -> Sha256 {
        let mut hasher = Hasher::new();
        hasher.update(before.as_bytes());
        for number in [self.id, self.at, self.of.unwrap_or(0)] {
            hasher.update(&number.to_be_bytes());
        }
        let texts = [Some(&self.who), Some(&self.command), Some(&self.about), self.why.as_ref(), self.outcome.as_ref()];
        for text in texts {
            // Length first: no two rows read alike.
            let text = text.map_or("", String::as_str);
            hasher.update(&(text.len() as u64).to_be_bytes());
            hasher.update(text.as_bytes());
        }
        hasher.finish()
    }
}

fn read_sealed(row: &Row<'_>) -> rusqlite::Result<Sealed> {
    Ok(Sealed {
        id: row.get(0)?,
        at: row.get(1)?,
        of: row.get(2)?,
        who: row.get(3)?,
        command: row.get(4)?,
        about: row.get(5)?,
        why: row.get(6)?,
        outcome: row.get(7)?,
        seal: digest(row.get(8)?),
    })
}
