//! What an operator may look up and order: for the commands now, for the portal later.
//!
//! Every order names who gives it and why, and both stay in the history of what it is about. Orders can be refused, with a
//! sentence; looking never changes anything.

mod alerts;
mod books;
mod door;
mod error;
mod keeping;
mod person;
mod positions;
mod trial;
mod whereabouts;

pub use books::Wanted as BooksWanted;
pub use error::OperateError;
pub use keeping::{BackupFault, Keeper};
pub use person::{PersonEraser, TaxId};
pub use trial::{PtQuestion, Trier};
pub use whereabouts::Place;

use std::sync::Arc;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};

use super::daily::Ente;
use super::door::Desk;
use super::report::{
    ActDetail, ActEntry, ActReport, AlertEntry, BatchEntry, BatchList, BatchReport, ChannelOrder, ExportReport, OrderKind, OrderReport,
    RebuildReport, StatusReport, StoppedChannel, StuckEntry,
};
use super::who::Who;
use crate::clock::Clock;
use crate::domain::ids::ActId;
use crate::flow::event::Order;
use crate::flow::state::{HoldReason, State};
use crate::store::{ActView, BatchSummary, Ordered, STOP_CODES, Store};

/// Publishes files again; stands in the hub, which knows where gestionali read.
#[async_trait]
pub trait Publisher: Send + Sync {
    /// Every file of `source` (all gestionali: `None`), or its outcome files from number `from` on, marked as copies.
    async fn rebuild(&self, source: Option<&str>, from: Option<u64>) -> Result<RebuildReport, OperateError>;
    /// Exports of `source` (of all gestionali: `None`) from one to another, both numbers or both nights, as copies.
    async fn export(&self, _source: Option<&str>, _from: &str, _to: &str) -> Result<ExportReport, OperateError> {
        Err(OperateError::NoPublisher)
    }
}

/// Looks and orders on one store.
#[derive(Clone)]
pub struct Operator {
    pub store: Store,
    pub clock: Clock,
    /// Since when the hub runs; `None`: no hub, a command opened the store.
    since: Option<Timestamp>,
    publisher: Option<Arc<dyn Publisher>>,
    door: Option<Desk>,
    /// As they are configured when they are asked for.
    enti: Arc<dyn Fn() -> Vec<Ente> + Send + Sync>,
    keeper: Option<Arc<dyn Keeper>>,
    eraser: Option<Arc<dyn PersonEraser>>,
    trier: Option<Arc<dyn Trier>>,
    places: Arc<dyn Fn() -> Vec<Place> + Send + Sync>,
}

/// Characters of a reason.
pub const LONGEST_REASON: usize = 500;
/// Code with which the money guard parks what it holds.
const TOO_MANY_REFUSED: &str = "TROPPI_RIFIUTI";
const ALERTS: usize = 50;
/// Stopped positions that `status` lists.
const PARKED_POSITIONS: usize = 100;

impl Operator {
    /// For a running hub: what is ordered happens now.
    pub fn of_hub(store: Store, clock: Clock) -> Operator {
        Operator {
            store,
            clock,
            since: Some(clock.now()),
            publisher: None,
            door: None,
            enti: Arc::new(Vec::new),
            keeper: None,
            eraser: None,
            trier: None,
            places: Arc::new(Vec::new),
        }
    }

    /// For a command that opened the store itself: what is ordered happens at the next start.
    pub fn without_hub(store: Store, clock: Clock) -> Operator {
        Operator {
            store,
            clock,
            since: None,
            publisher: None,
            door: None,
            enti: Arc::new(Vec::new),
            keeper: None,
            eraser: None,
            trier: None,
            places: Arc::new(Vec::new),
        }
    }

    /// Lets it publish files again.
    pub fn with_publisher(self, publisher: Arc<dyn Publisher>) -> Operator {
        Operator { publisher: Some(publisher), ..self }
    }

    /// Lets it ask the SFTP door.
    pub fn with_door(self, door: Desk) -> Operator {
        Operator { door: Some(door), ..self }
    }

    /// Lets it report the days of these enti.
    pub fn with_enti(self, enti: impl Fn() -> Vec<Ente> + Send + Sync + 'static) -> Operator {
        Operator { enti: Arc::new(enti), ..self }
    }

