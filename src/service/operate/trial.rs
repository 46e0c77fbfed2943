//! Trials: a mail, a question to a PT. What they change elsewhere is an order like any other, with its reason.

use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{OperateError, Operator, TaxId, reason};
use crate::domain::money::Cents;
use crate::service::report::TrialReport;

/// A question to a PT, and the amount that it shall ask from now on, if that is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PtQuestion {
    /// Of the PT.
    pub name: String,
    /// Tax id of the ente.
    pub creditor: String,
    pub notice: String,
    /// What the citizen should be asked.
    pub expected: Option<Cents>,
    /// As the PT calls it.
    pub position_id: Option<String>,
    /// Of who owes.
    pub tax_id: Option<TaxId>,
    pub debtor_name: Option<String>,
    pub change: Option<Cents>,
    /// Of the change.
    pub reason: Option<String>,
}

/// Tries what the configuration says of outside systems; stands in the hub, which has the secrets.
#[async_trait]
pub trait Trier: Send + Sync {
    /// One mail to each of these.
    async fn mail(&self, to: &[String]) -> TrialReport;
    /// Which PTs there are, and whether they can be used.
    async fn pts(&self) -> TrialReport;
    /// One question, one change at most.
    async fn pt(&self, question: &PtQuestion) -> TrialReport;
}

impl Operator {
    /// Lets it try outside systems.
    pub fn with_trier(self, trier: Arc<dyn Trier>) -> Operator {
        Operator { trier: Some(trier), ..self }
    }

    fn trier(&self) -> Result<&Arc<dyn Trier>, OperateError> {
        self.trier.as_ref().ok_or(OperateError::NoTrier)
    }

    /// One mail to each of these.
    pub async fn try_mail(&self, to: &[String]) -> Result<TrialReport, OperateError> {
        Ok(self.trier()?.mail(to).await)
    }

    /// Which PTs there are, and whether they can be used.
    pub async fn try_pts(&self) -> Result<TrialReport, OperateError> {
        Ok(self.trier()?.pts().await)
    }

    /// Asks a PT; changes an amount only for a reason.
    pub async fn try_pt(&self, question: &PtQuestion) -> Result<TrialReport, OperateError> {
        if question.change.is_some() {
            reason(question.reason.as_deref().unwrap_or_default())?;
        }
        Ok(self.trier()?.pt(question).await)
    }
}
