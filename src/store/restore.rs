//! A store that was put back from a copy: what must be asked of SEND before anything new goes there, what is known to have
//! happened after the copy, and numbers that must not be given twice.
//!
//! Until an operator releases it no new send is leased and none passes the last gate before the POST.

use jiff::Timestamp;
use rusqlite::{Connection, params};
use serde_json::Value;

use super::acts::LATE_FACTS;
use super::codec::{act_at, at, batch_at, digest, ms, optional};
use super::engine::{self, ActRow, fresh};
use super::jobs::{self, JobRef};
use super::orders::by;
use super::{CHUNK, Store, StoreError, staging};
use crate::domain::digest::Sha256;
use crate::domain::ids::{ActId, BatchId};
use crate::domain::send::StreamEvent;
use crate::flow::effect::Effect;
use crate::flow::event::Fact;
use crate::flow::state::State;

/// How long an act that goes to SEND for the first time is looked for there before (milliseconds): 60 days. What was dropped
/// before the loss is dropped again within that time.
const WATCH: i64 = 60 * 86_400_000;
/// Submissions after the act's own whose request is looked for: numbers given after the copy are not known.
const AHEAD: u32 = 2;
/// Told to operators while a restored store waits for its release.
const WAITS: &str = "RIPRISTINO_DA_RILASCIARE";
const RELEASED: &str = "RIPRISTINO_RILASCIATO";

/// A restore, the newest one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// Name of the copy.
    pub backup: String,
    pub copied_at: Timestamp,
    pub restored_at: Timestamp,
    pub released_at: Option<Timestamp>,
    pub who: Option<String>,
    pub why: Option<String>,
    /// Acts not final that SEND is still to be asked about.
    pub open: u64,
    /// Of those, acts that wait for a person.
    pub parked: u64,
    /// Closed acts whose late facts are still to be read; nothing waits for them.
    pub late: u64,
}

/// What kind of thing happened after the copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GapKind {
    /// Numbered files that the store did not know.
    Numbers,
    /// A drop with a receipt, unknown here: to be dropped again.
    Batch,
    /// An act in a published file, unknown here or told otherwise.
    Act,
    /// SEND spoke of a notification that no act here has.
    Event,
    /// A drop that was being read, whose file is no longer there.
    Drop,
    /// A deletion that a person asked for.
    Erasure,
}

impl GapKind {
    pub const ALL: [GapKind; 6] = [GapKind::Numbers, GapKind::Batch, GapKind::Act, GapKind::Event, GapKind::Drop, GapKind::Erasure];

    /// As stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            GapKind::Numbers => "NUMERI",
            GapKind::Batch => "LOTTO",
            GapKind::Act => "ATTO",
            GapKind::Event => "EVENTO",
            GapKind::Drop => "DEPOSITO",
            GapKind::Erasure => "CANCELLAZIONE",
        }
    }
}

/// Something that happened after the copy.
#[derive(Debug, Clone, PartialEq)]
pub struct Gap {
    pub kind: GapKind,
    /// Gestionale; of an event, `ente/key`.
    pub source: String,
    /// Id of a drop, reference of an act, request at SEND, folder of numbered files; of a deletion, the id of its act or batch.
    pub about: String,
    pub sender: Option<String>,
    pub iun: Option<String>,
    /// Of a drop.
    pub sha256: Option<Sha256>,
    /// Ids, codes, numbers, instants.
    pub data: Value,
    /// Whether it is known again, or done again; of numbers, which are only skipped, and of deletions of what is not here, nothing.
    pub recovered: Option<bool>,
}

/// A numbered file that lies in a folder of a gestionale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NumberedFile {
    /// `ESITO` or `INDICE`.
    pub kind: String,
    pub number: u64,
    pub folder: String,
    pub name: String,
    pub sha256: Sha256,
    pub size: u64,
    pub lines: Option<(u64, u64)>,
}

/// What SEND is asked about an act: under which protocol, and the token of each submission that it may have there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tokens {
    pub protocol: String,
    /// (submission, token), the act's own first.
    pub tokens: Vec<(u32, String)>,
}

