//! The only SQL, and the archives of what was dropped.
//!
//! [`Store`] is a set of business functions, async, without a database type in any signature: SQLite stands behind them
//! now. One writer thread owns the writing connection and commits what is waiting in groups: each function is all or
//! nothing (a savepoint), a group costs one fsync. Readers have connections of their own and never wait for the writer.

mod acts;
pub mod archives;
mod batches;
mod cancelling;
mod codec;
mod door;
mod engine;
mod finals;
mod jobs;
mod orders;
mod publications;
mod queries;
mod refusals;
mod spending;
mod staging;
mod starting;
mod stops;
mod streams;

#[cfg(test)]
mod tests;

pub use acts::{ActView, KeptFact, LegalFactToFetch, Materials, Ordered, SendMaterial, Spend};
pub use batches::{BatchSummary, Drop, Finished, KeptEntry, NewDrop, Queue, Staged, Staging, Verdict};
pub use cancelling::Cancelling;
pub use door::{DoorBan, DoorEvent};
pub use finals::Final;
pub use jobs::{BatchWork, JobRef, Leased, Subject, Wanted};
pub use orders::{GuardRow, LegalFactRow, ProblemCount, RecipientRow};
pub use publications::{FactPlace, IndexedFact, LineWithEcho, PendingLines, Publication, StoredFact};
pub use queries::{AlertRow, HistoryRow, JobRow, Left, Overview, Stuck};
pub use refusals::RefusedAct;
pub use staging::{decode_place, encode_place};
pub use stops::{STOP_CODES, Trouble};
pub use streams::{Recorded, StreamRow, StreamsOf};

use std::fs::File;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use tokio::sync::{Notify, Semaphore, oneshot};

use crate::clock;

/// Why a business function did not do its work. Nothing of it was saved.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process works on the same data folder.
    #[error("the data folder is in use by another process")]
    InUse,
    /// The database or the disk.
    #[error("database: {0}")]
    Database(String),
    /// What was read does not make sense to this version.
    #[error("stored data: {0}")]
    Corrupt(String),
    /// What was asked for is not there.
    #[error("not found: {0}")]
    NotFound(&'static str),
    /// Someone else changed it first, or the job is no longer ours.
    #[error("stale")]
    Stale,
    /// The order cannot be carried out in that state.
    #[error(transparent)]
    Order(#[from] crate::flow::event::OrderRefused),
    /// The process is stopping.
    #[error("stopping")]
    Stopping,
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::Error as E;
        match &error {
            // A cell that is not what its column holds: this row is at fault, not the database.
            E::FromSqlConversionFailure(..) | E::IntegralValueOutOfRange(..) | E::InvalidColumnType(..) | E::Utf8Error(..) => {
                StoreError::Corrupt(error.to_string())
            }
            _ => StoreError::Database(error.to_string()),
        }
    }
}
impl From<serde_json::Error> for StoreError {
    fn from(error: serde_json::Error) -> Self {
        StoreError::Corrupt(error.to_string())
    }
}
impl From<std::io::Error> for StoreError {
    fn from(error: std::io::Error) -> Self {
        StoreError::Database(error.to_string())
    }
}

type Reply = Box<dyn FnOnce(Result<(), StoreError>) + Send>;
/// Runs in the open transaction; without one it is not run.
type Write = Box<dyn FnOnce(Option<&Connection>) -> (Reply, Change) + Send>;

/// What a change left in its group's transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Kept,
    Undone,
    /// It could not be undone: the whole group must be.
    Torn,
}

/// The store of one hub. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    writer: Mutex<Option<mpsc::Sender<Write>>>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
    readers: Mutex<Vec<Connection>>,
    permits: Semaphore,
    path: PathBuf,
    /// Rung when a job may have become ready.
    work: Notify,
    _lock: File,
}

impl std::ops::Drop for Inner {
    /// The folder is free for another process only when nothing is being written any more.
    fn drop(&mut self) {
        drop(lock(&self.writer).take());
        if let Some(thread) = lock(&self.thread).take() {
            let _ = thread.join();
        }
    }
}

/// Most functions committed together.
const GROUP: usize = 512;
/// After a group of so many the next one waits so long for more: a commit costs the same for one as for a hundred.
const BUSY: usize = 8;
const GATHER: Duration = Duration::from_millis(2);
const READERS: usize = 3;
/// Acts, orders or rows that a long work takes in one transaction, so that others come in between.
const CHUNK: usize = if cfg!(test) { 10 } else { 1_000 };

