//! The day of one ente in numbers, for `messo report` and the nightly mail.
//!
//! The ledger and the timeline are written in the order of time: a day of them is a range of their keys, found by bisection, so
//! that a report reads what happened in the day and not what there is.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use rusqlite::{Connection, params};

use super::alerts;
use super::batches::read_work;
use super::codec::{at, batch_at, ms, optional, uuid_at};
use super::{Store, StoreError};
use crate::domain::alert::{self, Phase};
use crate::domain::daily::{DailyBatch, DailyReport, DailyStuck, DailyTrouble, SHOWN};
use crate::domain::outcome::OutcomeState;
use crate::flow::forecast::{Limits, Used, Work, last_send};
use crate::flow::state::State;

/// Which day, of whom, as of when.
#[derive(Debug, Clone)]
pub struct DailyAsk {
    pub day: Date,
    /// First instant of the day and of the next one.
    pub from: Timestamp,
    pub to: Timestamp,
    pub sender: String,
    pub denomination: String,
    pub environment: String,
    /// Gestionali that send for the ente; of those, which send for no other.
    pub sources: Vec<String>,
    pub own_sources: Vec<String>,
    pub limits: Limits,
    pub now: Timestamp,
    /// `now` in Rome.
    pub wall: DateTime,
}

/// The setting that remembers the last day of an ente whose report was made at its hour.
fn told_until(sender: &str) -> String {
    format!("rapporto/{sender}")
}

/// Under this code the report of a day is handed to whom it is for.
const REPORT: &str = "RAPPORTO_DEL_GIORNO";

impl Store {
    /// The report of a day.
    pub async fn daily(&self, ask: DailyAsk) -> Result<DailyReport, StoreError> {
        self.read(move |db| {
            // All of it as of one moment.
            let moment = db.unchecked_transaction()?;
            let report = report(&moment, ask);
            moment.finish()?;
            report
        })
        .await
    }

    /// Whether the report of `day` is still to be made at its hour. An ente that is new begins with the next one.
    pub async fn report_is_due(&self, sender: &str, day: Date) -> Result<bool, StoreError> {
        let name = told_until(sender);
        self.write(move |db| {
            db.prepare_cached("INSERT INTO setting (name, value) VALUES (?1, ?2) ON CONFLICT DO NOTHING")?
                .execute(params![name, day.to_string()])?;
            let last: String = db.prepare_cached("SELECT value FROM setting WHERE name = ?1")?.query_row([&name], |row| row.get(0))?;
            Ok(last.parse::<Date>().map_or(true, |last| last < day))
        })
        .await
    }

    /// Hands a report over as an alert. `nightly`: it is that of its day, once; false: it was handed over before.
    pub async fn tell_report(&self, report: &DailyReport, nightly: bool, now: Timestamp) -> Result<bool, StoreError> {
        let (sender, day, data) = (report.sender.clone(), report.day.to_string(), serde_json::to_value(report)?);
        self.write(move |db| {
            if nightly {
                let sql = "INSERT INTO setting (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = excluded.value \
                           WHERE value < excluded.value";
                if db.prepare_cached(sql)?.execute(params![told_until(&sender), day])? == 0 {
                    return Ok(false);
                }
            }
            alerts::Alert::new(REPORT, &day).sender(Some(&sender)).data(Some(&data)).raise(db, now)?;
            Ok(true)
        })
        .await
    }
}

fn report(db: &Connection, ask: DailyAsk) -> Result<DailyReport, StoreError> {
    let sources = sources(db)?;
    let (batches, batches_total) = batches(db, &ask)?;
    let moves = moves(db, &ask, &sources)?;
    let waiting = waiting(db, &ask)?;
    let parked = parked(db, &ask)?;
    let count = |state: OutcomeState| moves.acts.get(state.as_str()).copied().unwrap_or(0);
    Ok(DailyReport {
        day: ask.day,
        sender: ask.sender.clone(),
        denomination: ask.denomination.clone(),
        environment: ask.environment.clone(),
        batches,
        batches_total,
        states: states(db, &ask, &sources)?,
        sent: count(OutcomeState::Sent),
        accepted: count(OutcomeState::Accepted),
        completed: moves.completed,
        refused: count(OutcomeState::Refused),
        cancelled: count(OutcomeState::Cancelled),
        refusals: moves.refusals,
        cost_cents: cost(db, &ask)?,
        oldest_stuck: oldest_stuck(db, &ask, &parked)?,
        parked,
        waiting: waiting.acts,
        last_send: last_day(db, &ask, waiting)?,
        next_send: next_send(db, &ask)?,
        troubles: troubles(db, &ask)?,
    })
}

