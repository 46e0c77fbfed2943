//! One conversation with the server. lettre speaks SMTP and TLS; it waits for ever once connected, so each step here has a
//! time-out of its own, and what the server may say is bounded.

use std::fmt::Display;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use lettre::Address;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, AsyncTokioStream, Certificate, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt, Rset};
use lettre::transport::smtp::extension::{ClientId, Extension};
use lettre::transport::smtp::response::Response;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{LONGEST_WORDS, MailError, Seen, Server, Step};
use crate::config::MailTls;

/// Bytes that a server may say in one conversation: a long one takes a few kilobytes. With `tls = "tls"` lettre makes the line itself,
/// and only the time-out of each step bounds what a server says whose certificate was accepted.
const MOST_SAID: usize = 1 << 20;
/// Bytes of a file of authorities.
const MOST_CA: u64 = 4 << 20;

/// A conversation that may take mails. It is good for one mail after the other; after an error about the server, for none.
pub struct Session {
    line: AsyncSmtpConnection,
    timeout: Duration,
    message_timeout: Duration,
    from: Address,
    /// A transaction was begun and not ended: the next one begins with RSET.
    begun: bool,
}

impl Session {
    /// Connects, protects the line, logs in. `told` is called when a step begins.
    pub async fn open(server: &Server, mut told: impl FnMut(Step)) -> Result<Session, MailError> {
        let hello = ClientId::Domain(server.hello.clone());
        let limit = server.timeout;
        told(Step::Connect);
        let mut line = match server.tls {
            MailTls::Tls => {
                let tls = protection(server, Step::Connect)?;
                let connect =
                    AsyncSmtpConnection::connect_tokio1((server.host.as_str(), server.port), Some(limit), &hello, Some(tls), None);
                // Connection, certificate and greeting together.
                within(limit.saturating_mul(3), Step::Connect, connect).await?
            }
            MailTls::Starttls | MailTls::Nessuno => {
                let connected = timeout(limit, TcpStream::connect((server.host.as_str(), server.port))).await;
                let stream = connected.map_err(|_| MailError::Server { step: Step::Connect, seen: Seen::Silence })?;
                let stream = stream.map_err(|error| MailError::Server { step: Step::Connect, seen: Seen::Broken(error.to_string()) })?;
                told(Step::Greeting);
                let stream = Box::new(Bounded { stream, left: MOST_SAID });
                within(limit, Step::Greeting, AsyncSmtpConnection::connect_with_transport(stream, &hello)).await?
            }
        };
        if server.tls == MailTls::Starttls {
            told(Step::Protect);
            if !line.server_info().supports_feature(Extension::StartTls) {
                let seen = Seen::Unprotected("STARTTLS is not offered".to_owned());
                return Err(MailError::Sender { step: Step::Protect, seen });
            }
            let tls = protection(server, Step::Protect)?;
            within(limit, Step::Protect, line.starttls(tls, &hello)).await?;
        }
        if let Some((user, password)) = &server.login {
            told(Step::Login);
            let credentials = Credentials::new(user.clone(), password.expose().to_owned());
            let mechanisms = [Mechanism::Plain, Mechanism::Login];
            if line.server_info().get_auth_mechanism(&mechanisms).is_none() {
                let seen = Seen::Unprotected("neither AUTH PLAIN nor LOGIN is offered".to_owned());
                return Err(MailError::Sender { step: Step::Login, seen });
            }
            within(limit, Step::Login, line.auth(&mechanisms, &credentials)).await?;
        }
        Ok(Session { line, timeout: limit, message_timeout: server.message_timeout, from: server.from.email.clone(), begun: false })
    }

    /// Asks whether the server takes a mail for `to`. Nothing is handed over.
    pub async fn offer(&mut self, to: &Address) -> Result<(), MailError> {
        if self.begun {
            self.say(Step::From, Rset).await?;
        }
        self.begun = true;
        self.say(Step::From, Mail::new(Some(self.from.clone()), Vec::new())).await?;
        self.say(Step::Recipient, Rcpt::new(to.clone(), Vec::new())).await?;
        Ok(())
    }

    /// Hands over the message of the recipient just offered. Answers the server's words.
    pub async fn hand_over(&mut self, message: &[u8]) -> Result<String, MailError> {
        self.say(Step::Data, Data).await?;
        self.begun = false;
        let taken = within(self.message_timeout, Step::Message, self.line.message(message)).await?;
        Ok(one_line(&taken.message().collect::<Vec<_>>().join(" ")))
    }

    /// Says goodbye; whether the server hears it matters to nobody.
    pub async fn close(mut self) {
        let _ = timeout(self.timeout.min(Duration::from_secs(5)), self.line.quit()).await;
    }

    async fn say(&mut self, step: Step, command: impl Display) -> Result<Response, MailError> {
        within(self.timeout, step, self.line.command(command)).await
    }
}

