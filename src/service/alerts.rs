//! What operators are told of because time has passed: SEND that does not answer, quotas that are free again, disks that fill up,
//! gestionali that have not dropped. Each is told once when it begins and once when it ends; the store remembers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use tokio::sync::oneshot;

use super::Hub;
use super::channels::Weather;
use super::daily;
use crate::clock::monotonic;
use crate::config::{Alerts, Expected, SourceSystem};
use crate::domain::alert::{self, AlertKind};
use crate::domain::digest::Sha256;
use crate::domain::expectation::Expectation;
use crate::store::{CALLS_SPENT, DATA_DISK, MONEY_SPENT, Notice, SILENT, StoreError, Trouble};

/// SEND does not answer an ente.
const DOWN: &str = "SEND_NON_RAGGIUNGIBILE";
const UP: &str = "SEND_DI_NUOVO_RAGGIUNGIBILE";
/// A PT does not answer.
const PT_DOWN: &str = "PT_NON_RAGGIUNGIBILE";
const PT_UP: &str = "PT_DI_NUOVO_RAGGIUNGIBILE";
const DISK_LOW: &str = "DISCO_QUASI_PIENO";
const DISK_FREE: &str = "DISCO_DI_NUOVO_LIBERO";
/// A disk that does not answer within this (a share that hangs) is asked again later (real time).
const DISK_PATIENCE: Duration = Duration::from_secs(5);

/// What is watched over while the hub runs.
pub struct Watch {
    begun: Instant,
    /// How long a start takes to find what was dropped before it.
    finding: Duration,
    disks: Vec<Disk>,
    /// Since when each expectation is known.
    known: BTreeMap<String, Timestamp>,
    first: bool,
}

impl Watch {
    /// Of a hub that starts.
    pub fn new(hub: &Hub) -> Watch {
        let settings = hub.settings();
        let disk = |about: &str, path: &Path| Disk { about: about.to_owned(), path: path.to_owned(), busy: Arc::default() };
        let of_sources = settings.sources.iter().map(|source| disk(&source.name, &source.root));
        let watch = &hub.config.watch;
        Watch {
            begun: monotonic(),
            finding: Duration::from_millis(2 * (watch.settle_ms + watch.scan_ms)),
            disks: std::iter::once(disk(DATA_DISK, &hub.config.data)).chain(of_sources).collect(),
            known: BTreeMap::new(),
            first: true,
        }
    }

    /// Looks at everything once. What fails is told in the log, and keeps nothing else from being looked at.
    pub async fn round(&mut self, hub: &Hub, now: Timestamp) {
        let told = match hub.store.troubles().await {
            Ok(told) => told,
            Err(error) => return tell("avvisi aperti", Err(error)),
        };
        if std::mem::take(&mut self.first) {
            tell("avvisi di ciò che non c'è più", forget_gone(hub, &told).await);
        }
        tell("SEND", outages(hub, &told, now).await);
        tell("partner tecnologici", partner_outages(hub, &told, now).await);
        tell("quote", quotas(hub, &told, now).await);
        tell("dischi", self.disks(hub, &told, now).await);
        tell("depositi attesi", self.silences(hub, &told, now).await);
        tell("rapporto del giorno", daily::nightly(hub, now).await);
    }

    async fn disks(&self, hub: &Hub, told: &[Trouble], now: Timestamp) -> Result<(), StoreError> {
        let settings = hub.settings();
        let mut devices = Vec::new();
        for disk in &self.disks {
            // Folders of one disk are told of once, under the first of them.
            let Some(room) = disk.look().await.filter(|room| !devices.contains(&room.device)) else { continue };
            devices.push(room.device);
            let known = is_told(told, DISK_LOW, &disk.about);
            let notice = |code: &str| {
                let data = Some(json!({ "free_bytes": room.free, "total_bytes": room.total }));
                let source = Some(disk.about.clone()).filter(|about| about != DATA_DISK);
                Notice { code: code.to_owned(), about: disk.about.clone(), source, data, ..Notice::default() }
            };
            match room.judge(&settings.alerts, known) {
                Some(Change::Low) => hub.store.begins(notice(DISK_LOW), None, now).await.map(drop)?,
                Some(Change::Free) => hub.store.ends(DISK_LOW, notice(DISK_FREE), now).await.map(drop)?,
                None => {}
            }
        }
        Ok(())
    }

