//! `messo bench price`: a PT that logs in and asks a price, again and again, while timers run; beside an axum handler that answers a
//! constant to the same two requests.
//!
//! messo is the real process with 200,000 positions in its store and a door on loopback without TLS; the client is this process,
//! over connections that stay open. First so many pairs a second, each counted from the moment when it was due; then as many as go.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::header;
use axum::routing::post;
use jiff::ToSpan;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::child::Job as Task;
use super::house::{House, Plan};
use super::measure::{Workshop, round, rounded, settle_disk};
use super::{Report, judged, sample};
use crate::clock::{Clock, monotonic};
use crate::domain::money::Cents;
use crate::service::positions::PriceDay;
use crate::service::rome;
use crate::store::{PriceSample, Store};

/// Milliseconds within which 99 pairs of 100 are answered.
const GOAL_P99: f64 = 50.0;
/// Pairs a second of the constant handler over messo's.
const GOAL: f64 = 2.0;
const PT: &str = "mypay";
const PASSWORD: &str = "una-password-di-misura";
/// How long a server may take to open its port.
const START: Duration = Duration::from_secs(120);

/// Accesso e prezzo di un avviso.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Posizioni nell'archivio.
    #[arg(long, default_value_t = 200_000)]
    positions: u64,
    /// Coppie (accesso e prezzo) al secondo.
    #[arg(long, default_value_t = 500)]
    rate: u64,
    /// Secondi a quel ritmo.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// Connessioni contemporanee.
    #[arg(long, default_value_t = 16)]
    connections: u64,
    /// Scadenze che scattano ogni secondo.
    #[arg(long, default_value_t = 100)]
    timers: u64,
    /// Quante volte si misura quante ne passano: vale la mediana.
    #[arg(long, default_value_t = 5)]
    runs: u64,
    /// Secondi di ognuna.
    #[arg(long, default_value_t = 5)]
    run_seconds: u64,
}

/// The rival: answers a constant.
#[derive(Debug, Serialize, Deserialize)]
pub struct Job {
    listen: SocketAddr,
}

