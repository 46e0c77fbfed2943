//! What messo writes: `NewNotificationRequestV25`, preloads, streams. Never a null, numbers as numbers.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;

use crate::connectors::pnd::{ContentType, PreloadItem, Uploaded};
use crate::domain::act::{Act, CommunicationType, FeePolicy, FileRef, Language, PagoPaIntMode, Payment, PhysicalAddress, RecipientType};
use crate::domain::money::Cents;
use crate::domain::position::PaymentSeen;

/// What the act does not say by itself.
#[derive(Debug, Clone, Copy)]
pub struct SendParts<'a> {
    /// Printable ASCII, at most 256; the same one at every technical retry.
    pub idempotence_token: &'a str,
    /// `paProtocolNumber`: saved before the call.
    pub protocol: &'a str,
    /// The ente's; a row that gives its own prevails.
    pub sender_denomination: &'a str,
    /// One for each of [`Act::files`], in that order.
    pub files: &'a [Uploaded],
}

/// What is missing before the request can be written. The validation lets no such act through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Incomplete {
    #[error("`{0}` is missing")]
    Field(&'static str),
    #[error("{needed} files, {given} uploads")]
    Files { needed: usize, given: usize },
}

/// `NewNotificationRequestV25`, borrowed from the act.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NewNotification<'a> {
    idempotence_token: &'a str,
    pa_protocol_number: &'a str,
    subject: &'a str,
    #[serde(rename = "abstract", skip_serializing_if = "Option::is_none")]
    abstract_text: Option<&'a str>,
    recipients: Vec<Recipient<'a>>,
    documents: Vec<Document<'a>>,
    notification_fee_policy: FeePolicy,
    #[serde(skip_serializing_if = "Option::is_none")]
    cancelled_iun: Option<&'a str>,
    physical_communication_type: CommunicationType,
    sender_denomination: &'a str,
    sender_tax_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    amount: Option<Cents>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payment_expiration_date: Option<Date>,
    taxonomy_code: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pa_fee: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vat: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pago_pa_int_mode: Option<PagoPaIntMode>,
    #[serde(skip_serializing_if = "Option::is_none")]
    additional_languages: Option<[Language; 1]>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Recipient<'a> {
    recipient_type: RecipientType,
    tax_id: &'a str,
    denomination: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    digital_domicile: Option<DigitalDomicile<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    physical_address: Option<Address<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    payments: Vec<PaymentItem<'a>>,
}

#[derive(Debug, Serialize)]
struct DigitalDomicile<'a> {
    r#type: &'static str,
    address: &'a str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Address<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<&'a str>,
    address: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    address_details: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    zip: Option<&'a str>,
    municipality: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    municipality_details: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    province: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    foreign_state: Option<&'a str>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
enum PaymentItem<'a> {
    #[serde(rename_all = "camelCase")]
    PagoPa {
        notice_code: &'a str,
        creditor_tax_id: &'a str,
        apply_cost: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        attachment: Option<Attachment<'a>>,
    },
    #[serde(rename_all = "camelCase")]
    F24 { title: &'a str, apply_cost: bool, metadata_attachment: Attachment<'a> },
}

#[derive(Debug, Serialize)]
struct Document<'a> {
    #[serde(flatten)]
    file: Attachment<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a str>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Attachment<'a> {
    digests: Digests,
    content_type: ContentType,
    r#ref: BodyRef<'a>,
}

#[derive(Debug, Serialize)]
struct Digests {
    sha256: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct BodyRef<'a> {
    key: &'a str,
    version_token: &'a str,
}

