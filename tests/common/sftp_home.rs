//! A home in memory, with a diary of what was asked of it.

#![allow(dead_code, reason = "the fuzz target uses a part of this module")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use messo::intake::sftp::home::{Attributes, Ending, Entry, Home, Listing, OpenFile, OpenFlags, Refused, Space};
use messo::intake::sftp::witness::{Seen, Witness};

/// No offset past it: a hostile test must not fill the memory.
pub const LARGEST: u64 = 16 << 20;

#[derive(Default)]
pub struct Tree {
    pub files: BTreeMap<String, File>,
    pub folders: BTreeSet<String>,
    /// What was asked, one line each.
    pub diary: Vec<String>,
    /// What the witness heard.
    pub heard: Vec<String>,
    /// Bytes of all files together, past which writes are refused.
    pub quota: Option<usize>,
    /// What the end of every file is refused with.
    pub end_refused: Option<Refused>,
    /// READs that touched a file.
    pub reads: usize,
}

#[derive(Default, Clone)]
pub struct File {
    pub content: Vec<u8>,
    /// A file of this size without content in memory: every READ gives bytes that count its 32 KiB block.
    pub virtual_size: Option<u64>,
    pub attributes: Attributes,
}

impl File {
    fn size(&self) -> u64 {
        self.virtual_size.unwrap_or(self.content.len() as u64)
    }
}

#[derive(Clone, Default)]
pub struct MemoryHome(pub Arc<Mutex<Tree>>);

impl MemoryHome {
    /// `/in` and `/esiti`.
    pub fn new() -> MemoryHome {
        let home = MemoryHome::default();
        home.tree().folders = ["/", "/in", "/esiti"].map(str::to_owned).into();
        home
    }

    pub fn tree(&self) -> MutexGuard<'_, Tree> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn with(self, path: &str, content: &[u8]) -> MemoryHome {
        self.tree().files.insert(path.to_owned(), File { content: content.to_vec(), ..File::default() });
        self
    }

    pub fn with_virtual(self, path: &str, size: u64) -> MemoryHome {
        self.tree().files.insert(path.to_owned(), File { virtual_size: Some(size), ..File::default() });
        self
    }

    pub fn content(&self, path: &str) -> Option<Vec<u8>> {
        self.tree().files.get(path).map(|file| file.content.clone())
    }

    fn note(&self, line: String) {
        self.tree().diary.push(line);
    }
}

fn canonical(path: &[u8]) -> Result<String, Refused> {
    let path = std::str::from_utf8(path).map_err(|_| Refused::NameRefused)?;
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop().ok_or(Refused::Outside)?),
            part if part.len() > 255 || part.chars().any(char::is_control) => return Err(Refused::NameRefused),
            part => parts.push(part),
        }
    }
    Ok(format!("/{}", parts.join("/")))
}

fn parent(path: &str) -> &str {
    match path.rfind('/') {
        Some(at) if at > 0 => &path[..at],
        _ => "/",
    }
}

fn apply(file: &mut File, attributes: &Attributes) -> Result<(), Refused> {
    if let Some(size) = attributes.size {
        if size > LARGEST {
            return Err(Refused::TooLarge);
        }
        file.content.resize(size as usize, 0);
    }
    file.attributes.mode = attributes.mode.or(file.attributes.mode);
    file.attributes.times = attributes.times.or(file.attributes.times);
    Ok(())
}

fn told(file: &File) -> Attributes {
    Attributes { size: Some(file.size()), owner: Some((0, 0)), mode: Some(0o100_640), times: file.attributes.times.or(Some((0, 0))) }
}

fn folder() -> Attributes {
    Attributes { size: Some(0), owner: Some((0, 0)), mode: Some(0o040_750), times: Some((0, 0)) }
}

impl Home for MemoryHome {
    fn real_path(&self, path: &[u8]) -> Result<String, Refused> {
        canonical(path)
    }

    fn stat(&self, path: &[u8]) -> Result<Attributes, Refused> {
        let path = canonical(path)?;
        let tree = self.tree();
        match tree.files.get(&path) {
            Some(file) => Ok(told(file)),
            None if tree.folders.contains(&path) => Ok(folder()),
            None => Err(Refused::NotFound),
        }
    }

    fn set_attributes(&self, path: &[u8], attributes: &Attributes) -> Result<(), Refused> {
        let path = canonical(path)?;
        let mut tree = self.tree();
        let folder = tree.folders.contains(&path);
        match tree.files.get_mut(&path) {
            Some(file) => apply(file, attributes),
            None if folder => Ok(()),
            None => Err(Refused::NotFound),
        }
    }

    fn open(&self, path: &[u8], flags: OpenFlags, attributes: &Attributes) -> Result<Box<dyn OpenFile>, Refused> {
        let path = canonical(path)?;
        let mut tree = self.tree();
        if tree.folders.contains(&path) {
            return Err(Refused::IsAFolder);
        }
        match (tree.files.contains_key(&path), flags.create) {
            (false, false) => return Err(Refused::NotFound),
            (false, true) if !tree.folders.contains(parent(&path)) => return Err(Refused::NotFound),
            (true, true) if flags.exclusive => return Err(Refused::AlreadyExists),
            _ => {}
        }
        let file = tree.files.entry(path.clone()).or_default();
        if flags.truncate && flags.write {
            file.content.clear();
        }
        apply(file, &Attributes { size: None, ..attributes.clone() })?;
        tree.diary.push(format!("open {path}"));
        Ok(Box::new(Opened { home: self.clone(), path, finished: false }))
    }

