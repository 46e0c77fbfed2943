//! What an office reads, to the byte, and that its totals add up.

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn header(number: u64) -> ExportHeader {
    ExportHeader {
        source: "tributi".into(),
        number,
        kind: ExportKind::Changed,
        day: Date::constant(2026, 11, 23),
        after: 10,
        to: 20,
        created_at: at("2026-11-23T01:00:04.123Z"),
        previous: (number > 1).then(|| Sha256::of(b"prima")),
    }
}

fn statement(recipient: u32) -> Statement<'static> {
    Statement {
        line: 20,
        at: at("2026-11-22T23:30:00.5Z"),
        act: "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap(),
        recipient,
        recipients: 2,
        sender: "01234567897",
        flow: "cds",
        reference: "V;\"1\"",
        submission: 1,
        protocol: Some("2026/1"),
        iun: Some("ADEG-HJKL-MNPQ-202611-A-1"),
        notices: "302000000000000019|302000000000000020",
        state: "PERFEZIONATO",
        closed: true,
        suspended: None,
        code: None,
        amount: Some(4_200),
        vat: Some(22),
        pa_fee: Some(100),
        base_fee: Some(100),
        paper: Some(530),
        citizen_cost: Some(847),
        accepted_at: Some(at("2026-11-20T10:00:00Z")),
        completed_at: Some(at("2026-11-22T23:30:00Z")),
        perfection: Some("VISIONE"),
        attestations: Some("2026/a.pdf|2026/b.pdf"),
        due: Some(5_047),
        paid: None,
        paid_at: None,
    }
}

