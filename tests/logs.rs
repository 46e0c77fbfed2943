//! What reaches standard error when the program logs, seen from outside: this file runs itself as the program.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a failed step ends the test")]

mod common;

use std::process::Command;
use std::time::Duration;

use messo::telemetry::{self, Format};

const PART: &str = "MESSO_TEST_LOGS";

/// Not a test by itself: what the child does, when it is the child.
#[test]
fn child() {
    let Ok(format) = std::env::var(PART) else { return };
    let _logs = telemetry::init(format.parse::<Format>().unwrap(), None).unwrap();
    assert!(telemetry::init(Format::Json, None).is_err(), "a second start is refused");
    tracing::debug!("silent unless asked");
    tracing::info!(batch.id = "0193", file = telemetry::mask_name("rossi_mario.zip"), "batch accepted");
    let _ = std::thread::Builder::new().name("worker".into()).spawn(|| panic!("row of RSSMRA80A01H501U")).unwrap().join();
}

fn run(format: &str, filter: Option<&str>) -> Vec<String> {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "child", "--nocapture"]).env(PART, format).env_remove(telemetry::FILTER_VARIABLE);
    if let Some(filter) = filter {
        command.env(telemetry::FILTER_VARIABLE, filter);
    }
    let mut child = common::Child::spawn("logs", &mut command);
    assert!(child.wait(Duration::from_secs(90)).success(), "{}", child.output());
    child
        .output()
        .lines()
        .filter(|line| line.contains("INFO") || line.contains("ERROR") || line.contains("DEBUG"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn json_lines_have_fields_and_no_personal_data() {
    let lines = run("json", None);
    assert_eq!(lines.len(), 2, "{lines:#?}");
    let read: Vec<serde_json::Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(read[0]["message"], "batch accepted");
    assert_eq!(read[0]["batch.id"], "0193");
    assert!(read[0]["file"].as_str().unwrap().starts_with("r***.zip#"), "{}", read[0]);
    let at: jiff::Timestamp = read[0]["timestamp"].as_str().unwrap().parse().unwrap();
    assert!(lines[0].contains("Z\"") && messo::clock::Clock::REAL.now().duration_since(at).as_secs().abs() < 60, "UTC: {at}");
    assert_eq!(read[1]["message"], "panic");
    assert_eq!(read[1]["thread"], "worker");
    assert!(read[1]["place"].as_str().unwrap().starts_with("tests/logs.rs:"), "{}", read[1]);
    assert!(!lines.concat().contains("RSSMRA") && !lines.concat().contains("rossi"), "{lines:#?}");
}

#[test]
fn human_lines_are_words_without_colours_in_a_file() {
    let lines = run("testo", None);
    assert_eq!(lines.len(), 2, "{lines:#?}");
    assert!(lines[0].contains("batch accepted") && lines[0].contains("r***.zip#") && !lines[0].contains('\u{1b}'), "{lines:#?}");
    assert!(!lines.concat().contains("RSSMRA"), "{lines:#?}");
}

#[test]
fn the_filter_of_one_run_comes_from_its_environment() {
    assert_eq!(run("json", Some("debug")).len(), 3);
    assert_eq!(run("json", Some("error")).len(), 1);
}
