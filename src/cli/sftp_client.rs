//! A client of SFTP, as small as it can be: what the demo and the benches need to be gestionali themselves. Files pass through memory.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use russh::client::{self, Handle, Handler, Msg};
use russh::keys::{Algorithm, HashAlg, PrivateKey, PrivateKeyWithHashAlg, PublicKeyOrCertificate};
use russh::{ChannelStream, Disconnect};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::intake::sftp::protocol::kind;

/// Bytes of one WRITE or READ: what every server takes.
const PIECE: usize = 32 << 10;
/// Requests sent before their answers are read.
const AHEAD: usize = 16;
/// Longest answer that is believed.
const LONGEST: u32 = 1 << 20;
/// SSH_FXF_READ; SSH_FXF_WRITE, CREAT and TRUNC.
const READ: u32 = 0x01;
const WRITE_ANEW: u32 = 0x02 | 0x08 | 0x10;
/// SSH_FX_EOF.
const EOF: u32 = 1;

/// Why it did not work.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error(transparent)]
    Ssh(#[from] russh::Error),
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error("il server non accetta la chiave")]
    NotAdmitted,
    /// What the server said, with its code.
    #[error("{1}")]
    Refused(u32, String),
    #[error("il server ha risposto in modo incomprensibile")]
    Garbled,
}

/// The server must have one of these keys (`SHA256:...`).
struct Known(Vec<String>);

impl Handler for Known {
    type Error = russh::Error;

    async fn check_server_key(&mut self, key: &PublicKeyOrCertificate) -> Result<bool, russh::Error> {
        let shown = key.public_key().fingerprint(HashAlg::Sha256).to_string();
        Ok(self.0.contains(&shown))
    }
}

/// A new key to log in with.
///
/// # Errors
/// The system gives no random numbers.
pub fn new_key() -> Result<PrivateKey, russh::keys::ssh_key::Error> {
    PrivateKey::random(&mut russh::keys::key::safe_rng(), Algorithm::Ed25519)
}

/// Where to go, and as whom.
#[derive(Clone)]
pub struct Target {
    pub address: SocketAddr,
    pub user: String,
    pub key: Arc<PrivateKey>,
    /// Fingerprints of the server's keys.
    pub known: Vec<String>,
}

impl Target {
    /// Logs in and no more.
    pub async fn login(&self) -> Result<Login, ClientError> {
        let config = client::Config { nodelay: true, ..client::Config::default() };
        let mut handle = client::connect(Arc::new(config), self.address, Known(self.known.clone())).await?;
        let key = PrivateKeyWithHashAlg::new(self.key.clone(), None);
        if !handle.authenticate_publickey(self.user.clone(), key).await?.success() {
            return Err(ClientError::NotAdmitted);
        }
        Ok(Login(handle))
    }

    /// Logs in and begins SFTP.
    pub async fn open(&self) -> Result<Client, ClientError> {
        let login = self.login().await?;
        let channel = login.0.channel_open_session().await?;
        channel.request_subsystem(true, "sftp").await?;
        let mut client = Client { login, stream: channel.into_stream(), last: 0 };
        client.send(kind::INIT, &[&3u32.to_be_bytes()]).await?;
        let hello = client.hear().await?;
        if hello.first() == Some(&kind::VERSION) { Ok(client) } else { Err(ClientError::Garbled) }
    }
}

/// A connection whose user is known.
pub struct Login(Handle<Known>);

impl Login {
    /// Says goodbye.
    pub async fn leave(self) -> Result<(), ClientError> {
        self.0.disconnect(Disconnect::ByApplication, "", "").await?;
        Ok(())
    }
}

/// One SFTP session.
pub struct Client {
    login: Login,
    stream: ChannelStream<Msg>,
    last: u32,
}

fn text(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    [&length.to_be_bytes(), bytes].concat()
}

/// Takes a text from the front.
fn take_text<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, after) = rest.split_first_chunk::<4>()?;
    let (bytes, after) = after.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    *rest = after;
    Some(bytes)
}

