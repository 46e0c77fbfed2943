//! Mails to operators: alerts become mails, and mails go out, each as a task of its own that nothing else waits for.
//!
//! [`routing`] says who is told of what, [`letters`] what is said, [`proof`] is `messo mail test`. When the server is away mails wait
//! in the store, in order, and what happens meanwhile is added to them; a recipient that is put off is tried again with growing
//! pauses, one that is refused is given up and told of in `status` and in the next report.

pub mod letters;
pub mod proof;
pub mod routing;

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use self::routing::Routing;
use super::Hub;
use crate::clock::monotonic;
use crate::config::MailConfig;
use crate::config::mail::read_mailbox;
use crate::connectors::mail::{Letter, MailError, Server, Session, recipient};
use crate::outbox::mail::Templates;
use crate::store::{LeasedMail, MailTrouble, Offered, StoreError};
use crate::telemetry::metrics::Outcome;

/// How often new alerts are looked for.
const LOOK: Duration = Duration::from_secs(1);
/// Mails of one conversation: some servers want no more.
const TOGETHER: usize = 50;
/// A lease is longer than a conversation about one mail may take (seconds, real).
const LEASE: i64 = 3_600;
/// Pause after a server that was not well; doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(600);
/// Pause of a recipient that was put off; doubles up to the longest.
const FIRST_PUT_OFF: SignedDuration = SignedDuration::from_secs(60);
const LONGEST_PUT_OFF: SignedDuration = SignedDuration::from_hours(4);
/// A recipient that has been put off for so long, or a server that never says whether it took the mail, is given up (RFC 5321,
/// 4.5.4.1: at least 4 to 5 days).
const GIVE_UP: SignedDuration = SignedDuration::from_hours(5 * 24);
/// What was sent or given up is kept so long.
const KEPT: SignedDuration = SignedDuration::from_hours(90 * 24);
/// What is handed over when the service stops may still be answered.
const GRACE: Duration = Duration::from_secs(5);

/// Makes mails of alerts, until the hub stops.
pub async fn collect(hub: Arc<Hub>) {
    let pause = if hub.clock.is_real() { LOOK } else { LOOK / 10 };
    let mut tidied: Option<Timestamp> = None;
    while !hub.stopping.is_cancelled() {
        let now = hub.clock.now();
        if tidied.is_none_or(|at| now.duration_since(at) > SignedDuration::from_hours(1)) {
            tidied = Some(now);
            if let Err(error) = hub.store.forget_mails(now.saturating_sub(KEPT).unwrap_or(Timestamp::UNIX_EPOCH)).await {
                tracing::error!(%error, "la posta vecchia non può essere tolta");
            }
        }
        match collect_once(&hub, now).await {
            Ok(more) if more => continue,
            Ok(_) | Err(StoreError::Stopping) => {}
            Err(error) => tracing::error!(%error, "gli avvisi non diventano posta"),
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = hub.stopping.cancelled() => {}
        }
    }
}

/// Whether there may be more.
async fn collect_once(hub: &Hub, now: Timestamp) -> Result<bool, StoreError> {
    let settings = hub.settings();
    // Without a server nobody is told, and what was not told then is not told when there is one.
    let routing = Routing::of(&settings);
    let window = settings.mail.as_ref().map_or(0, |mail| mail.collect_minutes);
    let from = settings.mail.as_ref().and_then(|mail| read_mailbox(&mail.from));
    let domain = from.map_or_else(|| "localhost".to_owned(), |from| from.email.domain().to_owned());
    let router = Arc::new(move |alert: &_| routing.addressed(alert, now));
    let collected = hub.store.collect_alerts(router, &domain, SignedDuration::from_mins(window.into()), now).await?;
    if collected.mails > 0 {
        tracing::debug!(mails = collected.mails, "posta da spedire");
        failpoint!("mail.collected");
    }
    Ok(collected.alerts > 0)
}

