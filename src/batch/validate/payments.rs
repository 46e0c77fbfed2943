//! The payments of each recipient: notices, creditors, who pays the cost of notification.
//!
//! Payments of one kind are numbered apart: the field of the second notice is the second notice, whatever F24 stand between.

use std::collections::HashSet;

use crate::batch::fields as f;
use crate::batch::fields::Field;
use crate::batch::problem::{Code, Finding};
use crate::domain::act::{Act, FeePolicy, PagoPaIntMode, Payment};
use crate::domain::amount_rule::{AmountRule, CostBearers, CostPolicy};
use crate::domain::fiscal_code::{self, FiscalCodeError};
use crate::domain::notice_code::{self, NoticeCodeError};

use super::request::LOOKED_AT;
use super::{Rules, at_level, longer_than};

/// Payments of one recipient looked at one by one: more are refused, so that a hostile row costs nothing. SEND states no
/// limit; its own pages show at most a few dozen.
const MAX_PAYMENTS: usize = 200;

/// The creditor of SEND's test environment, whose check digit is wrong.
const TEST_CREDITOR: &str = "77777777777";

pub(super) fn check_all(act: &mut Act, rules: &Rules<'_>, out: &mut Vec<Finding>) {
    let policy = act.fee_policy;
    let grouped = act.position.as_ref().is_some_and(|position| position.notice_group.is_some());
    for (index, recipient) in act.recipients.iter_mut().take(LOOKED_AT).enumerate() {
        let payments = &mut recipient.payments;
        if payments.is_empty() {
            continue;
        }
        if payments.len() > MAX_PAYMENTS {
            let finding = Finding::error(Field::of_nth(f::NOTICE, index, MAX_PAYMENTS), Code::PaymentsTooMany);
            out.push(finding.found(payments.len().to_string()).expected(MAX_PAYMENTS.to_string()));
        }
        let mut notices = Bearing::default();
        let mut f24s = Bearing::default();
        for payment in payments.iter_mut().take(MAX_PAYMENTS) {
            match payment {
                Payment::PagoPa { notice_code, creditor_tax_id, apply_cost, .. } => {
                    let item = notices.count(*apply_cost);
                    notice(Field::of_nth(f::NOTICE, index, item), notice_code, rules, out);
                    creditor(Field::of_nth(f::NOTICE_CREDITOR, index, item), creditor_tax_id, out);
                }
                Payment::F24 { title, apply_cost, metadata } => {
                    let item = f24s.count(*apply_cost);
                    if title.is_empty() {
                        out.push(Finding::error(Field::of_nth(f::F24_TITLE, index, item), Code::FieldMissing));
                    } else if longer_than(title, 512) {
                        let finding = Finding::error(Field::of_nth(f::F24_TITLE, index, item), Code::FieldTooLong);
                        out.push(finding.found(&*title).expected("512"));
                    }
                    if metadata.file.is_empty() {
                        out.push(Finding::error(Field::of_nth(f::F24_FILE, index, item), Code::FieldMissing));
                    }
                }
            }
        }
        if let Some(second) = notices.second_bearing.filter(|_| policy == Some(FeePolicy::DeliveryMode) && !grouped) {
            let finding = if rules.ungrouped { Finding::warning } else { Finding::error };
            out.push(finding(Field::of_nth(f::NOTICE_COST, index, second), Code::ApplyCostRepeated));
        }
        for (bearing, name) in [(notices, f::NOTICE_COST), (f24s, f::F24_COST)] {
            bearing.judge(policy, index, name, out);
        }
    }
    unique(act, out);
    unfollowed(act, rules, out);
    bearers(act, rules, out);
}

/// Where SEND writes the cost it writes that of the recipient on whom the notice travels: what the others cost is asked of nobody,
/// whatever the rule says.
fn bearers(act: &Act, rules: &Rules<'_>, out: &mut Vec<Finding>) {
    let rule = act.amount_rule.as_ref().or_else(|| rules.flow?.amount_rule.as_ref());
    let all = rule.is_some_and(|rule| rule.bearers == CostBearers::All && rule.costs != CostPolicy::NotAdded);
    let written = act.pago_pa_int_mode == Some(PagoPaIntMode::Async) && act.fee_policy == Some(FeePolicy::DeliveryMode);
    if !all || !written || act.recipients.len() < 2 {
        return;
    }
    if let Some((recipient, ..)) = act.notices().next() {
        out.push(Finding::warning(Field::of_nth(f::NOTICE_COST, recipient, 0), Code::CostBearersUnfollowed));
    }
}

