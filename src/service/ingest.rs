//! From a claimed file to an acknowledged drop: journal, archive, judge, stage, decide. Whatever is interrupted is begun again.

mod incomplete;
mod reread;
mod rows;

pub use incomplete::{late_digest, never_completed};
pub use reread::reread;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::ErrorKind;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;
use tokio::sync::{RwLockReadGuard, mpsc};

use self::rows::{Counts, Piece, Rows};
use super::files::{ARCHIVE_CHANGED, ceilings};
use super::publish::PublishError;
use super::shares::{Moves, STALLS, on_share_moving};
use super::{Hub, rome};
use crate::batch::archive::{Ceilings, Hashing, ReadAt, hash_whole};
use crate::batch::files::FileFacts;
use crate::batch::pipeline::{self, Judge, Judged, Opened, Senders, Stopped, Totals};
use crate::batch::problem::{Code, Problem, Severity};
use crate::batch::validate::SenderFacts;
use crate::config::{Config, SourceSystem};
use crate::domain::digest::Sha256;
use crate::domain::ids::BatchId;
use crate::domain::outcome::ReceiptState;
use crate::flow::definition::{Acceptance, FlowDefinition, Sending};
use crate::flow::forecast::{Limits, last_send};
use crate::intake::{Claimed, Companion, claim};
use crate::store::archives::{KeptFile, is_changed};
use crate::store::{BatchSummary, Finished, KeptEntry, NewDrop, Queue, Staging, StoreError, Telling};

/// Why a drop could not be taken now: a disk or the store. It is tried again.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("disk: {0}")]
    Disk(#[from] std::io::Error),
    /// The claimed file itself cannot be opened or read: nothing of ours is at fault.
    #[error("claimed file: {0}")]
    Unreadable(std::io::Error),
    /// The share on which it lies gives nothing. It is tried again when it does.
    #[error("the share does not answer")]
    Hangs,
    /// A defect of ours met while reading this drop.
    #[error("a panic while reading the drop")]
    Panicked,
}

impl From<PublishError> for IngestError {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::Store(error) => error.into(),
            PublishError::Disk(error) => error.into(),
            PublishError::Hangs => IngestError::Hangs,
        }
    }
}

impl From<tokio::task::JoinError> for IngestError {
    fn from(error: tokio::task::JoinError) -> Self {
        if error.is_panic() { IngestError::Panicked } else { IngestError::Store(StoreError::Stopping) }
    }
}

/// Rows staged in one transaction.
const CHUNK: usize = 500;

/// Takes one claimed file to its end. Done twice, the second time finds what the first one did.
pub async fn ingest(hub: &Arc<Hub>, claimed: &Claimed) -> Result<(), IngestError> {
    failpoint!("claim.renamed");
    let drop = NewDrop {
        id: claimed.id,
        source: claimed.source.clone(),
        original_name: claimed.original_name.clone(),
        flow_hint: claimed.flow_hint.clone(),
        dry_run: claimed.dry_run,
        received_at: claimed.received_at,
    };
    let known = hub.store.claim(drop).await?;
    failpoint!("claim.journaled");
    if known.state.is_none() {
        take(hub, claimed).await?;
    } else if hub.store.batch(claimed.id).await?.sha256.is_none() {
        // Refused because it could not be read: nothing else has its bytes, so it stays where it is.
        return Ok(());
    }
    failpoint!("batch.finished");
    done(hub, claimed).await
}

async fn done(hub: &Hub, claimed: &Claimed) -> Result<(), IngestError> {
    let own = claimed.clone();
    Ok(on_its_share(hub, claimed, move |_| claim::done(&own)).await??)
}

/// Works on the claimed file, which lies on a share that may hang: with nothing held, and waited for while the share gives something.
async fn on_its_share<T: Send + 'static>(
    hub: &Hub,
    claimed: &Claimed,
    work: impl FnOnce(&Moves) -> T + Send + 'static,
) -> Result<T, IngestError> {
    let guarded = move |moves: &Moves| catch_unwind(AssertUnwindSafe(|| work(moves)));
    on_share_moving(hub, &claimed.source, STALLS, guarded).await?.map_err(|_| IngestError::Panicked)
}

