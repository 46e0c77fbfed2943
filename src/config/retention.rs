//! How long personal data is kept: nothing is deleted unless an ente says so. Days are counted in Rome days of 24 hours.

use jiff::civil::{Time, time};
use serde::Deserialize;

use super::{ConfigFault, Institution};
use crate::config::check::Add;
use crate::flow::shape::{Key, Kind, ShapeFault, may};

/// `[conservazione]`: what belongs to the installation.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retention {
    /// When it is done, every day (Rome time).
    pub at: Time,
    /// Names of files go from the books of the SFTP door after so many days (0: never).
    pub names_days: u32,
    /// The books of the door and of operators are shortened to so many days (0: never).
    pub audit_days: u32,
}

impl Default for Retention {
    fn default() -> Self {
        Retention { at: time(3, 0, 0, 0), names_days: 0, audit_days: 0 }
    }
}

/// `[ente.conservazione]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct InstitutionRetention {
    /// Personal data, archives and PDFs go so many days after an act is closed (0: never).
    pub personal_days: u32,
    /// Legal facts go so many days after an act is closed (0: never).
    pub legal_facts_days: u32,
    /// A closed act may still be contested for so many days: until then nobody's request deletes it.
    pub dispute_days: u32,
}

impl Default for InstitutionRetention {
    fn default() -> Self {
        // SEND itself tells of a closed act, and keeps its documents, for 120 days.
        InstitutionRetention { personal_days: 0, legal_facts_days: 0, dispute_days: 120 }
    }
}

/// `[gestionale.conservazione]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SourceRetention {
    /// What messo published in the folders of the gestionale is removed after so many days (0: never).
    pub published_days: u32,
}

/// A hundred years.
const LONGEST: i64 = 36_525;
/// Books of accesses are kept for six months at least (Garante, 27/11/2008, system administrators).
const BOOKS: i64 = 180;

pub(super) const RETENTION: &[Key] =
    &[may("at", Kind::TimeOfDay), may("names_days", Kind::Whole(0, LONGEST)), may("audit_days", Kind::Whole(0, LONGEST))];
pub(super) const OF_INSTITUTION: &[Key] = &[
    may("personal_days", Kind::Whole(0, LONGEST)),
    may("legal_facts_days", Kind::Whole(0, LONGEST)),
    may("dispute_days", Kind::Whole(60, 3_652)),
];
pub(super) const OF_SOURCE: &[Key] = &[may("published_days", Kind::Whole(0, LONGEST))];

impl Retention {
    pub(super) fn check(&self, add: Add<'_>) {
        if (1..BOOKS).contains(&i64::from(self.audit_days)) {
            add("conservazione.audit_days", ConfigFault::Shape(ShapeFault::OutOfRange { min: BOOKS, max: LONGEST }));
        }
    }
}

impl InstitutionRetention {
    /// Terms that contradict each other.
    pub(super) fn check(&self, at: &str, add: Add<'_>) {
        if self.personal_days > 0 && self.dispute_days > self.personal_days {
            add(&format!("{at}.conservazione.dispute_days"), ConfigFault::Order { other: "personal_days" });
        }
        let outlived = self.legal_facts_days > 0 && (self.personal_days == 0 || self.personal_days > self.legal_facts_days);
        if outlived {
            // The proof goes last.
            add(&format!("{at}.conservazione.personal_days"), ConfigFault::Order { other: "legal_facts_days" });
        }
    }
}

impl Institution {
    /// Days after which personal data goes; `None`: never.
    pub fn personal_days(&self) -> Option<u32> {
        Some(self.conservazione.personal_days).filter(|days| *days > 0)
    }
}
