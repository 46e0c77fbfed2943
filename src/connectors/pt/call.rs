//! One call to a partner, and what its failure means before the partner's own words are read.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::RETRY_AFTER;
use reqwest::{Request, StatusCode};

use super::PtSettings;
use crate::clock::monotonic;
use crate::connectors::http::{Transport, read_body};
use crate::connectors::{ConnectorError, Problem, ProblemError, what};

/// Longest answer that is read: a receipt or a notice PDF in base64 fits.
const LONGEST_ANSWER: usize = 16 << 20;
/// Seconds for which a partner may ask to be left alone: whatever more it asks, it is tried again then.
const LONGEST_WAIT: u64 = 3_600;

/// How calls are counted: what changes something at the partner, and what only asks.
const WRITE: &str = "write";
const READ: &str = "read";

/// What came back with a status that the partner's own rules must judge.
#[derive(Debug)]
pub(super) struct Answer {
    pub status: u16,
    pub body: Bytes,
}

/// Makes the call. 429, 502, 503, 504 and no connection are `Temporary`; 401 is `Sender`, which stops the partner for everybody; of
/// a call that `writes` a lost answer, a 502 and a 504 (a gateway that lost it) are `Uncertain`. Any other status comes back to be
/// judged; a 403 too: who calls is known, and this thing is not for them (one ente, one type of debt).
pub(super) async fn call(settings: &PtSettings, mut request: Request, writes: bool) -> Result<Answer, ConnectorError> {
    request.timeout_mut().get_or_insert(settings.timeout());
    let lost = |error: Transport| {
        if writes && !error.unsent { ConnectorError::Uncertain { what: error.what } } else { temporary(error.what, None) }
    };
    let operation = if writes { WRITE } else { READ };
    let started = monotonic();
    let response = settings.http.execute(request).await.map_err(|error| {
        settings.note(operation, started, None);
        lost(error.into())
    })?;
    let status = response.status();
    let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| pause(value.to_str().ok()?));
    let early = match status {
        StatusCode::TOO_MANY_REQUESTS => Some(temporary(what::THROTTLED.to_owned(), retry_after)),
        StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT if writes => {
            Some(ConnectorError::Uncertain { what: format!("HTTP {}", status.as_u16()) })
        }
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
            Some(temporary(format!("HTTP {}", status.as_u16()), retry_after))
        }
        _ => None,
    };
    if let Some(error) = early {
        settings.note(operation, started, Some(status.as_u16()));
        return Err(error);
    }
    let body = read_body(response, LONGEST_ANSWER).await;
    settings.note(operation, started, body.is_ok().then_some(status.as_u16()));
    let answer = Answer { status: status.as_u16(), body: body.map_err(lost)? };
    match status {
        StatusCode::UNAUTHORIZED => Err(ConnectorError::Sender(problem(answer.status, ""))),
        _ => Ok(answer),
    }
}

/// `Retry-After` in seconds (RFC 9110, 10.2.3); a date is not taken.
fn pause(text: &str) -> Option<Duration> {
    Some(Duration::from_secs(text.trim().parse::<u64>().ok()?.min(LONGEST_WAIT)))
}

/// Nothing was done.
pub(super) fn temporary(what: String, retry_after: Option<Duration>) -> ConnectorError {
    ConnectorError::Temporary { what, retry_after }
}

/// An answer that cannot be understood: of a call that `writes` it leaves open whether it took effect.
pub(super) fn broken(what: &str, writes: bool) -> ConnectorError {
    let what = what.to_owned();
    if writes { ConnectorError::Uncertain { what } } else { ConnectorError::Protocol { what } }
}

/// What a partner said, by its code alone.
pub(super) fn problem(status: u16, code: &str) -> Problem {
    let errors = if code.is_empty() { Vec::new() } else { vec![ProblemError { code: code.to_owned(), ..ProblemError::default() }] };
    Problem { status, trace_id: None, errors }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partner_waits_for_an_hour_at_most() {
        let table = [
            ("0", Some(0)),
            (" 7 ", Some(7)),
            ("3600", Some(3_600)),
            ("3601", Some(3_600)),
            ("18446744073709551615", Some(3_600)),
            ("-1", None),
            ("Wed, 25 Nov 2026 08:00:00 GMT", None),
        ];
        for (text, want) in table {
            assert_eq!(pause(text).map(|wait| wait.as_secs()), want, "{text}");
        }
    }
}
