//! Every alert is told once when its cause is made and once when that ends, a restart in between notwithstanding.
//!
//! Seven simulated days of five enti, in half a minute, make what a week makes ([`IN_THE_WEEK`]), with a report every night; beside them
//! `seven_days/others.rs` makes what can be made from outside besides. What needs a disk that fails in a certain way, or a remote
//! that says what no simulator says, is proved where [`ELSEWHERE`] says.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a failed step ends the test")]

mod common;
#[path = "seven_days/others.rs"]
mod others;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use common::office::{Ente, Office, Row, SOON, Simulator, batch, flow, shared_clock};
use common::wait_for;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

/// A day in 4.3 seconds.
const FACTOR: u32 = 20_160;
const GOOD: &str = "01234567897";
const WRONG_KEY: &str = "09876543217";
const NO_STREAM: &str = "02438750586";
const FEW_CALLS: &str = "00907501001";
const LITTLE_MONEY: &str = "15376371009";
const ALL: [&str; 5] = [GOOD, WRONG_KEY, NO_STREAM, FEW_CALLS, LITTLE_MONEY];

/// What the week makes.
const IN_THE_WEEK: &[&str] = &[
    "LOTTO_SCARTATO",
    "LOTTO_PARZIALE",
    "SEND_NON_RAGGIUNGIBILE",
    "SEND_DI_NUOVO_RAGGIUNGIBILE",
    "CHIAVE_RIFIUTATA",
    "ENTE_RIPRESO",
    "FLUSSO_EVENTI_PERSO",
    "FLUSSO_EVENTI_RIFIUTATO",
    "FLUSSO_EVENTI_RIPRESO",
    "CHIAMATE_DEL_GIORNO_FINITE",
    "TETTO_DI_SPESA_RAGGIUNTO",
    "QUOTE_DI_NUOVO_LIBERE",
    "DISCO_QUASI_PIENO",
    "DISCO_DI_NUOVO_LIBERO",
    "DEPOSITO_MAI_COMPLETATO",
    "GESTIONALE_SILENZIOSO",
    "GESTIONALE_DI_NUOVO_ATTIVO",
    "RAPPORTO_DEL_GIORNO",
    "TERMINE_VICINO",
];

