//! The measured side of the wire: the door on a folder, without the hub, nothing hashed and nothing flushed. What shipped messo does
//! besides is measured with `messo run`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Clock;
use crate::config::{Compat, SftpAccount, SftpLimits};
use crate::intake::arrivals::Arrivals;
use crate::intake::sftp::executor;
use crate::intake::sftp::folder::{FolderHome, Limits, Settings as FolderSettings, Shared};
use crate::intake::sftp::home::Home;
use crate::intake::sftp::server::accounts::{Account, Accounts};
use crate::intake::sftp::server::defender::Ban;
use crate::intake::sftp::server::host_keys;
use crate::intake::sftp::server::ledger::{Event, Ledger, SessionWitness};
use crate::intake::sftp::server::{Door, Homes, Parts, Settings, Words};
use crate::text::it;

/// A door in a process of its own, open until its standard input ends.
#[derive(Debug, Serialize, Deserialize)]
pub struct Job {
    pub root: PathBuf,
    pub address: SocketAddr,
    pub host_keys: PathBuf,
    pub user: String,
    /// A line of `authorized_keys`.
    pub key: String,
}

struct One(Arc<Shared>);

impl Homes for One {
    fn home(&self, _account: &str, witness: Arc<SessionWitness>) -> Option<Arc<dyn Home>> {
        Some(Arc::new(FolderHome::new(self.0.clone(), Some(witness))))
    }
}

struct NoBooks;

impl Ledger for NoBooks {
    fn note(&self, _event: Event) {}
    fn banned(&self, _ban: &Ban) {}
}

/// Listens until nobody holds the other end of its standard input.
pub async fn serve(job: &Job) -> Result<&'static str, String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let limits = SftpLimits::default();
    let folder = FolderSettings {
        root: job.root.clone(),
        limits: Limits {
            quota_bytes: u64::MAX,
            quota_files: u64::MAX,
            largest_file: limits.max_file_bytes,
            disk_reserve: 0,
            may_delete_published: true,
        },
        fsync: false,
        hash: false,
        grace: Duration::from_secs(600),
        takeover: Duration::from_secs(30),
        partials_kept: Duration::from_secs(86_400),
        arrivals: Arc::new(Arrivals::new(Duration::from_millis(300))),
    };
    let shared = Shared::open(folder).map_err(|error| text(&error))?;
    let account = SftpAccount {
        user: job.user.clone(),
        keys: vec![job.key.clone()],
        password: None,
        addresses: Vec::new(),
        quota_bytes: 0,
        quota_files: 0,
        sessions: 1_000,
        expires: None,
        may_delete: true,
    };
    let accounts = Accounts::default();
    accounts.replace(vec![Account::read(&job.user, &account).map_err(|error| text(&error))?]);
    let words = Words {
        no_scp: it::sftp::NO_SCP,
        no_shell: it::sftp::NO_SHELL,
        too_many_sessions: it::sftp::TOO_MANY_SESSIONS,
        stopping: it::sftp::STOPPING,
        expired: it::sftp::EXPIRED,
        idle: it::sftp::IDLE,
        protocol_error: it::sftp::PROTOCOL_ERROR,
        packet_too_long: it::sftp::PACKET_TOO_LONG,
    };
    let executor = executor::Settings::new(it::sftp_refusals::sentence);
    let parts = Parts {
        settings: Settings { limits, max_channels: 4, words, executor, clock: Clock::REAL },
        keys: host_keys::open(&job.host_keys).map_err(|error| text(&error))?,
        accounts,
        homes: Arc::new(One(shared)),
        ledger: Arc::new(NoBooks),
        bans: Vec::new(),
    };
    let door = Door::open(parts, &[(job.address, Compat::Moderno)]).await.map_err(|(_, error)| text(&error))?;
    let end = tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()));
    let _ = end.await;
    door.close().await;
    Ok("fermo")
}
