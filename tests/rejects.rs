//! The way of a refused act, in each layout: refused, given back in `scarti/`, corrected in its text, dropped again, accepted.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a failed step ends the test")]

mod common;

use std::io::{Cursor, Read};
use std::path::Path;
use std::thread;

use common::office::{Ente, Office, Receipt, Row, SOON, Simulator, batch, flow, shared_clock};
use common::{example_cases, wait_for, zip_entries};
use messo::domain::digest::Sha256;

const ENTE: &str = "01234567897";
const OTHER: &str = "09876543217";

/// One layout: an example of ours with one act broken, and how it is mended in the reject.
struct Case {
    source: &'static str,
    flow: &'static str,
    /// Folder of the example and the name of its batch file.
    example: (&'static str, &'static str, &'static str),
    /// What is right in the example and wrong in the drop.
    fault: (&'static str, &'static str),
    code: &'static str,
    /// What is remarked of the act beside it, which goes.
    beside: &'static [&'static str],
    /// Refused act, and one beside it.
    references: (&'static str, &'static str),
    layout: &'static str,
}

const CASES: [Case; 3] = [
    Case {
        source: "xml",
        flow: "cds",
        example: ("messo-xml", "cds", "lotto.xml"),
        fault: ("GLLSRA90T55L219R", "GLLSRA90T55L219A"),
        code: "CODICE_FISCALE_NON_VALIDO",
        beside: &["REGOLA_IMPORTO_NON_SEGUITA"],
        references: ("CDS-2026-0002", "CDS-2026-0001"),
        layout: "messo-xml-1.0",
    },
    Case {
        source: "csv",
        flow: "scuola",
        example: ("messo-csv", "excel", "lotto.csv"),
        fault: ("VIA @FAIL-Discovery_AR;47121;", "VIA @FAIL-Discovery_AR;4712;"),
        code: "ZERI_INIZIALI_PERSI",
        beside: &[],
        references: ("MENSA-2026-0002", "MENSA-2026-0001"),
        layout: "messo-csv-1.0",
    },
    Case {
        source: "pu",
        flow: "tributi-pagamento",
        example: ("pu-send", "tari", "SendCampaign_20261101-1_0.csv"),
        // The second row: its folder is 2 in the drop and 1 in the reject.
        fault: ("NRELCU82H10F205P", "NRELCU82H10F205X"),
        code: "CODICE_FISCALE_NON_VALIDO",
        beside: &[],
        references: ("2026/PU/0002", "2026/PU/0001"),
        layout: "pu-send-notification",
    },
];

#[test]
fn a_refused_act_comes_back_is_corrected_and_goes() {
    let clock = shared_clock(86_400);
    let send = Simulator::start(&clock, "");
    let keys = [format!("{ENTE}-prova"), format!("{OTHER}-prova")];
    let enti = [Ente { tax_id: ENTE, key: &keys[0], more: "" }, Ente { tax_id: OTHER, key: &keys[1], more: "" }];
    let sources: Vec<(&str, &[&str], &[&str])> =
        vec![("xml", &[ENTE], &["cds"]), ("csv", &[ENTE], &["scuola"]), ("pu", &[ENTE], &["tributi-pagamento"])];
    let mut office = Office::new(&clock, &send.url(), &enti, &sources, &[]);
    office.start();
    thread::scope(|scope| {
        for case in &CASES {
            let (office, send) = (&office, &send);
            scope.spawn(move || correct(office, send, case));
        }
    });
    office.stop();
}

