//! Presigned addresses: files up, legal facts down. No credential goes there, no redirect is followed, no turn is taken, and
//! the address, which is a secret, enters no error.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, Stream};
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Body, Method, Request, Response, Url};

use crate::clock::monotonic;
use crate::connectors::http::{Transport, read_body};
use crate::connectors::{ConnectorError, Problem, ProblemError, what};
use crate::domain::digest::Sha256;

use super::client::{Pnd, elapsed_ms};
use super::{ContentType, UploadSlot};

/// Why a file was not uploaded.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// The slot is expired, or was given for another digest, secret or type: preload again. The code is S3's.
    #[error("preload again ({code})")]
    RedoPreload { code: String },
    /// The bytes could not be read, or are not those declared: nothing was uploaded, and the remote is not at fault. The
    /// error is the stream's own; a wrong length has kind `InvalidData`.
    #[error("source: {0}")]
    Source(io::Error),
    /// Never `Uncertain`: an upload repeated is only another version.
    #[error(transparent)]
    Remote(#[from] ConnectorError),
}

const SECRET: HeaderName = HeaderName::from_static("x-amz-meta-secret");
const CHECKSUM: HeaderName = HeaderName::from_static("x-amz-checksum-sha256");
const VERSION: &str = "x-amz-version-id";

impl Pnd {
    /// Uploads a file: its version token.
    ///
    /// `body` must give exactly `len` bytes and then end well: its last piece is held back until it has, so that a reader
    /// which verifies the digest at the end can still stop a wrong upload.
    pub async fn upload<S>(
        &self,
        slot: &UploadSlot,
        content_type: ContentType,
        sha256: Sha256,
        len: u64,
        body: S,
    ) -> Result<String, UploadError>
    where
        S: Stream<Item = io::Result<Bytes>> + Send + 'static,
    {
        let request = self.upload_request(slot, content_type, sha256, len)?;
        let fault: Fault = Arc::default();
        let body = Exact { inner: Some(Box::pin(body)), held: None, left: len, fault: Arc::clone(&fault) };
        let mut request = request;
        *request.body_mut() = Some(Body::wrap_stream(body));
        let started = monotonic();
        let outcome = self.inner.http.execute(request).await.map_err(Transport::from);
        if let Some(error) = fault.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Err(UploadError::Source(error));
        }
        self.inner.note("upload", started, outcome.as_ref().ok().map(|response| response.status().as_u16()));
        let label = self.inner.label.as_str();
        let temporary = |what: String| ConnectorError::Temporary { what, retry_after: None };
        let response = outcome.map_err(|Transport { what, .. }| {
            tracing::info!(key = label, operation = "upload", ms = elapsed_ms(started), what, "upload got no answer");
            temporary(what)
        })?;
        let status = response.status().as_u16();
        if response.status().is_success() {
            tracing::debug!(key = label, operation = "upload", status, ms = elapsed_ms(started), bytes = len, "upload");
            let version = response.headers().get(VERSION).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
            // Read to its end, so that the connection is used again.
            let _ = read_body(response, 64 << 10).await;
            if version.is_empty() || version.len() > 256 {
                return Err(ConnectorError::Protocol { what: format!("upload: no {VERSION}") }.into());
            }
            return Ok(version);
        }
        let body = read_body(response, 64 << 10).await.unwrap_or_default();
        let code = s3_code(&body);
        tracing::info!(key = label, operation = "upload", status, ms = elapsed_ms(started), code, "upload refused");
        Err(upload_refused(status, code))
    }

    fn upload_request(&self, slot: &UploadSlot, content_type: ContentType, sha256: Sha256, len: u64) -> Result<Request, ConnectorError> {
        let protocol = |what: &str| ConnectorError::Protocol { what: what.to_owned() };
        let method = match slot.method.as_str() {
            "PUT" => Method::PUT,
            "POST" => Method::POST,
            _ => return Err(protocol("upload: neither PUT nor POST")),
        };
        let mut secret = HeaderValue::from_str(&slot.secret).map_err(|_| protocol("upload: the secret is no header"))?;
        secret.set_sensitive(true);
        let checksum = HeaderValue::from_str(&sha256.to_base64()).map_err(|_| protocol("upload: digest"))?;
        let mut request = Request::new(method, self.presigned(&slot.url)?);
        let timeouts = &self.inner.timeouts;
        *request.timeout_mut() = Some(timeouts.call.saturating_add(Duration::from_secs(len / timeouts.upload_rate.max(1))));
        let headers: &mut HeaderMap = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type.as_str()));
        headers.insert(CONTENT_LENGTH, HeaderValue::from(len));
        headers.insert(SECRET, secret);
        headers.insert(CHECKSUM, checksum);
        Ok(request)
    }

    /// Opens a download. `expected` is the length that SEND told, used when the answer itself gives none.
    pub async fn download(&self, url: &str, expected: Option<u64>) -> Result<Download, ConnectorError> {
        let request = Request::new(Method::GET, self.presigned(url)?);
        let started = monotonic();
        let idle = self.inner.timeouts.idle;
        let temporary = |what: String| ConnectorError::Temporary { what, retry_after: None };
        let answer = tokio::time::timeout(idle, self.inner.http.execute(request)).await;
        let status = answer.as_ref().ok().and_then(|outcome| outcome.as_ref().ok()).map(|response| response.status().as_u16());
        self.inner.note("download", started, status);
        let response = match answer {
            Ok(outcome) => outcome.map_err(|error| temporary(Transport::from(error).what))?,
            Err(_) => return Err(temporary("timeout".to_owned())),
        };
        let status = response.status().as_u16();
        if status == 200 {
            tracing::debug!(key = %self.inner.label, operation = "download", status, ms = elapsed_ms(started), "download");
            let length = response.content_length().or(expected);
            return Ok(Download { response, idle, length, received: 0 });
        }
        let body = tokio::time::timeout(idle, read_body(response, 64 << 10)).await;
        let code = s3_code(&body.ok().and_then(Result::ok).unwrap_or_default());
        tracing::info!(key = %self.inner.label, operation = "download", status, ms = elapsed_ms(started), code, "download refused");
        Err(match status {
            // The address is expired: the link must be asked again.
            401 | 403 | 408 | 500..=599 => temporary(format!("download: {status} {code}")),
            400 if code == "ExpiredToken" || code == "AccessDenied" => temporary(format!("download: {status} {code}")),
            429 => temporary(what::THROTTLED.to_owned()),
            404 => {
                let errors = vec![ProblemError { code, ..ProblemError::default() }];
                ConnectorError::NotFound(Problem { status, trace_id: None, errors })
            }
            _ => ConnectorError::Protocol { what: format!("download: {status} {code}") },
        })
    }

    /// Whoever is called over TLS may not send us elsewhere without.
    fn presigned(&self, text: &str) -> Result<Url, ConnectorError> {
        let url = Url::parse(text).map_err(|_| ConnectorError::Protocol { what: "presigned address: not an address".to_owned() })?;
        let plain = url.scheme() == "http" && self.url(&[]).scheme() == "http";
        if url.scheme() == "https" || plain {
            Ok(url)
        } else {
            Err(ConnectorError::Protocol { what: format!("presigned address: {}", url.scheme()) })
        }
    }
}

