//! Debt positions: joined and left by acts, moved by facts, one row and at most a few jobs each.
//!
//! What an amount follows from is read from the rows of the act (`material`); nothing of it is kept twice. An act with no notice of
//! a configured PT (`act.positions` = 0) never comes here.

use jiff::Timestamp;
use jiff::civil::Date;
use rusqlite::{Connection, params};

use super::alerts::Alert;
use super::codec::{act_at, ms, optional, uuid_at, word};
use super::engine::{self, ActRow};
use super::jobs::{self, JobRef};
use super::position_acts::Route;
use super::{Store, StoreError};
use super::{early, position_orders, position_past};
use crate::domain::calendar::rome_day;
use crate::domain::ids::{ActId, PositionId};
use crate::domain::money::Cents;
use crate::domain::outcome::{OutcomeState, PositionTold};
use crate::domain::position::{CostChannel, Held, HeldState, WhyUndone};
use crate::flow::effect::LineDraft;
use crate::flow::position::{
    self, POSITION_VERSION, PositionEffect, PositionFact, PositionFacts, PositionLine, PositionState, PositionStep, Stage, When,
};
use crate::flow::prepare;
use crate::flow::state::State;

/// What goes with a fact and is kept in the row.
#[derive(Debug, Clone, Default)]
pub struct Beside {
    /// The job that brought it: ended with it.
    pub job: Option<JobRef>,
    /// The job on whose behalf it happens: it must still be ours, and goes on.
    pub held: Option<JobRef>,
    /// The price of each day to come, as the service encodes it.
    pub sheet: Option<String>,
    /// Of a payment of the whole: what the rule asks for on its day by what is known today, cost of notification apart.
    pub due: Option<Cents>,
    /// Another job, due then.
    pub then: Option<(PositionEffect, Timestamp)>,
}

impl Beside {
    /// Ends a job.
    #[must_use]
    pub fn job(job: JobRef) -> Beside {
        Beside { job: Some(job), ..Beside::default() }
    }
}

/// The row of a position.
pub(super) struct PositionRow {
    pub id: PositionId,
    pub creditor: String,
    pub notice: String,
    pub sender: String,
    pub act: ActId,
    pub pt: String,
    pub costs: CostChannel,
    pub state: PositionState,
    pub revision: i64,
    pub asked: Option<Cents>,
    pub held_due: Option<Date>,
    pub wanted: Option<Cents>,
    pub wanted_cost: Option<Cents>,
    pub touched: bool,
    /// A payment of the whole was told with its amount.
    pub paid_known: bool,
    /// Cost of notification: as the PT keeps it apart, and as it was reckoned.
    fee: Option<Cents>,
    pub cost: Option<Cents>,
    /// What the PT said last.
    held_state: Option<HeldState>,
    /// Rome day on which the amount changes by time alone.
    next_day: Option<Date>,
    /// What the citizen had to pay before that day.
    pub before: Option<(Cents, Date)>,
    /// It was told another amount, and nobody knows whether it arrived.
    unsure: bool,
}

const COLUMNS: &str = "id, creditor, notice, sender, act_id, pt, costs, state_data, revision, asked, held_due, wanted, wanted_cost, \
     pushed_at IS NOT NULL, paid_at IS NOT NULL, fee, cost, next_day, whole_before, whole_since, held_state, unsure";

/// A row, and what of it is still text: channel, state, last day and state at the PT.
type Read = (PositionRow, String, String, Option<String>, Option<String>);

fn read_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Read> {
    let cents = |index| row.get::<_, Option<i64>>(index).map(|value| value.map(Cents));
    let day = |index| row.get::<_, Option<String>>(index).map(|value| value.and_then(|day| day.parse::<Date>().ok()));
    Ok((
        PositionRow {
            id: PositionId(uuid_at(row, 0)?),
            creditor: row.get(1)?,
            notice: row.get(2)?,
            sender: row.get(3)?,
            act: act_at(row, 4)?,
            pt: row.get(5)?,
            costs: CostChannel::None,
            state: PositionState::Closed,
            revision: row.get(8)?,
            asked: cents(9)?,
            held_due: None,
            wanted: cents(11)?,
            wanted_cost: cents(12)?,
            touched: row.get(13)?,
            paid_known: row.get(14)?,
            fee: cents(15)?,
            cost: cents(16)?,
            held_state: None,
            next_day: day(17)?,
            before: cents(18)?.zip(day(19)?),
            unsure: row.get(21)?,
        },
        row.get(6)?,
        row.get(7)?,
        row.get(10)?,
        row.get(20)?,
    ))
}

