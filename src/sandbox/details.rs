//! `details` of a timeline element, by category: the shapes of the specification, one arm each.

use std::fmt::Write;

use super::model::{Category, Element, Millis, Notification, Product, Recipient, Status};
use super::render::{self, instant, payment, refusals, request_id, text};

/// Members of an object, with their commas.
struct Members<'a> {
    out: &'a mut String,
    start: usize,
}

impl Members<'_> {
    fn name(&mut self, name: &str) -> &mut String {
        if self.out.len() > self.start {
            self.out.push(',');
        }
        self.out.push('"');
        self.out.push_str(name);
        self.out.push_str("\":");
        self.out
    }

    fn number(&mut self, name: &str, value: i64) {
        let _ = write!(self.name(name), "{value}");
    }

    fn word(&mut self, name: &str, value: &str) {
        if !value.is_empty() {
            text(self.name(name), value);
        }
    }

    fn raw(&mut self, name: &str, value: &str) {
        self.name(name).push_str(value);
    }

    fn flag(&mut self, name: &str, value: bool) {
        self.raw(name, if value { "true" } else { "false" });
    }

    fn date(&mut self, name: &str, at: Millis) {
        instant(self.name(name), at);
    }

    fn pec(&mut self, recipient: &Recipient) {
        let out = self.name("digitalAddress");
        out.push_str("{\"type\":\"PEC\",\"address\":");
        text(out, &recipient.pec);
        out.push('}');
    }
}