/// A process that listens, killed when dropped.
struct Server {
    child: Child,
    address: SocketAddr,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    fn start(mut command: Command, address: SocketAddr, log: &Path) -> Result<Server, String> {
        let text = |error: std::io::Error| error.to_string();
        let log_file = std::fs::File::create(log).map_err(text)?;
        let out = log_file.try_clone().map_err(text)?;
        let child = command.stdin(Stdio::null()).stdout(out).stderr(log_file).spawn().map_err(text)?;
        let mut server = Server { child, address };
        let begin = monotonic();
        while std::net::TcpStream::connect(address).is_err() {
            if server.child.try_wait().ok().flatten().is_some() || begin.elapsed() > START {
                return Err(format!("il processo misurato non ascolta: {}", std::fs::read_to_string(log).unwrap_or_default()));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(server)
    }

    /// Asks it to end, and waits.
    fn stop(mut self) -> Result<(), String> {
        let pid = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw);
        if let Some(pid) = pid {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let ended = self.child.wait().map_err(|error| error.to_string())?;
        if ended.success() { Ok(()) } else { Err(format!("il processo misurato è finito con {ended}")) }
    }
}

/// Runs the bench.
pub fn run(args: &Args, dir: Option<&Path>) -> Result<Report, String> {
    let shop = Workshop::new(dir)?;
    let creditor = sample::body(1);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|error| error.to_string())?;
    let house = House::build(&shop.path().join("casa-prezzi"), &Plan::silent(vec![creditor.clone()], false))?;
    let (door, bare) = (free_address()?, free_address()?);
    furnish(&house, door)?;
    let positions = args.positions.max(1);
    let begin = monotonic();
    runtime.block_on(fill(&house, &creditor, positions, args.timers))?;
    let fill_seconds = begin.elapsed().as_secs_f64();
    settle_disk();
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new(&program);
    command.args(["run", "--config"]).arg(house.dir.join("messo.toml"));
    let messo = Server::start(command, door, &shop.path().join("messo.log"))?;
    let job = serde_json::to_string(&Task::BarePrice(Job { listen: bare })).map_err(|error| error.to_string())?;
    let mut command = Command::new(&program);
    command.args(["bench", "child", "--job", &job]);
    let rival = Server::start(command, bare, &shop.path().join("rivale.log"))?;

    let asked = |address: SocketAddr| Asked { address, creditor: creditor.clone(), positions, connections: args.connections.max(1) };
    let mut late = runtime.block_on(at_a_rate(&asked(messo.address), args.rate.max(1), args.seconds.max(1)))?;
    late.sort_by(f64::total_cmp);
    let (p50, p99, worst) = (share(&late, 0.5), share(&late, 0.99), share(&late, 1.0));
    let (mut ours, mut theirs, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..args.runs.max(1) {
        let span = Duration::from_secs(args.run_seconds.max(1));
        let own = runtime.block_on(as_many_as_go(&asked(messo.address), span))?;
        let constant = runtime.block_on(as_many_as_go(&asked(rival.address), span))?;
        ratios.push(constant / own);
        ours.push(own);
        theirs.push(constant);
    }
    messo.stop()?;
    drop(rival);
    let fired = runtime.block_on(reckoned(&house))?;
    let ratio = median(&ratios);
    let text = vec![
        format!("{positions} posizioni in archivio, riempito in {fill_seconds:.0} s; scadenze scattate: {fired}"),
        format!("{} coppie al secondo per {} s: mediana {p50:.1} ms, massimo {worst:.1} ms", args.rate, args.seconds),
        format!("99 su 100 entro (ms): {}", judged(p99, GOAL_P99)),
        format!("quante ne passano: {:.0} al secondo; risposta costante di axum: {:.0}", median(&ours), median(&theirs)),
        format!("rapporto: {}", judged(ratio, GOAL)),
    ];
    let figures = json!({
        "bench": "price", "positions": positions, "rate": args.rate, "pairs": late.len(), "timers_fired": fired, "fill_seconds": round(fill_seconds),
        "p50_ms": round(p50), "p99_ms": round(p99), "max_ms": round(worst), "goal_p99_ms": GOAL_P99,
        "pairs_per_second": round(median(&ours)), "rival": {"what": "axum, risposta costante", "pairs_per_second": round(median(&theirs))},
        "ratio": round(ratio), "goal": GOAL,
        "runs": {"pairs_per_second": rounded(&ours), "rival_pairs_per_second": rounded(&theirs), "ratios": rounded(&ratios)},
    });
    Ok(Report { text, figures })
}

fn free_address() -> Result<SocketAddr, String> {
    std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).map_err(|error| error.to_string())
}

/// A PT that may call, and its notices.
fn furnish(house: &House, door: SocketAddr) -> Result<(), String> {
    let secret = house.dir.join("segreti/pt");
    std::fs::write(&secret, PASSWORD).map_err(|error| error.to_string())?;
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&secret, private).map_err(|error| error.to_string())?;
    house.append(&format!(
        "\n[[ente.pagamenti]]\npt = \"{PT}\"\nente = \"c_x999\"\ncosts = \"pull\"\n\n[[pt]]\nname = \"{PT}\"\nkind = \"mypay\"\nurl = \"http://127.0.0.1:9/ws/pa/\"\n\
         password = \"file:segreti/pt\"\n\n[pt.chiama]\nusername = \"{PT}\"\npassword = \"file:segreti/pt\"\n\n[rest]\nlisten = \"{door}\"\n"
    ))
}

async fn fill(house: &House, creditor: &str, positions: u64, timers: u64) -> Result<(), String> {
    let loaded = house.load()?;
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let flow = loaded.flow(sample::FLOW).ok_or("manca il flusso")?;
    let now = Clock::REAL.now();
    let store = Store::open(&loaded.config.data).map_err(|error| text(&error))?;
    let sample = PriceSample {
        positions,
        creditor: creditor.to_owned(),
        pt: PT.to_owned(),
        flow: serde_json::to_string(flow).map_err(|error| text(&error))?,
        content: content(creditor),
        sheet: sheet(rome(now).date())?,
        timers_per_second: timers,
        now: now.as_millisecond(),
    };
    let filled = store.fill_for_prices(sample).await.map_err(|error| text(&error));
    store.close();
    filled
}

async fn reckoned(house: &House) -> Result<u64, String> {
    let store = Store::open(&house.load()?.config.data).map_err(|error| error.to_string())?;
    let count = store.reckoned_positions().await.map_err(|error| error.to_string());
    store.close();
    count
}

