//! What gestionali and operators order, end to end: the real hub, the real simulator, answers read from the published files.
//!
//! Three municipalities in three folders; what can go on at the same time in one of them does, each in a thread.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a failed step ends the test")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::thread;
use std::time::Duration;

use common::office::{CITIZEN, Ente, Office, Row, SOON, Simulator, batch, clock_at_hour, csv, flow, shared_clock};
use common::published::{Line, tree};
use common::wait_for;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use messo::clock::Clock;
use messo::domain::digest::Sha256;
use serde_json::{Value, json};

const ENTE: &str = "01234567897";
const OTHER: &str = "09876543217";
const THIRD: &str = "12345678903";
const WHY: [&str; 2] = ["--reason", "prova dei comandi"];

/// What is sent with `shared_clock`: a business day in a real second.
const DAY_A_SECOND: u32 = 86_400;

fn states(story: &[Line]) -> Vec<&str> {
    story.iter().map(|line| line["stato"].as_str()).filter(|state| *state != "INFORMAZIONE").collect()
}

fn order(office: &Office, args: &[&str]) -> Value {
    office.ask(&[args, &WHY].concat())
}

/// Id of the batch that a receipt is about.
fn drop_id(receipt: &common::office::Receipt) -> String {
    common::published::texts(&receipt.xml, "lotto").remove(0)
}

// ---- A municipality where all goes well -------------------------------------------------------------------------------

struct Town {
    office: Office,
    send: Simulator,
}

#[test]
fn acts_are_changed_replaced_cancelled_corrected_held_and_guarded() {
    let clock = shared_clock(DAY_A_SECOND);
    let send = Simulator::start(&clock, "");
    let flows = [
        flow("aperto", "", ""),
        flow("tutto", "acceptance = \"all_or_nothing\"", ""),
        flow("trattenuto", "", "[sending]\nwhen = \"held\""),
        flow("prudente", "", "[guard]\nfirst_acts = 20\nmax_refused_percent = 10"),
        flow("multe", "", "")
            .replace("010501N", "010102P")
            .replace("FLAT_RATE", "DELIVERY_MODE")
            .replace("\"NONE\"", "\"SYNC\"")
            .replace("payment = \"forbidden\"", "payment = \"required\"\npa_fee = 100\nvat = 22"),
    ];
    let own: &[&str] = &["aperto", "tutto", "trattenuto", "prudente", "multe"];
    let sources: Vec<(&str, &[&str], &[&str])> = vec![
        ("modifiche", &[ENTE], own),
        ("sostituzioni", &[ENTE], own),
        ("annullamenti", &[ENTE], own),
        ("ripetizioni", &[ENTE], own),
        ("correzioni", &[ENTE], own),
        ("prudenza", &[ENTE], own),
        ("archivio", &[ENTE], own),
        ("rettifiche", &[ENTE], own),
        ("vicino-a", &[ENTE], &["aperto"]),
        ("vicino-b", &[ENTE, OTHER], &["aperto", "trattenuto"]),
    ];
    let enti = [ENTE, OTHER].map(|tax_id| (tax_id, format!("{tax_id}-prova")));
    let enti: Vec<Ente<'_>> = enti.iter().map(|(tax_id, key)| Ente { tax_id, key, more: "" }).collect();
    let mut office = Office::new(&clock, &send.url(), &enti, &sources, &flows);
    office.start();
    let mut town = Town { office, send };
    let stories: [fn(&Town); 9] = [
        a_held_act_is_changed_and_then_released,
        a_sent_act_is_replaced_by_a_new_one,
        acts_are_cancelled_before_and_after_they_were_sent,
        what_comes_twice_is_told_apart,
        what_was_refused_is_corrected_and_sent_again,
        many_refusals_stop_the_rest_of_a_batch,
        a_file_changed_on_the_disk_is_never_sent,
        a_timeline_that_is_reworked_is_told_by_correcting_lines,
        neighbours_never_see_each_other,
    ];
    thread::scope(|scope| {
        let town = &town;
        for story in stories {
            scope.spawn(move || story(town));
        }
    });
    town.office.stop();
    nothing_was_sent_twice(&town.send);
}

fn nothing_was_sent_twice(send: &Simulator) {
    let all = send.look("notifications");
    let mut tokens = BTreeSet::new();
    for note in all.as_array().unwrap() {
        assert!(tokens.insert(note["idempotenceToken"].as_str().unwrap().to_owned()), "sent twice: {note}");
    }
}

fn a_held_act_is_changed_and_then_released(town: &Town) {
    let (office, source) = (&town.office, "modifiche");
    let rows = [Row::new(ENTE, "MOD-1"), Row::new(ENTE, "MOD-2")];
    let receipt = office.answered(source, "trattenuto", "primo.zip", &batch(&rows), "PRESA_IN_CARICO", &[]);
    assert!(receipt.xml.contains("<in_attesa>"), "{}", receipt.xml);
    office.wait_state(source, "MOD-1", "IN_ATTESA");

    // Held too long: operators are told before the term.
    let term = office.now().to_zoned(TimeZone::UTC).date().checked_add(jiff::Span::new().days(14)).unwrap();
    let due = Row::new(ENTE, "MOD-3").with("termine_notifica", &term.to_string());
    office.answered(source, "trattenuto", "termine.zip", &batch(&[due]), "PRESA_IN_CARICO", &[]);
    wait_for("the term is told", SOON, || office.alerted("TERMINE_VICINO").then_some(()));

    // Another document and another address: nothing has been paid yet.
    let changed = Row::new(ENTE, "MOD-1").with("azione", "modifica").text("atto corretto").with("indirizzo", "VIA MILANO 2");
    office.answered(source, "trattenuto", "modifica.zip", &batch(std::slice::from_ref(&changed)), "PRESA_IN_CARICO", &[]);
    office.wait_state(source, "MOD-1", "MODIFICATO");
    assert!(town.send.of("MOD-1").is_empty(), "held acts are not sent");

    let released = order(office, &["batch", "release", &drop_id(&receipt)]);
    assert_eq!(released["count"], 2);
    office.wait_state(source, "MOD-1", "PERFEZIONATO");
    let sent = town.send.only("MOD-1");
    assert_eq!(sent["files"][0]["sha256"], Sha256::of(&changed.pdf()).to_hex(), "the changed document was sent");
    assert_eq!(states(&office.story(source, "MOD-1"))[..3], ["IN_ATTESA", "MODIFICATO", "PRESO_IN_CARICO"]);

    // Too late now, and the receipt says so.
    let late = changed.with("oggetto", "Cambiato ancora");
    office.answered(source, "trattenuto", "tardi.zip", &batch(&[late]), "SCARTATO", &["ATTO_GIA_INVIATO"]);
    office.wait_state(source, "MOD-2", "PERFEZIONATO");
    town.send.only("MOD-1");
}

