//! `messo bench send`: acts from the first call to the last completion stored, against the simulator in its own process,
//! beside a client that makes the same calls as concurrently and keeps nothing.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::child::Job as Child;
use super::house::{House, Plan};
use super::measure::{Simulator, Workshop, cpu_seconds, in_child, peak_mib, round, rounded, settle_disk};
use super::sample::{self, Batch, Layout};
use super::{Report, bare, ingest, judged};
use crate::clock::{Clock, monotonic};
use crate::domain::ids::BatchId;
use crate::flow::state::HoldReason;
use crate::service::supervisor;

/// Wall time over the rival's.
const GOAL: f64 = 1.5;
/// Two business hours a second: from the POST to the recipient who opens his PEC a third of a second passes, and no act is so
/// long without news that it is asked about.
const FACTOR: u32 = 7_200;
/// Opened a minute after its delivery (`docs/sandbox.md`).
pub const PEC: &str = "visione-subito@pec.it";
/// Longest that one run may take.
pub const LIMIT: Duration = Duration::from_secs(1_200);
/// How often it is looked whether all is done.
pub const LOOK: Duration = Duration::from_millis(50);

/// Atti al secondo fino al perfezionamento.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Atti in tutto.
    #[arg(long, default_value_t = 5_000)]
    acts: u64,
    /// Enti fra cui sono divisi.
    #[arg(long, default_value_t = 20)]
    enti: u64,
    /// Dimensione di ogni PDF, in KiB.
    #[arg(long, default_value_t = 20)]
    pdf_kib: usize,
    /// Quante volte si misura, alternando: vale la migliore.
    #[arg(long, default_value_t = 3)]
    runs: usize,
}

/// The hub in a process of its own.
#[derive(Debug, Serialize, Deserialize)]
pub struct Job {
    pub house: House,
    pub batches: Vec<BatchId>,
    pub clock: String,
    pub sandbox_pid: u32,
    pub sandbox_url: String,
}

/// What one side took.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Took {
    /// To the last completion.
    pub seconds_completed: f64,
    /// Until prices and legal facts were there too.
    pub seconds: f64,
    pub cpu: f64,
    pub sandbox_cpu: f64,
    pub peak_mib: f64,
    /// Calls by operation, as the simulator counted them.
    pub calls: Value,
}

/// Runs the bench.
pub fn run(args: &Args, dir: Option<&Path>) -> Result<Report, String> {
    let shop = Workshop::new(dir)?;
    let batches = batches(args);
    let archives = batches.iter().enumerate().map(|(index, batch)| {
        let path = shop.path().join(format!("lotto-{index}.zip"));
        sample::write_archive(batch, &path).map(|_| path)
    });
    let archives: Vec<PathBuf> = archives.collect::<Result<_, _>>().map_err(|error| error.to_string())?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for number in 0..args.runs.max(1) {
        theirs.push(bare_run(args)?);
        ours.push(hub_run(&shop.path().join(format!("prova-{number}")), &batches, &archives)?);
    }
    Ok(report(args, &ours, &theirs))
}

fn batches(args: &Args) -> Vec<Batch> {
    let enti = args.enti.clamp(1, args.acts.max(1));
    let share = |ente: u64| args.acts / enti + u64::from(ente < args.acts % enti);
    let mut first = 1;
    let batch = |ente: u64| {
        let batch = Batch {
            layout: Layout::Xml,
            sender: sample::body(ente),
            first,
            acts: share(ente),
            pdf_bytes: args.pdf_kib << 10,
            shared: false,
            pec: Some(PEC),
        };
        first += batch.acts;
        batch
    };
    (0..enti).map(batch).collect()
}

/// A clock that both processes share, begun now.
fn clock() -> String {
    Clock::accelerated_from_now(FACTOR).to_string()
}

fn bare_run(args: &Args) -> Result<Took, String> {
    let clock = clock();
    let simulator = Simulator::start(&clock)?;
    let enti =
        batches(args).iter().map(|batch| bare::Ente { tax_id: batch.sender.clone(), first: batch.first, acts: batch.acts }).collect();
    let job = bare::Job { url: simulator.url.clone(), sandbox_pid: simulator.pid(), enti, pdf_bytes: args.pdf_kib << 10 };
    settle_disk();
    in_child::<Took>(&Child::Bare(job)).map(|(_, took)| took)
}

fn hub_run(folder: &Path, batches: &[Batch], archives: &[PathBuf]) -> Result<Took, String> {
    let clock = clock();
    let simulator = Simulator::start(&clock)?;
    let enti = batches.iter().map(|batch| batch.sender.clone()).collect();
    let plan = Plan { enti, send_url: simulator.url.clone(), held: true, light_mail: false };
    let house = House::build(folder, &plan)?;
    let ids = archives.iter().map(|archive| house.hand_over(archive)).collect::<Result<Vec<_>, _>>()?;
    settle_disk();
    let job = Job { house, batches: ids, clock, sandbox_pid: simulator.pid(), sandbox_url: simulator.url.clone() };
    let (_, took) = in_child::<Took>(&Child::Send(job))?;
    // The folder stays until the end: files just removed would slow down the making of new ones.
    Ok(took)
}

