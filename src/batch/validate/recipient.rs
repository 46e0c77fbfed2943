//! The recipients: who they are, their PEC, and the address as it will be printed.

use std::borrow::Cow;

use crate::batch::fields as f;
use crate::batch::fields::Field;
use crate::batch::problem::{Code, Finding, Severity};
use crate::domain::act::{Act, PhysicalAddress, Recipient, RecipientType};
use crate::domain::address::{self, Part};
use crate::domain::fiscal_code::{self, FiscalCodeError};
use crate::domain::italy::{self, Misfit};
use crate::domain::letters;
use crate::flow::definition::CheckLevel;

use super::request::{LOOKED_AT, MAX_ITEMS};
use super::{Rules, at_level, longer_than};

pub(super) fn check_all(act: &mut Act, rules: &Rules<'_>, out: &mut Vec<Finding>) {
    if act.recipients.is_empty() {
        out.push(Finding::error(Field::of(f::TAX_ID, 0), Code::RecipientsMissing));
    }
    if act.recipients.len() > MAX_ITEMS {
        let finding = Finding::error(Field::of(f::TAX_ID, MAX_ITEMS), Code::RecipientsTooMany);
        out.push(finding.found(act.recipients.len().to_string()).expected(MAX_ITEMS.to_string()));
    }
    for (index, recipient) in act.recipients.iter_mut().take(LOOKED_AT).enumerate() {
        check(index, recipient, rules, out);
    }
    for (index, recipient) in act.recipients.iter().take(LOOKED_AT).enumerate().skip(1) {
        let before = act.recipients.iter().take(index).any(|earlier| earlier.tax_id == recipient.tax_id);
        if before && !recipient.tax_id.is_empty() {
            out.push(Finding::error(Field::of(f::TAX_ID, index), Code::RecipientTwice).found(&recipient.tax_id));
        }
    }
}

fn check(index: usize, recipient: &mut Recipient, rules: &Rules<'_>, out: &mut Vec<Finding>) {
    tax_id(index, recipient, out);
    denomination(index, &mut recipient.denomination, f::DENOMINATION, 88, rules, out);
    if recipient.denomination.is_empty() {
        out.push(Finding::error(Field::of(f::DENOMINATION, index), Code::FieldMissing));
    }
    if let Some(pec) = recipient.pec.as_deref().filter(|pec| !is_email(pec)) {
        out.push(Finding::error(Field::of(f::PEC, index), Code::PecInvalid).found(pec));
    }
    match &mut recipient.address {
        Some(address) => check_address(index, &recipient.denomination, address, rules, out),
        None if rules.sender.is_some_and(|sender| sender.address_lookup) => {}
        None => out.push(Finding::error(Field::of(f::ADDRESS, index), Code::AddressMissing)),
    }
}

fn tax_id(index: usize, recipient: &mut Recipient, out: &mut Vec<Finding>) {
    fiscal_code::normalise(&mut recipient.tax_id);
    let text = recipient.tax_id.as_str();
    let field = Field::of(f::TAX_ID, index);
    if text.is_empty() {
        out.push(Finding::error(field, Code::FieldMissing));
        return;
    }
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let (checked, wanted, other) = match recipient.recipient_type {
        RecipientType::Pf => (fiscal_code::check_person(text), "16 caratteri", text.len() == 11 && digits),
        RecipientType::Pg => (fiscal_code::check_body(text), "11 cifre", text.len() == 16),
    };
    let finding = match checked {
        Ok(()) => return,
        Err(_) if other => Finding::error(field, Code::TaxIdKind).expected(format!("{}: {wanted}", recipient.recipient_type)),
        Err(FiscalCodeError::Check(letter)) => {
            Finding::error(field, Code::TaxIdInvalid).expected(format!("carattere di controllo {letter}"))
        }
        // A spreadsheet took the zeros away.
        Err(FiscalCodeError::Length) if recipient.recipient_type == RecipientType::Pg && digits && (8..11).contains(&text.len()) => {
            Finding::error(field, Code::LeadingZerosLost).expected(format!("{text:0>11}"))
        }
        Err(FiscalCodeError::Length) => Finding::error(field, Code::TaxIdInvalid).expected(wanted),
        Err(FiscalCodeError::Shape) => Finding::error(field, Code::TaxIdInvalid).expected("lettere e cifre al loro posto"),
        Err(FiscalCodeError::Month) => Finding::error(field, Code::TaxIdInvalid).expected("lettera del mese"),
        Err(FiscalCodeError::Day) => Finding::error(field, Code::TaxIdInvalid).expected("giorno di nascita"),
    };
    out.push(finding.found(text));
}

/// A name on the envelope (`denomination`, `at`): Latin-1.
fn denomination(index: usize, text: &mut String, name: &'static str, limit: usize, rules: &Rules<'_>, out: &mut Vec<Finding>) {
    if rules.checks().transliterate
        && let Cow::Owned(clean) = letters::to_latin1(text)
    {
        *text = clean;
    }
    let field = Field::of(name, index);
    if !text.chars().all(letters::is_latin1) {
        out.push(Finding::error(field, Code::CharsetInvalid).found(&*text));
    }
    if longer_than(text, limit) {
        out.push(Finding::error(field, Code::FieldTooLong).found(&*text).expected(limit.to_string()));
    }
}

