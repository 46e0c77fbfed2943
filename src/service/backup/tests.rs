//! Copies of a small store: what is in them, what another one adds, what is refused, what a fault leaves.

use super::*;
use crate::store::NewDrop;
use crate::{clock, domain::ids::BatchId};

struct Place {
    dir: tempfile::TempDir,
    store: Store,
    config: Config,
    archives: crate::store::archives::FolderArchives,
}

fn now() -> Timestamp {
    "2026-11-23T02:30:00Z".parse().unwrap()
}

impl Place {
    fn new() -> Place {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("flussi")).unwrap();
        fs::write(dir.path().join("flussi/prova.toml"), "name = \"prova\"\n").unwrap();
        let text = "data = \"dati\"\ninstallation = \"prova\"\n";
        fs::write(dir.path().join("messo.toml"), text).unwrap();
        let mut config: Config = toml::from_str(text).unwrap();
        config.data = dir.path().join("dati");
        config.flows = Some(dir.path().join("flussi"));
        let store = Store::open(&config.data).unwrap();
        fs::create_dir(config.data.join("chiavi-ssh")).unwrap();
        fs::write(config.data.join("chiavi-ssh/ed25519"), "chiave").unwrap();
        let archives = crate::store::archives::FolderArchives::open(config.data.join("archivi")).unwrap();
        Place { dir, store, config, archives }
    }

    fn backup(&self) -> Backup {
        Backup {
            store: self.store.clone(),
            config: self.config.clone(),
            config_file: self.dir.path().join("messo.toml"),
            stop: Arc::new(|| false),
        }
    }

    fn copies(&self) -> PathBuf {
        self.dir.path().join("copie")
    }

    fn take(&self, keep: Option<u32>, seconds: i64) -> Result<BackupReport, BackupError> {
        self.backup().take(&self.copies(), keep, now() + jiff::SignedDuration::from_secs(seconds))
    }

    /// A batch whose archive is kept.
    async fn batch(&self, bytes: &[u8]) -> Sha256 {
        use crate::store::archives::Archives;
        let sha256 = Sha256::of(bytes);
        let file = self.dir.path().join("deposito");
        fs::write(&file, bytes).unwrap();
        self.archives.put(&file, &sha256).unwrap();
        let id = BatchId(clock::new_uuid());
        let drop = NewDrop {
            id,
            source: "uffici".to_owned(),
            original_name: "lotto.zip".to_owned(),
            flow_hint: None,
            dry_run: false,
            received_at: now(),
        };
        self.store.claim(drop).await.unwrap();
        let staging = crate::store::Staging {
            batch: id,
            source: "uffici".to_owned(),
            sha256,
            size: bytes.len() as u64,
            layout: None,
            batch_file: String::new(),
            batch_entry: 0,
            bare: false,
            sender: None,
            flow: None,
        };
        self.store.begin_staging(staging).await.unwrap();
        sha256
    }

    fn files(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut open = vec![self.copies()];
        while let Some(folder) = open.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                if entry.path().is_dir() { open.push(entry.path()) } else { found.push(entry.path()) }
            }
        }
        let mut names: Vec<String> = found.iter().map(|path| path.strip_prefix(self.copies()).unwrap().display().to_string()).collect();
        names.sort();
        names
    }
}

#[tokio::test]
async fn another_copy_adds_only_what_is_new_and_the_old_ones_go_with_what_only_they_had() {
    let place = Place::new();
    let first = place.batch(b"primo").await;
    let one = place.take(None, 0).unwrap();
    assert_eq!((one.name.as_str(), one.new_files, one.files, one.batches), ("20261123T023000Z", 1, 5, 1));
    let second = place.batch(b"secondo").await;
    let two = place.take(None, 1).unwrap();
    assert_eq!((two.new_files, two.files, two.missing), (1, 6, 0), "the first archive is there already");
    for name in [&one.name, &two.name] {
        let checked = verify(&place.copies(), Some(name)).unwrap();
        assert_eq!((checked.faults, &checked.named[..]), (0, &[][..]), "{name}");
    }
    // Erased in place: the next copy has the bytes as they are now, those before have them as they were.
    use crate::store::archives::Archives;
    place.archives.erase(&first, 0, 5).unwrap();
    let three = place.take(None, 2).unwrap();
    assert_eq!(three.new_files, 1);
    assert_eq!(verify(&place.copies(), Some(&one.name)).unwrap().faults, 0);
    let pool = |sha256: &Sha256| pool::content_path(&place.copies().join(pool::FOLDER), sha256).exists();
    assert!(pool(&first) && pool(&second) && pool(&Sha256::of(&[0; 5])));
    let four = place.take(Some(1), 3).unwrap();
    assert_eq!((four.removed, four.new_files), (vec![one.name, two.name, three.name], 0));
    assert!(!pool(&first) && pool(&second) && pool(&Sha256::of(&[0; 5])), "{:?}", place.files());
    assert_eq!(verify(&place.copies(), None).unwrap().faults, 0);
    // The clock was set back: the copy made last is the newest all the same, and the one that stays.
    for (seconds, name) in [(-3_600, "20261123T023003Z-000002"), (3, "20261123T023003Z-000003"), (4, "20261123T023004Z")] {
        let copy = place.take(Some(1), seconds).unwrap();
        assert_eq!((copy.name.as_str(), copies(&place.copies()).unwrap()), (name, vec![name.to_owned()]), "{seconds} s");
    }
}

