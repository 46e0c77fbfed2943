//! The Unix socket of the commands: one JSON request line, one JSON answer line, then the connection ends.
//!
//! Who may connect may order: the socket is 0660, and the kernel tells who is on the other side. A client that hangs, sends
//! garbage or too much takes one of [`CLIENTS`] places for a few seconds and harms nobody. An order goes on although its
//! client went away: half an order would be worse.

use std::fs::DirBuilder;
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::operate::{BooksWanted, OperateError, Operator, PtQuestion, TaxId, reasoned};
use super::report::{PersonStage, TrialReport};
use super::who::Who;
use crate::domain::ids::{ActId, BatchId};
use crate::text::it::operate as words;

/// Version of the language of the socket.
pub const PROTOCOL: u32 = 1;
/// Bytes of a request line.
pub const LONGEST_REQUEST: usize = 64 << 10;
/// Connections served at one time; more wait.
const CLIENTS: usize = 64;
/// For a whole request to arrive, and for an answer to be taken.
const PATIENCE: Duration = Duration::from_secs(5);
/// For orders under way when the hub stops.
const DRAIN: Duration = Duration::from_secs(10);

/// One request line.
#[derive(Debug, Serialize, Deserialize)]
pub struct Envelope {
    /// [`PROTOCOL`].
    pub v: u32,
    /// `SUDO_USER` of the client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sudo_user: Option<String>,
    pub request: Request,
}

/// What may be asked. Texts are those of the command line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    Status,
    Batches {
        limit: usize,
    },
    Batch {
        text: String,
    },
    ReleaseBatch {
        text: String,
        skip_guard: bool,
        reason: String,
    },
    RetryBatch {
        text: String,
        reason: String,
    },
    PauseBatch {
        text: String,
        reason: String,
    },
    ResumeBatch {
        text: String,
        reason: String,
    },
    ReplayBatch {
        text: String,
        reason: String,
    },
    /// `dir`: an absolute path, as the hub sees it.
    Backup {
        dir: String,
        keep: Option<u32>,
        /// Wanted with `keep`, which deletes copies.
        reason: Option<String>,
    },
    Restored,
    ReleaseRestore {
        skip_resync: bool,
        accept_gaps: bool,
        reason: String,
    },
    Act {
        text: String,
    },
    RetryAct {
        text: String,
        reason: String,
    },
    RetryCode {
        code: String,
        reason: String,
    },
    CancelAct {
        text: String,
        reason: String,
    },
    ReleaseAct {
        text: String,
        reason: String,
    },
    ResumeChannel {
        channel: String,
        reason: String,
    },
    Position {
        creditor: String,
        notice: String,
    },
    RetryPosition {
        creditor: String,
        notice: String,
        reason: String,
    },
    /// Days of Rome.
    StopDays {
        creditor: String,
        notice: String,
        from: Option<Date>,
        until: Option<Date>,
        reason: String,
    },
    GoDays {
        creditor: String,
        notice: String,
        last: Option<Date>,
        reason: String,
    },
    PublishRebuild {
        source: Option<String>,
        from: Option<u64>,
        reason: Option<String>,
    },
    /// Both numbers or both nights.
    Export {
        source: Option<String>,
        from: String,
        to: String,
        reason: Option<String>,
    },
    /// Instants: `None` is as far as there is.
    Audit {
        account: Option<String>,
        from: Option<Timestamp>,
        to: Option<Timestamp>,
        limit: usize,
        #[serde(default)]
        who: Option<String>,
        #[serde(default)]
        command: Option<String>,
        /// Only orders, or only the door.
        #[serde(default)]
        orders: Option<bool>,
        #[serde(default)]
        verify: bool,
    },
    /// Name of a file, digest, batch or act.
    Where {
        text: String,
    },
    /// One page of what concerns a person.
    PersonFind {
        tax_id: TaxId,
        from: Option<PersonStage>,
    },
    PersonErase {
        tax_id: TaxId,
        acts: Vec<ActId>,
        batches: Vec<BatchId>,
        reason: String,
    },
    Defender,
    DefenderLift {
        address: String,
        reason: String,
    },
    Sftp,
    /// Instants as above.
    Alerts {
        from: Option<Timestamp>,
        to: Option<Timestamp>,
        limit: usize,
    },
    /// The day of Rome; `None`: yesterday, of every ente.
    Report {
        day: Option<Date>,
        sender: Option<String>,
        send: bool,
        /// Wanted with `send`.
        reason: Option<String>,
    },
    /// Addresses; never empty.
    MailTest {
        to: Vec<String>,
    },
    PtList,
    PtTry(PtQuestion),
}

