//! One SSH connection: who it is, which channels it has, what of SSH is answered and what is refused.
//!
//! No callback waits for the disk or for the client; the only things waited for are the turn of a password and the delay of an address
//! that guessed wrong.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use russh::keys::ssh_key::Certificate;
use russh::server::{Auth, ChannelOpenHandle, Handler, Msg, PublicKeyOffer, Session, VerifiedPublicKey};
use russh::{Channel, ChannelId, ChannelOpenFailure, ChannelWriteHalf, Disconnect, MethodKind, MethodSet, Pty};

use super::accounts::Account;
use super::algorithms;
use super::defender::{Offence, Verdict};
use super::guests::{Admission, Guest};
use super::ledger::{Act, Event, SessionWitness};
use super::line::Line;
use super::password::Checked;
use super::{Inner, Words};
use crate::clock::Clock;
use crate::config::Compat;
use crate::intake::sftp::engine;
use crate::intake::sftp::executor::Executor;
use crate::intake::sftp::home::Refused;

/// A channel of the connection.
enum Slot {
    /// Open; the client has not yet said for what.
    Fresh(ChannelWriteHalf<Msg>),
    /// Gone once it is over, whoever closed it.
    Sftp(Weak<Line>),
    /// It was refused, and the client has not closed it yet.
    Spent,
}

impl Slot {
    /// Whether it takes one of the places that a connection has. SSH tells nothing of a channel that we closed first.
    fn is_taken(&self) -> bool {
        match self {
            Slot::Fresh(_) | Slot::Spent => true,
            Slot::Sftp(line) => line.upgrade().is_some_and(|line| !line.is_over()),
        }
    }

    /// The client has closed it, and its last requests are being done.
    fn is_left(&self) -> bool {
        matches!(self, Slot::Sftp(line) if line.upgrade().is_some_and(|line| line.is_left()))
    }
}

/// See the module.
pub(super) struct Connection {
    door: Arc<Inner>,
    guest: Arc<Guest>,
    compat: Compat,
    channels: HashMap<ChannelId, Slot>,
    /// Whose key was refused, when no password was tried since; nobody's: of a user that does not exist.
    key_refused: Option<Option<String>>,
    /// Whose login does not come about, and why as far as is known; in the books when the connection ends so.
    missed: Option<(String, &'static str)>,
    /// It asked for a user that does not exist, and that is in the books.
    unknown_user: bool,
    /// Why it must go although it logged in, for the books and for itself.
    turned_away: Option<(&'static str, &'static str)>,
    logged_in: bool,
}

impl Connection {
    pub(super) fn new(door: Arc<Inner>, guest: Arc<Guest>, compat: Compat) -> Connection {
        Connection {
            door,
            guest,
            compat,
            channels: HashMap::new(),
            key_refused: None,
            missed: None,
            unknown_user: false,
            turned_away: None,
            logged_in: false,
        }
    }

    fn address(&self) -> IpAddr {
        self.guest.peer.ip()
    }

    fn words(&self) -> &Words {
        &self.door.settings.words
    }

    /// An address that was banned meanwhile does not go on.
    fn barred(&self) -> Result<(), russh::Error> {
        match self.door.look(self.address()) {
            Verdict::Banned { .. } => {
                self.guest.link.over.cancel();
                Err(russh::Error::Disconnect)
            }
            Verdict::Slow(_) | Verdict::Welcome => Ok(()),
        }
    }

    /// Waits as long as its address must.
    async fn slow_down(&self) -> Result<(), russh::Error> {
        if let Verdict::Slow(delay) = self.door.look(self.address()) {
            tokio::time::sleep(Duration::try_from(delay).unwrap_or_default()).await;
        }
        self.barred()
    }

    fn refused(&mut self, account: Option<&Account>, outcome: &'static str) -> Auth {
        // That it did not come about needs no line of its own now; that its keys were refused does.
        self.missed.take_if(|(_, why)| *why == NOT_COMPLETED);
        let event = self.event(Act::LoginRefused, account.map(|account| account.name.clone()), outcome);
        self.door.ledger.note(event);
        again()
    }

    fn event(&self, act: Act, account: Option<String>, outcome: &'static str) -> Event {
        Event {
            at: self.door.settings.clock.now(),
            act,
            account,
            address: self.address(),
            client: self.guest.client(),
            name: None,
            target: None,
            bytes: None,
            sha256: None,
            outcome,
        }
    }

