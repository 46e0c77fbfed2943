//! Tests of `pu_send`: hostile input is refused by name, good input read to the byte.

use super::*;
use crate::batch::layouts::testing::{Reading, read, reject_files, rejected, write_rejects};
use crate::domain::act::{FeePolicy, Payment};

const HEADER: &str = "organizationId;paProtocolNumber;externalCampaignId;notificationFeePolicy;physicalCommunicationType;subject;senderDenomination;\
                      senderTaxId;amount;paymentExpirationDate;taxonomyCode;paFee;vat;pagoPaIntMode;recipientType;taxId;denomination;address;zip;\
                      municipality;province;digitalDomicileAddress;digitalDomicileType;paymentNoticeCode_1;paymentCreditorTaxId_1;paymentApplyCost_1;\
                      attachmentDigest_1;attachmentContentType_1;attachmentFileName_1;documentDigest_1;documentContentType_1;documentFileName_1;extra";

fn row(changes: &[(&str, &str)]) -> String {
    let given = [
        ("organizationId", "7"),
        ("paProtocolNumber", "PROT 1"),
        ("externalCampaignId", "TARI_2026"),
        ("notificationFeePolicy", "DELIVERY_MODE"),
        ("physicalCommunicationType", "AR_REGISTERED_LETTER"),
        ("amount", "4200"),
        ("paymentExpirationDate", "2026-12-31"),
        ("taxonomyCode", "010201P"),
        ("paFee", "100"),
        ("vat", "22"),
        ("pagoPaIntMode", "SYNC"),
        ("recipientType", "PF"),
        ("taxId", "RSSMRA80A01H501U"),
        ("denomination", "Mario Rossi"),
        ("address", "VIA ROMA 1"),
        ("zip", "00184"),
        ("municipality", "ROMA"),
        ("province", "RM"),
        ("paymentNoticeCode_1", "302000000000000001"),
        ("paymentCreditorTaxId_1", "01234567897"),
        ("paymentApplyCost_1", "True"),
        ("attachmentFileName_1", "avviso.pdf"),
        ("attachmentContentType_1", "application/pdf"),
        ("documentFileName_1", "atto.pdf"),
        ("documentDigest_1", "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="),
        ("extra", "ignorata"),
    ];
    let value = |column: &str| {
        let find = |list: &[(&str, &str)]| list.iter().find(|(name, _)| *name == column).map(|(_, value)| (*value).to_owned());
        find(changes).or_else(|| find(&given)).unwrap_or_default()
    };
    HEADER.split(';').map(value).collect::<Vec<_>>().join(";")
}

fn reading(rows: &[String], names: &[&str]) -> Reading {
    let text = [vec![HEADER.to_owned()], rows.to_vec()].concat().join("\n");
    read(&PuSend, text.as_bytes(), "dati.csv", &[&["dati.csv"], names].concat())
}

#[test]
fn a_file_of_the_field_is_read_unchanged() {
    let second = row(&[
        ("paProtocolNumber", "PROT 2"),
        ("paymentApplyCost_1", ""),
        ("amount", "0.00"),
        ("digitalDomicileType", "PEC"),
        ("digitalDomicileAddress", "a@pec.it"),
    ]);
    let reading = reading(&[row(&[]), second], &["1/atto.pdf", "1/avviso.pdf", "2/atto.pdf", "2/avviso.pdf"]);
    assert_eq!(reading.found(&PuSend), Vec::<String>::new());
    let [first, second] = reading.acts()[..] else { panic!() };
    let act = &first.act;
    assert_eq!((act.reference.as_str(), act.protocol.as_deref(), act.sender_tax_id.as_str()), ("PROT 1", Some("PROT 1"), "01234567897"));
    assert_eq!(
        (act.amount.map(|cents| cents.0), act.subject.as_deref(), act.fee_policy),
        (Some(4200), Some("Oggetto del flusso"), Some(FeePolicy::DeliveryMode))
    );
    assert_eq!(act.documents[0].file, "1/atto.pdf");
    assert!(act.documents[0].given_sha256.is_some());
    assert!(
        matches!(&act.recipients[0].payments[..], [Payment::PagoPa { apply_cost: true, attachment: Some(file), .. }] if file.file == "1/avviso.pdf")
    );
    assert_eq!(act.echo, vec![("organizationId".to_owned(), "7".to_owned()), ("externalCampaignId".to_owned(), "TARI_2026".to_owned())]);
    assert!(matches!(&second.act.recipients[0].payments[..], [Payment::PagoPa { apply_cost: false, .. }]));
    assert_eq!((second.act.amount, second.act.recipients[0].pec.as_deref(), second.place.ordinal), (None, Some("a@pec.it"), 2));
}