/// Writes the request for `act`: the fields it has, the uploads it needs, nothing else.
pub fn new_notification<'a>(act: &'a Act, parts: &SendParts<'a>) -> Result<NewNotification<'a>, Incomplete> {
    let needed = act.files().count();
    if needed != parts.files.len() {
        return Err(Incomplete::Files { needed, given: parts.files.len() });
    }
    let missing = Incomplete::Files { needed, given: parts.files.len() };
    let mut uploads = parts.files.iter();
    let mut attachment = |content_type: ContentType| {
        let upload = uploads.next().ok_or(missing)?;
        let digests = Digests { sha256: upload.sha256.to_base64() };
        Ok(Attachment { digests, content_type, r#ref: BodyRef { key: &upload.key, version_token: &upload.version_token } })
    };
    // The order of `Act::files`: documents, then payments by recipient.
    let mut documents = Vec::with_capacity(act.documents.len());
    for FileRef { title, .. } in &act.documents {
        documents.push(Document { file: attachment(ContentType::Pdf)?, title: said(title) });
    }
    let mut recipients = Vec::with_capacity(act.recipients.len());
    for recipient in &act.recipients {
        let mut payments = Vec::with_capacity(recipient.payments.len());
        for payment in &recipient.payments {
            payments.push(match payment {
                Payment::PagoPa { notice_code, creditor_tax_id, apply_cost, attachment: file, .. } => PaymentItem::PagoPa {
                    notice_code,
                    creditor_tax_id,
                    apply_cost: *apply_cost,
                    attachment: file.as_ref().map(|_| attachment(ContentType::Pdf)).transpose()?,
                },
                Payment::F24 { title, apply_cost, metadata: _ } => {
                    PaymentItem::F24 { title, apply_cost: *apply_cost, metadata_attachment: attachment(ContentType::Json)? }
                }
            });
        }
        recipients.push(Recipient {
            recipient_type: recipient.recipient_type,
            tax_id: &recipient.tax_id,
            denomination: &recipient.denomination,
            digital_domicile: said(&recipient.pec).map(|address| DigitalDomicile { r#type: "PEC", address }),
            physical_address: recipient.address.as_ref().map(address),
            payments,
        });
    }
    Ok(NewNotification {
        idempotence_token: parts.idempotence_token,
        pa_protocol_number: parts.protocol,
        subject: said(&act.subject).ok_or(Incomplete::Field("subject"))?,
        abstract_text: said(&act.abstract_text),
        recipients,
        documents,
        notification_fee_policy: act.fee_policy.ok_or(Incomplete::Field("notificationFeePolicy"))?,
        cancelled_iun: said(&act.cancelled_iun),
        physical_communication_type: act.communication_type.ok_or(Incomplete::Field("physicalCommunicationType"))?,
        sender_denomination: said(&act.sender_denomination).unwrap_or(parts.sender_denomination),
        sender_tax_id: &act.sender_tax_id,
        group: said(&act.group),
        amount: act.amount,
        payment_expiration_date: act.payment_expiration_date,
        taxonomy_code: said(&act.taxonomy_code).ok_or(Incomplete::Field("taxonomyCode"))?,
        pa_fee: act.pa_fee,
        vat: act.vat,
        pago_pa_int_mode: act.pago_pa_int_mode,
        additional_languages: act.additional_language.map(|language| [language]),
    })
}

fn address(address: &PhysicalAddress) -> Address<'_> {
    Address {
        at: said(&address.at),
        address: &address.address,
        address_details: said(&address.address_details),
        zip: said(&address.zip),
        municipality: &address.municipality,
        municipality_details: said(&address.municipality_details),
        province: said(&address.province),
        foreign_state: said(&address.foreign_state),
    }
}

/// An empty text is a field that was not given: SEND refuses most of them.
fn said(text: &Option<String>) -> Option<&str> {
    text.as_deref().filter(|text| !text.is_empty())
}

/// One item of a preload.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::connectors::pnd) struct PreloadRequest<'a> {
    preload_idx: &'a str,
    content_type: ContentType,
    sha256: String,
}

/// Writes a preload.
pub(in crate::connectors::pnd) fn preload(items: &[PreloadItem]) -> Vec<PreloadRequest<'_>> {
    let one = |item: &PreloadItem| (item.content_type, item.sha256.to_base64());
    items
        .iter()
        .map(|item| {
            let (content_type, sha256) = one(item);
            PreloadRequest { preload_idx: &item.idx, content_type, sha256 }
        })
        .collect()
}

/// `StreamCreationRequestV29`: a TIMELINE stream of everything. Events before acceptance are wanted too.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::connectors::pnd) struct StreamRequest<'a> {
    pub title: &'a str,
    pub event_type: &'static str,
    pub groups: &'a [String],
    pub filter_values: [&'static str; 0],
    pub wait_for_accepted: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replaced_stream_id: Option<&'a str>,
}

/// `PaymentEventsRequestPagoPa` with one event.
#[derive(Debug, Serialize)]
pub(in crate::connectors::pnd) struct PaymentEvents<'a> {
    events: [PaymentEvent<'a>; 1],
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct PaymentEvent<'a> {
    notice_code: &'a str,
    creditor_tax_id: &'a str,
    payment_date: Timestamp,
    amount: i32,
}

/// Writes the event of a notice that was paid. `None`: the amount does not fit its field (int32).
pub(in crate::connectors::pnd) fn payment_event<'a>(
    creditor_tax_id: &'a str,
    notice_code: &'a str,
    payment: &PaymentSeen,
) -> Option<PaymentEvents<'a>> {
    let amount = i32::try_from(payment.amount.get()).ok()?;
    // To the second: the specification's pattern takes no more than it shows.
    let payment_date = Timestamp::from_second(payment.paid_at.as_second()).ok()?;
    Some(PaymentEvents { events: [PaymentEvent { notice_code, creditor_tax_id, payment_date, amount }] })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::act::{self, Action};
    use crate::domain::digest::Sha256;
    use jiff::Timestamp;

    fn minimal() -> Act {
        serde_json::from_value(serde_json::json!({
            "sender_tax_id": "77777777777",
            "reference": "V/2026/1",
            "action": "inserisci",
            "subject": "Verbale di accertamento",
            "taxonomy_code": "010202N",
            "communication_type": "REGISTERED_LETTER_890",
            "fee_policy": "FLAT_RATE",
            "recipients": [{
                "recipient_type": "PF",
                "tax_id": "RSSMRA80A01H501U",
                "denomination": "Mario Rossi",
                "address": {"address": "Via Roma 1", "zip": "00100", "municipality": "Roma", "province": "RM"},
            }],
            "documents": [{"file": "1.pdf"}],
        }))
        .unwrap()
    }

    fn uploads(count: usize) -> Vec<Uploaded> {
        (0..count)
            .map(|index| Uploaded {
                key: format!("PN_NOTIFICATION_ATTACHMENTS-{index}.pdf"),
                version_token: format!("v{index}"),
                sha256: Sha256::of(&[index as u8]),
                uploaded_at: Timestamp::UNIX_EPOCH,
            })
            .collect()
    }

    fn written(act: &Act, files: &[Uploaded]) -> String {
        let parts = SendParts { idempotence_token: "tok", protocol: "2026/1", sender_denomination: "Comune di Prova", files };
        serde_json::to_string_pretty(&new_notification(act, &parts).unwrap()).unwrap()
    }

    #[test]
    fn a_minimal_act_says_only_what_it_has() {
        insta::assert_snapshot!(written(&minimal(), &uploads(1)), @r#"
        {
          "idempotenceToken": "tok",
          "paProtocolNumber": "2026/1",
          "subject": "Verbale di accertamento",
          "recipients": [
            {
              "recipientType": "PF",
              "taxId": "RSSMRA80A01H501U",
              "denomination": "Mario Rossi",
              "physicalAddress": {
                "address": "Via Roma 1",
                "zip": "00100",
                "municipality": "Roma",
                "province": "RM"
              }
            }
          ],
          "documents": [
            {
              "digests": {
                "sha256": "bjQLnP+zepicpUTmu3gKLHiQHT+zNzh2hRGjBhevoB0="
              },
              "contentType": "application/pdf",
              "ref": {
                "key": "PN_NOTIFICATION_ATTACHMENTS-0.pdf",
                "versionToken": "v0"
              }
            }
          ],
          "notificationFeePolicy": "FLAT_RATE",
          "physicalCommunicationType": "REGISTERED_LETTER_890",
          "senderDenomination": "Comune di Prova",
          "senderTaxId": "77777777777",
          "taxonomyCode": "010202N"
        }
        "#);
    }

    #[test]
    fn a_full_act_says_everything() {
        let mut act = minimal();
        act.abstract_text = Some("Art. 142".into());
        act.fee_policy = Some(FeePolicy::DeliveryMode);
        act.communication_type = Some(CommunicationType::Ar);
        act.pa_fee = Some(100);
        act.vat = Some(22);
        act.pago_pa_int_mode = Some(PagoPaIntMode::Async);
        act.amount = Some(Cents(4_200));
        act.payment_expiration_date = Some(jiff::civil::date(2026, 12, 31));
        act.group = Some("6421b2".into());
        act.additional_language = Some(Language::De);
        act.sender_denomination = Some("Polizia Locale".into());
        act.cancelled_iun = Some("ADEG-HJKL-MNPQ-202611-R-1".into());
        act.documents = vec![FileRef { title: Some("Verbale".into()), ..FileRef::named("a.pdf") }, FileRef::named("b.pdf")];
        let notice = |attachment| Payment::PagoPa {
            notice_code: "302010000000000019".into(),
            creditor_tax_id: "77777777777".into(),
            apply_cost: true,
            attachment,
            position_id: None,
        };
        act.recipients = vec![
            act::Recipient {
                recipient_type: RecipientType::Pf,
                tax_id: "RSSMRA80A01H501U".into(),
                denomination: "Mario Rossi".into(),
                pec: Some("prova@pec.it".into()),
                address: Some(PhysicalAddress {
                    at: Some("c/o Bianchi".into()),
                    address: "Hauptstrasse 1".into(),
                    address_details: Some("Scala B".into()),
                    zip: Some("10115".into()),
                    municipality: "Berlin".into(),
                    municipality_details: Some("Mitte".into()),
                    province: None,
                    foreign_state: Some("GERMANIA".into()),
                }),
                payments: vec![notice(Some(FileRef::named("n.pdf"))), notice(None)],
            },
            act::Recipient {
                recipient_type: RecipientType::Pg,
                tax_id: "12345678903".into(),
                denomination: "Prova Srl".into(),
                pec: None,
                address: None,
                payments: vec![Payment::F24 { title: "TARI 2026".into(), apply_cost: false, metadata: FileRef::named("f.json") }],
            },
        ];
        insta::assert_snapshot!(written(&act, &uploads(4)), @r#"
        {
          "idempotenceToken": "tok",
          "paProtocolNumber": "2026/1",
          "subject": "Verbale di accertamento",
          "abstract": "Art. 142",
          "recipients": [
            {
              "recipientType": "PF",
              "taxId": "RSSMRA80A01H501U",
              "denomination": "Mario Rossi",
              "digitalDomicile": {
                "type": "PEC",
                "address": "prova@pec.it"
              },
              "physicalAddress": {
                "at": "c/o Bianchi",
                "address": "Hauptstrasse 1",
                "addressDetails": "Scala B",
                "zip": "10115",
                "municipality": "Berlin",
                "municipalityDetails": "Mitte",
                "foreignState": "GERMANIA"
              },
              "payments": [
                {
                  "pagoPa": {
                    "noticeCode": "302010000000000019",
                    "creditorTaxId": "77777777777",
                    "applyCost": true,
                    "attachment": {
                      "digests": {
                        "sha256": "28G0yQD/5I1XW12lxjgEASX2XbD+PiRJS3bqmGRX2YY="
                      },
                      "contentType": "application/pdf",
                      "ref": {
                        "key": "PN_NOTIFICATION_ATTACHMENTS-2.pdf",
                        "versionToken": "v2"
                      }
                    }
                  }
                },
                {
                  "pagoPa": {
                    "noticeCode": "302010000000000019",
                    "creditorTaxId": "77777777777",
                    "applyCost": true
                  }
                }
              ]
            },
            {
              "recipientType": "PG",
              "taxId": "12345678903",
              "denomination": "Prova Srl",
              "payments": [
                {
                  "f24": {
                    "title": "TARI 2026",
                    "applyCost": false,
                    "metadataAttachment": {
                      "digests": {
                        "sha256": "CE/tCLl4r019GWp0RqhrWACeY2thHbFiEbZamq3/KcU="
                      },
                      "contentType": "application/json",
                      "ref": {
                        "key": "PN_NOTIFICATION_ATTACHMENTS-3.pdf",
                        "versionToken": "v3"
                      }
                    }
                  }
                }
              ]
            }
          ],
          "documents": [
            {
              "digests": {
                "sha256": "bjQLnP+zepicpUTmu3gKLHiQHT+zNzh2hRGjBhevoB0="
              },
              "contentType": "application/pdf",
              "ref": {
                "key": "PN_NOTIFICATION_ATTACHMENTS-0.pdf",
                "versionToken": "v0"
              },
              "title": "Verbale"
            },
            {
              "digests": {
                "sha256": "S/USLzRFVMU73i67jNK349FgCtYxw4Wl18ziPHeFRZo="
              },
              "contentType": "application/pdf",
              "ref": {
                "key": "PN_NOTIFICATION_ATTACHMENTS-1.pdf",
                "versionToken": "v1"
              }
            }
          ],
          "notificationFeePolicy": "DELIVERY_MODE",
          "cancelledIun": "ADEG-HJKL-MNPQ-202611-R-1",
          "physicalCommunicationType": "AR_REGISTERED_LETTER",
          "senderDenomination": "Polizia Locale",
          "senderTaxId": "77777777777",
          "group": "6421b2",
          "amount": 4200,
          "paymentExpirationDate": "2026-12-31",
          "taxonomyCode": "010202N",
          "paFee": 100,
          "vat": 22,
          "pagoPaIntMode": "ASYNC",
          "additionalLanguages": [
            "DE"
          ]
        }
        "#);
    }

    #[test]
    fn what_is_missing_is_named() {
        let strip = |change: fn(&mut Act)| {
            let mut act = minimal();
            change(&mut act);
            act
        };
        let table = [
            (strip(|act| act.subject = None), 1, Incomplete::Field("subject")),
            (strip(|act| act.subject = Some(String::new())), 1, Incomplete::Field("subject")),
            (strip(|act| act.taxonomy_code = None), 1, Incomplete::Field("taxonomyCode")),
            (strip(|act| act.fee_policy = None), 1, Incomplete::Field("notificationFeePolicy")),
            (strip(|act| act.communication_type = None), 1, Incomplete::Field("physicalCommunicationType")),
            (minimal(), 0, Incomplete::Files { needed: 1, given: 0 }),
            (minimal(), 2, Incomplete::Files { needed: 1, given: 2 }),
        ];
        for (act, count, want) in table {
            let files = uploads(count);
            let parts = SendParts { idempotence_token: "t", protocol: "p", sender_denomination: "s", files: &files };
            assert_eq!(new_notification(&act, &parts).unwrap_err(), want);
        }
        assert_eq!(minimal().action, Action::Insert);
    }

    #[test]
    fn preloads_carry_base64_digests() {
        let items = [PreloadItem { idx: "0".into(), content_type: ContentType::Json, sha256: Sha256::of(b"") }];
        insta::assert_snapshot!(serde_json::to_string(&preload(&items)).unwrap(), @r#"[{"preloadIdx":"0","contentType":"application/json","sha256":"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="}]"#);
    }

    #[test]
    fn a_payment_is_one_event_and_what_its_field_cannot_hold_is_not_told() {
        let paid = |amount| PaymentSeen { paid_at: "2026-11-22T08:30:15.987Z".parse().unwrap(), amount: Cents(amount), receipt: None };
        let event = payment_event("77777777777", "302010000000000019", &paid(5_247)).unwrap();
        let want = serde_json::json!({"events": [{
            "noticeCode": "302010000000000019", "creditorTaxId": "77777777777", "paymentDate": "2026-11-22T08:30:15Z", "amount": 5247
        }]});
        assert_eq!(serde_json::to_value(&event).unwrap(), want);
        assert!(payment_event("77777777777", "302010000000000019", &paid(1 << 31)).is_none());
    }
}
