//! `messo mail test`: one mail to each recipient, each step told as it begins, and exactly what failed.

use crate::clock::{self, Clock};
use crate::config::{Config, MailConfig};
use crate::connectors::mail::{Letter, MailError, Seen, Server, ServerError, Session, Step, recipient};
use crate::domain::alert::AlertKind;
use crate::outbox::mail::{self as outbox, Content, Templates};
use crate::text::it::mail as words;

/// What is told while it goes on.
#[derive(Debug)]
pub enum Told<'a> {
    Step(Step),
    /// To this recipient.
    Recipient(&'a str),
    /// Taken, with the server's words.
    Taken(&'a str),
    Failed(&'a MailError),
}

/// Why nothing was tried.
#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    #[error(transparent)]
    Server(#[from] ServerError),
    #[error("message: {0}")]
    Letter(#[from] crate::connectors::mail::LetterError),
}

/// What is told, for the operator.
#[must_use]
pub fn line(told: &Told<'_>) -> String {
    match told {
        Told::Step(step) => format!("- {}", words::step(step.as_str())),
        Told::Recipient(address) => {
            format!("- {}\n- {} {address}", words::step(Step::From.as_str()), words::step(Step::Recipient.as_str()))
        }
        Told::Taken(answer) => format!("  consegnato al server: {answer}"),
        Told::Failed(error) => failure(error),
    }
}

/// Why nothing was tried, and what to do.
#[must_use]
pub fn why_not(error: &ProofError) -> String {
    match error {
        ProofError::Server(ServerError::Password(error)) => words::secret(error),
        error => error.to_string(),
    }
}

/// Where it failed, what the server said, what to look at.
fn failure(error: &MailError) -> String {
    let (step, seen) = error.place();
    let code = error.code();
    let what = code.split_once(' ').map_or("", |(_, what)| what);
    let detail = match seen {
        Seen::Answer { code, words } => format!("il server ha risposto {code} {words}"),
        Seen::Silence if step == Step::Message => "il server non ha risposto in tempo (message_timeout_s)".to_owned(),
        Seen::Silence => "il server non ha risposto in tempo (timeout_s)".to_owned(),
        Seen::Broken(why) | Seen::Unprotected(why) | Seen::Nonsense(why) => why.clone(),
    };
    format!("  NON RIUSCITO al passo «{}»: {detail}\n  {}", words::step(step.as_str()), words::advice(step.as_str(), what))
}

/// Whether every recipient was reached.
pub async fn prove(config: &Config, mail: &MailConfig, to: &[String], mut told: impl FnMut(Told<'_>) + Send) -> Result<bool, ProofError> {
    let server = Server::of(mail)?;
    let now = Clock::REAL.now();
    let letter = outbox::Letter {
        installation: config.installation.clone(),
        institution: None,
        kind: AlertKind::Report,
        written_at: now,
        content: Content::Proof,
    };
    let (rendered, _) = Templates::load(mail.templates.as_deref()).0.render(&letter);
    let mut session = match Session::open(&server, |step| told(Told::Step(step))).await {
        Ok(session) => session,
        Err(error) => {
            told(Told::Failed(&error));
            return Ok(false);
        }
    };
    let mut all = true;
    for address in to {
        let Some(address) = recipient(address) else {
            all = false;
            continue;
        };
        told(Told::Recipient(address.as_ref()));
        let message_id = format!("<{}@{}>", clock::new_uuid(), server.from.email.domain());
        let message = Letter {
            from: &server.from,
            reply_to: server.reply_to.as_ref(),
            to: &address,
            message_id: &message_id,
            date: now,
            subject: &rendered.subject,
            text: &rendered.text,
            html: &rendered.html,
        };
        let bytes = message.write()?;
        let sent = match session.offer(&address).await {
            Ok(()) => {
                told(Told::Step(Step::Message));
                session.hand_over(&bytes).await
            }
            Err(error) => Err(error),
        };
        match sent {
            Ok(words) => told(Told::Taken(&words)),
            Err(error) => {
                all = false;
                told(Told::Failed(&error));
                if error.is_of_server() || matches!(error, MailError::Uncertain { .. }) {
                    return Ok(false);
                }
            }
        }
    }
    session.close().await;
    Ok(all)
}
