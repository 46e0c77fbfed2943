//! The other side of a session: packets as clients write them, answers as clients read them, and the loop of the server around
//! engine and executor.

#![allow(dead_code, reason = "the fuzz target uses a part of this module")]

use std::sync::Arc;

use messo::intake::sftp::engine::{Ended, Engine, Limits};
use messo::intake::sftp::executor::{Executor, Progress, Settings};
use messo::intake::sftp::home::Refused;
use messo::intake::sftp::protocol::{Replies, kind};

use super::sftp_home::MemoryHome;

pub const READ: u32 = 1;
pub const WRITE: u32 = 2;
pub const APPEND: u32 = 4;
pub const CREATE: u32 = 8;
pub const TRUNCATE: u32 = 16;

/// Writes packets one after the other; ids count from 1.
#[derive(Default, Clone)]
pub struct Script {
    pub bytes: Vec<u8>,
    pub id: u32,
}

pub fn string(text: &[u8]) -> Vec<u8> {
    [&(text.len() as u32).to_be_bytes()[..], text].concat()
}

/// The bytes of the handle given to the n-th file or folder opened in a session.
pub fn handle(nth: u32) -> Vec<u8> {
    string(&nth.to_be_bytes())
}

/// ATTRS with nothing in them.
pub const NO_ATTRS: [u8; 4] = [0; 4];

/// ATTRS with a mode.
pub fn mode(bits: u32) -> Vec<u8> {
    [4u32, bits].iter().flat_map(|word| word.to_be_bytes()).collect()
}

/// ATTRS with access and modification time.
pub fn times(seconds: u32) -> Vec<u8> {
    [8u32, seconds, seconds].iter().flat_map(|word| word.to_be_bytes()).collect()
}

pub fn framed(body: &[u8]) -> Vec<u8> {
    [&(body.len() as u32).to_be_bytes()[..], body].concat()
}

impl Script {
    /// INIT with `version`.
    pub fn init(version: u32) -> Script {
        Script::default().raw(&framed(&[&[kind::INIT][..], &version.to_be_bytes()].concat()))
    }

    pub fn raw(mut self, bytes: &[u8]) -> Script {
        self.bytes.extend_from_slice(bytes);
        self
    }

    pub fn request(mut self, kind: u8, fields: &[&[u8]]) -> Script {
        self.id += 1;
        let body = [&[kind][..], &self.id.to_be_bytes(), &fields.concat()].concat();
        self.raw(&framed(&body))
    }

    pub fn path(self, kind: u8, path: &str) -> Script {
        self.request(kind, &[&string(path.as_bytes())])
    }

    pub fn open(self, path: &str, flags: u32, attributes: &[u8]) -> Script {
        self.request(kind::OPEN, &[&string(path.as_bytes()), &flags.to_be_bytes(), attributes])
    }

    pub fn on(self, kind: u8, nth: u32) -> Script {
        self.request(kind, &[&handle(nth)])
    }

    pub fn close(self, nth: u32) -> Script {
        self.on(kind::CLOSE, nth)
    }

    pub fn write(self, nth: u32, offset: u64, data: &[u8]) -> Script {
        self.request(kind::WRITE, &[&handle(nth), &offset.to_be_bytes(), &string(data)])
    }

    pub fn read(self, nth: u32, offset: u64, length: u32) -> Script {
        self.request(kind::READ, &[&handle(nth), &offset.to_be_bytes(), &length.to_be_bytes()])
    }

    pub fn rename(self, from: &str, to: &str) -> Script {
        self.request(kind::RENAME, &[&string(from.as_bytes()), &string(to.as_bytes())])
    }

    pub fn extended(self, name: &str, fields: &[&[u8]]) -> Script {
        self.request(kind::EXTENDED, &[&string(name.as_bytes()), &fields.concat()])
    }
}

/// An answer as a client sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    pub kind: u8,
    /// Version for VERSION.
    pub id: u32,
    pub body: Vec<u8>,
}

impl Reply {
    /// One line: `handle 1`, `status 4 SFTP_HANDLE`, `data 5`, `name lotto.zip`, ...
    pub fn line(&self) -> String {
        let word = |at: usize| u32::from_be_bytes(self.body[at..at + 4].try_into().unwrap());
        match self.kind {
            kind::VERSION => format!("version {}", self.id),
            kind::STATUS => {
                let text = String::from_utf8(self.body[8..][..word(4) as usize].to_vec()).unwrap();
                let code = text.rsplit_once('[').map_or("", |(_, code)| code.trim_end_matches(']'));
                format!("status {} {code}", word(0)).trim_end().to_owned()
            }
            kind::HANDLE => format!("handle {}", word(4)),
            kind::DATA => format!("data {}", word(0)),
            kind::NAME => format!("name {}", self.names().iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(" ")),
            kind::ATTRS if word(0) & 1 != 0 => format!("attrs {}", u64::from_be_bytes(self.body[4..12].try_into().unwrap())),
            kind::EXTENDED_REPLY => format!("extended {}", self.body.len()),
            other => format!("kind {other}"),
        }
    }

