//! Reconciliation exports: which lines each covers, and the rows to print, a page of lines at a time.
//!
//! A reader holds no transaction for longer than a page and the writer is never waited for: what is read up to a line that was
//! written does not change any more.

mod sample;

use std::io;

use jiff::Timestamp;
use jiff::civil::Date;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row, params};
use uuid::Uuid;

use super::codec::{at, digest, ms, optional, word};
use super::publications::{self, Publication};
use super::{CHUNK, Store, StoreError};
use crate::domain::digest::Sha256;
use crate::domain::ids::ActId;
use crate::domain::standing::{ExportKind, Statement};

/// An export: lines after `after`, up to `to`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    pub source: String,
    /// From 1, per gestionale, without gaps.
    pub number: u64,
    pub kind: ExportKind,
    /// The night it was due, as Rome counts days.
    pub day: Date,
    pub after: u64,
    pub to: u64,
    pub created_at: Timestamp,
    /// Of the files before it, as they were published.
    pub previous_csv: Option<Sha256>,
    pub previous_xml: Option<Sha256>,
}

/// How far the exports of a gestionale have come.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExportsOf {
    /// When its first line was written.
    pub since: Option<Timestamp>,
    pub last_line: u64,
    /// The newest of all, of those of changed acts, of those of open ones.
    pub last: Option<Export>,
    pub changed: Option<Export>,
    pub open: Option<Export>,
}

/// Which exports are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    Numbers(u64, u64),
    /// Nights, both included.
    Days(Date, Date),
}

/// Why a window can no longer be printed as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gone {
    /// When its rows were deleted.
    pub at: Timestamp,
}

/// Takes the rows of an export, one by one.
pub trait Statements: Send + 'static {
    /// One more row. After an error no more are given.
    fn row(&mut self, row: &Statement<'_>) -> io::Result<()>;

    /// Enough for now: the rows of another line wait until it is asked for them.
    fn is_full(&self) -> bool {
        false
    }
}

const COLUMNS: &str = "source, number, kind, day, after_line, to_line, created_at, previous_csv, previous_xml";

fn read_export(row: &Row<'_>) -> Result<Export, StoreError> {
    let whole = |index: usize| row.get::<_, i64>(index).map(i64::unsigned_abs);
    let sha256 = |index: usize| row.get::<_, Option<Vec<u8>>>(index).map(|bytes| bytes.and_then(digest));
    let (kind, day): (String, String) = (row.get(2)?, row.get(3)?);
    Ok(Export {
        source: row.get(0)?,
        number: whole(1)?,
        kind: word(&kind, "export")?,
        day: day.parse().map_err(|_| StoreError::Corrupt(format!("day `{day}`")))?,
        after: whole(4)?,
        to: whole(5)?,
        created_at: at(row.get(6)?),
        previous_csv: sha256(7)?,
        previous_xml: sha256(8)?,
    })
}

/// Rows of a page of lines ?2..?3: acts whose last change up to line ?4 is there; ?5: only those that are open.
pub(super) const ROWS: &str = "SELECT s.line, s.at, s.act_id, s.recipient, s.recipients, s.state, s.closed, s.suspended, s.code, s.protocol, s.iun, s.notices, s.amount, s.vat, s.pa_fee, \
     s.base_fee, s.paper, s.citizen_cost, s.accepted_at, s.completed_at, s.perfection, a.sender, a.flow, a.reference, s.submission, \
     CASE WHEN s.attestations > 0 THEN (SELECT group_concat(f.name, '|') FROM legal_fact f WHERE f.act_id = s.act_id AND f.line <= ?4 \
     AND (f.recipient IS NULL OR f.recipient = s.recipient)) END, s.due, s.paid, s.paid_at \
     FROM standing s CROSS JOIN act a ON a.id = s.act_id WHERE s.source = ?1 AND s.line > ?2 AND s.line <= ?3 AND (?5 = 0 OR s.closed = 0) \
     AND NOT EXISTS (SELECT 1 FROM standing m WHERE m.act_id = s.act_id AND m.line > s.line AND m.line <= ?4) ORDER BY s.line, s.recipient";