fn check_address(index: usize, name: &str, address: &mut PhysicalAddress, rules: &Rules<'_>, out: &mut Vec<Finding>) {
    let transliterate = rules.checks().transliterate;
    let mut charset = |name: &'static str, text: &mut String| {
        // Streets that script SEND's test environment are told apart by these two signs.
        let scripted = text.contains("@OK") || text.contains("@FAIL");
        let fits = |c: char| letters::is_safe(c) || (scripted && matches!(c, '@' | '_'));
        if scripted && text.chars().all(fits) {
            return;
        }
        if transliterate {
            if let Cow::Owned(clean) = letters::to_safe(text) {
                *text = clean;
            }
        } else if !text.chars().all(fits) {
            out.push(Finding::error(Field::of(name, index), Code::CharsetInvalid).found(&*text));
        }
    };
    charset(f::ADDRESS, &mut address.address);
    charset(f::MUNICIPALITY, &mut address.municipality);
    let optional = [
        (f::AT, &mut address.at),
        (f::ADDRESS_DETAILS, &mut address.address_details),
        (f::MUNICIPALITY_DETAILS, &mut address.municipality_details),
        (f::ZIP, &mut address.zip),
        (f::PROVINCE, &mut address.province),
        (f::FOREIGN_STATE, &mut address.foreign_state),
    ];
    for (name, slot) in optional {
        if let Some(text) = slot {
            charset(name, text);
        }
        if slot.as_deref().is_some_and(str::is_empty) {
            *slot = None;
        }
    }
    for (name, text) in [(f::ADDRESS, &address.address), (f::MUNICIPALITY, &address.municipality)] {
        // SEND wants at least two characters of each.
        if text.chars().nth(1).is_none() {
            out.push(Finding::error(Field::of(name, index), Code::FieldMissing));
        }
    }
    address::overlong(name, address, &mut |line| {
        let part = match line.part {
            Part::At => f::AT,
            Part::Address => f::ADDRESS,
            Part::AddressDetails => f::ADDRESS_DETAILS,
            Part::Municipality => f::MUNICIPALITY,
            Part::MunicipalityDetails => f::MUNICIPALITY_DETAILS,
            Part::ForeignState => f::FOREIGN_STATE,
        };
        let severity = if line.only_cut { Severity::Warning } else { Severity::Error };
        let finding = Finding { severity, ..Finding::error(Field::of(part, index), Code::AddressLineTooLong) };
        out.push(finding.found(format!("riga {}: {} caratteri", line.line, line.length)).expected(address::LINE.to_string()));
    });
    if italy::is_italian(address.foreign_state.as_deref()) {
        check_italian(index, address, rules.checks().municipality, out);
    } else if let Some(zip) = &address.zip {
        check_zip_shape(index, zip, out);
    }
}

/// `^(\w|\ |\-)*$`, at most 15 characters.
fn check_zip_shape(index: usize, zip: &str, out: &mut Vec<Finding>) {
    if longer_than(zip, 15) || !zip.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b' ' | b'-')) {
        out.push(Finding::error(Field::of(f::ZIP, index), Code::ZipInvalid).found(zip).expected("al massimo 15 caratteri"));
    }
}

fn check_italian(index: usize, address: &PhysicalAddress, level: CheckLevel, out: &mut Vec<Finding>) {
    let zip = address.zip.as_deref().unwrap_or_default();
    let province = address.province.as_deref().unwrap_or_default();
    let enclave = italy::is_enclave(&address.municipality);
    let digits = zip.bytes().all(|byte| byte.is_ascii_digit());
    let zip_field = Field::of(f::ZIP, index);
    let mut known_zip = zip;
    if zip.is_empty() {
        // SEND takes the request, then refuses it (and bills) for want of the CAP.
        out.push(Finding::error(zip_field, Code::FieldMissing));
    } else if digits && (3..5).contains(&zip.len()) {
        out.push(Finding::error(zip_field, Code::LeadingZerosLost).found(zip).expected(format!("{zip:0>5}")));
        known_zip = "";
    } else if !digits || zip.len() != 5 {
        out.push(Finding::error(zip_field, Code::ZipInvalid).found(zip).expected("5 cifre"));
        known_zip = "";
    }
    let mut known_province = province;
    if province.is_empty() {
        // Wanted by SEND of every address without a foreign state, San Marino and the Vatican included.
        out.push(Finding::error(Field::of(f::PROVINCE, index), Code::ProvinceMissing));
    } else if !enclave && level != CheckLevel::Off && !italy::is_province(province) {
        if zip != "00120" && !zip.starts_with("4789") {
            at_level(level, Finding::error(Field::of(f::PROVINCE, index), Code::ProvinceUnknown).found(province), out);
        }
        known_province = "";
    }
    if level == CheckLevel::Off || address.municipality.is_empty() {
        return;
    }
    let finding = match italy::check_place(&address.municipality, known_province, known_zip) {
        Ok(()) => return,
        Err(Misfit::Municipality) => {
            Finding::error(Field::of(f::MUNICIPALITY, index), Code::MunicipalityUnknown).found(&address.municipality)
        }
        Err(Misfit::Province { known }) => {
            Finding::error(Field::of(f::PROVINCE, index), Code::MunicipalityProvince).found(province).expected(known)
        }
        Err(Misfit::Zip { known }) => Finding::error(zip_field, Code::MunicipalityZip).found(zip).expected(known),
    };
    at_level(level, finding, out);
}

/// The e-mail grammar of the specification, without its quoted and numeric forms, which no PEC has; at most 320 characters.
pub(super) fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.split_once('@') else { return false };
    let atom = |atom: &str| {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+/=?^_`{|}~-".contains(&byte);
        !atom.is_empty() && atom.bytes().all(fits)
    };
    let label = |label: &str| {
        let fits = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        !label.is_empty() && fits && !label.starts_with('-') && !label.ends_with('-')
    };
    text.len() <= 320 && local.split('.').all(atom) && domain.contains('.') && domain.split('.').all(label)
}
