//! Mails to operators against a real SMTP server: protection and login, recipients refused and put off, servers that are silent or
//! away, and the process killed at every point of `messo::failpoint::MAIL_POINTS`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a failed step ends the test")]

mod common;
#[path = "mail/house.rs"]
mod house;

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use common::process::timed;
use common::{Child, Dice, wait_for};
use house::{ENTE, House, ready};
use messo::failpoint;
use serde_json::json;

const STOP: Duration = Duration::from_secs(90);
const TO_ONE: &str = "[[ente.avvisi]]\nto = [\"uno@comune.esempio.it\"]";
const LOGIN: &[&str] = &["messo", "parola d'ordine"];

fn secured(tls: &str) -> String {
    format!(
        "tls = \"{tls}\"\nca = \"ca.pem\"\nuser = \"messo\"\npassword = \"file:password\"\nto = [\"ced@comune.esempio.it\"]\ncollect_minutes = 1"
    )
}

const PLAIN: &str = "tls = \"nessuno\"\ncollect_minutes = 1\ntimeout_s = 1\nmessage_timeout_s = 1";

#[test]
fn mails_go_protected_and_a_storm_is_one_of_them() {
    if !ready() {
        return;
    }
    for tls in ["starttls", "tls"] {
        let mut house = House::new(&secured(tls), TO_ONE);
        house.serve(tls, LOGIN);
        let mut hub = house.start();
        house.raise("TENTATIVI_ESAURITI", 1);
        house.wait_taken(1);
        house.raise("TENTATIVI_ESAURITI", 300);
        house.raise_with("DISCO_QUASI_PIENO", None, 1, None);
        let taken = house.wait_taken(3);
        assert!(taken.iter().all(|mail| mail.tls && mail.login), "{tls}: {taken:?}");
        assert!(taken[0].subject.starts_with("[messo COLLAUDO] Tentativi esauriti"), "{}", taken[0].subject);
        let disk = taken.iter().find(|mail| mail.to == "ced@comune.esempio.it").unwrap();
        assert_eq!(disk.subject, "[messo] Disco quasi pieno");
        let digest = taken.iter().rfind(|mail| mail.to == "uno@comune.esempio.it").unwrap();
        assert!(digest.raw.contains("300 x Tentativi esauriti"), "{}", digest.raw);
        assert!(digest.raw.contains("multipart/alternative") && digest.raw.contains("text/html"));
        assert!(hub.terminate(STOP).success());
        assert_eq!(house.taken().len(), 3);
        assert!(!hub.output().contains("uno@comune"), "an address in the log: {}", hub.output());
    }
}

#[test]
fn one_refused_recipient_of_three_does_not_stop_the_others_and_is_told() {
    if !ready() {
        return;
    }
    let rules = "[[ente.avvisi]]\nto = [\"buono@e.it\", \"rifiutato@e.it\", \"dopo@e.it\"]";
    let mut house = House::new(PLAIN, rules);
    house.rules(json!({"rcpt": {"rifiutato@e.it": ["550 5.1.1 No such user"], "dopo@e.it": ["450 greylisted", "451 again", "ok"]}}));
    house.serve("plain", &[]);
    let mut hub = house.start();
    house.raise("LOTTO_SCARTATO", 1);
    let taken = house.wait_taken(2);
    assert_eq!(taken.iter().map(|mail| mail.to.as_str()).collect::<Vec<_>>(), ["buono@e.it", "dopo@e.it"]);
    let status = house.wait_status("nothing waits", |mail| mail["waiting"] == 0);
    assert_eq!(status["given_up"].as_array().unwrap().len(), 1, "{status}");
    assert_eq!(status["given_up"][0]["recipient"], "rifiutato@e.it");
    assert_eq!((&status["given_up"][0]["error"], &status["repeats"]), (&json!("DESTINATARIO 550"), &json!(0)));
    // The report of the day tells it, without the address.
    house.raise_with("RAPPORTO_DEL_GIORNO", Some(ENTE), 1, Some(report()));
    let taken = house.wait_taken(4);
    let report = &taken[2].raw;
    assert!(report.contains("r***@e.it: il server ha rifiutato il destinatario (550)"), "{report}");
    assert!(!report.contains("rifiutato@e.it"), "{report}");
    assert!(hub.terminate(STOP).success());
}

