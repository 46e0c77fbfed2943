//! The fields of the act itself: identity, what the flow decides, limits.

use crate::batch::fields as f;
use crate::batch::fields::Field;
use crate::batch::problem::{Code, Finding};
use crate::domain::act::{Act, FeePolicy, PagoPaIntMode, Payment};
use crate::domain::fiscal_code::{self, FiscalCodeError};
use crate::domain::{iun, letters, taxonomy};
use crate::flow::definition::PaymentPolicy;

use super::{Rules, amounts, longer_than};

/// Recipients and documents of one notification (`reference send.md` 3).
pub(super) const MAX_ITEMS: usize = 15;
/// Items looked at one by one: past it the act is refused anyway, and a hostile row must not cost.
pub(super) const LOOKED_AT: usize = 64;

/// Ente and reference: what every action needs.
pub(super) fn identity(act: &mut Act, rules: &Rules<'_>, out: &mut Vec<Finding>) {
    let reference = &act.reference;
    if reference.is_empty() || longer_than(reference, 128) || reference.chars().any(char::is_control) {
        out.push(Finding::error(Field::act(f::REFERENCE), Code::ReferenceInvalid).found(reference).expected("1-128"));
    }
    fiscal_code::normalise(&mut act.sender_tax_id);
    let sender = &act.sender_tax_id;
    match rules.sender {
        Some(known) if known.tax_id == sender => {}
        Some(known) => out.push(Finding::error(Field::act(f::SENDER), Code::SenderTaxIdInvalid).found(sender).expected(known.tax_id)),
        // Layouts without an ente of their own leave it empty until the configuration is known.
        None if sender.is_empty() => {}
        None => match fiscal_code::check_body(sender) {
            Ok(()) => {}
            Err(FiscalCodeError::Check(_)) => out.push(Finding::warning(Field::act(f::SENDER), Code::SenderTaxIdInvalid).found(sender)),
            Err(_) => out.push(Finding::error(Field::act(f::SENDER), Code::SenderTaxIdInvalid).found(sender).expected("11 cifre")),
        },
    }
}

/// Takes from the flow what the row leaves out, and refuses what contradicts it.
pub(super) fn fill_from_flow(act: &mut Act, rules: &Rules<'_>, out: &mut Vec<Finding>) {
    if let Some(flow) = rules.flow {
        match &act.taxonomy_code {
            Some(own) if *own != flow.taxonomy_code => {
                let finding = Finding::error(Field::act(f::TAXONOMY), Code::ConflictsWithFlow);
                out.push(finding.found(own).expected(flow.taxonomy_code.as_str()));
            }
            Some(_) => {}
            None => act.taxonomy_code = Some(flow.taxonomy_code.clone()),
        }
        decide(&mut act.communication_type, flow.communication_type, f::COMMUNICATION, out);
        decide(&mut act.fee_policy, flow.fee_policy, f::FEE_POLICY, out);
        act.pa_fee = act.pa_fee.or(flow.pa_fee);
        act.vat = act.vat.or(flow.vat);
        if act.subject.is_none() {
            act.subject.clone_from(&flow.subject);
        }
    }
    // What the ente has added to a ready-made rule holds for the rows that name it.
    let of_flow = rules.flow.and_then(|flow| flow.amount_rule.as_ref());
    if let Some(rule) = act.stated_rule.take().zip(of_flow).and_then(|(stated, of_flow)| stated.over(of_flow)) {
        act.amount_rule = Some(rule);
    }
    let Some(policy) = act.fee_policy else { return };
    if act.pago_pa_int_mode.is_some() {
        return;
    }
    // What SEND itself would take for an absent mode is never left to it: with payments the mode is always stated.
    let payments = act.recipients.iter().any(|recipient| !recipient.payments.is_empty());
    act.pago_pa_int_mode = match (payments, rules.flow.and_then(|flow| flow.pago_pa_int_mode), policy) {
        (false, _, _) | (true, None, FeePolicy::FlatRate) => Some(PagoPaIntMode::None),
        (true, Some(mode), _) => Some(mode),
        (true, None, FeePolicy::DeliveryMode) if rules.flow.is_none() => Some(PagoPaIntMode::Sync),
        (true, None, FeePolicy::DeliveryMode) => {
            out.push(Finding::error(Field::act(f::INT_MODE), Code::FieldMissing));
            None
        }
    };
}

/// The flow's choice: a row may repeat it, never change it.
fn decide<T: Copy + PartialEq + std::fmt::Display>(own: &mut Option<T>, fixed: T, name: &'static str, out: &mut Vec<Finding>) {
    match own {
        Some(value) if *value != fixed => {
            out.push(Finding::error(Field::act(name), Code::ConflictsWithFlow).found(value.to_string()).expected(fixed.to_string()));
        }
        _ => *own = Some(fixed),
    }
}

