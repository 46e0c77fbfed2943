//! What a change that writes many lines (a page of events) keeps at hand: the number of the next line of each source, put back at its
//! end, and how the acts of those lines stand. Known to this thread alone, the only one that writes: see [`together`].

use std::cell::RefCell;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};

use rusqlite::{Connection, params};

use super::StoreError;
use super::codec::optional;
use crate::domain::ids::ActId;
use crate::domain::standing::Standing;

/// What was given out of one source.
struct Given {
    next: i64,
    /// Flows whose lines wait to be published, with the instant of the first.
    flows: BTreeMap<String, i64>,
}

#[derive(Default)]
struct Open {
    sources: BTreeMap<String, Given>,
    /// After the last line of each act that had one.
    standings: HashMap<ActId, Vec<Standing>>,
}

thread_local! {
    static OPEN: RefCell<Option<Open>> = const { RefCell::new(None) };
}

/// Forgets what was given out by a change that failed or panicked: its lines are undone with it.
struct Forget;

impl Drop for Forget {
    fn drop(&mut self) {
        OPEN.with_borrow_mut(|open| *open = None);
    }
}

/// Runs a change that writes many lines. What it does must not look at `counter` or `pending_flow` itself, nor undo a part of its lines.
pub(super) fn together<T>(db: &Connection, change: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    OPEN.with_borrow_mut(|open| *open = Some(Open::default()));
    let forget = Forget;
    let done = change()?;
    let given = OPEN.with_borrow_mut(Option::take).unwrap_or_default();
    drop(forget);
    for (source, given) in given.sources {
        save(db, &source, given.next)?;
        for (flow, oldest) in given.flows {
            await_publication(db, &source, &flow, oldest)?;
        }
    }
    Ok(done)
}

/// The number of a line of that source and flow, written at `now` (milliseconds): without gaps within its source.
pub(super) fn take(db: &Connection, source: &str, flow: &str, now: i64) -> Result<i64, StoreError> {
    OPEN.with_borrow_mut(|open| {
        let Some(open) = open else {
            let line = next(db, source)?;
            save(db, source, line + 1)?;
            await_publication(db, source, flow, now)?;
            return Ok(line);
        };
        let given = match open.sources.entry(source.to_owned()) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(free) => free.insert(Given { next: next(db, source)?, flows: BTreeMap::new() }),
        };
        given.flows.entry(flow.to_owned()).or_insert(now);
        given.next += 1;
        Ok(given.next - 1)
    })
}

/// How the act stands, if that is at hand. Whoever takes it gives it back with [`keep_standings`].
pub(super) fn standings(act: ActId) -> Option<Vec<Standing>> {
    OPEN.with_borrow_mut(|open| open.as_mut()?.standings.remove(&act))
}

/// How the act stands now, as it was written.
pub(super) fn keep_standings(act: ActId, all: Vec<Standing>) {
    OPEN.with_borrow_mut(|open| {
        if let Some(open) = open {
            open.standings.insert(act, all);
        }
    });
}

fn next(db: &Connection, source: &str) -> Result<i64, StoreError> {
    let next = db.prepare_cached("SELECT next_line FROM counter WHERE source = ?1")?.query_row([source], |row| row.get(0));
    Ok(optional(next)?.unwrap_or(1))
}

fn save(db: &Connection, source: &str, next: i64) -> Result<(), StoreError> {
    // Read, then written: RETURNING would make and drop a table of its own for each line.
    let sql = "INSERT INTO counter (source, next_line, next_file) VALUES (?1, ?2, 1) ON CONFLICT (source) DO UPDATE SET next_line = excluded.next_line";
    db.prepare_cached(sql)?.execute(params![source, next])?;
    Ok(())
}

fn await_publication(db: &Connection, source: &str, flow: &str, oldest: i64) -> Result<(), StoreError> {
    let sql = "INSERT INTO pending_flow (source, flow, oldest) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
    db.prepare_cached(sql)?.execute(params![source, flow, oldest])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tables() -> Connection {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch(
            "CREATE TABLE counter (source TEXT PRIMARY KEY, next_line INTEGER, next_file INTEGER);
             CREATE TABLE pending_flow (source TEXT, flow TEXT, oldest INTEGER, PRIMARY KEY (source, flow));",
        )
        .unwrap();
        db
    }

    fn kept(db: &Connection, source: &str) -> i64 {
        next(db, source).unwrap()
    }

    fn oldest(db: &Connection, source: &str, flow: &str) -> i64 {
        let sql = "SELECT oldest FROM pending_flow WHERE source = ?1 AND flow = ?2";
        db.query_row(sql, [source, flow], |row| row.get(0)).unwrap()
    }

    #[test]
    fn numbers_given_out_together_follow_those_given_one_by_one() {
        let db = tables();
        let give = |source: &str, flow: &str, at: i64| take(&db, source, flow, at).unwrap();
        assert_eq!((give("a", "cds", 10), give("a", "cds", 11)), (1, 2));
        let given =
            together(&db, || Ok([give("a", "cds", 12), give("b", "tari", 13), give("a", "imu", 14), give("a", "imu", 15)])).unwrap();
        assert_eq!(given, [3, 1, 4, 5]);
        assert_eq!((kept(&db, "a"), kept(&db, "b")), (6, 2));
        assert_eq!(give("a", "cds", 16), 6);
        assert_eq!((oldest(&db, "a", "cds"), oldest(&db, "a", "imu"), oldest(&db, "b", "tari")), (10, 14, 13));
    }

    #[test]
    fn a_change_that_fails_or_panics_gives_its_numbers_back() {
        let db = tables();
        take(&db, "a", "cds", 1).unwrap();
        let failed: Result<(), _> = together(&db, || {
            take(&db, "a", "cds", 2)?;
            Err(StoreError::Stale)
        });
        assert!(matches!(failed, Err(StoreError::Stale)));
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            together(&db, || {
                take(&db, "a", "cds", 3)?;
                assert_eq!(1, 2, "a change that panics");
                Ok(())
            })
        }));
        assert!(panicked.is_err());
        assert_eq!(take(&db, "a", "cds", 4).unwrap(), 2, "numbers are without gaps");
        assert_eq!(kept(&db, "a"), 3);
    }
}
