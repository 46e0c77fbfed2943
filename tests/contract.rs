//! All that messo says to SEND and all that the simulator answers, judged by the contract proxy against SEND's released
//! specification: the whole demo, then what the demo has no occasion for, in one judged run.
//!
//! The proxy lies beside the repository (`tests/common/mod.rs` says where); it judges by a readable copy of the published
//! bundle (`tests/common/specification.rs` says why). Uploads and downloads go to presigned addresses, not through it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a failed step ends the test")]

mod common;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use common::office::{Ente, Office, Row, SOON, Simulator, batch, csv, flow, http, shared_clock};
use common::specification::readable_specification;
use common::{Child, ContractProxy, free_port, messo, shared_dir, wait_for};
use messo::clock::Clock;
use messo::config::secret::Secret;
use messo::connectors::http::{HttpSettings, client};
use messo::connectors::pnd::{Governor, Operation, Pnd, PndSettings, Timeouts};
use messo::domain::money::Cents;
use messo::domain::position::PaymentSeen;
use serde_json::{Value, json};

const ENTE: &str = "01234567897";
const KEY: &str = "01234567897-contratto";

/// How the specification calls each operation of the connector. No `_` arm: a new operation must be named, and then seen.
fn operation_id(operation: Operation) -> &'static str {
    match operation {
        Operation::Preload => "presignedUploadRequest",
        Operation::Send => "sendNewNotificationV25",
        Operation::RequestByToken | Operation::RequestById => "retrieveNotificationRequestStatusV25",
        Operation::Sent => "retrieveSentNotificationV28",
        Operation::Price => "retrieveNotificationPriceV23",
        Operation::Cancel => "notificationCancellation",
        Operation::Payment => "paymentEventsRequestPagoPa",
        Operation::LegalFact => "downloadLegalFactById",
        Operation::LegalFacts => "retrieveNotificationLegalFactsV20",
        Operation::Streams => "listEventStreamsV29",
        Operation::Stream => "retrieveEventStreamV29",
        Operation::CreateStream | Operation::ReplaceStream => "createEventStreamV29",
        Operation::Events => "consumeEventStreamV29",
        Operation::Status => "status",
    }
}

const OPERATIONS: [Operation; 16] = [
    Operation::Preload,
    Operation::Send,
    Operation::RequestByToken,
    Operation::RequestById,
    Operation::Sent,
    Operation::Price,
    Operation::Cancel,
    Operation::Payment,
    Operation::LegalFact,
    Operation::LegalFacts,
    Operation::Streams,
    Operation::Stream,
    Operation::CreateStream,
    Operation::ReplaceStream,
    Operation::Events,
    Operation::Status,
];

#[test]
fn the_released_specification_finds_nothing_to_object_on_either_side() {
    let Some(shared) = shared_dir() else { return };
    let folder = tempfile::tempdir().unwrap();
    let bundle = shared.join("reference/send/send-pa-b2b-released.yaml");
    let specification = readable_specification(&bundle, folder.path());
    let upstream: SocketAddr = ([127, 0, 0, 1], free_port()).into();
    let Some(proxy) = ContractProxy::start_with(upstream, Some((specification, ""))) else { return };

    let dir = folder.path().join("demo");
    let listen = upstream.to_string();
    let args = ["demo", "--dir", dir.to_str().unwrap(), "--sandbox-listen", &listen, "--send-url", &proxy.url()];
    let ended = Child::spawn("demo", &mut messo(&args)).wait(Duration::from_secs(360));
    assert!(ended.success(), "{ended}");

    bad_days(upstream, &proxy.url());
    let report = proxy.stop();
    report.assert_clean(&OPERATIONS.map(operation_id));
    // Not one refused request either, but the questions about what may not be there (yet).
    for exchange in &report.exchanges {
        let asked = matches!(exchange.operation.as_deref(), Some("retrieveNotificationRequestStatusV25" | "consumeEventStreamV29"));
        let good = matches!(exchange.status, 200 | 202 | 204 | 429) || (asked && exchange.status == 404);
        assert!(good, "{} {} -> {}", exchange.method, exchange.path, exchange.status);
    }
}

