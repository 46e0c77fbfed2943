//! How it is measured: folders that vanish, child processes that do one job, processor time and peak memory of a process.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::child::Job;
use crate::clock::{monotonic, new_uuid};

/// A folder on the disk, gone when dropped.
pub struct Workshop(PathBuf);

impl Workshop {
    /// Below `dir`, or below the folder for temporary files.
    pub fn new(dir: Option<&Path>) -> Result<Workshop, String> {
        let base = dir.map_or_else(std::env::temp_dir, Path::to_path_buf);
        let path = base.join(format!("messo-bench-{}", new_uuid().simple()));
        std::fs::create_dir_all(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Workshop(path))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Flushes everything written so far to the disk: what is measured next does not pay for what came before.
pub fn settle_disk() {
    rustix::fs::sync();
}

/// Seconds and whatever `work` gives.
pub fn timed<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let start = monotonic();
    let outcome = work();
    (start.elapsed().as_secs_f64(), outcome)
}

/// Processor seconds that a process has used so far, user and system.
pub fn cpu_seconds(pid: Option<u32>) -> f64 {
    let path = pid.map_or_else(|| "/proc/self/stat".to_owned(), |pid| format!("/proc/{pid}/stat"));
    let stat = std::fs::read_to_string(path).unwrap_or_default();
    // The name of the program may hold anything: fields are counted after its last parenthesis.
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks: u64 = fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    // Linux tells these in hundredths of a second to every program.
    ticks as f64 / 100.0
}

/// Most memory that this process has held, in MiB (`VmHWM`).
pub fn peak_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib: f64 = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse().ok()).unwrap_or(0.0);
    kib / 1024.0
}

/// Runs one job in a process of its own: wall seconds of the whole process, and what it told.
pub fn in_child<T: DeserializeOwned>(job: &Job) -> Result<(f64, T), String> {
    let (seconds, output) = timed(|| command(job).and_then(|mut command| command.output().map_err(|error| error.to_string())));
    let output = output?;
    if !output.status.success() {
        return Err(format!("il processo misurato è fallito: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    let told = serde_json::from_slice(&output.stdout).map_err(|error| format!("il processo misurato non ha risposto: {error}"))?;
    Ok((seconds, told))
}

fn command(job: &Job) -> Result<Command, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let job = serde_json::to_string(job).map_err(|error| error.to_string())?;
    let mut command = Command::new(program);
    command.args(["bench", "child", "--job", &job]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Ok(command)
}

/// Seconds from the start of a job's process to its first line.
pub fn seconds_to_first_line(job: &Job) -> Result<(f64, String), String> {
    let start = monotonic();
    let mut child = command(job)?.spawn().map_err(|error| error.to_string())?;
    let mut line = String::new();
    let mut lines = child.stdout.take().map(BufReader::new);
    let read = lines.as_mut().map_or(Ok(0), |lines| lines.read_line(&mut line));
    let seconds = start.elapsed().as_secs_f64();
    // The pipe stays open to its end.
    let _ = lines.map(|lines| lines.lines().count());
    let output = child.wait_with_output().map_err(|error| error.to_string())?;
    match read {
        Ok(read) if read > 0 && output.status.success() => Ok((seconds, line.trim().to_owned())),
        _ => Err(format!("il processo misurato è fallito: {}", String::from_utf8_lossy(&output.stderr).trim())),
    }
}

/// Seconds of a rival, a program of others.
pub fn rival(program: &str, args: &[&std::ffi::OsStr]) -> Result<f64, String> {
    let (seconds, output) = timed(|| Command::new(program).args(args).stdin(Stdio::null()).output());
    let output = output.map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() { Ok(seconds) } else { Err(format!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim())) }
}

/// A simulator in a process of its own, killed when dropped.
pub struct Simulator {
    child: Child,
    pub url: String,
}

impl Simulator {
    pub fn start(clock: &str) -> Result<Simulator, String> {
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        let mut command = Command::new(program);
        command.args(["sandbox", "--listen", "127.0.0.1:0", "--clock", clock]);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().map_err(|error| error.to_string())?;
        let mut line = String::new();
        let read = child.stdout.take().map_or(Ok(0), |out| BufReader::new(out).read_line(&mut line));
        let url = line.split_whitespace().last().unwrap_or_default().to_owned();
        let simulator = Simulator { child, url };
        if read.is_ok() && simulator.url.starts_with("http://") { Ok(simulator) } else { Err("il simulatore non parte".to_owned()) }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The smallest: what the work takes when nothing else disturbs it.
pub fn best(seconds: &[f64]) -> f64 {
    seconds.iter().copied().fold(f64::INFINITY, f64::min)
}

/// Three decimals are what is measured.
pub fn round(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}

/// Rounds each.
pub fn rounded(values: &[f64]) -> Vec<f64> {
    values.iter().map(|value| round(*value)).collect()
}

/// How often something is looked for that is about to happen.
pub const POLL: Duration = Duration::from_millis(2);
