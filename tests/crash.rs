//! The real process killed with SIGKILL, again and again, while batches are dropped and SEND misbehaves: nothing is lost, done
//! twice, torn or stuck.
//!
//! First once at every point of `messo::failpoint::POINTS`, then at random; the gestionale deletes every second file as soon
//! as it sees it, so that whatever is published twice is seen to come back. When all is quiet the simulator's memory, the
//! store and the files read are compared with each other (`crash/verdict.rs`).
//!
//! The business clock runs [`FACTOR`] times as fast: a day in two seconds, so that stories of three weeks end in less than a
//! minute. What SEND keeps for seven business days (unread events, unused uploads) it never forgets within a real minute
//! (`docs/sandbox.md`), and no restart takes that long.
//!
//! `MESSO_CRASH_SEED` repeats the choices of a run, `MESSO_CRASH_KILLS` sets how many kills at random there are.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a failed step ends the test")]

mod common;
#[path = "crash/house.rs"]
mod house;
#[path = "crash/lot.rs"]
mod lot;
#[path = "crash/reader.rs"]
mod reader;
#[path = "crash/tale.rs"]
mod tale;
#[path = "crash/verdict.rs"]
mod verdict;

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use common::{Child, Dice, wait_for};
use house::{House, Simulator, clock_from_now};
use messo::clock::{Clock, monotonic};
use messo::failpoint;
use reader::Reader;
use tale::Tale;
use verdict::Verdict;

/// Business seconds in a real one.
const FACTOR: u32 = 43_200;
/// A named point must be reached within this.
const PATIENCE: Duration = Duration::from_secs(90);
/// All stories end within this after the last kill.
const QUIET: Duration = Duration::from_secs(120);

/// One call in eight goes wrong; and of the pages of events one in five is out of order, one in five comes again.
const FAULTS: &str = r#"
[[fault]]
operation = "events"
kind = "shuffle"
rate = 0.2
[[fault]]
operation = "events"
kind = "duplicate"
rate = 0.2
[[fault]]
operation = "*"
kind = "429"
rate = 0.02
[[fault]]
operation = "*"
kind = "500"
rate = 0.02
[[fault]]
operation = "*"
kind = "503"
rate = 0.02
[[fault]]
operation = "*"
kind = "slow"
rate = 0.02
ms = 150
[[fault]]
operation = "*"
kind = "lost"
rate = 0.02
[[fault]]
operation = "*"
kind = "reset"
rate = 0.02
[[fault]]
operation = "*"
kind = "truncated"
rate = 0.02
"#;

/// A run of the test: one house, many processes.
struct Run {
    house: House,
    starts: usize,
    kills: usize,
    /// Points that no process reached in time.
    missed: Vec<String>,
}

impl Run {
    fn start(&mut self, fail_at: Option<&str>) -> Child {
        self.starts += 1;
        let mut command = self.house.command();
        if let Some(point) = fail_at {
            command.env(failpoint::VARIABLE, point);
        }
        Child::spawn("messo run", &mut command)
    }

    /// Runs until `point` kills the process.
    fn die_at(&mut self, point: &str) {
        let mut hub = self.start(Some(point));
        let end = monotonic() + PATIENCE;
        while hub.try_wait().is_none() && monotonic() < end {
            std::thread::sleep(Duration::from_millis(5));
        }
        match hub.try_wait() {
            Some(status) => assert_eq!(status.signal(), Some(9), "{point}: {status:?}\n{}", hub.output()),
            None => {
                self.missed.push(point.to_owned());
                hub.kill();
            }
        }
        self.kills += 1;
    }

    /// Runs until `done`, then kills the process.
    fn until(&mut self, what: &str, mut done: impl FnMut(&House) -> bool) {
        let mut hub = self.start(None);
        wait_for(what, PATIENCE, || {
            assert!(hub.try_wait().is_none(), "{what}: the hub has ended\n{}", hub.output());
            done(&self.house).then_some(())
        });
        hub.kill();
        self.kills += 1;
    }

