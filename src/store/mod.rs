//! The only SQL, and the archives of what was dropped.
//!
//! [`Store`] is a set of business functions, async, without a database type in any signature: SQLite stands behind them
//! now. One writer thread owns the writing connection and commits what is waiting in groups: each function is all or
//! nothing (a savepoint), a group costs one fsync, and is answered after it. Readers have connections of their own and never wait for the writer.

mod acts;
mod alerts;
pub mod archives;
mod asked;
mod audit;
mod batches;
mod cache;
mod cancelling;
mod codec;
mod copy;
mod daily;
mod door;
mod early;
mod engine;
mod erasing;
mod exports;
mod facts;
mod figures;
mod finals;
mod jobs;
mod journey;
mod jumps;
mod ledger;
mod lookers;
mod mail;
mod orders;
mod pause;
mod payments;
mod position_acts;
mod position_material;
mod position_orders;
mod position_past;
mod positions;
mod preparing;
mod publications;
mod queries;
mod refusals;
mod replay;
mod restore;
mod samples;
mod spending;
mod staging;
mod standings;
mod starting;
mod stops;
mod streams;
mod unasked;

#[cfg(test)]
mod tests;

pub use acts::{ActView, Materials, Ordered, SendMaterial, Spend};
pub use alerts::{CALLS_SPENT, DATA_DISK, MONEY_SPENT, Notice, SILENT, Trouble};
pub use audit::{OrderEvent, OrderLine, Seals};
pub use batches::{BatchSummary, Claim, Conflict, Drop, Finished, KeptEntry, NewDrop, Queue, Staged, Staging, Telling, Unstaged, Verdict};
pub use cancelling::Cancelling;
pub use copy::{Copied, CopyError, CopyLook};
pub use daily::DailyAsk;
pub use door::{DoorBan, DoorEvent};
pub use erasing::{Cause, ClosedAct, Erased, ErasedFact, OldFile, Open, Pending as PendingErasure, Spans};
pub use exports::{Export, ExportsOf, Gone, Statements, Wanted as WantedExports, rows_sql};
pub use facts::{KeptFact, LegalFactToFetch};
pub use finals::Final;
pub use jobs::{BatchWork, JobRef, Leased, Subject, Wanted};
pub use journey::{DropAlert, Near};
pub use mail::{
    Addressed, Collected, GivenUp, LeasedMail, MailCode, MailContent, MailLease, MailNotice, MailOverview, MailTrouble, Offered, Router,
    ToldAlert,
};
pub use orders::{GuardRow, LegalFactRow, ProblemCount, RecipientRow};
pub use pause::Pause;
pub use payments::Taken;
pub use position_acts::{Route, costs_of};
pub use position_material::{PositionMaterial, PositionView, Sheet};
pub use position_orders::DaysOrder;
pub use positions::Beside;
pub use preparing::{Around, Stage};
pub use publications::{CopyToMake, FactPlace, IndexedFact, LineWithEcho, PendingLines, Publication, StoredFact};
pub use queries::{AlertRow, HistoryRow, JobRow, Left, Overview, Stuck};
pub use refusals::RefusedAct;
pub use replay::ReplayRefused;
pub use restore::{Gap, GapKind, NumberedFile, Restored, Tokens};
pub use samples::PriceSample;
pub use staging::{decode_place, encode_place, stand_in_protocol};
pub use stops::STOP_CODES;
pub use streams::{Recorded, StreamRow, StreamsOf};
pub use unasked::AskedBack;

use std::fs::File;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::hooks::Wal;
use rusqlite::{Connection, OpenFlags};
use tokio::sync::{Notify, Semaphore, oneshot};

use self::cache::Cache;
use self::lookers::Lookers;
use crate::clock::monotonic;

