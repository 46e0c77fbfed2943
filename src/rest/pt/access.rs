//! Who a caller is: user and password of `[pt.chiama]`, a token that we gave, a voucher that somebody vouches for.
//!
//! Passwords are kept as a hash under a key that dies with the process, and compared without telling how far they agree: a price
//! is asked while a citizen waits at a counter, a slow hash would be most of the answer. The list is short and guessing is
//! slowed down by [`super::guard`]. A token is bound to its PT and to the credentials it was given for.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::jwt::{self, Bound};
use crate::config::{Config, PtKind, PublicKey};

/// Seconds for which a token of a login is good: MyPay and PU log in anew for each price.
const TOKEN_LIFE: i64 = 600;
/// `{"alg":"HS256","typ":"JWT"}`, the only head that a token of ours has.
const TOKEN_HEAD: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9";
/// Longest header with credentials that is looked at.
const LONGEST: usize = 8 << 10;

/// Every PT that may call, by name.
pub(super) type Callers = BTreeMap<String, Arc<Caller>>;

/// One PT as a caller.
pub(super) struct Caller {
    pub pt: String,
    pub kind: PtKind,
    hash: hmac::Key,
    login: hmac::Tag,
    bearer: hmac::Tag,
    tokens: hmac::Key,
    voucher: Option<(PublicKey, Bound)>,
    /// Checks `Agid-JWT-Signature`.
    pub signature: Option<PublicKey>,
}

/// How a contract wants its caller to show itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// `Authorization: Basic`.
    Basic,
    /// `Authorization: Bearer` with what a login gave.
    Token,
    /// `Authorization: Bearer` with a voucher, the password, or what a login gave.
    Voucher,
}

/// What a header shows that cannot be guessed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signed {
    /// A token of ours or a voucher, good now.
    Good,
    /// Rightly signed, and run out or for something else: everyday life, nobody guesses.
    Stale,
    /// None of them.
    Not,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    pt: String,
    exp: i64,
}

/// A key that nobody else has and that is gone with the process.
pub(super) fn fresh_key() -> Result<hmac::Key, String> {
    let mut bytes = [0u8; 32];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| "il sistema non dà numeri casuali".to_owned())?;
    Ok(hmac::Key::new(hmac::HMAC_SHA256, &bytes))
}

/// Reads the credentials of every PT that may call. The error is a sentence for whoever wrote the configuration.
pub(super) fn callers(config: &Config, key: &hmac::Key) -> Result<Callers, String> {
    let mut all = Callers::new();
    for pt in &config.pts {
        let Some(calls) = &pt.chiama else { continue };
        let password = calls.password.resolve().map_err(|error| format!("pt «{}», chiama.password: {error}", pt.name))?;
        let public = |path: &Option<std::path::PathBuf>, name: &str| {
            path.as_deref().map(read_key).transpose().map_err(|reason| format!("pt «{}», chiama.{name}: {reason}", pt.name))
        };
        let voucher = match (public(&calls.voucher_key, "voucher_key")?, &calls.voucher_audience) {
            (Some(key), Some(audience)) => {
                let (client, purpose) = (calls.voucher_client.clone(), calls.voucher_purpose.clone());
                Some((key, Bound { audience: audience.clone(), client, purpose }))
            }
            (Some(_), None) => return Err(format!("pt «{}», chiama.voucher_key: va indicata insieme con voucher_audience", pt.name)),
            (None, _) => None,
        };
        let login = login(key, &calls.username, password.expose());
        let caller = Caller {
            pt: pt.name.clone(),
            kind: pt.kind,
            bearer: hmac::sign(key, password.expose().as_bytes()),
            tokens: hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(key, &[pt.name.as_bytes(), &[0], login.as_ref()].concat()).as_ref()),
            login,
            hash: key.clone(),
            voucher,
            signature: public(&calls.signature_key, "signature_key")?,
        };
        all.insert(pt.name.clone(), Arc::new(caller));
    }
    Ok(all)
}

fn read_key(path: &Path) -> Result<PublicKey, String> {
    PublicKey::read(path).map_err(|reason| format!("{}: {reason}", path.display()))
}

/// The length of the name goes first: no other pair has the same bytes.
fn login(key: &hmac::Key, username: &str, password: &str) -> hmac::Tag {
    let mut context = hmac::Context::with_key(key);
    context.update(&(username.len() as u64).to_le_bytes());
    context.update(username.as_bytes());
    context.update(password.as_bytes());
    context.sign()
}

fn same(a: &hmac::Tag, b: &hmac::Tag) -> bool {
    verify_slices_are_equal(a.as_ref(), b.as_ref()).is_ok()
}

