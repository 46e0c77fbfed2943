//! A hub without network, whose tasks do not run: tests call them one at a time.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::SignedDuration;
use tempfile::TempDir;

use super::dispatch::{End, settle};
use super::{Hub, files, ingest, supervisor};
use crate::batch::archive::sample::{Piece, piece, zip};
use crate::clock::{Clock, new_uuid};
use crate::config;
use crate::domain::digest::Sha256;
use crate::domain::ids::BatchId;
use crate::flow::effect::Lane;
use crate::flow::retry::FailureClass;
use crate::intake::Claimed;
use crate::store::{BatchWork, Leased, NewDrop, Staging, Subject};

/// One ente, one gestionale.
pub(super) const SOURCE: &str = "polizia";

pub(super) struct House {
    pub dir: TempDir,
    pub hub: Arc<Hub>,
}

impl House {
    pub fn new() -> House {
        House::with_ceiling(0)
    }

    /// The ente may spend so much a day.
    fn with_ceiling(cents: u64) -> House {
        House::with(&format!("[ente.quota]\nspend_cents_per_day = {cents}\n"), "")
    }

    /// Further lines of the ente and of the gestionale.
    pub fn with(of_ente: &str, of_source: &str) -> House {
        let dir = tempfile::tempdir().unwrap();
        let config = format!(
            "data = \"dati\"\ninstallation = \"prova\"\n\n[[ente]]\ntax_id = \"01234567897\"\ndenomination = \"Comune di Prova\"\n\
             ambiente = \"collaudo\"\nsend_url = \"http://127.0.0.1:9\"\n\n{of_ente}\n[[ente.key]]\nid = \"generale\"\nsecret = \"file:chiave\"\n\n\
             [[gestionale]]\nname = \"{SOURCE}\"\nroot = \"casa\"\nenti = [\"01234567897\"]\nflows = [\"extra-cds\", \"ordinanze\"]\n{of_source}"
        );
        fs::write(dir.path().join("messo.toml"), config).unwrap();
        fs::write(dir.path().join("chiave"), "segreta\n").unwrap();
        fs::set_permissions(dir.path().join("chiave"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        for folder in ["dati", "casa/lavoro", "casa/scarti"] {
            fs::create_dir_all(dir.path().join(folder)).unwrap();
        }
        let loaded = config::load(&dir.path().join("messo.toml")).unwrap();
        let hub = supervisor::open(loaded, Clock::REAL).unwrap();
        House { dir, hub }
    }

    /// A claimed file; `None`: it is not there.
    pub fn claimed(&self, name: &str, bytes: Option<&[u8]>) -> Claimed {
        let id = BatchId(new_uuid());
        let path = self.dir.path().join("casa/lavoro").join(format!("{id}~{name}"));
        if let Some(bytes) = bytes {
            fs::write(&path, bytes).unwrap();
        }
        let source = SOURCE.to_owned();
        let received_at = self.hub.clock.now();
        Claimed {
            id,
            source,
            path,
            original_name: name.to_owned(),
            flow_hint: None,
            dry_run: false,
            received_at,
            companion: None,
            arrived: None,
        }
    }

    pub async fn state(&self, id: BatchId) -> String {
        self.hub.store.batch(id).await.map_or_else(|_| String::new(), |batch| batch.state)
    }

    pub async fn codes(&self, id: BatchId) -> Vec<String> {
        self.hub.store.problems(id, 0).await.unwrap().into_iter().map(|(_, problem)| problem.code.into_owned()).collect()
    }

    pub async fn alerts(&self) -> Vec<String> {
        self.hub.store.alerts(jiff::Timestamp::UNIX_EPOCH, 100).await.unwrap().into_iter().map(|alert| alert.code).collect()
    }

    /// How many alerts of that code there are.
    pub async fn told(&self, code: &str) -> usize {
        self.alerts().await.iter().filter(|told| *told == code).count()
    }

    pub fn kept(&self, bytes: &[u8]) -> PathBuf {
        let hex = Sha256::of(bytes).to_hex();
        self.dir.path().join("dati/archivi").join(&hex[..2]).join(&hex[2..4]).join(format!("{hex}.zip"))
    }

    fn rejects(&self) -> Vec<PathBuf> {
        fs::read_dir(self.dir.path().join("casa/scarti")).unwrap().map(|entry| entry.unwrap().path()).collect()
    }

    async fn reject_job(&self, batch: BatchId) -> Leased {
        let now = self.hub.clock.now();
        let jobs = self
            .hub
            .store
            .lease("prova", vec![(String::new(), Lane::Files as u8, 100)], now + SignedDuration::from_hours(1), now)
            .await
            .unwrap();
        jobs.into_iter().find(|job| job.subject == Subject::Lotto { batch, work: BatchWork::Rejects }).unwrap()
    }
}

/// The example of a batch with one refused act, its entries stored as they are.
fn example() -> Vec<u8> {
    example_with(|_, bytes| bytes)
}

/// The same with other files.
pub(super) fn example_with(edit: impl Fn(&str, Vec<u8>) -> Vec<u8>) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("inbox-examples/messo-xml/parziale/in");
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let pieces = files.iter().map(|path| {
        let name = path.file_name().unwrap().to_str().unwrap();
        let bytes = edit(name, fs::read(path).unwrap());
        Piece { stored: true, ..piece(name, bytes) }
    });
    zip(&pieces.collect::<Vec<_>>())
}

/// Where `part` first stands.
fn find(bytes: &[u8], part: &[u8]) -> usize {
    bytes.windows(part.len()).position(|window| window == part).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_are_never_made_of_an_archive_that_was_changed_in_place() {
    let house = House::new();
    let bytes = example();
    let claimed = house.claimed("lotto.zip", Some(&bytes));
    let batch = claimed.id;
    ingest::ingest(&house.hub, &claimed).await.unwrap();
    assert_eq!(house.state(batch).await, "PARZIALE");
    let job = house.reject_job(batch).await;

    let kept = house.kept(&bytes);
    let changed = |from: &[u8], to: &[u8]| {
        let mut changed = bytes.clone();
        let at = find(&bytes, from);
        changed[at..at + to.len()].copy_from_slice(to);
        changed
    };
    // The refused act is the second; the PDF begins some bytes after the name of its entry.
    let table = [
        ("its batch file, of another act", changed(b"<riferimento>AMM-2026-0001", b"<riferimento>AMM-2026-0009")),
        ("its batch file, no longer XML", changed(b"</intestazione>", b"</intestazionX>")),
        ("its document", changed(b"ordinanza-0002.pdf%PDF-", b"ordinanza-0002.pdf%PDX-")),
        ("cut", bytes[..find(&bytes, b"ordinanza-0002.pdf%PDF-") + 30].to_vec()),
    ];
    for (what, spoiled) in table {
        fs::write(&kept, &spoiled).unwrap();
        let end = files::rejects(&house.hub, batch).await;
        let person = FailureClass::Person { code: files::ARCHIVE_CHANGED };
        assert!(matches!(&end, End::Failed { class, .. } if *class == person), "{what}: {end:?}");
        assert_eq!(house.rejects(), Vec::<PathBuf>::new(), "{what}");
    }
    let end = files::rejects(&house.hub, batch).await;
    settle(&house.hub, &job, end).await;
    assert_eq!(house.hub.store.overview().await.unwrap().parked_batches, [batch], "parked");
    assert_eq!(house.alerts().await, [files::ARCHIVE_CHANGED, "LOTTO_PARZIALE"]);

    // Names in the directory are not believed: where a document lies is what was remembered.
    let mut renamed = bytes.clone();
    let directory = find(&bytes, b"PK\x01\x02");
    for (from, to) in [("ordinanza-0002", "ordinanza-0003"), ("ordinanza-0003", "ordinanza-0002")] {
        let at = directory + find(&bytes[directory..], from.as_bytes());
        renamed[at..at + to.len()].copy_from_slice(to.as_bytes());
    }
    assert_ne!(renamed, bytes);
    fs::write(&kept, &renamed).unwrap();
    assert!(matches!(files::rejects(&house.hub, batch).await, End::Nothing));
    let [reject] = house.rejects().try_into().unwrap();
    let mut archive = ::zip::ZipArchive::new(fs::File::open(reject).unwrap()).unwrap();
    let mut document = Vec::new();
    std::io::copy(&mut archive.by_name("ordinanza-0002.pdf").unwrap(), &mut document).unwrap();
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("inbox-examples/messo-xml/parziale/in/ordinanza-0002.pdf");
    assert_eq!(document, fs::read(own).unwrap());

    // Gone altogether.
    fs::remove_file(&kept).unwrap();
    let second = files::rejects(&house.hub, batch).await;
    assert!(matches!(second, End::Nothing), "published once: {second:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drop_is_judged_by_its_own_bytes_whatever_lies_under_their_digest() {
    let house = House::new();
    let bytes = example();
    // The same content was kept before, from another file, and somebody has written to it since.
    let before = house.claimed("prima.zip", Some(&bytes));
    house.hub.archives.keep(&before.path, &Sha256::of(&bytes)).unwrap();
    let kept = house.kept(&bytes);
    let mut spoiled = bytes.clone();
    spoiled[find(&bytes, b"AMM-2026-0001") + 12] = b'9';
    fs::write(&kept, &spoiled).unwrap();
    let claimed = house.claimed("lotto.zip", Some(&bytes));
    ingest::ingest(&house.hub, &claimed).await.unwrap();
    assert_eq!(house.state(claimed.id).await, "PARZIALE");
    assert_eq!(fs::read(&kept).unwrap(), bytes, "mended");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drop_that_was_changed_while_the_hub_was_down_is_refused() {
    let house = House::new();
    let bytes = example();
    let claimed = house.claimed("lotto.zip", Some(&bytes));
    let drop = NewDrop {
        id: claimed.id,
        source: SOURCE.to_owned(),
        original_name: claimed.original_name.clone(),
        flow_hint: None,
        dry_run: false,
        received_at: claimed.received_at,
    };
    house.hub.store.claim(drop).await.unwrap();
    let begun = Staging {
        batch: claimed.id,
        source: SOURCE.to_owned(),
        sha256: Sha256::of(b"what it was"),
        size: 11,
        layout: None,
        batch_file: String::new(),
        batch_entry: 0,
        bare: false,
        sender: None,
        flow: None,
    };
    house.hub.store.begin_staging(begun).await.unwrap();
    ingest::ingest(&house.hub, &claimed).await.unwrap();
    assert_eq!(
        (house.state(claimed.id).await.as_str(), house.codes(claimed.id).await),
        ("SCARTATO", vec!["FILE_CAMBIATO_IN_LAVORAZIONE".to_owned()])
    );
    assert_eq!(house.alerts().await, [files::ARCHIVE_CHANGED]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_act_dearer_than_the_ceiling_is_parked_at_once_and_one_that_fits_goes_on() {
    for (ceiling, parked) in [(99, true), (100, false), (0, false)] {
        let house = House::with_ceiling(ceiling);
        let claimed = house.claimed("lotto.zip", Some(&example()));
        ingest::ingest(&house.hub, &claimed).await.unwrap();
        let now = house.hub.clock.now();
        let until = now + SignedDuration::from_hours(1);
        let jobs = house.hub.store.lease("prova", vec![(String::new(), 0, 100)], until, now).await.unwrap();
        let start = jobs.iter().find(|job| job.subject == Subject::Lotto { batch: claimed.id, work: BatchWork::Start }).unwrap();
        while house.hub.store.start_acts(claimed.id, start.job, now).await.unwrap() {}
        let channel = house.hub.channels.keys().next().unwrap().clone();
        let jobs = house.hub.store.lease("prova", vec![(channel.clone(), 1, 100)], until, now).await.unwrap();
        assert_eq!(jobs.len(), 2, "two acts are to be uploaded");
        super::notify::upload(&house.hub, &channel, &jobs).await;
        let acts = house.hub.store.acts_of_batch(claimed.id, 0, 10).await.unwrap();
        let want = if parked { ("IN_CARICAMENTO", Some("TETTO_INFERIORE_ALL_ATTO")) } else { ("IN_CARICAMENTO", None) };
        for act in &acts {
            assert_eq!((act.state.as_str(), act.park_code.as_deref()), want, "under {ceiling}");
        }
        let mut told = house.alerts().await;
        assert_eq!(told.pop().as_deref(), Some("LOTTO_PARZIALE"), "the example is so");
        assert_eq!(told, vec!["TETTO_INFERIORE_ALL_ATTO"; if parked { 2 } else { 0 }], "under {ceiling}");
    }
}
