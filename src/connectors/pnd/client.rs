//! The calls: credentials, turn, time-out, log, and the verdict on the answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Method, Request, Url};
use serde::Serialize;

use crate::clock::{Clock, monotonic};
use crate::config::secret::Secret;
use crate::connectors::http::{Transport, read_body};
use crate::connectors::{ConnectorError, Problem, what};
use crate::domain::position::PaymentSeen;
use crate::domain::send::{LegalFactId, NotificationPrice};
use crate::telemetry::metrics::{Calls, Outcome};

use super::governor::Governor;
use super::operation::{Operation, classify};
use super::voucher::{VoucherSettings, Vouchers};
use super::wire::request::{self, NewNotification};
use super::wire::{ReadError, answer};
use super::{CancelAnswer, LegalFactLink, PlatformStatus, PreloadItem, RequestState, SentNotification, UploadSlot};

/// Longest answer that is read: a timeline of fifteen recipients takes well under 1 MiB.
const LONGEST_ANSWER: usize = 32 << 20;

/// Real time, monotonic. The connect time-out belongs to the shared client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// A whole call, answer included.
    pub call: Duration,
    /// Silence between two pieces of a download.
    pub idle: Duration,
    /// Least speed of an upload in bytes per second: it is given `call` plus its length at this speed.
    pub upload_rate: u64,
}

impl Default for Timeouts {
    fn default() -> Self {
        Timeouts { call: Duration::from_secs(30), idle: Duration::from_secs(30), upload_rate: 128 << 10 }
    }
}

/// What makes a [`Pnd`].
#[derive(Debug, Clone)]
pub struct PndSettings {
    /// Ente and key id, for logs.
    pub label: String,
    /// `https://api.notifichedigitali.it`
    pub base_url: String,
    pub api_key: Secret,
    /// Only for keys created with the PDND flag: without it no `Authorization` is ever sent.
    pub voucher: Option<VoucherSettings>,
    pub timeouts: Timeouts,
    /// Shared by all the keys of the ente.
    pub governor: Arc<Governor>,
    pub clock: Clock,
}

/// Why a [`Pnd`] cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PndSetupError {
    #[error("`{0}` is not the address of a server")]
    BaseUrl(String),
    #[error("the API key holds characters that no header can carry")]
    ApiKey,
    #[error("the PDND private key is not an RSA key of at least 2048 bits in PEM (PKCS#8)")]
    PrivateKey,
}

/// SEND as one (ente, API key) sees it. Cheap to clone.
#[derive(Clone)]
pub struct Pnd {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) label: String,
    base: Url,
    api_key: HeaderValue,
    vouchers: Option<Vouchers>,
    pub(super) timeouts: Timeouts,
    governor: Arc<Governor>,
    clock: Clock,
    pub(super) http: Client,
    calls: Arc<Calls>,
}

/// A call to be made.
pub(super) struct Call {
    operation: Operation,
    method: Method,
    url: Url,
    body: Option<Bytes>,
}

/// What came back.
pub(super) struct Answer {
    pub(super) status: u16,
    headers: HeaderMap,
    pub(super) body: Bytes,
}

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

impl Pnd {
    /// Checks the settings; calls nobody. `http` is the shared client ([`client`](crate::connectors::http::client)).
    pub fn new(settings: PndSettings, http: Client) -> Result<Pnd, PndSetupError> {
        Pnd::measured(settings, http, Arc::default())
    }

    /// The same, with its calls counted in `calls`.
    pub fn measured(settings: PndSettings, http: Client, calls: Arc<Calls>) -> Result<Pnd, PndSetupError> {
        let PndSettings { label, base_url, api_key, voucher, timeouts, governor, clock } = settings;
        let base = server_url(&base_url).ok_or(PndSetupError::BaseUrl(base_url))?;
        let mut api_key = HeaderValue::from_str(api_key.expose()).map_err(|_| PndSetupError::ApiKey)?;
        api_key.set_sensitive(true);
        let vouchers = voucher.map(Vouchers::new).transpose()?;
        Ok(Pnd { inner: Arc::new(Inner { label, base, api_key, vouchers, timeouts, governor, clock, http, calls }) })
    }

