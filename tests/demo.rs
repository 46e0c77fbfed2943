//! `messo demo` as a newcomer runs it, and everything that it wrote, read as gestionali and operators would.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a failed step ends the test")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use common::exported::{Exported, exports};
use common::office::{published, run};
use common::published::{csv_lines, elements, esiti, records, texts, tree, validate};
use common::{Child, example_cases, messo, require};
use messo::domain::digest::Sha256;
use rusqlite::types::ValueRef;
use serde_json::Value;

/// Tables and columns whose rows can be deleted when a person is forgotten.
const DELETABLE: [(&str, &str); 5] =
    [("act_content", "json"), ("timeline", "data"), ("problem", "data"), ("batch", "original_name"), ("reject", "data")];

#[test]
fn the_demo_ends_well_and_all_it_wrote_holds_together() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("demo");
    let mut demo = Child::spawn("demo", &mut messo(&["demo", "--dir", dir.to_str().unwrap()]));
    let ended = demo.wait(Duration::from_secs(360));
    let shown = demo.output();
    assert!(ended.success(), "{ended}\n{shown}");
    half_came_by_sftp_and_went_back(&dir, &shown);

    let sources: Vec<PathBuf> =
        fs::read_dir(&dir).unwrap().map(|e| e.unwrap().path()).filter(|path| path.join("ricevute").is_dir()).collect();
    assert!(sources.len() >= 5, "{sources:?}");
    let mut facts = 0;
    for source in &sources {
        nothing_is_left_over(source);
        receipts_are_valid_and_readable(source);
        esiti_are_a_chain_without_gaps(source);
        facts += every_legal_fact_is_listed(source);
        let nights = exports(&source.join("rendicontazioni"));
        validate_all(&nights);
        let states: BTreeSet<String> = nights.iter().flat_map(|night| &night.rows).map(|row| row["stato"].clone()).collect();
        assert!(esiti(source, ".csv").is_empty() || !states.is_empty(), "{}: nothing is reconciled", source.display());
    }
    assert!(facts > 20, "only {facts} legal facts");
    pdfs_are_sound(&sources);
    rejects_are_read_again(&dir, &sources);
    every_example_has_its_receipt(&dir, &sources);

    let people = people_of_the_examples();
    for word in &people {
        assert!(!shown.contains(word), "the demo printed {word:?}");
    }
    operators_see_no_person(&dir, &people);
    no_person_outside_deletable_rows(&dir.join("dati/messo.db"), &people);
}

fn validate_all(nights: &[Exported]) {
    let files: Vec<PathBuf> = nights.iter().map(|night| night.xml.clone()).collect();
    if !files.is_empty() {
        validate("messo-rendicontazione-1.0.xsd", &files);
    }
}

/// By the books of the SFTP server, which ended with the demo.
fn half_came_by_sftp_and_went_back(dir: &Path, shown: &str) {
    let asked = run(&["audit", "--config", dir.join("messo.toml").to_str().unwrap(), "--json"]);
    assert_eq!(asked.code, 0, "{}", asked.err);
    let audit: Value = serde_json::from_str(&asked.out).unwrap();
    let of = |act: &str| -> Vec<&Value> {
        audit["events"].as_array().unwrap().iter().filter(|event| event["act"] == act && event["outcome"] == "OK").collect()
    };
    assert_eq!(of("CARICAMENTO").len(), example_cases().len() / 2, "{audit}");
    assert_eq!(of("RINOMINA").len(), example_cases().len() / 2, "{audit}");
    let back = shown.split_once("Riletti via SFTP:").unwrap_or_else(|| panic!("{shown}")).1;
    for folder in ["ricevute", "esiti", "attestazioni"] {
        assert!(back.contains(&format!("/{folder}/")), "{folder}: {shown}");
        let read = of("SCARICAMENTO").into_iter().any(|event| event["name"].as_str().unwrap().starts_with(&format!("/{folder}/")));
        assert!(read, "{folder}: {audit}");
    }
}

