//! What an act asks for on a given day: the rule as a batch or a flow states it, the facts it depends on, and the sum, line by line.
//!
//! Pure. Days are days of Rome. The day of an event is not counted, holidays in between are; a last day that is a holiday moves
//! to the next working day, and Saturday is one (art. 155 c.p.c. has it otherwise for procedural acts: payments are not those).

use jiff::ToSpan;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::act::vocabulary;
use super::calendar::Calendar;
use super::money::Cents;

vocabulary!(
    /// The event from which the days of a step are counted.
    FromEvent {
        ActDate = "data_atto",
        Completion = "perfezionamento",
        Contestation = "contestazione",
    }
);
vocabulary!(
    /// What happens to SEND's cost.
    CostPolicy {
        Added = "aggiunti",
        NotAdded = "non_aggiunti",
        /// SEND itself writes it on GPD (ASYNC).
        AlreadyInPosition = "in_posizione",
    }
);
vocabulary!(
    /// Whose cost of notification is asked for, when several recipients owe together.
    CostBearers {
        /// That of the recipient on whom the notice travels: what SEND itself prices.
        Holder = "intestatario",
        /// That of every recipient of the act.
        All = "tutti",
    }
);
vocabulary!(
    /// Whose completion the steps are counted from, when there are several recipients.
    WhoseCompletion { Holder = "intestatario", First = "primo", Last = "ultimo" }
);
vocabulary!(
    /// What a last day on a holiday does.
    HolidayPolicy { Moves = "sposta", Stays = "non_sposta" }
);
vocabulary!(
    /// What a percent is taken of.
    PercentOf { Base = "base", Minimum = "minimo", Maximum = "massimo" }
);
vocabulary!(
    /// How a percent becomes cents.
    Rounding { HalfUp = "commerciale", Down = "difetto", Up = "eccesso" }
);

/// How the amount due changes with time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AmountRule {
    /// `None`: the amount of the act.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<Cents>,
    /// In growing order of `days`; the amount of the first step whose term has not passed is due.
    pub steps: Vec<AmountStep>,
    pub costs: CostPolicy,
    #[serde(default = "holder_bears")]
    pub bearers: CostBearers,
    #[serde(default = "holder_completes")]
    pub completion: WhoseCompletion,
    #[serde(default = "moves")]
    pub holidays: HolidayPolicy,
    #[serde(default = "half_up")]
    pub rounding: Rounding,
    /// Never less, never more than this, costs apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub floor: Option<Cents>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ceiling: Option<Cents>,
    /// Acts (by date of violation, else of the act) from this day on, and up to that day included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_from: Option<Date>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<Date>,
}

fn holder_bears() -> CostBearers {
    CostBearers::Holder
}
fn holder_completes() -> WhoseCompletion {
    WhoseCompletion::Holder
}
fn moves() -> HolidayPolicy {
    HolidayPolicy::Moves
}
fn half_up() -> Rounding {
    Rounding::HalfUp
}

/// Up to `days` after `from`, this is due.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AmountStep {
    pub from: FromEvent,
    /// Last day, counted from the day after the event; `None`: for ever after the step before.
    pub days: Option<u32>,
    pub due: StepAmount,
    /// What the percent is of.
    #[serde(default = "of_base", skip_serializing_if = "is_base")]
    pub of: PercentOf,
}

fn of_base() -> PercentOf {
    PercentOf::Base
}
fn is_base(of: &PercentOf) -> bool {
    *of == PercentOf::Base
}

/// A percent of the base or a fixed amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StepAmount {
    /// Hundredths of a percent: 7000 = 70 %.
    Percent(u32),
    Fixed(Cents),
}

/// Why a rule makes no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AmountRuleError {
    #[error("no step")]
    Empty,
    #[error("days must grow")]
    DaysDoNotGrow,
    #[error("only the last step may have no term")]
    EndlessInTheMiddle,
    #[error("more than 20 steps")]
    TooMany,
}

