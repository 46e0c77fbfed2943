//! What is shipped beside the program is true: documents that link to what exists, samples of configuration that the
//! program reads, a unit that systemd accepts.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a failed step ends the test")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn documents() -> Vec<PathBuf> {
    let folders = [root().to_owned(), root().join("docs")];
    let entries = folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()));
    let mut found: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|ending| ending == "md")).collect();
    found.sort();
    found
}

/// The fenced blocks of one language, each with the line it begins at.
fn fenced(text: &str, language: &str) -> Vec<(usize, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(usize, String, bool)> = None;
    for (index, line) in text.lines().enumerate() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(name)) => open = Some((index + 2, String::new(), name.trim() == language)),
            (Some(_), Some(_)) => {
                let (at, block, wanted) = open.take().unwrap();
                if wanted {
                    blocks.push((at, block));
                }
            }
            (Some((_, block, _)), None) => {
                block.push_str(line);
                block.push('\n');
            }
            (None, None) => {}
        }
    }
    blocks
}

/// GitHub's anchor of a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase().replace(' ', "-");
    kept.chars().filter(|char| char.is_alphanumeric() || "-_".contains(*char)).collect()
}

#[test]
fn documents_link_to_what_exists() {
    let mut broken = Vec::new();
    for document in documents() {
        let text = fs::read_to_string(&document).unwrap();
        let shown = document.strip_prefix(root()).unwrap().display();
        let anchors: Vec<String> =
            text.lines().filter(|line| line.starts_with('#')).map(|line| anchor(line.trim_start_matches('#'))).collect();
        for (index, line) in text.lines().enumerate() {
            for (_, target) in line.match_indices("](").filter_map(|(at, _)| line[at + 2..].split_once(')').map(|(target, _)| (at, target)))
            {
                let good = match target.split_once('#') {
                    _ if target.contains("://") => true,
                    Some(("", heading)) => anchors.iter().any(|known| known == heading),
                    Some((file, _)) => document.parent().unwrap().join(file).exists(),
                    None => document.parent().unwrap().join(target).exists(),
                };
                if !good {
                    broken.push(format!("{shown}:{}: {target}", index + 1));
                }
            }
        }
    }
    assert!(broken.is_empty(), "links to nothing:\n{}", broken.join("\n"));
}

#[test]
fn configurations_in_the_documents_are_read_by_the_program() {
    let mut seen = 0;
    for document in documents() {
        for (line, block) in fenced(&fs::read_to_string(&document).unwrap(), "toml") {
            if !block.contains("installation =") {
                continue; // a fragment
            }
            seen += 1;
            let read: Result<messo::config::Config, _> = toml::from_str(&block);
            assert!(read.is_ok(), "{}:{line}: {}", document.display(), read.unwrap_err());
        }
    }
    assert!(seen > 0, "no whole configuration in the documents");
}

/// The unit hands each file FILE of /etc/messo/credenziali over as `segreti_FILE`: any other name is never found, in what is commented
/// out and in the documents no less than in what is not.
#[test]
fn credentials_of_the_example_and_the_documents_have_the_prefix_of_the_unit() {
    let unit = read("systemd/messo.service");
    assert!(unit.lines().any(|line| line.starts_with("LoadCredential=segreti:")), "the unit's prefix is segreti_");
    let mut texts = documents();
    texts.extend(fs::read_dir(root().join("docs/pt")).unwrap().map(|entry| entry.unwrap().path()));
    texts.extend(fs::read_dir(root().join("config/pt")).unwrap().map(|entry| entry.unwrap().path()));
    texts.push(root().join("config/messo.example.toml"));
    let mut seen = 0;
    for path in texts {
        let text = fs::read_to_string(&path).unwrap();
        for (index, line) in text.lines().enumerate() {
            for name in line.split("\"credential:").skip(1).filter_map(|rest| rest.split('"').next()) {
                seen += 1;
                assert!(name.starts_with("segreti_"), "{}:{}: credential:{name}", path.display(), index + 1);
            }
        }
    }
    assert!(seen > 12, "only {seen}");
    // What is not commented out is made by the README.
    let text = read("config/messo.example.toml");
    let used: String = text.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n");
    let names: Vec<&str> = used.split("\"credential:").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert!(!names.is_empty(), "no credential in the example");
    for name in names {
        let file = format!("/etc/messo/credenziali/{}", name.trim_start_matches("segreti_"));
        assert!(read("README.md").lines().any(|line| line.ends_with(&file)), "README.md does not make {file}");
    }
}

