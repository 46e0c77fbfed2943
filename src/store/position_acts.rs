//! Which acts name which positions: a notice of an act that is started goes the way that the configuration tells, and its position
//! is made or joined; an act that ends, or gets other content, leaves it. Acts without a notice of a configured PT never come here.

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::StoreError;
use super::codec::{act_at, ms, optional, uuid_at, word};
use super::engine::ActRow;
use super::position_orders;
use super::positions::{Beside, PositionRow, enqueue, observe_one};
use crate::clock;
use crate::domain::act::PagoPaIntMode;
use crate::domain::ids::{ActId, PositionId};
use crate::domain::notice_code;
use crate::domain::position::CostChannel;
use crate::flow::event::Fact;
use crate::flow::position::{POSITION_VERSION, PositionEffect, PositionFact, PositionState};

/// Which notices of a creditor a PT has, as the configuration says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    pub creditor: String,
    pub aux: Option<u8>,
    pub code: Option<String>,
    pub pt: String,
    pub costs: CostChannel,
    pub managed: bool,
}

impl Route {
    fn fits(&self, notice: &str) -> bool {
        let (aux, code) = (notice_code::aux(notice), notice_code::route_code(notice));
        self.aux.is_none_or(|wanted| aux == Some(wanted)) && self.code.as_deref().is_none_or(|wanted| code == Some(wanted))
    }
}

/// Who has the notices of a creditor with routes of which none fits: nobody that messo knows.
const NOBODY: &str = "nessuno";

/// The way of a notice. `None`: its creditor has no routes at all. One that fits none of its creditor's is not managed, and said to be so.
fn route(db: &Connection, creditor: &str, notice: &str) -> Result<Option<Route>, StoreError> {
    let mut select = db.prepare_cached("SELECT aux, code, pt, costs, managed FROM payment_route WHERE creditor = ?1 ORDER BY n")?;
    let rows = select.query_map([creditor], |row| {
        Ok((
            row.get::<_, Option<u8>>(0)?,
            row.get::<_, Option<String>>(1)?,
            row.get::<_, String>(2)?,
            row.get::<_, String>(3)?,
            row.get(4)?,
        ))
    })?;
    let mut any = false;
    for row in rows {
        any = true;
        let (aux, code, pt, costs, managed) = row?;
        let route = Route { creditor: creditor.to_owned(), aux, code, pt, costs: word(&costs, "costs")?, managed };
        if route.fits(notice) {
            return Ok(Some(route));
        }
    }
    let nobody =
        || Route { creditor: creditor.to_owned(), aux: None, code: None, pt: NOBODY.to_owned(), costs: CostChannel::None, managed: false };
    Ok(any.then(nobody))
}

/// The one way in which the cost reaches the citizen: where SEND writes it itself (ASYNC) nobody else ever adds it, and where it does
/// not nobody waits for it.
#[must_use]
pub fn costs_of(route: CostChannel, mode: Option<PagoPaIntMode>) -> CostChannel {
    match (mode, route) {
        (Some(PagoPaIntMode::Async), _) => CostChannel::Async,
        (_, CostChannel::Async) => CostChannel::None,
        (_, other) => other,
    }
}

/// Whether the configuration has any route: asked once for many acts.
pub(super) fn any_route(db: &Connection) -> Result<bool, StoreError> {
    Ok(db.prepare_cached("SELECT EXISTS (SELECT 1 FROM payment_route)")?.query_row([], |row| row.get(0))?)
}

/// Counts the notices of an act that a configured PT has: acts without any never look at positions again.
pub(super) fn route_act(db: &Connection, act: &mut ActRow) -> Result<(), StoreError> {
    let mut count = 0;
    for (creditor, notice) in notices_of(db, act.id)? {
        count += i64::from(route(db, &creditor, &notice)?.is_some());
    }
    if count != act.positions {
        act.positions = count;
        db.prepare_cached("UPDATE act SET positions = ?2 WHERE id = ?1")?.execute(params![act.id.0.as_bytes(), count])?;
    }
    Ok(())
}