/// A cell that was copied down, rows that a spreadsheet moved: who is wrong shows only at the second row. Nothing of either goes, both
/// come back with their documents, and both can be dropped again.
#[test]
fn what_two_acts_have_in_common_gives_both_back_and_nothing_of_either_goes() {
    const BOTH: [&str; 2] = ["FILE_CITATO_DA_PIU_ATTI"; 2];
    let clock = shared_clock(86_400);
    let send = Simulator::start(&clock, "");
    let key = format!("{ENTE}-prova");
    let sources: Vec<(&str, &[&str], &[&str])> = vec![("uffici", &[ENTE], &["aperto", "tutto"])];
    let flows = [flow("aperto", "", ""), flow("tutto", "acceptance = \"all_or_nothing\"", "")];
    let mut office = Office::new(&clock, &send.url(), &[Ente { tax_id: ENTE, key: &key, more: "" }], &sources, &flows);
    office.start();
    let told = |receipt: &Receipt, counts: [u32; 3]| {
        let words = ["atti", "accettati", "scartati"];
        for (word, count) in words.iter().zip(counts) {
            assert!(receipt.xml.contains(&format!("<{word}>{count}</{word}>")), "{word} {count}: {}", receipt.xml);
        }
    };
    let other = |row: Row| row.with("codice_fiscale", "BNCLRA85D41F205R");
    let (a, b, c) = (other(Row::new(ENTE, "AAA-1")), Row::new(ENTE, "BBB-1"), other(Row::new(ENTE, "CCC-1")));
    let copied = a.clone().with("documento_file_1", "BBB-1.pdf").text("atto BBB-1");
    let whole = batch(&[copied.clone(), b.clone(), c]);

    // All or nothing: nothing.
    let codes = [BOTH[0], BOTH[1], "LOTTO_TUTTO_O_NIENTE"];
    told(&office.answered("uffici", "tutto", "tutto.zip", &whole, "SCARTATO", &codes), [3, 0, 3]);

    // The good rows: only the third. `messo validate` says the same.
    let receipt = office.answered("uffici", "aperto", "copiato.zip", &whole, "PARZIALE", &BOTH);
    told(&receipt, [3, 1, 2]);
    assert_eq!(common::published::texts(&receipt.xml, "atto"), ["BBB-1", "AAA-1"], "{}", receipt.xml);
    office.wait_state("uffici", "CCC-1", "PERFEZIONATO");
    let file = office.dir().join("copiato.zip");
    std::fs::write(&file, &whole).unwrap();
    let validated = common::office::run(&["validate", "--json", file.to_str().unwrap()]);
    let validated: serde_json::Value = serde_json::from_str(&validated.out).unwrap();
    assert_eq!((&validated["accepted"], &validated["refused"]), (&1.into(), &2.into()), "{validated}");

    let (name, rejects) = office.reject("uffici", "copiato.zip", false);
    let held = entries(&rejects);
    let mut inside: Vec<&str> = held.iter().map(|(name, _)| name.as_str()).collect();
    inside.sort_unstable();
    assert_eq!(inside, ["BBB-1.pdf", "LEGGIMI.txt", "lotto.csv"]);
    told(&office.answered("uffici", "aperto", &name, &rejects, "SCARTATO", &BOTH), [2, 0, 2]);
    assert!(send.of("AAA-1").is_empty() && send.of("BBB-1").is_empty());
    told(&office.answered("uffici", "aperto", "corretto.zip", &batch(&[a.clone(), b.clone()]), "PRESA_IN_CARICO", &[]), [2, 2, 0]);
    for row in [("AAA-1", &a), ("BBB-1", &b)] {
        office.wait_state("uffici", row.0, "PERFEZIONATO");
        assert_eq!(send.only(row.0)["files"][0]["sha256"], Sha256::of(&row.1.pdf()).to_hex(), "{}", row.0);
    }

    // Rows of one act, with another's in between: dropped again as they come back, which is side by side, they are one act of two.
    let (first, between) = (Row::new(ENTE, "DDD-1"), other(Row::new(ENTE, "EEE-1")));
    let rows = [first.clone(), between.clone(), other(first.clone()).with("denominazione", "Laura Bianchi")];
    let text = common::office::csv(&rows);
    let files = [("lotto.csv", text.into_bytes()), ("DDD-1.pdf", first.pdf()), ("EEE-1.pdf", between.pdf())];
    let apart = zip_entries(files.iter().map(|(name, bytes)| (*name, bytes.as_slice())));
    let receipt = office.answered("uffici", "aperto", "sparse.zip", &apart, "PARZIALE", &["RIGHE_NON_ADIACENTI"; 2]);
    told(&receipt, [3, 1, 2]);
    let (name, rejects) = office.reject("uffici", "sparse.zip", false);
    told(&office.answered("uffici", "aperto", &name, &rejects, "PRESA_IN_CARICO", &[]), [1, 1, 0]);
    office.wait_state("uffici", "DDD-1", "PERFEZIONATO");
    assert_eq!(send.only("DDD-1")["recipients"].as_array().unwrap().len(), 2);
    office.stop();
}

fn entries(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
    let names: Vec<String> = (0..archive.len()).map(|index| archive.by_index(index).unwrap().name().unwrap().into_owned()).collect();
    let mut read = |index: usize| {
        let mut content = Vec::new();
        archive.by_index(index).unwrap().read_to_end(&mut content).unwrap();
        content
    };
    names.into_iter().enumerate().map(|(index, name)| (name, read(index))).collect()
}

