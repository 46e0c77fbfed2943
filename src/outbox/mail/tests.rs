//! Every kind of mail as it is read, and templates of operators.

use std::path::Path;

use super::*;
use crate::domain::alert;

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mail/letters")
}

/// The letters that are kept as files, text and HTML, beside each other: one of each kind, begin and end, digest, reports, proof.
fn kept() -> Vec<(&'static str, Letter)> {
    vec![
        ("lotto-scartato", sample::one("LOTTO_SCARTATO")),
        ("lotto-parziale", sample::one("LOTTO_PARZIALE")),
        ("lotto-senza-dati", sample::bare("LOTTO_SCARTATO")),
        ("persona", sample::one("TENTATIVI_ESAURITI")),
        ("remoti-inizio", sample::one("SEND_NON_RAGGIUNGIBILE")),
        ("remoti-fine", sample::one("SEND_DI_NUOVO_RAGGIUNGIBILE")),
        ("chiavi-inizio", sample::one("CHIAVE_RIFIUTATA")),
        ("chiavi-fine", sample::one("ENTE_RIPRESO")),
        ("flusso-eventi", sample::one("FLUSSO_EVENTI_PERSO")),
        ("quote", sample::one("CHIAMATE_DEL_GIORNO_FINITE")),
        ("disco", sample::one("DISCO_QUASI_PIENO")),
        ("depositi", sample::one("DEPOSITO_MAI_COMPLETATO")),
        ("silenzio", sample::one("GESTIONALE_SILENZIOSO")),
        ("termini", sample::one("TERMINE_VICINO")),
        ("anomalie", sample::one("FATTO_INATTESO")),
        ("pagamenti", sample::one("PT_NON_RAGGIUNGIBILE")),
        ("riepilogo", sample::digest()),
        ("rapporto", sample::report()),
        ("rapporto-vuoto", sample::empty_report()),
        ("prova", sample::letter(AlertKind::Report, Content::Proof)),
    ]
}

/// `BLESS=1 cargo test --lib outbox::mail` writes them anew.
#[test]
fn every_kind_reads_as_it_is_kept() {
    let templates = Templates::default();
    for (name, letter) in kept() {
        let (rendered, fault) = templates.render(&letter);
        assert_eq!(fault, None, "{name}");
        let text = format!("Oggetto: {}\n\n{}", rendered.subject, rendered.text);
        for (ending, got) in [("txt", &text), ("html", &rendered.html)] {
            let path = folder().join(format!("{name}.{ending}"));
            if std::env::var_os("BLESS").is_some() {
                std::fs::create_dir_all(folder()).unwrap();
                std::fs::write(&path, got).unwrap();
            }
            assert_eq!(*got, std::fs::read_to_string(&path).unwrap_or_default(), "{}", path.display());
        }
    }
    let kinds: std::collections::BTreeSet<AlertKind> = kept().iter().map(|(_, letter)| letter.kind).collect();
    assert_eq!(kinds.len(), AlertKind::ALL.len(), "one of each kind");
}

#[test]
fn every_code_is_told_and_nothing_personal_or_from_outside_is_in_it() {
    let templates = Templates::default();
    for letter in sample::letters() {
        let (rendered, fault) = templates.render(&letter);
        let named = format!("{:?}", letter.content);
        assert_eq!(fault, None, "{named}");
        assert!(rendered.subject.starts_with("[messo") && !rendered.subject.contains('\n'), "{named}");
        for text in [&rendered.text, &rendered.html] {
            assert!(!text.contains("verbali_rossi") && !text.contains("mario"), "a name of a file or a person: {named}\n{text}");
            assert!(!text.contains("{{") && !text.contains("none") && !text.contains("undefined"), "{named}\n{text}");
        }
        for outside in ["http:", "https:", "<img", "<link", "<script", "url(", "src="] {
            assert!(!rendered.html.contains(outside), "{outside} in {named}");
        }
        assert!(!rendered.html.contains("Esempio & Frazioni"), "escaped: {named}");
        assert!(rendered.text.lines().all(|line| !line.ends_with(' ')) && !rendered.text.contains("\n\n\n"), "{named}\n{}", rendered.text);
    }
    assert!(sample::letters().len() > alert::CODES.len());
}

