//! Logins, sessions that wait, and how soon a receipt follows.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::servers::{Keys, Server, field};
use crate::cli::bench::house::House;
use crate::cli::bench::judged;
use crate::cli::bench::measure::{POLL, best, round, rounded, timed};
use crate::cli::bench::sample::{self, Batch, Layout};
use crate::cli::sftp_client::{Client, ClientError};
use crate::clock::monotonic;

/// KiB of an idle session.
const GOAL_IDLE: f64 = 64.0;
/// MiB that a download by paramiko may add.
const GOAL_PEAK: f64 = 8.0;
/// Seconds from the answer to CLOSE to the receipt of [`ACTS`] acts.
const GOAL_RECEIPT: f64 = 1.0;
const ACTS: u64 = 100;
/// Sessions opened at the same time.
const TOGETHER: usize = 20;

type Told = (Vec<String>, Value);

fn runtime() -> Result<tokio::runtime::Runtime, String> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|error| error.to_string())
}

/// Logins one after the other, each with its goodbye.
pub fn logins(hub: &Server, theirs: Option<&Server>) -> Result<Told, String> {
    let runtime = runtime()?;
    let measure = |server: &Server, count: usize| -> Result<(f64, f64), String> {
        let before = server.cpu();
        let (seconds, done) = timed(|| {
            runtime.block_on(async {
                for _ in 0..count {
                    server.target.login().await?.leave().await?;
                }
                Ok::<(), ClientError>(())
            })
        });
        done.map_err(|error| error.to_string())?;
        // The last ones are still being buried.
        std::thread::sleep(Duration::from_millis(300));
        Ok((count as f64 / seconds, (server.cpu() - before) / count as f64 * 1_000.0))
    };
    let (rate, cpu) = measure(hub, 400)?;
    let rival = theirs.map(|server| measure(server, 60)).transpose()?;
    let mut line = format!("accessi uno dopo l'altro: {rate:.0} al secondo, {cpu:.1} ms di CPU del server ciascuno");
    if let Some((rate, cpu)) = rival {
        line += &format!("; OpenSSH {rate:.0} al secondo, {cpu:.1} ms");
    }
    let figures = json!({
        "per_second": round(rate), "cpu_ms": round(cpu),
        "rival": rival.map(|(rate, cpu)| json!({"command": "sshd", "per_second": round(rate), "cpu_ms": round(cpu)})),
        "ratio": rival.map(|(theirs, _)| round(rate / theirs)), "ratio_cpu": rival.map(|(_, theirs)| round(cpu / theirs)),
    });
    Ok((vec![line], figures))
}

/// Memory of sessions that have begun SFTP and wait. The server must be fresh.
pub fn idle(keys: &Keys, dir: &Path, theirs: Option<&Server>) -> Result<Told, String> {
    raise_files();
    let runtime = runtime()?;
    let measure = |server: &Server, counts: &[usize]| -> Result<Vec<(usize, f64)>, String> {
        // What the first session brings for all.
        runtime.block_on(async { server.target.open().await?.leave().await }).map_err(|error| error.to_string())?;
        std::thread::sleep(Duration::from_millis(500));
        let before = server.memory_kib();
        let mut open: Vec<Client> = Vec::new();
        let mut told = Vec::new();
        for count in counts {
            while open.len() < *count {
                let more = TOGETHER.min(count - open.len());
                let opened = runtime.block_on(join_all((0..more).map(|_| server.target.open())));
                for client in opened {
                    open.push(client.map_err(|error| format!("sessione {}: {error}", open.len() + 1))?);
                }
            }
            std::thread::sleep(Duration::from_secs(1));
            told.push((*count, (server.memory_kib() - before) / *count as f64));
        }
        // They end in the runtime that they began in.
        runtime.block_on(async { drop(open) });
        Ok(told)
    };
    let (hub, _) = Server::hub(keys, &dir.join("sessioni"))?;
    let ours = measure(&hub, &[200, 1_000])?;
    drop(hub);
    let rival = theirs.map(|server| measure(server, &[200])).transpose()?.unwrap_or_default();
    let mut text: Vec<String> =
        ours.iter().map(|(count, kib)| format!("{count} sessioni ferme: {} KiB ciascuna", judged(*kib, GOAL_IDLE))).collect();
    text.extend(rival.iter().map(|(count, kib)| format!("OpenSSH, {count} sessioni ferme: {kib:.0} KiB ciascuna")));
    let told = |list: &[(usize, f64)]| -> Vec<Value> {
        list.iter().map(|(count, kib)| json!({"sessions": count, "kib_each": round(*kib)})).collect()
    };
    let ratio = |index: usize| Some(round(ours.get(index)?.1 / rival.first()?.1));
    let figures = json!({"measured": told(&ours), "goal_kib": GOAL_IDLE, "rival": told(&rival), "ratio": ratio(0)});
    Ok((text, figures))
}

