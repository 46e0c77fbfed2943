//! Deletions that persons asked for are written down outside of the data folder, beside the folders of the gestionale of each: a copy
//! of before the deletion, put back, would bring the data back and know nothing of the order.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;

use super::blocking;
use crate::domain::erasure::Asked;
use crate::outbox::asked;
use crate::service::Hub;
use crate::store::StoreError;

/// Deletions written in one go.
const PAGE: usize = 10_000;
/// A share that does not answer within this (real time) is tried again at the next round.
const PATIENCE: Duration = Duration::from_secs(20);

/// How many are written nowhere yet, up to a page.
pub async fn left(hub: &Hub) -> Result<u64, StoreError> {
    Ok(hub.store.erasures_to_note(PAGE).await?.len() as u64)
}

/// Writes down those that are written nowhere yet. A share that is away keeps nobody's data from being deleted: its rows are tried
/// again at each round.
pub async fn note(hub: &Hub, now: Timestamp) -> Result<(), StoreError> {
    let settings = hub.settings();
    let mut by_home: BTreeMap<PathBuf, Vec<Asked>> = BTreeMap::new();
    for (source, asked) in hub.store.erasures_to_note(PAGE).await? {
        // A gestionale that was taken away has no folders any more: any others will do, all are read after a restore.
        if let Some(home) = settings.source(&source).or(settings.sources.first()) {
            by_home.entry(home.root.clone()).or_default().push(asked);
        }
    }
    for (root, asked) in by_home {
        let subjects = asked.iter().map(|asked| asked.subject).collect::<Vec<_>>();
        let written = tokio::time::timeout(PATIENCE, blocking(move || asked::add(&root, &asked))).await;
        match written.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into())) {
            Ok(()) => hub.store.erasures_noted(subjects, now).await?,
            Err(error) => {
                tracing::error!(%error, count = subjects.len(), "cancellazioni chieste da persone non annotate fuori dai dati: si riprova");
            }
        }
    }
    Ok(())
}
