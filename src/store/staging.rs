//! Rows on their way in: what the store says of each, and how an accepted one is kept until its whole batch is.
//!
//! Rows of a trial (`in/prova/`) are kept under a source of their own, so that they meet what is live but are met by nobody.

use jiff::Timestamp;
use jiff::civil::Date;
use rusqlite::{Connection, params};

use super::batches::{Claim, Conflict, Staged, Unstaged, Verdict};
use super::codec::{act_at, batch_at, digest, key_of, ms, optional};
use super::engine::ActRow;
use super::{CHUNK, StoreError};
use crate::batch::row::Place;
use crate::clock;
use crate::domain::act::{Act, Action, Payment};
use crate::domain::digest::Sha256;
use crate::domain::ids::{ActId, BatchId};
use crate::flow::state::{STATE_VERSION, State};
use crate::flow::step::ActFacts;

/// The batch that rows are staged for.
pub(super) struct StagingBatch {
    pub id: BatchId,
    pub source: String,
    pub flow: String,
    pub flow_digest: Vec<u8>,
    pub dry_run: bool,
    /// It is read again from the archive of this one.
    pub replay_of: Option<BatchId>,
}

impl StagingBatch {
    /// The batch, while it is being read.
    pub fn load(db: &Connection, id: BatchId) -> Result<StagingBatch, StoreError> {
        let found =
            optional(
                db.prepare_cached("SELECT source, flow, flow_digest, dry_run FROM batch WHERE id = ?1 AND state = 'IN_LETTURA'")?
                    .query_row([id.0.as_bytes()], |row| {
                        Ok((
                            row.get::<_, String>(0)?,
                            row.get::<_, Option<String>>(1)?,
                            row.get::<_, Option<Vec<u8>>>(2)?,
                            row.get::<_, bool>(3)?,
                        ))
                    }),
            )?;
        let Some((source, flow, flow_digest, dry_run)) = found else { return Err(StoreError::Stale) };
        let (Some(flow), Some(flow_digest)) = (flow, flow_digest) else { return Err(StoreError::NotFound("flow")) };
        // One that is read from its own archive, after a restore, is read for the first time.
        let replay_of = super::replay::replay_of(db, id)?.filter(|of| *of != id);
        Ok(StagingBatch { id, source, flow, flow_digest, dry_run, replay_of })
    }

    /// Whose rows these are, in the table. A gestionale's own name has no colon.
    fn row_source(&self) -> String {
        if self.dry_run { format!("prova:{}", self.id) } else { self.source.clone() }
    }
}

pub(super) fn stage_row(db: &Connection, batch: &StagingBatch, mut row: Staged, now: Timestamp) -> Result<Verdict, StoreError> {
    let latest = Latest::load(db, &row.act.sender_tax_id, &batch.source, &row.act.reference)?;
    let refused = latest.as_ref().is_some_and(|latest| matches!(latest.state, State::Refused { .. }));
    // The reject of a change that SEND refused comes back as it was, corrected: there is nothing left to change, it is sent anew.
    if refused && row.act.action == Action::Modify {
        row.act.action = Action::Insert;
    }
    let act = &row.act;
    if let Some(first) = batch.replay_of {
        // Read again: what is known stays as it is, whatever became of it. Nothing is sent, changed or cancelled a second time.
        let known = act.action == Action::Insert && latest.as_ref().is_some_and(|latest| latest.content == Some(content_of(act)));
        if known || super::replay::was_taken(db, first, batch.id, row.place.ordinal as i64)? {
            return Ok(Verdict::Duplicate);
        }
    }
    if act.action.is_bare() || act.action == Action::Modify {
        // An act of a batch that is still being read may yet be thrown away.
        let Some(latest) = latest.filter(|latest| !latest.uncertain || latest.batch == batch.id) else { return Ok(Verdict::Unknown) };
        let goes_again = act.action == Action::Cancel && super::cancelling::is_about_to_go_again(db, latest.id)?;
        if !latest.state.is_live() && !goes_again {
            return Ok(Verdict::Closed);
        }
        if act.action == Action::Modify {
            if !latest.is_unsent() {
                return Ok(Verdict::AlreadySent);
            }
            // What the flow decides (taxonomy, 890 or AR, fees) was decided when the act came.
            if latest.flow != batch.flow {
                return Ok(Verdict::OtherFlow(latest.flow));
            }
            let conflicts = conflicts(db, batch.id, &batch.source, act)?;
            if !conflicts.is_empty() {
                return Ok(Verdict::Conflicts(conflicts));
            }
        }
        keep_order(db, batch.id, latest.id, &row)?;
        return Ok(Verdict::New);
    }
    let content = content_of(act);
    let mut replaces = None;
    let submission = latest.as_ref().map_or(1, |latest| latest.last_submission + 1);
    match latest {
        None if act.action == Action::Replace => return Ok(Verdict::Unknown),
        Some(latest) if latest.state.is_live() => {
            let foreign = latest.uncertain && latest.batch != batch.id;
            let same = latest.content == Some(content) && !foreign;
            if act.action == Action::Insert || foreign {
                return Ok(if same { Verdict::Duplicate } else { Verdict::Exists });
            }
            if same && latest.replaces {
                return Ok(Verdict::Duplicate); // the same replacement, ordered twice
            }
            replaces = Some(latest.id);
        }
        None | Some(_) => {}
    }
    let conflicts = conflicts(db, batch.id, &batch.source, act)?;
    if !conflicts.is_empty() {
        return Ok(Verdict::Conflicts(conflicts));
    }
    let source = batch.row_source();
    let new = NewAct {
        batch: batch.id,
        source: &source,
        flow: &batch.flow,
        flow_digest: &batch.flow_digest,
        row: &row,
        content,
        submission,
        replaces,
        resubmissions: 0,
        staged: true,
    };
    insert_act(db, &new, now)?;
    if let Some(old) = replaces {
        keep_order(db, batch.id, old, &row)?;
    }
    Ok(Verdict::New)
}

