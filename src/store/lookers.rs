//! Connections for questions that are answered here and now ([`super::Store::price_sheet`]). To begin and end a reading transaction costs
//! more than such a question, and what follows a commit is read anew: each connection keeps the snapshot it has for as long as
//! nothing was committed after it, and so sees what one just begun would see.
//!
//! A snapshot that is kept must not keep the log from beginning again: the writer takes all of them back after each commit and
//! before work on the whole database, and where the log is nearly full none is kept from one question to the next.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rusqlite::Connection;

use super::{StoreError, connect, lock};

/// Of no commit: the connection has no snapshot.
const NONE: u64 = u64::MAX;

/// One connection, between two questions.
struct Looker {
    db: Connection,
    /// Commits that its snapshot holds.
    seen: u64,
}

impl Looker {
    fn open(path: &Path) -> Result<Looker, StoreError> {
        let db = connect(path, true)?;
        // Questions share the upper pages of the trees, which fit. Every page is forgotten with its snapshot: more of them would only be
        // memory that is taken and given back.
        db.execute_batch("PRAGMA cache_size = -1000;")?;
        Ok(Looker { db, seen: NONE })
    }

    fn end(&mut self) {
        if self.seen != NONE {
            self.seen = NONE;
            // It only read: nothing can be lost. Where it fails the next BEGIN tells.
            let _ = self.db.execute_batch("COMMIT");
        }
    }
}

/// As many as threads have looked at one time.
#[derive(Default)]
pub(super) struct Lookers {
    idle: Mutex<Vec<Looker>>,
    /// Commits until now.
    commits: AtomicU64,
    /// Pages of the log after the last commit.
    log_pages: AtomicU64,
    /// The whole database is being worked on: whoever looks meanwhile keeps nothing.
    alone: AtomicBool,
}

/// Pages of the log from which no snapshot is kept: the writer is about to end the log and begin it again.
const NEARLY_FULL: u64 = super::LOG_FULL as u64 / 8 * 7;

impl Lookers {
    /// Answers a question from what is committed.
    pub fn look<T>(&self, path: &Path, query: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let idle = lock(&self.idle).pop();
        let mut looker = match idle {
            Some(looker) => looker,
            None => Looker::open(path)?,
        };
        // Read before the snapshot is taken: it may hold more, never less.
        let commits = self.commits.load(Ordering::Acquire);
        if looker.seen != commits {
            looker.end();
            looker.db.execute_batch("BEGIN")?;
            looker.seen = commits;
        }
        let outcome = query(&looker.db);
        let full = self.log_pages.load(Ordering::Relaxed) >= NEARLY_FULL || self.alone.load(Ordering::Acquire);
        let mut idle = lock(&self.idle);
        // Under the lock: whoever takes the snapshots back finds this one, or this one sees that they were.
        if full || looker.seen != self.commits.load(Ordering::Acquire) {
            looker.end();
        }
        idle.push(looker);
        outcome
    }

    /// Runs work on the whole database, which may want the log for itself.
    pub fn beside(&self, work: impl FnOnce()) {
        self.alone.store(true, Ordering::Release);
        self.take_back();
        work();
        self.alone.store(false, Ordering::Release);
        self.take_back();
    }

    /// Something was committed, or somebody needs the log: what was seen until now is old.
    pub fn take_back(&self) {
        self.commits.fetch_add(1, Ordering::AcqRel);
        lock(&self.idle).iter_mut().for_each(Looker::end);
    }

    /// How long the log is now, in pages.
    pub fn log_is(&self, pages: i32) {
        self.log_pages.store(u64::try_from(pages).unwrap_or(0), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicI64;

    use super::super::Store;
    use super::*;

    async fn raise(store: &Store, value: i64) {
        store
            .write(move |db| {
                let sql = "INSERT INTO setting (name, value) VALUES ('prova', ?1) ON CONFLICT (name) DO UPDATE SET value = excluded.value";
                db.execute(sql, [value.to_string()])?;
                Ok(())
            })
            .await
            .unwrap();
    }

    fn read(store: &Store) -> i64 {
        let sql = "SELECT value FROM setting WHERE name = 'prova'";
        store.look(|db| Ok(db.query_row(sql, [], |row| row.get::<_, String>(0))?)).unwrap().parse().unwrap()
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_question_sees_all_that_was_answered_before_it_and_keeps_no_log() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        raise(&store, 0).await;
        let (told, over) = (AtomicI64::new(0), AtomicI64::new(0));
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while over.load(Ordering::Acquire) == 0 {
                        let before = told.load(Ordering::Acquire);
                        let seen = read(&store);
                        assert!(seen >= before, "{seen} after {before} was told");
                    }
                });
            }
            tokio::task::block_in_place(|| {
                tokio::runtime::Handle::current().block_on(async {
                    for value in 1..=300 {
                        raise(&store, value).await;
                        told.store(value, Ordering::Release);
                    }
                });
            });
            over.store(1, Ordering::Release);
        });
        assert_eq!(read(&store), 300);
        let kept = || lock(&store.inner.lookers.idle).iter().filter(|looker| looker.seen != NONE).count();
        assert!((1..=3).contains(&kept()), "the next question finds a snapshot");
        assert!(store.empties_its_log().await, "and it is taken back from whoever needs the log");
        assert_eq!((kept(), read(&store)), (0, 300));
        let asks = store.clone();
        let emptied = store.alone(move |db| {
            // Whoever asks while the whole database is worked on keeps nothing: the log would not be emptied.
            db.execute("UPDATE setting SET value = '301' WHERE name = 'prova'", [])?;
            assert_eq!(read(&asks), 301);
            db.busy_timeout(std::time::Duration::from_millis(100))?;
            Ok(db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0))?)
        });
        assert_eq!((emptied.await.unwrap(), kept(), read(&store)), (0, 0, 301));
        // The writer is done with what it did alone.
        raise(&store, 301).await;
        store.inner.lookers.log_is(super::super::LOG_FULL);
        assert_eq!((read(&store), kept()), (301, 0), "none is kept while the log is to begin again");
        store.inner.lookers.log_is(1);
        assert_eq!((read(&store), kept()), (301, 1));
    }

    #[test]
    fn a_question_that_fails_spoils_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let wrong =
            store.look(|db| Ok(db.query_row("SELECT value FROM setting WHERE name = 'nessuna'", [], |row| row.get::<_, String>(0))?));
        assert!(wrong.is_err());
        assert_eq!(store.look(|db| Ok(db.query_row("SELECT 7", [], |row| row.get::<_, i64>(0))?)).unwrap(), 7);
    }
}
