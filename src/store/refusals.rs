//! Why SEND refused acts: the reasons of each line that tells a refusal, in rows that can be deleted without touching the ledger.

use rusqlite::{Connection, params};

use super::codec::{batch_at, optional};
use super::engine::ActRow;
use super::staging::decode_place;
use super::{Store, StoreError};
use crate::batch::row::Place;
use crate::domain::act::Act;
use crate::domain::ids::{ActId, BatchId};
use crate::domain::send::RefusalReason;
use crate::flow::state::State;

const INSERT: &str = "INSERT INTO refusal (act_id, line, seq, code, recipient, element, detail) VALUES (?1,?2,?3,?4,?5,?6,?7)";
const OF_LINE: &str = "SELECT code, recipient, element, detail FROM refusal WHERE act_id = ?1 AND line = ?2 ORDER BY seq";
const LAST_LINE: &str = "SELECT max(line) FROM refusal WHERE act_id = ?1";
const REFUSED: &str =
    "SELECT a.content_batch, a.place, c.json, a.state_data FROM act a JOIN act_content c ON c.act_id = a.id WHERE a.id = ?1";

/// An act that SEND refused, as its reject needs it. Holds personal data.
#[derive(Debug, Clone, PartialEq)]
pub struct RefusedAct {
    /// Whose archive holds its row and its files.
    pub batch: BatchId,
    pub place: Place,
    pub content: Act,
    /// All that SEND said; at least a code.
    pub reasons: Vec<RefusalReason>,
}

impl Store {
    /// What the reject of an act that SEND refused is made of.
    pub async fn refused_act(&self, act: ActId) -> Result<RefusedAct, StoreError> {
        self.read(move |db| {
            let found = db.prepare_cached(REFUSED)?.query_row([act.0.as_bytes()], |row| {
                Ok((batch_at(row, 0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?, row.get::<_, String>(3)?))
            });
            let (batch, place, json, state) = optional(found)?.ok_or(StoreError::NotFound("act content"))?;
            let last: Option<i64> = db.prepare_cached(LAST_LINE)?.query_row([act.0.as_bytes()], |row| row.get(0))?;
            let mut reasons = match last {
                Some(line) => of_line(db, act, line.unsigned_abs())?,
                None => Vec::new(),
            };
            if reasons.is_empty() {
                let code = match serde_json::from_str::<State>(&state)? {
                    State::Refused { code } => code,
                    other => other.name().to_owned(),
                };
                reasons.push(RefusalReason::of(code));
            }
            Ok(RefusedAct { batch, place: decode_place(&place), content: serde_json::from_str(&json)?, reasons })
        })
        .await
    }
}

/// Keeps the reasons that a line tells, in the transaction that writes it; of an act whose personal data was deleted, their codes.
pub(super) fn keep(db: &Connection, act: &ActRow, line: u64, reasons: &[RefusalReason]) -> Result<(), StoreError> {
    for (reason, seq) in reasons.iter().zip(0i64..) {
        db.prepare_cached(INSERT)?.execute(params![
            act.id.0.as_bytes(),
            i64::try_from(line).unwrap_or(i64::MAX),
            seq,
            reason.code,
            reason.rec_index,
            reason.element.as_ref().filter(|_| !act.erased),
            reason.detail.as_ref().filter(|_| !act.erased),
        ])?;
    }
    Ok(())
}

/// The reasons of a line; none once they were deleted.
pub(super) fn of_line(db: &Connection, act: ActId, line: u64) -> Result<Vec<RefusalReason>, StoreError> {
    let mut select = db.prepare_cached(OF_LINE)?;
    let rows = select.query_map(params![act.0.as_bytes(), i64::try_from(line).unwrap_or(i64::MAX)], |row| {
        Ok(RefusalReason { code: row.get(0)?, rec_index: row.get(1)?, element: row.get(2)?, detail: row.get(3)? })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