fn report() -> serde_json::Value {
    json!({"day": "2026-11-22", "sender": ENTE, "denomination": "Comune di Prova", "environment": "COLLAUDO", "batches": [],
        "batches_total": 0, "states": {}, "sent": 3, "accepted": 2, "completed": 1, "refused": 0, "cancelled": 0, "refusals": {},
        "cost_cents": 250, "parked": {}, "oldest_stuck": [], "waiting": 0, "last_send": null, "next_send": null, "troubles": []})
}

/// Silent for ever at each step, then well again: nothing is lost, and only what may have been taken comes twice, under one id.
#[test]
fn a_server_that_stalls_holds_up_nothing_but_its_mails() {
    if !ready() {
        return;
    }
    let mut house = House::new(PLAIN, TO_ONE);
    house.serve("plain", &[]);
    for (step, error) in [
        ("connect", "SALUTO SENZA_RISPOSTA"),
        ("from", "MITTENTE SENZA_RISPOSTA"),
        ("rcpt", "DESTINATARIO SENZA_RISPOSTA"),
        ("data", "MESSAGGIO SENZA_RISPOSTA"),
    ] {
        let before = house.taken().len();
        house.rules(json!({"stall": step}));
        let mut hub = house.start();
        house.raise("RAPPORTO_DEL_GIORNO", 1);
        let status = house.wait_status(error, |mail| mail["trouble"]["error"] == error);
        assert_eq!(status["waiting"], 1, "{step}: {status}");
        // It stops all the same, while it waits for an answer.
        let (ended, took) = timed(|| hub.terminate(STOP));
        assert!(ended.success() && took < Duration::from_secs(30), "{step}: {took:?}");
        house.rules(json!({}));
        let mut hub = house.start();
        house.wait_taken(before + 1);
        house.wait_status("all is well", |mail| mail["waiting"] == 0 && mail["trouble"].is_null());
        assert!(hub.terminate(STOP).success());
    }
    assert_eq!(repeats(&house), 0, "a stalled server has taken nothing");
    // The message is taken, the answer never comes.
    house.rules(json!({"drop": true}));
    let mut hub = house.start();
    let before = house.taken().len();
    house.raise("RAPPORTO_DEL_GIORNO", 1);
    house.wait_taken(before + 1);
    house.rules(json!({}));
    house.wait_taken(before + 2);
    let status = house.wait_status("all is well", |mail| mail["waiting"] == 0);
    assert!(repeats(&house) >= 1);
    assert!(status["repeats"].as_u64().unwrap() >= repeats(&house), "{status}");
    assert!(hub.terminate(STOP).success());
}

/// Stopped while the server is only slow: no trouble is told, nothing is counted against the mail, and it goes with the next start.
#[test]
fn a_stop_while_an_answer_is_awaited_is_nobodys_fault() {
    if !ready() {
        return;
    }
    // RFC 5321 lets a server take minutes.
    let mut house = House::new("tls = \"nessuno\"\ncollect_minutes = 1", TO_ONE);
    house.serve("plain", &[]);
    for (index, (step, doubtful)) in [("rcpt", 0), ("data", 1)].into_iter().enumerate() {
        house.rules(json!({"stall": step}));
        let mut hub = house.start();
        house.raise("RAPPORTO_DEL_GIORNO", 1);
        let mail = |what: &str| -> Option<i64> {
            let sql = format!("SELECT {what} FROM mail WHERE closed_at IS NULL");
            house.db().query_row(&sql, [], |row| row.get(0)).ok()
        };
        wait_for("the mail is on its way", Duration::from_secs(90), || {
            std::thread::sleep(Duration::from_millis(100));
            (mail("state = 'IN_CORSO'") == Some(1) && mail("doubtful") == Some(doubtful)).then_some(())
        });
        // The server has it, and says nothing.
        std::thread::sleep(Duration::from_millis(500));
        let (ended, took) = timed(|| hub.terminate(STOP));
        assert!(ended.success() && took < Duration::from_secs(30), "{step}: {took:?}");
        let status = house.status();
        assert!(status["trouble"].is_null(), "{step}: {status}");
        let kept = (mail("state = 'ATTESA'"), mail("attempts"), mail("doubtful"), mail("failed_at IS NULL AND error IS NULL"));
        assert_eq!(kept, (Some(1), Some(0), Some(doubtful), Some(1)), "{step}");
        house.rules(json!({}));
        let mut hub = house.start();
        house.wait_taken(index + 1);
        house.wait_status("it went", |mail| mail["waiting"] == 0 && mail["trouble"].is_null());
        assert!(hub.terminate(STOP).success());
    }
    assert_eq!(repeats(&house), 0);
}

