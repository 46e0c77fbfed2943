//! From CLOSE to the hub's hands.

use tokio::sync::mpsc::{Receiver, channel};

use super::*;
use crate::clock::{Clock, monotonic};
use crate::domain::digest::Sha256;
use crate::intake::names::decode;
use crate::intake::settle::Incomplete;
use crate::intake::watch::{Root, WatchEvent, WatchHandle, WatchSettings, Watcher, Wholeness};

/// What must come, comes within this however busy the machine is.
const SOON: Duration = Duration::from_secs(15);
/// A client that is kept from its next step for less than this has not changed its mind.
const SETTLE: Duration = Duration::from_secs(2);
/// What would come after that has not come.
const LONGER: Duration = Duration::from_millis(2_500);

/// Looks every 20 seconds and lets files of the share settle for as long: what comes sooner came by SFTP. `settle`: for what did.
fn watched(settle: Duration, incomplete_after: Duration) -> (House, WatchHandle, Receiver<WatchEvent>) {
    let house = House::settling(settle, |_| {});
    let (tell, told) = channel(100);
    let settings = WatchSettings {
        roots: vec![Root { source: "polizia".into(), path: house.place.path().to_path_buf(), arrivals: Some(house.arrivals.clone()) }],
        settle: Duration::from_secs(20),
        scan: if incomplete_after > Duration::from_secs(5) { Duration::from_secs(20) } else { Duration::from_millis(50) },
        incomplete_after,
        clock: Clock::REAL,
        whole: Arc::new(
            |path| if std::fs::read(path).is_ok_and(|bytes| bytes.ends_with(b"fine")) { Wholeness::Whole } else { Wholeness::NotYet },
        ),
        // No help from the kernel: the door alone tells.
        events: false,
    };
    let handle = Watcher::start(settings, tell).unwrap();
    // Its first look is over.
    std::thread::sleep(Duration::from_millis(100));
    (house, handle, told)
}

