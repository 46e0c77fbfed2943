//! Orders about copies, restores and whole batches: backup, release of a restored store, pause, resume, replay.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

use super::{OperateError, Operator, reason};
use crate::clock;
use crate::domain::ids::BatchId;
use crate::service::backup::BackupError;
use crate::service::report::{BackupReport, GapEntry, GapSection, OrderKind, OrderReport, RestoreReport};
use crate::service::who::Who;
use crate::store::{GapKind, ReplayRefused};

/// Gaps of a kind that an answer names at most; all are counted.
const NAMED: usize = 1_000;

/// Makes copies; stands in the hub, which knows where everything is.
#[async_trait]
pub trait Keeper: Send + Sync {
    /// A copy below `dir`; with `keep`, only so many are left.
    async fn backup(&self, dir: &Path, keep: Option<u32>, now: Timestamp) -> Result<BackupReport, OperateError>;
}

/// Why there is no copy: a stable code, and what the system said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupFault {
    pub code: &'static str,
    pub detail: String,
}

impl BackupFault {
    pub fn of(error: &BackupError) -> BackupFault {
        let code = match error {
            BackupError::NotOurs => "CARTELLA_NON_VUOTA",
            BackupError::InsideData => "CARTELLA_NEI_DATI",
            BackupError::NotAbsolute => "PERCORSO_NON_ASSOLUTO",
            BackupError::NoCopy => "NESSUNA_COPIA",
            BackupError::Busy => "COPIA_IN_CORSO",
            BackupError::Full => "DISCO_PIENO",
            BackupError::Stopped => "COPIA_INTERROTTA",
            BackupError::Disk(..) | BackupError::Store(_) => "COPIA_NON_RIUSCITA",
        };
        BackupFault { code, detail: error.to_string() }
    }
}

impl Operator {
    /// Lets it make copies.
    pub fn with_keeper(self, keeper: Arc<dyn Keeper>) -> Operator {
        Operator { keeper: Some(keeper), ..self }
    }

    /// A copy of everything below `dir`.
    pub async fn backup(&self, dir: &str, keep: Option<u32>) -> Result<BackupReport, OperateError> {
        match &self.keeper {
            Some(keeper) => keeper.backup(Path::new(dir), keep, self.clock.now()).await,
            None => Err(OperateError::NoKeeper),
        }
    }

    /// How a restored store stands: what is still to be asked of SEND, and what came after the copy. `None`: never restored.
    pub async fn restore_status(&self) -> Result<RestoreReport, OperateError> {
        let Some(restored) = self.store.restored().await? else { return Ok(RestoreReport::default()) };
        let mut gaps = Vec::new();
        for kind in GapKind::ALL {
            let (count, open) = self.store.count_gaps(kind).await?;
            if count > 0 {
                let named = self.store.gaps(kind, None, NAMED).await?;
                gaps.push(GapSection {
                    kind: kind.as_str().to_owned(),
                    count,
                    open,
                    named: named.into_iter().map(GapEntry::from).collect(),
                });
            }
        }
        Ok(RestoreReport {
            restored: true,
            backup: restored.backup,
            copied_at: Some(restored.copied_at),
            restored_at: Some(restored.restored_at),
            held: restored.released_at.is_none(),
            released_at: restored.released_at,
            released_by: restored.who,
            released_why: restored.why,
            open: restored.open,
            parked: restored.parked,
            late: restored.late,
            gaps,
        })
    }

    /// How a restored store stands while nothing is sent, without what came after the copy.
    pub(super) async fn restore_held(&self) -> Result<Option<RestoreReport>, OperateError> {
        let restored = self.store.restored().await?.filter(|restored| restored.released_at.is_none());
        Ok(restored.map(|restored| RestoreReport {
            restored: true,
            backup: restored.backup,
            copied_at: Some(restored.copied_at),
            restored_at: Some(restored.restored_at),
            held: true,
            open: restored.open,
            parked: restored.parked,
            late: restored.late,
            ..RestoreReport::default()
        }))
    }

    /// Lets a restored store send again.
    pub async fn release_restore(&self, skip_resync: bool, accept_gaps: bool, who: &Who, why: &str) -> Result<OrderReport, OperateError> {
        let why = reason(why)?;
        let restored = self.store.restored().await?.filter(|restored| restored.released_at.is_none());
        let Some(restored) = restored else { return Err(OperateError::NotRestored) };
        let waiting = restored.open.saturating_sub(restored.parked);
        if waiting > 0 && !skip_resync {
            return Err(OperateError::StillOpen { open: waiting });
        }
        let mut lost = 0;
        for kind in [GapKind::Batch, GapKind::Drop] {
            lost += self.store.count_gaps(kind).await?.1;
        }
        if lost > 0 && !accept_gaps {
            return Err(OperateError::GapsOpen { batches: lost });
        }
        let erasures = self.store.count_gaps(GapKind::Erasure).await?.1;
        if erasures > 0 && !accept_gaps {
            return Err(OperateError::ErasuresOpen { erasures });
        }
        if !self.store.release_restore(who.as_str(), &why, self.clock.now()).await? {
            return Err(OperateError::Stale);
        }
        Ok(self.order(OrderKind::ReleaseRestore, who, why))
    }

    /// Stops the new sends of a batch; what is at SEND is followed.
    pub async fn pause_batch(&self, text: &str, who: &Who, why: &str) -> Result<OrderReport, OperateError> {
        let why = reason(why)?;
        let batch = self.find_batch(text).await?;
        if !self.store.pause_batch(batch.id, who.as_str(), &why, self.clock.now()).await? {
            return Err(OperateError::AlreadyPaused);
        }
        Ok(OrderReport { batch: Some(batch.id), ..self.order(OrderKind::PauseBatch, who, why) })
    }

    /// Lets a stopped batch go on.
    pub async fn resume_batch(&self, text: &str, who: &Who, why: &str) -> Result<OrderReport, OperateError> {
        let why = reason(why)?;
        let batch = self.find_batch(text).await?;
        if !self.store.unpause_batch(batch.id, who.as_str(), &why, self.clock.now()).await? {
            return Err(OperateError::NotPaused);
        }
        Ok(OrderReport { batch: Some(batch.id), ..self.order(OrderKind::ResumeBatch, who, why) })
    }

    /// Reads the kept archive of a batch again, under a new id: what was refused is judged by today's rules, what is known stays.
    pub async fn replay_batch(&self, text: &str, who: &Who, why: &str) -> Result<OrderReport, OperateError> {
        let why = reason(why)?;
        let batch = self.find_batch(text).await?;
        self.still_kept(batch.id.0).await?;
        let new = BatchId(clock::new_uuid());
        let queued = self.store.replay_batch(batch.id, new, who.as_str(), &why, self.clock.now()).await?;
        queued.map_err(|refused| match refused {
            ReplayRefused::Unfinished => OperateError::ReplayUnfinished,
            ReplayRefused::Trial => OperateError::ReplayTrial,
            ReplayRefused::NoArchive => OperateError::ReplayNoArchive,
            ReplayRefused::Duplicate(first) => OperateError::ReplayDuplicate { first: first.to_string() },
            ReplayRefused::UnderWay(other) => OperateError::ReplayUnderWay { other: other.to_string() },
        })?;
        Ok(OrderReport { batch: Some(new), ..self.order(OrderKind::ReplayBatch, who, why) })
    }
}
