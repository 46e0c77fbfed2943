//! Folders seen from outside, with the real program: what an office or a gestionale does, and the receipt it gets for it.
//!
//! What the watcher itself does is in `watch.rs`; here a drop goes all the way to its receipt. Nothing is sent unless a test
//! starts a simulator: SEND's address is a closed port.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a failed step ends the test")]

mod common;
#[path = "crash/house.rs"]
mod house;
#[path = "crash/lot.rs"]
mod lot;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use common::{Child, SmallDisk, wait_for};
use house::{ANAGRAFE, House, POLIZIA, Simulator, clock_from_now, files_below};
use lot::{Act, DELIVERED, Lot, SEEN};
use messo::domain::digest::Sha256;
use messo::failpoint;

const SOON: Duration = Duration::from_secs(30);
/// Nobody listens there.
const CLOSED: &str = "http://127.0.0.1:1";
const ROOMY: &str = "disk_reserve_bytes = 0";

/// A house whose hub sends to nobody.
fn quiet_house() -> House {
    House::new(CLOSED, "1", ROOMY)
}

fn started(house: &House) -> Child {
    let mut hub = house.run();
    hub.wait_line("messo è in servizio", SOON);
    hub
}

fn lot(source: (&str, &str), references: &[&str]) -> Lot {
    Lot::of(source.1, references.iter().map(|reference| Act::new(*reference, DELIVERED)).collect())
}

/// A receipt in XML.
struct Receipt(String);

impl Receipt {
    fn tag(&self, name: &str) -> &str {
        let open = format!("<{name}>");
        let start = self.0.find(&open).unwrap_or_else(|| panic!("no <{name}> in {}", self.0)) + open.len();
        &self.0[start..start + self.0[start..].find("</").unwrap()]
    }

    fn state(&self) -> &str {
        self.tag("stato")
    }

    fn has(&self, text: &str) -> bool {
        self.0.contains(text)
    }
}

/// Receipts of the drops named `name`, in the order in which they were received.
fn receipts(house: &House, source: &str, name: &str) -> Vec<Receipt> {
    let folder = house.home(source).join("ricevute");
    let names = house.names(source, "ricevute");
    let texts = names.iter().filter(|file| file.ends_with(".xml")).map(|file| Receipt(fs::read_to_string(folder.join(file)).unwrap()));
    let mut found: Vec<Receipt> = texts.filter(|receipt| receipt.tag("nome") == name).collect();
    found.sort_by_key(|receipt| receipt.tag("ricevuto_utc").to_owned());
    found
}

fn receipt(house: &House, source: &str, name: &str) -> Receipt {
    let what = format!("the receipt of {name}");
    wait_for(&what, SOON, || receipts(house, source, name).pop())
}

fn in_work(house: &House, source: &str) -> usize {
    files_below(&house.home(source).join(".messo/lavoro")).len()
}

#[test]
fn the_same_name_again_while_the_first_is_in_work() {
    let house = quiet_house();
    let _hub = started(&house);
    // Enough rows to be in work for a while: each is an order about an act that nobody knows.
    let many = Lot::of(ANAGRAFE.1, (0..10_000).map(|n| Act::order(&format!("IGNOTO-{n}"), "annulla")).collect());
    house.drop_file(ANAGRAFE.0, "lotto.zip", &many.zip());
    wait_for("the first is claimed", SOON, || (in_work(&house, ANAGRAFE.0) == 1).then_some(()));
    house.drop_file(ANAGRAFE.0, "lotto.zip", &lot(ANAGRAFE, &["A-1"]).zip());
    wait_for("the second is claimed while the first is read", SOON, || (in_work(&house, ANAGRAFE.0) == 2).then_some(()));
    assert_eq!(house.names(ANAGRAFE.0, "ricevute"), Vec::<String>::new(), "the first is still in work");
    let both =
        wait_for("two receipts", Duration::from_secs(60), || Some(receipts(&house, ANAGRAFE.0, "lotto.zip")).filter(|r| r.len() == 2));
    assert_eq!([both[0].state(), both[1].state()], ["SCARTATO", "PRESA_IN_CARICO"]);
    assert_eq!((both[0].tag("atti"), both[1].tag("atti")), ("10000", "1"));
    wait_for("the work folder is empty", SOON, || (in_work(&house, ANAGRAFE.0) == 0).then_some(()));
    assert!(files_below(&house.home(ANAGRAFE.0).join("in")).is_empty());
}

