//! What is due today, and on each day to come: pure, from what the store knows of a position.

use std::sync::Arc;

use jiff::ToSpan;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::partners;
use super::{Over, Price, PriceAnswer, PriceDay};
use crate::domain::amount_rule::{
    AmountFacts, AmountFault, AmountRule, Breakdown, BreakdownLine, CostPolicy, FromEvent, amount_due, rule_of,
};
use crate::domain::calendar::Calendar;
use crate::domain::ids::PositionId;
use crate::domain::money::Cents;
use crate::domain::position::{Capabilities, CostChannel};
use crate::flow::position::{PositionFact, PositionState, Reckoning, code};
use crate::service::dispatch::{self, End, settle};
use crate::service::{Hub, rome};
use crate::store::{Beside, Leased, PositionMaterial, Sheet, StoreError, Subject};

/// Most changes by time alone that are looked ahead at: a rule has at most 20 steps.
const AHEAD: usize = 30;
/// Days for which a PT's last day is moved at least: it is not to be moved again every few days.
const LEAST_OPEN: u32 = 30;
/// The largest amount of an avviso pagoPA, cents.
const MOST: i64 = 99_999_999_999;

/// The price of a position on each day to come, as it is kept in its row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PriceSheet {
    iun: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    viewed: Option<Date>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    completed: Option<Date>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    balance: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cost_place: Option<String>,
    /// In the order of time.
    days: Vec<PriceDay>,
}

impl PriceSheet {
    /// The price on a day.
    #[must_use]
    pub fn on(mut self, day: Date) -> Option<Price> {
        let today = self.days.iter().rposition(|one| one.from <= day).unwrap_or(0);
        if today >= self.days.len() {
            return None;
        }
        Some(Price {
            iun: self.iun,
            day: self.days.swap_remove(today),
            viewed: self.viewed,
            completed: self.completed,
            balance: self.balance,
            cost_place: self.cost_place,
        })
    }
}

impl PriceDay {
    fn of(from: Date, sum: &Breakdown) -> PriceDay {
        PriceDay { from, total: sum.total, due: sum.due, cost: sum.cost, step: sum.step, until: sum.until }
    }
}

/// The rule that a position follows: its act's, else its flow's, with the cost where its channel wants it. The steps of an act are of
/// its whole amount: of one among several notices that is not of the whole (instalments, reduced and full) the amount stays as its PT
/// had it.
#[must_use]
pub fn rule(material: &PositionMaterial) -> AmountRule {
    let whole = rule_of(&material.content, material.flow.amount_rule.as_ref());
    let rule = if material.is_of_the_whole(&whole) {
        whole
    } else {
        // Of instalments of one recipient that which bears the cost bears everybody's; of several each bears that of its own.
        let mut holders = material.content.notices().map(|(recipient, ..)| recipient);
        let of_one = holders.next().is_some_and(|first| holders.all(|holder| holder == first));
        let flat = AmountRule::flat(whole.costs);
        AmountRule { bearers: if of_one { whole.bearers } else { flat.bearers }, ..flat }
    };
    rule.under(material.costs)
}

/// What is due on `today`, line by line.
pub fn breakdown(material: &PositionMaterial, calendar: Calendar, today: Date) -> Result<Breakdown, AmountFault> {
    let (rule, facts) = terms(material, calendar);
    amount_due(&rule, &facts, today)
}

/// The rule in force and what it is reckoned from. Of an act that is over nothing of its notification counts any more: the PT asks for
/// what it held before messo changed anything; where nobody told that, for what the rule asks for before anybody is served.
fn terms(material: &PositionMaterial, calendar: Calendar) -> (AmountRule, AmountFacts) {
    let (rule, mut facts) = (rule(material), facts(material, calendar));
    if material.live {
        return (rule, facts);
    }
    for recipient in &mut facts.recipients {
        recipient.completed = None;
    }
    match material.base.filter(|base| base.get() > 0) {
        Some(base) => (AmountRule::flat(rule.costs), AmountFacts { amount: Some(base), ..facts }),
        None => (rule, facts),
    }
}

/// What the amount depends on: of a part of the act's amount the base is what its PT held.
fn facts(material: &PositionMaterial, calendar: Calendar) -> AmountFacts {
    let whole = material.is_of_the_whole(&rule_of(&material.content, material.flow.amount_rule.as_ref()));
    let amount = if whole { material.facts.amount.or(material.base) } else { material.base };
    AmountFacts { amount, calendar, ..material.facts.clone() }
}

