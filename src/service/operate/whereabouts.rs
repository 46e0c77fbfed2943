//! "Where is my batch?": one answer, from the door to the last outcome, by the name of a file, its digest, the id of its batch, or
//! an act of it.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;

use super::{OperateError, Operator};
use crate::config::Config;
use crate::domain::digest::Sha256;
use crate::domain::ids::BatchId;
use crate::domain::outcome::ReceiptState;
use crate::intake::claim::WORK;
use crate::intake::names::{self, NameKind};
use crate::intake::scan;
use crate::intake::sftp::folder::STAGING;
use crate::service::report::{FileEntry, Journey, NearName, Step, StepKind, WhereReport};
use crate::store::{BatchSummary, DoorEvent, StoreError};

/// Where a gestionale drops: looked at for what the store does not know yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub source: String,
    pub root: PathBuf,
    pub flows: Vec<String>,
}

impl Place {
    /// Those of a configuration.
    pub fn of(config: &Config) -> Vec<Place> {
        let of = |source: &crate::config::SourceSystem| Place {
            source: source.name.clone(),
            root: source.root.clone(),
            flows: source.flows.clone(),
        };
        config.sources.iter().map(of).collect()
    }
}

/// Lines of the books, alerts or duplicates told of one drop.
const LINES: usize = 30;
/// Names compared with one that was never seen, and told.
const COMPARED: usize = 2_000;
const NEAREST: usize = 5;
/// Digits of an id that are enough to be meant as one.
const PREFIX: usize = 6;

/// A file that lies somewhere under a gestionale's root.
#[derive(Debug, Clone)]
struct Lying {
    source: String,
    /// Its own name.
    name: String,
    /// Below the root.
    path: String,
    kind: StepKind,
    bytes: u64,
    changed: Option<Timestamp>,
    batch: Option<BatchId>,
}

impl Operator {
    /// Lets it look into the folders of gestionali.
    pub fn with_places(self, places: impl Fn() -> Vec<Place> + Send + Sync + 'static) -> Operator {
        Operator { places: Arc::new(places), ..self }
    }

    /// Where a drop is.
    pub async fn whereabouts(&self, text: &str) -> Result<WhereReport, OperateError> {
        let text = text.trim().trim_start_matches("./");
        let name = text.rsplit('/').next().unwrap_or(text).to_owned();
        let mut report = WhereReport { text: text.to_owned(), ..WhereReport::default() };
        let (batches, digest) = self.meant(text, &name).await?;
        report.more = batches.len() > WhereReport::MOST;
        let places = (self.places)();
        let lying = tokio::task::spawn_blocking(move || lying(&places)).await.unwrap_or_default();
        for id in batches.iter().take(WhereReport::MOST) {
            report.journeys.push(self.journey(*id, &lying).await?);
        }
        // What no batch was made of yet, or never will.
        let known: BTreeSet<BatchId> = batches.into_iter().collect();
        let told: BTreeSet<(Option<String>, i64)> = report.journeys.iter().flat_map(door_steps).collect();
        let mut strays = self.strays(&name, digest, &lying, &known, &told).await?;
        strays.append(&mut report.journeys);
        report.journeys = strays;
        if report.journeys.is_empty() {
            report.nearest = self.nearest(&name, &lying).await?;
        }
        Ok(report)
    }

    /// The drops that a text may mean, the newest first.
    async fn meant(&self, text: &str, name: &str) -> Result<(Vec<BatchId>, Option<Sha256>), StoreError> {
        const MOST: usize = WhereReport::MOST + 1;
        let digest = Sha256::parse(text).filter(|_| text.len() == 64);
        if let Some(digest) = digest {
            return Ok((self.store.batches_of(digest, MOST).await?, Some(digest)));
        }
        let mut found = self.store.batches_named(name, MOST).await?;
        if found.is_empty() && text.chars().filter(|c| *c != '-').count() >= PREFIX {
            found = self.store.batches_like(text, MOST).await?.into_iter().map(|batch| batch.id).collect();
        }
        if found.is_empty() {
            // Each act in each of its submissions: a batch once.
            let mut seen = BTreeSet::new();
            found = self.store.find_acts(text).await?.into_iter().map(|act| act.batch).filter(|batch| seen.insert(*batch)).collect();
        }
        Ok((found, None))
    }

