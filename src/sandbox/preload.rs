//! Preload, and the presigned storage behind it: judges headers and digest of an upload as S3 does, hashes the bytes as
//! they pass and keeps none of them.

use aws_lc_rs::digest::{SHA256, digest};
use axum::body::Body;
use axum::http::Method;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::StreamExt;
use serde_json::Value;

use super::auth::Caller;
use super::http::Call;
use super::model::{Millis, Upload, Uploaded};
use super::reply::{Problem, Reply, body_value, query};
use super::{App, UploadMethod, render};
use crate::domain::digest::{Hasher, Sha256};

/// Real lifetime of a presigned URL.
pub const URL_LIFETIME: Millis = 3_600_000;
/// F24 metadata larger than this is judged by its first bytes only, hence refused.
const F24_LIMIT: usize = 1024 * 1024;

struct Item {
    idx: String,
    json: bool,
    sha256: Sha256,
}

/// `POST /delivery/attachments/preload`.
pub fn preload(app: &App, caller: &Caller, call: &Call<'_>, body: &[u8]) -> Reply {
    let value = match body_value(body) {
        Ok(value) => value,
        Err(reply) => return reply,
    };
    let items = match read(&value) {
        Ok(items) => items,
        Err(problem) => return problem.reply(),
    };
    let host = call.header("host").map_or_else(|| app.addr.to_string(), str::to_owned);
    let expires = App::real_now() + URL_LIFETIME;
    let mut state = app.lock();
    let mut out = String::with_capacity(items.len() * 400);
    out.push('[');
    for (position, item) in items.into_iter().enumerate() {
        let id = crate::clock::new_uuid();
        let (prefix, extension) = if item.json { ("PN_F24_META", "json") } else { ("PN_NOTIFICATION_ATTACHMENTS", "pdf") };
        // The time-ordered half first would make keys look alike; S3 keys do not.
        let mixed = super::faults::mix(id.as_u64_pair().1 ^ app.seed);
        let key = format!("{prefix}-{mixed:016x}{:016x}.{extension}", id.as_u64_pair().0);
        let secret = STANDARD.encode(digest(&SHA256, format!("{}/{key}/secret", app.seed).as_bytes()).as_ref());
        let by_post = match app.limits.upload_method {
            UploadMethod::Put => false,
            UploadMethod::Post => true,
            UploadMethod::Alternate => position % 2 == 1,
        };
        if position > 0 {
            out.push(',');
        }
        out.push_str("{\"preloadIdx\":");
        render::text(&mut out, &item.idx);
        out.push_str(",\"secret\":\"");
        out.push_str(&secret);
        out.push_str(if by_post { "\",\"httpMethod\":\"POST\",\"url\":\"" } else { "\",\"httpMethod\":\"PUT\",\"url\":\"" });
        out.push_str(&presigned(app, &host, "upload", &key, expires));
        out.push_str("\",\"key\":\"");
        out.push_str(&key);
        out.push_str("\"}");
        state
            .uploads
            .insert(key.into(), Upload { pa: caller.pa, sha256: item.sha256, json: item.json, by_post, secret: secret.into(), done: None });
    }
    out.push(']');
    Reply::json(200, out)
}

/// A URL on this listener, outside the API, good until `expires` (real time).
pub fn presigned(app: &App, host: &str, bucket: &str, key: &str, expires: Millis) -> String {
    let signature = sign(app, bucket, key, expires);
    format!(
        "http://{host}/_s3/{bucket}/{key}?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Expires=3600&X-Sandbox-Until={expires}&X-Amz-Signature={signature}"
    )
}

fn sign(app: &App, bucket: &str, key: &str, expires: Millis) -> String {
    Sha256::of(format!("{}/{bucket}/{key}/{expires}", app.seed).as_bytes()).to_hex()
}

