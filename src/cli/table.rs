//! Plain tables for a terminal: columns by their widest cell, Rome time, nothing that a terminal would obey.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// `22/11/2026 18:30:05`, Rome time.
pub fn when(at: Timestamp) -> String {
    let zone = TimeZone::get("Europe/Rome").unwrap_or(TimeZone::UTC);
    at.to_zoned(zone).strftime("%d/%m/%Y %H:%M:%S").to_string()
}

/// The same, or a dash.
pub fn when_known(at: Option<Timestamp>) -> String {
    at.map_or_else(|| "-".to_owned(), when)
}

/// The text, or a dash.
pub fn known(text: Option<&str>) -> String {
    text.filter(|text| !text.is_empty()).unwrap_or("-").to_owned()
}

/// Euro and cents: `12,40`.
pub fn euro(cents: i64) -> String {
    let sign = if cents < 0 { "-" } else { "" };
    format!("{sign}{},{:02}", cents.unsigned_abs() / 100, cents.unsigned_abs() % 100)
}

/// One line without what a terminal would obey: texts may come from a file name or a row.
pub fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || is_invisible(c) { '\u{fffd}' } else { c }).collect()
}

/// The same, line by line.
pub fn plain_lines(text: &str) -> String {
    text.lines().map(|line| format!("{}\n", plain(line))).collect()
}

/// Marks that turn the direction of what follows.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Rows under a title and column heads; without rows, nothing.
pub fn section(title: &str, heads: &[&str], rows: &[Vec<String>]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    format!("\n{title}\n{}", indent(&table(heads, rows)))
}

/// `name  value` pairs, one a line; pairs without a value are left out.
pub fn pairs(rows: &[(&str, String)]) -> String {
    let rows: Vec<Vec<String>> = rows
        .iter()
        .filter(|(_, value)| !value.is_empty() && value != "-")
        .map(|(name, value)| vec![(*name).to_owned(), value.clone()])
        .collect();
    table(&[], &rows)
}

/// Columns two spaces apart; no heads, no head line.
pub fn table(heads: &[&str], rows: &[Vec<String>]) -> String {
    let rows: Vec<Vec<String>> = (!heads.is_empty())
        .then(|| heads.iter().map(|head| (*head).to_owned()).collect())
        .into_iter()
        .chain(rows.iter().map(|row| row.iter().map(|cell| plain(cell)).collect()))
        .collect();
    let mut widths: Vec<usize> = Vec::new();
    for row in &rows {
        for (index, cell) in row.iter().enumerate() {
            let width = cell.chars().count();
            match widths.get_mut(index) {
                Some(widest) => *widest = width.max(*widest),
                None => widths.push(width),
            }
        }
    }
    let mut text = String::new();
    for row in &rows {
        let line: String = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}  ")).collect();
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn indent(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_terminals_are_not_obeyed() {
        let rows = [vec!["è".to_owned(), "1".to_owned()], vec!["a\u{1b}[31m\nb".to_owned(), "22".to_owned()]];
        assert_eq!(table(&["nome", "n"], &rows), "nome      n\nè         1\na\u{fffd}[31m\u{fffd}b  22\n");
        assert_eq!(section("Vuota", &["a"], &[]), "");
        assert_eq!(pairs(&[("a", "-".to_owned()), ("lungo", "x".to_owned()), ("b", "y".to_owned())]), "lungo  x\nb      y\n");
    }

    #[test]
    fn times_are_roman_and_amounts_have_two_decimals() {
        assert_eq!(when("2026-07-01T22:30:05Z".parse().unwrap()), "02/07/2026 00:30:05");
        for (cents, want) in [(0, "0,00"), (1240, "12,40"), (-5, "-0,05")] {
            assert_eq!(euro(cents), want, "{cents}");
        }
    }
}
