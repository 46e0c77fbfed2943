//! How long a request may be.

use crate::SOON;
use crate::common::{require, wait_for};
use crate::house::{House, packet, text};

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