    fn list(&self, path: &[u8]) -> Result<Box<dyn Listing>, Refused> {
        let path = canonical(path)?;
        let tree = self.tree();
        if !tree.folders.contains(&path) {
            return Err(if tree.files.contains_key(&path) { Refused::NotAFolder } else { Refused::NotFound });
        }
        let folders = tree.folders.iter().filter(|name| **name != "/").map(|name| (name, folder()));
        let files = tree.files.iter().map(|(name, file)| (name, told(file)));
        let inside = folders.chain(files).filter(|(name, _)| parent(name) == path);
        let name = |name: &str| name.rsplit('/').next().unwrap_or_default().to_owned();
        let entries: Vec<Entry> = inside.map(|(path, attributes)| Entry { name: name(path), attributes }).collect();
        Ok(Box::new(Listed { entries: entries.into_iter() }))
    }

    fn remove(&self, path: &[u8]) -> Result<(), Refused> {
        let path = canonical(path)?;
        self.note(format!("remove {path}"));
        self.tree().files.remove(&path).map(|_| ()).ok_or(Refused::NotFound)
    }

    fn make_folder(&self, path: &[u8]) -> Result<(), Refused> {
        let path = canonical(path)?;
        if self.tree().folders.insert(path) { Ok(()) } else { Err(Refused::AlreadyExists) }
    }

    fn remove_folder(&self, path: &[u8]) -> Result<(), Refused> {
        let path = canonical(path)?;
        if self.tree().folders.remove(&path) { Ok(()) } else { Err(Refused::NotFound) }
    }

    fn rename(&self, from: &[u8], to: &[u8], replace: bool) -> Result<(), Refused> {
        let (from, to) = (canonical(from)?, canonical(to)?);
        self.note(format!("rename {from} {to}"));
        let mut tree = self.tree();
        if tree.files.contains_key(&to) && !replace {
            return Err(Refused::AlreadyExists);
        }
        let file = tree.files.remove(&from).ok_or(Refused::NotFound)?;
        tree.files.insert(to, file);
        Ok(())
    }

    fn space(&self, _: &[u8]) -> Result<Space, Refused> {
        Ok(Space { total: 1 << 30, free: 1 << 29, files_total: 1_000, files_free: 900 })
    }
}

struct Listed {
    entries: std::vec::IntoIter<Entry>,
}

impl Listing for Listed {
    fn next(&mut self, most: usize) -> Result<Vec<Entry>, Refused> {
        Ok(self.entries.by_ref().take(most).collect())
    }
}

struct Opened {
    home: MemoryHome,
    path: String,
    finished: bool,
}

impl Opened {
    fn file<T>(&self, act: impl FnOnce(&mut File) -> T) -> Result<T, Refused> {
        self.home.tree().files.get_mut(&self.path).map(act).ok_or(Refused::Io)
    }
}

impl OpenFile for Opened {
    fn read_at(&mut self, offset: u64, into: &mut [u8]) -> Result<usize, Refused> {
        self.home.tree().reads += 1;
        self.file(|file| {
            let left = file.size().saturating_sub(offset);
            let length = usize::try_from(left).unwrap_or(usize::MAX).min(into.len());
            match file.virtual_size {
                Some(_) => into[..length].fill((offset >> 15) as u8),
                None if length == 0 => {}
                None => into[..length].copy_from_slice(&file.content[offset as usize..][..length]),
            }
            length
        })
    }

    fn write_at(&mut self, pieces: &[(u64, &[u8])]) -> Result<(), (usize, Refused)> {
        self.home.note(format!("write {} {}", self.path, pieces.len()));
        for (position, (offset, data)) in pieces.iter().enumerate() {
            let end = offset + data.len() as u64;
            if end > LARGEST {
                return Err((position, Refused::TooLarge));
            }
            let quota = self.home.tree().quota.unwrap_or(usize::MAX);
            let others: usize =
                self.home.tree().files.iter().filter(|(path, _)| **path != self.path).map(|(_, file)| file.content.len()).sum();
            if others + end as usize > quota {
                return Err((position, Refused::QuotaBytes));
            }
            self.file(|file| {
                let length = file.content.len().max(end as usize);
                file.content.resize(length, 0);
                file.content[*offset as usize..][..data.len()].copy_from_slice(data);
            })
            .map_err(|why| (position, why))?;
        }
        Ok(())
    }

    fn stat(&self) -> Result<Attributes, Refused> {
        self.file(|file| told(file))
    }

    fn set_attributes(&mut self, attributes: &Attributes) -> Result<(), Refused> {
        self.file(|file| apply(file, attributes))?
    }

    fn sync(&mut self) -> Result<(), Refused> {
        self.home.note(format!("sync {}", self.path));
        Ok(())
    }

    fn finish(mut self: Box<Self>, ending: Ending) -> Result<(), Refused> {
        self.finished = true;
        self.home.note(format!("finish {} {ending:?}", self.path));
        self.home.tree().end_refused.map_or(Ok(()), Err)
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        if !self.finished {
            self.home.note(format!("lost {}", self.path));
        }
    }
}

impl Witness for MemoryHome {
    fn saw(&self, seen: Seen<'_>) {
        let text = |path: &[u8]| String::from_utf8_lossy(path).into_owned();
        let line = match seen {
            Seen::Uploaded { path, bytes, whole } => format!("uploaded {} {bytes} {whole}", text(path)),
            Seen::Downloaded { path, bytes, whole } => format!("downloaded {} {bytes} {whole}", text(path)),
            Seen::Removed { path } => format!("removed {}", text(path)),
            Seen::FolderMade { path } => format!("folder {}", text(path)),
            Seen::Renamed { from, to } => format!("renamed {} {}", text(from), text(to)),
            Seen::Refused { operation, path, why } => format!("refused {operation} {why} {}", path.map_or_else(String::new, text)),
        };
        self.tree().heard.push(line);
    }
}
