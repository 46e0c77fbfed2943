//! Workers: leases due jobs, the most urgent first and within the room of each channel, and runs them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Notify;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, Span};

use super::pulse::Beat;
use super::shares::SLOW;
use super::{Hub, channels, files, ingest, notify, positions};
use crate::clock::{self, Clock, Jumps};
use crate::domain::ids::ActId;
use crate::flow::effect::{Effect, Lane};
use crate::flow::position::PositionEffect;
use crate::flow::retry::{self, FailureClass, Next};
use crate::store::{BatchWork, JobRef, Leased, StoreError, Subject};

/// How a job ended, when it has not already been finished in the transaction that saved its result.
#[derive(Debug)]
pub enum End {
    /// Finished with its result, or left as it is.
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
            StoreError::Stale | StoreError::NotFound(_) => End::Nothing,
            // Nobody knows what was done. The store may still be open: the job keeps its lease, which the next start gives back.
            StoreError::Stopping => End::Saved,
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
/// Acts of one channel at a time whose prices and legal facts are fetched; of all channels together while new sends are under way
/// or SEND has more events to tell.
const AFTERWARDS: usize = 24;
const AFTERWARDS_MEANWHILE: usize = 1;
const OWN_WORK: usize = 4;
const OWN_FILES: usize = 8;
const OWN_BULK: usize = 512;
/// Between two leases, real time.
const GATHER: Duration = Duration::from_millis(4);
/// What falls due one thing after the other, nobody ringing, is begun together after so long (business time).
const DUE_TOGETHER: Duration = Duration::from_millis(100);
/// Between two looks at what is due, when nothing is.
const LONGEST_REST: Duration = Duration::from_secs(1);
/// A lease is longer than any call may take (seconds, real).
const LEASE: i64 = 1_800;

/// Runs until the hub stops, then lets what is under way finish.
pub async fn run(hub: Arc<Hub>) {
    let owner = format!("messo-{}", std::process::id());
    let running = TaskTracker::new();
    let freed = Arc::new(Notify::new());
    let counts = Arc::new(Counts::default());
    let (mut turn, mut sending) = (0, false);
    let mut orphans = Orphans { channels: Vec::new(), looked: None };
    let mut jumps = Jumps::from(Clock::REAL.now(), clock::monotonic());
    // What falls due within so long is leased together.
    let together = DUE_TOGETHER / hub.clock.factor();
    let mut next_look = clock::monotonic();
    while !hub.stopping.is_cancelled() {
        hub.pulse.beat(Beat::Dispatch);
        // Before anything is leased: leases that seem to have ended have not.
        if let Some(jump) = jumps.look(Clock::REAL.now(), clock::monotonic()) {
            after_a_jump(&hub, jump).await;
        }
        let now = hub.clock.now();
        orphans.look(&hub).await;
        let until = now.saturating_add(hub.real_span(LEASE)).unwrap_or(Timestamp::MAX);
        let (mut wanted, full) = wanted(&hub, &counts, sending, turn, now);
        turn = turn.wrapping_add(1);
        wanted.extend(orphans.channels.iter().flat_map(|channel| [0, 1, 2].map(|lane| (channel.clone(), lane, OWN_WORK))));
        let look = clock::monotonic() >= next_look;
        if look {
            next_look = clock::monotonic() + together;
        }
        let leased = if wanted.is_empty() { Ok(Vec::new()) } else { hub.store.lease_of(&owner, wanted, until, now, look).await };
        let idle = match leased {
            Ok(jobs) => {
                let idle = jobs.is_empty();
                sending = jobs.iter().any(is_new_send);
                let (facts, others): (Vec<_>, Vec<_>) = jobs.into_iter().partition(is_fact);
                for group in group(others) {
                    let (hub, counts, freed) = (hub.clone(), counts.clone(), freed.clone());
                    counts.add(&group.channel, group.lane, group.jobs.len());
                    running.spawn(async move {
                        let over = || {
                            counts.remove(&group.channel, group.lane, group.jobs.len());
                            freed.notify_one();
                        };
                        let mut work = std::pin::pin!(run_group(&hub, &group));
                        if group.lane != Lane::Files as u8 {
                            work.await;
                            return over();
                        }
                        // The files of a gestionale whose share is slow keep nobody else's waiting.
                        let slow = tokio::time::timeout(SLOW, &mut work).await.is_err();
                        over();
                        if slow {
                            work.await;
                        }
                    });
                }
                fetch_facts(&hub, facts, &counts, &freed, &running);
                idle
            }
            Err(StoreError::Stopping) => break,
            Err(error) => {
                tracing::error!(%error, "jobs cannot be leased");
                true
            }
        };
        if idle {
            rest(&hub, &freed, full, next_look).await;
        }
        // Lets what rings together be leased together: a lease looks at every channel.
        tokio::time::sleep(GATHER).await;
    }
    running.close();
    running.wait().await;
}

/// Until there is something to lease: it was rung for, it is due, or (`full`) what was under way leaves room for what waits.
async fn rest(hub: &Hub, freed: &Notify, full: bool, next_look: std::time::Instant) {
    let mut until = clock::monotonic() + LONGEST_REST;
    loop {
        if let Ok(Some(due)) = hub.store.next_due().await {
            let nap = hub.clock.real_until(due).max(Duration::from_millis(2));
            until = until.min((clock::monotonic() + nap).max(next_look));
        }
        tokio::select! {
            // What has ended may have left something for later.
            () = freed.notified() => if full { return },
            () = hub.store.work() => return,
            () = tokio::time::sleep_until(until.into()) => return,
            () = hub.stopping.cancelled() => return,
        }
    }
}

/// The clock of the machine was set, back or forth: what was to happen at an instant is moved with it.
async fn after_a_jump(hub: &Hub, jump: SignedDuration) {
    let business = jump.checked_mul(i32::try_from(hub.clock.factor()).unwrap_or(i32::MAX)).unwrap_or(jump);
    tracing::warn!(seconds = jump.as_secs(), "l'orologio della macchina è stato spostato");
    if let Err(error) = hub.store.clock_jumped(business, hub.clock.now()).await {
        tracing::error!(%error, "lo spostamento dell'orologio non può essere salvato");
    }
}

/// At a start: the clock may have been set back while nobody looked.
pub async fn look_at_the_clock(hub: &Hub) -> Result<(), StoreError> {
    let now = hub.clock.now();
    if let Some(before) = hub.store.clock_said().await? {
        let back = now.duration_since(before);
        if back <= -Jumps::LEAST {
            tracing::warn!(seconds = back.as_secs(), "l'orologio è indietro rispetto all'ultimo arresto");
            return hub.store.clock_jumped(back, now).await;
        }
    }
    hub.store.clock_says(now).await
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
        let pause = if hub.clock.is_real() { Duration::from_secs(60) } else { Duration::from_millis(500) };
        if self.looked.is_some_and(|looked| now.duration_since(looked) < pause) {
            return;
        }
        self.looked = Some(now);
        if let Ok(channels) = hub.store.channels_with_work().await {
            self.channels =
                channels.into_iter().filter(|channel| !hub.channels.contains_key(channel) && !hub.partners.contains_key(channel)).collect();
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
    /// Over all channels.
    fn in_lane(&self, wanted: Lane) -> usize {
        let counts = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        counts.iter().filter(|((_, lane), _)| *lane == wanted as u8).map(|(_, count)| count).sum()
    }
    fn add(&self, channel: &str, lane: u8, jobs: usize) {
        let mut counts = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *counts.entry((channel.to_owned(), lane)).or_default() += jobs;
    }
    fn remove(&self, channel: &str, lane: u8, jobs: usize) {
        let mut counts = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&(channel.to_owned(), lane)) {
            *count = count.saturating_sub(jobs);
        }
    }
}

/// What may be leased now, and whether something may not because what is under way leaves no room for it.
fn wanted(hub: &Hub, counts: &Counts, sending: bool, turn: usize, now: Timestamp) -> (Vec<(String, u8, usize)>, bool) {
    let mut wanted = Vec::new();
    let full = std::cell::Cell::new(false);
    let mut add = |channel: &str, lane: u8, room: usize| {
        let free = room.saturating_sub(counts.of(channel, lane));
        // Small gaps are not worth a lease of their own.
        if free > room / 4 || free == room {
            wanted.push((channel.to_owned(), lane, free));
        } else {
            full.set(true);
        }
    };
    add("", 0, OWN_WORK);
    add("", 1, OWN_BULK);
    add("", 2, OWN_BULK);
    add("", Lane::Files as u8, OWN_FILES);
    // The keys of an ente share what SEND is to it: asked once, for one probe serves all.
    let mut held: BTreeMap<&str, bool> = BTreeMap::new();
    let mut open: Vec<&str> = Vec::new();
    let channels = hub.channels.all();
    for channel in channels.values() {
        if !*held.entry(&channel.sender).or_insert_with(|| channel.remote.held_until(now).is_some()) {
            open.push(&channel.name);
            add(&channel.name, 0, FOLLOW_UPS);
            add(&channel.name, 1, NEW_SENDS);
        }
    }
    for partner in hub.partners.all().values() {
        if partner.remote.held_until(now).is_some() {
            continue;
        }
        add(&partner.name, 0, partner.room());
        // Reductions and what follows them up have the way free.
        if counts.of(&partner.name, 0) == 0 {
            add(&partner.name, 1, partner.room());
        } else {
            full.set(true);
        }
        add(&partner.name, 2, partner.room());
    }
    let behind = channels.values().any(|channel| channel.behind.load(Ordering::Acquire));
    if !sending && !behind && counts.in_lane(Lane::NewSend) == 0 {
        for channel in &open {
            add(channel, 2, AFTERWARDS);
        }
    } else {
        full.set(true);
        if counts.in_lane(Lane::Afterwards) == 0 {
            // One act, of the channels in turn.
            for channel in open.iter().cycle().skip(turn % open.len().max(1)).take(AFTERWARDS_MEANWHILE.min(open.len())) {
                add(channel, 2, 1);
            }
        }
    }
    (wanted, full.get())
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
                effect.lane() as u8,
                match effect {
                    Effect::Prepare => Some("prepara"),
                    Effect::Upload => Some("carica"),
                    Effect::Send => Some("invia"),
                    _ => None,
                },
            ),
            Subject::Lotto { work, .. } => (work.lane() as u8, None),
            Subject::Posizione { effect, .. } => (effect.lane() as u8, matches!(effect, PositionEffect::Reckon).then_some("ricalcola")),
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
            let work = async {
                let end = one(hub, first, *act, effect).await;
                settle(hub, first, end).await;
            };
            work.instrument(span(first)).await;
        }
        Subject::Posizione { effect: PositionEffect::Reckon, .. } => positions::reckon::run(hub, &group.jobs).await,
        Subject::Posizione { position, effect } => {
            let work = async {
                let end = positions::one(hub, first, *position, effect).await;
                settle(hub, first, end).await;
            };
            work.instrument(span(first)).await;
        }
        Subject::Lotto { batch, work } => {
            let work = async {
                let end = match work {
                    BatchWork::Start => start(hub, *batch, first.job).await,
                    BatchWork::OpenGuard => open_guard(hub, *batch, first.job).await,
                    BatchWork::Receipt => files::receipt(hub, *batch).await,
                    BatchWork::Rejects => files::rejects(hub, *batch).await,
                    BatchWork::Reread => ingest::reread(hub, *batch).await,
                };
                settle(hub, first, end).await;
            };
            work.instrument(span(first)).await;
        }
    }
}

