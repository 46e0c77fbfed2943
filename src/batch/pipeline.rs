//! One drop, from bytes to judged acts: what the folder, `messo validate` and later the SFTP server all go through.
//!
//! Pure over what can be read at an offset: the caller owns the file, the store and the clock. Three passes, none of which
//! keeps the batch in memory: the directory and the head of the candidates ([`open`]), every byte once ([`look_into`]), the
//! rows ([`judge`]).

mod astray;

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::ops::ControlFlow;

use jiff::civil::Date;

use self::astray::Astray;
use super::archive::{Archive, ArchiveError, Ceilings, Entry, EntryFault, Hashing, ReadAt, entry_reader, hash_entries, looks_like_zip};
use super::fields::{self as f, Field};
use super::files::FileFacts;
use super::layouts::{self, Layout, Peek, ReadContext, ReadError};
use super::problem::{Code, Finding, Problem, Severity};
use super::row::{BatchHeader, Parsed, ParsedAct, Place};
use super::validate::batch_rules::{BatchRules, Earlier};
use super::validate::files::FileTable;
use super::validate::{Rules, SenderFacts, check_act, f24};
use crate::domain::act::Act;
use crate::domain::digest::{Hasher, Sha256};
use crate::flow::definition::{Acceptance, FlowDefinition, UnreferencedFiles};

/// Why a drop was not read to its end.
#[derive(Debug, thiserror::Error)]
pub enum Stopped {
    /// The drop as a whole is refused.
    #[error("{}", .0.code)]
    Refused(Box<Problem>),
    /// The bytes are no longer those that were looked into: somebody writes to the file.
    #[error("the drop has changed since it was looked into")]
    Changed,
    /// A disk of ours: nothing is known of the drop, try again.
    #[error(transparent)]
    Ours(io::Error),
}

impl From<Problem> for Stopped {
    fn from(problem: Problem) -> Self {
        Stopped::Refused(Box::new(problem))
    }
}

/// A drop whose layout is known.
pub struct Opened {
    pub archive: Archive,
    /// A `.xml` or `.csv` without archive.
    pub bare: bool,
    pub layout: &'static dyn Layout,
    pub batch_file: Entry,
}

/// Bytes of a candidate that recognition may see, and how many candidates.
const HEAD: usize = 64 << 10;
const CANDIDATES: usize = 8;
/// Left in reject archives for people; never missed by anyone.
const README: &str = "leggimi.txt";

/// Reads the directory of the drop and recognises its layout from its content.
pub fn open(source: &dyn ReadAt, drop_name: &str, ceilings: &Ceilings) -> Result<Opened, Stopped> {
    let mut magic = [0; 4];
    let read = source.read_at(&mut magic, 0).map_err(Stopped::Ours)?;
    let zip = looks_like_zip(magic.get(..read).unwrap_or_default());
    let extension = drop_name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase()).unwrap_or_default();
    let bare = !zip && matches!(extension.as_str(), "xml" | "csv");
    let archive = if bare {
        let len = source.len().map_err(Stopped::Ours)?;
        if len > ceilings.max_entry_bytes {
            let problem = Problem::of_drop(drop_name, Code::ArchiveEntryTooBig).found(len.to_string());
            return Err(problem.expected(ceilings.max_entry_bytes.to_string()).into());
        }
        Archive::bare(drop_name, len)
    } else {
        Archive::open(source, ceilings).map_err(|error| archive_fault(error, drop_name))?
    };
    let names: Vec<&str> = archive.entries().iter().map(|entry| &*entry.name).collect();
    let mut heads = Vec::new();
    for (index, entry) in archive.entries().iter().enumerate() {
        let name = entry.name.to_ascii_lowercase();
        if (name.ends_with(".xml") || name.ends_with(".csv")) && heads.len() < CANDIDATES {
            let mut head = Vec::new();
            let taken = entry_reader(source, entry).take(HEAD as u64).read_to_end(&mut head);
            // A broken entry is told by the pass over every byte.
            if taken.is_ok() {
                heads.push((index, head));
            }
        }
    }
    let views: Vec<(usize, &[u8])> = heads.iter().map(|(index, head)| (*index, head.as_slice())).collect();
    let (layout, index) = layouts::recognise(&Peek { names: &names, heads: &views }).map_err(|error| error.problem(drop_name))?;
    let Some(batch_file) = archive.entries().get(index).cloned() else {
        return Err(Problem::of_drop(drop_name, Code::NoLayout).into());
    };
    Ok(Opened { archive, bare, layout, batch_file })
}

