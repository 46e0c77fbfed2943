//! Piattaforma Unitaria `SEND_NOTIFICATION`: one CSV of any name and, for each data row, a sub-folder named with its number
//! (from 1) that holds the row's files. Files that PU takes are taken unchanged.
//!
//! What PU's files lack comes from the configuration: the ente behind `organizationId`, the subject. The reference of an
//! act is its `paProtocolNumber`: it is the one value that PU requires, that identifies the notification for PU too (rows
//! are sequenced by it) and that the gestionale knows. `amount` is in cents: PU hands the number to SEND, whose unit is the
//! cent, as a whole number (`amount.intValue()`); decimals that PU would cut in silence are refused.

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::ops::ControlFlow;

use jiff::civil::Date;

use super::csv_rejects;
use super::draft::finish::Completeness;
use super::draft::{Dialect, Draft, Part, Slot, iso_date};
use super::messo_csv::{Office, problems, refused, zip_lost_zeros};
use super::resolve::{Names, folder_of};
use super::{Layout, Peek, ReadContext, ReadError, RejectRows, Rejected};
use crate::batch::csv::{Defect, Record, Records, peek_header};
use crate::batch::fields::{self, Field};
use crate::batch::problem::{Code, Finding, Problem, excerpt};
use crate::batch::row::{BatchHeader, Parsed, ParsedAct, Place};
use crate::domain::money::Cents;

/// Piattaforma Unitaria, `SEND_NOTIFICATION`.
pub struct PuSend;

/// Name of the batch file in reject archives (PU takes any).
const BATCH_FILE: &str = "send_notification.csv";
const ORGANIZATION: &str = "organizationid";
const PROTOCOL: &str = "paprotocolnumber";
const CAMPAIGN: &str = "externalcampaignid";
const DOMICILE_TYPE: &str = "digitaldomiciletype";
/// Groups of numbered columns.
const GROUPS: usize = 5;

/// PU's columns that hold a field of ours. Numbered ones without their `_n`.
const COLUMNS: &[(&str, Slot)] = &[
    ("paProtocolNumber", Slot::Protocol),
    ("subject", Slot::Subject),
    ("notificationFeePolicy", Slot::FeePolicy),
    ("physicalCommunicationType", Slot::Communication),
    ("senderDenomination", Slot::SenderName),
    ("senderTaxId", Slot::Sender),
    ("amount", Slot::Amount),
    ("paymentExpirationDate", Slot::Expiration),
    ("taxonomyCode", Slot::Taxonomy),
    ("paFee", Slot::PaFee),
    ("vat", Slot::Vat),
    ("pagoPaIntMode", Slot::IntMode),
    ("recipientType", Slot::Kind),
    ("taxId", Slot::TaxId),
    ("denomination", Slot::Denomination),
    ("address", Slot::Address),
    ("zip", Slot::Zip),
    ("municipality", Slot::Municipality),
    ("province", Slot::Province),
    ("digitalDomicileAddress", Slot::Pec),
    ("paymentNoticeCode", Slot::Notice),
    ("paymentCreditorTaxId", Slot::NoticeCreditor),
    ("paymentApplyCost", Slot::NoticeCost),
    ("attachmentFileName", Slot::NoticeFile),
    ("attachmentDigest", Slot::NoticeSha),
    ("f24PaymentTitle", Slot::F24Title),
    ("f24PaymentApplyCost", Slot::F24Cost),
    ("metadataAttachmentFileName", Slot::F24File),
    ("metadataAttachmentDigest", Slot::F24Sha),
    ("documentFileName", Slot::Document),
    ("documentDigest", Slot::DocumentSha),
];