/// Every line of the log about a job carries what the job is about.
pub fn span(job: &Leased) -> Span {
    let id = job.job.id;
    match &job.subject {
        Subject::Notifica { act, effect } => tracing::info_span!("atto", act.id = %act, job.id = %id, job.kind = effect.name()),
        Subject::Posizione { position, effect } => {
            tracing::info_span!("posizione", position.id = %position, job.id = %id, job.kind = effect.name())
        }
        Subject::Lotto { batch, .. } => tracing::info_span!("lotto", batch.id = %batch, job.id = %id),
    }
}

fn is_new_send(job: &Leased) -> bool {
    matches!(&job.subject, Subject::Notifica { effect, .. } if effect.lane() == Lane::NewSend)
}

fn is_fact(job: &Leased) -> bool {
    matches!(job.subject, Subject::Notifica { effect: Effect::FetchLegalFacts, .. })
}

/// Starts the downloads of legal facts: what is known of them is read together, each then goes its own way.
fn fetch_facts(hub: &Arc<Hub>, jobs: Vec<Leased>, counts: &Arc<Counts>, freed: &Arc<Notify>, running: &TaskTracker) {
    if jobs.is_empty() {
        return;
    }
    for job in &jobs {
        counts.add(&job.channel, Lane::Afterwards as u8, 1);
    }
    let (hub, counts, freed, tracker) = (hub.clone(), counts.clone(), freed.clone(), running.clone());
    running.spawn(async move {
        let wanted = jobs.iter().filter_map(|job| match &job.subject {
            Subject::Notifica { act, effect: Effect::FetchLegalFacts } => Some(*act),
            _ => None,
        });
        let known = hub.store.facts_to_fetch(wanted.collect()).await;
        let mut known = known.map(Vec::into_iter);
        for job in jobs {
            let facts = match &mut known {
                Ok(facts) => facts.next().ok_or(End::Nothing),
                Err(error) => Err(End::from(StoreError::Database(error.to_string()))),
            };
            let (hub, counts, freed) = (hub.clone(), counts.clone(), freed.clone());
            let span = span(&job);
            let work = async move {
                let end = match (facts, &job.subject) {
                    (Ok(facts), Subject::Notifica { act, effect: Effect::FetchLegalFacts }) => {
                        notify::fetch_legal_facts(&hub, &job, *act, facts).await
                    }
                    (Ok(_), _) => End::Nothing,
                    (Err(end), _) => end,
                };
                settle(&hub, &job, end).await;
                counts.remove(&job.channel, Lane::Afterwards as u8, 1);
                freed.notify_one();
            };
            tracker.spawn(work.instrument(span));
        }
    });
}

