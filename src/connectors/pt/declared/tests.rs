//! Descriptions read and refused; answers judged.

use super::answer::Meaning;
use super::definition::{Amounts, Dates};
use super::*;
use crate::connectors::pt::call::Answer;

const REST: &str = include_str!("../../../../config/pt/esempio-rest.toml");
const SOAP: &str = include_str!("../../../../config/pt/esempio-soap.toml");

fn faults(text: &str) -> Vec<(u32, String, DescriptionFault)> {
    match Definition::read(text, "pt.toml") {
        Ok(_) => Vec::new(),
        Err(faults) => faults.into_iter().map(|located| (located.line, located.key, located.fault)).collect(),
    }
}

#[test]
fn the_examples_are_without_problems() {
    assert_eq!(faults(REST), []);
    assert_eq!(faults(SOAP), []);
    let rest = Definition::read(REST, "").unwrap();
    assert!(rest.update.is_some() && rest.cancel.is_some());
    let soap = Definition::read(SOAP, "").unwrap();
    assert!(soap.update.is_some() && soap.cancel.is_none());
}

/// The line of the example that begins so.
fn line_of(text: &str, start: &str) -> u32 {
    text.lines().position(|line| line.trim_start().starts_with(start)).unwrap_or_else(|| panic!("{start}")) as u32 + 1
}

#[test]
fn what_is_wrong_is_told_with_its_line() {
    // What stands in the example, what takes its place, the line that is told (by how it begins), and the fault.
    let table: [(&str, &str, &str, &str); 19] = [
        ("amounts = \"punto\"", "amounts = \"euro\"", "amounts", "PAROLA_NON_AMMESSA"),
        ("format = \"json\"", "formato = \"json\"", "formato", "CHIAVE_SCONOSCIUTA"),
        ("kind = \"basic\"", "kind = \"api_key\"", "[access]", "`header` is missing"),
        ("amount = \"/importo\"", "amount = \"importo\"", "amount = ", "no place in an answer"),
        ("DA_PAGARE = \"PAGABILE\"", "DA_PAGARE = \"APERTA\"", "DA_PAGARE", "not one of PAGABILE"),
        ("NON_MODIFICABILE = \"conflitto\"", "NON_MODIFICABILE = \"boh\"", "NON_MODIFICABILE", "not one of sconosciuto"),
        ("notice = \"/avviso\"       ", "#", "[verify.answer]", "nothing in the answer tells"),
        ("state = \"/stato\"", "#", "[verify.answer]", "`state` is missing"),
        ("\"importo\": {{ importo }},", "\"importo\": {{ importo }}", "\"speseNotifica\"", "body: "),
        ("\"importo\": {{ importo }},", "\"importo\": {{ importi }},", "\"importo\"", "template: UnknownName importi"),
        (
            "{% if scadenza %}\"scadenza\": \"{{ scadenza }}\",{% endif %}",
            "\"scadenza\": \"{{ scadenza }}\",",
            "\"scadenza\"",
            "template: MayBeMissing",
        ),
        ("{{ letto.causale|json }}", "{{ letto.causal|json }}", "\"causale\"", "template: UnknownName"),
        ("{{ letto.debitore|json }}", "{% include \"/etc/passwd\" %}", "\"debitore\"", "template: Include"),
        ("{{ motivo }}", "{{ motivo|grida }}", "\"motivo\"", "template: UnknownFilter"),
        (
            "{{ motivo }}",
            "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}",
            "\"motivo\"",
            "template: TooManySteps",
        ),
        ("{{ motivo }}", "{{ motivo", "\"motivo\"", "template: Syntax"),
        ("path = \"/enti/{{ ente }}", "path = \"enti/{{ ente }}", "path = ", "the path does not begin"),
        ("path = \"/enti/{{ ente }}", "path = \"/{{ importo }}", "path = ", "template: UnknownName importo"),
        ("\"Idempotency-Key\" = \"{{ chiave }}\"", "\"Idempotency Key\" = \"x\"", "headers = ", "no header can be that"),
    ];
    for (from, to, line, fault) in table {
        assert!(REST.contains(from), "{from}");
        let text = REST.replacen(from, to, 1);
        let found = faults(&text);
        let told = found.iter().map(|(line, key, fault)| format!("{line} {key}: {fault}")).collect::<Vec<_>>().join("\n");
        let want = line_of(&text, line);
        assert!(
            found.iter().any(|(line, _, found)| *line == want && found.to_string().starts_with(fault)),
            "{to}: line {want}, {fault}, not\n{told}"
        );
    }
    let text = SOAP.replacen("</p:cercaPosizione>", "</p:cercaPosizioni>", 1);
    let found = faults(&text);
    assert!(matches!(found.as_slice(), [(_, _, DescriptionFault::Body { .. }), ..]), "{found:?}");
    assert_eq!(faults("").first().map(|(line, ..)| *line), Some(1));
    for broken in ["format = ", "[[verify]]", "verify = 3", "\u{0}", "[verify]\n[verify]"] {
        assert!(!faults(broken).is_empty(), "{broken:?}");
    }
}

