//! `messo bench timers`: positions whose amount changes at the same midnight, from the first moment of that day until the PT holds every
//! new amount, beside a client that makes the same calls as concurrently and keeps nothing.
//!
//! The PT is an answering machine in this process: it costs both sides the same, and looks an avviso up in constant time.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{Path as Parts, State};
use axum::http::StatusCode;
use axum::routing::{get, put};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::child::Job as Child;
use super::house::{House, Plan};
use super::life::Life;
use super::measure::{Workshop, in_child, peak_mib, round, settle_disk};
use super::{Report, judged, sample};
use crate::clock::{Clock, monotonic};
use crate::config::PaymentRoute;
use crate::connectors::pt::{Partner, PtSettings};
use crate::domain::calendar::{Calendar, in_rome, rome_day};
use crate::domain::money::Cents;
use crate::domain::position::{Asked, Change, CostChannel};
use crate::flow::position::{PositionEffect, PositionFact};
use crate::service::positions::{partners, reckon};
use crate::service::{dispatch, supervisor};
use crate::store::{Beside, JobRef, Store, Subject};

/// Wall time over the rival's.
const GOAL: f64 = 2.0;
/// Longest that one run may take.
const LIMIT: Duration = Duration::from_secs(3_600);
/// Acts that live together while the store is filled.
const CROWD: u64 = 5_000;
/// Euro cents before and after midnight.
const BEFORE: i64 = 4_200;
const AFTER: i64 = 6_300;
const PT: &str = "banco";

/// Posizioni che cambiano importo alla stessa mezzanotte, accanto a un cliente che fa le stesse chiamate e non conserva niente.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Posizioni in tutto.
    #[arg(long, default_value_t = 100_000)]
    positions: u64,
    /// Chiamate insieme.
    #[arg(long, default_value_t = 32)]
    at_a_time: u32,
    /// Chiamate al secondo che il PT ammette (al massimo 10000).
    #[arg(long, default_value_t = 10_000)]
    per_second: u32,
}

/// One side, in a process of its own.
#[derive(Debug, Serialize, Deserialize)]
pub struct Job {
    house: House,
    positions: u64,
    at_a_time: u32,
    /// The hub's clock; `None`: the client that keeps nothing.
    clock: Option<String>,
}

/// What one side took.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Took {
    seconds: f64,
    /// Resident memory as it began, and the most of it, MiB.
    begun_mib: f64,
    peak_mib: f64,
}

/// Runs the bench.
pub fn run(args: &Args, dir: Option<&Path>) -> Result<Report, String> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().map_err(|error| error.to_string())?;
    let shop = Workshop::new(dir)?;
    let machine = Arc::new(Machine::default());
    let address = runtime.block_on(machine.clone().listen())?;
    let house = house(&shop.path().join("prova"), args, address)?;
    runtime.block_on(fill(&house, args.positions))?;
    settle_disk();
    let job = |clock| Job { house: house.clone(), positions: args.positions, at_a_time: args.at_a_time, clock };
    let (_, theirs) = in_child::<Took>(&Child::Timers(job(None)))?;
    machine.forget();
    // The midnight comes a few seconds after the start.
    let clock = runtime.block_on(clock_to_midnight(&house))?;
    let (_, ours) = in_child::<Took>(&Child::Timers(job(Some(clock))))?;
    let (most, calls) = machine.counts();
    let ratio = ours.seconds / theirs.seconds.max(0.001);
    let rate = args.positions as f64 / ours.seconds.max(0.001);
    let figures = json!({
        "positions": args.positions,
        "seconds": round(ours.seconds),
        "updates_per_second": round(rate),
        "bare_seconds": round(theirs.seconds),
        "ratio": round(ratio),
        "calls_at_a_time": most,
        "calls": calls,
        "begun_mib": round(ours.begun_mib),
        "peak_mib": round(ours.peak_mib),
    });
    let text = vec![
        format!("{} posizioni alla stessa mezzanotte: {} s, {} aggiornamenti al secondo", args.positions, round(ours.seconds), round(rate)),
        format!("cliente che non conserva: {} s; rapporto {}", round(theirs.seconds), judged(ratio, GOAL)),
        format!(
            "chiamate insieme al PT: {most} (ammesse {}); memoria da {} a {} MiB",
            args.at_a_time,
            round(ours.begun_mib),
            round(ours.peak_mib)
        ),
    ];
    Ok(Report { text, figures })
}

