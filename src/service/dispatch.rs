//! Workers: leases due jobs, the most urgent first and within the room of each channel, and runs them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;
use tokio_util::task::TaskTracker;

use super::{Hub, files, notify};
use crate::clock;
use crate::domain::ids::ActId;
use crate::flow::effect::Effect;
use crate::flow::retry::{self, FailureClass, Next};
use crate::store::{BatchWork, JobRef, Leased, StoreError, Subject};

/// How a job ended, when it has not already been finished in the transaction that saved its result.
#[derive(Debug)]
pub enum End {
    /// Finished with its result.
    Saved,
    /// Nothing to save.
    Nothing,
    Failed {
        class: FailureClass,
        code: &'static str,
    },
    /// Not now, and not a failure.
    Later {
        at: Timestamp,
        code: &'static str,
    },
    /// The remote refuses the sender.
    Stop {
        channel: String,
        code: &'static str,
    },
}

impl From<StoreError> for End {
    fn from(error: StoreError) -> Self {
        match error {
            // Somebody else changed it first: the job has been replaced or the act has moved on.
            StoreError::Stale | StoreError::NotFound(_) | StoreError::Stopping => End::Nothing,
            error => {
                tracing::error!(%error, "a job could not be saved");
                End::Failed { class: FailureClass::Temporary { retry_after: None }, code: "ARCHIVIO_DATI" }
            }
        }
    }
}

/// Jobs of one lane of one channel under way at a time.
const FOLLOW_UPS: usize = 24;
const NEW_SENDS: usize = 60;
const OWN_WORK: usize = 4;
const OWN_BULK: usize = 512;
/// A lease is longer than any call may take (seconds, real).
const LEASE: i64 = 1_800;

/// Runs until the hub stops, then lets what is under way finish.
pub async fn run(hub: Arc<Hub>) {
    let owner = format!("messo-{}", std::process::id());
    let running = TaskTracker::new();
    let freed = Arc::new(Notify::new());
    let counts = Arc::new(Counts::default());
    let mut orphans = Orphans { channels: Vec::new(), looked: None };
    while !hub.stopping.is_cancelled() {
        let now = hub.clock.now();
        orphans.look(&hub).await;
        let until = now.saturating_add(hub.real_span(LEASE)).unwrap_or(Timestamp::MAX);
        let mut wanted = wanted(&hub, &counts, now);
        wanted.extend(orphans.channels.iter().flat_map(|channel| [(channel.clone(), 0, OWN_WORK), (channel.clone(), 1, OWN_WORK)]));
        let leased = if wanted.is_empty() { Ok(Vec::new()) } else { hub.store.lease(&owner, wanted, until, now).await };
        let idle = match leased {
            Ok(jobs) => {
                let idle = jobs.is_empty();
                for group in group(jobs) {
                    let (hub, counts, freed) = (hub.clone(), counts.clone(), freed.clone());
                    counts.add(&group);
                    running.spawn(async move {
                        run_group(&hub, &group).await;
                        counts.remove(&group);
                        freed.notify_one();
                    });
                }
                idle
            }
            Err(StoreError::Stopping) => break,
            Err(error) => {
                tracing::error!(%error, "jobs cannot be leased");
                true
            }
        };
        if idle {
            let nap = match hub.store.next_due().await {
                Ok(Some(due)) => hub.clock.real_until(due).clamp(Duration::from_millis(2), Duration::from_secs(1)),
                _ => Duration::from_secs(1),
            };
            tokio::select! {
                () = hub.store.work() => {}
                () = freed.notified() => {}
                () = tokio::time::sleep(nap) => {}
                () = hub.stopping.cancelled() => {}
            }
        }
        // Lets what rings together be leased together.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    running.close();
    running.wait().await;
}

/// Channels that have work and are no longer in the configuration (a key was renamed): their jobs are taken too, and end
/// where a person sees them, instead of waiting for ever.
struct Orphans {
    channels: Vec<String>,
    looked: Option<std::time::Instant>,
}

impl Orphans {
    async fn look(&mut self, hub: &Hub) {
        let now = clock::monotonic();
        if self.looked.is_some_and(|looked| now.duration_since(looked) < Duration::from_secs(60)) {
            return;
        }
        self.looked = Some(now);
        if let Ok(channels) = hub.store.channels_with_work().await {
            self.channels = channels.into_iter().filter(|channel| !hub.channels.contains_key(channel)).collect();
        }
    }
}

/// Jobs under way by channel and lane.
#[derive(Default)]
struct Counts(std::sync::Mutex<BTreeMap<(String, u8), usize>>);

impl Counts {
    fn of(&self, channel: &str, lane: u8) -> usize {
        let counts = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        counts.get(&(channel.to_owned(), lane)).copied().unwrap_or(0)
    }
    fn add(&self, group: &Group) {
        let mut counts = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *counts.entry((group.channel.clone(), group.lane)).or_default() += group.jobs.len();
    }
    fn remove(&self, group: &Group) {
        let mut counts = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&(group.channel.clone(), group.lane)) {
            *count = count.saturating_sub(group.jobs.len());
        }
    }
}

fn wanted(hub: &Hub, counts: &Counts, now: Timestamp) -> Vec<(String, u8, usize)> {
    let mut wanted = Vec::new();
    let mut add = |channel: &str, lane: u8, room: usize| {
        let free = room.saturating_sub(counts.of(channel, lane));
        // Small gaps are not worth a lease of their own.
        if free > room / 4 || free == room {
            wanted.push((channel.to_owned(), lane, free));
        }
    };
    add("", 0, OWN_WORK);
    add("", 1, OWN_BULK);
    for channel in hub.channels.values() {
        if channel.held_until(now).is_none() {
            add(&channel.name, 0, FOLLOW_UPS);
            add(&channel.name, 1, NEW_SENDS);
        }
    }
    wanted
}