/// Limits and cross rules of the request.
pub(super) fn check(act: &mut Act, rules: &Rules<'_>, out: &mut Vec<Finding>) {
    texts(act, rules, out);
    numbers(act, out);
    dates(act, rules, out);
    taxonomy_and_payments(act, rules, out);
    fees(act, out);
    if let Some(group) = &act.group {
        if rules.sender.is_some_and(|sender| !sender.groups.contains(group)) {
            out.push(Finding::error(Field::act(f::GROUP), Code::GroupUnknown).found(group));
        }
    } else if rules.sender.is_some_and(|sender| sender.group_required) {
        out.push(Finding::error(Field::act(f::GROUP), Code::FieldMissing));
    }
    if let Some(text) = &act.cancelled_iun {
        match iun::check(text) {
            Ok(()) => {}
            // The check letter is no part of the specification.
            Err(iun::IunError::Check(_)) => out.push(Finding::warning(Field::act(f::CANCELLED_IUN), Code::IunInvalid).found(text)),
            Err(iun::IunError::Shape) => out.push(Finding::error(Field::act(f::CANCELLED_IUN), Code::IunInvalid).found(text)),
        }
    }
    documents(act, out);
    echo(act, out);
    if let Some(rule) = &act.amount_rule {
        amounts::check(act, rule, out);
    }
}

fn texts(act: &mut Act, rules: &Rules<'_>, out: &mut Vec<Finding>) {
    if let Some(protocol) = &act.protocol {
        if longer_than(protocol, 256) {
            out.push(Finding::error(Field::act(f::PROTOCOL), Code::FieldTooLong).found(protocol).expected("256"));
        }
        if protocol.chars().any(char::is_control) {
            out.push(Finding::error(Field::act(f::PROTOCOL), Code::CharsetInvalid).found(protocol));
        }
    }
    match act.subject.as_deref() {
        Some("") => out.push(Finding::error(Field::act(f::SUBJECT), Code::FieldMissing)),
        Some(subject) if longer_than(subject, 134) => {
            out.push(Finding::error(Field::act(f::SUBJECT), Code::FieldTooLong).found(subject).expected("134"));
        }
        // Without a flow nobody knows yet whether it would bring one.
        None if rules.flow.is_some() => out.push(Finding::error(Field::act(f::SUBJECT), Code::FieldMissing)),
        _ => {}
    }
    if let Some(text) = act.abstract_text.as_deref().filter(|text| longer_than(text, 1024)) {
        out.push(Finding::error(Field::act(f::ABSTRACT), Code::FieldTooLong).found(text).expected("1024"));
    }
    if let Some(name) = &mut act.sender_denomination {
        if rules.checks().transliterate
            && let std::borrow::Cow::Owned(clean) = letters::to_latin1(name)
        {
            *name = clean;
        }
        let field = Field::act(f::SENDER_NAME);
        if name.is_empty() {
            out.push(Finding::error(field, Code::FieldMissing));
        } else if longer_than(name, 88) {
            out.push(Finding::error(field, Code::FieldTooLong).found(&*name).expected("88"));
        }
        if name.chars().any(|c| !letters::is_latin1(c) || c == '|') {
            out.push(Finding::error(field, Code::CharsetInvalid).found(&*name));
        }
    }
}

fn numbers(act: &Act, out: &mut Vec<Finding>) {
    let mut range = |name, value: i64, limit: i64| {
        if !(0..=limit).contains(&value) {
            out.push(Finding::error(Field::act(name), Code::OutOfRange).found(value.to_string()).expected(format!("0-{limit}")));
        }
    };
    if let Some(fee) = act.pa_fee {
        range(f::PA_FEE, fee.into(), 100);
    }
    if let Some(vat) = act.vat {
        range(f::VAT, vat.into(), 100);
    }
    if let Some(amount) = act.amount {
        range(f::AMOUNT, amount.get(), i64::from(i32::MAX));
    }
    if let Some(position) = &act.position
        && let (Some(minimum), Some(maximum)) = (position.minimum, position.maximum)
        && minimum > maximum
    {
        out.push(
            Finding::error(Field::act(f::MINIMUM), Code::OutOfRange)
                .found(minimum.to_it())
                .expected(format!("al massimo {}", maximum.to_it())),
        );
    }
}

fn dates(act: &Act, rules: &Rules<'_>, out: &mut Vec<Finding>) {
    let Some(today) = rules.today else { return };
    for (name, date) in [(f::EXPIRATION, act.payment_expiration_date), (f::NOTIFY_BY, act.notify_by)] {
        if let Some(date) = date.filter(|date| *date < today) {
            out.push(Finding::warning(Field::act(name), Code::DatePast).found(date.to_string()));
        }
    }
}

