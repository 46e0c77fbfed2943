//! Puts what gestionali read where they read it: written whole under a temporary name, told to the store, renamed, told again.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use uuid::Uuid;

use super::pulse::Beat;
use super::shares::on_share_of;
use super::{Hub, exports, facts};
use crate::clock;
use crate::outbox::legal_facts::{self, IndexEntry, IndexHeader};
use crate::outbox::marks::{self, Mark};
use crate::outbox::outcomes::{CsvFile, OutcomeHeader, RenderedLine, XmlFile, outcome_name};
use crate::outbox::place::{self, Parked, Pending};
use crate::store::{IndexedFact, Notice, PendingLines, Publication, StoreError};
use crate::text::it::parking;

/// Why something could not be published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{0}")]
    Disk(#[from] std::io::Error),
    /// The share keeps whoever touches it waiting: later.
    #[error("the share does not answer")]
    Hangs,
}

impl PublishError {
    /// What operators are told of it: a code of `docs/codici.md`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            PublishError::Store(_) => "ARCHIVIO_DATI",
            PublishError::Disk(_) => "DISCO",
            PublishError::Hangs => "CARTELLA_NON_RISPONDE",
        }
    }
}

/// Lines of one outcome file at most: what is left goes into the next.
const LINES_PER_FILE: u64 = 1_000_000;
/// Who prepared a file gives it its name within this (real seconds), or could not.
const LATE: i64 = 5;
/// One that takes longer than this is not waited for by the others (real time).
const TOGETHER: Duration = Duration::from_secs(1);
/// At a start the folders of gestionali are put in order before anything else, if they can be within this (real time).
const RECOVERED: Duration = Duration::from_secs(5);
/// Lines rendered at a time.
const PAGE: usize = 1_000;

/// Publishes outcomes and indexes as they become due, until the hub stops; then once more. Each gestionale has a task of its own: a share
/// that hangs makes the hub not ready, and nobody else wait.
pub async fn run(hub: Arc<Hub>) {
    let mut under_way: BTreeMap<String, JoinHandle<()>> = BTreeMap::new();
    hub.pulse.beat(Beat::Publish);
    loop {
        // Also when only receipts and rejects wait for it.
        if under_way.is_empty() && !hub.shares.any_hangs() {
            hub.pulse.beat(Beat::Publish);
        }
        let last = hub.stopping.is_cancelled();
        if last {
            // Who is at work may have looked before the last change: then once more.
            ended(&mut under_way, Some(TOGETHER)).await;
        }
        let mut open = open_files(&hub).await;
        for source in hub.settings().sources.iter().map(|source| source.name.clone()) {
            if !under_way.contains_key(&source) {
                let parked = open.remove(&source).unwrap_or_default();
                under_way.insert(source.clone(), tokio::spawn(one(hub.clone(), source, parked)));
            }
        }
        // At the end each gives up by itself.
        ended(&mut under_way, (!last).then_some(TOGETHER)).await;
        if last {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(250)) => {}
            () = hub.stopping.cancelled() => {}
        }
        // Changes that come together go into one file.
        if !hub.stopping.is_cancelled() {
            tokio::select! {
                () = hub.publish.notified() => {}
                () = tokio::time::sleep(Duration::from_secs(1)) => {}
                () = hub.stopping.cancelled() => {}
            }
        }
    }
}

/// Waits for them, all together no longer than that: who has not ended is left.
async fn ended(under_way: &mut BTreeMap<String, JoinHandle<()>>, at_most: Option<Duration>) {
    let end = at_most.map(|at_most| tokio::time::Instant::now() + at_most);
    for (source, mut task) in std::mem::take(under_way) {
        let done = match end {
            Some(end) => tokio::time::timeout_at(end, &mut task).await.is_ok(),
            None => {
                let _ = (&mut task).await;
                true
            }
        };
        if !done {
            under_way.insert(source, task);
        }
    }
}

/// What is due of one gestionale.
async fn one(hub: Arc<Hub>, source: String, parked: Vec<Publication>) {
    if let Err(error) = reveal_again(&hub, &parked).await {
        tracing::error!(source, %error, "un file pronto non può avere il suo nome");
    }
    // Before the esito that names them, if the folder takes them.
    let copied = facts::copies::later(&hub, &source).await;
    for outcome in [copied, outcomes(&hub, &source, false).await, index(&hub, &source).await] {
        match outcome {
            Ok(_) | Err(PublishError::Store(StoreError::Stopping)) => {}
            Err(error) => tracing::error!(source, %error, "la pubblicazione non è riuscita"),
        }
    }
}

