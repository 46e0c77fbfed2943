//! Files over SFTP, by OpenSSH's own client: one large, on the wire and as shipped; many small.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::servers::{Keys, Server};
use crate::cli::bench::measure::{best, rival, round, rounded, settle_disk, timed};
use crate::cli::bench::{at_least, judged};

/// Goals: time of OpenSSH over ours, and our processor time over OpenSSH's.
const GOAL_UP: f64 = 1.5;
const GOAL_DOWN: f64 = 1.2;
const GOAL_CPU: f64 = 0.6;
/// As shipped: our time over that of OpenSSH put + fsync + sha256sum.
const GOAL_SHIPPED: f64 = 0.8;
/// Small files: our rate over the durable line, with one connection and with eight.
const GOAL_ONE: f64 = 0.45;
const GOAL_EIGHT: f64 = 0.7;
const CIPHERS: [&str; 3] = ["aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com"];
/// Bytes of a small file.
const SMALL: usize = 20 << 10;
const GROUPS: usize = 8;
/// Longest one transfer may take (seconds): past it the server is said to hang.
const LIMIT: &str = "600";

/// What is sent, and where it may lie.
pub struct Cargo {
    /// In memory, when there is `/dev/shm`.
    pub folder: PathBuf,
    pub keys: Keys,
    pub mib: u64,
    pub runs: usize,
}

type Told = (Vec<String>, Value);

/// Bytes that cannot be compressed.
pub fn write_noise(path: &Path, bytes: u64, seed: u64) -> Result<(), String> {
    let write = || -> std::io::Result<()> {
        let mut file = File::create(path)?;
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut block = vec![0; 1 << 20];
        let mut left = bytes;
        while left > 0 {
            for word in block.chunks_exact_mut(8) {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                word.copy_from_slice(&state.to_le_bytes());
            }
            let now = left.min(block.len() as u64);
            file.write_all(block.get(..now as usize).unwrap_or_default())?;
            left -= now;
        }
        Ok(())
    };
    write().map_err(|error| format!("{}: {error}", path.display()))
}

impl Cargo {
    fn command(&self, server: &Server, cipher: Option<&str>, script: &Path) -> Command {
        let mut command = Command::new("timeout");
        command.args([LIMIT, "sftp", "-q", "-F", "/dev/null"]);
        for option in [
            "BatchMode=yes",
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            "LogLevel=ERROR",
            "IdentitiesOnly=yes",
            "IdentityAgent=none",
            &format!("Port={}", server.target.address.port()),
            &format!("IdentityFile={}", self.keys.file.display()),
        ] {
            command.args(["-o", option]);
        }
        if let Some(cipher) = cipher {
            command.args(["-o", &format!("Ciphers={cipher}")]);
        }
        command.arg("-b").arg(script).arg(format!("{}@{}", server.target.user, server.target.address.ip()));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }

    /// Runs clients at the same time, each with its script; seconds until the last has ended.
    fn run(&self, server: &Server, cipher: Option<&str>, scripts: &[String]) -> Result<f64, String> {
        let mut commands = Vec::new();
        for (number, script) in scripts.iter().enumerate() {
            let path = self.folder.join(format!("comandi-{number}"));
            fs::write(&path, script).map_err(|error| error.to_string())?;
            commands.push(self.command(server, cipher, &path));
        }
        let (seconds, ended) = timed(|| {
            let clients: Vec<_> = commands.iter_mut().map(Command::spawn).collect();
            clients.into_iter().map(|client| client.and_then(|client| client.wait_with_output())).collect::<Vec<_>>()
        });
        for output in ended {
            let output = output.map_err(|error| format!("sftp: {error}"))?;
            if !output.status.success() {
                return Err(format!("sftp ({}): {}", output.status, String::from_utf8_lossy(&output.stderr).trim()));
            }
        }
        Ok(seconds)
    }

    fn big(&self) -> PathBuf {
        self.folder.join("casa/esiti/grande.bin")
    }

