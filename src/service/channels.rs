//! One channel per (ente, API key): its connector and stream. Keys of one ente share its quota and its circuit: the remote that
//! does not answer one of them answers none.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;

use crate::clock::Clock;
use crate::config::secret::{Secret, SecretError};
use crate::config::{Config, Institution, Quota};
use crate::connectors::circuit::{Admission, Circuit, CircuitPolicy};
use crate::connectors::http::{self, HttpSettings, HttpSetupError};
use crate::connectors::pnd::{DayQuota, Governor, Pnd, PndSettings, PndSetupError, Priority, Timeouts, VoucherSettings};
use crate::connectors::pt::PtSetupError;
use crate::store::{Store, StoreError};
use crate::telemetry::metrics::Calls;

use super::Hub;

/// Why a channel cannot be made: the configuration is at fault.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    #[error("{channel}: {error}")]
    Secret { channel: String, error: SecretError },
    #[error("{channel}: {error}")]
    Connector { channel: String, error: PndSetupError },
    #[error("{channel}: {error}")]
    Partner { channel: String, error: PtSetupError },
    #[error(transparent)]
    Http(#[from] HttpSetupError),
}

/// Calls of one ente under one key.
pub struct Channel {
    /// `ente/key`.
    pub name: String,
    pub sender: String,
    pub denomination: String,
    /// Sorted, each once.
    pub groups: Vec<String>,
    pub pnd: Pnd,
    pub quota: Quota,
    pub remote: Arc<Remote>,
    governor: Arc<Governor>,
    made_of: MadeOf,
    /// The stream is active: nothing is POSTed before.
    pub listening: AtomicBool,
    /// The stream has more to tell at once.
    pub behind: AtomicBool,
}

/// What a channel was made of: when it changes, another channel takes its place.
#[derive(PartialEq, Eq)]
struct MadeOf {
    url: String,
    denomination: String,
    quota: Quota,
    groups: Vec<String>,
    api_key: Secret,
    voucher: Option<VoucherSettings>,
}

/// SEND as one ente meets it.
pub struct Remote {
    state: Mutex<Health>,
}

struct Health {
    circuit: Circuit,
    /// When the circuit opened.
    down_since: Option<Timestamp>,
    /// It has answered since the start.
    answered: bool,
}

/// How a remote is, as far as operators should know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weather {
    Up,
    Down {
        since: Timestamp,
    },
    /// Nobody has called yet.
    Unknown,
}

impl Default for Remote {
    fn default() -> Remote {
        Remote { state: Mutex::new(Health { circuit: Circuit::new(CircuitPolicy::default()), down_since: None, answered: false }) }
    }
}

impl Remote {
    /// Until when calls are held back, if they are.
    pub fn held_until(&self, now: Timestamp) -> Option<Timestamp> {
        match self.lock().circuit.admit(now) {
            Admission::Pass | Admission::Probe => None,
            Admission::Wait(until) => Some(until),
        }
    }

    /// Takes the result of a call. True: the remote has just gone down or come back.
    pub fn report(&self, outage: bool, now: Timestamp) -> bool {
        let mut health = self.lock();
        let changed = health.circuit.report(now, outage);
        if changed {
            health.down_since = outage.then_some(now);
        }
        health.answered |= !outage;
        changed
    }

