//! How the amount of an act changes with time, as a batch or a flow states it. The sum on a day is in [`super::amount_due`], the
//! ready-made rules are in [`super::amount_presets`].
//!
//! Pure. Days are days of Rome. The day of an event is not counted, holidays in between are; a last day that is a holiday moves
//! to the next working day, and Saturday is one (art. 155 c.p.c. has it otherwise for procedural acts: payments are not those).

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::act::vocabulary;
pub use super::amount_due::{
    AmountFacts, AmountFault, Breakdown, BreakdownLine, RecipientFacts, Suspension, adds_up, amount_due, asks_for, completion_day, lacks,
    next_change, price_from_parts, rule_of,
};
pub use super::amount_presets::{AmountPreset, StatedRule};
use super::money::Cents;
use super::position::CostChannel;

vocabulary!(
    /// The event from which the days of a step are counted.
    FromEvent {
        /// The day of the act's assessment (`data_accertamento`).
        ActDate = "data_atto",
        Completion = "perfezionamento",
        Contestation = "contestazione",
        /// The day after the term of the step before: the act becomes enforceable on it (L. 160/2019, c. 792).
        Enforceable = "esecutivita",
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
    HolidayPolicy {
        Moves = "sposta",
        /// From a Saturday too (payments to the tax administration: art. 7, c. 1, l. h, D.L. 70/2011).
        MovesSaturday = "sposta_sabato",
        Stays = "non_sposta",
    }
);
vocabulary!(
    /// What a percent is taken of.
    PercentOf { Base = "base", Minimum = "minimo", Maximum = "massimo" }
);
vocabulary!(
    /// How a percent becomes cents.
    Rounding {
        HalfUp = "commerciale",
        Down = "difetto",
        Up = "eccesso",
        /// Parts to the cent, the sum to the euro: up to 49 cents down, from 50 up (L. 296/2006, c. 166, local taxes).
        Euro = "euro",
    }
);
vocabulary!(
    /// A table of sanctions by date of the violation, added to a base that is the tax alone.
    SanctionTable {
        /// Art. 13, c. 1, D.Lgs. 471/1997: see [`super::amount_presets::omitted_payment`].
        OmittedPayment = "omesso_versamento",
    }
);
vocabulary!(
    /// What is due when the act lacks something that the rule needs (minimum, maximum, a date), or states a sum that the rule never asks.
    WhenMissing {
        /// Nothing can be said: an [`AmountFault`].
        Fault = "errore",
        /// The amount of the act, always the same.
        Flat = "importo",
    }
);

/// How the amount due changes with time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "StatedRule")]
pub struct AmountRule {
    /// The ready-made rule that this one began as.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preset: Option<AmountPreset>,
    /// `None`: the amount of the act.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<Cents>,
    /// In order; the amount of the first step whose term has not passed is due, and that of the last one after its term too.
    pub steps: Vec<AmountStep>,
    pub costs: CostPolicy,
    pub bearers: CostBearers,
    pub completion: WhoseCompletion,
    pub holidays: HolidayPolicy,
    pub rounding: Rounding,
    /// Costs of the ente itself (assessment, procedure), added to every step and never discounted. No percent is taken of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extra: Option<Cents>,
    /// The base is the tax alone: this sanction is added to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sanction: Option<SanctionTable>,
    /// Hundredths of a percent of the last step's amount, for each whole semester since the term before it (art. 27, c. 6, L. 689/1981).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub semester: Option<u32>,
    /// Never less, never more than this, costs apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub floor: Option<Cents>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ceiling: Option<Cents>,
    /// Acts (by date of violation, else of the act) from this day on, and up to that day included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub valid_from: Option<Date>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<Date>,
    #[serde(skip_serializing_if = "is_fault")]
    pub missing: WhenMissing,
}

fn is_fault(missing: &WhenMissing) -> bool {
    *missing == WhenMissing::Fault
}

/// Up to `days` after `from`, this is due.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AmountStep {
    pub from: FromEvent,
    /// Last day, counted from the day after the event; `None`: for ever after the step before.
    #[serde(default)]
    pub days: Option<u32>,
    pub due: StepAmount,
    /// What the percent is of.
    #[serde(default = "of_base", skip_serializing_if = "is_base")]
    pub of: PercentOf,
    /// A charge on top of what is due in the step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub charge: Option<Charge>,
    /// August is not counted (L. 742/1969: terms of appeal, and of payments that are due within them).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub summer: bool,
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

/// A percent of the sum due, up to a cap (L. 160/2019, c. 803, l. a).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Charge {
    /// Hundredths of a percent.
    pub percent: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cap: Option<Cents>,
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
    /// `esecutivita` in the first step.
    #[error("no term before the first step")]
    NoTermBefore,
    #[error("the floor is over the ceiling")]
    FloorOverCeiling,
    #[error("it ends to hold before it begins")]
    Validity,
    /// A semester is counted from the term before an endless last step.
    #[error("a semester without a term before it")]
    SemesterWithoutTerm,
}

