//! What a session holds, in bytes, while clients ask for more than they take.

use bytes::Bytes;
use messo::intake::sftp::engine::{Engine, Limits};
use messo::intake::sftp::protocol::{Request, kind};

use super::recordings::{self, blocks};
use super::sftp_client::{NO_ATTRS, READ, Script, Session, replies};
use super::sftp_home::MemoryHome;

/// paramiko asks for a whole file of 1 GiB at once and takes the answers a window at a time.
#[test]
fn a_prefetch_of_1_gib_costs_its_requests_and_one_reply_budget() {
    const GIB: u64 = 1 << 30;
    const WINDOW: usize = 2 << 20;
    let home = MemoryHome::new().with_virtual("/esiti/esito.zip", GIB);
    let mut session = Session::new(&home);
    let script = recordings::paramiko_prefetches(32_768);
    // All of it comes before anything is taken.
    for cut in script.bytes.chunks(32_768) {
        session.engine.feed(cut).unwrap();
    }
    let queued = session.engine.held_bytes();
    assert!(queued < 1_500_000, "{queued} bytes for 32,768 READs");
    let (mut most, mut taken, mut data) = (0, 0u64, 0u64);
    let mut tail = Vec::new();
    loop {
        while session.step() {
            most = most.max(session.engine.held_bytes());
        }
        assert!(
            home.tree().reads as u64 * 32_768 <= taken + (2 << 20) + 32_768,
            "a READ touched the disk before its answer was affordable"
        );
        // The client takes a part of its window.
        let before = taken;
        while taken - before < WINDOW as u64 / 2 {
            let Some(bytes) = session.engine.output(32_768) else { break };
            taken += bytes.len() as u64;
            data += bytes.len() as u64;
            tail = [&tail[tail.len().saturating_sub(8)..], &bytes[..]].concat();
        }
        if taken == before {
            break;
        }
    }
    assert!(session.engine.is_idle());
    assert!(data > GIB);
    assert!(most < queued + (2 << 20) + (512 << 10), "{most} bytes held at most");
    assert_eq!(session.engine.held_bytes(), 0, "a session at rest holds nothing");
    assert_eq!(home.tree().heard, [format!("downloaded /esiti/esito.zip {GIB} true")]);
}

/// A client that never takes an answer stops its own session, not the memory.
#[test]
fn answers_nobody_takes_stop_the_work() {
    let home = MemoryHome::new();
    let mut session = Session::new(&home);
    let long = format!("/{}", "x".repeat(250)).repeat(16);
    let script = (0..500).fold(Script::init(3), |script, _| script.path(kind::REALPATH, &long));
    session.engine.feed(&script.bytes).unwrap();
    while session.step() {}
    assert!(session.engine.waits_for_output());
    assert!((1 << 20..=2 << 20).contains(&session.engine.reply_bytes()), "{}", session.engine.reply_bytes());
    session.pump();
    assert!(session.engine.is_idle() && !session.engine.waits_for_output());
    assert_eq!(session.lines().len(), 501);
}

/// Long READs of short files, none of whose answers is taken: what waits is what was read, not what was asked for.
#[test]
fn short_answers_to_long_reads_keep_no_long_buffers() {
    for size in [10, 5_000, 100_000, 200_000] {
        let home = MemoryHome::new().with("/esiti/esito.zip", &vec![1; size]);
        let mut session = Session::new(&home);
        session.engine.feed(&Script::init(3).open("/esiti/esito.zip", READ, &NO_ATTRS).bytes).unwrap();
        session.step();
        for id in 2..2_000 {
            session.engine.feed(&Script { id, ..Script::default() }.read(1, 0, 255 * 1024).bytes).unwrap();
            session.step();
        }
        let held = session.engine.held_bytes();
        assert!(held < 5 << 20, "{held} bytes held for files of {size}");
    }
}

#[test]
fn a_long_read_is_given_out_even_when_the_budget_is_smaller() {
    let home = MemoryHome::new().with_virtual("/esiti/esito.zip", 1 << 30);
    let limits = Limits { replies: 1_000, ..Limits::default() };
    let mut session = Session::with(&home, limits, messo::intake::sftp::executor::Settings::new(super::sftp_client::sentence));
    session.feed(&recordings::paramiko_prefetches(3).bytes).unwrap();
    assert_eq!(session.lines()[3..], ["data 32768", "data 32768", "data 32768", "status 0"]);
}

#[test]
fn batches_stay_small() {
    let limits = Limits::default();
    let mut engine = Engine::new(limits);
    let script = recordings::paramiko_puts(&blocks(100, 32_768));
    engine.feed(&script.bytes).unwrap();
    let batch = engine.take().unwrap();
    let payload: usize = batch.requests().map(|(_, request)| if let Request::Write { data, .. } = request { data.len() } else { 0 }).sum();
    assert!((limits.batch / 2..=limits.batch + 40_000).contains(&payload), "{payload}");
    assert!(engine.take().is_none(), "one batch at a time, or answers lose their order");
    assert!(engine.queued_bytes() > 3_200_000, "what is given out counts until it is answered: {}", engine.queued_bytes());
}

/// The payload of a WRITE lies in the buffer it came in: one buffer per packet, no copy after `feed`.
#[test]
fn payloads_are_slices_of_what_came() {
    let mut engine = Engine::new(Limits::default());
    engine.feed(&Script::init(3).bytes).unwrap();
    let _hello = engine.output(usize::MAX);
    let block = vec![9; 32_768];
    let script = (0..8u64).fold(Script::default(), |script, number| script.write(1, number * 32_768, &block));
    // As SSH brings it: 32 KiB at a time, so every WRITE is cut.
    for cut in script.bytes.chunks(32_768) {
        engine.feed(cut).unwrap();
    }
    let held = engine.held_bytes();
    assert!(held < script.bytes.len() + 2_048, "{held} bytes of buffers for {} of packets", script.bytes.len());
    let batch = engine.take().unwrap();
    let payloads: Vec<Bytes> = batch
        .requests()
        .filter_map(|(_, request)| if let Request::Write { data, .. } = request { Some(data.clone()) } else { None })
        .collect();
    assert_eq!(payloads.len(), 8);
    assert!(payloads.iter().all(|payload| payload[..] == block));
    assert_eq!(engine.held_bytes(), 0);
}

#[test]
fn a_slow_packet_holds_no_more_than_itself() {
    let mut engine = Engine::new(Limits::default());
    engine.feed(&Script::init(3).bytes).unwrap();
    let script = Script::default().write(1, 0, &[0; 200_000]);
    for byte in &script.bytes[..2_000] {
        engine.feed(&[*byte]).unwrap();
    }
    assert!(engine.is_mid_packet());
    assert!(engine.held_bytes() < 201_000);
    engine.feed(&script.bytes[2_000..]).unwrap();
    assert!(!engine.is_mid_packet());
    assert_eq!(engine.queued_requests(), 1);
}

#[test]
fn small_answers_travel_together() {
    let home = MemoryHome::new();
    let mut session = Session::new(&home);
    let script = (0..100).fold(Script::init(3), |script, _| script.path(kind::STAT, "/in"));
    session.engine.feed(&script.bytes).unwrap();
    while session.step() {}
    let _hello = session.engine.output(usize::MAX).unwrap();
    let bytes = session.engine.output(usize::MAX).unwrap();
    assert_eq!(replies(&bytes).len(), 100);
    assert!(session.engine.output(usize::MAX).is_none() && session.engine.output(0).is_none());
}
