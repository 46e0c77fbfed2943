//! Personal data: where a drop is, what retention and a person's request delete, what stays; the books of orders. The real program.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a failed step ends the test")]

mod common;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use common::office::{Ente, Office, Ran, Row, SOON, Simulator, batch, flow, shared_clock};
use common::{messo, wait_for};
use messo::clock::Clock;
use messo::domain::digest::Sha256;
use messo::failpoint::{ERASE_POINTS, VARIABLE};
use serde_json::Value;

const ENTE: &str = "01234567897";
const SOURCES: &[(&str, &[&str], &[&str])] = &[("tributi", &[ENTE], &["aperto", "fermo"])];
const TERMS: &str = "[ente.conservazione]\npersonal_days = 130\nlegal_facts_days = 400\n";

/// Invented people: name, tax id, address.
const MARIO: [&str; 3] = ["Mario Rossi", "RSSMRA80A01H501U", "VIA DEI GLICINI 17"];
const MICHELE: [&str; 3] = ["Michele Bianconi", "BNRMHL75C06G702B", "VIALE DELLE ORTENSIE 9"];
const GALILEO: [&str; 3] = ["Galileo Galilei", "GLLGLL64B15G702I", "PIAZZA DEI MIRACOLI 3"];
/// Cleopatra's row is refused by messo.
const CLEOPATRA: [&str; 3] = ["Cleopatra Tolomei", "FLPCPT69A65Z336P", "LARGO DEGLI OBELISCHI 5"];

fn row(reference: &str, person: [&str; 3], story: &str) -> Row {
    let address = format!("{} {story}", person[2]);
    Row::new(ENTE, reference)
        .with("denominazione", person[0])
        .with("codice_fiscale", person[1])
        .with("indirizzo", address.trim())
        .with("documento_file_1", &format!("{}-{reference}.pdf", person[0].replace(' ', "_").to_lowercase()))
        .text(&format!("avviso {reference} a {} {}", person[0], person[1]))
}

/// Every file below `folder`, hidden ones too.
fn all_files(folder: &Path) -> Vec<PathBuf> {
    let (mut found, mut open) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() { open.push(path) } else { found.push(path) }
        }
    }
    found
}

/// Files below `folder` that hold one of these texts, whatever the case of letters, in UTF-8: the text and the file.
fn traces(folder: &Path, texts: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for path in all_files(folder) {
        // A socket is there too, and temporary files that go.
        let Ok(bytes) = std::fs::read(&path) else { continue };
        let bytes = bytes.to_ascii_lowercase();
        for text in texts {
            let text_bytes = text.to_ascii_lowercase().into_bytes();
            if bytes.windows(text_bytes.len()).any(|window| window == text_bytes) {
                found.push(format!("{text} in {}", path.strip_prefix(folder).unwrap().display()));
            }
        }
    }
    found
}

/// All that may tell who somebody is: words of the name too, as file names have them.
fn marks(person: [&str; 3]) -> Vec<String> {
    let mut marks: Vec<String> = person.iter().map(|text| (*text).to_owned()).collect();
    marks.push(person[0].replace(' ', "_").to_lowercase());
    marks
}