impl PositionRow {
    pub fn load(db: &Connection, id: PositionId) -> Result<PositionRow, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM position WHERE id = ?1");
        let found = optional(db.prepare_cached(&sql)?.query_row([id.0.as_bytes()], read_row))?;
        PositionRow::decode(found)?.ok_or(StoreError::NotFound("position"))
    }

    pub fn of_notice(db: &Connection, creditor: &str, notice: &str) -> Result<Option<PositionRow>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM position WHERE notice = ?1 AND creditor = ?2");
        PositionRow::decode(optional(db.prepare_cached(&sql)?.query_row([notice, creditor], read_row))?)
    }

    fn decode(found: Option<Read>) -> Result<Option<PositionRow>, StoreError> {
        let Some((row, costs, state, due, held)) = found else { return Ok(None) };
        Ok(Some(PositionRow {
            costs: word(&costs, "costs")?,
            state: serde_json::from_str(&state)?,
            held_due: due.and_then(|due| due.parse().ok()),
            held_state: held.map(|held| word(&held, "held_state")).transpose()?,
            ..row
        }))
    }

    /// Cost of notification that the citizen pays beside what the PT is told.
    fn apart(&self) -> Option<Cents> {
        match self.costs {
            CostChannel::Async => self.fee,
            CostChannel::Pull => self.cost,
            CostChannel::Push | CostChannel::None => None,
        }
    }

    /// Cost of notification that the citizen is asked for, whoever asks.
    pub fn borne(&self) -> Cents {
        let cost = if self.costs == CostChannel::Push { self.wanted_cost } else { self.apart() };
        cost.unwrap_or(Cents(0))
    }

    /// All that the citizen is to pay, as it was reckoned last.
    fn whole(&self) -> Option<Cents> {
        Some(Cents(self.wanted?.get().saturating_add(self.apart().map_or(0, Cents::get))))
    }

    fn facts(&self, last: bool, notified: bool, tells_payment: bool, cancels: bool) -> PositionFacts {
        PositionFacts {
            id: self.id.to_string(),
            revision: self.revision,
            costs: self.costs,
            asked: self.asked,
            read_before: None,
            unsure: self.unsure,
            held_due: self.held_due,
            expired: self.held_state == Some(HeldState::Expired),
            wanted: self.wanted,
            wanted_cost: self.wanted_cost,
            apart: self.apart(),
            before: self.before,
            due_then: None,
            next_day: self.next_day,
            touched: self.touched,
            notified,
            paid_known: self.paid_known,
            paid_elsewhere: false,
            again: 0,
            being_paid: false,
            last,
            tells_payment,
            cancels,
        }
    }
}

impl Store {
    /// Puts the routes of the configuration in place of all. Positions that exist keep theirs while they are under way.
    pub async fn set_payment_routes(&self, routes: Vec<Route>) -> Result<(), StoreError> {
        self.write(move |db| {
            db.prepare_cached("DELETE FROM payment_route WHERE true")?.execute([])?;
            for (n, route) in (0_i64..).zip(&routes) {
                db.prepare_cached("INSERT INTO payment_route (creditor, n, aux, code, pt, costs, managed) VALUES (?1,?2,?3,?4,?5,?6,?7)")?
                    .execute(params![route.creditor, n, route.aux, route.code, route.pt, route.costs.as_str(), route.managed])?;
            }
            Ok(())
        })
        .await
    }

    /// Applies a fact to a position: state, history, lines and follow-up jobs in one transaction.
    pub async fn observe_position(
        &self,
        id: PositionId,
        fact: PositionFact,
        beside: Beside,
        now: Timestamp,
    ) -> Result<PositionState, StoreError> {
        let state = self.write(move |db| observe_one(db, id, &fact, beside, now)).await?;
        self.ring();
        Ok(state)
    }

