//! The files that answer one drop: its receipt, its rejects, and the reject of an act that SEND refused later.

use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Hub;
use super::dispatch::End;
use super::publish::{PublishError, once};
use crate::batch::archive::{Ceilings, Entry, Method};
use crate::batch::layouts::{LAYOUTS, Layout, Rejected, RejectedFile};
use crate::batch::problem::{Code, Problem};
use crate::domain::act::Act;
use crate::domain::digest::Sha256;
use crate::domain::ids::{ActId, BatchId};
use crate::domain::outcome::ReceiptState;
use crate::domain::send::RefusalReason;
use crate::flow::retry::FailureClass;
use crate::outbox::place;
use crate::outbox::receipts::{DuplicateOf, Forecast, Receipt, ReceiptInstitution, receipt_name, write_text, write_xml};
use crate::outbox::rejects::{Rejects, RowsReader, reject_name, write_bare, write_zip};
use crate::store::archives::{Archives, VerifiedReader, is_changed};
use crate::store::{BatchSummary, KeptEntry, RefusedAct, Store, StoreError, decode_place, encode_place};
use crate::text::it::{outcomes, parking, problems};

/// A reject as the store keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeptReject {
    place: String,
    reasons: Vec<(String, String)>,
    /// Name and entry of each file.
    files: Vec<(String, Option<u32>)>,
}

/// Reasons that a reject carries; the receipt has them all.
const REASONS: usize = 10;

impl KeptReject {
    /// Of a row refused by messo.
    pub fn of(place: &crate::batch::row::Place, problems: &[Problem], files: Vec<RejectedFile>) -> KeptReject {
        let mut reasons: Vec<(String, String)> =
            problems.iter().take(REASONS).map(|problem| (problem.code.to_string(), problems::sentence(problem))).collect();
        if problems.len() > REASONS {
            reasons.push(("ALTRI".to_owned(), format!("Altri {} problemi sono nella ricevuta.", problems.len() - REASONS)));
        }
        KeptReject { place: encode_place(place), reasons, files: files.into_iter().map(|file| (file.name, file.entry)).collect() }
    }

    fn rejected(self) -> Rejected {
        let files = self.files.into_iter().map(|(name, entry)| RejectedFile { name, entry }).collect();
        Rejected { place: decode_place(&self.place), reasons: self.reasons, files }
    }
}

/// The files of an act that was read whole: its entries are known.
pub fn files_of(act: &Act) -> Vec<RejectedFile> {
    act.files().map(|file| RejectedFile { name: file.file.clone(), entry: file.stored.map(|stored| stored.entry) }).collect()
}

/// Remedy of a code of messo, for receipts.
pub fn remedy(code: &str) -> String {
    Code::parse(code).map_or_else(String::new, |code| problems::remedy(code).to_owned())
}

fn ended(result: Result<(), PublishError>) -> End {
    match result {
        Ok(()) => End::Nothing,
        Err(PublishError::Store(error)) => End::from(error),
        Err(PublishError::Hangs) => End::Failed { class: FailureClass::Temporary { retry_after: None }, code: "CARTELLA_NON_RISPONDE" },
        // Never a file made of what nobody accepted.
        Err(PublishError::Disk(error)) if is_changed(&error) => {
            tracing::error!("un file dell'archivio non è più quello accettato");
            End::Failed { class: FailureClass::Person { code: ARCHIVE_CHANGED }, code: ARCHIVE_CHANGED }
        }
        Err(PublishError::Disk(error)) if error.get_ref().is_some_and(|inner| inner.is::<NoArchive>()) => {
            End::Failed { class: FailureClass::Person { code: "ARCHIVIO_MANCANTE" }, code: "ARCHIVIO_MANCANTE" }
        }
        Err(PublishError::Disk(error)) => {
            tracing::error!(%error, "un file per il gestionale non può essere scritto");
            End::Failed { class: FailureClass::Temporary { retry_after: None }, code: "DISCO" }
        }
    }
}

/// Writes the receipt of a drop, XML and text.
pub async fn receipt(hub: &Arc<Hub>, batch: BatchId) -> End {
    ended(write_receipt(hub, batch).await)
}

async fn write_receipt(hub: &Arc<Hub>, batch: BatchId) -> Result<(), PublishError> {
    let Some(receipt) = receipt_of(hub, batch).await? else { return Ok(()) };
    for (extension, form) in [("xml", ReceiptForm::Xml), ("txt", ReceiptForm::Text)] {
        let name = receipt_name(receipt.received_at, batch, &receipt.original_name, receipt.state, extension);
        let source = receipt.source.clone();
        let write = receipt_writer(hub, receipt.clone(), form);
        once(hub, "RICEVUTA", &source, "ricevute", &name, Some(batch.0), write).await?;
    }
    Ok(())
}