fn archive_fault(error: ArchiveError, drop_name: &str) -> Stopped {
    match error {
        ArchiveError::Io(error) => Stopped::Ours(error),
        error => error.problem(drop_name).into(),
    }
}

/// Streams every entry once: digest, CRC, what PDFs say of themselves.
pub fn look_into(source: &dyn ReadAt, opened: &Opened, drop_name: &str, how: &Hashing) -> Result<Vec<FileFacts>, Stopped> {
    hash_entries(source, opened.archive.entries(), &|_| false, how).map_err(|error| archive_fault(error, drop_name))
}

/// What the batch says of itself before its first row.
pub fn header(source: &dyn ReadAt, opened: &Opened) -> Result<BatchHeader, Stopped> {
    let mut found = BatchHeader::default();
    let names: Vec<&str> = opened.archive.sorted_names().collect();
    let context = ReadContext { file: &opened.batch_file.name, organization: &|_| None, default_subject: None, names: &names };
    let mut sink = |parsed: Parsed| match parsed {
        Parsed::Header(header) => {
            found = header;
            ControlFlow::Break(())
        }
        _ => ControlFlow::Break(()),
    };
    match opened.layout.read(&mut entry_reader(source, &opened.batch_file), &context, &mut sink) {
        // What refuses the drop is found again, and told, when the rows are read.
        Ok(()) | Err(ReadError::Refused(_)) => Ok(found),
        Err(ReadError::Io(error)) => Err(io_fault(error, opened)),
    }
}

/// An entry that cannot be read to its end was already judged by its bytes: what is left is the disk.
fn io_fault(error: io::Error, opened: &Opened) -> Stopped {
    match EntryFault::of(&error) {
        Some(_) => Problem::of_drop(opened.batch_file.name.to_string(), Code::ArchiveCrc).into(),
        None => Stopped::Ours(error),
    }
}

/// Who may send, as the configuration of the gestionale knows it.
pub trait Senders {
    /// The ente, when the gestionale may send for it.
    fn sender(&self, tax_id: &str) -> Option<SenderFacts<'_>>;
    /// Ente behind an `organizationId`.
    fn organization(&self, id: &str) -> Option<String>;
}

/// By what an act is judged.
pub struct Judge<'a> {
    /// `None`: offline, what the rows say is taken as the flow's choice.
    pub flow: Option<&'a FlowDefinition>,
    /// `None`: offline.
    pub senders: Option<&'a dyn Senders>,
    pub today: Option<Date>,
    pub max_acts: u64,
}

/// What became of a row.
#[derive(Debug)]
pub enum Judged {
    /// Good, perhaps with warnings.
    Good { act: Box<Act>, place: Place, warnings: Vec<Problem> },
    /// Refused. `files` are those it names, as they are called in the archive.
    Bad { reference: Option<String>, place: Place, files: Vec<String>, problems: Vec<Problem> },
    /// The act at `ordinal`, told good before, is refused after all: a later row showed what is wrong with it. Of which act they are
    /// the `problems` do not say: nothing more is remembered of it.
    Revoke { ordinal: u64, problems: Vec<Problem> },
    /// About the batch file, or more about an act that was told bad.
    Notice { problems: Vec<Problem> },
}

/// Sums of a batch, and what only its end shows.
#[derive(Debug, Default)]
pub struct Totals {
    pub acts: u64,
    pub good: u64,
    pub bad: u64,
    /// Warnings about the drop.
    pub notices: Vec<Problem>,
}

/// Findings about one act that are told; a hostile row could have thousands.
const FINDINGS: usize = 200;