    /// Runs for `life`, then kills the process from outside, wherever it is; one time in three a point of the code may do so first,
    /// and one time in three a certain one when it is met for the second to fifth time.
    fn die_at_random(&mut self, dice: &mut Dice, life: Duration) {
        let at = match dice.roll(3) {
            0 => Some(format!("*:p=0.02:seed={}", dice.roll(1_000_000))),
            1 => Some(format!("{}:{}", failpoint::POINTS[dice.roll(failpoint::POINTS.len() as u64) as usize], 2 + dice.roll(4))),
            _ => None,
        };
        let mut hub = self.start(at.as_deref());
        std::thread::sleep(life);
        hub.kill();
        let status = hub.try_wait().unwrap();
        assert_eq!(status.signal(), Some(9), "{at:?}: {status:?}\n{}", hub.output());
        self.kills += 1;
    }

    /// Why it is not yet quiet, asked of the store and of the simulator; `None` when it is.
    fn unrest(&self, simulator: &Simulator) -> Option<String> {
        let counters = simulator.look("counters");
        if counters["unfinished"] != 0 {
            return Some(format!("SEND has {} stories under way", counters["unfinished"]));
        }
        let elements = format!("SELECT {} - (SELECT count(*) FROM timeline)", counters["elements"]);
        let questions = [
            ("elements not heard", elements.as_str()),
            ("drops unfinished", "SELECT count(*) FROM batch WHERE finished_at IS NULL"),
            ("acts not final", "SELECT count(*) FROM act WHERE state NOT IN ('PERFEZIONATO', 'ANNULLATO', 'RIFIUTATO', 'RITIRATO')"),
            ("jobs", "SELECT count(*) FROM job WHERE kind <> 'CHIEDI_ESITO' OR state <> 'ATTESA'"),
            ("facts not kept or not listed", "SELECT count(*) FROM legal_fact WHERE state <> 'CONSERVATA' OR indexed = 0"),
            ("files not published", "SELECT count(*) FROM publication WHERE state <> 'PUBBLICATO'"),
            (
                "lines in no file",
                "SELECT coalesce(sum(next_line - 1 - (SELECT coalesce(max(last_line), 0) FROM publication p WHERE p.source = c.source)), 1) FROM counter c",
            ),
        ];
        questions.into_iter().find_map(|(what, sql)| match self.house.count(sql) {
            Some(0) => None,
            count => Some(format!("{count:?} {what}")),
        })
    }
}

