//! The threads that carry the connections of a door: each connection stays on one of them, with all that belongs to it but the disk.
//!
//! On the threads that the rest of the hub shares, every answer woke two: one to send it, one to see whether there was more to do; and a
//! session and what feeds it woke each other across processors. Measured, one SFTP `get` of 1 GiB: half of the switches between threads
//! were for nothing. A door opens lanes of its own: what is slow at one is not felt at another.

use std::future::Future;
use std::sync::{Arc, mpsc};

use tokio::runtime::{Builder, Handle};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Most lanes, however many processors there are: one carries about a gigabyte per second.
const MOST: usize = 16;

/// The lanes of one door. They end when this is dropped, whatever is on them.
pub struct Lanes {
    lanes: Vec<Lane>,
    _end: DropGuard,
}

struct Lane {
    runtime: Handle,
    /// Held by every connection on it.
    load: Arc<()>,
}

impl Lanes {
    /// `each` for a processor, with up to `workers` threads for what blocks; when the system gives no thread, the runtime of the caller
    /// carries everything. `door` names the threads.
    #[must_use]
    pub fn start(door: &str, each: usize, workers: usize) -> Lanes {
        let end = CancellationToken::new();
        let count = (std::thread::available_parallelism().map_or(1, usize::from) * each).clamp(1, MOST);
        let mut lanes: Vec<Lane> = (0..count).filter_map(|_| Lane::start(door, &end, workers / count).ok()).collect();
        if lanes.is_empty() {
            lanes.push(Lane { runtime: Handle::current(), load: Arc::default() });
        }
        Lanes { lanes, _end: end.drop_guard() }
    }

    /// Runs a connection where there are fewest. What it spawns ends with the lanes too; what takes long without waiting belongs to the
    /// threads for what blocks, for the other connections of its lane wait for it.
    pub fn carry(&self, connection: impl Future<Output = ()> + Send + 'static) {
        if let Some(lane) = self.lanes.iter().min_by_key(|lane| Arc::strong_count(&lane.load)) {
            let load = lane.load.clone();
            lane.runtime.spawn(async move {
                connection.await;
                drop(load);
            });
        }
    }
}

impl Lane {
    fn start(door: &str, end: &CancellationToken, workers: usize) -> std::io::Result<Lane> {
        let (worker, end) = (format!("{door} worker"), end.clone());
        let (tell, told) = mpsc::channel();
        // Made where it is ended: a runtime must not be dropped where others run.
        std::thread::Builder::new().name(format!("{door} lane")).spawn(move || {
            let made = Builder::new_current_thread().enable_all().max_blocking_threads(workers.max(1)).thread_name(worker).build();
            let runtime = match made {
                Ok(runtime) => runtime,
                Err(error) => return drop(tell.send(Err(error))),
            };
            if tell.send(Ok(runtime.handle().clone())).is_ok() {
                runtime.block_on(end.cancelled());
            }
            // Workers of which something is still expected are waited for by the door.
            runtime.shutdown_background();
        })?;
        let runtime = told.recv().map_err(std::io::Error::other)??;
        Ok(Lane { runtime, load: Arc::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::sync::mpsc;
    use tokio::time::timeout;

    #[tokio::test]
    async fn connections_are_shared_out_and_end_with_the_door() {
        let lanes = Lanes::start("prova", 2, 4);
        let (tell, mut told) = mpsc::unbounded_channel();
        for _ in 0..2 * lanes.lanes.len() {
            let tell = tell.clone();
            lanes.carry(async move {
                let _ = tell.send(std::thread::current().id());
                std::future::pending::<()>().await;
            });
        }
        drop(tell);
        let mut threads = Vec::new();
        for _ in 0..2 * lanes.lanes.len() {
            threads.push(timeout(Duration::from_secs(5), told.recv()).await.unwrap().unwrap());
        }
        for thread in &threads {
            assert_eq!(threads.iter().filter(|other| *other == thread).count(), 2, "two on each");
        }
        drop(lanes);
        assert!(timeout(Duration::from_secs(5), told.recv()).await.unwrap().is_none(), "they are gone");
    }
}
