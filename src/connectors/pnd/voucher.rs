//! PDND vouchers: obtained with a signed client assertion, kept until shortly before they expire, one request at a time.

use std::time::{Duration, Instant};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::Timestamp;
use reqwest::header::HeaderValue;
use reqwest::{Client, Url};
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use crate::clock::{Clock, monotonic, new_uuid};
use crate::config::secret::Secret;
use crate::connectors::http::{Transport, read_body};
use crate::connectors::{ConnectorError, Problem, ProblemError, what};
use crate::telemetry::metrics::{Calls, Outcome};

use super::client::{PndSetupError, elapsed_ms, server_url};

/// The PDND client of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VoucherSettings {
    pub token_url: String,
    pub client_id: String,
    /// Key id registered at PDND.
    pub kid: String,
    pub purpose_id: String,
    /// Audience of the client assertion.
    pub audience: String,
    /// RSA private key of at least 2048 bits, PEM.
    pub private_key: Secret,
}

/// Seconds for which a client assertion is valid.
const ASSERTION_LIFE: i64 = 300;

pub(super) struct Vouchers {
    settings: VoucherSettings,
    token_url: Url,
    key: RsaKeyPair,
    /// The lock is held during the request: who waits for it finds the answer.
    last: tokio::sync::Mutex<Last>,
}

enum Last {
    None,
    Voucher { header: HeaderValue, until: Instant },
    Failed { at: Instant, error: ConnectorError },
}

impl Vouchers {
    pub(super) fn new(settings: VoucherSettings) -> Result<Vouchers, PndSetupError> {
        let key = rsa_key(settings.private_key.expose()).ok_or(PndSetupError::PrivateKey)?;
        let token_url = server_url(&settings.token_url).ok_or_else(|| PndSetupError::BaseUrl(settings.token_url.clone()))?;
        Ok(Vouchers { settings, token_url, key, last: tokio::sync::Mutex::new(Last::None) })
    }

    /// The `Authorization` header: the kept one, unless it is about to expire or is the one just `refused`.
    pub(super) async fn get(
        &self,
        http: &Client,
        clock: &Clock,
        timeout: Duration,
        calls: &Calls,
        refused: Option<&HeaderValue>,
    ) -> Result<HeaderValue, ConnectorError> {
        let asked = monotonic();
        let mut last = self.last.lock().await;
        match &*last {
            Last::Voucher { header, until } if monotonic() < *until && refused != Some(header) => return Ok(header.clone()),
            // It failed while this caller waited: asking again would keep all the others waiting.
            Last::Failed { at, error } if *at > asked => return Err(error.clone()),
            _ => {}
        }
        match self.ask(http, clock, timeout, calls).await {
            Ok((header, until)) => {
                *last = Last::Voucher { header: header.clone(), until };
                Ok(header)
            }
            Err(error) => {
                *last = Last::Failed { at: monotonic(), error: error.clone() };
                Err(error)
            }
        }
    }

    async fn ask(&self, http: &Client, clock: &Clock, timeout: Duration, calls: &Calls) -> Result<(HeaderValue, Instant), ConnectorError> {
        let failed = |what: String| ConnectorError::Temporary { what: format!("voucher: {what}"), retry_after: None };
        let assertion = assertion(&self.settings, &self.key, clock.now(), new_uuid());
        let assertion = assertion.ok_or_else(|| ConnectorError::Protocol { what: "voucher: the key does not sign".to_owned() })?;
        let form = [
            ("client_id", self.settings.client_id.as_str()),
            ("client_assertion", assertion.as_str()),
            ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
            ("grant_type", "client_credentials"),
        ];
        let started = monotonic();
        let outcome = async {
            let response = http.post(self.token_url.clone()).timeout(timeout).form(&form).send().await?;
            let status = response.status().as_u16();
            read_body(response, 1 << 20).await.map(|body| (status, body))
        };
        let outcome = outcome.await;
        let ended = outcome.as_ref().map_or(Outcome::NoAnswer, |(status, _)| Outcome::of_status(*status));
        calls.note("pdnd", "voucher", monotonic().saturating_duration_since(started), ended);
        let (status, body) = outcome.map_err(|Transport { what, .. }| failed(what))?;
        let (client, ms) = (self.settings.client_id.as_str(), elapsed_ms(started));
        match status {
            200..=299 => {
                tracing::debug!(client, status, ms, "PDND voucher");
                let (header, life) = read_voucher(&body).ok_or_else(|| failed("unreadable answer".to_owned()))?;
                Ok((header, started + life))
            }
            429 | 408 | 500..=599 => {
                tracing::info!(client, status, ms, "PDND did not give a voucher");
                Err(failed(if status == 429 { what::THROTTLED.to_owned() } else { format!("HTTP {status}") }))
            }
            _ => {
                let problem = refusal(status, &body);
                tracing::warn!(client, status, ms, codes = problem.codes(), "PDND refused the client");
                Err(ConnectorError::Sender(problem))
            }
        }
    }
}

/// The key behind a PEM, PKCS#8 or PKCS#1.
fn rsa_key(pem: &str) -> Option<RsaKeyPair> {
    let (_, rest) = pem.split_once("-----BEGIN ")?;
    let (label, rest) = rest.split_once("-----")?;
    let (body, _) = rest.split_once("-----END ")?;
    let body: String = body.split_ascii_whitespace().collect();
    let der = STANDARD.decode(body).ok()?;
    let key = match label {
        "PRIVATE KEY" => RsaKeyPair::from_pkcs8(&der).ok()?,
        "RSA PRIVATE KEY" => RsaKeyPair::from_der(&der).ok()?,
        _ => return None,
    };
    (key.public_modulus_len() >= 256).then_some(key)
}

