//! One SFTP session without any input or output: bytes of the client in, work out, answers in, bytes for the client out.
//!
//! How it is driven (one thread at a time holds the [`Engine`]; the disk is never touched here, so no call blocks):
//!
//! ```text
//! SSH data       -> engine.feed(bytes)?            Err(Ended): close the channel, drop the executor, log the reason
//! worker         -> while let Some(mut batch) = engine.take() {
//!                       loop {                      // without holding the engine
//!                           let mut replies = Replies::default();
//!                           let progress = executor.run(&mut batch, &mut replies);
//!                           engine.answer(replies); // then let SSH take the output
//!                           if progress == Progress::Done { break }
//!                       }
//!                   }
//! SSH can send   -> while let Some(bytes) = engine.output(window) { session.data(channel, bytes) } then wake the worker
//! ```
//!
//! Queued requests are kept as the bytes they came in, so that 32,768 READs at once cost 1 MB; they are read only when given out, and
//! given out only while the answers not yet taken by the client stay within a budget. Answers leave in the order of the requests.

use std::collections::VecDeque;

use bytes::{Buf, Bytes, BytesMut};

use super::protocol::{self, Numbered, Replies, Request, kind};
use super::sheets::Sheet;

/// Bounds of one session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest packet, without its length word.
    pub packet: usize,
    /// Requests not yet answered.
    pub requests: usize,
    /// Bytes of requests not yet answered, payloads included.
    pub queued: usize,
    /// Bytes of answers produced, or given out to be produced, and not yet taken by the client.
    pub replies: usize,
    /// Most bytes of answers, and most payload, in one batch: what the worker does between two looks at the session.
    pub batch: usize,
    /// Most requests in one batch.
    pub batch_requests: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            packet: protocol::MAX_PACKET as usize + 1_024,
            requests: 65_536,
            queued: 4 << 20,
            replies: 2 << 20,
            batch: 512 << 10,
            batch_requests: 128,
        }
    }
}

/// Why a session cannot go on. There is nobody to tell: the channel is closed and the reason logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Ended {
    #[error("a packet of {0} bytes is over the ceiling")]
    PacketTooLong(usize),
    #[error("a packet too short to have a number")]
    PacketTooShort,
    #[error("a request before INIT")]
    NotInitialised,
    #[error("a second INIT")]
    InitialisedTwice,
    #[error("more requests than a session may have at once")]
    TooManyRequests,
    #[error("more bytes than a session may have queued")]
    TooManyBytes,
}

/// Requests given out together, to be run in order by one worker.
#[derive(Debug, Default)]
pub struct Batch {
    pub(super) tasks: VecDeque<Task>,
}

/// A request and what the engine reserved for it.
#[derive(Debug)]
pub(super) struct Task {
    pub id: u32,
    pub request: Request,
    pub reserved: usize,
    pub raw: usize,
}

impl Batch {
    /// Requests not yet run.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tasks.len()
    }

    /// Whether all were run.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// The requests not yet run, in order.
    pub fn requests(&self) -> impl Iterator<Item = (u32, &Request)> {
        self.tasks.iter().map(|task| (task.id, &task.request))
    }
}

/// Answers that the client has not taken.
#[derive(Debug)]
enum Waiting {
    /// Small ones, gathered.
    Few(BytesMut),
    /// As they were written.
    Sheet { bytes: Bytes, capacity: usize },
}

/// See the module.
#[derive(Debug)]
pub struct Engine {
    limits: Limits,
    initialised: bool,
    ended: Option<Ended>,
    /// Bytes as they came. All but the last hold whole packets only.
    queue: VecDeque<BytesMut>,
    /// Of the last one: bytes of whole packets, before the one that is still arriving.
    whole: usize,
    queued_requests: usize,
    queued_bytes: usize,
    /// Requests given out and not answered, and their bytes.
    out_requests: usize,
    out_bytes: usize,
    /// Answer bytes that what is given out may produce.
    reserved: usize,
    /// Answers not taken.
    replies: VecDeque<Waiting>,
    reply_bytes: usize,
}

