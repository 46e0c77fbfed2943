//! One TIMELINE stream per channel: found or made before anything is POSTed, read as SEND says, stored before it is confirmed.
//!
//! Its title says which groups it covers. When a key is given others, another stream takes its place (`replacedStreamId`): SEND
//! ends the old one in the same moment, and both are read, the old one first, until the old one has long been empty.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

use super::Hub;
use super::channels::{self, Channel};
use super::notify;
use super::sweep::SILENCE;
use crate::clock::monotonic;
use crate::connectors::ConnectorError;
use crate::connectors::pnd::{EventsPage, StreamInfo};
use crate::domain::digest::Sha256;
use crate::store::{StoreError, StreamRow, StreamsOf};

/// Longest pause after failures.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Pause after a stream was lost and made anew: should the new one be refused too, SEND is not called without end.
const AFTER_A_LOSS: Duration = Duration::from_millis(500);
/// A replaced stream that was empty for so long is at its end (`reference send.md` 6).
const DRAINED_AFTER: Duration = Duration::from_secs(300);

/// A stream that SEND refuses to make or to let be read.
const REFUSED: &str = "FLUSSO_EVENTI_RIFIUTATO";
const RESUMED: &str = "FLUSSO_EVENTI_RIPRESO";

/// What a listener remembers between two rounds.
struct Listener {
    /// Operators may think that the stream is refused: also after a start, when they may have been told before it.
    troubled: bool,
    draining: Option<Draining>,
}

/// A replaced stream that was empty when it was last read.
struct Draining {
    stream_id: String,
    /// Monotonic: a clock that is set forth must not end it early.
    empty_since: Instant,
    /// Not to be read before.
    again: Instant,
}

