//! Libraries that gestionali are linked with: scripts of `tests/clients` in their languages.

use std::fs;
use std::path::{Path, PathBuf};

use crate::common::{free_port, node_modules, python, require, require_path, require_python};
use crate::house::{House, PASSWORD, Ran, bytes};
use crate::{REKEY, USER, judge, ready};

/// Folder of the scripts.
fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients")
}

fn script(house: &House, program: &Path, name: &str, batch: &str) -> Ran {
    house.outside(program, |command| {
        let key = house.key();
        command.arg(scripts().join(name)).arg(house.address().port().to_string()).arg(USER).arg(key).arg(format!("in/{batch}"));
        command.env("NODE_PATH", node_modules());
    })
}

#[test]
fn paramiko() {
    if !require_python(&["paramiko"]) {
        return;
    }
    let house = ready(REKEY);
    let ran = script(&house, &python(), "with_paramiko.py", "lotto-paramiko.zip");
    judge(&house, "paramiko", &ran, "lotto-paramiko.zip");
}

/// It asks for the whole file at once: 32,768 requests for 1 GiB, which an unoptimised build would take too long for.
#[test]
fn paramiko_asks_for_a_whole_big_file_at_once() {
    if !require_python(&["paramiko"]) {
        return;
    }
    let house = ready("");
    let local = house.local();
    let big = bytes(if cfg!(debug_assertions) { 128 << 20 } else { 1 << 30 }, 17);
    fs::write(local.join("grande.bin"), &big).unwrap();
    let ran = script(&house, &python(), "paramiko_prefetch.py", "");
    assert!(ran.ok, "{}", ran.text);
    assert!(fs::read(local.join("indietro.bin")).unwrap() == big);
    house.nobody_is_left();
}

/// A pool: three channels stay open, and what is left of the connection's four places serves any number, whoever closes first.
#[test]
fn paramiko_opens_one_channel_after_the_other() {
    if !require_python(&["paramiko"]) {
        return;
    }
    let house = ready("");
    let ran = script(&house, &python(), "paramiko_channels.py", "");
    assert!(ran.ok, "{}", ran.text);
    house.nobody_is_left();
}

/// More than fifty key exchanges, begun by either side in the middle of whatever flows, on a machine that has other things to do.
#[test]
fn paramiko_changes_keys_all_the_time() {
    if !require_python(&["paramiko"]) {
        return;
    }
    let house = ready(REKEY);
    let busy = std::sync::atomic::AtomicBool::new(true);
    let ran = std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while busy.load(std::sync::atomic::Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        let ran = script(&house, &python(), "paramiko_rekeys.py", "");
        busy.store(false, std::sync::atomic::Ordering::Relaxed);
        ran
    });
    assert!(ran.ok, "{}", ran.text);
    house.nobody_is_left();
}

#[test]
fn asyncssh() {
    if !require_python(&["asyncssh"]) {
        return;
    }
    let house = ready(REKEY);
    let ran = script(&house, &python(), "with_asyncssh.py", "lotto-asyncssh.zip");
    judge(&house, "asyncssh", &ran, "lotto-asyncssh.zip");
}

#[test]
fn ssh2_sftp_client_of_node() {
    if !require("node") || !require_path(&node_modules().join("ssh2-sftp-client")) {
        return;
    }
    let house = ready(REKEY);
    let ran = script(&house, Path::new("node"), "with_ssh2_sftp_client.js", "lotto-node.zip");
    judge(&house, "ssh2-sftp-client", &ran, "lotto-node.zip");
}

/// The one of Debian, of 2018: encrypt-and-MAC only, so the old listener.
#[test]
fn jsch_of_java() {
    let jar = Path::new("/usr/share/java/jsch.jar");
    if !require("java") || !require("javac") || !require_path(jar) {
        return;
    }
    let legacy = free_port();
    let mut house = ready(&format!("{REKEY}[[sftp.listen]]\naddress = \"127.0.0.1:{legacy}\"\ncompat = \"legacy\"\n"));
    let run = |house: &House| {
        house.outside(Path::new("java"), |command| {
            command.args(["-XX:TieredStopAtLevel=1", "-cp"]).arg(jar).arg(scripts().join("WithJsch.java"));
            command.args([&house.address().port().to_string(), USER, PASSWORD, "in/lotto-jsch.zip"]);
        })
    };
    let ran = run(&house);
    assert!(!ran.ok && ran.text.contains("Algorithm negotiation fail"), "docs/collegare-un-gestionale.md says so: {}", ran.text);
    house.use_port(legacy);
    let ran = run(&house);
    assert!(ran.text.contains("[SFTP_SOLA_LETTURA]"), "people are shown why: {}", ran.text);
    judge(&house, "JSch", &ran, "lotto-jsch.zip");
}
