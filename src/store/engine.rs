//! Saves a step of the flow whole: state, history, published lines, follow-up jobs, flags, in one transaction.

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::StoreError;
use super::alerts::Alert;
use super::codec::{act_at, at, batch_at, ms, optional};
use super::{jobs, ledger, position_acts};
use crate::clock;
use crate::domain::act::Act;
use crate::domain::ids::{ActId, BatchId};
use crate::domain::outcome::{OutcomeLine, OutcomeState};
use crate::flow::effect::{Corrected, Effect, LineDraft};
use crate::flow::event::{Fact, Order};
use crate::flow::prepare::REFUSALS;
use crate::flow::state::{HoldReason, STATE_VERSION, State};
use crate::flow::step::{self, ActFacts, Step};
use crate::flow::timeline::Summary;

/// The columns of an act that every step needs.
pub(super) struct ActRow {
    pub id: ActId,
    pub sender: String,
    pub source: String,
    pub reference: String,
    pub submission: u32,
    pub batch: BatchId,
    pub flow: String,
    pub key_id: String,
    pub protocol: Option<String>,
    pub request_id: Option<String>,
    pub iun: Option<String>,
    pub state: State,
    pub revision: i64,
    pub recipients: u32,
    pub applies_cost: bool,
    pub resubmissions: u32,
    pub notify_by: Option<i64>,
    pub accepted_at: Option<Timestamp>,
    pub guard: i64,
    pub park_code: Option<String>,
    /// The act whose cancellation it waits for, or waited for.
    pub replaces: Option<ActId>,
    /// The base fee was reserved, so a POST may have left.
    pub posted: bool,
    /// Its batch was not started yet.
    pub staged: bool,
    /// Its personal data was deleted: none is kept any more.
    pub erased: bool,
    /// Debt positions that it names, of those that a configured PT has.
    pub positions: i64,
    /// SEND has just spoken of it: saved with the next step.
    pub heard: Option<i64>,
    heard_at: Option<i64>,
    /// What its elements say so far, once it was looked at.
    pub summary: Option<Summary>,
}

/// What an act is called in what SEND tells.
#[derive(Debug, Clone, Copy)]
pub(super) enum Name {
    Iun,
    Request,
    /// The token of ours that came with the request.
    Token,
}

/// Milliseconds. SEND counts as silent after seven of them: kept finer, each word of it would move the act in an index.
const DAY: i64 = 86_400_000;

const COLUMNS: &str = "id, sender, source, reference, submission, batch_id, flow, key_id, protocol, request_id, iun, state_data, \
     revision, recipients, applies_cost, resubmissions, notify_by, accepted_at, guard, park_code, replaces, spend_day IS NOT NULL, staged, heard_at, erased_at IS NOT NULL, positions";

impl ActRow {
    /// The act, or [`StoreError::NotFound`].
    pub fn load(db: &Connection, id: ActId) -> Result<ActRow, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM act WHERE id = ?1");
        let found = optional(db.prepare_cached(&sql)?.query_row([id.0.as_bytes()], read_row))?;
        found.ok_or(StoreError::NotFound("act"))?.decode()
    }

    /// The act that SEND means by a name of its own, or by ours.
    pub fn named(db: &Connection, name: Name, key: &str) -> Result<Option<ActRow>, StoreError> {
        let sql = match name {
            Name::Iun => format!("SELECT {COLUMNS} FROM act WHERE substr(iun, 1, 9) = substr(?1, 1, 9) AND iun = ?1"),
            Name::Request => format!("SELECT {COLUMNS} FROM act WHERE substr(request_id, 1, 12) = substr(?1, 1, 12) AND request_id = ?1"),
            Name::Token => format!("SELECT {COLUMNS} FROM act WHERE substr(token, 1, 16) = substr(?1, 1, 16) AND token = ?1"),
        };
        optional(db.prepare_cached(&sql)?.query_row([key], read_row))?.map(RawRow::decode).transpose()
    }

    /// Whether the act it replaces still stands in its way.
    pub fn waits_for_predecessor(&self, db: &Connection) -> Result<bool, StoreError> {
        match self.replaces {
            Some(old) => is_live(db, old),
            None => Ok(false),
        }
    }

    /// Nothing is left to do before its upload: it has its protocol, and no debt position is to be looked at.
    pub fn is_prepared(&self) -> bool {
        self.protocol.is_some() && self.positions == 0
    }

    /// Calls about it go through this channel: one ente, one key.
    pub fn channel(&self) -> String {
        format!("{}/{}", self.sender, self.key_id)
    }

    /// What decisions depend on. Whether another act waits for this one matters only to steps that may close it.
    pub fn facts(&self, db: &Connection, may_close: bool) -> Result<ActFacts, StoreError> {
        let has_replacement = may_close
            && db
                .prepare_cached("SELECT EXISTS (SELECT 1 FROM act WHERE replaces = ?1 AND live = 1 AND staged = 0)")?
                .query_row([self.id.0.as_bytes()], |row| row.get(0))?;
        let refused = may_close && matches!(self.state, State::Refused { .. });
        Ok(ActFacts {
            resubmissions: self.resubmissions,
            has_replacement,
            cancel_wanted: may_close && super::cancelling::is_wanted(db, self.id)?,
            resubmission_waits: refused && super::cancelling::is_about_to_go_again(db, self.id)?,
            applies_cost: self.applies_cost,
            posted: self.posted,
            prepared: self.is_prepared(),
        })
    }
}

