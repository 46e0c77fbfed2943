//! Figures for Prometheus: what is counted while the program runs, and the page that is read of it (text format 0.0.4).
//!
//! No label holds personal data, and each takes its values from a short list (operations, states, codes) or from the
//! configuration (enti, keys): the page cannot grow with what gestionali drop.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Upper bounds of the buckets of a call, in milliseconds. The last one is the time-out of a call; longer ones are counted in `+Inf`.
const BOUNDS_MS: [u64; 11] = [10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000];

/// How a call to a remote ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    Ok,
    /// The remote refuses the data or the sender.
    Refused,
    /// The remote asks to slow down.
    Throttled,
    /// The remote says that it is not well.
    Unavailable,
    /// No (whole) answer came.
    NoAnswer,
}

impl Outcome {
    const ALL: [Outcome; 5] = [Outcome::Ok, Outcome::Refused, Outcome::Throttled, Outcome::Unavailable, Outcome::NoAnswer];

    /// What an HTTP status tells.
    #[must_use]
    pub fn of_status(status: u16) -> Outcome {
        match status {
            200..=299 => Outcome::Ok,
            429 => Outcome::Throttled,
            408 | 500..=599 => Outcome::Unavailable,
            _ => Outcome::Refused,
        }
    }

    fn label(self) -> &'static str {
        match self {
            Outcome::Ok => "ok",
            Outcome::Refused => "refused",
            Outcome::Throttled => "throttled",
            Outcome::Unavailable => "unavailable",
            Outcome::NoAnswer => "no_answer",
        }
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    /// One more than the bounds: the last bucket is what was longer. Not cumulative.
    buckets: [u64; BOUNDS_MS.len() + 1],
    micros: u128,
    outcomes: [u64; Outcome::ALL.len()],
}

/// Calls to remotes since the start, by remote and operation. Shared by all who call.
#[derive(Debug, Default)]
pub struct Calls(Mutex<BTreeMap<(Cow<'static, str>, &'static str), Tally>>);

impl Calls {
    /// Notes a call that has ended. `remote`: `send`, `pdnd`, or the channel of a PT (`pt/name`).
    pub fn note(&self, remote: impl Into<Cow<'static, str>>, operation: &'static str, took: Duration, outcome: Outcome) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let tally = all.entry((remote.into(), operation)).or_default();
        let place = BOUNDS_MS.partition_point(|bound| Duration::from_millis(*bound) < took);
        if let Some(bucket) = tally.buckets.get_mut(place) {
            *bucket += 1;
        }
        tally.micros += took.as_micros();
        if let Some(count) = tally.outcomes.get_mut(outcome as usize) {
            *count += 1;
        }
    }

    /// Writes what was noted.
    pub fn write(&self, page: &mut Page) {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        page.family("messo_remote_calls_total", Kind::Counter, "Calls to a remote by operation and outcome, since the start.");
        for ((remote, operation), tally) in &all {
            for (outcome, count) in Outcome::ALL.iter().zip(tally.outcomes).filter(|(_, count)| *count > 0) {
                let labels = [("remote", remote.as_ref()), ("operation", *operation), ("outcome", outcome.label())];
                page.sample("messo_remote_calls_total", &labels, Value::Whole(count));
            }
        }
        page.family("messo_remote_call_duration_seconds", Kind::Histogram, "Time taken by calls to a remote, answered or not.");
        for ((remote, operation), tally) in &all {
            let mut sum = 0;
            let bounds = BOUNDS_MS.iter().map(|bound| thousandths(*bound)).chain(["+Inf".to_owned()]);
            for (bound, count) in bounds.zip(tally.buckets) {
                sum += count;
                let labels = [("remote", remote.as_ref()), ("operation", *operation), ("le", bound.as_str())];
                page.sample("messo_remote_call_duration_seconds_bucket", &labels, Value::Whole(sum));
            }
            let labels = [("remote", remote.as_ref()), ("operation", *operation)];
            let micros = u64::try_from(tally.micros).unwrap_or(u64::MAX);
            page.sample("messo_remote_call_duration_seconds_sum", &labels, Value::Micros(micros));
            page.sample("messo_remote_call_duration_seconds_count", &labels, Value::Whole(sum));
        }
    }
}