/// The steps of a rule are of the whole amount of the act: of one among several notices they may not be followed.
fn unfollowed(act: &Act, rules: &Rules<'_>, out: &mut Vec<Finding>) {
    let rule = act.amount_rule.as_ref().or_else(|| rules.flow?.amount_rule.as_ref());
    if !rule.is_some_and(AmountRule::is_more_than_the_amount) {
        return;
    }
    if let Some((recipient, ..)) = act.notices().nth(1) {
        let item = act.notices().take(2).filter(|(holder, ..)| *holder == recipient).count().saturating_sub(1);
        out.push(Finding::warning(Field::of_nth(f::NOTICE, recipient, item), Code::AmountRuleUnfollowed));
    }
}

/// How many payments of one kind a recipient has, and which of them bear the cost.
#[derive(Default)]
struct Bearing {
    seen: usize,
    first_bearing: Option<usize>,
    second_bearing: Option<usize>,
}

impl Bearing {
    fn count(&mut self, bears: bool) -> usize {
        let item = self.seen;
        self.seen += 1;
        match self.first_bearing {
            _ if !bears => {}
            None => self.first_bearing = Some(item),
            Some(_) => self.second_bearing = self.second_bearing.or(Some(item)),
        }
        item
    }

    /// DELIVERY_MODE wants one that bears it, of each kind that is there; FLAT_RATE wants none.
    fn judge(&self, policy: Option<FeePolicy>, recipient: usize, name: &'static str, out: &mut Vec<Finding>) {
        match (policy, self.first_bearing) {
            (Some(FeePolicy::DeliveryMode), None) if self.seen > 0 => {
                out.push(Finding::error(Field::of_nth(name, recipient, 0), Code::ApplyCostMissing));
            }
            (Some(FeePolicy::FlatRate), Some(item)) => {
                out.push(Finding::error(Field::of_nth(name, recipient, item), Code::ApplyCostForbidden));
            }
            _ => {}
        }
    }
}

fn notice(field: Field, code: &mut String, rules: &Rules<'_>, out: &mut Vec<Finding>) {
    fiscal_code::normalise(code); // printed in groups of four
    let level = rules.checks().notice_check_digits;
    match notice_code::check(code) {
        Ok(()) => {}
        Err(NoticeCodeError::Shape) => {
            let (kind, wanted) = match notice_code::restore_zeros(code) {
                Some(whole) => (Code::LeadingZerosLost, whole),
                None => (Code::NoticeInvalid, "18".to_owned()),
            };
            out.push(Finding::error(field, kind).found(&*code).expected(wanted));
        }
        Err(NoticeCodeError::AuxDigit) => {
            at_level(level, Finding::error(field, Code::NoticeCheckDigits).found(&*code).expected("prima cifra 0, 1, 2 o 3"), out);
        }
        Err(NoticeCodeError::CheckDigits(want)) => {
            at_level(level, Finding::error(field, Code::NoticeCheckDigits).found(&*code).expected(format!("{want:02}")), out);
        }
    }
}

fn creditor(field: Field, text: &mut String, out: &mut Vec<Finding>) {
    fiscal_code::normalise(text);
    match fiscal_code::check_body(text) {
        Ok(()) => {}
        Err(FiscalCodeError::Check(_)) if text == TEST_CREDITOR => {}
        // SEND does not look at the check digit, and the notice is found or not with the creditor as it is.
        Err(FiscalCodeError::Check(want)) => {
            out.push(Finding::warning(field, Code::CreditorInvalid).found(&*text).expected(format!("cifra di controllo {want}")));
        }
        Err(_) => {
            let digits = text.bytes().all(|byte| byte.is_ascii_digit());
            let whole = format!("{text:0>11}");
            let lost = digits && (8..11).contains(&text.len()) && fiscal_code::check_body(&whole).is_ok();
            let (kind, wanted) = if lost { (Code::LeadingZerosLost, whole) } else { (Code::CreditorInvalid, "11 cifre".to_owned()) };
            out.push(Finding::error(field, kind).found(&*text).expected(wanted));
        }
    }
}

/// A notice stands once in the whole request.
fn unique(act: &Act, out: &mut Vec<Finding>) {
    if act.notices().nth(1).is_none() {
        return;
    }
    let mut seen = HashSet::new();
    let mut last = (usize::MAX, 0);
    for (recipient, creditor, code) in act.notices() {
        last = if last.0 == recipient { (recipient, last.1 + 1) } else { (recipient, 0) };
        if !seen.insert((creditor, code)) {
            out.push(Finding::error(Field::of_nth(f::NOTICE, recipient, last.1), Code::NoticeTwice).found(code));
        }
    }
}