/// The PT: every notice is there, at the same amount, until it is told another.
#[derive(Default)]
struct Machine {
    amounts: Mutex<HashMap<String, i64>>,
    under_way: AtomicUsize,
    most: AtomicUsize,
    calls: AtomicUsize,
}

impl Machine {
    async fn listen(self: Arc<Machine>) -> Result<SocketAddr, String> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.map_err(|error| error.to_string())?;
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        let router = Router::new()
            .route("/pendenze/byAvviso/{domain}/{notice}", get(held))
            .route("/pendenze/{application}/{id}", put(changed))
            .with_state(self);
        tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Ok(address)
    }

    fn amounts(&self) -> std::sync::MutexGuard<'_, HashMap<String, i64>> {
        self.amounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.most.fetch_max(self.under_way.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    fn end(&self) {
        self.under_way.fetch_sub(1, Ordering::Relaxed);
    }

    fn forget(&self) {
        self.amounts().clear();
        self.most.store(0, Ordering::Relaxed);
        self.calls.store(0, Ordering::Relaxed);
    }

    fn counts(&self) -> (usize, usize) {
        (self.most.load(Ordering::Relaxed), self.calls.load(Ordering::Relaxed))
    }
}

async fn held(State(machine): State<Arc<Machine>>, Parts((domain, notice)): Parts<(String, String)>) -> Json<Value> {
    machine.begin();
    let amount = machine.amounts().get(&notice).copied().unwrap_or(BEFORE);
    machine.end();
    let euro = amount as f64 / 100.0;
    Json(json!({
        "idA2A": "BANCO", "idPendenza": notice, "numeroAvviso": notice, "dominio": { "idDominio": domain, "ragioneSociale": "Comune" },
        "idTipoPendenza": "CDS", "causale": "Verbale", "importo": euro, "stato": "NON_ESEGUITA",
        "soggettoPagatore": { "tipo": "F", "identificativo": "RSSMRA80A01H501U", "anagrafica": "Mario Rossi" },
        "voci": [{ "idVocePendenza": "1", "importo": euro, "descrizione": "Verbale", "codEntrata": "CDS", "indice": 1 }],
    }))
}

async fn changed(
    State(machine): State<Arc<Machine>>,
    Parts((_, notice)): Parts<(String, String)>,
    Json(body): Json<Value>,
) -> Result<Json<Value>, StatusCode> {
    machine.begin();
    let told = body.get("importo").and_then(Value::as_f64);
    if let Some(euro) = told {
        machine.amounts().insert(notice.clone(), (euro * 100.0).round() as i64);
    }
    machine.end();
    told.ok_or(StatusCode::BAD_REQUEST)?;
    let domain = body.get("idDominio").cloned().unwrap_or_default();
    Ok(Json(json!({ "idDominio": domain, "numeroAvviso": notice })))
}

fn ente() -> String {
    sample::body(0)
}

