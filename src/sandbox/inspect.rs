//! What tests look at, under `/_sandbox/`: never part of the simulated platform.
//!
//! `notifications` (every request taken, with its files and notices), `counters` (calls per operation, faults struck,
//! totals), `uploads` (every preload), `events` (elements as they happen, one JSON line each, until the caller leaves).

use std::fmt::Write;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use futures_util::stream;
use tokio::sync::broadcast::error::RecvError;

use super::model::{Notification, Phase};
use super::reply::query;
use super::{App, render};

/// Answers `GET /_sandbox/{what}`.
pub fn serve(app: &Arc<App>, what: &str, uri_query: Option<&str>) -> Response {
    let body = match what {
        "notifications" => Body::from(notifications(app, query(uri_query, "pa").as_deref())),
        "uploads" => Body::from(uploads(app)),
        "counters" => Body::from(counters(app)),
        "events" => live(app),
        _ => {
            let mut response = Response::new(Body::from("{}"));
            *response.status_mut() = axum::http::StatusCode::NOT_FOUND;
            return response;
        }
    };
    let mut response = Response::new(body);
    let kind = if what == "events" { "application/x-ndjson" } else { "application/json" };
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn notifications(app: &App, only_pa: Option<&str>) -> String {
    let state = app.lock();
    let mut out = String::from("[");
    for note in &state.notifications {
        let tax_id = state.pas.get(note.pa as usize).map_or("", |pa| &pa.tax_id);
        if only_pa.is_some_and(|wanted| wanted != tax_id) {
            continue;
        }
        out.push_str(if out.len() > 1 { ",\n" } else { "\n" });
        one(&mut out, note, tax_id);
    }
    out.push_str("\n]");
    out
}

fn one(out: &mut String, note: &Notification, tax_id: &str) {
    let phase = match note.phase {
        Phase::Waiting => "WAITING",
        Phase::Accepted => "ACCEPTED",
        Phase::Refused => "REFUSED",
    };
    let _ = write!(
        out,
        "{{\"iun\":\"{}\",\"notificationRequestId\":\"{}\",\"senderTaxId\":\"{tax_id}\",\"paProtocolNumber\":",
        note.iun,
        render::request_id(&note.iun)
    );
    render::text(out, &note.protocol);
    out.push_str(",\"idempotenceToken\":");
    render::text(out, &note.token);
    let cancelled = note.status == super::model::Status::Cancelled;
    let _ = write!(
        out,
        ",\"requestStatus\":\"{phase}\",\"status\":\"{}\",\"cancelling\":{},\"cancelled\":{cancelled},\"events\":{},\"sentAt\":",
        note.status.as_str(),
        note.cancelling,
        note.emitted
    );
    render::instant(out, note.sent_at);
    out.push_str(",\"refusals\":[");
    for (index, refusal) in note.refusals.iter().enumerate() {
        let _ = write!(out, "{}\"{}\"", if index > 0 { "," } else { "" }, refusal.code);
    }
    out.push_str("],\"files\":[");
    for (index, file) in note.files.iter().enumerate() {
        let _ = write!(out, "{}{{\"key\":\"{}\",\"sha256\":\"{}\"}}", if index > 0 { "," } else { "" }, file.key, file.sha256);
    }
    out.push_str("],\"recipients\":[");
    for (index, recipient) in note.recipients.iter().enumerate() {
        out.push_str(if index > 0 { ",{\"end\":" } else { "{\"end\":" });
        render::text(out, render::end(recipient.end));
        for (name, at) in [("viewedAt", recipient.viewed_at), ("refinedAt", recipient.refined_at)] {
            if at != 0 {
                let _ = write!(out, ",\"{name}\":");
                render::instant(out, at);
            }
        }
        out.push_str(",\"notices\":[");
        for (index, (notice, _)) in recipient.payments.iter().enumerate() {
            let _ = write!(out, "{}\"{:011}/{:018}\"", if index > 0 { "," } else { "" }, notice.creditor, notice.code);
        }
        out.push_str("]}");
    }
    out.push_str("]}");
}

fn uploads(app: &App) -> String {
    let state = app.lock();
    let mut out = String::from("[");
    for (key, upload) in &state.uploads {
        let _ = write!(out, "{}{{\"key\":\"{key}\",\"declaredSha256\":\"{}\"", if out.len() > 1 { "," } else { "" }, upload.sha256);
        if let Some(done) = &upload.done {
            let _ = write!(out, ",\"versionToken\":\"{}\",\"sha256\":\"{}\",\"size\":{}", done.version, done.sha256, done.size);
        }
        out.push('}');
    }
    out.push(']');
    out
}

fn counters(app: &App) -> String {
    let (calls, failed) = app.faults.counters();
    let mut out = String::from("{\"operations\":{");
    for (index, (name, count)) in calls.enumerate() {
        let _ = write!(out, "{}\"{name}\":{count}", if index > 0 { "," } else { "" });
    }
    let state = app.lock();
    let emitted: usize = state.notifications.iter().map(|note| note.emitted).sum();
    let open = state.notifications.iter().filter(|note| note.emitted < note.timeline.len()).count();
    let _ = write!(
        out,
        "}},\"faults\":{failed},\"notifications\":{},\"unfinished\":{open},\"elements\":{emitted},\"uploads\":{},\"streams\":{}}}",
        state.notifications.len(),
        state.uploads.len(),
        state.pas.iter().map(|pa| pa.streams.len()).sum::<usize>()
    );
    out
}

fn live(app: &App) -> Body {
    let lines = stream::unfold(app.live.subscribe(), |mut feed| async move {
        loop {
            match feed.recv().await {
                Ok(line) => return Some((Ok::<_, std::convert::Infallible>(line.to_string()), feed)),
                // A slow reader loses lines, never the simulator its pace.
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return None,
            }
        }
    });
    Body::from_stream(lines)
}