    /// Cost that a PT keeps apart, as it tells it with a payment: kept before the payment, whose amount it is part of.
    pub async fn keep_fee(&self, id: PositionId, fee: Cents) -> Result<(), StoreError> {
        self.write(move |db| {
            let sql = "UPDATE position SET fee = ?2 WHERE id = ?1 AND fee IS NOT ?2";
            db.prepare_cached(sql)?.execute(params![id.0.as_bytes(), fee.get()])?;
            Ok(())
        })
        .await
    }

    /// The same for many in one write, each all or nothing; answers in their order.
    pub async fn observe_positions(
        &self,
        facts: Vec<(PositionId, PositionFact, Beside)>,
        now: Timestamp,
    ) -> Result<Vec<Result<PositionState, StoreError>>, StoreError> {
        let observe = move |db: &Connection| {
            let outcomes = super::acts::each(db, facts, |db, (id, fact, beside)| observe_one(db, id, &fact, beside, now))?;
            Ok((outcomes, jobs::any_ready(db)?))
        };
        let (outcomes, ready) = self.write(observe).await?;
        // Most dates only set the next one: who leases is not called for nothing.
        if ready {
            self.ring();
        }
        Ok(outcomes)
    }
}

/// What a PT says at the first question of a notice, and the act is judged by.
const JUDGED: [&str; 7] = [
    position::code::NOT_FOUND,
    position::code::CANCELLED,
    position::code::EXPIRED,
    position::code::PAID_ELSEWHERE,
    prepare::code::NO_ID,
    prepare::code::NOT_DESCRIBED,
    prepare::code::PARTS,
];

/// `subject_kind` of a position.
pub(super) const KIND: &str = "posizione";

/// Applies a fact. The only place where a position changes its state.
pub(super) fn observe_one(
    db: &Connection,
    id: PositionId,
    fact: &PositionFact,
    beside: Beside,
    now: Timestamp,
) -> Result<PositionState, StoreError> {
    if let Some(job) = beside.job {
        jobs::finish(db, job)?;
    }
    if let Some(job) = beside.held {
        jobs::held(db, job)?;
    }
    let mut row = PositionRow::load(db, id)?;
    let (before, read_before) = (row.wanted, row.asked);
    let (again, being_paid) = told_later(db, &mut row, fact)?;
    let priced = matches!(fact, PositionFact::Left { last: true }) && row.costs == CostChannel::Pull && position_past::has_price(db, id)?;
    take(db, &mut row, fact, beside.sheet.as_deref(), now)?;
    let live = is_live(db, &row)?;
    let paid = match fact {
        PositionFact::Paid { whole, .. } => *whole,
        // Without a payment, if it is news at all.
        PositionFact::Verified { held } | PositionFact::ReadBack { held, .. } => held.state == HeldState::Paid,
        PositionFact::ToldLater { undone: Some(undone), .. } => undone.why == WhyUndone::Paid,
        _ => false,
    };
    let tells = paid && super::payments::tells_send(db, row.act)?;
    let expired = matches!(fact, PositionFact::Verified { held } if held.state == HeldState::Expired);
    let notified = priced || (expired && live && is_notified(db, &row)?);
    let ends = matches!(fact, PositionFact::Left { last: true })
        || (row.state == PositionState::Closed && matches!(fact, PositionFact::ToldLater { undone: Some(_), .. }));
    let cancels = ends && is_cancelled_with(db, row.act)?;
    let due_then = super::payments::due_of(db, &row, fact, beside.due, now)?;
    // It may have been closed with its act, or by its PT, while the other was paid.
    let paid_elsewhere =
        matches!(fact, PositionFact::Paid { whole: true, .. }) && super::position_material::is_paid_with_another(db, &row)?;
    let facts = PositionFacts { again, being_paid, read_before, due_then, paid_elsewhere, ..row.facts(!live, notified, tells, cancels) };
    let step = match elsewhere(db, &row, fact)? {
        Some(fact) => position::observe(&row.state, &facts, &fact),
        None => position::observe(&row.state, &facts, fact),
    };
    let moved = before != row.wanted;
    let news = row.state != PositionState::Paid && step.next == PositionState::Paid;
    save(db, &mut row, fact, step, moved, now)?;
    // A payment is often learnt before its PT has said what the notice asks for.
    if news || (row.state == PositionState::Paid && matches!(fact, PositionFact::Verified { .. })) {
        for other in super::position_material::paid_with(db, &row)? {
            observe_one(db, other, &PositionFact::PaidElsewhere, Beside::default(), now)?;
        }
    }
    if matches!(fact, PositionFact::Reckoned(_) | PositionFact::Verified { .. }) {
        position_orders::tell_asked(db, &row, now)?;
    }
    if let Some((effect, due)) = beside.then
        && effect.is_wanted(&row.state)
    {
        enqueue(db, &row, &effect, ms(due), now)?;
    }
    // Its outcome may have been told before anybody knew the ticket.
    if let PositionFact::TakenInCharge { ticket } = fact
        && matches!(row.state, PositionState::Changing { .. })
        && let Some(told) = early::taken(db, &row.pt, ticket)?
    {
        return observe_one(db, id, &told, Beside::default(), now);
    }
    Ok(row.state)
}

