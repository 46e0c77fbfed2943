//! The servers: each a process of its own, on a port of this machine, with the same key to come in and the same keys to be known by.

use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use russh::keys::PrivateKey;
use russh::keys::ssh_key::LineEnding;

use super::door;
use crate::cli::bench::child::Job;
use crate::cli::bench::house::{House, Plan};
use crate::cli::bench::sample;
use crate::cli::sftp_client::{Target, new_key};
use crate::clock::monotonic;
use crate::intake::sftp::server::host_keys;

/// What clients log in with, and what they know servers by.
pub struct Keys {
    key: Arc<PrivateKey>,
    /// A line of `authorized_keys`.
    public: String,
    pub file: PathBuf,
    folder: PathBuf,
    known: Vec<String>,
}

impl Keys {
    pub fn make(dir: &Path) -> Result<Keys, String> {
        let key = new_key().map_err(|error| error.to_string())?;
        let folder = dir.join("chiavi-server");
        host_keys::open(&folder).map_err(|error| error.to_string())?;
        let known = host_keys::list(&folder).map_err(|error| error.to_string())?;
        let public = key.public_key().to_openssh().map_err(|error| error.to_string())?;
        let file = dir.join("chiave");
        let text = key.to_openssh(LineEnding::LF).map_err(|error| error.to_string())?;
        let written = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&file);
        written.and_then(|mut file| file.write_all(text.as_bytes())).map_err(|error| error.to_string())?;
        Ok(Keys { key: Arc::new(key), public, file, folder, known: known.into_iter().map(|key| key.fingerprint).collect() })
    }
}

/// A server, killed when dropped.
pub struct Server {
    child: Child,
    pub target: Target,
    /// Where clients put files, and where they find them.
    pub inbox: String,
    pub outbox: String,
    /// The same on the disk.
    pub inbox_path: PathBuf,
    pub outbox_path: PathBuf,
}

fn free_address() -> Result<SocketAddr, String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|error| error.to_string())?;
    listener.local_addr().map_err(|error| error.to_string())
}

/// Name of the account of messo.
const USER: &str = "banco";

