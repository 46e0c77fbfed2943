//! What must hold when all is quiet: asked of the simulator, of the store and of what the gestionale read.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::process::Command;

use jiff::Timestamp;
use messo::domain::digest::Sha256;
use serde_json::Value;

use crate::common::{require, wait_for};
use crate::house::{ANAGRAFE, House, POLIZIA, Simulator, files_below};
use crate::reader::{Seen, tag};
use crate::tale::{Expected, Tale};

/// Collects what is wrong: one run shows all of it.
#[derive(Default)]
pub struct Verdict {
    faults: Vec<String>,
    pub events: usize,
    pub facts: usize,
    pub files: usize,
    pub notifications: usize,
}

/// Steps inside SEND that no esito prints, from `docs/esiti.md`.
const INTERNAL: [&str; 21] = [
    "SENDER_ACK_CREATION_REQUEST",
    "VALIDATE_NORMALIZE_ADDRESSES_REQUEST",
    "NORMALIZED_ADDRESS",
    "PUBLIC_REGISTRY_VALIDATION_CALL",
    "PUBLIC_REGISTRY_VALIDATION_RESPONSE",
    "AAR_CREATION_REQUEST",
    "AAR_GENERATION",
    "SEND_COURTESY_MESSAGE",
    "GET_ADDRESS",
    "PUBLIC_REGISTRY_CALL",
    "PUBLIC_REGISTRY_RESPONSE",
    "SCHEDULE_DIGITAL_WORKFLOW",
    "PREPARE_DIGITAL_DOMICILE",
    "DIGITAL_DELIVERY_CREATION_REQUEST",
    "PREPARE_SIMPLE_REGISTERED_LETTER",
    "SCHEDULE_ANALOG_WORKFLOW",
    "PREPARE_ANALOG_DOMICILE",
    "COMPLETELY_UNREACHABLE_CREATION_REQUEST",
    "SCHEDULE_REFINEMENT",
    "NOTIFICATION_VIEWED_CREATION_REQUEST",
    "NOT_HANDLED",
];

/// One line of an esito in CSV, by column.
type Line = BTreeMap<String, String>;

impl Verdict {
    fn check(&mut self, good: bool, fault: impl FnOnce() -> String) {
        if !good {
            self.faults.push(fault());
        }
    }

    /// Fails the test with everything that is wrong.
    pub fn assert_good(&self) {
        let shown: Vec<&String> = self.faults.iter().take(60).collect();
        assert!(
            self.faults.is_empty(),
            "{} faults:\n{}",
            self.faults.len(),
            shown.iter().map(|f| f.as_str()).collect::<Vec<_>>().join("\n")
        );
    }

    /// Everything, once the hub has stopped.
    pub fn of(house: &House, simulator: &Simulator, tale: &Tale, seen: &Seen) -> Verdict {
        let mut verdict = Verdict { faults: seen.faults.clone(), files: seen.files.len(), ..Verdict::default() };
        let notifications = simulator.look("notifications");
        let notifications = notifications.as_array().unwrap();
        verdict.notifications = notifications.len();
        verdict.acts_once(house, tale, notifications);
        let lines = verdict.outcome_files(seen);
        verdict.events_once(house, simulator, notifications, &lines, seen);
        verdict.receipts(tale, seen);
        verdict.rejects(tale, seen);
        verdict.publications(house, seen);
        verdict.exports(seen);
        verdict.schemas(seen);
        verdict.nothing_left(house);
        verdict
    }

