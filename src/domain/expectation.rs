//! When a gestionale always drops: days of the week, an hour by which, whether holidays count. Pure.

use jiff::Timestamp;
use jiff::civil::{Date, Time, Weekday};

use super::calendar::{Calendar, in_rome, instant_in_rome};

/// Days looked back for the last deadline: a Monday that was a holiday twice in a row is further than a week.
const LOOKED_BACK: usize = 40;

/// The days of the week as they are written, from Monday.
pub const WEEKDAYS: [(&str, Weekday); 7] = [
    ("lun", Weekday::Monday),
    ("mar", Weekday::Tuesday),
    ("mer", Weekday::Wednesday),
    ("gio", Weekday::Thursday),
    ("ven", Weekday::Friday),
    ("sab", Weekday::Saturday),
    ("dom", Weekday::Sunday),
];

/// The day of the week that a word names.
#[must_use]
pub fn weekday(word: &str) -> Option<Weekday> {
    WEEKDAYS.iter().find(|(name, _)| *name == word).map(|(_, day)| *day)
}

/// What is expected of a gestionale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expectation {
    /// Rome time by which it has dropped.
    pub by: Time,
    pub days: Vec<Weekday>,
    /// It drops on holidays too.
    pub holidays: bool,
    /// Of the enti it sends for: the patron's day of all of them is a holiday.
    pub calendars: Vec<Calendar>,
}

/// A deadline that has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline {
    pub day: Date,
    /// What was dropped after this instant counts: the same hour of the day before.
    pub from: Timestamp,
    pub at: Timestamp,
}

impl Expectation {
    /// Whether a drop is expected on that day.
    #[must_use]
    pub fn expects(&self, day: Date) -> bool {
        let holiday = !self.calendars.is_empty() && self.calendars.iter().all(|calendar| calendar.is_feast(day));
        self.days.contains(&day.weekday()) && (self.holidays || !holiday)
    }

    /// The last deadline that is not after `now`.
    #[must_use]
    pub fn last_deadline(&self, now: Timestamp) -> Option<Deadline> {
        let mut day = in_rome(now).date();
        for _ in 0..LOOKED_BACK {
            let before = day.yesterday().ok()?;
            let at = instant_in_rome(day.to_datetime(self.by))?;
            if at <= now && self.expects(day) {
                return Some(Deadline { day, from: instant_in_rome(before.to_datetime(self.by))?, at });
            }
            day = before;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_deadline_follows_weeks_holidays_and_clocks() {
        let patron = |day: &str| Calendar { patron: Some(day.parse().unwrap()), ..Calendar::default() };
        let expects = |days: &str, holidays: bool, calendars: &[Calendar]| Expectation {
            by: "07:00".parse().unwrap(),
            days: days.split(' ').filter_map(weekday).collect(),
            holidays,
            calendars: calendars.to_vec(),
        };
        let office = expects("lun mar mer gio ven", false, &[patron("06-24")]);
        let always = expects("lun mar mer gio ven sab dom", true, &[patron("06-24")]);
        let mondays = expects("lun", false, &[Calendar::default()]);
        let sundays = expects("dom", false, &[Calendar::default()]);
        let house = expects("lun mar mer gio ven", false, &[patron("06-24"), patron("12-07")]);
        let table = [
            (&office, "2026-11-23T06:00:00Z", Some("2026-11-23")), // 07:00 of a Monday
            (&office, "2026-11-23T05:59:59Z", Some("2026-11-20")), // before: the Friday
            (&office, "2026-06-24T08:00:00Z", Some("2026-06-23")), // the patron
            (&office, "2026-12-28T05:00:00Z", Some("2026-12-24")),
            (&always, "2026-12-28T05:00:00Z", Some("2026-12-27")),
            (&always, "2026-06-24T08:00:00Z", Some("2026-06-24")),
            (&mondays, "2026-04-07T08:00:00Z", Some("2026-03-30")), // Easter Monday does not count
            (&sundays, "2026-11-23T08:00:00Z", Some("2026-11-22")), // who writes `dom` means it
            (&sundays, "2026-04-06T08:00:00Z", Some("2026-03-29")), // but Easter is a holiday
            (&house, "2026-06-24T08:00:00Z", Some("2026-06-24")),   // the patron of one ente of two
            (&expects("", false, &[]), "2026-11-23T08:00:00Z", None),
        ];
        for (expectation, now, want) in table {
            let got = expectation.last_deadline(now.parse().unwrap()).map(|deadline| deadline.day.to_string());
            assert_eq!(got.as_deref(), want, "{now} {expectation:?}");
        }
        // Summer time begins on the day of the deadline: the window has 23 hours, and ends at 07:00 on the wall.
        let spring = always.last_deadline("2026-03-29T05:00:00Z".parse().unwrap()).unwrap();
        assert_eq!((spring.from.to_string(), spring.at.to_string()), ("2026-03-28T06:00:00Z".into(), "2026-03-29T05:00:00Z".into()));
    }
}