impl Layout for PuSend {
    fn name(&self) -> &'static str {
        "pu-send-notification"
    }

    fn groups_notices(&self) -> bool {
        false
    }

    fn claims(&self, drop: &Peek<'_>) -> Option<usize> {
        let mine = |index: usize, head: &[u8]| {
            let name = drop.names.get(index).copied().unwrap_or_default();
            if folder_of(name).matches('/').count() > 1 || !name.to_ascii_lowercase().ends_with(".csv") {
                return false;
            }
            let header = peek_header(head);
            let has = |wanted: &str| header.iter().any(|column| column == wanted);
            has(ORGANIZATION) && has(PROTOCOL)
        };
        drop.heads.iter().find(|(index, head)| mine(*index, head)).map(|(index, _)| *index)
    }

    fn read(
        &self,
        input: &mut dyn Read,
        context: &ReadContext<'_>,
        sink: &mut dyn FnMut(Parsed) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        let mut records = Records::new(input).map_err(|error| refused(context, error))?;
        let Some(header) = records.next_record().map_err(|error| refused(context, error))? else {
            return Err(ReadError::Refused(Box::new(Problem::of_drop(context.file, Code::EmptyBatch))));
        };
        let columns = Columns::read(&header, context)?;
        if sink(Parsed::Header(BatchHeader::default())).is_break() {
            return Ok(());
        }
        let names = Names::new(context.names, context.file);
        let (mut ordinal, mut blank) = (0, 0);
        while let Some(record) = records.next_record().map_err(|error| refused(context, error))? {
            if record.is_empty() {
                // Excel's empty rows at the end count for nothing; in the middle they count as rows.
                blank += 1;
                continue;
            }
            ordinal += 1 + std::mem::take(&mut blank);
            if sink(columns.act(&record, ordinal, context, &names)).is_break() {
                return Ok(());
            }
        }
        if ordinal == 0 {
            return Err(ReadError::Refused(Box::new(Problem::of_drop(context.file, Code::EmptyBatch))));
        }
        folders_are_rows(context, names.folder(), ordinal)
    }

    fn locate(&self, field: Field, place: &Place) -> String {
        locate(field, place)
    }

    fn write_rejects(&self, original: &mut dyn Read, rejects: &mut RejectRows<'_>, out: &mut dyn io::Write) -> io::Result<()> {
        csv_rejects::write(original, rejects, out)
    }

    fn reject_batch_file(&self) -> &'static str {
        BATCH_FILE
    }

    fn own_folder(&self, batch_file: &str, place: &Place) -> Option<String> {
        Some(format!("{}{}/", folder_of(batch_file), place.ordinal))
    }

    fn reject_file(&self, position: u64, reject: &Rejected, file: &str) -> String {
        format!("{}/{}", position + 1, inside_folder(file, reject.place.ordinal))
    }
}

/// The name of `file` inside the folder of row `ordinal`.
fn inside_folder(file: &str, ordinal: u64) -> &str {
    let folder = format!("{ordinal}/");
    match file.strip_prefix(&folder) {
        Some(rest) => rest,
        None => file.split_once(&format!("/{folder}")).map_or(file, |(_, rest)| rest),
    }
}

/// Refuses the drop when the numbered folders are not those of the rows: one too few or too many, and every file behind it
/// may be another citizen's.
fn folders_are_rows(context: &ReadContext<'_>, root: &str, rows: u64) -> Result<(), ReadError> {
    let number = |name: &str| {
        let (folder, _) = name.strip_prefix(root)?.split_once('/')?;
        let canonical = !folder.starts_with('0') && folder.bytes().all(|byte| byte.is_ascii_digit());
        if canonical { folder.parse::<u64>().ok() } else { None }
    };
    let folders: BTreeSet<u64> = context.names.iter().filter_map(|name| number(name)).collect();
    let strange: Vec<String> = folders.iter().filter(|folder| **folder > rows).map(u64::to_string).take(10).collect();
    let absent: Vec<String> = (1..=rows).filter(|row| !folders.contains(row)).map(|row| row.to_string()).take(10).collect();
    if strange.is_empty() && absent.is_empty() {
        return Ok(());
    }
    let mut found = format!("{} cartelle", folders.len());
    for (label, list) in [("mancano", absent), ("in più", strange)] {
        if !list.is_empty() {
            found.push_str(&format!("; {label} {}", list.join(", ")));
        }
    }
    let problem = Problem::of_drop(context.file, Code::FoldersAndRows).found(found).expected(format!("{rows} righe"));
    Err(ReadError::Refused(Box::new(problem)))
}

fn locate(field: Field, _place: &Place) -> String {
    let Some((name, slot)) = COLUMNS.iter().find(|(_, slot)| slot.name() == field.name) else {
        let named = match field.name {
            fields::REFERENCE => "paProtocolNumber",
            fields::ECHO | fields::ECHO_NAME => "externalCampaignId",
            other => other,
        };
        return named.to_owned();
    };
    let item = field.item.unwrap_or(0);
    match slot.part() {
        Part::Notice | Part::F24 | Part::Document => format!("{name}_{}", item + 1),
        _ if field.name == fields::SENDER => "organizationId".to_owned(),
        _ => (*name).to_owned(),
    }
}

