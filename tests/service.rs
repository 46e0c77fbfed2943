//! The hub as a service: what systemd hears of it, its configuration read again while it runs, its health page and figures.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a failed step ends the test")]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use common::office::{CITIZEN, Ente, Office, Row, SOON, Simulator, batch, clock_at_hour, flow, http, shared_clock};
use common::{free_port, programs, wait_for};
use messo::clock::monotonic;
use rustix::process::Signal;
use serde_json::json;

const ENTE: &str = "01234567897";
const OTHER: &str = "09876543217";
/// A business minute in a real second.
const FAST: u32 = 60;

fn configure(office: &Office, from: &str, to: &str) {
    let text = fs::read_to_string(office.config()).unwrap();
    assert!(text.contains(from), "{from:?} is not in\n{text}");
    fs::write(office.config(), text.replacen(from, to, 1)).unwrap();
}

fn append(office: &Office, more: &str) {
    let text = fs::read_to_string(office.config()).unwrap();
    fs::write(office.config(), text + more).unwrap();
}

/// How often the log holds `text`.
fn times(office: &Office, text: &str) -> usize {
    office.log().lines().filter(|line| line.contains(text)).count()
}

/// SIGHUP, and the line that ends the reload.
fn reload(office: &Office, end: &str) {
    let before = times(office, end);
    office.signal(Signal::HUP);
    wait_for(&format!("reload: {end}"), SOON, || (times(office, end) > before).then_some(()));
}

const READ: &str = "configurazione riletta";
const REFUSED: &str = "la configurazione non si può usare: resta quella di prima";

/// The place of systemd at the other end of the notify socket.
struct Manager {
    socket: UnixDatagram,
}

impl Manager {
    fn at(path: &Path) -> Manager {
        let socket = UnixDatagram::bind(path).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        Manager { socket }
    }

    /// The next message, if one comes soon.
    fn hear(&self) -> Option<String> {
        let mut bytes = [0; 4_096];
        let read = self.socket.recv(&mut bytes).ok()?;
        Some(String::from_utf8(bytes[..read].to_vec()).unwrap())
    }

    /// Up to a message that begins with `word`; it must come before any of `not`.
    fn wait(&self, word: &str, not: &[&str]) -> String {
        wait_for(word, SOON, || {
            let heard = self.hear()?;
            assert!(!not.iter().any(|not| heard.contains(not)), "{heard} before {word}");
            heard.starts_with(word).then_some(heard)
        })
    }

    /// When pings came within this time.
    fn pings(&self, span: Duration) -> Vec<Instant> {
        let end = monotonic() + span;
        let mut pings = Vec::new();
        while monotonic() < end {
            if self.hear().is_some_and(|heard| heard.contains("WATCHDOG=1")) {
                pings.push(monotonic());
            }
        }
        pings
    }
}

