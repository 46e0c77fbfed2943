//! Legal facts on their way to the disk: kept by content below the data folder, and published as a copy under `attestazioni/`.
//!
//! A fact is small and a flush is dear, so facts that arrive together go together ([`Facts::place`]): one of those that wait
//! does the work of all, each flush serves many, and the store commits them in one group. Nothing waits for a group to fill.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use futures_util::future::join_all;
use jiff::Timestamp;
use tokio::sync::{Semaphore, oneshot};

use super::Hub;
use super::publish::{publication, revealed, root, tell_name_taken, told};
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
}

enum Body {
    Small(Vec<u8>),
    /// Ours, and the gestionale's.
    Written(Box<Pending>, Option<Box<Pending>>),
}

/// Takes the bytes of a download.
pub async fn arrive(hub: &Hub, fact: &LegalFactToFetch, filename: &str, mut download: Download) -> Result<Arrived, FactFault> {
    let mut small = Vec::new();
    let mut written = None;
    while let Some(chunk) = download.chunk().await.map_err(FactFault::Remote)? {
        if written.is_none() && small.len() + chunk.len() <= SMALL {
            small.extend_from_slice(&chunk);
            continue;
        }
        let (own, copy) = match &mut written {
            Some(files) => files,
            None => written.insert(begin(hub, &fact.source, &small).map_err(FactFault::Disk)?),
        };
        own.write_all(&chunk).map_err(FactFault::Disk)?;
        copy.as_mut().map_or(Ok(()), |copy| copy.write_all(&chunk)).map_err(FactFault::Disk)?;
    }
    let head = small.get(..small.len().min(64)).unwrap_or_default();
    let stem = legal_facts::name_stem(&fact.category, fact.recipient, fact.happened_at);
    let extension = legal_facts::extension(Some(filename), head, &fact.category);
    Ok(Arrived {
        key: fact.key.clone(),
        source: fact.source.clone(),
        happened_at: fact.happened_at,
        folder: legal_facts::folder(&fact.iun, fact.happened_at),
        name: legal_facts::file_name(&stem, fact.ordinal, extension),
        body: match written {
            Some((own, copy)) => Body::Written(own, copy),
            None => Body::Small(small),
        },
    })
}

type Files = (Box<Pending>, Option<Box<Pending>>);

/// Begins our file and the gestionale's with the bytes that are here.
fn begin(hub: &Hub, source: &str, bytes: &[u8]) -> io::Result<Files> {
    let mut own = Pending::begin(&hub.config.data.join(KEPT))?;
    own.write_all(bytes)?;
    let Some(root) = root(hub, source) else { return Ok((Box::new(own), None)) };
    let mut copy = Pending::begin(&root.join("attestazioni"))?;
    copy.write_all(bytes)?;
    Ok((Box::new(own), Some(Box::new(copy))))
}

/// Downloads at a time, over all channels: they have no term, and leave room for what has one.
const DOWNLOADS: usize = 48;

/// Facts on their way.
pub struct Facts {
    pub downloads: Semaphore,
    waiting: Mutex<Vec<Order>>,
    /// Who holds it works for all.
    turn: tokio::sync::Mutex<()>,
}