impl CostPolicy {
    /// What it is for a position whose cost reaches the citizen by `channel`: never asked for twice.
    #[must_use]
    pub fn under(self, channel: CostChannel) -> CostPolicy {
        match (self, channel) {
            (CostPolicy::NotAdded, _) | (_, CostChannel::None) => CostPolicy::NotAdded,
            (CostPolicy::AlreadyInPosition, _) | (_, CostChannel::Async) => CostPolicy::AlreadyInPosition,
            (CostPolicy::Added, CostChannel::Push | CostChannel::Pull) => CostPolicy::Added,
        }
    }
}

impl AmountStep {
    /// `percent` (hundredths) of the base up to `days` after `from`.
    #[must_use]
    pub fn percent(from: FromEvent, days: Option<u32>, percent: u32) -> AmountStep {
        AmountStep { from, days, due: StepAmount::Percent(percent), of: PercentOf::Base, charge: None, summer: false }
    }

    /// The same amount up to `days` after `from`.
    #[must_use]
    pub fn fixed(from: FromEvent, days: Option<u32>, amount: Cents) -> AmountStep {
        AmountStep { due: StepAmount::Fixed(amount), ..AmountStep::percent(from, days, 0) }
    }
}

impl AmountRule {
    /// The amount of the act, always the same, costs by `costs`: the rule of acts that bring none.
    #[must_use]
    pub fn flat(costs: CostPolicy) -> AmountRule {
        AmountRule {
            preset: None,
            base: None,
            steps: vec![AmountStep::percent(FromEvent::Completion, None, 10_000)],
            costs,
            bearers: CostBearers::Holder,
            completion: WhoseCompletion::Holder,
            holidays: HolidayPolicy::Moves,
            rounding: Rounding::HalfUp,
            extra: None,
            sanction: None,
            semester: None,
            floor: None,
            ceiling: None,
            valid_from: None,
            valid_until: None,
            missing: WhenMissing::Fault,
        }
    }

    /// The rule for a position whose cost reaches the citizen by `channel`.
    #[must_use]
    pub fn under(&self, channel: CostChannel) -> AmountRule {
        AmountRule { costs: self.costs.under(channel), ..self.clone() }
    }

    /// Checks what can be known without facts: at least one step, terms that grow, the endless one last.
    pub fn check(&self) -> Result<(), AmountRuleError> {
        if self.steps.is_empty() {
            return Err(AmountRuleError::Empty);
        }
        if self.steps.len() > 20 {
            return Err(AmountRuleError::TooMany);
        }
        if self.steps.first().is_some_and(|step| step.from == FromEvent::Enforceable) {
            return Err(AmountRuleError::NoTermBefore);
        }
        for (index, step) in self.steps.iter().enumerate() {
            // Days from different events cannot be compared, and those from the term before begin anew.
            let before = self.steps.iter().take(index).rev().find(|before| before.from == step.from && step.from != FromEvent::Enforceable);
            match step.days {
                None if index + 1 < self.steps.len() => return Err(AmountRuleError::EndlessInTheMiddle),
                Some(days) if before.and_then(|before| before.days).is_some_and(|before| days <= before) => {
                    return Err(AmountRuleError::DaysDoNotGrow);
                }
                _ => {}
            }
        }
        if self.floor.zip(self.ceiling).is_some_and(|(floor, ceiling)| floor > ceiling) {
            return Err(AmountRuleError::FloorOverCeiling);
        }
        if self.valid_from.zip(self.valid_until).is_some_and(|(from, until)| from > until) {
            return Err(AmountRuleError::Validity);
        }
        let endless = self.steps.len() > 1 && self.steps.last().is_some_and(|step| step.days.is_none());
        if self.semester.is_some() && !endless {
            return Err(AmountRuleError::SemesterWithoutTerm);
        }
        Ok(())
    }

