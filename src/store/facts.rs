//! Legal facts of an act, from their announcement to the disk: one job an act fetches those that are not here yet.

use jiff::Timestamp;
use rusqlite::params;

use super::codec::{at, ms, optional};
use super::engine::{self, ActRow};
use super::jobs::{self, JobRef};
use super::{Store, StoreError};
use crate::domain::digest::Sha256;
use crate::domain::ids::ActId;
use crate::flow::event::Fact;

/// A legal fact that has been announced.
#[derive(Debug, Clone, PartialEq)]
pub struct LegalFactToFetch {
    pub iun: String,
    pub source: String,
    /// What SEND calls it.
    pub key: String,
    pub category: String,
    pub element_id: String,
    pub recipient: Option<u32>,
    pub happened_at: Timestamp,
    /// Position among the act's facts, from 1: makes its name unique.
    pub ordinal: u32,
}

/// A downloaded legal fact.
#[derive(Debug, Clone, PartialEq)]
pub struct KeptFact {
    pub key: String,
    /// Path under `attestazioni/`.
    pub name: String,
    pub sha256: Sha256,
    /// Bytes.
    pub size: u64,
    /// The copy for the gestionale, under its temporary name.
    pub file: Option<super::Publication>,
}

impl Store {
    /// Legal facts of these acts that were announced and are not stored, in the order of their acts.
    pub async fn facts_to_fetch(&self, acts: Vec<ActId>) -> Result<Vec<Vec<LegalFactToFetch>>, StoreError> {
        self.read(move |db| {
            let mut select = db.prepare_cached(
                "SELECT a.iun, a.source, f.key, f.category, f.element_id, f.recipient, f.happened_at, f.ordinal \
                 FROM legal_fact f JOIN act a ON a.id = f.act_id WHERE f.act_id = ?1 AND f.state = 'ANNUNCIATA' ORDER BY f.ordinal",
            )?;
            let mut of = |act: ActId| {
                let rows = select.query_map([act.0.as_bytes()], |row| {
                    Ok(LegalFactToFetch {
                        iun: row.get::<_, Option<String>>(0)?.unwrap_or_default(),
                        source: row.get(1)?,
                        key: row.get(2)?,
                        category: row.get(3)?,
                        element_id: row.get(4)?,
                        recipient: row.get(5)?,
                        happened_at: at(row.get(6)?),
                        ordinal: row.get(7)?,
                    })
                })?;
                Ok(rows.collect::<Result<_, _>>()?)
            };
            acts.iter().map(|act| of(*act)).collect()
        })
        .await
    }

    /// These legal facts of an act are on disk, each under the temporary name of its publication: their lines are published.
    /// Answers how many are still to be fetched; with none left the job ends.
    pub async fn legal_facts_stored(&self, act: ActId, facts: Vec<KeptFact>, job: JobRef, now: Timestamp) -> Result<usize, StoreError> {
        self.write(move |db| {
            jobs::held(db, job)?;
            let mut row = ActRow::load(db, act)?;
            for KeptFact { key, name, sha256, size, file } in facts {
                let place = params![act.0.as_bytes(), key];
                let sql = "SELECT recipient FROM legal_fact WHERE act_id = ?1 AND key = ?2 AND state = 'ANNUNCIATA'";
                let awaited = optional(db.prepare_cached(sql)?.query_row(place, |row| row.get(0)))?;
                // Who has the job alone fetches them: anything else is a fault of ours, and the job must not end by it.
                let recipient = awaited.ok_or_else(|| StoreError::Corrupt("a legal fact that is not awaited".to_owned()))?;
                db.prepare_cached(
                    "UPDATE legal_fact SET state = 'CONSERVATA', name = ?3, sha256 = ?4, size = ?5, stored_at = ?6 \
                     WHERE act_id = ?1 AND key = ?2",
                )?
                .execute(params![act.0.as_bytes(), key, name, sha256.as_bytes(), size as i64, ms(now)])?;
                if let Some(file) = &file {
                    super::publications::insert(db, file)?;
                }
                engine::observe(db, &mut row, &Fact::LegalFactStored { recipient, name, at: now }, now)?;
            }
            let left: i64 = db
                .prepare_cached("SELECT count(*) FROM legal_fact WHERE act_id = ?1 AND state = 'ANNUNCIATA'")?
                .query_row([act.0.as_bytes()], |row| row.get(0))?;
            if left == 0 {
                jobs::finish(db, job)?;
            }
            Ok(usize::try_from(left).unwrap_or(0))
        })
        .await
    }
}