    async fn silences(&mut self, hub: &Hub, told: &[Trouble], now: Timestamp) -> Result<(), StoreError> {
        let settings = hub.settings();
        if self.begun.elapsed() < self.finding {
            return Ok(()); // what lies in the folders is still being found
        }
        for source in &settings.sources {
            for expected in &source.expected {
                let about = about(source, expected);
                let expectation = expectation(hub, source, expected);
                let Some(deadline) = expectation.last_deadline(now).filter(|_| !is_told(told, SILENT, &about)) else { continue };
                if self.known_since(hub, &about, expected, now).await? >= deadline.at {
                    continue; // it was not expected then
                }
                if !hub.store.has_dropped(&source.name, expected.flow.as_deref(), deadline.from, now).await? {
                    let by = expected.by.strftime("%H:%M").to_string();
                    let data = Some(json!({ "by": by, "day": deadline.day.to_string() }));
                    let notice = Notice { flow: expected.flow.clone(), data, ..Notice::of_source(SILENT, &source.name, &about) };
                    let sender = if let [only] = source.enti.as_slice() { Some(only.clone()) } else { None };
                    hub.store.begins(Notice { sender, ..notice }, None, now).await?;
                }
            }
        }
        Ok(())
    }

    /// Since when this is expected; what was changed in it is expected anew.
    async fn known_since(&mut self, hub: &Hub, about: &str, expected: &Expected, now: Timestamp) -> Result<Timestamp, StoreError> {
        let digest = Sha256::of(format!("{} {:?} {}", expected.by, expected.days, expected.holidays).as_bytes()).to_hex();
        let name = format!("atteso/{about}/{}", digest.get(..16).unwrap_or_default());
        if let Some(since) = self.known.get(&name) {
            return Ok(*since);
        }
        let since = hub.store.known_since(&name, now).await?;
        self.known.insert(name, since);
        Ok(since)
    }
}

fn tell(what: &str, outcome: Result<(), StoreError>) {
    if let Err(error) = outcome {
        tracing::error!(what, %error, "il controllo per gli avvisi non è riuscito");
    }
}

fn is_told(told: &[Trouble], code: &str, about: &str) -> bool {
    told.iter().any(|trouble| trouble.code == code && trouble.about == about)
}

/// What an alert about an expectation is about: the gestionale, or one folder of it.
fn about(source: &SourceSystem, expected: &Expected) -> String {
    match &expected.flow {
        Some(flow) => format!("{}/{flow}", source.name),
        None => source.name.clone(),
    }
}

fn expectation(hub: &Hub, source: &SourceSystem, expected: &Expected) -> Expectation {
    let settings = hub.settings();
    let calendars = source.enti.iter().filter_map(|ente| settings.institution(ente));
    Expectation {
        by: expected.by,
        days: expected.weekdays(),
        holidays: expected.holidays,
        calendars: calendars.map(crate::config::Institution::calendar).collect(),
    }
}

/// Troubles of what is no longer in the configuration end without a word: nothing will ever say that they are over.
async fn forget_gone(hub: &Hub, told: &[Trouble]) -> Result<(), StoreError> {
    let settings = hub.settings();
    let alerts = &settings.alerts;
    let expected =
        |about: &str| settings.sources.iter().any(|source| source.expected.iter().any(|expected| self::about(source, expected) == about));
    for trouble in told {
        let name = trouble.about.as_str();
        let stays = match alert::code(&trouble.code).map(|row| row.kind) {
            Some(AlertKind::Remote | AlertKind::Quota) => settings.institution(name).is_some(),
            Some(AlertKind::Payment) => settings.pt(name.strip_prefix("pt/").unwrap_or(name)).is_some(),
            Some(AlertKind::Stream) => hub.channels.contains_key(name),
            Some(AlertKind::Silent) => expected(name),
            Some(AlertKind::Disk) => {
                (name == DATA_DISK || settings.source(name).is_some()) && (alerts.disk_free_percent > 0 || alerts.disk_free_bytes > 0)
            }
            _ => true,
        };
        if !stays {
            hub.store.forget_trouble(&trouble.code, name).await?;
        }
    }
    Ok(())
}

/// Tells operators of a remote that has been down for long, and of one that is back.
async fn outages(hub: &Hub, told: &[Trouble], now: Timestamp) -> Result<(), StoreError> {
    let settings = hub.settings();
    let minutes = settings.alerts.send_down_minutes;
    for channel in hub.channels.values() {
        let known = is_told(told, DOWN, &channel.sender);
        match channel.remote.weather() {
            Weather::Down { since } if !known && minutes > 0 && now.duration_since(since) >= SignedDuration::from_mins(minutes.into()) => {
                hub.store.trouble_begins(DOWN, &channel.sender, now).await?;
            }
            Weather::Up if known => hub.store.trouble_ends(DOWN, UP, &channel.sender, now).await?,
            _ => {}
        }
    }
    Ok(())
}

/// The same of the PTs.
async fn partner_outages(hub: &Hub, told: &[Trouble], now: Timestamp) -> Result<(), StoreError> {
    let minutes = hub.settings().alerts.send_down_minutes;
    for channel in hub.partners.values() {
        let name = &channel.config.name;
        let known = is_told(told, PT_DOWN, name);
        let notice = |code: &str| Notice { code: code.to_owned(), about: name.clone(), ..Notice::default() };
        match channel.remote.weather() {
            Weather::Down { since } if !known && minutes > 0 && now.duration_since(since) >= SignedDuration::from_mins(minutes.into()) => {
                hub.store.begins(notice(PT_DOWN), None, now).await.map(drop)?;
            }
            Weather::Up if known => hub.store.ends(PT_DOWN, notice(PT_UP), now).await.map(drop)?,
            _ => {}
        }
    }
    Ok(())
}