#[test]
fn systemd_hears_ready_pings_that_mean_something_reloads_and_the_stop() {
    let clock = shared_clock(FAST);
    let send = Simulator::start(&clock, "");
    let key = format!("{ENTE}-prova");
    let sources: [(&str, &[&str], &[&str]); 1] = [("primo", &[ENTE], &["aperto"])];
    let mut office = Office::new(&clock, &send.url(), &[Ente { tax_id: ENTE, key: &key, more: "" }], &sources, &[flow("aperto", "", "")]);
    let path = office.dir().join("notify");
    let manager = Manager::at(&path);
    office.start_with(&[("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", "12000000")]);
    let ready = manager.wait("READY=1", &["WATCHDOG"]);
    assert!(ready.contains("STATUS=in servizio (enti: 1, gestionali: 1)"), "{ready}");
    // Ready is ready: it answers, and its folders are there.
    assert_eq!(office.ask(&["status"])["running"], json!(true));
    wait_for("folders", SOON, || office.dir().join("primo/rendicontazioni").is_dir().then_some(()));

    let pings = manager.pings(Duration::from_secs(30));
    assert!((3..=6).contains(&pings.len()), "every 6 s: {}", pings.len());
    // A ping waits for the store, so two may come close; none may leave systemd without a word for its whole interval.
    for pair in pings.windows(2) {
        let gap = pair[1].duration_since(pair[0]);
        assert!(gap.as_secs() < 12, "{gap:?}");
    }

    // Somebody holds the database: nothing can be written, and systemd is told nothing.
    let other = rusqlite::Connection::open(office.dir().join("dati/messo.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    manager.pings(Duration::from_secs(4)); // one may be under way
    assert_eq!(manager.pings(Duration::from_secs(13)).len(), 0, "pings while the store is stuck");
    office.wait_log("il servizio non risponde: systemd non è avvisato");
    other.execute_batch("ROLLBACK").unwrap();
    manager.wait("WATCHDOG=1", &[]);

    // A file that cannot be used: ready again, and the status line says that it was not taken.
    configure(&office, "installation", "instalation");
    office.signal(Signal::HUP);
    manager.wait("RELOADING=1", &["READY"]);
    let ready = manager.wait("READY=1", &[]);
    assert!(ready.contains("la configurazione riletta non si può usare"), "{ready}");
    configure(&office, "instalation", "installation");

    office.signal(Signal::HUP);
    let reloading = manager.wait("RELOADING=1", &["READY"]);
    let micros = reloading.lines().find_map(|line| line.strip_prefix("MONOTONIC_USEC=")).unwrap();
    let uptime = fs::read_to_string("/proc/uptime").unwrap();
    let uptime: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
    let told = micros.parse::<f64>().unwrap() / 1e6;
    assert!((told - uptime).abs() < 30.0, "the monotonic clock of now: {told} and {uptime}");
    let ready = manager.wait("READY=1", &[]);
    assert!(!ready.contains("non si può usare"), "{ready}");

    office.stop();
    let stopping = manager.wait("STOPPING=1", &[]);
    assert!(stopping.contains("STATUS=in arresto"), "{stopping}");
}

#[test]
fn new_enti_gestionali_flows_and_keys_hold_after_sighup_and_a_broken_file_changes_nothing() {
    let clock = shared_clock(86_400);
    let send = Simulator::start(&clock, "");
    let sources: [(&str, &[&str], &[&str]); 1] = [("primo", &[ENTE], &["aperto"])];
    let mut office =
        Office::new(&clock, &send.url(), &[Ente { tax_id: ENTE, key: "mai-vista", more: "" }], &sources, &[flow("aperto", "", "")]);
    append(&office, "[alerts]\nsend_down_minutes = 15\n");
    office.start();

    // The key is refused; another one takes its place without a restart.
    wait_for("the ente is stopped", SOON, || office.alerted("CHIAVE_RIFIUTATA").then_some(()));
    office.set_key(ENTE, &format!("{ENTE}-giusta"));
    reload(&office, READ);
    office.ask(&["act", "retry", "--channel", &format!("{ENTE}/prima"), "--reason", "chiave nuova"]);
    office.answered("primo", "aperto", "uno.zip", &batch(&[Row::new(ENTE, "UNO-1")]), "PRESA_IN_CARICO", &[]);
    office.wait_state("primo", "UNO-1", "ACCETTATO");

    // Broken: in the file, in a flow, in a secret. Everything goes on as before.
    let good = fs::read_to_string(office.config()).unwrap();
    let broken = [
        (good.replace("installation", "instalation"), "chiave sconosciuta"),
        (good.replace("flows = [\"aperto\"]", "flows = [\"chiuso\"]"), "il flusso «chiuso» non esiste"),
        (good.replace("file:chiavi/", "file:chiavi/altrove/"), "il segreto della chiave"),
    ];
    for (text, reason) in &broken {
        fs::write(office.config(), text).unwrap();
        reload(&office, REFUSED);
        let log = office.log();
        let told = log.lines().rfind(|line| line.contains(REFUSED)).unwrap();
        assert!(told.contains(reason) || log.contains(reason), "{reason}: {told}");
    }
    fs::write(office.config(), &good).unwrap();
    fs::write(office.dir().join("flussi/aperto.toml"), "name = \"aperto\"\n").unwrap();
    reload(&office, REFUSED);
    assert_eq!(times(&office, READ), 1);
    fs::write(office.dir().join("flussi/aperto.toml"), flow("aperto", "", "")).unwrap();
    office.answered("primo", "aperto", "due.zip", &batch(&[Row::new(ENTE, "DUE-1")]), "PRESA_IN_CARICO", &[]);
    office.wait_state("primo", "DUE-1", "ACCETTATO");

    // An ente, a flow and a gestionale more.
    fs::write(office.dir().join("chiavi/altra"), format!("{OTHER}-prova")).unwrap();
    fs::write(office.dir().join("flussi/nuovo.toml"), flow("nuovo", "", "")).unwrap();
    append(
        &office,
        &format!(
            "[[ente]]\ntax_id = \"{OTHER}\"\ndenomination = \"Comune Nuovo\"\nambiente = \"collaudo\"\nsend_url = \"{}\"\n\
             [[ente.key]]\nid = \"sola\"\nsecret = \"file:chiavi/altra\"\n\
             [[gestionale]]\nname = \"secondo\"\nroot = \"secondo\"\nenti = [\"{OTHER}\"]\nflows = [\"nuovo\"]\n",
            send.url()
        ),
    );
    // What lies there from before is taken too.
    office.deposit("secondo", "nuovo", "prima.zip", &batch(&[Row::new(OTHER, "SEC-0")]));
    reload(&office, READ);
    assert_eq!(office.receipt("secondo", "prima.zip").state, "PRESA_IN_CARICO");
    office.answered("secondo", "nuovo", "poi.zip", &batch(&[Row::new(OTHER, "SEC-1")]), "PRESA_IN_CARICO", &[]);
    for reference in ["SEC-0", "SEC-1"] {
        office.wait_state("secondo", reference, "ACCETTATO");
        send.only(reference);
    }
    // The old one may now send for the new ente too, but not in the new flow.
    configure(&office, &format!("enti = [\"{ENTE}\"]"), &format!("enti = [\"{ENTE}\", \"{OTHER}\"]"));
    reload(&office, READ);
    office.answered("primo", "aperto", "tre.zip", &batch(&[Row::new(OTHER, "TRE-1")]), "PRESA_IN_CARICO", &[]);
    office.answered("primo", "nuovo", "quattro.zip", &batch(&[Row::new(OTHER, "QUA-1")]), "SCARTATO", &["FLUSSO_NON_AUTORIZZATO"]);

    // A flow that is changed holds for what comes, not for what was taken under it.
    office.answered("primo", "aperto", "prima-del-flusso.zip", &batch(&[Row::new(ENTE, "FLU-1")]), "PRESA_IN_CARICO", &[]);
    fs::write(office.dir().join("flussi/aperto.toml"), flow("aperto", "", "[sending]\nwhen = \"held\"")).unwrap();
    reload(&office, READ);
    office.answered("primo", "aperto", "dopo-il-flusso.zip", &batch(&[Row::new(ENTE, "FLU-2")]), "PRESA_IN_CARICO", &[]);
    office.wait_state("primo", "FLU-1", "ACCETTATO");
    office.wait_act("FLU-2", "held", |act| act["act"]["state"] == "IN_ATTESA");
    assert!(send.of("FLU-2").is_empty());

    // What was taken away is named, and goes on until a restart.
    let text = fs::read_to_string(office.config()).unwrap();
    let (kept, _) = text.split_once("[[gestionale]]\nname = \"secondo\"").unwrap();
    fs::write(office.config(), kept.replace("scan_ms = 500", "scan_ms = 400")).unwrap();
    reload(&office, READ);
    for waits in ["il gestionale secondo non è più nella configurazione", "«watch» è cambiato"] {
        wait_for(waits, SOON, || office.log().lines().any(|line| line.contains(waits) && line.contains("riavvio")).then_some(()));
    }
    office.answered("secondo", "nuovo", "ancora.zip", &batch(&[Row::new(OTHER, "SEC-2")]), "PRESA_IN_CARICO", &[]);
    office.wait_state("secondo", "SEC-2", "ACCETTATO");
    office.stop();
    // After the restart nobody watches it.
    office.start();
    assert_eq!(office.ask(&["status"])["stuck"], json!([]));
    office.deposit("secondo", "nuovo", "tardi.zip", &batch(&[Row::new(OTHER, "SEC-3")]));
    std::thread::sleep(Duration::from_millis(1_500));
    assert!(office.dir().join("secondo/in/nuovo/tardi.zip").exists());
    office.stop();
}

/// Deep in the connector nobody knows whose call it is: the line says it all the same.
#[test]
fn lines_of_the_log_carry_the_ids_of_what_they_are_about() {
    let clock = shared_clock(FAST);
    let send = Simulator::start(&clock, "[[fault]]\noperation = \"send\"\nkind = \"503\"\nrate = 0.7\n");
    let key = format!("{ENTE}-prova");
    let sources: [(&str, &[&str], &[&str]); 1] = [("primo", &[ENTE], &["aperto"])];
    let mut office = Office::new(&clock, &send.url(), &[Ente { tax_id: ENTE, key: &key, more: "" }], &sources, &[flow("aperto", "", "")]);
    office.start();
    let rows: Vec<Row> = (0..6).map(|number| Row::new(ENTE, &format!("LOG-{number}"))).collect();
    office.answered("primo", "aperto", "verdi_anna.zip", &batch(&rows), "PRESA_IN_CARICO", &[]);
    let ids: BTreeSet<String> =
        rows.iter().enumerate().map(|(number, _)| office.act(&format!("LOG-{number}"))["act"]["id"].as_str().unwrap().to_owned()).collect();
    let refused = wait_for("calls that fail", SOON, || {
        let log = office.log();
        let lines: Vec<String> =
            log.lines().filter(|line| line.contains("SEND refused") && line.contains("operation=\"send\"")).map(str::to_owned).collect();
        (lines.len() >= 2).then_some(lines)
    });
    for line in refused {
        let id = line.split("atto{act.id=").nth(1).unwrap_or_else(|| panic!("no act in: {line}")).split(' ').next().unwrap();
        assert!(ids.contains(id) && line.contains("job.id="), "{line}");
    }
    let log = office.log();
    let taken = log.lines().find(|line| line.contains("file depositato esaminato")).unwrap();
    assert!(taken.contains("batch.id="), "{taken}");
    assert!(!log.contains("verdi") && !log.contains("LOG-"), "{log}");
    office.stop();
}

/// Family, type and samples of a page of figures.
fn families(page: &str) -> BTreeSet<String> {
    page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).map(str::to_owned).collect()
}

fn sample(page: &str, start: &str) -> f64 {
    let found = page.lines().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("no {start} in\n{page}"));
    found.rsplit_once(' ').unwrap().1.parse().unwrap()
}

