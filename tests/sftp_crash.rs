//! The real process killed with SIGKILL, again and again, while OpenSSH's `sftp` uploads: no half batch is ever taken in, what was
//! acknowledged is there, and what was interrupted goes on where it was.
//!
//! Once at every point of `failpoint::SFTP_POINTS` and where the hub takes a file over, then at random. Several clients at a time, each
//! in its own way ([`Way`]); a client that got its answer never sends again, so that what was lost afterwards would be missed at the end.
//!
//! `MESSO_CRASH_SEED` repeats the choices of a run, `MESSO_CRASH_KILLS` sets how many kills there are.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a failed step ends the test")]

mod common;
#[path = "sftp/house.rs"]
#[allow(dead_code, reason = "each test uses its own part")]
mod house;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use common::office::{Row, batch};
use common::{Child, Dice, messo, require, wait_for};
use house::{Client, House};
use messo::clock::{Clock, monotonic};
use messo::domain::digest::Sha256;
use messo::failpoint;

const ENTE: &str = "02438750586";
/// A named point must be reached within this.
const PATIENCE: Duration = Duration::from_secs(90);
/// Points of the hub that takes over what lies whole in `in/`.
const TAKING: [&str; 4] = ["claim.renamed", "claim.journaled", "archive.kept", "batch.finished"];

/// How a client sends its files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    /// `put`, from the beginning each time.
    Anew,
    /// `put`, then `reput`; slowly, so that it is interrupted in the middle.
    Resumed,
    /// `put` under a temporary name, then `rename`.
    Renamed,
    /// Half of it under a temporary name, CLOSE, the rest, `rename`.
    Grown,
}

const WAYS: [Way; 4] = [Way::Anew, Way::Resumed, Way::Renamed, Way::Grown];

/// One batch, and how far its client knows it to be.
struct File {
    name: String,
    way: Way,
    digest: Sha256,
    /// Steps of [`File::steps`] that were acknowledged.
    done: usize,
    /// Times that its last step was tried without an answer.
    unanswered: usize,
}

impl File {
    /// Commands of `sftp`; what precedes the last leaves nothing that may be taken in.
    fn steps(&self, house: &House) -> Vec<String> {
        let name = &self.name;
        let put = |local: &str, remote: &str| {
            let staged = house.root().join(".messo/arrivo").join(remote);
            let there = fs::metadata(&staged).map_or(0, |meta| meta.len());
            let all = fs::metadata(house.local().join(local)).unwrap().len();
            let goes_on = there > 0 && there < all && self.way != Way::Anew;
            format!("{} {local} in/{remote}", if goes_on { "reput" } else { "put" })
        };
        let part = format!("{name}.filepart");
        match self.way {
            Way::Anew | Way::Resumed => vec![put(name, name)],
            Way::Renamed => vec![put(name, &part), format!("-rename in/{part} in/{name}")],
            Way::Grown => {
                let half = put(&format!("{name}.meta"), &part);
                let length = |folder: &str| fs::metadata(house.root().join(folder).join(&part)).map_or(0, |meta| meta.len());
                let all = fs::metadata(house.local().join(name)).unwrap().len();
                let rest = if length("in") == all {
                    // Whole already, although nobody was told: all that a client that asks would find.
                    format!("ls in/{part}")
                } else if length(".messo/arrivo") == all {
                    // As long, but never closed: `reput` would do nothing.
                    put(name, &part)
                } else {
                    format!("reput {name} in/{part}")
                };
                vec![half, rest, format!("-rename in/{part} in/{name}")]
            }
        }
    }

    fn is_answered(&self) -> bool {
        self.done
            >= match self.way {
                Way::Anew | Way::Resumed => 1,
                Way::Renamed => 2,
                Way::Grown => 3,
            }
    }
}

/// One house, many processes.
struct Run {
    house: House,
    files: Vec<File>,
    dice: Dice,
    /// Letters that hardly get smaller.
    bulk: String,
    kills: usize,
    resumed: usize,
    missed: Vec<String>,
}

impl Run {
    /// The hub, at work or already dead.
    fn start(&mut self, fail_at: Option<&str>) -> Child {
        let mut command = messo(&["run", "--config", &self.house.office().config(), "--log", "testo"]);
        command.env_remove(failpoint::VARIABLE).env_remove("MESSO_LOG");
        if let Some(point) = fail_at {
            command.env(failpoint::VARIABLE, point);
        }
        let mut hub = Child::spawn("messo run", &mut command);
        wait_for("the hub at work", PATIENCE, || (hub.output().contains("messo è in servizio") || hub.try_wait().is_some()).then_some(()));
        hub
    }

