//! When an export is due: a night by the clocks of Rome, winter and summer, and whatever the clock of this machine did.

use jiff::civil::{Date, Time};
use jiff::{SignedDuration, Timestamp, ToSpan};

use crate::service::rome;

/// A night, and the instant from which its export is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Night {
    pub day: Date,
    pub at: Timestamp,
}

/// An export made this much later than now was made by a clock that ran ahead.
const AHEAD: SignedDuration = SignedDuration::from_hours(1);

/// The last time, now included, that the clocks of Rome showed `hour`. An hour that a night lacks is an hour later; of one that it
/// has twice the first counts.
pub fn last_night(now: Timestamp, hour: Time) -> Option<Night> {
    let today = rome(now).date();
    (0..3).filter_map(|back| night(today.checked_sub(back.days()).ok()?, hour, now)).find(|night| night.at <= now)
}

/// The same on that day of the month; 0: never.
pub fn last_monthly(now: Timestamp, hour: Time, day: i8) -> Option<Night> {
    let today = rome(now).date();
    let of_month = |back: i32| {
        let month = today.first_of_month().checked_sub(back.months()).ok()?;
        night(month.with().day(day).build().ok()?, hour, now)
    };
    (0..2).filter_map(of_month).find(|night| night.at <= now)
}

fn night(day: Date, hour: Time, now: Timestamp) -> Option<Night> {
    let zone = rome(now).time_zone().clone();
    Some(Night { day, at: day.to_datetime(hour).to_zoned(zone).ok()?.timestamp() })
}

impl Night {
    /// Whether nothing was exported since, the last time being `last`. A clock that was put back does not stop the exports until it
    /// has caught up.
    pub fn is_due(&self, last: Timestamp, now: Timestamp) -> bool {
        last < self.at || last > now.saturating_add(AHEAD).unwrap_or(Timestamp::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn nights_are_those_of_rome_across_both_changes_of_the_clock() {
        let hour = |text: &str| text.parse::<Time>().unwrap();
        let table = [
            ("2026-11-23T00:59:59Z", "02:00", "2026-11-22", "2026-11-22T01:00:00Z"),
            ("2026-11-23T01:00:00Z", "02:00", "2026-11-23", "2026-11-23T01:00:00Z"),
            ("2026-07-01T00:00:00Z", "02:00", "2026-07-01", "2026-07-01T00:00:00Z"),
            // 29 March 2026: from 02:00 to 03:00 there is no hour.
            ("2026-03-29T00:59:59Z", "02:00", "2026-03-28", "2026-03-28T01:00:00Z"),
            ("2026-03-29T01:00:00Z", "02:00", "2026-03-29", "2026-03-29T01:00:00Z"),
            ("2026-03-29T01:29:59Z", "02:30", "2026-03-28", "2026-03-28T01:30:00Z"),
            ("2026-03-29T01:30:00Z", "02:30", "2026-03-29", "2026-03-29T01:30:00Z"),
            ("2026-03-30T00:00:00Z", "02:00", "2026-03-30", "2026-03-30T00:00:00Z"),
            // 25 October 2026: 02:00 to 03:00 twice; once is enough.
            ("2026-10-24T23:59:59Z", "02:00", "2026-10-24", "2026-10-24T00:00:00Z"),
            ("2026-10-25T00:00:00Z", "02:00", "2026-10-25", "2026-10-25T00:00:00Z"),
            ("2026-10-25T01:00:00Z", "02:00", "2026-10-25", "2026-10-25T00:00:00Z"),
            ("2026-10-25T01:30:00Z", "02:30", "2026-10-25", "2026-10-25T00:30:00Z"),
            ("2026-10-26T00:59:59Z", "02:00", "2026-10-25", "2026-10-25T00:00:00Z"),
            ("2026-10-26T01:00:00Z", "02:00", "2026-10-26", "2026-10-26T01:00:00Z"),
        ];
        for (now, clock, day, due) in table {
            let want = Night { day: day.parse().unwrap(), at: at(due) };
            assert_eq!(last_night(at(now), hour(clock)), Some(want), "{now} {clock}");
        }
    }

    #[test]
    fn each_night_of_a_year_is_due_once() {
        let hour = Time::constant(2, 30, 0, 0);
        let (mut now, end) = (at("2026-01-01T00:00:00Z"), at("2027-01-01T00:00:00Z"));
        let mut last = at("2025-12-31T12:00:00Z");
        let mut days = Vec::new();
        while now < end {
            let night = last_night(now, hour).unwrap();
            if night.is_due(last, now) {
                days.push(night.day);
                last = now;
            }
            now += SignedDuration::from_mins(10);
        }
        let mut distinct = days.clone();
        distinct.dedup();
        assert_eq!((days.len(), distinct.len()), (365, 365));
    }

    #[test]
    fn the_month_has_one_night_of_its_own() {
        let hour = Time::constant(2, 0, 0, 0);
        let table = [
            ("2026-11-01T00:59:00Z", 1, Some("2026-10-01")),
            ("2026-11-01T01:00:00Z", 1, Some("2026-11-01")),
            ("2026-11-30T23:00:00Z", 1, Some("2026-11-01")),
            ("2026-01-05T12:00:00Z", 28, Some("2025-12-28")),
            ("2026-01-05T12:00:00Z", 0, None),
        ];
        for (now, day, want) in table {
            assert_eq!(last_monthly(at(now), hour, day).map(|night| night.day.to_string()).as_deref(), want, "{now} {day}");
        }
    }

    #[test]
    fn a_clock_that_jumps_neither_stops_nor_repeats_the_nights() {
        let now = at("2026-11-23T03:00:00Z");
        let night = last_night(now, Time::constant(2, 0, 0, 0)).unwrap();
        let table = [
            ("2026-11-22T01:00:05Z", true),  // last night
            ("2026-11-23T01:00:05Z", false), // made
            ("2026-11-23T03:00:02Z", false), // made, and the clock was put right by seconds since
            ("2027-11-23T01:00:00Z", true),  // made by a clock a year ahead
            ("2026-10-01T01:00:00Z", true),  // the service stood still for weeks: one export covers them
        ];
        for (last, want) in table {
            assert_eq!(night.is_due(at(last), now), want, "{last}");
        }
    }
}
