//! Tests of `outcomes`.

use super::*;
use crate::domain::outcome::{OutcomeState, Perfection};
use proptest::prelude::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn header() -> OutcomeHeader {
    OutcomeHeader {
        source: "tributi-web".into(),
        number: 7,
        first: 41,
        last: 43,
        created_at: at("2026-12-14T05:00:00Z"),
        previous: Some(Sha256::of(b"previous")),
        copy: false,
    }
}

fn line(number: u64) -> OutcomeLine {
    OutcomeLine {
        line: number,
        corrects: None,
        batch: "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap(),
        act: "01890a5d-ac96-774b-bcce-b302099a8058".parse().unwrap(),
        sender_tax_id: "00907501001".into(),
        flow: "tributi-pagamento".into(),
        reference: "TARI-2026/000123".into(),
        submission: 1,
        protocol: Some("2026/4567".into()),
        iun: None,
        recipient: None,
        state: OutcomeState::Taken,
        event: "PRESO_IN_CARICO".into(),
        happened_at: at("2026-11-22T16:59:30Z"),
        written_at: at("2026-11-22T16:59:30Z"),
        attempt: None,
        registered_letter: None,
        delivery_detail: None,
        failure_cause: None,
        sender_completed_at: None,
        recipient_completed_at: None,
        perfection: None,
        institution_cost: None,
        citizen_cost: None,
        legal_facts: vec![],
        code: None,
        position: None,
    }
}

/// Taken; the first letter came back; completed, with the date of the line before corrected.
fn sample() -> Vec<OutcomeLine> {
    let iun = Some("ADEG-HJKL-MNPQ-202611-R-1".to_owned());
    let letter = OutcomeLine {
        iun: iun.clone(),
        recipient: Some(0),
        state: OutcomeState::Delivering,
        event: "SEND_ANALOG_FEEDBACK".into(),
        happened_at: at("2026-12-03T23:30:00.125Z"),
        written_at: at("2026-12-04T09:12:40Z"),
        attempt: Some(1),
        registered_letter: Some("R123456789IT".into()),
        delivery_detail: Some("RECAG003C".into()),
        failure_cause: Some("M08".into()),
        sender_completed_at: Some(at("2026-11-22T17:02:11Z")),
        institution_cost: Some(630),
        legal_facts: vec![
            "2026/ADEG-HJKL-MNPQ-202611-R-1/consegna-cartacea_dest-1_20261204T003000.pdf".into(),
            "2026/ADEG-HJKL-MNPQ-202611-R-1/consegna-cartacea_dest-1_20261204T003000_2.pdf".into(),
        ],
        ..line(42)
    };
    let completed = OutcomeLine {
        line: 43,
        corrects: Some(39),
        state: OutcomeState::Completed,
        event: "REFINEMENT".into(),
        happened_at: at("2026-12-13T23:00:00Z"),
        written_at: at("2026-12-13T23:20:05Z"),
        attempt: None,
        registered_letter: None,
        delivery_detail: None,
        failure_cause: None,
        recipient_completed_at: Some(at("2026-12-13T23:00:00Z")),
        perfection: Some(Perfection::Refinement),
        citizen_cost: Some(847),
        legal_facts: vec![],
        ..letter.clone()
    };
    vec![line(41), letter, completed]
}

fn echo() -> Vec<(String, String)> {
    vec![("pratica".into(), "0042".into()), ("ufficio".into(), "Tributi; sportello 2".into())]
}

fn rendered<'a>(line: &'a OutcomeLine, echo: &'a [(String, String)]) -> RenderedLine<'a> {
    RenderedLine { line, echo, environment: "COLLAUDO", reason: None, reasons: &[] }
}

fn csv_of(header: &OutcomeHeader, lines: &[OutcomeLine], echo: &[(String, String)]) -> io::Result<String> {
    let mut out = Vec::new();
    write_csv(header, &mut lines.iter().map(|line| rendered(line, echo)), &mut out)?;
    Ok(String::from_utf8(out).unwrap())
}

