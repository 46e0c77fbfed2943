//! What stands still until a person moves it: enti whose key SEND refuses.
//!
//! A refused key stops its whole ente at once: no job of it is leased. Its acts are then parked a thousand at a time
//! ([`Store::follow_stops`]), each when its turn would have come, and resumed in the same way; a crash in between loses nothing,
//! for the row says what is left to do.

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::alerts::{self, Alert};
use super::codec::{act_at, at, ms, optional};
use super::engine::{self, ActRow};
use super::orders::by;
use super::{CHUNK, Store, StoreError, jobs};
use crate::domain::ids::ActId;

/// Why an ente is stopped; under the same code its acts are parked.
pub const STOP_CODES: [&str; 4] = ["CHIAVE_RIFIUTATA", "QUOTA_SEND_ESAURITA", "GRUPPO_RIFIUTATO", "ENTE_NON_ABILITATO"];

/// Why a PT is stopped, and what is said when it is tried again.
const PT_STOPS: [(&str, &str); 2] =
    [(PT_STOPPED, "PT_ACCETTA_LE_CREDENZIALI"), ("PT_CERTIFICATO_NON_VALIDO", "PT_CERTIFICATO_DA_RIPROVARE")];
/// The code of a PT that refuses its credentials.
const PT_STOPPED: &str = "PT_RIFIUTA_LE_CREDENZIALI";

/// The ente of a channel; of work of our own, none. A PT stands alone.
pub(super) fn sender_of(channel: &str) -> &str {
    if is_partner(channel) { channel } else { channel.split('/').next().unwrap_or_default() }
}

fn is_partner(channel: &str) -> bool {
    channel.starts_with("pt/")
}

/// A stop, as kept: channel, ente, code, and by whom it was resumed (`who`, `why`).
struct Stop {
    channel: String,
    sender: String,
    code: String,
    resumed: Option<(String, String)>,
}

impl Store {
    /// The remote refuses the sender: no job of the ente is leased until an operator resumes the channel. [`Store::follow_stops`]
    /// parks its acts.
    pub async fn stop_channel(&self, channel: &str, code: &str, now: Timestamp) -> Result<(), StoreError> {
        let (channel, code) = (channel.to_owned(), code.to_owned());
        self.write(move |db| {
            // Refused again right after it was resumed: it is a new stop.
            let sql = "INSERT INTO channel_stop (channel, sender, code, since) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (channel) DO UPDATE \
                       SET code = excluded.code, since = excluded.since, resumed = NULL WHERE resumed IS NOT NULL";
            let sender = sender_of(&channel);
            let new = db.prepare_cached(sql)?.execute(params![channel, sender, code, ms(now)])?;
            if new == 1 {
                tell_stopped(db, &channel, &code, now)?;
            }
            Ok(())
        })
        .await
    }

    /// A channel that is still stopped is told again, unless the operators know.
    pub async fn tell_stop(&self, channel: &str, now: Timestamp) -> Result<(), StoreError> {
        let channel = channel.to_owned();
        self.write(move |db| {
            let sql = "SELECT code FROM channel_stop WHERE channel = ?1 AND resumed IS NULL";
            match optional(db.prepare_cached(sql)?.query_row([&channel], |row| row.get::<_, String>(0)))? {
                Some(code) => tell_stopped(db, &channel, &code, now),
                None => Ok(()),
            }
        })
        .await
    }

    /// Channels that are stopped, with code and since when; the first one of an ente first.
    pub async fn stopped_channels(&self) -> Result<Vec<(String, String, Timestamp)>, StoreError> {
        self.read(|db| {
            let mut select =
                db.prepare_cached("SELECT channel, code, since FROM channel_stop WHERE resumed IS NULL ORDER BY sender, since, channel")?;
            let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?, at(row.get(2)?))))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// An operator resumes a channel; kept in the history of the channel. False: it was not stopped, nothing is kept. With its last
    /// stop the ente works again, and [`Store::follow_stops`] resumes its acts.
    pub async fn resume_channel_by(&self, channel: &str, who: &str, why: &str, now: Timestamp) -> Result<bool, StoreError> {
        let (channel, about) = (channel.to_owned(), by(who, why));
        let resumed = self
            .write(move |db| {
                let sql = "UPDATE channel_stop SET resumed = ?2 WHERE channel = ?1 AND resumed IS NULL";
                let resumed = db.prepare_cached(sql)?.execute([&channel, &about])? == 1;
                if resumed {
                    engine::append_history(db, "canale", channel.as_bytes(), "ORDINE_RIPRENDI", None, Some(&about), now)?;
                    tell_resumed(db, &channel, now)?;
                }
                Ok(resumed)
            })
            .await?;
        self.ring();
        Ok(resumed)
    }

