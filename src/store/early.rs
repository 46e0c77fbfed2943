//! Outcomes of changes that a PT had only taken in charge, by its ticket: applied to the position that has it, or kept until one has.
//!
//! A PT may tell the outcome before its own answer was recorded; and one that has told it does not tell it again to who, killed in
//! between, repeats the change.

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::codec::{ms, optional, uuid_at, word};
use super::positions::{Beside, observe_one};
use super::{Store, StoreError};
use crate::domain::ids::PositionId;
use crate::domain::position::{Undone, WhyUndone};
use crate::flow::position::PositionFact;

impl Store {
    /// A PT tells the outcome of a change; `undone`: it did not make it; `reads`: it can be read back. `false`: no position has that
    /// ticket, the outcome is kept.
    pub async fn change_told(
        &self,
        pt: &str,
        ticket: &str,
        undone: Option<Undone>,
        reads: bool,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let (pt, ticket) = (pt.to_owned(), ticket.to_owned());
        let known = self.write(move |db| tell(db, &pt, &ticket, undone, reads, now)).await?;
        self.ring();
        Ok(known)
    }

    /// Forgets outcomes that were told before an instant and that no position waits for.
    pub async fn forget_early_outcomes(&self, before: Timestamp) -> Result<(), StoreError> {
        self.write(move |db| Ok(db.prepare_cached("DELETE FROM early_outcome WHERE told_at < ?1")?.execute([ms(before)]).map(drop)?)).await
    }
}

#[cfg(test)]
impl Store {
    /// Tickets that no position has yet, each with what was told.
    pub async fn early_outcomes(&self) -> Result<Vec<(String, Option<String>)>, StoreError> {
        self.read(|db| {
            let mut select = db.prepare("SELECT ticket, code FROM early_outcome WHERE told_at >= 0 ORDER BY ticket")?;
            Ok(select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?)
        })
        .await
    }
}

fn tell(db: &Connection, pt: &str, ticket: &str, undone: Option<Undone>, reads: bool, now: Timestamp) -> Result<bool, StoreError> {
    let sql = "SELECT id FROM position WHERE pt = ?1 AND ticket = ?2";
    let found = optional(db.prepare_cached(sql)?.query_row([pt, ticket], |row| uuid_at(row, 0).map(PositionId)))?;
    match found {
        Some(id) => {
            observe_one(db, id, &PositionFact::ToldLater { undone, reads }, Beside::default(), now)?;
        }
        None => {
            db.prepare_cached(
                "INSERT INTO early_outcome (pt, ticket, code, why, reads, told_at) VALUES (?1,?2,?3,?4,?5,?6) ON CONFLICT (pt, ticket) \
                 DO UPDATE SET code = excluded.code, why = excluded.why, reads = excluded.reads, told_at = excluded.told_at",
            )?
            .execute(params![
                pt,
                ticket,
                undone.as_ref().map(|undone| &undone.code),
                undone.as_ref().map(|undone| undone.why.as_str()),
                reads,
                ms(now)
            ])?;
        }
    }
    Ok(found.is_some())
}

/// The outcome that was told of a ticket before, taken out.
pub(super) fn taken(db: &Connection, pt: &str, ticket: &str) -> Result<Option<PositionFact>, StoreError> {
    let sql = "SELECT code, why, reads FROM early_outcome WHERE pt = ?1 AND ticket = ?2";
    type Found = (Option<String>, Option<String>, bool);
    let found: Option<Found> =
        optional(db.prepare_cached(sql)?.query_row([pt, ticket], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))))?;
    let Some((code, why, reads)) = found else { return Ok(None) };
    db.prepare_cached("DELETE FROM early_outcome WHERE pt = ?1 AND ticket = ?2")?.execute([pt, ticket])?;
    let undone = match code {
        Some(code) => Some(Undone { why: why.map_or(Ok(WhyUndone::Refused), |why| word(&why, "why"))?, code }),
        None => None,
    };
    Ok(Some(PositionFact::ToldLater { undone, reads }))
}