/// As many files as this process may have: a thousand sessions are more than the usual thousand.
fn raise_files() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit);
}

/// A `get` that asks for the whole file at once, as paramiko does.
const GET: &str = "import paramiko, sys
c = paramiko.SSHClient(); c.set_missing_host_key_policy(paramiko.AutoAddPolicy())
c.connect('127.0.0.1', int(sys.argv[1]), sys.argv[2], key_filename=sys.argv[3], allow_agent=False, look_for_keys=False)
c.open_sftp().get('esiti/grande.bin', sys.argv[4]); c.close()";

/// Peak memory of a fresh server while paramiko gets `big`.
pub fn paramiko(keys: &Keys, dir: &Path, python: &Path, big: &Path, memory: &Path) -> Result<Told, String> {
    let found = Command::new(python).args(["-c", "import paramiko"]).stdin(Stdio::null()).stderr(Stdio::null()).status();
    if !found.is_ok_and(|status| status.success()) {
        let line = format!("paramiko: non misurato, {} non lo ha (indicare un altro Python con --python)", python.display());
        return Ok((vec![line], Value::Null));
    }
    let (hub, house) = Server::hub(keys, &dir.join("paramiko"))?;
    fs::copy(big, hub.outbox_path.join("grande.bin")).map_err(|error| error.to_string())?;
    let runtime = runtime()?;
    runtime.block_on(async { hub.target.open().await?.leave().await }).map_err(|error| error.to_string())?;
    std::thread::sleep(Duration::from_millis(500));
    let status = format!("/proc/{}/status", hub.pid());
    let idle = field(&status, "VmRSS:");
    // From here on the peak is counted anew.
    fs::write(format!("/proc/{}/clear_refs", hub.pid()), "5").map_err(|error| error.to_string())?;
    let target = memory.join("giu.bin");
    let mut command = Command::new(python);
    command.args(["-c", GET, &hub.target.address.port().to_string(), &hub.target.user]).arg(&keys.file).arg(&target);
    let (seconds, output) = timed(|| command.stdin(Stdio::null()).output());
    let output = output.map_err(|error| error.to_string())?;
    let same = fs::metadata(&target).map_or(0, |meta| meta.len()) == fs::metadata(big).map_or(1, |meta| meta.len());
    let _ = fs::remove_file(&target);
    if !output.status.success() || !same {
        return Err(format!("paramiko: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    let peak = (field(&status, "VmHWM:") - idle) / 1_024.0;
    drop((hub, house));
    let line = format!(
        "paramiko get: {seconds:.1} s, memoria del server oltre il riposo ({:.0} MiB): {} MiB",
        idle / 1_024.0,
        judged(peak, GOAL_PEAK)
    );
    Ok((
        vec![line],
        json!({"seconds": round(seconds), "idle_mib": round(idle / 1_024.0), "peak_over_idle_mib": round(peak), "goal_mib": GOAL_PEAK}),
    ))
}

/// From the answer to CLOSE to the receipt.
pub fn receipt(hub: &Server, house: &House, dir: &Path, runs: usize) -> Result<Told, String> {
    let runtime = runtime()?;
    let mut taken = Vec::new();
    for number in 0..runs as u64 {
        let batch = Batch {
            layout: Layout::Xml,
            sender: sample::body(1),
            first: 1 + number * ACTS,
            acts: ACTS,
            pdf_bytes: 20 << 10,
            shared: false,
            pec: None,
        };
        let archive = dir.join("cento.zip");
        sample::write_archive(&batch, &archive).map_err(|error| error.to_string())?;
        let bytes = fs::read(&archive).map_err(|error| error.to_string())?;
        let before = house.visible("ricevute");
        let mut client = runtime.block_on(hub.target.open()).map_err(|error| error.to_string())?;
        runtime.block_on(client.put(&format!("in/cento-{number}.zip"), &bytes)).map_err(|error| error.to_string())?;
        let closed = monotonic();
        while house.visible("ricevute") < before + 2 {
            if closed.elapsed() > Duration::from_secs(60) {
                return Err("nessuna ricevuta".to_owned());
            }
            std::thread::sleep(POLL);
        }
        taken.push(closed.elapsed().as_secs_f64());
        runtime.block_on(client.leave()).map_err(|error| error.to_string())?;
    }
    let seconds = best(&taken);
    let line = format!("dalla risposta a CLOSE alla ricevuta di {ACTS} atti: {} s", judged(seconds, GOAL_RECEIPT));
    Ok((vec![line], json!({"acts": ACTS, "seconds": round(seconds), "goal_seconds": GOAL_RECEIPT, "runs": {"seconds": rounded(&taken)}})))
}