/// Whether an act still blocks others.
pub(super) fn is_live(db: &Connection, id: ActId) -> Result<bool, StoreError> {
    let live = db.prepare_cached("SELECT live FROM act WHERE id = ?1")?.query_row([id.0.as_bytes()], |row| row.get(0));
    Ok(optional(live)?.unwrap_or(false))
}

struct RawRow {
    row: ActRow,
    state: String,
}

impl RawRow {
    fn decode(self) -> Result<ActRow, StoreError> {
        Ok(ActRow { state: serde_json::from_str(&self.state)?, ..self.row })
    }
}

fn read_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<RawRow> {
    Ok(RawRow {
        row: ActRow {
            id: act_at(row, 0)?,
            sender: row.get(1)?,
            source: row.get(2)?,
            reference: row.get(3)?,
            submission: row.get(4)?,
            batch: batch_at(row, 5)?,
            flow: row.get(6)?,
            key_id: row.get(7)?,
            protocol: row.get(8)?,
            request_id: row.get(9)?,
            iun: row.get(10)?,
            state: State::Preparing,
            revision: row.get(12)?,
            recipients: row.get(13)?,
            applies_cost: row.get(14)?,
            resubmissions: row.get(15)?,
            notify_by: row.get(16)?,
            accepted_at: row.get::<_, Option<i64>>(17)?.map(at),
            guard: row.get(18)?,
            park_code: row.get(19)?,
            replaces: match row.get_ref(20)? {
                rusqlite::types::ValueRef::Null => None,
                _ => Some(act_at(row, 20)?),
            },
            posted: row.get(21)?,
            staged: row.get(22)?,
            heard: None,
            heard_at: row.get(23)?,
            summary: None,
            erased: row.get(24)?,
            positions: row.get(25)?,
        },
        state: row.get(11)?,
    })
}