/// What neither makes: code, where it is proved, and the words to look for there.
const ELSEWHERE: &[(&str, &str, &str)] = &[
    ("QUOTA_SEND_ESAURITA", "src/service/notify.rs", "\"QUOTA_SEND_ESAURITA\")"),
    ("QUOTA_SEND_ESAURITA", "src/store/tests/leases.rs", "alert.code == \"QUOTA_SEND_ESAURITA\""),
    ("GRUPPO_RIFIUTATO", "src/service/notify.rs", "\"GRUPPO_RIFIUTATO\")"),
    ("GRUPPO_RIFIUTATO", "src/store/tests/daily.rs", "told(\"GRUPPO_RIFIUTATO\")"),
    ("FATTO_INATTESO", "src/store/tests/road.rs", "FATTO_INATTESO"),
    ("EVENTO_SCONOSCIUTO", "src/store/tests/road.rs", "EVENTO_SCONOSCIUTO"),
    ("RIFIUTO_SENZA_MOTIVO", "src/store/tests/positions/flagged.rs", "alert.code == NO_REASON"),
    ("DEPOSITO_ACCANTONATO", "src/service/queue/tests.rs", "DEPOSITO_ACCANTONATO"),
    ("DEPOSITO_ABBANDONATO", "src/service/queue/tests.rs", "DEPOSITO_ABBANDONATO"),
    ("ID_POSIZIONE_MANCANTE", "tests/pt_contract_soap/piemontepay.rs", "ID_POSIZIONE_MANCANTE"),
    ("VERIFICA_RESPINTA_DAL_PT", "src/store/tests/positions/told.rs", "VERIFICA_RESPINTA_DAL_PT"),
    ("POSIZIONE_IN_PAGAMENTO", "src/store/tests/positions/flagged.rs", "(code::BEING_PAID, From::"),
    ("IMPORTO_NON_CAMBIATO", "src/store/tests/positions/flagged.rs", "[code::NOT_CHANGED]"),
    ("IMPORTO_RESPINTO_DAL_PT", "src/store/tests/positions/flagged.rs", "(code::REFUSED, From::"),
    ("POSIZIONE_NON_TROVATA", "src/store/tests/positions/flagged.rs", "(code::NOT_FOUND, From::"),
    ("POSIZIONE_DI_ALTRI", "src/store/tests/positions/flagged.rs", "(code::OTHER, From::"),
    ("IMPORTO_NON_CALCOLABILE", "src/store/tests/positions/flagged.rs", "(code::NO_SUM, From::"),
    ("PAGATO_CON_ALTRO_AVVISO", "tests/payments.rs", "PAGATO_CON_ALTRO_AVVISO"),
    ("PAGATO_DUE_VOLTE", "src/store/tests/positions.rs", "PAGATO_DUE_VOLTE"),
    ("PAGAMENTO_SCONOSCIUTO", "tests/rest_pt.rs", "PAGAMENTO_SCONOSCIUTO"),
    ("CANCELLAZIONI_TRATTENUTE", "src/service/retention/tests.rs", "code == HELD"),
    ("CANCELLAZIONI_RIPRESE", "src/service/retention/tests.rs", "code == RESUMED"),
    ("IMPORTO_NON_RIPARTIBILE", "tests/pt_pull.rs", "IMPORTO_NON_RIPARTIBILE"),
    ("POSIZIONE_NON_DESCRITTA", "tests/pt_pull.rs", "POSIZIONE_NON_DESCRITTA"),
    ("POSIZIONE_NON_ANNULLATA", "src/store/tests/positions/flagged.rs", "vec![code::NOT_CANCELLED.to_owned()]"),
    ("POSIZIONE_NON_PIU_SEGUITA", "src/store/tests/positions.rs", "POSIZIONE_NON_PIU_SEGUITA"),
    ("SCADENZA_NON_SPOSTATA", "src/store/tests/positions/flagged.rs", "(code::NOT_REOPENED, From::"),
    ("PT_CERTIFICATO_NON_VALIDO", "src/store/tests/positions.rs", "PT_CERTIFICATO_NON_VALIDO"),
    ("PT_CERTIFICATO_DA_RIPROVARE", "src/store/tests/positions.rs", "PT_CERTIFICATO_DA_RIPROVARE"),
    ("CARTELLA_NON_RISPONDE", "src/service/alerts.rs", "house.told(FOLDER_SILENT)"),
    ("CARTELLA_DI_NUOVO_RAGGIUNGIBILE", "src/service/alerts.rs", "house.told(FOLDER_BACK)"),
    ("ATTESTAZIONE_NON_LEGGIBILE", "src/service/facts/copies/tests.rs", "told(UNREADABLE)"),
    ("ATTESTAZIONE_PERDUTA", "src/service/facts/copies/tests.rs", "told(LOST)"),
    ("COPIA_IN_RITARDO", "src/service/alerts.rs", "house.told(COPY_OLD)"),
    ("COPIA_RIUSCITA", "src/service/alerts.rs", "house.told(COPY_MADE)"),
    ("REVOCA_DI_PAGAMENTO", "tests/rest_pt.rs", "REVOCA_DI_PAGAMENTO"),
];

#[test]
fn every_code_is_made_here_or_proved_elsewhere() {
    let made: BTreeSet<&str> = IN_THE_WEEK.iter().copied().chain(others::codes()).collect();
    let elsewhere: BTreeSet<&str> = ELSEWHERE.iter().map(|(code, ..)| *code).collect();
    let all: BTreeSet<&str> = messo::domain::alert::CODES.iter().map(|row| row.code).collect();
    assert_eq!(made.intersection(&elsewhere).count(), 0, "made here: the place elsewhere is not needed");
    assert_eq!(made.union(&elsewhere).copied().collect::<BTreeSet<_>>(), all);
    for (code, file, words) in ELSEWHERE {
        let text = fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
        assert!(text.contains(words), "{code}: {file} says nothing of {words}");
    }
}

/// Everything that was told, oldest first.
fn told(office: &Office) -> Vec<Value> {
    let mut list = office.ask(&["alerts", "--limit", "10000"])["alerts"].as_array().unwrap().clone();
    list.reverse();
    list
}