fn read_statement<'a>(row: &'a Row<'_>) -> rusqlite::Result<Statement<'a>> {
    let text = |index: usize| Ok::<_, rusqlite::Error>(row.get_ref(index)?.as_str()?);
    let maybe_text = |index: usize| Ok::<_, rusqlite::Error>(row.get_ref(index)?.as_str_or_null()?);
    let number = |index: usize| match row.get_ref(index)? {
        ValueRef::Integer(value) => Ok(Some(value)),
        ValueRef::Null => Ok(None),
        other => Err(rusqlite::Error::InvalidColumnType(index, String::new(), other.data_type())),
    };
    let whole = |index: usize| number(index).map(|value| value.unwrap_or(0).unsigned_abs());
    let small = |index: usize| number(index).map(|value| value.and_then(|value| u32::try_from(value).ok()));
    let when = |index: usize| number(index).map(|value| value.map(at));
    Ok(Statement {
        line: whole(0)?,
        at: at(whole(1)? as i64),
        act: Uuid::from_slice(row.get_ref(2)?.as_blob()?).unwrap_or(Uuid::nil()),
        recipient: small(3)?.unwrap_or(0),
        recipients: small(4)?.unwrap_or(0),
        state: text(5)?,
        closed: whole(6)? != 0,
        suspended: maybe_text(7)?,
        code: maybe_text(8)?,
        protocol: maybe_text(9)?,
        iun: maybe_text(10)?,
        notices: text(11)?,
        amount: number(12)?,
        vat: small(13)?,
        pa_fee: small(14)?,
        base_fee: number(15)?,
        paper: number(16)?,
        citizen_cost: number(17)?,
        accepted_at: when(18)?,
        completed_at: when(19)?,
        perfection: maybe_text(20)?,
        sender: text(21)?,
        flow: text(22)?,
        reference: text(23)?,
        submission: small(24)?.unwrap_or(0),
        attestations: maybe_text(25)?,
        due: number(26)?,
        paid: number(27)?,
        paid_at: when(28)?,
    })
}

fn newest(db: &Connection, source: &str, kind: Option<ExportKind>) -> Result<Option<Export>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM export WHERE source = ?1 AND (?2 IS NULL OR kind = ?2) ORDER BY number DESC LIMIT 1");
    let kind = kind.map(ExportKind::as_str);
    optional(db.prepare_cached(&sql)?.query_row(params![source, kind], |row| Ok(read_export(row))))?.transpose()
}

/// The statement that gives the rows of a whole window, for a program that reads the store from outside.
pub fn rows_sql(export: &Export) -> String {
    let source = format!("'{}'", export.source.replace('\'', "''"));
    let (after, to) = (export.after.to_string(), export.to.to_string());
    let only_open = if export.kind == ExportKind::Open { "1" } else { "0" };
    ROWS.replace("?1", &source).replace("?2", &after).replace("?3", &to).replace("?4", &to).replace("?5", only_open)
}

impl Store {
    /// How far the exports of a gestionale have come.
    pub async fn exports_of(&self, source: &str) -> Result<ExportsOf, StoreError> {
        let source = source.to_owned();
        self.read(move |db| {
            let first = "SELECT written_at FROM line WHERE source = ?1 ORDER BY line LIMIT 1";
            let since: Option<i64> = optional(db.prepare_cached(first)?.query_row([&source], |row| row.get(0)))?;
            let next = "SELECT next_line FROM counter WHERE source = ?1";
            let next: Option<i64> = optional(db.prepare_cached(next)?.query_row([&source], |row| row.get(0)))?;
            Ok(ExportsOf {
                since: since.map(at),
                last_line: next.map_or(0, |next| (next - 1).unsigned_abs()),
                last: newest(db, &source, None)?,
                changed: newest(db, &source, Some(ExportKind::Changed))?,
                open: newest(db, &source, Some(ExportKind::Open))?,
            })
        })
        .await
    }

