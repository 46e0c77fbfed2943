//! Operators' commands: the real program over a real socket, and without a hub; orders recorded with user and reason.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a failed step ends the test")]

mod common;

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use common::process::timed;
use common::{messo, wait_for};
use jiff::{SignedDuration, Timestamp};
use messo::batch::row::Place;
use messo::clock::{Clock, new_uuid};
use messo::domain::act::Act;
use messo::domain::digest::Sha256;
use messo::domain::ids::{ActId, BatchId};
use messo::domain::outcome::ReceiptState;
use messo::domain::send::TimelineElement;
use messo::flow::definition::FlowDefinition;
use messo::flow::effect::Effect;
use messo::flow::event::Fact;
use messo::flow::retry::Next;
use messo::service::control::{ControlError, ControlServer};
use messo::service::operate::{OperateError, Operator, Publisher};
use messo::service::report::{ActReport, BatchList, BatchReport, OrderReport, RebuildReport, StatusReport};
use messo::store::{BatchWork, Finished, Leased, NewDrop, Publication, Staged, Staging, Store, Subject, Verdict};
use serde_json::{Value, json};

const ENTE: &str = "01234567897";
const IUN: &str = "ADEG-HJKL-MNPQ-202611-A-1";
/// Invented.
const PERSON: [&str; 3] = ["RSSMRA80A01H501U", "Mario Rossi", "Via Roma 1"];

struct World {
    folder: tempfile::TempDir,
    runtime: tokio::runtime::Runtime,
    store: Option<Store>,
    server: Option<ControlServer>,
}

/// How a command ended.
struct Ran {
    code: i32,
    out: String,
    err: String,
}

impl World {
    fn new() -> World {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("messo.toml"), "data = \"data\"\ninstallation = \"prova\"\ncontrol = \"run/messo.sock\"\n")
            .unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let mut world = World { folder, runtime, store: None, server: None };
        world.open();
        world
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }
    fn socket(&self) -> PathBuf {
        self.folder.path().join("run/messo.sock")
    }
    fn store(&self) -> Store {
        self.store.clone().unwrap()
    }
    fn open(&mut self) {
        self.store = Some(Store::open(&self.data()).unwrap());
    }
    fn close(&mut self) {
        self.store.take().unwrap().close();
    }

    fn listen(&mut self) {
        let operator = Operator::of_hub(self.store(), Clock::REAL);
        self.listen_with(operator);
    }
    fn listen_with(&mut self, operator: Operator) {
        let socket = self.socket();
        self.server = Some(self.runtime.block_on(async { ControlServer::start(&socket, operator) }).unwrap());
    }
    fn stop(&mut self) {
        let server = self.server.take().unwrap();
        self.runtime.block_on(server.stop());
    }

    fn run(&self, args: &[&str]) -> Ran {
        let config = self.folder.path().join("messo.toml");
        let output = messo(args).arg("--config").arg(config).env_remove("SUDO_USER").output().unwrap();
        Ran {
            code: output.status.code().unwrap_or_else(|| panic!("{args:?}: {}", output.status)),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
    /// The report of a command that succeeds, from its `--json`.
    fn report<T: serde::de::DeserializeOwned + serde::Serialize>(&self, args: &[&str]) -> T {
        let ran = self.run(&[args, &["--json"]].concat());
        assert_eq!(ran.code, 0, "{args:?}: {}{}", ran.out, ran.err);
        let report: T = serde_json::from_str(&ran.out).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&ran.out).unwrap(), serde_json::to_value(&report).unwrap(), "{args:?}");
        report
    }
    /// A command that fails: its exit code and Italian sentence; with `--json` the same code and a stable word.
    fn fails(&self, args: &[&str], exit: i32, word: &str, sentence: &str) {
        let ran = self.run(args);
        assert_eq!(ran.code, exit, "{args:?}: {}{}", ran.out, ran.err);
        assert!(ran.err.starts_with("messo: ") && ran.err.contains(sentence) && ran.out.is_empty(), "{args:?}: {}{}", ran.out, ran.err);
        let ran = self.run(&[args, &["--json"]].concat());
        let answer: Value = serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("{args:?}: {}{}", ran.out, ran.err));
        assert_eq!((ran.code, &answer["error"]["code"]), (exit, &json!(word)), "{args:?}: {answer}");
        assert!(answer["error"]["message"].as_str().unwrap().contains(sentence), "{args:?}: {answer}");
    }

    /// An accepted batch with these acts, not started yet.
    fn batch(&self, references: &[&str], held: bool, first: u32) -> BatchId {
        let (store, id, now) = (self.store(), BatchId(new_uuid()), Clock::REAL.now());
        let rows: Vec<Staged> = references.iter().enumerate().map(|(index, reference)| staged(reference, index)).collect();
        self.runtime.block_on(async {
            let drop = NewDrop {
                id,
                source: "tributi".to_owned(),
                original_name: "Rossi Mario.zip".to_owned(),
                flow_hint: None,
                dry_run: false,
                received_at: now,
            };
            store.claim(drop).await.unwrap();
            let staging = Staging {
                batch: id,
                source: "tributi".to_owned(),
                sha256: Sha256::of(id.to_string().as_bytes()),
                size: 1000,
                layout: Some("messo-csv".to_owned()),
                batch_file: "lotto.csv".to_owned(),
                batch_entry: 0,
                bare: false,
                sender: Some(ENTE.to_owned()),
                flow: Some(flow(first)),
            };
            store.begin_staging(staging).await.unwrap();
            let count = rows.len() as u64;
            assert!(store.stage(id, rows, now).await.unwrap().iter().all(|verdict| *verdict == Verdict::New));
            let end = Finished {
                state: ReceiptState::Taken,
                acts: count,
                accepted: count,
                refused: 0,
                duplicates: 0,
                duplicate_of: None,
                held,
                forecast: None,
                forecasts: Vec::new(),
            };
            store.finish_batch(id, end, now).await.unwrap();
        });
        id
    }

    /// The jobs of one lane that need no remote.
    fn lease(&self, lane: u8) -> Vec<Leased> {
        let now = Clock::REAL.now();
        let until = now.checked_add(SignedDuration::from_secs(600)).unwrap();
        self.runtime.block_on(self.store().lease("prova", vec![(String::new(), lane, 1000)], until, now)).unwrap()
    }

    /// Starts the acts of every batch that waits for it.
    fn start(&self) {
        let store = self.store();
        for leased in self.lease(0) {
            self.runtime.block_on(async {
                match leased.subject {
                    Subject::Lotto { batch, work: BatchWork::Start } => {
                        while store.start_acts(batch, leased.job, Clock::REAL.now()).await.unwrap() {}
                    }
                    _ => store.finish_job(leased.job).await.unwrap(),
                }
            });
        }
    }

    fn act(&self, reference: &str) -> ActId {
        let found = self.runtime.block_on(self.store().find_acts(reference)).unwrap();
        assert_eq!(found.len(), 1, "{reference}");
        found[0].id
    }

    /// Gives an act its protocol; without one it has work to be done before its upload, which needs no remote.
    fn protocol(&self, reference: &str) {
        let (store, act) = (self.store(), self.act(reference));
        assert!(self.runtime.block_on(store.save_protocol(act, format!("PROT-{reference}"))).unwrap());
    }

    fn record(&self, act: ActId, fact: Fact) {
        self.runtime.block_on(self.store().record(act, fact, None, Clock::REAL.now())).unwrap();
    }

    fn send(&self, act: ActId) {
        for fact in [Fact::Prepared, Fact::Uploaded, Fact::Taken { request_id: format!("richiesta-{act}") }] {
            self.record(act, fact);
        }
    }
    fn accept(&self, act: ActId, iun: &str) {
        self.record(act, Fact::Accepted { request_id: None, iun: iun.to_owned(), at: Some(Clock::REAL.now()) });
    }

    /// Parks the waiting preparation of an act.
    fn park(&self, act: ActId, code: &'static str) {
        let store = self.store();
        let leased = self.lease(1);
        let job = leased.iter().find(|job| matches!(job.subject, Subject::Notifica { act: of, .. } if of == act)).unwrap().job;
        self.runtime.block_on(store.fail_job(job, Next::Park { code }, code, Clock::REAL.now())).unwrap();
    }

    fn detail(&self, text: &str) -> messo::service::report::ActDetail {
        let mut report: ActReport = self.report(&["act", "show", text]);
        assert_eq!((report.acts.len(), report.others.len()), (1, 0), "{text}");
        report.acts.remove(0)
    }
}