/// What a new act row is made of.
pub(super) struct NewAct<'a> {
    pub batch: BatchId,
    pub source: &'a str,
    pub flow: &'a str,
    pub flow_digest: &'a [u8],
    pub row: &'a Staged,
    pub content: Sha256,
    pub submission: u32,
    pub replaces: Option<ActId>,
    pub resubmissions: u32,
    pub staged: bool,
}

pub(super) fn insert_act(db: &Connection, new: &NewAct<'_>, now: Timestamp) -> Result<ActId, StoreError> {
    let id = ActId(clock::new_uuid());
    let act = &new.row.act;
    let state = State::Preparing;
    db.prepare_cached(
        "INSERT INTO act (id, sender, source, reference, submission, batch_id, content_batch, ordinal, row, place, flow, flow_digest, key_id, \
         protocol, token, staged, state, state_data, state_version, revision, live, content_digest, recipients, applies_cost, amount, notify_by, \
         replaces, resubmissions, created_at, updated_at, files) \
         VALUES (?1,?2,?3,?4,?5,?6,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17,?18,0,1,?19,?20,?21,?22,?23,?24,?25,?26,?26,?27)",
    )?
    .execute(params![
        id.0.as_bytes(),
        act.sender_tax_id,
        new.source,
        act.reference,
        new.submission,
        new.batch.0.as_bytes(),
        new.row.place.ordinal as i64,
        new.row.place.row as i64,
        encode_place(&new.row.place),
        new.flow,
        new.flow_digest,
        new.row.key_id,
        act.protocol,
        token(&act.sender_tax_id, new.source, &act.reference, new.submission),
        new.staged,
        state.name(),
        serde_json::to_string(&state)?,
        STATE_VERSION,
        new.content.as_bytes(),
        act.recipients.len() as i64,
        applies_cost(act),
        act.amount.map(|amount| amount.get()),
        new.row.notify_by.map(ms),
        new.replaces.map(|old| old.0.as_bytes().to_vec()),
        new.resubmissions,
        ms(now),
        act.files().count() as i64,
    ])?;
    write_content(db, id, act)?;
    Ok(id)
}

/// Whether SEND's cost is added to what the citizen pays for it.
pub(super) fn applies_cost(act: &Act) -> bool {
    let mut payments = act.recipients.iter().flat_map(|recipient| &recipient.payments);
    payments.any(|payment| matches!(payment, Payment::PagoPa { apply_cost: true, .. }))
}

/// The act's deletable content and everything derived from it.
pub(super) fn write_content(db: &Connection, id: ActId, act: &Act) -> Result<(), StoreError> {
    let bytes = id.0.as_bytes();
    db.prepare_cached("INSERT INTO act_content (act_id, json) VALUES (?1, ?2) ON CONFLICT (act_id) DO UPDATE SET json = excluded.json")?
        .execute(params![bytes, serde_json::to_string(act)?])?;
    write_live_keys(db, id, act)?;
    for (index, recipient) in act.recipients.iter().enumerate() {
        db.prepare_cached("INSERT INTO recipient (act_id, idx) VALUES (?1, ?2) ON CONFLICT DO NOTHING")?
            .execute(params![bytes, index as i64])?;
        for (item, payment) in recipient.payments.iter().enumerate() {
            if let Payment::PagoPa { notice_code, creditor_tax_id, apply_cost, .. } = payment {
                db.prepare_cached(
                    "INSERT INTO notice (act_id, recipient, item, creditor, notice_code, apply_cost) VALUES (?1,?2,?3,?4,?5,?6)",
                )?
                .execute(params![bytes, index as i64, item as i64, creditor_tax_id, notice_code, apply_cost])?;
            }
        }
    }
    Ok(())
}

