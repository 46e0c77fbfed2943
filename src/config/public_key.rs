//! Public keys that the configuration names: whoever signs with the other half is believed. RSA (RS256) and P-256 (ES256) only.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256};
use tokio_rustls::rustls::pki_types::SubjectPublicKeyInfoDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;

use super::folders;

/// Bytes of a file that are looked at: a key has a few hundred.
const MOST: u64 = 64 << 10;

/// Who signs.
pub struct PublicKey {
    /// `alg` of what it signs (RFC 7518).
    pub algorithm: &'static str,
    key: ParsedPublicKey,
}

impl PublicKey {
    /// `BEGIN PUBLIC KEY`.
    #[must_use]
    pub fn from_pem(text: &[u8]) -> Option<PublicKey> {
        let der = SubjectPublicKeyInfoDer::from_pem_slice(text).ok()?;
        let rsa = ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, der.as_ref()).map(|key| PublicKey { algorithm: "RS256", key });
        let curve = || ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, der.as_ref()).map(|key| PublicKey { algorithm: "ES256", key });
        rsa.or_else(|_| curve()).ok()
    }

    /// The key of a file. The error is the end of a sentence that begins with its name.
    pub fn read(path: &Path) -> Result<PublicKey, String> {
        let mut text = Vec::new();
        let read = File::open(path).and_then(|file| file.take(MOST).read_to_end(&mut text));
        read.map_err(|error| folders::reason(&error))?;
        PublicKey::from_pem(&text).ok_or_else(|| "non contiene una chiave pubblica PEM (RSA o P-256)".to_owned())
    }

    /// Whether it has signed that.
    #[must_use]
    pub fn signed(&self, message: &[u8], signature: &[u8]) -> bool {
        self.key.verify_sig(message, signature).is_ok()
    }
}
