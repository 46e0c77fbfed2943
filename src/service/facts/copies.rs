//! Copies of legal facts for the folder of their gestionale, which may lie on a share that is away or hangs. One that cannot be made
//! when its fact comes is a row (`DA_COPIARE`), and is made from ours as soon as the folder can be written again.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::{Content, GROUP, KEPT, Line, kept_path};
use crate::clock::monotonic;
use crate::outbox::place::{self, Parked, Pending};
use crate::service::Hub;
use crate::service::publish::{PublishError, revealed, root, tell_name_taken};
use crate::service::shares::{HANGS, on_share_of, on_share_within};
use crate::store::{CopyToMake, Publication, StoreError};

/// Copies that wait are made for so long before other files have their turn, and one thread writes for so long (real time).
const AT_A_TIME: Duration = Duration::from_secs(30);
const AT_ONCE: Duration = Duration::from_secs(5);
/// A kept fact that cannot be read is tried again after this (real time). Of more than so many nothing more is tried until then.
const AGAIN: Duration = Duration::from_secs(600);
const UNREAD: usize = 1_000;

/// A kept fact cannot be read: it is tried again.
const UNREADABLE: &str = "ATTESTAZIONE_NON_LEGGIBILE";
/// A kept fact is not there any more, or is another.
const LOST: &str = "ATTESTAZIONE_PERDUTA";

/// What became of the copy of a fact.
#[derive(Debug)]
pub enum Copied {
    /// Its gestionale has no folder any more.
    Nowhere,
    /// Not now.
    Later,
    /// It lies in the folder under its temporary name.
    Made(Parked),
}

/// Copies facts that have come into the folder of their gestionale: one answer each.
pub(super) async fn make(hub: &Hub, source: &str, line: &Line, patience: Duration, contents: Vec<Content>) -> Vec<Copied> {
    let count = contents.len();
    let Some(root) = root(hub, source) else { return (0..count).map(|_| Copied::Nowhere).collect() };
    if count > 0 && !line.behind.load(Ordering::Acquire) {
        let wanted = Arc::new(AtomicBool::new(true));
        let still = wanted.clone();
        let made = on_share_within(hub, source, patience, move || write(&root, contents, &still)).await;
        // Whoever is still at it leaves nothing behind.
        wanted.store(false, Ordering::Release);
        let fault = match made {
            Ok(Ok((made, None))) => return made,
            Ok(Ok((made, Some(error)))) => {
                tracing::error!(source, %error, "attestazioni non copiate nella cartella del gestionale: si riprova");
                line.behind.store(true, Ordering::Release);
                return made;
            }
            Ok(Err(error)) => PublishError::Disk(error),
            Err(error) => error,
        };
        tracing::error!(source, error = %fault, "attestazioni non copiate nella cartella del gestionale: si riprova");
        line.behind.store(true, Ordering::Release);
    }
    (0..count).map(|_| Copied::Later).collect()
}

/// A share that is away is not written beneath.
fn is_there(root: &Path) -> io::Result<()> {
    if root.join("in").is_dir() { Ok(()) } else { Err(ErrorKind::NotFound.into()) }
}

type Written = (Vec<Copied>, Option<io::Error>);

/// Writes and flushes copies while they are `wanted`; with them, why the first could not be.
fn write(root: &Path, contents: Vec<Content>, wanted: &AtomicBool) -> io::Result<Written> {
    is_there(root)?;
    let staging = root.join(KEPT);
    let (mut pending, mut begun) = (Vec::with_capacity(contents.len()), Vec::with_capacity(contents.len()));
    for content in contents {
        if !wanted.load(Ordering::Acquire) {
            return Err(ErrorKind::TimedOut.into());
        }
        let copy = Pending::begin(&staging).and_then(|mut copy| {
            match content {
                Content::Small(bytes) => copy.write_all(&bytes)?,
                Content::Written(mut own) => drop(io::copy(&mut own, &mut copy)?),
            }
            Ok(copy)
        });
        begun.push(copy.map(|copy| pending.push(copy)));
    }
    let mut parked = place::park_all(pending).into_iter();
    let mut fault = None;
    let mut made = Vec::with_capacity(begun.len());
    for one in begun {
        made.push(match one.and_then(|()| parked.next().unwrap_or_else(|| Err(io::Error::other("a file was lost")))) {
            Ok(parked) => Copied::Made(parked),
            Err(error) => {
                fault.get_or_insert(error);
                Copied::Later
            }
        });
    }
    if !wanted.load(Ordering::Acquire) {
        for copy in &made {
            if let Copied::Made(parked) = copy {
                let _ = std::fs::remove_file(staging.join(&parked.temporary));
            }
        }
    }
    Ok((made, fault))
}

