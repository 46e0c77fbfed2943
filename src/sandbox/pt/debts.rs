//! The debts that all simulators share: what each PT would have in its database.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

/// Where a debt is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DebtState {
    /// Inactive pool, draft.
    Draft,
    Unpaid,
    BeingPaid,
    Paid,
    Cancelled,
    Expired,
}

/// One debt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Debt {
    pub creditor: String,
    /// 18 digits.
    pub notice: String,
    /// IUPD, IUD, idPendenza, IdPosizioneDebitoria.
    pub position_id: String,
    /// Euro cents, cost of notification included where the PT does not keep it apart.
    pub amount: i64,
    /// Written by SEND (ASYNC): only GPD has it.
    #[serde(default)]
    pub fee: i64,
    pub state: DebtState,
    /// `YYYY-MM-DD`.
    #[serde(default)]
    pub due_date: Option<String>,
    #[serde(default)]
    pub payer_tax_id: String,
    #[serde(default)]
    pub payer_name: String,
    #[serde(default)]
    pub remittance: String,
    #[serde(default)]
    pub due_type: String,
    /// What else was written with it, given back as it came.
    #[serde(default)]
    pub more: serde_json::Value,
    /// Every change of the amount, in order.
    #[serde(default)]
    pub changes: Vec<DebtChange>,
    #[serde(default)]
    pub paid_amount: Option<i64>,
    /// Milliseconds since 1970.
    #[serde(default)]
    pub paid_at: Option<i64>,
}

/// A change of the amount.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DebtChange {
    /// Milliseconds since 1970, business time.
    pub at: i64,
    pub amount: i64,
    pub fee: i64,
}

/// All of them, by creditor and notice.
#[derive(Debug, Default)]
pub struct Debts(Mutex<BTreeMap<(String, String), Debt>>);

impl Debts {
    /// To look and to change: never held over a wait.
    pub fn lock(&self) -> MutexGuard<'_, BTreeMap<(String, String), Debt>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds or replaces one.
    pub fn put(&self, debt: Debt) {
        self.lock().insert((debt.creditor.clone(), debt.notice.clone()), debt);
    }

    /// A copy of one.
    pub fn get(&self, creditor: &str, notice: &str) -> Option<Debt> {
        self.lock().get(&(creditor.to_owned(), notice.to_owned())).cloned()
    }
}
