//! Simulators of the outside systems, by their official specifications; shares `domain` and `clock` with the rest, nothing else.
//!
//! [`start`] runs the SEND simulator: everything a sending administration calls (send v2.5, detail v2.8, streams v2.9),
//! the presigned storage, the PDND token and, under `/_sandbox/`, what tests need to look inside. Everything is in memory.

mod auth;
mod checks;
mod details;
mod engine;
mod facts;
mod faults;
mod http;
mod inspect;
mod listener;
mod model;
mod patterns;
mod postal;
mod preload;
mod price;
pub mod pt;
mod render;
mod reply;
mod request;
mod stories;
mod streams;
mod taxonomy;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tokio::sync::{Notify, broadcast, oneshot};
use tokio::task::JoinHandle;

use crate::clock::Clock;
use engine::{Context, State, Told};
use model::{DAY, Millis};

pub use auth::{Admission, SandboxInstitution, SandboxKey};
pub use faults::{Fault, FaultKind, Faults, FaultsError, Operation};

/// How the simulator is started.
#[derive(Debug, Clone)]
pub struct Options {
    /// Port 0 takes a free one; [`Running::addr`] tells it.
    pub listen: SocketAddr,
    /// Business time: validation, letters, terms, retentions. Voucher and URL lifetimes are real time.
    pub clock: Clock,
    pub faults: Option<Faults>,
    pub admission: Admission,
    pub limits: Limits,
    /// Positions of GPD, when that is simulated too ([`pt`]): what ASYNC looks for and writes its cost on.
    pub debts: Option<Arc<pt::Debts>>,
}

impl Options {
    /// Any administration, no faults, no limits.
    pub fn new(listen: SocketAddr, clock: Clock) -> Options {
        Options { listen, clock, faults: None, admission: Admission::Any, limits: Limits::default(), debts: None }
    }
}

/// Method that preload tells for the upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UploadMethod {
    Put,
    Post,
    /// In turn, file by file.
    Alternate,
}

/// Switches of the platform's own limits.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Usage plan of each administration at the edge; `None` = no limit.
    pub usage: Option<UsagePlan>,
    /// Pause told by an empty page of events, real milliseconds; `None` = one business minute, at least 200 ms.
    pub stream_pause_ms: Option<u32>,
    /// 429 to who reads before the pause is over.
    pub enforce_stream_pause: bool,
    /// Active streams of one administration.
    pub max_streams: usize,
    /// Share of the legal facts (0.0 to 1.0) that answer `retryAfter` the first time.
    pub cold_facts: f64,
    pub upload_method: UploadMethod,
    /// Uploads unused for so many business days are gone (never within a real minute).
    pub unused_files_days: u32,
}

/// Calls that the gateway lets through, in real time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct UsagePlan {
    pub per_second: f64,
    pub burst: f64,
    pub per_day: u64,
}

impl UsagePlan {
    /// The standard B2B plan (`send.md` 1).
    pub const STANDARD: UsagePlan = UsagePlan { per_second: 50.0, burst: 100.0, per_day: 100_000 };
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            usage: None,
            stream_pause_ms: None,
            enforce_stream_pause: false,
            max_streams: 10,
            cold_facts: 0.0,
            upload_method: UploadMethod::Put,
            unused_files_days: 7,
        }
    }
}

/// A simulator at work; dropping it stops it too.
#[derive(Debug)]
pub struct Running {
    /// Where it listens.
    pub addr: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    server: JoinHandle<()>,
    timers: JoinHandle<()>,
}

impl Running {
    /// `http://address`, without a final slash.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Closes the port, lets answers under way finish for at most two seconds.
    pub async fn stop(mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if tokio::time::timeout(Duration::from_secs(2), &mut self.server).await.is_err() {
            self.server.abort();
        }
        self.timers.abort();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The server stops by itself: its end of the `stop` channel closes.
        self.timers.abort();
    }
}

