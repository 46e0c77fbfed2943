//! `[gestionale.rendicontazione]`: when a gestionale gets its reconciliation files.

use jiff::civil::Time;
use serde::Deserialize;

use crate::flow::shape::{Key, Kind, may};

/// `[gestionale.rendicontazione]`. Without it: every night at two, all open acts on the first of the month.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ExportConfig {
    pub attiva: bool,
    /// `HH:MM`, legal time of Italy.
    pub ora: Time,
    /// Day of the month for the list of all open acts, 1..=28 (0: never).
    pub giorno_mensile: i8,
}

pub(super) const EXPORT: &[Key] = &[may("attiva", Kind::Flag), may("ora", Kind::TimeOfDay), may("giorno_mensile", Kind::Whole(0, 28))];

impl Default for ExportConfig {
    fn default() -> Self {
        ExportConfig { attiva: true, ora: Time::constant(2, 0, 0, 0), giorno_mensile: 1 }
    }
}
