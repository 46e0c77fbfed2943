//! API keys, end to end: refused, renamed, given other groups; streams that SEND refuses. The real hub, the real simulator.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a failed step ends the test")]

mod common;

use std::fs;
use std::thread;
use std::time::Duration;

use common::office::{Ente, Office, Row, SOON, Simulator, batch, flow, http, shared_clock};
use common::published::Line;
use common::wait_for;
use serde_json::{Value, json};

const ENTE: &str = "01234567897";
const OTHER: &str = "09876543217";
const WHY: [&str; 2] = ["--reason", "prova delle chiavi"];
/// A business day in a real second.
const DAY_A_SECOND: u32 = 86_400;

fn order(office: &Office, args: &[&str]) -> Value {
    office.ask(&[args, &WHY].concat())
}

/// Changes the configuration; the hub reads it when it starts.
fn configure(office: &Office, from: &str, to: &str) {
    let text = fs::read_to_string(office.config()).unwrap();
    assert!(text.contains(from), "{from:?} is not in\n{text}");
    fs::write(office.config(), text.replace(from, to)).unwrap();
}

fn acts(prefix: &str, count: usize) -> Vec<Row> {
    (0..count).map(|number| Row::new(ENTE, &format!("{prefix}-{number:02}"))).collect()
}

fn events(story: &[Line]) -> Vec<&str> {
    story.iter().map(|line| line["evento"].as_str()).collect()
}

/// The second key of the ente is refused: its first one stops too, its neighbour does not.
#[test]
fn one_refused_key_stops_every_key_of_its_ente_and_one_order_resumes_them() {
    let clock = shared_clock(DAY_A_SECOND);
    let send = Simulator::start(&clock, "");
    let sources: Vec<(&str, &[&str], &[&str])> = vec![("fermo", &[ENTE], &["aperto"]), ("sano", &[OTHER], &["aperto"])];
    let (good, other) = (format!("{ENTE}-prova"), format!("{OTHER}-prova"));
    let second = "[[ente.key]]\nid = \"vigili\"\nsecret = \"file:chiavi/vigili\"\ngroups = [\"vigili\"]";
    let enti = [Ente { tax_id: ENTE, key: &good, more: second }, Ente { tax_id: OTHER, key: &other, more: "" }];
    let mut office = Office::new(&clock, &send.url(), &enti, &sources, &[flow("aperto", "", "")]);
    fs::write(office.dir().join("chiavi/vigili"), "non-una-chiave").unwrap();
    office.start();
    let channel = format!("{ENTE}/vigili");
    wait_for("the ente is stopped", SOON, || office.alerted("CHIAVE_RIFIUTATA").then_some(()));
    office.answered("fermo", "aperto", "lotto.zip", &batch(&acts("FER", 12)), "PRESA_IN_CARICO", &[]);
    office.answered("sano", "aperto", "lotto.zip", &batch(&[Row::new(OTHER, "SAN-1")]), "PRESA_IN_CARICO", &[]);
    for number in 0..12 {
        let parked = office.wait_state("fermo", &format!("FER-{number:02}"), "SOSPESO");
        assert_eq!(parked["codice"], "CHIAVE_RIFIUTATA");
        assert!(!parked["motivo"].is_empty(), "{parked:?}");
    }
    office.wait_state("sano", "SAN-1", "ACCETTATO");
    let status = office.ask(&["status"]);
    assert_eq!(status["parked"], json!({"CHIAVE_RIFIUTATA": 12}), "{status}");
    assert_eq!(status["stopped_channels"][0]["channel"], json!(channel));
    let told = office.log().lines().filter(|line| line.contains("avviso agli operatori") && line.contains("CHIAVE_RIFIUTATA")).count();
    assert_eq!(told, 1, "one alert for the ente, not one for each act");
    let act = office.act("FER-00");
    assert_eq!((&act["channel_stopped"], &act["stopped_channel"]), (&json!("CHIAVE_RIFIUTATA"), &json!(channel)));
    let shown = office.command(&["act", "show", "FER-00"]).out;
    assert!(shown.contains("fermo: CHIAVE_RIFIUTATA") && shown.contains(&format!("--channel {channel}")), "{shown}");
    // One act cannot go while its ente stands.
    let ran = office.command(&[&["act", "retry", "FER-00", "--json"], &WHY[..]].concat());
    let answer: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((ran.code, &answer["error"]["code"]), (1, &json!("ENTE_FERMO")), "{answer}");
    assert!(send.of("FER-00").is_empty());

    office.stop();
    fs::write(office.dir().join("chiavi/vigili"), format!("{ENTE}-gruppo=vigili")).unwrap();
    office.start();
    thread::sleep(Duration::from_millis(1_500));
    assert_eq!(office.ask(&["status"])["parked"], json!({"CHIAVE_RIFIUTATA": 12}), "a restart resumes nothing by itself");
    order(&office, &["act", "retry", "--channel", &channel]);
    for number in 0..12 {
        let reference = format!("FER-{number:02}");
        office.wait_state("fermo", &reference, "PERFEZIONATO");
        send.only(&reference);
        assert_eq!(events(&office.story("fermo", &reference))[..4], ["PRESO_IN_CARICO", "SOSPESO", "RIPRESO", "INVIATO"]);
    }
    let status = office.ask(&["status"]);
    assert_eq!((&status["parked"], &status["stopped_channels"]), (&json!({}), &json!([])));
    office.stop();
}

