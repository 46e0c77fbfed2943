//! Signed messages of others: vouchers (PDND) and `Agid-JWT-Signature` (ModI, pattern INTEGRITY_REST_02). RS256 and ES256 only.
//!
//! The key is one of the configuration, never one that the message names.

use aws_lc_rs::digest::{SHA256, digest};
use axum::http::HeaderMap;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::Timestamp;
use serde_json::Value;

use crate::config::PublicKey;

/// Seconds by which two clocks may differ.
const LEEWAY: i64 = 60;
const SIGNATURE: &str = "agid-jwt-signature";

/// What a voucher must be for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bound {
    /// `aud`
    pub audience: String,
    /// `client_id`, when only one may show vouchers.
    pub client: Option<String>,
    /// `purposeId`, when only one will do.
    pub purpose: Option<String>,
}

impl Bound {
    /// Whether a voucher is for it.
    pub fn fits(&self, claims: &Value) -> bool {
        let named = |name: &str, wanted: &Option<String>| {
            wanted.as_deref().is_none_or(|wanted| claims.get(name).and_then(Value::as_str) == Some(wanted))
        };
        let meant = match claims.get("aud") {
            Some(Value::String(found)) => *found == self.audience,
            Some(Value::Array(all)) => all.iter().any(|found| found.as_str() == Some(&self.audience)),
            _ => false,
        };
        meant && named("client_id", &self.client) && named("purposeId", &self.purpose)
    }
}

/// The claims of a token that `key` signed, whenever and for whomever it is good.
pub(super) fn signed(key: &PublicKey, token: &str) -> Option<Value> {
    let (signed, signature) = token.rsplit_once('.')?;
    let (head, claims) = signed.split_once('.')?;
    let head: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(head).ok()?).ok()?;
    if head.get("alg").and_then(Value::as_str) != Some(key.algorithm) {
        return None;
    }
    if !key.signed(signed.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).ok()?) {
        return None;
    }
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()
}

/// Whether claims are good now (real time). Without an end they never are.
pub(super) fn in_time(claims: &Value, now: Timestamp) -> bool {
    let second = |name: &str| claims.get(name).and_then(Value::as_i64);
    let now = now.as_second();
    second("exp").is_some_and(|end| end.saturating_add(LEEWAY) > now)
        && second("nbf").or(second("iat")).is_none_or(|from| from.saturating_sub(LEEWAY) <= now)
}

