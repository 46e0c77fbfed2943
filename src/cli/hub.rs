//! How the operators' commands reach the hub: over its socket, or, when none runs, in the store itself, with its lock.
//!
//! Exit codes: 0 done, 1 refused or not found, 2 wrongly asked, 3 hub or store not reachable.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::clock::{Clock, monotonic};
use crate::config::{self, Config, LoadedConfig};
use crate::service::backup::Backup;
use crate::service::control::{Answer, Envelope, Failure, PROTOCOL, Request, carry_out};
use crate::service::daily::Ente;
use crate::service::operate::{Operator, Place};
use crate::service::rebuild::Rebuilder;
use crate::service::report::TrialReport;
use crate::service::retention::Eraser;
use crate::service::trial;
use crate::service::who::Who;
use crate::service::{Hub, supervisor};
use crate::store::{Store, StoreError};
use crate::text::it::operate as words;

/// Options of every operators' command.
#[derive(Debug, clap::Args)]
pub struct Common {
    /// File di configurazione.
    #[arg(long, value_name = "FILE", default_value = "/etc/messo/messo.toml")]
    pub config: PathBuf,
    /// Scrive un solo oggetto JSON.
    #[arg(long)]
    pub json: bool,
}

/// Why something is done that harms nothing: kept with the user, if it is said.
#[derive(Debug, clap::Args)]
pub struct OptionalReason {
    /// Motivo: resta nel registro degli ordini con l'utente. Nessun codice fiscale.
    #[arg(long, value_name = "MOTIVO", alias = "motivo")]
    pub reason: Option<String>,
}

/// Why an order is given: kept in the history, with the user.
#[derive(Debug, clap::Args)]
pub struct Reason {
    /// Motivo dell'ordine: resta nella storia con l'utente. Nessun codice fiscale.
    #[arg(long, value_name = "MOTIVO", alias = "motivo")]
    pub reason: String,
}

/// For a hub that is starting or stopping, and for another command that has the store.
const PATIENCE: Duration = Duration::from_secs(5);
/// An order about a hundred thousand acts takes its time.
const ANSWER: Duration = Duration::from_secs(600);
/// Bytes of an answer.
const LONGEST_ANSWER: u64 = 256 << 20;

/// Asks, prints the report (its JSON, or what `print` makes of it), gives the exit code.
pub fn run<T: Serialize + DeserializeOwned>(common: &Common, request: Request, print: impl FnOnce(&T) -> String) -> ExitCode {
    tell(common, asked(common, request), print)
}

/// Asks, and gives the report to a command that has more to ask.
pub(super) fn asked<T: DeserializeOwned>(common: &Common, request: Request) -> Result<T, Failure> {
    read(ask(&common.config, request)?)
}

fn read<T: DeserializeOwned>(answer: Answer) -> Result<T, Failure> {
    match answer {
        Answer::Report(report) => {
            serde_json::from_str::<T>(report.get()).map_err(|error| failure("RISPOSTA_NON_VALIDA", error.to_string()))
        }
        Answer::Error(failure) => Err(failure),
    }
}

/// Lets a running hub try something, and prints what it says. `None`: none runs, or it does not let this user in.
pub(super) fn tried(config: &Config, request: Request) -> Option<ExitCode> {
    let socket = config.control_path();
    let stream = UnixStream::connect(&socket).ok()?;
    say(words::TRIED_BY_HUB.to_owned());
    let answer = ask_hub(stream, &socket.display().to_string(), &request).and_then(read::<TrialReport>);
    Some(match answer {
        Ok(report) => told(report),
        Err(failure) => {
            eprintln!("messo: {}", super::table::plain(&failure.message));
            ExitCode::from(failure.exit)
        }
    })
}

/// Prints what a trial said.
pub(super) fn told(report: TrialReport) -> ExitCode {
    report.lines.into_iter().for_each(say);
    went(report.good)
}