/// An act begins (or begins again, or has new content): the positions of its notices are made or joined.
pub(super) fn join(db: &Connection, act: &ActRow, now: Timestamp) -> Result<(), StoreError> {
    if act.positions == 0 {
        return Ok(());
    }
    let mode = int_mode(db, act.id)?;
    for (creditor, notice) in &notices_of(db, act.id)? {
        let Some(route) = route(db, creditor, notice)? else { continue };
        let costs = costs_of(route.costs, mode);
        let row = match PositionRow::of_notice(db, creditor, notice)? {
            Some(row) => row,
            None => create(db, act, creditor, notice, &route, costs, now)?,
        };
        let untouched = matches!(row.state, PositionState::Closed | PositionState::Unmanaged | PositionState::Unverified);
        // Still on its way out of its last life, or shared: it keeps its PT. The way of the cost is that of the act that is left, and
        // where SEND writes it for any of them nobody else may.
        let pt = if untouched { &route.pt } else { &row.pt };
        let costs = match costs {
            _ if row.state == PositionState::Paid => row.costs,
            CostChannel::Async => CostChannel::Async,
            costs if untouched || !is_named_by_others(db, act.id, creditor, notice)? => costs,
            _ => row.costs,
        };
        db.prepare_cached("UPDATE position SET pt_id = CASE WHEN pt = ?2 THEN pt_id END, pt = ?2, costs = ?3 WHERE id = ?1")?
            .execute(params![row.id.0.as_bytes(), pt, costs.as_str()])?;
        let alone = row.state == PositionState::Closed;
        follow(db, row.id, creditor, notice)?;
        position_orders::inherit_days(db, row.id, act, now)?;
        observe_one(db, row.id, &PositionFact::Joined { managed: route.managed }, Beside::default(), now)?;
        super::payments::adopt(db, row.id, act.id, alone, now)?;
    }
    Ok(())
}

fn create(
    db: &Connection,
    act: &ActRow,
    creditor: &str,
    notice: &str,
    route: &Route,
    costs: CostChannel,
    now: Timestamp,
) -> Result<PositionRow, StoreError> {
    let id = PositionId(clock::new_uuid());
    let state = PositionState::Closed;
    db.prepare_cached(
        "INSERT INTO position (id, creditor, notice, sender, act_id, pt, costs, state, state_data, state_version, revision, created_at, updated_at, n) \
         VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,0,?11,?11,?12)",
    )?
    .execute(params![
        id.0.as_bytes(),
        creditor,
        notice,
        act.sender,
        act.id.0.as_bytes(),
        route.pt,
        costs.as_str(),
        state.name(),
        serde_json::to_string(&state)?,
        POSITION_VERSION,
        ms(now),
        free_number(db, notice)?,
    ])?;
    PositionRow::load(db, id)
}

/// Below this a position is found under its notice; from it on are those whose notice another creditor has too.
const BESIDE: i64 = 1_000_000_000_000_000_000;

/// What a position is found under first when its price is asked: its notice, as a number.
pub(super) fn number_of(notice: &str) -> Option<i64> {
    notice.parse().ok().filter(|number| (0..BESIDE).contains(number))
}

/// What a new position of that notice is kept under: its number, unless a position of another creditor has it.
pub(super) fn free_number(db: &Connection, notice: &str) -> Result<i64, StoreError> {
    if let Some(number) = number_of(notice) {
        let taken: bool =
            db.prepare_cached("SELECT EXISTS (SELECT 1 FROM position WHERE n = ?1)")?.query_row([number], |row| row.get(0))?;
        if !taken {
            return Ok(number);
        }
    }
    let last: Option<i64> = db.prepare_cached("SELECT max(n) FROM position")?.query_row([], |row| row.get(0))?;
    Ok(last.map_or(BESIDE, |last| (last + 1).max(BESIDE)))
}

fn notices_of(db: &Connection, act: ActId) -> Result<Vec<(String, String)>, StoreError> {
    let mut select = db.prepare_cached("SELECT DISTINCT creditor, notice_code FROM notice WHERE act_id = ?1")?;
    Ok(select.query_map([act.0.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?)
}

/// Positions that an act names.
pub(super) fn positions_of(db: &Connection, act: ActId) -> Result<Vec<PositionId>, StoreError> {
    let mut select = db.prepare_cached(
        "SELECT DISTINCT p.id FROM notice n JOIN position p ON p.notice = n.notice_code AND p.creditor = n.creditor WHERE n.act_id = ?1",
    )?;
    Ok(select.query_map([act.0.as_bytes()], |row| uuid_at(row, 0).map(PositionId))?.collect::<Result<_, _>>()?)
}

fn int_mode(db: &Connection, act: ActId) -> Result<Option<PagoPaIntMode>, StoreError> {
    let sql = "SELECT coalesce(json_extract(c.json, '$.pago_pa_int_mode'), json_extract(d.json, '$.pago_pa_int_mode')) FROM act a \
               JOIN act_content c ON c.act_id = a.id JOIN flow_definition d ON d.digest = a.flow_digest WHERE a.id = ?1";
    let mode: Option<String> = optional(db.prepare_cached(sql)?.query_row([act.0.as_bytes()], |row| row.get(0)))?.flatten();
    mode.map(|mode| word(&mode, "pago_pa_int_mode")).transpose()
}

/// Which act the amount follows: one that lives, first the one that SEND has; else the last that named the notice. Answers whether
/// it lives.
fn follow(db: &Connection, id: PositionId, creditor: &str, notice: &str) -> Result<bool, StoreError> {
    let found = optional(
        db.prepare_cached(
            "SELECT a.id, a.sender, a.live FROM notice n JOIN act a ON a.id = n.act_id WHERE n.notice_code = ?1 AND n.creditor = ?2 \
             AND a.staged = 0 ORDER BY a.live DESC, a.iun IS NOT NULL DESC, a.submission DESC, a.created_at DESC LIMIT 1",
        )?
        .query_row([notice, creditor], |row| Ok((act_at(row, 0)?, row.get::<_, String>(1)?, row.get::<_, bool>(2)?))),
    )?;
    let Some((act, sender, live)) = found else { return Ok(false) };
    db.prepare_cached("UPDATE position SET act_id = ?2, sender = ?3 WHERE id = ?1 AND act_id <> ?2")?.execute(params![
        id.0.as_bytes(),
        act.0.as_bytes(),
        sender
    ])?;
    Ok(live)
}

/// Whether another act that lives names the notice.
pub(super) fn is_named_by_others(db: &Connection, act: ActId, creditor: &str, notice: &str) -> Result<bool, StoreError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM notice n JOIN act a ON a.id = n.act_id \
               WHERE n.notice_code = ?1 AND n.creditor = ?2 AND a.live = 1 AND a.staged = 0 AND a.id <> ?3)";
    Ok(db.prepare_cached(sql)?.query_row(params![notice, creditor, act.0.as_bytes()], |row| row.get(0))?)
}

