//! What partner tecnologici ask and tell: the price of a notice, a payment, the outcome of a change.
//!
//! Every PT has its own paths (`/pt/NAME/...`) and credentials (`[pt.chiama]`), and is answered about the notices that the routes of
//! an ente (`[[ente.pagamenti]]`) give to it and nothing else. A price is answered from what is known, one look, never a call
//! elsewhere: MyPay waits five seconds and then asks the citizen for the old amount. An event is durable before it is
//! acknowledged and changes nothing the second time. Errors have the shape of each contract; a message is read only after its
//! sender has shown who it is, save that of a login.

mod access;
mod balance;
mod govpay;
mod guard;
mod jwt;
mod legacy;
mod piemontepay;
mod pu;
mod receipt;
mod xml;

use std::net::IpAddr;
use std::ops::Deref;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use aws_lc_rs::hmac;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::door::Peer;
use crate::clock::{Clock, monotonic};
use crate::config::{Config, PtKind, RestConfig};
use crate::domain::calendar::{in_rome, instant_in_rome};
use crate::domain::money::Cents;
use crate::domain::position::{PaymentEvent, PaymentSeen};
use crate::service::Hub;
use crate::service::positions::{self, PaymentTaken, Price, PriceAnswer};
use crate::store::StoreError;
use access::{Caller, Callers, Signed, Way};
use guard::Guard;

/// Bytes of a message that asks for a price or a login.
const SMALL: usize = 8 << 10;
/// Bytes of a message that is too large which are read and thrown away.
const PASSED_OVER: usize = 1 << 20;
/// Seconds after which who found no room for a large message may come again.
const COME_AGAIN: u64 = 5;

/// What every path shares.
pub(super) struct Desk {
    hub: Arc<Hub>,
    callers: RwLock<Arc<Callers>>,
    /// Hashes passwords and signs tokens; gone with the process.
    key: hmac::Key,
    guard: Guard,
    behind_proxy: bool,
    /// Bytes of a message that tells something.
    large: usize,
    /// Bytes of large messages that may still be taken in.
    room: Arc<Semaphore>,
    body_time: Duration,
}

/// A message that was read. What a large one takes of the room is free again when it is dropped: after it was worked on.
struct Message {
    bytes: Bytes,
    held: Option<OwnedSemaphorePermit>,
}

impl Message {
    /// Its bytes are no longer needed, what was made of them is.
    fn spent(self) -> Option<OwnedSemaphorePermit> {
        self.held
    }
}

impl Deref for Message {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Why a call is not heard; each contract says it in its own shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refused {
    /// No such PT, or it may not call, or not in this way.
    NoSuchPath,
    Credentials,
    /// Too many wrong passwords.
    Slow {
        seconds: u64,
    },
    TooLarge,
    TooSlow,
    /// Too many large messages at one time.
    NoRoom,
    /// The body is not what its signature covers.
    Signature,
}

impl Refused {
    fn status(self) -> StatusCode {
        match self {
            Refused::NoSuchPath => StatusCode::NOT_FOUND,
            Refused::Credentials | Refused::Signature => StatusCode::UNAUTHORIZED,
            Refused::Slow { .. } => StatusCode::TOO_MANY_REQUESTS,
            Refused::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Refused::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Refused::NoRoom => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// For whoever sets up the PT.
    fn sentence(self) -> &'static str {
        match self {
            Refused::NoSuchPath => "indirizzo inesistente",
            Refused::Credentials => "credenziali non valide",
            Refused::Slow { .. } => "troppi accessi errati: riprovare più tardi",
            Refused::TooLarge => "messaggio troppo grande",
            Refused::TooSlow => "messaggio non ricevuto in tempo",
            Refused::NoRoom => "troppi messaggi insieme: riprovare fra poco",
            Refused::Signature => "firma del messaggio non valida",
        }
    }

    /// The body in a contract's shape, with the status and the headers that go with it.
    fn answer(self, body: impl IntoResponse) -> Response {
        let mut response = (self.status(), body).into_response();
        let wait = match self {
            Refused::Slow { seconds } => Some(seconds),
            Refused::NoRoom => Some(COME_AGAIN),
            _ => None,
        };
        if let Some(seconds) = wait
            && let Ok(value) = seconds.max(1).to_string().parse()
        {
            response.headers_mut().insert(header::RETRY_AFTER, value);
        }
        if self == Refused::Credentials {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"messo\""));
        }
        response
    }
}

