//! What every code means: the sentence of a receipt, the cause and what to do. `docs/codici.md` is rendered from here.
//!
//! Codes of messo are [`Code`]; SEND's own refusals have a list beside them ([`refusal_sentence`]).

mod refusals;
mod table;

use crate::batch::problem::{Code, Problem};

pub use refusals::{REFUSALS, refusal_remedy, refusal_sentence};
use table::entry;

/// The texts of a code.
struct Entry {
    /// What is wrong, without a full stop.
    what: &'static str,
    /// How the limit or the wanted value is told; `{}` stands for it.
    wanted: &'static str,
    /// Why it happens.
    cause: &'static str,
    /// What to do.
    remedy: &'static str,
}

/// What is wrong, in one Italian sentence: with what was found and what was wanted, when the problem tells them.
pub fn sentence(problem: &Problem) -> String {
    let found = problem.found.as_deref().filter(|found| !found.is_empty());
    let wanted = problem.expected.as_deref().filter(|wanted| !wanted.is_empty());
    let Some(code) = Code::parse(&problem.code) else {
        let base = refusal_sentence(&problem.code)
            .map_or_else(|| format!("Problema {}", problem.code), |text| text.trim_end_matches('.').to_owned());
        return compose(&base, found, wanted, "atteso: {}");
    };
    let entry = entry(code);
    compose(entry.what, found, wanted, entry.wanted)
}

fn compose(what: &str, found: Option<&str>, wanted: Option<&str>, template: &str) -> String {
    let mut out = what.to_owned();
    if let Some(found) = found {
        out.push_str(": «");
        out.push_str(found);
        out.push('»');
    }
    if let Some(wanted) = wanted {
        out.push_str(" (");
        out.push_str(&template.replace("{}", wanted));
        out.push(')');
    }
    out.push('.');
    out
}

/// What the office must do about `code`, in one or two Italian sentences.
pub fn remedy(code: Code) -> &'static str {
    entry(code).remedy
}

/// What usually brings `code` about, in one Italian sentence.
pub fn cause(code: Code) -> &'static str {
    entry(code).cause
}

/// The first code of each part of `docs/codici.md`, with its title.
const PARTS: &[(Code, &str)] = &[
    (Code::NotAnArchive, "Il file depositato e il lotto"),
    (Code::XmlMalformed, "La lettura delle righe"),
    (Code::ReferenceInvalid, "L'atto"),
    (Code::RecipientsMissing, "I destinatari"),
    (Code::NoticeInvalid, "I pagamenti"),
    (Code::DocumentMissing, "I documenti"),
];

/// The tables of `docs/codici.md` that follow from the code: messo's own codes, then SEND's.
pub fn render_codes() -> String {
    let mut out = String::new();
    for code in Code::ALL {
        if let Some((_, title)) = PARTS.iter().find(|(first, _)| first == code) {
            out.push_str(&format!(
                "\n### {title}\n\n| codice | che cosa vuol dire | perché succede | che cosa fare |\n|---|---|---|---|\n"
            ));
        }
        let Entry { what, cause, remedy, .. } = entry(*code);
        out.push_str(&format!("| `{}` | {what}. | {cause} | {remedy} |\n", code.as_str()));
    }
    out.push_str("\n## Rifiuti di SEND\n\n| codice di SEND | che cosa vuol dire | che cosa fare |\n|---|---|---|\n");
    for refusal in REFUSALS {
        out.push_str(&format!("| `{}` | {} | {} |\n", refusal.code, refusal.sentence, refusal.remedy));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::problem::Severity;

    fn problem(code: &'static str, found: Option<&str>, expected: Option<&str>) -> Problem {
        Problem {
            file: "lotto.csv".to_owned(),
            row: Some(2),
            column: None,
            code: code.into(),
            severity: Severity::Error,
            found: found.map(str::to_owned),
            expected: expected.map(str::to_owned),
            act: None,
        }
    }

    #[test]
    fn sentences_say_what_was_found_and_wanted() {
        let table = [
            ("CAMPO_MANCANTE", None, None, "Un campo obbligatorio è vuoto o manca."),
            ("CAMPO_TROPPO_LUNGO", Some("abc"), Some("134"), "Il testo è troppo lungo: «abc» (al massimo 134 caratteri)."),
            (
                "RIFERIMENTO_DOPPIO",
                Some("CDS-1"),
                Some("riga 12"),
                "Lo stesso riferimento compare due volte nel lotto: «CDS-1» (anche alla riga 12).",
            ),
            ("NOT_VALID_ADDRESS", None, None, "SEND non riconosce l'indirizzo del destinatario."),
            ("MAI_VISTO", Some("x"), None, "Problema MAI_VISTO: «x»."),
        ];
        for (code, found, expected, want) in table {
            assert_eq!(sentence(&problem(code, found, expected)), want, "{code}");
        }
    }

    #[test]
    fn every_code_has_a_sentence_a_cause_and_a_remedy() {
        for code in Code::ALL {
            let Entry { what, wanted, cause, remedy } = entry(*code);
            let word = code.as_str();
            assert!(what.len() > 10 && !what.ends_with('.'), "{word}: {what}");
            assert!(wanted.contains("{}"), "{word}: {wanted}");
            assert!(cause.ends_with('.') && remedy.ends_with('.'), "{word}: {cause} {remedy}");
            assert!(!format!("{what}{cause}{remedy}").contains('|'), "{word}");
        }
        let mut words: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), Code::ALL.len(), "two codes with one word");
    }

    /// The document holds exactly what the code says, between two marks; what stands outside them is written by hand.
    /// To write it anew: `MESSO_SCRIVI_CODICI=1 cargo test --lib text::it::problems`.
    #[test]
    fn the_document_lists_every_code() {
        const START: &str = "<!-- codici: inizio (generati dal programma) -->\n";
        const END: &str = "<!-- codici: fine -->\n";
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/codici.md");
        let document = std::fs::read_to_string(path).unwrap();
        let (head, rest) = document.split_once(START).unwrap();
        let (tables, tail) = rest.split_once(END).unwrap();
        if std::env::var_os("MESSO_SCRIVI_CODICI").is_some() {
            std::fs::write(path, format!("{head}{START}{}{END}{tail}", render_codes())).unwrap();
        } else {
            assert_eq!(tables, render_codes(), "docs/codici.md is not what the code says");
        }
    }
}
