//! The stage of an act before its upload: what the PTs said of its notices is judged and saved in one transaction, so that an answer
//! that comes meanwhile is never missed (it wakes the job that waits: [`super::positions`]).

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, params};

use super::codec::{at, ms, word};
use super::engine::{self, ActRow};
use super::jobs::{self, JobRef};
use super::position_past;
use super::{Store, StoreError};
use crate::domain::ids::ActId;
use crate::domain::money::Cents;
use crate::domain::notice_qr::{self, Expected, Printed};
use crate::domain::outcome::PositionTold;
use crate::domain::position::{CostChannel, HeldState};
use crate::flow::definition::{PaymentCheck, Payments};
use crate::flow::event::Fact;
use crate::flow::position::{PositionState, code as parked};
use crate::flow::prepare::{self, Noticed, Seen, Verdict, code};
use crate::flow::state::State;

/// A PT that does not answer is looked for again by itself; this is only the net below the waking (seconds).
const LOOK_AGAIN: i64 = 600;

/// What became of the stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The act went on, was refused, or had gone elsewhere: the job is over.
    Over,
    /// A PT has not answered: the job waits.
    Waits,
    /// It did not answer for as long as it may take: a person is needed.
    TooLong,
    /// Nothing else stands in its way, and its printed notices were not read: nothing was saved.
    Unread,
}

/// What the stage depends on, beside the store.
#[derive(Debug, Clone, Default)]
pub struct Around {
    /// Hours that an act waits for each PT.
    pub hours: BTreeMap<String, u32>,
    /// PTs that are GPD: where SEND looks for the notices of an ASYNC act.
    pub gpd: BTreeSet<String>,
    /// PTs at which, by some route, SEND is the one that writes the cost: of ASYNC acts alone.
    pub asynchronous: BTreeSet<String>,
    /// Notices (PT, creditor, notice) of which the act states no id, at PTs that change a position by its id alone.
    pub without_id: BTreeSet<(String, String, String)>,
    /// The printed notices of the act. `None`: not read; drawing them costs more than all the rest, so it is done last.
    pub printed: Option<Vec<Printed>>,
}

/// Hours for a PT that is no longer in the configuration.
const HOURS: u32 = 48;

struct Row {
    noticed: Noticed,
    told: PositionTold,
    creditor: String,
    costs: CostChannel,
    apply_cost: bool,
    /// The cost should be asked for with it, and cannot be.
    cost_lost: bool,
    /// Its PT has said its id.
    has_id: bool,
}

impl Row {
    /// What its act, its PT and the way of the cost do not agree on: told, never a reason to refuse.
    fn discord(&self, around: &Around) -> Option<&'static str> {
        let pt = &self.told.pt;
        match self.costs {
            _ if self.noticed.seen == Seen::Unmanaged => None,
            CostChannel::Async => (!around.gpd.contains(pt)).then_some(code::ASYNC_ELSEWHERE),
            // Its amount would stay as it is, and nobody would know.
            CostChannel::Push
                if !self.has_id && around.without_id.contains(&(pt.clone(), self.creditor.clone(), self.told.notice.clone())) =>
            {
                Some(code::NO_ID)
            }
            CostChannel::None if self.apply_cost && around.asynchronous.contains(pt) => Some(code::COST_NOT_ASKED),
            _ => self.cost_lost.then_some(code::COST_NOT_ASKED),
        }
    }
}

impl Store {
    /// Judges the notices of an act that is being prepared; ends the job, or lets it wait.
    pub async fn prepare_act(
        &self,
        act: ActId,
        job: JobRef,
        policy: Payments,
        amount: Option<Cents>,
        around: Around,
        now: Timestamp,
    ) -> Result<Stage, StoreError> {
        let stage = self.write(move |db| prepare(db, act, job, &policy, amount, &around, now)).await?;
        self.ring();
        Ok(stage)
    }
}

