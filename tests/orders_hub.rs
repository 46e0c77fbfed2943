//! Orders that come at the worst moment, with the real program: while SEND is still deciding about the act.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a failed step ends the test")]

mod common;
#[path = "crash/house.rs"]
mod house;
#[path = "crash/lot.rs"]
mod lot;

use std::time::Duration;

use common::{messo, wait_for};
use house::{House, POLIZIA, Simulator, clock_from_now};
use lot::{Act, Lot, REFUSED, SEEN};

const SOON: Duration = Duration::from_secs(300);
/// SEND's four minutes of validation take seven: there is time to come before their end.
const FACTOR: u32 = 32;

fn states(house: &House, reference: &str) -> Vec<String> {
    let Some(db) = house.store() else { return Vec::new() };
    let Ok(mut select) = db.prepare("SELECT state FROM act WHERE reference = ?1 ORDER BY submission") else { return Vec::new() };
    select.query_map([reference], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// The act to be cancelled is refused before it could be: what replaces it goes, and nobody waits for ever.
#[test]
fn what_replaces_an_act_that_send_refuses_is_sent() {
    let clock = clock_from_now(FACTOR);
    let simulator = Simulator::start(&clock, &[]);
    let house = House::new(&simulator.url, &clock, "disk_reserve_bytes = 0");
    let mut hub = house.run();
    hub.wait_line("messo è in servizio", SOON);
    house.drop_file(POLIZIA.0, "atto.zip", &Lot::of(POLIZIA.1, vec![Act::new("O-1", REFUSED)]).zip());
    wait_for("the act is at SEND, not yet accepted", SOON, || (states(&house, "O-1") == ["INVIATO"]).then_some(()));
    let mut anew = Act::new("O-1", SEEN);
    (anew.action, anew.version) = ("sostituisci", 2);
    house.drop_file(POLIZIA.0, "sostituzione.zip", &Lot::of(POLIZIA.1, vec![anew]).zip());
    wait_for("the replacement waits for its predecessor", SOON, || (states(&house, "O-1") == ["INVIATO", "IN_ATTESA"]).then_some(()));
    wait_for("the replacement is at SEND", SOON, || (states(&house, "O-1") == ["RIFIUTATO", "IN_CONSEGNA"]).then_some(()));
    let notifications = simulator.look("notifications");
    let statuses: Vec<&str> = notifications.as_array().unwrap().iter().map(|note| note["requestStatus"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["REFUSED", "ACCEPTED"]);
    assert_eq!(house.count("SELECT count(*) FROM line WHERE event = 'ORDINE_RESPINTO'"), Some(0));
    assert_eq!(house.count("SELECT count(*) FROM batch_order WHERE done = 0"), Some(0));
    assert_eq!(hub.terminate(SOON).code(), Some(0));
}

/// Before the IUN there is nothing to cancel: the order waits, and is carried out as soon as there is one.
#[test]
fn an_act_without_iun_is_cancelled_when_it_has_one() {
    let clock = clock_from_now(FACTOR);
    let simulator = Simulator::start(&clock, &[]);
    let house = House::new(&simulator.url, &clock, "disk_reserve_bytes = 0");
    let mut hub = house.run();
    hub.wait_line("messo è in servizio", SOON);
    house.drop_file(POLIZIA.0, "atto.zip", &Lot::of(POLIZIA.1, vec![Act::new("O-2", SEEN)]).zip());
    wait_for("the act is at SEND, not yet accepted", SOON, || (states(&house, "O-2") == ["INVIATO"]).then_some(()));
    house.drop_file(POLIZIA.0, "annulla.zip", &Lot::of(POLIZIA.1, vec![Act::order("O-2", "annulla")]).zip());
    wait_for("it is cancelled", SOON, || (states(&house, "O-2") == ["ANNULLATO"]).then_some(()));
    let notifications = simulator.look("notifications");
    let notifications = notifications.as_array().unwrap();
    assert_eq!((notifications.len(), &notifications[0]["cancelled"]), (1, &serde_json::Value::Bool(true)));
    assert_eq!(hub.terminate(SOON).code(), Some(0));
}

/// An operator's order of the same kind is remembered: nobody has to come back for it.
#[test]
fn an_operators_cancel_before_the_iun_is_carried_out_by_itself() {
    let clock = clock_from_now(FACTOR);
    let simulator = Simulator::start(&clock, &[]);
    let house = House::new(&simulator.url, &clock, "disk_reserve_bytes = 0");
    let mut hub = house.run();
    hub.wait_line("messo è in servizio", SOON);
    // One that SEND will take, one that it will refuse.
    let acts = vec![Act::new("O-3", SEEN), Act::new("O-4", REFUSED)];
    house.drop_file(POLIZIA.0, "atti.zip", &Lot::of(POLIZIA.1, acts).zip());
    for reference in ["O-3", "O-4"] {
        wait_for("the act is at SEND, not yet accepted", SOON, || (states(&house, reference) == ["INVIATO"]).then_some(()));
        let command = ["act", "cancel", reference, "--reason", "pagato", "--json", "--config"];
        let output = messo(&command).arg(house.path("messo.toml")).output().unwrap();
        let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((&answer["remembered"], &answer["state"]), (&serde_json::Value::Bool(true), &"INVIATO".into()), "{answer}");
    }
    wait_for("one is cancelled, the other was refused", SOON, || {
        (states(&house, "O-3") == ["ANNULLATO"] && states(&house, "O-4") == ["RIFIUTATO"]).then_some(())
    });
    let waiting = "SELECT count(*) FROM job WHERE kind = 'ANNULLA_APPENA_POSSIBILE'";
    wait_for("nothing is left of the orders", SOON, || (house.count(waiting) == Some(0)).then_some(()));
    let cancelled = |note: &&serde_json::Value| note["cancelled"] == true;
    assert_eq!(simulator.look("notifications").as_array().unwrap().iter().filter(cancelled).count(), 1);
    assert_eq!(hub.terminate(SOON).code(), Some(0));
}
