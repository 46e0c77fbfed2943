//! Looking things up: for commands now, for the portal later. Read only.

use std::collections::HashSet;

use jiff::Timestamp;
use rusqlite::{Connection, params};
use serde::Serialize;
use uuid::Uuid;

use super::acts::{ActView, VIEW, read_view};
use super::codec::{act_at, at, batch_at, ms};
use super::{Store, StoreError};
use crate::domain::ids::{ActId, BatchId, PositionId};
use crate::flow::effect::Effect;
use crate::flow::state::State;

impl Store {
    /// The enti of the acts of a batch.
    pub async fn senders_of(&self, batch: BatchId) -> Result<Vec<String>, StoreError> {
        self.read(move |db| {
            let mut select = db.prepare_cached("SELECT DISTINCT sender FROM act WHERE batch_id = ?1 ORDER BY sender")?;
            Ok(select.query_map([batch.0.as_bytes()], |row| row.get(0))?.collect::<Result<_, _>>()?)
        })
        .await
    }
}

/// One row of a subject's history.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HistoryRow {
    pub at: Timestamp,
    pub event: String,
    pub state: Option<String>,
    pub data: Option<String>,
}

/// Something operators were told.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AlertRow {
    pub at: Timestamp,
    pub code: String,
    pub source: Option<String>,
    pub sender: Option<String>,
    pub about: String,
    pub flow: Option<String>,
    pub batch: Option<BatchId>,
    /// Counts and codes.
    pub data: Option<serde_json::Value>,
}

/// The hub in numbers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Overview {
    /// (state, acts).
    pub acts: Vec<(String, u64)>,
    /// (reason, acts).
    pub parked: Vec<(String, u64)>,
    /// (state, batches).
    pub batches: Vec<(String, u64)>,
    /// (state, jobs).
    pub jobs: Vec<(String, u64)>,
    /// Batches whose own work is suspended.
    pub parked_batches: Vec<BatchId>,
    /// The job that is due for the longest time.
    pub oldest_due: Option<Timestamp>,
}

/// Something that waits for nothing: it should never be.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Stuck {
    pub act: Option<ActId>,
    pub batch: BatchId,
    pub state: String,
    /// What is missing: `SENZA_INVIO`, `PRIMI_ATTI_GIA_RISPOSTI`, ...
    pub why: &'static str,
}

/// A batch of which something was accepted, and nothing will start it.
const NOT_STARTED: &str = "LOTTO_NON_AVVIATO";

impl Stuck {
    /// Every word of `why`.
    pub fn codes() -> Vec<&'static str> {
        STUCK.iter().map(|(why, _)| *why).chain([NOT_STARTED]).collect()
    }
}

/// What SEND has still to tell, or messo to fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Left {
    /// Live acts that are not complete.
    pub open: u64,
    /// Prices still to be asked (counted when no act is open).
    pub prices: u64,
    /// Legal facts announced and not yet kept (the same).
    pub legal_facts: u64,
}

/// A job of an act: what happens next.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct JobRow {
    pub kind: String,
    pub state: String,
    pub due_at: Timestamp,
    pub attempts: u32,
    pub error: Option<String>,
}

