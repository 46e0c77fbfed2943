//! The page of figures that Prometheus reads. One function a subject; names end in their unit and are never changed once released.
//!
//! The counts come from the store and are kept for a few seconds: who reads the page in a loop does not slow the work.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::Hub;
use super::channels::Weather;
use super::door::Desk;
use super::pulse::Beat;
use super::shares::Word;
use crate::clock::monotonic;
use crate::intake::sftp::server::ledger::{Act, Event};
use crate::store::{CALLS_SPENT, MONEY_SPENT, StoreError};
use crate::telemetry::metrics::{Calls, Kind, Page, Value};

/// Counts of the store are asked again after this.
const FRESH: Duration = Duration::from_secs(5);

/// What is counted while the hub runs.
#[derive(Debug, Default)]
pub struct Figures {
    pub calls: std::sync::Arc<Calls>,
    pub sftp: std::sync::Arc<SftpCounts>,
    /// The configuration could not be put in place when it was last read again.
    pub reload_failed: AtomicBool,
    kept: tokio::sync::Mutex<Option<(Instant, String)>>,
}

/// What went through the SFTP door since the start.
#[derive(Debug, Default)]
pub struct SftpCounts {
    logins: AtomicU64,
    refused_logins: AtomicU64,
    uploads: AtomicU64,
    downloads: AtomicU64,
    uploaded_bytes: AtomicU64,
    downloaded_bytes: AtomicU64,
}

impl SftpCounts {
    /// Takes a line of the door's books.
    pub fn note(&self, event: &Event) {
        let (times, bytes) = match event.act {
            Act::Login => (&self.logins, None),
            Act::LoginRefused => (&self.refused_logins, None),
            Act::Upload => (&self.uploads, Some(&self.uploaded_bytes)),
            Act::Download => (&self.downloads, Some(&self.downloaded_bytes)),
            Act::Removal | Act::Rename | Act::FolderMade | Act::FolderRemoved | Act::Refused => return,
        };
        times.fetch_add(1, Ordering::Relaxed);
        if let Some(total) = bytes {
            total.fetch_add(event.bytes.unwrap_or(0), Ordering::Relaxed);
        }
    }
}

/// The whole page.
///
/// # Errors
/// The store does not answer: the page would be half a page.
pub async fn page(hub: &Hub, door: Option<&Desk>) -> Result<String, StoreError> {
    let mut page = Page::default();
    process(hub, &mut page);
    loops(hub, &mut page);
    hub.figures.calls.write(&mut page);
    remotes(hub, &mut page);
    if let Some(door) = door {
        sftp(&hub.figures.sftp, door, &mut page);
    }
    disk(hub, &mut page);
    let mut kept = hub.figures.kept.lock().await;
    let fresh = kept.as_ref().filter(|(at, _)| monotonic().saturating_duration_since(*at) < FRESH);
    let counted = match fresh {
        Some((_, counted)) => counted.clone(),
        None => {
            let counted = counts(hub).await?;
            *kept = Some((monotonic(), counted.clone()));
            counted
        }
    };
    Ok(page.text() + &counted)
}

fn seconds(span: Duration) -> Value {
    Value::Micros(u64::try_from(span.as_micros()).unwrap_or(u64::MAX))
}

fn process(hub: &Hub, page: &mut Page) {
    page.family("messo_build_info", Kind::Gauge, "The version of the program; always 1.");
    page.sample("messo_build_info", &[("version", env!("CARGO_PKG_VERSION"))], Value::Whole(1));
    page.one("messo_up_seconds", Kind::Gauge, "Real time since the start of the service.", seconds(hub.pulse.lived(monotonic())));
    let good = !hub.figures.reload_failed.load(Ordering::Relaxed);
    let help = "Whether the configuration was put in place when it was last read: 0 after a reload that was refused.";
    page.one("messo_config_last_reload_successful", Kind::Gauge, help, Value::Flag(good));
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    if let Some(kib) = memory {
        page.one("process_resident_memory_bytes", Kind::Gauge, "Memory in use.", Value::Whole(kib.saturating_mul(1_024)));
    }
    if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
        page.one("process_open_fds", Kind::Gauge, "Open files and sockets.", Value::Whole(open.count() as u64));
    }
}

fn loops(hub: &Hub, page: &mut Page) {
    page.family("messo_loop_age_seconds", Kind::Gauge, "Real time since each main loop last came round.");
    for beat in Beat::ALL {
        if let Some(age) = hub.pulse.age(beat, monotonic()) {
            page.sample("messo_loop_age_seconds", &[("loop", beat.name())], seconds(age));
        }
    }
    page.family("messo_loop_patience_seconds", Kind::Gauge, "How long each main loop may take to come round.");
    for beat in Beat::ALL {
        page.sample("messo_loop_patience_seconds", &[("loop", beat.name())], seconds(beat.patience()));
    }
}

