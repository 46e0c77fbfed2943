//! What messo publishes is valid by the schemas it publishes, whatever texts it was given: `xmllint` is the judge.
//!
//! Without `xmllint` (Debian: libxml2-utils) these tests say `skipped:` and pass; with `MESSO_REQUIRE_ALL=1` they fail.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at the first surprise")]

use std::borrow::Cow;
use std::path::Path;
use std::process::Command;

use jiff::Timestamp;
use messo::batch::problem::{Problem, Severity};
use messo::domain::digest::Sha256;
use messo::domain::outcome::{OutcomeLine, OutcomeState, Perfection, PositionTold, ReceiptState};
use messo::domain::send::RefusalReason;
use messo::domain::standing::{ExportKind, Statement};
use messo::outbox::exports::{ExportHeader, XmlFile};
use messo::outbox::legal_facts::{self, IndexEntry, IndexHeader};
use messo::outbox::outcomes::{self, OutcomeHeader, RenderedLine};
use messo::outbox::receipts::{self, DuplicateOf, Forecast, Receipt, ReceiptInstitution};

fn hostile() -> Vec<String> {
    let all_controls: String =
        (0u8..0x20).map(char::from).chain(['\u{7f}', '\u{85}', '\u{9f}', '\u{fffe}', '\u{ffff}', '\u{feff}']).collect();
    let mut texts: Vec<String> = [
        "",
        " ",
        "semplice",
        "]]>",
        "<![CDATA[x]]>",
        "<!DOCTYPE a [<!ENTITY b SYSTEM \"file:///etc/passwd\">]>&b;",
        "</riferimento><stato>PERFEZIONATO</stato>",
        "&amp;&#0;&lt;",
        "\"'--><?x ?>",
        "è à ü ß ñ 漢字 🙂👩‍👩‍👧",
        "riga uno\r\nriga due\ttab",
        "\u{202e}gpj.fdp",
        "=1+1",
    ]
    .map(str::to_owned)
    .to_vec();
    texts.push(all_controls);
    texts.push("x🙂<".repeat(2_500));
    texts
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// Whether `xml` is valid, with what the judge says; `None` when there is no judge.
fn judged(schema: &str, xml: &[u8]) -> Option<(bool, String)> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file.xml");
    std::fs::write(&file, xml).unwrap();
    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas").join(schema);
    let output = Command::new("xmllint").args(["--noout", "--nonet", "--schema"]).arg(schema).arg(&file).output();
    let output = match output {
        Ok(output) => output,
        Err(error) if std::env::var("MESSO_REQUIRE_ALL").is_ok_and(|value| value == "1") => panic!("xmllint: {error}"),
        Err(error) => {
            println!("skipped: xmllint: {error}");
            return None;
        }
    };
    Some((output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned()))
}

fn assert_valid(schema: &str, xml: &[u8], what: &str) {
    if let Some((valid, said)) = judged(schema, xml) {
        assert!(
            valid,
            "{what}: {}\n{}",
            said.chars().take(2_000).collect::<String>(),
            String::from_utf8_lossy(xml.get(..1_000).unwrap_or(xml))
        );
    }
}

fn outcome_line(number: u64, text: &str, state: OutcomeState, full: bool) -> OutcomeLine {
    let some = |text: &str| full.then(|| text.to_owned());
    OutcomeLine {
        line: number,
        corrects: full.then_some(1),
        batch: "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap(),
        act: "01890a5d-ac96-774b-bcce-b302099a8058".parse().unwrap(),
        sender_tax_id: text.to_owned(),
        flow: text.to_owned(),
        reference: text.to_owned(),
        submission: u32::from(full),
        protocol: some(text),
        iun: some(text),
        recipient: full.then_some(u32::MAX),
        state,
        event: text.to_owned(),
        happened_at: at("2026-10-25T00:30:00.123456789Z"),
        written_at: at("2026-03-29T01:00:00Z"),
        attempt: full.then_some(2),
        registered_letter: some(text),
        delivery_detail: some(text),
        failure_cause: some(text),
        sender_completed_at: full.then(|| at("2026-10-25T01:30:00Z")),
        recipient_completed_at: full.then(|| at("2026-12-31T23:30:00Z")),
        perfection: full.then_some(Perfection::Viewed),
        institution_cost: full.then_some(-1),
        citizen_cost: full.then_some(i64::MAX),
        legal_facts: if full { vec![text.to_owned(), text.to_owned()] } else { vec![] },
        code: some(text),
        position: full.then(|| PositionTold {
            creditor: text.to_owned(),
            notice: text.to_owned(),
            pt: text.to_owned(),
            amount: Some(99_999_999_999),
            cost: Some(0),
            receipt: Some(text.to_owned()),
        }),
    }
}