/// The header, understood. Columns that are not PU's are passed over, as PU does.
struct Columns {
    list: Vec<Option<(Slot, usize)>>,
    organization: usize,
    protocol: usize,
    campaign: Option<usize>,
    domicile_type: Option<usize>,
    subject: Option<usize>,
}

impl Columns {
    fn read(header: &Record<'_>, context: &ReadContext<'_>) -> Result<Columns, ReadError> {
        let names: Vec<String> = (0..header.len()).map(|index| header.get(index).to_ascii_lowercase()).collect();
        let problem = |code: Code, column: &str| {
            let mut problem = Problem::of_drop(context.file, code);
            problem.row = Some(header.row);
            problem.column = Some(excerpt(column));
            ReadError::Refused(Box::new(problem))
        };
        let list: Vec<Option<(Slot, usize)>> = names.iter().map(|name| slot_of(name)).collect();
        for (index, slot) in list.iter().enumerate() {
            if slot.is_some() && list.iter().take(index).any(|other| other == slot) {
                return Err(problem(Code::ColumnTwice, names.get(index).map(String::as_str).unwrap_or_default()));
            }
        }
        let find = |wanted: &str| names.iter().position(|name| name == wanted);
        Ok(Columns {
            organization: find(ORGANIZATION).ok_or_else(|| problem(Code::ColumnMissing, "organizationId"))?,
            protocol: find(PROTOCOL).ok_or_else(|| problem(Code::ColumnMissing, "paProtocolNumber"))?,
            campaign: find(CAMPAIGN),
            domicile_type: find(DOMICILE_TYPE),
            subject: find("subject"),
            list,
        })
    }

    fn act(&self, record: &Record<'_>, ordinal: u64, context: &ReadContext<'_>, names: &Names<'_>) -> Parsed {
        let place = Place { row: record.row, recipient_rows: vec![record.row], start: record.start, end: record.end, ordinal };
        let mut draft = Draft::new();
        draft.begin_recipient();
        let cell = |index: Option<usize>| index.map(|index| record.get(index)).unwrap_or_default();
        let protocol = record.get(self.protocol);
        if protocol.is_empty() {
            draft.find(Finding::error(Field::act(fields::REFERENCE), Code::FieldMissing));
        } else {
            draft.set(Slot::Reference, 0, protocol, &Pu);
        }
        self.sender(&mut draft, record, context);
        for (index, column) in self.list.iter().enumerate() {
            let Some((slot, item)) = *column else { continue };
            let text = record.get(index);
            if text.is_empty() || slot == Slot::Sender || (slot == Slot::Amount && is_zero(text)) {
                continue;
            }
            if matches!(slot, Slot::Document | Slot::NoticeFile | Slot::F24File) {
                draft.set(slot, item, &format!("{ordinal}/{text}"), &Pu);
            } else {
                draft.set(slot, item, text, &Pu);
            }
            // PU reads an empty flag as false.
            let cost = match slot {
                Slot::Notice => Some(Slot::NoticeCost),
                Slot::F24Title => Some(Slot::F24Cost),
                _ => None,
            };
            if let Some(cost) = cost
                && cell(self.list.iter().position(|other| *other == Some((cost, item)))).is_empty()
            {
                draft.set(cost, item, "false", &Pu);
            }
        }
        if let Some(subject) = context.default_subject.filter(|_| cell(self.subject).is_empty()) {
            draft.set(Slot::Subject, 0, subject, &Pu);
        }
        let domicile = cell(self.domicile_type);
        if !domicile.is_empty() && !domicile.eq_ignore_ascii_case("PEC") {
            draft.find(Finding::error(Field::of(fields::PEC, 0), Code::ValueUnknown).found(domicile).expected("PEC"));
        }
        for (number, (name, value)) in [("organizationId", record.get(self.organization)), ("externalCampaignId", cell(self.campaign))]
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .enumerate()
        {
            draft.set(Slot::EchoName, number, name, &Pu);
            draft.set(Slot::Echo, number, value, &Pu);
        }
        match record.defect {
            Some(Defect::Quote) => draft.find(Finding::error(Field::act(fields::REFERENCE), Code::CsvMalformed)),
            Some(Defect::Encoding) => draft.find(Finding::error(Field::act(fields::REFERENCE), Code::EncodingInvalid)),
            None => {}
        }
        if (self.list.len()..record.len()).any(|index| !record.get(index).is_empty()) {
            let finding = Finding::error(Field::act(fields::REFERENCE), Code::CsvColumnCount);
            draft.find(finding.found(format!("{} celle", record.len())).expected(format!("{} colonne", self.list.len())));
        }
        let readable = !protocol.is_empty();
        let mut done = draft.finish(names, Completeness::NumberedWithHoles);
        if readable {
            return Parsed::Act(Box::new(ParsedAct { act: done.act, findings: done.findings, place, surplus: done.surplus }));
        }
        let problems = problems(std::mem::take(&mut done.findings), context.file, &place, None, locate);
        Parsed::Unreadable { place, problems, reference: None, files: done.into_files() }
    }