    async fn journey(&self, id: BatchId, lying: &[Lying]) -> Result<Journey, OperateError> {
        let batch = self.store.batch(id).await?;
        let mut steps = Vec::new();
        if let Some(sha256) = batch.sha256 {
            let events = self.store.door_events_of(sha256, LINES).await?;
            let own = |event: &DoorEvent| event.account.as_deref() == Some(batch.source.as_str()) && event.at <= batch.received_at;
            // Bytes that came again belong to the later drop.
            let events: Vec<DoorEvent> = events.into_iter().filter(own).collect();
            let renames = self.renames(&events).await?;
            steps.extend(events.iter().take(1).chain(&renames).filter_map(door_step));
        }
        steps.push(Step { at: Some(batch.received_at), kind: StepKind::Received, path: batch_folder(&batch), ..Step::default() });
        for file in lying.iter().filter(|file| file.batch == Some(id)) {
            steps.push(lying_step(file));
        }
        match batch.state.parse::<ReceiptState>() {
            Ok(_) => self.judged(&batch, &mut steps).await?,
            Err(()) => steps.push(Step { kind: StepKind::Reading, code: Some(batch.state.clone()), ..Step::default() }),
        }
        for alert in self.store.alerts_of(id, LINES).await? {
            steps.push(Step { at: Some(alert.at), kind: StepKind::Alert, code: Some(alert.code), ..Step::default() });
        }
        if let Some(erased) = self.store.erased(id.0).await? {
            let code = Some(erased.cause.as_str().to_owned());
            steps.push(Step { at: Some(erased.at), kind: StepKind::Erased, code, ..Step::default() });
        }
        // In order of time; where it stands now comes last.
        steps.sort_by_key(|step| (stands(step.kind), step.at.unwrap_or(Timestamp::MAX)));
        Ok(Journey {
            source: Some(batch.source),
            name: Some(batch.original_name).filter(|name| !name.is_empty()),
            batch: Some(id),
            sha256: batch.sha256.map(|digest| digest.to_hex()),
            size: Some(batch.size),
            steps,
        })
    }

