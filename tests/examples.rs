//! Every case of `inbox-examples/`: exactly one layout claims it, and reads what `expected.json` says it holds.
#![expect(clippy::indexing_slicing, clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use messo::batch::archive::{Ceilings, Hashing};
use messo::batch::fields;
use messo::batch::layouts::{LAYOUTS, Peek, ReadContext, recognise};
use messo::batch::pipeline::{self, Judge, Judged};
use messo::batch::problem::{Code, Severity};
use messo::batch::row::Parsed;
use messo::domain::act::{Act, Action};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    source: String,
    ente: String,
    flow: String,
    receipt: String,
    acts: usize,
    accepted: usize,
    refused: usize,
    problems: Vec<String>,
    #[serde(rename = "final")]
    ends: std::collections::BTreeMap<String, String>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("inbox-examples")
}

fn folders(of: &Path) -> Vec<PathBuf> {
    let mut out: Vec<PathBuf> = std::fs::read_dir(of).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
    out.sort();
    out
}

fn files(of: &Path, prefix: &str, out: &mut Vec<String>) {
    for entry in std::fs::read_dir(of).unwrap().map(Result::unwrap) {
        let name = format!("{prefix}{}", entry.file_name().to_str().unwrap());
        if entry.path().is_dir() {
            files(&entry.path(), &format!("{name}/"), out);
        } else {
            out.push(name);
        }
    }
}

struct Case {
    name: String,
    folder: PathBuf,
    names: Vec<String>,
    expected: Expected,
}

fn cases() -> Vec<Case> {
    let all = folders(&root()).iter().flat_map(|source| folders(source)).collect::<Vec<_>>();
    let cases: Vec<Case> = all
        .into_iter()
        .map(|folder| {
            let name = folder.strip_prefix(root()).unwrap().display().to_string();
            let expected = std::fs::read_to_string(folder.join("expected/expected.json")).unwrap();
            let expected = serde_json::from_str(&expected).unwrap_or_else(|error| panic!("{name}: {error}"));
            let mut names = Vec::new();
            files(&folder.join("in"), "", &mut names);
            names.sort();
            Case { name, folder, names, expected }
        })
        .collect();
    assert!(cases.len() >= 8, "{} cases", cases.len());
    cases
}

#[test]
fn exactly_one_layout_claims_each_case_and_reads_its_acts() {
    let mut used = BTreeSet::new();
    for case in cases() {
        let Case { name, folder, names, expected } = &case;
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let batch = |name: &str| name.to_ascii_lowercase().ends_with(".xml") || name.to_ascii_lowercase().ends_with(".csv");
        let contents: Vec<(usize, Vec<u8>)> = names
            .iter()
            .enumerate()
            .filter(|(_, name)| batch(name))
            .map(|(index, name)| (index, std::fs::read(folder.join("in").join(name)).unwrap()))
            .collect();
        let heads: Vec<(usize, &[u8])> = contents.iter().map(|(index, bytes)| (*index, &bytes[..bytes.len().min(64 << 10)])).collect();
        let (layout, index) = match recognise(&Peek { names: &names, heads: &heads }) {
            Ok(found) => found,
            Err(error) => {
                let code = error.problem("drop.zip").code.into_owned();
                assert_eq!((expected.receipt.as_str(), &expected.problems), ("SCARTATO", &vec![code]), "{name}");
                continue;
            }
        };
        assert!(name.starts_with(["messo-xml", "messo-csv", "pu-send"].into_iter().find(|own| layout.name().starts_with(own)).unwrap()));
        used.insert(layout.name());
        let organization = |id: &str| (id == "15").then(|| expected.ente.clone());
        let context = ReadContext { file: names[index], organization: &organization, default_subject: Some("Oggetto"), names: &names };
        let bytes = &contents.iter().find(|(own, _)| *own == index).unwrap().1;
        let (mut acts, mut found): (Vec<Act>, Vec<String>) = (Vec::new(), Vec::new());
        let read = layout.read(&mut bytes.as_slice(), &context, &mut |parsed| {
            match parsed {
                Parsed::Act(act) => {
                    found.extend(act.findings.iter().filter(|one| one.severity == Severity::Error).map(|one| one.code.as_str().to_owned()));
                    acts.push(act.act);
                }
                Parsed::Unreadable { problems, .. } => found.extend(problems.iter().map(|problem| problem.code.to_string())),
                Parsed::Header(header) => {
                    if let Some(count) = header.count {
                        assert_eq!(count as usize, expected.acts, "{name}");
                    }
                    assert!(header.flow.is_none_or(|flow| flow == expected.flow), "{name}");
                }
                Parsed::Notice(problem) => panic!("{name}: {problem:?}"),
                Parsed::Broken { row, .. } => panic!("{name}: row {row} goes on later"),
            }
            ControlFlow::Continue(())
        });
        assert!(read.is_ok(), "{name}: {read:?}");
        assert_eq!(found, Vec::<String>::new(), "{name}");
        assert_eq!((acts.len(), expected.accepted + expected.refused), (expected.acts, expected.acts), "{name}");
        for act in &acts {
            assert_eq!(act.sender_tax_id, expected.ente, "{name}");
            for file in act.files() {
                assert!(names.contains(&file.file.as_str()), "{name}: {} is not there", file.file);
            }
        }
        // Every file but the batch belongs to an act: a forgotten one would refuse the drop.
        let named: BTreeSet<&str> = acts.iter().flat_map(Act::files).map(|file| file.file.as_str()).collect();
        assert_eq!(named.len() + 1, names.len(), "{name}");
        let references: BTreeSet<&str> = acts.iter().map(|act| act.reference.as_str()).collect();
        assert!(expected.ends.len() == expected.accepted && expected.ends.keys().all(|own| references.contains(own.as_str())), "{name}");
    }
    assert_eq!(used.len(), LAYOUTS.len(), "a layout without a sample: {used:?}");
}

