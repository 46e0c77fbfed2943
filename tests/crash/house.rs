//! A hub with its folders, and the simulator it sends to: real processes, one shared clock.

#![allow(dead_code, reason = "each test uses its own part")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use messo::clock::Clock;
use rusqlite::{Connection, OpenFlags};
use serde_json::Value;

use crate::common::{Child, messo};

/// (name, ente, flows): two gestionali of two enti.
pub const POLIZIA: (&str, &str) = ("polizia", "12345678903");
pub const ANAGRAFE: (&str, &str) = ("anagrafe", "01234567897");

/// Folders and configuration of one hub.
pub struct House {
    place: tempfile::TempDir,
    pub clock: String,
    pub send_url: String,
}

impl House {
    /// Folders and configuration. `send_url`: the simulator; `factor`: of the business clock, from now on.
    pub fn new(send_url: &str, clock: &str, limits: &str) -> House {
        let place = tempfile::tempdir().unwrap();
        let house = House { place, clock: clock.to_owned(), send_url: send_url.to_owned() };
        fs::write(house.path("chiave-polizia"), format!("{}-prova", POLIZIA.1)).unwrap();
        fs::write(house.path("chiave-anagrafe"), format!("{}-prova", ANAGRAFE.1)).unwrap();
        for name in ["chiave-polizia", "chiave-anagrafe"] {
            use std::os::unix::fs::PermissionsExt;
            fs::set_permissions(house.path(name), fs::Permissions::from_mode(0o600)).unwrap();
        }
        fs::write(house.path("messo.toml"), house.toml(limits)).unwrap();
        house
    }

    fn toml(&self, limits: &str) -> String {
        let mut text = format!(
            "data = \"dati\"\ninstallation = \"prova\"\n[watch]\nsettle_ms = 60\nscan_ms = 500\nincomplete_after_s = 2\n[limits]\n{limits}\n"
        );
        for ((name, ente), flows, default) in [(POLIZIA, "\"cds\", \"ordinanze\"", "ordinanze"), (ANAGRAFE, "\"anagrafe\"", "anagrafe")] {
            text += &format!(
                "[[ente]]\ntax_id = \"{ente}\"\ndenomination = \"Comune di {name}\"\nambiente = \"collaudo\"\nsend_url = \"{}\"\n\
                 [ente.quota]\nper_second = 0\nper_day = 0\n[[ente.key]]\nid = \"{name}\"\nsecret = \"file:chiave-{name}\"\n",
                self.send_url
            );
            text += &format!(
                "[[gestionale]]\nname = \"{name}\"\nroot = \"case/{name}\"\nenti = [\"{ente}\"]\nflows = [{flows}]\ndefault_flow = \"{default}\"\n"
            );
        }
        text
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    /// Home of a gestionale.
    pub fn home(&self, source: &str) -> PathBuf {
        self.path("case").join(source)
    }

    /// Drops a file as a gestionale does: under another name, then renamed.
    pub fn drop_file(&self, source: &str, name: &str, bytes: &[u8]) {
        let target = self.home(source).join("in").join(name);
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        let part = target.with_extension("part");
        fs::write(&part, bytes).unwrap();
        fs::rename(part, target).unwrap();
    }

    /// The command line of the hub.
    pub fn command(&self) -> Command {
        let mut command = messo(&["run", "--config"]);
        command.arg(self.path("messo.toml")).args(["--clock", &self.clock]);
        command.env_remove(messo::failpoint::VARIABLE).env_remove("MESSO_LOG");
        command
    }

    /// A hub, at work once it says so.
    pub fn run(&self) -> Child {
        Child::spawn("messo run", &mut self.command())
    }

    /// The hub's store, to look into.
    pub fn store(&self) -> Option<Connection> {
        let path = self.path("dati/messo.db");
        let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX).ok()?;
        db.busy_timeout(Duration::from_secs(5)).ok()?;
        Some(db)
    }

    /// One number out of the store, when it is there already.
    pub fn count(&self, sql: &str) -> Option<i64> {
        self.store()?.query_row(sql, [], |row| row.get(0)).ok()
    }

    /// Names in a folder of a gestionale, hidden ones left out, sorted.
    pub fn names(&self, source: &str, folder: &str) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.home(source).join(folder))
            .map(|entries| entries.filter_map(|entry| entry.unwrap().file_name().into_string().ok()).collect())
            .unwrap_or_default();
        names.retain(|name| !name.starts_with('.'));
        names.sort();
        names
    }
}

/// Every file below `folder`, relative to it, sorted. A folder that vanishes meanwhile has none.
pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    fn gather(folder: &Path, root: &Path, found: &mut Vec<PathBuf>) {
        let Ok(entries) = fs::read_dir(folder) else { return };
        for entry in entries.flatten() {
            let path = entry.path();
            if path.is_dir() {
                gather(&path, root, found);
            } else if let Ok(inside) = path.strip_prefix(root) {
                found.push(inside.to_owned());
            }
        }
    }
    let mut found = Vec::new();
    gather(folder, folder, &mut found);
    found.sort();
    found
}

/// `FACTOR@NOW`, for both processes.
pub fn clock_from_now(factor: u32) -> String {
    format!("{factor}@{}", Clock::REAL.now().as_millisecond())
}

/// The SEND simulator in its own process.
pub struct Simulator {
    child: Child,
    pub url: String,
    client: reqwest::Client,
    runtime: tokio::runtime::Runtime,
}

impl Simulator {
    pub fn start(clock: &str, more: &[&str]) -> Simulator {
        let mut command = messo(&["sandbox", "--listen", "127.0.0.1:0", "--clock", clock]);
        let mut child = Child::spawn("messo sandbox", command.args(more).env_remove(messo::failpoint::VARIABLE));
        let line = child.wait_line("sandbox in ascolto su ", Duration::from_secs(90));
        let url = line.rsplit(' ').next().unwrap().trim().to_owned();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build().unwrap();
        Simulator { child, url, client, runtime }
    }

    /// Whether it is still there.
    pub fn is_up(&mut self) -> bool {
        self.child.try_wait().is_none()
    }

    /// A page that is not part of the platform, hence without faults.
    pub fn look(&self, page: &str) -> Value {
        self.get(&format!("/_sandbox/{page}"), "").unwrap()
    }

    /// The answer to a GET under the key of `ente`; `None` when a fault struck it.
    pub fn get(&self, path: &str, ente: &str) -> Option<Value> {
        let request = self.client.get(format!("{}{path}", self.url)).header("x-api-key", format!("{ente}-prova"));
        self.runtime.block_on(async {
            let response = request.send().await.ok()?;
            if !response.status().is_success() {
                return None;
            }
            serde_json::from_slice(&response.bytes().await.ok()?).ok()
        })
    }
}