/// Applies a fact to one act and saves what follows.
pub(super) fn observe(db: &Connection, act: &mut ActRow, fact: &Fact, now: Timestamp) -> Result<(), StoreError> {
    match fact {
        Fact::Taken { request_id } if act.request_id.is_none() => {
            act.request_id = Some(request_id.clone());
            db.prepare_cached("UPDATE act SET request_id = ?2, sent_at = coalesce(sent_at, ?3) WHERE id = ?1")?.execute(params![
                act.id.0.as_bytes(),
                act.request_id,
                ms(now)
            ])?;
        }
        Fact::Accepted { request_id, iun, at: accepted } => {
            act.iun.get_or_insert_with(|| iun.clone());
            act.request_id = act.request_id.take().or_else(|| request_id.clone());
            act.accepted_at = act.accepted_at.or(*accepted);
            db.prepare_cached("UPDATE act SET iun = ?2, request_id = ?3, accepted_at = ?4, sent_at = coalesce(sent_at, ?5) WHERE id = ?1")?
                .execute(params![act.id.0.as_bytes(), act.iun, act.request_id, act.accepted_at.map(ms), ms(now)])?;
        }
        _ => {}
    }
    if matches!(fact, Fact::Taken { .. } | Fact::Accepted { .. } | Fact::Refused { .. } | Fact::Element { .. }) {
        act.heard = Some(ms(now));
    }
    if super::spending::proves_spent(fact) && !act.state.is_final() {
        super::spending::book(db, act, now)?;
    }
    let may_close = match fact {
        Fact::Refused { .. } | Fact::NotTaken { .. } | Fact::NothingToCancel | Fact::NeverArrived | Fact::NotPayable { .. } => true,
        Fact::Element { element, after, .. } => element.category == "NOTIFICATION_CANCELLED" || after.cancelled_at.is_some(),
        _ => false,
    };
    let step = step::observe(&act.state, act.facts(db, may_close)?, fact, now);
    // An element is in the timeline: the history tells it again only when the act moved.
    let told_elsewhere = matches!(fact, Fact::Element { .. }) && step.next == act.state;
    let about = match fact {
        _ if told_elsewhere => None,
        Fact::Element { element, .. } => Some(serde_json::json!({ "elementId": element.element_id }).to_string()),
        Fact::NotTaken { reasons, .. } | Fact::Refused { reasons, .. } => {
            let codes: Vec<&str> = reasons.iter().map(|reason| reason.code.as_str()).collect();
            Some(serde_json::json!({ "codes": codes }).to_string())
        }
        _ => None,
    };
    let was_live = act.state.is_live();
    save_step(db, act, step, (!told_elsewhere).then(|| fact.name()).as_deref(), about.as_deref(), now)?;
    if was_live && !act.state.is_live() && super::spending::proves_unspent(fact) {
        super::spending::give_back(db, act)?;
    }
    if act.positions > 0 && act.state.is_live() && position_acts::moves(fact) {
        position_acts::stir(db, act.id, now)?;
    }
    Ok(())
}

/// Starts an act, held or not.
pub(super) fn begin(
    db: &Connection,
    act: &mut ActRow,
    hold: Option<HoldReason>,
    event: &str,
    about: Option<&str>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let step = step::begin(hold, act.is_prepared(), now);
    save(db, act, step, event, about, now)
}

/// Saves a step under the name of what caused it.
pub(super) fn save(
    db: &Connection,
    act: &mut ActRow,
    step: Step,
    event: &str,
    about: Option<&str>,
    now: Timestamp,
) -> Result<(), StoreError> {
    save_step(db, act, step, Some(event), about, now)
}

/// The only place where an act changes its state. Without `event` the history keeps nothing of it.
fn save_step(
    db: &Connection,
    act: &mut ActRow,
    step: Step,
    event: Option<&str>,
    about: Option<&str>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let id = act.id.0.as_bytes();
    let heard = act.heard.take();
    let changed = if step.next == act.state {
        // Most facts tell of the way, not of the state: then the act's row stays as it is. When SEND was heard last is kept to
        // the day.
        match heard.filter(|heard| act.heard_at.is_none_or(|before| heard - before >= DAY)) {
            Some(heard) => {
                act.heard_at = Some(heard);
                act.revision += 1;
                db.prepare_cached(
                    "UPDATE act SET revision = revision + 1, updated_at = ?3, heard_at = ?4 WHERE id = ?1 AND revision = ?2 - 1",
                )?
                .execute(params![id, act.revision, ms(now), heard])?
            }
            None => 1,
        }
    } else {
        act.heard_at = heard.or(act.heard_at);
        act.revision += 1;
        db.prepare_cached(
            "UPDATE act SET state = ?3, state_data = ?4, state_version = ?5, revision = revision + 1, live = ?6, updated_at = ?7, \
             closed_at = CASE WHEN ?8 THEN coalesce(closed_at, ?7) ELSE NULL END, hold = ?9, heard_at = coalesce(?10, heard_at) \
             WHERE id = ?1 AND revision = ?2 - 1",
        )?
        .execute(params![
            id,
            act.revision,
            step.next.name(),
            serde_json::to_string(&step.next)?,
            STATE_VERSION,
            step.next.is_live(),
            ms(now),
            step.next.is_final(),
            if let State::Held { reason } = &step.next { Some(reason.as_str()) } else { None },
            heard,
        ])?
    };
    if changed != 1 {
        return Err(StoreError::Stale);
    }
    let was = std::mem::replace(&mut act.state, step.next);
    if let Some(event) = event {
        append_history(db, "notifica", act.id.0.as_bytes(), event, Some(act.state.name()), about, now)?;
    }
    if was.name() != act.state.name() {
        moved(db, act, &was, now)?;
    }
    for draft in step.lines {
        publish_line(db, act, draft, now)?;
    }
    for effect in &step.effects {
        jobs::enqueue_effect(db, act, effect, now)?;
    }
    for flag in &step.flags {
        db.prepare_cached("UPDATE act SET flag_code = ?2 WHERE id = ?1")?.execute(params![act.id.0.as_bytes(), flag.code])?;
        raise_alert(db, flag.code, Some(act), &flag.about, now)?;
    }
    settle_park(db, act)?;
    if act.guard == 1 && (act.state.iun().is_some() || !act.state.is_live()) {
        answer_guard(db, act, now)?;
    }
    Ok(())
}

