//! Secrets: kept in files, the environment or systemd credentials, never in the configuration itself.
//!
//! A [`Secret`] prints as `***` whatever way it is formatted; only [`Secret::expose`] gives the text, to whoever signs or
//! sends it. Its memory is wiped with the last clone. (What a connector keeps beside it, the header of an API key or a key pair
//! that signs, lives as long as its channel.)

use std::ffi::OsString;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use zeroize::Zeroizing;

use super::SecretRef;

/// A key, a password: cheap to clone, never printed, wiped from memory when the last clone goes.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<Zeroizing<String>>);

impl Secret {
    /// Takes the text as it is.
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(Arc::new(Zeroizing::new(text.into())))
    }

    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(***)")
    }
}

impl std::fmt::Display for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// Why a secret cannot be had. Names the place, never the content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    #[error("`{given}`: write `file:PATH`, `env:NAME` or `credential:NAME`")]
    Form { given: String },
    #[error("environment variable `{name}` is not set")]
    EnvMissing { name: String },
    #[error("$CREDENTIALS_DIRECTORY is not set: `credential:` works under systemd only")]
    NoCredentials,
    #[error("`{name}` is not the name of a credential")]
    CredentialName { name: String },
    #[error("{}: {why}", path.display())]
    Unreadable { path: PathBuf, why: std::io::ErrorKind },
    #[error("{given}: empty")]
    Empty { given: String },
    #[error("{given}: over 64 KiB, or not UTF-8")]
    NotASecret { given: String },
}

/// Longest secret that is read, in bytes: an RSA key in PEM takes about 2 KiB.
const LONGEST: u64 = 64 << 10;
/// Bytes that reading it may want at once.
const ROOM: usize = (64 << 10) + 64;

impl SecretRef {
    /// Reads the secret. Newlines at the end are not part of it. A file that everybody can read is used, with a warning in
    /// the log ([`SecretRef::readable_by_all`] lets `messo check` say the same).
    pub fn resolve(&self) -> Result<Secret, SecretError> {
        if self.readable_by_all() {
            tracing::warn!(secret = %self.place(), "readable by every user of this machine: chmod o-r");
        }
        self.resolve_with(|name| std::env::var_os(name))
    }

    /// Whether it is a file that every user of the machine may read.
    pub fn readable_by_all(&self) -> bool {
        let Some(path) = self.0.strip_prefix("file:") else { return false };
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            std::fs::metadata(path).is_ok_and(|meta| meta.permissions().mode() & 0o004 != 0)
        }
        #[cfg(not(unix))]
        {
            let _ = path;
            false
        }
    }

    /// What may be shown of the reference: all of it, save when somebody wrote the secret itself in its place.
    fn place(&self) -> &str {
        let known = ["file:", "env:", "credential:"].iter().any(|prefix| self.0.starts_with(prefix));
        if known { &self.0 } else { "***" }
    }

    fn resolve_with(&self, env: impl Fn(&str) -> Option<OsString>) -> Result<Secret, SecretError> {
        let given = || self.place().to_owned();
        let text = match self.0.split_once(':') {
            Some(("file", path)) if !path.is_empty() => read_file(Path::new(path), given)?,
            Some(("env", name)) if !name.is_empty() => {
                let value = env(name).ok_or_else(|| SecretError::EnvMissing { name: name.to_owned() })?;
                value.into_string().map(Zeroizing::new).map_err(|_| SecretError::NotASecret { given: given() })?
            }
            Some(("credential", name)) if !name.is_empty() => {
                if name.contains(['/', '\\']) || name == "." || name == ".." {
                    return Err(SecretError::CredentialName { name: name.to_owned() });
                }
                let folder = env("CREDENTIALS_DIRECTORY").ok_or(SecretError::NoCredentials)?;
                read_file(&Path::new(&folder).join(name), given)?
            }
            _ => return Err(SecretError::Form { given: given() }),
        };
        let text = text.trim_end_matches(['\n', '\r']);
        if text.is_empty() { Err(SecretError::Empty { given: given() }) } else { Ok(Secret::new(text)) }
    }
}

