//! Receipts that travel inside payment events: RT 6.2, the newer `receipt` of the node (paSendRT, V2), MyPay's `Pagati`.
//!
//! Only what identifies the payment is read; names and tax ids of persons stay where they are.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};

use super::xml::{Element, Unreadable, read};
use crate::domain::calendar::instant_in_rome;
use crate::domain::money::Cents;

/// How the payment ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Done,
    Partly,
    NotDone,
}

/// One payment.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Receipt {
    pub creditor: String,
    /// Only the newer receipts have it.
    pub notice: Option<String>,
    pub iuv: String,
    pub outcome: Outcome,
    pub amount: Cents,
    pub paid_at: Option<Timestamp>,
    /// `receiptId`, or the first IUR.
    pub id: Option<String>,
}

/// Why there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoReceipt {
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    #[error("non è una ricevuta conosciuta")]
    Unknown,
}

/// Reads it.
pub(super) fn receipt(bytes: &[u8]) -> Result<Receipt, NoReceipt> {
    let tree = read(bytes)?;
    newer(&tree).or_else(|| older(&tree)).ok_or(NoReceipt::Unknown)
}

fn newer(tree: &Element) -> Option<Receipt> {
    let found = if tree.child("receiptId").is_some() { tree } else { tree.find("receipt")? };
    let text = |name: &str| found.text_at(&[name]);
    Some(Receipt {
        creditor: text("fiscalCode")?.to_owned(),
        notice: text("noticeNumber").map(str::to_owned),
        iuv: text("creditorReferenceId")?.to_owned(),
        outcome: if text("outcome")? == "OK" { Outcome::Done } else { Outcome::NotDone },
        amount: Cents::parse_point(text("paymentAmount")?).ok()?,
        paid_at: text("paymentDateTime").or(text("applicationDate")).and_then(instant),
        id: text("receiptId").map(str::to_owned),
    })
}

/// RT and `Pagati` name these parts alike.
fn older(tree: &Element) -> Option<Receipt> {
    let payment = tree.child("datiPagamento")?;
    let text = |name: &str| payment.text_at(&[name]);
    let single = payment.child("datiSingoloPagamento");
    let of_single = |name: &str| single.and_then(|single| single.text_at(&[name]));
    let outcome = match text("codiceEsitoPagamento")? {
        "0" => Outcome::Done,
        "2" => Outcome::Partly,
        _ => Outcome::NotDone,
    };
    Some(Receipt {
        creditor: tree.text_at(&["dominio", "identificativoDominio"])?.to_owned(),
        notice: None,
        iuv: text("identificativoUnivocoVersamento")?.to_owned(),
        outcome,
        amount: Cents::parse_point(text("importoTotalePagato")?).ok()?,
        paid_at: of_single("dataEsitoSingoloPagamento").or(tree.text_at(&["dataOraMessaggioRicevuta"])).and_then(instant),
        id: of_single("identificativoUnivocoRiscossione").map(str::to_owned),
    })
}

/// An instant with its offset, a wall time of Rome without, or the first moment of a day.
pub(super) fn instant(text: &str) -> Option<Timestamp> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(at);
    }
    if text.len() > 16
        && let Ok(at) = text.parse::<DateTime>()
    {
        return instant_in_rome(at);
    }
    let day: Date = text.get(..10)?.parse().ok()?;
    instant_in_rome(day.at(0, 0, 0, 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_receipts_that_travel() {
        let rt = "<ns2:RT xmlns:ns2=\"http://www.digitpa.gov.it/schemas/2011/Pagamenti/\"><ns2:dominio>\
            <ns2:identificativoDominio>01234567897</ns2:identificativoDominio></ns2:dominio><ns2:datiPagamento>\
            <ns2:codiceEsitoPagamento>0</ns2:codiceEsitoPagamento><ns2:importoTotalePagato>100.99</ns2:importoTotalePagato>\
            <ns2:identificativoUnivocoVersamento>02000000000000184</ns2:identificativoUnivocoVersamento><ns2:datiSingoloPagamento>\
            <ns2:singoloImportoPagato>100.99</ns2:singoloImportoPagato><ns2:dataEsitoSingoloPagamento>2026-04-27+02:00\
            </ns2:dataEsitoSingoloPagamento><ns2:identificativoUnivocoRiscossione>IUR1</ns2:identificativoUnivocoRiscossione>\
            </ns2:datiSingoloPagamento></ns2:datiPagamento></ns2:RT>";
        let want = Receipt {
            creditor: "01234567897".into(),
            notice: None,
            iuv: "02000000000000184".into(),
            outcome: Outcome::Done,
            amount: Cents(10_099),
            paid_at: Some("2026-04-26T22:00:00Z".parse().unwrap()),
            id: Some("IUR1".into()),
        };
        assert_eq!(receipt(rt.as_bytes()), Ok(want.clone()));
        let partly = rt.replace(">0</ns2:codice", ">2</ns2:codice");
        assert_eq!(receipt(partly.as_bytes()).map(|read| read.outcome), Ok(Outcome::Partly));
        let newer = "<s:Envelope xmlns:s=\"x\"><s:Body><p:paSendRTV2Request xmlns:p=\"y\"><idPA>01234567897</idPA><receipt>\
            <receiptId>r1</receiptId><noticeNumber>302000000000000184</noticeNumber><fiscalCode>01234567897</fiscalCode><outcome>OK</outcome>\
            <creditorReferenceId>02000000000000184</creditorReferenceId><paymentAmount>100.99</paymentAmount>\
            <paymentDateTime>2026-04-27T10:00:00</paymentDateTime></receipt></p:paSendRTV2Request></s:Body></s:Envelope>";
        let of_node = Receipt {
            notice: Some("302000000000000184".into()),
            paid_at: Some("2026-04-27T08:00:00Z".parse().unwrap()),
            id: Some("r1".into()),
            ..want
        };
        assert_eq!(receipt(newer.as_bytes()), Ok(of_node));
        let table = [
            ("<RT/>", NoReceipt::Unknown),
            ("<RT><datiPagamento/></RT>", NoReceipt::Unknown),
            ("{}", NoReceipt::Unreadable(Unreadable::Malformed)),
            (&*rt.replace("100.99", "cento"), NoReceipt::Unknown),
        ];
        for (text, want) in table {
            assert_eq!(receipt(text.as_bytes()), Err(want), "{text}");
        }
    }
}
