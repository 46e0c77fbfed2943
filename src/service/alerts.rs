//! What operators are told of because time has passed: SEND that does not answer, quotas that are free again, disks that fill up,
//! gestionali that have not dropped. Each is told once when it begins and once when it ends; the store remembers. What the
//! configuration no longer asks for ends without a word, at the next look: nothing else would ever say that it is over.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::Hub;
use super::channels::Weather;
use super::daily;
use super::exports::LATE;
use super::shares::{self, Word};
use crate::clock::monotonic;
use crate::config::{Alerts, Config, Expected, SourceSystem};
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
/// The folder of a gestionale, on a share as a rule, does not answer.
const FOLDER_SILENT: &str = "CARTELLA_NON_RISPONDE";
const FOLDER_BACK: &str = "CARTELLA_DI_NUOVO_RAGGIUNGIBILE";
const DISK_LOW: &str = "DISCO_QUASI_PIENO";
const DISK_FREE: &str = "DISCO_DI_NUOVO_LIBERO";
/// The last copy that was made is old.
const COPY_OLD: &str = "COPIA_IN_RITARDO";
const COPY_MADE: &str = "COPIA_RIUSCITA";
/// What an alert about copies is about.
const COPIES: &str = "copie";
/// Where no copy was made for so long nobody makes any, or makes them by other means.
const COPIES_SOUGHT: SignedDuration = SignedDuration::from_hours(30 * 24);
/// Orders that are looked through for the last copy.
const COPIES_LOOKED: usize = 1_000;
/// Beside a silence: what was expected.
const EXPECTED: &str = "atteso";
/// A disk that does not answer within this (a share that hangs) is asked again later (real time).
const DISK_PATIENCE: Duration = Duration::from_secs(5);

/// What is watched over while the hub runs.
pub struct Watch {
    begun: Instant,
    /// How long a start takes to find what was dropped before it.
    finding: Duration,
    /// Since when each expectation is known.
    known: BTreeMap<String, Timestamp>,
    /// The settings that were last looked at.
    seen: Option<Arc<Config>>,
}

impl Watch {
    /// Of a hub that starts.
    pub fn new(hub: &Hub) -> Watch {
        let watch = &hub.config.watch;
        Watch {
            begun: monotonic(),
            finding: Duration::from_millis(2 * (watch.settle_ms + watch.scan_ms)),
            known: BTreeMap::new(),
            seen: None,
        }
    }