/// SEND throws away what nobody reads for seven days, also what it told late of acts that are closed: those are read one by one.
#[test]
fn after_more_than_seven_days_without_reading_closed_acts_are_read_one_by_one() {
    let clock = shared_clock(DAY_A_SECOND);
    let send = Simulator::start(&clock, "");
    let key = format!("{ENTE}-prova");
    let sources: Vec<(&str, &[&str], &[&str])> = vec![("assente", &[ENTE], &["aperto"])];
    let enti = [Ente { tax_id: ENTE, key: &key, more: "" }];
    let mut office = Office::new(&clock, &send.url(), &enti, &sources, &[flow("aperto", "", "")]);
    office.start();
    office.answered("assente", "aperto", "lotto.zip", &batch(&acts("ASS", 2)), "PRESA_IN_CARICO", &[]);
    for number in 0..2 {
        office.wait_state("assente", &format!("ASS-{number:02}"), "PERFEZIONATO");
    }
    office.stop();
    let read = || send.look("counters")["operations"]["detail"].as_u64().unwrap();
    let before = read();
    thread::sleep(Duration::from_secs(9));
    office.start();
    wait_for("both closed acts are read again", SOON, || (read() >= before + 2).then_some(()));
    office.stop();
}

/// The same by the code of the stop.
#[test]
fn a_stop_is_resumed_by_its_code_too() {
    let clock = shared_clock(DAY_A_SECOND);
    let send = Simulator::start(&clock, "");
    let sources: Vec<(&str, &[&str], &[&str])> = vec![("fermo", &[ENTE], &["aperto"])];
    let mut office =
        Office::new(&clock, &send.url(), &[Ente { tax_id: ENTE, key: "mai-vista", more: "" }], &sources, &[flow("aperto", "", "")]);
    office.start();
    office.answered("fermo", "aperto", "lotto.zip", &batch(&acts("COD", 3)), "PRESA_IN_CARICO", &[]);
    for number in 0..3 {
        office.wait_state("fermo", &format!("COD-{number:02}"), "SOSPESO");
    }
    office.stop();
    office.set_key(ENTE, &format!("{ENTE}-giusta"));
    // No hub: the order is kept, and carried out to the end, by the command itself.
    let done = order(&office, &["act", "retry", "--code", "CHIAVE_RIFIUTATA"]);
    assert_eq!((&done["count"], &done["running"]), (&json!(3), &json!(false)));
    assert_eq!(office.ask(&["status"])["parked"], json!({}));
    office.start();
    for number in 0..3 {
        office.wait_state("fermo", &format!("COD-{number:02}"), "PERFEZIONATO");
    }
    let orders = office.ask(&["status"])["channel_orders"].clone();
    assert_eq!(orders[0]["channel"], json!(format!("{ENTE}/prima")), "{orders}");
    office.stop();
}

