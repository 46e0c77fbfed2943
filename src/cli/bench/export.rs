//! `messo bench export`: a nightly export of many acts, beside `sqlite3 -csv` dumping the same columns by one query.
//!
//! Each in a process of its own, in turns, each with its file brought to the disk. The rival writes values as they lie in the store;
//! messo writes Italian dates, sums, totals and digest too.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::child::Job as Child;
use super::measure::{Workshop, best, in_child, peak_mib, round, rounded, settle_disk, timed};
use super::{Report, judged};
use crate::domain::standing::{ExportKind, Statement};
use crate::outbox::exports::{CsvFile, XmlFile};
use crate::outbox::place::{Pending, Staged};
use crate::service::exports::{Sink, WAITING, header, pages};
use crate::store::{Export, Statements, Store, rows_sql};

/// CSV over `sqlite3 -csv`.
const GOAL: f64 = 1.5;
/// MiB that the peak may grow from a hundredth of the acts to all.
const GOAL_GROWTH: f64 = 4.0;

/// Rendicontazione di molti atti.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Atti variati.
    #[arg(long, default_value_t = 1_000_000)]
    acts: u64,
    /// Quante volte si misura: vale la migliore.
    #[arg(long, default_value_t = 3)]
    runs: u64,
}

/// Fills a store.
#[derive(Debug, Serialize, Deserialize)]
pub struct Fill {
    dir: PathBuf,
    acts: u64,
}

/// Writes one export, or its first lines.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Job {
    dir: PathBuf,
    acts: u64,
    lines: u64,
    what: Form,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Form {
    Csv,
    Xml,
    Both,
}

/// What it took.
#[derive(Debug, Serialize, Deserialize)]
pub struct Took {
    rows: u64,
    bytes: u64,
    peak_mib: f64,
}

/// Runs the bench.
pub fn run(args: &Args, dir: Option<&Path>) -> Result<Report, String> {
    let shop = Workshop::new(dir)?;
    let store = shop.path().join("dati");
    let acts = args.acts.max(100);
    let (fill_seconds, told) = in_child::<u64>(&Child::FillExport(Fill { dir: store.clone(), acts }))?;
    let database = std::fs::metadata(store.join("messo.db")).map_or(0, |meta| meta.len());
    let export = window(acts, told);
    let job = |what, lines| Child::Export(Job { dir: store.clone(), acts, lines, what });
    let all = export.to - export.after;
    let (mut csv, mut xml, mut both, mut theirs) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut peak, mut bytes) = (0.0_f64, [0; 2]);
    for _ in 0..args.runs.max(1) {
        settle_disk();
        theirs.push(rival(&store.join("messo.db"), &export, &shop.path().join("rivale.csv"), acts)?);
        for (what, seconds) in [(Form::Csv, &mut csv), (Form::Xml, &mut xml), (Form::Both, &mut both)] {
            settle_disk();
            let (took, told) = in_child::<Took>(&job(what, all))?;
            if told.rows != acts {
                return Err(format!("{} righe per {acts} atti", told.rows));
            }
            seconds.push(took);
            peak = peak.max(told.peak_mib);
            match what {
                Form::Csv => bytes[0] = told.bytes,
                Form::Xml => bytes[1] = told.bytes,
                Form::Both => {}
            }
        }
    }
    // The last lines of the window are the last change of a hundredth of the acts.
    let (_, few) = in_child::<Took>(&job(Form::Both, acts / 100))?;
    let ratio = best(&csv) / best(&theirs);
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let [csv_bytes, xml_bytes] = bytes;
    let text = vec![
        format!("{acts} atti variati, {:.1} GiB di base dati, riempita in {fill_seconds:.0} s", mib(database) / 1024.0),
        format!("CSV: {:.2} s ({:.0} MiB)", best(&csv), mib(csv_bytes)),
        format!("XML: {:.2} s ({:.0} MiB)", best(&xml), mib(xml_bytes)),
        format!("CSV e XML insieme, come ogni notte: {:.2} s", best(&both)),
        format!("sqlite3 -csv: {:.2} s", best(&theirs)),
        format!("rapporto del CSV: {}", judged(ratio, GOAL)),
        format!("memoria di picco: {peak:.0} MiB; con un centesimo degli atti {:.0} MiB", few.peak_mib),
    ];
    let figures = json!({
        "bench": "export", "acts": acts, "database_bytes": database, "fill_seconds": round(fill_seconds),
        "seconds": round(best(&csv)), "xml_seconds": round(best(&xml)), "both_seconds": round(best(&both)),
        "csv_bytes": csv_bytes, "xml_bytes": xml_bytes,
        "rival": {"command": "sqlite3 -csv", "seconds": round(best(&theirs))},
        "ratio": round(ratio), "goal": GOAL, "ratio_xml": round(best(&xml) / best(&theirs)),
        "peak_mib": round(peak), "peak_mib_hundredth": round(few.peak_mib), "growth_mib": round(peak - few.peak_mib), "goal_growth_mib": GOAL_GROWTH,
        "runs": {"seconds": rounded(&csv), "xml_seconds": rounded(&xml), "both_seconds": rounded(&both), "rival_seconds": rounded(&theirs)},
    });
    Ok(Report { text, figures })
}