impl Server {
    fn start(name: &str, command: &mut Command, target: Target, prefix: &str, root: &Path) -> Result<Server, String> {
        let child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
        let mut server = Server {
            child: child.map_err(|error| format!("{name}: {error}"))?,
            target,
            inbox: format!("{prefix}in"),
            outbox: format!("{prefix}esiti"),
            inbox_path: root.join("in"),
            outbox_path: root.join("esiti"),
        };
        let begin = monotonic();
        while TcpStream::connect(server.target.address).is_err() {
            let ended = server.child.try_wait().ok().flatten();
            if ended.is_some() || begin.elapsed() > Duration::from_secs(30) {
                let mut said = String::new();
                let _ = server.child.kill();
                let _ = server.child.stderr.take().map(|mut err| std::io::Read::read_to_string(&mut err, &mut said));
                return Err(format!("{name} non parte: {}", said.trim()));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        // Whatever it logs must not stop it.
        if let Some(mut err) = server.child.stderr.take() {
            std::thread::spawn(move || std::io::copy(&mut err, &mut std::io::sink()));
        }
        Ok(server)
    }

    /// messo's door alone: nothing hashed, nothing flushed.
    pub fn door(keys: &Keys, root: &Path) -> Result<Server, String> {
        let address = free_address()?;
        let (root, host_keys) = (root.to_owned(), keys.folder.clone());
        let job = door::Job { root: root.clone(), address, host_keys, user: USER.to_owned(), key: keys.public.clone() };
        let job = serde_json::to_string(&Job::Sftp(job)).map_err(|error| error.to_string())?;
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        Server::start("messo", Command::new(program).args(["bench", "child", "--job", &job]), keys.target(address, USER), "", &root)
    }

    /// messo as it is shipped: `messo run`, with an account.
    pub fn hub(keys: &Keys, dir: &Path) -> Result<(Server, House), String> {
        let house = House::build(dir, &Plan::silent(vec![sample::body(1)], false))?;
        let address = free_address()?;
        house.append(&format!(
            "[gestionale.sftp]\nuser = \"{USER}\"\nkeys = [\"{}\"]\nsessions = 1000\n[sftp]\nmax_unauthenticated = 400\nhost_keys = {:?}\n[[sftp.listen]]\naddress = \"{address}\"\n",
            keys.public, keys.folder
        ))?;
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        let mut command = Command::new(program);
        command.args(["run", "--config"]).arg(dir.join("messo.toml"));
        let server = Server::start("messo", &mut command, keys.target(address, USER), "", &house.root())?;
        Ok((server, house))
    }

    /// OpenSSH's `internal-sftp`. `None`: there is no `sshd` here.
    pub fn openssh(keys: &Keys, dir: &Path, root: &Path) -> Result<Option<Server>, String> {
        let Some(program) = find("sshd") else { return Ok(None) };
        let address = free_address()?;
        let user = user_name()?;
        let authorized = dir.join("authorized_keys");
        let config = dir.join("sshd_config");
        let text = format!(
            "ListenAddress 127.0.0.1\nPort {}\nHostKey {}\nPidFile none\nAuthorizedKeysFile {}\nStrictModes no\nUsePAM no\n\
             PermitRootLogin yes\nPasswordAuthentication no\nLogLevel QUIET\nMaxStartups 1000\nSubsystem sftp internal-sftp\n",
            address.port(),
            keys.folder.join("ssh_host_ed25519_key").display(),
            authorized.display()
        );
        for folder in ["in", "esiti"] {
            fs::create_dir_all(root.join(folder)).map_err(|error| error.to_string())?;
        }
        fs::write(&authorized, format!("{}\n", keys.public)).and_then(|()| fs::write(&config, text)).map_err(|error| error.to_string())?;
        if rustix::process::getuid().is_root() {
            // Its service makes this folder at every start of the machine.
            let _ = fs::create_dir("/run/sshd");
        }
        let mut command = Command::new(program);
        command.args(["-D", "-e", "-f"]).arg(config);
        Server::start("sshd", &mut command, keys.target(address, &user), &format!("{}/", root.display()), root).map(Some)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Processor seconds of it and of all that it began.
    pub fn cpu(&self) -> f64 {
        let ticks: u64 = tree(self.pid()).into_iter().map(ticks).sum();
        ticks as f64 / 100.0
    }

    /// Memory of it and of all that it began, what is shared counted in parts (KiB).
    pub fn memory_kib(&self) -> f64 {
        tree(self.pid()).into_iter().map(|pid| field(&format!("/proc/{pid}/smaps_rollup"), "Pss:")).sum()
    }
}

impl Keys {
    fn target(&self, address: SocketAddr, user: &str) -> Target {
        Target { address, user: user.to_owned(), key: self.key.clone(), known: self.known.clone() }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A process and its descendants.
fn tree(pid: u32) -> Vec<u32> {
    let (mut found, mut open) = (Vec::new(), vec![pid]);
    while let Some(pid) = open.pop() {
        found.push(pid);
        for task in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
            let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            open.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
        }
    }
    found
}

/// Hundredths of a second of a process and of its children that have ended.
fn ticks(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    fields.split_whitespace().skip(11).take(4).filter_map(|field| field.parse::<u64>().ok()).sum()
}

/// A number of KiB in a file of `/proc`.
pub fn field(path: &str, name: &str) -> f64 {
    let text = fs::read_to_string(path).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse().ok()).unwrap_or(0.0)
}

/// A program, on the path or where daemons lie.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin", "/usr/local/sbin", "/sbin"].map(PathBuf::from));
    folders.map(|folder| folder.join(program)).find(|file| file.is_file())
}

fn user_name() -> Result<String, String> {
    let output = Command::new("id").arg("-un").output().map_err(|error| format!("id: {error}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
