//! What hostile or broken clients send: every one gets an answer or is ended with a reason, and nothing grows.

use messo::intake::sftp::engine::{Ended, Limits};
use messo::intake::sftp::executor::Settings;
use messo::intake::sftp::protocol::kind;

use super::sftp_client::{CREATE, NO_ATTRS, READ, Script, Session, TRUNCATE, WRITE, framed, handle, sentence, string};
use super::sftp_home::MemoryHome;

/// A file open for both, `/in/a` of three bytes, handle 1, and `/in` open as a folder, handle 2.
fn begun() -> Script {
    Script::init(3).open("/in/a", READ | WRITE, &NO_ATTRS).path(kind::OPENDIR, "/in")
}

const BEGUN: usize = 3;
const BAD: &str = "status 5 SFTP_RICHIESTA";
const HANDLE: &str = "status 4 SFTP_HANDLE";
const NAME: &str = "status 4 SFTP_NOME_NON_VALIDO";
const LARGE: &str = "status 4 SFTP_TROPPO_GRANDE";
const UNKNOWN: &str = "status 8 SFTP_NON_PREVISTO";

/// Attacks that are answered: what is sent after `begun`, and the answers.
fn answered() -> Vec<(&'static str, Script, Vec<&'static str>)> {
    let word = |value: u32| value.to_be_bytes();
    let long = |value: u64| value.to_be_bytes();
    let many = |length: usize| "x".repeat(length);
    vec![
        ("path longer than its packet", begun().request(kind::STAT, &[&word(1_000), b"/in"]), vec![BAD]),
        ("path of 4 GiB", begun().request(kind::OPEN, &[&word(u32::MAX), b"/in"]), vec![BAD]),
        ("negative-looking length", begun().request(kind::REMOVE, &[&word(0x8000_0000), b"/in"]), vec![BAD]),
        ("no body at all", begun().request(kind::OPEN, &[]), vec![BAD]),
        ("payload longer than its packet", begun().request(kind::WRITE, &[&handle(1), &long(0), &word(100), b"abc"]), vec![BAD]),
        ("payload shorter than its packet", begun().request(kind::WRITE, &[&handle(1), &long(0), &word(1), b"abc"]), vec!["status 0"]),
        ("trailing bytes", begun().request(kind::FSTAT, &[&handle(1), &[0; 100]]), vec!["attrs 3"]),
        ("READ without a length", begun().request(kind::READ, &[&handle(1), &long(0)]), vec![BAD]),
        ("handle of another session", begun().read(77, 0, 10), vec![HANDLE]),
        ("handle of zero", begun().read(0, 0, 10), vec![HANDLE]),
        ("empty handle", begun().request(kind::READ, &[&string(b""), &long(0), &word(1)]), vec![HANDLE]),
        ("handle of 40 bytes", begun().request(kind::CLOSE, &[&string(&[1; 40])]), vec![HANDLE]),
        ("double close", begun().close(1).close(1), vec!["status 0", HANDLE]),
        ("read after close", begun().close(1).read(1, 0, 3), vec!["status 0", HANDLE]),
        ("write after close", begun().close(1).write(1, 0, b"x"), vec!["status 0", HANDLE]),
        ("write at 2^63", begun().write(1, 1 << 63, b"x"), vec![LARGE]),
        ("write that ends past 2^63", begun().write(1, (1 << 63) - 1, b"xy"), vec![LARGE]),
        ("write at 2^64 - 1", begun().write(1, u64::MAX, b"xy"), vec![LARGE]),
        ("sparse write over the largest file", begun().write(1, 1 << 60, b"x"), vec![LARGE]),
        ("empty write past everything", begun().write(1, u64::MAX, b""), vec!["status 0"]),
        ("read at 2^63", begun().read(1, 1 << 63, 10), vec!["status 1"]),
        ("read on a folder", begun().read(2, 0, 10), vec!["status 4 SFTP_CARTELLA"]),
        ("list a file", begun().on(kind::READDIR, 1), vec!["status 4 SFTP_NON_CARTELLA"]),
        ("file of 2^63 by path", begun().request(kind::SETSTAT, &[&string(b"/in/a"), &word(1), &long(1 << 63)]), vec![LARGE]),
        ("file of 2^64 - 1 by handle", begun().request(kind::FSETSTAT, &[&handle(1), &word(1), &long(u64::MAX)]), vec![LARGE]),
        ("truncated ATTRS", begun().request(kind::SETSTAT, &[&string(b"/in/a"), &word(0xF), &long(0)]), vec![BAD]),
        ("ATTRS with 2^32 pairs", begun().request(kind::SETSTAT, &[&string(b"/in/a"), &word(0x8000_0000), &word(u32::MAX)]), vec![BAD]),
        ("ATTRS with bits of nobody", begun().request(kind::SETSTAT, &[&string(b"/in/a"), &word(0x0FFF_FFF0)]), vec!["status 0"]),
        ("SETSTAT without ATTRS", begun().request(kind::SETSTAT, &[&string(b"/in/a")]), vec!["status 0"]),
        ("open an empty name", begun().open("", READ, &NO_ATTRS), vec![NAME]),
        ("remove an empty name", begun().path(kind::REMOVE, ""), vec![NAME]),
        ("NUL in a name", begun().open("/in/a\0.zip", WRITE | CREATE, &NO_ATTRS), vec![NAME]),
        ("NUL in a rename", begun().rename("/in/a", "/in/\0"), vec![NAME]),
        ("a path of 5,000 bytes", begun().path(kind::STAT, &many(5_000)), vec![NAME]),
        ("a name that is not UTF-8", begun().request(kind::STAT, &[&string(b"/in/\xff\xfe")]), vec![NAME]),
        ("out of the home", begun().path(kind::OPENDIR, "/../../etc"), vec!["status 3 SFTP_FUORI_CARTELLA"]),
        ("symlink out", begun().request(kind::SYMLINK, &[&string(b"/etc/passwd"), &string(b"/in/x")]), vec![UNKNOWN]),
        ("readlink", begun().path(kind::READLINK, "/in/a"), vec![UNKNOWN]),
        ("answers sent to the server", begun().request(kind::STATUS, &[&[0; 20]]).request(kind::DATA, &[&[0; 20]]), vec![UNKNOWN, UNKNOWN]),
        ("types of nobody", begun().request(0, &[]).request(255, &[]), vec![UNKNOWN, UNKNOWN]),
        ("extended without a name", begun().request(kind::EXTENDED, &[]), vec![BAD]),
        ("extended of 4 GiB", begun().request(kind::EXTENDED, &[&word(u32::MAX)]), vec![BAD]),
        ("copy into itself", begun().extended("copy-data", &[&handle(1), &[0; 16], &handle(1), &[0; 8]]), vec![BAD]),
        ("copy from a folder", begun().extended("copy-data", &[&handle(2), &[0; 16], &handle(1), &[0; 8]]), vec!["status 4 SFTP_CARTELLA"]),
        ("a million owners", begun().extended("users-groups-by-id@openssh.com", &[&string(&[0; 200_000]), &string(b"")]), vec![BAD]),
        (
            "write what was opened to read",
            begun().close(1).open("/in/a", READ, &NO_ATTRS).write(3, 0, b"x"),
            vec!["status 0", "handle 3", "status 4 SFTP_MODO"],
        ),
        (
            "read what was opened to write",
            begun().close(1).open("/in/a", WRITE, &NO_ATTRS).read(3, 0, 1),
            vec!["status 0", "handle 3", "status 4 SFTP_MODO"],
        ),
    ]
}

