//! Deletes personal data and keeps the proof of what was done: states, digests, history, lines and legal facts stay.
//!
//! A deletion is a row from its decision to its end (`erasure`), so that whatever stops the process is gone on with. The bytes in
//! the archive go first, the rows that tell where they lie afterwards. Deleted cells are overwritten in their pages by the
//! transaction that deletes them, and by it alone; what older versions of a page left behind goes with [`Store::compact`].

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::codec::{act_at, at, batch_at, digest, ms, optional, uuid_at};
use super::engine::append_history;
use super::{CHUNK, Store, StoreError};
use crate::domain::act::Act;
use crate::domain::digest::Sha256;
use crate::domain::ids::{ActId, BatchId};

/// Why personal data is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Its term has passed.
    Retention,
    /// The person asked.
    Request,
}

impl Cause {
    /// As the history tells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Cause::Retention => "CONSERVAZIONE",
            Cause::Request => "RICHIESTA",
        }
    }
}

/// A batch whose own personal data may go when its term has passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClosedAct {
    pub batch: BatchId,
    pub source: String,
    /// `None`: of no ente, or of several.
    pub sender: Option<String>,
    pub finished_at: Timestamp,
}

/// What of one archive is to be erased.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Spans {
    /// Nobody needs any of it.
    pub whole: bool,
    /// Header, first byte and length of each entry that goes.
    pub entries: Vec<(u64, u64, u64)>,
    /// Headers of entries that stay; `None`: everything that is not in `entries` stays.
    pub kept: Option<HashSet<u64>>,
    pub acts: Vec<ActId>,
    pub batches: Vec<BatchId>,
}

/// An archive (or, `None`, no archive) with deletions that have not ended.
pub type Pending = Option<Sha256>;

/// When the personal data of something was deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Erased {
    pub at: Timestamp,
    pub cause: Cause,
}

/// A kept legal fact whose term has passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErasedFact {
    pub act: ActId,
    pub happened_at: Timestamp,
    pub sha256: Sha256,
}

/// Why an act of a person cannot be deleted now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    pub act: ActId,
    pub sender: String,
    pub source: String,
    pub reference: String,
    pub state: String,
    pub closed_at: Option<Timestamp>,
    pub erased_at: Option<Timestamp>,
    /// Nothing is left to do about it.
    pub settled: bool,
    /// It is to be deleted, and was not yet.
    pub decided: bool,
    /// Legal facts that stay.
    pub legal_facts: u64,
    pub batch: BatchId,
}

/// A published file whose term has passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OldFile {
    pub id: uuid::Uuid,
    pub folder: String,
    pub name: String,
    pub sha256: Sha256,
    pub size: u64,
    pub created_at: Timestamp,
}

impl OldFile {
    /// Whether its name was deleted: it is known by its content alone.
    #[must_use]
    pub fn is_nameless(&self) -> bool {
        self.name.starts_with(NAMELESS)
    }
}

/// How a publication is called whose name was deleted; behind it, its id.
const NAMELESS: &str = "cancellato_";
const ACTS_DUE: &str = "SELECT v.id FROM act_erasable v WHERE v.sender = ?1 AND v.closed_at <= ?2 \
     AND (v.closed_at <= ?4 OR NOT EXISTS (SELECT 1 FROM act_followed f WHERE f.act_id = v.id)) ORDER BY v.closed_at, v.id LIMIT ?3";
/// Days more than its term for which an act keeps its data because an unpaid position follows it: for as long its PT is asked about it.
const FOLLOWED_DAYS: i64 = 730;
pub(super) const BEGIN_ACT: &str = "INSERT INTO erasure (subject_kind, subject_id, cause, archive, sender, closed_at, begun_at) \
     SELECT 'notifica', v.id, ?2, b.sha256, v.sender, v.closed_at, ?3 FROM act_erasable v JOIN batch b ON b.id = v.content_batch \
     WHERE v.id = ?1 ON CONFLICT DO NOTHING";
const BATCHES_DUE: &str = "SELECT id, source, sender, finished_at FROM batch_erasable WHERE (finished_at, id) > (?1, ?2) AND finished_at <= ?3 \
     ORDER BY finished_at, id LIMIT ?4";
pub(super) const BEGIN_BATCH: &str = "INSERT INTO erasure (subject_kind, subject_id, cause, archive, sender, begun_at) \
     SELECT 'lotto', id, ?2, sha256, sender, ?3 FROM batch WHERE id = ?1 AND erased_at IS NULL ON CONFLICT DO NOTHING";