    fn unknown(&mut self) -> Auth {
        if !std::mem::replace(&mut self.unknown_user, true) {
            return self.refused(None, "UTENTE_SCONOSCIUTO");
        }
        again()
    }

    /// It knows its secret.
    fn admit(&mut self, account: &Arc<Account>) -> Auth {
        self.missed = None;
        if let Err(denied) = account.admits(self.address(), Clock::REAL.now()) {
            return self.refused(Some(account), denied.code());
        }
        match self.door.guests.admit(&self.guest, account) {
            Admission::Welcome => {}
            why @ Admission::Full => self.turned_away = Some((why.code(), self.words().too_many_sessions)),
            why @ Admission::Stopping => self.turned_away = Some((why.code(), self.words().stopping)),
        }
        Auth::Accept
    }

    /// Says something to a person in front of a terminal, and ends the channel.
    fn tell(&mut self, channel: ChannelId, text: &'static str, session: &mut Session) -> Result<(), russh::Error> {
        self.channels.remove(&channel);
        session.channel_success(channel)?;
        session.extended_data(channel, 1, text.as_bytes().to_vec())?;
        session.exit_status_request(channel, 1)?;
        session.eof(channel)?;
        session.close(channel)
    }

    fn open_sftp(&mut self, write: ChannelWriteHalf<Msg>) -> Option<Weak<Line>> {
        let account = self.guest.account()?;
        let witness =
            SessionWitness::new(self.door.ledger.clone(), self.door.settings.clock, &account.name, self.address(), self.guest.client());
        let witness = Arc::new(witness);
        let home = self.door.homes.home(&account.name, witness.clone())?;
        let executor = Executor::new(home, witness, self.door.settings.executor.clone());
        let (line, life) = Line::start(executor, engine_limits(), self.guest.link.clone(), &self.door.counts, write);
        self.guest.add_line(&line);
        let (known, guest) = (Arc::downgrade(&line), self.guest.clone());
        tokio::spawn(async move {
            life.await;
            guest.forget_line(&line);
        });
        Some(known)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let sent_away = self.guest.doomed_ms().is_some() || self.guest.link.over.is_cancelled();
        for slot in self.channels.values() {
            if let Slot::Sftp(line) = slot
                && let Some(line) = line.upgrade()
            {
                // Who was sent away has lost what it had not waited for.
                if sent_away { line.end() } else { line.leave() }
            }
        }
        if self.logged_in {
            return;
        }
        if let Some((account, why)) = self.missed.take() {
            self.door.ledger.note(self.event(Act::LoginRefused, Some(account), why));
        }
        if let Some(account) = self.key_refused.take() {
            self.door.offend(self.guest.peer.ip(), Offence::WrongSecret, account.as_deref());
        }
    }
}

/// Every key it had to offer is another's, or of an algorithm that is not taken there.
const KEY_REFUSED: &str = "CHIAVE_NON_ACCETTATA";
/// It asked for an account and went without giving a secret: no key of a kind that is taken, one that it could not sign with, no password.
const NOT_COMPLETED: &str = "ACCESSO_NON_COMPLETATO";

/// A client that takes its answers slowly costs half of what the engine would allow. Each READ of the longest kind is a batch of its own:
/// the client has the first while the second is read.
fn engine_limits() -> engine::Limits {
    engine::Limits { replies: 1 << 20, batch: 240 << 10, ..engine::Limits::default() }
}

/// No, and what may be tried.
fn again() -> Auth {
    Auth::Reject { proceed_with_methods: Some(methods()), partial_success: false }
}

pub(super) fn methods() -> MethodSet {
    MethodSet::from([MethodKind::PublicKey, MethodKind::Password].as_slice())
}

impl Handler for Connection {
    type Error = russh::Error;

    async fn auth_none(&mut self, user: &str) -> Result<Auth, Self::Error> {
        if let Some(account) = self.door.accounts.of_user(user) {
            self.missed.get_or_insert_with(|| (account.name.clone(), NOT_COMPLETED));
        }
        Ok(again())
    }

