//! Values as Italian offices and Excel write them.

use jiff::civil::Date;

use crate::batch::layouts::draft::{Dialect, Slot, hundredths, iso_date};
use crate::batch::problem::Code;
use crate::domain::money::Cents;

/// The dialect of messo CSV.
pub struct Office;

impl Dialect for Office {
    fn amount(&self, text: &str) -> Option<Cents> {
        Cents::parse_it(text).ok()
    }

    /// `2026-03-01`, `01/03/2026`, `1/3/2026`, also with the midnight that databases add.
    fn date(&self, text: &str) -> Option<Date> {
        let day = match text.split_once([' ', 'T']) {
            Some((day, "00:00" | "00:00:00" | "00:00:00.000")) => day,
            Some(_) => return None,
            None => text,
        };
        if day.contains('-') {
            return iso_date(day);
        }
        let mut parts = day.split('/');
        let mut part = |most: usize| {
            let digits = parts.next()?;
            let shaped = (1..=most).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
            if shaped { digits.parse::<i16>().ok() } else { None }
        };
        let (day, month, year) = (part(2)?, part(2)?, part(4).filter(|year| *year >= 1000)?);
        if parts.next().is_some() {
            return None;
        }
        Date::new(year, month as i8, day as i8).ok()
    }

    fn flag(&self, text: &str) -> Option<bool> {
        match text.to_ascii_uppercase().as_str() {
            "VERO" | "SI" | "SÌ" | "Sì" | "SÍ" | "S" | "1" | "TRUE" => Some(true),
            "FALSO" | "NO" | "N" | "0" | "FALSE" => Some(false),
            _ => None,
        }
    }

    fn is_word(&self, text: &str, word: &str) -> bool {
        let short = match word {
            "AR_REGISTERED_LETTER" => "AR",
            "REGISTERED_LETTER_890" => "890",
            other => other,
        };
        text.eq_ignore_ascii_case(word) || text.eq_ignore_ascii_case(short)
    }

    fn percent(&self, text: &str) -> Option<u32> {
        hundredths(text, ',')
    }

    fn check(&self, slot: Slot, text: &str) -> Option<Code> {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        let short = |from: usize, to: usize| digits && (from..=to).contains(&text.len());
        let lost = match slot {
            Slot::Sender | Slot::NoticeCreditor | Slot::TaxId => short(5, 10),
            Slot::Notice => short(10, 17),
            Slot::Reference | Slot::Protocol | Slot::Zip => false,
            _ => return None,
        };
        if lost {
            Some(Code::LeadingZerosLost)
        } else if is_scientific(text) {
            Some(Code::NumberInvalid)
        } else {
            None
        }
    }

    fn wanted(&self) -> [&'static str; 3] {
        ["1234,56", "gg/mm/aaaa o aaaa-mm-gg", "SI, NO"]
    }
}

/// `3,02E+17`: what Excel makes of a long number.
fn is_scientific(text: &str) -> bool {
    let Some((mantissa, exponent)) = text.split_once(['E', 'e']) else { return false };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, decimals) = mantissa.split_once([',', '.']).unwrap_or((mantissa, "0"));
    // Without a sign, `12E34` may well be somebody's reference.
    let signed = exponent.strip_prefix('+').or_else(|| exponent.strip_prefix('-'));
    digits(whole) && digits(decimals) && signed.is_some_and(digits)
}

/// Whether the address is in Italy: no state, or Italy by name.
pub fn is_italian(state: &str) -> bool {
    state.is_empty() || state.get(..4).is_some_and(|head| head.eq_ignore_ascii_case("ITAL"))
}

/// A CAP shorter than five digits.
pub fn zip_lost_zeros(zip: &str) -> bool {
    (2..=4).contains(&zip.len()) && zip.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    #[test]
    fn reads_what_offices_write() {
        let dates = [
            ("01/03/2026", Some(date(2026, 3, 1))),
            ("1/3/2026", Some(date(2026, 3, 1))),
            ("2026-03-01", Some(date(2026, 3, 1))),
            ("01/03/2026 00:00:00", Some(date(2026, 3, 1))),
            ("01/03/2026 10:30", None),
            ("01/03/26", None),
            ("31/02/2026", None),
            ("03-01-2026", None),
            ("45717", None),
            ("1/3/2026/1", None),
        ];
        for (text, want) in dates {
            assert_eq!(Office.date(text), want, "{text}");
        }
        for (text, want) in
            [("VERO", Some(true)), ("si", Some(true)), ("Sì", Some(true)), ("n", Some(false)), ("0", Some(false)), ("X", None)]
        {
            assert_eq!(Office.flag(text), want, "{text}");
        }
        assert!(Office.is_word("ar", "AR_REGISTERED_LETTER") && Office.is_word("890", "REGISTERED_LETTER_890"));
        assert_eq!((Office.percent("33,33"), Office.percent("70"), Office.percent("33.33")), (Some(3333), Some(7000), None));
    }

    #[test]
    fn sees_what_excel_lost() {
        let table = [
            (Slot::Notice, "02000000000000012", Some(Code::LeadingZerosLost)),
            (Slot::Notice, "302000000000000012", None),
            (Slot::Notice, "3,02E+17", Some(Code::NumberInvalid)),
            (Slot::Notice, "3.02e+17", Some(Code::NumberInvalid)),
            (Slot::TaxId, "1234567897", Some(Code::LeadingZerosLost)),
            (Slot::TaxId, "RSSMRA80A01H501U", None),
            (Slot::Sender, "1234567897", Some(Code::LeadingZerosLost)),
            (Slot::Reference, "2026/12E34", None),
            (Slot::Reference, "12E34", None),
            (Slot::Reference, "2,02601E+11", Some(Code::NumberInvalid)),
            (Slot::Subject, "1", None),
        ];
        for (slot, text, want) in table {
            assert_eq!(Office.check(slot, text), want, "{slot:?} {text}");
        }
        assert!(zip_lost_zeros("184") && !zip_lost_zeros("00184") && is_italian("") && is_italian("Italia") && !is_italian("SVIZZERA"));
    }
}
