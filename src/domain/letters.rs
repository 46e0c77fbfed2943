//! Letters: which are the same to a reader, which SEND takes, and what stands for those it does not.
//!
//! Nothing here knows what a text is about. All of it runs for every act of a batch: what needs no change is not copied.

use std::borrow::Cow;

use deunicode::deunicode_char;

/// A character that every deployment of SEND takes in addresses: ASCII letters and digits, `. / ' -` and space.
pub fn is_safe(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '/' | '\'' | '-' | ' ')
}

/// A printable character of ISO Latin-1: what SEND takes in denominations (`[\u0020-\u007E\u00A0-\u00FF]`).
pub fn is_latin1(c: char) -> bool {
    matches!(c, '\u{20}'..='\u{7e}' | '\u{a0}'..='\u{ff}')
}

/// `text` in the safe set of addresses, single-spaced and trimmed: accents dropped, other scripts transliterated, other signs made spaces.
pub fn to_safe(text: &str) -> Cow<'_, str> {
    let tidy = !text.starts_with(' ') && !text.ends_with(' ') && !text.contains("  ");
    if tidy && text.chars().all(is_safe) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if is_safe(c) => push(&mut out, c),
            // `N° 5` is `N. 5`; deunicode would write `deg`.
            '°' | 'º' => push(&mut out, '.'),
            '&' => push(&mut out, 'E'),
            '\\' => push(&mut out, '/'),
            '‘' | '’' | '‛' | '`' | '´' | 'ʼ' => push(&mut out, '\''),
            '–' | '—' | '‐' | '‑' => push(&mut out, '-'),
            c if c.is_ascii() || c.is_whitespace() || c.is_control() => push(&mut out, ' '),
            c => {
                for ascii in deunicode_char(c).unwrap_or(" ").chars() {
                    push(&mut out, if is_safe(ascii) { ascii } else { ' ' });
                }
            }
        }
    }
    out.truncate(out.trim_end().len());
    Cow::Owned(out)
}

/// Adds `c`, unless it is a space that opens the text or follows another.
fn push(out: &mut String, c: char) {
    if c != ' ' || !(out.is_empty() || out.ends_with(' ')) {
        out.push(c);
    }
}

/// `text` in printable Latin-1: decomposed accents composed, typographic signs and other scripts transliterated.
pub fn to_latin1(text: &str) -> Cow<'_, str> {
    if text.chars().all(is_latin1) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    for c in compose(text).chars() {
        match c {
            c if is_latin1(c) => out.push(c),
            '‘' | '’' | '‛' | 'ʼ' => out.push('\''),
            '–' | '—' | '‐' | '‑' => out.push('-'),
            c if c.is_whitespace() || c.is_control() => out.push(' '),
            c => out.extend(deunicode_char(c).unwrap_or("").chars().filter(|ascii| is_latin1(*ascii))),
        }
    }
    Cow::Owned(out)
}

/// `text` with the combining accents of Latin letters composed (`e` + U+0300 becomes `è`), as Unicode's form C has them.
///
/// Names of files written on a Mac come decomposed. Only the marks that make Latin-1 letters are known: the rest stays as it is.
pub fn compose(text: &str) -> Cow<'_, str> {
    if !text.chars().any(|c| matches!(c, '\u{300}'..='\u{36f}')) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match out.chars().next_back().and_then(|base| composed(base, c)) {
            Some(whole) => {
                out.pop();
                out.push(whole);
            }
            None => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// The Latin-1 letter made of `base` and the combining `mark`.
fn composed(base: char, mark: char) -> Option<char> {
    let (bases, wholes) = match mark {
        '\u{300}' => ("AEIOUaeiou", "ÀÈÌÒÙàèìòù"),
        '\u{301}' => ("AEIOUYaeiouy", "ÁÉÍÓÚÝáéíóúý"),
        '\u{302}' => ("AEIOUaeiou", "ÂÊÎÔÛâêîôû"),
        '\u{303}' => ("ANOano", "ÃÑÕãñõ"),
        '\u{308}' => ("AEIOUaeiouy", "ÄËÏÖÜäëïöüÿ"),
        '\u{30a}' => ("Aa", "Åå"),
        '\u{327}' => ("Cc", "Çç"),
        _ => return None,
    };
    bases.chars().zip(wholes.chars()).find(|(letter, _)| *letter == base).map(|(_, whole)| whole)
}

/// Letters and digits of `text` as upper-case ASCII, accents dropped, all else left out: two names that a reader takes for one are equal.
pub fn folded(text: &str) -> impl Iterator<Item = u8> + '_ {
    text.chars().flat_map(|c| {
        let (own, foreign) = if c.is_ascii() { (Some(c as u8), "") } else { (None, deunicode_char(c).unwrap_or("")) };
        own.into_iter().chain(foreign.bytes()).filter(u8::is_ascii_alphanumeric).map(|byte| byte.to_ascii_uppercase())
    })
}

