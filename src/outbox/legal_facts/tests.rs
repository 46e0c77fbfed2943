//! Tests of `legal_facts`.

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[test]
fn folders_follow_the_iun() {
    let when = at("2026-12-31T23:30:00Z");
    let table = [
        ("ADEG-HJKL-MNPQ-202611-R-1", "2026/ADEG-HJKL-MNPQ-202611-R-1"),
        ("ADEG-HJKL-MNPQ-202501-R-1", "2025/ADEG-HJKL-MNPQ-202501-R-1"),
        ("../../etc", "2027/etc"),
        ("", "2027/senza-iun"),
        ("a-b-c-9999", "2027/a-b-c-9999"),
    ];
    for (iun, want) in table {
        assert_eq!(folder(iun, when), want, "iun {iun:?}");
    }
}

#[test]
fn names_say_category_recipient_and_time() {
    let when = at("2026-12-03T23:30:00.125Z");
    let table = [
        ("SENDER_ACK", None, "presa-in-carico_atto_20261204T003000"),
        ("ANALOG_DELIVERY", Some(0), "consegna-cartacea_dest-1_20261204T003000"),
        ("PEC_RECEIPT", Some(14), "ricevuta-pec_dest-15_20261204T003000"),
        ("NEW_THING/..", None, "altro-new-thing_atto_20261204T003000"),
        ("", None, "altro-_atto_20261204T003000"),
    ];
    for (category, recipient, want) in table {
        assert_eq!(name_stem(category, recipient, when), want, "category {category:?}");
    }
    assert_eq!(file_name("x", 1, "pdf"), "x.pdf");
    assert_eq!(file_name("x", 3, "eml"), "x_3.eml");
    for (category, sentence) in it::LEGAL_FACTS {
        assert!(!name_stem(category, None, when).starts_with("altro-"), "{category} ({sentence}) has no words of its own");
    }
}

#[test]
fn a_path_is_the_same_whenever_it_is_made() {
    let fact = Announced {
        iun: "ADEG-HJKL-MNPQ-202611-R-1",
        category: "PEC_RECEIPT",
        recipient: Some(1),
        happened_at: at("2026-12-03T23:30:00.125Z"),
        hint: Some("safestorage://PN_EXTERNAL_LEGAL_FACTS-5.xml"),
        ordinal: 2,
    };
    assert_eq!(path(&fact), "2026/ADEG-HJKL-MNPQ-202611-R-1/ricevuta-pec_dest-2_20261204T003000_2.xml");
    // Nothing of what SEND says leads out of the folder.
    let hostile = Announced { iun: "../..", category: "../x", hint: Some("../../x.pdf/y"), ordinal: 1, ..fact };
    assert_eq!(path(&hostile), "2026/senza-iun/altro-x_dest-2_20261204T003000.pdf");
}

#[test]
fn extensions_come_from_the_hint_then_the_bytes_then_the_category() {
    let table: [(Option<&str>, &[u8], &str, &str); 11] = [
        (Some("safestorage://PN_LEGAL_FACTS-1.pdf"), b"", "SENDER_ACK", "pdf"),
        (Some("PN_EXTERNAL_LEGAL_FACTS-2.EML"), b"%PDF-", "PEC_RECEIPT", "eml"),
        (Some("PN_EXTERNAL_LEGAL_FACTS-2"), b"<?xml version", "PEC_RECEIPT", "xml"),
        (Some("x.exe"), b"MZ", "PEC_RECEIPT", "bin"),
        (Some("x.exe"), b"", "PEC_RECEIPT", "eml"),
        (None, b"\xef\xbb\xbf\r\n<postacert/>", "PEC_RECEIPT", "xml"),
        (None, b"Return-Path: <a@pec.it>\r\nX: y", "PEC_RECEIPT", "eml"),
        (None, b"PK\x03\x04....", "ANALOG_DELIVERY", "zip"),
        (None, b"%PDF-1.7", "ANALOG_DELIVERY", "pdf"),
        (None, b"no header here", "ANALOG_DELIVERY", "bin"),
        (None, b"", "ANALOG_DELIVERY", "pdf"),
    ];
    for (hint, head, category, want) in table {
        assert_eq!(extension(hint, head, category), want, "{hint:?} {head:?} {category}");
    }
}

fn header() -> IndexHeader {
    IndexHeader { source: "tributi-web".into(), number: 12, created_at: at("2026-12-04T05:00:00Z"), copy: false }
}

fn entries() -> Vec<IndexEntry> {
    let ack = IndexEntry {
        file: "2026/ADEG-HJKL-MNPQ-202611-R-1/presa-in-carico_atto_20261122T180211.pdf".into(),
        sha256: Sha256::of(b"ack"),
        size: 81_920,
        sender_tax_id: "00907501001".into(),
        reference: "TARI-2026/000123".into(),
        iun: "ADEG-HJKL-MNPQ-202611-R-1".into(),
        category: "SENDER_ACK".into(),
        recipient: None,
        element_id: "REQUEST_ACCEPTED.IUN_ADEG-HJKL-MNPQ-202611-R-1".into(),
        happened_at: at("2026-11-22T17:02:11Z"),
    };
    let letter = IndexEntry {
        file: "2026/ADEG-HJKL-MNPQ-202611-R-1/consegna-cartacea_dest-1_20261204T003000.pdf".into(),
        sha256: Sha256::of(b"letter"),
        size: 204_800,
        category: "ANALOG_DELIVERY".into(),
        recipient: Some(0),
        element_id: "SEND_ANALOG_FEEDBACK.IUN_ADEG-HJKL-MNPQ-202611-R-1.RECINDEX_0.ATTEMPT_0".into(),
        happened_at: at("2026-12-03T23:30:00.125Z"),
        ..ack.clone()
    };
    vec![ack, letter]
}

