//! Values as Italian offices and Excel write them.

use jiff::civil::Date;

use crate::batch::layouts::draft::{Dialect, Slot, hundredths, iso_date};
use crate::batch::problem::Code;
use crate::domain::money::Cents;
use crate::domain::notice_code::{self, NoticeCodeError};

/// The dialect of messo CSV.
pub struct Office;

impl Dialect for Office {
    /// `1.234,56`, also with the currency sign that cells formatted as money are saved with.
    fn amount(&self, text: &str) -> Option<Cents> {
        let bare = ["€", "EUR"].into_iter().find_map(|sign| text.strip_prefix(sign).or_else(|| text.strip_suffix(sign)));
        Cents::parse_it(bare.unwrap_or(text)).ok()
    }

    /// `2026-03-01`, `01/03/2026`, `1/3/2026`, `1.3.2026` (South Tyrol), also with the midnight that databases add.
    fn date(&self, text: &str) -> Option<Date> {
        let day = match text.split_once([' ', '\u{a0}', 'T']) {
            Some((day, time)) if is_midnight(time.trim()) => day,
            Some(_) => return None,
            None => text,
        };
        if day.contains('-') {
            return iso_date(day);
        }
        let mut parts = day.split(if day.contains('.') { '.' } else { '/' });
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
            "VERO" | "SI" | "SÌ" | "Sì" | "SÍ" | "Sí" | "SI'" | "SI’" | "SI\u{300}" | "S" | "1" | "TRUE" => Some(true),
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
        } else if is_scientific(text) || (slot == Slot::Notice && is_rounded_notice(text)) {
            Some(Code::NumberInvalid)
        } else {
            None
        }
    }

    fn hint(&self, code: Code) -> Option<&'static str> {
        (code == Code::NumberInvalid).then_some("tutte le cifre: Excel arrotonda i numeri oltre le 15, formattare la colonna come Testo")
    }

    fn tidy<'t>(&self, slot: Slot, text: &'t str) -> (&'t str, Option<Code>) {
        let code = match slot {
            Slot::Pec => return pec(text),
            Slot::Sender => Code::SenderTaxIdInvalid,
            Slot::TaxId => Code::TaxIdInvalid,
            Slot::NoticeCreditor => Code::CreditorInvalid,
            Slot::Notice | Slot::Zip => return (without_mark(text), None),
            _ => return (text, None),
        };
        let text = without_mark(text);
        match text.get(..2).zip(text.get(2..)) {
            // The number of a VAT register abroad: `IT` and the eleven digits.
            Some((country, digits)) if country.eq_ignore_ascii_case("IT") && is_digits(digits) && digits.len() == 11 => {
                (digits, Some(code))
            }
            _ => (text, None),
        }
    }

    fn wanted(&self) -> [&'static str; 3] {
        ["1234,56", "gg/mm/aaaa o aaaa-mm-gg", "SI, NO"]
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// A code without the apostrophe with which spreadsheets mark a number as text (`'00184`).
fn without_mark(text: &str) -> &str {
    text.strip_prefix('\'').filter(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_alphanumeric())).unwrap_or(text)
}

/// A PEC as cells that are links hold it: `mailto:a@pec.it`, `<a@pec.it>`, with the separator of a list of one.
fn pec(text: &str) -> (&str, Option<Code>) {
    let mut plain = text.strip_suffix([';', ',']).unwrap_or(text).trim();
    plain = plain.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')).unwrap_or(plain).trim();
    let scheme = plain.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("mailto:"));
    plain = scheme.and_then(|scheme| plain.get(scheme.len()..)).unwrap_or(plain).trim();
    if plain == text { (text, None) } else { (plain, Some(Code::PecInvalid)) }
}

/// `00:00`, `0:00:00`, `0.00.00`, `00:00:00.0000000`: midnight, whoever wrote it.
fn is_midnight(time: &str) -> bool {
    time.contains([':', '.']) && time.starts_with('0') && time.ends_with('0') && time.bytes().all(|byte| matches!(byte, b'0' | b':' | b'.'))
}

