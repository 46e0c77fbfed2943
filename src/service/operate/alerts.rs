//! What operators were told, and the days of the enti.

use jiff::Timestamp;
use jiff::civil::Date;

use super::{OperateError, Operator};
use crate::domain::alert::{Phase, phase_of};
use crate::domain::calendar::in_rome;
use crate::domain::daily::DailyTrouble;
use crate::service::daily;
use crate::service::report::{AlertEntry, AlertList, ReportList};

/// Lines of one answer.
const MOST: usize = 10_000;

impl Operator {
    /// What is not over.
    pub(super) async fn troubles(&self) -> Result<Vec<DailyTrouble>, OperateError> {
        let troubles = self.store.troubles().await?.into_iter();
        let lasting = troubles.filter(|trouble| matches!(phase_of(&trouble.code), Phase::Begins { .. }));
        Ok(lasting.map(|trouble| DailyTrouble { code: trouble.code, about: trouble.about, since: trouble.since }).collect())
    }

    /// What operators were told from one instant to another, the newest first, and what is not over.
    pub async fn alerts(&self, from: Option<Timestamp>, to: Option<Timestamp>, limit: usize) -> Result<AlertList, OperateError> {
        let (from, to) = (from.unwrap_or(Timestamp::UNIX_EPOCH), to.unwrap_or(Timestamp::MAX));
        let alerts = self.store.alerts_between(from, to, limit.clamp(1, MOST)).await?;
        Ok(AlertList { troubles: self.troubles().await?, alerts: alerts.into_iter().map(AlertEntry::from).collect() })
    }

    /// The day (yesterday, when none is named) of one ente or of each. `send`: also handed over to be sent.
    pub async fn report(&self, day: Option<Date>, sender: Option<&str>, send: bool) -> Result<ReportList, OperateError> {
        let now = self.clock.now();
        let day = day.unwrap_or_else(|| daily::yesterday(now));
        if day > in_rome(now).date() {
            return Err(OperateError::DayToCome { day: day.to_string() });
        }
        let mut reports = Vec::new();
        for ente in (self.enti)().iter().filter(|ente| sender.is_none_or(|sender| ente.tax_id == sender)) {
            reports.extend(daily::report(&self.store, ente, day, now).await?);
        }
        if let Some(sender) = sender.filter(|_| reports.is_empty()) {
            return Err(OperateError::UnknownSender { sender: sender.to_owned() });
        }
        if send {
            for report in &reports {
                self.store.tell_report(report, false, now).await?;
            }
        }
        Ok(ReportList { reports, queued: send })
    }
}
