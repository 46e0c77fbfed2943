//! The layouts messo reads. A new one is one file here and its line in [`LAYOUTS`].

mod csv_rejects;
mod draft;
pub mod messo_csv;
pub mod messo_xml;
pub mod pu_send;
mod resolve;
#[cfg(test)]
mod testing;

use std::io::{self, Read};
use std::ops::ControlFlow;

use super::fields::Field;
use super::problem::{Code, Problem};
use super::row::{Parsed, Place};

/// A format of batches: recognised from content, read as a stream, and able to write its own rejects.
pub trait Layout: Sync {
    /// Stable name: `messo-xml-1.0`.
    fn name(&self) -> &'static str;

    /// Which file of the drop is the batch file, if this drop is mine. Decided by names and by the head of each
    /// candidate (`.xml`, `.csv`), never by a setting.
    fn claims(&self, drop: &Peek<'_>) -> Option<usize>;

    /// Whether its rows can say that several notices are alternatives of one debt.
    fn groups_notices(&self) -> bool {
        true
    }

    /// Reads the whole batch file. Yields as it reads, in constant memory; stops early when the sink says so.
    /// What ends the reading (malformed beyond repair, forbidden constructs) is an `Err`.
    fn read(
        &self,
        input: &mut dyn Read,
        context: &ReadContext<'_>,
        sink: &mut dyn FnMut(Parsed) -> ControlFlow<()>,
    ) -> Result<(), ReadError>;

    /// The column name or XPath of `field`, as the office finds it in its own file.
    fn locate(&self, field: Field, place: &Place) -> String;

    /// Writes rejected rows in this layout with code and reason, so that they can be corrected and dropped again. In constant
    /// memory: rows are asked for one at a time, and `original` is read once, not always to its end.
    fn write_rejects(&self, original: &mut dyn Read, rejects: &mut RejectRows<'_>, out: &mut dyn io::Write) -> io::Result<()>;

    /// The name the batch file must have inside the reject archive.
    fn reject_batch_file(&self) -> &'static str;

    /// The folder of the archive, with its final `/`, whose files are those of the act at `place` and of no other.
    fn own_folder(&self, batch_file: &str, place: &Place) -> Option<String> {
        let _ = (batch_file, place);
        None
    }

    /// The name that `file`, of the reject at `position` (from 0), takes inside the reject archive (PU renumbers folders; others
    /// keep names).
    fn reject_file(&self, position: u64, reject: &Rejected, file: &str) -> String {
        let _ = (position, reject);
        file.to_owned()
    }
}

/// Every layout, tried in turn.
pub const LAYOUTS: &[&dyn Layout] = &[&messo_xml::MessoXml, &messo_csv::MessoCsv, &pu_send::PuSend];

/// What recognition may look at.
pub struct Peek<'a> {
    /// Names of all entries (with `/`), in archive order; one name for a bare file.
    pub names: &'a [&'a str],
    /// For each entry that may be a batch file (`.xml`, `.csv` at any depth, at most 8): index in `names` and its first 64 KiB.
    pub heads: &'a [(usize, &'a [u8])],
}

/// Why no layout could be chosen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecogniseError {
    /// No file of the drop is a batch file. Lists the files that were looked into.
    #[error("no batch file among {candidates:?}")]
    NoneClaims { candidates: Vec<String> },
    /// More than one file is a batch file: (layout, file) of each.
    #[error("several batch files: {claims:?}")]
    SeveralClaim { claims: Vec<(&'static str, String)> },
}

impl RecogniseError {
    /// The problem for the receipt of the drop `file`.
    pub fn problem(&self, file: &str) -> Problem {
        match self {
            RecogniseError::NoneClaims { candidates } => Problem::of_drop(file, Code::NoLayout).found(candidates.join(", ")),
            RecogniseError::SeveralClaim { claims } => {
                let claims: Vec<String> = claims.iter().map(|(layout, file)| format!("{file} ({layout})")).collect();
                Problem::of_drop(file, Code::TwoLayouts).found(claims.join(", "))
            }
        }
    }
}

/// The one layout that claims the drop, and the index of its batch file in `names`. Every claim is asked for, also a second
/// batch file of the same layout: which of two files the office meant is not guessed.
pub fn recognise(drop: &Peek<'_>) -> Result<(&'static dyn Layout, usize), RecogniseError> {
    let name_of = |index: usize| drop.names.get(index).copied().unwrap_or_default().to_owned();
    let mut claims: Vec<(&'static dyn Layout, usize)> = Vec::new();
    for layout in LAYOUTS {
        let mut heads = drop.heads.to_vec();
        while let Some(index) = layout.claims(&Peek { names: drop.names, heads: &heads }) {
            claims.push((*layout, index));
            let before = heads.len();
            heads.retain(|(other, _)| *other != index);
            if heads.len() == before {
                break;
            }
        }
    }
    match claims.as_slice() {
        [one] => Ok(*one),
        [] => Err(RecogniseError::NoneClaims { candidates: drop.heads.iter().map(|(index, _)| name_of(*index)).collect() }),
        several => {
            Err(RecogniseError::SeveralClaim { claims: several.iter().map(|(layout, index)| (layout.name(), name_of(*index))).collect() })
        }
    }
}

/// What reading needs beside the bytes.
pub struct ReadContext<'a> {
    /// Name of the batch file, for problems.
    pub file: &'a str,
    /// Ente behind each `organizationId` (PU). Looks the id up in the gestionale's configuration. Empty where there is no
    /// configuration: what the row itself says of its ente is believed.
    pub organization: &'a dyn Fn(&str) -> Option<String>,
    /// Subject for layouts that have none.
    pub default_subject: Option<&'a str>,
    /// Names of all files of the archive, sorted, for layouts whose sub-folders must agree with rows.
    pub names: &'a [&'a str],
}