fn take_word(rest: &mut &[u8]) -> Option<u32> {
    let (word, after) = rest.split_first_chunk::<4>()?;
    *rest = after;
    Some(u32::from_be_bytes(*word))
}

/// An answer, without its number.
struct Answer {
    kind: u8,
    id: u32,
    body: Vec<u8>,
}

impl Answer {
    /// The code of a STATUS and its sentence.
    fn status(&self) -> Option<(u32, String)> {
        let mut rest = self.body.as_slice();
        (self.kind == kind::STATUS).then_some(())?;
        let code = take_word(&mut rest)?;
        Some((code, String::from_utf8_lossy(take_text(&mut rest).unwrap_or_default()).into_owned()))
    }

    fn done(&self) -> Result<(), ClientError> {
        match self.status() {
            Some((0, _)) => Ok(()),
            Some((code, said)) => Err(ClientError::Refused(code, said)),
            None => Err(ClientError::Garbled),
        }
    }

    /// Its first text, when it is of that kind.
    fn text(&self, wanted: u8) -> Result<&[u8], ClientError> {
        if self.kind != wanted {
            self.done()?;
        }
        take_text(&mut self.body.as_slice()).ok_or(ClientError::Garbled)
    }
}

impl Client {
    async fn send(&mut self, kind: u8, fields: &[&[u8]]) -> Result<(), ClientError> {
        let body = fields.concat();
        let length = u32::try_from(body.len() + 1).unwrap_or(u32::MAX);
        self.stream.write_all(&[&length.to_be_bytes(), &[kind][..], &body].concat()).await?;
        Ok(())
    }

    async fn hear(&mut self) -> Result<Vec<u8>, ClientError> {
        let length = self.stream.read_u32().await?;
        if length > LONGEST {
            return Err(ClientError::Garbled);
        }
        let mut packet = vec![0; usize::try_from(length).unwrap_or(0)];
        self.stream.read_exact(&mut packet).await?;
        Ok(packet)
    }

    async fn ask(&mut self, kind: u8, fields: &[&[u8]]) -> Result<u32, ClientError> {
        self.last = self.last.wrapping_add(1);
        let id = self.last.to_be_bytes();
        let all: Vec<&[u8]> = std::iter::once(&id[..]).chain(fields.iter().copied()).collect();
        self.send(kind, &all).await?;
        Ok(self.last)
    }

    async fn answer(&mut self) -> Result<Answer, ClientError> {
        let packet = self.hear().await?;
        let mut rest = packet.get(1..).unwrap_or_default();
        let (Some(kind), Some(id)) = (packet.first().copied(), take_word(&mut rest)) else { return Err(ClientError::Garbled) };
        Ok(Answer { kind, id, body: rest.to_vec() })
    }

    async fn call(&mut self, kind: u8, fields: &[&[u8]]) -> Result<Answer, ClientError> {
        let id = self.ask(kind, fields).await?;
        let answer = self.answer().await?;
        if answer.id == id { Ok(answer) } else { Err(ClientError::Garbled) }
    }

    async fn open(&mut self, path: &str, flags: u32) -> Result<Vec<u8>, ClientError> {
        let answer = self.call(kind::OPEN, &[&text(path.as_bytes()), &flags.to_be_bytes(), &[0; 4]]).await?;
        answer.text(kind::HANDLE).map(text)
    }

    /// Puts a file; it is whole, and safe, when this returns.
    pub async fn put(&mut self, path: &str, bytes: &[u8]) -> Result<(), ClientError> {
        let handle = self.open(path, WRITE_ANEW).await?;
        let mut offset = 0u64;
        for some in bytes.chunks(PIECE * AHEAD) {
            let mut asked = 0;
            for piece in some.chunks(PIECE) {
                self.ask(kind::WRITE, &[&handle, &offset.to_be_bytes(), &text(piece)]).await?;
                offset += piece.len() as u64;
                asked += 1;
            }
            for _ in 0..asked {
                self.answer().await?.done()?;
            }
        }
        self.call(kind::CLOSE, &[&handle]).await?.done()
    }