/// Jobs that run together: one alone, or many that share calls.
struct Group {
    channel: String,
    lane: u8,
    jobs: Vec<Leased>,
}

fn group(jobs: Vec<Leased>) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let mut shared: BTreeMap<(String, &'static str), Group> = BTreeMap::new();
    for job in jobs {
        let (lane, together) = match &job.subject {
            Subject::Notifica { effect, .. } => (
                u8::from(effect.is_new_send()),
                match effect {
                    Effect::Prepare => Some("prepara"),
                    Effect::Upload => Some("carica"),
                    Effect::Send => Some("invia"),
                    _ => None,
                },
            ),
            Subject::Lotto { .. } => (0, None),
        };
        match together {
            Some(name) => {
                let key = (job.channel.clone(), name);
                let channel = job.channel.clone();
                shared.entry(key).or_insert_with(|| Group { channel, lane, jobs: Vec::new() }).jobs.push(job);
            }
            None => groups.push(Group { channel: job.channel.clone(), lane, jobs: vec![job] }),
        }
    }
    groups.extend(shared.into_values());
    groups
}

async fn run_group(hub: &Arc<Hub>, group: &Group) {
    let Some(first) = group.jobs.first() else { return };
    match &first.subject {
        Subject::Notifica { effect: Effect::Prepare, .. } => notify::prepare(hub, &group.jobs).await,
        Subject::Notifica { effect: Effect::Upload, .. } => notify::upload(hub, &group.channel, &group.jobs).await,
        Subject::Notifica { effect: Effect::Send, .. } => notify::send_all(hub, &group.channel, &group.jobs).await,
        Subject::Notifica { act, effect } => {
            let end = one(hub, first, *act, effect).await;
            settle(hub, first, end).await;
        }
        Subject::Lotto { batch, work } => {
            let end = match work {
                BatchWork::Start => start(hub, *batch, first.job).await,
                BatchWork::OpenGuard => open_guard(hub, *batch, first.job).await,
                BatchWork::Receipt => files::receipt(hub, *batch).await,
                BatchWork::Rejects => files::rejects(hub, *batch).await,
            };
            settle(hub, first, end).await;
        }
    }
}

async fn one(hub: &Arc<Hub>, leased: &Leased, act: ActId, effect: &Effect) -> End {
    let now = hub.clock.now();
    let saved = |result: Result<(), StoreError>| result.map_or_else(End::from, |()| End::Saved);
    match effect {
        Effect::Resubmit => saved(hub.store.resubmit(act, leased.job, now).await),
        Effect::StartReplacement => saved(hub.store.start_replacement(act, leased.job, now).await),
        Effect::WriteReject => files::refused_act(hub, act).await,
        Effect::AskRequest => notify::ask_request(hub, leased, act).await,
        Effect::Resync => notify::resync(hub, leased, act).await,
        Effect::Cancel => notify::cancel(hub, leased, act).await,
        Effect::AskPrice { recipient } => notify::ask_price(hub, leased, act, *recipient).await,
        Effect::FetchLegalFact { key } => notify::fetch_legal_fact(hub, leased, act, key).await,
        // In groups: see `run_group`.
        Effect::Prepare | Effect::Upload | Effect::Send => End::Nothing,
    }
}

/// Writes down how a job ended.
pub async fn settle(hub: &Hub, leased: &Leased, end: End) {
    let now = hub.clock.now();
    let result = match end {
        End::Saved => Ok(()),
        End::Nothing => hub.store.finish_job(leased.job).await,
        End::Failed { class, code } => {
            let spread = leased.job.id.as_bytes().last().copied().unwrap_or(0);
            let next = retry::next(class, leased.attempts + 1, spread, now);
            if let Next::Park { code } = next {
                tracing::warn!(job.id = %leased.job.id, code, "un lavoro aspetta una persona");
            }
            hub.store.fail_job(leased.job, next, code, now).await
        }
        End::Later { at, code } => hub.store.postpone_job(leased.job, at, code).await,
        End::Stop { channel, code } => {
            let stopped = hub.store.stop_channel(&channel, code, now).await;
            match stopped {
                Ok(()) => hub.store.postpone_job(leased.job, now, code).await,
                Err(error) => Err(error),
            }
        }
    };
    match result {
        // The job was replaced while it ran: its successor does the work.
        Ok(()) | Err(StoreError::Stale | StoreError::Stopping) => {}
        Err(error) => tracing::error!(job.id = %leased.job.id, %error, "the end of a job could not be saved"),
    }
    hub.publish.notify_one();
}

async fn start(hub: &Hub, batch: crate::domain::ids::BatchId, job: JobRef) -> End {
    loop {
        match hub.store.start_acts(batch, job, hub.clock.now()).await {
            Ok(true) => {
                failpoint!("batch.started");
                hub.publish.notify_one();
            }
            Ok(false) => return End::Saved,
            Err(error) => return End::from(error),
        }
    }
}

async fn open_guard(hub: &Hub, batch: crate::domain::ids::BatchId, job: JobRef) -> End {
    loop {
        match hub.store.open_guard(batch, job, hub.clock.now()).await {
            Ok(true) => hub.publish.notify_one(),
            Ok(false) => return End::Saved,
            Err(error) => return End::from(error),
        }
    }
}
