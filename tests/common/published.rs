//! What a gestionale reads: esiti, receipts, indexes, as a program of somebody else would read them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::office::published;

/// One line of an esito, by column; the columns of [`esito`] are those of the CSV.
pub type Line = BTreeMap<String, String>;

/// The lines of a CSV as published: UTF-8 with BOM, `;`.
pub fn csv_lines(path: &Path) -> Vec<Line> {
    let bytes = fs::read(path).unwrap();
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or_else(|| panic!("{}: no BOM", path.display()));
    let mut reader = csv::ReaderBuilder::new().delimiter(b';').from_reader(bytes);
    let header: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    let read = |row: csv::StringRecord| header.iter().cloned().zip(row.iter().map(str::to_owned)).collect();
    reader.records().map(|row| read(row.unwrap_or_else(|error| panic!("{}: {error}", path.display())))).collect()
}

/// Esiti of a gestionale, first publications only, in order.
pub fn esiti(root: &Path, extension: &str) -> Vec<PathBuf> {
    let wanted = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.starts_with("esito_") && !name.contains("_copia") && name.ends_with(extension)
    };
    published(&root.join("esiti")).into_iter().filter(wanted).collect()
}

/// Every line of every esito of a gestionale, in order.
pub fn lines(root: &Path) -> Vec<Line> {
    esiti(root, ".csv").iter().flat_map(|path| csv_lines(path)).collect()
}

/// Texts of every element with that name, entities resolved.
pub fn texts(xml: &str, name: &str) -> Vec<String> {
    elements(xml).into_iter().filter(|(path, _)| path.last().is_some_and(|last| last == name)).map(|(_, text)| text).collect()
}

/// Every element that holds text: its path and its text.
pub fn elements(xml: &str) -> Vec<(Vec<String>, String)> {
    use quick_xml::events::Event;
    let mut reader = quick_xml::Reader::from_str(xml);
    let (mut path, mut text, mut found) = (Vec::new(), String::new(), Vec::new());
    loop {
        match reader.read_event().unwrap() {
            Event::Start(start) => {
                path.push(start.local_name().as_ref().to_owned());
                text.clear();
            }
            Event::Text(part) => text.push_str(&part),
            Event::GeneralRef(entity) => text.push(match entity.as_ref() {
                "amp" => '&',
                "lt" => '<',
                "gt" => '>',
                "quot" => '"',
                "apos" => '\'',
                _ => entity.resolve_char_ref().unwrap().unwrap(),
            }),
            Event::End(_) => {
                if !text.trim().is_empty() {
                    found.push((path.clone(), std::mem::take(&mut text)));
                }
                path.pop();
            }
            Event::Eof => return found,
            _ => {}
        }
    }
}

/// The children of every element with that name; several texts of one child, or of several of one name, are joined by `|`.
pub fn records(xml: &str, name: &str) -> Vec<Line> {
    let mut records: Vec<Line> = Vec::new();
    for record in xml.split(&format!("<{name}>")).skip(1) {
        let record = record.split(&format!("</{name}>")).next().unwrap();
        let mut line = Line::new();
        for (path, text) in elements(&format!("<r>{record}</r>")) {
            let cell = line.entry(path[1].clone()).or_default();
            if !cell.is_empty() {
                cell.push('|');
            }
            cell.push_str(&text);
        }
        records.push(line);
    }
    records
}

/// Fails unless `xmllint` finds every file valid by a schema of ours. True when it was asked.
pub fn validate(schema: &str, files: &[PathBuf]) -> bool {
    if !super::programs::require("xmllint") {
        return false;
    }
    assert!(!files.is_empty(), "{schema}: nothing to validate");
    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas").join(schema);
    let output = Command::new("xmllint").args(["--noout", "--nonet", "--schema"]).arg(schema).args(files).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    true
}

/// Every file below a folder, names beginning with a point left out; sorted.
pub fn tree(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.file_name().unwrap().to_str().unwrap().starts_with('.') {
                continue;
            }
            if path.is_dir() { open.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    found
}
