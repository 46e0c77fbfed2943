//! SSH around the engine: listeners, accounts, and whoever guards the door.
//!
//! `gate` the socket, `connection` what SSH asks, `line` one SFTP channel and its worker, `guests` everybody who is there,
//! `defender` addresses that guess, `ledger` what is told to the books. The server knows neither store nor sentences: it is given a
//! [`Homes`], a [`ledger::Ledger`] and [`Words`].

pub mod accounts;
pub mod algorithms;
mod connection;
pub mod counts;
pub mod defender;
mod gate;
mod guests;
pub mod host_keys;
mod kexinit;
pub mod ledger;
mod line;
pub mod password;
mod watchdog;

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use russh::SshId;
use russh::keys::PrivateKey;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::executor;
use super::home::{Home, Refused};
use crate::clock::Clock;
use crate::config::{Compat, SftpLimits};
use crate::lanes::Lanes;
use accounts::Accounts;
use connection::Connection;
use counts::Counts;
use defender::{Ban, Defender, Offence, Verdict};
use gate::{Gate, Link};
use guests::{Guest, Guests};
use ledger::{Ledger, SessionWitness};

/// Every refused login takes this long, whatever was wrong.
const REJECTION: Duration = Duration::from_millis(700);
/// Logins that one connection may try: agents offer many keys.
const ATTEMPTS: usize = 12;
/// Bytes that a client may have under way towards us: enough for 1 Gbit/s over 60 ms.
const WINDOW: u32 = 8 << 20;
/// Threads that may work for the channels of all connections at once.
const WORKERS: usize = 512;
/// Sockets that wait to be accepted.
const BACKLOG: u32 = 1_024;
/// A stranger that leaves by itself after longer than this has kept a place: monitors and port scans are quicker.
const LINGERED_MS: u64 = 10_000;
/// Strangers that one address may have at any rate.
const STRANGERS: u64 = 4;
/// For a client that was told to go to close its side (real time).
const GOODBYE: Duration = Duration::from_secs(3);

/// Gives each session the files of its account.
pub trait Homes: Send + Sync {
    /// `None`: they are not there now. Must not block.
    fn home(&self, account: &str, witness: Arc<SessionWitness>) -> Option<Arc<dyn Home>>;
}

/// Sentences that clients may show to people.
#[derive(Debug, Clone, Copy)]
pub struct Words {
    pub no_scp: &'static str,
    pub no_shell: &'static str,
    pub too_many_sessions: &'static str,
    pub stopping: &'static str,
    pub expired: &'static str,
    pub idle: &'static str,
    pub protocol_error: &'static str,
    pub packet_too_long: &'static str,
}

/// How the door is kept.
#[derive(Clone)]
pub struct Settings {
    pub limits: SftpLimits,
    pub max_channels: usize,
    pub words: Words,
    pub executor: executor::Settings,
    /// Business time, of the books.
    pub clock: Clock,
}

/// What every connection shares.
pub(super) struct Inner {
    settings: Settings,
    accounts: Accounts,
    homes: Arc<dyn Homes>,
    ledger: Arc<dyn Ledger>,
    checker: password::Checker,
    defender: Mutex<Defender>,
    guests: Guests,
    counts: Counts,
    /// No new connection.
    closed: CancellationToken,
}

impl Inner {
    fn defender(&self) -> std::sync::MutexGuard<'_, Defender> {
        self.defender.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look(&self, address: IpAddr) -> Verdict {
        if self.settings.limits.defender { self.defender().look(address, Clock::REAL.now()) } else { Verdict::Welcome }
    }

    /// `account`: whose secret it got wrong.
    fn offend(&self, address: IpAddr, offence: Offence, account: Option<&str>) {
        if !self.settings.limits.defender {
            return;
        }
        let ban = self.defender().offend(address, offence, account, Clock::REAL.now());
        if let Some(ban) = ban {
            // Its connections that are still guessing go with it; who has logged in stays.
            self.guests.strangers_of(address).iter().for_each(|guest| guest.link.over.cancel());
            tracing::warn!(address = ban.address, until = %ban.until, times = ban.times, "indirizzo bloccato: troppi accessi errati");
            self.ledger.banned(&ban);
        }
    }

    fn forgive(&self, address: IpAddr, account: &str) {
        self.defender().forgive(address, account, Clock::REAL.now());
    }

    /// Places for strangers that one address may have: an eighth of all, so that nobody keeps the others out.
    fn strangers_each(&self) -> u64 {
        self.settings.limits.max_unauthenticated.div_ceil(8).max(STRANGERS)
    }
}

