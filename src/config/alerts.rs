//! `[alerts]`, and `[[gestionale.atteso]]`: when operators are told.

use jiff::civil::{Time, Weekday, time};
use serde::Deserialize;

use super::check::ConfigFault;
use crate::domain::expectation::weekday;
use crate::flow::shape::{Key, Kind, may, need};

pub(super) const ALERTS: &[Key] = &[
    // A week: longer than that nobody waits to be told.
    may("send_down_minutes", Kind::Whole(0, 10_080)),
    may("disk_free_percent", Kind::Whole(0, 90)),
    may("disk_free_bytes", Kind::Whole(0, 1 << 44)),
    may("report", Kind::Flag),
    may("report_at", Kind::TimeOfDay),
    // Two weeks: who makes copies makes more of them.
    may("backup_hours", Kind::Whole(0, 336)),
];

pub(super) const EXPECTED: &[Key] =
    &[need("by", Kind::TimeOfDay), may("days", Kind::Texts), may("holidays", Kind::Flag), may("flow", Kind::Text)];

/// `[alerts]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Alerts {
    /// SEND has not answered an ente, or a PT or the folder of a gestionale anybody, for so many minutes (0: never told).
    pub send_down_minutes: u32,
    /// Less of a disk is free, percent (0: not looked at).
    pub disk_free_percent: u8,
    /// Fewer bytes of a disk are free (0: not looked at).
    pub disk_free_bytes: u64,
    /// The report of each day and ente is made every night.
    pub report: bool,
    /// Rome time at which the report of the day before is made.
    pub report_at: Time,
    /// The last copy that was made is older than so many hours, where copies are made (0: never told).
    pub backup_hours: u32,
}

impl Default for Alerts {
    fn default() -> Self {
        Alerts {
            send_down_minutes: 15,
            disk_free_percent: 5,
            disk_free_bytes: 2 << 30,
            report: true,
            report_at: time(7, 0, 0, 0),
            backup_hours: 48,
        }
    }
}

/// `[[gestionale.atteso]]`: drops that always come; operators are told when one does not.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// Rome time by which it has dropped, in the 24 hours before.
    pub by: Time,
    /// `lun` ... `dom`.
    #[serde(default = "office_days")]
    pub days: Vec<String>,
    /// On holidays too.
    #[serde(default)]
    pub holidays: bool,
    /// Only what it drops into that sub-folder of `in/`.
    #[serde(default)]
    pub flow: Option<String>,
}

fn office_days() -> Vec<String> {
    ["lun", "mar", "mer", "gio", "ven"].map(str::to_owned).into()
}

impl Expected {
    /// The days of the week.
    pub fn weekdays(&self) -> Vec<Weekday> {
        self.days.iter().filter_map(|word| weekday(word)).collect()
    }

    /// Adds every problem. `key`: of one of its own keys.
    pub(super) fn check(&self, flows: &[String], key: &dyn Fn(&str) -> String, add: &mut dyn FnMut(&str, ConfigFault)) {
        for (number, word) in self.days.iter().enumerate() {
            if weekday(word).is_none() {
                add(&key(&format!("days[{number}]")), ConfigFault::Weekday);
            }
        }
        if self.days.is_empty() {
            add(&key("days"), ConfigFault::Empty);
        }
        if let Some(flow) = self.flow.as_ref().filter(|flow| !flows.contains(flow)) {
            add(&key("flow"), ConfigFault::NotGranted { what: super::check::shown(flow) });
        }
    }
}
