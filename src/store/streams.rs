//! What SEND tells: streams, events, timelines. Every element is stored before the stream moves on.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, params};

use super::alerts::Alert;
use super::codec::{at, ms, optional};
use super::engine::{self, ActRow, Name};
use super::stops::sender_of;
use super::{Store, StoreError, jobs, ledger};
use crate::domain::digest::Sha256;
use crate::domain::ids::ActId;
use crate::domain::outcome::Perfection;
use crate::domain::send::{NO_CATEGORY, StreamEvent, TimelineElement, reasons_of_element};
use crate::flow::effect::Effect;
use crate::flow::event::Fact;
use crate::flow::timeline::{self, ElementFacts, RecipientSummary, Summary};

/// The stream of a channel, as kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamRow {
    pub stream_id: String,
    pub title: String,
    pub last_event_id: Option<String>,
}

/// The streams of a channel, and what stops it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamsOf {
    pub current: Option<StreamRow>,
    /// When a page of it was last read, to the hour; of one that was never read, when it was made.
    pub read_at: Option<Timestamp>,
    /// The oldest that another has replaced, still to be read to its end.
    pub replaced: Option<StreamRow>,
    /// The code under which the channel is stopped.
    pub stopped: Option<String>,
}

/// What a page of events brought.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recorded {
    /// New elements of our acts.
    pub new: usize,
    /// Already known.
    pub known: usize,
    /// Of other senders' software under the same key: ignored.
    pub foreign: usize,
}

fn read_stream(row: &rusqlite::Row<'_>) -> rusqlite::Result<StreamRow> {
    Ok(StreamRow { stream_id: row.get(0)?, title: row.get(1)?, last_event_id: row.get(2)? })
}

impl Store {
    /// The stream of a channel that is in use.
    pub async fn stream(&self, channel: &str) -> Result<Option<StreamRow>, StoreError> {
        let channel = channel.to_owned();
        self.read(move |db| {
            let sql = "SELECT stream_id, title, last_event_id FROM stream WHERE channel = ?1 AND replaced_at IS NULL";
            optional(db.prepare_cached(sql)?.query_row([channel], read_stream))
        })
        .await
    }

    /// What a listener must know before each page, in one reading.
    pub async fn streams_of(&self, channel: &str) -> Result<StreamsOf, StoreError> {
        let channel = channel.to_owned();
        self.read(move |db| {
            let current = "SELECT stream_id, title, last_event_id, read_at FROM stream WHERE channel = ?1 AND replaced_at IS NULL";
            let replaced =
                "SELECT stream_id, title, last_event_id FROM stream WHERE channel = ?1 AND replaced_at IS NOT NULL ORDER BY created_at LIMIT 1";
            let stopped = "SELECT code FROM channel_stop WHERE channel = ?1 AND resumed IS NULL";
            let current = optional(db.prepare_cached(current)?.query_row([&channel], |row| Ok((read_stream(row)?, at(row.get(3)?)))))?;
            let (current, read_at) = current.unzip();
            Ok(StreamsOf {
                current,
                read_at,
                replaced: optional(db.prepare_cached(replaced)?.query_row([&channel], read_stream))?,
                stopped: optional(db.prepare_cached(stopped)?.query_row([&channel], |row| row.get(0)))?,
            })
        })
        .await
    }

    /// Keeps the stream of a channel. The one before it, if any, is kept beside it until [`Store::forget_stream`].
    pub async fn save_stream(&self, channel: &str, stream: StreamRow, now: Timestamp) -> Result<(), StoreError> {
        let channel = channel.to_owned();
        self.write(move |db| {
            let sql = "UPDATE stream SET replaced_at = ?3 WHERE channel = ?1 AND replaced_at IS NULL AND stream_id <> ?2";
            db.prepare_cached(sql)?.execute(params![channel, stream.stream_id, ms(now)])?;
            db.prepare_cached(
                "INSERT INTO stream (channel, stream_id, title, last_event_id, created_at, read_at) VALUES (?1,?2,?3,?4,?5,?5) \
                 ON CONFLICT (channel, stream_id) DO UPDATE SET title = excluded.title, last_event_id = excluded.last_event_id",
            )?
            .execute(params![channel, stream.stream_id, stream.title, stream.last_event_id, ms(now)])?;
            Ok(())
        })
        .await
    }