/// The PT says that a notice can be paid whose debt was paid with another notice of its act: it does not know, and is taken to say so.
fn elsewhere(db: &Connection, row: &PositionRow, fact: &PositionFact) -> Result<Option<PositionFact>, StoreError> {
    let PositionFact::Verified { held } = fact else { return Ok(None) };
    let payable = matches!(held.state, HeldState::Payable | HeldState::NotActive | HeldState::Expired);
    if !payable || !row.state.is_under_way() || !super::position_material::is_paid_with_another(db, row)? {
        return Ok(None);
    }
    Ok(Some(PositionFact::Verified { held: Held { state: HeldState::PaidElsewhere, ..held.clone() } }))
}

fn is_live(db: &Connection, row: &PositionRow) -> Result<bool, StoreError> {
    engine::is_live(db, row.act)
}

/// Whether an act was cancelled by an order, with none in its place, and its flow wants its positions cancelled too.
pub(super) fn is_cancelled_with(db: &Connection, act: ActId) -> Result<bool, StoreError> {
    let sql = "SELECT json_extract(d.json, '$.pagamenti.on_cancel') FROM act a JOIN flow_definition d ON d.digest = a.flow_digest \
               WHERE a.id = ?1 AND a.state IN ('ANNULLATO', 'RITIRATO') AND NOT EXISTS (SELECT 1 FROM act s WHERE s.replaces = a.id)";
    let word: Option<String> = optional(db.prepare_cached(sql)?.query_row([act.0.as_bytes()], |found| found.get(0)))?.flatten();
    Ok(word.as_deref() == Some("annulla"))
}

/// Whether SEND has the notification of its act.
fn is_notified(db: &Connection, row: &PositionRow) -> Result<bool, StoreError> {
    let sql = "SELECT accepted_at IS NOT NULL OR iun IS NOT NULL FROM act WHERE id = ?1";
    Ok(optional(db.prepare_cached(sql)?.query_row([row.act.0.as_bytes()], |found| found.get(0)))?.unwrap_or(false))
}

