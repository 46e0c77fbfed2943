//! The house rules that a compiler does not keep: who may import whom, which crates stay in which room, and tidiness.
//! The map is in ARCHITECTURE.md; the table below is the law. Every breach is printed with file and line.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a failed step ends the test")]

#[path = "architecture/source.rs"]
mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use source::{Named, blank, paths};

/// Room -> rooms it may import, floor by floor: `main -> cli -> service -> {intake, connectors, store, outbox} ->
/// {batch, flow} -> domain`. Rooms of one floor do not import each other. A new room is a line here.
const ROOMS: &[(&str, &[&str])] = &[
    ("domain", &[]),
    // Leaves: anyone may use them unless said otherwise here.
    ("clock", &[]),
    ("telemetry", &[]),
    ("failpoint", &[]),
    ("lanes", &[]),
    ("config", &["domain", "clock"]),
    // The rules in the middle: no clock, no configuration of their own.
    ("flow", &["domain"]),
    ("batch", &["domain"]),
    // Sentences: turn lower types into Italian, decide nothing.
    ("text", &["domain", "batch", "flow", "config"]),
    ("intake", &["batch", "flow", "domain", "config", "clock", "telemetry", "lanes"]),
    ("connectors", &["batch", "flow", "domain", "config", "clock", "telemetry"]),
    ("store", &["batch", "flow", "domain", "config", "clock", "telemetry"]),
    ("outbox", &["batch", "flow", "domain", "config", "clock", "telemetry", "text"]),
    ("service", &["intake", "connectors", "store", "outbox", "batch", "flow", "domain", "config", "clock", "telemetry", "text"]),
    // What others call over HTTP: acts through `service`.
    ("rest", &["service", "store", "flow", "domain", "config", "clock", "telemetry", "lanes"]),
    // The outside world: what it shares with the rest is the vocabulary, or it could not catch our mistakes.
    ("sandbox", &["domain", "clock"]),
    (
        "cli",
        &[
            "service",
            "rest",
            "sandbox",
            "intake",
            "connectors",
            "store",
            "outbox",
            "batch",
            "flow",
            "domain",
            "config",
            "clock",
            "telemetry",
            "text",
        ],
    ),
    ("main", &["cli"]),
];

/// Single doors through the table: (from, what may be named there, why).
const DOORS: &[(&str, &str, &str)] = &[
    ("config", "flow::definition", "flow files are configuration: `messo check` reads and checks them with the rest"),
    ("config", "flow::shape", "one reader of TOML that knows lines, for flow files and for the configuration"),
    ("batch", "flow::definition", "the rules for a row are those of its flow; the definition is data, the engine stays out"),
    ("text", "intake::sftp::home::Refused", "the sentence that an SFTP client shows, by its refusal"),
    ("batch", "config::Limits", "the ceilings of a drop, declared and documented where the operator sets them"),
];

/// Crates that may be named only under these paths of `src/`.
const CONFINED: &[(&str, &[&str])] = &[("rusqlite", &["store/"])];

/// What the rules in the middle never touch outside their tests: (room, path, why).
const FORBIDDEN: &[(&str, &str, &str)] = &[
    ("domain", "std::fs", "values and rules touch no disk"),
    ("domain", "std::net", "values and rules touch no socket"),
    ("domain", "std::env", "values and rules take arguments"),
    ("domain", "tokio", "values and rules are not async"),
    ("flow", "std::fs", "the engine is pure"),
    ("flow", "std::net", "the engine is pure"),
    ("flow", "std::env", "the engine is pure"),
    ("flow", "tokio", "the engine is pure"),
    ("batch", "std::net", "a layout sees bytes only"),
    ("batch", "tokio", "a layout sees bytes only, and is called from a blocking thread"),
    ("batch", "reqwest", "a layout sees bytes only"),
];

const OUTSIDE: &[&str] = &["std", "tokio", "reqwest", "rusqlite"];

