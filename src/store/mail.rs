//! Mails to operators: alerts become mails once, and a mail is a job of its own, one recipient each.
//!
//! A cursor says which alerts were looked at; it moves in the transaction that writes their mails. While a mail waits and was never
//! handed over, what happens next is added to it, so that a server that is away for a day leaves one mail, not hundreds. From the
//! moment it is handed over its text is kept and does not change: a crash before the answer is recorded repeats it word for word,
//! under the same Message-ID, and the repeat is counted.
//!
//! A store that was put back from a copy does not know what went after it: every mail that waited in the copy may have gone, and is a
//! repeat under its Message-ID. What of the alerts of the copy was not a mail yet becomes one that counts as a repeat too; its
//! Message-ID follows from the alert, so it is the one that it had.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, Row, params};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::codec::{at, ms, optional, uuid_at};
use super::{Store, StoreError};
use crate::clock;
use crate::domain::alert::AlertKind;
use crate::domain::digest::Sha256;
use crate::domain::ids::{ActId, BatchId};

/// An alert, with what its act and batch know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToldAlert {
    pub code: String,
    pub source: Option<String>,
    pub sender: Option<String>,
    pub flow: Option<String>,
}

/// Who is mailed an alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addressed {
    /// Tax id of the ente; empty for the installation.
    pub sender: String,
    pub kind: AlertKind,
    pub recipient: String,
    /// Not before; `None`: at once, or with what is being collected.
    pub due: Option<Timestamp>,
    /// A mail of its own, to which nothing is added.
    pub alone: bool,
}

/// Decides who is mailed an alert; nobody, or each recipient once.
pub type Router = Arc<dyn Fn(&ToldAlert) -> Vec<Addressed> + Send + Sync>;

/// What a call of [`Store::collect_alerts`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Collected {
    pub alerts: usize,
    /// Mails that were begun.
    pub mails: usize,
}

/// A lease on a mail: id and fencing number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MailLease {
    pub id: Uuid,
    pub fence: i64,
}

/// A mail to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeasedMail {
    pub lease: MailLease,
    pub sender: String,
    pub kind: String,
    pub recipient: String,
    /// With its brackets.
    pub message_id: String,
    pub created_at: Timestamp,
    /// Earlier times that the recipient was put off or the answer did not come, and the first of them.
    pub attempts: u32,
    pub failed_at: Option<Timestamp>,
}

/// What a mail tells.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MailContent {
    pub codes: Vec<MailCode>,
    /// The first ones, oldest first.
    pub alerts: Vec<MailNotice>,
}

/// How often a code was raised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailCode {
    pub code: String,
    pub flow: Option<String>,
    pub alerts: u64,
    pub first_at: Timestamp,
    pub last_at: Timestamp,
}

/// One alert of a mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailNotice {
    pub code: String,
    pub at: Timestamp,
    pub source: Option<String>,
    pub flow: Option<String>,
    pub batch: Option<BatchId>,
    pub act: Option<ActId>,
    pub reference: Option<String>,
    pub protocol: Option<String>,
    pub about: String,
    /// Counts and codes, JSON.
    pub data: Option<String>,
}

/// What is handed over: as rendered now, or as it was when it may have gone before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offered {
    pub subject: String,
    pub text: String,
    pub html: String,
}

/// A recipient that mails do not reach.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GivenUp {
    pub recipient: String,
    pub kind: String,
    /// Tax id of the ente; empty for the installation.
    pub sender: String,
    /// `DESTINATARIO 550`.
    pub error: String,
    pub at: Timestamp,
}

/// The server does not take mails.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailTrouble {
    pub since: Timestamp,
    /// `ACCESSO 535`.
    pub error: String,
}

/// The mails in numbers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MailOverview {
    pub waiting: u64,
    /// When the mail that could go since the longest time became due.
    pub oldest_due: Option<Timestamp>,
    /// Mails handed over again because nobody knew whether they were taken, of those kept.
    pub repeats: u64,
    /// Newest first.
    pub given_up: Vec<GivenUp>,
    pub trouble: Option<MailTrouble>,
}

