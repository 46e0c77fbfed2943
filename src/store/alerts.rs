//! What operators are told, and what they were told of and is not over.
//!
//! Every alert is a row of `alert`, made by [`Alert`] in the transaction of what causes it. A trouble that lasts is remembered in
//! `trouble`: it is told when it begins and when it ends, once each, restarts notwithstanding.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, params};
use serde_json::Value;

use super::codec::{at, ms, optional};
use super::engine::ActRow;
use super::stops::sender_of;
use super::{Store, StoreError};
use crate::domain::alert::{self, AlertKind};
use crate::domain::ids::{ActId, BatchId};

/// One alert before it is kept. What a batch or an act is given for is filled from its row.
#[derive(Debug, Default)]
pub(super) struct Alert<'a> {
    code: &'a str,
    about: &'a str,
    source: Option<&'a str>,
    sender: Option<&'a str>,
    flow: Option<&'a str>,
    batch: Option<BatchId>,
    act: Option<ActId>,
    data: Option<&'a Value>,
}

impl<'a> Alert<'a> {
    /// `about`: ids and codes only.
    pub fn new(code: &'a str, about: &'a str) -> Alert<'a> {
        Alert { code, about, ..Alert::default() }
    }

    pub fn act(self, act: &'a ActRow) -> Alert<'a> {
        let (source, sender, flow) = (Some(act.source.as_str()), Some(act.sender.as_str()), Some(act.flow.as_str()));
        Alert { source, sender, flow, batch: Some(act.batch), act: Some(act.id), ..self }
    }

    pub fn batch(self, batch: Option<BatchId>) -> Alert<'a> {
        Alert { batch, ..self }
    }

    pub fn sender(self, sender: Option<&'a str>) -> Alert<'a> {
        Alert { sender: sender.filter(|sender| !sender.is_empty()), ..self }
    }

    pub fn source(self, source: Option<&'a str>) -> Alert<'a> {
        Alert { source, ..self }
    }

    pub fn flow(self, flow: Option<&'a str>) -> Alert<'a> {
        Alert { flow, ..self }
    }

    /// Counts and codes.
    pub fn data(self, data: Option<&'a Value>) -> Alert<'a> {
        Alert { data, ..self }
    }

    /// Tells the operators.
    pub fn raise(self, db: &Connection, now: Timestamp) -> Result<(), StoreError> {
        let of_batch = match self.batch {
            Some(batch) if self.act.is_none() => {
                let sql = "SELECT source, sender, coalesce(flow, flow_hint) FROM batch WHERE id = ?1";
                optional(db.prepare_cached(sql)?.query_row([batch.0.as_bytes()], |row| {
                    Ok((row.get::<_, Option<String>>(0)?, row.get::<_, Option<String>>(1)?, row.get::<_, Option<String>>(2)?))
                }))?
            }
            _ => None,
        };
        let (source, sender, flow) = of_batch.unwrap_or_default();
        let (source, sender) = (self.source.or(source.as_deref()), self.sender.or(sender.as_deref()));
        db.prepare_cached(
            "INSERT INTO alert (at, code, source, sender, batch_id, act_id, about, flow, data) VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9)",
        )?
        .execute(params![
            ms(now),
            self.code,
            source,
            sender,
            self.batch.map(|batch| batch.0.as_bytes().to_vec()),
            self.act.map(|act| act.0.as_bytes().to_vec()),
            self.about,
            self.flow.or(flow.as_deref()),
            self.data.map(Value::to_string),
        ])?;
        if alert::kind_of(self.code) == AlertKind::Report {
            tracing::info!(code = self.code, sender, about = self.about, "rapporto del giorno pronto");
            return Ok(());
        }
        tracing::warn!(
            code = self.code,
            sender,
            source,
            batch.id = self.batch.map(tracing::field::display),
            act.id = self.act.map(tracing::field::display),
            about = self.about,
            "avviso agli operatori"
        );
        Ok(())
    }

    /// The same, unless that was told of the same thing less than `quiet` ago (`None`: ever). Answers whether it was told now. What a
    /// clock that was ahead told is not of a while ago.
    pub fn raise_unless_told(self, db: &Connection, quiet: Option<SignedDuration>, now: Timestamp) -> Result<bool, StoreError> {
        let since = quiet.map_or(i64::MIN, |quiet| now.saturating_sub(quiet).map_or(i64::MIN, ms));
        let until = quiet.map_or(i64::MAX, |_| ms(now));
        let told: bool = db
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM alert WHERE code = ?1 AND about = ?2 AND at > ?3 AND at <= ?4)")?
            .query_row(params![self.code, self.about, since, until], |row| row.get(0))?;
        if !told {
            self.raise(db, now)?;
        }
        Ok(!told)
    }

    /// The beginning of something that lasts: told and remembered, unless it was told before and is not over. `kept` goes with it.
    pub fn begin(self, db: &Connection, kept: Option<&Value>, now: Timestamp) -> Result<bool, StoreError> {
        let sql = "INSERT INTO trouble (code, about, since, data) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING";
        let new = db.prepare_cached(sql)?.execute(params![self.code, self.about, ms(now), kept.map(Value::to_string)])? == 1;
        if new {
            self.raise(db, now)?;
        }
        Ok(new)
    }

    /// The end of the trouble `begun` about the same thing: told if its beginning was.
    pub fn end(self, db: &Connection, begun: &str, now: Timestamp) -> Result<bool, StoreError> {
        let known = forget(db, begun, self.about)?;
        if known {
            self.raise(db, now)?;
        }
        Ok(known)
    }
}

/// Forgets a trouble without a word. False: there was none.
pub(super) fn forget(db: &Connection, code: &str, about: &str) -> Result<bool, StoreError> {
    Ok(db.prepare_cached("DELETE FROM trouble WHERE code = ?1 AND about = ?2")?.execute([code, about])? == 1)
}

/// What of a trouble is remembered beside its name. `None`: it is not there.
fn kept(db: &Connection, code: &str, about: &str) -> Result<Option<Value>, StoreError> {
    let sql = "SELECT data FROM trouble WHERE code = ?1 AND about = ?2";
    let data = optional(db.prepare_cached(sql)?.query_row([code, about], |row| row.get::<_, Option<String>>(0)))?;
    data.map(|data| Ok(data.as_deref().map(serde_json::from_str).transpose()?.unwrap_or(Value::Null))).transpose()
}

/// A drop has come: its gestionale is silent no more.
pub(super) fn heard_from(db: &Connection, source: &str, folder: Option<&str>, now: Timestamp) -> Result<(), StoreError> {
    let of_folder = folder.map(|folder| format!("{source}/{folder}"));
    for about in [Some(source), of_folder.as_deref()].into_iter().flatten() {
        Alert::new(ACTIVE_AGAIN, about).source(Some(source)).flow(folder.filter(|_| about != source)).end(db, SILENT, now)?;
    }
    Ok(())
}

/// The calls or the money of an ente's day are used up: told once a day. `limit`: what was reached.
pub(super) fn quota_reached(db: &Connection, code: &str, sender: &str, day: &str, limit: u64, now: Timestamp) -> Result<(), StoreError> {
    // Of a day that is over, before anyone has said so.
    if kept(db, code, sender)?.is_some_and(|kept| kept.get("day").and_then(Value::as_str) != Some(day)) {
        Alert::new(QUOTA_FREE, sender).sender(Some(sender)).end(db, code, now)?;
    }
    let data = serde_json::json!({ "day": day, "limit": limit });
    Alert::new(code, sender).sender(Some(sender)).data(Some(&data)).begin(db, Some(&data), now)?;
    Ok(())
}

pub const CALLS_SPENT: &str = "CHIAMATE_DEL_GIORNO_FINITE";
pub const MONEY_SPENT: &str = "TETTO_DI_SPESA_RAGGIUNTO";
const QUOTA_FREE: &str = "QUOTE_DI_NUOVO_LIBERE";
/// What a trouble of the data disk is about.
pub const DATA_DISK: &str = "dati";
pub const SILENT: &str = "GESTIONALE_SILENZIOSO";
const ACTIVE_AGAIN: &str = "GESTIONALE_DI_NUOVO_ATTIVO";

/// Something that operators were told of and that is not over.
#[derive(Debug, Clone, PartialEq)]
pub struct Trouble {
    pub code: String,
    /// Ente, channel, gestionale or disk.
    pub about: String,
    pub since: Timestamp,
    /// What was remembered with it.
    pub data: Option<Value>,
}

/// What operators are told outside the store: whom and what it concerns.
#[derive(Debug, Clone, Default)]
pub struct Notice {
    pub code: String,
    /// Ids and codes only.
    pub about: String,
    pub sender: Option<String>,
    pub source: Option<String>,
    pub flow: Option<String>,
    pub batch: Option<BatchId>,
    /// Counts and codes.
    pub data: Option<Value>,
}

impl Notice {
    /// About an ente or one of its channels.
    #[must_use]
    pub fn of_sender(code: &str, about: &str) -> Notice {
        let sender = Some(sender_of(about)).filter(|sender| !sender.is_empty()).map(str::to_owned);
        Notice { code: code.to_owned(), about: about.to_owned(), sender, ..Notice::default() }
    }

    /// About a gestionale.
    #[must_use]
    pub fn of_source(code: &str, source: &str, about: &str) -> Notice {
        Notice { code: code.to_owned(), about: about.to_owned(), source: Some(source.to_owned()), ..Notice::default() }
    }

    /// About a batch.
    #[must_use]
    pub fn of_batch(code: &str, batch: BatchId) -> Notice {
        Notice { code: code.to_owned(), about: batch.to_string(), batch: Some(batch), ..Notice::default() }
    }

    fn alert(&self) -> Alert<'_> {
        Alert::new(&self.code, &self.about)
            .sender(self.sender.as_deref())
            .source(self.source.as_deref())
            .flow(self.flow.as_deref())
            .batch(self.batch)
            .data(self.data.as_ref())
    }
}

impl Store {
    /// Tells the operators something that concerns an ente or a batch.
    pub async fn alert(
        &self,
        code: &str,
        sender: Option<&str>,
        batch: Option<BatchId>,
        about: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let sender = sender.map(str::to_owned);
        let notice = Notice { code: code.to_owned(), about: about.to_owned(), sender, batch, ..Notice::default() };
        self.write(move |db| notice.alert().raise(db, now)).await
    }

    /// Tells the operators, unless they were told the same less than `quiet` ago (`None`: ever).
    pub async fn tell_once(&self, notice: Notice, quiet: Option<SignedDuration>, now: Timestamp) -> Result<bool, StoreError> {
        self.write(move |db| notice.alert().raise_unless_told(db, quiet, now)).await
    }

    /// Troubles that were told and are not over.
    pub async fn troubles(&self) -> Result<Vec<Trouble>, StoreError> {
        self.read(troubles).await
    }

    /// A trouble begins: operators are told, once. `kept` is remembered with it.
    pub async fn begins(&self, notice: Notice, kept: Option<Value>, now: Timestamp) -> Result<bool, StoreError> {
        self.write(move |db| notice.alert().begin(db, kept.as_ref(), now)).await
    }

    /// A gestionale has dropped nothing after one instant and up to another, into `folder` if one is named: operators are told, once. What
    /// was dropped while somebody looked counts: asked and told in one. `kept` is remembered with it.
    pub async fn silence_begins(
        &self,
        notice: Notice,
        kept: Value,
        folder: Option<&str>,
        (after, until): (Timestamp, Timestamp),
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let folder = folder.map(str::to_owned);
        self.write(move |db| {
            let source = notice.source.as_deref().unwrap_or_default();
            if dropped(db, source, folder.as_deref(), after, until)? {
                return Ok(false);
            }
            notice.alert().begin(db, Some(&kept), now)
        })
        .await
    }

    /// The trouble `begun` about the same thing is over: operators are told, if they knew of it.
    pub async fn ends(&self, begun: &str, notice: Notice, now: Timestamp) -> Result<bool, StoreError> {
        let begun = begun.to_owned();
        self.write(move |db| notice.alert().end(db, &begun, now)).await
    }

    /// A trouble of an ente or channel begins: operators are told, once.
    pub async fn trouble_begins(&self, code: &str, about: &str, now: Timestamp) -> Result<(), StoreError> {
        self.begins(Notice::of_sender(code, about), None, now).await.map(drop)
    }

    /// It is over: operators are told under the code `back`, if they knew of it.
    pub async fn trouble_ends(&self, code: &str, back: &str, about: &str, now: Timestamp) -> Result<(), StoreError> {
        self.ends(code, Notice::of_sender(back, about), now).await.map(drop)
    }

    /// What it was about is no longer in the configuration: forgotten without a word.
    pub async fn forget_trouble(&self, code: &str, about: &str) -> Result<(), StoreError> {
        let (code, about) = (code.to_owned(), about.to_owned());
        self.write(move |db| forget(db, &code, &about).map(drop)).await
    }

    /// The calls of an ente's day are used up.
    pub async fn calls_spent(&self, sender: &str, day: &str, limit: u32, now: Timestamp) -> Result<(), StoreError> {
        let (sender, day) = (sender.to_owned(), day.to_owned());
        self.write(move |db| quota_reached(db, CALLS_SPENT, &sender, &day, limit.into(), now)).await
    }

    /// What was used up in an ente's day is free again: these codes end together, and are told once.
    pub async fn quotas_free(&self, sender: &str, codes: Vec<String>, now: Timestamp) -> Result<(), StoreError> {
        let sender = sender.to_owned();
        self.write(move |db| {
            let mut known = Vec::new();
            for code in codes {
                if forget(db, &code, &sender)? {
                    known.push(code);
                }
            }
            if known.is_empty() {
                return Ok(());
            }
            let data = serde_json::json!({ "ended": known });
            Alert::new(QUOTA_FREE, &sender).sender(Some(&sender)).data(Some(&data)).raise(db, now)
        })
        .await
    }

    /// Whether a gestionale has dropped something after one instant and up to another, trials apart; `folder`: into that one.
    pub async fn has_dropped(&self, source: &str, folder: Option<&str>, after: Timestamp, until: Timestamp) -> Result<bool, StoreError> {
        let (source, folder) = (source.to_owned(), folder.map(str::to_owned));
        self.read(move |db| dropped(db, &source, folder.as_deref(), after, until)).await
    }

    /// Since when something is known: `now`, the first time it is asked.
    pub async fn known_since(&self, what: &str, now: Timestamp) -> Result<Timestamp, StoreError> {
        let name = format!("noto_dal/{what}");
        self.write(move |db| {
            db.prepare_cached("INSERT INTO setting (name, value) VALUES (?1, ?2) ON CONFLICT DO NOTHING")?
                .execute(params![name, ms(now).to_string()])?;
            let since: String = db.prepare_cached("SELECT value FROM setting WHERE name = ?1")?.query_row([&name], |row| row.get(0))?;
            Ok(since.parse().map_or(now, at))
        })
        .await
    }

    /// Of what is known under `of/`, only `names` are known from now on.
    pub async fn forget_known(&self, of: &str, names: BTreeSet<String>) -> Result<(), StoreError> {
        let (from, to) = (format!("noto_dal/{of}/"), format!("noto_dal/{of}0"));
        self.write(move |db| {
            let mut select = db.prepare_cached("SELECT name FROM setting WHERE name >= ?1 AND name < ?2")?;
            let kept: Vec<String> = select.query_map([&from, &to], |row| row.get(0))?.collect::<Result<_, _>>()?;
            for name in kept.iter().filter(|name| name.strip_prefix("noto_dal/").is_none_or(|name| !names.contains(name))) {
                db.prepare_cached("DELETE FROM setting WHERE name = ?1")?.execute([name])?;
            }
            Ok(())
        })
        .await
    }
}

/// See [`Store::has_dropped`].
fn dropped(db: &Connection, source: &str, folder: Option<&str>, after: Timestamp, until: Timestamp) -> Result<bool, StoreError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM batch WHERE received_at > ?1 AND received_at <= ?2 AND source = ?3 AND dry_run = 0 \
               AND (?4 IS NULL OR flow_hint = ?4))";
    Ok(db.prepare_cached(sql)?.query_row(params![ms(after), ms(until), source, folder], |row| row.get(0))?)
}

/// Troubles that are not over.
pub(super) fn troubles(db: &Connection) -> Result<Vec<Trouble>, StoreError> {
    let mut select = db.prepare_cached("SELECT code, about, since, data FROM trouble ORDER BY code, about")?;
    let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?, at(row.get(2)?), row.get::<_, Option<String>>(3)?)))?;
    rows.map(|row| {
        let (code, about, since, data) = row?;
        Ok(Trouble { code, about, since, data: data.as_deref().map(serde_json::from_str).transpose()? })
    })
    .collect()
}