/// Names that say nothing about what is inside.
const EMPTY_NAMES: &[&str] = &["utils", "util", "helpers", "manager", "common"];

struct File {
    /// Relative to the repository, with `/`.
    path: String,
    text: String,
    blanked: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Files under `folder` of the repository, sorted; build products and version control left out.
fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if ["target", ".git", "corpus", "artifacts", "demo-out"].contains(&name.as_str()) {
            continue;
        }
        if path.is_dir() {
            walk(&path, found);
        } else {
            found.push(path);
        }
    }
    found.sort();
}

fn rust_files(folder: &str) -> Vec<File> {
    let mut found = Vec::new();
    walk(&root().join(folder), &mut found);
    found.retain(|path| path.extension().is_some_and(|ending| ending == "rs"));
    assert!(!found.is_empty(), "no Rust under {folder}");
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        let path = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
        File { blanked: blank(&text), path, text }
    };
    found.into_iter().map(read).collect()
}

/// Module path of a file of `src/`: `src/batch/layouts/mod.rs` -> `batch, layouts`; empty for `lib.rs`, `main` for `main.rs`.
fn module_of(path: &str) -> Vec<String> {
    let inside = path.strip_prefix("src/").unwrap().strip_suffix(".rs").unwrap();
    let mut module: Vec<String> = inside.split('/').map(str::to_owned).collect();
    if module.last().is_some_and(|last| last == "mod") {
        module.pop();
    }
    if module == ["lib"] { Vec::new() } else { module }
}

/// `tests.rs` and what lies below `tests/`, under `src/`.
fn is_test_file(module: &[String]) -> bool {
    module.iter().any(|name| name == "tests")
}

fn starts_with(segments: &[String], path: &str) -> bool {
    let mut wanted = path.split("::");
    let mut given = segments.iter();
    wanted.all(|part| given.next().is_some_and(|segment| segment == part))
}

/// Why `from` may not name this path of our own crate.
fn breach(from: &str, segments: &[String]) -> Option<String> {
    let Some(to) = segments.first() else { return Some("`crate::*` names everything".to_owned()) };
    if to == from || DOORS.iter().any(|(room, path, _)| *room == from && starts_with(segments, path)) {
        return None;
    }
    let Some((_, allowed)) = ROOMS.iter().find(|(room, _)| *room == from) else {
        return Some(format!("`{from}` is not a room of the table in tests/architecture.rs"));
    };
    let known = ROOMS.iter().any(|(room, _)| room == to);
    match (known, allowed.contains(&to.as_str())) {
        (_, true) => None,
        (true, false) => Some(format!("`{from}` may not import `{}` (it may: {})", segments.join("::"), allowed.join(", "))),
        (false, false) => Some(format!("`{to}` is not a room of the table in tests/architecture.rs")),
    }
}

fn named(file: &File) -> Vec<Named> {
    paths(&file.blanked, &module_of(&file.path), OUTSIDE)
}

fn report(title: &str, breaches: &BTreeSet<String>) {
    assert!(breaches.is_empty(), "{title}:\n{}", breaches.iter().cloned().collect::<Vec<_>>().join("\n"));
}

#[test]
fn imports_go_down_only() {
    let mut breaches = BTreeSet::new();
    let mut seen = 0;
    for file in rust_files("src") {
        let module = module_of(&file.path);
        let Some(from) = module.first() else { continue };
        for path in named(&file).iter().filter(|path| !path.outside) {
            seen += 1;
            if (path.in_tests || is_test_file(&module)) && starts_with(&path.segments, "clock::monotonic") {
                continue; // a test may measure
            }
            if let Some(why) = breach(from, &path.segments) {
                breaches.insert(format!("{}:{}: {why}", file.path, path.line));
            }
        }
    }
    assert!(seen > 20, "only {seen} imports found: the reading of sources is broken");
    report("imports that climb or cross a floor", &breaches);
}

