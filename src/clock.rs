//! The two clocks of the house.
//!
//! [`Clock`] is business time: every date that is stored, printed, leased or retried. It may run faster than real time
//! (`demo`, `sandbox`, tests), never with a remote that is not on loopback. [`monotonic`] is for time-outs of I/O only.

use std::str::FromStr;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

/// Business time: equal to real time at `origin`, and `factor` times as fast since.
///
/// Two processes that are given the same `origin` and `factor` agree on the date.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Clock {
    origin: Timestamp,
    factor: u32,
}

impl Clock {
    /// Real time.
    pub const REAL: Clock = Clock { origin: Timestamp::UNIX_EPOCH, factor: 1 };

    /// Real time until `origin`, then `factor` times as fast.
    pub fn accelerated(origin: Timestamp, factor: u32) -> Clock {
        Clock { origin, factor: factor.max(1) }
    }

    /// Accelerated from this moment on.
    pub fn accelerated_from_now(factor: u32) -> Clock {
        Clock::accelerated(Clock::REAL.now(), factor)
    }

    /// The business instant.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
    pub fn now(&self) -> Timestamp {
        let real = Timestamp::now();
        if self.factor == 1 {
            return real;
        }
        let since = real.duration_since(self.origin);
        let scaled = since.checked_mul(self.factor as i32).unwrap_or(SignedDuration::MAX);
        self.origin.checked_add(scaled).unwrap_or(Timestamp::MAX)
    }

    /// Whether business time is real time.
    pub fn is_real(&self) -> bool {
        self.factor == 1
    }

    /// How many business seconds pass in a real one.
    pub fn factor(&self) -> u32 {
        self.factor
    }

    /// How long to sleep, in real time, until the business instant `at` (zero when it is past).
    pub fn real_until(&self, at: Timestamp) -> Duration {
        let left = at.duration_since(self.now());
        Duration::try_from(left).unwrap_or(Duration::ZERO) / self.factor
    }
}

/// Finds jumps of the machine's clock: what it moved beside the monotonic one, between two looks.
///
/// Steps of less than [`Jumps::LEAST`] are the daily work of a time service and are left alone.
#[derive(Debug, Clone, Copy)]
pub struct Jumps {
    wall: Timestamp,
    steady: Instant,
}

impl Jumps {
    pub const LEAST: SignedDuration = SignedDuration::from_secs(30);

    /// Begins to look, from these two instants (real time).
    pub fn from(wall: Timestamp, steady: Instant) -> Jumps {
        Jumps { wall, steady }
    }

    /// How far the clock has jumped since the last look, if it has: negative, back.
    pub fn look(&mut self, wall: Timestamp, steady: Instant) -> Option<SignedDuration> {
        let passed = SignedDuration::try_from(steady.saturating_duration_since(self.steady)).unwrap_or(SignedDuration::MAX);
        let jump = wall.duration_since(self.wall).saturating_sub(passed);
        *self = Jumps { wall, steady };
        (jump.abs() >= Jumps::LEAST).then_some(jump)
    }
}

/// `FACTOR` (from now) or `FACTOR@UNIX_MILLISECONDS` (an origin shared with another process).
impl FromStr for Clock {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (factor, origin) = match text.split_once('@') {
            Some((factor, millis)) => {
                let millis = millis.parse::<i64>().map_err(|_| format!("`{millis}`: not a number of milliseconds"))?;
                (factor, Timestamp::from_millisecond(millis).map_err(|error| error.to_string())?)
            }
            None => (text, Clock::REAL.now()),
        };
        let factor = factor.parse::<u32>().map_err(|_| format!("`{factor}`: not a whole factor"))?;
        Ok(Clock::accelerated(origin, factor))
    }
}

impl std::fmt::Display for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}@{}", self.factor, self.origin.as_millisecond())
    }
}

/// The monotonic clock: time-outs of I/O and measurements, never a date.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the monotonic clock")]
pub fn monotonic() -> Instant {
    Instant::now()
}

/// A fresh UUIDv7: grows with real time, so that rows of one run lie together on disk.
pub fn new_uuid() -> Uuid {
    Uuid::now_v7()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jump_is_what_the_two_clocks_do_not_agree_on() {
        let (wall, steady) = ("2026-11-23T02:30:00Z".parse::<Timestamp>().unwrap(), monotonic());
        let mut jumps = Jumps::from(wall, steady);
        // (seconds of the wall since the last look, of the monotonic clock, jump)
        let table = [
            (60, 60, None),
            (89, 60, None),
            (3_660, 60, Some(3_600)),
            (60, 60, None),
            (-3_540, 60, Some(-3_600)),
            (86_400, 0, Some(86_400)),
            (-86_399, 1, Some(-86_400)),
            (0, 3_600, Some(-3_600)),
        ];
        let (mut wall, mut steady) = (wall, steady);
        for (of_wall, of_steady, want) in table {
            wall += SignedDuration::from_secs(of_wall);
            steady += Duration::from_secs(of_steady);
            assert_eq!(jumps.look(wall, steady).map(|jump| jump.as_secs()), want, "{of_wall} s beside {of_steady} s");
        }
    }

    #[test]
    fn ids_grow_whatever_the_clock_does() {
        let ids: Vec<Uuid> = (0..1_000).map(|_| new_uuid()).collect();
        assert!(ids.is_sorted());
    }

    #[test]
    fn accelerated_time_runs_from_its_origin_and_prints_as_it_parses() {
        let origin = Clock::REAL.now().checked_sub(SignedDuration::from_secs(10)).unwrap();
        let clock = Clock::accelerated(origin, 1440);
        let ahead = clock.now().duration_since(Clock::REAL.now());
        assert!((14_300..14_600).contains(&ahead.as_secs()), "{ahead:?}");
        let again: Clock = clock.to_string().parse().unwrap();
        assert_eq!(again.factor(), 1440);
        assert!(again.now().duration_since(clock.now()).as_secs().abs() < 5);
        assert!("x".parse::<Clock>().is_err());
    }
}
