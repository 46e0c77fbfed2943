//! The socket of one connection as the SSH session sees it: read ahead, written together, and ended from outside.
//!
//! The session loop of SSH has its timers in the same task that may wait for the socket; here they are outside. Whoever cancels
//! [`Link::over`] makes every read and write fail, and the session ends, whatever it was waiting for. Reading pauses while more came
//! than the disk has taken: the client's TCP waits, and nobody's memory grows.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::{Buf, BytesMut};
use futures_util::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio_util::io::poll_read_buf;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::counts::Counted;
use super::kexinit::Offer;
use crate::clock::monotonic;

/// Read at once from a socket that has much to say; one that is silent holds nothing.
const AHEAD: usize = 256 << 10;
/// Of one that says little.
const LITTLE: usize = 8 << 10;
/// Written together at most.
const TOGETHER: usize = 512 << 10;
/// Worth a call of its own: it is given to the system as it is, without a copy of it.
const LARGE: usize = 64 << 10;
/// Bytes of answers that SSH may hold before it has written them out.
const ROOM: usize = 256 << 10;

/// What a connection and its guards share.
pub struct Link {
    /// Cancelled: the connection is over.
    pub over: CancellationToken,
    begun: Instant,
    /// Milliseconds after `begun` at which a byte last went either way.
    moved: AtomicU64,
    /// The same of when the system began to take no more of what is to be written; 0: it takes it.
    blocked: AtomicU64,
    /// Who wants reading to pause.
    pausing: AtomicUsize,
    reader: AtomicWaker,
    /// Bytes of answers given to SSH since it last wrote out all it had.
    given: AtomicUsize,
    written: Notify,
}

impl Link {
    /// A connection that begins now.
    #[must_use]
    pub fn new(over: CancellationToken) -> Arc<Link> {
        Arc::new(Link {
            over,
            begun: monotonic(),
            moved: AtomicU64::new(0),
            blocked: AtomicU64::new(0),
            pausing: AtomicUsize::new(0),
            reader: AtomicWaker::new(),
            given: AtomicUsize::new(0),
            written: Notify::new(),
        })
    }

    /// Milliseconds since it began.
    #[must_use]
    pub fn age_ms(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Milliseconds since a byte last went either way.
    #[must_use]
    pub fn still_ms(&self) -> u64 {
        self.age_ms().saturating_sub(self.moved.load(Ordering::Relaxed))
    }

    /// Milliseconds for which the client has taken nothing of what is written to it.
    #[must_use]
    pub fn blocked_ms(&self) -> u64 {
        match self.blocked.load(Ordering::Relaxed) {
            0 => 0,
            since => self.age_ms().saturating_sub(since),
        }
    }

    /// One more wants reading to pause, or one less.
    pub fn pause(&self, on: bool) {
        if on {
            self.pausing.fetch_add(1, Ordering::AcqRel);
        } else if self.pausing.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.reader.wake();
        }
    }

    fn is_paused(&self) -> bool {
        self.pausing.load(Ordering::Acquire) > 0
    }

    /// Waits until SSH can take `bytes` of answers without its memory growing: it takes all that is at hand before it writes, and
    /// keeps for ever the memory that it once needed.
    pub async fn make_room(&self, bytes: usize) {
        loop {
            // Before the look: whoever writes in between is heard.
            let written = self.written.notified();
            if self.given.load(Ordering::Acquire) < ROOM {
                self.given.fetch_add(bytes, Ordering::AcqRel);
                return;
            }
            written.await;
        }
    }

    fn wrote_all(&self) {
        if self.given.swap(0, Ordering::AcqRel) > 0 {
            self.written.notify_waiters();
        }
    }

    fn touch(&self) {
        self.moved.store(self.age_ms(), Ordering::Relaxed);
    }
}

