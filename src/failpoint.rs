//! Named points at which a test may stop this process as a power cut would: `failpoint!("outcome.prepared")`.
//!
//! Always compiled, so that the program under test is the program that is shipped. Without `MESSO_FAIL_AT` in the environment
//! a point is one load of memory. With it, the process sends itself SIGKILL, from which nothing is cleaned up:
//!
//! - `outcome.prepared`: the first time that point is reached; `outcome.prepared:3`: the third time;
//! - `*:p=0.02:seed=7`: at any point with that probability, drawn from a sequence that depends on the seed only.
//!
//! Each list below is gone through by a test of its own: every point of it must be reached, and a point in no list does not compile.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::process::{Signal, getpid, kill_process};

/// The variable that arms a point. Never set in service.
pub const VARIABLE: &str = "MESSO_FAIL_AT";

/// Every point, roughly in the order in which a drop meets them.
pub const POINTS: &[&str] = &[
    // A drop is taken in.
    "claim.renamed",
    "claim.journaled",
    "archive.linked",
    "archive.kept",
    "staging.begun",
    "staging.chunk",
    "batch.finished",
    "batch.started",
    // A drop that never ends.
    "incomplete.told",
    "incomplete.journaled",
    "incomplete.finished",
    // Its receipt and its rejects.
    "receipt.parked",
    "receipt.prepared",
    "receipt.revealed",
    "reject.writing",
    "reject.parked",
    "reject.prepared",
    "reject.revealed",
    // Its acts are sent.
    "upload.preloaded",
    "upload.uploaded",
    "upload.saved",
    "send.before",
    "send.answered",
    "cancel.answered",
    // What SEND tells.
    "stream.made",
    "events.received",
    "events.recorded",
    "price.answered",
    // What the gestionale reads.
    "fact.parked",
    "fact.kept",
    "fact.stored",
    "fact.revealed",
    "outcome.parked",
    "outcome.prepared",
    "outcome.between",
    "outcome.revealed",
    "index.parked",
    "index.prepared",
    "index.revealed",
    // The disk itself.
    "place.flushed",
    "place.renamed",
    // A start after a crash.
    "recover.revealed",
];

/// The points that only a drop by SFTP meets, in that order.
pub const SFTP_POINTS: &[&str] = &[
    // Bytes of it are in the file; its client has not been told.
    "sftp.written",
    // All its bytes are on the disk, under the staged name.
    "sftp.flushed",
    // It has its name in `in/`; the folder is not flushed.
    "sftp.entered",
    // The watcher knows of it; CLOSE is not answered.
    "sftp.announced",
    // An answer was given to SSH.
    "sftp.answered",
    // A file in `in/` has a new name; the folder is not flushed.
    "sftp.renamed",
    // A whole file was taken out of `in/` to be written again.
    "sftp.taken_back",
];

/// The points that only mails meet, in that order.
pub const MAIL_POINTS: &[&str] = &[
    // Alerts have become mails; none is on its way.
    "mail.collected",
    // It is known that a mail may go; the server has nothing of it.
    "mail.offered",
    // The server has said that it is taken; the store does not know.
    "mail.answered",
    "mail.recorded",
];

/// The points that a nightly export meets, in that order: `tests/export_crash.rs` goes through them.
pub const EXPORT_POINTS: &[&str] = &[
    // Some of its rows are in the temporary files.
    "export.page",
    // Both files lie whole under temporary names.
    "export.parked",
    // The store knows of them.
    "export.prepared",
    // One of the two has its name.
    "export.between",
    // A file has its name; the store has not been told.
    "export.revealed",
];

/// The points of a position (an act judged by it, an amount on its way to a PT, a payment on its way to SEND), in that order: `tests/positions_crash.rs` goes through them.
pub const AMOUNT_POINTS: &[&str] = &[
    // All that the PTs said of an act is there; it is not judged.
    "prepare.looked",
    // It was judged: it goes to SEND, waits or comes back.
    "prepare.judged",
    // It was computed; nothing is saved.
    "amount.reckoned",
    // It is known that the PT may be told.
    "amount.offered",
    // The PT has answered; the store does not know.
    "amount.answered",
    // The PT was read back; the store does not know.
    "amount.read",
    // The PT told a payment, which is kept; the question that it answered is not over.
    "payment.kept",
    // SEND was told of a payment; the store does not know.
    "payment.answered",
];

/// The points of a copy and of its restore (`tests/backup.rs`).
pub const BACKUP_POINTS: &[&str] = &[
    // The store is copied.
    "backup.copied",
    // So are archives and attestations; there is no manifest yet.
    "backup.contents",
    // The manifest is on the disk; the copy has not its name.
    "backup.whole",
    // A copy is back and holds what is sent.
    "restore.begun",
    // What came after it is read; the marker is still there.
    "restore.read",
];

/// The points of a deletion of personal data, in the order in which it meets them.
pub const ERASE_POINTS: &[&str] = &[
    // It was decided which acts lose their data.
    "erase.begun",
    // Nothing of them can be read in the archive; their rows are still there.
    "erase.bytes",
    // The rows of the acts are gone, those of their batches are not.
    "erase.rows",
    // All is gone, and the database was not written anew.
    "erase.ended",
];

