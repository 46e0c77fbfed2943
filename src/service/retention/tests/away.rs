//! The folder of one of two gestionali lies on a share that hangs.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;

use rustix::fs::{CWD, FileType, Mode, OFlags};

use super::*;
use crate::domain::erasure::{Asked, Subject as Erased};
use crate::outbox::asked;
use crate::service::shares::GRACE;

const OTHER: &str = "tributi";
/// For a share that hangs.
const LONG: Duration = Duration::from_secs(3);

fn two(of_each: &str) -> House {
    let other =
        format!("\n[[gestionale]]\nname = \"{OTHER}\"\nroot = \"altra\"\nenti = [\"01234567897\"]\nflows = [\"ordinanze\"]\n{of_each}");
    let house = House::with("", &format!("{of_each}{other}"));
    for root in ["casa", "altra"] {
        fs::create_dir_all(house.dir.path().join(root).join("in")).unwrap();
    }
    house
}

fn fifo(path: &Path) {
    rustix::fs::mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
}

impl House {
    fn root(&self, source: &str) -> PathBuf {
        self.hub.settings().source(source).unwrap().root.clone()
    }

    /// Until whoever touched a share has gone.
    async fn left_alone(&self, source: &str) {
        let begun = monotonic();
        while self.hub.shares.touches(source) > 0 {
            assert!(begun.elapsed() < Duration::from_secs(60), "somebody is still there");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// A file of which whoever writes to it waits until it is read.
fn full(path: &Path) -> File {
    fifo(path);
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let mut pipe = OpenOptions::new().read(true).write(true).custom_flags(flags).open(path).unwrap();
    while pipe.write(&[b'x'; 4096]).is_ok() {}
    pipe
}

#[tokio::test(flavor = "multi_thread")]
async fn deletions_of_a_gestionale_are_written_outside_whatever_share_hangs() {
    let house = two("");
    let (hub, now) = (&house.hub, house.hub.clock.now());
    let mut going: BTreeMap<&str, Vec<ActId>> = BTreeMap::new();
    for (source, series) in [(SOURCE, "A"), (OTHER, "B")] {
        house.started_of(source, &lot_of(series)).await;
        for reference in [format!("{series}-1"), format!("{series}-2")] {
            house.withdraw(&reference).await;
            going.entry(source).or_default().push(house.act(&reference).await);
        }
    }
    let written =
        |source: &str| asked::read(&house.root(source)).unwrap().into_iter().map(|asked: Asked| asked.subject).collect::<Vec<_>>();
    let wanted = |source: &str| going[source].iter().map(|act| Erased::Act(*act)).collect::<Vec<_>>();
    let unwritten = async || {
        let left = hub.store.erasures_to_note(100).await.unwrap();
        left.into_iter().map(|(source, _)| source).collect::<Vec<_>>()
    };
    let file = house.root(SOURCE).join(".messo/cancellati");
    fs::create_dir(house.root(SOURCE).join(".messo")).unwrap();
    let pipe = full(&file);
    hub.store.begin_erasing(going.values().flatten().copied().collect(), Cause::Request, now).await.unwrap();

    let mut round = Notes::waiting(LONG);
    round.write(hub, now).await.unwrap();
    assert_eq!((written(OTHER), unwritten().await), (wanted(OTHER), vec![SOURCE.to_owned(); 2]), "the other share works");
    // However many pages the round has, it waits once and leaves one thread behind.
    let begun = monotonic();
    for _ in 0..100 {
        round.write(hub, now).await.unwrap();
    }
    assert!(begun.elapsed() < LONG * 10, "{:?}", begun.elapsed());
    assert_eq!(hub.shares.touches(SOURCE), 1);
    // What is asked meanwhile is written before it is carried out.
    house.started_of(OTHER, &lot_of("C")).await;
    house.withdraw("C-1").await;
    let more = house.act("C-1").await;
    hub.store.begin_erasing(vec![more], Cause::Request, now).await.unwrap();
    finish_into(hub, &mut round, &mut Tally::default(), now).await.unwrap();
    assert!(written(OTHER).contains(&Erased::Act(more)) && hub.store.erased(more.0).await.unwrap().is_some());
    assert!(hub.store.erased(going[SOURCE][0].0).await.unwrap().is_some(), "nor does a share keep anybody's data");

    // The share works again.
    fs::remove_file(&file).unwrap();
    drop(std::thread::spawn(move || std::io::copy(&mut std::io::BufReader::new(pipe), &mut std::io::sink())));
    house.left_alone(SOURCE).await;
    look(hub, now, SignedDuration::ZERO).await.unwrap();
    assert_eq!((written(SOURCE), unwritten().await), (wanted(SOURCE), vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn files_go_from_every_share_but_the_one_that_hangs_and_a_stop_waits_for_none() {
    let house = two("[gestionale.conservazione]\npublished_days = 10\n");
    let hub = &house.hub;
    for source in [SOURCE, OTHER] {
        for name in ["una.xml", "due.xml"] {
            publish::once(hub, "RICEVUTA", source, "ricevute", name, None, |out| out.write_all(b"<ricevuta/>")).await.unwrap();
        }
    }
    let file = |source: &str, name: &str| house.root(source).join("ricevute").join(name);
    // Whoever opens it waits for a writer.
    fs::remove_file(file(SOURCE, "due.xml")).unwrap();
    fifo(&file(SOURCE, "due.xml"));
    let later = days(&house, 11);
    let of = |source: &str| hub.settings().source(source).unwrap().clone();
    let hangs = published(hub, &of(SOURCE), LONG, later).await;
    assert!(matches!(&hangs, Err(RetentionError::Disk(error)) if error.kind() == ErrorKind::TimedOut), "{hangs:?}");
    assert_eq!(published(hub, &of(OTHER), LONG, later).await.unwrap(), 2);
    // Told to stop, a round that waits for that share ends, and its day is not done.
    let (own, mut begun) = (hub.clone(), monotonic());
    let round = tokio::spawn(async move { round(&own, later).await });
    while hub.shares.touches(SOURCE) < 2 {
        assert!(begun.elapsed() < Duration::from_secs(60));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    hub.stopping.cancel();
    begun = monotonic();
    let ended = round.await.unwrap();
    assert!(matches!(ended, Err(RetentionError::Store(StoreError::Stopping))), "{ended:?}");
    assert!(begun.elapsed() < GRACE * 4, "{:?}", begun.elapsed());
}

/// What was not looked at for want of time is looked at the next time.
#[tokio::test(flavor = "multi_thread")]
async fn another_time_files_go_from_where_it_came() {
    let house = two("[gestionale.conservazione]\npublished_days = 10\n");
    for name in ["una.xml", "due.xml", "tre.xml"] {
        publish::once(&house.hub, "RICEVUTA", SOURCE, "ricevute", name, None, |out| out.write_all(b"<ricevuta/>")).await.unwrap();
    }
    let later = days(&house, 11);
    let (files, _) = house.hub.store.old_files(SOURCE, before(later, 10), PAGE).await.unwrap();
    let (removed, up_to) = remove_files(&house.root(SOURCE), &files, Duration::ZERO).unwrap();
    assert_eq!((removed, up_to), (1, Some(files[0].id)), "one at least");
    house.hub.store.old_files_removed(SOURCE, files[0].id).await.unwrap();
    let source = house.hub.settings().source(SOURCE).unwrap().clone();
    assert_eq!(published(&house.hub, &source, SHARE, later).await.unwrap(), 2);
    assert_eq!(fs::read_dir(house.root(SOURCE).join("ricevute")).unwrap().count(), 0);
}