#[test]
fn what_is_expected_is_in_the_words_of_messo() {
    for Case { name, expected, .. } in cases() {
        assert!(["PRESA_IN_CARICO", "PARZIALE", "SCARTATO"].contains(&expected.receipt.as_str()), "{name}");
        assert!(expected.problems.iter().all(|code| Code::parse(code).is_some()), "{name}: {:?}", expected.problems);
        let ends = ["PERFEZIONATO", "RIFIUTATO", "IRREPERIBILE", "RESO_AL_MITTENTE", "ANNULLATO"];
        assert!(expected.ends.values().all(|end| ends.contains(&end.as_str())), "{name}");
        assert!(!expected.source.is_empty() && expected.ente.len() == 11, "{name}");
    }
}

#[test]
fn references_protocols_and_contents_are_of_one_case_only() {
    let mut seen = BTreeSet::new();
    for case in cases() {
        for file in case.names.iter().filter(|file| file.ends_with(".pdf")) {
            let bytes = std::fs::read(case.folder.join("in").join(file)).unwrap();
            assert!(bytes.starts_with(b"%PDF-") && bytes.len() <= 2048, "{} {file}", case.name);
            assert!(bytes.windows(18).any(|window| window == b"documento di prova"), "{} {file}", case.name);
            assert!(seen.insert(messo::domain::digest::Sha256::of(&bytes).to_hex()), "{} {file}: the same as another", case.name);
        }
        for reference in case.expected.ends.keys() {
            assert!(seen.insert(format!("{} {reference}", case.expected.ente)), "{}: {reference}", case.name);
        }
    }
}

/// Every field has its place in the description that suppliers read.
#[test]
fn the_description_names_every_field() {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/tracciato.md")).unwrap();
    let schema = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/messo-csv-1.0.md")).unwrap();
    for name in fields::ALL {
        let column = |page: &str| page.contains(&format!("`{name}`")) || page.contains(&format!("`{name}_n`"));
        assert!(column(&text), "docs/tracciato.md lacks {name}");
        assert!(column(&schema), "schemas/messo-csv-1.0.md lacks {name}");
    }
    // The elements of the schema, too.
    let xsd = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/messo-lotto-1.0.xsd")).unwrap();
    for element in xsd.split("<xs:element name=\"").skip(1).filter_map(|rest| rest.split('"').next()) {
        assert!(text.contains(element), "docs/tracciato.md lacks the element {element}");
    }
}

