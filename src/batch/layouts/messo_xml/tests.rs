//! Tests of `messo_xml`: hostile input is refused by name, good input read to the byte.

use jiff::civil::date;

use super::*;
use crate::batch::layouts::testing::{Reading, read, reject_files, rejected, write_rejects};
use crate::batch::problem::Code;
use crate::domain::act::{Action, Payment};
use crate::domain::amount_rule::{
    AmountPreset, AmountStep, Charge, CostBearers, CostPolicy, FromEvent, HolidayPolicy, PercentOf, Rounding, SanctionTable, StepAmount,
    WhoseCompletion,
};
use crate::domain::money::Cents;

const ACT: &str = "<atto><riferimento>A1</riferimento><oggetto>Verbale</oggetto></atto>";

fn batch(acts: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<lotto xmlns=\"urn:messo:lotto:1.0\">\n<intestazione><ente>01234567897</ente>\
         <flusso>cds</flusso><riferimento>L &amp; 1</riferimento><numeroAtti>1</numeroAtti></intestazione>\n{acts}\n</lotto>\n"
    )
}

fn reading(text: &str) -> Reading {
    read(&MessoXml, text.as_bytes(), "lotto.xml", &["lotto.xml"])
}

#[test]
fn a_whole_act_is_read_field_by_field() {
    let text = batch(
        "<atto>
  <riferimento>A  1</riferimento><azione>sostituisci</azione><oggetto> Verbale
     di   accertamento </oggetto>
  <importo>42.5</importo><scadenzaPagamento>2026-12-31</scadenzaPagamento><protocollo/>
</atto>"
            .replace("<protocollo/>", "")
            .as_str(),
    );
    let one = reading(&text);
    assert_eq!(one.found(&MessoXml), Vec::<String>::new());
    let act = &one.acts()[0].act;
    assert_eq!((act.reference.as_str(), act.action, act.subject.as_deref()), ("A  1", Action::Replace, Some("Verbale di accertamento")));
    assert_eq!((act.amount.map(|cents| cents.0), act.sender_tax_id.as_str()), (Some(4250), "01234567897"));
    let Parsed::Header(header) = &one.all[0] else { panic!() };
    assert_eq!((header.flow.as_deref(), header.reference.as_deref(), header.count), (Some("cds"), Some("L & 1"), Some(1)));

    let text = batch(
        "<atto><riferimento>B</riferimento><destinatari><destinatario><tipo>PG</tipo><codiceFiscale>01234567897</codiceFiscale>
<denominazione>ACME S.r.l.</denominazione><indirizzo><via>VIA ROMA 1</via><cap>00184</cap><comune>ROMA</comune><provincia>RM</provincia></indirizzo>
<pagamenti><f24><titolo>Saldo</titolo><applicaCosti>1</applicaCosti><metadati><file>f.json</file></metadati></f24>
<avviso><numero>302000000000000001</numero><creditore>01234567897</creditore><applicaCosti>false</applicaCosti></avviso></pagamenti></destinatario></destinatari>
<documenti><documento><file>a.pdf</file><condiviso>true</condiviso></documento></documenti>
<regolaImporto><base>100</base><costi>aggiunti</costi><passo><da>perfezionamento</da><giorni>5</giorni><percento>33.5</percento></passo></regolaImporto>
<posizione><importoMinimo>1.00</importoMinimo></posizione><eco><campo><nome>targa</nome><valore> AB 1 </valore></campo></eco></atto>",
    );
    let two = reading(&text);
    assert_eq!(two.found(&MessoXml), Vec::<String>::new());
    let act = &two.acts()[0].act;
    assert!(matches!(act.recipients[0].payments[0], Payment::F24 { apply_cost: true, .. }));
    assert!(matches!(act.recipients[0].payments[1], Payment::PagoPa { apply_cost: false, attachment: None, .. }));
    assert_eq!(act.amount_rule.as_ref().unwrap().steps[0].due, StepAmount::Percent(3350));
    assert_eq!((act.documents[0].file.as_str(), act.documents[0].shared), ("a.pdf", true));
    assert_eq!(act.echo, vec![("targa".to_owned(), "AB 1".to_owned())]);
    let place = &two.acts()[0].place;
    assert!(
        text[place.start as usize..place.end as usize].starts_with("<atto><riferimento>B")
            && text[..place.end as usize].ends_with("</atto>")
    );
}