/// What is due on `today`, and the price of each day to come when SEND has the notification.
pub fn reckon(
    material: &PositionMaterial,
    calendar: Calendar,
    can: Option<Capabilities>,
    today: Date,
) -> Result<(Reckoning, Option<PriceSheet>), AmountFault> {
    let known = can.is_some_and(|can| !can.changes_by_position_id || material.data(can.ties_position_id).position_id.is_some());
    let cancels = (material.cancels && !material.live).then(|| known && can.is_some_and(|can| can.cancel));
    // One that its PT cannot cancel, and that messo never changed, needs no sum either: there is nothing to take back.
    if cancels == Some(true) || (cancels == Some(false) && !material.touched) {
        return Ok((Reckoning { cancels, ..ending(material, today) }, None));
    }
    let amount_of_act = facts(material, calendar).amount;
    let (rule, facts) = terms(material, calendar);
    let mut days = Vec::new();
    let mut day = today;
    while days.len() < AHEAD {
        let sum = match amount_due(&rule, &facts, day) {
            Ok(sum) => sum,
            // Of one that is over, and that messo never changed, there is nothing to take back.
            Err(_) if days.is_empty() && !material.live && !material.touched => {
                return Ok((Reckoning { cancels, ..ending(material, today) }, None));
            }
            Err(fault) if days.is_empty() => return Err(fault),
            // Told when its day comes.
            Err(_) => break,
        };
        let until = sum.until;
        days.push((day, sum));
        match until.and_then(|last| last.tomorrow().ok()) {
            Some(next) if next > day => day = next,
            _ => break,
        }
    }
    let (_, now) = days.first().ok_or(AmountFault::NoBase)?;
    // Where it is not pushed it is in no amount of the PT's.
    let (amount, cost) = match material.costs {
        CostChannel::Push => (now.total, now.cost),
        CostChannel::Async | CostChannel::Pull | CostChannel::None => (now.due, Cents(0)),
    };
    if amount.get() <= 0 {
        return Err(AmountFault::NotPositive);
    }
    if amount.get() > MOST {
        return Err(AmountFault::TooLarge);
    }
    // The last term of the steps themselves: what comes after it (semesters) goes on for years.
    let last_days = days.iter().flat_map(|(_, sum)| &sum.lines).filter_map(|line| match line {
        BreakdownLine::Step { until, .. } => *until,
        _ => None,
    });
    let last_term = last_days.max().filter(|_| facts.completed(rule.completion).is_some());
    let ends = rule.steps.last().is_some_and(|step| step.days.is_some());
    let stated_due = material.content.payment_expiration_date.or(last_term.filter(|_| ends));
    let can_update = known && can.is_some_and(|can| can.update);
    // While it can be paid and nobody knows until when. A rule without terms of its own (and one among several notices) is left to the
    // date that its PT has, but while a person has stopped its days.
    let stopped = material.facts.suspensions.iter().any(|held| held.from <= today && held.until.is_none());
    let dated = rule.steps.iter().any(|step| step.days.is_some());
    let begins = rule.counts_from(FromEvent::Completion) && facts.completed(rule.completion).is_none();
    let keeps = material.flow.payments.keep_open_days;
    let far = today.saturating_add(i64::from(keeps.max(LEAST_OPEN)).days());
    let open_until = Some(far).filter(|_| material.live && keeps > 0 && (stopped || (dated && (begins || !ends))));
    let moves = can.is_some_and(|can| can.moves_date);
    let reckoning = Reckoning {
        day: today,
        amount,
        cost,
        whole_cost: now.cost,
        due_date: last_term.filter(|_| moves),
        open_until: open_until.filter(|_| moves),
        // Of one among several notices (instalments) the act states nothing.
        stated_due: stated_due.filter(|_| material.notices <= 1),
        restates: can.is_some_and(|can| can.moves_date && !can.tells_date),
        next: now.until.and_then(|last| last.tomorrow().ok()),
        stated: amount_of_act,
        may_push: can_update && material.costs != CostChannel::Pull && (material.facts.notified || material.touched),
        last: !material.live,
        cancels,
    };
    let sheet = match &material.iun {
        // Also of an act that is over: a PT that asks keeps what it was told last, and the cost must not stay in it.
        Some(iun) if material.facts.notified || !material.live => Some(PriceSheet {
            iun: iun.clone(),
            viewed: material.viewed.filter(|_| material.live),
            completed: facts.completed(rule.completion),
            balance: material.content.position.as_ref().and_then(|data| data.balance.clone()),
            cost_place: material.flow.payments.cost_place.clone(),
            days: days.iter().map(|(from, sum)| PriceDay::of(*from, sum)).collect(),
        }),
        _ => None,
    };
    Ok((reckoning, sheet))
}

/// Of one that ends with its act: the amount stays, whatever it is; zero when nobody knows it.
fn ending(material: &PositionMaterial, today: Date) -> Reckoning {
    Reckoning {
        day: today,
        amount: material.asked.or(material.base).unwrap_or(Cents(0)),
        cost: Cents(0),
        whole_cost: Cents(0),
        due_date: None,
        open_until: None,
        stated_due: None,
        restates: false,
        next: None,
        stated: material.content.amount,
        may_push: false,
        last: true,
        cancels: None,
    }
}

