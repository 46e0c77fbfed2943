//! The examples: `inbox-examples/<gestionale>/<case>/{in,expected}`, zipped as a gestionale would.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Cursor, Write};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::partners::Story;

/// One example.
#[derive(Debug, Clone)]
pub struct Example {
    /// `messo-csv/excel`
    pub name: String,
    pub input: PathBuf,
    /// The partner tecnologico of its notices, where the example has one: `pt.json`.
    pub payments: Option<Story>,
    pub expected: Expected,
}

/// How it must end: `expected/expected.json`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// Name of the gestionale that drops it.
    pub source: String,
    /// Tax id of the ente.
    pub ente: String,
    /// Folder of `in/` it is dropped in.
    pub flow: String,
    /// State of the receipt.
    pub receipt: String,
    pub acts: u64,
    pub accepted: u64,
    pub refused: u64,
    /// Codes that the receipt must print, and no others.
    pub problems: Vec<String>,
    /// End of each accepted act, by reference.
    #[serde(rename = "final")]
    pub finals: BTreeMap<String, String>,
}

/// The folder of the examples: here or above here.
pub fn find(asked: Option<&Path>) -> Option<PathBuf> {
    if let Some(folder) = asked {
        return folder.is_dir().then(|| folder.to_owned());
    }
    let here = std::env::current_dir().ok()?;
    here.ancestors().map(|folder| folder.join("inbox-examples")).find(|folder| folder.is_dir())
}

/// Every example below `root`, in order of name.
pub fn load(root: &Path) -> io::Result<Vec<Example>> {
    let mut examples = Vec::new();
    for gestionale in folders(root)? {
        for case in folders(&gestionale)? {
            let expected = fs::read(case.join("expected/expected.json"))?;
            let name = case.strip_prefix(root).unwrap_or(&case).to_string_lossy().into_owned();
            let expected = serde_json::from_slice(&expected).map_err(|error| io::Error::other(format!("{name}: {error}")))?;
            let payments = match fs::read(case.join("pt.json")) {
                Ok(story) => Some(serde_json::from_slice(&story).map_err(|error| io::Error::other(format!("{name}: pt.json: {error}")))?),
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                Err(error) => return Err(error),
            };
            examples.push(Example { name, input: case.join("in"), payments, expected });
        }
    }
    Ok(examples)
}

fn folders(parent: &Path) -> io::Result<Vec<PathBuf>> {
    let mut folders: Vec<PathBuf> =
        fs::read_dir(parent)?.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_dir()).collect();
    folders.sort();
    Ok(folders)
}

/// A ZIP of everything under `folder`: the same folder gives the same bytes.
pub fn zip(folder: &Path) -> io::Result<Vec<u8>> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .last_modified_time(zip::DateTime::default())
        .unix_permissions(0o644);
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    add(&mut archive, folder, "", options)?;
    Ok(archive.finish().map_err(io::Error::other)?.into_inner())
}

fn add(archive: &mut ZipWriter<Cursor<Vec<u8>>>, folder: &Path, prefix: &str, options: SimpleFileOptions) -> io::Result<()> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    paths.sort();
    for path in paths {
        let name = format!("{prefix}{}", path.file_name().and_then(|name| name.to_str()).unwrap_or("file"));
        if path.is_dir() {
            add(archive, &path, &format!("{name}/"), options)?;
        } else {
            archive.start_file(&*name, options).map_err(io::Error::other)?;
            archive.write_all(&fs::read(&path)?)?;
        }
    }
    Ok(())
}
