//! What a timeline says, taken as a whole: recomputed from its valid elements after each fact, so that late, doubled and
//! reworked elements need no special path.
//!
//! Completion is **per recipient**: the earliest of NOTIFICATION_VIEWED and REFINEMENT by event time, never the status
//! of the notification (SEND knowledge base, "perfezionamento della notifica").

use jiff::Timestamp;

use crate::domain::outcome::Perfection;
use crate::domain::send::TimelineElement;

/// The columns of an element that decisions depend on.
#[derive(Debug, Clone, PartialEq)]
pub struct ElementFacts {
    pub category: String,
    pub recipient: Option<u32>,
    pub happened_at: Timestamp,
    /// Cents, net of VAT.
    pub analog_cost: Option<i64>,
}

impl ElementFacts {
    /// Reads them; `received_at` stands in for an element without any time.
    pub fn of(element: &TimelineElement, received_at: Timestamp) -> ElementFacts {
        ElementFacts {
            category: element.category.clone(),
            recipient: element.rec_index(),
            happened_at: element.happened_at().unwrap_or(received_at),
            analog_cost: element.detail_i64("analogCost"),
        }
    }
}

/// What is known of the whole notification.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Summary {
    pub accepted_at: Option<Timestamp>,
    pub cancelled_at: Option<Timestamp>,
    pub recipients: Vec<RecipientSummary>,
}

/// What is known of one recipient.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RecipientSummary {
    pub completion: Option<(Timestamp, Perfection)>,
    /// SEND calls the delivery a success; completion is another thing, and comes after it.
    pub delivered: bool,
    pub unreachable: bool,
    pub deceased: bool,
    /// Paper, cents, net of VAT.
    pub analog_cost: i64,
}

impl RecipientSummary {
    /// Nothing more is expected for this recipient.
    pub fn is_closed(&self) -> bool {
        self.completion.is_some() || self.deceased
    }
    /// What the ente is billed for it: 1 EUR and all paper (`reference send.md` 7).
    pub fn institution_cost(&self) -> i64 {
        100 + self.analog_cost
    }
}

impl Summary {
    /// Every recipient is closed.
    pub fn is_closed(&self) -> bool {
        !self.recipients.is_empty() && self.recipients.iter().all(RecipientSummary::is_closed)
    }
    /// Whether an amount can follow from what has changed: from a delivery alone none does.
    pub fn moves_amounts(&self, after: &Summary) -> bool {
        let of = |summary: &Summary| -> Vec<RecipientSummary> {
            summary.recipients.iter().map(|recipient| RecipientSummary { delivered: false, ..recipient.clone() }).collect()
        };
        (self.accepted_at, self.cancelled_at) != (after.accepted_at, after.cancelled_at) || of(self) != of(after)
    }
    /// The recipient with that index.
    pub fn recipient(&self, index: u32) -> Option<&RecipientSummary> {
        self.recipients.get(index as usize)
    }
}

/// Recomputes the summary of `recipients` recipients from the valid elements, in any order.
pub fn summarise<'a>(elements: impl IntoIterator<Item = &'a ElementFacts>, recipients: u32) -> Summary {
    let mut summary = Summary { recipients: vec![RecipientSummary::default(); recipients as usize], ..Summary::default() };
    for element in elements {
        let at = element.happened_at;
        match element.category.as_str() {
            "REQUEST_ACCEPTED" => summary.accepted_at = Some(summary.accepted_at.map_or(at, |known| known.min(at))),
            "NOTIFICATION_CANCELLED" => summary.cancelled_at = Some(summary.cancelled_at.map_or(at, |known| known.min(at))),
            _ => {}
        }
        let Some(recipient) = element.recipient.and_then(|index| summary.recipients.get_mut(index as usize)) else { continue };
        let perfection = match element.category.as_str() {
            "NOTIFICATION_VIEWED" => Some(Perfection::Viewed),
            "REFINEMENT" => Some(Perfection::Refinement),
            _ => None,
        };
        if let Some(how) = perfection
            && recipient.completion.is_none_or(|(known, _)| at < known)
        {
            recipient.completion = Some((at, how));
        }
        match element.category.as_str() {
            "DIGITAL_SUCCESS_WORKFLOW" | "ANALOG_SUCCESS_WORKFLOW" => recipient.delivered = true,
            "COMPLETELY_UNREACHABLE" => recipient.unreachable = true,
            "ANALOG_WORKFLOW_RECIPIENT_DECEASED" => recipient.deceased = true,
            "SEND_ANALOG_DOMICILE" | "SEND_SIMPLE_REGISTERED_LETTER" => recipient.analog_cost += element.analog_cost.unwrap_or(0),
            _ => {}
        }
    }
    summary
}

