//! Bearer tokens by OAuth2 client credentials (RFC 6749, 4.4): kept until shortly before they expire, one request at a time,
//! asked again once after a 401.

use std::time::{Duration, Instant};

use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderValue};
use reqwest::{Method, Request, Url};
use serde_json::Value;

use super::call::{Answer, call, problem, temporary};
use super::{PtSettings, PtSetupError, rest};
use crate::clock::monotonic;
use crate::config::secret::Secret;
use crate::connectors::ConnectorError;
use crate::connectors::http::{Transport, read_body};

/// How the client says who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Grant {
    /// `client_id` and `client_secret` in the form.
    Form,
    /// HTTP Basic, the way that RFC 6749 prefers.
    Basic,
    /// Everything in the query, as `p4pa-auth.openapi.yaml` has it.
    Query,
}

/// The tokens of one partner.
pub(super) struct Tokens {
    url: Url,
    client_id: String,
    secret: Secret,
    grant: Grant,
    scope: Option<String>,
    /// Held during the request: who waits for it finds the answer.
    last: tokio::sync::Mutex<Last>,
}

enum Last {
    None,
    Token { header: HeaderValue, until: Instant },
    Failed { at: Instant, error: ConnectorError },
}

/// Life of a token that does not tell it.
const USUAL_LIFE: u64 = 300;

impl Tokens {
    /// From `token_url`, `client_id` and `client_secret` of the block.
    pub(super) fn new(settings: &PtSettings, grant: Grant, scope: Option<&str>) -> Result<Tokens, PtSetupError> {
        let text = settings.config.token_url.as_deref().ok_or(PtSetupError::Missing { key: "token_url" })?;
        let url = rest::address(text).ok_or_else(|| PtSetupError::BaseUrl(text.to_owned()))?;
        let client_id = settings.config.client_id.clone().ok_or(PtSetupError::Missing { key: "client_id" })?;
        let secret = settings.client_secret.clone().ok_or(PtSetupError::Missing { key: "client_secret" })?;
        Ok(Tokens { url, client_id, secret, grant, scope: scope.map(str::to_owned), last: tokio::sync::Mutex::new(Last::None) })
    }

    /// Makes a call with a token; when the partner refuses the token, once more with a new one.
    pub(super) async fn call(
        &self,
        settings: &PtSettings,
        make: impl Fn(HeaderValue) -> Result<Request, ConnectorError>,
        writes: bool,
    ) -> Result<Answer, ConnectorError> {
        let token = self.bearer(settings, None).await?;
        match call(settings, make(token.clone())?, writes).await {
            Err(ConnectorError::Sender(refused)) if refused.status == 401 => {
                let fresh = self.bearer(settings, Some(&token)).await?;
                call(settings, make(fresh)?, writes).await
            }
            other => other,
        }
    }

    /// The `Authorization` header: the kept one, unless it is about to expire or is the one just `refused`.
    pub(super) async fn bearer(&self, settings: &PtSettings, refused: Option<&HeaderValue>) -> Result<HeaderValue, ConnectorError> {
        let asked = monotonic();
        let mut last = self.last.lock().await;
        match &*last {
            Last::Token { header, until } if monotonic() < *until && refused != Some(header) => return Ok(header.clone()),
            // It failed while this caller waited: asking again would keep all the others waiting.
            Last::Failed { at, error } if *at > asked => return Err(error.clone()),
            _ => {}
        }
        match self.ask(settings).await {
            Ok((header, until)) => {
                *last = Last::Token { header: header.clone(), until };
                Ok(header)
            }
            Err(error) => {
                *last = Last::Failed { at: monotonic(), error: error.clone() };
                Err(error)
            }
        }
    }

    async fn ask(&self, settings: &PtSettings) -> Result<(HeaderValue, Instant), ConnectorError> {
        let failed = |what: String| temporary(format!("token: {what}"), None);
        let started = monotonic();
        let mut request = self.request().ok_or_else(|| rest::protocol("the token cannot be asked for"))?;
        *request.timeout_mut() = Some(settings.timeout());
        let response = settings.http.execute(request).await.map_err(|error| {
            settings.note("token", started, None);
            failed(Transport::from(error).what)
        })?;
        let status = response.status().as_u16();
        let body = read_body(response, 1 << 20).await;
        settings.note("token", started, body.is_ok().then_some(status));
        let body = body.map_err(|Transport { what, .. }| failed(what))?;
        match status {
            200..=299 => {
                let (header, life) = read(&body).ok_or_else(|| failed("unreadable answer".to_owned()))?;
                Ok((header, started + life))
            }
            408 | 429 | 500..=599 => Err(failed(format!("HTTP {status}"))),
            _ => {
                let code = serde_json::from_slice::<Value>(&body).ok();
                let code = code.as_ref().and_then(|value| value.get("error")?.as_str()).unwrap_or_default();
                Err(ConnectorError::Sender(problem(status, &rest::code_only(code))))
            }
        }
    }