/// An act that names positions no longer lives, or is about to get other content.
pub(super) fn leave(db: &Connection, act: ActId, now: Timestamp) -> Result<(), StoreError> {
    for id in positions_of(db, act)? {
        let row = PositionRow::load(db, id)?;
        let live = follow(db, id, &row.creditor, &row.notice)?;
        if live {
            position_orders::keep_days(db, id)?;
        }
        observe_one(db, id, &PositionFact::Left { last: !live }, Beside::default(), now)?;
    }
    Ok(())
}

/// The content of an act is about to be replaced: its notices are taken away, and positions that nobody else names are closed.
pub(super) fn forsake(db: &Connection, act: ActId, now: Timestamp) -> Result<(), StoreError> {
    let positions = positions_of(db, act)?;
    db.prepare_cached("DELETE FROM notice WHERE act_id = ?1")?.execute([act.0.as_bytes()])?;
    for id in positions {
        let row = PositionRow::load(db, id)?;
        let live = follow(db, id, &row.creditor, &row.notice)?;
        if live {
            position_orders::keep_days(db, id)?;
        }
        observe_one(db, id, &PositionFact::Left { last: !live }, Beside::default(), now)?;
    }
    Ok(())
}

/// The personal data of an act goes: what follows it is no longer reckoned nor changed, and the ente is told.
pub(super) fn bereave(db: &Connection, act: ActId, now: Timestamp) -> Result<(), StoreError> {
    for id in positions_of(db, act)? {
        let row = PositionRow::load(db, id)?;
        if row.act == act {
            observe_one(db, id, &PositionFact::ActErased, Beside::default(), now)?;
        }
    }
    Ok(())
}

/// The store was put back from a copy: PTs may hold what was told after it, and are read before they are told anything.
pub(super) fn after_restore(db: &Connection, now: Timestamp) -> Result<(), StoreError> {
    for state in ["APERTA", "IN_MODIFICA", "DA_VERIFICARE"] {
        let mut select = db.prepare_cached("SELECT id FROM position WHERE state = ?1")?;
        let ids: Vec<PositionId> = select.query_map([state], |row| uuid_at(row, 0).map(PositionId))?.collect::<Result<_, _>>()?;
        for id in ids {
            observe_one(db, id, &PositionFact::Restored, Beside::default(), now)?;
        }
    }
    Ok(())
}

/// Whether a fact of an act can move an amount.
pub(super) fn moves(fact: &Fact) -> bool {
    match fact {
        Fact::Accepted { .. } | Fact::PriceKnown { .. } => true,
        Fact::Element { before, after, .. } => before.moves_amounts(after),
        _ => false,
    }
}

/// Something happened to an act that can move amounts: they are reckoned.
pub(super) fn stir(db: &Connection, act: ActId, now: Timestamp) -> Result<(), StoreError> {
    for id in positions_of(db, act)? {
        let row = PositionRow::load(db, id)?;
        if row.state.is_reckoned(row.costs) {
            follow(db, id, &row.creditor, &row.notice)?;
            enqueue(db, &row, &PositionEffect::Reckon, ms(now), now)?;
        }
        // Nothing of it moves any more: what was paid is compared with what was due on that day, as it is known by now.
        if row.state == PositionState::Paid && row.paid_known {
            enqueue(db, &row, &PositionEffect::Reckon, ms(now), now)?;
        }
    }
    Ok(())
}
