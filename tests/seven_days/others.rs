//! What the week does not make: an ente that SEND refuses, PTs that are away, refuse us or were taken away, positions that stand still,
//! files in the way, folders that cannot be written, a clock that is set back, a copy put back. Each cause is made, told once, and
//! ends once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a failed step ends the test")]

use std::fs;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use super::common::office::{Ente, Office, Row, SOON, Simulator, batch, flow, http_json, shared_clock};
use super::common::{free_port, wait_for};
use super::{configure, told, wait_told};

/// A day in a second.
const FACTOR: u32 = 86_400;
const PAYING: &str = "01234567897";
const WRONG_BODY: &str = "02438750586";
/// The PT that answers, and the one that never does and is taken away.
const ROUTES: &str = "[[ente.pagamenti]]\npt = \"gov\"\naux = 3\ncode = \"02\"\ncosts = \"push\"\n";
const GONE_ROUTE: &str = "[[ente.pagamenti]]\npt = \"sparito\"\naux = 3\ncode = \"05\"\ncosts = \"nessuno\"\n";

/// What is made here, told so many times: code, what it is about (empty: whatever), times.
const TOLD: &[(&str, &str, usize)] = &[
    ("ENTE_NON_ABILITATO", "02438750586/prima", 1),
    ("ENTE_RIPRESO", WRONG_BODY, 1),
    ("PT_NON_RAGGIUNGIBILE", "gov", 1),
    ("PT_DI_NUOVO_RAGGIUNGIBILE", "gov", 1),
    ("PT_RIFIUTA_LE_CREDENZIALI", "pt/gov", 1),
    ("PT_ACCETTA_LE_CREDENZIALI", "pt/gov", 1),
    ("PT_NON_RAGGIUNGIBILE", "sparito", 1),
    ("PT_DI_NUOVO_RAGGIUNGIBILE", "sparito", 0),
    ("PT_NON_CONFIGURATO", "", 1),
    ("POSIZIONE_ANNULLATA_DAL_PT", "", 1),
    ("POSIZIONE_SCADUTA", "", 1),
    ("PAGATO_IMPORTO_DIVERSO", "", 1),
    ("TIMELINE_RETTIFICATA", "", 1),
    ("NOME_GIA_PRESENTE", "urtato/esiti", 1),
    ("DEPOSITO_INTERROTTO", "", 1),
    ("RENDICONTAZIONE_IN_RITARDO", "uffici", 1),
    ("RENDICONTAZIONE_RIUSCITA", "uffici", 1),
    ("GESTIONALE_SILENZIOSO", "uffici/muto", 1),
    ("GESTIONALE_DI_NUOVO_ATTIVO", "", 0),
    ("OROLOGIO_SPOSTATO", "", 1),
    ("RIPRISTINO_DA_RILASCIARE", "", 0),
];

/// The codes of this file, those of the copy put back too.
pub fn codes() -> impl Iterator<Item = &'static str> {
    TOLD.iter().filter(|(.., times)| *times > 0).map(|(code, ..)| *code).chain(["RIPRISTINO_DA_RILASCIARE", "RIPRISTINO_RILASCIATO"])
}

/// A flow whose notices are verified.
fn paying() -> String {
    "name = \"paga\"\ntitle = \"Prova\"\ntaxonomy_code = \"010101P\"\ncommunication_type = \"AR_REGISTERED_LETTER\"\n\
     fee_policy = \"DELIVERY_MODE\"\npago_pa_int_mode = \"SYNC\"\npa_fee = 100\nvat = 22\npayment = \"required\"\n[pagamenti]\nverify = \"refuse\"\n"
        .to_owned()
}

/// A notice of that application code, with its check digits.
fn notice(code: u64, number: u64) -> String {
    let base = (300 + code) * 10_000_000_000_000 + number;
    format!("{base}{:02}", base % 93)
}

fn owing(reference: &str, notice: &str) -> Row {
    Row::new(PAYING, reference)
        .with("importo", "42,00")
        .with("avviso_numero_1", notice)
        .with("avviso_creditore_1", PAYING)
        .with("avviso_applica_costi_1", "SI")
}

fn order(pts: SocketAddr, path: &str, body: &Value, want: u16) {
    let (status, said) = http_json(pts, "POST", path, body);
    assert_eq!(status, want, "{path} {body}: {said}");
}

fn reload(office: &mut Office) {
    office.signal(Signal::HUP);
    office.wait_log("configurazione riletta");
}

fn count(alerts: &[Value], code: &str, about: &str) -> usize {
    alerts.iter().filter(|alert| alert["code"] == code && (about.is_empty() || alert["about"] == about)).count()
}

/// What is not over.
fn open(office: &Office) -> Vec<(String, String)> {
    let word = |trouble: &Value, key: &str| trouble[key].as_str().unwrap().to_owned();
    let troubles = office.ask(&["alerts"])["troubles"].as_array().unwrap().clone();
    troubles.iter().map(|trouble| (word(trouble, "code"), word(trouble, "about"))).collect()
}

