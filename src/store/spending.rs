//! What was reserved in an ente's day and never spent goes back to it: SEND took nothing of the act, and charges nothing.
//!
//! The reservation itself is made before each POST (`acts`). A refusal by SEND after it took the request is paid, and stays.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rusqlite::{Connection, params};

use super::StoreError;
use super::engine::ActRow;
use crate::flow::event::Fact;
use crate::flow::forecast::BASE_FEE;

const GIVE_BACK: &str = "UPDATE quota SET spent = max(spent - ?2, 0) \
     WHERE sender = (SELECT sender FROM act WHERE id = ?1) AND day = (SELECT spend_day FROM act WHERE id = ?1)";
const BOOK: &str =
    "INSERT INTO quota (sender, day, calls, spent) VALUES (?1, ?2, 0, ?3) ON CONFLICT (sender, day) DO UPDATE SET spent = spent + ?3";
const NOT_RESERVED: &str = "UPDATE act SET spend_day = NULL WHERE id = ?1";

/// Whether a fact proves that SEND has nothing of an act for which a POST may have left.
pub(super) fn proves_unspent(fact: &Fact) -> bool {
    matches!(fact, Fact::NotTaken { .. } | Fact::NeverArrived)
}

/// Whether a fact proves that SEND took the request of an act, and charges it.
pub(super) fn proves_spent(fact: &Fact) -> bool {
    matches!(fact, Fact::Taken { .. } | Fact::Accepted { .. } | Fact::Refused { .. })
}

/// SEND has an act for which nothing was reserved here: the reservation was lost with a disk. Counted in today's, so that a ceiling
/// errs on the side of the ente.
pub(super) fn book(db: &Connection, act: &mut ActRow, now: Timestamp) -> Result<(), StoreError> {
    if act.posted {
        return Ok(());
    }
    let fee = i64::from(act.recipients) * i64::try_from(BASE_FEE).unwrap_or(0);
    let day = now.to_zoned(TimeZone::get("Europe/Rome").unwrap_or(TimeZone::UTC)).date().to_string();
    db.prepare_cached(BOOK)?.execute(params![act.sender, day, fee])?;
    db.prepare_cached("UPDATE act SET spend_day = ?2 WHERE id = ?1")?.execute(params![act.id.0.as_bytes(), day])?;
    act.posted = true;
    Ok(())
}

/// Gives the base fee of an act that has just ended back to the day it was reserved in.
pub(super) fn give_back(db: &Connection, act: &mut ActRow) -> Result<(), StoreError> {
    if !act.posted {
        return Ok(());
    }
    let id = act.id.0.as_bytes();
    let fee = i64::from(act.recipients) * i64::try_from(BASE_FEE).unwrap_or(0);
    db.prepare_cached(GIVE_BACK)?.execute(params![id, fee])?;
    db.prepare_cached(NOT_RESERVED)?.execute([id])?;
    act.posted = false;
    Ok(())
}
