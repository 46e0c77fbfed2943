//! All the operations of the SEND simulator, judged by the contract proxy against the official OpenAPI.
//!
//! The proxy lies beside the repository, and wants Python: `tests/common/mod.rs` says where they are looked for.
//!
//! The proxy judges by a readable copy of the specification: `tests/common/specification.rs` says why.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests")]

mod common;

use std::process::Stdio;
use std::time::Duration;

use common::specification::{DETAILS, readable_specification};
use common::{free_port, python, require_python, shared_dir};
use messo::clock::Clock;
use messo::domain::digest::Sha256;
use messo::sandbox::{self, Options};
use reqwest::{Client, Method};
use serde_json::{Value, json};

/// The operations that messo uses.
const OPERATIONS: [&str; 15] = [
    "status",
    "presignedUploadRequest",
    "sendNewNotificationV25",
    "retrieveNotificationRequestStatusV25",
    "retrieveSentNotificationV28",
    "retrieveNotificationPriceV23",
    "paymentEventsRequestPagoPa",
    "notificationCancellation",
    "retrieveNotificationLegalFactsV20",
    "downloadLegalFactById",
    "createEventStreamV29",
    "listEventStreamsV29",
    "retrieveEventStreamV29",
    "updateEventStreamV29",
    "consumeEventStreamV29",
];

struct Caller {
    client: Client,
    base: String,
}

impl Caller {
    async fn call(&self, method: Method, path: &str, body: Option<Value>, want: u16) -> Value {
        let mut request = self.client.request(method, format!("{}{path}", self.base)).header("x-api-key", "12345678903-contratto");
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let body = response.bytes().await.unwrap();
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        assert_eq!(status, want, "{path}: {body}");
        body
    }

    async fn get(&self, path: &str) -> Value {
        self.call(Method::GET, path, None, 200).await
    }
}

async fn upload(caller: &Caller, slot: &Value, bytes: &[u8], content_type: &str) -> Value {
    let sha256 = Sha256::of(bytes).to_base64();
    let request = caller.client.put(slot["url"].as_str().unwrap()).header("content-type", content_type);
    let request = request.header("x-amz-meta-secret", slot["secret"].as_str().unwrap()).header("x-amz-checksum-sha256", &sha256);
    let response = request.body(bytes.to_vec()).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let version = response.headers()["x-amz-version-id"].to_str().unwrap();
    json!({"contentType": content_type, "digests": {"sha256": sha256}, "ref": {"key": slot["key"], "versionToken": version}})
}