/// How the certificate is judged: by the system's authorities, and those of the file.
fn protection(server: &Server, step: Step) -> Result<TlsParameters, MailError> {
    let refused = |why: String| MailError::Sender { step, seen: Seen::Unprotected(why) };
    let mut tls = TlsParameters::builder(server.host.clone());
    if let Some(path) = &server.ca {
        let size = std::fs::metadata(path).map_or(0, |found| found.len());
        if size > MOST_CA {
            return Err(refused(format!("{}: too large", path.display())));
        }
        let pem = std::fs::read(path).map_err(|error| refused(format!("{}: {error}", path.display())))?;
        tls = tls
            .add_root_certificate(Certificate::from_pem(&pem).map_err(|error| refused(format!("{}: {}", path.display(), chain(&error))))?);
    }
    tls.build().map_err(|error| refused(chain(&error)))
}

/// One step: in time, and its error in our words.
async fn within<T>(
    limit: Duration,
    step: Step,
    call: impl Future<Output = Result<T, lettre::transport::smtp::Error>>,
) -> Result<T, MailError> {
    match timeout(limit, call).await {
        Err(_) => Err(silence(step)),
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(judge(step, &error)),
    }
}

fn silence(step: Step) -> MailError {
    match step {
        Step::Message => MailError::Uncertain { seen: Seen::Silence },
        step => MailError::Server { step, seen: Seen::Silence },
    }
}

fn judge(step: Step, error: &lettre::transport::smtp::Error) -> MailError {
    if let Some(code) = error.status() {
        let code = code.to_string().parse().unwrap_or(0);
        let words = std::error::Error::source(error).map(|words| one_line(&words.to_string())).unwrap_or_default();
        return answered(step, code, words);
    }
    let why = chain(error);
    let seen = if error.is_timeout() {
        Seen::Silence
    } else if is_tls(error) {
        Seen::Unprotected(why)
    } else if error.is_response() && !why.contains("incomplete response") {
        Seen::Nonsense(why)
    } else {
        Seen::Broken(why)
    };
    match (step, &seen) {
        // Whatever happens after the message went may have happened after it was taken.
        (Step::Message, _) => MailError::Uncertain { seen },
        (_, Seen::Unprotected(_)) => MailError::Sender { step, seen },
        (_, Seen::Nonsense(_)) => MailError::Protocol { step, seen },
        _ => MailError::Server { step, seen },
    }
}

/// What an answer of 4xx or 5xx means at that step (RFC 5321, 4.2 and 4.3).
fn answered(step: Step, code: u16, words: String) -> MailError {
    let seen = Seen::Answer { code, words };
    match step {
        // The server closes, whatever it was asked.
        _ if code == 421 => MailError::Server { step, seen },
        // It wants a login that we do not give.
        _ if code == 530 => MailError::Sender { step, seen },
        Step::Recipient | Step::Data | Step::Message if code < 500 => MailError::Temporary { step, seen },
        Step::Recipient | Step::Data | Step::Message => MailError::Refused { step, seen },
        _ if code < 500 => MailError::Server { step, seen },
        _ => MailError::Sender { step, seen },
    }
}

/// Certificates and other faults of protection come as faults of the connection: their cause tells.
fn is_tls(error: &lettre::transport::smtp::Error) -> bool {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    let mut deep = 0;
    while let Some(error) = cause.filter(|_| deep < 8) {
        let inner = error.downcast_ref::<io::Error>();
        if inner.is_some_and(|error| error.kind() == io::ErrorKind::InvalidData) {
            return true; // how tokio-rustls hands over what rustls refuses
        }
        cause = error.source();
        deep += 1;
    }
    error.is_tls()
}

/// The error and its causes, one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    one_line(&text)
}

fn one_line(text: &str) -> String {
    let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    plain.take(LONGEST_WORDS).collect::<String>().trim().to_owned()
}

/// A connection whose server may say only so much: a line without an end would be collected for ever.
#[derive(Debug)]
struct Bounded {
    stream: TcpStream,
    left: usize,
}

impl AsyncRead for Bounded {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        let came = buffer.filled().len().saturating_sub(before);
        match self.left.checked_sub(came) {
            Some(left) => self.left = left,
            None => return Poll::Ready(Err(io::Error::other("the server says too much"))),
        }
        read
    }
}

impl AsyncWrite for Bounded {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl AsyncTokioStream for Bounded {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.stream.peer_addr()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_means_what_its_step_and_code_say() {
        let kind = |error: MailError| match error {
            MailError::Server { .. } => "server",
            MailError::Sender { .. } => "sender",
            MailError::Temporary { .. } => "later",
            MailError::Refused { .. } => "refused",
            MailError::Uncertain { .. } => "uncertain",
            MailError::Protocol { .. } => "protocol",
        };
        let table = [
            (Step::Greeting, 554, "sender"),
            (Step::Greeting, 421, "server"),
            (Step::Login, 535, "sender"),
            (Step::Login, 454, "server"),
            (Step::From, 451, "server"),
            (Step::From, 550, "sender"),
            (Step::Recipient, 450, "later"),
            (Step::Recipient, 550, "refused"),
            (Step::Recipient, 421, "server"),
            (Step::Recipient, 530, "sender"),
            (Step::Data, 451, "later"),
            (Step::Message, 452, "later"),
            (Step::Message, 554, "refused"),
            (Step::Message, 421, "server"),
        ];
        for (step, code, want) in table {
            assert_eq!(kind(answered(step, code, String::new())), want, "{step:?} {code}");
        }
        assert_eq!(kind(silence(Step::Message)), "uncertain");
        assert_eq!(kind(silence(Step::Recipient)), "server");
    }
}