/// The hub of the other benches, with a PT and a rule whose window ends with the day of the completion.
fn house(folder: &Path, args: &Args, address: SocketAddr) -> Result<House, String> {
    let plan = Plan { enti: vec![ente()], send_url: "http://127.0.0.1:9".to_owned(), held: false, light_mail: false };
    let house = House::build(folder, &plan)?;
    let secret = house.dir.join("segreti/pt");
    std::fs::write(&secret, "banco\n").map_err(|error| error.to_string())?;
    std::fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o600)).map_err(|error| error.to_string())?;
    house.append(&format!(
        "\n[[ente.pagamenti]]\npt = \"{PT}\"\ncosts = \"push\"\n\n[[pt]]\nname = \"{PT}\"\nkind = \"govpay\"\nurl = \"http://{address}\"\n\
         username = \"messo\"\npassword = \"file:segreti/pt\"\nat_a_time = {}\nper_second = {}\n",
        args.at_a_time.clamp(1, 256),
        args.per_second.clamp(1, 10_000)
    ))?;
    let rule = "\n[amount_rule]\nbase = 4200\ncosts = \"non_aggiunti\"\nsteps = [\n\
         { from = \"perfezionamento\", days = 1, due = { fixed = 4200 } },\n{ from = \"perfezionamento\", due = { fixed = 6300 } },\n]\n";
    let flow = house.dir.join("flussi").join(format!("{}.toml", sample::FLOW));
    let text = std::fs::read_to_string(&flow).map_err(|error| error.to_string())?;
    std::fs::write(&flow, text + rule).map_err(|error| error.to_string())?;
    Ok(house)
}

/// Acts that have lived, with positions at the amount of today and a date tonight.
async fn fill(house: &House, positions: u64) -> Result<(), String> {
    let text = |error: crate::store::StoreError| error.to_string();
    let loaded = house.load()?;
    let flow = loaded.flow(sample::FLOW).cloned().ok_or("il flusso del banco manca")?;
    let store = Store::open(&loaded.config.data).map_err(text)?;
    store.set_payment_routes(partners::routes(&loaded.config)).await.map_err(text)?;
    let mut life = Life::begin(&store, &flow, ente()).await.map_err(text)?;
    life.page = 500;
    let mut first = 1;
    while first <= positions {
        let acts = CROWD.min(positions + 1 - first);
        life.live(first, acts).await.map_err(text)?;
        first += acts;
        while settle(&store).await? {}
    }
    tokio::task::spawn_blocking(move || store.close()).await.map_err(|error| error.to_string())
}

/// Does the jobs of positions that are due, as a PT that cannot be asked would leave them. False: there is none.
async fn settle(store: &Store) -> Result<bool, String> {
    let text = |error: crate::store::StoreError| error.to_string();
    let now = Clock::REAL.now();
    let until = now.checked_add(jiff::SignedDuration::from_mins(30)).map_err(|error| error.to_string())?;
    let wanted = vec![(partners::channel_of(PT), 2, 1_000), (String::new(), 2, 1_000)];
    let leased = store.lease("banco", wanted, until, now).await.map_err(text)?;
    let mut jobs: Vec<(JobRef, crate::domain::ids::PositionId, PositionEffect)> = Vec::new();
    for leased in leased {
        if let Subject::Posizione { position, effect } = leased.subject {
            jobs.push((leased.job, position, effect));
        }
    }
    if jobs.is_empty() {
        return Ok(false);
    }
    let materials = store.position_materials(jobs.iter().map(|(_, id, _)| *id).collect()).await.map_err(text)?;
    let can = crate::domain::position::Capabilities { update: true, ..crate::domain::position::Capabilities::NOTHING };
    let today = in_rome(now).date();
    let mut facts = Vec::new();
    for (job, id, effect) in jobs {
        let mut beside = Beside::job(job);
        let fact = match effect {
            PositionEffect::Reckon => {
                let material = materials.iter().find(|material| material.id == id).ok_or("una posizione senza atto")?;
                let (sum, sheet) = reckon::reckon(material, Calendar::default(), Some(can), today).map_err(|fault| fault.to_string())?;
                beside.sheet = sheet.and_then(|sheet| serde_json::to_string(&sheet).ok());
                PositionFact::Reckoned(Box::new(sum))
            }
            _ => PositionFact::Unverifiable,
        };
        facts.push((id, fact, beside));
    }
    store.observe_positions(facts, now).await.map_err(text)?.into_iter().find_map(Result::err).map_or(Ok(true), |error| Err(text(error)))
}