/// One answer line: a report of `service::report`, or why there is none.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    Report(Box<RawValue>),
    Error(Failure),
}

/// Why there is no report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Stable code.
    pub code: String,
    /// Italian sentence.
    pub message: String,
    /// Exit code of the command.
    pub exit: u8,
    /// What an ambiguous text may have meant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<String>,
}

impl Failure {
    fn wire(code: &str, message: String) -> Answer {
        Answer::Error(Failure { code: code.to_owned(), message, exit: 2, candidates: Vec::new() })
    }
}

impl From<OperateError> for Failure {
    fn from(error: OperateError) -> Self {
        Failure {
            code: error.code().to_owned(),
            message: error.to_string(),
            exit: error.exit_code(),
            candidates: error.candidates().to_vec(),
        }
    }
}

/// Carries a request out, here and now: over the socket, or in a command that opened the store itself. An order is in the books
/// before it begins.
pub async fn carry_out(operator: &Operator, request: Request, who: &Who) -> Answer {
    let order = match operator.begin_order(&request, who).await {
        Ok(order) => order,
        Err(error) => return Answer::Error(error.into()),
    };
    let trial = matches!(request, Request::MailTest { .. } | Request::PtTry(_));
    let answer = perform(operator, request, who).await;
    if let Some(order) = order {
        let outcome = match &answer {
            Answer::Report(report) if trial && !went_well(report) => "PROVA_NON_RIUSCITA",
            Answer::Report(_) => "OK",
            Answer::Error(failure) => &failure.code,
        };
        operator.end_order(order, outcome).await;
    }
    answer
}

/// A trial answers a report however it went.
fn went_well(report: &RawValue) -> bool {
    serde_json::from_str::<TrialReport>(report.get()).is_ok_and(|report| report.good)
}

async fn perform(operator: &Operator, request: Request, who: &Who) -> Answer {
    let outcome = match request {
        Request::Status => report(operator.status().await),
        Request::Batches { limit } => report(operator.batches(limit).await),
        Request::Batch { text } => report(operator.batch(&text).await),
        Request::ReleaseBatch { text, skip_guard, reason } => report(operator.release_batch(&text, skip_guard, who, &reason).await),
        Request::RetryBatch { text, reason } => report(operator.retry_batch(&text, who, &reason).await),
        Request::PauseBatch { text, reason } => report(operator.pause_batch(&text, who, &reason).await),
        Request::ResumeBatch { text, reason } => report(operator.resume_batch(&text, who, &reason).await),
        Request::ReplayBatch { text, reason } => report(operator.replay_batch(&text, who, &reason).await),
        Request::Backup { dir, keep, reason } => match reasoned(reason.as_deref(), keep.is_some()) {
            Ok(()) => report(operator.backup(&dir, keep).await),
            Err(error) => Err(error),
        },
        Request::Restored => report(operator.restore_status().await),
        Request::ReleaseRestore { skip_resync, accept_gaps, reason } => {
            report(operator.release_restore(skip_resync, accept_gaps, who, &reason).await)
        }
        Request::Act { text } => report(operator.act(&text).await),
        Request::RetryAct { text, reason } => report(operator.retry(&text, who, &reason).await),
        Request::RetryCode { code, reason } => report(operator.retry_code(&code, who, &reason).await),
        Request::CancelAct { text, reason } => report(operator.cancel(&text, who, &reason).await),
        Request::ReleaseAct { text, reason } => report(operator.release(&text, who, &reason).await),
        Request::ResumeChannel { channel, reason } => report(operator.resume_channel(&channel, who, &reason).await),
        Request::Position { creditor, notice } => report(operator.position(&creditor, &notice).await),
        Request::RetryPosition { creditor, notice, reason } => report(operator.retry_position(&creditor, &notice, who, &reason).await),
        Request::StopDays { creditor, notice, from, until, reason } => {
            report(operator.stop_days(&creditor, &notice, from, until, who, &reason).await)
        }
        Request::GoDays { creditor, notice, last, reason } => report(operator.go_days(&creditor, &notice, last, who, &reason).await),
        Request::Audit { account, from, to, limit, who, command, orders, verify } => {
            report(operator.audit(BooksWanted { account, who, command, from, to, limit, verify, orders }).await)
        }
        Request::Where { text } => report(operator.whereabouts(&text).await),
        Request::PersonFind { tax_id, from } => report(operator.find_person(&tax_id, from).await),
        Request::PersonErase { tax_id, acts, batches, reason } => report(operator.erase_person(&tax_id, acts, batches, who, &reason).await),
        Request::Defender => report(operator.bans().await),
        Request::DefenderLift { address, reason } => match reasoned(Some(&reason), true) {
            Ok(()) => report(operator.lift_ban(&address, who).await),
            Err(error) => Err(error),
        },
        Request::Sftp => report(operator.sftp()),
        Request::Alerts { from, to, limit } => report(operator.alerts(from, to, limit).await),
        Request::Report { day, sender, send, reason } => match reasoned(reason.as_deref(), send) {
            Ok(()) => report(operator.report(day, sender.as_deref(), send).await),
            Err(error) => Err(error),
        },
        Request::Export { source, from, to, reason } => match reasoned(reason.as_deref(), false) {
            Ok(()) => report(operator.export(source.as_deref(), &from, &to).await),
            Err(error) => Err(error),
        },
        Request::PublishRebuild { source, from, reason } => match reasoned(reason.as_deref(), false) {
            Ok(()) => report(operator.rebuild(source.as_deref(), from).await),
            Err(error) => Err(error),
        },
        Request::MailTest { to } => report(operator.try_mail(&to).await),
        Request::PtList => report(operator.try_pts().await),
        Request::PtTry(question) => report(operator.try_pt(&question).await),
    };
    match outcome {
        Ok(report) => Answer::Report(report),
        Err(error) => Answer::Error(error.into()),
    }
}