/// Answers lost on the way, a stream that is lost, one that is slow to tell, orders to cancel.
fn bad_days(upstream: SocketAddr, url: &str) {
    let clock = shared_clock(86_400);
    let faults = "seed = 3\n[[fault]]\noperation = \"send\"\nkind = \"lost\"\nrate = 0.5\n\
                  [[fault]]\noperation = \"events\"\nkind = \"429\"\nrate = 0.6\n";
    let send = Simulator::start_on(upstream.port(), &clock, faults);
    let sources: Vec<(&str, &[&str], &[&str])> = vec![("guasti", &[ENTE], &["aperto", "pagante"])];
    let mut office = Office::new(&clock, url, &[Ente { tax_id: ENTE, key: KEY, more: "" }], &sources, &[flow("aperto", "", ""), paying()]);
    office.start();
    let reference = |number: usize| format!("CON-{number:02}");
    let rows: Vec<Row> = (0..12).map(|number| Row::new(ENTE, &reference(number))).collect();
    office.answered("guasti", "aperto", "lotto.zip", &batch(&rows), "PRESA_IN_CARICO", &[]);
    for number in 0..12 {
        office.wait_state("guasti", &reference(number), "ACCETTATO");
    }
    let calls = |operation: &str| send.look("counters")["operations"][operation].as_u64().unwrap();
    assert!(calls("send") == 12 && calls("status") > 0, "lost answers were asked for, not repeated: {}", send.look("counters"));

    // The stream disappears at SEND while the acts are being delivered.
    let headers = [("x-api-key", KEY)];
    let (_, listed) = http(upstream, "GET", "/delivery-progresses/v2.9/streams", &headers);
    let id = serde_json::from_str::<Value>(&listed).unwrap()[0]["streamId"].as_str().unwrap().to_owned();
    let details = calls("detail");
    let (status, body) = http(upstream, "DELETE", &format!("/delivery-progresses/v2.9/streams/{id}"), &headers);
    assert_eq!(status, 204, "{body}");
    wait_for("timelines are read one by one", SOON, || (calls("detail") > details).then_some(()));
    assert!(office.alerted("FLUSSO_EVENTI_PERSO"));

    let to_pay = Row::new(ENTE, "CON-PAGATO").with("importo", "42,00").notice(ENTE, 7);
    office.answered("guasti", "pagante", "pagante.zip", &batch(&[to_pay]), "PRESA_IN_CARICO", &[]);
    office.wait_state("guasti", "CON-PAGATO", "PERFEZIONATO");
    let orders = csv(&[Row::order(ENTE, &reference(0), "annulla"), Row::order(ENTE, &reference(1), "annulla")]);
    office.answered("guasti", "aperto", "annulla.csv", orders.as_bytes(), "PRESA_IN_CARICO", &[]);
    for number in 0..12 {
        office.wait_state("guasti", &reference(number), if number < 2 { "ANNULLATO" } else { "PERFEZIONATO" });
        send.only(&reference(number));
    }
    let states = office.ask(&["status"])["acts"].clone();
    assert_eq!(states, json!({"ANNULLATO": 2, "PERFEZIONATO": 11}));
    let iun = send.only(&reference(2))["iun"].as_str().unwrap().to_owned();
    office.stop();
    by_hand(url, &iun);
}

/// A flow with payments that no PT follows.
fn paying() -> String {
    "name = \"pagante\"\ntitle = \"Prova\"\ntaxonomy_code = \"010101P\"\ncommunication_type = \"AR_REGISTERED_LETTER\"\nfee_policy = \"DELIVERY_MODE\"\n\
     pago_pa_int_mode = \"SYNC\"\npa_fee = 100\nvat = 22\npayment = \"required\"\n"
        .to_owned()
}

/// Operations that the connector has and the hub does not call by itself, or only beside a PT.
fn by_hand(url: &str, iun: &str) {
    let settings = PndSettings {
        label: "contratto".into(),
        base_url: url.into(),
        api_key: Secret::new(KEY),
        voucher: None,
        timeouts: Timeouts::default(),
        governor: Arc::new(Governor::off()),
        clock: Clock::REAL,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let pnd = Pnd::new(settings, client(&HttpSettings { loopback_only: true, ..HttpSettings::default() }).unwrap()).unwrap();
        pnd.platform_status().await.unwrap();
        assert!(!pnd.legal_facts(iun).await.unwrap().is_empty());
        let base = 3_020_000_000_000_007_u64;
        let payment = PaymentSeen { paid_at: Clock::REAL.now(), amount: Cents(4_200), receipt: None };
        pnd.paid(ENTE, &format!("{base}{:02}", base % 93), &payment).await.unwrap();
        let old = pnd.create_stream("a mano", &[]).await.unwrap();
        let new = pnd.replace_stream("a mano", &[], &old.stream_id).await.unwrap();
        let told = [&old, &new].map(|stream| stream.stream_id.clone());
        let disabled = [pnd.stream(&told[0]).await.unwrap().disabled, pnd.stream(&told[1]).await.unwrap().disabled];
        assert_eq!(disabled, [true, false]);
    });
}
