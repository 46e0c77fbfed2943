//! A copy put back into an empty data folder, checked as it comes; then the folders of gestionali are read for what happened after
//! it, deletions that persons asked for among that: they are decided again. Until that is saved a marker lies in the folder, and nothing else may work there.

mod folders;

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::backup::{self, BackupError, manifest, pool};
use super::operate::Operator;
use super::report::RestoreReport;
use super::who::Who;
use super::{Hub, facts};
use crate::clock::Clock;
use crate::config::LoadedConfig;
use crate::outbox::asked;
use crate::outbox::place::sync_folder;
use crate::store::archives::kept_path;
use crate::store::{CopyLook, HALF_RESTORED, OrderLine, Store, StoreError, lock_folder};
use manifest::{Entry, Head};

/// Why a copy was not put back. `code` and what it is about make the sentence.
#[derive(Debug, thiserror::Error)]
#[error("{code}: {about}")]
pub struct RestoreError {
    pub code: &'static str,
    pub about: String,
}

impl RestoreError {
    fn new(code: &'static str, about: impl std::fmt::Display) -> RestoreError {
        RestoreError { code, about: about.to_string() }
    }
}

impl From<BackupError> for RestoreError {
    fn from(error: BackupError) -> Self {
        match error {
            BackupError::NoCopy => RestoreError::new("NESSUNA_COPIA", ""),
            BackupError::Full => RestoreError::new("DISCO_PIENO", ""),
            other => RestoreError::new("RIPRISTINO_NON_RIUSCITO", other),
        }
    }
}
impl From<StoreError> for RestoreError {
    fn from(error: StoreError) -> Self {
        RestoreError::new("RIPRISTINO_NON_RIUSCITO", error)
    }
}

fn disk(path: &Path) -> impl Fn(io::Error) -> RestoreError + '_ {
    move |error| match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => RestoreError::new("DISCO_PIENO", path.display()),
        _ => RestoreError::new("RIPRISTINO_NON_RIUSCITO", format!("{}: {error}", path.display())),
    }
}

/// Puts a copy back, for whom and why. Blocks for as long as the copying takes; call it outside a runtime.
pub fn restore(
    dir: &Path,
    name: Option<&str>,
    loaded: &LoadedConfig,
    ordered: (&Who, Option<String>),
    clock: Clock,
) -> Result<RestoreReport, RestoreError> {
    let why = crate::service::operate::kept_reason(ordered.1.as_deref()).map_err(|error| RestoreError::new(error.code(), error))?;
    let (dir, name) = backup::find(dir, name).map_err(|error| match error {
        BackupError::NoCopy => RestoreError::new("NESSUNA_COPIA", dir.display()),
        other => other.into(),
    })?;
    let data = &loaded.config.data;
    for source in &loaded.config.sources {
        if !source.root.is_dir() {
            return Err(RestoreError::new("CARTELLA_GESTIONALE_ASSENTE", format!("{} ({})", source.name, source.root.display())));
        }
        crate::outbox::marks::read(&source.root).map_err(|_| RestoreError::new("NUMERI_ILLEGGIBILI", source.root.display()))?;
        asked::read(&source.root).map_err(|_| RestoreError::new("CANCELLAZIONI_ILLEGGIBILI", source.root.display()))?;
    }
    let lock = take_folder(data)?;
    let placed = place(&dir, &name, loaded).and_then(|head| {
        let store = Store::open_locked(data, lock)?;
        // Nothing but this is at work in the folder: the store ends with it.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(disk(data))?;
        let report = runtime.block_on(settle(&store, loaded, (&name, &head), (ordered.0, why), clock));
        store.close();
        report
    });
    // With its marker gone it is a data folder like any other.
    if placed.is_err() && data.join(HALF_RESTORED).exists() {
        let _ = empty(data);
    }
    placed
}