/// What is known again. A lost drop is when its bytes were taken, not when they were refused once more; one that was under reading is
/// when it was judged, whatever the judgement, unless nobody could read it.
const RECOVERED: &str = "SELECT g.kind, g.source, g.about, g.sender, g.iun, g.sha256, g.data, CASE g.kind \
     WHEN 'LOTTO' THEN EXISTS (SELECT 1 FROM batch b WHERE b.source = g.source AND b.sha256 = g.sha256 AND b.dry_run = 0 \
     AND b.state IN ('PRESA_IN_CARICO', 'PARZIALE')) \
     WHEN 'DEPOSITO' THEN EXISTS (SELECT 1 FROM batch b WHERE b.source = g.source AND b.sha256 = g.sha256 AND b.dry_run = 0 \
     AND b.state IN ('PRESA_IN_CARICO', 'PARZIALE')) \
     OR EXISTS (SELECT 1 FROM batch b WHERE b.id = unhex(replace(g.about, '-', '')) AND b.finished_at IS NOT NULL AND NOT EXISTS \
     (SELECT 1 FROM problem p WHERE p.batch_id = b.id AND p.code IN ('FILE_NON_LEGGIBILE', 'FILE_CAMBIATO_IN_LAVORAZIONE', 'ERRORE_INTERNO'))) \
     WHEN 'ATTO' THEN EXISTS (SELECT 1 FROM act a WHERE a.sender = g.sender AND a.source = g.source AND a.reference = g.about AND a.staged = 0 \
     AND (g.iun IS NULL OR a.iun = g.iun)) \
     WHEN 'EVENTO' THEN EXISTS (SELECT 1 FROM act a WHERE substr(a.request_id, 1, 12) = substr(g.about, 1, 12) AND a.request_id = g.about) OR EXISTS (SELECT 1 FROM act a WHERE substr(a.iun, 1, 9) = substr(g.iun, 1, 9) AND a.iun = g.iun) \
     WHEN 'CANCELLAZIONE' THEN coalesce( \
     (SELECT a.erased_at IS NOT NULL OR EXISTS (SELECT 1 FROM erasure e WHERE e.subject_kind = 'notifica' AND e.subject_id = a.id) \
     FROM act a WHERE a.id = unhex(replace(g.about, '-', ''))), \
     (SELECT b.erased_at IS NOT NULL OR EXISTS (SELECT 1 FROM erasure e WHERE e.subject_kind = 'lotto' AND e.subject_id = b.id) \
     FROM batch b WHERE b.id = unhex(replace(g.about, '-', '')))) \
     END FROM restore_gap g WHERE g.kind = ?1 AND (g.source, g.about) > (?2, ?3) ORDER BY g.source, g.about LIMIT ?4";
const TO_QUEUE: &str = "SELECT act_id FROM restore_open WHERE queued = 0 LIMIT ?1";
const OPEN: &str = "SELECT count(*), coalesce(sum(a.park_code IS NOT NULL), 0) FROM restore_open r JOIN act a ON a.id = r.act_id \
     WHERE r.waits = 1 AND a.state NOT IN ('RIFIUTATO', 'RITIRATO')";
const LATE: &str = "SELECT (SELECT count(*) FROM restore_open) - (SELECT count(*) FROM restore_open WHERE waits = 1)";

impl Store {
    /// The store is the copy made at `copied_at`: from here on nothing new is sent, and every act that is not final is to be asked
    /// about. Answers how many.
    pub async fn begin_restore(&self, backup: &str, copied_at: Timestamp, now: Timestamp) -> Result<u64, StoreError> {
        let backup = backup.to_owned();
        self.write(move |db| {
            for sql in ["DELETE FROM restore_open WHERE act_id >= x''", "DELETE FROM restore_gap WHERE id >= 0"] {
                db.execute(sql, [])?;
            }
            db.execute(
                "INSERT INTO restore (backup, copied_at, restored_at, watch_until) VALUES (?1, ?2, ?3, ?4)",
                params![backup, ms(copied_at), ms(now), ms(now) + WATCH],
            )?;
            let waits = db.execute(
                "INSERT INTO restore_open (act_id, waits) SELECT id, 1 FROM act WHERE staged = 0 AND state IN \
                 ('IN_ATTESA', 'IN_PREPARAZIONE', 'IN_CARICAMENTO', 'IN_INVIO', 'INVIATO', 'IN_CONSEGNA', 'IN_ANNULLAMENTO')",
                [],
            )?;
            db.execute(
                "INSERT INTO restore_open (act_id, waits) SELECT id, 0 FROM act WHERE state IN ('PERFEZIONATO', 'ANNULLATO') AND closed_at > ?1",
                [ms(copied_at) - LATE_FACTS],
            )?;
            // Before anything is told of the restore itself.
            super::mail::doubt_all(db)?;
            let sql = "INSERT INTO trouble (code, about, since) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
            db.prepare_cached(sql)?.execute(params![WAITS, backup, ms(now)])?;
            engine::raise_alert_for(db, WAITS, None, None, &backup, now)?;
            super::position_acts::after_restore(db, now)?;
            Ok(waits as u64)
        })
        .await
    }