/// Every gestionale that has lines, of whatever ente.
fn sources(db: &Connection) -> Result<Vec<String>, StoreError> {
    let mut select = db.prepare_cached("SELECT source FROM counter")?;
    Ok(select.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?)
}

fn batches(db: &Connection, ask: &DailyAsk) -> Result<(Vec<DailyBatch>, u64), StoreError> {
    // A batch names its ente, or its acts do.
    let mut select = db.prepare_cached(
        "SELECT id, source, coalesce(flow, flow_hint), received_at, state, acts, accepted, refused, duplicates, sender, \
         EXISTS (SELECT 1 FROM act WHERE act.batch_id = batch.id AND act.sender = ?3) \
         FROM batch WHERE received_at >= ?1 AND received_at < ?2 AND dry_run = 0 AND (sender IS NULL OR sender = ?3) ORDER BY received_at, id",
    )?;
    let count = |row: &rusqlite::Row<'_>, index| row.get::<_, i64>(index).map(i64::unsigned_abs);
    let rows = select.query_map(params![ms(ask.from), ms(ask.to), ask.sender], |row| {
        let batch = DailyBatch {
            batch: batch_at(row, 0)?,
            source: row.get(1)?,
            flow: row.get(2)?,
            received_at: at(row.get(3)?),
            state: row.get(4)?,
            acts: count(row, 5)?,
            accepted: count(row, 6)?,
            refused: count(row, 7)?,
            duplicates: count(row, 8)?,
        };
        Ok((batch, row.get::<_, Option<String>>(9)?.is_some() || row.get(10)?))
    })?;
    let (mut list, mut total) = (Vec::new(), 0);
    for row in rows {
        let (batch, its_own) = row?;
        if its_own || ask.own_sources.contains(&batch.source) {
            total += 1;
            if list.len() < SHOWN {
                list.push(batch);
            }
        }
    }
    Ok((list, total))
}

/// What the lines of the day tell.
#[derive(Default)]
struct Moves {
    /// State of the line: acts.
    acts: BTreeMap<String, u64>,
    completed: u64,
    refusals: BTreeMap<String, u64>,
}

fn moves(db: &Connection, ask: &DailyAsk, sources: &[String]) -> Result<Moves, StoreError> {
    let mut moves = Moves::default();
    for source in sources {
        let (first, end) = (first_line(db, source, ask.from)?, first_line(db, source, ask.to)?);
        let day = params![source, first, end, ask.sender];
        let mut select = db.prepare_cached(
            "SELECT l.state, count(DISTINCT l.act_id) FROM line l CROSS JOIN act a ON a.id = l.act_id \
             WHERE l.source = ?1 AND l.line >= ?2 AND l.line < ?3 AND a.sender = ?4 GROUP BY l.state",
        )?;
        add(&mut moves.acts, select.query_map(day, |row| Ok((row.get(0)?, row.get(1)?)))?)?;
        // Complete for all its recipients, and on that day.
        let completed: i64 = db
            .prepare_cached(
                "SELECT count(DISTINCT l.act_id) FROM line l CROSS JOIN act a ON a.id = l.act_id \
                 WHERE l.source = ?1 AND l.line >= ?2 AND l.line < ?3 AND a.sender = ?4 AND l.state = ?5 AND a.state = 'PERFEZIONATO' \
                 AND a.closed_at >= ?6 AND a.closed_at < ?7",
            )?
            .query_row(params![source, first, end, ask.sender, OutcomeState::Completed.as_str(), ms(ask.from), ms(ask.to)], |row| {
                row.get(0)
            })?;
        moves.completed += completed.unsigned_abs();
        let mut select = db.prepare_cached(
            "SELECT r.code, count(DISTINCT l.act_id) FROM line l CROSS JOIN act a ON a.id = l.act_id \
             CROSS JOIN refusal r ON r.act_id = l.act_id AND r.line = l.line \
             WHERE l.source = ?1 AND l.line >= ?2 AND l.line < ?3 AND a.sender = ?4 AND l.state = ?5 GROUP BY r.code",
        )?;
        let refused = params![source, first, end, ask.sender, OutcomeState::Refused.as_str()];
        add(&mut moves.refusals, select.query_map(refused, |row| Ok((row.get(0)?, row.get(1)?)))?)?;
    }
    Ok(moves)
}

