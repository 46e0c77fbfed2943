//! Legal facts on their way to the disk: kept by content below the data folder, and published as a copy under `attestazioni/`.
//!
//! A fact is small and a flush is dear, so facts that arrive together go together ([`Facts::place`]): one of those that wait
//! does the work of all, each flush serves many, and the store commits them in one group. Nothing waits for a group to fill.
//!
//! A fact is stored once it is whole on our disk; its [copy](copies) for the gestionale may come later, and nobody else waits for it.

pub mod copies;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use jiff::Timestamp;
use tokio::sync::{Semaphore, oneshot};

use self::copies::Copied;
use super::Hub;
use super::publish::publication;
use crate::connectors::ConnectorError;
use crate::connectors::pnd::Download;
use crate::domain::digest::Sha256;
use crate::domain::ids::ActId;
use crate::outbox::legal_facts;
use crate::outbox::place::{self, Parked, Pending};
use crate::store::{JobRef, KeptFact, LegalFactToFetch, Publication, StoreError};

/// Where downloaded facts are kept, below the data folder.
pub const KEPT: &str = "attestazioni";
/// Facts of one group at most.
const GROUP: usize = 128;
/// Bytes of a fact that wait in memory for their group; a longer one is written as it comes.
const SMALL: usize = 64 << 10;
/// A folder that takes longer than this gets its copies later (real time).
const PATIENCE: Duration = Duration::from_secs(5);

/// Why a legal fact did not arrive.
#[derive(Debug)]
pub enum FactFault {
    Remote(ConnectorError),
    Store(StoreError),
    Disk(io::Error),
}

/// The path of a kept fact: by day, so that those of a day, which come together, cost one folder, and by content.
pub fn kept_path(kept: &Path, happened_at: Timestamp, sha256: &Sha256) -> PathBuf {
    kept.join(happened_at.strftime("%Y-%m-%d").to_string()).join(sha256.to_hex())
}

/// A fact whose bytes have come.
pub struct Arrived {
    key: String,
    source: String,
    happened_at: Timestamp,
    /// Below `attestazioni/`.
    folder: String,
    name: String,
    body: Body,
    /// Of which the copy is made.
    content: Content,
}

enum Body {
    Small(Arc<Vec<u8>>),
    /// Our file.
    Written(Box<Pending>),
}

enum Content {
    Small(Arc<Vec<u8>>),
    /// Our file, to be read again.
    Written(File),
}

/// Takes the bytes of a download. Only our own disk is touched.
pub async fn arrive(hub: &Hub, fact: &LegalFactToFetch, filename: &str, mut download: Download) -> Result<Arrived, FactFault> {
    let mut small = Vec::new();
    let mut written = None;
    while let Some(chunk) = download.chunk().await.map_err(FactFault::Remote)? {
        if written.is_none() && small.len() + chunk.len() <= SMALL {
            small.extend_from_slice(&chunk);
            continue;
        }
        let own = match &mut written {
            Some(own) => own,
            None => written.insert(begin(&hub.config.data.join(KEPT), &small).map_err(FactFault::Disk)?),
        };
        own.write_all(&chunk).map_err(FactFault::Disk)?;
    }
    let head = small.get(..small.len().min(64)).unwrap_or_default();
    let stem = legal_facts::name_stem(&fact.category, fact.recipient, fact.happened_at);
    let extension = legal_facts::extension(Some(filename), head, &fact.category);
    let (body, content) = match written {
        Some(mut own) => {
            let again = own.again().map_err(FactFault::Disk)?;
            (Body::Written(Box::new(own)), Content::Written(again))
        }
        None => {
            let bytes = Arc::new(small);
            (Body::Small(bytes.clone()), Content::Small(bytes))
        }
    };
    Ok(Arrived {
        key: fact.key.clone(),
        source: fact.source.clone(),
        happened_at: fact.happened_at,
        folder: legal_facts::folder(&fact.iun, fact.happened_at),
        name: legal_facts::file_name(&stem, fact.ordinal, extension),
        body,
        content,
    })
}