/// A file of a share: every read that comes back says so.
struct OnShare {
    file: File,
    moves: Moves,
}

impl OnShare {
    fn open(path: &Path, moves: &Moves) -> std::io::Result<OnShare> {
        Ok(OnShare { file: File::open(path)?, moves: moves.clone() })
    }
}

impl ReadAt for OnShare {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> std::io::Result<usize> {
        let read = ReadAt::read_at(&self.file, buffer, offset);
        self.moves.moved();
        read
    }

    fn len(&self) -> std::io::Result<u64> {
        ReadAt::len(&self.file)
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> std::io::Result<T> + Send + 'static) -> Result<T, IngestError> {
    Ok(tokio::task::spawn_blocking(work).await??)
}

/// A drop whose bytes are kept and known.
struct Kept {
    sha256: Sha256,
    size: u64,
}

async fn take(hub: &Arc<Hub>, claimed: &Claimed) -> Result<(), IngestError> {
    reserve(hub)?;
    // The digest of the whole and a first look run side by side: both read the file once.
    let (path, arrived) = (claimed.path.clone(), claimed.arrived);
    let hashing = on_its_share(hub, claimed, move |moves| digest_of(&path, arrived, moves));
    let (looked, hashed) = tokio::try_join!(look(hub, claimed), hashing)?;
    let (sha256, size) = hashed.map_err(IngestError::Unreadable)?;
    let kept = Kept { sha256, size };
    // A run that was interrupted had begun with other bytes: somebody has written to the file since.
    let changed = hub.store.batch(claimed.id).await?.sha256.is_some_and(|before| before != sha256);
    if let Some(first) = hub.store.content_seen(&claimed.source, sha256, claimed.id).await?.filter(|_| !claimed.dry_run) {
        return duplicate(hub, claimed, &kept, first).await;
    }
    let taking = keep(hub, claimed, sha256).await?;
    failpoint!("archive.kept");
    if changed {
        return changed_meanwhile(hub, claimed, &kept, None).await;
    }
    let archives = hub.archives.clone();
    if let Some(problem) = companion_fault(claimed, &kept, move || md5_of(&archives.open(&sha256)?)).await? {
        return refuse(hub, claimed, &kept, None, problem).await;
    }
    match looked {
        Ok((opened, facts)) => judge(hub, claimed, &kept, Arc::new(opened), facts, taking).await,
        Err(problem) => refuse(hub, claimed, &kept, None, *problem).await,
    }
}

/// Keeps the bytes. They come from the share before `taking` is held, which who deletes waits for, and everybody who takes a drop in
/// behind it. From then on nobody erases them (an older batch may have had them) before they are known to be this one's too.
async fn keep<'h>(hub: &'h Hub, claimed: &Claimed, sha256: Sha256) -> Result<RwLockReadGuard<'h, ()>, IngestError> {
    loop {
        let (archives, path) = (hub.archives.clone(), claimed.path.clone());
        let bringing = on_its_share(hub, claimed, move |moves| archives.bring(&path, &sha256, &|| moves.moved()));
        let gone = |error: std::io::Error| match error.kind() {
            ErrorKind::NotFound => IngestError::Unreadable(error),
            _ => error.into(),
        };
        let brought = bringing.await?.map_err(gone)?;
        let taking = hub.taking.read().await;
        let archives = hub.archives.clone();
        match tokio::task::spawn_blocking(move || archives.enter(brought, &sha256)).await? {
            Ok(_) => return Ok(taking),
            // It was erased meanwhile: now the bytes are copied.
            Err(error) if is_changed(&error) => drop(taking),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Digest and size. What came by SFTP was hashed while it arrived: a large archive is not read once more for it.
fn digest_of(path: &Path, arrived: Option<Sha256>, moves: &Moves) -> std::io::Result<(Sha256, u64)> {
    match arrived {
        Some(sha256) => Ok((sha256, std::fs::metadata(path)?.len())),
        None => hash_whole(&OnShare::open(path, moves)?),
    }
}

/// Nothing is taken under the reserve: what is being worked on needs the space.
fn reserve(hub: &Hub) -> Result<(), IngestError> {
    let stat = rustix::fs::statvfs(&hub.config.data).map_err(std::io::Error::from)?;
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    if free < hub.settings().limits.disk_reserve_bytes {
        return Err(std::io::Error::new(ErrorKind::StorageFull, "the reserve of the data disk is reached").into());
    }
    Ok(())
}

type Looked = Result<(Opened, Vec<FileFacts>), Box<Problem>>;

async fn look(hub: &Hub, claimed: &Claimed) -> Result<Looked, IngestError> {
    let (path, looking) = (claimed.path.clone(), Looking::of(hub, claimed));
    let outcome = on_its_share(hub, claimed, move |moves| looking.into(&OnShare::open(&path, moves).map_err(Stopped::Ours)?)).await?;
    looked(claimed, outcome)
}

/// A first look at what is kept.
async fn look_at_kept(hub: &Hub, claimed: &Claimed, file: KeptFile) -> Result<Looked, IngestError> {
    let looking = Looking::of(hub, claimed);
    let outcome = tokio::task::spawn_blocking(move || looking.into(&file)).await?;
    looked(claimed, outcome)
}

struct Looking {
    name: String,
    ceilings: Ceilings,
    count_pages: bool,
}

impl Looking {
    fn of(hub: &Hub, claimed: &Claimed) -> Looking {
        let count_pages = hub.flows.values().any(|flow| flow.checks.light_mail);
        Looking { name: claimed.original_name.clone(), ceilings: ceilings(hub), count_pages }
    }

    fn into(self, file: &impl ReadAt) -> Result<(Opened, Vec<FileFacts>), Stopped> {
        let opened = pipeline::open(file, &self.name, &self.ceilings)?;
        let hashing = Hashing { count_pages: self.count_pages, ..Hashing::default() };
        let facts = pipeline::look_into(file, &opened, &self.name, &hashing)?;
        Ok((opened, facts))
    }
}

fn looked(claimed: &Claimed, outcome: Result<(Opened, Vec<FileFacts>), Stopped>) -> Result<Looked, IngestError> {
    match outcome {
        Ok(found) => Ok(Ok(found)),
        Err(Stopped::Refused(problem)) => Ok(Err(problem)),
        Err(Stopped::Changed) => Ok(Err(Box::new(Problem::of_drop(&claimed.original_name, Code::DropChanged)))),
        Err(Stopped::Ours(error)) => Err(IngestError::Unreadable(error)),
    }
}

/// What the companion has against the bytes, whose MD5 `md5` tells. `Err`: nobody knows, they cannot be read.
async fn companion_fault(
    claimed: &Claimed,
    kept: &Kept,
    md5: impl FnOnce() -> std::io::Result<[u8; 16]> + Send + 'static,
) -> Result<Option<Problem>, IngestError> {
    let differs =
        |expected: String| Problem::of_drop(&claimed.original_name, Code::CompanionMismatch).expected(expected).found(kept.sha256.to_hex());
    let fault = match &claimed.companion {
        None | Some(Companion::Ok) => None,
        Some(Companion::Unreadable) => Some(Problem::of_drop(&claimed.original_name, Code::CompanionUnreadable)),
        Some(Companion::Sha256(told)) => (*told != kept.sha256).then(|| differs(told.to_hex())),
        Some(Companion::Md5(told)) => {
            let found = blocking(md5).await?;
            (found != *told).then(|| differs(hex(told)).found(hex(&found)))
        }
    };
    Ok(fault)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// MD5, only because gestionali write `.md5` companions: it finds broken copies, nothing else is trusted to it.
fn md5_of(file: &dyn ReadAt) -> std::io::Result<[u8; 16]> {
    use md5::Digest;
    let mut hasher = md5::Md5::new();
    let mut buffer = vec![0; 1 << 16];
    let mut at = 0;
    loop {
        let read = match file.read_at(&mut buffer, at) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            read => read?,
        };
        if read == 0 {
            return Ok(hasher.finalize().into());
        }
        hasher.update(buffer.get(..read).unwrap_or_default());
        at += read as u64;
    }
}

fn staging(claimed: &Claimed, kept: &Kept, opened: Option<&Opened>) -> Staging {
    Staging {
        batch: claimed.id,
        source: claimed.source.clone(),
        sha256: kept.sha256,
        size: kept.size,
        layout: opened.map(|opened| opened.layout.name().to_owned()),
        batch_file: opened.map(|opened| opened.batch_file.name.to_string()).unwrap_or_default(),
        batch_entry: opened.map_or(0, |opened| opened.batch_file.index),
        bare: opened.is_some_and(|opened| opened.bare),
        sender: None,
        flow: None,
    }
}

const NOTHING: Finished = Finished {
    state: ReceiptState::Rejected,
    acts: 0,
    accepted: 0,
    refused: 0,
    duplicates: 0,
    duplicate_of: None,
    held: false,
    forecast: None,
    forecasts: Vec::new(),
};

/// The drop as a whole is refused.
async fn refuse(hub: &Hub, claimed: &Claimed, kept: &Kept, opened: Option<&Opened>, problem: Problem) -> Result<(), IngestError> {
    refuse_telling(hub, claimed, kept, opened, problem, None).await
}

/// The same; `code`: operators are told under that one.
async fn refuse_telling(
    hub: &Hub,
    claimed: &Claimed,
    kept: &Kept,
    opened: Option<&Opened>,
    problem: Problem,
    code: Option<&'static str>,
) -> Result<(), IngestError> {
    tracing::info!(batch.id = %claimed.id, source = claimed.source, code = %problem.code, "file depositato scartato");
    let telling = telling(hub, &claimed.source, code);
    hub.store.begin_staging(Staging { sender: telling.sender.clone(), ..staging(claimed, kept, opened) }).await?;
    hub.store.add_problems(claimed.id, vec![problem]).await?;
    Ok(hub.store.finish_batch_telling(claimed.id, NOTHING, telling, hub.clock.now()).await?)
}

/// The drop is refused for what only the reading of its rows showed. What was found in them before stays in the receipt: the
/// office corrects everything at once. Interrupted, the reading is begun again and its problems with it.
async fn refuse_read(hub: &Hub, claimed: &Claimed, problem: Problem, counts: Counts) -> Result<(), IngestError> {
    tracing::info!(batch.id = %claimed.id, source = claimed.source, code = %problem.code, "file depositato scartato");
    hub.store.add_problems(claimed.id, vec![problem]).await?;
    // The whole file comes back, not single rows of it.
    hub.store.clear_rejects(claimed.id).await?;
    let refused = counts.acts - counts.duplicates;
    let end = Finished { acts: counts.acts, refused, duplicates: counts.duplicates, ..NOTHING };
    Ok(hub.store.finish_batch_telling(claimed.id, end, telling(hub, &claimed.source, None), hub.clock.now()).await?)
}

/// How operators are told of a drop of which nothing was read: a gestionale with one ente has sent it for that one.
fn telling(hub: &Hub, source: &str, code: Option<&'static str>) -> Telling {
    let settings = hub.settings();
    let sender = settings.source(source).and_then(|source| match source.enti.as_slice() {
        [only] => Some(only.clone()),
        _ => None,
    });
    Telling { code, sender }
}

/// Somebody writes to the file that is being examined: nothing of it is taken.
async fn changed_meanwhile(hub: &Hub, claimed: &Claimed, kept: &Kept, opened: Option<&Opened>) -> Result<(), IngestError> {
    let problem = Problem::of_drop(&claimed.original_name, Code::DropChanged);
    refuse_telling(hub, claimed, kept, opened, problem, Some(ARCHIVE_CHANGED)).await
}

/// A claimed file that could never be read: told, so that its gestionale knows. It stays in the work folder.
pub async fn unreadable(hub: &Hub, claimed: &Claimed) -> Result<(), IngestError> {
    let now = hub.clock.now();
    if hub.store.batch(claimed.id).await?.state.parse::<ReceiptState>().is_ok() {
        return Ok(());
    }
    hub.store.forget_reading(claimed.id).await?;
    hub.store.add_problems(claimed.id, vec![Problem::of_drop(&claimed.original_name, Code::DropUnreadable)]).await?;
    Ok(hub.store.finish_batch_telling(claimed.id, NOTHING, telling(hub, &claimed.source, Some("DEPOSITO_ABBANDONATO")), now).await?)
}

/// A drop that makes the program itself fail, time after time: told, so that it does not stop what comes behind it.
pub async fn give_up(hub: &Hub, claimed: &Claimed) -> Result<(), IngestError> {
    let path = claimed.path.clone();
    let (sha256, size) = on_its_share(hub, claimed, move |moves| digest_of(&path, None, moves)).await??;
    let kept = Kept { sha256, size };
    let taking = keep(hub, claimed, sha256).await?;
    refuse(hub, claimed, &kept, None, Problem::of_drop(&claimed.original_name, Code::InternalError)).await?;
    drop(taking);
    done(hub, claimed).await
}

/// The same bytes were taken before.
async fn duplicate(hub: &Hub, claimed: &Claimed, kept: &Kept, first: BatchSummary) -> Result<(), IngestError> {
    tracing::info!(batch.id = %claimed.id, first = %first.id, "contenuto già ricevuto");
    let sender = first.sender.clone().or_else(|| telling(hub, &claimed.source, None).sender);
    hub.store.begin_staging(Staging { sender, ..staging(claimed, kept, None) }).await?;
    let problem = Problem { severity: Severity::Warning, ..Problem::of_drop(&claimed.original_name, Code::DuplicateDrop) };
    hub.store.add_problems(claimed.id, vec![problem.found(first.id.to_string())]).await?;
    let end = Finished { state: ReceiptState::Duplicate, duplicate_of: Some(first.id), ..NOTHING };
    Ok(hub.store.finish_batch(claimed.id, end, hub.clock.now()).await?)
}

/// What a gestionale may send, with the groups of each ente.
pub struct Allowed<'a> {
    config: &'a Config,
    sources: Vec<&'a SourceSystem>,
    groups: Vec<(String, Vec<String>)>,
}

impl<'a> Allowed<'a> {
    /// What any of these gestionali may send.
    pub fn any(config: &'a Config, sources: impl Iterator<Item = &'a SourceSystem>) -> Allowed<'a> {
        let sources: Vec<&SourceSystem> = sources.collect();
        let enti: BTreeSet<&String> = sources.iter().flat_map(|source| &source.enti).collect();
        let groups = enti.into_iter().filter_map(|tax_id| config.institution(tax_id)).map(|institution| {
            let groups: BTreeSet<String> = institution.keys.iter().flat_map(|key| key.groups.iter().cloned()).collect();
            (institution.tax_id.clone(), groups.into_iter().collect())
        });
        Allowed { config, sources, groups: groups.collect() }
    }
}