fn staged(reference: &str, index: usize) -> Staged {
    let act: Act = serde_json::from_value(json!({
        "sender_tax_id": ENTE, "reference": reference, "action": "inserisci",
        "subject": "Avviso", "documents": [{"file": "a.pdf"}],
        "recipients": [{"recipient_type": "PF", "tax_id": PERSON[0], "denomination": PERSON[1],
            "address": {"address": PERSON[2], "municipality": "ROMA", "zip": "00100", "province": "RM"}}],
    }))
    .unwrap();
    let place = Place { row: index as u64 + 2, ordinal: index as u64 + 1, ..Place::default() };
    Staged { act, place, key_id: "principale".to_owned(), notify_by: None }
}

fn flow(first: u32) -> FlowDefinition {
    serde_json::from_value(json!({
        "name": "tributi-pagamento", "title": "Tributi", "taxonomy_code": "010101P", "communication_type": "AR_REGISTERED_LETTER",
        "fee_policy": "FLAT_RATE", "payment": "allowed", "guard": {"first_acts": first, "max_refused_percent": 10},
    }))
    .unwrap()
}

fn me() -> String {
    format!("uid {}", rustix::process::getuid().as_raw())
}

#[test]
fn the_hub_is_told_in_words_and_in_json_without_personal_data() {
    let mut world = World::new();
    world.listen();
    assert_eq!(std::fs::metadata(world.socket()).unwrap().permissions().mode() & 0o777, 0o660);
    let batch = world.batch(&["TARI-1", "TARI-2"], false, 0);
    world.start();
    let act = world.act("TARI-1");
    world.protocol("TARI-1");
    world.send(act);
    world.accept(act, IUN);
    let element: TimelineElement = serde_json::from_value(json!({
        "elementId": "NOTIFICATION_VIEWED.0", "category": "NOTIFICATION_VIEWED", "timestamp": "2026-11-22T10:00:00Z",
        "legalFactsIds": [{"key": "safestorage://x", "category": "RECIPIENT_ACCESS"}],
        "details": {"recIndex": 0, "eventTimestamp": "2026-11-22T10:00:00Z", "denomination": PERSON[1], "taxId": PERSON[0]},
    }))
    .unwrap();
    let files =
        [("ESITO", "esiti", "esito-000001.csv"), ("SCARTO", "scarti", "Rossi Mario.scarto.zip")].map(|(kind, folder, name)| Publication {
            id: new_uuid(),
            source: "tributi".to_owned(),
            kind: kind.to_owned(),
            number: (kind == "ESITO").then_some(1),
            folder: folder.to_owned(),
            name: name.to_owned(),
            temporary: format!(".{name}"),
            sha256: Sha256::of(name.as_bytes()),
            size: 1,
            lines: (kind == "ESITO").then_some((1, 100)),
            subject: (kind == "SCARTO").then_some(act.0),
            published: false,
            created_at: Clock::REAL.now(),
        });
    world.runtime.block_on(async {
        world.store().record_timeline(act, IUN, vec![element], None, Clock::REAL.now()).await.unwrap();
        world.store().prepare_publications(files.to_vec()).await.unwrap();
    });

    let status: StatusReport = world.report(&["status"]);
    assert!(status.running && status.since.is_some());
    assert_eq!((status.acts["PERFEZIONATO"], status.acts["IN_PREPARAZIONE"], status.batches["PRESA_IN_CARICO"]), (1, 1, 1));
    let shown = world.run(&["status"]).out;
    assert!(shown.contains("acceso dal") && shown.contains("perfezionato per ogni destinatario"), "{shown}");

    let list: BatchList = world.report(&["batch", "list"]);
    assert_eq!((list.batches.len(), list.batches[0].id, list.batches[0].name.as_str()), (1, batch, "Rossi Mario.zip"));
    assert!(world.run(&["batch", "list"]).out.contains(&batch.to_string()));
    let one: BatchReport = world.report(&["batch", "show", &batch.to_string()[..13]]);
    assert_eq!((one.batch.acts, one.states["PERFEZIONATO"], one.guard), (2, 1, None));
    assert_eq!(one.history[0].event, "PRESA_IN_CARICO");
    let shown = world.run(&["batch", "show", &batch.to_string()]).out;
    assert!(shown.contains("2 (accettati 2, scartati 0, duplicati 0)"), "{shown}");

    for text in ["TARI-1", "PROT-TARI-1", IUN, &act.to_string()] {
        let detail = world.detail(text);
        assert_eq!((detail.act.id, detail.act.state.as_str(), detail.act.iun.as_deref()), (act, "PERFEZIONATO", Some(IUN)), "{text}");
        assert_eq!((detail.recipients.len(), detail.recipients[0].perfection.as_deref()), (1, Some("VISIONE")));
        assert_eq!(detail.last_lines.last().unwrap().state.as_str(), "PERFEZIONATO");
        assert!(detail.jobs.iter().any(|job| job.kind == "SCARICA_ATTESTAZIONI"), "{:?}", detail.jobs);
        assert_eq!((detail.legal_facts.len(), detail.legal_facts[0].state.as_str()), (1, "ANNUNCIATA"));
        assert!(detail.files.iter().any(|file| file.name == "esito-000001.csv"), "{:?}", detail.files);
        assert!(detail.files.iter().any(|file| file.kind == "SCARTO" && file.name.starts_with("R***.zip#")), "{:?}", detail.files);
        assert!(detail.history.iter().any(|entry| entry.element.as_deref() == Some("NOTIFICATION_VIEWED.0")), "{:?}", detail.history);
    }
    let (words, object) = (world.run(&["act", "show", "TARI-1"]).out, world.run(&["act", "show", "TARI-1", "--json"]).out);
    assert!(words.contains("scaricare le attestazioni") && words.contains("VISIONE") && words.contains("Storia"), "{words}");
    for personal in PERSON.iter().chain(&["Rossi"]) {
        assert!(!words.contains(personal) && !object.contains(personal), "{personal} is shown:\n{words}\n{object}");
    }
}