/// Why a business function did not do its work. Nothing of it was saved.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process works on the same data folder.
    #[error("the data folder is in use by another process")]
    InUse,
    /// A restore began in the folder and did not end.
    #[error("a restore of the data folder did not end")]
    HalfRestored,
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
    /// By its kind and place: the decoder's own words quote what it met, which may be a name.
    fn from(error: serde_json::Error) -> Self {
        StoreError::Corrupt(format!("{:?} at line {} column {}", error.classify(), error.line(), error.column()))
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
/// Works on the whole database: everybody else waits.
type Alone = Box<dyn FnOnce(&Connection) + Send>;

/// What the writer is told.
enum Message {
    Work(Write),
    /// Runs between two groups, outside of any transaction.
    Alone(Alone),
    /// A group has reached the disk: for a writer that waits.
    Synced,
    Stop,
}

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
    writer: Mutex<Option<mpsc::Sender<Message>>>,
    /// The writer, then those who work behind it.
    threads: Mutex<Vec<std::thread::JoinHandle<()>>>,
    readers: Mutex<Vec<Connection>>,
    /// For [`Store::look`].
    lookers: Arc<Lookers>,
    permits: Semaphore,
    path: PathBuf,
    /// The log could not be brought to the disk: what is read may not be there after a restart, so nothing is answered any more.
    lost: Arc<AtomicBool>,
    /// Rung when a job may have become ready.
    work: Notify,
    _lock: File,
}

impl Inner {
    /// The writer ends after what is queued.
    fn stop(&self) {
        if let Some(writer) = lock(&self.writer).take() {
            let _ = writer.send(Message::Stop);
        }
    }
}

impl std::ops::Drop for Inner {
    /// The folder is free for another process only when nothing is being written any more.
    fn drop(&mut self) {
        self.stop();
        for thread in lock(&self.threads).drain(..) {
            let _ = thread.join();
        }
    }
}

/// Most functions committed together.
const GROUP: usize = 512;
/// After this no more changes are begun in a group while the disk is free: those who are in it wait for it, and bring what comes after.
const GROUP_TIME: Duration = Duration::from_millis(10);
const READERS: usize = 3;
const LOST: &str = "the disk failed: what it holds is known after a restart";
/// Acts, orders or rows that a long work takes in one transaction, so that others come in between.
const CHUNK: usize = if cfg!(test) { 10 } else { 1_000 };

/// Is in a data folder for as long as a restore has not ended: nothing else may work there.
pub const HALF_RESTORED: &str = "ripristino-in-corso";

/// Takes a data folder for this process.
pub fn lock_folder(folder: &Path) -> Result<File, StoreError> {
    let lock = File::create(folder.join("messo.lock"))?;
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive).map_err(|_| StoreError::InUse)?;
    Ok(lock)
}

impl Store {
    /// Opens (or makes) the store in `folder` and brings it to this version. One process at a time.
    pub fn open(folder: &Path) -> Result<Store, StoreError> {
        std::fs::create_dir_all(folder)?;
        let lock = lock_folder(folder)?;
        if folder.join(HALF_RESTORED).try_exists()? {
            return Err(StoreError::HalfRestored);
        }
        Store::open_locked(folder, lock)
    }

    /// The same in a folder that is being restored, by who holds its lock ([`lock_folder`]).
    pub fn open_locked(folder: &Path, lock: File) -> Result<Store, StoreError> {
        let path = folder.join("messo.db");
        let mut writer = connect(&path, false)?;
        migrate(&mut writer)?;
        let readers = (0..READERS).map(|_| connect(&path, true)).collect::<Result<Vec<_>, _>>()?;
        let lookers = Arc::new(Lookers::default());
        let behind = empty_log_behind(&mut writer, connect(&path, false)?, lookers.clone())?;
        let (sender, receiver) = mpsc::channel();
        let (commit, committed) = mpsc::channel();
        let (lost, seen, told) = (Arc::new(AtomicBool::new(false)), sender.clone(), folder.join("messo.db-wal"));
        let under_way = Arc::new(AtomicUsize::new(0));
        let (at_writer, at_sync) = (lost.clone(), lost.clone());
        let cache = Cache::of(&path);
        let start = |name: &str| std::thread::Builder::new().name(name.to_owned());
        let (looking, going) = (lookers.clone(), under_way.clone());
        let thread = start("store").spawn(move || write_loop(&writer, &receiver, &commit, &at_writer, &going, cache, &looking))?;
        let sync = start("store-sync").spawn(move || sync_loop(&told, &committed, &seen, &at_sync, &under_way))?;
        Ok(Store {
            inner: Arc::new(Inner {
                writer: Mutex::new(Some(sender)),
                threads: Mutex::new(vec![thread, sync, behind]),
                readers: Mutex::new(readers),
                lookers,
                permits: Semaphore::new(READERS),
                path,
                lost,
                work: Notify::new(),
                _lock: lock,
            }),
        })
    }