    /// Tells that an export lies whole under its temporary names: takes its number, and the window after the last one's.
    pub async fn prepare_export(&self, export: Export, files: Vec<Publication>) -> Result<(), StoreError> {
        self.write(move |db| {
            let last = newest(db, &export.source, None)?.map_or(0, |last| last.number);
            let last = last.max(super::restore::floor(db, &export.source, "rendicontazioni")?);
            let after = newest(db, &export.source, Some(ExportKind::Changed))?.map_or(0, |last| last.to);
            let follows = match export.kind {
                ExportKind::Changed => export.after == after,
                ExportKind::Open => export.to == after,
            };
            if export.number != last + 1 || !follows {
                return Err(StoreError::Stale);
            }
            db.prepare_cached(
                "INSERT INTO export (source, number, kind, day, after_line, to_line, created_at, previous_csv, previous_xml) \
                 VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9)",
            )?
            .execute(params![
                export.source,
                export.number as i64,
                export.kind.as_str(),
                export.day.to_string(),
                export.after as i64,
                export.to as i64,
                ms(export.created_at),
                export.previous_csv.map(|sha256| sha256.as_bytes().to_vec()),
                export.previous_xml.map(|sha256| sha256.as_bytes().to_vec()),
            ])?;
            files.iter().try_for_each(|file| publications::insert(db, file))
        })
        .await
    }

    /// Exports of a gestionale, in the order of their numbers.
    pub async fn exports(&self, source: &str, wanted: Wanted) -> Result<Vec<Export>, StoreError> {
        let source = source.to_owned();
        self.read(move |db| match wanted {
            Wanted::Numbers(first, last) => {
                let sql = format!("SELECT {COLUMNS} FROM export WHERE source = ?1 AND number >= ?2 AND number <= ?3 ORDER BY number");
                let last = i64::try_from(last).unwrap_or(i64::MAX);
                list(db, &sql, params![source, i64::try_from(first).unwrap_or(i64::MAX), last])
            }
            Wanted::Days(first, last) => {
                let sql = format!("SELECT {COLUMNS} FROM export WHERE source = ?1 AND day >= ?2 AND day <= ?3 ORDER BY number");
                list(db, &sql, params![source, first.to_string(), last.to_string()])
            }
        })
        .await
    }

    /// Gives the rows of an export that lie in lines `first..=last` of its window to `sink` until it is full, and the sink back: with
    /// the line up to which it has them, or the error that it had. A reader waits for nobody: `sink` only keeps what it is given.
    pub async fn statements<S: Statements>(
        &self,
        export: &Export,
        first: u64,
        last: u64,
        mut sink: S,
    ) -> Result<(S, io::Result<u64>), StoreError> {
        let (source, to, kind) = (export.source.clone(), export.to as i64, export.kind);
        let before = first.saturating_sub(1);
        self.read(move |db| {
            let mut select = db.prepare_cached(ROWS)?;
            let mut rows =
                select.query(params![source, before as i64, last.min(to.unsigned_abs()) as i64, to, kind == ExportKind::Open])?;
            let mut line = before;
            while let Some(row) = rows.next()? {
                let row = read_statement(row)?;
                if row.line != line && sink.is_full() {
                    return Ok((sink, Ok(line)));
                }
                line = row.line;
                if let Err(error) = sink.row(&row) {
                    return Ok((sink, Err(error)));
                }
            }
            Ok((sink, Ok(last)))
        })
        .await
    }

    /// Published files of the exports of a gestionale from a number on.
    pub async fn export_files(&self, source: &str, from: u64) -> Result<Vec<Publication>, StoreError> {
        self.numbered_files(source, "RENDICONTAZIONE", from).await
    }