/// Takes away copies of which nobody knows: a full disk has no room for them.
pub(super) async fn take_away(hub: &Hub, source: &str, patience: Duration, temporaries: Vec<String>) {
    let Some(root) = root(hub, source).filter(|_| !temporaries.is_empty()) else { return };
    let staging = root.join(KEPT);
    let taken = on_share_within(hub, source, patience, move || {
        temporaries.iter().for_each(|temporary| drop(std::fs::remove_file(staging.join(temporary))));
    });
    if let Err(error) = taken.await {
        tracing::warn!(source, %error, "copie provvisorie di attestazioni restano fino al prossimo avvio");
    }
}

/// Gives the files of a group their final names, and tells the store. What cannot have its name now gets it later
/// ([`publish::run`](crate::service::publish::run)).
pub(super) async fn publish(hub: &Hub, source: &str, patience: Duration, files: Vec<Publication>) -> Result<(), StoreError> {
    let Some(root) = root(hub, source).filter(|_| !files.is_empty()) else { return Ok(()) };
    let outcome = match on_share_within(hub, source, patience, move || reveal(&root, files)).await {
        Ok(outcome) => outcome,
        Err(error) => {
            tracing::error!(source, %error, "le attestazioni restano per ora col nome provvisorio");
            return Ok(());
        }
    };
    if outcome.taken {
        // Somebody else put a file there: messo never overwrites.
        tell_name_taken(hub, source, KEPT).await?;
    }
    revealed("ATTESTAZIONE");
    hub.store.published(outcome.done).await
}

#[derive(Default)]
struct Revealed {
    done: Vec<Uuid>,
    /// Another file had the name of one of them.
    taken: bool,
}

fn reveal(root: &Path, files: Vec<Publication>) -> Revealed {
    let mut touched = BTreeSet::new();
    let mut out = Revealed::default();
    let staging = root.join(KEPT);
    // Without its folder nothing is known of a file: the share is away.
    if !staging.is_dir() {
        return out;
    }
    for file in files {
        let dir = root.join(&file.folder);
        let named = place::make_folder(&dir, &mut touched).and_then(|()| place::reveal_into(&staging, &file.temporary, &dir, &file.name));
        let named = match named {
            // Published before, by a store of which this one is an older copy.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                let same = (file.size, file.sha256);
                place::let_be(&staging.join(&file.temporary), &dir.join(&file.name), same, error)
            }
            other => other,
        };
        touched.extend([staging.clone(), dir]);
        match named {
            Ok(_) => out.done.push(file.id),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                out.done.push(file.id);
                out.taken = true;
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

/// Makes the copies that wait, from our own files, and publishes them. Answers whether none is left but of files that we cannot read:
/// those keep nobody waiting, operators are told of them once, and they are tried again now and then.
pub async fn later(hub: &Hub, source: &str) -> Result<bool, PublishError> {
    let Some(root) = root(hub, source) else { return Ok(true) };
    let (line, begun) = (hub.facts.line(source), monotonic());
    loop {
        let unread = line.forget_tried();
        let mut waiting = hub.store.copies_to_make(source, GROUP + unread.len()).await?;
        waiting.retain(|copy| !unread.contains(&copy.file.id));
        waiting.truncate(GROUP);
        line.behind.store(!waiting.is_empty(), Ordering::Release);
        if waiting.is_empty() {
            return Ok(true);
        }
        // What is left is there at the next start; a disk of which so much cannot be read is left alone for a while.
        if hub.stopping.is_cancelled() || begun.elapsed() > AT_A_TIME || unread.len() >= UNREAD {
            return Ok(false);
        }
        let (root, kept) = (root.clone(), hub.config.data.join(KEPT));
        let Again { made, past, lost, unread } = on_share_of(hub, source, move || copy_kept(&root, &kept, waiting)).await??;
        let told = hub.store.copies_made(made.iter().map(|file| (file.id, file.temporary.clone())).collect()).await;
        if let Err(error) = told {
            // Made again another time: what lies there now would be left there, each time more of it.
            if !matches!(error, StoreError::Stopping) {
                take_away(hub, source, HANGS, made.into_iter().map(|file| file.temporary).collect()).await;
            }
            return Err(error.into());
        }
        publish(hub, source, HANGS, made).await?;
        hub.store.published(past).await?;
        if !lost.is_empty() {
            hub.store.copies_given_up(lost, LOST, hub.clock.now()).await?;
        }
        if !unread.is_empty() {
            hub.store.copies_not_made(unread.clone(), UNREADABLE, hub.clock.now()).await?;
            line.tried(unread);
        }
    }
}

impl Line {
    fn unread(&self) -> MutexGuard<'_, BTreeMap<Uuid, Instant>> {
        self.unread.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tried(&self, unread: Vec<Uuid>) {
        self.unread().extend(unread.into_iter().map(|id| (id, monotonic())));
    }

    /// Forgets those that are to be tried again, and gives the others.
    fn forget_tried(&self) -> BTreeSet<Uuid> {
        let mut unread = self.unread();
        unread.retain(|_, tried| tried.elapsed() < AGAIN);
        unread.keys().copied().collect()
    }
}

#[derive(Default)]
struct Again {
    /// With their temporary names.
    made: Vec<Publication>,
    /// Deleted here while they waited, their term having passed.
    past: Vec<Uuid>,
    /// Of which we have no file any more.
    lost: Vec<Uuid>,
    /// Of which we cannot read the file.
    unread: Vec<Uuid>,
}

/// A file of ours: whether it was that which could not be read, or the copy that could not be written.
struct Own {
    file: File,
    failed: bool,
}

impl Read for Own {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer);
        self.failed |= read.as_ref().is_err_and(|error| error.kind() != ErrorKind::Interrupted);
        read
    }
}

