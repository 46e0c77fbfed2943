//! Files on their way to SEND: announced together, read from the kept archive, checked again, uploaded.

use std::io::Read;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::{BoxFuture, join_all};
use futures_util::{FutureExt, StreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use tracing::Instrument;

use super::super::channels::Channel;
use super::super::dispatch::{self, End, settle};
use super::super::files::{ARCHIVE_CHANGED, entry_of};
use super::recovery::not_at_send;
use super::{ABOVE_CEILING, Hub, act_of, after_error, channel, exceeds_ceiling, heard, material_for, opens_at, person, settle_all};
use crate::batch::archive::Entry;
use crate::connectors::pnd::{ContentType, PreloadItem, UploadError, UploadSlot, Uploaded};
use crate::domain::act::Payment;
use crate::domain::digest::Sha256;
use crate::flow::event::Fact;
use crate::flow::retry::FailureClass;
use crate::flow::state::State;
use crate::store::archives::is_changed;
use crate::store::{Leased, StoreError};

/// SEND deletes unused files after 7 days: a day before, they are uploaded again.
const UPLOAD_LIFE: SignedDuration = SignedDuration::from_hours(24 * 6);
/// Whether SEND still has a file uploaded then. What seems to come from the days ahead was uploaded before the clock was set back: nobody
/// knows when.
pub(super) fn is_fresh(uploaded_at: Timestamp, now: Timestamp) -> bool {
    let age = now.duration_since(uploaded_at);
    age < UPLOAD_LIFE && age > -SignedDuration::from_hours(24)
}

/// Files of one `preload` call.
const PRELOAD: usize = 15;
/// `preload` calls of one group at a time, and uploads of one call at a time.
const PRELOADS_AT_ONCE: usize = 6;
const UPLOADS_AT_ONCE: usize = 8;
/// Uploads whose slot SEND no longer takes are announced anew this often at most.
const REDO_PRELOAD: u32 = 3;

/// One file to be announced and uploaded.
struct FileJob {
    act: usize,
    file: u32,
    archive: Sha256,
    entry: u32,
    /// Where it lies in the archive, once that is known.
    place: Option<Entry>,
    sha256: Sha256,
    size: u64,
    content_type: ContentType,
}

/// How one file went: position of its act, number of the file.
type FileEnd = (usize, u32, Result<Uploaded, End>);

/// Announces and uploads the files of many acts: fifteen files a call, across acts.
pub async fn upload(hub: &Arc<Hub>, name: &str, jobs: &[Leased]) {
    let channel = &match channel(hub, name) {
        Ok(channel) => channel,
        Err(_) => return settle_all(hub, jobs, || person("CHIAVE_NON_CONFIGURATA")).await,
    };
    let jobs = &not_at_send(hub, channel, jobs).await[..];
    let materials = match hub.store.material(jobs.iter().filter_map(act_of).collect()).await {
        Ok(materials) => materials,
        Err(error) => return settle_all(hub, jobs, || End::from(StoreError::Database(error.to_string()))).await,
    };
    let now = hub.clock.now();
    let mut files = Vec::new();
    let mut ends: Vec<Option<End>> = Vec::new();
    for (index, material) in materials.ready.iter().enumerate() {
        ends.push(if material.state != State::Uploading {
            None
        } else if exceeds_ceiling(hub, material) {
            Some(person(ABOVE_CEILING))
        } else {
            // Outside the hours of the flow nothing is done: what is uploaded soon grows old.
            opens_at(&material.flow.sending, hub.clock.now()).map(|at| End::Later { at, code: "FASCIA_ORARIA" })
        });
        if material.state != State::Uploading || ends.last().is_some_and(Option::is_some) {
            continue;
        }
        let metadata: Vec<&str> = material
            .content
            .recipients
            .iter()
            .flat_map(|recipient| &recipient.payments)
            .filter_map(|payment| match payment {
                Payment::F24 { metadata, .. } => Some(metadata.file.as_str()),
                Payment::PagoPa { .. } => None,
            })
            .collect();
        for (number, file) in material.content.files().enumerate() {
            let number = u32::try_from(number).unwrap_or(u32::MAX);
            let Some(stored) = file.stored else {
                ends.pop();
                ends.push(Some(person("DOCUMENTO_NON_CONSERVATO")));
                break;
            };
            let fresh =
                |(known, upload): &(u32, Uploaded)| *known == number && upload.sha256 == stored.sha256 && is_fresh(upload.uploaded_at, now);
            if material.uploads.iter().any(fresh) {
                continue;
            }
            let content_type = if metadata.contains(&file.file.as_str()) { ContentType::Json } else { ContentType::Pdf };
            files.push(FileJob {
                act: index,
                file: number,
                archive: material.archive,
                entry: stored.entry,
                place: None,
                sha256: stored.sha256,
                size: stored.size,
                content_type,
            });
        }
    }
    files.retain(|file| ends.get(file.act).is_some_and(Option::is_none));
    match hub.store.kept_entries(files.iter().map(|file| (file.archive, file.entry)).collect()).await {
        Ok(found) => {
            for (file, kept) in files.iter_mut().zip(found) {
                file.place = kept.as_ref().map(entry_of);
            }
        }
        Err(error) => return settle_all(hub, jobs, || End::from(StoreError::Database(error.to_string()))).await,
    }
    let mut calls: Vec<BoxFuture<'_, Vec<FileEnd>>> = Vec::new();
    for chunk in files.chunks(PRELOAD) {
        calls.push(upload_chunk(hub, channel, chunk).boxed());
    }
    let results: Vec<_> = stream::iter(calls).buffered(PRELOADS_AT_ONCE).collect().await;
    let mut saved = Vec::new();
    for (act, file, result) in results.into_iter().flatten() {
        match (result, ends.get_mut(act), materials.ready.get(act)) {
            (Ok(uploaded), _, Some(material)) => saved.push((material.id, file, uploaded)),
            (Err(end), Some(slot), _) => *slot = Some(end),
            _ => {}
        }
    }
    failpoint!("upload.uploaded");
    let kept = if saved.is_empty() { Ok(()) } else { hub.store.save_uploads(saved).await };
    failpoint!("upload.saved");
    let failed = kept.is_err();
    let mut done = Vec::new();
    let mut rest = Vec::new();
    for job in jobs {
        let position = materials.ready.iter().position(|material| Some(material.id) == act_of(job));
        let end = position.and_then(|index| ends.get_mut(index)).and_then(Option::take);
        match (material_for(&materials, job), end) {
            (Err(end), _) | (Ok(_), Some(end)) => rest.push((job, end)),
            (Ok(_), None) if failed => {
                rest.push((job, End::Failed { class: FailureClass::Temporary { retry_after: None }, code: "ARCHIVIO_DATI" }));
            }
            (Ok(material), None) => done.push((job, (material.id, Fact::Uploaded, job.job))),
        }
    }
    let (uploaded, facts): (Vec<_>, Vec<_>) = done.into_iter().unzip();
    if !facts.is_empty() {
        match hub.store.record_all(facts, hub.clock.now()).await {
            Ok(outcomes) => {
                rest.extend(uploaded.into_iter().zip(outcomes).map(|(job, outcome)| (job, outcome.map_or_else(End::from, |()| End::Saved))))
            }
            Err(error) => {
                let error = error.to_string();
                rest.extend(uploaded.into_iter().map(|job| (job, End::from(StoreError::Database(error.clone())))));
            }
        }
    }
    join_all(rest.into_iter().map(|(job, end)| settle(hub, job, end).instrument(dispatch::span(job)))).await;
}

async fn upload_chunk(hub: &Hub, channel: &Channel, chunk: &[FileJob]) -> Vec<FileEnd> {
    let items: Vec<PreloadItem> = chunk
        .iter()
        .enumerate()
        .map(|(index, file)| PreloadItem { idx: index.to_string(), content_type: file.content_type, sha256: file.sha256 })
        .collect();
    let answer = channel.pnd.preload(&items).await;
    heard(hub, channel, answer.as_ref().err());
    let slots = match answer {
        Ok(slots) => slots,
        Err(error) => return chunk.iter().map(|file| (file.act, file.file, Err(after_error(hub, channel, &error)))).collect(),
    };
    failpoint!("upload.preloaded");
    let mut uploads: Vec<BoxFuture<'_, FileEnd>> = Vec::new();
    for (file, slot) in chunk.iter().zip(slots) {
        uploads.push(async move { (file.act, file.file, upload_file(hub, channel, file, slot).await) }.boxed());
    }
    stream::iter(uploads).buffer_unordered(UPLOADS_AT_ONCE).collect().await
}

async fn upload_file(hub: &Hub, channel: &Channel, file: &FileJob, mut slot: UploadSlot) -> Result<Uploaded, End> {
    let mut redone = 0;
    loop {
        let body = body(hub, file).await?;
        let outcome = channel.pnd.upload(&slot, file.content_type, file.sha256, file.size, body).await;
        match outcome {
            Ok(version_token) => {
                return Ok(Uploaded { key: slot.key, version_token, sha256: file.sha256, uploaded_at: hub.clock.now() });
            }
            Err(UploadError::RedoPreload { code }) if redone < REDO_PRELOAD => {
                tracing::info!(channel = channel.name, code, "il caricamento va annunciato di nuovo");
                redone += 1;
                let item = PreloadItem { idx: "0".to_owned(), content_type: file.content_type, sha256: file.sha256 };
                let again = channel.pnd.preload(&[item]).await;
                heard(hub, channel, again.as_ref().err());
                let slots = again.map_err(|error| after_error(hub, channel, &error))?;
                slot = slots.into_iter().next().ok_or(person("RISPOSTA_NON_CONFORME"))?;
            }
            Err(UploadError::RedoPreload { .. }) => {
                return Err(End::Failed { class: FailureClass::Temporary { retry_after: None }, code: "CARICAMENTO_RIFIUTATO" });
            }
            Err(UploadError::Source(error)) => return Err(source_fault(&error)),
            Err(UploadError::Remote(error)) => {
                heard(hub, channel, Some(&error));
                return Err(after_error(hub, channel, &error));
            }
        }
    }
}

/// The archive is not what was accepted, or cannot be read: never a wrong upload.
pub(super) fn source_fault(error: &std::io::Error) -> End {
    if is_changed(error) {
        tracing::error!("un file dell'archivio non è più quello accettato");
        person(ARCHIVE_CHANGED)
    } else if error.kind() == std::io::ErrorKind::NotFound {
        person("ARCHIVIO_MANCANTE")
    } else {
        tracing::error!(%error, "un archivio non si legge");
        End::Failed { class: FailureClass::Temporary { retry_after: None }, code: "ARCHIVIO_DATI" }
    }
}

/// Bytes under which a file is read whole before its upload begins.
const SMALL: u64 = 256 << 10;

type Body = std::pin::Pin<Box<dyn futures_util::Stream<Item = std::io::Result<Bytes>> + Send>>;

async fn body(hub: &Hub, file: &FileJob) -> Result<Body, End> {
    let entry = file.place.clone().ok_or(person("ARCHIVIO_MANCANTE"))?;
    let (archives, digest, expected) = (hub.archives.clone(), file.archive, file.sha256);
    if file.size <= SMALL {
        let size = usize::try_from(file.size).unwrap_or(0);
        let read = tokio::task::spawn_blocking(move || {
            let mut bytes = Vec::with_capacity(size + 1);
            archives.verified_entry(&digest, &entry, expected)?.read_to_end(&mut bytes)?;
            Ok(Bytes::from(bytes))
        })
        .await
        .map_err(|_| person("ARCHIVIO_DATI"))?;
        let bytes = read.map_err(|error: std::io::Error| source_fault(&error))?;
        return Ok(Box::pin(stream::once(async move { Ok(bytes) })));
    }
    let (tell, told) = tokio::sync::mpsc::channel::<std::io::Result<Bytes>>(4);
    tokio::task::spawn_blocking(move || {
        let mut reader = match archives.verified_entry(&digest, &entry, expected) {
            Ok(reader) => reader,
            Err(error) => {
                let _ = tell.blocking_send(Err(error));
                return;
            }
        };
        loop {
            let mut buffer = vec![0; 128 << 10];
            match reader.read(&mut buffer) {
                Ok(0) => return,
                Ok(n) => {
                    buffer.truncate(n);
                    if tell.blocking_send(Ok(Bytes::from(buffer))).is_err() {
                        return;
                    }
                }
                Err(error) => {
                    let _ = tell.blocking_send(Err(error));
                    return;
                }
            }
        }
    });
    Ok(Box::pin(stream::unfold(told, |mut told| async move { told.recv().await.map(|item| (item, told)) })))
}
