//! The amount rule of a row: whether it makes sense, and whether the row has what it needs.

use crate::batch::fields::{self as f, Field};
use crate::batch::problem::{Code, Finding};
use crate::domain::act::Act;
use crate::domain::amount_rule::{AmountFacts, AmountFault, AmountRule, AmountRuleError, FromEvent, PercentOf, adds_up, lacks};
use crate::domain::calendar::Calendar;

/// Adds what is wrong with the rule of `act`.
pub(super) fn check(act: &Act, rule: &AmountRule, out: &mut Vec<Finding>) {
    if let Err(error) = rule.check() {
        let sentence = match error {
            AmountRuleError::Empty => "almeno un passo",
            AmountRuleError::DaysDoNotGrow => "giorni crescenti",
            AmountRuleError::EndlessInTheMiddle => "solo l'ultimo passo senza termine",
            AmountRuleError::TooMany => "al massimo 20 passi",
            AmountRuleError::NoTermBefore => "il primo passo da un altro evento",
            AmountRuleError::FloorOverCeiling => "un minimo non oltre il massimo",
            AmountRuleError::Validity => "una validità che cominci prima di finire",
            AmountRuleError::SemesterWithoutTerm => "un ultimo passo senza giorni, dopo almeno un altro",
        };
        out.push(Finding::error(Field::act(f::RULE_BASE), Code::AmountRuleInvalid).expected(sentence));
        return;
    }
    let facts = AmountFacts::of_act(act, "", Calendar::default());
    let lacking = lacks(rule, &facts);
    for fault in &lacking {
        let (field, refused) = match fault {
            AmountFault::NoSuchBase(PercentOf::Minimum) => (f::MINIMUM, true),
            AmountFault::NoSuchBase(PercentOf::Maximum) => (f::MAXIMUM, true),
            AmountFault::NoSuchBase(PercentOf::Base) | AmountFault::NoBase => (f::AMOUNT, true),
            AmountFault::NoViolation => (f::VIOLATION_DATE, true),
            // Such rows were taken before messo knew what to do with them: who named a ready-made rule knows what it needs.
            AmountFault::NoSuchDate(FromEvent::Contestation) => (f::CONTESTATION_DATE, rule.preset.is_some()),
            AmountFault::NoSuchDate(_) => (f::ASSESSMENT_DATE, rule.preset.is_some()),
            AmountFault::OutOfValidity | AmountFault::DoesNotAddUp | AmountFault::NotPositive | AmountFault::TooLarge => continue,
        };
        let finding = if refused { Finding::error } else { Finding::warning };
        out.push(finding(Field::act(field), Code::AmountRuleIncomplete).expected("il dato che la regola chiede"));
    }
    if lacking.is_empty() && !adds_up(rule, &facts) {
        let found = act.amount.map(|amount| amount.to_it()).unwrap_or_default();
        out.push(Finding::warning(Field::act(f::AMOUNT), Code::AmountRuleMismatch).found(&found));
    }
}