/// Begins a file with the bytes that are here.
fn begin(staging: &Path, bytes: &[u8]) -> io::Result<Pending> {
    let mut file = Pending::begin(staging)?;
    file.write_all(bytes)?;
    Ok(file)
}

/// Downloads at a time, over all channels: they have no term, and leave room for what has one.
const DOWNLOADS: usize = 48;

/// Facts on their way.
pub struct Facts {
    pub downloads: Semaphore,
    /// By gestionale: the folder of one keeps nobody else's facts waiting.
    lines: Mutex<BTreeMap<String, Arc<Line>>>,
    patience: Duration,
}

impl Default for Facts {
    fn default() -> Facts {
        Facts { downloads: Semaphore::new(DOWNLOADS), lines: Mutex::default(), patience: PATIENCE }
    }
}

/// Facts of one gestionale.
#[derive(Default)]
struct Line {
    waiting: Mutex<Vec<Order>>,
    /// Who holds it works for all.
    turn: tokio::sync::Mutex<()>,
    /// Its folder could not take a copy: until it has those that wait, the others wait behind them.
    behind: AtomicBool,
    /// Of copies that wait, those of which our own file cannot be read, and when it was tried last (real time).
    unread: Mutex<BTreeMap<uuid::Uuid, Instant>>,
}

/// What came of one act, under the lease of its job.
pub struct Delivery {
    pub act: ActId,
    pub job: JobRef,
    pub facts: Vec<Arrived>,
}

struct Order {
    delivery: Delivery,
    /// How many facts of the act are still to be fetched.
    tell: oneshot::Sender<Result<usize, FactFault>>,
}

impl Facts {
    /// Keeps and publishes the facts of an act, and ends its job when none is left: answers how many are. When it returns, our
    /// files and what the store says of them are on the disk: that they are published, or that they are still to be.
    pub async fn place(&self, hub: &Arc<Hub>, delivery: Delivery) -> Result<usize, FactFault> {
        let (tell, mut told) = oneshot::channel();
        // An act is of one gestionale.
        let source = delivery.facts.first().map(|fact| fact.source.clone()).unwrap_or_default();
        let line = self.line(&source);
        line.lock().push(Order { delivery, tell });
        loop {
            tokio::select! {
                biased;
                done = &mut told => return done.unwrap_or(Err(FactFault::Store(StoreError::Stopping))),
                _turn = line.turn.lock() => {
                    let group = line.group();
                    if !group.is_empty() {
                        self.place_group(hub, &source, &line, group).await;
                    }
                }
            }
        }
    }

