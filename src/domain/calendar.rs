//! The Italian calendar: national holidays, the patron's day of an ente, working days, and wall time in Rome.
//!
//! Pure: dates and instants come in as arguments. Holidays are those of law 260/1949 as amended, each with the year since which
//! it holds; the table is right from 1986 on (laws 54/1977, 336/2000 and 151/2025, decree 792/1985). Sundays are holidays by the
//! same law. Whether a Saturday counts as a working day depends on who asks: payments and procedural terms say no
//! (art. 155 c.p.c.), offices may say yes.

use std::str::FromStr;
use std::sync::LazyLock;

use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, Zoned};

/// A national holiday that is always on the same day of the year.
struct Fixed {
    month: i8,
    day: i8,
    name: &'static str,
    /// First year of it (in its present run).
    since: i16,
}

const fn fixed(month: i8, day: i8, name: &'static str, since: i16) -> Fixed {
    Fixed { month, day, name, since }
}

/// Those whose `since` is 1949 are in law 260/1949 (Saint Stephen with law 90 of the same year) and were never taken away.
const FIXED: &[Fixed] = &[
    fixed(1, 1, "Capodanno", 1949),
    // Taken away by law 54/1977, given back by decree 792 of 28 December 1985.
    fixed(1, 6, "Epifania", 1986),
    fixed(4, 25, "Anniversario della Liberazione", 1949),
    fixed(5, 1, "Festa del lavoro", 1949),
    // Moved to a Sunday by law 54/1977, back on its day with law 336 of 20 November 2000.
    fixed(6, 2, "Festa della Repubblica", 2001),
    fixed(8, 15, "Assunzione di Maria", 1949),
    // Law 151 of 8 October 2025, in force since 1 January 2026.
    fixed(10, 4, "San Francesco d'Assisi", 2026),
    fixed(11, 1, "Ognissanti", 1949),
    fixed(12, 8, "Immacolata Concezione", 1949),
    fixed(12, 25, "Natale", 1949),
    fixed(12, 26, "Santo Stefano", 1949),
];

/// The Italian name of the national holiday that falls on that date. Other Sundays are not named.
#[must_use]
pub fn national_holiday(date: Date) -> Option<&'static str> {
    let easter = easter(date.year());
    if easter == Some(date) {
        return Some("Pasqua");
    }
    if easter.and_then(|easter| easter.tomorrow().ok()) == Some(date) {
        return Some("Lunedì dell'Angelo");
    }
    let found = FIXED.iter().find(|fixed| (fixed.month, fixed.day) == (date.month(), date.day()) && date.year() >= fixed.since);
    found.map(|fixed| fixed.name)
}

/// Easter Sunday of the Gregorian calendar (years 1583 to 9999), by the anonymous algorithm of 1876.
#[must_use]
pub fn easter(year: i16) -> Option<Date> {
    if year < 1583 {
        return None;
    }
    let year32 = i32::from(year);
    let (a, b, c) = (year32 % 19, year32 / 100, year32 % 100);
    let (d, e, f) = (b / 4, b % 4, (b + 8) / 25);
    let g = (b - f + 1) / 3;
    let h = (19 * a + b - d - g + 15) % 30;
    let (i, k) = (c / 4, c % 4);
    let l = (32 + 2 * e + 2 * i - h - k) % 7;
    let m = (a + 11 * h + 22 * l) / 451;
    let months = h + l - 7 * m + 114;
    Date::new(year, i8::try_from(months / 31).ok()?, i8::try_from(months % 31 + 1).ok()?).ok()
}

/// A day of the year, written `MM-DD`. Not 29 February, which most years do not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MonthDay {
    month: i8,
    day: i8,
}

/// The text is not `MM-DD`, or no such day exists in every year.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a day of every year, as MM-DD")]
pub struct MonthDayError;

impl FromStr for MonthDay {
    type Err = MonthDayError;