/// A notice number that a spreadsheet took for a number: past the fifteenth digit it keeps zeros. One that ends so by right has
/// the right check digits.
fn is_rounded_notice(text: &str) -> bool {
    text.ends_with("000") && matches!(notice_code::check(text), Err(NoticeCodeError::CheckDigits(_)))
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
            ("01/03/2026 0.00.00", Some(date(2026, 3, 1))),
            ("01/03/2026 0:00", Some(date(2026, 3, 1))),
            ("01/03/2026\u{a0} 0:00:00", Some(date(2026, 3, 1))),
            ("2026-03-01T00:00:00.0000000", Some(date(2026, 3, 1))),
            ("1.3.2026", Some(date(2026, 3, 1))),
            ("01.03.2026 00:00", Some(date(2026, 3, 1))),
            ("01/03/2026 0", None),
            ("01/03/2026 0:01", None),
            ("01/03/2026 12:00:00 AM", None),
            ("01.03/2026", None),
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
        for (text, want) in [
            ("VERO", Some(true)),
            ("si", Some(true)),
            ("Sì", Some(true)),
            ("SI'", Some(true)),
            ("n", Some(false)),
            ("0", Some(false)),
            ("X", None),
        ] {
            assert_eq!(Office.flag(text), want, "{text}");
        }
        for (text, want) in [
            ("42,0000", Some(4_200)),
            ("€ 1.234,56", Some(123_456)),
            ("42,00\u{a0}€", Some(4_200)),
            ("EUR 42", Some(4_200)),
            ("€ 42,00 €", None),
            ("€ 12.50", None),
            ("€", None),
        ] {
            assert_eq!(Office.amount(text).map(Cents::get), want, "{text}");
        }
        for (slot, text, want, warned) in [
            (Slot::Pec, "a@pec.it", "a@pec.it", None),
            (Slot::Pec, "mailto:a@pec.it", "a@pec.it", Some(Code::PecInvalid)),
            (Slot::Pec, "<MAILTO: a@pec.it>;", "a@pec.it", Some(Code::PecInvalid)),
            (Slot::Pec, "a@pec.it; b@pec.it", "a@pec.it; b@pec.it", None),
            (Slot::TaxId, "it03467810322", "03467810322", Some(Code::TaxIdInvalid)),
            (Slot::TaxId, "IT0346781032", "IT0346781032", None),
            (Slot::NoticeCreditor, "IT01234567897", "01234567897", Some(Code::CreditorInvalid)),
            (Slot::Zip, "'00184", "00184", None),
            (Slot::Notice, "'302000000000000184", "302000000000000184", None),
            (Slot::Denomination, "'Ndrangheta S.r.l.", "'Ndrangheta S.r.l.", None),
            (Slot::TaxId, "è1", "è1", None),
        ] {
            assert_eq!(Office.tidy(slot, text), (want, warned), "{slot:?} {text}");
        }
        assert!(Office.is_word("ar", "AR_REGISTERED_LETTER") && Office.is_word("890", "REGISTERED_LETTER_890"));
        assert_eq!((Office.percent("33,33"), Office.percent("70"), Office.percent("33.33")), (Some(3333), Some(7000), None));
    }

    #[test]
    fn sees_what_excel_lost() {
        let table = [
            (Slot::Notice, "02000000000000012", Some(Code::LeadingZerosLost)),
            (Slot::Notice, "302000000000000012", None),
            // 302000002600000982, opened and saved.
            (Slot::Notice, "302000002600000000", Some(Code::NumberInvalid)),
            // Ends so by right.
            (Slot::Notice, "302000002600002000", None),
            (Slot::Notice, "123456789012345000", None), // aux 1 has no check digits
            (Slot::Protocol, "302000002600000000", None),
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