/// Writes the members of `details` of an element, without the braces.
pub fn details(out: &mut String, note: &Notification, number: u32, element: &Element) {
    use Category as C;
    let start = out.len();
    let mut m = Members { out, start };
    let Some(recipient) = note.recipients.get(usize::from(element.rec)) else {
        return whole_details(&mut m, note, element);
    };
    m.number("recIndex", i64::from(element.rec));
    let service = if recipient.product == Product::Act890 { "REGISTERED_LETTER_890" } else { "AR_REGISTERED_LETTER" };
    let outcome = if element.ok { "OK" } else { "KO" };
    let ending = if element.ok { "SUCCESS" } else { "FAILURE" };
    let aar = format!("PN_AAR-{number:08x}{:02x}.pdf", element.rec);
    let letter = || format!("R{:010}{:02}{:02}", 140_000_000u64 + u64::from(number), element.rec, element.attempt);
    let request_of = |prefix: &str| format!("{prefix}.IUN_{}.RECINDEX_{}.ATTEMPT_{}", note.iun, element.rec, element.attempt);
    match element.category {
        C::NormalizedAddress => {
            m.raw("oldAddress", &recipient.address);
            m.raw("normalizedAddress", &recipient.address);
        }
        C::AarCreationRequest => {
            m.word("aarKey", &aar);
            m.number("numberOfPages", 1);
        }
        C::AarGeneration => {
            m.word("generatedAarUrl", &format!("safestorage://{aar}"));
            m.number("numberOfPages", 1);
        }
        C::GetAddress => {
            m.word("digitalAddressSource", if element.idx == 0 { "PLATFORM" } else { "SPECIAL" });
            m.flag("isAvailable", element.ok);
            m.date("attemptDate", element.at);
        }
        C::PublicRegistryCall => {
            m.word("deliveryMode", if element.ok { "DIGITAL" } else { "ANALOG" });
            m.word("contactPhase", if element.attempt == 0 { "CHOOSE_DELIVERY" } else { "SEND_ATTEMPT" });
            m.number("sentAttemptMade", i64::from(element.attempt));
            m.date("sendDate", element.at);
        }
        C::PublicRegistryResponse if element.ok => {
            m.raw("physicalAddress", &recipient.address);
        }
        C::ScheduleAnalog | C::ScheduleRefinement => m.date("schedulingDate", element.date),
        C::ScheduleDigital => {
            m.pec(recipient);
            m.word("digitalAddressSource", "SPECIAL");
            m.number("sentAttemptMade", i64::from(element.attempt));
            m.date("lastAttemptDate", element.at);
            m.date("schedulingDate", element.date);
        }
        C::PrepareDigital | C::SendDigital => {
            m.pec(recipient);
            m.word("digitalAddressSource", "SPECIAL");
            m.number("retryNumber", i64::from(element.attempt));
        }
        C::DigitalProgress => {
            m.word("deliveryDetailCode", element.code);
            m.flag("shouldRetry", false);
            m.pec(recipient);
            m.word("digitalAddressSource", "SPECIAL");
            m.date("notificationDate", element.at);
            m.raw(
                "sendingReceipts",
                &format!("[{{\"id\":\"opec-{number:08x}-{}-{}\",\"system\":\"sandbox\"}}]", element.rec, element.attempt),
            );
            m.number("retryNumber", i64::from(element.attempt));
            m.date("eventTimestamp", element.at);
        }
        C::DigitalFeedback => {
            m.pec(recipient);
            m.word("responseStatus", outcome);
            m.date("notificationDate", element.at);
            m.word("deliveryFailureCause", element.cause);
            m.word("deliveryDetailCode", element.code);
            m.raw(
                "sendingReceipts",
                &format!("[{{\"id\":\"opec-{number:08x}-{}-{}\",\"system\":\"sandbox\"}}]", element.rec, element.attempt),
            );
        }
        C::DigitalDeliveryCreation => {
            m.pec(recipient);
            m.word("endWorkflowStatus", ending);
            m.date("completionWorkflowDate", element.at);
            m.word("legalFactId", &format!("safestorage://PN_LEGAL_FACTS-{number:08x}{:02x}.pdf", element.rec));
        }
        C::DigitalSuccess => m.pec(recipient),
        C::PrepareSimpleLetter => m.raw("physicalAddress", &recipient.address),
        C::SendSimpleLetter => {
            m.raw("physicalAddress", &recipient.address);
            m.word("productType", if recipient.product == Product::Foreign { "RIS" } else { "RS" });
            m.number("analogCost", i64::from(element.cost));
            m.number("numberOfPages", 1);
            m.number("envelopeWeight", 12);
            m.word("prepareRequestId", &request_of("PREPARE_SIMPLE_REGISTERED_LETTER"));
        }
        C::SimpleLetterProgress => {
            m.date("notificationDate", element.at);
            m.word("deliveryDetailCode", element.code);
            m.word("sendRequestId", &request_of("SEND_SIMPLE_REGISTERED_LETTER"));
            m.word("registeredLetterCode", &letter());
        }
        C::PrepareAnalog => {
            m.raw("physicalAddress", &recipient.address);
            m.word("serviceLevel", service);
            m.number("sentAttemptMade", i64::from(element.attempt));
        }
        C::PrepareAnalogFailure => {
            m.word("failureCause", element.cause);
            m.word("prepareRequestId", &request_of("PREPARE_ANALOG_DOMICILE"));
        }
        C::SendAnalog => {
            m.raw("physicalAddress", &recipient.address);
            m.word("serviceLevel", service);
            m.number("sentAttemptMade", i64::from(element.attempt));
            m.word(
                "productType",
                match recipient.product {
                    Product::Ar => "AR",
                    Product::Act890 => "890",
                    Product::Foreign => "RIR",
                },
            );
            m.number("analogCost", i64::from(element.cost));
            m.number("numberOfPages", 3);
            m.number("envelopeWeight", 20);
            m.word("prepareRequestId", &request_of("PREPARE_ANALOG_DOMICILE"));
        }
        C::AnalogProgress => {
            m.date("notificationDate", element.at);
            m.word("deliveryDetailCode", element.code);
            m.word("sendRequestId", &request_of("SEND_ANALOG_DOMICILE"));
            m.word("registeredLetterCode", &letter());
            m.word("serviceLevel", service);
        }
        C::AnalogFeedback => {
            m.raw("physicalAddress", &recipient.address);
            m.word("serviceLevel", service);
            m.number("sentAttemptMade", i64::from(element.attempt));
            m.word("responseStatus", outcome);
            m.date("notificationDate", element.at);
            m.word("deliveryFailureCause", element.cause);
            m.word("deliveryDetailCode", element.code);
            m.word("sendRequestId", &request_of("SEND_ANALOG_DOMICILE"));
            m.word("registeredLetterCode", &letter());
        }
        C::AnalogSuccess => m.raw("physicalAddress", &recipient.address),
        C::AnalogFailure => m.word("generatedAarUrl", &format!("safestorage://{aar}")),
        C::UnreachableCreation => {
            m.word("endWorkflowStatus", ending);
            m.date("completionWorkflowDate", element.at);
        }
        C::CompletelyUnreachable => m.date("legalFactGenerationDate", element.at),
        C::RecipientDeceased => {
            m.raw("physicalAddress", &recipient.address);
            m.number("notificationCost", i64::from(element.cost));
        }
        C::Refinement => {
            m.number("notificationCost", i64::from(element.cost));
            m.date("eventTimestamp", element.at);
        }
        C::ViewedCreation => m.date("eventTimestamp", element.at),
        C::Viewed => {
            if element.cost > 0 {
                m.number("notificationCost", i64::from(element.cost));
            }
            m.date("eventTimestamp", element.at);
        }
        C::Payment => {
            m.word("recipientType", if recipient.natural_person { "PF" } else { "PG" });
            m.number("amount", i64::from(element.cost));
            if let Some((notice, _)) = payment(note, element) {
                m.word("creditorTaxId", &format!("{:011}", notice.creditor));
                m.word("noticeCode", &format!("{:018}", notice.code));
            }
            m.word("paymentSourceChannel", "PA");
            m.date("eventTimestamp", element.at);
        }
        C::Reworked => {
            m.number("sentAttemptMade", i64::from(element.attempt));
            invalidated(m.name("invalidatedTimelineAndStatusHistory"), note, number, element.rec);
        }
        _ => {}
    }
}