impl AmountRule {
    /// The amount of the act, always the same, costs by `costs`: the rule of acts that bring none.
    #[must_use]
    pub fn flat(costs: CostPolicy) -> AmountRule {
        let step = AmountStep { from: FromEvent::Completion, days: None, due: StepAmount::Percent(10_000), of: PercentOf::Base };
        AmountRule {
            base: None,
            steps: vec![step],
            costs,
            bearers: CostBearers::Holder,
            completion: WhoseCompletion::Holder,
            holidays: HolidayPolicy::Moves,
            rounding: Rounding::HalfUp,
            floor: None,
            ceiling: None,
            valid_from: None,
            valid_until: None,
        }
    }

    /// Checks what can be known without facts: at least one step, terms that grow, the endless one last.
    pub fn check(&self) -> Result<(), AmountRuleError> {
        if self.steps.is_empty() {
            return Err(AmountRuleError::Empty);
        }
        if self.steps.len() > 20 {
            return Err(AmountRuleError::TooMany);
        }
        let mut last = None;
        for (index, step) in self.steps.iter().enumerate() {
            match step.days {
                None if index + 1 < self.steps.len() => return Err(AmountRuleError::EndlessInTheMiddle),
                Some(days) if last.is_some_and(|before| days <= before) => return Err(AmountRuleError::DaysDoNotGrow),
                days => last = days.or(last),
            }
        }
        Ok(())
    }
}

/// What an amount depends on, beside its rule. Dates are days of Rome.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AmountFacts {
    /// The act's own amount (`amount`).
    pub amount: Option<Cents>,
    pub minimum: Option<Cents>,
    pub maximum: Option<Cents>,
    pub act_date: Option<Date>,
    pub violation: Option<Date>,
    pub contestation: Option<Date>,
    /// Which recipient the notice travels on.
    pub holder: usize,
    pub recipients: Vec<RecipientFacts>,
    /// An appeal stops the days; in order, the last may be open.
    pub suspensions: Vec<Suspension>,
    /// The notice has `applyCost`, in a request with DELIVERY_MODE.
    pub applies_cost: bool,
    /// SEND has accepted the notification and it is neither refused nor cancelled: there is a cost.
    pub notified: bool,
    /// What the ente adds (`paFee`, cents) and VAT on paper (percent), as the request says them.
    pub pa_fee: u32,
    pub vat: u32,
    pub calendar: Calendar,
}

/// One recipient.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct RecipientFacts {
    /// Earliest of view and term, the day of Rome that counts (a delivery after 21:00 counts as the next day where the law says so:
    /// SEND's own dates already do).
    pub completed: Option<Date>,
    /// `totalPrice` as SEND told it last.
    pub price: Option<Cents>,
    /// Paper so far, cents, net of VAT.
    pub analog_cost: Cents,
}

/// Days that do not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suspension {
    /// First day that does not count.
    pub from: Date,
    /// Last day that does not count; `None`: until further notice.
    pub until: Option<Date>,
}

/// The sum due on a day, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breakdown {
    /// What the citizen is asked: `due` + `cost`.
    pub total: Cents,
    /// By the rule, without costs.
    pub due: Cents,
    /// Cost of notification asked for with it.
    pub cost: Cents,
    /// Index of the step in force.
    pub step: usize,
    /// Last day on which this step holds, when time alone ends it.
    pub until: Option<Date>,
    /// The days stand still.
    pub suspended: bool,
    pub lines: Vec<BreakdownLine>,
}

/// One line of the explanation; `text::it::amounts` makes it a sentence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum BreakdownLine {
    Base {
        of: PercentOf,
        amount: Cents,
    },
    Step {
        from: FromEvent,
        event: Option<Date>,
        days: Option<u32>,
        until: Option<Date>,
        moved: bool,
        due: StepAmount,
        amount: Cents,
    },
    Floor(Cents),
    Ceiling(Cents),
    Suspended {
        since: Date,
    },
    /// Of one recipient, by index.
    Cost {
        recipient: usize,
        amount: Cents,
    },
    CostNotAdded,
    CostInPosition,
    NotNotifiedYet,
}

