//! Codice fiscale of persons (16 characters) and numeric one of bodies (11 digits, the partita IVA's check).
//!
//! Rules: `reference pt.md` 5.3; what SEND checks: `reference send.md` 3 (pattern with omocodia, month letter, check letter).
//! The day is checked too: a code with day 00 or 35 belongs to nobody, whatever its last letter.

/// Why a text is no fiscal code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FiscalCodeError {
    /// Neither 16 characters nor 11 digits.
    #[error("wrong length")]
    Length,
    /// A letter where a digit belongs, or the opposite.
    #[error("wrong shape")]
    Shape,
    /// The ninth character is no month letter.
    #[error("no such month")]
    Month,
    /// Neither 01..=31 nor 41..=71.
    #[error("no such day")]
    Day,
    /// The last character does not follow from the others; it should be this one.
    #[error("check character should be {0}")]
    Check(char),
}

/// Checks a person's code: 16 upper-case characters.
pub fn check_person(text: &str) -> Result<(), FiscalCodeError> {
    let code: &[u8; 16] = text.as_bytes().try_into().map_err(|_| FiscalCodeError::Length)?;
    const SHAPE: &[u8; 16] = b"LLLLLLDDMDDLDDDL";
    for (byte, shape) in code.iter().zip(SHAPE) {
        let fits = match shape {
            b'D' => digit(*byte).is_some(),
            _ => byte.is_ascii_uppercase(),
        };
        if !fits {
            return Err(FiscalCodeError::Shape);
        }
    }
    let [_, _, _, _, _, _, _, _, month, tens, units, .., last] = code;
    if !b"ABCDEHLMPRST".contains(month) {
        return Err(FiscalCodeError::Month);
    }
    let day = digit(*tens).unwrap_or(0) * 10 + digit(*units).unwrap_or(0);
    if !matches!(day, 1..=31 | 41..=71) {
        return Err(FiscalCodeError::Day);
    }
    let want = check_letter(code);
    if want == *last { Ok(()) } else { Err(FiscalCodeError::Check(char::from(want))) }
}

/// A digit, or the letter that stands for it in codes of people who would share one (omocodia).
fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        _ => b"LMNPQRSTUV".iter().position(|letter| *letter == byte).and_then(|place| u8::try_from(place).ok()),
    }
}

/// The sixteenth character that follows from the first fifteen.
fn check_letter(code: &[u8; 16]) -> u8 {
    // Value of A..Z at odd places (1st, 3rd, ...); the digits 0..9 have those of A..J.
    const ODD: [u8; 26] = [1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23];
    let mut sum = 0u32;
    for (place, byte) in code.iter().take(15).enumerate() {
        let rank = if byte.is_ascii_digit() { byte - b'0' } else { byte.saturating_sub(b'A') };
        let value = if place % 2 == 0 { ODD.get(usize::from(rank)).copied().unwrap_or(0) } else { rank };
        sum += u32::from(value);
    }
    b'A' + (sum % 26) as u8
}

/// Checks a body's code (or a partita IVA): 11 digits.
pub fn check_body(text: &str) -> Result<(), FiscalCodeError> {
    let code: &[u8; 11] = text.as_bytes().try_into().map_err(|_| FiscalCodeError::Length)?;
    if !code.iter().all(u8::is_ascii_digit) {
        return Err(FiscalCodeError::Shape);
    }
    let mut sum = 0u32;
    for (place, byte) in code.iter().take(10).enumerate() {
        let value = u32::from(byte - b'0') << (place % 2);
        sum += if value > 9 { value - 9 } else { value };
    }
    let want = b'0' + ((10 - sum % 10) % 10) as u8;
    if code.last() == Some(&want) { Ok(()) } else { Err(FiscalCodeError::Check(char::from(want))) }
}

/// Takes spaces out and makes letters upper-case, as SEND does before it checks.
pub fn normalise(text: &mut String) {
    if text.chars().any(char::is_whitespace) {
        text.retain(|c| !c.is_whitespace());
    }
    text.make_ascii_uppercase();
}