#[test]
fn orders_are_carried_out_and_recorded_with_user_and_reason() {
    let mut world = World::new();
    world.listen();
    world.batch(&["A", "B", "C"], false, 0);
    world.batch(&["D"], true, 0);
    world.start();
    world.send(world.act("A"));
    world.accept(world.act("A"), IUN);
    world.protocol("C");
    world.park(world.act("B"), "ARCHIVIO_CAMBIATO");

    let table = [
        (["act", "cancel", IUN], "IN_ANNULLAMENTO", "ORDINE_ANNULLA"),
        (["act", "retry", "B"], "IN_PREPARAZIONE", "RIPRESO"),
        (["act", "cancel", "PROT-C"], "RITIRATO", "ORDINE_ANNULLA"),
        (["act", "release", "D"], "IN_PREPARAZIONE", "ORDINE_RILASCIA"),
    ];
    for (args, state, event) in table {
        let order: OrderReport = world.report(&[&args[..], &["--reason", "chiesto dall'ufficio, prot. 12/2026"]].concat());
        assert_eq!((order.state.as_deref(), order.running), (Some(state), true), "{args:?}");
        assert!(order.who.contains(&me()), "{args:?}: {}", order.who);
        let detail = world.detail(&order.act.unwrap().to_string());
        let entry = detail.history.iter().rfind(|entry| entry.event == event).unwrap_or_else(|| panic!("{args:?}: {:?}", detail.history));
        assert_eq!((entry.who.as_ref(), entry.why.as_deref()), (Some(&order.who), Some("chiesto dall'ufficio, prot. 12/2026")), "{args:?}");
    }
    assert_eq!(world.detail("B").act.parked, None);
    // A parked act that is withdrawn no longer asks for a person.
    world.batch(&["E"], false, 0);
    world.start();
    world.park(world.act("E"), "ARCHIVIO_CAMBIATO");
    let shown = world.run(&["act", "cancel", "E", "--reason", "doppio"]).out;
    assert!(shown.contains("RITIRATO: ritirato prima dell'invio") && shown.contains("«doppio»") && shown.contains("subito"), "{shown}");
    assert_eq!(world.report::<StatusReport>(&["status"]).parked.len(), 0);
}