/// Whether [`summarise`] looks at elements of that category.
pub fn counts(category: &str) -> bool {
    matches!(
        category,
        "REQUEST_ACCEPTED"
            | "NOTIFICATION_CANCELLED"
            | "NOTIFICATION_VIEWED"
            | "REFINEMENT"
            | "DIGITAL_SUCCESS_WORKFLOW"
            | "ANALOG_SUCCESS_WORKFLOW"
            | "COMPLETELY_UNREACHABLE"
            | "ANALOG_WORKFLOW_RECIPIENT_DECEASED"
            | "SEND_ANALOG_DOMICILE"
            | "SEND_SIMPLE_REGISTERED_LETTER"
    )
}

/// Ids of the elements that a NOTIFICATION_TIMELINE_REWORKED element declares void.
pub fn invalidated(element: &TimelineElement) -> Vec<String> {
    let Some(statuses) = element.details.get("invalidatedTimelineAndStatusHistory").and_then(|value| value.as_array()) else {
        return Vec::new();
    };
    let related = statuses.iter().filter_map(|status| status.get("relatedTimelineElements")?.as_array()).flatten();
    related.filter_map(|element| element.get("elementId")?.as_str()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn element(category: &str, recipient: Option<u32>, at: &str, cost: Option<i64>) -> ElementFacts {
        ElementFacts { category: category.to_owned(), recipient, happened_at: at.parse().unwrap(), analog_cost: cost }
    }

    #[test]
    fn completion_is_the_earliest_by_event_time_and_each_recipient_has_its_own() {
        let view = element("NOTIFICATION_VIEWED", Some(0), "2026-03-10T10:00:00Z", None);
        let term = element("REFINEMENT", Some(0), "2026-03-05T23:00:00Z", None);
        let other = element("NOTIFICATION_VIEWED", Some(1), "2026-03-01T10:00:00Z", None);
        for order in [vec![&view, &term], vec![&term, &view]] {
            let summary = summarise(order, 2);
            let (at, how) = summary.recipients[0].completion.unwrap();
            assert_eq!((at, how), (term.happened_at, Perfection::Refinement));
            assert!(!summary.is_closed(), "recipient 1 is still open");
        }
        assert!(summarise([&view, &other], 2).is_closed());
    }

    #[test]
    fn a_delivery_is_known_and_moves_no_amount() {
        for (category, delivered) in
            [("DIGITAL_SUCCESS_WORKFLOW", true), ("ANALOG_SUCCESS_WORKFLOW", true), ("ANALOG_FAILURE_WORKFLOW", false)]
        {
            let none = summarise([], 2);
            let summary = summarise([&element(category, Some(1), "2026-03-10T10:00:00Z", None)], 2);
            assert_eq!([0, 1].map(|index| summary.recipients[index].delivered), [false, delivered], "{category}");
            assert!(counts(category) == delivered && !none.moves_amounts(&summary), "{category}");
            let viewed = summarise([&element("NOTIFICATION_VIEWED", Some(1), "2026-03-10T10:00:00Z", None)], 2);
            assert!(summary.moves_amounts(&viewed), "{category}");
        }
    }

    #[test]
    fn paper_of_each_recipient_is_summed_and_unknown_indexes_harm_nobody() {
        let first = element("SEND_ANALOG_DOMICILE", Some(0), "2026-03-01T10:00:00Z", Some(530));
        let second = element("SEND_ANALOG_DOMICILE", Some(0), "2026-03-11T10:00:00Z", Some(610));
        let stray = element("REFINEMENT", Some(7), "2026-03-11T10:00:00Z", None);
        let summary = summarise([&first, &second, &stray], 1);
        assert_eq!(summary.recipients[0].institution_cost(), 1240);
        assert!(!summary.is_closed());
    }
}