    /// The hub in numbers.
    pub async fn status(&self) -> Result<StatusReport, OperateError> {
        let now = self.clock.now();
        let overview = self.store.overview().await?;
        let stopped = self.store.stopped_channels().await?;
        let week = now.checked_sub(SignedDuration::from_hours(7 * 24)).unwrap_or(Timestamp::UNIX_EPOCH);
        let alerts = self.store.alerts(week, ALERTS).await?;
        let orders = self.store.channel_orders(10).await?;
        Ok(StatusReport {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            running: self.since.is_some(),
            since: self.since,
            at: now,
            acts: overview.acts.into_iter().collect(),
            parked: overview.parked.into_iter().collect(),
            batches: overview.batches.into_iter().collect(),
            parked_batches: overview.parked_batches,
            jobs: overview.jobs.into_iter().collect(),
            oldest_due: overview.oldest_due,
            next_due: self.store.next_due().await?,
            stopped_channels: stopped.into_iter().map(|(channel, code, since)| StoppedChannel { channel, code, since }).collect(),
            channel_orders: orders.into_iter().map(|(channel, row)| ChannelOrder { channel, entry: row.into() }).collect(),
            troubles: self.troubles().await?,
            alerts: alerts.into_iter().map(AlertEntry::from).collect(),
            mail: self.store.mail_overview(now).await?,
            stuck: self.store.stuck(now).await?.into_iter().map(StuckEntry::from).collect(),
            paused_batches: self.store.paused_batches().await?,
            restored: self.restore_held().await?,
            parked_positions: self.store.parked_positions(None, None, PARKED_POSITIONS).await?,
        })
    }

    /// The newest batches.
    pub async fn batches(&self, limit: usize) -> Result<BatchList, OperateError> {
        let batches = self.store.batches(limit.clamp(1, 10_000)).await?;
        Ok(BatchList { batches: batches.into_iter().map(BatchEntry::from).collect() })
    }

    /// One batch, by its id or the beginning of it.
    pub async fn batch(&self, text: &str) -> Result<BatchReport, OperateError> {
        let batch = self.find_batch(text).await?;
        let id = batch.id;
        let guard = self.store.guard_of(id).await?;
        let held = self.store.held_for(id).await?;
        Ok(BatchReport {
            states: self.store.states_of_batch(id).await?.into_iter().collect(),
            guard: (guard.first > 0).then(|| guard.into()),
            held: held.map(|reason| reason.as_str().to_owned()),
            problems: self.store.problem_counts(id).await?.into_iter().map(Into::into).collect(),
            paused: self.store.pause_of(id).await?.map(|pause| pause.since),
            replay_of: self.store.replay_of(id).await?,
            history: self.store.history(id.0).await?.into_iter().map(Into::into).collect(),
            jobs: self.store.jobs_of(id.0).await?.into_iter().map(Into::into).collect(),
            files: self.store.publications_of(id.0).await?.into_iter().map(Into::into).collect(),
            batch: batch.into(),
        })
    }

    /// Acts with that reference, protocol, IUN, notice code or id, the newest in full.
    pub async fn act(&self, text: &str) -> Result<ActReport, OperateError> {
        let mut found = self.store.find_acts(text).await?.into_iter();
        let mut report = ActReport { acts: Vec::new(), others: Vec::new() };
        for act in found.by_ref().take(ActReport::MOST) {
            report.acts.push(self.detail(act).await?);
        }
        if report.acts.is_empty() {
            return Err(OperateError::ActNotFound { text: text.trim().to_owned() });
        }
        report.others = found.map(ActEntry::from).collect();
        Ok(report)
    }

    /// Resumes the suspended work of one act.
    pub async fn retry(&self, text: &str, who: &Who, why: &str) -> Result<OrderReport, OperateError> {
        let why = reason(why)?;
        let act = self.one_act(text).await?;
        self.still_kept(act.id.0).await?;
        if act.park_code.is_none() {
            return Err(OperateError::NotParked);
        }
        if act.hold.is_some() {
            return Err(OperateError::HeldNotParked);
        }
        if let Some(stop) = self.stop_of(&act.sender).await?
            && act.park_code.as_deref().is_some_and(|code| STOP_CODES.contains(&code))
        {
            return Err(OperateError::SenderStopped { channel: stop.channel });
        }
        if self.store.retry(Some(act.id), None, who.as_str(), &why, self.clock.now()).await? == 0 {
            return Err(OperateError::Stale);
        }
        self.about_act(OrderKind::Retry, &act, who, why).await
    }

