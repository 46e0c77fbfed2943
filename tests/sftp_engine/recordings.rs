//! What clients send, request by request, as told by their sources and by reports on their quirks. Handles are those that the
//! server gives in that order, so that a recording is plain bytes: the corpus of the fuzz target is made of them.

use messo::intake::sftp::protocol::kind;

use crate::sftp_check::check;
use crate::sftp_client::{APPEND, CREATE, NO_ATTRS, READ, Script, TRUNCATE, WRITE, mode, string, times};

/// `count` blocks of `size` bytes, each full of its number.
pub fn blocks(count: u64, size: usize) -> Vec<Vec<u8>> {
    (0..count).map(|number| vec![number as u8; size]).collect()
}

fn upload(mut script: Script, nth: u32, from: u64, blocks: &[Vec<u8>]) -> Script {
    let mut offset = from;
    for block in blocks {
        script = script.write(nth, offset, block);
        offset += block.len() as u64;
    }
    script
}

fn browse(script: Script, folder: &str, nth: u32) -> Script {
    script.path(kind::OPENDIR, folder).on(kind::READDIR, nth).on(kind::READDIR, nth).close(nth)
}

/// WinSCP over 100 KB: offers version 6, writes a `.filepart`, deletes the old file, renames, then sets times and rights.
pub fn winscp_overwrites(blocks: &[Vec<u8>]) -> Script {
    let script = browse(Script::init(6).path(kind::REALPATH, "."), "/in", 1)
        .path(kind::LSTAT, "/in/lotto.zip")
        .path(kind::LSTAT, "/in/lotto.zip.filepart")
        .open("/in/lotto.zip.filepart", WRITE | CREATE | TRUNCATE, &mode(0o644));
    upload(script, 2, 0, blocks)
        .close(2)
        .path(kind::REMOVE, "/in/lotto.zip")
        .rename("/in/lotto.zip.filepart", "/in/lotto.zip")
        .request(kind::SETSTAT, &[&string(b"/in/lotto.zip"), &[12u32, 0o644, 1_700_000_000, 1_700_000_000].map(u32::to_be_bytes).concat()])
        .path(kind::LSTAT, "/in/lotto.zip")
}

/// WinSCP that resumes: no TRUNC and no APPEND, from the size it saw.
pub fn winscp_resumes(from: u64, blocks: &[Vec<u8>]) -> Script {
    let script = Script::init(6).path(kind::LSTAT, "/in/lotto.zip.filepart").open("/in/lotto.zip.filepart", WRITE | CREATE, &NO_ATTRS);
    upload(script, 1, from, blocks).close(1).rename("/in/lotto.zip.filepart", "/in/lotto.zip")
}

/// FileZilla: 32 KiB blocks, times by path after CLOSE; a listing as keep-alive.
pub fn filezilla_uploads(blocks: &[Vec<u8>]) -> Script {
    let script = browse(Script::init(3).path(kind::REALPATH, "."), "/in", 1).path(kind::REALPATH, "/in").open(
        "/in/lotto.zip",
        WRITE | CREATE | TRUNCATE,
        &NO_ATTRS,
    );
    let script = upload(script, 2, 0, blocks).close(2).request(kind::SETSTAT, &[&string(b"/in/lotto.zip"), &times(1_700_000_000)]);
    browse(script, "/in", 3)
}

/// FileZilla that resumes: only WRITE, neither CREAT nor TRUNC.
pub fn filezilla_resumes(from: u64, blocks: &[Vec<u8>]) -> Script {
    let script = Script::init(3).path(kind::STAT, "/in/lotto.zip").open("/in/lotto.zip", WRITE, &NO_ATTRS);
    upload(script, 1, from, blocks).close(1)
}

