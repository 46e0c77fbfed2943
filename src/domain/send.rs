//! SEND's own vocabulary, as far as decisions depend on it (OpenAPI: detail v2.8, streams v2.9).
//!
//! Categories and statuses stay open words: SEND adds new ones every quarter, and a fact is never illegal.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::digest::Sha256;

/// One element of a notification's timeline (`TimelineElementV28`), append-only, unique by IUN + `element_id`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TimelineElement {
    pub element_id: String,
    /// When SEND wrote it (deprecated name of `eventTimestamp` in old versions).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<Timestamp>,
    /// When it happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_timestamp: Option<Timestamp>,
    /// When SEND learned of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingestion_timestamp: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub legal_facts_ids: Vec<LegalFactId>,
    pub category: String,
    /// Untagged union: what it holds depends on `category`.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub details: Value,
}

/// A legal fact announced by an element.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LegalFactId {
    /// May begin with `safestorage://`.
    pub key: String,
    pub category: String,
}

impl TimelineElement {
    /// When it happened: `eventTimestamp`, else the older `timestamp`.
    pub fn happened_at(&self) -> Option<Timestamp> {
        self.event_timestamp.or(self.timestamp)
    }

    /// Index of the recipient it speaks of.
    pub fn rec_index(&self) -> Option<u32> {
        self.details.get("recIndex").and_then(Value::as_u64).and_then(|index| u32::try_from(index).ok())
    }

    /// A text of the details.
    pub fn detail_str(&self, name: &str) -> Option<&str> {
        self.details.get(name).and_then(Value::as_str)
    }

    /// A number of the details.
    pub fn detail_i64(&self, name: &str) -> Option<i64> {
        self.details.get(name).and_then(Value::as_i64)
    }
}

/// Category of an element that came without one: told and flagged like any that is not known.
pub const NO_CATEGORY: &str = "SENZA_CATEGORIA";

/// One reason why SEND refused a request: an error of a 400, or of the validation (`NotificationRefusedErrorV27`).
///
/// `element` and `detail` may quote personal data: they live in deletable rows, never in history, jobs or logs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RefusalReason {
    /// `FILE_NOTFOUND`, `NOT_VALID_ADDRESS`, ...; `errorCode` inside a timeline element.
    #[serde(alias = "errorCode")]
    pub code: String,
    /// What it is about, as SEND names it: `recipients[0].physicalAddress`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub element: Option<String>,
    /// SEND's own words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rec_index: Option<u32>,
}

/// Stands for the code of a refusal that has none.
pub const NO_REASON: &str = "RIFIUTO_SENZA_MOTIVO";
/// Reasons kept of one refusal: fifteen recipients with many things wrong have fewer.
const MOST_REASONS: usize = 100;
/// Characters kept of a code, an element, a detail.
const LONGEST_CODE: usize = 80;
const LONGEST_ELEMENT: usize = 120;
const LONGEST_DETAIL: usize = 300;

impl RefusalReason {
    /// A reason of which only the code is known.
    pub fn of(code: impl Into<String>) -> RefusalReason {
        RefusalReason { code: code.into(), ..RefusalReason::default() }
    }

    /// On one line, without control characters, no longer than is kept.
    fn cleaned(self) -> RefusalReason {
        // A word: it is printed in cells of spreadsheets.
        let letters = self.code.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'));
        let code: String = letters.skip_while(|c| !c.is_ascii_alphanumeric()).take(LONGEST_CODE).collect();
        RefusalReason {
            code: if code.is_empty() { NO_REASON.to_owned() } else { code },
            element: self.element.and_then(|text| one_line(&text, LONGEST_ELEMENT)),
            detail: self.detail.and_then(|text| one_line(&text, LONGEST_DETAIL)),
            rec_index: self.rec_index,
        }
    }
}

/// The reasons of a refusal as they may be kept and printed.
pub fn cleaned_reasons(reasons: impl IntoIterator<Item = RefusalReason>) -> Vec<RefusalReason> {
    reasons.into_iter().take(MOST_REASONS).map(RefusalReason::cleaned).collect()
}

/// `refusalReasons` of a timeline element, whatever they look like: one that is odd takes no other away.
pub fn reasons_of_element(element: &TimelineElement) -> Vec<RefusalReason> {
    let items = element.details.get("refusalReasons").and_then(Value::as_array).into_iter().flatten();
    let read = items.map(|item| {
        let text = |name: &str| item.get(name).and_then(Value::as_str).map(str::to_owned);
        RefusalReason {
            code: text("errorCode").or_else(|| text("code")).unwrap_or_default(),
            element: text("element"),
            detail: text("detail"),
            rec_index: item.get("recIndex").and_then(Value::as_u64).and_then(|index| u32::try_from(index).ok()),
        }
    });
    cleaned_reasons(read)
}

