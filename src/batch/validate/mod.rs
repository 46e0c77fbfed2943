//! The rules that an act must pass before any euro is spent: what SEND would refuse at once, what it would refuse later
//! (and bill), what the flow decided, and what only a look at the whole batch shows.
//!
//! Three steps, all pure: [`check_act`] for one act, [`files::FileTable::resolve`] for its files, [`batch_rules::BatchRules`]
//! for what needs more than one row. Source of every rule: `reference send.md` 2, 3, 4. An act with an error finding is
//! refused; warnings only tell the office. They run for every row: no rule allocates unless it has something to say.
//!
//! What is left out of the row and decided by the flow is filled in here, and tax ids, notice codes and addresses are put
//! in the form SEND takes, so that what comes out is what would be sent.

pub mod batch_rules;
pub mod f24;
pub mod files;

mod amounts;
mod payments;
mod personal;
mod recipient;
mod request;

use std::sync::LazyLock;

use jiff::civil::Date;

use crate::domain::act::Act;
use crate::flow::definition::{CheckLevel, Checks, FlowDefinition};

use super::problem::{Finding, Severity};

/// What the configuration says of the ente.
#[derive(Debug, Clone, Copy)]
pub struct SenderFacts<'a> {
    /// 11 digits.
    pub tax_id: &'a str,
    pub denomination: &'a str,
    /// Groups of all its keys.
    pub groups: &'a [String],
    /// Every key of the ente is bound to groups: an act must name one.
    pub group_required: bool,
    /// Enabled for mail over 20 grams: the page rule does not apply.
    pub heavy_mail: bool,
    /// Enabled for the address look-up service: physical addresses may be left out.
    pub address_lookup: bool,
}

/// What the rules look at beside the act.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rules<'a> {
    /// `None`: validation without a configuration. What the rows say is then taken as the flow's choice, and what they
    /// leave to the flow is not missed.
    pub flow: Option<&'a FlowDefinition>,
    /// `None`: not known; then an act without physical addresses is refused and groups are not looked at.
    pub sender: Option<&'a SenderFacts<'a>>,
    /// The Rome date, for terms already past. `None`: not looked at.
    pub today: Option<Date>,
    /// The layout has no way to say that notices are alternatives (`gruppo_avvisi`): what cannot be said is not refused.
    pub ungrouped: bool,
}

impl<'a> Rules<'a> {
    /// The flow's checks, or the default ones.
    pub fn checks(&self) -> &'a Checks {
        static DEFAULT: LazyLock<Checks> = LazyLock::new(Checks::default);
        self.flow.map_or(&*DEFAULT, |flow| &flow.checks)
    }
}

/// Checks one act and puts it in the form that would be sent. Every problem is told, not only the first.
///
/// An act to be cancelled needs only ente and reference: whatever else the row repeats is ignored, so that the row of the
/// original may be dropped again with `annulla` in its place.
pub fn check_act(act: &mut Act, rules: &Rules<'_>, out: &mut Vec<Finding>) {
    request::identity(act, rules, out);
    if act.action.is_bare() {
        return;
    }
    request::fill_from_flow(act, rules, out);
    one_line(act);
    request::check(act, rules, out);
    recipient::check_all(act, rules, out);
    payments::check_all(act, rules, out);
    personal::check(act, out);
}

/// Puts texts on one line: SEND's patterns (`^.*$`) take no line break, and offices write them in long descriptions.
fn one_line(act: &mut Act) {
    let titles = act.documents.iter_mut().filter_map(|document| document.title.as_mut());
    for text in [&mut act.subject, &mut act.abstract_text].into_iter().flatten().chain(titles) {
        if text.contains(char::is_control) {
            *text = text.split(char::is_control).map(str::trim).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ");
        }
    }
}

/// Adds `finding` with the severity of `level`.
fn at_level(level: CheckLevel, finding: Finding, out: &mut Vec<Finding>) {
    match level {
        CheckLevel::Off => {}
        CheckLevel::Warn => out.push(Finding { severity: Severity::Warning, ..finding }),
        CheckLevel::Refuse => out.push(Finding { severity: Severity::Error, ..finding }),
    }
}

/// Whether `text` has more than `limit` characters.
fn longer_than(text: &str, limit: usize) -> bool {
    text.len() > limit && text.chars().nth(limit).is_some()
}

/// Acts made for tests: right in everything until a test changes them.
#[cfg(test)]
pub(crate) mod samples {
    use crate::domain::act::*;
    use crate::flow::definition::*;

    pub fn act() -> Act {
        Act {
            sender_tax_id: "15376371009".to_owned(),
            reference: "CDS-1".to_owned(),
            action: Action::Insert,
            protocol: Some("PG/2026/1".to_owned()),
            subject: Some("Verbale di accertamento 12/2026".to_owned()),
            abstract_text: None,
            taxonomy_code: None,
            communication_type: None,
            fee_policy: None,
            pa_fee: None,
            vat: None,
            pago_pa_int_mode: None,
            amount: None,
            payment_expiration_date: None,
            group: None,
            additional_language: None,
            sender_denomination: None,
            cancelled_iun: None,
            recipients: vec![recipient()],
            documents: vec![FileRef::named("atto.pdf")],
            amount_rule: None,
            stated_rule: None,
            position: None,
            notify_by: None,
            force: None,
            stopped_from: None,
            stopped_until: None,
            echo: Vec::new(),
        }
    }

    pub fn recipient() -> Recipient {
        Recipient {
            recipient_type: RecipientType::Pf,
            tax_id: "RSSMRA80A01H501U".to_owned(),
            denomination: "Mario Rossi".to_owned(),
            pec: None,
            address: Some(PhysicalAddress {
                address: "VIA ROMA 1".to_owned(),
                zip: Some("10121".to_owned()),
                municipality: "TORINO".to_owned(),
                province: Some("TO".to_owned()),
                ..PhysicalAddress::default()
            }),
            payments: vec![notice()],
        }
    }

    pub fn notice() -> Payment {
        Payment::PagoPa {
            notice_code: "302000000000000184".to_owned(),
            creditor_tax_id: "15376371009".to_owned(),
            apply_cost: true,
            attachment: None,
            position_id: None,
        }
    }

    pub fn flow() -> FlowDefinition {
        FlowDefinition {
            name: "cds".to_owned(),
            title: "Violazioni al Codice della Strada".to_owned(),
            taxonomy_code: "010101P".to_owned(),
            communication_type: CommunicationType::Act890,
            fee_policy: FeePolicy::DeliveryMode,
            pago_pa_int_mode: Some(PagoPaIntMode::Sync),
            pa_fee: Some(100),
            vat: Some(22),
            subject: None,
            payment: PaymentPolicy::Required,
            amount_rule: None,
            layouts: Vec::new(),
            acceptance: Acceptance::default(),
            unreferenced_files: UnreferencedFiles::default(),
            checks: Checks::default(),
            sending: Sending::default(),
            outcome_minutes: 0,
            notify_within_days: None,
            guard: MoneyGuard::default(),
            payments: crate::flow::definition::Payments::default(),
        }
    }
}

#[cfg(test)]
mod tests;
