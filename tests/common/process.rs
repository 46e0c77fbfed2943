//! Child processes that never outlive their test, and waiting with a deadline.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use messo::clock::monotonic;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// The program under test.
pub fn messo_bin() -> &'static str {
    env!("CARGO_BIN_EXE_messo")
}

/// A command line of the program under test: `messo(&["check", "--config", path])`.
pub fn messo<S: AsRef<std::ffi::OsStr>>(args: &[S]) -> Command {
    let mut command = Command::new(messo_bin());
    command.args(args);
    command
}

/// A port of 127.0.0.1 that is free, and that nobody else is given meanwhile: below those that the system gives to whoever asks for
/// any (from 32768 on), another one each time, and from another beginning in each process.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let begin = std::process::id() * 100;
    let free = (0..10_000).find_map(|_| {
        let offset = begin.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % 12_000;
        let port = 20_000 + u16::try_from(offset).unwrap();
        TcpListener::bind(("127.0.0.1", port)).is_ok().then_some(port)
    });
    free.expect("a free port")
}

/// Asks `probe` every 20 ms until it answers; fails the test after `limit`, saying `what` was awaited.
pub fn wait_for<T>(what: &str, limit: Duration, mut probe: impl FnMut() -> Option<T>) -> T {
    let end = monotonic() + limit;
    loop {
        if let Some(answer) = probe() {
            return answer;
        }
        assert!(monotonic() < end, "not within {limit:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A running child in a process group of its own, killed with all its own children when dropped. What it writes is
/// collected as it comes, so that a full pipe never stops it.
pub struct Child {
    name: String,
    child: std::process::Child,
    ended: Option<ExitStatus>,
    output: Arc<Mutex<String>>,
    readers: Vec<JoinHandle<()>>,
}

impl Child {
    /// Starts `command`; `name` appears in the messages of failed tests.
    pub fn spawn(name: &str, command: &mut Command) -> Child {
        use std::os::unix::process::CommandExt;
        command.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{name}: {error}"));
        let output = Arc::new(Mutex::new(String::new()));
        let mut readers = vec![collect(child.stdout.take().unwrap(), output.clone())];
        readers.push(collect(child.stderr.take().unwrap(), output.clone()));
        Child { name: name.to_owned(), child, ended: None, output, readers }
    }

    /// Process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Standard output and error so far, line by line as they came.
    pub fn output(&self) -> String {
        self.output.lock().unwrap().clone()
    }

    /// Waits until a line that contains `text` was written; fails when the child ends or `limit` passes before.
    pub fn wait_line(&mut self, text: &str, limit: Duration) -> String {
        let end = monotonic() + limit;
        loop {
            // Asked before the output is read: what a child wrote before its end is not missed.
            let ended = self.try_wait();
            if ended.is_some() {
                self.join_readers(Duration::from_secs(5));
            }
            if let Some(line) = self.output().lines().find(|line| line.contains(text)) {
                return line.to_owned();
            }
            let failed = ended.is_some() || monotonic() >= end;
            assert!(!failed, "{}: no line with {text:?} ({ended:?}); it wrote:\n{}", self.name, self.output());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// How it ended, if it did.
    pub fn try_wait(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().unwrap();
        }
        self.ended
    }

    /// Waits for its end; fails the test after `limit`.
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        let end = monotonic() + limit;
        while self.try_wait().is_none() {
            assert!(monotonic() < end, "{}: still running after {limit:?}; it wrote:\n{}", self.name, self.output());
            std::thread::sleep(Duration::from_millis(10));
        }
        self.join_readers(Duration::from_secs(5));
        self.ended.unwrap()
    }

    /// A signal to the child alone.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// SIGTERM to the child, then [`Child::wait`].
    pub fn terminate(&mut self, limit: Duration) -> ExitStatus {
        if self.try_wait().is_none() {
            let _ = kill_process(self.pid(), Signal::TERM);
        }
        self.wait(limit)
    }

    /// SIGKILL to the child and to every child of its own, at once.
    pub fn kill(&mut self) {
        // A group whose leader was reaped may be another's by now.
        if self.try_wait().is_none() {
            let _ = kill_process_group(self.pid(), Signal::KILL);
            self.ended = self.child.wait().ok();
        }
        self.join_readers(Duration::from_secs(5));
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap()
    }

    /// Readers end when the last holder of the pipes does: a grandchild that lives on is not waited for.
    fn join_readers(&mut self, limit: Duration) {
        let end = monotonic() + limit;
        while self.readers.iter().any(|reader| !reader.is_finished()) && monotonic() < end {
            std::thread::sleep(Duration::from_millis(5));
        }
        self.readers.clear();
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("--- {} wrote:\n{}", self.name, self.output());
        }
    }
}

fn collect(stream: impl Read + Send + 'static, output: Arc<Mutex<String>>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut lines = BufReader::new(stream);
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            output.lock().unwrap().push_str(&String::from_utf8_lossy(&line));
            line.clear();
        }
    })
}

/// How long `work` took, with what it returned.
pub fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start: Instant = monotonic();
    let answer = work();
    (answer, start.elapsed())
}
