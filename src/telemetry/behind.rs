//! Lines that a thread writes behind whoever logs: a call to the system for each would be a twentieth of an answer.
//!
//! A line of `INFO` or lower waits for a moment at most, with at most 64 KiB of others; then whoever logs writes what waits, and so waits for
//! a standard error that is slow. One of `WARN` or `ERROR`, which a panic is too, is written before its call returns, after all
//! that was logged before it. The order is kept. What still waits when the process is killed is lost.

use std::io::{ErrorKind, Result, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

/// Bytes that wait at most, save for one line that is longer.
const FULL: usize = 64 << 10;

/// Where lines go.
pub(super) struct Behind<W>(Arc<Inner<W>>);

struct Inner<W> {
    /// Locked after `out` where both are, and never while something is written.
    waiting: Mutex<Waiting>,
    begun: Condvar,
    /// How long lines wait at most.
    late: Duration,
    out: Mutex<Out<W>>,
}

#[derive(Default)]
struct Waiting {
    lines: Vec<u8>,
    /// Nothing waits any more: no thread comes behind.
    over: bool,
}

struct Out<W> {
    to: W,
    /// What is being written, else empty.
    lines: Vec<u8>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<W> Clone for Behind<W> {
    fn clone(&self) -> Behind<W> {
        Behind(self.0.clone())
    }
}

impl<W: Write + Send + 'static> Behind<W> {
    /// Starts the thread; when the system gives none, every line is written at once.
    pub fn start(to: W, late: Duration) -> Behind<W> {
        let out = Mutex::new(Out { to, lines: Vec::new() });
        let behind = Behind(Arc::new(Inner { waiting: Mutex::default(), begun: Condvar::new(), late, out }));
        let inner = behind.0.clone();
        if std::thread::Builder::new().name("log".to_owned()).spawn(move || inner.follow()).is_err() {
            behind.end();
        }
        behind
    }

    /// Writes what waits, and from now on every line at once.
    pub fn end(&self) {
        lock(&self.0.waiting).over = true;
        self.0.begun.notify_all();
        self.0.write();
    }

    /// Writes what waits.
    pub fn flush(&self) {
        self.0.write();
    }
}

impl<W: Write> Inner<W> {
    fn follow(&self) {
        loop {
            let mut waiting = lock(&self.waiting);
            while waiting.lines.is_empty() && !waiting.over {
                waiting = self.begun.wait(waiting).unwrap_or_else(PoisonError::into_inner);
            }
            if waiting.over {
                return;
            }
            drop(waiting);
            std::thread::sleep(self.late);
            self.write();
        }
    }

    /// Returns when all that was added before is written, by whomever.
    fn write(&self) {
        let mut out = lock(&self.out);
        let Out { to, lines } = &mut *out;
        std::mem::swap(&mut lock(&self.waiting).lines, lines);
        write_lines(to, lines);
        lines.clear();
        lines.shrink_to(FULL);
    }

    fn add(&self, line: &[u8], at_once: bool) {
        let mut waiting = lock(&self.waiting);
        while !waiting.lines.is_empty() && waiting.lines.len() + line.len() > FULL {
            drop(waiting);
            self.write();
            waiting = lock(&self.waiting);
        }
        let first = waiting.lines.is_empty();
        waiting.lines.extend_from_slice(line);
        let at_once = at_once || waiting.over;
        drop(waiting);
        if at_once {
            self.write();
        } else if first {
            self.begun.notify_one();
        }
    }
}

/// Where logs cannot be written there is nobody to tell: a line that fails is left out, for the next may find room again.
fn write_lines(to: &mut impl Write, mut rest: &[u8]) {
    while !rest.is_empty() {
        let done = match to.write(rest) {
            Ok(count) if count > 0 => count,
            Err(error) if error.kind() == ErrorKind::Interrupted => 0,
            _ => rest.iter().position(|byte| *byte == b'\n').map_or(rest.len(), |end| end + 1),
        };
        rest = rest.get(done..).unwrap_or_default();
    }
    let _ = to.flush();
}

/// The way of one line.
pub(super) struct Line<'a, W> {
    to: &'a Inner<W>,
    at_once: bool,
}

