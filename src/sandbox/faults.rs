//! Faults on demand: which calls go wrong, how, and how often. Deterministic: the same file and the same order of calls
//! of an operation give the same faults.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Deserialize;

/// A group of calls, named as in a faults file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    Send,
    Preload,
    Upload,
    /// Status of a request (`GET /delivery/v2.5/requests`).
    Status,
    Detail,
    Price,
    Cancel,
    /// List of legal facts, and the metadata of one.
    Legal,
    /// Presigned GET.
    Download,
    /// Everything of streams except reading events.
    Streams,
    Events,
    /// Payment events of the PA.
    Payment,
    /// `GET /status`.
    Platform,
    /// The PDND token.
    Token,
    #[serde(rename = "*")]
    Any,
}

impl Operation {
    /// Every operation that is counted, in the order of the counters.
    pub const ALL: [Operation; 14] = [
        Operation::Send,
        Operation::Preload,
        Operation::Upload,
        Operation::Status,
        Operation::Detail,
        Operation::Price,
        Operation::Cancel,
        Operation::Legal,
        Operation::Download,
        Operation::Streams,
        Operation::Events,
        Operation::Payment,
        Operation::Platform,
        Operation::Token,
    ];

    /// Its name in files and counters.
    pub fn as_str(self) -> &'static str {
        match self {
            Operation::Send => "send",
            Operation::Preload => "preload",
            Operation::Upload => "upload",
            Operation::Status => "status",
            Operation::Detail => "detail",
            Operation::Price => "price",
            Operation::Cancel => "cancel",
            Operation::Legal => "legal",
            Operation::Download => "download",
            Operation::Streams => "streams",
            Operation::Events => "events",
            Operation::Payment => "payment",
            Operation::Platform => "platform",
            Operation::Token => "token",
            Operation::Any => "*",
        }
    }
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// Refused by the gateway before any effect.
    #[serde(rename = "429")]
    TooMany,
    /// A `Problem` of the platform before any effect.
    #[serde(rename = "500")]
    Internal,
    /// Refused by the gateway before any effect.
    #[serde(rename = "503")]
    Unavailable,
    /// Waits `ms`, then works.
    Slow,
    /// The effect happens, the connection closes without an answer.
    Lost,
    /// The connection is reset before any effect.
    Reset,
    /// The effect happens, the answer stops half-way.
    Truncated,
    /// The effect happens, the answer is JSON of another shape.
    WrongJson,
    /// Events that are read for the first time come once more later, under other numbers. Of `events` only.
    Duplicate,
    /// Events that are read for the first time come in the wrong order: the last one first. Of `events` only.
    Shuffle,
}

/// One line of the file.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    pub operation: Operation,
    pub kind: FaultKind,
    /// Share of the calls, 0.0 to 1.0.
    #[serde(default = "always")]
    pub rate: f64,
    /// Real milliseconds, for `slow`.
    #[serde(default = "one_second")]
    pub ms: u64,
    /// Spares the first so many calls of the operation.
    #[serde(default)]
    pub after: u64,
}

fn always() -> f64 {
    1.0
}

fn one_second() -> u64 {
    1_000
}

/// A faults file.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Faults {
    /// Another seed, another choice of the calls that fail.
    #[serde(default)]
    pub seed: u64,
    #[serde(default, rename = "fault")]
    pub faults: Vec<Fault>,
}

/// Why a faults file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FaultsError {
    #[error("{0}")]
    Syntax(#[from] Box<toml::de::Error>),
    #[error("guasto {index}: `rate` deve stare fra 0.0 e 1.0")]
    Rate { index: usize },
    #[error("guasto {index}: `duplicate` e `shuffle` valgono solo per l'operazione `events`")]
    OnlyEvents { index: usize },
}

impl Faults {
    /// Reads the TOML text of a faults file.
    pub fn parse(text: &str) -> Result<Faults, FaultsError> {
        let faults: Faults = toml::from_str(text).map_err(Box::new)?;
        for (index, fault) in (1..).zip(&faults.faults) {
            if !(0.0..=1.0).contains(&fault.rate) {
                return Err(FaultsError::Rate { index });
            }
            if matches!(fault.kind, FaultKind::Duplicate | FaultKind::Shuffle) && fault.operation != Operation::Events {
                return Err(FaultsError::OnlyEvents { index });
            }
        }
        Ok(faults)
    }
}