impl Caller {
    /// Whether user and password are those of the configuration.
    pub fn knows(&self, username: &str, password: &str) -> bool {
        same(&self.login, &login(&self.hash, username, password))
    }

    /// What a login gives.
    pub fn token(&self, now: Timestamp) -> String {
        let claims = Claims { pt: self.pt.clone(), exp: now.as_second() + TOKEN_LIFE };
        let body = serde_json::to_vec(&claims).unwrap_or_default();
        let mut token = String::with_capacity(160);
        token.push_str(TOKEN_HEAD);
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(body, &mut token);
        let tag = hmac::sign(&self.tokens, token.as_bytes());
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(tag.as_ref(), &mut token);
        token
    }

    fn gave(&self, token: &str, now: Timestamp) -> Signed {
        let Some((signed, tag)) = token.rsplit_once('.') else { return Signed::Not };
        let Ok(tag) = URL_SAFE_NO_PAD.decode(tag) else { return Signed::Not };
        if hmac::verify(&self.tokens, signed.as_bytes(), &tag).is_err() {
            return Signed::Not;
        }
        let claims = signed.rsplit_once('.').and_then(|(_, body)| URL_SAFE_NO_PAD.decode(body).ok());
        let claims = claims.and_then(|body| serde_json::from_slice::<Claims>(&body).ok());
        if claims.is_some_and(|claims| claims.pt == self.pt && claims.exp > now.as_second()) { Signed::Good } else { Signed::Stale }
    }

    /// Whether the request shows a token or a voucher, where that way knows them. `now` is real time.
    pub fn signed(&self, headers: &HeaderMap, way: Way, now: Timestamp) -> Signed {
        let Some(("bearer", shown)) = shown(headers).filter(|_| way != Way::Basic) else { return Signed::Not };
        match (self.gave(shown, now), way, &self.voucher) {
            (Signed::Not, Way::Voucher, Some((key, bound))) => match jwt::signed(key, shown) {
                Some(claims) if !bound.fits(&claims) => {
                    tracing::warn!(pt = self.pt, "un voucher con la firma giusta è per un altro e-service, client o scopo");
                    Signed::Stale
                }
                Some(claims) if jwt::in_time(&claims, now) => Signed::Good,
                Some(_) => Signed::Stale,
                None => Signed::Not,
            },
            (found, ..) => found,
        }
    }

    /// Whether the request shows the password, in that way.
    pub fn admits(&self, headers: &HeaderMap, way: Way) -> bool {
        match (way, shown(headers)) {
            (Way::Basic, Some(("basic", shown))) => {
                let text = STANDARD.decode(shown).ok().and_then(|bytes| String::from_utf8(bytes).ok());
                text.as_deref().and_then(|text| text.split_once(':')).is_some_and(|(user, password)| self.knows(user, password))
            }
            (Way::Voucher, Some(("bearer", shown))) => same(&self.bearer, &hmac::sign(&self.hash, shown.as_bytes())),
            _ => false,
        }
    }
}

