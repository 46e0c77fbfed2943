//! `messo bench scale`: how long the hub takes to start with many acts in its store, and whether an act costs more there
//! than in a small one. The acts have lived their whole life, so every table is as full as it would be.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::child::Job as Child;
use super::house::{House, Plan};
use super::life::Life;
use super::measure::{Workshop, best, cpu_seconds, in_child, peak_mib, round, rounded, seconds_to_first_line, settle_disk};
use super::{Report, judged, sample};
use crate::clock::{Clock, monotonic};
use crate::service::supervisor;
use crate::store::Store;

/// Seconds from the start of the process to the hub at work.
const GOAL_READY: f64 = 2.0;
/// Cost of an act in the full store over that in the small one.
const GOAL: f64 = 1.2;
/// Acts of one batch while filling.
const BATCH: u64 = 2_000;
/// Events stored in one transaction while filling.
const FILL_PAGE: usize = 2_000;

/// Avvio e costo per atto con molti atti.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Atti nell'archivio pieno.
    #[arg(long, default_value_t = 200_000)]
    acts: u64,
    /// Atti nell'archivio piccolo.
    #[arg(long, default_value_t = 2_000)]
    few: u64,
    /// Atti nuovi su cui si misura il costo.
    #[arg(long, default_value_t = 2_000)]
    new: u64,
    /// Quante volte si misura il costo: vale la migliore.
    #[arg(long, default_value_t = 3)]
    runs: u64,
}

/// Fills a store up to `fill` acts, then measures `runs` times the life of `new` acts.
#[derive(Debug, Serialize, Deserialize)]
pub struct Job {
    pub house: House,
    pub fill: u64,
    pub new: u64,
    pub runs: u64,
}

/// What the lives took.
#[derive(Debug, Serialize, Deserialize)]
pub struct Took {
    pub fill_seconds: f64,
    /// For each run: wall and processor seconds.
    pub seconds: Vec<f64>,
    pub cpu: Vec<f64>,
    pub peak_mib: f64,
}

/// Starts the hub and says so.
#[derive(Debug, Serialize, Deserialize)]
pub struct Ready {
    pub house: House,
}

/// Runs the bench.
pub fn run(args: &Args, dir: Option<&Path>) -> Result<Report, String> {
    let shop = Workshop::new(dir)?;
    let measure = |name: &str, fill: u64| -> Result<(House, Took), String> {
        let house = House::build(&shop.path().join(name), &Plan::silent(vec![sample::body(1)], false))?;
        let job = Job { house: house.clone(), fill, new: args.new, runs: args.runs.max(1) };
        settle_disk();
        in_child::<Took>(&Child::Scale(job)).map(|(_, took)| (house, took))
    };
    let (_, small) = measure("piccolo", args.few)?;
    let (house, full) = measure("pieno", args.acts)?;
    let bytes = std::fs::metadata(house.dir.join("dati/messo.db")).map_or(0, |meta| meta.len());
    let mut ready = Vec::new();
    for _ in 0..3 {
        settle_disk();
        ready.push(seconds_to_first_line(&Child::Ready(Ready { house: house.clone() }))?.0);
    }
    let acts = args.new as f64;
    let per_act = |list: &[f64]| best(list) / acts * 1_000.0;
    let (wall, cpu) = (per_act(&full.seconds) / per_act(&small.seconds), per_act(&full.cpu) / per_act(&small.cpu));
    let start = best(&ready);
    let text = vec![
        format!(
            "{} atti in archivio ({:.1} GiB di base dati), riempito in {:.0} s",
            args.acts,
            bytes as f64 / f64::from(1 << 30),
            full.fill_seconds
        ),
        format!("avvio: {start:.3} s (obiettivo: al massimo {GOAL_READY:.0})"),
        format!("costo per atto con {} atti: {:.3} ms ({:.3} di CPU)", args.few, per_act(&small.seconds), per_act(&small.cpu)),
        format!("costo per atto con {} atti: {:.3} ms ({:.3} di CPU)", args.acts, per_act(&full.seconds), per_act(&full.cpu)),
        format!("rapporto: {}", judged(wall, GOAL)),
    ];
    let figures = json!({
        "bench": "scale", "acts": args.acts, "few": args.few, "new": args.new, "database_bytes": bytes,
        "ready_seconds": round(start), "goal_ready_seconds": GOAL_READY,
        "ms_per_act": round(per_act(&full.seconds)), "cpu_ms_per_act": round(per_act(&full.cpu)),
        "rival": {"what": "messo con pochi atti", "ms_per_act": round(per_act(&small.seconds)), "cpu_ms_per_act": round(per_act(&small.cpu))},
        "ratio": round(wall), "ratio_cpu": round(cpu), "goal": GOAL,
        "runs": {"seconds": rounded(&full.seconds), "rival_seconds": rounded(&small.seconds), "ready_seconds": rounded(&ready)},
        "fill_seconds": round(full.fill_seconds), "peak_mib": round(full.peak_mib),
    });
    Ok(Report { text, figures })
}

/// Fills, then measures.
pub async fn measured(job: &Job) -> Result<Took, String> {
    let text = |error: crate::store::StoreError| error.to_string();
    let loaded = job.house.load()?;
    let flow = loaded.flow(sample::FLOW).cloned().ok_or("manca il flusso")?;
    let store = Store::open(&loaded.config.data).map_err(text)?;
    let mut life = Life::begin(&store, &flow, sample::body(1)).await.map_err(text)?;
    let start = monotonic();
    let mut next = 1;
    let page = std::mem::replace(&mut life.page, FILL_PAGE);
    while next <= job.fill {
        let acts = BATCH.min(job.fill + 1 - next);
        life.live(next, acts).await.map_err(text)?;
        next += acts;
    }
    life.page = page;
    let fill_seconds = start.elapsed().as_secs_f64();
    settle_disk();
    let (mut seconds, mut cpu) = (Vec::new(), Vec::new());
    for _ in 0..job.runs {
        let (start, before) = (monotonic(), cpu_seconds(None));
        life.live(next, job.new).await.map_err(text)?;
        seconds.push(start.elapsed().as_secs_f64());
        cpu.push(cpu_seconds(None) - before);
        next += job.new;
    }
    store.close();
    Ok(Took { fill_seconds, seconds, cpu, peak_mib: peak_mib() })
}

/// The hub, at work.
pub async fn ready(job: &Ready) -> Result<&'static str, String> {
    let hub = supervisor::open(job.house.load()?, Clock::REAL).map_err(|error| error.to_string())?;
    let running = supervisor::start(hub).await.map_err(|error| error.to_string())?;
    println!("pronto");
    running.stop().await;
    Ok("fermo")
}
