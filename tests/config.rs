//! `config/valid`, `config/invalid` and the example: what `messo check` says of each, beside it in `<name>.expected`.
//!
//! An expected line is `file:line CODE key`, or `OK enti gestionali flussi`. `BLESS=1 cargo test --test config` writes them anew.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use messo::clock::Clock;
use messo::config::{self, ConfigFault, check_clock};

fn samples(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config").join(folder);
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    assert!(!files.is_empty());
    files
}

/// What the file yields, with paths relative to its folder.
fn outcome(path: &Path) -> String {
    let folder = format!("{}/", path.parent().unwrap().display());
    match config::load(path) {
        Ok(loaded) => {
            format!("OK {} {} {}\n", loaded.config.institutions.len(), loaded.config.sources.len(), loaded.flows.len())
        }
        Err(problems) => {
            let line = |problem: &messo::flow::shape::Located<ConfigFault>| {
                let file = problem.file.replace(&folder, "");
                format!("{file}:{} {} {}", problem.line, problem.fault.code(), problem.key).trim_end().to_string() + "\n"
            };
            problems.list.iter().map(line).collect()
        }
    }
}

fn compare(path: &Path) -> String {
    let got = outcome(path);
    let expected = path.with_extension("expected");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&expected, &got).unwrap();
    }
    let want = std::fs::read_to_string(&expected).unwrap_or_default();
    assert_eq!(got, want, "{}", path.display());
    got
}

#[test]
fn valid_samples_are_valid() {
    for path in samples("valid") {
        let got = compare(&path);
        assert!(got.starts_with("OK "), "{}: {got}", path.display());
    }
}

#[test]
fn invalid_samples_show_every_problem_with_its_line() {
    let mut codes = BTreeSet::new();
    for path in samples("invalid") {
        let got = compare(&path);
        assert!(!got.is_empty() && !got.starts_with("OK "), "{}: {got}", path.display());
        codes.extend(got.lines().filter_map(|line| line.split(' ').nth(1)).map(str::to_string));
    }
    // Codes that the samples do not show are shown by unit tests, or need another user.
    let elsewhere = ["OROLOGIO_NON_REALE", "FILE_NON_LEGGIBILE", "REGOLA_IMPORTO_NON_VALIDA", "SOCKET_TROPPO_LUNGO", "VALORE_NON_VALIDO"];
    let guide = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configurazione.md")).unwrap();
    for code in codes.iter().map(String::as_str).chain(elsewhere) {
        assert!(guide.contains(&format!("`{code}`")), "docs/configurazione.md does not explain {code}");
    }
}

#[test]
fn the_example_is_valid_where_its_folders_may_be_made() {
    let place = tempfile::tempdir().unwrap();
    let root = place.path().display().to_string();
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("config/messo.example.toml")).unwrap();
    let text = text.replace("/var/lib/messo", &format!("{root}/dati")).replace("/srv/messo", &format!("{root}/case"));
    let path = place.path().join("messo.toml");
    std::fs::write(&path, text).unwrap();
    let loaded = config::load(&path).unwrap_or_else(|problems| panic!("{}", messo::text::it::config::lines(&problems)));
    assert_eq!((loaded.config.institutions.len(), loaded.config.sources.len(), loaded.flows.len()), (1, 2, 12));
    let defaults = config::WatchConfig::default();
    assert_eq!((loaded.config.watch.settle_ms, loaded.config.watch.scan_ms), (defaults.settle_ms, defaults.scan_ms));
    assert_eq!(loaded.config.limits.max_total_bytes, config::Limits::default().max_total_bytes);
}

#[test]
fn paths_and_secrets_are_relative_to_the_file() {
    let path = samples("valid").into_iter().find(|path| path.ends_with("completo.toml")).unwrap();
    let folder = path.parent().unwrap().to_path_buf();
    let loaded = config::load(&path).unwrap();
    assert_eq!(loaded.config.data, folder.join("dati-completo"));
    assert_eq!(loaded.config.control_path(), folder.join("run/messo.sock"));
    assert_eq!(loaded.config.sources[0].root, folder.join("case-completo/polizia"));
    assert_eq!(loaded.config.institutions[0].keys[0].secret.0, format!("file:{}", folder.join("segreti/generale").display()));
    assert_eq!(loaded.flow("cds").unwrap().pa_fee, Some(50), "the folder's flow takes the place of the shipped one");
    assert!(loaded.flow("sanzioni-edilizie").is_some());
}