impl ContentType {
    /// The media type.
    pub const fn as_str(self) -> &'static str {
        match self {
            ContentType::Pdf => "application/pdf",
            ContentType::Json => "application/json",
        }
    }
}

/// What S3 means by a refused upload.
fn upload_refused(status: u16, code: String) -> UploadError {
    match (status, code.as_str()) {
        (429, _) => ConnectorError::Temporary { what: what::THROTTLED.to_owned(), retry_after: None }.into(),
        (408 | 500..=599, _) | (400, "RequestTimeout") | (409, "OperationAborted") => {
            ConnectorError::Temporary { what: format!("upload: {status} {code}"), retry_after: None }.into()
        }
        (401 | 403, _) | (400, "ExpiredToken" | "BadDigest" | "InvalidDigest" | "XAmzContentChecksumMismatch") => {
            UploadError::RedoPreload { code: if code.is_empty() { status.to_string() } else { code } }
        }
        _ => ConnectorError::Protocol { what: format!("upload: {status} {code}") }.into(),
    }
}

/// The code of an S3 error: `<Error><Code>SignatureDoesNotMatch</Code>...`. Empty when there is none.
fn s3_code(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let code = text.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>")).map(|(code, _)| code.trim());
    code.filter(|code| code.len() <= 64 && code.bytes().all(|byte| byte.is_ascii_alphanumeric())).unwrap_or_default().to_owned()
}

type Fault = Arc<Mutex<Option<io::Error>>>;
type Source = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

/// A stream that gives exactly what was declared, and its last piece only when the source has ended well.
struct Exact {
    /// None when it has ended.
    inner: Option<Source>,
    held: Option<Bytes>,
    left: u64,
    fault: Fault,
}

impl Exact {
    /// Notes the fault for the caller, and breaks the request off.
    fn fail(&mut self, error: io::Error) -> Poll<Option<io::Result<Bytes>>> {
        let kind = error.kind();
        self.inner = None;
        self.held = None;
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        Poll::Ready(Some(Err(kind.into())))
    }
}