/// Alerts looked at in one transaction.
const TOGETHER: usize = if cfg!(test) { 5 } else { 100 };
/// Alerts of a mail that are told one by one.
const TOLD: i64 = 40;
/// Given up recipients shown.
const SHOWN: usize = 50;
const CURSOR: &str = "mail_cursor";
const TROUBLE: &str = "mail_trouble";
/// The last alert of a copy that was put back: up to it mails may have gone that this store does not know.
const COPIED: &str = "mail_copiati_fino_a";

const NEW_ALERTS: &str = "SELECT a.id, a.at, a.code, coalesce(a.source, c.source, b.source), coalesce(a.sender, c.sender, b.sender), \
     coalesce(a.flow, c.flow, b.flow) FROM alert a LEFT JOIN act c ON c.id = a.act_id LEFT JOIN batch b ON b.id = a.batch_id \
     WHERE a.id > ?1 ORDER BY a.id LIMIT ?2";
const OPEN: &str = "SELECT id FROM mail WHERE sender = ?1 AND kind = ?2 AND recipient = ?3 AND state = 'ATTESA' AND doubtful = 0 \
     AND alone = 0 LIMIT 1";
const BEGIN: &str = "INSERT INTO mail (id, sender, kind, recipient, message_id, state, alone, created_at, due_at, doubtful) \
     VALUES (?1, ?2, ?3, ?4, ?5, 'ATTESA', ?6, ?7, ?8, ?9)";
const SOONER: &str = "UPDATE mail SET due_at = ?2 WHERE id = ?1 AND attempts = 0 AND due_at > ?2";
const COUNT_CODE: &str = "INSERT INTO mail_code (mail_id, code, flow, alerts, first_at, last_at) VALUES (?1, ?2, ?3, 1, ?4, ?4) \
     ON CONFLICT (mail_id, code, flow) DO UPDATE SET alerts = alerts + 1, first_at = min(first_at, ?4), last_at = max(last_at, ?4)";
const KEEP_ALERT: &str = "INSERT OR IGNORE INTO mail_alert (mail_id, alert_id) SELECT ?1, ?2 \
     WHERE (SELECT count(*) FROM mail_alert WHERE mail_id = ?1) < ?3";
const KEEP_WINDOW: &str = "INSERT INTO mail_window (sender, kind, recipient, until) VALUES (?1, ?2, ?3, ?4) \
     ON CONFLICT (sender, kind, recipient) DO UPDATE SET until = ?4";
const LEASED: &str = "SELECT id, fence, sender, kind, recipient, message_id, created_at, attempts, failed_at FROM mail \
     WHERE state = 'ATTESA' AND due_at <= ?1 ORDER BY due_at, id LIMIT 1";
const NOTICES: &str = "SELECT a.code, a.at, coalesce(a.source, c.source, b.source), coalesce(a.flow, c.flow, b.flow), \
     coalesce(a.batch_id, c.batch_id), a.act_id, c.reference, c.protocol, a.about, a.data FROM mail_alert m JOIN alert a ON a.id = m.alert_id \
     LEFT JOIN act c ON c.id = a.act_id LEFT JOIN batch b ON b.id = a.batch_id WHERE m.mail_id = ?1 ORDER BY m.alert_id";

