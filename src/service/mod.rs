//! The wiring: introduces intake, batch, flow, store, connectors and outbox to each other. Every effect of the flow ends in
//! an arm of [`dispatch`]; every file that a gestionale reads goes through [`publish`].

pub mod channels;
pub mod control;
pub mod dispatch;
pub mod door;
pub mod facts;
pub mod files;
pub mod ingest;
pub mod notify;
pub mod operate;
pub mod publish;
mod queue;
pub mod rebuild;
pub mod report;
pub mod retention;
pub mod streams;
pub mod supervisor;
pub mod sweep;
pub mod who;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::SignedDuration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::config::Config;
use crate::flow::definition::FlowDefinition;
use crate::store::Store;
use crate::store::archives::Archives;

use channels::Channel;

/// One running hub: what every task of it shares.
pub struct Hub {
    pub config: Config,
    pub flows: BTreeMap<String, FlowDefinition>,
    pub clock: Clock,
    pub store: Store,
    pub archives: Arc<dyn Archives>,
    /// By `ente/key`.
    pub channels: BTreeMap<String, Arc<Channel>>,
    /// No new work is taken; what runs is finished.
    pub stopping: CancellationToken,
    /// Rung when lines, facts or files may be published.
    pub publish: Notify,
    /// Legal facts on their way to the disk.
    pub facts: facts::Facts,
}

impl Hub {
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
    at.to_zoned(jiff::tz::TimeZone::get("Europe/Rome").unwrap_or(jiff::tz::TimeZone::UTC))
}

#[cfg(test)]
mod tests;