fn prepare(
    db: &Connection,
    id: ActId,
    job: JobRef,
    policy: &Payments,
    amount: Option<Cents>,
    around: &Around,
    now: Timestamp,
) -> Result<Stage, StoreError> {
    jobs::held(db, job)?;
    let mut act = ActRow::load(db, id)?;
    if act.state != State::Preparing {
        jobs::finish(db, job)?;
        return Ok(Stage::Over);
    }
    let rows = if act.positions > 0 { rows(db, id)? } else { Vec::new() };
    let notices: Vec<Noticed> = rows.iter().map(|row| row.noticed.clone()).collect();
    let verdict = prepare::judge(policy, amount, &notices);
    if around.printed.is_none() && policy.qr != PaymentCheck::Ignore && !rows.is_empty() && matches!(verdict, Verdict::Go { .. }) {
        return Ok(Stage::Unread);
    }
    let found = around.printed.as_deref().unwrap_or_default();
    let printed: Vec<_> = rows.iter().map(|row| says_otherwise(row, amount, found)).collect();
    match prepare::with_printed(policy, verdict, &printed) {
        Verdict::Go { mut remarks } => {
            jobs::finish(db, job)?;
            remarks.extend(rows.iter().enumerate().filter_map(|(place, row)| Some((place, row.discord(around)?))));
            for (place, code) in remarks {
                let Some(row) = rows.get(place) else { continue };
                let fact = Fact::Remarked { recipient: row.noticed.recipient, told: row.told.clone(), code };
                engine::observe(db, &mut act, &fact, now)?;
            }
            engine::observe(db, &mut act, &Fact::Prepared, now)?;
            Ok(Stage::Over)
        }
        Verdict::Refuse { notice, code } => {
            jobs::finish(db, job)?;
            let (recipient, notice) = rows.get(notice).map_or((0, String::new()), |row| (row.noticed.recipient, row.told.notice.clone()));
            engine::observe(db, &mut act, &Fact::NotPayable { recipient, notice, code, at: now }, now)?;
            Ok(Stage::Over)
        }
        Verdict::Wait => {
            let since: i64 =
                db.prepare_cached("SELECT created_at FROM job WHERE id = ?1")?.query_row([job.id.as_bytes()], |row| row.get(0))?;
            let waits = rows.iter().filter(|row| row.noticed.seen == Seen::Waits);
            let hours = waits.map(|row| around.hours.get(&row.told.pt).copied().unwrap_or(HOURS)).min().unwrap_or(HOURS);
            let end = at(since).saturating_add(SignedDuration::from_hours(i64::from(hours))).unwrap_or(Timestamp::MAX);
            if now >= end {
                return Ok(Stage::TooLong);
            }
            let due = ms(now).saturating_add(LOOK_AGAIN * 1_000).min(ms(end));
            let sql = "UPDATE job SET state = 'ATTESA', due_at = ?2, error = ?3 WHERE id = ?1";
            db.prepare_cached(sql)?.execute(params![job.id.as_bytes(), due, code::WAITS])?;
            Ok(Stage::Waits)
        }
    }
}

/// The notices of an act that a configured PT has, in the order of the act.
fn rows(db: &Connection, act: ActId) -> Result<Vec<Row>, StoreError> {
    let mut select = db.prepare_cached(
        "SELECT n.recipient, p.creditor, p.notice, p.pt, p.costs, p.state_data, p.held_state, p.asked, p.wanted, \
         p.reckoned_on IS NOT NULL OR p.fault IS NOT NULL, p.fault, n.apply_cost, p.pt_id IS NOT NULL, p.base, p.past FROM notice n \
         JOIN position p ON p.notice = n.notice_code AND p.creditor = n.creditor WHERE n.act_id = ?1 ORDER BY n.recipient, n.item",
    )?;
    type Sums = (Option<i64>, Option<i64>, bool, Option<String>, bool, bool, Option<i64>, Option<String>);
    type Found = (u32, String, String, String, String, String, Option<String>, Sums);
    let found: Vec<Found> = select
        .query_map([act.0.as_bytes()], |row| {
            let costs = row.get(4)?;
            let sums = (row.get(7)?, row.get(8)?, row.get(9)?, row.get(10)?, row.get(11)?, row.get(12)?, row.get(13)?, row.get(14)?);
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, costs, row.get(5)?, row.get(6)?, sums))
        })?
        .collect::<Result<_, _>>()?;
    let row = |(recipient, creditor, notice, pt, costs, state, held, sums): Found| {
        let (asked, wanted, reckoned, fault, apply_cost, has_id, base, past) = sums;
        let asked = asked.map(|asked| position_past::at_first(Cents(asked), base.map(Cents), past.as_deref()));
        let state: PositionState = serde_json::from_str(&state)?;
        let held = held.map(|held| word::<HeldState>(&held, "held_state")).transpose()?;
        let costs = word::<CostChannel>(&costs, "costs")?;
        let by_send = costs == CostChannel::Async;
        let seen = seen(&state, held, asked, wanted.map(Cents), reckoned);
        let cost_lost = fault.as_deref() == Some(code::COST_NOT_ASKED);
        let told = PositionTold { creditor: creditor.clone(), notice, pt, amount: None, cost: None, receipt: None };
        Ok(Row { noticed: Noticed { recipient, by_send, seen }, told, creditor, costs, apply_cost, cost_lost, has_id })
    };
    let mut rows: Vec<Row> = found.into_iter().map(row).collect::<Result<_, StoreError>>()?;
    rows.dedup_by(|one, other| one.told.notice == other.told.notice && one.creditor == other.creditor);
    Ok(rows)
}

/// How the printed notice of a row disagrees with it, if it is printed and does.
fn says_otherwise(row: &Row, amount: Option<Cents>, printed: &[Printed]) -> Option<&'static str> {
    let own = printed.iter().find(|one| one.notice == row.told.notice && one.creditor == row.creditor)?;
    let reckoned = match row.noticed.seen {
        Seen::Held { asked, wanted, .. } => [asked, wanted],
        _ => [None, None],
    };
    let amounts: Vec<Cents> = amount.into_iter().chain(reckoned.into_iter().flatten()).collect();
    let expected = Expected { notice: &own.notice, creditor: &own.creditor, amounts: &amounts };
    notice_qr::compare(&own.codes, expected).err().map(notice_qr::Mismatch::code)
}