#[test]
fn every_mistake_says_row_column_and_code() {
    let files = ["1/atto.pdf"];
    type Changes<'a> = Vec<(&'a str, &'a str)>;
    let table: Vec<(Changes<'_>, Vec<&str>)> = vec![
        (vec![("organizationId", "8")], vec!["2 organizationId ENTE_NON_AUTORIZZATO"]),
        (vec![("senderTaxId", "09876543217")], vec!["2 organizationId ENTE_NON_VALIDO"]),
        (vec![("paProtocolNumber", "")], vec!["2 paProtocolNumber CAMPO_MANCANTE"]),
        (vec![("amount", "42.50")], vec!["2 amount IMPORTO_NON_VALIDO"]),
        (vec![("amount", "4200.00")], vec![]),
        (vec![("paymentExpirationDate", "31/12/2026")], vec!["2 paymentExpirationDate DATA_NON_VALIDA"]),
        (vec![("zip", "184")], vec!["2 zip ZERI_INIZIALI_PERSI"]),
        (vec![("paymentNoticeCode_1", "302000002600000000")], vec!["2 paymentNoticeCode_1 NUMERO_NON_VALIDO"]),
        (vec![("paymentApplyCost_1", "VERO")], vec![]),
        (vec![("paymentApplyCost_1", "1")], vec!["2 paymentApplyCost_1 VALORE_NON_AMMESSO"]),
        (vec![("digitalDomicileAddress", "mailto:a@pec.it")], vec!["2 digitalDomicileAddress PEC_NON_VALIDA"]),
        (vec![("digitalDomicileType", "SERCQ")], vec!["2 digitalDomicileAddress VALORE_NON_AMMESSO"]),
        (vec![("documentDigest_1", "abc")], vec!["2 documentDigest_1 VALORE_NON_AMMESSO"]),
        (vec![("recipientType", "")], vec!["2 recipientType CAMPO_MANCANTE"]),
    ];
    for (changes, want) in table {
        assert_eq!(reading(&[row(&changes)], &files).found(&PuSend), want, "{changes:?}");
    }
}

#[test]
fn folders_must_be_rows() {
    let two = [row(&[]), row(&[("paProtocolNumber", "PROT 2")])];
    let table: [(&[&str], Option<&str>); 6] = [
        (&["1/atto.pdf", "2/atto.pdf"], None),
        (&["1/atto.pdf", "2/atto.pdf", "leggimi.pdf", "varie/x.pdf"], None),
        (&["1/atto.pdf"], Some("1 cartelle; mancano 2")),
        (&["1/atto.pdf", "2/atto.pdf", "3/atto.pdf"], Some("3 cartelle; in più 3")),
        (&["2/atto.pdf", "3/atto.pdf"], Some("2 cartelle; mancano 1; in più 3")),
        (&["0/atto.pdf", "1/atto.pdf"], Some("1 cartelle; mancano 2")),
    ];
    for (names, want) in table {
        let refused = reading(&two, names).refused;
        assert_eq!(refused.as_ref().and_then(|problem| problem.found.as_deref()), want, "{names:?}");
        assert!(refused.is_none_or(|problem| problem.code == Code::FoldersAndRows.as_str()));
    }
    // An empty row in the middle is a row; at the end it is Excel's.
    let gap = [row(&[]), ";".repeat(32), row(&[("paProtocolNumber", "PROT 2")]), ";".repeat(32)];
    assert!(reading(&gap, &["1/a.pdf", "2/a.pdf"]).refused.is_some());
    assert_eq!(reading(&gap, &["1/a.pdf", "2/a.pdf", "3/a.pdf"]).acts()[1].place.ordinal, 3);
    // The whole folder zipped.
    let text = [HEADER.to_owned(), row(&[])].join("\n");
    let nested = read(&PuSend, text.as_bytes(), "x/dati.csv", &["x/dati.csv", "x/1/atto.pdf", "x/1/avviso.pdf"]);
    assert_eq!((nested.found(&PuSend), nested.acts()[0].act.documents[0].file.as_str()), (vec![], "x/1/atto.pdf"));
}

#[test]
fn rejects_are_renumbered_with_their_files() {
    let rows = [row(&[]), row(&[("paProtocolNumber", "PROT 2")]), row(&[("paProtocolNumber", "PROT 3")])];
    let text = [vec![HEADER.to_owned()], rows.to_vec()].concat().join("\r\n");
    let names = ["dati.csv", "1/atto.pdf", "2/atto.pdf", "3/atto.pdf", "3/avviso.pdf"];
    let first = read(&PuSend, text.as_bytes(), "dati.csv", &names);
    let acts = first.acts();
    let rejects = [rejected(&acts[1].place, &["2/atto.pdf"]), rejected(&acts[2].place, &["3/atto.pdf", "3/sub/avviso.pdf"])];
    let out = write_rejects(&PuSend, text.as_bytes(), &rejects);
    assert_eq!(reject_files(&PuSend, &rejects), vec![vec!["1/atto.pdf".to_owned()], vec!["2/atto.pdf".into(), "2/sub/avviso.pdf".into()]]);
    let again = read(&PuSend, &out, PuSend.reject_batch_file(), &["send_notification.csv", "1/atto.pdf", "1/avviso.pdf", "2/atto.pdf"]);
    assert_eq!(again.found(&PuSend), Vec::<String>::new());
    let protocols: Vec<&str> = again.acts().iter().map(|act| act.act.reference.as_str()).collect();
    assert_eq!(protocols, ["PROT 2", "PROT 3"]);
    assert_eq!(again.acts()[0].act.documents[0].file, "1/atto.pdf");
}