/// Reads every row, in constant memory, and judges it. What refuses the drop as a whole is an `Err`: rows told before it do
/// not count.
pub fn judge(
    source: &dyn ReadAt,
    opened: &Opened,
    facts: Vec<FileFacts>,
    judge: &Judge<'_>,
    sink: &mut dyn FnMut(Judged) -> ControlFlow<()>,
) -> Result<Totals, Stopped> {
    let file: &str = &opened.batch_file.name;
    let accepted = facts.iter().find(|fact| fact.entry == opened.batch_file.index).map(|fact| fact.sha256);
    let table = if opened.bare { FileTable::bare() } else { FileTable::new(facts).with_batch_file(opened.batch_file.index) };
    let mut rows = Rows {
        source,
        opened,
        judge,
        table,
        batch: BatchRules::new(),
        totals: Totals::default(),
        header: BatchHeader::default(),
        refused: None,
        changed: false,
        earlier: Vec::new(),
        astray: Astray::default(),
    };
    let names: Vec<&str> = opened.archive.sorted_names().collect();
    let organization = |id: &str| match judge.senders {
        Some(senders) => senders.organization(id),
        None => Some(String::new()),
    };
    let context = ReadContext {
        file,
        organization: &organization,
        default_subject: judge.flow.and_then(|flow| flow.subject.as_deref()),
        names: &names,
    };
    let mut each = |parsed: Parsed| rows.take(parsed, sink);
    let mut bytes = Hashed { inner: entry_reader(source, &opened.batch_file), hasher: Hasher::new(), failed: false };
    let outcome = opened.layout.read(&mut bytes, &context, &mut each);
    // Not always read to its end: whatever was made of it counts only if it is what was looked into.
    if rows.changed || !bytes.is(accepted).map_err(Stopped::Ours)? {
        return Err(Stopped::Changed);
    }
    let Rows { table, mut totals, header, refused, mut astray, .. } = rows;
    let read_whole = refused.is_none() && outcome.is_ok();
    let forgotten = || table.unreferenced().map(|(_, name)| name).filter(|name| !is_readme(name));
    let candidates: Vec<&str> = forgotten().take(if read_whole { astray::CANDIDATES } else { 0 }).collect();
    let told = astray.pair(&candidates);
    let untold = || forgotten().zip(told.iter().copied().chain(std::iter::repeat(false))).filter(|(_, told)| !told).map(|(name, _)| name);
    // As many as refused rows ask for and do not find, or fewer: each is taken for one of those, and no act was forgotten. Where every
    // row has its own folder, what lies outside is of none of them.
    let count = forgotten().count();
    let in_folders = opened.layout.own_folder(file, &Place::default()).is_some();
    let asked_for = !in_folders && count > 0 && count <= table.missing();
    if read_whole && asked_for {
        astray.accompany(untold());
    }
    astray.release(sink);
    if let Some(problem) = refused {
        return Err(problem.into());
    }
    match outcome {
        Ok(()) => {}
        Err(ReadError::Refused(problem)) => return Err(Stopped::Refused(problem)),
        Err(ReadError::Io(error)) => return Err(io_fault(error, opened)),
    }
    if totals.acts == 0 {
        return Err(Problem::of_drop(file, Code::EmptyBatch).into());
    }
    if let Some(count) = header.count.filter(|count| *count != totals.acts) {
        return Err(Problem::of_drop(file, Code::CountMismatch).found(totals.acts.to_string()).expected(count.to_string()).into());
    }
    let policy = judge.flow.map_or(UnreferencedFiles::Refuse, |flow| flow.unreferenced_files);
    let good_rows = judge.flow.is_none_or(|flow| flow.acceptance == Acceptance::GoodRows);
    if policy == UnreferencedFiles::Refuse && !(good_rows && asked_for) {
        // What a row has told is named here only when there is nothing else.
        let left = untold().count();
        let (name, others) = if left > 0 { (untold().next(), left - 1) } else { (forgotten().next(), count.saturating_sub(1)) };
        if let Some(name) = name {
            let problem = Problem::of_drop(super::problem::excerpt(name), Code::FileUnreferenced);
            let problem = if others > 0 { problem.found(format!("e altri {others}")) } else { problem };
            return Err(problem.into());
        }
    }
    // Of the others a row has told.
    let warn = |name: &str| Problem {
        severity: Severity::Warning,
        expected: asked_for.then(|| "forse è quello che un atto scartato chiede con un altro nome".to_owned()),
        ..Problem::of_drop(super::problem::excerpt(name), Code::FileUnreferenced)
    };
    totals.notices.extend(untold().take(1_000).map(warn));
    Ok(totals)
}

/// What messo itself puts in a reject archive.
fn is_readme(name: &str) -> bool {
    name.rsplit('/').next().unwrap_or(name).eq_ignore_ascii_case(README)
}

struct Rows<'a> {
    source: &'a dyn ReadAt,
    opened: &'a Opened,
    judge: &'a Judge<'a>,
    table: FileTable,
    batch: BatchRules,
    totals: Totals,
    header: BatchHeader,
    refused: Option<Problem>,
    changed: bool,
    /// Acts told before of which the row just taken shows something.
    earlier: Vec<Earlier>,
    /// Rows that miss a file, which are told at the end.
    astray: Astray,
}

