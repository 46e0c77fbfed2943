//! A hub that mails, and the server it mails to.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a failed step ends the test")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use messo::clock::Clock;
use rusqlite::Connection;
use serde_json::{Value, json};

use super::common::{Child, free_port, messo, python, require, require_python, wait_for};

pub const ENTE: &str = "02438750586";
/// Business seconds in a real one.
pub const FACTOR: u32 = 60;

/// Whether what the tests need is installed.
pub fn ready() -> bool {
    require_python(&["aiosmtpd"]) && require("openssl")
}

/// A mail as the server took it.
#[derive(Debug, Clone)]
pub struct Taken {
    pub to: String,
    pub message_id: String,
    pub subject: String,
    pub raw: String,
    pub tls: bool,
    pub login: bool,
}

pub struct House {
    pub dir: tempfile::TempDir,
    pub port: u16,
    clock: String,
    server: Option<Child>,
}

impl House {
    /// `mail`: more lines of `[mail]`; `rules`: of the ente.
    pub fn new(mail: &str, rules: &str) -> House {
        let dir = tempfile::tempdir().unwrap();
        let (port, send) = (free_port(), free_port());
        let text = format!(
            "data = \"dati\"\ninstallation = \"prova\"\n\n# SEND is away: that is not to be told here.\n[alerts]\nsend_down_minutes = 0\n# Its night may fall inside a test.\nreport = false\n\n[mail]\nhost = \"localhost\"\nport = {port}\nfrom = \"messo <messo@comune.esempio.it>\"\n\
             {mail}\n\n[[ente]]\ntax_id = \"{ENTE}\"\ndenomination = \"Comune di Prova\"\nambiente = \"collaudo\"\n\
             send_url = \"http://127.0.0.1:{send}\"\n\n[[ente.key]]\nid = \"generale\"\nsecret = \"file:chiave\"\n\n{rules}\n\n\
             [[gestionale]]\nname = \"polizia\"\nroot = \"casa\"\nenti = [\"{ENTE}\"]\nflows = [\"cds\"]\n"
        );
        fs::write(dir.path().join("messo.toml"), text).unwrap();
        for (name, secret) in [("chiave", "segreta"), ("password", "parola d'ordine")] {
            fs::write(dir.path().join(name), secret).unwrap();
            fs::set_permissions(dir.path().join(name), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        }
        fs::create_dir_all(dir.path().join("casa")).unwrap();
        let clock = Clock::accelerated_from_now(FACTOR).to_string();
        House { dir, port, clock, server: None }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Starts the server: `plain`, `starttls` or `tls`; with a login, it wants one.
    pub fn serve(&mut self, mode: &str, login: &[&str]) {
        if mode != "plain" && !self.path("cert.pem").exists() {
            certificate(self.dir.path());
        }
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/smtp_server.py");
        let mut command = Command::new(python());
        command.arg(script).arg(self.port.to_string()).arg(self.dir.path()).arg(mode).args(login);
        let mut server = Child::spawn("smtp", &mut command);
        server.wait_line("in ascolto", Duration::from_secs(90));
        self.server = Some(server);
    }

    pub fn stop_serving(&mut self) {
        self.server = None;
    }

    /// What the server does from now on.
    pub fn rules(&self, rules: Value) {
        let written = self.path("rules.json.tmp");
        fs::write(&written, rules.to_string()).unwrap();
        fs::rename(written, self.path("rules.json")).unwrap();
    }

    pub fn command(&self) -> Command {
        let mut command = messo(&["run", "--config"]);
        command.arg(self.path("messo.toml")).args(["--clock", &self.clock]);
        command
    }

    pub fn start(&self) -> Child {
        let mut hub = Child::spawn("messo run", &mut self.command());
        hub.wait_line("messo è in servizio", Duration::from_secs(90));
        hub
    }

    pub fn db(&self) -> Connection {
        let db = Connection::open(self.path("dati/messo.db")).unwrap();
        db.busy_timeout(Duration::from_secs(10)).unwrap();
        db
    }

    /// Alerts of the ente, as the hub writes them.
    pub fn raise(&self, code: &str, times: usize) {
        self.raise_with(code, Some(ENTE), times, None);
    }

    pub fn raise_with(&self, code: &str, sender: Option<&str>, times: usize, data: Option<Value>) {
        let db = self.db();
        let now = self.clock.parse::<Clock>().unwrap().now().as_millisecond();
        let tx = db.unchecked_transaction().unwrap();
        for index in 0..times {
            let row = rusqlite::params![now, code, sender, format!("prova {index}"), data.as_ref().map(Value::to_string)];
            tx.execute("INSERT INTO alert (at, code, sender, about, data) VALUES (?1, ?2, ?3, ?4, ?5)", row).unwrap();
        }
        tx.commit().unwrap();
    }

    pub fn taken(&self) -> Vec<Taken> {
        let text = fs::read_to_string(self.path("mails.jsonl")).unwrap_or_default();
        let header = |message: &str, name: &str| {
            let mut lines = message.split("\r\n").skip_while(|line| !line.starts_with(name));
            let first = lines.next().unwrap_or_default().trim_start_matches(name).trim().to_owned();
            lines.take_while(|line| line.starts_with(' ')).fold(first, |all, more| all + more)
        };
        // The last line may be on its way.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole
            .lines()
            .map(|line| {
                let line: Value = serde_json::from_str(line).unwrap();
                let raw = line["message"].as_str().unwrap().to_owned();
                assert_eq!(line["to"].as_array().unwrap().len(), 1, "one transaction for each recipient");
                Taken {
                    to: line["to"][0].as_str().unwrap().to_owned(),
                    message_id: header(&raw, "Message-ID:"),
                    subject: header(&raw, "Subject:"),
                    tls: line["tls"] == json!(true),
                    login: line["login"] == json!(true),
                    raw,
                }
            })
            .collect()
    }

    /// Waits until the server has taken so many.
    pub fn wait_taken(&self, count: usize) -> Vec<Taken> {
        wait_for(&format!("{count} mails"), Duration::from_secs(90), || Some(self.taken()).filter(|taken| taken.len() >= count))
    }

    /// `messo status --json`, the part about mails.
    pub fn status(&self) -> Value {
        let output = messo(&["status", "--json", "--config"]).arg(self.path("messo.toml")).output().unwrap();
        let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
        report["mail"].clone()
    }

    /// Waits until `status` says so.
    pub fn wait_status(&self, what: &str, good: impl Fn(&Value) -> bool) -> Value {
        wait_for(what, Duration::from_secs(90), || Some(self.status()).filter(|status| good(status)))
    }

    /// `messo mail test`: exit code and what it said.
    pub fn prove(&self, more: &[&str]) -> (Option<i32>, String) {
        let output = messo(&["mail", "test", "--config"]).arg(self.path("messo.toml")).args(more).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap())
    }
}

/// An authority of its own (`ca.pem`), and a certificate for localhost.
fn certificate(folder: &Path) {
    let run = |args: &[&str]| {
        let output = Command::new("openssl").args(args).current_dir(folder).output().unwrap();
        assert!(output.status.success(), "openssl {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    run(&[&["req", "-x509"], &key[..], &["-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=Prova CA", "-days", "30"]].concat());
    run(&[&["req"], &key[..], &["-keyout", "key.pem", "-out", "cert.csr", "-subj", "/CN=localhost"]].concat());
    fs::write(folder.join("ext"), "subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\n")
        .unwrap();
    run(&[
        "x509",
        "-req",
        "-in",
        "cert.csr",
        "-CA",
        "ca.pem",
        "-CAkey",
        "ca.key",
        "-CAcreateserial",
        "-out",
        "cert.pem",
        "-days",
        "30",
        "-extfile",
        "ext",
    ]);
}
