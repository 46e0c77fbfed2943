//! The sum due on a day by an [`AmountRule`], and why, line by line. Pure; every sum is checked.
//!
//! The cost of notification is added exactly once: the price that SEND told of the recipient on whom the notice travels, while it is of
//! the paper that is known today, else the same from its parts; never discounted, never a base of percents. Where it is not added, or SEND itself writes it in the position,
//! it is 0 here.

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};

use super::act::{Act, FeePolicy, Payment};
use super::amount_days::{Days, add_days, days_between};
use super::amount_presets::omitted_payment;
use super::amount_rule::{
    AmountRule, AmountStep, CostBearers, CostPolicy, FromEvent, PercentOf, Rounding, SanctionTable, StepAmount, WhenMissing,
    WhoseCompletion,
};
use super::calendar::{Calendar, in_rome};
use super::money::Cents;

/// The largest amount of an avviso pagoPA, cents.
pub const MAX_AMOUNT: i64 = 99_999_999_999;

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
    /// Earliest of view and term, the day of Rome that counts ([`completion_day`]).
    pub completed: Option<Date>,
    /// `totalPrice` as SEND told it last.
    pub price: Option<Cents>,
    /// Paper that was known when SEND was asked for `price`, cents, net of VAT: with other paper (a letter after a rework, one that was
    /// declared void) it is a price of yesterday.
    pub priced_paper: Cents,
    /// Paper so far, cents, net of VAT.
    pub analog_cost: Cents,
}