/// A door that listens.
pub struct Door {
    inner: Arc<Inner>,
    /// Sessions end with them.
    _lanes: Arc<Lanes>,
    tasks: JoinSet<()>,
    addresses: Vec<SocketAddr>,
}

/// What may be asked of a door, and told to it, while it listens. Cheap to clone.
#[derive(Clone)]
pub struct DoorHandle(Arc<Inner>);

impl DoorHandle {
    /// How many there are.
    #[must_use]
    pub fn counts(&self) -> counts::Now {
        self.0.counts.now()
    }

    /// Addresses that are banned.
    #[must_use]
    pub fn bans(&self) -> Vec<Ban> {
        self.0.defender().bans(Clock::REAL.now())
    }

    /// Lifts a ban. Whether there was one.
    #[must_use]
    pub fn lift(&self, address: IpAddr) -> bool {
        self.0.defender().lift(address, Clock::REAL.now())
    }

    /// The accounts, to be replaced.
    #[must_use]
    pub fn accounts(&self) -> &Accounts {
        &self.0.accounts
    }
}

/// What a door is made of.
pub struct Parts {
    pub settings: Settings,
    pub keys: Vec<PrivateKey>,
    pub accounts: Accounts,
    pub homes: Arc<dyn Homes>,
    pub ledger: Arc<dyn Ledger>,
    /// Of earlier runs.
    pub bans: Vec<Ban>,
}

impl Door {
    /// Listens on every address. Call it inside the runtime.
    ///
    /// # Errors
    /// An address that cannot be listened on.
    pub async fn open(parts: Parts, listeners: &[(SocketAddr, Compat)]) -> Result<Door, (SocketAddr, std::io::Error)> {
        let Parts { settings, keys, accounts, homes, ledger, bans } = parts;
        let first = SignedDuration::from_secs(i64::try_from(settings.limits.ban_s).unwrap_or(i64::MAX));
        let mut defender = Defender::new(first);
        bans.iter().for_each(|ban| defender.restore(ban));
        let inner = Arc::new(Inner {
            settings,
            accounts,
            homes,
            ledger,
            checker: tokio::task::spawn_blocking(password::Checker::new).await.unwrap_or_default(),
            defender: Mutex::new(defender),
            guests: Guests::default(),
            counts: Counts::default(),
            closed: CancellationToken::new(),
        });
        let lanes = Arc::new(Lanes::start("sftp", 1, WORKERS));
        let mut tasks = JoinSet::new();
        let mut addresses = Vec::new();
        for (address, compat) in listeners {
            let listener = listen(*address).map_err(|error| (*address, error))?;
            addresses.push(listener.local_addr().unwrap_or(*address));
            let config = Arc::new(ssh_config(&inner.settings.limits, *compat, &keys));
            tasks.spawn(accept(inner.clone(), lanes.clone(), listener, config, *compat));
        }
        tasks.spawn(watchdog::run(inner.clone()));
        Ok(Door { inner, _lanes: lanes, tasks, addresses })
    }

    /// Where it listens.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    #[must_use]
    pub fn handle(&self) -> DoorHandle {
        DoorHandle(self.inner.clone())
    }

