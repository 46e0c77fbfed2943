//! IUN, the name SEND gives to an accepted notification: `XXXX-XXXX-XXXX-AAAAMM-C-1`, 25 characters (`reference send.md` 4).

/// Why a text is no IUN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IunError {
    /// Not of the pattern of the specification.
    #[error("not the shape of an IUN")]
    Shape,
    /// The check letter should be this one. Undocumented by SEND, so worth a warning only.
    #[error("check letter should be {0}")]
    Check(char),
}

/// The letters SEND draws from.
const ALPHABET: &[u8; 20] = b"ADEGHJKLMNPQRTUVWXYZ";

/// Checks an IUN: `^[A-Z]{4}-[A-Z]{4}-[A-Z]{4}-[0-9]{6}-[A-Z]{1}-[0-9]{1}$`, then its check letter.
pub fn check(text: &str) -> Result<(), IunError> {
    const SHAPE: &[u8; 25] = b"LLLL-LLLL-LLLL-999999-L-9";
    let iun: &[u8; 25] = text.as_bytes().try_into().map_err(|_| IunError::Shape)?;
    for (byte, shape) in iun.iter().zip(SHAPE) {
        let fits = match shape {
            b'L' => byte.is_ascii_uppercase(),
            b'9' => byte.is_ascii_digit(),
            dash => byte == dash,
        };
        if !fits {
            return Err(IunError::Shape);
        }
    }
    let Some((head, [b'-', letter, b'-', _])) = iun.split_last_chunk::<4>() else { return Err(IunError::Shape) };
    let want = check_letter(head).ok_or(IunError::Shape)?;
    if want == *letter { Ok(()) } else { Err(IunError::Check(char::from(want))) }
}

/// The letter that follows from `XXXX-XXXX-XXXX-AAAAMM`: sum of the letters' places in the alphabet (from 1) and of the digits.
pub fn check_letter(head: &[u8]) -> Option<u8> {
    let sum: usize = head
        .iter()
        .map(|byte| match byte {
            b'0'..=b'9' => usize::from(byte - b'0'),
            _ => ALPHABET.iter().position(|letter| letter == byte).map_or(0, |place| place + 1),
        })
        .sum();
    ALPHABET.get(sum % ALPHABET.len()).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_shape_and_letter() {
        let table = [
            ("ADEG-HJKL-MNPQ-202601-N-1", Ok(())),
            ("ADEG-HJKL-MNPQ-202601-A-1", Err(IunError::Check('N'))),
            ("AAAA-AAAA-AAAA-202601-M-1", Err(IunError::Check('G'))),
            ("adeg-HJKL-MNPQ-202601-Y-1", Err(IunError::Shape)),
            ("ADEG-HJKL-MNPQ-202601-Y", Err(IunError::Shape)),
            ("ADEGHJKL-MNPQ-202601-Y-1-", Err(IunError::Shape)),
            ("", Err(IunError::Shape)),
        ];
        for (text, want) in table {
            assert_eq!(check(text), want, "{text:?}");
        }
    }
}
