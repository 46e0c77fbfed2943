//! Any bytes as a session: what must hold whatever a client sends. Shared by the fuzz target and the corpus replayed by tests.

use messo::intake::sftp::engine::Limits;
use messo::intake::sftp::executor::Settings;
use messo::intake::sftp::protocol::kind;

use super::sftp_client::{Session, framed, replies, sentence};
use super::sftp_home::MemoryHome;

const LIMITS: Limits =
    Limits { packet: 64 << 10, requests: 1_000, queued: 256 << 10, replies: 64 << 10, batch: 16 << 10, batch_requests: 8 };

/// The first byte says how the rest is read and cut: bit 0, packets already framed, or bodies of up to 255 bytes after a length byte
/// each, which a fuzzer hits more easily; bit 1, INIT is sent first; the others, how many bytes come at a time.
pub fn check(data: &[u8]) {
    let Some((how, rest)) = data.split_first() else { return };
    let mut stream = Vec::new();
    if how & 2 != 0 {
        stream.extend(framed(&[kind::INIT, 0, 0, 0, 3]));
    }
    if how & 1 == 0 {
        stream.extend_from_slice(rest);
    } else {
        let mut rest = rest;
        while let Some((length, after)) = rest.split_first() {
            let (body, after) = after.split_at(after.len().min(usize::from(*length)));
            stream.extend(framed(body));
            rest = after;
        }
    }
    let step = usize::from(how >> 2) * 7 + 1;
    let home = MemoryHome::new().with("/in/lotto.zip", b"contenuto di prova");
    let mut session = Session::with(&home, LIMITS, Settings { handles: 8, page: 3, ..Settings::new(sentence) });
    let mut ended = None;
    for cut in stream.chunks(step) {
        if let Err(why) = session.feed(cut) {
            ended = Some(why);
            break;
        }
        assert!(session.engine.held_bytes() <= 512 << 10, "{} bytes held", session.engine.held_bytes());
        assert!(session.executor.open_handles() <= 8);
    }
    if ended.is_some() {
        assert!(session.engine.take().is_none(), "work of a session that ended");
        assert_eq!(session.engine.feed(b"x").err(), ended);
    } else {
        assert_eq!(session.engine.queued_requests(), 0);
        assert_eq!(session.engine.reply_bytes(), 0);
    }
    let answered = replies(&session.output);
    let hello = usize::from(answered.first().is_some_and(|first| first.kind == kind::VERSION));
    assert_eq!(answered.len(), session.calls.len() + hello, "one answer each");
    for (reply, call) in answered[hello..].iter().zip(&session.calls) {
        assert!(call.starts_with(&format!("{} ", reply.id)), "answer {} to {call}", reply.id);
        reply.line();
    }
    drop(session);
    let diary = home.tree().diary.clone();
    let count = |word: &str| diary.iter().filter(|line| line.starts_with(word)).count();
    assert_eq!(count("open"), count("finish"), "every opened file is finished: {diary:?}");
    assert_eq!(count("lost"), 0);
}
