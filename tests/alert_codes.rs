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

/// `const NAME: &str = "CODE";` of all files.
fn constants(sources: &[(PathBuf, String)]) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for (_, text) in sources {
        for rest in text.split("const ").skip(1) {
            if let Some((name, value)) = rest.split_once(": &str = ")
                && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
                && let Some(code) = literal(value)
            {
                found.insert(name.to_owned(), code.to_owned());
            }
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
];

#[test]
fn what_is_raised_is_known_and_has_words() {
    let sources = sources();
    let constants = constants(&sources);
    let mut raised = BTreeSet::new();
    for (path, text) in &sources {
        if path.ends_with("domain/alert.rs") {
            continue;
        }
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ").replace("( ", "(");
        for call in RAISED {
            for rest in text.split(call).skip(1) {
                let name: String = rest.chars().take_while(|c| c.is_ascii_uppercase() || *c == '_' || *c == ':').collect();
                let code = literal(rest).map(str::to_owned).or_else(|| constants.get(name.trim_start_matches(':')).cloned());
                raised.extend(code.map(|code| (code, path.clone())));
            }
        }
    }
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

#[test]
fn what_is_known_is_raised_somewhere() {
    let elsewhere: Vec<String> = sources()
        .into_iter()
        .filter(|(path, _)| {
            let path = path.to_str().unwrap();
            !path.contains("/src/text/") && !path.contains("/src/cli/") && !path.ends_with("domain/alert.rs")
        })
        .map(|(_, text)| text)
        .collect();
    for row in alert::CODES {
        let quoted = format!("\"{}\"", row.code);
        assert!(elsewhere.iter().any(|text| text.contains(&quoted)), "nobody raises {}", row.code);
    }
}
