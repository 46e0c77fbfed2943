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
use crate::domain::send::{LegalFactId, NO_CATEGORY, NotificationPrice, RefusalReason, TimelineElement};

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
    if wire.notification_request_id.is_empty() {
        Err(ReadError::Broken("send: empty request id"))
    } else {
        Ok(wire.notification_request_id)
    }
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
    let notification =
        |iun_told: Option<String>, status, timeline| SentNotification { iun: iun_told.unwrap_or_else(|| iun.to_owned()), status, timeline };
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

/// An element as far as it can be read. Without an id or a category it gets one that says so; what is
/// not an object is kept whole in the details.
fn salvage(value: Value, id: impl FnOnce() -> String) -> TimelineElement {
    let Value::Object(mut fields) = value else {
        return TimelineElement {
            element_id: id(),
            timestamp: None,
            event_timestamp: None,
            ingestion_timestamp: None,
            legal_facts_ids: Vec::new(),
            category: NO_CATEGORY.to_owned(),
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
        category: field(&mut fields, "category").unwrap_or_else(|| NO_CATEGORY.to_owned()),
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
    disabled_date: Option<Value>,
}

impl StreamWire {
    fn info(self) -> StreamInfo {
        let disabled = self.disabled_date.is_some_and(|date| !date.is_null());
        StreamInfo { stream_id: self.stream_id, title: self.title, disabled }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connectors::pnd::ContentType;
    use crate::domain::digest::Sha256;

    fn items(idxs: &[&str]) -> Vec<PreloadItem> {
        idxs.iter().map(|idx| PreloadItem { idx: (*idx).into(), content_type: ContentType::Pdf, sha256: Sha256::of(b"") }).collect()
    }

    fn slot(idx: &str) -> String {
        format!(r#"{{"preloadIdx":"{idx}","secret":"s{idx}","httpMethod":"PUT","url":"https://x/{idx}","key":"K{idx}"}}"#)
    }

    #[test]
    fn preloads_are_matched_by_index() {
        let broken = |why| Err(ReadError::Broken(why));
        let table = [
            (format!("[{},{}]", slot("b"), slot("a")), Ok("Ka,Kb".to_owned())),
            (format!("[{}]", slot("a")), broken("preload: a file without answer")),
            (format!("[{},{},{}]", slot("b"), slot("a"), slot("a")), broken("preload: two answers for a file")),
            (format!("[{},{},{}]", slot("b"), slot("a"), slot("c")), broken("preload: an answer nobody asked for")),
            (format!("[{},{}]", slot("b"), slot("a").replace("PUT", "GET")), broken("preload: neither PUT nor POST")),
            (
                format!("[{},{}]", slot("b"), slot("a").replace("secret", "other")),
                broken("preload: an answer without secret, method, url or key"),
            ),
            ("{}".to_owned(), Err(ReadError::Unreadable { line: 1, column: 0 })),
        ];
        for (body, want) in table {
            let got = preload(&items(&["a", "b"]), body.as_bytes());
            let keys = got.map(|slots| slots.iter().map(|slot| slot.key.clone()).collect::<Vec<_>>().join(","));
            assert_eq!(keys, want, "{body}");
        }
    }

    #[test]
    fn problems_of_every_origin_are_read() {
        let table = [
            (400, r#"{"status":400,"traceId":"T","errors":[{"code":"A","element":"e","detail":"d"},{"code":"B"}]}"#, "400 A,B", Some("T")),
            (403, r#"{"message":"Forbidden"}"#, "403 GATEWAY", None),
            (403, r#"{"Message":"not authorized"}"#, "403 GATEWAY", None),
            (500, r#"{"status":500,"title":"ERROR","traceId":"T","errors":null}"#, "500 HTTP_500", Some("T")),
            (502, "<html>Bad gateway</html>", "502 ", None),
            (400, r#"{"errors":[{"element":"x"}]}"#, "400 ", None),
            (400, r#"[1,2]"#, "400 ", None),
            (400, "", "400 ", None),
        ];
        for (status, body, codes, trace_id) in table {
            let got = problem(status, body.as_bytes());
            assert_eq!((got.codes().as_str(), got.trace_id.as_deref()), (codes, trace_id), "{body}");
        }
        let long = problem(400, format!(r#"{{"errors":[{{"code":"{}"}}]}}"#, "à".repeat(500)).as_bytes());
        assert_eq!(long.errors[0].code.chars().count(), 128);
    }

    #[test]
    fn a_duplicate_is_ours_or_somebody_elses() {
        let ours = "Duplicated notification for senderPaId##paProtocolNumber##idempotenceToken";
        let notice = "Duplicated notification for creditorTaxId##noticeCode";
        let table: [(&[&str], bool, bool); 4] = [
            (&[ours], true, false),
            (&[notice], false, true),
            (&[notice, ours], true, true),
            (&["Duplicated notification for iun"], false, false),
        ];
        for (elements, is_ours, is_notice) in table {
            let error = |element: &&str| ProblemError { code: DUPLICATED.into(), element: Some((*element).into()), detail: None };
            let conflict = Problem { status: 409, trace_id: None, errors: elements.iter().map(error).collect() };
            assert_eq!((duplicate_is_ours(&conflict), duplicate_notice(&conflict)), (is_ours, is_notice), "{elements:?}");
        }
        let other = Problem {
            status: 409,
            trace_id: None,
            errors: vec![ProblemError { code: "X".into(), element: Some(ours.into()), detail: None }],
        };
        assert!(!duplicate_is_ours(&other));
    }

    #[test]
    fn request_states_are_read() {
        let echo = r#""notificationRequestId":"SUQ=","paProtocolNumber":"1","subject":"s","vat":22"#;
        let reason = RefusalReason { detail: Some("via".into()), rec_index: Some(0), ..RefusalReason::of("NOT_VALID_ADDRESS") };
        let id = || "SUQ=".to_owned();
        let waiting = |retry_after| Ok(RequestState::Waiting { request_id: id(), retry_after });
        let table = [
            (r#""notificationRequestStatus":"WAITING","retryAfter":10"#, waiting(Some(Duration::from_secs(10)))),
            (r#""notificationRequestStatus":"WAITING","retryAfter":-1,"errors":null"#, waiting(None)),
            (r#""notificationRequestStatus":"ACCEPTED","iun":"I""#, Ok(RequestState::Accepted { request_id: id(), iun: "I".into() })),
            (r#""notificationRequestStatus":"ACCEPTED""#, Err(ReadError::Broken("request: accepted without IUN"))),
            (
                r#""notificationRequestStatus":"REFUSED","errors":[{"code":"NOT_VALID_ADDRESS","detail":"via","recIndex":0}]"#,
                Ok(RequestState::Refused { request_id: id(), reasons: vec![reason] }),
            ),
            (r#""notificationRequestStatus":"REFUSED""#, Ok(RequestState::Refused { request_id: id(), reasons: vec![] })),
            (r#""notificationRequestStatus":"NEW""#, Err(ReadError::Broken("request: unknown status"))),
        ];
        for (fields, want) in table {
            assert_eq!(request_state(format!("{{{echo},{fields}}}").as_bytes()), want, "{fields}");
        }
        let cut = format!("{{{echo},");
        assert!(matches!(request_state(cut.as_bytes()), Err(ReadError::Unreadable { .. })), "{cut}");
        assert_eq!(sent_request(br#"{"notificationRequestId":"SUQ="}"#), Ok("SUQ=".into()));
        assert_eq!(sent_request(br#"{"notificationRequestId":""}"#), Err(ReadError::Broken("send: empty request id")));
    }

    const ELEMENT: &str = r#"{"elementId":"E1","eventTimestamp":"2026-11-22T10:00:00.123456789Z","ingestionTimestamp":"2026-11-22T10:00:01Z",
        "legalFactsIds":[{"key":"safestorage://PN_LEGAL_FACTS-1.pdf","category":"SENDER_ACK"}],"category":"REQUEST_ACCEPTED",
        "details":{"recIndex":1,"nested":{"a":null}}}"#;

    #[test]
    fn events_are_read_and_an_odd_one_does_not_stop_the_page() {
        let event = |id: &str, element: &str| {
            format!(r#"{{"eventId":"{id}","notificationRequestId":"R","newStatus":"ACCEPTED","element":{element}}}"#)
        };
        let plain = events(format!("[{}]", event("1", ELEMENT)).as_bytes()).unwrap();
        assert_eq!(plain[0].element.rec_index(), Some(1));
        assert_eq!(plain[0].element.happened_at(), Some("2026-11-22T10:00:00.123456789Z".parse().unwrap()));
        assert_eq!(
            (plain[0].request_id.as_deref(), plain[0].iun.as_deref(), plain[0].new_status.as_deref()),
            (Some("R"), None, Some("ACCEPTED"))
        );
        // (what is odd, id and category that result, legal facts)
        let table = [
            (ELEMENT.replace("[{\"key\"", "[{\"no\":1},{\"key\""), "E1", "REQUEST_ACCEPTED", 1),
            (ELEMENT.replace("10:00:00.123456789Z", "soon"), "E1", "REQUEST_ACCEPTED", 1),
            (r#"{"elementId":"E2","category":"NEW","legalFactsIds":null}"#.to_owned(), "E2", "NEW", 0),
            (r#"{"details":{"x":1}}"#.to_owned(), "UNREADABLE.2", "SENZA_CATEGORIA", 0),
            ("null".to_owned(), "UNREADABLE.2", "SENZA_CATEGORIA", 0),
        ];
        for (odd, id, category, facts) in table {
            let page = events(format!("[{},{}]", event("1", ELEMENT), event("2", &odd)).as_bytes()).unwrap();
            assert_eq!(page[0], plain[0], "beside {odd}");
            let element = &page[1].element;
            assert_eq!(
                (element.element_id.as_str(), element.category.as_str(), element.legal_facts_ids.len()),
                (id, category, facts),
                "{odd}"
            );
        }
        assert!(matches!(events(b"[{]"), Err(ReadError::Unreadable { .. })));
        assert_eq!(events(b"[]"), Ok(vec![]));
    }

    #[test]
    fn timelines_are_read() {
        let body = format!(r#"{{"recipients":[],"notificationStatus":"ACCEPTED","notificationStatusHistory":[],"timeline":[{ELEMENT}]}}"#);
        let got = sent("IUN", body.as_bytes()).unwrap();
        assert_eq!((got.iun.as_str(), got.status.as_str(), got.timeline.len()), ("IUN", "ACCEPTED", 1));
        let odd = body.replace(&format!("[{ELEMENT}]"), r#"[{"elementId":"E","category":"C","timestamp":1},7]"#);
        let got = sent("IUN", odd.as_bytes()).unwrap();
        let ids: Vec<&str> = got.timeline.iter().map(|element| element.element_id.as_str()).collect();
        assert_eq!(ids, ["E", "UNREADABLE.1"]);
        assert!(matches!(sent("IUN", b"{}"), Err(ReadError::Unreadable { .. })));
    }

    #[test]
    fn prices_cancellations_and_facts_are_read() {
        let full = r#"{"iun":"I","partialPrice":630,"totalPrice":847,"vat":22,"paFee":100,"sendFee":100,"analogCost":530,
            "refinementDate":"2026-12-01T00:00:00+01:00"}"#;
        let got = price(full.as_bytes()).unwrap();
        assert_eq!((got.total_price, got.vat, got.refinement_date), (847, 22, Some("2026-11-30T23:00:00Z".parse().unwrap())));
        let flat = price(br#"{"iun":"I","partialPrice":0,"totalPrice":0,"vat":null}"#).unwrap();
        assert_eq!((flat.total_price, flat.vat, flat.pa_fee), (0, 0, 0));
        assert!(price(br#"{"iun":"I"}"#).is_err());

        let table = [
            (r#"{"status":"ok","details":[{"code":"NOTIFICATION_CANCELLATION_ACCEPTED","level":"INFO"}]}"#, Ok(CancelAnswer::Accepted)),
            (r#"{"details":[{"code":"X"},{"code":"NOTIFICATION_ALREADY_CANCELLED"}]}"#, Ok(CancelAnswer::AlreadyCancelled)),
            (r#"{"details":[{"code":"NOTIFICATION_REFUSED"}]}"#, Ok(CancelAnswer::NotificationRefused)),
            (r#"{"status":"ok"}"#, Err(ReadError::Broken("cancel: no known code"))),
        ];
        for (body, want) in table {
            assert_eq!(cancel(body.as_bytes()), want, "{body}");
        }

        let ready = |length| LegalFactLink::Ready { url: "https://x".into(), filename: "a.pdf".into(), length };
        let not_ready = |retry_after| LegalFactLink::NotReady { retry_after };
        let table = [
            (r#"{"filename":"a.pdf","contentLength":54092,"url":"https://x"}"#, ready(Some(54_092))),
            (r#"{"filename":"a.pdf","contentLength":5.0E3,"url":"https://x"}"#, ready(Some(5_000))),
            (r#"{"filename":"a.pdf","contentLength":0,"url":"https://x"}"#, ready(None)),
            (r#"{"filename":"a.pdf","contentLength":1,"retryAfter":3600}"#, not_ready(Some(Duration::from_secs(3_600)))),
            (r#"{"filename":"a.pdf","contentLength":1,"url":"","retryAfter":1.5}"#, not_ready(Some(Duration::from_millis(1_500)))),
            (r#"{}"#, not_ready(None)),
        ];
        for (body, want) in table {
            assert_eq!(legal_fact(body.as_bytes()), Ok(want), "{body}");
        }
        let list = legal_facts(br#"[{"iun":"I","legalFactsId":{"key":"k","category":"NEW"},"taxId":"x"}]"#).unwrap();
        assert_eq!(list, [LegalFactId { key: "k".into(), category: "NEW".into() }]);
    }

    #[test]
    fn the_platform_speaks_of_itself() {
        let table = [
            (200, r#"{"functionalities":["NOTIFICATION_CREATE"],"openIncidents":[]}"#, Ok((true, 0))),
            (500, r#"{"functionalities":[],"openIncidents":[{"functionality":"NOTIFICATION_CREATE","status":"KO"}]}"#, Ok((false, 1))),
            (500, r#"{"functionalities":[],"openIncidents":[]}"#, Ok((false, 0))),
            (500, r#"{"status":500,"errors":[]}"#, Err(())),
        ];
        for (status, body, want) in table {
            let got = platform(status, body.as_bytes()).map(|got| (got.healthy, got.open_incidents.len())).map_err(|_| ());
            assert_eq!(got, want, "{status} {body}");
        }
    }
}