    /// Waits for what is queued, then stops the writer. Later writes answer [`StoreError::Stopping`].
    pub fn close(&self) {
        self.inner.stop();
        let threads: Vec<_> = lock(&self.inner.threads).drain(..).collect();
        for thread in threads {
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
            Some(sender) => sender.send(Message::Work(work)).map_err(|_| StoreError::Stopping)?,
            None => return Err(StoreError::Stopping),
        }
        told.await.map_err(|_| StoreError::Stopping)?
    }

    /// Runs `work` between two groups, outside of any transaction: nobody writes meanwhile.
    async fn alone<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (tell, told) = oneshot::channel();
        let work: Alone = Box::new(move |db| {
            let _ = tell.send(work(db));
        });
        match &*lock(&self.inner.writer) {
            Some(sender) => sender.send(Message::Alone(work)).map_err(|_| StoreError::Stopping)?,
            None => return Err(StoreError::Stopping),
        }
        told.await.map_err(|_| StoreError::Stopping)?
    }

    /// Runs here and now a query of a few pages that are in memory: to wake another thread would cost more than the answer. Where many
    /// wait behind it the disk might be read, so nothing that scans belongs here.
    fn look<T>(&self, query: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        if self.inner.lost.load(Ordering::Acquire) {
            return Err(StoreError::Database(LOST.to_owned()));
        }
        self.inner.lookers.look(&self.inner.path, query)
    }

    /// Keeps everybody who writes waiting.
    #[cfg(test)]
    pub async fn occupy(&self, time: Duration) {
        let _ = self
            .alone(move |_| {
                std::thread::sleep(time);
                Ok(())
            })
            .await;
    }

    /// Whether the log can be emptied: no reader keeps a snapshot.
    #[cfg(test)]
    pub async fn empties_its_log(&self) -> bool {
        let emptied = self.alone(|db| {
            let row = db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))?;
            Ok(row == (0, 0))
        });
        emptied.await.unwrap_or(false)
    }

    /// Runs `query` on a reading connection, off the runtime's threads.
    async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        if self.inner.lost.load(Ordering::Acquire) {
            return Err(StoreError::Database(LOST.to_owned()));
        }
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
        // The log is brought to the disk by `sync_loop`, before anybody is answered.
        db.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 0; PRAGMA temp_store = MEMORY;",
        )?;
    }
    // The writer's own is fitted while it runs.
    db.execute_batch("PRAGMA cache_size = -4000;")?;
    Ok(db)
}

/// Pages of the log after which another thread begins to copy them into the database, beside the writer.
const LOG_BEGUN: i32 = 2_000;
/// Pages after which the writer ends that work itself: only then, with nobody writing, does the log begin again.
const LOG_FULL: i32 = 8_000;

/// Starts the thread that copies the log into the database while the writer goes on. It ends with the writer's connection.
fn empty_log_behind(writer: &mut Connection, other: Connection, lookers: Arc<Lookers>) -> Result<std::thread::JoinHandle<()>, StoreError> {
    let (ask, asked) = mpsc::sync_channel::<()>(1);
    let (mut begun, mut full) = (0, LOG_FULL);
    writer.wal_hook(Some(move |log: &mut Wal, pages: i32| {
        lookers.log_is(pages);
        if pages < LOG_FULL {
            full = LOG_FULL;
        }
        if pages >= full {
            begun = 0;
            // Who reads for long (a copy of the store) keeps the log from beginning again: not tried at every commit, for each try
            // goes through the whole log.
            full = pages.saturating_add(LOG_BEGUN);
            // Busy while the other thread is at it: tried again after the next commit, which is on disk all the same.
            let _ = log.checkpoint();
            return Ok(());
        }
        if pages < begun {
            begun = 0; // it began again
        }
        if pages - begun >= LOG_BEGUN {
            begun = pages;
            let _ = ask.try_send(());
        }
        Ok(())
    }))?;
    let thread = std::thread::Builder::new().name("store-log".to_owned()).spawn(move || {
        while asked.recv().is_ok() {
            if let Err(error) = other.execute_batch("PRAGMA wal_checkpoint(PASSIVE)") {
                // The writer does it in its turn, and says what is wrong.
                tracing::debug!(%error, "the log cannot be emptied now");
            }
        }
    })?;
    Ok(thread)
}