fn a_sent_act_is_replaced_by_a_new_one(town: &Town) {
    let (office, source) = (&town.office, "sostituzioni");
    let first = Row::new(ENTE, "SOS-1").notice(ENTE, 1);
    office.answered(source, "multe", "primo.zip", &batch(std::slice::from_ref(&first)), "PRESA_IN_CARICO", &[]);
    let accepted = office.wait_state(source, "SOS-1", "ACCETTATO");

    let anew = first.with("azione", "sostituisci").text("atto sostituito").with("indirizzo", "VIA @OK @VISIONE 9");
    office.answered(source, "multe", "sostituisci.zip", &batch(std::slice::from_ref(&anew)), "PRESA_IN_CARICO", &[]);
    office.wait_line(source, "SOS-1", "the new one is complete", |line| line["invio"] == "2" && line["stato"] == "PERFEZIONATO");

    let sent = town.send.of("SOS-1");
    assert_eq!(sent.len(), 2, "{sent:?}");
    assert_eq!((&sent[0]["cancelled"], &sent[1]["cancelled"]), (&json!(true), &json!(false)));
    assert_ne!(sent[0]["idempotenceToken"], sent[1]["idempotenceToken"]);
    assert_eq!(sent[1]["files"][0]["sha256"], Sha256::of(&anew.pdf()).to_hex());

    let story = office.story(source, "SOS-1");
    let (old, new): (Vec<Line>, Vec<Line>) = story.into_iter().partition(|line| line["invio"] == "1");
    assert_eq!(states(&old).last(), Some(&"ANNULLATO"), "{:?}", states(&old));
    assert!(states(&old).contains(&"IN_ANNULLAMENTO"));
    let told: Vec<&str> = states(&new).into_iter().filter(|state| *state != "PRESO_IN_CARICO").take(3).collect();
    assert_eq!(told, ["IN_ATTESA", "INVIATO", "ACCETTATO"]);
    let iun = |line: &Line| line["iun"].clone();
    assert_eq!(old.iter().map(iun).filter(|iun| !iun.is_empty()).collect::<BTreeSet<_>>(), BTreeSet::from([iun(&accepted)]));
    assert!(new.iter().all(|line| iun(line) != iun(&accepted)));
    // The new one went only after the old one was cancelled.
    let when =
        |lines: &[Line], state: &str| lines.iter().find(|line| line["stato"] == state).unwrap()["quando_utc"].parse::<Timestamp>().unwrap();
    assert!(when(&new, "INVIATO") >= when(&old, "ANNULLATO"), "sent before the cancellation");
    // The citizen pays for the new one.
    office.wait_line(source, "SOS-1", "cost", |line| line["invio"] == "2" && !line["costo_cittadino"].is_empty());
}

fn acts_are_cancelled_before_and_after_they_were_sent(town: &Town) {
    let (office, source) = (&town.office, "annullamenti");
    office.answered(source, "trattenuto", "trattenuti.zip", &batch(&[Row::new(ENTE, "ANN-1")]), "PRESA_IN_CARICO", &[]);
    office.answered(source, "aperto", "aperti.zip", &batch(&[Row::new(ENTE, "ANN-2")]), "PRESA_IN_CARICO", &[]);
    office.wait_state(source, "ANN-1", "IN_ATTESA");
    office.wait_state(source, "ANN-2", "ACCETTATO");

    // Orders have no documents: a bare CSV will do.
    let orders = csv(&[Row::order(ENTE, "ANN-1", "annulla"), Row::order(ENTE, "ANN-2", "annulla")]);
    office.answered(source, "aperto", "annulla.csv", orders.as_bytes(), "PRESA_IN_CARICO", &[]);
    let withdrawn = office.wait_line(source, "ANN-1", "withdrawn", |line| line["evento"] == "RITIRATO");
    assert_eq!((withdrawn["stato"].as_str(), withdrawn["iun"].as_str()), ("ANNULLATO", ""));
    assert_eq!(office.act("ANN-1")["act"]["state"], "RITIRATO");
    office.wait_state(source, "ANN-2", "ANNULLATO");
    let proof = office.wait_line(source, "ANN-2", "attestation", |line| line["attestazioni"].contains("/annullamento_"));
    let path = office.dir().join(source).join("attestazioni").join(&proof["attestazioni"]);
    assert!(fs::read(&path).unwrap().starts_with(b"%PDF-"), "{}", path.display());
    assert_eq!(office.act("ANN-2")["act"]["state"], "ANNULLATO");
    assert_eq!(town.send.only("ANN-2")["cancelled"], true);
    assert!(town.send.of("ANN-1").is_empty());

    // Again, and of what is not there: refused, with a reject that can be dropped again.
    let again = csv(&[Row::order(ENTE, "ANN-2", "annulla"), Row::order(ENTE, "MAI-VISTO", "annulla")]);
    office.answered(source, "aperto", "ancora.csv", again.as_bytes(), "SCARTATO", &["ATTO_NON_ANNULLABILE", "ATTO_SCONOSCIUTO"]);
    let (name, rejects) = office.reject(source, "ancora.csv", false);
    assert!(name.ends_with(".csv") && String::from_utf8(rejects).unwrap().contains("MAI-VISTO"));
    // Withdrawn: the same reference may be used anew.
    office.answered(
        source,
        "aperto",
        "di-nuovo.zip",
        &batch(&[Row::new(ENTE, "ANN-1").with("oggetto", "Di nuovo")]),
        "PRESA_IN_CARICO",
        &[],
    );
    let line = office.wait_state(source, "ANN-1", "ACCETTATO");
    assert_eq!(line["invio"], "2");
}

