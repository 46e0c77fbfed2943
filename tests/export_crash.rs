//! The real process killed with SIGKILL while it makes exports and mails at once: between the first rows and the files, between the
//! files and their record, between the record and the names; before a mail is handed over, and between the answer and its record. No
//! export is lost or made twice, numbers have no gap, the chain holds, nothing half written is ever seen under a final name; no mail
//! is lost, and what comes twice is the same, under the same Message-ID, and counted.
//!
//! Each point of `messo::failpoint::EXPORT_POINTS` three times and each of `MAIL_POINTS` twice, then from outside at any moment: thirty
//! kills. There is no SEND: what messo took is enough to be reconciled, and every night has a report to be mailed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a failed step ends the test")]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use common::exported::exports;
use common::office::{Ente, Office, Row, SOON, batch, flow, published, shared_clock};
use common::{Child, Dice, free_port, messo, python, require_python, wait_for};
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

/// A real SMTP server, and what it has taken.
struct Post {
    folder: tempfile::TempDir,
    _server: Child,
}

impl Post {
    /// `None`: it is not installed, already said. Answers what the configuration says of it too.
    fn start() -> Option<(Post, String)> {
        if !require_python(&["aiosmtpd"]) {
            return None;
        }
        let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/smtp_server.py");
        let mut command = Command::new(python());
        let mut server = Child::spawn("smtp", command.arg(script).arg(port.to_string()).arg(folder.path()).arg("plain"));
        server.wait_line("in ascolto", SOON);
        let mail = format!(
            "[mail]\nhost = \"localhost\"\nport = {port}\nfrom = \"messo@comune.esempio.it\"\ntls = \"nessuno\"\ncollect_minutes = 1\n"
        );
        Some((Post { folder, _server: server }, mail))
    }

    /// How often each mail was taken, by its Message-ID and recipient; a repeat is the same word for word.
    fn taken(&self) -> BTreeMap<(String, String), u64> {
        let text = fs::read_to_string(self.folder.path().join("mails.jsonl")).unwrap();
        let mut taken: BTreeMap<(String, String), (String, u64)> = BTreeMap::new();
        for line in text.lines() {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            let raw = line["message"].as_str().unwrap().to_owned();
            let mut lines = raw.split("\r\n").skip_while(|line| !line.starts_with("Message-ID:"));
            let first = lines.next().unwrap().trim_start_matches("Message-ID:").trim().to_owned();
            let id = lines.take_while(|line| line.starts_with(' ')).fold(first, |all, more| all + more.trim());
            let (kept, times) = taken.entry((id, line["to"][0].as_str().unwrap().to_owned())).or_insert_with(|| (raw.clone(), 0));
            assert_eq!(*kept, raw, "a repeat is the same word for word");
            *times += 1;
        }
        taken.into_iter().map(|(key, (_, times))| (key, times)).collect()
    }

    /// Holds what the store knows against what was taken: all that was to be told before `begun` went.
    fn judge(&self, db: &rusqlite::Connection, begun: i64) {
        let taken = self.taken();
        let mut select = db.prepare("SELECT message_id, recipient, state, repeats, doubtful, created_at FROM mail").unwrap();
        let mails: Vec<(String, String, String, u32, u32, i64)> = select
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?)))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        let mut repeated = 0;
        for (id, to, state, repeats, doubtful, made) in &mails {
            let times = taken.get(&(id.clone(), to.clone())).copied().unwrap_or(0);
            let (repeats, doubtful) = (u64::from(*repeats), u64::from(*doubtful));
            if state == "INVIATA" {
                assert!((1..=1 + repeats).contains(&times), "{id} came {times} times, {repeats} repeats counted");
            } else {
                assert!(*made >= begun && times <= doubtful, "{id} is still {state}, and came {times} times");
            }
            repeated += times.saturating_sub(1);
        }
        assert!(taken.keys().all(|(id, _)| mails.iter().any(|(known, ..)| known == id)), "a mail that nobody knows");
        let count = |sql: &str| db.query_row(sql, [begun], |row| row.get::<_, i64>(0)).unwrap();
        let told = count("SELECT coalesce(sum(alerts), 0) FROM mail_code WHERE code = 'RAPPORTO_DEL_GIORNO' AND ?1 > 0");
        let before = count("SELECT count(*) FROM alert WHERE code = 'RAPPORTO_DEL_GIORNO' AND at < ?1");
        let all = count("SELECT count(*) FROM alert WHERE code = 'RAPPORTO_DEL_GIORNO' AND ?1 > 0");
        assert!((before..=all).contains(&told) && before > 10, "{before} reports before, {told} in mails, {all} in all");
        assert!(repeated >= 2, "the kills between the answer and the record repeat: {repeated}");
        println!("{} mails, {repeated} repeats, {told} reports", mails.len());
    }
}

#[test]
fn no_kill_loses_an_export_or_breaks_the_chain() {
    let clock = shared_clock(FACTOR);
    let key = format!("{ENTE}-prova");
    let sources: Vec<(&str, &[&str], &[&str])> = vec![("tributi", &[ENTE], &["aperto"])];
    let more = "[[ente.avvisi]]\nto = [\"uno@comune.esempio.it\"]\n";
    let office = Office::new(&clock, "http://127.0.0.1:9", &[Ente { tax_id: ENTE, key: &key, more }], &sources, &[flow("aperto", "", "")]);
    let post = Post::start().map(|(post, mail)| {
        fs::write(office.config(), fs::read_to_string(office.config()).unwrap() + &mail).unwrap();
        post
    });
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
    for point in failpoint::MAIL_POINTS.iter().filter(|_| post.is_some()) {
        for time in 1..=2 {
            house.deposit();
            house.die(Some(&format!("{point}:{time}")), SOON);
        }
    }
    for _ in 0..7 {
        house.deposit();
        house.die(None, Duration::from_millis(700 + dice.roll(1_300)));
    }
    assert_eq!(house.kills, if post.is_some() { 30 } else { 22 });
    let begun = house.office.now().as_millisecond();
    let mut hub = house.start(None);
    let last = format!("LOTTO-{}", house.lots);
    wait_for("the last batch is reconciled", SOON, || {
        std::thread::sleep(Duration::from_millis(50));
        published(&house.folder).iter().any(|path| fs::read_to_string(path).unwrap().contains(&format!("{last};"))).then_some(())
    });
    let db = rusqlite::Connection::open(house.office.dir().join("dati/messo.db")).unwrap();
    db.busy_timeout(SOON).unwrap();
    if post.is_some() {
        wait_for("mails of before went", SOON, || {
            std::thread::sleep(Duration::from_millis(50));
            let sql = "SELECT (SELECT count(*) FROM mail WHERE state <> 'INVIATA' AND created_at < ?1) + \
                       (SELECT count(*) FROM alert WHERE at < ?1 AND id > coalesce((SELECT CAST(value AS INTEGER) FROM setting WHERE name = 'mail_cursor'), 0))";
            (db.query_row(sql, [begun], |row| row.get::<_, i64>(0)).unwrap() == 0).then_some(())
        });
    }
    assert!(hub.terminate(SOON).success());
    if let Some(post) = &post {
        post.judge(&db, begun);
    }
    drop(db);
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
