//! The listener: TLS or plain, so many connections, so long for a head, an orderly end.
//!
//! HTTP/1.1 by hyper itself, for axum's own server has no limit on how long a head may take. What is inside a connection (routes,
//! credentials, sizes of bodies) belongs to [`super::pt`].

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::pt::Desk;
use super::tls;
use crate::config::{Config, RestConfig};
use crate::lanes::Lanes;
use crate::service::Hub;
use crate::service::reload::Reread;

/// Between two tries to accept after the system refused one (no descriptors left).
const AGAIN: Duration = Duration::from_millis(100);
/// Bytes of a request that are held before it is whole: its head is in them.
const HEAD_BYTES: usize = 32 << 10;
const HEADERS: usize = 64;
/// For each processor: with one, a processor rests whenever the callers of its lane are all busy with their answers. Measured over eleven
/// runs of `messo bench price`: a fifth more pairs.
const LANES: usize = 2;
/// Threads that may work for all connections at once on what blocks.
const WORKERS: usize = 64;

/// Who called.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer(pub IpAddr);

/// The open door.
pub struct Calls {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
    /// Connections end with them.
    _lanes: Arc<Lanes>,
    grace: Duration,
}

struct Shared {
    desk: Arc<Desk>,
    tls: RwLock<Option<TlsAcceptor>>,
    closing: CancellationToken,
    tracker: TaskTracker,
}

/// Opens the door of `[rest]`; `None`: there is none. The error is a sentence for the operator.
pub async fn open(hub: &Arc<Hub>) -> Result<Option<Calls>, String> {
    let Some(config) = hub.config.rest.clone() else { return Ok(None) };
    let Some(address) = config.socket() else { return Ok(None) };
    let desk = Arc::new(Desk::new(hub.clone(), &config)?);
    let acceptor = tls::acceptor(&config)?;
    let listener = TcpListener::bind(address).await.map_err(|error| format!("rest.listen: su {address} non si può ascoltare ({error})"))?;
    let address = listener.local_addr().map_err(|error| format!("rest.listen: {error}"))?;
    tracing::info!(%address, tls = acceptor.is_some(), "in ascolto per i partner tecnologici");
    let shared = Arc::new(Shared { desk, tls: RwLock::new(acceptor), closing: CancellationToken::new(), tracker: TaskTracker::new() });
    let grace = Duration::from_secs(u64::from(config.stop_grace_s));
    let lanes = Arc::new(Lanes::start("rest", LANES, WORKERS));
    let accepting = tokio::spawn(accept(shared.clone(), lanes.clone(), listener, config));
    Ok(Some(Calls { address, shared, accepting, _lanes: lanes, grace }))
}

impl Calls {
    /// What follows the configuration.
    #[must_use]
    pub fn reread(&self) -> Arc<dyn Reread> {
        Arc::new(Again(self.shared.clone()))
    }

    /// Accepts nobody more, waits for what is being answered.
    pub async fn close(self) {
        self.shared.closing.cancel();
        let _ = self.accepting.await;
        self.shared.tracker.close();
        if tokio::time::timeout(self.grace, self.shared.tracker.wait()).await.is_err() {
            tracing::warn!(left = self.shared.tracker.len(), "chiamate dei partner tecnologici interrotte dall'arresto");
        }
    }
}

struct Again(Arc<Shared>);

impl Reread for Again {
    fn reread(&self, config: &Config) -> Result<Box<dyn FnOnce() + Send>, Vec<String>> {
        let put = self.0.desk.reread(config).map_err(|reason| vec![reason])?;
        let acceptor = config.rest.as_ref().map_or(Ok(None), tls::acceptor).map_err(|reason| vec![reason])?;
        let shared = self.0.clone();
        Ok(Box::new(move || {
            put();
            *shared.tls.write().unwrap_or_else(PoisonError::into_inner) = acceptor;
            tracing::info!("credenziali e certificato dei partner tecnologici riletti");
        }))
    }
}

