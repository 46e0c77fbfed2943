//! Calls in, answers out: which operation a path is, faults before and after it, bodies, `Problem`s.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use serde_json::Value;

use super::auth::{Caller, gateway};
use super::faults::{FaultKind, Operation};
use super::listener::Gate;
use super::streams::{self, Action};
use super::{App, facts, inspect, preload, price, render, request};

/// Largest JSON body taken.
const BODY_LIMIT: usize = 10 * 1024 * 1024;

/// An answer before it becomes HTTP.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub content_type: &'static str,
    pub body: Vec<u8>,
    pub headers: Vec<(&'static str, String)>,
}

impl Reply {
    pub fn json(status: u16, body: impl Into<Vec<u8>>) -> Reply {
        Reply { status, content_type: "application/json", body: body.into(), headers: Vec::new() }
    }

    pub fn problem(status: u16, body: impl Into<Vec<u8>>) -> Reply {
        Reply { content_type: "application/problem+json", ..Reply::json(status, body) }
    }

    pub fn empty(status: u16) -> Reply {
        Reply { content_type: "", ..Reply::json(status, Vec::new()) }
    }

    pub fn with_header(mut self, name: &'static str, value: String) -> Reply {
        self.headers.push((name, value));
        self
    }

    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if !self.content_type.is_empty() {
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        }
        for (name, value) in self.headers {
            if let Ok(value) = HeaderValue::from_str(&value) {
                response.headers_mut().insert(HeaderName::from_static(name), value);
            }
        }
        response
    }
}

/// The platform's error body, collecting its errors.
#[derive(Debug)]
pub struct Problem {
    status: u16,
    title: &'static str,
    errors: Vec<(&'static str, Option<String>, String)>,
}

impl Problem {
    pub fn new(status: u16, title: &'static str) -> Problem {
        Problem { status, title, errors: Vec::new() }
    }

    pub fn add(&mut self, code: &'static str, element: Option<&str>, detail: impl Into<String>) {
        self.errors.push((code, element.map(str::to_owned), detail.into()));
    }

    pub fn error(mut self, code: &'static str, element: Option<&str>, detail: impl Into<String>) -> Problem {
        self.add(code, element, detail);
        self
    }

    pub fn is_empty(&self) -> bool {
        self.errors.is_empty()
    }

    pub fn reply(self) -> Reply {
        let mut out = String::with_capacity(256 + self.errors.len() * 120);
        out.push_str("{\"type\":\"GENERIC_ERROR\",\"status\":");
        out.push_str(&self.status.to_string());
        out.push_str(",\"title\":");
        render::text(&mut out, self.title);
        out.push_str(",\"detail\":\"See errors for details\",\"traceId\":\"Root=1-");
        out.push_str(&crate::clock::new_uuid().simple().to_string());
        out.push_str("\",\"timestamp\":");
        render::instant(&mut out, App::real_now());
        out.push_str(",\"errors\":[");
        for (index, (code, element, detail)) in self.errors.iter().enumerate() {
            out.push_str(if index > 0 { ",{\"code\":" } else { "{\"code\":" });
            render::text(&mut out, code);
            if let Some(element) = element {
                out.push_str(",\"element\":");
                render::text(&mut out, element);
            }
            out.push_str(",\"detail\":");
            let detail: String = detail.chars().take(1024).collect();
            render::text(&mut out, &detail);
            out.push('}');
        }
        out.push_str("]}");
        Reply::problem(self.status, out)
    }
}

/// The JSON of a body, without `null`s anywhere.
pub fn body_value(body: &[u8]) -> Result<Value, Reply> {
    let refuse = |detail: String| Problem::new(400, "Bad Request").error("PN_GENERIC_INVALIDPARAMETER", Some("body"), detail).reply();
    let value: Value = serde_json::from_slice(body).map_err(|error| refuse(format!("Invalid request body: {error}")))?;
    match null_in(&value) {
        Some(path) => Err(refuse(format!("Invalid request body: {path} must not be null"))),
        None => Ok(value),
    }
}

fn null_in(value: &Value) -> Option<String> {
    match value {
        Value::Null => Some(String::new()),
        Value::Array(items) => items.iter().enumerate().find_map(|(index, item)| null_in(item).map(|path| format!("[{index}]{path}"))),
        Value::Object(map) => map.iter().find_map(|(name, item)| null_in(item).map(|path| format!(".{name}{path}"))),
        _ => None,
    }
}

/// `%41` and `+` undone; what is not UTF-8 is replaced.
pub fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut ahead = rest.clone();
                let hex = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
                match (hex(ahead.next()), hex(ahead.next())) {
                    (Some(high), Some(low)) => {
                        rest = ahead;
                        u8::try_from(high * 16 + low).unwrap_or(b'%')
                    }
                    _ => b'%',
                }
            }
            other => other,
        });
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The value of a query parameter.
pub fn query(uri_query: Option<&str>, name: &str) -> Option<String> {
    uri_query?
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| percent_decoded(value))
}