/// XML for programs, text for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReceiptForm {
    Xml,
    Text,
}

/// What writes a receipt. Called where blocking is allowed.
pub fn receipt_writer(
    hub: &Arc<Hub>,
    receipt: Receipt,
    form: ReceiptForm,
) -> impl FnOnce(&mut dyn io::Write) -> io::Result<()> + Send + use<> {
    let mut pages = Pages {
        hub: hub.clone(),
        batch: receipt.drop,
        runtime: tokio::runtime::Handle::current(),
        page: Vec::new().into_iter(),
        after: 0,
        failed: None,
    };
    move |out: &mut dyn io::Write| {
        let sentences = (problems::sentence, remedy);
        match form {
            ReceiptForm::Xml => write_xml(&receipt, &mut pages, &sentences, out)?,
            ReceiptForm::Text => write_text(&receipt, &mut pages, &sentences, out)?,
        }
        pages.failed.map_or(Ok(()), |error| Err(io::Error::other(error)))
    }
}

/// The receipt of a drop, once it has been read.
pub async fn receipt_of(hub: &Hub, batch: BatchId) -> Result<Option<Receipt>, StoreError> {
    let summary = hub.store.batch(batch).await?;
    let Ok(state) = summary.state.parse::<ReceiptState>() else { return Ok(None) };
    let first = match summary.duplicate_of {
        Some(first) => Some(hub.store.batch(first).await?),
        None => None,
    };
    let enti = enti_of(hub, first.as_ref().unwrap_or(&summary)).await?;
    let duplicate_of =
        first.map(|first| DuplicateOf { drop: first.id, original_name: first.original_name, received_at: first.received_at });
    let rejects = !summary.dry_run && hub.store.has_rejects(batch).await?;
    let forecasts: Vec<Forecast> =
        hub.store.forecasts(batch).await?.into_iter().map(|(tax_id, last_send)| Forecast { tax_id, last_send }).collect();
    let settings = hub.settings();
    let institutions = enti.iter().filter_map(|tax_id| settings.institution(tax_id));
    let institutions = institutions.map(|institution| ReceiptInstitution {
        tax_id: institution.tax_id.clone(),
        denomination: institution.denomination.clone(),
        environment: institution.ambiente.as_str().to_owned(),
    });
    let receipt = Receipt {
        state,
        drop: batch,
        original_name: summary.original_name.clone(),
        source: summary.source.clone(),
        received_at: summary.received_at,
        finished_at: summary.finished_at.unwrap_or(summary.received_at),
        sha256: summary.sha256,
        size: summary.size,
        layout: summary.layout.clone(),
        institutions: institutions.collect(),
        flow: summary.flow.as_ref().map(|name| (name.clone(), hub.flows.get(name).map_or_else(|| name.clone(), |flow| flow.title.clone()))),
        dry_run: summary.dry_run,
        acts: summary.acts,
        accepted: summary.accepted,
        refused: summary.refused,
        duplicates: summary.duplicates,
        warnings: summary.warnings,
        duplicate_of,
        forecasts,
        held: summary.hold.as_deref().and_then(parking::sentence).map(str::to_owned),
        problems_total: summary.problems,
        rejects_file: rejects.then(|| reject_file_name(&summary, 1)),
    };
    Ok(Some(receipt))
}

/// The enti that a batch is about: the one that it names, those of its acts; when nothing of that is known, all for which its
/// gestionale sends. A receipt always says in which world it is.
async fn enti_of(hub: &Hub, batch: &BatchSummary) -> Result<Vec<String>, StoreError> {
    let mut enti: Vec<String> = batch.sender.iter().cloned().collect();
    let mut of_acts: Vec<String> = hub.store.forecasts(batch.id).await?.into_iter().map(|(tax_id, _)| tax_id).collect();
    if of_acts.is_empty() && batch.accepted > 0 {
        of_acts = hub.store.senders_of(batch.id).await?; // held: no forecast
    }
    of_acts.retain(|tax_id| batch.sender.as_ref() != Some(tax_id));
    enti.append(&mut of_acts);
    if enti.is_empty() {
        enti = hub.settings().source(&batch.source).map(|source| source.enti.clone()).unwrap_or_default();
    }
    Ok(enti)
}