/// Why reading ended before the end.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The drop is refused with this problem; rows already yielded do not count.
    #[error("{}", .0.code)]
    Refused(Box<Problem>),
    /// The bytes could not be read.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// One reject: where it stood and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Rejected {
    pub place: Place,
    /// (code, sentence) of each problem, in Italian already.
    pub reasons: Vec<(String, String)>,
    /// Files that the act names.
    pub files: Vec<RejectedFile>,
}

/// A file of a rejected act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectedFile {
    /// Its name in the original archive, or as the row has it.
    pub name: String,
    /// Its entry in the original archive (index in the central directory); `None`: it holds none.
    pub entry: Option<u32>,
}

/// Refused rows in the order of the file, read as they are needed: there may be more than memory should hold.
pub struct RejectRows<'a> {
    /// How many there are.
    pub count: u64,
    pub rows: &'a mut dyn Iterator<Item = io::Result<Rejected>>,
}

impl RejectRows<'_> {
    /// The next one.
    pub fn next_row(&mut self) -> io::Result<Option<Rejected>> {
        self.rows.next().transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_claimant_or_a_reason() {
        let xml: &[u8] = b"<?xml version='1.0'?><!-- x --><lotto xmlns='urn:messo:lotto:1.0'><intestazione>";
        let csv: &[u8] = b"\xef\xbb\xbfriferimento;ente;azione\n";
        let pu: &[u8] = b"organizationId;paProtocolNumber;taxId\n";
        let other: &[u8] = b"<lotto xmlns='urn:altri'/>";
        type Heads<'a> = Vec<(&'a str, &'a [u8])>;
        type Want<'a> = Result<(&'a str, usize), &'a str>;
        let table: Vec<(Heads<'_>, Want<'_>)> = vec![
            (vec![("lotto.xml", xml)], Ok(("messo-xml-1.0", 0))),
            (vec![("a.xml", other), ("x/LOTTO.XML", xml)], Ok(("messo-xml-1.0", 1))),
            (vec![("lotto.csv", csv)], Ok(("messo-csv-1.0", 0))),
            (vec![("dati.csv", pu)], Ok(("pu-send-notification", 0))),
            (vec![("lotto.csv", b"a;b\n1;2")], Err("TRACCIATO_NON_RICONOSCIUTO lotto.csv")),
            (vec![], Err("TRACCIATO_NON_RICONOSCIUTO ")),
            (vec![("lotto.xml", xml), ("lotto.csv", csv)], Err("TRACCIATO_AMBIGUO lotto.xml (messo-xml-1.0), lotto.csv (messo-csv-1.0)")),
            (vec![("a.csv", csv), ("b.csv", csv)], Err("TRACCIATO_AMBIGUO a.csv (messo-csv-1.0), b.csv (messo-csv-1.0)")),
            (vec![("a/b/lotto.xml", xml)], Err("TRACCIATO_NON_RICONOSCIUTO a/b/lotto.xml")),
        ];
        for (files, want) in table {
            let names: Vec<&str> = files.iter().map(|(name, _)| *name).collect();
            let heads: Vec<(usize, &[u8])> = files.iter().enumerate().map(|(index, (_, head))| (index, *head)).collect();
            let got = recognise(&Peek { names: &names, heads: &heads }).map(|(layout, index)| (layout.name(), index));
            let got = got.map_err(|error| {
                let problem = error.problem("drop.zip");
                format!("{} {}", problem.code, problem.found.unwrap_or_default())
            });
            assert_eq!(got, want.map_err(str::to_owned), "{names:?}");
        }
    }
}