/// Names of the orders in the language of the socket, as the source has them.
fn orders() -> Vec<String> {
    let source = read("src/service/control.rs");
    let body = source.split("pub enum Request {\n").nth(1).unwrap().split("\n}\n").next().unwrap();
    let variants =
        body.lines().filter_map(|line| line.strip_prefix("    ")).filter(|line| line.starts_with(|c: char| c.is_ascii_uppercase()));
    let snake = |name: &str| {
        let mut word = String::new();
        for c in name.chars().take_while(char::is_ascii_alphabetic) {
            if c.is_ascii_uppercase() && !word.is_empty() {
                word.push('_');
            }
            word.push(c.to_ascii_lowercase());
        }
        word
    };
    let books = read("src/service/operate/books.rs");
    let looks = books.split("const LOOKS: ").nth(1).unwrap().split("];").next().unwrap();
    variants.map(snake).filter(|name| !looks.contains(&format!("\"{name}\""))).collect()
}

/// What `messo audit --command` may be asked for is written where operators look.
#[test]
fn every_order_is_among_those_that_the_books_can_be_searched_for() {
    let page = read("docs/comandi.md");
    let row = page.lines().find(|line| line.starts_with("| `--command ORDINE` |")).unwrap();
    let named: Vec<&str> = row.split('`').skip(3).step_by(2).collect();
    let orders = orders();
    assert!(orders.len() > 15 && orders.iter().any(|name| name == "pt_try"), "{orders:?}");
    for order in &orders {
        assert!(named.contains(&order.as_str()), "docs/comandi.md does not name {order}");
    }
    for name in named {
        let outside = ["restore", "retention"].contains(&name);
        assert!(outside || orders.iter().any(|order| order == name), "docs/comandi.md names {name}, which is no order");
    }
}

/// The table of defaults in docs/installazione.md, held against the defaults themselves.
#[test]
fn defaults_in_the_documents_are_those_of_the_program() {
    let config: messo::config::Config = toml::from_str(
        "data = \"d\"\ninstallation = \"i\"\n[[ente]]\ntax_id = \"0\"\ndenomination = \"E\"\nambiente = \"collaudo\"\nsend_url = \"u\"\n",
    )
    .unwrap();
    let ente = &config.institutions[0];
    let defaults = [
        ("watch.settle_ms", config.watch.settle_ms.to_string()),
        ("watch.scan_ms", config.watch.scan_ms.to_string()),
        ("limits.disk_reserve_bytes", config.limits.disk_reserve_bytes.to_string()),
        ("ente.quota.spend_cents_per_day", ente.quota.spend_cents_per_day.to_string()),
    ];
    let text = read("docs/installazione.md");
    let rows: Vec<(&str, &str)> = text.lines().filter_map(default_row).collect();
    assert_eq!(rows.len(), defaults.len(), "rows of the table: {rows:?}");
    for (key, value) in defaults {
        assert!(rows.contains(&(key, value.as_str())), "{key}: the program says {value}, the document {rows:?}");
    }
}

/// `| `watch.scan_ms` | 5000 | ... |` -> key and default.
fn default_row(line: &str) -> Option<(&str, &str)> {
    let (key, rest) = line.strip_prefix("| `")?.split_once("` | ")?;
    let (value, _) = rest.split_once(" |")?;
    let a_default = value == "true" || value == "false" || value.bytes().all(|byte| byte.is_ascii_digit());
    (key.contains('.') && a_default).then_some((key, value))
}

