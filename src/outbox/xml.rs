//! XML by hand: the files are long and their shape is fixed. Whatever text comes in, what goes out is well formed.

use std::fmt::Write;

/// Appends `text` escaped for content and attributes alike. Characters that XML 1.0 cannot hold become U+FFFD.
pub(super) fn escape(out: &mut String, text: &str) {
    // U+FFFE and U+FFFF begin with 0xEF in UTF-8.
    let plain = |byte: u8| byte >= 0x20 && byte != 0xEF && !matches!(byte, b'<' | b'>' | b'&' | b'"');
    if text.bytes().all(plain) {
        out.push_str(text);
        return;
    }
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            // Readers would turn these into spaces or other line ends.
            '\t' => out.push_str("&#9;"),
            '\n' => out.push_str("&#10;"),
            '\r' => out.push_str("&#13;"),
            '\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
}

/// Appends ` name="text"`.
pub(super) fn attribute(out: &mut String, name: &str, text: &str) {
    out.push(' ');
    out.push_str(name);
    out.push_str("=\"");
    escape(out, text);
    out.push('"');
}

/// Appends `<name>text</name>`.
pub(super) fn element(out: &mut String, name: &str, text: &str) {
    open(out, name);
    escape(out, text);
    close(out, name);
}

/// Appends `<name>value</name>` of a value that never needs escaping: numbers, dates, digests.
pub(super) fn plain(out: &mut String, name: &str, value: impl std::fmt::Display) {
    open(out, name);
    // Writing to a String does not fail.
    let _ = write!(out, "{value}");
    close(out, name);
}

/// Appends `<name>2026-11-22T18:01:02+01:00</name>`: a local time with its offset, to the second.
pub(super) fn local_time(out: &mut String, name: &str, local: &jiff::Zoned) {
    let (time, minutes) = (local.time(), local.offset().seconds() / 60);
    let (sign, hours, minutes) = (if minutes < 0 { '-' } else { '+' }, minutes.abs() / 60, minutes.abs() % 60);
    let (hour, minute, second) = (time.hour(), time.minute(), time.second());
    plain(out, name, format_args!("{}T{hour:02}:{minute:02}:{second:02}{sign}{hours:02}:{minutes:02}", local.date()));
}

pub(super) fn open(out: &mut String, name: &str) {
    out.push('<');
    out.push_str(name);
    out.push('>');
}

pub(super) fn close(out: &mut String, name: &str) {
    out.push_str("</");
    out.push_str(name);
    out.push('>');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_what_xml_cannot_hold() {
        let table = [
            ("Rossi & figli", "Rossi &amp; figli"),
            ("]]>", "]]&gt;"),
            ("a<b \"c\"", "a&lt;b &quot;c&quot;"),
            ("a\tb\r\nc", "a&#9;b&#13;&#10;c"),
            ("\u{0}\u{8}\u{b}\u{1f}", "\u{fffd}\u{fffd}\u{fffd}\u{fffd}"),
            ("\u{fffe}x\u{ffff}", "\u{fffd}x\u{fffd}"),
            ("\u{feff}è 🙂 \u{85}", "\u{feff}è 🙂 \u{85}"),
        ];
        for (text, want) in table {
            let mut out = String::new();
            escape(&mut out, text);
            assert_eq!(out, want, "text {text:?}");
        }
    }
}