/// Calls seen and the faults still to come.
#[derive(Debug, Default)]
pub struct FaultPlan {
    faults: Faults,
    calls: [AtomicU64; Operation::ALL.len()],
    failed: AtomicU64,
}

impl FaultPlan {
    /// A plan at its first call.
    pub fn new(faults: Option<Faults>) -> FaultPlan {
        FaultPlan { faults: faults.unwrap_or_default(), ..FaultPlan::default() }
    }

    /// Counts a call and decides its fault, if any: the first line of the file that strikes.
    pub fn next(&self, operation: Operation) -> Option<(FaultKind, Duration)> {
        let number = self.calls.get(operation as usize).map_or(0, |calls| calls.fetch_add(1, Ordering::Relaxed));
        let struck = self.faults.faults.iter().enumerate().find(|(index, fault)| {
            let mine = fault.operation == operation || fault.operation == Operation::Any;
            mine && number >= fault.after && draw(self.faults.seed, *index as u64, operation as u64, number) < fault.rate
        });
        let (_, fault) = struck?;
        self.failed.fetch_add(1, Ordering::Relaxed);
        Some((fault.kind, Duration::from_millis(fault.ms)))
    }

    /// Calls per operation, and how many were struck.
    pub fn counters(&self) -> (impl Iterator<Item = (&'static str, u64)>, u64) {
        let calls = Operation::ALL.iter().zip(&self.calls).map(|(operation, calls)| (operation.as_str(), calls.load(Ordering::Relaxed)));
        (calls, self.failed.load(Ordering::Relaxed))
    }
}

/// A number in [0, 1) that depends on its arguments only.
pub fn draw(seed: u64, index: u64, operation: u64, number: u64) -> f64 {
    let mixed = mix(mix(mix(seed ^ 0x9E37_79B9_7F4A_7C15).wrapping_add(index)).wrapping_add(operation)).wrapping_add(number);
    (mix(mixed) >> 11) as f64 / (1u64 << 53) as f64
}

/// SplitMix64's finaliser.
pub fn mix(mut value: u64) -> u64 {
    value = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_file_and_strikes_the_same_calls_again() {
        let text = "seed = 7\n[[fault]]\noperation = \"send\"\nkind = \"lost\"\nrate = 0.25\nafter = 10\n\
                    [[fault]]\noperation = \"*\"\nkind = \"429\"\nrate = 0.05\n";
        let strikes = |plan: &FaultPlan| (0..1000).map(|_| plan.next(Operation::Send).map(|(kind, _)| kind)).collect::<Vec<_>>();
        let first = strikes(&FaultPlan::new(Some(Faults::parse(text).unwrap())));
        assert_eq!(first, strikes(&FaultPlan::new(Some(Faults::parse(text).unwrap()))));
        let lost = first.iter().filter(|kind| **kind == Some(FaultKind::Lost)).count();
        assert!((180..320).contains(&lost), "a quarter of 990, got {lost}");
        assert!(first[..10].iter().all(|kind| *kind != Some(FaultKind::Lost)), "the first ten are spared");
        let events = FaultPlan::new(Some(Faults::parse(text).unwrap()));
        let many = (0..1000).filter(|_| events.next(Operation::Events).is_some()).count();
        assert!((20..90).contains(&many), "a twentieth of 1000, got {many}");
    }

    #[test]
    fn refuses_what_it_cannot_obey() {
        for text in [
            "[[fault]]\noperation = \"post\"\nkind = \"lost\"",
            "[[fault]]\noperation = \"send\"\nkind = \"418\"",
            "[[fault]]\noperation = \"send\"\nkind = \"slow\"\nrate = 2.0",
            "[[fault]]\noperation = \"*\"\nkind = \"duplicate\"",
            "[[fault]]\noperation = \"streams\"\nkind = \"shuffle\"",
            "faults = 3",
        ] {
            assert!(Faults::parse(text).is_err(), "{text}");
        }
    }
}
