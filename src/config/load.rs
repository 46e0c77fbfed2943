//! Reads the configuration and its flows: every problem of every file in one go, each with file, line, key and code.
//!
//! Paths in the file are relative to the file. Nothing is created here and no secret is opened.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

use super::check::{self, ConfigFault};
use super::folders;
use super::{Config, Institution, MailConfig, PtConfig, SecretRef, SourceSystem};
use crate::flow::definition::{self, FlowDefinition};
use crate::flow::shape::{Document, Key, Kind, Located, may, need};

/// A configuration without problems.
#[derive(Debug, Clone)]
pub struct LoadedConfig {
    /// With absolute paths.
    pub config: Config,
    /// The twelve shipped flows, with those of the folder in their place or added; sorted by name.
    pub flows: Vec<FlowDefinition>,
    /// The file it was read from.
    pub file: PathBuf,
}

impl LoadedConfig {
    /// The flow with that name.
    pub fn flow(&self, name: &str) -> Option<&FlowDefinition> {
        self.flows.iter().find(|flow| flow.name == name)
    }
}

/// Everything that is wrong, by file and line.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Problems {
    pub list: Vec<Located<ConfigFault>>,
}

impl Problems {
    /// Adds one.
    pub fn add(&mut self, file: &str, line: u32, key: &str, fault: ConfigFault) {
        self.list.push(Located { file: file.to_string(), line, key: key.to_string(), fault });
    }
}

/// Biggest file that is read: a configuration of a thousand enti is a tenth of it.
const MAX_BYTES: u64 = 4 << 20;

pub(super) const KEYS: &[Key] = &[
    need("data", Kind::Text),
    may("flows", Kind::Text),
    need("installation", Kind::Text),
    may("control", Kind::Text),
    may(
        "watch",
        Kind::Table(&[
            may("settle_ms", Kind::Whole(20, 3_600_000)),
            may("scan_ms", Kind::Whole(20, 3_600_000)),
            may("incomplete_after_s", Kind::Whole(1, 2_592_000)),
        ]),
    ),
    may(
        "limits",
        Kind::Table(&[
            may("max_entries", Kind::Whole(1, 2_000_000)),
            may("max_entry_bytes", Kind::Whole(1, 1 << 40)),
            may("max_total_bytes", Kind::Whole(1, 1 << 44)),
            may("max_ratio", Kind::Whole(2, 1_000_000)),
            may("max_acts", Kind::Whole(1, 1_000_000)),
            may("disk_reserve_bytes", Kind::Whole(0, 1 << 44)),
        ]),
    ),
    may("alerts", Kind::Table(super::alerts::ALERTS)),
    may("conservazione", Kind::Table(super::retention::RETENTION)),
    may("sftp", Kind::Table(super::sftp::SFTP)),
    may("mail", Kind::Table(super::mail::MAIL)),
    may("salute", Kind::Table(super::salute::SALUTE)),
    may("pt", Kind::Tables(super::pt::PT)),
    need("ente", Kind::Tables(ENTE)),
    need("gestionale", Kind::Tables(GESTIONALE)),
];
const ENTE: &[Key] = &[
    need("tax_id", Kind::Text),
    need("denomination", Kind::Text),
    need("ambiente", Kind::Word(&["collaudo", "produzione"])),
    need("send_url", Kind::Text),
    may("key", Kind::Tables(API_KEY)),
    may("heavy_mail", Kind::Flag),
    may("address_lookup", Kind::Flag),
    may(
        "quota",
        Kind::Table(&[
            may("per_second", Kind::Whole(0, 100_000)),
            may("burst", Kind::Whole(0, 100_000)),
            may("per_day", Kind::Whole(0, 1_000_000_000)),
            may("spend_cents_per_day", Kind::Whole(0, 100_000_000_000)),
        ]),
    ),
    may("patron", Kind::Text),
    may("avvisi", Kind::Tables(super::mail::RULE)),
    may("pagamenti", Kind::Tables(super::pt::ROUTE)),
    may("conservazione", Kind::Table(super::retention::OF_INSTITUTION)),
];
const API_KEY: &[Key] = &[
    need("id", Kind::Text),
    need("secret", Kind::Text),
    may("groups", Kind::Texts),
    may(
        "pdnd",
        Kind::Table(&[
            need("token_url", Kind::Text),
            need("client_id", Kind::Text),
            need("kid", Kind::Text),
            need("purpose_id", Kind::Text),
            need("audience", Kind::Text),
            need("private_key", Kind::Text),
        ]),
    ),
];
const GESTIONALE: &[Key] = &[
    need("name", Kind::Text),
    need("root", Kind::Text),
    need("enti", Kind::Texts),
    need("flows", Kind::Texts),
    may("default_flow", Kind::Text),
    may("organization_ids", Kind::TextMap),
    may("sftp", Kind::Table(super::sftp::ACCOUNT)),
    may("atteso", Kind::Tables(super::alerts::EXPECTED)),
    may("rendicontazione", Kind::Table(super::export::EXPORT)),
    may("conservazione", Kind::Table(super::retention::OF_SOURCE)),
];

