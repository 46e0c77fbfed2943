//! The configuration, read again while the hub runs (SIGHUP). All or nothing: a file that is wrong leaves everything as it was, and
//! is told.
//!
//! At once: accounts, flows, alerts, limits, new gestionali and enti, new and changed keys, permissions. After a restart only, and
//! told each time: what is open (folders, listeners), what was taken away, and what would send acts under way elsewhere. Until
//! then an ente or gestionale that was taken away is followed and watched as before; its SFTP account is closed at once, and nobody
//! expects drops of it any more.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::channels::{self, Channel, ChannelError};
use super::positions::partners;
use super::supervisor::Running;
use super::{Hub, door, publish, streams};
use crate::config::folders::real;
use crate::config::{self, Config, LoadedConfig, SourceSystem, check_clock};
use crate::intake::arrivals::Arrivals;
use crate::intake::watch::Root;
use crate::text::it::{self, service as words};

/// A configuration as it can hold in a hub that runs another one.
#[derive(Debug)]
pub struct Merged {
    pub config: Config,
    /// What waits for a restart, in Italian.
    pub waiting: Vec<String>,
}

/// What of `wanted` can hold while `running` runs. What is not named here holds at once.
#[must_use]
pub fn merge(running: &Config, wanted: Config) -> Merged {
    let mut waiting = Vec::new();
    let mut next = wanted;
    for (key, changed) in [
        ("data", next.data != running.data),
        ("installation", next.installation != running.installation),
        ("control", next.control != running.control),
        ("watch", next.watch != running.watch),
        ("sftp", next.sftp != running.sftp),
        ("salute", next.health != running.health),
        ("rest", next.rest != running.rest),
    ] {
        if changed {
            waiting.push(words::key_changed(key));
        }
    }
    next.data.clone_from(&running.data);
    next.installation.clone_from(&running.installation);
    next.control.clone_from(&running.control);
    next.watch = running.watch.clone();
    next.sftp.clone_from(&running.sftp);
    next.health.clone_from(&running.health);
    next.rest.clone_from(&running.rest);
    merge_enti(running, &mut next, &mut waiting);
    merge_sources(running, &mut next, &mut waiting);
    Merged { config: next, waiting }
}

fn merge_enti(running: &Config, next: &mut Config, waiting: &mut Vec<String>) {
    for old in &running.institutions {
        match next.institutions.iter_mut().find(|new| new.tax_id == old.tax_id) {
            None => {
                waiting.push(words::ente_removed(&old.tax_id));
                next.institutions.push(old.clone());
            }
            // What is at one SEND would be looked for at another.
            Some(new) if new.send_url != old.send_url || new.ambiente != old.ambiente => {
                waiting.push(words::ente_moved(&old.tax_id));
                *new = old.clone();
            }
            Some(new) => {
                let gone = old.keys.iter().filter(|key| new.keys.iter().all(|other| other.id != key.id));
                waiting.extend(gone.map(|key| words::key_removed(&format!("{}/{}", old.tax_id, key.id))));
            }
        }
    }
}

fn merge_sources(running: &Config, next: &mut Config, waiting: &mut Vec<String>) {
    // Folders that stay watched although the file no longer says so.
    let mut kept: Vec<PathBuf> = Vec::new();
    for old in &running.sources {
        match next.sources.iter_mut().find(|new| new.name == old.name) {
            None => {
                waiting.push(words::source_removed(&old.name));
                kept.push(old.root.clone());
                next.sources.push(SourceSystem { sftp: None, expected: Vec::new(), ..old.clone() });
            }
            Some(new) if new.root != old.root => {
                waiting.push(words::source_moved(&old.name));
                kept.push(old.root.clone());
                new.root.clone_from(&old.root);
                new.sftp = None;
            }
            Some(_) => {}
        }
    }
    // One folder, two gestionali: the old one would take the files of the new one.
    if kept.is_empty() {
        return;
    }
    let kept: Vec<PathBuf> = kept.iter().map(|path| real(path)).collect();
    next.sources.retain(|source| {
        if running.source(&source.name).is_some() {
            return true;
        }
        let root = real(&source.root);
        let collides = kept.iter().any(|kept| root.starts_with(kept) || kept.starts_with(&root));
        if collides {
            waiting.push(words::source_in_use(&source.name));
        }
        !collides
    });
}

/// Something outside of this room that is made of the configuration, and may be made anew while the hub runs.
pub trait Reread: Send + Sync {
    /// Reads what `config` names (secrets, certificates), or says in Italian why it cannot be used. What it answers puts it in place.
    fn reread(&self, config: &Config) -> Result<Box<dyn FnOnce() + Send>, Vec<String>>;
}

/// Why a configuration was not put in place.
#[derive(Debug)]
enum Refused {
    File(Vec<String>),
    Channel(ChannelError),
}

impl Refused {
    fn reasons(self) -> Vec<String> {
        match self {
            Refused::File(reasons) => reasons,
            Refused::Channel(ChannelError::Secret { channel, error }) => vec![words::secret_unreadable(&channel, &error.to_string())],
            Refused::Channel(error) => vec![error.to_string()],
        }
    }
}

impl Running {
    /// Reads the configuration again. False: it is wrong, and everything is as it was.
    pub async fn reload(&mut self, file: &Path) -> bool {
        let outcome = self.try_reload(file).await;
        self.hub.figures.reload_failed.store(outcome.is_err(), Ordering::Relaxed);
        match outcome {
            Ok(waiting) => {
                let settings = self.hub.settings();
                let (enti, gestionali, flussi) = (settings.institutions.len(), settings.sources.len(), self.hub.flows.all().len());
                tracing::info!(enti, gestionali, flussi, "configurazione riletta");
                for what in waiting {
                    tracing::warn!(reason = words::wants_restart(&what), "una parte della configurazione aspetta un riavvio");
                }
                true
            }
            Err(refused) => {
                for reason in refused.reasons() {
                    tracing::error!(reason, "la configurazione non si può usare: resta quella di prima");
                }
                false
            }
        }
    }