/// Sends mails, until the hub stops.
pub async fn send(hub: Arc<Hub>) {
    if let Err(error) = hub.store.free_mails().await {
        tracing::error!(%error, "la posta interrotta non può essere ripresa");
    }
    let mut post = Post { troubled: true, failures: 0 };
    while !hub.stopping.is_cancelled() {
        let settings = hub.settings();
        let now = hub.clock.now();
        let due = match (&settings.mail, hub.store.next_mail_due().await) {
            (Some(_), Ok(due)) => due.is_some_and(|due| due <= now),
            _ => false,
        };
        if settings.mail.is_none() {
            post.no_server(&hub).await;
        }
        let pause = match (&settings.mail, due) {
            (Some(mail), true) => post.round(&hub, mail).await,
            _ => LOOK,
        };
        let pause = if hub.clock.is_real() { pause } else { pause.min(LOOK / 5) };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = hub.stopping.cancelled() => {}
        }
    }
}

/// What is remembered from one conversation to the next.
struct Post {
    /// A trouble may be kept in the store.
    troubled: bool,
    /// Conversations in a row in which nothing went.
    failures: u32,
}

/// How a mail ended.
enum Sent {
    Yes,
    /// Not this one; the conversation goes on.
    No,
}

/// Why a conversation ended early.
enum Broken {
    Server(MailError),
    /// The hub stops; the server may only have been slow.
    Stopping,
    /// The password cannot be read, or an address is none.
    Settings(String),
    Store(StoreError),
}

impl From<StoreError> for Broken {
    fn from(error: StoreError) -> Self {
        Broken::Store(error)
    }
}

impl Post {
    /// The configuration names no server (any more): none is in trouble.
    async fn no_server(&mut self, hub: &Hub) {
        self.failures = 0;
        if self.troubled && hub.store.keep_mail_trouble(None).await.is_ok() {
            self.troubled = false;
        }
    }

    /// One conversation. Answers how long to wait before the next.
    async fn round(&mut self, hub: &Hub, mail: &MailConfig) -> Duration {
        let mut sent = 0;
        let begun = monotonic();
        let ended = self.converse(hub, mail, &mut sent).await;
        let outcome = match &ended {
            Ok(()) => Some(Outcome::Ok),
            Err(Broken::Server(_)) => Some(Outcome::NoAnswer),
            Err(Broken::Settings(_)) => Some(Outcome::Refused),
            Err(Broken::Store(_) | Broken::Stopping) => None,
        };
        if let Some(outcome) = outcome {
            hub.figures.calls.note("smtp", "conversation", monotonic().saturating_duration_since(begun), outcome);
        }
        if sent > 0 {
            self.failures = 0;
        }
        // That it lets us in is not yet that it takes mails: a trouble is over when one was taken, or all were answered.
        if self.troubled && (sent > 0 || (ended.is_ok() && !hub.stopping.is_cancelled())) {
            match hub.store.keep_mail_trouble(None).await {
                Ok(()) => self.troubled = false,
                Err(error) => tracing::error!(%error, "lo stato della posta non può essere registrato"),
            }
        }
        let error = match ended {
            Ok(()) | Err(Broken::Stopping) => return Duration::ZERO,
            Err(Broken::Store(error)) => {
                if !matches!(error, StoreError::Stopping | StoreError::Stale) {
                    tracing::error!(%error, "la posta non può essere registrata");
                    // Nobody else sends: what was leased need not wait for its lease to end.
                    let _ = hub.store.free_mails().await;
                }
                return LOOK;
            }
            Err(Broken::Server(error)) => error.code(),
            Err(Broken::Settings(error)) => error,
        };
        if !self.troubled || self.failures == 0 {
            tracing::warn!(error, "il server di posta non prende la posta: aspetta");
        }
        self.troubled = true;
        let trouble = MailTrouble { since: hub.clock.now(), error };
        if let Err(error) = hub.store.keep_mail_trouble(Some(trouble)).await {
            tracing::error!(%error, "lo stato della posta non può essere registrato");
        }
        let pause = FIRST_PAUSE.saturating_mul(1 << self.failures.min(10)).min(LONGEST_PAUSE);
        self.failures = self.failures.saturating_add(1);
        pause
    }

