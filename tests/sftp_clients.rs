//! Every SFTP client that a gestionale may have, against the real program, in both directions: contents are compared, the last
//! file put is a batch whose receipt must come, and nothing of the client may stay behind. Keys change every MiB.
//!
//! Clients are killed after two minutes: none may hang. `bash tests/install-clients.sh` installs them all.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed step of a test ends that test, with its message"
)]

mod common;
#[allow(dead_code, reason = "tests/sftp.rs uses the rest")]
#[path = "sftp/house.rs"]
mod house;
#[path = "sftp_clients/judged.rs"]
mod judged;
#[path = "sftp_clients/keys.rs"]
mod keys;
#[path = "sftp_clients/killed.rs"]
mod killed;
#[path = "sftp_clients/libraries.rs"]
mod libraries;
#[allow(dead_code, unused_imports, reason = "tests/sftp_engine.rs uses the rest")]
#[path = "sftp_engine/recordings.rs"]
mod recordings;
#[path = "sftp_clients/replayed.rs"]
mod replayed;
#[path = "common/sftp_check.rs"]
mod sftp_check;
#[path = "common/sftp_client.rs"]
mod sftp_client;
#[path = "common/sftp_home.rs"]
mod sftp_home;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{free_port, require};
use house::{House, Ran, bytes};
use messo::domain::digest::Sha256;

/// Keys change in the middle of everything.
const REKEY: &str = "rekey_bytes = 1048576\n";
const USER: &str = "polizia";
/// Not a multiple of any block that clients use.
const BIG: usize = (12 << 20) + 4_321;

/// A hub, what clients put in it and what it has for them: `grande.bin`, `lotto.zip`, and `esiti/esito.bin` there.
fn ready(door: &str) -> House {
    let house = House::start(door, "");
    let local = house.local();
    fs::write(local.join("grande.bin"), bytes(BIG, 11)).unwrap();
    fs::write(local.join("lotto.zip"), house.batch()).unwrap();
    fs::create_dir_all(house.root().join("esiti")).unwrap();
    fs::write(house.root().join("esiti/esito.bin"), bytes(BIG / 2, 13)).unwrap();
    house
}

/// The client ended well; what it fetched is right, byte by byte.
fn fetched(house: &House, client: &str, ran: &Ran) {
    assert!(ran.ok, "{client}: {}", ran.text);
    for (name, want) in [("indietro.bin", bytes(BIG, 11)), ("esito.bin", bytes(BIG / 2, 13))] {
        let got = fs::read(house.local().join(name)).unwrap_or_else(|error| panic!("{client}: {name}: {error}\n{}", ran.text));
        assert!(got == want, "{client}: {name} is not what was put: {} bytes of {}", got.len(), want.len());
        fs::remove_file(house.local().join(name)).unwrap();
    }
}

/// The batch it put is taken, whole, and is in the books; nothing of the client is left.
fn taken(house: &House, client: &str, batch: &str) {
    let receipt = house.office().receipt(USER, batch);
    assert_eq!((receipt.state.as_str(), receipt.codes.len()), ("PRESA_IN_CARICO", 0), "{client}: {}", receipt.xml);
    let want = Sha256::of(&fs::read(house.local().join("lotto.zip")).unwrap()).to_hex();
    let audit = house.office().ask(&["audit"]);
    let uploads = audit["events"].as_array().unwrap().iter().filter(|event| event["act"] == "CARICAMENTO" && event["outcome"] == "OK");
    assert!(uploads.clone().any(|event| event["sha256"] == want.as_str()), "{client}: {audit}");
    house.nobody_is_left();
}

/// Fetches, then the batch.
fn judge(house: &House, client: &str, ran: &Ran, batch: &str) {
    fetched(house, client, ran);
    taken(house, client, batch);
}