    /// A page of the stream was read, and nothing was in it.
    pub async fn stream_was_read(&self, channel: &str, stream_id: &str, now: Timestamp) -> Result<(), StoreError> {
        let (channel, stream_id) = (channel.to_owned(), stream_id.to_owned());
        self.write(move |db| was_read(db, &channel, &stream_id, now)).await
    }

    /// Forgets a stream: one that was replaced and read to its end, or (`lost`) one that SEND no longer has. Operators are told
    /// of the second.
    pub async fn forget_stream(&self, channel: &str, stream_id: &str, lost: bool, now: Timestamp) -> Result<(), StoreError> {
        let (channel, stream_id) = (channel.to_owned(), stream_id.to_owned());
        self.write(move |db| {
            db.prepare_cached("DELETE FROM stream WHERE channel = ?1 AND stream_id = ?2")?.execute([&channel, &stream_id])?;
            if lost {
                // One that SEND loses again and again is told once an hour.
                let quiet = Some(SignedDuration::from_hours(1));
                Alert::new("FLUSSO_EVENTI_PERSO", &channel).sender(Some(sender_of(&channel))).raise_unless_told(db, quiet, now)?;
            }
            Ok(())
        })
        .await
    }

    /// Stores a page of events and moves the stream's position, together: events first told, then confirmed.
    pub async fn record_events(
        &self,
        channel: &str,
        stream_id: &str,
        events: Vec<StreamEvent>,
        now: Timestamp,
    ) -> Result<Recorded, StoreError> {
        let (channel, stream_id) = (channel.to_owned(), stream_id.to_owned());
        let last = events.iter().map(|event| event.event_id.clone()).max();
        // Encoded here, where many channels work side by side: the writer serves them all.
        let events = events.into_iter().map(|event| serde_json::to_string(&event.element).map(|encoded| (event, encoded)));
        let events = events.collect::<Result<Vec<_>, _>>()?;
        let recorded = self
            .write(move |db| {
                let mut recorded = Recorded::default();
                let Some(last) = last else { return Ok(recorded) };
                let mut waiting = None;
                let mut met = Met::default();
                ledger::together(db, || {
                    for (event, encoded) in events {
                        match met.act_of(db, &event)? {
                            Some(act) => {
                                let told = Told { element: event.element, encoded };
                                let new = apply(db, act, event.iun.as_deref(), event.request_id.as_deref(), told, now)?;
                                recorded.new += usize::from(new);
                                recorded.known += usize::from(!new);
                            }
                            None => {
                                recorded.foreign += 1;
                                super::restore::note_event(db, &channel, &event)?;
                                if waiting.is_none() {
                                    waiting = Some(awaits_an_answer(db, &channel)?);
                                }
                                if waiting == Some(true) {
                                    keep_orphan(db, &channel, &event, now)?;
                                }
                            }
                        }
                    }
                    Ok(())
                })?;
                // Read again after a crash, a page does not move the position back.
                db.prepare_cached(
                    "UPDATE stream SET last_event_id = ?3 WHERE channel = ?1 AND stream_id = ?2 AND (last_event_id IS NULL OR last_event_id < ?3)",
                )?
                .execute(params![channel, stream_id, last])?;
                was_read(db, &channel, &stream_id, now)?;
                Ok(recorded)
            })
            .await?;
        self.ring();
        Ok(recorded)
    }

    /// Stores what the whole timeline of an IUN says; elements already known change nothing.
    pub async fn record_timeline(
        &self,
        act: ActId,
        iun: &str,
        elements: Vec<TimelineElement>,
        job: Option<super::JobRef>,
        now: Timestamp,
    ) -> Result<usize, StoreError> {
        let iun = iun.to_owned();
        let new = self
            .write(move |db| {
                if let Some(job) = job {
                    super::jobs::finish(db, job)?;
                }
                let mut new = 0;
                let mut act = ActRow::load(db, act)?;
                for element in elements {
                    new += usize::from(apply(db, &mut act, Some(&iun), None, Told::of(element)?, now)?);
                }
                db.prepare_cached("UPDATE act SET heard_at = ?2 WHERE id = ?1")?.execute(params![act.id.0.as_bytes(), ms(now)])?;
                Ok(new)
            })
            .await?;
        self.ring();
        Ok(new)
    }