impl RecipientFacts {
    /// SEND's price: as it told it, while it is of today's paper; else from its parts.
    #[must_use]
    pub fn price(&self, vat: u32, pa_fee: u32) -> Cents {
        let told = self.price.filter(|_| self.priced_paper == self.analog_cost);
        told.unwrap_or_else(|| price_from_parts(self.analog_cost, vat, pa_fee))
    }
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
    /// Last day on which this sum holds, when time alone ends it: the next one begins at 00:00 Rome of the day after.
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
    /// Added to the base.
    Sanction {
        violation: Date,
        /// Days late.
        late: u32,
        amount: Cents,
    },
    Step {
        from: FromEvent,
        event: Option<Date>,
        days: Option<u32>,
        /// Last day of the step.
        until: Option<Date>,
        /// That day was a holiday or stood still: `until` is later.
        moved: bool,
        due: StepAmount,
        amount: Cents,
    },
    /// For so many whole semesters since a day.
    Semesters {
        since: Date,
        count: u32,
        amount: Cents,
    },
    Charge {
        /// Hundredths of a percent.
        percent: u32,
        /// The cap, when it was reached.
        cap: Option<Cents>,
        amount: Cents,
    },
    Floor(Cents),
    Ceiling(Cents),
    /// The sum brought to the euro.
    ToTheEuro(Cents),
    /// The ente's own costs.
    Extra(Cents),
    Suspended {
        since: Date,
    },
    /// The amount of the act, because the rule could not be followed.
    Flat {
        why: AmountFault,
        amount: Cents,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum AmountFault {
    #[error("no base amount")]
    NoBase,
    #[error("a percent of the {0} that the act does not state")]
    NoSuchBase(PercentOf),
    #[error("days from an event ({0}) whose date the act does not state")]
    NoSuchDate(FromEvent),
    #[error("no date of violation")]
    NoViolation,
    #[error("the rule does not hold for the act's date")]
    OutOfValidity,
    #[error("the act's amount is none of the rule's")]
    DoesNotAddUp,
    #[error("the sum is not positive")]
    NotPositive,
    #[error("the sum is too large")]
    TooLarge,
}

impl AmountFault {
    /// Whether the act lacks what the rule needs, so that [`WhenMissing`] decides.
    #[must_use]
    pub fn is_missing(self) -> bool {
        use AmountFault as A;
        match self {
            A::NoBase | A::NoSuchBase(_) | A::NoSuchDate(_) | A::NoViolation | A::DoesNotAddUp => true,
            A::OutOfValidity | A::NotPositive | A::TooLarge => false,
        }
    }
}

/// The Rome day on which the notification is complete for a recipient: that of the earlier of view and term.
///
/// `refined` is the time of SEND's `REFINEMENT`, which already has the day more of a PEC delivered after 21:00 (`reference send.md` 5):
/// nothing is added here. A view counts on its own day, at whatever hour.
#[must_use]
pub fn completion_day(viewed: Option<Timestamp>, refined: Option<Timestamp>) -> Option<Date> {
    let first = match (viewed, refined) {
        (Some(viewed), Some(refined)) => viewed.min(refined),
        (one, other) => one.or(other)?,
    };
    Some(in_rome(first).date())
}

/// The term that SEND will tell for a PEC delivered at `delivered`: the seventh day after, the eighth when it came after 21:00.
#[must_use]
pub fn digital_term(delivered: Timestamp) -> Date {
    let at = in_rome(delivered);
    let late = at.time() > jiff::civil::time(21, 0, 0, 0);
    add_days(at.date(), if late { 8 } else { 7 }).unwrap_or(Date::MAX)
}

/// SEND's price of a recipient from its parts (`reference send.md` 7): 100 + paper with VAT, rounded half up once, + `paFee`.
#[must_use]
pub fn price_from_parts(analog_cost: Cents, vat: u32, pa_fee: u32) -> Cents {
    let paper = (i128::from(analog_cost.0) * (100 + i128::from(vat)) + 50).div_euclid(100);
    let price = 100 + paper + i128::from(pa_fee);
    Cents(i64::try_from(price).unwrap_or(if price < 0 { i64::MIN } else { i64::MAX }))
}

impl AmountFacts {
    /// What the act itself says, before SEND knows it. `notice`: the position's; unknown to the act, the first recipient holds it.
    #[must_use]
    pub fn of_act(act: &Act, notice: &str, calendar: Calendar) -> AmountFacts {
        let holder = act.notices().find(|(_, _, code)| *code == notice).map_or(0, |(index, ..)| index);
        let payments = act.recipients.get(holder).map(|recipient| recipient.payments.as_slice()).unwrap_or_default();
        let applies = payments
            .iter()
            .any(|payment| matches!(payment, Payment::PagoPa { notice_code, apply_cost, .. } if notice_code == notice && *apply_cost));
        let data = act.position.clone().unwrap_or_default();
        AmountFacts {
            amount: act.amount,
            minimum: data.minimum,
            maximum: data.maximum,
            act_date: data.assessment_date,
            violation: data.violation_date,
            contestation: data.contestation_date,
            holder,
            recipients: vec![RecipientFacts::default(); act.recipients.len()],
            suspensions: Vec::new(),
            applies_cost: applies && act.fee_policy == Some(FeePolicy::DeliveryMode),
            notified: false,
            // SEND's own defaults.
            pa_fee: act.pa_fee.unwrap_or(100),
            vat: act.vat.unwrap_or(22),
            calendar,
        }
    }

    /// The completion from which the rule counts.
    #[must_use]
    pub fn completed(&self, whose: WhoseCompletion) -> Option<Date> {
        let mut days = self.recipients.iter().map(|recipient| recipient.completed);
        match whose {
            WhoseCompletion::Holder => self.recipients.get(self.holder)?.completed,
            WhoseCompletion::First => days.flatten().min(),
            WhoseCompletion::Last => days.try_fold(None, |last, day| Some(last.max(Some(day?)))).flatten(),
        }
    }
}

/// The rule of an act: its own, else that of its flow, else its amount for ever, costs added.
#[must_use]
pub fn rule_of(act: &Act, of_flow: Option<&AmountRule>) -> AmountRule {
    act.amount_rule.clone().or_else(|| of_flow.cloned()).unwrap_or_else(|| AmountRule::flat(CostPolicy::Added))
}

/// What is due on `day`.
pub fn amount_due(rule: &AmountRule, facts: &AmountFacts, day: Date) -> Result<Breakdown, AmountFault> {
    let flat = rule.missing == WhenMissing::Flat;
    let followed = match reckon(rule, facts, day) {
        Ok(_) if flat && !adds_up(rule, facts) => Err(AmountFault::DoesNotAddUp),
        followed => followed,
    };
    match (followed, facts.amount) {
        (Err(why), Some(amount)) if flat && why.is_missing() => {
            let mut sum = Sum { lines: vec![BreakdownLine::Flat { why, amount }], due: i128::from(amount.0) };
            finish(rule, facts, day, &mut sum, 0, None)
        }
        (followed, _) => followed,
    }
}

/// The first day after `day` on which time alone makes the sum another one (or makes it a fault). `None`: never, as things stand.
#[must_use]
pub fn next_change(rule: &AmountRule, facts: &AmountFacts, day: Date) -> Option<Date> {
    let now = amount_due(rule, facts, day).ok()?;
    let mut until = now.until;
    // A step can ask what the one before did; there are a few steps, and as many semesters as the years have.
    for _ in 0..1_000 {
        let next = until?.tomorrow().ok()?;
        match amount_due(rule, facts, next) {
            Ok(then) if then.total == now.total => until = then.until,
            _ => return Some(next),
        }
    }
    None
}

/// What the rule needs and the act does not state.
#[must_use]
pub fn lacks(rule: &AmountRule, facts: &AmountFacts) -> Vec<AmountFault> {
    let mut lacking = Vec::new();
    for of in PercentOf::ALL.iter().filter(|of| rule.needs(**of)) {
        lacking.extend(base_of(rule, facts, *of).err());
    }
    for (event, date) in [(FromEvent::ActDate, facts.act_date), (FromEvent::Contestation, facts.contestation)] {
        if rule.counts_from(event) && date.is_none() {
            lacking.push(AmountFault::NoSuchDate(event));
        }
    }
    let held = rule.valid_from.is_some() || rule.valid_until.is_some();
    if facts.violation.is_none() && (rule.sanction.is_some() || (held && facts.act_date.is_none())) {
        lacking.push(AmountFault::NoViolation);
    }
    lacking
}

/// Whether the amount that the act states is one that the rule asks for in some step, with the ente's own costs or without.
#[must_use]
pub fn adds_up(rule: &AmountRule, facts: &AmountFacts) -> bool {
    facts.amount.filter(|amount| amount.0 != 0).is_none_or(|amount| asks_for(rule, facts, amount))
}

/// Whether the rule asks for that sum in some step, with the ente's own costs or without.
#[must_use]
pub fn asks_for(rule: &AmountRule, facts: &AmountFacts, amount: Cents) -> bool {
    let extra = rule.extra.map_or(0, |extra| i128::from(extra.0));
    rule.steps.iter().any(|step| {
        let due = match step.due {
            StepAmount::Fixed(fixed) => i128::from(fixed.0),
            StepAmount::Percent(percent) => {
                let Ok(base) = base_of(rule, facts, step.of) else { return false };
                part(i128::from(base.0), i128::from(percent), 10_000, rule.rounding)
            }
        };
        [due, due + extra].contains(&i128::from(amount.0))
    })
}

struct Sum {
    lines: Vec<BreakdownLine>,
    /// Without the ente's own costs.
    due: i128,
}

fn base_of(rule: &AmountRule, facts: &AmountFacts, of: PercentOf) -> Result<Cents, AmountFault> {
    match of {
        PercentOf::Base => rule.base.or(facts.amount).ok_or(AmountFault::NoBase),
        PercentOf::Minimum => facts.minimum.ok_or(AmountFault::NoSuchBase(of)),
        PercentOf::Maximum => facts.maximum.ok_or(AmountFault::NoSuchBase(of)),
    }
}

/// `whole` * `part` / `of`, in cents.
fn part(whole: i128, part: i128, of: i128, rounding: Rounding) -> i128 {
    let exact = whole.saturating_mul(part);
    match rounding {
        Rounding::HalfUp | Rounding::Euro => exact.saturating_mul(2).saturating_add(of).div_euclid(of.saturating_mul(2)),
        Rounding::Down => exact.div_euclid(of),
        Rounding::Up => exact.saturating_add(of - 1).div_euclid(of),
    }
}

/// A step in force.
struct Chosen<'r> {
    index: usize,
    step: &'r AmountStep,
    event: Option<Date>,
    until: Option<Date>,
    moved: bool,
    /// Last day of the step before.
    before: Option<Date>,
}

fn choose<'r>(rule: &'r AmountRule, facts: &AmountFacts, day: Date) -> Result<Chosen<'r>, AmountFault> {
    let mut chosen = None;
    let mut before = None;
    for (index, step) in rule.steps.iter().enumerate() {
        let event = match step.from {
            FromEvent::Completion => facts.completed(rule.completion),
            FromEvent::ActDate => facts.act_date,
            FromEvent::Contestation => facts.contestation,
            FromEvent::Enforceable => before.and_then(|before| add_days(before, 1)),
        };
        // Completion is still to come; the dates of the act are there or never will be.
        if event.is_none() && step.days.is_some() && matches!(step.from, FromEvent::ActDate | FromEvent::Contestation) {
            return Err(AmountFault::NoSuchDate(step.from));
        }
        let term = event.zip(step.days).and_then(|(event, days)| {
            Days::new(&facts.suspensions, step.summer.then_some(event)).term(event, days, rule.holidays, &facts.calendar)
        });
        let until = term.map(|term| term.last);
        chosen = Some(Chosen { index, step, event, until, moved: term.is_some_and(|term| term.moved), before });
        if until.is_none_or(|until| day <= until) {
            break;
        }
        before = until;
    }
    chosen.ok_or(AmountFault::NoBase)
}