/// Files whose renaming failed a while ago, by gestionale.
async fn open_files(hub: &Hub) -> BTreeMap<String, Vec<Publication>> {
    let (now, mut found) = (hub.clock.now(), BTreeMap::<String, Vec<Publication>>::new());
    let before = now.saturating_sub(hub.real_span(LATE)).unwrap_or(Timestamp::MIN);
    match hub.store.open_publications().await {
        Ok(files) => {
            for file in files.into_iter().filter(|file| file.created_at < before || file.created_at > now) {
                found.entry(file.source.clone()).or_default().push(file);
            }
        }
        Err(StoreError::Stopping) => {}
        Err(error) => tracing::error!(%error, "i file pronti non si possono cercare"),
    }
    found
}

/// Files whose renaming failed (a share that was away, a full disk) are given their name when it works again.
async fn reveal_again(hub: &Hub, parked: &[Publication]) -> Result<(), PublishError> {
    for file in parked {
        let Some(root) = root(hub, &file.source) else { continue };
        stays_parked(&file.source, reveal(hub, &root, file).await)?;
    }
    Ok(())
}

/// A share that is away keeps its own files waiting and nobody else's; only the store stops everything.
fn stays_parked(source: &str, outcome: Result<(), PublishError>) -> Result<(), PublishError> {
    match outcome {
        Err(PublishError::Disk(error)) => {
            tracing::error!(source, %error, "un file resta con il nome provvisorio: la cartella non è raggiungibile");
            Ok(())
        }
        other => other,
    }
}

/// After a start: files that were whole under a temporary name get their final one, and what else lies around is swept. Each gestionale
/// by a task of its own: one whose share hangs is waited for a little, and then goes on beside the others.
pub async fn recover(hub: &Arc<Hub>, tasks: &mut JoinSet<()>) -> Result<(), PublishError> {
    for own in [hub.config.data.clone(), hub.config.data.join(facts::KEPT)] {
        tokio::task::spawn_blocking(move || place::sweep(&own)).await.map_err(std::io::Error::other)??;
    }
    // A store that cannot be read is told at once.
    hub.store.open_publications().await?;
    let (working, mut all) = mpsc::channel::<()>(1);
    for source in hub.settings().sources.iter().map(|source| source.name.clone()) {
        let (hub, working) = (hub.clone(), working.clone());
        tasks.spawn(async move {
            put_in_order(&hub, &source).await;
            drop(working);
        });
    }
    drop(working);
    let _ = tokio::time::timeout(RECOVERED, all.recv()).await;
    Ok(())
}

/// The same for the folder of one gestionale, which may have just come back into the configuration.
pub async fn put_in_order(hub: &Hub, source: &str) {
    match recover_one(hub, source).await {
        Ok(()) | Err(PublishError::Store(StoreError::Stopping)) => {}
        Err(error) => tracing::error!(source, %error, "i file rimasti del gestionale non si possono riordinare"),
    }
}

async fn recover_one(hub: &Hub, source: &str) -> Result<(), PublishError> {
    let Some(root) = root(hub, source) else { return Ok(()) };
    for file in hub.store.open_publications().await?.into_iter().filter(|file| file.source == source) {
        stays_parked(source, reveal(hub, &root, &file).await)?;
        failpoint!("recover.revealed");
    }
    // What could not have its name now keeps the other one: it gets it later.
    let parked = hub.store.open_publications().await?.into_iter().filter(|file| file.source == source);
    let parked: BTreeSet<String> = parked.map(|file| file.temporary).collect();
    let swept = on_share_of(hub, source, move || {
        ["ricevute", "scarti", "esiti", "attestazioni", exports::FOLDER]
            .into_iter()
            .try_for_each(|folder| place::sweep_but(&root.join(folder), &parked).map(drop))
    });
    stays_parked(source, swept.await?.map_err(PublishError::from))
}

/// The folder of a gestionale, while it is configured.
pub fn root(hub: &Hub, source: &str) -> Option<PathBuf> {
    hub.settings().source(source).map(|source| source.root.clone())
}

/// A publication of a parked file.
pub fn publication(
    source: &str,
    kind: &str,
    folder: &str,
    name: &str,
    parked: &Parked,
    subject: Option<Uuid>,
    now: Timestamp,
) -> Publication {
    Publication {
        id: clock::new_uuid(),
        source: source.to_owned(),
        kind: kind.to_owned(),
        number: None,
        folder: folder.to_owned(),
        name: name.to_owned(),
        temporary: parked.temporary.clone(),
        sha256: parked.sha256,
        size: parked.len,
        lines: None,
        subject,
        published: false,
        created_at: now,
    }
}