/// The orders that the description shows are read by the readers themselves, and say the same in both forms.
#[test]
fn the_orders_of_the_description_are_read_as_they_say() {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/tracciato.md")).unwrap();
    let (_, part) = text.split_once("### Sospendere e riprendere i termini").unwrap();
    let (part, _) = part.split_once("\n### ").unwrap();
    let day = |text: &str| Some(text.parse::<jiff::civil::Date>().unwrap());
    let want = [
        ("CDS-2026-0001", Action::Suspend, None, None),
        ("CDS-2026-0002", Action::Suspend, day("2027-01-10"), None),
        ("CDS-2026-0003", Action::Suspend, day("2027-01-10"), day("2027-03-31")),
        ("CDS-2026-0004", Action::Resume, None, None),
        ("CDS-2026-0005", Action::Resume, None, day("2027-05-31")),
    ];
    for (fence, name) in [("```csv\n", "ordini.csv"), ("```xml\n", "ordini.xml")] {
        let (_, shown) = part.split_once(fence).unwrap();
        let bytes = shown.split("```").next().unwrap().as_bytes().to_vec();
        let ceilings = Ceilings { max_entries: 1, max_entry_bytes: 1 << 20, max_total_bytes: 1 << 20, max_ratio: 1 };
        let opened = pipeline::open(&bytes, name, &ceilings).unwrap_or_else(|stopped| panic!("{name}: {stopped}"));
        let facts = pipeline::look_into(&bytes, &opened, name, &Hashing::default()).unwrap();
        let mut read = Vec::new();
        let by = Judge { flow: None, senders: None, today: day("2027-01-09"), max_acts: 10 };
        let totals = pipeline::judge(&bytes, &opened, facts, &by, &mut |judged| {
            match judged {
                Judged::Good { act, warnings, .. } => {
                    assert_eq!(warnings, [], "{name}");
                    assert_eq!(act.sender_tax_id, "01234567897", "{name}");
                    read.push((act.reference.clone(), act.action, act.stopped_from, act.stopped_until));
                }
                other => panic!("{name}: {other:?}"),
            }
            ControlFlow::Continue(())
        });
        assert_eq!((totals.unwrap().notices.len(), read.len()), (0, want.len()), "{name}");
        for ((reference, action, from, until), want) in read.iter().zip(want) {
            assert_eq!((reference.as_str(), *action, *from, *until), want, "{name}");
        }
    }
}

/// `messo validate` needs no configuration: what the rows say of ente and flow is believed, and the rest is judged as ever.
#[test]
fn each_case_is_judged_without_a_configuration() {
    for Case { name, folder, names, expected } in cases() {
        let read = |file: &str| std::fs::read(folder.join("in").join(file)).unwrap();
        let files: Vec<(&str, Vec<u8>)> = names.iter().map(|file| (file.as_str(), read(file))).collect();
        judged_as_expected(&name, &files, &expected);
    }
}

/// PU does not require `senderTaxId`: nobody knows the ente then, and everything else is judged as ever.
#[test]
fn a_pu_file_that_leaves_the_ente_out_is_judged_the_same() {
    let blank = |bytes: Vec<u8>| {
        let text = String::from_utf8(bytes).unwrap();
        let column = text.lines().next().unwrap().split(';').position(|name| name == "senderTaxId").unwrap();
        let blanked = |(row, line): (usize, &str)| {
            let cells = line.split(';').enumerate().map(|(at, cell)| if row > 0 && at == column { "" } else { cell });
            cells.collect::<Vec<_>>().join(";")
        };
        text.lines().enumerate().map(blanked).collect::<Vec<_>>().join("\n").into_bytes()
    };
    let mut seen = 0;
    for Case { name, folder, names, expected } in cases().into_iter().filter(|case| case.name.starts_with("pu-send")) {
        let read = |file: &str| {
            let bytes = std::fs::read(folder.join("in").join(file)).unwrap();
            if file.ends_with(".csv") { blank(bytes) } else { bytes }
        };
        let files: Vec<(&str, Vec<u8>)> = names.iter().map(|file| (file.as_str(), read(file))).collect();
        judged_as_expected(&name, &files, &expected);
        seen += 1;
    }
    assert!(seen > 0);
}

fn judged_as_expected(name: &str, files: &[(&str, Vec<u8>)], expected: &Expected) {
    let drop = tempfile::Builder::new().suffix(".zip").tempfile().unwrap();
    let mut archive = zip::ZipWriter::new(drop.as_file());
    for (file, bytes) in files {
        archive.start_file(*file, zip::write::SimpleFileOptions::default()).unwrap();
        std::io::Write::write_all(&mut archive, bytes).unwrap();
    }
    archive.finish().unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_messo"));
    let output = command.arg("validate").arg("--json").arg(drop.path()).output().unwrap();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let codes: Vec<&str> = report["problems"].as_array().unwrap().iter().map(|problem| problem["code"].as_str().unwrap()).collect();
    assert_eq!(
        (report["state"].as_str().unwrap(), codes),
        (expected.receipt.as_str(), expected.problems.iter().map(String::as_str).collect()),
        "{name}"
    );
    let counts = ["acts", "accepted", "refused"].map(|count| report[count].as_u64().unwrap() as usize);
    assert_eq!(counts, [expected.acts, expected.accepted, expected.refused], "{name}");
    let code = match expected.receipt.as_str() {
        "PRESA_IN_CARICO" => 0,
        "PARZIALE" => 1,
        _ if expected.acts > 0 => 2,
        _ => 3,
    };
    assert_eq!(output.status.code(), Some(code), "{name}");
}