fn what_comes_twice_is_told_apart(town: &Town) {
    let (office, source) = (&town.office, "ripetizioni");
    let row = Row::new(ENTE, "DOP-1");
    let first = batch(std::slice::from_ref(&row));
    office.answered(source, "aperto", "primo.zip", &first, "PRESA_IN_CARICO", &[]);
    // The same bytes under another name, as offices give them.
    let receipt = office.answered(source, "aperto", &format!("{}.zip", CITIZEN[0]), &first, "DUPLICATO", &["CONTENUTO_GIA_RICEVUTO"]);
    assert!(receipt.xml.contains("primo.zip"), "{}", receipt.xml);
    // The same row beside a new one; then alone, in another archive.
    let two = batch(&[row.clone(), Row::new(ENTE, "DOP-2")]);
    let receipt = office.answered(source, "aperto", "insieme.zip", &two, "PRESA_IN_CARICO", &["DUPLICATO"]);
    assert!(receipt.xml.contains("<accettati>1</accettati>") && receipt.xml.contains("<duplicati>1</duplicati>"), "{}", receipt.xml);
    let alone = batch(&[row.clone().with("eco_1", "")]);
    office.answered(source, "aperto", "sola.zip", &alone, "DUPLICATO", &["DUPLICATO"]);
    // The same reference for something else.
    let other = row.clone().text("tutt'altro").with("oggetto", "Altro oggetto");
    office.answered(source, "aperto", "altro.zip", &batch(&[other]), "SCARTATO", &["ATTO_GIA_PRESENTE"]);
    // Another reference with the protocol, or the document and citizen, of a live act.
    let protocol = Row::new(ENTE, "DOP-3").with("protocollo", "DOP-1");
    let document = Row::new(ENTE, "DOP-4").text("atto DOP-1");
    let both = batch(&[protocol.clone(), document.clone()]);
    office.answered(source, "aperto", "vivi.zip", &both, "SCARTATO", &["PROTOCOLLO_GIA_IN_CORSO", "DOCUMENTO_GIA_IN_CORSO"]);
    let forced = batch(&[document.with("forza", "Seconda notifica chiesta dall'ufficio")]);
    office.answered(source, "aperto", "forzato.zip", &forced, "PRESA_IN_CARICO", &[]);
    // A wrong row and a file too many: the office is told of both at once.
    let (wrong, orphan) = (Row::new(ENTE, "TRO-2").with("codice_fiscale", "RSSMRA80A01H501X"), Row::new(ENTE, "TRO-3").pdf());
    let mut files = zip_files(&batch(&[Row::new(ENTE, "TRO-1"), wrong]));
    files.push(("di-troppo.pdf".to_owned(), orphan));
    let receipt =
        office.answered(source, "aperto", "troppo.zip", &zip_of(&files), "SCARTATO", &["CODICE_FISCALE_NON_VALIDO", "FILE_NON_CITATO"]);
    for told in ["<atti>2</atti>", "<accettati>0</accettati>", "<scartati>2</scartati>", "<flusso nome=\"aperto\">"] {
        assert!(receipt.xml.contains(told), "{told}: {}", receipt.xml);
    }
    assert!(!receipt.xml.contains("<file_scarti>"), "{}", receipt.xml);
    // One bad row, and the flow wants all or nothing.
    let bad = batch(&[Row::new(ENTE, "TUT-1"), Row::new(ENTE, "TUT-2").with("codice_fiscale", "RSSMRA80A01H501X")]);
    office.answered(source, "tutto", "tutto.zip", &bad, "SCARTATO", &["CODICE_FISCALE_NON_VALIDO", "LOTTO_TUTTO_O_NIENTE"]);
    for reference in ["DOP-1", "DOP-2", "DOP-4"] {
        office.wait_state(source, reference, "PERFEZIONATO");
        town.send.only(reference);
    }
    for reference in ["DOP-3", "TUT-1", "TUT-2", "TRO-1", "TRO-2"] {
        assert!(town.send.of(reference).is_empty() && office.story(source, reference).is_empty(), "{reference}");
    }
    let ran = office.command(&["act", "show", "TUT-1"]);
    assert_eq!(ran.code, 1, "nothing of it was kept: {}", ran.out);
}