impl Store {
    /// Makes mails of alerts that nobody has looked at yet, up to a hundred a call. Nothing is written when there are none.
    ///
    /// The first alert for a (ente, kind, recipient) is due at once; what comes within `window` after it is one mail, due at the
    /// end of the window, and so on as long as it goes on.
    pub async fn collect_alerts(
        &self,
        router: Router,
        domain: &str,
        window: SignedDuration,
        now: Timestamp,
    ) -> Result<Collected, StoreError> {
        let any: bool = self
            .read(|db| {
                let cursor = cursor(db)?;
                Ok(db.prepare_cached("SELECT EXISTS (SELECT 1 FROM alert WHERE id > ?1)")?.query_row([cursor], |row| row.get(0))?)
            })
            .await?;
        if !any {
            return Ok(Collected::default());
        }
        let domain = domain.to_owned();
        self.write(move |db| {
            let mut collected = Collected::default();
            let mut select = db.prepare_cached(NEW_ALERTS)?;
            let alerts: Vec<(i64, i64, ToldAlert)> = select
                .query_map(params![cursor(db)?, TOGETHER as i64], |row| {
                    let alert = ToldAlert { code: row.get(2)?, source: row.get(3)?, sender: row.get(4)?, flow: row.get(5)? };
                    Ok((row.get(0)?, row.get(1)?, alert))
                })?
                .collect::<Result<_, _>>()?;
            let Some((last, ..)) = alerts.last() else { return Ok(collected) };
            let copied = get(db, COPIED)?.and_then(|text| text.parse().ok()).unwrap_or(0);
            // Of the copy's alerts: whom a mail was begun for in this call.
            let mut doubtful: Vec<(Addressed, Uuid)> = Vec::new();
            for (id, raised, alert) in &alerts {
                for addressed in router(alert) {
                    let first = First { alert: *id, raised: *raised, code: &alert.code, doubtful: *id <= copied, domain: &domain };
                    let same = |(other, _): &&(Addressed, Uuid)| !addressed.alone && *other == addressed;
                    let (mail, begun) = match doubtful.iter().find(same) {
                        Some((_, mail)) => (*mail, false),
                        None => mail_for(db, &addressed, &first, window, now)?,
                    };
                    if begun && first.doubtful {
                        doubtful.push((addressed, mail));
                    }
                    collected.mails += usize::from(begun);
                    let flow = alert.flow.as_deref().unwrap_or_default();
                    db.prepare_cached(COUNT_CODE)?.execute(params![mail.as_bytes(), alert.code, flow, raised])?;
                    db.prepare_cached(KEEP_ALERT)?.execute(params![mail.as_bytes(), id, TOLD])?;
                }
            }
            collected.alerts = alerts.len();
            set(db, CURSOR, &last.to_string())?;
            Ok(collected)
        })
        .await
    }

    /// The mail that is due for the longest time, until `until` for this process alone. Those of a lease that ran out come back.
    pub async fn lease_mail(&self, until: Timestamp, now: Timestamp) -> Result<Option<LeasedMail>, StoreError> {
        self.write(move |db| {
            db.prepare_cached("UPDATE mail SET state = 'ATTESA', lease_until = NULL WHERE state = 'IN_CORSO' AND lease_until <= ?1")?
                .execute([ms(now)])?;
            let Some(mut mail) = optional(db.prepare_cached(LEASED)?.query_row([ms(now)], read_leased))? else { return Ok(None) };
            mail.lease.fence += 1;
            db.prepare_cached("UPDATE mail SET state = 'IN_CORSO', lease_until = ?2, fence = ?3 WHERE id = ?1")?.execute(params![
                mail.lease.id.as_bytes(),
                ms(until),
                mail.lease.fence
            ])?;
            Ok(Some(mail))
        })
        .await
    }

    /// After a start: what an earlier process had leased is nobody's.
    pub async fn free_mails(&self) -> Result<usize, StoreError> {
        self.write(|db| {
            Ok(db.prepare_cached("UPDATE mail SET state = 'ATTESA', lease_until = NULL WHERE state = 'IN_CORSO'")?.execute([])?)
        })
        .await
    }

    /// When a mail can go; `None`: none waits.
    pub async fn next_mail_due(&self) -> Result<Option<Timestamp>, StoreError> {
        self.read(|db| {
            let waiting: Option<i64> =
                db.prepare_cached("SELECT min(due_at) FROM mail WHERE state = 'ATTESA'")?.query_row([], |row| row.get(0))?;
            let leased: Option<i64> =
                db.prepare_cached("SELECT min(lease_until) FROM mail WHERE state = 'IN_CORSO'")?.query_row([], |row| row.get(0))?;
            Ok([waiting, leased].into_iter().flatten().min().map(at))
        })
        .await
    }

