//! The tools of the other tests do what they say: children die with their test, the contract proxy sees a breach.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a failed step ends the test")]

mod common;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::time::Duration;

use common::{Child, ContractProxy, free_port, messo, require, wait_for, zip_dir, zip_entries};

const SOON: Duration = Duration::from_secs(90);

#[test]
fn a_dropped_child_takes_its_own_children_along() {
    let mut child = Child::spawn("parent", Command::new("sh").args(["-c", "sleep 600 & echo child $!; wait"]));
    let line = child.wait_line("child ", SOON);
    let grandchild = line.trim_start_matches("child ").trim().to_owned();
    // A killed process may stay a moment as a zombie, until its new parent looks: its command line is empty by then.
    let alive = || std::fs::read(format!("/proc/{grandchild}/cmdline")).is_ok_and(|line| line.starts_with(b"sleep"));
    wait_for("the grandchild runs", SOON, || alive().then_some(()));
    drop(child);
    wait_for("the grandchild is gone", SOON, || (!alive()).then_some(()));
}

#[test]
fn how_a_child_ended_is_told() {
    let mut asked = Child::spawn(
        "asked",
        Command::new("sh").args(["-c", "trap 'echo drained; exit 7' TERM; echo ready; while :; do sleep 0.05; done"]),
    );
    asked.wait_line("ready", SOON);
    assert_eq!(asked.terminate(SOON).code(), Some(7));
    assert!(asked.output().contains("drained"), "{}", asked.output());
    let mut killed = Child::spawn("killed", Command::new("sleep").arg("600"));
    killed.kill();
    assert_eq!(killed.try_wait().and_then(|status| status.signal()), Some(9));
}

#[test]
fn the_program_answers_its_version() {
    let mut child = Child::spawn("messo --version", &mut messo(&["--version"]));
    assert!(child.wait(SOON).success());
    assert_eq!(child.output().trim(), format!("messo {}", env!("CARGO_PKG_VERSION")));
}

#[test]
fn folders_are_zipped_in_order_and_whole() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("atti")).unwrap();
    for (name, text) in [("lotto.csv", "a;b\n"), ("atti/2.pdf", "due"), ("atti/1.pdf", "uno")] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let archive = zip_dir(folder.path());
    let same = [("atti/1.pdf", "uno"), ("atti/2.pdf", "due"), ("lotto.csv", "a;b\n")];
    assert_eq!(archive, zip_entries(same.iter().map(|(name, text)| (*name, text.as_bytes()))));
    if !require("unzip") {
        return;
    }
    let path = folder.path().join("lotto.zip");
    std::fs::write(&path, archive).unwrap();
    let run = Command::new("unzip").arg("-p").arg(&path).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&run.stdout), "unoduea;b\n");
}

/// A server that answers what it likes, and a client that asks for what does not exist: both are seen.
#[test]
fn the_contract_proxy_sees_a_breach() {
    let server = TcpListener::bind(("127.0.0.1", free_port())).unwrap();
    let upstream = server.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in server.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let _ =
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}");
        }
    });
    let Some(proxy) = ContractProxy::start(upstream) else { return };
    for path in ["/delivery/v2.5/requests?notificationRequestId=x", "/nulla"] {
        let mut client = TcpStream::connect(proxy.url().trim_start_matches("http://")).unwrap();
        write!(client, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
    }
    let report = proxy.stop();
    assert_eq!(report.exchanges.len(), 2);
    assert!(report.exchanges.iter().all(|exchange| !exchange.violations.is_empty()), "{:?}", report.exchanges);
    assert_eq!(report.exchanges[1].operation, None);
    assert_eq!(report.operations().len(), 2);
    assert!(std::panic::catch_unwind(|| report.assert_clean(&[])).is_err(), "a broken contract fails the test");
}
