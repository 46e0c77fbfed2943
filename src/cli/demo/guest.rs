//! The gestionali of the demo as clients of SFTP: each logs in once, drops its batches, and at the end reads back what was published.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use russh::keys::PrivateKey;
use russh::keys::ssh_key::LineEnding;

use crate::cli::sftp_client::{Client, ClientError, Target, new_key};
use crate::intake::sftp::server::host_keys;

/// The key of all gestionali of the demo.
pub const KEY_FILE: &str = "chiavi/sftp";

/// Makes the key, for who wants to try it too.
pub fn make_key(dir: &Path) -> Result<PrivateKey, String> {
    let key = new_key().map_err(|error| error.to_string())?;
    let text = key.to_openssh(LineEnding::LF).map_err(|error| error.to_string())?;
    let path = dir.join(KEY_FILE);
    let write = || -> std::io::Result<()> {
        fs::create_dir_all(path.parent().unwrap_or(dir))?;
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        std::io::Write::write_all(&mut file, text.as_bytes())
    };
    write().map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(key)
}

/// Those that are logged in.
pub struct Guests {
    target: Target,
    inside: BTreeMap<String, Client>,
}

impl Guests {
    /// `keys`: the folder of the server's keys, by which it is recognised.
    pub fn new(address: SocketAddr, key: PrivateKey, keys: &Path) -> Result<Guests, String> {
        let known = host_keys::list(keys).map_err(|error| error.to_string())?;
        let known = known.into_iter().map(|key| key.fingerprint).collect();
        Ok(Guests { target: Target { address, user: String::new(), key: Arc::new(key), known }, inside: BTreeMap::new() })
    }

    async fn of(&mut self, source: &str) -> Result<&mut Client, ClientError> {
        if !self.inside.contains_key(source) {
            let client = Target { user: source.to_owned(), ..self.target.clone() }.open().await?;
            self.inside.insert(source.to_owned(), client);
        }
        self.inside.get_mut(source).ok_or(ClientError::NotAdmitted)
    }

    /// Drops a batch, under another name first.
    pub async fn put(&mut self, source: &str, flow: &str, name: &str, bytes: &[u8]) -> Result<(), String> {
        let client = self.of(source).await.map_err(|error| error.to_string())?;
        let put = async {
            let folder = format!("in/{flow}");
            client.make_folder(&folder).await?;
            client.put(&format!("{folder}/{name}.filepart"), bytes).await?;
            client.rename(&format!("{folder}/{name}.filepart"), &format!("{folder}/{name}")).await
        };
        put.await.map_err(|error| error.to_string())
    }

    /// Reads a receipt, an esito and an attestation back, of the first gestionale that has all three. Prints what it read; false: it is
    /// not what lies in the folder, or there is none.
    pub async fn read_back(&mut self, dir: &Path) -> Result<bool, String> {
        println!("\nRiletti via SFTP:");
        for source in self.inside.keys().cloned().collect::<Vec<_>>() {
            let read = self.some_of(&source).await.map_err(|error| format!("{source}: {error}"))?;
            if read.len() < 3 {
                continue;
            }
            let mut good = true;
            for (path, bytes) in read {
                let same = fs::read(dir.join(&source).join(&path)).is_ok_and(|there| there == bytes);
                println!("  {source}/{path}, {} byte{}", bytes.len(), if same { "" } else { ": NON È IL FILE PUBBLICATO" });
                good &= same;
            }
            return Ok(good);
        }
        println!("  nessun gestionale ha ricevuta, esito e attestazione");
        Ok(false)
    }

    /// The first file of each kind: of attestations that is one itself, not their index.
    async fn some_of(&mut self, source: &str) -> Result<Vec<(String, Vec<u8>)>, ClientError> {
        let client = self.of(source).await?;
        let mut read = Vec::new();
        for folder in ["ricevute", "esiti", "attestazioni"] {
            let mut path = folder.to_owned();
            // Attestations lie in a folder of their year, in one of their notification.
            while let Some((name, line)) = client.list(&path).await?.pop_first() {
                path = format!("{path}/{name}");
                if !line.starts_with('d') {
                    let bytes = client.get(&path).await?;
                    read.push((path, bytes));
                    break;
                }
            }
        }
        Ok(read)
    }

    /// Says goodbye.
    pub async fn leave(self) {
        for (_, client) in self.inside {
            // Whoever does not hear it is thrown out at the stop.
            let _ = client.leave().await;
        }
    }
}
