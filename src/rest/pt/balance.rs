//! The bilancio that goes with a price: how an amount is divided among accounts.
//!
//! A PT refuses the payment when it does not add up to the amount, so what cannot be made to add up is left out: then the PT keeps
//! its own. What the batch gave is for the full amount; a window asks for less or more, so the parts are scaled (the last one takes
//! what rounding leaves), and the cost of notification goes where the flow wants it, else to the first part.

use serde::Serialize;
use serde_json::Value;

use super::{cents, euro};
use crate::domain::money::Cents;
use crate::service::positions::Price;

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Part {
    pub capitolo: String,
    pub accertamento: String,
    pub ufficio: String,
    /// Euro.
    pub importo: f64,
    #[serde(skip)]
    pub amount: Cents,
}

/// The lines of a price, which add up to its total; `None`: there are none that do.
pub(super) fn parts(price: &Price) -> Option<Vec<Part>> {
    let given = given(price.balance.as_deref()?)?;
    let whole: i64 = given.iter().map(|part| part.amount.0).sum();
    if whole <= 0 {
        return None;
    }
    let (due, cost) = (price.day.due.0, price.day.cost.0);
    let mut left = due;
    let last = given.len().checked_sub(1)?;
    let mut parts = Vec::with_capacity(given.len() + 1);
    for (index, mut part) in given.into_iter().enumerate() {
        let share = i128::from(part.amount.0) * i128::from(due) / i128::from(whole);
        let share = if index == last { left } else { i64::try_from(share).ok()? };
        left -= share;
        part.amount = Cents(share);
        parts.push(part);
    }
    if cost > 0 {
        let place = price.cost_place.as_deref();
        let at = place.map_or(Some(0), |place| parts.iter().position(|part| part.capitolo == place));
        match (at.and_then(|at| parts.get_mut(at)), place) {
            (Some(part), _) => part.amount.0 += cost,
            (None, Some(place)) => {
                let (accertamento, ufficio) = (String::new(), parts.first()?.ufficio.clone());
                parts.push(Part { capitolo: place.to_owned(), accertamento, ufficio, importo: 0.0, amount: Cents(cost) });
            }
            (None, None) => return None,
        }
    }
    for part in &mut parts {
        part.importo = euro(part.amount);
    }
    (parts.iter().map(|part| part.amount.0).sum::<i64>() == price.day.total.0).then_some(parts)
}

/// A JSON array of `{capitolo, accertamento, ufficio, importo}` (euro, number or text).
fn given(text: &str) -> Option<Vec<Part>> {
    let lines: Vec<Value> = serde_json::from_str(text).ok()?;
    if lines.is_empty() || lines.len() > 100 {
        return None;
    }
    let read = |line: &Value| {
        let word = |name: &str| match line.get(name) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) => number.to_string(),
            _ => String::new(),
        };
        let amount = match line.get("importo")? {
            Value::Number(number) => cents(number.as_f64()?)?,
            Value::String(text) => Cents::parse_point(text).or_else(|_| Cents::parse_it(text)).ok()?,
            _ => return None,
        };
        let capitolo = Some(word("capitolo")).filter(|text| !text.is_empty())?;
        Some(Part { capitolo, accertamento: word("accertamento"), ufficio: word("ufficio"), importo: 0.0, amount })
    };
    lines.iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use jiff::civil::Date;

    use super::*;
    use crate::service::positions::PriceDay;

    #[test]
    fn a_bilancio_adds_up_or_is_left_out() {
        let price = |balance: &str, place: Option<&str>, due: i64, cost: i64| Price {
            iun: String::new(),
            day: PriceDay {
                from: Date::constant(2026, 11, 23),
                total: Cents(due + cost),
                due: Cents(due),
                cost: Cents(cost),
                step: 0,
                until: None,
            },
            viewed: None,
            completed: None,
            balance: Some(balance.to_owned()),
            cost_place: place.map(str::to_owned),
        };
        let two = r#"[{"capitolo":"1","accertamento":"a","ufficio":"u","importo":"20.00"},{"capitolo":2,"importo":10}]"#;
        let table = [
            (two, None, 3_000, 0, Some(vec![("1", 2_000), ("2", 1_000)])),
            (two, None, 2_100, 500, Some(vec![("1", 1_900), ("2", 700)])), // 70 %, and the cost on the first
            (two, Some("2"), 3_000, 500, Some(vec![("1", 2_000), ("2", 1_500)])),
            (two, Some("9"), 3_000, 500, Some(vec![("1", 2_000), ("2", 1_000), ("9", 500)])),
            (two, Some("9"), 3_000, 0, Some(vec![("1", 2_000), ("2", 1_000)])),
            (two, None, 1_000, 0, Some(vec![("1", 666), ("2", 334)])),
            ("[]", None, 3_000, 0, None),
            ("{}", None, 3_000, 0, None),
            (r#"[{"capitolo":"1","importo":0}]"#, None, 3_000, 0, None),
            (r#"[{"capitolo":"1","importo":10.005}]"#, None, 3_000, 0, None),
            (r#"[{"importo":10}]"#, None, 3_000, 0, None),
            ("<bilancio/>", None, 3_000, 0, None),
        ];
        for (balance, place, due, cost, want) in table {
            let got = parts(&price(balance, place, due, cost));
            let got = got.map(|parts| parts.iter().map(|part| (part.capitolo.clone(), part.amount.0)).collect::<Vec<_>>());
            let want = want.map(|parts| parts.into_iter().map(|(place, amount)| (place.to_owned(), amount)).collect::<Vec<_>>());
            assert_eq!(got, want, "{balance} {place:?} {due} {cost}");
        }
    }
}
