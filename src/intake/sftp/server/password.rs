//! Passwords: argon2id, off the runtime's threads, a bounded number at one time; who does not exist costs the same as who does.

use std::sync::Arc;

use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use tokio::sync::Semaphore;

/// Memory in KiB, rounds, lanes: the second choice of RFC 9106 with less memory, as OWASP puts it.
const COST: (u32, u32, u32) = (19 * 1024, 2, 1);
/// Bytes of a password: longer ones are refused before any work.
pub const LONGEST: usize = 1_024;
/// Hashes computed at one time: each takes its memory and a core.
const AT_ONCE: usize = 2;
/// Logins that may wait for their turn: more are refused, so that a flood of guesses does not become a flood of work.
const WAITING: usize = 64;

/// Why no hash was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    #[error("over {LONGEST} bytes, or empty")]
    Length,
    #[error("no random numbers, or no memory")]
    System,
}

/// The PHC string of a password, for the configuration. Takes a tenth of a second or so.
///
/// # Errors
/// See [`PasswordError`].
pub fn hash(password: &str) -> Result<String, PasswordError> {
    if password.is_empty() || password.len() > LONGEST {
        return Err(PasswordError::Length);
    }
    let mut salt = [0u8; 16];
    aws_lc_rs::rand::fill(&mut salt).map_err(|_| PasswordError::System)?;
    hash_with(password, &salt).ok_or(PasswordError::System)
}

fn hash_with(password: &str, salt: &[u8]) -> Option<String> {
    let (memory, rounds, lanes) = COST;
    let params = Params::new(memory, rounds, lanes, None).ok()?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    argon2.hash_password_with_salt(password.as_bytes(), salt).ok().map(|hash| hash.to_string())
}

/// Checks passwords, a few at a time.
#[derive(Clone)]
pub struct Checker {
    turns: Arc<Semaphore>,
    places: Arc<Semaphore>,
    /// Verified in place of the hash of a user who does not exist.
    dummy: Arc<str>,
}

/// How a password was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checked {
    Right,
    Wrong,
    /// Too many wait for their turn: nothing was checked.
    Busy,
}

impl Checker {
    /// One for the whole server.
    #[must_use]
    pub fn new() -> Checker {
        let dummy = hash_with("nessuno", b"messo-nessun-uso").unwrap_or_default();
        Checker { turns: Arc::new(Semaphore::new(AT_ONCE)), places: Arc::new(Semaphore::new(WAITING)), dummy: dummy.into() }
    }

    /// Whether `password` is the one of `hash`; without a hash the work is the same and the answer no.
    pub async fn check(&self, password: &str, hash: Option<Arc<str>>) -> Checked {
        let Ok(place) = self.places.clone().try_acquire_owned() else { return Checked::Busy };
        let Ok(turn) = self.turns.clone().acquire_owned().await else { return Checked::Busy };
        let known = hash.is_some();
        let hash = hash.unwrap_or_else(|| self.dummy.clone());
        let password: String = password.chars().take(LONGEST).collect();
        let verified = tokio::task::spawn_blocking(move || {
            let verified = Argon2::default().verify_password(password.as_bytes(), &*hash).is_ok();
            drop((turn, place));
            verified
        });
        // Waited for in any case: who does not exist is refused as late as who does.
        let verified = verified.await.unwrap_or(false);
        if known && verified { Checked::Right } else { Checked::Wrong }
    }
}

impl Default for Checker {
    fn default() -> Self {
        Checker::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::sftp::is_password_hash;

    #[tokio::test]
    async fn a_password_is_right_or_wrong_and_nobody_is_always_wrong() {
        let hash: Arc<str> = hash("però è lunga").unwrap().into();
        assert!(is_password_hash(&hash), "the configuration takes what the command prints: {hash}");
        let checker = Checker::new();
        for (password, hash, want) in [
            ("però è lunga", Some(hash.clone()), Checked::Right),
            ("pero e lunga", Some(hash.clone()), Checked::Wrong),
            ("", Some(hash.clone()), Checked::Wrong),
            ("nessuno", None, Checked::Wrong),
            ("x", Some("non è un hash".into()), Checked::Wrong),
        ] {
            assert_eq!(checker.check(password, hash.clone()).await, want, "{password:?} {hash:?}");
        }
    }

    #[tokio::test]
    async fn who_does_not_exist_is_refused_only_after_the_work() {
        let checker = Checker::new();
        for hash in [None, Some(Arc::from(hash("giusta").unwrap()))] {
            assert_eq!(checker.check("sbagliata", hash.clone()).await, Checked::Wrong);
            // The turn is given back by whoever has done the work.
            assert_eq!((checker.turns.available_permits(), checker.places.available_permits()), (AT_ONCE, WAITING), "{hash:?}");
        }
    }

    #[test]
    fn lengths_are_bounded() {
        assert_eq!(hash(""), Err(PasswordError::Length));
        assert_eq!(hash(&"x".repeat(LONGEST + 1)), Err(PasswordError::Length));
        assert_ne!(hash("uguale").unwrap(), hash("uguale").unwrap(), "each hash has a salt of its own");
    }

    #[tokio::test]
    async fn a_flood_of_guesses_waits_or_is_refused() {
        let checker = Checker::new();
        let all: Vec<_> = (0..WAITING).map(|_| checker.places.clone().try_acquire_owned().unwrap()).collect();
        assert_eq!(checker.check("x", None).await, Checked::Busy);
        drop(all);
        assert_eq!(checker.check("x", None).await, Checked::Wrong);
    }
}