fn what_was_refused_is_corrected_and_sent_again(town: &Town) {
    let (office, source) = (&town.office, "correzioni");
    let row = Row::new(ENTE, "COR-1").with("indirizzo", "VIA @FAIL-INDIRIZZO 1");
    office.answered(source, "aperto", "primo.zip", &batch(&[Row::new(ENTE, "COR-0"), row]), "PRESA_IN_CARICO", &[]);
    let refused = office.wait_state(source, "COR-1", "RIFIUTATO");
    assert_eq!((refused["codice"].as_str(), refused["costo_ente"].as_str()), ("NOT_VALID_ADDRESS", "1,00"));
    assert!(!refused["motivo"].is_empty());
    let (_, rejects) = office.reject(source, "primo.zip", true);
    let corrected = edit_zip(&rejects, "lotto.csv", |text| text.replace("VIA @FAIL-INDIRIZZO 1", "VIA VERDI 3"));
    office.answered(source, "aperto", "corretto.zip", &corrected, "PRESA_IN_CARICO", &[]);
    let done = office.wait_state(source, "COR-1", "PERFEZIONATO");
    assert_eq!(done["invio"], "2");
    let sent = town.send.of("COR-1");
    assert_eq!((sent.len(), &sent[0]["requestStatus"], &sent[1]["requestStatus"]), (2, &json!("REFUSED"), &json!("ACCEPTED")));
    assert_ne!(sent[0]["idempotenceToken"], sent[1]["idempotenceToken"]);
    assert_eq!(sent[0]["files"][0]["sha256"], sent[1]["files"][0]["sha256"], "its document came along");
    town.send.only("COR-0");

    // A row whose reference was forgotten: it and the act above come back with their documents, the others go.
    let forgotten = Row::new(ENTE, "COR-9").with("riferimento", "");
    let three = batch(&[Row::new(ENTE, "COR-7"), Row::new(ENTE, "COR-8"), forgotten]);
    let receipt = office.receipt_of_deposit(source, "aperto", "dimenticata.zip", &three);
    assert_eq!(receipt.state, "PARZIALE", "{}", receipt.xml);
    assert!(receipt.codes.iter().any(|code| code == "CAMPO_MANCANTE") && receipt.xml.contains("<riga>4</riga>"), "{}", receipt.xml);
    let (_, rejects) = office.reject(source, "dimenticata.zip", false);
    let names: Vec<String> = zip_files(&rejects).into_iter().map(|(name, _)| name).collect();
    assert!(["COR-8.pdf", "COR-9.pdf"].iter().all(|wanted| names.iter().any(|name| name == wanted)), "{names:?}");
    let corrected = edit_zip(&rejects, "lotto.csv", |text| text.replace("COR-9;RM;;PF", "COR-9;RM;COR-9;PF"));
    office.answered(source, "aperto", "ricordata.zip", &corrected, "PRESA_IN_CARICO", &[]);
    for reference in ["COR-7", "COR-8", "COR-9"] {
        office.wait_state(source, reference, "PERFEZIONATO");
    }

    // The name of a file was misspelled: its act alone comes back, with the file that was meant, and the others go.
    let rows = ["NOM-1", "NOM-2", "NOM-3"].map(|reference| Row::new(ENTE, reference));
    let misspelled = edit_zip(&batch(&rows), "lotto.csv", |text| text.replace("NOM-2.pdf", "NOM_2.pdf"));
    let receipt = office.answered(source, "aperto", "refuso.zip", &misspelled, "PARZIALE", &["FILE_NON_TROVATO"]);
    assert!(receipt.xml.contains("«NOM_2.pdf» (nello ZIP c'è «NOM-2.pdf», che nessuna riga nomina)."), "{}", receipt.xml);
    let (_, rejects) = office.reject(source, "refuso.zip", false);
    let corrected = edit_zip(&rejects, "lotto.csv", |text| text.replace("NOM_2.pdf", "NOM-2.pdf"));
    office.answered(source, "aperto", "senza-refuso.zip", &corrected, "PRESA_IN_CARICO", &[]);
    for reference in ["NOM-1", "NOM-2", "NOM-3"] {
        office.wait_state(source, reference, "PERFEZIONATO");
    }

    // A change that SEND refused comes back as a change: corrected, it goes in as it is.
    let row = Row::new(ENTE, "COR-6");
    let held = office.answered(source, "trattenuto", "trattenuto.zip", &batch(std::slice::from_ref(&row)), "PRESA_IN_CARICO", &[]);
    office.wait_state(source, "COR-6", "IN_ATTESA");
    let change = row.with("azione", "modifica").with("indirizzo", "VIA @FAIL-INDIRIZZO 2");
    office.answered(source, "trattenuto", "modifica.zip", &batch(&[change]), "PRESA_IN_CARICO", &[]);
    office.wait_state(source, "COR-6", "MODIFICATO");
    order(office, &["batch", "release", &drop_id(&held)]);
    office.wait_state(source, "COR-6", "RIFIUTATO");
    let (_, rejects) = office.reject(source, "modifica.zip", true);
    let corrected = edit_zip(&rejects, "lotto.csv", |text| {
        assert!(text.contains("modifica"), "{text}");
        text.replace("VIA @FAIL-INDIRIZZO 2", "VIA VERDI 4")
    });
    let again = office.answered(source, "trattenuto", "rimodifica.zip", &corrected, "PRESA_IN_CARICO", &[]);
    office.wait_act("COR-6", "the new submission is held", |act| act["act"]["submission"] == 2 && act["act"]["state"] == "IN_ATTESA");
    order(office, &["batch", "release", &drop_id(&again)]);
    assert_eq!(office.wait_state(source, "COR-6", "PERFEZIONATO")["invio"], "2");

    // Of a flow and of an ente that are not its own.
    let foreign = batch(&[Row::new(OTHER, "COR-2")]);
    office.answered(source, "aperto", "altro-ente.zip", &foreign, "SCARTATO", &["ENTE_NON_AUTORIZZATO"]);
    let mine = batch(&[Row::new(ENTE, "COR-3")]);
    office.answered(source, "cds", "altro-flusso.zip", &mine, "SCARTATO", &["FLUSSO_NON_AUTORIZZATO"]);
    office.answered(source, "mai-visto", "senza-flusso.zip", &batch(&[Row::new(ENTE, "COR-4")]), "SCARTATO", &["FLUSSO_NON_AUTORIZZATO"]);
    let receipt =
        office.answered(source, "prova", "prova.zip", &batch(&[Row::new(ENTE, "COR-5")]), "SCARTATO", &["FLUSSO_NON_DETERMINATO"]);
    assert!(receipt.xml.contains("<prova>true</prova>"), "{}", receipt.xml);
    assert!(
        town.send
            .look("notifications")
            .as_array()
            .unwrap()
            .iter()
            .all(|note| note["senderTaxId"] == ENTE || note["paProtocolNumber"] != "COR-2")
    );
}

fn zip_files(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(bytes)).unwrap();
    let mut entries = Vec::new();
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).unwrap();
        let mut content = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut content).unwrap();
        entries.push((entry.name().unwrap().into_owned(), content));
    }
    entries
}

fn zip_of(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    common::zip_entries(files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())))
}

fn edit_zip(bytes: &[u8], name: &str, edit: impl Fn(&str) -> String) -> Vec<u8> {
    let mut entries = zip_files(bytes);
    for (_, content) in entries.iter_mut().filter(|(inside, _)| inside == name) {
        let text = String::from_utf8(content.clone()).unwrap();
        *content = edit(&text).into_bytes();
        assert_ne!(*content, text.into_bytes(), "nothing was edited");
    }
    zip_of(&entries)
}

