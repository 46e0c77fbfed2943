//! The SEND simulator over real HTTP: one test per group of behaviours, and all the traffic of a full story judged by
//! the contract proxy against the official specification.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests")]

#[path = "sandbox/edges.rs"]
mod edges;

use std::sync::Arc;
use std::time::Duration;

use messo::clock::Clock;
use messo::domain::digest::Sha256;
use messo::sandbox::{self, Admission, Faults, Options, Running, SandboxInstitution, SandboxKey, UploadMethod, UsagePlan};
use reqwest::{Client, Method, Response, StatusCode};
use serde_json::{Value, json};

const PA: &str = "12345678903";
const KEY: &str = "12345678903-test";
const STREAMS: &str = "/delivery-progresses/v2.9/streams";
const REQUESTS: &str = "/delivery/v2.5/requests";

/// A day of business in a tenth of a second.
const FAST: u32 = 864_000;

#[derive(Clone)]
struct World {
    running: Arc<Running>,
    /// What is called: the simulator, or a proxy in front of it.
    base: String,
    client: Client,
    key: &'static str,
}

impl World {
    async fn start(change: impl FnOnce(&mut Options)) -> World {
        let mut options = Options::new("127.0.0.1:0".parse().unwrap(), Clock::accelerated_from_now(FAST));
        change(&mut options);
        let running = sandbox::start(options).await.unwrap();
        let base = running.url();
        World { running: Arc::new(running), base, client: Client::builder().no_proxy().build().unwrap(), key: KEY }
    }

    async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Response {
        let mut request = self.client.request(method, format!("{}{path}", self.base)).header("x-api-key", self.key);
        if let Some(body) = body {
            request = request.json(body);
        }
        request.send().await.unwrap()
    }

    async fn get(&self, path: &str) -> (StatusCode, Value) {
        answer(self.call(Method::GET, path, None).await).await
    }

    async fn post(&self, path: &str, body: &Value) -> (StatusCode, Value) {
        answer(self.call(Method::POST, path, Some(body)).await).await
    }

    /// Preloads and uploads `bytes`; gives the attachment as a request names it.
    async fn attachment(&self, bytes: &[u8], content_type: &str) -> Value {
        let sha256 = Sha256::of(bytes).to_base64();
        let item = json!([{"preloadIdx": "0", "contentType": content_type, "sha256": sha256}]);
        let (status, answer) = self.post("/delivery/attachments/preload", &item).await;
        assert_eq!(status, 200, "{answer}");
        let slot = &answer[0];
        let response = self.upload(slot, &sha256, content_type, bytes).send().await.unwrap();
        assert_eq!(response.status(), 200);
        let version = response.headers()["x-amz-version-id"].to_str().unwrap().to_owned();
        json!({"contentType": content_type, "digests": {"sha256": sha256}, "ref": {"key": slot["key"], "versionToken": version}})
    }

    fn upload(&self, slot: &Value, sha256: &str, content_type: &str, bytes: &[u8]) -> reqwest::RequestBuilder {
        let method = slot["httpMethod"].as_str().unwrap().parse().unwrap();
        self.client
            .request(method, slot["url"].as_str().unwrap())
            .header("content-type", content_type)
            .header("x-amz-meta-secret", slot["secret"].as_str().unwrap())
            .header("x-amz-checksum-sha256", sha256)
            .body(bytes.to_vec())
    }

    async fn document(&self) -> Value {
        self.attachment(PDF, "application/pdf").await
    }

    /// A request that would be accepted, for one recipient at this street.
    async fn request(&self, protocol: &str, street: &str) -> Value {
        request(protocol, street, self.document().await)
    }

    async fn send(&self, body: &Value) -> String {
        let (status, answer) = self.post(REQUESTS, body).await;
        assert_eq!(status, 202, "{answer}");
        answer["notificationRequestId"].as_str().unwrap().to_owned()
    }

