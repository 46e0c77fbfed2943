//! What SEND answers. Unknown fields are ignored, unknown words kept; an element of a timeline that is not as described is
//! salvaged rather than refused, for it would stop the stream behind it.

use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::connectors::pnd::{
    CancelAnswer, LegalFactLink, PlatformStatus, PreloadItem, RequestState, SentNotification, StreamEvent, StreamInfo, UploadSlot,
};
use crate::connectors::{Problem, ProblemError};
use crate::domain::send::{LegalFactId, NotificationPrice, RefusalReason, TimelineElement};

/// Why an answer with a good status cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Not the JSON that was expected: cut, spoiled on the way, or of somebody in between. Position only: the text may
    /// quote personal data.
    #[error("unreadable answer at {line}:{column}")]
    Unreadable { line: usize, column: usize },
    /// Whole and well formed, but not what the contract says.
    #[error("{0}")]
    Broken(&'static str),
}

fn json<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, ReadError> {
    serde_json::from_slice(body).map_err(|error| ReadError::Unreadable { line: error.line(), column: error.column() })
}

/// A list or text that may be null or absent.
fn or_default<'de, D: serde::Deserializer<'de>, T: Default + Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

// --- Problems

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct ProblemWire {
    trace_id: Option<String>,
    title: Option<String>,
    detail: Option<String>,
    /// The gateway's own errors have nothing else.
    #[serde(alias = "Message")]
    message: Option<String>,
    #[serde(deserialize_with = "or_default")]
    errors: Vec<ProblemErrorWire>,
}

#[derive(Deserialize)]
struct ProblemErrorWire {
    #[serde(default)]
    code: Option<String>,
    #[serde(default)]
    element: Option<String>,
    #[serde(default)]
    detail: Option<String>,
}

/// Reads the body of a refused call, whatever it is: a `Problem`, the gateway's `{"message"}`, a page of a proxy.
///
/// `errors` is empty only when the body says nothing that can be read.
pub fn problem(status: u16, body: &[u8]) -> Problem {
    let wire: ProblemWire = serde_json::from_slice(body).unwrap_or_default();
    let mut errors: Vec<ProblemError> = wire
        .errors
        .into_iter()
        .map(|error| ProblemError { code: short(error.code.unwrap_or_default(), 128), element: error.element, detail: error.detail })
        .collect();
    if errors.is_empty() {
        if let Some(message) = wire.message {
            errors.push(ProblemError { code: "GATEWAY".to_owned(), element: None, detail: Some(short(message, 1_024)) });
        } else if let Some(detail) = wire.detail.or(wire.title) {
            errors.push(ProblemError { code: format!("HTTP_{status}"), element: None, detail: Some(short(detail, 1_024)) });
        }
    }
    Problem { status, trace_id: wire.trace_id.map(|id| short(id, 128)), errors }
}

fn short(text: String, longest: usize) -> String {
    if text.chars().nth(longest).is_none() { text } else { text.chars().take(longest).collect() }
}

const DUPLICATED: &str = "PN_GENERIC_INVALIDPARAMETER_DUPLICATED";

fn duplicated(problem: &Problem, key: &str) -> bool {
    let names = |text: &Option<String>| text.as_deref().is_some_and(|text| text.contains(key));
    problem.errors.iter().any(|error| error.code == DUPLICATED && (names(&error.element) || names(&error.detail)))
}

/// Whether a 409 says that this very request (protocol and token) was already taken: look it up, it is no error.
pub fn duplicate_is_ours(problem: &Problem) -> bool {
    duplicated(problem, "paProtocolNumber##idempotenceToken")
}

/// Whether a 409 says that a notice is used by a live notification. Decides only when [`duplicate_is_ours`] does not.
pub fn duplicate_notice(problem: &Problem) -> bool {
    duplicated(problem, "creditorTaxId##noticeCode")
}

// --- Preload, send, request

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PreloadWire {
    preload_idx: Option<String>,
    secret: Option<String>,
    http_method: Option<String>,
    url: Option<String>,
    key: Option<String>,
}

/// Reads a preload, in the order of `items` whatever that of the answer.
pub fn preload(items: &[PreloadItem], body: &[u8]) -> Result<Vec<UploadSlot>, ReadError> {
    let mut answers: Vec<PreloadWire> = json(body)?;
    let mut slots = Vec::with_capacity(items.len());
    for item in items {
        let mine = |answer: &PreloadWire| answer.preload_idx.as_deref() == Some(item.idx.as_str());
        let position = answers.iter().position(mine).ok_or(ReadError::Broken("preload: a file without answer"))?;
        let answer = answers.swap_remove(position);
        if answers.iter().any(mine) {
            return Err(ReadError::Broken("preload: two answers for a file"));
        }
        let PreloadWire { secret: Some(secret), http_method: Some(method), url: Some(url), key: Some(key), .. } = answer else {
            return Err(ReadError::Broken("preload: an answer without secret, method, url or key"));
        };
        if method != "PUT" && method != "POST" {
            return Err(ReadError::Broken("preload: neither PUT nor POST"));
        }
        slots.push(UploadSlot { idx: item.idx.clone(), secret, method, url, key });
    }
    if answers.is_empty() { Ok(slots) } else { Err(ReadError::Broken("preload: an answer nobody asked for")) }
}

