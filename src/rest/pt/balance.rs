//! The bilancio that goes with a price, as the contracts of MyPay and PU write it.
//!
//! A PT refuses the payment when it does not add up to the amount, so what cannot be made to add up is left out: then the PT keeps
//! its own.

use serde::Serialize;

use super::euro;
use crate::domain::money::Cents;
use crate::service::positions::{Price, balance};

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Part {
    pub capitolo: String,
    pub accertamento: String,
    pub ufficio: String,
    /// Euro.
    pub importo: f64,
}

/// The lines of a price, which add up to its total; `None`: there are none that do.
pub(super) fn parts(price: &Price) -> Option<Vec<Part>> {
    let part = |line: balance::Line| Part {
        capitolo: line.chapter,
        accertamento: line.assessment.unwrap_or_default(),
        ufficio: line.office.unwrap_or_default(),
        importo: euro(Cents(line.amount)),
    };
    Some(balance::chapters(price)?.into_iter().map(part).collect())
}
