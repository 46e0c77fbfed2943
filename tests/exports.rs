//! `rendicontazioni/`: every night what changed, every month what is open; redone byte for byte; a folder looked through.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a failed step ends the test")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use common::exported::{Exported, cents, exports};
use common::office::{Ente, Office, Row, SOON, Simulator, batch, flow, published, shared_clock};
use common::published::{lines, validate};
use common::{SmallDisk, wait_for};
use messo::clock::Clock;
use serde_json::Value;

const ENTE: &str = "01234567897";

fn office(clock: &str, url: &str) -> Office {
    let key = format!("{ENTE}-prova");
    let sources: Vec<(&str, &[&str], &[&str])> = vec![("tributi", &[ENTE], &["con"]), ("altri", &[ENTE], &["con"])];
    let paid = flow("con", "", "")
        .replace("010501N", "010102P")
        .replace("FLAT_RATE", "DELIVERY_MODE")
        .replace("\"NONE\"", "\"SYNC\"")
        .replace("payment = \"forbidden\"", "payment = \"required\"\npa_fee = 100\nvat = 22");
    Office::new(clock, url, &[Ente { tax_id: ENTE, key: &key, more: "" }], &sources, &[paid])
}

fn copy(office: &Office, name: &str) -> Vec<u8> {
    fs::read(office.dir().join("tributi/rendicontazioni/copie").join(name)).unwrap()
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

fn paths(all: &[Exported], extension: &str) -> Vec<PathBuf> {
    all.iter().map(|export| export.csv.with_extension(extension)).collect()
}

/// What `messo export verify` says of a folder: exit code, and the code of each finding with its file.
fn looked_through(folder: &Path) -> (i32, Vec<(String, String)>) {
    let ran = common::office::run(&["export", "verify", folder.to_str().unwrap(), "--json"]);
    let told: Value = serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {}{}", ran.out, ran.err));
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap().to_owned();
    let findings = told["findings"].as_array().unwrap().iter().map(|one| (text(one, "code"), text(one, "file"))).collect();
    (ran.code, findings)
}

/// A month of nights in a minute: acts go their way, and each night's file says what changed.
#[test]
fn nights_are_reconciled_redone_and_looked_through() {
    let clock = shared_clock(86_400);
    let send = Simulator::start(&clock, "");
    let mut office = office(&clock, &send.url());
    office.start();
    let row = |n: u64| Row::new(ENTE, &format!("REN-{n}")).notice(ENTE, n).with("importo", "42,50");
    let refused = row(3).with("indirizzo", "VIA @FAIL-INDIRIZZO 1");
    office.answered("tributi", "con", "uno.zip", &batch(&[row(1), row(2), refused]), "PRESA_IN_CARICO", &[]);
    office.wait_state("tributi", "REN-1", "PERFEZIONATO");
    office.wait_line("tributi", "REN-1", "its price", |line| line["evento"] == "COSTO");
    office.answered("tributi", "con", "due.zip", &batch(&[row(4)]), "PRESA_IN_CARICO", &[]);
    let folder = office.dir().join("tributi/rendicontazioni");
    wait_for("the nights after the last act", SOON, || {
        let found = published(&folder);
        let told = |path: &PathBuf, what: &str| fs::read_to_string(path).unwrap().contains(what);
        let done =
            found.iter().any(|path| told(path, "REN-1;") && told(path, "PERFEZIONATO")) && found.iter().any(|path| told(path, "REN-4;"));
        let monthly = found.iter().any(|path| path.to_str().unwrap().contains("_aperti"));
        (done && monthly && found.len() > 12).then_some(())
    });
    // Asked of the hub, while it goes on.
    let report = office.ask(&["export", "--source", "tributi", "--from", "1"]);
    assert_eq!((&report["files"], report["copies"].as_array().unwrap().len()), (&Value::from(2), 2), "{report}");
    office.stop();

    let all = exports(&folder);
    validate("messo-rendicontazione-1.0.xsd", &paths(&all, "xml"));
    assert!(published(&office.dir().join("altri/rendicontazioni")).is_empty(), "a gestionale without acts has nothing to reconcile");
    // One export a night, in order, and each change of an act in one of them: the last row of an act is how it stands.
    let nights: Vec<&Exported> = all.iter().filter(|export| export.kind == "VARIATI").collect();
    assert!(nights.windows(2).all(|pair| pair[0].day < pair[1].day), "{:?}", nights.iter().map(|export| &export.day).collect::<Vec<_>>());
    assert!(all.iter().filter(|export| export.kind == "APERTI").all(|export| export.day.ends_with("-01")));
    let last_of = |reference: &str| nights.iter().flat_map(|export| &export.rows).rfind(|row| row["riferimento"] == reference).unwrap();
    let ledger = lines(&office.dir().join("tributi"));
    let done = last_of("REN-1");
    let story: Vec<_> = ledger.iter().filter(|line| line["riferimento"] == "REN-1").collect();
    let end = story.iter().rfind(|line| line["stato"] == "PERFEZIONATO").unwrap();
    assert_eq!((done["stato"].as_str(), done["chiuso"].as_str()), ("PERFEZIONATO", "SI"), "{done:?}");
    for column in [
        "perfezionamento_destinatario_utc",
        "perfezionamento_destinatario_data",
        "perfezionamento_mittente_data",
        "iun",
        "protocollo",
        "atto",
    ] {
        assert!(!done[column].is_empty() && done[column] == end[column], "{column}: {done:?}");
    }
    let billed = story.iter().rfind(|line| !line["costo_ente"].is_empty()).unwrap();
    let added = story.iter().rfind(|line| line["evento"] == "COSTO").unwrap();
    assert_eq!((&done["costo_ente"], &done["costo_cittadino"]), (&billed["costo_ente"], &added["costo_cittadino"]));
    assert_eq!(cents(&done["costo_base"]) + cents(&done["costo_carta"]), cents(&done["costo_ente"]));
    assert_eq!((done["importo"].as_str(), cents(&done["dovuto"])), ("42,50", 4_250 + cents(&done["costo_cittadino"])));
    assert_eq!((done["iva_percentuale"].as_str(), done["diritti_ente"].as_str()), ("22", "1,00"));
    assert!(done["avvisi"].starts_with("302") && done["avvisi"].len() == 18, "{done:?}");
    let files: Vec<&str> = done["attestazioni"].split('|').collect();
    assert!(files.len() >= 2 && files.iter().all(|file| office.dir().join("tributi/attestazioni").join(file).is_file()), "{files:?}");
    let refused = last_of("REN-3");
    assert_eq!(
        (refused["stato"].as_str(), refused["chiuso"].as_str(), refused["dovuto"].as_str()),
        ("RIFIUTATO", "SI", "42,50"),
        "{refused:?}"
    );
    assert!(!refused["codice"].is_empty());
    // Nothing about the citizen.
    for path in paths(&all, "csv").iter().chain(&paths(&all, "xml")) {
        let text = fs::read_to_string(path).unwrap();
        assert!(common::office::CITIZEN.iter().all(|word| !text.contains(word)), "{}", path.display());
    }

    // Again, from the command alone: every one, to the byte, in a folder of copies.
    let (first, last) = (all[0].number.to_string(), all.last().unwrap().number.to_string());
    let report = office.ask(&["export", "--source", "tributi", "--from", &first, "--to", &last]);
    assert_eq!(report["files"], all.len() * 2 - 2, "the first is there: {report}");
    for path in paths(&all, "csv").iter().chain(&paths(&all, "xml")) {
        assert_eq!(copy(&office, &name(path)), fs::read(path).unwrap(), "{}", path.display());
    }
    assert_eq!(office.ask(&["export", "--source", "tributi", "--from", "1", "--to", "2"])["files"], 0, "they are there");
    let night = &nights[1];
    let report = office.ask(&["export", "--from", &night.day]);
    assert!(report["copies"].as_array().unwrap().iter().any(|copy| copy.as_str().unwrap().ends_with(&name(&night.csv))), "{report}");
    for (args, code, word) in [
        (&["export"][..], 2, "--from"),
        (&["export", "--from", "1"], 2, "--source"),
        (&["export", "--from", "1", "--to", "2026-11-01", "--source", "tributi"], 2, "2026-11-01"),
        (&["export", "--from", "900000", "--source", "tributi"], 1, "900000"),
        (&["export", "--from", "1", "--source", "nessuno"], 1, "nessuno"),
    ] {
        let ran = office.command(args);
        assert!(ran.code == code && ran.err.contains(word), "{args:?}: {ran:?}");
    }

    // An office that keeps them sees what is missing and what was changed.
    let kept = office.dir().join("ufficio");
    fs::create_dir(&kept).unwrap();
    let put = |path: &PathBuf| fs::copy(path, kept.join(name(path))).map(drop).unwrap();
    let fill = || paths(&all, "csv").iter().chain(&paths(&all, "xml")).for_each(&put);
    fill();
    assert_eq!(looked_through(&kept), (0, Vec::new()));
    let finding = |code: &str, file: &str| vec![(code.to_owned(), file.to_owned())];
    let (second, third, newest) = (&all[1], &all[2], all.last().unwrap());
    fs::remove_file(kept.join(name(&second.csv))).unwrap();
    assert_eq!(looked_through(&kept), (1, finding("MANCANTE", "rendicontazione_tributi_000002.csv")));
    fill();
    let alter = |path: &PathBuf, change: &dyn Fn(String) -> String| {
        let text = fs::read_to_string(path).unwrap();
        let changed = change(text.clone());
        assert_ne!(changed, text);
        fs::write(kept.join(name(path)), changed).unwrap();
    };
    alter(&third.xml, &|text| text.replacen(&third.day, "1999-12-31", 1));
    assert_eq!(looked_through(&kept), (1, finding("ALTERATA", &name(&third.xml))));
    fill();
    // Nobody after the newest tells its digest: its totals do.
    let total = format!(";{};", newest.totals["dovuto"]);
    // In the row of totals alone: a night with one row has the same amount in both.
    alter(&newest.csv, &|text| {
        let at = text.rfind(&total).unwrap();
        [&text[..at], ";9999,99;", &text[at + total.len()..]].concat()
    });
    assert_eq!(looked_through(&kept).1.first().map(|found| found.0.clone()).as_deref(), Some("TOTALI_ERRATI"));
    fill();
    alter(&newest.csv, &|text| text[..text.len() - 20].to_owned());
    assert_eq!(looked_through(&kept), (1, finding("NON_VALIDA", &name(&newest.csv))));
    fill();
    alter(&newest.xml, &|text| text.replace("</rendicontazione>\n", ""));
    assert_eq!(looked_through(&kept), (1, finding("NON_VALIDA", &name(&newest.xml))));
    fill();
    for path in [&all[0].csv, &all[0].xml] {
        fs::remove_file(kept.join(name(path))).unwrap();
    }
    assert_eq!(looked_through(&kept), (0, finding("INIZIO", "rendicontazione_tributi_000002")));
    assert_eq!(common::office::run(&["export", "verify", "/non/esiste"]).code, 2);

    // Lost files come back under their own names; what somebody put there stays.
    for path in [&second.csv, &third.xml] {
        fs::remove_file(path).unwrap();
    }
    fs::write(&third.xml, "di qualcun altro").unwrap();
    office.ask(&["publish", "--rebuild", "--source", "tributi"]);
    assert_eq!(fs::read_to_string(&third.xml).unwrap(), "di qualcun altro");
    fs::remove_file(&third.xml).unwrap();
    office.ask(&["publish", "--rebuild", "--source", "tributi"]);
    assert_eq!(exports(&folder).len(), all.len());
}

/// No SEND at all: what messo took is reconciled all the same. The service stands still for days, then the clock is a year ahead, then
/// right again: one export covers what came since the last, and each line is in one window.
#[test]
fn missed_nights_and_clocks_that_jump_leave_no_gap() {
    let now = Clock::REAL.now();
    // The origin from which, 43.200 times as fast, it is that day now.
    let after = |days: i64| format!("43200@{}", now.as_millisecond() - days * 86_400_000 / 43_199);
    let mut clock = after(0);
    let mut office = office(&clock, "http://127.0.0.1:9");
    let folder = office.dir().join("tributi/rendicontazioni");
    let mut made = 0;
    for (round, days) in [0, 30, 365, 40].into_iter().enumerate() {
        clock.clone_from(&after(days));
        office.set_clock(&clock);
        office.start();
        let reference = format!("SALTO-{round}");
        office.answered(
            "tributi",
            "con",
            &format!("lotto-{round}.zip"),
            &batch(&[Row::new(ENTE, &reference).notice(ENTE, 10 + round as u64)]),
            "PRESA_IN_CARICO",
            &[],
        );
        wait_for(&format!("round {round}: {reference} is reconciled"), SOON, || {
            std::thread::sleep(Duration::from_millis(100));
            let found = published(&folder);
            found
                .iter()
                .any(|path| path.extension().is_some_and(|ext| ext == "csv") && fs::read_to_string(path).unwrap().contains(&reference))
                .then_some(())
        });
        office.stop();
        let all = exports(&folder);
        assert!(all.len() > made, "round {round}");
        made = all.len();
        for round in 0..=round {
            let told = all.iter().filter(|export| export.kind == "VARIATI").flat_map(|export| &export.rows);
            let rows = told.filter(|row| row["riferimento"] == format!("SALTO-{round}")).count();
            assert!(rows >= 1, "SALTO-{round}");
        }
    }
    let all = exports(&folder);
    // A month without the service is one export, not thirty.
    let days = |from: &str, to: &str| {
        let day = |text: &str| text.parse::<jiff::civil::Date>().unwrap();
        day(to).since(day(from)).unwrap().get_days()
    };
    let nights: Vec<&Exported> = all.iter().filter(|export| export.kind == "VARIATI").collect();
    assert!(nights.windows(2).any(|pair| days(&pair[0].day, &pair[1].day) > 10), "{:?}", nights.iter().map(|e| &e.day).collect::<Vec<_>>());
    assert!(nights.windows(2).any(|pair| pair[0].day > pair[1].day), "the clock went back");
    validate("messo-rendicontazione-1.0.xsd", &paths(&all, "xml"));
}

/// The share of the gestionale is full in the night: nothing half written is seen, no number is lost, operators are told once, and it
/// is made when there is room again.
#[test]
fn a_full_disk_puts_an_export_off_and_loses_no_number() {
    let clock = shared_clock(43_200);
    let mut office = office(&clock, "http://127.0.0.1:9");
    let home = office.dir().join("tributi");
    let Some(share) = SmallDisk::mount(&home, "2m", "a_full_disk_puts_an_export_off_and_loses_no_number") else { return };
    office.start();
    office.answered("tributi", "con", "uno.zip", &batch(&[Row::new(ENTE, "PIENO-1").notice(ENTE, 1)]), "PRESA_IN_CARICO", &[]);
    let folder = home.join("rendicontazioni");
    wait_for("the first night", SOON, || (published(&folder).len() >= 2).then_some(()));
    let filler = home.join("pieno");
    fill_up(&filler);
    wait_for("operators are told", SOON, || office.alerted("RENDICONTAZIONE_IN_RITARDO").then_some(()));
    // Some more attempts.
    std::thread::sleep(Duration::from_secs(3));
    fill_up(&filler);
    let before = exports(&folder).len();
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(exports(&folder).len(), before, "nothing is made without room");
    fs::remove_file(&filler).unwrap();
    wait_for("made when there is room", SOON, || (published(&folder).len() / 2 > before).then_some(()));
    wait_for("operators are told", SOON, || office.alerted("RENDICONTAZIONE_RIUSCITA").then_some(()));
    let told =
        office.log().lines().filter(|line| line.contains("avviso agli operatori") && line.contains("RENDICONTAZIONE_IN_RITARDO")).count();
    office.stop();
    assert_eq!(told, 1);
    let all = exports(&folder);
    assert!(all.iter().flat_map(|export| &export.rows).any(|row| row["riferimento"] == "PIENO-1"));
    let left: Vec<String> =
        fs::read_dir(&folder).unwrap().map(|entry| name(&entry.unwrap().path())).filter(|name| name.starts_with('.')).collect();
    assert!(left.is_empty(), "{left:?}");
    drop(share);
}

/// The share of one gestionale hangs (its last numbers are read for ever): the others have their exports all the same, operators are
/// told because time has passed, and when it answers again its chain goes on.
#[test]
fn a_share_that_hangs_holds_up_nobody_else() {
    let clock = shared_clock(43_200);
    let mut office = office(&clock, "http://127.0.0.1:9");
    office.start();
    for (source, n) in [("tributi", 1), ("altri", 2)] {
        let row = Row::new(ENTE, &format!("FERMO-{n}")).notice(ENTE, n);
        office.answered(source, "con", "uno.zip", &batch(&[row]), "PRESA_IN_CARICO", &[]);
    }
    let dir = office.dir().to_owned();
    let folder = |source: &str| dir.join(source).join("rendicontazioni");
    let count = |source: &str| published(&folder(source)).len();
    wait_for("the first nights", SOON, || (count("tributi") >= 2 && count("altri") >= 2).then_some(()));
    let numbers = dir.join("tributi/.messo/numeri");
    let kept = numbers.with_file_name("numeri-messi-da-parte");
    fs::rename(&numbers, &kept).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, &numbers, rustix::fs::Mode::from_raw_mode(0o640)).unwrap();
    // Outcomes are numbered files too: that of the one waits, that of the other comes.
    for (source, n) in [("tributi", 3), ("altri", 4)] {
        let row = Row::new(ENTE, &format!("FERMO-{n}")).notice(ENTE, n);
        office.answered(source, "con", "due.zip", &batch(&[row]), "PRESA_IN_CARICO", &[]);
    }
    let told = |source: &str, reference: &str| {
        published(&dir.join(source).join("esiti")).iter().any(|path| fs::read_to_string(path).unwrap().contains(reference))
    };
    wait_for("the outcome of the other", SOON, || told("altri", "FERMO-4").then_some(()));
    assert!(!told("tributi", "FERMO-3"), "it came out without its number");
    let before = count("altri");
    wait_for("operators are told", SOON, || office.alerted("RENDICONTAZIONE_IN_RITARDO").then_some(()));
    let meanwhile = count("altri");
    assert!(meanwhile >= before + 4, "the other gestionale waited: {before} files, then {meanwhile}");
    let hung = count("tributi");
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(count("tributi"), hung, "nothing comes out without its number");
    // It answers again.
    fs::write(&numbers, fs::read(&kept).unwrap()).unwrap();
    wait_for("its outcome", SOON, || told("tributi", "FERMO-3").then_some(()));
    wait_for("it goes on", SOON, || (count("tributi") >= hung + 2).then_some(()));
    wait_for("operators are told", SOON, || office.alerted("RENDICONTAZIONE_RIUSCITA").then_some(()));
    office.stop();
    for source in ["tributi", "altri"] {
        assert_eq!(looked_through(&folder(source)), (0, Vec::new()), "{source}");
    }
}

/// Writes until there is no room.
fn fill_up(path: &Path) {
    use std::io::Write;
    let mut file = fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
    while file.write_all(&[0; 1_024]).is_ok() {}
}
