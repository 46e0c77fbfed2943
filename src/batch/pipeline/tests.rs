//! Tests of `pipeline`: what is read a second time must be what was looked into.

use super::*;
use crate::batch::archive::sample::{piece, zip};

const CEILINGS: Ceilings = Ceilings { max_entries: 100, max_entry_bytes: 1 << 20, max_total_bytes: 1 << 20, max_ratio: 100 };
const ROW: &str = "riferimento;ente;azione\nA1;01234567897;annulla\nA2;01234567897;annulla\n";

/// Acts, and rows told of; or why not.
type Outcome<E> = Result<(u64, usize), E>;

/// Looks into `bytes`, then judges `later`.
fn judged(name: &str, bytes: &[u8], later: &[u8]) -> Outcome<String> {
    let (bytes, later) = (bytes.to_vec(), later.to_vec());
    let opened = open(&bytes, name, &CEILINGS).map_err(|stopped| stopped.to_string())?;
    let facts = look_into(&bytes, &opened, name, &Hashing::default()).map_err(|stopped| stopped.to_string())?;
    let mut rows = 0;
    let by = Judge { flow: None, senders: None, today: None, max_acts: 10 };
    let totals = judge(&later, &opened, facts, &by, &mut |_| {
        rows += 1;
        ControlFlow::Continue(())
    });
    match totals {
        Ok(totals) => Ok((totals.acts, rows)),
        Err(Stopped::Changed) => Err("changed".to_owned()),
        Err(stopped) => Err(stopped.to_string()),
    }
}

#[test]
fn what_has_changed_since_it_was_looked_into_is_not_judged() {
    let bare = ROW.as_bytes().to_vec();
    let archive = zip(&[piece("lotto.csv", ROW)]);
    let stored = zip(&[crate::batch::archive::sample::Piece { stored: true, ..piece("lotto.csv", ROW) }]);
    let changed = |bytes: &Vec<u8>, from: &[u8], to: &[u8]| {
        let mut bytes = bytes.clone();
        let at = bytes.windows(from.len()).position(|part| part == from).unwrap();
        bytes.splice(at..at + from.len(), to.iter().copied());
        bytes
    };
    let mut spoiled = archive.clone();
    let middle = archive.len() / 3;
    spoiled[middle] ^= 0x55;
    // What, name, bytes looked into, bytes judged.
    type Row<'a> = (&'a str, &'a str, &'a [u8], Vec<u8>, Outcome<&'a str>);
    let table: [Row<'_>; 8] = [
        ("bare, as it was", "lotto.csv", &bare, bare.clone(), Ok((2, 2))),
        ("bare, another reference", "lotto.csv", &bare, changed(&bare, b"A2", b"A3"), Err("changed")),
        ("bare, no longer a batch", "lotto.csv", &bare, vec![b'x'; bare.len()], Err("changed")),
        ("bare, shorter", "lotto.csv", &bare, bare[..bare.len() - 5].to_vec(), Err("changed")),
        ("stored, as it was", "lotto.zip", &stored, stored.clone(), Ok((2, 2))),
        ("stored, another reference", "lotto.zip", &stored, changed(&stored, b"A2", b"A3"), Err("changed")),
        ("deflated, as it was", "lotto.zip", &archive, archive.clone(), Ok((2, 2))),
        ("deflated, spoiled", "lotto.zip", &archive, spoiled, Err("changed")),
    ];
    for (what, name, bytes, later, want) in table {
        assert_eq!(judged(name, bytes, &later), want.map_err(str::to_owned), "{what}");
    }
}
