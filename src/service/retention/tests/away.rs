//! The folder of one of two gestionali lies on a share that hangs.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rustix::fs::{CWD, FileType, Mode, OFlags};

use super::*;
use crate::domain::erasure::{Asked, Subject as Erased};
use crate::domain::outcome::ReceiptState;
use crate::intake::Claimed;
use crate::outbox::asked;
use crate::service::shares::GRACE;
use crate::store::archives::{Archives, Brought, Kept, KeptFile};

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

/// Archives to which the bytes of some files do not come before they are let go.
struct Waiting {
    inner: Arc<dyn Archives>,
    closed: Arc<AtomicBool>,
    waits: Arc<AtomicUsize>,
}

impl Archives for Waiting {
    fn bring(&self, claimed: &Path, digest: &Sha256, moved: &dyn Fn()) -> io::Result<Brought> {
        if claimed.to_string_lossy().contains("lento") {
            self.waits.fetch_add(1, Ordering::SeqCst);
            while self.closed.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        self.inner.bring(claimed, digest, moved)
    }

    fn enter(&self, brought: Brought, digest: &Sha256) -> io::Result<Kept> {
        self.inner.enter(brought, digest)
    }

    fn put(&self, claimed: &Path, digest: &Sha256) -> io::Result<Kept> {
        self.inner.put(claimed, digest)
    }

    fn open(&self, digest: &Sha256) -> io::Result<KeptFile> {
        self.inner.open(digest)
    }

    fn erase(&self, digest: &Sha256, offset: u64, len: u64) -> io::Result<()> {
        self.inner.erase(digest, offset, len)
    }

    fn remove(&self, digest: &Sha256) -> io::Result<bool> {
        self.inner.remove(digest)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drop_that_does_not_come_from_its_share_stops_no_other_drop_no_deletion_and_no_stop() {
    let mut house = two("");
    let (closed, waits) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
    let hub = Arc::get_mut(&mut house.hub).expect("nobody else has it yet");
    hub.archives = Arc::new(Waiting { inner: hub.archives.clone(), closed: closed.clone(), waits: waits.clone() });
    let (hub, now) = (house.hub.clone(), house.hub.clock.now());
    house.started_of(OTHER, &lot_of("B")).await;
    let mut going = Vec::new();
    for reference in ["B-1", "B-2"] {
        house.withdraw(reference).await;
        going.push(house.act(reference).await);
    }
    let drop_of = |source: &str, name: &str, bytes: &[u8]| Claimed {
        source: source.to_owned(),
        flow_hint: Some("ordinanze".to_owned()),
        ..house.claimed(name, Some(bytes))
    };
    let take = |claimed: Claimed| {
        let hub = hub.clone();
        tokio::spawn(async move { ingest::ingest(&hub, &claimed).await })
    };
    let until_it_waits = async |times: usize| {
        let begun = monotonic();
        while waits.load(Ordering::SeqCst) < times {
            assert!(begun.elapsed() < Duration::from_secs(30), "it never came so far");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let bytes = lot_of("A");
    let slow = drop_of(SOURCE, "lento.zip", &bytes);
    let slow_id = slow.id;
    let taking = take(slow);
    until_it_waits(1).await;

    let soon = Duration::from_secs(30);
    hub.store.begin_erasing(going.clone(), Cause::Request, now).await.unwrap();
    tokio::time::timeout(soon, finish(&hub, now)).await.expect("deletions go on").unwrap();
    assert!(hub.store.erased(going[0].0).await.unwrap().is_some());
    let other = drop_of(OTHER, "svelto.zip", &lot_of("C"));
    let other_id = other.id;
    tokio::time::timeout(soon, take(other)).await.expect("other drops are taken").unwrap().unwrap();
    assert_eq!(house.state(other_id).await, "PRESA_IN_CARICO");
    assert!(!taking.is_finished() && !house.kept(&bytes).exists());

    closed.store(false, Ordering::SeqCst);
    tokio::time::timeout(soon, taking).await.expect("it comes in the end").unwrap().unwrap();
    assert!(house.state(slow_id).await.parse::<ReceiptState>().is_ok(), "it has its receipt");
    assert!(house.kept(&bytes).exists());
    let unfinished = || fs::read_dir(house.dir.path().join("dati/archivi/incompleti")).unwrap().count();
    assert_eq!(unfinished(), 0);

    closed.store(true, Ordering::SeqCst);
    let claimed = drop_of(SOURCE, "lento-due.zip", &lot_of("D"));
    let (path, taking) = (claimed.path.clone(), take(claimed));
    until_it_waits(2).await;
    hub.stopping.cancel();
    let ended = tokio::time::timeout(GRACE * 3, taking).await.expect("a stop does not wait for it").unwrap();
    assert!(matches!(ended, Err(ingest::IngestError::Store(StoreError::Stopping))), "{ended:?}");
    assert!(path.exists(), "found again at the next start");
    closed.store(false, Ordering::SeqCst);
    house.left_alone(SOURCE).await;
    assert_eq!(unfinished(), 0, "what came too late is not left behind");
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
