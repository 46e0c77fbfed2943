//! `scarti/`: refused acts, in the layout they came in, with code and reason: to be corrected and dropped again.
//!
//! The layout writes the batch file from the original; this module packs it with the PDFs of those acts and a page that
//! says what to do. Everything streams: only names are kept.

use std::collections::HashSet;
use std::io::{self, Read, Seek, Write};

use jiff::Timestamp;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use super::names::{rome, short, stem};
use super::wrap;
use crate::batch::layouts::{Layout, RejectShape, Rejected};
use crate::domain::ids::BatchId;
use crate::text::it::receipts::{RejectPage, reject_page};

/// The page of instructions inside a reject archive. Readers of archives ignore it at the root.
pub const README: &str = "LEGGIMI.txt";

/// What a reject archive is made of.
pub struct Rejects<'a> {
    pub layout: &'a dyn Layout,
    pub rejects: &'a [Rejected],
    /// The name the drop had.
    pub original_name: &'a str,
    pub drop: BatchId,
    /// When the rejects were decided: part of the record, so that every rendering has the same bytes.
    pub made_at: Timestamp,
    /// Sub-folder of `in/` to drop it in again (`cds`), when the drop came by one.
    pub folder: Option<&'a str>,
}

/// What went into a reject archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectSummary {
    pub shape: RejectShape,
    /// Files of the acts copied along.
    pub copied: u64,
    /// Files named by the acts that the original archive does not hold.
    pub missing: u64,
}

/// `scarto_<drop>_<name>.zip` (`ordinal` 1); with `_N` (`ordinal` N, from 2: the act's place in the batch and 1) for an act refused
/// later by SEND.
/// `extension`: `zip`, or that of the batch file of a bare drop.
pub fn reject_name(drop: BatchId, original_name: &str, ordinal: u32, extension: &str) -> String {
    let suffix = if ordinal > 1 { format!("_{ordinal}") } else { String::new() };
    format!("scarto_{}_{}{suffix}.{extension}", short(drop), stem(original_name, 64))
}

/// Writes the rejects of a bare drop (a batch file without archive) as the file that it was.
pub fn write_bare(rejects: &Rejects<'_>, original: &mut dyn Read, out: &mut dyn Write) -> io::Result<RejectShape> {
    rejects.layout.write_rejects(original, rejects.rejects, out)
}

/// Writes the reject archive.
///
/// `original` is the batch file of the drop, `open` gives a file of its archive by name (`NotFound`: it has none by that
/// name, which may be why the act was refused). `spool` holds the batch file until its name is known; it begins empty.
pub fn write_zip<S: Read + Write + Seek>(
    rejects: &Rejects<'_>,
    original: &mut dyn Read,
    open: &mut dyn FnMut(&str) -> io::Result<Box<dyn Read>>,
    spool: &mut S,
    out: &mut dyn Write,
) -> io::Result<RejectSummary> {
    let shape = {
        let mut buffered = io::BufWriter::with_capacity(1 << 16, &mut *spool);
        let shape = rejects.layout.write_rejects(original, rejects.rejects, &mut buffered)?;
        buffered.flush()?;
        shape
    };
    let size = spool.stream_position()?;
    spool.rewind()?;

    let mut archive = ZipWriter::new_stream(out);
    let options = options(rejects.made_at);
    archive.start_file(shape.batch_file.as_str(), options.large_file(size >= u64::from(u32::MAX)))?;
    io::copy(spool, &mut archive)?;

    let mut taken: HashSet<&str> = HashSet::from([shape.batch_file.as_str()]);
    let (mut copied, mut missing) = (0, 0);
    for (reject, targets) in rejects.rejects.iter().zip(&shape.files) {
        for (source, target) in reject.files.iter().zip(targets) {
            // A file shared by two acts is written once.
            if taken.contains(target.as_str()) {
                continue;
            }
            let mut file = match open(source) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    missing += 1;
                    continue;
                }
                Err(error) => return Err(error),
            };
            taken.insert(target);
            archive.start_file(target.as_str(), options)?;
            io::copy(&mut file, &mut archive)?;
            copied += 1;
        }
    }
    if !taken.contains(README) {
        archive.start_file(README, options)?;
        archive.write_all(instructions(rejects, &shape, missing).as_bytes())?;
    }
    archive.finish()?;
    Ok(RejectSummary { shape, copied, missing })
}

fn options(made_at: Timestamp) -> SimpleFileOptions {
    let local = rome(made_at);
    let (year, date, time) = (local.year().unsigned_abs(), local.date(), local.time());
    let part = |value: i8| value.unsigned_abs();
    let modified = DateTime::from_date_and_time(
        year,
        part(date.month()),
        part(date.day()),
        part(time.hour()),
        part(time.minute()),
        part(time.second()),
    );
    // PDFs hardly shrink: the quickest level, for archives as large as the drop.
    SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(1))
        .last_modified_time(modified.unwrap_or_default())
        .unix_permissions(0o644)
}

/// The page of instructions.
fn instructions(rejects: &Rejects<'_>, shape: &RejectShape, missing: u64) -> String {
    let mut text = String::from("\u{feff}");
    wrap::heading(&mut text, "ATTI SCARTATI", '=');
    let page = RejectPage {
        acts: rejects.rejects.len(),
        original_name: rejects.original_name,
        drop: &rejects.drop.to_string(),
        batch_file: &shape.batch_file,
        folder: rejects.folder,
        missing,
    };
    for paragraph in reject_page(&page) {
        text.push_str("\r\n");
        wrap::paragraph(&mut text, "", 0, &paragraph);
    }
    text
}

#[cfg(test)]
mod tests;
