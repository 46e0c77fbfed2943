//! inotify, as a hint only: something changed in a folder, look. What it misses (other machines, a full queue, a folder made
//! meanwhile) the periodic listing finds. One instance serves all roots: the system allows few.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, PoisonError};

use notify::event::{AccessKind, AccessMode, EventKind};
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};

type Ears = Arc<Mutex<HashMap<PathBuf, SyncSender<()>>>>;

/// Wakes the thread of a root when one of its folders changes.
pub struct Hints {
    watcher: Mutex<RecommendedWatcher>,
    ears: Ears,
}

impl Hints {
    /// `None` when the system gives no instance: listings alone then do.
    pub fn start() -> Option<Hints> {
        let ears = Ears::default();
        let heard = ears.clone();
        let watcher = notify::recommended_watcher(move |event| hear(&heard, event)).ok()?;
        Some(Hints { watcher: Mutex::new(watcher), ears })
    }

    /// Wakes `ear` at every change in `folder` (not below it); false when the system gives no more watches.
    pub fn listen(&self, folder: &Path, ear: &SyncSender<()>) -> bool {
        self.ears.lock().unwrap_or_else(PoisonError::into_inner).insert(folder.to_path_buf(), ear.clone());
        self.watcher.lock().unwrap_or_else(PoisonError::into_inner).watch(folder, RecursiveMode::NonRecursive).is_ok()
    }

    /// The folder is gone.
    pub fn leave(&self, folder: &Path) {
        self.ears.lock().unwrap_or_else(PoisonError::into_inner).remove(folder);
        // It may have been forgotten with the folder.
        let _ = self.watcher.lock().unwrap_or_else(PoisonError::into_inner).unwatch(folder);
    }
}

fn hear(ears: &Ears, event: notify::Result<Event>) {
    let ears = ears.lock().unwrap_or_else(PoisonError::into_inner);
    let wake = |ear: &SyncSender<()>| {
        // A full channel means that it is already awake.
        let _ = ear.try_send(());
    };
    match event {
        Ok(event) if event.need_rescan() => ears.values().for_each(wake),
        Ok(event) if matters(&event.kind) => {
            for path in &event.paths {
                if let Some(ear) = path.parent().and_then(|folder| ears.get(folder)).or_else(|| ears.get(path)) {
                    wake(ear);
                }
            }
        }
        Ok(_) => {}
        Err(_) => ears.values().for_each(wake),
    }
}

/// Our own reads must not wake us.
fn matters(kind: &EventKind) -> bool {
    match kind {
        EventKind::Access(access) => *access == AccessKind::Close(AccessMode::Write),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use notify::event::{CreateKind, Flag};

    use super::*;

    #[test]
    fn an_overflow_wakes_everyone_and_our_own_reads_nobody() {
        let created = Event::new(EventKind::Create(CreateKind::File));
        let access = |kind| Event::new(EventKind::Access(kind));
        let table = [
            ("created in a", created.clone().add_path("/a/x.zip".into()), [true, false]),
            ("created below a", created.add_path("/a/b/x.zip".into()), [false, false]),
            ("a itself", Event::new(EventKind::Remove(notify::event::RemoveKind::Folder)).add_path("/a".into()), [true, false]),
            ("closed after writing", access(AccessKind::Close(AccessMode::Write)).add_path("/b/x.zip".into()), [false, true]),
            ("closed after reading", access(AccessKind::Close(AccessMode::Read)).add_path("/b/x.zip".into()), [false, false]),
            ("opened", access(AccessKind::Open(AccessMode::Any)).add_path("/b/x.zip".into()), [false, false]),
            ("queue full", Event::new(EventKind::Other).set_flag(Flag::Rescan), [true, true]),
        ];
        for (title, event, want) in table {
            let ((a, woken_a), (b, woken_b)) = (sync_channel(1), sync_channel(1));
            let ears: Ears = Arc::new(Mutex::new(HashMap::from([(PathBuf::from("/a"), a), (PathBuf::from("/b"), b)])));
            hear(&ears, Ok(event.clone()));
            hear(&ears, Ok(event));
            assert_eq!([woken_a.try_recv().is_ok(), woken_b.try_recv().is_ok()], want, "{title}");
            assert!(woken_a.try_recv().is_err() && woken_b.try_recv().is_err(), "{title}: one waking is enough");
        }
    }
}