/// What a change of state takes with it: keys it no longer holds, jobs that would find nothing to do, orders that waited.
fn moved(db: &Connection, act: &ActRow, was: &State, now: Timestamp) -> Result<(), StoreError> {
    let id = act.id.0.as_bytes();
    match (was.is_live(), act.state.is_live()) {
        (true, false) => {
            db.prepare_cached("DELETE FROM live_key WHERE act_id = ?1")?.execute([id])?;
            if act.positions > 0 {
                position_acts::leave(db, act.id, now)?;
            }
        }
        (false, true) => {
            if act.positions > 0 {
                position_acts::join(db, act, now)?;
            }
            let sql = "SELECT json FROM act_content WHERE act_id = ?1";
            if let Some(json) = optional(db.prepare_cached(sql)?.query_row([id], |row| row.get::<_, String>(0)))? {
                super::staging::write_live_keys(db, act.id, &serde_json::from_str::<Act>(&json)?)?;
            }
            // It may have been given after the row came.
            if let Some(protocol) = &act.protocol {
                super::staging::claim_protocol(db, act.id, &act.sender, protocol)?;
            }
        }
        _ => {}
    }
    const ONCE: [Effect; 11] = [
        Effect::Prepare,
        Effect::Upload,
        Effect::Send,
        Effect::AskRequest,
        Effect::Resync,
        Effect::Cancel,
        Effect::CancelLater { who: String::new(), why: String::new() },
        Effect::AskPrice { recipient: 0 },
        Effect::Resubmit,
        Effect::StartReplacement,
        Effect::WriteReject,
    ];
    // One under way ends by itself: its worker may bring a fact.
    for effect in ONCE.iter().filter(|effect| effect.is_wanted(was) && !effect.is_wanted(&act.state)) {
        db.prepare_cached("DELETE FROM job WHERE subject_kind = 'notifica' AND subject_id = ?1 AND kind = ?2 AND state <> 'IN_CORSO'")?
            .execute(params![id, effect.name()])?;
    }
    super::starting::inherit_predecessor(db, act)?;
    if matches!(was, State::Sending | State::AwaitingAcceptance { .. }) && !matches!(act.state, State::AwaitingAcceptance { .. }) {
        super::starting::wake_orders(db, act.id, now)?;
        super::cancelling::wake(db, act.id, now)?;
    }
    Ok(())
}

/// An act is parked for as long as a job of it is suspended, or its batch was stopped: not longer.
pub(super) fn settle_park(db: &Connection, act: &mut ActRow) -> Result<(), StoreError> {
    let Some(code) = &act.park_code else { return Ok(()) };
    if code == STOPPED && act.state == (State::Held { reason: HoldReason::Guard }) {
        return Ok(());
    }
    let suspended: bool = db
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM job WHERE subject_kind = 'notifica' AND subject_id = ?1 AND state = 'SOSPESO')")?
        .query_row([act.id.0.as_bytes()], |row| row.get(0))?;
    if !suspended {
        act.park_code = None;
        db.prepare_cached("UPDATE act SET park_code = NULL WHERE id = ?1")?.execute([act.id.0.as_bytes()])?;
    }
    Ok(())
}

/// Under this code wait the acts of a batch whose first ones SEND refused.
pub(super) const STOPPED: &str = "TROPPI_RIFIUTI";