impl Engine {
    /// A session that waits for INIT.
    #[must_use]
    pub fn new(limits: Limits) -> Engine {
        Engine {
            limits,
            initialised: false,
            ended: None,
            queue: VecDeque::new(),
            whole: 0,
            queued_requests: 0,
            queued_bytes: 0,
            out_requests: 0,
            out_bytes: 0,
            reserved: 0,
            replies: VecDeque::new(),
            reply_bytes: 0,
        }
    }

    /// Takes bytes of the client, cut anywhere.
    ///
    /// # Errors
    /// [`Ended`], from then on always: the session is over, and [`Engine::take`] gives nothing more.
    pub fn feed(&mut self, data: &[u8]) -> Result<(), Ended> {
        if let Some(ended) = self.ended {
            return Err(ended);
        }
        self.swallow(data).inspect_err(|ended| {
            self.ended = Some(*ended);
            self.queue.clear();
            self.whole = 0;
        })
    }

    fn swallow(&mut self, mut data: &[u8]) -> Result<(), Ended> {
        while !data.is_empty() {
            let partial = self.queue.back().map_or(0, |last| last.len() - self.whole);
            // The length word may itself be cut.
            let wanted = match self.arriving() {
                Some(length) => 4 + length,
                None => match length_word(self.queue.back().and_then(|last| last.get(self.whole..)).unwrap_or_default(), data) {
                    Some(length) => 4 + self.check_length(length)?,
                    None => 4,
                },
            };
            let (now, later) = data.split_at_checked(wanted.saturating_sub(partial)).unwrap_or((data, &[]));
            self.append(now, wanted, data.len());
            data = later;
            if partial + now.len() == wanted && wanted > 4 {
                self.packet_came(wanted)?;
            }
        }
        Ok(())
    }

    /// The length of the packet that is arriving, when it is known.
    fn arriving(&self) -> Option<usize> {
        let partial = self.queue.back()?.get(self.whole..)?;
        partial.first_chunk().map(|word| u32::from_be_bytes(*word) as usize)
    }

    fn check_length(&self, length: usize) -> Result<usize, Ended> {
        if length > self.limits.packet {
            return Err(Ended::PacketTooLong(length));
        }
        if length < 5 {
            return Err(Ended::PacketTooShort);
        }
        Ok(length)
    }

    /// Adds bytes of the arriving packet of `wanted` bytes, never moving a payload already here: a new buffer is begun where
    /// the packet does not fit, when at most its length word is known.
    fn append(&mut self, bytes: &[u8], wanted: usize, at_hand: usize) {
        let fits = self.queue.back().is_some_and(|last| last.capacity() - self.whole >= wanted);
        if !fits {
            let arrived = self.queue.back_mut().map(|last| last.split_off(self.whole)).unwrap_or_default();
            if self.queue.back().is_some_and(BytesMut::is_empty) {
                self.queue.pop_back();
            }
            let mut next = BytesMut::with_capacity(wanted.max(at_hand.min(64 << 10)).max(256));
            next.extend_from_slice(&arrived);
            self.queue.push_back(next);
            self.whole = 0;
        }
        if let Some(last) = self.queue.back_mut() {
            last.extend_from_slice(bytes);
        }
    }

    fn packet_came(&mut self, wanted: usize) -> Result<(), Ended> {
        let packet = self.queue.back().and_then(|last| last.get(self.whole + 4..)).unwrap_or_default();
        let init = packet.first() == Some(&kind::INIT);
        match (init, self.initialised) {
            (true, true) => return Err(Ended::InitialisedTwice),
            (false, false) => return Err(Ended::NotInitialised),
            (true, false) => {
                // Whatever version is offered, 3 is what is spoken; pairs after it are nobody's.
                self.initialised = true;
                if let Some(last) = self.queue.back_mut() {
                    last.truncate(self.whole);
                }
                self.drop_empty_buffers();
                let mut hello = Replies::default();
                hello.version();
                self.send(hello.bytes);
                return Ok(());
            }
            (false, true) => {}
        }
        self.whole += wanted;
        self.queued_requests += 1;
        self.queued_bytes += wanted;
        if self.queued_requests + self.out_requests > self.limits.requests {
            return Err(Ended::TooManyRequests);
        }
        if self.queued_bytes() > self.limits.queued {
            return Err(Ended::TooManyBytes);
        }
        Ok(())
    }