impl Stream for Exact {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let Some(inner) = self.inner.as_mut() else { return Poll::Ready(self.held.take().map(Ok)) };
            match inner.as_mut().poll_next(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Err(error))) => return self.fail(error),
                Poll::Ready(Some(Ok(bytes))) if bytes.is_empty() => {}
                Poll::Ready(Some(Ok(bytes))) => {
                    let Some(left) = self.left.checked_sub(bytes.len() as u64) else {
                        return self.fail(io::Error::new(io::ErrorKind::InvalidData, "longer than declared"));
                    };
                    self.left = left;
                    if let Some(before) = self.held.replace(bytes) {
                        return Poll::Ready(Some(Ok(before)));
                    }
                }
                Poll::Ready(None) if self.left > 0 => {
                    return self.fail(io::Error::new(io::ErrorKind::InvalidData, "shorter than declared"));
                }
                Poll::Ready(None) => self.inner = None,
            }
        }
    }
}

/// A download in progress.
pub struct Download {
    response: Response,
    idle: Duration,
    length: Option<u64>,
    received: u64,
}

impl Download {
    /// Bytes to come in all, if anybody told.
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    /// The next piece, or the end. A body cut short, or silence, is `Temporary`.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, ConnectorError> {
        let temporary = |what: String| ConnectorError::Temporary { what: format!("download: {what}"), retry_after: None };
        let piece = match tokio::time::timeout(self.idle, self.response.chunk()).await {
            Ok(piece) => piece.map_err(|error| temporary(Transport::from(error).what))?,
            Err(_) => return Err(temporary("timeout".to_owned())),
        };
        let length = self.length.unwrap_or(u64::MAX);
        match &piece {
            Some(bytes) => {
                self.received = self.received.saturating_add(bytes.len() as u64);
                if self.received > length {
                    return Err(temporary(format!("over {length} bytes")));
                }
            }
            None if self.length.is_some_and(|length| self.received < length) => {
                return Err(temporary(format!("{} of {length} bytes", self.received)));
            }
            None => {}
        }
        Ok(piece)
    }

    /// The pieces as a stream; it ends after the first error.
    pub fn into_stream(self) -> impl Stream<Item = Result<Bytes, ConnectorError>> + Send {
        stream::unfold(Some(self), |download| async move {
            let mut download = download?;
            match download.chunk().await {
                Ok(Some(bytes)) => Some((Ok(bytes), Some(download))),
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::StreamExt;

    #[test]
    fn s3_says_what_to_do() {
        let table = [
            (403, "<Error><Code>SignatureDoesNotMatch</Code></Error>", "preload again (SignatureDoesNotMatch)"),
            (403, "<?xml?><Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>", "preload again (AccessDenied)"),
            (403, "", "preload again (403)"),
            (400, "<Error><Code>BadDigest</Code></Error>", "preload again (BadDigest)"),
            (400, "<Error><Code>InvalidRequest</Code></Error>", "protocol: upload: 400 InvalidRequest"),
            (400, "<Error><Code>RequestTimeout</Code></Error>", "temporary (upload: 400 RequestTimeout)"),
            (503, "<Error><Code>SlowDown</Code></Error>", "temporary (upload: 503 SlowDown)"),
            (500, "<html>", "temporary (upload: 500 )"),
            (429, "", "temporary (HTTP 429)"),
            (307, "", "protocol: upload: 307 "),
            (404, "<Error><Code>no such\nthing</Code></Error>", "protocol: upload: 404 "),
        ];
        for (status, body, want) in table {
            assert_eq!(upload_refused(status, s3_code(body.as_bytes())).to_string(), want, "{status} {body}");
        }
    }

    #[tokio::test]
    async fn a_source_gives_what_was_declared_or_stops_before_its_last_piece() {
        let ok = |text: &'static str| Ok(Bytes::from_static(text.as_bytes()));
        let broken = || Err(io::Error::other("CRC"));
        type Pieces = Vec<io::Result<Bytes>>;
        let table: Vec<(Pieces, u64, &str, Option<&str>)> = vec![
            (vec![ok("ab"), ok(""), ok("cd")], 4, "abcd", None),
            (vec![], 0, "", None),
            (vec![ok("ab"), ok("cd")], 5, "ab", Some("shorter than declared")),
            (vec![ok("ab"), ok("cd")], 3, "", Some("longer than declared")),
            (vec![ok("ab"), ok("cd"), broken()], 4, "ab", Some("CRC")),
            (vec![broken()], 4, "", Some("CRC")),
        ];
        for (pieces, left, want, why) in table {
            let given = format!("{pieces:?}");
            let fault: Fault = Arc::default();
            let exact = Exact { inner: Some(Box::pin(stream::iter(pieces))), held: None, left, fault: Arc::clone(&fault) };
            let out: Vec<_> = exact.collect().await;
            let text: String = out.iter().flatten().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).collect();
            assert_eq!(text, want, "{given}");
            assert_eq!(out.iter().any(Result::is_err), why.is_some(), "{given}");
            assert_eq!(fault.lock().unwrap().take().map(|error| error.to_string()).as_deref(), why, "{given}");
        }
    }
}
