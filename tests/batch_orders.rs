//! A batch that an operator stops, lets go on, has read again: nothing of it goes to SEND meanwhile, and nothing twice.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a failed step ends the test")]

mod common;

use std::fs;
use std::time::Duration;

use common::office::{Ente, Office, Row, SOON, Simulator, batch, flow, shared_clock};
use common::wait_for;

const ENTE: &str = "01234567897";

fn office(simulator: &Simulator, clock: &str, flows: &[String]) -> Office {
    let key = format!("{ENTE}-prova");
    let enti = [Ente { tax_id: ENTE, key: &key, more: "" }];
    Office::new(clock, &simulator.url(), &enti, &[("uffici", &[ENTE], &["atti"])], flows)
}

fn the_batch(office: &Office, name: &str) -> String {
    let listed = office.ask(&["batch", "list"]);
    let found = listed["batches"].as_array().unwrap().iter().find(|batch| batch["name"] == name).cloned();
    found.unwrap_or_else(|| panic!("{name}: {listed}"))["id"].as_str().unwrap().to_owned()
}

#[test]
fn a_stopped_batch_sends_nothing_and_goes_on_when_it_is_resumed() {
    let clock = shared_clock(1_440);
    let simulator = Simulator::start(&clock, "");
    let mut office = office(&simulator, &clock, &[flow("atti", "", "[sending]\nwhen = \"held\"")]);
    office.start();
    let rows: Vec<Row> = (1..=30).map(|n| Row::new(ENTE, &format!("F-{n:02}"))).collect();
    office.answered("uffici", "atti", "fermo.zip", &batch(&rows), "PRESA_IN_CARICO", &[]);
    office.answered(
        "uffici",
        "atti",
        "altro.zip",
        &batch(&[Row::new(ENTE, "ALTRO").with("codice_fiscale", "BNCLRA85D41F205R")]),
        "PRESA_IN_CARICO",
        &[],
    );
    let id = the_batch(&office, "fermo.zip");
    let stopped = office.ask(&["batch", "pause", &id, "--reason", "chiesto dall'ufficio"]);
    assert_eq!((stopped["order"].as_str(), stopped["why"].as_str()), (Some("FERMA_LOTTO"), Some("chiesto dall'ufficio")));
    assert_eq!(office.command(&["batch", "pause", &id, "--reason", "ancora"]).code, 1);
    for name in ["fermo.zip", "altro.zip"] {
        office.ask(&["batch", "release", &the_batch(&office, name), "--reason", "pronto"]);
    }
    // What comes behind it is not kept waiting. (Twenty of its acts go first, the others wait for those.)
    wait_for("the other batch is at SEND", SOON, || (simulator.of("ALTRO").len() == 1).then_some(()));
    wait_for("the jobs are set aside", SOON, || {
        let jobs = office.ask(&["status"])["jobs"].clone();
        (jobs["FERMO"].as_u64() == Some(20) && jobs["PRONTO"].as_u64().unwrap_or(0) == 0).then_some(())
    });
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(simulator.look("notifications").as_array().unwrap().len(), 1);
    let shown = office.ask(&["batch", "show", &id]);
    assert!(shown["paused"].is_string() && office.ask(&["status"])["paused_batches"] == serde_json::json!([id]), "{shown}");
    // Stopped it stays, over a restart.
    office.stop();
    office.start();
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(simulator.look("notifications").as_array().unwrap().len(), 1);
    assert!(office.ask(&["status"])["stuck"].as_array().unwrap().is_empty());
    office.ask(&["batch", "resume", &id, "--reason", "risolto"]);
    assert_eq!(office.command(&["batch", "resume", &id, "--reason", "ancora"]).code, 1);
    wait_for("all of it is at SEND", SOON, || (simulator.look("notifications").as_array().unwrap().len() == 31).then_some(()));
    let history = office.ask(&["batch", "show", &id])["history"].clone();
    let orders: Vec<&str> =
        history.as_array().unwrap().iter().filter_map(|row| row["event"].as_str()).filter(|event| event.starts_with("ORDINE_")).collect();
    assert_eq!(orders, ["ORDINE_FERMA", "ORDINE_RILASCIA", "ORDINE_RIPRENDI"]);
    office.stop();
}

