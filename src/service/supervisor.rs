//! Starts the hub, keeps its tasks, stops it: no new work on the first signal, what runs is finished.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, Notify, RwLock, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::backup::Backup;
use super::channels::{self, ChannelError, Channels};
use super::control::{ControlError, ControlServer};
use super::door::{self, DoorError, Keeper};
use super::figures::Figures;
use super::ingest::IngestError;
use super::live::{Live, Shelf};
use super::operate::{Operator, Place};
use super::positions::answers;
use super::positions::partners::{self, Partners};
use super::pulse::{Beat, Pulse};
use super::reload::{Listeners, Reread};
use super::shares::{Shares, on_share, on_share_of};
use super::{Hub, daily, dispatch, exports, health, ingest, mail, publish, queue, rebuild, restore, retention, sweep, trial};
use crate::batch::archive::looks_whole;
use crate::clock::Clock;
use crate::config::{ConfigFault, LoadedConfig, check_clock, folders};
use crate::intake::arrivals::Arrivals;
use crate::intake::watch::{Root, WatchEvent, WatchSettings, Watcher, Wholeness};
use crate::intake::{Claimed, claim};
use crate::store::archives::FolderArchives;
use crate::store::{Store, StoreError};
use crate::text;

/// Why the hub did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Channel(#[from] ChannelError),
    #[error("{}", .0.code())]
    Clock(ConfigFault),
    #[error("{0}")]
    Disk(#[from] std::io::Error),
    #[error(transparent)]
    Publish(#[from] publish::PublishError),
    #[error(transparent)]
    Control(#[from] ControlError),
    #[error(transparent)]
    Door(#[from] DoorError),
}

/// What an operator reads when the hub does not start.
pub fn sentence(error: &StartError) -> String {
    match error {
        StartError::Store(StoreError::InUse) => {
            "la cartella dei dati è già in uso da un altro processo di messo: fermarlo, o indicare un'altra cartella.".to_owned()
        }
        StartError::Store(StoreError::HalfRestored) => text::it::backup::HALF_RESTORED.to_owned(),
        StartError::Clock(fault) => text::it::config::sentence(fault),
        StartError::Control(ControlError::Io(path, error)) | StartError::Door(DoorError::Home(path, error)) => {
            text::it::service::cannot_use(&path.display().to_string(), &folders::this_user(), &folders::reason(error))
        }
        StartError::Control(ControlError::Taken(path)) => text::it::service::socket_taken(&path.display().to_string()),
        StartError::Control(ControlError::NotASocket(path)) => text::it::service::not_a_socket(&path.display().to_string()),
        StartError::Channel(ChannelError::Secret { channel, error }) => text::it::service::secret_unreadable(channel, &error.to_string()),
        other => format!("il servizio non può partire: {other}"),
    }
}

/// A hub at work.
pub struct Running {
    pub hub: Arc<Hub>,
    pub(super) tasks: JoinSet<()>,
    pub(super) listeners: Listeners,
    control: ControlServer,
    pub(super) door: Option<Keeper>,
    /// Folders to be watched from now on.
    pub(super) roots: mpsc::UnboundedSender<Root>,
    pub(super) others: Vec<Arc<dyn Reread>>,
}

/// Opens the store and makes everything that the tasks share. Starts nothing.
pub fn open(loaded: LoadedConfig, clock: Clock) -> Result<Arc<Hub>, StartError> {
    check_clock(&clock, &loaded.config).map_err(StartError::Clock)?;
    let store = Store::open(&loaded.config.data)?;
    let figures = Figures::default();
    let channels = channels::build(&loaded.config, &BTreeMap::new(), &store, clock, &figures.calls)?;
    let pts = partners::build(&loaded.config, &BTreeMap::new(), clock, &figures.calls)?;
    share(loaded, clock, store, channels, pts, figures)
}

/// What writes files out of a store that a command has opened: no remote, hence no secret, is needed.
pub fn for_files(loaded: LoadedConfig, store: Store) -> Result<Arc<Hub>, StartError> {
    share(loaded, Clock::REAL, store, BTreeMap::new(), BTreeMap::new(), Figures::default())
}

fn share(
    loaded: LoadedConfig,
    clock: Clock,
    store: Store,
    channels: Channels,
    pts: Partners,
    figures: Figures,
) -> Result<Arc<Hub>, StartError> {
    let archives = FolderArchives::open(loaded.config.data.join("archivi"))?;
    let flows: BTreeMap<_, _> = loaded.flows.into_iter().map(|flow| (flow.name.clone(), Arc::new(flow))).collect();
    Ok(Arc::new(Hub {
        settings: Live::new(loaded.config.clone()),
        config: loaded.config,
        config_file: loaded.file,
        flows: Shelf::new(flows),
        clock,
        store,
        archives: Arc::new(archives),
        channels: Shelf::new(channels),
        partners: Shelf::new(pts),
        stopping: CancellationToken::new(),
        publish: Notify::new(),
        shares: Shares::default(),
        facts: super::facts::Facts::default(),
        pulse: Pulse::default(),
        figures,
        taking: RwLock::default(),
    }))
}

/// Starts every task of the hub.
pub async fn start(hub: Arc<Hub>) -> Result<Running, StartError> {
    let freed = hub.store.free_leases().await?;
    if freed > 0 {
        tracing::info!(jobs = freed, "lavori interrotti, ripresi");
    }
    dispatch::look_at_the_clock(&hub).await?;
    hub.store.set_payment_routes(partners::routes(&hub.settings())).await?;
    let mut tasks = JoinSet::new();
    publish::recover(&hub, &mut tasks).await?;
    restore::follow(&hub).await?;
    let (claims, claimed) = mpsc::channel(64);
    let arrivals = door::arrivals(&hub.settings());
    let door = Keeper::open(&hub, arrivals.clone()).await?;
    let (roots, more) = mpsc::unbounded_channel();
    tasks.spawn(intake(hub.clone(), claims, arrivals, more));
    tasks.spawn(queue::run(hub.clone(), claimed));
    tasks.spawn(dispatch::run(hub.clone()));
    tasks.spawn(publish::run(hub.clone()));
    tasks.spawn(exports::run(hub.clone()));
    tasks.spawn(sweep::run(hub.clone()));
    tasks.spawn(answers::run(hub.clone()));
    tasks.spawn(retention::run(hub.clone()));
    tasks.spawn(mail::collect(hub.clone()));
    tasks.spawn(mail::send(hub.clone()));
    let mut listeners = Listeners::default();
    listeners.follow(&hub);
    tasks.spawn(health::serve(hub.clone(), door.as_ref().map(Keeper::desk)));
    let operator = Operator::of_hub(hub.store.clone(), hub.clock)
        .with_publisher(Arc::new(rebuild::Rebuilder(hub.clone())))
        .with_keeper(Arc::new(Backup::of_hub(&hub, hub.config_file.clone())))
        .with_eraser(Arc::new(retention::Eraser(hub.clone())))
        .with_trier(Arc::new(trial::OfHub(hub.clone())))
        .with_places({
            let hub = hub.clone();
            move || Place::of(&hub.settings())
        })
        .with_enti({
            let hub = hub.clone();
            move || daily::Ente::all(&hub.settings())
        });
    let operator = match &door {
        Some(door) => operator.with_door(door.desk()),
        None => operator,
    };
    let control = ControlServer::start(&hub.config.control_path(), operator)?;
    // Ready is who has done a first round of everything.
    while !hub.pulse.begun() && !tasks.is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(Running { hub, tasks, listeners, control, door, roots, others: Vec::new() })
}

impl Running {
    /// From now on `other` follows what the configuration says.
    pub fn follows(&mut self, other: Arc<dyn Reread>) {
        self.others.push(other);
    }

    /// Where the SFTP server listens.
    #[must_use]
    pub fn sftp_addresses(&self) -> Vec<SocketAddr> {
        self.door.as_ref().map(|door| door.desk().listening).unwrap_or_default()
    }

    /// Asks every task to end, waits for what runs, closes the store.
    pub async fn stop(mut self) {
        // What is being uploaded may end, and is still taken in.
        if let Some(door) = self.door.take() {
            door.close().await;
        }
        self.hub.stopping.cancel();
        self.control.stop().await;
        self.listeners.end().await;
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "un compito del servizio è finito male");
            }
        }
        let store = self.hub.store.clone();
        let _ = tokio::task::spawn_blocking(move || store.close()).await;
    }
}

