//! A municipality in a folder: `messo run` and the SEND simulator as processes of their own, gestionali that drop batches
//! and read what comes back. Nothing here looks inside the program.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use messo::clock::{Clock, monotonic};
use serde_json::Value;

use super::examples::zip_entries;
use super::process::{Child, free_port, messo, wait_for};
use super::published::{Line, lines};

/// Longest wait for a single thing, real time: many times what it takes.
pub const SOON: Duration = Duration::from_secs(60);
/// Invented: name and tax id of the citizen of every batch written here.
pub const CITIZEN: [&str; 2] = ["Mario Rossi", "RSSMRA80A01H501U"];

/// `FACTOR@NOW`: for processes that must agree on the date.
pub fn shared_clock(factor: u32) -> String {
    format!("{factor}@{}", Clock::REAL.now().as_millisecond())
}

/// The same, when it is that hour in Rome now: no midnight falls inside a test that begins in the morning.
pub fn clock_at_hour(hour: i8, factor: u32) -> String {
    let real = Clock::REAL.now();
    let rome = real.in_tz("Europe/Rome").unwrap();
    let minutes = (i64::from(hour) * 60 - i64::from(rome.hour()) * 60 - i64::from(rome.minute())).rem_euclid(24 * 60);
    // The origin lies so far back that the factor has carried business time ahead to that hour.
    let origin = real.as_millisecond() - minutes * 60_000 / i64::from(factor - 1);
    format!("{factor}@{origin}")
}

/// `messo sandbox`.
pub struct Simulator {
    child: Child,
    pub addr: SocketAddr,
    _faults: tempfile::TempDir,
}

impl Simulator {
    /// On a free port, with the text of a faults file.
    pub fn start(clock: &str, faults: &str) -> Simulator {
        Simulator::start_on(free_port(), clock, faults)
    }

    /// On that port.
    pub fn start_on(port: u16, clock: &str, faults: &str) -> Simulator {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("guasti.toml");
        fs::write(&file, faults).unwrap();
        let listen = format!("127.0.0.1:{port}");
        let mut command = messo(&["sandbox", "--listen", &listen, "--clock", clock, "--faults"]);
        let mut child = Child::spawn("sandbox", command.arg(&file));
        child.wait_line("sandbox in ascolto", SOON);
        Simulator { child, addr: listen.parse().unwrap(), _faults: folder }
    }