/// Keeps in the row what a fact tells.
fn take(db: &Connection, row: &mut PositionRow, fact: &PositionFact, sheet: Option<&str>, now: Timestamp) -> Result<(), StoreError> {
    let id = *row.id.0.as_bytes();
    match fact {
        // Another life: what messo did in the one before was taken back when it ended, and what was reckoned for another act, or for
        // other content, says nothing of this one.
        PositionFact::Joined { .. } if row.state == PositionState::Closed => {
            position_past::keep(db, row)?;
            (row.asked, row.held_due, row.wanted, row.wanted_cost, row.touched) = (None, None, None, None, false);
            (row.fee, row.cost, row.next_day, row.before, row.held_state) = (None, None, None, None, None);
            row.unsure = false;
            let sql = "UPDATE position SET asked = NULL, base = NULL, held_due = NULL, held_state = NULL, fee = NULL, wanted = NULL, \
                       wanted_cost = NULL, cost = NULL, reckoned_on = NULL, next_day = NULL, fault = NULL, sheet = NULL, told = NULL, \
                       whole_before = NULL, whole_since = NULL, costs_before = NULL, pushed_at = NULL, unsure = 0, due_apart = 0 WHERE id = ?1";
            db.prepare_cached(sql)?.execute([id])?;
            db.prepare_cached("DELETE FROM position_whole WHERE position_id = ?1")?.execute([id])?;
        }
        PositionFact::Verified { held } => {
            if !row.touched
                && let Some(amount) = held.amount
            {
                position_past::begin(db, row.id, amount)?;
            }
            hold(db, row, held, None, now)?;
        }
        PositionFact::ReadBack { held, told } => hold(db, row, held, Some(*told), now)?,
        PositionFact::Reckoned(sum) => {
            let (before, was_wanted, was_borne) = (row.whole(), row.wanted, row.borne());
            // Zero: nobody knows it.
            row.wanted = Some(sum.amount).filter(|amount| amount.get() > 0);
            row.wanted_cost = Some(sum.cost);
            row.cost = Some(sum.whole_cost);
            if before.is_some() && row.borne() != was_borne {
                position_past::cost_changed(db, row.id, was_borne, sum.day)?;
            }
            if let Some(whole) = before.filter(|before| row.whole() != Some(*before)) {
                // By time alone it changed on its day, however late that was seen.
                let since = row.next_day.map_or(sum.day, |day| day.min(sum.day));
                row.before = Some((whole, since));
                position_past::add(db, row.id, [was_wanted.unwrap_or(whole), whole])?;
            }
            row.next_day = sum.next;
            db.prepare_cached(
                "UPDATE position SET wanted = ?2, wanted_cost = ?3, cost = ?4, reckoned_on = ?5, next_day = ?6, fault = NULL, sheet = ?7, \
                 whole_before = ?8, whole_since = ?9 WHERE id = ?1",
            )?
            .execute(params![
                id,
                row.wanted.map(Cents::get),
                sum.cost.get(),
                sum.whole_cost.get(),
                sum.day.to_string(),
                sum.next.map(|day| day.to_string()),
                sheet,
                row.before.map(|(whole, _)| whole.get()),
                row.before.map(|(_, since)| since.to_string()),
            ])?;
        }
        // The prices that were known have the cost in them, and count days that nobody counts any more.
        PositionFact::Left { last: true } => {
            db.prepare_cached("UPDATE position SET sheet = NULL WHERE id = ?1")?.execute([id])?;
        }
        PositionFact::Resumed if matches!(&row.state, PositionState::Parked { code } if code == position::code::PAID_ELSEWHERE) => {
            db.prepare_cached("UPDATE position SET due_apart = 1 WHERE id = ?1")?.execute([id])?;
        }
        PositionFact::NoSum { code } => {
            db.prepare_cached("UPDATE position SET fault = ?2, sheet = NULL WHERE id = ?1")?.execute(params![id, code])?;
        }
        PositionFact::AmountUnknown { day, cost_lost } => {
            let code = cost_lost.then_some(prepare::code::COST_NOT_ASKED);
            db.prepare_cached("UPDATE position SET fault = ?2, reckoned_on = ?3, sheet = NULL WHERE id = ?1")?.execute(params![
                id,
                code,
                day.to_string()
            ])?;
        }
        PositionFact::Offered if matches!(&row.state, PositionState::Changing { change } if change.stage == Stage::ToPush) => {
            (row.touched, row.unsure) = (true, true);
            db.prepare_cached("UPDATE position SET pushed_at = ?2, unsure = 1 WHERE id = ?1")?.execute(params![id, ms(now)])?;
        }
        PositionFact::Pushed { reads: false } | PositionFact::ToldLater { undone: None, reads: false } => {
            if let PositionState::Changing { change } = &row.state
                && change.stage != Stage::ToPush
            {
                row.asked = Some(change.amount);
                row.held_due = change.due_date.or(row.held_due);
                row.unsure = false;
                let sql = "UPDATE position SET asked_before = asked, due_before = held_due, asked = ?2, held_due = ?3, unsure = 0 \
                           WHERE id = ?1";
                db.prepare_cached(sql)?.execute(params![id, change.amount.get(), row.held_due.map(|day| day.to_string())])?;
            }
        }
        // Refused after a silence that was taken for a yes: it holds what it held before.
        PositionFact::ToldLater { undone: Some(_), reads: false } if matches!(row.state, PositionState::Open | PositionState::Closed) => {
            let sql = "UPDATE position SET asked = asked_before, held_due = due_before WHERE id = ?1 RETURNING asked, held_due";
            let (asked, due): (Option<i64>, Option<String>) =
                db.prepare_cached(sql)?.query_row([id], |found| Ok((found.get(0)?, found.get(1)?)))?;
            row.asked = asked.map(Cents);
            row.held_due = due.and_then(|due| due.parse().ok());
        }
        // It holds what it held.
        PositionFact::ToldLater { undone: Some(_), .. } => {
            row.unsure = false;
            db.prepare_cached("UPDATE position SET unsure = 0 WHERE id = ?1")?.execute([id])?;
        }
        PositionFact::Paid { payment, whole: true } => {
            db.prepare_cached("UPDATE position SET paid_at = ?2, paid = ?3, next_day = NULL WHERE id = ?1")?.execute(params![
                id,
                ms(payment.paid_at),
                payment.amount.get()
            ])?;
        }
        _ => {}
    }
    Ok(())
}

