//! Pieces of the names of published files: safe on Windows shares, in Rome time, never longer than told.

use std::sync::LazyLock;

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use crate::domain::ids::BatchId;

/// Legal time in Italy: the bundled zone, or the rule in force since 1996 should the system's own database be broken.
static ROME: LazyLock<TimeZone> = LazyLock::new(|| {
    let rome = TimeZone::get("Europe/Rome").or_else(|_| TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3"));
    rome.unwrap_or(TimeZone::UTC)
});

/// `at` as Italian clocks show it.
pub(super) fn rome(at: Timestamp) -> Zoned {
    at.to_zoned(ROME.clone())
}

/// `20261122T180102`, Rome time.
pub(super) fn stamp(at: Timestamp) -> String {
    let local = rome(at);
    format!("{:04}{:02}{:02}T{:02}{:02}{:02}", local.year(), local.month(), local.day(), local.hour(), local.minute(), local.second())
}

/// `22/11/2026 18:01:02`, Rome time, for people.
pub(super) fn readable(at: Timestamp) -> String {
    let local = rome(at);
    let (date, time) = (local.date(), local.time());
    format!("{:02}/{:02}/{:04} {:02}:{:02}:{:02}", date.day(), date.month(), date.year(), time.hour(), time.minute(), time.second())
}

/// The last 12 digits of a drop's id: the random ones (the first tell the time, and drops of one minute share them).
pub(super) fn short(id: BatchId) -> String {
    let mut text = id.0.simple().to_string();
    text.split_off(20)
}

/// The name of the drop without folders and extension, safe and at most `max` bytes. Never empty.
pub(super) fn stem(original_name: &str, max: usize) -> String {
    let file = original_name.rsplit(['/', '\\']).next().unwrap_or_default();
    let stem = match file.rsplit_once('.') {
        Some((stem, extension)) if !stem.is_empty() && extension.len() <= 5 => stem,
        _ => file,
    };
    let safe = sanitised(stem, max);
    if safe.is_empty() { "lotto".to_owned() } else { safe }
}

/// ASCII letters, digits, `-`, `_` and `.`, at most `max` bytes; accents are dropped, the rest becomes `-`. May be empty.
pub(super) fn sanitised(text: &str, max: usize) -> String {
    let mut out = String::with_capacity(text.len().min(max));
    for c in text.chars() {
        // Latin letters lose their accents; other scripts and emoji have no spelling that an office would recognise.
        let plain = if c.is_control() {
            "-"
        } else if c < '\u{250}' {
            deunicode::deunicode_char(c).unwrap_or("-")
        } else {
            "-"
        };
        for c in plain.chars() {
            let c = if c.is_ascii_alphanumeric() || matches!(c, '_' | '.') { c } else { '-' };
            let separator = matches!(c, '-' | '_' | '.');
            if separator && (out.is_empty() || out.ends_with(['-', '_', '.'])) {
                continue;
            }
            if out.len() < max {
                out.push(c);
            }
        }
    }
    out.truncate(out.trim_end_matches(['-', '_', '.']).len());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stems_are_safe_on_every_share() {
        let table = [
            ("TARI 2026 - novembre.zip", "TARI-2026-novembre"),
            ("in/cds\\lotto.CSV", "lotto"),
            ("città perché.xml", "citta-perche"),
            ("a:b*c?d\"e<f>g|h.zip", "a-b-c-d-e-f-g-h"),
            ("CON.zip", "CON"),
            ("...", "lotto"),
            ("", "lotto"),
            ("🙂🙂.zip", "lotto"),
            ("\u{202e}gpj.zip", "gpj"),
            ("a\u{0}\u{7}b.zip", "a-b"),
            ("lotto.2026.11", "lotto.2026"),
            (".nascosto", "nascosto"),
            ("verbali del 12.11.2026", "verbali-del-12.11"),
        ];
        for (name, want) in table {
            assert_eq!(stem(name, 64), want, "name {name:?}");
        }
        assert_eq!(stem(&"à".repeat(10_000), 64), "a".repeat(64));
        assert_eq!(stem(&format!("{}-x.zip", "a".repeat(63)), 64), "a".repeat(63));
    }

    #[test]
    fn times_are_those_of_rome() {
        let table = [
            ("2026-11-22T17:01:02Z", "20261122T180102", "22/11/2026 18:01:02"),
            ("2026-07-01T22:00:00.999Z", "20260702T000000", "02/07/2026 00:00:00"),
        ];
        for (at, want, people) in table {
            let at: Timestamp = at.parse().unwrap();
            assert_eq!((stamp(at).as_str(), readable(at).as_str()), (want, people));
        }
        assert_eq!(short("01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap()), "b302099a8057");
    }
}
