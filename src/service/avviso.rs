//! Reads the QR code of a printed notice, in a process of its own that the kernel bounds.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tokio::sync::Semaphore;

use crate::domain::notice_qr::NoticeQr;

/// Readers at a time: they are processes, and the rest of the machine has its own work.
static READERS: Semaphore = Semaphore::const_new(2);
/// Real time for one file, waiting for a turn apart.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes of an answer: a page full of codes.
const LONGEST_ANSWER: u64 = 64 << 10;

/// Why the codes of a file are not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The file is at fault: no PDF, or one that asks for too much time or memory.
    #[error("the file cannot be drawn")]
    Unreadable,
    /// The reader could not be started or heard: worth another try.
    #[error("the reader does not run")]
    Unavailable,
    /// It was not done in time: the file asks for much, or the machine is busy.
    #[error("the reader took too long")]
    Late,
}

/// The codes of pagoPA in a PDF.
pub async fn codes(pdf: &[u8]) -> Result<Vec<NoticeQr>, ReadError> {
    let Ok(_turn) = READERS.acquire().await else { return Err(ReadError::Unavailable) };
    let program = std::env::current_exe().map_err(|_| ReadError::Unavailable)?;
    // Nothing of ours goes along: no secret in the environment, no folder.
    let mut reader = Command::new(program)
        .arg("leggi-avviso")
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|_| ReadError::Unavailable)?;
    let (Some(mut stdin), Some(stdout)) = (reader.stdin.take(), reader.stdout.take()) else { return Err(ReadError::Unavailable) };
    let mut answer = String::new();
    let exchange = async {
        let write = async {
            // A reader that has died does not listen: its exit tells.
            let _ = stdin.write_all(pdf).await;
            drop(stdin);
        };
        let mut stdout = stdout.take(LONGEST_ANSWER);
        let (_, read) = tokio::join!(write, stdout.read_to_string(&mut answer));
        (read, reader.wait().await)
    };
    match tokio::time::timeout(PATIENCE, exchange).await {
        Ok((Ok(_), Ok(status))) if status.success() => {
            let texts = answer.lines().filter_map(|line| serde_json::from_str::<String>(line).ok());
            Ok(texts.filter_map(|text| NoticeQr::parse(&text)).collect())
        }
        Ok((_, Err(_))) => Err(ReadError::Unavailable),
        Ok(_) => Err(ReadError::Unreadable),
        Err(_) => Err(ReadError::Late),
    }
}