/// One of the first acts of a batch has its answer: when all have, the rest goes on or is parked.
fn answer_guard(db: &Connection, act: &mut ActRow, now: Timestamp) -> Result<(), StoreError> {
    act.guard = 2;
    // What a PT refused never went to SEND and costs nothing.
    let refused = matches!(&act.state, State::Refused { code } if !REFUSALS.contains(&code.as_str()));
    let refused = i64::from(refused);
    db.prepare_cached("UPDATE act SET guard = 2 WHERE id = ?1")?.execute([act.id.0.as_bytes()])?;
    let open: i64 = db
        .prepare_cached(
            "UPDATE batch SET guard_open = guard_open - 1, guard_refused = guard_refused + ?2 WHERE id = ?1 RETURNING guard_open",
        )?
        .query_row(params![act.batch.0.as_bytes(), refused], |row| row.get(0))?;
    if open <= 0 {
        jobs::enqueue_batch(db, act.batch, jobs::BatchWork::OpenGuard, now)?;
    }
    Ok(())
}

/// Writes one line of the ledger: number without gaps, sums and ids added.
pub(super) fn publish_line(db: &Connection, act: &ActRow, draft: LineDraft, now: Timestamp) -> Result<u64, StoreError> {
    let line = ledger::take(db, &act.source, &act.flow, ms(now))?;
    let line = u64::try_from(line).unwrap_or_default();
    let corrects = match draft.corrects {
        Some(which) => last_line(db, act.id, draft.recipient, which)?,
        None => None,
    };
    let row = OutcomeLine {
        line,
        corrects,
        batch: act.batch,
        act: act.id,
        sender_tax_id: act.sender.clone(),
        flow: act.flow.clone(),
        reference: act.reference.clone(),
        submission: act.submission,
        protocol: act.protocol.clone(),
        iun: act.iun.clone(),
        recipient: draft.recipient,
        state: draft.state,
        event: draft.event,
        happened_at: draft.happened_at,
        written_at: now,
        attempt: draft.attempt,
        registered_letter: draft.registered_letter,
        delivery_detail: draft.delivery_detail,
        failure_cause: draft.failure_cause,
        sender_completed_at: act.accepted_at,
        recipient_completed_at: draft.completion.map(|(when, _)| when),
        perfection: draft.completion.map(|(_, how)| how),
        institution_cost: draft.institution_cost,
        citizen_cost: draft.citizen_cost,
        legal_facts: draft.legal_facts,
        code: draft.code,
        position: draft.position,
    };
    db.prepare_cached(
        "INSERT INTO line (source, line, act_id, batch_id, recipient, state, event, happened_at, written_at, data) VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10)",
    )?
    .execute(params![
        act.source,
        i64::try_from(line).unwrap_or(i64::MAX),
        act.id.0.as_bytes(),
        act.batch.0.as_bytes(),
        row.recipient,
        row.state.as_str(),
        row.event,
        ms(row.happened_at),
        ms(now),
        serde_json::to_string(&row)?,
    ])?;
    super::refusals::keep(db, act, line, &draft.reasons)?;
    super::standings::take(db, act, &row)?;
    Ok(line)
}

fn last_line(db: &Connection, act: ActId, recipient: Option<u32>, which: Corrected) -> Result<Option<u64>, StoreError> {
    let (sql, word) = match which {
        Corrected::State(state) => ("SELECT max(line) FROM line WHERE act_id = ?1 AND recipient IS ?2 AND state = ?3", state.as_str()),
        Corrected::Event(event) => ("SELECT max(line) FROM line WHERE act_id = ?1 AND recipient IS ?2 AND event = ?3", event),
    };
    let found: Option<i64> = db.prepare_cached(sql)?.query_row(params![act.0.as_bytes(), recipient, word], |row| row.get(0))?;
    Ok(found.and_then(|line| u64::try_from(line).ok()))
}

/// Adds to the history of a subject: ids, codes and digests only.
pub(super) fn append_history(
    db: &Connection,
    kind: &str,
    id: &[u8],
    event: &str,
    state: Option<&str>,
    about: Option<&str>,
    now: Timestamp,
) -> Result<(), StoreError> {
    db.prepare_cached(
        "INSERT INTO history (subject_kind, subject_id, seq, at, event, state, data) \
         VALUES (?1, ?2, (SELECT coalesce(max(seq), 0) + 1 FROM history WHERE subject_kind = ?1 AND subject_id = ?2), ?3, ?4, ?5, ?6)",
    )?
    .execute(params![kind, id, ms(now), event, state, about])?;
    Ok(())
}