/// Reads and checks everything, folders on disk included.
pub fn load(path: &Path) -> Result<LoadedConfig, Problems> {
    let name = path.display().to_string();
    let mut problems = Problems::default();
    match read_text(path) {
        Ok(text) => {
            let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
            let base = absolute.parent().unwrap_or(Path::new("/"));
            let loaded = load_text(&text, path, base, &mut problems);
            problems.list.sort_by(|a, b| (a.file != name, &a.file, a.line).cmp(&(b.file != name, &b.file, b.line)));
            match loaded {
                Some(loaded) if problems.list.is_empty() => Ok(loaded),
                _ => Err(problems),
            }
        }
        Err(reason) => {
            problems.add(&name, 1, "", ConfigFault::Unreadable { reason });
            Err(problems)
        }
    }
}

fn load_text(text: &str, path: &Path, base: &Path, problems: &mut Problems) -> Option<LoadedConfig> {
    let file = path.display().to_string();
    let mut document = Document::read(text, KEYS);
    let mut parts = check::Parts::default();
    for index in 0..document.count("ente") {
        if let Some(mut institution) = document.part::<Institution>("ente", Some(index)) {
            place_secrets(&mut institution, base);
            parts.institutions.push((index, institution));
        }
        parts.tax_ids.extend(document.text_in("ente", index, "tax_id").map(str::to_string));
    }
    for index in 0..document.count("pt") {
        if let Some(mut pt) = document.part::<PtConfig>("pt", Some(index)) {
            place_pt(&mut pt, base);
            parts.pts.push((index, pt));
        }
        parts.pt_names.extend(document.text_in("pt", index, "name").map(str::to_string));
    }
    for index in 0..document.count("gestionale") {
        if let Some(mut source) = document.part::<SourceSystem>("gestionale", Some(index)) {
            source.root = resolve(base, &source.root);
            if let Some(password) = source.sftp.as_mut().and_then(|account| account.password.as_mut()) {
                place_secret(password, base);
            }
            parts.sources.push((index, source));
        }
    }
    parts.limits = document.part("limits", None);
    parts.retention = document.part("conservazione", None);
    parts.sftp = document.part("sftp", None);
    parts.health = document.part("salute", None);
    parts.has_sftp = parts.sftp.is_some() || !document.is_clean("sftp");
    parts.mail = document.part::<MailConfig>("mail", None).map(|mail| place_mail(mail, base));
    parts.has_mail = parts.mail.is_some() || !document.is_clean("mail");
    let config = document.whole::<Config>().map(|mut config| {
        config.data = resolve(base, &config.data);
        config.flows = config.flows.map(|flows| resolve(base, &flows));
        config.control = config.control.map(|control| resolve(base, &control));
        if let Some(sftp) = &mut config.sftp {
            sftp.host_keys = sftp.host_keys.take().map(|folder| resolve(base, &folder));
        }
        config.mail = parts.mail.clone();
        config.institutions = parts.institutions.iter().map(|(_, institution)| institution.clone()).collect();
        config.pts = parts.pts.iter().map(|(_, pt)| pt.clone()).collect();
        config.sources = parts.sources.iter().map(|(_, source)| source.clone()).collect();
        config
    });
    let text_of = |name: &str| document.text_of(name).map(str::to_string);
    parts.data = text_of("data").map(|data| resolve(base, Path::new(&data)));
    parts.control = text_of("control").map(|control| resolve(base, Path::new(&control)));
    parts.installation = text_of("installation");
    let folder = text_of("flows").map(|flows| resolve(base, Path::new(&flows)));
    let shown = text_of("flows").map(|flows| path.parent().unwrap_or(Path::new("")).join(flows));
    let (flows, names) = read_flows(folder.as_deref().zip(shown.as_deref()), &document, &file, problems);
    parts.flows = names;
    for (line, key, fault) in &document.faults {
        problems.add(&file, *line, key, ConfigFault::Shape(fault.clone()));
    }
    let mut add = |key: &str, fault| {
        // One sentence a key is enough.
        if !document.is_wrong(key) {
            problems.add(&file, document.line_of(key), key, fault);
        }
    };
    parts.check(&mut add, &|key| document.line_of(key));
    Some(LoadedConfig { config: config?, flows, file: path.to_path_buf() })
}

