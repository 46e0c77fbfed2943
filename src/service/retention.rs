//! Deletes personal data when its term has passed, or when a person asks: once a day at the hour of the configuration, and after
//! a restart whatever had been begun.
//!
//! Bytes first (entries of archives, in place; the whole archive when nobody needs any of it), then the rows of the store, then the
//! store's file is written anew. Each step can be repeated; none begins before it is written down.

mod person;

pub use person::Eraser;

use std::collections::HashSet;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::facts::{KEPT, kept_path};
use super::{Hub, rome};
use crate::batch::archive::{ReadAt, looks_like_zip, names_of};
use crate::config::SourceSystem;
use crate::domain::digest::Sha256;
use crate::domain::ids::BatchId;
use crate::store::archives::Archives;
use crate::store::{Cause, OldFile, OrderLine, PendingErasure, Spans, StoreError};

/// Why a round of deletions stopped. What was begun goes on at the next one.
#[derive(Debug, thiserror::Error)]
pub enum RetentionError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("disk: {0}")]
    Disk(#[from] io::Error),
    /// The database cannot be written anew: this many bytes are wanted.
    #[error("{wanted} bytes are wanted to write the database anew")]
    NoRoom { wanted: u64 },
}

/// What a round deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    pub acts: u64,
    pub batches: u64,
    /// Archives that were removed whole.
    pub archives: u64,
    pub legal_facts: u64,
    /// Files in the folders of gestionali.
    pub published: u64,
    /// Rows of the books that lost their names, or went.
    pub book_rows: u64,
}

impl Tally {
    fn is_empty(self) -> bool {
        self == Tally::default()
    }
}

/// Acts, batches or files looked at together.
const PAGE: usize = 500;
const DAY_DONE: &str = "conservazione.giorno";

