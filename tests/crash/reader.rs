//! The gestionale: reads every file as soon as it has its name, and takes every second one away.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::house::files_below;

/// What a gestionale may read.
const FOLDERS: [&str; 5] = ["ricevute", "scarti", "esiti", "attestazioni", "rendicontazioni"];

/// What was there to be read. Keys: `polizia/esiti/esito_polizia_000001.csv`.
#[derive(Debug, Default)]
pub struct Seen {
    pub files: BTreeMap<String, Vec<u8>>,
    taken: BTreeSet<String>,
    /// What a gestionale must never see.
    pub faults: Vec<String>,
}

/// The thread that reads.
pub struct Reader {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    seen: Arc<Mutex<Seen>>,
    cases: PathBuf,
}

impl Reader {
    /// Reads below `cases`, one folder per gestionale.
    pub fn start(cases: &Path) -> Reader {
        let (stop, seen) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Seen::default())));
        let (theirs, folder, found) = (stop.clone(), cases.to_owned(), seen.clone());
        let thread = std::thread::spawn(move || {
            while !theirs.load(Ordering::Relaxed) {
                look(&folder, &mut found.lock().unwrap());
                std::thread::sleep(Duration::from_millis(15));
            }
        });
        Reader { stop, thread: Some(thread), seen, cases: cases.to_owned() }
    }

    pub fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap()
    }

    /// The receipts there have been so far, by the name that was dropped, with their state.
    pub fn receipts(&self) -> Vec<(String, String)> {
        let seen = self.seen();
        let xml = seen.files.iter().filter(|(name, _)| name.contains("/ricevute/") && name.ends_with(".xml"));
        xml.map(|(_, bytes)| {
            let text = String::from_utf8_lossy(bytes);
            (tag(&text, "nome").to_owned(), tag(&text, "stato").to_owned())
        })
        .collect()
    }

    /// Reads once more, compares what was left with what it was, and gives everything back.
    pub fn stop(mut self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
        let mut seen = std::mem::take(&mut *self.seen.lock().unwrap());
        look(&self.cases, &mut seen);
        let left: Vec<String> = seen.files.keys().filter(|name| !seen.taken.contains(*name)).cloned().collect();
        for name in left {
            match fs::read(self.cases.join(&name)) {
                Ok(bytes) if bytes == seen.files[&name] => {}
                Ok(_) => seen.faults.push(format!("{name}: changed after it was published")),
                Err(error) => seen.faults.push(format!("{name}: {error}")),
            }
        }
        seen
    }
}

fn look(cases: &Path, seen: &mut Seen) {
    for source in fs::read_dir(cases).into_iter().flatten().flatten() {
        for folder in FOLDERS {
            let home = source.path();
            for file in files_below(&home.join(folder)) {
                let hidden = file.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
                let path = home.join(folder).join(&file);
                let name = path.strip_prefix(cases).unwrap().to_str().unwrap().to_owned();
                if hidden {
                    continue;
                }
                if seen.files.contains_key(&name) {
                    if seen.taken.contains(&name) {
                        seen.faults.push(format!("{name}: came back after it was taken away"));
                    }
                    continue;
                }
                match fs::read(&path) {
                    Ok(bytes) => {
                        seen.files.insert(name.clone(), bytes);
                    }
                    Err(error) => seen.faults.push(format!("{name}: listed, then {error}")),
                }
                if seen.files.len().is_multiple_of(2) && fs::remove_file(&path).is_ok() {
                    seen.taken.insert(name);
                }
            }
        }
    }
}

/// The text of the first element `name`; empty without one.
pub fn tag<'t>(text: &'t str, name: &str) -> &'t str {
    let open = format!("<{name}>");
    let Some(start) = text.find(&open) else { return "" };
    let inside = &text[start + open.len()..];
    &inside[..inside.find("</").unwrap_or(inside.len())]
}
