//! `scarti/`: refused acts, in the layout they came in, with code and reason: to be corrected and dropped again.
//!
//! The layout writes the batch file from the original; this module packs it with the PDFs of those acts and a page that
//! says what to do. Everything streams: only the names of the files are kept, as the directory of the archive wants them.

use std::collections::HashSet;
use std::io::{self, Read, Seek, Write};

use jiff::Timestamp;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use super::names::{rome, short, stem};
use super::wrap;
use crate::batch::archive::safe_name;
use crate::batch::layouts::{Layout, RejectRows, Rejected, RejectedFile};
use crate::domain::ids::BatchId;
use crate::text::it::receipts::{RejectPage, reject_page};

/// The page of instructions inside a reject archive. Readers of archives ignore it at the root.
pub const README: &str = "LEGGIMI.txt";

/// What a reject archive is made of.
pub struct Rejects<'a> {
    pub layout: &'a dyn Layout,
    /// How many refused rows there are.
    pub count: u64,
    /// Begins a reading of them, in the order of the file. Asked twice: for the batch file, then for the documents.
    pub rows: &'a dyn Fn() -> RowsReader<'a>,
    /// The name the drop had.
    pub original_name: &'a str,
    pub drop: BatchId,
    /// When the rejects were decided: part of the record, so that every rendering has the same bytes.
    pub made_at: Timestamp,
    /// Sub-folder of `in/` to drop it in again (`cds`), when the drop came by one.
    pub folder: Option<&'a str>,
}

/// Gives the bytes of a file of the original archive, if it holds it.
pub type OpenFile<'a> = dyn FnMut(&RejectedFile) -> io::Result<Option<Box<dyn Read>>> + 'a;

/// Refused rows, one at a time.
pub type RowsReader<'a> = Box<dyn Iterator<Item = io::Result<Rejected>> + 'a>;

/// What went into a reject archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectSummary {
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
pub fn write_bare(rejects: &Rejects<'_>, original: &mut dyn Read, out: &mut dyn Write) -> io::Result<()> {
    let mut rows = (rejects.rows)();
    let written = rejects.layout.write_rejects(original, &mut RejectRows { count: rejects.count, rows: &mut rows }, out);
    // A reader that proves what it gives does so at its end; what the layout made of changed bytes counts for nothing.
    match (written, io::copy(original, &mut io::sink())) {
        (_, Err(changed)) if changed.kind() == io::ErrorKind::InvalidData => Err(changed),
        (Ok(()), Err(error)) => Err(error),
        (written, _) => written,
    }
}

/// Writes the reject archive.
///
/// `original` is the batch file of the drop, `open` gives a file of its archive (`None`: it has none by that name, which may be
/// why the act was refused). `spool` holds the batch file until the original was read to its end; it begins empty.
pub fn write_zip<S: Read + Write + Seek>(
    rejects: &Rejects<'_>,
    original: &mut dyn Read,
    open: &mut OpenFile<'_>,
    spool: &mut S,
    out: &mut dyn Write,
) -> io::Result<RejectSummary> {
    {
        let mut buffered = io::BufWriter::with_capacity(1 << 16, &mut *spool);
        write_bare(rejects, original, &mut buffered)?;
        buffered.flush()?;
    }
    let batch_file = rejects.layout.reject_batch_file();
    let size = spool.stream_position()?;
    spool.rewind()?;

    let mut archive = ZipWriter::new_stream(out);
    let options = options(rejects.made_at);
    archive.start_file(batch_file, options.large_file(size >= u64::from(u32::MAX)))?;
    io::copy(spool, &mut archive)?;

    let mut taken: HashSet<String> = HashSet::from([batch_file.to_owned()]);
    let (mut copied, mut missing) = (0, 0);
    for (position, reject) in (0u64..).zip((rejects.rows)()) {
        let reject = reject?;
        for source in &reject.files {
            // As every system can unpack it; the row finds it by the name that it has always had.
            let target = safe_name(&rejects.layout.reject_file(position, &reject, &source.name)).into_owned();
            // A file shared by two acts is written once.
            if taken.contains(&target) {
                continue;
            }
            let Some(mut file) = open(source)? else {
                missing += 1;
                continue;
            };
            archive.start_file(target.as_str(), options)?;
            io::copy(&mut file, &mut archive)?;
            taken.insert(target);
            copied += 1;
        }
    }
    if !taken.contains(README) {
        archive.start_file(README, options)?;
        archive.write_all(instructions(rejects, batch_file, missing).as_bytes())?;
    }
    archive.finish()?;
    Ok(RejectSummary { copied, missing })
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
fn instructions(rejects: &Rejects<'_>, batch_file: &str, missing: u64) -> String {
    let mut text = String::from("\u{feff}");
    wrap::heading(&mut text, "ATTI SCARTATI", '=');
    let page = RejectPage {
        acts: rejects.count,
        original_name: rejects.original_name,
        drop: &rejects.drop.to_string(),
        batch_file,
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