impl Senders for Allowed<'_> {
    fn sender(&self, tax_id: &str) -> Option<SenderFacts<'_>> {
        let (_, groups) = self.groups.iter().find(|(known, _)| known == tax_id)?;
        let institution = self.config.institution(tax_id)?;
        Some(SenderFacts {
            tax_id: &institution.tax_id,
            denomination: &institution.denomination,
            groups,
            group_required: !institution.keys.is_empty() && institution.keys.iter().all(|key| !key.groups.is_empty()),
            heavy_mail: institution.heavy_mail,
            address_lookup: institution.address_lookup,
        })
    }

    fn organization(&self, id: &str) -> Option<String> {
        self.sources.iter().find_map(|source| source.organization_ids.get(id).cloned())
    }
}

/// The flow of a drop: what the batch says, what its folder says, or the gestionale's default; they must not disagree.
fn flow_of(hub: &Hub, source: &SourceSystem, claimed: &Claimed, told: Option<&str>) -> Result<Arc<FlowDefinition>, Box<Problem>> {
    let folder = claimed.flow_hint.as_deref();
    if let (Some(told), Some(folder)) = (told, folder)
        && told != folder
    {
        return Err(Box::new(Problem::of_drop(&claimed.original_name, Code::FlowUnknown).found(told).expected(folder)));
    }
    let Some(name) = told.or(folder).or(source.default_flow.as_deref()) else {
        return Err(Box::new(Problem::of_drop(&claimed.original_name, Code::FlowMissing).expected(source.flows.join(", "))));
    };
    match hub.flows.get(name).filter(|_| source.flows.iter().any(|allowed| allowed == name)) {
        Some(flow) => Ok(flow),
        None => Err(Box::new(Problem::of_drop(&claimed.original_name, Code::FlowUnknown).found(name).expected(source.flows.join(", ")))),
    }
}