    fn new_file(&mut self, way: Way) {
        let number = self.files.len() + 1;
        let reference = format!("CADUTA-{number:04}");
        let size = match way {
            Way::Resumed => 1_500_000 + self.dice.roll(1_500_000),
            _ => 20_000 + self.dice.roll(600_000),
        };
        let text = self.bulk.get(..usize::try_from(size).unwrap()).unwrap();
        let bytes = batch(&[Row::new(ENTE, &reference).text(&format!("{reference} {text}"))]);
        let name = format!("lotto-{number:04}.zip");
        fs::write(self.house.local().join(&name), &bytes).unwrap();
        fs::write(self.house.local().join(format!("{name}.meta")), &bytes[..bytes.len() / 2]).unwrap();
        self.files.push(File { name, way, digest: Sha256::of(&bytes), done: 0, unanswered: 0 });
    }

    /// A client of that way, with what it has not sent yet.
    fn client(&mut self, way: Way, new: usize) -> Option<Client> {
        let waiting = self.files.iter().filter(|file| file.way == way && !file.is_answered()).count();
        (waiting..new).for_each(|_| self.new_file(way));
        let mut script = String::new();
        for file in self.files.iter_mut().filter(|file| file.way == way && !file.is_answered()) {
            let steps = file.steps(&self.house);
            for (index, step) in steps.iter().enumerate().skip(file.done) {
                // Half a file that was closed always goes on: only what was cut counts.
                self.resumed += usize::from(step.starts_with("reput") && way != Way::Grown);
                script += &format!("{step}\n!echo FATTO {} {}\n", file.name, index + 1);
            }
            file.unanswered += 1;
        }
        let limit: &[&str] = if way == Way::Resumed { &["-l", "24000"] } else { &[] };
        (!script.is_empty()).then(|| self.house.spawn_sftp(limit, &script))
    }

    /// What a client that has ended was told.
    fn hear(&mut self, client: Client) -> String {
        let said = house::finish(client).text;
        for line in said.lines() {
            let Some((name, step)) = line.strip_prefix("FATTO ").and_then(|rest| rest.split_once(' ')) else { continue };
            let file = self.files.iter_mut().find(|file| file.name == name).unwrap();
            file.done = step.trim().parse().unwrap();
            if file.is_answered() {
                file.unanswered -= 1;
            }
        }
        said
    }

    /// Clients of all ways at work until all have ended; `stop` is asked again and again and may kill the hub.
    fn lap(&mut self, new: usize, mut stop: impl FnMut()) -> Vec<String> {
        let mut clients: Vec<Client> = WAYS.into_iter().filter_map(|way| self.client(way, new)).collect();
        let mut said = Vec::new();
        while !clients.is_empty() {
            stop();
            let ended = clients.iter_mut().position(|client| client.try_wait().is_some());
            match ended {
                Some(index) => said.push(self.hear(clients.swap_remove(index))),
                None => std::thread::sleep(Duration::from_millis(2)),
            }
        }
        said
    }

    /// Runs until `point` kills the process.
    fn die_at(&mut self, point: &str) {
        let mut hub = self.start(Some(point));
        let end = monotonic() + PATIENCE;
        while hub.try_wait().is_none() && monotonic() < end {
            self.lap(1, || ());
        }
        match hub.try_wait() {
            Some(status) => assert_eq!(status.signal(), Some(9), "{point}: {status:?}\n{}", hub.output()),
            None => self.missed.push(point.to_owned()),
        }
        hub.kill();
        self.kills += 1;
    }

    /// Runs for a while, then kills the process from outside, wherever it is; one time in three a point of the code may do so first, one
    /// time in three a certain one when it is met again. It lives longer where less than a second is no life.
    fn die_at_random(&mut self) {
        let at = match self.dice.roll(3) {
            0 => Some(format!("*:p=0.004:seed={}", self.dice.roll(1_000_000))),
            1 => {
                let point = failpoint::SFTP_POINTS[self.dice.roll(failpoint::SFTP_POINTS.len() as u64) as usize];
                Some(format!("{point}:{}", 2 + self.dice.roll(6)))
            }
            _ => None,
        };
        let mut hub = self.start(at.as_deref());
        let death = monotonic() + Duration::from_millis(60 + self.dice.roll(900 * self.lifetimes()));
        self.lap(2, || {
            if monotonic() > death {
                hub.kill();
            }
        });
        hub.kill();
        let status = hub.try_wait().unwrap();
        assert_eq!(status.signal(), Some(9), "{at:?}: {status:?}\n{}", hub.output());
        self.kills += 1;
    }

    /// Seconds of a life: more once thirty did not cut enough uploads, because everything is slow here.
    fn lifetimes(&self) -> u64 {
        1 + self.kills.saturating_sub(30) as u64 / 5
    }