/// Names that an expression asks Prometheus for: of ours, without the endings of a histogram.
fn asked(expression: &str) -> BTreeSet<String> {
    let words = expression.split(|char: char| !char.is_ascii_alphanumeric() && char != '_');
    let ours = words.filter(|word| word.starts_with("messo_") || word.starts_with("process_"));
    let histogram = "messo_remote_call_duration_seconds";
    ours.map(|word| if word.starts_with(histogram) { histogram } else { word }.to_owned()).collect()
}

/// Figures of ours of which rules pick some by a label, or count by one: name and label.
fn labels_asked(rules: &str) -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    for (at, _) in rules.match_indices('{').filter(|(at, _)| rules[..*at].ends_with(|char: char| char.is_ascii_lowercase())) {
        let name = rules[..at].rsplit(|char: char| !char.is_ascii_alphanumeric() && char != '_').next().unwrap();
        let picks = rules[at + 1..].split_once('}').unwrap().0;
        for pick in picks.split(',').filter(|_| name.starts_with("messo_")) {
            let label = pick.trim().split(['=', '!']).next().unwrap();
            found.insert((name.to_owned(), label.to_owned()));
        }
    }
    found
}

/// Every value of a key, however deep.
fn expressions(value: &serde_json::Value, found: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(fields) => {
            for (key, value) in fields {
                match value {
                    serde_json::Value::String(text) if key == "expr" || (key == "query" && text.contains("messo_")) => {
                        found.push(text.clone())
                    }
                    other => expressions(other, found),
                }
            }
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| expressions(item, found)),
        _ => {}
    }
}

