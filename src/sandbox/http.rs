//! Calls in, answers out: which operation a path is, faults before and after it, and who may ask.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, Method};
use axum::response::Response;

use super::auth::{Caller, gateway};
use super::faults::{FaultKind, Operation};
use super::listener::Gate;
use super::reply::{Problem, Reply, query};
use super::streams::{self, Action, Disturbance};
use super::{App, facts, inspect, preload, price, render, request};

/// Largest JSON body taken.
const BODY_LIMIT: usize = 10 * 1024 * 1024;

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
    let storage = matches!(route, Route::Upload(_) | Route::Download(_));
    match fault {
        Some((kind @ (FaultKind::TooMany | FaultKind::Unavailable | FaultKind::Internal), _)) if storage => {
            let internal = kind == FaultKind::Internal;
            let (status, code) = if internal { (500, "InternalError") } else { (503, "SlowDown") };
            return preload::xml_error(status, code, "We encountered an internal error or reduced capacity. Please try again.")
                .into_response();
        }
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
    let disturbed = match fault {
        Some((FaultKind::Duplicate, _)) => Some(Disturbance::Duplicate),
        Some((FaultKind::Shuffle, _)) => Some(Disturbance::Shuffle),
        _ => None,
    };
    let mut reply = answer(&app, route, &call, body, disturbed).await;
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

async fn answer(app: &Arc<App>, route: Route<'_>, call: &Call<'_>, body: Body, disturbed: Option<Disturbance>) -> Reply {
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
        Ok(caller) => match route {
            Route::StreamEvents(id) => streams::events(app, &caller, id, query(call.query, "lastEventId").as_deref(), disturbed),
            route => operate(app, route, call, &caller, &body),
        },
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
        Route::Platform => Reply::problem(200, status_body("[]")),
        Route::StreamEvents(_) | Route::Upload(_) | Route::Download(_) | Route::Token | Route::Inspect(_) | Route::Unknown => {
            Reply::empty(404)
        }
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