fn remotes(hub: &Hub, page: &mut Page) {
    let channels = hub.channels.all();
    page.family("messo_remote_up", Kind::Gauge, "Whether SEND answers an ente, or a PT answers: 0 while calls are held back.");
    let mut last = "";
    for channel in channels.values().filter(|channel| std::mem::replace(&mut last, channel.sender.as_str()) != channel.sender) {
        let up = !matches!(channel.remote.weather(), Weather::Down { .. });
        page.sample("messo_remote_up", &[("remote", "send"), ("ente", &channel.sender)], Value::Flag(up));
    }
    // One circuit each, whatever enti it serves.
    for pt in hub.partners.all().values().filter(|pt| pt.config.is_managed()) {
        let up = !matches!(pt.remote.weather(), Weather::Down { .. });
        page.sample("messo_remote_up", &[("remote", &pt.name)], Value::Flag(up));
    }
    let help = "Real time for which the folder of a gestionale has not answered; 0: it answers, or nobody has asked it yet.";
    page.family("messo_folder_silent_seconds", Kind::Gauge, help);
    for source in &hub.settings().sources {
        let silent = if let Word::Silent(span) = hub.shares.word(&source.name) { span } else { Duration::ZERO };
        page.sample("messo_folder_silent_seconds", &[("gestionale", &source.name)], seconds(silent));
    }
    page.family("messo_stream_listening", Kind::Gauge, "Whether the stream of events of a key is read; nothing is sent before.");
    for channel in channels.values() {
        let key = channel.name.split('/').nth(1).unwrap_or_default();
        let listening = channel.listening.load(Ordering::Acquire);
        page.sample("messo_stream_listening", &[("ente", &channel.sender), ("key", key)], Value::Flag(listening));
    }
}

fn sftp(counts: &SftpCounts, door: &Desk, page: &mut Page) {
    let now = door.handle.counts();
    page.one("messo_sftp_sessions", Kind::Gauge, "SFTP sessions open now.", Value::Whole(now.sessions as u64));
    page.one("messo_sftp_connections", Kind::Gauge, "SSH connections open now, strangers included.", Value::Whole(now.connections as u64));
    let read = |count: &AtomicU64| Value::Whole(count.load(Ordering::Relaxed));
    page.family("messo_sftp_logins_total", Kind::Counter, "Logins by outcome, since the start.");
    page.sample("messo_sftp_logins_total", &[("outcome", "ok")], read(&counts.logins));
    page.sample("messo_sftp_logins_total", &[("outcome", "refused")], read(&counts.refused_logins));
    page.family("messo_sftp_transfers_total", Kind::Counter, "Files moved by SFTP, interrupted ones included, since the start.");
    page.sample("messo_sftp_transfers_total", &[("direction", "upload")], read(&counts.uploads));
    page.sample("messo_sftp_transfers_total", &[("direction", "download")], read(&counts.downloads));
    page.family("messo_sftp_bytes_total", Kind::Counter, "Bytes moved by SFTP, since the start.");
    page.sample("messo_sftp_bytes_total", &[("direction", "upload")], read(&counts.uploaded_bytes));
    page.sample("messo_sftp_bytes_total", &[("direction", "download")], read(&counts.downloaded_bytes));
}

fn disk(hub: &Hub, page: &mut Page) {
    if let Ok(stat) = rustix::fs::statvfs(&hub.config.data) {
        let bytes = |blocks: u64| Value::Whole(blocks.saturating_mul(stat.f_frsize));
        page.one("messo_disk_free_bytes", Kind::Gauge, "Free bytes of the disk of the data folder.", bytes(stat.f_bavail));
        page.one("messo_disk_size_bytes", Kind::Gauge, "Size of the disk of the data folder.", bytes(stat.f_blocks));
    }
    let reserve = hub.settings().limits.disk_reserve_bytes;
    page.one("messo_disk_reserve_bytes", Kind::Gauge, "Bytes that stay free: under them no drop is taken.", Value::Whole(reserve));
}

