//! Keys of clients, and of the server when they change.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::common::{require, wait_for};
use crate::house::House;
use crate::ready;

/// Keys of gestionali are of every kind, whatever kind of key the server shows.
#[test]
fn keys_of_every_kind_open() {
    if !require("sftp") || !require("ssh-keygen") {
        return;
    }
    let house = ready("");
    let before = house.config_text();
    for (kind, bits) in [("rsa", "2048"), ("rsa", "4096"), ("ecdsa", "256"), ("ecdsa", "384"), ("ecdsa", "521")] {
        let name = format!("{kind}{bits}");
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", kind, "-b", bits, "-N", "", "-f"])
            .arg(house.local().join(&name))
            .status()
            .unwrap();
        assert!(made.success(), "{name}");
        let public = fs::read_to_string(house.local().join(&name).with_extension("pub")).unwrap();
        house.write_config(&before.replace("keys = [", &format!("keys = [\"{}\", ", public.trim())));
        house.hang_up();
        let identity = format!("-oIdentityFile={name}");
        wait_for(&format!("{name} opens"), std::time::Duration::from_secs(90), || {
            let ran = house.as_another_key(&[&identity], "pwd\n");
            ran.ok.then_some(())
        });
    }
    house.nobody_is_left();
}

/// The procedure of docs/collegare-un-gestionale.md: the fingerprint is known before, and nobody is led elsewhere unseen.
#[test]
fn a_new_host_key_is_the_one_that_was_announced_and_the_old_one_is_missed() {
    if !require("sftp") || !require("ssh-keygen") {
        return;
    }
    let mut house = ready("");
    let local = house.local();
    let folder = house.office().dir().join("dati/chiavi-ssh");
    let public = |key: &Path, name: &str| {
        let ran = house.outside(Path::new("ssh-keygen"), |command| {
            command.arg("-yf").arg(key);
        });
        let line = format!("[127.0.0.1]:{} {}", house.address().port(), ran.text.trim());
        fs::write(local.join(name), line).unwrap();
    };
    let served = folder.join("ssh_host_ed25519_key");
    public(&served, "conosciuta-prima");
    let new = local.join("ssh_host_ed25519_key");
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-C", "", "-f"]).arg(&new).status().unwrap();
    assert!(made.success());
    public(&new, "annunciata");
    let told = house.outside(Path::new("ssh-keygen"), |command| {
        command.arg("-lf").arg(&new);
    });
    let announced = told.text.split_whitespace().nth(1).unwrap().to_owned();
    let greet = |house: &House, known: &str| {
        house.outside(Path::new("sftp"), |command| {
            let known = format!("-oUserKnownHostsFile={known}");
            command.args([known.as_str(), "-oStrictHostKeyChecking=yes", "-oHostKeyAlgorithms=ssh-ed25519", "-oBatchMode=yes"]);
            command.arg("-i").arg(house.key()).args(["-P", &house.address().port().to_string(), &house.login()]);
        })
    };
    assert!(greet(&house, "conosciuta-prima").ok);
    house.stop();
    fs::copy(&new, &served).unwrap();
    house.start_again();
    let printed = house.office().command(&["sftp", "keys"]).out;
    assert!(announced.starts_with("SHA256:") && printed.contains(&announced), "{announced}: {printed}");
    let ran = greet(&house, "conosciuta-prima");
    assert!(!ran.ok && ran.text.contains("IDENTIFICATION HAS CHANGED"), "{}", ran.text);
    let ran = greet(&house, "annunciata");
    assert!(ran.ok, "{}", ran.text);
    house.stop();
}
