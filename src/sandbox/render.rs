//! JSON of timeline elements, events, details and request statuses, written by hand from the compact memory: a page of
//! fifty events costs microseconds and nothing is kept.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;

use super::facts;
use super::model::{Category, Element, End, Millis, NOBODY, Notification, Phase, Product, Recipient, Status};
use super::streams::Event;

/// Writes a JSON string.
pub fn text(out: &mut String, value: &str) {
    if value.bytes().all(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\') {
        out.push('"');
        out.push_str(value);
        out.push('"');
    } else {
        out.push_str(&serde_json::Value::from(value).to_string());
    }
}

/// Writes an instant, UTC with milliseconds.
pub fn instant(out: &mut String, at: Millis) {
    let at = Timestamp::from_millisecond(at).unwrap_or_default();
    let _ = write!(out, "\"{at:.3}\"");
}

/// `notificationRequestId`: base64 of the IUN.
pub fn request_id(iun: &str) -> String {
    STANDARD.encode(iun)
}

/// `elementId`, unique with the IUN.
pub fn element_id(out: &mut String, note: &Notification, element: &Element) {
    let _ = write!(out, "{}.IUN_{}", element.category.id_prefix(), note.iun);
    if element.rec != NOBODY {
        let _ = write!(out, ".RECINDEX_{}", element.rec);
    }
    use Category as C;
    match element.category {
        C::GetAddress => out.push_str(if element.idx == 0 { ".SOURCE_PLATFORM.ATTEMPT_0" } else { ".SOURCE_SPECIAL.ATTEMPT_0" }),
        C::SendDigital | C::DigitalFeedback | C::DigitalProgress => {
            let _ = write!(out, ".SOURCE_SPECIAL.REPEAT_false.ATTEMPT_{}", element.attempt);
        }
        C::ScheduleDigital | C::PrepareDigital => {
            let _ = write!(out, ".SOURCE_SPECIAL.ATTEMPT_{}", element.attempt);
        }
        C::PublicRegistryCall | C::PublicRegistryResponse => {
            let (mode, phase) = if element.attempt == 0 { ("DIGITAL", "CHOOSE_DELIVERY") } else { ("ANALOG", "SEND_ATTEMPT") };
            let _ = write!(out, ".DELIVERYMODE_{mode}.CONTACTPHASE_{phase}.ATTEMPT_{}", element.attempt);
        }
        C::PrepareAnalog | C::PrepareAnalogFailure | C::SendAnalog | C::AnalogProgress | C::AnalogFeedback => {
            let _ = write!(out, ".ATTEMPT_{}", element.attempt);
        }
        C::Payment => {
            if let Some((notice, _)) = payment(note, element) {
                let _ = write!(out, ".CODE_PPA{:018}{:011}", notice.code, notice.creditor);
            }
        }
        _ => {}
    }
    if matches!(element.category, C::DigitalProgress | C::AnalogProgress | C::SimpleLetterProgress) {
        let _ = write!(out, ".IDX_{}", element.idx);
    }
    if element.rework > 0 {
        let _ = write!(out, ".REWORK_{}", element.rework);
    }
}

fn payment<'a>(note: &'a Notification, element: &Element) -> Option<&'a (super::model::Notice, bool)> {
    note.recipients.get(usize::from(element.rec))?.payments.get(usize::from(element.idx))
}

/// A whole `TimelineElementV28`. `number` and `position` name it for its legal fact.
pub fn element(out: &mut String, note: &Notification, number: u32, position: usize) {
    let Some(element) = note.timeline.get(position) else { return };
    out.push_str("{\"elementId\":\"");
    element_id(out, note, element);
    out.push_str("\",\"ingestionTimestamp\":");
    instant(out, element.seen);
    out.push_str(",\"eventTimestamp\":");
    instant(out, element.at);
    out.push_str(",\"notificationSentAt\":");
    instant(out, note.sent_at);
    out.push_str(",\"legalFactsIds\":[");
    if let Some(fact) = facts::Fact::of(element) {
        let _ = write!(out, "{{\"key\":\"safestorage://{}\",\"category\":\"{}\"}}", fact.key(number, position), fact.category());
    }
    let _ = write!(out, "],\"category\":\"{}\"", element.category.as_str());
    let mark = out.len();
    out.push_str(",\"details\":{");
    let empty = out.len();
    details(out, note, number, element);
    if out.len() == empty {
        out.truncate(mark); // nothing to tell: no member, rather than an empty one
    } else {
        out.push('}');
    }
    out.push('}');
}

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