fn settings(definition: &str, more: &str) -> PtConfig {
    toml::from_str(&format!("name = \"x\"\nkind = \"dichiarativo\"\nurl = \"http://127.0.0.1:1\"\ndefinition = \"{definition}\"\n{more}"))
        .unwrap()
}

#[test]
fn the_block_has_the_credentials_that_the_description_uses() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.toml");
    std::fs::write(&path, REST).unwrap();
    let path = path.display().to_string();
    assert_eq!(check(&settings(&path, "username = \"a\"\npassword = \"env:X\""), true), []);
    let found = check(&settings(&path, ""), true);
    assert_eq!(found.first().map(|located| &located.fault), Some(&DescriptionFault::Credential { key: "username" }));
    let found = check(&settings("/non/esiste.toml", ""), true);
    assert_eq!(found.len(), 1);
    std::fs::write(folder.path().join("x.toml"), REST.split("# ---- Modifica").next().unwrap()).unwrap();
    let login = settings(&path, "username = \"a\"\npassword = \"env:X\"");
    assert_eq!(check(&login, false), []);
    let found = check(&login, true);
    assert_eq!(found.first().map(|located| &located.fault), Some(&DescriptionFault::Wanted { key: "[update]" }));
}

#[test]
fn amounts_and_days_are_read_exactly_or_not_at_all() {
    use Amounts::{Cents as C, Comma, Point};
    let table = [
        (C, "1250", Some(1_250)),
        (C, "12.50", None),
        (C, "-1", None),
        (C, "100000000000", None),
        (Point, "12.5", Some(1_250)),
        (Point, "12", Some(1_200)),
        (Point, "12,50", None),
        (Point, "12.505", None),
        (Point, "1e3", None),
        (Comma, "1.234,56", Some(123_456)),
        (Comma, "12.50", None),
        (Comma, "-3,00", None),
        (Comma, "", None),
    ];
    for (form, text, want) in table {
        assert_eq!(answer::amount(form, text).map(Cents::get), want, "{form:?} {text:?}");
    }
    for cents in [1, 1_250, 99_999_999_999] {
        for form in [C, Point, Comma] {
            let written = template::amount(form, Cents(cents)).to_string().replace('"', "");
            assert_eq!(answer::amount(form, &written).map(Cents::get), Some(cents), "{form:?} {written}");
        }
    }
    let day = jiff::civil::date(2026, 2, 28);
    for form in [Dates::Iso, Dates::Italian, Dates::Compact] {
        assert_eq!(answer::day(form, &template::day(form, day)), Some(day), "{form:?}");
        for text in ["", "2026", "31/02/2026", "2026-02-31", "20260231", "àààààààààà", "00/00/0000"] {
            assert_eq!(answer::day(form, text), None, "{form:?} {text}");
        }
    }
    let table = [
        ("2026-07-01T10:00:00Z", Some("2026-07-01T10:00:00Z")),
        ("2026-07-01T10:00:00+02:00", Some("2026-07-01T08:00:00Z")),
        ("2026-07-01T10:00:00", Some("2026-07-01T08:00:00Z")),
        ("2026-12-01", Some("2026-11-30T23:00:00Z")),
        ("ieri", None),
    ];
    for (text, want) in table {
        assert_eq!(answer::instant(Dates::Iso, text).map(|at| at.to_string()).as_deref(), want, "{text}");
    }
}