/// Problems of a batch, a page at a time. Used where blocking is allowed. They end early when the store cannot be read: a receipt
/// that lacks some of them is nobody's.
struct Pages {
    hub: Arc<Hub>,
    batch: BatchId,
    runtime: tokio::runtime::Handle,
    page: std::vec::IntoIter<(u64, Problem)>,
    after: u64,
    failed: Option<StoreError>,
}

impl Iterator for Pages {
    type Item = Problem;

    fn next(&mut self) -> Option<Problem> {
        if self.page.len() == 0 {
            match self.runtime.block_on(self.hub.store.problems(self.batch, self.after)) {
                Ok(next) => self.page = next.into_iter(),
                Err(error) => self.failed = Some(error),
            }
        }
        let (seq, problem) = self.page.next()?;
        self.after = seq;
        Some(problem)
    }
}

fn reject_file_name(summary: &BatchSummary, ordinal: u32) -> String {
    let extension =
        if summary.bare { summary.batch_file.as_deref().and_then(|file| file.rsplit_once('.')).map_or("csv", |(_, e)| e) } else { "zip" };
    reject_name(summary.id, &summary.original_name, ordinal, extension)
}

/// A kept file is not what was accepted.
pub const ARCHIVE_CHANGED: &str = "FILE_CAMBIATO_NELL_ARCHIVIO";

/// The archive, or what is known of one of its entries, is not there.
#[derive(Debug, thiserror::Error)]
#[error("the archive is not kept")]
struct NoArchive;

fn no_archive() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, NoArchive)
}

/// Writes the refused rows of a batch, in the layout they came in.
pub async fn rejects(hub: &Arc<Hub>, batch: BatchId) -> End {
    ended(place_reject(hub, rejects_of(hub, batch).await, batch.0).await)
}

/// Writes an act that SEND refused, as a reject of its own.
pub async fn refused_act(hub: &Arc<Hub>, act: ActId) -> End {
    ended(place_reject(hub, reject_of(hub, act).await, act.0).await)
}

async fn place_reject(hub: &Hub, reject: Result<Option<RejectFile>, StoreError>, subject: uuid::Uuid) -> Result<(), PublishError> {
    let Some(file) = reject? else { return Ok(()) };
    let (source, name) = (file.source().to_owned(), file.name());
    once(hub, "SCARTO", &source, "scarti", &name, Some(subject), file.writer()).await
}

/// Code and sentence of one reason for which SEND refused an act.
fn refusal(reason: &RefusalReason) -> (String, String) {
    let sentence = problems::refusal_sentence(&reason.code).or_else(|| parking::sentence(&reason.code));
    (reason.code.clone(), outcomes::refusal_words(reason, sentence))
}

/// The refused rows of a drop; `None`: there are none, or nothing is known of how they came.
pub async fn rejects_of(hub: &Hub, batch: BatchId) -> Result<Option<RejectFile>, StoreError> {
    match hub.store.count_rejects(batch).await? {
        0 => Ok(None),
        count => RejectFile::of(hub, batch, Refused::Rows { count }, 1).await,
    }
}

/// An act that SEND refused.
pub async fn reject_of(hub: &Hub, act: ActId) -> Result<Option<RejectFile>, StoreError> {
    let RefusedAct { batch, place, content, reasons } = hub.store.refused_act(act).await?;
    let ordinal = u32::try_from(place.ordinal).unwrap_or(u32::MAX).saturating_add(1);
    let rejected = Rejected { place, reasons: reasons.iter().map(refusal).collect(), files: files_of(&content) };
    RejectFile::of(hub, batch, Refused::Act(Box::new(rejected)), ordinal).await
}

/// What goes into a reject file.
enum Refused {
    /// The rows that messo refused, read from the store as they are written.
    Rows { count: u64 },
    /// An act that SEND refused.
    Act(Box<Rejected>),
}

/// A file of `scarti/` that can be written, where blocking is allowed.
pub struct RejectFile {
    store: Store,
    archives: Arc<dyn Archives>,
    scratch: PathBuf,
    runtime: tokio::runtime::Handle,
    layout: &'static dyn Layout,
    refused: Refused,
    summary: BatchSummary,
    digest: Sha256,
    flow_hint: Option<String>,
    ordinal: u32,
}