    /// The next requests to run, in order; `None` while the last ones are not all answered, when there are none, or when the client
    /// must first take the answers it has.
    #[must_use]
    pub fn take(&mut self) -> Option<Batch> {
        if self.out_requests > 0 || self.ended.is_some() {
            return None;
        }
        let mut batch = Batch::default();
        let (mut replies, mut payload) = (0, 0);
        while batch.len() < self.limits.batch_requests && self.queued_requests > 0 {
            let Some(size) = self.front_size() else { break };
            let room = replies < self.limits.batch && payload < self.limits.batch;
            if !room || !self.affords(self.front_reply()) {
                break;
            }
            let Some(task) = self.pop(size) else { break };
            replies += task.reserved;
            payload += task.raw;
            self.reserved += task.reserved;
            self.out_bytes += task.raw;
            self.out_requests += 1;
            batch.tasks.push_back(task);
        }
        (!batch.is_empty()).then_some(batch)
    }

    /// Whether an answer of `bytes` may be produced now. One is always allowed when nothing waits to be taken.
    fn affords(&self, bytes: usize) -> bool {
        let waiting = self.reply_bytes + self.reserved;
        waiting == 0 || waiting + bytes <= self.limits.replies
    }

    /// Bytes of the first queued packet, with its length word.
    fn front_size(&self) -> Option<usize> {
        let front = self.queue.front()?;
        front.first_chunk().map(|word| u32::from_be_bytes(*word) as usize + 4)
    }

    /// Bytes that the answer to the first queued packet may take.
    fn front_reply(&self) -> usize {
        let packet = self.queue.front().and_then(|front| front.get(4..)).unwrap_or_default();
        match packet.first() {
            Some(&kind::READ) => protocol::parse_read(packet).map_or(512, |read| 13 + read.length as usize),
            Some(&kind::READDIR) => protocol::MAX_PAGE_BYTES,
            _ => 16 << 10,
        }
    }

    fn pop(&mut self, size: usize) -> Option<Task> {
        let only = self.queue.len() == 1;
        let front = self.queue.front_mut()?;
        if front.len() < size {
            return None;
        }
        let read = front.get(4..size).and_then(protocol::parse_read);
        let Numbered { id, request } = match read {
            Some(read) => {
                front.advance(size);
                Numbered { id: read.id, request: Request::Read { handle: read.handle, offset: read.offset, length: read.length } }
            }
            None => {
                let mut packet = front.split_to(size).freeze();
                packet.advance(4);
                protocol::parse(&packet)?
            }
        };
        if only {
            self.whole -= size;
        }
        self.drop_empty_buffers();
        self.queued_requests -= 1;
        self.queued_bytes -= size;
        let reserved = request.reply_bytes();
        Some(Task { id, request, reserved, raw: size })
    }

    fn drop_empty_buffers(&mut self) {
        while self.queue.front().is_some_and(BytesMut::is_empty) {
            self.queue.pop_front();
        }
        if self.queue.is_empty() {
            self.whole = 0;
            self.queue.shrink_to(8);
        }
    }

    /// Takes answers of the batch that is out, all or some.
    pub fn answer(&mut self, replies: Replies) {
        self.out_requests = self.out_requests.saturating_sub(replies.answered);
        self.out_bytes = self.out_bytes.saturating_sub(replies.raw);
        self.reserved = self.reserved.saturating_sub(replies.reserved);
        self.send(replies.bytes);
    }

