//! Tests of `receipts`.

use std::borrow::Cow;

use super::*;
use crate::batch::problem::Code;
use crate::flow::definition::shipped;
use crate::text::it::problems;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn receipt() -> Receipt {
    Receipt {
        state: ReceiptState::Partial,
        drop: "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap(),
        original_name: "TARI novembre.zip".into(),
        source: "tributi-web".into(),
        received_at: at("2026-11-22T17:01:02Z"),
        finished_at: at("2026-11-22T17:01:04.5Z"),
        sha256: Some(Sha256::of(b"drop")),
        size: 123_456,
        layout: Some("messo-csv-1.0".into()),
        institutions: vec![ReceiptInstitution {
            tax_id: "00907501001".into(),
            denomination: "Comune di Borgo & Valle".into(),
            environment: "COLLAUDO".into(),
        }],
        flow: shipped().into_iter().find(|flow| flow.name == "tributi-pagamento").map(|flow| (flow.name, flow.title)),
        dry_run: false,
        acts: 3,
        accepted: 2,
        refused: 1,
        duplicates: 0,
        warnings: 1,
        duplicate_of: None,
        forecasts: vec![Forecast { tax_id: "00907501001".into(), last_send: Some(jiff::civil::date(2026, 11, 23)) }],
        held: None,
        problems_total: 3,
        rejects_file: Some("scarto_b302099a8057_TARI-novembre.zip".into()),
    }
}

fn problem(act: Option<&str>, code: Code, severity: Severity) -> Problem {
    Problem { act: act.map(str::to_owned), severity, ..Problem::of_drop("lotto.csv", code) }
}

fn some_problems() -> Vec<Problem> {
    vec![
        Problem {
            row: Some(12),
            column: Some("codice_fiscale".into()),
            ..problem(Some("TARI-2026/000124"), Code::TaxIdInvalid, Severity::Error).found("RSSMRA80A01H501X").expected("RSSMRA80A01H501U")
        },
        Problem {
            row: Some(12),
            column: Some("cap".into()),
            ..problem(Some("TARI-2026/000124"), Code::MunicipalityZip, Severity::Warning)
        },
        problem(None, Code::FileUnreferenced, Severity::Error),
    ]
}

/// As the product says them.
fn sentences() -> impl Sentences {
    (problems::sentence, |code: &str| Code::parse(code).map_or_else(String::new, |code| problems::remedy(code).to_owned()))
}

fn text_of(receipt: &Receipt, problems: Vec<Problem>) -> io::Result<String> {
    let mut out = Vec::new();
    write_text(receipt, &mut problems.into_iter(), &sentences(), &mut out)?;
    Ok(String::from_utf8(out).unwrap())
}

fn xml_of(receipt: &Receipt, problems: Vec<Problem>) -> io::Result<String> {
    let mut out = Vec::new();
    write_xml(receipt, &mut problems.into_iter(), &sentences(), &mut out)?;
    Ok(String::from_utf8(out).unwrap())
}

fn assert_in_docs(example: &str) {
    let docs = include_str!("../../../docs/esiti.md");
    assert!(docs.contains(example.trim_end()), "docs/esiti.md does not show what messo writes:\n{example}");
}

#[test]
fn a_receipt_to_read() {
    let text = text_of(&receipt(), some_problems()).unwrap();
    let body = text.strip_prefix('\u{feff}').unwrap();
    for line in body.split("\r\n") {
        assert!(line.chars().count() <= wrap::WIDTH && !line.contains(char::is_control), "{line:?}");
    }
    assert_in_docs(&body.replace("\r\n", "\n"));
}

#[test]
fn a_receipt_in_xml() {
    let text = xml_of(&receipt(), some_problems()).unwrap();
    assert_in_docs(&text);
}

