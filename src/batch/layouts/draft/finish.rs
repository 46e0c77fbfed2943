//! From the draft to the act: files named, payments put in order, what is half given reported.

use super::{Draft, Drafted, MAX_RECIPIENTS, PaymentDraft, RecipientDraft, RuleDraft, Slot, StepDraft};
use crate::batch::fields::Field;
use crate::batch::layouts::resolve::Names;
use crate::batch::problem::{Code, Finding};
use crate::domain::act::{FileRef, Payment, Recipient, RecipientType};
use crate::domain::amount_rule::{AmountRule, AmountStep, Charge, CostPolicy, FromEvent, PercentOf, StepAmount};
use crate::domain::digest::Sha256;
use crate::domain::money::Cents;

/// What the layout has not said already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Completeness {
    /// The reader has reported what is missing: nothing is said twice.
    Checked,
    /// Groups are numbered columns filled from the first without holes; what is missing is reported here.
    Numbered,
    /// As `Numbered`, but holes are tolerated.
    NumberedWithHoles,
}

impl Draft {
    /// The act, with every file name resolved against the archive.
    pub fn finish(mut self, names: &Names<'_>, completeness: Completeness) -> Drafted {
        let recipients = std::mem::take(&mut self.recipients);
        // Exactly: thousands of acts wait for the store, most with one recipient and one document.
        self.act.recipients.reserve_exact(recipients.len().min(MAX_RECIPIENTS));
        for (index, recipient) in recipients.into_iter().enumerate().take(MAX_RECIPIENTS) {
            let recipient = self.finish_recipient(recipient, index, names, completeness);
            self.act.recipients.push(recipient);
        }
        self.finish_documents(names, completeness);
        for (index, (name, value)) in std::mem::take(&mut self.echo).into_iter().enumerate() {
            if name.is_some() || !value.is_empty() {
                self.act.echo.push((name.unwrap_or_else(|| format!("eco_{}", index + 1)), value));
            }
        }
        if let Some(rule) = self.rule.take() {
            self.act.amount_rule = Some(self.finish_rule(rule, completeness));
        }
        let surplus = self.surplus.iter().map(|written| names.resolve(written)).collect();
        Drafted { act: self.act, findings: self.findings, surplus }
    }

    fn missing(&mut self, field: Field, completeness: Completeness) {
        if completeness != Completeness::Checked {
            self.find(Finding::error(field, Code::FieldMissing));
        }
    }

    fn finish_recipient(&mut self, draft: RecipientDraft, index: usize, names: &Names<'_>, completeness: Completeness) -> Recipient {
        // Numbered groups have no rule on missing cells of their own row: it is here.
        for (slot, missing) in [
            (Slot::Kind, draft.kind.is_none() && !self.reported(Slot::Kind, index)),
            (Slot::TaxId, draft.tax_id.is_empty()),
            (Slot::Denomination, draft.denomination.is_empty()),
            (Slot::Address, draft.address.as_ref().is_some_and(|address| address.address.is_empty())),
            (Slot::Municipality, draft.address.as_ref().is_some_and(|address| address.municipality.is_empty())),
        ] {
            if missing {
                self.missing(Field::of(slot.name(), index), completeness);
            }
        }
        let mut payments = draft.payments;
        if completeness != Completeness::Checked {
            // A creditor or a flag that the export repeats on every row means nothing without its notice.
            payments.retain(|payment| !payment.code.is_empty() || payment.file.is_some() || payment.sha.is_some());
            payments.sort_by_key(|payment| (payment.f24, payment.number));
        }
        let mut expected = [0, 0];
        let mut finished = Vec::with_capacity(payments.len());
        for payment in payments {
            let [notices, f24s] = &mut expected;
            let next = if payment.f24 { f24s } else { notices };
            if completeness == Completeness::Numbered && payment.number != *next {
                let slot = if payment.f24 { Slot::F24Title } else { Slot::Notice };
                let field = Field::of_nth(slot.name(), index, *next);
                self.find(Finding::error(field, Code::FieldMissing).expected("gruppi senza salti"));
            }
            *next = payment.number + 1;
            finished.push(self.finish_payment(payment, index, names, completeness));
        }
        // Without a type the other rules still need one: eleven digits are a legal person's.
        let guess = if draft.tax_id.bytes().all(|byte| byte.is_ascii_digit()) { RecipientType::Pg } else { RecipientType::Pf };
        Recipient {
            recipient_type: draft.kind.unwrap_or(guess),
            tax_id: draft.tax_id,
            denomination: draft.denomination,
            pec: draft.pec,
            address: draft.address,
            payments: finished,
        }
    }

    /// Whether something was already said of `slot` of that recipient.
    fn reported(&self, slot: Slot, recipient: usize) -> bool {
        self.findings.iter().any(|finding| finding.field.name == slot.name() && finding.field.recipient == Some(recipient))
    }

