//! The SFTP door in front of disks that stall or are full: the door with OpenSSH's clients on a home in memory, and the home on a real
//! small disk.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a failed step ends the test")]

mod common;
#[path = "common/sftp_client.rs"]
mod sftp_client;
#[path = "common/sftp_home.rs"]
mod sftp_home;

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{Child, SmallDisk, require, timed, wait_for};
use messo::clock::{Clock, monotonic};
use messo::config::{Compat, SftpAccount, SftpLimits};
use messo::intake::arrivals::Arrivals;
use messo::intake::sftp::executor;
use messo::intake::sftp::folder::{FolderHome, Limits, Settings as FolderSettings, Shared};
use messo::intake::sftp::home::{Attributes, Ending, Home, Listing, OpenFile, OpenFlags, Refused, Space};
use messo::intake::sftp::server::accounts::{Account, Accounts};
use messo::intake::sftp::server::defender::Ban;
use messo::intake::sftp::server::ledger::{Event, Ledger, SessionWitness};
use messo::intake::sftp::server::{Door, Homes, Parts, Settings, Words};
use messo::text::it::sftp_refusals::sentence;
use russh::keys::ssh_key::LineEnding;
use russh::keys::{Algorithm, PrivateKey};
use sftp_client::{NO_ATTRS, Script};
use sftp_home::MemoryHome;

const SOON: Duration = Duration::from_secs(60);
const STALL: Duration = Duration::from_secs(5);

/// A disk whose first WRITE to a file called `lento...` takes five seconds, and longer while it is held.
#[derive(Clone, Default)]
struct Disk {
    memory: MemoryHome,
    stalls: Arc<AtomicUsize>,
    held: Arc<AtomicBool>,
}

impl Home for Disk {
    fn real_path(&self, path: &[u8]) -> Result<String, Refused> {
        self.memory.real_path(path)
    }
    fn stat(&self, path: &[u8]) -> Result<Attributes, Refused> {
        self.memory.stat(path)
    }
    fn set_attributes(&self, path: &[u8], attributes: &Attributes) -> Result<(), Refused> {
        self.memory.set_attributes(path, attributes)
    }
    fn open(&self, path: &[u8], flags: OpenFlags, attributes: &Attributes) -> Result<Box<dyn OpenFile>, Refused> {
        let file = self.memory.open(path, flags, attributes)?;
        let slow = flags.write && String::from_utf8_lossy(path).contains("lento");
        Ok(if slow { Box::new(SlowFile { file, disk: self.clone(), stalled: false }) } else { file })
    }
    fn list(&self, path: &[u8]) -> Result<Box<dyn Listing>, Refused> {
        self.memory.list(path)
    }
    fn remove(&self, path: &[u8]) -> Result<(), Refused> {
        self.memory.remove(path)
    }
    fn make_folder(&self, path: &[u8]) -> Result<(), Refused> {
        self.memory.make_folder(path)
    }
    fn remove_folder(&self, path: &[u8]) -> Result<(), Refused> {
        self.memory.remove_folder(path)
    }
    fn rename(&self, from: &[u8], to: &[u8], replace: bool) -> Result<(), Refused> {
        self.memory.rename(from, to, replace)
    }
    fn space(&self, path: &[u8]) -> Result<Space, Refused> {
        self.memory.space(path)
    }
}

struct SlowFile {
    file: Box<dyn OpenFile>,
    disk: Disk,
    stalled: bool,
}