impl Desk {
    pub fn new(hub: Arc<Hub>, config: &RestConfig) -> Result<Desk, String> {
        let key = access::fresh_key()?;
        let callers = access::callers(&hub.settings(), &key)?;
        Ok(Desk {
            hub,
            callers: RwLock::new(Arc::new(callers)),
            key,
            guard: Guard::default(),
            behind_proxy: config.behind_proxy,
            large: usize::try_from(config.max_body_bytes).unwrap_or(usize::MAX),
            room: room(config),
            body_time: Duration::from_secs(u64::from(config.body_s)),
        })
    }

    /// Reads the credentials that a configuration names. What it answers puts them in the place of all.
    pub fn reread(self: &Arc<Self>, config: &Config) -> Result<impl FnOnce() + Send + 'static, String> {
        let callers = Arc::new(access::callers(config, &self.key)?);
        let desk = self.clone();
        Ok(move || *desk.callers.write().unwrap_or_else(PoisonError::into_inner) = callers)
    }

    fn caller(&self, pt: &str, kinds: &[PtKind]) -> Result<Arc<Caller>, Refused> {
        let callers = self.callers.read().unwrap_or_else(PoisonError::into_inner).clone();
        callers.get(pt).filter(|caller| kinds.contains(&caller.kind)).cloned().ok_or(Refused::NoSuchPath)
    }

    /// Where the call comes from: behind a proxy, the last address that it wrote.
    fn address(&self, parts: &Parts) -> IpAddr {
        let told = parts.headers.get_all("x-forwarded-for").iter().next_back().filter(|_| self.behind_proxy);
        let told = told.and_then(|value| value.to_str().ok()?.rsplit(',').next()?.trim().parse().ok());
        let peer = || parts.extensions.get::<Peer>().map_or(IpAddr::from([0, 0, 0, 0]), |peer| peer.0);
        told.unwrap_or_else(peer)
    }

    /// Whether that address may try a password now.
    fn may_try(&self, pt: &str, address: IpAddr) -> Result<(), Refused> {
        match self.guard.wait(address, pt, monotonic()) {
            Some(wait) => Err(Refused::Slow { seconds: wait.as_secs() + 1 }),
            None => Ok(()),
        }
    }

    fn wrong_password(&self, pt: &str, address: IpAddr) -> Refused {
        let failures = self.guard.failed(address, pt, monotonic());
        tracing::warn!(pt, %address, failures, "credenziali errate di un partner tecnologico");
        Refused::Credentials
    }

    /// Who calls, known by its credentials.
    fn admit(&self, pt: &str, kinds: &[PtKind], way: Way, parts: &Parts) -> Result<Arc<Caller>, Refused> {
        let caller = self.caller(pt, kinds)?;
        // What was signed cannot be guessed: it is not kept waiting by whoever guesses passwords from the same address, and one that has
        // run out is everyday life and costs nothing.
        match caller.signed(&parts.headers, way, Clock::REAL.now()) {
            Signed::Good => return Ok(caller),
            Signed::Stale => {
                tracing::debug!(pt, "un token o un voucher scaduto");
                return Err(Refused::Credentials);
            }
            Signed::Not if way == Way::Token => return Err(Refused::Credentials),
            Signed::Not => {}
        }
        let address = self.address(parts);
        self.may_try(pt, address)?;
        if !caller.admits(&parts.headers, way) {
            return Err(self.wrong_password(pt, address));
        }
        self.guard.admitted(address, pt);
        Ok(caller)
    }

    /// The whole body, as far as `limit`; of a large one `room` is taken for what of it has come.
    async fn body(&self, body: Body, limit: usize) -> Result<Message, Refused> {
        let room = Some(&self.room).filter(|_| limit > SMALL);
        tokio::time::timeout(self.body_time, whole(body, limit, room)).await.unwrap_or(Err(Refused::TooSlow))
    }

    /// Who calls and what it says.
    async fn heard(&self, pt: &str, kinds: &[PtKind], way: Way, request: Request, limit: usize) -> Result<(Arc<Caller>, Message), Refused> {
        let (parts, body) = request.into_parts();
        let caller = self.admit(pt, kinds, way, &parts)?;
        let body = self.body(body, limit).await.inspect_err(|why| {
            if *why == Refused::NoRoom {
                tracing::warn!(pt, "troppi messaggi grandi insieme: il partner tecnologico è pregato di ripetere il suo");
            }
        })?;
        if let Some(key) = caller.signature.as_ref().filter(|_| way == Way::Voucher)
            && !jwt::covers(key, &parts.headers, &body, Clock::REAL.now())
        {
            tracing::warn!(pt, "un messaggio del partner tecnologico ha una firma non valida");
            return Err(Refused::Signature);
        }
        Ok((caller, body))
    }

    /// Whether that PT has, or had, the notice of that ente: any route to it that fits, for a position stays at its PT when another
    /// route comes before its own. What is answered and kept of it is compared with the PT of the position again.
    fn is_of(&self, pt: &str, creditor: &str, notice: &str) -> bool {
        positions::partners::route(&self.hub.settings(), creditor, notice, pt).is_some()
    }

    /// The price of a notice, from what is known.
    fn price(&self, caller: &Caller, creditor: &str, notice: &str) -> Result<PriceAnswer, StoreError> {
        if !self.is_of(&caller.pt, creditor, notice) {
            return Ok(PriceAnswer::Unknown);
        }
        positions::price(&self.hub, &caller.pt, creditor, notice)
    }

    /// The notices of an ente that an IUV can stand for, as that PT has them: with aux 0 the application code is lost.
    fn notices_of(&self, pt: &str, creditor: &str, iuv: &str) -> Vec<String> {
        let settings = self.hub.settings();
        let Some(ente) = settings.institution(creditor) else { return Vec::new() };
        let mut found = Vec::new();
        for route in ente.payments.iter().filter(|route| route.pt == pt) {
            let aux = route.aux.map_or(vec![3, 0, 1, 2], |aux| vec![aux]);
            for aux in aux {
                let notice = match (aux, &route.code) {
                    (0, Some(code)) => format!("0{code}{iuv}"),
                    (0, None) => continue,
                    (aux, _) => format!("{aux}{iuv}"),
                };
                if is_notice(&notice) && !found.contains(&notice) && self.is_of(pt, creditor, &notice) {
                    found.push(notice);
                }
            }
        }
        found
    }

    /// The notice behind an IUV and its price: of those it can stand for, the one that is known.
    fn price_of_iuv(&self, caller: &Caller, creditor: &str, iuv: &str) -> Result<(String, PriceAnswer), StoreError> {
        let notices = self.notices_of(&caller.pt, creditor, iuv);
        for notice in &notices {
            let answer = self.price(caller, creditor, notice)?;
            if answer != PriceAnswer::Unknown {
                return Ok((notice.clone(), answer));
            }
        }
        Ok((notices.into_iter().next().unwrap_or_default(), PriceAnswer::Unknown))
    }

    /// Takes a payment that a PT tells.
    async fn paid(&self, caller: &Caller, paid: Paid) -> Result<PaymentTaken, Untaken> {
        let notice = match paid.notice {
            Some(notice) => notice,
            None => match self.price_of_iuv(caller, &paid.creditor, &paid.iuv) {
                Ok((notice, _)) => notice,
                Err(error) => return Err(self.broken(&caller.pt, &error)),
            },
        };
        if !is_notice(&notice) || !self.is_of(&caller.pt, &paid.creditor, &notice) {
            tracing::warn!(pt = caller.pt, creditor = paid.creditor, notice, "un pagamento di un avviso che non è di questo partner");
            // Of one of our enti: its way has gone, and somebody has paid.
            if is_notice(&notice) && self.hub.settings().institution(&paid.creditor).is_some() {
                let told = positions::payment_of_nobody(&self.hub, &caller.pt, &paid.creditor, &notice).await;
                told.map_err(|error| self.broken(&caller.pt, &error))?;
            }
            return Err(Untaken::NotOurs);
        }
        if !(1..=99_999_999_999).contains(&paid.amount.0) {
            return Err(Untaken::Amount);
        }
        let payment =
            PaymentSeen { paid_at: paid.paid_at.unwrap_or_else(|| self.hub.clock.now()), amount: paid.amount, receipt: paid.receipt };
        let event = PaymentEvent { pt: caller.pt.clone(), creditor: paid.creditor, notice, payment, whole: paid.whole, polled: false };
        let (creditor, notice, amount, whole) = (event.creditor.clone(), event.notice.clone(), event.payment.amount.0, event.whole);
        match positions::paid(&self.hub, event).await {
            Ok(taken) => {
                tracing::info!(pt = caller.pt, creditor, notice, amount, whole, taken = taken_word(taken), "pagamento comunicato");
                Ok(taken)
            }
            Err(error) => Err(self.broken(&caller.pt, &error)),
        }
    }

    fn broken(&self, pt: &str, error: &StoreError) -> Untaken {
        tracing::error!(pt, %error, "una chiamata del partner tecnologico non ha avuto risposta");
        Untaken::Broken
    }
}