/// Reads the answer to a send: the request id.
pub fn sent_request(body: &[u8]) -> Result<String, ReadError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Wire {
        notification_request_id: String,
    }
    let wire: Wire = json(body)?;
    if wire.notification_request_id.is_empty() { Err(ReadError::Broken("send: empty request id")) } else { Ok(wire.notification_request_id) }
}

/// Reads the state of a request.
pub fn request_state(body: &[u8]) -> Result<RequestState, ReadError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Wire {
        notification_request_id: String,
        notification_request_status: String,
        retry_after: Option<f64>,
        iun: Option<String>,
        #[serde(default, deserialize_with = "or_default")]
        errors: Vec<RefusalReason>,
    }
    let wire: Wire = json(body)?;
    let request_id = wire.notification_request_id;
    match (wire.notification_request_status.as_str(), wire.iun) {
        ("WAITING", _) => Ok(RequestState::Waiting { request_id, retry_after: wire.retry_after.and_then(seconds) }),
        ("ACCEPTED", Some(iun)) if !iun.is_empty() => Ok(RequestState::Accepted { request_id, iun }),
        ("ACCEPTED", _) => Err(ReadError::Broken("request: accepted without IUN")),
        ("REFUSED", _) => Ok(RequestState::Refused { request_id, reasons: wire.errors }),
        _ => Err(ReadError::Broken("request: unknown status")),
    }
}

fn seconds(number: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(number).ok()
}

// --- Timeline

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SentWire<E> {
    iun: Option<String>,
    notification_status: String,
    timeline: Vec<E>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EventWire<E> {
    event_id: String,
    notification_request_id: Option<String>,
    iun: Option<String>,
    new_status: Option<String>,
    element: E,
}

/// Reads `GET sent/{iun}`.
pub fn sent(iun: &str, body: &[u8]) -> Result<SentNotification, ReadError> {
    let notification = |iun_told: Option<String>, status, timeline| SentNotification {
        iun: iun_told.unwrap_or_else(|| iun.to_owned()),
        status,
        timeline,
    };
    match json::<SentWire<TimelineElement>>(body) {
        Ok(wire) => Ok(notification(wire.iun, wire.notification_status, wire.timeline)),
        Err(_) => {
            let wire: SentWire<Value> = json(body)?;
            let elements = wire.timeline.into_iter().enumerate();
            let timeline = elements.map(|(index, value)| salvage(value, || format!("UNREADABLE.{index}"))).collect();
            Ok(notification(wire.iun, wire.notification_status, timeline))
        }
    }
}

/// Reads a page of a stream.
pub fn events(body: &[u8]) -> Result<Vec<StreamEvent>, ReadError> {
    fn event<E>(wire: EventWire<E>, element: impl FnOnce(E, &str) -> TimelineElement) -> StreamEvent {
        let element = element(wire.element, &wire.event_id);
        let EventWire { event_id, notification_request_id: request_id, iun, new_status, .. } = wire;
        StreamEvent { event_id, request_id, iun, new_status, element }
    }
    match json::<Vec<EventWire<TimelineElement>>>(body) {
        Ok(page) => Ok(page.into_iter().map(|wire| event(wire, |element, _| element)).collect()),
        Err(_) => {
            let page: Vec<EventWire<Value>> = json(body)?;
            Ok(page.into_iter().map(|wire| event(wire, |value, id| salvage(value, || format!("UNREADABLE.{id}")))).collect())
        }
    }
}

/// An element as far as it can be read. Without an id it gets one that says so; without a category, an empty one; what is
/// not an object is kept whole in the details.
fn salvage(value: Value, id: impl FnOnce() -> String) -> TimelineElement {
    let Value::Object(mut fields) = value else {
        return TimelineElement {
            element_id: id(),
            timestamp: None,
            event_timestamp: None,
            ingestion_timestamp: None,
            legal_facts_ids: Vec::new(),
            category: String::new(),
            details: value,
        };
    };
    fn field<T: DeserializeOwned>(fields: &mut serde_json::Map<String, Value>, name: &str) -> Option<T> {
        fields.remove(name).and_then(|value| serde_json::from_value(value).ok())
    }
    let facts: Vec<Value> = field(&mut fields, "legalFactsIds").unwrap_or_default();
    TimelineElement {
        element_id: field(&mut fields, "elementId").unwrap_or_else(id),
        timestamp: field(&mut fields, "timestamp"),
        event_timestamp: field(&mut fields, "eventTimestamp"),
        ingestion_timestamp: field(&mut fields, "ingestionTimestamp"),
        legal_facts_ids: facts.into_iter().filter_map(|fact| serde_json::from_value(fact).ok()).collect(),
        category: field(&mut fields, "category").unwrap_or_default(),
        details: fields.remove("details").unwrap_or_default(),
    }
}

// --- Price, cancellation, legal facts

/// Reads a price. `vat` and `paFee` are 0 when SEND does not tell them (flat rate).
pub fn price(body: &[u8]) -> Result<NotificationPrice, ReadError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Wire {
        iun: String,
        partial_price: i64,
        total_price: i64,
        vat: Option<u32>,
        pa_fee: Option<u32>,
        send_fee: Option<i64>,
        analog_cost: Option<i64>,
        refinement_date: Option<jiff::Timestamp>,
        notification_view_date: Option<jiff::Timestamp>,
    }
    let wire: Wire = json(body)?;
    Ok(NotificationPrice {
        iun: wire.iun,
        partial_price: wire.partial_price,
        total_price: wire.total_price,
        vat: wire.vat.unwrap_or(0),
        pa_fee: wire.pa_fee.unwrap_or(0),
        send_fee: wire.send_fee.unwrap_or(0),
        analog_cost: wire.analog_cost.unwrap_or(0),
        refinement_date: wire.refinement_date,
        notification_view_date: wire.notification_view_date,
    })
}