/// Judges signature, lifetime and forbidden headers of a presigned URL.
pub fn check_presigned(app: &App, bucket: &str, key: &str, call: &Call<'_>) -> Result<(), Reply> {
    if call.headers.contains_key("authorization") || call.headers.contains_key("x-api-key") {
        let message =
            "Only one auth mechanism allowed; the presigned URL already carries one. x-api-key and Authorization must not be sent here";
        return Err(xml_error(400, "InvalidArgument", message));
    }
    let until = query(call.query, "X-Sandbox-Until").and_then(|text| text.parse::<Millis>().ok());
    let signature = query(call.query, "X-Amz-Signature");
    let (Some(until), Some(signature)) = (until, signature) else {
        return Err(xml_error(403, "AccessDenied", "Access Denied"));
    };
    if signature != sign(app, bucket, key, until) {
        return Err(mismatch());
    }
    if until < App::real_now() {
        return Err(xml_error(403, "AccessDenied", "Request has expired"));
    }
    Ok(())
}

fn mismatch() -> Reply {
    let message = "The request signature we calculated does not match the signature you provided. Check your key and signing method.";
    xml_error(403, "SignatureDoesNotMatch", message)
}

/// An error as S3 writes it.
pub fn xml_error(status: u16, code: &str, message: &str) -> Reply {
    let id = crate::clock::new_uuid().simple().to_string();
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{message}</Message><RequestId>{id}</RequestId></Error>"
    );
    Reply { content_type: "application/xml", ..Reply::json(status, body) }
}

fn read(value: &Value) -> Result<Vec<Item>, Problem> {
    let mut problem = Problem::new(400, "Bad Request");
    let Some(list) = value.as_array() else {
        return Err(problem.error("PN_GENERIC_INVALIDPARAMETER", Some("body"), "Invalid request body: an array is expected"));
    };
    if list.is_empty() || list.len() > 15 {
        return Err(problem.error("PN_GENERIC_INVALIDPARAMETER_SIZE", Some("preLoadRequest"), "size must be between 1 and 15"));
    }
    let mut items: Vec<Item> = Vec::with_capacity(list.len());
    for (index, entry) in list.iter().enumerate() {
        let at = |name: &str| format!("[{index}].{name}");
        let text = |name: &str| entry.get(name).and_then(Value::as_str);
        let idx = text("preloadIdx").map_or_else(|| index.to_string(), str::to_owned);
        let name_like = (1..=512).contains(&idx.len()) && idx.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        if !name_like {
            problem.add("PN_GENERIC_INVALIDPARAMETER_PATTERN", Some(&at("preloadIdx")), "must match \"^[a-zA-Z0-9._-]{1,512}$\"");
        } else if items.iter().any(|other| other.idx == idx) {
            problem.add("PN_GENERIC_INVALIDPARAMETER_DUPLICATED", Some(&at("preloadIdx")), "preloadIdx must be unique in the call");
        }
        let json = match text("contentType") {
            Some("application/json") => true,
            Some("application/pdf") => false,
            _ => {
                problem.add("PN_GENERIC_INVALIDPARAMETER_PATTERN", Some(&at("contentType")), "must be application/pdf or application/json");
                false
            }
        };
        match text("sha256").filter(|digest| digest.len() == 44).and_then(Sha256::parse) {
            Some(sha256) => items.push(Item { idx, json, sha256 }),
            None if text("sha256").is_none() => {
                problem.add("PN_GENERIC_INVALIDPARAMETER_REQUIRED", Some(&at("sha256")), "must not be null");
            }
            None => problem.add("PN_GENERIC_INVALIDPARAMETER_PATTERN", Some(&at("sha256")), "must be the base64 of a SHA-256"),
        }
    }
    if problem.is_empty() { Ok(items) } else { Err(problem) }
}