/// `2500` -> `2.5`.
fn thousandths(millis: u64) -> String {
    let text = format!("{}.{:03}", millis / 1_000, millis % 1_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// What a family holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// A value. Fractions are exact: nothing is a floating point number on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value {
    Whole(u64),
    /// Millionths: durations.
    Micros(u64),
    /// Hundredths: euro cents.
    Cents(u64),
    Flag(bool),
}

/// A page under way.
#[derive(Debug, Default)]
pub struct Page(String);

impl Page {
    /// Begins a family. `help` is one English sentence.
    pub fn family(&mut self, name: &str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// One sample of the family begun last.
    pub fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: Value) {
        self.0.push_str(name);
        for (index, (label, text)) in labels.iter().enumerate() {
            let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(self.0, "{}{label}=\"{text}\"", if index == 0 { '{' } else { ',' });
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        let _ = match value {
            Value::Whole(number) => writeln!(self.0, " {number}"),
            Value::Micros(number) => writeln!(self.0, " {}.{:06}", number / 1_000_000, number % 1_000_000),
            Value::Cents(number) => writeln!(self.0, " {}.{:02}", number / 100, number % 100),
            Value::Flag(flag) => writeln!(self.0, " {}", u8::from(flag)),
        };
    }

    /// A family of one sample without labels.
    pub fn one(&mut self, name: &str, kind: Kind, help: &str, value: Value) {
        self.family(name, kind, help);
        self.sample(name, &[], value);
    }

    /// The page.
    #[must_use]
    pub fn text(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_in_their_buckets_and_by_outcome() {
        let calls = Calls::default();
        for (ms, status) in [(10, 200), (11, 200), (40, 404), (31_000, 503), (5, 429)] {
            calls.note("send", "preload", Duration::from_millis(ms), Outcome::of_status(status));
        }
        calls.note("pdnd", "voucher", Duration::from_millis(1), Outcome::NoAnswer);
        calls.note(format!("pt/{}", "regione"), "token", Duration::from_millis(1), Outcome::Ok);
        let mut page = Page::default();
        calls.write(&mut page);
        let text = page.text();
        let of = |line: &str| {
            let found = text.lines().find(|found| found.starts_with(line)).unwrap_or_else(|| panic!("{line} in {text}"));
            found.rsplit_once(' ').unwrap().1.to_owned()
        };
        let bucket =
            |le: &str| of(&format!("messo_remote_call_duration_seconds_bucket{{remote=\"send\",operation=\"preload\",le=\"{le}\"}}"));
        let table = [("0.01", "2"), ("0.025", "3"), ("0.05", "4"), ("2.5", "4"), ("30", "4"), ("+Inf", "5")];
        for (le, want) in table {
            assert_eq!(bucket(le), want, "up to {le}");
        }
        assert_eq!(of("messo_remote_call_duration_seconds_sum{remote=\"send\",operation=\"preload\"}"), "31.066000");
        assert_eq!(of("messo_remote_call_duration_seconds_count{remote=\"send\",operation=\"preload\"}"), "5");
        for (outcome, want) in [("ok", "2"), ("refused", "1"), ("throttled", "1"), ("unavailable", "1")] {
            let line = format!("messo_remote_calls_total{{remote=\"send\",operation=\"preload\",outcome=\"{outcome}\"}}");
            assert_eq!(of(&line), want, "{outcome}");
        }
        assert_eq!(of("messo_remote_calls_total{remote=\"pt/regione\",operation=\"token\",outcome=\"ok\"}"), "1");
        assert_eq!(of("messo_remote_calls_total{remote=\"pdnd\",operation=\"voucher\",outcome=\"no_answer\"}"), "1");
    }

    #[test]
    fn values_and_labels_are_written_as_the_format_wants() {
        let table = [
            (Value::Whole(7), "7"),
            (Value::Micros(1_500_000), "1.500000"),
            (Value::Micros(42), "0.000042"),
            (Value::Cents(1_205), "12.05"),
            (Value::Flag(true), "1"),
        ];
        for (value, want) in table {
            let mut page = Page::default();
            page.sample("x", &[], value);
            assert_eq!(page.text(), format!("x {want}\n"), "{value:?}");
        }
        let mut page = Page::default();
        page.one("a_total", Kind::Counter, "Some.", Value::Whole(1));
        page.sample("b", &[("k", "a\"b\\c\nd"), ("l", "")], Value::Whole(0));
        assert_eq!(page.text(), "# HELP a_total Some.\n# TYPE a_total counter\na_total 1\nb{k=\"a\\\"b\\\\c\\nd\",l=\"\"} 0\n");
    }
}