fn with_rule(rule: &str) -> Reading {
    reading(&batch(&format!("<atto><riferimento>A1</riferimento><regolaImporto>{rule}</regolaImporto></atto>")))
}

#[test]
fn a_ready_made_rule_is_taken_and_changed() {
    let rule = |text: &str| {
        let read = with_rule(text);
        assert_eq!(read.found(&MessoXml), Vec::<String>::new(), "{text}");
        read.acts()[0].act.amount_rule.clone().unwrap()
    };
    assert_eq!(rule("<preset>cds</preset>"), AmountPreset::Cds.rule());
    let own = rule(
        "<preset>cds</preset><base>10</base><costi>non_aggiunti</costi><costiDi>tutti</costiDi><perfezionamento>ultimo</perfezionamento>
<festivi>non_sposta</festivi><arrotondamento>euro</arrotondamento><spese>12.5</spese><sanzione>omesso_versamento</sanzione>
<semestre>10</semestre><nonMenoDi>1</nonMenoDi><nonPiuDi>500</nonPiuDi><validaDal>2024-09-01</validaDal><validaAl>2026-12-31</validaAl>
<passo><da>perfezionamento</da><giorni>60</giorni><percento>100</percento><di>minimo</di><feriale>true</feriale></passo>
<passo><da>esecutivita</da><percento>100</percento><onere>6</onere><onereMassimo>600</onereMassimo></passo>",
    );
    assert_eq!((own.preset, own.base, own.costs), (Some(AmountPreset::Cds), Some(Cents(1_000)), CostPolicy::NotAdded));
    assert_eq!((own.bearers, own.completion, own.holidays), (CostBearers::All, WhoseCompletion::Last, HolidayPolicy::Stays));
    assert_eq!((own.rounding, own.extra, own.semester), (Rounding::Euro, Some(Cents(1_250)), Some(1_000)));
    assert_eq!((own.sanction, own.floor, own.ceiling), (Some(SanctionTable::OmittedPayment), Some(Cents(100)), Some(Cents(50_000))));
    assert_eq!((own.valid_from, own.valid_until), (Some(date(2024, 9, 1)), Some(date(2026, 12, 31))));
    let first = AmountStep::percent(FromEvent::Completion, Some(60), 10_000);
    let second = AmountStep::percent(FromEvent::Enforceable, None, 10_000);
    assert_eq!(own.steps[0], AmountStep { of: PercentOf::Minimum, summer: true, ..first });
    assert_eq!(own.steps[1], AmountStep { charge: Some(Charge { percent: 600, cap: Some(Cents(60_000)) }), ..second });
    // Empty optional elements say nothing, as everywhere.
    assert_eq!(rule("<preset>cds</preset><costiDi/><spese/><semestre/><validaDal/>"), AmountPreset::Cds.rule());
}

