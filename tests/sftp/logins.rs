//! Logins that do not come about: each is in the books, once, with its reason.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use serde_json::Value;

use crate::common::{require, wait_for};
use crate::house::House;
use crate::{SOON, TcpStream};

/// Lines of logins that were refused, the oldest first.
fn refused(house: &House) -> Vec<Value> {
    let audit = house.office().ask(&["audit", "--account", "polizia"]);
    let events = audit["events"].as_array().unwrap().iter().rev();
    events.filter(|event| event["act"] == "ACCESSO_RIFIUTATO").cloned().collect()
}

#[test]
fn a_key_that_is_refused_is_in_the_books_once_and_one_of_an_agent_is_not() {
    if !require("sftp") || !require("ssh-keygen") {
        return;
    }
    let mut house = House::start("", "");
    let local = house.local();
    for name in ["altra", "altra2"] {
        let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(local.join(name)).status().unwrap();
        assert!(made.success());
    }
    // The right key, which a script that runs by itself cannot open.
    let sealed = local.join("protetta");
    fs::copy(house.key(), &sealed).unwrap();
    fs::copy(house.key().with_extension("pub"), sealed.with_extension("pub")).unwrap();
    fs::set_permissions(&sealed, fs::Permissions::from_mode(0o600)).unwrap();
    let sealing = Command::new("ssh-keygen").args(["-q", "-p", "-P", "", "-N", "una frase segreta", "-f"]).arg(&sealed).output().unwrap();
    assert!(sealing.status.success(), "{}", String::from_utf8_lossy(&sealing.stderr));
    let (right, other, another) = ("-oIdentityFile=chiave", "-oIdentityFile=altra", "-oIdentityFile=altra2");
    // (what the client offers, whether it comes in, what is in the books from then on)
    let table: [(&[&str], bool, &[&str]); 5] = [
        (&[other], false, &["CHIAVE_NON_ACCETTATA"]),
        (&[other, right], true, &["CHIAVE_NON_ACCETTATA"]),
        (&[other, another], false, &["CHIAVE_NON_ACCETTATA", "CHIAVE_NON_ACCETTATA"]),
        (&["-oIdentityFile=protetta"], false, &["CHIAVE_NON_ACCETTATA", "CHIAVE_NON_ACCETTATA", "ACCESSO_NON_COMPLETATO"]),
        (&[right], true, &["CHIAVE_NON_ACCETTATA", "CHIAVE_NON_ACCETTATA", "ACCESSO_NON_COMPLETATO"]),
    ];
    for (identities, comes_in, want) in table {
        let ran = house.as_another_key(identities, "pwd\n");
        assert_eq!(ran.ok, comes_in, "{identities:?}: {}", ran.text);
        wait_for(&format!("{identities:?}: {want:?}"), SOON, || (refused(&house).len() >= want.len()).then_some(()));
        house.nobody_is_left();
        let lines = refused(&house);
        let outcomes: Vec<&str> = lines.iter().filter_map(|line| line["outcome"].as_str()).collect();
        assert_eq!(outcomes, want, "{identities:?}");
        for line in lines {
            assert!(line["client"].as_str().is_some_and(|client| client.starts_with("SSH-2.0-OpenSSH")), "{line}");
        }
    }
    // Who merely looks, and who does not even ask for an account, is nobody's refusal.
    drop(TcpStream::connect(house.address()).unwrap());
    house.nobody_is_left();
    house.booked("ACCESSO", "OK");
    house.stop();
    house.start_again();
    assert_eq!(refused(&house).len(), 3);
    house.stop();
}
