//! `[gestionale.rendicontazione]`: when a gestionale gets its reconciliation files.

use jiff::civil::Time;
use serde::Deserialize;

use super::check::{Add, ConfigFault};
use crate::flow::shape::{Key, Kind, may};

/// `[gestionale.rendicontazione]`. Without it: every night at two, all open acts on the first of the month.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ExportConfig {
    pub attiva: bool,
    /// `HH:MM`, legal time of Italy.
    pub ora: String,
    /// Day of the month for the list of all open acts, 1..=28 (0: never).
    pub giorno_mensile: i8,
}

pub(super) const EXPORT: &[Key] = &[may("attiva", Kind::Flag), may("ora", Kind::Text), may("giorno_mensile", Kind::Whole(0, 28))];

const HOUR: &str = "02:00";

impl Default for ExportConfig {
    fn default() -> Self {
        ExportConfig { attiva: true, ora: HOUR.to_owned(), giorno_mensile: 1 }
    }
}

impl ExportConfig {
    /// Adds every problem; `key` gives the full name of a key of the block.
    pub(super) fn check(&self, key: &dyn Fn(&str) -> String, add: Add<'_>) {
        if parse(&self.ora).is_none() {
            add(&key("ora"), ConfigFault::Hour);
        }
    }

    /// The hour, legal time of Italy.
    pub fn hour(&self) -> Time {
        parse(&self.ora).or_else(|| parse(HOUR)).unwrap_or_default()
    }
}

fn parse(text: &str) -> Option<Time> {
    let (hour, minute) = text.split_once(':')?;
    let number = |text: &str| (text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse::<i8>().ok())?;
    Time::new(number(hour)?, number(minute)?, 0, 0).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_are_four_digits_and_a_colon() {
        let table = [
            ("02:00", true),
            ("23:59", true),
            ("00:00", true),
            ("24:00", false),
            ("2:00", false),
            ("02:60", false),
            ("+2:00", false),
            ("", false),
        ];
        for (text, want) in table {
            assert_eq!(parse(text).is_some(), want, "{text:?}");
        }
        assert_eq!(ExportConfig::default().hour(), Time::constant(2, 0, 0, 0));
    }
}