    fn finish_payment(&mut self, draft: PaymentDraft, recipient: usize, names: &Names<'_>, completeness: Completeness) -> Payment {
        let (code, cost, file) = match draft.f24 {
            true => (Slot::F24Title, Slot::F24Cost, Slot::F24File),
            false => (Slot::Notice, Slot::NoticeCost, Slot::NoticeFile),
        };
        for (slot, missing) in [
            (code, draft.code.is_empty()),
            (Slot::NoticeCreditor, !draft.f24 && draft.creditor.is_empty()),
            (cost, draft.cost.is_none()),
            (file, draft.file.is_none() && (draft.f24 || draft.sha.is_some())),
        ] {
            let field = Field::of_nth(slot.name(), recipient, draft.number);
            if missing && !self.findings.iter().any(|finding| finding.field == field) {
                self.missing(field, completeness);
            }
        }
        let apply_cost = draft.cost.unwrap_or(false);
        let file = draft.file.map(|file| named(&file, None, draft.sha, false, names));
        match draft.f24 {
            true => Payment::F24 { title: draft.code, apply_cost, metadata: file.unwrap_or_else(|| FileRef::named("")) },
            false => Payment::PagoPa {
                notice_code: draft.code,
                creditor_tax_id: draft.creditor,
                apply_cost,
                attachment: file,
                position_id: draft.position,
            },
        }
    }

    fn finish_documents(&mut self, names: &Names<'_>, completeness: Completeness) {
        let documents = std::mem::take(&mut self.documents);
        self.act.documents.reserve_exact(documents.len());
        let last = documents.iter().rposition(|document| document.file.is_some());
        for (index, document) in documents.into_iter().enumerate() {
            let hole = last.is_some_and(|last| index < last) && completeness == Completeness::Numbered;
            let half = document.title.is_some() || document.sha.is_some();
            match document.file {
                Some(file) => self.act.documents.push(named(&file, document.title, document.sha, document.shared, names)),
                None if hole || half => self.missing(Field::nth(Slot::Document.name(), index), completeness),
                None => {}
            }
        }
    }

    fn finish_rule(&mut self, rule: RuleDraft, completeness: Completeness) -> AmountRule {
        let RuleDraft { mut stated, steps } = rule;
        let said = |findings: &[Finding], slot: Slot| findings.iter().any(|finding| finding.field.name == slot.name());
        // A ready-made rule has everything; one of the row's own has a base, costs and steps, which no layout can require by itself.
        if stated.preset.is_none() && !said(&self.findings, Slot::RulePreset) {
            for (slot, missing) in [(Slot::RuleBase, stated.base.is_none()), (Slot::RuleCosts, stated.costs.is_none())] {
                if missing && !said(&self.findings, slot) {
                    self.find(Finding::error(Field::act(slot.name()), Code::FieldMissing));
                }
            }
            // Layouts in columns cannot tell a rule without steps from steps without values: the rules say it.
            if steps.is_empty() && completeness == Completeness::Checked {
                self.find(Finding::error(Field::nth("/passo", 0), Code::FieldMissing).expected("passo"));
            }
        }
        if stated.preset.is_none() {
            stated.base = stated.base.or(Some(Cents(0)));
            stated.costs = stated.costs.or(Some(CostPolicy::NotAdded));
        }
        let mut finished = Vec::with_capacity(steps.len());
        for (index, step) in steps.into_iter().enumerate() {
            finished.push(self.finish_step(step, index, completeness));
        }
        if stated.preset.is_none() || !finished.is_empty() {
            stated.steps = Some(finished);
        }
        self.act.stated_rule = Some(Box::new(stated.clone()));
        AmountRule::from(stated)
    }

    fn finish_step(&mut self, step: StepDraft, index: usize, completeness: Completeness) -> AmountStep {
        let said = |slot: Slot| self.findings.iter().any(|finding| finding.field == Field::nth(slot.name(), index));
        let no_from = step.from.is_none() && !said(Slot::StepFrom);
        let no_due = step.percent.is_none() && step.amount.is_none() && !said(Slot::StepPercent) && !said(Slot::StepAmount);
        let no_charge = step.cap.is_some() && step.charge.is_none() && !said(Slot::StepCharge);
        if no_from {
            self.missing(Field::nth(Slot::StepFrom.name(), index), completeness);
        }
        // One of the two, never both: the schema's choice, said here for every layout.
        if no_due {
            self.find(Finding::error(Field::nth(Slot::StepPercent.name(), index), Code::FieldMissing));
        } else if step.percent.is_some() && step.amount.is_some() {
            self.find(Finding::error(Field::nth(Slot::StepAmount.name(), index), Code::FieldNotAllowed));
        }
        if no_charge {
            self.find(Finding::warning(Field::nth(Slot::StepCap.name(), index), Code::FieldNotAllowed));
        }
        let due = match (step.percent, step.amount) {
            (_, Some(amount)) => StepAmount::Fixed(amount),
            (percent, None) => StepAmount::Percent(percent.unwrap_or(0)),
        };
        AmountStep {
            from: step.from.unwrap_or(FromEvent::Completion),
            days: step.days,
            due,
            of: step.of.unwrap_or(PercentOf::Base),
            charge: step.charge.map(|percent| Charge { percent, cap: step.cap }),
            summer: step.summer,
        }
    }
}

fn named(file: &str, title: Option<String>, given_sha256: Option<Sha256>, shared: bool, names: &Names<'_>) -> FileRef {
    FileRef { title, given_sha256, shared, ..FileRef::named(names.resolve(file)) }
}