#[tokio::test]
async fn what_is_not_as_the_manifest_says_is_told() {
    let place = Place::new();
    let sha256 = place.batch(b"primo").await;
    let one = place.take(None, 0).unwrap();
    let content = pool::content_path(&place.copies().join(pool::FOLDER), &sha256);
    fs::write(&content, "pr1mo").unwrap();
    fs::remove_file(place.copies().join(&one.name).join("chiavi-ssh/ed25519")).unwrap();
    let checked = verify(&place.copies(), None).unwrap();
    assert_eq!(checked.faults, 2, "{:?}", checked.named);
    let manifest = place.copies().join(&one.name).join(manifest::NAME);
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, &text[..text.len() / 2]).unwrap();
    assert!(matches!(verify(&place.copies(), None), Err(BackupError::Disk(..))));
    assert!(matches!(verify(&place.dir.path().join("nulla"), None), Err(BackupError::NoCopy)));
}

#[tokio::test]
async fn folders_that_are_not_for_copies_are_refused_and_left_alone() {
    let place = Place::new();
    fs::create_dir(place.copies()).unwrap();
    fs::write(place.copies().join("tesi.odt"), "mia").unwrap();
    assert!(matches!(place.take(None, 0), Err(BackupError::NotOurs)));
    assert_eq!(place.files(), ["tesi.odt"]);
    let inside = place.config.data.join("copie");
    assert!(matches!(place.backup().take(&inside, None, now()), Err(BackupError::InsideData)));
    assert!(matches!(place.backup().take(place.dir.path(), None, now()), Err(BackupError::InsideData)));
    assert!(matches!(place.backup().take(Path::new("copie"), None, now()), Err(BackupError::NotAbsolute)));
    assert!(!inside.exists());
}

#[tokio::test]
async fn one_that_stops_half_way_leaves_nothing_of_itself() {
    let place = Place::new();
    place.batch(b"primo").await;
    place.take(None, 0).unwrap();
    let before = place.files();
    place.batch(b"secondo").await;
    let asked = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let backup = Backup {
        // The second archive is never reached.
        stop: Arc::new(move || asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed) > 0),
        ..place.backup()
    };
    assert!(matches!(backup.take(&place.copies(), None, now()), Err(BackupError::Stopped)));
    assert_eq!(place.files(), before);
    // What a crash left is swept by the next one.
    fs::create_dir_all(place.copies().join(".incompleto-1/chiavi-ssh")).unwrap();
    fs::write(place.copies().join("contenuti/.incompleto-7"), "mezzo").unwrap();
    place.take(None, 5).unwrap();
    assert!(place.files().iter().all(|name| !name.contains(".incompleto")), "{:?}", place.files());
}

/// Killed while an old copy is being removed: what is left of it has no name of a copy, and the next one takes it away.
#[tokio::test]
async fn a_copy_that_is_being_removed_is_no_copy_any_more() {
    let place = Place::new();
    place.batch(b"primo").await;
    let one = place.take(None, 0).unwrap();
    let two = place.take(None, 1).unwrap();
    retire(&place.copies(), &one.name).unwrap();
    assert_eq!(copies(&place.copies()).unwrap(), [two.name.clone()]);
    assert!(!place.copies().join(&one.name).exists());
    let three = place.take(None, 2).unwrap();
    assert!(place.files().iter().all(|name| !name.contains(&one.name)), "{:?}", place.files());
    assert_eq!(copies(&place.copies()).unwrap(), [two.name, three.name]);
}

#[test]
fn a_disk_that_is_full_is_told_as_such() {
    let full = io::Error::from(io::ErrorKind::StorageFull);
    assert!(matches!(at(Path::new("copie"))(full), BackupError::Full));
    let denied = io::Error::from(io::ErrorKind::PermissionDenied);
    assert!(matches!(at(Path::new("copie"))(denied), BackupError::Disk(..)));
}
