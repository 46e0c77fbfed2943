//! One SFTP channel: what came is queued by the session, worked off by one worker thread while there is work, and given to the client
//! as fast as its window takes it. Neither the disk nor the client ever stops the session of the others.
//!
//! Three that meet only at [`Engine`], behind a lock that nobody holds while waiting: the SSH session feeds it, a worker of the
//! runtime's blocking threads runs what it gives out (there is none while the channel is idle), and a small task waits for the client's
//! window.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use russh::ChannelWriteHalf;
use russh::server::Msg;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::counts::{Counted, Counts};
use super::gate::Link;
use crate::intake::sftp::engine::{Ended, Engine, Limits};
use crate::intake::sftp::executor::{Executor, Progress};
use crate::intake::sftp::home::Refused;
use crate::intake::sftp::protocol::Replies;
use crate::intake::sftp::sheets::Stock;

/// Given to SSH at once; what waits there for the window is no more in the engine's budget.
const CHUNK: usize = 128 << 10;
/// Bytes of requests past which the client's socket is not read until the disk has taken some.
const FULL: usize = 2 << 20;

/// How long a worker that has nothing to do waits for more before its thread is given back. A transfer goes from pause to pause of less
/// than this, also on a machine that has much else to do: were every piece of it done by another thread, each thread's arena would keep
/// the memory of all (measured: 9 to 14 MiB in the place of 4 during one `get`).
const LINGER: Duration = Duration::from_millis(50);
/// After the end of an upload its client may still look at the file, set its times, give it its name.
const AFTERWARDS_MS: u64 = 2_000;

/// See the module.
pub struct Line {
    engine: Mutex<Engine>,
    /// `None` once it is over: its files are closed.
    executor: Mutex<Option<Executor>>,
    /// 0: no worker. More: a worker runs, and looks again while this grows.
    signals: AtomicUsize,
    /// Rung when `signals` grows while a worker lingers.
    bell: Condvar,
    lingering: Mutex<()>,
    /// Somebody hears the bell: to ring it costs a call of the system.
    hears: AtomicBool,
    output: Notify,
    /// Buffers of answers, kept while there is a worker.
    stock: Stock,
    /// Cancelled: the channel is over.
    over: CancellationToken,
    /// Cancelled: the client has closed the channel. What it asked for before is done; nobody takes the answers.
    left: CancellationToken,
    link: Arc<Link>,
    paused: AtomicBool,
    /// The worker can do nothing before the client takes answers.
    stuck: AtomicBool,
    /// The client will send nothing more.
    eof: AtomicBool,
    closing: Mutex<Option<Refused>>,
    handles: AtomicUsize,
    uploads: AtomicBool,
    /// Milliseconds of [`Link::age_ms`], 0 for none: last end of an upload; last request; since when answers wait; since when a packet
    /// is incomplete.
    uploaded: AtomicU64,
    asked: AtomicU64,
    waiting: AtomicU64,
    partial: AtomicU64,
    counts: Counts,
    _counted: Counted,
}