/// `taking`: held until the store knows whose the bytes are.
async fn judge(
    hub: &Arc<Hub>,
    claimed: &Claimed,
    kept: &Kept,
    opened: Arc<Opened>,
    facts: Vec<FileFacts>,
    taking: RwLockReadGuard<'_, ()>,
) -> Result<(), IngestError> {
    let settings = hub.settings();
    let Some(source) = settings.source(&claimed.source) else {
        return refuse(hub, claimed, kept, Some(&opened), Problem::of_drop(&claimed.original_name, Code::SenderUnknown)).await;
    };
    let file = hub.archives.open(&kept.sha256)?;
    let (file_for_header, opened_for_header) = (file.clone(), opened.clone());
    let header = tokio::task::spawn_blocking(move || pipeline::header(&file_for_header, &opened_for_header)).await?;
    let header = match header {
        Ok(header) => header,
        Err(Stopped::Refused(problem)) => return refuse(hub, claimed, kept, Some(&opened), *problem).await,
        Err(Stopped::Changed) => return changed_meanwhile(hub, claimed, kept, Some(&opened)).await,
        Err(Stopped::Ours(error)) => return Err(error.into()),
    };
    let flow = match flow_of(hub, source, claimed, header.flow.as_deref()) {
        Ok(flow) => FlowDefinition::clone(&flow),
        Err(problem) => return refuse(hub, claimed, kept, Some(&opened), *problem).await,
    };
    let sender = header.sender_tax_id.clone().or_else(|| match source.enti.as_slice() {
        [only] => Some(only.clone()),
        _ => None,
    });
    hub.store.begin_staging(Staging { flow: Some(flow.clone()), sender, ..staging(claimed, kept, Some(&opened)) }).await?;
    drop(taking);
    keep_entries(hub, kept.sha256, &opened, &facts).await?;
    failpoint!("staging.begun");
    if !flow.layouts.is_empty() && !flow.layouts.iter().any(|layout| layout == opened.layout.name()) {
        let problem = Problem::of_drop(opened.batch_file.name.to_string(), Code::LayoutUnexpected).found(opened.layout.name());
        let problem = Problem { severity: Severity::Warning, ..problem.expected(flow.layouts.join(", ")) };
        hub.store.add_problems(claimed.id, vec![problem]).await?;
    }
    // One chunk is read while another is staged, and no more: each holds megabytes, and the store is the slower of the two.
    let (tell, told) = mpsc::channel::<Piece>(1);
    let runtime = tokio::runtime::Handle::current();
    // Waits until there is room again: until the chunk was taken, the next one is not begun.
    let hand_over =
        move |tell: &mpsc::Sender<Piece>, rows| tell.blocking_send(Piece::Rows(rows)).is_ok() && runtime.block_on(tell.reserve()).is_ok();
    let today = rome(claimed.received_at).date();
    let (reader_settings, reader_flow, reader_source, reader_opened) = (settings.clone(), flow.clone(), source.clone(), opened.clone());
    let reader = tokio::task::spawn_blocking(move || {
        let senders = Allowed::any(&reader_settings, std::iter::once(&reader_source));
        let judge =
            Judge { flow: Some(&reader_flow), senders: Some(&senders), today: Some(today), max_acts: reader_settings.limits.max_acts };
        let mut rows = Vec::with_capacity(CHUNK);
        let mut sink = |judged: Judged| {
            rows.push(judged);
            if rows.len() >= CHUNK && !hand_over(&tell, std::mem::replace(&mut rows, Vec::with_capacity(CHUNK))) {
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        };
        let end = pipeline::judge(&file, &reader_opened, facts, &judge, &mut sink);
        let _ = tell.blocking_send(Piece::Rows(rows));
        let _ = tell.blocking_send(Piece::End(end));
    });
    let mut rows = Rows { hub, claimed, flow: &flow, opened: &opened, told, counts: Counts::default() };
    let end = rows.stage().await;
    let counts = std::mem::take(&mut rows.counts);
    rows.told.close();
    let joined = reader.await;
    joined?;
    let end = end?;
    match end {
        Ok(totals) => finish(hub, claimed, &flow, totals, counts).await,
        Err(Stopped::Refused(problem)) => refuse_read(hub, claimed, *problem, counts).await,
        Err(Stopped::Changed) => {
            hub.store.discard_staged(claimed.id).await?;
            changed_meanwhile(hub, claimed, kept, Some(&opened)).await
        }
        Err(Stopped::Ours(error)) => Err(error.into()),
    }
}

async fn keep_entries(hub: &Hub, archive: Sha256, opened: &Opened, facts: &[FileFacts]) -> Result<(), IngestError> {
    for chunk in facts.chunks(2_000) {
        let entries = chunk.iter().filter_map(|facts| {
            let entry = opened.archive.by_index(facts.entry)?;
            Some(KeptEntry {
                entry: entry.index,
                data_start: entry.data_start,
                compressed: entry.compressed,
                size: entry.size,
                crc: entry.crc32,
                method: entry.method.number().to_string(),
                sha256: facts.sha256,
                header_offset: entry.header_offset,
            })
        });
        hub.store.keep_entries(archive, entries.collect()).await?;
    }
    Ok(())
}

async fn finish(hub: &Hub, claimed: &Claimed, flow: &FlowDefinition, totals: Totals, counts: Counts) -> Result<(), IngestError> {
    for page in totals.notices.chunks(CHUNK) {
        hub.store.add_problems(claimed.id, page.to_vec()).await?;
    }
    let mut end =
        Finished { acts: counts.acts, accepted: counts.accepted, refused: counts.refused, duplicates: counts.duplicates, ..NOTHING };
    if counts.refused > 0 && flow.acceptance == Acceptance::AllOrNothing {
        end.accepted = 0;
        end.refused = counts.acts - counts.duplicates;
        let problem = Problem::of_drop(&claimed.original_name, Code::AllOrNothing).found(counts.refused.to_string());
        hub.store.add_problems(claimed.id, vec![problem]).await?;
        hub.store.clear_rejects(claimed.id).await?;
    }
    end.state = match (end.accepted, end.refused, end.duplicates) {
        (0, 0, _) => ReceiptState::Duplicate,
        (0, ..) => ReceiptState::Rejected,
        (_, 0, _) => ReceiptState::Taken,
        _ => ReceiptState::Partial,
    };
    end.held = !claimed.dry_run && end.accepted > 0 && flow.sending == Sending::Held;
    if end.accepted > 0 && !end.held {
        end.forecasts = forecasts(hub, claimed.id, flow).await?;
        end.forecast = end.forecasts.iter().filter_map(|(_, day)| *day).max().and_then(end_of_day);
    }
    if claimed.dry_run || end.accepted == 0 {
        hub.store.discard_staged(claimed.id).await?;
    }
    tracing::info!(
        batch.id = %claimed.id, source = claimed.source, state = end.state.as_str(), acts = end.acts, accepted = end.accepted,
        refused = end.refused, "file depositato esaminato"
    );
    Ok(hub.store.finish_batch(claimed.id, end, hub.clock.now()).await?)
}

/// When the last act of each ente is expected to leave: its limits, the hours of the flow, what is in its queue before.
async fn forecasts(hub: &Hub, batch: BatchId, flow: &FlowDefinition) -> Result<Vec<(String, Option<Date>)>, IngestError> {
    let now = hub.clock.now();
    let window = match flow.sending {
        Sending::Hours { from, to } => Some((from, to)),
        Sending::AtOnce | Sending::Held => None,
    };
    let settings = hub.settings();
    let queues = hub.store.queues(batch, &hub.day(now)).await?;
    let of = |queue: Queue| {
        let quota = settings.institution(&queue.sender).map(|institution| institution.quota.clone()).unwrap_or_default();
        let limits = Limits {
            calls_per_day: quota.per_day.into(),
            calls_per_second: quota.per_second.into(),
            spend_per_day: quota.spend_cents_per_day,
            window,
        };
        let last = last_send(&limits, queue.ahead, queue.own, queue.used, rome(now).datetime());
        (queue.sender, last)
    };
    Ok(queues.into_iter().map(of).collect())
}

/// The last second of a Rome day.
fn end_of_day(day: Date) -> Option<Timestamp> {
    Some(day.at(23, 59, 59, 0).to_zoned(rome(Timestamp::UNIX_EPOCH).time_zone().clone()).ok()?.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::shares::Shares;

    #[tokio::test]
    async fn a_companion_is_believed_refused_or_asked_again_never_ignored() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("lotto.zip");
        std::fs::write(&path, "lotto").unwrap();
        let kept = Kept { sha256: Sha256::of(b"lotto"), size: 5 };
        let right = md5_of(&File::open(&path).unwrap()).unwrap();

        let table = [
            (None, Ok(None)),
            (Some(Companion::Ok), Ok(None)),
            (Some(Companion::Md5(right)), Ok(None)),
            (Some(Companion::Md5([7; 16])), Ok(Some("IMPRONTA_COMPAGNO_DIVERSA"))),
            (Some(Companion::Unreadable), Ok(Some("COMPAGNO_NON_LEGGIBILE"))),
            (Some(Companion::Md5(right)), Err(())),
        ];
        for (companion, want) in table {
            if want.is_err() {
                std::fs::remove_file(&path).unwrap();
            }
            let claimed = Claimed {
                id: BatchId(crate::clock::new_uuid()),
                source: "uffici".to_owned(),
                path: path.clone(),
                original_name: "lotto.zip".to_owned(),
                flow_hint: None,
                dry_run: false,
                received_at: Timestamp::UNIX_EPOCH,
                companion: companion.clone(),
                arrived: None,
            };
            let path = path.clone();
            let found = match companion_fault(&claimed, &kept, move || md5_of(&File::open(path)?)).await {
                Ok(problem) => Ok(problem.map(|problem| problem.code.into_owned())),
                Err(IngestError::Disk(_)) => Err(()),
                Err(error) => panic!("{error}"),
            };
            assert_eq!(found, want.map(|code| code.map(str::to_owned)), "{companion:?}");
        }
    }

    #[test]
    fn what_was_hashed_while_it_arrived_is_not_read_again() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("lotto.zip");
        std::fs::write(&path, "lotto").unwrap();
        let (read, told) = (Sha256::of(b"lotto"), Sha256::of(b"altro"));
        let moves = Shares::default().touch("uffici").moves();
        assert_eq!(digest_of(&path, None, &moves).unwrap(), (read, 5));
        assert_eq!(digest_of(&path, Some(told), &moves).unwrap(), (told, 5), "taken as told");
        assert!(digest_of(&place.path().join("nulla"), Some(told), &moves).is_err());
    }
}