impl Store {
    /// Acts with that id, IUN, reference, protocol or notice code; the newest submissions first, at most 50.
    pub async fn find_acts(&self, text: &str) -> Result<Vec<ActView>, StoreError> {
        let text = text.trim().to_owned();
        self.read(move |db| {
            let id = text.parse::<Uuid>().map(|id| id.as_bytes().to_vec()).unwrap_or_default();
            let sql = format!(
                "SELECT {VIEW} FROM act WHERE staged = 0 AND (id = ?1 OR (substr(iun, 1, 9) = substr(?2, 1, 9) AND iun = ?2) OR reference = ?2 OR protocol = ?2 \
                 OR id IN (SELECT act_id FROM notice WHERE notice_code = ?2)) ORDER BY created_at DESC, submission DESC LIMIT 50"
            );
            let mut select = db.prepare_cached(&sql)?;
            Ok(select.query_map(params![id, text], read_view)?.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// Acts of a batch in the order of the file, at most `limit` after position `after`.
    pub async fn acts_of_batch(&self, batch: BatchId, after: usize, limit: usize) -> Result<Vec<ActView>, StoreError> {
        self.read(move |db| {
            let sql = format!("SELECT {VIEW} FROM act WHERE batch_id = ?1 AND staged = 0 ORDER BY ordinal, submission LIMIT ?3 OFFSET ?2");
            let mut select = db.prepare_cached(&sql)?;
            Ok(select.query_map(params![batch.0.as_bytes(), after as i64, limit as i64], read_view)?.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// (state, acts) of a batch; of acts submitted again only the newest submission counts.
    pub async fn states_of_batch(&self, batch: BatchId) -> Result<Vec<(String, u64)>, StoreError> {
        self.read(move |db| {
            let mut select = db.prepare_cached(
                "SELECT CASE WHEN a.park_code IS NULL THEN a.state ELSE 'SOSPESO' END, count(*) FROM act a WHERE a.batch_id = ?1 AND a.staged = 0 \
                 AND NOT EXISTS (SELECT 1 FROM act b WHERE b.sender = a.sender AND b.source = a.source AND b.reference = a.reference \
                 AND b.submission > a.submission AND b.batch_id = a.batch_id) GROUP BY 1 ORDER BY 1",
            )?;
            let rows = select.query_map([batch.0.as_bytes()], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs())))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// History of an act or batch, in the order it happened here: steps, orders, and every element of the timeline.
    pub async fn history(&self, subject: Uuid) -> Result<Vec<HistoryRow>, StoreError> {
        self.read(move |db| {
            let mut select = db.prepare_cached(
                "SELECT at, event, state, data FROM history WHERE subject_kind IN ('notifica', 'lotto') AND subject_id = ?1 ORDER BY seq LIMIT 10000",
            )?;
            let rows = select.query_map([subject.as_bytes()], |row| {
                Ok(HistoryRow { at: at(row.get(0)?), event: row.get(1)?, state: row.get(2)?, data: row.get(3)? })
            })?;
            let mut history: Vec<HistoryRow> = rows.collect::<Result<_, _>>()?;
            let about = |element: &str| serde_json::json!({ "elementId": element }).to_string();
            let moved: HashSet<String> = history.iter().filter_map(|row| row.data.clone()).collect();
            let mut select = db.prepare_cached(
                "SELECT received_at, category, element_id FROM timeline WHERE act_id = ?1 AND category <> '' ORDER BY n LIMIT 10000",
            )?;
            let rows = select.query_map([subject.as_bytes()], |row| {
                Ok(HistoryRow { at: at(row.get(0)?), event: row.get(1)?, state: None, data: Some(about(&row.get::<_, String>(2)?)) })
            })?;
            for row in rows {
                let row = row?;
                // The answer to the request is a step of its own.
                let answer = matches!(row.event.as_str(), "REQUEST_ACCEPTED" | "REQUEST_REFUSED");
                let told = answer && history.iter().any(|step| step.event == row.event);
                if !told && !row.data.as_ref().is_some_and(|data| moved.contains(data)) {
                    history.push(row);
                }
            }
            history.sort_by_key(|row| row.at);
            Ok(history)
        })
        .await
    }

    /// Jobs of an act or batch: what happens next.
    pub async fn jobs_of(&self, subject: Uuid) -> Result<Vec<JobRow>, StoreError> {
        self.read(move |db| {
            let mut select = db.prepare_cached(
                "SELECT kind, state, due_at, attempts, error FROM job WHERE subject_kind IN ('notifica', 'lotto') AND subject_id = ?1 ORDER BY due_at",
            )?;
            let rows = select.query_map([subject.as_bytes()], |row| {
                Ok(JobRow { kind: row.get(0)?, state: row.get(1)?, due_at: at(row.get(2)?), attempts: row.get(3)?, error: row.get(4)? })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// What happened to a debt position, in order.
    pub async fn position_history(&self, position: PositionId) -> Result<Vec<HistoryRow>, StoreError> {
        self.read(move |db| {
            let mut select = db.prepare_cached(
                "SELECT at, event, state, data FROM history WHERE subject_kind = 'posizione' AND subject_id = ?1 ORDER BY seq LIMIT 10000",
            )?;
            let rows = select.query_map([position.0.as_bytes()], |row| {
                Ok(HistoryRow { at: at(row.get(0)?), event: row.get(1)?, state: row.get(2)?, data: row.get(3)? })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// What is still to be done about it.
    pub async fn position_jobs(&self, position: PositionId) -> Result<Vec<JobRow>, StoreError> {
        self.read(move |db| {
            let mut select = db.prepare_cached(
                "SELECT kind, state, due_at, attempts, error FROM job WHERE subject_kind = 'posizione' AND subject_id = ?1 ORDER BY due_at",
            )?;
            let rows = select.query_map([position.0.as_bytes()], |row| {
                Ok(JobRow { kind: row.get(0)?, state: row.get(1)?, due_at: at(row.get(2)?), attempts: row.get(3)?, error: row.get(4)? })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// What operators were told since `since`, newest first; not the reports of each day.
    pub async fn alerts(&self, since: Timestamp, limit: usize) -> Result<Vec<AlertRow>, StoreError> {
        self.read(move |db| {
            let sql = "SELECT at, code, source, sender, about, flow, batch_id, data FROM alert WHERE at >= ?1 \
                       AND code <> 'RAPPORTO_DEL_GIORNO' ORDER BY at DESC, id DESC LIMIT ?2";
            read_alerts(db, sql, params![ms(since), limit as i64])
        })
        .await
    }

    /// Everything that operators were told from one instant to another, newest first.
    pub async fn alerts_between(&self, from: Timestamp, to: Timestamp, limit: usize) -> Result<Vec<AlertRow>, StoreError> {
        self.read(move |db| {
            let sql = "SELECT at, code, source, sender, about, flow, batch_id, data FROM alert WHERE at >= ?1 AND at < ?2 \
                       ORDER BY at DESC, id DESC LIMIT ?3";
            read_alerts(db, sql, params![ms(from), ms(to), limit as i64])
        })
        .await
    }

    /// What is still to come for the acts that were started.
    pub async fn left_to_follow(&self) -> Result<Left, StoreError> {
        self.read(|db| {
            let open: i64 = db
                .prepare_cached(
                    "SELECT count(*) FROM act WHERE state IN ('IN_ATTESA', 'IN_PREPARAZIONE', 'IN_CARICAMENTO', 'IN_INVIO', 'INVIATO', \
                     'IN_CONSEGNA', 'IN_ANNULLAMENTO')",
                )?
                .query_row([], |row| row.get(0))?;
            let mut left = Left { open: open.unsigned_abs(), prices: 0, legal_facts: 0 };
            if open == 0 {
                let mut select = db.prepare_cached("SELECT kind, count(*) FROM job GROUP BY kind")?;
                let rows = select.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?.unsigned_abs())))?;
                for row in rows {
                    match row? {
                        (kind, count) if kind == "CHIEDI_COSTO" => left.prices = count,
                        (kind, count) if kind == Effect::FetchLegalFacts.name() => left.legal_facts = count,
                        _ => {}
                    }
                }
            }
            Ok(left)
        })
        .await
    }

    /// The hub in numbers.
    pub async fn overview(&self) -> Result<Overview, StoreError> {
        self.read(|db| {
            let counts = |sql: &str| -> Result<Vec<(String, u64)>, StoreError> {
                let mut select = db.prepare_cached(sql)?;
                let rows = select.query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs())))?;
                Ok(rows.collect::<Result<_, _>>()?)
            };
            let oldest: Option<i64> =
                db.prepare_cached("SELECT min(due_at) FROM job WHERE state = 'PRONTO'")?.query_row([], |row| row.get(0))?;
            // From an index alone; rows of batches under reading are of the first state.
            let staged: i64 = db.prepare_cached("SELECT count(*) FROM act WHERE staged = 1")?.query_row([], |row| row.get(0))?;
            let mut acts = counts("SELECT state, count(*) FROM act GROUP BY state ORDER BY state")?;
            for (state, count) in &mut acts {
                if state == State::Preparing.name() {
                    *count = count.saturating_sub(staged.unsigned_abs());
                }
            }
            acts.retain(|(_, count)| *count > 0);
            Ok(Overview {
                acts,
                parked: counts("SELECT park_code, count(*) FROM act WHERE park_code IS NOT NULL GROUP BY park_code ORDER BY park_code")?,
                batches: counts("SELECT state, count(*) FROM batch GROUP BY state ORDER BY state")?,
                jobs: counts("SELECT state, count(*) FROM job GROUP BY state ORDER BY state")?,
                parked_batches: super::jobs::parked_batches(db)?,
                oldest_due: oldest.map(at),
            })
        })
        .await
    }

    /// Acts and batches that nothing will ever move, as of `now`: no job, no person, no event is awaited. Always empty, or a fault
    /// of messo. At most a hundred of each kind.
    pub async fn stuck(&self, now: Timestamp) -> Result<Vec<Stuck>, StoreError> {
        self.read(move |db| {
            let mut found = Vec::new();
            for (why, condition) in STUCK {
                let sql = format!(
                    "SELECT a.id, a.batch_id, a.state FROM act a WHERE a.staged = 0 AND a.updated_at <= ?1 AND {condition} LIMIT 100"
                );
                let mut select = db.prepare_cached(&sql)?;
                let rows = select.query_map([ms(now)], |row| {
                    Ok(Stuck { act: Some(act_at(row, 0)?), batch: batch_at(row, 1)?, state: row.get(2)?, why })
                })?;
                found.extend(rows.collect::<Result<Vec<_>, _>>()?);
            }
            let mut select = db.prepare_cached(
                "SELECT b.id, b.state FROM batch b WHERE b.state IN ('PRESA_IN_CARICO', 'PARZIALE') AND b.dry_run = 0 AND b.finished_at <= ?1 \
                 AND (b.started = 0 OR EXISTS (SELECT 1 FROM act a WHERE a.batch_id = b.id AND a.staged = 1) \
                 OR EXISTS (SELECT 1 FROM batch_order o WHERE o.batch_id = b.id AND o.done = 0)) \
                 AND NOT EXISTS (SELECT 1 FROM job j WHERE j.subject_kind = 'lotto' AND j.subject_id = b.id AND j.kind = 'AVVIA') LIMIT 100",
            )?;
            let rows = select.query_map([ms(now)], |row| {
                Ok(Stuck { act: None, batch: batch_at(row, 0)?, state: row.get(1)?, why: NOT_STARTED })
            })?;
            found.extend(rows.collect::<Result<Vec<_>, _>>()?);
            Ok(found)
        })
        .await
    }
}

fn read_alerts(db: &Connection, sql: &str, parameters: &[&dyn rusqlite::ToSql]) -> Result<Vec<AlertRow>, StoreError> {
    let mut select = db.prepare_cached(sql)?;
    let rows = select.query_map(parameters, |row| {
        let batch = row.get::<_, Option<Vec<u8>>>(6)?.and_then(|id| Uuid::from_slice(&id).ok()).map(BatchId);
        let (at, code, about) = (at(row.get(0)?), row.get(1)?, row.get(4)?);
        let alert = AlertRow { at, code, source: row.get(2)?, sender: row.get(3)?, about, flow: row.get(5)?, batch, data: None };
        Ok((alert, row.get::<_, Option<String>>(7)?))
    })?;
    rows.map(|row| {
        let (alert, data) = row?;
        Ok(AlertRow { data: data.as_deref().map(serde_json::from_str).transpose()?, ..alert })
    })
    .collect()
}

/// What an act may wait for in each state, and the condition under which it is missing.
const STUCK: [(&str, &str); 8] = [
    (
        "SENZA_PREPARAZIONE",
        "a.state = 'IN_PREPARAZIONE' AND NOT EXISTS (SELECT 1 FROM job j WHERE j.subject_kind = 'notifica' AND j.subject_id = a.id AND j.kind IN ('PREPARA', 'ANNULLA_APPENA_POSSIBILE'))",
    ),
    (
        "SENZA_CARICAMENTO",
        "a.state = 'IN_CARICAMENTO' AND NOT EXISTS (SELECT 1 FROM job j WHERE j.subject_kind = 'notifica' AND j.subject_id = a.id AND j.kind IN ('CARICA', 'ANNULLA_APPENA_POSSIBILE'))",
    ),
    (
        "SENZA_INVIO",
        "a.state = 'IN_INVIO' AND NOT EXISTS (SELECT 1 FROM job j WHERE j.subject_kind = 'notifica' AND j.subject_id = a.id AND j.kind IN ('INVIA', 'ANNULLA_APPENA_POSSIBILE'))",
    ),
    (
        "SENZA_RICHIESTA_ESITO",
        "a.state = 'INVIATO' AND NOT EXISTS (SELECT 1 FROM job j WHERE j.subject_kind = 'notifica' AND j.subject_id = a.id AND j.kind = 'CHIEDI_ESITO')",
    ),
    (
        "PRIMI_ATTI_GIA_RISPOSTI",
        "a.state = 'IN_ATTESA' AND a.hold = 'PRIMI_ATTI' AND a.park_code IS NULL \
         AND EXISTS (SELECT 1 FROM batch b WHERE b.id = a.batch_id AND (b.guard_open <= 0 OR b.guard_first = 0)) \
         AND NOT EXISTS (SELECT 1 FROM job j WHERE j.subject_kind = 'lotto' AND j.subject_id = a.batch_id AND j.kind = 'APRI')",
    ),
    (
        "PRECEDENTE_GIA_CHIUSO",
        "a.state = 'IN_ATTESA' AND a.hold = 'ANNULLAMENTO_DEL_PRECEDENTE' \
         AND NOT EXISTS (SELECT 1 FROM act o WHERE o.id = a.replaces AND o.live = 1) \
         AND NOT EXISTS (SELECT 1 FROM job j WHERE j.subject_kind = 'notifica' AND j.subject_id = a.replaces AND j.kind = 'AVVIA_SOSTITUZIONE')",
    ),
    (
        "PRECEDENTE_NON_ANNULLATO",
        "a.state = 'IN_ATTESA' AND a.hold = 'ANNULLAMENTO_DEL_PRECEDENTE' \
         AND EXISTS (SELECT 1 FROM act o WHERE o.id = a.replaces AND o.live = 1 AND o.state <> 'IN_ANNULLAMENTO') \
         AND NOT EXISTS (SELECT 1 FROM batch_order b WHERE b.act_id = a.replaces AND b.done = 0)",
    ),
    (
        "SOSPESO_SENZA_LAVORO",
        "a.park_code IS NOT NULL AND NOT (a.state = 'IN_ATTESA' AND a.hold = 'PRIMI_ATTI') \
         AND NOT EXISTS (SELECT 1 FROM job j WHERE j.subject_kind = 'notifica' AND j.subject_id = a.id AND j.state = 'SOSPESO')",
    ),
];