/// How a channel is, for the watchdog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Health {
    /// Milliseconds without a request and without work.
    pub idle_ms: u64,
    /// Milliseconds for which the client did not take what it asked for, or did not end a packet that it began.
    pub stalled_ms: u64,
    /// Files and folders are open, work is under way, or an upload ended just now.
    pub busy: bool,
    /// A file is being uploaded, or work is under way.
    pub uploading: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Line {
    /// A channel that begins now, and what takes its answers to the client: to be run beside it, ends when the channel is over.
    pub fn start(
        executor: Executor,
        limits: Limits,
        link: Arc<Link>,
        counts: &Counts,
        write: ChannelWriteHalf<Msg>,
    ) -> (Arc<Line>, impl Future<Output = ()> + Send + use<>) {
        let line = Arc::new(Line {
            engine: Mutex::new(Engine::new(limits)),
            executor: Mutex::new(Some(executor)),
            signals: AtomicUsize::new(0),
            bell: Condvar::new(),
            lingering: Mutex::new(()),
            hears: AtomicBool::new(false),
            output: Notify::new(),
            stock: Stock::default(),
            over: link.over.child_token(),
            left: CancellationToken::new(),
            asked: AtomicU64::new(link.age_ms()),
            link,
            paused: AtomicBool::new(false),
            stuck: AtomicBool::new(false),
            eof: AtomicBool::new(false),
            closing: Mutex::new(None),
            handles: AtomicUsize::new(0),
            uploads: AtomicBool::new(false),
            uploaded: AtomicU64::new(0),
            waiting: AtomicU64::new(0),
            partial: AtomicU64::new(0),
            counts: counts.clone(),
            _counted: counts.channel(),
        });
        let life = pump(line.clone(), write);
        (line, life)
    }

    /// Takes bytes of the client. Never waits.
    ///
    /// # Errors
    /// The client broke the rules: the session must end.
    pub fn feed(self: &Arc<Self>, data: &[u8]) -> Result<(), Ended> {
        let mut engine = lock(&self.engine);
        let before = engine.queued_requests();
        engine.feed(data)?;
        let now = self.link.age_ms().max(1);
        self.asked.store(now, Ordering::Relaxed);
        if !engine.is_mid_packet() {
            self.partial.store(0, Ordering::Relaxed);
        } else if self.partial.load(Ordering::Relaxed) == 0 {
            self.partial.store(now, Ordering::Relaxed);
        }
        self.balance(&engine);
        // A piece of a request that is still coming is nothing to do.
        let (work, answers) = (engine.queued_requests() > before, engine.reply_bytes() > 0);
        drop(engine);
        if answers {
            self.output.notify_one();
        }
        if work {
            self.wake();
        }
        Ok(())
    }

    /// The client will send nothing more: the channel is closed once it has all its answers.
    pub fn hang_up(&self) {
        self.eof.store(true, Ordering::Release);
        self.output.notify_one();
    }

    /// The client has closed the channel, or its socket: what came before that is worked off (some say CLOSE and go without waiting for
    /// the answer), then it is over. As much as may be queued, so that it ends.
    pub fn leave(self: &Arc<Self>) {
        self.left.cancel();
        // The rest of a packet will not come.
        self.partial.store(0, Ordering::Relaxed);
        self.wake();
    }

    /// It is over: files are closed as they are, on a worker.
    pub fn end(self: &Arc<Self>) {
        self.give_up();
        self.wake();
    }

    /// Whether its client has left it.
    #[must_use]
    pub fn is_left(&self) -> bool {
        self.left.is_cancelled()
    }

    fn give_up(&self) {
        self.over.cancel();
        if self.paused.swap(false, Ordering::AcqRel) {
            self.link.pause(false);
        }
    }

    /// Waits until it is over.
    pub async fn ended(&self) {
        self.over.cancelled().await;
    }

    /// Whether it is over.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.over.is_cancelled()
    }

    /// From now on nothing new is begun; what is under way goes on.
    pub fn refuse(self: &Arc<Self>, why: Refused) {
        let before = lock(&self.closing).replace(why);
        if before != Some(why) {
            self.wake();
        }
    }

    /// How it is.
    #[must_use]
    pub fn health(&self) -> Health {
        let now = self.link.age_ms();
        let since = |mark: &AtomicU64| match mark.load(Ordering::Relaxed) {
            0 => 0,
            mark => now.saturating_sub(mark),
        };
        let just_now = |mark: &AtomicU64| mark.load(Ordering::Relaxed) > 0 && since(mark) < AFTERWARDS_MS;
        let working = !lock(&self.engine).is_idle();
        Health {
            idle_ms: if working { 0 } else { since(&self.asked) },
            // A packet stays incomplete while its socket is not read: that is not the client's fault.
            stalled_ms: since(&self.waiting).max(if self.paused.load(Ordering::Relaxed) { 0 } else { since(&self.partial) }),
            busy: working || self.handles.load(Ordering::Relaxed) > 0 || just_now(&self.uploaded),
            uploading: working || self.uploads.load(Ordering::Relaxed),
        }
    }

    /// Reading of the socket pauses while the worker has much to do, never while it waits for the client itself.
    fn balance(&self, engine: &Engine) {
        let full = engine.queued_bytes() >= FULL && !self.stuck.load(Ordering::Relaxed) && !self.over.is_cancelled();
        if self.paused.swap(full, Ordering::AcqRel) != full {
            self.link.pause(full);
        }
    }

    fn wake(self: &Arc<Self>) {
        if self.signals.fetch_add(1, Ordering::SeqCst) > 0 {
            // Who begins to listen after this look sees the signal.
            if self.hears.load(Ordering::SeqCst) {
                drop(lock(&self.lingering));
                self.bell.notify_one();
            }
            return;
        }
        let line = self.clone();
        tokio::task::spawn_blocking(move || {
            let counted = line.counts.worker();
            if std::panic::catch_unwind(AssertUnwindSafe(|| line.work())).is_err() {
                // What it was about is logged by the panic's place. Nothing of this session can be trusted.
                line.link.over.cancel();
                drop(lock(&line.executor).take());
                line.signals.store(0, Ordering::Release);
            }
            drop(counted);
        });
    }

    /// Until there is nothing to do.
    fn work(&self) {
        let mut executor = lock(&self.executor);
        loop {
            let seen = self.signals.load(Ordering::Acquire);
            self.stock.open();
            if let Some(executor) = executor.as_mut() {
                self.drain(executor);
                if self.signals.load(Ordering::Acquire) == seen && !self.over.is_cancelled() {
                    executor.rest();
                }
            }
            if self.over.is_cancelled() {
                drop(executor.take());
                self.handles.store(0, Ordering::Relaxed);
                self.uploads.store(false, Ordering::Relaxed);
            }
            if !self.over.is_cancelled() {
                self.hears.store(true, Ordering::SeqCst);
                let still = |(): &mut ()| self.signals.load(Ordering::SeqCst) == seen;
                let lingered = self.bell.wait_timeout_while(lock(&self.lingering), LINGER, still);
                drop(lingered.unwrap_or_else(PoisonError::into_inner));
                self.hears.store(false, Ordering::SeqCst);
            }
            if self.signals.load(Ordering::Acquire) == seen {
                self.stock.close();
            }
            if self.signals.compare_exchange(seen, 0, Ordering::AcqRel, Ordering::Acquire).is_ok() {
                return;
            }
        }
    }

    fn drain(&self, executor: &mut Executor) {
        executor.refuse_new_work(*lock(&self.closing));
        while !self.over.is_cancelled() {
            // Before the look: of who leaves in between, a worker is told again.
            let left = self.left.is_cancelled();
            if left {
                executor.nobody_listens();
            }
            let taken = {
                let mut engine = lock(&self.engine);
                while left && engine.output(usize::MAX).is_some() {}
                let taken = engine.take();
                self.stuck.store(taken.is_none() && engine.queued_requests() > 0, Ordering::Relaxed);
                self.balance(&engine);
                taken
            };
            let Some(mut batch) = taken else {
                if left {
                    self.give_up();
                }
                return;
            };
            loop {
                let mut replies = Replies::on(&self.stock);
                let ended = executor.ended_uploads();
                let progress = executor.run(&mut batch, &mut replies);
                if executor.ended_uploads() > ended {
                    self.uploaded.store(self.link.age_ms().max(1), Ordering::Relaxed);
                }
                // Before the answers: whoever asks how the line is sees at every moment what is open or what is being done.
                self.handles.store(executor.open_handles(), Ordering::Relaxed);
                self.uploads.store(executor.has_uploads(), Ordering::Relaxed);
                let mut engine = lock(&self.engine);
                engine.answer(replies);
                self.balance(&engine);
                drop(engine);
                self.output.notify_one();
                if progress == Progress::Done || self.over.is_cancelled() {
                    break;
                }
            }
        }
    }
}

