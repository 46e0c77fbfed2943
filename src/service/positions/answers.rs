//! Files that PTs of files give back: looked for from time to time, told to their positions, then put aside.
//!
//! Put aside last: killed at any point, the same is told again, and told again it changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::change_told;
use crate::connectors::pt::file;
use crate::service::Hub;
use crate::store::StoreError;

/// Between two looks. Real time: people and programs of the ente put the files there.
const PAUSE: Duration = Duration::from_secs(60);

/// Why the answers of a folder were not all told.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("folder: {0}")]
    Folder(io::ErrorKind),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Runs until the hub stops.
pub async fn run(hub: Arc<Hub>) {
    let mut broken = BTreeSet::new();
    while !hub.stopping.is_cancelled() {
        tokio::select! {
            () = round(&hub, &mut broken) => {}
            () = hub.stopping.cancelled() => break,
        }
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            () = hub.stopping.cancelled() => {}
        }
    }
}

/// One look at each folder. `broken`: those whose trouble was told, so that it is told once.
pub(super) async fn round(hub: &Hub, broken: &mut BTreeSet<PathBuf>) {
    // PTs may share one: an answer is of whichever has its ticket.
    let mut folders: BTreeMap<PathBuf, Vec<String>> = BTreeMap::new();
    for channel in hub.partners.values() {
        if let Some(folder) = channel.partner.folder() {
            folders.entry(folder.to_owned()).or_default().push(channel.config.name.clone());
        }
    }
    for (folder, pts) in folders {
        match look(hub, &folder, &pts).await {
            Ok(()) => {
                if broken.remove(&folder) {
                    tracing::info!(pt = pts.join(" "), "la cartella del PT si legge di nuovo");
                }
            }
            Err(trouble) => {
                if broken.insert(folder) {
                    tracing::error!(pt = pts.join(" "), %trouble, "le risposte del PT non si possono leggere o mettere da parte");
                }
            }
        }
    }
}

async fn look(hub: &Hub, folder: &Path, pts: &[String]) -> Result<(), Trouble> {
    let path = folder.to_owned();
    for (ticket, outcome) in blocking(move || file::outcomes(&path)).await? {
        let code = outcome.err();
        for pt in pts {
            change_told(hub, pt, &ticket, code.as_deref()).await?;
        }
        let path = folder.to_owned();
        blocking(move || file::told(&path, &ticket)).await?;
    }
    Ok(())
}

/// A share may hang: nobody else waits for it.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> Result<T, Trouble> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(|error| Trouble::Folder(error.kind())),
        Err(_) => Err(Trouble::Folder(io::ErrorKind::Other)),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::service::tests::House;

    #[tokio::test(flavor = "multi_thread")]
    async fn what_comes_back_in_files_is_told_once_and_a_folder_that_is_broken_ends_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let route = "[[ente.pagamenti]]\npt = \"cartella\"\nente = \"C_ESEMPIO\"\nservice = \"MULTE 9/0101101IM/\"\ncosts = \"push\"\n";
        let pt = format!("[[pt]]\nname = \"cartella\"\nkind = \"file\"\nfolder = \"{}\"\n", folder.path().display());
        let house = House::with(route, &pt);
        let inbox = folder.path().join(file::IN);
        let mut broken = BTreeSet::new();
        round(&house.hub, &mut broken).await;
        assert!(broken.is_empty(), "nothing has come yet");
        // Not a folder: no trouble of anybody else, and over as soon as it is mended.
        fs::write(&inbox, b"").unwrap();
        for _ in 0..2 {
            round(&house.hub, &mut broken).await;
            assert_eq!(broken.iter().collect::<Vec<_>>(), [folder.path()]);
        }
        fs::remove_file(&inbox).unwrap();
        fs::create_dir(&inbox).unwrap();
        fs::write(inbox.join("C-MESSO1-1_3_SCARTI.csv"), "IUD;cod_rifiuto\nIUD-1;PAA_X\n").unwrap();
        fs::write(inbox.join("C-MESSO2-1_3_SCARTI.csv"), "IUD;cod_rifiuto\n").unwrap();
        fs::write(inbox.join("C-MESSO3-1_3_SCARTI.csv"), "").unwrap();
        let told = || async { house.hub.store.early_outcomes().await.unwrap() };
        let want = [("C-MESSO1-1_3", Some("PAA_X")), ("C-MESSO2-1_3", None)];
        let want: Vec<_> = want.iter().map(|(ticket, code)| ((*ticket).to_owned(), code.map(str::to_owned))).collect();
        round(&house.hub, &mut broken).await;
        assert!(broken.is_empty());
        assert_eq!(told().await, want);
        assert!(!inbox.join("C-MESSO1-1_3_SCARTI.csv").exists() && inbox.join("C-MESSO3-1_3_SCARTI.csv").exists());
        // Killed before it was put aside: told again, the same.
        fs::rename(inbox.join("letti/C-MESSO1-1_3_SCARTI.csv"), inbox.join("C-MESSO1-1_3_SCARTI.csv")).unwrap();
        round(&house.hub, &mut broken).await;
        assert_eq!(told().await, want);
        assert!(!inbox.join("C-MESSO1-1_3_SCARTI.csv").exists());
    }
}
