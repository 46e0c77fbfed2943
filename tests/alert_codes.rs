//! Every code that is raised is known to `domain::alert` or is the reason of a parked act, and has words; every code that is known
//! is raised somewhere.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a failed step ends the test")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use messo::domain::alert;
use messo::text::it::parking;

/// Sources of the product, tests apart.
fn sources() -> Vec<(PathBuf, String)> {
    fn walk(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            if path.is_dir() {
                if name != "tests" && name != "sandbox" {
                    walk(&path, found);
                }
            } else if name.ends_with(".rs") && name != "tests.rs" {
                let text = std::fs::read_to_string(&path).unwrap();
                let code = text.split("#[cfg(test)]\nmod tests").next().unwrap().to_owned();
                found.push((path, code));
            }
        }
    }
    let mut found = Vec::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    assert!(found.len() > 100);
    found
}

fn literal(text: &str) -> Option<&str> {
    let (word, _) = text.trim_start().strip_prefix('"')?.split_once('"')?;
    is_code(word).then_some(word)
}

fn is_code(word: &str) -> bool {
    word.len() > 4 && word.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_' || byte.is_ascii_digit())
}

/// `const NAME: &str = "CODE";` of a file: a name may stand for one in each of its modules.
fn constants(text: &str) -> BTreeMap<&str, BTreeSet<&str>> {
    let mut found: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for rest in text.split("const ").skip(1) {
        if let Some((name, value)) = rest.split_once(": &str = ")
            && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
            && let Some(code) = literal(value)
        {
            found.entry(name).or_default().insert(code);
        }
    }
    found
}

/// What stands before the code, wherever operators are told.
const RAISED: &[&str] = &[
    "raise_alert(db, ",
    "raise_alert_for(db, ",
    ".alert(",
    "alert(hub, ",
    "Alert::new(",
    "Notice::of_source(",
    "Notice::of_sender(",
    "Notice::of_batch(",
    "trouble_begins(",
    "trouble_ends(",
    "quota_reached(db, ",
    "park_act(db, &act, ",
    "park_unreadable(db, act, ",
    "Person { code: ",
    "person(",
    "notice(",
    ".flag(",
    "flags.push(",
    "PositionStep::park(",
];

/// What reaches those by another way: the code, the file that hands it over, the words with which it does.
const HANDED_OVER: &[(&str, &str, &str)] = &[
    ("LOTTO_SCARTATO", "src/store/batches.rs", "ReceiptState::Rejected => Some(\"LOTTO_SCARTATO\")"),
    ("LOTTO_PARZIALE", "src/store/batches.rs", "ReceiptState::Partial => Some(\"LOTTO_PARZIALE\")"),
    ("DEPOSITO_MAI_COMPLETATO", "src/service/ingest/incomplete.rs", "problem, Some(NEVER_COMPLETED))"),
    ("DEPOSITO_ABBANDONATO", "src/service/ingest.rs", "telling(hub, &claimed.source, Some(\"DEPOSITO_ABBANDONATO\"))"),
    ("ATTESTAZIONE_NON_LEGGIBILE", "src/service/facts/copies.rs", "copies_not_made(unread.clone(), UNREADABLE, "),
    ("ATTESTAZIONE_PERDUTA", "src/service/facts/copies.rs", "copies_given_up(lost, LOST, "),
    ("SEND_DI_NUOVO_RAGGIUNGIBILE", "src/service/alerts.rs", "trouble_ends(DOWN, UP, "),
    ("FLUSSO_EVENTI_RIPRESO", "src/service/streams.rs", "trouble_ends(REFUSED, RESUMED, "),
    ("QUOTA_SEND_ESAURITA", "src/service/notify.rs", "_LIMIT_EXCEEDED\") { \"QUOTA_SEND_ESAURITA\" }"),
    ("GRUPPO_RIFIUTATO", "src/service/notify.rs", "_GROUP\") { \"GRUPPO_RIFIUTATO\" }"),
    ("ENTE_NON_ABILITATO", "src/service/notify.rs", "_SENDER_TAX_ID\") { \"ENTE_NON_ABILITATO\" }"),
    ("CHIAVE_RIFIUTATA", "src/service/notify.rs", "else { \"CHIAVE_RIFIUTATA\" }"),
    ("PT_RIFIUTA_LE_CREDENZIALI", "src/service/positions/partners.rs", "End::Stop { channel: channel.name.clone(), code: REFUSED }"),
    ("PT_CERTIFICATO_NON_VALIDO", "src/service/positions/partners.rs", "DISTRUSTED } Distrust::Ours"),
    ("PT_ACCETTA_LE_CREDENZIALI", "src/store/stops.rs", "(PT_STOPPED, \"PT_ACCETTA_LE_CREDENZIALI\")"),
    ("PT_CERTIFICATO_DA_RIPROVARE", "src/store/stops.rs", "(\"PT_CERTIFICATO_NON_VALIDO\", \"PT_CERTIFICATO_DA_RIPROVARE\")"),
    ("ID_POSIZIONE_MANCANTE", "src/service/positions/verify.rs", "Answered::Not(prepare::code::NO_ID)"),
    ("VERIFICA_RESPINTA_DAL_PT", "src/service/positions/verify.rs", "\"il PT respinge la domanda\" ); \"VERIFICA_RESPINTA_DAL_PT\""),
    ("POSIZIONE_DI_ALTRI", "src/service/positions/verify.rs", "Answered::Not(code::OTHER)"),
    ("POSIZIONE_NON_DESCRITTA", "src/connectors/pt/govpay/wire.rs", ".ok_or(code::NOT_DESCRIBED)"),
    ("IMPORTO_NON_RIPARTIBILE", "src/connectors/pt/piemontepay/mod.rs", "refused(code::PARTS)"),
    ("IMPORTO_NON_CALCOLABILE", "src/service/positions/reckon.rs", "PositionFact::NoSum { code: code::NO_SUM }"),
    ("IMPORTO_NON_CAMBIATO", "src/flow/position.rs", "_ if !expired => code::NOT_CHANGED,"),
    ("IMPORTO_RESPINTO_DAL_PT", "src/flow/position/later.rs", "WhyUndone::Refused => PositionStep::park(code::REFUSED)"),
    ("POSIZIONE_ANNULLATA_DAL_PT", "src/flow/position/later.rs", "WhyUndone::Cancelled => PositionStep::park(code::CANCELLED)"),
    ("PAGATO_IMPORTO_DIVERSO", "src/flow/position/payment.rs", "told.code = Some(code::OTHER_AMOUNT.to_owned());"),
];