/// The data folder, empty and ours, with its marker.
fn take_folder(data: &Path) -> Result<File, RestoreError> {
    let marker = data.join(HALF_RESTORED);
    let begun = marker.try_exists().map_err(disk(data))?;
    let occupied = match fs::read_dir(data) {
        Ok(mut entries) => entries.next().is_some(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => return Err(disk(data)(error)),
    };
    if occupied && !begun {
        // A process at work there is the likelier reason, and the better one to name.
        let in_use = data.join("messo.lock").exists() && lock_folder(data).is_err();
        let code = if in_use { "CARTELLA_DATI_IN_USO" } else { "CARTELLA_DATI_NON_VUOTA" };
        return Err(RestoreError::new(code, data.display()));
    }
    pool::make(data).map_err(disk(data))?;
    if !begun {
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&marker).map_err(disk(&marker))?;
        file.sync_all().and_then(|()| sync_folder(data)).map_err(disk(data))?;
    }
    let lock = lock_folder(data).map_err(|_| RestoreError::new("CARTELLA_DATI_IN_USO", data.display()))?;
    // What an interrupted restore left; its marker stays, and so does the lock.
    for entry in fs::read_dir(data).map_err(disk(data))? {
        let path = entry.map_err(disk(data))?.path();
        let kept = path.file_name().is_some_and(|name| name == HALF_RESTORED || name == "messo.lock");
        if !kept {
            remove(&path).map_err(disk(&path))?;
        }
    }
    Ok(lock)
}

fn remove(path: &Path) -> io::Result<()> {
    if path.is_dir() && !path.is_symlink() { fs::remove_dir_all(path) } else { fs::remove_file(path) }
}

/// Takes away what was put back: the marker last.
fn empty(data: &Path) -> io::Result<()> {
    for entry in fs::read_dir(data)? {
        let path = entry?.path();
        if path.file_name().is_none_or(|name| name != HALF_RESTORED) {
            remove(&path)?;
        }
    }
    fs::remove_file(data.join(HALF_RESTORED))
}

/// Copies every file of a copy to where it works, checking each.
fn place(dir: &Path, name: &str, loaded: &LoadedConfig) -> Result<Head, RestoreError> {
    let data = &loaded.config.data;
    let folder = dir.join(name);
    let keys = loaded.config.host_keys();
    let keys_wanted = wants_keys(&folder, &keys)?;
    let (mut touched, mut unflushed) = (std::collections::BTreeSet::new(), 0);
    let head = manifest::read(&folder, |entry| -> Result<(), RestoreError> {
        let Some(to) = target(data, &keys, keys_wanted, &entry)? else {
            let from = backup::file_of(dir, name, &entry);
            let read = File::open(&from).and_then(|mut file| pool::copy_hashed(&mut file, &mut io::sink()));
            return check(&entry, read.map_err(|error| RestoreError::new("COPIA_ROVINATA", format!("{}: {error}", entry.path)))?);
        };
        if to.exists() {
            return Ok(()); // two acts share these bytes; a host key that an interrupted restore had put back
        }
        let parent = to.parent().unwrap_or(data);
        pool::make(parent).map_err(disk(parent))?;
        touched.insert(parent.to_owned());
        let from = backup::file_of(dir, name, &entry);
        let mut input = File::open(&from).map_err(|error| RestoreError::new("COPIA_ROVINATA", format!("{}: {error}", entry.path)))?;
        let modified = input.metadata().and_then(|meta| meta.modified());
        // Host keys lie outside of what a marker guards: each has its name only when it is whole and on the disk.
        let guarded = !entry.path.starts_with(HOST_KEYS);
        let at = if guarded { to.clone() } else { unfinished(&to) };
        let mut options = OpenOptions::new();
        options.write(true).create_new(guarded).create(true).truncate(!guarded).mode(0o600);
        let mut output = options.open(&at).map_err(disk(&at))?;
        check(&entry, pool::copy_hashed(&mut input, &mut output).map_err(disk(&at))?)?;
        if let Ok(modified) = modified {
            // So that the next copy knows it again.
            output.set_modified(modified).map_err(disk(&at))?;
        }
        if entry.size > 1 << 20 || !guarded {
            output.sync_all().map_err(disk(&at))?;
        }
        if !guarded {
            fs::rename(&at, &to).map_err(disk(&to))?;
        }
        unflushed += 1;
        Ok(())
    })?;
    if unflushed > 0 {
        rustix::fs::syncfs(File::open(data).map_err(disk(data))?).map_err(|error| disk(data)(error.into()))?;
    }
    touched.iter().try_for_each(|folder| sync_folder(folder)).map_err(disk(data))?;
    let store = data.join(backup::STORE);
    let look = CopyLook::open(&store)?;
    let (version, known) = look.version()?;
    if version > known {
        return Err(RestoreError::new("COPIA_PIU_NUOVA", &head.version));
    }
    if let Some(fault) = look.fault()? {
        return Err(RestoreError::new("COPIA_ROVINATA", fault));
    }
    Ok(head)
}