impl RejectFile {
    async fn of(hub: &Hub, batch: BatchId, refused: Refused, ordinal: u32) -> Result<Option<RejectFile>, StoreError> {
        let summary = hub.store.batch(batch).await?;
        let layout = summary.layout.as_deref().and_then(|name| LAYOUTS.iter().find(|layout| layout.name() == name)).copied();
        let (Some(layout), Some(digest)) = (layout, summary.sha256) else { return Ok(None) };
        let flow_hint = hub.store.flow_hint(batch).await?;
        Ok(Some(RejectFile {
            store: hub.store.clone(),
            archives: hub.archives.clone(),
            scratch: hub.config.data.clone(),
            runtime: tokio::runtime::Handle::current(),
            layout,
            refused,
            summary,
            digest,
            flow_hint,
            ordinal,
        }))
    }

    fn source(&self) -> &str {
        &self.summary.source
    }

    fn name(&self) -> String {
        reject_file_name(&self.summary, self.ordinal)
    }

    /// What writes it. Called where blocking is allowed.
    pub fn writer(self) -> impl FnOnce(&mut dyn io::Write) -> io::Result<()> + Send {
        move |out: &mut dyn io::Write| self.write(out)
    }

    fn write(&self, out: &mut dyn io::Write) -> io::Result<()> {
        let rows = || self.rows();
        let rejects = Rejects {
            layout: self.layout,
            count: match self.refused {
                Refused::Rows { count } => count,
                Refused::Act(_) => 1,
            },
            rows: &rows,
            original_name: &self.summary.original_name,
            drop: self.summary.id,
            made_at: self.summary.finished_at.unwrap_or(self.summary.received_at),
            folder: self.flow_hint.as_deref(),
        };
        let mut original = self.entry(self.summary.batch_entry)?;
        if self.summary.bare {
            return write_bare(&rejects, &mut original, out);
        }
        let mut open = |file: &RejectedFile| -> io::Result<Option<Box<dyn Read>>> {
            failpoint!("reject.writing");
            file.entry.map(|entry| Ok(Box::new(self.entry(entry)?) as Box<dyn Read>)).transpose()
        };
        let mut spool = place::scratch(&self.scratch)?;
        write_zip(&rejects, &mut original, &mut open, &mut spool, out).map(drop)
    }

    /// An entry of the archive, proved at its end to be what was accepted. Where it lies is what the store remembers: the
    /// directory of the archive may have been changed too.
    fn entry(&self, index: u32) -> io::Result<VerifiedReader> {
        let kept = match self.runtime.block_on(self.store.kept_entry(self.digest, index)) {
            Ok(kept) => kept,
            Err(StoreError::NotFound(_)) => return Err(no_archive()),
            Err(error) => return Err(io::Error::other(error)),
        };
        let opened = self.archives.verified_entry(&self.digest, &entry_of(&kept), kept.sha256);
        opened.map_err(|error| if error.kind() == io::ErrorKind::NotFound { no_archive() } else { error })
    }

    fn rows(&self) -> RowsReader<'_> {
        match &self.refused {
            Refused::Act(rejected) => Box::new(std::iter::once(Ok((**rejected).clone()))),
            Refused::Rows { .. } => Box::new(RejectPages { job: self, page: Vec::new().into_iter(), after: 0 }),
        }
    }
}

/// Where an entry lies, as the store remembers it. Its name is nobody's business here.
pub fn entry_of(kept: &KeptEntry) -> Entry {
    Entry {
        index: kept.entry,
        name: String::new().into(),
        header_offset: kept.header_offset,
        data_start: kept.data_start,
        compressed: kept.compressed,
        size: kept.size,
        crc32: kept.crc,
        method: kept.method.parse().ok().and_then(Method::from_number).unwrap_or(Method::Stored),
    }
}

/// Refused rows of a batch, a page at a time.
struct RejectPages<'a> {
    job: &'a RejectFile,
    page: std::vec::IntoIter<(u64, String)>,
    after: u64,
}

impl Iterator for RejectPages<'_> {
    type Item = io::Result<Rejected>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.page.len() == 0 {
            match self.job.runtime.block_on(self.job.store.rejects(self.job.summary.id, self.after)) {
                Ok(page) => self.page = page.into_iter(),
                Err(error) => return Some(Err(io::Error::other(error))),
            }
        }
        let (number, text) = self.page.next()?;
        self.after = number;
        Some(serde_json::from_str(&text).map(KeptReject::rejected).map_err(io::Error::other))
    }
}

/// Ceilings of a drop as configured.
pub fn ceilings(hub: &Hub) -> Ceilings {
    let settings = hub.settings();
    let limits = &settings.limits;
    Ceilings {
        max_entries: limits.max_entries,
        max_entry_bytes: limits.max_entry_bytes,
        max_total_bytes: limits.max_total_bytes,
        max_ratio: limits.max_ratio,
    }
}