fn promtool(args: &[&str], input: Option<&str>) -> (bool, String) {
    use std::io::Write;
    let mut command = Command::new(programs::promtool());
    let mut child = command
        .args(args)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.unwrap_or_default().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr))
}

#[test]
fn the_health_page_tells_how_it_is_and_its_figures_are_what_rules_and_dashboard_ask_for() {
    // Quotas are of a day: it does not end meanwhile.
    let clock = clock_at_hour(10, FAST);
    let send = Simulator::start(&clock, "");
    let key = format!("{ENTE}-prova");
    let sources: [(&str, &[&str], &[&str]); 1] = [("primo", &[ENTE], &["aperto"])];
    let quota = "quota = { per_second = 50, burst = 100, per_day = 5000, spend_cents_per_day = 250 }";
    let mut office =
        Office::new(&clock, &send.url(), &[Ente { tax_id: ENTE, key: &key, more: quota }], &sources, &[flow("aperto", "", "")]);
    let addr: SocketAddr = format!("127.0.0.1:{}", free_port()).parse().unwrap();
    append(&office, &format!("[salute]\nlisten = \"{addr}\"\n[[sftp.listen]]\naddress = \"127.0.0.1:{}\"\n", free_port()));
    office.start();
    office.wait_log("pagina di salute in ascolto");
    // Every loop begins its first turn before it is called ready.
    wait_for("ready", SOON, || (http(addr, "GET", "/readyz", &[]).0 == 200).then_some(()));
    assert_eq!(http(addr, "GET", "/healthz", &[]), (200, "ok\n".to_owned()));
    assert_eq!(http(addr, "GET", "/readyz", &[]), (200, "ok\n".to_owned()));
    assert_eq!(http(addr, "GET", "/altro", &[]).0, 404);
    assert_eq!(http(addr, "POST", "/metrics", &[]).0, 405);

    office.answered(
        "primo",
        "aperto",
        "rossi_mario.zip",
        &batch(&[Row::new(ENTE, "MET-1"), Row::new(ENTE, "MET-2")]),
        "PRESA_IN_CARICO",
        &[],
    );
    office.wait_state("primo", "MET-1", "ACCETTATO");
    office.wait_state("primo", "MET-2", "ACCETTATO");
    let page = wait_for("counts of now", SOON, || {
        let (status, page) = http(addr, "GET", "/metrics", &[]);
        assert_eq!(status, 200, "{page}");
        page.contains("messo_drops{state=\"PRESA_IN_CARICO\"} 1").then_some(page)
    });
    assert!(sample(&page, "messo_remote_calls_total{remote=\"send\",operation=\"send\",outcome=\"ok\"}") >= 2.0);
    assert!(sample(&page, "messo_remote_call_duration_seconds_bucket{remote=\"send\",operation=\"upload\",le=\"+Inf\"}") >= 1.0);
    let left = sample(&page, &format!("messo_quota_calls_left{{ente=\"{ENTE}\"}}"));
    assert!((1.0..5000.0).contains(&left), "{left}");
    // Two base fees of one euro each.
    assert_eq!(sample(&page, &format!("messo_quota_spend_left_euros{{ente=\"{ENTE}\"}}")), 0.5);
    assert_eq!(sample(&page, &format!("messo_stream_listening{{ente=\"{ENTE}\",key=\"prima\"}}")), 1.0);
    assert_eq!(sample(&page, "messo_remote_up{"), 1.0);
    assert_eq!(sample(&page, "messo_sftp_logins_total{outcome=\"refused\"}"), 0.0);
    assert!(sample(&page, "messo_disk_free_bytes") > 0.0 && sample(&page, "process_resident_memory_bytes") > 1e6);
    // What is left is not enough for another act: used up all the same.
    office.answered("primo", "aperto", "altro.zip", &batch(&[Row::new(ENTE, "MET-3")]), "PRESA_IN_CARICO", &[]);
    let used_up = format!("messo_quota_used_up{{ente=\"{ENTE}\",code=\"TETTO_DI_SPESA_RAGGIUNTO\"}} 1");
    let page =
        wait_for("the ceiling of the day", SOON, || Some(http(addr, "GET", "/metrics", &[]).1).filter(|page| page.contains(&used_up)));
    for word in CITIZEN.iter().chain(&["MET-1", "rossi", ".zip", "Comune di Prova"]) {
        assert!(!page.contains(word), "the page holds {word:?}:\n{page}");
    }
    // Labels are of short lists: what was dropped adds no sample but the states'.
    assert!(page.lines().count() < 600, "{} lines", page.lines().count());

    // The alert rules and the dashboard ask for what is there.
    let known = families(&page);
    let rules = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/prometheus/messo.rules.yml")).unwrap();
    let dashboard = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/grafana/messo.json")).unwrap();
    let mut found = Vec::new();
    expressions(&serde_json::from_str(&dashboard).unwrap(), &mut found);
    assert!(found.len() >= 12, "{} expressions in the dashboard", found.len());
    found.push(rules.lines().filter(|line| !line.trim_start().starts_with('#')).collect::<Vec<_>>().join("\n"));
    for expression in &found {
        let unknown: Vec<String> = asked(expression).into_iter().filter(|name| !known.contains(name)).collect();
        assert!(unknown.is_empty(), "{unknown:?} is no figure of ours, in: {expression}");
    }
    // Whatever they pick by a label has that label here.
    let picked = labels_asked(&rules);
    assert!(picked.len() >= 6, "{picked:?}");
    for (name, label) in picked {
        let has = |line: &&str| line.starts_with(&format!("{name}{{")) && line.contains(&format!("{label}=\""));
        assert!(page.lines().any(|line| has(&line)), "no {name} has a {label}:\n{page}");
    }
    if programs::require_path(&programs::promtool()) {
        let (good, said) = promtool(&["check", "metrics"], Some(&page));
        assert!(good && said.trim().is_empty(), "promtool check metrics: {said}");
    }

    // The store does not write: not alive, not ready, and it says why.
    let other = rusqlite::Connection::open(office.dir().join("dati/messo.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    wait_for("not alive", SOON, || {
        let (status, told) = http(addr, "GET", "/healthz", &[]);
        (status == 503 && told.contains("l'archivio dei dati")).then_some(())
    });
    other.execute_batch("ROLLBACK").unwrap();
    wait_for("alive again", SOON, || (http(addr, "GET", "/healthz", &[]).0 == 200).then_some(()));
    // A file that cannot be used is seen from outside.
    let reloaded = || sample(&http(addr, "GET", "/metrics", &[]).1, "messo_config_last_reload_successful");
    assert_eq!(reloaded(), 1.0);
    configure(&office, "installation", "instalation");
    reload(&office, REFUSED);
    wait_for("the refused reload", SOON, || (reloaded() == 0.0).then_some(()));
    configure(&office, "instalation", "installation");
    // No room under the reserve: alive, but not ready.
    configure(&office, "disk_reserve_bytes = 0", "disk_reserve_bytes = 17592186044416");
    reload(&office, READ);
    let (status, told) = http(addr, "GET", "/readyz", &[]);
    assert!(status == 503 && told.contains("limits.disk_reserve_bytes"), "{status} {told}");
    assert_eq!(http(addr, "GET", "/healthz", &[]).0, 200);
    office.stop();
}

