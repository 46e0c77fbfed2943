//! The debts that all simulators share: what each PT would have in its database.

use std::collections::{BTreeMap, HashMap};
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
pub struct Debts {
    all: Mutex<BTreeMap<(String, String), Debt>>,
    index: Mutex<Index>,
}

/// Where debts are found by what is not their key. Made anew when their number has changed, and never believed: what it names is
/// looked at again.
#[derive(Debug, Default)]
struct Index {
    made_of: usize,
    by_position: HashMap<String, Vec<(String, String)>>,
    by_payer: HashMap<String, Vec<(String, String)>>,
}

impl Debts {
    /// To look and to change: never held over a wait.
    pub fn lock(&self) -> MutexGuard<'_, BTreeMap<(String, String), Debt>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds or replaces one.
    pub fn put(&self, debt: Debt) {
        self.lock().insert((debt.creditor.clone(), debt.notice.clone()), debt);
    }

    /// Replaces one, or nothing if its state is no longer what it `was`: somebody paid it meanwhile.
    pub fn replace(&self, was: DebtState, debt: Debt) -> bool {
        let mut all = self.lock();
        let held = all.get_mut(&(debt.creditor.clone(), debt.notice.clone())).filter(|held| held.state == was);
        held.map(|held| *held = debt).is_some()
    }

    /// A copy of one.
    pub fn get(&self, creditor: &str, notice: &str) -> Option<Debt> {
        self.lock().get(&(creditor.to_owned(), notice.to_owned())).cloned()
    }

    /// Copies of those with this id of position, whoever the creditor is.
    pub fn of_position(&self, position_id: &str) -> Vec<Debt> {
        self.found(|index| index.by_position.get(position_id), |debt| debt.position_id == position_id)
    }

    /// Copies of those that somebody owes.
    pub fn of_payer(&self, tax_id: &str) -> Vec<Debt> {
        self.found(|index| index.by_payer.get(tax_id), |debt| debt.payer_tax_id == tax_id)
    }

    fn found(&self, keys: impl Fn(&Index) -> Option<&Vec<(String, String)>>, fits: impl Fn(&Debt) -> bool) -> Vec<Debt> {
        let all = self.lock();
        let mut index = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        if index.made_of != all.len() {
            *index = Index { made_of: all.len(), ..Index::default() };
            for (key, debt) in all.iter() {
                index.by_position.entry(debt.position_id.clone()).or_default().push(key.clone());
                index.by_payer.entry(debt.payer_tax_id.clone()).or_default().push(key.clone());
            }
        }
        let known = keys(&index).into_iter().flatten();
        let found: Vec<Debt> = known.filter_map(|key| all.get(key)).filter(|debt| fits(debt)).cloned().collect();
        // One that was replaced by another of the same number: rare, and worth a look at all.
        if found.is_empty() { all.values().filter(|debt| fits(debt)).cloned().collect() } else { found }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_is_there_now() {
        let debts = Debts::default();
        let debt = |notice: &str, position: &str, payer: &str| {
            let value = serde_json::json!({ "creditor": "1", "notice": notice, "position_id": position, "amount": 1, "state": "unpaid", "payer_tax_id": payer });
            serde_json::from_value::<Debt>(value).unwrap()
        };
        let names = |found: Vec<Debt>| found.into_iter().map(|debt| debt.notice).collect::<Vec<_>>();
        debts.put(debt("a", "P1", "X"));
        debts.put(debt("b", "P1", "Y"));
        assert_eq!(names(debts.of_position("P1")), ["a", "b"]);
        assert_eq!(names(debts.of_payer("Y")), ["b"]);
        debts.put(debt("b", "P2", "Y")); // as many as before
        assert_eq!(names(debts.of_position("P1")), ["a"]);
        assert_eq!(names(debts.of_position("P2")), ["b"]);
        debts.lock().clear();
        assert!(debts.of_position("P1").is_empty() && debts.of_payer("X").is_empty());
    }
}