fn assert_in_docs(example: &str) {
    let docs = include_str!("../../../docs/esiti.md");
    assert!(docs.contains(example.trim_end()), "docs/esiti.md does not show what messo writes:\n{example}");
}

#[test]
fn an_index_in_csv() {
    let mut out = Vec::new();
    write_index_csv(&mut entries().into_iter(), &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    let body = text.strip_prefix('\u{feff}').unwrap().replace("\r\n", "\n");
    insta::assert_snapshot!(body, @r#"
    file;sha256;dimensione;ente;riferimento;iun;categoria;categoria_descrizione;destinatario;elemento;quando_utc;quando_roma
    2026/ADEG-HJKL-MNPQ-202611-R-1/presa-in-carico_atto_20261122T180211.pdf;64a37929fb113e18daa6263a1fb1f90c51d262552efa5a50596f5f653ba955f8;81920;00907501001;TARI-2026/000123;ADEG-HJKL-MNPQ-202611-R-1;SENDER_ACK;Attestazione di presa in carico;;REQUEST_ACCEPTED.IUN_ADEG-HJKL-MNPQ-202611-R-1;2026-11-22T17:02:11Z;2026-11-22 18:02:11
    2026/ADEG-HJKL-MNPQ-202611-R-1/consegna-cartacea_dest-1_20261204T003000.pdf;f80105efab6d863fd8fc243d269094469e2277e8f12e5a0a9f401e88494f7b4b;204800;00907501001;TARI-2026/000123;ADEG-HJKL-MNPQ-202611-R-1;ANALOG_DELIVERY;Documenti della consegna su carta;1;SEND_ANALOG_FEEDBACK.IUN_ADEG-HJKL-MNPQ-202611-R-1.RECINDEX_0.ATTEMPT_0;2026-12-03T23:30:00.125Z;2026-12-04 00:30:00
    "#);
    assert_in_docs(&body);
    let mut reader = csv::ReaderBuilder::new().delimiter(b';').from_reader(body.as_bytes());
    assert_eq!(reader.headers().unwrap(), INDEX_COLUMNS);
    for (record, entry) in reader.records().zip(entries()) {
        let record = record.unwrap();
        assert_eq!(
            (&record[0], &record[1], &record[2]),
            (entry.file.as_str(), entry.sha256.to_hex().as_str(), entry.size.to_string().as_str())
        );
    }
}

#[test]
fn an_index_in_xml() {
    let mut out = Vec::new();
    write_index_xml(&header(), &mut entries().into_iter(), &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    insta::assert_snapshot!(text, @r#"
    <?xml version="1.0" encoding="UTF-8"?>
    <attestazioni xmlns="urn:messo:attestazioni:1.0" versione="1.0">
    <testata><gestionale>tributi-web</gestionale><numero>12</numero><copia>false</copia><creato_utc>2026-12-04T05:00:00Z</creato_utc></testata>
    <attestazione><file>2026/ADEG-HJKL-MNPQ-202611-R-1/presa-in-carico_atto_20261122T180211.pdf</file><sha256>64a37929fb113e18daa6263a1fb1f90c51d262552efa5a50596f5f653ba955f8</sha256><dimensione>81920</dimensione><ente>00907501001</ente><riferimento>TARI-2026/000123</riferimento><iun>ADEG-HJKL-MNPQ-202611-R-1</iun><categoria>SENDER_ACK</categoria><categoria_descrizione>Attestazione di presa in carico</categoria_descrizione><elemento>REQUEST_ACCEPTED.IUN_ADEG-HJKL-MNPQ-202611-R-1</elemento><quando_utc>2026-11-22T17:02:11Z</quando_utc><quando_roma>2026-11-22T18:02:11+01:00</quando_roma></attestazione>
    <attestazione><file>2026/ADEG-HJKL-MNPQ-202611-R-1/consegna-cartacea_dest-1_20261204T003000.pdf</file><sha256>f80105efab6d863fd8fc243d269094469e2277e8f12e5a0a9f401e88494f7b4b</sha256><dimensione>204800</dimensione><ente>00907501001</ente><riferimento>TARI-2026/000123</riferimento><iun>ADEG-HJKL-MNPQ-202611-R-1</iun><categoria>ANALOG_DELIVERY</categoria><categoria_descrizione>Documenti della consegna su carta</categoria_descrizione><destinatario>1</destinatario><elemento>SEND_ANALOG_FEEDBACK.IUN_ADEG-HJKL-MNPQ-202611-R-1.RECINDEX_0.ATTEMPT_0</elemento><quando_utc>2026-12-03T23:30:00.125Z</quando_utc><quando_roma>2026-12-04T00:30:00+01:00</quando_roma></attestazione>
    </attestazioni>
    "#);
    assert_in_docs(&text);
}

#[test]
fn index_names() {
    assert_eq!(index_name(&header(), "csv"), "indice_000012.csv");
    assert_eq!(index_name(&IndexHeader { copy: true, ..header() }, "xml"), "indice_000012_copia.xml");
}

#[test]
fn schema_and_documentation_know_every_column() {
    let schema = include_str!("../../../schemas/messo-attestazioni-1.0.xsd");
    let docs = include_str!("../../../docs/esiti.md");
    for name in INDEX_COLUMNS {
        assert!(schema.contains(&format!("name=\"{name}\"")), "schema: {name}");
        assert!(docs.contains(&format!("| `{name}` |")), "docs: {name}");
    }
    for (category, words) in CATEGORIES {
        assert!(docs.contains(&format!("`{words}`")), "docs: words of {category}");
    }
}