    pub fn data(&self) -> &[u8] {
        assert_eq!(self.kind, kind::DATA, "{}", self.line());
        &self.body[4..]
    }

    /// Names and long names of a NAME; every length inside must fit exactly.
    pub fn names(&self) -> Vec<(String, String)> {
        assert_eq!(self.kind, kind::NAME);
        let mut rest = &self.body[4..];
        let mut take = |length: usize| {
            let (now, later) = rest.split_at(length);
            rest = later;
            now.to_vec()
        };
        let count = u32::from_be_bytes(self.body[..4].try_into().unwrap());
        let word = |bytes: Vec<u8>| u32::from_be_bytes(bytes.try_into().unwrap());
        let mut names = Vec::new();
        for _ in 0..count {
            let [name, long] = [(); 2].map(|()| {
                let length = word(take(4)) as usize;
                String::from_utf8(take(length)).unwrap()
            });
            let flags = word(take(4));
            take([(1, 8), (2, 8), (4, 4), (8, 8)].iter().filter(|(bit, _)| flags & bit != 0).map(|(_, length)| length).sum());
            names.push((name, long));
        }
        assert!(rest.is_empty(), "{} bytes too many", rest.len());
        names
    }
}

/// Cuts answers out of the bytes of the server.
pub fn replies(mut bytes: &[u8]) -> Vec<Reply> {
    let mut replies = Vec::new();
    while !bytes.is_empty() {
        let length = u32::from_be_bytes(bytes[..4].try_into().unwrap()) as usize;
        let packet = &bytes[4..4 + length];
        replies.push(Reply { kind: packet[0], id: u32::from_be_bytes(packet[1..5].try_into().unwrap()), body: packet[5..].to_vec() });
        bytes = &bytes[4 + length..];
    }
    replies
}

/// The sentence of the tests.
pub fn sentence(_: Refused) -> &'static str {
    "Frase di prova."
}

/// A session as the server drives it, with a client that takes everything at once.
pub struct Session {
    pub engine: Engine,
    pub executor: Executor,
    /// What came out, whole.
    pub output: Vec<u8>,
    /// The requests given out, as debug text.
    pub calls: Vec<String>,
}

impl Session {
    pub fn new(home: &MemoryHome) -> Session {
        Session::with(home, Limits::default(), Settings::new(sentence))
    }

    pub fn with(home: &MemoryHome, limits: Limits, settings: Settings) -> Session {
        let executor = Executor::new(Arc::new(home.clone()), Arc::new(home.clone()), settings);
        Session { engine: Engine::new(limits), executor, output: Vec::new(), calls: Vec::new() }
    }

    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), Ended> {
        let result = self.engine.feed(bytes);
        self.pump();
        result
    }

    /// Runs everything that can be run.
    pub fn pump(&mut self) {
        self.drain();
        while self.step() {
            self.drain();
        }
    }

    /// Runs one batch, and takes nothing away.
    pub fn step(&mut self) -> bool {
        let Some(mut batch) = self.engine.take() else { return false };
        self.calls.extend(batch.requests().map(|(id, request)| format!("{id} {request:?}")));
        loop {
            let mut replies = Replies::default();
            let progress = self.executor.run(&mut batch, &mut replies);
            self.engine.answer(replies);
            if progress == Progress::Done {
                return true;
            }
        }
    }

    pub fn drain(&mut self) {
        while let Some(bytes) = self.engine.output(32_768) {
            self.output.extend_from_slice(&bytes);
        }
    }

    /// The answers so far; from the next call on, those after them.
    pub fn replies(&mut self) -> Vec<Reply> {
        replies(&std::mem::take(&mut self.output))
    }

    pub fn lines(&mut self) -> Vec<String> {
        self.replies().iter().map(Reply::line).collect()
    }
}

/// The answers to a script that begins with INIT, one line each, without VERSION.
pub fn play(home: &MemoryHome, script: &Script) -> Vec<String> {
    let mut session = Session::new(home);
    session.feed(&script.bytes).unwrap();
    assert!(session.engine.is_idle());
    let lines = session.lines();
    assert_eq!(lines[0], "version 3");
    lines[1..].to_vec()
}