#[test]
fn nothing_is_lost_or_done_twice_however_often_the_process_is_killed() {
    let told = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let seed = told("MESSO_CRASH_SEED").unwrap_or(Clock::REAL.now().as_millisecond().unsigned_abs() % 1_000_000);
    println!("MESSO_CRASH_SEED={seed}");
    let begin = monotonic();
    let mut dice = Dice(seed);

    let clock = clock_from_now(FACTOR);
    let faults = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(faults.path(), format!("seed = {seed}\n{FAULTS}")).unwrap();
    let mut simulator = Simulator::start(&clock, &["--faults", faults.path().to_str().unwrap(), "--cold", "0.2", "--alternate-uploads"]);
    let house = House::new(&simulator.url, &clock, "disk_reserve_bytes = 1048576");
    let reader = Reader::start(&house.path("case"));
    let mut tale = Tale::default();
    let mut run = Run { house, starts: 0, kills: 0, missed: Vec::new() };

    tale.begin(&run.house);
    run.die_at("stream.made");
    run.until("the first drops are acknowledged", |_| {
        let receipts = reader.receipts();
        ["anagrafe-grande.zip", "verbali.zip", Tale::ORDERED].iter().all(|name| receipts.iter().any(|(known, _)| known == name))
    });
    for point in failpoint::POINTS.iter().filter(|point| **point != "stream.made") {
        if *point == "cancel.answered" {
            run.until("the act to be cancelled has its IUN", |house| {
                house.count("SELECT count(*) FROM act WHERE reference = 'ORD-PUNTO' AND iun IS NOT NULL") == Some(1)
            });
        }
        // What the files of an act are about goes on by itself; only what takes a new drop gets one.
        if !point.starts_with("recover.") {
            tale.small(&run.house, point);
        }
        run.die_at(&if *point == "staging.chunk" { format!("{point}:2") } else { (*point).to_owned() });
    }
    tale.orders(&run.house);
    for round in 0..told("MESSO_CRASH_KILLS").unwrap_or(30) {
        if round % 4 == 1 {
            tale.small(&run.house, if round % 8 == 1 { "reject.writing" } else { "" });
        }
        // Short lives while batches come in, longer ones while the stories are told.
        let longest = if round % 5 == 4 { 3_000 } else { 800 };
        let life = Duration::from_millis(50 + dice.roll(longest - 50));
        run.die_at_random(&mut dice, life);
    }
    println!("{} kills in {:.1} s; quiet now", run.kills, begin.elapsed().as_secs_f64());

    let mut hub = run.start(None);
    let end = monotonic() + QUIET;
    let mut calm = 0;
    while calm < 3 {
        assert!(hub.try_wait().is_none() && simulator.is_up(), "a process has ended\n{}", hub.output());
        match run.unrest(&simulator) {
            Some(why) if monotonic() > end => {
                println!("--- never quiet: {why}");
                break;
            }
            Some(_) => calm = 0,
            None => calm += 1,
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let status = hub.terminate(Duration::from_secs(30));
    assert_eq!(status.code(), Some(0), "SIGTERM drains and ends\n{}", hub.output());

    let seen = reader.stop();
    let verdict = Verdict::of(&run.house, &simulator, &tale, &seen);
    println!(
        "crash: {} kills, {} starts, {} drops, {} acts, {} notifications, {} events, {} attestations, {} files, {:.0} s, seed {seed}",
        run.kills,
        run.starts,
        tale.drops.len(),
        tale.acts.len(),
        verdict.notifications,
        verdict.events,
        verdict.facts,
        verdict.files,
        begin.elapsed().as_secs_f64()
    );
    verdict.assert_good();
    assert!(run.missed.is_empty(), "points never reached: {:?}", run.missed);
    assert!(run.kills >= 30, "only {} kills", run.kills);
}

/// The answer to the POST is lost with the process; at the next start the events of the act come before anyone could ask about it.
#[test]
fn what_send_tells_before_a_lost_answer_is_looked_up_is_kept() {
    let clock = clock_from_now(FACTOR);
    let faults = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(faults.path(), "[[fault]]\noperation = \"status\"\nkind = \"slow\"\nms = 2000\n").unwrap();
    let simulator = Simulator::start(&clock, &["--faults", faults.path().to_str().unwrap()]);
    let house = House::new(&simulator.url, &clock, "disk_reserve_bytes = 0");
    let lot = lot::Lot::of(house::POLIZIA.1, vec![lot::Act::new("RISPOSTA-PERSA", lot::SEEN)]);
    house.drop_file(house::POLIZIA.0, "lotto.zip", &lot.zip());
    let mut run = Run { house, starts: 0, kills: 0, missed: Vec::new() };
    run.die_at("send.answered");
    assert_eq!(run.missed, Vec::<String>::new());
    wait_for("SEND has accepted", PATIENCE, || (simulator.look("notifications")[0]["requestStatus"] == "ACCEPTED").then_some(()));
    // The stream is quick, the question slow: stopped in between, and nobody asks again.
    run.until("the stream has told", |house| house.count("SELECT count(*) FROM act WHERE iun IS NOT NULL") == Some(1));
    let mut hub = run.start(None);
    let mut why = None;
    let end = monotonic() + PATIENCE;
    while monotonic() < end {
        why = run.unrest(&simulator);
        if why.is_none() {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(why, None, "{}", hub.output());
    assert_eq!(simulator.look("counters")["notifications"], 1);
    assert_eq!(hub.terminate(PATIENCE).code(), Some(0));
}
