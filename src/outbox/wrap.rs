//! Lines of at most 80 characters, for the texts that people open with Notepad: CRLF, UTF-8 with BOM.

/// Characters of a line.
pub(super) const WIDTH: usize = 80;

/// Appends `text` after `label`, broken between words; further lines begin under the text.
pub(super) fn labelled(out: &mut String, indent: usize, label: &str, width: usize, text: &str) {
    let mut first = " ".repeat(indent);
    first.push_str(label);
    let missing = (indent + width).saturating_sub(first.chars().count());
    first.extend(std::iter::repeat_n(' ', missing));
    paragraph(out, &first, indent + width, text);
}

/// Appends `text` with `first` in front, broken between words; further lines are indented by `hang`.
pub(super) fn paragraph(out: &mut String, first: &str, hang: usize, text: &str) {
    let room = WIDTH.saturating_sub(hang).max(20);
    out.push_str(first);
    let mut used = 0;
    for word in text.split_whitespace() {
        let mut word = word;
        let mut long = word.chars().count();
        if used > 0 && used + 1 + long > room {
            new_line(out, hang);
            used = 0;
        } else if used > 0 {
            out.push(' ');
            used += 1;
        }
        while long > room {
            // A word longer than a line (a path, a digest) is cut.
            let cut = word.char_indices().nth(room).map_or(word.len(), |(at, _)| at);
            let (head, tail) = word.split_at(cut);
            visible(out, head);
            new_line(out, hang);
            (word, long) = (tail, long - room);
        }
        visible(out, word);
        used += long;
    }
    out.truncate(out.trim_end_matches(' ').len());
    out.push_str("\r\n");
}

/// A heading with its rule below.
pub(super) fn heading(out: &mut String, text: &str, rule: char) {
    visible(out, text);
    out.push_str("\r\n");
    out.extend(std::iter::repeat_n(rule, WIDTH));
    out.push_str("\r\n");
}

fn new_line(out: &mut String, hang: usize) {
    out.truncate(out.trim_end_matches(' ').len());
    out.push_str("\r\n");
    out.extend(std::iter::repeat_n(' ', hang));
}

/// Appends without what a terminal or an editor would obey: control characters and changes of direction.
fn visible(out: &mut String, text: &str) {
    let hidden = |c: char| c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    out.extend(text.chars().map(|c| if hidden(c) { '\u{fffd}' } else { c }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_never_pass_the_width() {
        let words = "parola ".repeat(40);
        let long = "x".repeat(10_000);
        for text in ["", "breve", &words, &long, "due\nrighe\u{1b}[31m", "perché città è già più così"] {
            let mut out = String::new();
            labelled(&mut out, 4, "Problema:", 11, text);
            assert!(out.ends_with("\r\n"), "{text:?}");
            for line in out.split("\r\n") {
                assert!(line.chars().count() <= WIDTH, "{line:?}");
                assert!(!line.ends_with(' ') && !line.contains(char::is_control), "{line:?}");
            }
            let back: String = out.replace("Problema:", "").split_whitespace().collect();
            let want: String = text.split_whitespace().collect();
            assert_eq!(back, want.replace('\u{1b}', "\u{fffd}"));
        }
    }
}
