//! How the acts of a batch ended, in the words that an office uses.

use super::{Store, StoreError};
use crate::domain::ids::BatchId;

/// One act of a batch and its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Final {
    pub reference: String,
    /// State of the newest submission; `RESO_AL_MITTENTE` when every recipient was reported dead.
    pub state: String,
    /// Nothing more is to be done about it.
    pub closed: bool,
    pub parked: bool,
}

impl Store {
    /// Acts of a batch, each in its newest submission.
    pub async fn finals(&self, batch: BatchId) -> Result<Vec<Final>, StoreError> {
        self.read(move |db| {
            let mut select = db.prepare_cached(
                "SELECT a.reference, a.state, a.closed_at IS NOT NULL, a.park_code IS NOT NULL, \
                 (SELECT min(r.deceased) FROM recipient r WHERE r.act_id = a.id) \
                 FROM act a WHERE a.batch_id = ?1 AND a.staged = 0 AND NOT EXISTS (SELECT 1 FROM act b WHERE b.sender = a.sender \
                 AND b.source = a.source AND b.reference = a.reference AND b.submission > a.submission) ORDER BY a.ordinal",
            )?;
            let rows = select.query_map([batch.0.as_bytes()], |row| {
                let state: String = row.get(1)?;
                let deceased: Option<bool> = row.get(4)?;
                let state = if state == "PERFEZIONATO" && deceased == Some(true) { "RESO_AL_MITTENTE".to_owned() } else { state };
                Ok(Final { reference: row.get(0)?, state, closed: row.get(2)?, parked: row.get(3)? })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }
}
