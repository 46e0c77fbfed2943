//! What the folders of a gestionale tell of the time after a copy: numbers that are spent, drops that were answered, acts that
//! were told of. The gestionale may have taken files away: `.messo/numeri` still says how far numbers went.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use quick_xml::Reader;
use quick_xml::events::Event;
use serde_json::json;

use super::{RestoreError, disk};
use crate::config::{LoadedConfig, SourceSystem};
use crate::domain::digest::{Hasher, Sha256};
use crate::domain::ids::{ActId, BatchId};
use crate::flow::event::Order;
use crate::intake::{claim, names};
use crate::outbox::marks::{self, Mark};
use crate::outbox::verify::export_of;
use crate::service::exports;
use crate::store::{Gap, GapKind, NumberedFile, Store, StoreError};

/// Who withdraws again what was withdrawn after the copy.
const WHO: &str = "messo (ripristino)";
/// Gaps saved together.
const TOGETHER: usize = 500;
/// Bytes of a receipt that are looked at: what it says of its drop comes first.
const HEAD_OF_RECEIPT: u64 = 64 << 10;
/// A drop may have come so long before the copy and been answered after it.
const BEFORE: SignedDuration = SignedDuration::from_hours(48);

/// Reads the folders of one gestionale into the store.
pub async fn read(store: &Store, source: &SourceSystem, copied_at: Timestamp, now: Timestamp) -> Result<(), RestoreError> {
    let marks = marks::read(&source.root).map_err(disk(&source.root))?;
    let mark = |kind: &str| marks.iter().find(|mark| mark.kind == kind).cloned();
    outcomes(store, source, mark("ESITO"), now).await?;
    indexes(store, source, mark("INDICE"), now).await?;
    statements(store, source, mark(exports::KIND), now).await?;
    receipts(store, source, copied_at).await
}

/// Numbered files of a folder, by number: `<prefix>000123.xml`; copies of files are left out.
fn numbered(folder: &Path, prefix: &str, extension: &str) -> Result<BTreeMap<u64, String>, RestoreError> {
    let mut found = BTreeMap::new();
    for name in names_in(folder)? {
        let number = name.strip_prefix(prefix).and_then(|rest| rest.strip_suffix(extension));
        if let Some(number) = number.filter(|digits| digits.len() >= 6).and_then(|digits| digits.parse().ok()) {
            found.insert(number, name);
        }
    }
    Ok(found)
}

/// Names in a folder; none when there is no folder.
fn names_in(folder: &Path) -> Result<Vec<String>, RestoreError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(disk(folder)(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        names.extend(entry.map_err(disk(folder))?.file_name().into_string().ok());
    }
    Ok(names)
}

fn hash(path: &Path) -> Result<(Sha256, u64), RestoreError> {
    let mut file = File::open(path).map_err(disk(path))?;
    let (mut hasher, mut size, mut buffer) = (Hasher::new(), 0, vec![0; 64 << 10]);
    loop {
        let read = file.read(&mut buffer).map_err(disk(path))?;
        if read == 0 {
            return Ok((hasher.finish(), size));
        }
        hasher.update(buffer.get(..read).unwrap_or_default());
        size += read as u64;
    }
}