/// Counts how often in a row its PT said later "not now", and keeps what else it said of the position. Another amount begins anew.
/// Answers the count, this time too, and whether it said the last time that it was being paid.
fn told_later(db: &Connection, row: &mut PositionRow, fact: &PositionFact) -> Result<(u32, bool), StoreError> {
    let concerns = match fact {
        PositionFact::ToldLater { .. } | PositionFact::Pushed { reads: false } | PositionFact::Resumed => true,
        PositionFact::Joined { .. } => row.state == PositionState::Closed,
        PositionFact::Reckoned(sum) => row.wanted != Some(sum.amount),
        _ => false,
    };
    if !concerns {
        return Ok((0, false));
    }
    let id = *row.id.0.as_bytes();
    let sql = "SELECT again, being_paid FROM position WHERE id = ?1";
    let known: (u32, bool) = db.prepare_cached(sql)?.query_row([id], |found| Ok((found.get(0)?, found.get(1)?)))?;
    let told = match fact {
        PositionFact::ToldLater { undone: Some(undone), .. } => {
            let again = if undone.why == WhyUndone::Again { known.0.saturating_add(1) } else { 0 };
            (again, undone.why == WhyUndone::BeingPaid)
        }
        PositionFact::Reckoned(_) => (0, known.1),
        // Its silence was taken for a yes.
        PositionFact::Pushed { .. } => known,
        _ => (0, false),
    };
    if told != known {
        let sql = "UPDATE position SET again = ?2, being_paid = ?3 WHERE id = ?1";
        db.prepare_cached(sql)?.execute(params![id, told.0, told.1])?;
    }
    // What it said of the position before is over; that its day has passed too, or it would be told another day for ever.
    let held = match fact {
        PositionFact::ToldLater { undone, .. } => {
            Some(undone.as_ref().and_then(|undone| undone.why.held()).filter(|held| *held != HeldState::Expired))
        }
        // A person let it go on: a PT that can be asked says anew how it is.
        PositionFact::Pushed { .. } | PositionFact::Resumed => Some(None),
        _ => None,
    };
    if let Some(held) = held {
        row.held_state = held;
        let sql = "UPDATE position SET held_state = ?2 WHERE id = ?1 AND held_state IS NOT ?2";
        db.prepare_cached(sql)?.execute(params![id, held.map(HeldState::as_str)])?;
    }
    Ok((told.0, known.1))
}

/// Keeps what a PT holds. `read`: it was read for a change; whether it has just said that it made it.
fn hold(db: &Connection, row: &mut PositionRow, held: &Held, read: Option<bool>, now: Timestamp) -> Result<(), StoreError> {
    row.fee = held.fee;
    row.held_state = Some(held.state);
    let change = match &row.state {
        PositionState::Changing { change } if change.stage != Stage::ToPush => Some(change),
        _ => None,
    };
    row.held_due = match (change, read) {
        (Some(change), Some(told)) if held.state != HeldState::Expired && change.is_in(held, told, row.asked) => {
            held.due_date.max(change.due_date).or(row.held_due)
        }
        _ => held.due_date.or(row.held_due),
    };
    (row.asked, row.unsure) = match (held.amount, change) {
        (Some(amount), _) => (Some(amount), false),
        // It does not tell: what it was told last, if it said that it did it or was silent for as long as it may be.
        (None, Some(change)) if change.stage == Stage::ToReadBack || read.is_some_and(|told| change.is_in(held, told, row.asked)) => {
            (Some(change.amount), false)
        }
        (None, _) => (row.asked, row.unsure),
    };
    db.prepare_cached(
        "UPDATE position SET held_state = ?2, asked = ?3, fee = ?4, held_due = ?5, pt_id = coalesce(?6, pt_id), read_at = ?7, \
         unsure = ?8 WHERE id = ?1",
    )?
    .execute(params![
        row.id.0.as_bytes(),
        held.state.as_str(),
        row.asked.map(Cents::get),
        held.fee.map(Cents::get),
        row.held_due.map(|day| day.to_string()),
        held.position_id,
        ms(now),
        row.unsure,
    ])?;
    if let Some(whole) = held.whole.as_ref().filter(|_| row.costs == CostChannel::Pull) {
        // Of an act that has lost its content meanwhile nothing is kept again.
        let sql = "INSERT INTO position_whole (position_id, json) SELECT ?1, ?2 WHERE EXISTS (SELECT 1 FROM act_content WHERE act_id = ?3) \
                   ON CONFLICT (position_id) DO UPDATE SET json = excluded.json";
        db.prepare_cached(sql)?.execute(params![row.id.0.as_bytes(), whole, row.act.0.as_bytes()])?;
    }
    Ok(())
}

