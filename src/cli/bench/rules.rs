//! `messo bench rules`: a batch of many acts that name one shared PDF, read and judged by every rule, beside `xmllint`, which
//! holds the same file against the published XSD. And how much memory a tenfold batch takes, to its receipt.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::child::Job as Child;
use super::house::{House, Plan};
use super::measure::{Workshop, best, in_child, peak_mib, rival, round, rounded, settle_disk, timed};
use super::sample::{self, Batch, Layout};
use super::{Report, ingest, judged};
use crate::batch::archive::{Ceilings, Hashing};
use crate::batch::pipeline::{self, Judge, Judged};
use crate::clock::Clock;
use crate::service::ingest::Allowed;
use crate::service::rome;

const SCHEMA: &str = include_str!("../../../schemas/messo-lotto-1.0.xsd");
/// Wall time over the rival's.
const GOAL: f64 = 1.0;
/// MiB, peak with all acts minus peak with a tenth of them.
const GOAL_GROWTH: f64 = 16.0;

/// Lettura e regole.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Atti del lotto, con un solo PDF condiviso.
    #[arg(long, default_value_t = 100_000)]
    acts: u64,
    /// Quante volte si misura, alternando: vale la migliore.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Non misura la memoria (più breve).
    #[arg(long)]
    no_memory: bool,
}

/// Reading and rules in a process of its own: its whole life is measured, as the rival's is.
#[derive(Debug, Serialize, Deserialize)]
pub struct Job {
    pub house: House,
    pub archive: PathBuf,
    pub acts: u64,
}

/// What it took.
#[derive(Debug, Serialize, Deserialize)]
pub struct Took {
    /// `pipeline::judge` alone.
    pub judge_seconds: f64,
    pub peak_mib: f64,
}

/// Runs the bench.
pub fn run(args: &Args, dir: Option<&Path>) -> Result<Report, String> {
    let shop = Workshop::new(dir)?;
    let batch = |acts| Batch { layout: Layout::Xml, sender: sample::body(1), first: 1, acts, pdf_bytes: 20 << 10, shared: true, pec: None };
    let whole = batch(args.acts);
    let (archive, xml, schema) = (shop.path().join("lotto.zip"), shop.path().join("lotto.xml"), shop.path().join("messo-lotto-1.0.xsd"));
    let bytes = write(&whole, &archive, &xml, &schema).map_err(|error| error.to_string())?;
    let house = House::build(&shop.path().join("banco"), &Plan::silent(vec![whole.sender.clone()], false))?;
    let job = Child::Rules(Job { house, archive: archive.clone(), acts: args.acts });
    let (mut ours, mut inner, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
    settle_disk();
    for _ in 0..args.runs.max(1) {
        let args = ["--stream".as_ref(), "--noout".as_ref(), "--schema".as_ref(), schema.as_os_str(), xml.as_os_str()];
        theirs.push(rival("xmllint", &args)?);
        let (seconds, took) = in_child::<Took>(&job)?;
        ours.push(seconds);
        inner.push(took.judge_seconds);
    }
    let (mine, rival) = (best(&ours), best(&theirs));
    let ratio = mine / rival;
    let mib = bytes as f64 / f64::from(1 << 20);
    let mut text = vec![
        format!("{} atti, lotto.xml di {mib:.1} MiB", args.acts),
        format!("messo, lettura e tutte le regole: {mine:.3} s ({:.0} atti/s; processo intero)", args.acts as f64 / mine),
        format!("xmllint --stream --schema --noout: {rival:.3} s"),
        format!("rapporto: {}", judged(ratio, GOAL)),
    ];
    let mut figures = json!({
        "bench": "rules", "acts": args.acts, "xml_bytes": bytes, "seconds": round(mine), "judge_seconds": round(best(&inner)),
        "acts_per_second": round(args.acts as f64 / mine),
        "rival": {"command": "xmllint --stream --schema schemas/messo-lotto-1.0.xsd --noout lotto.xml", "seconds": round(rival)},
        "ratio": round(ratio), "goal": GOAL, "runs": {"seconds": rounded(&ours), "rival_seconds": rounded(&theirs)},
    });
    if !args.no_memory {
        let mut peaks = Vec::new();
        let mut took = Vec::new();
        for acts in [args.acts / 10, args.acts] {
            let archive = shop.path().join(format!("memoria-{acts}.zip"));
            sample::write_archive(&batch(acts), &archive).map_err(|error| error.to_string())?;
            let told = ingest::once(&shop.path().join(format!("memoria-{acts}")), &batch(acts), &archive, false)?;
            peaks.push(told.peak_mib);
            took.push(told.seconds);
        }
        let (few, many) = (peaks.first().copied().unwrap_or(0.0), peaks.last().copied().unwrap_or(0.0));
        text.push(format!(
            "memoria di picco fino alla ricevuta: {few:.0} MiB con {} atti, {many:.0} MiB con {}; in più {}",
            args.acts / 10,
            args.acts,
            judged(many - few, GOAL_GROWTH)
        ));
        if let Some(object) = figures.as_object_mut() {
            object.insert("peak_mib".to_owned(), json!(round(many)));
            object.insert("peak_mib_tenth".to_owned(), json!(round(few)));
            object.insert("peak_growth_mib".to_owned(), json!(round(many - few)));
            object.insert("goal_peak_growth_mib".to_owned(), json!(GOAL_GROWTH));
            object.insert("receipt_seconds".to_owned(), json!(round(took.last().copied().unwrap_or(0.0))));
        }
    }
    Ok(Report { text, figures })
}

fn write(batch: &Batch, archive: &Path, xml: &Path, schema: &Path) -> std::io::Result<u64> {
    sample::write_archive(batch, archive)?;
    let mut out = BufWriter::with_capacity(1 << 18, File::create(xml)?);
    sample::write_batch(batch, &mut out)?;
    out.flush()?;
    std::fs::write(schema, SCHEMA)?;
    Ok(std::fs::metadata(xml)?.len())
}

/// The measured side: the archive opened, the PDF looked at, every row read from the ZIP and judged, nothing stored.
pub fn measured(job: &Job) -> Result<Took, String> {
    let loaded = job.house.load()?;
    let flow = loaded.flow(sample::FLOW).cloned();
    let file = File::open(&job.archive).map_err(|error| error.to_string())?;
    let limits = &loaded.config.limits;
    let ceilings = Ceilings {
        max_entries: limits.max_entries,
        max_entry_bytes: limits.max_entry_bytes,
        max_total_bytes: limits.max_total_bytes,
        max_ratio: limits.max_ratio,
    };
    let opened = pipeline::open(&file, "lotto.zip", &ceilings).map_err(|error| error.to_string())?;
    let facts = pipeline::look_into(&file, &opened, "lotto.zip", &Hashing::default()).map_err(|error| error.to_string())?;
    let senders = Allowed::any(&loaded.config, loaded.config.sources.iter());
    let today = rome(Clock::REAL.now()).date();
    let judge = Judge { flow: flow.as_ref(), senders: Some(&senders), today: Some(today), max_acts: job.acts };
    let mut sink = |_: Judged| ControlFlow::Continue(());
    let (judge_seconds, totals) = timed(|| pipeline::judge(&file, &opened, facts, &judge, &mut sink));
    let totals = totals.map_err(|error| error.to_string())?;
    if totals.good == job.acts {
        Ok(Took { judge_seconds, peak_mib: peak_mib() })
    } else {
        Err(format!("buoni {} atti su {}", totals.good, job.acts))
    }
}
