//! What a PT tells of its positions without being asked: that they have expired, that a payment is asked back.

use jiff::Timestamp;
use rusqlite::Connection;

use super::alerts::Alert;
use super::engine::{self, ActRow};
use super::positions::{Beside, KIND, PositionRow, observe_one};
use super::{Store, StoreError};
use crate::domain::money::Cents;
use crate::domain::position::{Held, HeldState};
use crate::flow::position::PositionFact;

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