#[test]
fn a_rule_that_lacks_something_says_what() {
    const STEP: &str = "<passo><da>perfezionamento</da><percento>70</percento></passo>";
    let table: [(&str, &[&str]); 9] = [
        ("", &["base CAMPO_MANCANTE", "costi CAMPO_MANCANTE", "passo[1] CAMPO_MANCANTE"]),
        ("<base>1</base><costi>aggiunti</costi>", &["passo[1] CAMPO_MANCANTE"]),
        (&format!("<costi>aggiunti</costi>{STEP}"), &["base CAMPO_MANCANTE"]),
        (&format!("<base>1</base>{STEP}"), &["costi CAMPO_MANCANTE"]),
        ("<preset/>", &["preset CAMPO_MANCANTE"]),
        ("<preset>multe</preset>", &["preset VALORE_NON_AMMESSO"]),
        ("<preset>cds</preset><base/>", &["base CAMPO_MANCANTE"]),
        ("<base>1</base><preset>cds</preset>", &["preset CAMPO_NON_AMMESSO"]),
        (
            "<preset>cds</preset><passo><da>perfezionamento</da><percento>70</percento><onereMassimo>300</onereMassimo></passo>",
            &["passo[1]/onereMassimo CAMPO_NON_AMMESSO"],
        ),
    ];
    for (rule, want) in table {
        let want: Vec<String> = want.iter().map(|want| format!("4 /lotto/atto[1]/regolaImporto/{want}")).collect();
        assert_eq!(with_rule(rule).found(&MessoXml), want, "{rule}");
    }
}

#[test]
fn what_is_wrong_says_line_path_and_code_and_reading_goes_on() {
    let recipient = |rest: &str| {
        format!("<atto>\n<riferimento>A1</riferimento>\n<destinatari>\n<destinatario>{rest}</destinatario></destinatari></atto>")
    };
    let table = [
        ("<atto><oggetto>x</oggetto></atto>".to_owned(), "4 /lotto/atto[1]/riferimento CAMPO_MANCANTE"),
        ("<atto><riferimento>A1</riferimento><importo>1,50</importo></atto>".into(), "4 /lotto/atto[1]/importo IMPORTO_NON_VALIDO"),
        ("<atto><riferimento>A1</riferimento><targa>x</targa></atto>".into(), "4 /lotto/atto[1] ELEMENTO_SCONOSCIUTO"),
        ("<atto><riferimento>A1</riferimento><oggetto>a</oggetto><azione/></atto>".into(), "4 /lotto/atto[1]/azione CAMPO_NON_AMMESSO"),
        ("<atto><riferimento>A1</riferimento><riferimento>A2</riferimento></atto>".into(), "4 /lotto/atto[1]/riferimento CAMPO_DOPPIO"),
        ("<atto><riferimento>A1</riferimento><azione>invia</azione></atto>".into(), "4 /lotto/atto[1]/azione VALORE_NON_AMMESSO"),
        (
            recipient(
                "<tipo>PF</tipo><codiceFiscale>RSSMRA80A01H501U</codiceFiscale><denominazione>Rossi</denominazione><indirizzo><via>VIA ROMA 1</via></indirizzo>",
            ),
            "7 /lotto/atto[1]/destinatari/destinatario[1]/indirizzo/comune CAMPO_MANCANTE",
        ),
    ];
    for (act, want) in table {
        let read = reading(&batch(&format!("{act}{}", ACT.replace("A1", "Z"))));
        assert_eq!(read.found(&MessoXml), vec![want.to_owned()], "{act}");
        assert_eq!(read.acts().last().unwrap().act.reference, "Z", "{act}");
    }
}