/// Every list.
const LISTS: &[&[&str]] = &[POINTS, SFTP_POINTS, MAIL_POINTS, EXPORT_POINTS, BACKUP_POINTS, ERASE_POINTS, AMOUNT_POINTS];

/// Whether `name` is in one of the lists, asked while compiling.
pub const fn is_known(name: &str) -> bool {
    let mut lists = LISTS;
    while let [list, rest @ ..] = lists {
        if is_in(list, name) {
            return true;
        }
        lists = rest;
    }
    false
}

const fn is_in(mut left: &[&str], name: &str) -> bool {
    while let [first, rest @ ..] = left {
        if same(first.as_bytes(), name.as_bytes()) {
            return true;
        }
        left = rest;
    }
    false
}

const fn same(mut a: &[u8], mut b: &[u8]) -> bool {
    while let ([x, a_rest @ ..], [y, b_rest @ ..]) = (a, b) {
        if *x != *y {
            return false;
        }
        (a, b) = (a_rest, b_rest);
    }
    a.is_empty() && b.is_empty()
}

/// A point of one of the lists: nothing, unless `MESSO_FAIL_AT` arms it.
macro_rules! failpoint {
    ($name:literal) => {{
        const { assert!($crate::failpoint::is_known($name), "a point that is in no list of failpoint") };
        $crate::failpoint::reached($name);
    }};
}

/// What the variable says.
#[derive(Debug)]
enum Plan {
    At { name: String, time: u64, seen: AtomicU64 },
    Anywhere { probability: f64, seed: u64, drawn: AtomicU64 },
}

static PLAN: OnceLock<Option<Plan>> = OnceLock::new();

/// Stops the process here if the plan says so. Use `failpoint!`.
pub fn reached(name: &str) {
    let plan = PLAN.get_or_init(|| {
        let text = std::env::var(VARIABLE).ok()?;
        let plan = Plan::parse(&text);
        if plan.is_none() {
            eprintln!("{VARIABLE}: `{text}` non è un punto di arresto");
        }
        plan
    });
    if let Some(plan) = plan
        && plan.strikes(name)
    {
        // Written straight to the descriptor: nothing is flushed after this.
        eprintln!("{VARIABLE}: arresto a {name}");
        let _ = kill_process(getpid(), Signal::KILL);
        // Reached only if the signal could not be sent.
        std::process::abort();
    }
}

impl Plan {
    fn parse(text: &str) -> Option<Plan> {
        let mut parts = text.split(':');
        let name = parts.next()?;
        if name != "*" {
            let time = parts.next().map_or(Some(1), |time| time.parse().ok())?;
            return (is_known(name) && time > 0).then(|| Plan::At { name: name.to_owned(), time, seen: AtomicU64::new(0) });
        }
        let (mut probability, mut seed) = (None, 0);
        for part in parts {
            match part.split_once('=')? {
                ("p", value) => probability = value.parse().ok().filter(|p| (0.0..=1.0).contains(p)),
                ("seed", value) => seed = value.parse().ok()?,
                _ => return None,
            }
        }
        Some(Plan::Anywhere { probability: probability?, seed, drawn: AtomicU64::new(0) })
    }

    fn strikes(&self, point: &str) -> bool {
        match self {
            Plan::At { name, time, seen } => name == point && seen.fetch_add(1, Ordering::Relaxed) + 1 == *time,
            Plan::Anywhere { probability, seed, drawn } => {
                let number = drawn.fetch_add(1, Ordering::Relaxed);
                let share = (mix(mix(*seed).wrapping_add(number)) >> 11) as f64 / (1u64 << 53) as f64;
                share < *probability
            }
        }
    }
}

/// SplitMix64.
fn mix(value: u64) -> u64 {
    let mut value = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_is_read_as_documented() {
        let strikes = |text: &str, point: &str| Plan::parse(text).map(|plan| (0..4).map(|_| plan.strikes(point)).collect::<Vec<_>>());
        let table = [
            ("send.before", "send.before", Some(vec![true, false, false, false])),
            ("send.before:3", "send.before", Some(vec![false, false, true, false])),
            ("send.before", "send.answered", Some(vec![false; 4])),
            ("*:p=1", "send.before", Some(vec![true; 4])),
            ("*:p=0:seed=7", "send.before", Some(vec![false; 4])),
            ("send.befor", "send.before", None),
            ("send.before:0", "send.before", None),
            ("send.before:x", "send.before", None),
            ("*", "send.before", None),
            ("*:p=2", "send.before", None),
            ("*:q=1:p=1", "send.before", None),
            ("", "send.before", None),
        ];
        for (text, point, want) in table {
            assert_eq!(strikes(text, point), want, "{text:?} at {point}");
        }
    }

    #[test]
    fn the_same_seed_draws_the_same_strikes() {
        let draw = |seed: u64| {
            let plan = Plan::parse(&format!("*:p=0.1:seed={seed}")).unwrap();
            (0..1_000).map(|_| plan.strikes("send.before")).collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
        let struck = draw(7).into_iter().filter(|struck| *struck).count();
        assert!((60..150).contains(&struck), "a tenth of 1000, got {struck}");
    }

    #[test]
    fn points_are_named_once() {
        let all: Vec<&str> = LISTS.iter().flat_map(|list| list.iter()).copied().collect();
        for (index, point) in all.iter().enumerate() {
            assert!(!all[..index].contains(point), "{point}");
        }
    }
}