impl<W: Write> Write for Line<'_, W> {
    fn write(&mut self, line: &[u8]) -> Result<usize> {
        self.to.add(line, self.at_once);
        Ok(line.len())
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

impl<'a, W: Write + 'a> MakeWriter<'a> for Behind<W> {
    type Writer = Line<'a, W>;

    fn make_writer(&'a self) -> Line<'a, W> {
        Line { to: &self.0, at_once: true }
    }

    fn make_writer_for(&'a self, about: &Metadata<'_>) -> Line<'a, W> {
        Line { to: &self.0, at_once: *about.level() <= Level::WARN }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const LATE: Duration = Duration::from_millis(50);

    /// Each write, and before each a permit if permits are wanted.
    struct Paper {
        written: mpsc::Sender<String>,
        permits: Option<mpsc::Receiver<()>>,
    }

    impl Write for Paper {
        fn write(&mut self, text: &[u8]) -> Result<usize> {
            if let Some(permits) = &self.permits {
                permits.recv().unwrap();
            }
            if !text.is_empty() {
                self.written.send(String::from_utf8(text.to_vec()).unwrap()).unwrap();
            }
            Ok(text.len())
        }

        fn flush(&mut self) -> Result<()> {
            Ok(())
        }
    }

    fn log(to: &Behind<Paper>, work: impl FnOnce()) {
        let lines = tracing_subscriber::fmt().with_writer(to.clone()).without_time().with_target(false).with_ansi(false).finish();
        tracing::subscriber::with_default(lines, work);
    }

    #[test]
    fn lines_wait_together_and_a_warning_brings_all_of_them() {
        let (written, read) = mpsc::channel();
        let behind = Behind::start(Paper { written, permits: None }, Duration::from_secs(2));
        log(&behind, || {
            tracing::info!("uno");
            tracing::info!("due");
            assert!(read.try_recv().is_err(), "nobody was kept waiting");
            assert_eq!(read.recv_timeout(Duration::from_secs(10)).unwrap(), " INFO uno\n INFO due\n", "and both came by themselves");
            tracing::info!("tre");
            tracing::warn!("quattro");
            let told: Vec<String> = read.try_iter().collect();
            assert_eq!(told.concat(), " INFO tre\n WARN quattro\n", "in order, before the call returned");
            tracing::info!("cinque");
            behind.end();
            assert_eq!(read.try_iter().collect::<String>(), " INFO cinque\n");
            tracing::info!("sei");
            assert_eq!(read.try_iter().collect::<String>(), " INFO sei\n", "afterwards nothing waits");
        });
    }

    #[test]
    fn whoever_logs_more_than_is_written_waits() {
        let (written, read) = mpsc::channel();
        let (permit, permits) = mpsc::channel();
        let behind = Behind::start(Paper { written, permits: Some(permits) }, LATE);
        let (lines, line) = (3 * FULL / 1_000, "x".repeat(999) + "\n");
        let (begun, done) = (Arc::new(Mutex::new(0)), Arc::new(Mutex::new(false)));
        let writer = std::thread::spawn({
            let (behind, begun, done) = (behind.clone(), begun.clone(), done.clone());
            move || {
                for _ in 0..lines {
                    *begun.lock().unwrap() += 1;
                    behind.0.add(line.as_bytes(), false);
                }
                *done.lock().unwrap() = true;
            }
        });
        std::thread::sleep(4 * LATE);
        let so_far = *begun.lock().unwrap();
        // What is being written, what waits, and the line in hand.
        assert!(so_far <= 2 * FULL / 1_000 + 1 && !*done.lock().unwrap(), "{so_far} lines while nothing could be written");
        for _ in 0..10 {
            permit.send(()).unwrap();
        }
        writer.join().unwrap();
        behind.end();
        assert_eq!(read.try_iter().map(|text| text.len()).sum::<usize>(), lines * 1_000);
    }

    #[test]
    fn a_line_that_cannot_be_written_does_not_take_the_next_with_it() {
        struct Full(Vec<u8>, bool);
        impl Write for Full {
            fn write(&mut self, text: &[u8]) -> Result<usize> {
                if std::mem::replace(&mut self.1, false) {
                    return Err(ErrorKind::WouldBlock.into());
                }
                // In pieces, as a pipe takes them.
                let some = text.len().min(4);
                self.0.extend_from_slice(&text[..some]);
                Ok(some)
            }

            fn flush(&mut self) -> Result<()> {
                Ok(())
            }
        }
        let mut full = Full(Vec::new(), true);
        write_lines(&mut full, b"prima riga\nseconda\nterza");
        assert_eq!(full.0, b"seconda\nterza");
    }
}