/// What the store said of parked files. Not saved for certain: they are nobody's, and taken away at once (a full disk has
/// no room for them). When it is not known, the next start decides.
pub fn told<T>(root: &Path, files: &[Publication], saved: Result<T, StoreError>) -> Result<T, StoreError> {
    if let Err(error) = &saved
        && !matches!(error, StoreError::Stopping)
    {
        for file in files {
            let staging = root.join(file.folder.split('/').next().unwrap_or_default());
            let _ = std::fs::remove_file(staging.join(&file.temporary));
        }
    }
    saved
}

/// [`told`] where the files are removed by who may touch the share.
pub async fn told_on_share<T: Send + 'static>(
    hub: &Hub,
    root: &Path,
    files: &[Publication],
    saved: Result<T, StoreError>,
) -> Result<T, PublishError> {
    let Some(file) = files.first().filter(|_| saved.is_err()) else { return Ok(saved?) };
    let (root, source, files) = (root.to_owned(), file.source.clone(), files.to_vec());
    Ok(on_share_of(hub, &source, move || told(&root, &files, saved)).await??)
}

/// Gives a prepared file its final name, and tells the store.
pub async fn reveal(hub: &Hub, root: &Path, file: &Publication) -> Result<(), PublishError> {
    // Attestations are begun at the top of their folder, beside those of other acts.
    let staging = root.join(file.folder.split('/').next().unwrap_or_default());
    let dir = root.join(&file.folder);
    let (temporary, name) = (file.temporary.clone(), file.name.clone());
    let mark = mark_of(file);
    let (own_root, same) = (root.to_owned(), (file.size, file.sha256));
    let outcome = on_share_of(hub, &file.source, move || {
        // Without its folder nothing is known of the file: the share is away.
        if !staging.is_dir() {
            return Err(std::io::ErrorKind::NotFound.into());
        }
        // Before anybody can read it: its number is never given again, not even by a store that was put back from a copy.
        if let Some(mark) = mark {
            marks::raise(&own_root, mark)?;
        }
        let named = if dir == staging {
            place::reveal(&dir, &temporary, &name)
        } else {
            place::ensure_folder(&dir)?;
            let staged = staging.join(&temporary);
            match std::fs::rename(&staged, dir.join(&temporary)) {
                Ok(()) => {}
                // Moved before a crash, or already revealed: looked for where it goes. (Still there: it is the folder that its
                // reader has just removed.)
                Err(error) if error.kind() == std::io::ErrorKind::NotFound && !staged.try_exists()? => {}
                Err(error) => return Err(error),
            }
            place::reveal(&dir, &temporary, &name)
        };
        match named {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                place::let_be(&dir.join(&temporary), &dir.join(&name), same, error)
            }
            other => other,
        }
    })
    .await?;
    match outcome {
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            // Somebody else put a file there: messo never overwrites.
            tell_name_taken(hub, &file.source, &file.folder).await?;
        }
        Err(error) => return Err(error.into()),
    }
    revealed(&file.kind);
    hub.store.published(vec![file.id]).await?;
    Ok(())
}

/// Another file has the name of one to publish: told once an hour for each folder, however many files there are.
pub async fn tell_name_taken(hub: &Hub, source: &str, folder: &str) -> Result<(), StoreError> {
    let notice = Notice::of_source("NOME_GIA_PRESENTE", source, &format!("{source}/{folder}"));
    hub.store.tell_once(notice, Some(SignedDuration::from_hours(1)), hub.clock.now()).await.map(drop)
}

/// What is remembered beside the folders of its gestionale of a numbered file.
fn mark_of(file: &Publication) -> Option<Mark> {
    let xml = file.name.ends_with(".xml").then_some(file.sha256);
    let csv = (file.kind == exports::KIND && file.name.ends_with(".csv")).then_some(file.sha256);
    Some(Mark { kind: file.kind.clone(), number: file.number?, line: file.lines.map_or(0, |lines| lines.1), xml, csv })
}

pub fn revealed(kind: &str) {
    match kind {
        "RICEVUTA" => failpoint!("receipt.revealed"),
        "SCARTO" => failpoint!("reject.revealed"),
        "ATTESTAZIONE" => failpoint!("fact.revealed"),
        "INDICE" => failpoint!("index.revealed"),
        exports::KIND => failpoint!("export.revealed"),
        _ => failpoint!("outcome.revealed"),
    }
}

fn parked(kind: &str) {
    match kind {
        "SCARTO" => failpoint!("reject.parked"),
        _ => failpoint!("receipt.parked"),
    }
}