    /// What a mail tells.
    pub async fn mail_content(&self, id: Uuid) -> Result<MailContent, StoreError> {
        self.read(move |db| {
            let mut select = db.prepare_cached(
                "SELECT code, flow, alerts, first_at, last_at FROM mail_code WHERE mail_id = ?1 ORDER BY first_at, code, flow",
            )?;
            let codes = select.query_map([id.as_bytes()], |row| {
                let flow: String = row.get(1)?;
                Ok(MailCode {
                    code: row.get(0)?,
                    flow: Some(flow).filter(|flow| !flow.is_empty()),
                    alerts: row.get::<_, i64>(2)?.unsigned_abs(),
                    first_at: at(row.get(3)?),
                    last_at: at(row.get(4)?),
                })
            })?;
            let codes = codes.collect::<Result<_, _>>()?;
            let mut select = db.prepare_cached(NOTICES)?;
            let alerts = select.query_map([id.as_bytes()], read_notice)?.collect::<Result<_, _>>()?;
            Ok(MailContent { codes, alerts })
        })
        .await
    }

    /// The mail is about to be handed over: from now on it may have gone, and its text stays as it is. Answers what to hand over:
    /// what was just rendered, or, when it may have gone before, what it was then.
    pub async fn offer_mail(&self, lease: MailLease, rendered: Offered) -> Result<Offered, StoreError> {
        self.write(move |db| {
            let id = lease.id.as_bytes();
            let sql = "UPDATE mail SET doubtful = doubtful + 1, repeats = repeats + (doubtful > 0) WHERE id = ?1 AND fence = ?2 AND state = 'IN_CORSO'";
            if db.prepare_cached(sql)?.execute(params![id, lease.fence])? != 1 {
                return Err(StoreError::Stale);
            }
            let read = |row: &Row<'_>| Ok(Offered { subject: row.get(0)?, text: row.get(1)?, html: row.get(2)? });
            let kept = optional(db.prepare_cached("SELECT subject, text, html FROM mail_content WHERE mail_id = ?1")?.query_row([id], read))?;
            if let Some(kept) = kept {
                return Ok(kept);
            }
            db.prepare_cached("INSERT INTO mail_content (mail_id, subject, text, html) VALUES (?1, ?2, ?3, ?4)")?.execute(params![
                id,
                rendered.subject,
                rendered.text,
                rendered.html
            ])?;
            Ok(rendered)
        })
        .await
    }

    /// The server has taken it.
    pub async fn mail_sent(&self, lease: MailLease, now: Timestamp) -> Result<(), StoreError> {
        self.write(move |db| {
            let sql = "UPDATE mail SET state = 'INVIATA', lease_until = NULL, error = NULL, closed_at = ?3 WHERE id = ?1 AND fence = ?2 AND state = 'IN_CORSO'";
            owned(db.prepare_cached(sql)?.execute(params![lease.id.as_bytes(), lease.fence, ms(now)])?)?;
            forget_content(db, lease.id)
        })
        .await
    }

    /// The recipient was put off. `handed_over`: the message itself was, and the answer to it is known.
    pub async fn mail_put_off(
        &self,
        lease: MailLease,
        error: &str,
        handed_over: bool,
        due: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let error = error.to_owned();
        self.write(move |db| {
            let sql = "UPDATE mail SET state = 'ATTESA', lease_until = NULL, error = ?3, due_at = ?4, attempts = attempts + 1, \
                       failed_at = coalesce(failed_at, ?5), doubtful = doubtful - ?6 WHERE id = ?1 AND fence = ?2 AND state = 'IN_CORSO'";
            owned(db.prepare_cached(sql)?.execute(params![lease.id.as_bytes(), lease.fence, error, ms(due), ms(now), handed_over])?)
        })
        .await
    }