impl OpenFile for SlowFile {
    fn read_at(&mut self, offset: u64, into: &mut [u8]) -> Result<usize, Refused> {
        self.file.read_at(offset, into)
    }
    fn write_at(&mut self, pieces: &[(u64, &[u8])]) -> Result<(), (usize, Refused)> {
        if !std::mem::replace(&mut self.stalled, true) {
            self.disk.stalls.fetch_add(1, Ordering::SeqCst);
            std::thread::sleep(STALL);
            while self.disk.held.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        self.file.write_at(pieces)
    }
    fn stat(&self) -> Result<Attributes, Refused> {
        self.file.stat()
    }
    fn set_attributes(&mut self, attributes: &Attributes) -> Result<(), Refused> {
        self.file.set_attributes(attributes)
    }
    fn sync(&mut self) -> Result<(), Refused> {
        self.file.sync()
    }
    fn finish(self: Box<Self>, ending: Ending) -> Result<(), Refused> {
        self.file.finish(ending)
    }
}

struct One(Disk);

impl Homes for One {
    fn home(&self, _account: &str, _witness: Arc<SessionWitness>) -> Option<Arc<dyn Home>> {
        Some(Arc::new(self.0.clone()))
    }
}

/// Outcomes of what was noted.
#[derive(Clone, Default)]
struct Books(Arc<Mutex<Vec<String>>>);

impl Ledger for Books {
    fn note(&self, event: Event) {
        self.0.lock().unwrap().push(format!("{} {}", event.act.word(), event.outcome));
    }
    fn banned(&self, _ban: &Ban) {}
}

/// A door in this process.
struct Site {
    runtime: tokio::runtime::Runtime,
    door: Option<Door>,
    address: SocketAddr,
    disk: Disk,
    books: Books,
    local: tempfile::TempDir,
}

impl Site {
    fn open(limits: SftpLimits) -> Site {
        let local = tempfile::tempdir().unwrap();
        let key = || PrivateKey::random(&mut russh::keys::key::safe_rng(), Algorithm::Ed25519).unwrap();
        let own = key();
        let path = local.path().join("chiave");
        fs::write(&path, own.to_openssh(LineEnding::LF).unwrap()).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let account = SftpAccount {
            user: "polizia".to_owned(),
            keys: vec![own.public_key().to_openssh().unwrap()],
            password: None,
            addresses: Vec::new(),
            quota_bytes: 0,
            quota_files: 0,
            sessions: 10,
            expires: None,
            may_delete: true,
        };
        let accounts = Accounts::default();
        accounts.replace(vec![Account::read("polizia", &account).unwrap()]);
        let (disk, books) = (Disk { memory: MemoryHome::new(), ..Disk::default() }, Books::default());
        let words = Words {
            no_scp: "-",
            no_shell: "-",
            too_many_sessions: "-",
            stopping: "ci si ferma",
            expired: "-",
            idle: "-",
            protocol_error: "-",
            packet_too_long: "-",
        };
        let parts = Parts {
            settings: Settings { limits, max_channels: 4, words, executor: executor::Settings::new(sentence), clock: Clock::REAL },
            keys: vec![key()],
            accounts,
            homes: Arc::new(One(disk.clone())),
            ledger: Arc::new(books.clone()),
            bans: Vec::new(),
        };
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let listeners = [(SocketAddr::from(([127, 0, 0, 1], 0)), Compat::Moderno)];
        let door = runtime.block_on(Door::open(parts, &listeners)).map_err(|(_, error)| error).unwrap();
        let address = door.addresses()[0];
        Site { runtime, door: Some(door), address, disk, books, local }
    }

    /// `sftp -b`, in the folder of this site.
    fn sftp(&self, options: &[&str], script: &str) -> Child {
        let path = self.local.path().join(format!("comandi-{}", script.len()));
        fs::write(&path, script).unwrap();
        let mut command = Command::new("timeout");
        command.args(["120", "sftp", "-oBatchMode=yes", "-oStrictHostKeyChecking=no", "-oUserKnownHostsFile=/dev/null"]);
        command.args(["-oLogLevel=ERROR", "-oIdentitiesOnly=yes", "-oIdentityAgent=none", "-oIdentityFile=chiave"]);
        command.arg(format!("-oPort={}", self.address.port())).args(options).arg("-b").arg(path).arg("polizia@127.0.0.1");
        Child::spawn("sftp", command.current_dir(self.local.path()).stdin(Stdio::null()))
    }

    fn stalled(&self, times: usize) {
        wait_for("the disk stalls", SOON, || (self.disk.stalls.load(Ordering::SeqCst) == times).then_some(()));
    }

    fn content(&self, path: &str) -> Option<Vec<u8>> {
        self.disk.memory.content(path)
    }