fn add(to: &mut BTreeMap<String, u64>, rows: impl Iterator<Item = rusqlite::Result<(String, i64)>>) -> Result<(), StoreError> {
    for row in rows {
        let (name, count) = row?;
        *to.entry(name).or_default() += count.unsigned_abs();
    }
    Ok(())
}

/// The first line of a gestionale that was written at `when` or after; past the last one, the number of the next.
fn first_line(db: &Connection, source: &str, when: Timestamp) -> Result<i64, StoreError> {
    let last: Option<i64> = db.prepare_cached("SELECT max(line) FROM line WHERE source = ?1")?.query_row([source], |row| row.get(0))?;
    let mut look = db.prepare_cached("SELECT line, written_at FROM line WHERE source = ?1 AND line >= ?2 ORDER BY line LIMIT 1")?;
    bisect(last.unwrap_or(0), ms(when), |from| optional(look.query_row(params![source, from], |row| Ok((row.get(0)?, row.get(1)?)))))
}

/// The same of the elements of SEND's timelines.
fn first_element(db: &Connection, when: Timestamp) -> Result<i64, StoreError> {
    let last: Option<i64> = db.prepare_cached("SELECT max(n) FROM timeline")?.query_row([], |row| row.get(0))?;
    let mut look = db.prepare_cached("SELECT n, received_at FROM timeline WHERE n >= ?1 ORDER BY n LIMIT 1")?;
    bisect(last.unwrap_or(0), ms(when), |from| optional(look.query_row([from], |row| Ok((row.get(0)?, row.get(1)?)))))
}

/// The first key up to `last` whose time is not before `when`, where times grow with keys and keys may be missing.
fn bisect(last: i64, when: i64, mut look: impl FnMut(i64) -> Result<Option<(i64, i64)>, StoreError>) -> Result<i64, StoreError> {
    let (mut low, mut high) = (1, last + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        match look(middle)? {
            Some((key, time)) if time < when => low = key + 1,
            _ => high = middle,
        }
    }
    Ok(low)
}

/// Base fees of the day, and the paper that SEND told of in it.
fn cost(db: &Connection, ask: &DailyAsk) -> Result<i64, StoreError> {
    let fees: Option<i64> = optional(
        db.prepare_cached("SELECT spent FROM quota WHERE sender = ?1 AND day = ?2")?
            .query_row(params![ask.sender, ask.day.to_string()], |row| row.get(0)),
    )?;
    let paper: i64 = db
        .prepare_cached(
            "SELECT coalesce(sum(t.analog_cost), 0) FROM timeline t CROSS JOIN act a ON a.id = t.act_id \
             WHERE t.n >= ?1 AND t.n < ?2 AND t.analog_cost IS NOT NULL AND t.voided_by IS NULL AND a.sender = ?3",
        )?
        .query_row(params![first_element(db, ask.from)?, first_element(db, ask.to)?, ask.sender], |row| row.get(0))?;
    Ok(fees.unwrap_or(0) + paper)
}

/// Lines after the day past which every act is looked at, instead of those lines.
const MANY_LINES: i64 = if cfg!(test) { 20 } else { 200_000 };