/// Nothing half done, nothing still in the in-tray.
fn nothing_is_left_over(source: &Path) {
    let mut open = vec![source.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
                continue;
            }
            let inside = path.strip_prefix(source).unwrap().to_str().unwrap();
            // The last numbers given, for a restore; the digests of files that came without a companion.
            if [".messo/numeri", ".messo/soli"].contains(&inside) {
                continue;
            }
            let public =
                ["ricevute/", "scarti/", "esiti/", "attestazioni/", "rendicontazioni/"].iter().any(|folder| inside.starts_with(folder));
            assert!(public && !path.file_name().unwrap().to_str().unwrap().starts_with('.'), "left over: {}", path.display());
        }
    }
}

fn receipts_are_valid_and_readable(source: &Path) {
    let files = published(&source.join("ricevute"));
    let xml: Vec<PathBuf> = files.iter().filter(|path| path.extension().unwrap() == "xml").cloned().collect();
    assert_eq!(files.len(), 2 * xml.len(), "each receipt in two forms: {files:?}");
    validate("messo-ricevuta-1.0.xsd", &xml);
    for path in xml {
        let receipt = fs::read_to_string(&path).unwrap();
        let text = fs::read(path.with_extension("txt")).unwrap();
        let text = String::from_utf8(text.strip_prefix(b"\xef\xbb\xbf").unwrap().to_vec()).unwrap();
        let state = &texts(&receipt, "stato")[0];
        assert!(path.to_str().unwrap().ends_with(&format!("_{state}.xml")), "{}", path.display());
        let mut wanted = vec![state.clone(), "Questa ricevuta non perfeziona la notifica".to_owned()];
        wanted.extend(texts(&receipt, "atto").into_iter().chain(texts(&receipt, "sha256")).chain(texts(&receipt, "file_scarti")));
        wanted.extend(receipt.split("codice=\"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()));
        for word in wanted {
            assert!(text.contains(&word), "{}: no {word:?} in\n{text}", path.display());
        }
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "{}: too wide: {line}", path.display());
            assert!(!line.chars().any(char::is_control), "{}: {line:?}", path.display());
        }
        if let Some(rejects) = texts(&receipt, "file_scarti").first() {
            assert!(source.join("scarti").join(rejects).is_file(), "{rejects} is not there");
        }
    }
}

/// Numbers, digests and line ids follow each other; CSV and XML say the same.
fn esiti_are_a_chain_without_gaps(source: &Path) {
    let xml = esiti(source, ".xml");
    if !xml.is_empty() {
        validate("messo-esito-1.0.xsd", &xml);
    }
    assert_eq!(xml.len(), esiti(source, ".csv").len());
    let (mut next, mut previous) = (1, None::<String>);
    for (index, path) in xml.iter().enumerate() {
        let text = fs::read_to_string(path).unwrap();
        let head = &records(&text, "testata")[0];
        let name = source.file_name().unwrap().to_str().unwrap();
        assert_eq!((head["gestionale"].as_str(), head["numero"].clone(), head["copia"].as_str()), (name, (index + 1).to_string(), "false"));
        assert_eq!(head.get("precedente_sha256"), previous.as_ref(), "{}", path.display());
        previous = Some(Sha256::of(text.as_bytes()).to_hex());
        let (told, table) = (records(&text, "esito_atto"), csv_lines(&path.with_extension("csv")));
        assert_eq!((head["prima_riga"].clone(), told.len()), (next.to_string(), table.len()), "{}", path.display());
        for (told, row) in told.iter().zip(&table) {
            assert_eq!(row["riga"], next.to_string(), "{}", path.display());
            next += 1;
            for (column, cell) in row {
                let value = told.get(column).cloned().unwrap_or_default();
                match column.as_str() {
                    // Local time and amounts as Excel in Italy reads them.
                    "quando_roma" => assert!(value.replace('T', " ").starts_with(cell), "{column}: {value} {cell}"),
                    "costo_ente" | "costo_cittadino" | "importo_dovuto" | "importo_costi" | "importo_pagato" => {
                        assert_eq!(value.replace('.', ","), *cell, "{column}");
                    }
                    // Parts in elements of their own, in words in the cell.
                    "motivi" => {
                        assert_eq!(value.is_empty(), cell.is_empty(), "{column}: {value} {cell}");
                        assert!(value.split('|').all(|part| cell.contains(part)), "{column}: {value} {cell}");
                    }
                    column if column.starts_with("eco_") => {}
                    _ => assert_eq!(value, *cell, "{}, line {}, {column}", path.display(), row["riga"]),
                }
            }
            let echo: Vec<&String> =
                row.iter().filter(|(name, cell)| name.starts_with("eco_") && !cell.is_empty()).map(|(_, cell)| cell).collect();
            let told: Vec<&str> = told.get("eco").map_or(Vec::new(), |echo| echo.split('|').collect());
            assert_eq!(echo, told, "{}, line {}", path.display(), row["riga"]);
        }
        assert_eq!(head["ultima_riga"], (next - 1).to_string());
    }
}

