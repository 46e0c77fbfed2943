//! Subject and abstract are printed in mails and shown in lists: neither may name the recipient (`reference send.md` 3).

use crate::batch::fields as f;
use crate::batch::fields::Field;
use crate::batch::problem::{Code, Finding};
use crate::domain::act::{Act, Recipient, RecipientType};
use crate::domain::{fiscal_code, letters};

use super::request::LOOKED_AT;

pub(super) fn check(act: &Act, out: &mut Vec<Finding>) {
    for (name, text) in [(f::SUBJECT, act.subject.as_deref()), (f::ABSTRACT, act.abstract_text.as_deref())] {
        let Some(text) = text else { continue };
        let named = act.recipients.iter().take(LOOKED_AT).any(|recipient| names(text, recipient));
        if named || fiscal_code::find_person_in(text).is_some() {
            out.push(Finding::error(Field::act(name), Code::PersonalDataInSubject).found(text));
        }
    }
}

/// Words that stand after the name of a company and say nothing of who it is.
const FORMS: [&str; 10] = ["srl", "srls", "spa", "snc", "sas", "scarl", "coop", "onlus", "soc", "ditta"];

/// Whether `text` holds the tax id of the recipient, or every word of the name (of three letters at least), in any order.
fn names(text: &str, recipient: &Recipient) -> bool {
    if letters::words(text).any(|word| word.eq_ignore_ascii_case(&recipient.tax_id)) {
        return true;
    }
    let telling = |word: &&str| word.chars().nth(2).is_some() && !FORMS.iter().any(|form| form.eq_ignore_ascii_case(word));
    let mut matched = 0;
    for word in letters::words(&recipient.denomination).filter(telling) {
        if !letters::words(text).any(|own| same(own, word)) {
            return false;
        }
        matched += 1;
    }
    // One common word may well be both a company and a matter (`Acquedotto`).
    matched > usize::from(recipient.recipient_type == RecipientType::Pg)
}

/// The same word but for case and accents.
fn same(a: &str, b: &str) -> bool {
    if a.is_ascii() && b.is_ascii() { a.eq_ignore_ascii_case(b) } else { letters::same_folded(a, b) }
}