    fn line(&self, source: &str) -> Arc<Line> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).entry(source.to_owned()).or_default().clone()
    }

    async fn place_group(&self, hub: &Arc<Hub>, source: &str, line: &Line, group: Vec<Order>) {
        let mut orders = Vec::with_capacity(group.len());
        let (mut facts, mut contents, mut counts) = (Vec::new(), Vec::new(), Vec::with_capacity(group.len()));
        for Order { delivery: Delivery { act, job, facts: of_act }, tell } in group {
            orders.push((act, job, tell));
            counts.push(of_act.len());
            for Arrived { key, happened_at, folder, name, body, content, .. } in of_act {
                facts.push(Keeping { key, happened_at, folder, name, body });
                contents.push(content);
            }
        }
        let data = hub.config.data.clone();
        let own = async { tokio::task::spawn_blocking(move || keep(&data, facts)).await.unwrap_or_default() };
        let (own, copies) = tokio::join!(own, copies::make(hub, source, line, self.patience, contents));
        // Copies of which nobody will know.
        let mut nobodys = Vec::new();
        let kept = own.into_iter().zip(copies).map(|(own, copy)| Kept::of(own, copy, &mut nobodys)).collect();
        let mut saved = Vec::new();
        for ((act, job, tell), (kept, fault)) in orders.into_iter().zip(deal(kept, &counts)) {
            saved.push(async move {
                match save(hub, source, act, job, kept).await {
                    Ok((files, left)) => Ok((files, (fault.map_or(Ok(left), |error| Err(FactFault::Disk(error))), tell))),
                    Err((error, files)) => {
                        // Not known: the next start decides.
                        let nobodys = if matches!(error, StoreError::Stopping) { Vec::new() } else { files };
                        let _ = tell.send(Err(FactFault::Store(error)));
                        Err(nobodys)
                    }
                }
            });
        }
        // Together, so that one commit serves all.
        let (mut files, mut tells) = (Vec::new(), Vec::new());
        for one in join_all(saved).await {
            match one {
                Ok((of_act, tell)) => {
                    files.extend(of_act);
                    tells.push(tell);
                }
                Err(of_act) => nobodys.extend(of_act.into_iter().map(|file| file.temporary)),
            }
        }
        failpoint!("fact.stored");
        let done = copies::publish(hub, source, self.patience, files).await;
        let error = done.err().map(|error| error.to_string());
        for (outcome, tell) in tells {
            let _ = tell.send(match &error {
                None => outcome,
                Some(error) => Err(FactFault::Store(StoreError::Database(error.clone()))),
            });
        }
        copies::take_away(hub, source, self.patience, nobodys).await;
    }
}

impl Line {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Order>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The orders that go together, the oldest first.
    fn group(&self) -> Vec<Order> {
        let mut waiting = self.lock();
        let mut facts = 0;
        let full = waiting.iter().position(|order| {
            facts += order.delivery.facts.len();
            facts > GROUP
        });
        let count = full.map_or(waiting.len(), |full| full.max(1));
        waiting.drain(..count).collect()
    }
}

/// A fact whose file is being written.
struct Keeping {
    key: String,
    happened_at: Timestamp,
    folder: String,
    name: String,
    body: Body,
}

/// A fact of which our file is on the disk.
struct Kept {
    fact: Keeping,
    own: Parked,
    copy: Copied,
}

impl Kept {
    fn of(own: io::Result<(Keeping, Parked)>, copy: Copied, nobodys: &mut Vec<String>) -> io::Result<Kept> {
        let own = own.map(|(fact, own)| Kept { fact, own, copy: Copied::Later });
        match (own, copy) {
            (Ok(kept), Copied::Made(copy)) if copy.sha256 == kept.own.sha256 => Ok(Kept { copy: Copied::Made(copy), ..kept }),
            (Ok(kept), Copied::Nowhere) => Ok(Kept { copy: Copied::Nowhere, ..kept }),
            (own, Copied::Made(copy)) => {
                nobodys.push(copy.temporary);
                own
            }
            (own, _) => own,
        }
    }
}

/// Gives each act its own of what was kept of all, in their order, with the first fault among them: what one act lacks must not
/// move what belongs to the next.
fn deal<T>(kept: Vec<io::Result<T>>, counts: &[usize]) -> Vec<(Vec<T>, Option<io::Error>)> {
    let mut kept = kept.into_iter();
    let of_act = |count: &usize| {
        let (mut good, mut fault) = (Vec::with_capacity(*count), None);
        for _ in 0..*count {
            match kept.next().unwrap_or_else(|| Err(io::Error::other("a fact was lost"))) {
                Ok(one) => good.push(one),
                Err(error) => fault = fault.or(Some(error)),
            }
        }
        (good, fault)
    };
    counts.iter().map(of_act).collect()
}

