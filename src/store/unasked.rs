//! What a PT tells of its positions without being asked: that they have expired, that a payment is asked back.

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, params};

use super::alerts::Alert;
use super::codec::{at, ms};
use super::engine::{self, ActRow};
use super::positions::{Beside, KIND, PositionRow, enqueue, observe_one};
use super::{Store, StoreError};
use crate::domain::money::Cents;
use crate::domain::position::{Held, HeldState};
use crate::flow::position::{PositionEffect, PositionFact, PositionState, code};

/// A request that a payment be given back (`RichiestaDiRevoca`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskedBack {
    /// Name of the PT in the configuration.
    pub pt: String,
    pub creditor: String,
    pub iuv: String,
    /// Those that the IUV may stand for.
    pub notices: Vec<String>,
    /// What was paid, when it is told.
    pub amount: Option<Cents>,
    /// The request as its sender calls it: one is told once.
    pub request: String,
}

impl Store {
    /// A PT says that positions have expired; each is given as the notices that its IUV may stand for. Answers how many are known.
    pub async fn told_expired(&self, pt: &str, creditor: &str, positions: Vec<Vec<String>>, now: Timestamp) -> Result<usize, StoreError> {
        let (pt, creditor) = (pt.to_owned(), creditor.to_owned());
        let known = self.write(move |db| expired(db, &pt, &creditor, &positions, now)).await?;
        self.ring();
        Ok(known)
    }

    /// A PT asks about a position that it called expired: unless it was read within `lately`, it is read again now.
    pub async fn read_expired_again(&self, creditor: &str, notice: &str, lately: SignedDuration, now: Timestamp) -> Result<(), StoreError> {
        let (creditor, notice) = (creditor.to_owned(), notice.to_owned());
        self.write(move |db| read_again(db, &creditor, &notice, lately, now)).await?;
        self.ring();
        Ok(())
    }

    /// A payment is asked back: kept in the history of its position, and a person is told. False: that request was told before.
    pub async fn payment_asked_back(&self, request: AskedBack, now: Timestamp) -> Result<bool, StoreError> {
        self.write(move |db| asked_back(db, &request, now)).await
    }
}

/// The position of that PT behind one of the notices.
fn position_of(db: &Connection, pt: &str, creditor: &str, notices: &[String]) -> Result<Option<PositionRow>, StoreError> {
    for notice in notices {
        if let Some(row) = PositionRow::of_notice(db, creditor, notice)?.filter(|row| row.pt == pt) {
            return Ok(Some(row));
        }
    }
    Ok(None)
}

fn expired(db: &Connection, pt: &str, creditor: &str, positions: &[Vec<String>], now: Timestamp) -> Result<usize, StoreError> {
    let mut known = 0;
    for notices in positions {
        let Some(row) = position_of(db, pt, creditor, notices)? else { continue };
        known += 1;
        if row.state.is_under_way() {
            let held = Held::of(HeldState::Expired);
            observe_one(db, row.id, &PositionFact::Verified { held }, Beside::default(), now)?;
        }
    }
    Ok(known)
}

fn read_again(db: &Connection, creditor: &str, notice: &str, lately: SignedDuration, now: Timestamp) -> Result<(), StoreError> {
    let Some(row) = PositionRow::of_notice(db, creditor, notice)? else { return Ok(()) };
    if !matches!(&row.state, PositionState::Parked { code } if code == code::EXPIRED) {
        return Ok(());
    }
    let effect = PositionEffect::PollPayment;
    let sql = "SELECT (SELECT read_at FROM position WHERE id = ?1), EXISTS (SELECT 1 FROM job WHERE subject_kind = 'posizione' \
               AND subject_id = ?1 AND kind = ?2 AND state IN ('PRONTO', 'IN_CORSO'))";
    let (read_at, asked): (Option<i64>, bool) =
        db.prepare_cached(sql)?.query_row(params![row.id.0.as_bytes(), effect.name()], |found| Ok((found.get(0)?, found.get(1)?)))?;
    let fresh = read_at.is_some_and(|read| now.duration_since(at(read)) < lately);
    if asked || fresh { Ok(()) } else { enqueue(db, &row, &effect, ms(now), now) }
}

fn asked_back(db: &Connection, request: &AskedBack, now: Timestamp) -> Result<bool, StoreError> {
    let AskedBack { pt, creditor, iuv, notices, amount, request } = request;
    let row = position_of(db, pt, creditor, notices)?;
    let notice = row.as_ref().map(|row| &row.notice).or(notices.first()).unwrap_or(iuv);
    let about = format!("{pt} {notice} {request}");
    let alert = Alert::new("REVOCA_DI_PAGAMENTO", &about);
    let act = row.as_ref().and_then(|row| ActRow::load(db, row.act).ok());
    let alert = match &act {
        Some(act) => alert.act(act),
        None => alert.sender(row.as_ref().map(|row| row.sender.as_str()).or(Some(creditor))),
    };
    let new = alert.raise_unless_told(db, None, now)?;
    if let Some(row) = row.filter(|_| new) {
        let about = serde_json::json!({ "amount": amount, "code": request }).to_string();
        engine::append_history(db, KIND, row.id.0.as_bytes(), "REVOCA_CHIESTA", Some(row.state.name()), Some(&about), now)?;
    }
    Ok(new)
}