    /// Whether rows that an export printed were deleted since.
    pub async fn export_gone(&self, export: &Export) -> Result<Option<Gone>, StoreError> {
        let after = if export.kind == ExportKind::Open { 0 } else { export.after as i64 };
        let (source, to) = (export.source.clone(), export.to as i64);
        self.read(move |db| {
            let sql = "SELECT max(at) FROM standing_gone WHERE source = ?1 \
                       AND ((first_line = 0 AND last_line > ?3) OR (first_line > 0 AND first_line <= ?3 AND last_line > ?2))";
            let gone: Option<i64> = db.prepare_cached(sql)?.query_row(params![source, after, to], |row| row.get(0))?;
            Ok(gone.map(|gone| Gone { at: at(gone) }))
        })
        .await
    }

    /// Deletes what only exports made before `before` need: standings that others have followed since, up to the last of those
    /// exports. From then on those exports are not printed again; later ones are, and where each act stands is kept.
    ///
    /// Up to a few thousand lines a call; answers whether more are left.
    pub async fn forget_standings(&self, source: &str, before: Timestamp, now: Timestamp) -> Result<bool, StoreError> {
        let source = source.to_owned();
        self.write(move |db| {
            let sql = "SELECT max(to_line) FROM export WHERE source = ?1 AND created_at < ?2";
            let upto: Option<i64> = db.prepare_cached(sql)?.query_row(params![source, ms(before)], |row| row.get(0))?;
            let known = "SELECT last_line, done FROM standing_gone WHERE source = ?1 AND first_line = 0";
            let known: Option<(i64, i64)> = optional(db.prepare_cached(known)?.query_row([&source], |row| Ok((row.get(0)?, row.get(1)?))))?;
            // What was begun is ended first.
            let (upto, done) = match (upto, known) {
                (_, Some((last, done))) if done < last => (last, done),
                (Some(upto), Some((last, _))) if upto > last => (upto, 0),
                (Some(upto), None) => (upto, 0),
                _ => return Ok(false),
            };
            let next = done.saturating_add(4 * CHUNK as i64).min(upto);
            db.prepare_cached("DELETE FROM standing_gone WHERE source = ?1 AND first_line = 0")?.execute([&source])?;
            db.prepare_cached("INSERT INTO standing_gone (source, first_line, last_line, at, done) VALUES (?1, 0, ?2, ?3, ?4)")?
                .execute(params![source, upto, ms(now), next])?;
            db.prepare_cached(
                "DELETE FROM standing WHERE source = ?1 AND line > ?2 AND line <= ?3 \
                 AND EXISTS (SELECT 1 FROM standing m WHERE m.act_id = standing.act_id AND m.line > standing.line AND m.line <= ?4)",
            )?
            .execute(params![source, done, next, upto])?;
            Ok(next < upto)
        })
        .await
    }

    /// Takes the notices of one act out of what exports print, for ever: exports that printed them are not printed again.
    pub async fn blank_notices(&self, act: ActId, now: Timestamp) -> Result<(), StoreError> {
        self.write(move |db| blank_notices(db, act, now)).await
    }
}

/// The same inside a change that erases more.
pub(super) fn blank_notices(db: &Connection, act: ActId, now: Timestamp) -> Result<(), StoreError> {
    let id = act.0.as_bytes();
    db.prepare_cached(
        "INSERT INTO standing_gone (source, first_line, last_line, at, done) \
         SELECT DISTINCT source, line, line, ?2, line FROM standing WHERE act_id = ?1 AND notices <> '' ON CONFLICT DO NOTHING",
    )?
    .execute(params![id, ms(now)])?;
    db.prepare_cached("UPDATE standing SET notices = '' WHERE act_id = ?1 AND notices <> ''")?.execute([id])?;
    Ok(())
}

fn list(db: &Connection, sql: &str, wanted: &[&dyn rusqlite::ToSql]) -> Result<Vec<Export>, StoreError> {
    let mut select = db.prepare_cached(sql)?;
    let rows = select.query_map(wanted, |row| Ok(read_export(row)))?;
    rows.map(|row| row?).collect()
}