    async fn auth_password(&mut self, user: &str, password: &str) -> Result<Auth, Self::Error> {
        self.slow_down().await?;
        let account = self.door.accounts.of_user(user);
        let hash = account.as_ref().and_then(|account| account.password());
        let checked = self.door.checker.check(password, hash).await;
        self.key_refused = None;
        // Others guessed from there while this one waited for its turn.
        self.barred()?;
        if checked == Checked::Wrong {
            self.door.offend(self.address(), Offence::WrongSecret, account.as_ref().map(|account| account.name.as_str()));
        }
        Ok(match (account, checked) {
            (Some(account), Checked::Right) => self.admit(&account),
            (account, Checked::Busy) => self.refused(account.as_deref(), "TROPPI_TENTATIVI"),
            (Some(account), Checked::Wrong) => self.refused(Some(&account), "PASSWORD_ERRATA"),
            (None, _) => self.unknown(),
        })
    }

    async fn auth_publickey_offered(&mut self, user: &str, offer: PublicKeyOffer<'_>) -> Result<Auth, Self::Error> {
        self.barred()?;
        let account = self.door.accounts.of_user(user);
        let fits = |account: &Arc<Account>| account.has_key(offer.public_key) && algorithms::accepts(self.compat, offer.algorithm);
        if let Some(account) = account.as_ref().filter(|account| fits(account)) {
            // It has still to sign with it: the keys before it were only those of an agent.
            self.missed = Some((account.name.clone(), NOT_COMPLETED));
            return Ok(Auth::Accept);
        }
        self.slow_down().await?;
        // Agents offer all they have: it counts once, when the connection ends without a login, whoever it asked for.
        let name = account.as_ref().map(|account| account.name.clone());
        if let Some(name) = &name {
            self.missed = Some((name.clone(), KEY_REFUSED));
        }
        self.key_refused = Some(name);
        Ok(if account.is_none() { self.unknown() } else { again() })
    }

