//! `rendicontazioni/`: each night, what changed since the night before; each month, all that is open.
//!
//! An export covers lines of the ledger, not hours: after a stop the next one covers all that came since the last, whatever the
//! clock did, and its number follows. It is published as outcome files are: written whole under temporary names, told to the store
//! with the window it covers, renamed, told again. What failed is tried again from the beginning, under the same number.
//!
//! Each gestionale has a task of its own, and its share is touched by threads of its own ([`on_share`]), never by who reads
//! the store: one that hangs keeps nobody else from their exports, and is told of because time has passed.

pub mod night;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::civil::Date;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use self::night::Night;
use super::Hub;
use super::operate::OperateError;
use super::publish::{self, PublishError, told_on_share};
use super::rebuild::{self, commit};
use super::report::ExportReport;
use super::shares::{on_share, on_share_of};
use crate::clock::monotonic;
use crate::domain::digest::Sha256;
use crate::domain::standing::{ExportKind, Statement};
use crate::outbox::exports::{CsvFile, ExportHeader, XmlFile, export_name};
use crate::outbox::place::{self, Pending, Staged};
use crate::store::{Export, ExportsOf, Notice, Publication, Statements, Store, StoreError, WantedExports};

/// Where exports lie.
pub const FOLDER: &str = "rendicontazioni";
/// What their publications are called.
pub const KIND: &str = "RENDICONTAZIONE";
/// Where copies made by command lie, below [`FOLDER`].
pub const COPIES: &str = "copie";
/// Ledger lines read in one transaction of a reader.
const PAGE: u64 = 20_000;
/// After an export that failed (real time).
const LATER: Duration = Duration::from_secs(300);
/// The same where time runs faster.
const SOON: Duration = Duration::from_secs(1);
/// What takes longer than this is told of: a million acts are some ten seconds, so a share hangs (real time).
const SLOW: Duration = Duration::from_secs(900);
/// The same where time runs faster.
const SLOW_SOON: Duration = Duration::from_secs(15);
/// Bytes of a file that wait to be written.
pub const WAITING: usize = 1 << 20;
/// The trouble of a gestionale whose exports do not succeed.
pub const LATE: &str = "RENDICONTAZIONE_IN_RITARDO";
const MADE: &str = "RENDICONTAZIONE_RIUSCITA";

/// How often exports are looked for, real time.
#[derive(Debug, Clone, Copy)]
struct Pace {
    pause: Duration,
    /// After one that failed.
    later: Duration,
    /// One that takes longer than this is late.
    slow: Duration,
}

/// What is known of the exports of each gestionale.
#[derive(Default)]
struct Book {
    under_way: BTreeMap<String, Attempt>,
    failed: BTreeMap<String, Instant>,
    /// Of whom it is known that nothing is late: a trouble may be kept from before the start.
    well: BTreeSet<String>,
}

/// Somebody makes the exports of a gestionale that are due.
struct Attempt {
    begun: Instant,
    late: bool,
    task: JoinHandle<()>,
}

/// Makes exports as they become due, until the hub stops.
pub async fn run(hub: Arc<Hub>) {
    let pace = if hub.clock.is_real() {
        Pace { pause: Duration::from_secs(20), later: LATER, slow: SLOW }
    } else {
        Pace { pause: Duration::from_millis(200), later: SOON, slow: SLOW_SOON }
    };
    paced(hub, pace).await;
}

async fn paced(hub: Arc<Hub>, pace: Pace) {
    let mut book = Book::default();
    let (tell_end, mut ended) = mpsc::unbounded_channel();
    let mut looked: Option<Instant> = None;
    while !hub.stopping.is_cancelled() {
        while let Ok((source, outcome)) = ended.try_recv() {
            book.judge(&hub, source, outcome).await;
        }
        if looked.is_none_or(|at| at.elapsed() >= pace.pause) {
            looked = Some(monotonic());
            for source in &hub.settings().sources {
                book.look(&hub, &source.name, pace, &tell_end).await;
            }
        }
        let nap = pace.pause.saturating_sub(looked.map_or(Duration::ZERO, |at| at.elapsed()));
        tokio::select! {
            () = tokio::time::sleep(nap) => {}
            Some((source, outcome)) = ended.recv() => book.judge(&hub, source, outcome).await,
            () = hub.stopping.cancelled() => {}
        }
    }
    for attempt in book.under_way.into_values() {
        let _ = attempt.task.await;
    }
}

