//! The patterns of the specification, written out and anchored, and the two check characters of tax ids.

/// `^.*$`: no line breaks.
pub fn one_line(text: &str) -> bool {
    !text.contains(['\n', '\r'])
}

/// `^[ -~]*$`.
pub fn printable_ascii(text: &str) -> bool {
    text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

/// `^\d+$`.
pub fn digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Printable ISO Latin-1.
pub fn latin1(text: &str) -> bool {
    text.chars().all(|c| (' '..='~').contains(&c) || ('\u{a0}'..='\u{ff}').contains(&c))
}

/// `YYYY-MM-DD`, and a day that exists.
pub fn date(text: &str) -> bool {
    text.len() == 10 && text.parse::<jiff::civil::Date>().is_ok()
}

/// `^([0-9]{6}[A-Z]{1})$`.
pub fn taxonomy_shape(text: &str) -> bool {
    text.len() == 7 && text.get(..6).is_some_and(digits) && text.ends_with(|c: char| c.is_ascii_uppercase())
}

/// The shape of an IUN.
pub fn iun(text: &str) -> bool {
    let pattern = b"AAAA-AAAA-AAAA-000000-A-0";
    text.len() == pattern.len()
        && text.bytes().zip(pattern).all(|(byte, wanted)| match wanted {
            b'A' => byte.is_ascii_uppercase(),
            b'0' => byte.is_ascii_digit(),
            other => byte == *other,
        })
}

/// `^(\w|\ |\-)*$`.
pub fn zip(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ' ' || c == '-')
}

/// The e-mail expression of the specification, without quoted local parts and literal addresses.
pub fn mail(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    let local_ok = !local.is_empty()
        && local.split('.').all(|atom| {
            !atom.is_empty() && atom.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+/=?^_`{|}~-".contains(&byte))
        });
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    local_ok && domain.contains('.') && domain.split('.').all(label)
}

/// `^(safestorage://)?[A-Za-z0-9._-]+$`.
pub fn file_key(text: &str) -> bool {
    let text = text.strip_prefix("safestorage://").unwrap_or(text);
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

/// Base64 of 32 bytes.
pub fn sha256(text: &str) -> bool {
    text.len() == 44 && crate::domain::digest::Sha256::parse(text).is_some()
}

/// Letters, digits and spaces: what else a tax id needs is a rule, not a pattern.
pub fn any_case_tax_id(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b' ')
}

/// Sixteen characters, omocodia allowed, with the right check letter.
pub fn fiscal_code(code: &str) -> bool {
    let pattern = b"AAAAAA00M00A000A";
    let shape = code.len() == 16
        && code.bytes().zip(pattern).all(|(byte, wanted)| match wanted {
            b'A' => byte.is_ascii_uppercase(),
            b'M' => b"ABCDEHLMPRST".contains(&byte),
            _ => byte.is_ascii_digit() || b"LMNPQRSTUV".contains(&byte),
        });
    if !shape {
        return false;
    }
    // Values of the characters in odd places; digits and letters from A share the first ten.
    const ODD: [u32; 26] = [1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23];
    let place = |byte: u8| u32::from(if byte.is_ascii_digit() { byte - b'0' } else { byte - b'A' });
    let sum: u32 = code
        .bytes()
        .take(15)
        .enumerate()
        .map(|(index, byte)| if index % 2 == 0 { ODD.get(place(byte) as usize).copied().unwrap_or(0) } else { place(byte) })
        .sum();
    code.bytes().last().is_some_and(|check| u32::from(check - b'A') == sum % 26)
}

/// Eleven digits with the check digit of a partita IVA.
pub fn vat_number(code: &str) -> bool {
    if code.len() != 11 || !digits(code) {
        return false;
    }
    let sum: u32 = code
        .bytes()
        .enumerate()
        .map(|(index, byte)| {
            let digit = u32::from(byte - b'0');
            if index % 2 == 0 { digit } else { digit * 2 - if digit > 4 { 9 } else { 0 } }
        })
        .sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn judges_fiscal_codes_and_vat_numbers() {
        let codes = [
            ("RSSMRA80A01H501U", true),
            ("RSSMRA80A01H501X", false),
            ("BNRMHL75C06G702B", true),
            ("FLPCPT69A65Z336P", true),
            ("GLLGLL64B15G702I", true),
            ("12345678903", false),
            ("RSSMRA80F01H501U", false),
            ("", false),
        ];
        for (code, want) in codes {
            assert_eq!(fiscal_code(code), want, "{code}");
        }
        for (code, want) in
            [("77777777777", false), ("12345678903", true), ("12345678901", false), ("00000000000", true), ("1234567890è", false)]
        {
            assert_eq!(vat_number(code), want, "{code}");
        }
    }

    #[test]
    fn judges_mail_addresses() {
        for (text, want) in [
            ("a.b@pec.it", true),
            ("visione@pec.it", true),
            ("a@b", false),
            ("a..b@pec.it", false),
            ("@pec.it", false),
            ("a@-x.it", false),
            ("a b@c.it", false),
        ] {
            assert_eq!(mail(text), want, "{text}");
        }
    }
}
