//! Tests of `messo_csv`: hostile input is refused by name, good input read to the byte.

use super::*;
use crate::batch::layouts::testing::{Reading, read, rejected, write_rejects};
use crate::domain::act::{Action, CommunicationType, Payment, RecipientType};

fn reading(text: &str) -> Reading {
    read(&MessoCsv, text.as_bytes(), "lotto.csv", &["lotto.csv"])
}

const HEADER: &str = "Riferimento;ENTE;azione;tipo_destinatario;codice_fiscale;denominazione;indirizzo;cap;comune;provincia;stato_estero;oggetto;importo;scadenza_pagamento;\
                      avviso_numero_1;avviso_creditore_1;avviso_applica_costi_1;f24_titolo_1;f24_applica_costi_1;f24_file_1;documento_file_1;documento_file_2;eco_1;tipo_comunicazione";

fn row(cells: &[(&str, &str)]) -> String {
    let value = |column: &str| cells.iter().find(|(name, _)| name.eq_ignore_ascii_case(column)).map_or("", |(_, value)| value);
    HEADER.split(';').map(value).collect::<Vec<_>>().join(";")
}

fn person<'a>(reference: &'a str, tax_id: &'a str, more: &[(&'a str, &'a str)]) -> String {
    let mut cells = more.to_vec();
    cells.extend([
        ("riferimento", reference),
        ("ente", "01234567897"),
        ("tipo_destinatario", "PF"),
        ("codice_fiscale", tax_id),
        ("denominazione", "Mario Rossi"),
        ("indirizzo", "VIA ROMA 1"),
        ("cap", "00184"),
        ("comune", "ROMA"),
        ("provincia", "RM"),
    ]);
    row(&cells)
}

#[test]
fn rows_of_one_act_become_its_recipients() {
    let text = [
        HEADER.to_owned(),
        person(
            "A1",
            "RSSMRA80A01H501U",
            &[
                ("oggetto", "Verbale"),
                ("importo", "1.234,56"),
                ("scadenza_pagamento", "31/12/2026"),
                ("documento_file_1", r"pdf\a.pdf"),
                ("eco_1", "AB123CD"),
                ("tipo_comunicazione", "890"),
                ("avviso_numero_1", "302000000000000001"),
                ("avviso_creditore_1", "01234567897"),
                ("avviso_applica_costi_1", "SI"),
                ("f24_titolo_1", "Saldo"),
                ("f24_applica_costi_1", "falso"),
                ("f24_file_1", "f.json"),
            ],
        ),
        person("A1", "BNCLRA85D41F205X", &[("avviso_creditore_1", "01234567897"), ("ente", "")]),
        row(&[("riferimento", "A2"), ("ente", "01234567897"), ("azione", "Annulla"), ("avviso_creditore_1", "01234567897")]),
        ";".repeat(23),
    ]
    .join("\r\n");
    let reading = reading(&text);
    assert_eq!(reading.found(&MessoCsv), Vec::<String>::new());
    let [first, second] = reading.acts()[..] else { panic!("{:?}", reading.all) };
    let act = &first.act;
    assert_eq!((act.recipients.len(), act.amount.map(|cents| cents.0), act.subject.as_deref()), (2, Some(123_456), Some("Verbale")));
    assert_eq!((act.documents[0].file.as_str(), act.communication_type), ("pdf/a.pdf", Some(CommunicationType::Act890)));
    assert_eq!(act.echo, vec![("eco_1".to_owned(), "AB123CD".to_owned())]);
    assert!(matches!(&act.recipients[0].payments[..], [Payment::PagoPa { apply_cost: true, .. }, Payment::F24 { apply_cost: false, .. }]));
    assert!(act.recipients[1].payments.is_empty());
    assert_eq!((first.place.row, first.place.recipient_rows.as_slice()), (2, &[2, 3][..]));
    assert!(text[first.place.start as usize..first.place.end as usize].ends_with(";"));
    assert_eq!((second.act.action, second.act.recipients.len(), second.place.row), (Action::Cancel, 0, 4));
    let f24 = Field::of_nth(fields::F24_FILE, 0, 0);
    assert_eq!(MessoCsv.locate(f24, &first.place), "f24_file_1");
}

