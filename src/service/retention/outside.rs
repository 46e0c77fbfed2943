//! Deletions that persons asked for are written down outside of the data folder, beside the folders of the gestionale of each: a copy
//! of before the deletion, put back, would bring the data back and know nothing of the order.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;

use crate::domain::erasure::{Asked, Subject};
use crate::outbox::asked;
use crate::service::Hub;
use crate::service::publish::PublishError;
use crate::service::shares::{HANGS, on_share_within};
use crate::store::StoreError;

/// Deletions written in one go.
const PAGE: usize = 10_000;

/// How many are written nowhere yet, up to a page.
pub async fn left(hub: &Hub) -> Result<u64, StoreError> {
    Ok(hub.store.erasures_to_note(PAGE).await?.len() as u64)
}

/// What a round writes down.
pub struct Notes {
    /// Gestionali whose folder could not be written: not tried again in this round.
    away: BTreeSet<String>,
    patience: Duration,
}

impl Default for Notes {
    fn default() -> Notes {
        Notes::waiting(HANGS)
    }
}

impl Notes {
    /// Waits for a share no longer than `patience` (real time).
    pub fn waiting(patience: Duration) -> Notes {
        Notes { away: BTreeSet::new(), patience }
    }

    /// Writes down those that are written nowhere yet. Called before anything is carried out, it costs a look where there is none. A
    /// share that is away keeps nobody's data from being deleted, nor another's deletions from being written: its own are tried again
    /// at each look.
    pub async fn write(&mut self, hub: &Hub, now: Timestamp) -> Result<(), StoreError> {
        let (settings, patience) = (hub.settings(), self.patience);
        let mut by_home: BTreeMap<String, (PathBuf, Vec<Asked>)> = BTreeMap::new();
        for (source, asked) in hub.store.erasures_to_note(PAGE).await? {
            // A gestionale that was taken away has no folders any more: any others will do, all are read after a restore.
            let any = || settings.sources.iter().find(|other| !self.away.contains(&other.name));
            if let Some(home) = settings.source(&source).or_else(any).filter(|home| !self.away.contains(&home.name)) {
                by_home.entry(home.name.clone()).or_insert_with(|| (home.root.clone(), Vec::new())).1.push(asked);
            }
        }
        let written = by_home.into_iter().map(|(home, (root, asked))| async move {
            let subjects = asked.iter().map(|asked| asked.subject).collect::<Vec<Subject>>();
            let written = on_share_within(hub, &home, patience, move || asked::add(&root, &asked)).await;
            (home, subjects, written.and_then(|written| written.map_err(PublishError::Disk)))
        });
        for (source, subjects, written) in join_all(written).await {
            match written {
                Ok(()) => hub.store.erasures_noted(subjects, now).await?,
                Err(error) => {
                    let count = subjects.len();
                    tracing::error!(source, %error, count, "cancellazioni chieste da persone non annotate fuori dai dati: si riprova");
                    self.away.insert(source);
                }
            }
        }
        Ok(())
    }
}
