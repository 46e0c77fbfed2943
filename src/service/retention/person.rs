//! A person asks that their data be deleted: looks for it everywhere it may be, page by page, and deletes what may go.
//!
//! Searched are the contents of acts, what SEND told of them, and the batch files as they lie in the archives (rows that were
//! refused are nowhere else). Of a drop that was refused before its batch file was known every file but the PDFs is searched; how
//! many such drops nobody can read is told. Acts that are open or may be contested stay: the law asks for them (GDPR art. 17, 3, b and e).

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::sync::Arc;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};

use super::{RetentionError, compact, finish, outside, sure_time};
use crate::batch::archive::{Archive, Ceilings, Entry, EntryFault, ReadAt, entry_reader, looks_like_zip};
use crate::domain::digest::Sha256;
use crate::domain::ids::{ActId, BatchId};
use crate::service::Hub;
use crate::service::files::{ceilings, entry_of};
use crate::service::operate::{OperateError, PersonEraser, TaxId};
use crate::service::report::{PersonAct, PersonBatch, PersonPage, PersonReport, PersonStage, PersonVerdict};
use crate::store::archives::KeptFile;
use crate::store::{Cause, Open, StoreError};

/// Rows looked at in one page.
const ROWS: usize = 20_000;
/// Batch files read in one page, and the bytes after which no other is begun.
const FILES: usize = 50;
const BYTES: u64 = 64 << 20;

/// Finds and deletes in one hub.
pub struct Eraser(pub Arc<Hub>);

#[async_trait]
impl PersonEraser for Eraser {
    async fn find(&self, tax_id: &TaxId, from: Option<PersonStage>) -> Result<PersonPage, OperateError> {
        let now = sure_time(&self.0, self.0.clock.now()).await?;
        let store = &self.0.store;
        match from.unwrap_or(PersonStage::Contents { after: None }) {
            PersonStage::Contents { after } => {
                let (found, next) = store.acts_naming(tax_id.as_str(), after, ROWS).await?;
                let next = next.map_or(PersonStage::Told { after: 0 }, |act| PersonStage::Contents { after: Some(act) });
                Ok(PersonPage { acts: self.acts(found, now).await?, batches: Vec::new(), unreadable: 0, next: Some(next) })
            }
            PersonStage::Told { after } => {
                let (found, next) = store.timelines_naming(tax_id.as_str(), after, ROWS).await?;
                let next = next.map_or(PersonStage::Files { after: None }, |after| PersonStage::Told { after });
                Ok(PersonPage { acts: self.acts(found, now).await?, batches: Vec::new(), unreadable: 0, next: Some(next) })
            }
            PersonStage::Files { after } => {
                let page = store.kept_batch_files(after, FILES).await?;
                let (mut batches, mut read, mut unreadable, mut last) = (Vec::new(), 0, 0, None);
                let more = page.len() == FILES;
                let (count, mut looked) = (page.len(), 0);
                for (batch, archive, entry) in page {
                    let searched = self.file_names(tax_id, archive, entry).await?;
                    if searched.found {
                        batches.push(self.batch(tax_id, batch, now).await?);
                    }
                    unreadable += u64::from(searched.unreadable);
                    (read, last, looked) = (read + searched.bytes, Some(batch), looked + 1);
                    if read > BYTES {
                        break;
                    }
                }
                let next = (more || looked < count).then_some(PersonStage::Files { after: last });
                Ok(PersonPage { acts: Vec::new(), batches, unreadable, next })
            }
        }
    }

    async fn erase(&self, tax_id: &TaxId, acts: Vec<ActId>, batches: Vec<BatchId>) -> Result<PersonReport, OperateError> {
        let (hub, now) = (&self.0, self.0.clock.now());
        let sure = sure_time(hub, now).await?;
        let acts: BTreeSet<ActId> = acts.into_iter().collect();
        for act in &acts {
            if !self.act_names(tax_id, *act).await? {
                return Err(OperateError::NotOfPerson { subject: act.to_string() });
            }
        }
        let found = self.acts(acts.into_iter().collect(), sure).await?;
        let going: Vec<ActId> = found.iter().filter(|act| act.verdict == PersonVerdict::Erasable).map(|act| act.act).collect();
        let mut files = BTreeMap::new();
        for batch in batches {
            let summary = hub.store.batch(batch).await?;
            let Some(archive) = summary.sha256 else { continue };
            if summary.erased_at.is_none() && !self.file_names(tax_id, archive, summary.batch_entry).await?.found {
                return Err(OperateError::NotOfPerson { subject: batch.to_string() });
            }
            files.insert(batch, self.batch(tax_id, batch, sure).await?.verdict);
        }
        hub.store.begin_erasing(going, Cause::Request, now).await?;
        let goes = |verdict: PersonVerdict| verdict == PersonVerdict::Erasable;
        let decided = files.iter().filter(|(_, verdict)| goes(**verdict)).map(|(batch, _)| *batch).collect();
        hub.store.begin_erasing_batches(decided, Cause::Request, now).await?;
        failpoint!("erase.begun");
        finish(hub, now).await.map_err(refused)?;
        let unnoted = outside::left(hub).await?;
        let mut report = PersonReport { person: hub.store.person_digest(tax_id.as_str()).await?, unnoted, ..PersonReport::default() };
        if hub.store.owes_compaction().await? {
            compact(hub).await.map_err(refused)?;
        }
        for act in found {
            let erased_at = hub.store.erased(act.act.0).await?.map(|erased| erased.at);
            report.erased_acts += u64::from(act.erased_at.is_none() && erased_at.is_some());
            // Decided, and not done: its archive is being read again.
            let waits = act.verdict == PersonVerdict::Erasable && erased_at.is_none();
            let verdict = if waits { PersonVerdict::Waiting } else { act.verdict };
            report.acts.push(PersonAct { erased_at, verdict, ..act });
        }
        for (batch, verdict) in files {
            let entry = self.batch(tax_id, batch, sure).await?;
            // Decided, and not done: acts of others need the file.
            let waits = goes(verdict) && entry.erased_at.is_none();
            report.batches.push(if waits { PersonBatch { verdict: PersonVerdict::Waiting, ..entry } } else { entry });
        }
        Ok(report)
    }
}

