//! The files that answer one drop: its receipt, its rejects, and the reject of an act that SEND refused later.

use std::io::{self, Read};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::dispatch::End;
use super::publish::{PublishError, once};
use super::{Hub, rome};
use crate::batch::archive::{Archive, Ceilings, ReadAt, entry_reader};
use crate::batch::layouts::{LAYOUTS, Layout, Rejected};
use crate::batch::problem::{Code, Problem};
use crate::domain::digest::Sha256;
use crate::domain::ids::{ActId, BatchId};
use crate::domain::outcome::ReceiptState;
use crate::domain::send::RefusalReason;
use crate::flow::retry::FailureClass;
use crate::outbox::place;
use crate::outbox::receipts::{DuplicateOf, Forecast, Receipt, ReceiptInstitution, receipt_name, write_text, write_xml};
use crate::outbox::rejects::{Rejects, reject_name, write_bare, write_zip};
use crate::store::{BatchSummary, RefusedAct, StoreError, decode_place, encode_place};
use crate::text::it::{outcomes, parking, problems};

/// A reject as the store keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeptReject {
    place: String,
    reasons: Vec<(String, String)>,
    files: Vec<String>,
}

/// Reasons that a reject carries; the receipt has them all.
const REASONS: usize = 10;

impl KeptReject {
    /// Of a row refused by messo.
    pub fn of(place: &crate::batch::row::Place, problems: &[Problem], files: Vec<String>) -> KeptReject {
        let mut reasons: Vec<(String, String)> =
            problems.iter().take(REASONS).map(|problem| (problem.code.to_string(), problems::sentence(problem))).collect();
        if problems.len() > REASONS {
            reasons.push(("ALTRI".to_owned(), format!("Altri {} problemi sono nella ricevuta.", problems.len() - REASONS)));
        }
        KeptReject { place: encode_place(place), reasons, files }
    }

    fn rejected(self) -> Rejected {
        Rejected { place: decode_place(&self.place), reasons: self.reasons, files: self.files }
    }
}

/// Remedy of a code of messo, for receipts.
pub fn remedy(code: &str) -> String {
    Code::parse(code).map_or_else(String::new, |code| problems::remedy(code).to_owned())
}

