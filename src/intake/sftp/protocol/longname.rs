//! The line of `ls -l` that goes with every name: WinSCP and FileZilla read owners from it, old libraries read everything.

use std::fmt::Write;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::intake::sftp::home::Entry;
use crate::intake::sftp::sheets::Sheet;

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
/// Past it `ls` writes the year instead of the hour: half a Gregorian year, in seconds.
const RECENT: i64 = 31_556_952 / 2;

/// Writes the line of `entry` as `ls -l` does in the C locale, with times in UTC; `now` in seconds since 1970 decides whether a time
/// is recent.
pub fn longname(out: &mut Sheet, entry: &Entry, owner: &str, now: i64) {
    let mode = entry.attributes.mode.unwrap_or(0o100_640);
    let size = entry.attributes.size.unwrap_or(0);
    let kind = if mode & 0o170_000 == 0o040_000 { 'd' } else { '-' };
    let _ = out.write_char(kind);
    for (shift, letter) in (0..9).rev().zip("rwxrwxrwx".chars()) {
        let _ = out.write_char(if mode >> shift & 1 == 1 { letter } else { '-' });
    }
    let _ = write!(out, "    1 {owner:<8} {owner:<8} {size:>8} ");
    let modified = i64::from(entry.attributes.times.map_or(0, |(_, modified)| modified));
    let date = Timestamp::from_second(modified).unwrap_or_default().to_zoned(TimeZone::UTC);
    let month = MONTHS.get(usize::from(date.month().unsigned_abs()).saturating_sub(1)).copied().unwrap_or("Jan");
    let day = date.day();
    let _ = if modified > now - RECENT && modified <= now {
        write!(out, "{month} {day:>2} {:02}:{:02}", date.hour(), date.minute())
    } else {
        write!(out, "{month} {day:>2}  {:04}", date.year())
    };
    let _ = write!(out, " {}", entry.name);
}