    /// As at SIGTERM; how long it took.
    fn close(&mut self) -> Duration {
        let door = self.door.take().unwrap();
        timed(|| self.runtime.block_on(door.close())).1
    }
}

fn bytes(count: usize) -> Vec<u8> {
    (0..count).map(|at| (at / 7) as u8).collect()
}

#[test]
fn a_disk_that_stalls_holds_up_its_own_session_and_nobody_is_thrown_out() {
    if !require("sftp") {
        return;
    }
    // (bytes of the upload, seconds between two keepalives of the server, what the client asks of the server)
    // The large one is more than is queued: the server stops reading it.
    let table: [(usize, u64, &[&str]); 2] =
        [(1 << 20, 1, &["-oServerAliveInterval=1", "-oServerAliveCountMax=3"]), (12 << 20, 3, &["-R", "256"])];
    for (size, keepalive_s, options) in table {
        let mut site = Site::open(SftpLimits { keepalive_s, ..SftpLimits::default() });
        let body = bytes(size);
        fs::write(site.local.path().join("lento.bin"), &body).unwrap();
        fs::write(site.local.path().join("svelto.bin"), &body).unwrap();
        let small = size == 1 << 20;
        site.disk.held.store(small, Ordering::SeqCst);
        let mut slow = site.sftp(options, "put lento.bin in/lento.bin\n");
        site.stalled(1);
        let begun = monotonic();
        let mut quick = site.sftp(&[], "put svelto.bin in/svelto.bin\nls in\nget in/svelto.bin giu.bin\nrm in/svelto.bin\n");
        assert!(quick.wait(SOON).success(), "{size}: {}", quick.output());
        assert!(slow.try_wait().is_none() || !small, "{size}: what was held up came to its end");
        assert_eq!(fs::read(site.local.path().join("giu.bin")).unwrap(), body, "{size}");
        println!("{size}: un'altra sessione ha finito in {:?}", begun.elapsed());
        site.disk.held.store(false, Ordering::SeqCst);
        assert!(slow.wait(SOON).success(), "{size}: CLOSE is answered with OK: {}", slow.output());
        assert!(begun.elapsed() >= STALL - Duration::from_millis(500), "{size}");
        assert_eq!(site.content("/in/lento.bin").as_ref(), Some(&body), "{size}");
        assert!(site.disk.memory.tree().diary.contains(&"finish /in/lento.bin Closed".to_owned()), "{size}");
        wait_for("nobody is left", SOON, || {
            let now = site.door.as_ref().unwrap().handle().counts();
            (now.connections == 0 && now.workers == 0).then_some(())
        });
        assert_eq!(*site.books.0.lock().unwrap(), ["ACCESSO OK", "ACCESSO OK"], "{size}");
        assert!(site.close() < Duration::from_secs(20), "{size}: nobody is there");
    }
}

#[test]
fn a_stop_waits_for_a_disk_that_stalls_within_its_grace_and_not_longer() {
    if !require("sftp") {
        return;
    }
    // (grace, whether the disk hangs for good)
    for (stop_grace_s, hangs) in [(30, false), (2, true)] {
        let mut site = Site::open(SftpLimits { stop_grace_s, ..SftpLimits::default() });
        let body = bytes(3 << 20);
        fs::write(site.local.path().join("lento.bin"), &body).unwrap();
        site.disk.held.store(hangs, Ordering::SeqCst);
        let mut slow = site.sftp(&[], "put lento.bin in/lento.bin\n");
        site.stalled(1);
        let took = site.close();
        println!("grazia di {stop_grace_s} s, disco fermo per sempre: {hangs}: fermo dopo {took:?}");
        let ran = slow.wait(SOON);
        assert_eq!(ran.success(), !hangs, "{stop_grace_s}: {}", slow.output());
        if hangs {
            // To say goodbye twice and to close what was open.
            assert!(took < Duration::from_secs(stop_grace_s + 30), "{took:?}");
            site.disk.held.store(false, Ordering::SeqCst);
            wait_for("the file is let go", SOON, || {
                site.disk.memory.tree().diary.iter().any(|line| line.starts_with("finish")).then_some(())
            });
            assert!(!site.disk.memory.tree().diary.contains(&"finish /in/lento.bin Closed".to_owned()), "nothing is acknowledged");
        } else {
            assert!(took < Duration::from_secs(stop_grace_s), "{took:?}");
            assert_eq!(site.content("/in/lento.bin").as_ref(), Some(&body));
        }
    }
}

/// Takes any host key.
struct Trusting;

impl russh::client::Handler for Trusting {
    type Error = russh::Error;

