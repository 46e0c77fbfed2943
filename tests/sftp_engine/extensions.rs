//! The extensions that are announced, and what is answered to those that are not.

use messo::intake::sftp::protocol::{EXTENSIONS, kind};

use super::sftp_client::{CREATE, NO_ATTRS, READ, Script, Session, WRITE, handle, mode, play, string};
use super::sftp_home::MemoryHome;

fn longs(values: &[u64]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_be_bytes()).collect()
}

#[test]
fn version_announces_what_is_answered() {
    let home = MemoryHome::new();
    for version in [3, 4, 6, 0] {
        let mut session = Session::new(&home);
        session.feed(&Script::init(version).bytes).unwrap();
        let hello = session.replies().remove(0);
        assert_eq!((hello.kind, hello.id), (kind::VERSION, 3), "offered {version}");
        let pairs: Vec<u8> =
            EXTENSIONS.iter().flat_map(|(name, version)| [string(name.as_bytes()), string(version.as_bytes())].concat()).collect();
        assert_eq!(hello.body, pairs);
    }
    for (name, _) in EXTENSIONS {
        // Without its fields each is a malformed request, not an unknown one; `limits` and `home-directory` need none.
        let lines = play(&home, &Script::init(3).extended(name, &[]));
        assert_ne!(lines, ["status 8 SFTP_NON_PREVISTO"], "{name}");
    }
}

#[test]
fn init_with_pairs_is_taken() {
    let home = MemoryHome::new();
    let body = [&[kind::INIT][..], &3u32.to_be_bytes(), &string(b"newline@vandyke.com"), &string(b"\n"), b"odd"].concat();
    let lines = play(&home, &Script::default().raw(&super::sftp_client::framed(&body)).path(kind::STAT, "/in"));
    assert_eq!(lines, ["attrs 0"]);
}

#[test]
fn extensions_are_answered() {
    let table: &[(&str, &[u8], &str)] = &[
        ("limits@openssh.com", &[], "extended 32"),
        ("statvfs@openssh.com", &string(b"/"), "extended 88"),
        ("fstatvfs@openssh.com", &handle(1), "extended 88"),
        ("fsync@openssh.com", &handle(1), "status 0"),
        ("fsync@openssh.com", &handle(9), "status 4 SFTP_HANDLE"),
        ("lsetstat@openssh.com", &[string(b"/in/a"), mode(0o600)].concat(), "status 0"),
        ("posix-rename@openssh.com", &[string(b"/in/a"), string(b"/in/b")].concat(), "status 0"),
        ("hardlink@openssh.com", &[string(b"/in/a"), string(b"/in/b")].concat(), "status 8 SFTP_NON_PREVISTO"),
        ("expand-path@openssh.com", &string(b"~"), "name /"),
        ("expand-path@openssh.com", &string(b"~/in"), "name /in"),
        ("expand-path@openssh.com", &string(b"in/../esiti"), "name /esiti"),
        ("expand-path@openssh.com", &string(b"~root"), "status 2 SFTP_NON_TROVATO"),
        ("home-directory", &string(b"chiunque"), "name /"),
        ("users-groups-by-id@openssh.com", &[string(&[0; 12]), string(&[0; 4])].concat(), "extended 44"),
        ("check-file", &string(b"/in/a"), "status 8 SFTP_NON_PREVISTO"),
        ("md5-hash", &string(b"/in/a"), "status 8 SFTP_NON_PREVISTO"),
        ("", &[], "status 8 SFTP_NON_PREVISTO"),
    ];
    for (name, fields, want) in table {
        let home = MemoryHome::new().with("/in/a", b"abc").with("/in/b", b"old");
        let lines = play(&home, &Script::init(3).open("/in/a", READ | WRITE, &NO_ATTRS).extended(name, &[fields]));
        assert_eq!(lines[1], *want, "{name} {fields:?}");
    }
}