fn refused(error: RetentionError) -> OperateError {
    match error {
        RetentionError::Store(error) => error.into(),
        RetentionError::Disk(error) => OperateError::EraseUnfinished { detail: error.to_string() },
        RetentionError::NoRoom { wanted } => OperateError::EraseUnfinished { detail: format!("servono {wanted} byte liberi") },
    }
}

impl Eraser {
    async fn acts(&self, found: Vec<ActId>, now: Timestamp) -> Result<Vec<PersonAct>, OperateError> {
        let mut acts = Vec::with_capacity(found.len());
        for act in found {
            if let Some(open) = self.0.store.act_of_person(act).await? {
                acts.push(self.judged(open, now));
            }
        }
        Ok(acts)
    }

    fn judged(&self, act: Open, now: Timestamp) -> PersonAct {
        let days = self.0.settings().institution(&act.sender).map_or(120, |institution| institution.conservazione.dispute_days);
        let until = act.closed_at.and_then(|closed| closed.checked_add(SignedDuration::from_hours(24 * i64::from(days))).ok());
        let verdict = match (act.erased_at, until) {
            (Some(_), _) => PersonVerdict::Erased,
            _ if act.decided => PersonVerdict::Waiting,
            _ if !act.settled => PersonVerdict::Open,
            (None, Some(until)) if until > now => PersonVerdict::Contestable,
            (None, _) => PersonVerdict::Erasable,
        };
        PersonAct {
            act: act.act,
            reference: act.reference,
            source: act.source,
            sender: act.sender,
            state: act.state,
            batch: act.batch,
            closed_at: act.closed_at,
            until: until.filter(|_| verdict == PersonVerdict::Contestable),
            verdict,
            erased_at: act.erased_at,
            legal_facts: act.legal_facts,
        }
    }

    /// A batch file goes when no act of the person in it must stay.
    async fn batch(&self, tax_id: &TaxId, batch: BatchId, now: Timestamp) -> Result<PersonBatch, OperateError> {
        let summary = self.0.store.batch(batch).await?;
        let acts = self.acts(self.0.store.acts_of_batch_naming(batch, tax_id.as_str()).await?, now).await?;
        let stays = acts.iter().map(|act| act.verdict).find(|verdict| matches!(verdict, PersonVerdict::Open | PersonVerdict::Contestable));
        let files = self.0.store.publications_of(batch.0).await?.len() as u64;
        Ok(PersonBatch {
            batch,
            source: summary.source,
            received_at: summary.received_at,
            verdict: if summary.erased_at.is_some() { PersonVerdict::Erased } else { stays.unwrap_or(PersonVerdict::Erasable) },
            erased_at: summary.erased_at,
            published: files,
        })
    }

    /// Whether an act names the person, in its content or in what SEND told of it.
    async fn act_names(&self, tax_id: &TaxId, act: ActId) -> Result<bool, OperateError> {
        Ok(self.0.store.act_names(act, tax_id.as_str()).await?)
    }

