//! What the REST partners have in common: a call before it has an address, and JSON answers read without trust.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use reqwest::{Method, Request, Url};
use serde_json::{Map, Value};

use super::call::{Answer, problem, temporary};
use super::{PtSettings, PtSetupError};
use crate::connectors::ConnectorError;
use crate::domain::money::Cents;
use crate::domain::position::{Change, HeldState};

/// Codes of refusals that messo itself gives, before the partner is asked to change anything. Never renamed once released.
pub(super) mod code {
    /// The batch does not say the partner's own id of the position.
    pub(in super::super) const POSITION_ID: &str = "ID_POSIZIONE_MANCANTE";
    /// The amount cannot be shared out among the parts of the position.
    pub(in super::super) const PARTS: &str = "IMPORTO_NON_RIPARTIBILE";
    /// Zero, negative or over 999.999.999,99 EUR.
    pub(in super::super) const AMOUNT: &str = "IMPORTO_NON_AMMESSO";
    /// The partner already asks for the cost of notification by itself.
    pub(in super::super) const COST_TWICE: &str = "COSTO_GIA_PRESSO_PT";
    /// The partner does not tell the debtor and the act does not either.
    pub(in super::super) const DEBTOR: &str = "DEBITORE_MANCANTE";
    /// The position has other notices: it cannot be cancelled for one.
    pub(in super::super) const OTHER_NOTICES: &str = "POSIZIONE_CON_ALTRI_AVVISI";
    /// The partner wants the whole position back, does not hold it, and the act does not say enough of it.
    pub(in super::super) const NOT_DESCRIBED: &str = "POSIZIONE_NON_DESCRITTA";
    /// The partner holds something that its interface does not take back.
    pub(in super::super) const NOT_REWRITABLE: &str = "POSIZIONE_NON_RISCRIVIBILE";
}

/// The code of a 403 without one: this position is not for who calls, and nothing says more.
pub(super) const FORBIDDEN: &str = "HTTP-403";

/// The largest amount of an avviso pagoPA.
const LARGEST: i64 = 99_999_999_999;

/// A call, before it has an address: what `wire` builds.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Ask {
    pub method: Method,
    /// After the base address, one by one: whatever is in them stays in its segment.
    pub path: Vec<String>,
    pub query: Vec<(&'static str, String)>,
    pub body: Option<(&'static str, Value)>,
}

impl Ask {
    pub(super) fn get<const N: usize>(path: [&str; N]) -> Ask {
        Ask { method: Method::GET, path: path.map(str::to_owned).to_vec(), query: Vec::new(), body: None }
    }

    pub(super) fn with<const N: usize>(method: Method, path: [&str; N], body: Option<Value>) -> Ask {
        Ask { method, body: body.map(|body| ("application/json", body)), ..Ask::get(path) }
    }

    pub(super) fn query(mut self, name: &'static str, value: &str) -> Ask {
        self.query.push((name, value.to_owned()));
        self
    }

    /// Whether a lost answer leaves a doubt.
    pub(super) fn writes(&self) -> bool {
        self.method != Method::GET
    }

    /// The request. `credential`: the header that opens the door.
    pub(super) fn request(&self, base: &Url, credential: (HeaderName, HeaderValue)) -> Result<Request, ConnectorError> {
        let odd = || ConnectorError::Protocol { what: "the call cannot be written".to_owned() };
        // A segment that is a dot or two would climb.
        if self.path.iter().any(|segment| segment.is_empty() || segment == "." || segment == "..") {
            return Err(odd());
        }
        let mut url = base.clone();
        url.path_segments_mut().map_err(|()| odd())?.pop_if_empty().extend(&self.path);
        if !self.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&self.query);
        }
        let mut request = Request::new(self.method.clone(), url);
        let headers = request.headers_mut();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(credential.0, credential.1);
        if let Some((kind, body)) = &self.body {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
            *request.body_mut() = Some(body.to_string().into());
        }
        Ok(request)
    }
}

/// `Authorization: Basic`.
pub(super) fn basic(settings: &PtSettings) -> Result<(HeaderName, HeaderValue), PtSetupError> {
    use base64::Engine;
    let user = settings.config.username.as_deref().ok_or(PtSetupError::Missing { key: "username" })?;
    let password = settings.password.as_ref().ok_or(PtSetupError::Missing { key: "password" })?;
    let token = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{}", password.expose()));
    secret_header(AUTHORIZATION, &format!("Basic {token}")).ok_or(PtSetupError::Missing { key: "password" })
}

/// A header that is never printed.
pub(super) fn secret_header(name: HeaderName, value: &str) -> Option<(HeaderName, HeaderValue)> {
    let mut value = HeaderValue::from_str(value).ok()?;
    value.set_sensitive(true);
    Some((name, value))
}