fn house(clock: &str, send: &Simulator, pts: u16) -> Office {
    let more = format!("{ROUTES}{GONE_ROUTE}");
    // The second has the key of another ente.
    let keys = [format!("{PAYING}-prova"), format!("{PAYING}-altra")];
    let enti = [Ente { tax_id: PAYING, key: &keys[0], more: &more }, Ente { tax_id: WRONG_BODY, key: &keys[1], more: "" }];
    let all = [PAYING, WRONG_BODY];
    let sources: [(&str, &[&str], &[&str]); 2] = [("uffici", &all, &["aperto", "paga", "muto"]), ("urtato", &[PAYING], &["aperto"])];
    let flows = [flow("aperto", "", ""), flow("muto", "", ""), paying()];
    let office = Office::new(clock, &send.url(), &enti, &sources, &flows);
    fs::write(office.dir().join("chiavi/pt"), "sbagliata").unwrap();
    let url = format!("http://127.0.0.1:{pts}/govpay/backend/api/pendenze/rs/basic/v2");
    let pt = |name: &str, url: &str| {
        format!(
            "[[pt]]\nname = \"{name}\"\nkind = \"govpay\"\nurl = \"{url}\"\nusername = \"messo\"\npassword = \"file:chiavi/pt\"\nwait_hours = 720\n"
        )
    };
    let text = fs::read_to_string(office.config()).unwrap() + &pt("gov", &url) + &pt("sparito", "http://127.0.0.1:9");
    fs::write(office.config(), text).unwrap();
    let expected = "atteso = [{ by = \"12:00\", days = [\"lun\", \"mar\", \"mer\", \"gio\", \"ven\", \"sab\", \"dom\"], holidays = true, flow = \"muto\" }]";
    configure(&office, &[("name = \"uffici\"", format!("name = \"uffici\"\n{expected}"))]);
    office
}

