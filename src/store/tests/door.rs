//! The books of the SFTP door.

use super::*;
use crate::store::{DoorBan, DoorEvent};

fn event(second: i64, account: Option<&str>, act: &str) -> DoorEvent {
    DoorEvent {
        at: Timestamp::from_second(1_795_000_000 + second).unwrap(),
        act: act.to_owned(),
        account: account.map(str::to_owned),
        address: "203.0.113.7".to_owned(),
        client: Some("SSH-2.0-Prova".to_owned()),
        name: Some("/in/lotto.zip".to_owned()),
        target: None,
        bytes: Some(7),
        sha256: Some(Sha256::of(b"x")),
        outcome: "OK".to_owned(),
    }
}

#[tokio::test]
async fn lines_are_found_by_account_and_time_and_never_changed() {
    let world = World::new();
    let lines = vec![
        event(0, Some("pl"), "ACCESSO"),
        event(1, Some("tari"), "ACCESSO"),
        event(2, Some("pl"), "CARICAMENTO"),
        event(3, None, "ACCESSO_RIFIUTATO"),
    ];
    world.store.note_door(lines.clone()).await.unwrap();
    let at = |second: i64| Timestamp::from_second(1_795_000_000 + second).unwrap();
    type Row<'a> = (Option<&'a str>, i64, i64, usize, &'a [usize]);
    let table: &[Row<'_>] = &[
        (None, 0, 9, 10, &[3, 2, 1, 0]),
        (None, 1, 3, 10, &[2, 1]),
        (Some("pl"), 0, 9, 10, &[2, 0]),
        (Some("pl"), 0, 9, 1, &[2]),
        (Some("nessuno"), 0, 9, 10, &[]),
    ];
    for (account, from, to, limit, want) in table {
        let found = world.store.door_events(*account, at(*from), at(*to), *limit).await.unwrap();
        let want: Vec<DoorEvent> = want.iter().map(|index| lines[*index].clone()).collect();
        assert_eq!(found, want, "{account:?} {from}..{to} {limit}");
    }
    for (sql, good) in [
        ("DELETE FROM door_event", false),
        ("UPDATE door_event SET outcome = 'OK' WHERE id = 1", false),
        ("UPDATE door_event SET account = NULL WHERE id = 1", false),
        ("UPDATE door_event SET name = NULL, target = NULL WHERE id = 1", true),
    ] {
        let done = world.store.write(move |db| Ok(db.execute(sql, [])?)).await;
        assert_eq!(done.is_ok(), good, "{sql}: {done:?}");
    }
}

#[tokio::test]
async fn bans_survive_until_they_are_over_or_lifted() {
    let World { store, dir, .. } = World::new();
    let at = |second: i64| Timestamp::from_second(1_795_000_000 + second).unwrap();
    let ban = |address: &str, until: i64, times: u32| DoorBan { address: address.to_owned(), since: at(0), until: at(until), times };
    for kept in [ban("203.0.113.7", 100, 1), ban("2001:db8::/64", 200, 1), ban("203.0.113.7", 300, 2)] {
        store.keep_ban(kept).await.unwrap();
    }
    drop(store);
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(store.door_bans(at(150)).await.unwrap(), [ban("203.0.113.7", 300, 2), ban("2001:db8::/64", 200, 1)]);
    assert_eq!(store.door_bans(at(250)).await.unwrap(), [ban("203.0.113.7", 300, 2)]);
    assert!(store.lift_ban("203.0.113.7", at(150)).await.unwrap());
    assert!(!store.lift_ban("203.0.113.7", at(150)).await.unwrap(), "once");
    assert!(!store.lift_ban("2001:db8::/64", at(250)).await.unwrap(), "it is over");
    assert!(store.door_bans(at(250)).await.unwrap().is_empty());
}
