//! The SFTP door as the hub keeps it: its accounts and homes from the configuration, its books in the store.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};

use super::Hub;
use super::figures::SftpCounts;
use super::shares::on_share_of;
use crate::clock::monotonic;
use crate::config::{Config, SftpAccount, SftpConfig, SourceSystem};
use crate::intake::arrivals::Arrivals;
use crate::intake::sftp::executor;
use crate::intake::sftp::folder::{self, FolderHome, Shared};
use crate::intake::sftp::home::Home;
use crate::intake::sftp::server::accounts::{Account, AccountError, Accounts};
use crate::intake::sftp::server::defender::{Ban, FORGET};
use crate::intake::sftp::server::host_keys::{self, HostKeyError};
use crate::intake::sftp::server::ledger::{Event, Ledger, SessionWitness};
use crate::intake::sftp::server::{Door, DoorHandle, Homes, Parts, Settings, Words, real_now};
use crate::store::{DoorBan, DoorEvent, Store, StoreError};
use crate::text::it;

/// How long a client may change its mind after CLOSE: programs that open a file again to append do it at once.
const SETTLE: Duration = Duration::from_millis(300);
/// A home that has not been opened within this is on a share that hangs (real time).
const HOME_OPENS: Duration = Duration::from_secs(5);
/// A file that was taken is still shown: clients look after they put.
const GRACE: Duration = Duration::from_secs(600);
const TAKEOVER: Duration = Duration::from_secs(30);
const PARTIALS_KEPT: Duration = Duration::from_secs(7 * 86_400);
/// Lines that wait for the store: past it they are lost, and that is told.
const WAITING: usize = 16_384;
/// Lines of one transaction.
const TOGETHER: usize = 256;
/// Lines wait so long for others to be written with them (real time): each transaction is flushed to the disk, and clients wait for
/// the same disk to keep their files.
const GATHER: Duration = Duration::from_millis(200);
/// How often partial uploads are looked at, in business time.
const TIDY: Duration = Duration::from_secs(3_600);