    /// (name, state, digest) of every batch that the store knows.
    fn taken(&self) -> Vec<(String, String, String)> {
        let db = rusqlite::Connection::open(self.house.office().dir().join("dati/messo.db")).unwrap();
        db.busy_timeout(Duration::from_secs(5)).unwrap();
        let mut select = db.prepare("SELECT original_name, state, lower(hex(sha256)) FROM batch").unwrap();
        let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
        rows.map(Result::unwrap).collect()
    }

    /// Files of the gestionale that are neither taken nor published.
    fn left(&self) -> Vec<String> {
        let folders = ["in", ".messo/arrivo", ".messo/lacune", ".messo/lavoro"];
        let entries = folders.iter().flat_map(|folder| fs::read_dir(self.house.root().join(folder)).into_iter().flatten().flatten());
        entries.filter(|entry| entry.path().is_file()).map(|entry| entry.path().display().to_string()).collect()
    }
}

#[test]
fn nothing_half_is_taken_and_nothing_acknowledged_is_lost_however_often_the_process_is_killed() {
    if !require("sftp") {
        return;
    }
    let told = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let seed = told("MESSO_CRASH_SEED").unwrap_or(Clock::REAL.now().as_millisecond().unsigned_abs() % 1_000_000);
    println!("MESSO_CRASH_SEED={seed}");
    let begin = monotonic();
    let mut house = House::start("", "sessions = 50\n");
    house.stop();
    let bulk = house::bytes(1_600_000, 11).iter().map(|byte| format!("{byte:02x}")).collect();
    let mut run = Run { house, files: Vec::new(), dice: Dice(seed), bulk, kills: 0, resumed: 0, missed: Vec::new() };
    for point in failpoint::SFTP_POINTS.iter().chain(&TAKING) {
        run.die_at(point);
    }
    while run.kills < told("MESSO_CRASH_KILLS").unwrap_or(30) as usize || (run.resumed < 5 && run.kills < 90) {
        run.die_at_random();
    }
    let hurried = begin.elapsed().as_secs_f64();

    let mut hub = run.start(None);
    let mut said = Vec::new();
    let end = monotonic() + PATIENCE;
    while run.files.iter().any(|file| !file.is_answered()) && monotonic() < end {
        said = run.lap(0, || ());
    }
    let silent: Vec<&str> = run.files.iter().filter(|file| !file.is_answered()).map(|file| file.name.as_str()).collect();
    assert_eq!(silent, Vec::<&str>::new(), "never acknowledged\n{}\n{}", said.join("\n"), hub.output());
    let end = monotonic() + PATIENCE;
    let settled = |run: &Run| {
        let taken = run.taken();
        run.left().is_empty()
            && run.files.iter().all(|file| taken.iter().any(|(name, state, _)| *name == file.name && state == "PRESA_IN_CARICO"))
    };
    while !settled(&run) && monotonic() < end {
        std::thread::sleep(Duration::from_millis(100));
    }
    let status = hub.terminate(PATIENCE);
    assert_eq!(status.code(), Some(0), "SIGTERM drains and ends\n{}", hub.output());

    let mut faults = Vec::new();
    let mut times: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    let taken = run.taken();
    for (name, state, digest) in &taken {
        let Some(file) = run.files.iter().find(|file| file.name == *name) else {
            faults.push(format!("{name}: taken in as {state}, and nobody sends that"));
            continue;
        };
        if file.digest.to_hex() != *digest {
            faults.push(format!("{name}: taken in as {state} with other bytes than its own"));
        }
        let (once, again) = times.entry(&file.name).or_default();
        match state.as_str() {
            "PRESA_IN_CARICO" => *once += 1,
            "DUPLICATO" => *again += 1,
            _ => faults.push(format!("{name}: {state}")),
        }
    }
    for file in &run.files {
        let (once, again) = times.get(file.name.as_str()).copied().unwrap_or_default();
        if once != 1 || again > file.unanswered {
            faults.push(format!(
                "{} ({:?}): taken in {once} times, {again} times more for {} unanswered",
                file.name, file.way, file.unanswered
            ));
        }
    }
    faults.extend(run.left().into_iter().map(|path| format!("{path}: left behind")));
    println!(
        "sftp_crash: {} kills in {hurried:.0} s, {} files, {} resumed, {} sent again, {:.0} s in all, seed {seed}",
        run.kills,
        run.files.len(),
        run.resumed,
        taken.len() - run.files.len().min(taken.len()),
        begin.elapsed().as_secs_f64()
    );
    assert!(faults.is_empty(), "seed {seed}:\n{}\n{}", faults.join("\n"), hub.output());
    assert!(run.missed.is_empty(), "points never reached: {:?}", run.missed);
    assert!(run.kills >= 30 && run.resumed >= 5, "{} kills, {} resumed: too few to tell", run.kills, run.resumed);
}