    /// How it is.
    pub fn weather(&self) -> Weather {
        let health = self.lock();
        match health.down_since {
            Some(since) => Weather::Down { since },
            None if health.answered => Weather::Up,
            None => Weather::Unknown,
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Health> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The code of a key that SEND refuses: with it not even the stream is read. Under the other stops what is at SEND is followed.
pub const KEY_REFUSED: &str = "CHIAVE_RIFIUTATA";

/// SEND refuses the sender: its ente stops, its acts are parked.
pub async fn stop(hub: &Hub, channel: &str, code: &str) -> Result<(), StoreError> {
    let now = hub.clock.now();
    hub.store.stop_channel(channel, code, now).await?;
    while hub.store.follow_stops(now).await? {}
    hub.publish.notify_one();
    Ok(())
}

/// Channels by `ente/key`.
pub type Channels = BTreeMap<String, Arc<Channel>>;

/// Makes the channels of every key of every ente. Of those that run, the ones that would be made of the same things stay as they
/// are, and the others hand over what they know of the ente (its circuit; its bucket, when the limits are the same).
pub fn build(config: &Config, running: &Channels, store: &Store, clock: Clock, calls: &Arc<Calls>) -> Result<Channels, ChannelError> {
    let loopback_only = config.institutions.iter().all(|institution| is_loopback(&institution.send_url));
    let client = http::client(&HttpSettings { loopback_only, ..HttpSettings::default() })?;
    let mut channels = BTreeMap::new();
    for institution in &config.institutions {
        let before = || running.values().filter(|channel| channel.sender == institution.tax_id);
        let remote = before().next().map_or_else(Arc::default, |before| before.remote.clone());
        let governor = match before().find(|before| before.quota == institution.quota) {
            Some(before) => before.governor.clone(),
            None => Arc::new(governor(institution, store, clock)),
        };
        for key in &institution.keys {
            let name = format!("{}/{}", institution.tax_id, key.id);
            let secret = |reference: &crate::config::SecretRef| {
                reference.resolve().map_err(|error| ChannelError::Secret { channel: name.clone(), error })
            };
            let voucher = match &key.pdnd {
                Some(client) => Some(VoucherSettings {
                    token_url: client.token_url.clone(),
                    client_id: client.client_id.clone(),
                    kid: client.kid.clone(),
                    purpose_id: client.purpose_id.clone(),
                    audience: client.audience.clone(),
                    private_key: secret(&client.private_key)?,
                }),
                None => None,
            };
            let groups: BTreeSet<String> = key.groups.iter().cloned().collect();
            let made_of = MadeOf {
                url: institution.send_url.clone(),
                denomination: institution.denomination.clone(),
                quota: institution.quota.clone(),
                groups: groups.into_iter().collect(),
                api_key: secret(&key.secret)?,
                voucher,
            };
            if let Some(same) = running.get(&name).filter(|running| running.made_of == made_of) {
                channels.insert(name, same.clone());
                continue;
            }
            let settings = PndSettings {
                label: name.clone(),
                base_url: made_of.url.clone(),
                api_key: made_of.api_key.clone(),
                voucher: made_of.voucher.clone(),
                timeouts: Timeouts::default(),
                governor: governor.clone(),
                clock,
            };
            let pnd = Pnd::measured(settings, client.clone(), calls.clone());
            let pnd = pnd.map_err(|error| ChannelError::Connector { channel: name.clone(), error })?;
            let channel = Channel {
                name: name.clone(),
                sender: institution.tax_id.clone(),
                denomination: made_of.denomination.clone(),
                groups: made_of.groups.clone(),
                pnd,
                quota: made_of.quota.clone(),
                remote: remote.clone(),
                governor: governor.clone(),
                made_of,
                listening: AtomicBool::new(false),
                behind: AtomicBool::new(false),
            };
            channels.insert(name, Arc::new(channel));
        }
    }
    Ok(channels)
}

fn governor(institution: &Institution, store: &Store, clock: Clock) -> Governor {
    let quota = &institution.quota;
    let day: Option<Arc<dyn DayQuota>> = (quota.per_day > 0).then(|| {
        let counter = DurableDay {
            store: store.clone(),
            clock,
            sender: institution.tax_id.clone(),
            limit: quota.per_day,
            left: AtomicU32::new(0),
            day: Mutex::new(String::new()),
            told: Mutex::new(String::new()),
        };
        Arc::new(counter) as Arc<dyn DayQuota>
    });
    Governor::new(quota.per_second, quota.burst, day)
}

/// Whether a URL stays on this machine.
pub fn is_loopback(url: &str) -> bool {
    let host = url.split("://").nth(1).unwrap_or(url).split(['/', ':']).next().unwrap_or_default();
    host == "localhost" || host.starts_with("127.") || url.contains("://[::1]")
}

/// The day's requests, counted in the store by blocks: a crash wastes at most one block, and never forgets a request.
struct DurableDay {
    store: Store,
    clock: Clock,
    sender: String,
    limit: u32,
    left: AtomicU32,
    day: Mutex<String>,
    /// The day of which operators were told that it is used up.
    told: Mutex<String>,
}

/// Requests reserved at a time.
const BLOCK: u32 = 100;
/// Kept for follow-ups: what is at SEND is never left unheard because of new sends.
const RESERVE_PERCENT: u32 = 5;

#[async_trait]
impl DayQuota for DurableDay {
    async fn take(&self, n: u32, priority: Priority) -> bool {
        let today = super::rome(self.clock.now()).date().to_string();
        {
            let mut day = self.day.lock().unwrap_or_else(PoisonError::into_inner);
            if *day != today {
                *day = today.clone();
                self.left.store(0, Ordering::Relaxed);
            }
        }
        let take = |left: u32| left.checked_sub(n);
        if self.left.fetch_update(Ordering::AcqRel, Ordering::Acquire, take).is_ok() {
            return true;
        }
        let limit = match priority {
            Priority::FollowUp => self.limit,
            Priority::NewSend => self.limit - self.limit * RESERVE_PERCENT / 100,
        };
        let block = BLOCK.max(n);
        match self.store.reserve_calls(&self.sender, &today, block, limit).await {
            Ok(true) => {
                self.left.fetch_add(block - n, Ordering::AcqRel);
                true
            }
            // The last requests of the day one by one.
            Ok(false) => {
                let left = self.store.reserve_calls(&self.sender, &today, n, limit).await.unwrap_or(false);
                if !left {
                    self.tell_spent(&today).await;
                }
                left
            }
            Err(error) => {
                tracing::error!(%error, "the day's requests cannot be counted");
                false
            }
        }
    }
}

impl DurableDay {
    /// Told by the store once a day; asked of it once a day by each run.
    async fn tell_spent(&self, today: &str) {
        if *self.told.lock().unwrap_or_else(PoisonError::into_inner) == today {
            return;
        }
        match self.store.calls_spent(&self.sender, today, self.limit, self.clock.now()).await {
            Ok(()) => today.clone_into(&mut self.told.lock().unwrap_or_else(PoisonError::into_inner)),
            Err(error) => tracing::error!(%error, "un avviso non può essere salvato"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two enti, the first with two keys; what their secrets are.
    fn config(dir: &std::path::Path, secrets: [&str; 3], per_day: u32) -> Config {
        let ente = |tax_id: &str, per_day: u32| {
            format!(
                "[[ente]]\ntax_id = \"{tax_id}\"\ndenomination = \"E\"\nambiente = \"collaudo\"\nsend_url = \"http://127.0.0.1:9\"\n\
                 quota = {{ per_day = {per_day} }}\n"
            )
        };
        let key = |id: &str, secret: &str| {
            let path = dir.join(secret);
            std::fs::write(&path, secret).unwrap();
            format!("[[ente.key]]\nid = \"{id}\"\nsecret = \"file:{}\"\n", path.display())
        };
        let [a, b, c] = secrets;
        let text =
            ["data = \"d\"\ninstallation = \"i\"\n".to_owned(), ente("1", per_day), key("a", a), key("b", b), ente("2", 10), key("c", c)];
        toml::from_str(&text.concat()).unwrap()
    }

    #[tokio::test]
    async fn only_what_changed_is_made_anew_and_an_ente_has_one_circuit_and_one_bucket() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let build = |secrets, per_day, running: &Channels| {
            build(&config(dir.path(), secrets, per_day), running, &store, Clock::REAL, &Arc::default()).unwrap()
        };
        let first = build(["s1", "s2", "s3"], 100, &BTreeMap::new());
        let same = |other: &Channels, name: &str| Arc::ptr_eq(&first[name], &other[name]);
        let again = build(["s1", "s2", "s3"], 100, &first);
        assert!(first.keys().all(|name| same(&again, name)));
        // Another secret under the same reference's name.
        let secret = build(["s1", "s9", "s3"], 100, &first);
        assert_eq!([same(&secret, "1/a"), same(&secret, "1/b"), same(&secret, "2/c")], [true, false, true]);
        assert!(Arc::ptr_eq(&secret["1/a"].remote, &secret["1/b"].remote) && Arc::ptr_eq(&secret["1/a"].governor, &secret["1/b"].governor));
        // Other limits: both keys anew, under one new bucket; what is known of the remote stays.
        let limits = build(["s1", "s2", "s3"], 200, &first);
        assert_eq!([same(&limits, "1/a"), same(&limits, "1/b"), same(&limits, "2/c")], [false, false, true]);
        assert!(Arc::ptr_eq(&limits["1/a"].governor, &limits["1/b"].governor));
        assert!(!Arc::ptr_eq(&limits["1/a"].governor, &first["1/a"].governor));
        assert!(Arc::ptr_eq(&limits["1/b"].remote, &first["1/a"].remote));
        // A secret that is not there: nothing is made.
        let mut broken = config(dir.path(), ["s1", "s2", "s3"], 100);
        broken.institutions[0].keys[0].secret.0 = "file:/non/esiste".to_owned();
        let refused = super::build(&broken, &first, &store, Clock::REAL, &Arc::default());
        assert!(matches!(refused, Err(ChannelError::Secret { channel, .. }) if channel == "1/a"));
    }
}
