//! Debt positions as an operator looks them up and orders about them.

use jiff::civil::Date;

use super::{OperateError, Operator, reason};
use crate::domain::calendar::{Calendar, in_rome};
use crate::service::positions::reckon;
use crate::service::report::{DaysEntry, PaymentEntry, PositionAct, PositionOrder, PositionReport, PositionStep};
use crate::service::who::Who;
use crate::store::{DaysOrder, PositionView};
use crate::text::it::amounts;

impl Operator {
    /// The position of a notice, in full.
    pub async fn position(&self, creditor: &str, notice: &str) -> Result<PositionReport, OperateError> {
        let position = self.find_position(creditor, notice).await?;
        let id = position.id;
        let material = self.store.position_materials(vec![id]).await?.into_iter().next();
        let breakdown = match &material {
            Some(material) => {
                let enti = (self.enti)();
                let calendar = enti.iter().find(|ente| ente.tax_id == material.sender).map(|ente| ente.calendar);
                let today = in_rome(self.clock.now()).date();
                match reckon::breakdown(material, calendar.unwrap_or_else(Calendar::default), today) {
                    Ok(sum) => amounts::lines(&sum),
                    Err(fault) => vec![amounts::fault(fault).to_owned()],
                }
            }
            None => Vec::new(),
        };
        let suspensions = material.map(|material| material.facts.suspensions).unwrap_or_default();
        let payments = self.store.payments_of(&position.creditor, &position.notice).await?;
        let acts = self.store.find_acts(&position.notice).await?;
        let history = self.store.position_history(id).await?.into_iter().map(|row| {
            let data = row.data.as_deref().and_then(|data| serde_json::from_str(data).ok());
            PositionStep { entry: row.into(), data }
        });
        Ok(PositionReport {
            breakdown,
            payments: payments
                .into_iter()
                .map(|event| PaymentEntry {
                    paid_at: event.payment.paid_at,
                    amount: event.payment.amount,
                    receipt: event.payment.receipt,
                    whole: event.whole,
                })
                .collect(),
            suspensions: suspensions.into_iter().map(|days| DaysEntry { from: days.from, until: days.until }).collect(),
            acts: acts.into_iter().map(|act| PositionAct { id: act.id, reference: act.reference, state: act.state }).collect(),
            jobs: self.store.position_jobs(id).await?.into_iter().map(Into::into).collect(),
            history: history.collect(),
            position,
        })
    }

    /// Lets a parked position go on: its PT is asked anew.
    pub async fn retry_position(&self, creditor: &str, notice: &str, who: &Who, why: &str) -> Result<PositionOrder, OperateError> {
        let why = reason(why)?;
        let position = self.find_position(creditor, notice).await?;
        if !self.store.resume_position(position.id, who.as_str(), &why, self.clock.now()).await? {
            return Err(OperateError::PositionNotParked);
        }
        self.ordered("RIPRENDI", position, who, why).await
    }

    /// Days that do not count begin (`from`: today, when it is not said).
    pub async fn stop_days(
        &self,
        creditor: &str,
        notice: &str,
        from: Option<Date>,
        until: Option<Date>,
        who: &Who,
        why: &str,
    ) -> Result<PositionOrder, OperateError> {
        let from = from.unwrap_or_else(|| in_rome(self.clock.now()).date());
        self.order_days(creditor, notice, DaysOrder::Stop { from, until }, "SOSPENDI", who, why).await
    }

    /// They end: `last` is the last one that did not count (yesterday, when it is not said).
    pub async fn go_days(
        &self,
        creditor: &str,
        notice: &str,
        last: Option<Date>,
        who: &Who,
        why: &str,
    ) -> Result<PositionOrder, OperateError> {
        let today = in_rome(self.clock.now()).date();
        let last = last.unwrap_or_else(|| today.yesterday().unwrap_or(today));
        self.order_days(creditor, notice, DaysOrder::Go { last }, "RIPRENDI_TERMINI", who, why).await
    }

    async fn order_days(
        &self,
        creditor: &str,
        notice: &str,
        order: DaysOrder,
        name: &str,
        who: &Who,
        why: &str,
    ) -> Result<PositionOrder, OperateError> {
        let why = reason(why)?;
        let position = self.find_position(creditor, notice).await?;
        self.store.order_days(position.id, order, who.as_str(), &why, self.clock.now()).await?;
        self.ordered(name, position, who, why).await
    }

    async fn ordered(&self, order: &str, before: PositionView, who: &Who, why: String) -> Result<PositionOrder, OperateError> {
        tracing::info!(order, position.id = %before.id, "ordine di un operatore");
        let position = self.store.position(before.id).await?.unwrap_or(before);
        Ok(PositionOrder { order: order.to_owned(), position, who: who.as_str().to_owned(), why, running: self.since.is_some() })
    }

    async fn find_position(&self, creditor: &str, notice: &str) -> Result<PositionView, OperateError> {
        let (creditor, notice) = (creditor.trim(), notice.trim());
        let found = self.store.position_of_notice(creditor, notice).await?;
        found.ok_or_else(|| OperateError::PositionNotFound { creditor: creditor.to_owned(), notice: notice.to_owned() })
    }
}
