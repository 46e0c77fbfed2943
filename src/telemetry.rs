//! Logs: one line per event on standard error, ids and codes only.
//!
//! For a person at a terminal they are words; under systemd, or on request, one JSON object per line. Times are real time
//! in UTC, also when the business clock of a demo runs faster. What never enters a log: names, codici fiscali, addresses,
//! bodies, secrets, and the names of dropped files, which often hold a surname: [`mask_name`] is what may be written of them.
//!
//! Lines are written behind whoever logs ([`Logs`]): of a process that is killed those of the last 50 ms may be missing, but never one
//! of `WARN` or `ERROR`, nor what was logged before it.

mod behind;
pub mod metrics;

use std::io::{IsTerminal, Stderr};
use std::str::FromStr;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use tracing_subscriber::EnvFilter;

use behind::Behind;

/// How long a line of `INFO` or lower waits at most to be written.
const LATE: Duration = Duration::from_millis(50);

/// What is logged when nobody says otherwise.
pub const DEFAULT_FILTER: &str = "info";

/// Environment variable with the filter of one run, in `tracing` syntax: `MESSO_LOG=info,messo::connectors=debug`.
pub const FILTER_VARIABLE: &str = "MESSO_LOG";

/// How a log line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Words, with colours when standard error is a terminal.
    Human,
    /// One JSON object per line, its fields at the top level.
    Json,
}

impl Format {
    /// `asked` if given, otherwise [`Format::Json`] under systemd and [`Format::Human`] elsewhere.
    pub fn choose(asked: Option<Format>) -> Format {
        asked.unwrap_or(if stderr_is_the_journal() { Format::Json } else { Format::Human })
    }
}

/// The words of `--log`.
impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Format, String> {
        match text {
            "testo" | "human" => Ok(Format::Human),
            "json" => Ok(Format::Json),
            _ => Err(format!("`{text}`: si può scegliere `testo` o `json`")),
        }
    }
}

/// Why logs could not be started.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter is not in `tracing` syntax.
    #[error("filtro dei log `{filter}` non valido: {source}")]
    Filter { filter: String, source: tracing_subscriber::filter::ParseError },
    /// Started already in this process.
    #[error("log già avviati")]
    AlreadyStarted,
}

/// The logs of this process. What still waits is written when this is dropped, and from then on every line at once.
#[must_use = "lines that wait are written when it is dropped"]
pub struct Logs(Behind<Stderr>);

impl Logs {
    /// Writes what waits: before something else is written to standard error.
    pub fn flush(&self) {
        self.0.flush();
    }
}

impl Drop for Logs {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Starts the logs of this process, once. Without `filter` the variable [`FILTER_VARIABLE`] decides, then [`DEFAULT_FILTER`].
///
/// From here on a panic is logged by its place alone: its message may quote a row that was being read.
pub fn init(format: Format, filter: Option<&str>) -> Result<Logs, TelemetryError> {
    let filter = parse_filter(filter.map(str::to_owned).or_else(|| std::env::var(FILTER_VARIABLE).ok()))?;
    let logs = Logs(Behind::start(std::io::stderr(), LATE));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(logs.0.clone());
    match format {
        Format::Human => lines.with_ansi(std::io::stderr().is_terminal()).with_target(false).try_init(),
        Format::Json => lines.json().flatten_event(true).with_current_span(true).with_span_list(false).try_init(),
    }
    .map_err(|_| TelemetryError::AlreadyStarted)?;
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map_or_else(|| "?".to_owned(), ToString::to_string);
        tracing::error!(place, thread = std::thread::current().name().unwrap_or("?"), "panic");
    }));
    Ok(logs)
}

fn parse_filter(filter: Option<String>) -> Result<EnvFilter, TelemetryError> {
    let filter = filter.filter(|text| !text.trim().is_empty()).unwrap_or_else(|| DEFAULT_FILTER.to_owned());
    EnvFilter::try_new(&filter).map_err(|source| TelemetryError::Filter { filter, source })
}

/// Whether standard error is the very stream that systemd gave this service, not a file or pipe that a parent put in its
/// place (`JOURNAL_STREAM` is `device:inode`, inherited by children; systemd.exec(5)).
fn stderr_is_the_journal() -> bool {
    let Ok(told) = std::env::var("JOURNAL_STREAM") else { return false };
    rustix::fs::fstat(std::io::stderr()).is_ok_and(|stat| told == format!("{}:{}", stat.st_dev, stat.st_ino))
}

/// Endings that say what a file is and nothing about a person.
const KNOWN_ENDINGS: [&str; 14] =
    ["zip", "xml", "csv", "xlsx", "txt", "json", "pdf", "p7m", "ok", "md5", "sha256", "part", "filepart", "tmp"];

/// What a log may say of a file that others named: first letter, known ending, and six hexadecimal digits of the SHA-256
/// of the name, so that two lines about one file can be matched: `rossi_mario.zip` -> `r***.zip#3f2a91`.
pub fn mask_name(name: &str) -> String {
    let initial = name.chars().next().filter(char::is_ascii_alphanumeric);
    let ending = name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
    let ending = ending.filter(|ending| KNOWN_ENDINGS.contains(&ending.as_str()));
    let mut masked = initial.map(String::from).unwrap_or_default();
    masked.push_str("***");
    if let Some(ending) = ending {
        masked.push('.');
        masked.push_str(&ending);
    }
    masked.push('#');
    for byte in digest(&SHA256, name.as_bytes()).as_ref().iter().take(3) {
        masked.push_str(&format!("{byte:02x}"));
    }
    masked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masked_names_keep_initial_and_known_ending_only() {
        let table = [
            ("rossi_mario.zip", "r***.zip#"),
            ("ROSSI.ZIP", "R***.zip#"),
            ("lotto.rossi", "l***#"), // an ending that may be a surname
            ("èlia.pdf", "***.pdf#"),
            ("senza", "s***#"),
            (".zip", "***.zip#"),
            ("../../etc/passwd", "***#"),
            ("a\nb.csv", "a***.csv#"),
            ("", "***#"),
        ];
        for (name, want) in table {
            let masked = mask_name(name);
            let (head, digits) = masked.split_at(want.len());
            assert_eq!(head, want, "name {name:?}");
            assert!(digits.len() == 6 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()), "name {name:?}: {masked}");
            assert_eq!(masked, mask_name(name), "name {name:?}: the same mask every time");
        }
        assert_ne!(mask_name("rossi_mario.zip"), mask_name("rossi_maria.zip"), "two names are told apart");
    }

    #[test]
    fn format_is_asked_by_name_and_filters_are_checked() {
        for (text, want) in [("json", Some(Format::Json)), ("testo", Some(Format::Human)), ("xml", None)] {
            assert_eq!(text.parse::<Format>().ok(), want, "format {text:?}");
        }
        for (filter, good) in [(None, true), (Some(""), true), (Some("info,messo=debug"), true), (Some("messo=forte"), false)] {
            assert_eq!(parse_filter(filter.map(str::to_owned)).is_ok(), good, "filter {filter:?}");
        }
        assert_eq!(Format::choose(Some(Format::Json)), Format::Json);
    }
}