impl Default for Facts {
    fn default() -> Facts {
        Facts { downloads: Semaphore::new(DOWNLOADS), waiting: Mutex::default(), turn: tokio::sync::Mutex::default() }
    }
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
    /// Keeps and publishes the facts of an act, and ends its job when none is left: answers how many are. When it returns, the
    /// files and what the store says of them are on the disk.
    pub async fn place(&self, hub: &std::sync::Arc<Hub>, delivery: Delivery) -> Result<usize, FactFault> {
        let (tell, mut told) = oneshot::channel();
        self.lock().push(Order { delivery, tell });
        loop {
            tokio::select! {
                biased;
                done = &mut told => return done.unwrap_or(Err(FactFault::Store(StoreError::Stopping))),
                _turn = self.turn.lock() => {
                    let group: Vec<Order> = {
                        let mut waiting = self.lock();
                        let mut facts = 0;
                        let full = waiting.iter().position(|order| {
                            facts += order.delivery.facts.len();
                            facts > GROUP
                        });
                        let count = full.map_or(waiting.len(), |full| full.max(1));
                        waiting.drain(..count).collect()
                    };
                    if !group.is_empty() {
                        place_group(hub, group).await;
                    }
                }
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Order>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A fact whose files are on the disk, the gestionale's under a temporary name.
struct Kept {
    fact: Arrived,
    own: Parked,
    copy: Option<Parked>,
}

async fn place_group(hub: &std::sync::Arc<Hub>, group: Vec<Order>) {
    let mut orders = Vec::with_capacity(group.len());
    let (mut facts, mut counts) = (Vec::new(), Vec::with_capacity(group.len()));
    for Order { delivery: Delivery { act, job, facts: of_act }, tell } in group {
        orders.push((act, job, tell));
        counts.push(of_act.len());
        facts.extend(of_act);
    }
    let for_disk = hub.clone();
    let kept = tokio::task::spawn_blocking(move || keep(&for_disk, facts)).await.unwrap_or_default();
    let mut saved = Vec::new();
    for ((act, job, tell), (kept, fault)) in orders.into_iter().zip(deal(kept, &counts)) {
        saved.push(async move {
            match save(hub, act, job, kept).await {
                Ok((files, left)) => Some((files, (fault.map_or(Ok(left), |error| Err(FactFault::Disk(error))), tell))),
                Err(error) => {
                    let _ = tell.send(Err(FactFault::Store(error)));
                    None
                }
            }
        });
    }
    // Together, so that one commit serves all.
    let saved: Vec<_> = join_all(saved).await.into_iter().flatten().collect();
    failpoint!("fact.stored");
    let (files, tells): (Vec<_>, Vec<_>) = saved.into_iter().unzip();
    let done = publish(hub, files.into_iter().flatten().collect()).await;
    let error = done.err().map(|error| error.to_string());
    for (outcome, tell) in tells {
        let _ = tell.send(match &error {
            None => outcome,
            Some(error) => Err(FactFault::Store(StoreError::Database(error.clone()))),
        });
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

/// Writes and flushes the files of a group; ours get their names.
fn keep(hub: &Hub, facts: Vec<Arrived>) -> Vec<io::Result<Kept>> {
    let kept = hub.config.data.join(KEPT);
    let mut pending = Vec::with_capacity(facts.len() * 2);
    let mut begun: Vec<io::Result<(Arrived, bool)>> = Vec::with_capacity(facts.len());
    for mut fact in facts {
        let files = match std::mem::replace(&mut fact.body, Body::Small(Vec::new())) {
            Body::Small(bytes) => begin(hub, &fact.source, &bytes),
            Body::Written(own, copy) => Ok((own, copy)),
        };
        begun.push(files.map(|(own, copy)| {
            let published = copy.is_some();
            pending.push(*own);
            pending.extend(copy.map(|copy| *copy));
            (fact, published)
        }));
    }
    let mut parked = place::park_all(pending).into_iter();
    failpoint!("fact.parked");
    let mut touched = BTreeSet::new();
    let mut named: Vec<io::Result<Kept>> = Vec::with_capacity(begun.len());
    for one in begun {
        let one = one.and_then(|(fact, published)| {
            let lost = || io::Error::other("a file was lost");
            // Both are taken from the list before either is judged.
            let own = parked.next().ok_or_else(lost);
            let copy = if published { Some(parked.next().ok_or_else(lost)) } else { None };
            let (own, copy) = (own??, copy.transpose()?.transpose()?);
            let path = kept_path(&kept, fact.happened_at, &own.sha256);
            let folder = path.parent().unwrap_or(&kept);
            place::make_folder(folder, &mut touched)?;
            // Content addressed: the same bytes under the same name.
            std::fs::rename(kept.join(&own.temporary), &path)?;
            touched.insert(folder.to_owned());
            Ok(Kept { fact, own, copy })
        });
        named.push(one);
    }
    if let Err(error) = place::sync_folders(touched) {
        return named.into_iter().map(|one| one.and_then(|_| Err(io::Error::new(error.kind(), error.to_string())))).collect();
    }
    failpoint!("fact.kept");
    named
}

/// Tells the store of what came of one act; answers the files to be revealed, and how many facts are still to be fetched.
async fn save(hub: &Hub, act: ActId, job: JobRef, kept: Vec<Kept>) -> Result<(Vec<(PathBuf, Publication)>, usize), StoreError> {
    let now = hub.clock.now();
    let mut facts = Vec::with_capacity(kept.len());
    let mut files = Vec::with_capacity(kept.len());
    for Kept { fact, own, copy } in kept {
        let folder = format!("attestazioni/{}", fact.folder);
        let file = copy.map(|copy| publication(&fact.source, "ATTESTAZIONE", &folder, &fact.name, &copy, Some(act.0), now));
        files.extend(file.clone().zip(root(hub, &fact.source)).map(|(file, root)| (root, file)));
        let name = format!("{}/{}", fact.folder, fact.name);
        facts.push(KeptFact { key: fact.key, name, sha256: own.sha256, size: own.len, file });
    }
    let mut stored = hub.store.legal_facts_stored(act, facts, job, now).await;
    for (root, file) in &files {
        stored = told(root, std::slice::from_ref(file), stored);
    }
    stored.map(|left| (files, left))
}

/// Gives the files of a group their final names, and tells the store. What cannot have its name now gets it later
/// ([`publish::run`](super::publish::run)).
async fn publish(hub: &Hub, files: Vec<(PathBuf, Publication)>) -> Result<(), StoreError> {
    if files.is_empty() {
        return Ok(());
    }
    let outcome = tokio::task::spawn_blocking(move || reveal(files)).await.map_err(|_| StoreError::Stopping)?;
    for source in outcome.taken {
        // Somebody else put a file there: messo never overwrites.
        tell_name_taken(hub, &source, KEPT).await?;
    }
    revealed("ATTESTAZIONE");
    hub.store.published(outcome.done).await
}

#[derive(Default)]
struct Revealed {
    done: Vec<uuid::Uuid>,
    /// Gestionali in whose folders another file had the name.
    taken: Vec<String>,
}

fn reveal(files: Vec<(PathBuf, Publication)>) -> Revealed {
    let mut touched = BTreeSet::new();
    let mut out = Revealed::default();
    for (root, file) in files {
        let (staging, dir) = (root.join("attestazioni"), root.join(&file.folder));
        let named = place::make_folder(&dir, &mut touched).and_then(|()| place::reveal_into(&staging, &file.temporary, &dir, &file.name));
        let named = match named {
            // Published before, by a store of which this one is an older copy.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let same = (file.size, file.sha256);
                place::let_be(&staging.join(&file.temporary), &dir.join(&file.name), same, error)
            }
            other => other,
        };
        touched.extend([staging, dir]);
        match named {
            Ok(_) => out.done.push(file.id),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                out.done.push(file.id);
                out.taken.push(file.source);
            }
            Err(error) => tracing::error!(%error, "un'attestazione resta per ora col nome provvisorio"),
        }
    }
    if let Err(error) = place::sync_folders(touched) {
        tracing::error!(%error, "la cartella delle attestazioni non si scrive");
        out.done.clear();
    }
    out
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