/// Acts by state at the end of the day: those of now, and back for what has moved since.
fn states(db: &Connection, ask: &DailyAsk, sources: &[String]) -> Result<BTreeMap<String, u64>, StoreError> {
    let mut now = BTreeMap::new();
    let mut select = db.prepare_cached("SELECT state, count(*) FROM act INDEXED BY act_by_state WHERE sender = ?1 GROUP BY state")?;
    add(&mut now, select.query_map([&ask.sender], |row| Ok((row.get(0)?, row.get(1)?)))?)?;
    let staged: i64 = db
        .prepare_cached("SELECT count(*) FROM act INDEXED BY act_staged WHERE staged = 1 AND sender = ?1")?
        .query_row([&ask.sender], |row| row.get(0))?;
    if let Some(count) = now.get_mut(State::Preparing.name()) {
        *count = count.saturating_sub(staged.unsigned_abs());
    }
    if ask.to <= ask.now {
        let mut before = db.prepare_cached(
            "SELECT state FROM history WHERE subject_kind = 'notifica' AND subject_id = ?1 AND at < ?2 AND state IS NOT NULL \
             ORDER BY seq DESC LIMIT 1",
        )?;
        for (act, state) in moved_since(db, ask, sources)? {
            if let Some(count) = now.get_mut(&state) {
                *count = count.saturating_sub(1);
            }
            let was: Option<String> = optional(before.query_row(params![act.as_bytes(), ms(ask.to)], |row| row.get(0)))?;
            if let Some(was) = was {
                *now.entry(was).or_default() += 1;
            }
        }
    }
    now.retain(|_, count| *count > 0);
    Ok(now)
}

/// Acts that may have changed their state after the day, with the state they have now.
fn moved_since(db: &Connection, ask: &DailyAsk, sources: &[String]) -> Result<HashMap<uuid::Uuid, String>, StoreError> {
    let (mut after, mut lines) = (Vec::new(), 0);
    for source in sources {
        let first = first_line(db, source, ask.to)?;
        let last: Option<i64> = db.prepare_cached("SELECT max(line) FROM line WHERE source = ?1")?.query_row([source], |row| row.get(0))?;
        lines += (last.unwrap_or(0) + 1 - first).max(0);
        after.push((source, first));
    }
    let read = |row: &rusqlite::Row<'_>| Ok((uuid_at(row, 0)?, row.get(1)?));
    let mut moved = HashMap::new();
    if lines > MANY_LINES {
        let mut select = db.prepare_cached("SELECT id, state FROM act WHERE sender = ?1 AND staged = 0")?;
        for row in select.query_map([&ask.sender], read)? {
            let (id, state) = row?;
            moved.insert(id, state);
        }
        return Ok(moved);
    }
    for (source, first) in after {
        let mut select = db.prepare_cached(
            "SELECT DISTINCT a.id, a.state FROM line l CROSS JOIN act a ON a.id = l.act_id WHERE l.source = ?1 AND l.line >= ?2 AND a.sender = ?3",
        )?;
        for row in select.query_map(params![source, first, ask.sender], read)? {
            let (id, state) = row?;
            moved.insert(id, state);
        }
    }
    // Steps on the way to SEND write no line.
    let mut select = db.prepare_cached(
        "SELECT id, state FROM act WHERE state IN ('IN_ATTESA', 'IN_PREPARAZIONE', 'IN_CARICAMENTO', 'IN_INVIO') AND sender = ?1 \
         AND staged = 0 AND updated_at >= ?2",
    )?;
    for row in select.query_map(params![ask.sender, ms(ask.to)], read)? {
        let (id, state) = row?;
        moved.insert(id, state);
    }
    Ok(moved)
}

fn parked(db: &Connection, ask: &DailyAsk) -> Result<BTreeMap<String, u64>, StoreError> {
    let mut parked = BTreeMap::new();
    let mut select = db.prepare_cached(
        "SELECT park_code, count(*) FROM act INDEXED BY act_parked WHERE park_code IS NOT NULL AND sender = ?1 GROUP BY park_code",
    )?;
    add(&mut parked, select.query_map([&ask.sender], |row| Ok((row.get(0)?, row.get(1)?)))?)?;
    Ok(parked)
}

