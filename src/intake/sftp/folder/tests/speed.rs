//! What durability costs, beside what the disk itself can do.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::clock::monotonic;

/// As `place` of one file at a time by hand: write, fsync, rename, fsync of the folder. Files a second.
fn by_hand(place: &Path, bytes: &[u8], time: Duration) -> f64 {
    let begin = monotonic();
    let folder = File::open(place).unwrap();
    let mut count = 0;
    while begin.elapsed() < time {
        let temporary = place.join("temporaneo");
        let mut file = File::create(&temporary).unwrap();
        file.write_all(bytes).unwrap();
        file.sync_all().unwrap();
        std::fs::rename(&temporary, place.join(format!("f{}", count % 500))).unwrap();
        folder.sync_all().unwrap();
        count += 1;
    }
    f64::from(count) / begin.elapsed().as_secs_f64()
}

/// The same through the home, by `threads` sessions. Files a second.
fn by_sessions(threads: usize, bytes: &[u8], time: Duration) -> f64 {
    let house = House::with(|settings| settings.limits.quota_files = u64::MAX);
    let (begin, count) = (monotonic(), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let (home, count) = (house.home(), &count);
            scope.spawn(move || {
                for at in 0.. {
                    if begin.elapsed() >= time {
                        break;
                    }
                    put(&home, &format!("in/lotto-{thread}-{at}.zip"), bytes).unwrap();
                    count.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    let rate = count.load(Ordering::Relaxed) as f64 / begin.elapsed().as_secs_f64();
    assert_eq!(house.tree("in").len() - 1, count.load(Ordering::Relaxed));
    rate
}

/// The figures are printed; `messo bench sftp` measures the same through SSH.
#[test]
#[ignore = "a measurement: other tests use the disk too"]
fn small_files_are_kept_nearly_as_fast_as_the_disk_can() {
    let place = tempfile::tempdir().unwrap();
    let bytes = vec![b'x'; 20 << 10];
    let time = Duration::from_millis(700);
    let best = |run: &dyn Fn() -> f64| (0..2).map(|_| run()).fold(0.0, f64::max);
    let alone = best(&|| by_hand(place.path(), &bytes, time));
    let (one, eight) = (best(&|| by_sessions(1, &bytes, time)), best(&|| by_sessions(8, &bytes, time)));
    println!("by hand {alone:.0}/s, one session {one:.0}/s ({:.2}), eight {eight:.0}/s ({:.2})", one / alone, eight / alone);
    assert!(one > alone * 0.3 && eight > alone * 0.5, "by hand {alone:.0}/s, one session {one:.0}/s, eight {eight:.0}/s");
}

#[test]
#[ignore = "a measurement: 512 MiB through the home, beside plain writes"]
fn large_files_cost_little_more_than_their_writes() {
    let total: u64 = 512 << 20;
    let piece = vec![b'x'; 32 << 10];
    let rate = |elapsed: Duration| total as f64 / 1e6 / elapsed.as_secs_f64();
    for (title, hash, fsync) in [("as shipped", true, true), ("hash alone", true, false), ("wire", false, false)] {
        let house = House::with(|settings| (settings.hash, settings.fsync) = (hash, fsync));
        let begin = monotonic();
        let mut file = open(&house.home(), "in/lotto.zip", WRITE).unwrap();
        for at in (0..total).step_by(piece.len() * 8) {
            let pieces: Vec<(u64, &[u8])> = (0..8).map(|index| (at + index * piece.len() as u64, piece.as_slice())).collect();
            file.write_at(&pieces).unwrap();
        }
        let written = begin.elapsed();
        file.finish(Ending::Closed).unwrap();
        println!("{title}: {:.0} MB/s, of which writes {:.0} MB/s", rate(begin.elapsed()), rate(written));
    }
    let place = tempfile::tempdir().unwrap();
    let begin = monotonic();
    let file = File::create(place.path().join("x")).unwrap();
    for at in (0..total).step_by(piece.len()) {
        file.write_all_at(&piece, at).unwrap();
    }
    println!("plain pwrite: {:.0} MB/s", rate(begin.elapsed()));
    file.sync_all().unwrap();
    println!("with fsync: {:.0} MB/s", rate(begin.elapsed()));
}