    /// With those of the PTs beside it, on that port.
    pub fn start_with_partners(clock: &str, partners: u16) -> Simulator {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let (listen, pts) = (format!("127.0.0.1:{port}"), format!("127.0.0.1:{partners}"));
        let mut command = messo(&["sandbox", "--listen", &listen, "--clock", clock, "--pt", &pts]);
        let mut child = Child::spawn("sandbox", &mut command);
        child.wait_line("simulatori dei PT in ascolto", SOON);
        Simulator { child, addr: listen.parse().unwrap(), _faults: folder }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Ends it, with all that it remembers; answers where it listened.
    pub fn stop(mut self) -> u16 {
        self.child.terminate(SOON);
        self.addr.port()
    }

    /// A page for tests (`/_sandbox/notifications`).
    pub fn look(&self, what: &str) -> Value {
        let (status, body) = http(self.addr, "GET", &format!("/_sandbox/{what}"), &[]);
        assert_eq!(status, 200, "{what}: {body}");
        serde_json::from_str(&body).unwrap_or_else(|error| panic!("{what}: {error}: {body}"))
    }

    /// What was taken under that protocol, in order.
    pub fn of(&self, protocol: &str) -> Vec<Value> {
        let all = self.look("notifications");
        all.as_array().unwrap().iter().filter(|note| note["paProtocolNumber"] == protocol).cloned().collect()
    }

    /// The one notification that was taken under that protocol.
    pub fn only(&self, protocol: &str) -> Value {
        let found = self.of(protocol);
        assert_eq!(found.len(), 1, "{protocol}: {found:?}");
        found.into_iter().next().unwrap()
    }
}

/// One call, one connection.
pub fn http(addr: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)]) -> (u16, String) {
    let mut stream = TcpStream::connect(addr).unwrap();
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: {addr}\r\n{headers}Content-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// One call with a JSON body.
pub fn http_json(addr: SocketAddr, method: &str, path: &str, body: &Value) -> (u16, String) {
    let mut stream = TcpStream::connect(addr).unwrap();
    let body = body.to_string();
    let length = body.len();
    let head = format!("{method} {path} HTTP/1.1\r\nHost: {addr}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n");
    write!(stream, "{head}Connection: close\r\n\r\n{body}").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// How a command ended.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

/// Runs the program to its end.
pub fn run(args: &[&str]) -> Ran {
    let output = messo(args).env_remove("SUDO_USER").output().unwrap();
    Ran {
        code: output.status.code().unwrap_or_else(|| panic!("{args:?}: {}", output.status)),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A receipt as published.
#[derive(Debug, Clone)]
pub struct Receipt {
    pub state: String,
    /// Codes of its problems, in order.
    pub codes: Vec<String>,
    pub xml: String,
    pub path: PathBuf,
}

/// One ente of a configuration: tax id, what its API key is, further lines of its `[[ente]]`.
#[derive(Debug, Clone, Copy)]
pub struct Ente<'a> {
    pub tax_id: &'a str,
    pub key: &'a str,
    pub more: &'a str,
}

/// A folder with a configuration, and the hub that runs on it.
pub struct Office {
    folder: tempfile::TempDir,
    clock: String,
    hub: Option<Child>,
    /// What the run before logged.
    logged: String,
    /// Logs everything.
    verbose: bool,
}

impl Office {
    /// Writes the configuration. `sources`: gestionale, its enti, its flows. `flows`: files of the ente.
    pub fn new(clock: &str, url: &str, enti: &[Ente<'_>], sources: &[(&str, &[&str], &[&str])], flows: &[String]) -> Office {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path();
        for name in ["chiavi", "flussi"] {
            fs::create_dir(dir.join(name)).unwrap();
        }
        for flow in flows {
            let name = flow.lines().find_map(|line| line.strip_prefix("name = \"")).unwrap().trim_end_matches('"');
            fs::write(dir.join(format!("flussi/{name}.toml")), flow).unwrap();
        }
        let mut text = String::from(
            "data = \"dati\"\nflows = \"flussi\"\ninstallation = \"prova\"\n[watch]\nsettle_ms = 300\nscan_ms = 500\n[limits]\ndisk_reserve_bytes = 0\n",
        );
        for Ente { tax_id, key, more } in enti {
            fs::write(dir.join("chiavi").join(tax_id), key).unwrap();
            text.push_str(&format!(
                "[[ente]]\ntax_id = \"{tax_id}\"\ndenomination = \"Comune di Prova\"\nambiente = \"collaudo\"\nsend_url = \"{url}\"\n{more}\n\
                 [[ente.key]]\nid = \"prima\"\nsecret = \"file:chiavi/{tax_id}\"\n"
            ));
        }
        for (name, enti, flows) in sources {
            fs::create_dir(dir.join(name)).unwrap();
            text.push_str(&format!("[[gestionale]]\nname = \"{name}\"\nroot = \"{name}\"\nenti = {enti:?}\nflows = {flows:?}\n"));
            if let Some(first) = enti.first() {
                text.push_str(&format!("organization_ids = {{ \"15\" = \"{first}\" }}\n"));
            }
        }
        fs::write(dir.join("messo.toml"), text).unwrap();
        Office { clock: clock.to_owned(), hub: None, logged: String::new(), verbose: false, folder }
    }

    pub fn dir(&self) -> &Path {
        self.folder.path()
    }

    pub fn config(&self) -> String {
        self.dir().join("messo.toml").to_str().unwrap().to_owned()
    }

    /// Changes what the API key of an ente is; the hub reads it when it starts, or when it is told to.
    pub fn set_key(&self, tax_id: &str, key: &str) {
        fs::write(self.dir().join("chiavi").join(tax_id), key).unwrap();
    }

    /// Another clock, from the next start on.
    pub fn set_clock(&mut self, clock: &str) {
        clock.clone_into(&mut self.clock);
    }

    /// The business instant.
    pub fn now(&self) -> Timestamp {
        self.clock.parse::<Clock>().unwrap().now()
    }

    /// Logs everything from the next start on.
    pub fn log_everything(&mut self) {
        self.verbose = true;
    }

    /// Starts the hub with a variable in its environment and waits until it dies.
    pub fn start_to_die(&self, name: &str, value: &str) -> String {
        let mut command = messo(&["run", "--config", &self.config(), "--clock", &self.clock, "--log", "testo"]);
        let mut child = Child::spawn("hub", command.env(name, value));
        let ended = child.wait(SOON);
        assert!(!ended.success(), "{name}={value}: {ended}");
        child.output()
    }

    pub fn start(&mut self) {
        self.start_with(&[]);
    }

    /// The same, with more in its environment.
    pub fn start_with(&mut self, environment: &[(&str, &str)]) {
        let mut command = messo(&["run", "--config", &self.config(), "--clock", &self.clock, "--log", "testo"]);
        if self.verbose {
            command.env("MESSO_LOG", "trace");
        }
        let mut child = Child::spawn("hub", command.envs(environment.iter().copied()));
        child.wait_line("messo è in servizio", SOON);
        self.hub = Some(child);
    }

    /// SIGTERM: what runs is finished. The log of the whole run names nobody.
    pub fn stop(&mut self) {
        let mut hub = self.hub.take().unwrap();
        let ended = hub.terminate(SOON);
        assert!(ended.success(), "{ended}");
        let log = hub.output();
        for word in CITIZEN {
            assert!(!log.contains(word), "the log holds {word:?}:\n{log}");
        }
        self.logged = log;
    }

    /// What the hub logged up to its last [`Office::stop`].
    pub fn last_log(&self) -> &str {
        &self.logged
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: rustix::process::Signal) {
        self.hub.as_ref().unwrap().signal(signal);
    }

    /// Waits for a line of the log that holds `text`.
    pub fn wait_log(&mut self, text: &str) -> String {
        self.hub.as_mut().unwrap().wait_line(text, SOON)
    }

    /// What the hub logged so far.
    pub fn log(&self) -> String {
        self.hub.as_ref().unwrap().output()
    }

    /// Whether operators were told; `messo status` shows the last seven days only, which may be seven seconds here.
    pub fn alerted(&self, code: &str) -> bool {
        self.log().lines().any(|line| line.contains("avviso agli operatori") && line.contains(code))
    }

    pub fn command(&self, args: &[&str]) -> Ran {
        run(&[args, &["--config", &self.config()]].concat())
    }

    /// A command that succeeds, as `--json` tells it.
    pub fn ask(&self, args: &[&str]) -> Value {
        let ran = self.command(&[args, &["--json"]].concat());
        assert_eq!(ran.code, 0, "{args:?}: {}{}", ran.out, ran.err);
        serde_json::from_str(&ran.out).unwrap()
    }

    /// The newest submission of an act, as `act show` tells it.
    pub fn act(&self, reference: &str) -> Value {
        let report = self.ask(&["act", "show", reference]);
        let acts = report["acts"].as_array().unwrap();
        acts.iter().max_by_key(|act| act["act"]["submission"].as_u64()).unwrap().clone()
    }

    pub fn wait_act(&self, reference: &str, what: &str, mut ready: impl FnMut(&Value) -> bool) -> Value {
        wait_for(&format!("{reference}: {what}"), SOON, || {
            std::thread::sleep(Duration::from_millis(60));
            let act = self.act(reference);
            ready(&act).then_some(act)
        })
    }

    /// Drops a batch under another name first, with its companion: taken at once.
    pub fn deposit(&self, source: &str, flow: &str, name: &str, bytes: &[u8]) {
        let folder = self.dir().join(source).join("in").join(flow);
        fs::create_dir_all(&folder).unwrap();
        let temporary = folder.join(format!("{name}.part"));
        fs::write(&temporary, bytes).unwrap();
        fs::rename(temporary, folder.join(name)).unwrap();
        fs::write(folder.join(format!("{name}.ok")), "").unwrap();
    }

    /// The receipt of the drop with that name; the name is used once.
    pub fn receipt(&self, source: &str, name: &str) -> Receipt {
        let stem = format!("_{}_", name.rsplit_once('.').unwrap().0.replace(' ', "-"));
        let folder = self.dir().join(source).join("ricevute");
        let path = wait_for(&format!("receipt of {source}/{name}"), SOON, || {
            published(&folder).into_iter().find(|path| {
                let file = path.file_name().unwrap().to_str().unwrap();
                file.contains(&stem) && file.ends_with(".xml")
            })
        });
        let xml = fs::read_to_string(&path).unwrap();
        let state = super::published::texts(&xml, "stato").remove(0);
        let codes = xml.split("codice=\"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()).collect();
        Receipt { state, codes, xml, path }
    }

    /// Drops and waits for the receipt.
    pub fn receipt_of_deposit(&self, source: &str, flow: &str, name: &str, bytes: &[u8]) -> Receipt {
        self.deposit(source, flow, name, bytes);
        self.receipt(source, name)
    }

    /// Drops and waits for the receipt, which must say this.
    pub fn answered(&self, source: &str, flow: &str, name: &str, bytes: &[u8], state: &str, codes: &[&str]) -> Receipt {
        self.deposit(source, flow, name, bytes);
        let receipt = self.receipt(source, name);
        assert_eq!(
            (receipt.state.as_str(), &receipt.codes[..]),
            (state, &codes.iter().map(|c| (*c).to_owned()).collect::<Vec<_>>()[..]),
            "{name}"
        );
        receipt
    }

    /// The reject archive of that drop; `act`: of an act that SEND refused later.
    pub fn reject(&self, source: &str, name: &str, act: bool) -> (String, Vec<u8>) {
        let stem = name.rsplit_once('.').unwrap().0.to_owned();
        let folder = self.dir().join(source).join("scarti");
        let path = wait_for(&format!("rejects of {source}/{name}"), SOON, || {
            published(&folder).into_iter().find(|path| {
                let file = path.file_stem().unwrap().to_str().unwrap();
                let Some((_, rest)) = file.split_once(&format!("_{stem}")) else { return false };
                if act { rest.starts_with('_') && rest[1..].bytes().all(|byte| byte.is_ascii_digit()) } else { rest.is_empty() }
            })
        });
        (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(path).unwrap())
    }

    /// Lines of every esito of a gestionale about one act.
    pub fn story(&self, source: &str, reference: &str) -> Vec<Line> {
        lines(&self.dir().join(source)).into_iter().filter(|line| line["riferimento"] == reference).collect()
    }

    /// Waits until the esiti hold a line about that act that `wanted` takes.
    pub fn wait_line(&self, source: &str, reference: &str, what: &str, wanted: impl Fn(&Line) -> bool) -> Line {
        let end = monotonic() + SOON;
        loop {
            let story = self.story(source, reference);
            if let Some(line) = story.iter().find(|line| wanted(line)) {
                return line.clone();
            }
            if monotonic() > end {
                let told: Vec<String> = story
                    .iter()
                    .map(|l| format!("{} {} {} {} {} {}", l["riga"], l["invio"], l["stato"], l["evento"], l["codice"], l["corregge"]))
                    .collect();
                let now = self.command(&["act", "show", reference]).out;
                panic!("not within {SOON:?}: {source}, {reference}: {what}; the esiti say:\n{}\n{now}", told.join("\n"));
            }
            std::thread::sleep(Duration::from_millis(80));
        }
    }

    pub fn wait_state(&self, source: &str, reference: &str, state: &str) -> Line {
        self.wait_line(source, reference, state, |line| line["stato"] == state)
    }
}

/// Files of a folder that a gestionale may read: whole, under their final name; sorted.
pub fn published(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut found: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.is_file() && !path.file_name().unwrap().to_str().unwrap().starts_with('.'))
        .collect();
    found.sort();
    found
}

/// A flow of the ente: no payment, no guard, outcomes at once. `more` comes last: keys of the table `[sending]` or `[guard]`.
pub fn flow(name: &str, keys: &str, more: &str) -> String {
    format!(
        "name = \"{name}\"\ntitle = \"Prova {name}\"\ntaxonomy_code = \"010501N\"\ncommunication_type = \"AR_REGISTERED_LETTER\"\n\
         fee_policy = \"FLAT_RATE\"\npago_pa_int_mode = \"NONE\"\npayment = \"forbidden\"\n{keys}\n{more}\n"
    )
}

/// One act of a CSV batch.
#[derive(Debug, Clone)]
pub struct Row {
    cells: BTreeMap<&'static str, String>,
    /// Text of its document: two acts never share one by chance.
    text: String,
}

impl Row {
    pub fn new(ente: &str, reference: &str) -> Row {
        let mut row = Row { cells: BTreeMap::new(), text: format!("atto {reference}") };
        for (column, value) in [
            ("riferimento", reference),
            ("ente", ente),
            ("azione", "inserisci"),
            ("protocollo", reference),
            ("oggetto", "Comunicazione di prova"),
            ("tipo_destinatario", "PF"),
            ("codice_fiscale", CITIZEN[1]),
            ("denominazione", CITIZEN[0]),
            ("indirizzo", "VIA ROMA 1"),
            ("cap", "00184"),
            ("comune", "ROMA"),
            ("provincia", "RM"),
            ("documento_file_1", &format!("{reference}.pdf")),
        ] {
            row.cells.insert(column, value.to_owned());
        }
        row
    }

    pub fn with(mut self, column: &'static str, value: &str) -> Row {
        self.cells.insert(column, value.to_owned());
        self
    }

    /// Another document.
    pub fn text(mut self, text: &str) -> Row {
        text.clone_into(&mut self.text);
        self
    }

    /// Only what an order needs: no recipient, no document.
    pub fn order(ente: &str, reference: &str, action: &str) -> Row {
        let cells = [("riferimento", reference), ("ente", ente), ("azione", action)];
        Row { cells: cells.map(|(column, value)| (column, value.to_owned())).into(), text: String::new() }
    }

    /// A notice to be paid to `creditor`, with its check digits.
    pub fn notice(self, creditor: &str, number: u64) -> Row {
        let base = 3_020_000_000_000_000 + number;
        self.with("avviso_numero_1", &format!("{base}{:02}", base % 93))
            .with("avviso_creditore_1", creditor)
            .with("avviso_applica_costi_1", "SI")
    }

    /// Bytes of its document.
    pub fn pdf(&self) -> Vec<u8> {
        pdf(&self.text)
    }
}

/// The CSV of these acts.
pub fn csv(rows: &[Row]) -> String {
    let columns: std::collections::BTreeSet<&str> = rows.iter().flat_map(|row| row.cells.keys().copied()).collect();
    let mut text = columns.iter().copied().collect::<Vec<_>>().join(";") + "\r\n";
    for row in rows {
        let cells: Vec<&str> = columns.iter().map(|column| row.cells.get(column).map_or("", String::as_str)).collect();
        text.push_str(&(cells.join(";") + "\r\n"));
    }
    text
}

/// A batch: `lotto.csv` and the documents it names.
pub fn batch(rows: &[Row]) -> Vec<u8> {
    let mut entries = vec![("lotto.csv".to_owned(), csv(rows).into_bytes())];
    entries.extend(rows.iter().filter_map(|row| Some((row.cells.get("documento_file_1")?.clone(), row.pdf()))));
    // The rows of one act name the same one.
    entries.dedup_by(|one, other| one.0 == other.0);
    zip_entries(entries.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())))
}

/// A PDF of one page.
pub fn pdf(text: &str) -> Vec<u8> {
    let stream = format!("BT /F1 16 Tf 60 780 Td ({text}) Tj ET");
    let objects = [
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>".to_owned(),
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>".to_owned(),
        format!("<< /Length {} >>\nstream\n{stream}\nendstream", stream.len()),
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>".to_owned(),
    ];
    let mut out = String::from("%PDF-1.4\n");
    let mut offsets = Vec::new();
    for (number, object) in objects.iter().enumerate() {
        offsets.push(out.len());
        out.push_str(&format!("{} 0 obj\n{object}\nendobj\n", number + 1));
    }
    let start = out.len();
    out.push_str("xref\n0 6\n0000000000 65535 f \n");
    for offset in offsets {
        out.push_str(&format!("{offset:010} 00000 n \n"));
    }
    out.push_str(&format!("trailer\n<< /Size 6 /Root 1 0 R >>\nstartxref\n{start}\n%%EOF\n"));
    out.into_bytes()
}