/// The batch file on its second reading, with what it is.
struct Hashed<R> {
    inner: R,
    hasher: Hasher,
    failed: bool,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(out).inspect_err(|error| {
            self.failed |= EntryFault::of(error).is_some() || error.kind() == io::ErrorKind::UnexpectedEof;
        })?;
        self.hasher.update(out.get(..read).unwrap_or_default());
        Ok(read)
    }
}

impl<R: Read> Hashed<R> {
    /// Reads what is left. Whether all of it was what the first reading saw.
    fn is(mut self, accepted: Option<Sha256>) -> io::Result<bool> {
        if !self.failed
            && let Err(error) = io::copy(&mut self, &mut io::sink())
            && !self.failed
        {
            return Err(error);
        }
        Ok(!self.failed && accepted.is_none_or(|accepted| self.hasher.finish() == accepted))
    }
}

impl Rows<'_> {
    fn take(&mut self, parsed: Parsed, sink: &mut dyn FnMut(Judged) -> ControlFlow<()>) -> ControlFlow<()> {
        let judged = match parsed {
            Parsed::Header(header) => {
                self.header = header;
                return ControlFlow::Continue(());
            }
            Parsed::Notice(problem) => return sink(Judged::Notice { problems: vec![problem] }),
            Parsed::Unreadable { place, problems, reference, files } => {
                let files = self.files_of_refused(&place, files, BTreeSet::new());
                Judged::Bad { reference, place, files, problems }
            }
            Parsed::Broken { ordinal, row, later, reference } => {
                self.earlier.extend(self.batch.broken((ordinal, row), later, &reference));
                return self.tell_earlier(sink);
            }
            Parsed::Act(parsed) => match self.act(*parsed) {
                Ok(judged) => judged,
                Err(problem) => {
                    self.refused = Some(*problem);
                    return ControlFlow::Break(());
                }
            },
        };
        self.totals.acts += 1;
        match &judged {
            Judged::Good { .. } => self.totals.good += 1,
            _ => self.totals.bad += 1,
        }
        if self.totals.acts > self.judge.max_acts {
            let problem = Problem::of_drop(self.opened.batch_file.name.to_string(), Code::TooManyRows);
            self.refused = Some(problem.expected(self.judge.max_acts.to_string()));
            return ControlFlow::Break(());
        }
        if let Some(judged) = self.astray.keep(judged)
            && sink(judged).is_break()
        {
            return ControlFlow::Break(());
        }
        self.tell_earlier(sink)
    }

    /// What the last row has shown of acts told before it.
    fn tell_earlier(&mut self, sink: &mut dyn FnMut(Judged) -> ControlFlow<()>) -> ControlFlow<()> {
        for Earlier { place, was_good, findings } in std::mem::take(&mut self.earlier) {
            let problem = |(row, finding)| Problem { row: Some(row), ..self.problem(&place, finding) };
            let problems = findings.into_iter().map(problem).collect();
            let judged = if was_good {
                self.totals.good -= 1;
                self.totals.bad += 1;
                Judged::Revoke { ordinal: place.ordinal, problems }
            } else {
                Judged::Notice { problems }
            };
            sink(judged)?;
        }
        ControlFlow::Continue(())
    }

    /// All the rules for one act. `Err`: the whole drop is refused.
    fn act(&mut self, parsed: ParsedAct) -> Result<Judged, Box<Problem>> {
        let ParsedAct { mut act, mut findings, place, surplus } = parsed;
        let sender = match self.judge.senders {
            Some(senders) => {
                let sender = senders.sender(&act.sender_tax_id);
                if sender.is_none() && !act.sender_tax_id.is_empty() {
                    findings.push(Finding::error(Field::act(f::SENDER), Code::SenderUnknown).found(&act.sender_tax_id));
                }
                sender
            }
            None => None,
        };
        let rules = Rules {
            flow: self.judge.flow,
            sender: sender.as_ref(),
            today: self.judge.today,
            ungrouped: !self.opened.layout.groups_notices(),
        };
        check_act(&mut act, &rules, &mut findings);
        let (source, opened) = (self.source, self.opened);
        let changed = &mut self.changed;
        let mut read = |entry: u32, accepted: Sha256| {
            let entry = opened.archive.by_index(entry)?;
            let mut bytes = Vec::new();
            let whole = entry_reader(source, entry).take(f24::MAX_BYTES).read_to_end(&mut bytes);
            let faulty = whole.as_ref().is_err_and(|error| EntryFault::of(error).is_some());
            *changed |= faulty || (whole.is_ok() && bytes.len() as u64 == entry.size && Sha256::of(&bytes) != accepted);
            whole.ok().map(|_| bytes)
        };
        self.table.resolve(&mut act, &rules, &mut read, &mut findings);
        self.earlier = self.batch.check(&act, &place, &mut findings);
        if findings.iter().any(|finding| finding.code == Code::FileDigest) {
            self.shifted(&act, &place)?;
        }
        if findings.is_empty() {
            return Ok(Judged::Good { act: Box::new(act), place, warnings: Vec::new() });
        }
        let bad = findings.iter().any(|finding| finding.severity == Severity::Error);
        let problems = self.problems(&act, &place, findings);
        if bad {
            self.batch.refused();
            let own = act.files().map(|file| self.stored_name(file)).collect();
            let files = self.files_of_refused(&place, surplus, own);
            Ok(Judged::Bad { reference: Some(act.reference).filter(|reference| !reference.is_empty()), place, files, problems })
        } else {
            Ok(Judged::Good { act: Box::new(act), place, warnings: problems })
        }
    }

    /// The files of a refused act, as they are called in the archive: `own`, those that its rows also `name`, those of its folder.
    /// They are the act's, so nobody else misses them.
    fn files_of_refused(&mut self, place: &Place, named: Vec<String>, mut own: BTreeSet<String>) -> Vec<String> {
        for name in named {
            let stored = self.table.claim(&name).map(str::to_owned);
            own.insert(stored.unwrap_or(name));
        }
        if let Some(folder) = self.opened.layout.own_folder(&self.opened.batch_file.name, place) {
            own.extend(self.table.claim_folder(&folder));
        }
        own.into_iter().collect()
    }

    /// The name a file has in the archive, which may be written otherwise than the row has it.
    fn stored_name(&self, file: &crate::domain::act::FileRef) -> String {
        let stored = file.stored.and_then(|stored| self.opened.archive.by_index(stored.entry));
        stored.map_or_else(|| file.file.clone(), |entry| entry.name.to_string())
    }

    /// A digest that does not match, whose file lies under another row: somebody shifted the folders, and the wrong citizen
    /// would be served. Two digests of one row that changed places say nothing of other rows.
    fn shifted(&mut self, act: &Act, place: &Place) -> Result<(), Box<Problem>> {
        let folder = self.opened.layout.own_folder(&self.opened.batch_file.name, place);
        let own: Vec<Sha256> = act.files().filter_map(|file| file.stored).map(|stored| stored.sha256).collect();
        for file in act.files() {
            let (Some(given), Some(stored)) = (file.given_sha256, file.stored) else { continue };
            if given != stored.sha256
                && !own.contains(&given)
                && let Some(carrier) = self.table.carrier_of(given, folder.as_deref()).map(super::problem::excerpt)
            {
                let problem = Problem::of_drop(self.stored_name(file), Code::ShiftedFolders).found(&file.file);
                return Err(Box::new(problem.expected(carrier)));
            }
        }
        Ok(())
    }

    fn problems(&self, act: &Act, place: &Place, findings: Vec<Finding>) -> Vec<Problem> {
        let mut told: Vec<(Field, Code)> = Vec::new();
        let mut problems = Vec::new();
        for finding in findings {
            if problems.len() >= FINDINGS {
                break;
            }
            // The layout and the rules may both miss one field.
            if told.contains(&(finding.field, finding.code)) {
                continue;
            }
            told.push((finding.field, finding.code));
            let act = Some(act.reference.clone()).filter(|reference| !reference.is_empty());
            problems.push(Problem { act, ..self.problem(place, finding) });
        }
        problems
    }

    /// Of an act at `place`, which it does not name.
    fn problem(&self, place: &Place, finding: Finding) -> Problem {
        Problem {
            file: self.opened.batch_file.name.to_string(),
            row: Some(place.row_of(finding.field)),
            column: Some(self.opened.layout.locate(finding.field, place)),
            code: finding.code.as_str().into(),
            severity: finding.severity,
            found: finding.found,
            expected: finding.expected,
            act: None,
        }
    }
}

#[cfg(test)]
mod tests;
