//! Recorded sequences replayed: what is answered, what is on the home afterwards, and what the witness heard.

use super::recordings::{self, blocks};
use super::sftp_client::{CREATE, NO_ATTRS, READ, Script, Session, TRUNCATE, WRITE, play};
use super::sftp_home::MemoryHome;
use messo::intake::sftp::protocol::kind;

const OK: &str = "status 0";

/// The last `count` answers.
fn last(lines: &[String], count: usize) -> Vec<&str> {
    lines[lines.len() - count..].iter().map(String::as_str).collect()
}

fn heard(home: &MemoryHome) -> Vec<String> {
    std::mem::take(&mut home.tree().heard)
}

#[test]
fn winscp_overwrites_through_a_filepart() {
    let home = MemoryHome::new().with("/in/lotto.zip", b"vecchio");
    let blocks = blocks(10, 32_768);
    let lines = play(&home, &recordings::winscp_overwrites(&blocks));
    assert_eq!(lines[..6], ["name /", "handle 1", "name lotto.zip", "status 1", "status 0", "attrs 7"]);
    assert_eq!(lines[6..8], ["status 2 SFTP_NON_TROVATO", "handle 2"]);
    assert_eq!(last(&lines, 5), [OK, OK, OK, OK, "attrs 327680"]);
    assert_eq!(home.content("/in/lotto.zip").unwrap(), blocks.concat());
    assert_eq!(home.content("/in/lotto.zip.filepart"), None);
    assert_eq!(
        heard(&home),
        [
            "refused stat SFTP_NON_TROVATO /in/lotto.zip.filepart",
            "uploaded /in/lotto.zip.filepart 327680 true",
            "removed /in/lotto.zip",
            "renamed /in/lotto.zip.filepart /in/lotto.zip"
        ]
    );
}

#[test]
fn resumed_uploads_go_where_their_offsets_say() {
    let blocks = blocks(4, 1_000);
    let table: &[(&str, &str, Script)] = &[
        ("winscp", "/in/lotto.zip.filepart", recordings::winscp_resumes(2_000, &blocks[2..])),
        ("filezilla", "/in/lotto.zip", recordings::filezilla_resumes(2_000, &blocks[2..])),
        // With O_APPEND the offsets would be ignored, and bytes already there sent again would double.
        ("openssh", "/in/lotto.zip", recordings::openssh_reputs(2_000, &blocks[2..])),
        // The server must know where the end is: every write says 0.
        ("asyncssh", "/in/lotto.zip", recordings::asyncssh_appends(&blocks[2..])),
        ("libssh2", "/in/lotto.zip", recordings::libssh2_appends(&blocks[2..])),
        ("openssh sends some again", "/in/lotto.zip", recordings::openssh_reputs(1_000, &blocks[1..])),
    ];
    for (client, partial, script) in table {
        let home = MemoryHome::new().with(partial, &blocks[..2].concat());
        let lines = play(&home, script);
        assert!(lines[2..].iter().all(|line| line == OK), "{client}: {lines:?}");
        assert_eq!(home.content("/in/lotto.zip").unwrap(), blocks.concat(), "{client}");
        assert!(heard(&home)[0].ends_with("true"), "{client}");
    }
}

/// (who, what is there, what is sent, as which requests)
#[test]
fn appends_go_to_the_end_whatever_their_offsets_are_counted_from() {
    let there: Vec<u8> = (0..100_000u32).map(|at| (at / 11) as u8).collect();
    let pieces = blocks(5, 30_000);
    let table: &[(&str, &[u8], Script)] = &[
        ("libssh2", &there, recordings::libssh2_appends(&pieces)),
        ("asyncssh", &there, recordings::asyncssh_appends(&pieces)),
        ("reput", &there, recordings::openssh_reputs(100_000, &pieces)),
        ("libssh2, nothing there", &[], recordings::libssh2_appends(&pieces)),
        ("asyncssh, nothing there", &[], recordings::asyncssh_appends(&pieces)),
        ("reput, nothing there", &[], recordings::openssh_reputs(0, &pieces)),
        ("libssh2, one piece", &there, recordings::libssh2_appends(&pieces[..1])),
    ];
    for (client, there, script) in table {
        // All at once, and one request after the other.
        for cut in [usize::MAX, 30_000] {
            let home = MemoryHome::new().with("/in/lotto.zip", there);
            let mut session = Session::new(&home);
            script.bytes.chunks(cut.min(script.bytes.len())).for_each(|bytes| session.feed(bytes).unwrap());
            let sent = if client.ends_with("one piece") { pieces[..1].concat() } else { pieces.concat() };
            let found = home.content("/in/lotto.zip").unwrap();
            assert!(found == [there, &sent[..]].concat(), "{client}, {cut}: {} bytes", found.len());
            assert!(heard(&home).iter().any(|line| line.starts_with("uploaded") && line.ends_with("true")), "{client}, {cut}");
        }
    }
}