#[test]
fn every_room_is_in_the_table_and_the_table_has_no_circle() {
    let lib = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let rooms = lib.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    for room in rooms {
        assert!(ROOMS.iter().any(|(known, _)| *known == room), "room `{room}` of src/lib.rs is not in the table");
    }
    let mut below: BTreeMap<&str, BTreeSet<&str>> = ROOMS.iter().map(|(room, to)| (*room, to.iter().copied().collect())).collect();
    for (from, path, _) in DOORS {
        below.get_mut(from).unwrap().insert(path.split("::").next().unwrap());
    }
    while let Some(leaf) = below.iter().find(|(_, to)| to.is_empty()).map(|(room, _)| *room) {
        below.remove(leaf);
        below.values_mut().for_each(|to| {
            to.remove(leaf);
        });
    }
    assert!(below.is_empty(), "rooms that import each other in a circle: {below:?}");
}

#[test]
fn crates_stay_in_their_room_and_the_middle_is_pure() {
    let mut breaches = BTreeSet::new();
    for file in rust_files("src") {
        let module = module_of(&file.path);
        let room = module.first().map_or("lib", String::as_str);
        let test_file = is_test_file(&module);
        for path in named(&file).iter().filter(|path| path.outside) {
            let place = format!("{}:{}", file.path, path.line);
            for (name, homes) in CONFINED.iter().filter(|(name, _)| path.segments[0] == *name) {
                if !homes.iter().any(|home| file.path["src/".len()..].starts_with(home)) {
                    breaches.insert(format!("{place}: `{name}` is named only under src/{}", homes.join(", src/")));
                }
            }
            for (_, _, why) in FORBIDDEN.iter().filter(|(of, banned, _)| *of == room && starts_with(&path.segments, banned)) {
                if !path.in_tests && !test_file {
                    breaches.insert(format!("{place}: `{}` in `{room}`: {why}", path.segments.join("::")));
                }
            }
        }
    }
    report("crates out of their room", &breaches);
}