    /// Nobody knows whether it was taken: it is repeated as it is. Counted like a recipient that is put off, for a server that takes
    /// mails and never says so would deliver each repeat.
    pub async fn mail_uncertain(&self, lease: MailLease, error: &str, due: Timestamp, now: Timestamp) -> Result<(), StoreError> {
        self.mail_put_off(lease, error, false, due, now).await
    }

    /// The server is not well: the mail goes back as it was, behind those due before `due`. `handed_over` as in [`Store::mail_put_off`].
    pub async fn give_back_mail(&self, lease: MailLease, handed_over: bool, due: Timestamp) -> Result<(), StoreError> {
        self.write(move |db| {
            let sql = "UPDATE mail SET state = 'ATTESA', lease_until = NULL, doubtful = doubtful - ?3, due_at = ?4 WHERE id = ?1 AND fence = ?2 AND state = 'IN_CORSO'";
            owned(db.prepare_cached(sql)?.execute(params![lease.id.as_bytes(), lease.fence, handed_over, ms(due)])?)
        })
        .await
    }

    /// The recipient is given up for this mail: refused, or put off for too long.
    pub async fn mail_given_up(&self, lease: MailLease, refused: bool, error: &str, now: Timestamp) -> Result<(), StoreError> {
        let (error, state) = (error.to_owned(), if refused { "RIFIUTATA" } else { "ABBANDONATA" });
        self.write(move |db| {
            let sql = "UPDATE mail SET state = ?3, lease_until = NULL, error = ?4, closed_at = ?5 WHERE id = ?1 AND fence = ?2 AND state = 'IN_CORSO'";
            owned(db.prepare_cached(sql)?.execute(params![lease.id.as_bytes(), lease.fence, state, error, ms(now)])?)?;
            forget_content(db, lease.id)
        })
        .await
    }

    /// Recipients given up since the report before this one, of its ente and of the installation.
    pub async fn given_up_before(&self, report: &LeasedMail) -> Result<Vec<GivenUp>, StoreError> {
        let report = report.clone();
        self.read(move |db| {
            let before: Option<i64> = db
                .prepare_cached("SELECT max(created_at) FROM mail WHERE sender = ?1 AND kind = ?2 AND recipient = ?3 AND created_at < ?4")?
                .query_row(params![report.sender, report.kind, report.recipient, ms(report.created_at)], |row| row.get(0))?;
            let since = before.map_or_else(|| week_before(report.created_at), at);
            given_up(db, Some(&report.sender), since, report.created_at)
        })
        .await
    }

    /// The mails in numbers.
    pub async fn mail_overview(&self, now: Timestamp) -> Result<MailOverview, StoreError> {
        self.read(move |db| {
            let (waiting, oldest): (i64, Option<i64>) = db
                .prepare_cached("SELECT count(*), min(due_at) FROM mail WHERE state = 'ATTESA'")?
                .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            let repeats: i64 =
                db.prepare_cached("SELECT coalesce(sum(repeats), 0) FROM mail WHERE repeats > 0")?.query_row([], |row| row.get(0))?;
            let next = now.saturating_add(SignedDuration::from_secs(1)).unwrap_or(now);
            let trouble = get(db, TROUBLE)?.and_then(|text| serde_json::from_str(&text).ok());
            Ok(MailOverview {
                waiting: waiting.unsigned_abs(),
                oldest_due: oldest.map(at),
                repeats: repeats.unsigned_abs(),
                given_up: given_up(db, None, week_before(now), next)?,
                trouble,
            })
        })
        .await
    }

    /// The server does not take mails (kept from the first time on), or does again.
    pub async fn keep_mail_trouble(&self, trouble: Option<MailTrouble>) -> Result<(), StoreError> {
        self.write(move |db| {
            let Some(mut trouble) = trouble else {
                db.prepare_cached("DELETE FROM setting WHERE name = ?1")?.execute([TROUBLE])?;
                return Ok(());
            };
            if let Some(before) = get(db, TROUBLE)?.and_then(|text| serde_json::from_str::<MailTrouble>(&text).ok()) {
                trouble.since = before.since;
            }
            set(db, TROUBLE, &serde_json::to_string(&trouble)?)
        })
        .await
    }

