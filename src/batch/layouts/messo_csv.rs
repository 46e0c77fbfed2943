//! messo CSV 1.0: `lotto.csv`, columns by name, one row per recipient, rows of one act adjacent and tied by `riferimento`.
//!
//! Described to suppliers in `schemas/messo-csv-1.0.md`. Written by hand and by Excel, so its habits are expected: what they
//! lose (leading zeros, digits beyond the fifteenth) is detected where it can be and refused, never guessed.

mod office;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read};
use std::ops::ControlFlow;

pub(super) use self::office::{Office, zip_lost_zeros};
use super::csv_rejects::{self, CODE_COLUMN, REASON_COLUMN};
use super::draft::finish::Completeness;
use super::draft::{Dialect, Draft, MAX_RECIPIENTS, Part, Slot};
use super::resolve::{Names, folder_of};
use super::{Layout, Peek, ReadContext, ReadError, RejectRows};
use crate::batch::csv::{CsvError, Defect, Record, Records, peek_header};
use crate::batch::fields::{self, Field};
use crate::batch::problem::{Code, Finding, Problem, Severity};
use crate::batch::row::{BatchHeader, Parsed, ParsedAct, Place};
use crate::domain::act::Action;

/// messo CSV 1.0.
pub struct MessoCsv;

/// Name of the batch file in reject archives.
const BATCH_FILE: &str = "lotto.csv";
/// Unknown columns named in the receipt.
const MAX_NOTICES: usize = 50;
/// What a cell without a column name is called.
const NAMELESS: &str = "(colonna senza nome)";