fn next(told: &mut Receiver<WatchEvent>, within: Duration) -> Option<WatchEvent> {
    let begin = monotonic();
    while begin.elapsed() < within {
        if let Ok(event) = told.try_recv() {
            return Some(event);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    None
}

#[test]
fn a_closed_file_is_taken_at_once_with_its_digest() {
    let (house, handle, mut told) = watched(SETTLE, Duration::from_secs(3600));
    let home = house.home();
    home.make_folder(b"in/cds").unwrap();
    for (path, times) in [("in/lotto.zip", None), ("in/cds/lotto.zip", Some((1_000_000_000, 1_000_000_000)))] {
        let begin = monotonic();
        put(&home, path, b"inizio fine").unwrap();
        if let Some(times) = times {
            // FileZilla: by path, after CLOSE.
            home.set_attributes(path.as_bytes(), &Attributes { times: Some(times), ..Attributes::default() }).unwrap();
        }
        let Some(WatchEvent::Claimed(claimed)) = next(&mut told, SOON) else { panic!("{path}: not taken") };
        assert!(begin.elapsed() < SOON, "{path}: {:?}", begin.elapsed());
        assert!(begin.elapsed() >= SETTLE, "{path}: the client may change its mind");
        println!("{path}: CLOSE to claim {:?}", begin.elapsed());
        assert_eq!(claimed.arrived, Some(Sha256::of(b"inizio fine")), "{path}");
        assert_eq!(std::fs::read(&claimed.path).unwrap(), b"inizio fine");
        assert_eq!(size(&home, path), Ok(11), "{path}: the client looks after it put");
    }
    // With a temporary name: at the rename.
    put(&home, "in/b.zip.filepart", b"fine").unwrap();
    assert_eq!(next(&mut told, LONGER), None);
    home.rename(b"in/b.zip.filepart", b"in/b.zip", false).unwrap();
    assert!(matches!(next(&mut told, SOON), Some(WatchEvent::Claimed(claimed)) if claimed.arrived.is_some()));
    // Closed by a client that gave up: the content decides, and it goes on.
    put(&home, "in/c.zip", b"inizio").unwrap();
    assert_eq!(next(&mut told, LONGER), None);
    let mut file = open(&home, "in/c.zip", RESUME).unwrap();
    file.write_at(&[(6, b" fine")]).unwrap();
    file.finish(Ending::Closed).unwrap();
    let Some(WatchEvent::Claimed(claimed)) = next(&mut told, SOON) else { panic!("not taken") };
    assert_eq!(claimed.arrived, Some(Sha256::of(b"inizio fine")));
    // The companion is sent after it, within the time for second thoughts.
    put(&home, "in/d.zip", b"fine").unwrap();
    put(&home, "in/d.zip.sha256", Sha256::of(b"fine").to_hex().as_bytes()).unwrap();
    let Some(WatchEvent::Claimed(claimed)) = next(&mut told, SOON) else { panic!("not taken") };
    assert_eq!(claimed.companion, Some(crate::intake::Companion::Sha256(Sha256::of(b"fine"))));
    // On the share files settle as they always did.
    std::fs::write(house.path("in/e.zip"), b"fine").unwrap();
    house.arrivals.ring();
    assert_eq!(next(&mut told, LONGER), None);
    handle.stop();
}

#[test]
fn an_appending_client_is_not_cut_in_pieces_and_nothing_half_is_taken() {
    let (house, handle, mut told) = watched(SETTLE, Duration::from_secs(3600));
    let home = house.home();
    // Opens, appends and closes every 10 ms: bare files have no end that could be seen.
    for at in 0..30u64 {
        let mut file = open(&home, "in/lotto.csv", OpenFlags { truncate: false, ..WRITE }).unwrap();
        file.write_at(&[(at * 5, b"riga\n")]).unwrap();
        file.finish(Ending::Closed).unwrap();
        std::thread::sleep(Duration::from_millis(10));
    }
    let mut broken = open(&home, "in/mezzo.csv", WRITE).unwrap();
    broken.write_at(&[(0, b"mezza riga")]).unwrap();
    drop(broken);
    let Some(WatchEvent::Claimed(claimed)) = next(&mut told, SOON) else { panic!("not taken") };
    assert_eq!(std::fs::read(&claimed.path).unwrap(), b"riga\n".repeat(30));
    assert_eq!(next(&mut told, LONGER), None, "the half one stays");
    handle.stop();
}

#[test]
fn an_upload_that_never_ends_gets_its_receipt() {
    let (house, handle, mut told) = watched(Duration::from_millis(50), Duration::from_millis(200));
    let home = house.home();
    let mut file = open(&home, "in/mezzo.zip", WRITE).unwrap();
    file.write_at(&[(0, b"abc")]).unwrap();
    drop(file);
    let Some(WatchEvent::NeverCompleted { name, size, reason, .. }) = next(&mut told, SOON) else { panic!("not told") };
    assert_eq!((decode(name.as_bytes()).as_str(), size, reason), ("mezzo.zip", 3, Incomplete::Interrupted));
    assert_eq!(next(&mut told, Duration::from_millis(500)), None, "told once");
    handle.stop();
}

#[test]
fn a_client_that_overwrites_while_the_hub_claims_gets_both_or_one_never_a_mix() {
    let (house, handle, mut told) = watched(Duration::from_millis(50), Duration::from_secs(3600));
    let texts: Vec<Vec<u8>> = (0..200).map(|round| format!("{}{round:04} fine", "x".repeat(round % 7)).into_bytes()).collect();
    let home = house.home();
    let mut take = |within: Duration| {
        let event = next(&mut told, within)?;
        let WatchEvent::Claimed(claimed) = event else { panic!("{event:?}") };
        let bytes = std::fs::read(&claimed.path).unwrap();
        assert!(texts.contains(&bytes), "{}", String::from_utf8_lossy(&bytes));
        assert!(claimed.arrived.is_none_or(|sha| sha == Sha256::of(&bytes)), "the digest is that of the bytes");
        Some(bytes)
    };
    let mut taken = Vec::new();
    for (round, text) in texts.iter().enumerate() {
        put(&home, "in/lotto.zip", text).unwrap();
        if round % 30 == 29 {
            taken.push(take(SOON).unwrap_or_else(|| panic!("round {round}: none of them is taken")));
        } else {
            std::thread::sleep(Duration::from_millis(if text.len() % 5 == 0 { 75 } else { 1 }));
        }
    }
    while taken.last() != texts.last() {
        taken.push(take(SOON).expect("the last one is never lost"));
    }
    assert_eq!(take(Duration::from_millis(500)), None, "nothing twice");
    assert!(taken.len() > 5, "{}", taken.len());
    handle.stop();
}
