//! What a layout yields, one at a time: the header of the batch, then rows that are acts or cannot be read.

use crate::domain::act::Act;

use super::fields::Field;
use super::problem::{Finding, Problem};

/// What a layout found next.
#[derive(Debug, Clone, PartialEq)]
pub enum Parsed {
    /// Facts of the whole batch, before any row.
    Header(BatchHeader),
    /// One act, with the findings of reading it (an act with error findings is refused, but its other rules are still checked).
    Act(Box<ParsedAct>),
    /// A warning about the file as a whole (an unknown column): no act is refused for it.
    Notice(Problem),
    /// A row from which no act could be made. `files`: those it names, as far as they can be read.
    Unreadable { place: Place, problems: Vec<Problem>, reference: Option<String>, files: Vec<String> },
    /// The rows of an act that was already given, at `ordinal` from `row`, go on at row `later`, after those of others: what was given
    /// of it is only a part.
    Broken { ordinal: u64, row: u64, later: u64, reference: String },
}

/// What a batch says of itself. All optional: PU files say nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BatchHeader {
    /// Tax id of the ente for rows that name none.
    pub sender_tax_id: Option<String>,
    /// Flow that the batch asks for.
    pub flow: Option<String>,
    /// The gestionale's own id of the batch.
    pub reference: Option<String>,
    /// How many acts it says it holds.
    pub count: Option<u64>,
}

/// An act as read, and where.
#[derive(Debug, Clone, PartialEq)]
pub struct ParsedAct {
    pub act: Act,
    pub findings: Vec<Finding>,
    pub place: Place,
    /// Files that its rows name and the act does not hold, because the rows disagree or are too many: no other act misses them.
    pub surplus: Vec<String>,
}

/// Where an act stands in the batch file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// First row (CSV: physical line of the record, header = 1; XML: line of the element).
    pub row: u64,
    /// Row of each recipient, where recipients have rows of their own.
    pub recipient_rows: Vec<u64>,
    /// Byte range of the act's rows or element in the batch file as dropped: from it a reject is copied verbatim.
    pub start: u64,
    pub end: u64,
    /// PU: number of the data row (from 1) and so of its sub-folder; otherwise position of the act from 1.
    pub ordinal: u64,
}

impl Place {
    /// The row to blame for `field`.
    pub fn row_of(&self, field: Field) -> u64 {
        field.recipient.and_then(|index| self.recipient_rows.get(index)).copied().unwrap_or(self.row)
    }
}