    /// Looks at everything once. What fails is told in the log, and keeps nothing else from being looked at.
    pub async fn round(&mut self, hub: &Hub, now: Timestamp) {
        let mut told = match hub.store.troubles().await {
            Ok(told) => told,
            Err(error) => return tell("avvisi aperti", Err(error)),
        };
        tell("avvisi di ciò che non c'è più", self.forget_gone(hub, &mut told).await);
        tell("enti e PT fermi", stops(hub, &told, now).await);
        tell("SEND", outages(hub, &told, now).await);
        tell("partner tecnologici", partner_outages(hub, &told, now).await);
        tell("quote", quotas(hub, &told, now).await);
        tell("dischi", disks(hub, &told, now).await);
        tell("cartelle", folders(hub, &told, now).await);
        tell("copie di sicurezza", copies(hub, &told, now).await);
        tell("depositi attesi", self.silences(hub, &told, now).await);
        tell("rapporto del giorno", daily::nightly(hub, now).await);
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
                    // What came since the question was asked counts too.
                    let span = (deadline.from, hub.clock.now().max(now));
                    let kept = json!({ EXPECTED: mark(expected) });
                    hub.store
                        .silence_begins(Notice { sender: only_ente(source), ..notice }, kept, expected.flow.as_deref(), span, now)
                        .await?;
                }
            }
        }
        Ok(())
    }

    /// Takes away troubles of what the settings no longer ask for, and forgets since when that was expected: put back, it is expected anew.
    async fn forget_gone(&mut self, hub: &Hub, told: &mut Vec<Trouble>) -> Result<(), StoreError> {
        let settings = hub.settings();
        if !self.seen.as_ref().is_some_and(|seen| Arc::ptr_eq(seen, &settings)) {
            let every = settings.sources.iter().flat_map(|source| source.expected.iter().map(move |expected| (source, expected)));
            let names: BTreeSet<String> = every.map(|(source, expected)| known_name(&about(source, expected), expected)).collect();
            hub.store.forget_known(EXPECTED, names.clone()).await?;
            self.known.retain(|name, _| names.contains(name));
            self.seen = Some(settings.clone());
        }
        for trouble in told.extract_if(.., |trouble| !stays(hub, &settings, trouble)) {
            hub.store.forget_trouble(&trouble.code, &trouble.about).await?;
        }
        Ok(())
    }

    /// Since when this is expected; what was changed in it is expected anew.
    async fn known_since(&mut self, hub: &Hub, about: &str, expected: &Expected, now: Timestamp) -> Result<Timestamp, StoreError> {
        let name = known_name(about, expected);
        // One later than now is of a clock that was ahead: the store has put it right.
        if let Some(since) = self.known.get(&name).filter(|since| **since <= now) {
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

/// The ente of a gestionale that sends for no other: its operators are told.
fn only_ente(source: &SourceSystem) -> Option<String> {
    if let [only] = source.enti.as_slice() { Some(only.clone()) } else { None }
}

/// What an alert about an expectation is about: the gestionale, or one folder of it.
fn about(source: &SourceSystem, expected: &Expected) -> String {
    match &expected.flow {
        Some(flow) => format!("{}/{flow}", source.name),
        None => source.name.clone(),
    }
}

/// What of an expectation, when it changes, makes another of it.
fn mark(expected: &Expected) -> String {
    let digest = Sha256::of(format!("{} {:?} {}", expected.by, expected.days, expected.holidays).as_bytes()).to_hex();
    digest.get(..16).unwrap_or_default().to_owned()
}

/// Under which it is remembered since when it is expected.
fn known_name(about: &str, expected: &Expected) -> String {
    format!("{EXPECTED}/{about}/{}", mark(expected))
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

/// Whether the settings still ask for what a trouble is about.
fn stays(hub: &Hub, settings: &Config, trouble: &Trouble) -> bool {
    let (name, alerts) = (trouble.about.as_str(), &settings.alerts);
    match alert::code(&trouble.code).map(|row| row.kind) {
        _ if trouble.code == COPY_OLD => alerts.backup_hours > 0,
        _ if trouble.code == FOLDER_SILENT => settings.source(name).is_some(),
        _ if trouble.code == LATE => settings.source(name).is_some_and(|source| source.export.attiva),
        Some(AlertKind::Remote | AlertKind::Quota) => settings.institution(name).is_some(),
        Some(AlertKind::Payment | AlertKind::Key) => is_configured(settings, name),
        Some(AlertKind::Stream) => hub.channels.contains_key(name),
        Some(AlertKind::Silent) => {
            let kept = trouble.data.as_ref().and_then(|data| data.get(EXPECTED)?.as_str());
            let mut expected = settings.sources.iter().flat_map(|source| source.expected.iter().map(move |expected| (source, expected)));
            // What was changed is expected anew, and was not missed yet.
            expected.any(|(source, expected)| about(source, expected) == name && kept.is_none_or(|kept| kept == mark(expected)))
        }
        Some(AlertKind::Disk) => {
            (name == DATA_DISK || settings.source(name).is_some()) && (alerts.disk_free_percent > 0 || alerts.disk_free_bytes > 0)
        }
        _ => true,
    }
}

/// Whether the PT, or the ente of a key, that `channel` names is in the settings. An ente stands still under a key that was taken
/// away too.
fn is_configured(settings: &Config, channel: &str) -> bool {
    match channel.split_once('/') {
        Some(("pt", pt)) => settings.pt(pt).is_some(),
        Some((sender, _)) => settings.institution(sender).is_some(),
        None => settings.pt(channel).is_some(),
    }
}

/// Looks at the disk of the data and at those of the folders of gestionali, each by a thread of its own.
async fn disks(hub: &Hub, told: &[Trouble], now: Timestamp) -> Result<(), StoreError> {
    let settings = hub.settings();
    let of_sources = settings.sources.iter().map(|source| (source.name.as_str(), source.root.as_path()));
    let mut devices = Vec::new();
    for (about, path) in std::iter::once((DATA_DISK, hub.config.data.as_path())).chain(of_sources) {
        let path = path.to_owned();
        let ours = about == DATA_DISK;
        let looked = shares::look(hub, about, DISK_PATIENCE, move || (Room::of(&path), ours || path.join("in").is_dir()));
        let Some(room) = looked.await.flatten() else { continue };
        let known = is_told(told, DISK_LOW, about);
        if devices.contains(&room.device) {
            // Folders of one disk are told of once, under the first of them; it may have had a disk of its own before.
            if known {
                hub.store.forget_trouble(DISK_LOW, about).await?;
            }
            continue;
        }
        devices.push(room.device);
        let notice = |code: &str| {
            let data = Some(json!({ "free_bytes": room.free, "total_bytes": room.total }));
            let source = Some(about.to_owned()).filter(|about| about != DATA_DISK);
            Notice { code: code.to_owned(), about: about.to_owned(), source, data, ..Notice::default() }
        };
        match room.judge(&settings.alerts, known) {
            Some(Change::Low) => hub.store.begins(notice(DISK_LOW), None, now).await.map(drop)?,
            Some(Change::Free) => hub.store.ends(DISK_LOW, notice(DISK_FREE), now).await.map(drop)?,
            None => {}
        }
    }
    Ok(())
}

/// Tells operators of a folder of a gestionale that has not answered for long, and of one that does again: what was heard of it while
/// somebody worked there or looked at its disk. After a start nothing is known of it until then.
async fn folders(hub: &Hub, told: &[Trouble], now: Timestamp) -> Result<(), StoreError> {
    let settings = hub.settings();
    let minutes = settings.alerts.send_down_minutes;
    let patience = Duration::from_secs(60 * u64::from(minutes));
    for source in &settings.sources {
        let known = is_told(told, FOLDER_SILENT, &source.name);
        let notice = |code: &str| Notice { sender: only_ente(source), ..Notice::of_source(code, &source.name, &source.name) };
        match hub.shares.word(&source.name) {
            Word::Silent(span) if !known && minutes > 0 && span >= patience => {
                hub.store.begins(notice(FOLDER_SILENT), None, now).await.map(drop)?;
            }
            Word::Answers if known => hub.store.ends(FOLDER_SILENT, notice(FOLDER_BACK), now).await.map(drop)?,
            _ => {}
        }
    }
    Ok(())
}

/// Copies were made, and have not been for long: whoever makes them (a timer, cron) has nobody who looks.
async fn copies(hub: &Hub, told: &[Trouble], now: Timestamp) -> Result<(), StoreError> {
    let hours = hub.settings().alerts.backup_hours;
    if hours == 0 {
        return Ok(());
    }
    let since = now.checked_sub(COPIES_SOUGHT).unwrap_or(Timestamp::UNIX_EPOCH);
    let orders = hub.store.orders((since, now), None, Some("backup"), COPIES_LOOKED).await?;
    let made = orders.iter().filter(|order| order.outcome.as_deref() == Some("OK")).filter_map(|order| order.ended_at).max();
    let Some(made) = made else { return Ok(()) };
    let known = is_told(told, COPY_OLD, COPIES);
    let notice = |code: &str| Notice { code: code.to_owned(), about: COPIES.to_owned(), ..Notice::default() };
    match now.duration_since(made) >= SignedDuration::from_hours(hours.into()) {
        true if !known => hub.store.begins(notice(COPY_OLD), None, now).await.map(drop),
        false if known => hub.store.ends(COPY_OLD, notice(COPY_MADE), now).await.map(drop),
        _ => Ok(()),
    }
}

/// Stops outlive what they stop: who comes back into the configuration still stands still, and that is told anew.
async fn stops(hub: &Hub, told: &[Trouble], now: Timestamp) -> Result<(), StoreError> {
    let settings = hub.settings();
    for (channel, code, _) in hub.store.stopped_channels().await? {
        if is_configured(&settings, &channel) && !is_told(told, &code, &channel) {
            hub.store.tell_stop(&channel, now).await?;
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

/// The same of the PTs. One that was taken away answers nobody any more.
async fn partner_outages(hub: &Hub, told: &[Trouble], now: Timestamp) -> Result<(), StoreError> {
    let settings = hub.settings();
    let minutes = settings.alerts.send_down_minutes;
    for channel in hub.partners.values().filter(|channel| settings.pt(&channel.config.name).is_some()) {
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
    /// `None`: the folder is away.
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
    use crate::clock::Clock;
    use crate::config;
    use crate::service::supervisor;
    use crate::service::tests::{House, SOURCE};
    use crate::store::OrderLine;

    const DROPS: &str =
        "atteso = [{ by = \"07:00\", days = [\"lun\", \"mar\", \"mer\", \"gio\", \"ven\", \"sab\", \"dom\"], holidays = true }]\n";

    impl House {
        /// As a reload does it.
        fn reload(&self, change: impl FnOnce(&mut Config)) {
            let mut config = Config::clone(&self.hub.settings());
            change(&mut config);
            self.hub.settings.put(config);
        }

        async fn open(&self) -> Vec<String> {
            self.hub.store.troubles().await.unwrap().into_iter().map(|trouble| trouble.code).collect()
        }
    }

    /// A service whose tasks do not run, and who looks over it, days at a time.
    fn watched(house: &House) -> (Watch, impl Fn(i64) -> Timestamp + use<>) {
        let watch = Watch { finding: Duration::ZERO, ..Watch::new(&house.hub) };
        let begun = house.hub.clock.now();
        (watch, move |hours| begun + SignedDuration::from_hours(hours))
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn copies_that_are_no_longer_made_are_told_once_and_their_end_too() {
        let house = House::with("", "");
        let (mut watch, at) = watched(&house);
        let order = |outcome: &'static str, hours: i64| {
            let line = OrderLine { who: "messo".to_owned(), command: "backup".to_owned(), about: "{}".to_owned(), why: None };
            let (store, at) = (house.hub.store.clone(), at(hours));
            async move {
                let id = store.note_order(line, at).await.unwrap();
                store.note_outcome(id, outcome, at).await.unwrap();
            }
        };
        watch.round(&house.hub, at(100)).await;
        order("DISCO_PIENO", 100).await;
        watch.round(&house.hub, at(200)).await;
        assert_eq!(house.open().await, Vec::<String>::new(), "no copy was ever made");
        order("OK", 200).await;
        order("DISCO_PIENO", 240).await;
        watch.round(&house.hub, at(247)).await;
        assert_eq!(house.open().await, Vec::<String>::new());
        for hours in [248, 250] {
            watch.round(&house.hub, at(hours)).await;
            assert_eq!((house.open().await, house.told(COPY_OLD).await), (vec![COPY_OLD.to_owned()], 1), "{hours}");
        }
        order("OK", 251).await;
        watch.round(&house.hub, at(252)).await;
        assert_eq!((house.open().await, house.told(COPY_MADE).await), (vec![], 1));
        // Switched off while it lasts: forgotten without a word.
        watch.round(&house.hub, at(300)).await;
        assert_eq!(house.told(COPY_OLD).await, 2);
        house.reload(|config| config.alerts.backup_hours = 0);
        watch.round(&house.hub, at(301)).await;
        assert_eq!((house.open().await, house.told(COPY_MADE).await), (vec![], 1));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_silence_ends_with_the_expectation_and_what_comes_back_is_expected_anew() {
        type Change = fn(&mut Config);
        let table: [(&str, Change); 3] = [
            ("taken away", |config| config.sources[0].expected.clear()),
            ("another hour", |config| config.sources[0].expected[0].by = "08:00".parse().unwrap()),
            ("of a folder", |config| config.sources[0].expected[0].flow = Some("ordinanze".to_owned())),
        ];
        for (what, change) in table {
            let house = House::with("", DROPS);
            let as_it_was = Config::clone(&house.hub.settings());
            let (mut watch, at) = watched(&house);
            watch.round(&house.hub, at(0)).await;
            assert_eq!(house.open().await, Vec::<String>::new(), "{what}: known since now");
            watch.round(&house.hub, at(49)).await;
            assert_eq!(house.open().await, [SILENT], "{what}");
            // No restart, and no other settings meanwhile.
            house.reload(change);
            watch.round(&house.hub, at(49)).await;
            assert_eq!(house.open().await, Vec::<String>::new(), "{what}");
            // As it was: expected from here on, not of the days in between.
            house.hub.settings.put(as_it_was);
            watch.round(&house.hub, at(50)).await;
            assert_eq!((house.open().await, house.told(SILENT).await), (vec![], 1), "{what}");
            watch.round(&house.hub, at(50 + 49)).await;
            assert_eq!((house.open().await, house.told(SILENT).await), (vec![SILENT.to_owned()], 2), "{what}");
            assert_eq!(house.told("GESTIONALE_DI_NUOVO_ATTIVO").await, 0, "{what}: nobody dropped");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn troubles_go_with_the_settings_that_asked_for_them_at_the_next_look() {
        const PT: &str = "[[pt]]\nname = \"regione\"\nkind = \"non_gestito\"\n";
        type Change = fn(&mut Config);
        // Code, about, what is changed while the service runs. Each is kept before.
        let table: [(&str, &str, Change); 6] = [
            ("RENDICONTAZIONE_IN_RITARDO", SOURCE, |config| config.sources[0].export.attiva = false),
            (PT_DOWN, "regione", |config| config.pts.clear()),
            ("PT_RIFIUTA_LE_CREDENZIALI", "pt/regione", |config| config.pts.clear()),
            ("CHIAVE_RIFIUTATA", "01234567897/generale", |config| config.institutions.clear()),
            (DOWN, "01234567897", |config| config.institutions.clear()),
            (CALLS_SPENT, "01234567897", |config| config.institutions.clear()),
        ];
        for (code, about, change) in table {
            let house = House::with("", PT);
            let (mut watch, at) = watched(&house);
            let kept = json!({ "day": house.hub.day(at(0)), "limit": house.hub.settings().institutions[0].quota.per_day });
            let notice = Notice { code: code.to_owned(), about: about.to_owned(), ..Notice::default() };
            house.hub.store.begins(notice, Some(kept), at(0)).await.unwrap();
            for _ in 0..2 {
                watch.round(&house.hub, at(0)).await;
                assert_eq!(house.open().await, [code], "{code} lasts");
            }
            house.reload(change);
            watch.round(&house.hub, at(0)).await;
            assert_eq!((house.open().await, house.told(code).await), (vec![], 1), "{code}");
        }
    }

    /// The stop of a PT that was taken away goes on: when the PT comes back it is told anew, and ends with the order.
    #[tokio::test(flavor = "multi_thread")]
    async fn who_comes_back_and_still_stands_still_is_told_anew() {
        let house = House::with("", "[[pt]]\nname = \"regione\"\nkind = \"non_gestito\"\n");
        let as_it_was = Config::clone(&house.hub.settings());
        let (mut watch, at) = watched(&house);
        let code = "PT_RIFIUTA_LE_CREDENZIALI";
        house.hub.store.stop_channel("pt/regione", code, at(0)).await.unwrap();
        for _ in 0..3 {
            watch.round(&house.hub, at(0)).await;
        }
        assert_eq!((house.open().await, house.told(code).await), (vec![code.to_owned()], 1));
        house.reload(|config| config.pts.clear());
        for _ in 0..2 {
            watch.round(&house.hub, at(1)).await;
            assert_eq!((house.open().await, house.told(code).await), (vec![], 1));
        }
        house.hub.settings.put(as_it_was);
        for _ in 0..2 {
            watch.round(&house.hub, at(2)).await;
            assert_eq!((house.open().await, house.told(code).await), (vec![code.to_owned()], 2));
        }
        house.hub.store.resume_channel_by("pt/regione", "op", "", at(3)).await.unwrap();
        watch.round(&house.hub, at(3)).await;
        assert_eq!((house.open().await, house.told("PT_ACCETTA_LE_CREDENZIALI").await), (vec![], 1));
    }

    /// The folder hangs for who works there, for who looks, or is gone; it is told once, over a restart too, and so is its end.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_folder_that_does_not_answer_is_told_once_and_its_end_too() {
        const LONG: Duration = Duration::from_secs(15 * 60);
        let mut house = House::new();
        let folder = house.dir.path().join("casa/in");
        std::fs::create_dir_all(&folder).unwrap();
        let (mut watch, at) = watched(&house);
        watch.round(&house.hub, at(0)).await;
        assert_eq!(house.hub.shares.word(SOURCE), Word::Answers);
        let begins = house.hub.shares.silent_for(SOURCE, LONG - Duration::from_secs(60));
        watch.round(&house.hub, at(0)).await;
        assert_eq!((house.open().await, house.told(FOLDER_SILENT).await), (vec![], 0), "not for long enough");
        drop(begins);
        let hung = house.hub.shares.silent_for(SOURCE, LONG);
        for hours in [0, 1] {
            watch.round(&house.hub, at(hours)).await;
            assert_eq!((house.open().await, house.told(FOLDER_SILENT).await), (vec![FOLDER_SILENT.to_owned()], 1), "{hours}");
        }
        drop(hung);
        // A restart: the folder is not there yet, and nobody has heard from it.
        std::fs::rename(&folder, folder.with_extension("via")).unwrap();
        house.hub.store.close();
        let House { dir, hub } = house;
        drop((watch, hub));
        let hub = supervisor::open(config::load(&dir.path().join("messo.toml")).unwrap(), Clock::REAL).unwrap();
        house = House { dir, hub };
        assert_eq!(house.hub.shares.word(SOURCE), Word::Unknown);
        let (mut watch, at) = watched(&house);
        watch.round(&house.hub, at(0)).await;
        assert!(matches!(house.hub.shares.word(SOURCE), Word::Silent(_)));
        assert_eq!((house.open().await, house.told(FOLDER_SILENT).await), (vec![FOLDER_SILENT.to_owned()], 1));
        std::fs::rename(folder.with_extension("via"), &folder).unwrap();
        for _ in 0..2 {
            watch.round(&house.hub, at(0)).await;
            assert_eq!((house.open().await, house.told(FOLDER_BACK).await), (vec![], 1));
        }
        let told = house.hub.store.alerts(Timestamp::UNIX_EPOCH, 100).await.unwrap();
        let of = |code: &str| told.iter().find(|told| told.code == code).map(|told| (told.sender.clone(), told.source.clone()));
        let polizia = Some((Some("01234567897".to_owned()), Some(SOURCE.to_owned())));
        assert_eq!((of(FOLDER_SILENT), of(FOLDER_BACK)), (polizia.clone(), polizia));
    }

    /// Who looks hangs on a thread of its own: the round goes on, and what is taken away is forgotten.
    #[tokio::test(flavor = "multi_thread")]
    async fn the_look_at_a_folder_that_hangs_keeps_nobody_waiting() {
        let house = House::new();
        std::fs::create_dir_all(house.dir.path().join("casa/in")).unwrap();
        let (mut watch, at) = watched(&house);
        house.hub.shares.hung.lock().unwrap().insert(SOURCE.to_owned());
        let begun = monotonic();
        for _ in 0..3 {
            watch.round(&house.hub, at(0)).await;
        }
        assert!(begun.elapsed() < 3 * DISK_PATIENCE, "waited for once");
        assert!(!house.hub.shares.hangs(SOURCE), "who has work there is not kept from it");
        assert_eq!(house.hub.shares.word(SOURCE), Word::Unknown);
        house.hub.shares.hung.lock().unwrap().clear();
        while house.hub.shares.word(SOURCE) != Word::Answers {
            assert!(begun.elapsed() < Duration::from_secs(60), "the look has ended");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        house.hub.store.begins(Notice::of_source(FOLDER_SILENT, "andato", "andato"), None, at(0)).await.unwrap();
        watch.round(&house.hub, at(0)).await;
        assert_eq!((house.open().await, house.told(FOLDER_BACK).await), (vec![], 0), "of a gestionale that is no more");
    }

    /// A gestionale that comes with a reload has its disk looked at too; with no threshold nothing is low.
    #[tokio::test(flavor = "multi_thread")]
    async fn disks_are_those_of_the_settings_of_now() {
        let house = House::new();
        let (mut watch, at) = watched(&house);
        house.reload(|config| {
            config.alerts = Alerts { disk_free_percent: 0, disk_free_bytes: u64::MAX / 4, ..Alerts::default() };
            // On a disk of its own, wherever this runs.
            let mut other = config.sources[0].clone();
            (other.name, other.root) = ("anagrafe".to_owned(), Path::new("/proc").to_owned());
            config.sources.push(other);
        });
        watch.round(&house.hub, at(0)).await;
        let low: Vec<String> = house.hub.store.troubles().await.unwrap().into_iter().map(|trouble| trouble.about).collect();
        assert_eq!(low, ["anagrafe", DATA_DISK]);
        // It has moved to the disk of the data: told of under that name alone.
        house.reload(|config| config.sources[1].root = config.sources[0].root.clone());
        watch.round(&house.hub, at(1)).await;
        assert_eq!((house.open().await.len(), house.told(DISK_LOW).await, house.told(DISK_FREE).await), (1, 2, 0));
        house.reload(|config| config.alerts.disk_free_bytes = 0);
        watch.round(&house.hub, at(2)).await;
        assert_eq!((house.open().await.len(), house.told(DISK_FREE).await), (0, 0), "nobody asks any more");
    }

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
