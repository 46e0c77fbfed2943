//! The QR code of a pagoPA notice: `PAGOPA|002|<notice 18>|<creditor 11>|<cents>` (pagoPA, "L'avviso di pagamento", 3.x).
//!
//! The printed amount is the act's own: with DELIVERY_MODE the cost of notification comes on top when the citizen pays.

use super::money::Cents;
use super::notice_code;

/// What a code says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoticeQr {
    pub notice: String,
    pub creditor: String,
    pub amount: Cents,
}

impl NoticeQr {
    /// Reads the text of a code; `None`: it is not that of a notice (a postal slip, a web address).
    #[must_use]
    pub fn parse(text: &str) -> Option<NoticeQr> {
        let mut parts = text.trim_end_matches(['\r', '\n']).split('|');
        let (kind, _version, notice, creditor, amount) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let digits = |text: &str, length: usize| text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit());
        let cents = amount.bytes().all(|byte| byte.is_ascii_digit()) && (1..=11).contains(&amount.len());
        if kind != "PAGOPA" || parts.next().is_some() || !digits(creditor, 11) || notice_code::aux(notice).is_none() || !cents {
            return None;
        }
        Some(NoticeQr { notice: notice.to_owned(), creditor: creditor.to_owned(), amount: Cents(amount.parse().ok()?) })
    }
}

/// What the notice of a row should say.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    pub notice: &'a str,
    pub creditor: &'a str,
    /// One of these: what the act states, what its rule asks for at first. None: not compared.
    pub amounts: &'a [Cents],
}

/// The PDF of a notice of an act, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Printed {
    pub creditor: String,
    pub notice: String,
    /// None found, or a file that cannot be drawn: empty.
    pub codes: Vec<NoticeQr>,
}

/// How a printed notice disagrees with its row, the worst first. Written in esiti: never renamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mismatch {
    /// It has codes of other notices only: the citizen would pay somebody else's.
    Notice,
    Creditor,
    /// The right notice, another amount.
    Amount,
    /// No code of pagoPA can be read in it.
    NoCode,
}

impl Mismatch {
    /// The code printed in the esito.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Mismatch::Notice => "AVVISO_PDF_DI_ALTRO_AVVISO",
            Mismatch::Creditor => "AVVISO_PDF_DI_ALTRO_ENTE",
            Mismatch::Amount => "AVVISO_PDF_ALTRO_IMPORTO",
            Mismatch::NoCode => "AVVISO_PDF_SENZA_QR",
        }
    }
}

/// Compares the codes found in a PDF with its row. A notice with instalments has several codes: one must be the row's.
pub fn compare(found: &[NoticeQr], row: Expected<'_>) -> Result<(), Mismatch> {
    if found.is_empty() {
        return Err(Mismatch::NoCode);
    }
    let of_notice: Vec<&NoticeQr> = found.iter().filter(|code| code.notice == row.notice).collect();
    if of_notice.is_empty() {
        return Err(Mismatch::Notice);
    }
    if of_notice.iter().all(|code| code.creditor != row.creditor) {
        return Err(Mismatch::Creditor);
    }
    let agrees = |code: &&NoticeQr| code.creditor == row.creditor && row.amounts.contains(&code.amount);
    if row.amounts.is_empty() || of_notice.iter().any(agrees) { Ok(()) } else { Err(Mismatch::Amount) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> NoticeQr {
        NoticeQr::parse(text).unwrap_or_else(|| panic!("{text}"))
    }

    #[test]
    fn only_codes_of_notices_are_read() {
        let table = [
            ("PAGOPA|002|302000000000000184|00907501001|12350", true),
            ("PAGOPA|002|302000000000000184|00907501001|12350\n", true),
            ("PAGOPA|002|302000100000019421|00907501001|1", true), // wrong check digits: said elsewhere
            ("PAGOPA|002|302000000000000184|00907501001|", false),
            ("PAGOPA|002|302000000000000184|00907501001|123,50", false),
            ("PAGOPA|002|302000000000000184|00907501001|123456789012", false),
            ("PAGOPA|002|30200000000000018|00907501001|12350", false),
            ("PAGOPA|002|302000000000000184|0090750100|12350", false),
            ("PAGOPA|002|302000000000000184|00907501001|12350|x", false),
            ("https://example.org/paga", false),
            ("", false),
        ];
        for (text, want) in table {
            assert_eq!(NoticeQr::parse(text).is_some(), want, "{text:?}");
        }
        let want = NoticeQr { notice: "302000000000000184".into(), creditor: "00907501001".into(), amount: Cents(12_350) };
        assert_eq!(code("PAGOPA|002|302000000000000184|00907501001|12350"), want);
    }

    #[test]
    fn a_printed_notice_must_be_that_of_its_row() {
        let own = "PAGOPA|002|302000000000000184|00907501001|12350";
        let other = "PAGOPA|002|347250123456789084|00907501001|12350";
        type Row<'a> = (&'a [&'a str], Option<i64>, Result<(), Mismatch>);
        let table: &[Row<'_>] = &[
            (&[own], Some(12_350), Ok(())),
            (&[own], None, Ok(())),
            (&[other, own], Some(12_350), Ok(())), // instalments
            (&[own], Some(12_450), Err(Mismatch::Amount)),
            (&[other], Some(12_350), Err(Mismatch::Notice)),
            (&["PAGOPA|002|302000000000000184|15376371009|12350"], Some(12_350), Err(Mismatch::Creditor)),
            (&[], Some(12_350), Err(Mismatch::NoCode)),
        ];
        for (codes, amount, want) in table {
            let found: Vec<NoticeQr> = codes.iter().map(|text| code(text)).collect();
            let amounts: Vec<Cents> = amount.iter().copied().map(Cents).collect();
            let row = Expected { notice: "302000000000000184", creditor: "00907501001", amounts: &amounts };
            assert_eq!(compare(&found, row), *want, "{codes:?} {amount:?}");
        }
    }
}