fn xml_of(header: &OutcomeHeader, lines: &[OutcomeLine], echo: &[(String, String)]) -> io::Result<String> {
    let mut out = Vec::new();
    write_xml(header, &mut lines.iter().map(|line| rendered(line, echo)), &mut out)?;
    Ok(String::from_utf8(out).unwrap())
}

#[test]
fn an_esito_in_csv() {
    let text = csv_of(&header(), &sample(), &echo()).unwrap();
    let body = text.strip_prefix('\u{feff}').unwrap();
    assert_eq!(body.matches('\n').count(), body.matches("\r\n").count());
    insta::assert_snapshot!(body.replace("\r\n", "\n"), @r#"
    riga;corregge;ambiente;ente;flusso;lotto;atto;riferimento;invio;protocollo;iun;destinatario;stato;stato_descrizione;evento;evento_descrizione;quando_utc;quando_roma;scritto_utc;tentativo;raccomandata;consegna;consegna_descrizione;causa;causa_descrizione;perfezionamento_mittente_utc;perfezionamento_mittente_data;perfezionamento_destinatario_utc;perfezionamento_destinatario_data;perfezionamento_modo;costo_ente;costo_cittadino;codice;motivo;attestazioni;motivi;avviso;creditore;importo_dovuto;importo_costi;importo_pagato;ricevuta_pagamento;eco_1;eco_2;eco_3;eco_4;eco_5;eco_6;eco_7;eco_8;eco_9;eco_10
    41;;COLLAUDO;00907501001;tributi-pagamento;01890a5d-ac96-774b-bcce-b302099a8057;01890a5d-ac96-774b-bcce-b302099a8058;TARI-2026/000123;1;2026/4567;;;PRESO_IN_CARICO;Preso in carico da messo, non ancora inviato a SEND;PRESO_IN_CARICO;Preso in carico da messo, non ancora inviato a SEND;2026-11-22T16:59:30Z;2026-11-22 17:59:30;2026-11-22T16:59:30Z;;;;;;;;;;;;;;;;;;;;;;;;0042;"Tributi; sportello 2";;;;;;;;
    42;;COLLAUDO;00907501001;tributi-pagamento;01890a5d-ac96-774b-bcce-b302099a8057;01890a5d-ac96-774b-bcce-b302099a8058;TARI-2026/000123;1;2026/4567;ADEG-HJKL-MNPQ-202611-R-1;1;IN_CONSEGNA;Consegna in corso;SEND_ANALOG_FEEDBACK;Ricevuto l'esito della spedizione su carta;2026-12-03T23:30:00.125Z;2026-12-04 00:30:00;2026-12-04T09:12:40Z;1;R123456789IT;RECAG003C;Raccomandata 890: non consegnata;M08;Indirizzo insufficiente;2026-11-22T17:02:11Z;2026-11-22;;;;6,30;;;;2026/ADEG-HJKL-MNPQ-202611-R-1/consegna-cartacea_dest-1_20261204T003000.pdf|2026/ADEG-HJKL-MNPQ-202611-R-1/consegna-cartacea_dest-1_20261204T003000_2.pdf;;;;;;;;0042;"Tributi; sportello 2";;;;;;;;
    43;39;COLLAUDO;00907501001;tributi-pagamento;01890a5d-ac96-774b-bcce-b302099a8057;01890a5d-ac96-774b-bcce-b302099a8058;TARI-2026/000123;1;2026/4567;ADEG-HJKL-MNPQ-202611-R-1;1;PERFEZIONATO;Notifica perfezionata per il destinatario;REFINEMENT;Notifica perfezionata per decorrenza dei termini;2026-12-13T23:00:00Z;2026-12-14 00:00:00;2026-12-13T23:20:05Z;;;;;;;2026-11-22T17:02:11Z;2026-11-22;2026-12-13T23:00:00Z;2026-12-14;DECORRENZA_TERMINI;6,30;8,47;;;;;;;;;;;0042;"Tributi; sportello 2";;;;;;;;
    "#);
    assert_in_docs(&body.replace("\r\n", "\n"));
}

#[test]
fn an_esito_in_xml() {
    let text = xml_of(&header(), &sample(), &echo()).unwrap();
    insta::assert_snapshot!(text, @r#"
    <?xml version="1.0" encoding="UTF-8"?>
    <esito xmlns="urn:messo:esito:1.0" versione="1.0">
    <testata><gestionale>tributi-web</gestionale><numero>7</numero><copia>false</copia><prima_riga>41</prima_riga><ultima_riga>43</ultima_riga><creato_utc>2026-12-14T05:00:00Z</creato_utc><precedente_sha256>6da0633528deaa0144e7b058315f0b753ec0b945163a72bf96a0d18180f9de0d</precedente_sha256></testata>
    <esito_atto><riga>41</riga><ambiente>COLLAUDO</ambiente><ente>00907501001</ente><flusso>tributi-pagamento</flusso><lotto>01890a5d-ac96-774b-bcce-b302099a8057</lotto><atto>01890a5d-ac96-774b-bcce-b302099a8058</atto><riferimento>TARI-2026/000123</riferimento><invio>1</invio><protocollo>2026/4567</protocollo><stato>PRESO_IN_CARICO</stato><stato_descrizione>Preso in carico da messo, non ancora inviato a SEND</stato_descrizione><evento>PRESO_IN_CARICO</evento><evento_descrizione>Preso in carico da messo, non ancora inviato a SEND</evento_descrizione><quando_utc>2026-11-22T16:59:30Z</quando_utc><quando_roma>2026-11-22T17:59:30+01:00</quando_roma><scritto_utc>2026-11-22T16:59:30Z</scritto_utc><eco nome="pratica">0042</eco><eco nome="ufficio">Tributi; sportello 2</eco></esito_atto>
    <esito_atto><riga>42</riga><ambiente>COLLAUDO</ambiente><ente>00907501001</ente><flusso>tributi-pagamento</flusso><lotto>01890a5d-ac96-774b-bcce-b302099a8057</lotto><atto>01890a5d-ac96-774b-bcce-b302099a8058</atto><riferimento>TARI-2026/000123</riferimento><invio>1</invio><protocollo>2026/4567</protocollo><iun>ADEG-HJKL-MNPQ-202611-R-1</iun><destinatario>1</destinatario><stato>IN_CONSEGNA</stato><stato_descrizione>Consegna in corso</stato_descrizione><evento>SEND_ANALOG_FEEDBACK</evento><evento_descrizione>Ricevuto l'esito della spedizione su carta</evento_descrizione><quando_utc>2026-12-03T23:30:00.125Z</quando_utc><quando_roma>2026-12-04T00:30:00+01:00</quando_roma><scritto_utc>2026-12-04T09:12:40Z</scritto_utc><tentativo>1</tentativo><raccomandata>R123456789IT</raccomandata><consegna>RECAG003C</consegna><consegna_descrizione>Raccomandata 890: non consegnata</consegna_descrizione><causa>M08</causa><causa_descrizione>Indirizzo insufficiente</causa_descrizione><perfezionamento_mittente_utc>2026-11-22T17:02:11Z</perfezionamento_mittente_utc><perfezionamento_mittente_data>2026-11-22</perfezionamento_mittente_data><costo_ente>6.30</costo_ente><attestazioni><file>2026/ADEG-HJKL-MNPQ-202611-R-1/consegna-cartacea_dest-1_20261204T003000.pdf</file><file>2026/ADEG-HJKL-MNPQ-202611-R-1/consegna-cartacea_dest-1_20261204T003000_2.pdf</file></attestazioni><eco nome="pratica">0042</eco><eco nome="ufficio">Tributi; sportello 2</eco></esito_atto>
    <esito_atto><riga>43</riga><corregge>39</corregge><ambiente>COLLAUDO</ambiente><ente>00907501001</ente><flusso>tributi-pagamento</flusso><lotto>01890a5d-ac96-774b-bcce-b302099a8057</lotto><atto>01890a5d-ac96-774b-bcce-b302099a8058</atto><riferimento>TARI-2026/000123</riferimento><invio>1</invio><protocollo>2026/4567</protocollo><iun>ADEG-HJKL-MNPQ-202611-R-1</iun><destinatario>1</destinatario><stato>PERFEZIONATO</stato><stato_descrizione>Notifica perfezionata per il destinatario</stato_descrizione><evento>REFINEMENT</evento><evento_descrizione>Notifica perfezionata per decorrenza dei termini</evento_descrizione><quando_utc>2026-12-13T23:00:00Z</quando_utc><quando_roma>2026-12-14T00:00:00+01:00</quando_roma><scritto_utc>2026-12-13T23:20:05Z</scritto_utc><perfezionamento_mittente_utc>2026-11-22T17:02:11Z</perfezionamento_mittente_utc><perfezionamento_mittente_data>2026-11-22</perfezionamento_mittente_data><perfezionamento_destinatario_utc>2026-12-13T23:00:00Z</perfezionamento_destinatario_utc><perfezionamento_destinatario_data>2026-12-14</perfezionamento_destinatario_data><perfezionamento_modo>DECORRENZA_TERMINI</perfezionamento_modo><costo_ente>6.30</costo_ente><costo_cittadino>8.47</costo_cittadino><eco nome="pratica">0042</eco><eco nome="ufficio">Tributi; sportello 2</eco></esito_atto>
    </esito>
    "#);
    assert_in_docs(&text);
}

fn assert_in_docs(example: &str) {
    let docs = include_str!("../../../docs/esiti.md");
    assert!(docs.contains(example.trim_end()), "docs/esiti.md does not show what messo writes:\n{example}");
}

#[test]
fn refusals_say_why_and_other_words_come_from_the_caller() {
    let table = [
        (Some("NOT_VALID_ADDRESS"), None, "L'indirizzo del destinatario non è valido: correggerlo e ripresentare l'atto."),
        (Some("NEW_CODE"), None, "Si veda il codice nella documentazione"),
        (Some("TETTO_DI_SPESA"), Some("Raggiunto il tetto di spesa del giorno"), "Raggiunto il tetto di spesa del giorno"),
        (None, None, ""),
    ];
    for (code, reason, want) in table {
        let line = OutcomeLine { code: code.map(str::to_owned), ..line(41) };
        let header = OutcomeHeader { last: 41, ..header() };
        let mut out = Vec::new();
        write_csv(&header, &mut std::iter::once(RenderedLine { reason, ..rendered(&line, &[]) }), &mut out).unwrap();
        assert_eq!(column(&String::from_utf8(out).unwrap(), "motivo"), want, "code {code:?}");
    }
}

/// The cell of the only line in the column `name`.
fn column(text: &str, name: &str) -> String {
    let mut reader = csv::ReaderBuilder::new().delimiter(b';').from_reader(text.trim_start_matches('\u{feff}').as_bytes());
    let at = reader.headers().unwrap().iter().position(|column| column == name).unwrap();
    let record = reader.records().next().unwrap().unwrap();
    record[at].to_owned()
}

#[test]
fn cells_that_begin_like_formulas() {
    for text in ["=HYPERLINK(\"http://x\")", "+39 041", "-1", "@SUM(A1)"] {
        let line = OutcomeLine {
            reference: text.into(),
            protocol: Some(text.into()),
            registered_letter: Some(text.into()),
            code: Some(text.into()),
            ..line(41)
        };
        let csv = csv_of(&OutcomeHeader { last: 41, ..header() }, &[line], &[("a".into(), text.into())]).unwrap();
        for name in ["riferimento", "protocollo", "eco_1"] {
            assert_eq!(column(&csv, name), text, "{name}: the gestionale matches on it");
        }
        for name in ["raccomandata", "codice"] {
            assert_eq!(column(&csv, name), format!("'{text}"), "{name}: SEND wrote it");
        }
    }
}

proptest! {
    #[test]
    fn what_the_gestionale_gave_comes_back_byte_for_byte(reference in ".{0,40}", protocol in "[;\"'\r\n\t =a]{1,9}", value in any::<String>()) {
        let line = OutcomeLine { reference: reference.clone(), protocol: Some(protocol.clone()), ..line(41) };
        let csv = csv_of(&OutcomeHeader { last: 41, ..header() }, &[line], &[(String::new(), value.clone())]).unwrap();
        prop_assert_eq!(column(&csv, "riferimento"), reference);
        prop_assert_eq!(column(&csv, "protocollo"), protocol);
        prop_assert_eq!(column(&csv, "eco_1"), value);
    }
}

#[test]
fn more_than_ten_echo_fields_are_cut_and_missing_ones_are_empty() {
    let echo: Vec<(String, String)> = (1..=12).map(|n| (format!("campo{n}"), format!("v{n}"))).collect();
    let header = OutcomeHeader { last: 41, ..header() };
    let csv = csv_of(&header, &[line(41)], &echo).unwrap();
    assert_eq!((column(&csv, "eco_1").as_str(), column(&csv, "eco_10").as_str()), ("v1", "v10"));
    assert_eq!(xml_of(&header, &[line(41)], &echo).unwrap().matches("<eco ").count(), 10);
    assert_eq!(column(&csv_of(&header, &[line(41)], &[]).unwrap(), "eco_1"), "");
}

#[test]
fn a_range_with_a_hole_is_not_published() {
    let table: [(&[u64], &str); 5] = [
        (&[41, 43], "hole"),
        (&[41, 41, 42], "twice"),
        (&[42, 43], "late start"),
        (&[41, 42], "early end"),
        (&[41, 42, 43, 44], "too many"),
    ];
    for (numbers, what) in table {
        let lines: Vec<OutcomeLine> = numbers.iter().map(|number| line(*number)).collect();
        for result in [csv_of(&header(), &lines, &[]), xml_of(&header(), &lines, &[])] {
            assert_eq!(result.unwrap_err().kind(), io::ErrorKind::InvalidData, "{what}");
        }
    }
}

#[test]
fn the_same_lines_give_the_same_bytes_and_a_copy_says_so() {
    let copy = OutcomeHeader { copy: true, ..header() };
    assert_eq!(xml_of(&header(), &sample(), &echo()).unwrap(), xml_of(&header(), &sample(), &echo()).unwrap());
    assert!(xml_of(&copy, &sample(), &echo()).unwrap().contains("<copia>true</copia>"));
    assert_eq!(outcome_name(&header(), "csv"), "esito_tributi-web_000007.csv");
    assert_eq!(outcome_name(&copy, "xml"), "esito_tributi-web_000007_copia.xml");
    assert_eq!(outcome_name(&OutcomeHeader { number: 12_345_678, ..header() }, "xml"), "esito_tributi-web_12345678.xml");
}

/// Refused for two reasons: the columns of before tell the first, the new one both.
#[test]
fn every_reason_of_a_refusal_is_told() {
    let refused =
        OutcomeLine { state: OutcomeState::Refused, event: "REQUEST_REFUSED".into(), code: Some("NOT_VALID_ADDRESS".into()), ..line(41) };
    let reasons = [
        RefusalReason { detail: Some("via | ignota".into()), rec_index: Some(0), ..RefusalReason::of("NOT_VALID_ADDRESS") },
        RefusalReason { element: Some("recipients[1].taxId".into()), rec_index: Some(1), ..RefusalReason::of("NEW_2027") },
    ];
    let header = OutcomeHeader { first: 41, last: 41, ..header() };
    let of = |reasons: &[RefusalReason]| {
        let rendered = || RenderedLine { reasons, ..rendered(&refused, &[]) };
        let (mut csv, mut xml) = (Vec::new(), Vec::new());
        write_csv(&header, &mut std::iter::once(rendered()), &mut csv).unwrap();
        write_xml(&header, &mut std::iter::once(rendered()), &mut xml).unwrap();
        let mut reader = csv::ReaderBuilder::new().delimiter(b';').from_reader(&csv[crate::outbox::cells::BOM.len()..]);
        let names = reader.headers().unwrap().clone();
        let record = reader.records().next().unwrap().unwrap();
        let cell = |name: &str| record[names.iter().position(|other| other == name).unwrap()].to_owned();
        (["codice", "motivo", "motivi"].map(cell), String::from_utf8(xml).unwrap())
    };
    let sentence = it::refusal("NOT_VALID_ADDRESS").unwrap();
    let (cells, xml) = of(&reasons);
    let told = format!(
        "NOT_VALID_ADDRESS: {sentence} Destinatario 1. SEND scrive: «via / ignota» | NEW_2027: {} Destinatario 2, campo recipients[1].taxId.",
        it::REFUSAL_UNKNOWN
    );
    assert_eq!(cells, ["NOT_VALID_ADDRESS", sentence, told.as_str()]);
    let told = format!(
        "<motivi><rifiuto codice=\"NOT_VALID_ADDRESS\" destinatario=\"1\"><frase>{sentence}</frase>\
         <dettaglio>via | ignota</dettaglio></rifiuto><rifiuto codice=\"NEW_2027\" destinatario=\"2\" \
         campo=\"recipients[1].taxId\"><frase>{}</frase></rifiuto></motivi></esito_atto>",
        it::REFUSAL_UNKNOWN
    );
    assert!(xml.contains(&told), "{xml}");
    // Erased: what the ledger says remains.
    let (cells, xml) = of(&[]);
    assert_eq!(cells, ["NOT_VALID_ADDRESS", sentence, ""]);
    assert!(!xml.contains("<motivi>") && xml.contains("<codice>NOT_VALID_ADDRESS</codice>"), "{xml}");
}

/// Collects the names of the columns.
struct Names(Vec<String>);

impl Columns for Names {
    fn own(&mut self, name: &str, _: Option<&str>) {
        self.0.push(name.into());
    }
    fn given(&mut self, name: &str, _: Option<&str>) {
        self.0.push(name.into());
    }
    fn foreign(&mut self, name: &str, _: Option<&str>) {
        self.0.push(name.into());
    }
    fn number(&mut self, name: &str, _: Option<u64>) {
        self.0.push(name.into());
    }
    fn id(&mut self, name: &str, _: impl std::fmt::Display) {
        self.0.push(name.into());
    }
    fn utc(&mut self, name: &str, _: Option<Timestamp>) {
        self.0.push(name.into());
    }
    fn local(&mut self, name: &str, _: Timestamp) {
        self.0.push(name.into());
    }
    fn local_date(&mut self, name: &str, _: Option<Timestamp>) {
        self.0.push(name.into());
    }
    fn euro(&mut self, name: &str, _: Option<i64>) {
        self.0.push(name.into());
    }
    fn files(&mut self, name: &str, _: &[String]) {
        self.0.push(name.into());
    }
    fn reasons(&mut self, name: &str, _: &[RefusalReason]) {
        self.0.push(name.into());
    }
    fn echo(&mut self, _: &[(String, String)]) {}
}

#[test]
fn header_and_values_are_in_the_same_order() {
    let mut names = Names(vec![]);
    visit(&rendered(&line(1), &[]), &mut names);
    assert_eq!(names.0, COLUMNS);
}

#[test]
fn schema_and_documentation_know_every_word() {
    let schema = include_str!("../../../schemas/messo-esito-1.0.xsd");
    let docs = include_str!("../../../docs/esiti.md");
    for name in COLUMNS {
        assert!(schema.contains(&format!("name=\"{name}\"")), "schema: {name}");
        assert!(docs.contains(&format!("| `{name}` |")), "docs: column {name}");
    }
    for state in OutcomeState::ALL {
        assert!(schema.contains(&format!("value=\"{state}\"")), "schema: {state}");
        assert!(docs.contains(&format!("| `{state}` | {} |", it::state(*state))), "docs: state {state}");
    }
    assert_eq!(schema.matches("<xs:enumeration").count(), OutcomeState::ALL.len() + Perfection::ALL.len() + 2 + 2);
    for (table, entries) in [
        ("events", it::EVENTS),
        ("details", it::DELIVERY_DETAILS),
        ("causes", it::FAILURE_CAUSES),
        ("refusals", it::REFUSALS),
        ("legal facts", it::LEGAL_FACTS),
    ] {
        for (code, sentence) in entries {
            assert!(docs.contains(&format!("| `{code}` | {sentence} |")), "docs: {table} {code}");
        }
    }
}