/// Outcome files after those that the store knows.
async fn outcomes(store: &Store, source: &SourceSystem, mark: Option<Mark>, now: Timestamp) -> Result<(), RestoreError> {
    let (known, known_line) = store.known_numbers(&source.name, "ESITO").await?;
    let folder = source.root.join("esiti");
    let prefix = format!("esito_{}_", source.name);
    let mut files = Vec::new();
    let (mut last, mut last_line) = (mark.as_ref().map_or(0, |mark| mark.number), mark.as_ref().map_or(0, |mark| mark.line));
    let mut seen = Vec::new();
    let mut withdrawals = Vec::new();
    for extension in [".xml", ".csv"] {
        for (number, name) in numbered(&folder, &prefix, extension)?.into_iter().filter(|(number, _)| *number > known) {
            let path = folder.join(&name);
            let (sha256, size) = hash(&path)?;
            let mut lines = None;
            if extension == ".xml" {
                lines = read_outcome(store, source, &path, &mut withdrawals).await?;
            }
            last = last.max(number);
            last_line = last_line.max(lines.map_or(0, |(_, last)| last));
            seen.push(number);
            files.push(NumberedFile { kind: "ESITO".to_owned(), number, folder: "esiti".to_owned(), name, sha256, size, lines });
        }
    }
    if last <= known {
        return Ok(());
    }
    // The file before the next one may have been taken away: the next must name its digest all the same.
    let missing = !files.iter().any(|file| file.number == last && file.name.ends_with(".xml"));
    if let Some(xml) = mark.as_ref().filter(|mark| mark.number == last && missing).and_then(|mark| mark.xml) {
        let name = format!("{prefix}{last:06}.xml");
        files.push(NumberedFile {
            kind: "ESITO".to_owned(),
            number: last,
            folder: "esiti".to_owned(),
            name,
            sha256: xml,
            size: 0,
            lines: None,
        });
    }
    // Of the last one only the CSV was left: its lines are not told by anything else, and a number too many harms less than one twice.
    let marked = mark.as_ref().is_some_and(|mark| mark.number == last && mark.line > 0);
    if !marked && !files.iter().any(|file| file.number == last && file.lines.is_some()) {
        last_line = last_line.max(known_line) + LEAP;
    }
    seen.sort_unstable();
    seen.dedup();
    let visible: Vec<u64> = seen;
    let data = json!({
        "conosciuti_fino_a": known, "pubblicati_fino_a": last, "righe_da": known_line + 1, "righe_a": last_line, "visibili": visible.len(),
    });
    store.adopt_numbers(&source.name, files, last, last_line, now).await?;
    // Only now: a withdrawal writes a line, and its number must be a new one.
    for Withdrawn { act, why, at } in withdrawals {
        match store.order(act, Order::Cancel, WHO, &why, at).await {
            Ok(_) | Err(StoreError::Order(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    numbers_gap(store, source, "esiti", data).await
}

/// An act that was withdrawn after the copy, as an outcome file tells.
struct Withdrawn {
    act: ActId,
    why: String,
    at: Timestamp,
}

/// Lines skipped when nothing says how many there were.
const LEAP: u64 = 10_000_000;

/// Indexes of attestations after those that the store knows.
async fn indexes(store: &Store, source: &SourceSystem, mark: Option<Mark>, now: Timestamp) -> Result<(), RestoreError> {
    let (known, _) = store.known_numbers(&source.name, "INDICE").await?;
    let folder = source.root.join("attestazioni");
    let mut files = Vec::new();
    let mut last = mark.as_ref().map_or(0, |mark| mark.number);
    for extension in [".csv", ".xml"] {
        for (number, name) in numbered(&folder, "indice_", extension)?.into_iter().filter(|(number, _)| *number > known) {
            let (sha256, size) = hash(&folder.join(&name))?;
            last = last.max(number);
            files.push(NumberedFile {
                kind: "INDICE".to_owned(),
                number,
                folder: "attestazioni".to_owned(),
                name,
                sha256,
                size,
                lines: None,
            });
        }
    }
    if last <= known {
        return Ok(());
    }
    let visible = files.iter().filter(|file| file.name.ends_with(".csv")).count();
    if !files.iter().any(|file| file.number == last) {
        let sha256 = mark.and_then(|mark| mark.xml).unwrap_or(Sha256::from_bytes([0; 32]));
        let name = format!("indice_{last:06}.xml");
        files.push(NumberedFile {
            kind: "INDICE".to_owned(),
            number: last,
            folder: "attestazioni".to_owned(),
            name,
            sha256,
            size: 0,
            lines: None,
        });
    }
    store.adopt_numbers(&source.name, files, 0, 0, now).await?;
    let data = json!({ "conosciuti_fino_a": known, "pubblicati_fino_a": last, "visibili": visible });
    numbers_gap(store, source, "attestazioni", data).await
}

/// Exports after those that the store knows: their numbers are spent, and the next one names the digests of the last.
async fn statements(store: &Store, source: &SourceSystem, mark: Option<Mark>, now: Timestamp) -> Result<(), RestoreError> {
    let (known, _) = store.known_numbers(&source.name, exports::KIND).await?;
    let folder = source.root.join(exports::FOLDER);
    let mut last = mark.as_ref().map_or(0, |mark| mark.number);
    let mut files = Vec::new();
    let file = |number, name, (sha256, size)| NumberedFile {
        kind: exports::KIND.to_owned(),
        number,
        folder: exports::FOLDER.to_owned(),
        name,
        sha256,
        size,
        lines: None,
    };
    for name in names_in(&folder)? {
        // What else an office keeps there may have digits in its name.
        let Some(number) = export_of(&source.name, &name) else { continue };
        last = last.max(number);
        if number > known {
            let told = hash(&folder.join(&name))?;
            files.push(file(number, name, told));
        }
    }
    if let Some(mark) = mark.filter(|mark| mark.number == last && last > known) {
        // The gestionale has taken them away: the next ones must name their digests all the same.
        for (extension, taken) in [("csv", mark.csv), ("xml", mark.xml)] {
            let there = files.iter().any(|file| file.number == last && file.name.rsplit('.').next() == Some(extension));
            let taken = taken.filter(|_| !there);
            files.extend(taken.map(|digest| file(last, format!("rendicontazione_{}_{last:06}.{extension}", source.name), (digest, 0))));
        }
    }
    store.adopt_numbers(&source.name, files, 0, 0, now).await?;
    if last > 0 {
        store.raise_number_floor(&source.name, exports::FOLDER, last).await?;
    }
    Ok(())
}

async fn numbers_gap(store: &Store, source: &SourceSystem, folder: &str, data: serde_json::Value) -> Result<(), RestoreError> {
    let gap = Gap {
        kind: GapKind::Numbers,
        source: source.name.clone(),
        about: folder.to_owned(),
        sender: None,
        iun: None,
        sha256: None,
        data,
        recovered: None,
    };
    Ok(store.note_gaps(vec![gap]).await?)
}

/// One line of an outcome file, as far as it is needed here.
#[derive(Default)]
struct Told {
    values: BTreeMap<String, String>,
}

impl Told {
    fn of(&self, name: &str) -> &str {
        self.values.get(name).map_or("", String::as_str)
    }
}

/// Reads an outcome file that the store does not know: answers its first and last line, and keeps what it says of acts.
async fn read_outcome(
    store: &Store,
    source: &SourceSystem,
    path: &Path,
    withdrawals: &mut Vec<Withdrawn>,
) -> Result<Option<(u64, u64)>, RestoreError> {
    let mut reader = Reader::from_reader(BufReader::new(File::open(path).map_err(disk(path))?));
    let (mut buffer, mut element, mut text) = (Vec::new(), String::new(), String::new());
    let (mut first, mut last) = (0, 0);
    let mut told = Told::default();
    let mut gaps: BTreeMap<(String, String), Gap> = BTreeMap::new();
    // What is not readable as XML is not of messo, or was cut: the numbers of what was read so far still count.
    while let Ok(event) = reader.read_event_into(&mut buffer) {
        match event {
            Event::Start(start) => {
                element = start.local_name().as_ref().to_owned();
                text.clear();
            }
            Event::Text(part) => text.push_str(&part),
            Event::GeneralRef(entity) => text.push(resolve(&entity)),
            Event::End(end) => {
                let name = end.local_name();
                match name.as_ref() {
                    "prima_riga" => first = text.parse().unwrap_or(0),
                    "ultima_riga" => last = text.parse().unwrap_or(0),
                    "esito_atto" => {
                        withdrawals.extend(line(store, source, &std::mem::take(&mut told), &mut gaps).await?);
                        if gaps.len() >= TOGETHER {
                            store.note_gaps(std::mem::take(&mut gaps).into_values().collect()).await?;
                        }
                    }
                    name if name == element => drop(told.values.insert(element.clone(), std::mem::take(&mut text))),
                    _ => {}
                }
            }
            Event::Eof => break,
            _ => {}
        }
        buffer.clear();
    }
    store.note_gaps(gaps.into_values().collect()).await?;
    Ok((last >= first && first > 0).then_some((first, last)))
}

fn resolve(entity: &quick_xml::events::BytesRef<'_>) -> char {
    match entity.as_ref() {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        _ => entity.resolve_char_ref().ok().flatten().unwrap_or('\u{fffd}'),
    }
}

/// What one line says of an act: unknown here it is a gap; withdrawn there, it is to be withdrawn here too.
async fn line(
    store: &Store,
    source: &SourceSystem,
    told: &Told,
    gaps: &mut BTreeMap<(String, String), Gap>,
) -> Result<Option<Withdrawn>, RestoreError> {
    let (sender, reference, event) = (told.of("ente"), told.of("riferimento"), told.of("evento"));
    let submission = told.of("invio").parse().unwrap_or(1);
    if sender.is_empty() || reference.is_empty() {
        return Ok(None);
    }
    let known = store.act_named(sender, &source.name, reference, submission).await?;
    if known.is_some() && !["RITIRATO", "MODIFICATO"].contains(&event) {
        return Ok(None); // SEND tells of it again
    }
    let withdrawn = known.filter(|_| event == "RITIRATO").map(|act| Withdrawn {
        act,
        why: format!("ritirato dopo la copia, riga {} degli esiti", told.of("riga")),
        at: told.of("scritto_utc").parse().unwrap_or(Timestamp::UNIX_EPOCH),
    });
    let iun = Some(told.of("iun")).filter(|iun| !iun.is_empty()).map(str::to_owned);
    let data =
        json!({ "riga": told.of("riga"), "lotto": told.of("lotto"), "invio": submission, "stato": told.of("stato"), "evento": event });
    let gap = gaps.entry((sender.to_owned(), reference.to_owned())).or_insert_with(|| Gap {
        kind: GapKind::Act,
        source: source.name.clone(),
        about: reference.to_owned(),
        sender: Some(sender.to_owned()),
        iun: None,
        sha256: None,
        data: json!({}),
        recovered: None,
    });
    // The last line about it counts.
    gap.iun = iun.or(gap.iun.take());
    gap.data = data;
    Ok(withdrawn)
}

/// Receipts of drops that the store does not know.
async fn receipts(store: &Store, source: &SourceSystem, copied_at: Timestamp) -> Result<(), RestoreError> {
    let folder = source.root.join("ricevute");
    let from = copied_at.saturating_sub(BEFORE).unwrap_or(Timestamp::MIN);
    let from = crate::service::rome(from).strftime("%Y%m%dT%H%M%S").to_string();
    let mut names: Vec<String> = fs::read_dir(&folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.ends_with(".xml") && !name.starts_with('.') && *name >= from)
        .collect();
    names.sort();
    let mut gaps = Vec::new();
    for name in names {
        let Some(receipt) = read_receipt(&folder.join(&name)) else { continue };
        let Ok(id) = receipt.of("lotto").parse::<BatchId>() else { continue };
        let answered = matches!(receipt.of("stato"), "PRESA_IN_CARICO" | "PARZIALE") && receipt.of("prova") != "true";
        if !answered || store.knows_batch(id).await? {
            continue;
        }
        gaps.push(Gap {
            kind: GapKind::Batch,
            source: source.name.clone(),
            about: id.to_string(),
            sender: None,
            iun: None,
            sha256: Sha256::parse(receipt.of("sha256")),
            // The name of the file is the gestionale's, and may name people: the receipt has it.
            data: json!({ "ricevuta": short(&name), "ricevuto_utc": receipt.of("ricevuto_utc"), "stato": receipt.of("stato") }),
            recovered: None,
        });
        if gaps.len() >= TOGETHER {
            store.note_gaps(std::mem::take(&mut gaps)).await?;
        }
    }
    Ok(store.note_gaps(gaps).await?)
}

/// `20261122T180102_b302099a8057`: what a receipt's name says without the name of the drop.
fn short(name: &str) -> String {
    name.splitn(3, '_').take(2).collect::<Vec<_>>().join("_")
}

/// The elements at the beginning of a receipt, up to its problems.
fn read_receipt(path: &Path) -> Option<Told> {
    let mut reader = Reader::from_reader(BufReader::new(File::open(path).ok()?.take(HEAD_OF_RECEIPT)));
    let (mut buffer, mut element, mut text) = (Vec::new(), String::new(), String::new());
    let mut told = Told::default();
    loop {
        match reader.read_event_into(&mut buffer).ok()? {
            Event::Start(start) => {
                element = start.local_name().as_ref().to_owned();
                text.clear();
            }
            Event::Text(part) => text.push_str(&part),
            Event::GeneralRef(entity) => text.push(resolve(&entity)),
            Event::End(end) => {
                match end.local_name().as_ref() {
                    "deposito" => return Some(told),
                    name if name == element => drop(told.values.entry(element.clone()).or_insert_with(|| std::mem::take(&mut text))),
                    _ => {}
                }
                element.clear();
            }
            Event::Eof => return None,
            _ => {}
        }
        buffer.clear();
    }
}

/// Drops that were being read when the copy was made: read on from their claimed file if it is still there, else from the kept
/// archive, else told to their gestionale as unreadable.
pub async fn settle_reading(store: &Store, loaded: &LoadedConfig, now: Timestamp) -> Result<(), RestoreError> {
    for (batch, sha256, name) in store.under_reading().await? {
        let Some(source) = loaded.config.source(&name) else { continue };
        if is_claimed(&source.root, batch) || store.replay_of(batch).await?.is_some() {
            continue;
        }
        let kept = sha256.filter(|sha256| crate::store::archives::kept_path(&loaded.config.data.join("archivi"), sha256).is_file());
        let gap = Gap {
            kind: GapKind::Drop,
            source: name.clone(),
            about: batch.to_string(),
            sender: None,
            iun: None,
            sha256,
            data: json!({ "archivio_conservato": kept.is_some() }),
            recovered: None,
        };
        store.note_gaps(vec![gap]).await?;
        // Without an archive the same work says so in a receipt.
        store.reread_batch(batch, now).await?;
    }
    Ok(())
}

/// Whether the claimed file of a drop waits in the work folder.
fn is_claimed(root: &Path, batch: BatchId) -> bool {
    let entries = fs::read_dir(root.join(claim::WORK)).into_iter().flatten().flatten();
    let ids = entries.filter_map(|entry| names::parse_work_name(entry.file_name().to_str()?));
    ids.into_iter().any(|(id, ..)| id == batch)
}

#[cfg(test)]
#[path = "folders_tests.rs"]
mod tests;