fn details(out: &mut String, note: &Notification, number: u32, element: &Element) {
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

fn refusals(out: &mut String, note: &Notification, code_name: &str) {
    for (index, refusal) in note.refusals.iter().enumerate() {
        let _ = write!(out, "{}\"{code_name}\":\"{}\",\"detail\":", if index > 0 { ",{" } else { "{" }, refusal.code);
        text(out, &refusal.detail);
        if refusal.rec != NOBODY {
            let _ = write!(out, ",\"recIndex\":{}", refusal.rec);
        }
        out.push('}');
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
        self::element(out, note, number, position);
    }
    out.push_str(if current.is_some() { "]}]" } else { "]" });
}

/// One event of a stream.
pub fn event(out: &mut String, event: &Event, note: &Notification) {
    let position = event.element as usize;
    let status = note.timeline.get(position).map_or(note.status, |element| element.status);
    let _ = write!(out, "{{\"eventId\":\"{:038}\",\"notificationRequestId\":\"{}\"", event.id, request_id(&note.iun));
    if note.phase == Phase::Accepted {
        let _ = write!(out, ",\"iun\":\"{}\"", note.iun);
    }
    let _ = write!(out, ",\"newStatus\":\"{}\",\"element\":", status.as_str());
    element(out, note, event.notification, position);
    out.push('}');
}

/// One line of the live feed for tests.
pub fn live(out: &mut String, note: &Notification, number: u32, position: u32) {
    let status = note.timeline.get(position as usize).map_or(note.status, |element| element.status);
    let _ = write!(out, "{{\"iun\":\"{}\",\"paProtocolNumber\":", note.iun);
    text(out, &note.protocol);
    let _ = write!(out, ",\"newStatus\":\"{}\",\"element\":", status.as_str());
    element(out, note, number, position as usize);
    out.push_str("}\n");
}

/// `FullSentNotificationV28`.
pub fn detail(note: &Notification, number: u32, sender: &str) -> String {
    let mut out = String::with_capacity(note.request.len() + 1024 + note.emitted * 800);
    out.push('{');
    out.push_str(&note.request);
    let _ = write!(out, ",\"senderPaId\":\"sandbox-{sender}\",\"iun\":\"{}\",\"sentAt\":", note.iun);
    instant(&mut out, note.sent_at);
    let _ = write!(out, ",\"documentsAvailable\":true,\"notificationStatus\":\"{}\",\"notificationStatusHistory\":[", note.status.as_str());
    let mut current: Option<Status> = None;
    for element in note.past().iter().filter(|element| !element.void) {
        if current == Some(element.status) {
            out.push(',');
        } else {
            if current.is_some() {
                out.push_str("]},");
            }
            let _ = write!(out, "{{\"status\":\"{}\",\"activeFrom\":", element.status.as_str());
            instant(&mut out, if current.is_none() { note.sent_at } else { element.at });
            out.push_str(",\"relatedTimelineElements\":[");
            current = Some(element.status);
        }
        out.push('"');
        element_id(&mut out, note, element);
        out.push('"');
    }
    out.push_str(if current.is_some() { "]}],\"timeline\":[" } else { "],\"timeline\":[" });
    let mut first = true;
    for (position, _) in note.past().iter().enumerate().filter(|(_, element)| !element.void) {
        if !first {
            out.push(',');
        }
        first = false;
        element(&mut out, note, number, position);
    }
    out.push_str("]}");
    out
}

/// `NewNotificationRequestStatusResponseV25`.
pub fn request_status(note: &Notification) -> String {
    let mut out = String::with_capacity(note.request.len() + 256);
    out.push('{');
    out.push_str(&note.request);
    let _ = write!(out, ",\"notificationRequestId\":\"{}\"", request_id(&note.iun));
    match note.phase {
        Phase::Waiting => out.push_str(",\"notificationRequestStatus\":\"WAITING\",\"retryAfter\":10}"),
        Phase::Accepted => {
            let _ = write!(out, ",\"notificationRequestStatus\":\"ACCEPTED\",\"iun\":\"{}\"}}", note.iun);
        }
        Phase::Refused => {
            out.push_str(",\"notificationRequestStatus\":\"REFUSED\",\"errors\":[");
            refusals(&mut out, note, "code");
            out.push_str("]}");
        }
    }
    out
}

/// How a recipient ended, for the inspection pages.
pub fn end(end: End) -> &'static str {
    match end {
        End::Open => "OPEN",
        End::Reached => "REACHED",
        End::Unreachable => "UNREACHABLE",
        End::Deceased => "DECEASED",
    }
}