/// Whether `Agid-JWT-Signature` covers this very body: the signature holds and the digest it signs is the body's.
pub(super) fn covers(key: &PublicKey, headers: &HeaderMap, body: &[u8], now: Timestamp) -> bool {
    let Some(token) = headers.get(SIGNATURE).and_then(|value| value.to_str().ok()) else { return false };
    let Some(claims) = signed(key, token).filter(|claims| in_time(claims, now)) else { return false };
    let wanted = format!("SHA-256={}", STANDARD.encode(digest(&SHA256, body)));
    let signed = claims.get("signed_headers").and_then(Value::as_array);
    let digests = signed.into_iter().flatten().filter_map(|header| header.get("digest").and_then(Value::as_str));
    let mut digests = digests.peekable();
    digests.peek().is_some() && digests.all(|found| found == wanted)
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::rsa::KeySize;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
    use serde_json::json;

    use super::*;

    fn pem(der: &[u8]) -> Vec<u8> {
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der)).into_bytes()
    }

    fn token(algorithm: &str, claims: &Value, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&json!({"alg": algorithm, "typ": "JWT"})), part(claims));
        let signature = URL_SAFE_NO_PAD.encode(sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }

    #[test]
    fn only_what_the_known_key_signed_and_only_for_this_body() {
        let random = SystemRandom::new();
        let rsa = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let rsa_der: PublicKeyX509Der<'_> = rsa.public_key().as_der().unwrap();
        let curve = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let curve_der: PublicKeyX509Der<'_> = curve.public_key().as_der().unwrap();
        let (rsa_key, curve_key) =
            (PublicKey::from_pem(&pem(rsa_der.as_ref())).unwrap(), PublicKey::from_pem(&pem(curve_der.as_ref())).unwrap());
        assert!(PublicKey::from_pem(b"-----BEGIN PUBLIC KEY-----\nMAA=\n-----END PUBLIC KEY-----\n").is_none());
        let by_rsa = |text: &[u8]| {
            let mut signature = vec![0; rsa.public_modulus_len()];
            rsa.sign(&RSA_PKCS1_SHA256, &random, text, &mut signature).unwrap();
            signature
        };
        let by_curve = |text: &[u8]| curve.sign(&random, text).unwrap().as_ref().to_vec();
        let now: Timestamp = "2026-11-23T08:00:00Z".parse().unwrap();
        let at = now.as_second();
        let good = json!({"aud": "messo", "iat": at, "exp": at + 60});
        let table = [
            ("rsa", &rsa_key, token("RS256", &good, by_rsa), true),
            ("curve", &curve_key, token("ES256", &good, by_curve), true),
            ("the other key", &rsa_key, token("ES256", &good, by_curve), false),
            ("another name for it", &rsa_key, token("none", &good, by_rsa), false),
            ("expired", &rsa_key, token("RS256", &json!({"aud": "messo", "exp": at - 60}), by_rsa), false),
            ("without an end", &rsa_key, token("RS256", &json!({"aud": "messo"}), by_rsa), false),
            ("from tomorrow", &rsa_key, token("RS256", &json!({"aud": "messo", "exp": at + 9e5 as i64, "nbf": at + 3_600}), by_rsa), false),
            ("at the end of time", &rsa_key, token("RS256", &json!({"aud": "messo", "exp": i64::MAX}), by_rsa), true),
            ("for somebody else", &rsa_key, token("RS256", &json!({"aud": "x", "exp": at + 60}), by_rsa), false),
            ("for nobody", &rsa_key, token("RS256", &json!({"exp": at + 60}), by_rsa), false),
            ("for several", &rsa_key, token("RS256", &json!({"aud": ["x", "messo"], "exp": at + 60}), by_rsa), true),
            ("garbage", &rsa_key, "a.b.c".into(), false),
        ];
        let bound = Bound { audience: "messo".to_owned(), client: None, purpose: None };
        for (what, key, token, want) in table {
            let holds = signed(key, &token).is_some_and(|claims| in_time(&claims, now) && bound.fits(&claims));
            assert_eq!(holds, want, "{what}");
        }
        let body = br#"{"nav":"1"}"#;
        let sha = format!("SHA-256={}", STANDARD.encode(digest(&SHA256, body)));
        let signed = |claims: Value| HeaderMap::from_iter([(SIGNATURE.parse().unwrap(), token("RS256", &claims, by_rsa).parse().unwrap())]);
        let of_this = signed(json!({"exp": at + 60, "signed_headers": [{"digest": sha}, {"content-type": "application/json"}]}));
        assert!(covers(&rsa_key, &of_this, body, now));
        assert!(!covers(&rsa_key, &of_this, br#"{"nav":"2"}"#, now));
        assert!(!covers(&rsa_key, &signed(json!({"exp": at + 60})), body, now), "a signature that covers no digest");
        assert!(!covers(&rsa_key, &HeaderMap::new(), body, now));
    }
    #[test]
    fn a_voucher_is_for_the_e_service_the_client_and_the_purpose_that_are_wanted() {
        let bound = |client: Option<&str>, purpose: Option<&str>| Bound {
            audience: "https://comune.esempio.it/prezzi".to_owned(),
            client: client.map(str::to_owned),
            purpose: purpose.map(str::to_owned),
        };
        let of = |aud: &str| json!({"aud": aud, "client_id": "c-1", "purposeId": "p-1"});
        let own = of("https://comune.esempio.it/prezzi");
        let table = [
            (bound(None, None), &own, true),
            (bound(Some("c-1"), Some("p-1")), &own, true),
            (bound(Some("c-2"), None), &own, false),
            (bound(None, Some("p-2")), &own, false),
            (bound(None, None), &of("https://altro.esempio.it/anagrafe"), false),
            (bound(Some("c-1"), None), &json!({"aud": "https://comune.esempio.it/prezzi"}), false),
        ];
        for (bound, claims, want) in table {
            assert_eq!(bound.fits(claims), want, "{bound:?} {claims}");
        }
    }
}