/// Claims what may stand in only one live act.
pub(super) fn write_live_keys(db: &Connection, id: ActId, act: &Act) -> Result<(), StoreError> {
    for LiveKey { claim, key, .. } in live_keys(act) {
        db.prepare_cached("INSERT INTO live_key (kind, key, act_id) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING")?.execute(params![
            claim.kind(),
            key,
            id.0.as_bytes()
        ])?;
    }
    Ok(())
}

/// Claims a protocol that was given after the row was accepted.
pub(super) fn claim_protocol(db: &Connection, id: ActId, sender: &str, protocol: &str) -> Result<(), StoreError> {
    db.prepare_cached("INSERT INTO live_key (kind, key, act_id) VALUES ('P', ?1, ?2) ON CONFLICT DO NOTHING")?
        .execute(params![key_of(&[sender, protocol]), id.0.as_bytes()])?;
    Ok(())
}

/// The digest of what would be served, whatever the row ordered.
pub(super) fn content_of(act: &Act) -> Sha256 {
    if act.action == Action::Insert { act.content_digest() } else { Act { action: Action::Insert, ..act.clone() }.content_digest() }
}

/// `idempotenceToken`: the same for every technical repetition of one submission, never random.
pub(super) fn token(sender: &str, source: &str, reference: &str, submission: u32) -> String {
    let mut hasher = crate::domain::digest::Hasher::new();
    for part in [sender, source, reference, &submission.to_string()] {
        hasher.update(part.as_bytes());
        hasher.update(&[0]);
    }
    hasher.finish().to_hex()
}

/// The protocol of an act that has none: no protocollo informatico is connected, so the reference of the gestionale stands in.
pub fn stand_in_protocol(reference: &str) -> String {
    reference.chars().take(256).collect()
}

/// The submission of an act that counts: the newest live one, or else the newest.
pub(super) struct Latest {
    pub id: ActId,
    pub state: State,
    pub content: Option<Sha256>,
    /// The highest number given, of whatever submission.
    pub last_submission: u32,
    /// Its batch is still being read and may be refused.
    pub uncertain: bool,
    pub batch: BatchId,
    /// It is itself a replacement.
    pub replaces: bool,
    flow: String,
    posted: bool,
}

impl Latest {
    pub fn load(db: &Connection, sender: &str, source: &str, reference: &str) -> Result<Option<Latest>, StoreError> {
        let found = optional(
            db.prepare_cached(
                "SELECT id, state_data, content_digest, staged AND EXISTS (SELECT 1 FROM batch b WHERE b.id = batch_id AND b.state = 'IN_LETTURA'), \
                 batch_id, replaces IS NOT NULL, spend_day IS NOT NULL, \
                 (SELECT max(b.submission) FROM act b WHERE b.sender = ?1 AND b.source = ?2 AND b.reference = ?3), flow \
                 FROM act WHERE sender = ?1 AND source = ?2 AND reference = ?3 ORDER BY live DESC, submission DESC LIMIT 1",
            )?
            .query_row([sender, source, reference], |row| {
                let latest = Latest {
                    id: act_at(row, 0)?,
                    state: State::Preparing,
                    content: digest(row.get(2)?),
                    last_submission: row.get(7)?,
                    uncertain: row.get(3)?,
                    batch: batch_at(row, 4)?,
                    replaces: row.get(5)?,
                    posted: row.get(6)?,
                    flow: row.get(8)?,
                };
                Ok((latest, row.get::<_, String>(1)?))
            }),
        )?;
        found.map(|(latest, state)| Ok(Latest { state: serde_json::from_str(&state)?, ..latest })).transpose()
    }

    fn is_unsent(&self) -> bool {
        let facts = ActFacts { posted: self.posted, ..ActFacts::default() };
        facts.is_unsent(&self.state)
    }
}

/// Something of an act that may stand in only one live act.
struct LiveKey<'a> {
    claim: Claim,
    key: Vec<u8>,
    found: &'a str,
    recipient: usize,
    item: usize,
}