#[test]
fn an_accelerated_clock_needs_remotes_on_this_machine() {
    let fast = Clock::accelerated_from_now(60);
    for (name, good) in [("simulatore.toml", true), ("minimo.toml", false), ("completo.toml", false)] {
        let path = samples("valid").into_iter().find(|path| path.ends_with(name)).unwrap();
        let loaded = config::load(&path).unwrap();
        assert_eq!(check_clock(&fast, &loaded.config).is_ok(), good, "{name}");
        assert_eq!(check_clock(&Clock::REAL, &loaded.config), Ok(()), "{name}");
    }
    let simulated = samples("valid").into_iter().find(|path| path.ends_with("simulatore.toml")).unwrap();
    let mut config = config::load(&simulated).unwrap().config;
    config.pts[0].url = Some("https://pt.esempio.it/x".into());
    assert_eq!(check_clock(&fast, &config), Err(ConfigFault::ClockNotReal { host: "pt.esempio.it".into() }));
}

#[test]
fn the_command_prints_all_problems_and_never_a_secret() {
    let run = |path: &Path, json: bool| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_messo"));
        command.arg("check").arg("--config").arg(path);
        if json {
            command.arg("--json");
        }
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    for path in samples("invalid") {
        let (code, text) = run(&path, false);
        assert_eq!(code, Some(1), "{}", path.display());
        assert!(!text.contains("-SEGRETO") && !text.contains("2f6c0b6e") && !text.contains("BEGIN"), "{text}");
        let (code, json) = run(&path, true);
        assert_eq!(code, Some(1));
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["ok"], false);
        assert_eq!(json["problems"].as_array().unwrap().len(), text.lines().count(), "{}", path.display());
        assert!(json["problems"][0]["line"].is_u64() && json["problems"][0]["message"].is_string());
    }
    let path = samples("invalid").into_iter().find(|path| path.ends_with("doppioni.toml")).unwrap();
    let (_, text) = run(&path, false);
    assert!(text.contains("doppioni.toml:42: [CARTELLA_DOPPIA] gestionale[1].root: è la stessa cartella di «polizia»"), "{text}");
    let (code, text) = run(&samples("valid")[0], false);
    assert_eq!(code, Some(0), "{text}");
    let (code, text) = run(Path::new("/non/esiste.toml"), false);
    assert_eq!((code, text.as_str()), (Some(1), "/non/esiste.toml:1: [FILE_NON_LEGGIBILE] il file non si può leggere: non esiste\n"));
}

/// Whatever stands in the file, the answer is a list of problems with lines of the file, never a panic.
#[test]
fn broken_files_are_answered_with_problems() {
    use proptest::prelude::*;
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("messo.toml");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let texts = [folder.join("messo.example.toml"), folder.join("valid/completo.toml"), folder.join("valid/flussi/cds.toml")];
    let texts = texts.map(|path| std::fs::read(path).unwrap());
    let pieces =
        ["[", "]", "\"", "=", "\n", "[[ente]]", "9999999999999999999", "'''", "{", "\u{e8}", "\0", "1e5", "true", "name", "\u{2028}"];
    let mut runner =
        proptest::test_runner::TestRunner::new(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() });
    let cut = (any::<prop::sample::Index>(), 0usize..40, prop::sample::select(pieces.to_vec()));
    let strategy = (0..texts.len(), prop::collection::vec(cut, 1..6));
    let broken = runner.run(&strategy, |(which, cuts)| {
        let mut bytes = texts[which].clone();
        for (at, length, piece) in cuts {
            let at = at.index(bytes.len());
            bytes.splice(at..(at + length).min(bytes.len()), piece.bytes());
        }
        std::fs::write(&path, &bytes).unwrap();
        let lines = bytes.split(|byte| *byte == b'\n').count() as u32;
        if let Err(problems) = config::load(&path) {
            prop_assert!(!problems.list.is_empty());
            for problem in &problems.list {
                prop_assert!((1..=lines).contains(&problem.line), "{problem:?} of {lines} lines");
                prop_assert!(!messo::text::it::config::line(problem).contains('\n'));
            }
        }
        if let Ok(text) = std::str::from_utf8(&bytes) {
            let flow = messo::flow::definition::FlowDefinition::parse(text, "cds.toml");
            prop_assert!(flow.is_ok() || flow.is_err_and(|problems| problems.iter().all(|problem| (1..=lines).contains(&problem.line))));
        }
        Ok(())
    });
    assert!(broken.is_ok(), "{broken:?}");
}