    /// Announces 1 to 15 files of any acts. The slots come in the order of `items`.
    pub async fn preload(&self, items: &[PreloadItem]) -> Result<Vec<UploadSlot>, ConnectorError> {
        if !(1..=15).contains(&items.len()) {
            return Err(ConnectorError::Protocol { what: format!("preload of {} files", items.len()) });
        }
        let url = self.url(&["delivery", "attachments", "preload"]);
        let answer = self.post(Operation::Preload, url, &request::preload(items)).await?;
        read(Operation::Preload, answer::preload(items, &answer.body))
    }

    /// Sends a request: its id. [`ConnectorError::Uncertain`]: ask [`Pnd::request_by_token`] before repeating.
    /// [`ConnectorError::Conflict`]: see [`duplicate_is_ours`](super::duplicate_is_ours).
    pub async fn send(&self, notification: &NewNotification<'_>) -> Result<String, ConnectorError> {
        let answer = self.post(Operation::Send, self.url(&["delivery", "v2.5", "requests"]), notification).await?;
        read(Operation::Send, answer::sent_request(&answer.body))
    }

    /// The state of the request that has this protocol and token; `NotFound`: it was never taken.
    pub async fn request_by_token(&self, protocol: &str, token: &str) -> Result<RequestState, ConnectorError> {
        let mut url = self.url(&["delivery", "v2.5", "requests"]);
        url.query_pairs_mut().append_pair("paProtocolNumber", protocol).append_pair("idempotenceToken", token);
        let answer = self.get(Operation::RequestByToken, url).await?;
        read(Operation::RequestByToken, answer::request_state(&answer.body))
    }

    /// The state of a request.
    pub async fn request_by_id(&self, id: &str) -> Result<RequestState, ConnectorError> {
        let mut url = self.url(&["delivery", "v2.5", "requests"]);
        url.query_pairs_mut().append_pair("notificationRequestId", id);
        let answer = self.get(Operation::RequestById, url).await?;
        read(Operation::RequestById, answer::request_state(&answer.body))
    }

    /// Status and whole timeline of an accepted notification.
    pub async fn sent(&self, iun: &str) -> Result<SentNotification, ConnectorError> {
        let answer = self.get(Operation::Sent, self.url(&["delivery", "v2.8", "notifications", "sent", iun])).await?;
        read(Operation::Sent, answer::sent(iun, &answer.body))
    }

    /// The price of a notice. Each reading is audited by SEND: not for polling.
    pub async fn price(&self, creditor: &str, notice: &str) -> Result<NotificationPrice, ConnectorError> {
        let answer = self.get(Operation::Price, self.url(&["delivery", "v2.3", "price", creditor, notice])).await?;
        read(Operation::Price, answer::price(&answer.body))
    }

    /// Asks for a cancellation; it has happened when the timeline says `NOTIFICATION_CANCELLED`.
    pub async fn cancel(&self, iun: &str) -> Result<CancelAnswer, ConnectorError> {
        let url = self.url(&["delivery-push", "v2.0", "notifications", "cancel", iun]);
        let answer = self.call(Call { operation: Operation::Cancel, method: Method::PUT, url, body: None }).await?;
        read(Operation::Cancel, answer::cancel(&answer.body))
    }

    /// Tells that a notice was wholly paid: at most 2^31-1 cents. `NotFound`: no live notification has the notice.
    pub async fn paid(&self, creditor: &str, notice: &str, payment: &PaymentSeen) -> Result<(), ConnectorError> {
        let event = request::payment_event(creditor, notice, payment)
            .ok_or_else(|| ConnectorError::Protocol { what: "an amount that the event cannot carry".to_owned() })?;
        let url = self.url(&["delivery", "events", "payment", "pagopa"]);
        self.post(Operation::Payment, url, &event).await.map(drop)
    }

    /// Where a legal fact is. `key` as the timeline has it. `NotFound`: announced a little early, ask again.
    pub async fn legal_fact(&self, iun: &str, key: &str) -> Result<LegalFactLink, ConnectorError> {
        let key = key.strip_prefix("safestorage://").unwrap_or(key);
        let answer = self.get(Operation::LegalFact, self.url(&["delivery-push", iun, "download", "legal-facts", key])).await?;
        read(Operation::LegalFact, answer::legal_fact(&answer.body))
    }

