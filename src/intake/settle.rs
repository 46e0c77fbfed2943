//! When is a file whole? The rules, pure: listings and a monotonic time come in, steps come out.
//!
//! Only *changes* of size and time of modification count, never their age: a share's clock is not ours. A name that vanishes
//! from a listing is remembered for a while, because a share that goes away lists nothing.

use std::collections::{BTreeMap, HashMap};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::alone::{Alone, Taken};
use super::names::{self, CompanionKind, NameKind};
use crate::domain::digest::Sha256;
use crate::domain::ids::BatchId;

/// Size and time of modification: while both stay, nobody writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Bytes.
    pub size: u64,
    /// Nanoseconds since 1970, by the clock of whoever keeps the files.
    pub mtime: i128,
}

/// Why a file was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Incomplete {
    /// No bytes.
    Empty,
    /// An archive without its end.
    Unfinished,
    /// It cannot be opened: someone still holds it, or the rights are wrong.
    Locked,
    /// Still under the name that a client gives while it sends.
    TemporaryName,
    /// A companion holds no digest.
    CompanionUnreadable,
    /// A companion without its file.
    OrphanCompanion,
    /// Sent by SFTP, not to its end.
    Interrupted,
}

/// What to do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Look at the file, and take it if it is whole.
    Try { file: PathBuf, stamp: Stamp, companion: Option<(PathBuf, CompanionKind)>, stable: bool },
    /// Its file was taken before it came, without a word of it: it may go when it agrees. `sha256`: of what was taken, when that is known.
    Late { companion: PathBuf, kind: CompanionKind, sha256: Option<Sha256> },
    /// An `.ok` of that kind which did not go, and no file of that name has come since: it may go, and nobody needs to be told.
    Tidy { companion: PathBuf },
    /// A digest of that kind, and no file of that name has come since: whoever has the bytes of `batch` compares them.
    Compare { companion: PathBuf, stamp: Stamp, kind: CompanionKind, batch: BatchId },
    /// Tell that it never completed: nothing changed for `quiet`.
    GiveUp { file: PathBuf, stamp: Stamp, quiet: Duration, reason: Incomplete },
}

/// The files of one root that are not yet taken.
#[derive(Debug)]
pub struct Settling {
    window: Duration,
    incomplete_after: Duration,
    seen: BTreeMap<PathBuf, Seen>,
    /// Files whose sender said that they are whole: from when on they may be taken.
    told: BTreeMap<PathBuf, Duration>,
    alone: Alone,
}

#[derive(Debug)]
struct Seen {
    stamp: Stamp,
    /// When the name was first seen.
    first: Duration,
    /// When the stamp was first seen.
    since: Duration,
    /// No new look before this.
    next_try: Duration,
    pause: Duration,
    /// The companion it was last looked at with.
    tried_with: Option<(PathBuf, Stamp)>,
    why: Option<Incomplete>,
    /// A companion whose file was taken before it came, and what that file became.
    late: Option<BatchId>,
    reported: bool,
    gone: Option<Duration>,
}

/// Longest pause between two looks at a file that stays unfinished.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How long a vanished name is remembered.
const REMEMBER: Duration = Duration::from_secs(600);
/// A gestionale that writes the digest first writes its file within this.
const COMPARE: Duration = Duration::from_secs(300);
/// A companion that came longer than this before its file is of an earlier one of that name.
pub(super) const AHEAD: Duration = Duration::from_secs(4 * 3_600);

impl Settling {
    /// `window`: how long nothing may change; `incomplete_after`: how long until someone is told.
    pub fn new(window: Duration, incomplete_after: Duration) -> Settling {
        Settling { window, incomplete_after, seen: BTreeMap::new(), told: BTreeMap::new(), alone: Alone::default() }
    }

    /// Files whose sender said that they are whole, and from when on they may be taken: they need not stay as they are for the
    /// window, and a change of their times is none.
    pub fn told(&mut self, told: BTreeMap<PathBuf, Duration>) {
        self.told = told;
    }