/// How the exports of a gestionale went.
type Ended = (String, Result<(), PublishError>);

impl Book {
    /// Begins the exports of a gestionale that are due, unless it is being done: then for how long is looked at.
    async fn look(&mut self, hub: &Arc<Hub>, source: &str, pace: Pace, tell_end: &mpsc::UnboundedSender<Ended>) {
        // How one that has ended went is judged before another begins.
        if let Some(attempt) = self.under_way.get_mut(source) {
            if !attempt.late && attempt.begun.elapsed() >= pace.slow {
                attempt.late = true;
                tracing::error!(source, "la rendicontazione non va avanti: la cartella del gestionale non risponde");
                self.well.remove(source);
                tell(late(hub, source).await);
            }
            return;
        }
        if self.failed.get(source).is_some_and(|at| at.elapsed() < pace.later) {
            return;
        }
        let (own_hub, name) = (hub.clone(), source.to_owned());
        self.begin(source, async move { due(&own_hub, &name).await }, tell_end);
    }

    /// However it ends, and be it by a defect of ours, it is told.
    fn begin(
        &mut self,
        source: &str,
        work: impl Future<Output = Result<(), PublishError>> + Send + 'static,
        tell_end: &mpsc::UnboundedSender<Ended>,
    ) {
        let (name, tell_end) = (source.to_owned(), tell_end.clone());
        let task = tokio::spawn(async move {
            let outcome = tokio::spawn(work).await.unwrap_or_else(|_| Err(io::Error::other("the work ended badly").into()));
            let _ = tell_end.send((name, outcome));
        });
        self.under_way.insert(source.to_owned(), Attempt { begun: monotonic(), late: false, task });
    }

    async fn judge(&mut self, hub: &Hub, source: String, outcome: Result<(), PublishError>) {
        self.under_way.remove(&source);
        match outcome {
            Ok(()) => {
                self.failed.remove(&source);
                let active = hub.settings().source(&source).is_some_and(|source| source.export.attiva);
                if self.well.insert(source.clone()) {
                    tell(over(hub, &source, active).await);
                }
            }
            Err(PublishError::Store(StoreError::Stopping)) => {}
            Err(error) => {
                tracing::error!(source, %error, "la rendicontazione non è riuscita: si riprova");
                self.well.remove(&source);
                tell(late(hub, &source).await);
                self.failed.insert(source, monotonic());
            }
        }
    }
}

async fn late(hub: &Hub, source: &str) -> Result<bool, StoreError> {
    hub.store.begins(Notice::of_source(LATE, source, source), None, hub.clock.now()).await
}

/// Nothing of a gestionale is late: operators are told, if they knew of it. Where exports were switched off it is forgotten.
async fn over(hub: &Hub, source: &str, active: bool) -> Result<bool, StoreError> {
    if active {
        return hub.store.ends(LATE, Notice::of_source(MADE, source, source), hub.clock.now()).await;
    }
    hub.store.forget_trouble(LATE, source).await.map(|()| false)
}

fn tell(told: Result<bool, StoreError>) {
    if let Err(error) = told {
        tracing::error!(%error, "un avviso non può essere conservato");
    }
}

/// Makes the exports of a gestionale that are due now: that of the night, then that of the month.
async fn due(hub: &Hub, source: &str) -> Result<(), PublishError> {
    let settings = hub.settings();
    let Some(config) = settings.source(source).map(|source| &source.export).filter(|export| export.attiva) else { return Ok(()) };
    let mut known = hub.store.exports_of(source).await?;
    // Before its first line a gestionale has nothing to reconcile.
    let Some(since) = known.since else { return Ok(()) };
    let now = hub.clock.now();
    let last = |export: &Option<Export>| export.as_ref().map_or(since, |export| export.created_at);
    if let Some(night) = night::last_night(now, config.ora).filter(|night| night.is_due(last(&known.changed), now)) {
        make(hub, source, &known, ExportKind::Changed, night).await?;
        known = hub.store.exports_of(source).await?;
    }
    let monthly = night::last_monthly(now, config.ora, config.giorno_mensile);
    if let Some(night) = monthly.filter(|night| known.changed.is_some() && night.is_due(last(&known.open), now)) {
        make(hub, source, &known, ExportKind::Open, night).await?;
    }
    Ok(())
}