/// Mails that came more than once, all but the first.
fn repeats(house: &House) -> u64 {
    let mut seen: BTreeMap<(String, String), (String, u64)> = BTreeMap::new();
    for mail in house.taken() {
        let (raw, times) = seen.entry((mail.message_id, mail.to)).or_insert_with(|| (mail.raw.clone(), 0));
        assert_eq!(*raw, mail.raw, "a repeat is the same word for word");
        *times += 1;
    }
    seen.values().map(|(_, times)| times - 1).sum()
}

#[test]
fn a_server_away_for_a_day_gets_few_mails_that_tell_everything() {
    if !ready() {
        return;
    }
    let mut house = House::new(PLAIN, TO_ONE);
    let mut hub = house.start();
    // An hour of business time passes: windows of a minute come and go.
    for _ in 0..12 {
        house.raise("TENTATIVI_ESAURITI", 10);
        house.raise("SEND_NON_RAGGIUNGIBILE", 1);
        std::thread::sleep(Duration::from_millis(400));
    }
    let status = house.wait_status("the trouble is told", |mail| mail["trouble"]["error"] == "COLLEGAMENTO INTERROTTO");
    assert_eq!(status["waiting"], 2, "{status}");
    house.serve("plain", &[]);
    let taken = house.wait_taken(2);
    assert!(taken[0].raw.contains("120 x Tentativi esauriti"), "{}", taken[0].raw);
    house.wait_status("all is well", |mail| mail["waiting"] == 0 && mail["trouble"].is_null());
    assert!(hub.terminate(STOP).success());
    assert_eq!(house.taken().len(), 2);
}

#[test]
fn a_login_that_is_refused_keeps_every_mail_until_it_is_mended() {
    if !ready() {
        return;
    }
    let mut house = House::new(&secured("starttls"), TO_ONE);
    house.serve("starttls", LOGIN);
    std::fs::write(house.path("password"), "sbagliata").unwrap();
    let mut hub = house.start();
    house.raise("LOTTO_SCARTATO", 1);
    let status = house.wait_status("the login is refused", |mail| mail["trouble"]["error"] == "ACCESSO 535");
    assert_eq!((&status["waiting"], status["given_up"].as_array().unwrap().len()), (&json!(1), 0), "{status}");
    std::fs::write(house.path("password"), "parola d'ordine").unwrap();
    house.wait_taken(1);
    // An authority that nobody knows.
    std::fs::write(house.path("ca.pem"), std::fs::read(house.path("cert.pem")).unwrap()).unwrap();
    house.raise("LOTTO_SCARTATO", 1);
    let status = house.wait_status("the certificate is refused", |mail| mail["trouble"]["error"] == "CIFRATURA TLS");
    assert_eq!(status["waiting"], 1, "{status}");
    assert!(hub.terminate(STOP).success());
    assert!(!hub.output().contains("sbagliata") && !hub.output().contains("parola"), "{}", hub.output());
}