    /// Takes a whole listing (paths relative to `in/`), at a time that never goes back.
    pub fn observe(&mut self, listing: &BTreeMap<PathBuf, Stamp>, now: Duration) -> Vec<Step> {
        self.remember(listing, now);
        self.alone.forget(now);
        let companions = Companions::of(listing);
        let compare_after = self.compare_after();
        let mut steps = Vec::new();
        for (path, stamp) in listing {
            let kind = kind_of(path);
            let companion = match kind {
                NameKind::Drop => companions.of_file(path).filter(|(its, _, at)| self.belongs(its, *at, path, *stamp)),
                _ => None,
            };
            let late = match kind {
                NameKind::Companion(_) if !companions.has_file(path) => self.taken_before(path),
                _ => None,
            };
            let Some(seen) = self.seen.get_mut(path) else { continue };
            let quiet = now.saturating_sub(seen.since);
            let why = match kind {
                NameKind::Junk => continue,
                NameKind::Temporary => Some(Incomplete::TemporaryName),
                NameKind::Companion(_) if companions.has_file(path) => continue,
                NameKind::Companion(kind) => {
                    // The next file of that name may be taken meanwhile: it stays the companion of the one before.
                    seen.late = seen.late.or(late.map(|(batch, _)| batch));
                    if let Some((_, sha256)) = late.filter(|_| seen.tried_with.is_none()) {
                        seen.tried_with = Some((path.clone(), *stamp));
                        steps.push(Step::Late { companion: path.clone(), kind, sha256 });
                    }
                    Some(Incomplete::OrphanCompanion)
                }
                NameKind::Drop => {
                    let stable = self.told.get(path).map_or(quiet >= self.window, |ready| now >= *ready);
                    // A companion older than its file was sent first, and says nothing about when the file ends.
                    let at_once = companion.is_some_and(|(path, _, its)| {
                        its.mtime >= stamp.mtime && seen.tried_with.as_ref().is_none_or(|(tried, then)| tried != path || *then != its)
                    });
                    if at_once || (stable && now >= seen.next_try && (stamp.size > 0 || companion.is_some())) {
                        seen.tried_with = companion.map(|(path, _, its)| (path.to_path_buf(), its));
                        let companion = companion.map(|(path, kind, _)| (path.to_path_buf(), kind));
                        steps.push(Step::Try { file: path.clone(), stamp: *stamp, companion, stable });
                        continue;
                    }
                    if stamp.size == 0 { Some(Incomplete::Empty) } else { seen.why }
                }
            };
            let patience = if seen.late.is_some() { compare_after } else { self.incomplete_after };
            if let Some(reason) = why.filter(|_| !seen.reported && quiet >= patience) {
                seen.reported = true;
                let (file, stamp) = (path.clone(), *stamp);
                steps.push(match (kind, seen.late) {
                    (NameKind::Companion(CompanionKind::Ok), Some(_)) => Step::Tidy { companion: file },
                    (NameKind::Companion(kind), Some(batch)) => Step::Compare { companion: file, stamp, kind, batch },
                    _ => Step::GiveUp { file, stamp, quiet, reason },
                });
            }
        }
        steps
    }

    /// How long a digest that came late waits for a file that it may be of, before it is held against the one that was taken.
    fn compare_after(&self) -> Duration {
        self.incomplete_after.min(COMPARE)
    }

    /// The file was looked at and is not whole.
    pub fn not_whole(&mut self, file: &Path, now: Duration, why: Incomplete) {
        if let Some(seen) = self.seen.get_mut(file) {
            seen.why = Some(why);
            seen.next_try = now + seen.pause;
            seen.pause = (seen.pause * 2).min(LONGEST_PAUSE.max(self.window));
        }
    }

    /// The file was taken (or another process took it): the name is free.
    pub fn taken(&mut self, file: &Path) {
        self.seen.remove(file);
    }

    /// The same, without a companion: one that comes late is of this file, not of the next of that name.
    pub fn taken_alone(&mut self, file: &Path, taken: Taken, now: Duration) {
        self.taken(file);
        self.alone.add(taken, now);
    }

    /// What an earlier run took so.
    pub fn took_alone(&mut self, taken: Vec<Taken>) {
        taken.into_iter().for_each(|taken| self.alone.add(taken, Duration::ZERO));
    }