/// An esito with every state and every hostile text, full and bare.
fn hostile_esito() -> Vec<u8> {
    let texts = hostile();
    let mut lines = Vec::new();
    for text in &texts {
        for full in [true, false] {
            lines.push(outcome_line(lines.len() as u64 + 1, text, OutcomeState::Info, full));
        }
    }
    for state in OutcomeState::ALL {
        lines.push(outcome_line(lines.len() as u64 + 1, "x", *state, true));
    }
    let echo: Vec<(String, String)> = texts.iter().map(|text| (text.clone(), text.clone())).collect();
    let header = OutcomeHeader {
        source: texts.concat(),
        number: u64::MAX,
        first: 1,
        last: lines.len() as u64,
        created_at: at("2026-11-22T17:05:00Z"),
        previous: Some(Sha256::of(b"")),
        copy: true,
    };
    let mut out = Vec::new();
    let reasons: Vec<RefusalReason> = texts
        .iter()
        .zip(0u32..)
        .map(|(text, index)| {
            let some = |nth: u32| (index % 3 != nth).then(|| text.clone());
            RefusalReason { code: text.clone(), element: some(0), detail: some(1), rec_index: (index % 3 != 2).then_some(u32::MAX) }
        })
        .collect();
    let rendered =
        |line| RenderedLine { line, echo: &echo, environment: "PRODUZIONE", reason: texts.last().map(String::as_str), reasons: &reasons };
    outcomes::write_xml(&header, &mut lines.iter().map(rendered), &mut out).unwrap();
    out
}

#[test]
fn esiti_are_valid_whatever_the_texts() {
    assert_valid("messo-esito-1.0.xsd", &hostile_esito(), "esito");
}

#[test]
fn the_judge_finds_what_is_wrong() {
    let good = String::from_utf8(hostile_esito()).unwrap();
    let table = [
        ("<stato>PERFEZIONATO</stato>", "<stato>FATTO</stato>"),
        ("<quando_utc>2026-10-25T00:30:00.123456789Z", "<quando_utc>2026-10-25T00:30:00"),
        ("<copia>true</copia>", ""),
        ("</esito_atto>", "<altro/></esito_atto>"),
        ("<frase>", "<parola>"),
        ("<rifiuto codice=", "<rifiuto code="),
        ("</rifiuto></motivi>", "</rifiuto><rifiuto/></motivi>"),
        ("</motivi><eco nome", "</motivi><motivi/><eco nome"),
        ("urn:messo:esito:1.0", "urn:messo:esito:2.0"),
    ];
    for (from, to) in table {
        assert!(good.contains(from), "{from}");
        if let Some((valid, _)) = judged("messo-esito-1.0.xsd", good.replacen(from, to, 1).as_bytes()) {
            assert!(!valid, "{from} -> {to:?}");
        }
    }
}

fn receipt(text: &str, state: ReceiptState, full: bool) -> Receipt {
    Receipt {
        state,
        drop: "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap(),
        original_name: text.to_owned(),
        source: text.to_owned(),
        received_at: at("2026-11-22T17:01:02.000000001Z"),
        finished_at: at("2026-11-22T17:01:04Z"),
        sha256: full.then(|| Sha256::of(b"drop")),
        size: u64::MAX,
        layout: full.then(|| text.to_owned()),
        institutions: if full {
            ["COLLAUDO", "PRODUZIONE"]
                .map(|environment| ReceiptInstitution { tax_id: text.into(), denomination: text.into(), environment: environment.into() })
                .to_vec()
        } else {
            vec![]
        },
        flow: full.then(|| (text.to_owned(), text.to_owned())),
        dry_run: full,
        acts: 2,
        accepted: 1,
        refused: 1,
        duplicates: 0,
        warnings: 1,
        duplicate_of: full.then(|| DuplicateOf {
            drop: "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap(),
            original_name: text.to_owned(),
            received_at: at("2026-11-22T17:01:02Z"),
        }),
        forecasts: match full {
            true => [Some(jiff::civil::date(2026, 11, 30)), None].map(|last_send| Forecast { tax_id: text.to_owned(), last_send }).to_vec(),
            false => vec![],
        },
        held: full.then(|| text.to_owned()),
        problems_total: 2,
        rejects_file: full.then(|| text.to_owned()),
    }
}

#[test]
fn receipts_are_valid_whatever_the_texts() {
    let mut cases = Vec::new();
    for text in hostile() {
        cases.push((text.clone(), ReceiptState::Partial, true));
        cases.push((text, ReceiptState::Rejected, false));
    }
    cases.extend(ReceiptState::ALL.iter().map(|state| ("x".to_owned(), *state, true)));
    for (text, state, full) in cases {
        let some = |text: &str| full.then(|| text.to_owned());
        let problem = |severity| Problem {
            file: text.clone(),
            row: full.then_some(u64::MAX),
            column: some(&text),
            code: Cow::Owned(text.clone()),
            severity,
            found: some(&text),
            expected: some(&text),
            act: some(&text),
        };
        let mut problems = [problem(Severity::Error), problem(Severity::Warning)].into_iter();
        let sentences = (|problem: &Problem| problem.file.clone(), |code: &str| code.to_owned());
        let mut out = Vec::new();
        receipts::write_xml(&receipt(&text, state, full), &mut problems, &sentences, &mut out).unwrap();
        let what: String = text.chars().take(40).collect();
        assert_valid("messo-ricevuta-1.0.xsd", &out, &format!("receipt {state} {what:?}"));
    }
}