    /// The ente is the one that the configuration binds to `organizationId`; a tax id in the row must agree.
    fn sender(&self, draft: &mut Draft, record: &Record<'_>, context: &ReadContext<'_>) {
        let id = record.get(self.organization);
        let written =
            self.list.iter().position(|column| *column == Some((Slot::Sender, 0))).map(|index| record.get(index)).unwrap_or_default();
        let field = Field::act(fields::SENDER);
        match (context.organization)(id) {
            // Without a configuration nobody knows the ente: `senderTaxId`, which PU does not require, says it or nothing does.
            Some(unknown) if unknown.is_empty() && !id.is_empty() => draft.default_sender(written),
            Some(tax_id) if !tax_id.is_empty() => {
                if !written.is_empty() && written != tax_id {
                    draft.find(Finding::error(field, Code::SenderTaxIdInvalid).found(written).expected(tax_id.clone()));
                }
                draft.default_sender(&tax_id);
            }
            _ => {
                draft.find(Finding::error(field, if id.is_empty() { Code::FieldMissing } else { Code::SenderUnknown }).found(id));
                draft.default_sender(written);
            }
        }
    }
}

/// The field that a column (lower case) holds, and its number from 0.
fn slot_of(column: &str) -> Option<(Slot, usize)> {
    let numbered = |slot: Slot| matches!(slot.part(), Part::Notice | Part::F24 | Part::Document);
    let find = |name: &str| COLUMNS.iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, slot)| *slot);
    if let Some(slot) = find(column).filter(|slot| !numbered(*slot)) {
        return Some((slot, 0));
    }
    let (name, number) = column.rsplit_once('_')?;
    let slot = find(name).filter(|slot| numbered(*slot))?;
    let number = number.parse::<usize>().ok().filter(|number| (1..=GROUPS).contains(number))?;
    Some((slot, number - 1))
}

/// `0`, `0.00`: PU sends no amount then.
fn is_zero(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| matches!(byte, b'0' | b'.')) && text.contains('0')
}

/// Values as PU's files write them.
struct Pu;

impl Dialect for Pu {
    fn amount(&self, text: &str) -> Option<Cents> {
        let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
        let digits = (1..=11).contains(&whole.len()) && whole.bytes().all(|byte| byte.is_ascii_digit());
        let exact = !decimals.is_empty() && decimals.bytes().all(|byte| byte == b'0');
        if digits && exact { whole.parse().ok().map(Cents) } else { None }
    }

    fn date(&self, text: &str) -> Option<Date> {
        iso_date(text)
    }

    fn flag(&self, text: &str) -> Option<bool> {
        match text.to_ascii_lowercase().as_str() {
            // An Italian Excel saves `true` and `false` in its own words.
            "true" | "vero" => Some(true),
            "false" | "falso" => Some(false),
            _ => None,
        }
    }

    fn is_word(&self, text: &str, word: &str) -> bool {
        text.eq_ignore_ascii_case(word)
    }

    fn percent(&self, _text: &str) -> Option<u32> {
        None
    }

    fn check(&self, slot: Slot, text: &str) -> Option<Code> {
        match slot {
            Slot::Zip if zip_lost_zeros(text) => Some(Code::LeadingZerosLost),
            // The reference is the protocol: said once.
            Slot::Reference => None,
            _ => Office.check(slot, text),
        }
    }

    fn hint(&self, code: Code) -> Option<&'static str> {
        Office.hint(code)
    }

    fn tidy<'t>(&self, slot: Slot, text: &'t str) -> (&'t str, Option<Code>) {
        Office.tidy(slot, text)
    }

    fn wanted(&self) -> [&'static str; 3] {
        ["centesimi interi: 12,50 euro si scrive 1250", "aaaa-mm-gg", "true, false"]
    }
}

#[cfg(test)]
mod tests;