/// Whether two texts are the same to a reader: letter case, accents, apostrophes and spaces do not count.
pub fn same_folded(a: &str, b: &str) -> bool {
    folded(a).eq(folded(b))
}

/// Hash of [`folded`] (FNV-1a, 64 bits): stable, for tables built in; not against people who choose their names.
pub fn folded_hash(text: &str) -> u64 {
    folded(text).fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

/// The runs of letters and digits of `text`.
pub fn words(text: &str) -> impl Iterator<Item = &str> + Clone {
    text.split(|c: char| !c.is_alphanumeric() && !matches!(c, '\u{300}'..='\u{36f}')).filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn writes_addresses_in_the_safe_set() {
        let table = [
            ("VIA ROMA 1", "VIA ROMA 1"),
            ("Via Forlì, 12", "Via Forli 12"),
            ("  Via  dei Mille ", "Via dei Mille"),
            ("Piazza dell’Unità n° 5", "Piazza dell'Unita n. 5"),
            ("Località «Tre Fontane»", "Localita Tre Fontane"),
            ("STRAßE 3", "STRAssE 3"),
            ("Ulica Łódź", "Ulica Lodz"),
            ("ROSSI & FIGLI", "ROSSI E FIGLI"),
            ("int. 3\\B", "int. 3/B"),
            ("Via @OK_AR", "Via OK AR"),
            ("caffe\u{300}", "caffe"),
            ("\u{1f600}", "grinning"),
        ];
        for (text, want) in table {
            assert_eq!(to_safe(text), want, "{text:?}");
        }
        assert!(matches!(to_safe("VIA ROMA 1"), Cow::Borrowed(_)));
    }

    #[test]
    fn keeps_latin1_in_denominations() {
        let table = [
            ("Nicolò D’Angelo", "Nicolò D'Angelo"),
            ("Nicolo\u{300}", "Nicolò"),
            ("Đorđević Łukasz", "Dordevic Lukasz"),
            ("ROSSI & C. – SNC", "ROSSI & C. - SNC"),
            ("A\tB", "A B"),
        ];
        for (text, want) in table {
            assert_eq!(to_latin1(text), want, "{text:?}");
        }
    }

    #[test]
    fn readers_take_these_names_for_one() {
        let table =
            [("Sant'Angelo", "SANT ANGELO", true), ("Forlì", "FORLI'", true), ("Agliè", "aglie\u{300}", true), ("Livo", "Livorno", false)];
        for (a, b, want) in table {
            assert_eq!(same_folded(a, b), want, "{a} {b}");
            assert_eq!(folded_hash(a) == folded_hash(b), want, "{a} {b}");
        }
        assert_eq!(words("D'ANGELO, Anna-Maria (erede)").collect::<Vec<_>>(), ["D", "ANGELO", "Anna", "Maria", "erede"]);
    }

    proptest! {
        #[test]
        fn transliteration_ends_in_its_set(text in ".{0,80}") {
            let safe = to_safe(&text).into_owned();
            prop_assert!(safe.chars().all(is_safe), "{:?} -> {:?}", text, safe);
            prop_assert_eq!(to_safe(&safe).into_owned(), safe);
            prop_assert!(to_latin1(&text).chars().all(is_latin1), "{:?}", text);
        }
    }
}