/// Where a call goes.
#[derive(Debug, Clone, Copy)]
enum Route<'a> {
    Preload,
    Send,
    RequestStatus,
    Detail(&'a str),
    Price(&'a str, &'a str),
    Payment,
    Cancel(&'a str),
    Facts(&'a str),
    Fact(&'a str, &'a str),
    StreamCreate,
    StreamList,
    Stream(&'a str),
    StreamUpdate(&'a str),
    StreamDelete(&'a str),
    StreamDisable(&'a str),
    StreamEvents(&'a str),
    Platform,
    Upload(&'a str),
    Download(&'a str),
    Token,
    Inspect(&'a str),
    Unknown,
}

fn route<'a>(method: &Method, path: &[&'a str]) -> Route<'a> {
    match (method.as_str(), path) {
        ("POST", ["delivery", "v2.5", "requests"]) => Route::Send,
        ("GET", ["delivery-progresses", "v2.9", "streams", id, "events"]) => Route::StreamEvents(id),
        ("GET", ["delivery", "v2.5", "requests"]) => Route::RequestStatus,
        ("POST", ["delivery", "attachments", "preload"]) => Route::Preload,
        ("PUT" | "POST", ["_s3", _, key]) => Route::Upload(key),
        ("GET", ["_s3", _, key]) => Route::Download(key),
        ("GET", ["delivery", "v2.8", "notifications", "sent", iun]) => Route::Detail(iun),
        ("GET", ["delivery", "v2.3", "price", creditor, notice]) => Route::Price(creditor, notice),
        ("POST", ["delivery", "events", "payment", "pagopa"]) => Route::Payment,
        ("PUT", ["delivery-push", "v2.0", "notifications", "cancel", iun]) => Route::Cancel(iun),
        ("GET", ["delivery-push", "v2.0", iun, "legal-facts"]) => Route::Facts(iun),
        ("GET", ["delivery-push", iun, "download", "legal-facts", id]) => Route::Fact(iun, id),
        ("POST", ["delivery-progresses", "v2.9", "streams"]) => Route::StreamCreate,
        ("GET", ["delivery-progresses", "v2.9", "streams"]) => Route::StreamList,
        ("GET", ["delivery-progresses", "v2.9", "streams", id]) => Route::Stream(id),
        ("PUT", ["delivery-progresses", "v2.9", "streams", id]) => Route::StreamUpdate(id),
        ("DELETE", ["delivery-progresses", "v2.9", "streams", id]) => Route::StreamDelete(id),
        ("POST", ["delivery-progresses", "v2.9", "streams", id, "action", "disable"]) => Route::StreamDisable(id),
        ("GET", ["status"]) => Route::Platform,
        ("POST", ["_pdnd", "token"]) => Route::Token,
        ("GET", ["_sandbox", what]) => Route::Inspect(what),
        _ => Route::Unknown,
    }
}

impl Route<'_> {
    /// What it is called in faults and counters.
    fn operation(&self) -> Option<Operation> {
        Some(match self {
            Route::Preload => Operation::Preload,
            Route::Send => Operation::Send,
            Route::RequestStatus => Operation::Status,
            Route::Detail(_) => Operation::Detail,
            Route::Price(..) => Operation::Price,
            Route::Payment => Operation::Payment,
            Route::Cancel(_) => Operation::Cancel,
            Route::Facts(_) | Route::Fact(..) => Operation::Legal,
            Route::StreamCreate
            | Route::StreamList
            | Route::Stream(_)
            | Route::StreamUpdate(_)
            | Route::StreamDelete(_)
            | Route::StreamDisable(_) => Operation::Streams,
            Route::StreamEvents(_) => Operation::Events,
            Route::Platform => Operation::Platform,
            Route::Upload(_) => Operation::Upload,
            Route::Download(_) => Operation::Download,
            Route::Token => Operation::Token,
            Route::Inspect(_) | Route::Unknown => return None,
        })
    }
}

/// Answers any call.
pub async fn serve(State(app): State<Arc<App>>, ConnectInfo(gate): ConnectInfo<Gate>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let segments: Vec<&str> = parts.uri.path().trim_start_matches('/').split('/').collect();
    let route = route(&parts.method, &segments);
    if let Route::Inspect(what) = route {
        return inspect::serve(&app, what, parts.uri.query());
    }
    let fault = route.operation().and_then(|operation| app.faults.next(operation));
    match fault {
        Some((FaultKind::TooMany, _)) => return gateway(429, "Too Many Requests").into_response(),
        Some((FaultKind::Unavailable, _)) => return gateway(503, "Service Unavailable").into_response(),
        Some((FaultKind::Internal, _)) if matches!(route, Route::Platform) => {
            let incident = "[{\"functionality\":\"NOTIFICATION_CREATE\",\"status\":\"KO\",\"startDate\":\"2019-08-24T14:15:22Z\"}]";
            return Reply::problem(500, status_body(incident)).into_response();
        }
        Some((FaultKind::Internal, _)) => {
            let problem = Problem::new(500, "Internal Server Error");
            return problem.error("PN_GENERIC_ERROR", None, "Errore simulato").reply().into_response();
        }
        Some((FaultKind::Slow, wait)) => tokio::time::sleep(wait).await,
        Some((FaultKind::Reset, _)) => {
            gate.reset();
            return Reply::empty(200).into_response();
        }
        _ => {}
    }
    let call = Call { headers: &parts.headers, query: parts.uri.query(), method: &parts.method };
    let mut reply = answer(&app, route, &call, body).await;
    match fault {
        Some((FaultKind::Lost, _)) => gate.close(),
        Some((FaultKind::Truncated, _)) => gate.truncate(reply.body.len().div_ceil(2)),
        Some((FaultKind::WrongJson, _)) => {
            reply.body = b"{\"esito\":\"risposta imprevista del simulatore\"}".to_vec();
            reply.content_type = "application/json";
        }
        _ => {}
    }
    reply.into_response()
}

/// What of a call the operations read, besides path and body.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    pub headers: &'a HeaderMap,
    pub query: Option<&'a str>,
    pub method: &'a Method,
}

impl Call<'_> {
    /// A header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

async fn answer(app: &Arc<App>, route: Route<'_>, call: &Call<'_>, body: Body) -> Reply {
    match route {
        Route::Upload(key) => return preload::upload(app, key, call, body).await,
        Route::Download(key) => return facts::download(app, key, call),
        Route::Unknown => {
            return Problem::new(404, "Not Found").error("PN_GENERIC_ERROR", None, "Operazione non coperta dal simulatore").reply();
        }
        _ => {}
    }
    let body: Bytes = match axum::body::to_bytes(body, BODY_LIMIT).await {
        Ok(body) => body,
        Err(_) => return gateway(413, "Request Too Long"),
    };
    if let Route::Token = route {
        return app.auth.token(app, &body);
    }
    match app.auth.identify(app, call.header("x-api-key"), call.header("authorization")) {
        Ok(caller) => operate(app, route, call, &caller, &body),
        Err(refusal) => refusal,
    }
}

fn operate(app: &Arc<App>, route: Route<'_>, call: &Call<'_>, caller: &Caller, body: &[u8]) -> Reply {
    match route {
        Route::Preload => preload::preload(app, caller, call, body),
        Route::Send => request::send(app, caller, body),
        Route::RequestStatus => request::status(app, caller, call.query),
        Route::Detail(iun) => {
            let state = app.lock();
            match state.accepted(iun, caller.pa, &caller.groups) {
                Some((number, note)) => {
                    Reply::json(200, render::detail(note, number, state.pas.get(note.pa as usize).map_or("", |pa| &pa.tax_id)))
                }
                None => not_found_iun(iun),
            }
        }
        Route::Price(creditor, notice) => price::price(app, creditor, notice),
        Route::Payment => price::payments(app, body),
        Route::Cancel(iun) => cancel(app, caller, iun),
        Route::Facts(iun) => facts::list(app, caller, iun),
        Route::Fact(iun, id) => facts::metadata(app, caller, call, iun, id),
        Route::StreamCreate => streams::create(app, caller, body),
        Route::StreamList => streams::list(app, caller),
        Route::Stream(id) => streams::act(app, caller, id, Action::Read),
        Route::StreamUpdate(id) => streams::act(app, caller, id, Action::Update(body)),
        Route::StreamDelete(id) => streams::act(app, caller, id, Action::Delete),
        Route::StreamDisable(id) => streams::act(app, caller, id, Action::Disable),
        Route::StreamEvents(id) => streams::events(app, caller, id, query(call.query, "lastEventId").as_deref()),
        Route::Platform => Reply::problem(200, status_body("[]")),
        Route::Upload(_) | Route::Download(_) | Route::Token | Route::Inspect(_) | Route::Unknown => Reply::empty(404),
    }
}

fn status_body(incidents: &str) -> String {
    format!(
        "{{\"functionalities\":[\"NOTIFICATION_CREATE\",\"NOTIFICATION_VISUALIZATION\",\"NOTIFICATION_WORKFLOW\"],\"openIncidents\":{incidents}}}"
    )
}

/// 404 for a notification unknown, of others, or not accepted yet.
pub fn not_found_iun(iun: &str) -> Reply {
    let detail = format!("Notification with iun={iun} not found");
    Problem::new(404, "Not Found").error("PN_DELIVERY_NOTIFICATIONNOTFOUND", None, detail).reply()
}

fn cancel(app: &App, caller: &Caller, iun: &str) -> Reply {
    let now = app.now();
    let mut told = Vec::new();
    let code = {
        let context = app.context(now);
        let mut state = app.lock();
        match state.accepted(iun, caller.pa, &caller.groups).map(|(index, _)| index) {
            Some(index) => state.cancel(index, now, &context, &mut told),
            None => {
                let refused = state.by_iun.get(iun).and_then(|index| state.notification(*index));
                match refused {
                    Some(note) if note.pa == caller.pa && note.phase == super::model::Phase::Refused => "NOTIFICATION_REFUSED",
                    _ => return not_found_iun(iun),
                }
            }
        }
    };
    app.wake.notify_one();
    app.tell(&told);
    let level = if code == "NOTIFICATION_CANCELLATION_ACCEPTED" { "INFO" } else { "WARN" };
    Reply::json(202, format!("{{\"status\":\"OK\",\"details\":[{{\"code\":\"{code}\",\"level\":\"{level}\",\"detail\":\"{code}\"}}]}}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn undoes_percent_encoding() {
        let table = [("a%3Db", "a=b"), ("a+b", "a b"), ("%2B", "+"), ("%", "%"), ("%zz", "%zz"), ("%c3%a8", "è"), ("%ff", "\u{fffd}")];
        for (text, want) in table {
            assert_eq!(percent_decoded(text), want, "{text}");
        }
        assert_eq!(query(Some("x=1&lastEventId=0%31&y"), "lastEventId").as_deref(), Some("01"));
    }

    #[test]
    fn finds_nulls_where_they_are() {
        assert!(body_value(br#"{"a":[1,{"b":2}]}"#).is_ok());
        let refused = body_value(br#"{"a":[1,{"b":null}]}"#).unwrap_err();
        assert_eq!(refused.status, 400);
        assert!(String::from_utf8(refused.body).unwrap().contains(".a[1].b"));
    }
}