/// Reads the answer to a cancellation: only the codes of `details` count.
pub fn cancel(body: &[u8]) -> Result<CancelAnswer, ReadError> {
    #[derive(Deserialize)]
    struct Wire {
        #[serde(default, deserialize_with = "or_default")]
        details: Vec<Detail>,
    }
    #[derive(Deserialize)]
    struct Detail {
        code: String,
    }
    let wire: Wire = json(body)?;
    let known = wire.details.iter().find_map(|detail| match detail.code.as_str() {
        "NOTIFICATION_CANCELLATION_ACCEPTED" => Some(CancelAnswer::Accepted),
        "NOTIFICATION_ALREADY_CANCELLED" => Some(CancelAnswer::AlreadyCancelled),
        "NOTIFICATION_REFUSED" => Some(CancelAnswer::NotificationRefused),
        _ => None,
    });
    known.ok_or(ReadError::Broken("cancel: no known code"))
}

/// Reads where a legal fact is.
pub fn legal_fact(body: &[u8]) -> Result<LegalFactLink, ReadError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Wire {
        filename: Option<String>,
        /// `decimal32` in the specification.
        content_length: Option<f64>,
        url: Option<String>,
        retry_after: Option<f64>,
    }
    let wire: Wire = json(body)?;
    match wire.url {
        Some(url) if !url.is_empty() => Ok(LegalFactLink::Ready {
            url,
            filename: wire.filename.unwrap_or_default(),
            length: wire.content_length.filter(|length| *length > 0.0 && length.fract() == 0.0).map(|length| length as u64),
        }),
        _ => Ok(LegalFactLink::NotReady { retry_after: wire.retry_after.and_then(seconds) }),
    }
}

/// Reads the list of the legal facts of a notification.
pub fn legal_facts(body: &[u8]) -> Result<Vec<LegalFactId>, ReadError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Wire {
        legal_facts_id: LegalFactId,
    }
    Ok(json::<Vec<Wire>>(body)?.into_iter().map(|wire| wire.legal_facts_id).collect())
}

// --- Streams, platform

/// Reads one stream, as created or as listed.
pub fn stream(body: &[u8]) -> Result<StreamInfo, ReadError> {
    json::<StreamWire>(body).map(StreamWire::info)
}

/// Reads the list of the active streams.
pub fn streams(body: &[u8]) -> Result<Vec<StreamInfo>, ReadError> {
    Ok(json::<Vec<StreamWire>>(body)?.into_iter().map(StreamWire::info).collect())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StreamWire {
    stream_id: String,
    title: String,
}

impl StreamWire {
    fn info(self) -> StreamInfo {
        StreamInfo { stream_id: self.stream_id, title: self.title }
    }
}

/// Reads the status of the platform (the same body comes with 200 and 500).
pub fn platform(status: u16, body: &[u8]) -> Result<PlatformStatus, ReadError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Wire {
        open_incidents: Vec<Incident>,
    }
    #[derive(Deserialize)]
    struct Incident {
        functionality: String,
    }
    let wire: Wire = json(body)?;
    let open_incidents: Vec<String> = wire.open_incidents.into_iter().map(|incident| incident.functionality).collect();
    Ok(PlatformStatus { healthy: status == 200 && open_incidents.is_empty(), open_incidents })
}
