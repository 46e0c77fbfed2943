//! Amounts, in euro cents.
//!
//! Gestionali write `12,50`, `1.234,56` or `7`. Only this module knows that; past `batch` an amount is a [`Cents`].
//! Nothing is rounded: what cannot be read exactly is refused, because the esito quotes what the ente sent.

use serde::{Deserialize, Serialize};

/// Euro cents, never negative when parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cents(pub i64);

/// Why a text is no amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
    /// Not digits with separators.
    #[error("not an amount")]
    NotAnAmount,
    /// `12.50`: decimals with a point, or a typing slip? `1.234`: thousands, or decimals?
    #[error("ambiguous separator")]
    Ambiguous,
    /// More than two decimals.
    #[error("more than two decimals")]
    TooPrecise,
    /// Over 999.999.999,99 EUR, the largest amount of an avviso pagoPA.
    #[error("too large")]
    TooLarge,
}

impl Cents {
    /// The number of cents.
    pub fn get(self) -> i64 {
        self.0
    }

    /// Reads an amount as Italians write it: comma for decimals, points between thousands.
    pub fn parse_it(text: &str) -> Result<Cents, AmountError> {
        let text = text.trim();
        let (whole, decimals) = match text.split_once(',') {
            Some((whole, decimals)) => (whole, Some(decimals)),
            None => (text, None),
        };
        let mut groups = whole.split('.');
        let first = groups.next().unwrap_or_default();
        let rest: Vec<&str> = groups.collect();
        if !rest.is_empty() {
            let grouped = (1..=3).contains(&first.len()) && rest.iter().all(|group| group.len() == 3);
            if decimals.is_none() || !grouped {
                // `12.50`, `1.234` and `1.23.456` can each be read in two ways.
                let digits = whole.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
                return Err(if digits { AmountError::Ambiguous } else { AmountError::NotAnAmount });
            }
        }
        let whole: String = whole.chars().filter(|c| *c != '.').collect();
        // Databases write money with four decimals or more. With three, a comma may stand between thousands.
        let exact = |decimals: &str| decimals.len() > 3 && decimals.bytes().skip(2).all(|byte| byte == b'0');
        let decimals = decimals.map(|decimals| if exact(decimals) { decimals.get(..2).unwrap_or(decimals) } else { decimals });
        Cents::compose(&whole, decimals.unwrap_or("0"))
    }

    /// Reads an amount with a decimal point (`12.50`), as XML schemas and PU files write it.
    pub fn parse_point(text: &str) -> Result<Cents, AmountError> {
        let text = text.trim();
        let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
        Cents::compose(whole, decimals)
    }

    fn compose(whole: &str, decimals: &str) -> Result<Cents, AmountError> {
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(decimals) {
            return Err(AmountError::NotAnAmount);
        }
        if decimals.len() > 2 {
            return Err(AmountError::TooPrecise);
        }
        let whole: i64 = whole.parse().map_err(|_| AmountError::TooLarge)?;
        let parsed: i64 = decimals.parse().map_err(|_| AmountError::NotAnAmount)?;
        let cents = if decimals.len() == 1 { parsed * 10 } else { parsed };
        match whole.checked_mul(100).and_then(|euro| euro.checked_add(cents)) {
            Some(total) if total <= 99_999_999_999 => Ok(Cents(total)),
            _ => Err(AmountError::TooLarge),
        }
    }

    /// `1234,56`: the plain Italian form used in our files (no thousands separator).
    pub fn to_it(self) -> String {
        format!("{}{},{:02}", if self.0 < 0 { "-" } else { "" }, self.0.abs() / 100, self.0.abs() % 100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_italian_amounts() {
        let table = [
            ("12,50", Ok(1_250)),
            ("1.234,56", Ok(123_456)),
            ("7", Ok(700)),
            ("7,5", Ok(750)),
            ("0,00", Ok(0)),
            ("12.50", Err(AmountError::Ambiguous)),
            ("1.234", Err(AmountError::Ambiguous)),
            ("12,505", Err(AmountError::TooPrecise)),
            ("42,0000", Ok(4_200)),
            ("1.234,560000", Ok(123_456)),
            ("42,000", Err(AmountError::TooPrecise)),
            ("42,0050", Err(AmountError::TooPrecise)),
            ("42,x000", Err(AmountError::NotAnAmount)),
            ("-3", Err(AmountError::NotAnAmount)),
            ("", Err(AmountError::NotAnAmount)),
            ("€ 3", Err(AmountError::NotAnAmount)),
            ("1000000000,00", Err(AmountError::TooLarge)),
            ("99999999999999999999", Err(AmountError::TooLarge)),
        ];
        for (text, want) in table {
            assert_eq!(Cents::parse_it(text).map(Cents::get), want, "amount {text:?}");
        }
        assert_eq!(Cents(123_456).to_it(), "1234,56");
        assert_eq!(Cents::parse_point("12.5"), Ok(Cents(1250)));
        assert_eq!(Cents::parse_point("12,5"), Err(AmountError::NotAnAmount));
    }
}