fn report<T: Serialize>(outcome: Result<T, OperateError>) -> Result<Box<RawValue>, OperateError> {
    serde_json::value::to_raw_value(&outcome?).map_err(|error| OperateError::Store { detail: error.to_string() })
}

/// Why the socket cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// Another process answers there: two configurations with one `control`.
    #[error("{}: another process answers there", .0.display())]
    Taken(PathBuf),
    /// Something that is not a socket has that name; it is left alone.
    #[error("{}: not a socket", .0.display())]
    NotASocket(PathBuf),
    /// The folder or the system.
    #[error("{}: {}", .0.display(), .1)]
    Io(PathBuf, std::io::Error),
}

/// The listening socket of a hub.
pub struct ControlServer {
    path: PathBuf,
    /// Device and inode of our socket: another's is not removed.
    identity: Option<(u64, u64)>,
    stopping: CancellationToken,
    clients: TaskTracker,
    accepting: tokio::task::JoinHandle<()>,
}

impl ControlServer {
    /// Listens on `path` (0660; its folder is created, what a dead process left there is replaced). Call it inside the runtime.
    pub fn start(path: &Path, operator: Operator) -> Result<ControlServer, ControlError> {
        let io = |error| ControlError::Io(path.to_owned(), error);
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            DirBuilder::new().recursive(true).mode(0o750).create(folder).map_err(io)?;
        }
        match std::fs::symlink_metadata(path) {
            Ok(meta) if !meta.file_type().is_socket() => return Err(ControlError::NotASocket(path.to_owned())),
            Ok(_) if std::os::unix::net::UnixStream::connect(path).is_ok() => return Err(ControlError::Taken(path.to_owned())),
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(io(error)),
            _ => {}
        }
        // Under its own name only with its permissions, in place of a dead one.
        let fresh = path.with_file_name(format!(".m{}", std::process::id()));
        let _ = std::fs::remove_file(&fresh);
        let listener = UnixListener::bind(&fresh).map_err(io)?;
        std::fs::set_permissions(&fresh, std::fs::Permissions::from_mode(0o660)).map_err(io)?;
        std::fs::rename(&fresh, path).map_err(io)?;
        let stopping = CancellationToken::new();
        let clients = TaskTracker::new();
        let accepting = tokio::spawn(accept(listener, operator, stopping.clone(), clients.clone()));
        Ok(ControlServer { identity: identity(path), path: path.to_owned(), stopping, clients, accepting })
    }

    /// Takes no more requests, waits ten seconds at most for those under way, removes the socket.
    pub async fn stop(self) {
        if self.identity.is_some() && identity(&self.path) == self.identity {
            let _ = std::fs::remove_file(&self.path);
        }
        self.stopping.cancel();
        let _ = self.accepting.await;
        self.clients.close();
        if timeout(DRAIN, self.clients.wait()).await.is_err() {
            tracing::warn!(orders = self.clients.len(), "ordini ancora in corso all'arresto");
        }
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    std::fs::symlink_metadata(path).ok().map(|meta| (meta.dev(), meta.ino()))
}