/// `None`: nothing is left.
fn one_line(text: &str, longest: usize) -> Option<String> {
    // Marks that turn the direction of writing would change how the rest of a line reads.
    let dropped = |c: char| matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
    // Looked at as far as it may be kept, and a little further for blanks.
    let seen = text.chars().take(longest.saturating_mul(4)).filter(|c| !dropped(*c));
    let spaced: String = seen.map(|c| if c.is_control() { ' ' } else { c }).collect();
    let joined = spaced.split_whitespace().collect::<Vec<_>>().join(" ");
    if joined.is_empty() {
        return None;
    }
    let longer = joined.chars().count() > longest || text.chars().nth(longest.saturating_mul(4)).is_some();
    if !longer {
        return Some(joined);
    }
    Some(joined.chars().take(longest.saturating_sub(1)).chain(['…']).collect())
}

/// Price of one notice as SEND tells it (`reference send.md` 7). Euro cents; dates at local midnight.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NotificationPrice {
    pub iun: String,
    pub partial_price: i64,
    pub total_price: i64,
    pub vat: u32,
    pub pa_fee: u32,
    pub send_fee: i64,
    pub analog_cost: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refinement_date: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notification_view_date: Option<Timestamp>,
}

/// A file as the request names it, after upload. Unused files are deleted by SEND after 7 days.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Uploaded {
    pub key: String,
    pub version_token: String,
    pub sha256: Sha256,
    pub uploaded_at: Timestamp,
}

/// One event of a stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StreamEvent {
    /// 38 digits.
    pub event_id: String,
    pub request_id: Option<String>,
    /// Absent until acceptance, for ever on refusals.
    pub iun: Option<String>,
    /// Status after the element.
    pub new_status: Option<String>,
    pub element: TimelineElement,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_send_writes_is_kept_on_one_line_and_no_longer_than_it_may() {
        let long = "è".repeat(5_000);
        let cut = format!("{}…", "è".repeat(LONGEST_DETAIL - 1));
        let blank = format!("{}x", " ".repeat(5_000));
        let table = [
            ("via non trovata", Some("via non trovata")),
            (" riga uno\r\n\triga\u{0}due\u{1b}[0m ", Some("riga uno riga due [0m")),
            ("a\u{202e}gpj\u{200b}.b", Some("agpj.b")),
            ("\u{7}\n", None),
            ("", None),
            (blank.as_str(), None),
            (long.as_str(), Some(cut.as_str())),
        ];
        for (text, want) in table {
            let shown: String = text.chars().take(40).collect();
            assert_eq!(one_line(text, LONGEST_DETAIL).as_deref(), want, "{shown:?}");
        }
    }

    #[test]
    fn codes_are_words_and_reasons_have_an_end() {
        let table =
            [("NOT_VALID_ADDRESS", "NOT_VALID_ADDRESS"), ("A B\nC", "ABC"), ("=-CMD(1)", "CMD1"), ("", NO_REASON), ("è", NO_REASON)];
        for (code, want) in table {
            assert_eq!(cleaned_reasons([RefusalReason::of(code)])[0].code, want, "{code:?}");
        }
        assert_eq!(RefusalReason::of("X".repeat(1_000)).cleaned().code.len(), LONGEST_CODE);
        assert_eq!(cleaned_reasons((0..10_000).map(|n| RefusalReason::of(n.to_string()))).len(), MOST_REASONS);
    }

    #[test]
    fn an_odd_reason_of_a_timeline_takes_no_other_away() {
        let element = |reasons: Value| -> TimelineElement {
            serde_json::from_value(
                serde_json::json!({"elementId": "E", "category": "REQUEST_REFUSED", "details": {"refusalReasons": reasons}}),
            )
            .unwrap()
        };
        let got = reasons_of_element(&element(serde_json::json!([
            {"errorCode": "NOT_VALID_ADDRESS", "detail": "via\nignota", "recIndex": 1},
            7,
            {"code": "TAXID_NOT_VALID", "recIndex": "x", "element": "recipients[0].taxId"},
        ])));
        let want = [
            RefusalReason { detail: Some("via ignota".into()), rec_index: Some(1), ..RefusalReason::of("NOT_VALID_ADDRESS") },
            RefusalReason::of(NO_REASON),
            RefusalReason { element: Some("recipients[0].taxId".into()), ..RefusalReason::of("TAXID_NOT_VALID") },
        ];
        assert_eq!(got, want);
        assert_eq!(reasons_of_element(&element(Value::Null)), []);
    }
}