    /// No new session; transfers that run may end within the grace of the configuration, the rest stays to be resumed.
    pub async fn close(mut self) {
        self.inner.closed.cancel();
        self.inner.guests.stop();
        let end = tokio::time::Instant::now() + Duration::from_secs(self.inner.settings.limits.stop_grace_s);
        loop {
            let everybody = self.inner.guests.everybody();
            if everybody.is_empty() {
                break;
            }
            let late = tokio::time::Instant::now() >= end;
            for guest in &everybody {
                send_away(guest, Refused::Stopping, self.inner.settings.words.stopping, late);
                if late && tokio::time::Instant::now() >= end + GOODBYE {
                    guest.link.over.cancel();
                }
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
            if tokio::time::Instant::now() >= end + 2 * GOODBYE {
                break;
            }
        }
        // Files of sessions that were cut are being closed by their workers.
        for _ in 0..100 {
            if self.inner.counts.now().workers == 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.tasks.abort_all();
        while self.tasks.join_next().await.is_some() {}
    }
}

/// Lets it end what it has under way, then tells it to go; `now`: at once.
fn send_away(guest: &Guest, why: Refused, words: &'static str, now: bool) {
    let lines = guest.lines();
    lines.iter().for_each(|line| line.refuse(why));
    if guest.doomed_ms().is_some() || (!now && lines.iter().any(|line| line.health().busy)) {
        return;
    }
    guest.doom();
    match guest.handle.get().cloned() {
        Some(handle) => {
            tokio::spawn(async move {
                let goodbye = handle.disconnect(russh::Disconnect::ByApplication, words.to_owned(), "it".to_owned());
                let _ = tokio::time::timeout(GOODBYE, goodbye).await;
            });
        }
        None => guest.link.over.cancel(),
    }
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { tokio::net::TcpSocket::new_v4() } else { tokio::net::TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

fn ssh_config(limits: &SftpLimits, compat: Compat, keys: &[PrivateKey]) -> russh::server::Config {
    let rekey = usize::try_from(limits.rekey_bytes).unwrap_or(1 << 30).min(1 << 30);
    russh::server::Config {
        server_id: SshId::Standard(Cow::Borrowed("SSH-2.0-messo")),
        methods: connection::methods(),
        auth_rejection_time: REJECTION,
        auth_rejection_time_initial: Some(Duration::ZERO),
        keys: algorithms::host_keys(compat, keys),
        limits: russh::Limits::new(rekey, rekey, Duration::from_secs(3_600)),
        window_size: WINDOW,
        // Messages of up to 32 KiB between what feeds the session and the session: it takes all that is there before it writes.
        event_buffer_size: 16,
        channel_buffer_size: 1,
        preferred: algorithms::preferred(compat),
        max_auth_attempts: ATTEMPTS,
        // Ours are outside of the session: see `watchdog`.
        inactivity_timeout: None,
        keepalive_interval: Some(Duration::from_secs(limits.keepalive_s.max(1))),
        keepalive_max: 3,
        nodelay: true,
        ..russh::server::Config::default()
    }
}

/// The lanes are held by the door and by those who accept, never by what runs on them.
async fn accept(door: Arc<Inner>, lanes: Arc<Lanes>, listener: TcpListener, config: Arc<russh::server::Config>, compat: Compat) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = door.closed.cancelled() => return,
        };
        let (socket, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // No descriptors left: the next may be served.
                tracing::warn!(%error, "una connessione SFTP non può essere accettata");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let now = door.counts.now();
        let full = now.connections as u64 >= door.settings.limits.max_connections
            || now.strangers as u64 >= door.settings.limits.max_unauthenticated
            || door.guests.strangers_of(peer.ip()).len() as u64 >= door.strangers_each();
        if full || matches!(door.look(peer.ip()), Verdict::Banned { .. }) {
            tracing::debug!(%peer, full, "connessione SFTP rifiutata");
            continue;
        }
        let link = Link::new(CancellationToken::new());
        let guest = door.guests.enter(peer, link.clone(), &door.counts);
        let counted = door.counts.connection();
        let (carried, config) = (door.clone(), config.clone());
        // The socket is heard of by the thread that carries it.
        let socket = socket.into_std();
        lanes.carry(async move {
            match socket.and_then(TcpStream::from_std) {
                Ok(socket) => {
                    let gate = Gate::new(socket, link, guest.offer.clone(), counted);
                    serve(carried, guest, gate, config, compat).await;
                }
                Err(error) => {
                    tracing::warn!(%error, "una connessione SFTP non può essere accettata");
                    carried.guests.leave(&guest);
                }
            }
        });
    }
}

async fn serve(door: Arc<Inner>, guest: Arc<Guest>, gate: Gate<TcpStream>, config: Arc<russh::server::Config>, compat: Compat) {
    gate.set_nodelay();
    let handler = Connection::new(door.clone(), guest.clone(), compat);
    let begun = tokio::select! {
        begun = russh::server::run_stream(config, gate, handler) => begun,
        () = guest.link.over.cancelled() => Err(russh::Error::Disconnect),
    };
    let ended = match begun {
        Ok(session) => {
            let _ = guest.handle.set(session.handle());
            session.await
        }
        Err(error) => {
            if matches!(error, russh::Error::Version) {
                door.offend(guest.peer.ip(), Offence::Garbage, None);
            }
            Err(error)
        }
    };
    if let Err(error) = ended {
        tracing::debug!(peer = %guest.peer, %error, "connessione SFTP finita");
    }
    let stranger = guest.account().is_none() && guest.doomed_ms().is_none();
    if stranger && !guest.link.over.is_cancelled() && guest.link.age_ms() > LINGERED_MS {
        door.offend(guest.peer.ip(), Offence::NoLogin, None);
    }
    // What it asked for before it went is done, unless somebody ends that too.
    if guest.doomed_ms().is_none() {
        for line in guest.lines() {
            line.leave();
            line.ended().await;
        }
    }
    guest.link.over.cancel();
    door.guests.leave(&guest);
}

/// Now, in real time: of bans.
#[must_use]
pub fn real_now() -> Timestamp {
    Clock::REAL.now()
}