#[test]
fn openssh_sftp() {
    if !require("sftp") {
        return;
    }
    let house = ready(REKEY);
    let local = house.local();
    let big = bytes(BIG, 11);
    for options in [&["-R", "16"][..], &["-R", "64", "-B", "65536"], &["-R", "1024"], &["-R", "1024", "-B", "261120", "-oRekeyLimit=1M"]] {
        fs::write(local.join("ripreso.bin"), &big[..BIG / 3]).unwrap();
        fs::write(local.join("meta.bin"), &big[..BIG / 2]).unwrap();
        let text = "put -p grande.bin in/grande.part\nget -p in/grande.part indietro.bin\nget esiti/esito.bin esito.bin\n\
             put meta.bin in/meta.part\n!cp grande.bin meta.bin\nreput meta.bin in/meta.part\nreget in/meta.part ripreso.bin\n\
             chmod 600 in/meta.part\ndf\nrm in/meta.part\nrm in/grande.part\n";
        let ran = house.sftp(options, text);
        fetched(&house, &format!("sftp {options:?}"), &ran);
        assert!(fs::read(local.join("ripreso.bin")).unwrap() == big, "{options:?}: reput and reget");
        house.nobody_is_left();
    }
    let ran = house.sftp(&[], "put -p lotto.zip in/lotto-sftp.zip\nls -l in\n");
    assert!(ran.ok, "{}", ran.text);
    taken(&house, "sftp", "lotto-sftp.zip");
}

#[test]
fn openssh_scp() {
    if !require("scp") {
        return;
    }
    let house = ready(REKEY);
    let local = house.local();
    fs::create_dir_all(local.join("gruppo")).unwrap();
    for name in ["a.part", "b.part"] {
        fs::write(local.join("gruppo").join(name), bytes(70_000, 5)).unwrap();
    }
    let there = |path: &str| format!("{}:{path}", house.login());
    for (from, to) in [
        ("grande.bin".to_owned(), there("in/grande.part")),
        (there("in/grande.part"), "indietro.bin".to_owned()),
        (there("esiti/esito.bin"), "esito.bin".to_owned()),
        ("gruppo".to_owned(), there("in/")),
        (there("in/gruppo"), "tornato".to_owned()),
        ("lotto.zip".to_owned(), there("in/lotto-scp.zip")),
    ] {
        let ran = house.client("scp", &["-s", "-r", "-p", &from, &to]);
        assert!(ran.ok, "{from} {to}: {}", ran.text);
    }
    assert_eq!(fs::read(local.join("tornato/b.part")).unwrap(), bytes(70_000, 5));
    judge(&house, "scp", &Ran { ok: true, text: String::new() }, "lotto-scp.zip");
}

#[test]
fn lftp() {
    if !require("lftp") {
        return;
    }
    let house = ready(REKEY);
    let local = house.local();
    let big = bytes(BIG, 11);
    fs::create_dir_all(local.join("specchio")).unwrap();
    for number in 0..12 {
        fs::write(local.join(format!("specchio/{number}.part")), bytes(20_000 + number, 6)).unwrap();
    }
    fs::write(local.join("meta.part"), &big[..BIG / 2]).unwrap();
    let lines = format!(
        "set cmd:fail-exit yes\nset net:max-retries 2\nset net:timeout 20\nset sftp:connect-program \"ssh -a -x {}\"\n\
         open -u {USER},x sftp://127.0.0.1:{}\n\
         put grande.bin -o in/grande.part\nget in/grande.part -o indietro.bin\nget esiti/esito.bin -o esito.bin\n\
         put meta.part -o in/meta.part\n!cp grande.bin meta.part\nreput meta.part -o in/meta.part\nget in/meta.part -o ripreso.bin\n\
         mput -O in specchio/*.part\nmirror -R -P 3 specchio in/specchio\nmirror -P 3 in/specchio tornato\nmirror -R specchio in/specchio\n\
         rm in/0.part in/meta.part in/grande.part\nrm -r in/specchio\ncls -1 in\n\
         set xfer:use-temp-file yes\nput lotto.zip -o in/lotto-lftp.zip\n",
        house.ssh_options(),
        house.address().port()
    );
    fs::write(local.join("lftp.txt"), lines).unwrap();
    let ran = house.outside(Path::new("lftp"), |command| {
        command.args(["--norc", "-f", "lftp.txt"]);
    });
    fetched(&house, "lftp", &ran);
    assert!(fs::read(local.join("ripreso.bin")).unwrap() == big, "reput: {}", ran.text);
    for number in 0..12 {
        let name = format!("{number}.part");
        assert_eq!(fs::read(local.join("tornato").join(&name)).unwrap(), bytes(20_000 + number, 6), "{name}");
        assert_eq!(ran.text.lines().any(|line| line.trim() == format!("in/{name}")), number > 0, "{name}: {}", ran.text);
    }
    taken(&house, "lftp", "lotto-lftp.zip");
}