/// A server that lets messo in and then takes nothing: each conversation fails anew, the trouble is one.
#[test]
fn a_trouble_lasts_until_a_mail_is_taken() {
    if !ready() {
        return;
    }
    let mut house = House::new(PLAIN, TO_ONE);
    house.rules(json!({"from": "553 not yours"}));
    house.serve("plain", &[]);
    let mut hub = house.start();
    house.raise("LOTTO_SCARTATO", 1);
    let begun = house.wait_status("nothing is taken", |mail| mail["trouble"]["error"] == "MITTENTE 553")["trouble"]["since"].clone();
    assert!(begun.is_string(), "{begun}");
    // Some more conversations: two minutes of business time.
    std::thread::sleep(Duration::from_secs(2));
    let later = house.wait_status("nothing is taken yet", |mail| mail["trouble"]["error"] == "MITTENTE 553");
    assert_eq!(later["trouble"]["since"], begun);
    house.rules(json!({}));
    house.wait_taken(1);
    house.wait_status("all is well", |mail| mail["waiting"] == 0 && mail["trouble"].is_null());
    assert!(hub.terminate(STOP).success());
}

#[test]
fn the_test_command_says_what_failed_and_where() {
    if !ready() {
        return;
    }
    let mut house = House::new(&secured("starttls"), "");
    let says = |(code, text): (Option<i32>, String), want: i32, words: &[&str]| {
        assert_eq!(code, Some(want), "{text}");
        for word in words {
            assert!(text.contains(word), "{word:?} in {text}");
        }
    };
    house.serve("starttls", LOGIN);
    says(
        house.prove(&[]),
        0,
        &["localhost", "- cifratura (STARTTLS)", "destinatario ced@comune.esempio.it", "consegnato al server: taken as 4711"],
    );
    assert_eq!(house.taken()[0].subject, "[messo] Prova di spedizione");
    says(house.prove(&["--to", "a@e.it", "--to", "b@e.it"]), 0, &["a@e.it", "b@e.it"]);
    says(house.prove(&["--to", "nessuno"]), 2, &["«nessuno» non è un indirizzo di posta"]);
    house.rules(json!({"rcpt": {"a@e.it": ["550 5.1.1 No such user"]}}));
    let answer = house.prove(&["--to", "a@e.it", "--to", "b@e.it"]);
    says(answer, 1, &["NON RIUSCITO al passo «destinatario»", "il server ha risposto 550 5.1.1 No such user", "b@e.it", "consegnato"]);
    house.rules(json!({"from": "553 not yours"}));
    says(house.prove(&[]), 1, &["al passo «mittente»", "verificare from"]);
    house.rules(json!({"data": "554 spam"}));
    says(house.prove(&[]), 1, &["al passo «messaggio»", "554 spam"]);
    house.rules(json!({}));
    std::fs::write(house.path("password"), "sbagliata").unwrap();
    says(house.prove(&[]), 1, &["al passo «accesso con utente e password»", "utente o password non sono accettati"]);
    std::fs::write(house.path("ca.pem"), std::fs::read(house.path("cert.pem")).unwrap()).unwrap();
    says(house.prove(&[]), 1, &["al passo «cifratura (STARTTLS)»", "autorità nota"]);
    house.stop_serving();
    says(house.prove(&[]), 1, &["al passo «collegamento al server»", "verificare nome, porta, DNS e firewall"]);
    std::fs::remove_file(house.path("password")).unwrap();
    says(house.prove(&[]), 1, &["/password non si legge"]);
    std::fs::write(house.path("password"), "parola d'ordine").unwrap();
    let silent = std::net::TcpListener::bind(("127.0.0.1", house.port)).unwrap();
    let config = std::fs::read_to_string(house.path("messo.toml")).unwrap().replace("collect_minutes = 1", "timeout_s = 1");
    std::fs::write(house.path("messo.toml"), config).unwrap();
    says(house.prove(&[]), 1, &["al passo «saluto del server»", "non ha risposto in tempo"]);
    drop(silent);
}