    /// Takes away mails that were closed before, and windows that ended.
    pub async fn forget_mails(&self, before: Timestamp) -> Result<usize, StoreError> {
        self.write(move |db| {
            let mut select = db.prepare_cached("SELECT id FROM mail WHERE closed_at IS NOT NULL AND closed_at < ?1 LIMIT 500")?;
            let old: Vec<Uuid> = select.query_map([ms(before)], |row| uuid_at(row, 0))?.collect::<Result<_, _>>()?;
            for id in &old {
                for sql in [
                    "DELETE FROM mail_code WHERE mail_id = ?1",
                    "DELETE FROM mail_alert WHERE mail_id = ?1",
                    "DELETE FROM mail WHERE id = ?1",
                ] {
                    db.prepare_cached(sql)?.execute([id.as_bytes()])?;
                }
                forget_content(db, *id)?;
            }
            db.prepare_cached("DELETE FROM mail_window WHERE until < ?1")?.execute([ms(before)])?;
            Ok(old.len())
        })
        .await
    }
}

/// The alert with which a mail begins.
struct First<'a> {
    alert: i64,
    raised: i64,
    code: &'a str,
    /// A mail that nobody knows of may have told it.
    doubtful: bool,
    domain: &'a str,
}

impl First<'_> {
    /// The same for the same alert and recipient, in this store and in one put back from its copy.
    fn message_id(&self, addressed: &Addressed) -> String {
        let Addressed { sender, kind, recipient, .. } = addressed;
        let First { alert, raised, code, domain, .. } = self;
        let digest = Sha256::of(format!("{alert} {raised} {code} {sender} {} {recipient}", kind.as_str()).as_bytes()).to_hex();
        format!("<{}@{domain}>", digest.get(..32).unwrap_or_default())
    }
}

/// In a store that was put back from a copy: what waited may have gone since.
pub(super) fn doubt_all(db: &Connection) -> Result<(), StoreError> {
    for sql in [
        "UPDATE mail SET doubtful = max(doubtful, 1) WHERE state = 'ATTESA' AND due_at >= 0",
        "UPDATE mail SET doubtful = max(doubtful, 1) WHERE state = 'IN_CORSO' AND lease_until >= 0",
    ] {
        db.prepare_cached(sql)?.execute([])?;
    }
    let last: i64 = db.prepare_cached("SELECT coalesce(max(id), 0) FROM alert")?.query_row([], |row| row.get(0))?;
    set(db, COPIED, &last.to_string())
}

/// The mail that an alert goes into: one that waits, or a new one.
fn mail_for(
    db: &Connection,
    addressed: &Addressed,
    first: &First<'_>,
    window: SignedDuration,
    now: Timestamp,
) -> Result<(Uuid, bool), StoreError> {
    let Addressed { sender, kind, recipient, due, alone } = addressed;
    let key = params![sender, kind.as_str(), recipient];
    let wished = match due {
        Some(due) => *due,
        None if *alone => now,
        None => {
            let select = "SELECT until FROM mail_window WHERE sender = ?1 AND kind = ?2 AND recipient = ?3";
            let until: Option<i64> = optional(db.prepare_cached(select)?.query_row(key, |row| row.get(0)))?;
            until.map_or(now, |until| at(until).max(now))
        }
    };
    let keep_window = || -> Result<(), StoreError> {
        if due.is_none() && !alone {
            let until = wished.saturating_add(window).unwrap_or(wished);
            db.prepare_cached(KEEP_WINDOW)?.execute(params![sender, kind.as_str(), recipient, ms(until)])?;
        }
        Ok(())
    };
    if !alone && let Some(open) = optional(db.prepare_cached(OPEN)?.query_row(key, |row| uuid_at(row, 0)))? {
        // It says more than before: what was written of it is not what will be sent.
        forget_content(db, open)?;
        // One that waits for its hour of the day does not hold back what is to be told at once.
        if db.prepare_cached(SOONER)?.execute(params![open.as_bytes(), ms(wished)])? == 1 {
            keep_window()?;
        }
        return Ok((open, false));
    }
    keep_window()?;
    let id = clock::new_uuid();
    let message_id = first.message_id(addressed);
    let row = params![id.as_bytes(), sender, kind.as_str(), recipient, message_id, alone, ms(now), ms(wished), first.doubtful];
    db.prepare_cached(BEGIN)?.execute(row)?;
    Ok((id, true))
}