#[test]
fn refused_orders_say_why_and_change_nothing() {
    let mut world = World::new();
    world.listen();
    let (one, two) = (world.batch(&["A", "B"], false, 0), world.batch(&["C"], true, 0));
    world.start();
    world.send(world.act("A"));
    let prefix = &one.to_string()[..6];
    assert_eq!(prefix, &two.to_string()[..6], "made within minutes");
    let why = ["--reason", "prova"];
    let table: [(&[&str], i32, &str, &str); 12] = [
        (&["act", "show", "ZZZ"], 1, "ATTO_NON_TROVATO", "nessun atto con riferimento"),
        (&["act", "cancel", "ZZZ", why[0], why[1]], 1, "ATTO_NON_TROVATO", "«ZZZ»"),
        (&["act", "release", "A", why[0], why[1]], 1, "ATTO_NON_TRATTENUTO", "non è trattenuto"),
        (&["act", "release", "B", why[0], why[1]], 1, "ATTO_NON_TRATTENUTO", "non è trattenuto"),
        (&["act", "retry", "B", why[0], why[1]], 1, "ATTO_NON_SOSPESO", "non è sospeso"),
        (&["act", "retry", "--code", "XYZ", why[0], why[1]], 1, "NESSUN_ATTO_SOSPESO", "«XYZ»"),
        (&["act", "retry", "--channel", "01234567897/x", why[0], why[1]], 1, "CHIAVE_NON_FERMA", "non è ferma"),
        (&["batch", "show", "f00"], 1, "LOTTO_NON_TROVATO", "nessun lotto"),
        (&["batch", "show", prefix], 1, "LOTTO_AMBIGUO", "per intero"),
        (&["batch", "release", &one.to_string(), why[0], why[1]], 1, "NESSUN_ATTO_TRATTENUTO", "nulla da rilasciare"),
        (&["batch", "retry", &one.to_string(), why[0], why[1]], 1, "LOTTO_NON_SOSPESO", "nessun lavoro"),
        (&["act", "cancel", "B", "--reason", "pagato da RSSMRA80A01H501U"], 2, "MOTIVO_CON_CODICE_FISCALE", "codice fiscale"),
    ];
    for (args, exit, word, sentence) in table {
        world.fails(args, exit, word, sentence);
    }
    assert!(world.run(&["batch", "show", prefix]).err.contains(&two.to_string()), "candidates are told");
    assert_eq!(world.detail("B").act.state, "IN_PREPARAZIONE");
    assert!(world.detail("A").history.iter().all(|entry| entry.who.is_none()));
    // Wrongly asked: clap answers by itself.
    for args in [
        &["act", "cancel", "A"][..],
        &["act", "retry", "--reason", "x"],
        &["act", "retry", "A", "--code", "X", "--reason", "x"],
        &["batch"],
    ] {
        assert_eq!(world.run(args).code, 2, "{args:?}");
    }
    world.fails(&["act", "cancel", "A", "--reason", " "], 2, "MOTIVO_MANCANTE", "manca il motivo");
    assert_eq!(messo(&["status", "--config", "/nulla/messo.toml"]).output().unwrap().status.code(), Some(2));
}

/// SEND is still deciding: the order is kept, seen, and carried out when there is an IUN.
#[test]
fn a_cancel_before_the_iun_is_remembered_and_says_what_happens_next() {
    let mut world = World::new();
    world.listen();
    world.batch(&["A"], false, 0);
    world.start();
    let act = world.act("A");
    world.send(act);
    let cancel = ["act", "cancel", "A", "--reason", "pagato ieri"];
    let order: OrderReport = world.report(&cancel);
    assert_eq!((order.remembered, order.state.as_deref()), (true, Some("INVIATO")));
    let words = world.run(&cancel).out;
    assert!(
        words.contains("ricordato") && words.contains("ne chiede subito l'annullamento") && words.contains("Non serve ripetere"),
        "{words}"
    );
    let detail = world.detail("A");
    assert!(detail.jobs.iter().any(|job| job.kind == "ANNULLA_APPENA_POSSIBILE" && job.state == "ATTESA"), "{:?}", detail.jobs);
    let entry = detail.history.iter().rfind(|entry| entry.event == "ORDINE_ANNULLA").unwrap();
    assert_eq!((entry.who.as_ref(), entry.why.as_deref()), (Some(&order.who), Some("pagato ieri")));
    let shown = world.run(&["act", "show", "A"]).out;
    assert!(shown.contains("annullare, come ordinato, appena SEND ha deciso"), "{shown}");

    world.accept(act, IUN);
    let wanted = vec![(format!("{ENTE}/principale"), 0, 10)];
    let (now, store) = (Clock::REAL.now(), world.store());
    let until = now.checked_add(SignedDuration::from_secs(600)).unwrap();
    let leased = world.runtime.block_on(store.lease("prova", wanted, until, now)).unwrap();
    let (job, who, why) = leased
        .iter()
        .find_map(|leased| match &leased.subject {
            Subject::Notifica { effect: Effect::CancelLater { who, why }, .. } => Some((leased.job, who, why)),
            _ => None,
        })
        .unwrap_or_else(|| panic!("woken by the acceptance: {leased:?}"));
    world.runtime.block_on(store.cancel_later(act, job, who, why, now)).unwrap();
    let detail = world.detail("A");
    assert_eq!(detail.act.state, "IN_ANNULLAMENTO");
    let carried = detail.history.iter().rfind(|entry| entry.event == "ORDINE_ANNULLA").unwrap();
    assert_eq!((carried.who.as_ref(), carried.state.as_deref()), (Some(&order.who), Some("IN_ANNULLAMENTO")));
}