fn wait_told(office: &Office, code: &str, about: &str) {
    wait_for(&format!("{code} {about}"), SOON, || {
        thread::sleep(Duration::from_millis(100));
        told(office).iter().any(|alert| alert["code"] == code && (about.is_empty() || alert["about"] == about)).then_some(())
    });
}

fn configure(office: &Office, changes: &[(&str, String)]) {
    let mut text = fs::read_to_string(office.config()).unwrap();
    for (from, to) in changes {
        assert!(text.contains(from), "{from:?} is not in\n{text}");
        text = text.replacen(from, to, 1);
    }
    fs::write(office.config(), text).unwrap();
}

fn held(reference: &str) -> Row {
    Row::new(GOOD, reference)
}

/// Takes every place for streams of an ente.
fn take_every_stream(send: &Simulator, ente: &str) {
    let base = format!("{}/delivery-progresses/v2.9/streams", send.url());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    runtime.block_on(async {
        for number in 0..10 {
            let wish = json!({"title": format!("di altri {number}"), "eventType": "TIMELINE", "groups": []});
            let answer: Value =
                client.post(&base).header("x-api-key", format!("{ente}-prova")).json(&wish).send().await.unwrap().json().await.unwrap();
            assert!(answer["streamId"].is_string(), "{answer}");
        }
    });
}

fn office(clock: &str, url: &str) -> Office {
    let keys: Vec<String> =
        ALL.iter().map(|ente| if *ente == WRONG_KEY { "mai-vista".to_owned() } else { format!("{ente}-prova") }).collect();
    let more = |ente: &str| match ente {
        FEW_CALLS => "[ente.quota]\nper_day = 8",
        LITTLE_MONEY => "[ente.quota]\nspend_cents_per_day = 100",
        _ => "",
    };
    let enti: Vec<Ente<'_>> = ALL.iter().zip(&keys).map(|(tax_id, key)| Ente { tax_id, key, more: more(tax_id) }).collect();
    let sources: Vec<(&str, &[&str], &[&str])> = vec![("uffici", &ALL, &["aperto", "trattenuto"]), ("tributi", &[GOOD], &["trattenuto"])];
    let flows = [flow("aperto", "", ""), flow("trattenuto", "", "[sending]\nwhen = \"held\"")];
    let office = Office::new(clock, url, &enti, &sources, &flows);
    let hash = messo::intake::sftp::server::password::hash("corretta però lunga").unwrap();
    let expected = "atteso = [{ by = \"12:00\", days = [\"lun\", \"mar\", \"mer\", \"gio\", \"ven\", \"sab\", \"dom\"], holidays = true }]";
    configure(
        &office,
        &[
            ("scan_ms = 500", "scan_ms = 500\nincomplete_after_s = 2".to_owned()),
            (
                "[limits]",
                format!(
                    "[alerts]\ndisk_free_percent = 0\ndisk_free_bytes = {}\n[sftp]\nlisten = [{{ address = \"127.0.0.1:{}\" }}]\n[limits]",
                    1_u64 << 44,
                    common::free_port()
                ),
            ),
            ("name = \"tributi\"", format!("name = \"tributi\"\nsftp = {{ user = \"tributi\", password = \"{hash}\" }}\n{expected}")),
        ],
    );
    office
}

#[test]
fn every_alert_of_seven_days_is_told_once_when_it_begins_and_once_when_it_ends() {
    let clock = shared_clock(FACTOR);
    let send = Simulator::start(&clock, "");
    take_every_stream(&send, NO_STREAM);
    let mut office = office(&clock, &send.url());
    let mut send = Some(send);
    let begun = office.now();
    office.start();

    let (silent, over) = (AtomicBool::new(false), AtomicBool::new(false));
    thread::scope(|scope| {
        let home = office.dir().to_owned();
        let drops = scope.spawn({
            let (silent, over) = (&silent, &over);
            move || {
                // The same bytes each time: one batch, then duplicates, which are drops too.
                let bytes = batch(&[held("OGNI-1")]);
                for number in 0.. {
                    if over.load(Ordering::Relaxed) {
                        return;
                    }
                    if !silent.load(Ordering::Relaxed) {
                        let folder = home.join("tributi/in/trattenuto");
                        fs::create_dir_all(&folder).unwrap();
                        fs::write(folder.join(format!("ogni-{number}.zip.part")), &bytes).unwrap();
                        fs::rename(folder.join(format!("ogni-{number}.zip.part")), folder.join(format!("ogni-{number}.zip"))).unwrap();
                        fs::write(folder.join(format!("ogni-{number}.zip.ok")), "").unwrap();
                    }
                    thread::sleep(Duration::from_millis(700));
                }
            }
        });
        // A failed step must not leave the thread running.
        let week = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| week(&mut office, &mut send, &clock, begun, &silent)));
        over.store(true, Ordering::Relaxed);
        drops.join().unwrap();
        if let Err(failure) = week {
            std::panic::resume_unwind(failure);
        }
    });
    judge(&office, begun);
    office.stop();
}

