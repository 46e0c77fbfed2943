//! The last resort: update files that a person or a program imports at the PT, and the files that come back.
//!
//! The format is MyPay's import flusso (`reference pt.md` 6.1), which PU takes too: one ZIP with one CSV, action M or A. **One change
//! is one file**: its name comes from the key of the change, so a repetition is the same file with the same bytes, written once;
//! collecting a night in one file would make its name depend on what else happened.
//!
//! In the folder: `uscita/` (files for the PT, whole when they appear), `entrata/` (files of the PT), `entrata/letti/` (those that
//! were told), `.messo/` (which files were ever written; no personal data).

mod outcome;
mod row;

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::digest;

pub use self::outcome::{outcomes, told};
use self::row::{Action, Version};
use super::rest::{protocol, refused, sound};
use super::{PtSettings, PtSetupError};
use crate::config::PaymentRoute;
use crate::connectors::ConnectorError;
use crate::connectors::pt::call::temporary;
use crate::domain::position::{Asked, Capabilities, Change, Changed};

/// Where files for the PT appear.
pub const OUT: &str = "uscita";
/// Where its files come.
pub const IN: &str = "entrata";
/// What was ever written.
const WRITTEN: &str = ".messo";

/// A folder that stands for a PT.
#[derive(Clone)]
pub struct Exchange {
    folder: Arc<PathBuf>,
    version: Version,
}

impl Exchange {
    /// Checks the settings; makes nothing.
    pub fn new(settings: &PtSettings) -> Result<Exchange, PtSetupError> {
        let folder = settings.config.folder.clone().ok_or(PtSetupError::Missing { key: "folder" })?;
        let profile = settings.config.profile.as_deref().unwrap_or("1_3");
        let version = Version::read(profile).ok_or_else(|| PtSetupError::Profile(profile.to_owned()))?;
        Ok(Exchange { folder: Arc::new(folder), version })
    }

    /// Files say nothing of a position, and are answered when somebody imports them.
    #[must_use]
    pub fn capabilities(&self) -> Capabilities {
        Capabilities {
            verify: false,
            tells_amount: false,
            needs_position_id: true,
            changes_by_position_id: true,
            ties_position_id: false,
            update: true,
            moves_date: true,
            tells_date: false,
            answers_later: true,
            fee_apart: false,
            cancel: true,
        }
    }

    /// Where it is.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes the file of a change.
    pub async fn change(&self, route: &PaymentRoute, asked: &Asked, change: &Change) -> Result<Changed, ConnectorError> {
        sound(change)?;
        self.write(route, asked, &change.key, &Action::Modify(change)).await
    }

    /// Writes the file of a cancellation.
    pub async fn cancel(&self, route: &PaymentRoute, asked: &Asked, key: &str) -> Result<Changed, ConnectorError> {
        self.write(route, asked, key, &Action::Cancel).await
    }

    async fn write(&self, route: &PaymentRoute, asked: &Asked, key: &str, action: &Action<'_>) -> Result<Changed, ConnectorError> {
        let ente = route.ente.as_deref().ok_or_else(|| protocol("the route has no `ente` (codice IPA)"))?;
        let ticket = ticket(ente, asked, key, action, self.version).ok_or_else(|| protocol("`ente` cannot be in a file name"))?;
        let csv = row::csv(self.version, route, asked, action).map_err(refused)?;
        let (folder, name) = (self.folder.clone(), ticket.clone());
        let written = tokio::task::spawn_blocking(move || deliver(&folder, &name, &csv)).await;
        match written {
            Ok(Ok(())) => Ok(Changed::TakenInCharge { ticket }),
            // Repeated, it does no harm: same name, same bytes.
            Ok(Err(error)) => Err(temporary(format!("folder of the PT: {}", error.kind()), None)),
            Err(_) => Err(temporary("folder of the PT".to_owned(), None)),
        }
    }
}

/// `<codIPA>-<id>-<version>`, the same for every repetition: no other hyphen is admitted. The id begins with the revision of the key, so
/// that two changes of a notice not yet imported stand in the order in which they were made, by name as by time.
fn ticket(ente: &str, asked: &Asked, key: &str, action: &Action<'_>, version: Version) -> Option<String> {
    let plain = !ente.is_empty() && ente.len() <= 80 && ente.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let text = format!("{}|{}|{}|{key}", asked.creditor, asked.notice, action.word());
    let hash = digest::digest(&digest::SHA256, text.as_bytes());
    let id: String = hash.as_ref().iter().take(12).map(|byte| format!("{byte:02X}")).collect();
    let revision: u64 = key.rsplit_once('/').and_then(|(_, revision)| revision.parse().ok()).unwrap_or(0);
    plain.then(|| format!("{ente}-MESSO{revision:08}{id}-{}", version.word()))
}

/// Puts the file in `uscita/`, whole, unless it was put there before.
fn deliver(folder: &Path, ticket: &str, csv: &[u8]) -> io::Result<()> {
    let (out, written) = (folder.join(OUT), folder.join(WRITTEN));
    for folder in [&out, &written, &folder.join(IN)] {
        fs::create_dir_all(folder)?;
    }
    let mark = written.join(ticket);
    // Who imports takes files away: what is no longer there was put there all the same.
    if mark.try_exists()? {
        return Ok(());
    }
    let name = format!("{ticket}.zip");
    place(&out, &name, &zipped(&format!("{ticket}.csv"), csv)?)?;
    place(&written, ticket, b"")
}

/// A temporary file, flushed, renamed; then the folder itself is flushed.
fn place(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let part = folder.join(format!(".{name}.parte"));
    let mut file = File::create(&part)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    drop(file);
    fs::rename(&part, folder.join(name))?;
    File::open(folder)?.sync_all()
}

/// Always the same bytes for the same content.
fn zipped(name: &str, content: &[u8]) -> io::Result<Vec<u8>> {
    let mut zip = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default()
        .compression_method(zip::CompressionMethod::Deflated)
        .last_modified_time(zip::DateTime::default());
    zip.start_file(name, options).map_err(io::Error::other)?;
    zip.write_all(content)?;
    Ok(zip.finish().map_err(io::Error::other)?.into_inner())
}

#[cfg(test)]
mod tests;