    /// On the wire: in memory, nothing hashed, nothing flushed. Wants [`Cargo::folder`] to hold three times the file.
    pub fn wire(&self) -> Result<Told, String> {
        let root = self.folder.join("casa");
        fs::create_dir_all(root.join("esiti")).map_err(|error| error.to_string())?;
        write_noise(&self.big(), self.mib << 20, 1)?;
        let messo = Server::door(&self.keys, &root)?;
        let theirs = Server::openssh(&self.keys, &self.folder, &self.folder.join("openssh"))?;
        let (mut text, mut figures) = (Vec::new(), Vec::new());
        for cipher in CIPHERS {
            let name = cipher.split('@').next().unwrap_or(cipher);
            let mut sides = [(&messo, Vec::new()), (theirs.as_ref().unwrap_or(&messo), Vec::new())];
            for number in 0..self.runs {
                for (server, taken) in sides.iter_mut().take(1 + usize::from(theirs.is_some())) {
                    taken.push([self.up(server, cipher, number == 0)?, self.down(server, cipher, number == 0)?]);
                }
            }
            let [(_, ours), (_, rivals)] = sides;
            for (index, (way, goal)) in [("su", GOAL_UP), ("giù", GOAL_DOWN)].into_iter().enumerate() {
                let pick = |list: &[[(f64, f64); 2]]| -> (Vec<f64>, Vec<f64>) {
                    list.iter().filter_map(|taken| taken.get(index).copied()).unzip()
                };
                let (seconds, cpu) = pick(&ours);
                let (rival_seconds, rival_cpu) = pick(&rivals);
                let gib = self.mib as f64 / 1_024.0;
                let (mine, cpu) = (best(&seconds), best(&cpu) / gib);
                let (theirs, rival_cpu) = (best(&rival_seconds), best(&rival_cpu) / gib);
                let rate = |seconds: f64| self.mib as f64 * 1.048_576 / seconds;
                let compared = !rivals.is_empty();
                text.push(if compared {
                    format!(
                        "{name} {way}: {:.0} MB/s, OpenSSH {:.0} MB/s: {}; CPU del server {cpu:.2} s/GiB, OpenSSH {rival_cpu:.2}: {}",
                        rate(mine),
                        rate(theirs),
                        at_least(theirs / mine, goal),
                        judged(cpu / rival_cpu, GOAL_CPU)
                    )
                } else {
                    format!("{name} {way}: {:.0} MB/s; CPU del server {cpu:.2} s/GiB", rate(mine))
                });
                figures.push(json!({
                    "cipher": name, "way": if index == 0 { "up" } else { "down" },
                    "seconds": round(mine), "mb_per_second": round(rate(mine)), "cpu_seconds_per_gib": round(cpu),
                    "rival": compared.then(|| json!({"command": "internal-sftp", "seconds": round(theirs), "mb_per_second": round(rate(theirs)), "cpu_seconds_per_gib": round(rival_cpu)})),
                    "ratio": compared.then(|| round(theirs / mine)), "goal": goal,
                    "ratio_cpu": compared.then(|| round(cpu / rival_cpu)), "goal_cpu": GOAL_CPU,
                    "runs": {"seconds": rounded(&seconds), "rival_seconds": rounded(&rival_seconds)},
                }));
            }
        }
        drop((messo, theirs));
        Ok((text, json!(figures)))
    }

    /// Seconds, and processor seconds of the server.
    fn up(&self, server: &Server, cipher: &str, check: bool) -> Result<(f64, f64), String> {
        let target = server.inbox_path.join("grande.part");
        let _ = fs::remove_file(&target);
        let before = server.cpu();
        let seconds = self.run(server, Some(cipher), &[format!("put {} {}/grande.part\n", self.big().display(), server.inbox)])?;
        let cpu = server.cpu() - before;
        self.same(&target, check)?;
        let _ = fs::remove_file(&target);
        Ok((seconds, cpu))
    }

