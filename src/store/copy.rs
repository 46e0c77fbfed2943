//! A consistent copy of the store while it works, and a look into one: what of archives and legal facts belongs to it.
//!
//! The copy is one reading transaction of a connection of its own: it holds everything that was committed when it began, and
//! nobody waits for it. It pauses now and then, and is brought to the disk as it grows, so that the disk stays free for others.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, ErrorCode, OpenFlags, params};

use super::codec::{at, digest};
use super::{Store, StoreError, connect};
use crate::domain::digest::Sha256;

/// Steps of SQLite's machine between two looks at the rest of the world.
const STEPS: i32 = 20_000;
const PAUSE: Duration = Duration::from_micros(500);
/// Bytes after which the copy is brought to the disk.
const FLUSH: u64 = 32 << 20;

/// Why there is no copy. What was written of it is to be removed.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// No space where the copy goes.
    #[error("the disk is full")]
    Full,
    /// It was told to stop.
    #[error("stopped")]
    Stopped,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<rusqlite::Error> for CopyError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => CopyError::Full,
            Some(ErrorCode::OperationInterrupted) => CopyError::Stopped,
            _ => CopyError::Store(error.into()),
        }
    }
}

/// What a copy holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Copied {
    pub batches: u64,
    pub acts: u64,
    /// Acts that are not final.
    pub open: u64,
    pub lines: u64,
    pub jobs: u64,
}

impl Store {
    /// Writes the store as it is now to `to`, which must not exist. Blocks: call it where blocking is allowed. `stop` is asked now
    /// and then.
    pub fn copy_to(&self, to: &Path, stop: impl Fn() -> bool + Send + 'static) -> Result<(), CopyError> {
        if self.inner.lost.load(std::sync::atomic::Ordering::Acquire) {
            return Err(StoreError::Database(super::LOST.to_owned()).into());
        }
        let mut db = connect(&self.inner.path, true)?;
        let (target, mut flushed) = (to.to_owned(), 0);
        db.progress_handler(
            STEPS,
            Some(move || {
                std::thread::sleep(PAUSE);
                let len = std::fs::metadata(&target).map_or(0, |meta| meta.len());
                if len >= flushed + FLUSH {
                    flushed = len;
                    let _ = File::open(&target).and_then(|file| file.sync_data());
                }
                stop()
            }),
        )?;
        let name = to.to_str().ok_or_else(|| StoreError::Database("the path is no text".to_owned()))?;
        db.execute("VACUUM INTO ?1", [name])?;
        File::open(to).and_then(|file| file.sync_all()).map_err(StoreError::from)?;
        Ok(())
    }
}

/// A copy, open for reading. Nothing is created beside it.
pub struct CopyLook {
    db: Connection,
}

impl CopyLook {
    /// Opens the copy at `path`, which nobody writes.
    pub fn open(path: &Path) -> Result<CopyLook, StoreError> {
        let name = path.to_str().ok_or_else(|| StoreError::Database("the path is no text".to_owned()))?;
        // In a URI these would end the path.
        let name = name.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        Ok(CopyLook { db: Connection::open_with_flags(format!("file:{name}?immutable=1"), flags)? })
    }

    /// Whether the database itself is sound; otherwise the first fault.
    pub fn fault(&self) -> Result<Option<String>, StoreError> {
        let said: String = self.db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        Ok((said != "ok").then_some(said))
    }

    /// Version of the layout of the tables, and the highest this program knows.
    pub fn version(&self) -> Result<(usize, usize), StoreError> {
        let version: i64 = self.db.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        Ok((usize::try_from(version).unwrap_or(usize::MAX), super::MIGRATIONS.len()))
    }

    /// How much it holds.
    pub fn counts(&self) -> Result<Copied, StoreError> {
        let count = |sql: &str| -> Result<u64, StoreError> { Ok(self.db.query_row(sql, [], |row| row.get::<_, i64>(0))?.unsigned_abs()) };
        Ok(Copied {
            batches: count("SELECT count(*) FROM batch WHERE id >= x''")?,
            acts: count("SELECT count(*) FROM act WHERE state >= ''")?,
            open: count(
                "SELECT count(*) FROM act WHERE state IN ('IN_ATTESA', 'IN_PREPARAZIONE', 'IN_CARICAMENTO', 'IN_INVIO', 'INVIATO', 'IN_CONSEGNA', 'IN_ANNULLAMENTO')",
            )?,
            lines: count("SELECT coalesce(sum(next_line - 1), 0) FROM counter WHERE source >= ''")?,
            jobs: count("SELECT count(*) FROM job WHERE id >= x''")?,
        })
    }

    /// Every kept archive that a batch refers to, once each, in order.
    pub fn each_archive<E: From<StoreError>>(&self, mut take: impl FnMut(Sha256) -> Result<(), E>) -> Result<(), E> {
        let mut last: Vec<u8> = Vec::new();
        loop {
            let page = self.archives_after(&last)?;
            let Some(end) = page.last() else { return Ok(()) };
            last = end.as_bytes().to_vec();
            page.into_iter().try_for_each(&mut take)?;
        }
    }

    fn archives_after(&self, last: &[u8]) -> Result<Vec<Sha256>, StoreError> {
        let sql = "SELECT DISTINCT sha256 FROM batch WHERE sha256 > ?1 ORDER BY sha256 LIMIT 1000";
        let mut select = self.db.prepare_cached(sql)?;
        let rows = select.query_map(params![last], |row| row.get::<_, Vec<u8>>(0))?;
        Ok(rows.collect::<Result<Vec<_>, _>>()?.into_iter().filter_map(digest).collect())
    }

    /// Every legal fact that is kept: (when it happened, digest). The same bytes may come more than once.
    pub fn each_fact<E: From<StoreError>>(&self, mut take: impl FnMut(Timestamp, Sha256) -> Result<(), E>) -> Result<(), E> {
        let (mut act, mut key) = (Vec::new(), String::new());
        loop {
            let page = self.facts_after(&act, &key)?;
            let Some(end) = page.last() else { return Ok(()) };
            (act, key) = (end.0.clone(), end.1.clone());
            for (_, _, happened_at, sha256) in page {
                take(happened_at, sha256)?;
            }
        }
    }

    #[expect(clippy::type_complexity, reason = "a page of rows, read once")]
    fn facts_after(&self, act: &[u8], key: &str) -> Result<Vec<(Vec<u8>, String, Timestamp, Sha256)>, StoreError> {
        let sql = "SELECT act_id, key, happened_at, sha256 FROM legal_fact WHERE (act_id, key) > (?1, ?2) AND state = 'CONSERVATA' \
                   AND sha256 IS NOT NULL ORDER BY act_id, key LIMIT 1000";
        let mut select = self.db.prepare_cached(sql)?;
        let rows = select.query_map(params![act, key], |row| {
            Ok((row.get(0)?, row.get(1)?, at(row.get(2)?), digest(row.get(3)?).unwrap_or(Sha256::from_bytes([0; 32]))))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}
