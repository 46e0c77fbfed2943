//! Gives again what was published: the folders are a projection of the store, and a gestionale that lost them gets them back.
//!
//! Nothing that is there is touched. A file that comes out as it was takes its own name again; outcome files and indexes,
//! which are numbered, and whatever comes out otherwise (the configuration changed since) say in their name that they are copies.
//! A share that hangs is left, and whoever asked is told.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::files::{self, ReceiptForm};
use super::operate::{OperateError, Publisher};
use super::publish::{PublishError, index_entry, previous, render, render_index, root};
use super::report::{ExportReport, RebuildReport};
use super::shares::on_share_of;
use super::{Hub, exports, facts};
use crate::clock::monotonic;
use crate::domain::ids::{ActId, BatchId};
use crate::outbox::legal_facts::{IndexEntry, IndexHeader, index_name};
use crate::outbox::outcomes::{OutcomeHeader, outcome_name};
use crate::outbox::place::Pending;
use crate::store::{Publication, StoreError, StoredFact};

/// Facts and files read from the store at a time.
const PAGE: usize = 1_000;
/// Indexes made in one reading of the facts: each lists five thousand at most.
const INDEXES: usize = 10;

/// A share that keeps one file for so long is left (real time).
pub(super) const PATIENCE: Duration = Duration::from_secs(120);
/// It is looked after this often (real time).
const LOOK: Duration = Duration::from_millis(250);

/// What is given again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    Everything,
    /// Outcome files and indexes from that number on, with the attestations that those list.
    From(u64),
}

impl Wanted {
    fn first(self) -> u64 {
        match self {
            Wanted::Everything => 1,
            Wanted::From(number) => number,
        }
    }

    /// Where its files lie.
    fn folders(self) -> &'static [&'static str] {
        match self {
            Wanted::Everything => &["ricevute", "scarti", "esiti", "attestazioni", exports::FOLDER],
            Wanted::From(_) => &["esiti", "attestazioni"],
        }
    }
}

/// The hub as the operators' commands see it.
pub struct Rebuilder(pub Arc<Hub>);

#[async_trait::async_trait]
impl Publisher for Rebuilder {
    async fn rebuild(&self, source: Option<&str>, from: Option<u64>) -> Result<RebuildReport, OperateError> {
        let known: Vec<String> = self.0.settings().sources.iter().map(|source| source.name.clone()).collect();
        let sources: Vec<String> = match source {
            Some(source) if !known.iter().any(|name| name == source) => {
                return Err(OperateError::UnknownSource { source: source.to_owned() });
            }
            Some(source) => vec![source.to_owned()],
            None => known,
        };
        let wanted = from.map_or(Wanted::Everything, Wanted::From);
        let mut report = RebuildReport { files: 0, erased: 0, erased_at: None, folders: Vec::new() };
        for source in sources {
            let Rebuilt { written, erased, erased_at } = rebuild(&self.0, &source, wanted).await.map_err(|error| {
                tracing::error!(source, %error, "la ripubblicazione non è riuscita");
                OperateError::PublishFailed { code: error.code().to_owned() }
            })?;
            report.files += written as u64;
            report.erased += erased as u64;
            report.erased_at = report.erased_at.max(erased_at);
            if let Some(root) = root(&self.0, &source) {
                report.folders.extend(wanted.folders().iter().map(|folder| root.join(folder).display().to_string()));
            }
        }
        Ok(report)
    }

    async fn export(&self, source: Option<&str>, from: &str, to: &str) -> Result<ExportReport, OperateError> {
        exports::again(&self.0, source, from, to).await
    }
}

/// What was given again, and what cannot be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rebuilt {
    pub written: usize,
    /// Files made of personal data that was deleted, or past their term.
    pub erased: usize,
    /// When the last of it was deleted.
    pub erased_at: Option<jiff::Timestamp>,
}

/// Gives the files of a gestionale again.
///
/// # Errors
/// [`PublishError::Hangs`]: its share keeps whoever touches it; what was written until then stays.
pub async fn rebuild(hub: &Arc<Hub>, source: &str, wanted: Wanted) -> Result<Rebuilt, PublishError> {
    within(hub, source, PATIENCE, again(hub, source, wanted)).await
}

/// Works in the folders of a gestionale while none of its files takes longer than `patience`: not even begun where the share hangs.
pub(super) async fn within<T>(
    hub: &Hub,
    source: &str,
    patience: Duration,
    work: impl Future<Output = Result<T, PublishError>>,
) -> Result<T, PublishError> {
    if hub.shares.hangs(source) {
        return Err(PublishError::Hangs);
    }
    let begun = monotonic();
    let mut work = std::pin::pin!(work);
    loop {
        if let Ok(done) = tokio::time::timeout(LOOK, work.as_mut()).await {
            return done;
        }
        if hub.shares.kept_since(source, begun) >= patience {
            return Err(PublishError::Hangs);
        }
    }
}