#[test]
fn a_batch_read_again_judges_what_was_refused_and_sends_nothing_twice() {
    let clock = shared_clock(1_440);
    let simulator = Simulator::start(&clock, "");
    let strict = flow("atti", "", "");
    let mut office = office(&simulator, &clock, std::slice::from_ref(&strict));
    office.start();
    let person = |row: Row, n: usize| row.with("denominazione", ["Mario Rossi", "Laura Bianchi"][n % 2]);
    let rows = [
        person(Row::new(ENTE, "R-BUONO"), 0),
        person(Row::new(ENTE, "R-AVVISO").notice(ENTE, 7).with("avviso_applica_costi_1", "NO"), 0),
        person(Row::new(ENTE, "R-RIFIUTATO").with("indirizzo", "Via @FAIL-INDIRIZZO 1"), 0),
        person(Row::new(ENTE, "R-ANNULLATO"), 0),
    ];
    let bytes = batch(&rows);
    let receipt = office.answered("uffici", "atti", "lotto.zip", &bytes, "PARZIALE", &["PAGAMENTO_NON_AMMESSO", "TASSONOMIA_E_PAGAMENTO"]);
    assert!(receipt.xml.contains("R-AVVISO"), "{}", receipt.xml);
    office.wait_state("uffici", "R-RIFIUTATO", "RIFIUTATO");
    office.wait_act("R-ANNULLATO", "accepted", |act| act["act"]["iun"].is_string());
    office.ask(&["act", "cancel", "R-ANNULLATO", "--reason", "errore dell'ufficio"]);
    office.wait_state("uffici", "R-ANNULLATO", "ANNULLATO");
    let id = the_batch(&office, "lotto.zip");
    // The flow takes payments by now.
    office.stop();
    fs::write(
        office.dir().join("flussi/atti.toml"),
        strict.replace("payment = \"forbidden\"", "payment = \"allowed\"").replace("010501N", "010101P"),
    )
    .unwrap();
    office.start();
    let order = office.ask(&["batch", "replay", &id, "--reason", "corretto il flusso"]);
    let again = order["batch"].as_str().unwrap().to_owned();
    assert_ne!(again, id);
    let read = wait_for("it was read again", SOON, || {
        let shown = office.ask(&["batch", "show", &again]);
        shown["batch"]["finished_at"].is_string().then_some(shown)
    });
    let counts = ["acts", "accepted", "refused", "duplicates"].map(|name| read["batch"][name].as_u64().unwrap());
    assert_eq!((counts, read["replay_of"].as_str()), ([4, 1, 0, 3], Some(id.as_str())), "{read}");
    office.wait_act("R-AVVISO", "accepted", |act| act["act"]["iun"].is_string());
    // Again and again: nothing is left to be judged.
    let third = office.ask(&["batch", "replay", &again, "--reason", "prova"])["batch"].as_str().unwrap().to_owned();
    wait_for("read a third time", SOON, || {
        let shown = office.ask(&["batch", "show", &third]);
        (shown["batch"]["state"] == "DUPLICATO").then_some(())
    });
    std::thread::sleep(Duration::from_millis(500));
    for reference in ["R-BUONO", "R-AVVISO", "R-RIFIUTATO", "R-ANNULLATO"] {
        assert_eq!(simulator.of(reference).len(), 1, "{reference} went to SEND once");
    }
    let orders: Vec<String> = office.ask(&["batch", "show", &id])["history"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|row| row["event"] == "ORDINE_RIELABORA")
        .map(|row| row["why"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(orders, ["corretto il flusso"]);
    // Trials and copies of others are not read again.
    office.answered("uffici", "prova/atti", "prova.zip", &batch(&[Row::new(ENTE, "P-1")]), "PRESA_IN_CARICO", &["TASSONOMIA_E_PAGAMENTO"]);
    let refused = |name: &str| {
        let ran = office.command(&["batch", "replay", &the_batch(&office, name), "--reason", "prova", "--json"]);
        let told: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
        told["error"]["code"].as_str().unwrap().to_owned()
    };
    assert_eq!(refused("prova.zip"), "LOTTO_DI_PROVA");
    office.deposit("uffici", "atti", "doppio.zip", &bytes);
    office.receipt("uffici", "doppio.zip");
    assert_eq!(refused("doppio.zip"), "LOTTO_DUPLICATO");
    office.stop();
}
