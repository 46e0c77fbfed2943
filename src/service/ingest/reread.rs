//! Another reading of a batch, from the archive in which it is kept.

use std::io::ErrorKind;
use std::sync::Arc;

use super::{IngestError, Kept, blocking, changed_meanwhile, judge, look_at_kept, refuse, reserve, unreadable};
use crate::batch::archive::hash_whole;
use crate::domain::ids::BatchId;
use crate::domain::outcome::ReceiptState;
use crate::flow::retry::FailureClass;
use crate::intake::Claimed;
use crate::service::Hub;
use crate::service::dispatch::End;

/// Reads a batch from the archive in which it is kept: another reading of a batch, or one whose claimed file was lost with a disk.
pub async fn reread(hub: &Arc<Hub>, batch: BatchId) -> End {
    match reread_kept(hub, batch).await {
        Ok(()) => End::Nothing,
        Err(IngestError::Store(error)) => End::from(error),
        Err(error) => {
            tracing::error!(batch.id = %batch, %error, "un lotto non si rilegge dall'archivio");
            End::Failed { class: FailureClass::Temporary { retry_after: None }, code: "ARCHIVIO_DATI" }
        }
    }
}

async fn reread_kept(hub: &Arc<Hub>, batch: BatchId) -> Result<(), IngestError> {
    let summary = hub.store.batch(batch).await?;
    if summary.state.parse::<ReceiptState>().is_ok() {
        return Ok(()); // told twice: a restart
    }
    let claimed = Claimed {
        id: batch,
        source: summary.source,
        path: std::path::PathBuf::new(),
        original_name: summary.original_name,
        flow_hint: hub.store.flow_hint(batch).await?,
        dry_run: summary.dry_run,
        received_at: summary.received_at,
        companion: None,
        arrived: None,
    };
    let Some(sha256) = summary.sha256 else { return unreadable(hub, &claimed).await };
    reserve(hub)?;
    let taking = hub.taking.read().await;
    let kept_file = match hub.archives.open(&sha256) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return unreadable(hub, &claimed).await,
        Err(error) => return Err(error.into()),
    };
    let whole = kept_file.clone();
    let (found, size) = blocking(move || hash_whole(&whole)).await?;
    let kept = Kept { sha256, size };
    if found != sha256 {
        // What was erased of it since cannot be judged.
        return changed_meanwhile(hub, &claimed, &kept, None).await;
    }
    match look_at_kept(hub, &claimed, kept_file).await? {
        Ok((opened, facts)) => judge(hub, &claimed, &kept, Arc::new(opened), facts, taking).await,
        Err(problem) => refuse(hub, &claimed, &kept, None, *problem).await,
    }
}