#[test]
fn half_a_file_waits_for_its_end_or_gets_a_receipt_once() {
    let house = quiet_house();
    let inbox = house.home(POLIZIA.0).join("in");
    let whole = lot(POLIZIA, &["META-1"]).zip();
    let hub = started(&house);
    wait_for("the folders are made", SOON, || inbox.is_dir().then_some(()));
    // A copy that stops in the middle, for good.
    fs::write(inbox.join("mai-finito.zip"), &whole[..whole.len() / 2]).unwrap();
    let told = receipt(&house, POLIZIA.0, "mai-finito.zip");
    assert_eq!(told.state(), "SCARTATO");
    assert!(told.has("FILE_INCOMPLETO"), "{}", told.0);
    assert!(inbox.join("mai-finito.zip").exists(), "it stays where it is");
    // A copy that goes on after a pause longer than the window, under its final name.
    fs::write(inbox.join("a-pezzi.zip"), &whole[..whole.len() / 3]).unwrap();
    let looked = fs::metadata(inbox.join("a-pezzi.zip")).unwrap().len();
    wait_for("it is known to be unfinished", SOON, || {
        receipts(&house, POLIZIA.0, "a-pezzi.zip").pop().map(|receipt| assert!(receipt.has("FILE_INCOMPLETO")))
    });
    assert_eq!(fs::metadata(inbox.join("a-pezzi.zip")).unwrap().len(), looked);
    fs::write(inbox.join("a-pezzi.zip"), &whole).unwrap();
    let taken = wait_for("it is taken once whole", SOON, || receipts(&house, POLIZIA.0, "a-pezzi.zip").into_iter().nth(1));
    assert_eq!(taken.state(), "PRESA_IN_CARICO");
    // After a restart nobody is told twice of the file that never ended: another drop passes by, and it is silent.
    drop(hub);
    let _hub = started(&house);
    house.drop_file(POLIZIA.0, "dopo.zip", &lot(POLIZIA, &["META-2"]).zip());
    receipt(&house, POLIZIA.0, "dopo.zip");
    std::thread::sleep(Duration::from_millis(2_500)); // the time after which it would be told
    assert_eq!(receipts(&house, POLIZIA.0, "mai-finito.zip").len(), 1);
}

/// Stopped wherever the receipt of an unfinished file is written, the next start writes it.
#[test]
fn the_receipt_of_half_a_file_survives_a_crash() {
    let house = quiet_house();
    let inbox = house.home(POLIZIA.0).join("in");
    fs::create_dir_all(&inbox).unwrap();
    fs::write(inbox.join("meta.zip"), &lot(POLIZIA, &["META-1"]).zip()[..100]).unwrap();
    for point in ["incomplete.told", "incomplete.journaled", "incomplete.finished"] {
        let mut hub = Child::spawn("messo run", house.command().env(failpoint::VARIABLE, point));
        wait_for(&format!("{point} is reached"), SOON, || hub.try_wait());
    }
    let mut hub = started(&house);
    let told = receipt(&house, POLIZIA.0, "meta.zip");
    assert_eq!((told.state(), told.has("FILE_INCOMPLETO")), ("SCARTATO", true));
    assert_eq!(hub.terminate(SOON).code(), Some(0));
    assert_eq!(receipts(&house, POLIZIA.0, "meta.zip").len(), 1, "told once");
    assert_eq!(house.count("SELECT count(*) FROM batch WHERE finished_at IS NULL"), Some(0));
}

