//! The real process killed with SIGKILL while it makes exports: between the first rows and the files, between the files and their
//! record, between the record and the names. No export is lost or made twice, numbers have no gap, the chain holds, nothing half
//! written is ever seen under a final name.
//!
//! Each point of `messo::failpoint::EXPORT_POINTS` three times, then from outside at any moment. There is no SEND: what messo took is
//! enough to be reconciled.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a failed step ends the test")]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::time::Duration;

use common::exported::exports;
use common::office::{Ente, Office, Row, SOON, batch, flow, published, shared_clock};
use common::{Child, Dice, messo, wait_for};
use messo::clock::monotonic;
use messo::failpoint;

const ENTE: &str = "01234567897";
/// A night in a second.
const FACTOR: u32 = 86_400;

struct House {
    office: Office,
    clock: String,
    folder: PathBuf,
    lots: usize,
    kills: usize,
    /// Files as they were first seen under their names.
    seen: BTreeMap<PathBuf, Vec<u8>>,
}

impl House {
    fn start(&self, fail_at: Option<&str>) -> Child {
        let mut command = messo(&["run", "--config", &self.office.config(), "--clock", &self.clock, "--log", "testo"]);
        if let Some(point) = fail_at {
            command.env(failpoint::VARIABLE, point);
        }
        // It may die before it says that it is there: while it gives names to what an earlier one left.
        Child::spawn("hub", &mut command)
    }

    /// Something that the next night must tell.
    fn deposit(&mut self) {
        self.lots += 1;
        let reference = format!("LOTTO-{}", self.lots);
        self.office.deposit("tributi", "aperto", &format!("{reference}.zip"), &batch(&[Row::new(ENTE, &reference)]));
    }

    /// Whatever is seen under a final name is whole and stays as it is.
    fn look(&mut self) {
        for path in published(&self.folder) {
            let bytes = fs::read(&path).unwrap();
            let text = String::from_utf8(bytes.clone()).unwrap();
            let whole =
                if path.extension().unwrap() == "xml" { text.ends_with("</rendicontazione>\n") } else { text.contains("\r\nTOTALE;") };
            assert!(whole, "{} is seen half written", path.display());
            let first = self.seen.entry(path.clone()).or_insert_with(|| bytes.clone());
            assert_eq!(*first, bytes, "{} has changed", path.display());
        }
    }

    /// Runs until that point kills the process, or for `life`.
    fn die(&mut self, fail_at: Option<&str>, life: Duration) {
        let mut hub = self.start(fail_at);
        let end = monotonic() + life;
        while hub.try_wait().is_none() && monotonic() < end {
            std::thread::sleep(Duration::from_millis(10));
        }
        if fail_at.is_some() {
            let status = hub.try_wait().unwrap_or_else(|| panic!("{fail_at:?} was not reached\n{}", hub.output()));
            assert_eq!(status.signal(), Some(9), "{fail_at:?}: {status:?}\n{}", hub.output());
        } else {
            hub.kill();
        }
        self.kills += 1;
        self.look();
    }
}

#[test]
fn no_kill_loses_an_export_or_breaks_the_chain() {
    let clock = shared_clock(FACTOR);
    let key = format!("{ENTE}-prova");
    let sources: Vec<(&str, &[&str], &[&str])> = vec![("tributi", &[ENTE], &["aperto"])];
    let office =
        Office::new(&clock, "http://127.0.0.1:9", &[Ente { tax_id: ENTE, key: &key, more: "" }], &sources, &[flow("aperto", "", "")]);
    let folder = office.dir().join("tributi/rendicontazioni");
    let mut house = House { office, clock, folder, lots: 0, kills: 0, seen: BTreeMap::new() };
    let mut dice = Dice(20_261_123);
    for time in 1..=3 {
        for point in failpoint::EXPORT_POINTS {
            house.deposit();
            // Later ones pass over the first times it is met: at the second file, in the list of the month, at the next night.
            let met = if *point == "export.page" { 1 } else { time };
            house.die(Some(&format!("{point}:{met}")), SOON);
        }
    }
    for _ in 0..5 {
        house.deposit();
        house.die(None, Duration::from_millis(700 + dice.roll(1_300)));
    }
    assert_eq!(house.kills, 20);
    let mut hub = house.start(None);
    let last = format!("LOTTO-{}", house.lots);
    wait_for("the last batch is reconciled", SOON, || {
        std::thread::sleep(Duration::from_millis(50));
        published(&house.folder).iter().any(|path| fs::read_to_string(path).unwrap().contains(&format!("{last};"))).then_some(())
    });
    assert!(hub.terminate(SOON).success());
    house.look();
    let all = exports(&house.folder);
    // Every change is told by one window: each act is there once for each of its changes, none is missing.
    for lot in 1..=house.lots {
        let reference = format!("LOTTO-{lot}");
        let changed = all.iter().filter(|export| export.kind == "VARIATI").flat_map(|export| &export.rows);
        let lines: Vec<&String> = changed.filter(|row| row["riferimento"] == reference).map(|row| &row["riga"]).collect();
        let mut distinct = lines.clone();
        distinct.dedup();
        assert!(!lines.is_empty() && distinct.len() == lines.len(), "{reference}: {lines:?}");
    }
    let left: Vec<_> = fs::read_dir(&house.folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .filter(|name| name.to_string_lossy().starts_with('.'))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    let ran = common::office::run(&["export", "verify", house.folder.to_str().unwrap()]);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
}