    /// Whether it ever asks for something else than the whole amount of the act, costs of notification apart.
    #[must_use]
    pub fn is_more_than_the_amount(&self) -> bool {
        let plain = |step: &AmountStep| step.charge.is_none() && step.of == PercentOf::Base && step.due == StepAmount::Percent(10_000);
        let apart = self.base.is_some() || self.extra.is_some() || self.sanction.is_some() || self.semester.is_some();
        apart || self.floor.is_some() || self.ceiling.is_some() || !self.steps.iter().all(plain)
    }

    /// Whether the base is asked for by some step.
    #[must_use]
    pub fn needs(&self, of: PercentOf) -> bool {
        self.steps.iter().any(|step| step.of == of && matches!(step.due, StepAmount::Percent(_)))
    }

    /// Whether some step counts from the event.
    #[must_use]
    pub fn counts_from(&self, event: FromEvent) -> bool {
        self.steps.iter().any(|step| step.from == event && step.days.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_grow_and_the_endless_one_is_last() {
        let step = |days| AmountStep::percent(FromEvent::Completion, days, 10_000);
        let from = |from, days| AmountStep::percent(from, days, 10_000);
        let table = [
            (vec![step(Some(5)), step(Some(60)), step(None)], Ok(())),
            (vec![], Err(AmountRuleError::Empty)),
            (vec![step(Some(60)), step(Some(5))], Err(AmountRuleError::DaysDoNotGrow)),
            (vec![step(Some(5)), step(Some(5))], Err(AmountRuleError::DaysDoNotGrow)),
            (vec![step(Some(60)), from(FromEvent::ActDate, Some(5)), step(None)], Ok(())),
            (vec![step(Some(60)), from(FromEvent::ActDate, Some(5)), step(Some(59))], Err(AmountRuleError::DaysDoNotGrow)),
            (vec![step(Some(60)), from(FromEvent::Enforceable, Some(60)), from(FromEvent::Enforceable, Some(30))], Ok(())),
            (vec![from(FromEvent::Enforceable, Some(60)), step(None)], Err(AmountRuleError::NoTermBefore)),
            (vec![step(None), step(Some(5))], Err(AmountRuleError::EndlessInTheMiddle)),
            (vec![step(None); 21], Err(AmountRuleError::TooMany)),
        ];
        for (steps, want) in table {
            let rule = AmountRule { steps, ..AmountRule::flat(CostPolicy::Added) };
            assert_eq!(rule.check(), want, "{rule:?}");
        }
        let flat = AmountRule::flat(CostPolicy::Added);
        let of = |floor, ceiling| AmountRule { floor: Some(Cents(floor)), ceiling: Some(Cents(ceiling)), ..flat.clone() };
        assert_eq!((of(5, 5).check(), of(6, 5).check()), (Ok(()), Err(AmountRuleError::FloorOverCeiling)));
        let day = |text: &str| text.parse().ok();
        let held = |from, until| AmountRule { valid_from: day(from), valid_until: day(until), ..flat.clone() };
        assert_eq!(held("2026-01-01", "2026-01-01").check(), Ok(()));
        assert_eq!(held("2026-01-02", "2026-01-01").check(), Err(AmountRuleError::Validity));
        let late = AmountRule { semester: Some(1_000), ..flat };
        assert_eq!(late.check(), Err(AmountRuleError::SemesterWithoutTerm));
        assert_eq!(AmountRule { steps: vec![step(Some(5)), step(None)], ..late }.check(), Ok(()));
    }

    #[test]
    fn the_cost_has_one_way_to_the_citizen() {
        use {CostChannel as C, CostPolicy as P};
        let table = [
            (P::Added, C::Push, P::Added),
            (P::Added, C::Pull, P::Added),
            (P::Added, C::Async, P::AlreadyInPosition),
            (P::Added, C::None, P::NotAdded),
            (P::NotAdded, C::Push, P::NotAdded),
            (P::NotAdded, C::Async, P::NotAdded),
            (P::AlreadyInPosition, C::Push, P::AlreadyInPosition),
            (P::AlreadyInPosition, C::Pull, P::AlreadyInPosition),
            (P::AlreadyInPosition, C::None, P::NotAdded),
        ];
        for (policy, channel, want) in table {
            assert_eq!(policy.under(channel), want, "{policy} {channel}");
        }
    }
}