/// OpenSSH `put -p`: limits, times by handle before CLOSE.
pub fn openssh_puts(blocks: &[Vec<u8>]) -> Script {
    let script = Script::init(3).extended("limits@openssh.com", &[]).path(kind::REALPATH, ".").path(kind::STAT, "/in").open(
        "/in/lotto.zip",
        WRITE | CREATE | TRUNCATE,
        &mode(0o644),
    );
    upload(script, 1, 0, blocks).request(kind::FSETSTAT, &[&string(&1u32.to_be_bytes()), &times(1_700_000_000)]).close(1)
}

/// OpenSSH `reput`: APPEND together with offsets.
pub fn openssh_reputs(from: u64, blocks: &[Vec<u8>]) -> Script {
    let script = Script::init(3).path(kind::STAT, "/in/lotto.zip").open("/in/lotto.zip", WRITE | CREATE | APPEND, &NO_ATTRS);
    upload(script, 1, from, blocks).extended("fsync@openssh.com", &[&string(&1u32.to_be_bytes())]).close(1)
}

/// curl `--append` with libssh2, PHP's `ssh2.sftp` opened with `a`, Apache MINA: APPEND, and offsets counted from the end that was.
pub fn libssh2_appends(blocks: &[Vec<u8>]) -> Script {
    let mut script = Script::init(3).open("/in/lotto.zip", WRITE | CREATE | APPEND, &NO_ATTRS);
    let mut at = 0;
    for block in blocks {
        script = script.write(1, at, block);
        at += block.len() as u64;
    }
    script.close(1)
}

/// asyncssh `open(..., "ab")`: APPEND, and every write at 0.
pub fn asyncssh_appends(blocks: &[Vec<u8>]) -> Script {
    let script = Script::init(3).open("/in/lotto.zip", WRITE | CREATE | APPEND, &NO_ATTRS);
    blocks.iter().fold(script, |script, block| script.write(1, 0, block)).close(1)
}

/// paramiko `get`: every READ of the file at once, then CLOSE.
pub fn paramiko_prefetches(reads: u32) -> Script {
    let script = Script::init(3).path(kind::STAT, "/esiti/esito.zip").open("/esiti/esito.zip", READ, &NO_ATTRS);
    let script = (0..reads).fold(script, |script, block| script.read(1, u64::from(block) * 32_768, 32_768));
    script.close(1)
}

/// paramiko `put`: the size is compared right after CLOSE.
pub fn paramiko_puts(blocks: &[Vec<u8>]) -> Script {
    let script = Script::init(3).open("/in/lotto.zip", WRITE | CREATE | TRUNCATE, &NO_ATTRS);
    upload(script, 1, 0, blocks).close(1).path(kind::STAT, "/in/lotto.zip")
}

/// lftp `mput` with temporary names: `.in.*`, then a rename that must overwrite.
pub fn lftp_mputs(blocks: &[Vec<u8>]) -> Script {
    let script = Script::init(3).path(kind::REALPATH, ".").open("/in/.in.lotto.zip.", WRITE | CREATE | TRUNCATE, &NO_ATTRS);
    upload(script, 1, 0, blocks)
        .request(kind::FSETSTAT, &[&string(&1u32.to_be_bytes()), &times(1_700_000_000)])
        .close(1)
        .extended("posix-rename@openssh.com", &[&string(b"/in/.in.lotto.zip."), &string(b"/in/lotto.zip")])
}

/// sshfs: times by handle before any byte, writes in any order, a flush in the middle.
pub fn sshfs_writes(blocks: &[Vec<u8>]) -> Script {
    let size = blocks.first().map_or(0, Vec::len) as u64;
    let script = Script::init(3)
        .path(kind::LSTAT, "/in/lotto.zip")
        .open("/in/lotto.zip", READ | WRITE | CREATE, &mode(0o644))
        .request(kind::FSETSTAT, &[&string(&1u32.to_be_bytes()), &times(1_700_000_000)]);
    let backwards = blocks.iter().enumerate().rev();
    backwards
        .fold(script, |script, (number, block)| script.write(1, number as u64 * size, block))
        .extended("fsync@openssh.com", &[&string(&1u32.to_be_bytes())])
        .close(1)
}

