//! What is offered: what `ssh-audit` approves of, or, on a listener that says so, what clients of ten years ago need too.

use std::borrow::Cow;

use russh::keys::{Algorithm, EcdsaCurve, HashAlg, PrivateKey};
use russh::{Preferred, cipher, compression, kex, mac};

use crate::config::Compat;

const KEX: &[kex::Name] = &[
    kex::MLKEM768X25519_SHA256,
    kex::CURVE25519,
    kex::CURVE25519_PRE_RFC_8731,
    kex::DH_G18_SHA512,
    kex::DH_G16_SHA512,
    kex::DH_GEX_SHA256,
];
/// Old Java and .NET libraries know nothing newer.
const OLD_KEX: &[kex::Name] =
    &[kex::ECDH_SHA2_NISTP256, kex::ECDH_SHA2_NISTP384, kex::ECDH_SHA2_NISTP521, kex::DH_G14_SHA256, kex::DH_G14_SHA1, kex::DH_GEX_SHA1];
/// Always: nobody can take messages away unseen (CVE-2023-48795).
const STRICT: &[kex::Name] = &[kex::EXTENSION_SUPPORT_AS_SERVER, kex::EXTENSION_OPENSSH_STRICT_KEX_AS_SERVER];
const CIPHERS: &[cipher::Name] =
    &[cipher::AES_256_GCM, cipher::AES_128_GCM, cipher::CHACHA20_POLY1305, cipher::AES_256_CTR, cipher::AES_192_CTR, cipher::AES_128_CTR];
const OLD_CIPHERS: &[cipher::Name] = &[cipher::AES_256_CBC, cipher::AES_192_CBC, cipher::AES_128_CBC];
const MACS: &[mac::Name] = &[mac::HMAC_SHA256_ETM, mac::HMAC_SHA512_ETM];
const OLD_MACS: &[mac::Name] = &[mac::HMAC_SHA256, mac::HMAC_SHA512, mac::HMAC_SHA1_ETM, mac::HMAC_SHA1];
const KEYS: &[Algorithm] =
    &[Algorithm::Ed25519, Algorithm::Rsa { hash: Some(HashAlg::Sha512) }, Algorithm::Rsa { hash: Some(HashAlg::Sha256) }];
/// Of clients' keys; of ours, the first, which `ssh-audit` fails as a host key, is shown only by an old listener ([`host_keys`]).
const ECDSA: &[Algorithm] = &[
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 },
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP384 },
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP521 },
];

/// Those of our keys that a listener shows. Whoever speaks the rest of the modern lists knows ed25519 or RSA with SHA-2.
#[must_use]
pub fn host_keys(compat: Compat, keys: &[PrivateKey]) -> Vec<PrivateKey> {
    let shown = |key: &&PrivateKey| compat == Compat::Legacy || !matches!(key.algorithm(), Algorithm::Ecdsa { .. });
    keys.iter().filter(shown).cloned().collect()
}

/// The lists of a listener.
#[must_use]
pub fn preferred(compat: Compat) -> Preferred {
    let old = compat == Compat::Legacy;
    fn list<T: Clone>(old: bool, modern: &[T], more: &[T], last: &[T]) -> Cow<'static, [T]> {
        modern.iter().chain(more.iter().filter(|_| old)).chain(last).cloned().collect::<Vec<T>>().into()
    }
    Preferred {
        kex: list(old, KEX, OLD_KEX, STRICT),
        key: list(old, KEYS, &[Algorithm::Rsa { hash: None }], ECDSA),
        host_key_certificates: Cow::Borrowed(&[]),
        cipher: list(old, CIPHERS, OLD_CIPHERS, &[]),
        mac: list(old, MACS, OLD_MACS, &[]),
        compression: Cow::Borrowed(&[compression::NONE]),
    }
}

/// Whether a login may be signed so.
#[must_use]
pub fn accepts(compat: Compat, algorithm: &Algorithm) -> bool {
    match algorithm {
        Algorithm::Ed25519 | Algorithm::Ecdsa { .. } | Algorithm::Rsa { hash: Some(_) } => true,
        Algorithm::Rsa { hash: None } => compat == Compat::Legacy,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_old_is_offered_only_where_it_is_asked_for() {
        let (modern, legacy) = (preferred(Compat::Moderno), preferred(Compat::Legacy));
        let names = |preferred: &Preferred| {
            let text = |list: Vec<&str>| list.join(",");
            [
                text(preferred.kex.iter().map(AsRef::as_ref).collect()),
                text(preferred.cipher.iter().map(AsRef::as_ref).collect()),
                text(preferred.mac.iter().map(AsRef::as_ref).collect()),
                preferred.key.iter().map(|key| key.to_string()).collect::<Vec<_>>().join(","),
            ]
            .join(" ")
        };
        let (modern, legacy) = (names(&modern), names(&legacy));
        for old in
            ["group14-sha1", "group-exchange-sha1", "aes128-cbc", "hmac-sha1", "hmac-sha1-etm@openssh.com", "ssh-rsa", "hmac-sha2-256 "]
        {
            assert!(!modern.contains(old), "{old}: {modern}");
        }
        for old in ["group14-sha1", "group-exchange-sha1", "aes128-cbc", "hmac-sha1", "ssh-rsa"] {
            assert!(legacy.contains(old), "{old}: {legacy}");
        }
        for always in ["kex-strict-s-v00@openssh.com", "mlkem768x25519-sha256", "aes128-gcm@openssh.com", "rsa-sha2-512", "ssh-ed25519"] {
            assert!(modern.contains(always) && legacy.contains(always), "{always}");
        }
        for weakest in ["group1-sha1", "3des", "none,", "hmac-md5"] {
            assert!(!legacy.contains(weakest), "{weakest}: {legacy}");
        }
        let sha1 = Algorithm::Rsa { hash: None };
        assert!(!accepts(Compat::Moderno, &sha1) && accepts(Compat::Legacy, &sha1));
        assert!(accepts(Compat::Moderno, &Algorithm::Rsa { hash: Some(HashAlg::Sha256) }));
    }
}