    /// Parks acts of enti that are stopped, whose turn at SEND has come, and resumes those of enti that go on: up to a thousand a
    /// call. Answers whether something was done, so that more may be left.
    pub async fn follow_stops(&self, now: Timestamp) -> Result<bool, StoreError> {
        let any: bool =
            self.read(|db| Ok(db.prepare_cached("SELECT EXISTS (SELECT 1 FROM channel_stop)")?.query_row([], |row| row.get(0))?)).await?;
        if !any {
            return Ok(false);
        }
        let more = self
            .write(move |db| {
                let stops = stops(db)?;
                for stop in &stops {
                    let done = match &stop.resumed {
                        None => park(db, stop, now)?,
                        Some((who, why)) => {
                            let still = stops.iter().any(|other| other.sender == stop.sender && other.resumed.is_none());
                            let resumed = if still { 0 } else { resume(db, &stop.sender, who, why, now)? };
                            if resumed == 0 {
                                db.prepare_cached("DELETE FROM channel_stop WHERE channel = ?1")?.execute([&stop.channel])?;
                            }
                            resumed
                        }
                    };
                    if done > 0 {
                        return Ok(true);
                    }
                }
                Ok(false)
            })
            .await?;
        self.ring();
        Ok(more)
    }
}

fn tell_stopped(db: &Connection, channel: &str, code: &str, now: Timestamp) -> Result<(), StoreError> {
    let sender = Some(sender_of(channel)).filter(|_| !is_partner(channel));
    Alert::new(code, channel).sender(sender).begin(db, None, now).map(drop)
}

/// A key goes on. Told with the last one of its ente: before that, the ente stands still all the same.
fn tell_resumed(db: &Connection, channel: &str, now: Timestamp) -> Result<(), StoreError> {
    if is_partner(channel) {
        for (began, ends) in PT_STOPS {
            Alert::new(ends, channel).end(db, began, now)?;
        }
        return Ok(());
    }
    let mut known = false;
    for code in STOP_CODES {
        known |= alerts::forget(db, code, channel)?;
    }
    let sender = sender_of(channel);
    let still: bool = db
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM channel_stop WHERE sender = ?1 AND resumed IS NULL)")?
        .query_row([sender], |row| row.get(0))?;
    if known && !still {
        Alert::new("ENTE_RIPRESO", sender).sender(Some(sender)).raise(db, now)?;
    }
    Ok(())
}

fn stops(db: &Connection) -> Result<Vec<Stop>, StoreError> {
    let mut select = db.prepare_cached("SELECT channel, sender, code, resumed FROM channel_stop ORDER BY since, channel")?;
    let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get::<_, Option<String>>(3)?)))?;
    rows.map(|row| {
        let (channel, sender, code, resumed) = row?;
        let resumed = resumed.map(|text| serde_json::from_str::<serde_json::Value>(&text)).transpose()?;
        let word = |value: &serde_json::Value, key: &str| value.get(key).and_then(|word| word.as_str()).unwrap_or_default().to_owned();
        Ok(Stop { channel, sender, code, resumed: resumed.map(|by| (word(&by, "who"), word(&by, "why"))) })
    })
    .collect()
}

/// Parks acts of a stopped ente that have work due at SEND. One that is complete only lacks papers: it waits without a word.
fn park(db: &Connection, stop: &Stop, now: Timestamp) -> Result<usize, StoreError> {
    // From `ente/` to the character after the slash: every key of the ente.
    let (from, to) = (format!("{}/", stop.sender), format!("{}0", stop.sender));
    let mut select = db.prepare_cached(
        "SELECT DISTINCT j.subject_id FROM job j CROSS JOIN act a ON a.id = j.subject_id WHERE j.state = 'PRONTO' AND j.channel >= ?1 \
         AND j.channel < ?2 AND j.subject_kind = 'notifica' AND a.park_code IS NULL AND a.closed_at IS NULL LIMIT ?3",
    )?;
    let acts: Vec<ActId> = select.query_map(params![from, to, CHUNK as i64], |row| act_at(row, 0))?.collect::<Result<_, _>>()?;
    for id in &acts {
        db.prepare_cached(
            "UPDATE job SET state = 'SOSPESO', error = ?2 WHERE subject_kind = 'notifica' AND subject_id = ?1 AND state = 'PRONTO' AND channel > ''",
        )?
        .execute(params![id.0.as_bytes(), stop.code])?;
        engine::tell_parked(db, &ActRow::load(db, *id)?, &stop.code, now)?;
    }
    Ok(acts.len())
}

/// Resumes acts of an ente that were parked because it was stopped, under whatever code.
fn resume(db: &Connection, sender: &str, who: &str, why: &str, now: Timestamp) -> Result<usize, StoreError> {
    for code in STOP_CODES {
        let mut select = db.prepare_cached("SELECT id FROM act WHERE park_code = ?1 AND sender = ?2 LIMIT ?3")?;
        let acts: Vec<ActId> = select.query_map(params![code, sender, CHUNK as i64], |row| act_at(row, 0))?.collect::<Result<_, _>>()?;
        for id in &acts {
            jobs::resume_act(db, *id, who, why, now)?;
        }
        if !acts.is_empty() {
            return Ok(acts.len());
        }
    }
    Ok(0)
}