/// Makes one export and gives its files their names.
async fn make(hub: &Hub, source: &str, known: &ExportsOf, kind: ExportKind, night: Night) -> Result<(), PublishError> {
    let Some(root) = publish::root(hub, source) else { return Ok(()) };
    let done = known.changed.as_ref().map_or(0, |export| export.to);
    let (after, to) = match kind {
        ExportKind::Changed => (done, known.last_line),
        // As the export of that night left them.
        ExportKind::Open => (0, done),
    };
    // After a restore from a copy: not the numbers that were given after it.
    let floor = hub.store.number_floor(source, FOLDER).await?;
    let number = known.last.as_ref().map_or(0, |last| last.number).max(floor) + 1;
    let before = hub.store.export_files(source, number - 1).await?;
    let export = Export {
        source: source.to_owned(),
        number,
        kind,
        day: night.day,
        after,
        to,
        created_at: publish::instant(hub),
        previous_csv: digest_of(&before, number - 1, "csv"),
        previous_xml: digest_of(&before, number - 1, "xml"),
    };
    let (csv, xml) = render(hub, &export, &root.join(FOLDER)).await?;
    let parked = on_share_of(hub, source, move || place::park_all(vec![csv, xml])).await?;
    let mut files = Vec::new();
    let mut failed = None;
    for (parked, extension) in parked.into_iter().zip(["csv", "xml"]) {
        match parked {
            Ok(parked) => {
                let name = name_of(&export, extension);
                let mut file = publish::publication(source, KIND, FOLDER, &name, &parked, None, export.created_at);
                file.number = Some(number);
                file.lines = Some((after + 1, to));
                files.push(file);
            }
            Err(error) => failed = Some(error),
        }
    }
    if let Some(error) = failed {
        return told_on_share(hub, &root, &files, Err(StoreError::Database(error.to_string()))).await;
    }
    failpoint!("export.parked");
    let saved = hub.store.prepare_export(export, files.clone()).await;
    told_on_share(hub, &root, &files, saved).await?;
    failpoint!("export.prepared");
    for file in &files {
        publish::reveal(hub, &root, file).await?;
        failpoint!("export.between");
    }
    tracing::info!(source, number, kind = kind.as_str(), lines = to - after, "rendicontazione pubblicata");
    Ok(())
}

fn digest_of(files: &[Publication], number: u64, extension: &str) -> Option<Sha256> {
    let wanted = |file: &&Publication| file.number == Some(number) && file.name.rsplit('.').next() == Some(extension);
    files.iter().find(wanted).map(|file| file.sha256)
}

/// What the files of an export say of it.
pub fn header(export: &Export, previous: Option<Sha256>) -> ExportHeader {
    ExportHeader {
        source: export.source.clone(),
        number: export.number,
        kind: export.kind,
        day: export.day,
        after: export.after,
        to: export.to,
        created_at: export.created_at,
        previous,
    }
}

fn name_of(export: &Export, extension: &str) -> String {
    export_name(&header(export, None), extension)
}

/// Both files of an export, being written.
struct Files {
    csv: CsvFile<Staged>,
    xml: XmlFile<Staged>,
}

impl Statements for Files {
    fn row(&mut self, row: &Statement<'_>) -> io::Result<()> {
        self.csv.row(row)?;
        self.xml.row(row)
    }

    fn is_full(&self) -> bool {
        self.csv.out().waiting() + self.xml.out().waiting() > WAITING
    }
}

/// Keeps rows while they are read, and writes them when nobody waits for it.
pub trait Sink: Statements {
    /// Writes what was kept.
    fn put_out(&mut self) -> io::Result<()>;
}

impl Sink for Files {
    fn put_out(&mut self) -> io::Result<()> {
        self.csv.out_mut().put_out()?;
        self.xml.out_mut().put_out()
    }
}

