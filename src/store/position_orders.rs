//! What people order about debt positions (days that stand still, a parked one that goes on), and what gestionali are told that the
//! citizen is asked for, where no change at the PT says it.

use jiff::Timestamp;
use jiff::civil::Date;
use rusqlite::{Connection, params};

use super::codec::ms;
use super::engine::{self, ActRow};
use super::position_acts::positions_of;
use super::positions::{Beside, KIND, PositionRow, observe_one, publish};
use super::{Store, StoreError};
use crate::domain::calendar::in_rome;
use crate::domain::ids::{ActId, PositionId};
use crate::domain::money::Cents;
use crate::domain::position::CostChannel;
use crate::flow::event::OrderRefused;
use crate::flow::position::{self, PositionFact, PositionLine, PositionState};

/// An order about days that do not count (appeal).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DaysOrder {
    /// From `from` on; `until`: the last of them, when it is known. Ends an open suspension of before.
    Stop { from: Date, until: Option<Date> },
    /// They count again: `last` is the last one that did not.
    Go { last: Date },
}

impl Store {
    /// A person lets a parked position go on: it is verified anew. False: it was not parked.
    pub async fn resume_position(&self, id: PositionId, who: &str, why: &str, now: Timestamp) -> Result<bool, StoreError> {
        let about = super::orders::by(who, why);
        let resumed = self.write(move |db| resume(db, id, &about, now)).await?;
        self.ring();
        Ok(resumed)
    }

    /// Carries out an order about the days in which a position can be paid. [`StoreError::Order`]: it cannot be.
    pub async fn order_days(&self, id: PositionId, order: DaysOrder, who: &str, why: &str, now: Timestamp) -> Result<(), StoreError> {
        let (who, why) = (who.to_owned(), why.to_owned());
        self.write(move |db| order_days(db, id, order, &who, &why, now)).await?;
        self.ring();
        Ok(())
    }
}