impl Layout for MessoCsv {
    fn name(&self) -> &'static str {
        "messo-csv-1.0"
    }

    fn claims(&self, drop: &Peek<'_>) -> Option<usize> {
        let mine = |index: usize, head: &[u8]| {
            let name = drop.names.get(index).copied().unwrap_or_default();
            if folder_of(name).matches('/').count() > 1 || !name.to_ascii_lowercase().ends_with(".csv") {
                return false;
            }
            let header = peek_header(head);
            let has = |wanted: &str| header.iter().any(|column| column == wanted || plain(column) == wanted);
            has(fields::REFERENCE) && [fields::SENDER, fields::ACTION, fields::TAX_ID, fields::PROTOCOL].into_iter().any(has)
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
        let (columns, notices) = Columns::read(&header, context)?;
        if sink(Parsed::Header(BatchHeader::default())).is_break() {
            return Ok(());
        }
        for notice in notices {
            if sink(Parsed::Notice(notice)).is_break() {
                return Ok(());
            }
        }
        let mut batch = Batch::new(context, columns);
        while let Some(record) = records.next_record().map_err(|error| refused(context, error))? {
            if record.is_empty() {
                continue;
            }
            if let Some(parsed) = batch.row(&record)
                && (sink(parsed).is_break() || batch.broken.take().is_some_and(|broken| sink(broken).is_break()))
            {
                return Ok(());
            }
        }
        match batch.flush() {
            Some(parsed) => {
                let _ = sink(parsed).is_break() || batch.broken.take().is_some_and(|broken| sink(broken).is_break());
                Ok(())
            }
            None if batch.ordinal == 0 => Err(ReadError::Refused(Box::new(Problem::of_drop(context.file, Code::EmptyBatch)))),
            None => Ok(()),
        }
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
}

/// The refusal behind an error of the reader.
pub(super) fn refused(context: &ReadContext<'_>, error: CsvError) -> ReadError {
    let problem = |code, row| {
        let mut problem = Problem::of_drop(context.file, code);
        problem.row = row;
        ReadError::Refused(Box::new(problem))
    };
    match error {
        CsvError::TooLong { row } => problem(Code::FieldTooLong, Some(row)),
        CsvError::OpenQuote { row } => problem(Code::CsvMalformed, Some(row)),
        CsvError::Encoding => problem(Code::EncodingInvalid, None),
        CsvError::Io(error) => ReadError::Io(error),
    }
}

/// The column of `field`.
fn locate(field: Field, _place: &Place) -> String {
    let Some(slot) = Slot::ALL.iter().find(|slot| slot.name() == field.name) else { return field.name.to_owned() };
    let item = field.item.unwrap_or(0);
    let number = match slot.part() {
        Part::Act | Part::Recipient => return field.name.to_owned(),
        Part::Notice | Part::F24 | Part::Document | Part::Echo | Part::Step => item + 1,
    };
    format!("{}_{number}", field.name)
}

/// Columns of each numbered group.
fn most(part: Part) -> usize {
    match part {
        Part::Act | Part::Recipient => 0,
        Part::Notice | Part::F24 => 5,
        Part::Document => 15,
        Part::Echo => 10,
        Part::Step => 20,
    }
}

/// The field that a column holds, and its number from 0.
fn slot_of(column: &str) -> Option<(Slot, usize)> {
    let single = Slot::ALL.iter().find(|slot| most(slot.part()) == 0 && slot.name() == column);
    if let Some(slot) = single {
        return Some((*slot, 0));
    }
    let (name, number) = column.rsplit_once('_')?;
    let number: usize = number.parse().ok().filter(|number| *number > 0)?;
    let slot = Slot::ALL.iter().find(|slot| slot.name() == name && number <= most(slot.part()))?;
    Some((*slot, number - 1))
}

/// A column name as people write it (`Codice fiscale`, `modalità-pagoPA`), in the letters of ours.
fn plain(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for c in name.chars() {
        match c {
            c if c.is_whitespace() || matches!(c, '_' | '-' | '.') => {
                if !out.is_empty() && !out.ends_with('_') {
                    out.push('_');
                }
            }
            // Latin letters with marks, and the marks alone.
            c if c.is_ascii() || c >= '\u{370}' => out.extend(c.to_lowercase()),
            c => out.extend(deunicode::deunicode_char(c).unwrap_or_default().chars().map(|c| c.to_ascii_lowercase())),
        }
    }
    out.truncate(out.trim_end_matches('_').len());
    out
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Known(Slot, usize),
    /// Named by nobody: its cells must be empty.
    Nameless,
    /// Not ours, or what an earlier reject said.
    Passed,
}

/// The header, understood.
struct Columns {
    list: Vec<Column>,
    reference: usize,
    sender: usize,
    action: Option<usize>,
    zip: Option<usize>,
    state: Option<usize>,
}

impl Columns {
    fn read(header: &Record<'_>, context: &ReadContext<'_>) -> Result<(Columns, Vec<Problem>), ReadError> {
        let problem = |code: Code, column: &str| {
            let mut problem = Problem::of_drop(context.file, code);
            problem.row = Some(header.row);
            problem.column = Some(crate::batch::problem::excerpt(column));
            problem
        };
        let (mut list, mut notices) = (Vec::with_capacity(header.len()), Vec::new());
        let names: Vec<String> = (0..header.len()).map(|index| header.get(index).to_lowercase()).collect();
        let exact: Vec<Option<(Slot, usize)>> = names.iter().map(|name| slot_of(name)).collect();
        for (name, own) in names.into_iter().zip(&exact) {
            // A column that has the very name is the one that is meant.
            let meant = || slot_of(&plain(&name)).filter(|slot| !exact.contains(&Some(*slot)));
            let column = match own.or_else(meant) {
                Some((slot, number)) => Column::Known(slot, number),
                None if name.is_empty() => Column::Nameless,
                None if name == CODE_COLUMN || name == REASON_COLUMN => Column::Passed,
                None => {
                    if notices.len() < MAX_NOTICES {
                        notices.push(Problem { severity: Severity::Warning, ..problem(Code::ColumnUnknown, &name) });
                    }
                    Column::Passed
                }
            };
            if matches!(column, Column::Known(..)) && list.contains(&column) {
                return Err(ReadError::Refused(Box::new(problem(Code::ColumnTwice, &name))));
            }
            list.push(column);
        }
        let find = |slot: Slot| list.iter().position(|column| *column == Column::Known(slot, 0));
        let needed = |slot: Slot| find(slot).ok_or_else(|| ReadError::Refused(Box::new(problem(Code::ColumnMissing, slot.name()))));
        let (reference, sender) = (needed(Slot::Reference)?, needed(Slot::Sender)?);
        let (action, zip, state) = (find(Slot::Action), find(Slot::Zip), find(Slot::ForeignState));
        Ok((Columns { list, reference, sender, action, zip, state }, notices))
    }
}

/// The rows of one act so far.
struct Open {
    draft: Draft,
    place: Place,
    reference: String,
    sender: String,
    /// The same act was met before, with others in between.
    again: Option<First>,
    too_many: bool,
    /// Its action looks at nothing but [`counts`]: the row of the original, dropped again, may hold anything else.
    bare: bool,
}

/// Whether `slot` counts in a row whose action is bare (`annulla`, `sospendi`, `riprendi`).
fn counts(slot: Slot) -> bool {
    matches!(slot, Slot::Reference | Slot::Sender | Slot::Action | Slot::StoppedFrom | Slot::StoppedUntil)
}

/// Whether a finding stands in a row whose action is bare: it is about what counts, or about the row as such.
fn stands(finding: &Finding) -> bool {
    finding.field.name == NAMELESS || Slot::ALL.iter().any(|slot| counts(*slot) && slot.name() == finding.field.name)
}

impl Open {
    fn set(&mut self, slot: Slot, item: usize, text: &str) {
        if self.bare && !counts(slot) {
            self.draft.set_unjudged(slot, item, text, &Office);
        } else {
            self.draft.set(slot, item, text, &Office);
        }
    }
}

/// Where an act was met first.
#[derive(Clone, Copy)]
struct First {
    ordinal: u32,
    row: u32,
    /// Hash of its ente.
    sender: u32,
}

struct Batch<'c> {
    context: &'c ReadContext<'c>,
    names: Names<'c>,
    columns: Columns,
    open: Option<Open>,
    /// Cells of the open act's first row.
    first: Vec<String>,
    /// The acts met, by hash: 24 bytes each.
    seen: HashMap<[u32; 3], First>,
    /// To be said after the act before it.
    broken: Option<Parsed>,
    ordinal: u64,
}