#[test]
fn a_release_of_what_was_withdrawn_says_so() {
    let mut world = World::new();
    world.listen();
    let batch = world.batch(&["A", "B"], true, 0).to_string();
    world.start();
    for reference in ["A", "B"] {
        let ran = world.run(&["act", "cancel", reference, "--reason", "doppio"]);
        assert_eq!(ran.code, 0, "{}", ran.err);
    }
    world.fails(&["batch", "release", &batch, "--reason", "via"], 1, "ATTI_GIA_RITIRATI", "sono stati ritirati (2");
    let report: BatchReport = world.report(&["batch", "show", &batch]);
    assert!(report.history.iter().all(|entry| entry.event != "ORDINE_RILASCIA"), "nothing was ordered: {:?}", report.history);
}

#[test]
fn what_waits_for_nothing_is_told_in_words() {
    let mut world = World::new();
    world.listen();
    world.batch(&["A", "B"], false, 0);
    world.start();
    assert_eq!(world.report::<StatusReport>(&["status"]).stuck, []);
    let act = world.act("A");
    let job = world.lease(1).into_iter().find(|job| matches!(job.subject, Subject::Notifica { act: of, .. } if of == act)).unwrap().job;
    // As no fault-free program does.
    world.runtime.block_on(world.store().finish_job(job)).unwrap();
    let stuck = world.report::<StatusReport>(&["status"]).stuck;
    assert_eq!((stuck.len(), stuck[0].act, stuck[0].why.as_str()), (1, Some(act), "SENZA_PREPARAZIONE"));
    let shown = world.run(&["status"]).out;
    assert!(shown.contains("SENZA_PREPARAZIONE: in preparazione, ma nessun lavoro la fa avanzare"), "{shown}");
}

#[test]
fn a_reference_of_several_acts_is_not_guessed_but_submissions_of_one_are() {
    let mut world = World::new();
    world.listen();
    world.batch(&["A", "B"], false, 0);
    world.start();
    // B carries as protocol what will be the reference of another act.
    world.protocol("B");
    world.run(&["act", "cancel", "A", "--reason", "sbagliato"]);
    world.batch(&["A"], false, 0);
    world.start();
    let report: ActReport = world.report(&["act", "show", "A"]);
    assert_eq!(
        report.acts.iter().map(|detail| (detail.act.submission, detail.act.state.as_str())).collect::<Vec<_>>(),
        [(2, "IN_PREPARAZIONE"), (1, "RITIRATO")]
    );
    let order: OrderReport = world.report(&["act", "cancel", "A", "--reason", "di nuovo"]);
    assert_eq!(order.act, Some(report.acts[0].act.id), "the newest submission");

    world.batch(&["PROT-B"], false, 0);
    world.start();
    world.fails(&["act", "cancel", "PROT-B", "--reason", "quale?"], 1, "ATTO_AMBIGUO", "indica 2 atti diversi");
    let told = world.run(&["act", "cancel", "PROT-B", "--reason", "quale?"]).err;
    assert!(told.contains(&world.act("B").to_string()), "{told}");
}

#[test]
fn a_held_batch_goes_in_two_times_its_first_acts_alone() {
    let mut world = World::new();
    world.listen();
    let references: Vec<String> = (0..1203).map(|n| format!("A{n}")).collect();
    let references: Vec<&str> = references.iter().map(String::as_str).collect();
    let batch = world.batch(&references, true, 2).to_string();
    world.start();
    let states = || world.report::<BatchReport>(&["batch", "show", &batch]).states;
    assert_eq!(states()["IN_ATTESA"], 1203);
    let release = ["batch", "release", &batch, "--reason", "controllato"];
    let order: OrderReport = world.report(&release);
    assert_eq!(order.count, 1203);
    assert_eq!((states()["IN_ATTESA"], states()["IN_PREPARAZIONE"]), (1201, 2), "the rest waits for the first ones");
    world.fails(&release, 1, "PRIMI_ATTI_IN_CORSO", "2 aspettano ancora la risposta di SEND");
    let order: OrderReport = world.report(&[&release[..], &["--skip-guard"]].concat());
    assert_eq!((order.count, states().get("IN_ATTESA"), states()["IN_PREPARAZIONE"]), (1201, None, 1203));
    let report: BatchReport = world.report(&["batch", "show", &batch]);
    let orders: Vec<_> = report.history.iter().filter(|entry| entry.event == "ORDINE_RILASCIA").collect();
    assert_eq!(orders.len(), 2);
    assert!(orders.iter().all(|entry| entry.who.as_ref().unwrap().contains(&me()) && entry.why.as_deref() == Some("controllato")));

    // Released before its acts are started: none of them is held.
    let early = world.batch(&["PRESTO-1", "PRESTO-2"], true, 0).to_string();
    let shown = world.run(&["batch", "release", &early, "--reason", "urgente"]);
    assert!(shown.code == 0 && shown.out.contains("partono appena avviati"), "{}{}", shown.out, shown.err);
    world.start();
    assert_eq!(world.report::<BatchReport>(&["batch", "show", &early]).states["IN_PREPARAZIONE"], 2);
}