    /// Whether a kept batch file names the person.
    async fn file_names(&self, tax_id: &TaxId, archive: Sha256, entry: u32) -> Result<Searched, OperateError> {
        let kept = match self.0.store.kept_entry(archive, entry).await {
            Ok(kept) => Some(kept),
            // Refused before it was known which of its files is the batch file.
            Err(StoreError::NotFound(_)) => None,
            Err(error) => return Err(error.into()),
        };
        let (archives, wanted, ceilings) = (self.0.archives.clone(), tax_id.as_str().as_bytes().to_vec(), ceilings(&self.0));
        let read = tokio::task::spawn_blocking(move || match kept {
            Some(kept) => {
                let mut reader = archives.verified_entry(&archive, &entry_of(&kept), kept.sha256)?;
                holds(&mut reader, &wanted).map(|(found, bytes)| Searched { found, bytes, unreadable: false })
            }
            None => search_all(&archives.open(&archive)?, &ceilings, &wanted),
        });
        match read.await {
            Ok(Ok(searched)) => Ok(searched),
            // Erased, removed or changed: nothing in it can be read any more.
            Ok(Err(error)) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidData) => Ok(Searched::default()),
            Ok(Err(error)) => Err(OperateError::EraseUnfinished { detail: error.to_string() }),
            Err(_) => Err(OperateError::Stopping),
        }
    }
}

/// What a look into a kept drop found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Searched {
    found: bool,
    /// Read for it.
    bytes: u64,
    /// Nobody can say what is in it, or in a part of it.
    unreadable: bool,
}

/// Looks at every file of a drop but its PDFs, and at their names; a drop that is no archive, or a broken one, is looked at as it is.
fn search_all(file: &KeptFile, ceilings: &Ceilings, wanted: &[u8]) -> io::Result<Searched> {
    let mut head = [0; 4];
    let begun = file.read_at(&mut head, 0)?;
    let is_zip = looks_like_zip(head.get(..begun).unwrap_or_default());
    let archive = match is_zip.then(|| Archive::open(file, ceilings)) {
        Some(Ok(archive)) => archive,
        Some(Err(error)) if error.is_ours() => return Err(io::Error::other(error)),
        // Its bytes as they lie: what is compressed in them is not seen.
        None | Some(Err(_)) => {
            let (found, bytes) = holds(&mut entry_reader(file, &Entry::bare("", file.len()?)), wanted)?;
            return Ok(Searched { found, bytes, unreadable: is_zip && !found });
        }
    };
    let mut searched = Searched::default();
    for entry in archive.entries() {
        let named = holds(&mut entry.name.as_bytes(), wanted)?.0;
        let is_pdf = entry.name.to_ascii_lowercase().ends_with(".pdf");
        match if named || is_pdf { Ok((named, 0)) } else { holds(&mut entry_reader(file, entry), wanted) } {
            Ok((found, bytes)) => {
                searched.bytes += bytes;
                if found {
                    return Ok(Searched { found, unreadable: false, ..searched });
                }
            }
            Err(error) if EntryFault::of(&error).is_some() => searched.unreadable = true,
            Err(error) => return Err(error),
        }
    }
    Ok(searched)
}

/// Whether the bytes hold `wanted` (ASCII, upper case), in letters of any case, in UTF-16 too; and how many bytes there were.
fn holds(source: &mut dyn Read, wanted: &[u8]) -> io::Result<(bool, u64)> {
    let mut buffer = vec![0; 64 << 10];
    let (mut text, mut read) = (Vec::with_capacity(buffer.len() * 2), 0);
    loop {
        let got = source.read(&mut buffer)?;
        if got == 0 {
            return Ok((false, read));
        }
        read += got as u64;
        // In UTF-16 a zero stands beside each of these characters.
        text.extend(buffer.get(..got).unwrap_or_default().iter().filter(|byte| **byte != 0).map(u8::to_ascii_uppercase));
        if text.windows(wanted.len().max(1)).any(|window| window == wanted) {
            return Ok((true, read));
        }
        let kept = text.len().min(wanted.len());
        text.drain(..text.len() - kept);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives one byte at a time.
    struct Dribble<'a>(&'a [u8]);

    impl Read for Dribble<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let Some((first, rest)) = self.0.split_first() else { return Ok(0) };
            out[0] = *first;
            self.0 = rest;
            Ok(1)
        }
    }

    #[test]
    fn a_tax_id_is_found_in_any_case_and_in_utf_16() {
        let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
        let table = [
            ("plain", b"1;RSSMRA80A01H501U;x".to_vec(), true),
            ("lower case", b"1;rssmra80a01h501u;x".to_vec(), true),
            ("UTF-16", utf16("1;RSSMRA80A01H501U;x"), true),
            ("another", b"1;RSSMRA80A01H501V;x".to_vec(), false),
            ("cut", b"RSSMRA80A01H501".to_vec(), false),
            ("empty", Vec::new(), false),
            ("far away", [vec![b'x'; 300_000], b"RSSMRA80A01H501U".to_vec()].concat(), true),
        ];
        for (what, bytes, want) in table {
            assert_eq!(holds(&mut bytes.as_slice(), b"RSSMRA80A01H501U").unwrap().0, want, "{what}");
            if bytes.len() < 1_000 {
                assert_eq!(holds(&mut Dribble(&bytes), b"RSSMRA80A01H501U").unwrap().0, want, "{what}, byte by byte");
            }
        }
    }
}
