//! The calls messo makes to SEND, and what their failures mean (`reference send.md` 9).

use std::time::Duration;

use crate::connectors::{ConnectorError, Problem, what};

use super::governor::Priority;

/// One operation of the sender API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    Preload,
    Send,
    RequestByToken,
    RequestById,
    Sent,
    Price,
    Cancel,
    Payment,
    LegalFact,
    LegalFacts,
    Streams,
    Stream,
    CreateStream,
    /// `CreateStream` with `replacedStreamId`.
    ReplaceStream,
    Events,
    Status,
}

impl Operation {
    /// Name in logs.
    pub fn name(self) -> &'static str {
        match self {
            Operation::Preload => "preload",
            Operation::Send => "send",
            Operation::RequestByToken => "request_by_token",
            Operation::RequestById => "request_by_id",
            Operation::Sent => "sent",
            Operation::Price => "price",
            Operation::Cancel => "cancel",
            Operation::Payment => "payment",
            Operation::LegalFact => "legal_fact",
            Operation::LegalFacts => "legal_facts",
            Operation::Streams => "streams",
            Operation::Stream => "stream",
            Operation::CreateStream => "create_stream",
            Operation::ReplaceStream => "replace_stream",
            Operation::Events => "events",
            Operation::Status => "status",
        }
    }

    /// What is already at SEND goes before what is new.
    pub fn priority(self) -> Priority {
        match self {
            Operation::Preload | Operation::Send => Priority::NewSend,
            _ => Priority::FollowUp,
        }
    }

    /// Whether doing it again does no harm, whatever became of the first time.
    ///
    /// Preloads expire unused, a second cancellation says so, a payment told again is the same element; a second send needs its token looked up first, and a
    /// second stream would take one of ten places.
    pub fn repeatable(self) -> bool {
        !matches!(self, Operation::Send | Operation::CreateStream | Operation::ReplaceStream)
    }

    /// Whether it speaks of one act, so that a refusal can be a fault of its data. A preload mixes acts.
    fn about_an_act(self) -> bool {
        match self {
            Operation::Send
            | Operation::RequestByToken
            | Operation::RequestById
            | Operation::Sent
            | Operation::Price
            | Operation::Cancel
            | Operation::Payment
            | Operation::LegalFact
            | Operation::LegalFacts => true,
            Operation::Preload
            | Operation::Streams
            | Operation::Stream
            | Operation::CreateStream
            | Operation::ReplaceStream
            | Operation::Events
            | Operation::Status => false,
        }
    }

    /// Whether 404 means that the thing asked for is not there; elsewhere it is a wrong address of ours.
    fn looks_for_something(self) -> bool {
        self.about_an_act() && self != Operation::Send || self.asks_one_stream()
    }

    /// Whether it needs a stream that is there: one that is lost, disabled or of other groups is not.
    fn asks_one_stream(self) -> bool {
        matches!(self, Operation::Events | Operation::Stream | Operation::ReplaceStream)
    }

    /// The error for an outcome that nobody knows: a request that left and was not (wholly) answered.
    pub(super) fn unanswered(self, what: String) -> ConnectorError {
        if self.repeatable() { ConnectorError::Temporary { what, retry_after: None } } else { ConnectorError::Uncertain { what } }
    }
}

/// What one error code tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    /// The data of the row.
    Row,
    /// Key, group, quota, enablement.
    Sender,
    /// What was asked for is not there.
    Absent,
    /// Later it may go.
    Later,
    Unknown,
}

fn meaning(code: &str) -> Meaning {
    match code {
        "PN_DELIVERY_SEND_IS_DISABLED"
        | "PN_DELIVERY_INVALID_SENDER_TAX_ID"
        | "PN_DELIVERY_INVALIDPARAMETER_GROUP"
        | "PN_DELIVERY_NOTIFICATION_LIMIT_EXCEEDED" => Meaning::Sender,
        "PN_DELIVERY_INVALIDADDITIONALLANGS" | "PN_DELIVERY_REQUIREDADDITIONALLANG" => Meaning::Row,
        "PN_DELIVERY_NOTIFICATIONNOTFOUND"
        | "PN_DELIVERY_FILEINFONOTFOUND"
        | "PN_DELIVERY_NOTIFICATIONCOSTNOTFOUND"
        | "PN_DELIVERY_NOTIFICATIONWITHOUTPAYMENTATTACHMENT" => Meaning::Absent,
        "PN_DELIVERY_ADECHECKCF" | "PN_STREAM_RETRY_AFTER_ERROR" | "PN_GENERIC_TOO_MANY_REQUESTS" => Meaning::Later,
        "PN_GENERIC_INVALIDPARAMETER" => Meaning::Row,
        code if code.starts_with("PN_GENERIC_INVALIDPARAMETER_") => Meaning::Row,
        _ => Meaning::Unknown,
    }
}

