//! Acts under way: facts recorded, material for the calls, uploads, prices, legal facts, orders.

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::batches::Staged;
use super::codec::{act_at, at, batch_at, digest, ms, optional, uuid_at};
use super::engine::{self, ActRow};
use super::jobs::{self, JobRef};
use super::position_acts;
use super::staging::{self, Latest, NewAct, decode_place};
use super::{CHUNK, Store, StoreError};
use crate::domain::act::Act;
use crate::domain::digest::Sha256;
use crate::domain::ids::{ActId, BatchId};
use crate::domain::send::Uploaded;
use crate::flow::definition::FlowDefinition;
use crate::flow::effect::Effect;
use crate::flow::event::{Fact, Order, OrderRefused};
use crate::flow::forecast::BASE_FEE;
use crate::flow::state::State;

/// Everything a call about an act may need. Holds personal data: never logged, never kept.
#[derive(Debug, Clone)]
pub struct SendMaterial {
    pub id: ActId,
    pub sender: String,
    pub source: String,
    pub key_id: String,
    pub flow: FlowDefinition,
    pub state: State,
    pub content: Act,
    pub protocol: Option<String>,
    pub token: String,
    pub request_id: Option<String>,
    pub iun: Option<String>,
    /// Archive that holds its files.
    pub archive: Sha256,
    pub bare: bool,
    /// Files already at SEND, by position in [`Act::files`].
    pub uploads: Vec<(u32, Uploaded)>,
    pub spend_day: Option<String>,
    pub notify_by: Option<Timestamp>,
}

/// What was found of several acts.
#[derive(Debug, Clone, Default)]
pub struct Materials {
    pub ready: Vec<SendMaterial>,
    /// Acts whose stored data cannot be decoded: a person is needed, for each by itself.
    pub unreadable: Vec<ActId>,
}

impl Materials {
    /// The material of one act.
    pub fn of(&self, act: ActId) -> Option<&SendMaterial> {
        self.ready.iter().find(|material| material.id == act)
    }
}

/// Whether the base fee of an act may be spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spend {
    Reserved,
    /// The ceiling of the day is reached.
    NotToday,
    /// The act by itself costs more than the ceiling: no day will do.
    Never,
    /// Nothing is sent: its batch is stopped, or a restored store was not released.
    Held,
}

/// An act as commands show it.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct ActView {
    pub id: ActId,
    pub sender: String,
    pub source: String,
    pub reference: String,
    pub submission: u32,
    pub batch: BatchId,
    pub flow: String,
    pub key_id: String,
    pub protocol: Option<String>,
    pub request_id: Option<String>,
    pub iun: Option<String>,
    pub state: String,
    pub hold: Option<String>,
    pub park_code: Option<String>,
    pub flag_code: Option<String>,
    pub recipients: u32,
    pub notify_by: Option<Timestamp>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub sent_at: Option<Timestamp>,
    pub accepted_at: Option<Timestamp>,
    pub closed_at: Option<Timestamp>,
    /// When its personal data was deleted.
    pub erased_at: Option<Timestamp>,
}

/// What became of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ordered {
    Done,
    /// A cancellation that waits until SEND has decided about the act.
    Remembered,
}

pub(super) const VIEW: &str = "id, sender, source, reference, submission, batch_id, flow, key_id, protocol, request_id, iun, state, hold, park_code, \
     flag_code, recipients, notify_by, created_at, updated_at, sent_at, accepted_at, closed_at, erased_at";

pub(super) fn read_view(row: &rusqlite::Row<'_>) -> rusqlite::Result<ActView> {
    let when = |index| row.get::<_, Option<i64>>(index).map(|value| value.map(at));
    Ok(ActView {
        id: act_at(row, 0)?,
        sender: row.get(1)?,
        source: row.get(2)?,
        reference: row.get(3)?,
        submission: row.get(4)?,
        batch: batch_at(row, 5)?,
        flow: row.get(6)?,
        key_id: row.get(7)?,
        protocol: row.get(8)?,
        request_id: row.get(9)?,
        iun: row.get(10)?,
        state: row.get(11)?,
        hold: row.get(12)?,
        park_code: row.get(13)?,
        flag_code: row.get(14)?,
        recipients: row.get(15)?,
        notify_by: when(16)?,
        created_at: at(row.get(17)?),
        updated_at: at(row.get(18)?),
        sent_at: when(19)?,
        accepted_at: when(20)?,
        closed_at: when(21)?,
        erased_at: when(22)?,
    })
}