fn save(
    db: &Connection,
    row: &mut PositionRow,
    fact: &PositionFact,
    step: PositionStep,
    moved: bool,
    now: Timestamp,
) -> Result<(), StoreError> {
    let id = *row.id.0.as_bytes();
    let changed = step.next != row.state;
    let was = std::mem::replace(&mut row.state, step.next);
    if changed {
        row.revision += 1;
        // One that was taken to be done keeps its ticket: the PT may refuse it yet.
        let ticket = match &row.state {
            PositionState::Changing { change } => match &change.stage {
                Stage::TakenInCharge { ticket } => Some(ticket.as_str()),
                _ => None,
            },
            _ => None,
        };
        let park_code = if let PositionState::Parked { code } = &row.state { Some(code.as_str()) } else { None };
        let saved = db
            .prepare_cached(
                "UPDATE position SET state = ?3, state_data = ?4, state_version = ?5, revision = ?2, \
                 ticket = coalesce(?6, CASE WHEN ?3 IN ('APERTA', 'CHIUSA') THEN ticket END), park_code = ?7, updated_at = ?8 \
                 WHERE id = ?1 AND revision = ?2 - 1",
            )?
            .execute(params![
                id,
                row.revision,
                row.state.name(),
                serde_json::to_string(&row.state)?,
                POSITION_VERSION,
                ticket,
                park_code,
                ms(now)
            ])?;
        if saved != 1 {
            return Err(StoreError::Stale);
        }
        // One under way ends by itself: its worker brings a fact, or finds that it came too late.
        for effect in PositionEffect::ALL.iter().filter(|effect| effect.is_wanted(&was) && !effect.is_wanted(&row.state)) {
            db.prepare_cached(
                "DELETE FROM job WHERE subject_kind = 'posizione' AND subject_id = ?1 AND kind = ?2 AND state <> 'IN_CORSO'",
            )?
            .execute(params![id, effect.name()])?;
        }
    }
    if changed || moved || matches!(fact, PositionFact::Paid { .. }) {
        let about = about(row, fact);
        engine::append_history(db, KIND, &id, fact.name(), Some(row.state.name()), about.as_deref(), now)?;
    }
    for line in &step.lines {
        let line = if line.event == position::event::UPDATED { position_orders::asked_of_all(db, row, line)? } else { line.clone() };
        publish(db, row, &line, now)?;
    }
    for (effect, when) in &step.effects {
        let due = match when {
            When::Now => ms(now),
            When::In(seconds) => ms(now) + seconds * 1_000,
            When::Day(day) => rome_day(*day).map_or(i64::MAX / 4, |(midnight, _)| ms(midnight)),
        };
        enqueue(db, row, effect, due, now)?;
    }
    for code in &step.flags {
        let about = row.id.to_string();
        match ActRow::load(db, row.act) {
            // The act itself is judged by it before anything goes to SEND, and the gestionale is told: nobody is woken for it.
            Ok(act) if was == PositionState::Unverified && act.state == State::Preparing && JUDGED.contains(&code.as_str()) => {}
            Ok(act) => engine::raise_alert(db, code, Some(&act), &about, now)?,
            Err(_) => Alert::new(code, &about).sender(Some(&row.sender)).raise(db, now)?,
        }
    }
    // Before messo changes anything an act may wait for it: for the answer of the PT, for the first reckoning.
    if (changed || moved || matches!(fact, PositionFact::AmountUnknown { .. })) && !row.touched {
        wake(db, row, now)?;
    }
    Ok(())
}

