//! How many connections, sessions and workers there are: no one outlives its client, and a test can look.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The counters of one server. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Counts {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    connections: AtomicUsize,
    strangers: AtomicUsize,
    sessions: AtomicUsize,
    channels: AtomicUsize,
    workers: AtomicUsize,
}

/// What there is at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Now {
    /// Open sockets.
    pub connections: usize,
    /// Connections that have not logged in.
    pub strangers: usize,
    /// Sessions that have.
    pub sessions: usize,
    /// SFTP channels.
    pub channels: usize,
    /// Threads that work for a channel at this moment.
    pub workers: usize,
}

/// One of them, until it is dropped.
#[derive(Debug)]
pub struct Counted(Arc<Inner>, fn(&Inner) -> &AtomicUsize);

impl Drop for Counted {
    fn drop(&mut self) {
        (self.1)(&self.0).fetch_sub(1, Ordering::AcqRel);
    }
}

impl Counts {
    fn count(&self, which: fn(&Inner) -> &AtomicUsize) -> Counted {
        which(&self.inner).fetch_add(1, Ordering::AcqRel);
        Counted(self.inner.clone(), which)
    }

    /// One more socket.
    #[must_use]
    pub fn connection(&self) -> Counted {
        self.count(|inner| &inner.connections)
    }

    /// One more connection that has not logged in.
    #[must_use]
    pub fn stranger(&self) -> Counted {
        self.count(|inner| &inner.strangers)
    }

    /// One more session.
    #[must_use]
    pub fn session(&self) -> Counted {
        self.count(|inner| &inner.sessions)
    }

    /// One more channel.
    #[must_use]
    pub fn channel(&self) -> Counted {
        self.count(|inner| &inner.channels)
    }

    /// One more worker.
    #[must_use]
    pub fn worker(&self) -> Counted {
        self.count(|inner| &inner.workers)
    }

    /// What there is now.
    #[must_use]
    pub fn now(&self) -> Now {
        let read = |number: &AtomicUsize| number.load(Ordering::Acquire);
        let Inner { connections, strangers, sessions, channels, workers } = &*self.inner;
        Now {
            connections: read(connections),
            strangers: read(strangers),
            sessions: read(sessions),
            channels: read(channels),
            workers: read(workers),
        }
    }
}