/// The password is where systemd puts it for the service alone: the hub makes the trial, and without it the command says what to do.
#[test]
fn the_hub_tries_with_the_secrets_that_only_it_has() {
    if !ready() {
        return;
    }
    let mut house = House::new(&secured("starttls").replace("file:password", "credential:segreti_posta"), "");
    let says = |(code, text): (Option<i32>, String), want: i32, words: &[&str]| {
        assert_eq!(code, Some(want), "{text}");
        for word in words {
            assert!(text.contains(word), "{word:?} in {text}");
        }
    };
    let secrets = house.path("credenziali");
    std::fs::create_dir(&secrets).unwrap();
    std::fs::write(secrets.join("segreti_posta"), "parola d'ordine").unwrap();
    house.serve("starttls", LOGIN);
    let command = "systemd-run --pipe --wait --collect -p User=messo -p LoadCredential=segreti:/etc/messo/credenziali messo mail test";
    says(house.prove(&[]), 1, &["credential: la legge soltanto il servizio", "systemctl start messo", command]);

    let mut hub = Child::spawn("messo run", house.command().env("CREDENTIALS_DIRECTORY", &secrets));
    hub.wait_line("messo è in servizio", Duration::from_secs(30));
    let sent = house.prove(&["--to", "anna.rossi@e.it"]);
    assert!(!sent.1.contains("reload"), "{}", sent.1);
    says(sent, 0, &["Prova fatta dal servizio acceso", "Server: localhost:", "- cifratura (STARTTLS)", "consegnato al server: taken as"]);
    assert_eq!(house.taken()[0].to, "anna.rossi@e.it");
    // What is tried is the file; what the hub works with is another thing, and said.
    let config = std::fs::read_to_string(house.path("messo.toml")).unwrap();
    std::fs::write(house.path("messo.toml"), config.replace("collect_minutes = 1", "collect_minutes = 2")).unwrap();
    says(house.prove(&[]), 0, &["consegnato", "il servizio lavora ancora con la configurazione di prima", "systemctl reload messo"]);
    std::fs::write(secrets.join("segreti_posta"), "sbagliata").unwrap();
    says(house.prove(&[]), 1, &["al passo «accesso con utente e password»", "utente o password non sono accettati"]);
    std::fs::remove_file(secrets.join("segreti_posta")).unwrap();
    says(house.prove(&[]), 1, &["segreti_posta non si legge"]);

    let output = common::messo(&["audit", "--orders", "--json", "--config"]).arg(house.path("messo.toml")).output().unwrap();
    let books: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let orders: Vec<(&str, &str)> = books["orders"]
        .as_array()
        .unwrap()
        .iter()
        .map(|order| (order["command"].as_str().unwrap(), order["outcome"].as_str().unwrap()))
        .collect();
    let (good, bad) = (("mail_test", "OK"), ("mail_test", "PROVA_NON_RIUSCITA"));
    assert_eq!(orders, [bad, bad, good, good], "{books}");
    assert!(!books.to_string().contains("anna.rossi"), "an address in the books: {books}");
    assert!(hub.terminate(STOP).success());
}

#[test]
fn templates_of_operators_are_checked_and_used() {
    if !ready() {
        return;
    }
    let mut house = House::new(&format!("{PLAIN}\ntemplates = \"modelli\""), TO_ONE);
    let check = || {
        let output = common::messo(&["check", "--config"]).arg(house.path("messo.toml")).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, text) = check();
    assert!(code == Some(1) && text.contains("[FILE_NON_LEGGIBILE] mail.templates"), "{text}");
    std::fs::create_dir(house.path("modelli")).unwrap();
    std::fs::write(house.path("modelli/avviso.txt"), "Oggetto: {{ titolo }}\n{{ avvisso }}\n").unwrap();
    let (code, text) = check();
    assert!(code == Some(1) && text.contains("modelli/avviso.txt:2: [MODELLO_NON_VALIDO]") && text.contains("«avvisso»"), "{text}");
    std::fs::write(house.path("modelli/avviso.txt"), "Oggetto: Nostro: {{ titolo }}\n\n{{ avviso.rimedio }}\n").unwrap();
    assert_eq!(check().0, Some(0));
    house.serve("plain", &[]);
    let mut hub = house.start();
    house.raise("LOTTO_SCARTATO", 1);
    assert_eq!(house.wait_taken(1)[0].subject, "Nostro: Lotto scartato");
    // Broken while the hub runs: the mail goes as ours.
    std::fs::write(house.path("modelli/avviso.txt"), "Oggetto: {{ titolo\n").unwrap();
    house.raise("DEPOSITO_MAI_COMPLETATO", 1);
    assert!(house.wait_taken(2)[1].subject.starts_with("[messo COLLAUDO] Deposito mai completato"));
    assert!(hub.terminate(STOP).success());
}