/// A key that is gone from the configuration: what it had to do ends with a person, and goes on when the key is back.
#[test]
fn work_of_a_key_that_is_gone_is_parked_and_goes_on_when_the_key_is_back() {
    let clock = shared_clock(DAY_A_SECOND);
    let send = Simulator::start(&clock, "");
    let sources: Vec<(&str, &[&str], &[&str])> = vec![("uffici", &[ENTE], &["aperto", "trattenuto"])];
    let key = format!("{ENTE}-prova");
    let flows = [flow("aperto", "", ""), flow("trattenuto", "", "[sending]\nwhen = \"held\"")];
    let mut office = Office::new(&clock, &send.url(), &[Ente { tax_id: ENTE, key: &key, more: "" }], &sources, &flows);
    office.start();
    let receipt = office.answered("uffici", "trattenuto", "lotto.zip", &batch(&acts("ORF", 3)), "PRESA_IN_CARICO", &[]);
    office.wait_state("uffici", "ORF-02", "IN_ATTESA");
    office.stop();
    configure(&office, "id = \"prima\"", "id = \"seconda\"");
    office.start();
    let id = common::published::texts(&receipt.xml, "lotto").remove(0);
    order(&office, &["batch", "release", &id]);
    for number in 0..3 {
        let parked = office.wait_state("uffici", &format!("ORF-{number:02}"), "SOSPESO");
        assert_eq!(parked["codice"], "CHIAVE_NON_CONFIGURATA");
    }
    assert!(office.alerted("CHIAVE_NON_CONFIGURATA"));
    // New acts take the new key and are not held up.
    office.answered("uffici", "aperto", "nuovo.zip", &batch(&[Row::new(ENTE, "NUO-1")]), "PRESA_IN_CARICO", &[]);
    office.wait_state("uffici", "NUO-1", "ACCETTATO");
    assert!(send.of("ORF-00").is_empty());
    office.stop();
    configure(&office, "id = \"seconda\"", "id = \"prima\"");
    office.start();
    assert_eq!(order(&office, &["act", "retry", "--code", "CHIAVE_NON_CONFIGURATA"])["count"], 3);
    for number in 0..3 {
        office.wait_state("uffici", &format!("ORF-{number:02}"), "PERFEZIONATO");
        send.only(&format!("ORF-{number:02}"));
    }
    office.stop();
}

fn streams(send: &Simulator, key: &str) -> Vec<Value> {
    let headers = [("x-api-key", key)];
    let (_, listed) = http(send.addr, "GET", "/delivery-progresses/v2.9/streams", &headers);
    let listed: Vec<Value> = serde_json::from_str(&listed).unwrap();
    let id = |stream: &Value| stream["streamId"].as_str().unwrap().to_owned();
    let one = |stream: &Value| http(send.addr, "GET", &format!("/delivery-progresses/v2.9/streams/{}", id(stream)), &headers).1;
    listed.iter().map(|stream| serde_json::from_str(&one(stream)).unwrap()).collect()
}