#[test]
fn limits_and_space_are_told_in_their_order() {
    let home = MemoryHome::new();
    let mut session = Session::new(&home);
    let script = Script::init(3).extended("limits@openssh.com", &[]).extended("statvfs@openssh.com", &[&string(b"/")]);
    session.feed(&script.bytes).unwrap();
    let replies = session.replies();
    assert_eq!(replies[1].body, longs(&[262_144, 261_120, 261_120, 256]));
    let blocks = (1 << 30) / 4_096;
    assert_eq!(replies[2].body, longs(&[4_096, 4_096, blocks, blocks / 2, blocks / 2, 1_000, 900, 900, 0, 2, 255]));
}

#[test]
fn rename_fails_on_a_target_and_posix_rename_replaces_it() {
    let home = MemoryHome::new().with("/in/a", b"nuovo").with("/in/b", b"vecchio");
    let both = [string(b"/in/a"), string(b"/in/b")].concat();
    let lines = play(&home, &Script::init(3).rename("/in/a", "/in/b").extended("posix-rename@openssh.com", &[&both]));
    assert_eq!(lines, ["status 4 SFTP_ESISTE_GIA", "status 0"]);
    assert_eq!(home.content("/in/b").unwrap(), b"nuovo");
}

#[test]
fn data_is_copied_a_piece_at_a_time() {
    let source: Vec<u8> = (0..3_000_000u32).map(|at| (at % 251) as u8).collect();
    let copy = |length: u64| [handle(1), longs(&[1_000, length]), handle(2), longs(&[5])].concat();
    for (length, want) in [(0, &source[1_000..]), (2_500_000, &source[1_000..2_501_000]), (7, &source[1_000..1_007])] {
        let home = MemoryHome::new().with("/in/a", &source);
        let script = Script::init(3)
            .open("/in/a", READ, &NO_ATTRS)
            .open("/in/b", WRITE | CREATE, &NO_ATTRS)
            .write(2, 0, b"prima")
            .extended("copy-data", &[&copy(length)])
            .write(2, 5 + want.len() as u64, b"dopo")
            .close(2);
        assert_eq!(play(&home, &script)[2..], ["status 0"; 4], "{length}");
        assert_eq!(home.content("/in/b").unwrap(), [b"prima", want, b"dopo"].concat(), "{length}");
        assert_eq!(home.tree().heard, [format!("uploaded /in/b {} true", want.len() + 9)]);
    }
}

#[test]
fn a_long_copy_lets_the_session_be_looked_at() {
    use messo::intake::sftp::executor::Progress;
    use messo::intake::sftp::protocol::Replies;
    let home = MemoryHome::new().with("/in/a", &vec![1; 3_000_000]);
    let mut session = Session::new(&home);
    let fields = [handle(1), longs(&[0, 0]), handle(2), longs(&[0])].concat();
    session.feed(&Script::init(3).open("/in/a", READ, &NO_ATTRS).open("/in/b", WRITE | CREATE, &NO_ATTRS).bytes).unwrap();
    session.replies();
    session.engine.feed(&Script { id: 2, ..Script::default() }.path(kind::STAT, "/in").extended("copy-data", &[&fields]).bytes).unwrap();
    let mut batch = session.engine.take().unwrap();
    let mut replies = Replies::default();
    assert_eq!(session.executor.run(&mut batch, &mut replies), Progress::Again);
    session.engine.answer(replies);
    session.drain();
    assert_eq!(session.lines(), ["attrs 0"], "what came before the copy is answered");
    assert!(session.engine.take().is_none(), "and nothing else is given out");
    // The session is ended in the middle: both files are finished.
    drop(session);
    assert_eq!(home.tree().diary.iter().filter(|line| line.ends_with("Dropped")).count(), 2);
}

#[test]
fn copies_meet_the_quota() {
    let home = MemoryHome::new().with("/in/a", &vec![1; 1_000]);
    home.tree().quota = Some(1_500);
    let fields = [handle(1), longs(&[0, 0]), handle(2), longs(&[0])].concat();
    let script = Script::init(3).open("/in/a", READ, &NO_ATTRS).open("/in/b", WRITE | CREATE, &NO_ATTRS).extended("copy-data", &[&fields]);
    assert_eq!(play(&home, &script)[2], "status 4 SFTP_QUOTA_BYTE");
}
