//! Whether the user messo runs as may use a folder, and what to say when not: path, user, reason, owner.
//!
//! Nothing is created. What lies inside is looked at too: the usual slip is a command given as root, whose files the service then
//! cannot write.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::Access;

use super::check::{Add, ConfigFault};

/// What a gestionale and messo share, and messo's own: made by messo, and sometimes by hand.
const HOME: [&str; 8] = ["in", "ricevute", "scarti", "esiti", "attestazioni", "rendicontazioni", ".messo", ".messo/lavoro"];
/// Of the data folder.
const DATA: [&str; 5] = ["messo.db", "messo.db-wal", "messo.db-shm", "messo.lock", "archivi"];

/// A folder that has not answered within this is on a share that hangs (real time).
const ANSWERS: Duration = Duration::from_secs(2);

/// Asks something of a folder that may lie on a share that hangs. `None`: it does not answer, which is no fault of the configuration,
/// nor a reason for all the others to wait.
fn ask<T: Send + 'static>(path: &Path, question: impl FnOnce(&Path) -> T + Send + 'static) -> Option<T> {
    let (tell, told) = std::sync::mpsc::channel();
    let own = path.to_owned();
    std::thread::Builder::new().name("folder".to_owned()).spawn(move || drop(tell.send(question(&own)))).ok()?;
    let answer = told.recv_timeout(ANSWERS).ok();
    if answer.is_none() {
        tracing::warn!(path = %path.display(), "la cartella non risponde: non è stata verificata");
    }
    answer
}

/// The same of many, who are waited for together.
fn ask_all<T: Send>(paths: &[&Path], question: impl Fn(&Path) -> Option<T> + Sync) -> Vec<Option<T>> {
    std::thread::scope(|scope| {
        let asked: Vec<_> = paths.iter().map(|path| scope.spawn(|| question(path))).collect();
        asked.into_iter().map(|asked| asked.join().ok().flatten()).collect()
    })
}

/// The path with the links of its existing part followed, if they can be.
pub fn real(path: &Path) -> PathBuf {
    ask(path, followed).unwrap_or_else(|| path.to_path_buf())
}

/// The same of many.
pub(super) fn all_real(paths: &[&Path]) -> Vec<PathBuf> {
    let found = ask_all(paths, |path| Some(real(path)));
    found.into_iter().zip(paths).map(|(found, path)| found.unwrap_or_else(|| path.to_path_buf())).collect()
}

fn followed(path: &Path) -> PathBuf {
    for ancestor in path.ancestors() {
        if let Ok(found) = ancestor.canonicalize() {
            return path.strip_prefix(ancestor).map_or_else(|_| path.to_path_buf(), |rest| found.join(rest));
        }
    }
    path.to_path_buf()
}

/// The homes of gestionali, with their keys.
pub(super) fn usable_homes(homes: &[(String, &Path)], add: Add<'_>) {
    let paths: Vec<&Path> = homes.iter().map(|(_, path)| *path).collect();
    let found = ask_all(&paths, |path| ask(path, |path| usable(path).and_then(|()| usable_inside(path, &HOME))));
    for ((key, path), found) in homes.iter().zip(found) {
        if let Some(Err(reason)) = found {
            add(key, fault(path, &reason));
        }
    }
}

/// The data folder.
pub(super) fn usable_data(key: &str, path: &Path, add: Add<'_>) {
    if let Err(reason) = usable(path).and_then(|()| usable_inside(path, &DATA)) {
        add(key, fault(path, &reason));
    }
}

/// The folder through which files are exchanged with a PT.
pub(super) fn usable_exchange(key: &str, path: &Path, add: Add<'_>) {
    if let Err(reason) = usable(path).and_then(|()| usable_inside(path, &["uscita", "entrata"])) {
        add(key, fault(path, &reason));
    }
}

/// The folder is there and may be written, or the nearest one above it may be. `Err`: why not.
fn usable(path: &Path) -> Result<(), String> {
    for ancestor in path.ancestors() {
        match std::fs::metadata(ancestor) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(blocked(ancestor, &error)),
            Ok(metadata) if !metadata.is_dir() => return Err(format!("{} non è una cartella", ancestor.display())),
            Ok(_) => {
                let denied = rustix::fs::access(ancestor, Access::WRITE_OK | Access::EXEC_OK | Access::READ_OK).err().map(io::Error::from);
                return denied.map_or(Ok(()), |error| {
                    let which = if ancestor == path { String::new() } else { format!("{}: ", ancestor.display()) };
                    Err(format!("{which}{}{}", reason(&error), owner(ancestor)))
                });
            }
        }
    }
    Ok(())
}