/// Acts are under way at SEND while the key is given another group: what the old stream still holds is read to its end.
#[test]
fn a_stream_follows_the_groups_of_its_key_and_nothing_is_lost() {
    let clock = shared_clock(DAY_A_SECOND);
    let send = Simulator::start(&clock, "");
    let sources: Vec<(&str, &[&str], &[&str])> = vec![("gruppi", &[ENTE], &["aperto"])];
    let key = format!("{ENTE}-prova");
    let mut office = Office::new(&clock, &send.url(), &[Ente { tax_id: ENTE, key: &key, more: "" }], &sources, &[flow("aperto", "", "")]);
    let secret = format!("secret = \"file:chiavi/{ENTE}\"");
    let groups = |list: &str| format!("{secret}\ngroups = {list}");
    configure(&office, &secret, &groups("[\"vigili\"]"));
    office.start();
    let of = |prefix: &str, count: usize, group: &str| -> Vec<u8> {
        batch(&acts(prefix, count).into_iter().map(|row| row.with("gruppo", group)).collect::<Vec<_>>())
    };
    office.answered("gruppi", "aperto", "primo.zip", &of("UNO", 12, "vigili"), "PRESA_IN_CARICO", &[]);
    for number in 0..12 {
        wait_for("SEND has it", SOON, || (!send.of(&format!("UNO-{number:02}")).is_empty()).then_some(()));
    }
    office.stop();
    // Ten seconds are ten days: letters are delivered while nobody listens.
    let before = streams(&send, &key);
    assert_eq!((before.len(), &before[0]["groups"]), (1, &json!(["vigili"])));
    wait_for("SEND has told a lot", SOON, || {
        let iun = send.only("UNO-11")["iun"].as_str().map(str::to_owned)?;
        let path = format!("/delivery/v2.8/notifications/sent/{iun}");
        http(send.addr, "GET", &path, &[("x-api-key", &key)]).1.contains("SEND_ANALOG_FEEDBACK").then_some(())
    });
    configure(&office, &groups("[\"vigili\"]"), &groups("[\"vigili\", \"tributi\"]"));
    office.start();
    office.answered("gruppi", "aperto", "secondo.zip", &of("DUE", 2, "tributi"), "PRESA_IN_CARICO", &[]);
    let mut all: Vec<String> = (0..12).map(|number| format!("UNO-{number:02}")).collect();
    all.extend(["DUE-00".to_owned(), "DUE-01".to_owned()]);
    for reference in &all {
        office.wait_state("gruppi", reference, "PERFEZIONATO");
        send.only(reference);
    }
    let now = streams(&send, &key);
    let (old, new): (Vec<&Value>, Vec<&Value>) = now.iter().partition(|stream| stream["disabledDate"].is_string());
    assert_eq!((old.len(), new.len()), (1, 1), "{now:?}");
    assert_eq!((&old[0]["streamId"], &new[0]["groups"]), (&before[0]["streamId"], &json!(["tributi", "vigili"])));
    wait_for("the old one is left", SOON, || office.log().contains("letto fino in fondo").then_some(()));
    assert!(!office.alerted("FLUSSO_EVENTI_PERSO"));
    let path = format!("/delivery-progresses/v2.9/streams/{}/events", before[0]["streamId"].as_str().unwrap());
    assert_eq!(http(send.addr, "GET", &path, &[("x-api-key", &key)]).1, "[]", "all that it held was read and confirmed");
    office.stop();

    // Back to one group: the stream of that name is disabled by now, and of no use.
    configure(&office, &groups("[\"vigili\", \"tributi\"]"), &groups("[\"vigili\"]"));
    office.start();
    office.answered("gruppi", "aperto", "terzo.zip", &of("TRE", 1, "vigili"), "PRESA_IN_CARICO", &[]);
    office.wait_state("gruppi", "TRE-00", "PERFEZIONATO");
    let now = streams(&send, &key);
    let active: Vec<&Value> = now.iter().filter(|stream| stream.get("disabledDate").is_none()).collect();
    assert_eq!((now.len(), active.len(), &active[0]["groups"]), (3, 1, &json!(["vigili"])), "{now:?}");
    office.stop();

    // At SEND the key is now bound to a group that the old stream does not have: it may not touch it any more.
    office.set_key(ENTE, &format!("{ENTE}-gruppo=tributi"));
    configure(&office, &groups("[\"vigili\"]"), &groups("[\"tributi\"]"));
    office.start();
    wait_for("operators are told", SOON, || office.alerted("FLUSSO_EVENTI_PERSO").then_some(()));
    office.answered("gruppi", "aperto", "quarto.zip", &of("QUA", 1, "tributi"), "PRESA_IN_CARICO", &[]);
    office.wait_state("gruppi", "QUA-00", "PERFEZIONATO");
    assert_eq!(office.ask(&["status"])["stopped_channels"], json!([]), "a stream of other groups is not a refused key");
    office.stop();
}