/// Writes both forms of an export into temporary files of `dir`, a page of lines at a time.
async fn render(hub: &Hub, export: &Export, dir: &Path) -> Result<(Pending, Pending), PublishError> {
    let (of_csv, of_xml, dir) = (header(export, export.previous_csv), header(export, export.previous_xml), dir.to_owned());
    let files = on_share_of(hub, &export.source, move || {
        let begin = || Pending::begin(&dir).map(Staged::new);
        Ok::<_, io::Error>(Files { csv: CsvFile::begin(of_csv, begin()?)?, xml: XmlFile::begin(&of_xml, begin()?)? })
    });
    let files = pages(&hub.store, export, &hub.stopping, files.await??).await?;
    let end = move || Ok::<_, io::Error>((files.csv.end()?.end()?, files.xml.end()?.end()?));
    Ok(on_share_of(hub, &export.source, end).await??)
}

/// Gives every row of an export to `sink`, a page of lines at a time, until someone is `stopping`. Nothing of the store is held while
/// it is written.
pub async fn pages<S: Sink>(store: &Store, export: &Export, stopping: &CancellationToken, mut sink: S) -> Result<S, PublishError> {
    let mut first = export.after + 1;
    while first <= export.to {
        if stopping.is_cancelled() {
            return Err(StoreError::Stopping.into());
        }
        let last = export.to.min(first.saturating_add(PAGE - 1));
        let (mut full, given) = store.statements(export, first, last, sink).await?;
        first = given? + 1;
        let put_out;
        (sink, put_out) = on_share(stopping, move || {
            let put_out = full.put_out();
            (full, put_out)
        })
        .await?;
        put_out?;
        failpoint!("export.page");
    }
    Ok(sink)
}

/// An export printed again is what was published, or nothing.
enum Reprinted {
    Same(Box<(Pending, Pending)>),
    Gone(String),
    Differs,
}

async fn reprint(hub: &Hub, root: &Path, export: &Export, files: &[Publication]) -> Result<Reprinted, PublishError> {
    if let Some(gone) = hub.store.export_gone(export).await? {
        return Ok(Reprinted::Gone(hub.day(gone.at)));
    }
    let (csv, xml) = render(hub, export, &root.join(FOLDER)).await?;
    // Deleted while it was read.
    if let Some(gone) = hub.store.export_gone(export).await? {
        return Ok(Reprinted::Gone(hub.day(gone.at)));
    }
    let same = |pending: &Pending, extension| digest_of(files, export.number, extension) == Some(pending.sha256());
    if same(&csv, "csv") && same(&xml, "xml") { Ok(Reprinted::Same(Box::new((csv, xml)))) } else { Ok(Reprinted::Differs) }
}

/// Writes exports again, byte for byte, as copies in a folder of their own.
pub(super) async fn again(hub: &Hub, source: Option<&str>, from: &str, to: &str) -> Result<ExportReport, OperateError> {
    let settings = hub.settings();
    let wanted = wanted(from, to)?;
    if matches!(wanted, WantedExports::Numbers(..)) && source.is_none() {
        return Err(OperateError::NotAnExport { text: from.to_owned() });
    }
    if let Some(source) = source.filter(|source| settings.source(source).is_none()) {
        return Err(OperateError::UnknownSource { source: source.to_owned() });
    }
    let mut report = ExportReport { files: 0, copies: Vec::new() };
    for name in settings.sources.iter().map(|own| own.name.clone()).filter(|name| source.is_none_or(|source| source == name)) {
        let exports = hub.store.exports(&name, wanted).await?;
        let Some(root) = publish::root(hub, &name) else { continue };
        for export in &exports {
            let copied = rebuild::within(hub, &name, rebuild::PATIENCE, copy(hub, &root, export)).await;
            let (written, names) = copied.map_err(|error| refused(&name, error))?.map_err(|reason| match reason {
                Some(day) => OperateError::ExportGone { name: name_of(export, "csv"), day },
                None => OperateError::ExportDiffers { name: name_of(export, "csv") },
            })?;
            report.files += written;
            report.copies.extend(names.into_iter().map(|file| format!("{name}/{FOLDER}/{COPIES}/{file}")));
        }
    }
    if report.copies.is_empty() {
        return Err(OperateError::ExportNotFound { from: from.to_owned(), to: to.to_owned() });
    }
    Ok(report)
}