/// The first person's code that stands in `text` as a word, of either case.
pub fn find_person_in(text: &str) -> Option<&str> {
    super::letters::words(text).find(|word| {
        let mut upper = [0u8; 16];
        if word.len() != upper.len() {
            return false;
        }
        upper.copy_from_slice(word.as_bytes());
        upper.make_ascii_uppercase();
        std::str::from_utf8(&upper).is_ok_and(|code| check_person(code).is_ok())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn checks_persons() {
        let table = [
            ("RSSMRA80A01H501U", Ok(())),
            ("FRMTTR76M06B715E", Ok(())),
            ("LVLDAA85T50G702B", Ok(())),
            ("BNRMHL75C06G702B", Ok(())),
            ("FLPCPT69A65Z336P", Ok(())),
            ("MNDLCU98T68C933T", Ok(())),
            ("RSSMRA80A01H501X", Err(FiscalCodeError::Check('U'))),
            ("RSSMRA80A01H50MK", Err(FiscalCodeError::Check('M'))),
            ("RSSMRA80A01H50MM", Ok(())), // omocodia: M for 1
            ("rssmra80a01h501u", Err(FiscalCodeError::Shape)),
            ("RSSMRA80A01H501", Err(FiscalCodeError::Length)),
            ("RSSMRA80F01H501U", Err(FiscalCodeError::Month)),
            ("RSSMRA80A00H501T", Err(FiscalCodeError::Day)),
            ("RSSMRA80A35H501T", Err(FiscalCodeError::Day)),
            ("RSSMRA80A72H501T", Err(FiscalCodeError::Day)),
            ("RSSMRAA0A01H501U", Err(FiscalCodeError::Shape)),
            ("12345678901", Err(FiscalCodeError::Length)),
            ("", Err(FiscalCodeError::Length)),
            ("RSSMRA80A01H501È", Err(FiscalCodeError::Length)),
        ];
        for (text, want) in table {
            assert_eq!(check_person(text), want, "{text:?}");
        }
    }

    #[test]
    fn checks_bodies() {
        let table = [
            ("00907501001", Ok(())),
            ("15376371009", Ok(())),
            ("02438750586", Ok(())),
            ("15376371008", Err(FiscalCodeError::Check('9'))),
            ("1537637100", Err(FiscalCodeError::Length)),
            ("1537637100A", Err(FiscalCodeError::Shape)),
            ("RSSMRA80A01H501U", Err(FiscalCodeError::Length)),
        ];
        for (text, want) in table {
            assert_eq!(check_body(text), want, "{text:?}");
        }
    }

    #[test]
    fn finds_a_code_in_a_sentence() {
        let table = [
            ("Verbale a carico di RSSMRA80A01H501U.", Some("RSSMRA80A01H501U")),
            ("verbale rssmra80a01h501u", Some("rssmra80a01h501u")),
            ("Verbale XRSSMRA80A01H501U", None),
            ("Verbale RSSMRA80A01H501X", None),
            ("èèèèèèèè", None),
        ];
        for (text, want) in table {
            assert_eq!(find_person_in(text), want, "{text:?}");
        }
        let mut spaced = " rss mra 80a01 h501u ".to_owned();
        normalise(&mut spaced);
        assert_eq!(spaced, "RSSMRA80A01H501U");
    }

    /// A valid code: six letters, year, month, day, place, with some digits written as letters.
    fn person() -> impl Strategy<Value = String> {
        let day = prop_oneof![1u8..=31, 41u8..=71];
        ("[A-Z]{6}", "[0-9LMNPQRSTUV]{2}", "[ABCDEHLMPRST]", day, "[A-Z][0-9LMNPQRSTUV]{3}").prop_map(|(name, year, month, day, place)| {
            let open = format!("{name}{year}{month}{day:02}{place}A");
            let letter = check_letter(open.as_bytes().try_into().unwrap());
            format!("{}{}", &open[..15], char::from(letter))
        })
    }

    proptest! {
        #[test]
        fn generated_codes_are_valid_and_a_changed_letter_is_seen(code in person(), place in 0usize..16, other in "[A-Z0-9]") {
            prop_assert_eq!(check_person(&code), Ok(()));
            let mut changed = code.clone();
            changed.replace_range(place..=place, &other);
            // At each place the values of the characters that the shape allows all differ mod 26.
            prop_assert!(changed == code || check_person(&changed).is_err(), "{} {}", code, changed);
        }

        #[test]
        fn one_wrong_digit_is_seen(digits in "[0-9]{10}", place in 0usize..11, shift in 1u8..10) {
            let FiscalCodeError::Check(last) = check_body(&format!("{digits}X").replace('X', "0")).err().unwrap_or(FiscalCodeError::Check('0')) else {
                return Err(TestCaseError::fail("not a check error"));
            };
            let mut code = format!("{digits}{last}").into_bytes();
            prop_assert_eq!(check_body(std::str::from_utf8(&code).unwrap()), Ok(()));
            code[place] = b'0' + (code[place] - b'0' + shift) % 10;
            prop_assert!(check_body(std::str::from_utf8(&code).unwrap()).is_err());
        }

        #[test]
        fn any_text_is_judged(text in ".{0,20}") {
            let _ = (check_person(&text).is_ok(), check_body(&text).is_ok(), find_person_in(&text).is_some());
        }
    }
}