/// A folder full of requests of every kind, with the mistakes that real clients make.
pub fn everything() -> Script {
    let pair = |from: &str, to: &str| [string(from.as_bytes()), string(to.as_bytes())].concat();
    Script::init(3)
        .path(kind::MKDIR, "/in/cds")
        .path(kind::STAT, "")
        .path(kind::RMDIR, "/in/cds")
        .path(kind::READLINK, "/in/x")
        .request(kind::SYMLINK, &[&pair("/in/a", "/in/b")])
        .open("/in/a", READ | WRITE | CREATE, &NO_ATTRS)
        .write(1, 0, b"abcdef")
        .read(1, 2, 100)
        .read(1, 6, 100)
        .on(kind::FSTAT, 1)
        .open("/in/b", READ | WRITE | CREATE, &NO_ATTRS)
        .extended("copy-data", &[&string(&1u32.to_be_bytes()), &[0; 16], &string(&2u32.to_be_bytes()), &[0; 8]])
        .extended("statvfs@openssh.com", &[&string(b"/")])
        .extended("fstatvfs@openssh.com", &[&string(&1u32.to_be_bytes())])
        .extended("expand-path@openssh.com", &[&string(b"~/in")])
        .extended("home-directory", &[&string(b"")])
        .extended("users-groups-by-id@openssh.com", &[&string(&[0; 8]), &string(&[0; 4])])
        .extended("hardlink@openssh.com", &[&pair("/in/a", "/in/c")])
        .extended("lsetstat@openssh.com", &[&string(b"/in/a"), &mode(0o600)])
        .extended("altro@example.invalid", &[b"xyz"])
        .request(99, &[b"??"])
        .close(1)
        .close(2)
}

/// Name and bytes of every recording, small.
pub fn all() -> Vec<(&'static str, Script)> {
    let few = blocks(4, 600);
    vec![
        ("winscp-sovrascrive", winscp_overwrites(&few)),
        ("winscp-riprende", winscp_resumes(1_200, &few[2..])),
        ("filezilla-carica", filezilla_uploads(&few)),
        ("filezilla-riprende", filezilla_resumes(18, &few)),
        ("openssh-put", openssh_puts(&few)),
        ("openssh-reput", openssh_reputs(18, &few)),
        ("paramiko-get", paramiko_prefetches(40)),
        ("paramiko-put", paramiko_puts(&few)),
        ("lftp-mput", lftp_mputs(&few)),
        ("sshfs-scrive", sshfs_writes(&few)),
        ("di-tutto", everything()),
        ("asyncssh-accoda", asyncssh_appends(&few)),
    ]
}

/// The corpus of the fuzz target is these recordings, each behind a byte that says how it is cut (`sftp_check`), and what a fuzzer
/// found since (`fuzz-*`). To write it anew: `MESSO_SCRIVI_SEMI=1 cargo test --test sftp_engine corpus`.
#[test]
fn the_corpus_is_replayed_whatever_the_cuts() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/sftp");
    let recordings = all();
    for (number, (name, script)) in recordings.iter().enumerate() {
        let seed = [&[(number as u8) << 2][..], &script.bytes].concat();
        let path = folder.join(format!("{name}.bin"));
        if std::env::var_os("MESSO_SCRIVI_SEMI").is_some() {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(&path, &seed).unwrap();
        }
        assert_eq!(std::fs::read(&path).unwrap(), seed, "{name}: the seed is not what the recording says");
        for how in [0, 4, 16, 40, 252] {
            check(&[&[how][..], &script.bytes].concat());
        }
    }
    let mut seen = 0;
    for file in std::fs::read_dir(&folder).unwrap() {
        check(&std::fs::read(file.unwrap().path()).unwrap());
        seen += 1;
    }
    assert!(seen >= recordings.len());
}