fn many_refusals_stop_the_rest_of_a_batch(town: &Town) {
    let (office, source) = (&town.office, "prudenza");
    let rows: Vec<Row> = (0..30)
        .map(|number| {
            let row = Row::new(ENTE, &format!("PRU-{number:02}"));
            if [3, 7, 15].contains(&number) { row.with("indirizzo", "VIA @FAIL-INDIRIZZO 1") } else { row }
        })
        .collect();
    let receipt = office.answered(source, "prudente", "trenta.zip", &batch(&rows), "PRESA_IN_CARICO", &[]);
    let parked = office.wait_state(source, "PRU-29", "SOSPESO");
    assert_eq!(parked["codice"], "TROPPI_RIFIUTI");
    let mine = || {
        town.send
            .look("notifications")
            .as_array()
            .unwrap()
            .iter()
            .filter(|n| n["paProtocolNumber"].as_str().unwrap().starts_with("PRU-"))
            .count()
    };
    assert_eq!(mine(), 20, "only the first twenty were paid for");
    let id = drop_id(&receipt);
    let status = office.ask(&["status"]);
    assert_eq!(status["parked"]["TROPPI_RIFIUTI"], 10, "{status}");
    assert!(office.alerted("TROPPI_RIFIUTI"));
    // `act retry` is not for what is held.
    let ran = office.command(&[&["act", "retry", "--code", "TROPPI_RIFIUTI"], &WHY[..]].concat());
    assert_eq!(ran.code, 1, "{}{}", ran.out, ran.err);
    assert_eq!(order(office, &["batch", "release", &id])["count"], 10);
    let last = office.wait_state(source, "PRU-29", "PERFEZIONATO");
    assert_eq!(last["invio"], "1");
    assert_eq!(mine(), 30);
    wait_for("three refused, the rest complete", SOON, || {
        thread::sleep(Duration::from_millis(200));
        let states = office.ask(&["batch", "show", &id])["states"].clone();
        (states == json!({"PERFEZIONATO": 27, "RIFIUTATO": 3})).then_some(())
    });
    // Under the limit the rest goes by itself.
    let rows: Vec<Row> = (0..25)
        .map(|number| {
            let row = Row::new(ENTE, &format!("VIA-{number:02}"));
            if [3, 7].contains(&number) { row.with("indirizzo", "VIA @FAIL-INDIRIZZO 1") } else { row }
        })
        .collect();
    office.answered(source, "prudente", "venticinque.zip", &batch(&rows), "PRESA_IN_CARICO", &[]);
    let last = office.wait_state(source, "VIA-24", "ACCETTATO");
    assert_eq!(states(&office.story(source, "VIA-24"))[..3], ["IN_ATTESA", "PRESO_IN_CARICO", "INVIATO"], "{last:?}");
}

fn a_file_changed_on_the_disk_is_never_sent(town: &Town) {
    let (office, source) = (&town.office, "archivio");
    let row = Row::new(ENTE, "ARC-1");
    let bytes = batch(&[row.clone(), Row::new(ENTE, "ARC-2")]);
    let receipt = office.answered(source, "trattenuto", "lotto.zip", &bytes, "PRESA_IN_CARICO", &[]);
    // Somebody held the file open on the share, and writes into what messo keeps.
    let hex = Sha256::of(&bytes).to_hex();
    let kept = tree(&office.dir().join("dati/archivi")).into_iter().find(|path| path.to_str().unwrap().contains(&hex)).unwrap();
    let mut spoiled = fs::read(&kept).unwrap();
    let name = b"ARC-1.pdf";
    let header = spoiled.windows(name.len()).position(|window| window == name).unwrap();
    for byte in &mut spoiled[header + name.len() + 20..header + name.len() + 60] {
        *byte ^= 0x55;
    }
    overwrite(&kept, &spoiled);
    order(office, &["batch", "release", &drop_id(&receipt)]);
    let parked = office.wait_state(source, "ARC-1", "SOSPESO");
    assert_eq!(parked["codice"], "FILE_CAMBIATO_NELL_ARCHIVIO");
    office.wait_state(source, "ARC-2", "PERFEZIONATO");
    assert!(town.send.of("ARC-1").is_empty());
    let right = Sha256::of(&row.pdf()).to_hex();
    let uploads = town.send.look("uploads");
    let hers: Vec<&Value> = uploads.as_array().unwrap().iter().filter(|upload| upload["declaredSha256"] == right.as_str()).collect();
    assert!(hers.iter().all(|upload| upload.get("versionToken").is_none()), "uploaded: {hers:?}");
    assert!(office.alerted("FILE_CAMBIATO_NELL_ARCHIVIO"));
    // Restored from the backup: a person lets it go.
    overwrite(&kept, &bytes);
    order(office, &["act", "retry", "ARC-1"]);
    office.wait_state(source, "ARC-1", "PERFEZIONATO");
    assert_eq!(town.send.only("ARC-1")["files"][0]["sha256"], right.as_str());
}

/// Writes over a file that may be read-only, as root or a disk fault would.
fn overwrite(path: &std::path::Path, bytes: &[u8]) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(path, bytes).unwrap();
}

fn a_timeline_that_is_reworked_is_told_by_correcting_lines(town: &Town) {
    let (office, source) = (&town.office, "rettifiche");
    office.answered(
        source,
        "aperto",
        "lotto.zip",
        &batch(&[Row::new(ENTE, "RET-1").with("indirizzo", "VIA @OK @REWORK 1")]),
        "PRESA_IN_CARICO",
        &[],
    );
    let first = office.wait_state(source, "RET-1", "PERFEZIONATO");
    let taken_back = office.wait_line(source, "RET-1", "corrected", |line| !line["corregge"].is_empty());
    assert_eq!((taken_back["corregge"].as_str(), taken_back["evento"].as_str()), (first["riga"].as_str(), "RETTIFICA"), "{taken_back:?}");
    assert!(taken_back["perfezionamento_destinatario_utc"].is_empty());
    let again =
        office.wait_line(source, "RET-1", "complete again", |line| line["stato"] == "PERFEZIONATO" && line["riga"] != first["riga"]);
    assert_ne!(again["perfezionamento_destinatario_utc"], first["perfezionamento_destinatario_utc"]);
    office.wait_act("RET-1", "complete", |act| act["act"]["state"] == "PERFEZIONATO");
    assert!(office.alerted("TIMELINE_RETTIFICATA"));
}