    /// Sends and waits for the answer of the validation.
    async fn validated(&self, body: &Value) -> Value {
        let id = self.send(body).await;
        for _ in 0..500 {
            let (status, answer) =
                self.get(&format!("{REQUESTS}?notificationRequestId={}", id.replace('=', "%3D").replace('+', "%2B"))).await;
            assert_eq!(status, 200, "{answer}");
            if answer["notificationRequestStatus"] != "WAITING" {
                return answer;
            }
            assert_eq!(answer["retryAfter"], 10);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("never validated");
    }

    async fn accepted(&self, body: &Value) -> String {
        let answer = self.validated(body).await;
        answer["iun"].as_str().unwrap_or_else(|| panic!("refused: {answer}")).to_owned()
    }

    async fn detail(&self, iun: &str) -> Value {
        let (status, detail) = self.get(&format!("/delivery/v2.8/notifications/sent/{iun}")).await;
        assert_eq!(status, 200, "{detail}");
        detail
    }

    /// Waits until the timeline has an element of this category.
    async fn until(&self, iun: &str, category: &str) -> Value {
        for _ in 0..1000 {
            let detail = self.detail(iun).await;
            if categories(&detail).iter().any(|found| found == category) {
                return detail;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{category} never came: {:?}", categories(&self.detail(iun).await));
    }

    async fn stream(&self, wish: Value) -> String {
        let (status, answer) = self.post(STREAMS, &wish).await;
        assert_eq!(status, 200, "{answer}");
        answer["streamId"].as_str().unwrap().to_owned()
    }

    /// Events after `last`, and the pause told.
    async fn events(&self, stream: &str, last: Option<&str>) -> (Vec<Value>, u64) {
        let query = last.map_or(String::new(), |last| format!("?lastEventId={last}"));
        let response = self.call(Method::GET, &format!("{STREAMS}/{stream}/events{query}"), None).await;
        assert_eq!(response.status(), 200);
        let pause = response.headers()["retry-after"].to_str().unwrap().parse().unwrap();
        (response.json().await.unwrap(), pause)
    }
}

async fn answer(response: Response) -> (StatusCode, Value) {
    let status = response.status();
    let bytes = response.bytes().await.unwrap();
    (status, serde_json::from_slice(&bytes).unwrap_or_else(|_| Value::from(String::from_utf8_lossy(&bytes).into_owned())))
}

const PDF: &[u8] = b"%PDF-1.4\n% un atto di prova\n%%EOF\n";

fn request(protocol: &str, street: &str, mut document: Value) -> Value {
    document["title"] = "Atto".into();
    json!({
        "idempotenceToken": format!("token-{protocol}"),
        "paProtocolNumber": protocol,
        "subject": "Verbale di prova",
        "recipients": [recipient("RSSMRA80A01H501U", street)],
        "documents": [document],
        "notificationFeePolicy": "FLAT_RATE",
        "physicalCommunicationType": "AR_REGISTERED_LETTER",
        "senderDenomination": "Comune di Prova",
        "senderTaxId": PA,
        "taxonomyCode": "010101P",
    })
}

fn recipient(tax_id: &str, street: &str) -> Value {
    json!({
        "recipientType": if tax_id.len() == 16 { "PF" } else { "PG" },
        "taxId": tax_id,
        "denomination": "Mario Rossi",
        "physicalAddress": {"address": street, "zip": "00185", "municipality": "ROMA", "province": "RM"},
    })
}

fn pago_pa(notice: &str, apply_cost: bool) -> Value {
    json!({"pagoPa": {"noticeCode": notice, "creditorTaxId": "77777777777", "applyCost": apply_cost}})
}

fn categories(detail: &Value) -> Vec<String> {
    detail["timeline"].as_array().unwrap().iter().map(|element| element["category"].as_str().unwrap().to_owned()).collect()
}

fn codes(problem: &Value) -> Vec<&str> {
    problem["errors"].as_array().map(|errors| errors.iter().filter_map(|error| error["code"].as_str()).collect()).unwrap_or_default()
}

#[tokio::test]
async fn a_letter_goes_all_the_way_to_its_completion() {
    let world = World::start(|_| {}).await;
    let stream = world.stream(json!({"title": "t", "eventType": "TIMELINE", "groups": [], "waitForAccepted": true})).await;
    let mut body = world.request("P1", "VIA ROMA 1").await;
    body["notificationFeePolicy"] = "DELIVERY_MODE".into();
    body["paFee"] = 100.into();
    body["vat"] = 22.into();
    body["recipients"][0]["payments"] = json!([pago_pa("302010000000000001", true)]);
    let iun = world.accepted(&body).await;
    let detail = world.until(&iun, "REFINEMENT").await;
    assert_eq!(detail["notificationStatus"], "EFFECTIVE_DATE");
    let history: Vec<&str> =
        detail["notificationStatusHistory"].as_array().unwrap().iter().map(|entry| entry["status"].as_str().unwrap()).collect();
    assert_eq!(history, ["IN_VALIDATION", "ACCEPTED", "DELIVERING", "DELIVERED", "EFFECTIVE_DATE"]);
    assert_eq!(detail["pagoPaIntMode"], "SYNC");
    assert_eq!(detail["documents"][0]["docIdx"], "0");

    let (events, pause) = world.events(&stream, None).await;
    assert_eq!((events.len(), pause), (detail["timeline"].as_array().unwrap().len(), 0));
    for (event, element) in events.iter().zip(detail["timeline"].as_array().unwrap()) {
        assert_eq!(&event["element"], element);
        assert_eq!(event["iun"], *iun);
        assert_eq!(event["eventId"].as_str().unwrap().len(), 38);
    }
    assert_eq!(events.last().unwrap()["newStatus"], "EFFECTIVE_DATE");
    let sent = events.iter().find(|event| event["element"]["category"] == "SEND_ANALOG_DOMICILE").unwrap();
    assert_eq!(sent["element"]["details"]["analogCost"], 530);
    assert!(sent["element"]["elementId"].as_str().unwrap().ends_with(&format!("IUN_{iun}.RECINDEX_0.ATTEMPT_0")));

    let (status, price) = world.get("/delivery/v2.3/price/77777777777/302010000000000001").await;
    assert_eq!(status, 200);
    assert_eq!((&price["partialPrice"], &price["totalPrice"], &price["analogCost"]), (&json!(630), &json!(847), &json!(530)));
    assert!(price["refinementDate"].as_str().is_some_and(|date| date.contains("T2")), "local midnight in UTC: {price}");
    assert!(price.get("notificationViewDate").is_none());

    let (_, facts) = world.get(&format!("/delivery-push/v2.0/{iun}/legal-facts")).await;
    let kinds: Vec<&str> = facts.as_array().unwrap().iter().map(|fact| fact["legalFactsId"]["category"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["SENDER_ACK", "ANALOG_DELIVERY", "ANALOG_DELIVERY"]);
    let key = facts[0]["legalFactsId"]["key"].as_str().unwrap().strip_prefix("safestorage://").unwrap();
    let (status, metadata) = world.get(&format!("/delivery-push/{iun}/download/legal-facts/{key}")).await;
    assert_eq!(status, 200, "{metadata}");
    let url = metadata["url"].as_str().unwrap();
    let bytes = world.client.get(url).send().await.unwrap().bytes().await.unwrap();
    assert_eq!(bytes.len() as u64, metadata["contentLength"].as_u64().unwrap());
    assert_eq!(lopdf::Document::load_mem(&bytes).unwrap().get_pages().len(), 1);
    assert_eq!(world.client.get(url).header("x-api-key", KEY).send().await.unwrap().status(), 400, "no key on presigned URLs");
    let port = world.running.addr;
    Arc::try_unwrap(world.running).unwrap().stop().await;
    assert!(tokio::net::TcpStream::connect(port).await.is_err(), "the port is closed after stop");
}

#[tokio::test]
async fn the_address_orders_the_story() {
    let world = World::start(|_| {}).await;
    // street, PEC, last category, final status, categories that must be there
    let table: [(&str, &str, &str, &str, &[&str]); 14] = [
        ("VIA ROMA 1", "prova@pec.it", "REFINEMENT", "EFFECTIVE_DATE", &["SEND_DIGITAL_FEEDBACK", "DIGITAL_SUCCESS_WORKFLOW"]),
        (
            "VIA ROMA 1",
            "prova@fail.it",
            "REFINEMENT",
            "EFFECTIVE_DATE",
            &["SCHEDULE_DIGITAL_WORKFLOW", "DIGITAL_FAILURE_WORKFLOW", "SEND_SIMPLE_REGISTERED_LETTER"],
        ),
        ("VIA ROMA 1", "visione@pec.it", "NOTIFICATION_VIEWED", "VIEWED", &["DIGITAL_SUCCESS_WORKFLOW"]),
        ("VIA @OK_AR", "", "REFINEMENT", "EFFECTIVE_DATE", &["ANALOG_SUCCESS_WORKFLOW"]),
        ("VIA @FAIL_AR", "", "REFINEMENT", "EFFECTIVE_DATE", &["SEND_ANALOG_FEEDBACK"]),
        (
            "VIA @FAIL-Irreperibile_AR",
            "",
            "REFINEMENT",
            "EFFECTIVE_DATE",
            &["PREPARE_ANALOG_DOMICILE_FAILURE", "ANALOG_FAILURE_WORKFLOW", "COMPLETELY_UNREACHABLE"],
        ),
        ("VIA @FAIL-Discovery_AR", "", "REFINEMENT", "EFFECTIVE_DATE", &["ANALOG_SUCCESS_WORKFLOW"]),
        ("VIA @FAIL-DiscoveryIrreperibile_AR", "", "REFINEMENT", "EFFECTIVE_DATE", &["COMPLETELY_UNREACHABLE"]),
        ("VIA @OK-Giacenza_AR", "", "REFINEMENT", "EFFECTIVE_DATE", &["ANALOG_SUCCESS_WORKFLOW"]),
        ("VIA @OK-CausaForzaMaggiore_AR", "", "REFINEMENT", "EFFECTIVE_DATE", &["ANALOG_SUCCESS_WORKFLOW"]),
        ("VIA @OK-NonRendicontabile_AR", "", "REFINEMENT", "EFFECTIVE_DATE", &["ANALOG_SUCCESS_WORKFLOW"]),
        ("VIA @DECEDUTO", "", "ANALOG_WORKFLOW_RECIPIENT_DECEASED", "RETURNED_TO_SENDER", &["SEND_ANALOG_FEEDBACK"]),
        ("VIA ROMA @VISIONE", "", "NOTIFICATION_VIEWED", "VIEWED", &["SEND_ANALOG_DOMICILE"]),
        ("VIA @REWORK", "", "NOTIFICATION_TIMELINE_REWORKED", "EFFECTIVE_DATE", &["ANALOG_SUCCESS_WORKFLOW"]),
    ];
    let mut iuns = Vec::new();
    for (number, (street, pec, ..)) in table.iter().enumerate() {
        let mut body = world.request(&format!("S{number}"), street).await;
        if number % 2 == 1 {
            body["physicalCommunicationType"] = "REGISTERED_LETTER_890".into();
        }
        if !pec.is_empty() {
            body["recipients"][0]["digitalDomicile"] = json!({"type": "PEC", "address": pec});
        }
        iuns.push(world.accepted(&body).await);
    }
    for ((street, pec, last, status, there), iun) in table.iter().zip(&iuns) {
        let detail = world.until(iun, last).await;
        let found = categories(&detail);
        assert_eq!(detail["notificationStatus"], *status, "{street} {pec}: {found:?}");
        for category in *there {
            assert!(found.iter().any(|have| have == category), "{street} {pec}: no {category} in {found:?}");
        }
        for element in detail["timeline"].as_array().unwrap() {
            assert!(element["elementId"].as_str().unwrap().contains(&format!("IUN_{iun}")), "{element}");
        }
    }
}

#[tokio::test]
async fn several_recipients_go_their_own_way_and_a_correction_says_what_it_withdraws() {
    let world = World::start(|_| {}).await;
    let stream = world.stream(json!({"title": "t", "eventType": "TIMELINE", "groups": []})).await;
    let mut body = world.request("M1", "VIA @FAIL-Irreperibile_AR").await;
    body["recipients"] = json!([
        recipient("RSSMRA80A01H501U", "VIA @FAIL-Irreperibile_AR"),
        recipient("12345678903", "VIA @REWORK"),
        recipient("BNRMHL75C06G702B", "VIA @DECEDUTO"),
    ]);
    let iun = world.accepted(&body).await;
    let detail = world.until(&iun, "NOTIFICATION_TIMELINE_REWORKED").await;
    assert_eq!(detail["notificationStatus"], "EFFECTIVE_DATE");
    let of = |category: &str| {
        let timeline = detail["timeline"].as_array().unwrap();
        timeline
            .iter()
            .filter(|element| element["category"] == category)
            .map(|element| element["details"]["recIndex"].as_u64().unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(of("COMPLETELY_UNREACHABLE"), [0]);
    assert_eq!(of("ANALOG_WORKFLOW_RECIPIENT_DECEASED"), [2]);
    assert!(of("REFINEMENT").contains(&0));

    let mut again = None;
    for _ in 0..200 {
        let (events, _) = world.events(&stream, None).await;
        let (second, _) = world.events(&stream, events.last().and_then(|event| event["eventId"].as_str())).await;
        again = events
            .into_iter()
            .chain(second)
            .find(|event| {
                event["element"]["elementId"].as_str().is_some_and(|id| id.starts_with("REFINEMENT") && id.ends_with(".REWORK_1"))
            })
            .or(again);
        if again.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(again.expect("the corrected completion")["element"]["details"]["recIndex"], 1);
    let detail = world.detail(&iun).await;
    let rework =
        detail["timeline"].as_array().unwrap().iter().find(|element| element["category"] == "NOTIFICATION_TIMELINE_REWORKED").unwrap();
    let withdrawn: Vec<&str> = rework["details"]["invalidatedTimelineAndStatusHistory"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|entry| entry["relatedTimelineElements"].as_array().unwrap())
        .map(|element| element["category"].as_str().unwrap())
        .collect();
    assert_eq!(withdrawn, ["SEND_ANALOG_FEEDBACK", "ANALOG_SUCCESS_WORKFLOW", "SCHEDULE_REFINEMENT", "REFINEMENT"]);
}

#[tokio::test]
async fn uploads_are_judged_as_s3_does() {
    let world = World::start(|options| options.limits.upload_method = UploadMethod::Alternate).await;
    let sha256 = Sha256::of(PDF).to_base64();
    let item = |idx: &str| json!({"preloadIdx": idx, "contentType": "application/pdf", "sha256": sha256});
    let (status, slots) = world.post("/delivery/attachments/preload", &json!([item("a"), item("b")])).await;
    assert_eq!(status, 200);
    assert_eq!((&slots[0]["httpMethod"], &slots[1]["httpMethod"]), (&json!("PUT"), &json!("POST")));
    let slot = &slots[0];
    let text = async |request: reqwest::RequestBuilder| {
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    let wrong = [
        (world.upload(slot, &Sha256::of(b"x").to_base64(), "application/pdf", PDF), 403, "SignatureDoesNotMatch"),
        (world.upload(slot, &Sha256::of(PDF).to_hex(), "application/pdf", PDF), 400, "Value for x-amz-checksum-sha256 header is invalid"),
        (world.upload(slot, &sha256, "application/json", PDF), 403, "SignatureDoesNotMatch"),
        (world.upload(slot, &sha256, "application/pdf", b"%PDF-altro"), 400, "BadDigest"),
        (world.upload(slot, &sha256, "application/pdf", PDF).header("x-api-key", KEY), 400, "InvalidArgument"),
        (world.upload(slot, &sha256, "application/pdf", PDF).header("authorization", "Bearer x"), 400, "InvalidArgument"),
        (world.client.post(slot["url"].as_str().unwrap()), 403, "SignatureDoesNotMatch"),
        (world.client.put(format!("{}x", slot["url"].as_str().unwrap())), 403, "SignatureDoesNotMatch"),
    ];
    for (request, status, code) in wrong {
        let (found, body) = text(request).await;
        assert!(found == status && body.starts_with("<?xml") && body.contains(code), "{status} {code}: {found} {body}");
    }
    for slot in slots.as_array().unwrap() {
        let response = world.upload(slot, &sha256, "application/pdf", PDF).header("trailer", "x-amz-checksum-sha256").send().await.unwrap();
        assert!(response.headers().contains_key("x-amz-version-id"), "{:?}", response.status());
    }
    let sixteen: Vec<Value> = (0..16).map(|idx| item(&idx.to_string())).collect();
    for (body, code) in [
        (json!(sixteen), "PN_GENERIC_INVALIDPARAMETER_SIZE"),
        (json!([]), "PN_GENERIC_INVALIDPARAMETER_SIZE"),
        (json!([item("a"), item("a")]), "PN_GENERIC_INVALIDPARAMETER_DUPLICATED"),
        (
            json!([{"preloadIdx": "0", "contentType": "application/pdf", "sha256": Sha256::of(b"").to_hex()}]),
            "PN_GENERIC_INVALIDPARAMETER_PATTERN",
        ),
        (json!([{"preloadIdx": "0", "contentType": "application/pdf"}]), "PN_GENERIC_INVALIDPARAMETER_REQUIRED"),
        (json!([{"preloadIdx": null, "contentType": "application/pdf", "sha256": sha256}]), "PN_GENERIC_INVALIDPARAMETER"),
    ] {
        let (status, problem) = world.post("/delivery/attachments/preload", &body).await;
        assert_eq!((status.as_u16(), codes(&problem)), (400, vec![code]), "{body}");
    }
}

#[tokio::test]
async fn synchronous_checks_collect_what_is_wrong() {
    let world = World::start(|_| {}).await;
    let good = world.request("C1", "VIA ROMA 1").await;
    type Change = fn(&mut Value);
    let table: [(Change, &str, &str); 30] = [
        (|r| r["abstract"] = Value::Null, "PN_GENERIC_INVALIDPARAMETER", "must not be null"),
        (|r| r["amount"] = "100".into(), "PN_GENERIC_INVALIDPARAMETER", "Invalid request body"),
        (|r| r["recipients"][0]["altro"] = 1.into(), "PN_GENERIC_INVALIDPARAMETER", "Invalid request body"),
        (|r| drop(r.as_object_mut().unwrap().remove("subject")), "PN_GENERIC_INVALIDPARAMETER_REQUIRED", "subject"),
        (|r| r["subject"] = "x".repeat(135).into(), "PN_GENERIC_INVALIDPARAMETER_SIZE", "subject"),
        (|r| r["idempotenceToken"] = "è".into(), "PN_GENERIC_INVALIDPARAMETER_PATTERN", "idempotenceToken"),
        (|r| r["notificationFeePolicy"] = "GRATIS".into(), "PN_GENERIC_INVALIDPARAMETER_ASSERTENUM", "notificationFeePolicy"),
        (|r| r["paFee"] = 101.into(), "PN_GENERIC_INVALIDPARAMETER_MAX", "paFee"),
        (|r| r["vat"] = (-1).into(), "PN_GENERIC_INVALIDPARAMETER_MIN", "vat"),
        (|r| r["recipients"] = json!([]), "PN_GENERIC_INVALIDPARAMETER_SIZE", "recipients"),
        (|r| r["recipients"][0]["taxId"] = "RSSMRA80A01H501X".into(), "PN_GENERIC_INVALIDPARAMETER", "Invalid taxId for recipient 0"),
        (|r| r["recipients"][0]["recipientType"] = "PG".into(), "PN_GENERIC_INVALIDPARAMETER", "Invalid taxId for recipient 0"),
        (
            |r| r["recipients"] = json!([r["recipients"][0], r["recipients"][0]]),
            "PN_GENERIC_INVALIDPARAMETER_DUPLICATED",
            "Duplicated recipient taxId",
        ),
        (
            |r| drop(r["recipients"][0]["physicalAddress"].as_object_mut().unwrap().remove("province")),
            "PN_GENERIC_INVALIDPARAMETER",
            "No province provided",
        ),
        (
            |r| r["recipients"][0]["physicalAddress"]["address"] = "V".repeat(45).into(),
            "PN_GENERIC_INVALIDPARAMETER",
            "exceed max length of 44",
        ),
        (
            |r| r["recipients"][0]["physicalAddress"]["municipality"] = "M".repeat(36).into(),
            "PN_GENERIC_INVALIDPARAMETER",
            "zip, municipality and province",
        ),
        (|r| r["recipients"][0]["physicalAddress"]["address"] = "VIA ŁÓDŹ".into(), "PN_GENERIC_INVALIDPARAMETER", "invalid characters"),
        (|r| r["recipients"][0]["denomination"] = "Ł".into(), "PN_GENERIC_INVALIDPARAMETER_PATTERN", "denomination"),
        (
            |r| r["recipients"][0]["digitalDomicile"] = json!({"type": "PEC", "address": "chi sa"}),
            "PN_GENERIC_INVALIDPARAMETER_PATTERN",
            "digitalDomicile.address",
        ),
        (|r| r["notificationFeePolicy"] = "DELIVERY_MODE".into(), "PN_GENERIC_INVALIDPARAMETER", "paFee is required"),
        (
            |r| r["recipients"][0]["payments"] = json!([pago_pa("302010000000000009", true)]),
            "PN_GENERIC_INVALIDPARAMETER",
            "applyCostFlg must be false",
        ),
        (
            |r| r["recipients"][0]["payments"] = json!([pago_pa("302010000000000009", false), pago_pa("302010000000000009", false)]),
            "PN_GENERIC_INVALIDPARAMETER_DUPLICATED",
            "Duplicated iuv",
        ),
        (|r| r["recipients"][0]["payments"] = json!([{}]), "PN_GENERIC_INVALIDPARAMETER_SIZE", "payments[0]"),
        (|r| r["documents"] = json!([r["documents"][0], r["documents"][0]]), "PN_GENERIC_INVALIDPARAMETER_DUPLICATED", "Same attachment"),
        (|r| r["documents"][0]["ref"]["key"] = "PN_F24_META-1.json".into(), "PN_GENERIC_INVALIDPARAMETER", "wrong kind"),
        (|r| r["senderTaxId"] = "77777777777".into(), "PN_DELIVERY_INVALID_SENDER_TAX_ID", "senderTaxId"),
        (|r| r["taxonomyCode"] = "999999X".into(), "PN_GENERIC_INVALIDPARAMETER_TAXONOMYCODE", "999999X"),
        (|r| r["additionalLanguages"] = json!(["DE", "FR"]), "PN_DELIVERY_INVALIDADDITIONALLANGS", "additionalLanguages"),
        (|r| r["documents"] = json!(vec![r["documents"][0].clone(); 16]), "PN_GENERIC_INVALIDPARAMETER", "Max attachment count reached"),
        (|r| r["recipients"] = json!(vec![r["recipients"][0].clone(); 16]), "PN_GENERIC_INVALIDPARAMETER", "Max recipient count reached"),
    ];
    for (number, (change, code, words)) in table.iter().enumerate() {
        let mut body = good.clone();
        change(&mut body);
        let (status, problem) = world.post(REQUESTS, &body).await;
        assert_eq!(status, 400, "row {number}: {problem}");
        assert!(codes(&problem).contains(code) && problem.to_string().contains(words), "row {number}, {code} {words}: {problem}");
    }
    let mut two = good.clone();
    two["recipients"][0]["taxId"] = "RSSMRA80A01H501X".into();
    two["recipients"][0]["physicalAddress"]["address"] = "V".repeat(45).into();
    let (_, problem) = world.post(REQUESTS, &two).await;
    assert_eq!(codes(&problem).len(), 2, "{problem}");
    let (status, _) = world.post(REQUESTS, &json!([1])).await;
    assert_eq!(status, 400);
    world.accepted(&good).await;
}

#[tokio::test]
async fn asynchronous_checks_refuse_after_the_fact() {
    let world = World::start(|options| {
        options.admission = Admission::Only(vec![SandboxInstitution {
            tax_id: PA.to_owned(),
            keys: vec![SandboxKey { key: KEY.to_owned(), ..SandboxKey::default() }],
            ..SandboxInstitution::default()
        }]);
    })
    .await;
    let stream = world.stream(json!({"title": "t", "eventType": "TIMELINE", "groups": [], "filterValues": ["REQUEST_REFUSED"]})).await;
    let json_bytes = br#"{"f24Standard":{},"f24Elid":{}}"#;
    let not_pdf = world.attachment(b"PK\x03\x04", "application/pdf").await;
    let bad_f24 = world.attachment(json_bytes, "application/json").await;
    let good_f24 = world.attachment(br#"{"f24Standard":{}}"#, "application/json").await;
    let f24 = |attachment: &Value| json!([{"f24": {"title": "F24", "applyCost": false, "metadataAttachment": attachment}}]);
    let mut table: Vec<(Value, &str)> = Vec::new();
    let add = async |change: &dyn Fn(&mut Value), street: &str, number: usize| {
        let mut body = world.request(&format!("A{number}"), street).await;
        change(&mut body);
        body
    };
    table.push((add(&|r| r["documents"][0]["ref"]["versionToken"] = "altro".into(), "VIA ROMA", 1).await, "FILE_NOTFOUND"));
    table.push((
        add(&|r| r["documents"][0]["digests"]["sha256"] = Sha256::of(b"x").to_base64().into(), "VIA ROMA", 2).await,
        "FILE_SHA_ERROR",
    ));
    table.push((request("A3", "VIA ROMA", not_pdf), "FILE_PDF_INVALID_ERROR"));
    table.push((add(&|_| (), "VIA @FAIL-INDIRIZZO", 4).await, "NOT_VALID_ADDRESS"));
    table.push((
        add(&|r| drop(r["recipients"][0]["physicalAddress"].as_object_mut().unwrap().remove("zip")), "VIA ROMA", 5).await,
        "NOT_VALID_ADDRESS",
    ));
    table.push((add(&|_| (), "VIA @FAIL-TAXID", 6).await, "TAXID_NOT_VALID"));
    table.push((add(&|r| r["recipients"][0]["payments"] = f24(&bad_f24), "VIA ROMA", 7).await, "F24_METADATA_NOT_VALID"));
    table.push((
        add(
            &|r| {
                r["pagoPaIntMode"] = "ASYNC".into();
                r["recipients"][0]["payments"] = json!([pago_pa("302012000000000001", false)]);
            },
            "VIA ROMA",
            8,
        )
        .await,
        "PAYMENT_NOT_VALID",
    ));
    for (body, code) in &table {
        let answer = world.validated(body).await;
        assert_eq!(answer["notificationRequestStatus"], "REFUSED", "{answer}");
        assert_eq!(codes(&answer), [*code], "{answer}");
        assert!(answer.get("iun").is_none());
    }
    let (events, _) = world.events(&stream, None).await;
    assert_eq!(events.len(), table.len());
    let reason = &events[3]["element"]["details"];
    assert!(events[3].get("iun").is_none() && events[3]["newStatus"] == "REFUSED");
    assert_eq!(
        (&reason["refusalReasons"][0]["errorCode"], &reason["refusalReasons"][0]["recIndex"], &reason["notificationCost"]),
        (&json!("NOT_VALID_ADDRESS"), &json!(0), &json!(100))
    );
    let mut fine = world.request("A9", "VIA ROMA").await;
    fine["recipients"][0]["payments"] = f24(&good_f24);
    world.accepted(&fine).await;
}

#[tokio::test]
async fn heavy_mail_quotas_and_switches_stop_a_sender() {
    let world = World::start(|options| {
        let institution = |tax_id: &str, key: &str| SandboxInstitution {
            tax_id: tax_id.to_owned(),
            keys: vec![SandboxKey { key: key.to_owned(), ..SandboxKey::default() }],
            ..SandboxInstitution::default()
        };
        options.admission = Admission::Only(vec![
            SandboxInstitution { light_mail_only: true, monthly_quota: Some(2), ..institution(PA, KEY) },
            SandboxInstitution { disabled: true, ..institution("77777777777", "spento") },
        ]);
        options.limits.usage = Some(UsagePlan { per_second: 1000.0, burst: 1000.0, per_day: 30 });
    })
    .await;
    let pages = |n: usize| [PDF, "<< /Type /Page /Parent 2 0 R >>\n".repeat(n).as_bytes(), b"trailer padding after the last page"].concat();
    let five = world.attachment(&pages(5), "application/pdf").await;
    let four = world.attachment(&pages(4), "application/pdf").await;
    let answer = world.validated(&request("H1", "VIA ROMA", five)).await;
    assert_eq!(codes(&answer), ["SENDER_DISABLED_MORE_THAN_20_GRAMS"], "{answer}");
    world.accepted(&request("H2", "VIA ROMA", four.clone())).await;
    world.accepted(&request("H3", "VIA ROMA", four.clone())).await;
    let (status, problem) = world.post(REQUESTS, &request("H4", "VIA ROMA", four)).await;
    assert_eq!((status.as_u16(), codes(&problem)), (400, vec!["PN_DELIVERY_NOTIFICATION_LIMIT_EXCEEDED"]));
    let off = world.client.post(format!("{}{REQUESTS}", world.base)).header("x-api-key", "spento").json(&json!({})).send().await.unwrap();
    assert_eq!(codes(&answer_of(off).await), ["PN_DELIVERY_SEND_IS_DISABLED"]);
    let mut last = 200;
    for _ in 0..40 {
        last = world.call(Method::GET, "/status", None).await.status().as_u16();
    }
    assert_eq!(last, 429, "thirty calls a day");
}

async fn answer_of(response: Response) -> Value {
    answer(response).await.1
}

#[tokio::test]
async fn keys_of_uniqueness_conflict_and_notices_come_back() {
    let world = World::start(|_| {}).await;
    const TOKEN: &str = "Duplicated notification for senderPaId##paProtocolNumber##idempotenceToken";
    const NOTICE: &str = "Duplicated notification for creditorTaxId##noticeCode";
    let elements = |problem: &Value| {
        problem["errors"].as_array().unwrap().iter().map(|error| error["element"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let mut first = world.request("U1", "VIA ROMA").await;
    first["recipients"][0]["payments"] = json!([pago_pa("302010000000000100", false)]);
    let id = world.send(&first).await;
    let (status, problem) = world.post(REQUESTS, &first).await;
    assert_eq!((status.as_u16(), elements(&problem)), (409, vec![TOKEN.to_owned(), NOTICE.to_owned()]), "{problem}");
    assert_eq!(codes(&problem)[0], "PN_GENERIC_INVALIDPARAMETER_DUPLICATED");
    let (status, found) = world.get(&format!("{REQUESTS}?paProtocolNumber=U1&idempotenceToken=token-U1")).await;
    assert_eq!((status.as_u16(), &found["notificationRequestId"]), (200, &json!(id)));
    for query in ["?paProtocolNumber=U1", "?paProtocolNumber=U1&idempotenceToken=", ""] {
        assert_eq!(world.get(&format!("{REQUESTS}{query}")).await.0, 400, "{query}");
    }
    assert_eq!(world.get(&format!("{REQUESTS}?paProtocolNumber=U1&idempotenceToken=altro")).await.0, 404);

    let mut second = first.clone();
    second["idempotenceToken"] = "altro".into();
    let (status, problem) = world.post(REQUESTS, &second).await;
    assert_eq!((status.as_u16(), elements(&problem)), (409, vec![NOTICE.to_owned()]));

    // A refusal frees the notice, not the token.
    let mut refused = world.request("U2", "VIA @FAIL-INDIRIZZO").await;
    refused["recipients"][0]["payments"] = json!([pago_pa("302010000000000200", false)]);
    world.validated(&refused).await;
    let (status, problem) = world.post(REQUESTS, &refused).await;
    assert_eq!((status.as_u16(), elements(&problem)), (409, vec![TOKEN.to_owned()]));
    let mut again = refused.clone();
    again["idempotenceToken"] = "secondo".into();
    again["recipients"][0]["physicalAddress"]["address"] = "VIA ROMA".into();
    world.accepted(&again).await;

    // A cancellation frees it too, once it has taken effect.
    let iun = found_iun(&world, "U1", "token-U1").await;
    let cancel = || async { answer(world.call(Method::PUT, &format!("/delivery-push/v2.0/notifications/cancel/{iun}"), None).await).await };
    let (status, answer) = cancel().await;
    assert_eq!((status.as_u16(), &answer["details"][0]["code"]), (202, &json!("NOTIFICATION_CANCELLATION_ACCEPTED")));
    let detail = world.until(&iun, "NOTIFICATION_CANCELLED").await;
    assert_eq!(detail["notificationStatus"], "CANCELLED");
    let details =
        &detail["timeline"].as_array().unwrap().iter().find(|element| element["category"] == "NOTIFICATION_CANCELLED").unwrap()["details"];
    assert_eq!(details, &json!({"notificationCost": 100, "notRefinedRecipientIndexes": [0]}));
    assert_eq!(cancel().await.1["details"][0]["code"], "NOTIFICATION_ALREADY_CANCELLED");
    assert_eq!(world.get("/delivery/v2.3/price/77777777777/302010000000000100").await.0, 404);
    world.accepted(&second).await;
    let unknown = world.call(Method::PUT, "/delivery-push/v2.0/notifications/cancel/AAAA-AAAA-AAAA-202601-A-1", None).await;
    assert_eq!(unknown.status(), 404);

    let other = World { key: "77777777777-altra", ..world.clone() };
    assert_eq!(other.get(&format!("/delivery/v2.8/notifications/sent/{iun}")).await.0, 404, "another institution's");
}

async fn found_iun(world: &World, protocol: &str, token: &str) -> String {
    for _ in 0..200 {
        let (_, found) = world.get(&format!("{REQUESTS}?paProtocolNumber={protocol}&idempotenceToken={token}")).await;
        if let Some(iun) = found["iun"].as_str() {
            return iun.to_owned();
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("never accepted");
}