/// The room for large messages: one at least fits.
fn room(config: &RestConfig) -> Arc<Semaphore> {
    let bytes = usize::try_from(config.max_bodies_bytes.max(config.max_body_bytes)).unwrap_or(usize::MAX);
    Arc::new(Semaphore::new(bytes.min(Semaphore::MAX_PERMITS)))
}

/// Reads a body. Of one that is too large, or finds no room, a little more is passed over, so that its sender is still listening when
/// it is told.
async fn whole(body: Body, limit: usize, room: Option<&Arc<Semaphore>>) -> Result<Message, Refused> {
    let mut stream = body.into_data_stream();
    let (mut first, mut whole, mut seen) = (Bytes::new(), BytesMut::new(), 0_usize);
    let mut held: Option<OwnedSemaphorePermit> = None;
    let mut refused = None;
    let mut passed = 0_usize;
    while let Some(part) = stream.next().await {
        // The sender is gone, and reads nothing any more.
        let part = part.map_err(|_| Refused::TooSlow)?;
        seen = seen.saturating_add(part.len());
        if refused.is_none() && seen > limit {
            refused = Some(Refused::TooLarge);
        }
        if let (None, Some(room)) = (refused, room) {
            match u32::try_from(part.len()).ok().and_then(|bytes| room.clone().try_acquire_many_owned(bytes).ok()) {
                Some(more) => match &mut held {
                    Some(held) => held.merge(more),
                    None => held = Some(more),
                },
                None => refused = Some(Refused::NoRoom),
            }
        }
        if refused.is_none() {
            // Mostly it comes in one piece, which is taken as it is.
            if seen == part.len() {
                first = part;
                continue;
            }
            if whole.is_empty() {
                whole.extend_from_slice(&first);
            }
            whole.extend_from_slice(&part);
            continue;
        }
        (first, whole, held) = (Bytes::new(), BytesMut::new(), None);
        passed = passed.saturating_add(part.len());
        if passed > PASSED_OVER {
            break;
        }
    }
    match refused {
        Some(why) => Err(why),
        None => Ok(Message { bytes: if whole.is_empty() { first } else { whole.freeze() }, held }),
    }
}