    /// Every act exactly once on the simulator, orders carried out, refused rows never there.
    fn acts_once(&mut self, house: &House, tale: &Tale, notifications: &[Value]) {
        let mut by_protocol: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
        let mut tokens = BTreeSet::new();
        for note in notifications {
            let protocol = note["paProtocolNumber"].as_str().unwrap();
            by_protocol.entry(protocol).or_default().push(note);
            let key = (note["senderTaxId"].to_string(), protocol, note["idempotenceToken"].to_string());
            self.check(tokens.insert(key), || format!("{protocol}: two notifications with one token"));
        }
        let db = house.store().unwrap();
        let mut select = db.prepare("SELECT reference, state, protocol FROM act ORDER BY reference, submission").unwrap();
        let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
        let mut states: BTreeMap<String, Vec<(String, Option<String>)>> = BTreeMap::new();
        for row in rows {
            let (reference, state, protocol): (String, String, Option<String>) = row.unwrap();
            states.entry(reference).or_default().push((state, protocol));
        }
        for (reference, expected) in &tale.acts {
            let notes = by_protocol.remove(format!("PROT-{reference}").as_str()).unwrap_or_default();
            let of = |status: &str| notes.iter().filter(|note| note["requestStatus"] == status).count();
            let cancelled = notes.iter().filter(|note| note["cancelled"] == true).count();
            let mine = states.remove(reference).unwrap_or_default();
            let names: Vec<&str> = mine.iter().map(|(state, _)| state.as_str()).collect();
            let live = of("ACCEPTED") - cancelled;
            let good = match expected {
                Expected::Notified => (notes.len(), live) == (1, 1) && names == ["PERFEZIONATO"],
                Expected::RefusedBySend => (notes.len(), of("REFUSED")) == (1, 1) && names == ["RIFIUTATO"],
                Expected::RefusedByMesso => notes.is_empty() && names.is_empty(),
                // Taken back before anything was sent, or cancelled at SEND.
                Expected::Cancelled => {
                    (notes.is_empty() && names == ["RITIRATO"]) || ((notes.len(), cancelled) == (1, 1) && names == ["ANNULLATO"])
                }
                Expected::Replaced => {
                    (notes.len(), cancelled, live) == (2, 1, 1) && names == ["ANNULLATO", "PERFEZIONATO"]
                        || (notes.len(), live) == (1, 1) && names == ["RITIRATO", "PERFEZIONATO"]
                }
            };
            self.check(good, || {
                format!("{reference}: {expected:?}, but {names:?} with {} notifications, {live} live, {cancelled} cancelled", notes.len())
            });
        }
        self.check(by_protocol.is_empty(), || format!("notifications of nobody: {:?}", by_protocol.keys()));
        self.check(states.is_empty(), || format!("acts of nobody: {states:?}"));
    }

    /// Ledger and files: no gap, no repetition, CSV and XML of one number the same, the chain unbroken.
    fn outcome_files(&mut self, seen: &Seen) -> Vec<Line> {
        let mut all = Vec::new();
        for (source, _) in [POLIZIA, ANAGRAFE] {
            let prefix = format!("{source}/esiti/esito_{source}_");
            let of = |extension: &str| -> Vec<(u64, &Vec<u8>)> {
                let mine = seen.files.iter().filter_map(|(name, bytes)| {
                    let number = name.strip_prefix(&prefix)?.strip_suffix(extension)?;
                    Some((number.parse().ok()?, bytes))
                });
                mine.collect()
            };
            let (csv, xml) = (of(".csv"), of(".xml"));
            self.check(!csv.is_empty(), || format!("{source}: no esito"));
            let numbers = |files: &[(u64, &Vec<u8>)]| files.iter().map(|(number, _)| *number).collect::<Vec<_>>();
            let gapless: Vec<u64> = (1..=csv.len() as u64).collect();
            self.check(numbers(&csv) == gapless && numbers(&xml) == gapless, || {
                format!("{source}: files {:?} and {:?}", numbers(&csv), numbers(&xml))
            });
            let (mut next, mut previous) = (1u64, String::new());
            for ((number, csv), (_, xml)) in csv.iter().zip(&xml) {
                let lines = read_csv(csv);
                let text = String::from_utf8_lossy(xml);
                let blocks: Vec<&str> = text.split("<esito_atto>").skip(1).collect();
                self.check(lines.len() == blocks.len(), || format!("{source} {number}: {} lines, {} in XML", lines.len(), blocks.len()));
                self.check(text.trim_end().ends_with("</esito>"), || format!("{source} {number}: the XML has no end"));
                for (line, block) in lines.iter().zip(&blocks) {
                    self.check(line["riga"] == next.to_string(), || {
                        format!("{source} {number}: line {} where {next} was due", line["riga"])
                    });
                    next += 1;
                    for column in ["riga", "atto", "riferimento", "iun", "evento", "quando_utc", "destinatario", "stato", "attestazioni"] {
                        // A list of attestations is one element each.
                        let same = column == "attestazioni" || tag(block, column) == line[column];
                        self.check(same, || format!("{source} {number}, line {next}: {column} differs between CSV and XML"));
                    }
                }
                self.check(tag(&text, "precedente_sha256") == previous, || format!("{source} {number}: the chain is broken"));
                previous = Sha256::of(xml).to_hex();
                all.extend(lines);
            }
        }
        all
    }