/// Every legal fact stands in one index, with its digest and size; the esiti tell it by the same name.
fn every_legal_fact_is_listed(source: &Path) -> usize {
    let root = source.join("attestazioni");
    let (indexes, facts): (Vec<PathBuf>, Vec<PathBuf>) = tree(&root).into_iter().partition(|path| path.parent() == Some(root.as_path()));
    let xml: Vec<PathBuf> = indexes.iter().filter(|path| path.extension().unwrap() == "xml").cloned().collect();
    if !xml.is_empty() {
        validate("messo-attestazioni-1.0.xsd", &xml);
    }
    let mut listed = BTreeMap::new();
    for (index, path) in xml.iter().enumerate() {
        let text = fs::read_to_string(path).unwrap();
        assert_eq!(records(&text, "testata")[0]["numero"], (index + 1).to_string());
        let (told, table) = (records(&text, "attestazione"), csv_lines(&path.with_extension("csv")));
        assert_eq!(told.len(), table.len());
        for (told, row) in told.into_iter().zip(table) {
            for column in ["file", "sha256", "dimensione", "ente", "riferimento", "iun", "categoria", "elemento", "quando_utc"] {
                assert_eq!(told[column], row[column], "{}: {column}", path.display());
            }
            assert!(listed.insert(told["file"].clone(), told).is_none(), "{}: listed twice", row["file"]);
        }
    }
    let names: BTreeSet<String> = facts.iter().map(|path| path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned()).collect();
    assert_eq!(names, listed.keys().cloned().collect(), "{}", source.display());
    let told: BTreeSet<String> = common::published::lines(source)
        .iter()
        .flat_map(|line| line["attestazioni"].split('|').map(str::to_owned).collect::<Vec<_>>())
        .filter(|name| !name.is_empty())
        .collect();
    assert_eq!(names, told, "{}: told by the esiti", source.display());
    for (name, entry) in &listed {
        let bytes = fs::read(root.join(name)).unwrap();
        assert_eq!(
            (Sha256::of(&bytes).to_hex(), bytes.len().to_string()),
            (entry["sha256"].clone(), entry["dimensione"].clone()),
            "{name}"
        );
        let year_and_iun: Vec<&str> = name.split('/').collect();
        assert_eq!(year_and_iun[1], entry["iun"], "{name}");
    }
    facts.len()
}

fn pdfs_are_sound(sources: &[PathBuf]) {
    if !require("qpdf") {
        return;
    }
    let pdfs = sources.iter().flat_map(|source| tree(&source.join("attestazioni"))).filter(|path| path.extension().unwrap() == "pdf");
    let pdfs: Vec<PathBuf> = pdfs.collect();
    assert!(pdfs.len() > 15);
    for path in pdfs {
        let output = Command::new("qpdf").arg("--check").arg(&path).output().unwrap();
        assert!(output.status.success(), "{}: {}", path.display(), String::from_utf8_lossy(&output.stderr));
    }
}