/// Everything the handlers share.
#[derive(Debug)]
struct App {
    clock: Clock,
    addr: SocketAddr,
    limits: Limits,
    debts: Option<Arc<pt::Debts>>,
    faults: faults::FaultPlan,
    auth: auth::Gatekeeper,
    rome: TimeZone,
    /// Makes IUNs, keys and signatures of one run differ from another's.
    seed: u64,
    state: Mutex<State>,
    wake: Notify,
    live: broadcast::Sender<Arc<str>>,
}

impl App {
    fn now(&self) -> Millis {
        self.clock.now().as_millisecond()
    }

    /// Real time, for what does not follow the business clock.
    fn real_now() -> Millis {
        Clock::REAL.now().as_millisecond()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn context(&self, now: Millis) -> Context<'_> {
        Context {
            now,
            real_now: App::real_now(),
            rome: &self.rome,
            file_retention: i64::from(self.limits.unused_files_days) * DAY,
            debts: self.debts.as_deref(),
        }
    }

    fn stream_pause_ms(&self) -> u32 {
        self.limits.stream_pause_ms.unwrap_or((60_000 / self.clock.factor().max(1)).max(200))
    }

    /// Year and month of a business instant, `YYYYMM`.
    fn month(&self, at: Millis) -> u32 {
        let date = Timestamp::from_millisecond(at).unwrap_or_default().to_zoned(self.rome.clone()).date();
        u32::try_from(i32::from(date.year()) * 100 + i32::from(date.month())).unwrap_or(197_001)
    }

    /// Tells the listeners of `/_sandbox/events`, if there are any.
    fn tell(&self, told: &Told) {
        if told.is_empty() || self.live.receiver_count() == 0 {
            return;
        }
        let state = self.lock();
        for (notification, element) in told {
            if let Some(note) = state.notification(*notification) {
                let mut line = String::with_capacity(700);
                render::live(&mut line, note, *notification, *element);
                let _ = self.live.send(line.into());
            }
        }
    }
}

/// Notifications that may move in one hold of the lock.
const TURN: usize = 256;

/// Lets happen what is due, sleeps until the next instant or a new request.
async fn drive(app: Arc<App>) {
    loop {
        let mut told = Told::new();
        let now = app.now();
        let (more, next) = {
            let context = app.context(now);
            let mut state = app.lock();
            (state.advance(now, TURN, &context, &mut told), state.next_due())
        };
        app.tell(&told);
        if more {
            tokio::task::yield_now().await;
            continue;
        }
        let sleep = match next.and_then(|due| Timestamp::from_millisecond(due).ok()) {
            // A millisecond more than needed, so that one timer turn serves many.
            Some(due) => app.clock.real_until(due) + Duration::from_millis(1),
            None => Duration::from_secs(3600),
        };
        let _ = tokio::time::timeout(sleep, app.wake.notified()).await;
    }
}

/// Starts the SEND simulator on the current tokio runtime.
pub async fn start(options: Options) -> std::io::Result<Running> {
    let (listener, addr) = listener::bind(options.listen).await?;
    let app = Arc::new(App {
        clock: options.clock,
        addr,
        auth: auth::Gatekeeper::new(options.admission, options.limits.usage),
        limits: options.limits,
        debts: options.debts,
        faults: faults::FaultPlan::new(options.faults),
        rome: TimeZone::get("Europe/Rome").unwrap_or(TimeZone::UTC),
        seed: crate::clock::new_uuid().as_u64_pair().1,
        state: Mutex::new(State::default()),
        wake: Notify::new(),
        live: broadcast::channel(4096).0,
    });
    let timers = tokio::spawn(drive(app.clone()));
    let (stop, stopped) = oneshot::channel::<()>();
    let router = axum::Router::new().fallback(http::serve).with_state(app);
    let service = router.into_make_service_with_connect_info::<listener::Gate>();
    let server = tokio::spawn(async move {
        let serving = axum::serve(listener, service).with_graceful_shutdown(async move {
            let _ = stopped.await;
        });
        if let Err(error) = serving.await {
            tracing::error!(%error, "the simulator stopped serving");
        }
    });
    Ok(Running { addr, stop: Some(stop), server, timers })
}