/// Scheme (small letters; `basic` or `bearer`) and credentials of the header.
fn shown(headers: &HeaderMap) -> Option<(&'static str, &str)> {
    let text = headers.get(AUTHORIZATION)?.to_str().ok().filter(|text| text.len() <= LONGEST)?;
    let (scheme, shown) = text.split_once(' ')?;
    let scheme = ["basic", "bearer"].into_iter().find(|known| scheme.eq_ignore_ascii_case(known))?;
    Some((scheme, shown.trim()))
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};

    use super::*;

    fn made(text: &str) -> Callers {
        let config: Config = toml::from_str(&format!("data = \"/d\"\ninstallation = \"x\"\n{text}")).unwrap();
        callers(&config, &hmac::Key::new(hmac::HMAC_SHA256, b"key of the test")).unwrap()
    }

    #[test]
    fn a_token_is_of_its_pt_for_a_while_and_for_these_credentials() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        std::fs::write(path("a"), "segreta").unwrap();
        std::fs::write(path("b"), "altra").unwrap();
        let block = |name: &str, secret: &str| {
            format!("[[pt]]\nname = \"{name}\"\nkind = \"mypay\"\n[pt.chiama]\nusername = \"u\"\npassword = \"file:{}\"\n", path(secret))
        };
        let all = made(&(block("uno", "a") + &block("due", "a")));
        let again = made(&block("uno", "b"));
        let now: Timestamp = "2026-11-23T08:00:00Z".parse().unwrap();
        let later = |seconds: i64| Timestamp::from_second(now.as_second() + seconds).unwrap();
        let headers = |value: &str| HeaderMap::from_iter([(AUTHORIZATION, value.parse().unwrap())]);
        let token = all["uno"].token(now);
        let broken = format!("{}x", &token[..token.len() - 1]);
        let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
        let table = [
            ("its token", &all["uno"], format!("Bearer {token}"), Way::Token, 0, true),
            ("its token, as a voucher", &all["uno"], format!("Bearer {token}"), Way::Voucher, 599, true),
            ("too late", &all["uno"], format!("Bearer {token}"), Way::Token, 600, false),
            ("another PT", &all["due"], format!("Bearer {token}"), Way::Token, 0, false),
            ("another password since", &again["uno"], format!("Bearer {token}"), Way::Token, 0, false),
            ("another signature", &all["uno"], format!("Bearer {broken}"), Way::Token, 0, false),
            ("nothing signed", &all["uno"], format!("Bearer {TOKEN_HEAD}.e30."), Way::Token, 0, false),
            ("the password as a token", &all["uno"], "Bearer segreta".into(), Way::Token, 0, false),
            ("the password as a voucher", &all["uno"], "Bearer segreta".into(), Way::Voucher, 0, true),
            ("another word as a voucher", &all["uno"], "Bearer segretx".into(), Way::Voucher, 0, false),
            ("basic", &all["uno"], basic("u:segreta"), Way::Basic, 0, true),
            ("basic, wrong password", &all["uno"], basic("u:segreta "), Way::Basic, 0, false),
            ("basic, shifted", &all["uno"], basic("us:egreta"), Way::Basic, 0, false),
            ("basic where a token is wanted", &all["uno"], basic("u:segreta"), Way::Token, 0, false),
            ("no scheme", &all["uno"], token.clone(), Way::Token, 0, false),
        ];
        for (what, caller, header, way, seconds, want) in table {
            let in_either_way =
                caller.signed(&headers(&header), way, later(seconds)) == Signed::Good || caller.admits(&headers(&header), way);
            assert_eq!(in_either_way, want, "{what}");
        }
        assert!(!all["uno"].admits(&HeaderMap::new(), Way::Basic));
        assert_eq!(all["uno"].signed(&headers(&format!("Bearer {token}")), Way::Token, later(600)), Signed::Stale, "run out");
        assert_eq!(all["uno"].signed(&headers(&format!("Bearer {broken}")), Way::Token, now), Signed::Not);
    }

    #[test]
    fn a_voucher_that_ran_out_is_no_guess_and_one_for_another_e_service_lets_nobody_in() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let der: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der.as_ref()));
        std::fs::write(path("pdnd.pem"), pem).unwrap();
        std::fs::write(path("a"), "segreta").unwrap();
        let block = |more: &str| {
            format!(
                "[[pt]]\nname = \"pu\"\nkind = \"pu\"\n[pt.chiama]\nusername = \"u\"\npassword = \"file:{}\"\nvoucher_key = \"{}\"\n{more}\n",
                path("a"),
                path("pdnd.pem")
            )
        };
        let voucher = |claims: &serde_json::Value| {
            let part = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
            let text = format!("{}.{}", part(&serde_json::json!({"alg": "ES256", "typ": "at+jwt"})), part(claims));
            let signature = pair.sign(&SystemRandom::new(), text.as_bytes()).unwrap();
            format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
        };
        let now: Timestamp = "2026-11-23T08:00:00Z".parse().unwrap();
        let of = |aud: &str, end: i64| voucher(&serde_json::json!({"aud": aud, "client_id": "pu", "exp": now.as_second() + end}));
        let mut forged = of("prezzi", 600);
        forged.replace_range(forged.len() - 4.., "AAAA");
        let all = made(&block("voucher_audience = \"prezzi\"\nvoucher_client = \"pu\""));
        let table = [
            ("good", of("prezzi", 600), Signed::Good),
            ("run out an hour ago", of("prezzi", -3_600), Signed::Stale),
            ("of the same key for another e-service", of("anagrafe", 600), Signed::Stale),
            ("forged", forged, Signed::Not),
            ("a word", "segretx".to_owned(), Signed::Not),
        ];
        for (what, shown, want) in table {
            let headers = HeaderMap::from_iter([(AUTHORIZATION, format!("Bearer {shown}").parse().unwrap())]);
            assert_eq!(all["pu"].signed(&headers, Way::Voucher, now), want, "{what}");
            assert_eq!(all["pu"].signed(&headers, Way::Token, now), Signed::Not, "{what}, where only our tokens are known");
        }
        // Without an audience whoever has a voucher of anything would be let in: such a configuration is refused.
        let bare: Config = toml::from_str(&format!("data = \"/d\"\ninstallation = \"x\"\n{}", block(""))).unwrap();
        let Err(told) = callers(&bare, &hmac::Key::new(hmac::HMAC_SHA256, b"key of the test")) else { panic!("taken") };
        assert!(told.contains("voucher_audience"), "{told}");
    }
}
