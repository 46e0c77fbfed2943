//! What was reserved in an ente's day and never spent goes back to it: SEND took nothing of the act, and charges nothing.
//!
//! The reservation itself is made before each POST (`acts`). A refusal by SEND after it took the request is paid, and stays.

use rusqlite::{Connection, params};

use super::StoreError;
use super::engine::ActRow;
use crate::flow::event::Fact;
use crate::flow::forecast::BASE_FEE;

const GIVE_BACK: &str = "UPDATE quota SET spent = max(spent - ?2, 0) \
     WHERE sender = (SELECT sender FROM act WHERE id = ?1) AND day = (SELECT spend_day FROM act WHERE id = ?1)";
const NOT_RESERVED: &str = "UPDATE act SET spend_day = NULL WHERE id = ?1";

/// Whether a fact proves that SEND has nothing of an act for which a POST may have left.
pub(super) fn proves_unspent(fact: &Fact) -> bool {
    matches!(fact, Fact::NotTaken { .. } | Fact::NeverArrived)
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