/// What was used up is free with the next day, or when the limit is another one.
async fn quotas(hub: &Hub, told: &[Trouble], now: Timestamp) -> Result<(), StoreError> {
    let settings = hub.settings();
    let today = hub.day(now);
    let mut free: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for trouble in told {
        let Some(institution) = settings.institution(&trouble.about) else { continue };
        let limit = match trouble.code.as_str() {
            CALLS_SPENT => u64::from(institution.quota.per_day),
            MONEY_SPENT => institution.quota.spend_cents_per_day,
            _ => continue,
        };
        let kept = trouble.data.as_ref();
        let same_day = kept.and_then(|kept| kept.get("day")?.as_str()) == Some(today.as_str());
        if !same_day || kept.and_then(|kept| kept.get("limit")?.as_u64()) != Some(limit) {
            free.entry(&trouble.about).or_default().push(trouble.code.clone());
        }
    }
    for (sender, codes) in free {
        hub.store.quotas_free(sender, codes, now).await?;
    }
    Ok(())
}

/// A folder whose disk is looked at.
struct Disk {
    about: String,
    path: PathBuf,
    /// It was asked and has not answered yet.
    busy: Arc<AtomicBool>,
}

impl Disk {
    /// The room on it. `None`: the folder is away, or hangs.
    async fn look(&self) -> Option<Room> {
        if self.busy.swap(true, Ordering::AcqRel) {
            return None;
        }
        let (tell, told) = oneshot::channel();
        let (path, busy) = (self.path.clone(), self.busy.clone());
        // A thread of its own: one that a dead share holds for ever must not keep the service from stopping.
        let asking = std::thread::Builder::new().name("disk".to_owned()).spawn(move || {
            let _ = tell.send(Room::of(&path));
            busy.store(false, Ordering::Release);
        });
        if asking.is_err() {
            self.busy.store(false, Ordering::Release);
            return None;
        }
        tokio::time::timeout(DISK_PATIENCE, told).await.ok()?.ok()?
    }
}

/// How much room a disk has, bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Room {
    device: u64,
    free: u64,
    total: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Low,
    Free,
}

impl Room {
    fn of(path: &Path) -> Option<Room> {
        let device = rustix::fs::stat(path).ok()?.st_dev;
        let stat = rustix::fs::statvfs(path).ok()?;
        let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
        Some(Room { device, free: bytes(stat.f_bavail), total: bytes(stat.f_blocks) })
    }

    /// Low under a threshold; free again only a fifth above all of them, so that a disk at the edge is not told of all day.
    fn judge(&self, alerts: &Alerts, known: bool) -> Option<Change> {
        let (percent, bytes) = (u64::from(alerts.disk_free_percent), alerts.disk_free_bytes);
        let at_least =
            |percent: u64, bytes: u64| u128::from(self.free) * 100 >= u128::from(self.total) * u128::from(percent) && self.free >= bytes;
        if known {
            at_least((percent + percent.div_ceil(5)).min(99), bytes.saturating_add(bytes / 5)).then_some(Change::Free)
        } else {
            (!at_least(percent, bytes)).then_some(Change::Low)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_low_under_either_threshold_and_free_a_fifth_above_both() {
        let alerts = |disk_free_percent, disk_free_bytes| Alerts { disk_free_percent, disk_free_bytes, ..Alerts::default() };
        let table = [
            (alerts(10, 0), 100, false, None),
            (alerts(10, 0), 99, false, Some(Change::Low)),
            (alerts(10, 0), 110, true, None),
            (alerts(10, 0), 120, true, Some(Change::Free)),
            (alerts(0, 500), 500, false, None),
            (alerts(0, 500), 499, false, Some(Change::Low)),
            (alerts(0, 500), 599, true, None),
            (alerts(0, 500), 600, true, Some(Change::Free)),
            (alerts(10, 500), 450, false, Some(Change::Low)),
            (alerts(90, 0), 985, true, None),
            (alerts(90, 0), 990, true, Some(Change::Free)),
            (alerts(0, 0), 0, false, None),
            (alerts(0, 0), 0, true, Some(Change::Free)),
        ];
        for (alerts, free, known, want) in table {
            assert_eq!(Room { device: 1, free, total: 1_000 }.judge(&alerts, known), want, "{free} {known} {alerts:?}");
        }
        assert!(Room::of(Path::new("/")).is_some_and(|room| room.total > 0 && room.free <= room.total));
        assert_eq!(Room::of(Path::new("/non/esiste")), None);
    }
}
