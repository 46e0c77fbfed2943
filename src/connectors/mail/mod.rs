//! Mail to operators, by SMTP: one conversation, one transaction for each recipient, every answer awaited under a time-out.
//!
//! [`letter`] writes the message, purely; [`session`] is the line. There is no pool: a conversation that has failed is thrown
//! away. An error says what messo does next, and at which step the server was.

pub mod letter;
pub mod session;

pub use letter::{Letter, LetterError};
pub use session::Session;

use std::path::PathBuf;
use std::time::Duration;

use lettre::Address;
use lettre::message::Mailbox;

use crate::config::mail::{read_address, read_mailbox};
use crate::config::secret::{Secret, SecretError};
use crate::config::{MailConfig, MailTls};

/// Where mails go and in whose name, with the password read.
#[derive(Debug, Clone)]
pub struct Server {
    pub host: String,
    pub port: u16,
    pub tls: MailTls,
    pub login: Option<(String, Secret)>,
    /// PEM file of further authorities.
    pub ca: Option<PathBuf>,
    pub hello: String,
    pub from: Mailbox,
    pub reply_to: Option<Mailbox>,
    /// For each answer of the server but the last.
    pub timeout: Duration,
    /// For the answer to the message itself.
    pub message_timeout: Duration,
}

/// Why a configured server cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ServerError {
    #[error(transparent)]
    Password(#[from] SecretError),
    /// A configuration that was not checked.
    #[error("`from` or `reply_to` is not an address")]
    Address,
}

impl Server {
    /// Reads the password; connects to nothing.
    pub fn of(config: &MailConfig) -> Result<Server, ServerError> {
        let login = match (&config.user, &config.password) {
            (Some(user), Some(password)) => Some((user.clone(), password.resolve()?)),
            _ => None,
        };
        let from = read_mailbox(&config.from).ok_or(ServerError::Address)?;
        let reply_to = match &config.reply_to {
            Some(text) => Some(read_mailbox(text).ok_or(ServerError::Address)?),
            None => None,
        };
        Ok(Server {
            host: config.host.clone(),
            port: config.port(),
            tls: config.tls,
            login,
            ca: config.ca.clone(),
            hello: config.hello.clone().unwrap_or_else(|| from.email.domain().to_owned()),
            from,
            reply_to,
            timeout: Duration::from_secs(config.timeout_s),
            message_timeout: Duration::from_secs(config.message_timeout_s),
        })
    }
}

/// A recipient.
#[must_use]
pub fn recipient(text: &str) -> Option<Address> {
    read_address(text)
}

/// How far the conversation had come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Name and connection; with `tls = "tls"` also the protection.
    Connect,
    /// The greeting of the server and ours.
    Greeting,
    /// STARTTLS and what follows it.
    Protect,
    Login,
    From,
    Recipient,
    /// The server is asked whether it takes a message.
    Data,
    /// The message itself, and the answer to it.
    Message,
}

impl Step {
    /// A word for the store and the log.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Step::Connect => "COLLEGAMENTO",
            Step::Greeting => "SALUTO",
            Step::Protect => "CIFRATURA",
            Step::Login => "ACCESSO",
            Step::From => "MITTENTE",
            Step::Recipient => "DESTINATARIO",
            Step::Data => "DATI",
            Step::Message => "MESSAGGIO",
        }
    }
}

/// What was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// The server said no: code and its words (one line, at most [`LONGEST_WORDS`] characters; they may name the recipient).
    Answer { code: u16, words: String },
    /// It has not answered in time.
    Silence,
    /// The connection cannot be made, or broke.
    Broken(String),
    /// No protection: certificate, or a server that does not offer it.
    Unprotected(String),
    /// Something that is no SMTP.
    Nonsense(String),
}

/// Characters kept of what a server says.
pub const LONGEST_WORDS: usize = 200;

impl std::fmt::Display for Seen {
    /// Without the server's words, which may name a person.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Seen::Answer { code, .. } => write!(f, "{code}"),
            Seen::Silence => f.write_str("silence"),
            Seen::Broken(why) => write!(f, "connection: {why}"),
            Seen::Unprotected(why) => write!(f, "TLS: {why}"),
            Seen::Nonsense(why) => write!(f, "not SMTP: {why}"),
        }
    }
}

/// Why a mail did not go, named by what follows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MailError {
    /// The server is not well, or wants to be left alone: every mail waits.
    #[error("server unavailable at {}: {seen}", .step.as_str())]
    Server { step: Step, seen: Seen },
    /// The server does not want us: wrong password, sender or certificate. Every mail waits, a person is told.
    #[error("not accepted at {}: {seen}", .step.as_str())]
    Sender { step: Step, seen: Seen },
    /// This recipient, not now.
    #[error("recipient put off at {}: {seen}", .step.as_str())]
    Temporary { step: Step, seen: Seen },
    /// This recipient, never.
    #[error("recipient refused at {}: {seen}", .step.as_str())]
    Refused { step: Step, seen: Seen },
    /// Nobody knows whether the message was taken: it is repeated with the same Message-ID.
    #[error("uncertain: {seen}")]
    Uncertain { seen: Seen },
    /// The answer is no SMTP.
    #[error("protocol at {}: {seen}", .step.as_str())]
    Protocol { step: Step, seen: Seen },
}

impl MailError {
    /// Whether it is about the server, hence about every mail.
    #[must_use]
    pub fn is_of_server(&self) -> bool {
        matches!(self, MailError::Server { .. } | MailError::Sender { .. } | MailError::Protocol { .. })
    }

    /// How far it came, and what was seen there.
    #[must_use]
    pub fn place(&self) -> (Step, &Seen) {
        match self {
            MailError::Server { step, seen }
            | MailError::Sender { step, seen }
            | MailError::Temporary { step, seen }
            | MailError::Refused { step, seen }
            | MailError::Protocol { step, seen } => (*step, seen),
            MailError::Uncertain { seen } => (Step::Message, seen),
        }
    }

    /// `DESTINATARIO 550`: what is kept in the store and shown by `status`.
    #[must_use]
    pub fn code(&self) -> String {
        let (step, seen) = self.place();
        let what = match seen {
            Seen::Answer { code, .. } => code.to_string(),
            Seen::Silence => "SENZA_RISPOSTA".to_owned(),
            Seen::Broken(_) => "INTERROTTO".to_owned(),
            Seen::Unprotected(_) => "TLS".to_owned(),
            Seen::Nonsense(_) => "RISPOSTA_NON_VALIDA".to_owned(),
        };
        format!("{} {what}", step.as_str())
    }
}
