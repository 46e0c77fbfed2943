//! The keys by which clients recognise this server: made on the first start, kept for ever, readable by messo alone.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use russh::keys::ssh_key::LineEnding;
use russh::keys::{Algorithm, EcdsaCurve, HashAlg, PrivateKey, decode_secret_key};

/// Why the keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HostKeyError {
    #[error("{}: {}", .0.display(), .1)]
    Io(PathBuf, std::io::Error),
    /// Anybody on this machine could pretend to be this server.
    #[error("{}: readable by others: chmod 600", .0.display())]
    Exposed(PathBuf),
    #[error("{}: not a private key: {}", .0.display(), .1)]
    Broken(PathBuf, String),
    #[error("a key could not be made: {0}")]
    NotMade(String),
}

/// A key as operators see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostKey {
    pub file: PathBuf,
    /// `ssh-ed25519`, `ecdsa-sha2-nistp256`, `ssh-rsa`.
    pub algorithm: String,
    /// `SHA256:...`, as clients show it.
    pub fingerprint: String,
}

const NAMES: [&str; 3] = ["ssh_host_ed25519_key", "ssh_host_ecdsa_key", "ssh_host_rsa_key"];
/// Bytes of a key file.
const LONGEST: u64 = 64 << 10;

/// Reads the keys of `folder`; those that are missing are made (0600, in a folder 0700). Blocks, for a second when RSA is made.
///
/// # Errors
/// A key that cannot be read, made or trusted: messo does not start with fewer keys than its clients know.
pub fn open(folder: &Path) -> Result<Vec<PrivateKey>, HostKeyError> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|error| HostKeyError::Io(folder.to_owned(), error))?;
    NAMES
        .iter()
        .map(|name| {
            let path = folder.join(name);
            match read(&path)? {
                Some(key) => Ok(key),
                None => make(&path, name),
            }
        })
        .collect()
}

/// The keys that are there, without making any.
///
/// # Errors
/// A key that cannot be read.
pub fn list(folder: &Path) -> Result<Vec<HostKey>, HostKeyError> {
    let mut keys = Vec::new();
    for name in NAMES {
        let file = folder.join(name);
        if let Some(key) = read(&file)? {
            keys.push(describe(file, &key));
        }
    }
    Ok(keys)
}

/// How operators see a key.
#[must_use]
pub fn describe(file: PathBuf, key: &PrivateKey) -> HostKey {
    HostKey { file, algorithm: key.algorithm().as_str().to_owned(), fingerprint: key.fingerprint(HashAlg::Sha256).to_string() }
}

fn read(path: &Path) -> Result<Option<PrivateKey>, HostKeyError> {
    let io = |error| HostKeyError::Io(path.to_owned(), error);
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io(error)),
    };
    if file.metadata().map_err(io)?.mode() & 0o077 != 0 {
        return Err(HostKeyError::Exposed(path.to_owned()));
    }
    let mut text = String::new();
    file.take(LONGEST).read_to_string(&mut text).map_err(io)?;
    decode_secret_key(&text, None).map(Some).map_err(|error| HostKeyError::Broken(path.to_owned(), error.to_string()))
}

fn make(path: &Path, name: &str) -> Result<PrivateKey, HostKeyError> {
    let failed = |error: String| HostKeyError::NotMade(error);
    let random = |algorithm| PrivateKey::random(&mut russh::keys::key::safe_rng(), algorithm).map_err(|error| failed(error.to_string()));
    let key = match name {
        "ssh_host_ed25519_key" => random(Algorithm::Ed25519)?,
        "ssh_host_ecdsa_key" => random(Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 })?,
        _ => rsa().map_err(failed)?,
    };
    let text = key.to_openssh(LineEnding::LF).map_err(|error| failed(error.to_string()))?;
    let io = |error| HostKeyError::Io(path.to_owned(), error);
    // Under its own name only when it is whole: a key that was cut short would stop every later start.
    let fresh = path.with_extension("new");
    let _ = std::fs::remove_file(&fresh);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh).map_err(io)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(io)?;
    std::fs::rename(&fresh, path).map_err(io)?;
    if let Some(folder) = path.parent() {
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(io)?;
    }
    let made = describe(path.to_owned(), &key);
    tracing::info!(algorithm = made.algorithm, fingerprint = made.fingerprint, "nuova chiave del server SSH");
    Ok(key)
}

/// 3072 bits, made by the cryptographic library of the house.
fn rsa() -> Result<PrivateKey, String> {
    use aws_lc_rs::encoding::AsDer;
    use base64::Engine;
    let pair = aws_lc_rs::rsa::KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa3072).map_err(|error| error.to_string())?;
    let der = AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(&pair).map_err(|error| error.to_string())?;
    let text = base64::engine::general_purpose::STANDARD.encode(der.as_ref());
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n");
    decode_secret_key(&pem, None).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn keys_are_made_once_and_only_for_us() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("dati/chiavi-ssh");
        assert!(list(&folder).unwrap().is_empty());
        let made = open(&folder).unwrap();
        let algorithms: Vec<String> = made.iter().map(|key| key.algorithm().as_str().to_owned()).collect();
        assert_eq!(algorithms, ["ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa"]);
        let again = open(&folder).unwrap();
        assert_eq!(made, again, "kept");
        let listed = list(&folder).unwrap();
        assert!(listed.iter().all(|key| key.fingerprint.starts_with("SHA256:")), "{listed:?}");
        for key in &listed {
            assert_eq!(key.file.metadata().unwrap().mode() & 0o777, 0o600, "{}", key.file.display());
        }
        assert_eq!(folder.metadata().unwrap().mode() & 0o777, 0o700);
        std::fs::set_permissions(&listed[0].file, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(open(&folder), Err(HostKeyError::Exposed(_))));
        std::fs::set_permissions(&listed[0].file, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::write(&listed[0].file, "rotta").unwrap();
        assert!(matches!(open(&folder), Err(HostKeyError::Broken(..))), "a broken key is told, never replaced in silence");
    }
}
