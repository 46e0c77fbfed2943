//! `messo bench ingest`: from the end of the stability window to the durable receipt, beside `unzip -p X | sha256sum`, which
//! reads and hashes the same bytes and knows nothing of acts.

use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::child::Job as Child;
use super::house::{House, Plan};
use super::measure::{POLL, Workshop, best, cpu_seconds, in_child, peak_mib, rival, round, rounded, settle_disk};
use super::sample::{self, Batch, Layout};
use super::{Report, judged};
use crate::clock::{Clock, monotonic};
use crate::domain::ids::BatchId;
use crate::service::supervisor;
use crate::store::Store;

/// Wall time over the rival's.
const GOAL: f64 = 0.5;
/// MiB.
const GOAL_PEAK: f64 = 150.0;
/// Longest a measured ingestion may take.
const LIMIT: Duration = Duration::from_secs(900);

/// Dal file alla ricevuta.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Atti del lotto, ciascuno con il suo PDF.
    #[arg(long, default_value_t = 10_000)]
    acts: u64,
    /// Dimensione di ogni PDF, in KiB.
    #[arg(long, default_value_t = 100)]
    pdf_kib: usize,
    /// Conta anche le pagine di ogni PDF.
    #[arg(long)]
    pages: bool,
    /// Tracciato del lotto.
    #[arg(long, value_enum, default_value_t = Layout::Xml)]
    layout: Layout,
    /// Quante volte si misura, alternando: vale la migliore.
    #[arg(long, default_value_t = 3)]
    runs: usize,
}

/// One ingestion in a process of its own.
#[derive(Debug, Serialize, Deserialize)]
pub struct Job {
    pub house: House,
    pub batch: BatchId,
    pub acts: u64,
}

/// What it took.
#[derive(Debug, Serialize, Deserialize)]
pub struct Took {
    /// From the claimed file to the receipt.
    pub seconds: f64,
    /// Until every act was started (held, here).
    pub seconds_started: f64,
    pub cpu: f64,
    pub peak_mib: f64,
}

/// Runs the bench.
pub fn run(args: &Args, dir: Option<&Path>) -> Result<Report, String> {
    let shop = Workshop::new(dir)?;
    let batch = Batch {
        layout: args.layout,
        sender: sample::body(1),
        first: 1,
        acts: args.acts,
        pdf_bytes: args.pdf_kib << 10,
        shared: false,
        pec: None,
    };
    let archive = shop.path().join("lotto.zip");
    let bytes = sample::write_archive(&batch, &archive).map_err(|error| error.to_string())?;
    let (mut ours, mut theirs, mut peak, mut cpu) = (Vec::new(), Vec::new(), 0.0f64, Vec::new());
    for number in 0..args.runs.max(1) {
        settle_disk();
        let script = "unzip -p \"$0\" | sha256sum".as_ref();
        theirs.push(rival("bash", &["-o".as_ref(), "pipefail".as_ref(), "-c".as_ref(), script, archive.as_os_str()])?);
        let took = once(&shop.path().join(format!("prova-{number}")), &batch, &archive, args.pages)?;
        ours.push(took.seconds);
        cpu.push(took.cpu);
        peak = peak.max(took.peak_mib);
    }
    let (mine, rival) = (best(&ours), best(&theirs));
    let ratio = mine / rival;
    let gib = bytes as f64 / f64::from(1 << 30);
    let text = vec![
        format!("{} atti, {:.2} GiB di archivio, pagine {}", args.acts, gib, if args.pages { "contate" } else { "non contate" }),
        format!("messo, dal file alla ricevuta: {mine:.3} s ({:.0} atti/s, {:.0} MiB/s)", args.acts as f64 / mine, gib * 1024.0 / mine),
        format!("unzip -p | sha256sum: {rival:.3} s"),
        format!("rapporto: {}", judged(ratio, GOAL)),
        format!("memoria di picco del processo: {peak:.0} MiB (obiettivo: al massimo {GOAL_PEAK:.0})"),
    ];
    let figures = json!({
        "bench": "ingest", "acts": args.acts, "pdf_kib": args.pdf_kib, "pages": args.pages, "archive_bytes": bytes,
        "seconds": round(mine), "acts_per_second": round(args.acts as f64 / mine), "cpu_seconds": round(best(&cpu)),
        "rival": {"command": "unzip -p lotto.zip | sha256sum", "seconds": round(rival)},
        "ratio": round(ratio), "goal": GOAL, "peak_mib": round(peak), "goal_peak_mib": GOAL_PEAK,
        "runs": {"seconds": rounded(&ours), "rival_seconds": rounded(&theirs)},
    });
    Ok(Report { text, figures })
}

/// One measured ingestion in fresh folders.
pub fn once(folder: &Path, batch: &Batch, archive: &Path, pages: bool) -> Result<Took, String> {
    let house = House::build(folder, &Plan::silent(vec![batch.sender.clone()], pages))?;
    let id = house.hand_over(archive)?;
    settle_disk();
    let (_, took) = in_child::<Took>(&Child::Ingest(Job { house, batch: id, acts: batch.acts }))?;
    Ok(took)
}

/// The measured side: a whole hub that finds the claimed file as it starts.
pub async fn measured(job: &Job) -> Result<Took, String> {
    let loaded = job.house.load()?;
    let hub = supervisor::open(loaded, Clock::REAL).map_err(|error| error.to_string())?;
    let before = cpu_seconds(None);
    let start = monotonic();
    let running = supervisor::start(hub).await.map_err(|error| error.to_string())?;
    let store = running.hub.store.clone();
    // XML and text, each revealed by a rename and a flush of the folder.
    while job.house.visible("ricevute") < 2 {
        if start.elapsed() > LIMIT {
            return Err("nessuna ricevuta".to_owned());
        }
        tokio::time::sleep(POLL).await;
    }
    let seconds = start.elapsed().as_secs_f64();
    let cpu = cpu_seconds(None) - before;
    all_started(&store, job.batch).await?;
    let seconds_started = start.elapsed().as_secs_f64();
    let summary = store.batch(job.batch).await.map_err(|error| error.to_string())?;
    if (summary.acts, summary.accepted) != (job.acts, job.acts) {
        return Err(format!("accettati {} atti su {}: {}", summary.accepted, job.acts, summary.state));
    }
    let took = Took { seconds, seconds_started, cpu, peak_mib: peak_mib() };
    running.stop().await;
    Ok(took)
}

/// Waits until no job of the batch is left.
pub async fn all_started(store: &Store, batch: BatchId) -> Result<(), String> {
    let start = monotonic();
    while !store.jobs_of(batch.0).await.map_err(|error| error.to_string())?.is_empty() {
        if start.elapsed() > LIMIT {
            return Err("il lotto non è mai partito".to_owned());
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}