    fn from_str(text: &str) -> Result<Self, MonthDayError> {
        let (month, day) = text.split_once('-').ok_or(MonthDayError)?;
        let number = |part: &str| match part.as_bytes() {
            [a, b] if a.is_ascii_digit() && b.is_ascii_digit() => part.parse::<i8>().map_err(|_| MonthDayError),
            _ => Err(MonthDayError),
        };
        let (month, day) = (number(month)?, number(day)?);
        // 2001 has no 29 February.
        Date::new(2001, month, day).map_err(|_| MonthDayError)?;
        Ok(MonthDay { month, day })
    }
}

impl std::fmt::Display for MonthDay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:02}-{:02}", self.month, self.day)
    }
}

/// Whether work is done on Saturdays that are not holidays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Saturday {
    /// Procedural terms, payments, most offices.
    #[default]
    Rest,
    Work,
}

/// The working days of an ente.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Calendar {
    /// The day of its patron saint, a holiday in its territory only.
    pub patron: Option<MonthDay>,
    pub saturday: Saturday,
}

impl Calendar {
    /// A national holiday, a Sunday, or the patron's day.
    #[must_use]
    pub fn is_holiday(&self, date: Date) -> bool {
        date.weekday() == Weekday::Sunday || self.is_feast(date)
    }

    /// A holiday by its own right: national or the patron's, not merely a Sunday.
    #[must_use]
    pub fn is_feast(&self, date: Date) -> bool {
        national_holiday(date).is_some() || self.is_patron(date)
    }

    /// Whether it is the patron's day.
    #[must_use]
    pub fn is_patron(&self, date: Date) -> bool {
        self.patron.is_some_and(|patron| (patron.month, patron.day) == (date.month(), date.day()))
    }

    /// Neither a holiday nor (unless [`Saturday::Work`]) a Saturday.
    #[must_use]
    pub fn is_working_day(&self, date: Date) -> bool {
        !self.is_holiday(date) && (self.saturday == Saturday::Work || date.weekday() != Weekday::Saturday)
    }

    /// The date itself, or the first working day after it: where a term goes that ends on a holiday. At the end of time, the date.
    #[must_use]
    pub fn working_day_from(&self, date: Date) -> Date {
        self.walk(date, 1).unwrap_or(date)
    }

    /// The date itself, or the last working day before it.
    #[must_use]
    pub fn working_day_until(&self, date: Date) -> Date {
        self.walk(date, -1).unwrap_or(date)
    }

    /// The working day that is `days` working days after `date`, which is not counted (0: [`Calendar::working_day_from`]).
    #[must_use]
    pub fn after_working_days(&self, date: Date, days: u32) -> Date {
        let mut at = if days == 0 { self.working_day_from(date) } else { date };
        for _ in 0..days {
            let Ok(next) = at.tomorrow() else { return at };
            at = self.working_day_from(next);
        }
        at
    }

    /// Holidays in a row are a few: a year is never reached.
    fn walk(&self, mut date: Date, step: i64) -> Option<Date> {
        for _ in 0..366 {
            if self.is_working_day(date) {
                return Some(date);
            }
            date = date.checked_add(step.days()).ok()?;
        }
        None
    }
}

/// Wall time in Italy: the zone of the system or of the binary; were both missing, the rule in force since 1996.
pub fn rome_zone() -> &'static TimeZone {
    static ZONE: LazyLock<TimeZone> = LazyLock::new(|| TimeZone::get("Europe/Rome").or_else(|_| by_rule()).unwrap_or(TimeZone::UTC));
    &ZONE
}

/// Directive 2000/84/EC: from the last Sunday of March to the last Sunday of October, both at 01:00 UTC.
fn by_rule() -> Result<TimeZone, jiff::Error> {
    TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3")
}

/// The wall time in Rome at an instant.
#[must_use]
pub fn in_rome(at: Timestamp) -> Zoned {
    at.to_zoned(rome_zone().clone())
}

/// The instant at which clocks in Rome show that time.
///
/// A time that is skipped in March (02:00 to 03:00) is taken as if the clocks had not moved: 02:30 is 03:30 summer time. One that
/// is there twice in October is the first of the two. `None`: outside the years 1 to 9999.
#[must_use]
pub fn instant_in_rome(at: DateTime) -> Option<Timestamp> {
    Some(at.to_zoned(rome_zone().clone()).ok()?.timestamp())
}