/// The verification that acts wait for before their upload has its answer.
fn wake(db: &Connection, row: &PositionRow, now: Timestamp) -> Result<(), StoreError> {
    for (act, _) in acts_of(db, row)? {
        db.prepare_cached(
            "UPDATE job SET state = 'PRONTO', due_at = ?2 WHERE subject_kind = 'notifica' AND subject_id = ?1 AND kind = 'PREPARA' AND state = 'ATTESA'",
        )?
        .execute(params![act.0.as_bytes(), ms(now)])?;
    }
    Ok(())
}

/// Amounts and codes, for the history.
fn about(row: &PositionRow, fact: &PositionFact) -> Option<String> {
    let value = match fact {
        PositionFact::Reckoned(sum) => serde_json::json!({ "amount": sum.amount, "cost": sum.whole_cost, "next": sum.next }),
        PositionFact::Verified { held } | PositionFact::ReadBack { held, .. } => {
            serde_json::json!({ "state": held.state, "amount": held.amount, "fee": held.fee })
        }
        PositionFact::NotVerified { code } | PositionFact::NoSum { code } | PositionFact::PushRefused { code } => {
            serde_json::json!({ "code": code })
        }
        PositionFact::GaveUp { code } => serde_json::json!({ "code": code }),
        PositionFact::ToldLater { undone: Some(undone), .. } => serde_json::json!({ "code": undone.code }),
        PositionFact::Paid { payment, whole } => {
            serde_json::json!({ "amount": payment.amount, "paid_at": payment.paid_at, "whole": whole })
        }
        PositionFact::Offered => match &row.state {
            PositionState::Changing { change } => serde_json::json!({ "amount": change.amount, "cost": change.cost, "key": change.key }),
            _ => return None,
        },
        _ => return None,
    };
    Some(value.to_string())
}

/// Acts that name a position, with the recipient on whom its notice travels: those that live, or the last that did.
fn acts_of(db: &Connection, row: &PositionRow) -> Result<Vec<(ActId, u32)>, StoreError> {
    let mut select = db.prepare_cached(
        "SELECT n.act_id, min(n.recipient) FROM notice n JOIN act a ON a.id = n.act_id WHERE n.notice_code = ?1 AND n.creditor = ?2 \
         AND a.staged = 0 AND (a.live = 1 OR a.id = ?3) GROUP BY n.act_id",
    )?;
    let rows = select.query_map(params![row.notice, row.creditor, row.act.0.as_bytes()], |row| Ok((act_at(row, 0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(super) fn publish(db: &Connection, row: &PositionRow, line: &PositionLine, now: Timestamp) -> Result<(), StoreError> {
    let happened = line.payment.as_ref().map_or(now, |payment| payment.paid_at);
    for (act, recipient) in acts_of(db, row)? {
        let act = ActRow::load(db, act)?;
        let mut draft = LineDraft::new(OutcomeState::Info, line.event, happened);
        draft.recipient = Some(recipient);
        draft.code.clone_from(&line.code);
        draft.position = Some(PositionTold {
            creditor: row.creditor.clone(),
            notice: row.notice.clone(),
            pt: row.pt.clone(),
            amount: line.amount.map(Cents::get),
            cost: line.cost.map(Cents::get),
            receipt: line.payment.as_ref().and_then(|payment| payment.receipt.clone()),
        });
        engine::publish_line(db, &act, draft, now)?;
    }
    Ok(())
}

/// Queues a job of a position, due at an instant (milliseconds).
pub(super) fn enqueue(db: &Connection, row: &PositionRow, effect: &PositionEffect, due: i64, now: Timestamp) -> Result<(), StoreError> {
    let channel = match effect {
        PositionEffect::TellPayment => ActRow::load(db, row.act)?.channel(),
        effect if effect.calls_pt() => format!("pt/{}", row.pt),
        _ => String::new(),
    };
    jobs::enqueue_position(db, row.id, effect, &channel, due, now)
}