/// The exit code of a trial.
pub(super) fn went(good: bool) -> ExitCode {
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A line of a trial. A reader that went away is no error.
pub(super) fn say(line: String) {
    let _ = write!(std::io::stdout(), "{}", super::table::plain_lines(&line));
}

/// Prints a report or why there is none, gives the exit code.
pub(super) fn tell<T: Serialize>(common: &Common, answer: Result<T, Failure>, print: impl FnOnce(&T) -> String) -> ExitCode {
    match answer {
        Ok(report) => {
            put(&if common.json { json(&report) } else { print(&report) });
            ExitCode::SUCCESS
        }
        Err(failure) => {
            if common.json {
                put(&json(&serde_json::json!({ "error": failure })));
            } else {
                let lines = failure.candidates.iter().map(|line| format!("  {line}\n")).collect::<String>();
                let _ =
                    write!(std::io::stderr(), "messo: {}\n{}", super::table::plain(&failure.message), super::table::plain_lines(&lines));
            }
            ExitCode::from(failure.exit)
        }
    }
}

pub(super) fn json(value: &impl Serialize) -> String {
    let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.push('\n');
    text
}

/// A reader that went away (`| head`) is no error.
pub(super) fn put(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

fn failure(code: &str, message: String) -> Failure {
    Failure { code: code.to_owned(), message, exit: 3, candidates: Vec::new() }
}

fn ask(path: &Path, request: Request) -> Result<Answer, Failure> {
    let config = load(path)?;
    let socket = config.control_path();
    let shown = socket.display().to_string();
    let end = monotonic() + PATIENCE;
    loop {
        match UnixStream::connect(&socket) {
            Ok(stream) => return ask_hub(stream, &shown, &request),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                return Err(failure("ACCESSO_NEGATO", words::socket_denied(&shown)));
            }
            Err(_) => {}
        }
        match open_store(&config.data) {
            Ok(store) => return ask_store(store, request, path, &config),
            Err(Closed::InUse) if monotonic() < end => std::thread::sleep(Duration::from_millis(100)),
            Err(Closed::InUse) => return Err(failure("SERVIZIO_NON_RISPONDE", words::hub_silent(&shown))),
            Err(Closed::Absent) => {
                return Err(failure("SERVIZIO_MAI_AVVIATO", words::no_store(&config.data.display().to_string())));
            }
            Err(Closed::Denied) => return Err(failure("ACCESSO_NEGATO", words::store_denied(&config.data.display().to_string()))),
            Err(Closed::HalfRestored) => {
                return Err(failure("RIPRISTINO_NON_FINITO", crate::text::it::backup::HALF_RESTORED.to_owned()));
            }
            Err(Closed::Broken(detail)) => return Err(failure("ARCHIVIO_NON_DISPONIBILE", words::store_failed(&detail))),
        }
    }
}

/// The configuration, with its relative paths as seen from its own folder.
pub(super) fn load(path: &Path) -> Result<Config, Failure> {
    let refused =
        |detail: String| Failure { exit: 2, ..failure("CONFIGURAZIONE", words::config_unreadable(&path.display().to_string(), &detail)) };
    let text = std::fs::read_to_string(path).map_err(|error| refused(error.to_string()))?;
    let mut config: Config = toml::from_str(&text).map_err(|error| refused(error.message().to_owned()))?;
    let folder = path.parent().unwrap_or(Path::new(""));
    config.data = folder.join(&config.data);
    config.control = config.control.map(|control| folder.join(control));
    config.flows = config.flows.map(|flows| folder.join(flows));
    for source in &mut config.sources {
        source.root = folder.join(&source.root);
    }
    if let Some(sftp) = &mut config.sftp {
        sftp.host_keys = sftp.host_keys.take().map(|keys| folder.join(keys));
    }
    Ok(config)
}

fn ask_hub(mut stream: UnixStream, shown: &str, request: &Request) -> Result<Answer, Failure> {
    let broke_off = || failure("SERVIZIO_NON_RISPONDE", words::hub_broke_off(shown));
    let envelope = Envelope { v: PROTOCOL, sudo_user: std::env::var("SUDO_USER").ok(), request: request.clone() };
    let mut line = serde_json::to_vec(&envelope).map_err(|_| broke_off())?;
    line.push(b'\n');
    let mut answer = Vec::new();
    // A copy takes as long as it takes, and a mail server that stalls is waited for at each step.
    let answer_within = if matches!(request, Request::Backup { .. } | Request::MailTest { .. }) { None } else { Some(ANSWER) };
    let asked = stream.set_write_timeout(Some(PATIENCE)).and_then(|()| stream.set_read_timeout(answer_within));
    // A request that is too long is answered before it is read to its end.
    let _ = asked.and_then(|()| stream.write_all(&line)).and_then(|()| stream.shutdown(std::net::Shutdown::Write));
    match (&mut stream).take(LONGEST_ANSWER).read_to_end(&mut answer) {
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            return Err(failure("SERVIZIO_NON_RISPONDE", words::hub_too_slow(shown)));
        }
        _ => {}
    }
    serde_json::from_slice(&answer).map_err(|_| broke_off())
}