    /// What followed the reading of a batch.
    async fn judged(&self, batch: &BatchSummary, steps: &mut Vec<Step>) -> Result<(), OperateError> {
        let id = batch.id;
        steps.push(Step {
            at: batch.finished_at,
            kind: StepKind::Judged,
            code: Some(batch.state.clone()),
            accepted: Some(batch.accepted),
            refused: Some(batch.refused),
            ..Step::default()
        });
        if let Some(first) = batch.duplicate_of {
            steps.push(Step { at: batch.finished_at, kind: StepKind::DuplicateOf, batch: Some(first), ..Step::default() });
        }
        for again in self.store.duplicates_of(id, LINES).await? {
            let at = self.store.batch(again).await?.received_at;
            steps.push(Step { at: Some(at), kind: StepKind::Again, batch: Some(again), ..Step::default() });
        }
        let mut files: BTreeMap<&'static str, (Timestamp, Vec<FileEntry>)> = BTreeMap::new();
        for file in self.store.publications_of(id.0).await? {
            let kind = if file.kind == "RICEVUTA" { "RICEVUTA" } else { "SCARTO" };
            let (at, list) = files.entry(kind).or_insert_with(|| (file.created_at, Vec::new()));
            *at = (*at).max(file.created_at);
            list.push(file.into());
        }
        for (created_at, kind, folder, name, published) in self.store.rejected_acts_of(id, LINES).await? {
            let (at, list) = files.entry("SCARTO").or_insert_with(|| (created_at, Vec::new()));
            *at = (*at).max(created_at);
            list.push(FileEntry { kind, folder, name, published });
        }
        for (kind, (at, files)) in files {
            let kind = if kind == "RICEVUTA" { StepKind::Receipt } else { StepKind::Rejects };
            steps.push(Step { at: Some(at), kind, files, ..Step::default() });
        }
        let held = match &batch.hold {
            Some(hold) => Some(hold.clone()),
            None => self.store.held_for(id).await?.map(|reason| reason.as_str().to_owned()),
        };
        if let Some(code) = held {
            steps.push(Step { kind: StepKind::Held, code: Some(code), ..Step::default() });
        }
        for (state, count) in self.store.states_of_batch(id).await? {
            steps.push(Step { kind: StepKind::Acts, code: Some(state), count: Some(count), ..Step::default() });
        }
        for (kind, state, count, due) in self.store.next_of_batch(id).await? {
            let code = if state == "SOSPESO" { format!("{kind}/{state}") } else { kind };
            steps.push(Step { at: Some(due), kind: StepKind::Next, code: Some(code), count: Some(count), ..Step::default() });
        }
        for job in self.store.jobs_of(id.0).await? {
            let code = if job.state == "SOSPESO" { format!("{}/{}", job.kind, job.state) } else { job.kind };
            steps.push(Step { at: Some(job.due_at), kind: StepKind::Next, code: Some(code), count: Some(1), ..Step::default() });
        }
        if let Some(line) = self.store.last_line_of(id).await? {
            let files = self.store.outcome_files_with(&batch.source, line).await?;
            let files: Vec<FileEntry> =
                files.into_iter().map(|(folder, name)| FileEntry { kind: "ESITO".to_owned(), folder, name, published: true }).collect();
            if !files.is_empty() {
                steps.push(Step { kind: StepKind::Outcomes, count: Some(line), files, ..Step::default() });
            }
        }
        Ok(())
    }

    /// Changes of name after these uploads: many clients write under another name first.
    async fn renames(&self, uploads: &[DoorEvent]) -> Result<Vec<DoorEvent>, StoreError> {
        let Some(upload) = uploads.first() else { return Ok(Vec::new()) };
        let paths = upload.name.iter().cloned().collect();
        let events = self.store.door_events_named(paths, LINES).await?;
        let after = |event: &DoorEvent| event.act == "RINOMINA" && event.at >= upload.at && event.name == upload.name;
        // The first one: the name may have been used again since.
        Ok(events.into_iter().filter(after).min_by_key(|event| event.at).into_iter().collect())
    }

    /// Files of that name (or those bytes) that are no batch: on their way, given up, or taken back.
    async fn strays(
        &self,
        name: &str,
        digest: Option<Sha256>,
        lying: &[Lying],
        known: &BTreeSet<BatchId>,
        told: &BTreeSet<(Option<String>, i64)>,
    ) -> Result<Vec<Journey>, OperateError> {
        let mut strays: BTreeMap<String, Journey> = BTreeMap::new();
        let journey = |source: &str| Journey { source: Some(source.to_owned()), name: Some(name.to_owned()), ..Journey::default() };
        for file in lying.iter().filter(|file| means(&file.name, name) && file.batch.is_none_or(|batch| !known.contains(&batch))) {
            let stray = strays.entry(file.source.clone()).or_insert_with(|| journey(&file.source));
            stray.batch = stray.batch.or(file.batch);
            stray.steps.push(lying_step(file));
        }
        let events = match digest {
            Some(digest) => self.store.door_events_of(digest, LINES).await?,
            None => self.store.door_events_named(self.paths(name), LINES).await?,
        };
        for event in events {
            let (Some(account), Some(step)) = (event.account.clone(), door_step(&event)) else { continue };
            // A drop tells of its own arrival; what was written before the newest one of that name belongs to an older story.
            if told.contains(&(Some(account.clone()), step.at.unwrap_or_default().as_millisecond())) {
                continue;
            }
            let since = told.iter().filter(|(source, _)| source.as_deref() == Some(account.as_str())).map(|(_, at)| *at).max();
            if since.is_some_and(|since| event.at.as_millisecond() <= since) && !strays.contains_key(&account) {
                continue;
            }
            strays.entry(account.clone()).or_insert_with(|| journey(&account)).steps.push(step);
        }
        let mut strays: Vec<Journey> = strays.into_values().collect();
        for stray in &mut strays {
            stray.steps.sort_by_key(|step| (stands(step.kind), step.at.unwrap_or(Timestamp::MAX)));
            stray.steps.dedup();
        }
        Ok(strays)
    }