#[test]
fn a_row_may_name_a_ready_made_rule_or_state_its_own() {
    use crate::domain::amount_rule::{AmountPreset, AmountStep, Charge, CostPolicy, FromEvent, PercentOf, WhoseCompletion};
    use crate::domain::money::Cents;
    let of = |columns: &str, cells: &str| reading(&format!("riferimento;ente;azione;{columns}\nA1;01234567897;;{cells}\n"));
    let rule = |columns: &str, cells: &str| {
        let read = of(columns, cells);
        assert_eq!(read.found(&MessoCsv), Vec::<String>::new(), "{columns}");
        read.acts()[0].act.amount_rule.clone()
    };
    assert_eq!(rule("regola_preset", "CDS"), Some(AmountPreset::Cds.rule()));
    assert_eq!(rule("regola_preset", ""), None);
    let own = rule(
        "regola_preset;regola_spese;regola_semestre;regola_perfezionamento;regola_valida_dal;regola_non_piu_di",
        "cds;12,50;10;ultimo;01/09/2024;1.000,00",
    );
    let own = own.unwrap();
    assert_eq!((own.extra, own.semester, own.completion), (Some(Cents(1_250)), Some(1_000), WhoseCompletion::Last));
    assert_eq!((own.valid_from, own.ceiling), (Some(jiff::civil::date(2024, 9, 1)), Some(Cents(100_000))));
    assert_eq!(own.steps, AmountPreset::Cds.rule().steps);
    let stated = rule(
        "regola_base;regola_costi;regola_da_1;regola_giorni_1;regola_percento_1;regola_di_1;regola_feriale_1;regola_da_2;regola_percento_2;regola_onere_2;\
         regola_onere_massimo_2",
        "42,00;aggiunti;perfezionamento;60;100;minimo;SI;esecutivita;100;3;300,00",
    );
    let stated = stated.unwrap();
    assert_eq!((stated.preset, stated.base, stated.costs), (None, Some(Cents(4_200)), CostPolicy::Added));
    let first = AmountStep::percent(FromEvent::Completion, Some(60), 10_000);
    let second = AmountStep::percent(FromEvent::Enforceable, None, 10_000);
    assert_eq!(stated.steps[0], AmountStep { of: PercentOf::Minimum, summer: true, ..first });
    assert_eq!(stated.steps[1], AmountStep { charge: Some(Charge { percent: 300, cap: Some(Cents(30_000)) }), ..second });
    let table = [
        ("regola_preset", "multe", "2 regola_preset VALORE_NON_AMMESSO"),
        ("regola_preset;regola_spese", "cds;12.50", "2 regola_spese IMPORTO_NON_VALIDO"),
        ("regola_preset;regola_semestre", "cds;dieci", "2 regola_semestre NUMERO_NON_VALIDO"),
        ("regola_preset;regola_valida_al", "cds;31/02/2026", "2 regola_valida_al DATA_NON_VALIDA"),
        (
            "regola_preset;regola_da_1;regola_percento_1;regola_feriale_1",
            "cds;perfezionamento;70;forse",
            "2 regola_feriale_1 VALORE_NON_AMMESSO",
        ),
    ];
    for (columns, cells, want) in table {
        assert_eq!(of(columns, cells).found(&MessoCsv), vec![want.to_owned()], "{columns}: {cells}");
    }
}