/// A payment as a contract tells it.
struct Paid {
    creditor: String,
    /// When the contract says it; else the IUV is looked for.
    notice: Option<String>,
    iuv: String,
    amount: Cents,
    paid_at: Option<Timestamp>,
    receipt: Option<String>,
    whole: bool,
}

/// Why a payment was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Untaken {
    /// A notice of another PT or of an ente that is not here.
    NotOurs,
    /// Zero, negative or too large.
    Amount,
    /// The store did not answer: it will have to be told again.
    Broken,
}

fn taken_word(taken: PaymentTaken) -> &'static str {
    match taken {
        PaymentTaken::New => "nuovo",
        PaymentTaken::Repeated => "ripetuto",
        PaymentTaken::Unknown => "sconosciuto",
    }
}

/// What was answered about a price, for the log: sums and codes, nobody's name.
fn told(caller: &Caller, creditor: &str, notice: &str, answer: &PriceAnswer, code: &str) {
    let pt = caller.pt.as_str();
    match answer {
        PriceAnswer::Due(price) => {
            let Price { iun, day, .. } = &**price;
            let (total, due, cost, step) = (day.total.0, day.due.0, day.cost.0, day.step);
            tracing::info!(pt, creditor, notice, code, iun, total, due, cost, step, "prezzo comunicato");
        }
        PriceAnswer::Unknown | PriceAnswer::NotYet | PriceAnswer::NotPayable(_) => {
            tracing::info!(pt, creditor, notice, code, "prezzo non comunicato");
        }
    }
}