#[test]
fn acts_behind_too_many_refusals_are_released_not_retried() {
    let mut world = World::new();
    world.listen();
    let batch = world.batch(&["A", "B", "C"], false, 1).to_string();
    world.start();
    world.send(world.act("A"));
    world.record(world.act("A"), Fact::Refused { reasons: vec![], at: Clock::REAL.now(), cost: None });
    for leased in world.lease(0) {
        if let Subject::Lotto { batch, work: BatchWork::OpenGuard } = leased.subject {
            while world.runtime.block_on(world.store().open_guard(batch, leased.job, Clock::REAL.now())).unwrap() {}
        }
    }
    assert_eq!(world.detail("B").act.parked.as_deref(), Some("TROPPI_RIFIUTI"));
    let why = ["--reason", "indirizzi corretti"];
    world.fails(&["act", "retry", "B", why[0], why[1]], 1, "ATTO_TRATTENUTO", "messo batch release");
    world.fails(&["act", "retry", "--code", "TROPPI_RIFIUTI", why[0], why[1]], 1, "ATTO_TRATTENUTO", "messo batch release");
    let order: OrderReport = world.report(&["batch", "release", &batch, why[0], why[1]]);
    assert_eq!(order.count, 2);
    assert_eq!((world.detail("B").act.parked, world.detail("C").act.state.as_str()), (None, "IN_PREPARAZIONE"));
}

#[test]
fn keys_codes_and_batches_are_resumed_with_user_and_reason() {
    let mut world = World::new();
    world.listen();
    let channel = format!("{ENTE}/principale");
    let batch = world.batch(&["A", "B"], false, 0);
    let job = world.lease(0).into_iter().find(|job| matches!(job.subject, Subject::Lotto { work: BatchWork::Start, .. })).unwrap().job;
    let now = Clock::REAL.now();
    world.runtime.block_on(async {
        world.store().stop_channel(&channel, "CHIAVE_RIFIUTATA", now).await.unwrap();
        world.store().fail_job(job, Next::Park { code: "DISCO_PIENO" }, "DISCO_PIENO", now).await.unwrap();
    });
    let status: StatusReport = world.report(&["status"]);
    assert_eq!((status.stopped_channels[0].channel.as_str(), &status.parked_batches[..]), (channel.as_str(), &[batch][..]));
    assert_eq!(status.alerts.len(), 2);
    assert!(world.run(&["status"]).out.contains("Chiavi ferme"));

    let order: OrderReport = world.report(&["batch", "retry", &batch.to_string(), "--reason", "disco liberato"]);
    assert_eq!(order.count, 1);
    world.start();
    assert_eq!(world.detail("A").channel_stopped.as_deref(), Some("CHIAVE_RIFIUTATA"));
    let leased = world.lease(1);
    assert_eq!(leased.len(), 2);
    for job in leased {
        world.runtime.block_on(world.store().fail_job(job.job, Next::Park { code: "X" }, "X", now)).unwrap();
    }
    let order: OrderReport = world.report(&["act", "retry", "--code", "X", "--reason", "riparato"]);
    assert_eq!(order.count, 2);
    let order: OrderReport = world.report(&["act", "retry", "--channel", &channel, "--reason", "chiave nuova"]);
    assert_eq!(order.channel.as_deref(), Some(channel.as_str()));
    let status: StatusReport = world.report(&["status"]);
    assert_eq!((status.stopped_channels.len(), status.parked_batches.len(), status.parked.len()), (0, 0, 0));
    let recorded = &status.channel_orders[0];
    assert_eq!((recorded.channel.as_str(), recorded.entry.why.as_deref()), (channel.as_str(), Some("chiave nuova")));
    assert!(recorded.entry.who.as_ref().unwrap().contains(&me()));
    let report: BatchReport = world.report(&["batch", "show", &batch.to_string()]);
    assert!(report.history.iter().any(|entry| entry.event == "RIPRESO" && entry.why.as_deref() == Some("disco liberato")));
}