#[test]
fn attacks_are_answered_and_the_session_goes_on() {
    let attacks = answered();
    assert!(attacks.len() >= 40);
    for (what, script, want) in attacks {
        let home = MemoryHome::new().with("/in/a", b"abc");
        let mut session = Session::new(&home);
        let script = script.path(kind::STAT, "/in");
        session.feed(&script.bytes).unwrap_or_else(|ended| panic!("{what}: {ended}"));
        let replies = session.replies();
        let ids: Vec<u32> = replies[1..].iter().map(|reply| reply.id).collect();
        assert_eq!(ids, (1..=script.id).collect::<Vec<_>>(), "{what}: every request is answered, in order, under its number");
        let lines: Vec<String> = replies[BEGUN..].iter().map(|reply| reply.line()).collect();
        assert_eq!(lines[..lines.len() - 1], want, "{what}");
        assert_eq!(lines.last().unwrap(), "attrs 0", "{what}: the session goes on");
        assert!(session.engine.is_idle(), "{what}");
        assert_eq!((session.engine.held_bytes(), session.engine.queued_bytes()), (0, 0), "{what}: nothing is kept");
    }
}

#[test]
fn attacks_on_the_session_end_it_with_a_reason() {
    let word = |value: u32| value.to_be_bytes();
    let init = || Script::init(3);
    let limits = Limits::default();
    let table: Vec<(&str, Script, Ended)> = vec![
        ("request before INIT", Script::default().path(kind::STAT, "/"), Ended::NotInitialised),
        ("garbage (an HTTP request)", Script::default().raw(b"GET / HTTP/1.1\r\n\r\n"), Ended::PacketTooLong(0x4745_5420)),
        ("INIT twice", init().raw(&framed(&[1, 0, 0, 0, 3])), Ended::InitialisedTwice),
        ("a packet of 4 GiB", init().raw(&word(u32::MAX)), Ended::PacketTooLong(u32::MAX as usize)),
        ("a packet of 2 GiB", init().raw(&word(0x8000_0000)), Ended::PacketTooLong(0x8000_0000)),
        ("one byte over the ceiling", init().raw(&word(limits.packet as u32 + 1)), Ended::PacketTooLong(limits.packet + 1)),
        ("an empty packet", init().raw(&word(0)), Ended::PacketTooShort),
        ("a packet without a number", init().raw(&framed(&[kind::STAT, 0, 0])), Ended::PacketTooShort),
        ("an INIT of three bytes", Script::default().raw(&framed(&[1, 0, 3])), Ended::PacketTooShort),
    ];
    for (what, script, want) in table {
        let home = MemoryHome::new();
        let mut session = Session::new(&home);
        assert_eq!(session.feed(&script.bytes), Err(want), "{what}");
        assert_eq!(session.feed(&Script::init(3).bytes), Err(want), "{what}: it stays ended");
        assert!(session.engine.take().is_none(), "{what}");
        assert!(!want.to_string().is_empty());
    }
}