fn neighbours_never_see_each_other(town: &Town) {
    let office = &town.office;
    // One reference and one protocol, in two gestionali and two enti.
    let a = [Row::new(ENTE, "VIC-1").with("protocollo", "VIC-A").text("del vicino a")];
    let b =
        [Row::new(OTHER, "VIC-1").with("protocollo", "VIC-B").text("del vicino b"), Row::new(ENTE, "VIC-2").with("protocollo", "VIC-C")];
    office.deposit("vicino-a", "aperto", "lotto.zip", &batch(&a));
    office.deposit("vicino-b", "aperto", "lotto.zip", &batch(&b));
    office.wait_state("vicino-a", "VIC-1", "PERFEZIONATO");
    office.wait_state("vicino-b", "VIC-1", "PERFEZIONATO");
    office.wait_state("vicino-b", "VIC-2", "PERFEZIONATO");
    // An order about the neighbour's act finds nothing.
    let cancel = csv(&[Row::order(ENTE, "VIC-2", "annulla")]);
    office.answered("vicino-a", "aperto", "spione.csv", cancel.as_bytes(), "SCARTATO", &["ATTO_SCONOSCIUTO"]);
    // Every receipt says which enti and which world it is about, as far as that can be known.
    let enti = |receipt: &common::office::Receipt| {
        let all = receipt.xml.split("<ente codice_fiscale=\"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned());
        assert_eq!(receipt.xml.matches("ambiente=\"COLLAUDO\"").count(), all.clone().count(), "{}", receipt.xml);
        all.collect::<Vec<_>>()
    };
    let held = batch(&[Row::new(OTHER, "VIC-3").with("protocollo", "VIC-D")]);
    type Drop<'a> = (&'a str, &'a str, Vec<u8>, &'a str, &'a [&'a str], &'a [&'a str]);
    let drops: [Drop<'_>; 3] = [
        ("rotto.zip", "aperto", b"PK non lo sono".to_vec(), "SCARTATO", &["ARCHIVIO_NON_VALIDO"], &[ENTE, OTHER]),
        ("trattenuto.zip", "trattenuto", held.clone(), "PRESA_IN_CARICO", &[], &[OTHER]),
        ("ancora.zip", "trattenuto", held, "DUPLICATO", &["CONTENUTO_GIA_RICEVUTO"], &[OTHER]),
    ];
    for (name, flow, bytes, state, codes, want) in drops {
        assert_eq!(enti(&office.answered("vicino-b", flow, name, &bytes, state, codes)), want, "{name}");
    }
    let alone = office.answered("vicino-a", "aperto", "rotto.zip", b"PK non lo sono", "SCARTATO", &["ARCHIVIO_NON_VALIDO"]);
    assert_eq!(enti(&alone), [ENTE]);
    let iun = |protocol: &str| town.send.only(protocol)["iun"].as_str().unwrap().to_owned();
    let (mine, theirs) = (vec![iun("VIC-A")], vec![iun("VIC-B"), iun("VIC-C")]);
    for (source, own, foreign) in [("vicino-a", &mine, &theirs), ("vicino-b", &theirs, &mine)] {
        wait_for("an attestation of each", SOON, || {
            let names: Vec<String> =
                tree(&office.dir().join(source).join("attestazioni")).iter().map(|path| path.display().to_string()).collect();
            own.iter().all(|iun| names.iter().any(|name| name.contains(iun.as_str()))).then_some(())
        });
        for path in tree(&office.dir().join(source)) {
            let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned() + path.to_str().unwrap();
            for iun in foreign {
                assert!(!text.contains(iun.as_str()), "{} holds {iun}", path.display());
            }
            assert!(!path.to_str().unwrap().contains("/esiti/") || !text.contains(CITIZEN[0]), "{} names a person", path.display());
        }
    }
}

// ---- Hours and quotas -------------------------------------------------------------------------------------------------

fn sent_at(note: &Value) -> jiff::Zoned {
    note["sentAt"].as_str().unwrap().parse::<Timestamp>().unwrap().to_zoned(rome())
}

fn rome() -> TimeZone {
    TimeZone::get("Europe/Rome").unwrap()
}

#[test]
fn sending_waits_for_the_hours_of_the_flow_the_calls_and_the_money_of_the_day() {
    // An hour a second.
    let clock = clock_at_hour(20, 3_600);
    let business: Clock = clock.parse().unwrap();
    let send = Simulator::start(&clock, "");
    // Fourteen hours from now, i.e. fourteen seconds.
    let flows = [flow("mattino", "", "[sending]\nwhen = \"hours\"\nfrom = \"10:00\"\nto = \"14:00\""), flow("aperto", "", "")];
    let sources: Vec<(&str, &[&str], &[&str])> =
        vec![("orari", &[ENTE], &["mattino"]), ("quote", &[OTHER], &["aperto"]), ("spesa", &[THIRD], &["aperto"])];
    let keys = [ENTE, OTHER, THIRD].map(|tax_id| format!("{tax_id}-prova"));
    let quota = |per_day: u32, cents: u32| {
        format!("quota = {{ per_second = 50, burst = 100, per_day = {per_day}, spend_cents_per_day = {cents} }}")
    };
    let (calls, money) = (quota(100, 0), quota(0, 300));
    let enti = [
        Ente { tax_id: ENTE, key: &keys[0], more: "" },
        Ente { tax_id: OTHER, key: &keys[1], more: &calls },
        Ente { tax_id: THIRD, key: &keys[2], more: &money },
    ];
    let mut office = Office::new(&clock, &send.url(), &enti, &sources, &flows);
    office.start();
    let today = business.now().to_zoned(rome()).date();
    office.deposit("orari", "mattino", "lotto.zip", &batch(&[Row::new(ENTE, "ORA-1")]));
    let rows: Vec<Row> = (0..5).map(|number| Row::new(THIRD, &format!("SPE-{number}"))).collect();
    office.deposit("spesa", "aperto", "lotto.zip", &batch(&rows));
    let rows: Vec<Row> = (0..120).map(|number| Row::new(OTHER, &format!("QUO-{number:03}"))).collect();
    let quota = office.answered("quote", "aperto", "lotto.zip", &batch(&rows), "PRESA_IN_CARICO", &[]);
    // 480 calls at 100 a day: the receipt says that it takes days.
    let forecast = quota.xml.split("ultimo_invio=\"").nth(1).unwrap().split('"').next().unwrap();
    assert!(forecast.parse::<jiff::civil::Date>().unwrap() >= today.checked_add(jiff::Span::new().days(4)).unwrap(), "{forecast}");

    office.wait_act("ORA-1", "waits for its hour", |act| act["jobs"][0]["error"] == "FASCIA_ORARIA");
    wait_for("the hour of the flow", SOON, || (!send.of("ORA-1").is_empty()).then_some(()));
    let at = sent_at(&send.only("ORA-1"));
    assert!((10..14).contains(&at.hour()), "sent at {at}");

    // What was sent on which day.
    let days = |ente: &str| -> BTreeMap<jiff::civil::Date, usize> {
        let mut days = BTreeMap::new();
        for note in send.look("notifications").as_array().unwrap().iter().filter(|note| note["senderTaxId"] == ente) {
            *days.entry(sent_at(note).date()).or_default() += 1;
        }
        days
    };
    for (ente, all, most) in [(OTHER, 120, 95), (THIRD, 5, 3)] {
        let days = wait_for("everything is sent, day by day", SOON, || {
            thread::sleep(Duration::from_millis(200));
            let days = days(ente);
            (days.values().sum::<usize>() == all).then_some(days)
        });
        assert!(days.len() >= 2 && days.values().all(|count| *count <= most), "{ente}: {days:?}");
    }
    assert!(office.alerted("TETTO_DI_SPESA_RAGGIUNTO"));
    nothing_was_sent_twice(&send);
    let status = office.ask(&["status"]);
    assert_eq!(status["parked"], json!({}), "nobody has to act: {status}");
    office.stop();
}

