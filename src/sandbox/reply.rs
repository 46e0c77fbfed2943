//! Answers, the platform's `Problem`, and what is read from bodies and queries.

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use serde_json::Value;

use super::{App, render};

/// An answer before it becomes HTTP.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub content_type: &'static str,
    pub body: Vec<u8>,
    pub headers: Vec<(&'static str, String)>,
}

impl Reply {
    /// `application/json`.
    pub fn json(status: u16, body: impl Into<Vec<u8>>) -> Reply {
        Reply { status, content_type: "application/json", body: body.into(), headers: Vec::new() }
    }

    /// `application/problem+json`.
    pub fn problem(status: u16, body: impl Into<Vec<u8>>) -> Reply {
        Reply { content_type: "application/problem+json", ..Reply::json(status, body) }
    }

    /// No body.
    pub fn empty(status: u16) -> Reply {
        Reply { content_type: "", ..Reply::json(status, Vec::new()) }
    }

    /// The same with one more header.
    pub fn with_header(mut self, name: &'static str, value: String) -> Reply {
        self.headers.push((name, value));
        self
    }

    /// As axum sends it.
    pub fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if !self.content_type.is_empty() {
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        }
        for (name, value) in self.headers {
            if let Ok(value) = HeaderValue::from_str(&value) {
                response.headers_mut().insert(HeaderName::from_static(name), value);
            }
        }
        response
    }
}

/// The platform's error body, collecting its errors.
#[derive(Debug)]
pub struct Problem {
    status: u16,
    title: &'static str,
    errors: Vec<(&'static str, Option<String>, String)>,
}

impl Problem {
    /// No error yet.
    pub fn new(status: u16, title: &'static str) -> Problem {
        Problem { status, title, errors: Vec::new() }
    }

    /// Adds one error.
    pub fn add(&mut self, code: &'static str, element: Option<&str>, detail: impl Into<String>) {
        self.errors.push((code, element.map(str::to_owned), detail.into()));
    }

    /// The same with one more error.
    pub fn error(mut self, code: &'static str, element: Option<&str>, detail: impl Into<String>) -> Problem {
        self.add(code, element, detail);
        self
    }

    /// Whether nothing is wrong so far.
    pub fn is_empty(&self) -> bool {
        self.errors.is_empty()
    }

    /// The answer that tells all of them.
    pub fn reply(self) -> Reply {
        let mut out = String::with_capacity(256 + self.errors.len() * 120);
        out.push_str("{\"type\":\"GENERIC_ERROR\",\"status\":");
        out.push_str(&self.status.to_string());
        out.push_str(",\"title\":");
        render::text(&mut out, self.title);
        out.push_str(",\"detail\":\"See errors for details\",\"traceId\":\"Root=1-");
        out.push_str(&crate::clock::new_uuid().simple().to_string());
        out.push_str("\",\"timestamp\":");
        render::instant(&mut out, App::real_now());
        out.push_str(",\"errors\":[");
        for (index, (code, element, detail)) in self.errors.iter().enumerate() {
            out.push_str(if index > 0 { ",{\"code\":" } else { "{\"code\":" });
            render::text(&mut out, code);
            if let Some(element) = element {
                out.push_str(",\"element\":");
                render::text(&mut out, element);
            }
            out.push_str(",\"detail\":");
            let detail: String = detail.chars().take(1024).collect();
            render::text(&mut out, &detail);
            out.push('}');
        }
        out.push_str("]}");
        Reply::problem(self.status, out)
    }
}

/// The JSON of a body, without `null`s anywhere.
pub fn body_value(body: &[u8]) -> Result<Value, Reply> {
    let refuse = |detail: String| Problem::new(400, "Bad Request").error("PN_GENERIC_INVALIDPARAMETER", Some("body"), detail).reply();
    let value: Value = serde_json::from_slice(body).map_err(|error| refuse(format!("Invalid request body: {error}")))?;
    match null_in(&value) {
        Some(path) => Err(refuse(format!("Invalid request body: {path} must not be null"))),
        None => Ok(value),
    }
}

fn null_in(value: &Value) -> Option<String> {
    match value {
        Value::Null => Some(String::new()),
        Value::Array(items) => items.iter().enumerate().find_map(|(index, item)| null_in(item).map(|path| format!("[{index}]{path}"))),
        Value::Object(map) => map.iter().find_map(|(name, item)| null_in(item).map(|path| format!(".{name}{path}"))),
        _ => None,
    }
}

/// `%41` and `+` undone; what is not UTF-8 is replaced.
pub fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut ahead = rest.clone();
                let hex = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
                match (hex(ahead.next()), hex(ahead.next())) {
                    (Some(high), Some(low)) => {
                        rest = ahead;
                        u8::try_from(high * 16 + low).unwrap_or(b'%')
                    }
                    _ => b'%',
                }
            }
            other => other,
        });
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The value of a query parameter.
pub fn query(uri_query: Option<&str>, name: &str) -> Option<String> {
    uri_query?
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| percent_decoded(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn undoes_percent_encoding() {
        let table = [("a%3Db", "a=b"), ("a+b", "a b"), ("%2B", "+"), ("%", "%"), ("%zz", "%zz"), ("%c3%a8", "è"), ("%ff", "\u{fffd}")];
        for (text, want) in table {
            assert_eq!(percent_decoded(text), want, "{text}");
        }
        assert_eq!(query(Some("x=1&lastEventId=0%31&y"), "lastEventId").as_deref(), Some("01"));
    }

    #[test]
    fn finds_nulls_where_they_are() {
        assert!(body_value(br#"{"a":[1,{"b":2}]}"#).is_ok());
        let refused = body_value(br#"{"a":[1,{"b":null}]}"#).unwrap_err();
        assert_eq!(refused.status, 400);
        assert!(String::from_utf8(refused.body).unwrap().contains(".a[1].b"));
    }
}
