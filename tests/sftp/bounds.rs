//! How long a session may be quiet, how many channels it may have, and how long a request may be.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::SOON;
use crate::common::{require, wait_for};
use crate::house::{Client, House, packet, text};

/// A client that keeps its connection: one channel after the other finds a place there, and it is idle from the end of the last one.
#[test]
fn a_kept_connection_has_channels_one_after_the_other_and_is_idle_from_the_last_one() {
    if !require("ssh") || !require("sftp") {
        return;
    }
    let mut house = House::start("idle_s = 20\n", "");
    let socket = format!("-oControlPath={}", house.local().join("presa").display());
    let mut command = Command::new("ssh");
    command.args(house.ssh_options().split(' ')).args(["-oControlMaster=yes", &socket, "-N", &house.login()]);
    let mut master = Client(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    let sessions = || house.counts()["sessions"].as_u64().unwrap();
    wait_for("the session", SOON, || (sessions() == 1 && house.local().join("presa").exists()).then_some(()));
    std::thread::sleep(Duration::from_secs(12));
    fs::write(house.local().join("a.bin"), b"abc").unwrap();
    // Three times as many as it may have at one time; what is no sftp takes no place either.
    for number in 1..=12 {
        let ran = house.sftp(&[&socket], "put a.bin in/a.part\n");
        assert!(ran.ok, "channel {number}: {}", ran.text);
        let ran = house.client("ssh", &[&socket, &house.login(), "ls"]);
        assert!(!ran.ok && ran.text.contains("SFTP"), "channel {number}: {}", ran.text);
    }
    let last = messo::clock::monotonic();
    wait_for("the end of its channels", SOON, || (house.counts()["channels"] == 0).then_some(()));
    while last.elapsed() < Duration::from_secs(12) {
        assert_eq!(sessions(), 1, "{:?} after its last channel", last.elapsed());
        std::thread::sleep(Duration::from_millis(200));
    }
    wait_for("its end", Duration::from_secs(40), || (sessions() == 0).then_some(()));
    wait_for("the client has gone", SOON, || master.try_wait().map(drop));
    house.nobody_is_left();
    // OpenSSH whose channel is refused begins a connection of its own, and says nothing.
    let audit = house.office().ask(&["audit"]);
    let logins = audit["events"].as_array().unwrap().iter().filter(|event| event["act"] == "ACCESSO").count();
    assert_eq!(logins, 1, "every channel is of the connection that was there");
    house.stop();
}

/// What OpenSSH takes is taken; one longer ends the session, as there, and is in the books.
#[test]
fn a_request_over_256_kib_ends_the_session_and_takes_nothing() {
    if !require("ssh") {
        return;
    }
    let mut house = House::start("", "");
    let number = |number: u32| number.to_be_bytes();
    let mut client = house.idle_client();
    client.say(&packet(1, &[0, 0, 0, 3]));
    client.hear();
    client.say(&packet(3, &[&number(1)[..], &text(b"/in/lungo.csv"), &number(0x1a), &number(0)].concat()));
    let answer = client.hear();
    assert_eq!(answer[0], 102, "a handle: {answer:?}");
    let handle = answer[5..].to_vec();
    let write = |id: u32, offset: u64, length: usize| {
        packet(6, &[&number(id)[..], &handle, &offset.to_be_bytes(), &text(&vec![b'x'; length])].concat())
    };
    client.say(&write(2, 0, 256 << 10));
    assert_eq!(client.hear()[..9], [101, 0, 0, 0, 2, 0, 0, 0, 0]);
    // No more is written than its beginning, which is enough to know.
    client.say(&write(3, 256 << 10, (256 << 10) + 2_000)[..1_000]);
    wait_for("the end of the session", SOON, || client.try_wait());
    let line = house.booked("RICHIESTA_RIFIUTATA", "SFTP_RICHIESTA");
    assert_eq!(line["account"], "polizia", "{line}");
    let kept = house.booked("CARICAMENTO", "INTERROTTO");
    assert_eq!(kept["bytes"], 256 << 10, "{kept}");
    assert!(!house.root().join("in/lungo.csv").exists() && house.root().join(".messo/arrivo/lungo.csv").exists());
    house.nobody_is_left();
    house.stop();
}