/// Host keys in a copy.
const HOST_KEYS: &str = "chiavi-ssh/";

/// The name of a host key that is still being written.
fn unfinished(key: &Path) -> PathBuf {
    key.with_file_name(format!("{}{}", pool::UNFINISHED, key.file_name().unwrap_or_default().to_string_lossy()))
}

/// Whether host keys are put back: there are none, or only some that an interrupted restore of this copy has put there.
fn wants_keys(folder: &Path, keys: &Path) -> Result<bool, RestoreError> {
    let mut there = std::collections::BTreeMap::new();
    for entry in fs::read_dir(keys).into_iter().flatten() {
        let entry = entry.map_err(disk(keys))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with(pool::UNFINISHED) {
            there.insert(name, entry.path());
        }
    }
    if there.is_empty() {
        return Ok(true);
    }
    let mut copied = std::collections::BTreeMap::new();
    manifest::read(folder, |entry| -> Result<(), RestoreError> {
        if let Some(name) = entry.path.strip_prefix(HOST_KEYS) {
            copied.insert(name.to_owned(), (entry.sha256, entry.size));
        }
        Ok(())
    })?;
    let same = |(name, path): (&String, &PathBuf)| {
        let read = || pool::copy_hashed(&mut File::open(path)?, &mut io::sink());
        copied.get(name).is_some_and(|told| read().is_ok_and(|found| found == *told))
    };
    Ok(there.iter().all(same))
}

impl From<io::Error> for RestoreError {
    /// Only the manifest is read where an error has no path of its own.
    fn from(error: io::Error) -> Self {
        RestoreError::new("COPIA_ROVINATA", format!("{}: {error}", manifest::NAME))
    }
}

fn check(entry: &Entry, found: (crate::domain::digest::Sha256, u64)) -> Result<(), RestoreError> {
    if found == (entry.sha256, entry.size) {
        Ok(())
    } else {
        Err(RestoreError::new("COPIA_ROVINATA", format!("{}: contenuto diverso", entry.path)))
    }
}

/// Where a file of a copy goes. `None`: it is only checked (the configuration is the operator's own).
fn target(data: &Path, keys: &Path, keys_wanted: bool, entry: &Entry) -> Result<Option<PathBuf>, RestoreError> {
    let strange = || RestoreError::new("COPIA_ROVINATA", &entry.path);
    let mut parts = entry.path.splitn(2, '/');
    Ok(match (parts.next().unwrap_or_default(), parts.next()) {
        (backup::STORE, None) => Some(data.join(backup::STORE)),
        ("archivi", Some(digest)) => {
            Some(kept_path(&data.join("archivi"), &crate::domain::digest::Sha256::parse(digest).ok_or_else(strange)?))
        }
        ("attestazioni", Some(rest)) => Some(data.join(facts::KEPT).join(rest)),
        ("chiavi-ssh", Some(name)) if keys_wanted => Some(keys.join(name)),
        ("chiavi-ssh" | "configurazione", Some(_)) => None,
        _ => return Err(strange()),
    })
}