/// The export of a filled store, up to `to`.
fn window(acts: u64, to: u64) -> Export {
    Export {
        source: "misura".to_owned(),
        number: 1,
        kind: ExportKind::Changed,
        day: jiff::civil::Date::constant(2026, 11, 23),
        after: acts,
        to,
        created_at: jiff::Timestamp::UNIX_EPOCH,
        previous_csv: None,
        previous_xml: None,
    }
}

/// Seconds of `sqlite3 -csv`, its file on the disk.
fn rival(database: &Path, export: &Export, out: &Path, rows: u64) -> Result<f64, String> {
    let text = |error: io::Error| format!("sqlite3: {error}");
    let file = File::create(out).map_err(text)?;
    let to = file.try_clone().map_err(text)?;
    let (seconds, ended) = timed(|| {
        let mut command = Command::new("sqlite3");
        command.args(["-readonly", "-csv"]).arg(database).arg(rows_sql(export)).stdin(Stdio::null()).stdout(to).stderr(Stdio::piped());
        let ended = command.output()?;
        file.sync_all()?;
        Ok(ended)
    });
    let ended = ended.map_err(text)?;
    if !ended.status.success() {
        return Err(format!("sqlite3: {}", String::from_utf8_lossy(&ended.stderr).trim()));
    }
    let written = io::BufRead::split(io::BufReader::new(File::open(out).map_err(text)?), b'\n').count() as u64;
    if written == rows { Ok(seconds) } else { Err(format!("sqlite3: {written} righe per {rows} atti")) }
}

/// Fills a store; answers the last line of the window.
pub async fn fill(job: &Fill) -> Result<u64, String> {
    let store = Store::open(&job.dir).map_err(|error| error.to_string())?;
    let export = store.fill_for_export(job.acts).await.map_err(|error| error.to_string())?;
    store.close();
    Ok(export.to)
}

/// Takes rows for one format or both, and counts them.
struct Rows {
    csv: Option<CsvFile<Staged>>,
    xml: Option<XmlFile<Staged>>,
    rows: u64,
}

impl Statements for Rows {
    fn row(&mut self, row: &Statement<'_>) -> io::Result<()> {
        self.rows += 1;
        self.csv.as_mut().map_or(Ok(()), |csv| csv.row(row))?;
        self.xml.as_mut().map_or(Ok(()), |xml| xml.row(row))
    }

    fn is_full(&self) -> bool {
        let csv = self.csv.as_ref().map_or(0, |csv| csv.out().waiting());
        csv + self.xml.as_ref().map_or(0, |xml| xml.out().waiting()) > WAITING
    }
}

impl Sink for Rows {
    fn put_out(&mut self) -> io::Result<()> {
        self.csv.as_mut().map_or(Ok(()), |csv| csv.out_mut().put_out())?;
        self.xml.as_mut().map_or(Ok(()), |xml| xml.out_mut().put_out())
    }
}

/// Writes it.
pub async fn measured(job: &Job) -> Result<Took, String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let store = Store::open(&job.dir).map_err(|error| text(&error))?;
    let to = job.acts * 3;
    let export = Export { after: to - job.lines, ..window(job.acts, to) };
    let dir = job.dir.join("file");
    let begin = || Pending::begin(&dir).map(Staged::new).map_err(|error| text(&error));
    let csv = (job.what != Form::Xml).then(|| CsvFile::begin(header(&export, None), begin()?).map_err(|error| text(&error))).transpose()?;
    let xml =
        (job.what != Form::Csv).then(|| XmlFile::begin(&header(&export, None), begin()?).map_err(|error| text(&error))).transpose()?;
    let sink = pages(&store, &export, &CancellationToken::new(), Rows { csv, xml, rows: 0 }).await.map_err(|error| text(&error))?;
    let mut bytes = 0;
    let done = [sink.csv.map(CsvFile::end), sink.xml.map(XmlFile::end)];
    for pending in done.into_iter().flatten() {
        let parked = pending.and_then(Staged::end).and_then(Pending::park).map_err(|error| text(&error))?;
        bytes += parked.len;
        let _ = std::fs::remove_file(dir.join(&parked.temporary));
    }
    Ok(Took { rows: sink.rows, bytes, peak_mib: peak_mib() })
}