/// A clock whose next change of amounts is a few seconds away.
async fn clock_to_midnight(house: &House) -> Result<String, String> {
    let store = Store::open(&house.load()?.config.data).map_err(|error| error.to_string())?;
    let day = store.last_position_day().await.map_err(|error| error.to_string())?.ok_or("nessuna posizione ha una data")?;
    tokio::task::spawn_blocking(move || store.close()).await.map_err(|error| error.to_string())?;
    let (midnight, _) = rome_day(day).ok_or("una data senza mezzanotte")?;
    let left = midnight.duration_since(Clock::REAL.now()).as_secs().max(1);
    let factor = u32::try_from(left / 8).unwrap_or(1).max(1);
    Ok(Clock::accelerated_from_now(factor).to_string())
}

/// The measured side.
pub async fn measured(job: &Job) -> Result<Took, String> {
    match &job.clock {
        Some(clock) => hub(job, clock).await,
        None => bare(job).await,
    }
}

async fn hub(job: &Job, clock: &str) -> Result<Took, String> {
    let text = |error: crate::store::StoreError| error.to_string();
    let hub = supervisor::open(job.house.load()?, clock.parse()?).map_err(|error| error.to_string())?;
    hub.store.set_payment_routes(partners::routes(&hub.settings())).await.map_err(text)?;
    let begun_mib = resident_mib();
    let workers = tokio::spawn(dispatch::run(hub.clone()));
    let begin = monotonic();
    let mut first = None;
    loop {
        let left = hub.store.positions_asking_other_than(Cents(AFTER)).await.map_err(text)?;
        // From the first moment of the day.
        if first.is_none() && left < i64::try_from(job.positions).unwrap_or(i64::MAX) {
            first = Some(monotonic());
        }
        if left == 0 {
            break;
        }
        if begin.elapsed() > LIMIT {
            return Err(format!("{left} posizioni hanno ancora l'importo di prima"));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let seconds = first.unwrap_or(begin).elapsed().as_secs_f64();
    hub.stopping.cancel();
    let _ = workers.await;
    Ok(Took { seconds, begun_mib, peak_mib: peak_mib() })
}

/// The same calls of the same connector, as many at a time.
async fn bare(job: &Job) -> Result<Took, String> {
    let config = job.house.load()?.config;
    let pt = config.pt(PT).ok_or("il PT del banco manca")?;
    let partner =
        Partner::new(PtSettings::read(pt, Clock::REAL, true).map_err(|error| error.to_string())?).map_err(|error| error.to_string())?;
    let route = config.institution(&ente()).and_then(|ente| ente.payments.first()).cloned().ok_or("la via del banco manca")?;
    let (next, begun_mib, begin) = (Arc::new(AtomicUsize::new(1)), resident_mib(), monotonic());
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..job.at_a_time {
        workers.spawn(visit(partner.clone(), route.clone(), next.clone(), job.positions));
    }
    while let Some(ended) = workers.join_next().await {
        ended.map_err(|error| error.to_string())??;
    }
    Ok(Took { seconds: begin.elapsed().as_secs_f64(), begun_mib, peak_mib: peak_mib() })
}

async fn visit(partner: Partner, route: PaymentRoute, next: Arc<AtomicUsize>, last: u64) -> Result<(), String> {
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed) as u64;
        if number > last {
            return Ok(());
        }
        let asked = Asked {
            creditor: ente(),
            notice: sample::notice(number),
            data: crate::domain::act::PositionData::default(),
            payers: Vec::new(),
        };
        let change = Change {
            key: number.to_string(),
            amount: Cents(AFTER),
            cost: Cents(0),
            due_date: None,
            cost_place: None,
            reason: String::new(),
        };
        partner.change(&route, &asked, &change).await.map_err(|error| error.to_string())?;
        let held = partner.verify(&route, &asked).await.map_err(|error| error.to_string())?;
        if held.amount != Some(Cents(AFTER)) || route.costs != CostChannel::Push {
            return Err("il PT del banco non ha preso un importo".to_owned());
        }
    }
}

/// Memory that this process holds now, MiB (`VmRSS`).
fn resident_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: f64 = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse().ok()).unwrap_or(0.0);
    kib / 1024.0
}