#[test]
fn a_packet_as_long_as_the_ceiling_is_taken() {
    let home = MemoryHome::new();
    let payload = vec![7; Limits::default().packet - 25];
    let script = Script::init(3).open("/in/a", WRITE | CREATE, &NO_ATTRS).write(1, 0, &payload).close(1);
    let mut session = Session::new(&home);
    session.feed(&script.bytes).unwrap();
    assert_eq!(home.content("/in/a").unwrap(), payload);
}

#[test]
fn files_left_open_meet_a_ceiling_and_are_ended_with_the_session() {
    let home = MemoryHome::new();
    let script =
        (0..300).fold(Script::init(3), |script, number| script.open(&format!("/in/{number}"), WRITE | CREATE | TRUNCATE, &NO_ATTRS));
    let mut session = Session::new(&home);
    session.feed(&script.bytes).unwrap();
    let lines = session.lines();
    assert_eq!(lines[256], "handle 256");
    assert!(lines[257..].iter().all(|line| line == "status 4 SFTP_TROPPI_APERTI"), "{:?}", &lines[257..]);
    assert_eq!(home.tree().diary.iter().filter(|line| line.starts_with("open")).count(), 256, "what is refused is not opened");
    // A closed one makes room, under a number never used before.
    let script = Script { id: 300, ..Script::default() }.close(5).open("/in/x", WRITE | CREATE, &NO_ATTRS).write(5, 0, b"x");
    session.feed(&script.bytes).unwrap();
    assert_eq!(session.lines(), ["status 0", "handle 257", HANDLE]);
    drop(session);
    let diary = home.tree().diary.clone();
    assert_eq!(diary.iter().filter(|line| line.ends_with("Dropped")).count(), 256);
    assert!(!diary.iter().any(|line| line.starts_with("lost")));
}

#[test]
fn a_flood_is_answered_or_ended() {
    let flood = |count: u32, request: &dyn Fn(Script) -> Script| (0..count).fold(Script::init(3), |script, _| request(script));
    let opens = |script: Script| script.open("/in/a", WRITE | CREATE, &NO_ATTRS);
    let extended = |script: Script| script.extended("x@example.invalid", &[]);
    // Nobody runs anything: the queue alone.
    for (what, count, request, want) in [
        ("65,536 opens", 65_536, &opens as &dyn Fn(Script) -> Script, Ok(())),
        ("65,537 opens", 65_537, &opens, Err(Ended::TooManyRequests)),
        ("65,537 extended", 65_537, &extended, Err(Ended::TooManyRequests)),
        ("5 MiB of writes", 160, &|script: Script| script.write(1, 0, &[0; 32_768]), Err(Ended::TooManyBytes)),
    ] {
        let script = flood(count, request);
        let mut engine = messo::intake::sftp::engine::Engine::new(Limits::default());
        let result = script.bytes.chunks(32_768).try_for_each(|cut| engine.feed(cut));
        assert_eq!(result, want, "{what}");
        assert!(engine.held_bytes() <= (4 << 20) + (512 << 10), "{what}: {} bytes held", engine.held_bytes());
        if want.is_err() {
            assert!(engine.held_bytes() < 4_096, "{what}: an ended session gives its memory back");
        }
    }
    // With a worker behind it, a flood is only traffic.
    let home = MemoryHome::new();
    let mut session = Session::with(&home, Limits::default(), Settings::new(sentence));
    let script = flood(100_000, &extended);
    script.bytes.chunks(32_768).for_each(|cut| session.feed(cut).unwrap());
    assert!(session.lines()[1..].iter().all(|line| line == UNKNOWN));
    assert_eq!(session.engine.held_bytes(), 0);
}