    /// The legal facts of a notification, all recipients.
    pub async fn legal_facts(&self, iun: &str) -> Result<Vec<LegalFactId>, ConnectorError> {
        let answer = self.get(Operation::LegalFacts, self.url(&["delivery-push", "v2.0", iun, "legal-facts"])).await?;
        read(Operation::LegalFacts, answer::legal_facts(&answer.body))
    }

    /// What SEND says of itself. An open incident is an answer, not an error.
    pub async fn platform_status(&self) -> Result<PlatformStatus, ConnectorError> {
        let operation = Operation::Status;
        let call = Call { operation, method: Method::GET, url: self.url(&["status"]), body: None };
        let answer = self.exchange(&call).await?;
        match answer.status {
            200..=299 => read(operation, answer::platform(answer.status, &answer.body)),
            status => match answer::platform(status, &answer.body) {
                Ok(known) if status == 500 => Ok(known),
                _ => Err(verdict(operation, &answer)),
            },
        }
    }

    /// Path segments are encoded: an id can never reach another operation.
    pub(super) fn url(&self, segments: &[&str]) -> Url {
        let mut url = self.inner.base.clone();
        // Always there: `server_url` refuses addresses that cannot have a path.
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }

    pub(super) async fn get(&self, operation: Operation, url: Url) -> Result<Answer, ConnectorError> {
        self.call(Call { operation, method: Method::GET, url, body: None }).await
    }

    pub(super) async fn post<T: Serialize + ?Sized>(&self, operation: Operation, url: Url, body: &T) -> Result<Answer, ConnectorError> {
        let body = serde_json::to_vec(body).map_err(|error| ConnectorError::Protocol { what: format!("request: {error}") })?;
        self.call(Call { operation, method: Method::POST, url, body: Some(body.into()) }).await
    }

    /// One exchange that must end in 2xx.
    async fn call(&self, call: Call) -> Result<Answer, ConnectorError> {
        let answer = self.exchange(&call).await?;
        if (200..300).contains(&answer.status) { Ok(answer) } else { Err(verdict(call.operation, &answer)) }
    }

    /// One exchange; a second one when the voucher, not the call, was refused.
    async fn exchange(&self, call: &Call) -> Result<Answer, ConnectorError> {
        let inner = &*self.inner;
        let Some(vouchers) = &inner.vouchers else { return self.attempt(call, None).await };
        let voucher = vouchers.get(&inner.http, &inner.clock, inner.timeouts.call, &inner.calls, None).await?;
        let answer = self.attempt(call, Some(voucher.clone())).await?;
        if !matches!(answer.status, 401 | 403) || matches!(verdict(call.operation, &answer), ConnectorError::NotFound(_)) {
            return Ok(answer);
        }
        let fresh = vouchers.get(&inner.http, &inner.clock, inner.timeouts.call, &inner.calls, Some(&voucher)).await?;
        self.attempt(call, Some(fresh)).await
    }

    async fn attempt(&self, call: &Call, voucher: Option<HeaderValue>) -> Result<Answer, ConnectorError> {
        let inner = &*self.inner;
        let operation = call.operation;
        if inner.governor.turn(operation.priority()).await.is_err() {
            return Err(ConnectorError::Temporary { what: what::QUOTA.to_owned(), retry_after: None });
        }
        let mut request = Request::new(call.method.clone(), call.url.clone());
        *request.timeout_mut() = Some(inner.timeouts.call);
        let headers = request.headers_mut();
        headers.insert(API_KEY, inner.api_key.clone());
        headers.insert(ACCEPT, JSON);
        if let Some(voucher) = voucher {
            headers.insert(AUTHORIZATION, voucher);
        }
        if let Some(body) = &call.body {
            headers.insert(CONTENT_TYPE, JSON);
            *request.body_mut() = Some(body.clone().into());
        }
        let started = monotonic();
        let (status, outcome) = match inner.http.execute(request).await {
            Ok(mut response) => {
                let status = response.status().as_u16();
                let headers = std::mem::take(response.headers_mut());
                (Some(status), read_body(response, LONGEST_ANSWER).await.map(|body| Answer { status, headers, body }))
            }
            Err(error) => (None, Err(Transport::from(error))),
        };
        match outcome {
            Ok(answer) => {
                inner.note(operation.name(), started, Some(answer.status));
                log_answer(&inner.label, operation, &answer, started);
                Ok(answer)
            }
            Err(Transport { unsent, what }) => {
                inner.note(operation.name(), started, None);
                let ms = elapsed_ms(started);
                tracing::info!(key = %inner.label, operation = operation.name(), status, ms, what, "SEND did not answer");
                Err(match status {
                    None if unsent => ConnectorError::Temporary { what, retry_after: None },
                    None | Some(200..=299) => operation.unanswered(what),
                    // The verdict needs no body but loses the codes: the status decides.
                    Some(status) => classify(operation, status, None, Problem { status, ..Problem::default() }),
                })
            }
        }
    }
}