/// What of these is there may be used too.
fn usable_inside(folder: &Path, names: &[&str]) -> Result<(), String> {
    for name in names {
        let path = folder.join(name);
        let rights = match std::fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(blocked(&path, &error)),
            Ok(metadata) if metadata.is_dir() => Access::WRITE_OK | Access::EXEC_OK | Access::READ_OK,
            Ok(_) => Access::WRITE_OK | Access::READ_OK,
        };
        if let Err(error) = rustix::fs::access(&path, rights) {
            return Err(format!("{name}: {}{}", reason(&error.into()), owner(&path)));
        }
    }
    Ok(())
}

/// A path that cannot even be looked at: the folder above it that stands in the way.
fn blocked(path: &Path, error: &io::Error) -> String {
    let above = path.ancestors().skip(1).find(|ancestor| std::fs::metadata(ancestor).is_ok());
    match above {
        Some(above) if error.kind() == io::ErrorKind::PermissionDenied => {
            format!("{}: {}{}", above.display(), reason(error), owner(above))
        }
        _ => reason(error),
    }
}

/// ` (è di root, permessi 0755)`.
fn owner(path: &Path) -> String {
    let Ok(metadata) = std::fs::metadata(path) else { return String::new() };
    format!(" (è di {}, permessi {:04o})", user(metadata.uid()), metadata.mode() & 0o7777)
}

/// `messo`, or `uid 998` of a user that is not in the file.
fn user(uid: u32) -> String {
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let found = fields.nth(1)?.parse::<u32>().ok()?;
        (found == uid && !name.contains(char::is_control)).then(|| name.to_owned())
    });
    name.unwrap_or_else(|| format!("uid {uid}"))
}

/// The user messo runs as: `messo (uid 998)`.
#[must_use]
pub fn this_user() -> String {
    let uid = rustix::process::geteuid().as_raw();
    let name = user(uid);
    if name.starts_with("uid ") { name } else { format!("{name} (uid {uid})") }
}

/// The fault of a folder, with the user messo runs as.
pub(super) fn fault(path: &Path, reason: &str) -> ConfigFault {
    ConfigFault::FolderNotUsable { path: path.display().to_string(), user: this_user(), reason: reason.to_owned() }
}

/// The usual reasons, in Italian.
#[must_use]
pub fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "non esiste".into(),
        io::ErrorKind::PermissionDenied => "permesso negato".into(),
        io::ErrorKind::ReadOnlyFilesystem => "il disco è in sola lettura".into(),
        io::ErrorKind::StorageFull => "il disco è pieno".into(),
        io::ErrorKind::IsADirectory => "è una cartella".into(),
        io::ErrorKind::NotADirectory => "un tratto del percorso non è una cartella".into(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_does_not_answer_is_not_waited_for() {
        assert_eq!(ask(Path::new("/"), |path| path.is_dir()), Some(true));
        let (keep, wait) = std::sync::mpsc::channel::<()>();
        assert_eq!(ask(Path::new("/srv/lontana"), move |_| wait.recv().is_ok()), None);
        drop(keep);
    }

    #[test]
    fn folders_that_do_not_answer_are_waited_for_together() {
        let paths: Vec<PathBuf> = (0..6).map(|number| PathBuf::from(format!("/srv/lontana/{number}"))).collect();
        let paths: Vec<&Path> = paths.iter().map(PathBuf::as_path).collect();
        let begun = crate::clock::monotonic();
        let keep = std::sync::Arc::new(std::sync::Barrier::new(7));
        let found = ask_all(&paths, |path| {
            let keep = keep.clone();
            ask(path, move |_| keep.wait().is_leader())
        });
        assert!(begun.elapsed() < ANSWERS * 3, "{:?}", begun.elapsed());
        assert_eq!(found, [None; 6]);
        keep.wait();
    }
}