    /// Gets a whole file.
    pub async fn get(&mut self, path: &str) -> Result<Vec<u8>, ClientError> {
        let handle = self.open(path, READ).await?;
        let length = u32::try_from(PIECE).unwrap_or(u32::MAX).to_be_bytes();
        let mut bytes = Vec::new();
        loop {
            let offset = (bytes.len() as u64).to_be_bytes();
            let answer = self.call(kind::READ, &[&handle, &offset, &length]).await?;
            if answer.status().is_some_and(|(code, _)| code == EOF) {
                break;
            }
            bytes.extend_from_slice(answer.text(kind::DATA)?);
        }
        self.call(kind::CLOSE, &[&handle]).await?.done()?;
        Ok(bytes)
    }

    /// Names in a folder, sorted, with the line that `ls -l` would show.
    pub async fn list(&mut self, path: &str) -> Result<BTreeMap<String, String>, ClientError> {
        let answer = self.call(kind::OPENDIR, &[&text(path.as_bytes())]).await?;
        let handle = answer.text(kind::HANDLE).map(text)?;
        let mut names = BTreeMap::new();
        loop {
            let answer = self.call(kind::READDIR, &[&handle]).await?;
            if answer.kind != kind::NAME {
                match answer.status() {
                    Some((EOF, _)) => break,
                    _ => answer.done()?,
                }
                return Err(ClientError::Garbled);
            }
            read_names(&answer.body, &mut names).ok_or(ClientError::Garbled)?;
        }
        self.call(kind::CLOSE, &[&handle]).await?.done()?;
        Ok(names)
    }

    /// Makes a folder, unless it is there.
    pub async fn make_folder(&mut self, path: &str) -> Result<(), ClientError> {
        if self.list(path).await.is_ok() {
            return Ok(());
        }
        self.call(kind::MKDIR, &[&text(path.as_bytes()), &[0; 4]]).await?.done()
    }

    /// Gives a file another name.
    pub async fn rename(&mut self, from: &str, to: &str) -> Result<(), ClientError> {
        self.call(kind::RENAME, &[&text(from.as_bytes()), &text(to.as_bytes())]).await?.done()
    }

    /// Says goodbye.
    pub async fn leave(self) -> Result<(), ClientError> {
        drop(self.stream);
        self.login.leave().await
    }
}

/// Reads the entries of a NAME, `.` and `..` left out.
fn read_names(body: &[u8], names: &mut BTreeMap<String, String>) -> Option<()> {
    let mut rest = body;
    for _ in 0..take_word(&mut rest)? {
        let name = String::from_utf8_lossy(take_text(&mut rest)?).into_owned();
        let line = String::from_utf8_lossy(take_text(&mut rest)?).into_owned();
        let flags = take_word(&mut rest)?;
        // Size, owner, mode, times.
        let bytes = [(1, 8), (2, 8), (4, 4), (8, 8)].into_iter().filter(|(bit, _)| flags & bit != 0).map(|(_, bytes)| bytes).sum();
        rest = rest.get(bytes..)?;
        if name != "." && name != ".." {
            names.insert(name, line);
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_whatever_attributes_come_with_them() {
        let entry = |name: &str, flags: u32, more: usize| {
            [text(name.as_bytes()), text(b"-rw"), flags.to_be_bytes().to_vec(), vec![7; more]].concat()
        };
        let body = [&4u32.to_be_bytes()[..], &entry(".", 0, 0), &entry("a", 15, 28), &entry("b", 4, 4), &entry("..", 9, 16)].concat();
        let mut names = BTreeMap::new();
        assert_eq!(read_names(&body, &mut names), Some(()));
        assert_eq!(names.into_keys().collect::<Vec<_>>(), ["a", "b"]);
        for cut in 0..body.len() {
            assert_eq!(read_names(&body[..cut], &mut BTreeMap::new()), None, "cut at {cut}");
        }
    }
}