fn ended(result: Result<(), PublishError>) -> End {
    match result {
        Ok(()) => End::Nothing,
        Err(PublishError::Store(error)) => End::from(error),
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
    let mut pages =
        Pages { hub: hub.clone(), batch: receipt.drop, runtime: tokio::runtime::Handle::current(), page: Vec::new().into_iter(), after: 0 };
    move |out: &mut dyn io::Write| {
        let sentences = (problems::sentence, remedy);
        match form {
            ReceiptForm::Xml => write_xml(&receipt, &mut pages, &sentences, out),
            ReceiptForm::Text => write_text(&receipt, &mut pages, &sentences, out),
        }
    }
}

/// The receipt of a drop, once it has been read.
pub async fn receipt_of(hub: &Hub, batch: BatchId) -> Result<Option<Receipt>, StoreError> {
    let summary = hub.store.batch(batch).await?;
    let Ok(state) = summary.state.parse::<ReceiptState>() else { return Ok(None) };
    let duplicate_of = match summary.duplicate_of {
        Some(first) => {
            let first = hub.store.batch(first).await?;
            Some(DuplicateOf { drop: first.id, original_name: first.original_name, received_at: first.received_at })
        }
        None => None,
    };
    let rejects = !summary.dry_run && hub.store.has_rejects(batch).await?;
    let institutions = summary.sender.as_deref().and_then(|sender| hub.config.institution(sender)).map(|institution| ReceiptInstitution {
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
        institutions: institutions.into_iter().collect(),
        flow: summary.flow.as_ref().map(|name| (name.clone(), hub.flows.get(name).map_or_else(|| name.clone(), |flow| flow.title.clone()))),
        dry_run: summary.dry_run,
        acts: summary.acts,
        accepted: summary.accepted,
        refused: summary.refused,
        duplicates: summary.duplicates,
        warnings: summary.warnings,
        duplicate_of,
        forecast: summary.forecast.map(|last| Forecast {
            last_send: rome(last).date(),
            sentence: "La previsione tiene conto delle chiamate concesse all'ente ogni giorno e degli atti già in coda.".to_owned(),
        }),
        held: summary.hold.as_deref().and_then(parking::sentence).map(str::to_owned),
        problems_total: summary.problems,
        rejects_file: rejects.then(|| reject_file_name(&summary, 1)),
    };
    Ok(Some(receipt))
}

/// Problems of a batch, a page at a time. Used where blocking is allowed.
struct Pages {
    hub: Arc<Hub>,
    batch: BatchId,
    runtime: tokio::runtime::Handle,
    page: std::vec::IntoIter<(u64, Problem)>,
    after: u64,
}

impl Iterator for Pages {
    type Item = Problem;

    fn next(&mut self) -> Option<Problem> {
        if self.page.len() == 0 {
            let next = self.runtime.block_on(self.hub.store.problems(self.batch, self.after));
            self.page = next.unwrap_or_default().into_iter();
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
    once(hub, "SCARTO", &source, "scarti", &name, Some(subject), file.writer(hub)).await
}

/// Code and sentence of one reason for which SEND refused an act.
fn refusal(reason: &RefusalReason) -> (String, String) {
    let sentence = problems::refusal_sentence(&reason.code).or_else(|| parking::sentence(&reason.code));
    (reason.code.clone(), outcomes::refusal_words(reason, sentence))
}

/// A file of `scarti/` that can be written.
pub struct RejectFile {
    layout: &'static dyn Layout,
    rejects: Vec<Rejected>,
    summary: BatchSummary,
    digest: Sha256,
    batch_file: String,
    flow_hint: Option<String>,
    ordinal: u32,
}

/// The refused rows of a drop; `None`: there are none, or nothing is known of how they came.
pub async fn rejects_of(hub: &Hub, batch: BatchId) -> Result<Option<RejectFile>, StoreError> {
    let kept = hub.store.rejects(batch).await?;
    let rejects = kept.iter().map(|text| serde_json::from_str::<KeptReject>(text)).collect::<Result<Vec<_>, _>>()?;
    RejectFile::of(hub, batch, rejects.into_iter().map(KeptReject::rejected).collect(), 1).await
}

/// An act that SEND refused.
pub async fn reject_of(hub: &Hub, act: ActId) -> Result<Option<RejectFile>, StoreError> {
    let RefusedAct { batch, place, content, reasons } = hub.store.refused_act(act).await?;
    let ordinal = u32::try_from(place.ordinal).unwrap_or(u32::MAX).saturating_add(1);
    let files = content.files().map(|file| file.file.clone()).collect();
    let rejected = Rejected { place, reasons: reasons.iter().map(refusal).collect(), files };
    RejectFile::of(hub, batch, vec![rejected], ordinal).await
}

impl RejectFile {
    async fn of(hub: &Hub, batch: BatchId, mut rejects: Vec<Rejected>, ordinal: u32) -> Result<Option<RejectFile>, StoreError> {
        if rejects.is_empty() {
            return Ok(None);
        }
        let summary = hub.store.batch(batch).await?;
        rejects.sort_by_key(|reject| reject.place.start);
        let layout = summary.layout.as_deref().and_then(|name| LAYOUTS.iter().find(|layout| layout.name() == name)).copied();
        let (Some(layout), Some(digest), Some(batch_file)) = (layout, summary.sha256, summary.batch_file.clone()) else { return Ok(None) };
        let flow_hint = hub.store.flow_hint(batch).await?;
        Ok(Some(RejectFile { layout, rejects, summary, digest, batch_file, flow_hint, ordinal }))
    }

    fn source(&self) -> &str {
        &self.summary.source
    }

    fn name(&self) -> String {
        reject_file_name(&self.summary, self.ordinal)
    }

    /// What writes it. Called where blocking is allowed.
    pub fn writer(self, hub: &Hub) -> impl FnOnce(&mut dyn io::Write) -> io::Result<()> + Send + use<> {
        let (archives, ceilings, scratch) = (hub.archives.clone(), ceilings(hub), hub.config.data.clone());
        move |out: &mut dyn io::Write| {
            let kept = archives.open(&self.digest)?;
            let job = RejectJob {
                layout: self.layout,
                rejects: &self.rejects,
                summary: &self.summary,
                flow_hint: self.flow_hint.as_deref(),
                batch_file: &self.batch_file,
            };
            job.write(&kept, &ceilings, &scratch, out)
        }
    }
}

struct RejectJob<'a> {
    layout: &'static dyn Layout,
    rejects: &'a [Rejected],
    summary: &'a BatchSummary,
    flow_hint: Option<&'a str>,
    batch_file: &'a str,
}

impl RejectJob<'_> {
    fn write(&self, kept: &dyn ReadAt, ceilings: &Ceilings, scratch: &std::path::Path, out: &mut dyn io::Write) -> io::Result<()> {
        let rejects = Rejects {
            layout: self.layout,
            rejects: self.rejects,
            original_name: &self.summary.original_name,
            drop: self.summary.id,
            made_at: self.summary.finished_at.unwrap_or(self.summary.received_at),
            folder: self.flow_hint,
        };
        let archive = if self.summary.bare {
            Archive::bare(self.batch_file, kept.len()?)
        } else {
            Archive::open(kept, ceilings).map_err(io::Error::other)?
        };
        let missing = || io::Error::from(io::ErrorKind::NotFound);
        let entry = archive.by_index(self.summary.batch_entry).ok_or_else(missing)?;
        let mut original = entry_reader(kept, entry);
        if self.summary.bare {
            return write_bare(&rejects, &mut original, out).map(drop);
        }
        let mut open = |name: &str| -> io::Result<Box<dyn Read>> {
            failpoint!("reject.writing");
            let entry = archive.find(name).ok_or_else(missing)?;
            let mut bytes = Vec::new();
            // Whole in memory, one at a time: an entry is at most what the ceilings allow, and most are small.
            entry_reader(kept, entry).read_to_end(&mut bytes)?;
            Ok(Box::new(io::Cursor::new(bytes)))
        };
        let mut spool = place::scratch(scratch)?;
        write_zip(&rejects, &mut original, &mut open, &mut spool, out).map(drop)
    }
}

/// Ceilings of a drop as configured.
pub fn ceilings(hub: &Hub) -> Ceilings {
    let limits = &hub.config.limits;
    Ceilings {
        max_entries: limits.max_entries,
        max_entry_bytes: limits.max_entry_bytes,
        max_total_bytes: limits.max_total_bytes,
        max_ratio: limits.max_ratio,
    }
}
