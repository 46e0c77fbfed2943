//! What `ssh-audit` says of the listeners.

use crate::common::{free_port, python, require_python};
use crate::house::House;

/// Algorithm, level (`fail`, `warn`) and what is held against it.
type Held = (String, &'static str, String);

/// The whole report, and what is held against what.
fn audit(house: &House, port: u16) -> (String, Vec<Held>) {
    let ran = house.outside(&python(), |command| {
        command.args(["-m", "ssh_audit", "--no-colors", "--skip-rate-test", "--timeout", "10", "--port", &port.to_string(), "127.0.0.1"]);
    });
    let mut algorithm = String::new();
    let mut held = Vec::new();
    for line in ran.text.lines() {
        if let Some((_, rest)) = line.split_once(") ") {
            rest.split_whitespace().next().unwrap_or_default().clone_into(&mut algorithm);
        }
        for (level, mark) in [("fail", "[fail] "), ("warn", "[warn] ")] {
            if let Some((_, why)) = line.split_once(mark) {
                held.push((algorithm.clone(), level, why.to_owned()));
            }
        }
    }
    (ran.text, held)
}

#[test]
fn the_listener_as_shipped_passes_and_the_old_one_is_shown_as_old() {
    if !require_python(&["ssh_audit"]) {
        return;
    }
    let legacy = free_port();
    let house = House::start(&format!("[[sftp.listen]]\naddress = \"127.0.0.1:{legacy}\"\ncompat = \"legacy\"\n"), "");
    let (report, held) = audit(&house, house.address().port());
    for always in
        ["(kex) mlkem768x25519-sha256", "(kex) kex-strict-s-v00@openssh.com", "(key) ssh-ed25519", "(key) rsa-sha2-512 (3072-bit)"]
    {
        assert!(report.contains(always), "{always}: {report}");
    }
    assert!(!report.contains("(rec) !"), "nothing critical is recommended: {report}");
    for (algorithm, level, why) in held {
        // Clients older than OpenSSH 9.9 know nothing else; whoever knows ML-KEM gets it, since it comes first.
        let classical = level == "warn" && why == "does not provide protection against post-quantum attacks";
        assert!(classical, "{algorithm}: [{level}] {why}\n{report}");
    }
    let (report, held) = audit(&house, legacy);
    for old in [
        ("diffie-hellman-group14-sha1", "fail"),
        ("diffie-hellman-group-exchange-sha1", "fail"),
        ("ssh-rsa", "fail"),
        ("ecdsa-sha2-nistp256", "fail"),
        ("hmac-sha1", "fail"),
        ("aes128-cbc", "warn"),
        ("hmac-sha2-256", "warn"),
    ] {
        assert!(held.iter().any(|(algorithm, level, _)| (algorithm.as_str(), *level) == old), "{old:?}: {report}");
    }
    assert!(report.contains("(kex) kex-strict-s-v00@openssh.com"), "strict there too: {report}");
    // It looked in dozens of times without logging in: nobody is banned for that.
    let ran = house.sftp(&[], "pwd\n");
    assert!(ran.ok, "{}", ran.text);
    house.nobody_is_left();
}