#[test]
fn every_mistake_says_row_column_and_code() {
    let rossi = |more: &[(&'static str, &'static str)]| person("A1", "RSSMRA80A01H501U", more);
    let second = |more: &[(&'static str, &'static str)]| person("A1", "BNCLRA85D41F205X", more);
    let table: Vec<(Vec<String>, Vec<&str>)> = vec![
        (vec![rossi(&[("oggetto", "uno")]), second(&[("oggetto", "due")])], vec!["3 oggetto RIGHE_DISCORDANTI"]),
        (vec![rossi(&[("documento_file_1", "a")]), second(&[("documento_file_2", "b")])], vec!["3 documento_file_2 RIGHE_DISCORDANTI"]),
        (
            vec![rossi(&[]), person("A2", "BNCLRA85D41F205X", &[]), second(&[])],
            vec!["4 riferimento RIGHE_NON_ADIACENTI", "2 prosegue alla 4"],
        ),
        (vec![rossi(&[]), person("", "BNCLRA85D41F205X", &[])], vec!["3 riferimento CAMPO_MANCANTE"]),
        (vec![person("", "RSSMRA80A01H501U", &[])], vec!["2 riferimento CAMPO_MANCANTE"]),
        (vec![rossi(&[("cap", "184")])], vec!["2 cap ZERI_INIZIALI_PERSI"]),
        (vec![rossi(&[("cap", "6900"), ("stato_estero", "SVIZZERA")])], vec![]),
        (vec![person("A1", "1234567897", &[("tipo_destinatario", "PG")])], vec!["2 codice_fiscale ZERI_INIZIALI_PERSI"]),
        (
            vec![rossi(&[("avviso_numero_1", "3,02E+17"), ("avviso_creditore_1", "01234567897"), ("avviso_applica_costi_1", "1")])],
            vec!["2 avviso_numero_1 NUMERO_NON_VALIDO"],
        ),
        (
            vec![rossi(&[("avviso_numero_1", "302000000000000001")])],
            vec!["2 avviso_creditore_1 CAMPO_MANCANTE", "2 avviso_applica_costi_1 CAMPO_MANCANTE"],
        ),
        (
            vec![rossi(&[
                ("avviso_numero_1", "302000000000000001"),
                ("avviso_creditore_1", "01234567897"),
                ("avviso_applica_costi_1", "NO"),
                ("f24_titolo_1", "Saldo"),
                ("f24_applica_costi_1", "forse"),
            ])],
            vec!["2 f24_applica_costi_1 VALORE_NON_AMMESSO", "2 f24_file_1 CAMPO_MANCANTE"],
        ),
        (vec![rossi(&[("documento_file_2", "b.pdf")])], vec!["2 documento_file_1 CAMPO_MANCANTE"]),
        (vec![rossi(&[("importo", "12.50")])], vec!["2 importo IMPORTO_NON_VALIDO"]),
        (vec![rossi(&[("scadenza_pagamento", "31/02/2026")])], vec!["2 scadenza_pagamento DATA_NON_VALIDA"]),
        (vec![rossi(&[("azione", "invia")])], vec!["2 azione VALORE_NON_AMMESSO"]),
        (vec![rossi(&[]) + ";in più"], vec!["2 (colonna senza nome) NUMERO_COLONNE_DIVERSO"]),
        (vec!["A1;01234567897;annulla".into()], vec!["2 (colonna senza nome) NUMERO_COLONNE_DIVERSO"]),
        (vec![rossi(&[("oggetto", "\"Verbale\"x")])], vec!["2 (colonna senza nome) CSV_NON_VALIDO"]),
        (vec![rossi(&[]), rossi(&[("oggetto", "\"aperte")])], vec!["3 - CSV_NON_VALIDO"]),
        (vec![], vec!["- - LOTTO_VUOTO"]),
    ];
    for (rows, want) in table {
        let text = [vec![HEADER.to_owned()], rows].concat().join("\n");
        let reading = reading(&text);
        assert_eq!(reading.found(&MessoCsv), want, "{text}");
    }
    let rows: Vec<String> = (0..20).map(|_| second(&[])).collect();
    let many = reading(&[vec![HEADER.to_owned()], rows].concat().join("\n"));
    assert_eq!(many.found(&MessoCsv), vec!["17 codice_fiscale TROPPI_DESTINATARI"]);
    assert_eq!(many.acts()[0].act.recipients.len(), 15);
}

/// Habits of spreadsheets and exports: read when they can mean one thing only, told when the value is no longer the one written.
#[test]
fn habits_that_can_mean_one_thing_are_read() {
    let notice = [("avviso_creditore_1", "01234567897"), ("avviso_applica_costi_1", "SI'")];
    let rossi = |more: &[(&'static str, &'static str)]| person("A1", "RSSMRA80A01H501U", more);
    let table: Vec<(String, Vec<&str>)> = vec![
        (rossi(&[("importo", "€ 1.234,56")]), vec![]),
        (rossi(&[("importo", "42,0000"), ("scadenza_pagamento", "14/09/2026 0.00.00")]), vec![]),
        (rossi(&[("scadenza_pagamento", "14/09/2026 10.30.00")]), vec!["2 scadenza_pagamento DATA_NON_VALIDA"]),
        (rossi(&[("importo", "42,000")]), vec!["2 importo IMPORTO_NON_VALIDO"]),
        (rossi(&[("cap", "'00184"), ("provincia", "rm")]), vec![]),
        (rossi(&[("tipo_comunicazione", "\"ar\n\"")]), vec![]),
        (person("A1", "rss mra 80a01 h501u", &[]), vec![]),
        (person("A1", "IT01234567897", &[("tipo_destinatario", "pg")]), vec!["2 codice_fiscale CODICE_FISCALE_NON_VALIDO"]),
        (rossi(&[("avviso_numero_1", "3020 0000 0000 0001 84"), notice[0], notice[1]]), vec![]),
        (rossi(&[("avviso_numero_1", "302000002600000000"), notice[0], notice[1]]), vec!["2 avviso_numero_1 NUMERO_NON_VALIDO"]),
    ];
    for (row, want) in table {
        let read = reading(&format!("{HEADER}\n{row};;;\n;;;;\n"));
        assert_eq!((read.found(&MessoCsv), read.acts().len()), (want.iter().map(|one| (*one).to_owned()).collect(), 1), "{row}");
    }
    let read = reading(&format!("{HEADER};pec\n{};mailto:a@pec.it \n", rossi(&[])));
    assert_eq!(read.found(&MessoCsv), ["2 pec PEC_NON_VALIDA"]);
    let act = read.acts()[0];
    assert_eq!(act.act.recipients[0].pec.as_deref(), Some("a@pec.it"));
    assert_eq!((act.findings[0].severity, act.findings[0].expected.as_deref()), (Severity::Warning, Some("a@pec.it")));
    let rounded = reading(&format!("{HEADER}\n{}", rossi(&[("avviso_numero_1", "302000002600000000"), notice[0], notice[1]])));
    let told = rounded.acts()[0].findings[0].clone();
    assert_eq!((told.severity, told.expected.is_some_and(|hint| hint.contains("Excel"))), (Severity::Error, true));
}