const OPEN_ARCHIVES: &str = "SELECT DISTINCT archive FROM erasure WHERE ended_at IS NULL";
const OPEN_SUBJECTS: &str = "SELECT subject_kind, subject_id, cause FROM erasure WHERE archive IS ?1 AND subject_kind IN ('notifica', 'lotto') AND ended_at IS NULL LIMIT 20000";
const SHARING: &str = "SELECT b.id, b.state, b.erased_at IS NOT NULL, b.finished_at IS NULL, \
     EXISTS (SELECT 1 FROM erasure e WHERE e.subject_kind = 'lotto' AND e.subject_id = b.id) FROM batch b WHERE b.sha256 = ?1";
const NEEDED: &str = "SELECT EXISTS (SELECT 1 FROM act_of_archive a WHERE a.batch = ?1 AND a.erased_at IS NULL \
     AND (a.state IN ('IN_ATTESA', 'IN_PREPARAZIONE', 'IN_CARICAMENTO', 'IN_INVIO', 'INVIATO') OR a.park_code IS NOT NULL \
     OR EXISTS (SELECT 1 FROM job j WHERE j.subject_kind = 'notifica' AND j.subject_id = a.id AND j.kind IN ('SCRIVI_SCARTO', 'REINVIA')))) \
     OR EXISTS (SELECT 1 FROM job j WHERE j.subject_kind = 'lotto' AND j.subject_id = ?1) \
     OR EXISTS (SELECT 1 FROM batch_order o WHERE o.batch_id = ?1 AND o.done = 0)";
const IN_USE: &str = "SELECT c.json FROM act_of_archive a JOIN act_content c ON c.act_id = a.id WHERE a.batch = ?1 AND a.erased_at IS NULL \
     AND NOT EXISTS (SELECT 1 FROM erasure e WHERE e.subject_kind = 'notifica' AND e.subject_id = a.id)";
const CONTENT: &str = "SELECT json FROM act_content WHERE act_id = ?1";
const ENTRIES: &str = "SELECT entry, header_offset, data_start, compressed FROM archive_entry WHERE archive = ?1";
const END: &str = "UPDATE erasure SET ended_at = ?3 WHERE subject_kind = ?1 AND subject_id = ?2 AND ended_at IS NULL RETURNING cause";
const ERASED: &str =
    "SELECT ended_at, cause FROM erasure WHERE subject_kind IN ('notifica', 'lotto') AND subject_id = ?1 AND ended_at IS NOT NULL";
const NAMES_SEEN: &str = "SELECT DISTINCT name FROM door_event WHERE sha256 = ?1 AND account = ?2 AND name IS NOT NULL";
const FACT_ACTS: &str = "SELECT subject_id FROM erasure WHERE sender = ?1 AND closed_at <= ?2 AND facts_at IS NULL AND subject_kind = 'notifica' \
     AND ended_at IS NOT NULL LIMIT ?3";
const FACTS: &str = "SELECT act_id, happened_at, sha256 FROM legal_fact WHERE act_id = ?1 AND state = 'CONSERVATA' AND sha256 IS NOT NULL";
const FACTS_GONE: &str = "UPDATE legal_fact SET state = 'CANCELLATA' WHERE act_id = ?1 AND state = 'CONSERVATA'";
const FACTS_DONE: &str = "UPDATE erasure SET facts_at = ?2 WHERE subject_kind = 'notifica' AND subject_id = ?1";
const MENTIONS: &str = "SELECT act_id, instr(upper(json), ?2) > 0 FROM act_content WHERE act_id > ?1 ORDER BY act_id LIMIT ?3";
const TOLD: &str = "SELECT n, act_id, instr(upper(data), ?2) > 0 FROM timeline WHERE n > ?1 ORDER BY n LIMIT ?3";
const NAMES_IN_ACT: &str = "SELECT EXISTS (SELECT 1 FROM act_content WHERE act_id = ?1 AND instr(upper(json), ?2) > 0) \
     OR EXISTS (SELECT 1 FROM timeline WHERE act_id = ?1 AND instr(upper(data), ?2) > 0)";
const NAMES_IN_BATCH: &str = "SELECT a.id FROM act_of_archive a JOIN act_content c ON c.act_id = a.id WHERE a.batch = ?1 AND a.erased_at IS NULL \
     AND instr(upper(c.json), ?2) > 0";
const BATCH_FILES: &str = "SELECT id, sha256, batch_entry FROM batch WHERE id > ?1 AND sha256 IS NOT NULL AND erased_at IS NULL \
     AND state NOT IN ('DUPLICATO', 'RICEVUTO', 'IN_LETTURA') ORDER BY id LIMIT ?2";
