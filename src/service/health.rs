//! The health page: `/healthz` (it lives), `/readyz` (it takes drops), `/metrics` (figures for Prometheus).
//!
//! On a listener of its own, on loopback unless the configuration says otherwise. A port that is taken does not keep the service
//! from its work: it is told, and tried again.

use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::Mutex;

use super::door::Desk;
use super::pulse::{self, Ailment};
use super::{Hub, figures};
use crate::clock::monotonic;

/// How long the store may take to answer.
const PROBE: Duration = Duration::from_secs(5);
/// An answer serves who asks within this: a probe writes to the disk.
const FRESH: Duration = Duration::from_secs(1);
/// Between two tries to listen.
const AGAIN: Duration = Duration::from_secs(30);

struct Shown {
    hub: Arc<Hub>,
    door: Option<Desk>,
    last: Mutex<Option<(Instant, Vec<Ailment>)>>,
}

/// Serves the page until the hub stops; without `[salute]` nothing.
pub async fn serve(hub: Arc<Hub>, door: Option<Desk>) {
    let Some(address) = hub.config.health.as_ref().and_then(|health| health.socket()) else { return };
    let Some(listener) = listen(&hub, address).await else { return };
    if let Ok(address) = listener.local_addr() {
        tracing::info!(%address, "pagina di salute in ascolto");
    }
    let stopping = hub.stopping.clone();
    let shown = Arc::new(Shown { hub, door, last: Mutex::new(None) });
    let routes = Router::new()
        .route("/healthz", get(async |State(shown): State<Arc<Shown>>| told(&shown.vital().await)))
        .route("/readyz", get(async |State(shown): State<Arc<Shown>>| told(&shown.ready().await)))
        .route("/metrics", get(metrics))
        .with_state(shown);
    tokio::select! {
        ended = axum::serve(listener, routes).into_future() => {
            if let Err(error) = ended {
                tracing::error!(%error, "la pagina di salute non risponde più");
            }
        }
        // Nobody's reading keeps the hub from ending.
        () = stopping.cancelled() => {}
    }
}

async fn listen(hub: &Hub, address: SocketAddr) -> Option<TcpListener> {
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => return Some(listener),
            Err(error) => tracing::error!(%address, %error, "la pagina di salute non può ascoltare: si riprova fra 30 secondi"),
        }
        tokio::select! {
            () = tokio::time::sleep(AGAIN) => {}
            () = hub.stopping.cancelled() => return None,
        }
    }
}

impl Shown {
    async fn vital(&self) -> Vec<Ailment> {
        let mut last = self.last.lock().await;
        if let Some((at, ailments)) = &*last
            && monotonic().saturating_duration_since(*at) < FRESH
        {
            return ailments.clone();
        }
        let ailments = pulse::vital(&self.hub, PROBE).await.err().unwrap_or_default();
        *last = Some((monotonic(), ailments.clone()));
        ailments
    }

    /// What keeps it from taking drops and publishing answers.
    async fn ready(&self) -> Vec<Ailment> {
        let mut ailments = self.vital().await;
        ailments.extend(self.hub.pulse.silent(monotonic()).into_iter().filter(|beat| !beat.vital()).map(Ailment::Silent));
        if self.hub.stopping.is_cancelled() && !ailments.contains(&Ailment::Stopping) {
            ailments.push(Ailment::Stopping);
        }
        let reserve = self.hub.settings().limits.disk_reserve_bytes;
        let free = rustix::fs::statvfs(&self.hub.config.data).map(|stat| stat.f_bavail.saturating_mul(stat.f_frsize));
        if free.is_ok_and(|free| free < reserve) {
            ailments.push(Ailment::DiskFull);
        }
        ailments
    }
}

fn told(ailments: &[Ailment]) -> Response {
    if ailments.is_empty() {
        return (StatusCode::OK, "ok\n").into_response();
    }
    let mut text = String::new();
    for ailment in ailments {
        let _ = writeln!(text, "{}", pulse::sentence(ailment));
    }
    (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
}

async fn metrics(State(shown): State<Arc<Shown>>) -> Response {
    let page = tokio::time::timeout(PROBE, figures::page(&shown.hub, shown.door.as_ref())).await;
    match page {
        Ok(Ok(page)) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], page).into_response(),
        Ok(Err(error)) => told(&[Ailment::StoreFails { detail: error.to_string() }]),
        Err(_) => told(&[Ailment::StoreSilent]),
    }
}
