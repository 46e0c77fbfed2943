//! Shares that hang: who waits, who does not, and what is found afterwards.

use std::fs;
use std::path::PathBuf;

use jiff::SignedDuration;
use tokio::task::JoinSet;

use super::*;
use crate::clock::Clock;
use crate::config;
use crate::domain::digest::Sha256;
use crate::domain::ids::BatchId;
use crate::intake::Claimed;
use crate::outbox::place::Parked;
use crate::service::publish::{self, publication};
use crate::service::tests::{House, SOURCE, example_with};
use crate::service::{dispatch, ingest, supervisor};

#[test]
fn a_share_hangs_when_it_keeps_one_for_long_or_many_for_a_while() {
    let start = monotonic();
    // (seconds for which each has been waiting, whether it hangs)
    let table: [(&[u64], bool); 12] = [
        (&[], false),
        (&[0, 0, 0, 0, 0, 0, 0, 0, 0], false),
        (&[1, 1, 1, 1, 1], false),
        (&[2, 2, 2], false),
        (&[2, 2, 2, 2], true),
        (&[19], false),
        (&[20], true),
        (&[299], true),
        (&[300], false), // tried again
        (&[600, 300], false),
        (&[600, 299], true),
        (&[9_000; 12], true), // tried enough
    ];
    for (waiting, want) in table {
        let shares = Shares::default();
        let now = start + Duration::from_secs(10_000);
        let touching: Vec<_> = waiting.iter().map(|seconds| shares.touch_at("uno", now - Duration::from_secs(*seconds))).collect();
        assert_eq!(shares.hangs_at("uno", now), want, "{waiting:?}");
        assert!(!shares.hangs_at("altro", now), "{waiting:?}");
        drop(touching);
        assert!(!shares.hangs_at("uno", now) && shares.lock().is_empty(), "{waiting:?}: nobody is there");
    }
}