#[test]
fn alert_rules_are_what_prometheus_reads() {
    if !programs::require_path(&programs::promtool()) {
        return;
    }
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/prometheus/messo.rules.yml");
    let (good, said) = promtool(&["check", "rules", rules.to_str().unwrap()], None);
    assert!(good && said.contains("SUCCESS"), "{said}");
    // And they fire when they should, and no sooner: each rule has a case of both.
    let rules_text = fs::read_to_string(&rules).unwrap();
    let told = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/service/rules.test.yml")).unwrap();
    let cases: Vec<&str> = told.split("- eval_time:").skip(1).collect();
    let names: Vec<&str> = rules_text.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(names.len() >= 18, "{names:?}");
    for name in names {
        let of = |silent: bool| {
            let of_name = cases.iter().filter(|case| case.contains(&format!("alertname: {name}\n")));
            of_name.filter(|case| case.contains("exp_alerts: []") == silent).count()
        };
        assert!(of(false) > 0 && of(true) > 0, "{name} has no case in which it fires, or none in which it does not");
    }
    let place = tempfile::tempdir().unwrap();
    fs::copy(&rules, place.path().join("messo.rules.yml")).unwrap();
    let cases = place.path().join("rules.test.yml");
    fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/service/rules.test.yml"), &cases).unwrap();
    let (good, said) = promtool(&["test", "rules", cases.to_str().unwrap()], None);
    assert!(good && said.contains("SUCCESS"), "{said}");
}
