//! Who guesses passwords waits: after a few failures an address is not listened to for a while, longer each time.
//!
//! By address and PT: one PT with a wrong password does not shut out another that comes through the same gateway. A token that
//! we gave is believed all the same. Bounded: when it is full, who failed longest ago is forgotten.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Failures that cost nothing: somebody is setting it up.
const FREE: u32 = 5;
/// The longest wait.
const LONGEST: Duration = Duration::from_secs(900);
/// After so long without failures an address begins anew.
const FORGOTTEN: Duration = Duration::from_secs(3_600);
/// Addresses that are remembered.
const ROOM: usize = 4_096;

struct Failures {
    count: u32,
    last: Instant,
    until: Instant,
}

/// What is remembered.
#[derive(Default)]
pub(super) struct Guard(Mutex<HashMap<(IpAddr, String), Failures>>);

impl Guard {
    /// How long it must still wait, if it must.
    pub fn wait(&self, address: IpAddr, pt: &str, now: Instant) -> Option<Duration> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.is_empty() {
            return None;
        }
        let failures = all.get(&(whole(address), pt.to_owned()))?;
        failures.until.checked_duration_since(now).filter(|left| !left.is_zero())
    }

    /// It showed wrong credentials. Answers the failures so far.
    pub fn failed(&self, address: IpAddr, pt: &str, now: Instant) -> u32 {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (whole(address), pt.to_owned());
        if all.len() >= ROOM && !all.contains_key(&key) {
            all.retain(|_, failures| now.saturating_duration_since(failures.last) < FORGOTTEN);
            let oldest = all.iter().min_by_key(|(_, failures)| failures.last).map(|(key, _)| key.clone());
            if let Some(oldest) = oldest.filter(|_| all.len() >= ROOM) {
                all.remove(&oldest);
            }
        }
        let failures = all.entry(key).or_insert(Failures { count: 0, last: now, until: now });
        if now.saturating_duration_since(failures.last) >= FORGOTTEN {
            failures.count = 0;
        }
        failures.count = failures.count.saturating_add(1);
        failures.last = now;
        if failures.count > FREE {
            let seconds = 1_u64.checked_shl(failures.count - FREE - 1).unwrap_or(u64::MAX);
            failures.until = now + Duration::from_secs(seconds).min(LONGEST);
        }
        failures.count
    }

    /// It showed the right ones.
    pub fn admitted(&self, address: IpAddr, pt: &str) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !all.is_empty() {
            all.remove(&(whole(address), pt.to_owned()));
        }
    }
}

/// Whoever has an IPv6 network has all addresses of its last half.
fn whole(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) & !u128::from(u64::MAX)).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::monotonic;

    #[test]
    fn who_fails_waits_longer_each_time_and_alone() {
        let (guard, start) = (Guard::default(), monotonic());
        let (one, other): (IpAddr, IpAddr) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        let waits: Vec<u64> = (0..20)
            .map(|_| {
                guard.failed(one, "veneto", start);
                guard.wait(one, "veneto", start).map_or(0, |wait| wait.as_secs())
            })
            .collect();
        assert_eq!(waits, [0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900, 900, 900]);
        assert_eq!((guard.wait(other, "veneto", start), guard.wait(one, "trento", start)), (None, None));
        assert_eq!(guard.wait(one, "veneto", start + LONGEST), None, "over");
        assert_eq!(guard.failed(one, "veneto", start + FORGOTTEN), 1, "an hour later it begins anew");
        guard.failed(one, "veneto", start);
        guard.admitted(one, "veneto");
        assert_eq!(guard.failed(one, "veneto", start), 1);
        let near: [IpAddr; 2] = ["2001:db8::1".parse().unwrap(), "2001:db8::ffff:2".parse().unwrap()];
        assert_eq!((guard.failed(near[0], "veneto", start), guard.failed(near[1], "veneto", start)), (1, 2), "one network");
        for number in 0..10_000_u32 {
            guard.failed(IpAddr::V4(number.into()), "veneto", start);
        }
        assert_eq!(guard.0.lock().unwrap().len(), ROOM);
    }
}