/// See the module.
pub struct Gate<S> {
    stream: S,
    link: Arc<Link>,
    over: Pin<Box<WaitForCancellationFutureOwned>>,
    input: BytesMut,
    output: BytesMut,
    /// Looks at the first bytes of the client, which are not yet encrypted.
    offer: Option<Arc<Offer>>,
    /// The last read filled all the room there was.
    busy: bool,
    _counted: Counted,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Gate<S> {
    /// `counted` counts the socket until it is closed.
    pub fn new(stream: S, link: Arc<Link>, offer: Arc<Offer>, counted: Counted) -> Gate<S> {
        let over = Box::pin(link.over.clone().cancelled_owned());
        Gate { stream, link, over, input: BytesMut::new(), output: BytesMut::new(), offer: Some(offer), busy: false, _counted: counted }
    }

    fn check_over(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.over.as_mut().poll(cx) {
            Poll::Ready(()) => Err(io::Error::new(io::ErrorKind::ConnectionAborted, "ended by the server")),
            Poll::Pending => Ok(()),
        }
    }

    /// Gives what is to be written to the system.
    fn drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.output.is_empty() {
            let written = ready!(write(&mut self.stream, &self.link, cx, &self.output))?;
            self.output.advance(written);
        }
        if self.output.capacity() > 64 << 10 {
            self.output = BytesMut::new();
        } else {
            self.output.clear();
        }
        Poll::Ready(Ok(()))
    }
}

/// What the system takes now, at least a byte.
fn write<S: AsyncWrite + Unpin>(stream: &mut S, link: &Link, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
    let Poll::Ready(written) = Pin::new(stream).poll_write(cx, bytes) else {
        let _ = link.blocked.compare_exchange(0, link.age_ms().max(1), Ordering::Relaxed, Ordering::Relaxed);
        return Poll::Pending;
    };
    let written = written?;
    link.blocked.store(0, Ordering::Relaxed);
    if written == 0 {
        return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
    }
    link.touch();
    Poll::Ready(Ok(written))
}