    /// Removes what other senders' events left behind, unless a POST of that key still waits for its answer.
    pub async fn purge_orphans(&self, before: Timestamp) -> Result<(), StoreError> {
        self.write(move |db| {
            db.execute(
                "DELETE FROM orphan_event WHERE received_at < ?1 \
                 AND channel NOT IN (SELECT sender || '/' || key_id FROM act WHERE state = 'IN_INVIO')",
                [ms(before)],
            )?;
            Ok(())
        })
        .await
    }
}

fn was_read(db: &Connection, channel: &str, stream_id: &str, now: Timestamp) -> Result<(), StoreError> {
    let sql = "UPDATE stream SET read_at = ?3 WHERE channel = ?1 AND stream_id = ?2";
    db.prepare_cached(sql)?.execute(params![channel, stream_id, ms(now)])?;
    Ok(())
}

/// Acts that a page speaks of, by request: what happens to one comes together.
#[derive(Default)]
struct Met(HashMap<String, ActRow>);

impl Met {
    fn act_of(&mut self, db: &Connection, event: &StreamEvent) -> Result<Option<&mut ActRow>, StoreError> {
        let Some(request_id) = &event.request_id else {
            // Never so; then each event stands alone.
            let Some(row) = find_act(db, event)? else { return Ok(None) };
            return Ok(Some(self.0.entry(String::new()).insert_entry(row).into_mut()));
        };
        match self.0.entry(request_id.clone()) {
            Entry::Occupied(known) => Ok(Some(known.into_mut())),
            Entry::Vacant(free) => Ok(find_act(db, event)?.map(|row| free.insert(row))),
        }
    }
}

fn find_act(db: &Connection, event: &StreamEvent) -> Result<Option<ActRow>, StoreError> {
    for (name, key) in [
        (Name::Iun, event.iun.as_deref()),
        (Name::Request, event.request_id.as_deref()),
        (Name::Token, event.element.detail_str("idempotenceToken")),
    ] {
        if let Some(key) = key
            && let Some(row) = ActRow::named(db, name, key)?
        {
            return Ok(Some(row));
        }
    }
    Ok(None)
}

/// Whether a POST of the channel may be without answer.
fn awaits_an_answer(db: &Connection, channel: &str) -> Result<bool, StoreError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM act WHERE state = 'IN_INVIO' AND sender || '/' || key_id = ?1)";
    Ok(db.prepare_cached(sql)?.query_row([channel], |row| row.get(0))?)
}

/// An event of an act whose POST has not been answered yet may come before the answer.
fn keep_orphan(db: &Connection, channel: &str, event: &StreamEvent, now: Timestamp) -> Result<(), StoreError> {
    db.prepare_cached(
        "INSERT INTO orphan_event (channel, event_id, request_id, iun, received_at, data) VALUES (?1,?2,?3,?4,?5,?6) ON CONFLICT DO NOTHING",
    )?
    .execute(params![channel, event.event_id, event.request_id, event.iun, ms(now), serde_json::to_string(event)?])?;
    Ok(())
}