#[test]
fn times_are_accepted_before_during_and_after_the_data() {
    let blocks = blocks(3, 1_000);
    let table = [
        ("filezilla, by path after CLOSE", recordings::filezilla_uploads(&blocks)),
        ("openssh -p, by handle before CLOSE", recordings::openssh_puts(&blocks)),
        ("sshfs, by handle before the data", recordings::sshfs_writes(&blocks)),
        ("lftp, before CLOSE and the rename", recordings::lftp_mputs(&blocks)),
    ];
    for (client, script) in table {
        let home = MemoryHome::new();
        let lines = play(&home, &script);
        let refused: Vec<_> =
            lines.iter().filter(|line| line.starts_with("status") && !["status 0", "status 1"].contains(&line.as_str())).collect();
        assert!(refused.iter().all(|line| *line == "status 2 SFTP_NON_TROVATO"), "{client}: {refused:?}");
        assert_eq!(home.content("/in/lotto.zip").unwrap(), blocks.concat(), "{client}");
        assert_eq!(home.tree().files["/in/lotto.zip"].attributes.times, Some((1_700_000_000, 1_700_000_000)), "{client}");
    }
}

#[test]
fn paramiko_compares_the_size_after_close() {
    let home = MemoryHome::new();
    let lines = play(&home, &recordings::paramiko_puts(&blocks(5, 32_768)));
    assert_eq!(last(&lines, 2), [OK, "attrs 163840"]);
}

#[test]
fn writes_at_hand_go_to_the_disk_together() {
    let home = MemoryHome::new();
    let script = recordings::paramiko_puts(&blocks(8, 32_768));
    play(&home, &script);
    let diary = home.tree().diary.clone();
    assert_eq!(diary, ["open /in/lotto.zip", "write /in/lotto.zip 8", "finish /in/lotto.zip Closed"]);
}

#[test]
fn a_hole_or_a_lost_connection_is_told_as_partial() {
    let table: &[(&str, Script, &str, &str)] = &[
        ("whole", begin().write(1, 0, b"abc").close(1), "uploaded /in/a 3 true", "Closed"),
        ("out of order", begin().write(1, 3, b"def").write(1, 0, b"abc").close(1), "uploaded /in/a 6 true", "Closed"),
        ("a hole", begin().write(1, 10, b"abc").close(1), "uploaded /in/a 3 false", "Closed"),
        ("no CLOSE", begin().write(1, 0, b"abc"), "uploaded /in/a 3 false", "Dropped"),
        ("empty", begin().close(1), "uploaded /in/a 0 true", "Closed"),
        ("refused at the end", begin().write(1, 0, b"abc").write(1, u64::MAX, b"d").close(1), "uploaded /in/a 3 true", "Closed"),
    ];
    for (what, script, upload, ending) in table {
        let home = MemoryHome::new();
        play(&home, script);
        assert_eq!(heard(&home).last().unwrap(), upload, "{what}");
        assert_eq!(home.tree().diary.last().unwrap(), &format!("finish /in/a {ending}"), "{what}");
    }
}

fn begin() -> Script {
    Script::init(3).open("/in/a", WRITE | CREATE | TRUNCATE, &NO_ATTRS)
}

#[test]
fn one_refused_write_refuses_no_other() {
    let home = MemoryHome::new();
    home.tree().quota = Some(10);
    let script = begin().write(1, 0, b"abcde").write(1, 8, b"xyz").write(1, 5, b"fghij").write(1, 9, b"xyz").close(1);
    let lines = play(&home, &script);
    assert_eq!(lines[1..], [OK, "status 4 SFTP_QUOTA_BYTE", OK, "status 4 SFTP_QUOTA_BYTE", OK]);
    assert_eq!(home.content("/in/a").unwrap(), b"abcdefghij");
    assert_eq!(heard(&home), ["refused write SFTP_QUOTA_BYTE /in/a", "refused write SFTP_QUOTA_BYTE /in/a", "uploaded /in/a 10 true"]);
}