/// The office opens the original in Excel, writes the order and saves: what Excel did to the other cells harms nobody.
#[test]
fn the_row_of_an_order_is_judged_by_what_counts_in_it() {
    let spoilt = [
        ("cap", "184"),
        ("avviso_numero_1", "3,02E+17"),
        ("importo", "12.50"),
        ("denominazione", ""),
        ("tipo_destinatario", "persona"),
        ("scadenza_pagamento", "45717"),
        ("documento_file_2", "b.pdf"),
        ("oggetto", "x"),
    ];
    let first = |action: &'static str, more: &[(&'static str, &'static str)]| {
        let cells = [more, &[("azione", action)], &spoilt].concat();
        person("A1", "1234567897", &cells)
    };
    let orders = ["annulla", "Sospendi", "RIPRENDI"];
    for action in orders {
        let read = reading(&[HEADER, &first(action, &[]), &first("", &[("oggetto", "y")])].join("\n"));
        assert_eq!((read.found(&MessoCsv), read.acts().len()), (vec![], 1), "{action}");
        assert!(read.acts()[0].act.action.is_bare() && read.acts()[0].act.reference == "A1", "{action}");
    }
    for action in ["modifica", "sostituisci", "inserisci", "", "anulla"] {
        let found = reading(&[HEADER, &first(action, &[])].join("\n")).found(&MessoCsv);
        for told in ["cap ZERI_INIZIALI_PERSI", "avviso_numero_1 NUMERO_NON_VALIDO", "importo IMPORTO_NON_VALIDO"] {
            assert!(found.contains(&format!("2 {told}")), "{action}: {told} in {found:?}");
        }
    }
    let header = format!("{HEADER};sospensione_dal;");
    let table: [(String, &[&str]); 7] = [
        (first("annulla", &[]) + ";;;in più", &["2 (colonna senza nome) NUMERO_COLONNE_DIVERSO"]),
        (first("annulla", &[]) + ";;senza nome", &["2 (colonna senza nome) COLONNA_MANCANTE"]),
        (first("annulla", &[("ente", "1234567897")]) + ";;", &["2 ente ZERI_INIZIALI_PERSI"]),
        (first("annulla", &[("riferimento", "2,02601E+11")]) + ";;", &["2 riferimento NUMERO_NON_VALIDO"]),
        (first("sospendi", &[]) + ";31/02/2026;", &["2 sospensione_dal DATA_NON_VALIDA"]),
        (first("annulla", &[("oggetto", "\"Verbale\"x")]) + ";;", &["2 (colonna senza nome) CSV_NON_VALIDO"]),
        (format!("{};;\n{};;", first("annulla", &[]), first("inserisci", &[])), &["3 azione RIGHE_DISCORDANTI"]),
    ];
    for (rows, want) in table {
        assert_eq!(reading(&format!("{header}\n{rows}")).found(&MessoCsv), want, "{rows}");
    }
}