const OF_PERSON: &str = "SELECT a.id, a.sender, a.source, a.reference, a.state, a.closed_at, a.erased_at, \
     EXISTS (SELECT 1 FROM act_erasable v WHERE v.id = a.id), \
     EXISTS (SELECT 1 FROM erasure e WHERE e.subject_kind = 'notifica' AND e.subject_id = a.id AND e.ended_at IS NULL), \
     (SELECT count(*) FROM legal_fact f WHERE f.act_id = a.id AND f.state = 'CONSERVATA'), a.content_batch FROM act a WHERE a.id = ?1";
const OLD_FILES: &str =
    "SELECT id, folder, name, sha256, created_at, state, source, size FROM publication WHERE id > ?1 ORDER BY id LIMIT ?2";
const SETTING: &str = "SELECT value FROM setting WHERE name = ?1";
const SET: &str = "INSERT INTO setting (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = excluded.value";
const FORGET_NAMES: &str = "UPDATE door_event SET name = NULL, target = NULL WHERE at >= ?1 AND at < ?2 \
     AND (name IS NOT NULL OR target IS NOT NULL)";

/// What of an act goes. Its row, history, lines, recipients, notices and legal facts stay.
const OF_ACT: [&str; 9] = [
    // Who read its reject by SFTP is told in the books, with the name of the file.
    "UPDATE door_event SET name = NULL, target = NULL WHERE id IN (SELECT d.id FROM publication p JOIN door_event d \
     ON d.name = '/' || p.folder || '/' || p.name COLLATE NOCASE AND d.account = p.source WHERE p.subject = ?1 AND p.kind IN ('RICEVUTA', 'SCARTO'))",
    "DELETE FROM act_content WHERE act_id = ?1",
    // What its PT said of a position names people too.
    "DELETE FROM position_whole WHERE position_id IN (SELECT p.id FROM notice n JOIN position p ON p.notice = n.notice_code \
     AND p.creditor = n.creditor WHERE n.act_id = ?1 AND p.act_id = ?1)",
    "DELETE FROM upload WHERE act_id = ?1",
    "UPDATE timeline SET data = NULL WHERE act_id = ?1",
    "UPDATE refusal SET element = NULL, detail = NULL WHERE act_id = ?1",
    "DELETE FROM live_key WHERE act_id = ?1 AND kind = 'D'",
    "UPDATE batch_order SET json = NULL WHERE act_id = ?1 AND json IS NOT NULL",
    "UPDATE publication SET name = 'cancellato_' || hex(id) WHERE subject = ?1 AND kind IN ('RICEVUTA', 'SCARTO')",
];

/// What of a batch goes.
const OF_BATCH: [&str; 8] = [
    "UPDATE door_event SET name = NULL, target = NULL WHERE id IN (SELECT d.id FROM publication p JOIN door_event d \
     ON d.name = '/' || p.folder || '/' || p.name COLLATE NOCASE AND d.account = p.source WHERE p.subject = ?1 AND p.kind IN ('RICEVUTA', 'SCARTO'))",
    "UPDATE door_event SET name = NULL, target = NULL WHERE id IN (SELECT d.id FROM act a JOIN publication p ON p.subject = a.id JOIN door_event d \
     ON d.name = '/' || p.folder || '/' || p.name COLLATE NOCASE AND d.account = p.source WHERE a.batch_id = ?1 AND p.kind IN ('RICEVUTA', 'SCARTO'))",
    "UPDATE batch SET original_name = NULL, batch_file = NULL WHERE id = ?1",
    "UPDATE problem SET data = NULL WHERE batch_id = ?1",
    "UPDATE reject SET data = '' WHERE batch_id = ?1",
    "UPDATE batch_order SET json = NULL WHERE batch_id = ?1 AND json IS NOT NULL",
    "UPDATE publication SET name = 'cancellato_' || hex(id) WHERE subject = ?1 AND kind IN ('RICEVUTA', 'SCARTO')",
    "UPDATE publication SET name = 'cancellato_' || hex(id) WHERE subject IN (SELECT id FROM act WHERE batch_id = ?1) AND kind IN ('RICEVUTA', 'SCARTO')",
];
const OWED: &str = "conservazione.pulizia";

