//! `messo publish`: what a gestionale has lost comes back, from the hub or from the command alone.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a failed step ends the test")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use common::office::{Ente, Office, Row, SOON, Simulator, batch, flow, shared_clock};
use common::published::tree;
use common::wait_for;

const ENTE: &str = "01234567897";

/// Files of a gestionale that lie in the folders it reads, by path below its home.
fn outputs(home: &Path) -> BTreeMap<String, Vec<u8>> {
    let folders = ["ricevute", "scarti", "esiti", "attestazioni"];
    let all = folders.iter().flat_map(|folder| tree(&home.join(folder)));
    all.map(|path| (path.strip_prefix(home).unwrap().to_str().unwrap().to_owned(), std::fs::read(&path).unwrap())).collect()
}

/// A real hub fills the folders, everything in them is lost, and comes back: from the command alone, then from the hub.
#[test]
fn what_was_published_is_given_again_with_and_without_a_hub() {
    let clock = shared_clock(86_400);
    let send = Simulator::start(&clock, "");
    let key = format!("{ENTE}-prova");
    let sources: Vec<(&str, &[&str], &[&str])> = vec![("tributi", &[ENTE], &["aperto"]), ("altri", &[ENTE], &["aperto"])];
    let enti = [Ente { tax_id: ENTE, key: &key, more: "" }];
    let mut office = Office::new(&clock, &send.url(), &enti, &sources, &[flow("aperto", "", "")]);
    office.start();
    let wrong = Row::new(ENTE, "PUB-2").with("codice_fiscale", "RSSMRA80A01H501X");
    let refused = Row::new(ENTE, "PUB-3").with("indirizzo", "VIA @FAIL-INDIRIZZO 1");
    let rows = [Row::new(ENTE, "PUB-1"), wrong, refused];
    office.answered("tributi", "aperto", "lotto.zip", &batch(&rows), "PARZIALE", &["CODICE_FISCALE_NON_VALIDO"]);
    office.reject("tributi", "lotto.zip", false);
    office.reject("tributi", "lotto.zip", true);
    let listed = office.act("PUB-3")["files"].clone();
    assert!(listed.as_array().unwrap().iter().any(|file| file["kind"] == "SCARTO"), "act show tells of its reject: {listed}");
    office.wait_state("tributi", "PUB-1", "PERFEZIONATO");
    office.answered("tributi", "aperto", "secondo.zip", &batch(&[Row::new(ENTE, "PUB-4")]), "PRESA_IN_CARICO", &[]);
    office.wait_state("tributi", "PUB-4", "PERFEZIONATO");
    wait_for("every attestation is kept and listed", SOON, || {
        std::thread::sleep(Duration::from_millis(200));
        let kept = ["PUB-1", "PUB-4"].map(|act| office.act(act)["legal_facts"].as_array().unwrap().clone()).concat();
        let names: Vec<&str> = kept.iter().filter_map(|fact| fact["name"].as_str()).collect();
        let found = outputs(&office.dir().join("tributi"));
        let indexes: String = found
            .iter()
            .filter(|(name, _)| name.contains("/indice_") && name.ends_with(".csv"))
            .map(|(_, bytes)| String::from_utf8_lossy(bytes).into_owned())
            .collect();
        (kept.iter().all(|fact| fact["state"] == "CONSERVATA") && names.iter().all(|name| indexes.contains(name))).then_some(())
    });
    office.stop();
    let home = office.dir().join("tributi");
    let originals = outputs(&home);
    let count = |part: &str| originals.keys().filter(|name| name.starts_with(part)).count();
    assert!(
        count("ricevute/") == 4 && count("scarti/") == 2 && count("esiti/") >= 4 && count("attestazioni/indice_") >= 4,
        "{:?}",
        originals.keys()
    );
    assert!(count("attestazioni/20") >= 4, "{:?}", originals.keys());

    let lose = || {
        for folder in ["ricevute", "scarti", "esiti", "attestazioni"] {
            std::fs::remove_dir_all(home.join(folder)).unwrap();
            std::fs::create_dir(home.join(folder)).unwrap();
        }
    };
    let is_numbered = |name: &str| name.starts_with("esiti/") || name.starts_with("attestazioni/indice_");
    let copy_of = |name: &str| {
        let (stem, extension) = name.rsplit_once('.').unwrap();
        format!("{stem}_copia.{extension}")
    };
    let is_whole = |when: &str| {
        let found = outputs(&home);
        for (name, bytes) in &originals {
            let there = if is_numbered(name) { copy_of(name) } else { name.clone() };
            let again = found.get(&there).unwrap_or_else(|| panic!("{when}: {there} did not come back: {:?}", found.keys()));
            if is_numbered(name) && name.ends_with(".xml") {
                let (text, original) = (String::from_utf8(again.clone()).unwrap(), String::from_utf8(bytes.clone()).unwrap());
                assert_eq!(text.replace("<copia>true</copia>", "<copia>false</copia>"), original, "{when}: {there}");
                assert!(text.contains("<copia>true</copia>"), "{when}: {there}");
            } else {
                assert_eq!(again, bytes, "{when}: {there}");
            }
        }
        assert_eq!(found.len(), originals.len(), "{when}: {:?}", found.keys());
    };
    // No hub: the command does it, with nothing of the neighbour.
    lose();
    let report = office.ask(&["publish", "--rebuild", "--source", "tributi"]);
    assert_eq!(report["files"], originals.len(), "{report}");
    is_whole("without a hub");
    assert_eq!(report["folders"].as_array().unwrap().len(), 5, "{report}");
    assert!(outputs(&office.dir().join("altri")).is_empty());
    assert_eq!(office.ask(&["publish", "--rebuild"])["files"], 0, "nothing is missing, nothing is written");

    // By number: what is numbered, with the attestations that the indexes list.
    lose();
    office.ask(&["publish", "--from", "2", "--source", "tributi"]);
    let found = outputs(&home);
    let number =
        |name: &str| name.trim_end_matches(".csv").trim_end_matches(".xml").rsplit('_').find_map(|part| part.parse::<u64>().ok()).unwrap();
    let wanted: BTreeSet<String> =
        originals.keys().filter(|name| is_numbered(name) && number(name) >= 2).map(|name| copy_of(name)).collect();
    let numbered: BTreeSet<String> = found.keys().filter(|name| is_numbered(name)).cloned().collect();
    assert_eq!(numbered, wanted);
    let indexes: String = found
        .iter()
        .filter(|(name, _)| name.contains("/indice_") && name.ends_with(".csv"))
        .map(|(_, bytes)| String::from_utf8_lossy(bytes).into_owned())
        .collect();
    for name in originals.keys().filter(|name| name.starts_with("attestazioni/20")) {
        assert_eq!(found.contains_key(name), indexes.contains(name.strip_prefix("attestazioni/").unwrap()), "{name}");
    }
    assert!(found.keys().all(|name| !name.starts_with("ricevute/") && !name.starts_with("scarti/")), "{:?}", found.keys());

    // From the hub; and what somebody else has put there stays as it is.
    lose();
    let foreign =
        ["ricevute/", "scarti/", "attestazioni/20"].map(|part| originals.keys().find(|name| name.starts_with(part)).unwrap().clone());
    let foreign: Vec<String> =
        foreign.into_iter().chain([copy_of(originals.keys().find(|name| name.starts_with("esiti/")).unwrap())]).collect();
    for name in &foreign {
        std::fs::create_dir_all(home.join(name).parent().unwrap()).unwrap();
        std::fs::write(home.join(name), "di qualcun altro").unwrap();
    }
    office.start();
    let report = office.ask(&["publish", "--rebuild", "--source", "tributi"]);
    assert_eq!(report["files"], originals.len() - foreign.len(), "{report}");
    for name in &foreign {
        assert_eq!(std::fs::read_to_string(home.join(name)).unwrap(), "di qualcun altro", "{name}");
        std::fs::remove_file(home.join(name)).unwrap();
    }
    office.ask(&["publish", "--rebuild", "--source", "tributi"]);
    is_whole("from the hub");
    // A configuration that changed gives other bytes: they do not take the name of the original.
    office.stop();
    let config = std::fs::read_to_string(office.config()).unwrap();
    std::fs::write(office.config(), config.replace("Comune di Prova", "Comune di Altro Nome")).unwrap();
    let receipt = originals.keys().find(|name| name.starts_with("ricevute/") && name.ends_with(".xml")).unwrap();
    std::fs::remove_file(home.join(receipt)).unwrap();
    assert_eq!(office.ask(&["publish", "--rebuild"])["files"], 1);
    assert!(!home.join(receipt).exists() && home.join(copy_of(receipt)).exists());
    // One that does not read well is told as such.
    std::fs::write(office.config(), config + "\nignota = 1\n").unwrap();
    let ran = office.command(&["publish", "--rebuild"]);
    assert_eq!(ran.code, 2, "{}{}", ran.out, ran.err);
}