enum Closed {
    /// A hub has it and does not listen, or another command, for a moment.
    InUse,
    /// Nothing is there, and looking must not create it: it would belong to the wrong user.
    Absent,
    /// Only root and the user of the service look in there.
    Denied,
    HalfRestored,
    Broken(String),
}

fn open_store(data: &Path) -> Result<Store, Closed> {
    match data.join("messo.db").try_exists() {
        Ok(true) => {}
        Ok(false) => return Err(Closed::Absent),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => return Err(Closed::Denied),
        Err(error) => return Err(Closed::Broken(error.to_string())),
    }
    Store::open(data).map_err(|error| match error {
        StoreError::InUse => Closed::InUse,
        StoreError::HalfRestored => Closed::HalfRestored,
        other => Closed::Broken(other.to_string()),
    })
}

fn ask_store(store: Store, request: Request, config: &Path, read: &Config) -> Result<Answer, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| failure("ARCHIVIO_NON_DISPONIBILE", words::store_failed(&error.to_string())))?;
    let who = Who::this_process(std::env::var("SUDO_USER").ok().as_deref());
    let places = Place::of(read);
    let mut operator = Operator::without_hub(store.clone(), Clock::REAL).with_places(move || places.clone());
    if matches!(request, Request::PublishRebuild { .. } | Request::Export { .. }) {
        operator = operator.with_publisher(Arc::new(Rebuilder(for_files(&store, config)?)));
    }
    if matches!(request, Request::Report { .. } | Request::Position { .. }) {
        let enti = Ente::all(&load(config)?);
        operator = operator.with_enti(move || enti.clone());
    }
    if matches!(request, Request::Backup { .. }) {
        let backup = Backup { store: store.clone(), config: load(config)?, config_file: config.to_owned(), stop: Arc::new(|| false) };
        operator = operator.with_keeper(Arc::new(backup));
    }
    if matches!(request, Request::PtTry(_)) {
        operator = operator.with_trier(Arc::new(trial::Here(whole(config)?.config)));
    }
    if matches!(request, Request::PersonFind { .. } | Request::PersonErase { .. }) {
        operator = operator.with_eraser(Arc::new(Eraser(for_files(&store, config)?)));
    }
    let answer = runtime.block_on(carry_out(&operator, request, &who));
    store.close();
    Ok(answer)
}

/// The files are written here and now: the folders of gestionali and the flows are needed, hence the whole configuration.
fn for_files(store: &Store, config: &Path) -> Result<Arc<Hub>, Failure> {
    supervisor::for_files(whole(config)?, store.clone())
        .map_err(|error| failure("ARCHIVIO_NON_DISPONIBILE", words::store_failed(&error.to_string())))
}

/// The configuration as the hub reads it, checked.
fn whole(config: &Path) -> Result<LoadedConfig, Failure> {
    let refused =
        |detail: &str| Failure { exit: 2, ..failure("CONFIGURAZIONE", words::config_unreadable(&config.display().to_string(), detail)) };
    config::load(config).map_err(|problems| refused(crate::text::it::config::lines(&problems).trim_end()))
}