/// The archive with one thing of its batch file changed, byte for byte otherwise. Where it first stands: a reject quotes what
/// was wrong once more, in its reason, after the data.
fn edited(bytes: &[u8], file: &str, from: &str, to: &str) -> Vec<u8> {
    let mut entries = entries(bytes);
    let (_, content) = entries.iter_mut().find(|(name, _)| name == file).unwrap_or_else(|| panic!("no {file}"));
    let at = content.windows(from.len()).position(|part| part == from.as_bytes());
    let at = at.unwrap_or_else(|| panic!("no {from} in {}", String::from_utf8_lossy(content)));
    content.splice(at..at + from.len(), to.bytes());
    zip_entries(entries.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())))
}

fn correct(office: &Office, send: &Simulator, case: &Case) {
    let (layout, name, file) = case.example;
    let example = example_cases().into_iter().find(|example| example.source == layout && example.case == name).unwrap();
    let good = common::zip_dir(&example.input);
    let (right, wrong) = case.fault;
    let dropped = edited(&good, file, right, wrong);
    let receipt = office.answered(case.source, case.flow, "primo.zip", &dropped, "PARZIALE", &[case.beside, &[case.code]].concat());
    assert_eq!(common::published::texts(&receipt.xml, "tracciato"), [case.layout]);
    let about = [vec![case.references.1; case.beside.len()], vec![case.references.0]].concat();
    assert_eq!(common::published::texts(&receipt.xml, "atto"), about, "{}", receipt.xml);
    let (name, rejects) = office.reject(case.source, "primo.zip", false);
    assert_eq!(common::published::texts(&receipt.xml, "file_scarti"), std::slice::from_ref(&name));

    // Only the refused act, its own files, and what to do.
    let held = entries(&rejects);
    let inside: Vec<&str> = held.iter().map(|(name, _)| name.as_str()).collect();
    // A file of Piattaforma Unitaria gets a name of its own.
    let file = inside.iter().copied().find(|name| name.ends_with(".csv") || name.ends_with(".xml")).unwrap();
    assert!(inside.contains(&"LEGGIMI.txt"), "{inside:?}");
    let page = String::from_utf8(held.iter().find(|(name, _)| name == "LEGGIMI.txt").unwrap().1.clone()).unwrap();
    assert!(page.contains(&format!("in/{}", case.flow)), "{page}");
    let batch = String::from_utf8_lossy(&held.iter().find(|(name, _)| name == file).unwrap().1).into_owned();
    assert!(batch.contains(case.references.0) && batch.contains(case.code) && !batch.contains(case.references.1), "{batch}");

    // As it is, it is refused again, for the same reason and no other; the same reject comes back.
    let again = office.answered(case.source, case.flow, &name, &rejects, "SCARTATO", &[case.code]);
    assert_eq!(common::published::texts(&again.xml, "atto"), [case.references.0]);
    let (_, second) = office.reject(case.source, &name, false);
    let batch_of = |bytes: &[u8]| entries(bytes).into_iter().find(|(name, _)| name == file).unwrap().1;
    assert_eq!(
        String::from_utf8_lossy(&batch_of(&second)),
        String::from_utf8_lossy(&batch_of(&rejects)),
        "a reject of a reject is the same"
    );

    // Corrected: it goes, with the files that came along.
    let corrected = edited(&rejects, file, wrong, right);
    let taken: Receipt = office.answered(case.source, case.flow, "corretto.zip", &corrected, "PRESA_IN_CARICO", &[]);
    assert!(taken.xml.contains("<accettati>1</accettati>"), "{}", taken.xml);
    office.wait_state(case.source, case.references.0, "PERFEZIONATO");
    let note = wait_for("it is at SEND", SOON, || {
        let act = office.act(case.references.0);
        send.of(act["act"]["protocol"].as_str()?).into_iter().next()
    });
    let sent: Vec<&str> = note["files"].as_array().unwrap().iter().map(|file| file["sha256"].as_str().unwrap()).collect();
    let own: Vec<String> = entries(&rejects)
        .iter()
        .filter(|(name, _)| Path::new(name).extension().is_some_and(|e| e == "pdf"))
        .map(|(_, bytes)| Sha256::of(bytes).to_hex())
        .collect();
    let mut wanted: Vec<&str> = own.iter().map(String::as_str).collect();
    wanted.sort_unstable();
    let mut sent = sent;
    sent.sort_unstable();
    assert_eq!(sent, wanted, "{}: its own documents", case.source);

    // The whole first batch, corrected: what is already here is not sent again.
    let whole =
        office.answered(case.source, case.flow, "tutto.zip", &good, "DUPLICATO", &[case.beside, &["DUPLICATO", "DUPLICATO"]].concat());
    assert!(whole.xml.contains("<accettati>0</accettati>"), "{}", whole.xml);
}