/// Every unit that is shipped.
const UNITS: [&str; 3] = ["messo.service", "messo-backup.service", "messo-backup.timer"];

#[test]
fn systemd_accepts_the_units() {
    if !common::require("systemd-analyze") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for name in UNITS {
        // The program is not installed here: another one stands in its place.
        let unit = read(&format!("systemd/{name}")).replace("/usr/bin/messo", "/bin/true");
        fs::write(folder.path().join(name), unit).unwrap();
    }
    for name in UNITS {
        let path = folder.path().join(name);
        let run = Command::new("systemd-analyze").args(["verify", "--man=no", "--recursive-errors=no"]).arg(&path).output().unwrap();
        let said = String::from_utf8_lossy(&run.stderr);
        assert!(run.status.success() && !said.contains("messo"), "systemd-analyze verify {name}: {said}");
    }
}

/// What an attacker inside a service could still reach, as systemd counts it: 0 nothing, 10 everything.
#[test]
fn the_units_expose_little() {
    if !common::require("systemd-analyze") {
        return;
    }
    for name in ["messo.service", "messo-backup.service"] {
        let unit = root().join("systemd").join(name);
        let run = Command::new("systemd-analyze").args(["security", "--offline=true", "--no-pager"]).arg(&unit).output().unwrap();
        let said = String::from_utf8_lossy(&run.stdout);
        let level = said.split(&format!("Overall exposure level for {name}: ")).nth(1).unwrap_or_else(|| panic!("{said}"));
        let level: f64 = level.split(' ').next().unwrap().parse().unwrap();
        assert!(level <= 1.5, "exposure {level}:\n{said}");
        let threshold =
            Command::new("systemd-analyze").args(["security", "--offline=true", "--threshold=15", "--no-pager"]).arg(&unit).output();
        assert!(threshold.unwrap().status.success(), "{said}");
    }
}

/// The nightly copy is ordered with words that the program takes, where both it and the hub may write.
#[test]
fn the_nightly_copy_is_ordered_as_the_program_wants_it() {
    let unit = read("systemd/messo-backup.service");
    let of = |key: &str| unit.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_else(|| panic!("no {key}")).to_owned();
    let folder = of("Environment=COPIE=");
    assert_eq!(of("ReadWritePaths=-"), folder);
    assert!(of("RequiresMountsFor=").split(' ').any(|path| path == folder), "its mount is waited for");
    let hub = read("systemd/messo.service");
    assert!(hub.lines().any(|line| line.starts_with("ReadWritePaths=") && line.ends_with(&format!(" -{folder}"))), "the hub writes there");
    let made = read("systemd/messo.tmpfiles");
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert!(made.lines().any(|line| words(line) == ["d", &folder, "0700", "messo", "messo"]), "it is made, for messo alone");
    let order = of("ExecStart=/usr/bin/messo ").replace("${COPIE}", &folder).replace("${TENUTE}", &of("Environment=TENUTE="));
    // Read as the program reads it, and refused only because there is no such file.
    let nowhere = tempfile::tempdir().unwrap().path().join("messo.toml");
    let order = order.replace("/etc/messo/messo.toml", &nowhere.display().to_string());
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("{} {order} --json", common::messo_bin())]);
    let output = shell.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.code() == Some(2) && said.contains("\"CONFIGURAZIONE\""), "{said}{}", String::from_utf8_lossy(&output.stderr));
    // The same words in the documents: a copy that deletes older ones says why.
    for line in read("docs/backup.md").lines().filter(|line| line.contains("messo backup /") && line.contains("--keep")) {
        assert!(line.contains("--reason"), "{line}");
        assert!(!line.contains("/var/log"), "messo writes nothing there: {line}");
    }
}