    /// Resumes every act that was suspended with that code.
    pub async fn retry_code(&self, code: &str, who: &Who, why: &str) -> Result<OrderReport, OperateError> {
        let why = reason(why)?;
        let code = code.trim();
        if code == TOO_MANY_REFUSED {
            return Err(OperateError::HeldNotParked);
        }
        let mut count = 0;
        if STOP_CODES.contains(&code) {
            // Their enti are stopped: resumed with them, or they would be parked again.
            let parked = self.store.overview().await?.parked;
            count = parked.iter().find(|(parked, _)| parked == code).map_or(0, |(_, acts)| usize::try_from(*acts).unwrap_or(usize::MAX));
            for (channel, ..) in self.store.stopped_channels().await?.iter().filter(|(_, stopped, _)| stopped == code) {
                self.resume(channel, who, &why).await?;
            }
        }
        let count = self.store.retry(None, Some(code), who.as_str(), &why, self.clock.now()).await?.max(count);
        if count == 0 {
            return Err(OperateError::NoneParked { code: code.to_owned() });
        }
        Ok(OrderReport { count: count as u64, ..self.order(OrderKind::Retry, who, why) })
    }

    /// Cancels an act: withdrawn when nothing reached SEND, otherwise asked of SEND, now or as soon as SEND has decided about it.
    pub async fn cancel(&self, text: &str, who: &Who, why: &str) -> Result<OrderReport, OperateError> {
        let why = reason(why)?;
        let act = self.one_act(text).await?;
        let ordered = self.store.order(act.id, Order::Cancel, who.as_str(), &why, self.clock.now()).await?;
        let report = self.about_act(OrderKind::Cancel, &act, who, why).await?;
        Ok(OrderReport { remembered: ordered == Ordered::Remembered, ..report })
    }

    /// Lets one held act go.
    pub async fn release(&self, text: &str, who: &Who, why: &str) -> Result<OrderReport, OperateError> {
        let why = reason(why)?;
        let act = self.one_act(text).await?;
        self.store.order(act.id, Order::Release, who.as_str(), &why, self.clock.now()).await?;
        self.about_act(OrderKind::Release, &act, who, why).await
    }

    /// Lets the held acts of a batch go: those that the flow holds, or those behind the first ones once these have answered
    /// (before that only with `skip_guard`: every refusal is billed).
    pub async fn release_batch(&self, text: &str, skip_guard: bool, who: &Who, why: &str) -> Result<OrderReport, OperateError> {
        let why = reason(why)?;
        let batch = self.find_batch(text).await?;
        // Acts that are not started yet take the hold from their batch.
        let held = match batch.hold {
            Some(_) => Some(HoldReason::Operator),
            None => self.store.held_for(batch.id).await?,
        };
        let Some(held) = held else { return Err(self.nothing_held(&batch).await?) };
        if held == HoldReason::Guard && !skip_guard {
            let guard = self.store.guard_of(batch.id).await?;
            if guard.open > 0 {
                return Err(OperateError::GuardWaits { open: guard.open, first: guard.first });
            }
        }
        // Held as it came; since then its acts were started, and none of them waits any more.
        if held == HoldReason::Operator && self.store.is_started(batch.id).await? && self.store.held_for(batch.id).await? != Some(held) {
            return Err(self.nothing_held(&batch).await?);
        }
        let now = self.clock.now();
        self.store.note_batch_order(batch.id, "ORDINE_RILASCIA", who.as_str(), &why, now).await?;
        let mut count = 0;
        loop {
            // The reason stays the one it began with: what now waits for the first acts goes on waiting.
            let released = self.store.release_batch(batch.id, held, who.as_str(), &why, now).await?;
            count += released as u64;
            if released == 0 {
                break;
            }
        }
        Ok(OrderReport { batch: Some(batch.id), count, ..self.order(OrderKind::ReleaseBatch, who, why) })
    }

    /// Why nothing of a batch can be released.
    async fn nothing_held(&self, batch: &BatchSummary) -> Result<OperateError, OperateError> {
        let states = self.store.states_of_batch(batch.id).await?;
        let withdrawn = states.iter().find(|(state, _)| state == State::Withdrawn.name()).map_or(0, |(_, acts)| *acts);
        Ok(if withdrawn > 0 { OperateError::HeldWithdrawn { withdrawn } } else { OperateError::NothingHeld })
    }

    /// Resumes the suspended work of a batch itself: receipt, rejects, start of its acts.
    pub async fn retry_batch(&self, text: &str, who: &Who, why: &str) -> Result<OrderReport, OperateError> {
        let why = reason(why)?;
        let batch = self.find_batch(text).await?;
        self.still_kept(batch.id.0).await?;
        let count = self.store.retry_batch(batch.id, who.as_str(), &why, self.clock.now()).await?;
        if count == 0 {
            return Err(OperateError::BatchNotParked);
        }
        Ok(OrderReport { batch: Some(batch.id), count: count as u64, ..self.order(OrderKind::RetryBatch, who, why) })
    }