#[test]
fn codes_and_statuses_have_one_meaning() {
    let definition = Definition::read(REST, "").unwrap();
    let update = definition.update.as_ref().unwrap();
    let said = |code: &str| format!("{{\"errore\":{{\"codice\":\"{code}\"}}}}");
    let table = [
        (200, "{\"avviso\":\"1\"}".to_owned(), true, "fine"),
        (204, String::new(), true, "fine"),
        (409, said("NON_MODIFICABILE"), true, "conflict: 409 NON_MODIFICABILE"),
        (200, said("NON_MODIFICABILE"), true, "conflict: 200 NON_MODIFICABILE"),
        (404, said("AVVISO_SCONOSCIUTO"), true, "not found"),
        (503, said("OCCUPATO"), true, "temporary (OCCUPATO)"),
        (400, said("ALTRO"), true, "refused for an unknown reason: 400 ALTRO"),
        (400, "boom".to_owned(), true, "refused for an unknown reason: 400 HTTP 400"),
        (409, String::new(), true, "conflict: 409 HTTP 409"),
        (500, "boom".to_owned(), true, "uncertain (HTTP 500)"),
        (500, "boom".to_owned(), false, "temporary (HTTP 500)"),
        (500, said("CRASH"), true, "uncertain (CRASH)"),
        (200, "boom".to_owned(), true, "uncertain (an answer that cannot be read)"),
        (200, "boom".to_owned(), false, "protocol: an answer that cannot be read"),
        (400, said("Mario Rossi <a@b.it>"), true, "refused for an unknown reason: 400 Mario Rossi ab.it"),
    ];
    for (status, body, writes, want) in table {
        let answer = Answer { status, body: body.clone().into() };
        let got = match answer::judge(update, definition.format, &answer, writes) {
            Ok(_) => "fine".to_owned(),
            Err(error) => error.to_string(),
        };
        assert_eq!(got, want, "{status} {body} {writes}");
    }
    // A code that says what the position is.
    let mut definition = Definition::read(REST, "").unwrap();
    let paid = Meaning::State(HeldState::Paid);
    definition.verify.errors.insert("GIA_PAGATO".to_owned(), paid);
    definition.update.as_mut().unwrap().errors.insert("GIA_PAGATO".to_owned(), paid);
    let answer = Answer { status: 200, body: said("GIA_PAGATO").into() };
    assert!(matches!(answer::judge(&definition.verify, definition.format, &answer, false), Ok(Told::State(HeldState::Paid))));
    let written = answer::judge(definition.update.as_ref().unwrap(), definition.format, &answer, true);
    assert!(matches!(written, Err(ConnectorError::Conflict(_))));
}

#[test]
fn what_goes_out_is_escaped_where_it_stands() {
    let definition = Definition::read(REST, "").unwrap();
    let mut view = View {
        ente: "c/e ?#&".to_owned(),
        avviso: "347250123456789084".to_owned(),
        cambio: Some(ChangeView { importo: "12.50".into(), costo: "0.00".into(), motivo: "a\"b\\c\n".to_owned(), ..ChangeView::default() }),
        ..View::default()
    };
    view.letto.insert("causale".to_owned(), serde_json::Value::Null);
    view.letto.insert("debitore".to_owned(), serde_json::json!({ "nome": "X \"Y\"" }));
    let update = definition.update.as_ref().unwrap();
    let path = definition.templates.render(&update.path, &view).unwrap();
    assert_eq!(path, "/enti/c%2Fe%20%3F%23%26/avvisi/347250123456789084");
    let body = definition.templates.render(update.body.as_ref().unwrap(), &view).unwrap();
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["motivo"], "a\"b\\c\n");
    assert_eq!(body["importo"], 12.5);
    assert_eq!((&body["causale"], &body["debitore"]["nome"]), (&serde_json::Value::Null, &"X \"Y\"".into()));
    let definition = Definition::read(SOAP, "").unwrap();
    view.cambio.as_mut().unwrap().motivo = "<b>&".to_owned();
    let body = definition.templates.render(definition.update.as_ref().unwrap().body.as_ref().unwrap(), &view).unwrap();
    assert!(body.contains("<p:motivo>&lt;b&gt;&amp;</p:motivo>"), "{body}");
}