    /// Every element that SEND published is in the store once and in one line once; every legal fact in one file and one index.
    fn events_once(&mut self, house: &House, simulator: &Simulator, notifications: &[Value], lines: &[Line], seen: &Seen) {
        let mut wanted: BTreeMap<(String, String, String, Timestamp), i64> = BTreeMap::new();
        let mut facts: BTreeMap<(String, String, String), i64> = BTreeMap::new();
        let mut elements: BTreeMap<(String, String), i64> = BTreeMap::new();
        for note in notifications.iter().filter(|note| note["requestStatus"] == "ACCEPTED") {
            let (iun, ente) = (note["iun"].as_str().unwrap(), note["senderTaxId"].as_str().unwrap());
            let path = format!("/delivery/v2.8/notifications/sent/{iun}");
            let detail = wait_for("the whole timeline", std::time::Duration::from_secs(90), || simulator.get(&path, ente));
            for element in detail["timeline"].as_array().unwrap() {
                let category = element["category"].as_str().unwrap();
                let element_id = element["elementId"].as_str().unwrap();
                *elements.entry((iun.to_owned(), element_id.to_owned())).or_default() += 1;
                for fact in element["legalFactsIds"].as_array().into_iter().flatten() {
                    let key = (iun.to_owned(), element_id.to_owned(), fact["category"].as_str().unwrap().to_owned());
                    *facts.entry(key).or_default() += 1;
                }
                if INTERNAL.contains(&category) {
                    continue;
                }
                let at = element["eventTimestamp"].as_str().or(element["timestamp"].as_str()).unwrap().parse().unwrap();
                let recipient = element["details"]["recIndex"].as_i64().map_or_else(String::new, |index| (index + 1).to_string());
                *wanted.entry((iun.to_owned(), category.to_owned(), recipient, at)).or_default() += 1;
            }
        }
        self.events = elements.len();
        self.facts = facts.len();

        let db = house.store().unwrap();
        let mut select =
            db.prepare("SELECT a.iun, t.element_id FROM timeline t JOIN act a ON a.id = t.act_id WHERE a.iun IS NOT NULL").unwrap();
        for row in select.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap() {
            *elements.entry(row.unwrap()).or_default() -= 1;
        }
        self.balanced("in the timeline of SEND but not kept (or the contrary)", elements);

        let mut refused: BTreeMap<&str, usize> = BTreeMap::new();
        for line in lines {
            let (event, iun) = (line["evento"].as_str(), line["iun"].as_str());
            if event == "REQUEST_REFUSED" {
                *refused.entry(&line["riferimento"]).or_default() += 1;
            }
            if !is_of_send(event) || event == "REQUEST_REFUSED" {
                continue;
            }
            let at = line["quando_utc"].parse().unwrap();
            *wanted.entry((iun.to_owned(), event.to_owned(), line["destinatario"].clone(), at)).or_default() -= 1;
        }
        self.balanced("told by SEND but not in an esito (or the contrary)", wanted);
        let refusals = notifications.iter().filter(|note| note["requestStatus"] == "REFUSED").count();
        self.check(refused.len() == refusals && refused.values().all(|times| *times == 1), || {
            format!("{refusals} refusals of SEND, told as {refused:?}")
        });
        self.legal_facts(facts, lines, seen);
    }

