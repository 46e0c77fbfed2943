//! Listings: pages, long names, and a folder of 100,000 names.

use messo::intake::sftp::executor::Settings;
use messo::intake::sftp::protocol::{MAX_PAGE_BYTES, kind};
use messo::intake::sftp::{engine::Limits, home::Attributes};

use super::sftp_client::{NO_ATTRS, READ, Script, Session, play, sentence, string, times};
use super::sftp_home::{File, MemoryHome};

#[test]
fn a_folder_of_100_000_names_comes_in_pages() {
    let home = MemoryHome::new();
    {
        let mut tree = home.tree();
        for number in 0..100_000 {
            let name = format!("/in/{number:06}-{}.zip", "x".repeat(number % 200));
            tree.files.insert(name, File::default());
        }
    }
    let mut session = Session::new(&home);
    session.feed(&Script::init(3).path(kind::OPENDIR, "/in").bytes).unwrap();
    session.replies();
    let mut names = Vec::new();
    for id in 1.. {
        session.feed(&Script { id, ..Script::default() }.on(kind::READDIR, 1).bytes).unwrap();
        let reply = session.replies().remove(0);
        if reply.kind == kind::STATUS {
            assert_eq!(reply.line(), "status 1");
            break;
        }
        assert!(reply.body.len() + 9 <= MAX_PAGE_BYTES, "{}", reply.body.len());
        let page = reply.names();
        assert!(page.len() <= 100);
        names.extend(page.into_iter().map(|(name, _)| name));
        assert!(session.engine.held_bytes() == 0);
    }
    let count = names.len();
    names.dedup();
    assert_eq!((count, names.len()), (100_000, 100_000));
    assert!(names.is_sorted());
}

#[test]
fn long_names_are_those_of_ls() {
    let attributes =
        |mode: u32, size: u64, modified: u32| Attributes { size: Some(size), owner: None, mode: Some(mode), times: Some((0, modified)) };
    // 2026-11-22 19:50:00 UTC, and years before it.
    let table = [
        ("lotto.zip", attributes(0o100_640, 1_234, 1_795_377_000), "-rw-r-----    1 messo    messo        1234 Nov 22 19:50 lotto.zip"),
        (
            "vecchio",
            attributes(0o100_755, 12_345_678_901, 1_000_000_000),
            "-rwxr-xr-x    1 messo    messo    12345678901 Sep  9  2001 vecchio",
        ),
        ("esiti", attributes(0o040_750, 0, 1_795_377_000), "drwxr-x---    1 messo    messo           0 Nov 22 19:50 esiti"),
        ("del futuro", attributes(0o100_600, 1, 1_900_000_000), "-rw-------    1 messo    messo           1 Mar 17  2030 del futuro"),
        ("senza niente è", Attributes::default(), "-rw-r-----    1 messo    messo           0 Jan  1  1970 senza niente è"),
    ];
    for (name, attributes, want) in table {
        let mut replies = messo::intake::sftp::protocol::Replies::default();
        let entry = messo::intake::sftp::home::Entry { name: name.to_owned(), attributes };
        let mut page = replies.page(7);
        assert!(page.add(&entry, "messo", 1_795_377_600));
        assert!(page.end());
        let mut engine = messo::intake::sftp::engine::Engine::new(Limits::default());
        engine.answer(replies);
        let reply = super::sftp_client::replies(&engine.output(usize::MAX).unwrap()).remove(0);
        assert_eq!(reply.names(), [(name.to_owned(), want.to_owned())]);
    }
}

#[test]
fn handles_of_folders_have_attributes_too() {
    let home = MemoryHome::new();
    let script = Script::init(3)
        .path(kind::OPENDIR, "")
        .on(kind::FSTAT, 1)
        .request(kind::FSETSTAT, &[&string(&1u32.to_be_bytes()), &times(5)])
        .on(kind::READDIR, 1)
        .on(kind::READDIR, 1)
        .on(kind::READDIR, 1)
        .close(1)
        .on(kind::READDIR, 1);
    let want = ["handle 1", "attrs 0", "status 0", "name esiti in", "status 1", "status 1", "status 0", "status 4 SFTP_HANDLE"];
    assert_eq!(play(&home, &script), want);
}

#[test]
fn pages_are_as_long_as_configured() {
    let home = MemoryHome::new().with("/in/a", b"").with("/in/b", b"").with("/in/c", b"");
    let mut session = Session::with(&home, Limits::default(), Settings { page: 2, ..Settings::new(sentence) });
    let script = (0..3).fold(Script::init(3).path(kind::OPENDIR, "/in"), |script, _| script.on(kind::READDIR, 1));
    session.feed(&script.bytes).unwrap();
    assert_eq!(session.lines()[2..], ["name a b", "name c", "status 1"]);
}

#[test]
fn a_session_reads_sixteen_folders_at_once() {
    let home = MemoryHome::new().with("/in/a", b"x");
    let script = (0..17).fold(Script::init(3), |script, _| script.path(kind::OPENDIR, "/in"));
    let lines = play(&home, &script.open("/in/a", READ, &NO_ATTRS).close(1).path(kind::OPENDIR, "/in"));
    assert_eq!(lines[15..], ["handle 16", "status 4 SFTP_TROPPI_APERTI", "handle 17", "status 0", "handle 18"], "files go on");
}

#[test]
fn what_is_not_there_is_not_listed() {
    let home = MemoryHome::new().with("/in/a", b"x");
    let script = Script::init(3).path(kind::OPENDIR, "/in/a").path(kind::OPENDIR, "/altro").open("/in", READ, &NO_ATTRS);
    assert_eq!(play(&home, &script), ["status 4 SFTP_NON_CARTELLA", "status 2 SFTP_NON_TROVATO", "status 4 SFTP_CARTELLA"]);
}