/// Runs until the hub stops.
pub async fn run(hub: Arc<Hub>) {
    let pause = if hub.clock.is_real() { Duration::from_secs(60) } else { Duration::from_millis(500) };
    if let Err(error) = finish(&hub, hub.clock.now()).await {
        tracing::error!(%error, "una cancellazione interrotta non può essere ripresa ora");
    }
    while !hub.stopping.is_cancelled() {
        let now = hub.clock.now();
        let done = match is_time(&hub, now).await {
            Ok(Some(day)) => match round(&hub, now).await {
                Ok(_) => hub.store.set_setting(DAY_DONE, &day).await,
                // Tried again in an hour of business time: the day is not done.
                Err(error) => {
                    tracing::error!(%error, "la conservazione non è riuscita: si riprova");
                    tokio::select! {
                        () = tokio::time::sleep(pause * 10) => {}
                        () = hub.stopping.cancelled() => {}
                    }
                    Ok(())
                }
            },
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = done {
            tracing::error!(%error, "la conservazione non è riuscita: si riprova");
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = hub.stopping.cancelled() => {}
        }
    }
}

/// The Rome day whose round is due.
async fn is_time(hub: &Hub, now: Timestamp) -> Result<Option<String>, StoreError> {
    let settings = hub.settings();
    let local = rome(now);
    let day = local.date().to_string();
    if local.time() < settings.conservazione.at {
        return Ok(None);
    }
    // A clock that went back does not do it twice.
    let done = hub.store.setting(DAY_DONE).await?;
    Ok(done.is_none_or(|done| done < day).then_some(day))
}

/// `days` before `now`.
fn before(now: Timestamp, days: u32) -> Timestamp {
    now.checked_sub(SignedDuration::from_hours(24 * i64::from(days))).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// Deletes all whose term has passed as of `now`.
pub async fn round(hub: &Arc<Hub>, now: Timestamp) -> Result<Tally, RetentionError> {
    let settings = hub.settings();
    let mut tally = Tally::default();
    for institution in &settings.institutions {
        let Some(days) = institution.personal_days() else { continue };
        loop {
            let acts = hub.store.acts_to_erase(&institution.tax_id, before(now, days), PAGE).await?;
            if acts.is_empty() || hub.store.begin_erasing(acts, Cause::Retention, now).await? == 0 {
                break;
            }
            failpoint!("erase.begun");
            add(&mut tally, finish(hub, now).await?);
        }
    }
    begin_batches(hub, now).await?;
    add(&mut tally, finish(hub, now).await?);
    tally.legal_facts = legal_facts(hub, now).await?;
    for source in &settings.sources {
        match published(hub, source, now).await {
            Ok(removed) => tally.published += removed,
            // A share that is away holds nobody else up: its files go another day.
            Err(error) => tracing::warn!(source = source.name, %error, "i file pubblicati non possono essere tolti ora"),
        }
    }
    tally.book_rows = books(hub, now).await?;
    if hub.store.owes_compaction().await? {
        compact(hub).await?;
    }
    if !tally.is_empty() {
        let Tally { acts, batches, archives, legal_facts, published, book_rows } = tally;
        tracing::info!(acts, batches, archives, legal_facts, published, book_rows, "conservazione: dati cancellati");
        let about = serde_json::json!({ "acts": acts, "batches": batches, "archives": archives, "legal_facts": legal_facts,
            "published": published, "book_rows": book_rows });
        let line = OrderLine { who: "messo".to_owned(), command: "retention".to_owned(), about: about.to_string(), why: None };
        let noted = hub.store.note_order(line, now).await?;
        hub.store.note_outcome(noted, "OK", now).await?;
    }
    Ok(tally)
}

fn add(tally: &mut Tally, more: Tally) {
    tally.acts += more.acts;
    tally.batches += more.batches;
    tally.archives += more.archives;
}

/// Decides about the batches of which nothing is left but their own data.
async fn begin_batches(hub: &Hub, now: Timestamp) -> Result<(), RetentionError> {
    let settings = hub.settings();
    let shortest = settings.institutions.iter().filter_map(|institution| institution.personal_days()).min();
    let Some(shortest) = shortest else { return Ok(()) };
    let mut after = None;
    loop {
        let page = hub.store.batches_to_erase(before(now, shortest), after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some((last.finished_at, last.batch));
        let due: Vec<BatchId> = page
            .iter()
            .filter(|batch| {
                batch_days(hub, &batch.source, batch.sender.as_deref()).is_some_and(|days| batch.finished_at <= before(now, days))
            })
            .map(|batch| batch.batch)
            .collect();
        hub.store.begin_erasing_batches(due, Cause::Retention, now).await?;
    }
}

/// The term of a batch: of its ente, or the longest of those its gestionale may send for (one without a term: none).
fn batch_days(hub: &Hub, source: &str, sender: Option<&str>) -> Option<u32> {
    let settings = hub.settings();
    let of = |tax_id: &str| settings.institution(tax_id).and_then(|institution| institution.personal_days());
    match sender {
        Some(sender) => of(sender),
        None => {
            let source = settings.source(source)?;
            source.enti.iter().map(|tax_id| of(tax_id)).collect::<Option<Vec<u32>>>()?.into_iter().max()
        }
    }
}

/// Carries out, or goes on with, every deletion that was decided.
pub async fn finish(hub: &Arc<Hub>, now: Timestamp) -> Result<Tally, RetentionError> {
    let (mut tally, mut failure) = (Tally::default(), None);
    for archive in hub.store.open_erasures().await? {
        // One archive that cannot be written holds none of the others up.
        if let Err(error) = finish_one(hub, archive, &mut tally, now).await {
            tracing::error!(%error, "le cancellazioni in un archivio non si possono finire ora");
            failure = Some(error);
        }
    }
    failure.map_or(Ok(tally), Err)
}

async fn finish_one(hub: &Arc<Hub>, archive: PendingErasure, tally: &mut Tally, now: Timestamp) -> Result<(), RetentionError> {
    // More than once for an archive with more acts than one look takes.
    loop {
        let spans = hub.store.spans_to_erase(archive).await?;
        if spans.acts.is_empty() && spans.batches.is_empty() {
            return Ok(());
        }
        if let Some(archive) = archive {
            tally.archives += u64::from(erase_bytes(hub, archive, &spans).await?);
        }
        failpoint!("erase.bytes");
        tally.acts += spans.acts.len() as u64;
        tally.batches += spans.batches.len() as u64;
        hub.store.end_erasing(spans.acts, now).await?;
        failpoint!("erase.rows");
        hub.store.end_erasing_batches(spans.batches, now).await?;
        failpoint!("erase.ended");
    }
}

/// Whether the whole archive was removed. Done twice, the second time finds zeros, or nothing.
async fn erase_bytes(hub: &Hub, archive: Sha256, spans: &Spans) -> io::Result<bool> {
    let archives = hub.archives.clone();
    if spans.whole {
        return blocking(move || archives.remove(&archive)).await;
    }
    let (entries, kept) = (spans.entries.clone(), spans.kept.clone());
    blocking(move || erase_entries(&*archives, archive, &entries, kept.as_ref())).await?;
    Ok(false)
}

fn erase_entries(archives: &dyn Archives, archive: Sha256, entries: &[(u64, u64, u64)], kept: Option<&HashSet<u64>>) -> io::Result<()> {
    let file = match archives.open(&archive) {
        // Removed before.
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    let going: HashSet<u64> = entries.iter().map(|(header, ..)| *header).collect();
    let wanted = |header: u64| kept.map_or_else(|| going.contains(&header), |kept| !kept.contains(&header));
    let mut head = [0; 4];
    let begun = file.read_at(&mut head, 0)?;
    let mut spans: Vec<(u64, u64)> = entries.iter().map(|(_, at, len)| (*at, *len)).collect();
    match names_of(&file, &wanted) {
        Ok(names) => spans.extend(names),
        // One file without an archive around it has no names.
        Err(_) if !looks_like_zip(head.get(..begun).unwrap_or_default()) => {}
        Err(_) => return Err(io::Error::new(ErrorKind::InvalidData, "the directory of a kept archive cannot be read")),
    }
    archives.erase_all(&archive, &spans)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

/// Removes kept legal facts whose term has passed. Their digests stay.
async fn legal_facts(hub: &Hub, now: Timestamp) -> Result<u64, RetentionError> {
    let settings = hub.settings();
    let mut removed = 0;
    for institution in settings.institutions.iter().filter(|institution| institution.conservazione.legal_facts_days > 0) {
        let until = before(now, institution.conservazione.legal_facts_days);
        loop {
            let (acts, facts) = hub.store.facts_to_erase(&institution.tax_id, until, PAGE).await?;
            if acts.is_empty() {
                break;
            }
            removed += facts.len() as u64;
            let kept = hub.config.data.join(KEPT);
            blocking(move || {
                facts.iter().try_for_each(|fact| match std::fs::remove_file(kept_path(&kept, fact.happened_at, &fact.sha256)) {
                    Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
                    _ => Ok(()),
                })
            })
            .await?;
            hub.store.facts_erased(acts, now).await?;
        }
    }
    Ok(removed)
}

/// Removes what messo published in the folders of a gestionale, if it is still what messo wrote.
async fn published(hub: &Hub, source: &SourceSystem, now: Timestamp) -> Result<u64, RetentionError> {
    let days = source.conservazione.published_days;
    if days == 0 {
        return Ok(0);
    }
    let mut removed = 0;
    loop {
        let (files, last) = hub.store.old_files(&source.name, before(now, days), PAGE).await?;
        let Some(last) = last else { return Ok(removed) };
        let root = source.root.clone();
        removed += blocking(move || remove_files(&root, &files)).await?;
        hub.store.old_files_removed(&source.name, last).await?;
    }
}

fn remove_files(root: &Path, files: &[OldFile]) -> io::Result<u64> {
    // A share that is away is not a folder that was emptied.
    if !root.join("in").is_dir() {
        return Err(ErrorKind::NotFound.into());
    }
    let mut removed = 0;
    for file in files {
        let path = root.join(&file.folder).join(&file.name);
        let ours = match std::fs::File::open(&path) {
            Ok(open) => crate::batch::archive::hash_whole(&open)?.0 == file.sha256,
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        if ours {
            std::fs::remove_file(&path)?;
            removed += 1;
        }
    }
    Ok(removed)
}

/// Takes names out of the books of the door, and shortens the books.
async fn books(hub: &Hub, now: Timestamp) -> Result<u64, RetentionError> {
    let settings = hub.settings();
    let retention = &settings.conservazione;
    let mut rows = 0;
    if retention.names_days > 0 {
        rows += hub.store.forget_names(before(now, retention.names_days)).await?;
    }
    if retention.audit_days > 0 {
        rows += hub.store.shorten_books(before(now, retention.audit_days)).await?;
    }
    Ok(rows as u64)
}

/// Writes the database anew, so that nothing of what was deleted is left in it, if there is room for that.
pub async fn compact(hub: &Hub) -> Result<(), RetentionError> {
    let wanted = hub.store.database_bytes().await?.saturating_mul(2);
    let stat = rustix::fs::statvfs(&hub.config.data).map_err(io::Error::from)?;
    if stat.f_bavail.saturating_mul(stat.f_frsize) < wanted {
        return Err(RetentionError::NoRoom { wanted });
    }
    let begun = crate::clock::monotonic();
    // Twice at least 20 MB/s, and what the log takes.
    let rest = hub.pulse.rest(std::time::Duration::from_secs(60 + wanted / 20_000_000));
    hub.store.compact().await?;
    drop(rest);
    tracing::info!(bytes = wanted / 2, ms = begun.elapsed().as_millis() as u64, "base di dati riscritta senza i dati cancellati");
    Ok(())
}

#[cfg(test)]
mod tests;