/// What a refused call means for the act, the ente or the stream. Pure.
///
/// A 400 with several codes: one about the sender stops the ente whatever else is wrong; else one about the row is enough,
/// for the row can never be accepted as it is; else one unknown parks the act.
pub(super) fn classify(operation: Operation, status: u16, retry_after: Option<Duration>, problem: Problem) -> ConnectorError {
    let any = |wanted: Meaning| problem.errors.iter().any(|error| meaning(&error.code) == wanted);
    let later = |what: String| ConnectorError::Temporary { what, retry_after };
    match status {
        429 => later(what::THROTTLED.to_owned()),
        // The stream's own 403 (other version, groups, disabled) is not the gateway's.
        403 if operation.asks_one_stream() && problem.errors.iter().any(|error| error.code.starts_with("PN_WEBHOOK_")) => {
            ConnectorError::NotFound(problem)
        }
        401 | 403 => ConnectorError::Sender(problem),
        404 if operation.looks_for_something() => ConnectorError::NotFound(problem),
        409 => ConnectorError::Conflict(problem),
        400 if any(Meaning::Sender) => ConnectorError::Sender(problem),
        400 if any(Meaning::Row) && operation.about_an_act() => ConnectorError::Refused(problem),
        400 if any(Meaning::Unknown) || problem.errors.is_empty() => ConnectorError::Unclassified(problem),
        400 if any(Meaning::Absent) && operation.looks_for_something() => ConnectorError::NotFound(problem),
        // The check at Agenzia delle Entrate comes before the request is taken: nothing was done.
        400 | 500..=599 if any(Meaning::Later) => later(problem.codes()),
        408 | 500..=599 if operation.repeatable() => later(format!("HTTP {status}")),
        408 | 500..=599 => ConnectorError::Uncertain { what: format!("HTTP {status}") },
        300..=399 => ConnectorError::Protocol { what: format!("redirect {status}") },
        _ => ConnectorError::Unclassified(problem),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connectors::ProblemError;

    fn kind(error: &ConnectorError) -> &'static str {
        match error {
            ConnectorError::Temporary { .. } => "temporary",
            ConnectorError::Refused(_) => "refused",
            ConnectorError::Sender(_) => "sender",
            ConnectorError::Uncertain { .. } => "uncertain",
            ConnectorError::NotFound(_) => "not found",
            ConnectorError::Conflict(_) => "conflict",
            ConnectorError::Unclassified(_) => "unclassified",
            ConnectorError::Protocol { .. } => "protocol",
        }
    }

    fn judge(operation: Operation, status: u16, codes: &[&str]) -> ConnectorError {
        let errors = codes.iter().map(|code| ProblemError { code: (*code).to_owned(), ..ProblemError::default() }).collect();
        classify(operation, status, None, Problem { status, trace_id: None, errors })
    }

    #[test]
    fn every_code_of_the_platform_has_its_consequence() {
        use Operation::*;
        let table: &[(Operation, u16, &[&str], &str)] = &[
            // Data of the row.
            (Send, 400, &["PN_GENERIC_INVALIDPARAMETER"], "refused"),
            (Send, 400, &["PN_GENERIC_INVALIDPARAMETER_REQUIRED"], "refused"),
            (Send, 400, &["PN_GENERIC_INVALIDPARAMETER_PATTERN"], "refused"),
            (Send, 400, &["PN_GENERIC_INVALIDPARAMETER_SIZE"], "refused"),
            (Send, 400, &["PN_GENERIC_INVALIDPARAMETER_MAX"], "refused"),
            (Send, 400, &["PN_GENERIC_INVALIDPARAMETER_MIN"], "refused"),
            (Send, 400, &["PN_GENERIC_INVALIDPARAMETER_ASSERTENUM"], "refused"),
            (Send, 400, &["PN_GENERIC_INVALIDPARAMETER_DUPLICATED"], "refused"),
            (Send, 400, &["PN_GENERIC_INVALIDPARAMETER_TAXONOMYCODE"], "refused"),
            (Send, 400, &["PN_DELIVERY_INVALIDADDITIONALLANGS"], "refused"),
            (Send, 400, &["PN_DELIVERY_REQUIREDADDITIONALLANG"], "refused"),
            (Cancel, 400, &["PN_GENERIC_INVALIDPARAMETER_PATTERN"], "refused"),
            (Price, 400, &["PN_GENERIC_INVALIDPARAMETER_PATTERN"], "refused"),
            // The same words about a call that mixes acts, or none, are a fault of messo.
            (Preload, 400, &["PN_GENERIC_INVALIDPARAMETER_SIZE"], "unclassified"),
            (CreateStream, 400, &["PN_GENERIC_INVALIDPARAMETER_REQUIRED"], "unclassified"),
            (Events, 400, &["PN_GENERIC_INVALIDPARAMETER_PATTERN"], "unclassified"),
            // The sender.
            (Send, 400, &["PN_DELIVERY_SEND_IS_DISABLED"], "sender"),
            (Send, 400, &["PN_DELIVERY_INVALID_SENDER_TAX_ID"], "sender"),
            (Send, 400, &["PN_DELIVERY_INVALIDPARAMETER_GROUP"], "sender"),
            (Send, 400, &["PN_DELIVERY_NOTIFICATION_LIMIT_EXCEEDED"], "sender"),
            (Send, 400, &["PN_GENERIC_INVALIDPARAMETER", "PN_DELIVERY_INVALIDPARAMETER_GROUP"], "sender"),
            (Preload, 401, &["GATEWAY"], "sender"),
            (Send, 403, &["GATEWAY"], "sender"),
            (Events, 403, &["GATEWAY"], "sender"),
            (Events, 401, &[], "sender"),
            (CreateStream, 403, &["PN_WEBHOOK_FORBIDDEN"], "sender"),
            // Unknown.
            (Send, 400, &["PN_DELIVERY_BRAND_NEW"], "unclassified"),
            (Send, 400, &["PN_GENERIC_ERROR"], "unclassified"),
            (Send, 400, &["PN_GENERIC_INVALIDPARAMETERS"], "unclassified"),
            (Send, 400, &[], "unclassified"),
            (Send, 400, &["PN_GENERIC_INVALIDPARAMETER_SIZE", "PN_DELIVERY_BRAND_NEW"], "refused"),
            (Send, 404, &[], "unclassified"),
            (Send, 405, &[], "unclassified"),
            (Preload, 413, &[], "unclassified"),
            (Streams, 404, &[], "unclassified"),
            // Not there.
            (RequestByToken, 404, &["PN_DELIVERY_NOTIFICATIONNOTFOUND"], "not found"),
            (RequestById, 404, &[], "not found"),
            (Sent, 404, &["PN_DELIVERY_NOTIFICATIONNOTFOUND"], "not found"),
            (Sent, 400, &["PN_DELIVERY_NOTIFICATIONNOTFOUND"], "not found"),
            (Price, 404, &["PN_DELIVERY_NOTIFICATIONCOSTNOTFOUND"], "not found"),
            (LegalFact, 404, &["PN_DELIVERY_FILEINFONOTFOUND"], "not found"),
            (LegalFact, 400, &["PN_DELIVERY_NOTIFICATIONWITHOUTPAYMENTATTACHMENT"], "not found"),
            (LegalFacts, 404, &[], "not found"),
            (Cancel, 404, &[], "not found"),
            // A stream that is lost.
            (Events, 403, &["PN_WEBHOOK_FORBIDDEN"], "not found"),
            (Events, 404, &["PN_WEBHOOK_NOT_FOUND"], "not found"),
            (Stream, 403, &["PN_WEBHOOK_FORBIDDEN"], "not found"),
            (Stream, 404, &[], "not found"),
            (Stream, 403, &["GATEWAY"], "sender"),
            (ReplaceStream, 403, &["PN_WEBHOOK_FORBIDDEN"], "not found"),
            (ReplaceStream, 404, &["PN_WEBHOOK_NOT_FOUND"], "not found"),
            (ReplaceStream, 409, &["PN_WEBHOOK_MAXSTREAMSCOUNTREACHED"], "conflict"),
            (ReplaceStream, 503, &[], "uncertain"),
            // Keys already used.
            (Send, 409, &["PN_GENERIC_INVALIDPARAMETER_DUPLICATED"], "conflict"),
            (CreateStream, 409, &["PN_WEBHOOK_MAXSTREAMSCOUNTREACHED"], "conflict"),
            // Later.
            (Send, 429, &["GATEWAY"], "temporary"),
            (Events, 429, &["PN_STREAM_RETRY_AFTER_ERROR"], "temporary"),
            (Sent, 429, &["PN_GENERIC_TOO_MANY_REQUESTS"], "temporary"),
            (Send, 503, &["PN_DELIVERY_ADECHECKCF"], "temporary"),
            (Send, 400, &["PN_DELIVERY_ADECHECKCF"], "temporary"),
            (Preload, 500, &[], "temporary"),
            (Sent, 502, &[], "temporary"),
            (Cancel, 503, &[], "temporary"),
            (RequestByToken, 504, &[], "temporary"),
            (Events, 500, &["PN_GENERIC_ERROR"], "temporary"),
            (Sent, 408, &[], "temporary"),
            // It may have taken effect.
            (Send, 500, &[], "uncertain"),
            (Send, 502, &[], "uncertain"),
            (Send, 503, &[], "uncertain"),
            (Send, 504, &[], "uncertain"),
            (CreateStream, 500, &[], "uncertain"),
            // Never followed.
            (Send, 302, &[], "protocol"),
            (Sent, 301, &[], "protocol"),
        ];
        for (operation, status, codes, want) in table {
            assert_eq!(kind(&judge(*operation, *status, codes)), *want, "{} {status} {codes:?}", operation.name());
        }
    }

    #[test]
    fn outages_are_told_from_answers() {
        let wait = Some(Duration::from_secs(3));
        let throttled = classify(Operation::Send, 429, wait, Problem::default());
        assert_eq!((throttled.is_outage(), throttled.retry_after()), (false, wait));
        let table =
            [(Operation::Sent, 503, true), (Operation::Send, 500, true), (Operation::Sent, 404, false), (Operation::Send, 400, false)];
        for (operation, status, want) in table {
            assert_eq!(judge(operation, status, &[]).is_outage(), want, "{} {status}", operation.name());
        }
    }
}