async fn accept(listener: UnixListener, operator: Operator, stopping: CancellationToken, clients: TaskTracker) {
    let places = Arc::new(Semaphore::new(CLIENTS));
    loop {
        let client = async {
            let place = places.clone().acquire_owned().await.ok()?;
            Some((listener.accept().await, place))
        };
        let accepted = tokio::select! {
            () = stopping.cancelled() => return,
            accepted = client => accepted,
        };
        match accepted {
            Some((Ok((stream, _)), place)) => {
                let (operator, stopping) = (operator.clone(), stopping.clone());
                clients.spawn(async move {
                    serve(stream, &operator, &stopping).await;
                    drop(place);
                });
            }
            // No descriptors left: the next may be served.
            Some((Err(error), _)) => {
                tracing::warn!(%error, "socket dei comandi");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            None => return,
        }
    }
}

async fn serve(stream: UnixStream, operator: &Operator, stopping: &CancellationToken) {
    let Ok(peer) = stream.peer_cred() else { return };
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    let read = tokio::select! {
        () = stopping.cancelled() => return,
        read = timeout(PATIENCE, read_request(&mut reader)) => read,
    };
    let answer = match read {
        Ok(Ok(None)) | Ok(Err(Unreadable::Gone)) => return,
        Ok(Ok(Some(envelope))) => {
            let who = Who::of(peer.uid(), envelope.sudo_user.as_deref());
            carry_out(operator, envelope.request, &who).await
        }
        Ok(Err(Unreadable::TooLong)) => Failure::wire("RICHIESTA_TROPPO_LUNGA", words::request_too_long(LONGEST_REQUEST)),
        Ok(Err(Unreadable::Garbage)) => Failure::wire("RICHIESTA_NON_VALIDA", words::not_a_request(LONGEST_REQUEST)),
        Ok(Err(Unreadable::OtherVersion(theirs))) => Failure::wire("VERSIONE_DIVERSA", words::other_version(theirs, PROTOCOL)),
        Err(_) => Failure::wire("RICHIESTA_IN_RITARDO", words::REQUEST_LATE.to_owned()),
    };
    let Ok(mut line) = serde_json::to_vec(&answer) else { return };
    line.push(b'\n');
    let unread = matches!(&answer, Answer::Error(failure) if failure.exit == 2);
    let told = timeout(PATIENCE, async {
        writer.write_all(&line).await?;
        writer.shutdown().await?;
        if unread {
            // What was sent and not read would take the answer away from its client.
            tokio::io::copy(&mut reader.take(16 * LONGEST_REQUEST as u64), &mut tokio::io::sink()).await?;
        }
        std::io::Result::Ok(())
    });
    let told = tokio::select! {
        told = told => told.is_ok_and(|told| told.is_ok()),
        () = stopping.cancelled(), if unread => false,
    };
    if !told {
        tracing::debug!("un comando è andato via senza leggere la risposta");
    }
}

enum Unreadable {
    Gone,
    TooLong,
    Garbage,
    OtherVersion(u32),
}

/// `None`: the client went away without a word (someone looks whether we are here).
async fn read_request(reader: &mut BufReader<tokio::net::unix::OwnedReadHalf>) -> Result<Option<Envelope>, Unreadable> {
    let mut line = Vec::new();
    let limit = LONGEST_REQUEST as u64 + 1;
    reader.take(limit).read_until(b'\n', &mut line).await.map_err(|_| Unreadable::Gone)?;
    if line.is_empty() {
        return Ok(None);
    }
    if line.len() > LONGEST_REQUEST {
        return Err(Unreadable::TooLong);
    }
    /// Read first: the rest may be of another time.
    #[derive(Deserialize)]
    struct Version {
        v: u32,
    }
    match serde_json::from_slice::<Version>(&line) {
        Ok(Version { v: PROTOCOL }) => serde_json::from_slice(&line).map(Some).map_err(|_| Unreadable::Garbage),
        Ok(Version { v }) => Err(Unreadable::OtherVersion(v)),
        Err(_) => Err(Unreadable::Garbage),
    }
}