    /// Whether a companion can be of that file, and not of an earlier one of that name.
    fn belongs(&self, companion: &Path, its: Stamp, file: &Path, stamp: Stamp) -> bool {
        if stamp.mtime.saturating_sub(its.mtime) > AHEAD.as_nanos() as i128 {
            return false;
        }
        let (Some(came), Some(file_came)) = (self.seen.get(companion), self.seen.get(file)) else { return true };
        let ahead = file_came.first.saturating_sub(came.since);
        let nearer_to = |taken: Duration| came.since >= taken && came.since.saturating_sub(taken) < ahead;
        ahead <= AHEAD && !self.alone.at(file).is_some_and(nearer_to)
    }

    /// The file that a companion without one speaks of, which was taken before the companion came, and its digest when that is known.
    fn taken_before(&self, companion: &Path) -> Option<(BatchId, Option<Sha256>)> {
        self.alone.spoken_of(companion, self.seen.get(companion)?.since)
    }

    /// When something may follow although nothing changes.
    pub fn next_due(&self) -> Option<Duration> {
        let due = |(path, seen): (&PathBuf, &Seen)| {
            let give_up =
                (!seen.reported).then(|| seen.since + if seen.late.is_some() { self.compare_after() } else { self.incomplete_after });
            let settled = self.told.get(path).copied().unwrap_or(seen.since + self.window);
            let look = (kind_of(path) == NameKind::Drop && seen.stamp.size > 0).then(|| seen.next_try.max(settled));
            [give_up, look].into_iter().flatten().min()
        };
        self.seen.iter().filter(|(_, seen)| seen.gone.is_none()).filter_map(due).min()
    }

    fn remember(&mut self, listing: &BTreeMap<PathBuf, Stamp>, now: Duration) {
        for (path, stamp) in listing {
            match self.seen.get_mut(path) {
                Some(seen) if seen.stamp == *stamp => seen.gone = None,
                _ if kind_of(path) == NameKind::Junk => {}
                _ => {
                    let before = self.seen.get(path).filter(|seen| seen.gone.is_none()).map(|seen| seen.first);
                    let fresh = Seen {
                        stamp: *stamp,
                        first: before.unwrap_or(now),
                        since: now,
                        next_try: now,
                        pause: self.window,
                        tried_with: None,
                        why: None,
                        late: None,
                        reported: false,
                        gone: None,
                    };
                    self.seen.insert(path.clone(), fresh);
                }
            }
        }
        self.seen.retain(|path, seen| {
            if listing.contains_key(path) {
                return true;
            }
            now.saturating_sub(*seen.gone.get_or_insert(now)) < REMEMBER
        });
    }
}

/// Uploads by SFTP that did not come to their end: told of once, when nothing changes any more.
#[derive(Debug)]
pub struct Partials {
    incomplete_after: Duration,
    /// What each is, since when, and whether it was told.
    seen: BTreeMap<PathBuf, (Stamp, Duration, bool)>,
}

impl Partials {
    /// `incomplete_after`: how long until someone is told.
    pub fn new(incomplete_after: Duration) -> Partials {
        Partials { incomplete_after, seen: BTreeMap::new() }
    }

    /// Takes a whole listing, at a time that never goes back.
    pub fn observe(&mut self, listing: &BTreeMap<PathBuf, Stamp>, now: Duration) -> Vec<Step> {
        self.seen.retain(|path, _| listing.contains_key(path));
        let mut steps = Vec::new();
        for (path, stamp) in listing {
            let seen = self.seen.entry(path.clone()).or_insert((*stamp, now, false));
            if seen.0 != *stamp {
                *seen = (*stamp, now, false);
            }
            let quiet = now.saturating_sub(seen.1);
            if !seen.2 && quiet >= self.incomplete_after && kind_of(path) != NameKind::Junk {
                seen.2 = true;
                steps.push(Step::GiveUp { file: path.clone(), stamp: *stamp, quiet, reason: Incomplete::Interrupted });
            }
        }
        steps
    }
}

fn kind_of(path: &Path) -> NameKind {
    names::kind(&names::decode(path.file_name().map(OsStrExt::as_bytes).unwrap_or_default()))
}

