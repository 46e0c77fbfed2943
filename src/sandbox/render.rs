//! JSON of timeline elements, events, details and request statuses, written by hand from the compact memory: a page of
//! fifty events costs microseconds and nothing is kept.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;

use super::details;
use super::facts;
use super::model::{Category, Element, End, Millis, NOBODY, Notification, Phase, Status};
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

/// The payment an element speaks of.
pub fn payment<'a>(note: &'a Notification, element: &Element) -> Option<&'a (super::model::Notice, bool)> {
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
    details::details(out, note, number, element);
    if out.len() == empty {
        out.truncate(mark); // nothing to tell: no member, rather than an empty one
    } else {
        out.push('}');
    }
    out.push('}');
}

/// Writes the refusal reasons; their code is named otherwise in a timeline.
pub fn refusals(out: &mut String, note: &Notification, code_name: &str) {
    for (index, refusal) in note.refusals.iter().enumerate() {
        let _ = write!(out, "{}\"{code_name}\":\"{}\",\"detail\":", if index > 0 { ",{" } else { "{" }, refusal.code);
        text(out, &refusal.detail);
        if refusal.rec != NOBODY {
            let _ = write!(out, ",\"recIndex\":{}", refusal.rec);
        }
        out.push('}');
    }
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
