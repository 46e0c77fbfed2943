//! Tests of `queue`.

use std::fs;
use std::time::Duration;

use super::*;
use crate::service::tests::House;

#[test]
fn a_few_tries_in_front_then_aside_then_no_more() {
    let (ms, s) = (Duration::from_millis, Duration::from_secs);
    let table = [
        (1, Then::Again(ms(500))),
        (2, Then::Again(s(1))),
        (4, Then::Again(s(4))),
        (5, Then::Aside(s(10))),
        (6, Then::Aside(s(20))),
        (10, Then::Aside(s(320))),
        (13, Then::Aside(s(600))),
        (14, Then::GiveUp),
        (40, Then::GiveUp),
    ];
    for (tries, want) in table {
        assert_eq!(PATIENCE.after(tries), want, "after {tries}");
    }
}

const QUICK: Patience = Patience {
    in_place: 5,
    most: 9,
    first: Duration::from_millis(1),
    aside: Duration::from_millis(20),
    longest: Duration::from_millis(40),
};

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..3_000 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never: {what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_read_stops_nobody_and_is_told_in_the_end() {
    let house = House::new();
    let (lost, mended) = (house.claimed("perso.zip", None), house.claimed("chiuso.zip", None));
    // A folder opens and does not read: as a disk that fails.
    fs::create_dir(&mended.path).unwrap();
    let next = house.claimed("dopo.zip", Some(b"non un archivio"));
    let (send, receive) = mpsc::unbounded_channel();
    // While the first are aside the other is taken; patience enough for that.
    let patience = Patience { most: 140, longest: Duration::from_millis(100), ..QUICK };
    let worker = tokio::spawn(one_source(house.hub.clone(), receive, patience));
    for claimed in [&lost, &mended, &next] {
        send.send(claimed.clone()).unwrap();
    }
    until("the third is taken", async || house.state(next.id).await == "SCARTATO").await;
    assert_eq!(house.state(lost.id).await, "RICEVUTO", "the first still waits");
    assert_eq!(house.alerts().await.iter().filter(|code| *code == "DEPOSITO_ACCANTONATO").count(), 2);
    until("its file goes", async || !next.path.exists()).await;

    // The disk works again: what stepped aside is taken.
    fs::remove_dir(&mended.path).unwrap();
    fs::write(&mended.path, b"nemmeno questo").unwrap();
    until("the second is taken", async || house.state(mended.id).await == "SCARTATO").await;
    assert_eq!(house.codes(mended.id).await, house.codes(next.id).await, "by its content");
    assert_ne!(house.codes(mended.id).await, ["FILE_NON_LEGGIBILE"]);

    // The other never is.
    until("the first is refused", async || house.state(lost.id).await == "SCARTATO").await;
    assert_eq!(house.codes(lost.id).await, ["FILE_NON_LEGGIBILE"]);
    assert!(house.alerts().await.contains(&"DEPOSITO_ABBANDONATO".to_owned()));
    let receipt = super::super::files::receipt(&house.hub, lost.id).await;
    assert!(matches!(receipt, super::super::dispatch::End::Nothing), "{receipt:?}");
    let receipts: Vec<String> = fs::read_dir(house.dir.path().join("casa/ricevute"))
        .unwrap()
        .map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap())
        .collect();
    assert_eq!(receipts.len(), 2);
    assert!(receipts.iter().all(|text| text.contains("Il file depositato non si apre o non si legge")), "{receipts:?}");

    // Found again at a later start, readable by now: it was refused, and nobody else has its bytes.
    fs::write(&lost.path, b"di nuovo qui").unwrap();
    ingest::ingest(&house.hub, &lost).await.unwrap();
    assert!(lost.path.exists());
    house.hub.stopping.cancel();
    worker.await.unwrap();
}