/// Killed with SIGKILL while mails are made and sent: at the end each alert is in one mail, each mail was taken, and what was taken
/// twice bears the same Message-ID and is counted.
#[test]
fn killed_again_and_again_no_mail_is_lost_and_repeats_are_counted() {
    if !ready() {
        return;
    }
    let rules = "[[ente.avvisi]]\nto = [\"uno@e.it\", \"due@e.it\"]";
    let mut house = House::new(PLAIN, rules);
    house.serve("plain", &[]);
    let mut raised = 0;
    let mut raise = |house: &House, times: usize| {
        house.raise("RAPPORTO_DEL_GIORNO", times);
        house.raise("TENTATIVI_ESAURITI", times);
        raised += 2 * times as i64;
    };
    assert!(house.start().terminate(STOP).success()); // makes the store
    for point in failpoint::MAIL_POINTS {
        for time in [1, 2] {
            raise(&house, 2);
            let mut command = house.command();
            command.env(failpoint::VARIABLE, format!("{point}:{time}"));
            let mut hub = Child::spawn("messo run", &mut command);
            wait_for(point, Duration::from_secs(90), || {
                raise(&house, 1);
                std::thread::sleep(Duration::from_millis(200));
                hub.try_wait()
            });
            assert_eq!(hub.try_wait().unwrap().signal(), Some(9), "{point}\n{}", hub.output());
        }
    }
    let mut dice = Dice(20_261_123);
    for _ in 0..7 {
        raise(&house, 20);
        let mut hub = house.start();
        std::thread::sleep(Duration::from_millis(20 + dice.roll(600)));
        hub.kill();
    }
    let mut hub = house.start();
    let status = house.wait_status("all mails went", |mail| mail["waiting"] == 0);
    wait_for("every alert is in a mail", Duration::from_secs(90), || told(&house).filter(|told| *told == 2 * raised));
    house.wait_status("all mails went", |mail| mail["waiting"] == 0);
    assert!(hub.terminate(STOP).success());
    let db = house.db();
    let mut select = db.prepare("SELECT message_id, recipient, state, repeats FROM mail").unwrap();
    let mails: Vec<(String, String, String, i64)> =
        select.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))).unwrap().collect::<Result<_, _>>().unwrap();
    let taken = house.taken();
    for (message_id, recipient, state, again) in &mails {
        let times = taken.iter().filter(|mail| mail.message_id == *message_id && mail.to == *recipient).count() as i64;
        assert_eq!(state, "INVIATA", "{message_id}");
        assert!((1..=1 + again).contains(&times), "{message_id} came {times} times, {again} repeats counted");
    }
    let repeated = repeats(&house);
    assert!(repeated >= 2, "the kills between 250 and record repeat: {repeated}");
    assert!(taken.iter().all(|mail| mails.iter().any(|(id, ..)| *id == mail.message_id)), "a mail that nobody knows");
    println!("15 kills, {raised} alerts, {} mails, {} taken, {repeated} repeats ({status})", mails.len(), taken.len());
}

/// Alerts that are in a mail, over all recipients.
fn told(house: &House) -> Option<i64> {
    house.db().query_row("SELECT sum(alerts) FROM mail_code", [], |row| row.get(0)).ok()
}