/// Takes answers to the client as its window allows, then closes the channel. Ends with the channel, whoever ends it, and ends the line.
async fn pump(line: Arc<Line>, write: ChannelWriteHalf<Msg>) {
    loop {
        let (bytes, more) = {
            let mut engine = lock(&line.engine);
            let bytes = engine.output(CHUNK);
            (bytes, engine.queued_requests() > 0)
        };
        match bytes {
            Some(_) if line.left.is_cancelled() => {}
            Some(bytes) => {
                if more && line.stuck.load(Ordering::Relaxed) {
                    line.wake();
                }
                line.waiting.store(line.link.age_ms().max(1), Ordering::Relaxed);
                let give = async {
                    line.link.make_room(bytes.len()).await;
                    write.data_bytes(bytes).await
                };
                let sent = tokio::select! {
                    sent = give => sent.is_ok(),
                    () = line.over.cancelled() => false,
                    () = line.left.cancelled() => true,
                };
                line.waiting.store(0, Ordering::Relaxed);
                if !sent {
                    line.end();
                    return;
                }
                failpoint!("sftp.answered");
                line.asked.store(line.link.age_ms().max(1), Ordering::Relaxed);
            }
            None => {
                if line.eof.load(Ordering::Acquire) && !line.left.is_cancelled() && lock(&line.engine).is_idle() {
                    // Before the client is told: who opens the next one at once finds the place of this.
                    line.end();
                    let _ = write.exit_status(0).await;
                    let _ = write.eof().await;
                    let _ = write.close().await;
                    return;
                }
                tokio::select! {
                    () = line.output.notified() => {}
                    () = line.over.cancelled() => {
                        line.end();
                        return;
                    }
                }
            }
        }
    }
}
