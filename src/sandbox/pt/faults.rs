//! Calls that go wrong on order, whichever simulator they are for.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use crate::sandbox::listener::Gate;

/// An order: the next `times` calls of an operation go wrong.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Fault {
    /// First part of the path: `gpd`, `govpay`, ... Absent: any.
    #[serde(default)]
    pt: Option<String>,
    /// A method (`PUT`), or a text found in the path, in `SOAPAction` or in the first bytes of the body. Absent: any.
    #[serde(default)]
    operation: Option<String>,
    /// `slow` (answers after `ms`), `lost` (done, then the connection breaks), `garbage` (done, answered with nonsense), `twice`
    /// (done two times, as when a gateway repeats it), or an HTTP status that is answered instead of doing anything.
    kind: String,
    #[serde(default = "one")]
    times: u32,
    /// Real milliseconds.
    #[serde(default)]
    ms: u64,
}

fn one() -> u32 {
    1
}

/// What is still to go wrong.
#[derive(Debug, Default)]
pub(super) struct Plan(Mutex<Vec<Fault>>);

impl Plan {
    pub(super) fn add(&self, fault: Fault) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(fault);
    }

    pub(super) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn is_empty(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// The fault of a call, used up by one.
    fn take(&self, path: &str, matches: impl Fn(&str) -> bool) -> Option<Fault> {
        let mut plan = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let pt = path.trim_start_matches('/').split('/').next().unwrap_or_default();
        let fits = |fault: &Fault| fault.pt.as_deref().is_none_or(|wanted| wanted == pt) && fault.operation.as_deref().is_none_or(&matches);
        let place = plan.iter().position(fits)?;
        let fault = plan.get_mut(place)?;
        let taken = fault.clone();
        fault.times = fault.times.saturating_sub(1);
        if fault.times == 0 {
            plan.remove(place);
        }
        Some(taken)
    }
}

/// Longest request of any simulator.
const LONGEST: usize = 32 << 20;

/// Lets a call through, or makes it go wrong.
pub(super) async fn disturb(State(plan): State<Arc<Plan>>, ConnectInfo(gate): ConnectInfo<Gate>, request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    if path.starts_with("/_pt/") || plan.is_empty() {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, LONGEST).await else { return StatusCode::PAYLOAD_TOO_LARGE.into_response() };
    let action = parts.headers.get("soapaction").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let start = String::from_utf8_lossy(body.get(..body.len().min(4096)).unwrap_or_default());
    let fault = plan.take(&path, |operation| {
        parts.method.as_str().eq_ignore_ascii_case(operation) || [path.as_str(), action, &start].iter().any(|text| text.contains(operation))
    });
    let Some(fault) = fault else { return next.run(Request::from_parts(parts, Body::from(body))).await };
    if let Ok(status) = fault.kind.parse::<u16>().map_err(drop).and_then(|number| StatusCode::from_u16(number).map_err(drop)) {
        return answer(status);
    }
    if fault.kind == "slow" {
        tokio::time::sleep(Duration::from_millis(fault.ms)).await;
    }
    if fault.kind == "twice" {
        next.clone().run(Request::from_parts(parts.clone(), Body::from(body.clone()))).await;
    }
    let done = next.run(Request::from_parts(parts, Body::from(body))).await;
    match fault.kind.as_str() {
        "lost" => gate.close(),
        "garbage" => return (StatusCode::OK, [(header::CONTENT_TYPE, "application/json")], "{\"<non e' questo>").into_response(),
        _ => {}
    }
    done
}

/// What a gateway in front of a PT answers by itself.
fn answer(status: StatusCode) -> Response {
    let mut response = (status, Bytes::from_static(b"{}")).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if status == StatusCode::TOO_MANY_REQUESTS {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}