#[test]
fn rclone() {
    if !require("rclone") {
        return;
    }
    let house = ready(REKEY);
    let local = house.local();
    fs::create_dir_all(local.join("molti")).unwrap();
    for number in 0..40 {
        fs::write(local.join(format!("molti/{number}.part")), bytes(3_000 + number, 6)).unwrap();
    }
    let all = [
        &["copyto", "grande.bin", ":sftp:in/grande.part"][..],
        &["copyto", ":sftp:in/grande.part", "indietro.bin"],
        &["copyto", ":sftp:esiti/esito.bin", "esito.bin"],
        &["copy", "--transfers", "4", "molti", ":sftp:in/molti"],
        // Nothing to do: sizes and times are those that were set.
        &["check", "--download", "molti", ":sftp:in/molti"],
        &["copy", "-v", "molti", ":sftp:in/molti"],
        &["copy", ":sftp:in/molti", "tornati"],
        &["deletefile", ":sftp:in/grande.part"],
        &["purge", ":sftp:in/molti"],
        &["copyto", "lotto.zip", ":sftp:in/lotto-rclone.zip"],
    ];
    for args in all {
        let ran = house.outside(Path::new("rclone"), |command| {
            let port = house.address().port().to_string();
            command.args(["--config", "/dev/null", "--retries", "1", "--sftp-host", "127.0.0.1", "--sftp-user", USER]);
            command.args(["--sftp-port", &port, "--sftp-key-file"]).arg(house.key()).args(args);
        });
        assert!(ran.ok, "{args:?}: {}", ran.text);
        if args.contains(&"-v") {
            assert!(!ran.text.contains("Copied"), "copied again: {}", ran.text);
        }
    }
    assert_eq!(fs::read(local.join("tornati/39.part")).unwrap(), bytes(3_039, 6));
    judge(&house, "rclone", &Ran { ok: true, text: String::new() }, "lotto-rclone.zip");
}

/// libssh2 learnt MACs of the encrypt-then-MAC kind with 1.11: before, curl needs the old listener.
#[test]
fn curl() {
    if !require("curl") {
        return;
    }
    let version = Command::new("curl").arg("--version").output().unwrap();
    let version = String::from_utf8(version.stdout).unwrap();
    let library = version.split_whitespace().find_map(|word| word.strip_prefix("libssh2/"));
    let old = library.is_some_and(|library| {
        let mut numbers = library.split('.').map(|number| number.parse::<u32>().unwrap());
        (numbers.next().unwrap(), numbers.next().unwrap()) < (1, 11)
    });
    let legacy = free_port();
    let house = ready(&format!("{REKEY}[[sftp.listen]]\naddress = \"127.0.0.1:{legacy}\"\ncompat = \"legacy\"\n"));
    let local = house.local();
    let modern = house.address().port();
    let run = |port: u16, args: &[&str], path: &str| {
        house.outside(Path::new("curl"), |command| {
            let (key, public) = (house.key(), house.key().with_extension("pub"));
            command.args(["-sS", "--insecure", "--user", &format!("{USER}:"), "--key"]).arg(key).arg("--pubkey").arg(public);
            command.args(args).arg(format!("sftp://127.0.0.1:{port}/{path}"));
        })
    };
    if old {
        let ran = run(modern, &["--list-only"], "in/");
        assert!(!ran.ok, "docs/collegare-un-gestionale.md says that {library:?} needs the old listener: {}", ran.text);
    }
    for port in [legacy].into_iter().chain((!old).then_some(modern)) {
        let name = format!("lotto-curl-{port}.zip");
        let batch = house.batch_named(&format!("CURL-{port}"));
        fs::write(local.join("lotto.zip"), batch).unwrap();
        fs::write(local.join("meta.bin"), &bytes(BIG, 11)[..BIG / 2]).unwrap();
        for (args, path) in [
            (&["-T", "grande.bin", "-Q", "pwd"][..], "in/grande.part"),
            (&["-o", "indietro.bin"], "in/grande.part"),
            (&["-o", "esito.bin"], "esiti/esito.bin"),
            (&["-T", "meta.bin", "--ftp-create-dirs"], "in/meta.part"),
            (&["-C", "-", "-T", "grande.bin"], "in/meta.part"),
            (&["-o", "ripreso.bin", "-Q", "-rm /in/grande.part", "-Q", "-rename /in/meta.part /in/altro.part"], "in/meta.part"),
            (&["-Q", "-rm /in/altro.part", "--list-only"], "in/"),
            (&["-T", "lotto.zip"], &format!("in/{name}")),
        ] {
            let ran = run(port, args, path);
            assert!(ran.ok, "{port} {args:?}: {}", ran.text);
        }
        assert!(fs::read(local.join("ripreso.bin")).unwrap() == bytes(BIG, 11), "a resumed upload");
        judge(&house, "curl", &Ran { ok: true, text: String::new() }, &name);
    }
}