    fn legal_facts(&mut self, mut facts: BTreeMap<(String, String, String), i64>, lines: &[Line], seen: &Seen) {
        let told: BTreeSet<&str> =
            lines.iter().filter(|line| line["evento"] == "ATTESTAZIONE").map(|line| line["attestazioni"].as_str()).collect();
        let announced = lines.iter().filter(|line| line["evento"] == "ATTESTAZIONE").count();
        self.check(told.len() == announced && announced == facts.len(), || {
            format!("{} attestations at SEND, {announced} announced, {} different", facts.len(), told.len())
        });
        for (name, bytes) in seen.files.iter().filter(|(name, _)| name.contains("/attestazioni/indice_") && name.ends_with(".csv")) {
            let home = name.split('/').next().unwrap();
            for entry in read_csv(bytes) {
                let path = format!("{home}/attestazioni/{}", entry["file"]);
                *facts.entry((entry["iun"].clone(), entry["elemento"].clone(), entry["categoria"].clone())).or_default() -= 1;
                match seen.files.get(&path) {
                    None => self.faults.push(format!("{path}: in the index, never there")),
                    Some(bytes) => {
                        self.check(Sha256::of(bytes).to_hex() == entry["sha256"], || format!("{path}: not the bytes of the index"));
                        let pdf = path.ends_with(".pdf");
                        self.check(!pdf || (bytes.starts_with(b"%PDF") && bytes.trim_ascii_end().ends_with(b"%%EOF")), || {
                            format!("{path}: not a whole PDF")
                        });
                    }
                }
            }
        }
        self.balanced("announced by SEND but not in an index (or the contrary)", facts);
    }

    fn balanced<K: std::fmt::Debug>(&mut self, what: &str, counts: BTreeMap<K, i64>) {
        for (key, count) in counts.into_iter().filter(|(_, count)| *count != 0) {
            self.faults.push(format!("{count:+} {what}: {key:?}"));
        }
    }

    /// One receipt per drop, XML and text, in the state that was due.
    fn receipts(&mut self, tale: &Tale, seen: &Seen) {
        let mut states: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut texts = 0;
        for (name, bytes) in seen.files.iter().filter(|(name, _)| name.contains("/ricevute/")) {
            let text = String::from_utf8_lossy(bytes);
            if name.ends_with(".xml") {
                states.entry(tag(&text, "nome").to_owned()).or_default().push(tag(&text, "stato").to_owned());
            } else {
                texts += 1;
            }
        }
        for (name, state) in &tale.drops {
            let got = states.remove(name).unwrap_or_default();
            self.check(got == [*state], || format!("{name}: receipt {state} was due, there are {got:?}"));
        }
        self.check(states.is_empty(), || format!("receipts of nothing: {states:?}"));
        self.check(texts == tale.drops.len(), || format!("{texts} receipts in words for {} drops", tale.drops.len()));
    }

    /// Refused rows come back whole, each once, with their PDFs.
    fn rejects(&mut self, tale: &Tale, seen: &Seen) {
        let mut back: BTreeMap<String, usize> = BTreeMap::new();
        for (name, bytes) in seen.files.iter().filter(|(name, _)| name.contains("/scarti/")) {
            let mut archive = match zip::ZipArchive::new(std::io::Cursor::new(bytes)) {
                Ok(archive) => archive,
                Err(error) => {
                    self.faults.push(format!("{name}: {error}"));
                    continue;
                }
            };
            let (mut rows, mut pdfs) = (Vec::new(), 0);
            for index in 0..archive.len() {
                let mut entry = archive.by_index(index).unwrap();
                let mut content = Vec::new();
                let read = entry.read_to_end(&mut content);
                self.check(read.is_ok(), || format!("{name}: an entry cannot be read: {read:?}"));
                pdfs += usize::from(content.starts_with(b"%PDF"));
                if entry.name().unwrap() == "lotto.csv" {
                    rows = read_csv(&content);
                }
            }
            self.check(!rows.is_empty(), || format!("{name}: no rows"));
            for row in &rows {
                self.check(!row["esito_codice"].is_empty(), || format!("{name}: a row without its code"));
            }
            let acts: BTreeSet<&String> = rows.iter().map(|row| &row["riferimento"]).collect();
            for reference in &acts {
                *back.entry((*reference).clone()).or_default() += 1;
            }
            let with_pdf: BTreeSet<&String> =
                rows.iter().map(|row| &row["documento_file_1"]).filter(|document| !document.is_empty()).collect();
            let with_pdf = with_pdf.len();
            self.check(pdfs == with_pdf, || format!("{name}: {pdfs} PDFs for {with_pdf} acts"));
        }
        let due = |expected: &Expected| matches!(expected, Expected::RefusedBySend | Expected::RefusedByMesso);
        for (reference, _) in tale.acts.iter().filter(|(_, expected)| due(expected)) {
            let times = back.remove(reference).unwrap_or(0);
            self.check(times == 1, || format!("{reference}: refused, and given back {times} times"));
        }
        back.retain(|reference, _| !reference.starts_with("IGNOTO-"));
        self.check(back.is_empty(), || format!("given back although not refused: {back:?}"));
    }