    /// Why an ente is stopped, if it is.
    async fn stop_of(&self, sender: &str) -> Result<Option<StoppedChannel>, OperateError> {
        let stopped = self.store.stopped_channels().await?;
        let stop = stopped.into_iter().find(|(channel, ..)| channel.split('/').next() == Some(sender));
        Ok(stop.map(|(channel, code, since)| StoppedChannel { channel, code, since }))
    }

    /// False: it was not stopped.
    async fn resume(&self, channel: &str, who: &Who, why: &str) -> Result<bool, OperateError> {
        let resumed = self.store.resume_channel_by(channel, who.as_str(), why, self.clock.now()).await?;
        while self.store.follow_stops(self.clock.now()).await? {}
        Ok(resumed)
    }

    /// Resumes a key that SEND refused, `<tax id of the ente>/<id of the key>`; with the last one, its ente and all its acts.
    pub async fn resume_channel(&self, channel: &str, who: &Who, why: &str) -> Result<OrderReport, OperateError> {
        let why = reason(why)?;
        let channel = channel.trim().to_owned();
        if !self.resume(&channel, who, &why).await? {
            return Err(OperateError::ChannelNotStopped { channel });
        }
        Ok(OrderReport { channel: Some(channel), count: 1, ..self.order(OrderKind::ResumeChannel, who, why) })
    }

    /// Publishes files again.
    pub async fn rebuild(&self, source: Option<&str>, from: Option<u64>) -> Result<RebuildReport, OperateError> {
        match &self.publisher {
            Some(publisher) => publisher.rebuild(source, from).await,
            None => Err(OperateError::NoPublisher),
        }
    }

    /// Writes exports again.
    pub async fn export(&self, source: Option<&str>, from: &str, to: &str) -> Result<ExportReport, OperateError> {
        match &self.publisher {
            Some(publisher) => publisher.export(source, from, to).await,
            None => Err(OperateError::NoPublisher),
        }
    }

    /// Refuses what needs the personal data of an act or a batch, once that was deleted; the sentence says when and why.
    pub async fn still_kept(&self, subject: uuid::Uuid) -> Result<(), OperateError> {
        match self.store.erased(subject).await? {
            Some(erased) => Err(OperateError::Erased { at: erased.at, cause: erased.cause }),
            None => Ok(()),
        }
    }

    async fn find_batch(&self, text: &str) -> Result<BatchSummary, OperateError> {
        let text = text.trim();
        let mut found = self.store.batches_like(text, 11).await?;
        match (found.pop(), found.is_empty()) {
            (None, _) => Err(OperateError::BatchNotFound { text: text.to_owned() }),
            (Some(batch), true) => Ok(batch),
            (Some(last), false) => {
                found.push(last);
                let candidates = found.iter().map(|batch| format!("{} {} {}", batch.id, batch.source, batch.state)).collect();
                Err(OperateError::AmbiguousBatch { text: text.to_owned(), candidates })
            }
        }
    }

    /// The act that an order is about: the one with that id or IUN, else the newest submission of the only act so called.
    async fn one_act(&self, text: &str) -> Result<ActView, OperateError> {
        let text = text.trim();
        let mut found = self.store.find_acts(text).await?;
        let id: Option<ActId> = text.parse().ok();
        if let Some(at) = found.iter().position(|act| Some(act.id) == id || act.iun.as_deref() == Some(text)) {
            return Ok(found.swap_remove(at));
        }
        found.sort_by_key(|act| std::cmp::Reverse(act.submission));
        let mut newest: Vec<ActView> = Vec::new();
        for act in found {
            let same = |other: &ActView| (&other.sender, &other.source, &other.reference) == (&act.sender, &act.source, &act.reference);
            if !newest.iter().any(same) {
                newest.push(act);
            }
        }
        match (newest.pop(), newest.is_empty()) {
            (None, _) => Err(OperateError::ActNotFound { text: text.to_owned() }),
            (Some(act), true) => Ok(act),
            (Some(last), false) => {
                newest.push(last);
                let line = |act: &ActView| format!("{} {} {} {} {}", act.id, act.sender, act.source, act.reference, act.state);
                Err(OperateError::AmbiguousAct { text: text.to_owned(), candidates: newest.iter().map(line).collect() })
            }
        }
    }