impl Gate<tokio::net::TcpStream> {
    /// Small answers leave at once. An error will show at the first write.
    pub fn set_nodelay(&self) {
        let _ = self.stream.set_nodelay(true);
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Gate<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let me = &mut *self;
        me.check_over(cx)?;
        me.link.reader.register(cx.waker());
        let paused = me.link.is_paused();
        if me.input.is_empty() || paused {
            // Nothing more will be read at once: what was held back goes out. An error shows at the next write.
            let _ = me.drain(cx)?;
        }
        if paused {
            return Poll::Pending;
        }
        if me.input.is_empty() {
            me.input.reserve(if me.busy { AHEAD } else { LITTLE });
            let room = me.input.capacity();
            match poll_read_buf(Pin::new(&mut me.stream), cx, &mut me.input) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(read)) => {
                    me.busy = read >= room;
                    me.link.touch();
                    if let Some(offer) = &me.offer
                        && offer.look(&me.input)
                    {
                        me.offer = None;
                    }
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    me.input = BytesMut::new();
                    me.busy = false;
                    return Poll::Pending;
                }
            }
        }
        let now = buf.remaining().min(me.input.len());
        buf.put_slice(me.input.get(..now).unwrap_or_default());
        me.input.advance(now);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Gate<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.check_over(cx)?;
        if self.output.len() >= TOGETHER || (bytes.len() >= LARGE && !self.output.is_empty()) {
            ready!(self.drain(cx))?;
        }
        if bytes.len() >= LARGE {
            let me = &mut *self;
            return write(&mut me.stream, &me.link, cx, bytes);
        }
        let now = bytes.len().min(TOGETHER);
        self.output.extend_from_slice(bytes.get(..now).unwrap_or(bytes));
        Poll::Ready(Ok(now))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check_over(cx)?;
        // While more was read than the session has seen, its answers wait for those that follow at once.
        if self.input.is_empty() || self.link.is_paused() || self.output.len() >= TOGETHER {
            ready!(self.drain(cx))?;
        }
        self.link.wrote_all();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check_over(cx)?;
        ready!(self.drain(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::super::counts::Counts;
    use super::*;
    use std::time::Duration;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::time::timeout;

    fn gate(room: usize) -> (Gate<DuplexStream>, DuplexStream, Arc<Link>, Counts) {
        let (near, far) = duplex(room);
        let link = Link::new(CancellationToken::new());
        let counts = Counts::default();
        let gate = Gate::new(near, link.clone(), Arc::default(), counts.connection());
        (gate, far, link, counts)
    }

    #[tokio::test]
    async fn bytes_go_both_ways_and_a_pause_stops_reading_only() {
        let (mut gate, mut far, link, _) = gate(1 << 20);
        far.write_all(&[7; 100_000]).await.unwrap();
        let mut first = vec![0; 10];
        gate.read_exact(&mut first).await.unwrap();
        link.pause(true);
        let mut rest = vec![0; 100_000 - 10];
        let read = timeout(Duration::from_millis(50), gate.read(&mut rest)).await;
        assert!(read.is_err(), "paused, although bytes are at hand");
        gate.write_all(b"answer").await.unwrap();
        gate.flush().await.unwrap();
        let mut answer = [0; 6];
        timeout(Duration::from_secs(5), far.read_exact(&mut answer)).await.unwrap().unwrap();
        let reading = tokio::spawn(async move {
            gate.read_exact(&mut rest).await.unwrap();
            rest.iter().all(|byte| *byte == 7)
        });
        tokio::time::sleep(Duration::from_millis(20)).await;
        link.pause(false);
        assert!(timeout(Duration::from_secs(5), reading).await.unwrap().unwrap());
    }

    #[tokio::test]
    async fn answers_wait_until_those_before_them_were_written() {
        let (mut gate, mut far, link, _) = gate(64);
        link.make_room(ROOM).await;
        let next = timeout(Duration::from_millis(50), link.make_room(1)).await;
        assert!(next.is_err(), "SSH has as much as it may have");
        let (held, waiting) = (link.clone(), link.clone());
        let waiting = tokio::spawn(async move { waiting.make_room(1).await });
        let sent: Vec<u8> = (0..LARGE + 1_000).map(|byte| byte as u8).collect();
        let bytes = sent.clone();
        let writing = tokio::spawn(async move {
            gate.write_all(b"little").await.unwrap();
            gate.write_all(&bytes).await.unwrap();
            gate.flush().await.unwrap();
            gate
        });
        let seen = async {
            while held.blocked_ms() == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(Duration::from_secs(5), seen).await.expect("the client has not taken them, and that is seen");
        assert!(!waiting.is_finished());
        let mut taken = vec![0; 6 + sent.len()];
        timeout(Duration::from_secs(5), far.read_exact(&mut taken)).await.unwrap().unwrap();
        assert!(taken.strip_prefix(b"little") == Some(&sent), "in order, whether they went by the buffer or past it");
        timeout(Duration::from_secs(5), waiting).await.unwrap().unwrap();
        assert_eq!(writing.await.unwrap().link.blocked_ms(), 0);
    }

    #[tokio::test]
    async fn whoever_ends_it_ends_a_read_and_a_write_that_wait() {
        let (mut gate, far, link, counts) = gate(64);
        assert_eq!(counts.now().connections, 1);
        let waiting = tokio::spawn(async move {
            let written = gate.write_all(&vec![0; 4 << 20]).await;
            written.and(gate.flush().await).unwrap_err().kind()
        });
        tokio::time::sleep(Duration::from_millis(20)).await;
        link.over.cancel();
        let kind = timeout(Duration::from_secs(5), waiting).await.unwrap().unwrap();
        assert_eq!(kind, io::ErrorKind::ConnectionAborted);
        assert_eq!(counts.now().connections, 0, "the socket is closed");
        drop(far);
    }
}