fn only<'t>(codes: Option<&BTreeSet<&'t str>>) -> Option<&'t str> {
    codes.filter(|codes| codes.len() == 1).and_then(|codes| codes.first().copied())
}

/// Every code that stands, as a literal or by its constant, where operators are told; each with its file.
fn raised(sources: &[(PathBuf, String)]) -> BTreeSet<(String, PathBuf)> {
    // A name that stands for several codes says nothing but in the file that has it.
    let mut everywhere: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (name, codes) in sources.iter().flat_map(|(_, text)| constants(text)) {
        everywhere.entry(name).or_default().extend(codes);
    }
    let mut raised = BTreeSet::new();
    for (path, text) in sources {
        if path.ends_with("domain/alert.rs") {
            continue;
        }
        let own = constants(text);
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ").replace("( ", "(");
        for call in RAISED {
            for rest in text.split(call).skip(1) {
                let path_of: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_' || *c == ':').collect();
                let name = path_of.rsplit("::").next().unwrap_or_default();
                let code = literal(rest).or_else(|| only(own.get(name))).or_else(|| only(everywhere.get(name)));
                raised.extend(code.map(|code| (code.to_owned(), path.clone())));
            }
        }
    }
    raised
}

#[test]
fn what_is_raised_is_known_and_has_words() {
    let sources = sources();
    let raised = raised(&sources);
    let codes: BTreeSet<&str> = raised.iter().map(|(code, _)| code.as_str()).collect();
    assert!(codes.len() > 25, "only {codes:?}");
    for (code, path) in &raised {
        assert!(parking::sentence(code).is_some() && parking::remedy(code).is_some(), "{}: {code} has no words", path.display());
    }
    let known: BTreeSet<&str> = parking::CODES.iter().map(|(code, ..)| *code).collect();
    for row in alert::CODES {
        assert!(known.contains(row.code), "{} has no words", row.code);
    }
}

/// A code that is written somewhere is not yet told to anybody: it stands in a call that tells, or is handed over to one.
#[test]
fn what_is_known_is_raised_somewhere() {
    let sources = sources();
    let raised = raised(&sources);
    let raised: BTreeSet<&str> = raised.iter().map(|(code, _)| code.as_str()).collect();
    for (code, file, words) in HANDED_OVER {
        assert!(!raised.contains(code), "{code} is raised where everybody sees it: its row is not needed");
        let source = sources.iter().find(|(path, _)| path.ends_with(file)).unwrap_or_else(|| panic!("{file}"));
        let text = source.1.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains(words), "{code}: {file} says nothing of {words}");
    }
    let handed: BTreeSet<&str> = HANDED_OVER.iter().map(|(code, ..)| *code).collect();
    for row in alert::CODES {
        assert!(raised.contains(row.code) || handed.contains(row.code), "nobody raises {}", row.code);
    }
}