    fn send(&mut self, sheet: Sheet) {
        let (length, capacity) = (sheet.len(), sheet.capacity());
        if length == 0 {
            return;
        }
        self.reply_bytes += length;
        // Small answers travel together, and short answers to long READs do not keep the buffers that were made for long ones.
        if length > 4_096 && capacity / 2 <= length {
            self.replies.push_back(Waiting::Sheet { bytes: Bytes::from_owner(sheet), capacity });
            return;
        }
        match self.replies.back_mut() {
            Some(Waiting::Few(last)) if last.capacity() - last.len() >= length => last.extend_from_slice(sheet.as_ref()),
            _ => {
                let mut few = BytesMut::with_capacity(length.max(512));
                few.extend_from_slice(sheet.as_ref());
                self.replies.push_back(Waiting::Few(few));
            }
        }
    }

    /// Up to `most` bytes for the client, as many as its window takes; `None` when there are none (or `most` is 0).
    #[must_use]
    pub fn output(&mut self, most: usize) -> Option<Bytes> {
        let front = self.replies.front_mut()?;
        if most == 0 {
            return None;
        }
        let (bytes, left) = match front {
            Waiting::Few(few) => (few.split_to(few.len().min(most)).freeze(), few.len()),
            Waiting::Sheet { bytes, .. } => (bytes.split_to(bytes.len().min(most)), bytes.len()),
        };
        if left == 0 {
            self.replies.pop_front();
        }
        self.reply_bytes -= bytes.len();
        Some(bytes)
    }

    /// Bytes of requests not yet answered. WRITE payloads are most of them: whoever grants the client's window should stop granting
    /// at half of [`Limits::queued`], or an honest client in front of a slow disk is ended.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        self.queued_bytes + self.out_bytes + self.queue.back().map_or(0, |last| last.len() - self.whole)
    }

    /// Whether requests wait only because the client has not taken the answers it has: nothing moves until [`Engine::output`] does.
    /// Holding back the client's bytes (and with them its window) would then stop both sides for ever.
    #[must_use]
    pub fn waits_for_output(&self) -> bool {
        self.out_requests == 0 && self.queued_requests > 0 && !self.affords(self.front_reply())
    }

    /// Requests not yet answered.
    #[must_use]
    pub fn queued_requests(&self) -> usize {
        self.queued_requests + self.out_requests
    }

    /// Bytes of answers not yet taken.
    #[must_use]
    pub fn reply_bytes(&self) -> usize {
        self.reply_bytes
    }

    /// Whether everything that came was answered and every answer was taken: after the client's EOF the channel can be closed.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.queued_requests() == 0 && self.reply_bytes == 0
    }

    /// Whether a packet has begun and not ended: a client that stays so for long is stuck or hostile.
    #[must_use]
    pub fn is_mid_packet(&self) -> bool {
        self.queue.back().is_some_and(|last| last.len() > self.whole)
    }

    /// Whether INIT came.
    #[must_use]
    pub fn is_initialised(&self) -> bool {
        self.initialised
    }

    /// Why the session cannot go on.
    #[must_use]
    pub fn ended(&self) -> Option<Ended> {
        self.ended
    }

    /// Memory held for queued requests and for answers, in bytes: what the buffers have, not only what is in them.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        let waiting = self.replies.iter().map(|waiting| match waiting {
            Waiting::Few(few) => few.capacity(),
            Waiting::Sheet { capacity, .. } => *capacity,
        });
        self.queue.iter().map(BytesMut::capacity).sum::<usize>() + waiting.sum::<usize>()
    }
}

/// A length word of which `before` came earlier.
fn length_word(before: &[u8], data: &[u8]) -> Option<usize> {
    let mut bytes = before.iter().chain(data).copied();
    let word = [bytes.next()?, bytes.next()?, bytes.next()?, bytes.next()?];
    Some(u32::from_be_bytes(word) as usize)
}
