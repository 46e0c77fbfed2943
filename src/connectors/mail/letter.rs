//! A message as it goes over the line: text and HTML of the same content, every date and id given from outside, so that the same
//! mail gives the same bytes after a crash.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use lettre::Address;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message, MultiPart, SinglePart};

/// What is written, to whom.
#[derive(Debug, Clone, Copy)]
pub struct Letter<'a> {
    pub from: &'a Mailbox,
    pub reply_to: Option<&'a Mailbox>,
    pub to: &'a Address,
    /// With its brackets.
    pub message_id: &'a str,
    pub date: Timestamp,
    pub subject: &'a str,
    pub text: &'a str,
    pub html: &'a str,
}

/// Why there is no message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LetterError {
    #[error("message: {0}")]
    Form(String),
}

impl Letter<'_> {
    /// The bytes.
    pub fn write(&self) -> Result<Vec<u8>, LetterError> {
        let date = SystemTime::UNIX_EPOCH + Duration::from_secs(self.date.as_second().max(0).unsigned_abs());
        let header = |name: &'static str, value: &str| HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned());
        let subject: String = self.subject.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let mut message = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, self.to.clone()))
            .subject(subject)
            .date(date)
            .message_id(Some(self.message_id.to_owned()))
            // Nobody who is on holiday answers a machine.
            .raw_header(header("Auto-Submitted", "auto-generated"))
            .raw_header(header("X-Auto-Response-Suppress", "All"));
        if let Some(reply_to) = self.reply_to {
            message = message.reply_to(reply_to.clone());
        }
        // Of the id, so that it is the same each time; a line that begins with it is in no text of ours.
        let mark: String = self.message_id.chars().filter(char::is_ascii_alphanumeric).take(32).collect();
        let parts = MultiPart::alternative()
            .boundary(format!("=_messo_{mark}"))
            .singlepart(SinglePart::plain(self.text.to_owned()))
            .singlepart(SinglePart::html(self.html.to_owned()));
        let message = message.multipart(parts).map_err(|error| LetterError::Form(error.to_string()))?;
        Ok(message.formatted())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::mail::{read_address, read_mailbox};

    #[test]
    fn the_same_mail_is_the_same_bytes_and_headers_hold_one_line() {
        let from = read_mailbox("messo <messo@comune.esempio.it>").unwrap();
        let to = read_address("ced@comune.esempio.it").unwrap();
        let letter = Letter {
            from: &from,
            reply_to: None,
            to: &to,
            message_id: "<0192@comune.esempio.it>",
            date: "2026-11-23T09:05:00Z".parse().unwrap(),
            subject: "SEND è giù\r\nBcc: altri@esempio.it",
            text: "È una prova.\n",
            html: "<p>È una prova.</p>",
        };
        let bytes = letter.write().unwrap();
        assert_eq!(bytes, letter.write().unwrap());
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.contains("Message-ID: <0192@comune.esempio.it>\r\n") && text.contains("Date: Mon, 23 Nov 2026 09:05:00 +0000\r\n"));
        assert!(text.contains("Auto-Submitted: auto-generated\r\n") && !text.contains("\r\nBcc:"), "{text}");
        assert!(text.is_ascii(), "needs no 8BITMIME");
    }
}
