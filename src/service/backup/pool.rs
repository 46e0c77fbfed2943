//! The shared part of a backup folder: archives and legal facts of every copy, each once, by the digest of its bytes.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::domain::digest::{Hasher, Sha256};

/// Below the folder of the copies.
pub const FOLDER: &str = "contenuti";
/// What is being written, here and beside the copies: removed when it is found.
pub const UNFINISHED: &str = ".incompleto-";
/// Small files are brought to the disk together, so many at a time.
const TOGETHER: usize = 2_000;
/// Bytes over which a file is brought there by itself.
const LARGE: u64 = 1 << 20;

/// The contents below one folder.
pub struct Pool {
    root: PathBuf,
    copies: u64,
    unflushed: usize,
    /// Put here by this run: taken away again if it fails.
    added: Vec<Sha256>,
    pub added_bytes: u64,
}

impl Pool {
    /// Opens (creates) the pool of a backup folder, and sweeps what an interrupted run left.
    pub fn open(backups: &Path) -> io::Result<Pool> {
        let root = backups.join(FOLDER);
        make(&root)?;
        for entry in fs::read_dir(&root)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(Pool { root, copies: 0, unflushed: 0, added: Vec::new(), added_bytes: 0 })
    }

    /// Where the bytes of that digest are.
    pub fn path(&self, sha256: &Sha256) -> PathBuf {
        content_path(&self.root, sha256)
    }

    /// Files that this run put here.
    pub fn added(&self) -> u64 {
        self.added.len() as u64
    }

    /// Whether the bytes are here, of that size; with `modified` also whether they were copied from a file of that time.
    pub fn has(&self, sha256: &Sha256, size: u64, modified: Option<SystemTime>) -> bool {
        let Ok(meta) = fs::metadata(self.path(sha256)) else { return false };
        meta.len() == size && modified.is_none_or(|modified| meta.modified().is_ok_and(|known| known == modified))
    }

    /// Copies a file in, by the digest of what is read. `NotFound`: there is no such file.
    pub fn take(&mut self, from: &Path) -> io::Result<(Sha256, u64)> {
        let input = File::open(from)?;
        let modified = input.metadata()?.modified()?;
        self.copies += 1;
        let unfinished = self.root.join(format!("{UNFINISHED}{}", self.copies));
        let copied = self.copy(input, &unfinished, modified);
        if copied.is_err() {
            let _ = fs::remove_file(&unfinished);
        }
        copied
    }

    fn copy(&mut self, mut input: File, unfinished: &Path, modified: SystemTime) -> io::Result<(Sha256, u64)> {
        let mut output = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(unfinished)?;
        let (sha256, size) = copy_hashed(&mut input, &mut output)?;
        output.set_modified(modified)?;
        if size >= LARGE {
            output.sync_all()?;
        } else {
            self.unflushed += 1;
        }
        let path = self.path(&sha256);
        if let Some(folder) = path.parent() {
            make(folder)?;
        }
        let new = !path.try_exists()?;
        fs::rename(unfinished, &path)?;
        if new {
            self.added.push(sha256);
            self.added_bytes += size;
        }
        if self.unflushed >= TOGETHER {
            self.flush()?;
        }
        Ok((sha256, size))
    }

    /// Everything put here so far is on the disk when it returns.
    pub fn flush(&mut self) -> io::Result<()> {
        rustix::fs::syncfs(File::open(&self.root)?)?;
        self.unflushed = 0;
        Ok(())
    }

    /// Takes away what this run put here: it failed.
    pub fn undo(&mut self) {
        for sha256 in std::mem::take(&mut self.added) {
            let _ = fs::remove_file(self.path(&sha256));
        }
    }

    /// Takes away everything that is not in `wanted`.
    pub fn prune(&self, wanted: &HashSet<Sha256>) -> io::Result<u64> {
        let mut removed = 0;
        for folder in fs::read_dir(&self.root)? {
            let folder = folder?.path();
            if !folder.is_dir() {
                continue;
            }
            for entry in fs::read_dir(&folder)? {
                let entry = entry?;
                let known = entry.file_name().to_str().and_then(Sha256::parse).is_some_and(|sha256| wanted.contains(&sha256));
                if !known {
                    fs::remove_file(entry.path())?;
                    removed += 1;
                }
            }
        }
        Ok(removed)
    }
}

/// The path of some bytes below the pool.
pub fn content_path(root: &Path, sha256: &Sha256) -> PathBuf {
    let hex = sha256.to_hex();
    root.join(hex.get(..2).unwrap_or_default()).join(hex)
}

/// A folder of ours.
pub fn make(folder: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Copies bytes; answers their digest and how many they were.
pub fn copy_hashed(input: &mut impl Read, output: &mut impl Write) -> io::Result<(Sha256, u64)> {
    let mut buffer = vec![0; 256 << 10];
    let (mut hasher, mut size) = (Hasher::new(), 0);
    loop {
        match input.read(&mut buffer) {
            Ok(0) => return Ok((hasher.finish(), size)),
            Ok(read) => {
                let bytes = buffer.get(..read).unwrap_or_default();
                hasher.update(bytes);
                output.write_all(bytes)?;
                size += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
