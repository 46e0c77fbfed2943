//! Counting days for amounts: the day of the event is not counted, days that stand still (suspensions, August where the law says so)
//! are not counted either, a last day on a holiday moves on.

use jiff::civil::{Date, Weekday, date};
use jiff::{ToSpan, Unit};

use super::amount_due::Suspension;
use super::amount_rule::HolidayPolicy;
use super::calendar::Calendar;

/// Terms longer than this (a century) never pass.
const MOST_DAYS: u32 = 36_500;
/// Augusts looked ahead.
const MOST_YEARS: i16 = 120;

/// Ranges of days that are not counted, in order and apart from each other; the last may be open.
pub(super) struct Days {
    still: Vec<(Date, Option<Date>)>,
}

/// The end of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Term {
    pub last: Date,
    /// It would have been an earlier day.
    pub moved: bool,
}

impl Days {
    /// Suspensions, and the Augusts (L. 742/1969) from the year of a day on.
    pub(super) fn new(suspensions: &[Suspension], augusts_from: Option<Date>) -> Days {
        let mut ranges: Vec<(Date, Option<Date>)> = suspensions
            .iter()
            .filter(|held| held.until.is_none_or(|until| until >= held.from))
            .map(|held| (held.from, held.until))
            .collect();
        if let Some(first) = augusts_from.map(|day| day.year()) {
            let years = first..=first.saturating_add(MOST_YEARS).min(9_998);
            ranges.extend(years.map(|year| (date(year, 8, 1), Some(date(year, 8, 31)))));
        }
        ranges.sort();
        let mut still: Vec<(Date, Option<Date>)> = Vec::with_capacity(ranges.len());
        for (from, until) in ranges {
            match still.last_mut() {
                Some((_, None)) => break,
                Some((_, Some(end))) if from <= *end => match until {
                    Some(until) => *end = until.max(*end),
                    None => {
                        if let Some((_, end)) = still.last_mut() {
                            *end = None;
                        }
                    }
                },
                _ => still.push((from, until)),
            }
        }
        Days { still }
    }

    /// The `days`-th counted day after `event`. `None`: never.
    pub(super) fn nth(&self, event: Date, days: u32) -> Option<Date> {
        let mut left = i64::from(days.min(MOST_DAYS));
        let mut at = event;
        for (from, until) in &self.still {
            if until.is_some_and(|until| until <= at) {
                continue;
            }
            // Counted days before the range.
            let free = (days_between(at, *from) - 1).max(0);
            if left <= free {
                break;
            }
            left -= free;
            at = (*until)?;
        }
        add_days(at, left)
    }

    /// The last day on which fewer than `days` days after `event` have been counted. `None`: for ever.
    pub(super) fn last_before(&self, event: Date, days: u32) -> Option<Date> {
        self.nth(event, days)?.yesterday().ok()
    }

    /// How many days after `event` up to `day` are counted.
    pub(super) fn counted(&self, event: Date, day: Date) -> u32 {
        if day <= event {
            return 0;
        }
        let mut counted = days_between(event, day);
        for (from, until) in &self.still {
            let end = until.map_or(day, |until| until.min(day));
            let begin = (*from).max(event.tomorrow().unwrap_or(event));
            if end >= begin {
                counted -= days_between(begin, end) + 1;
            }
        }
        u32::try_from(counted).unwrap_or(0)
    }

    /// The last day of a step. `None`: it never ends.
    pub(super) fn term(&self, event: Date, days: u32, policy: HolidayPolicy, calendar: &Calendar) -> Option<Term> {
        let first = self.nth(event, days)?;
        let closed = |day: Date| match policy {
            HolidayPolicy::Stays => false,
            HolidayPolicy::Moves => calendar.is_holiday(day),
            HolidayPolicy::MovesSaturday => calendar.is_holiday(day) || day.weekday() == Weekday::Saturday,
        };
        let mut last = first;
        if closed(first) {
            loop {
                if let Some((_, until)) = self.still.iter().find(|(from, until)| *from <= last && until.is_none_or(|until| last <= until)) {
                    last = until.as_ref()?.tomorrow().ok()?;
                } else if closed(last) {
                    last = last.tomorrow().ok()?;
                } else {
                    break;
                }
            }
        }
        Some(Term { last, moved: last != first })
    }
}

/// `None` at the end of time.
pub(super) fn add_days(day: Date, days: i64) -> Option<Date> {
    day.checked_add(days.days()).ok()
}

/// Days from one date to the other, negative when the second is earlier.
pub(super) fn days_between(from: Date, to: Date) -> i64 {
    from.until((Unit::Day, to)).map_or(0, |span| i64::from(span.get_days()))
}