/// The act's request is known by now: what SEND had already told about it is taken in.
pub(super) fn adopt_orphans(db: &Connection, act: &mut ActRow, now: Timestamp) -> Result<(), StoreError> {
    let Some(request_id) = act.request_id.clone() else { return Ok(()) };
    let mut select = db.prepare_cached("SELECT channel, event_id, data FROM orphan_event WHERE request_id = ?1 ORDER BY event_id")?;
    let events: Vec<(String, String, String)> =
        select.query_map([&request_id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?.collect::<Result<_, _>>()?;
    for (channel, event_id, data) in events {
        // Taken away first: what is applied may adopt in its turn.
        db.prepare_cached("DELETE FROM orphan_event WHERE channel = ?1 AND event_id = ?2")?.execute([channel, event_id])?;
        let event: StreamEvent = serde_json::from_str(&data)?;
        apply(db, act, event.iun.as_deref(), event.request_id.as_deref(), Told::of(event.element)?, now)?;
    }
    Ok(())
}

/// An element, and how it is kept: as SEND told it.
struct Told {
    element: TimelineElement,
    encoded: String,
}

impl Told {
    fn of(element: TimelineElement) -> Result<Told, StoreError> {
        let encoded = serde_json::to_string(&element)?;
        Ok(Told { element, encoded })
    }
}

/// What an element is found by: its own id is long, and an index of such ids would be most of what is written.
fn element_key(element_id: &str) -> [u8; 16] {
    Sha256::of(element_id.as_bytes()).as_bytes().first_chunk().copied().unwrap_or_default()
}

/// Takes one element in: stored once, summary recomputed, step saved. False: it was known.
fn apply(
    db: &Connection,
    act: &mut ActRow,
    iun: Option<&str>,
    request_id: Option<&str>,
    told: Told,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let Told { mut element, encoded } = told;
    if element.category.trim().is_empty() {
        element.category = NO_CATEGORY.to_owned();
    }
    let id = *act.id.0.as_bytes();
    let facts = ElementFacts::of(&element, now);
    // A row without category was left by a rework that voided the element before it came.
    let inserted = db
        .prepare_cached(
            "INSERT INTO timeline (act_id, element_id, category, recipient, happened_at, received_at, analog_cost, data, element_key) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT (act_id, element_key) DO UPDATE SET \
             category = excluded.category, recipient = excluded.recipient, happened_at = excluded.happened_at, \
             received_at = excluded.received_at, analog_cost = excluded.analog_cost, data = excluded.data WHERE timeline.category = ''",
        )?
        .execute(params![
            id,
            element.element_id,
            element.category,
            facts.recipient,
            ms(facts.happened_at),
            ms(now),
            facts.analog_cost,
            // What comes after the deletion is followed, and its words are not kept.
            (!act.erased).then_some(encoded),
            element_key(&element.element_id),
        ])?;
    if inserted == 0 {
        db.prepare_cached("UPDATE act SET heard_at = ?2 WHERE id = ?1")?.execute(params![id, ms(now)])?;
        return Ok(false);
    }
    if act.request_id.is_none()
        && let Some(request_id) = request_id
    {
        act.request_id = Some(request_id.to_owned());
        db.prepare_cached("UPDATE act SET request_id = ?2, sent_at = coalesce(sent_at, ?3) WHERE id = ?1")?.execute(params![
            id,
            request_id,
            ms(now)
        ])?;
        adopt_orphans(db, act, now)?;
    }
    if element.category == "REQUEST_REFUSED" {
        let fact =
            Fact::Refused { reasons: reasons_of_element(&element), at: facts.happened_at, cost: element.detail_i64("notificationCost") };
        engine::observe(db, act, &fact, now)?;
        return Ok(true);
    }
    if let Some(iun) = iun
        && act.state.iun().is_none()
    {
        let at = (element.category == "REQUEST_ACCEPTED").then_some(facts.happened_at);
        engine::observe(db, act, &Fact::Accepted { request_id: None, iun: iun.to_owned(), at }, now)?;
    }
    if element.category == "REQUEST_ACCEPTED" && act.accepted_at != Some(facts.happened_at) {
        // Known before from something else: this is the legal date.
        act.accepted_at = Some(facts.happened_at);
        db.prepare_cached("UPDATE act SET accepted_at = ?2 WHERE id = ?1")?.execute(params![id, ms(facts.happened_at)])?;
    }
    let before = match act.summary.take() {
        Some(known) => Summary { accepted_at: act.accepted_at, ..known },
        None => known_summary(db, act)?,
    };
    let voids = timeline::invalidated(&element);
    for void in &voids {
        db.prepare_cached(
            "INSERT INTO timeline (act_id, element_id, category, happened_at, received_at, voided_by, element_key) \
             VALUES (?1, ?2, '', ?3, ?3, ?4, ?5) ON CONFLICT (act_id, element_key) DO UPDATE SET voided_by = coalesce(voided_by, excluded.voided_by)",
        )?
        .execute(params![id, void, ms(now), element.element_id, element_key(void)])?;
    }
    let after = if timeline::counts(&element.category) || !voids.is_empty() {
        let after = load_summary(db, act)?;
        save_recipients(db, act, &before, &after)?;
        after
    } else {
        before.clone()
    };
    act.summary = Some(after.clone());
    for fact in &element.legal_facts_ids {
        db.prepare_cached(
            "INSERT INTO legal_fact (act_id, key, category, element_id, recipient, happened_at, ordinal, state) \
             VALUES (?1,?2,?3,?4,?5,?6,(SELECT count(*) + 1 FROM legal_fact WHERE act_id = ?1),'ANNUNCIATA') ON CONFLICT DO NOTHING",
        )?
        .execute(params![id, fact.key, fact.category, element.element_id, facts.recipient, ms(facts.happened_at)])?;
    }
    let unanswered = element.category == "REQUEST_ACCEPTED" && act.state.iun().is_none();
    engine::observe(db, act, &Fact::Element { element: Box::new(element), before, after }, now)?;
    if unanswered {
        // Accepted, but under which IUN? Asked now instead of when the stream has been silent for a day.
        jobs::enqueue_at(db, act, &Effect::AskRequest, ms(now), now)?;
    }
    Ok(true)
}

/// What the elements stored so far say, as it was saved with each recipient.
fn known_summary(db: &Connection, act: &ActRow) -> Result<Summary, StoreError> {
    let mut select = db.prepare_cached(
        "SELECT completed_at, perfection, unreachable, deceased, analog_cost, delivered FROM recipient WHERE act_id = ?1 ORDER BY idx",
    )?;
    let rows = select.query_map([act.id.0.as_bytes()], |row| {
        Ok((row.get::<_, Option<i64>>(0)?, row.get::<_, Option<String>>(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?))
    })?;
    let mut summary = Summary { accepted_at: act.accepted_at, ..Summary::default() };
    for row in rows {
        let (completed_at, perfection, unreachable, deceased, analog_cost, delivered) = row?;
        let how = perfection.map(|word| super::codec::word::<Perfection>(&word, "perfection")).transpose()?;
        let completion = completed_at.map(at).zip(how);
        summary.recipients.push(RecipientSummary { completion, delivered, unreachable, deceased, analog_cost });
    }
    Ok(summary)
}

/// The same, recomputed from every valid element.
fn load_summary(db: &Connection, act: &ActRow) -> Result<Summary, StoreError> {
    let mut select =
        db.prepare_cached("SELECT category, recipient, happened_at, analog_cost FROM timeline WHERE act_id = ?1 AND voided_by IS NULL")?;
    let elements: Vec<ElementFacts> = select
        .query_map([act.id.0.as_bytes()], |row| {
            Ok(ElementFacts { category: row.get(0)?, recipient: row.get(1)?, happened_at: at(row.get(2)?), analog_cost: row.get(3)? })
        })?
        .collect::<Result<_, _>>()?;
    Ok(timeline::summarise(&elements, act.recipients))
}

fn save_recipients(db: &Connection, act: &ActRow, before: &Summary, after: &Summary) -> Result<(), StoreError> {
    for (index, recipient) in after.recipients.iter().enumerate() {
        if before.recipients.get(index) == Some(recipient) {
            continue;
        }
        db.prepare_cached(
            "UPDATE recipient SET completed_at = ?3, perfection = ?4, unreachable = ?5, deceased = ?6, analog_cost = ?7, delivered = ?8 \
             WHERE act_id = ?1 AND idx = ?2",
        )?
        .execute(params![
            act.id.0.as_bytes(),
            index as i64,
            recipient.completion.map(|(when, _)| ms(when)),
            recipient.completion.map(|(_, how)| how.as_str()),
            recipient.unreachable,
            recipient.deceased,
            recipient.analog_cost,
            recipient.delivered,
        ])?;
    }
    Ok(())
}