fn refused(source: &str, error: PublishError) -> OperateError {
    tracing::error!(source, %error, "la rendicontazione non può essere rifatta");
    match error {
        PublishError::Store(error) => error.into(),
        error => OperateError::PublishFailed { code: error.code().to_owned() },
    }
}

/// Copies of both files of an export: how many were written, and their names. Refused: since that day its rows are gone, or
/// (`None`) it does not come out as it was.
type Copied = Result<(u64, [String; 2]), Option<String>>;

async fn copy(hub: &Hub, root: &Path, export: &Export) -> Result<Copied, PublishError> {
    let files = hub.store.export_files(&export.source, export.number).await?;
    let (csv, xml) = match reprint(hub, root, export, &files).await? {
        Reprinted::Same(files) => *files,
        Reprinted::Gone(day) => return Ok(Err(Some(day))),
        Reprinted::Differs => return Ok(Err(None)),
    };
    let (dir, names) = (root.join(FOLDER).join(COPIES), ["csv", "xml"].map(|extension| name_of(export, extension)));
    let [first, second] = names.clone();
    let placed = on_share_of(hub, &export.source, move || {
        Ok::<_, io::Error>([csv.commit_in(&dir, &first)?.already_there, xml.commit_in(&dir, &second)?.already_there])
    });
    let there = placed.await??;
    Ok(Ok((there.iter().filter(|there| !**there).count() as u64, names)))
}

/// Exports that are no longer where they were come back under their own names. Answers how many files were written.
pub(super) async fn restore(hub: &Hub, root: &Path, source: &str) -> Result<usize, PublishError> {
    let files = hub.store.export_files(source, 1).await?;
    let mut written = 0;
    for export in hub.store.exports(source, WantedExports::Numbers(1, u64::MAX)).await? {
        let own = |file: &&Publication| file.number == Some(export.number) && file.published;
        let ours = |name: &str| files.iter().filter(own).any(|file| file.name == name);
        let wanted = ["csv", "xml"].map(|extension| name_of(&export, extension)).map(|name| (ours(&name), root.join(FOLDER).join(name)));
        let missing = move || wanted.map(|(ours, path)| ours && !path.exists());
        let [csv_missing, xml_missing] = on_share_of(hub, source, missing).await?;
        if !csv_missing && !xml_missing {
            continue;
        }
        match reprint(hub, root, &export, &files).await? {
            Reprinted::Same(files) => {
                let (csv, xml) = *files;
                let names = ["csv", "xml"].map(|extension| name_of(&export, extension));
                let give = move || {
                    let [of_csv, of_xml] = names;
                    let csv = csv_missing && commit(csv, &of_csv)?;
                    Ok::<_, io::Error>(usize::from(csv) + usize::from(xml_missing && commit(xml, &of_xml)?))
                };
                written += on_share_of(hub, source, give).await??;
            }
            // What is not kept is not given again.
            Reprinted::Gone(_) | Reprinted::Differs => {
                tracing::warn!(source, number = export.number, "una rendicontazione non può più essere rifatta uguale");
            }
        }
    }
    Ok(written)
}

/// Both numbers or both dates, in order.
fn wanted(from: &str, to: &str) -> Result<WantedExports, OperateError> {
    let (from, to) = (from.trim(), to.trim());
    let days = from.parse::<Date>().ok().zip(to.parse::<Date>().ok()).filter(|_| from.contains('-') && to.contains('-'));
    match (from.parse::<u64>(), to.parse::<u64>(), days) {
        (Ok(first), Ok(last), _) => Ok(WantedExports::Numbers(first, last)),
        (_, _, Some((first, last))) => Ok(WantedExports::Days(first, last)),
        (Ok(_), Err(_), _) => Err(OperateError::NotAnExport { text: to.to_owned() }),
        _ => Err(OperateError::NotAnExport { text: from.to_owned() }),
    }
}

#[cfg(test)]
mod tests;