impl Claim {
    /// As it is kept.
    fn kind(self) -> &'static str {
        match self {
            Claim::Protocol => "P",
            Claim::Document => "D",
            Claim::Notice => "N",
        }
    }
}

/// All of them.
fn live_keys(act: &Act) -> Vec<LiveKey<'_>> {
    let mut keys = Vec::new();
    if let Some(protocol) = &act.protocol {
        let key = key_of(&[&act.sender_tax_id, protocol]);
        keys.push(LiveKey { claim: Claim::Protocol, key, found: protocol, recipient: 0, item: 0 });
    }
    if let Some((main, stored)) = act.documents.first().and_then(|main| Some((main, main.stored?))) {
        for (recipient, who) in act.recipients.iter().enumerate() {
            let key = key_of(&[&act.sender_tax_id, &stored.sha256.to_hex(), &who.tax_id]);
            keys.push(LiveKey { claim: Claim::Document, key, found: &main.file, recipient, item: 0 });
        }
    }
    let mut last = (usize::MAX, 0);
    for (recipient, creditor, notice) in act.notices() {
        last = if last.0 == recipient { (recipient, last.1 + 1) } else { (recipient, 0) };
        keys.push(LiveKey { claim: Claim::Notice, key: key_of(&[creditor, notice]), found: notice, recipient, item: last.1 });
    }
    keys
}

/// What of the act stands in other live ones. Submissions of the same act wait for each other and do not count.
pub(super) fn conflicts(db: &Connection, batch: BatchId, source: &str, act: &Act) -> Result<Vec<Conflict>, StoreError> {
    let mut conflicts: Vec<Conflict> = Vec::new();
    for LiveKey { claim, key, found, recipient, item } in live_keys(act) {
        // A reason given by the office overrules what is only unlikely; a notice is unique on the whole platform.
        if act.force.is_some() && claim != Claim::Notice {
            continue;
        }
        let own = (act.sender_tax_id.as_str(), source, act.reference.as_str());
        if let Some(other) = holder(db, claim.kind(), &key, own, batch)? {
            // A document for several people is one mistake.
            if claim == Claim::Document && conflicts.iter().any(|known| known.claim == claim && known.other == other) {
                continue;
            }
            conflicts.push(Conflict { claim, found: found.to_owned(), other, recipient, item });
        }
    }
    Ok(conflicts)
}

/// Whether another live act of the ente has that protocol.
pub(super) fn protocol_taken(db: &Connection, act: &ActRow, protocol: &str) -> Result<bool, StoreError> {
    let key = key_of(&[&act.sender, protocol]);
    Ok(holder(db, "P", &key, (&act.sender, &act.source, &act.reference), act.batch)?.is_some())
}

/// The reference of another live act that holds the key, as the gestionale may know it; rows of trials count only for themselves.
fn holder(db: &Connection, kind: &str, key: &[u8], own: (&str, &str, &str), batch: BatchId) -> Result<Option<String>, StoreError> {
    let (sender, source, reference) = own;
    optional(
        db.prepare_cached(
            "SELECT CASE WHEN a.source = ?4 OR a.batch_id = ?6 THEN a.reference ELSE 'un atto di un altro gestionale' END FROM live_key k JOIN act a ON a.id = k.act_id WHERE k.kind = ?1 AND k.key = ?2 \
             AND NOT (a.sender = ?3 AND a.source = ?4 AND a.reference = ?5) AND (a.batch_id = ?6 OR a.source NOT LIKE 'prova:%') LIMIT 1",
        )?
        .query_row(params![kind, key, sender, source, reference, batch.0.as_bytes()], |row| row.get(0)),
    )
}

/// What a change of an act brings, kept until the batch is started.
#[derive(serde::Serialize, serde::Deserialize)]
pub(super) struct Change {
    pub act: Act,
    pub key_id: String,
    pub notify_by: Option<Timestamp>,
}

/// Days of an order about the terms of payment, kept until the batch is started.
#[derive(serde::Serialize, serde::Deserialize)]
pub(super) struct Days {
    pub from: Option<Date>,
    pub until: Option<Date>,
}

