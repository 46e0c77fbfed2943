//! One flush of a folder for everybody who waits for it: whoever comes while one runs shares the next.

use std::sync::{Condvar, Mutex, PoisonError};

use rustix::io::Errno;

/// The flushes of one folder.
#[derive(Debug, Default)]
pub struct Flush {
    turns: Mutex<Turns>,
    ended: Condvar,
}

#[derive(Debug, Default)]
struct Turns {
    /// Flushes begun, ended, and the number and error of the last that failed.
    begun: u64,
    ended: u64,
    failed: Option<(u64, Errno)>,
    running: bool,
}

impl Flush {
    /// Returns when a flush that began after this call has ended. `flush` is called by one of those who wait.
    pub fn wait(&self, flush: impl FnOnce() -> Result<(), Errno>) -> Result<(), Errno> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        let mine = turns.begun + 1;
        let mut flush = Some(flush);
        while turns.ended < mine {
            let Some(run) = (!turns.running).then(|| flush.take()).flatten() else {
                turns = self.ended.wait(turns).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            turns.running = true;
            turns.begun += 1;
            drop(turns);
            let result = run();
            turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
            turns.running = false;
            turns.ended = turns.begun;
            if let Err(error) = result {
                turns.failed = Some((turns.ended, error));
            }
            self.ended.notify_all();
            return result;
        }
        // The turn that served may not be the last: a later failure is as bad for a folder.
        match turns.failed {
            Some((turn, error)) if turn >= mine => Err(error),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    #[test]
    fn many_who_wait_share_a_flush_that_began_after_they_came() {
        let (flush, changes, flushed, flushes) = (Flush::default(), AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let mine = changes.fetch_add(1, Ordering::SeqCst) + 1;
                        flush
                            .wait(|| {
                                let now = changes.load(Ordering::SeqCst);
                                std::thread::sleep(Duration::from_millis(1));
                                flushes.fetch_add(1, Ordering::SeqCst);
                                flushed.fetch_max(now, Ordering::SeqCst);
                                Ok(())
                            })
                            .unwrap();
                        assert!(flushed.load(Ordering::SeqCst) >= mine, "change {mine} was not flushed");
                    }
                });
            }
        });
        assert!(flushes.load(Ordering::SeqCst) < 300, "{flushes:?} flushes for 400 changes");
        assert_eq!(flush.wait(|| Err(Errno::IO)), Err(Errno::IO));
        assert_eq!(flush.wait(|| Ok(())), Ok(()));
    }
}