fn is_digits(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_creditor(text: &str) -> bool {
    is_digits(text, 11)
}

fn is_notice(text: &str) -> bool {
    is_digits(text, 18)
}

/// The beginning of a Rome day, with its offset (RFC 3339).
fn day_begins(day: Date) -> Option<String> {
    let begins = instant_in_rome(day.at(0, 0, 0, 0))?;
    Some(begins.display_with_offset(in_rome(begins).offset()).to_string())
}

/// Euro with cents, as a JSON number.
fn euro(cents: Cents) -> f64 {
    // Exact to the cent far beyond the largest amount of a notice.
    cents.0 as f64 / 100.0
}

/// Cents of a JSON number of euro.
fn cents(euro: f64) -> Option<Cents> {
    let cents = (euro * 100.0).round();
    ((0.0..1e12).contains(&cents) && (cents / 100.0 - euro).abs() < 1e-6).then_some(Cents(cents as i64))
}

fn json(status: StatusCode, body: &impl Serialize) -> Response {
    // Most of them fit.
    let mut text = Vec::with_capacity(512);
    if serde_json::to_writer(&mut text, body).is_err() {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Every path.
pub(super) fn router(desk: Arc<Desk>) -> Router {
    Router::new()
        .route("/pt/{pt}/legacy/login", post(legacy::login))
        .route("/pt/{pt}/legacy/notification-price", post(legacy::price))
        .route("/pt/{pt}/legacy/payment-notification", post(legacy::paid))
        .route("/pt/{pt}/amount-update", post(pu::price))
        .route("/pt/{pt}/payment-notification", post(pu::paid))
        .route("/pt/{pt}/costo/{organization}/{iuv}", get(piemontepay::price))
        .route("/pt/{pt}/soap", post(piemontepay::soap))
        .route("/pt/{pt}/avvisi/{creditor}/{notice}", get(govpay::by_notice))
        .route("/pt/{pt}/pendenze/{a2a}/{position}", get(govpay::by_position))
        .route("/pt/{pt}/ricevute/{creditor}/{iuv}/{receipt}", put(govpay::paid))
        .fallback(async || StatusCode::NOT_FOUND)
        .with_state(desk)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_and_days_as_contracts_write_them() {
        for (sum, want) in [(4_210, "42.1"), (10, "0.1"), (99_999_999_999, "999999999.99"), (2_900, "29.0"), (1, "0.01")] {
            assert_eq!(serde_json::to_string(&euro(Cents(sum))).unwrap(), want);
            assert_eq!(cents(euro(Cents(sum))), Some(Cents(sum)), "{sum}");
        }
        for wrong in [-1.0, 10.005, f64::NAN, f64::INFINITY, 1e11] {
            assert_eq!(cents(wrong), None, "{wrong}");
        }
        for (day, want) in [("2026-11-23", "2026-11-23T00:00:00+01:00"), ("2026-07-01", "2026-07-01T00:00:00+02:00")] {
            assert_eq!(day_begins(day.parse().unwrap()).as_deref(), Some(want));
        }
    }

    #[tokio::test]
    async fn large_messages_share_a_room_and_leave_it_when_they_were_worked_on() {
        let rest: RestConfig = toml::from_str("listen = \"127.0.0.1:0\"\nmax_body_bytes = 100\nmax_bodies_bytes = 10").unwrap();
        let room = room(&rest);
        assert_eq!(room.available_permits(), 100, "one of the largest always fits");
        let body = |parts: &[usize]| {
            let parts: Vec<Result<Bytes, std::io::Error>> = parts.iter().map(|length| Ok(Bytes::from(vec![b' '; *length]))).collect();
            Body::from_stream(futures_util::stream::iter(parts))
        };
        let first = whole(body(&[30, 30]), 100, Some(&room)).await.unwrap();
        assert_eq!((first.len(), room.available_permits()), (60, 40));
        let second = whole(body(&[30, 30]), 100, Some(&room)).await;
        assert_eq!((second.err(), room.available_permits()), (Some(Refused::NoRoom), 40), "what it had taken is free again");
        assert_eq!(whole(body(&[90, 30]), 100, Some(&room)).await.err(), Some(Refused::NoRoom));
        let small = whole(body(&[40]), 100, Some(&room)).await.unwrap();
        assert_eq!(room.available_permits(), 0);
        assert!(whole(body(&[8_000]), SMALL, None).await.is_ok(), "a question of price needs no room");
        // Its bytes are gone, what was made of them is still worked on.
        let held = small.spent();
        drop(first);
        assert_eq!(room.available_permits(), 60);
        drop(held);
        assert_eq!(room.available_permits(), 100);
        assert_eq!(whole(body(&[60, 41]), 100, Some(&room)).await.err(), Some(Refused::TooLarge));
        assert_eq!(room.available_permits(), 100);
    }
}