#[test]
fn what_a_week_does_not_make_is_told_once_too_and_ends_once() {
    let clock = shared_clock(FACTOR);
    let send = Simulator::start(&clock, "");
    let port = free_port();
    let pts: SocketAddr = ([127, 0, 0, 1], port).into();
    let mut office = house(&clock, &send, port);
    // Somebody else's file has the name of the first outcome file.
    fs::create_dir_all(office.dir().join("urtato/esiti")).unwrap();
    fs::write(office.dir().join("urtato/esiti/esito_urtato_000001.xml"), "di qualcun altro").unwrap();
    office.start();

    // An ente that SEND refuses; PTs that are away; the outcome file whose name is taken.
    office.answered("uffici", "aperto", "abilitato.zip", &batch(&[Row::new(WRONG_BODY, "ABI-1")]), "PRESA_IN_CARICO", &[]);
    let notices: Vec<String> = (1..=3).map(|number| notice(2, number)).collect();
    let gone = notice(5, 9);
    let mut rows: Vec<Row> = notices.iter().enumerate().map(|(index, notice)| owing(&format!("PAG-{index}"), notice)).collect();
    rows.push(owing("SPA-1", &gone));
    office.answered("uffici", "paga", "avvisi.zip", &batch(&rows), "PRESA_IN_CARICO", &[]);
    office.answered("urtato", "aperto", "urto.zip", &batch(&[Row::new(PAYING, "URT-1")]), "PRESA_IN_CARICO", &[]);
    let reworked = Row::new(PAYING, "RET-1").with("indirizzo", "VIA @OK @REWORK 1");
    office.answered("uffici", "aperto", "rettifica.zip", &batch(&[reworked]), "PRESA_IN_CARICO", &[]);
    for (code, about) in [
        ("ENTE_NON_ABILITATO", "02438750586/prima"),
        ("PT_NON_RAGGIUNGIBILE", "gov"),
        ("PT_NON_RAGGIUNGIBILE", "sparito"),
        ("NOME_GIA_PRESENTE", "urtato/esiti"),
        ("GESTIONALE_SILENZIOSO", "uffici/muto"),
    ] {
        wait_told(&office, code, about);
    }

    // The PT is there, and does not know the password.
    let _partners = Simulator::start_with_partners(&clock, port);
    for notice in &notices {
        let debt = json!({"creditor": PAYING, "notice": notice, "position_id": format!("POS-{notice}"), "amount": 4_200, "state": "unpaid",
            "payer_tax_id": "RSSMRA80A01H501U", "payer_name": "Mario Rossi", "remittance": "Verbale", "due_type": "MULTE"});
        order(pts, "/_pt/debts", &debt, 201);
    }
    wait_told(&office, "PT_RIFIUTA_LE_CREDENZIALI", "pt/gov");
    wait_told(&office, "PT_DI_NUOVO_RAGGIUNGIBILE", "gov");

    // Everything is mended in the configuration, what is no longer asked for is taken out of it: no restart.
    fs::write(office.dir().join("chiavi/pt"), "prova-prova").unwrap();
    office.set_key(WRONG_BODY, &format!("{WRONG_BODY}-prova"));
    let text = fs::read_to_string(office.config()).unwrap();
    let (kept, _) = text.split_once("[[pt]]\nname = \"sparito\"").unwrap();
    let kept: Vec<&str> = kept.lines().filter(|line| !line.starts_with("atteso = ")).collect();
    fs::write(office.config(), kept.join("\n").replacen(GONE_ROUTE, "", 1) + "\n").unwrap();
    reload(&mut office);
    for channel in [format!("{WRONG_BODY}/prima"), "pt/gov".to_owned()] {
        office.ask(&["act", "retry", "--channel", &channel, "--reason", "corretto"]);
    }
    for (code, about) in [("ENTE_RIPRESO", WRONG_BODY), ("PT_ACCETTA_LE_CREDENZIALI", "pt/gov"), ("PT_NON_CONFIGURATO", "")] {
        wait_told(&office, code, about);
    }
    wait_for("what nobody asks for is over", SOON, || {
        thread::sleep(Duration::from_millis(100));
        open(&office).is_empty().then_some(())
    });
    office.wait_state("uffici", "ABI-1", "ACCETTATO");
    // What was uploaded under the key of another is not there for this one: uploaded and sent again.
    let sent = send.of("ABI-1");
    assert_eq!(sent.iter().filter(|note| note["requestStatus"] == "ACCEPTED").count(), 1, "{sent:?}");

    // Before the cost is known one position is cancelled, one expires, one is paid with another amount.
    for index in 0..3 {
        office.wait_state("uffici", &format!("PAG-{index}"), "ACCETTATO");
    }
    for (notice, state) in [(&notices[0], "cancelled"), (&notices[1], "expired")] {
        order(pts, "/_pt/state", &json!({"creditor": PAYING, "notice": notice, "state": state}), 200);
    }
    order(pts, "/_pt/pay", &json!({"creditor": PAYING, "notice": notices[2], "amount": 1_000}), 200);

    // The archives cannot be written, then the folder of exports.
    let (archives, away) = (office.dir().join("dati/archivi"), office.dir().join("dati/archivi.via"));
    fs::rename(&archives, &away).unwrap();
    fs::write(&archives, "non è una cartella").unwrap();
    office.deposit("uffici", "aperto", "interrotto.zip", &batch(&[Row::new(PAYING, "INT-1")]));
    wait_told(&office, "DEPOSITO_INTERROTTO", "");
    fs::remove_file(&archives).unwrap();
    fs::rename(&away, &archives).unwrap();
    assert_eq!(office.receipt("uffici", "interrotto.zip").state, "PRESA_IN_CARICO");
    let (exports, away) = (office.dir().join("uffici/rendicontazioni"), office.dir().join("uffici/rendicontazioni.via"));
    fs::rename(&exports, &away).unwrap();
    fs::write(&exports, "non è una cartella").unwrap();
    wait_told(&office, "RENDICONTAZIONE_IN_RITARDO", "uffici");
    fs::remove_file(&exports).unwrap();
    fs::rename(&away, &exports).unwrap();
    wait_told(&office, "RENDICONTAZIONE_RIUSCITA", "uffici");

    for code in ["POSIZIONE_ANNULLATA_DAL_PT", "POSIZIONE_SCADUTA", "PAGATO_IMPORTO_DIVERSO", "TIMELINE_RETTIFICATA"] {
        wait_told(&office, code, "");
    }
    let copies = tempfile::tempdir().unwrap();
    let copies = copies.path().join("copie");
    office.ask(&["backup", copies.to_str().unwrap()]);

    // The clock of the machine is set back by two days.
    office.stop();
    let back = |seconds: i64| format!("{FACTOR}@{}", clock.split_once('@').unwrap().1.parse::<i64>().unwrap() + seconds * 1_000);
    office.set_clock(&back(2));
    office.start();
    wait_told(&office, "OROLOGIO_SPOSTATO", "");
    thread::sleep(Duration::from_secs(2));
    let alerts = told(&office);
    for (code, about, times) in TOLD {
        let codes: Vec<String> = alerts.iter().map(|alert| format!("{} {}", alert["code"], alert["about"])).collect();
        assert_eq!(count(&alerts, code, about), *times, "{code} {about}: {codes:#?}");
    }
    assert_eq!(open(&office), []);

    // The data is lost; a copy of before is put back.
    office.stop();
    fs::remove_dir_all(office.dir().join("dati")).unwrap();
    office.ask(&["restore", copies.to_str().unwrap(), "--clock", &back(0)]);
    office.set_clock(&back(0));
    office.start();
    wait_told(&office, "RIPRISTINO_DA_RILASCIARE", "");
    office.ask(&["restore", "release", "--skip-resync", "--accept-gaps", "--reason", "prova"]);
    wait_told(&office, "RIPRISTINO_RILASCIATO", "");
    let alerts = told(&office);
    for code in ["RIPRISTINO_DA_RILASCIARE", "RIPRISTINO_RILASCIATO"] {
        assert_eq!(count(&alerts, code, ""), 1, "{code}");
    }
    assert!(open(&office).iter().all(|(code, _)| code != "RIPRISTINO_DA_RILASCIARE"));
    office.stop();
}