impl Store {
    /// Opens (or makes) the store in `folder` and brings it to this version. One process at a time.
    pub fn open(folder: &Path) -> Result<Store, StoreError> {
        std::fs::create_dir_all(folder)?;
        let lock = File::create(folder.join("messo.lock"))?;
        rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive).map_err(|_| StoreError::InUse)?;
        let path = folder.join("messo.db");
        let mut writer = connect(&path, false)?;
        migrate(&mut writer)?;
        let readers = (0..READERS).map(|_| connect(&path, true)).collect::<Result<Vec<_>, _>>()?;
        let (sender, receiver) = mpsc::channel();
        let thread = std::thread::Builder::new().name("store".to_owned()).spawn(move || write_loop(&writer, &receiver))?;
        Ok(Store {
            inner: Arc::new(Inner {
                writer: Mutex::new(Some(sender)),
                thread: Mutex::new(Some(thread)),
                readers: Mutex::new(readers),
                permits: Semaphore::new(READERS),
                path,
                work: Notify::new(),
                _lock: lock,
            }),
        })
    }

    /// Waits for what is queued, then stops the writer. Later writes answer [`StoreError::Stopping`].
    pub fn close(&self) {
        drop(lock(&self.inner.writer).take());
        if let Some(thread) = lock(&self.inner.thread).take() {
            let _ = thread.join();
        }
    }

    /// Resolves when a job may have become ready since the last call.
    pub async fn work(&self) {
        self.inner.work.notified().await;
    }

    fn ring(&self) {
        self.inner.work.notify_one();
    }

    /// Runs `change` alone in a savepoint of the next group; answers after the commit is on disk.
    async fn write<T: Send + 'static>(
        &self,
        change: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (tell, told) = oneshot::channel();
        let work: Write = Box::new(move |db| {
            let (outcome, left) = match db {
                Some(db) => guarded(db, change),
                None => (Err(StoreError::Stopping), Change::Undone),
            };
            let reply: Reply = Box::new(move |committed| {
                let _ = tell.send(committed.and(outcome));
            });
            (reply, left)
        });
        match &*lock(&self.inner.writer) {
            Some(sender) => sender.send(work).map_err(|_| StoreError::Stopping)?,
            None => return Err(StoreError::Stopping),
        }
        told.await.map_err(|_| StoreError::Stopping)?
    }

    /// Runs `query` on a reading connection, off the runtime's threads.
    async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let _permit = self.inner.permits.acquire().await.map_err(|_| StoreError::Stopping)?;
        let inner = self.inner.clone();
        let db = match lock(&inner.readers).pop() {
            Some(db) => db,
            None => connect(&inner.path, true)?,
        };
        let (db, outcome) = tokio::task::spawn_blocking(move || {
            let outcome = query(&db);
            (db, outcome)
        })
        .await
        .map_err(|_| StoreError::Stopping)?;
        lock(&inner.readers).push(db);
        outcome
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn connect(path: &Path, read_only: bool) -> Result<Connection, StoreError> {
    let flags = if read_only {
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX
    } else {
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX
    };
    let db = Connection::open_with_flags(path, flags)?;
    db.set_prepared_statement_cache_capacity(256);
    // Without this a statement is planned anew, each time it runs, when one of its parameters might be a pattern or a bound of
    // a partial index.
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    db.busy_timeout(Duration::from_secs(10))?;
    if !read_only {
        db.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 8000; PRAGMA temp_store = MEMORY;",
        )?;
    }
    db.execute_batch(if read_only { "PRAGMA cache_size = -4000;" } else { "PRAGMA cache_size = -24000;" })?;
    Ok(db)
}

const MIGRATIONS: &[&str] = &[include_str!("migrations/0001.sql")];

fn migrate(db: &mut Connection) -> Result<(), StoreError> {
    let version: i64 = db.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let version = usize::try_from(version).unwrap_or(0);
    if version > MIGRATIONS.len() {
        return Err(StoreError::Corrupt(format!("the store has version {version}, this program knows {}", MIGRATIONS.len())));
    }
    for (index, migration) in MIGRATIONS.iter().enumerate().skip(version) {
        let tx = db.transaction()?;
        tx.execute_batch(migration)?;
        tx.pragma_update(None, "user_version", i64::try_from(index + 1).unwrap_or(i64::MAX))?;
        tx.commit()?;
    }
    Ok(())
}

fn guarded<T>(db: &Connection, change: impl FnOnce(&Connection) -> Result<T, StoreError>) -> (Result<T, StoreError>, Change) {
    let run = |sql: &str| -> Result<(), StoreError> { Ok(db.prepare_cached(sql)?.execute([]).map(drop)?) };
    if let Err(error) = run("SAVEPOINT one") {
        return (Err(error), Change::Undone);
    }
    let outcome = std::panic::catch_unwind(AssertUnwindSafe(|| change(db)))
        .unwrap_or_else(|_| Err(StoreError::Corrupt("a change panicked".to_owned())));
    let ended = match &outcome {
        Ok(_) => run("RELEASE one"),
        Err(_) => run("ROLLBACK TO one").and_then(|()| run("RELEASE one")),
    };
    match (outcome, ended) {
        (Ok(done), Ok(())) => (Ok(done), Change::Kept),
        (Err(error), Ok(())) => (Err(error), Change::Undone),
        (Ok(_), Err(error)) | (Err(error), Err(_)) => (Err(error), Change::Torn),
    }
}

fn write_loop(db: &Connection, queue: &mpsc::Receiver<Write>) {
    let mut before = 0;
    while let Ok(first) = queue.recv() {
        let patience = (before >= BUSY).then(|| clock::monotonic() + GATHER);
        let mut replies: Vec<Reply> = Vec::new();
        let mut failure = db.execute_batch("BEGIN IMMEDIATE").err().map(|error| error.to_string());
        let mut any = false;
        let mut next = Some(first);
        while let Some(work) = next.take() {
            let (reply, left) = work(failure.is_none().then_some(db));
            any |= left == Change::Kept;
            replies.push(reply);
            // A full or broken disk ends the transaction by itself: what came before is gone too.
            if failure.is_none() && (left == Change::Torn || db.is_autocommit()) {
                failure = Some("the transaction was lost".to_owned());
            }
            if failure.is_none() && replies.len() < GROUP {
                next = queue.try_recv().ok().or_else(|| {
                    let left = patience?.saturating_duration_since(clock::monotonic());
                    if left.is_zero() { None } else { queue.recv_timeout(left).ok() }
                });
            }
        }
        if failure.is_none() {
            failure = db.execute_batch(if any { "COMMIT" } else { "ROLLBACK" }).err().map(|error| error.to_string());
        }
        if let Some(error) = &failure {
            tracing::error!(error, "the store cannot write");
            if !db.is_autocommit() {
                let _ = db.execute_batch("ROLLBACK");
            }
        }
        before = replies.len();
        for reply in replies {
            reply(failure.clone().map_or(Ok(()), |error| Err(StoreError::Database(error))));
        }
    }
    let _ = db.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)");
}