    async fn check_server_key(&mut self, _: &russh::keys::PublicKeyOrCertificate) -> Result<bool, russh::Error> {
        Ok(true)
    }
}

/// paramiko says CLOSE when a file object is forgotten, waits for no answer, and closes the channel: what it asked for is done, although
/// the disk is still at the WRITE before it when the client goes.
#[test]
fn what_was_asked_for_before_the_client_went_is_done() {
    let mut site = Site::open(SftpLimits::default());
    let body = bytes(100_000);
    // (how it goes, whether it had said CLOSE)
    let table = [("channel", true), ("eof and channel", true), ("socket", true), ("channel", false), ("socket", false)];
    for (number, (how, closes)) in table.into_iter().enumerate() {
        let path = format!("in/lento-{number}.zip");
        let mut script = Script::init(3).open(&format!("/{path}"), 26, &NO_ATTRS);
        for (at, piece) in body.chunks(30_000).enumerate() {
            script = script.write(1, at as u64 * 30_000, piece);
        }
        // Answers that nobody will take hold nothing up.
        script = (0..200).fold(script, |script, _| script.read(1, 0, 32_768));
        if closes {
            script = script.close(1);
        }
        let (local, address, bytes) = (site.local.path().join("chiave"), site.address, script.bytes);
        let disk = site.disk.clone();
        disk.held.store(true, Ordering::SeqCst);
        site.runtime.block_on(async move {
            let key = russh::keys::load_secret_key(&local, None).unwrap();
            let mut client = russh::client::connect(Arc::default(), address, Trusting).await.unwrap();
            let key = russh::keys::PrivateKeyWithHashAlg::new(Arc::new(key), None);
            assert!(client.authenticate_publickey("polizia", key).await.unwrap().success());
            let channel = client.channel_open_session().await.unwrap();
            channel.request_subsystem(true, "sftp").await.unwrap();
            channel.data_bytes(bytes).await.unwrap();
            while disk.stalls.load(Ordering::SeqCst) <= number {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            if how.starts_with("eof") {
                channel.eof().await.unwrap();
            }
            if how != "socket" {
                channel.close().await.unwrap();
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            drop((channel, client));
        });
        std::thread::sleep(Duration::from_millis(500));
        site.disk.held.store(false, Ordering::SeqCst);
        let finished = wait_for("the file is let go", SOON, || {
            let tree = site.disk.memory.tree();
            tree.diary.iter().find(|line| line.starts_with(&format!("finish /{path} "))).cloned()
        });
        assert_eq!(finished.ends_with("Closed"), closes, "{how}, {closes}: {finished}");
        assert_eq!(site.content(&format!("/{path}")).as_ref(), Some(&body), "{how}, {closes}");
        wait_for("nobody is left", SOON, || {
            let now = site.door.as_ref().unwrap().handle().counts();
            (now.connections == 0 && now.channels == 0 && now.workers == 0).then_some(())
        });
    }
    site.close();
}

#[test]
fn a_full_disk_refuses_and_what_was_there_can_go_on_later() {
    let place = tempfile::tempdir().unwrap();
    let Some(_disk) = SmallDisk::mount(place.path(), "1024k", "a_full_disk_refuses_and_what_was_there_can_go_on_later") else { return };
    let shared = Shared::open(FolderSettings {
        root: place.path().to_owned(),
        limits: Limits { quota_bytes: 1 << 40, quota_files: 10_000, largest_file: 1 << 32, disk_reserve: 0, may_delete_published: false },
        fsync: true,
        hash: true,
        grace: Duration::from_secs(600),
        takeover: Duration::from_secs(30),
        partials_kept: Duration::from_secs(7 * 86_400),
        arrivals: Arc::new(Arrivals::new(Duration::from_millis(50))),
    });
    let shared = shared.unwrap();
    let home = FolderHome::new(shared.clone(), None);
    let open = |create: bool| {
        let flags = OpenFlags { write: true, create, truncate: create, ..OpenFlags::default() };
        home.open(b"in/lotto.zip", flags, &Attributes::default()).unwrap()
    };
    let ballast = place.path().join("zavorra");
    fs::write(&ballast, vec![0; 512 << 10]).unwrap();
    let mut file = open(true);
    let piece = vec![b'x'; 100_000];
    let mut written = 0;
    let refused = (0..10u64).find_map(|at| {
        let result = file.write_at(&[(at * 100_000, &piece)]);
        written += u64::from(result.is_ok());
        result.err()
    });
    assert_eq!(refused, Some((0, Refused::DiskFull)));
    drop(file);
    let there = home.stat(b"in/lotto.zip").unwrap().size.unwrap();
    assert!(there >= written * 100_000 && there % 4096 < 100_000, "{there} bytes after {written} pieces");
    assert_eq!(shared.usage().bytes, there, "what did not fit is not counted");
    let staged: &Path = &place.path().join(".messo/arrivo/lotto.zip");
    assert_eq!(fs::read(staged).unwrap(), vec![b'x'; there as usize]);
    fs::remove_file(ballast).unwrap();
    let mut file = open(false);
    file.write_at(&[(there, b"fine")]).unwrap();
    file.finish(Ending::Closed).unwrap();
    assert_eq!(fs::metadata(place.path().join("in/lotto.zip")).unwrap().len(), there + 4);
}
