//! The parts of a position (transfers, voci, components) when its amount changes: they must sum up to it.
//!
//! Without a place for the cost only a position of one part can change. The place named by the flow is kept for the cost and
//! holds nothing else; the first part is never it. What is not the cost goes to the one other part when it is the creditor's own;
//! several others must already sum up to it, for nobody knows how to share a raise among them.

use crate::domain::money::Cents;
use crate::domain::position::Change;

/// One part, as the partner holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part<'a> {
    /// What a flow calls it.
    pub name: &'a str,
    pub amount: Cents,
    /// It goes to the creditor of the notice.
    pub own: bool,
}

/// The new amounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shares {
    /// In the order of the parts; zero is a place for the cost without cost.
    pub amounts: Vec<Cents>,
    /// A part to be added, with the name that the flow gives it.
    pub added: Option<Cents>,
}

/// Shares out a change; `None`: it cannot be done.
pub(super) fn share(parts: &[Part<'_>], change: &Change) -> Option<Shares> {
    let (amount, cost) = (change.amount.get(), change.cost.get());
    let kept = |amounts: Vec<i64>| Shares { amounts: amounts.into_iter().map(Cents).collect(), added: None };
    if let [only] = parts
        && change.cost_place.as_deref().is_none_or(|place| place == only.name)
    {
        return Some(kept(vec![amount]));
    }
    let Some(place) = change.cost_place.as_deref() else {
        let held: Vec<i64> = parts.iter().map(|part| part.amount.get()).collect();
        return (!parts.is_empty() && held.iter().sum::<i64>() == amount).then(|| kept(held));
    };
    let index = parts.iter().position(|part| part.name == place);
    if index == Some(0) || parts.iter().filter(|part| part.name == place).count() > 1 {
        return None;
    }
    let others: Vec<&Part<'_>> = parts.iter().filter(|part| part.name != place).collect();
    let rest = amount - cost;
    let held: i64 = others.iter().map(|part| part.amount.get()).sum();
    let alone = matches!(others.as_slice(), [only] if only.own);
    if rest <= 0 || !(alone || held == rest) {
        return None;
    }
    let amounts = parts.iter().map(|part| match (part.name == place, alone) {
        (true, _) => cost,
        (false, true) => rest,
        (false, false) => part.amount.get(),
    });
    let amounts = amounts.map(Cents).collect();
    Some(Shares { amounts, added: (index.is_none() && cost > 0).then_some(Cents(cost)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_sum_up_or_are_refused() {
        let own = |name, amount| Part { name, amount: Cents(amount), own: true };
        let other = |name, amount| Part { name, amount: Cents(amount), own: false };
        let change = |amount, cost, place: Option<&str>| Change {
            key: "1/1".to_owned(),
            amount: Cents(amount),
            cost: Cents(cost),
            due_date: None,
            cost_place: place.map(str::to_owned),
            reason: String::new(),
        };
        type Row<'a> = (&'a str, Vec<Part<'a>>, Change, Option<(Vec<i64>, Option<i64>)>);
        let table: Vec<Row<'_>> = vec![
            ("one part takes all", vec![own("1", 100)], change(847, 747, None), Some((vec![847], None))),
            ("even of another ente", vec![other("1", 100)], change(847, 0, None), Some((vec![847], None))),
            ("named as the place", vec![own("1", 100)], change(847, 747, Some("1")), Some((vec![847], None))),
            ("the place is made", vec![own("1", 100)], change(847, 747, Some("2")), Some((vec![100], Some(747)))),
            ("the place is not needed", vec![own("1", 100)], change(120, 0, Some("2")), Some((vec![120], None))),
            ("the place is there", vec![own("1", 100), own("2", 500)], change(847, 647, Some("2")), Some((vec![200, 647], None))),
            ("the cost is gone", vec![own("1", 100), own("2", 500)], change(100, 0, Some("2")), Some((vec![100, 0], None))),
            ("the first is no place", vec![own("1", 100), other("2", 5)], change(847, 742, Some("1")), None),
            ("beside the province", vec![own("1", 100), other("2", 5)], change(852, 747, Some("3")), Some((vec![100, 5], Some(747)))),
            ("a raise beside the province", vec![own("1", 100), other("2", 5)], change(862, 747, Some("3")), None),
            ("no place among several", vec![own("1", 100), other("2", 5)], change(110, 0, None), None),
            ("nothing to do", vec![own("1", 100), other("2", 5)], change(105, 0, None), Some((vec![100, 5], None))),
            ("only the cost is left", vec![own("1", 100)], change(747, 747, Some("2")), None),
            ("two of one name", vec![own("1", 9), own("2", 1), own("2", 1)], change(12, 3, Some("2")), None),
            ("no part", vec![], change(10, 0, None), None),
        ];
        for (what, parts, change, want) in table {
            let got = share(&parts, &change);
            let plain = |shares: Shares| (shares.amounts.iter().map(|c| c.get()).collect(), shares.added.map(Cents::get));
            assert_eq!(got.clone().map(plain), want, "{what}");
            if let Some(shares) = got {
                let sum: i64 = shares.amounts.iter().map(|c| c.get()).sum::<i64>() + shares.added.map_or(0, Cents::get);
                assert_eq!(sum, change.amount.get(), "{what}");
            }
        }
    }
}
