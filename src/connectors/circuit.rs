//! A circuit per (ente, remote): after repeated outages the remote is left alone, then tried with one call.
//!
//! Pure: time is an argument, results are told. The caller decides what is an outage
//! ([`ConnectorError::is_outage`](super::ConnectorError::is_outage)).

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// When a circuit opens, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CircuitPolicy {
    /// Outages in a row that open it.
    pub failures: u32,
    /// First pause; it doubles with every failed probe.
    pub pause: Duration,
    /// Longest pause.
    pub longest: Duration,
    /// A probe that told nothing for this long is taken for lost, and another is let through.
    pub probe_lost_after: Duration,
}

impl Default for CircuitPolicy {
    fn default() -> Self {
        CircuitPolicy {
            failures: 5,
            pause: Duration::from_secs(5),
            longest: Duration::from_secs(300),
            probe_lost_after: Duration::from_secs(120),
        }
    }
}

/// What to do with a call now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    Pass,
    /// Pass: it is the one call that tries whether the remote is back.
    Probe,
    /// Not before this instant.
    Wait(Timestamp),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Outages in a row so far.
    Closed { outages: u32 },
    /// Left alone; `pause` is the one that is running.
    Open { until: Timestamp, pause: Duration },
    /// One call is out; nobody else before `lost_at`.
    HalfOpen { lost_at: Timestamp, pause: Duration },
}

/// The state of one circuit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Circuit {
    policy: CircuitPolicy,
    state: State,
}

impl Circuit {
    /// A closed circuit.
    pub fn new(policy: CircuitPolicy) -> Circuit {
        Circuit { policy, state: State::Closed { outages: 0 } }
    }

    /// Whether a call may go now. [`Admission::Probe`] is given once: its result must be reported.
    pub fn admit(&mut self, now: Timestamp) -> Admission {
        match self.state {
            State::Closed { .. } => Admission::Pass,
            State::Open { until, .. } if self.lies_ahead(until, now) => Admission::Wait(until),
            State::HalfOpen { lost_at, .. } if self.lies_ahead(lost_at, now) => Admission::Wait(lost_at),
            State::Open { pause, .. } | State::HalfOpen { pause, .. } => {
                self.state = State::HalfOpen { lost_at: after(now, self.policy.probe_lost_after), pause };
                Admission::Probe
            }
        }
    }

    /// Takes the result of a call. Returns whether the circuit has just opened or closed: somebody may want to be told.
    pub fn report(&mut self, now: Timestamp, outage: bool) -> bool {
        let (next, changed) = match (self.state, outage) {
            // A late answer of a call begun before the circuit opened counts too: the remote is back.
            (State::Closed { .. }, false) => (State::Closed { outages: 0 }, false),
            (State::Open { .. } | State::HalfOpen { .. }, false) => (State::Closed { outages: 0 }, true),
            (State::Closed { outages }, true) if outages + 1 < self.policy.failures => (State::Closed { outages: outages + 1 }, false),
            (State::Closed { .. }, true) => (self.open(now, self.policy.pause), true),
            // Late failures of calls begun before say nothing new.
            (open @ State::Open { .. }, true) => (open, false),
            (State::HalfOpen { pause, .. }, true) => (self.open(now, pause.saturating_mul(2).min(self.policy.longest)), false),
        };
        self.state = next;
        changed
    }

    /// Whether calls are being held back.
    pub fn is_open(&self) -> bool {
        !matches!(self.state, State::Closed { .. })
    }

    /// Whether an instant of ours is still to come. One further off than any pause was set before the clock went back.
    fn lies_ahead(&self, until: Timestamp, now: Timestamp) -> bool {
        now < until && until <= after(now, self.policy.longest.max(self.policy.probe_lost_after))
    }

    fn open(&self, now: Timestamp, pause: Duration) -> State {
        State::Open { until: after(now, pause), pause }
    }
}

fn after(now: Timestamp, wait: Duration) -> Timestamp {
    let wait = SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX);
    now.checked_add(wait).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    enum Do {
        Admit(Admission),
        /// (outage, changed)
        Report(bool, bool),
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_close_the_way_for_an_hour() {
        let now: Timestamp = "2026-11-23T10:00:00Z".parse().unwrap();
        let mut circuit = Circuit::new(CircuitPolicy::default());
        for _ in 0..5 {
            circuit.report(now, true);
        }
        assert!(matches!(circuit.admit(now), Admission::Wait(_)));
        let back = now - SignedDuration::from_hours(1);
        assert_eq!(circuit.admit(back), Admission::Probe);
        assert!(matches!(circuit.admit(back), Admission::Wait(_)), "one probe");
        circuit.report(back, false);
        assert_eq!(circuit.admit(back), Admission::Pass);
    }

    #[test]
    fn opens_after_failures_in_a_row_and_closes_on_a_good_probe() {
        use Admission::{Pass, Probe, Wait};
        use Do::{Admit, Report};
        let policy = CircuitPolicy {
            failures: 3,
            pause: Duration::from_secs(10),
            longest: Duration::from_secs(30),
            probe_lost_after: Duration::from_secs(100),
        };
        let mut circuit = Circuit::new(policy);
        let story = [
            (0, Admit(Pass), "closed"),
            (0, Report(true, false), "first outage"),
            (1, Report(true, false), "second"),
            (2, Report(false, false), "an answer resets the count"),
            (3, Report(true, false), "first again"),
            (3, Report(true, false), "second again"),
            (4, Report(true, true), "third: opens"),
            (5, Admit(Wait(at(14))), "left alone"),
            (6, Report(true, false), "late failure changes nothing"),
            (14, Admit(Probe), "one tries"),
            (15, Admit(Wait(at(114))), "the others wait for it"),
            (16, Report(true, false), "still down: pause doubles"),
            (17, Admit(Wait(at(36))), "20 s from 16"),
            (36, Admit(Probe), "second probe"),
            (40, Report(true, false), "down: 30 s is the longest"),
            (41, Admit(Wait(at(70))), "30 s from 40"),
            (70, Admit(Probe), "third probe is lost"),
            (169, Admit(Wait(at(170))), "waiting for it"),
            (170, Admit(Probe), "another one"),
            (171, Report(false, true), "back: closes"),
            (171, Admit(Pass), "closed"),
            (172, Report(true, false), "counts from nothing"),
        ];
        for (second, step, why) in story {
            match step {
                Admit(want) => assert_eq!(circuit.admit(at(second)), want, "at {second}: {why}"),
                Report(outage, want) => assert_eq!(circuit.report(at(second), outage), want, "at {second}: {why}"),
            }
        }
        assert!(!circuit.is_open());
    }

    #[test]
    fn a_late_good_answer_closes_an_open_circuit() {
        let mut circuit = Circuit::new(CircuitPolicy { failures: 1, ..CircuitPolicy::default() });
        assert!(circuit.report(at(0), true));
        assert!(circuit.is_open());
        assert!(circuit.report(at(1), false));
        assert_eq!(circuit.admit(at(1)), Admission::Pass);
    }
}