async fn again(hub: &Arc<Hub>, source: &str, wanted: Wanted) -> Result<Rebuilt, PublishError> {
    let Some(root) = root(hub, source) else { return Err(StoreError::NotFound("gestionale").into()) };
    let mut rebuilt = Rebuilt::default();
    if wanted == Wanted::Everything {
        answers(hub, &root, source, &mut rebuilt).await?;
        rebuilt.written += exports::restore(hub, &root, source).await?;
    }
    rebuilt.written += outcomes(hub, &root, source, wanted.first()).await?;
    rebuilt.written += attestations(hub, &root, source, wanted).await?;
    rebuilt.written += indexes(hub, &root, source, wanted.first()).await?;
    Ok(rebuilt)
}

/// Whether retention removes what was published at that instant: then it is not given again.
fn is_past(hub: &Hub, source: &str, created_at: jiff::Timestamp) -> bool {
    let settings = hub.settings();
    let days = settings.source(source).map_or(0, |source| source.conservazione.published_days);
    days > 0 && hub.clock.now().duration_since(created_at) >= jiff::SignedDuration::from_hours(24 * i64::from(days))
}

/// Receipts and rejects that are no longer where they were.
async fn answers(hub: &Arc<Hub>, root: &Path, source: &str, rebuilt: &mut Rebuilt) -> Result<(), PublishError> {
    for folder in ["ricevute", "scarti"] {
        let mut after = String::new();
        loop {
            let page = hub.store.published_in(source, folder, &after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = last.name.clone();
            let dir = root.join(folder);
            let missing = move || page.into_iter().filter(|file| !dir.join(&file.name).exists()).collect::<Vec<_>>();
            for file in on_share_of(hub, source, missing).await? {
                let erased = match file.subject {
                    Some(subject) => hub.store.erased(subject).await?,
                    None => None,
                };
                if erased.is_some() || is_past(hub, source, file.created_at) {
                    rebuilt.erased += 1;
                    rebuilt.erased_at = rebuilt.erased_at.max(erased.map(|erased| erased.at));
                    continue;
                }
                let restored = if folder == "ricevute" { receipt(hub, root, file).await } else { reject(hub, root, file).await };
                rebuilt.written += usize::from(restored?);
            }
        }
    }
    Ok(())
}

async fn receipt(hub: &Arc<Hub>, root: &Path, file: Publication) -> Result<bool, PublishError> {
    let Some(batch) = file.subject.map(BatchId) else { return Ok(false) };
    let Some(receipt) = unless_gone(files::receipt_of(hub, batch).await)?.flatten() else { return Ok(false) };
    let form = if file.name.ends_with(".xml") { ReceiptForm::Xml } else { ReceiptForm::Text };
    restore(hub, root, file, files::receipt_writer(hub, receipt, form)).await
}

async fn reject(hub: &Arc<Hub>, root: &Path, file: Publication) -> Result<bool, PublishError> {
    let Some(subject) = file.subject else { return Ok(false) };
    // Of a whole drop, or of one act that SEND refused.
    let reject = match unless_gone(files::rejects_of(hub, BatchId(subject)).await)?.flatten() {
        Some(reject) => Some(reject),
        None => unless_gone(files::reject_of(hub, ActId(subject)).await)?.flatten(),
    };
    let Some(reject) = reject else { return Ok(false) };
    match restore(hub, root, file, reject.writer()).await {
        // Its archive was erased: what is not kept is not given again.
        Err(PublishError::Disk(error)) if error.kind() == ErrorKind::NotFound => Ok(false),
        other => other,
    }
}

/// What was deleted from the store cannot be given again, and is no error.
fn unless_gone<T>(found: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(StoreError::NotFound(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes a file again: under its own name if it comes out as it was, else as a copy.
async fn restore(
    hub: &Hub,
    root: &Path,
    file: Publication,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()> + Send + 'static,
) -> Result<bool, PublishError> {
    let (dir, source) = (root.join(&file.folder), file.source.clone());
    let work = move || {
        let mut pending = Pending::begin(&dir)?;
        write(&mut pending)?;
        if pending.sha256() == file.sha256 { commit(pending, &file.name) } else { commit(pending, &copy_name(&file.name)) }
    };
    Ok(on_share_of(hub, &source, work).await??)
}

/// Gives names that nobody has, by who may touch the share. Answers how many were free.
async fn commit_all(hub: &Hub, source: &str, files: Vec<(Pending, String)>) -> Result<usize, PublishError> {
    let work = move || {
        files.into_iter().try_fold(0, |written, (pending, name)| Ok::<_, io::Error>(written + usize::from(commit(pending, &name)?)))
    };
    Ok(on_share_of(hub, source, work).await??)
}

/// Gives a name that nobody has. False: somebody has it.
pub(super) fn commit(pending: Pending, name: &str) -> io::Result<bool> {
    match pending.commit(name) {
        Ok(placed) => Ok(!placed.already_there),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

/// `ricevuta_..._copia.xml`.
fn copy_name(name: &str) -> String {
    match name.rsplit_once('.') {
        Some((stem, extension)) => format!("{stem}_copia.{extension}"),
        None => format!("{name}_copia"),
    }
}

/// Outcome files, as copies.
async fn outcomes(hub: &Hub, root: &Path, source: &str, from: u64) -> Result<usize, PublishError> {
    let mut written = 0;
    let originals = hub.store.outcome_files(source, from).await?;
    for original in originals.iter().filter(|file| file.name.ends_with(".csv") && !is_past(hub, source, file.created_at)) {
        let (Some(number), Some((first, last))) = (original.number, original.lines) else { continue };
        if hub.store.lines(source, first, first, 1).await?.is_empty() {
            continue; // the same: its lines are not known
        }
        let header = OutcomeHeader {
            source: source.to_owned(),
            number,
            first,
            last,
            created_at: original.created_at,
            previous: previous(hub, source, number).await?,
            copy: true,
        };
        let (csv, xml) = render(hub, &header, &root.join("esiti")).await?;
        let files = vec![(csv, outcome_name(&header, "csv")), (xml, outcome_name(&header, "xml"))];
        written += commit_all(hub, source, files).await?;
    }
    Ok(written)
}

/// Attestations that are no longer where they were: the same bytes under the same name.
async fn attestations(hub: &Arc<Hub>, root: &Path, source: &str, wanted: Wanted) -> Result<usize, PublishError> {
    let mut written = 0;
    let mut after = None;
    loop {
        let (page, next) = hub.store.stored_facts(source, after, PAGE).await?;
        let wanted = |fact: &StoredFact| wanted == Wanted::Everything || fact.index >= wanted.first();
        let page: Vec<StoredFact> = page.into_iter().filter(|fact| wanted(fact) && !is_past(hub, source, fact.stored_at)).collect();
        let (dir, kept) = (root.join("attestazioni"), hub.config.data.join(facts::KEPT));
        // A file at a time is what a share is given to write.
        for fact in page {
            let (dir, kept) = (dir.clone(), kept.clone());
            written += on_share_of(hub, source, move || restore_facts(&[fact], &dir, &kept)).await??;
        }
        match next {
            Some(next) => after = Some(next),
            None => return Ok(written),
        }
    }
}

fn restore_facts(page: &[StoredFact], dir: &Path, kept: &Path) -> io::Result<usize> {
    let mut written = 0;
    for StoredFact { fact, .. } in page {
        let Some((folder, name)) = fact.name.rsplit_once('/') else { continue };
        let folder = dir.join(folder);
        if folder.join(name).exists() {
            continue;
        }
        let mut bytes = match std::fs::File::open(facts::kept_path(kept, fact.happened_at, &fact.sha256)) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                tracing::warn!(name, "un'attestazione non è più fra quelle conservate");
                continue;
            }
            opened => opened?,
        };
        let mut pending = Pending::begin(&folder)?;
        io::copy(&mut bytes, &mut pending)?;
        written += usize::from(commit(pending, name)?);
    }
    Ok(written)
}

/// Indexes of attestations, as copies: some numbers in each reading of the facts.
async fn indexes(hub: &Hub, root: &Path, source: &str, from: u64) -> Result<usize, PublishError> {
    let files = hub.store.index_files(source, from).await?;
    let originals: Vec<&Publication> =
        files.iter().filter(|file| file.name.ends_with(".csv") && !is_past(hub, source, file.created_at)).collect();
    let mut written = 0;
    for some in originals.chunks(INDEXES) {
        let mut listed: BTreeMap<u64, Vec<(jiff::Timestamp, IndexEntry)>> =
            some.iter().filter_map(|file| Some((file.number?, Vec::new()))).collect();
        let mut after = None;
        loop {
            let (page, next) = hub.store.stored_facts(source, after, PAGE).await?;
            for stored in page {
                if let Some(entries) = listed.get_mut(&stored.index) {
                    entries.push((stored.stored_at, index_entry(&stored.fact)));
                }
            }
            match next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        for original in some {
            let Some((number, mut entries)) = original.number.and_then(|number| listed.remove_entry(&number)) else { continue };
            // Found in the folder after a restore: what it listed is not known here.
            if entries.is_empty() {
                continue;
            }
            // In the order of the original.
            entries.sort_by(|a, b| (a.0, &a.1.file).cmp(&(b.0, &b.1.file)));
            let entries: Vec<IndexEntry> = entries.into_iter().map(|(_, entry)| entry).collect();
            let header = IndexHeader { source: source.to_owned(), number, created_at: original.created_at, copy: true };
            let (dir, names) = (root.join("attestazioni"), ["csv", "xml"].map(|extension| index_name(&header, extension)));
            let (csv, xml) = on_share_of(hub, source, move || render_index(&header, &entries, &dir)).await??;
            let [of_csv, of_xml] = names;
            written += commit_all(hub, source, vec![(csv, of_csv), (xml, of_xml)]).await?;
        }
    }
    Ok(written)
}

#[cfg(test)]
mod tests;