/// `messo check` says which alerts nobody would be told of.
#[test]
fn check_says_which_alerts_would_reach_nobody() {
    let base = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("config/valid/minimo.toml")).unwrap();
    let (id, all) = ("02438750586", "persona, chiavi, remoti, flusso-eventi");
    let (nobody, general) = ("manca [mail]", "[mail] to è vuoto");
    let of_ente = |kinds: &str| format!("dell'ente {id} nessuno riceve gli avvisi di genere {kinds}:");
    let mail = "[mail]\nhost = \"localhost\"\nfrom = \"messo@e.it\"\ntls = \"nessuno\"\n";
    let to = "to = [\"ced@e.it\"]\n";
    let rule = |more: &str| format!("[[ente.avvisi]]\nto = [\"a@e.it\"]\n{more}");
    // `[mail]`, rules of the ente, what is said
    let table: Vec<(String, String, Vec<String>)> = vec![
        (String::new(), String::new(), vec![nobody.to_owned()]),
        (mail.to_owned(), String::new(), vec![general.to_owned(), of_ente(all)]),
        (format!("{mail}{to}"), String::new(), vec![of_ente(all)]),
        (format!("{mail}{to}"), rule("flows = [\"cds\"]"), vec![of_ente(all)]),
        (format!("{mail}{to}"), rule("kinds = [\"persona\", \"lotti\"]"), vec![of_ente("chiavi, remoti, flusso-eventi")]),
        (
            format!("{mail}{to}"),
            rule("kinds = [\"persona\"]") + "\n" + &rule("kinds = [\"chiavi\", \"remoti\", \"flusso-eventi\"]"),
            vec![],
        ),
        (
            format!("{mail}{to}"),
            rule("kinds = [\"persona\", \"chiavi\", \"flusso-eventi\"]") + "\n[[ente.avvisi]]\nkinds = [\"remoti\"]\noff = true",
            vec![],
        ),
        (format!("{mail}{to}"), rule(""), vec![]),
    ];
    for (mail, rules, want) in table {
        let folder = tempfile::tempdir().unwrap();
        let (head, ente) = base.split_once("[[ente]]").unwrap();
        let (ente, source) = ente.split_once("[[gestionale]]").unwrap();
        let text = format!("{head}{mail}\n[[ente]]{ente}\n{rules}\n[[gestionale]]{source}");
        std::fs::write(folder.path().join("messo.toml"), &text).unwrap();
        let mut check = Command::new(env!("CARGO_BIN_EXE_messo"));
        let output = check.args(["check", "--config"]).arg(folder.path().join("messo.toml")).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{said}{}\n{text}", String::from_utf8_lossy(&output.stderr));
        let lines: Vec<&str> =
            said.lines().filter(|line| ["riceve posta", "[mail] to", "nessuno riceve"].iter().any(|word| line.contains(word))).collect();
        assert_eq!(lines.len(), want.len(), "{mail}{rules}: {said}");
        for (line, want) in lines.iter().zip(&want) {
            assert!(line.starts_with("avviso: ") && line.contains(want), "{want:?} in {line}");
        }
    }
}