fn forget_content(db: &Connection, id: Uuid) -> Result<(), StoreError> {
    db.prepare_cached("DELETE FROM mail_content WHERE mail_id = ?1")?.execute([id.as_bytes()])?;
    Ok(())
}

/// The newest ones; `sender`: of that ente and of the installation alone.
fn given_up(db: &Connection, sender: Option<&str>, since: Timestamp, to: Timestamp) -> Result<Vec<GivenUp>, StoreError> {
    let mut select = db.prepare_cached(
        "SELECT recipient, kind, sender, error, closed_at FROM mail WHERE state IN ('RIFIUTATA', 'ABBANDONATA') AND closed_at >= ?1 \
         AND closed_at < ?2 AND (?4 IS NULL OR sender IN ('', ?4)) ORDER BY closed_at DESC LIMIT ?3",
    )?;
    let rows = select.query_map(params![ms(since), ms(to), SHOWN as i64, sender], |row| {
        Ok(GivenUp {
            recipient: row.get(0)?,
            kind: row.get(1)?,
            sender: row.get(2)?,
            error: row.get::<_, Option<String>>(3)?.unwrap_or_default(),
            at: at(row.get(4)?),
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn week_before(now: Timestamp) -> Timestamp {
    now.saturating_sub(SignedDuration::from_hours(7 * 24)).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn owned(changed: usize) -> Result<(), StoreError> {
    if changed == 1 { Ok(()) } else { Err(StoreError::Stale) }
}

fn cursor(db: &Connection) -> Result<i64, StoreError> {
    Ok(get(db, CURSOR)?.and_then(|text| text.parse().ok()).unwrap_or(0))
}

fn get(db: &Connection, name: &str) -> Result<Option<String>, StoreError> {
    optional(db.prepare_cached("SELECT value FROM setting WHERE name = ?1")?.query_row([name], |row| row.get(0)))
}

fn set(db: &Connection, name: &str, value: &str) -> Result<(), StoreError> {
    let sql = "INSERT INTO setting (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = ?2";
    db.prepare_cached(sql)?.execute([name, value])?;
    Ok(())
}

fn read_leased(row: &Row<'_>) -> rusqlite::Result<LeasedMail> {
    Ok(LeasedMail {
        lease: MailLease { id: uuid_at(row, 0)?, fence: row.get(1)? },
        sender: row.get(2)?,
        kind: row.get(3)?,
        recipient: row.get(4)?,
        message_id: row.get(5)?,
        created_at: at(row.get(6)?),
        attempts: row.get(7)?,
        failed_at: row.get::<_, Option<i64>>(8)?.map(at),
    })
}

fn read_notice(row: &Row<'_>) -> rusqlite::Result<MailNotice> {
    let id = |index: usize| row.get::<_, Option<Vec<u8>>>(index).map(|bytes| bytes.and_then(|bytes| Uuid::from_slice(&bytes).ok()));
    Ok(MailNotice {
        code: row.get(0)?,
        at: at(row.get(1)?),
        source: row.get(2)?,
        flow: row.get(3)?,
        batch: id(4)?.map(BatchId),
        act: id(5)?.map(ActId),
        reference: row.get(6)?,
        protocol: row.get(7)?,
        about: row.get(8)?,
        data: row.get(9)?,
    })
}