/// Reckons many positions together: read in one look, saved in one write.
pub async fn run(hub: &Arc<Hub>, jobs: &[Leased]) {
    let of = |job: &Leased| match &job.subject {
        Subject::Posizione { position, .. } => Some(*position),
        _ => None,
    };
    let ids: Vec<PositionId> = jobs.iter().filter_map(of).collect();
    let materials = match hub.store.position_materials(ids).await {
        Ok(materials) => materials,
        Err(error) => {
            let error = error.to_string();
            for job in jobs {
                settle(hub, job, End::from(StoreError::Database(error.clone()))).await;
            }
            return;
        }
    };
    let settings = hub.settings();
    let now = hub.clock.now();
    let today = rome(now).date();
    let (mut facts, mut those) = (Vec::new(), Vec::new());
    for job in jobs {
        let Some(material) = of(job).and_then(|id| materials.iter().find(|material| material.id == id)) else {
            // Its act lost its content: nothing can be reckoned any more.
            settle(hub, job, End::Nothing).await;
            continue;
        };
        let calendar = settings.institution(&material.sender).map(crate::config::Institution::calendar).unwrap_or_default();
        let can = hub.partners.get(&partners::channel_of(&material.pt)).map(|channel| channel.partner.capabilities());
        let mut beside = Beside::job(job.job);
        if material.state == PositionState::Paid {
            // A completion learnt late: nothing is due any more, what was due on the day of the payment may be another sum.
            let due = material.paid_on.filter(|_| material.live).and_then(|day| breakdown(material, calendar, day).ok());
            facts.push((material.id, PositionFact::Compared, Beside { due: due.map(|sum| sum.due), ..Beside::job(job.job) }));
            those.push(job);
            continue;
        }
        let fact = match reckon(material, calendar, can, today) {
            Ok((sum, sheet)) => {
                beside.sheet = sheet.and_then(|sheet| serde_json::to_string(&sheet).ok());
                PositionFact::Reckoned(Box::new(sum))
            }
            // Its PT does not tell, and the act states the whole: it stays as it is.
            Err(AmountFault::NoBase) if material.notices > 1 => {
                let cost_lost = rule(material).costs == CostPolicy::Added && material.facts.applies_cost;
                PositionFact::AmountUnknown { day: today, cost_lost }
            }
            Err(fault) => {
                let _guard = dispatch::span(job).entered();
                tracing::warn!(%fault, "l'importo non si può calcolare");
                PositionFact::NoSum { code: code::NO_SUM }
            }
        };
        facts.push((material.id, fact, beside));
        those.push(job);
    }
    failpoint!("amount.reckoned");
    match hub.store.observe_positions(facts, now).await {
        Ok(outcomes) => {
            for (job, outcome) in those.iter().zip(outcomes) {
                settle(hub, job, outcome.map_or_else(End::from, |_: PositionState| End::Saved)).await;
            }
        }
        Err(error) => {
            let error = error.to_string();
            for job in those {
                settle(hub, job, End::from(StoreError::Database(error.clone()))).await;
            }
        }
    }
}

/// The answer to a PT that asks the price of a notice.
#[must_use]
pub fn answer(pt: &str, sheet: Option<Sheet>, today: Date) -> PriceAnswer {
    let Some(sheet) = sheet.filter(|sheet| sheet.pt == pt) else { return PriceAnswer::Unknown };
    match (sheet.state.as_str(), sheet.park_code.as_deref()) {
        ("PAGATA", _) => return PriceAnswer::NotPayable(Over::Paid),
        // An act that is over takes the debt with it only where its flow says so: else the debt is as good as before, and its act may
        // come again.
        _ if sheet.cancelled => return PriceAnswer::NotPayable(Over::Withdrawn),
        (_, Some(code::PAID_ELSEWHERE)) => return PriceAnswer::NotPayable(Over::Paid),
        (_, Some(code::CANCELLED)) => return PriceAnswer::NotPayable(Over::Withdrawn),
        (_, Some(code::EXPIRED)) => return PriceAnswer::NotPayable(Over::Expired),
        _ => {}
    }
    // The cost has one way only: where it is pushed, or SEND writes it, the amount of the position is in force.
    if sheet.costs != CostChannel::Pull {
        return PriceAnswer::NotYet;
    }
    let price = sheet.json.and_then(|json| serde_json::from_str::<PriceSheet>(&json).ok()).and_then(|sheet| sheet.on(today));
    price.map_or(PriceAnswer::NotYet, |price| PriceAnswer::Due(Box::new(price)))
}
