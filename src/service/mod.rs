//! The wiring: introduces intake, batch, flow, store, connectors and outbox to each other. Every effect of the flow ends in
//! an arm of [`dispatch`]; every file that a gestionale reads goes through [`publish`].

pub mod alerts;
pub mod avviso;
pub mod backup;
pub mod channels;
pub mod control;
pub mod daily;
pub mod dispatch;
pub mod door;
pub mod exports;
pub mod facts;
pub mod figures;
pub mod files;
pub mod health;
pub mod ingest;
pub mod live;
pub mod mail;
pub mod notify;
pub mod operate;
pub mod positions;
pub mod publish;
pub mod pulse;
mod queue;
pub mod rebuild;
pub mod reload;
pub mod report;
pub mod restore;
pub mod retention;
pub mod shares;
pub mod streams;
pub mod supervisor;
pub mod sweep;
pub mod systemd;
pub mod trial;
pub mod who;

use std::path::PathBuf;
use std::sync::Arc;

use jiff::SignedDuration;
use tokio::sync::{Notify, RwLock};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::config::Config;
use crate::flow::definition::FlowDefinition;
use crate::store::Store;
use crate::store::archives::Archives;

use channels::Channel;
use live::{Live, Shelf};
use positions::partners::PtChannel;

/// One running hub: what every task of it shares.
pub struct Hub {
    /// As at the start: for what only a restart changes (folders, names, listeners). Everything else is in [`Hub::settings`].
    pub config: Config,
    /// The file it was read from.
    pub config_file: PathBuf,
    settings: Live<Config>,
    /// By name; acts already taken keep the definition they were taken under.
    pub flows: Shelf<FlowDefinition>,
    pub clock: Clock,
    pub store: Store,
    pub archives: Arc<dyn Archives>,
    /// By `ente/key`.
    pub channels: Shelf<Channel>,
    /// Partner tecnologici, by `pt/name`.
    pub partners: Shelf<PtChannel>,
    /// No new work is taken; what runs is finished.
    pub stopping: CancellationToken,
    /// Rung when lines, facts or files may be published.
    pub publish: Notify,
    /// Who waits for which folder of a gestionale.
    pub shares: shares::Shares,
    /// Legal facts on their way to the disk.
    pub facts: facts::Facts,
    /// When each main loop last came round.
    pub pulse: pulse::Pulse,
    /// What is counted for monitoring.
    pub figures: figures::Figures,
    /// Read by who takes a drop in, from keeping its bytes to saying that they are its own; written by who erases bytes.
    pub taking: RwLock<()>,
}

impl Hub {
    /// The configuration that holds now: read where it is used, never kept. What only a restart changes is as it was at the start.
    #[must_use]
    pub fn settings(&self) -> Arc<Config> {
        self.settings.get()
    }

    /// A span of real time in business time: leases and other limits of this machine.
    pub fn real_span(&self, seconds: i64) -> SignedDuration {
        let factor = i64::from(self.clock.factor());
        SignedDuration::from_secs(seconds.saturating_mul(factor))
    }

    /// The Rome date of a business instant, as quotas count it.
    pub fn day(&self, at: jiff::Timestamp) -> String {
        rome(at).date().to_string()
    }
}

/// Local time of Italy.
pub fn rome(at: jiff::Timestamp) -> jiff::Zoned {
    crate::domain::calendar::in_rome(at)
}

#[cfg(test)]
mod tests;