/// An act as the store keeps it.
fn content(creditor: &str) -> String {
    json!({
        "sender_tax_id": creditor, "reference": "VERB/2026", "action": "inserisci", "protocol": "2026/1", "subject": "Verbale di prova", "amount": 10_000,
        "recipients": [{
            "recipient_type": "PF", "tax_id": sample::person(1), "denomination": "Mario Rossi",
            "payments": [{"kind": "pagopa", "notice_code": "#NOTICE#", "creditor_tax_id": creditor, "apply_cost": true}],
        }],
        "documents": [],
        "position": {"due_type": "CDS", "remittance_information": "Verbale di prova"},
    })
    .to_string()
}

/// Three windows, the first of which holds.
fn sheet(today: jiff::civil::Date) -> Result<String, String> {
    let day = |days: i64| today.checked_add(days.days()).map_err(|error| error.to_string());
    let on = |from: i64, step: usize, due: i64, until: Option<i64>| {
        let until = until.map(day).transpose()?;
        Ok::<_, String>(PriceDay { from: day(from)?, total: Cents(due + 200), due: Cents(due), cost: Cents(200), step, until })
    };
    let days = [on(-1, 0, 7_000, Some(4))?, on(5, 1, 10_000, Some(59))?, on(60, 2, 15_000, None)?];
    let whole = json!({"iun": "ADEG-HJKL-0001-202611-A-1", "completed": day(-1)?, "viewed": day(-1)?, "days": days});
    Ok(whole.to_string())
}

/// What is asked of whom.
#[derive(Clone)]
struct Asked {
    address: SocketAddr,
    creditor: String,
    positions: u64,
    connections: u64,
}

/// A connection that stays open; requests are made anew in the same bytes.
struct Line {
    stream: TcpStream,
    out: Vec<u8>,
    read: Vec<u8>,
}

impl Line {
    async fn open(address: SocketAddr) -> Result<Line, String> {
        let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
        let _ = stream.set_nodelay(true);
        Ok(Line { stream, out: Vec::with_capacity(1_024), read: Vec::with_capacity(4_096) })
    }

    /// One request; its answer's body stays in `read`, from the offset that is answered.
    async fn post(&mut self, path: &str, token: Option<&str>, body: &str) -> Result<usize, String> {
        let text = |error: std::io::Error| error.to_string();
        self.out.clear();
        let bearer = token.map_or_else(String::new, |token| format!("Authorization: Bearer {token}\r\n"));
        let head = format!(
            "POST /pt/{PT}/legacy/{path} HTTP/1.1\r\nHost: messo\r\nContent-Type: application/json\r\n{bearer}Content-Length: {}\r\n\r\n",
            body.len()
        );
        self.out.extend_from_slice(head.as_bytes());
        self.out.extend_from_slice(body.as_bytes());
        self.stream.write_all(&self.out).await.map_err(text)?;
        self.read.clear();
        loop {
            if self.stream.read_buf(&mut self.read).await.map_err(text)? == 0 {
                return Err("la connessione è stata chiusa".to_owned());
            }
            let Some(end) = memchr::memmem::find(&self.read, b"\r\n\r\n") else { continue };
            let head = String::from_utf8_lossy(self.read.get(..end).unwrap_or_default()).to_ascii_lowercase();
            if !head.starts_with("http/1.1 200") {
                return Err(format!("risposta: {}", head.lines().next().unwrap_or_default()));
            }
            let told = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
            let length = told.ok_or("risposta senza lunghezza")?;
            if self.read.len() >= end + 4 + length {
                return Ok(end + 4);
            }
        }
    }

    /// Logs in, asks the price of one notice, and looks whether there was one.
    async fn pair(&mut self, creditor: &str, notice: &str) -> Result<(), String> {
        let login = format!("{{\"username\":\"{PT}\",\"password\":\"{PASSWORD}\"}}");
        let at = self.post("login", None, &login).await?;
        let body = String::from_utf8_lossy(self.read.get(at..).unwrap_or_default()).into_owned();
        let token = body.split("\"token\":\"").nth(1).and_then(|rest| rest.split('"').next()).ok_or("accesso senza token")?;
        let question = format!("{{\"cfEnteCreditore\":\"{creditor}\",\"numeroAvviso\":\"{notice}\",\"importoPosizione\":\"S\"}}");
        let at = self.post("notification-price", Some(token), &question).await?;
        let answer = self.read.get(at..).unwrap_or_default();
        if memchr::memmem::find(answer, b"\"importoPosizione\":").is_some() {
            Ok(())
        } else {
            Err(format!("risposta senza importo: {}", String::from_utf8_lossy(answer)))
        }
    }
}