#[test]
fn indexes_are_valid_whatever_the_texts() {
    let entry = |text: String| IndexEntry {
        file: text.clone(),
        sha256: Sha256::of(text.as_bytes()),
        size: u64::MAX,
        sender_tax_id: text.clone(),
        reference: text.clone(),
        iun: text.clone(),
        category: text.clone(),
        recipient: text.len().is_multiple_of(2).then_some(0),
        element_id: text,
        happened_at: at("2026-10-25T00:30:00.5Z"),
    };
    let header = IndexHeader { source: hostile().concat(), number: 1, created_at: at("2026-11-22T17:05:00Z"), copy: false };
    let mut out = Vec::new();
    legal_facts::write_index_xml(&header, &mut hostile().into_iter().map(entry), &mut out).unwrap();
    assert_valid("messo-attestazioni-1.0.xsd", &out, "index");
}

#[test]
fn exports_are_valid_whatever_the_texts() {
    let header = |kind, previous| ExportHeader {
        source: hostile().concat(),
        number: u64::MAX,
        kind,
        day: jiff::civil::Date::constant(2026, 10, 25),
        after: 0,
        to: u64::MAX,
        created_at: at("2026-10-25T00:30:00.5Z"),
        previous,
    };
    let texts = hostile();
    let states =
        OutcomeState::ALL.iter().filter(|state| !matches!(state, OutcomeState::Parked | OutcomeState::Modified | OutcomeState::Info));
    for (kind, previous) in [(ExportKind::Changed, None), (ExportKind::Open, Some(Sha256::of(b"x")))] {
        let mut file = XmlFile::begin(&header(kind, previous), Vec::new()).unwrap();
        for (n, state) in states.clone().cycle().take(texts.len() * 2).enumerate() {
            let (text, full) = (texts.get(n / 2).map_or("", String::as_str), n % 2 == 0);
            let cents = |cents: i64| full.then_some(cents);
            let row = Statement {
                line: n as u64 + 1,
                at: at("2026-10-25T00:30:00.123456789Z"),
                act: uuid::Uuid::nil(),
                recipient: u32::MAX,
                recipients: 1,
                sender: text,
                flow: text,
                reference: text,
                submission: u32::MAX,
                protocol: full.then_some(text),
                iun: full.then_some(text),
                notices: if full { text } else { "" },
                state: state.as_str(),
                closed: full,
                suspended: full.then_some(text),
                code: full.then_some(text),
                amount: cents(0),
                vat: full.then_some(22),
                pa_fee: full.then_some(0),
                base_fee: cents(100),
                paper: cents(-5),
                citizen_cost: cents(99_999_999_999),
                accepted_at: full.then(|| at("2026-03-29T01:00:00Z")),
                completed_at: full.then(|| at("2026-10-25T01:00:00Z")),
                perfection: full.then_some(Perfection::Viewed.as_str()),
                attestations: full.then_some(text),
                due: cents(1),
                paid: cents(99_999_999_999),
                paid_at: full.then(|| at("2026-03-29T01:00:00Z")),
            };
            file.row(&row).unwrap();
        }
        let xml = file.end().unwrap();
        assert_valid("messo-rendicontazione-1.0.xsd", &xml, kind.as_str());
        let wrong = String::from_utf8(xml).unwrap().replace("<stato>PERFEZIONATO</stato>", "<stato>SOSPESO</stato>");
        if let Some((valid, _)) = judged("messo-rendicontazione-1.0.xsd", wrong.as_bytes()) {
            assert!(!valid, "the judge finds what is wrong");
        }
    }
}

#[test]
fn what_xml_can_hold_is_read_back_unchanged() {
    let text = "è \"a\" & <b> ]]> 'c'\r\n\td 🙂";
    let line = outcome_line(1, text, OutcomeState::Info, false);
    let header = OutcomeHeader {
        source: "x".into(),
        number: 1,
        first: 1,
        last: 1,
        created_at: at("2026-11-22T17:05:00Z"),
        previous: None,
        copy: false,
    };
    let mut out = Vec::new();
    let rendered = RenderedLine { line: &line, echo: &[(text.into(), text.into())], environment: "COLLAUDO", reason: None, reasons: &[] };
    outcomes::write_xml(&header, &mut std::iter::once(rendered), &mut out).unwrap();
    if judged("messo-esito-1.0.xsd", &out).is_none() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file.xml");
    std::fs::write(&file, &out).unwrap();
    for path in ["//*[local-name()='riferimento']", "//*[local-name()='eco']", "//*[local-name()='eco']/@nome"] {
        let output = Command::new("xmllint").args(["--xpath", &format!("string({path})")]).arg(&file).output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap().strip_suffix('\n').unwrap(), text, "{path}");
    }
}