/// Readiness, watchdog, credentials and restarts are what the program and docs/esercizio.md count on.
#[test]
fn the_unit_says_what_the_program_counts_on() {
    let unit = read("systemd/messo.service");
    for line in [
        "Type=notify",
        "WatchdogSec=2min",
        "Restart=on-failure",
        "RestartSec=10s",
        "StartLimitIntervalSec=0",
        "TimeoutStopSec=90s",
        "ExecReload=/usr/bin/messo check --config /etc/messo/messo.toml",
        "ExecReload=/bin/kill -HUP $MAINPID",
        "LoadCredential=segreti:/etc/messo/credenziali",
        "LimitCORE=0",
    ] {
        assert!(unit.lines().any(|found| found == line), "{line}");
    }
}

/// Users and folders are made as the files of `systemd/` say, in a tree of their own.
#[test]
fn sysusers_and_tmpfiles_make_the_user_and_its_folders() {
    if !common::require("systemd-sysusers") || !common::require("systemd-tmpfiles") {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    for folder in ["etc", "srv"] {
        fs::create_dir(place.path().join(folder)).unwrap();
    }
    let root_of = format!("--root={}", place.path().display());
    let run = |program: &str, more: &[&str], file: &str| {
        let output = Command::new(program).arg(&root_of).args(more).arg(root().join(file)).output().unwrap();
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    };
    // The other users of `systemd/` are those of every Debian.
    fs::write(place.path().join("etc/passwd"), "root:x:0:0:root:/root:/bin/bash\n").unwrap();
    fs::write(place.path().join("etc/group"), "root:x:0:\n").unwrap();
    run("systemd-sysusers", &[], "systemd/messo.sysusers");
    let users = fs::read_to_string(place.path().join("etc/passwd")).unwrap();
    let user = users.lines().find(|line| line.starts_with("messo:")).unwrap_or_else(|| panic!("{users}"));
    assert!(user.ends_with("/var/lib/messo:/usr/sbin/nologin"), "{user}");
    if !rustix::process::geteuid().is_root() {
        return; // folders of another user
    }
    run("systemd-tmpfiles", &["--create"], "systemd/messo.tmpfiles");
    let uid: u32 = user.split(':').nth(2).unwrap().parse().unwrap();
    use std::os::unix::fs::MetadataExt;
    for (folder, mode, owner) in
        [("etc/messo", 0o750, 0), ("etc/messo/credenziali", 0o700, 0), ("srv/messo", 0o751, uid), ("srv/copie-messo", 0o700, uid)]
    {
        let found = fs::metadata(place.path().join(folder)).unwrap();
        assert_eq!((found.mode() & 0o7777, found.uid()), (mode, owner), "{folder}");
    }
}

/// The runbook has a row for each code that operators are told, and one for each rule of Prometheus.
#[test]
fn the_runbook_tells_cause_and_remedy_of_every_alert() {
    use messo::domain::alert::{CODES, Phase};
    let page = read("docs/esercizio.md");
    let row = |name: &str| {
        let found = page
            .lines()
            .find(|line| line.starts_with('|') && line.split('|').nth(1).is_some_and(|cell| cell.contains(&format!("`{name}`"))));
        let found = found.unwrap_or_else(|| panic!("docs/esercizio.md has no row of {name}"));
        let cells: Vec<&str> = found.split('|').map(str::trim).collect();
        assert!(cells.len() == 5 && cells[2].len() > 10 && cells[3].len() > 10, "{name}: cause and remedy: {found}");
        cells[1].to_owned()
    };
    for code in CODES {
        // The first cell of a row names its own code first.
        let cell = page.lines().find(|line| line.starts_with(&format!("| `{}`", code.code)));
        let cell = cell.unwrap_or_else(|| panic!("docs/esercizio.md has no row of {}", code.code)).split('|').nth(1).unwrap();
        if let Phase::Begins { ends } = code.phase {
            assert!(cell.contains(&format!("(finisce con `{ends}`)")), "{}: {cell}", code.code);
        }
        row(code.code);
    }
    let rules = read("docs/prometheus/messo.rules.yml");
    let alerts: Vec<&str> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() >= 12, "{alerts:?}");
    for alert in alerts {
        row(alert);
    }
}