fn reckon(rule: &AmountRule, facts: &AmountFacts, day: Date) -> Result<Breakdown, AmountFault> {
    if rule.valid_from.is_some() || rule.valid_until.is_some() {
        let of = facts.violation.or(facts.act_date).ok_or(AmountFault::NoViolation)?;
        if rule.valid_from.is_some_and(|from| of < from) || rule.valid_until.is_some_and(|until| of > until) {
            return Err(AmountFault::OutOfValidity);
        }
    }
    // What a later step needs is asked for at once: a sum that will not be known in sixty days is not known today.
    for step in rule.steps.iter().filter(|step| matches!(step.due, StepAmount::Percent(_))) {
        base_of(rule, facts, step.of)?;
    }
    let chosen = choose(rule, facts, day)?;
    let stand_still = Days::new(&facts.suspensions, None);
    let mut sum = Sum { lines: Vec::new(), due: 0 };
    let last = chosen.index + 1 >= rule.steps.len();
    let mut until = chosen.until.filter(|_| !last);
    match chosen.step.due {
        StepAmount::Fixed(amount) => sum.due = i128::from(amount.0),
        StepAmount::Percent(percent) => {
            let of = chosen.step.of;
            let base = base_of(rule, facts, of)?;
            sum.lines.push(BreakdownLine::Base { of, amount: base });
            let mut whole = i128::from(base.0);
            if rule.sanction == Some(SanctionTable::OmittedPayment) && of == PercentOf::Base {
                let violation = facts.violation.ok_or(AmountFault::NoViolation)?;
                let late = stand_still.counted(violation, day);
                let (rate, parts) = omitted_payment(violation, late).ok_or(AmountFault::OutOfValidity)?;
                let sanction = part(whole, rate, parts, rule.rounding);
                whole += sanction;
                sum.lines.push(BreakdownLine::Sanction { violation, late, amount: cents(sanction)? });
                let next = match late {
                    0..15 => Some(late + 1),
                    15..=90 => Some(91),
                    _ => None,
                };
                until = earlier(until, next.and_then(|next| stand_still.last_before(violation, next)));
            }
            sum.due = part(whole, i128::from(percent), 10_000, rule.rounding);
        }
    }
    let Chosen { step, event, moved, .. } = chosen;
    let amount = cents(sum.due)?;
    // Past its term only the last step is in force: it has none any more.
    let (days, shown) = if chosen.until.is_some_and(|until| day > until) { (None, None) } else { (step.days, chosen.until) };
    sum.lines.push(BreakdownLine::Step { from: step.from, event, days, until: shown, moved, due: step.due, amount });
    if let Some((percent, before)) = rule.semester.zip(chosen.before).filter(|_| last && step.days.is_none()) {
        let late = semesters(&stand_still, before, day);
        if let Some(late) = late {
            let more = part(sum.due, i128::from(percent) * i128::from(late.count), 10_000, rule.rounding);
            sum.due += more;
            if late.count > 0 {
                sum.lines.push(BreakdownLine::Semesters { since: late.since, count: late.count, amount: cents(more)? });
            }
            until = earlier(until, late.until);
        }
    }
    if let Some(charge) = step.charge {
        let asked = part(sum.due, i128::from(charge.percent), 10_000, rule.rounding);
        let cap = charge.cap.filter(|cap| asked > i128::from(cap.0));
        let amount = cap.map_or(asked, |cap| i128::from(cap.0));
        sum.due += amount;
        sum.lines.push(BreakdownLine::Charge { percent: charge.percent, cap, amount: cents(amount)? });
    }
    // Before the limits: never less, never more, whatever their cents.
    if rule.rounding == Rounding::Euro && sum.due.rem_euclid(100) != 0 {
        sum.due = (sum.due + 50).div_euclid(100) * 100;
        sum.lines.push(BreakdownLine::ToTheEuro(cents(sum.due)?));
    }
    if let Some(floor) = rule.floor.filter(|floor| sum.due < i128::from(floor.0)) {
        sum.due = i128::from(floor.0);
        sum.lines.push(BreakdownLine::Floor(floor));
    }
    if let Some(ceiling) = rule.ceiling.filter(|ceiling| sum.due > i128::from(ceiling.0)) {
        sum.due = i128::from(ceiling.0);
        sum.lines.push(BreakdownLine::Ceiling(ceiling));
    }
    if let Some(extra) = rule.extra {
        sum.due += i128::from(extra.0);
        sum.lines.push(BreakdownLine::Extra(extra));
    }
    finish(rule, facts, day, &mut sum, chosen.index, until)
}