/// What the store counts.
async fn counts(hub: &Hub) -> Result<String, StoreError> {
    let mut page = Page::default();
    let now = hub.clock.now();
    let overview = hub.store.overview().await?;
    let of_state = |page: &mut Page, name: &str, label: &str, help: &str, rows: &[(String, u64)]| {
        page.family(name, Kind::Gauge, help);
        for (state, count) in rows {
            page.sample(name, &[(label, state)], Value::Whole(*count));
        }
    };
    of_state(&mut page, "messo_drops", "state", "Drops by state.", &overview.batches);
    of_state(&mut page, "messo_acts", "state", "Acts by state.", &overview.acts);
    of_state(&mut page, "messo_acts_parked", "code", "Acts that need a person, by reason.", &overview.parked);
    of_state(&mut page, "messo_jobs", "state", "Jobs by state.", &overview.jobs);
    let parked = overview.parked_batches.len() as u64;
    page.one("messo_drops_parked", Kind::Gauge, "Drops whose own work needs a person.", Value::Whole(parked));
    lanes(hub, &mut page, now).await?;
    enti(hub, &mut page, now).await?;
    page.family("messo_trouble", Kind::Gauge, "Troubles that operators were told of and that are not over, by code.");
    for (code, count) in hub.store.troubles_by_code().await? {
        page.sample("messo_trouble", &[("code", &code)], Value::Whole(count));
    }
    let mail = hub.store.mail_overview(now).await?;
    page.one("messo_mail_waiting", Kind::Gauge, "Mails to operators that are still to go.", Value::Whole(mail.waiting));
    // Without a server they wait for one, and nothing is late.
    let oldest = mail.oldest_due.filter(|_| hub.settings().mail.is_some());
    let late = oldest.and_then(|due| Duration::try_from(now.duration_since(due)).ok()).unwrap_or_default();
    page.one("messo_mail_lag_seconds", Kind::Gauge, "Business time since the oldest mail that waits was due; 0: none is.", seconds(late));
    Ok(page.text())
}

/// Names of the lanes, by number (`flow::effect::Lane`).
const LANES: [&str; 4] = ["follow_up", "new_send", "afterwards", "files"];

async fn lanes(hub: &Hub, page: &mut Page, now: Timestamp) -> Result<(), StoreError> {
    let due = hub.store.due_by_lane().await?;
    let of = |lane: usize| due.iter().find(|due| usize::from(due.lane) == lane);
    page.family("messo_jobs_ready", Kind::Gauge, "Jobs that could run now, by lane.");
    for (lane, name) in LANES.iter().enumerate() {
        page.sample("messo_jobs_ready", &[("lane", name)], Value::Whole(of(lane).map_or(0, |due| due.jobs)));
    }
    page.family("messo_job_lag_seconds", Kind::Gauge, "Business time since the oldest ready job of a lane was due; 0: none is ready.");
    for (lane, name) in LANES.iter().enumerate() {
        let lag = of(lane).and_then(|due| Duration::try_from(now.duration_since(due.oldest)).ok()).unwrap_or_default();
        page.sample("messo_job_lag_seconds", &[("lane", name)], seconds(lag));
    }
    Ok(())
}

async fn enti(hub: &Hub, page: &mut Page, now: Timestamp) -> Result<(), StoreError> {
    let settings = hub.settings();
    let senders = settings.institutions.iter().map(|ente| ente.tax_id.clone()).collect();
    let used = hub.store.used_of_day(senders, &hub.day(now)).await?;
    let enti = || settings.institutions.iter().zip(&used);
    page.family("messo_quota_calls_left", Kind::Gauge, "Requests that an ente may still make today, where it has a limit.");
    for (ente, used) in enti().filter(|(ente, _)| ente.quota.per_day > 0) {
        let left = u64::from(ente.quota.per_day).saturating_sub(used.calls);
        page.sample("messo_quota_calls_left", &[("ente", &ente.tax_id)], Value::Whole(left));
    }
    page.family("messo_quota_calls_limit", Kind::Gauge, "Requests that an ente may make in a day, where it has a limit.");
    for (ente, _) in enti().filter(|(ente, _)| ente.quota.per_day > 0) {
        page.sample("messo_quota_calls_limit", &[("ente", &ente.tax_id)], Value::Whole(ente.quota.per_day.into()));
    }
    page.family("messo_quota_spend_left_euros", Kind::Gauge, "Base fees that an ente may still spend today, where it has a ceiling.");
    for (ente, used) in enti().filter(|(ente, _)| ente.quota.spend_cents_per_day > 0) {
        let left = ente.quota.spend_cents_per_day.saturating_sub(used.spent);
        page.sample("messo_quota_spend_left_euros", &[("ente", &ente.tax_id)], Value::Cents(left));
    }
    page.family(
        "messo_quota_used_up",
        Kind::Gauge,
        "What of its day an ente has used up, as operators were told: the next act waits for tomorrow.",
    );
    for trouble in hub.store.troubles().await?.iter().filter(|trouble| [CALLS_SPENT, MONEY_SPENT].contains(&trouble.code.as_str())) {
        page.sample("messo_quota_used_up", &[("ente", &trouble.about), ("code", &trouble.code)], Value::Whole(1));
    }
    page.family("messo_key_stopped", Kind::Gauge, "Keys that SEND refuses: their ente stands still until an operator resumes it.");
    for (channel, code, _) in hub.store.stopped_channels().await? {
        let (ente, key) = channel.split_once('/').unwrap_or((&channel, ""));
        // A PT is no key; and who is no longer in the configuration stops nobody.
        if settings.institution(ente).is_none() {
            continue;
        }
        page.sample("messo_key_stopped", &[("ente", ente), ("key", key), ("code", &code)], Value::Whole(1));
    }
    Ok(())
}