#[test]
fn a_duplicate_a_test_and_a_held_batch_say_so() {
    let receipt = Receipt {
        state: ReceiptState::Duplicate,
        dry_run: true,
        acts: 0,
        accepted: 0,
        refused: 0,
        warnings: 0,
        problems_total: 0,
        sha256: None,
        layout: None,
        flow: None,
        institutions: vec![],
        forecasts: vec![],
        rejects_file: None,
        held: Some("L'invio parte quando un operatore rilascia il lotto.".into()),
        duplicate_of: Some(DuplicateOf {
            drop: "01890a5d-ac96-774b-bcce-b302099a8000".parse().unwrap(),
            original_name: "TARI ottobre.zip".into(),
            received_at: at("2026-10-01T06:00:00Z"),
        }),
        ..receipt()
    };
    let text = text_of(&receipt, vec![]).unwrap();
    insta::assert_snapshot!(text.trim_start_matches('\u{feff}').replace("\r\n", "\n"), @r#"
    RICEVUTA DI DEPOSITO
    ================================================================================

    Stato:              DUPLICATO
                        Lo stesso contenuto era già stato ricevuto: nessun atto è
                        stato preso in carico una seconda volta.
    PROVA:              il file era nella cartella di prova: nessun atto viene
                        inviato a SEND.

    File:               TARI novembre.zip
    Gestionale:         tributi-web
    Ricevuto il:        22/11/2026 18:01:02
    Esaminato il:       22/11/2026 18:01:04
    Lotto:              01890a5d-ac96-774b-bcce-b302099a8057
    Dimensione:         123456 byte

    Atti nel file:      0
    Presi in carico:    0
    Scartati:           0
    Già ricevuti:       0
    Avvisi:             0
    Già ricevuto come:  TARI ottobre.zip il 01/10/2026 08:00:00, lotto
                        01890a5d-ac96-774b-bcce-b302099a8000
    In attesa:          L'invio parte quando un operatore rilascia il lotto.

    Questa ricevuta non perfeziona la notifica: attesta soltanto che messo ha
    ricevuto ed esaminato il file.
    "#);
    let xml = xml_of(&receipt, vec![]).unwrap();
    for piece in ["<prova>true</prova>", "<duplicato_di><lotto>01890a5d-ac96-774b-bcce-b302099a8000</lotto>", "<in_attesa>L'invio"] {
        assert!(xml.contains(piece), "{piece} in {xml}");
    }
}

#[test]
fn a_hundred_thousand_problems_stream_and_the_text_names_a_thousand() {
    let total = 100_000;
    let receipt = Receipt { problems_total: total, ..receipt() };
    let many = |_| problem(Some("A"), Code::FieldMissing, Severity::Error);
    let mut text = Vec::new();
    let whole = Problem { row: None, ..problem(None, Code::FileUnreferenced, Severity::Error) };
    write_text(&receipt, &mut (1..total).map(many).chain([whole]), &sentences(), &mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    assert_eq!(text.matches("ERRORE FILE_NON_CITATO").count(), 1, "what refuses the whole file is told, however many rows are wrong");
    assert_eq!(text.matches("ERRORE CAMPO_MANCANTE").count() as u64, PROBLEMS_IN_TEXT);
    assert!(text.contains("\r\n…e altri 98999 nell'XML.\r\n"), "{}", &text[text.len() - 200..]);

    struct Count(u64, usize);
    impl Write for Count {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.windows(9).filter(|window| window == b"<problema").count() as u64;
            self.1 = self.1.max(bytes.len());
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0, 0);
    write_xml(&receipt, &mut (0..total).map(many), &sentences(), &mut count).unwrap();
    assert_eq!(count.0, total);
    assert!(count.1 < 1 << 16, "{} bytes were held at once", count.1);
}

#[test]
fn a_stream_that_ends_early_is_an_error_not_a_short_receipt() {
    for (given, counted) in [(2, 3), (3, 2), (0, 1)] {
        let receipt = Receipt { problems_total: counted, ..receipt() };
        let given: Vec<Problem> = some_problems().into_iter().cycle().take(given).collect();
        for result in [text_of(&receipt, given.clone()), xml_of(&receipt, given.clone())] {
            assert_eq!(result.unwrap_err().kind(), io::ErrorKind::InvalidData, "{} of {counted}", given.len());
        }
    }
}

#[test]
fn hostile_texts_stay_on_their_line() {
    let receipt = Receipt { original_name: "a\u{1b}[2J\n\u{202e}b".into(), problems_total: 1, ..receipt() };
    let bad = Problem { code: Cow::Borrowed("X\r\nY"), file: "f\nStato: PRESA_IN_CARICO".into(), ..some_problems().remove(0) };
    let text = text_of(&receipt, vec![bad.clone()]).unwrap();
    assert!(!text.contains(['\u{1b}', '\u{202e}']));
    assert_eq!(text.matches("\r\nStato:").count(), 1, "{text}");
    let xml = xml_of(&receipt, vec![bad]).unwrap();
    assert!(xml.contains("<nome>a\u{fffd}[2J&#10;\u{202e}b</nome>") && xml.contains("codice=\"X&#13;&#10;Y\""), "{xml}");
}

#[test]
fn names_are_short_and_safe() {
    let (received, drop) = (at("2026-11-22T17:01:02Z"), receipt().drop);
    let name = |original: &str| receipt_name(received, drop, original, ReceiptState::Taken, "xml");
    assert_eq!(name("TARI novembre.zip"), "20261122T180102_b302099a8057_TARI-novembre_PRESA_IN_CARICO.xml");
    assert_eq!(name("../../etc/passwd"), "20261122T180102_b302099a8057_passwd_PRESA_IN_CARICO.xml");
    for original in ["", "à".repeat(500).as_str(), "CON", "a:b|c", "🙂", "x\u{0}\ny"] {
        let name = name(original);
        assert!(name.len() <= 120, "{name}");
        assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)), "{name}");
    }
}

#[test]
fn schema_and_documentation_know_every_state() {
    let schema = include_str!("../../../schemas/messo-ricevuta-1.0.xsd");
    let docs = include_str!("../../../docs/esiti.md");
    for state in ReceiptState::ALL {
        assert!(schema.contains(&format!("value=\"{state}\"")), "{state}");
        assert!(docs.contains(&format!("| `{state}` | {} |", it::receipt_state(*state))), "{state}");
    }
    assert!(docs.contains(it::NOT_SERVICE));
}