/// What happens in the week.
fn week(office: &mut Office, send: &mut Option<Simulator>, clock: &str, begun: Timestamp, silent: &AtomicBool) {
    // Made by the configuration: a threshold above any disk, a key that SEND never saw, streams that are all taken, few calls.
    for (code, about) in [
        ("DISCO_QUASI_PIENO", "dati".to_owned()),
        ("CHIAVE_RIFIUTATA", format!("{WRONG_KEY}/prima")),
        ("FLUSSO_EVENTI_RIFIUTATO", format!("{NO_STREAM}/prima")),
        ("CHIAMATE_DEL_GIORNO_FINITE", FEW_CALLS.to_owned()),
    ] {
        wait_told(office, code, &about);
    }
    let troubles = office.ask(&["status"])["troubles"].as_array().unwrap().clone();
    let open: BTreeSet<&str> = troubles.iter().map(|trouble| trouble["code"].as_str().unwrap()).collect();
    assert!(["DISCO_QUASI_PIENO", "CHIAVE_RIFIUTATA", "FLUSSO_EVENTI_RIFIUTATO"].iter().all(|code| open.contains(code)), "{troubles:?}");

    // Drops that are not as they should be.
    office.answered("uffici", "trattenuto", "scartato.zip", b"PK non lo sono", "SCARTATO", &["ARCHIVIO_NON_VALIDO"]);
    let rows = [held("PAR-1"), held("PAR-2").with("cap", "non un cap").with("provincia", "")];
    let partial = office.dir().join("uffici/in/trattenuto");
    office.deposit("uffici", "trattenuto", "parziale.zip", &batch(&rows));
    assert_eq!(office.receipt("uffici", "parziale.zip").state, "PARZIALE");
    let whole = batch(&[held("MAI-1")]);
    fs::write(partial.join("monco.zip"), &whole[..whole.len() / 2]).unwrap();
    fs::write(office.dir().join("tributi/.messo/arrivo/mezzo.zip"), &whole[..whole.len() / 2]).unwrap();
    let term = office.now().to_zoned(jiff::tz::TimeZone::UTC).date().checked_add(jiff::Span::new().days(14)).unwrap();
    let due = held("TER-1").with("termine_notifica", &term.to_string());
    office.answered("uffici", "trattenuto", "termine.zip", &batch(&[due]), "PRESA_IN_CARICO", &[]);
    for code in ["LOTTO_SCARTATO", "LOTTO_PARZIALE", "TERMINE_VICINO"] {
        wait_told(office, code, "");
    }
    wait_for("both unfinished uploads are told", SOON, || {
        thread::sleep(Duration::from_millis(100));
        (told(office).iter().filter(|alert| alert["code"] == "DEPOSITO_MAI_COMPLETATO").count() == 2).then_some(())
    });

    // SEND goes down while nothing is under way there, and comes back without the streams it had.
    let port = send.take().unwrap().stop();
    wait_told(office, "SEND_NON_RAGGIUNGIBILE", GOOD);
    let send = &*send.insert(Simulator::start_on(port, clock, ""));
    wait_told(office, "SEND_DI_NUOVO_RAGGIUNGIBILE", GOOD);
    wait_told(office, "FLUSSO_EVENTI_PERSO", &format!("{GOOD}/prima"));
    wait_told(office, "FLUSSO_EVENTI_RIPRESO", &format!("{NO_STREAM}/prima"));

    // Three acts at one a day.
    let rows: Vec<Row> = (0..3).map(|number| Row::new(LITTLE_MONEY, &format!("SOL-{number}"))).collect();
    office.answered("uffici", "aperto", "soldi.zip", &batch(&rows), "PRESA_IN_CARICO", &[]);
    wait_told(office, "TETTO_DI_SPESA_RAGGIUNTO", LITTLE_MONEY);

    // The gestionale that always drops does not.
    silent.store(true, Ordering::Relaxed);
    wait_told(office, "GESTIONALE_SILENZIOSO", "tributi");

    // A restart, with the key and the threshold mended: what was told is not told again.
    office.stop();
    office.set_key(WRONG_KEY, &format!("{WRONG_KEY}-prova"));
    configure(office, &[("disk_free_bytes = 17592186044416", "disk_free_bytes = 1".to_owned())]);
    office.start();
    wait_told(office, "DISCO_DI_NUOVO_LIBERO", "dati");
    office.ask(&["act", "retry", "--channel", &format!("{WRONG_KEY}/prima"), "--reason", "chiave corretta"]);
    wait_told(office, "ENTE_RIPRESO", WRONG_KEY);
    silent.store(false, Ordering::Relaxed);
    wait_told(office, "GESTIONALE_DI_NUOVO_ATTIVO", "tributi");
    for number in 0..3 {
        let reference = format!("SOL-{number}");
        wait_for(&format!("{reference} left"), SOON, || (!send.of(&reference).is_empty()).then_some(()));
    }
    wait_for("seven days have passed", SOON, || {
        thread::sleep(Duration::from_millis(200));
        (office.now().duration_since(begun) > SignedDuration::from_hours(7 * 24 + 12)).then_some(())
    });
}