/// The first version is still being checked by SEND when the second one comes, and then it is refused.
#[test]
fn a_replacement_goes_although_what_it_replaces_is_refused() {
    // A check of four minutes takes twelve seconds: there is time to come before its end.
    let clock = shared_clock(20);
    let send = Simulator::start(&clock, "");
    let key = format!("{ENTE}-prova");
    let sources: Vec<(&str, &[&str], &[&str])> = vec![("fretta", &[ENTE], &["aperto"])];
    let mut office = Office::new(&clock, &send.url(), &[Ente { tax_id: ENTE, key: &key, more: "" }], &sources, &[flow("aperto", "", "")]);
    office.start();
    let first = Row::new(ENTE, "FRE-1").with("indirizzo", "VIA @FAIL-INDIRIZZO 1");
    office.answered("fretta", "aperto", "primo.zip", &batch(std::slice::from_ref(&first)), "PRESA_IN_CARICO", &[]);
    wait_for("it is being checked", SOON, || (!send.of("FRE-1").is_empty()).then_some(()));
    let second = first.with("azione", "sostituisci").with("indirizzo", "VIA VERDI 2");
    office.answered("fretta", "aperto", "secondo.zip", &batch(&[second]), "PRESA_IN_CARICO", &[]);
    office.wait_line("fretta", "FRE-1", "the second is accepted", |line| line["invio"] == "2" && line["stato"] == "ACCETTATO");
    let sent = send.of("FRE-1");
    assert_eq!((sent.len(), &sent[0]["requestStatus"], &sent[1]["requestStatus"]), (2, &json!("REFUSED"), &json!("ACCEPTED")));
    let old: Vec<Line> = office.story("fretta", "FRE-1").into_iter().filter(|line| line["invio"] == "1").collect();
    assert!(states(&old).contains(&"RIFIUTATO"), "{:?}", states(&old));
    office.stop();
}

// ---- What SEND says when it refuses, and what it does not know --------------------------------------------------------

#[test]
fn every_reason_of_a_refusal_is_told_and_what_send_never_had_can_be_withdrawn() {
    let clock = shared_clock(DAY_A_SECOND);
    let send = Simulator::start(&clock, "");
    let key = format!("{ENTE}-prova");
    let sources: Vec<(&str, &[&str], &[&str])> = vec![("motivi", &[ENTE], &["aperto"])];
    let mut office = Office::new(&clock, &send.url(), &[Ente { tax_id: ENTE, key: &key, more: "" }], &sources, &[flow("aperto", "", "")]);
    office.start();
    let source = "motivi";

    // Refused by the validation, and at once: two reasons each, in the esito (both forms) and in the reject.
    let table = [
        ("RIF-1", "VIA @FAIL-INDIRIZZO @FAIL-TAXID 1", "NOT_VALID_ADDRESS", "TAXID_NOT_VALID", "1,00", "non risulta valido"),
        (
            "RIF-2",
            "VIA @FAIL-RICHIESTA 1",
            "PN_GENERIC_INVALIDPARAMETER",
            "PN_GENERIC_INVALIDPARAMETER",
            "",
            "campo recipients[0].physicalAddress.zip",
        ),
    ];
    for (reference, street, first, second, cost, words) in table {
        let row = Row::new(ENTE, reference).with("indirizzo", street);
        let drop = format!("{reference}.zip");
        office.answered(source, "aperto", &drop, &batch(&[row]), "PRESA_IN_CARICO", &[]);
        let line = office.wait_state(source, reference, "RIFIUTATO");
        assert_eq!((line["codice"].as_str(), line["costo_ente"].as_str()), (first, cost), "{line:?}");
        let (one, two) = line["motivi"].split_once(" | ").unwrap_or_else(|| panic!("{line:?}"));
        assert!(one.starts_with(&format!("{first}: ")) && one.contains("Destinatario 1") && one.contains("SEND scrive: «"), "{one}");
        assert!(two.starts_with(&format!("{second}: ")) && two.contains("Destinatario 1") && two.contains(words), "{two}");
        let xml = wait_for("the same in XML", SOON, || {
            let files = tree(&office.dir().join(source).join("esiti"));
            let texts =
                files.iter().filter(|path| path.extension().is_some_and(|e| e == "xml")).map(|path| fs::read_to_string(path).unwrap());
            texts
                .flat_map(|text| text.split("<esito_atto>").map(str::to_owned).collect::<Vec<_>>())
                .find(|text| text.contains(&format!("<riferimento>{reference}</riferimento>")) && text.contains("<stato>RIFIUTATO</stato>"))
        });
        assert_eq!(xml.matches("<rifiuto codice=").count(), 2, "{xml}");
        assert_eq!(xml.matches("<dettaglio>").count(), 2, "{xml}");
        let (_, rejects) = office.reject(source, &drop, true);
        let mut archive = zip::ZipArchive::new(std::io::Cursor::new(rejects)).unwrap();
        let text = std::io::read_to_string(archive.by_name("lotto.csv").unwrap()).unwrap();
        let codes = if first == second { first.to_owned() } else { format!("{first} {second}") };
        assert!(text.contains(&format!("\"{codes}\"")) && text.contains(" | ") && text.contains(words), "{text}");
        assert_eq!(text.matches("SEND scrive: ").count(), 2, "{text}");
        let history = office.act(reference)["history"].clone();
        assert!(!history.to_string().contains(words), "codes only: {history}");
        assert!(!office.log().contains(words), "the log says {words}");
    }

    // A 400 that nobody knows: parked; SEND says that it has nothing, so that the act can be taken back and come again.
    let row = Row::new(ENTE, "IGN-1").with("indirizzo", "VIA @FAIL-IGNOTO 1");
    office.answered(source, "aperto", "ignoto.zip", &batch(std::slice::from_ref(&row)), "PRESA_IN_CARICO", &[]);
    let parked = office.wait_state(source, "IGN-1", "SOSPESO");
    assert_eq!(parked["codice"], "RIFIUTO_SCONOSCIUTO");
    assert_eq!(office.act("IGN-1")["act"]["state"], "IN_INVIO");
    assert_eq!(order(&office, &["act", "cancel", "IGN-1"])["remembered"], true);
    office.wait_line(source, "IGN-1", "withdrawn", |line| line["evento"] == "RITIRATO");
    let act = office.wait_act("IGN-1", "withdrawn", |act| act["act"]["state"] == "RITIRATO" && act["jobs"] == json!([]));
    assert_eq!(act["act"]["parked"], Value::Null, "{act}");
    assert!(send.of("IGN-1").is_empty());
    let again = row.with("indirizzo", "VIA VERDI 3");
    office.answered(source, "aperto", "di-nuovo.zip", &batch(&[again]), "PRESA_IN_CARICO", &[]);
    office.wait_line(source, "IGN-1", "sent anew", |line| line["invio"] == "2" && line["stato"] == "ACCETTATO");
    send.only("IGN-1");

    // Without a protocol of its own an act gets its reference, which here is the protocol of another.
    let rows = [Row::new(ENTE, "PRT-1").with("protocollo", "PRT-2"), Row::new(ENTE, "PRT-2").with("protocollo", "")];
    office.answered(source, "aperto", "protocolli.zip", &batch(&rows), "PRESA_IN_CARICO", &[]);
    let parked = office.wait_state(source, "PRT-2", "SOSPESO");
    assert_eq!(parked["codice"], "PROTOCOLLO_GIA_IN_CORSO");
    assert!(parked["motivo"].contains("un altro atto in corso"), "{parked:?}");
    office.wait_state(source, "PRT-1", "ACCETTATO");
    assert_eq!(send.only("PRT-2")["paProtocolNumber"], "PRT-2", "one, and only one, went under that protocol");
    let own = rows[1].clone().with("azione", "modifica").with("protocollo", "PRT-3");
    office.answered(source, "aperto", "modifica.zip", &batch(&[own]), "PRESA_IN_CARICO", &[]);
    office.wait_state(source, "PRT-2", "ACCETTATO");
    send.only("PRT-3");
    office.stop();
}

