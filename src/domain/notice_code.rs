//! The notice number of pagoPA (NAV, SEND's `noticeCode`): 18 digits, the first of which (aux digit) says how to read the rest.
//!
//! Rules: `reference pt.md` 5.1. With aux 0, 2, 3 the last two digits are the first sixteen mod 93; SEND does not look at
//! them and samples often break them, so how severe that is belongs to the caller.

/// Why a text is no notice number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoticeCodeError {
    /// Not 18 digits.
    #[error("not 18 digits")]
    Shape,
    /// The first digit is none of 0, 1, 2, 3.
    #[error("unknown aux digit")]
    AuxDigit,
    /// The last two digits should be this number (two digits).
    #[error("check digits should be {0:02}")]
    CheckDigits(u8),
}

/// Checks a notice number.
pub fn check(text: &str) -> Result<(), NoticeCodeError> {
    let code: &[u8; 18] = text.as_bytes().try_into().map_err(|_| NoticeCodeError::Shape)?;
    if !code.iter().all(u8::is_ascii_digit) {
        return Err(NoticeCodeError::Shape);
    }
    let number = code.iter().fold(0u64, |number, byte| number * 10 + u64::from(byte - b'0'));
    match code.first() {
        Some(b'1') => Ok(()),
        Some(b'0' | b'2' | b'3') => {
            let want = (number / 100) % 93;
            if number % 100 == want { Ok(()) } else { Err(NoticeCodeError::CheckDigits(want as u8)) }
        }
        _ => Err(NoticeCodeError::AuxDigit),
    }
}

/// The aux digit of a notice number of the right shape.
pub fn aux(text: &str) -> Option<u8> {
    match check(text) {
        Ok(()) | Err(NoticeCodeError::CheckDigits(_)) => text.bytes().next().map(|digit| digit - b'0'),
        Err(_) => None,
    }
}

/// The application code (aux 0) or segregation code (aux 3), two digits: which PT of the creditor has it.
pub fn route_code(text: &str) -> Option<&str> {
    matches!(aux(text), Some(0 | 3)).then(|| text.get(1..3)).flatten()
}

/// The IUV of a notice: without the aux digit, and with aux 0 without the application code.
pub fn iuv(text: &str) -> Option<&str> {
    match aux(text)? {
        0 => text.get(3..),
        _ => text.get(1..),
    }
}

/// The whole number, when `text` is one that a spreadsheet stripped of its leading zeros.
pub fn restore_zeros(text: &str) -> Option<String> {
    if !(14..18).contains(&text.len()) || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let whole = format!("{text:0>18}");
    check(&whole).is_ok().then_some(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_digits_catch_a_slip() {
        // Any one digit changed, and any two neighbours swapped, is noticed (93 divides no difference that they make).
        for good in ["001000000000000141", "200000000000000103", "347250123456789084", "004040400002428331"] {
            assert_eq!(check(good), Ok(()), "{good}");
            for at in 1..18 {
                for digit in b'0'..=b'9' {
                    let mut slip = good.as_bytes().to_vec();
                    if slip[at] == digit {
                        continue;
                    }
                    slip[at] = digit;
                    let slip = String::from_utf8(slip).unwrap();
                    assert!(matches!(check(&slip), Err(NoticeCodeError::CheckDigits(_))), "{good} -> {slip}");
                    // Where to send it is known all the same: the severity is the flow's.
                    assert_eq!(aux(&slip), aux(good), "{slip}");
                }
                let mut swapped = good.as_bytes().to_vec();
                if at < 17 && swapped[at] != swapped[at + 1] {
                    swapped.swap(at, at + 1);
                    let swapped = String::from_utf8(swapped).unwrap();
                    assert!(check(&swapped).is_err(), "{good} -> {swapped}");
                }
            }
        }
    }

    #[test]
    fn checks_notice_numbers() {
        let table = [
            ("001000000000000141", Ok(())),
            ("099123456789012327", Ok(())),
            ("200000000000000103", Ok(())),
            ("302000000000000184", Ok(())),
            ("347250123456789084", Ok(())),
            ("300000000000000003", Ok(())),
            ("001340105455507221", Ok(())),
            ("304040000000000255", Ok(())),
            ("123456789012345678", Ok(())), // aux 1 has no check digits
            ("302000000000000185", Err(NoticeCodeError::CheckDigits(84))),
            ("402000000000000184", Err(NoticeCodeError::AuxDigit)),
            ("30200000000000018", Err(NoticeCodeError::Shape)),
            ("3020000000000001845", Err(NoticeCodeError::Shape)),
            ("30200000000000018X", Err(NoticeCodeError::Shape)),
            ("3.02E+17", Err(NoticeCodeError::Shape)),
            ("", Err(NoticeCodeError::Shape)),
        ];
        for (text, want) in table {
            assert_eq!(check(text), want, "{text:?}");
        }
        let parts = [
            ("001000000000000141", (Some(0), Some("01"), Some("000000000000141"))),
            ("123456789012345678", (Some(1), None, Some("23456789012345678"))),
            ("200000000000000103", (Some(2), None, Some("00000000000000103"))),
            ("347250123456789084", (Some(3), Some("47"), Some("47250123456789084"))),
            ("302000100000019421", (Some(3), Some("02"), Some("02000100000019421"))), // wrong check digits are still a number
            ("402000000000000184", (None, None, None)),
            ("", (None, None, None)),
        ];
        for (text, want) in parts {
            assert_eq!((aux(text), route_code(text), iuv(text)), want, "{text:?}");
        }
        // (whole number, what a spreadsheet leaves of it, whether it can be restored)
        let stripped = [
            ("001000000000000141", "1000000000000141", true),
            ("000000000000000000", "00000000000000", true),
            ("099123456789012327", "99123456789012327", true),
            ("001340105455507221", "1340105455507221", true),
            ("001340105455507221", "134010545550722", false),    // a digit more is gone
            ("302000000000000184", "302000000000000184", false), // nothing is gone
        ];
        for (whole, text, restored) in stripped {
            assert_eq!(restore_zeros(text).as_deref() == Some(whole), restored, "{text:?}");
        }
        assert_eq!(restore_zeros("1000000000000141").as_deref(), Some("001000000000000141"));
        assert_eq!(restore_zeros("1000000000000142"), None);
        assert_eq!(restore_zeros("3.02E+17"), None);
    }
}