fn traces_of(office: &Office, person: [&str; 3]) -> Vec<String> {
    let marks = marks(person);
    traces(&office.dir().join("dati"), &marks.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Business time runs a day a second, from `days` after now.
fn later(days: i64) -> String {
    format!("86400@{}", Clock::REAL.now().as_millisecond() - days * 1_000)
}

fn offices(more: &str) -> (Simulator, Office) {
    let clock = shared_clock(86_400);
    let send = Simulator::start(&clock, "");
    let key = format!("{ENTE}-prova");
    let enti = [Ente { tax_id: ENTE, key: &key, more }];
    let flows = [flow("aperto", "", ""), flow("fermo", "", "[sending]\nwhen = \"held\"")];
    let office = Office::new(&clock, &send.url(), &enti, SOURCES, &flows);
    (send, office)
}

/// Closed with all that follows: nothing is left to do about it.
fn settled(office: &Office, reference: &str) {
    office.wait_act(reference, "nothing left to do", |act| {
        let kept = act["legal_facts"].as_array().unwrap().iter().all(|fact| fact["state"] == "CONSERVATA");
        act["act"]["closed_at"].is_string() && kept && act["jobs"].as_array().unwrap().is_empty()
    });
}

/// `messo person erase` with the tax id on standard input.
fn person(office: &Office, tax_id: &str, args: &[&str]) -> Ran {
    let config = office.config();
    let mut command = messo(&[&["person", "erase", "--reason", "richiesta prot. 77", "--config", &config], args].concat());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(format!("{tax_id}\n").as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    Ran {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

fn archive(office: &Office, bytes: &[u8]) -> PathBuf {
    let hex = Sha256::of(bytes).to_hex();
    office.dir().join("dati/archivi").join(&hex[..2]).join(&hex[2..4]).join(format!("{hex}.zip"))
}

/// Acts close, a hundred and fifty days pass, the process is killed at every point of the deletion: nothing that names the people of
/// closed acts is left in the data folder, everything about the open one is, and the proof of all of them.
#[test]
fn after_its_term_nobody_is_named_in_the_data_folder_and_the_proof_stays() {
    let (send, mut office) = offices(TERMS);
    office.start();
    let first = [row("CON-1", MARIO, ""), row("CON-2", MICHELE, ""), row("CON-3", CLEOPATRA, "").with("cap", "X")];
    let first = batch(&first);
    let receipt = office.receipt_of_deposit("tributi", "aperto", "rossi_mario e altri.zip", &first);
    assert_eq!(receipt.state, "PARZIALE", "{}", receipt.xml);
    settled(&office, "CON-1");
    settled(&office, "CON-2");
    // Refused by SEND: closed at once, in one archive with an act that stays open because SEND is not heard any more.
    let second = batch(&[row("CON-4", MICHELE, "@FAIL-INDIRIZZO"), row("CON-5", GALILEO, "")]);
    office.receipt_of_deposit("tributi", "aperto", "secondo.zip", &second);
    settled(&office, "CON-4");
    let found = office.ask(&["where", "CON-4"]);
    let steps = found["journeys"][0]["steps"].as_array().unwrap();
    assert!(steps.iter().any(|step| step["kind"] == "SCARTI" && step["files"].as_array().unwrap().len() == 1), "its reject: {found}");
    office.wait_act("CON-5", "at SEND", |act| act["act"]["state"] == "IN_CONSEGNA");
    send.stop();
    for person in [MARIO, MICHELE, GALILEO, CLEOPATRA] {
        assert!(!traces_of(&office, person).is_empty(), "{person:?} is there before");
    }
    let before = ["CON-1", "CON-2", "CON-4"].map(|reference| office.act(reference));
    let lines = ["CON-1", "CON-4"].map(|reference| office.story("tributi", reference));
    assert!(archive(&office, &first).exists() && archive(&office, &second).exists());
    office.stop();

    let mut days = 150;
    for point in ERASE_POINTS {
        office.set_clock(&later(days));
        let said = office.start_to_die(VARIABLE, point);
        assert!(said.contains(&format!("arresto a {point}")), "{point}: {said}");
        days += 2;
    }
    office.set_clock(&later(days));
    office.start();
    wait_for("the database is written anew", SOON, || office.log().contains("base di dati riscritta").then_some(()));
    wait_for("the round is in the books", SOON, || {
        let audit = office.ask(&["audit", "--command", "retention"]);
        audit["orders"].as_array().unwrap().iter().any(|order| order["outcome"] == "OK").then_some(())
    });

    for person in [MARIO, CLEOPATRA] {
        assert_eq!(traces_of(&office, person), Vec::<String>::new(), "{person:?}");
    }
    assert!(!archive(&office, &first).exists(), "everybody in it is past the term");
    // Michele's act shares its archive with one that is open: of him only the batch file may still tell, which that one needs.
    let left = traces_of(&office, MICHELE);
    assert!(left.is_empty(), "the batch file is compressed, its name and his document are gone: {left:?}");
    let kept = std::fs::read(archive(&office, &second)).unwrap();
    assert_eq!(kept.len(), second.len(), "the rest stays where it was");
    assert!(!traces_of(&office, GALILEO).is_empty(), "the open act is untouched");
    assert!(office.act("CON-5")["act"]["erased_at"].is_null());

    // The story is told as before.
    for (was, reference) in before.iter().zip(["CON-1", "CON-2", "CON-4"]) {
        let now = office.act(reference);
        assert!(now["act"]["erased_at"].is_string(), "{reference}: {now}");
        for part in ["recipients", "last_lines", "legal_facts"] {
            assert_eq!(now[part], was[part], "{reference}: {part}");
        }
        for part in ["state", "iun", "protocol", "sent_at", "accepted_at", "closed_at"] {
            assert_eq!(now["act"][part], was["act"][part], "{reference}: {part}");
        }
        let history = now["history"].as_array().unwrap();
        assert_eq!(history[..was["history"].as_array().unwrap().len()], was["history"].as_array().unwrap()[..], "{reference}");
        let last = history.last().unwrap();
        assert_eq!((last["event"].as_str(), last["codes"][0].as_str()), (Some("DATI_CANCELLATI"), Some("CONSERVAZIONE")), "{reference}");
        let times = history.iter().filter(|row| row["event"] == "DATI_CANCELLATI").count();
        assert_eq!(times, 1, "{reference}: erased once, whatever happened in between");
    }
    for fact in before[0]["legal_facts"].as_array().unwrap() {
        assert_eq!(fact["state"], "CONSERVATA", "legal facts have a term of their own");
    }
    assert_eq!(["CON-1", "CON-4"].map(|reference| office.story("tributi", reference)), lines, "nothing published changed");
    let found = office.ask(&["where", &Sha256::of(&first).to_hex()]);
    let journey = &found["journeys"][0];
    assert!(
        journey["name"].is_null() && journey["steps"].as_array().unwrap().iter().any(|step| step["kind"] == "DATI_CANCELLATI"),
        "{found}"
    );
    let shown = office.command(&["act", "show", "CON-1"]);
    assert!(shown.out.contains("Dati personali cancellati"), "{}", shown.out);

    // The same bytes again are known by their digest, and nothing of them is kept.
    let again = office.receipt_of_deposit("tributi", "aperto", "di nuovo.zip", &first);
    assert_eq!(again.state, "DUPLICATO");
    assert!(!archive(&office, &first).exists());

    // What was made of erased data is not given again, and the command says so.
    let rejects = office.dir().join("tributi/scarti");
    std::fs::remove_dir_all(&rejects).unwrap();
    std::fs::create_dir(&rejects).unwrap();
    let rebuilt = office.ask(&["publish", "--rebuild"]);
    assert!(rebuilt["erased"].as_u64().unwrap() >= 2 && rebuilt["erased_at"].is_string(), "{rebuilt}");
    assert!(common::office::published(&rejects).is_empty(), "{:?}", common::office::published(&rejects));
    let said = office.command(&["publish", "--rebuild"]);
    assert!(said.out.contains("i dati personali di cui erano fatti sono stati cancellati"), "{}", said.out);
    office.stop();

    // Legal facts go last, at their own term; that they were there stays.
    let kept = office.dir().join("dati/attestazioni");
    let facts: usize = before.iter().map(|act| act["legal_facts"].as_array().unwrap().len()).sum();
    let files = common::published::tree(&kept).len();
    assert!(facts >= 4 && files >= facts, "{facts} {files}");
    office.set_clock(&later(days + 400));
    office.start();
    for reference in ["CON-1", "CON-2", "CON-4"] {
        office.wait_act(reference, "its legal facts are gone", |act| {
            act["legal_facts"].as_array().unwrap().iter().all(|fact| fact["state"] == "CANCELLATA" && fact["name"].is_string())
        });
    }
    assert_eq!(common::published::tree(&kept).len(), files - facts, "those of the open act stay");
    office.stop();
}

/// A person asks: closed acts past the term of disputes go, with the batch file; open ones are shown with the reason why they stay.
#[test]
fn a_person_who_asks_is_deleted_where_the_law_allows_it() {
    let (_send, mut office) = offices("");
    office.start();
    let closed = batch(&[row("PER-1", MARIO, ""), row("PER-2", GALILEO, "")]);
    office.receipt_of_deposit("tributi", "aperto", "rossi_mario.zip", &closed);
    settled(&office, "PER-1");
    settled(&office, "PER-2");
    // Refused rows are nowhere but in the batch file.
    let refused = batch(&[row("PER-3", MARIO, "").with("cap", "X")]);
    office.receipt_of_deposit("tributi", "aperto", "corretto.zip", &refused);
    let held = batch(&[row("PER-4", MARIO, "")]);
    office.receipt_of_deposit("tributi", "fermo", "trattenuto.zip", &held);
    office.wait_act("PER-4", "held", |act| act["act"]["state"] == "IN_ATTESA");

    let wrong = person(&office, "RSSMRA80A01H501X", &["--json"]);
    assert_eq!((wrong.code, wrong.out.contains("CODICE_FISCALE_NON_VALIDO")), (2, true), "{wrong:?}");
    let verdicts = |ran: &Ran| -> Vec<(String, String)> {
        assert_eq!(ran.code, 0, "{ran:?}");
        let report: Value = serde_json::from_str(&ran.out).unwrap();
        let mut acts: Vec<(String, String)> = report["acts"]
            .as_array()
            .unwrap()
            .iter()
            .map(|act| {
                let verdict = if act["erased_at"].is_string() { "CANCELLATO" } else { act["verdict"].as_str().unwrap() };
                (act["reference"].as_str().unwrap().to_owned(), verdict.to_owned())
            })
            .collect();
        acts.sort();
        let files =
            report["batches"].as_array().unwrap().iter().map(|file| ("file".to_owned(), file["verdict"].as_str().unwrap().to_owned()));
        let mut files: Vec<_> = files.collect();
        files.sort();
        acts.extend(files);
        acts
    };
    let told = |pairs: &[(&str, &str)]| pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect::<Vec<_>>();
    let look = person(&office, &format!(" {}\r", MARIO[1].to_lowercase()), &["--json", "--dry-run"]);
    let contestable =
        [("PER-1", "CONTESTABILE"), ("PER-4", "APERTO"), ("file", "APERTO"), ("file", "CANCELLABILE"), ("file", "CONTESTABILE")];
    assert_eq!(verdicts(&look), told(&contestable));
    assert!(!traces_of(&office, MARIO).is_empty(), "a dry run deletes nothing");
    office.stop();
    let alone = person(&office, MARIO[1], &["--json", "--dry-run"]);
    assert_eq!(verdicts(&alone), told(&contestable), "without a hub the command looks itself");

    // Past the disputes.
    let date = |days| later(days);
    office.set_clock(&date(150));
    office.start();
    let done = person(&office, MARIO[1], &["--json"]);
    let after = [("PER-1", "CANCELLATO"), ("PER-4", "APERTO"), ("file", "APERTO"), ("file", "CANCELLATO"), ("file", "CANCELLATO")];
    assert_eq!(verdicts(&done), told(&after));
    assert!(office.act("PER-2")["act"]["erased_at"].is_null(), "others keep theirs");
    assert!(!traces_of(&office, GALILEO).is_empty());
    let report: Value = serde_json::from_str(&done.out).unwrap();
    let digest = report["person"].as_str().unwrap().to_owned();
    assert_eq!(digest.len(), 32);
    // The held act alone names Mario now; once it is withdrawn and its time has passed, nothing does.
    let cancelled = office.command(&["act", "cancel", "PER-4", "--reason", "richiesta"]);
    assert_eq!(cancelled.code, 0, "{cancelled:?}");
    settled(&office, "PER-4");
    office.stop();
    assert!(!office_log_names(&office, &[MARIO, GALILEO]));
    office.set_clock(&date(300));
    office.start();
    let last = person(&office, MARIO[1], &["--json"]);
    assert_eq!(verdicts(&last), told(&[("PER-4", "CANCELLATO"), ("file", "CANCELLATO")]));
    assert_eq!(traces_of(&office, MARIO), Vec::<String>::new());
    assert_eq!(serde_json::from_str::<Value>(&last.out).unwrap()["person"], digest.as_str(), "the same person, the same digest");
    let none = person(&office, MARIO[1], &[]);
    assert!(none.code == 0 && none.out.contains("Nessun atto"), "{none:?}");

    // The books tell who, what and why, and never the tax id.
    let audit = office.ask(&["audit", "--orders", "--verify"]);
    let orders = audit["orders"].as_array().unwrap();
    let erased: Vec<&Value> = orders.iter().filter(|order| order["command"] == "person_erase" && order["outcome"] == "OK").collect();
    assert!(erased.len() >= 2, "{audit}");
    for order in erased {
        assert_eq!(
            (order["about"]["person"].as_str(), order["why"].as_str()),
            (Some(digest.as_str()), Some("richiesta prot. 77")),
            "{order}"
        );
        assert!(order["who"].as_str().unwrap().contains("uid"), "{order}");
    }
    assert!(orders.iter().any(|order| order["command"] == "person_find" && order["about"]["person"] == digest.as_str()), "{audit}");
    assert!(orders.iter().any(|order| order["command"] == "cancel_act" && order["about"]["text"] == "PER-4"), "{audit}");
    assert!(audit["seals"]["broken"].is_null() && audit["seals"]["rows"].as_u64().unwrap() >= orders.len() as u64, "{audit}");
    assert!(!audit.to_string().contains(MARIO[1]));
    office.stop();
    assert_eq!(traces_of(&office, MARIO), Vec::<String>::new());
}

/// Deleted on the tenth, the disk lost, the copy of the ninth put back: the data is not back for good. What the data folder knew is
/// known beside the folders of the gestionale too.
#[test]
fn a_copy_put_back_does_not_bring_back_who_asked_to_be_deleted() {
    let (_send, mut office) = offices("");
    office.start();
    let closed = batch(&[row("TOR-1", MARIO, ""), row("TOR-2", GALILEO, "")]);
    office.receipt_of_deposit("tributi", "aperto", "rossi_mario.zip", &closed);
    settled(&office, "TOR-1");
    settled(&office, "TOR-2");
    office.stop();
    office.set_clock(&later(150));
    office.start();
    let copies = tempfile::tempdir().unwrap();
    let copies = copies.path().join("copie");
    office.ask(&["backup", copies.to_str().unwrap()]);

    // The share is away: the data goes all the same, and the officer is told what is still missing.
    let (inbox, away) = (office.dir().join("tributi/in"), office.dir().join("tributi/via"));
    std::fs::rename(&inbox, &away).unwrap();
    let done = person(&office, MARIO[1], &[]);
    assert!(done.code == 0 && done.out.contains("non sono ancora annotate"), "{done:?}");
    let erased = office.act("TOR-1");
    assert!(erased["act"]["erased_at"].is_string(), "{erased}");
    let kept = office.dir().join("tributi/.messo/cancellati");
    assert!(!kept.exists());
    std::fs::rename(&away, &inbox).unwrap();
    let done = person(&office, MARIO[1], &["--json"]);
    let report: Value = serde_json::from_str(&done.out).unwrap();
    assert_eq!(report["unnoted"], 0, "{report}");
    let noted = std::fs::read_to_string(&kept).unwrap();
    let act = erased["act"]["id"].as_str().unwrap();
    assert!(noted.contains(&format!(" notifica {act}\n")) && noted.contains(" lotto ") && noted.lines().count() == 2, "{noted}");
    assert!(MARIO.iter().all(|text| !noted.to_lowercase().contains(&text.to_lowercase())), "{noted}");

    // The disk is lost.
    office.stop();
    std::fs::remove_dir_all(office.dir().join("dati")).unwrap();
    let clock = later(150);
    let back = office.ask(&["restore", copies.to_str().unwrap(), "--clock", &clock]);
    assert!(!traces_of(&office, MARIO).is_empty(), "the copy holds what it held");
    let told = |report: &Value| {
        let of = report["gaps"].as_array().unwrap().iter().find(|gap| gap["kind"] == "CANCELLAZIONE").cloned().unwrap_or_default();
        (of["count"].as_u64().unwrap_or(0), of["open"].as_u64().unwrap_or(9))
    };
    assert_eq!(told(&back), (2, 0), "decided again: {back}");
    let shown = office.command(&["restore", "show"]);
    assert!(shown.out.contains("Cancellazioni chieste dalle persone") && shown.out.contains("TOR-1"), "{shown:?}");
    office.set_clock(&clock);
    office.start();
    office.wait_act("TOR-1", "its data is gone again", |act| act["act"]["erased_at"].is_string());
    wait_for("nobody is named any more", SOON, || {
        std::thread::sleep(std::time::Duration::from_millis(300));
        traces_of(&office, MARIO).is_empty().then_some(())
    });
    assert!(office.act("TOR-2")["act"]["erased_at"].is_null() && !traces_of(&office, GALILEO).is_empty(), "others keep theirs");
    office.stop();
    assert_eq!(std::fs::read_to_string(&kept).unwrap(), noted, "written once");

    // What cannot be read is not taken for nothing.
    std::fs::remove_dir_all(office.dir().join("dati")).unwrap();
    std::fs::write(&kept, "rovinato\n").unwrap();
    let refused = office.command(&["restore", copies.to_str().unwrap(), "--clock", &clock]);
    assert!(refused.code == 1 && refused.err.contains(".messo/cancellati"), "{refused:?}");
}

fn office_log_names(office: &Office, people: &[[&str; 3]]) -> bool {
    let log = office.last_log().to_lowercase();
    people.iter().flat_map(|person| marks(*person)).any(|mark| log.contains(&mark.to_lowercase()))
}

/// The kinds of the steps of the only journey, in order.
fn kinds(report: &Value) -> Vec<String> {
    let journeys = report["journeys"].as_array().unwrap();
    assert_eq!(journeys.len(), 1, "{report}");
    journeys[0]["steps"].as_array().unwrap().iter().map(|step| step["kind"].as_str().unwrap().to_owned()).collect()
}

/// "Where is my batch?" at every stage of its way, with and without a hub.
#[test]
fn where_tells_of_a_drop_at_every_stage() {
    let (_send, mut office) = offices("");
    office.log_everything();
    office.start();
    let root = office.dir().join("tributi");
    wait_for("the folders", SOON, || root.join("in").is_dir().then_some(()));
    // Never seen: exit 1, and what is called like it.
    let bytes = batch(&[row("DOV-1", MARIO, ""), row("DOV-2", CLEOPATRA, "").with("cap", "X")]);
    let receipt = office.receipt_of_deposit("tributi", "aperto", "Rossi Mario TARI.zip", &bytes);
    assert_eq!(receipt.state, "PARZIALE");
    let never = office.command(&["where", "Rosi Mario TARI.zip"]);
    assert_eq!(never.code, 1, "{never:?}");
    assert!(never.out.contains("Mai visto") && never.out.contains("Rossi Mario TARI.zip"), "{}", never.out);
    let nothing = office.command(&["where", "del tutto diverso"]);
    assert!(nothing.code == 1 && !nothing.out.contains("Nomi simili"), "{nothing:?}");

    // Not yet taken: half by SFTP, under a temporary name, not whole.
    std::fs::create_dir_all(root.join(".messo/arrivo/aperto")).unwrap();
    std::fs::write(root.join(".messo/arrivo/aperto/meta.zip"), vec![b'P'; 4_321]).unwrap();
    std::fs::write(root.join("in/provvisorio.zip.part"), "PK").unwrap();
    std::fs::write(root.join("in/tronco.zip"), &bytes[..bytes.len() / 2]).unwrap();
    let table = [
        ("meta.zip", "CARICAMENTO_A_META", Some(4_321)),
        ("META.ZIP", "CARICAMENTO_A_META", Some(4_321)),
        ("provvisorio.zip", "NOME_PROVVISORIO", Some(2)),
        ("tronco.zip", "IN_ATTESA", Some(bytes.len() as u64 / 2)),
    ];
    for (name, kind, count) in table {
        let found = office.ask(&["where", name]);
        assert_eq!(kinds(&found), [kind], "{name}: {found}");
        assert_eq!(found["journeys"][0]["steps"][0]["count"].as_u64(), count, "{name}: {found}");
        assert!(found["journeys"][0]["batch"].is_null(), "{name}: {found}");
    }

    // Taken: by name in any case, by digest, id, beginning of the id, reference, protocol, IUN.
    let act =
        office.wait_act("DOV-1", "complete", |act| act["act"]["state"] == "PERFEZIONATO" && act["jobs"].as_array().unwrap().is_empty());
    let id = act["act"]["batch"].as_str().unwrap().to_owned();
    office.wait_state("tributi", "DOV-1", "PERFEZIONATO");
    let digest = Sha256::of(&bytes).to_hex();
    let iun = act["act"]["iun"].as_str().unwrap();
    let asked = ["Rossi Mario TARI.zip", "rossi mario tari.ZIP", "in/aperto/Rossi Mario TARI.zip", &digest, &id, &id[..13], "DOV-1", iun];
    // What follows the last line may still be on its way into a file.
    let first = wait_for("nothing is added any more", SOON, || {
        let first = office.ask(&["where", asked[0]]);
        asked.iter().all(|text| office.ask(&["where", text])["journeys"][0] == first["journeys"][0]).then_some(first)
    });
    let steps = kinds(&first);
    for wanted in ["RICEVUTO", "ESAMINATO", "RICEVUTA", "SCARTI", "ATTI", "ESITI"] {
        assert!(steps.iter().any(|step| step == wanted), "{wanted}: {steps:?}");
    }
    let place = |wanted: &str| steps.iter().position(|step| step == wanted).unwrap();
    assert!(place("RICEVUTO") < place("ESAMINATO") && place("ESAMINATO") < place("ATTI") && place("ATTI") < place("ESITI"), "{steps:?}");
    let told = &first["journeys"][0];
    assert_eq!((told["batch"].as_str(), told["sha256"].as_str(), told["source"].as_str()), (Some(&*id), Some(&*digest), Some("tributi")));
    let step = |kind: &str| told["steps"].as_array().unwrap().iter().find(|step| step["kind"] == kind).unwrap().clone();
    assert_eq!(
        (step("ESAMINATO")["code"].as_str(), step("ESAMINATO")["accepted"].as_u64(), step("ESAMINATO")["refused"].as_u64()),
        (Some("PARZIALE"), Some(1), Some(1))
    );
    let exists = |file: &Value| root.join(file["folder"].as_str().unwrap()).join(file["name"].as_str().unwrap()).exists();
    for kind in ["RICEVUTA", "SCARTI", "ESITI"] {
        assert!(step(kind)["files"].as_array().unwrap().iter().all(exists), "{kind}: {first}");
    }
    assert_eq!((step("ATTI")["code"].as_str(), step("ATTI")["count"].as_u64()), (Some("PERFEZIONATO"), Some(1)));

    // The same bytes again, and a batch that waits for an operator.
    office.receipt_of_deposit("tributi", "aperto", "ancora.zip", &bytes);
    let again = office.ask(&["where", "ancora.zip"]);
    assert!(kinds(&again).contains(&"DUPLICATO_DI".to_owned()), "{again}");
    let first = office.ask(&["where", &id]);
    assert!(kinds(&first).contains(&"ARRIVATO_DI_NUOVO".to_owned()), "{first}");
    let both = office.ask(&["where", &digest]);
    assert_eq!(both["journeys"].as_array().unwrap().len(), 2, "{both}");
    office.receipt_of_deposit("tributi", "fermo", "fermo.zip", &batch(&[row("DOV-3", GALILEO, "")]));
    office.wait_act("DOV-3", "held", |act| act["act"]["state"] == "IN_ATTESA");
    let held = office.ask(&["where", "fermo.zip"]);
    let steps = held["journeys"][0]["steps"].as_array().unwrap();
    assert!(steps.iter().any(|step| step["kind"] == "TRATTENUTO" && step["code"] == "OPERATORE"), "{held}");
    let words = office.command(&["where", "fermo.zip"]);
    for part in [
        "tributi: fermo.zip, lotto ",
        "ricevuto",
        "esaminato, PRESA_IN_CARICO: atti accettati 1, scartati 0",
        "un operatore lo deve rilasciare",
    ] {
        assert!(words.out.contains(part), "{part}: {}", words.out);
    }
    let ancora = || office.ask(&["where", "ancora.zip"]);
    let mut with_hub = ancora();
    wait_for("nothing is added any more", SOON, || (std::mem::replace(&mut with_hub, ancora()) == with_hub).then_some(()));
    office.stop();
    assert_eq!(office.ask(&["where", "ancora.zip"]), with_hub, "without a hub the command looks itself");
    assert_eq!(kinds(&office.ask(&["where", "tronco.zip"])), ["IN_ATTESA"]);
    // File names hold names of people: no log line has them.
    let log = office.last_log().to_lowercase();
    assert!(log.contains("file depositato esaminato") && log.contains("trace"));
    for word in ["rossi", "mario", "tari.zip", "tronco", "provvisorio", "ancora.zip", "meta.zip", "glicini", "galile", "cleopatra"] {
        let line = log.lines().find(|line| line.contains(word));
        assert!(line.is_none(), "{word}: {line:?}");
    }
}