#[test]
fn templates_of_operators_take_the_place_of_ours_file_by_file() {
    let place = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(place.path().join(name), text).unwrap();
    write("avviso.txt", "Oggetto: {{ ente.nome if ente else 'tutti' }}: {{ titolo }}\n\nCiao, {{ avviso.frase }}\n");
    write("avviso-disco.html", "<p>{{ titolo }} {{ avviso.codice }}</p>");
    write("appunti.md", "niente");
    let (templates, faults) = Templates::load(Some(place.path()));
    assert_eq!(faults, []);
    let (own, _) = templates.render(&sample::one("SEND_NON_RAGGIUNGIBILE"));
    assert_eq!(own.subject, "Comune di Esempio & Frazioni: SEND non raggiungibile");
    assert!(own.text.starts_with("Ciao, SEND non risponde") && own.html.contains("<!DOCTYPE html>"), "{own:?}");
    assert_eq!(templates.render(&sample::one("DISCO_QUASI_PIENO")).0.html, "<p>Disco quasi pieno DISCO_QUASI_PIENO</p>");
    assert!(templates.render(&sample::report()).0.text.contains("LOTTI RICEVUTI: 24"));
}

#[test]
fn what_is_wrong_in_a_template_is_told_with_its_line_and_does_not_stop_the_mail() {
    let table: &[(&str, &str, u32, &str)] = &[
        ("avviso.txt", "Oggetto: x\n{% if %}\n", 2, "errore di sintassi"),
        ("avviso.txt", "Oggetto: x\n\n{{ avvisso.frase }}\n", 3, "«avvisso» non è un nome conosciuto"),
        ("avviso.txt", "Oggetto: x\n{{ avviso.fraze }}\n", 2, "un nome non esiste, o non ha valore"),
        ("rapporto.html", "<p>\n{{ rapporto.lotti[0].nome }}</p>\n", 2, "un nome non esiste, o non ha valore"),
        ("avviso.html", "{{ titolo | maiuscolo }}", 1, "filtro sconosciuto"),
        ("avviso.txt", "{{ titolo }}\n", 1, "la prima riga deve cominciare con «Oggetto:»"),
        ("avviso.html", "{% include \"altro.html\" %}", 1, "modello incluso che non esiste"),
        ("avviso.html", "{% for a in range(100000) %}{% for b in range(100000) %}{{ b }}{% endfor %}{% endfor %}", 1, ""),
        ("avviso.html", "{% for a in range(100000) %}{{ a }}{% endfor %}", 1, "scrive più di 256 KiB"),
        ("avvisi.txt", "Oggetto: x\n", 1, "nessun modello ha questo nome"),
    ];
    for (name, text, line, message) in table {
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join(name), text).unwrap();
        let (templates, faults) = Templates::load(Some(place.path()));
        assert!(!faults.is_empty() && faults.iter().all(|fault| fault.name == *name), "{text}: {faults:?}");
        assert!(faults.iter().any(|fault| fault.line == *line && fault.message.starts_with(message)), "{text}: {faults:?}");
        for letter in [sample::one("LOTTO_SCARTATO"), sample::report()] {
            let (rendered, _) = templates.render(&letter);
            assert_eq!(rendered, Templates::default().render(&letter).0, "{text}");
        }
    }
}

/// Whatever stands in a template or in an alert, the answer is a mail.
#[test]
fn hostile_values_are_words() {
    let mut letter = sample::one("TENTATIVI_ESAURITI");
    if let Content::One(notice) = &mut letter.content {
        notice.reference = Some("<script>alert(1)</script>\r\nBcc: x@y.it".to_owned());
        notice.about = "x".repeat(100_000);
        notice.data = serde_json::json!({"problems": [{"code": 7}, "no", {"code": "<b>"}], "acts": -1, "rejects": {}});
    }
    let (rendered, fault) = Templates::default().render(&letter);
    assert_eq!(fault, None);
    assert!(!rendered.html.contains("<script>") && !rendered.html.contains("<b>&lt;b") && rendered.html.len() < 20_000);
    assert!(!rendered.text.contains("\nBcc:"));
}
