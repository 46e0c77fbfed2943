//! Files that were taken without a companion, remembered for some hours: a companion that comes late is of one of them, and is never
//! held against the next file of that name. Kept over restarts in `<root>/.messo/soli`, as digests: no names.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::names;
use super::settle::{AHEAD, split, stem};
use crate::clock::Clock;
use crate::domain::digest::{Hasher, Sha256};
use crate::domain::ids::BatchId;

/// Most files that are remembered, and most lines that are added before the old ones are dropped.
const MOST: usize = 20_000;
/// Longest line: seconds, three digests, an id.
const LINE: usize = 260;
/// Where it is kept.
const FILE: &str = ".messo/soli";

/// A file that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// Its folder and lower-case name.
    name: Sha256,
    /// The same without what follows the last dot.
    stem: Sha256,
    /// What it became.
    batch: BatchId,
    /// Of its bytes, when that is known.
    sha256: Option<Sha256>,
}

impl Taken {
    /// `file`: relative to `in/`.
    pub fn of(file: &Path, batch: BatchId, sha256: Option<Sha256>) -> Taken {
        let (folder, name) = split(file);
        Taken { name: mark(&folder, &name), stem: mark(&folder, stem(&name)), batch, sha256 }
    }
}

/// All of them, by their names.
#[derive(Debug, Default)]
pub struct Alone(BTreeMap<Sha256, (Duration, Taken)>);

impl Alone {
    /// It was taken then.
    pub fn add(&mut self, taken: Taken, at: Duration) {
        if self.0.len() < MOST || self.0.contains_key(&taken.name) {
            self.0.insert(taken.name, (at, taken));
        }
    }

    /// Companions of those taken long ago do not come any more.
    pub fn forget(&mut self, now: Duration) {
        self.0.retain(|_, (at, _)| now.saturating_sub(*at) < AHEAD);
    }

    /// When the last file of that name was taken.
    pub fn at(&self, file: &Path) -> Option<Duration> {
        let (folder, name) = split(file);
        self.0.get(&mark(&folder, &name)).map(|(at, _)| *at)
    }

    /// The file that a companion speaks of, which was taken before the companion `came`: its batch, and its digest when that is known.
    pub fn spoken_of(&self, companion: &Path, came: Duration) -> Option<(BatchId, Option<Sha256>)> {
        if self.0.is_empty() {
            return None;
        }
        let (folder, name) = split(companion);
        let (target, _) = names::companion_of(&name)?;
        let target = mark(&folder, target);
        let mut all = self.0.values().filter(|(at, taken)| (taken.name == target || taken.stem == target) && *at <= came);
        let found = all.next()?;
        // Of two with that stem nobody knows which is meant.
        if all.next().is_none() { Some((found.1.batch, found.1.sha256)) } else { None }
    }
}

/// The same on the share, so that a restart forgets nothing.
pub struct Notes {
    path: PathBuf,
    added: usize,
}

impl Notes {
    /// What earlier runs took in the last hours; a file that cannot be read counts as empty.
    pub fn open(root: &Path) -> (Notes, Vec<Taken>) {
        let mut notes = Notes { path: root.join(FILE), added: 0 };
        let found = notes.tidy();
        (notes, found)
    }

    /// One more. Not waited for: without it, after a restart, a companion that comes late might be taken for the next file's.
    pub fn add(&mut self, taken: &Taken) {
        if self.added >= MOST {
            self.tidy();
        }
        self.added += 1;
        if let Ok(mut file) = OpenOptions::new().create(true).append(true).open(&self.path) {
            let _ = file.write_all(line(Clock::REAL.now().as_second(), taken).as_bytes());
        }
    }

    /// Drops lines that are too old, and gives the others.
    fn tidy(&mut self) -> Vec<Taken> {
        self.added = 0;
        let mut text = String::new();
        if let Ok(file) = File::open(&self.path) {
            let _ = file.take((2 * MOST * LINE) as u64).read_to_string(&mut text);
        }
        let now = Clock::REAL.now().as_second();
        let young = |at: i64| now.saturating_sub(at).unsigned_abs() < AHEAD.as_secs();
        let kept: Vec<(i64, Taken)> = text.lines().filter_map(read).filter(|(at, _)| young(*at)).collect();
        if kept.len() < text.lines().count() {
            let text: String = kept.iter().map(|(at, taken)| line(*at, taken)).collect();
            let _ = std::fs::write(&self.path, text);
        }
        kept.into_iter().map(|(_, taken)| taken).collect()
    }
}

fn line(at: i64, taken: &Taken) -> String {
    let sha256 = taken.sha256.map_or_else(|| "-".to_owned(), |sha256| sha256.to_hex());
    format!("{at} {} {} {sha256} {}\n", taken.name, taken.stem, taken.batch)
}

fn read(line: &str) -> Option<(i64, Taken)> {
    let mut words = line.split(' ');
    let at = words.next()?.parse().ok()?;
    let (name, stem) = (Sha256::parse(words.next()?)?, Sha256::parse(words.next()?)?);
    let sha256 = match words.next()? {
        "-" => None,
        hex => Some(Sha256::parse(hex)?),
    };
    let batch = words.next()?.parse().ok()?;
    Some((at, Taken { name, stem, batch, sha256 }))
}

fn mark(folder: &Path, name: &str) -> Sha256 {
    let mut digest = Hasher::new();
    digest.update(folder.as_os_str().as_bytes());
    digest.update(b"\0");
    digest.update(name.as_bytes());
    digest.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_taken_alone_is_known_after_a_restart_and_for_some_hours() {
        let place = tempfile::tempdir().unwrap();
        std::fs::create_dir(place.path().join(".messo")).unwrap();
        let sha = Some(Sha256::of(b"bytes"));
        let (first, second) = (BatchId(crate::clock::new_uuid()), BatchId(crate::clock::new_uuid()));
        let taken = [Taken::of(Path::new("cds/Lotto.zip"), first, sha), Taken::of(Path::new("b.csv"), second, None)];
        let (mut notes, before) = Notes::open(place.path());
        assert_eq!(before, []);
        taken.iter().for_each(|taken| notes.add(taken));
        let path = place.path().join(FILE);
        let written = std::fs::read_to_string(&path).unwrap();
        assert!(!written.to_ascii_lowercase().contains("lotto"), "no names: {written}");
        let old = line(Clock::REAL.now().as_second() - 5 * 3_600, &taken[0]);
        std::fs::write(&path, format!("{old}{written}1 2 3\nrotto")).unwrap();
        let (_, before) = Notes::open(place.path());
        assert_eq!(before, taken);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), written, "what is old or torn is dropped");

        let mut alone = Alone::default();
        before.into_iter().for_each(|taken| alone.add(taken, Duration::ZERO));
        let table = [
            ("cds/lotto.zip.sha256", Some((first, sha))),
            ("cds/LOTTO.md5", Some((first, sha))),
            ("lotto.zip.sha256", None),
            ("b.csv.md5", Some((second, None))),
            ("c.ok", None),
        ];
        for (companion, want) in table {
            assert_eq!(alone.spoken_of(Path::new(companion), Duration::ZERO), want, "{companion}");
        }
        assert_eq!(alone.at(Path::new("cds/LOTTO.ZIP")), Some(Duration::ZERO));
        alone.add(Taken::of(Path::new("b.xml"), first, None), Duration::ZERO);
        assert_eq!(alone.spoken_of(Path::new("b.md5"), Duration::ZERO), None, "of two with that stem nobody knows which");
        alone.forget(AHEAD);
        assert_eq!(alone.at(Path::new("b.csv")), None);
    }
}