/// The SSH of PuTTY, which WinSCP and FileZilla are built on.
#[test]
fn psftp_of_putty() {
    if !require("psftp") || !require("puttygen") {
        return;
    }
    let house = ready(REKEY);
    let local = house.local();
    let big = bytes(BIG, 11);
    let ran = house.outside(Path::new("puttygen"), |command| {
        command.arg(house.key()).args(["-O", "private", "-o", "chiave.ppk"]);
    });
    assert!(ran.ok, "{}", ran.text);
    // The fingerprints that an operator gives to whoever connects.
    let keys = house.office().command(&["sftp", "keys"]).out;
    let accepted: Vec<&str> = keys.split_whitespace().filter(|word| word.starts_with("SHA256:")).collect();
    fs::write(local.join("meta.bin"), &big[..BIG / 2]).unwrap();
    let text = "put grande.bin in/grande.part\nget in/grande.part indietro.bin\nget esiti/esito.bin esito.bin\n\
         put meta.bin in/meta.part\n!cp grande.bin meta.bin\nreput meta.bin in/meta.part\nget in/meta.part ripreso.bin\n\
         chmod 600 in/meta.part\nmv in/meta.part in/altro.part\nls in\nrm in/altro.part\nrm in/grande.part\n\
         put lotto.zip in/lotto-psftp.zip\n";
    fs::write(local.join("psftp.txt"), text).unwrap();
    let ran = house.outside(Path::new("psftp"), |command| {
        command.args(["-batch", "-noagent", "-b", "psftp.txt", "-P", &house.address().port().to_string()]);
        command.args(accepted.iter().flat_map(|key| ["-hostkey", key])).args(["-i", "chiave.ppk", &house.login()]);
    });
    assert!(ran.text.contains("altro.part"), "{}", ran.text);
    assert!(fs::read(local.join("ripreso.bin")).unwrap() == big, "reput: {}", ran.text);
    judge(&house, "psftp", &ran, "lotto-psftp.zip");
}

#[test]
fn sshfs() {
    if !require("sshfs") || !require("fusermount3") {
        return;
    }
    let house = ready(REKEY);
    let local = house.local();
    let mount = local.join("montata");
    fs::create_dir(&mount).unwrap();
    let options = house.ssh_options().replace("-o", "").replace(' ', ",");
    let ran = house.outside(Path::new("sshfs"), |command| {
        command.arg(format!("{}:/", house.login())).arg(&mount).args(["-o", &options]);
    });
    if !ran.ok && (ran.text.contains("fuse: device not found") || ran.text.contains("Operation not permitted")) {
        // Not something that can be installed.
        println!("skipped: sshfs: questa macchina non permette di montare: {}", ran.text);
        return;
    }
    assert!(ran.ok, "{}", ran.text);
    let mounted = Mounted(mount.clone());
    let copy = |from: &Path, to: &Path| {
        let ran = house.outside(Path::new("cp"), |command| {
            command.arg(from).arg(to);
        });
        assert!(ran.ok, "{}", ran.text);
    };
    copy(&local.join("grande.bin"), &mount.join("in/grande.part"));
    copy(&mount.join("in/grande.part"), &local.join("indietro.bin"));
    copy(&mount.join("esiti/esito.bin"), &local.join("esito.bin"));
    fs::remove_file(mount.join("in/grande.part")).unwrap();
    copy(&local.join("lotto.zip"), &mount.join("in/lotto-sshfs.zip"));
    drop(mounted);
    judge(&house, "sshfs", &Ran { ok: true, text: String::new() }, "lotto-sshfs.zip");
}

struct Mounted(PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("fusermount3").args(["-u", "-z"]).arg(&self.0).status();
    }
}