    async fn converse(&mut self, hub: &Hub, mail: &MailConfig, sent: &mut usize) -> Result<(), Broken> {
        let server = Server::of(mail).map_err(|error| {
            tracing::error!(%error, "il server di posta non può essere usato");
            Broken::Settings("ACCESSO PASSWORD".to_owned())
        })?;
        let mut session = tokio::select! {
            opened = Session::open(&server, |_| {}) => opened.map_err(|error| {
                tracing::debug!(%error, "posta");
                Broken::Server(error)
            })?,
            () = hub.stopping.cancelled() => return Ok(()),
        };
        let (templates, faults) = Templates::load(mail.templates.as_deref());
        for fault in faults {
            tracing::warn!(
                file = fault.name,
                line = fault.line,
                fault = fault.message,
                "modello di posta non utilizzabile: vale quello di messo"
            );
        }
        for _ in 0..TOGETHER {
            let now = hub.clock.now();
            if hub.stopping.is_cancelled() {
                break;
            }
            let until = now.saturating_add(hub.real_span(LEASE)).unwrap_or(Timestamp::MAX);
            let Some(leased) = hub.store.lease_mail(until, now).await? else { break };
            let one = One { hub, server: &server, templates: &templates, leased: &leased };
            if let Sent::Yes = one.send(&mut session).await? {
                *sent += 1;
            }
        }
        session.close().await;
        Ok(())
    }
}

/// One mail and what it is sent with.
struct One<'a> {
    hub: &'a Hub,
    server: &'a Server,
    templates: &'a Templates,
    leased: &'a LeasedMail,
}

impl One<'_> {
    async fn send(&self, session: &mut Session) -> Result<Sent, Broken> {
        let store = &self.hub.store;
        let lease = self.leased.lease;
        let Some(to) = recipient(&self.leased.recipient) else {
            store.mail_given_up(lease, true, "INDIRIZZO", self.hub.clock.now()).await?;
            return Ok(Sent::No);
        };
        let letter = letters::letter(self.hub, self.leased).await?;
        let (rendered, fault) = self.templates.render(&letter);
        if let Some(fault) = fault {
            tracing::warn!(
                file = fault.name,
                line = fault.line,
                fault = fault.message,
                "modello di posta non riuscito: vale quello di messo"
            );
        }
        let offered = tokio::select! {
            offered = session.offer(&to) => offered,
            () = self.stop() => return self.give_back().await,
        };
        if let Err(error) = offered {
            return self.failed(error, false).await;
        }
        let rendered = Offered { subject: rendered.subject, text: rendered.text, html: rendered.html };
        let offered = store.offer_mail(lease, rendered).await?;
        let message = Letter {
            from: &self.server.from,
            reply_to: self.server.reply_to.as_ref(),
            to: &to,
            message_id: &self.leased.message_id,
            date: self.leased.created_at,
            subject: &offered.subject,
            text: &offered.text,
            html: &offered.html,
        };
        let bytes = match message.write() {
            Ok(bytes) => bytes,
            Err(error) => {
                tracing::error!(mail.id = %lease.id, %error, "un messaggio non può essere scritto");
                store.mail_given_up(lease, true, "MESSAGGIO", self.hub.clock.now()).await?;
                return Ok(Sent::No);
            }
        };
        failpoint!("mail.offered");
        let handed = tokio::select! {
            handed = session.hand_over(&bytes) => handed,
            () = self.stop() => return self.give_back().await,
        };
        match handed {
            Ok(_) => {
                failpoint!("mail.answered");
                store.mail_sent(lease, self.hub.clock.now()).await?;
                failpoint!("mail.recorded");
                tracing::info!(mail.id = %lease.id, kind = self.leased.kind, "posta spedita");
                Ok(Sent::Yes)
            }
            Err(error) => self.failed(error, true).await,
        }
    }

    /// Whether it has been tried for long enough.
    fn is_over(&self, now: Timestamp) -> bool {
        self.leased.failed_at.is_some_and(|first| now.duration_since(first) >= GIVE_UP)
    }

    /// A while after the hub is asked to stop.
    async fn stop(&self) {
        self.hub.stopping.cancelled().await;
        tokio::time::sleep(GRACE).await;
    }

    /// The hub stops before the answer came, which says nothing of the server nor of the recipient: the mail goes back as it is, and
    /// when the message itself was handed over it still may have gone.
    async fn give_back(&self) -> Result<Sent, Broken> {
        self.hub.store.give_back_mail(self.leased.lease, false, self.hub.clock.now()).await?;
        Err(Broken::Stopping)
    }

    /// `handed_over`: the store was told that the message may go.
    async fn failed(&self, error: MailError, handed_over: bool) -> Result<Sent, Broken> {
        let (store, lease, now) = (&self.hub.store, self.leased.lease, self.hub.clock.now());
        let later = |pause: SignedDuration| now.saturating_add(pause).unwrap_or(Timestamp::MAX);
        let code = error.code();
        tracing::info!(mail.id = %lease.id, error = code, "posta non spedita");
        match error {
            MailError::Refused { .. } => store.mail_given_up(lease, true, &code, now).await?,
            MailError::Temporary { .. } => {
                if self.is_over(now) {
                    store.mail_given_up(lease, false, &code, now).await?;
                } else {
                    store.mail_put_off(lease, &code, handed_over, later(put_off(self.leased.attempts)), now).await?;
                }
            }
            MailError::Uncertain { .. } => {
                // It may have been taken each time: repeated as seldom as a recipient that is put off, and not for ever.
                if self.is_over(now) {
                    store.mail_given_up(lease, false, &code, now).await?;
                } else {
                    store.mail_uncertain(lease, &code, later(put_off(self.leased.attempts)), now).await?;
                }
                return Err(Broken::Server(error));
            }
            // Behind the others: should it be about this mail alone, they go.
            MailError::Server { .. } | MailError::Sender { .. } | MailError::Protocol { .. } => {
                store.give_back_mail(lease, handed_over, later(FIRST_PUT_OFF)).await?;
                return Err(Broken::Server(error));
            }
        }
        Ok(Sent::No)
    }
}