/// Listens to one channel until it is `over`: the hub stops, or another channel takes its place.
pub async fn listen(hub: Arc<Hub>, channel: Arc<Channel>, over: CancellationToken) {
    let mut failures = 0u32;
    let mut listener = Listener { troubled: true, draining: None };
    while !over.is_cancelled() {
        let round = round(&hub, &channel, &mut listener).await;
        channel.behind.store(round.as_ref().is_ok_and(Duration::is_zero), Ordering::Release);
        let pause = match round {
            Ok(pause) => {
                failures = 0;
                pause
            }
            Err(error) => {
                failures += 1;
                tracing::warn!(channel = channel.name, %error, "il flusso degli eventi non risponde");
                if error.wants_a_person() {
                    listener.troubled = true;
                    if let Err(error) = hub.store.trouble_begins(REFUSED, &channel.name, hub.clock.now()).await {
                        tracing::error!(%error, "un avviso non può essere salvato");
                    }
                }
                LONGEST_PAUSE.min(Duration::from_millis(250) * 2u32.saturating_pow(failures.min(8)))
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = over.cancelled() => {}
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

impl ListenError {
    /// Waiting alone will not mend it: too many streams (409), a request that SEND does not understand (400).
    fn wants_a_person(&self) -> bool {
        matches!(
            self,
            ListenError::Remote(
                ConnectorError::Conflict(_)
                    | ConnectorError::Unclassified(_)
                    | ConnectorError::Refused(_)
                    | ConnectorError::Protocol { .. }
            )
        )
    }
}

/// Reads one page; answers how long to wait before the next.
async fn round(hub: &Hub, channel: &Channel, listener: &mut Listener) -> Result<Duration, ListenError> {
    let StreamsOf { current, read_at, replaced, stopped } = hub.store.streams_of(&channel.name).await?;
    if stopped.as_deref() == Some(channels::KEY_REFUSED) {
        return Ok(Duration::from_secs(5));
    }
    let title = title(&hub.config.installation, &channel.name, &channel.groups);
    let silence = read_at.map_or(Silence::Recent, |read_at| Silence::between(read_at, hub.clock.now()));
    if silence == Silence::Purged
        && let Some(stream) = &current
    {
        // The hub was stopped, or the key: SEND has thrown events away, also of acts that are closed.
        tracing::warn!(channel = channel.name, "flusso degli eventi non letto da oltre sette giorni: gli atti si rileggono uno per uno");
        read_one_by_one(hub, channel).await?;
        // From here on nothing is missing: it is not done again should the next page fail.
        hub.store.stream_was_read(&channel.name, &stream.stream_id, hub.clock.now()).await?;
    }
    let stream = match current {
        Some(stream) if stream.title == title => stream,
        Some(old) => replace(hub, channel, &title, &old).await?,
        None => find_or_make(hub, channel, &title, None).await?,
    };
    channel.listening.store(true, Ordering::Release);
    if let Some(old) = replaced
        && !drain(hub, channel, listener, old).await?
    {
        return Ok(Duration::ZERO);
    }
    let page = match read(hub, channel, &stream).await {
        Ok(page) => page,
        Err(ListenError::Remote(ConnectorError::NotFound(_))) => {
            channel.listening.store(false, Ordering::Release);
            hub.store.forget_stream(&channel.name, &stream.stream_id, true, hub.clock.now()).await?;
            find_or_make(hub, channel, &title, Some(&stream.stream_id)).await?;
            return Ok(AFTER_A_LOSS);
        }
        Err(ListenError::Remote(error)) => return Ok(error.retry_after().map_or_else(|| Err(error), Ok)?),
        Err(error) => return Err(error),
    };
    if page.empty && silence == Silence::Notable {
        hub.store.stream_was_read(&channel.name, &stream.stream_id, hub.clock.now()).await?;
    }
    if listener.troubled {
        hub.store.trouble_ends(REFUSED, RESUMED, &channel.name, hub.clock.now()).await?;
        listener.troubled = false;
    }
    Ok(page.retry_after)
}

/// How long a stream was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Silence {
    /// Not worth a note.
    Recent,
    /// An hour or more, or it was read by a clock that was ahead: the next page is noted even if it is empty.
    Notable,
    /// So long that SEND has thrown away what nobody read.
    Purged,
}

impl Silence {
    fn between(read_at: Timestamp, now: Timestamp) -> Silence {
        match now.duration_since(read_at) {
            silence if silence > SILENCE => Silence::Purged,
            silence if silence.abs() >= SignedDuration::from_hours(1) => Silence::Notable,
            _ => Silence::Recent,
        }
    }
}

/// How a page was.
struct Page {
    empty: bool,
    retry_after: Duration,
}

/// Reads and stores one page of a stream.
async fn read(hub: &Hub, channel: &Channel, stream: &StreamRow) -> Result<Page, ListenError> {
    let answer = channel.pnd.events(&stream.stream_id, stream.last_event_id.as_deref()).await;
    hear(hub, channel, answer.as_ref().err()).await?;
    let EventsPage { events, retry_after } = answer?;
    let empty = events.is_empty();
    if !empty {
        failpoint!("events.received");
        let recorded = hub.store.record_events(&channel.name, &stream.stream_id, events, hub.clock.now()).await?;
        failpoint!("events.recorded");
        tracing::debug!(channel = channel.name, new = recorded.new, known = recorded.known, foreign = recorded.foreign, "eventi di SEND");
        hub.publish.notify_one();
    }
    Ok(Page { empty, retry_after })
}

/// Reads what a replaced stream still holds, one page. False: there was something, and the stream in use waits for the rest.
async fn drain(hub: &Hub, channel: &Channel, listener: &mut Listener, old: StreamRow) -> Result<bool, ListenError> {
    let known = listener.draining.as_ref().filter(|draining| draining.stream_id == old.stream_id);
    if known.is_some_and(|draining| monotonic() < draining.again) {
        return Ok(true);
    }
    let now = hub.clock.now();
    let empty_since = known.map_or_else(monotonic, |draining| draining.empty_since);
    let page = match read(hub, channel, &old).await {
        Ok(page) => page,
        Err(ListenError::Remote(ConnectorError::NotFound(_))) => {
            // What it still held is read IUN by IUN.
            read_one_by_one(hub, channel).await?;
            hub.store.forget_stream(&channel.name, &old.stream_id, true, now).await?;
            return Ok(true);
        }
        // Too early (429): the stream in use does not wait for that.
        Err(ListenError::Remote(error)) if error.retry_after().is_some() => return Ok(true),
        Err(error) => return Err(error),
    };
    listener.draining = None;
    if !page.empty {
        return Ok(false);
    }
    let empty_for = monotonic().saturating_duration_since(empty_since).saturating_mul(hub.clock.factor());
    if empty_for >= DRAINED_AFTER {
        hub.store.forget_stream(&channel.name, &old.stream_id, false, now).await?;
        tracing::info!(channel = channel.name, "il flusso di eventi sostituito è stato letto fino in fondo");
    } else {
        listener.draining = Some(Draining { stream_id: old.stream_id, empty_since, again: monotonic() + page.retry_after });
    }
    Ok(true)
}

/// Feeds the circuit, and stops the ente when SEND refuses the key.
async fn hear(hub: &Hub, channel: &Channel, error: Option<&ConnectorError>) -> Result<(), StoreError> {
    notify::heard(hub, channel, error);
    if let Some(ConnectorError::Sender(problem)) = error {
        channels::stop(hub, &channel.name, notify::stop_code(problem)).await?;
    }
    Ok(())
}

/// The title of a channel's stream. It names the installation, so that two hubs of one ente never share, and the groups.
fn title(installation: &str, channel: &str, groups: &[String]) -> String {
    let mut title = format!("messo {installation} {channel} timeline-v2.9");
    if !groups.is_empty() {
        // Their ids may be many, and a title is short.
        let digest = Sha256::of(groups.join("\n").as_bytes()).to_hex();
        title.push_str(" gruppi-");
        title.extend(digest.chars().take(16));
    }
    title
}

/// A stream of ours that SEND has and that still takes events. `not`: one that is of no use.
async fn find(hub: &Hub, channel: &Channel, title: &str, not: Option<&str>) -> Result<Option<StreamInfo>, ListenError> {
    let listed = channel.pnd.streams().await;
    hear(hub, channel, listed.as_ref().err()).await?;
    for stream in listed?.into_iter().filter(|stream| stream.title == title && Some(stream.stream_id.as_str()) != not) {
        let told = channel.pnd.stream(&stream.stream_id).await;
        hear(hub, channel, told.as_ref().err()).await?;
        match told {
            Ok(stream) if !stream.disabled => return Ok(Some(stream)),
            Ok(_) | Err(ConnectorError::NotFound(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(None)
}

/// The stream with our title, or a new one.
/// `lost`: one that SEND may still list, and of no use (disabled, of another version).
async fn find_or_make(hub: &Hub, channel: &Channel, title: &str, lost: Option<&str>) -> Result<StreamRow, ListenError> {
    let info = match find(hub, channel, title, lost).await? {
        Some(info) => info,
        None => {
            let made = channel.pnd.create_stream(title, &channel.groups).await;
            hear(hub, channel, made.as_ref().err()).await?;
            made?
        }
    };
    failpoint!("stream.made");
    // Asked before the stream is kept: whatever interrupts, it is asked again.
    read_one_by_one(hub, channel).await?;
    keep(hub, channel, info).await
}

/// Another stream in the place of `old`, which covers other groups. SEND ends the old one when the new one begins: between the
/// two nothing is untold.
async fn replace(hub: &Hub, channel: &Channel, title: &str, old: &StreamRow) -> Result<StreamRow, ListenError> {
    // Made before a crash, or under an answer that was lost.
    if let Some(info) = find(hub, channel, title, Some(&old.stream_id)).await? {
        return keep(hub, channel, info).await;
    }
    let made = channel.pnd.replace_stream(title, &channel.groups, &old.stream_id).await;
    hear(hub, channel, made.as_ref().err()).await?;
    failpoint!("stream.made");
    match made {
        Ok(info) => keep(hub, channel, info).await,
        // The key may no longer touch the old one, or it is gone: what it still held is read IUN by IUN.
        Err(ConnectorError::NotFound(_)) => {
            hub.store.forget_stream(&channel.name, &old.stream_id, true, hub.clock.now()).await?;
            find_or_make(hub, channel, title, Some(&old.stream_id)).await
        }
        Err(error) => Err(error.into()),
    }
}

async fn keep(hub: &Hub, channel: &Channel, info: StreamInfo) -> Result<StreamRow, ListenError> {
    let row = StreamRow { stream_id: info.stream_id, title: info.title, last_event_id: None };
    hub.store.save_stream(&channel.name, row.clone(), hub.clock.now()).await?;
    Ok(row)
}

/// What no stream told is read IUN by IUN.
async fn read_one_by_one(hub: &Hub, channel: &Channel) -> Result<(), StoreError> {
    let now = hub.clock.now();
    while hub.store.resync(now, Some(&channel.name), now).await? > 0 {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_noted_by_the_hour_and_purged_after_seven_days() {
        let now: Timestamp = "2026-11-23T08:00:00Z".parse().unwrap();
        let table = [
            (0, Silence::Recent),
            (59, Silence::Recent),
            (60, Silence::Notable),
            (7 * 24 * 60, Silence::Notable),
            (7 * 24 * 60 + 1, Silence::Purged),
            (-59, Silence::Recent),
            // Read by a clock that was ahead.
            (-30 * 24 * 60, Silence::Notable),
        ];
        for (minutes, want) in table {
            assert_eq!(Silence::between(now - SignedDuration::from_mins(minutes), now), want, "{minutes} minutes");
        }
    }

    #[test]
    fn titles_tell_installations_keys_and_groups_apart_and_fit() {
        let groups = |list: &[&str]| list.iter().map(|group| (*group).to_owned()).collect::<Vec<_>>();
        assert_eq!(title("prova", "01234567897/prima", &[]), "messo prova 01234567897/prima timeline-v2.9");
        let one = title("prova", "01234567897/prima", &groups(&["a"]));
        assert!(one.starts_with("messo prova 01234567897/prima timeline-v2.9 gruppi-"), "{one}");
        for other in [groups(&[]), groups(&["b"]), groups(&["a", "b"]), groups(&["a\nb"])] {
            assert_ne!(title("prova", "01234567897/prima", &other), one, "{other:?}");
        }
        let many: Vec<String> = (0..500).map(|number| format!("{number:024}")).collect();
        assert!(title(&"i".repeat(40), &format!("01234567897/{}", "k".repeat(32)), &many).len() <= 256);
    }
}