/// The key was given another group: SEND does not show it any more what it has created. A person is called within hours, not
/// after a week of asking, and resumes the act when the key is right again.
#[test]
fn a_notification_that_its_key_no_longer_sees_waits_for_a_person() {
    const CODE: &str = "NOTIFICA_NON_VISIBILE";
    let clock = shared_clock(DAY_A_SECOND);
    let send = Simulator::start(&clock, "");
    let sources: Vec<(&str, &[&str], &[&str])> = vec![("cieco", &[ENTE], &["aperto"])];
    let key = format!("{ENTE}-gruppo=vigili");
    let mut office = Office::new(&clock, &send.url(), &[Ente { tax_id: ENTE, key: &key, more: "" }], &sources, &[flow("aperto", "", "")]);
    let secret = format!("secret = \"file:chiavi/{ENTE}\"");
    let groups = |name: &str| format!("{secret}\ngroups = [\"{name}\"]");
    configure(&office, &secret, &groups("vigili"));
    office.start();
    let rows = vec![Row::new(ENTE, "CIE-00").with("gruppo", "vigili")];
    office.answered("cieco", "aperto", "lotto.zip", &batch(&rows), "PRESA_IN_CARICO", &[]);
    office.wait_state("cieco", "CIE-00", "PERFEZIONATO");
    office.stop();
    office.set_key(ENTE, &format!("{ENTE}-gruppo=tributi"));
    configure(&office, &groups("vigili"), &groups("tributi"));
    office.start();
    order(&office, &["act", "cancel", "CIE-00"]);
    let act = office.wait_act("CIE-00", "is parked", |act| act["act"]["parked"] == CODE);
    let attempts = act["jobs"].as_array().unwrap().iter().filter_map(|job| job["attempts"].as_u64()).max();
    assert!(attempts.is_some_and(|attempts| attempts <= 12), "{act}");
    assert!(office.alerted(CODE));
    let parked = office.wait_state("cieco", "CIE-00", "SOSPESO");
    assert!(parked["codice"] == CODE && parked["motivo"].contains("non mostra alla chiave"), "{parked:?}");
    assert_eq!(office.ask(&["status"])["parked"], json!({CODE: 1}));
    for command in [&["act", "show", "CIE-00"][..], &["status"]] {
        let shown = office.command(command).out;
        assert!(shown.contains("non mostra alla chiave") && shown.contains("Verificare su SEND i gruppi della chiave"), "{shown}");
    }

    office.stop();
    office.set_key(ENTE, &key);
    configure(&office, &groups("tributi"), &groups("vigili"));
    office.start();
    order(&office, &["act", "retry", "CIE-00"]);
    office.wait_state("cieco", "CIE-00", "ANNULLATO");
    assert_eq!(office.ask(&["status"])["parked"], json!({}));
    office.stop();
}

/// The places for streams are all taken: nothing is sent, operators are told, and told again when there is one.
#[test]
fn a_stream_that_send_refuses_is_told_and_so_is_its_return() {
    let clock = shared_clock(DAY_A_SECOND);
    let send = Simulator::start(&clock, "");
    let key = format!("{ENTE}-prova");
    let base = format!("{}/delivery-progresses/v2.9/streams", send.url());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let taken: Vec<String> = runtime.block_on(async {
        let mut taken = Vec::new();
        for number in 0..10 {
            let wish = json!({"title": format!("di altri {number}"), "eventType": "TIMELINE", "groups": []});
            let answer: Value = client.post(&base).header("x-api-key", &key).json(&wish).send().await.unwrap().json().await.unwrap();
            taken.push(answer["streamId"].as_str().unwrap().to_owned());
        }
        taken
    });
    let sources: Vec<(&str, &[&str], &[&str])> = vec![("pieno", &[ENTE], &["aperto"])];
    let mut office = Office::new(&clock, &send.url(), &[Ente { tax_id: ENTE, key: &key, more: "" }], &sources, &[flow("aperto", "", "")]);
    office.start();
    wait_for("operators are told", SOON, || office.alerted("FLUSSO_EVENTI_RIFIUTATO").then_some(()));
    office.answered("pieno", "aperto", "lotto.zip", &batch(&acts("PIE", 1)), "PRESA_IN_CARICO", &[]);
    office.wait_act("PIE-00", "waits for the stream", |act| act["jobs"][0]["error"] == "FLUSSO_EVENTI_NON_ATTIVO");
    assert!(send.of("PIE-00").is_empty() && !office.alerted("FLUSSO_EVENTI_RIPRESO"));
    let told = |office: &Office, code: &str| office.log().lines().filter(|line| line.contains("avviso") && line.contains(code)).count();
    assert_eq!(told(&office, "FLUSSO_EVENTI_RIFIUTATO"), 1);
    // Told before the restart: not told again after it.
    office.stop();
    office.start();
    wait_for("it is refused again", SOON, || office.log().contains("il flusso degli eventi non risponde").then_some(()));
    let (status, _) = http(send.addr, "DELETE", &format!("/delivery-progresses/v2.9/streams/{}", taken[3]), &[("x-api-key", &key)]);
    assert_eq!(status, 204);
    office.wait_state("pieno", "PIE-00", "PERFEZIONATO");
    assert_eq!((told(&office, "FLUSSO_EVENTI_RIFIUTATO"), told(&office, "FLUSSO_EVENTI_RIPRESO")), (0, 1));
    office.stop();
}
