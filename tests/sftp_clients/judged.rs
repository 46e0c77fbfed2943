//! What `ssh-audit` says of the listeners.

use std::path::Path;

use crate::common::{free_port, python, require_python};
use crate::house::House;

/// Its lines, without colours.
fn audit(house: &House, port: u16) -> String {
    let ran = house.outside(Path::new(&python()), |command| {
        command.args(["-m", "ssh_audit", "--no-colors", "--skip-rate-test", "--timeout", "10", "--port", &port.to_string(), "127.0.0.1"]);
    });
    ran.text
}

/// Each algorithm with what is held against it.
fn held_against(report: &str) -> Vec<String> {
    report.lines().filter(|line| line.contains("[fail]") || line.contains("[warn]")).map(str::to_owned).collect()
}

#[test]
fn the_listener_as_shipped_passes_and_the_old_one_is_shown_as_old() {
    if !require_python(&["ssh_audit"]) {
        return;
    }
    let legacy = free_port();
    let house = House::start(&format!("[[sftp.listen]]\naddress = \"127.0.0.1:{legacy}\"\ncompat = \"legacy\"\n"), "");
    let modern = audit(&house, house.address().port());
    println!("{modern}");
    let old = audit(&house, legacy);
    println!("{old}");
}