    async fn auth_publickey(&mut self, user: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, Self::Error> {
        self.barred()?;
        let account = self.door.accounts.of_user(user);
        let account = account.filter(|account| account.has_key(key.public_key) && algorithms::accepts(self.compat, key.algorithm));
        let Some(account) = account else { return Ok(again()) };
        if self.compat == Compat::Legacy && matches!(key.algorithm, russh::keys::Algorithm::Rsa { hash: None }) {
            tracing::warn!(account = account.name, algorithm = "ssh-rsa", "accesso firmato con un algoritmo superato");
        }
        Ok(self.admit(&account))
    }

    async fn auth_openssh_certificate(&mut self, _: &str, _: &Certificate) -> Result<Auth, Self::Error> {
        Ok(again())
    }

    async fn auth_succeeded(&mut self, session: &mut Session) -> Result<(), Self::Error> {
        self.logged_in = true;
        let account = self.guest.account().map(|account| account.name.clone());
        if let Some((code, why)) = self.turned_away {
            self.door.ledger.note(self.event(Act::LoginRefused, account, code));
            self.guest.doom();
            return session.disconnect(Disconnect::TooManyConnections, why, "it");
        }
        self.door.guests.settle(&self.guest, &self.door.counts);
        if let Some(account) = &account {
            self.door.forgive(self.address(), account);
        }
        if self.compat == Compat::Legacy {
            let old = self.guest.offer.old(&algorithms::preferred(Compat::Legacy), &algorithms::preferred(Compat::Moderno));
            if !old.is_empty() {
                tracing::warn!(
                    account,
                    client = self.guest.client().as_deref(),
                    algorithms = old.join(","),
                    "il client usa algoritmi superati: chiedere al fornitore di aggiornarlo"
                );
            }
        }
        self.door.ledger.note(self.event(Act::Login, account, "OK"));
        Ok(())
    }

    async fn channel_open_session(&mut self, channel: Channel<Msg>, reply: ChannelOpenHandle, _: &mut Session) -> Result<(), Self::Error> {
        self.channels.retain(|_, slot| slot.is_taken());
        let (most, left) = (self.door.settings.max_channels, self.channels.values().filter(|slot| slot.is_left()).count());
        if self.channels.len() - left >= most || left > most || self.turned_away.is_some() {
            reply.reject(ChannelOpenFailure::ResourceShortage).await;
            return Ok(());
        }
        let id = channel.id();
        // Nobody reads that half: with it gone the session never waits for a reader.
        let (read, write) = channel.split();
        drop(read);
        self.channels.insert(id, Slot::Fresh(write));
        reply.accept().await;
        Ok(())
    }

    async fn subsystem_request(&mut self, channel: ChannelId, name: &str, session: &mut Session) -> Result<(), Self::Error> {
        match (name, self.channels.remove(&channel)) {
            ("sftp", Some(Slot::Fresh(write))) => match self.open_sftp(write) {
                Some(line) => {
                    self.channels.insert(channel, Slot::Sftp(line));
                    session.channel_success(channel)
                }
                None => {
                    tracing::error!(
                        account = self.guest.account().map(|account| account.name.clone()),
                        "la cartella dell'account non è disponibile"
                    );
                    self.channels.insert(channel, Slot::Spent);
                    session.channel_failure(channel)
                }
            },
            (_, slot) => {
                self.channels.extend(slot.map(|slot| (channel, slot)));
                session.channel_failure(channel)
            }
        }
    }

    async fn data(&mut self, channel: ChannelId, data: &[u8], session: &mut Session) -> Result<(), Self::Error> {
        let Some(Slot::Sftp(line)) = self.channels.get(&channel) else { return Ok(()) };
        let Some(line) = line.upgrade().filter(|line| !line.is_over()) else { return Ok(()) };
        if let Err(ended) = line.feed(data) {
            let account = self.guest.account().map(|account| account.name.clone());
            tracing::warn!(account = account.as_deref(), address = %self.address(), %ended, "sessione SFTP chiusa: richieste fuori dalle regole");
            line.end();
            self.guest.doom();
            self.door.ledger.note(self.event(Act::Refused, account, Refused::BadMessage.code()));
            let why = match ended {
                engine::Ended::PacketTooLong(_) => self.words().packet_too_long,
                _ => self.words().protocol_error,
            };
            return session.disconnect(Disconnect::ProtocolError, why, "it");
        }
        Ok(())
    }

    async fn channel_eof(&mut self, channel: ChannelId, session: &mut Session) -> Result<(), Self::Error> {
        match self.channels.get(&channel) {
            Some(Slot::Sftp(line)) => line.upgrade().iter().for_each(|line| line.hang_up()),
            Some(Slot::Fresh(_)) => {
                self.channels.remove(&channel);
                session.close(channel)?;
            }
            _ => {}
        }
        Ok(())
    }

    async fn channel_close(&mut self, channel: ChannelId, _: &mut Session) -> Result<(), Self::Error> {
        match self.channels.get(&channel) {
            // Its place is free; it is remembered until what it asked for is done.
            Some(Slot::Sftp(line)) => line.upgrade().iter().for_each(|line| line.leave()),
            _ => drop(self.channels.remove(&channel)),
        }
        Ok(())
    }

    async fn exec_request(&mut self, channel: ChannelId, command: &[u8], session: &mut Session) -> Result<(), Self::Error> {
        if !matches!(self.channels.get(&channel), Some(Slot::Fresh(_))) {
            return session.channel_failure(channel);
        }
        let scp = command.strip_prefix(b"scp").is_some_and(|rest| rest.first().is_none_or(u8::is_ascii_whitespace));
        let text = if scp { self.words().no_scp } else { self.words().no_shell };
        self.tell(channel, text, session)
    }

    async fn shell_request(&mut self, channel: ChannelId, session: &mut Session) -> Result<(), Self::Error> {
        if !matches!(self.channels.get(&channel), Some(Slot::Fresh(_))) {
            return session.channel_failure(channel);
        }
        let text = self.words().no_shell;
        self.tell(channel, text, session)
    }

    async fn pty_request(
        &mut self,
        channel: ChannelId,
        _: &str,
        _: u32,
        _: u32,
        _: u32,
        _: u32,
        _: &[(Pty, u32)],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_failure(channel)
    }

    async fn x11_request(
        &mut self,
        channel: ChannelId,
        _: bool,
        _: &str,
        _: &str,
        _: u32,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_failure(channel)
    }

    async fn env_request(&mut self, channel: ChannelId, _: &str, _: &str, session: &mut Session) -> Result<(), Self::Error> {
        session.channel_failure(channel)
    }
}
