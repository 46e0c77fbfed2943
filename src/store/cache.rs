//! The writer's share of the database in memory. Where there are many acts, what is looked up lies far apart (requests, digests,
//! notices), and a page that is not at hand costs more than the row in it: the share follows the database, within limits. It grows
//! with years of acts, never with a batch.

use std::path::{Path, PathBuf};

use rusqlite::Connection;

/// MiB at first, and at most.
const MIB: std::ops::RangeInclusive<u64> = 24..=96;
/// Of the database, one part in so many.
const PART: u64 = 100;
/// MiB by which it changes at least: not for every page that the database grows.
const STEP: u64 = 8;
/// Groups of changes between two looks at the size of the database.
const LOOK: u32 = 1_000;

pub(super) struct Cache {
    database: PathBuf,
    mib: u64,
    groups: u32,
}

impl Cache {
    pub fn of(database: &Path) -> Cache {
        Cache { database: database.to_owned(), mib: 0, groups: LOOK }
    }

    /// Called between two groups, outside of any transaction.
    pub fn fit(&mut self, db: &Connection) {
        self.groups += 1;
        if self.groups < LOOK {
            return;
        }
        self.groups = 0;
        let wanted = std::fs::metadata(&self.database).map_or(0, |file| wanted(file.len()));
        if wanted.abs_diff(self.mib) >= STEP && db.execute_batch(&format!("PRAGMA cache_size = -{};", wanted << 10)).is_ok() {
            self.mib = wanted;
        }
    }
}

/// MiB for a database of so many bytes.
fn wanted(bytes: u64) -> u64 {
    ((bytes / PART) >> 20).clamp(*MIB.start(), *MIB.end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_follows_the_database_within_limits_and_not_at_every_page() {
        for (bytes, mib) in [(0, 24), (1 << 30, 24), (4 << 30, 40), (7_400_000_000, 70), (1 << 40, 96)] {
            assert_eq!(wanted(bytes), mib, "{bytes}");
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.db");
        let db = Connection::open(&path).unwrap();
        let kib = || -db.query_row("PRAGMA cache_size", [], |row| row.get::<_, i64>(0)).unwrap();
        let mut cache = Cache::of(&path);
        for (gib, looks, want) in [(0, 1, 24), (4, 1, 24), (4, LOOK, 40), (5, LOOK, 51), (5, LOOK, 51), (1, LOOK, 24)] {
            std::fs::File::options().write(true).create(true).truncate(false).open(&path).unwrap().set_len(gib << 30).unwrap();
            (0..looks).for_each(|_| cache.fit(&db));
            assert_eq!(kib() >> 10, want, "{gib} GiB, {looks} groups");
        }
    }
}