/// What the socket answers to these bytes.
fn talk(world: &World, bytes: &[u8]) -> Value {
    let mut stream = UnixStream::connect(world.socket()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let _ = stream.write_all(bytes);
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    assert_eq!(answer.matches('\n').count(), 1, "one line: {answer:?}");
    serde_json::from_str(&answer).unwrap()
}

#[test]
fn garbage_and_silence_harm_nobody() {
    let mut world = World::new();
    world.listen();
    let long = [b"{\"v\":1,\"request\":{\"do\":\"act\",\"text\":\"".to_vec(), vec![b'a'; 300 << 10], b"\"}}\n".to_vec()].concat();
    let deep = [vec![b'['; 60_000], b"\n".to_vec()].concat();
    let table: [(&[u8], &str); 8] = [
        (b"ciao\n", "RICHIESTA_NON_VALIDA"),
        (b"\xff\xfe\x00\n", "RICHIESTA_NON_VALIDA"),
        (b"{\"v\":1}\n", "RICHIESTA_NON_VALIDA"),
        (b"{\"v\":1,\"request\":{\"do\":\"delete_all\"}}\n", "RICHIESTA_NON_VALIDA"),
        (b"{\"v\":1,\"request\":{\"do\":\"act\",\"text\":\"A\",\"more\":1}}\n", "RICHIESTA_NON_VALIDA"),
        (b"{\"v\":2,\"request\":{\"do\":\"status\"},\"new\":true}\n", "VERSIONE_DIVERSA"),
        (&deep, "RICHIESTA_NON_VALIDA"),
        (&long, "RICHIESTA_TROPPO_LUNGA"),
    ];
    for (bytes, word) in table {
        let answer = talk(&world, bytes);
        assert_eq!(answer["error"]["code"], word, "{}", String::from_utf8_lossy(&bytes[..bytes.len().min(80)]));
    }
    assert_eq!(talk(&world, b"{\"v\":1,\"request\":{\"do\":\"status\"}}\nciao\n")["report"]["running"], true, "one request a connection");
    world.fails(&["act", "show", &"a".repeat(100 << 10)], 2, "RICHIESTA_TROPPO_LUNGA", "65536 byte");

    // More silent clients than places: the next ones are served as soon as the patience with those ends.
    let silent: Vec<UnixStream> = (0..80)
        .map(|index| {
            let mut stream = UnixStream::connect(world.socket()).unwrap();
            if index % 2 == 0 {
                stream.write_all(b"{\"v\":1,").unwrap();
            }
            stream
        })
        .collect();
    assert!(world.report::<StatusReport>(&["status"]).running);
    drop(silent);
    // Those who ask and go away without the answer.
    for _ in 0..50 {
        UnixStream::connect(world.socket()).unwrap().write_all(b"{\"v\":1,\"request\":{\"do\":\"status\"}}\n").unwrap();
    }
    assert!(world.report::<StatusReport>(&["status"]).running);
}

#[test]
fn clients_at_the_same_time_are_all_answered_and_an_order_is_carried_out_once() {
    let mut world = World::new();
    world.listen();
    world.batch(&["A", "B"], false, 0);
    world.start();
    let mut codes = std::thread::scope(|scope| {
        let cancel = || world.run(&["act", "cancel", "A", "--reason", "insieme"]).code;
        let running: Vec<_> = (0..6).map(|_| scope.spawn(cancel)).collect();
        assert!((0..4).all(|_| world.run(&["act", "show", "B"]).code == 0));
        running.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    codes.sort_unstable();
    assert_eq!(codes, [0, 1, 1, 1, 1, 1]);
    assert_eq!(world.detail("A").history.iter().filter(|entry| entry.who.is_some()).count(), 1);
}

#[test]
fn without_a_hub_commands_work_on_the_store_and_orders_wait_for_the_next_start() {
    let mut world = World::new();
    world.listen();
    world.batch(&["A", "B"], true, 0);
    world.start();
    world.stop();
    assert!(!world.socket().exists(), "the socket goes with its hub");
    world.close();

    let status: StatusReport = world.report(&["status"]);
    assert!(!status.running && status.since.is_none());
    assert!(world.run(&["status"]).out.contains("spento"));
    let order: OrderReport = world.report(&["act", "release", "A", "--reason", "a mano"]);
    assert!(!order.running && order.who.contains(&me()));
    let shown = world.run(&["act", "cancel", "B", "--reason", "a mano"]).out;
    assert!(shown.contains("al prossimo avvio del servizio"), "{shown}");
    // Two at once: one waits for the other's lock.
    let codes = std::thread::scope(|scope| {
        let show = || world.run(&["act", "show", "A"]).code;
        let running: Vec<_> = (0..3).map(|_| scope.spawn(show)).collect();
        running.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    assert_eq!(codes, [0, 0, 0]);
    world.open();
    let jobs = world.lease(1);
    assert!(matches!(jobs[0].subject, Subject::Notifica { act, .. } if act == world.act("A")), "{jobs:?}");
}

#[test]
fn a_hub_that_does_not_answer_is_told_from_one_that_was_never_there() {
    let mut world = World::new();
    // The lock is held, nobody listens.
    let (_, waited) = timed(|| world.fails(&["status"], 3, "SERVIZIO_NON_RISPONDE", "il servizio è in esecuzione ma non risponde su"));
    assert!(waited < Duration::from_secs(30), "{waited:?}");
    // A hub that comes up while a command waits answers it.
    std::thread::scope(|scope| {
        let command = scope.spawn({
            let config = world.folder.path().join("messo.toml");
            move || messo(&["status", "--json", "--config"]).arg(config).output().unwrap()
        });
        std::thread::sleep(Duration::from_millis(500));
        let operator = Operator::of_hub(world.store(), Clock::REAL);
        let server = world.runtime.block_on(async { ControlServer::start(&world.socket(), operator) }).unwrap();
        let output = command.join().unwrap();
        let report: StatusReport = serde_json::from_slice(&output.stdout).unwrap();
        assert!(report.running);
        world.runtime.block_on(server.stop());
    });
    world.close();
    std::fs::remove_dir_all(world.data()).unwrap();
    world.fails(&["status"], 3, "SERVIZIO_MAI_AVVIATO", "non è mai partito");
    assert!(!world.data().exists(), "looking creates nothing");
}

#[test]
fn sockets_of_the_dead_are_replaced_those_of_the_living_and_other_files_are_not() {
    let mut world = World::new();
    let operator = Operator::of_hub(world.store(), Clock::REAL);
    std::fs::create_dir(world.folder.path().join("run")).unwrap();
    drop(std::os::unix::net::UnixListener::bind(world.socket()).unwrap());
    assert!(world.socket().exists() && UnixStream::connect(world.socket()).is_err(), "left by a dead process");
    world.listen();
    assert!(world.report::<StatusReport>(&["status"]).running);
    let second = world.runtime.block_on(async { ControlServer::start(&world.socket(), operator.clone()) });
    assert!(matches!(second, Err(ControlError::Taken(_))), "another hub answers");
    assert!(world.report::<StatusReport>(&["status"]).running);
    let left: Vec<_> = std::fs::read_dir(world.folder.path().join("run")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["messo.sock"]);
    world.stop();
    std::fs::write(world.socket(), "di qualcun altro").unwrap();
    let third = world.runtime.block_on(async { ControlServer::start(&world.socket(), operator) });
    assert!(matches!(third, Err(ControlError::NotASocket(_))));
    assert_eq!(std::fs::read_to_string(world.socket()).unwrap(), "di qualcun altro");
}

#[test]
fn stopping_does_not_wait_for_silent_clients() {
    let mut world = World::new();
    world.listen();
    let mut silent: Vec<UnixStream> = (0..5).map(|_| UnixStream::connect(world.socket()).unwrap()).collect();
    silent[0].write_all(b"{\"v\":").unwrap();
    silent[1].write_all(b"ciao\n").unwrap();
    wait_for("garbage is answered", Duration::from_secs(60), || (silent[1].read(&mut [0; 8]).unwrap() > 0).then_some(()));
    let (_, took) = timed(|| world.stop());
    assert!(took < Duration::from_secs(3), "{took:?}");
}

struct Copies;

#[async_trait]
impl Publisher for Copies {
    async fn rebuild(&self, source: Option<&str>, from: Option<u64>) -> Result<RebuildReport, OperateError> {
        let (files, folders) = (from.unwrap_or(100), vec!["esiti/copie".to_owned()]);
        match source {
            Some("tributi") | None => Ok(RebuildReport { files, folders, ..RebuildReport::default() }),
            Some(other) => Err(OperateError::UnknownSource { source: other.to_owned() }),
        }
    }
}

#[test]
fn publishing_again_is_asked_of_the_hub() {
    let mut world = World::new();
    world.listen_with(Operator::of_hub(world.store(), Clock::REAL).with_publisher(Arc::new(Copies)));
    assert_eq!(world.report::<RebuildReport>(&["publish", "--rebuild"]).files, 100);
    assert_eq!(world.report::<RebuildReport>(&["publish", "--from", "7", "--source", "tributi"]).files, 7);
    assert!(world.run(&["publish", "--rebuild", "--source", "tributi"]).out.contains("esiti/copie"));
    world.fails(&["publish", "--rebuild", "--source", "altro"], 1, "GESTIONALE_SCONOSCIUTO", "«altro»");
    for args in [&["publish"][..], &["publish", "--from", "7"], &["publish", "--rebuild", "--from", "7", "--source", "tributi"]] {
        assert_eq!(world.run(args).code, 2, "{args:?}");
    }
}

/// Every code that these commands may answer, as the sources name them, stands in the operators' page.
#[test]
fn every_code_is_documented() {
    let page = include_str!("../docs/comandi.md");
    let sources =
        [include_str!("../src/service/operate/error.rs"), include_str!("../src/service/control.rs"), include_str!("../src/cli/hub.rs")];
    let word = |text: &&str| text.len() > 8 && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_') && *text != "SUDO_USER";
    let codes: std::collections::BTreeSet<&str> = sources.iter().flat_map(|text| text.split('"').filter(word)).collect();
    assert!(codes.len() > 30, "{codes:?}");
    for code in codes {
        assert!(page.contains(&format!("`{code}`")), "{code} is not in docs/comandi.md");
    }
}

/// Instants of a report read back as they were written.
#[test]
fn reports_are_read_back_as_written() {
    let entry: messo::service::report::HistoryEntry =
        serde_json::from_value(json!({"at": "2026-11-22T08:00:00.123Z", "event": "SOSPESO", "state": null, "codes": ["X"]})).unwrap();
    assert_eq!(entry.at, "2026-11-22T08:00:00.123Z".parse::<Timestamp>().unwrap());
    assert_eq!(serde_json::from_value::<messo::service::report::HistoryEntry>(serde_json::to_value(&entry).unwrap()).unwrap(), entry);
}
