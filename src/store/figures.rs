//! Counts for monitoring, and whether the store answers. Read only, from indexes.

use jiff::Timestamp;

use super::codec::at;
use super::{Store, StoreError};

/// Work of one lane that could run now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaneDue {
    /// As `flow::effect::Lane`.
    pub lane: u8,
    pub jobs: u64,
    /// Due since the longest time.
    pub oldest: Timestamp,
}

/// What an ente has used of its day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DayUse {
    pub sender: String,
    /// Requests, reserved ones included.
    pub calls: u64,
    /// Euro cents.
    pub spent: u64,
}

impl Store {
    /// Writes and reads nothing, as far as the disk: an answer says that the writer, the log and a reader work.
    pub async fn answers(&self) -> Result<(), StoreError> {
        self.write(|_| Ok(())).await?;
        self.read(|db| Ok(db.prepare_cached("SELECT 1")?.query_row([], |row| row.get::<_, i64>(0)).map(drop)?)).await
    }

    /// Jobs that are ready, by lane.
    pub async fn due_by_lane(&self) -> Result<Vec<LaneDue>, StoreError> {
        self.read(|db| {
            let mut select = db.prepare_cached("SELECT lane, count(*), min(due_at) FROM job WHERE state = 'PRONTO' GROUP BY lane")?;
            let rows = select.query_map([], |row| {
                Ok(LaneDue { lane: row.get(0)?, jobs: row.get::<_, i64>(1)?.unsigned_abs(), oldest: at(row.get(2)?) })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// What the enti have used of a Rome day.
    pub async fn used_of_day(&self, senders: Vec<String>, day: &str) -> Result<Vec<DayUse>, StoreError> {
        let day = day.to_owned();
        self.read(move |db| {
            let mut select = db.prepare_cached("SELECT calls, spent FROM quota WHERE sender = ?1 AND day = ?2")?;
            let mut used = Vec::with_capacity(senders.len());
            for sender in senders {
                let row = select.query_row([&sender, &day], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)));
                let (calls, spent) = super::codec::optional(row)?.unwrap_or((0, 0));
                used.push(DayUse { sender, calls: calls.unsigned_abs(), spent: spent.unsigned_abs() });
            }
            Ok(used)
        })
        .await
    }

    /// (code, how many) of what operators were told of and that is not over.
    pub async fn troubles_by_code(&self) -> Result<Vec<(String, u64)>, StoreError> {
        self.read(|db| {
            let mut select = db.prepare_cached("SELECT code, count(*) FROM trouble GROUP BY code")?;
            let rows = select.query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs())))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }
}