/// What came back as rejects is read by messo as those acts and no others: refused again for the same fault when messo refused
/// them, good as far as messo can know when SEND did.
fn rejects_are_read_again(dir: &Path, sources: &[PathBuf]) {
    let config = dir.join("messo.toml");
    let mut files: BTreeSet<PathBuf> = sources.iter().flat_map(|source| published(&source.join("scarti"))).collect();
    let mut take = |source: &str, stem: &str, later: bool| -> PathBuf {
        let is = |path: &&PathBuf| {
            let name = path.file_stem().unwrap().to_str().unwrap();
            path.starts_with(dir.join(source))
                && name.split_once(stem).is_some_and(|(_, rest)| if later { rest.starts_with('_') } else { rest.is_empty() })
        };
        let path = files.iter().find(is).unwrap_or_else(|| panic!("{source}: no rejects of {stem} (later: {later}) in {files:?}")).clone();
        files.remove(&path);
        path
    };
    for example in example_cases() {
        let expected: Value = serde_json::from_slice(&fs::read(example.expected.join("expected.json")).unwrap()).unwrap();
        let (source, flow) = (expected["source"].as_str().unwrap(), expected["flow"].as_str().unwrap());
        let stem = format!("_{}-{}", example.source, example.case);
        let validate = |path: &Path| -> (i32, Value) {
            let args = [
                "validate",
                "--json",
                "--gestionale",
                source,
                "--flow",
                flow,
                "--config",
                config.to_str().unwrap(),
                path.to_str().unwrap(),
            ];
            let ran = run(&args);
            (ran.code, serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("{}{}", ran.out, ran.err)))
        };
        if expected["refused"] != 0 {
            let (code, report) = validate(&take(source, &stem, false));
            assert_eq!((code, &report["acts"], &report["refused"]), (2, &expected["refused"], &expected["refused"]), "{stem}: {report}");
            let found: BTreeSet<&str> =
                report["problems"].as_array().unwrap().iter().map(|problem| problem["code"].as_str().unwrap()).collect();
            assert_eq!(found, expected["problems"].as_array().unwrap().iter().map(|code| code.as_str().unwrap()).collect(), "{stem}");
            let accepted = expected["final"].as_object().unwrap();
            for problem in report["problems"].as_array().unwrap() {
                assert!(!accepted.contains_key(problem["act"].as_str().unwrap()), "{stem}: {problem}");
            }
        }
        for _ in expected["final"].as_object().unwrap().values().filter(|end| **end == "RIFIUTATO") {
            let (code, report) = validate(&take(source, &stem, true));
            assert_eq!((code, &report["acts"], &report["problems"]), (0, &1.into(), &serde_json::json!([])), "{stem}: {report}");
        }
    }
    assert!(files.is_empty(), "rejects of what was not refused: {files:?}");
}

fn every_example_has_its_receipt(dir: &Path, sources: &[PathBuf]) {
    let receipts: Vec<PathBuf> = sources.iter().flat_map(|source| published(&source.join("ricevute"))).collect();
    for example in example_cases() {
        let expected: Value = serde_json::from_slice(&fs::read(example.expected.join("expected.json")).unwrap()).unwrap();
        let end = format!("_{}-{}_{}.xml", example.source, example.case, expected["receipt"].as_str().unwrap());
        let found: Vec<&PathBuf> = receipts.iter().filter(|path| path.to_str().unwrap().ends_with(&end)).collect();
        assert_eq!(found.len(), 1, "{end}: {found:?}");
        assert!(found[0].starts_with(dir.join(expected["source"].as_str().unwrap())), "{end} at {}", found[0].display());
    }
}

/// Names, tax ids and addresses of every recipient of every example, as the batches write them.
fn people_of_the_examples() -> BTreeSet<String> {
    const COLUMNS: [&str; 8] =
        ["codice_fiscale", "denominazione", "pec", "indirizzo", "taxId", "denomination", "address", "digitalDomicileAddress"];
    const TAGS: [&str; 5] = ["codiceFiscale", "denominazione", "pec", "via", "presso"];
    let mut people = BTreeSet::new();
    for path in example_cases().iter().flat_map(|example| tree(&example.input)) {
        let bytes = fs::read(&path).unwrap();
        let text = String::from_utf8(bytes.clone()).unwrap_or_else(|_| encoding_rs::WINDOWS_1252.decode(&bytes).0.into_owned());
        match path.extension().unwrap().to_str().unwrap().to_ascii_lowercase().as_str() {
            "xml" => people.extend(
                elements(&text).into_iter().filter(|(path, _)| TAGS.contains(&path.last().unwrap().as_str())).map(|(_, text)| text),
            ),
            "csv" => {
                let text = text.trim_start_matches('\u{feff}');
                let delimiter = if text.lines().next().unwrap().contains(';') { b';' } else { b',' };
                let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).flexible(true).from_reader(text.as_bytes());
                let header = reader.headers().unwrap().clone();
                for row in reader.records().map(Result::unwrap) {
                    people.extend(header.iter().zip(&row).filter(|(column, _)| COLUMNS.contains(column)).map(|(_, cell)| cell.to_owned()));
                }
            }
            _ => {}
        }
    }
    people.retain(|word| !word.is_empty());
    assert!(people.len() > 40 && people.contains("CSTLNE79C61G337M") && people.contains("Niccolò Fonti"), "{people:?}");
    people
}