#[test]
fn forbidden_and_broken_files_are_refused_whole() {
    let bomb = "<!DOCTYPE lotto [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;\">]>";
    let deep = format!("<atto><riferimento>A</riferimento>{}", "<x>".repeat(20));
    let flood: String = (0..100).map(|index| format!(" a{index}='1'")).collect();
    let long = format!("<atto><riferimento>{}", "x".repeat(2 << 20));
    let table = [
        (batch(ACT).replacen("<lotto", &format!("{bomb}<lotto"), 1), "XML_COSTRUTTO_VIETATO"),
        (batch("<atto><riferimento>&b;</riferimento></atto>"), "XML_COSTRUTTO_VIETATO"),
        (batch("<?php echo 1 ?>"), "XML_COSTRUTTO_VIETATO"),
        (batch(&deep), "XML_TROPPO_PROFONDO"),
        (batch(&format!("<atto{flood}></atto>")), "XML_COSTRUTTO_VIETATO"),
        (batch(&format!("<atto a='{}'></atto>", "x".repeat(2 << 20))), "XML_COSTRUTTO_VIETATO"),
        (batch(&format!("<!--{}-->", "x".repeat(2 << 20))), "XML_COSTRUTTO_VIETATO"),
        (batch(&long), "XML_COSTRUTTO_VIETATO"),
        (batch("<atto><riferimento>A</oggetto></atto>"), "XML_NON_BEN_FORMATO"),
        (batch("<atto><riferimento>&#1;</riferimento></atto>"), "XML_NON_BEN_FORMATO"),
        (batch("<atto><riferimento>\u{1}</riferimento></atto>"), "XML_NON_BEN_FORMATO"),
        (batch("<atto>").replace("</lotto>", ""), "XML_NON_BEN_FORMATO"),
        (batch(ACT) + "<lotto/>", "XML_NON_BEN_FORMATO"),
        (batch(ACT).replace("<ente>01234567897</ente>", ""), "CAMPO_MANCANTE"),
        (batch(ACT).replace("<flusso>cds</flusso>", "<flusso>C d S</flusso>"), "VALORE_NON_AMMESSO"),
        (batch(""), "LOTTO_VUOTO"),
        (batch("<lettera/>"), "ELEMENTO_SCONOSCIUTO"),
    ];
    for (text, want) in table {
        let refused = reading(&text).refused.map(|problem| problem.code.into_owned());
        assert_eq!(refused.as_deref(), Some(want), "{}", &text[..text.len().min(300)]);
    }
}

#[test]
fn an_endless_text_ends_in_a_refusal() {
    struct Endless(Vec<u8>, usize);
    impl Read for Endless {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let head = self.0.get(self.1..).unwrap_or_default();
            if head.is_empty() {
                into.fill(b' ');
                return Ok(into.len());
            }
            let count = head.len().min(into.len());
            into[..count].copy_from_slice(&head[..count]);
            self.1 += count;
            Ok(count)
        }
    }
    let mut input = Endless(b"<lotto xmlns='urn:messo:lotto:1.0'><intestazione>".to_vec(), 0);
    let context = ReadContext { file: "lotto.xml", organization: &|_| None, default_subject: None, names: &[] };
    let result = MessoXml.read(&mut input, &context, &mut |_| ControlFlow::Continue(()));
    assert!(matches!(result, Err(ReadError::Refused(problem)) if problem.code == Code::XmlForbidden.as_str()));
}