/// Hands over what an earlier run claimed and did not finish. What is already known is recognised by its id.
async fn hand_over_leftovers(hub: &Hub, source: &str, claims: &mpsc::Sender<Claimed>) {
    let settings = hub.settings();
    let Some(home) = settings.source(source) else { return };
    let (name, root, clock) = (home.name.clone(), home.root.clone(), hub.clock);
    let left = on_share_of(hub, source, move || claim::leftovers(&name, &root, &clock)).await;
    match left.and_then(|left| Ok(left?)) {
        Err(publish::PublishError::Store(StoreError::Stopping)) => {}
        Ok(left) => {
            for claimed in left {
                if claims.send(claimed).await.is_err() {
                    return;
                }
            }
        }
        Err(error) => tracing::error!(source, %error, "la cartella di lavoro non si legge"),
    }
}

/// Watches the folders and hands over what is claimed, leftovers of the run before first. A share that hangs keeps its own folder from
/// being watched, and no other.
async fn intake(
    hub: Arc<Hub>,
    claims: mpsc::Sender<Claimed>,
    arrivals: BTreeMap<String, Arc<Arrivals>>,
    mut more: mpsc::UnboundedReceiver<Root>,
) {
    let (tell, mut told) = mpsc::channel(256);
    hub.pulse.beat(Beat::Intake);
    let (ready, mut to_watch) = mpsc::unbounded_channel();
    let mut handing_over = JoinSet::new();
    // What is written below a share, one after the other for each gestionale.
    let (mut telling, mut turns) = (JoinSet::new(), BTreeMap::<String, Arc<Mutex<()>>>::new());
    let hand_over = |source: String, then: Option<Root>| {
        let (hub, claims, ready) = (hub.clone(), claims.clone(), ready.clone());
        async move {
            hand_over_leftovers(&hub, &source, &claims).await;
            then.map(|root| ready.send(root));
        }
    };
    for source in &hub.settings().sources {
        let root = Root { source: source.name.clone(), path: source.root.clone(), arrivals: arrivals.get(&source.name).cloned() };
        handing_over.spawn(hand_over(source.name.clone(), Some(root)));
    }
    let watch = &hub.config.watch;
    let settings = WatchSettings {
        roots: Vec::new(),
        settle: Duration::from_millis(watch.settle_ms),
        scan: Duration::from_millis(watch.scan_ms),
        incomplete_after: Duration::from_secs(watch.incomplete_after_s),
        clock: hub.clock,
        whole: Arc::new(wholeness),
        events: true,
    };
    let mut handle = match Watcher::start(settings, tell) {
        Ok(handle) => handle,
        Err(error) => {
            tracing::error!(%error, "le cartelle non possono essere osservate");
            return;
        }
    };
    loop {
        hub.pulse.beat(Beat::Intake);
        let event = tokio::select! {
            event = told.recv() => event,
            Some(root) = more.recv() => {
                handing_over.spawn(hand_over(root.source.clone(), Some(root)));
                continue;
            }
            Some(root) = to_watch.recv() => {
                let source = root.source.clone();
                if let Err(error) = handle.watch(root) {
                    tracing::error!(source, %error, "la cartella del gestionale non può essere osservata: serve un riavvio del servizio");
                }
                continue;
            }
            Some(_) = handing_over.join_next() => continue,
            Some(_) = telling.join_next() => continue,
            () = tokio::time::sleep(Beat::IDLE) => continue,
            () = hub.stopping.cancelled() => None,
        };
        match event {
            Some(WatchEvent::Claimed(claimed)) => {
                if claims.send(claimed).await.is_err() {
                    break;
                }
            }
            Some(WatchEvent::NeverCompleted { source, name, size, mark, .. }) => {
                let turn = turns.entry(source.clone()).or_default().clone();
                let hub = hub.clone();
                telling.spawn(async move {
                    let _turn = turn.lock().await;
                    match ingest::never_completed(&hub, &source, &name, mark, size).await {
                        Ok(()) | Err(IngestError::Store(StoreError::Stopping)) => {}
                        // Told again at the next start.
                        Err(error) => tracing::error!(source, %error, "la ricevuta di un file incompleto non può essere scritta"),
                    }
                });
            }
            Some(WatchEvent::LateDigest { source, late }) => {
                let hub = hub.clone();
                telling.spawn(async move {
                    match ingest::late_digest(&hub, &source, &late).await {
                        Ok(()) | Err(IngestError::Store(StoreError::Stopping)) => {}
                        // Told again at the next start.
                        Err(error) => tracing::error!(source, %error, "un'impronta arrivata dopo il suo file non può essere confrontata"),
                    }
                });
            }
            Some(WatchEvent::Trouble { source, trouble }) => {
                tracing::warn!(source, %trouble, "la cartella non può essere osservata");
            }
            Some(WatchEvent::Recovered { source }) => {
                tracing::info!(source, "la cartella è di nuovo osservata");
                // The share may have been away at the start: what an earlier run claimed there is found now.
                handing_over.spawn(hand_over(source, None));
            }
            None => break,
        }
    }
    // The threads may be handing something over: what is claimed and not taken is found again at the next start.
    told.close();
    let _ = on_share(&hub.stopping, move || handle.stop()).await;
}

fn wholeness(path: &Path) -> Wholeness {
    match File::open(path) {
        Ok(file) if looks_whole(&file) => Wholeness::Whole,
        _ => Wholeness::NotYet,
    }
}
