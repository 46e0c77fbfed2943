//! SEND's own vocabulary, as far as decisions depend on it (OpenAPI: detail v2.8, streams v2.9).
//!
//! Categories and statuses stay open words: SEND adds new ones every quarter, and a fact is never illegal.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::digest::Sha256;

/// One element of a notification's timeline (`TimelineElementV28`), append-only, unique by IUN + `element_id`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TimelineElement {
    pub element_id: String,
    /// When SEND wrote it (deprecated name of `eventTimestamp` in old versions).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<Timestamp>,
    /// When it happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_timestamp: Option<Timestamp>,
    /// When SEND learned of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingestion_timestamp: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub legal_facts_ids: Vec<LegalFactId>,
    pub category: String,
    /// Untagged union: what it holds depends on `category`.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub details: Value,
}

/// A legal fact announced by an element.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LegalFactId {
    /// May begin with `safestorage://`.
    pub key: String,
    pub category: String,
}

impl TimelineElement {
    /// When it happened: `eventTimestamp`, else the older `timestamp`.
    pub fn happened_at(&self) -> Option<Timestamp> {
        self.event_timestamp.or(self.timestamp)
    }

    /// Index of the recipient it speaks of.
    pub fn rec_index(&self) -> Option<u32> {
        self.details.get("recIndex").and_then(Value::as_u64).and_then(|index| u32::try_from(index).ok())
    }

    /// A text of the details.
    pub fn detail_str(&self, name: &str) -> Option<&str> {
        self.details.get(name).and_then(Value::as_str)
    }

    /// A number of the details.
    pub fn detail_i64(&self, name: &str) -> Option<i64> {
        self.details.get(name).and_then(Value::as_i64)
    }
}

/// One reason why SEND refused a request (`NotificationRefusedErrorV27`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RefusalReason {
    /// `FILE_NOTFOUND`, `NOT_VALID_ADDRESS`, ...; `errorCode` inside a timeline element.
    #[serde(alias = "errorCode")]
    pub code: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rec_index: Option<u32>,
}

/// Price of one notice as SEND tells it (`reference send.md` 7). Euro cents; dates at local midnight.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NotificationPrice {
    pub iun: String,
    pub partial_price: i64,
    pub total_price: i64,
    pub vat: u32,
    pub pa_fee: u32,
    pub send_fee: i64,
    pub analog_cost: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refinement_date: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notification_view_date: Option<Timestamp>,
}

/// A file as the request names it, after upload. Unused files are deleted by SEND after 7 days.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Uploaded {
    pub key: String,
    pub version_token: String,
    pub sha256: Sha256,
    pub uploaded_at: Timestamp,
}

/// One event of a stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StreamEvent {
    /// 38 digits.
    pub event_id: String,
    pub request_id: Option<String>,
    /// Absent until acceptance, for ever on refusals.
    pub iun: Option<String>,
    /// Status after the element.
    pub new_status: Option<String>,
    pub element: TimelineElement,
}