#[test]
fn rejects_come_back_as_the_same_acts_in_every_encoding_and_prefix() {
    let acts = "<atto><riferimento>A1</riferimento><oggetto>città</oggetto></atto>\n  <!-- nota --><atto>
    <riferimento>A2</riferimento><descrizione>perché &amp; quando</descrizione><scarto><codice>VECCHIO</codice></scarto>
  </atto><atto><riferimento>A3</riferimento></atto>";
    let plain = batch(acts);
    let prefixed = plain
        .replace("<lotto xmlns=", "<m:lotto xmlns:m=")
        .replace("</lotto>", "</m:lotto>")
        .replace("<atto>", "<m:atto>")
        .replace("</atto>", "</m:atto>");
    let mut full_prefix = String::new();
    for (index, part) in prefixed.split('<').enumerate() {
        if index > 0 {
            full_prefix.push('<');
        }
        let own = part.starts_with("m:") || part.starts_with("/m:") || part.starts_with(['?', '!']) || index == 0;
        match part.strip_prefix('/') {
            _ if own => full_prefix.push_str(part),
            Some(rest) => full_prefix.push_str(&format!("/m:{rest}")),
            None => full_prefix.push_str(&format!("m:{part}")),
        }
    }
    let latin: Vec<u8> = plain.replace("UTF-8", "ISO-8859-1").chars().map(|c| c as u8).collect();
    let utf16: Vec<u8> = std::iter::once(0xfeff).chain(plain.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    let table = [
        ("UTF-8", plain.clone().into_bytes()),
        ("with mark", [b"\xef\xbb\xbf", plain.as_bytes()].concat()),
        ("prefix", full_prefix.into_bytes()),
        ("Latin-1", latin),
        ("UTF-16", utf16),
    ];
    for (name, bytes) in table {
        let first = read(&MessoXml, &bytes, "lotto.xml", &["lotto.xml"]);
        assert_eq!((first.found(&MessoXml), first.acts().len()), (Vec::<String>::new(), 3), "{name}");
        let rejects: Vec<_> = first.acts()[1..].iter().map(|act| rejected(&act.place, &["a.pdf"])).collect();
        let out = write_rejects(&MessoXml, &bytes, &rejects);
        assert_eq!(
            (MessoXml.reject_batch_file(), reject_files(&MessoXml, &rejects)),
            ("lotto.xml", vec![vec!["a.pdf".to_owned()]; 2]),
            "{name}"
        );
        let text = String::from_utf8(out.clone()).unwrap();
        assert!(!text.contains("VECCHIO") && text.contains("motivo>Il CAP non è valido; &quot;"), "{name}: {text}");
        let again = read(&MessoXml, &out, "lotto.xml", &["lotto.xml"]);
        assert_eq!(again.found(&MessoXml), Vec::<String>::new(), "{name}: {text}");
        let acts = |reading: &Reading, from: usize| reading.acts()[from..].iter().map(|act| act.act.clone()).collect::<Vec<_>>();
        assert_eq!(acts(&again, 0), acts(&first, 1), "{name}: {text}");
        let Some(Parsed::Header(header)) = again.all.first() else { panic!("{name}") };
        assert_eq!((header.count, header.reference.as_deref()), (Some(2), Some("L & 1")), "{name}");
    }
}

#[test]
fn an_act_of_many_mebibytes_is_rejected_while_it_is_read() {
    use std::cell::Cell;

    /// Bytes read and not yet written again.
    struct Counted<'a, T>(T, &'a Cell<usize>);
    impl Read for Counted<'_, &[u8]> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let read = self.0.read(into)?;
            self.1.set(self.1.get() + read);
            Ok(read)
        }
    }
    impl io::Write for Counted<'_, &mut Vec<u8>> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.extend_from_slice(bytes);
            assert!(self.1.get() < self.0.len() + (1 << 20), "{} read, {} written", self.1.get(), self.0.len());
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let padding = format!("<!-- {} -->\n{}", "x".repeat(400 << 10), " ".repeat(300 << 10)).repeat(10);
    let old = "<scarto>\n<codice>VECCHIO</codice><motivo>x</motivo></scarto>";
    let acts = format!("<atto>\n<riferimento>A1</riferimento>{padding}<oggetto>Verbale</oggetto>{padding}{old} {old}\n</atto>");
    let text = batch(&acts);
    assert!(acts.len() > 8 << 20);
    let first = reading(&text);
    assert_eq!((first.found(&MessoXml), first.acts().len()), (Vec::<String>::new(), 1));
    let reject = rejected(&first.acts()[0].place, &[]);

    let (ahead, mut out) = (Cell::new(0), Vec::new());
    let mut rows = std::iter::once(Ok(reject));
    let mut rejects = RejectRows { count: 1, rows: &mut rows };
    MessoXml.write_rejects(&mut Counted(text.as_bytes(), &ahead), &mut rejects, &mut Counted(&mut out, &ahead)).unwrap();
    let out = String::from_utf8(out).unwrap();
    let want = acts.split(old).next().unwrap().trim_end();
    let at = out.find("<atto>").unwrap();
    assert!(out[at..].starts_with(want), "what is not an earlier reject is copied as it came");
    assert!(out[at + want.len()..].starts_with("\n    <scarto><codice>CAP_NON_VALIDO</codice>"), "{}", &out[at + want.len()..]);
    let again = reading(&out);
    assert_eq!((again.found(&MessoXml), &again.acts()[0].act), (Vec::new(), &first.acts()[0].act));
}