/// Every story, every operation.
async fn drive(caller: &Caller) -> usize {
    const STREAMS: &str = "/delivery-progresses/v2.9/streams";
    let wish = json!({"title": "contratto", "eventType": "TIMELINE", "groups": [], "waitForAccepted": true});
    let stream = caller.call(Method::POST, STREAMS, Some(wish.clone()), 200).await["streamId"].as_str().unwrap().to_owned();
    caller.get("/status").await;
    caller.get(STREAMS).await;
    caller.get(&format!("{STREAMS}/{stream}")).await;
    caller.call(Method::PUT, &format!("{STREAMS}/{stream}"), Some(wish.clone()), 200).await;
    let spare = caller
        .call(Method::POST, STREAMS, Some(json!({"title": "b", "eventType": "STATUS", "groups": [], "filterValues": ["DEFAULT"]})), 200)
        .await;
    let spare = format!("{STREAMS}/{}", spare["streamId"].as_str().unwrap());
    caller.call(Method::POST, &format!("{spare}/action/disable"), None, 200).await;
    caller.call(Method::DELETE, &spare, None, 204).await;
    caller.call(Method::GET, &spare, None, 404).await;

    let pdf = b"%PDF-1.4 atto";
    let f24 = br#"{"f24Standard":{}}"#;
    let items = json!([
        {"preloadIdx": "a", "contentType": "application/pdf", "sha256": Sha256::of(pdf).to_base64()},
        {"preloadIdx": "b", "contentType": "application/json", "sha256": Sha256::of(f24).to_base64()},
    ]);
    let slots = caller.call(Method::POST, "/delivery/attachments/preload", Some(items), 200).await;
    let mut document = upload(caller, &slots[0], pdf, "application/pdf").await;
    let f24 = upload(caller, &slots[1], f24, "application/json").await;
    document["title"] = "Atto".into();
    let stories = [
        ("VIA ROMA 1", ""),
        ("VIA ROMA 1", "prova@pec.it"),
        ("VIA ROMA 1", "prova@fail.it"),
        ("VIA ROMA 1", "visione@pec.it"),
        ("VIA @FAIL_AR", ""),
        ("VIA @FAIL-Irreperibile_AR", ""),
        ("VIA @FAIL-Discovery_AR", ""),
        ("VIA @FAIL-DiscoveryIrreperibile_AR", ""),
        ("VIA @OK-Giacenza_AR", ""),
        ("VIA @DECEDUTO", ""),
        ("VIA @VISIONE", ""),
        ("VIA @REWORK", ""),
        ("VIA @FAIL-INDIRIZZO", ""),
        ("VIA D'ANNUNZIO \"ALLA CITTÀ\"", "due@pec.it"),
    ];
    let mut open = Vec::new();
    for (number, (street, pec)) in stories.iter().enumerate() {
        let notice = |recipient: usize| format!("30201000000000{number:02}{recipient:02}");
        let payment = |recipient: usize| {
            json!([{"pagoPa": {"noticeCode": notice(recipient), "creditorTaxId": "77777777777", "applyCost": true}},
                                               {"f24": {"title": "F24", "applyCost": true, "metadataAttachment": f24}}])
        };
        let mut first = json!({"recipientType": "PF", "taxId": "RSSMRA80A01H501U", "denomination": "Mario Rossi", "payments": payment(0),
            "physicalAddress": {"address": street, "zip": "00185", "municipality": "ROMA", "province": "RM", "at": "PRESSO", "municipalityDetails": "CENTRO"}});
        if !pec.is_empty() {
            first["digitalDomicile"] = json!({"type": "PEC", "address": pec});
        }
        let second = json!({"recipientType": "PG", "taxId": "12345678903", "denomination": "Ditta", "payments": payment(1),
            "physicalAddress": {"address": "RUE DE LA PAIX 1", "municipality": "PARIS", "foreignState": "FRANCIA"}});
        let recipients = if number % 3 == 2 { json!([first, second]) } else { json!([first]) };
        let service = if number % 2 == 1 { "REGISTERED_LETTER_890" } else { "AR_REGISTERED_LETTER" };
        let body = json!({"idempotenceToken": format!("t{number}"), "paProtocolNumber": format!("C/{number} \"è\""), "subject": "Oggetto",
            "abstract": "Testo", "recipients": recipients, "documents": [document], "notificationFeePolicy": "DELIVERY_MODE", "paFee": 100, "vat": 22,
            "physicalCommunicationType": service, "senderDenomination": "Comune di Prova", "senderTaxId": "12345678903", "taxonomyCode": "010101P",
            "amount": 5000, "paymentExpirationDate": "2026-12-31", "group": "g1", "additionalLanguages": ["DE"]});
        let taken = caller.call(Method::POST, "/delivery/v2.5/requests", Some(body.clone()), 202).await;
        caller.call(Method::POST, "/delivery/v2.5/requests", Some(body), 409).await;
        open.push(taken["notificationRequestId"].as_str().unwrap().replace('=', "%3D"));
    }
    caller.call(Method::GET, "/delivery/v2.5/requests?paProtocolNumber=x&idempotenceToken=y", None, 404).await;
    caller.call(Method::GET, "/delivery/v2.3/price/77777777777/302010000000099999", None, 404).await;
    let mut iuns = Vec::new();
    for id in &open {
        for _ in 0..500 {
            let status = caller.get(&format!("/delivery/v2.5/requests?notificationRequestId={id}")).await;
            if status["notificationRequestStatus"] != "WAITING" {
                iuns.extend(status["iun"].as_str().map(str::to_owned));
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    assert_eq!(iuns.len(), stories.len() - 1, "all but one accepted");
    let paid = json!({"events": [{"noticeCode": "302010000000000000", "creditorTaxId": "77777777777", "paymentDate": "2026-03-01T10:00:00.5+01:00", "amount": 5000}]});
    caller.call(Method::POST, "/delivery/events/payment/pagopa", Some(paid), 204).await;
    for iun in iuns.iter().take(2) {
        caller.call(Method::PUT, &format!("/delivery-push/v2.0/notifications/cancel/{iun}"), None, 202).await;
    }

    let mut last = String::new();
    let mut categories = std::collections::BTreeSet::new();
    for _ in 0..2000 {
        let query = if last.is_empty() { String::new() } else { format!("?lastEventId={last}") };
        let page = caller.get(&format!("{STREAMS}/{stream}/events{query}")).await;
        for event in page.as_array().unwrap() {
            last = event["eventId"].as_str().unwrap().to_owned();
            categories.insert(event["element"]["category"].as_str().unwrap().to_owned());
        }
        let (_, state) =
            (0, caller.client.get(format!("{}/_sandbox/counters", upstream(&slots))).send().await.unwrap().json::<Value>().await.unwrap());
        if page.as_array().unwrap().is_empty() && state["unfinished"] == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for iun in &iuns {
        caller.get(&format!("/delivery/v2.8/notifications/sent/{iun}")).await;
        let facts = caller.get(&format!("/delivery-push/v2.0/{iun}/legal-facts")).await;
        for fact in facts.as_array().unwrap() {
            let key = fact["legalFactsId"]["key"].as_str().unwrap().strip_prefix("safestorage://").unwrap();
            let metadata = caller.get(&format!("/delivery-push/{iun}/download/legal-facts/{key}")).await;
            if let Some(url) = metadata["url"].as_str() {
                assert_eq!(caller.client.get(url).send().await.unwrap().status(), 200);
            }
        }
    }
    caller.get("/delivery/v2.3/price/77777777777/302010000000000600").await;
    let seen: Vec<&str> = DETAILS.iter().map(|(category, _)| *category).filter(|category| !categories.contains(*category)).collect();
    assert!(seen.is_empty(), "categories that no story showed: {seen:?}");
    categories.len()
}

/// The simulator itself, from a presigned URL (which never passes through the proxy).
fn upstream(slots: &Value) -> String {
    let url = slots[0]["url"].as_str().unwrap();
    url.split("/_s3/").next().unwrap().to_owned()
}

#[tokio::test]
async fn the_official_specification_finds_nothing_to_object() {
    let Some(shared) = shared_dir() else { return };
    if !require_python(&["aiohttp", "jsonschema", "rfc3339_validator", "yaml"]) {
        return;
    }
    let proxy = shared.join("contract/rest_proxy.py");
    let bundle = shared.join("reference/send/send-pa-b2b-released.yaml");
    let folder = tempfile::tempdir().unwrap();
    let specification = readable_specification(&bundle, folder.path());
    let report = folder.path().join("exchanges.jsonl");
    let mut options = Options::new("127.0.0.1:0".parse().unwrap(), Clock::accelerated_from_now(864_000));
    options.limits.cold_facts = 0.3;
    let running = sandbox::start(options).await.unwrap();
    // A free port for the proxy, which cannot choose one by itself.
    let listen = std::net::SocketAddr::from(([127, 0, 0, 1], free_port()));
    let mut child = tokio::process::Command::new(python())
        .arg(&proxy)
        .args(["--listen", &listen.to_string(), "--upstream", &running.url(), "--spec"])
        .arg(&specification)
        .arg("--report")
        .arg(&report)
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let caller = Caller { client: Client::builder().no_proxy().build().unwrap(), base: format!("http://{listen}") };
    for _ in 0..1_200 {
        if tokio::net::TcpStream::connect(listen).await.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    drive(&caller).await;
    let summary: Value = caller.client.get(format!("http://{listen}/__contract/summary")).send().await.unwrap().json().await.unwrap();
    child.kill().await.unwrap();
    let broken: Vec<String> = std::fs::read_to_string(&report)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|exchange| exchange["violations"].as_array().is_some_and(|found| !found.is_empty()))
        .map(|exchange| exchange.to_string())
        .collect();
    assert!(
        broken.is_empty(),
        "{} of {}:\n{}",
        broken.len(),
        summary["exchanges"],
        broken.iter().take(5).cloned().collect::<Vec<_>>().join("\n")
    );
    for operation in OPERATIONS {
        assert!(summary["operations"][operation].as_u64().is_some_and(|count| count > 0), "{operation} was never called: {summary}");
    }
    running.stop().await;
}
