//! Orders about the data of one person. The tax id is never printed, logged or kept.

use std::fmt;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{OperateError, Operator, reason};
use crate::domain::fiscal_code::{check_body, check_person};
use crate::domain::ids::{ActId, BatchId};
use crate::service::report::{PersonPage, PersonReport, PersonStage};
use crate::service::who::Who;

/// A tax id of a person or a body. Shows nothing of itself.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TaxId(String);

impl TaxId {
    /// What was typed, blanks aside, in upper case.
    pub fn typed(text: &str) -> TaxId {
        TaxId(text.chars().filter(|c| !c.is_whitespace()).flat_map(char::to_uppercase).collect())
    }

    /// Whether it is one.
    pub fn check(&self) -> Result<(), OperateError> {
        check_person(&self.0).or_else(|_| check_body(&self.0)).map_err(|_| OperateError::NotATaxId)
    }

    pub(in crate::service) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for TaxId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TaxId(***)")
    }
}

/// Finds and deletes what concerns a person; stands in the hub, which has the archives.
#[async_trait]
pub trait PersonEraser: Send + Sync {
    /// One page of the search.
    async fn find(&self, tax_id: &TaxId, from: Option<PersonStage>) -> Result<PersonPage, OperateError>;
    /// Deletes what may go of these acts and batches, which must name the person.
    async fn erase(&self, tax_id: &TaxId, acts: Vec<ActId>, batches: Vec<BatchId>) -> Result<PersonReport, OperateError>;
}

impl Operator {
    /// Lets it delete personal data.
    pub fn with_eraser(self, eraser: std::sync::Arc<dyn PersonEraser>) -> Operator {
        Operator { eraser: Some(eraser), ..self }
    }

    /// One page of what concerns a person.
    pub async fn find_person(&self, tax_id: &TaxId, from: Option<PersonStage>) -> Result<PersonPage, OperateError> {
        tax_id.check()?;
        self.eraser.as_ref().ok_or(OperateError::NoEraser)?.find(tax_id, from).await
    }

    /// Deletes it.
    pub async fn erase_person(
        &self,
        tax_id: &TaxId,
        acts: Vec<ActId>,
        batches: Vec<BatchId>,
        who: &Who,
        why: &str,
    ) -> Result<PersonReport, OperateError> {
        reason(why)?;
        tax_id.check()?;
        let eraser = self.eraser.as_ref().ok_or(OperateError::NoEraser)?;
        tracing::info!(who = who.as_str(), acts = acts.len(), batches = batches.len(), "cancellazione dei dati di una persona");
        eraser.erase(tax_id, acts, batches).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tax_id_is_checked_and_never_shown() {
        let table =
            [(" rssmra80a01h501u\n", true), ("02438750586", true), ("RSSMRA80A01H501X", false), ("", false), ("Mario Rossi", false)];
        for (text, good) in table {
            let tax_id = TaxId::typed(text);
            assert_eq!(tax_id.check().is_ok(), good, "{text:?}");
            assert_eq!(format!("{tax_id:?}"), "TaxId(***)", "{text:?}");
        }
    }
}
