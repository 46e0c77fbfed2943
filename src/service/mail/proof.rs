//! `messo mail test`: one mail to each recipient, each step told as it begins, and exactly what failed.

use crate::clock::{self, Clock};
use crate::config::{Config, MailConfig};
use crate::connectors::mail::{Letter, MailError, Server, ServerError, Session, Step, recipient};
use crate::domain::alert::AlertKind;
use crate::outbox::mail::{self as outbox, Content, Templates};

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

/// Whether every recipient was reached.
pub async fn prove(config: &Config, mail: &MailConfig, to: &[String], mut told: impl FnMut(Told<'_>)) -> Result<bool, ProofError> {
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