    async fn detail(&self, act: ActView) -> Result<ActDetail, OperateError> {
        let stop = self.stop_of(&act.sender).await?;
        let last_lines = self.store.last_lines(act.id).await?;
        let mut files: Vec<_> =
            self.store.publications_of(act.id.0).await?.into_iter().map(|file| super::report::masked(file.into())).collect();
        for line in &last_lines {
            for (folder, name) in self.store.outcome_files_with(&act.source, line.line).await? {
                let file = super::report::FileEntry { kind: "ESITO".to_owned(), folder, name, published: true };
                if !files.contains(&file) {
                    files.push(file);
                }
            }
        }
        Ok(ActDetail {
            batch_state: self.store.batch(act.batch).await?.state,
            channel_stopped: stop.as_ref().map(|stop| stop.code.clone()),
            stopped_channel: stop.map(|stop| stop.channel),
            recipients: self.store.recipients_of(act.id).await?.into_iter().map(Into::into).collect(),
            jobs: self.store.jobs_of(act.id.0).await?.into_iter().map(Into::into).collect(),
            legal_facts: self.store.legal_facts_of(act.id).await?.into_iter().map(Into::into).collect(),
            history: self.store.history(act.id.0).await?.into_iter().map(Into::into).collect(),
            positions: self.store.positions_of_act(act.id).await?,
            last_lines,
            files,
            act: act.into(),
        })
    }

    fn order(&self, order: OrderKind, who: &Who, why: String) -> OrderReport {
        tracing::info!(?order, "ordine di un operatore");
        OrderReport {
            order,
            batch: None,
            act: None,
            reference: None,
            channel: None,
            state: None,
            remembered: false,
            count: 1,
            who: who.as_str().to_owned(),
            why,
            running: self.since.is_some(),
        }
    }

    async fn about_act(&self, order: OrderKind, act: &ActView, who: &Who, why: String) -> Result<OrderReport, OperateError> {
        let after = self.store.find_acts(&act.id.to_string()).await?.into_iter().find(|found| found.id == act.id);
        Ok(OrderReport {
            batch: Some(act.batch),
            act: Some(act.id),
            reference: Some(act.reference.clone()),
            state: after.map(|after| after.state),
            ..self.order(order, who, why)
        })
    }
}

/// A reason that need not be given, as it is kept.
pub(super) fn kept_reason(given: Option<&str>) -> Result<Option<String>, OperateError> {
    given.map(reason).transpose()
}

/// Refuses an order whose reason is missing where one is `needed`, or may not be kept.
pub(super) fn reasoned(given: Option<&str>, needed: bool) -> Result<(), OperateError> {
    match given {
        None if !needed => Ok(()),
        given => reason(given.unwrap_or_default()).map(drop),
    }
}

/// The reason on one line, if it may be kept.
fn reason(text: &str) -> Result<String, OperateError> {
    let text: String = text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.is_empty() {
        return Err(OperateError::NoReason);
    }
    if text.chars().count() > LONGEST_REASON {
        return Err(OperateError::ReasonTooLong);
    }
    if text.split(|c: char| !c.is_ascii_alphanumeric()).any(looks_like_a_tax_id) {
        return Err(OperateError::ReasonWithTaxId);
    }
    Ok(text)
}

/// The shape of a person's codice fiscale: six letters, letters and digits where omocodia may put either, a letter at the end.
fn looks_like_a_tax_id(word: &str) -> bool {
    const SHAPE: &[u8; 16] = b"LLLLLLNNLNNLNNNL";
    word.len() == SHAPE.len()
        && word.bytes().zip(SHAPE).all(|(byte, shape)| match shape {
            b'L' => byte.is_ascii_alphabetic(),
            _ => byte.is_ascii_digit() || b"LMNPQRSTUV".contains(&byte.to_ascii_uppercase()),
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Stuck;
    use crate::text::it::operate as words;

    #[test]
    fn everything_that_may_be_stuck_has_its_words() {
        let codes = Stuck::codes();
        assert_eq!(codes.len(), 9);
        for code in codes {
            assert!(words::stuck(code).len() > 20, "{code}");
        }
    }

    #[test]
    fn reasons_are_one_line_short_and_name_nobody() {
        let long = "è".repeat(LONGEST_REASON + 1);
        let table = [
            ("chiesto dall'ufficio tributi", Ok("chiesto dall'ufficio tributi")),
            ("  due\nrighe\u{1b}[0m ", Ok("due righe [0m")),
            ("prot. ABCDEF12 del 22/11/2026, avviso 301000000000000001", Ok("prot. ABCDEF12 del 22/11/2026, avviso 301000000000000001")),
            (" \n", Err(OperateError::NoReason)),
            (long.as_str(), Err(OperateError::ReasonTooLong)),
            ("pagato da RSSMRA80A01H501U.", Err(OperateError::ReasonWithTaxId)),
            ("pagato da rssmra80a01h50mu", Err(OperateError::ReasonWithTaxId)),
        ];
        for (text, want) in table {
            assert_eq!(reason(text), want.map(str::to_owned), "reason {text:?}");
        }
    }
}
