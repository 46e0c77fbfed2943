//! Folders that the user of the service may not use: `check` and the start name path, user and owner, in Italian.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a failed step ends the test")]

mod common;

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use common::{Child, messo_bin, require};
use rustix::process::geteuid;

/// The user nobody of every Linux.
const NOBODY: u32 = 65_534;

struct Place {
    folder: tempfile::TempDir,
    program: PathBuf,
}

impl Place {
    fn new() -> Place {
        let folder = tempfile::tempdir().unwrap();
        mode(folder.path(), 0o755);
        // The place it was built in may be closed to others.
        let program = folder.path().join("messo");
        fs::copy(messo_bin(), &program).unwrap();
        mode(&program, 0o755);
        Place { folder, program }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A folder of the service itself.
    fn own(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(&path).unwrap();
        let mut part = self.folder.path().to_owned();
        for name in Path::new(name).components() {
            part.push(name);
            give(&part);
        }
        path
    }

    /// Data and home, where `check` and `run` look.
    fn configure(&self, data: &str, home: &str) {
        let text = format!(
            "data = \"{data}\"\ninstallation = \"prova\"\ncontrol = \"run/s\"\n[[ente]]\ntax_id = \"01234567897\"\ndenomination = \"E\"\n\
             ambiente = \"collaudo\"\nsend_url = \"http://127.0.0.1:9\"\n[[ente.key]]\nid = \"a\"\nsecret = \"file:chiave\"\n\
             [[gestionale]]\nname = \"polizia\"\nroot = \"{home}\"\nenti = [\"01234567897\"]\nflows = [\"cds\"]\n"
        );
        fs::write(self.path("messo.toml"), text).unwrap();
        fs::write(self.path("chiave"), "segreta").unwrap();
    }

    fn command(&self, name: &str) -> Command {
        let mut command = if geteuid().is_root() {
            let mut command = Command::new("setpriv");
            command.args([&format!("--reuid={NOBODY}"), &format!("--regid={NOBODY}"), "--clear-groups"]).arg(&self.program);
            command
        } else {
            Command::new(&self.program)
        };
        command.args([name, "--config"]).arg(self.path("messo.toml"));
        // What the environment says of the user is not what he is.
        command.env("USER", "qualcun-altro");
        command
    }

    fn run(&self, name: &str) -> (Option<i32>, String) {
        let Output { status, stdout, stderr } = self.command(name).output().unwrap();
        (status.code(), String::from_utf8(stdout).unwrap() + &String::from_utf8(stderr).unwrap())
    }
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn give(path: &Path) {
    if geteuid().is_root() {
        chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
}

/// The user the program runs as, as it calls him.
fn user() -> String {
    let uid = if geteuid().is_root() { NOBODY } else { geteuid().as_raw() };
    format!("(uid {uid})")
}

#[test]
fn a_folder_that_cannot_be_used_is_named_with_the_user_and_its_owner() {
    if geteuid().is_root() && !require("setpriv") {
        return;
    }
    type Prepare = fn(&Place) -> PathBuf;
    let table: [(&str, Prepare, &str); 6] = [
        (
            "a home that he may not enter",
            |place| {
                place.own("dati");
                fs::create_dir(place.path("casa")).unwrap();
                mode(&place.path("casa"), if geteuid().is_root() { 0o700 } else { 0o000 });
                place.path("casa")
            },
            "permesso negato (è di ",
        ),
        (
            "a home below a folder that he may not enter",
            |place| {
                place.own("dati");
                fs::create_dir_all(place.path("chiusa/casa")).unwrap();
                mode(&place.path("chiusa"), if geteuid().is_root() { 0o700 } else { 0o000 });
                place.path("chiusa/casa")
            },
            "chiusa: permesso negato (è di ",
        ),
        (
            "a home whose in/ is of another",
            |place| {
                place.own("dati");
                place.own("casa");
                fs::create_dir(place.path("casa/in")).unwrap();
                mode(&place.path("casa/in"), 0o555);
                place.path("casa")
            },
            "in: permesso negato (è di ",
        ),
        (
            "a data folder that he may not write",
            |place| {
                place.own("casa");
                fs::create_dir(place.path("dati")).unwrap();
                mode(&place.path("dati"), 0o555);
                place.path("dati")
            },
            "permesso negato (è di ",
        ),
        (
            "a database that root has made",
            |place| {
                place.own("casa");
                place.own("dati");
                fs::write(place.path("dati/messo.db"), "").unwrap();
                mode(&place.path("dati/messo.db"), 0o444);
                place.path("dati")
            },
            "messo.db: permesso negato (è di ",
        ),
        (
            "a home that is a file",
            |place| {
                place.own("dati");
                fs::write(place.path("casa"), "").unwrap();
                place.path("casa")
            },
            "non è una cartella",
        ),
    ];
    for (title, prepare, reason) in table {
        let place = Place::new();
        place.own("run");
        let path = prepare(&place);
        place.configure("dati", if path.ends_with("chiusa/casa") { "chiusa/casa" } else { "casa" });
        for command in ["check", "run"] {
            let (code, said) = place.run(command);
            assert_eq!(code, Some(1), "{title}, {command}: {said}");
            let line = said.lines().find(|line| line.contains("[CARTELLA_NON_UTILIZZABILE]")).unwrap_or_else(|| panic!("{title}: {said}"));
            for wanted in [path.to_str().unwrap(), "non è utilizzabile dall'utente", &user(), reason] {
                assert!(line.contains(wanted), "{title}, {command}: no «{wanted}» in {line}");
            }
            assert!(!line.contains("qualcun-altro"), "{line}");
        }
        for closed in ["casa", "chiusa", "casa/in", "dati"] {
            if place.path(closed).is_dir() {
                mode(&place.path(closed), 0o755);
            }
        }
    }
}

#[test]
fn a_socket_that_cannot_be_made_is_named_at_the_start() {
    if geteuid().is_root() && !require("setpriv") {
        return;
    }
    let place = Place::new();
    place.own("casa");
    place.own("dati");
    fs::create_dir(place.path("run")).unwrap();
    mode(&place.path("run"), 0o555);
    place.configure("dati", "casa");
    let mut hub = Child::spawn("hub", &mut place.command("run"));
    let ended = hub.wait(Duration::from_secs(60));
    let said = hub.output();
    assert_eq!(ended.code(), Some(1), "{said}");
    let line = said.lines().find(|line| line.contains("non può partire")).unwrap_or_else(|| panic!("{said}"));
    assert!(line.contains("/run/s") && line.contains(&user()) && line.contains("permesso negato"), "{line}");
    mode(&place.path("run"), 0o755);
}