/// Costs, suspension, the checks of the whole.
fn finish(
    rule: &AmountRule,
    facts: &AmountFacts,
    day: Date,
    sum: &mut Sum,
    step: usize,
    until: Option<Date>,
) -> Result<Breakdown, AmountFault> {
    let held = facts.suspensions.iter().find(|held| held.from <= day && held.until.is_none_or(|until| day <= until));
    if let Some(held) = held {
        sum.lines.push(BreakdownLine::Suspended { since: held.from });
    }
    let cost = cost(rule, facts, &mut sum.lines)?;
    let total = sum.due.saturating_add(cost);
    if sum.due <= 0 || total <= 0 {
        return Err(AmountFault::NotPositive);
    }
    if total > i128::from(MAX_AMOUNT) {
        return Err(AmountFault::TooLarge);
    }
    let lines = std::mem::take(&mut sum.lines);
    Ok(Breakdown { total: cents(total)?, due: cents(sum.due)?, cost: cents(cost)?, step, until, suspended: held.is_some(), lines })
}

fn cost(rule: &AmountRule, facts: &AmountFacts, lines: &mut Vec<BreakdownLine>) -> Result<i128, AmountFault> {
    let without = match rule.costs {
        CostPolicy::NotAdded => Some(BreakdownLine::CostNotAdded),
        CostPolicy::AlreadyInPosition => Some(BreakdownLine::CostInPosition),
        CostPolicy::Added if !facts.applies_cost => Some(BreakdownLine::CostNotAdded),
        CostPolicy::Added if !facts.notified => Some(BreakdownLine::NotNotifiedYet),
        CostPolicy::Added => None,
    };
    if let Some(line) = without {
        lines.push(line);
        return Ok(0);
    }
    let mut cost = 0;
    let none = [RecipientFacts::default()];
    let recipients = if facts.recipients.is_empty() { &none[..] } else { facts.recipients.as_slice() };
    for (index, recipient) in recipients.iter().enumerate() {
        if rule.bearers == CostBearers::Holder && index != facts.holder && !facts.recipients.is_empty() {
            continue;
        }
        let price = recipient.price(facts.vat, facts.pa_fee);
        if price.0 < 0 {
            return Err(AmountFault::NotPositive);
        }
        cost += i128::from(price.0);
        lines.push(BreakdownLine::Cost { recipient: index, amount: price });
    }
    Ok(cost)
}

