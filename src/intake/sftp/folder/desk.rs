//! Who is at what in `in/`, and what was there a moment ago.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::path::{self, Rel};
use super::shared::below;
use super::upload::Upload;
use crate::clock::monotonic;
use crate::intake::arrivals::Arrived;

/// Most files that are remembered after they were taken.
const MAX_KNOWN: usize = 20_000;

/// Who is at what. Whoever holds it never waits for an upload's own lock.
#[derive(Default)]
pub struct Desk {
    pub uploads: HashMap<Rel, Open>,
    known: HashMap<Rel, Known>,
    /// When what is known is to be forgotten.
    queue: VecDeque<(Instant, Rel)>,
    /// Folded path to path, of what is known or open, or was: the file may wait for longer than it is remembered.
    folds: HashMap<String, Rel>,
    /// What is no more known and has kept its place in `folds`, the oldest first.
    faded: VecDeque<Rel>,
    /// When what waits was last counted, and how long that took.
    pub counted: Option<(Instant, Duration)>,
}

/// A file that is being written.
pub struct Open {
    pub upload: Arc<Upload>,
    pub session: u64,
    pub handles: usize,
    /// One of its handles was not closed.
    pub dropped: bool,
    /// The last handle is gone; it is being flushed.
    pub ending: bool,
}

/// A file that a client put, or that waited at the start: shown for a while after the hub took it.
#[derive(Clone, Copy)]
pub struct Known {
    pub arrived: Arrived,
    until: Instant,
}

impl Desk {
    /// The path of a file whose name is taken for that of `rel`.
    pub fn like(&self, rel: &Rel) -> Option<&Rel> {
        self.folds.get(&folded(rel))
    }

    pub fn known(&self, rel: &Rel) -> Option<Known> {
        self.known.get(rel).filter(|known| known.until > monotonic()).copied()
    }

    /// A client put or renamed it: for `grace` it is shown even if it is no more there.
    pub fn know(&mut self, rel: Rel, arrived: Arrived, grace: Duration) {
        let until = monotonic() + grace;
        self.folds.insert(folded(&rel), rel.clone());
        self.queue.push_back((until, rel.clone()));
        self.known.insert(rel, Known { arrived, until });
        self.sweep();
    }

    /// Keeps its name against names that differ only by case.
    pub fn hold(&mut self, rel: &Rel) {
        self.folds.insert(folded(rel), rel.clone());
    }

    pub fn forget(&mut self, rel: &Rel) -> Option<Known> {
        let fold = folded(rel);
        if self.folds.get(&fold) == Some(rel) {
            self.folds.remove(&fold);
        }
        self.known.remove(rel)
    }

    pub fn touch(&mut self, rel: &Rel, mtime: i128) {
        if let Some(known) = self.known.get_mut(rel) {
            known.arrived.mtime = mtime;
        }
    }

    pub fn sweep(&mut self) {
        let now = monotonic();
        while let Some((until, _)) = self.queue.front()
            && (*until <= now || self.queue.len() > MAX_KNOWN)
        {
            let Some((until, rel)) = self.queue.pop_front() else { break };
            if self.known.get(&rel).is_some_and(|known| known.until == until) && !self.uploads.contains_key(&rel) {
                self.known.remove(&rel);
                self.faded.push_back(rel);
            }
        }
        while self.faded.len() > MAX_KNOWN
            && let Some(rel) = self.faded.pop_front()
        {
            if !self.known.contains_key(&rel) && !self.uploads.contains_key(&rel) {
                self.forget(&rel);
            }
        }
    }

    /// Names of a folder that may have been taken, with what they were: the first `most` after `after`, in order.
    pub fn known_in(&self, folder: &str, after: Option<&str>, most: usize) -> Vec<(String, Known)> {
        let now = monotonic();
        let here = self.known.iter().filter(|(rel, known)| rel.parent() == folder && known.until > now);
        let mut here: Vec<_> = here.filter(|(rel, _)| after.is_none_or(|after| rel.name() > after)).collect();
        if most < here.len() {
            here.select_nth_unstable_by_key(most, |(rel, _)| rel.name());
            here.truncate(most);
        }
        here.sort_unstable_by_key(|(rel, _)| rel.name());
        here.into_iter().map(|(rel, known)| (rel.name().to_owned(), *known)).collect()
    }
}

fn folded(rel: &Rel) -> String {
    below(rel.parent(), &path::fold(rel.name()))
}
