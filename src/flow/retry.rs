//! When a failed job is tried again: by class of error, attempts and time. Pure; the delay is a row, not a sleeping task.

use jiff::{SignedDuration, Timestamp};

/// What kind of failure it was, as far as waiting depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureClass {
    /// The remote did not answer, or said "later".
    Temporary { retry_after: Option<SignedDuration> },
    /// Asked too early: a legal fact in cold storage, a request still in validation.
    NotReady { retry_after: Option<SignedDuration> },
    /// SEND does not find what it has created itself. It may be early by minutes; after that the key may not see it (any more),
    /// and only a person can change that. The code says why.
    Unseen { code: &'static str },
    /// Waiting makes no sense: a person is needed. The code says why.
    Person { code: &'static str },
}

/// What to do with the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    At(Timestamp),
    /// Visible, resumable by command.
    Park {
        code: &'static str,
    },
}

/// First delay of a temporary failure; doubles up to [`LONGEST`].
const FIRST: SignedDuration = SignedDuration::from_secs(2);
/// Ten minutes: a remote that is back is noticed within that.
const LONGEST: SignedDuration = SignedDuration::from_secs(600);
/// After this many temporary failures a person is told (the act goes on trying only by command): about a week.
const GIVE_UP: u32 = 1_000;
/// Longest delay, and most tries, of what is not seen: the last is two hours after the first.
const UNSEEN_LONGEST: SignedDuration = SignedDuration::from_secs(3_600);
const UNSEEN_TRIES: u32 = 12;

/// `attempts` counts this failure. `spread` in 0..=255 scatters jobs that failed together (up to a quarter of the delay).
pub fn next(class: FailureClass, attempts: u32, spread: u8, now: Timestamp) -> Next {
    let delay = match class {
        FailureClass::Person { code } => return Next::Park { code },
        FailureClass::Unseen { code } if attempts >= UNSEEN_TRIES => return Next::Park { code },
        FailureClass::Unseen { .. } => doubled(attempts, UNSEEN_LONGEST),
        _ if attempts >= GIVE_UP => return Next::Park { code: "TENTATIVI_ESAURITI" },
        FailureClass::NotReady { retry_after } => {
            retry_after.unwrap_or_else(|| backoff(attempts.saturating_add(2))).max(SignedDuration::from_secs(1))
        }
        FailureClass::Temporary { retry_after } => backoff(attempts).max(retry_after.unwrap_or(SignedDuration::ZERO)),
    };
    let scatter = delay.checked_mul(i32::from(spread)).map_or(SignedDuration::ZERO, |all| all / 1024);
    Next::At(now.saturating_add(delay).and_then(|at| at.saturating_add(scatter)).unwrap_or(Timestamp::MAX))
}

fn backoff(attempts: u32) -> SignedDuration {
    doubled(attempts, LONGEST)
}

fn doubled(attempts: u32, longest: SignedDuration) -> SignedDuration {
    FIRST.checked_mul(1i32.checked_shl(attempts.saturating_sub(1).min(20)).unwrap_or(i32::MAX)).map_or(longest, |delay| delay.min(longest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_obey_the_remote_and_end_with_a_person() {
        let now: Timestamp = "2026-11-22T08:00:00Z".parse().unwrap();
        let seconds = |class, attempts| match next(class, attempts, 0, now) {
            Next::At(at) => Ok(at.duration_since(now).as_secs()),
            Next::Park { code } => Err(code),
        };
        let temporary = FailureClass::Temporary { retry_after: None };
        let table = [
            (temporary, 1, Ok(2)),
            (temporary, 2, Ok(4)),
            (temporary, 5, Ok(32)),
            (temporary, 40, Ok(600)),
            (temporary, 1_000, Err("TENTATIVI_ESAURITI")),
            (FailureClass::Temporary { retry_after: Some(SignedDuration::from_secs(60)) }, 1, Ok(60)),
            (FailureClass::NotReady { retry_after: Some(SignedDuration::from_secs(10)) }, 7, Ok(10)),
            (FailureClass::Unseen { code: "NON_SI_VEDE" }, 1, Ok(2)),
            (FailureClass::Unseen { code: "NON_SI_VEDE" }, 11, Ok(2_048)),
            (FailureClass::Unseen { code: "NON_SI_VEDE" }, 12, Err("NON_SI_VEDE")),
            (FailureClass::Person { code: "CHIAVE_RIFIUTATA" }, 1, Err("CHIAVE_RIFIUTATA")),
        ];
        for (class, attempts, want) in table {
            assert_eq!(seconds(class, attempts), want, "{class:?} {attempts}");
        }
        let Next::At(spread) = next(temporary, 9, 255, now) else { panic!("parked") };
        assert!((512..=640).contains(&spread.duration_since(now).as_secs()));
    }
}