/// Whole semesters that have passed.
struct Semesters {
    since: Date,
    count: u32,
    until: Option<Date>,
}

/// Semesters from the day after `before`, days that stand still apart.
fn semesters(still: &Days, before: Date, day: Date) -> Option<Semesters> {
    let since = add_days(before, 1)?;
    let passed = add_days(since, i64::from(still.counted(since, day)))?;
    let begin = |count: u32| since.checked_add((i64::from(count) * 6).months()).ok();
    let months = (i32::from(passed.year()) - i32::from(since.year())) * 12 + i32::from(passed.month()) - i32::from(since.month());
    let mut count = u32::try_from(months / 6).unwrap_or(0);
    while count > 0 && begin(count).is_none_or(|begin| begin > passed) {
        count -= 1;
    }
    let until = begin(count + 1).and_then(|begin| still.last_before(since, u32::try_from(days_between(since, begin)).ok()?));
    Some(Semesters { since, count, until })
}

fn earlier(one: Option<Date>, other: Option<Date>) -> Option<Date> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

fn cents(sum: i128) -> Result<Cents, AmountFault> {
    i64::try_from(sum).map(Cents).map_err(|_| if sum < 0 { AmountFault::NotPositive } else { AmountFault::TooLarge })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_hold_to_the_cent_when_the_sum_is_brought_to_the_euro() {
        let table = [
            // due, floor, ceiling, what is asked
            (12_000, None, Some(10_050), 10_050),
            (500, Some(1_040), None, 1_040),
            (10_049, None, None, 10_000),
            (10_050, None, Some(10_070), 10_070),
            (10_030, Some(10_010), None, 10_010),
            (10_030, Some(10_000), Some(10_100), 10_000),
        ];
        for (due, floor, ceiling, want) in table {
            let rule = AmountRule {
                rounding: Rounding::Euro,
                floor: floor.map(Cents),
                ceiling: ceiling.map(Cents),
                ..AmountRule::flat(CostPolicy::NotAdded)
            };
            let facts = AmountFacts { amount: Some(Cents(due)), ..AmountFacts::default() };
            let sum = amount_due(&rule, &facts, jiff::civil::date(2026, 11, 23)).map(|sum| sum.total);
            assert_eq!(sum, Ok(Cents(want)), "{due} between {floor:?} and {ceiling:?}");
        }
    }
}