/// How long a recipient waits that was put off `attempts` times before this one.
fn put_off(attempts: u32) -> SignedDuration {
    FIRST_PUT_OFF.checked_mul(1 << attempts.min(20)).map_or(LONGEST_PUT_OFF, |pause| pause.min(LONGEST_PUT_OFF))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connectors::mail::Seen;
    use crate::service::tests::House;

    #[test]
    fn pauses_double_up_to_four_hours() {
        for (attempts, want) in [(0, 60), (1, 120), (5, 1_920), (8, 14_400), (40, 14_400)] {
            assert_eq!(put_off(attempts).as_secs(), want, "{attempts}");
        }
    }

    /// A server that takes each mail and never says so would deliver every repeat.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_mail_whose_answer_never_comes_is_repeated_ever_later_and_then_given_up() {
        const ENTE: &str = "01234567897";
        let mail = "\n[mail]\nhost = \"localhost\"\nfrom = \"messo@comune.esempio.it\"\n";
        let house = House::with("[[ente.avvisi]]\nto = [\"uno@comune.esempio.it\"]\n", mail);
        let (hub, store) = (&house.hub, &house.hub.store);
        let begun = hub.clock.now();
        store.alert("TENTATIVI_ESAURITI", Some(ENTE), None, "prova", begun).await.unwrap();
        assert!(collect_once(hub, begun).await.unwrap());
        let server = Server::of(hub.settings().mail.as_ref().unwrap()).unwrap();
        assert_eq!(server.message_timeout, Duration::from_secs(600), "RFC 5321, 4.5.3.2.6");
        let (templates, _) = Templates::load(None);
        let mut at = begun;
        for (failed_days, pause) in [(0, Some(60)), (0, Some(120)), (4, Some(240)), (5, None)] {
            let mut leased = store.lease_mail(at + SignedDuration::from_hours(1), at).await.unwrap().unwrap();
            leased.failed_at = leased.failed_at.map(|first| first - SignedDuration::from_hours(24 * failed_days));
            let one = One { hub, server: &server, templates: &templates, leased: &leased };
            let before = hub.clock.now();
            let ended = one.failed(MailError::Uncertain { seen: Seen::Silence }, true).await;
            assert!(matches!(ended, Err(Broken::Server(MailError::Uncertain { .. }))), "the conversation is over");
            let due = store.next_mail_due().await.unwrap();
            let Some(pause) = pause else {
                let mails = store.mail_overview(hub.clock.now()).await.unwrap();
                assert_eq!((due, mails.given_up.len()), (None, 1), "given up after five days");
                break;
            };
            let late = due.unwrap().duration_since(before).as_secs();
            assert!((pause - 1..pause + 20).contains(&late), "{late} s, not {pause}");
            at = due.unwrap();
        }
    }
}