/// What follows in the store: held, what came after the copy, numbers raised. Then the marker goes.
async fn settle(
    store: &Store,
    loaded: &LoadedConfig,
    (name, head): (&str, &Head),
    (who, why): (&Who, Option<String>),
    clock: Clock,
) -> Result<RestoreReport, RestoreError> {
    let now = clock.now();
    // The books of a store begin again with who put it back: what they tell next is of after the copy.
    let about = serde_json::json!({ "backup": name, "copied_at": head.at.to_string() });
    let line = OrderLine { who: who.as_str().to_owned(), command: "restore".to_owned(), about: about.to_string(), why };
    let order = store.note_order(line, now).await?;
    store.begin_restore(name, head.at, now).await?;
    failpoint!("restore.begun");
    for source in &loaded.config.sources {
        folders::read(store, source, head.at, now).await?;
    }
    folders::settle_reading(store, loaded, now).await?;
    // The data of who asked for it goes again, at the next start.
    for source in &loaded.config.sources {
        store.erase_again(&source.name, asked::read(&source.root).map_err(disk(&source.root))?, now).await?;
    }
    failpoint!("restore.read");
    let operator = Operator::without_hub(store.clone(), clock);
    let report = operator.restore_status().await.map_err(|error| RestoreError::new("RIPRISTINO_NON_RIUSCITO", error))?;
    store.note_outcome(order, "OK", clock.now()).await?;
    // Nothing but this may fail from here on: who is told that it failed must find the folder as it was before.
    let data = &loaded.config.data;
    fs::remove_file(data.join(HALF_RESTORED)).and_then(|()| sync_folder(data)).map_err(disk(data))?;
    Ok(report)
}

/// At the start of a hub, and now and then: what is to be asked of SEND is queued.
pub async fn follow(hub: &Arc<Hub>) -> Result<(), StoreError> {
    while hub.store.queue_restore(hub.clock.now()).await? > 0 {}
    while hub.store.return_set_aside().await? > 0 {}
    // Of acts that the copy has as open: as soon as SEND has closed them again. The round of deletions carries it out.
    hub.store.erase_again_waiting(hub.clock.now()).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::digest::Sha256;
    use crate::store::Copied;

    /// Keys lie outside of the data folder: whoever interrupts a restore between two of them must not leave half a set for good.
    #[test]
    fn host_keys_are_put_back_where_there_are_none_or_only_some_of_the_same() {
        let place = tempfile::tempdir().unwrap();
        let (folder, keys) = (place.path().join("copia"), place.path().join("chiavi"));
        fs::create_dir_all(&folder).unwrap();
        fs::create_dir_all(&keys).unwrap();
        let mut writer = manifest::Writer::begin(File::create(folder.join(manifest::NAME)).unwrap()).unwrap();
        for (name, bytes) in [("ed25519", "una"), ("rsa", "altra")] {
            let entry = Entry { sha256: Sha256::of(bytes.as_bytes()), size: bytes.len() as u64, path: format!("{HOST_KEYS}{name}") };
            writer.entry(&entry).unwrap();
        }
        let head = Head {
            version: "1.0.0".to_owned(),
            at: jiff::Timestamp::UNIX_EPOCH,
            installation: "prova".to_owned(),
            holds: Copied::default(),
            missing: 0,
            damaged: 0,
        };
        writer.end(&head).unwrap();
        // (what lies there, whether the copy's are put back)
        let table: [(&[(&str, &str)], bool); 6] = [
            (&[], true),
            (&[("ed25519", "una")], true),
            (&[("ed25519", "una"), (".incompleto-rsa", "al")], true),
            (&[("ed25519", "una"), ("rsa", "altra")], true),
            (&[("ed25519", "nuova")], false),
            (&[("ed25519", "una"), ("ecdsa", "mia")], false),
        ];
        for (there, want) in table {
            fs::remove_dir_all(&keys).unwrap();
            fs::create_dir(&keys).unwrap();
            for (name, bytes) in there {
                fs::write(keys.join(name), bytes).unwrap();
            }
            assert_eq!(wants_keys(&folder, &keys).unwrap(), want, "{there:?}");
        }
        fs::remove_dir_all(&keys).unwrap();
        assert!(wants_keys(&folder, &keys).unwrap(), "no folder");
        assert_eq!(unfinished(Path::new("/chiavi/rsa")), Path::new("/chiavi/.incompleto-rsa"));
    }
}