    /// Queues the questions to SEND, up to a thousand a call: answers how many were queued.
    pub async fn queue_restore(&self, now: Timestamp) -> Result<usize, StoreError> {
        let any: bool = self
            .read(|db| {
                let sql = "SELECT EXISTS (SELECT 1 FROM restore_open WHERE queued = 0)";
                Ok(db.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
            })
            .await?;
        if !any {
            return Ok(0);
        }
        let queued = self
            .write(move |db| {
                let mut select = db.prepare_cached(TO_QUEUE)?;
                let acts: Vec<ActId> = select.query_map([CHUNK as i64], |row| act_at(row, 0))?.collect::<Result<_, _>>()?;
                for id in &acts {
                    match ActRow::load(db, *id) {
                        Ok(act) => jobs::enqueue_effect(db, &act, &Effect::Recover, now)?,
                        // Nothing can be asked about it: a person sees it where it is parked.
                        Err(StoreError::Corrupt(_) | StoreError::NotFound(_)) => {}
                        Err(error) => return Err(error),
                    }
                    db.prepare_cached("UPDATE restore_open SET queued = 1 WHERE act_id = ?1")?.execute([id.0.as_bytes()])?;
                }
                Ok(acts.len())
            })
            .await?;
        self.ring();
        Ok(queued)
    }

    /// SEND has said all that it knows of an act: the question is answered, its job ends.
    pub async fn restore_checked(&self, act: ActId, job: JobRef) -> Result<(), StoreError> {
        self.write(move |db| {
            jobs::finish(db, job)?;
            db.prepare_cached("DELETE FROM restore_open WHERE act_id = ?1")?.execute([act.0.as_bytes()])?;
            Ok(())
        })
        .await
    }

    /// The newest restore, if there ever was one.
    pub async fn restored(&self) -> Result<Option<Restored>, StoreError> {
        self.read(|db| {
            let sql = "SELECT backup, copied_at, restored_at, released_at, who, why FROM restore ORDER BY id DESC LIMIT 1";
            let found = optional(db.prepare_cached(sql)?.query_row([], |row| {
                Ok(Restored {
                    backup: row.get(0)?,
                    copied_at: at(row.get(1)?),
                    restored_at: at(row.get(2)?),
                    released_at: row.get::<_, Option<i64>>(3)?.map(at),
                    who: row.get(4)?,
                    why: row.get(5)?,
                    open: 0,
                    parked: 0,
                    late: 0,
                })
            }))?;
            let Some(restored) = found else { return Ok(None) };
            let (open, parked): (i64, i64) = db.prepare_cached(OPEN)?.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            let late: i64 = db.prepare_cached(LATE)?.query_row([], |row| row.get(0))?;
            Ok(Some(Restored { open: open.unsigned_abs(), parked: parked.unsigned_abs(), late: late.unsigned_abs(), ..restored }))
        })
        .await
    }

    /// Whether nothing new is sent because the store was restored and not released.
    pub async fn is_held_by_restore(&self) -> Result<bool, StoreError> {
        self.read(is_held).await
    }

    /// Whether acts must be looked for at SEND before they go there for the first time.
    pub async fn watches_for_lost(&self, now: Timestamp) -> Result<bool, StoreError> {
        self.read(move |db| {
            let sql = "SELECT EXISTS (SELECT 1 FROM restore WHERE watch_until > ?1 AND id > 0)";
            Ok(db.prepare_cached(sql)?.query_row([ms(now)], |row| row.get(0))?)
        })
        .await
    }

    /// An operator lets a restored store send. False: it was not held.
    pub async fn release_restore(&self, who: &str, why: &str, now: Timestamp) -> Result<bool, StoreError> {
        let (who, why) = (who.to_owned(), why.to_owned());
        let released = self
            .write(move |db| {
                let sql = "UPDATE restore SET released_at = ?1, who = ?2, why = ?3 WHERE released_at IS NULL AND id > 0 RETURNING backup";
                let mut update = db.prepare_cached(sql)?;
                let backups: Vec<String> = update.query_map(params![ms(now), who, why], |row| row.get(0))?.collect::<Result<_, _>>()?;
                for backup in &backups {
                    engine::append_history(db, "ripristino", backup.as_bytes(), "ORDINE_RILASCIA", None, Some(&by(&who, &why)), now)?;
                    let sql = "DELETE FROM trouble WHERE code = ?1 AND about = ?2";
                    if db.prepare_cached(sql)?.execute([WAITS, backup])? == 1 {
                        engine::raise_alert_for(db, RELEASED, None, None, backup, now)?;
                    }
                }
                Ok(!backups.is_empty())
            })
            .await?;
        self.ring();
        Ok(released)
    }

    /// Keeps what was found to have happened after the copy; told twice, once.
    pub async fn note_gaps(&self, gaps: Vec<Gap>) -> Result<(), StoreError> {
        self.write(move |db| gaps.iter().try_for_each(|gap| note(db, gap))).await
    }

    /// What happened after the copy, of one kind, after a place, with whether it is known again.
    pub async fn gaps(&self, kind: GapKind, after: Option<&Gap>, limit: usize) -> Result<Vec<Gap>, StoreError> {
        let (source, about) = after.map(|gap| (gap.source.clone(), gap.about.clone())).unwrap_or_default();
        self.read(move |db| {
            let mut select = db.prepare_cached(RECOVERED)?;
            let rows = select.query_map(params![kind.as_str(), source, about, limit as i64], |row| {
                Ok((
                    Gap {
                        kind,
                        source: row.get(1)?,
                        about: row.get(2)?,
                        sender: row.get(3)?,
                        iun: row.get(4)?,
                        sha256: row.get::<_, Option<Vec<u8>>>(5)?.and_then(digest),
                        data: Value::Null,
                        recovered: row.get(7)?,
                    },
                    row.get::<_, String>(6)?,
                ))
            })?;
            rows.map(|row| {
                let (gap, data) = row?;
                Ok(Gap { data: serde_json::from_str(&data)?, ..gap })
            })
            .collect()
        })
        .await
    }

    /// (of that kind, of those not known again).
    pub async fn count_gaps(&self, kind: GapKind) -> Result<(u64, u64), StoreError> {
        let (mut all, mut open) = (0, 0);
        let mut last: Option<Gap> = None;
        loop {
            let page = self.gaps(kind, last.as_ref(), CHUNK).await?;
            all += page.len() as u64;
            open += page.iter().filter(|gap| gap.recovered == Some(false)).count() as u64;
            match page.into_iter().next_back() {
                Some(gap) => last = Some(gap),
                None => return Ok((all, open)),
            }
        }
    }

    /// Numbered files of a gestionale that lie in its folders and were not known, and the last number and line that may have been
    /// published: none of them is given again.
    pub async fn adopt_numbers(
        &self,
        source: &str,
        files: Vec<NumberedFile>,
        number: u64,
        line: u64,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let source = source.to_owned();
        self.write(move |db| {
            for file in &files {
                db.prepare_cached(
                    "INSERT INTO publication (id, source, kind, number, folder, name, temporary, sha256, size, first_line, last_line, state, created_at) \
                     VALUES (?1,?2,?3,?4,?5,?6,'',?7,?8,?9,?10,'PUBBLICATO',?11) ON CONFLICT DO NOTHING",
                )?
                .execute(params![
                    fresh(),
                    source,
                    file.kind,
                    file.number as i64,
                    file.folder,
                    file.name,
                    file.sha256.as_bytes(),
                    file.size as i64,
                    file.lines.map(|lines| lines.0 as i64),
                    file.lines.map(|lines| lines.1 as i64),
                    ms(now),
                ])?;
            }
            if number == 0 && line == 0 {
                return Ok(());
            }
            db.prepare_cached(
                "INSERT INTO counter (source, next_line, next_file, closed_line) VALUES (?1, ?2 + 1, ?3 + 1, ?2) ON CONFLICT (source) DO UPDATE SET \
                 next_line = max(next_line, excluded.next_line), next_file = max(next_file, excluded.next_file), \
                 closed_line = max(closed_line, excluded.closed_line)",
            )?
            .execute(params![source, line as i64, number as i64])?;
            super::publications::count_pending(db, &source)
        })
        .await
    }

    /// The highest number of a kind of file, and the highest line, that the store knows of.
    pub async fn known_numbers(&self, source: &str, kind: &str) -> Result<(u64, u64), StoreError> {
        let (source, kind) = (source.to_owned(), kind.to_owned());
        self.read(move |db| {
            let sql = "SELECT coalesce(max(number), 0) FROM publication WHERE source = ?1 AND kind = ?2 AND number IS NOT NULL";
            let number: i64 = db.prepare_cached(sql)?.query_row([&source, &kind], |row| row.get(0))?;
            let sql = "SELECT next_line - 1 FROM counter WHERE source = ?1";
            let line: Option<i64> = optional(db.prepare_cached(sql)?.query_row([&source], |row| row.get(0)))?;
            Ok((number.unsigned_abs(), line.unwrap_or(0).unsigned_abs()))
        })
        .await
    }

    /// No number up to this one is given to a file of that folder: another part of messo may have given it before the loss.
    pub async fn raise_number_floor(&self, source: &str, folder: &str, number: u64) -> Result<(), StoreError> {
        let name = floor_name(source, folder);
        self.write(move |db| {
            db.prepare_cached(
                "INSERT INTO setting (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = excluded.value \
                 WHERE CAST(value AS INTEGER) < CAST(excluded.value AS INTEGER)",
            )?
            .execute([&name, &number.to_string()])?;
            Ok(())
        })
        .await
    }

    /// The highest number that [`Store::raise_number_floor`] kept; 0: none.
    pub async fn number_floor(&self, source: &str, folder: &str) -> Result<u64, StoreError> {
        let (source, folder) = (source.to_owned(), folder.to_owned());
        self.read(move |db| floor(db, &source, &folder)).await
    }

    /// Whether a batch with that id is known.
    pub async fn knows_batch(&self, batch: BatchId) -> Result<bool, StoreError> {
        self.read(move |db| {
            let sql = "SELECT EXISTS (SELECT 1 FROM batch WHERE id = ?1)";
            Ok(db.prepare_cached(sql)?.query_row([batch.0.as_bytes()], |row| row.get(0))?)
        })
        .await
    }

    /// The act with that reference in that submission.
    pub async fn act_named(&self, sender: &str, source: &str, reference: &str, submission: u32) -> Result<Option<ActId>, StoreError> {
        let (sender, source, reference) = (sender.to_owned(), source.to_owned(), reference.to_owned());
        self.read(move |db| {
            let sql = "SELECT id FROM act WHERE sender = ?1 AND source = ?2 AND reference = ?3 AND submission = ?4";
            optional(db.prepare_cached(sql)?.query_row(params![sender, source, reference, submission], |row| act_at(row, 0)))
        })
        .await
    }

    /// What SEND is to be asked about an act that may be there although the store does not know it.
    pub async fn tokens_to_ask(&self, act: ActId) -> Result<Tokens, StoreError> {
        self.read(move |db| {
            let row = ActRow::load(db, act)?;
            let sql = "SELECT min(submission) FROM act WHERE sender = ?1 AND source = ?2 AND reference = ?3 AND submission > ?4";
            let next: Option<u32> =
                db.prepare_cached(sql)?.query_row(params![row.sender, row.source, row.reference, row.submission], |found| found.get(0))?;
            // What comes after another row of the same act is that row's.
            let end = next.unwrap_or(u32::MAX).min(row.submission.saturating_add(AHEAD + 1));
            let tokens = (row.submission..end).map(|n| (n, staging::token(&row.sender, &row.source, &row.reference, n))).collect();
            // Nothing but the reference ever stands in for a protocol that is missing.
            let protocol = row.protocol.unwrap_or_else(|| staging::stand_in_protocol(&row.reference));
            Ok(Tokens { protocol, tokens })
        })
        .await
    }

    /// SEND has the act, under that submission: taken over as it is there, its base fee counted. With `job` the job ends, and what
    /// SEND already told of it is asked at once.
    pub async fn found_at_send(
        &self,
        act: ActId,
        submission: u32,
        facts: Vec<Fact>,
        job: Option<JobRef>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.write(move |db| {
            if let Some(job) = job {
                jobs::finish(db, job)?;
            }
            let mut row = ActRow::load(db, act)?;
            let id = act.0.as_bytes();
            if row.submission != submission {
                let token = staging::token(&row.sender, &row.source, &row.reference, submission);
                db.prepare_cached("UPDATE act SET submission = ?2, token = ?3 WHERE id = ?1")?.execute(params![id, submission, token])?;
                row.submission = submission;
            }
            if row.protocol.is_none() {
                let protocol = staging::stand_in_protocol(&row.reference);
                db.prepare_cached("UPDATE act SET protocol = ?2 WHERE id = ?1")?.execute(params![id, protocol])?;
                staging::claim_protocol(db, act, &row.sender, &protocol)?;
                row.protocol = Some(protocol);
            }
            for fact in &facts {
                engine::observe(db, &mut row, fact, now)?;
            }
            if row.request_id.is_some() {
                super::streams::adopt_orphans(db, &mut row, now)?;
            }
            if job.is_some() && !matches!(row.state, State::Refused { .. } | State::Withdrawn) {
                jobs::enqueue_effect(db, &row, &Effect::Recover, now)?;
            }
            Ok(())
        })
        .await?;
        self.ring();
        Ok(())
    }

    /// Archives that batches of the copy refer to and acts' batches under reading: (batch, digest, state, source, received).
    pub async fn under_reading(&self) -> Result<Vec<(BatchId, Option<Sha256>, String)>, StoreError> {
        self.read(|db| {
            let mut select = db.prepare_cached("SELECT id, sha256, source FROM batch WHERE state IN ('RICEVUTO', 'IN_LETTURA')")?;
            let rows =
                select.query_map([], |row| Ok((batch_at(row, 0)?, row.get::<_, Option<Vec<u8>>>(1)?.and_then(digest), row.get(2)?)))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }
}

/// See [`Store::number_floor`].
pub(super) fn floor(db: &Connection, source: &str, folder: &str) -> Result<u64, StoreError> {
    let sql = "SELECT value FROM setting WHERE name = ?1";
    let found: Option<String> = optional(db.prepare_cached(sql)?.query_row([floor_name(source, folder)], |row| row.get(0)))?;
    Ok(found.and_then(|text| text.parse().ok()).unwrap_or(0))
}

fn floor_name(source: &str, folder: &str) -> String {
    format!("numeri/{source}/{folder}")
}

/// Whether a restored store waits for its release.
pub(super) fn is_held(db: &Connection) -> Result<bool, StoreError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM restore WHERE released_at IS NULL AND id > 0)";
    Ok(db.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
}

pub(super) fn note(db: &Connection, gap: &Gap) -> Result<(), StoreError> {
    db.prepare_cached(
        "INSERT INTO restore_gap (kind, source, about, sender, iun, sha256, data) VALUES (?1,?2,?3,?4,?5,?6,?7) \
         ON CONFLICT (kind, source, about) DO UPDATE SET iun = coalesce(excluded.iun, iun), data = excluded.data",
    )?
    .execute(params![
        gap.kind.as_str(),
        gap.source,
        gap.about,
        gap.sender,
        gap.iun,
        gap.sha256.map(|sha256| sha256.as_bytes().to_vec()),
        gap.data.to_string(),
    ])?;
    Ok(())
}

/// While a restored store waits, an event of a notification that no act has may be of an act that was lost.
pub(super) fn note_event(db: &Connection, channel: &str, event: &StreamEvent) -> Result<(), StoreError> {
    if !is_held(db)? {
        return Ok(());
    }
    let about = event.request_id.clone().or_else(|| event.iun.clone()).unwrap_or_else(|| event.event_id.clone());
    let gap = Gap {
        kind: GapKind::Event,
        source: channel.to_owned(),
        about,
        sender: Some(super::stops::sender_of(channel).to_owned()),
        iun: event.iun.clone(),
        sha256: None,
        data: serde_json::json!({ "evento": event.element.category }),
        recovered: None,
    };
    note(db, &gap)
}