/// Who speaks of whom. `lotto.zip.sha256` before `lotto.sha256`, which counts only when one file alone has that stem.
struct Companions<'l> {
    /// Folder and lower-case name spoken of, to the companion; the strictest kind wins.
    by_target: HashMap<(PathBuf, String), (&'l Path, CompanionKind, Stamp)>,
    /// Folder and lower-case stem, to how many drops have it.
    stems: HashMap<(PathBuf, String), usize>,
    drops: HashMap<(PathBuf, String), ()>,
}

impl<'l> Companions<'l> {
    fn of(listing: &'l BTreeMap<PathBuf, Stamp>) -> Companions<'l> {
        let mut all = Companions { by_target: HashMap::new(), stems: HashMap::new(), drops: HashMap::new() };
        if !listing.keys().any(|path| matches!(kind_of(path), NameKind::Companion(_))) {
            return all;
        }
        for (path, stamp) in listing {
            let (folder, name) = split(path);
            match names::kind(&name) {
                NameKind::Companion(kind) => {
                    if let Some((target, _)) = names::companion_of(&name) {
                        let entry = all.by_target.entry((folder, target.to_string())).or_insert((path, kind, *stamp));
                        if kind > entry.1 {
                            *entry = (path, kind, *stamp);
                        }
                    }
                }
                NameKind::Drop => {
                    *all.stems.entry((folder.clone(), stem(&name).to_string())).or_default() += 1;
                    all.drops.insert((folder, name), ());
                }
                _ => {}
            }
        }
        all
    }

    fn of_file(&self, path: &Path) -> Option<(&'l Path, CompanionKind, Stamp)> {
        if self.by_target.is_empty() {
            return None;
        }
        let (folder, name) = split(path);
        let stem = (folder.clone(), stem(&name).to_string());
        let by_stem = || self.by_target.get(&stem).filter(|_| self.stems.get(&stem) == Some(&1));
        self.by_target.get(&(folder, name)).or_else(by_stem).copied()
    }

    fn has_file(&self, companion: &Path) -> bool {
        let (folder, name) = split(companion);
        let Some((target, _)) = names::companion_of(&name) else { return false };
        let key = (folder, target.to_string());
        self.drops.contains_key(&key) || self.stems.get(&key) == Some(&1)
    }
}

pub(super) fn split(path: &Path) -> (PathBuf, String) {
    let name = names::decode(path.file_name().map(OsStrExt::as_bytes).unwrap_or_default()).to_ascii_lowercase();
    (path.parent().unwrap_or(Path::new("")).to_path_buf(), name)
}

pub(super) fn stem(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BATCH: BatchId = BatchId(uuid::Uuid::nil());
    const WINDOW: u64 = 100;
    const LATE: u64 = 1_000;

    /// One act of a story: at this time the folder lists these files (name, size, mtime), and this follows.
    type Scene<'a> = (u64, &'a [(&'a str, u64, i128)], &'a [&'a str]);

    fn play(title: &str, scenes: &[Scene<'_>]) {
        play_after(title, &[], scenes);
    }

    /// After a run that took `before` alone.
    fn play_after(title: &str, before: &[&str], scenes: &[Scene<'_>]) {
        let mut settling = Settling::new(Duration::from_millis(WINDOW), Duration::from_millis(LATE));
        settling.took_alone(before.iter().map(|file| Taken::of(Path::new(file), BATCH, None)).collect());
        for (at, files, want) in scenes {
            let now = Duration::from_millis(*at);
            let listing = files.iter().map(|(name, size, mtime)| (PathBuf::from(name), Stamp { size: *size, mtime: *mtime })).collect();
            let mut got = Vec::new();
            for step in settling.observe(&listing, now) {
                match step {
                    Step::Try { file, companion, stable, .. } => {
                        let alone = companion.is_none();
                        let companion = companion.map_or(String::new(), |(_, kind)| format!(" {}", kind.as_str()));
                        got.push(format!("try {}{companion}{}", file.display(), if stable { "" } else { " at once" }));
                        // Whoever looks finds names with `half` unfinished.
                        if file.display().to_string().contains("half") {
                            settling.not_whole(&file, now, Incomplete::Unfinished);
                        } else if alone {
                            settling.taken_alone(&file, Taken::of(&file, BATCH, None), now);
                        } else {
                            settling.taken(&file);
                        }
                    }
                    Step::Late { companion, kind, .. } => {
                        got.push(format!("late {} {}", companion.display(), kind.as_str()));
                    }
                    Step::Compare { companion, kind, .. } => got.push(format!("compare {} {}", companion.display(), kind.as_str())),
                    Step::Tidy { companion } => got.push(format!("tidy {}", companion.display())),
                    Step::GiveUp { file, reason, .. } => got.push(format!("give up {} {reason:?}", file.display())),
                }
            }
            assert_eq!(got, *want, "{title}, at {at} ms");
        }
    }

    #[test]
    fn a_file_is_whole_when_nothing_changes_for_the_window() {
        let zip = ("a.zip", 10, 5);
        play("stable", &[(0, &[zip], &[]), (99, &[zip], &[]), (100, &[zip], &["try a.zip"]), (101, &[], &[])]);
        play(
            "growing",
            &[
                (0, &[zip], &[]),
                (90, &[("a.zip", 20, 5)], &[]),
                (150, &[("a.zip", 20, 5)], &[]),
                (190, &[("a.zip", 20, 5)], &["try a.zip"]),
            ],
        );
        play(
            "touched",
            &[
                (0, &[zip], &[]),
                (90, &[("a.zip", 10, 6)], &[]),
                (120, &[("a.zip", 10, 6)], &[]),
                (190, &[("a.zip", 10, 6)], &["try a.zip"]),
            ],
        );
        // The share's clock is an hour ahead, or stands in 1970: only changes count.
        play("skew", &[(0, &[("a.zip", 10, i128::MAX)], &[]), (100, &[("a.zip", 10, i128::MAX)], &["try a.zip"])]);
        play("same name again", &[(0, &[zip], &[]), (100, &[zip], &["try a.zip"]), (150, &[zip], &[]), (250, &[zip], &["try a.zip"])]);
    }

    #[test]
    fn a_file_that_never_completes_is_told_once_until_it_changes() {
        let half = ("half.zip", 10, 5);
        play(
            "half",
            &[
                (0, &[half], &[]),
                (100, &[half], &["try half.zip"]),
                (150, &[half], &[]),
                (200, &[half], &["try half.zip"]),
                (1000, &[half], &["try half.zip"]),
                (1001, &[half], &["give up half.zip Unfinished"]),
                (1002, &[half], &[]),
                (1100, &[("half.zip", 11, 6)], &[]),
                (1200, &[("half.zip", 11, 6)], &["try half.zip"]),
                (2150, &[("half.zip", 11, 6)], &["try half.zip"]),
                (2151, &[("half.zip", 11, 6)], &["give up half.zip Unfinished"]),
            ],
        );
        let empty = ("a.zip", 0, 5);
        play("empty", &[(0, &[empty], &[]), (500, &[empty], &[]), (1000, &[empty], &["give up a.zip Empty"]), (3000, &[empty], &[])]);
        play("share goes away", &[(0, &[empty], &[]), (1000, &[empty], &["give up a.zip Empty"]), (2000, &[], &[]), (3000, &[empty], &[])]);
    }

    #[test]
    fn temporary_names_wait_for_their_rename() {
        let part = ("a.zip.filepart", 10, 5);
        play(
            "renamed",
            &[(0, &[part], &[]), (500, &[part], &[]), (600, &[("a.zip", 10, 5)], &[]), (700, &[("a.zip", 10, 5)], &["try a.zip"])],
        );
        play("left behind", &[(0, &[part], &[]), (1000, &[part], &["give up a.zip.filepart TemporaryName"]), (1001, &[part], &[])]);
        play("junk", &[(0, &[(".DS_Store", 10, 5), ("~$a.xlsx", 1, 5)], &[]), (5000, &[(".DS_Store", 10, 5), ("~$a.xlsx", 1, 5)], &[])]);
    }

    #[test]
    fn a_companion_tells_at_once() {
        let zip = ("a.zip", 10, 5);
        let ok = ("a.zip.ok", 0, 6);
        play("full name", &[(0, &[zip], &[]), (10, &[zip, ok], &["try a.zip ok at once"])]);
        play("stem", &[(0, &[zip, ("a.sha256", 64, 6)], &["try a.zip sha256 at once"])]);
        play("letter case", &[(0, &[("A.ZIP", 10, 5), ("a.zip.MD5", 32, 6)], &["try A.ZIP md5 at once"])]);
        play("the digest wins", &[(0, &[zip, ok, ("a.zip.sha256", 64, 6)], &["try a.zip sha256 at once"])]);
        play("other folder", &[(0, &[("cds/a.zip", 10, 5), ok], &[]), (100, &[("cds/a.zip", 10, 5), ok], &["try cds/a.zip"])]);
        let two = [("a.csv", 10, 5), ("a.zip", 10, 5), ("a.ok", 0, 6)];
        play("stem of two files", &[(0, &two, &[]), (100, &two, &["try a.csv", "try a.zip"])]);
        play("sent before its file", &[(0, &[("a.zip", 10, 7), ok], &[]), (100, &[("a.zip", 10, 7), ok], &["try a.zip ok"])]);
        play("orphan waits", &[(0, &[ok], &[]), (500, &[ok, zip], &["try a.zip ok at once"])]);
        play("orphan for ever", &[(0, &[ok], &[]), (1000, &[ok], &["give up a.zip.ok OrphanCompanion"])]);
        play("empty file with ok", &[(0, &[("a.zip", 0, 5), ok], &["try a.zip ok at once"])]);
        let half = ("half.zip", 10, 5);
        play(
            "looked at again when the companion changes",
            &[
                (0, &[half, ("half.zip.md5", 0, 6)], &["try half.zip md5 at once"]),
                (10, &[half, ("half.zip.md5", 0, 6)], &[]),
                (20, &[half, ("half.zip.md5", 32, 7)], &["try half.zip md5 at once"]),
            ],
        );
    }

    #[test]
    fn a_companion_that_comes_late_is_not_of_the_next_file() {
        let (first, second) = (("a.zip", 10, 5), ("a.zip", 11, 9));
        let sha = ("a.zip.sha256", 64, 6);
        play(
            "late, then the next",
            &[
                (0, &[first], &[]),
                (100, &[first], &["try a.zip"]),
                (150, &[sha], &["late a.zip.sha256 sha256"]),
                (160, &[sha], &[]),
                (900, &[sha, second], &[]),
                (1000, &[sha, second], &["try a.zip"]),
                (1100, &[("a.zip.sha256", 64, 10)], &["late a.zip.sha256 sha256"]),
                (2100, &[("a.zip.sha256", 64, 10)], &["compare a.zip.sha256 sha256"]),
            ],
        );
        let (wrong, its) = (("wrong.zip", 10, 5), ("wrong.zip.sha256", 64, 6));
        play(
            "late, and of other bytes",
            &[
                (0, &[wrong], &[]),
                (100, &[wrong], &["try wrong.zip"]),
                (150, &[its], &["late wrong.zip.sha256 sha256"]),
                (1150, &[its], &["compare wrong.zip.sha256 sha256"]),
                (9000, &[its], &[]),
            ],
        );
        let md5 = ("a.zip.md5", 32, 6);
        play(
            "late, then the next, which waits for nothing",
            &[
                (0, &[first], &[]),
                (100, &[first], &["try a.zip"]),
                (150, &[md5], &["late a.zip.md5 md5"]),
                (900, &[md5, second], &[]),
                (1000, &[md5, second], &["try a.zip"]),
                (1150, &[md5], &["compare a.zip.md5 md5"]),
            ],
        );
        let ok = ("A.ok", 0, 6);
        play(
            "late, by its stem",
            &[(0, &[first], &[]), (100, &[first], &["try a.zip"]), (150, &[ok], &["late A.ok ok"]), (1150, &[ok], &["tidy A.ok"])],
        );
        play(
            "sent before the next",
            &[
                (0, &[first], &[]),
                (100, &[first], &["try a.zip"]),
                (800, &[sha], &["late a.zip.sha256 sha256"]),
                (850, &[sha, second], &[]),
                (950, &[sha, second], &["try a.zip sha256"]),
            ],
        );
        play(
            "sent before a file that grows for long",
            &[
                (0, &[first], &[]),
                (100, &[first], &["try a.zip"]),
                (800, &[sha], &["late a.zip.sha256 sha256"]),
                (850, &[sha, ("a.zip", 1, 8)], &[]),
                (1700, &[sha, second], &[]),
                (1800, &[sha, second], &["try a.zip sha256"]),
            ],
        );
        play_after(
            "late, a restart, then the next",
            &["a.zip"],
            &[(0, &[sha], &["late a.zip.sha256 sha256"]), (50, &[sha, second], &[]), (150, &[sha, second], &["try a.zip"])],
        );
        play_after(
            "a restart, late, then the next",
            &["a.zip"],
            &[
                (0, &[], &[]),
                (50, &[md5], &["late a.zip.md5 md5"]),
                (900, &[md5, second], &[]),
                (1000, &[md5, second], &["try a.zip"]),
                (1050, &[md5], &["compare a.zip.md5 md5"]),
            ],
        );
        let tomorrow = ("a.zip", 11, 86_400_000_000_000);
        play("of yesterday, after a restart", &[(0, &[sha, tomorrow], &[]), (100, &[sha, tomorrow], &["try a.zip"])]);
    }

    #[test]
    fn what_its_sender_said_to_be_whole_waits_only_as_long_as_told() {
        let mut settling = Settling::new(Duration::from_millis(WINDOW), Duration::from_millis(LATE));
        let at = Duration::from_millis;
        let listing = |mtime| BTreeMap::from([(PathBuf::from("a.zip"), Stamp { size: 1, mtime })]);
        settling.told(BTreeMap::from([(PathBuf::from("a.zip"), at(30))]));
        assert!(settling.observe(&listing(1), at(0)).is_empty(), "the client may still change its mind");
        assert_eq!(settling.next_due(), Some(at(30)));
        // Times set after CLOSE change nothing.
        let steps = settling.observe(&listing(2), at(31));
        assert!(matches!(steps.as_slice(), [Step::Try { stable: true, companion: None, .. }]), "{steps:?}");
        settling.told(BTreeMap::new());
        assert!(settling.observe(&listing(3), at(32)).is_empty(), "taken back: as any other file");
    }

    #[test]
    fn an_interrupted_upload_is_told_once_until_it_goes_on() {
        let mut partials = Partials::new(Duration::from_millis(LATE));
        let mut steps = |size: Option<u64>, at: u64| {
            let stamp = |size| (PathBuf::from("a.zip"), Stamp { size, mtime: 1 });
            partials.observe(&size.map(stamp).into_iter().collect(), Duration::from_millis(at)).len()
        };
        let table = [(Some(1), 0, 0), (Some(1), 999, 0), (Some(1), 1000, 1), (Some(1), 3000, 0), (Some(2), 3001, 0), (Some(2), 4001, 1)];
        for (size, at, want) in table.into_iter().chain([(None, 4002, 0), (Some(2), 4003, 0), (Some(2), 5003, 1)]) {
            assert_eq!(steps(size, at), want, "at {at} ms");
        }
    }

    #[test]
    fn says_when_to_look_again() {
        let mut settling = Settling::new(Duration::from_millis(WINDOW), Duration::from_millis(LATE));
        assert_eq!(settling.next_due(), None);
        let listing = BTreeMap::from([(PathBuf::from("a.zip"), Stamp { size: 1, mtime: 1 })]);
        settling.observe(&listing, Duration::from_millis(50));
        assert_eq!(settling.next_due(), Some(Duration::from_millis(150)));
        settling.not_whole(Path::new("a.zip"), Duration::from_millis(150), Incomplete::Unfinished);
        assert_eq!(settling.next_due(), Some(Duration::from_millis(250)));
        settling.taken(Path::new("a.zip"));
        assert_eq!(settling.next_due(), None);
    }
}