/// Why the door does not open.
#[derive(Debug, thiserror::Error)]
pub enum DoorError {
    #[error(transparent)]
    Keys(#[from] HostKeyError),
    #[error(transparent)]
    Account(#[from] AccountError),
    #[error("{}: {}", .0.display(), .1)]
    Home(PathBuf, std::io::Error),
    #[error("{}", it::sftp::cannot_listen(&.0.to_string(), &.1.to_string()))]
    Listen(SocketAddr, std::io::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("interrupted")]
    Interrupted,
}

/// What the door tells the watcher of each root. Made before either of them.
#[must_use]
pub fn arrivals(config: &Config) -> BTreeMap<String, Arc<Arrivals>> {
    if config.sftp.is_none() {
        return BTreeMap::new();
    }
    config.sources.iter().map(|source| (source.name.clone(), arrivals_of_one())).collect()
}

/// The same for a gestionale that comes later.
#[must_use]
pub fn arrivals_of_one() -> Arc<Arrivals> {
    Arc::new(Arrivals::new(SETTLE))
}

/// Homes of the accounts, by gestionale.
struct FolderHomes {
    shared: RwLock<BTreeMap<String, Arc<Shared>>>,
    arrivals: RwLock<BTreeMap<String, Arc<Arrivals>>>,
    largest_file: u64,
}

/// A home as a configuration wants it; nothing of it holds before [`FolderHomes::put`].
enum Wanted {
    Same(Arc<Shared>, folder::Limits),
    New(String, Arc<Shared>),
}

impl FolderHomes {
    fn limits(&self, account: &SftpAccount, disk_reserve: u64) -> folder::Limits {
        let unless_zero = |limit: u64| if limit == 0 { u64::MAX } else { limit };
        folder::Limits {
            quota_bytes: unless_zero(account.quota_bytes),
            quota_files: unless_zero(account.quota_files),
            largest_file: self.largest_file,
            disk_reserve,
            may_delete_published: account.may_delete,
        }
    }

    /// Opens the home of a gestionale, unless it is open. `new`: what the door tells the watchers of new ones. Blocks.
    fn prepare(
        &self,
        source: &SourceSystem,
        account: &SftpAccount,
        disk_reserve: u64,
        new: &BTreeMap<String, Arc<Arrivals>>,
    ) -> Result<Option<Wanted>, DoorError> {
        let limits = self.limits(account, disk_reserve);
        if let Some(shared) = self.get(&source.name) {
            return Ok(Some(Wanted::Same(shared, limits)));
        }
        let known = || self.arrivals.read().unwrap_or_else(PoisonError::into_inner).get(&source.name).cloned();
        let Some(arrivals) = new.get(&source.name).cloned().or_else(known) else { return Ok(None) };
        let settings = folder::Settings {
            root: source.root.clone(),
            limits,
            fsync: true,
            hash: true,
            grace: GRACE,
            takeover: TAKEOVER,
            partials_kept: PARTIALS_KEPT,
            arrivals,
        };
        let shared = Shared::open(settings).map_err(|error| DoorError::Home(source.root.clone(), error))?;
        shared.make_flow_folders(&source.flows);
        Ok(Some(Wanted::New(source.name.clone(), shared)))
    }

    /// Begins to do so on a thread of its own.
    fn begin(
        self: &Arc<Self>,
        source: &SourceSystem,
        account: &SftpAccount,
        disk_reserve: u64,
        new: &Arc<BTreeMap<String, Arc<Arrivals>>>,
    ) -> Result<Opening, DoorError> {
        let (own, source, account, new) = (self.clone(), source.clone(), account.clone(), new.clone());
        let name = source.name.clone();
        Opening::begin(name, self, move || Ok(own.prepare(&source, &account, disk_reserve, &new)?.into_iter().collect()))
    }

    /// From now on they are as wanted.
    fn put(&self, wanted: Vec<Wanted>) {
        for home in wanted {
            match home {
                Wanted::Same(shared, limits) => shared.set_limits(limits),
                Wanted::New(name, shared) => {
                    self.shared.write().unwrap_or_else(PoisonError::into_inner).insert(name, shared);
                }
            }
        }
    }

    fn get(&self, name: &str) -> Option<Arc<Shared>> {
        self.shared.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    fn all(&self) -> Vec<(String, Arc<Shared>)> {
        self.shared.read().unwrap_or_else(PoisonError::into_inner).iter().map(|(name, shared)| (name.clone(), shared.clone())).collect()
    }
}

impl Homes for FolderHomes {
    fn home(&self, account: &str, witness: Arc<SessionWitness>) -> Option<Arc<dyn Home>> {
        let shared = self.get(account)?;
        Some(Arc::new(FolderHome::new(shared, Some(witness))))
    }
}

/// A line on its way to the store.
enum Entry {
    Event(Event),
    Ban(Ban),
    /// Nothing that matters comes after it.
    End,
}

struct Books {
    send: mpsc::Sender<Entry>,
    lost: AtomicU64,
    counts: Arc<SftpCounts>,
}

impl Books {
    fn put(&self, entry: Entry) {
        if self.send.try_send(entry).is_err() {
            let lost = self.lost.fetch_add(1, Ordering::Relaxed) + 1;
            if lost.is_power_of_two() {
                tracing::error!(lost, "righe del registro SFTP perdute: l'archivio non tiene il passo");
            }
        }
    }
}

impl Ledger for Books {
    fn note(&self, event: Event) {
        self.counts.note(&event);
        self.put(Entry::Event(event));
    }

    fn banned(&self, ban: &Ban) {
        self.put(Entry::Ban(ban.clone()));
    }
}

/// The home of a gestionale that is being opened.
struct Opening {
    source: String,
    told: std::sync::mpsc::Receiver<Result<Vec<Wanted>, DoorError>>,
    /// Told that it is wanted all the same, it is put in place when it answers.
    late: std::sync::mpsc::Sender<()>,
}

impl Opening {
    /// Begins to open it, on a thread of its own.
    fn begin(
        source: String,
        homes: &Arc<FolderHomes>,
        open: impl FnOnce() -> Result<Vec<Wanted>, DoorError> + Send + 'static,
    ) -> Result<Opening, DoorError> {
        let (tell, told) = std::sync::mpsc::sync_channel(0);
        let (late, wanted) = std::sync::mpsc::channel();
        let (own, homes) = (source.clone(), homes.clone());
        let opening = move || match tell.send(open()) {
            Ok(()) => {}
            Err(std::sync::mpsc::SendError(Ok(home))) if wanted.recv().is_ok() && homes.get(&own).is_none() => homes.put(home),
            Err(std::sync::mpsc::SendError(Ok(_))) => {}
            Err(std::sync::mpsc::SendError(Err(error))) => {
                tracing::error!(source = own, %error, "la cartella dell'account SFTP non si apre: serve un riavvio del servizio");
            }
        };
        std::thread::Builder::new().name("home".to_owned()).spawn(opening).map_err(|_| DoorError::Interrupted)?;
        Ok(Opening { source, told, late })
    }
}

/// Waits for all of them together. One that lies on a share that hangs keeps nobody else from coming in: until it answers, its own
/// sessions find no home. Blocks. Answers those that opened, what is wrong with others, and who waits for the word that late homes are wanted.
fn wait_for(openings: Vec<Opening>) -> (Vec<Wanted>, Vec<DoorError>, Vec<std::sync::mpsc::Sender<()>>) {
    let (mut opened, mut wrong, mut late) = (Vec::new(), Vec::new(), Vec::new());
    let begun = monotonic();
    for opening in openings {
        let left = HOME_OPENS.saturating_sub(monotonic().saturating_duration_since(begun));
        match opening.told.recv_timeout(left) {
            Ok(Ok(homes)) => opened.extend(homes),
            Ok(Err(error)) => wrong.push(error),
            Err(_) => {
                let source = opening.source;
                tracing::error!(
                    source,
                    "la cartella dell'account SFTP non risponde: chi si collega non trova la sua cartella finché non risponde"
                );
                late.push(opening.late);
            }
        }
    }
    (opened, wrong, late)
}

/// The door of a running hub.
pub struct Keeper {
    door: Door,
    homes: Arc<FolderHomes>,
    tasks: JoinSet<()>,
    writing: tokio::task::JoinHandle<()>,
    pen: mpsc::Sender<Entry>,
    listening: Vec<SocketAddr>,
    keys: Vec<String>,
}

impl Keeper {
    /// Opens the door, when there is one in the configuration.
    ///
    /// # Errors
    /// See [`DoorError`].
    pub async fn open(hub: &Arc<Hub>, arrivals: BTreeMap<String, Arc<Arrivals>>) -> Result<Option<Keeper>, DoorError> {
        let Some(sftp) = hub.config.sftp.clone() else { return Ok(None) };
        let homes =
            Arc::new(FolderHomes { shared: RwLock::default(), arrivals: RwLock::new(arrivals), largest_file: sftp.limits.max_file_bytes });
        let (sources, own) = (hub.settings().sources.clone(), homes.clone());
        let disk_reserve = hub.settings().limits.disk_reserve_bytes;
        let folder = hub.config.host_keys();
        let prepared = tokio::task::spawn_blocking(move || -> Result<_, DoorError> {
            let keys = host_keys::open(&folder)?;
            let (mut accounts, mut openings) = (Vec::new(), Vec::new());
            for (source, account) in with_account(&sources) {
                accounts.push(Account::read(&source.name, account)?);
                openings.push(own.begin(source, account, disk_reserve, &Arc::default())?);
            }
            let (opened, wrong, late) = wait_for(openings);
            if let Some(error) = wrong.into_iter().next() {
                return Err(error);
            }
            own.put(opened);
            late.into_iter().for_each(|late| {
                let _ = late.send(());
            });
            Ok((keys, accounts))
        });
        let (keys, found) = prepared.await.map_err(|_| DoorError::Interrupted)??;
        let accounts = Accounts::default();
        accounts.replace(found);
        let (send, receive) = mpsc::channel(WAITING);
        let writing = tokio::spawn(write(hub.store.clone(), receive));
        // Those that are over too, as long as they make the next one longer.
        let bans = hub.store.door_bans(real_now().saturating_sub(FORGET).unwrap_or(Timestamp::MIN)).await?;
        let bans = bans.into_iter().map(|ban| Ban { address: ban.address, since: ban.since, until: ban.until, times: ban.times }).collect();
        let shown: Vec<String> = keys
            .iter()
            .map(|key| {
                let key = host_keys::describe(PathBuf::new(), key);
                format!("{} {}", key.algorithm, key.fingerprint)
            })
            .collect();
        let parts = Parts {
            settings: settings(&sftp, hub),
            keys,
            accounts,
            homes: homes.clone(),
            ledger: Arc::new(Books { send: send.clone(), lost: AtomicU64::new(0), counts: hub.figures.sftp.clone() }),
            bans,
        };
        let listeners: Vec<_> = sftp.listen.iter().filter_map(|listener| Some((listener.socket()?, listener.compat))).collect();
        let door = Door::open(parts, &listeners).await.map_err(|(address, error)| DoorError::Listen(address, error))?;
        let listening = door.addresses().to_vec();
        for address in &listening {
            tracing::info!(%address, "server SFTP in ascolto");
        }
        for key in &shown {
            tracing::info!(key, "chiave del server SFTP");
        }
        let mut tasks = JoinSet::new();
        tasks.spawn(tidy(hub.clone(), homes.clone()));
        Ok(Some(Keeper { door, homes, tasks, writing, pen: send, listening, keys: shown }))
    }

    /// What operators may ask.
    #[must_use]
    pub fn desk(&self) -> Desk {
        Desk { handle: self.door.handle(), listening: self.listening.clone(), keys: self.keys.clone() }
    }

    /// Reads the accounts of a configuration that may come to hold, and opens the homes of those that are new; `arrivals` are of new
    /// gestionali. Everything is as before until [`Keeper::admit`].
    ///
    /// # Errors
    /// Everything that is wrong.
    pub async fn read_accounts(&self, config: Arc<Config>, arrivals: &BTreeMap<String, Arc<Arrivals>>) -> Result<Reread, Vec<String>> {
        let (homes, arrivals) = (self.homes.clone(), arrivals.clone());
        let read = tokio::task::spawn_blocking(move || read_accounts(&config, &homes, arrivals)).await;
        read.unwrap_or_else(|error| Err(vec![error.to_string()]))
    }

    /// These accounts come in, and no others, with these limits; sessions go on.
    pub fn admit(&self, reread: Reread) {
        self.homes.arrivals.write().unwrap_or_else(PoisonError::into_inner).extend(reread.arrivals);
        self.homes.put(reread.homes);
        reread.late.into_iter().for_each(|late| {
            let _ = late.send(());
        });
        self.door.handle().accounts().replace(reread.accounts);
    }

    /// No new session; running transfers get the grace of the configuration; the books are closed.
    pub async fn close(self) {
        let Keeper { door, mut tasks, writing, pen, .. } = self;
        door.close().await;
        tasks.abort_all();
        while tasks.join_next().await.is_some() {}
        let closed = async {
            let _ = pen.send(Entry::End).await;
            let _ = writing.await;
        };
        let _ = tokio::time::timeout(Duration::from_secs(10), closed).await;
    }
}

/// The accounts of a configuration that was read again, and what their homes shall be.
pub struct Reread {
    accounts: Vec<Account>,
    homes: Vec<Wanted>,
    /// Homes that have not answered yet.
    late: Vec<std::sync::mpsc::Sender<()>>,
    arrivals: BTreeMap<String, Arc<Arrivals>>,
}

impl Reread {
    /// How many accounts.
    #[must_use]
    pub fn accounts(&self) -> usize {
        self.accounts.len()
    }
}

/// What operators may ask of the door.
#[derive(Clone)]
pub struct Desk {
    pub handle: DoorHandle,
    pub listening: Vec<SocketAddr>,
    /// Algorithm and fingerprint.
    pub keys: Vec<String>,
}

fn settings(sftp: &SftpConfig, hub: &Hub) -> Settings {
    use it::sftp as words;
    let mut executor = executor::Settings::new(it::sftp_refusals::sentence);
    executor.handles = usize::try_from(sftp.limits.max_handles).unwrap_or(usize::MAX);
    Settings {
        max_channels: usize::try_from(sftp.limits.max_channels).unwrap_or(usize::MAX),
        limits: sftp.limits.clone(),
        words: Words {
            no_scp: words::NO_SCP,
            no_shell: words::NO_SHELL,
            too_many_sessions: words::TOO_MANY_SESSIONS,
            stopping: words::STOPPING,
            expired: words::EXPIRED,
            idle: words::IDLE,
            protocol_error: words::PROTOCOL_ERROR,
            packet_too_long: words::PACKET_TOO_LONG,
        },
        executor,
        clock: hub.clock,
    }
}

fn with_account(sources: &[SourceSystem]) -> impl Iterator<Item = (&SourceSystem, &SftpAccount)> {
    sources.iter().filter_map(|source| Some((source, source.sftp.as_ref()?)))
}

/// The accounts of a configuration, or everything that is wrong. Blocks.
fn read_accounts(config: &Config, homes: &Arc<FolderHomes>, arrivals: BTreeMap<String, Arc<Arrivals>>) -> Result<Reread, Vec<String>> {
    let mut accounts = Vec::new();
    let (mut wanted, mut late) = (Vec::new(), Vec::new());
    let mut reasons = Vec::new();
    for (source, account) in with_account(&config.sources) {
        match Account::read(&source.name, account) {
            Ok(account) => accounts.push(account),
            Err(error) => reasons.push(error.to_string()),
        }
    }
    if reasons.is_empty() {
        let (mut openings, new) = (Vec::new(), Arc::new(arrivals.clone()));
        for (source, account) in with_account(&config.sources) {
            match homes.begin(source, account, config.limits.disk_reserve_bytes, &new) {
                Ok(opening) => openings.push(opening),
                Err(error) => reasons.push(error.to_string()),
            }
        }
        let (opened, wrong, unanswered) = wait_for(openings);
        (wanted, late) = (opened, unanswered);
        reasons.extend(wrong.iter().map(ToString::to_string));
    }
    if reasons.is_empty() { Ok(Reread { accounts, homes: wanted, late, arrivals }) } else { Err(reasons) }
}

/// Writes what comes, together, up to the end.
async fn write(store: Store, mut receive: mpsc::Receiver<Entry>) {
    let mut entries = Vec::new();
    while receive.recv_many(&mut entries, TOGETHER).await > 0 {
        gather(&mut receive, &mut entries).await;
        let mut events = Vec::new();
        let mut end = false;
        for entry in entries.drain(..) {
            match entry {
                Entry::Event(event) => events.push(row(event)),
                Entry::End => end = true,
                Entry::Ban(ban) => {
                    let ban = DoorBan { address: ban.address, since: ban.since, until: ban.until, times: ban.times };
                    if let Err(error) = store.keep_ban(ban).await {
                        tracing::error!(%error, "un blocco di indirizzo non è stato salvato");
                    }
                }
            }
        }
        if !events.is_empty()
            && let Err(error) = store.note_door(events).await
        {
            tracing::error!(%error, "il registro SFTP non si può scrivere");
        }
        if end {
            return;
        }
    }
}

/// Adds what comes within [`GATHER`], up to a full transaction or the end.
async fn gather(receive: &mut mpsc::Receiver<Entry>, entries: &mut Vec<Entry>) {
    let more = async {
        while entries.len() < TOGETHER && !matches!(entries.last(), Some(Entry::End)) {
            match receive.recv().await {
                Some(entry) => entries.push(entry),
                None => return,
            }
        }
    };
    // Too late for the rest: the next transaction has it.
    let _ = tokio::time::timeout(GATHER, more).await;
}

fn row(event: Event) -> DoorEvent {
    DoorEvent {
        at: event.at,
        act: event.act.word().to_owned(),
        account: event.account,
        address: event.address.to_canonical().to_string(),
        client: event.client.map(|client| client.to_string()),
        name: event.name,
        target: event.target,
        bytes: event.bytes,
        sha256: event.sha256,
        outcome: event.outcome.to_owned(),
    }
}

/// Old partial uploads and names that were shown long enough. A home that hangs keeps no other from being tidied.
async fn tidy(hub: Arc<Hub>, homes: Arc<FolderHomes>) {
    let (mut tasks, mut under_way) = (JoinSet::new(), BTreeMap::<String, AbortHandle>::new());
    loop {
        tokio::time::sleep(TIDY / hub.clock.factor()).await;
        while tasks.try_join_next().is_some() {}
        for (source, shared) in homes.all() {
            if under_way.get(&source).is_some_and(|task| !task.is_finished()) {
                continue;
            }
            let (hub, name) = (hub.clone(), source.clone());
            let tidying = tasks.spawn(async move {
                let now = hub.clock.now();
                if let Ok(Err(error)) = on_share_of(&hub, &name, move || shared.tidy(now)).await {
                    tracing::warn!(source = name, %error, "le cartelle dell'account SFTP non si possono riordinare");
                }
            });
            under_way.insert(source, tidying);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn no_homes() -> Arc<FolderHomes> {
        Arc::new(FolderHomes { shared: RwLock::default(), arrivals: RwLock::default(), largest_file: 1 << 30 })
    }

    #[test]
    fn homes_that_do_not_open_are_waited_for_together_and_open_later_when_they_are_wanted() {
        let place = tempfile::tempdir().unwrap();
        let homes = no_homes();
        let text = format!(
            "name = \"uno\"\nroot = {:?}\nenti = []\nflows = []\n[sftp]\nuser = \"uno\"\nquota_bytes = 0\nkeys = []\n",
            place.path().join("uno")
        );
        let source: SourceSystem = toml::from_str(&text).unwrap();
        let account = source.sftp.clone().unwrap();
        let arrivals = Arc::new(BTreeMap::from([("uno".to_owned(), arrivals_of_one())]));
        let (opened, wrong, late) = wait_for(vec![
            homes.begin(&source, &account, 0, &arrivals).unwrap(),
            Opening::begin("due".to_owned(), &homes, || Err(DoorError::Interrupted)).unwrap(),
        ]);
        assert!(matches!((opened.len(), wrong.as_slice(), late.len()), (1, [DoorError::Interrupted], 0)), "told at once: {wrong:?}");

        // Eight on one share that hangs.
        let mut answers = Vec::new();
        let openings = (0..8).map(|_| {
            let (answer, hangs) = std::sync::mpsc::channel::<()>();
            answers.push(answer);
            let (own, source, account, arrivals) = (homes.clone(), source.clone(), account.clone(), arrivals.clone());
            let open = move || {
                let _ = hangs.recv();
                Ok(own.prepare(&source, &account, 0, &arrivals)?.into_iter().collect())
            };
            Opening::begin("uno".to_owned(), &homes, open).unwrap()
        });
        let begun = monotonic();
        let (opened, wrong, late) = wait_for(openings.collect());
        assert!(begun.elapsed() < HOME_OPENS * 2, "{:?}", begun.elapsed());
        assert_eq!((opened.len(), wrong.len(), late.len()), (0, 0, 8));
        let mut late = late.into_iter();
        // The configuration of the first was refused, that of the second was not.
        drop(late.next());
        late.next().unwrap().send(()).unwrap();
        drop(answers);
        while homes.get("uno").is_none() {
            assert!(begun.elapsed() < Duration::from_secs(60), "it opens when it answers");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// A configuration that is refused after its accounts were read changes nothing.
    #[test]
    fn limits_and_new_homes_hold_only_once_they_are_put() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("polizia");
        let source = |quota: u64, root: &std::path::Path| -> SourceSystem {
            let text = format!(
                "name = \"polizia\"\nroot = {root:?}\nenti = []\nflows = []\n[sftp]\nuser = \"polizia\"\nquota_bytes = {quota}\nkeys = []\n"
            );
            toml::from_str(&text).unwrap()
        };
        let arrivals = BTreeMap::from([("polizia".to_owned(), arrivals_of_one())]);
        let homes = FolderHomes { shared: RwLock::default(), arrivals: RwLock::default(), largest_file: 1 << 30 };
        let prepare = |source: &SourceSystem| {
            let account = source.sftp.as_ref().unwrap();
            homes.prepare(source, account, 0, &arrivals).unwrap().into_iter().collect::<Vec<_>>()
        };
        let total = || homes.get("polizia").map(|shared| FolderHome::new(shared, None).space(b"/").unwrap().total);
        // Refused: the root of the next reading counts, not this one's.
        drop(prepare(&source(1_000, &place.path().join("altrove"))));
        assert_eq!(total(), None);
        homes.put(prepare(&source(1_000, &root)));
        assert_eq!(total(), Some(1_000));
        let tighter = prepare(&source(10, &root));
        assert_eq!(total(), Some(1_000), "read, and not yet taken");
        homes.put(tighter);
        assert_eq!(total(), Some(10));
    }
}