fn taxonomy_and_payments(act: &Act, rules: &Rules<'_>, out: &mut Vec<Finding>) {
    let first_paid = act.recipients.iter().position(|recipient| !recipient.payments.is_empty());
    match (rules.flow.map(|flow| flow.payment), first_paid) {
        (Some(PaymentPolicy::Required), None) => out.push(Finding::error(Field::of_nth(f::NOTICE, 0, 0), Code::PaymentMissing)),
        (Some(PaymentPolicy::Forbidden), Some(recipient)) => {
            out.push(Finding::error(Field::of_nth(f::NOTICE, recipient, 0), Code::PaymentForbidden));
        }
        _ => {}
    }
    let Some(code) = &act.taxonomy_code else { return };
    if !taxonomy::is_known(code) {
        out.push(Finding::error(Field::act(f::TAXONOMY), Code::TaxonomyUnknown).found(code));
        return;
    }
    let wrong = match taxonomy::kind(code) {
        Some(taxonomy::TaxonomyKind::WithPayment) => first_paid.is_none(),
        Some(taxonomy::TaxonomyKind::WithoutPayment) => first_paid.is_some(),
        None => false,
    };
    if wrong {
        out.push(Finding::warning(Field::act(f::TAXONOMY), Code::TaxonomyPayment).found(code));
    }
}

fn fees(act: &Act, out: &mut Vec<Finding>) {
    if act.fee_policy == Some(FeePolicy::DeliveryMode) {
        for (name, value) in [(f::PA_FEE, act.pa_fee), (f::VAT, act.vat)] {
            if value.is_none() {
                out.push(Finding::error(Field::act(name), Code::FeePolicyIncomplete).expected(FeePolicy::DeliveryMode.as_str()));
            }
        }
    }
    if act.pago_pa_int_mode == Some(PagoPaIntMode::Async) {
        // SEND refuses (and bills) an ASYNC notification without notices or without paFee.
        if act.pa_fee.is_none() && act.fee_policy != Some(FeePolicy::DeliveryMode) {
            out.push(Finding::error(Field::act(f::PA_FEE), Code::FeePolicyIncomplete).expected(PagoPaIntMode::Async.as_str()));
        }
        let mut payments = act.recipients.iter().flat_map(|recipient| &recipient.payments);
        if !payments.any(|payment| matches!(payment, Payment::PagoPa { .. })) {
            out.push(Finding::error(Field::act(f::INT_MODE), Code::IntModeConflict).found(PagoPaIntMode::Async.as_str()));
        } else if act.fee_policy == Some(FeePolicy::FlatRate) {
            out.push(Finding::warning(Field::act(f::INT_MODE), Code::IntModeConflict).found(PagoPaIntMode::Async.as_str()));
        }
    }
}

fn documents(act: &Act, out: &mut Vec<Finding>) {
    if act.documents.is_empty() {
        out.push(Finding::error(Field::nth(f::DOCUMENT, 0), Code::DocumentMissing));
    }
    if act.documents.len() > MAX_ITEMS {
        let finding = Finding::error(Field::nth(f::DOCUMENT, MAX_ITEMS), Code::DocumentsTooMany);
        out.push(finding.found(act.documents.len().to_string()).expected(MAX_ITEMS.to_string()));
    }
    for (index, document) in act.documents.iter().take(LOOKED_AT).enumerate() {
        if document.file.is_empty() {
            out.push(Finding::error(Field::nth(f::DOCUMENT, index), Code::FieldMissing));
        }
        match document.title.as_deref() {
            Some("") => out.push(Finding::error(Field::nth(f::DOCUMENT_TITLE, index), Code::FieldMissing)),
            Some(title) if longer_than(title, 512) => {
                out.push(Finding::error(Field::nth(f::DOCUMENT_TITLE, index), Code::FieldTooLong).found(title).expected("512"));
            }
            _ => {}
        }
    }
}

fn echo(act: &Act, out: &mut Vec<Finding>) {
    const MAX: usize = 10;
    if act.echo.len() > MAX {
        let finding = Finding::error(Field::nth(f::ECHO, MAX), Code::EchoTooMany);
        out.push(finding.found(act.echo.len().to_string()).expected(MAX.to_string()));
    }
    for (index, (name, value)) in act.echo.iter().take(MAX).enumerate() {
        if name.is_empty() {
            out.push(Finding::error(Field::nth(f::ECHO_NAME, index), Code::FieldMissing));
        } else if longer_than(name, 64) {
            out.push(Finding::error(Field::nth(f::ECHO_NAME, index), Code::FieldTooLong).found(name).expected("64"));
        }
        if longer_than(value, 256) {
            out.push(Finding::error(Field::nth(f::ECHO, index), Code::FieldTooLong).found(value).expected("256"));
        }
    }
}