fn whole_details(m: &mut Members<'_>, note: &Notification, element: &Element) {
    match element.category {
        Category::RequestAccepted | Category::RequestRefused => {
            if element.category == Category::RequestRefused {
                let out = m.name("refusalReasons");
                out.push('[');
                refusals(out, note, "errorCode");
                out.push(']');
                // Not in the published schema, but told by the platform (`send.md` 4).
                m.number("notificationCost", i64::from(element.cost));
            }
            m.word("notificationRequestId", &request_id(&note.iun));
            m.word("paProtocolNumber", &note.protocol);
            m.word("idempotenceToken", &note.token);
        }
        Category::SenderAckCreationRequest => m.word("legalFactId", &format!("safestorage://PN_LEGAL_FACTS-ack-{}.pdf", note.iun)),
        Category::CancellationRequest => m.word("cancellationRequestId", &format!("cancel-{}", note.iun)),
        Category::Cancelled => {
            m.number("notificationCost", i64::from(element.cost));
            let open: Vec<String> = (note.recipients.iter().enumerate())
                .filter(|(_, recipient)| recipient.refined_at == 0 && recipient.viewed_at == 0)
                .map(|(rec, _)| rec.to_string())
                .collect();
            m.raw("notRefinedRecipientIndexes", &format!("[{}]", open.join(",")));
        }
        _ => {}
    }
}

/// What a correction withdrew: per status, whole elements.
fn invalidated(out: &mut String, note: &Notification, number: u32, rec: u8) {
    out.push('[');
    let withdrawn = |element: &Element| element.void && element.rec == rec;
    let mut current: Option<Status> = None;
    for (position, element) in note.past().iter().enumerate().filter(|(_, element)| withdrawn(element)) {
        if current == Some(element.status) {
            out.push(',');
        } else {
            if current.is_some() {
                out.push_str("]},");
            }
            current = Some(element.status);
            let _ = write!(out, "{{\"status\":\"{}\",\"activeFrom\":", element.status.as_str());
            instant(out, element.at);
            out.push_str(",\"relatedTimelineElements\":[");
        }
        render::element(out, note, number, position);
    }
    out.push_str(if current.is_some() { "]}]" } else { "]" });
}