    /// What the store says was published is what the gestionale read, byte for byte.
    fn publications(&mut self, house: &House, seen: &Seen) {
        let db = house.store().unwrap();
        let mut select = db.prepare("SELECT source || '/' || folder || '/' || name, lower(hex(sha256)), state FROM publication").unwrap();
        let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
        let mut known = BTreeSet::new();
        for row in rows {
            let (name, sha256, state): (String, String, String) = row.unwrap();
            self.check(state == "PUBBLICATO", || format!("{name}: still {state}"));
            match seen.files.get(&name) {
                None => self.faults.push(format!("{name}: published for the store, never seen")),
                Some(bytes) => self.check(Sha256::of(bytes).to_hex() == sha256, || format!("{name}: not the bytes of the store")),
            }
            known.insert(name);
        }
        for name in seen.files.keys().filter(|name| !known.contains(*name)) {
            self.faults.push(format!("{name}: seen, but not known to the store"));
        }
    }

    /// Exports have no gap, each holds the digest of the one before, and their windows follow each other.
    fn exports(&mut self, seen: &Seen) {
        let mut homes: BTreeMap<&str, Vec<(&String, &Vec<u8>)>> = BTreeMap::new();
        for (name, bytes) in seen.files.iter().filter(|(name, _)| name.contains("/rendicontazioni/") && name.ends_with(".csv")) {
            homes.entry(name.split('/').next().unwrap()).or_default().push((name, bytes));
        }
        self.check(!homes.is_empty(), || "no exports".to_owned());
        for files in homes.values() {
            let (mut before, mut done) = (String::new(), 0_u64);
            for (index, (name, bytes)) in files.iter().enumerate() {
                let totals = read_csv(bytes).pop().unwrap_or_default();
                self.check(totals["numero"] == (index + 1).to_string(), || format!("{name}: number {}", totals["numero"]));
                self.check(totals["precedente_sha256"] == before, || format!("{name}: the chain is broken"));
                before = Sha256::of(bytes).to_hex();
                if totals["genere"] == "VARIATI" {
                    self.check(totals["dopo_riga"] == done.to_string(), || format!("{name}: lines after {done} are in no export"));
                    done = totals["fino_a_riga"].parse().unwrap();
                }
            }
        }
    }