async fn accept(shared: Arc<Shared>, lanes: Arc<Lanes>, listener: TcpListener, config: RestConfig) {
    let head = Duration::from_secs(u64::from(config.head_s));
    let router = super::pt::router(shared.desk.clone());
    let room = Arc::new(Semaphore::new(usize::try_from(config.max_connections).unwrap_or(1)));
    loop {
        let permit = tokio::select! {
            permit = room.clone().acquire_owned() => permit,
            () = shared.closing.cancelled() => return,
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shared.closing.cancelled() => return,
        };
        match (accepted, permit) {
            (Ok((stream, peer)), Ok(permit)) => {
                let _ = stream.set_nodelay(true);
                // The socket is heard of by the thread that carries it.
                let (stream, peer) = (stream.into_std(), Peer(peer.ip().to_canonical()));
                let (carried, router) = (shared.clone(), router.clone());
                lanes.carry(shared.tracker.track_future(async move {
                    match stream.and_then(TcpStream::from_std) {
                        Ok(stream) => connection(carried, router, stream, peer, head, permit).await,
                        Err(error) => tracing::warn!(%error, "una chiamata non si può accettare"),
                    }
                }));
            }
            (Err(error), _) => {
                tracing::warn!(%error, "una chiamata non si può accettare");
                tokio::time::sleep(AGAIN).await;
            }
            (_, Err(_)) => return,
        }
    }
}

async fn connection(shared: Arc<Shared>, router: Router, stream: TcpStream, peer: Peer, head: Duration, permit: OwnedSemaphorePermit) {
    let acceptor = shared.tls.read().unwrap_or_else(PoisonError::into_inner).clone();
    match acceptor {
        None => speak(&shared, router, stream, peer, head).await,
        Some(acceptor) => match tokio::time::timeout(head, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => speak(&shared, router, stream, peer, head).await,
            Ok(Err(error)) => tracing::debug!(address = %peer.0, %error, "TLS non riuscito"),
            Err(_) => tracing::debug!(address = %peer.0, "TLS non cominciato in tempo"),
        },
    }
    drop(permit);
}

async fn speak(shared: &Shared, router: Router, stream: impl AsyncRead + AsyncWrite + Unpin + Send, peer: Peer, head: Duration) {
    let inner = TowerToHyperService::new(router);
    let heads = Arc::new(Heads::default());
    let counted = heads.clone();
    let service = service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(peer);
        let answered = inner.call(request);
        let heads = counted.clone();
        heads.begun.fetch_add(1, Ordering::Relaxed);
        async move {
            let answer = answered.await;
            heads.answered.fetch_add(1, Ordering::Relaxed);
            answer
        }
    });
    let mut http = http1::Builder::new();
    // Answers are small: one piece costs less to send than two, and over TLS is one record.
    http.max_buf_size(HEAD_BYTES).max_headers(HEADERS).writev(false);
    let connection = http.serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let half = head / 2;
    let mut halves = tokio::time::interval_at(tokio::time::Instant::now() + half, half);
    // A machine that was busy for long must not count two of them at once.
    halves.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut seen, mut still) = (0, 0);
    let ended = loop {
        tokio::select! {
            biased;
            ended = connection.as_mut() => break ended,
            () = shared.closing.cancelled() => {
                connection.as_mut().graceful_shutdown();
                break connection.await;
            }
            _ = halves.tick() => {
                let begun = heads.begun.load(Ordering::Relaxed);
                let waits = begun == heads.answered.load(Ordering::Relaxed) && begun == seen;
                still = if waits { still + 1 } else { 0 };
                seen = begun;
                if still >= 2 {
                    tracing::debug!(address = %peer.0, "richiesta non arrivata in tempo");
                    return;
                }
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(address = %peer.0, %error, "chiamata finita male");
    }
}

/// Requests of a connection, counted: a timer for each, as hyper has it, would cost a twentieth of an answer.
#[derive(Default)]
struct Heads {
    /// Whose head has come.
    begun: AtomicU64,
    answered: AtomicU64,
}
