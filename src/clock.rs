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

/// The latest instant that is certainly not in the future: what is deleted for good is judged by it, never by a clock that may have been
/// set years ahead.
///
/// It goes on with the clock while that moves no more than a little apart from what the monotonic one measured. A clock that is further
/// ahead (set, or a machine that was off for weeks: nobody can tell which) is believed after it has stayed there, unchallenged, for long
/// enough while somebody looked; until then only measured time passes. One that is behind bounds it at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SureTime {
    at: Timestamp,
    /// How far the clock is from it.
    ahead: SignedDuration,
    /// For how long it has stayed there, looks only.
    doubted: SignedDuration,
}

/// What [`SureTime`] puts up with, business time.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// The clock may be this far away and is believed at once: a night without current, a day's drift.
    pub slack: SignedDuration,
    /// Further away it is believed after this long.
    pub until: SignedDuration,
}

impl SureTime {
    /// The first time it is asked there is nothing to compare the clock with.
    pub fn first(wall: Timestamp) -> SureTime {
        SureTime { at: wall, ahead: SignedDuration::ZERO, doubted: SignedDuration::ZERO }
    }

    /// The clock says `wall`, and since the last look `passed` was measured (after a start: zero).
    pub fn look(self, wall: Timestamp, passed: SignedDuration, patience: Patience) -> SureTime {
        let at = self.at.saturating_add(passed).unwrap_or(Timestamp::MAX);
        let ahead = wall.duration_since(at);
        if ahead.abs() <= patience.slack {
            return SureTime::first(wall);
        }
        // Moved again before our eyes: it begins anew. Over a stop it may have been the time of the stop.
        let moved = !passed.is_zero() && ahead.saturating_sub(self.ahead).abs() > patience.slack;
        let doubted = if moved { SignedDuration::ZERO } else { self.doubted.saturating_add(passed) };
        if doubted >= patience.until { SureTime::first(wall) } else { SureTime { at, ahead, doubted } }
    }

    /// What may be taken for the time by who deletes.
    pub fn bound(self, wall: Timestamp) -> Timestamp {
        self.at.min(wall)
    }

    /// How far ahead the clock is that is not believed yet.
    pub fn held_back(self) -> Option<SignedDuration> {
        Some(self.ahead).filter(SignedDuration::is_positive)
    }
}

/// `INSTANT AHEAD DOUBTED`, milliseconds.
impl FromStr for SureTime {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut words = text.split(' ').map(|word| word.parse::<i64>().map_err(|_| format!("`{word}`: not milliseconds")));
        let mut next = || words.next().unwrap_or_else(|| Err(format!("`{text}`: too short")));
        let at = Timestamp::from_millisecond(next()?).map_err(|error| error.to_string())?;
        Ok(SureTime { at, ahead: SignedDuration::from_millis(next()?), doubted: SignedDuration::from_millis(next()?) })
    }
}

impl std::fmt::Display for SureTime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {}", self.at.as_millisecond(), self.ahead.as_millis(), self.doubted.as_millis())
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
    fn a_clock_is_believed_when_nothing_speaks_against_it_or_after_a_while() {
        let patience = Patience { slack: SignedDuration::from_hours(24), until: SignedDuration::from_hours(24 * 7) };
        let begun: Timestamp = "2026-11-23T02:30:00Z".parse().unwrap();
        const YEARS: i64 = 5 * 365 * 24;
        // What happens: (hours of the wall, hours measured), and then: (bound, hours from the beginning; hours held back)
        type Looks = &'static [(i64, i64)];
        let table: [(&str, Looks, i64, Option<i64>); 12] = [
            ("an ordinary day", &[(24, 24)], 24, None),
            ("off for a night", &[(12, 0)], 12, None),
            ("five years on", &[(YEARS, 1)], 1, Some(YEARS - 1)),
            ("five years on, for two hours, and back", &[(YEARS, 1), (2, 2), (-YEARS, 0)], 2, None),
            ("five years on at a start", &[(YEARS, 0), (24, 24)], 24, Some(YEARS)),
            ("started again and again", &[(YEARS, 0), (24, 24), (6, 0), (24, 24), (1, 0)], 48, Some(YEARS + 7)),
            ("moved again before it was believed", &[(9_000, 0), (160, 160), (9_000, 1), (160, 160)], 321, Some(17_999)),
            ("off for forty days", &[(40 * 24, 0), (24, 24)], 24, Some(40 * 24)),
            ("and a week later", &[(40 * 24, 0), (84, 84), (84, 84)], 40 * 24 + 168, None),
            ("off for months, on for a day at a time", &[(2_000, 0), (84, 84), (500, 0), (84, 84)], 2_668, None),
            ("back", &[(-1_000, 1)], -1_000, None),
            ("back, and where it was", &[(-1_000, 1), (1_002, 1)], 2, None),
        ];
        for (what, looks, bound, held) in table {
            let (mut wall, mut sure) = (begun, SureTime::first(begun));
            for (of_wall, measured) in looks {
                wall += SignedDuration::from_hours(*of_wall);
                sure = sure.look(wall, SignedDuration::from_hours(*measured), patience);
                sure = sure.to_string().parse().unwrap();
            }
            assert_eq!(sure.bound(wall).duration_since(begun).as_hours(), bound, "{what}");
            assert_eq!(sure.held_back().map(|ahead| ahead.as_hours()), held, "{what}");
        }
        assert!("1 2".parse::<SureTime>().is_err() && "a b c".parse::<SureTime>().is_err());
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
