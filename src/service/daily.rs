//! The report of a day: for `messo report`, and every night for each ente.

use jiff::Timestamp;
use jiff::civil::Date;

use super::Hub;
use crate::config::Config;
use crate::domain::calendar::{Calendar, in_rome, instant_in_rome, rome_day};
use crate::domain::daily::DailyReport;
use crate::flow::forecast::Limits;
use crate::store::{DailyAsk, Store, StoreError};

/// What a report needs of the configuration of an ente.
#[derive(Debug, Clone)]
pub struct Ente {
    pub tax_id: String,
    /// Its holidays.
    pub calendar: Calendar,
    denomination: String,
    environment: String,
    limits: Limits,
    /// Gestionali that send for it; of those, which send for no other.
    sources: Vec<String>,
    own_sources: Vec<String>,
}

impl Ente {
    /// Every ente of a configuration.
    pub fn all(config: &Config) -> Vec<Ente> {
        let of = |institution: &crate::config::Institution| {
            let senders = || config.sources.iter().filter(|source| source.enti.contains(&institution.tax_id));
            let quota = &institution.quota;
            Ente {
                tax_id: institution.tax_id.clone(),
                calendar: institution.calendar(),
                denomination: institution.denomination.clone(),
                environment: institution.ambiente.as_str().to_owned(),
                limits: Limits {
                    calls_per_day: quota.per_day.into(),
                    calls_per_second: quota.per_second.into(),
                    spend_per_day: quota.spend_cents_per_day,
                    window: None,
                },
                sources: senders().map(|source| source.name.clone()).collect(),
                own_sources: senders().filter(|source| source.enti.len() == 1).map(|source| source.name.clone()).collect(),
            }
        };
        config.institutions.iter().map(of).collect()
    }
}

/// The Rome day that has just ended.
pub fn yesterday(now: Timestamp) -> Date {
    let today = in_rome(now).date();
    today.yesterday().unwrap_or(today)
}

/// The day of one ente. `None`: no such day.
pub async fn report(store: &Store, ente: &Ente, day: Date, now: Timestamp) -> Result<Option<DailyReport>, StoreError> {
    let Some((from, to)) = rome_day(day) else { return Ok(None) };
    let ask = DailyAsk {
        day,
        from,
        to,
        sender: ente.tax_id.clone(),
        denomination: ente.denomination.clone(),
        environment: ente.environment.clone(),
        sources: ente.sources.clone(),
        own_sources: ente.own_sources.clone(),
        limits: ente.limits,
        now,
        wall: in_rome(now).datetime(),
    };
    store.daily(ask).await.map(Some)
}

/// The day whose report is due at `now`: that before the last time the hour has come. After a stop of hours it is made late, after a
/// stop of days only the last one is.
fn due(hub: &Hub, now: Timestamp) -> Option<Date> {
    let settings = hub.settings();
    let today = in_rome(now).date();
    let at = instant_in_rome(today.to_datetime(settings.alerts.report_at))?;
    let came = if at <= now { today } else { today.yesterday().ok()? };
    came.yesterday().ok()
}

/// Makes the reports whose hour has come, once for each ente and day.
pub async fn nightly(hub: &Hub, now: Timestamp) -> Result<(), StoreError> {
    let settings = hub.settings();
    let Some(day) = due(hub, now).filter(|_| settings.alerts.report) else { return Ok(()) };
    for ente in Ente::all(&settings) {
        if hub.stopping.is_cancelled() {
            break;
        }
        if hub.store.report_is_due(&ente.tax_id, day).await?
            && let Some(report) = report(&hub.store, &ente, day, now).await?
        {
            hub.store.tell_report(&report, true, now).await?;
        }
    }
    Ok(())
}