#[test]
fn sources_are_tidy() {
    let mut breaches = BTreeSet::new();
    let mut long = Vec::new();
    for file in rust_files("src").into_iter().chain(rust_files("tests")) {
        let lines = file.text.lines().count();
        if lines > 800 {
            breaches.insert(format!("{}:{lines}: over 800 lines: it has a second subject", file.path));
        } else if lines > 400 {
            long.push(format!("{lines:5} {}", file.path));
        }
        for (index, line) in file.blanked.lines().enumerate() {
            for left in ["todo!", "unimplemented!", "dbg!"] {
                if line.match_indices(left).any(|(at, _)| !line[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_')) {
                    breaches.insert(format!("{}:{}: `{left}` left in the code", file.path, index + 1));
                }
            }
        }
        if file.path.starts_with("src/") {
            if !file.text.starts_with("//!") {
                breaches.insert(format!("{}:1: a file begins with what it is, who may use it, what it refuses (`//!`)", file.path));
            }
            if let Some(empty) = module_of(&file.path).iter().find(|name| EMPTY_NAMES.contains(&name.as_str())) {
                breaches.insert(format!("{}:1: `{empty}` says nothing of what is inside", file.path));
            }
        }
    }
    if !long.is_empty() {
        println!("over 400 lines, look for the second subject:\n{}", long.join("\n"));
    }
    report("untidy sources", &breaches);
}

/// What of `hub.config` only a restart changes. Everything else is read from `hub.settings()`, or a reload would not reach it.
const FIXED: &[&str] = &["data", "installation", "control_path", "host_keys", "watch", "sftp", "health", "rest"];

#[test]
fn what_a_reload_changes_is_read_from_the_settings_of_now() {
    let mut breaches = BTreeSet::new();
    let mut seen = 0;
    for file in rust_files("src") {
        // `self.0` is how the operators' commands hold the hub.
        let held = file.blanked.match_indices("hub.config").chain(file.blanked.match_indices(".0.config"));
        for (at, found) in held {
            let rest = file.blanked[at + found.len()..].trim_start();
            let field: String =
                rest.trim_start_matches('.').trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            if rest.starts_with('_') {
                continue; // another name
            }
            seen += 1;
            if !rest.starts_with('.') || !FIXED.contains(&field.as_str()) {
                let line = file.blanked[..at].lines().count();
                breaches.insert(format!("{}:{line}: `{found}.{field}`: read it from `hub.settings()`", file.path));
            }
        }
    }
    assert!(seen > 5, "only {seen} uses found");
    report("settings that a reload would not change", &breaches);
}

/// A path of the machine a change was made on works nowhere else.
#[test]
fn no_path_of_one_machine() {
    let wanted = [["/wo", "rk/"].concat(), ["/ro", "ot/"].concat()];
    let mut files = Vec::new();
    walk(root(), &mut files);
    let mut breaches = BTreeSet::new();
    for path in files {
        let Ok(text) = fs::read_to_string(&path) else { continue };
        let shown = path.strip_prefix(root()).unwrap().display().to_string();
        for (index, line) in text.lines().enumerate() {
            if let Some(found) = wanted.iter().find(|wanted| line.contains(wanted.as_str())) {
                breaches.insert(format!("{shown}:{}: `{found}`", index + 1));
            }
        }
    }
    report("paths of one machine", &breaches);
}

#[test]
fn reading_sources_finds_what_is_imported_and_nothing_else() {
    let text = r####"
//! [`crate::store`] in a comment
use crate::domain::{act::Act, ids::{BatchId, JobId as Job}, *};
use super::row::{self, Parsed};
/* crate::cli /* nested */ crate::cli */
const TEXT: &str = "crate::service \" crate::service"; const RAW: &str = r#"crate::service"#;
const QUOTE: char = '"'; fn life<'a>(x: &'a str) -> crate::text::Said<'a> { crate::text::say::<u8>(x, b'"', '\'') }
#[cfg(test)]
mod tests {
    use super::*;
    use super::super::super::sandbox::World;
    use std::{fs, io::Read};
}
fn after() { std::net::lookup(); other::crate_name(); a::std::fs(); }
"####;
    let module = ["batch".to_owned(), "layouts".to_owned()];
    let found: Vec<String> = paths(&blank(text), &module, OUTSIDE)
        .into_iter()
        .map(|path| format!("{} {}{}", path.line, path.segments.join("::"), if path.in_tests { " (test)" } else { "" }))
        .collect();
    let want = [
        "3 domain::act::Act",
        "3 domain::ids::BatchId",
        "3 domain::ids::JobId",
        "3 domain",
        "4 batch::row::self",
        "4 batch::row::Parsed",
        "7 text::Said",
        "7 text::say",
        "10 batch::layouts (test)",
        "11 sandbox::World (test)",
        "12 std::fs (test)",
        "12 std::io::Read (test)",
        "14 std::net::lookup",
    ];
    assert_eq!(found, want);
}

#[test]
fn the_table_refuses_what_climbs() {
    let table = [
        ("batch", "domain::act::Act", true),
        ("batch", "flow::definition::Checks", true),
        ("batch", "flow::step::observe", false),
        ("batch", "clock::monotonic", false),
        ("store", "outbox::place", false),
        ("connectors", "store", false),
        ("sandbox", "connectors::pnd", false),
        ("domain", "clock", false),
        ("cli", "sandbox", true),
        ("service", "sandbox", false),
        ("main", "service", false),
        ("store", "magazzino", false),
    ];
    for (from, path, good) in table {
        let segments: Vec<String> = path.split("::").map(str::to_owned).collect();
        assert_eq!(breach(from, &segments).is_none(), good, "{from} -> {path}");
    }
}
