//! Deletes personal data when its term has passed, or when a person asks: once a day at the hour of the configuration, and after
//! a restart whatever had been begun.
//!
//! Bytes first (entries of archives, in place; the whole archive when nobody needs any of it), then the rows of the store, then the
//! store's file is written anew. Each step can be repeated; none begins before it is written down.
//!
//! Nothing here can be undone, so the clock alone is not believed: terms are counted up to [`sure_time`].

mod outside;
mod person;

pub use person::Eraser;

use std::collections::{BTreeMap, HashSet};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

use self::outside::Notes;
use super::facts::{KEPT, kept_path};
use super::publish::PublishError;
use super::shares::on_share_within;
use super::{Hub, rome};
use crate::batch::archive::{ReadAt, looks_like_zip, names_of};
use crate::clock::{Patience, SureTime, monotonic};
use crate::config::SourceSystem;
use crate::domain::digest::Sha256;
use crate::domain::ids::BatchId;
use crate::store::archives::Archives;
use crate::store::{Cause, Notice, OldFile, OrderLine, PendingErasure, Spans, StoreError};

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

impl From<PublishError> for RetentionError {
    fn from(error: PublishError) -> RetentionError {
        match error {
            PublishError::Store(error) => error.into(),
            PublishError::Disk(error) => error.into(),
            PublishError::Hangs => io::Error::from(ErrorKind::TimedOut).into(),
        }
    }
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
/// A share that keeps whoever removes files for so long is left for that day: it hangs, or reads its largest file too slowly (real time).
const SHARE: Duration = Duration::from_secs(120);
/// One thread removes files for so long, and says how far it came (real time).
const AT_ONCE: Duration = Duration::from_secs(5);
const DAY_DONE: &str = "conservazione.giorno";
/// The [`SureTime`] of the last look.
const SURE: &str = "conservazione.ora_certa";
/// The clock is too far ahead of what was measured to delete by it.
const HELD: &str = "CANCELLAZIONI_TRATTENUTE";
const RESUMED: &str = "CANCELLAZIONI_RIPRESE";
/// What that trouble is about.
const CLOCK: &str = "orologio";

/// Runs until the hub stops.
pub async fn run(hub: Arc<Hub>) {
    let pause = if hub.clock.is_real() { Duration::from_secs(60) } else { Duration::from_millis(500) };
    if let Err(error) = finish(&hub, hub.clock.now()).await {
        tracing::error!(%error, "una cancellazione interrotta non può essere ripresa ora");
    }
    let mut looked = None;
    while !hub.stopping.is_cancelled() {
        let measured = monotonic();
        let since = looked.replace(measured).map_or(Duration::ZERO, |before: Instant| measured.saturating_duration_since(before));
        let passed = SignedDuration::try_from(since * hub.clock.factor()).unwrap_or(SignedDuration::MAX);
        let wait = match look(&hub, hub.clock.now(), passed).await {
            Ok(_) => pause,
            // It goes on at the next start.
            Err(RetentionError::Store(StoreError::Stopping)) if hub.stopping.is_cancelled() => return,
            // The day is not done.
            Err(error) => {
                tracing::error!(%error, "la conservazione non è riuscita: si riprova");
                pause * 10
            }
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = hub.stopping.cancelled() => {}
        }
    }
}

/// One look at the clock, which says `wall` after `passed` was measured: the round of the day, if its hour has come.
async fn look(hub: &Arc<Hub>, wall: Timestamp, passed: SignedDuration) -> Result<Option<Tally>, RetentionError> {
    let sure = go_on(hub, wall, passed).await?;
    // Those of a share that was away need not wait for the night.
    Notes::default().write(hub, wall).await?;
    let Some(day) = is_time(hub, wall).await? else { return Ok(None) };
    let tally = round(hub, sure).await?;
    hub.store.set_setting(DAY_DONE, &day).await?;
    Ok(Some(tally))
}

/// How the clock must behave to be believed at once, and after how long of running it is believed all the same (real days).
fn patience(hub: &Hub) -> Patience {
    const DAY: i64 = 24 * 3_600;
    Patience { slack: hub.real_span(DAY), until: hub.real_span(7 * DAY) }
}

/// The time up to which terms are counted, as of the last look (within a minute); never later than `wall`.
///
/// # Errors
/// The store does not answer.
pub async fn sure_time(hub: &Hub, wall: Timestamp) -> Result<Timestamp, StoreError> {
    Ok(known(hub).await?.unwrap_or_else(|| SureTime::first(wall)).bound(wall))
}

async fn known(hub: &Hub) -> Result<Option<SureTime>, StoreError> {
    Ok(hub.store.setting(SURE).await?.and_then(|text| text.parse().ok()))
}

/// Takes a look at the clock into account, keeps what is known, and tells operators of terms that wait for the clock to be believed.
async fn go_on(hub: &Hub, wall: Timestamp, passed: SignedDuration) -> Result<Timestamp, StoreError> {
    let sure = known(hub).await?.map_or_else(|| SureTime::first(wall), |before| before.look(wall, passed, patience(hub)));
    hub.store.set_setting(SURE, &sure.to_string()).await?;
    let settings = hub.settings();
    let deletes = settings
        .institutions
        .iter()
        .any(|institution| institution.personal_days().is_some() || institution.conservazione.legal_facts_days > 0)
        || settings.sources.iter().any(|source| source.conservazione.published_days > 0)
        || settings.conservazione.names_days > 0
        || settings.conservazione.audit_days > 0;
    let notice = |code: &str| Notice { code: code.to_owned(), about: CLOCK.to_owned(), ..Notice::default() };
    match sure.held_back() {
        Some(ahead) if deletes => {
            let data = serde_json::json!({ "ahead_hours": ahead.as_hours() });
            let held = Notice { data: Some(data), ..notice(HELD) };
            hub.store.begins(held, None, wall).await?;
        }
        _ => drop(hub.store.ends(HELD, notice(RESUMED), wall).await?),
    }
    Ok(sure.bound(wall))
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

/// The first failure of a round: what comes after it is done all the same.
#[derive(Default)]
struct Failures(Option<RetentionError>);

impl Failures {
    fn keep<T>(&mut self, step: &'static str, outcome: Result<T, RetentionError>) -> Option<T> {
        match outcome {
            Ok(done) => Some(done),
            Err(RetentionError::Store(StoreError::Stopping)) => {
                self.0.get_or_insert(StoreError::Stopping.into());
                None
            }
            Err(error) => {
                tracing::error!(step, %error, "un passo della conservazione non è riuscito: gli altri proseguono");
                self.0.get_or_insert(error);
                None
            }
        }
    }
}

/// Deletes all whose term has passed as of `now`. A step that fails keeps none of the others from being taken; what was deleted is
/// written down before the database is written anew.
///
/// # Errors
/// The first failure. The day is not done.
pub async fn round(hub: &Arc<Hub>, now: Timestamp) -> Result<Tally, RetentionError> {
    let settings = hub.settings();
    let (mut tally, mut failures, mut notes) = (Tally::default(), Failures::default(), Notes::default());
    for institution in &settings.institutions {
        let Some(days) = institution.personal_days() else { continue };
        failures.keep("atti", acts_of(hub, &institution.tax_id, before(now, days), &mut notes, &mut tally, now).await);
    }
    failures.keep("lotti", begin_batches(hub, now).await);
    failures.keep("lotti", finish_into(hub, &mut notes, &mut tally, now).await);
    tally.legal_facts = failures.keep("attestazioni", legal_facts(hub, now).await).unwrap_or(0);
    for source in &settings.sources {
        match published(hub, source, SHARE, now).await {
            Ok(removed) => tally.published += removed,
            Err(RetentionError::Store(StoreError::Stopping)) => break,
            // A share that is away holds nobody else up: its files go another day.
            Err(error) => tracing::warn!(source = source.name, %error, "i file pubblicati non possono essere tolti ora"),
        }
    }
    tally.book_rows = failures.keep("registri", books(hub, now).await).unwrap_or(0);
    failures.keep("registro degli ordini", note(hub, tally, now).await);
    not_stopping(hub)?;
    let owed = failures.keep("base di dati", hub.store.owes_compaction().await.map_err(RetentionError::from));
    if owed == Some(true) {
        failures.keep("base di dati", compact(hub).await);
    }
    failures.0.map_or(Ok(tally), Err)
}

/// Decides about the acts of an ente that closed before `until`, and carries that out.
async fn acts_of(
    hub: &Arc<Hub>,
    tax_id: &str,
    until: Timestamp,
    notes: &mut Notes,
    tally: &mut Tally,
    now: Timestamp,
) -> Result<(), RetentionError> {
    let mut failure = None;
    loop {
        not_stopping(hub)?;
        let acts = hub.store.acts_to_erase(tax_id, until, PAGE).await?;
        if acts.is_empty() || hub.store.begin_erasing(acts, Cause::Retention, now).await? == 0 {
            return failure.map_or(Ok(()), Err);
        }
        failpoint!("erase.begun");
        // An archive that cannot be written holds those that can up as little as other enti.
        failure = finish_into(hub, notes, tally, now).await.err().or(failure);
    }
}

/// A stop waits for no round: what is left goes on at the next start.
fn not_stopping(hub: &Hub) -> Result<(), StoreError> {
    if hub.stopping.is_cancelled() { Err(StoreError::Stopping) } else { Ok(()) }
}

/// Writes down what a round deleted.
async fn note(hub: &Hub, tally: Tally, now: Timestamp) -> Result<(), RetentionError> {
    if !tally.is_empty() {
        let Tally { acts, batches, archives, legal_facts, published, book_rows } = tally;
        tracing::info!(acts, batches, archives, legal_facts, published, book_rows, "conservazione: dati cancellati");
        let about = serde_json::json!({ "acts": acts, "batches": batches, "archives": archives, "legal_facts": legal_facts,
            "published": published, "book_rows": book_rows });
        let line = OrderLine { who: "messo".to_owned(), command: "retention".to_owned(), about: about.to_string(), why: None };
        let noted = hub.store.note_order(line, now).await?;
        hub.store.note_outcome(noted, "OK", now).await?;
    }
    Ok(())
}

/// Decides about the batches of which nothing is left but their own data.
async fn begin_batches(hub: &Hub, now: Timestamp) -> Result<(), RetentionError> {
    let settings = hub.settings();
    let shortest = settings.institutions.iter().filter_map(|institution| institution.personal_days()).min();
    let Some(shortest) = shortest else { return Ok(()) };
    let mut after = None;
    loop {
        not_stopping(hub)?;
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
pub async fn finish(hub: &Arc<Hub>, now: Timestamp) -> Result<(), RetentionError> {
    finish_into(hub, &mut Notes::default(), &mut Tally::default(), now).await
}

/// The same; what was deleted is counted, whatever fails.
async fn finish_into(hub: &Arc<Hub>, notes: &mut Notes, tally: &mut Tally, now: Timestamp) -> Result<(), RetentionError> {
    let mut failure = None;
    // Before anything is gone, and every time: a person may have asked since the last page. Who puts an older copy back must know of it.
    notes.write(hub, now).await?;
    for archive in hub.store.open_erasures().await? {
        not_stopping(hub)?;
        // One archive that cannot be written holds none of the others up.
        if let Err(error) = finish_one(hub, archive, tally, now).await {
            tracing::error!(%error, "le cancellazioni in un archivio non si possono finire ora");
            failure = failure.or(Some(error));
        }
    }
    failure.map_or(Ok(()), Err)
}

async fn finish_one(hub: &Arc<Hub>, archive: PendingErasure, tally: &mut Tally, now: Timestamp) -> Result<(), RetentionError> {
    // More than once for an archive with more acts than one look takes.
    loop {
        // No drop with the same bytes is taken in meanwhile, between keeping them and saying that they are its own.
        let alone = hub.taking.write().await;
        let spans = hub.store.spans_to_erase(archive).await?;
        if spans.acts.is_empty() && spans.batches.is_empty() {
            return Ok(());
        }
        if let Some(archive) = archive {
            tally.archives += u64::from(erase_bytes(hub, archive, &spans).await?);
        }
        drop(alone);
        failpoint!("erase.bytes");
        let (acts, batches) = (spans.acts.len() as u64, spans.batches.len() as u64);
        hub.store.end_erasing(spans.acts, now).await?;
        tally.acts += acts;
        failpoint!("erase.rows");
        hub.store.end_erasing_batches(spans.batches, now).await?;
        tally.batches += batches;
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
            not_stopping(hub)?;
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

/// Removes what messo published in the folders of a gestionale, if it is still what messo wrote. A share that hangs is left after
/// `patience` (real time).
async fn published(hub: &Hub, source: &SourceSystem, patience: Duration, now: Timestamp) -> Result<u64, RetentionError> {
    let days = source.conservazione.published_days;
    if days == 0 {
        return Ok(0);
    }
    let mut removed = 0;
    loop {
        not_stopping(hub)?;
        let (files, last) = hub.store.old_files(&source.name, before(now, days), PAGE).await?;
        let Some(last) = last else { return Ok(removed) };
        let root = source.root.clone();
        let (some, up_to) = on_share_within(hub, &source.name, patience, move || remove_files(&root, &files, AT_ONCE)).await??;
        removed += some;
        hub.store.old_files_removed(&source.name, up_to.unwrap_or(last)).await?;
    }
}

/// Answers how many were removed, and up to which file it came where there was no time for all; one at least.
fn remove_files(root: &Path, files: &[OldFile], time: Duration) -> io::Result<(u64, Option<uuid::Uuid>)> {
    // A share that is away is not a folder that was emptied.
    if !root.join("in").is_dir() {
        return Err(ErrorKind::NotFound.into());
    }
    let (mut removed, begun) = (0, monotonic());
    let mut folders: BTreeMap<&str, BySize> = BTreeMap::new();
    for file in files {
        let folder = root.join(&file.folder);
        let candidates = if file.is_nameless() {
            if !folders.contains_key(file.folder.as_str()) {
                folders.insert(&file.folder, by_size(&folder)?);
            }
            folders.get(file.folder.as_str()).and_then(|known| known.get(&file.size)).cloned().unwrap_or_default()
        } else {
            vec![folder.join(&file.name)]
        };
        for path in candidates {
            match digest_of(&path) {
                Ok(Some(found)) if found == file.sha256 => {
                    std::fs::remove_file(&path)?;
                    removed += 1;
                    break;
                }
                Ok(_) => {}
                // It cannot be read, so nobody knows whether it is ours; nor does it keep the others from going. Unless all of them
                // cannot: the share has gone away.
                Err(error) if root.join("in").is_dir() => tracing::warn!(%error, "un file pubblicato non si legge: resta dov'è"),
                Err(error) => return Err(error),
            }
        }
        if begun.elapsed() > time {
            return Ok((removed, Some(file.id)));
        }
    }
    Ok((removed, None))
}

/// Files of a folder by their size, bytes.
type BySize = BTreeMap<u64, Vec<PathBuf>>;

/// The files of a folder, for those whose names were deleted with the data of a person.
fn by_size(folder: &Path) -> io::Result<BySize> {
    let mut found = BySize::new();
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(found),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if let Some(meta) = entry.metadata().ok().filter(std::fs::Metadata::is_file) {
            found.entry(meta.len()).or_default().push(entry.path());
        }
    }
    Ok(found)
}

/// `None`: it is not there.
fn digest_of(path: &Path) -> io::Result<Option<Sha256>> {
    match std::fs::File::open(path) {
        Ok(open) => Ok(Some(crate::batch::archive::hash_whole(&open)?.0)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
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