#[test]
fn headers_are_matched_by_name_and_told_apart() {
    let table = [
        ("riferimento;ente;azione;Note;;\nA1;01234567897;annulla;x;;\n", vec!["1 note COLONNA_SCONOSCIUTA"]),
        ("riferimento;ente;azione;\nA1;01234567897;annulla;x\n", vec!["2 (colonna senza nome) COLONNA_MANCANTE"]),
        ("riferimento;azione\nA1;annulla\n", vec!["1 ente COLONNA_MANCANTE"]),
        ("riferimento;ente;ENTE\nA1;1;1\n", vec!["1 ente COLONNA_DOPPIA"]),
        ("\u{feff} Riferimento ;\u{a0}ENTE\u{a0};Azione;Codice Fiscale;modalità-pagoPA\nA1;01234567897;annulla;;\n;;;;\n", vec![]),
        (
            "riferimento;ente;azione;codice_fiscale;Codice  fiscale\nA1;01234567897;annulla;;x\n",
            vec!["1 codice  fiscale COLONNA_SCONOSCIUTA"],
        ),
        ("riferimento;ente;azione;codice fiscale;Codice-Fiscale\nA1;01234567897;annulla;;x\n", vec!["1 codice-fiscale COLONNA_DOPPIA"]),
        ("riferimento\tente\tazione\t\nA1\t01234567897\tannulla\n\t\t\t\n", vec!["2 (colonna senza nome) NUMERO_COLONNE_DIVERSO"]),
        ("sep=,\nriferimento,ente,azione,esito_codice,esito_motivo\nA1,01234567897,annulla,X,perché\n", vec![]),
        ("riferimento;ente;azione;documento_file_16\nA1;01234567897;annulla;\n", vec!["1 documento_file_16 COLONNA_SCONOSCIUTA"]),
    ];
    for (text, want) in table {
        assert_eq!(reading(text).found(&MessoCsv), want, "{text}");
    }
    for name in fields::ALL {
        let slot = Slot::ALL.iter().find(|slot| slot.name() == *name).unwrap();
        let column = MessoCsv.locate(Field { name, recipient: Some(0), item: Some(1) }, &Place::default());
        assert_eq!(slot_of(&column), Some((*slot, usize::from(most(slot.part()) > 0))), "{column}");
    }
}

#[test]
fn rejects_come_back_as_the_same_acts_in_every_encoding() {
    let rows = [
        HEADER.to_owned(),
        person("A1", "RSSMRA80A01H501U", &[("oggetto", "Verbale")]),
        person("A2", "RSSMRA80A01H501U", &[("oggetto", "\"Città; \"\"alta\"\"\"")]),
        person("A2", "BNCLRA85D41F205X", &[]),
        person("A3", "BNCLRA85D41F205X", &[("oggetto", "Perché")]),
    ];
    let text = rows.join("\n");
    let windows: Vec<u8> = text.chars().map(|c| c as u8).collect();
    let table = [
        ("UTF-8", text.clone().into_bytes()),
        ("with mark", [b"\xef\xbb\xbf", text.as_bytes()].concat()),
        ("sep", format!("sep=;\r\n{text}").into_bytes()),
        ("Windows-1252", windows),
    ];
    for (name, bytes) in table {
        let first = read(&MessoCsv, &bytes, "lotto.csv", &["lotto.csv"]);
        assert_eq!((first.found(&MessoCsv), first.acts().len()), (Vec::<String>::new(), 3), "{name}");
        let rejects: Vec<_> = [0, 1].map(|index| rejected(&first.acts()[index].place, &["a.pdf"])).to_vec();
        let out = write_rejects(&MessoCsv, &bytes, &rejects);
        let again = read(&MessoCsv, &out, "lotto.csv", &["lotto.csv"]);
        let shown = String::from_utf8_lossy(&out).into_owned();
        assert_eq!(again.found(&MessoCsv), Vec::<String>::new(), "{name}: {shown}");
        let acts = |reading: &Reading| reading.acts().iter().take(2).map(|act| act.act.clone()).collect::<Vec<_>>();
        assert_eq!((again.acts().len(), acts(&again)), (2, acts(&first)), "{name}: {shown}");
        // A second refusal replaces the columns instead of adding two more.
        let rejects: Vec<_> = again.acts().iter().map(|act| rejected(&act.place, &[])).collect();
        assert_eq!(write_rejects(&MessoCsv, &out, &rejects), out, "{name}");
    }
}

#[test]
fn a_recipient_without_type_still_meets_the_other_rules() {
    let text = format!("{HEADER}\n{}", person("A1", "01234567897", &[("tipo_destinatario", "XX")]));
    let reading = reading(&text);
    assert_eq!(reading.found(&MessoCsv), vec!["2 tipo_destinatario VALORE_NON_AMMESSO"]);
    assert_eq!(reading.acts()[0].act.recipients[0].recipient_type, RecipientType::Pg);
}