    fn down(&self, server: &Server, cipher: &str, check: bool) -> Result<(f64, f64), String> {
        let target = self.folder.join("giu.bin");
        let _ = fs::remove_file(&target);
        // OpenSSH serves the same file.
        let from = if server.outbox == "esiti" { "esiti/grande.bin".to_owned() } else { self.big().display().to_string() };
        let before = server.cpu();
        let seconds = self.run(server, Some(cipher), &[format!("get {from} {}\n", target.display())])?;
        let cpu = server.cpu() - before;
        self.same(&target, check)?;
        let _ = fs::remove_file(&target);
        Ok((seconds, cpu))
    }

    /// The size is that of the large file, and, if so wished, all its bytes are.
    fn same(&self, path: &Path, bytes: bool) -> Result<(), String> {
        let differs = || format!("{}: non è il file mandato", path.display());
        let (mine, theirs) = (File::open(self.big()), File::open(path));
        let (Ok(mut mine), Ok(mut theirs)) = (mine, theirs) else { return Err(differs()) };
        let length = |file: &File| file.metadata().map_or(0, |meta| meta.len());
        if length(&mine) != length(&theirs) {
            return Err(differs());
        }
        let (mut a, mut b) = (vec![0; 1 << 20], vec![0; 1 << 20]);
        let mut left = if bytes { length(&mine) } else { 0 };
        while left > 0 {
            let now = left.min(a.len() as u64) as usize;
            let (Some(a), Some(b)) = (a.get_mut(..now), b.get_mut(..now)) else { return Err(differs()) };
            let read = mine.read_exact(a).and(theirs.read_exact(b));
            if read.is_err() || a != b {
                return Err(differs());
            }
            left -= now as u64;
        }
        Ok(())
    }

    /// One large file as shipped, on the disk of `dir`.
    pub fn shipped(&self, hub: &Server, theirs: Option<&Server>) -> Result<Told, String> {
        fs::create_dir_all(self.folder.join("casa/esiti")).map_err(|error| error.to_string())?;
        if !self.big().exists() {
            write_noise(&self.big(), self.mib << 20, 1)?;
        }
        let (mut ours, mut rivals) = (Vec::new(), Vec::new());
        let put = |server: &Server| self.run(server, None, &[format!("put {} {}/grande.part\n", self.big().display(), server.inbox)]);
        for number in 0..self.runs {
            let target = hub.inbox_path.join("grande.part");
            settle_disk();
            ours.push(put(hub)?);
            self.same(&target, number == 0)?;
            let _ = fs::remove_file(&target);
            let Some(server) = theirs else { continue };
            let target = server.inbox_path.join("grande.part");
            settle_disk();
            let (seconds, done) = timed(|| -> Result<(), String> {
                put(server)?;
                flush(&target).and_then(|()| flush(&server.inbox_path)).map_err(|error| error.to_string())?;
                rival("sha256sum", &[target.as_os_str()]).map(drop)
            });
            done?;
            rivals.push(seconds);
            let _ = fs::remove_file(&target);
        }
        let (mine, rival) = (best(&ours), best(&rivals));
        let compared = !rivals.is_empty();
        let rate = |seconds: f64| self.mib as f64 * 1.048_576 / seconds;
        let mut line =
            format!("{} MiB come installato (impronta, fsync prima della risposta): {mine:.2} s, {:.0} MB/s", self.mib, rate(mine));
        if compared {
            line += &format!("; OpenSSH put + fsync + sha256sum {rival:.2} s: {}", judged(mine / rival, GOAL_SHIPPED));
        }
        let figures = json!({
            "mib": self.mib, "seconds": round(mine), "mb_per_second": round(rate(mine)),
            "rival": compared.then(|| json!({"command": "sftp put; fsync; sha256sum", "seconds": round(rival)})),
            "ratio": compared.then(|| round(mine / rival)), "goal": GOAL_SHIPPED,
            "runs": {"seconds": rounded(&ours), "rival_seconds": rounded(&rivals)},
        });
        Ok((vec![line], figures))
    }