/// Copies kept facts, as many as there is time for, and one at least.
fn copy_kept(root: &Path, kept: &Path, waiting: Vec<CopyToMake>) -> io::Result<Again> {
    is_there(root)?;
    let (staging, begun) = (root.join(KEPT), monotonic());
    let (mut files, mut pending, mut out) = (Vec::new(), Vec::new(), Again::default());
    let mut fault = None;
    for CopyToMake { file, happened_at } in waiting {
        if begun.elapsed() > AT_ONCE && !pending.is_empty() {
            break;
        }
        let own = happened_at.map(|at| File::open(kept_path(kept, at, &file.sha256)));
        let mut own = match own {
            Some(Ok(file)) => Own { file, failed: false },
            // Its term passed while it waited.
            None => {
                out.past.push(file.id);
                continue;
            }
            Some(Err(error)) if error.kind() == ErrorKind::NotFound => {
                tracing::error!(publication.id = %file.id, "un'attestazione non è più fra quelle conservate: non può essere copiata");
                out.lost.push(file.id);
                continue;
            }
            // One that cannot be read keeps none of the others waiting.
            Some(Err(error)) => {
                tracing::error!(publication.id = %file.id, %error, "un'attestazione conservata non si legge");
                out.unread.push(file.id);
                continue;
            }
        };
        let mut copy = Pending::begin(&staging)?;
        if let Err(error) = io::copy(&mut own, &mut copy) {
            tracing::error!(publication.id = %file.id, %error, "un'attestazione conservata non si copia");
            if own.failed {
                out.unread.push(file.id);
            } else {
                fault = fault.or(Some(error));
            }
            continue;
        }
        if copy.sha256() != file.sha256 {
            tracing::error!(publication.id = %file.id, "un'attestazione conservata non è più quella ricevuta: non può essere copiata");
            out.lost.push(file.id);
            continue;
        }
        pending.push(copy);
        files.push(file);
    }
    for (file, parked) in files.into_iter().zip(place::park_all(pending)) {
        match parked {
            Ok(parked) => out.made.push(Publication { temporary: parked.temporary, ..file }),
            Err(error) => fault = fault.or(Some(error)),
        }
    }
    // What could be done is written down first: the others come again.
    let nothing = out.made.is_empty() && out.past.is_empty() && out.lost.is_empty() && out.unread.is_empty();
    fault.filter(|_| nothing).map_or(Ok(out), Err)
}

#[cfg(test)]
mod tests;