/// The commands work on the data folder of a hub that has ended.
fn operators_see_no_person(dir: &Path, people: &BTreeSet<String>) {
    let config = dir.join("messo.toml");
    let config = config.to_str().unwrap();
    let mut shown = String::new();
    let mut ask = |args: &[&str]| -> Value {
        let words = run(&[args, &["--config", config]].concat());
        assert_eq!(words.code, 0, "{args:?}: {}{}", words.out, words.err);
        let object = run(&[args, &["--config", config, "--json"]].concat());
        assert_eq!(object.code, 0, "{args:?}: {}{}", object.out, object.err);
        shown.push_str(&words.out);
        shown.push_str(&object.out);
        serde_json::from_str(&object.out).unwrap()
    };
    let status = ask(&["status"]);
    assert_eq!((&status["running"], &status["parked"]), (&false.into(), &serde_json::json!({})));
    // Nothing is left to do but what waits for a day to come: dates of rules, questions whether a notice was paid.
    let waits = |states: &serde_json::Map<String, Value>| states.keys().all(|state| state == "ATTESA");
    assert!(waits(status["jobs"].as_object().unwrap()), "{}", status["jobs"]);
    let db = rusqlite::Connection::open(dir.join("dati/messo.db")).unwrap();
    let others: i64 = db.query_row("SELECT count(*) FROM job WHERE subject_kind <> 'posizione'", [], |row| row.get(0)).unwrap();
    assert_eq!(others, 0, "jobs of acts and batches");
    drop(db);
    assert_eq!(status["stopped_channels"], serde_json::json!([]));
    let list = ask(&["batch", "list", "--limit", "100"]);
    let batches = list["batches"].as_array().unwrap();
    assert_eq!(batches.len(), example_cases().len());
    for batch in batches {
        let report = ask(&["batch", "show", batch["id"].as_str().unwrap()]);
        assert_eq!((&report["batch"]["acts"], &report["jobs"]), (&batch["acts"], &serde_json::json!([])));
    }
    let mut acts = 0;
    for example in example_cases() {
        let expected: Value = serde_json::from_slice(&fs::read(example.expected.join("expected.json")).unwrap()).unwrap();
        for reference in expected["final"].as_object().unwrap().keys() {
            let report = ask(&["act", "show", reference]);
            let act = &report["acts"][0];
            assert_eq!(act["act"]["reference"], reference.as_str());
            let held = act["legal_facts"].as_array().unwrap().iter().all(|fact| fact["state"] == "CONSERVATA");
            assert!(held && !act["history"].as_array().unwrap().is_empty(), "{reference}: {act}");
            acts += 1;
        }
    }
    assert!(acts >= 14);
    for word in people {
        assert!(!shown.contains(word), "a command shows {word:?}");
    }
}

fn no_person_outside_deletable_rows(database: &Path, people: &BTreeSet<String>) {
    let db = rusqlite::Connection::open(database).unwrap();
    let mut select = db.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").unwrap();
    let tables: Vec<String> = select.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let (mut cells, mut deletable) = (0, BTreeSet::new());
    for table in &tables {
        let mut rows = db.prepare(&format!("SELECT * FROM {table}")).unwrap();
        let columns: Vec<String> = rows.column_names().map(str::to_owned).collect();
        let mut rows = rows.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            for (index, column) in columns.iter().enumerate() {
                let (ValueRef::Text(bytes) | ValueRef::Blob(bytes)) = row.get_ref(index).unwrap() else { continue };
                cells += 1;
                let text = String::from_utf8_lossy(bytes);
                let Some(word) = people.iter().find(|word| text.contains(word.as_str())) else { continue };
                assert!(DELETABLE.contains(&(table, column)), "{table}.{column} holds {word:?}: {text}");
                deletable.insert((table.clone(), column.clone()));
            }
        }
    }
    assert!(cells > 1_000 && deletable.len() >= 3, "{cells} cells, personal data in {deletable:?}: was the right file read?");
}