    async fn try_reload(&mut self, file: &Path) -> Result<Vec<String>, Refused> {
        let hub = self.hub.clone();
        let path = file.to_owned();
        let (running, clock) = (hub.settings(), hub.clock);
        // Folders are looked at.
        let read = tokio::task::spawn_blocking({
            let running = running.clone();
            move || {
                let LoadedConfig { config, flows, .. } =
                    config::load(&path).map_err(|problems| problems.list.iter().map(it::config::line).collect::<Vec<_>>())?;
                check_clock(&clock, &config).map_err(|fault| vec![it::config::sentence(&fault)])?;
                Ok((merge(&running, config), flows))
            }
        });
        let read = read.await.unwrap_or_else(|error| Err(vec![error.to_string()]));
        let (Merged { config, waiting }, flows) = read.map_err(Refused::File)?;
        // Everything that may fail comes before anything is changed.
        let before = hub.channels.all();
        let channels = channels::build(&config, &before, &hub.store, hub.clock, &hub.figures.calls).map_err(Refused::Channel)?;
        let pts = partners::build(&config, &hub.partners.all(), hub.clock, &hub.figures.calls).map_err(Refused::Channel)?;
        let new: Vec<&SourceSystem> = config.sources.iter().filter(|source| running.source(&source.name).is_none()).collect();
        let listens = hub.config.sftp.is_some();
        let arrivals: BTreeMap<String, Arc<Arrivals>> =
            new.iter().filter(|_| listens).map(|source| (source.name.clone(), door::arrivals_of_one())).collect();
        let accounts = match &self.door {
            Some(door) => Some(door.read_accounts(Arc::new(config.clone()), &arrivals).await.map_err(Refused::File)?),
            None => None,
        };
        let others: Vec<_> = self.others.iter().map(|other| other.reread(&config)).collect::<Result<_, _>>().map_err(Refused::File)?;
        let roots: Vec<Root> = new
            .iter()
            .map(|source| Root { source: source.name.clone(), path: source.root.clone(), arrivals: arrivals.get(&source.name).cloned() })
            .collect();
        // A key that was taken away is followed for as long as acts may be under way with it: until a restart.
        let kept = before.iter().filter(|(name, _)| !channels.contains_key(*name)).map(|(name, channel)| (name.clone(), channel.clone()));
        let channels = channels.clone().into_iter().chain(kept.collect::<Vec<_>>()).collect();
        let gone = hub.partners.all();
        let gone = gone.iter().filter(|(name, _)| !pts.contains_key(*name)).map(|(name, channel)| (name.clone(), channel.clone()));
        let pts_of_now = pts.clone().into_iter().chain(gone.collect::<Vec<_>>()).collect();
        hub.store.set_payment_routes(partners::routes(&config)).await.map_err(|error| Refused::File(vec![error.to_string()]))?;
        // What others refer to first.
        hub.partners.put(pts_of_now);
        hub.channels.put(channels);
        hub.flows.put(flows.into_iter().map(|flow| (flow.name.clone(), Arc::new(flow))).collect());
        hub.settings.put(config);
        // From here to the end nothing is waited for: all of it holds, or nothing.
        if let (Some(door), Some(accounts)) = (&self.door, accounts) {
            tracing::info!(accounts = accounts.accounts(), "account SFTP riletti dalla configurazione");
            door.admit(accounts);
        }
        others.into_iter().for_each(|put| put());
        self.listeners.follow(&hub);
        for root in roots {
            let (hub, roots) = (hub.clone(), self.roots.clone());
            self.tasks.spawn(async move {
                publish::put_in_order(&hub, &root.source).await;
                let _ = roots.send(root);
            });
        }
        hub.publish.notify_one();
        Ok(waiting)
    }
}

struct Listening {
    channel: Arc<Channel>,
    over: CancellationToken,
    task: JoinHandle<()>,
}

/// Who listens to the streams of the channels, one each.
#[derive(Default)]
pub struct Listeners(BTreeMap<String, Listening>);

impl Listeners {
    /// Listens to the channels of now. One that took another's place begins when that one has ended its last call.
    pub fn follow(&mut self, hub: &Arc<Hub>) {
        for (name, channel) in hub.channels.all().iter() {
            let before = match self.0.remove(name) {
                Some(same) if Arc::ptr_eq(&same.channel, channel) => {
                    self.0.insert(name.clone(), same);
                    continue;
                }
                other => other,
            };
            let over = hub.stopping.child_token();
            let (hub, listened, until) = (hub.clone(), channel.clone(), over.clone());
            let task = tokio::spawn(async move {
                if let Some(before) = before {
                    before.over.cancel();
                    let _ = before.task.await;
                }
                streams::listen(hub, listened, until).await;
            });
            self.0.insert(name.clone(), Listening { channel: channel.clone(), over, task });
        }
    }

    /// Waits for all: the hub is stopping.
    pub async fn end(&mut self) {
        for (name, listening) in std::mem::take(&mut self.0) {
            listening.over.cancel();
            if listening.task.await.is_err() {
                tracing::error!(channel = name, "un compito del servizio è finito male");
            }
        }
    }
}

#[cfg(test)]
mod tests;
