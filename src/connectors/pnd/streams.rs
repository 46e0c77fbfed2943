//! Streams: how SEND tells what happens. One TIMELINE stream per (ente, API key).

use std::time::Duration;

use reqwest::header::RETRY_AFTER;

use crate::connectors::ConnectorError;

use super::client::{Pnd, read};
use super::operation::Operation;
use super::wire::answer;
use super::wire::request::StreamRequest;
use super::{EventsPage, StreamInfo};

/// Wait after an empty page that does not say how long.
const DEFAULT_WAIT: Duration = Duration::from_secs(60);

impl Pnd {
    /// The active streams that this key sees.
    pub async fn streams(&self) -> Result<Vec<StreamInfo>, ConnectorError> {
        let answer = self.get(Operation::Streams, self.url(&["delivery-progresses", "v2.9", "streams"])).await?;
        read(Operation::Streams, answer::streams(&answer.body))
    }

    /// What SEND says of one stream. `NotFound`: it is gone, or not for this key.
    pub async fn stream(&self, stream_id: &str) -> Result<StreamInfo, ConnectorError> {
        let answer = self.get(Operation::Stream, self.url(&["delivery-progresses", "v2.9", "streams", stream_id])).await?;
        read(Operation::Stream, answer::stream(&answer.body))
    }

    /// Creates a TIMELINE stream of every category: only events after this moment reach it.
    ///
    /// `Uncertain`: look for its title in [`Pnd::streams`] before repeating. `Conflict`: SEND allows no more streams.
    pub async fn create_stream(&self, title: &str, groups: &[String]) -> Result<StreamInfo, ConnectorError> {
        self.new_stream(title, groups, None).await
    }

    /// The same in the place of another, which takes no new event but can be read to its end. `NotFound`: the other is gone, was
    /// disabled before, or has groups that the key lacks.
    pub async fn replace_stream(&self, title: &str, groups: &[String], replaced: &str) -> Result<StreamInfo, ConnectorError> {
        self.new_stream(title, groups, Some(replaced)).await
    }

    async fn new_stream(&self, title: &str, groups: &[String], replaced: Option<&str>) -> Result<StreamInfo, ConnectorError> {
        let body = StreamRequest {
            title,
            event_type: "TIMELINE",
            groups,
            filter_values: [],
            wait_for_accepted: false,
            replaced_stream_id: replaced,
        };
        let operation = if replaced.is_some() { Operation::ReplaceStream } else { Operation::CreateStream };
        let answer = self.post(operation, self.url(&["delivery-progresses", "v2.9", "streams"]), &body).await?;
        read(operation, answer::stream(&answer.body))
    }

    /// The events after `last_event_id` (without it: from the first stored), which **confirms** all up to it: they can never
    /// be read again, so they must be stored before. `NotFound`: the stream is lost (gone, disabled, of another version).
    pub async fn events(&self, stream_id: &str, last_event_id: Option<&str>) -> Result<EventsPage, ConnectorError> {
        let mut url = self.url(&["delivery-progresses", "v2.9", "streams", stream_id, "events"]);
        if let Some(last) = last_event_id {
            url.query_pairs_mut().append_pair("lastEventId", last);
        }
        let answer = self.get(Operation::Events, url).await?;
        let events = read(Operation::Events, answer::events(&answer.body))?;
        let told = answer.header_u64(RETRY_AFTER).is_some().then(|| answer.retry_after(Operation::Events)).flatten();
        let retry_after = told.unwrap_or(if events.is_empty() { DEFAULT_WAIT } else { Duration::ZERO });
        Ok(EventsPage { events, retry_after })
    }
}