/// `PUT|POST` on a presigned URL.
pub async fn upload(app: &App, key: &str, call: &Call<'_>, body: Body) -> Reply {
    let (json, declared) = match check_upload(app, key, call) {
        Ok(found) => found,
        Err(reply) => return reply,
    };
    let mut hasher = Hasher::new();
    let mut size = 0u64;
    let mut first: Vec<u8> = Vec::with_capacity(8);
    let mut kept: Vec<u8> = Vec::new();
    let mut pages = PageCounter::default();
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        let Ok(chunk) = chunk else { return xml_error(400, "IncompleteBody", "The body ended before Content-Length bytes") };
        hasher.update(&chunk);
        size += chunk.len() as u64;
        if first.len() < 5 {
            first.extend(chunk.iter().take(5 - first.len()));
        }
        if json {
            kept.extend(chunk.iter().take(F24_LIMIT.saturating_sub(kept.len())));
        } else if app.auth.weighs_mail() {
            pages.feed(&chunk);
        }
    }
    let actual = hasher.finish();
    if actual != declared {
        return xml_error(400, "BadDigest", "The SHA256 you specified did not match the calculated checksum.");
    }
    let version: Box<str> = crate::clock::new_uuid().simple().to_string().into();
    let done = Uploaded {
        version: version.clone(),
        sha256: actual,
        size,
        pdf: first == b"%PDF-",
        pages: pages.pages,
        f24: json && f24_shape(&kept),
        at: app.now(),
        real_at: App::real_now(),
    };
    if let Some(upload) = app.lock().uploads.get_mut(key) {
        upload.done = Some(done);
    }
    Reply::empty(200).with_header("x-amz-version-id", version.into()).with_header("x-amz-checksum-sha256", actual.to_base64())
}

fn check_upload(app: &App, key: &str, call: &Call<'_>) -> Result<(bool, Sha256), Reply> {
    check_presigned(app, "upload", key, call)?;
    let checksum = call.header("x-amz-checksum-sha256");
    let declared = checksum.filter(|text| text.len() == 44).and_then(Sha256::parse);
    if checksum.is_some() && declared.is_none() {
        return Err(xml_error(400, "InvalidRequest", "Value for x-amz-checksum-sha256 header is invalid."));
    }
    let state = app.lock();
    let Some(upload) = state.uploads.get(key) else { return Err(xml_error(403, "AccessDenied", "Access Denied")) };
    let method = if upload.by_post { Method::POST } else { Method::PUT };
    let content_type = if upload.json { "application/json" } else { "application/pdf" };
    let signed = *call.method == method
        && call.header("content-type") == Some(content_type)
        && call.header("x-amz-meta-secret") == Some(&upload.secret)
        && declared == Some(upload.sha256);
    if signed { Ok((upload.json, upload.sha256)) } else { Err(mismatch()) }
}

/// Exactly one of the four models.
fn f24_shape(bytes: &[u8]) -> bool {
    let Ok(Value::Object(map)) = serde_json::from_slice::<Value>(bytes) else { return false };
    let models = ["f24Standard", "f24Simplified", "f24Excise", "f24Elid"];
    map.len() == 1 && models.iter().any(|model| map.get(*model).is_some_and(Value::is_object))
}

/// Counts `/Type /Page` as bytes pass: enough for the mail-weight switch, blind to compressed object streams.
#[derive(Debug, Default)]
struct PageCounter {
    tail: Vec<u8>,
    pages: u32,
}

impl PageCounter {
    fn feed(&mut self, chunk: &[u8]) {
        const LONGEST: usize = 16;
        self.tail.extend_from_slice(chunk);
        let bytes = std::mem::take(&mut self.tail);
        // A mark is judged only when the bytes that could follow it are there, or it would be counted twice.
        let end = bytes.len().saturating_sub(LONGEST);
        for window in bytes.windows(LONGEST).take(end) {
            if let Some(rest) = window.strip_prefix(b"/Type") {
                let rest = rest.trim_ascii_start();
                if rest.strip_prefix(b"/Page").is_some_and(|after| after.first().is_none_or(|byte| !byte.is_ascii_alphanumeric())) {
                    self.pages += 1;
                }
            }
        }
        self.tail = bytes.get(end..).unwrap_or_default().to_vec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_pages_across_chunks() {
        let pdf = b"%PDF-1.4 /Type /Pages /Type /Page >> /Type/Page\n/Type   /Page/X trailer trailer trailer trailer";
        for size in [1, 7, 1000] {
            let mut counter = PageCounter::default();
            pdf.chunks(size).for_each(|chunk| counter.feed(chunk));
            assert_eq!(counter.pages, 3, "chunks of {size}");
        }
    }

    #[test]
    fn knows_the_shape_of_f24() {
        let table = [(r#"{"f24Standard":{}}"#, true), (r#"{"f24Standard":{},"f24Elid":{}}"#, false), ("{}", false), ("[", false)];
        for (text, want) in table {
            assert_eq!(f24_shape(text.as_bytes()), want, "{text}");
        }
    }
}