fn csv_of(header: ExportHeader, rows: &[Statement<'_>]) -> String {
    let mut file = CsvFile::begin(header, Vec::new()).unwrap();
    rows.iter().for_each(|row| file.row(row).unwrap());
    String::from_utf8(file.end().unwrap()).unwrap()
}

fn xml_of(header: &ExportHeader, rows: &[Statement<'_>]) -> String {
    let mut file = XmlFile::begin(header, Vec::new()).unwrap();
    rows.iter().for_each(|row| file.row(row).unwrap());
    String::from_utf8(file.end().unwrap()).unwrap()
}

#[test]
fn a_csv_says_every_column_and_ends_with_its_totals() {
    let text = csv_of(
        header(2),
        &[statement(0), Statement { due: Some(6_109), paid: Some(6_109), paid_at: Some(at("2026-11-29T08:00:00Z")), ..statement(1) }],
    );
    let lines: Vec<&str> = text.trim_start_matches('\u{feff}').lines().collect();
    assert_eq!(lines[0].split(';').collect::<Vec<_>>(), COLUMNS.iter().chain(CONTROL).copied().collect::<Vec<_>>());
    insta::assert_snapshot!(lines[1..].join("\n"), @r#"
    RIGA;20;2026-11-22T23:30:00.5Z;01234567897;cds;01890a5d-ac96-774b-bcce-b302099a8057;"V;""1""";1;2026/1;ADEG-HJKL-MNPQ-202611-A-1;1;2;302000000000000019|302000000000000020;PERFEZIONATO;SI;;;42,00;1,00;5,30;6,30;22;1,00;8,47;50,47;2026-11-20T10:00:00Z;2026-11-20;2026-11-22T23:30:00Z;2026-11-23;VISIONE;2026/a.pdf|2026/b.pdf;;;;;;;;;;;;
    RIGA;20;2026-11-22T23:30:00.5Z;01234567897;cds;01890a5d-ac96-774b-bcce-b302099a8057;"V;""1""";1;2026/1;ADEG-HJKL-MNPQ-202611-A-1;2;2;302000000000000019|302000000000000020;PERFEZIONATO;SI;;;42,00;1,00;5,30;6,30;22;1,00;8,47;61,09;2026-11-20T10:00:00Z;2026-11-20;2026-11-22T23:30:00Z;2026-11-23;VISIONE;2026/a.pdf|2026/b.pdf;61,09;2026-11-29T08:00:00Z;;;;;;;;;;
    TOTALE;;;;;;;;;;;;;;;;;84,00;2,00;10,60;12,60;;;16,94;111,56;;;;;;;61,09;;2;VARIATI;2026-11-23;10;20;2026-11-23T01:00:04.123Z;2;1;42,00;51365d01e295763226b90cadb302b717b086f77b8fab3384996038163c2baf7d
    "#);
}

#[test]
fn an_xml_says_the_same() {
    insta::assert_snapshot!(xml_of(&header(1), &[Statement { amount: None, due: None, iun: None, completed_at: None, perfection: None, attestations: None, notices: "", ..statement(0) }]), @r#"
    <?xml version="1.0" encoding="UTF-8"?>
    <rendicontazione xmlns="urn:messo:rendicontazione:1.0" versione="1.0">
    <testata><gestionale>tributi</gestionale><numero>1</numero><genere>VARIATI</genere><giorno>2026-11-23</giorno><dopo_riga>10</dopo_riga><fino_a_riga>20</fino_a_riga><creato_utc>2026-11-23T01:00:04.123Z</creato_utc></testata>
    <posizione><riga>20</riga><aggiornato_utc>2026-11-22T23:30:00.5Z</aggiornato_utc><ente>01234567897</ente><flusso>cds</flusso><atto>01890a5d-ac96-774b-bcce-b302099a8057</atto><riferimento>V;&quot;1&quot;</riferimento><invio>1</invio><protocollo>2026/1</protocollo><destinatario>1</destinatario><destinatari>2</destinatari><stato>PERFEZIONATO</stato><chiuso>true</chiuso><costo_base>1.00</costo_base><costo_carta>5.30</costo_carta><costo_ente>6.30</costo_ente><iva_percentuale>22</iva_percentuale><diritti_ente>1.00</diritti_ente><costo_cittadino>8.47</costo_cittadino><perfezionamento_mittente_utc>2026-11-20T10:00:00Z</perfezionamento_mittente_utc><perfezionamento_mittente_data>2026-11-20</perfezionamento_mittente_data></posizione>
    <totali><righe>1</righe><atti>1</atti><importo>0.00</importo><importo_atti>0.00</importo_atti><costo_base>1.00</costo_base><costo_carta>5.30</costo_carta><costo_ente>6.30</costo_ente><costo_cittadino>8.47</costo_cittadino><dovuto>0.00</dovuto><pagato>0.00</pagato></totali>
    </rendicontazione>
    "#);
}

#[test]
fn every_cell_of_the_totals_is_the_sum_of_its_column() {
    let rows: Vec<Statement<'_>> = (0..7)
        .map(|n| Statement {
            recipient: u32::from(n % 2 == 1),
            amount: (n != 3).then_some(n * 101),
            base_fee: (n > 0).then_some(100),
            paper: (n > 1).then_some(n * 7),
            citizen_cost: (n > 4).then_some(847),
            due: (n > 2).then_some(n * 13),
            paid: (n > 2).then_some(n * 11),
            ..statement(0)
        })
        .collect();
    let text = csv_of(header(1), &rows);
    let mut reader = csv::ReaderBuilder::new().delimiter(b';').from_reader(text.trim_start_matches('\u{feff}').as_bytes());
    let names: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    let records: Vec<csv::StringRecord> = reader.records().map(|record| record.unwrap()).collect();
    let cell = |record: &csv::StringRecord, name: &str| record[names.iter().position(|own| own == name).unwrap()].to_owned();
    let cents = |text: String| text.replace(',', "").parse::<i64>().unwrap_or(0);
    let (total, rows) = records.split_last().unwrap();
    assert_eq!(&total[0], TOTAL);
    for name in ["importo", "costo_base", "costo_carta", "costo_ente", "costo_cittadino", "dovuto", "pagato"] {
        let sum: i64 = rows.iter().map(|row| cents(cell(row, name))).sum();
        assert!(sum > 0 && cents(cell(total, name)) == sum, "{name}: {sum}");
    }
    let firsts: Vec<_> = rows.iter().filter(|row| cell(row, "destinatario") == "1").collect();
    let once: i64 = firsts.iter().map(|row| cents(cell(row, "importo"))).sum();
    assert_eq!(
        (cents(cell(total, "importo_atti")), cell(total, "atti"), cell(total, "righe")),
        (once, firsts.len().to_string(), "7".into())
    );
}

#[test]
fn names_tell_gestionale_number_and_kind() {
    assert_eq!(export_name(&header(12), "csv"), "rendicontazione_tributi_000012.csv");
    let open = ExportHeader { kind: ExportKind::Open, ..header(1_234_567) };
    assert_eq!(export_name(&open, "xml"), "rendicontazione_tributi_1234567_aperti.xml");
}