fn read_file(path: &Path, given: impl Fn() -> String) -> Result<Zeroizing<String>, SecretError> {
    let unreadable = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::InvalidData => SecretError::NotASecret { given: given() },
        why => SecretError::Unreadable { path: path.to_owned(), why },
    };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    // Never moved while it grows: what is left behind would not be wiped. Unmapped or freed pages of that size cost nothing.
    let mut text = Zeroizing::new(String::with_capacity(ROOM));
    let read = file.take(LONGEST + 1).read_to_string(&mut text).map_err(unreadable)?;
    if read as u64 > LONGEST { Err(SecretError::NotASecret { given: given() }) } else { Ok(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_where_it_is_said_to_be() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        std::fs::write(path("key"), "abc def\r\n\n").unwrap();
        std::fs::write(path("empty"), "\n").unwrap();
        std::fs::write(path("binary"), [0xff, 0xfe]).unwrap();
        std::fs::write(path("huge"), "x".repeat(70_000)).unwrap();
        let dir = folder.path().as_os_str().to_owned();
        let env = |name: &str| match name {
            "MESSO_KEY" => Some(OsString::from("from-env\n")),
            "CREDENTIALS_DIRECTORY" => Some(dir.clone()),
            _ => None,
        };
        let not_a_secret = |given: String| Err(SecretError::NotASecret { given });
        let table = [
            (format!("file:{}", path("key")), Ok("abc def")),
            ("env:MESSO_KEY".into(), Ok("from-env")),
            ("credential:key".into(), Ok("abc def")),
            ("env:OTHER".into(), Err(SecretError::EnvMissing { name: "OTHER".into() })),
            ("credential:../key".into(), Err(SecretError::CredentialName { name: "../key".into() })),
            ("credential:..".into(), Err(SecretError::CredentialName { name: "..".into() })),
            (
                format!("file:{}", path("none")),
                Err(SecretError::Unreadable { path: path("none").into(), why: std::io::ErrorKind::NotFound }),
            ),
            (format!("file:{}", path("empty")), Err(SecretError::Empty { given: format!("file:{}", path("empty")) })),
            (format!("file:{}", path("binary")), not_a_secret(format!("file:{}", path("binary")))),
            (format!("file:{}", path("huge")), not_a_secret(format!("file:{}", path("huge")))),
            ("a-key-pasted-here".into(), Err(SecretError::Form { given: "***".into() })),
            ("env:".into(), Err(SecretError::Form { given: "env:".into() })),
        ];
        for (reference, want) in table {
            let got = SecretRef(reference.clone()).resolve_with(env);
            assert_eq!(got.as_ref().map(Secret::expose).map_err(Clone::clone), want, "{reference}");
        }
        let nowhere = SecretRef("credential:key".into()).resolve_with(|_| None);
        assert_eq!(nowhere, Err(SecretError::NoCredentials));
    }

    #[test]
    fn a_secret_is_never_printed() {
        let secret = Secret::new("hunter2");
        let printed = format!("{secret} {secret:?} {:?}", Some(&secret));
        assert!(!printed.contains("hunter2"), "{printed}");
    }

    /// The memory of this process, read as a file.
    #[cfg(target_os = "linux")]
    fn memory(at: usize, len: usize) -> Vec<u8> {
        use std::os::unix::fs::FileExt;
        let mut bytes = vec![0; len];
        std::fs::File::open("/proc/self/mem").unwrap().read_exact_at(&mut bytes, at as u64).unwrap();
        bytes
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_last_clone_wipes_the_memory() {
        // Small: freed, its page stays ours and can be looked at.
        let text: String = (0..40).map(|number| char::from(b'a' + number % 26)).collect();
        let secret = Secret::new(text.clone());
        let (at, len) = (secret.expose().as_ptr() as usize, text.len());
        let clone = secret.clone();
        drop(secret);
        assert_eq!(memory(at, len), text.as_bytes(), "a clone still has it");
        drop(clone);
        let left = memory(at, len);
        // The allocator may have written its own into the first bytes.
        assert!(left.iter().skip(16).zip(text.bytes().skip(16)).all(|(left, was)| *left != was), "{left:?}");
    }

    #[cfg(unix)]
    #[test]
    fn an_open_file_is_told() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, "k").unwrap();
        let reference = SecretRef(format!("file:{}", path.display()));
        for (mode, want) in [(0o600, false), (0o640, false), (0o644, true)] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(reference.readable_by_all(), want, "{mode:o}");
        }
    }
}