/// The same inside a change that orders it for all the positions of an act.
fn order_days(db: &Connection, id: PositionId, order: DaysOrder, who: &str, why: &str, now: Timestamp) -> Result<(), StoreError> {
    let bytes = id.0.as_bytes();
    let (event, told) = match order {
        DaysOrder::Stop { from, until: Some(until) } if until < from => return Err(OrderRefused::Days.into()),
        DaysOrder::Stop { from, until } => {
            // An open suspension that began on that day or later gives way to the new one.
            db.prepare_cached("DELETE FROM suspension WHERE position_id = ?1 AND until_day IS NULL AND from_day >= ?2")?
                .execute(params![bytes, from.to_string()])?;
            db.prepare_cached("UPDATE suspension SET until_day = ?2 WHERE position_id = ?1 AND until_day IS NULL")?
                .execute(params![bytes, from.yesterday().unwrap_or(from).to_string()])?;
            db.prepare_cached(
                "INSERT INTO suspension (position_id, seq, act_id, from_day, until_day, who, why, at) \
                 VALUES (?1, (SELECT coalesce(max(seq), 0) + 1 FROM suspension WHERE position_id = ?1), \
                 (SELECT act_id FROM position WHERE id = ?1), ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![bytes, from.to_string(), until.map(|day| day.to_string()), who, why, ms(now)])?;
            ("ORDINE_SOSPENDI", position::event::DAYS_STOPPED)
        }
        DaysOrder::Go { last } => {
            let sql = "UPDATE suspension SET until_day = ?2 WHERE position_id = ?1 AND (until_day IS NULL OR until_day > ?2)";
            if db.prepare_cached(sql)?.execute(params![bytes, last.to_string()])? == 0 {
                return Err(OrderRefused::NotStopped.into());
            }
            // One that was to begin later never does.
            db.prepare_cached("DELETE FROM suspension WHERE position_id = ?1 AND until_day < from_day")?.execute([bytes])?;
            ("ORDINE_RIPRENDI_TERMINI", position::event::DAYS_GO)
        }
    };
    let row = PositionRow::load(db, id)?;
    let mut about = serde_json::json!({ "who": who, "why": why });
    if let Some(about) = about.as_object_mut() {
        let (from, until) = match order {
            DaysOrder::Stop { from, until } => (Some(from), until),
            DaysOrder::Go { last } => (None, Some(last)),
        };
        about.extend(from.map(|from| ("from".to_owned(), from.to_string().into())));
        about.extend(until.map(|until| ("until".to_owned(), until.to_string().into())));
    }
    engine::append_history(db, KIND, bytes, event, Some(row.state.name()), Some(&about.to_string()), now)?;
    let line = PositionLine { event: told, code: None, amount: None, cost: None, payment: None };
    publish(db, &row, &line, now)?;
    observe_one(db, id, &PositionFact::Moved, Beside::default(), now).map(drop)
}

/// An act begins to name a position. Days that were stopped for a notification that was cancelled or withdrawn ended with it, or they
/// would stop those of the next one for ever; those of the act itself (which gets other content), of the one it replaces and of one that
/// was refused, so that it comes again, go on.
pub(super) fn inherit_days(db: &Connection, id: PositionId, act: &ActRow, now: Timestamp) -> Result<(), StoreError> {
    let (bytes, own) = (id.0.as_bytes(), act.id.0.as_bytes());
    let of_others = "SELECT EXISTS (SELECT 1 FROM suspension WHERE position_id = ?1 AND act_id <> ?2)";
    if !db.prepare_cached(of_others)?.query_row(params![bytes, own], |found| found.get(0))? {
        return Ok(());
    }
    let row = PositionRow::load(db, id)?;
    if super::position_acts::is_named_by_others(db, act.id, &row.creditor, &row.notice)? {
        return Ok(());
    }
    db.prepare_cached(
        "UPDATE suspension SET act_id = ?2 WHERE position_id = ?1 AND act_id <> ?2 AND (act_id = ?3 \
         OR EXISTS (SELECT 1 FROM act a WHERE a.id = suspension.act_id AND a.state = 'RIFIUTATO'))",
    )?
    .execute(params![bytes, own, act.replaces.map(|old| *old.0.as_bytes())])?;
    let today = in_rome(now).date().to_string();
    let sql = "DELETE FROM suspension WHERE position_id = ?1 AND act_id <> ?2 RETURNING until_day IS NULL OR until_day >= ?3";
    let mut delete = db.prepare_cached(sql)?;
    let ended: Vec<bool> = delete.query_map(params![bytes, own, today], |found| found.get(0))?.collect::<Result<_, _>>()?;
    if ended.is_empty() {
        return Ok(());
    }
    engine::append_history(db, KIND, bytes, "SOSPENSIONE_FINITA_CON_L_ATTO", Some(row.state.name()), None, now)?;
    if ended.contains(&true) {
        let line = PositionLine { event: position::event::DAYS_GO, code: None, amount: None, cost: None, payment: None };
        publish(db, &row, &line, now)?;
    }
    Ok(())
}

/// Another act is followed, and the debt goes on: so do its stopped days.
pub(super) fn keep_days(db: &Connection, id: PositionId) -> Result<(), StoreError> {
    let sql = "UPDATE suspension SET act_id = (SELECT act_id FROM position WHERE id = ?1) WHERE position_id = ?1";
    db.prepare_cached(sql)?.execute([id.0.as_bytes()])?;
    Ok(())
}

fn resume(db: &Connection, id: PositionId, about: &str, now: Timestamp) -> Result<bool, StoreError> {
    let row = PositionRow::load(db, id)?;
    if !matches!(row.state, PositionState::Parked { .. }) {
        return Ok(false);
    }
    engine::append_history(db, KIND, id.0.as_bytes(), "ORDINE_RIPRENDI", Some(row.state.name()), Some(about), now)?;
    observe_one(db, id, &PositionFact::Resumed, Beside::default(), now)?;
    Ok(true)
}

/// An act that waited for its PTs is resumed: what was parked of it is verified anew, and what still waits is asked now.
pub(super) fn resume_of(db: &Connection, act: ActId, who: &str, why: &str, now: Timestamp) -> Result<(), StoreError> {
    let about = super::orders::by(who, why);
    for id in positions_of(db, act)? {
        if !resume(db, id, &about, now)? {
            db.prepare_cached(
                "UPDATE job SET state = 'PRONTO', due_at = ?2, attempts = 0 WHERE subject_kind = 'posizione' AND subject_id = ?1 \
                 AND kind = 'VERIFICA_POSIZIONE' AND state IN ('ATTESA', 'SOSPESO')",
            )?
            .execute(params![id.0.as_bytes(), ms(now)])?;
        }
    }
    Ok(())
}

/// An order about days for every position that an act names. [`OrderRefused::NotStopped`]: not one of them was suspended.
pub(super) fn order_days_of(
    db: &Connection,
    act: &ActRow,
    order: DaysOrder,
    who: &str,
    why: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let positions = if act.positions > 0 { positions_of(db, act.id)? } else { Vec::new() };
    let mut refused = Some(OrderRefused::NoPosition);
    for id in positions {
        let managed = PositionRow::load(db, id)?.state != PositionState::Unmanaged;
        if !managed {
            continue;
        }
        match order_days(db, id, order, who, why, now) {
            Ok(()) => refused = None,
            // Nothing of it was changed.
            Err(StoreError::Order(OrderRefused::NotStopped)) => refused = refused.map(|_| OrderRefused::NotStopped),
            Err(error) => return Err(error),
        }
    }
    refused.map_or(Ok(()), |refused| Err(refused.into()))
}

/// What the citizen is asked after a change: with the cost that SEND adds by itself, where it does. Kept as told.
pub(super) fn asked_of_all(db: &Connection, row: &PositionRow, line: &PositionLine) -> Result<PositionLine, StoreError> {
    let mut line = line.clone();
    if row.costs == CostChannel::Async
        && let Some(amount) = line.amount
    {
        let sql = "SELECT fee FROM position WHERE id = ?1";
        let fee: Option<i64> = db.prepare_cached(sql)?.query_row([row.id.0.as_bytes()], |found| found.get(0))?;
        line.amount = Some(Cents(amount.get() + fee.unwrap_or(0)));
        line.cost = fee.map(Cents);
    }
    let told = line.amount.map(Cents::get);
    db.prepare_cached("UPDATE position SET told = ?2 WHERE id = ?1")?.execute(params![row.id.0.as_bytes(), told])?;
    Ok(line)
}

/// Where messo tells the PT no cost (it asks by itself, or SEND writes it, and its PT was read) nothing else says what the citizen is
/// asked: told when it is another sum than the last one told, or than the PT held at first.
pub(super) fn tell_asked(db: &Connection, row: &PositionRow, now: Timestamp) -> Result<(), StoreError> {
    let told = match row.costs {
        // The last word too: what was asked with the cost is asked without.
        CostChannel::Pull => matches!(row.state, PositionState::Open | PositionState::Closed),
        CostChannel::Async => row.state == PositionState::Open,
        CostChannel::Push | CostChannel::None => false,
    };
    if !told {
        return Ok(());
    }
    let sql = "SELECT told, base, fee, cost FROM position WHERE id = ?1";
    type Found = (Option<i64>, Option<i64>, Option<i64>, Option<i64>);
    let (told, base, fee, cost): Found = db
        .prepare_cached(sql)?
        .query_row([row.id.0.as_bytes()], |found| Ok((found.get(0)?, found.get(1)?, found.get(2)?, found.get(3)?)))?;
    let Some(wanted) = row.wanted else { return Ok(()) };
    let cost = if row.costs == CostChannel::Async { fee } else { cost }.unwrap_or(0);
    let total = wanted.get() + cost;
    if told.or(base) == Some(total) || (told.or(base).is_none() && cost == 0) {
        return Ok(());
    }
    db.prepare_cached("UPDATE position SET told = ?2 WHERE id = ?1")?.execute(params![row.id.0.as_bytes(), total])?;
    let event = position::event::UPDATED;
    let line = PositionLine { event, code: None, amount: Some(Cents(total)), cost: Some(Cents(cost)), payment: None };
    publish(db, row, &line, now)
}
