//! One TIMELINE stream per channel: found or made before anything is POSTed, read as SEND says, stored before it is confirmed.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Hub;
use super::channels::Channel;
use super::notify;
use crate::connectors::ConnectorError;
use crate::connectors::pnd::StreamInfo;
use crate::store::{StoreError, StreamRow};

/// Longest pause after failures.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Pause after a stream was lost and made anew: should the new one be refused too, SEND is not called without end.
const AFTER_A_LOSS: Duration = Duration::from_millis(500);

/// Listens to one channel until the hub stops.
pub async fn listen(hub: Arc<Hub>, channel: Arc<Channel>) {
    let mut failures = 0u32;
    while !hub.stopping.is_cancelled() {
        let pause = match round(&hub, &channel).await {
            Ok(pause) => {
                failures = 0;
                pause
            }
            Err(error) => {
                failures += 1;
                tracing::warn!(channel = channel.name, %error, "il flusso degli eventi non risponde");
                LONGEST_PAUSE.min(Duration::from_millis(250) * 2u32.saturating_pow(failures.min(8)))
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = hub.stopping.cancelled() => {}
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum ListenError {
    #[error(transparent)]
    Remote(#[from] ConnectorError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Reads one page; answers how long to wait before the next.
async fn round(hub: &Hub, channel: &Channel) -> Result<Duration, ListenError> {
    let now = hub.clock.now();
    let stopped = hub.store.stopped_channels().await?.iter().any(|(name, ..)| *name == channel.name);
    if stopped {
        return Ok(Duration::from_secs(5));
    }
    let stream = match hub.store.stream(&channel.name).await? {
        Some(stream) => stream,
        None => find_or_make(hub, channel, None).await?,
    };
    channel.listening.store(true, Ordering::Release);
    let answer = channel.pnd.events(&stream.stream_id, stream.last_event_id.as_deref()).await;
    hear(hub, channel, answer.as_ref().err()).await?;
    let page = match answer {
        Ok(page) => page,
        Err(ConnectorError::NotFound(_)) => {
            channel.listening.store(false, Ordering::Release);
            hub.store.forget_stream(&channel.name, now).await?;
            find_or_make(hub, channel, Some(&stream.stream_id)).await?;
            return Ok(AFTER_A_LOSS);
        }
        Err(error) => return Ok(error.retry_after().map_or_else(|| Err(error), Ok)?),
    };
    if !page.events.is_empty() {
        failpoint!("events.received");
        let recorded = hub.store.record_events(&channel.name, &stream.stream_id, page.events, hub.clock.now()).await?;
        failpoint!("events.recorded");
        tracing::debug!(channel = channel.name, new = recorded.new, known = recorded.known, foreign = recorded.foreign, "eventi di SEND");
        hub.publish.notify_one();
    }
    Ok(page.retry_after)
}

/// Feeds the circuit, and stops the channel when SEND refuses the key.
async fn hear(hub: &Hub, channel: &Channel, error: Option<&ConnectorError>) -> Result<(), StoreError> {
    let now = hub.clock.now();
    notify::heard(hub, channel, error);
    if let Some(ConnectorError::Sender(problem)) = error {
        hub.store.stop_channel(&channel.name, notify::stop_code(problem), now).await?;
    }
    Ok(())
}

/// The stream with our title, or a new one. A title names the installation, so that two hubs of one ente never share.
/// `lost`: one that SEND may still list, and of no use (disabled, of another version).
async fn find_or_make(hub: &Hub, channel: &Channel, lost: Option<&str>) -> Result<StreamRow, ListenError> {
    let title = format!("messo {} {} timeline-v2.9", hub.config.installation, channel.name);
    let listed = channel.pnd.streams().await;
    hear(hub, channel, listed.as_ref().err()).await?;
    let ours = |stream: &StreamInfo| stream.title == title && Some(stream.stream_id.as_str()) != lost;
    let info = match listed?.into_iter().find(ours) {
        Some(info) => info,
        None => {
            let made = channel.pnd.create_stream(&title, &channel.groups).await;
            hear(hub, channel, made.as_ref().err()).await?;
            made?
        }
    };
    // What no stream told is read IUN by IUN. Asked before the stream is kept: whatever interrupts, it is asked again.
    let now = hub.clock.now();
    while hub.store.resync(now, Some(&channel.name), now).await? > 0 {}
    let row = StreamRow { stream_id: info.stream_id, title, last_event_id: None };
    hub.store.save_stream(&channel.name, row.clone(), now).await?;
    Ok(row)
}
