//! Amount rules as a batch states them: parsed, checked and stored now, computed by the payment flow.

use serde::{Deserialize, Serialize};

use super::act::vocabulary;
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

/// How the amount due changes with time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AmountRule {
    pub base: Cents,
    /// In growing order of `days`; the amount of the first step whose term has not passed is due.
    pub steps: Vec<AmountStep>,
    pub costs: CostPolicy,
}

/// Up to `days` after `from`, this is due.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AmountStep {
    pub from: FromEvent,
    /// Last day, counted from the day after the event; `None`: for ever after the step before.
    pub days: Option<u32>,
    pub due: StepAmount,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_grow_and_the_endless_one_is_last() {
        let step = |days| AmountStep { from: FromEvent::Completion, days, due: StepAmount::Percent(10_000) };
        let table = [
            (vec![step(Some(5)), step(Some(60)), step(None)], Ok(())),
            (vec![], Err(AmountRuleError::Empty)),
            (vec![step(Some(60)), step(Some(5))], Err(AmountRuleError::DaysDoNotGrow)),
            (vec![step(None), step(Some(5))], Err(AmountRuleError::EndlessInTheMiddle)),
            (vec![step(None); 21], Err(AmountRuleError::TooMany)),
        ];
        for (steps, want) in table {
            let rule = AmountRule { base: Cents(4200), steps, costs: CostPolicy::Added };
            assert_eq!(rule.check(), want, "{rule:?}");
        }
    }
}