/// The shipped flows, then those of the folder in their place; and all names, of broken ones too (one sentence is enough).
fn read_flows(
    folder: Option<(&Path, &Path)>,
    document: &Document<'_>,
    file: &str,
    problems: &mut Problems,
) -> (Vec<FlowDefinition>, Vec<String>) {
    let mut flows: BTreeMap<String, FlowDefinition> = definition::shipped().into_iter().map(|flow| (flow.name.clone(), flow)).collect();
    let mut names: Vec<String> = flows.keys().cloned().collect();
    let Some((folder, shown)) = folder else {
        return (flows.into_values().collect(), names);
    };
    let mut paths: Vec<PathBuf> = match std::fs::read_dir(folder) {
        Ok(entries) => entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect(),
        Err(error) => {
            problems.add(file, document.line_of("flows"), "flows", folders::fault(folder, &folders::reason(&error)));
            Vec::new()
        }
    };
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml") && !is_hidden(path));
    paths.sort();
    for path in paths {
        let shown = path.file_name().map_or_else(|| path.clone(), |name| shown.join(name)).display().to_string();
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_string();
        match read_text(&path) {
            Err(reason) => problems.add(&shown, 1, "", ConfigFault::Unreadable { reason }),
            Ok(text) => match FlowDefinition::parse(&text, &shown) {
                Ok(flow) => {
                    flows.insert(flow.name.clone(), flow);
                }
                Err(faults) => {
                    for Located { file, line, key, fault } in faults {
                        problems.add(&file, line, &key, ConfigFault::Flow(fault));
                    }
                }
            },
        }
        names.push(stem);
    }
    (flows.into_values().collect(), names)
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

/// A whole small text file, or why not (Italian).
fn read_text(path: &Path) -> Result<String, String> {
    let mut bytes = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes));
    read.map_err(|error| folders::reason(&error))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err("è più grande di 4 MiB".into());
    }
    let text = String::from_utf8(bytes).map_err(|_| "non è un testo UTF-8".to_string())?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_string).unwrap_or(text))
}

/// An absolute path without `.` and `..`.
fn resolve(base: &Path, path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in base.join(path).components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                out.pop();
            }
            part => out.push(part),
        }
    }
    out
}

fn place_secrets(institution: &mut Institution, base: &Path) {
    let place = |secret: &mut SecretRef| place_secret(&mut secret.0, base);
    for key in &mut institution.keys {
        place(&mut key.secret);
        if let Some(pdnd) = &mut key.pdnd {
            place(&mut pdnd.private_key);
        }
    }
}

fn place_pt(pt: &mut PtConfig, base: &Path) {
    let inbound = pt.chiama.as_mut().map(|calls| &mut calls.password);
    let secrets = [pt.password.as_mut(), pt.api_key.as_mut(), pt.client_secret.as_mut(), pt.identity.as_mut(), inbound];
    for secret in secrets.into_iter().flatten() {
        place_secret(&mut secret.0, base);
    }
    for path in [pt.ca.as_mut(), pt.definition.as_mut(), pt.folder.as_mut()].into_iter().flatten() {
        *path = resolve(base, path);
    }
}

fn place_mail(mut mail: MailConfig, base: &Path) -> MailConfig {
    mail.ca = mail.ca.map(|path| resolve(base, &path));
    mail.templates = mail.templates.map(|path| resolve(base, &path));
    if let Some(password) = &mut mail.password {
        place_secret(&mut password.0, base);
    }
    mail
}

fn place_secret(secret: &mut String, base: &Path) {
    if let Some(path) = secret.strip_prefix("file:").filter(|path| !path.is_empty()) {
        *secret = format!("file:{}", resolve(base, Path::new(path)).display());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_relative_to_the_file() {
        for (path, want) in [("dati", "/etc/messo/dati"), ("../x/./y", "/etc/x/y"), ("/srv/a/../b", "/srv/b"), ("../../../..", "/")] {
            assert_eq!(resolve(Path::new("/etc/messo"), Path::new(path)), Path::new(want), "{path}");
        }
    }
}
