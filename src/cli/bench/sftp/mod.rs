//! `messo bench sftp`: the same clients against messo and against OpenSSH's `internal-sftp`, in turn, in one run. On the wire (in
//! memory, nothing hashed or flushed) and as shipped (on a disk, everything safe before the answer); then small files, logins, sessions
//! that wait, and how soon a receipt follows.

pub mod door;
mod servers;
mod sessions;
mod transfers;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::Report;
use super::measure::Workshop;
use servers::{Keys, Server, find};
use transfers::{Cargo, write_noise};

/// SFTP accanto a OpenSSH.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Dimensione del file grande, in MiB.
    #[arg(long, default_value_t = 1_024)]
    mib: u64,
    /// Quanti file piccoli.
    #[arg(long, default_value_t = 2_000)]
    files: usize,
    /// Quante volte si misura, alternando: vale la migliore.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Soltanto queste parti, separate da virgole.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
    /// Il Python che ha paramiko.
    #[arg(long, default_value = "python3", value_name = "FILE")]
    python: PathBuf,
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    Wire,
    Shipped,
    Small,
    Logins,
    Idle,
    Paramiko,
    Receipt,
}

/// Memory that looks like a disk.
const MEMORY: &str = "/dev/shm";

/// Runs the bench.
pub fn run(args: &Args, dir: Option<&Path>) -> Result<Report, String> {
    if find("sftp").is_none() || find("timeout").is_none() {
        return Err("manca il client sftp di OpenSSH".to_owned());
    }
    let shop = Workshop::new(dir)?;
    let dir = shop.path();
    let memory = Path::new(MEMORY).is_dir().then(|| Workshop::new(Some(Path::new(MEMORY)))).transpose()?;
    let folder = memory.as_ref().map_or_else(|| dir.join("memoria"), |memory| memory.path().to_owned());
    std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    let wanted = |part: Part| args.only.is_empty() || args.only.contains(&part);
    let cargo = Cargo { folder: folder.clone(), keys: Keys::make(dir)?, mib: args.mib.max(1), runs: args.runs.max(1) };
    let mut text = Vec::new();
    let mut parts = serde_json::Map::new();
    let mut keep = |name: &str, (lines, figures): (Vec<String>, Value)| {
        text.extend(lines);
        parts.insert(name.to_owned(), figures);
    };
    if memory.is_none() {
        keep("note", (vec![format!("{MEMORY} manca: anche le misure in memoria passano dal disco")], json!(format!("no {MEMORY}"))));
    }
    let theirs = Server::openssh(&cargo.keys, dir, &dir.join("openssh"))?;
    if theirs.is_none() {
        keep("rival", (vec!["sshd non è installato (pacchetto openssh-server): messo è misurato da solo".to_owned()], Value::Null));
    }
    let theirs = theirs.as_ref();
    if wanted(Part::Wire) {
        keep("wire", cargo.wire()?);
    }
    let (hub, house) = Server::hub(&cargo.keys, &dir.join("servizio"))?;
    if wanted(Part::Shipped) {
        keep("shipped", cargo.shipped(&hub, theirs)?);
    }
    if wanted(Part::Small) {
        keep("small", cargo.small(&hub, theirs, dir, args.files)?);
    }
    if wanted(Part::Logins) {
        keep("logins", sessions::logins(&hub, theirs)?);
    }
    if wanted(Part::Receipt) {
        keep("receipt", sessions::receipt(&hub, &house, dir, args.runs.max(1))?);
    }
    drop(hub);
    if wanted(Part::Idle) {
        keep("idle", sessions::idle(&cargo.keys, dir, theirs)?);
    }
    if wanted(Part::Paramiko) {
        let big = folder.join("grande.bin");
        write_noise(&big, cargo.mib << 20, 3)?;
        keep("paramiko", sessions::paramiko(&cargo.keys, dir, &args.python, &big, &folder)?);
    }
    let mut figures = json!({"bench": "sftp", "mib": cargo.mib, "rival": theirs.map(|_| "OpenSSH internal-sftp")});
    if let Some(object) = figures.as_object_mut() {
        object.extend(parts);
    }
    Ok(Report { text, figures })
}