/// The client assertion: a JWT in RS256.
fn assertion(settings: &VoucherSettings, key: &RsaKeyPair, now: Timestamp, jti: Uuid) -> Option<String> {
    let iat = now.as_second();
    let header = json!({"alg": "RS256", "kid": settings.kid, "typ": "JWT"});
    let claims = json!({
        "iss": settings.client_id,
        "sub": settings.client_id,
        "aud": settings.audience,
        "purposeId": settings.purpose_id,
        "jti": jti,
        "iat": iat,
        "exp": iat + ASSERTION_LIFE,
    });
    let mut token = format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()));
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), token.as_bytes(), &mut signature).ok()?;
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(&signature, &mut token);
    Some(token)
}

/// The header, and for how long it is used: a tenth of its life, at most a minute, is left unused.
fn read_voucher(body: &[u8]) -> Option<(HeaderValue, Duration)> {
    #[derive(Deserialize)]
    struct Wire {
        access_token: String,
        expires_in: u64,
    }
    let wire: Wire = serde_json::from_slice(body).ok()?;
    if wire.access_token.is_empty() {
        return None;
    }
    let mut header = HeaderValue::from_str(&format!("Bearer {}", wire.access_token)).ok()?;
    header.set_sensitive(true);
    let life = wire.expires_in.min(86_400);
    Some((header, Duration::from_secs(life - (life / 10).min(60))))
}

/// OAuth errors (`{"error"}`) or the problems of PDND.
fn refusal(status: u16, body: &[u8]) -> Problem {
    #[derive(Deserialize)]
    struct OAuth {
        error: String,
        error_description: Option<String>,
    }
    let mut problem = super::wire::answer::problem(status, body);
    if let Ok(oauth) = serde_json::from_slice::<OAuth>(body) {
        let code = format!("PDND_{}", oauth.error.chars().take(100).collect::<String>());
        problem.errors.push(ProblemError { code, element: None, detail: oauth.error_description });
    }
    if problem.errors.is_empty() {
        problem.errors.push(ProblemError { code: format!("PDND_{status}"), ..ProblemError::default() });
    }
    problem
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::encoding::AsDer;
    use aws_lc_rs::rsa::KeySize;
    use aws_lc_rs::signature::{KeyPair, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};

    fn pem(key: &RsaKeyPair) -> String {
        let der: aws_lc_rs::encoding::Pkcs8V1Der<'_> = key.as_der().unwrap();
        let text = STANDARD.encode(der.as_ref());
        let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
        format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----", lines.join("\n"))
    }

    #[test]
    fn the_assertion_is_signed_and_says_who_asks_for_what() {
        let pem = pem(&RsaKeyPair::generate(KeySize::Rsa2048).unwrap());
        let key = rsa_key(&pem).unwrap();
        let settings = VoucherSettings {
            token_url: "https://auth.example/token".into(),
            client_id: "client".into(),
            kid: "kid-1".into(),
            purpose_id: "purpose".into(),
            audience: "auth.example/client-assertion".into(),
            private_key: Secret::new(pem.clone()),
        };
        let token = assertion(&settings, &key, Timestamp::from_second(1_800_000_000).unwrap(), Uuid::nil()).unwrap();
        let parts: Vec<&str> = token.split('.').collect();
        let text = |part: &str| String::from_utf8(URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
        insta::assert_snapshot!(text(parts[0]), @r#"{"alg":"RS256","kid":"kid-1","typ":"JWT"}"#);
        insta::assert_snapshot!(text(parts[1]), @r#"{"aud":"auth.example/client-assertion","exp":1800000300,"iat":1800000000,"iss":"client","jti":"00000000-0000-0000-0000-000000000000","purposeId":"purpose","sub":"client"}"#);
        let signed = format!("{}.{}", parts[0], parts[1]);
        let signature = URL_SAFE_NO_PAD.decode(parts[2]).unwrap();
        let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.public_key().as_ref());
        assert!(public.verify(signed.as_bytes(), &signature).is_ok());
        for (broken, why) in
            [("", "empty"), ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", "no key"), (&pem[40..], "no header")]
        {
            assert!(rsa_key(broken).is_none(), "{why}");
        }
    }

    #[test]
    fn a_voucher_is_left_before_it_expires() {
        let table = [
            (r#"{"access_token":"t","expires_in":600,"token_type":"Bearer"}"#, Some(540)),
            (r#"{"access_token":"t","expires_in":3600}"#, Some(3_540)),
            (r#"{"access_token":"t","expires_in":5}"#, Some(5)),
            (r#"{"access_token":"","expires_in":5}"#, None),
            (r#"{"access_token":"t\n","expires_in":5}"#, None),
            (r#"{"access_token":"t"}"#, None),
            ("", None),
        ];
        for (body, want) in table {
            let got = read_voucher(body.as_bytes()).map(|(_, life)| life.as_secs());
            assert_eq!(got, want, "{body}");
        }
    }

    #[test]
    fn a_refusal_says_why() {
        let table = [
            (r#"{"error":"invalid_client","error_description":"no"}"#, "400 PDND_invalid_client"),
            (r#"{"status":400,"errors":[{"code":"015-0008","detail":"x"}]}"#, "400 015-0008"),
            ("<html>", "400 PDND_400"),
        ];
        for (body, want) in table {
            assert_eq!(refusal(400, body.as_bytes()).codes(), want, "{body}");
        }
    }
}