/// Why there is no sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AmountFault {
    #[error("no base amount")]
    NoBase,
    #[error("a percent of the {0} that the act does not state")]
    NoSuchBase(PercentOf),
    #[error("the rule does not hold for the act's date")]
    OutOfValidity,
    #[error("the sum is not positive")]
    NotPositive,
    #[error("the sum is too large")]
    TooLarge,
}

/// SEND's price of a recipient from its parts (`reference send.md` 7): 100 + paper with VAT, rounded half up once, + `paFee`.
#[must_use]
pub fn price_from_parts(analog_cost: Cents, vat: u32, pa_fee: u32) -> Cents {
    let paper = (analog_cost.0 * i64::from(100 + vat) + 50) / 100;
    Cents(100 + paper + i64::from(pa_fee))
}

/// What is due on `day`.
pub fn amount_due(rule: &AmountRule, facts: &AmountFacts, day: Date) -> Result<Breakdown, AmountFault> {
    let base = rule.base.or(facts.amount).ok_or(AmountFault::NoBase)?;
    let completed = facts.recipients.get(facts.holder).and_then(|recipient| recipient.completed);
    let mut lines = vec![BreakdownLine::Base { of: PercentOf::Base, amount: base }];
    let mut chosen = None;
    for (index, step) in rule.steps.iter().enumerate() {
        let event = match step.from {
            FromEvent::Completion => completed,
            FromEvent::ActDate => facts.act_date,
            FromEvent::Contestation => facts.contestation,
        };
        let until = match (event, step.days) {
            (Some(event), Some(days)) => {
                let last = event.checked_add(i64::from(days).days()).unwrap_or(Date::MAX);
                Some(if rule.holidays == HolidayPolicy::Moves && facts.calendar.is_holiday(last) {
                    next_open(&facts.calendar, last)
                } else {
                    last
                })
            }
            _ => None,
        };
        chosen = Some((index, step, event, until));
        if until.is_none_or(|until| day <= until) {
            break;
        }
    }
    let (index, step, event, until) = chosen.ok_or(AmountFault::NoBase)?;
    let due = match step.due {
        StepAmount::Fixed(amount) => amount,
        StepAmount::Percent(percent) => Cents((base.0 * i64::from(percent) + 5_000) / 10_000),
    };
    lines.push(BreakdownLine::Step { from: step.from, event, days: step.days, until, moved: false, due: step.due, amount: due });
    let mut cost = Cents(0);
    if rule.costs == CostPolicy::Added && facts.applies_cost && facts.notified {
        let holder = facts.recipients.get(facts.holder).copied().unwrap_or_default();
        cost = holder.price.unwrap_or_else(|| price_from_parts(holder.analog_cost, facts.vat, facts.pa_fee));
        lines.push(BreakdownLine::Cost { recipient: facts.holder, amount: cost });
    }
    let until = until.filter(|_| index + 1 < rule.steps.len());
    Ok(Breakdown { total: Cents(due.0 + cost.0), due, cost, step: index, until, suspended: false, lines })
}

/// The first day that is neither a Sunday nor a feast: Saturday is one.
fn next_open(calendar: &Calendar, mut day: Date) -> Date {
    while calendar.is_holiday(day) {
        let Ok(next) = day.tomorrow() else { return day };
        day = next;
    }
    day
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_grow_and_the_endless_one_is_last() {
        let step = |days| AmountStep { from: FromEvent::Completion, days, due: StepAmount::Percent(10_000), of: PercentOf::Base };
        let table = [
            (vec![step(Some(5)), step(Some(60)), step(None)], Ok(())),
            (vec![], Err(AmountRuleError::Empty)),
            (vec![step(Some(60)), step(Some(5))], Err(AmountRuleError::DaysDoNotGrow)),
            (vec![step(None), step(Some(5))], Err(AmountRuleError::EndlessInTheMiddle)),
            (vec![step(None); 21], Err(AmountRuleError::TooMany)),
        ];
        for (steps, want) in table {
            let rule = AmountRule { steps, ..AmountRule::flat(CostPolicy::Added) };
            assert_eq!(rule.check(), want, "{rule:?}");
        }
    }
}