/// First instant of a Rome day and of the next one: 23, 24 or 25 hours.
#[must_use]
pub fn rome_day(day: Date) -> Option<(Timestamp, Timestamp)> {
    let midnight = |day: Date| instant_in_rome(day.to_datetime(Time::midnight()));
    Some((midnight(day)?, midnight(day.tomorrow().ok()?)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    #[test]
    fn easter_of_many_years() {
        // The tables of the Naval Observatory; 1818 and 2285 are the earliest, 1886 and 2038 the latest possible.
        let table = [
            (1818, 3, 22),
            (1886, 4, 25),
            (1943, 4, 25),
            (1954, 4, 18),
            (1981, 4, 19),
            (2000, 4, 23),
            (2008, 3, 23),
            (2019, 4, 21),
            (2024, 3, 31),
            (2025, 4, 20),
            (2026, 4, 5),
            (2027, 3, 28),
            (2028, 4, 16),
            (2030, 4, 21),
            (2038, 4, 25),
            (2049, 4, 18),
            (2076, 4, 19),
            (2285, 3, 22),
        ];
        for (year, month, day) in table {
            assert_eq!(easter(year), Some(date(year, month, day)), "{year}");
        }
        for year in 1583..=9_999 {
            let easter = easter(year).unwrap();
            assert!(easter.weekday() == Weekday::Sunday && (date(year, 3, 22)..=date(year, 4, 25)).contains(&easter), "{easter}");
        }
        assert_eq!(easter(1582), None);
    }

    #[test]
    fn national_holidays_and_since_when() {
        let table = [
            ("2026-01-01", Some("Capodanno")),
            ("2026-01-06", Some("Epifania")),
            ("1985-01-06", None),
            ("1986-01-06", Some("Epifania")),
            ("2026-03-19", None),
            ("2026-04-05", Some("Pasqua")),
            ("2026-04-06", Some("Lunedì dell'Angelo")),
            ("2026-04-07", None),
            ("2011-04-25", Some("Lunedì dell'Angelo")),
            ("2026-04-25", Some("Anniversario della Liberazione")),
            ("2026-05-01", Some("Festa del lavoro")),
            ("2000-06-02", None),
            ("2001-06-02", Some("Festa della Repubblica")),
            ("2026-06-29", None),
            ("2026-08-15", Some("Assunzione di Maria")),
            ("2025-10-04", None),
            ("2026-10-04", Some("San Francesco d'Assisi")),
            ("2027-10-04", Some("San Francesco d'Assisi")),
            ("2026-11-01", Some("Ognissanti")),
            ("2026-11-04", None),
            ("2026-12-08", Some("Immacolata Concezione")),
            ("2026-12-24", None),
            ("2026-12-25", Some("Natale")),
            ("2026-12-26", Some("Santo Stefano")),
            ("2026-12-31", None),
        ];
        for (day, want) in table {
            assert_eq!(national_holiday(day.parse().unwrap()), want, "{day}");
        }
        let of = |year: i16| {
            date(year, 1, 1).series(1.day()).take_while(move |day| day.year() == year).filter(|day| national_holiday(*day).is_some())
        };
        assert_eq!((of(1990).count(), of(2025).count(), of(2026).count()), (11, 12, 13));
    }

    #[test]
    fn days_of_every_year() {
        for (text, want) in [("06-24", true), ("12-07", true), ("02-28", true), ("02-29", false), ("13-01", false), ("00-10", false)]
            .into_iter()
            .chain([("06-31", false), ("6-24", false), ("0624", false), ("06-24-", false), ("+6-24", false), ("", false), ("ab-cd", false)])
        {
            let read = text.parse::<MonthDay>();
            assert_eq!(read.is_ok(), want, "{text:?}");
            assert!(read.is_ok_and(|day| day.to_string() == text) == want, "{text:?}");
        }
    }

    #[test]
    fn working_days() {
        let turin = Calendar { patron: "06-24".parse().ok(), saturday: Saturday::Rest };
        let open = Calendar { saturday: Saturday::Work, ..turin };
        // Date, of the week, of six days, the term that ends on it goes to (first calendar).
        let table = [
            ("2026-11-23", true, true, "2026-11-23"),  // a Monday
            ("2026-11-28", false, true, "2026-11-30"), // a Saturday
            ("2026-11-29", false, false, "2026-11-30"),
            ("2026-06-24", false, false, "2026-06-25"), // the patron
            ("2026-12-25", false, false, "2026-12-28"), // Friday, Saturday and Sunday
            ("2026-04-04", false, true, "2026-04-07"),  // before Easter
            ("2026-12-08", false, false, "2026-12-09"),
            ("2027-10-04", false, false, "2027-10-05"), // a Monday
        ];
        for (day, five, six, to) in table {
            let date: Date = day.parse().unwrap();
            let got = (turin.is_working_day(date), open.is_working_day(date), turin.working_day_from(date).to_string());
            assert_eq!(got, (five, six, to.to_owned()), "{day}");
        }
        assert!(Calendar::default().is_working_day(date(2026, 6, 24)), "of Turin only");
        assert_eq!(turin.working_day_until(date(2026, 12, 27)), date(2026, 12, 24));
        let after = [
            ("2026-12-23", 0, "2026-12-23"),
            ("2026-12-23", 1, "2026-12-24"),
            ("2026-12-23", 2, "2026-12-28"),
            ("2026-12-26", 0, "2026-12-28"),
            ("2026-12-26", 1, "2026-12-28"),
            ("2026-12-30", 3, "2027-01-05"),
            ("2026-12-30", 4, "2027-01-07"),
        ];
        for (day, days, want) in after {
            assert_eq!(turin.after_working_days(day.parse().unwrap(), days).to_string(), want, "{day} + {days}");
        }
        assert_eq!(turin.working_day_from(Date::MAX), Date::MAX, "the end of time is a Friday");
    }

    #[test]
    fn wall_time_in_rome_has_one_instant_always() {
        let table = [
            ("2026-03-29T01:59", "2026-03-29T00:59:00Z"),
            ("2026-03-29T02:00", "2026-03-29T01:00:00Z"), // skipped: 03:00
            ("2026-03-29T02:30", "2026-03-29T01:30:00Z"), // skipped: 03:30
            ("2026-03-29T03:00", "2026-03-29T01:00:00Z"),
            ("2026-07-01T07:00", "2026-07-01T05:00:00Z"),
            ("2026-10-25T01:59", "2026-10-24T23:59:00Z"),
            ("2026-10-25T02:30", "2026-10-25T00:30:00Z"), // twice: the first
            ("2026-10-25T03:00", "2026-10-25T02:00:00Z"),
            ("2026-12-01T07:00", "2026-12-01T06:00:00Z"),
        ];
        for (wall, want) in table {
            assert_eq!(instant_in_rome(wall.parse().unwrap()), want.parse().ok(), "{wall}");
        }
        let hours = |day: Date| rome_day(day).map(|(from, to)| to.duration_since(from).as_hours());
        for (day, want) in [("2026-03-29", 23), ("2026-10-25", 25), ("2026-11-22", 24)] {
            assert_eq!(hours(day.parse().unwrap()), Some(want), "{day}");
        }
        assert_eq!(rome_day(Date::MAX), None);
        assert_eq!(in_rome("2026-07-01T22:30:00Z".parse().unwrap()).date(), date(2026, 7, 2));
    }

    #[test]
    fn without_a_zone_file_the_rule_gives_the_same_answers() {
        let rule = by_rule().unwrap();
        let mut at: Timestamp = "1997-01-01T00:00:00Z".parse().unwrap();
        let end: Timestamp = "2037-12-31T00:00:00Z".parse().unwrap();
        while at < end {
            assert_eq!(rule.to_datetime(at), rome_zone().to_datetime(at), "{at}");
            at += jiff::SignedDuration::from_mins(59 * 7);
        }
    }
}