fn prepared(kind: &str) {
    match kind {
        "SCARTO" => failpoint!("reject.prepared"),
        _ => failpoint!("receipt.prepared"),
    }
}

/// Publishes one file whose name is known: once, however often it is asked. Not now, if its share hangs.
pub async fn once(
    hub: &Hub,
    kind: &str,
    source: &str,
    folder: &str,
    name: &str,
    subject: Option<Uuid>,
    write: impl FnOnce(&mut dyn Write) -> std::io::Result<()> + Send + 'static,
) -> Result<(), PublishError> {
    let Some(root) = root(hub, source) else { return Ok(()) };
    if let Some(file) = hub.store.publication(source, folder, name).await? {
        return match (file.published, hub.shares.hangs(source)) {
            (true, _) => Ok(()),
            (false, true) => Err(PublishError::Hangs),
            (false, false) => reveal(hub, &root, &file).await,
        };
    }
    if hub.shares.hangs(source) {
        return Err(PublishError::Hangs);
    }
    let dir = root.join(folder);
    let parked = on_share_of(hub, source, move || {
        let mut pending = Pending::begin(&dir)?;
        write(&mut pending)?;
        pending.park()
    })
    .await??;
    self::parked(kind);
    let file = publication(source, kind, folder, name, &parked, subject, hub.clock.now());
    let saved = hub.store.prepare_publications(vec![file.clone()]).await;
    told_on_share(hub, &root, std::slice::from_ref(&file), saved).await?;
    prepared(kind);
    reveal(hub, &root, &file).await
}

/// Now, as the store will remember it: a copy of the file says the same.
pub(super) fn instant(hub: &Hub) -> Timestamp {
    let now = hub.clock.now();
    Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
}

/// Closes the pending lines of a gestionale into an outcome file, if their flows' cadence says so (or `now_please`).
pub async fn outcomes(hub: &Hub, source: &str, now_please: bool) -> Result<bool, PublishError> {
    let Some(root) = root(hub, source) else { return Ok(false) };
    let Some(pending) = hub.store.pending_lines(source).await? else { return Ok(false) };
    let now = instant(hub);
    let due = pending.flows.iter().any(|(flow, oldest)| {
        let minutes = hub.flows.get(flow).map_or(0, |flow| flow.outcome_minutes);
        is_due(*oldest, minutes, now)
    });
    if !due && !now_please {
        return Ok(false);
    }
    let last = pending.last.min(pending.first + LINES_PER_FILE - 1);
    let pending = PendingLines { last, ..pending };
    let header = OutcomeHeader {
        source: source.to_owned(),
        number: pending.number,
        first: pending.first,
        last: pending.last,
        created_at: now,
        previous: previous(hub, source, pending.number).await?,
        copy: false,
    };
    let (csv, xml) = render(hub, &header, &root.join("esiti")).await?;
    let (csv, xml) = on_share_of(hub, source, move || Ok::<_, std::io::Error>((csv.park()?, xml.park()?))).await??;
    let mut files = Vec::new();
    for (parked, extension) in [(csv, "csv"), (xml, "xml")] {
        let mut file = publication(source, "ESITO", "esiti", &outcome_name(&header, extension), &parked, None, now);
        file.number = Some(header.number);
        file.lines = Some((header.first, header.last));
        files.push(file);
    }
    failpoint!("outcome.parked");
    let saved = hub.store.prepare_outcome_files(source, header.number, files.clone()).await;
    told_on_share(hub, &root, &files, saved).await?;
    failpoint!("outcome.prepared");
    for file in &files {
        reveal(hub, &root, file).await?;
        failpoint!("outcome.between");
    }
    Ok(true)
}

/// Whether a line has waited for so many minutes. One from the future was written before the clock was set back: how long it has
/// waited nobody knows, and it waits no longer.
fn is_due(oldest: Timestamp, minutes: u32, now: Timestamp) -> bool {
    oldest > now || now.duration_since(oldest) >= SignedDuration::from_mins(i64::from(minutes))
}

/// Digest of the XML of the outcome file before `number`.
pub(super) async fn previous(hub: &Hub, source: &str, number: u64) -> Result<Option<crate::domain::digest::Sha256>, StoreError> {
    let Some(before) = number.checked_sub(1).filter(|before| *before > 0) else { return Ok(None) };
    let files = hub.store.outcome_files(source, before).await?;
    Ok(files.into_iter().find(|file| file.number == Some(before) && file.name.ends_with(".xml")).map(|file| file.sha256))
}