    /// The paths under which the door may have seen a file of that name.
    fn paths(&self, name: &str) -> Vec<String> {
        let places = (self.places)();
        let flows: BTreeSet<&str> = places.iter().flat_map(|place| place.flows.iter().map(String::as_str)).collect();
        let folders = ["", "prova/"].into_iter().map(str::to_owned);
        let folders = folders.chain(flows.iter().flat_map(|flow| [format!("{flow}/"), format!("prova/{flow}/")]));
        folders.map(|folder| format!("/in/{folder}{name}")).collect()
    }

    async fn nearest(&self, name: &str, lying: &[Lying]) -> Result<Vec<NearName>, StoreError> {
        let beginning: String = name.chars().take(3).collect();
        let mut near: Vec<NearName> = Vec::new();
        for prefix in [beginning.as_str(), ""] {
            let found = self.store.names_near(prefix, COMPARED).await?;
            near.extend(found.into_iter().map(|near| NearName { source: near.source, name: near.name, batch: Some(near.batch) }));
        }
        near.extend(lying.iter().map(|file| NearName { source: file.source.clone(), name: file.name.clone(), batch: file.batch }));
        let wanted: Vec<char> = name.to_lowercase().chars().take(100).collect();
        // A third of the letters may differ.
        let limit = (wanted.len() / 3).max(2);
        let mut ranked: Vec<(usize, NearName)> = near
            .into_iter()
            .map(|near| (distance(&wanted, &near.name.to_lowercase().chars().take(100).collect::<Vec<_>>()), near))
            .filter(|(far, _)| *far <= limit)
            .collect();
        ranked.sort_by(|a, b| (a.0, &a.1.source, &a.1.name).cmp(&(b.0, &b.1.source, &b.1.name)));
        let mut told = BTreeSet::new();
        let first = |near: &NearName| told.insert((near.source.clone(), near.name.to_lowercase()));
        Ok(ranked.into_iter().map(|(_, near)| near).filter(first).take(NEAREST).collect())
    }
}

/// Where a step stands in the tale: what happened, what waits, what is now.
fn stands(kind: StepKind) -> u8 {
    match kind {
        StepKind::Held | StepKind::Acts => 1,
        StepKind::Next => 2,
        StepKind::Outcomes => 3,
        _ => 0,
    }
}

fn door_steps(journey: &Journey) -> Vec<(Option<String>, i64)> {
    let door = |step: &&Step| matches!(step.kind, StepKind::Uploaded | StepKind::Renamed | StepKind::Removed);
    journey.steps.iter().filter(door).filter_map(|step| Some((journey.source.clone(), step.at?.as_millisecond()))).collect()
}

fn door_step(event: &DoorEvent) -> Option<Step> {
    let kind = match event.act.as_str() {
        "CARICAMENTO" => StepKind::Uploaded,
        "RINOMINA" => StepKind::Renamed,
        "CANCELLAZIONE" => StepKind::Removed,
        "RICHIESTA_RIFIUTATA" => StepKind::Uploaded,
        _ => return None,
    };
    let path = match (&event.name, &event.target) {
        (Some(name), Some(target)) => Some(format!("{name} -> {target}")),
        (name, _) => name.clone(),
    };
    Some(Step { at: Some(event.at), kind, code: Some(event.outcome.clone()), count: event.bytes, path, ..Step::default() })
}

fn batch_folder(batch: &BatchSummary) -> Option<String> {
    batch.dry_run.then(|| "in/prova".to_owned())
}

fn lying_step(file: &Lying) -> Step {
    Step { at: file.changed, kind: file.kind, count: Some(file.bytes), path: Some(file.path.clone()), ..Step::default() }
}