    fn request(&self) -> Option<Request> {
        let mut request = Request::new(Method::POST, self.url.clone());
        let mut fields = vec![("grant_type", "client_credentials")];
        if self.grant != Grant::Basic {
            fields.push(("client_id", &self.client_id));
            fields.push(("client_secret", self.secret.expose()));
        }
        fields.extend(self.scope.as_deref().map(|scope| ("scope", scope)));
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json"));
        if self.grant == Grant::Query {
            request.url_mut().query_pairs_mut().extend_pairs(&fields);
            return Some(request);
        }
        if self.grant == Grant::Basic {
            use base64::Engine;
            // Both are form-encoded first (RFC 6749, 2.3.1).
            let pair = format!("{}:{}", encoded(&self.client_id)?, encoded(self.secret.expose())?);
            let token = base64::engine::general_purpose::STANDARD.encode(pair);
            let (name, value) = rest::secret_header(AUTHORIZATION, &format!("Basic {token}"))?;
            request.headers_mut().insert(name, value);
        }
        let mut form = Url::parse("http://form").ok()?;
        form.query_pairs_mut().extend_pairs(&fields);
        let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
        request.headers_mut().insert(reqwest::header::CONTENT_TYPE, kind);
        *request.body_mut() = Some(form.query()?.to_owned().into());
        Some(request)
    }
}

/// `application/x-www-form-urlencoded`.
fn encoded(text: &str) -> Option<String> {
    let mut form = Url::parse("http://form").ok()?;
    form.query_pairs_mut().append_pair("", text);
    form.query()?.strip_prefix('=').map(str::to_owned)
}

/// The header and how long it is used: a little less than it lives.
fn read(body: &[u8]) -> Option<(HeaderValue, Duration)> {
    let answer = rest::object(body).ok()?;
    if rest::text(&answer, "token_type").is_some_and(|kind| !kind.eq_ignore_ascii_case("bearer")) {
        return None;
    }
    let (_, header) = rest::secret_header(AUTHORIZATION, &format!("Bearer {}", rest::text(&answer, "access_token")?))?;
    let told = answer.get("expires_in").and_then(|life| life.as_u64().or_else(|| life.as_str()?.parse().ok()));
    let life = told.unwrap_or(USUAL_LIFE).min(86_400);
    Some((header, Duration::from_secs(life - (life / 4).min(30))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_token() {
        let table = [
            (r#"{"access_token":"a","token_type":"Bearer","expires_in":3600}"#, Some(("Bearer a", 3_570))),
            (r#"{"access_token":"a","token_type":"bearer","expires_in":"60"}"#, Some(("Bearer a", 45))),
            (r#"{"access_token":"a"}"#, Some(("Bearer a", 270))),
            (r#"{"access_token":"a","token_type":"mac"}"#, None),
            (r#"{"access_token":"a\nb"}"#, None),
            (r#"{"token":"a"}"#, None),
            ("<html>", None),
        ];
        for (body, want) in table {
            let got = read(body.as_bytes());
            assert_eq!(got.as_ref().map(|(header, life)| (header.to_str().unwrap(), life.as_secs())), want, "{body}");
        }
    }

    #[test]
    fn says_who_it_is_in_each_way() {
        let tokens = |grant| Tokens {
            url: Url::parse("https://pt.example/oauth/token").unwrap(),
            client_id: "io & tu".to_owned(),
            secret: Secret::new("s=1"),
            grant,
            scope: Some("openid".to_owned()),
            last: tokio::sync::Mutex::new(Last::None),
        };
        let parts = |grant| {
            let request = tokens(grant).request().unwrap();
            let body = request.body().and_then(|body| body.as_bytes()).map(|body| String::from_utf8(body.to_vec()).unwrap());
            let auth = request.headers().get(AUTHORIZATION).map(|value| value.to_str().unwrap().to_owned());
            (request.url().query().map(str::to_owned), body, auth)
        };
        let all = "grant_type=client_credentials&client_id=io+%26+tu&client_secret=s%3D1&scope=openid";
        assert_eq!(parts(Grant::Query), (Some(all.to_owned()), None, None));
        assert_eq!(parts(Grant::Form), (None, Some(all.to_owned()), None));
        let few = "grant_type=client_credentials&scope=openid".to_owned();
        // `io+%26+tu:s%3D1`
        assert_eq!(parts(Grant::Basic), (None, Some(few), Some("Basic aW8rJTI2K3R1OnMlM0Qx".to_owned())));
    }
}