/// Facts of a closed act still come: postal reports, costs, corrections. Milliseconds: 120 days.
pub(super) const LATE_FACTS: i64 = 120 * 86_400_000;

impl Store {
    /// Applies a fact to one act and ends the job that brought it: state, history, lines and follow-up jobs in one transaction.
    pub async fn record(&self, act: ActId, fact: Fact, job: Option<JobRef>, now: Timestamp) -> Result<(), StoreError> {
        self.write(move |db| record(db, act, &fact, job, now)).await?;
        self.ring();
        Ok(())
    }

    /// The same for many acts in one write, each all or nothing; answers in their order.
    pub async fn record_all(&self, facts: Vec<(ActId, Fact, JobRef)>, now: Timestamp) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        let outcomes = self.write(move |db| each(db, facts, |db, (act, fact, job)| record(db, act, &fact, Some(job), now))).await?;
        self.ring();
        Ok(outcomes)
    }

    /// Where an act is.
    pub async fn state_of(&self, act: ActId) -> Result<State, StoreError> {
        self.read(move |db| Ok(ActRow::load(db, act)?.state)).await
    }

    /// What calls about these acts need; acts that are gone or whose content was deleted are left out.
    pub async fn material(&self, acts: Vec<ActId>) -> Result<Materials, StoreError> {
        self.read(move |db| {
            let mut flows = Flows::default();
            let mut found = Materials::default();
            for act in acts {
                match load_material(db, act, &mut flows) {
                    Ok(material) => found.ready.extend(material),
                    Err(StoreError::Corrupt(_)) => found.unreadable.push(act),
                    Err(error) => return Err(error),
                }
            }
            Ok(found)
        })
        .await
    }

    /// The protocol given by the stage before upload, saved before anything is POSTed; one that the act has already stays.
    ///
    /// False: another live act of the ente has it and nothing was saved, by the rule that rows meet on arrival (an act that is
    /// forced takes it all the same).
    pub async fn save_protocol(&self, act: ActId, protocol: String) -> Result<bool, StoreError> {
        self.write(move |db| {
            let row = ActRow::load(db, act)?;
            if row.protocol.is_some() {
                return Ok(true);
            }
            let sql = "SELECT json FROM act_content WHERE act_id = ?1";
            let json: Option<String> = optional(db.prepare_cached(sql)?.query_row([act.0.as_bytes()], |row| row.get(0)))?;
            let forced = json.map(|json| serde_json::from_str::<Act>(&json)).transpose()?.is_some_and(|content| content.force.is_some());
            if !forced && staging::protocol_taken(db, &row, &protocol)? {
                return Ok(false);
            }
            db.prepare_cached("UPDATE act SET protocol = ?2 WHERE id = ?1")?.execute(params![act.0.as_bytes(), protocol])?;
            staging::claim_protocol(db, act, &row.sender, &protocol)?;
            Ok(true)
        })
        .await
    }

    /// Keeps version tokens: they appear once, in the answer to the upload.
    pub async fn save_uploads(&self, uploads: Vec<(ActId, u32, Uploaded)>) -> Result<(), StoreError> {
        self.write(move |db| {
            for (act, file, upload) in &uploads {
                db.prepare_cached(
                    "INSERT INTO upload (act_id, file, key, version_token, sha256, uploaded_at) VALUES (?1,?2,?3,?4,?5,?6) \
                     ON CONFLICT (act_id, file) DO UPDATE SET key = excluded.key, version_token = excluded.version_token, \
                     sha256 = excluded.sha256, uploaded_at = excluded.uploaded_at",
                )?
                .execute(params![
                    act.0.as_bytes(),
                    file,
                    upload.key,
                    upload.version_token,
                    upload.sha256.as_bytes(),
                    ms(upload.uploaded_at)
                ])?;
            }
            Ok(())
        })
        .await
    }

    /// Forgets uploads that SEND may have deleted.
    pub async fn forget_uploads(&self, act: ActId) -> Result<(), StoreError> {
        self.write(move |db| {
            db.prepare_cached("DELETE FROM upload WHERE act_id = ?1")?.execute([act.0.as_bytes()])?;
            Ok(())
        })
        .await
    }

    /// Reserves the base fee of an act in the ente's day, once per act.
    ///
    /// Called before every POST, ceiling or not: from here on SEND may have the act, and only what it says ends it. An act
    /// that was changed or withdrawn meanwhile, or whose job is another worker's by now, answers [`StoreError::Stale`] and must
    /// not be POSTed.
    /// Many acts go in one write, each all or nothing; answers in their order.
    pub async fn reserve_spends(
        &self,
        acts: Vec<(ActId, Option<JobRef>)>,
        day: &str,
        ceiling_cents: u64,
        now: Timestamp,
    ) -> Result<Vec<Result<Spend, StoreError>>, StoreError> {
        let day = day.to_owned();
        self.write(move |db| each(db, acts, |db, (act, job)| reserve_spend(db, act, job, &day, ceiling_cents, now))).await
    }

    /// Reserves `calls` calls of an ente's day, all or none, if that many are left below `limit` (0: no limit). They are spent from
    /// here on: a crash wastes what was reserved and not made, and never forgets a call.
    pub async fn reserve_calls(&self, sender: &str, day: &str, calls: u32, limit: u32) -> Result<bool, StoreError> {
        let (sender, day) = (sender.to_owned(), day.to_owned());
        self.write(move |db| {
            let used: i64 = optional(
                db.prepare_cached("SELECT calls FROM quota WHERE sender = ?1 AND day = ?2")?.query_row(params![sender, day], |row| row.get(0)),
            )?
            .unwrap_or(0);
            if limit > 0 && used + i64::from(calls) > i64::from(limit) {
                return Ok(false);
            }
            db.prepare_cached(
                "INSERT INTO quota (sender, day, calls, spent) VALUES (?1, ?2, ?3, 0) ON CONFLICT (sender, day) DO UPDATE SET calls = calls + ?3",
            )?
            .execute(params![sender, day, calls])?;
            Ok(true)
        })
        .await
    }

    /// Sends a technically refused act anew: a new submission with the same content. Ends the job.
    pub async fn resubmit(&self, act: ActId, job: JobRef, now: Timestamp) -> Result<(), StoreError> {
        self.write(move |db| {
            jobs::finish(db, job)?;
            let row = ActRow::load(db, act)?;
            let (place, flow_digest, content_batch, content, notify_by): (String, Vec<u8>, uuid::Uuid, Option<String>, Option<i64>) = db.query_row(
                "SELECT a.place, a.flow_digest, a.content_batch, c.json, a.notify_by FROM act a LEFT JOIN act_content c ON c.act_id = a.id WHERE a.id = ?1",
                [act.0.as_bytes()],
                |row| Ok((row.get(0)?, row.get(1)?, uuid_at(row, 2)?, row.get(3)?, row.get(4)?)),
            )?;
            let latest = Latest::load(db, &row.sender, &row.source, &row.reference)?;
            let (Some(content), Some(latest)) = (content, latest) else { return Ok(()) };
            if !matches!(row.state, State::Refused { .. }) {
                return Ok(()); // SEND had accepted it after all
            }
            if latest.uncertain {
                // A batch under reading brings it again, but may yet be refused: asked again in a minute.
                return jobs::enqueue_at(db, &row, &Effect::Resubmit, ms(now) + 60_000, now);
            }
            if latest.id != act || latest.last_submission != row.submission {
                return Ok(()); // the gestionale was quicker
            }
            let staged = Staged {
                act: serde_json::from_str(&content)?,
                place: decode_place(&place),
                key_id: row.key_id.clone(),
                notify_by: notify_by.map(at),
            };
            // A protocol that was given after the row came is claimed too.
            let forced = staged.act.force.is_some();
            let late = row.protocol.as_deref().filter(|_| !forced && staged.act.protocol.is_none());
            let late_taken = late.map(|protocol| staging::protocol_taken(db, &row, protocol)).transpose()?;
            if late_taken == Some(true) || !staging::conflicts(db, row.batch, &row.source, &staged.act)?.is_empty() {
                // Another act has taken its notice or protocol: a person of the office decides.
                return jobs::enqueue_effect(db, &row, &Effect::WriteReject, now);
            }
            let new = NewAct {
                batch: row.batch,
                source: &row.source,
                flow: &row.flow,
                flow_digest: &flow_digest,
                row: &staged,
                content: staging::content_of(&staged.act),
                submission: row.submission + 1,
                replaces: None,
                resubmissions: row.resubmissions + 1,
                staged: false,
            };
            let id = staging::insert_act(db, &new, now)?;
            db.prepare_cached("UPDATE act SET content_batch = ?2, protocol = ?3 WHERE id = ?1")?.execute(params![
                id.0.as_bytes(),
                content_batch.as_bytes(),
                row.protocol
            ])?;
            if let Some(protocol) = &row.protocol {
                staging::claim_protocol(db, id, &row.sender, protocol)?;
            }
            let mut fresh = ActRow::load(db, id)?;
            position_acts::route_act(db, &mut fresh)?;
            engine::begin(db, &mut fresh, None, "REINVIO_AUTOMATICO", None, now)?;
            position_acts::join(db, &fresh, now)
        })
        .await?;
        self.ring();
        Ok(())
    }

    /// An order about one act, from an operator or over the control socket. A cancellation that cannot be carried out before SEND
    /// has decided about the act is kept, and carried out then.
    pub async fn order(&self, act: ActId, order: Order, who: &str, why: &str, now: Timestamp) -> Result<Ordered, StoreError> {
        let (who, why) = (who.to_owned(), why.to_owned());
        let ordered = self
            .write(move |db| {
                let mut row = ActRow::load(db, act)?;
                let carried_out = match order {
                    Order::Release => engine::release(db, &mut row, &who, &why, now),
                    Order::Cancel | Order::Modify => engine::command(db, &mut row, order, &who, &why, now),
                };
                match carried_out {
                    Err(StoreError::Order(OrderRefused::NoIunYet)) => {
                        super::cancelling::remember(db, &row, &who, &why, now)?;
                        Ok(Ordered::Remembered)
                    }
                    other => other.map(|()| Ordered::Done),
                }
            })
            .await?;
        self.ring();
        Ok(ordered)
    }

    /// Notices of one recipient whose price is asked: (creditor, notice).
    pub async fn notices(&self, act: ActId, recipient: u32) -> Result<Vec<(String, String)>, StoreError> {
        self.read(move |db| {
            let mut select = db.prepare_cached(
                "SELECT creditor, notice_code FROM notice WHERE act_id = ?1 AND recipient = ?2 AND apply_cost = 1 ORDER BY item",
            )?;
            Ok(select.query_map(params![act.0.as_bytes(), recipient], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// Terms that come near: acts not yet accepted whose term is within 15, 5 or 1 days are told, once each. Answers how many.
    pub async fn tell_deadlines(&self, now: Timestamp) -> Result<usize, StoreError> {
        self.write(move |db| {
            let mut told = 0;
            for days in [1i64, 5, 15] {
                let mut select = db.prepare_cached(
                    "SELECT id FROM act WHERE notify_by IS NOT NULL AND accepted_at IS NULL AND live = 1 AND staged = 0 \
                     AND notify_by <= ?1 AND (deadline_told IS NULL OR deadline_told > ?2) LIMIT 500",
                )?;
                let acts: Vec<ActId> =
                    select.query_map(params![ms(now) + days * 86_400_000, days], |row| act_at(row, 0))?.collect::<Result<_, _>>()?;
                for id in acts {
                    let act = ActRow::load(db, id)?;
                    db.prepare_cached("UPDATE act SET deadline_told = ?2 WHERE id = ?1")?.execute(params![id.0.as_bytes(), days])?;
                    engine::raise_alert(db, "TERMINE_VICINO", Some(&act), &format!("{days} giorni, {}", act.state.name()), now)?;
                    told += 1;
                }
            }
            Ok(told)
        })
        .await
    }

    /// Queues a re-reading of every open act that SEND has not spoken of since `silent_since`, or of all those of a channel
    /// whose stream was lost. Up to a thousand a call; answers how many, 0 when none is left.
    pub async fn resync(&self, silent_since: Timestamp, channel: Option<&str>, now: Timestamp) -> Result<usize, StoreError> {
        let channel = channel.map(str::to_owned);
        let queued = self
            .write(move |db| {
                let mut select = db.prepare_cached(
                    "SELECT id FROM act WHERE (state IN ('INVIATO', 'IN_CONSEGNA', 'IN_ANNULLAMENTO') \
                     OR (?2 IS NOT NULL AND state IN ('PERFEZIONATO', 'ANNULLATO') AND closed_at > ?4)) AND heard_at <= ?1 \
                     AND (?2 IS NULL OR sender || '/' || key_id = ?2) LIMIT ?3",
                )?;
                let acts: Vec<ActId> = select
                    .query_map(params![ms(silent_since), channel, CHUNK as i64, ms(now) - LATE_FACTS], |row| act_at(row, 0))?
                    .collect::<Result<_, _>>()?;
                for id in &acts {
                    let mut act = ActRow::load(db, *id)?;
                    let effect = if act.iun.is_some() { Effect::Resync } else { Effect::AskRequest };
                    // Not found by the next call; silent again a day later when this reading brings nothing.
                    let heard = if channel.is_some() { ms(silent_since) + 1 } else { ms(silent_since) + 86_400_000 };
                    db.prepare_cached("UPDATE act SET heard_at = ?2 WHERE id = ?1")?.execute(params![id.0.as_bytes(), heard])?;
                    // A reading that waits for a person is not begun again without one.
                    if !jobs::is_parked(db, *id, &effect)? {
                        jobs::enqueue_at(db, &act, &effect, ms(now), now)?;
                        engine::settle_park(db, &mut act)?;
                    }
                }
                Ok(acts.len())
            })
            .await?;
        self.ring();
        Ok(queued)
    }
}

/// Definitions read so far: those of many acts are few.
#[derive(Default)]
pub(super) struct Flows(Vec<(Vec<u8>, FlowDefinition)>);

impl Flows {
    pub fn of(&mut self, db: &Connection, digest: Vec<u8>) -> Result<FlowDefinition, StoreError> {
        if let Some((_, flow)) = self.0.iter().find(|(known, _)| *known == digest) {
            return Ok(flow.clone());
        }
        let json: String =
            db.prepare_cached("SELECT json FROM flow_definition WHERE digest = ?1")?.query_row([&digest], |row| row.get(0))?;
        let flow: FlowDefinition = serde_json::from_str(&json)?;
        self.0.push((digest, flow.clone()));
        Ok(flow)
    }
}

fn load_material(db: &Connection, id: ActId, flows: &mut Flows) -> Result<Option<SendMaterial>, StoreError> {
    let found = db
        .prepare_cached(
            "SELECT a.sender, a.source, a.key_id, a.flow_digest, a.state_data, c.json, a.protocol, a.token, a.request_id, a.iun, b.sha256, \
             b.bare, a.spend_day, a.notify_by FROM act a JOIN act_content c ON c.act_id = a.id JOIN batch b ON b.id = a.content_batch \
             WHERE a.id = ?1",
        )?
        .query_row([id.0.as_bytes()], |row| {
            Ok((
                (row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?),
                (row.get::<_, Vec<u8>>(3)?, row.get::<_, String>(4)?, row.get::<_, String>(5)?),
                (
                    row.get::<_, Option<String>>(6)?,
                    row.get::<_, String>(7)?,
                    row.get::<_, Option<String>>(8)?,
                    row.get::<_, Option<String>>(9)?,
                ),
                (
                    row.get::<_, Option<Vec<u8>>>(10)?,
                    row.get::<_, bool>(11)?,
                    row.get::<_, Option<String>>(12)?,
                    row.get::<_, Option<i64>>(13)?,
                ),
            ))
        });
    let Some((owner, encoded, names, rest)) = optional(found)? else { return Ok(None) };
    let mut select =
        db.prepare_cached("SELECT file, key, version_token, sha256, uploaded_at FROM upload WHERE act_id = ?1 ORDER BY file")?;
    let uploads = select
        .query_map([id.0.as_bytes()], |row| {
            Ok((
                row.get(0)?,
                Uploaded {
                    key: row.get(1)?,
                    version_token: row.get(2)?,
                    sha256: digest(row.get(3)?).unwrap_or(Sha256::from_bytes([0; 32])),
                    uploaded_at: at(row.get(4)?),
                },
            ))
        })?
        .collect::<Result<Vec<_>, _>>()?;
    let content: Act = serde_json::from_str(&encoded.2)?;
    // An upload that ended after the act was changed is of another file.
    let uploads = uploads
        .into_iter()
        .filter(|(file, upload): &(u32, Uploaded)| {
            let wanted = content.files().nth(*file as usize).map(|file| file.stored.map(|stored| stored.sha256));
            wanted.is_some_and(|sha256| sha256.is_none_or(|sha256| sha256 == upload.sha256))
        })
        .collect();
    Ok(Some(SendMaterial {
        id,
        sender: owner.0,
        source: owner.1,
        key_id: owner.2,
        flow: flows.of(db, encoded.0)?,
        state: serde_json::from_str(&encoded.1)?,
        content,
        protocol: names.0,
        token: names.1,
        request_id: names.2,
        iun: names.3,
        archive: rest.0.and_then(digest).ok_or_else(|| StoreError::Corrupt("batch without digest".to_owned()))?,
        bare: rest.1,
        uploads,
        spend_day: rest.2,
        notify_by: rest.3.map(at),
    }))
}

/// Runs a change for each of many, each in a savepoint of its own.
pub(super) fn each<A, T>(
    db: &Connection,
    list: Vec<A>,
    change: impl Fn(&Connection, A) -> Result<T, StoreError>,
) -> Result<Vec<Result<T, StoreError>>, StoreError> {
    let mut outcomes = Vec::with_capacity(list.len());
    for one in list {
        match super::guarded(db, |db| change(db, one)) {
            (Err(error), super::Change::Torn) => return Err(error),
            (outcome, _) => outcomes.push(outcome),
        }
    }
    Ok(outcomes)
}

fn record(db: &Connection, act: ActId, fact: &Fact, job: Option<JobRef>, now: Timestamp) -> Result<(), StoreError> {
    if let Some(job) = job {
        jobs::finish(db, job)?;
    }
    let mut row = ActRow::load(db, act)?;
    if let Fact::PriceKnown { recipient, total, paper } = fact {
        let told: Option<(Option<i64>, Option<i64>, i64)> = optional(
            db.prepare_cached("SELECT citizen_cost, citizen_paper, analog_cost FROM recipient WHERE act_id = ?1 AND idx = ?2")?
                .query_row(params![act.0.as_bytes(), recipient], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))),
        )?;
        let (known, of, now_known) = told.unwrap_or_default();
        let paper = paper.unwrap_or(now_known);
        let sql = "UPDATE recipient SET citizen_cost = ?3, citizen_paper = ?4 WHERE act_id = ?1 AND idx = ?2";
        db.prepare_cached(sql)?.execute(params![act.0.as_bytes(), recipient, total, paper])?;
        if known == Some(*total) {
            // Read again: nothing to tell. Of other paper than before it counts anew.
            return if of != Some(paper) && row.positions > 0 { super::position_acts::stir(db, act, now) } else { Ok(()) };
        }
    }
    let nameless = row.request_id.is_none();
    engine::observe(db, &mut row, fact, now)?;
    if nameless && row.request_id.is_some() {
        super::streams::adopt_orphans(db, &mut row, now)?;
    }
    Ok(())
}

fn reserve_spend(
    db: &Connection,
    act: ActId,
    job: Option<JobRef>,
    day: &str,
    ceiling_cents: u64,
    now: Timestamp,
) -> Result<Spend, StoreError> {
    let found: Option<(String, i64, Option<String>)> = optional(
        db.prepare_cached(
            "SELECT sender, recipients, spend_day FROM act WHERE id = ?1 AND state = 'IN_INVIO' \
             AND (?2 IS NULL OR EXISTS (SELECT 1 FROM job WHERE id = ?2 AND fence = ?3))",
        )?
        .query_row(params![act.0.as_bytes(), job.map(|job| job.id.as_bytes().to_vec()), job.map(|job| job.fence)], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        }),
    )?;
    let Some((sender, recipients, reserved)) = found else { return Err(StoreError::Stale) };
    // The last gate before a POST, whatever leased the job.
    if super::restore::is_held(db)? || super::pause::holds(db, act)? {
        return Ok(Spend::Held);
    }
    if reserved.is_some() {
        return Ok(Spend::Reserved);
    }
    let cost = recipients * i64::try_from(BASE_FEE).unwrap_or(i64::MAX);
    let ceiling = i64::try_from(ceiling_cents).unwrap_or(i64::MAX);
    if ceiling > 0 && cost > ceiling {
        return Ok(Spend::Never);
    }
    let spent: i64 = optional(
        db.prepare_cached("SELECT spent FROM quota WHERE sender = ?1 AND day = ?2")?.query_row(params![sender, day], |row| row.get(0)),
    )?
    .unwrap_or(0);
    if ceiling > 0 && spent + cost > ceiling {
        super::alerts::quota_reached(db, super::alerts::MONEY_SPENT, &sender, day, ceiling_cents, now)?;
        return Ok(Spend::NotToday);
    }
    db.prepare_cached(
        "INSERT INTO quota (sender, day, calls, spent) VALUES (?1, ?2, 0, ?3) ON CONFLICT (sender, day) DO UPDATE SET spent = spent + ?3",
    )?
    .execute(params![sender, day, cost])?;
    db.prepare_cached("UPDATE act SET spend_day = ?2 WHERE id = ?1")?.execute(params![act.0.as_bytes(), day])?;
    Ok(Spend::Reserved)
}