fn report(args: &Args, ours: &[Took], theirs: &[Took]) -> Report {
    let fastest = |list: &[Took]| list.iter().min_by(|a, b| a.seconds_completed.total_cmp(&b.seconds_completed)).cloned();
    let (Some(mine), Some(rival)) = (fastest(ours), fastest(theirs)) else {
        return Report { text: Vec::new(), figures: Value::Null };
    };
    let acts = args.acts as f64;
    let ratio = mine.seconds_completed / rival.seconds_completed;
    let ratio_all = mine.seconds / rival.seconds;
    let per_act = |took: &Took| took.cpu / acts * 1_000.0;
    let line = |name: &str, took: &Took| {
        format!(
            "{name}: {:.2} s all'ultimo perfezionamento ({:.0} atti/s), {:.2} s con costi e attestazioni; {:.2} ms di CPU per atto (simulatore {:.2})",
            took.seconds_completed,
            acts / took.seconds_completed,
            took.seconds,
            per_act(took),
            took.sandbox_cpu / acts * 1_000.0
        )
    };
    let text = vec![
        format!("{} atti di {} enti, simulatore in un processo suo", args.acts, args.enti),
        line("messo", &mine),
        line("cliente nudo", &rival),
        format!("rapporto: {}", judged(ratio, GOAL)),
        format!("rapporto con costi e attestazioni: {ratio_all:.2}"),
    ];
    let side = |took: &Took| {
        json!({
            "seconds": round(took.seconds_completed), "seconds_all": round(took.seconds), "acts_per_second": round(acts / took.seconds_completed),
            "cpu_ms_per_act": round(per_act(took)), "simulator_cpu_ms_per_act": round(took.sandbox_cpu / acts * 1_000.0),
            "peak_mib": round(took.peak_mib), "calls": took.calls,
        })
    };
    let seconds = |list: &[Took]| rounded(&list.iter().map(|took| took.seconds_completed).collect::<Vec<_>>());
    let figures = json!({
        "bench": "send", "acts": args.acts, "enti": args.enti, "messo": side(&mine), "rival": side(&rival),
        "ratio": round(ratio), "ratio_all": round(ratio_all), "goal": GOAL,
        "runs": {"seconds": seconds(ours), "rival_seconds": seconds(theirs)},
    });
    Report { text, figures }
}

/// The measured side: a whole hub that has taken everything in, held; then all is released.
pub async fn measured(job: &Job) -> Result<Took, String> {
    let text = |error: crate::store::StoreError| error.to_string();
    let loaded = job.house.load()?;
    let clock = job.clock.parse()?;
    let hub = supervisor::open(loaded, clock).map_err(|error| error.to_string())?;
    let running = supervisor::start(hub.clone()).await.map_err(|error| error.to_string())?;
    for batch in &job.batches {
        let start = monotonic();
        while !hub.store.batch(*batch).await.is_ok_and(|summary| summary.finished_at.is_some()) {
            if start.elapsed() > LIMIT {
                return Err("un lotto non è mai stato preso in carico".to_owned());
            }
            tokio::time::sleep(LOOK).await;
        }
        ingest::all_started(&hub.store, *batch).await?;
    }
    while !hub.channels.values().all(|channel| channel.listening.load(std::sync::atomic::Ordering::Acquire)) {
        tokio::time::sleep(LOOK).await;
    }
    // The outcome files of what was taken in are out too.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (cpu, sandbox) = (cpu_seconds(None), cpu_seconds(Some(job.sandbox_pid)));
    let mut start = monotonic();
    let mut released = 0;
    for batch in &job.batches {
        loop {
            let now = hub.clock.now();
            let count = hub.store.release_batch(*batch, HoldReason::Operator, "banco", "misura", now).await.map_err(text)?;
            if released == 0 {
                // The first call cannot leave before.
                start = monotonic();
            }
            released += count;
            if count == 0 {
                break;
            }
        }
    }
    let mut seconds_completed = None;
    loop {
        let left = hub.store.left_to_follow().await.map_err(text)?;
        if left.open == 0 && seconds_completed.is_none() {
            seconds_completed = Some(start.elapsed().as_secs_f64());
        }
        if (left.open, left.prices, left.legal_facts) == (0, 0, 0) {
            break;
        }
        if start.elapsed() > LIMIT {
            return Err(format!("{released} atti rilasciati, dopo {LIMIT:?} restano {left:?}"));
        }
        tokio::time::sleep(LOOK).await;
    }
    let seconds = start.elapsed().as_secs_f64();
    let took = Took {
        seconds_completed: seconds_completed.unwrap_or(seconds),
        seconds,
        cpu: cpu_seconds(None) - cpu,
        sandbox_cpu: cpu_seconds(Some(job.sandbox_pid)) - sandbox,
        peak_mib: peak_mib(),
        calls: bare::counters(&job.sandbox_url).await?,
    };
    running.stop().await;
    Ok(took)
}
