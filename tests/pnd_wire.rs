//! What the SEND connector puts on the wire and what it makes of what comes back: a server with a script, byte by byte.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use messo::clock::Clock;
use messo::config::secret::Secret;
use messo::connectors::http::{HttpSettings, client};
use messo::connectors::pnd::{
    ContentType, DayQuota, Governor, LegalFactLink, Pnd, PndSettings, PndSetupError, PreloadItem, Priority, SendParts, Timeouts,
    UploadError, UploadSlot, Uploaded, VoucherSettings, duplicate_is_ours, new_notification,
};
use messo::connectors::{ConnectorError, what};
use messo::domain::act::Act;
use messo::domain::digest::Sha256;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What the server does once it has read a request.
#[derive(Clone)]
enum Reply {
    Text(String),
    /// Closes without a word.
    Close,
    /// Says this much and then nothing.
    Hang(String),
}

/// A request as it came.
#[derive(Clone, Debug)]
struct Seen {
    line: String,
    headers: String,
    body: Vec<u8>,
}

impl Seen {
    fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.headers.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

struct Server {
    base: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

/// A server that answers its requests with `replies`, one connection each, in order; then it closes without a word.
async fn server(replies: Vec<Reply>) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (log, replies) = (Arc::clone(&seen), Arc::new(Mutex::new(VecDeque::from(replies))));
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(talk(socket, Arc::clone(&log), Arc::clone(&replies)));
        }
    });
    Server { base, seen }
}

async fn talk(mut socket: TcpStream, log: Arc<Mutex<Vec<Seen>>>, replies: Arc<Mutex<VecDeque<Reply>>>) {
    let mut read = Vec::new();
    let head = loop {
        if let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        let mut buffer = [0; 4096];
        match socket.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(count) => read.extend_from_slice(&buffer[..count]),
        }
    };
    let text = String::from_utf8(read[..head].to_vec()).unwrap();
    let (line, headers) = text.split_once("\r\n").unwrap();
    let mut seen = Seen { line: line.to_owned(), headers: headers.to_owned(), body: read[head..].to_vec() };
    let length: usize = seen.header("content-length").map_or(0, |length| length.parse().unwrap());
    while seen.body.len() < length {
        let mut buffer = [0; 65_536];
        match socket.read(&mut buffer).await {
            Ok(0) | Err(_) => {
                log.lock().unwrap().push(seen);
                return;
            }
            Ok(count) => seen.body.extend_from_slice(&buffer[..count]),
        }
    }
    log.lock().unwrap().push(seen);
    let reply = replies.lock().unwrap().pop_front().unwrap_or(Reply::Close);
    match reply {
        Reply::Text(text) => {
            let _ = socket.write_all(text.as_bytes()).await;
            let _ = socket.shutdown().await;
        }
        Reply::Close => {}
        Reply::Hang(text) => {
            let _ = socket.write_all(text.as_bytes()).await;
            tokio::time::sleep(Duration::from_secs(60)).await;
        }
    }
}