// ---- When SEND is down, or refuses a key ------------------------------------------------------------------------------

#[test]
fn an_outage_is_waited_for_and_a_refused_key_stops_its_ente_alone() {
    let clock = shared_clock(DAY_A_SECOND);
    let down = Simulator::start(&clock, "[[fault]]\noperation = \"*\"\nkind = \"503\"\nrate = 1.0\n");
    let sources: Vec<(&str, &[&str], &[&str])> = vec![("sano", &[ENTE], &["aperto"]), ("fermo", &[OTHER], &["aperto"])];
    let key = format!("{ENTE}-prova");
    let enti = [Ente { tax_id: ENTE, key: &key, more: "" }, Ente { tax_id: OTHER, key: "non-una-chiave", more: "" }];
    let mut office = Office::new(&clock, &down.url(), &enti, &sources, &[flow("aperto", "", "")]);
    office.start();
    let rows: Vec<Row> = (0..8).map(|number| Row::new(ENTE, &format!("GIU-{number}"))).collect();
    office.answered("sano", "aperto", "lotto.zip", &batch(&rows), "PRESA_IN_CARICO", &[]);
    office.answered("fermo", "aperto", "lotto.zip", &batch(&[Row::new(OTHER, "FER-1")]), "PRESA_IN_CARICO", &[]);
    wait_for("SEND is taken for down", SOON, || office.log().contains("SEND non risponde").then_some(()));
    wait_for("operators are told", SOON, || office.alerted("SEND_NON_RAGGIUNGIBILE").then_some(()));
    assert!(!office.alerted("SEND_DI_NUOVO_RAGGIUNGIBILE"));
    let status = office.ask(&["status"]);
    assert_eq!((&status["parked"], &status["stopped_channels"]), (&json!({}), &json!([])), "an outage parks nothing: {status}");

    let port = down.stop();
    let send = Simulator::start_on(port, &clock, "");
    for row in 0..8 {
        office.wait_state("sano", &format!("GIU-{row}"), "PERFEZIONATO");
        send.only(&format!("GIU-{row}"));
    }
    assert!(office.log().contains("SEND risponde di nuovo"));
    wait_for("operators are told", SOON, || office.alerted("SEND_DI_NUOVO_RAGGIUNGIBILE").then_some(()));
    let told = office.log().lines().filter(|line| line.contains("SEND_NON_RAGGIUNGIBILE") && line.contains(ENTE)).count();
    assert_eq!(told, 1, "once, whatever fails meanwhile");

    // The other ente's key is refused: it stands still, seen by operators, and nothing of it was lost.
    let channel = format!("{OTHER}/prima");
    let status = wait_for("the channel is stopped", SOON, || {
        let status = office.ask(&["status"]);
        (status["stopped_channels"] != json!([])).then_some(status)
    });
    assert_eq!(
        (status["stopped_channels"].as_array().unwrap().len(), &status["stopped_channels"][0]["channel"]),
        (1, &json!(channel)),
        "{status}"
    );
    assert_eq!(status["stopped_channels"][0]["code"], "CHIAVE_RIFIUTATA");
    assert!(office.alerted("CHIAVE_RIFIUTATA"));
    let parked = office.wait_state("fermo", "FER-1", "SOSPESO");
    assert_eq!(parked["codice"], "CHIAVE_RIFIUTATA");
    let act = office.act("FER-1");
    assert_eq!((&act["channel_stopped"], &act["act"]["state"]), (&json!("CHIAVE_RIFIUTATA"), &json!("IN_CARICAMENTO")), "{act}");
    assert_eq!((&act["stopped_channel"], &act["act"]["parked"]), (&json!(channel), &json!("CHIAVE_RIFIUTATA")));
    office.answered("sano", "aperto", "dopo.zip", &batch(&[Row::new(ENTE, "DOPO-1")]), "PRESA_IN_CARICO", &[]);
    office.wait_state("sano", "DOPO-1", "ACCETTATO");

    office.set_key(OTHER, &format!("{OTHER}-giusta\n"));
    office.stop();
    office.start();
    let act = office.act("FER-1");
    assert_eq!(act["channel_stopped"], "CHIAVE_RIFIUTATA", "a restart resumes nothing by itself");
    assert_eq!(act["act"]["parked"], "CHIAVE_RIFIUTATA");
    order(&office, &["act", "retry", "--channel", &channel]);
    office.wait_state("fermo", "FER-1", "PERFEZIONATO");
    send.only("FER-1");
    nothing_was_sent_twice(&send);
    office.stop();
}
