//! The books of the SFTP door: what was done there, append-only, and the addresses that are banned.

use jiff::Timestamp;
use rusqlite::{Row, params};

use super::codec::{at, digest, ms};
use super::{Store, StoreError};
use crate::domain::digest::Sha256;

/// One line of the books. Only `name` and `target` may hold personal data; they alone can be taken out later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DoorEvent {
    pub at: Timestamp,
    /// `ACCESSO`, `CARICAMENTO`, ...
    pub act: String,
    /// Name of the gestionale.
    pub account: Option<String>,
    pub address: String,
    /// What the client calls itself.
    pub client: Option<String>,
    pub name: Option<String>,
    pub target: Option<String>,
    pub bytes: Option<u64>,
    pub sha256: Option<Sha256>,
    /// `OK`, or a code.
    pub outcome: String,
}

/// A banned address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DoorBan {
    /// As the defender writes it.
    pub address: String,
    pub since: Timestamp,
    pub until: Timestamp,
    pub times: u32,
}

const APPEND: &str = "INSERT INTO door_event (at, act, account, address, client, name, target, bytes, sha256, outcome) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
const OF_ALL: &str = "SELECT at, act, account, address, client, name, target, bytes, sha256, outcome FROM door_event \
     WHERE at >= ?1 AND at < ?2 ORDER BY at DESC, id DESC LIMIT ?3";
const OF_ACCOUNT: &str = "SELECT at, act, account, address, client, name, target, bytes, sha256, outcome FROM door_event \
     WHERE account = ?4 AND at >= ?1 AND at < ?2 ORDER BY at DESC, id DESC LIMIT ?3";
const BAN: &str = "INSERT INTO door_ban (address, since, until, times) VALUES (?1, ?2, ?3, ?4) \
     ON CONFLICT (address) DO UPDATE SET since = ?2, until = ?3, times = ?4";
const BANS: &str = "SELECT address, since, until, times FROM door_ban WHERE until > ?1 ORDER BY until DESC";
const LIFT: &str = "DELETE FROM door_ban WHERE address = ?1 AND until > ?2";
const FORGET_BANS: &str = "DELETE FROM door_ban WHERE until < ?1";

impl Store {
    /// Appends lines, all or none.
    pub async fn note_door(&self, events: Vec<DoorEvent>) -> Result<(), StoreError> {
        self.write(move |db| {
            let mut append = db.prepare_cached(APPEND)?;
            for event in &events {
                append.execute(params![
                    ms(event.at),
                    event.act,
                    event.account,
                    event.address,
                    event.client,
                    event.name,
                    event.target,
                    event.bytes.map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX)),
                    event.sha256.map(|digest| digest.as_bytes().to_vec()),
                    event.outcome,
                ])?;
            }
            Ok(())
        })
        .await
    }

    /// Lines from `from` up to `to` (not included), of one account or of all, the newest first.
    pub async fn door_events(
        &self,
        account: Option<&str>,
        from: Timestamp,
        to: Timestamp,
        limit: usize,
    ) -> Result<Vec<DoorEvent>, StoreError> {
        let account = account.map(str::to_owned);
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.read(move |db| {
            let found = match account {
                Some(account) => db
                    .prepare_cached(OF_ACCOUNT)?
                    .query_map(params![ms(from), ms(to), limit, account], read_event)?
                    .collect::<Result<Vec<_>, _>>()?,
                None => {
                    db.prepare_cached(OF_ALL)?.query_map(params![ms(from), ms(to), limit], read_event)?.collect::<Result<Vec<_>, _>>()?
                }
            };
            Ok(found)
        })
        .await
    }

    /// Keeps a ban; those that ended over a month before are forgotten.
    pub async fn keep_ban(&self, ban: DoorBan) -> Result<(), StoreError> {
        self.write(move |db| {
            let month = 30 * 86_400_000;
            db.prepare_cached(FORGET_BANS)?.execute([ms(ban.since) - month])?;
            db.prepare_cached(BAN)?.execute(params![ban.address, ms(ban.since), ms(ban.until), ban.times])?;
            Ok(())
        })
        .await
    }

    /// Bans that were not over at that time.
    pub async fn door_bans(&self, at_time: Timestamp) -> Result<Vec<DoorBan>, StoreError> {
        self.read(move |db| {
            let read =
                |row: &Row<'_>| Ok(DoorBan { address: row.get(0)?, since: at(row.get(1)?), until: at(row.get(2)?), times: row.get(3)? });
            Ok(db.prepare_cached(BANS)?.query_map([ms(at_time)], read)?.collect::<Result<Vec<_>, _>>()?)
        })
        .await
    }

    /// Lifts a ban. Whether there was one.
    pub async fn lift_ban(&self, address: &str, now: Timestamp) -> Result<bool, StoreError> {
        let address = address.to_owned();
        self.write(move |db| Ok(db.prepare_cached(LIFT)?.execute(params![address, ms(now)])? > 0)).await
    }
}

pub(super) fn read_event(row: &Row<'_>) -> rusqlite::Result<DoorEvent> {
    Ok(DoorEvent {
        at: at(row.get(0)?),
        act: row.get(1)?,
        account: row.get(2)?,
        address: row.get(3)?,
        client: row.get(4)?,
        name: row.get(5)?,
        target: row.get(6)?,
        bytes: row.get::<_, Option<i64>>(7)?.and_then(|bytes| u64::try_from(bytes).ok()),
        sha256: row.get::<_, Option<Vec<u8>>>(8)?.and_then(digest),
        outcome: row.get(9)?,
    })
}