#[test]
fn a_close_that_fails_is_refused_and_the_file_is_closed_all_the_same() {
    use messo::intake::sftp::home::Refused;
    let home = MemoryHome::new();
    home.tree().end_refused = Some(Refused::DiskFull);
    let lines = play(&home, &begin().write(1, 0, b"abc").close(1).close(1));
    assert_eq!(lines[1..], [OK, "status 4 SFTP_DISCO_PIENO", "status 4 SFTP_HANDLE"]);
    assert_eq!(heard(&home), ["uploaded /in/a 3 false", "refused close SFTP_DISCO_PIENO /in/a", "refused close SFTP_HANDLE "]);
}

#[test]
fn reads_end_where_the_file_does() {
    let home = MemoryHome::new().with("/esiti/a", b"0123456789");
    let script = Script::init(3)
        .open("/esiti/a", READ, &NO_ATTRS)
        .read(1, 0, 4)
        .read(1, 8, 100)
        .read(1, 10, 100)
        .read(1, 1 << 62, 100)
        .read(1, u64::MAX, 100)
        .read(1, 3, 0)
        .read(1, 4, 4)
        .close(1);
    let mut session = Session::new(&home);
    session.feed(&script.bytes).unwrap();
    let replies = session.replies();
    assert_eq!((replies[2].data(), replies[3].data()), (&b"0123"[..], &b"89"[..]));
    let lines: Vec<_> = replies.iter().map(|reply| reply.line()).collect();
    assert_eq!(lines[4..], ["status 1", "status 1", "status 1", "data 0", "data 4", OK]);
    assert_eq!(heard(&home), ["downloaded /esiti/a 10 true"]);
}

#[test]
fn a_download_cut_short_is_not_whole() {
    let home = MemoryHome::new().with("/esiti/a", b"0123456789");
    play(&home, &Script::init(3).open("/esiti/a", READ, &NO_ATTRS).read(1, 0, 4));
    assert_eq!(heard(&home), ["downloaded /esiti/a 4 false"]);
}

#[test]
fn long_reads_are_clamped() {
    let home = MemoryHome::new().with_virtual("/esiti/a", 1 << 30);
    let mut session = Session::new(&home);
    session.feed(&Script::init(3).open("/esiti/a", READ, &NO_ATTRS).read(1, 7 << 15, u32::MAX).bytes).unwrap();
    let replies = session.replies();
    let data = replies[2].data();
    assert_eq!(data.len(), 255 * 1024);
    assert!(data.iter().all(|byte| *byte == 7));
}

#[test]
fn new_work_is_refused_while_stopping_and_open_files_go_on() {
    use messo::intake::sftp::home::Refused;
    let home = MemoryHome::new().with("/esiti/a", b"x");
    let mut session = Session::new(&home);
    session.feed(&begin().bytes).unwrap();
    session.executor.refuse_new_work(Some(Refused::Stopping));
    assert!(session.executor.has_uploads());
    let mut script = Script { id: 1, ..Script::default() };
    script = script.write(1, 0, b"abc").close(1).open("/esiti/a", READ, &NO_ATTRS).path(kind::REMOVE, "/esiti/a");
    session.feed(&script.bytes).unwrap();
    assert_eq!(session.lines()[2..], [OK, OK, "status 4 SFTP_ARRESTO", "status 4 SFTP_ARRESTO"]);
    assert!(!session.executor.has_uploads());
    assert_eq!(session.executor.ended_uploads(), 1);
    // What was sent under a temporary name gets its own; other names stay.
    let home = MemoryHome::new().with("/in/a.zip.filepart", b"x").with("/in/b.zip", b"x");
    for why in [Refused::Stopping, Refused::AccountExpired] {
        let mut session = Session::new(&home);
        session.feed(&Script::init(3).bytes).unwrap();
        session.executor.refuse_new_work(Some(why));
        let script = Script { id: 0, ..Script::default() };
        let script = script.rename("/in/a.zip.filepart", "/in/a.zip").path(kind::STAT, "/in/a.zip").rename("/in/b.zip", "/in/c.zip");
        session.feed(&script.rename("/in/a.zip", "/in/a.zip.filepart").bytes).unwrap();
        let lines = session.lines();
        assert_eq!(lines[1], OK, "{why}");
        assert!(lines[2].starts_with("attrs") && lines[3..].iter().all(|line| line.ends_with(why.code())), "{why}: {lines:?}");
        assert_eq!(session.executor.ended_uploads(), 1, "{why}");
        let content = home.tree().files.remove("/in/a.zip").unwrap();
        home.tree().files.insert("/in/a.zip.filepart".to_owned(), content);
    }
}