/// The books of the week.
fn judge(office: &Office, begun: Timestamp) {
    let list = office.ask(&["alerts", "--limit", "10000"]);
    let mut alerts = list["alerts"].as_array().unwrap().clone();
    alerts.reverse();
    let word = |alert: &Value, key: &str| alert[key].as_str().unwrap_or_default().to_owned();
    let codes: Vec<String> = alerts.iter().map(|alert| word(alert, "code")).collect();
    let count = |code: &str, about: &str| {
        alerts.iter().filter(|alert| alert["code"] == code && (about.is_empty() || alert["about"] == about)).count()
    };
    // Code, about, times. What a day or an ente may repeat is judged below.
    let once = [
        ("LOTTO_SCARTATO", "", 1),
        ("LOTTO_PARZIALE", "", 1),
        ("DEPOSITO_MAI_COMPLETATO", "", 2),
        ("TERMINE_VICINO", "", 1),
        ("DISCO_QUASI_PIENO", "", 1),
        ("DISCO_DI_NUOVO_LIBERO", "", 1),
        ("CHIAVE_RIFIUTATA", "", 1),
        ("ENTE_RIPRESO", "", 1),
        ("FLUSSO_EVENTI_RIFIUTATO", "", 1),
        ("FLUSSO_EVENTI_RIPRESO", "", 1),
        ("GESTIONALE_SILENZIOSO", "", 1),
        ("GESTIONALE_DI_NUOVO_ATTIVO", "", 1),
        ("SEND_NON_RAGGIUNGIBILE", GOOD, 1),
        ("SEND_DI_NUOVO_RAGGIUNGIBILE", GOOD, 1),
        ("FLUSSO_EVENTI_PERSO", "01234567897/prima", 1),
    ];
    for (code, about, times) in once {
        assert_eq!(count(code, about), times, "{code} {about}: {codes:?}");
    }
    for code in IN_THE_WEEK {
        assert!(count(code, "") > 0, "{code} was not made: {codes:?}");
    }
    // Whatever begins ends once, in that order, for each thing it is about.
    let ends: BTreeMap<&str, &str> = BTreeMap::from([
        ("SEND_NON_RAGGIUNGIBILE", "SEND_DI_NUOVO_RAGGIUNGIBILE"),
        ("CHIAMATE_DEL_GIORNO_FINITE", "QUOTE_DI_NUOVO_LIBERE"),
        ("TETTO_DI_SPESA_RAGGIUNTO", "QUOTE_DI_NUOVO_LIBERE"),
    ]);
    let mut open: BTreeMap<(String, String), u32> = BTreeMap::new();
    let mut days = BTreeSet::new();
    for alert in &alerts {
        let (code, about) = (word(alert, "code"), word(alert, "about"));
        if let Some(end) = ends.get(code.as_str()) {
            let now = open.entry(((*end).to_owned(), about.clone())).or_default();
            *now += 1;
            assert_eq!(*now, 1, "{code} of {about} is told again before its end");
            if code != "SEND_NON_RAGGIUNGIBILE" {
                assert!(days.insert((code, about, alert["data"]["day"].to_string())), "twice on a day: {alert}");
            }
        } else if ends.values().any(|end| *end == code) {
            let now = open.entry((code.clone(), about.clone())).or_default();
            assert_eq!(std::mem::take(now), 1, "{code} of {about} ends what had not begun");
        }
    }
    let spent = |code: &str| days.iter().filter(|(told, ..)| told == code).count();
    assert!(spent("CHIAMATE_DEL_GIORNO_FINITE") >= 4 && spent("TETTO_DI_SPESA_RAGGIUNTO") >= 2, "{days:?}");
    // Only the calls of the last day may still be used up.
    let left: BTreeSet<String> = list["troubles"].as_array().unwrap().iter().map(|trouble| word(trouble, "code")).collect();
    assert!(left.iter().all(|code| code == "CHIAMATE_DEL_GIORNO_FINITE"), "{left:?}");

    // The alert of a batch says what a mail needs, and nobody's name.
    let partial = alerts.iter().find(|alert| alert["code"] == "LOTTO_PARZIALE").unwrap();
    let data = &partial["data"];
    assert_eq!((&data["acts"], &data["accepted"], &data["refused"]), (&json!(2), &json!(1), &json!(1)), "{partial}");
    assert!(
        !data["problems"].as_array().unwrap().is_empty() && data["rejects"].as_str().unwrap().starts_with("scarti/scarto_"),
        "{partial}"
    );
    assert_eq!((&partial["source"], &partial["flow"], &partial["phase"]), (&json!("uffici"), &json!("trattenuto"), &json!("UNA_VOLTA")));

    // One report a night for each ente, none twice, none left out.
    let mut nights: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for alert in alerts.iter().filter(|alert| alert["code"] == "RAPPORTO_DEL_GIORNO") {
        nights.entry(word(alert, "sender")).or_default().push(word(alert, "about"));
    }
    let first = begun.to_zoned(jiff::tz::TimeZone::get("Europe/Rome").unwrap()).date();
    assert_eq!(nights.keys().map(String::as_str).collect::<BTreeSet<_>>(), BTreeSet::from(ALL));
    for (ente, told) in &nights {
        let days: Vec<jiff::civil::Date> = told.iter().map(|day| day.parse().unwrap()).collect();
        assert!(days.len() >= 6 && days.windows(2).all(|pair| pair[0].tomorrow().unwrap() == pair[1]), "{ente}: {told:?}");
        assert!((first.yesterday().unwrap()..=first.tomorrow().unwrap()).contains(&days[0]), "{ente}: from {first}: {told:?}");
    }
    // The day on which the acts left, asked again.
    let day = alerts.iter().find(|alert| alert["code"] == "TETTO_DI_SPESA_RAGGIUNTO").unwrap()["data"]["day"].as_str().unwrap().to_owned();
    let report = office.ask(&["report", "--date", &day, "--ente", LITTLE_MONEY])["reports"][0].clone();
    assert_eq!((&report["day"], &report["sent"]), (&json!(day), &json!(1)), "{report}");
    assert!(report["cost_cents"].as_i64().unwrap() >= 100, "{report}");
    let shown = office.command(&["report", "--date", &day, "--ente", LITTLE_MONEY]).out;
    assert!(shown.contains("Atti inviati a SEND") && shown.contains(LITTLE_MONEY), "{shown}");
    let refused = office.command(&["report", "--ente", "11111111115"]);
    assert!(refused.code == 1 && refused.err.contains("non è nella configurazione"), "{refused:?}");
    assert_eq!(office.command(&["report", "--date", "2099-01-01"]).code, 2);
    let before = told(office).len();
    assert_eq!(office.ask(&["report", "--ente", GOOD, "--send", "--reason", "prova"])["queued"], true);
    assert!(told(office).len() > before, "an order sends it again");
}
