//! The partners of the configuration at work: each with its limits, its circuit and its routes.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::clock::Clock;
use crate::config::{Config, PaymentRoute, PtConfig};
use crate::connectors::pnd::{Governor, Priority};
use crate::connectors::pt::{Partner, PtSettings};
use crate::connectors::{ConnectorError, Distrust};
use crate::service::Hub;
use crate::service::channels::{ChannelError, Remote};
use crate::service::dispatch::End;
use crate::store::Route;
use crate::telemetry::metrics::Calls;

/// Calls of one PT.
pub struct PtChannel {
    /// `pt/name`.
    pub name: String,
    pub partner: Partner,
    pub config: PtConfig,
    pub remote: Arc<Remote>,
    governor: Arc<Governor>,
    at_a_time: Semaphore,
}

/// Partners by `pt/name`.
pub type Partners = BTreeMap<String, Arc<PtChannel>>;

/// The code of a PT that refuses its credentials: its channel stops, nobody else's.
pub const REFUSED: &str = "PT_RIFIUTA_LE_CREDENZIALI";
/// That of a PT whose certificate is not believed: the same.
pub const DISTRUSTED: &str = "PT_CERTIFICATO_NON_VALIDO";

/// The channel of a PT.
#[must_use]
pub fn channel_of(pt: &str) -> String {
    format!("pt/{pt}")
}

/// Makes the partners of a configuration. What is known of those that run (their circuits, and their buckets when the limits are the
/// same) is handed over. Their calls are counted in `calls`.
pub fn build(config: &Config, running: &Partners, clock: Clock, calls: &Arc<Calls>) -> Result<Partners, ChannelError> {
    let mut partners = BTreeMap::new();
    for pt in &config.pts {
        let name = channel_of(&pt.name);
        let before = running.get(&name);
        let settings = PtSettings::read(pt, clock, pt.is_local()).and_then(|read| Partner::new(read.measured(calls.clone())));
        let partner = settings.map_err(|error| ChannelError::Partner { channel: name.clone(), error })?;
        let governor = match before.filter(|before| before.config.per_second == pt.per_second) {
            Some(before) => before.governor.clone(),
            None => Arc::new(Governor::new(pt.per_second, pt.per_second, None)),
        };
        let channel = PtChannel {
            name: name.clone(),
            partner,
            config: pt.clone(),
            remote: before.map_or_else(Arc::default, |before| before.remote.clone()),
            governor,
            at_a_time: Semaphore::new(usize::try_from(pt.at_a_time.max(1)).unwrap_or(1)),
        };
        partners.insert(name, Arc::new(channel));
    }
    Ok(partners)
}

/// Which notices are whose, for the store.
#[must_use]
pub fn routes(config: &Config) -> Vec<Route> {
    let routes = config.institutions.iter().flat_map(|ente| ente.payments.iter().map(move |route| (ente, route)));
    let known = routes.filter_map(|(ente, route)| Some((ente, route, config.pt(&route.pt)?)));
    known
        .map(|(ente, route, pt)| Route {
            creditor: ente.tax_id.clone(),
            aux: route.aux,
            code: route.code.clone(),
            pt: route.pt.clone(),
            costs: route.costs,
            managed: pt.is_managed(),
        })
        .collect()
}

/// The route of a position that is at `pt`.
#[must_use]
pub fn route<'c>(config: &'c Config, creditor: &str, notice: &str, pt: &str) -> Option<&'c PaymentRoute> {
    config.institution(creditor)?.payments.iter().find(|route| route.pt == pt && route.fits(notice))
}

impl PtChannel {
    /// Waits for the turn of one exchange: calls under way, then calls per second. `calls`: how many it makes.
    pub async fn turn(&self, calls: u32) -> SemaphorePermit<'_> {
        // Never closed: an error cannot be.
        let permit = loop {
            if let Ok(permit) = self.at_a_time.acquire().await {
                break permit;
            }
        };
        for _ in 0..calls {
            let _ = self.governor.turn(Priority::FollowUp).await;
        }
        permit
    }

    /// Jobs of one lane that may be taken at a time.
    #[must_use]
    pub fn room(&self) -> usize {
        usize::try_from(self.config.at_a_time).unwrap_or(1).max(1)
    }
}

/// Tells the circuit how an exchange went.
pub fn heard(hub: &Hub, channel: &PtChannel, error: Option<&ConnectorError>) {
    // One that is not believed answers: it stops for its own reason.
    let outage = error.is_some_and(|error| error.is_outage() && error.certificate().is_none());
    if channel.remote.report(outage, hub.clock.now()) {
        if outage {
            tracing::warn!(channel = channel.name, "il PT non risponde: le sue posizioni aspettano");
        } else {
            tracing::info!(channel = channel.name, "il PT risponde di nuovo");
        }
    }
}

/// What follows an error that says nothing of the position: the PT is away, or refuses messo. `None`: it speaks of the position.
pub fn after_error(hub: &Hub, channel: &PtChannel, error: &ConnectorError) -> Option<End> {
    use crate::flow::retry::FailureClass;
    if let Some(whose) = error.certificate() {
        let what = error.to_string();
        let code = match whose {
            Distrust::Its => {
                tracing::error!(channel = channel.name, what, "il certificato del server del PT non è valido");
                DISTRUSTED
            }
            Distrust::Ours => {
                tracing::error!(channel = channel.name, what, "il PT non accetta il certificato di messo");
                REFUSED
            }
        };
        return Some(End::Stop { channel: channel.name.clone(), code });
    }
    match error {
        ConnectorError::Temporary { retry_after, .. } => {
            let retry_after = retry_after.and_then(|wait| jiff::SignedDuration::try_from(wait).ok());
            let retry_after = retry_after.and_then(|wait| wait.checked_mul(i32::try_from(hub.clock.factor()).unwrap_or(i32::MAX)));
            Some(End::Failed { class: FailureClass::Temporary { retry_after }, code: "PT_NON_RISPONDE" })
        }
        ConnectorError::Uncertain { .. } => {
            Some(End::Failed { class: FailureClass::Temporary { retry_after: None }, code: "ESITO_INCERTO" })
        }
        ConnectorError::Sender(problem) => {
            tracing::error!(channel = channel.name, codes = problem.codes(), "il PT rifiuta le credenziali");
            Some(End::Stop { channel: channel.name.clone(), code: REFUSED })
        }
        _ => None,
    }
}