/// The base address of the block.
pub(super) fn base(settings: &PtSettings) -> Result<Url, PtSetupError> {
    let text = settings.config.url.as_deref().ok_or(PtSetupError::Missing { key: "url" })?;
    address(text).ok_or_else(|| PtSetupError::BaseUrl(text.to_owned()))
}

/// The address of a server: nothing after its path, no credentials in it.
pub(super) fn address(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let plain = url.query().is_none() && url.fragment().is_none() && url.username().is_empty() && url.password().is_none();
    (matches!(url.scheme(), "http" | "https") && url.has_host() && plain).then_some(url)
}

/// The answer to a call that went well, or what a status other than 2xx means. `code`: what the partner says beside it.
pub(super) fn judged(answer: Answer, writes: bool, code: impl Fn(&Value) -> String) -> Result<Answer, ConnectorError> {
    if (200..300).contains(&answer.status) {
        return Ok(answer);
    }
    let said = serde_json::from_slice::<Value>(&answer.body).map(|value| code(&value)).unwrap_or_default();
    let said = code_only(&said);
    // Who refuses without a word still says that much.
    let problem = problem(answer.status, if said.is_empty() && answer.status == 403 { FORBIDDEN } else { &said });
    Err(match answer.status {
        404 | 410 => ConnectorError::NotFound(problem),
        409 | 422 | 423 => ConnectorError::Conflict(problem),
        400 | 403 | 413 => ConnectorError::Refused(problem),
        408 | 425 => temporary(format!("HTTP {}", answer.status), None),
        500..=599 if writes => ConnectorError::Uncertain { what: format!("HTTP {}", answer.status) },
        500..=599 => temporary(format!("HTTP {}", answer.status), None),
        300..=399 => ConnectorError::Protocol { what: format!("HTTP {}: the address is another", answer.status) },
        _ => ConnectorError::Unclassified(problem),
    })
}

/// What of a partner's words can go into logs and esiti as a code: no sentence, no personal data.
pub(super) fn code_only(text: &str) -> String {
    let fit = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let code: String = text.chars().map(|c| if fit(c) { c.to_ascii_uppercase() } else { '_' }).take(60).collect();
    code.trim_matches('_').to_owned()
}

/// The JSON object of an answer.
pub(super) fn object(body: &[u8]) -> Result<Map<String, Value>, ConnectorError> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(object)) => Ok(object),
        _ => Err(protocol("the answer is no JSON object")),
    }
}

pub(super) fn protocol(what: &str) -> ConnectorError {
    ConnectorError::Protocol { what: what.to_owned() }
}

/// messo refuses to write: nothing was asked of the partner.
pub(super) fn refused(code: &str) -> ConnectorError {
    ConnectorError::Refused(problem(0, code))
}

/// The position of the id that was asked by has not the notice.
pub(super) fn other_notice() -> ConnectorError {
    ConnectorError::NotFound(problem(0, super::OTHER_NOTICE))
}

/// A state that the interface of the partner does not know.
pub(super) fn unknown_state(state: &str) -> ConnectorError {
    ConnectorError::Protocol { what: format!("unknown state {}", code_only(state)) }
}

/// What nobody may touch: paid, being paid, cancelled.
pub(super) fn touchable(state: HeldState) -> Result<(), ConnectorError> {
    match state {
        HeldState::Payable | HeldState::NotActive | HeldState::Expired => Ok(()),
        HeldState::BeingPaid | HeldState::Paid | HeldState::PaidElsewhere | HeldState::Cancelled => {
            Err(ConnectorError::Conflict(problem(0, state.as_str())))
        }
    }
}

/// Whether a change may be asked of anybody.
pub(super) fn sound(change: &Change) -> Result<(), ConnectorError> {
    let (amount, cost) = (change.amount.get(), change.cost.get());
    if (1..=LARGEST).contains(&amount) && (0..=amount).contains(&cost) { Ok(()) } else { Err(refused(code::AMOUNT)) }
}

/// A text that is there and not empty.
pub(super) fn text<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    object.get(name)?.as_str().filter(|text| !text.is_empty())
}

/// The fields of `from` with these names, without nulls.
pub(super) fn pick(from: &Map<String, Value>, names: &[&str]) -> Map<String, Value> {
    let filled = |name: &&str| from.get(*name).filter(|value| !value.is_null()).map(|value| ((*name).to_owned(), value.clone()));
    names.iter().filter_map(filled).collect()
}

/// Whole euro cents.
pub(super) fn cents(value: Option<&Value>) -> Option<Cents> {
    value?.as_i64().filter(|cents| (0..=LARGEST).contains(cents)).map(Cents)
}

/// Euro with decimals, as JSON number: exact cents or nothing.
pub(super) fn euro(value: Option<&Value>) -> Option<Cents> {
    let scaled = value?.as_f64()? * 100.0;
    let whole = scaled.round();
    ((0.0..=LARGEST as f64).contains(&whole) && (scaled - whole).abs() < 1e-4).then_some(Cents(whole as i64))
}