async fn one(hub: &Arc<Hub>, leased: &Leased, act: ActId, effect: &Effect) -> End {
    let now = hub.clock.now();
    let saved = |result: Result<(), StoreError>| result.map_or_else(End::from, |()| End::Saved);
    match effect {
        Effect::Resubmit => saved(hub.store.resubmit(act, leased.job, now).await),
        Effect::StartReplacement => saved(hub.store.start_replacement(act, leased.job, now).await),
        Effect::WriteReject => files::refused_act(hub, act).await,
        Effect::Recover => notify::recover(hub, leased, act).await,
        Effect::AskRequest => notify::ask_request(hub, leased, act).await,
        Effect::Resync => notify::resync(hub, leased, act).await,
        Effect::Cancel => notify::cancel(hub, leased, act).await,
        Effect::CancelLater { who, why } => notify::cancel_later(hub, leased, act, who, why).await,
        Effect::AskPrice { recipient } => notify::ask_price(hub, leased, act, *recipient).await,
        // In groups: see `run_group` and `fetch_facts`.
        Effect::Prepare | Effect::Upload | Effect::Send | Effect::FetchLegalFacts => End::Nothing,
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
            let given_back = hub.store.give_back_job(leased.job, code).await;
            channels::stop(hub, &channel, code).await.and(given_back)
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