#[test]
fn what_is_heard_of_a_share() {
    let start = monotonic();
    let at = |seconds: u64| start + Duration::from_secs(seconds);
    enum Was {
        /// Somebody begins to work then, and has not ended.
        Works(u64),
        Worked(u64),
        /// Who looks begins then.
        Looks(u64),
        /// When it came back, and whether the folder was there.
        Looked(u64, bool),
    }
    use Was::*;
    let silent = |seconds: u64| Word::Silent(Duration::from_secs(seconds));
    let table: [(&str, &[Was], Word); 13] = [
        ("nobody was there", &[], Word::Unknown),
        ("work alone says nothing of the folder", &[Worked(900)], Word::Unknown),
        ("found", &[Looks(900), Looked(901, true)], Word::Answers),
        ("found, and worked in", &[Looks(900), Looked(901, true), Works(990)], Word::Answers),
        ("worked in for long", &[Looks(900), Looked(901, true), Works(100)], silent(900)),
        ("of two the longest", &[Works(300), Works(100)], silent(900)),
        ("others have worked there since", &[Looks(900), Looked(901, true), Works(100), Worked(950)], Word::Answers),
        ("others had worked there before", &[Works(100), Worked(50)], silent(900)),
        ("looked at for long", &[Looks(10), Looked(11, true), Looks(100)], silent(900)),
        ("somebody has worked there meanwhile", &[Looks(10), Looked(11, true), Looks(100), Worked(500)], Word::Unknown),
        ("gone", &[Looks(100), Looked(101, false), Looks(900), Looked(901, false)], silent(900)),
        ("slow", &[Looks(100), Looked(100 + HANGS.as_secs(), true)], silent(900)),
        ("back", &[Looks(100), Looked(101, false), Looks(900), Looked(901, true)], Word::Answers),
    ];
    for (what, story, want) in table {
        let shares = Shares::default();
        let mut at_work = Vec::new();
        for was in story {
            match was {
                Works(begun) => at_work.push(shares.touch_at("uno", at(*begun))),
                Worked(begun) => shares.touch_at("uno", at(*begun)).ended(),
                Looks(begun) => assert!(shares.looks("uno", at(*begun)), "{what}"),
                Looked(ended, well) => shares.looked("uno", *well, at(*ended)),
            }
        }
        assert_eq!(shares.word_at("uno", at(1_000)), want, "{what}");
        assert_eq!(shares.word_at("altro", at(1_000)), Word::Unknown, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_wait_is_answered_and_who_hangs_is_still_seen() {
    let house = House::new();
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let answer = on_share_within(&house.hub, SOURCE, Duration::from_millis(50), move || wait.recv().is_ok()).await;
    assert!(matches!(answer, Err(PublishError::Hangs)), "{answer:?}");
    let seen = || house.hub.shares.lock().contains_key(SOURCE);
    assert!(seen(), "its thread is still there");
    drop(go);
    let begun = monotonic();
    while seen() {
        assert!(begun.elapsed() < Duration::from_secs(10), "the thread has ended");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let answer = on_share_within(&house.hub, SOURCE, Duration::from_secs(10), || 7).await;
    assert_eq!(answer.unwrap(), 7);
    let ended_badly = on_share_of(&house.hub, SOURCE, || panic!("a defect")).await;
    assert!(matches!(ended_badly, Err::<(), _>(PublishError::Disk(_))));
    assert!(!seen(), "a panic leaves nobody behind");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_share_that_gives_something_now_and_then_does_not_hang() {
    let house = House::new();
    let patience = Duration::from_millis(400);
    let begun = monotonic();
    let slow = |moves: &Moves| {
        for _ in 0..20 {
            std::thread::sleep(Duration::from_millis(50));
            moves.moved();
        }
        7
    };
    assert_eq!(on_share_moving(&house.hub, SOURCE, patience, slow).await.unwrap(), 7);
    assert!(begun.elapsed() > patience * 2, "longer than anybody waits for one that gives nothing");
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let answer = on_share_moving(&house.hub, SOURCE, patience, move |_| wait.recv().is_ok()).await;
    assert!(matches!(answer, Err(PublishError::Hangs)), "{answer:?}");
    assert_eq!(house.hub.shares.touches(SOURCE), 1, "its thread is still there");
    drop(go);

    let shares = Shares::default();
    let touching = shares.touch_at("uno", monotonic().checked_sub(HANGS * 2).unwrap());
    assert!(shares.hangs("uno") && shares.any_hangs());
    touching.moves().moved();
    assert!(!shares.hangs("uno") && !shares.any_hangs());
}

/// A drop whose acts are not those of another number.
fn example(number: u8) -> Vec<u8> {
    let notice = |act: u64, number: u8| {
        let digits = 3_020_000_026_000_003 + act + 10 * u64::from(number);
        format!("{digits}{:02}", digits % 93)
    };
    example_with(|name, mut bytes| {
        if name != "lotto.xml" {
            bytes.extend_from_slice(format!("\n% {number}\n").as_bytes());
            return bytes;
        }
        let xml =
            String::from_utf8(bytes).unwrap().replace("AMM-2026", &format!("A-{number}")).replace("2026/AMM", &format!("2026/{number}"));
        (1..=3).fold(xml, |xml, act| xml.replace(&notice(act, 0), &notice(act, number))).into_bytes()
    })
}

/// Another gestionale, whose folder answers.
const OTHER: &str = "anagrafe";

impl House {
    fn two() -> House {
        let other = format!(
            "[[gestionale]]\nname = \"{OTHER}\"\nroot = \"altra\"\nenti = [\"01234567897\"]\nflows = [\"extra-cds\", \"ordinanze\"]\n"
        );
        House::with("", &other)
    }

    /// From now on whoever touches the folder of [`SOURCE`] waits.
    fn hang(&self) {
        self.hub.shares.hung.lock().unwrap().insert(SOURCE.to_owned());
    }

    fn answer(&self) {
        self.hub.shares.hung.lock().unwrap().clear();
    }

    /// A drop with acts to start, a receipt and rejects.
    async fn drop_of(&self, source: &str, number: u8) -> BatchId {
        let claimed = Claimed { source: source.to_owned(), ..self.claimed("lotto.zip", Some(&example(number))) };
        ingest::ingest(&self.hub, &claimed).await.unwrap();
        assert_eq!(self.hub.store.batch(claimed.id).await.unwrap().accepted, 2, "{:?}", self.codes(claimed.id).await);
        claimed.id
    }

    /// Files below a folder of a gestionale, without temporary ones.
    fn files(&self, folder: &str) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.dir.path().join(folder)) else { return Vec::new() };
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| !name.starts_with(".messo")).collect()
    }

    /// What the store knows of as whole under a temporary name, for an hour.
    async fn parked(&self, name: &str, number: Option<u64>) -> PathBuf {
        let temporary = format!(".messo-prima-{name}.part");
        let path = self.dir.path().join("casa/esiti").join(&temporary);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, name).unwrap();
        let parked = Parked { temporary, sha256: Sha256::of(name.as_bytes()), len: name.len() as u64 };
        let before = self.hub.clock.now() - SignedDuration::from_hours(1);
        let mut file = publication(SOURCE, "ESITO", "esiti", name, &parked, None, before);
        file.number = number;
        self.hub.store.prepare_publications(vec![file]).await.unwrap();
        path
    }

    async fn until(&self, what: &str, mut holds: impl AsyncFnMut() -> bool) {
        let begun = monotonic();
        while !holds().await {
            assert!(begun.elapsed() < Duration::from_secs(60), "{what}: never");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn until_touched(&self) {
        self.until("somebody waits for the share", async || self.hub.shares.lock().contains_key(SOURCE)).await;
    }
}

/// The process is stopped while a share hangs: what it did not write is written by the next one.
#[tokio::test(flavor = "multi_thread")]
async fn receipts_that_a_stop_interrupts_are_written_after_the_next_start() {
    let house = House::new();
    let batch = house.drop_of(SOURCE, 1).await;
    house.hang();
    let working = tokio::spawn(dispatch::run(house.hub.clone()));
    house.until_touched().await;
    house.hub.stopping.cancel();
    tokio::time::timeout(2 * GRACE, working).await.expect("the service can stop").unwrap();
    let kinds = |jobs: Vec<crate::store::JobRow>| jobs.into_iter().map(|job| job.kind).collect::<Vec<_>>();
    let mut left = kinds(house.hub.store.jobs_of(batch.0).await.unwrap());
    left.sort();
    assert_eq!(left, ["RICEVUTA", "SCARTI"], "they are still to be written");
    house.answer();
    house.until("nobody is there", async || house.hub.shares.lock().is_empty()).await;
    house.hub.store.close();
    let House { dir, hub } = house;
    drop(hub);

    let hub = supervisor::open(config::load(&dir.path().join("messo.toml")).unwrap(), Clock::REAL).unwrap();
    let house = House { dir, hub };
    house.hub.store.free_leases().await.unwrap();
    let working = tokio::spawn(dispatch::run(house.hub.clone()));
    house.until("written", async || house.files("casa/ricevute").len() == 2 && house.files("casa/scarti").len() == 1).await;
    house.until("done", async || house.hub.store.jobs_of(batch.0).await.unwrap().is_empty()).await;
    house.hub.stopping.cancel();
    working.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_share_that_hangs_keeps_no_other_gestionale_waiting() {
    let house = House::two();
    let mut hung = Vec::new();
    for number in 0..6 {
        hung.push(house.drop_of(SOURCE, number).await);
    }
    house.hang();
    let other = house.drop_of(OTHER, 9).await;
    let working = tokio::spawn(dispatch::run(house.hub.clone()));
    house.until("receipts of the other", async || house.files("altra/ricevute").len() == 2 && house.files("altra/scarti").len() == 1).await;
    house.until("acts of the other", async || house.hub.store.acts_of_batch(other, 0, 9).await.unwrap().len() == 2).await;
    for batch in &hung {
        let acts = async || house.hub.store.acts_of_batch(*batch, 0, 9).await.unwrap().len();
        house.until("acts of the one whose share hangs", async || acts().await == 2).await;
    }
    assert!(house.files("casa/ricevute").is_empty() && house.hub.shares.lock().contains_key(SOURCE), "it hangs all the while");
    let threads = house.hub.shares.lock().get(SOURCE).map_or(0, Vec::len);
    assert!(threads <= MOST, "{threads} threads wait");
    house.answer();
    let all = async || house.files("casa/ricevute").len() == 12 && house.files("casa/scarti").len() == 6;
    house.until("all the others", all).await;
    house.hub.stopping.cancel();
    working.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_a_reload_and_a_stop_wait_for_no_share() {
    let house = House::two();
    house.parked("esito_prima.xml", Some(1)).await;
    let stray = house.dir.path().join("casa/esiti/.messo-di-prima.part");
    fs::write(&stray, "resto").unwrap();
    house.hang();
    let starting = supervisor::start(house.hub.clone());
    let mut running = tokio::time::timeout(Duration::from_secs(40), starting).await.expect("the start ends").unwrap();
    assert!(house.files("casa/esiti").is_empty() && stray.exists());
    // What comes for the other is taken in.
    fs::create_dir_all(house.dir.path().join("altra/in")).unwrap();
    fs::write(house.dir.path().join("altra/in/lotto.zip"), example(1)).unwrap();
    house.until("the other's receipt", async || house.files("altra/ricevute").len() == 2).await;

    // A gestionale more, whose share hangs too.
    let file = house.dir.path().join("messo.toml");
    let more = fs::read_to_string(&file).unwrap().replace(OTHER, "tributi").replace("\"altra\"", "\"nuova\"");
    let more = &more[more.rfind("[[gestionale]]").unwrap()..];
    fs::write(&file, format!("{}{more}", fs::read_to_string(&file).unwrap())).unwrap();
    house.hub.shares.hung.lock().unwrap().insert("tributi".to_owned());
    let read = tokio::time::timeout(Duration::from_secs(30), running.reload(&file)).await.expect("the reload ends");
    assert!(read && house.hub.settings().source("tributi").is_some());

    house.answer();
    house.until("revealed and swept", async || house.files("casa/esiti") == ["esito_prima.xml"] && !stray.exists()).await;
    fs::create_dir_all(house.dir.path().join("nuova/in")).unwrap();
    fs::write(house.dir.path().join("nuova/in/lotto.zip"), example(2)).unwrap();
    house.until("the new one's receipt", async || house.files("nuova/ricevute").len() == 2).await;
    house.hang();
    fs::create_dir_all(house.dir.path().join("casa/in")).unwrap();
    fs::write(house.dir.path().join("casa/in/lotto.zip"), example(3)).unwrap();
    house.until_touched().await;
    tokio::time::timeout(4 * GRACE, running.stop()).await.expect("the stop ends");
    house.answer();
}

/// What cannot have its name at a start keeps the temporary one: it is the only copy of what the store calls prepared.
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_revealed_at_a_start_is_not_swept() {
    let house = House::new();
    let parked = house.parked("esito_prima.xml", Some(1)).await;
    // The number cannot be written down beside the folders.
    let in_the_way = house.dir.path().join("casa/.messo");
    let _ = fs::remove_dir_all(&in_the_way);
    fs::write(&in_the_way, "").unwrap();
    let mut tasks = JoinSet::new();
    publish::recover(&house.hub, &mut tasks).await.unwrap();
    while tasks.join_next().await.is_some() {}
    assert!(parked.exists(), "it waits");
    fs::remove_file(&in_the_way).unwrap();
    publish::recover(&house.hub, &mut tasks).await.unwrap();
    while tasks.join_next().await.is_some() {}
    assert_eq!((house.files("casa/esiti"), parked.exists()), (vec!["esito_prima.xml".to_owned()], false));
}

/// Whoever is at work when the service stops has looked before the last change.
#[tokio::test(flavor = "multi_thread")]
async fn what_changes_while_the_last_file_is_written_is_not_left_for_the_next_start() {
    let house = House::new();
    house.parked("esito_primo.xml", None).await;
    house.hang();
    let publishing = tokio::spawn(publish::run(house.hub.clone()));
    house.until_touched().await;
    house.parked("esito_secondo.xml", None).await;
    house.hub.stopping.cancel();
    tokio::time::sleep(Duration::from_millis(200)).await;
    house.answer();
    publishing.await.unwrap();
    let mut files = house.files("casa/esiti");
    files.sort();
    assert_eq!(files, ["esito_primo.xml", "esito_secondo.xml"]);
}