const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001.sql"),
    include_str!("migrations/0002.sql"),
    include_str!("migrations/0003.sql"),
    include_str!("migrations/0004.sql"),
    include_str!("migrations/0005.sql"),
    include_str!("migrations/0006.sql"),
    include_str!("migrations/0007.sql"),
    include_str!("migrations/0008.sql"),
];

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

/// Runs what waits in groups, each a transaction. While a group goes to the disk the next one is run, and is committed when
/// that is done: nobody is answered before, and the writer does not wait for the disk.
fn write_loop(
    db: &Connection,
    queue: &mpsc::Receiver<Message>,
    committed: &mpsc::Sender<Committed>,
    lost: &AtomicBool,
    under_way: &AtomicUsize,
    mut cache: Cache,
    lookers: &Lookers,
) {
    let disk_is_free = || under_way.load(Ordering::Acquire) == 0;
    let mut stopping = false;
    while !stopping {
        cache.fit(db);
        let first = match queue.recv() {
            Ok(Message::Work(work)) => work,
            Ok(Message::Synced) => continue,
            Ok(Message::Alone(work)) => {
                lookers.beside(|| work(db));
                continue;
            }
            Ok(Message::Stop) | Err(_) => break,
        };
        let mut replies: Vec<Reply> = Vec::new();
        let mut failure = if lost.load(Ordering::Acquire) {
            Some(LOST.to_owned())
        } else {
            db.execute_batch("BEGIN IMMEDIATE").err().map(|error| error.to_string())
        };
        let mut any = false;
        let mut alone = None;
        let mut next = Some(first);
        let begun = monotonic();
        while let Some(work) = next.take() {
            let (reply, left) = work(failure.is_none().then_some(db));
            any |= left == Change::Kept;
            replies.push(reply);
            // A full or broken disk ends the transaction by itself: what came before is gone too.
            if failure.is_none() && (left == Change::Torn || db.is_autocommit()) {
                failure = Some("the transaction was lost".to_owned());
            }
            while failure.is_none() && next.is_none() && replies.len() < GROUP {
                let free = disk_is_free();
                if free && begun.elapsed() >= GROUP_TIME {
                    break;
                }
                match if free { queue.try_recv().ok() } else { queue.recv().ok() } {
                    Some(Message::Work(work)) => next = Some(work),
                    Some(Message::Synced) => {}
                    Some(Message::Alone(work)) => {
                        alone = Some(work);
                        break;
                    }
                    Some(Message::Stop) => {
                        stopping = true;
                        break;
                    }
                    None => break,
                }
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
        if any {
            lookers.take_back();
        }
        under_way.fetch_add(1, Ordering::AcqRel);
        // Its receiver lives until this sender is gone.
        let _ = committed.send(Committed { replies, failure, written: any });
        if let Some(work) = alone {
            lookers.beside(|| work(db));
        }
    }
    lookers.take_back();
    let _ = db.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)");
}

/// A group that the writer has ended.
struct Committed {
    replies: Vec<Reply>,
    failure: Option<String>,
    written: bool,
}

/// Brings the log to the disk, then answers those whose changes it holds: in their order, for each may rest on those before.
fn sync_loop(log: &Path, groups: &mpsc::Receiver<Committed>, writer: &mpsc::Sender<Message>, lost: &AtomicBool, under_way: &AtomicUsize) {
    let mut file = None;
    while let Ok(first) = groups.recv() {
        let mut all = vec![first];
        all.extend(groups.try_iter());
        // Once what went before was lost: the system tells it only once.
        let mut failure = lost.load(Ordering::Acquire).then(|| LOST.to_owned());
        if failure.is_none() && all.iter().any(|group| group.written) {
            failure = sync(&mut file, log).err().map(|error| error.to_string());
        }
        if let Some(error) = &failure
            && !lost.swap(true, Ordering::AcqRel)
        {
            // What of it is on the disk nobody can say, and a later success would not tell.
            tracing::error!(error, "the store cannot reach the disk");
        }
        under_way.fetch_sub(all.len(), Ordering::AcqRel);
        let _ = writer.send(Message::Synced);
        for group in all {
            let failure = group.failure.or_else(|| failure.clone());
            for reply in group.replies {
                reply(failure.clone().map_or(Ok(()), |error| Err(StoreError::Database(error))));
            }
        }
    }
}

fn sync(file: &mut Option<File>, log: &Path) -> std::io::Result<()> {
    let open = match file.take() {
        Some(open) => open,
        None => File::open(log)?,
    };
    file.insert(open).sync_data()
}