    /// Our own XML is what the published XSD say.
    fn schemas(&mut self, seen: &Seen) {
        if !require("xmllint") {
            return;
        }
        let place = tempfile::tempdir().unwrap();
        for (folder, schema) in [
            ("/ricevute/", "ricevuta"),
            ("/esiti/", "esito"),
            ("/attestazioni/indice_", "attestazioni"),
            ("/rendicontazioni/", "rendicontazione"),
        ] {
            let mut command = Command::new("xmllint");
            let schema = format!("{}/schemas/messo-{schema}-1.0.xsd", env!("CARGO_MANIFEST_DIR"));
            command.args(["--noout", "--schema", &schema]);
            let mine = seen.files.iter().filter(|(name, _)| name.contains(folder) && name.ends_with(".xml"));
            let mut some = false;
            for (name, bytes) in mine {
                let path = place.path().join(name.replace('/', "_"));
                fs::write(&path, bytes).unwrap();
                command.arg(path);
                some = true;
            }
            self.check(some, || format!("no XML in {folder}"));
            let run = command.output().unwrap();
            let said = String::from_utf8_lossy(&run.stderr)
                .lines()
                .filter(|line| !line.ends_with(" validates"))
                .take(5)
                .collect::<Vec<_>>()
                .join("; ");
            self.check(run.status.success(), || format!("xmllint on {folder}: {said}"));
        }
    }

    /// Nothing half-done, nothing forgotten.
    fn nothing_left(&mut self, house: &House) {
        for (what, sql) in [
            ("jobs", "SELECT count(*) FROM job WHERE kind <> 'CHIEDI_ESITO' OR state <> 'ATTESA'"),
            ("acts not final", "SELECT count(*) FROM act WHERE state NOT IN ('PERFEZIONATO', 'ANNULLATO', 'RIFIUTATO', 'RITIRATO')"),
            ("acts parked", "SELECT count(*) FROM act WHERE park_code IS NOT NULL"),
            ("acts staged", "SELECT count(*) FROM act WHERE staged = 1"),
            ("batches unfinished", "SELECT count(*) FROM batch WHERE finished_at IS NULL"),
            ("orders undone", "SELECT count(*) FROM batch_order WHERE done = 0"),
            (
                "alerts that should not be",
                "SELECT count(*) FROM alert WHERE code NOT IN ('TERMINE_VICINO', 'LOTTO_SCARTATO', 'LOTTO_PARZIALE', 'RAPPORTO_DEL_GIORNO', 'DISCO_QUASI_PIENO', \
                 'DEPOSITO_MAI_COMPLETATO')",
            ),
            (
                "alerts told twice",
                "SELECT count(*) FROM (SELECT 1 FROM alert WHERE code <> 'TERMINE_VICINO' GROUP BY code, about, sender HAVING count(*) > 1)",
            ),
        ] {
            let count = house.count(sql).unwrap();
            self.check(count == 0, || format!("{count} {what}"));
        }
        let mut left = Vec::new();
        for root in [house.path("case"), house.path("dati")] {
            left.extend(files_below(&root).into_iter().filter(|file| {
                let name = file.file_name().unwrap().to_string_lossy().into_owned();
                let ours = name.starts_with(".messo-") || name.starts_with(".copia-") || name.ends_with(".part");
                let path = file.to_string_lossy();
                ours || path.contains("/lavoro/")
                    || path.contains("/incompleti/")
                    || (path.contains("/in/") && !name.starts_with("a-meta-"))
            }));
        }
        self.check(left.is_empty(), || format!("left behind: {left:?}"));
    }
}

/// messo's own events are Italian words; SEND's are its categories.
fn is_of_send(event: &str) -> bool {
    const OWN: [&str; 19] = [
        "PRESO_IN_CARICO",
        "INVIATO",
        "IN_ATTESA",
        "RILASCIATO",
        "MODIFICATO",
        "RITIRATO",
        "ANNULLAMENTO_CHIESTO",
        "ANNULLAMENTO_IN_ATTESA",
        "RETTIFICA",
        "COSTO",
        "ATTESTAZIONE",
        "SOSPESO",
        "RIPRESO",
        "ORDINE_RESPINTO",
        "RIFIUTATO",
        "ANNULLATO",
        "ACCETTATO",
        "CONSEGNATO",
        "PERFEZIONATO",
    ];
    !OWN.contains(&event)
}

fn read_csv(bytes: &[u8]) -> Vec<Line> {
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut reader = csv::ReaderBuilder::new().delimiter(b';').from_reader(text);
    let header = reader.headers().unwrap().clone();
    reader
        .records()
        .map(|record| header.iter().zip(record.unwrap().iter()).map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
        .collect()
}