impl Inner {
    /// Counts a call to SEND that has ended. `status`: of a whole answer.
    pub(super) fn note(&self, operation: &'static str, started: Instant, status: Option<u16>) {
        let took = monotonic().saturating_duration_since(started);
        self.calls.note("send", operation, took, status.map_or(Outcome::NoAnswer, Outcome::of_status));
    }
}

impl Answer {
    /// A number in a header.
    pub(super) fn header_u64(&self, name: HeaderName) -> Option<u64> {
        self.headers.get(name)?.to_str().ok()?.trim().parse().ok()
    }

    /// Milliseconds on the events of a stream, seconds elsewhere; at most a day.
    pub(super) fn retry_after(&self, operation: Operation) -> Option<Duration> {
        let number = self.header_u64(RETRY_AFTER)?;
        let wait = if operation == Operation::Events { Duration::from_millis(number) } else { Duration::from_secs(number) };
        Some(wait.min(Duration::from_secs(86_400)))
    }

    /// The one of the body, else of the gateway.
    fn trace_id(&self, problem: &Problem) -> Option<String> {
        let gateway = || self.headers.get("x-amzn-trace-id").and_then(|value| value.to_str().ok()).map(str::to_owned);
        problem.trace_id.clone().or_else(gateway)
    }
}

/// What a status outside 2xx means.
pub(super) fn verdict(operation: Operation, answer: &Answer) -> ConnectorError {
    let mut problem = answer::problem(answer.status, &answer.body);
    problem.trace_id = answer.trace_id(&problem);
    classify(operation, answer.status, answer.retry_after(operation), problem)
}

/// What an answer that cannot be used means: cut or spoiled, it is as good as none; well formed and wrong, a person is told,
/// save where the effect must be looked up first.
pub(super) fn read<T>(operation: Operation, read: Result<T, ReadError>) -> Result<T, ConnectorError> {
    read.map_err(|error| match error {
        ReadError::Unreadable { .. } => operation.unanswered(error.to_string()),
        ReadError::Broken(what) if operation.repeatable() => ConnectorError::Protocol { what: what.to_owned() },
        ReadError::Broken(what) => operation.unanswered(what.to_owned()),
    })
}

fn log_answer(label: &str, operation: Operation, answer: &Answer, started: Instant) {
    let (operation, status, ms) = (operation.name(), answer.status, elapsed_ms(started));
    if (200..300).contains(&status) {
        tracing::debug!(key = label, operation, status, ms, "SEND");
    } else {
        let problem = answer::problem(status, &answer.body);
        let trace_id = answer.trace_id(&problem);
        tracing::info!(key = label, operation, status, ms, codes = problem.codes(), trace_id, "SEND refused");
    }
}

pub(super) fn elapsed_ms(started: Instant) -> u64 {
    u64::try_from(monotonic().saturating_duration_since(started).as_millis()).unwrap_or(u64::MAX)
}

/// An `http` or `https` address without query.
pub(super) fn server_url(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let plain = url.query().is_none() && url.fragment().is_none() && url.username().is_empty() && url.password().is_none();
    (matches!(url.scheme(), "http" | "https") && url.has_host() && plain).then_some(url)
}