    /// Many small files as shipped, beside what the disk itself can keep.
    pub fn small(&self, hub: &Server, theirs: Option<&Server>, dir: &Path, files: usize) -> Result<Told, String> {
        let per_group = files.div_ceil(GROUPS).max(1);
        let files = per_group * GROUPS;
        let mut groups = Vec::new();
        for group in 0..GROUPS {
            let folder = self.folder.join(format!("piccoli-{group}"));
            fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
            for number in 0..per_group {
                write_noise(&folder.join(format!("p{group}-{number:05}.part")), SMALL as u64, (group * per_group + number + 7) as u64)?;
            }
            groups.push(folder);
        }
        let line_folder = dir.join("linea");
        fs::create_dir_all(&line_folder).map_err(|error| error.to_string())?;
        let script = |server: &Server, groups: &[PathBuf]| -> String {
            groups.iter().map(|group| format!("put {}/* {}/\n", group.display(), server.inbox)).collect()
        };
        let (mut line, mut one, mut eight, mut rivals) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for _ in 0..self.runs {
            settle_disk();
            line.push(durable(&line_folder, files).map_err(|error| error.to_string())?);
            let each: Vec<String> = groups.iter().map(|group| script(hub, std::slice::from_ref(group))).collect();
            for (scripts, taken) in [(vec![script(hub, &groups)], &mut one), (each, &mut eight)] {
                settle_disk();
                taken.push(self.run(hub, None, &scripts)?);
                let there = empty(&hub.inbox_path);
                if there != files {
                    return Err(format!("{there} file piccoli su {files}"));
                }
            }
            if let Some(server) = theirs {
                settle_disk();
                rivals.push(self.run(server, None, &[script(server, &groups)])?);
                empty(&server.inbox_path);
            }
        }
        let rate = |list: &[f64]| files as f64 / best(list);
        let durable = rate(&line);
        let mut text =
            vec![format!("{files} file da 20 KiB; il disco da solo (scrittura, fsync, rename, fsync della cartella): {durable:.0} file/s")];
        text.push(format!("con una connessione: {:.0} file/s, {}", rate(&one), at_least(rate(&one) / durable, GOAL_ONE)));
        text.push(format!("con otto connessioni: {:.0} file/s, {}", rate(&eight), at_least(rate(&eight) / durable, GOAL_EIGHT)));
        if !rivals.is_empty() {
            text.push(format!("OpenSSH con una connessione, senza fsync: {:.0} file/s", rate(&rivals)));
        }
        let figures = json!({
            "files": files, "file_bytes": SMALL, "durable_files_per_second": round(durable),
            "one": {"files_per_second": round(rate(&one)), "ratio": round(rate(&one) / durable), "goal": GOAL_ONE},
            "eight": {"files_per_second": round(rate(&eight)), "ratio": round(rate(&eight) / durable), "goal": GOAL_EIGHT},
            "rival": (!rivals.is_empty()).then(|| json!({"command": "internal-sftp, one connection, no fsync", "files_per_second": round(rate(&rivals))})),
            "runs": {"durable_seconds": rounded(&line), "one_seconds": rounded(&one), "eight_seconds": rounded(&eight)},
        });
        Ok((text, figures))
    }
}

/// Puts what lies there on the disk.
fn flush(path: &Path) -> std::io::Result<()> {
    File::open(path)?.sync_all()
}

/// Removes all files of a folder; how many there were.
fn empty(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter(|entry| fs::remove_file(entry.path()).is_ok()).count()
}

/// Seconds to keep so many small files one by one: write, flush, rename, flush of the folder.
fn durable(folder: &Path, files: usize) -> std::io::Result<f64> {
    let bytes = vec![0x5a; SMALL];
    let (seconds, done) = timed(|| {
        for number in 0..files {
            let path = folder.join(format!("f{}", number % 500));
            let fresh = path.with_extension("nuovo");
            let file = File::create(&fresh)?;
            file.write_all_at(&bytes, 0)?;
            file.sync_all()?;
            drop(file);
            fs::rename(&fresh, &path)?;
            flush(folder)?;
        }
        Ok(())
    });
    done.map(|()| seconds)
}
