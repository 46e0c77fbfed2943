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

use super::jwt::{self, PublicKey};
use crate::config::{Config, PtKind};

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
    voucher: Option<PublicKey>,
    audience: Option<String>,
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
        let login = login(key, &calls.username, password.expose());
        let caller = Caller {
            pt: pt.name.clone(),
            kind: pt.kind,
            bearer: hmac::sign(key, password.expose().as_bytes()),
            tokens: hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(key, &[pt.name.as_bytes(), &[0], login.as_ref()].concat()).as_ref()),
            login,
            hash: key.clone(),
            voucher: public(&calls.voucher_key, "voucher_key")?,
            audience: calls.voucher_audience.clone(),
            signature: public(&calls.signature_key, "signature_key")?,
        };
        all.insert(pt.name.clone(), Arc::new(caller));
    }
    Ok(all)
}

fn read_key(path: &Path) -> Result<PublicKey, String> {
    let text = std::fs::read(path).map_err(|error| format!("{} non si può leggere ({})", path.display(), error.kind()))?;
    PublicKey::from_pem(&text).ok_or_else(|| format!("{} non contiene una chiave pubblica PEM (RSA o P-256)", path.display()))
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

    fn gave(&self, token: &str, now: Timestamp) -> bool {
        let Some((signed, tag)) = token.rsplit_once('.') else { return false };
        let Ok(tag) = URL_SAFE_NO_PAD.decode(tag) else { return false };
        if hmac::verify(&self.tokens, signed.as_bytes(), &tag).is_err() {
            return false;
        }
        let claims = signed.rsplit_once('.').and_then(|(_, body)| URL_SAFE_NO_PAD.decode(body).ok());
        let claims = claims.and_then(|body| serde_json::from_slice::<Claims>(&body).ok());
        claims.is_some_and(|claims| claims.pt == self.pt && claims.exp > now.as_second())
    }

    /// Whether the request shows who it comes from, in that way. `now` is real time.
    pub fn admits(&self, headers: &HeaderMap, way: Way, now: Timestamp) -> bool {
        let Some(shown) = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).filter(|text| text.len() <= LONGEST) else {
            return false;
        };
        let Some((scheme, shown)) = shown.split_once(' ') else { return false };
        let shown = shown.trim();
        match way {
            Way::Basic => {
                let text = STANDARD.decode(shown).ok().and_then(|bytes| String::from_utf8(bytes).ok());
                scheme.eq_ignore_ascii_case("basic")
                    && text.as_deref().and_then(|text| text.split_once(':')).is_some_and(|(user, password)| self.knows(user, password))
            }
            Way::Token => scheme.eq_ignore_ascii_case("bearer") && self.gave(shown, now),
            Way::Voucher => {
                let voucher = || self.voucher.as_ref().is_some_and(|key| jwt::holds(key, shown, self.audience.as_deref(), now).is_some());
                let password = || same(&self.bearer, &hmac::sign(&self.hash, shown.as_bytes()));
                scheme.eq_ignore_ascii_case("bearer") && (self.gave(shown, now) || password() || voucher())
            }
        }
    }
}

#[cfg(test)]
mod tests {
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
            assert_eq!(caller.admits(&headers(&header), way, later(seconds)), want, "{what}");
        }
        assert!(!all["uno"].admits(&HeaderMap::new(), Way::Basic, now));
    }
}