#[test]
fn companions_are_checked_and_taken_along() {
    let house = quiet_house();
    let _hub = started(&house);
    let inbox = house.home(POLIZIA.0).join("in");
    wait_for("the folders are made", SOON, || inbox.is_dir().then_some(()));
    let md5 = |bytes: &[u8]| {
        use md5::Digest;
        md5::Md5::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    let sha256 = |bytes: &[u8]| Sha256::of(bytes).to_hex();
    let whole = |name: &str| lot(POLIZIA, &[&format!("C-{name}")]).zip();
    let table = [
        ("giusta", "zip.sha256", sha256(&whole("giusta")), "PRESA_IN_CARICO"),
        ("sbagliata", "zip.sha256", sha256(b"altro"), "SCARTATO"),
        ("giusta-md5", "zip.md5", md5(&whole("giusta-md5")), "PRESA_IN_CARICO"),
        ("sbagliata-md5", "zip.md5", md5(b"altro"), "SCARTATO"),
        ("pronta", "ok", String::new(), "PRESA_IN_CARICO"),
    ];
    for (name, extension, says, state) in table {
        fs::write(inbox.join(format!("{name}.{extension}")), says).unwrap();
        house.drop_file(POLIZIA.0, &format!("{name}.zip"), &whole(name));
        let receipt = receipt(&house, POLIZIA.0, &format!("{name}.zip"));
        assert_eq!(receipt.state(), state, "{name}.{extension}");
        assert_eq!(receipt.has("IMPRONTA_COMPAGNO_DIVERSA"), state == "SCARTATO", "{name}.{extension}: {}", receipt.0);
    }
    wait_for("companions leave with their files", SOON, || {
        (files_below(&inbox).is_empty() && in_work(&house, POLIZIA.0) == 0).then_some(())
    });
}

#[test]
fn the_same_content_is_a_duplicate_whatever_its_name() {
    let house = quiet_house();
    let mut hub = started(&house);
    let bytes = lot(POLIZIA, &["D-1", "D-2"]).zip();
    house.drop_file(POLIZIA.0, "primo.zip", &bytes);
    let first = receipt(&house, POLIZIA.0, "primo.zip");
    assert_eq!(first.state(), "PRESA_IN_CARICO");
    house.drop_file(POLIZIA.0, "ordinanze/secondo.zip", &bytes);
    let second = receipt(&house, POLIZIA.0, "secondo.zip");
    assert_eq!(second.state(), "DUPLICATO");
    let points_at = format!("<duplicato_di><lotto>{}</lotto><nome>primo.zip</nome>", first.tag("lotto"));
    assert!(second.has(&points_at), "{}", second.0);
    // Also after a restart; and a refused drop is no first.
    assert_eq!(hub.terminate(SOON).code(), Some(0));
    let _hub = started(&house);
    house.drop_file(POLIZIA.0, "terzo.zip", &bytes);
    assert!(receipt(&house, POLIZIA.0, "terzo.zip").has(&points_at));
    for name in ["rotto.zip", "rotto-ancora.zip"] {
        let mut bad = lot(POLIZIA, &["D-3"]);
        bad.acts[0].wrong_tax_id = true;
        house.drop_file(POLIZIA.0, name, &bad.zip());
        assert_eq!(receipt(&house, POLIZIA.0, name).state(), "SCARTATO", "{name}");
    }
    assert_eq!(house.count("SELECT count(*) FROM act"), Some(2));
}

#[test]
fn a_trial_gets_the_same_receipt_and_sends_nothing() {
    let house = quiet_house();
    let _hub = started(&house);
    let mut lot = lot(POLIZIA, &["T-1", "T-2", "T-3"]);
    lot.acts[1].wrong_tax_id = true;
    house.drop_file(POLIZIA.0, "prova/lotto.zip", &lot.zip());
    let trial = receipt(&house, POLIZIA.0, "lotto.zip");
    assert_eq!((trial.state(), trial.tag("prova"), trial.tag("accettati"), trial.tag("scartati")), ("PARZIALE", "true", "2", "1"));
    assert_eq!(house.count("SELECT count(*) FROM act"), Some(0), "nothing of it is kept");
    assert_eq!(house.names(POLIZIA.0, "scarti"), Vec::<String>::new());
    // A trial does not make the real one a duplicate.
    house.drop_file(POLIZIA.0, "lotto-vero.zip", &lot.zip());
    let real = receipt(&house, POLIZIA.0, "lotto-vero.zip");
    assert_eq!((real.state(), real.tag("prova")), ("PARZIALE", "false"));
    wait_for("the refused row is given back", SOON, || (house.names(POLIZIA.0, "scarti").len() == 1).then_some(()));
    assert_eq!(house.count("SELECT count(*) FROM act"), Some(2));
}

#[test]
fn a_sub_folder_is_the_flow() {
    let house = quiet_house();
    let _hub = started(&house);
    let mut cds = lot(POLIZIA, &["F-1"]);
    cds.acts[0].notice = Some(1);
    let table = [
        ("cds/verbali.zip", cds.zip(), "PRESA_IN_CARICO", "<flusso nome=\"cds\">"),
        // Of another office: not on this gestionale's list.
        ("anagrafe/altri.zip", lot(POLIZIA, &["F-2"]).zip(), "SCARTATO", "FLUSSO_NON_AUTORIZZATO"),
        ("nessuno.zip", lot(POLIZIA, &["F-3"]).zip(), "PRESA_IN_CARICO", "<flusso nome=\"ordinanze\">"),
        ("prova/cds/prova.zip", lot(POLIZIA, &["F-4"]).zip(), "SCARTATO", "<flusso nome=\"cds\">"),
    ];
    for (path, bytes, state, says) in table {
        house.drop_file(POLIZIA.0, path, &bytes);
        let receipt = receipt(&house, POLIZIA.0, path.rsplit('/').next().unwrap());
        assert_eq!(receipt.state(), state, "{path}");
        assert!(receipt.has(says), "{path}: no {says} in {}", receipt.0);
    }
}

#[test]
fn what_arrives_while_nobody_runs_is_found_at_the_next_start() {
    let house = quiet_house();
    house.drop_file(POLIZIA.0, "prima-del-primo-avvio.zip", &lot(POLIZIA, &["R-1"]).zip());
    let mut hub = started(&house);
    assert_eq!(receipt(&house, POLIZIA.0, "prima-del-primo-avvio.zip").state(), "PRESA_IN_CARICO");
    assert_eq!(hub.terminate(SOON).code(), Some(0));
    house.drop_file(POLIZIA.0, "mentre-era-fermo.zip", &lot(POLIZIA, &["R-2"]).zip());
    house.drop_file(ANAGRAFE.0, "mentre-era-fermo.zip", &lot(ANAGRAFE, &["R-3"]).zip());
    let _hub = started(&house);
    for source in [POLIZIA.0, ANAGRAFE.0] {
        assert_eq!(receipt(&house, source, "mentre-era-fermo.zip").state(), "PRESA_IN_CARICO", "{source}");
    }
}

#[test]
fn sigterm_finishes_what_runs_and_the_rest_goes_on_later() {
    let clock = clock_from_now(43_200);
    let faults = tempfile::NamedTempFile::new().unwrap();
    // Slow enough that calls are under way when the signal comes.
    fs::write(faults.path(), "[[fault]]\noperation = \"send\"\nkind = \"slow\"\nms = 700\n").unwrap();
    let simulator = Simulator::start(&clock, &["--faults", faults.path().to_str().unwrap()]);
    let house = House::new(&simulator.url, &clock, ROOMY);
    let references: Vec<String> = (0..15).map(|n| format!("S-{n}")).collect();
    let acts = references.iter().map(|reference| Act::new(reference, SEEN)).collect();
    house.drop_file(POLIZIA.0, "lotto.zip", &Lot::of(POLIZIA.1, acts).zip());
    let mut hub = started(&house);
    wait_for("requests are under way", SOON, || (simulator.look("counters")["operations"]["send"].as_i64() > Some(0)).then_some(()));
    assert_eq!(hub.terminate(SOON).code(), Some(0), "{}", hub.output());
    assert_eq!(house.count("SELECT count(*) FROM job WHERE state = 'IN_CORSO'"), Some(0), "nothing is left half-way");
    let sent = house.count("SELECT count(*) FROM act WHERE state = 'IN_INVIO'").unwrap();
    let taken = simulator.look("counters")["notifications"].as_i64().unwrap();
    assert_eq!(sent, 15 - taken, "what was under way is known, the rest waits");
    let mut hub = started(&house);
    wait_for("every act is complete", Duration::from_secs(60), || {
        (house.count("SELECT count(*) FROM act WHERE state = 'PERFEZIONATO'") == Some(15)).then_some(())
    });
    assert_eq!(hub.terminate(SOON).code(), Some(0));
    assert_eq!(simulator.look("counters")["notifications"], 15);
}

#[test]
fn a_second_process_on_the_same_data_says_why_it_does_not_start() {
    let house = quiet_house();
    let mut hub = started(&house);
    let mut second = house.run();
    assert_eq!(second.wait(SOON).code(), Some(1));
    assert!(second.output().contains("già in uso"), "{}", second.output());
    house.drop_file(POLIZIA.0, "lotto.zip", &lot(POLIZIA, &["U-1"]).zip());
    assert_eq!(receipt(&house, POLIZIA.0, "lotto.zip").state(), "PRESA_IN_CARICO", "the first goes on");
    assert_eq!(hub.terminate(SOON).code(), Some(0));
    // Free again.
    let mut third = started(&house);
    assert_eq!(third.terminate(SOON).code(), Some(0));
}

/// Fills the disk of a folder to the last byte.
fn fill(folder: &Path) -> PathBuf {
    use std::io::Write;
    let path = folder.join("zavorra");
    let mut file = fs::File::create(&path).unwrap();
    for size in [1 << 16, 1 << 12, 1] {
        while file.write_all(&vec![b'x'; size]).is_ok() {}
    }
    path
}

/// A full disk loses nothing and kills nobody: what was dropped waits, and goes on when there is room.
#[test]
fn a_full_disk_stops_the_work_and_loses_nothing() {
    // (what is small, the reserve that limits ask for)
    for (small, limits) in [("dati", "disk_reserve_bytes = 2000000"), ("dati", ROOMY), ("case/polizia", ROOMY)] {
        let house = House::new(CLOSED, "1", limits);
        let disk = house.path(small);
        fs::create_dir_all(&disk).unwrap();
        let Some(_tiny) = SmallDisk::mount(&disk, "16m", "a_full_disk_stops_the_work_and_loses_nothing") else { return };
        let mut hub = started(&house);
        house.drop_file(POLIZIA.0, "prima.zip", &lot(POLIZIA, &["Z-1"]).zip());
        assert_eq!(receipt(&house, POLIZIA.0, "prima.zip").state(), "PRESA_IN_CARICO", "{small}, {limits}");
        // On a full home nobody can drop: the file is there before the disk fills.
        let bytes = lot(POLIZIA, &["Z-2", "Z-3"]).zip();
        let ballast = if small == "dati" {
            let ballast = fill(&disk);
            house.drop_file(POLIZIA.0, "pieno.zip", &bytes);
            ballast
        } else {
            let part = house.home(POLIZIA.0).join("in/pieno.zip.part");
            fs::write(&part, &bytes).unwrap();
            let ballast = fill(&disk);
            fs::rename(&part, part.with_extension("")).unwrap();
            ballast
        };
        wait_for("it is claimed", SOON, || (!house.home(POLIZIA.0).join("in/pieno.zip").exists()).then_some(()));
        wait_for("the operators are told", SOON, || {
            let told = hub.output();
            (told.contains("non può essere presa in carico ora") || told.contains("non può essere scritto")).then_some(())
        });
        assert!(hub.try_wait().is_none(), "{small}, {limits}: the hub goes on\n{}", hub.output());
        // (On a full home the claimed file, kept elsewhere and removed, leaves room for one small file at most.)
        let published = house.names(POLIZIA.0, "ricevute").into_iter().filter(|name| name.contains("_pieno_")).count();
        assert!(published < if small == "dati" { 1 } else { 2 }, "{small}, {limits}");
        fs::remove_file(ballast).unwrap();
        assert_eq!(receipt(&house, POLIZIA.0, "pieno.zip").state(), "PRESA_IN_CARICO", "{small}, {limits}");
        wait_for("the receipt in words", SOON, || {
            house.names(POLIZIA.0, "ricevute").iter().any(|name| name.contains("_pieno_") && name.ends_with(".txt")).then_some(())
        });
        assert_eq!(hub.terminate(SOON).code(), Some(0), "{small}, {limits}\n{}", hub.output());
        assert_eq!(house.count("SELECT count(*) FROM act"), Some(3), "{small}, {limits}");
        let left = files_below(&house.home(POLIZIA.0)).into_iter().filter(|file| file.to_string_lossy().contains(".messo-"));
        assert_eq!(left.collect::<Vec<_>>(), Vec::<PathBuf>::new(), "{small}, {limits}");
    }
}