fn answer_with(status: u16, headers: &str, body: &str) -> Reply {
    Reply::Text(format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n{headers}\r\n{body}", body.len()))
}

fn answer(status: u16, body: &str) -> Reply {
    answer_with(status, "", body)
}

/// Says that a hundred bytes more will come.
fn cut(status: u16, body: &str) -> Reply {
    Reply::Text(format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n{body}", body.len() + 100))
}

fn settings(base: &str) -> PndSettings {
    PndSettings {
        label: "test".into(),
        base_url: base.into(),
        api_key: Secret::new("the-key"),
        voucher: None,
        timeouts: Timeouts { call: Duration::from_millis(400), idle: Duration::from_millis(200), upload_rate: 1 << 20 },
        governor: Arc::new(Governor::off()),
        clock: Clock::REAL,
    }
}

fn http() -> reqwest::Client {
    client(&HttpSettings { loopback_only: true, ..HttpSettings::default() }).unwrap()
}

fn pnd(base: &str) -> Pnd {
    Pnd::new(settings(base), http()).unwrap()
}

fn act() -> Act {
    serde_json::from_value(serde_json::json!({
        "sender_tax_id": "77777777777", "reference": "1", "action": "inserisci", "subject": "Verbale", "taxonomy_code": "010202N",
        "communication_type": "REGISTERED_LETTER_890", "fee_policy": "FLAT_RATE", "documents": [{"file": "1.pdf"}],
        "recipients": [{"recipient_type": "PF", "tax_id": "RSSMRA80A01H501U", "denomination": "Mario Rossi"}],
    }))
    .unwrap()
}

async fn send(pnd: &Pnd) -> Result<String, ConnectorError> {
    let act = act();
    let files =
        [Uploaded { key: "K".into(), version_token: "v".into(), sha256: Sha256::of(b""), uploaded_at: jiff::Timestamp::UNIX_EPOCH }];
    let parts = SendParts { idempotence_token: "tok", protocol: "1/2026", sender_denomination: "Comune", files: &files };
    pnd.send(&new_notification(&act, &parts).unwrap()).await
}

fn text<T: std::fmt::Debug>(outcome: Result<T, ConnectorError>) -> String {
    match outcome {
        Ok(value) => format!("{value:?}"),
        Err(error) => error.to_string(),
    }
}

#[tokio::test]
async fn a_call_carries_the_key_and_nothing_else() {
    let slot = r#"[{"preloadIdx":"a","secret":"s","httpMethod":"PUT","url":"http://x/","key":"K"}]"#;
    let server = server(vec![answer(200, slot)]).await;
    let items = [PreloadItem { idx: "a".into(), content_type: ContentType::Pdf, sha256: Sha256::of(b"") }];
    let slots = pnd(&server.base).preload(&items).await.unwrap();
    assert_eq!((slots[0].key.as_str(), slots[0].method.as_str()), ("K", "PUT"));
    let seen = server.seen().remove(0);
    assert_eq!(seen.line, "POST /delivery/attachments/preload HTTP/1.1");
    assert_eq!(seen.header("x-api-key"), Some("the-key"));
    assert_eq!(seen.header("content-type"), Some("application/json"));
    assert_eq!(seen.header("authorization"), None);
    let sixteen = vec![items[0].clone(); 16];
    for wrong in [&sixteen[..], &[]] {
        assert!(matches!(pnd(&server.base).preload(wrong).await, Err(ConnectorError::Protocol { .. })), "{}", wrong.len());
    }
}

#[tokio::test]
async fn a_send_that_may_have_worked_is_uncertain() {
    let ours = r#"{"status":409,"errors":[{"code":"PN_GENERIC_INVALIDPARAMETER_DUPLICATED",
        "element":"Duplicated notification for senderPaId##paProtocolNumber##idempotenceToken"}]}"#;
    let table = [
        (answer(202, r#"{"notificationRequestId":"R","paProtocolNumber":"1"}"#), "\"R\""),
        (cut(202, r#"{"notificationRequestId":"R""#), "uncertain (end of file before message length reached)"),
        (answer(202, r#"{"oops":1}"#), "uncertain (unreadable answer at 1:10)"),
        (answer(202, r#"{"notificationRequestId":""}"#), "uncertain (send: empty request id)"),
        (Reply::Close, "uncertain (connection closed before message completed)"),
        (Reply::Hang(String::new()), "uncertain (timeout)"),
        (answer(503, ""), "uncertain (HTTP 503)"),
        (cut(500, "{"), "uncertain (HTTP 500)"),
        (answer_with(429, "retry-after: 7\r\n", r#"{"message":"Too Many Requests"}"#), "temporary (HTTP 429)"),
        (answer(409, ours), "conflict: 409 PN_GENERIC_INVALIDPARAMETER_DUPLICATED"),
        (answer(400, r#"{"status":400,"errors":[{"code":"PN_GENERIC_INVALIDPARAMETER"}]}"#), "refused: 400 PN_GENERIC_INVALIDPARAMETER"),
        (answer(403, r#"{"message":"Forbidden"}"#), "sender refused: 403 GATEWAY"),
        (cut(403, "{"), "sender refused: 403 "),
        (answer_with(302, "location: http://127.0.0.1:1/\r\n", ""), "protocol: redirect 302"),
    ];
    for (index, (reply, want)) in table.into_iter().enumerate() {
        let server = server(vec![reply]).await;
        let got = send(&pnd(&server.base)).await;
        if let Err(ConnectorError::Conflict(problem)) = &got {
            assert!(duplicate_is_ours(problem));
        }
        if let Err(error @ ConnectorError::Temporary { .. }) = &got {
            assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
        }
        assert_eq!(text(got), want, "case {index}");
        assert_eq!(server.seen().len(), 1, "case {index}: one call, one request");
    }
    // Nobody listens there, nor is given that port.
    let got = send(&pnd("http://127.0.0.1:9")).await;
    assert_eq!(text(got), "temporary (connect: Connection refused (os error 111))");
}

#[tokio::test]
async fn a_question_that_got_no_answer_is_asked_again() {
    let table = [
        (cut(200, r#"{"notificationStatus":"#), "temporary (end of file before message length reached)"),
        (answer(200, "[]"), "temporary (unreadable answer at 1:2)"),
        (answer(200, "<html>"), "temporary (unreadable answer at 1:1)"),
        (Reply::Close, "temporary (connection closed before message completed)"),
        (Reply::Hang("HTTP/1.1 200 X\r\ncontent-length: 9\r\n\r\n{".into()), "temporary (timeout)"),
        (answer(503, ""), "temporary (HTTP 503)"),
        (answer(404, r#"{"status":404,"errors":[{"code":"PN_DELIVERY_NOTIFICATIONNOTFOUND"}]}"#), "not found"),
    ];
    for (index, (reply, want)) in table.into_iter().enumerate() {
        let server = server(vec![reply]).await;
        assert_eq!(text(pnd(&server.base).sent("IUN").await), want, "case {index}");
    }
}

#[tokio::test]
async fn what_is_put_in_an_address_stays_in_its_place() {
    let server = server(vec![]).await;
    let pnd = pnd(&server.base);
    let _ = pnd.request_by_id("QUJD+/=").await;
    let _ = pnd.request_by_token("12/2026 & più", "t=1").await;
    let _ = pnd.sent("../../x?y").await;
    let _ = pnd.price("77777777777", "302010000000000019").await;
    let _ = pnd.cancel("IUN").await;
    let _ = pnd.legal_fact("IUN", "safestorage://PN_LEGAL_FACTS-1.pdf").await;
    let _ = pnd.legal_facts("IUN").await;
    let _ = pnd.platform_status().await;
    let lines: Vec<String> = server.seen().into_iter().map(|seen| seen.line.replace(" HTTP/1.1", "")).collect();
    assert_eq!(
        lines,
        [
            "GET /delivery/v2.5/requests?notificationRequestId=QUJD%2B%2F%3D",
            "GET /delivery/v2.5/requests?paProtocolNumber=12%2F2026+%26+pi%C3%B9&idempotenceToken=t%3D1",
            "GET /delivery/v2.8/notifications/sent/..%2F..%2Fx%3Fy",
            "GET /delivery/v2.3/price/77777777777/302010000000000019",
            "PUT /delivery-push/v2.0/notifications/cancel/IUN",
            "GET /delivery-push/IUN/download/legal-facts/PN_LEGAL_FACTS-1.pdf",
            "GET /delivery-push/v2.0/IUN/legal-facts",
            "GET /status",
        ]
    );
}

#[tokio::test]
async fn streams_wait_in_milliseconds() {
    let event = r#"[{"eventId":"1","element":{"elementId":"E","category":"C"}}]"#;
    let lost = r#"{"status":403,"errors":[{"code":"PN_WEBHOOK_FORBIDDEN"}]}"#;
    let early = r#"{"status":429,"errors":[{"code":"PN_STREAM_RETRY_AFTER_ERROR"}]}"#;
    let info = r#"{"streamId":"S","title":"T","eventType":"TIMELINE","groups":[],"activationDate":"2026-11-22T10:00:00Z"}"#;
    let server = server(vec![
        answer_with(200, "retry-after: 0\r\n", event),
        answer_with(200, "retry-after: 60000\r\n", "[]"),
        answer(200, event),
        answer(200, "[]"),
        answer_with(429, "retry-after: 1500\r\n", early),
        answer(403, lost),
        answer(403, r#"{"message":"Forbidden"}"#),
        answer(200, &format!("[{info}]")),
        answer(200, info),
        cut(200, info),
        answer(409, r#"{"status":409,"errors":[{"code":"PN_WEBHOOK_MAXSTREAMSCOUNTREACHED"}]}"#),
    ])
    .await;
    let pnd = pnd(&server.base);
    for (events, wait) in [(1, 0), (0, 60_000), (1, 0), (0, 60_000)] {
        let page = pnd.events("S", Some("0001")).await.unwrap();
        assert_eq!((page.events.len(), page.retry_after.as_millis()), (events, wait));
    }
    let early = pnd.events("S", None).await.unwrap_err();
    assert_eq!((early.to_string().as_str(), early.retry_after()), ("temporary (HTTP 429)", Some(Duration::from_millis(1_500))));
    assert!(matches!(pnd.events("S", None).await, Err(ConnectorError::NotFound(_))), "lost");
    assert!(matches!(pnd.events("S", None).await, Err(ConnectorError::Sender(_))), "the gateway's own");
    assert_eq!(pnd.streams().await.unwrap()[0].title, "T");
    assert_eq!(pnd.create_stream("T", &["g".into()]).await.unwrap().stream_id, "S");
    assert!(matches!(pnd.create_stream("T", &[]).await, Err(ConnectorError::Uncertain { .. })));
    assert!(matches!(pnd.replace_stream("T", &[], "S").await, Err(ConnectorError::Conflict(_))));
    let seen = server.seen();
    assert_eq!(seen[0].line, "GET /delivery-progresses/v2.9/streams/S/events?lastEventId=0001 HTTP/1.1");
    assert_eq!(seen[4].line, "GET /delivery-progresses/v2.9/streams/S/events HTTP/1.1");
    assert_eq!(
        String::from_utf8_lossy(&seen[8].body),
        r#"{"title":"T","eventType":"TIMELINE","groups":["g"],"filterValues":[],"waitForAccepted":false}"#
    );
    assert!(String::from_utf8_lossy(&seen[10].body).contains(r#""replacedStreamId":"S""#));
}

fn slot(base: &str, method: &str) -> UploadSlot {
    let url = format!("{base}/up/1?X-Amz-Signature=hidden");
    UploadSlot { idx: "a".into(), secret: "the-secret".into(), method: method.into(), url, key: "K".into() }
}

async fn upload(pnd: &Pnd, slot: &UploadSlot, pieces: Vec<io::Result<Bytes>>, len: u64) -> Result<String, UploadError> {
    pnd.upload(slot, ContentType::Pdf, Sha256::of(b"%PDF-1.7"), len, stream::iter(pieces)).await
}

fn pieces(texts: &[&'static str]) -> Vec<io::Result<Bytes>> {
    texts.iter().map(|text| Ok(Bytes::from_static(text.as_bytes()))).collect()
}

#[tokio::test]
async fn an_upload_goes_as_it_was_announced() {
    let server = server(vec![answer_with(200, "x-amz-version-id: v1\r\n", ""), answer_with(200, "x-amz-version-id: v2\r\n", "")]).await;
    let pnd = pnd(&server.base);
    assert_eq!(upload(&pnd, &slot(&server.base, "PUT"), pieces(&["%PDF", "-1.7"]), 8).await.unwrap(), "v1");
    assert_eq!(upload(&pnd, &slot(&server.base, "POST"), pieces(&["%PDF-1.7"]), 8).await.unwrap(), "v2");
    let seen = server.seen();
    assert_eq!(seen[0].line, "PUT /up/1?X-Amz-Signature=hidden HTTP/1.1");
    assert_eq!(seen[1].line, "POST /up/1?X-Amz-Signature=hidden HTTP/1.1");
    for seen in &seen {
        assert_eq!(seen.body, b"%PDF-1.7");
        let digest = Sha256::of(b"%PDF-1.7").to_base64();
        let want = [
            ("content-length", Some("8")),
            ("transfer-encoding", None),
            ("content-type", Some("application/pdf")),
            ("x-amz-meta-secret", Some("the-secret")),
            ("x-amz-checksum-sha256", Some(digest.as_str())),
            ("x-api-key", None),
            ("authorization", None),
            ("trailer", None),
        ];
        for (name, value) in want {
            assert_eq!(seen.header(name), value, "{name}");
        }
    }
}

#[tokio::test]
async fn a_refused_upload_says_what_to_do() {
    let signature = "<Error><Code>SignatureDoesNotMatch</Code></Error>";
    let table = [
        (answer(403, signature), "preload again (SignatureDoesNotMatch)"),
        (answer(503, "<Error><Code>SlowDown</Code></Error>"), "temporary (upload: 503 SlowDown)"),
        (answer(200, ""), "protocol: upload: no x-amz-version-id"),
        (answer_with(307, "location: http://127.0.0.1:1/\r\n", ""), "protocol: upload: 307 "),
        (Reply::Close, "temporary (connection closed before message completed)"),
        (Reply::Hang(String::new()), "temporary (timeout)"),
    ];
    for (reply, want) in table {
        let server = server(vec![reply]).await;
        let got = upload(&pnd(&server.base), &slot(&server.base, "PUT"), pieces(&["%PDF-1.7"]), 8).await;
        assert_eq!(got.unwrap_err().to_string(), want);
        assert_eq!(server.seen().len(), 1, "{want}");
    }
}

#[tokio::test]
async fn a_source_that_breaks_is_not_the_remotes_fault() {
    let broken = |texts: &[&'static str]| {
        let mut all = pieces(texts);
        all.push(Err(io::Error::new(io::ErrorKind::InvalidData, "entry changed")));
        all
    };
    let table = [
        (broken(&["%PDF"]), 8, "source: entry changed"),
        (broken(&["%PDF", "-1.7"]), 8, "source: entry changed"),
        (broken(&["%PDF-1.7"]), 8, "source: entry changed"),
        (pieces(&["%PDF"]), 8, "source: shorter than declared"),
        (pieces(&["%PDF-1.7", "more"]), 8, "source: longer than declared"),
    ];
    for (pieces, len, want) in table {
        let server = server(vec![answer_with(200, "x-amz-version-id: v1\r\n", "")]).await;
        let got = upload(&pnd(&server.base), &slot(&server.base, "PUT"), pieces, len).await;
        assert_eq!(got.unwrap_err().to_string(), want);
        let whole = server.seen().iter().any(|seen| seen.body.len() as u64 >= len);
        assert!(!whole, "{want}: the whole length must never arrive");
    }
}

#[tokio::test]
async fn a_presigned_address_is_used_as_it_is_or_not_at_all() {
    let server = server(vec![]).await;
    let table = [("ftp://x/y", "protocol: presigned address: ftp"), ("nowhere", "protocol: presigned address: not an address")];
    for (url, want) in table {
        let wrong = UploadSlot { url: url.into(), ..slot(&server.base, "PUT") };
        assert_eq!(upload(&pnd(&server.base), &wrong, pieces(&["x"]), 1).await.unwrap_err().to_string(), want);
    }
    let over_tls = pnd("https://api.example");
    let got = upload(&over_tls, &slot(&server.base, "PUT"), pieces(&["x"]), 1).await;
    assert_eq!(got.unwrap_err().to_string(), "protocol: presigned address: http");
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn a_download_is_whole_or_an_error() {
    let expired = "<Error><Code>AccessDenied</Code></Error>";
    let open = |body: &str| Reply::Text(format!("HTTP/1.1 200 X\r\nconnection: close\r\n\r\n{body}"));
    let table = [
        (answer(200, "%PDF-1.7"), None, "%PDF-1.7"),
        (open("%PDF-1.7"), Some(8), "%PDF-1.7"),
        (open("%PDF-"), Some(8), "%PDF-|temporary (download: 5 of 8 bytes)"),
        (open("%PDF-1.7 more"), Some(8), "|temporary (download: over 8 bytes)"),
        (cut(200, "%PDF"), None, "%PDF|temporary (download: end of file before message length reached)"),
        (Reply::Hang("HTTP/1.1 200 X\r\ncontent-length: 9\r\n\r\n%PDF".into()), None, "%PDF|temporary (download: timeout)"),
        (answer(403, expired), None, "temporary (download: 403 AccessDenied)"),
        (answer(404, "<Error><Code>NoSuchKey</Code></Error>"), None, "not found"),
        (answer_with(302, "location: http://127.0.0.1:1/\r\n", ""), None, "protocol: download: 302 "),
        (Reply::Hang(String::new()), None, "temporary (timeout)"),
    ];
    for (reply, expected, want) in table {
        let server = server(vec![reply]).await;
        let got = match pnd(&server.base).download(&format!("{}/f?sig=1", server.base), expected).await {
            Err(error) => error.to_string(),
            Ok(download) => {
                let mut all = String::new();
                let mut pieces = Box::pin(download.into_stream());
                while let Some(piece) = pieces.next().await {
                    match piece {
                        Ok(bytes) => all.push_str(std::str::from_utf8(&bytes).unwrap()),
                        Err(error) => all = format!("{all}|{error}"),
                    }
                }
                all
            }
        };
        assert_eq!(got, want);
        let seen = server.seen().remove(0);
        assert_eq!((seen.header("x-api-key"), seen.header("authorization")), (None, None), "{want}");
    }
}

/// An RSA key made for this test: it opens nothing.
fn private_key() -> String {
    use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
    use base64::Engine;
    let key = aws_lc_rs::rsa::KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
    let der: Pkcs8V1Der<'_> = key.as_der().unwrap();
    let text = base64::engine::general_purpose::STANDARD.encode(der.as_ref());
    format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n")
}

fn with_voucher(send: &Server, pdnd: &Server) -> Pnd {
    let voucher = VoucherSettings {
        token_url: format!("{}/token.oauth2", pdnd.base),
        client_id: "client".into(),
        kid: "kid".into(),
        purpose_id: "purpose".into(),
        audience: "aud".into(),
        private_key: Secret::new(private_key()),
    };
    Pnd::new(PndSettings { voucher: Some(voucher), ..settings(&send.base) }, http()).unwrap()
}

fn token(name: &str) -> Reply {
    answer(200, &format!(r#"{{"access_token":"{name}","expires_in":600,"token_type":"Bearer"}}"#))
}

#[tokio::test]
async fn a_voucher_is_asked_once_and_again_when_refused() {
    let empty = || answer(200, "[]");
    let unauthorized = || answer(401, r#"{"message":"Unauthorized"}"#);
    let server_send = server(vec![empty(), empty(), empty(), unauthorized(), empty(), unauthorized(), unauthorized()]).await;
    let pdnd = server(vec![token("one"), token("two"), token("three")]).await;
    let pnd = with_voucher(&server_send, &pdnd);
    // Three at once share one voucher.
    let (a, b, c) = tokio::join!(pnd.streams(), pnd.streams(), pnd.streams());
    assert!(a.is_ok() && b.is_ok() && c.is_ok(), "{a:?} {b:?} {c:?}");
    assert_eq!(pdnd.seen().len(), 1);
    assert!(pnd.streams().await.is_ok(), "refreshed and repeated");
    let refused = pnd.streams().await;
    assert!(matches!(refused, Err(ConnectorError::Sender(_))), "{refused:?}");
    let vouchers: Vec<String> = server_send.seen().iter().map(|seen| seen.header("authorization").unwrap().to_owned()).collect();
    assert_eq!(vouchers, ["Bearer one", "Bearer one", "Bearer one", "Bearer one", "Bearer two", "Bearer two", "Bearer three"]);
    let asked = pdnd.seen().remove(0);
    assert_eq!(asked.line, "POST /token.oauth2 HTTP/1.1");
    let form = String::from_utf8(asked.body.clone()).unwrap();
    assert!(
        form.contains("grant_type=client_credentials") && form.contains("client_id=client") && form.contains("client_assertion=ey"),
        "{form}"
    );
    assert_eq!(asked.header("x-api-key"), None);
}

#[tokio::test]
async fn without_a_voucher_nothing_is_sent() {
    let table = [
        (answer(400, r#"{"error":"invalid_client"}"#), "sender refused: 400 PDND_invalid_client"),
        (answer(503, ""), "temporary (voucher: HTTP 503)"),
        (cut(200, "{"), "temporary (voucher: end of file before message length reached)"),
        (answer(200, "{}"), "temporary (voucher: unreadable answer)"),
        (Reply::Close, "temporary (voucher: connection closed before message completed)"),
    ];
    for (reply, want) in table {
        let (server_send, pdnd) = (server(vec![]).await, server(vec![reply]).await);
        assert_eq!(text(send(&with_voucher(&server_send, &pdnd)).await), want);
        assert!(server_send.seen().is_empty(), "{want}");
    }
}

#[tokio::test]
async fn a_spent_day_sends_nothing_and_presigned_addresses_do_not_count() {
    struct Day(Mutex<Vec<Priority>>);
    #[async_trait]
    impl DayQuota for Day {
        async fn take(&self, n: u32, priority: Priority) -> bool {
            assert_eq!(n, 1);
            let mut asked = self.0.lock().unwrap();
            asked.push(priority);
            asked.len() <= 1
        }
    }
    let server = server(vec![answer(200, "[]"), answer_with(200, "x-amz-version-id: v\r\n", "")]).await;
    let day = Arc::new(Day(Mutex::default()));
    let governor = Arc::new(Governor::new(0, 0, Some(day.clone())));
    let pnd = Pnd::new(PndSettings { governor, ..settings(&server.base) }, http()).unwrap();
    assert!(pnd.streams().await.is_ok());
    let spent = send(&pnd).await.unwrap_err();
    assert!(matches!(&spent, ConnectorError::Temporary { what, .. } if what == what::QUOTA), "{spent}");
    assert!(!spent.is_outage());
    assert_eq!(upload(&pnd, &slot(&server.base, "PUT"), pieces(&["x"]), 1).await.unwrap(), "v");
    assert_eq!(*day.0.lock().unwrap(), [Priority::FollowUp, Priority::NewSend]);
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn the_platform_and_cold_facts_are_answers() {
    let incident = r#"{"functionalities":[],"openIncidents":[{"functionality":"NOTIFICATION_CREATE","status":"KO","startDate":"2026-11-22T10:00:00Z"}]}"#;
    let server = server(vec![
        answer(500, incident),
        answer(500, "<html>"),
        answer(200, r#"{"filename":"a.pdf","contentLength":10,"retryAfter":3600}"#),
    ])
    .await;
    let pnd = pnd(&server.base);
    let status = pnd.platform_status().await.unwrap();
    assert_eq!((status.healthy, status.open_incidents), (false, vec!["NOTIFICATION_CREATE".to_owned()]));
    assert_eq!(text(pnd.platform_status().await), "temporary (HTTP 500)");
    let cold = pnd.legal_fact("IUN", "K").await.unwrap();
    assert_eq!(cold, LegalFactLink::NotReady { retry_after: Some(Duration::from_secs(3_600)) });
}

#[test]
fn settings_that_cannot_work_are_refused() {
    let voucher = VoucherSettings {
        token_url: "https://auth.example".into(),
        client_id: String::new(),
        kid: String::new(),
        purpose_id: String::new(),
        audience: String::new(),
        private_key: Secret::new("none"),
    };
    let base = |url: &str| (settings(url), PndSetupError::BaseUrl(url.into()));
    let good = || settings("http://127.0.0.1:9");
    let table = [
        base("api.example"),
        base("ftp://api.example"),
        base("https://u:p@api.example"),
        base("https://api.example/?x=1"),
        (PndSettings { api_key: Secret::new("a\nb"), ..good() }, PndSetupError::ApiKey),
        (PndSettings { voucher: Some(voucher), ..good() }, PndSetupError::PrivateKey),
    ];
    for (settings, want) in table {
        let got = Pnd::new(settings.clone(), http()).err();
        assert_eq!(got, Some(want), "{settings:?}");
    }
    let printed = format!("{:?}", good());
    assert!(!printed.contains("the-key"), "{printed}");
}
