//! A log that does not reach the disk.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;

use super::super::{Committed, LOST, Message, StoreError, sync_loop};

fn group(tell: mpsc::Sender<Result<(), StoreError>>) -> Committed {
    Committed { replies: vec![Box::new(move |answer| tell.send(answer).unwrap())], failure: None, written: true }
}

#[test]
fn nothing_is_acknowledged_after_a_log_that_was_lost() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let (lost, under_way) = (AtomicBool::new(false), AtomicUsize::new(0));
    let (give, groups) = mpsc::channel();
    let (writer, synced) = mpsc::channel();
    std::thread::scope(|scope| {
        let (log, lost, under_way) = (&log, &lost, &under_way);
        scope.spawn(move || sync_loop(log, &groups, &writer, lost, under_way));
        let answer = || {
            let (tell, told) = mpsc::channel();
            under_way.fetch_add(1, Ordering::AcqRel);
            give.send(group(tell)).unwrap();
            told.recv().unwrap()
        };
        assert!(answer().is_err(), "there is no log to bring to the disk");
        // The group that was run meanwhile: its own flush would succeed, and what it rests on is not there.
        std::fs::write(log, b"").unwrap();
        assert!(matches!(answer(), Err(StoreError::Database(why)) if why == LOST));
        drop(give);
    });
    assert!(lost.load(Ordering::Acquire));
    assert_eq!(under_way.load(Ordering::Acquire), 0, "the writer waits for nobody");
    assert!(synced.iter().all(|message| matches!(message, Message::Synced)));
}
