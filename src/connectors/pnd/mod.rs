//! SEND (PND): the released sender API (send v2.5, detail v2.8, streams v2.9), one [`Pnd`] per (ente, API key).
//!
//! One method, one call: nothing here repeats a call (save once after a refused voucher), stores or decides. An error says
//! what the caller does next ([`ConnectorError`](super::ConnectorError)); [`operation`] holds the rules. `retry-after` is
//! milliseconds on the events of a stream, seconds elsewhere.

mod client;
pub mod governor;
pub mod operation;
mod streams;
mod transfer;
mod voucher;
pub mod wire;

pub use client::{Pnd, PndSettings, PndSetupError, Timeouts};
pub use governor::{DayQuota, Governor, Priority};
pub use operation::Operation;
pub use transfer::{Download, UploadError};
pub use voucher::VoucherSettings;
pub use wire::{Incomplete, NewNotification, SendParts, duplicate_is_ours, duplicate_notice, new_notification};

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::digest::Sha256;
use crate::domain::send::{RefusalReason, TimelineElement};
pub use crate::domain::send::{StreamEvent, Uploaded};

/// A file to be announced to SEND.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreloadItem {
    /// Correlation inside the call: `[a-zA-Z0-9._-]{1,512}`, unique.
    pub idx: String,
    pub content_type: ContentType,
    pub sha256: Sha256,
}

/// What SEND takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ContentType {
    #[serde(rename = "application/pdf")]
    Pdf,
    /// F24 metadata.
    #[serde(rename = "application/json")]
    Json,
}

/// Where and how a file is uploaded. Valid one hour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadSlot {
    pub idx: String,
    pub secret: String,
    /// `PUT` or `POST`: obeyed.
    pub method: String,
    pub url: String,
    /// `ref.key` of the request.
    pub key: String,
}

/// State of a request at SEND.
#[derive(Debug, Clone, PartialEq)]
pub enum RequestState {
    Waiting { request_id: String, retry_after: Option<Duration> },
    Accepted { request_id: String, iun: String },
    Refused { request_id: String, reasons: Vec<RefusalReason> },
}

/// `GET sent/{iun}`: what the follow-up needs.
#[derive(Debug, Clone, PartialEq)]
pub struct SentNotification {
    pub iun: String,
    pub status: String,
    pub timeline: Vec<TimelineElement>,
}

/// A page of a stream: at most 50 events.
#[derive(Debug, Clone, PartialEq)]
pub struct EventsPage {
    pub events: Vec<StreamEvent>,
    /// Wait before asking again; zero: at once.
    pub retry_after: Duration,
}

/// A stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamInfo {
    pub stream_id: String,
    pub title: String,
    /// It takes no new events. The list does not tell: only [`Pnd::stream`].
    pub disabled: bool,
}

/// What SEND says of itself (`GET /status`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlatformStatus {
    pub healthy: bool,
    /// `NOTIFICATION_CREATE`, `NOTIFICATION_VISUALIZATION`, `NOTIFICATION_WORKFLOW`, ...
    pub open_incidents: Vec<String>,
}

/// A legal fact, or when to ask again.
#[derive(Debug, Clone, PartialEq)]
pub enum LegalFactLink {
    Ready {
        url: String,
        filename: String,
        length: Option<u64>,
    },
    /// Cold storage, or announced a little early.
    NotReady {
        retry_after: Option<Duration>,
    },
}

/// What SEND answered to a cancellation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CancelAnswer {
    Accepted,
    AlreadyCancelled,
    /// The notification was refused: nothing to cancel.
    NotificationRefused,
}