/// Spread over the whole store, the same at each run.
fn nth_notice(asked: &Asked, number: u64) -> String {
    sample::notice(number.wrapping_mul(7_919) % asked.positions + 1)
}

/// Milliseconds of each pair, from the moment when it was due.
async fn at_a_rate(asked: &Asked, rate: u64, seconds: u64) -> Result<Vec<f64>, String> {
    let start = monotonic() + Duration::from_millis(200);
    let mut tasks = JoinSet::new();
    for line in 0..asked.connections {
        let asked = asked.clone();
        tasks.spawn(async move {
            let mut open = Line::open(asked.address).await?;
            let mut late = Vec::new();
            let mut number = line;
            while number < rate * seconds {
                let due = start + Duration::from_secs_f64(number as f64 / rate as f64);
                tokio::time::sleep_until(due.into()).await;
                open.pair(&asked.creditor, &nth_notice(&asked, number)).await?;
                late.push(monotonic().saturating_duration_since(due).as_secs_f64() * 1_000.0);
                number += asked.connections;
            }
            Ok::<_, String>(late)
        });
    }
    let mut all = Vec::new();
    while let Some(done) = tasks.join_next().await {
        all.extend(done.map_err(|error| error.to_string())??);
    }
    Ok(all)
}

/// Pairs a second when nobody waits.
async fn as_many_as_go(asked: &Asked, span: Duration) -> Result<f64, String> {
    let begin = monotonic();
    let end: Instant = begin + span;
    let mut tasks = JoinSet::new();
    for line in 0..asked.connections {
        let asked = asked.clone();
        tasks.spawn(async move {
            let mut open = Line::open(asked.address).await?;
            let mut number = line;
            let mut done = 0_u64;
            while monotonic() < end {
                open.pair(&asked.creditor, &nth_notice(&asked, number)).await?;
                number += asked.connections;
                done += 1;
            }
            Ok::<_, String>(done)
        });
    }
    let mut all = 0;
    while let Some(done) = tasks.join_next().await {
        all += done.map_err(|error| error.to_string())??;
    }
    Ok(all as f64 / begin.elapsed().as_secs_f64())
}

/// The value below which that share of a sorted list lies.
fn share(sorted: &[f64], share: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    let at = (last as f64 * share).round() as usize;
    sorted.get(at.min(last)).copied().unwrap_or(f64::NAN)
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    share(&sorted, 0.5)
}

/// The rival's side: constants of the size of messo's answers.
pub async fn measured(job: &Job) -> Result<BTreeMap<String, u64>, String> {
    const TOKEN: &str = "{\"token\":\"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJwdCI6Im15cGF5IiwiZXhwIjoxNzk1NDIwMDAwfQ.\
        AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\",\"esito\":\"OK\"}";
    const PRICE: &str = "{\"numeroAvviso\":\"301000000000000101\",\"iun\":\"ADEG-HJKL-0001-202611-A-1\",\"speseNotifica\":200,\
        \"dataVisualizzazione\":\"2026-11-22T00:00:00+01:00\",\"dataPerfezionamentoDecorrenzaTermini\":\"2026-11-22T00:00:00+01:00\",\
        \"importoPosizione\":7200,\"stato\":\"200\"}";
    let constant = |text: &'static str| async move { ([(header::CONTENT_TYPE, "application/json")], text) };
    let router = Router::new()
        .route(&format!("/pt/{PT}/legacy/login"), post(move || constant(TOKEN)))
        .route(&format!("/pt/{PT}/legacy/notification-price"), post(move || constant(PRICE)));
    let listener = tokio::net::TcpListener::bind(job.listen).await.map_err(|error| error.to_string())?;
    axum::serve(listener, router).await.map_err(|error| error.to_string())?;
    Ok(BTreeMap::new())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::act::Act;
    use crate::service::positions::reckon::PriceSheet;

    #[test]
    fn what_the_store_is_filled_with_is_what_the_hub_reads() {
        let act: Act = serde_json::from_str(&content("01234567897")).unwrap();
        assert_eq!(act.notices().count(), 1);
        let today = "2026-11-23".parse().unwrap();
        let sheet: PriceSheet = serde_json::from_str(&sheet(today).unwrap()).unwrap();
        assert_eq!(sheet.on(today).map(|price| price.day.total), Some(Cents(7_200)));
        assert_eq!((share(&[1.0, 2.0, 3.0], 0.5), median(&[3.0, 1.0, 2.0]), share(&[1.0], 0.99)), (2.0, 2.0, 1.0));
    }
}