/// Cents as euro with decimals.
pub(super) fn euro_of(cents: Cents) -> Value {
    // Up to 999.999.999,99 the shortest decimal of the double is the amount itself.
    Value::from(cents.get() as f64 / 100.0)
}

pub(super) fn rome() -> TimeZone {
    TimeZone::get("Europe/Rome").unwrap_or(TimeZone::UTC)
}

/// An instant: with its zone, or, as some Java services write it, without one and then UTC.
pub(super) fn instant(text: &str) -> Option<Timestamp> {
    text.parse::<Timestamp>().ok().or_else(|| {
        let local: jiff::civil::DateTime = text.parse().ok()?;
        local.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
    })
}

/// Day of Rome of an instant.
pub(super) fn day(text: &str) -> Option<Date> {
    Some(instant(text)?.to_zoned(rome()).date())
}

/// Last second of a day of Rome.
pub(super) fn end_of(day: Date) -> Option<Timestamp> {
    day.at(23, 59, 59, 0).to_zoned(rome()).ok().map(|zoned| zoned.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_keeps_what_it_is_given_in_its_place() {
        let base = Url::parse("https://pt.example/api/").unwrap();
        let key = || (AUTHORIZATION, HeaderValue::from_static("x"));
        let ask = Ask::get(["organizations", "01234567890", "debtpositions", "a/b ?c"]).query("toPublish", "true");
        let request = ask.request(&base, key()).unwrap();
        assert_eq!(request.url().as_str(), "https://pt.example/api/organizations/01234567890/debtpositions/a%2Fb%20%3Fc?toPublish=true");
        for bad in ["..", ".", ""] {
            assert!(Ask::get(["debtpositions", bad]).request(&base, key()).is_err(), "{bad:?}");
        }
        for (text, want) in [("https://pt.example/x", true), ("ftp://pt.example", false), ("https://a:b@pt.example", false), ("pt", false)]
        {
            assert_eq!(address(text).is_some(), want, "{text}");
        }
    }

    #[test]
    fn judges_a_status() {
        let judge = |status: u16, writes: bool| {
            let body = r#"{"codice":"VER 003: Rossi"}"#.into();
            judged(Answer { status, body }, writes, |value| value["codice"].as_str().unwrap_or_default().to_owned()).map(drop)
        };
        let code = "VER_003__ROSSI";
        let table = [
            (200, true, Ok(())),
            (404, true, Err(ConnectorError::NotFound(problem(404, code)))),
            (409, true, Err(ConnectorError::Conflict(problem(409, code)))),
            (422, true, Err(ConnectorError::Conflict(problem(422, code)))),
            (400, true, Err(ConnectorError::Refused(problem(400, code)))),
            (403, true, Err(ConnectorError::Refused(problem(403, code)))),
            (500, true, Err(ConnectorError::Uncertain { what: "HTTP 500".to_owned() })),
            (500, false, Err(temporary("HTTP 500".to_owned(), None))),
            (302, false, Err(ConnectorError::Protocol { what: "HTTP 302: the address is another".to_owned() })),
            (418, false, Err(ConnectorError::Unclassified(problem(418, code)))),
        ];
        for (status, writes, want) in table {
            assert_eq!(judge(status, writes), want, "{status} {writes}");
        }
        let mute = judged(Answer { status: 403, body: "{}".into() }, false, |_| String::new()).map(drop);
        assert_eq!(mute, Err(ConnectorError::Refused(problem(403, "HTTP-403"))));
    }

    #[test]
    fn reads_euro_exactly_or_not_at_all() {
        let table = [
            ("12.5", Some(1_250)),
            ("0.07", Some(7)),
            ("999999999.99", Some(LARGEST)),
            ("1e9", None),
            ("-1", None),
            ("0.005", None),
            ("\"1\"", None),
        ];
        for (text, want) in table {
            let value: Value = serde_json::from_str(text).unwrap();
            assert_eq!(euro(Some(&value)).map(Cents::get), want, "{text}");
        }
        for cents in [1, 7, 1_250, 10_010, LARGEST, 123_456_789] {
            assert_eq!(euro(Some(&euro_of(Cents(cents)))), Some(Cents(cents)), "{cents}");
        }
        assert_eq!(euro_of(Cents(1_010)).to_string(), "10.1");
    }

    #[test]
    fn reads_days_of_rome() {
        let table = [
            ("2026-12-31T22:59:59Z", Some("2026-12-31")),
            ("2026-12-31T23:00:00Z", Some("2027-01-01")),
            ("2026-07-01T21:59:59.123", Some("2026-07-01")),
            ("2026-07-01", Some("2026-07-01")),
            ("domani", None),
        ];
        for (text, want) in table {
            assert_eq!(day(text).map(|day| day.to_string()).as_deref(), want, "{text}");
        }
        assert_eq!(end_of(Date::constant(2026, 12, 31)).unwrap().to_string(), "2026-12-31T22:59:59Z");
    }
}