/// The value of a key at the left margin, or at that many spaces.
fn yaml<'t>(text: &'t str, indent: usize, key: &str) -> &'t str {
    let start = format!("{}{key}:", " ".repeat(indent));
    let line = text.lines().find(|line| line.starts_with(&start)).unwrap_or_else(|| panic!("publiccode.yml: no {key}"));
    line[start.len()..].trim().trim_matches('"')
}

/// What publiccode.yml 0.4 demands, held against Cargo.toml. Of the address only the form can be right before publication: while it
/// is the placeholder, both files say so beside it.
#[test]
fn publiccode_agrees_with_the_package_and_says_what_is_left_to_set() {
    let (catalogue, package) = (read("publiccode.yml"), read("Cargo.toml"));
    let package: toml::Table = toml::from_str(&package).unwrap();
    let of = |key: &str| package["package"][key].as_str().unwrap().to_owned();
    assert_eq!(yaml(&catalogue, 0, "publiccodeYmlVersion"), "0.4");
    assert_eq!(yaml(&catalogue, 0, "name"), of("name"));
    assert_eq!(yaml(&catalogue, 0, "softwareVersion"), of("version"));
    assert_eq!(yaml(&catalogue, 2, "license"), of("license"));
    let url = yaml(&catalogue, 0, "url");
    assert_eq!(url, of("repository"));
    let path =
        url.strip_prefix("https://").and_then(|rest| rest.split_once('/')).unwrap_or_else(|| panic!("{url}: not an absolute https URL"));
    assert!(path.0.contains('.') && !path.1.is_empty() && !url.contains([' ', '<', '>', '{']), "{url}");
    if path.0.ends_with(".invalid") {
        let before = |text: &str, key: &str| {
            let lines: Vec<String> = text.lines().map(str::to_owned).collect();
            let at = lines.iter().position(|line| line.starts_with(key)).unwrap();
            lines[at - 1].clone()
        };
        assert!(before(&catalogue, "url:").contains("SEGNAPOSTO"), "publiccode.yml says that the address must be set");
        assert!(before(&read("Cargo.toml"), "repository").contains("Placeholder"), "Cargo.toml says so too");
    }
    for (indent, key) in [
        (0, "platforms"),
        (0, "categories"),
        (0, "developmentStatus"),
        (0, "softwareType"),
        (4, "shortDescription"),
        (4, "longDescription"),
        (4, "features"),
        (2, "type"),
        (2, "contacts"),
        (2, "localisationReady"),
        (2, "availableLanguages"),
    ] {
        yaml(&catalogue, indent, key);
    }
    assert!(yaml(&catalogue, 4, "shortDescription").chars().count() <= 150);
    let long: Vec<&str> = catalogue
        .lines()
        .skip_while(|line| !line.contains("longDescription"))
        .skip(1)
        .take_while(|line| !line.contains("features:"))
        .collect();
    assert!((150..=10_000).contains(&long.concat().split_whitespace().collect::<Vec<_>>().join(" ").chars().count()));
}

#[test]
fn the_licence_is_whole() {
    let text = read("LICENSE");
    assert!(text.starts_with("EUROPEAN UNION PUBLIC LICENCE v. 1.2\n"), "begins as the EUPL-1.2 does");
    assert!(text.trim_end().ends_with("require the production of a new EUPL version."), "ends with the last line of the Appendix");
    for article in 1..=15 {
        assert!(text.lines().any(|line| line.starts_with(&format!("{article}."))), "article {article}");
    }
}