impl Store {
    /// Acts of an ente that closed before that instant and may lose their personal data; the oldest first. One whose amount is still
    /// followed (unpaid, with dates or questions to its PT to come) keeps them for [`FOLLOWED_DAYS`] more, at most.
    pub async fn acts_to_erase(&self, sender: &str, closed_before: Timestamp, limit: usize) -> Result<Vec<ActId>, StoreError> {
        let sender = sender.to_owned();
        self.read(move |db| {
            let mut select = db.prepare_cached(ACTS_DUE)?;
            let until = ms(closed_before);
            let acts = select.query_map(params![sender, until, limit as i64, until - FOLLOWED_DAYS * 86_400_000], |row| act_at(row, 0))?;
            Ok(acts.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// Decides that these acts lose their personal data. Those that are open (again) are left out. Answers how many.
    pub async fn begin_erasing(&self, acts: Vec<ActId>, cause: Cause, now: Timestamp) -> Result<usize, StoreError> {
        self.write(move |db| {
            let mut begin = db.prepare_cached(BEGIN_ACT)?;
            acts.iter().try_fold(0, |sum, act| Ok(sum + begin.execute(params![act.0.as_bytes(), cause.as_str(), ms(now)])?))
        })
        .await
    }

    /// Batches that were read before that instant and of which no act has personal data any more: a page after that one.
    pub async fn batches_to_erase(
        &self,
        finished_before: Timestamp,
        after: Option<(Timestamp, BatchId)>,
        limit: usize,
    ) -> Result<Vec<ClosedAct>, StoreError> {
        self.read(move |db| {
            let (from, id) = after.map_or((i64::MIN, Vec::new()), |(at, id)| (ms(at), id.0.as_bytes().to_vec()));
            let mut select = db.prepare_cached(BATCHES_DUE)?;
            let rows = select.query_map(params![from, id, ms(finished_before), limit as i64], |row| {
                Ok(ClosedAct { batch: batch_at(row, 0)?, source: row.get(1)?, sender: row.get(2)?, finished_at: at(row.get(3)?) })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// Decides that batches lose their own personal data: name, problems, refused rows, the batch file. One whose file acts on
    /// their way may still need waits until they do not.
    pub async fn begin_erasing_batches(&self, batches: Vec<BatchId>, cause: Cause, now: Timestamp) -> Result<usize, StoreError> {
        self.write(move |db| {
            let mut begin = db.prepare_cached(BEGIN_BATCH)?;
            batches.iter().try_fold(0, |sum, batch| Ok(sum + begin.execute(params![batch.0.as_bytes(), cause.as_str(), ms(now)])?))
        })
        .await
    }

    /// Archives about which deletions were decided that have not ended.
    pub async fn open_erasures(&self) -> Result<Vec<Pending>, StoreError> {
        self.read(|db| {
            let mut select = db.prepare_cached(OPEN_ARCHIVES)?;
            let rows = select.query_map([], |row| row.get::<_, Option<Vec<u8>>>(0))?;
            Ok(rows.map(|archive| archive.map(|archive| archive.and_then(digest))).collect::<Result<_, _>>()?)
        })
        .await
    }

    /// What of an archive is to be erased for the deletions that were decided and can be carried out now.
    pub async fn spans_to_erase(&self, archive: Pending) -> Result<Spans, StoreError> {
        self.read(move |db| spans(db, archive)).await
    }

    /// The files of these acts are erased: now their rows. Answers when all of them are on the disk.
    pub async fn end_erasing(&self, acts: Vec<ActId>, now: Timestamp) -> Result<(), StoreError> {
        for chunk in acts.chunks(CHUNK / 10) {
            let chunk = chunk.to_vec();
            self.write(move |db| overwriting(db, |db| chunk.iter().try_for_each(|act| end_act(db, *act, now)))).await?;
        }
        Ok(())
    }

    /// The same for batches.
    pub async fn end_erasing_batches(&self, batches: Vec<BatchId>, now: Timestamp) -> Result<(), StoreError> {
        for batch in batches {
            self.write(move |db| overwriting(db, |db| end_batch(db, batch, now))).await?;
        }
        Ok(())
    }

    /// When the personal data of an act or a batch was deleted, and why. What needs it can say so.
    pub async fn erased(&self, subject: uuid::Uuid) -> Result<Option<Erased>, StoreError> {
        self.read(move |db| {
            let found = db.prepare_cached(ERASED)?.query_row([subject.as_bytes()], |row| {
                let cause: String = row.get(1)?;
                Ok(Erased { at: at(row.get(0)?), cause: if cause == "RICHIESTA" { Cause::Request } else { Cause::Retention } })
            });
            optional(found)
        })
        .await
    }

    /// Legal facts of acts of an ente that closed before that instant and have no other personal data left; with them acts
    /// that have none to lose.
    pub async fn facts_to_erase(
        &self,
        sender: &str,
        closed_before: Timestamp,
        limit: usize,
    ) -> Result<(Vec<ActId>, Vec<ErasedFact>), StoreError> {
        let sender = sender.to_owned();
        self.read(move |db| {
            let mut select = db.prepare_cached(FACT_ACTS)?;
            let acts: Vec<ActId> =
                select.query_map(params![sender, ms(closed_before), limit as i64], |row| act_at(row, 0))?.collect::<Result<_, _>>()?;
            let mut facts = Vec::new();
            for act in &acts {
                let mut select = db.prepare_cached(FACTS)?;
                let rows = select.query_map([act.0.as_bytes()], |row| {
                    let sha256 = digest(row.get(2)?).unwrap_or(Sha256::from_bytes([0; 32]));
                    Ok(ErasedFact { act: act_at(row, 0)?, happened_at: at(row.get(1)?), sha256 })
                })?;
                facts.extend(rows.collect::<Result<Vec<_>, _>>()?);
            }
            Ok((acts, facts))
        })
        .await
    }

    /// The kept legal facts of these acts are gone. Their digests stay.
    pub async fn facts_erased(&self, acts: Vec<ActId>, now: Timestamp) -> Result<(), StoreError> {
        self.write(move |db| {
            for act in acts {
                if db.prepare_cached(FACTS_GONE)?.execute([act.0.as_bytes()])? > 0 {
                    append_history(db, "notifica", act.0.as_bytes(), "ATTESTAZIONI_CANCELLATE", None, None, now)?;
                }
                db.prepare_cached(FACTS_DONE)?.execute(params![act.0.as_bytes(), ms(now)])?;
            }
            Ok(())
        })
        .await
    }

    /// Acts whose content names a tax id: those among the next `rows` after that one, and where to go on; `None` at the end.
    pub async fn acts_naming(&self, tax_id: &str, after: Option<ActId>, rows: usize) -> Result<(Vec<ActId>, Option<ActId>), StoreError> {
        let tax_id = tax_id.to_owned();
        self.read(move |db| {
            let after = after.map_or(Vec::new(), |act| act.0.as_bytes().to_vec());
            let mut select = db.prepare_cached(MENTIONS)?;
            let page = select.query_map(params![after, tax_id, rows as i64], |row| Ok((act_at(row, 0)?, row.get::<_, bool>(1)?)))?;
            let page: Vec<(ActId, bool)> = page.collect::<Result<_, _>>()?;
            let next = page.last().filter(|_| page.len() == rows).map(|(act, _)| *act);
            Ok((page.into_iter().filter(|(_, named)| *named).map(|(act, _)| act).collect(), next))
        })
        .await
    }

    /// The same among what SEND told: whoever collected an act for its recipient is named there alone.
    pub async fn timelines_naming(&self, tax_id: &str, after: i64, rows: usize) -> Result<(Vec<ActId>, Option<i64>), StoreError> {
        let tax_id = tax_id.to_owned();
        self.read(move |db| {
            let mut select = db.prepare_cached(TOLD)?;
            let page = select.query_map(params![after, tax_id, rows as i64], |row| {
                Ok((row.get::<_, i64>(0)?, act_at(row, 1)?, row.get::<_, Option<bool>>(2)?.unwrap_or(false)))
            })?;
            let page: Vec<(i64, ActId, bool)> = page.collect::<Result<_, _>>()?;
            let next = page.last().filter(|_| page.len() == rows).map(|(n, ..)| *n);
            Ok((page.into_iter().filter(|(.., named)| *named).map(|(_, act, _)| act).collect(), next))
        })
        .await
    }

    /// Whether an act names a tax id.
    pub async fn act_names(&self, act: ActId, tax_id: &str) -> Result<bool, StoreError> {
        let tax_id = tax_id.to_owned();
        self.read(move |db| Ok(db.prepare_cached(NAMES_IN_ACT)?.query_row(params![act.0.as_bytes(), tax_id], |row| row.get(0))?)).await
    }

    /// Acts with their files in a batch's archive that name a tax id.
    pub async fn acts_of_batch_naming(&self, batch: BatchId, tax_id: &str) -> Result<Vec<ActId>, StoreError> {
        let tax_id = tax_id.to_owned();
        self.read(move |db| {
            let mut select = db.prepare_cached(NAMES_IN_BATCH)?;
            let acts = select.query_map(params![batch.0.as_bytes(), tax_id], |row| act_at(row, 0))?;
            Ok(acts.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// Batches whose file is kept, after that one: id, archive, entry of the batch file.
    pub async fn kept_batch_files(&self, after: Option<BatchId>, limit: usize) -> Result<Vec<(BatchId, Sha256, u32)>, StoreError> {
        self.read(move |db| {
            let after = after.map_or(Vec::new(), |batch| batch.0.as_bytes().to_vec());
            let mut select = db.prepare_cached(BATCH_FILES)?;
            let rows = select.query_map(params![after, limit as i64], |row| {
                let archive = digest(row.get(1)?).unwrap_or(Sha256::from_bytes([0; 32]));
                Ok((batch_at(row, 0)?, archive, row.get::<_, Option<u32>>(2)?.unwrap_or(0)))
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// What is to be known of an act before its person's data is deleted.
    pub async fn act_of_person(&self, act: ActId) -> Result<Option<Open>, StoreError> {
        self.read(move |db| {
            let when = |row: &rusqlite::Row<'_>, index| row.get::<_, Option<i64>>(index).map(|value| value.map(at));
            optional(db.prepare_cached(OF_PERSON)?.query_row([act.0.as_bytes()], |row| {
                Ok(Open {
                    act: act_at(row, 0)?,
                    sender: row.get(1)?,
                    source: row.get(2)?,
                    reference: row.get(3)?,
                    state: row.get(4)?,
                    closed_at: when(row, 5)?,
                    erased_at: when(row, 6)?,
                    settled: row.get(7)?,
                    decided: row.get(8)?,
                    legal_facts: row.get::<_, i64>(9)?.unsigned_abs(),
                    batch: batch_at(row, 10)?,
                })
            }))
        })
        .await
    }

    /// Published files of a gestionale up to that instant which retention has not looked at; with where to go on afterwards.
    pub async fn old_files(&self, source: &str, until: Timestamp, limit: usize) -> Result<(Vec<OldFile>, Option<uuid::Uuid>), StoreError> {
        let source = source.to_owned();
        self.read(move |db| {
            let after: Option<String> = optional(db.prepare_cached(SETTING)?.query_row([removed_up_to(&source)], |row| row.get(0)))?;
            let after = after.and_then(|text| text.parse::<uuid::Uuid>().ok()).map_or(Vec::new(), |id| id.as_bytes().to_vec());
            let mut select = db.prepare_cached(OLD_FILES)?;
            let mut rows = select.query(params![after, limit as i64])?;
            let (mut files, mut last) = (Vec::new(), None);
            while let Some(row) = rows.next()? {
                // Ids grow with time; one of its own that is about to be published is looked at again. One that waits for its copy may
                // do so for long: it keeps nothing behind it, and is looked at once it is made.
                let (created_at, own) = (at(row.get(4)?), row.get::<_, String>(6)? == source);
                let state: String = row.get(5)?;
                if created_at > until || (own && state == "PREPARATO") {
                    break;
                }
                let id = uuid_at(row, 0)?;
                last = Some(id);
                if own && state == "PUBBLICATO" {
                    let sha256 = digest(row.get(3)?).unwrap_or(Sha256::from_bytes([0; 32]));
                    let size = row.get::<_, i64>(7)?.unsigned_abs();
                    files.push(OldFile { id, folder: row.get(1)?, name: row.get(2)?, sha256, size, created_at });
                }
            }
            Ok((files, last))
        })
        .await
    }

    /// Published files of a gestionale were removed up to that one.
    pub async fn old_files_removed(&self, source: &str, last: uuid::Uuid) -> Result<(), StoreError> {
        self.set_setting(&removed_up_to(source), &last.to_string()).await
    }

    /// A small value that outlives a restart.
    pub async fn setting(&self, name: &str) -> Result<Option<String>, StoreError> {
        let name = name.to_owned();
        self.read(move |db| optional(db.prepare_cached(SETTING)?.query_row([name], |row| row.get(0)))).await
    }

    /// Keeps it.
    pub async fn set_setting(&self, name: &str, value: &str) -> Result<(), StoreError> {
        let (name, value) = (name.to_owned(), value.to_owned());
        self.write(move |db| Ok(db.prepare_cached(SET)?.execute([name, value]).map(drop)?)).await
    }

    /// Takes the names of files out of the books of the door up to an instant.
    pub async fn forget_names(&self, before: Timestamp) -> Result<usize, StoreError> {
        const DONE: &str = "conservazione.nomi";
        self.write(move |db| {
            let from: Option<String> = optional(db.prepare_cached(SETTING)?.query_row([DONE], |row| row.get(0)))?;
            let from = from.and_then(|text| text.parse::<i64>().ok()).unwrap_or(i64::MIN);
            db.prepare_cached(SET)?.execute([DONE, &ms(before).to_string()])?;
            overwriting(db, |db| Ok(db.prepare_cached(FORGET_NAMES)?.execute(params![from, ms(before)])?))
        })
        .await
    }

    /// Whether something was deleted since the last [`Store::compact`].
    pub async fn owes_compaction(&self) -> Result<bool, StoreError> {
        Ok(self.setting(OWED).await?.is_some_and(|value| value == "1"))
    }

    /// Bytes of the database.
    pub async fn database_bytes(&self) -> Result<u64, StoreError> {
        self.read(|db| {
            let pages: i64 = db.query_row("PRAGMA page_count", [], |row| row.get(0))?;
            let size: i64 = db.query_row("PRAGMA page_size", [], |row| row.get(0))?;
            Ok(pages.saturating_mul(size).unsigned_abs())
        })
        .await
    }

    /// Writes the database anew without what was deleted, in no page and not in the log. Everybody who writes waits meanwhile.
    pub async fn compact(&self) -> Result<(), StoreError> {
        self.alone(|db| {
            // The copy is as large as the database: not in memory.
            db.execute_batch("PRAGMA temp_store = FILE")?;
            let written = db.execute_batch("VACUUM");
            db.execute_batch("PRAGMA temp_store = MEMORY")?;
            Ok(written?)
        })
        .await?;
        self.empty_log().await?;
        self.set_setting(OWED, "0").await
    }

    /// Brings the log into the database and cuts it to nothing: what it held of older pages is gone.
    pub async fn empty_log(&self) -> Result<(), StoreError> {
        for _ in 0..100 {
            let emptied = self
                .alone(|db| {
                    db.busy_timeout(Duration::from_millis(200))?;
                    let busy: Result<bool, _> = db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0));
                    db.busy_timeout(Duration::from_secs(10))?;
                    Ok(!busy?)
                })
                .await?;
            if emptied {
                return Ok(());
            }
            // Somebody is reading: a few milliseconds, as a rule.
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Err(StoreError::Database("the log is being read and cannot be emptied".to_owned()))
    }
}

/// A file that waited while retention went past it gets its name now: its term goes on from its day, and it is looked at again.
pub(super) fn look_again_from(db: &Connection, id: uuid::Uuid) -> Result<(), StoreError> {
    let sql = "SELECT source FROM publication WHERE id = ?1";
    let Some(source) = optional(db.prepare_cached(sql)?.query_row([id.as_bytes()], |row| row.get::<_, String>(0)))? else { return Ok(()) };
    let before = uuid::Uuid::from_u128(id.as_u128().saturating_sub(1)).to_string();
    let sql = "UPDATE setting SET value = ?2 WHERE name = ?1 AND value > ?2";
    db.prepare_cached(sql)?.execute([removed_up_to(&source), before])?;
    Ok(())
}

fn removed_up_to(source: &str) -> String {
    format!("conservazione.file.{source}")
}

/// Runs `change` so that deleted cells and pages are overwritten with zeros. Only its own writes pay for that; if it writes anything
/// the database is to be written anew ([`Store::compact`]).
pub(super) fn overwriting<T>(db: &Connection, change: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
    let before = db.total_changes();
    db.execute_batch("PRAGMA secure_delete = ON")?;
    let outcome = change(db);
    db.execute_batch("PRAGMA secure_delete = OFF")?;
    let outcome = outcome?;
    if db.total_changes() > before {
        db.prepare_cached(SET)?.execute([OWED, "1"])?;
    }
    Ok(outcome)
}

fn end_act(db: &Connection, act: ActId, now: Timestamp) -> Result<(), StoreError> {
    let id = act.0.as_bytes();
    let cause: Option<String> = optional(db.prepare_cached(END)?.query_row(params!["notifica", id, ms(now)], |row| row.get(0)))?;
    let Some(cause) = cause else { return Ok(()) };
    super::position_acts::bereave(db, act, now)?;
    for sql in OF_ACT {
        db.prepare_cached(sql)?.execute([id])?;
    }
    db.prepare_cached("UPDATE act SET erased_at = ?2 WHERE id = ?1")?.execute(params![id, ms(now)])?;
    let about = serde_json::json!({ "code": cause }).to_string();
    append_history(db, "notifica", id, "DATI_CANCELLATI", None, Some(&about), now)
}

fn end_batch(db: &Connection, batch: BatchId, now: Timestamp) -> Result<(), StoreError> {
    let id = batch.0.as_bytes();
    let cause: Option<String> = optional(db.prepare_cached(END)?.query_row(params!["lotto", id, ms(now)], |row| row.get(0)))?;
    let Some(cause) = cause else { return Ok(()) };
    forget_door_names(db, batch)?;
    for sql in OF_BATCH {
        db.prepare_cached(sql)?.execute([id])?;
    }
    db.prepare_cached("UPDATE batch SET erased_at = ?2 WHERE id = ?1")?.execute(params![id, ms(now)])?;
    let about = serde_json::json!({ "code": cause }).to_string();
    append_history(db, "lotto", id, "DATI_CANCELLATI", None, Some(&about), now)
}

/// The names under which the bytes of a batch came by SFTP, wherever the books tell them.
fn forget_door_names(db: &Connection, batch: BatchId) -> Result<(), StoreError> {
    let found = db
        .prepare_cached("SELECT sha256, source FROM batch WHERE id = ?1")?
        .query_row([batch.0.as_bytes()], |row| Ok((row.get::<_, Option<Vec<u8>>>(0)?, row.get::<_, String>(1)?)))?;
    let (Some(sha256), source) = found else { return Ok(()) };
    let names: Vec<String> =
        db.prepare_cached(NAMES_SEEN)?.query_map(params![sha256, source], |row| row.get(0))?.collect::<Result<_, _>>()?;
    for name in names {
        for sql in [
            "UPDATE door_event SET name = NULL, target = NULL WHERE name = ?1 COLLATE NOCASE AND account = ?2",
            "UPDATE door_event SET name = NULL, target = NULL WHERE target = ?1 COLLATE NOCASE AND account = ?2",
        ] {
            db.prepare_cached(sql)?.execute([&name, &source])?;
        }
    }
    Ok(())
}

/// Entries that an act's content names.
fn entries_of(json: &str) -> Result<impl Iterator<Item = u32>, StoreError> {
    let act: Act = serde_json::from_str(json)?;
    let entries: Vec<u32> = act.files().filter_map(|file| file.stored.map(|stored| stored.entry)).collect();
    Ok(entries.into_iter())
}

fn spans(db: &Connection, archive: Pending) -> Result<Spans, StoreError> {
    let mut found = Spans::default();
    let key = archive.map(|archive| archive.as_bytes().to_vec());
    let mut asked = BTreeSet::new();
    let mut select = db.prepare_cached(OPEN_SUBJECTS)?;
    let mut rows = select.query([&key])?;
    while let Some(row) = rows.next()? {
        if row.get::<_, String>(0)? == "notifica" {
            found.acts.push(act_at(row, 1)?);
        } else {
            asked.insert(batch_at(row, 1)?);
        }
    }
    let Some(key) = key else {
        found.batches = asked.into_iter().collect();
        return Ok(found);
    };
    // Everybody who has these bytes: the same archive may have come from two gestionali.
    let mut in_use: HashSet<u32> = HashSet::new();
    let (mut all, mut reading) = (true, false);
    let mut select = db.prepare_cached(SHARING)?;
    let mut rows = select.query([&key])?;
    while let Some(row) = rows.next()? {
        let batch = batch_at(row, 0)?;
        let (state, erased, unread, decided): (String, bool, bool, bool) = (row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?);
        reading |= unread;
        if asked.contains(&batch) && !db.prepare_cached(NEEDED)?.query_row([batch.0.as_bytes()], |row| row.get::<_, bool>(0))? {
            found.batches.push(batch);
        }
        let gone = erased || (decided && (found.batches.contains(&batch) || !asked.contains(&batch)));
        all &= gone || state == "DUPLICATO";
        let mut contents = db.prepare_cached(IN_USE)?;
        let mut contents = contents.query([batch.0.as_bytes()])?;
        while let Some(row) = contents.next()? {
            in_use.extend(entries_of(&row.get::<_, String>(0)?)?);
        }
    }
    if reading {
        // Being read again right now: later.
        return Ok(Spans::default());
    }
    found.whole = all && in_use.is_empty();
    if found.whole {
        return Ok(found);
    }
    let mut going: HashSet<u32> = HashSet::new();
    for act in &found.acts {
        let json: Option<String> = optional(db.prepare_cached(CONTENT)?.query_row([act.0.as_bytes()], |row| row.get(0)))?;
        if let Some(json) = json {
            going.extend(entries_of(&json)?);
        }
    }
    let mut kept = HashSet::new();
    let mut select = db.prepare_cached(ENTRIES)?;
    let mut rows = select.query([&key])?;
    while let Some(row) = rows.next()? {
        let (entry, header): (u32, u64) = (row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs());
        if !in_use.contains(&entry) && (all || going.contains(&entry)) {
            found.entries.push((header, row.get::<_, i64>(2)?.unsigned_abs(), row.get::<_, i64>(3)?.unsigned_abs()));
        } else {
            kept.insert(header);
        }
    }
    found.kept = all.then_some(kept);
    Ok(found)
}