impl<'c> Batch<'c> {
    fn new(context: &'c ReadContext<'c>, columns: Columns) -> Batch<'c> {
        let names = Names::new(context.names, context.file);
        Batch { context, names, columns, open: None, first: Vec::new(), seen: HashMap::new(), broken: None, ordinal: 0 }
    }

    /// Where the act was met before, if it was. A row that names no ente goes on with the act of that reference, whosever it is.
    fn meet(&mut self, sender: &str, reference: &str, row: u64) -> Option<First> {
        let narrow = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        let [hashed, ..] = hash(sender, "");
        let own = First { ordinal: narrow(self.ordinal), row: narrow(row), sender: hashed };
        match self.seen.entry(hash("", reference)) {
            Entry::Vacant(free) => {
                free.insert(own);
                return None;
            }
            Entry::Occupied(first) if sender.is_empty() || [own.sender, hash("", "")[0]].contains(&first.get().sender) => {
                return Some(*first.get());
            }
            Entry::Occupied(_) => {}
        }
        // Two enti may have the same reference.
        match self.seen.entry(hash(sender, reference)) {
            Entry::Vacant(free) => {
                free.insert(own);
                None
            }
            Entry::Occupied(first) => Some(*first.get()),
        }
    }

    /// Takes a row; gives the act before it, if the row begins another.
    fn row(&mut self, record: &Record<'_>) -> Option<Parsed> {
        let (reference, sender) = (record.get(self.columns.reference), record.get(self.columns.sender));
        let continues = self.open.as_ref().is_some_and(|open| {
            // A row without reference may be a forgotten recipient of the act above: both are refused together.
            reference.is_empty() || (open.reference == reference && (sender.is_empty() || open.sender == sender))
        });
        let before = if continues { None } else { self.flush() };
        if continues {
            self.following_row(record, reference.is_empty());
        } else {
            self.first_row(record, reference, sender);
        }
        before
    }

    fn first_row(&mut self, record: &Record<'_>, reference: &str, sender: &str) {
        self.ordinal += 1;
        let again = if reference.is_empty() { None } else { self.meet(sender, reference, record.row) };
        let place = Place { row: record.row, start: record.start, end: record.end, ordinal: self.ordinal, ..Place::default() };
        let action = self.columns.action.map(|index| record.get(index)).unwrap_or_default();
        let bare = Action::ALL.iter().any(|known| known.is_bare() && Office.is_word(action, known.as_str()));
        let mut open =
            Open { draft: Draft::new(), place, reference: reference.to_owned(), sender: sender.to_owned(), again, too_many: false, bare };
        for (name, value) in [(fields::REFERENCE, reference), (fields::SENDER, sender)] {
            if value.is_empty() {
                open.draft.find(Finding::error(Field::act(name), Code::FieldMissing));
            }
        }
        let named = |(index, column): (usize, &Column)| {
            let slot = match column {
                Column::Known(slot, _) => *slot,
                _ => return false,
            };
            let telling =
                slot.part() == Part::Recipient || matches!(slot, Slot::Notice | Slot::NoticeFile | Slot::F24Title | Slot::F24File);
            telling && !record.get(index).is_empty()
        };
        let recipient = self.columns.list.iter().enumerate().any(named);
        if recipient {
            open.draft.begin_recipient();
            open.place.recipient_rows.push(record.row);
        }
        self.first.resize(self.columns.list.len(), String::new());
        for (index, column) in self.columns.list.iter().enumerate() {
            let text = record.get(index);
            if let Some(kept) = self.first.get_mut(index) {
                kept.clear();
                kept.push_str(text);
            }
            let Column::Known(slot, item) = *column else { continue };
            let of_recipient = matches!(slot.part(), Part::Recipient | Part::Notice | Part::F24);
            if !text.is_empty() && (recipient || !of_recipient) {
                open.set(slot, item, text);
            }
        }
        self.check_row(&mut open, record, if recipient { Some(0) } else { None });
        self.open = Some(open);
    }

    fn following_row(&mut self, record: &Record<'_>, no_reference: bool) {
        let Some(mut open) = self.open.take() else { return };
        open.place.end = record.end;
        if !open.draft.begin_recipient() {
            if !open.too_many {
                open.too_many = true;
                open.place.recipient_rows.push(record.row);
                let field = Field::of(fields::TAX_ID, MAX_RECIPIENTS);
                open.draft.find(Finding::error(field, Code::RecipientsTooMany).expected(format!("al massimo {MAX_RECIPIENTS}")));
            }
            for (index, column) in self.columns.list.iter().enumerate() {
                if matches!(column, Column::Known(Slot::Document | Slot::NoticeFile | Slot::F24File, _)) {
                    open.draft.name_file(record.get(index));
                }
            }
            self.open = Some(open);
            return;
        }
        let recipient = open.draft.recipients().saturating_sub(1);
        // The act's first row may have had no recipient: rows are counted with recipients.
        open.place.recipient_rows.push(record.row);
        if no_reference {
            let field = Field { name: fields::REFERENCE, recipient: Some(recipient), item: None };
            open.draft.find(Finding::error(field, Code::FieldMissing));
        }
        for (index, column) in self.columns.list.iter().enumerate() {
            let text = record.get(index);
            let Column::Known(slot, item) = *column else { continue };
            if text.is_empty() {
                continue;
            }
            if matches!(slot.part(), Part::Recipient | Part::Notice | Part::F24) {
                open.set(slot, item, text);
            } else if self.first.get(index).is_none_or(|first| first != text) {
                if slot == Slot::Document {
                    open.draft.name_file(text);
                }
                if open.bare && !counts(slot) {
                    continue;
                }
                let first = self.first.get(index).map(String::as_str).unwrap_or_default();
                let field = Field { name: slot.name(), recipient: Some(recipient), item: Some(item) };
                let wanted = crate::batch::problem::excerpt(first);
                open.draft.find(Finding::error(field, Code::RowsDisagree).found(text).expected(wanted));
            }
        }
        self.check_row(&mut open, record, Some(recipient));
        self.open = Some(open);
    }

    /// What concerns the row as such.
    fn check_row(&self, open: &mut Open, record: &Record<'_>, recipient: Option<usize>) {
        let at = |name: &'static str| Field { name, recipient, item: None };
        match record.defect {
            Some(Defect::Quote) => {
                open.draft.find(Finding::error(at(NAMELESS), Code::CsvMalformed).found("testo dopo le virgolette di chiusura"))
            }
            Some(Defect::Encoding) => open.draft.find(Finding::error(at(NAMELESS), Code::EncodingInvalid)),
            None => {}
        }
        let width = self.columns.list.len();
        let count = |code: Severity| {
            let finding = Finding { severity: code, ..Finding::error(at(NAMELESS), Code::CsvColumnCount) };
            finding.found(format!("{} celle", record.len())).expected(format!("{width} colonne"))
        };
        if (width..record.len()).any(|index| !record.get(index).is_empty()) {
            open.draft.find(count(Severity::Error));
        } else if record.len() < width {
            // Excel leaves out cells that are empty at the end of a row.
            open.draft.find(count(Severity::Warning));
        }
        for (index, column) in self.columns.list.iter().enumerate() {
            if *column == Column::Nameless && !record.get(index).is_empty() {
                open.draft.find(Finding::error(at(NAMELESS), Code::ColumnMissing).found(record.get(index)));
            }
        }
        let zip = self.columns.zip.map(|index| record.get(index)).unwrap_or_default();
        let state = self.columns.state.map(|index| record.get(index)).unwrap_or_default();
        if office::is_italian(state) && office::zip_lost_zeros(zip) {
            open.draft.find(Finding::error(at(fields::ZIP), Code::LeadingZerosLost).found(zip).expected("5 cifre"));
        }
    }

    /// The act whose rows are over.
    fn flush(&mut self) -> Option<Parsed> {
        let Open { mut draft, place, reference, again, bare, .. } = self.open.take()?;
        if let Some(first) = again {
            let finding = Finding::error(Field::act(fields::REFERENCE), Code::RowsNotAdjacent).found(&reference);
            draft.find(finding.expected(format!("riga {}", first.row)));
            let (ordinal, row) = (first.ordinal.into(), first.row.into());
            self.broken = Some(Parsed::Broken { ordinal, row, later: place.row, reference: reference.clone() });
        }
        let readable = !draft.reference().is_empty() && again.is_none();
        let mut done = draft.finish(&self.names, Completeness::Numbered);
        if bare {
            done.findings.retain(stands);
        }
        if readable {
            return Some(Parsed::Act(Box::new(ParsedAct { act: done.act, findings: done.findings, place, surplus: done.surplus })));
        }
        let act = (!reference.is_empty()).then_some(reference);
        let problems = problems(std::mem::take(&mut done.findings), self.context.file, &place, act.as_deref(), locate);
        Some(Parsed::Unreadable { place, problems, reference: act, files: done.into_files() })
    }
}

/// Findings of a row that is no act.
pub(super) fn problems(
    findings: Vec<Finding>,
    file: &str,
    place: &Place,
    act: Option<&str>,
    locate: impl Fn(Field, &Place) -> String,
) -> Vec<Problem> {
    let problem = |finding: Finding| Problem {
        file: file.to_owned(),
        row: Some(place.row_of(finding.field)),
        column: Some(locate(finding.field, place)),
        code: std::borrow::Cow::Borrowed(finding.code.as_str()),
        severity: finding.severity,
        found: finding.found,
        expected: finding.expected,
        act: act.map(str::to_owned),
    };
    findings.into_iter().map(problem).collect()
}

/// 96 bits of (ente, reference): enough to know an act that comes back, few enough to keep for every act.
fn hash(sender: &str, reference: &str) -> [u32; 3] {
    let half = |seed: u8| {
        let mut hasher = DefaultHasher::new();
        (seed, sender, reference).hash(&mut hasher);
        hasher.finish()
    };
    let (one, two) = (half(1), half(2));
    [one as u32, (one >> 32) as u32, two as u32]
}

#[cfg(test)]
mod tests;