/// Whether a file that lies under `found` is the one called `wanted`, perhaps still under a temporary name.
fn means(found: &str, wanted: &str) -> bool {
    let (found, wanted) = (found.to_lowercase(), wanted.to_lowercase());
    if found == wanted {
        return true;
    }
    // lotto.zip.part, .in.lotto.zip., lotto.zip.a1b2.partial
    names::kind(&found) == NameKind::Temporary
        && (found.strip_prefix(&wanted).is_some_and(|rest| rest.starts_with('.'))
            || found.strip_prefix(".in.").and_then(|rest| rest.strip_suffix('.')) == Some(wanted.as_str()))
}

/// Everything that lies where drops come in, of every gestionale whose folder can be read.
fn lying(places: &[Place]) -> Vec<Lying> {
    let mut found = Vec::new();
    for place in places {
        for (top, staged) in [("in", false), (STAGING, true)] {
            let listing = scan::open_root(&place.root).and_then(|root| scan::open_folder(root, Path::new(top)));
            let Ok(listing) = listing.and_then(|folder| scan::list_below(&folder)) else { continue };
            for (path, stamp) in listing.files {
                let name = path.file_name().map(|name| names::decode(name.as_bytes())).unwrap_or_default();
                let kind = match names::kind(&name) {
                    _ if staged => StepKind::Partial,
                    NameKind::Drop => StepKind::Waiting,
                    NameKind::Temporary => StepKind::Temporary,
                    NameKind::Companion(_) | NameKind::Junk => StepKind::Ignored,
                };
                let changed = Timestamp::from_nanosecond(stamp.mtime).ok();
                let path = format!("in/{}", names::decode(path.as_os_str().as_bytes()));
                found.push(Lying { source: place.source.clone(), name, path, kind, bytes: stamp.size, changed, batch: None });
            }
        }
        let Ok(work) = std::fs::read_dir(place.root.join(WORK)) else { continue };
        for entry in work.flatten() {
            let Some((id, _, _, name)) = names::parse_work_name(&names::decode(entry.file_name().as_bytes())) else { continue };
            let bytes = entry.metadata().map(|meta| meta.len()).unwrap_or(0);
            let (source, path) = (place.source.clone(), WORK.to_owned());
            found.push(Lying { source, name, path, kind: StepKind::Claimed, bytes, changed: None, batch: Some(id) });
        }
    }
    found
}

/// Letters to be changed, added or left out (Levenshtein).
fn distance(a: &[char], b: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut before = i;
        let mut left = i + 1;
        let mut next = vec![left];
        for (j, y) in b.iter().enumerate() {
            let above = row.get(j + 1).copied().unwrap_or(usize::MAX);
            let best = (before + usize::from(x != y)).min(above + 1).min(left + 1);
            before = above;
            left = best;
            next.push(best);
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_meant_under_its_temporary_names_too() {
        let table = [
            ("lotto.zip", "lotto.zip", true),
            ("LOTTO.ZIP", "lotto.zip", true),
            ("lotto.zip.part", "lotto.zip", true),
            ("lotto.zip.a1b2c3.partial", "lotto.zip", true),
            (".in.lotto.zip.", "Lotto.zip", true),
            ("lotto.zip.ok", "lotto.zip", false),
            ("lotto2.zip.part", "lotto.zip", false),
            ("lotto.zip2", "lotto.zip", false),
        ];
        for (found, wanted, want) in table {
            assert_eq!(means(found, wanted), want, "{found} for {wanted}");
        }
    }

    #[test]
    fn names_are_compared_by_their_letters() {
        let table = [
            ("lotto.zip", "lotto.zip", 0),
            ("loto.zip", "lotto.zip", 1),
            ("", "abc", 3),
            ("abc", "", 3),
            ("tari-1", "tari-21", 1),
            ("rossi", "russo", 2),
        ];
        for (a, b, want) in table {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            assert_eq!(distance(&chars(a), &chars(b)), want, "{a:?} {b:?}");
        }
    }
}