/// Acts that wait for a person: parked, or held for an operator.
fn oldest_stuck(db: &Connection, ask: &DailyAsk, parked: &BTreeMap<String, u64>) -> Result<Vec<DailyStuck>, StoreError> {
    let read = |row: &rusqlite::Row<'_>| {
        Ok(DailyStuck {
            reference: row.get(0)?,
            protocol: row.get(1)?,
            source: row.get(2)?,
            state: row.get(3)?,
            code: row.get(4)?,
            since: at(row.get(5)?),
        })
    };
    let mut stuck: Vec<DailyStuck> = Vec::new();
    for code in parked.keys() {
        let mut select = db.prepare_cached(
            "SELECT reference, protocol, source, state, park_code, updated_at FROM act INDEXED BY act_parked \
             WHERE park_code = ?1 AND sender = ?2 ORDER BY updated_at LIMIT ?3",
        )?;
        stuck.extend(select.query_map(params![code, ask.sender, SHOWN as i64], read)?.collect::<Result<Vec<_>, _>>()?);
    }
    let mut select = db.prepare_cached(
        "SELECT reference, protocol, source, state, hold, updated_at FROM act INDEXED BY act_by_state WHERE state = 'IN_ATTESA' AND sender = ?1 \
         AND hold = 'OPERATORE' AND park_code IS NULL AND staged = 0 ORDER BY updated_at LIMIT ?2",
    )?;
    stuck.extend(select.query_map(params![ask.sender, SHOWN as i64], read)?.collect::<Result<Vec<_>, _>>()?);
    stuck.sort_by(|a, b| (a.since, &a.reference).cmp(&(b.since, &b.reference)));
    stuck.truncate(SHOWN);
    Ok(stuck)
}

/// What will leave by itself.
fn waiting(db: &Connection, ask: &DailyAsk) -> Result<Work, StoreError> {
    let sql = "SELECT count(*), coalesce(sum(recipients), 0), coalesce(sum(files), 0) FROM act INDEXED BY act_by_state \
               WHERE state IN ('IN_ATTESA', 'IN_PREPARAZIONE', 'IN_CARICAMENTO', 'IN_INVIO') AND sender = ?1 AND staged = 0 \
               AND hold IS NOT 'OPERATORE' AND park_code IS NULL";
    Ok(db.prepare_cached(sql)?.query_row([&ask.sender], read_work)?)
}

fn last_day(db: &Connection, ask: &DailyAsk, waiting: Work) -> Result<Option<Date>, StoreError> {
    if waiting.acts == 0 {
        return Ok(None);
    }
    let sql = "SELECT calls, spent FROM quota WHERE sender = ?1 AND day = ?2";
    let used = optional(db.prepare_cached(sql)?.query_row(params![ask.sender, ask.wall.date().to_string()], |row| {
        Ok(Used { calls: row.get::<_, i64>(0)?.unsigned_abs(), cents: row.get::<_, i64>(1)?.unsigned_abs() })
    }))?;
    Ok(last_send(&ask.limits, Work::default(), waiting, used.unwrap_or_default(), ask.wall))
}

/// When the next new send of the ente has its turn: now, if one has.
fn next_send(db: &Connection, ask: &DailyAsk) -> Result<Option<Timestamp>, StoreError> {
    let (from, to) = (format!("{}/", ask.sender), format!("{}0", ask.sender));
    let ready: bool = db
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM job WHERE state = 'PRONTO' AND lane = 1 AND channel >= ?1 AND channel < ?2)")?
        .query_row([&from, &to], |row| row.get(0))?;
    if ready {
        return Ok(Some(ask.now));
    }
    let sql = "SELECT due_at FROM job INDEXED BY job_due WHERE state = 'ATTESA' AND lane = 1 AND channel >= ?1 AND channel < ?2 ORDER BY due_at LIMIT 1";
    Ok(optional(db.prepare_cached(sql)?.query_row([&from, &to], |row| row.get(0)))?.map(at))
}

/// Troubles of the ente, its channels and its gestionali, and those of the data disk, which are everybody's.
fn troubles(db: &Connection, ask: &DailyAsk) -> Result<Vec<DailyTrouble>, StoreError> {
    let concerns = |about: &str| {
        let subject = about.split('/').next().unwrap_or_default();
        subject == ask.sender || about == alerts::DATA_DISK || ask.sources.iter().any(|source| source == subject)
    };
    let lasts = |code: &str| alert::code(code).is_some_and(|row| matches!(row.phase, Phase::Begins { .. }));
    let all = alerts::troubles(db)?.into_iter().filter(|trouble| lasts(&trouble.code) && concerns(&trouble.about));
    Ok(all.map(|trouble| DailyTrouble { code: trouble.code, about: trouble.about, since: trouble.since }).collect())
}