/// Tells the operators something about an act.
pub(super) fn raise_alert(db: &Connection, code: &str, act: Option<&ActRow>, about: &str, now: Timestamp) -> Result<(), StoreError> {
    let alert = Alert::new(code, about);
    match act {
        Some(act) => alert.act(act).raise(db, now),
        None => alert.raise(db, now),
    }
}

/// An alert that concerns an ente or a batch.
pub(super) fn raise_alert_for(
    db: &Connection,
    code: &str,
    sender: Option<&str>,
    batch: Option<BatchId>,
    about: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    Alert::new(code, about).sender(sender).batch(batch).raise(db, now)
}

/// Parks an act: visible with its reason, resumed by command.
pub(super) fn park_act(db: &Connection, act: &ActRow, code: &str, now: Timestamp) -> Result<(), StoreError> {
    tell_parked(db, act, code, now)?;
    raise_alert(db, code, Some(act), act.state.name(), now)
}

/// Parks an act whose state itself may not be readable.
pub(super) fn park_unreadable(db: &Connection, id: ActId, code: &str, now: Timestamp) -> Result<(), StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM act WHERE id = ?1");
    let found = optional(db.prepare_cached(&sql)?.query_row([id.0.as_bytes()], read_row))?;
    // Its state is a stand-in: nothing here depends on it.
    let act = found.ok_or(StoreError::NotFound("act"))?.row;
    park_as(db, &act, code, None, now)?;
    raise_alert(db, code, Some(&act), "dati illeggibili", now)
}

/// The same without an alert of its own, for acts that are parked together.
pub(super) fn tell_parked(db: &Connection, act: &ActRow, code: &str, now: Timestamp) -> Result<(), StoreError> {
    park_as(db, act, code, Some(act.state.name()), now)
}

fn park_as(db: &Connection, act: &ActRow, code: &str, state: Option<&str>, now: Timestamp) -> Result<(), StoreError> {
    db.prepare_cached("UPDATE act SET park_code = ?2, updated_at = ?3 WHERE id = ?1")?.execute(params![
        act.id.0.as_bytes(),
        code,
        ms(now)
    ])?;
    let mut line = LineDraft::new(OutcomeState::Parked, "SOSPESO", now);
    line.code = Some(code.to_owned());
    publish_line(db, act, line, now)?;
    let about = serde_json::json!({ "code": code }).to_string();
    append_history(db, "notifica", act.id.0.as_bytes(), "SOSPESO", state, Some(&about), now)
}

/// An operator's or gestionale's order on one act.
pub(super) fn command(db: &Connection, act: &mut ActRow, order: Order, who: &str, why: &str, now: Timestamp) -> Result<(), StoreError> {
    let step = step::command(&act.state, act.facts(db, order == Order::Cancel)?, order, now)?;
    let about = serde_json::json!({ "who": who, "why": why }).to_string();
    let ends = matches!(step.next, State::Withdrawn) || (order == Order::Cancel && matches!(step.next, State::Refused { .. }));
    if order == Order::Modify || ends {
        // What is on its way with the old content, under way included, must not come back.
        db.prepare_cached("DELETE FROM job WHERE subject_kind = 'notifica' AND subject_id = ?1 AND lane = 1")?
            .execute([act.id.0.as_bytes()])?;
    }
    if matches!(step.next, State::Withdrawn) {
        super::orders::unpark(db, act.id)?;
    }
    let name = match order {
        Order::Modify => "ORDINE_MODIFICA",
        Order::Cancel => "ORDINE_ANNULLA",
        Order::Release => "ORDINE_RILASCIA",
    };
    save(db, act, step, name, Some(&about), now)
}

/// An operator lets a held act go: at once, or as soon as the act that it replaces is cancelled.
pub(super) fn release(db: &Connection, act: &mut ActRow, who: &str, why: &str, now: Timestamp) -> Result<(), StoreError> {
    let operator = State::Held { reason: HoldReason::Operator };
    if act.state == operator && act.waits_for_predecessor(db)? {
        let about = serde_json::json!({ "who": who, "why": why }).to_string();
        begin(db, act, Some(HoldReason::Cancellation), "ORDINE_RILASCIA", Some(&about), now)?;
        return super::starting::wake_orders(db, act.replaces.unwrap_or(act.id), now);
    }
    command(db, act, Order::Release, who, why, now)
}

/// A fresh id for a row of our own.
pub(super) fn fresh() -> [u8; 16] {
    *clock::new_uuid().as_bytes()
}
