//! Tests of `receipts`.

use std::borrow::Cow;

use super::*;
use crate::batch::problem::Code;

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
        flow: Some(("tari".into(), "Riscossione tributi con pagamento".into())),
        dry_run: false,
        acts: 3,
        accepted: 2,
        refused: 1,
        duplicates: 0,
        warnings: 1,
        duplicate_of: None,
        forecast: Some(Forecast {
            last_send: jiff::civil::date(2026, 11, 23),
            sentence: "La previsione tiene conto del limite giornaliero dell'ente.".into(),
        }),
        held: None,
        problems_total: 3,
        rejects_file: Some("scarto_b302099a8057_TARI-novembre.zip".into()),
    }
}

fn problem(act: Option<&str>, code: Code, severity: Severity) -> Problem {
    Problem { act: act.map(str::to_owned), severity, ..Problem::of_drop("lotto.csv", code) }
}

fn problems() -> Vec<Problem> {
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

fn sentences() -> impl Sentences {
    (
        |problem: &Problem| match problem.code.as_ref() {
            "CODICE_FISCALE_NON_VALIDO" => {
                "Il codice fiscale non è valido: il carattere di controllo non corrisponde alle altre lettere.".into()
            }
            code => format!("Frase per {code}."),
        },
        |code: &str| format!("Rimedio per {code}."),
    )
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
    let text = text_of(&receipt(), problems()).unwrap();
    let body = text.strip_prefix('\u{feff}').unwrap();
    for line in body.split("\r\n") {
        assert!(line.chars().count() <= wrap::WIDTH && !line.contains(char::is_control), "{line:?}");
    }
    insta::assert_snapshot!(body.replace("\r\n", "\n"), @r#"
    RICEVUTA DI DEPOSITO
    ================================================================================

    Stato:              PARZIALE
                        Una parte degli atti è stata presa in carico; gli altri sono
                        stati scartati e vanno corretti e depositati di nuovo.
    Ente:               Comune di Borgo & Valle (00907501001), ambiente COLLAUDO

    File:               TARI novembre.zip
    Gestionale:         tributi-web
    Flusso:             Riscossione tributi con pagamento (tari)
    Tracciato:          messo-csv-1.0
    Ricevuto il:        22/11/2026 18:01:02
    Esaminato il:       22/11/2026 18:01:04
    Lotto:              01890a5d-ac96-774b-bcce-b302099a8057
    Dimensione:         123456 byte
    Impronta SHA-256:
      d90ee9ccf6bea1d2942a7b21319338198dec2a746f8a0d0771621f00da2e0864

    Atti nel file:      3
    Presi in carico:    2
    Scartati:           1
    Già ricevuti:       0
    Avvisi:             1
    Atti scartati in:   scarti/scarto_b302099a8057_TARI-novembre.zip
    Ultimo invio:       previsto entro il 23/11/2026. La previsione tiene conto del
                        limite giornaliero dell'ente.

    Questa ricevuta non perfeziona la notifica: attesta soltanto che messo ha
    ricevuto ed esaminato il file.

    PROBLEMI TROVATI: 3
    --------------------------------------------------------------------------------

    Atto TARI-2026/000124
      ERRORE CODICE_FISCALE_NON_VALIDO
        Dove:      lotto.csv, riga 12, colonna «codice_fiscale»
        Problema:  Il codice fiscale non è valido: il carattere di controllo non
                   corrisponde alle altre lettere.
        Cosa fare: Rimedio per CODICE_FISCALE_NON_VALIDO.
      AVVISO COMUNE_E_CAP
        Dove:      lotto.csv, riga 12, colonna «cap»
        Problema:  Frase per COMUNE_E_CAP.
        Cosa fare: Rimedio per COMUNE_E_CAP.

    Intero file
      ERRORE FILE_NON_CITATO
        Dove:      lotto.csv
        Problema:  Frase per FILE_NON_CITATO.
        Cosa fare: Rimedio per FILE_NON_CITATO.
    "#);
    assert_in_docs(&body.replace("\r\n", "\n"));
}

#[test]
fn a_receipt_in_xml() {
    let text = xml_of(&receipt(), problems()).unwrap();
    insta::assert_snapshot!(text, @r#"
    <?xml version="1.0" encoding="UTF-8"?>
    <ricevuta xmlns="urn:messo:ricevuta:1.0" versione="1.0">
    <stato>PARZIALE</stato>
    <descrizione>Una parte degli atti è stata presa in carico; gli altri sono stati scartati e vanno corretti e depositati di nuovo.</descrizione>
    <avvertenza>Questa ricevuta non perfeziona la notifica: attesta soltanto che messo ha ricevuto ed esaminato il file.</avvertenza>
    <prova>false</prova>
    <deposito><lotto>01890a5d-ac96-774b-bcce-b302099a8057</lotto><nome>TARI novembre.zip</nome><gestionale>tributi-web</gestionale><ricevuto_utc>2026-11-22T17:01:02Z</ricevuto_utc><elaborato_utc>2026-11-22T17:01:04.5Z</elaborato_utc><sha256>d90ee9ccf6bea1d2942a7b21319338198dec2a746f8a0d0771621f00da2e0864</sha256><dimensione>123456</dimensione><tracciato>messo-csv-1.0</tracciato><flusso nome="tari">Riscossione tributi con pagamento</flusso></deposito>
    <ente codice_fiscale="00907501001" ambiente="COLLAUDO">Comune di Borgo &amp; Valle</ente>
    <conteggi><atti>3</atti><accettati>2</accettati><scartati>1</scartati><duplicati>0</duplicati><avvisi>1</avvisi></conteggi>
    <previsione ultimo_invio="2026-11-23">La previsione tiene conto del limite giornaliero dell'ente.</previsione>
    <file_scarti>scarto_b302099a8057_TARI-novembre.zip</file_scarti>
    <problemi totale="3">
    <problema gravita="ERRORE" codice="CODICE_FISCALE_NON_VALIDO"><file>lotto.csv</file><riga>12</riga><colonna>codice_fiscale</colonna><atto>TARI-2026/000124</atto><frase>Il codice fiscale non è valido: il carattere di controllo non corrisponde alle altre lettere.</frase><trovato>RSSMRA80A01H501X</trovato><atteso>RSSMRA80A01H501U</atteso><cosa_fare>Rimedio per CODICE_FISCALE_NON_VALIDO.</cosa_fare></problema>
    <problema gravita="AVVISO" codice="COMUNE_E_CAP"><file>lotto.csv</file><riga>12</riga><colonna>cap</colonna><atto>TARI-2026/000124</atto><frase>Frase per COMUNE_E_CAP.</frase><cosa_fare>Rimedio per COMUNE_E_CAP.</cosa_fare></problema>
    <problema gravita="ERRORE" codice="FILE_NON_CITATO"><file>lotto.csv</file><frase>Frase per FILE_NON_CITATO.</frase><cosa_fare>Rimedio per FILE_NON_CITATO.</cosa_fare></problema>
    </problemi>
    </ricevuta>
    "#);
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
        forecast: None,
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
    write_text(&receipt, &mut (0..total).map(many), &sentences(), &mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    assert_eq!(text.matches("ERRORE CAMPO_MANCANTE").count() as u64, PROBLEMS_IN_TEXT);
    assert!(text.contains("\r\n…e altri 99000 nell'XML.\r\n"), "{}", &text[text.len() - 200..]);

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
        let given: Vec<Problem> = problems().into_iter().cycle().take(given).collect();
        for result in [text_of(&receipt, given.clone()), xml_of(&receipt, given.clone())] {
            assert_eq!(result.unwrap_err().kind(), io::ErrorKind::InvalidData, "{} of {counted}", given.len());
        }
    }
}

#[test]
fn hostile_texts_stay_on_their_line() {
    let receipt = Receipt { original_name: "a\u{1b}[2J\n\u{202e}b".into(), problems_total: 1, ..receipt() };
    let bad = Problem { code: Cow::Borrowed("X\r\nY"), file: "f\nStato: PRESA_IN_CARICO".into(), ..problems().remove(0) };
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