/// Writes and flushes our files of a group, and gives them their names.
fn keep(data: &Path, facts: Vec<Keeping>) -> Vec<io::Result<(Keeping, Parked)>> {
    let kept = data.join(KEPT);
    let mut pending = Vec::with_capacity(facts.len());
    let mut begun: Vec<io::Result<Keeping>> = Vec::with_capacity(facts.len());
    for mut fact in facts {
        let file = match std::mem::replace(&mut fact.body, Body::Small(Arc::default())) {
            Body::Small(bytes) => begin(&kept, &bytes),
            Body::Written(own) => Ok(*own),
        };
        begun.push(file.map(|own| {
            pending.push(own);
            fact
        }));
    }
    let mut parked = place::park_all(pending).into_iter();
    failpoint!("fact.parked");
    let mut touched = BTreeSet::new();
    let mut named: Vec<io::Result<(Keeping, Parked)>> = Vec::with_capacity(begun.len());
    for one in begun {
        named.push(one.and_then(|fact| {
            let own = parked.next().unwrap_or_else(|| Err(io::Error::other("a file was lost")))?;
            let path = kept_path(&kept, fact.happened_at, &own.sha256);
            let folder = path.parent().unwrap_or(&kept);
            place::make_folder(folder, &mut touched)?;
            // Content addressed: the same bytes under the same name.
            std::fs::rename(kept.join(&own.temporary), &path)?;
            touched.insert(folder.to_owned());
            Ok((fact, own))
        }));
    }
    if let Err(error) = place::sync_folders(touched) {
        return named.into_iter().map(|one| one.and_then(|_| Err(io::Error::new(error.kind(), error.to_string())))).collect();
    }
    failpoint!("fact.kept");
    named
}

/// Tells the store of what came of one act; answers the files to be revealed, and how many facts are still to be fetched. With an
/// error go the files of which the store knows nothing.
async fn save(
    hub: &Hub,
    source: &str,
    act: ActId,
    job: JobRef,
    kept: Vec<Kept>,
) -> Result<(Vec<Publication>, usize), (StoreError, Vec<Publication>)> {
    let now = hub.clock.now();
    let (mut facts, mut files) = (Vec::with_capacity(kept.len()), Vec::with_capacity(kept.len()));
    for Kept { fact, own, copy } in kept {
        let folder = format!("attestazioni/{}", fact.folder);
        let as_parked = match copy {
            Copied::Nowhere => None,
            Copied::Later => Some(Parked { temporary: String::new(), ..own.clone() }),
            Copied::Made(parked) => Some(parked),
        };
        let file = as_parked.map(|parked| publication(source, "ATTESTAZIONE", &folder, &fact.name, &parked, Some(act.0), now));
        files.extend(file.clone().filter(|file| !file.temporary.is_empty()));
        let name = format!("{}/{}", fact.folder, fact.name);
        facts.push(KeptFact { key: fact.key, name, sha256: own.sha256, size: own.len, file });
    }
    match hub.store.legal_facts_stored(act, facts, job, now).await {
        Ok(left) => Ok((files, left)),
        Err(error) => Err((error, files)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_fails_leaves_the_facts_of_other_acts_in_their_place() {
        let fail = || Err(io::Error::other("disk"));
        type Case = (Vec<io::Result<u32>>, &'static [usize], &'static [(&'static [u32], bool)]);
        let table: [Case; 5] = [
            (vec![], &[], &[]),
            (vec![Ok(1), Ok(2), Ok(3)], &[2, 1], &[(&[1, 2], false), (&[3], false)]),
            (vec![fail(), Ok(2), Ok(3)], &[2, 1], &[(&[2], true), (&[3], false)]),
            (vec![Ok(1), fail(), Ok(3)], &[2, 0, 1], &[(&[1], true), (&[], false), (&[3], false)]),
            (vec![Ok(1)], &[1, 1], &[(&[1], false), (&[], true)]),
        ];
        for (kept, counts, want) in table {
            let told = format!("{kept:?} {counts:?}");
            let dealt: Vec<(Vec<u32>, bool)> = deal(kept, counts).into_iter().map(|(good, fault)| (good, fault.is_some())).collect();
            let want: Vec<(Vec<u32>, bool)> = want.iter().map(|(good, fault)| (good.to_vec(), *fault)).collect();
            assert_eq!(dealt, want, "{told}");
        }
    }
}