/// What is known of a notice, by where its position is. `reckoned`: what is due was reckoned, or could not be: before that nobody
/// knows whether there is a sum, and the act would go or stay by whichever job came first.
fn seen(state: &PositionState, held: Option<HeldState>, asked: Option<Cents>, wanted: Option<Cents>, reckoned: bool) -> Seen {
    match state {
        PositionState::Unmanaged => Seen::Unmanaged,
        // Paid with another notice, then cancelled by its PT.
        PositionState::Closed if held == Some(HeldState::Cancelled) => Seen::Held { state: HeldState::Cancelled, asked, wanted },
        PositionState::Unverified | PositionState::Closed => Seen::Waits,
        PositionState::Open if !reckoned && held.is_none_or(|held| held == HeldState::Payable) => Seen::Waits,
        // One that cannot be verified is taken as its batch says.
        PositionState::Open | PositionState::Changing { .. } => Seen::Held { state: held.unwrap_or(HeldState::Payable), asked, wanted },
        PositionState::Paid => Seen::Held { state: HeldState::Paid, asked, wanted },
        PositionState::Parked { code } => match code.as_str() {
            parked::NOT_FOUND => Seen::Wrong(code::UNKNOWN),
            parked::OTHER => Seen::Wrong(code::OTHER_CREDITOR),
            // SEND's cost cannot be written on one that is cancelled, whatever the flow says of the rest.
            parked::CANCELLED => Seen::Held { state: HeldState::Cancelled, asked, wanted },
            parked::PAID_ELSEWHERE => Seen::Held { state: HeldState::PaidElsewhere, asked, wanted },
            parked::EXPIRED => Seen::Wrong(code::NOT_PAYABLE),
            parked::NO_SUM => Seen::Wrong(code::NO_SUM),
            code::NO_ID => Seen::Wrong(code::NO_ID),
            code::NOT_DESCRIBED => Seen::Wrong(code::NOT_DESCRIBED),
            code::PARTS => Seen::Wrong(code::PARTS),
            // A payment under way ends by itself; a PT that does not answer, or refuses us, may yet.
            _ => Seen::Waits,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_state_of_a_position_is_one_answer() {
        let parked_as = |code: &str| PositionState::Parked { code: code.to_owned() };
        let held = |state| Seen::Held { state, asked: Some(Cents(4_200)), wanted: None };
        let table = [
            (PositionState::Unmanaged, None, Seen::Unmanaged),
            (PositionState::Unverified, None, Seen::Waits),
            (PositionState::Closed, None, Seen::Waits),
            (PositionState::Closed, Some(HeldState::Cancelled), held(HeldState::Cancelled)),
            (PositionState::Open, Some(HeldState::Payable), held(HeldState::Payable)),
            (PositionState::Open, Some(HeldState::NotActive), held(HeldState::NotActive)),
            (PositionState::Open, None, held(HeldState::Payable)),
            (PositionState::Paid, Some(HeldState::Payable), held(HeldState::Paid)),
            (parked_as(parked::NOT_FOUND), None, Seen::Wrong(code::UNKNOWN)),
            (parked_as(parked::OTHER), None, Seen::Wrong(code::OTHER_CREDITOR)),
            (parked_as(parked::CANCELLED), None, held(HeldState::Cancelled)),
            (parked_as(parked::PAID_ELSEWHERE), None, held(HeldState::PaidElsewhere)),
            (parked_as(parked::EXPIRED), None, Seen::Wrong(code::NOT_PAYABLE)),
            (parked_as(parked::NO_SUM), None, Seen::Wrong(code::NO_SUM)),
            (parked_as(code::NO_ID), None, Seen::Wrong(code::NO_ID)),
            (parked_as(code::NOT_DESCRIBED), None, Seen::Wrong(code::NOT_DESCRIBED)),
            (parked_as(code::PARTS), None, Seen::Wrong(code::PARTS)),
            (parked_as(parked::BEING_PAID), None, Seen::Waits),
            (parked_as("TENTATIVI_ESAURITI"), None, Seen::Waits),
        ];
        for (state, told, want) in table {
            assert_eq!(seen(&state, told, Some(Cents(4_200)), None, true), want, "{state:?} {told:?}");
        }
        // Whether there is a sum is not known before it was reckoned; that it cannot be paid is.
        for (told, want) in [(HeldState::Payable, Seen::Waits), (HeldState::NotActive, held(HeldState::NotActive))] {
            assert_eq!(seen(&PositionState::Open, Some(told), Some(Cents(4_200)), None, false), want, "{told:?}");
        }
    }
}