/// Both forms of an outcome file, CSV first. Lines are read a page at a time, and written outside the store.
pub(super) async fn render(hub: &Hub, header: &OutcomeHeader, dir: &Path) -> Result<(Pending, Pending), PublishError> {
    let (own, dir) = (header.clone(), dir.to_owned());
    let begin =
        move || Ok::<_, std::io::Error>((CsvFile::begin(&own, Pending::begin(&dir)?)?, XmlFile::begin(&own, Pending::begin(&dir)?)?));
    let mut files = on_share_of(hub, &header.source, begin).await??;
    let mut next = header.first;
    while next <= header.last {
        let page = hub.store.lines(&header.source, next, header.last, PAGE).await?;
        let settings = hub.settings();
        let Some(last) = page.last().map(|line| line.line.line) else { break };
        let (mut csv, mut xml) = files;
        let write = move || {
            for row in &page {
                let environment = settings.institution(&row.line.sender_tax_id).map_or("", |institution| institution.ambiente.as_str());
                let reason = row.line.code.as_deref().and_then(parking::sentence);
                let rendered = RenderedLine { line: &row.line, echo: &row.echo, environment, reason, reasons: &row.reasons };
                csv.line(&rendered)?;
                xml.line(&rendered)?;
            }
            Ok::<_, std::io::Error>((csv, xml))
        };
        files = on_share_of(hub, &header.source, write).await??;
        next = last + 1;
    }
    let (csv, xml) = files;
    Ok(on_share_of(hub, &header.source, move || Ok::<_, std::io::Error>((csv.end()?, xml.end()?))).await??)
}

/// Lists the facts stored since the last index of a gestionale, with their digests.
async fn index(hub: &Hub, source: &str) -> Result<bool, PublishError> {
    let Some(root) = root(hub, source) else { return Ok(false) };
    let facts = hub.store.facts_to_index(source).await?;
    if facts.is_empty() {
        return Ok(false);
    }
    let now = instant(hub);
    let number = hub.store.next_index_number(source).await?;
    let header = IndexHeader { source: source.to_owned(), number, created_at: now, copy: false };
    let entries: Vec<IndexEntry> = facts.iter().map(index_entry).collect();
    let (own, dir) = (header.clone(), root.join("attestazioni"));
    let made = move || {
        let (csv, xml) = render_index(&own, &entries, &dir)?;
        Ok::<_, std::io::Error>((csv.park()?, xml.park()?))
    };
    let (csv, xml) = on_share_of(hub, source, made).await??;
    let mut files = Vec::new();
    for (parked, extension) in [(csv, "csv"), (xml, "xml")] {
        let mut file = publication(source, "INDICE", "attestazioni", &legal_facts::index_name(&header, extension), &parked, None, now);
        file.number = Some(number);
        files.push(file);
    }
    failpoint!("index.parked");
    let saved = hub.store.prepare_index(files.clone(), facts).await;
    told_on_share(hub, &root, &files, saved).await?;
    failpoint!("index.prepared");
    for file in &files {
        reveal(hub, &root, file).await?;
    }
    Ok(true)
}

/// A fact as an index lists it.
pub(super) fn index_entry(fact: &IndexedFact) -> IndexEntry {
    IndexEntry {
        file: fact.name.clone(),
        sha256: fact.sha256,
        size: fact.size,
        sender_tax_id: fact.sender.clone(),
        reference: fact.reference.clone(),
        iun: fact.iun.clone(),
        category: fact.category.clone(),
        recipient: fact.recipient,
        element_id: fact.element_id.clone(),
        happened_at: fact.happened_at,
    }
}

/// Both forms of an index, CSV first.
pub(super) fn render_index(header: &IndexHeader, entries: &[IndexEntry], dir: &Path) -> std::io::Result<(Pending, Pending)> {
    let mut csv = Pending::begin(dir)?;
    let mut xml = Pending::begin(dir)?;
    legal_facts::write_index_csv(&mut entries.iter().cloned(), &mut csv)?;
    legal_facts::write_index_xml(header, &mut entries.iter().cloned(), &mut xml)?;
    Ok((csv, xml))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_wait_for_their_minutes_and_not_for_a_clock_that_was_set_back() {
        let now: Timestamp = "2026-11-23T10:00:00Z".parse().unwrap();
        // (minutes ago the line was written, minutes of the flow, due)
        for (ago, minutes, want) in [(0, 0, true), (59, 60, false), (60, 60, true), (-1, 60, true), (-60, 0, true), (-60, 60, true)] {
            let oldest = now - SignedDuration::from_mins(ago);
            assert_eq!(is_due(oldest, minutes, now), want, "{ago} minutes ago, every {minutes}");
        }
    }
}