/// Keeps an order about a known act. Of a replacement only its half is kept: to cancel the old act.
fn keep_order(db: &Connection, batch: BatchId, act: ActId, row: &Staged) -> Result<(), StoreError> {
    let change = match row.act.action {
        Action::Modify => {
            let change = Change { act: row.act.clone(), key_id: row.key_id.clone(), notify_by: row.notify_by };
            Some(serde_json::to_string(&change)?)
        }
        Action::Suspend | Action::Resume => {
            let days = Days { from: row.act.stopped_from, until: row.act.stopped_until };
            Some(serde_json::to_string(&days)?)
        }
        _ => None,
    };
    db.prepare_cached("INSERT INTO batch_order (batch_id, ordinal, act_id, action, place, json) VALUES (?1,?2,?3,?4,?5,?6)")?.execute(
        params![batch.0.as_bytes(), row.place.ordinal as i64, act.0.as_bytes(), row.act.action.as_str(), encode_place(&row.place), change,],
    )?;
    Ok(())
}

/// Throws a chunk of the staged rows of a batch away, then its orders. Answers how many rows.
pub(super) fn discard_chunk(db: &Connection, batch: BatchId) -> Result<usize, StoreError> {
    let mut select = db.prepare_cached("SELECT id FROM act WHERE batch_id = ?1 AND staged = 1 LIMIT ?2")?;
    let ids: Vec<ActId> = select.query_map(params![batch.0.as_bytes(), CHUNK as i64], |row| act_at(row, 0))?.collect::<Result<_, _>>()?;
    for id in &ids {
        forget_staged(db, *id)?;
    }
    if ids.is_empty() {
        db.execute("DELETE FROM batch_order WHERE batch_id = ?1", [batch.0.as_bytes()])?;
    }
    Ok(ids.len())
}

/// Throws one staged act away.
fn forget_staged(db: &Connection, id: ActId) -> Result<(), StoreError> {
    for sql in [
        "DELETE FROM act_content WHERE act_id = ?1",
        "DELETE FROM live_key WHERE act_id = ?1",
        "DELETE FROM recipient WHERE act_id = ?1",
        "DELETE FROM notice WHERE act_id = ?1",
        "DELETE FROM act WHERE id = ?1",
    ] {
        db.prepare_cached(sql)?.execute([id.0.as_bytes()])?;
    }
    Ok(())
}

/// Takes one row back: the act that was staged for it, and its order about a known one.
pub(super) fn unstage_row(db: &Connection, batch: BatchId, ordinal: u64) -> Result<Option<Unstaged>, StoreError> {
    let key = params![batch.0.as_bytes(), ordinal as i64];
    let sql = "SELECT a.id, a.place, a.reference, c.json FROM act a LEFT JOIN act_content c ON c.act_id = a.id \
               WHERE a.batch_id = ?1 AND a.ordinal = ?2 AND a.staged = 1";
    let staged = optional(db.prepare_cached(sql)?.query_row(key, |row| {
        Ok((act_at(row, 0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?, row.get::<_, Option<String>>(3)?))
    }))?;
    let sql = "SELECT o.place, a.reference, CASE WHEN o.action = 'modifica' THEN o.json END FROM batch_order o JOIN act a ON a.id = o.act_id \
               WHERE o.batch_id = ?1 AND o.ordinal = ?2";
    let ordered = optional(
        db.prepare_cached(sql)?
            .query_row(key, |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, Option<String>>(2)?))),
    )?;
    db.prepare_cached("DELETE FROM batch_order WHERE batch_id = ?1 AND ordinal = ?2")?.execute(key)?;
    if let Some((id, place, reference, json)) = staged {
        forget_staged(db, id)?;
        let act = json.map(|json| serde_json::from_str(&json)).transpose()?;
        return Ok(Some(Unstaged { place: decode_place(&place), reference, act }));
    }
    ordered
        .map(|(place, reference, json)| {
            let change: Option<Change> = json.map(|json| serde_json::from_str(&json)).transpose()?;
            Ok(Unstaged { place: decode_place(&place), reference, act: change.map(|change| change.act) })
        })
        .transpose()
}

/// `row;start;end;ordinal;recipient rows`: how a place is kept.
pub fn encode_place(place: &Place) -> String {
    let rows: Vec<String> = place.recipient_rows.iter().map(u64::to_string).collect();
    format!("{};{};{};{};{}", place.row, place.start, place.end, place.ordinal, rows.join(","))
}

/// Reads [`encode_place`] back.
pub fn decode_place(text: &str) -> Place {
    let mut parts = text.split(';');
    let mut number = || parts.next().and_then(|part| part.parse().ok()).unwrap_or(0);
    let (row, start, end, ordinal) = (number(), number(), number(), number());
    let recipient_rows = parts.next().unwrap_or_default().split(',').filter_map(|part| part.parse().ok()).collect();
    Place { row, recipient_rows, start, end, ordinal }
}
