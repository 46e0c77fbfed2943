//! The effects of a `notifica`, one function each: what is asked of SEND, and which fact the answer is.

mod printed;
mod recovery;
mod upload;

pub use recovery::recover;
use upload::is_fresh;
pub use upload::upload;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};
use jiff::{SignedDuration, Timestamp};
use tracing::Instrument;

use super::channels::Channel;
use super::dispatch::{self, End, settle};
use super::facts::{self, Arrived, Delivery, FactFault};
use super::{Hub, rome};
use crate::config::PtKind;
use crate::connectors::pnd::{CancelAnswer, LegalFactLink, RequestState, SendParts, Uploaded, duplicate_is_ours, new_notification};
use crate::connectors::{ConnectorError, Problem, ProblemError};
use crate::domain::ids::ActId;
use crate::domain::position::CostChannel;
use crate::domain::send::{RefusalReason, cleaned_reasons};
use crate::flow::definition::Sending;
use crate::flow::event::Fact;
use crate::flow::forecast::BASE_FEE;
use crate::flow::prepare::code;
use crate::flow::retry::FailureClass;
use crate::flow::state::State;
use crate::store::{
    Around, Cancelling, Leased, LegalFactToFetch, Materials, SendMaterial, Spend, Stage, StoreError, Subject, stand_in_protocol,
};

const ABOVE_CEILING: &str = "TETTO_INFERIORE_ALL_ATTO";

fn act_of(job: &Leased) -> Option<ActId> {
    match &job.subject {
        Subject::Notifica { act, .. } => Some(*act),
        Subject::Lotto { .. } | Subject::Posizione { .. } => None,
    }
}

/// Tells the circuit how a call went; an outage that begins or ends is told to the operators.
pub fn heard(hub: &Hub, channel: &Channel, error: Option<&ConnectorError>) {
    let outage = error.is_some_and(ConnectorError::is_outage);
    if channel.remote.report(outage, hub.clock.now()) {
        if outage {
            tracing::warn!(channel = channel.name, "SEND non risponde: le chiamate dell'ente aspettano");
        } else {
            tracing::info!(channel = channel.name, "SEND risponde di nuovo");
        }
    }
}

/// The code under which a channel is stopped.
pub fn stop_code(problem: &Problem) -> &'static str {
    if problem.has("PN_DELIVERY_NOTIFICATION_LIMIT_EXCEEDED") {
        "QUOTA_SEND_ESAURITA"
    } else if problem.has("PN_DELIVERY_INVALIDPARAMETER_GROUP") {
        "GRUPPO_RIFIUTATO"
    } else if problem.has("PN_DELIVERY_SEND_IS_DISABLED") || problem.has("PN_DELIVERY_INVALID_SENDER_TAX_ID") {
        "ENTE_NON_ABILITATO"
    } else {
        "CHIAVE_RIFIUTATA"
    }
}

/// What follows an error that has the same meaning for every call.
pub(super) fn after_error(hub: &Hub, channel: &Channel, error: &ConnectorError) -> End {
    let now = hub.clock.now();
    match error {
        ConnectorError::Temporary { what, .. } if what == crate::connectors::what::QUOTA => {
            End::Later { at: tomorrow(now), code: "QUOTA_DEL_GIORNO" }
        }
        ConnectorError::Temporary { retry_after, .. } => {
            let retry_after = retry_after.and_then(|wait| SignedDuration::try_from(wait).ok());
            let retry_after = retry_after.and_then(|wait| wait.checked_mul(i32::try_from(hub.clock.factor()).unwrap_or(i32::MAX)));
            End::Failed { class: FailureClass::Temporary { retry_after }, code: "SEND_NON_RISPONDE" }
        }
        ConnectorError::Uncertain { .. } => End::Failed { class: FailureClass::Temporary { retry_after: None }, code: "ESITO_INCERTO" },
        ConnectorError::Sender(problem) => End::Stop { channel: channel.name.clone(), code: stop_code(problem) },
        ConnectorError::NotFound(_) => End::Failed { class: FailureClass::NotReady { retry_after: None }, code: "NON_ANCORA_PRESENTE" },
        ConnectorError::Refused(problem) | ConnectorError::Unclassified(problem) | ConnectorError::Conflict(problem) => {
            tracing::warn!(channel = channel.name, codes = problem.codes(), trace.id = problem.trace_id, "rifiuto che chiede una persona");
            End::Failed { class: FailureClass::Person { code: "RIFIUTO_SCONOSCIUTO" }, code: "RIFIUTO_SCONOSCIUTO" }
        }
        ConnectorError::Protocol { what } => {
            tracing::error!(channel = channel.name, what, "risposta non conforme alla specifica");
            End::Failed { class: FailureClass::Person { code: "RISPOSTA_NON_CONFORME" }, code: "RISPOSTA_NON_CONFORME" }
        }
    }
}

/// The same for a call about what SEND has created itself: what it does not find there, the key may not see.
fn after_error_about_known(hub: &Hub, channel: &Channel, error: &ConnectorError) -> End {
    match error {
        ConnectorError::NotFound(problem) => {
            tracing::info!(
                channel = channel.name,
                codes = problem.codes(),
                trace.id = problem.trace_id,
                "SEND non mostra ciò che ha creato"
            );
            End::Failed { class: FailureClass::Unseen { code: "NOTIFICA_NON_VISIBILE" }, code: "NON_ANCORA_PRESENTE" }
        }
        error => after_error(hub, channel, error),
    }
}

/// The next Rome midnight.
fn tomorrow(now: Timestamp) -> Timestamp {
    let day = rome(now).date().tomorrow().unwrap_or(jiff::civil::Date::MAX);
    day.to_zoned(rome(now).time_zone().clone()).map_or(now, |zoned| zoned.timestamp())
}

pub(super) fn channel(hub: &Hub, name: &str) -> Result<Arc<Channel>, End> {
    // An ente or key that is no longer in the configuration: its acts wait for a person.
    hub.channels
        .get(name)
        .ok_or(End::Failed { class: FailureClass::Person { code: "CHIAVE_NON_CONFIGURATA" }, code: "CHIAVE_NON_CONFIGURATA" })
}

/// The stage before upload: the protocol that an act must have, and what the PTs say of its notices.
pub async fn prepare(hub: &Arc<Hub>, jobs: &[Leased]) {
    let acts: Vec<ActId> = jobs.iter().filter_map(act_of).collect();
    let materials = match hub.store.material(acts).await {
        Ok(materials) => materials,
        Err(error) => return settle_all(hub, jobs, || End::from(StoreError::Database(error.to_string()))).await,
    };
    let now = hub.clock.now();
    let mut each: Vec<BoxFuture<'_, ()>> = Vec::new();
    for job in jobs {
        let materials = &materials;
        each.push(
            async move {
                let end = match material_for(materials, job) {
                    Ok(material) => prepare_one(hub, job, material, now).await,
                    Err(end) => end,
                };
                settle(hub, job, end).await;
            }
            .instrument(dispatch::span(job))
            .boxed(),
        );
    }
    join_all(each).await;
}

/// The material of a job's act, or how the job ends without it.
fn material_for<'m>(materials: &'m Materials, job: &Leased) -> Result<&'m SendMaterial, End> {
    let act = act_of(job).ok_or(End::Nothing)?;
    // Of an act that is gone nothing is left to do.
    materials.of(act).ok_or_else(|| if materials.unreadable.contains(&act) { person("DATI_ILLEGGIBILI") } else { End::Nothing })
}

/// Whether the act by itself costs more than its ente may spend in a day: no day will do.
fn exceeds_ceiling(hub: &Hub, material: &SendMaterial) -> bool {
    let ceiling = hub.settings().institution(&material.sender).map_or(0, |institution| institution.quota.spend_cents_per_day);
    let fees = material.content.recipients.len() as u64 * BASE_FEE;
    ceiling > 0 && fees > ceiling && material.spend_day.is_none()
}

async fn prepare_one(hub: &Hub, job: &Leased, material: &SendMaterial, now: Timestamp) -> End {
    if material.protocol.is_none() {
        // No protocollo informatico is connected: the reference of the gestionale stands in.
        let protocol = stand_in_protocol(&material.content.reference);
        match hub.store.save_protocol(material.id, protocol).await {
            Ok(true) => {}
            Ok(false) => return person("PROTOCOLLO_GIA_IN_CORSO"),
            Err(error) => return End::from(error),
        }
    }
    let settings = hub.settings();
    let (policy, amount) = (material.flow.payments.clone(), material.content.amount);
    let routes = settings.institutions.iter().flat_map(|ente| &ente.payments);
    let mut around = Around {
        hours: settings.pts.iter().map(|pt| (pt.name.clone(), pt.wait_hours)).collect(),
        gpd: settings.pts.iter().filter(|pt| pt.kind == PtKind::Gpd).map(|pt| pt.name.clone()).collect(),
        asynchronous: routes.filter(|route| route.costs == CostChannel::Async).map(|route| route.pt.clone()).collect(),
        without_id: super::positions::without_id(hub, &material.content),
        printed: None,
    };
    failpoint!("prepare.looked");
    loop {
        match hub.store.prepare_act(material.id, job.job, policy.clone(), amount, around.clone(), now).await {
            Ok(Stage::Over | Stage::Waits) => {
                failpoint!("prepare.judged");
                return End::Saved;
            }
            Ok(Stage::TooLong) => return person(code::PT_SILENT),
            Ok(Stage::Unread) => match printed::notices(hub, material, job.attempts).await {
                Ok(printed) => around.printed = Some(printed),
                Err(end) => return end,
            },
            Err(error) => return End::from(error),
        }
    }
}

/// When the flow's hours begin, if it is outside them now.
fn opens_at(sending: &Sending, now: Timestamp) -> Option<Timestamp> {
    let Sending::Hours { from, to } = sending else { return None };
    let local = rome(now);
    if (*from..*to).contains(&local.time()) {
        return None;
    }
    let day = if local.time() < *from { local.date() } else { local.date().tomorrow().ok()? };
    Some(day.to_datetime(*from).to_zoned(local.time_zone().clone()).ok()?.timestamp())
}

async fn settle_all(hub: &Hub, jobs: &[Leased], end: impl Fn() -> End) {
    for job in jobs {
        settle(hub, job, end()).instrument(dispatch::span(job)).await;
    }
}

fn person(code: &'static str) -> End {
    End::Failed { class: FailureClass::Person { code }, code }
}

/// POSTs many acts of a channel, at once.
pub async fn send_all(hub: &Arc<Hub>, name: &str, jobs: &[Leased]) {
    let Ok(channel) = channel(hub, name) else {
        return settle_all(hub, jobs, || person("CHIAVE_NON_CONFIGURATA")).await;
    };
    let channel = &channel;
    if !channel.listening.load(Ordering::Acquire) {
        // Only what happens after a stream is active is told by it.
        let at = hub.clock.now().saturating_add(hub.real_span(1)).unwrap_or(Timestamp::MAX);
        return settle_all(hub, jobs, || End::Later { at, code: "FLUSSO_EVENTI_NON_ATTIVO" }).await;
    }
    let materials = match hub.store.material(jobs.iter().filter_map(act_of).collect()).await {
        Ok(materials) => materials,
        Err(error) => return settle_all(hub, jobs, || End::from(StoreError::Database(error.to_string()))).await,
    };
    let materials = &materials;
    let ready = jobs.iter().map(|job| async move {
        match material_for(materials, job) {
            Ok(material) => {
                let ready = ready_to_send(hub, channel, job, material).instrument(dispatch::span(job)).await;
                ready.map(|()| (job, material)).map_err(|end| (job, end))
            }
            Err(end) => Err((job, end)),
        }
    });
    let asked: Vec<_> = ready.collect();
    let (mut ready, mut ended) = (Vec::new(), Vec::new());
    for outcome in join_all(asked).await {
        match outcome {
            Ok(one) => ready.push(one),
            Err(end) => ended.push(end),
        }
    }
    let now = hub.clock.now();
    let acts = ready.iter().map(|(job, material)| (material.id, Some(job.job))).collect();
    let spends = match hub.store.reserve_spends(acts, &hub.day(now), channel.quota.spend_cents_per_day, now).await {
        Ok(spends) => spends,
        Err(error) => {
            let error = error.to_string();
            ready.iter().map(|_| Err(StoreError::Database(error.clone()))).collect()
        }
    };
    let sent = ready.into_iter().zip(spends).map(|((job, material), spend)| {
        let work = async move {
            let end = match spend {
                Ok(Spend::Reserved) => send(hub, channel, job, material).await,
                Ok(Spend::NotToday) => End::Later { at: tomorrow(now), code: "TETTO_DI_SPESA" },
                Ok(Spend::Never) => person(ABOVE_CEILING),
                Ok(Spend::Held) => End::Later { at: now, code: "INVII_FERMI" },
                Err(error) => End::from(error),
            };
            settle(hub, job, end).await;
        };
        work.instrument(dispatch::span(job))
    });
    let sent: Vec<_> = sent.collect();
    let ended = ended.into_iter().map(|(job, end)| settle(hub, job, end).instrument(dispatch::span(job)));
    futures_util::future::join(join_all(ended), join_all(sent)).await;
}

/// Every file of the act, and no other, is at SEND: an upload that was under way when the act was modified may have been
/// kept after it.
fn are_current(material: &SendMaterial) -> bool {
    let wanted = material.content.files().map(|file| file.stored.map(|stored| stored.sha256));
    wanted.eq(material.uploads.iter().map(|(_, upload)| Some(upload.sha256)))
}

/// Whether the act may be POSTed now; otherwise how its job ends.
async fn ready_to_send(hub: &Hub, channel: &Channel, job: &Leased, material: &SendMaterial) -> Result<(), End> {
    let now = hub.clock.now();
    if material.state != State::Sending {
        return Err(End::Nothing);
    }
    let Some(protocol) = material.protocol.as_deref() else { return Err(person("PROTOCOLLO_MANCANTE")) };
    if job.attempts > 0
        && let Some(fact) = ask_by_token(hub, channel, protocol, &material.token).await?
    {
        // An earlier attempt was taken: it is not repeated.
        return Err(record(hub, job, material, fact).await);
    }
    if !are_current(material) || material.uploads.iter().any(|(_, upload)| !is_fresh(upload.uploaded_at, now)) {
        hub.store.forget_uploads(material.id).await?;
        return Err(record(hub, job, material, Fact::UploadsStale).await);
    }
    opens_at(&material.flow.sending, now).map_or(Ok(()), |at| Err(End::Later { at, code: "FASCIA_ORARIA" }))
}

async fn record(hub: &Hub, job: &Leased, material: &SendMaterial, fact: Fact) -> End {
    hub.store.record(material.id, fact, Some(job.job), hub.clock.now()).await.map_or_else(End::from, |()| End::Saved)
}

/// The POST, its spending reserved.
async fn send(hub: &Hub, channel: &Channel, job: &Leased, material: &SendMaterial) -> End {
    let now = hub.clock.now();
    let Some(protocol) = material.protocol.as_deref() else { return person("PROTOCOLLO_MANCANTE") };
    let record = |fact: Fact| record(hub, job, material, fact);
    let uploads: Vec<Uploaded> = material.uploads.iter().map(|(_, upload)| upload.clone()).collect();
    let parts = SendParts { idempotence_token: &material.token, protocol, sender_denomination: &channel.denomination, files: &uploads };
    let request = match new_notification(&material.content, &parts) {
        Ok(request) => request,
        Err(missing) => {
            tracing::error!(act.id = %material.id, %missing, "la richiesta non può essere composta");
            return person("RICHIESTA_INCOMPLETA");
        }
    };
    failpoint!("send.before");
    let answer = channel.pnd.send(&request).await;
    failpoint!("send.answered");
    heard(hub, channel, answer.as_ref().err());
    match answer {
        Ok(request_id) => record(Fact::Taken { request_id }).await,
        Err(ConnectorError::Conflict(problem)) if duplicate_is_ours(&problem) => {
            match ask_by_token(hub, channel, protocol, &material.token).await {
                Ok(Some(fact)) => record(fact).await,
                Ok(None) => End::Failed { class: FailureClass::NotReady { retry_after: None }, code: "ESITO_INCERTO" },
                Err(end) => end,
            }
        }
        Err(ConnectorError::Conflict(problem) | ConnectorError::Refused(problem)) => {
            tracing::info!(act.id = %material.id, codes = problem.codes(), trace.id = problem.trace_id, "SEND respinge la richiesta");
            record(Fact::NotTaken { reasons: reasons_of(problem), at: now }).await
        }
        Err(error) => after_error(hub, channel, &error),
    }
}

/// Everything that a 400 or 409 says of the row.
fn reasons_of(problem: Problem) -> Vec<RefusalReason> {
    cleaned_reasons(problem.errors.into_iter().map(|ProblemError { code, element, detail }| {
        let rec_index = element.as_deref().and_then(recipient_in);
        RefusalReason { code, element, detail, rec_index }
    }))
}

/// The recipient that `recipients[1].taxId` speaks of.
fn recipient_in(element: &str) -> Option<u32> {
    let (_, rest) = element.split_once("recipients[")?;
    rest.split_once(']')?.0.parse().ok()
}

/// What SEND knows under the act's token: a fact, or nothing.
async fn ask_by_token(hub: &Hub, channel: &Channel, protocol: &str, token: &str) -> Result<Option<Fact>, End> {
    let answer = channel.pnd.request_by_token(protocol, token).await;
    heard(hub, channel, answer.as_ref().err());
    match answer {
        Ok(state) => Ok(Some(fact_of(state, hub.clock.now()))),
        Err(ConnectorError::NotFound(_)) => Ok(None),
        Err(error) => Err(after_error(hub, channel, &error)),
    }
}

fn fact_of(state: RequestState, now: Timestamp) -> Fact {
    match state {
        RequestState::Waiting { request_id, .. } => Fact::Taken { request_id },
        // The stream (or the resync that follows) brings the element with its true time.
        RequestState::Accepted { request_id, .. } => Fact::Taken { request_id },
        RequestState::Refused { reasons, .. } => Fact::Refused { reasons: cleaned_reasons(reasons), at: now, cost: None },
    }
}

async fn material_of(hub: &Hub, act: ActId) -> Result<SendMaterial, End> {
    let found = hub.store.material(vec![act]).await.map_err(End::from)?;
    if found.unreadable.contains(&act) {
        return Err(person("DATI_ILLEGGIBILI"));
    }
    found.ready.into_iter().next().ok_or(End::Nothing)
}

/// The stream stayed silent about a request: its state is asked, and a whole timeline if it was accepted.
pub async fn ask_request(hub: &Arc<Hub>, job: &Leased, act: ActId) -> End {
    let material = match material_of(hub, act).await {
        Ok(material) => material,
        Err(end) => return end,
    };
    let State::AwaitingAcceptance { request_id } = &material.state else { return End::Nothing };
    let channel = &match channel(hub, &job.channel) {
        Ok(channel) => channel,
        Err(end) => return end,
    };
    let answer = channel.pnd.request_by_id(request_id).await;
    heard(hub, channel, answer.as_ref().err());
    match answer {
        Ok(RequestState::Waiting { .. }) => {
            let at = hub.clock.now().saturating_add(SignedDuration::from_hours(1)).unwrap_or(Timestamp::MAX);
            End::Later { at, code: "IN_VALIDAZIONE" }
        }
        Ok(RequestState::Accepted { iun, .. }) => read_timeline(hub, channel, job, act, &iun).await,
        Ok(RequestState::Refused { reasons, .. }) => {
            let fact = Fact::Refused { reasons: cleaned_reasons(reasons), at: hub.clock.now(), cost: None };
            hub.store.record(act, fact, Some(job.job), hub.clock.now()).await.map_or_else(End::from, |()| End::Saved)
        }
        Err(error) => after_error_about_known(hub, channel, &error),
    }
}

/// Reads the whole timeline of an act.
pub async fn resync(hub: &Arc<Hub>, job: &Leased, act: ActId) -> End {
    let material = match material_of(hub, act).await {
        Ok(material) => material,
        Err(end) => return end,
    };
    let Some(iun) = material.iun else { return End::Nothing };
    match channel(hub, &job.channel) {
        Ok(channel) => read_timeline(hub, &channel, job, act, &iun).await,
        Err(end) => end,
    }
}

async fn read_timeline(hub: &Hub, channel: &Channel, job: &Leased, act: ActId, iun: &str) -> End {
    let answer = channel.pnd.sent(iun).await;
    heard(hub, channel, answer.as_ref().err());
    match answer {
        Ok(sent) => {
            let saved = hub.store.record_timeline(act, iun, sent.timeline, Some(job.job), hub.clock.now()).await;
            saved.map_or_else(End::from, |_| End::Saved)
        }
        Err(error) => after_error_about_known(hub, channel, &error),
    }
}

/// Asks SEND to cancel; the cancellation itself comes as an event.
pub async fn cancel(hub: &Arc<Hub>, job: &Leased, act: ActId) -> End {
    let material = match material_of(hub, act).await {
        Ok(material) => material,
        Err(end) => return end,
    };
    let State::Cancelling { iun } = &material.state else { return End::Nothing };
    let channel = &match channel(hub, &job.channel) {
        Ok(channel) => channel,
        Err(end) => return end,
    };
    let answer = channel.pnd.cancel(iun).await;
    failpoint!("cancel.answered");
    heard(hub, channel, answer.as_ref().err());
    match answer {
        Ok(CancelAnswer::Accepted) => End::Nothing,
        // Already done: its event may have been missed, so the timeline is read.
        Ok(CancelAnswer::AlreadyCancelled) => read_timeline(hub, channel, job, act, iun).await,
        Ok(CancelAnswer::NotificationRefused) => {
            hub.store.record(act, Fact::NothingToCancel, Some(job.job), hub.clock.now()).await.map_or_else(End::from, |()| End::Saved)
        }
        Err(error) => after_error_about_known(hub, channel, &error),
    }
}

/// An operator's cancellation that had to wait: asked of SEND once there is an IUN; a request that SEND never had is withdrawn.
pub async fn cancel_later(hub: &Arc<Hub>, job: &Leased, act: ActId, who: &str, why: &str) -> End {
    let (protocol, token) = match hub.store.cancel_later(act, job.job, who, why, hub.clock.now()).await {
        Ok(Cancelling::Ended | Cancelling::Waits) => return End::Saved,
        Ok(Cancelling::Ask { protocol, token }) => (protocol, token),
        Ok(Cancelling::Never) => return looked(hub, act, Fact::NeverArrived).await,
        Err(error) => return End::from(error),
    };
    let channel = &match channel(hub, &job.channel) {
        Ok(channel) => channel,
        Err(end) => return end,
    };
    let answer = channel.pnd.request_by_token(&protocol, &token).await;
    heard(hub, channel, answer.as_ref().err());
    match answer {
        Ok(state) => looked(hub, act, fact_of(state, hub.clock.now())).await,
        // Only SEND's own word proves it: a 404 of something in between does not.
        Err(ConnectorError::NotFound(problem)) if problem.has("PN_DELIVERY_NOTIFICATIONNOTFOUND") => {
            looked(hub, act, Fact::NeverArrived).await
        }
        Err(ConnectorError::NotFound(_)) => person("RISPOSTA_NON_CONFORME"),
        Err(error) => after_error(hub, channel, &error),
    }
}

/// Saves what SEND said of the request, and looks at once what that means for the cancellation: events may have come meanwhile.
async fn looked(hub: &Hub, act: ActId, fact: Fact) -> End {
    let now = hub.clock.now();
    match hub.store.record(act, fact, None, now).await {
        Ok(()) => End::Later { at: now, code: "ESITO_INCERTO" },
        Err(error) => End::from(error),
    }
}

/// What SEND asks of a recipient. Each notice that bears the cost bears the whole of it, and of several only one is paid.
pub async fn ask_price(hub: &Arc<Hub>, job: &Leased, act: ActId, recipient: u32) -> End {
    let channel = &match channel(hub, &job.channel) {
        Ok(channel) => channel,
        Err(end) => return end,
    };
    let notices = match hub.store.notices(act, recipient).await {
        Ok(notices) => notices,
        Err(error) => return End::from(error),
    };
    if notices.is_empty() {
        return End::Nothing;
    }
    // Before SEND is asked: a letter that is told meanwhile makes the answer one of yesterday.
    let paper = match hub.store.recipients_of(act).await {
        Ok(rows) => rows.iter().find(|row| row.index == recipient).map(|row| row.analog_cost),
        Err(error) => return End::from(error),
    };
    let mut total = 0;
    for (creditor, notice) in notices {
        let answer = channel.pnd.price(&creditor, &notice).await;
        heard(hub, channel, answer.as_ref().err());
        match answer {
            Ok(price) => total = price.total_price.max(total),
            // Freed by a cancellation meanwhile: the job goes with the act. Otherwise SEND is only late.
            Err(error) => return after_error(hub, channel, &error),
        }
    }
    failpoint!("price.answered");
    hub.store
        .record(act, Fact::PriceKnown { recipient, total, paper }, Some(job.job), hub.clock.now())
        .await
        .map_or_else(End::from, |()| End::Saved)
}

/// Downloads the legal facts of an act that are not here yet, each by itself: what comes is kept, whatever becomes of the others.
pub async fn fetch_legal_facts(hub: &Arc<Hub>, job: &Leased, act: ActId, mut facts: Vec<LegalFactToFetch>) -> End {
    let channel = &match channel(hub, &job.channel) {
        Ok(channel) => channel,
        Err(end) => return end,
    };
    loop {
        let fetched = join_all(facts.iter().map(|fact| fetch_legal_fact(hub, channel, fact))).await;
        let (mut arrived, mut failed) = (Vec::new(), None);
        for one in fetched {
            match one {
                Ok(fact) => arrived.push(fact),
                Err(end) => {
                    failed = Some(match failed {
                        Some(other) => sooner(other, end),
                        None => end,
                    });
                }
            }
        }
        let failed = match failed {
            Some(end) if arrived.is_empty() => return end,
            other => other,
        };
        let left = match hub.facts.place(hub, Delivery { act, job: job.job, facts: arrived }).await {
            Ok(left) => left,
            Err(fault) => return after_fact_fault(hub, channel, fault),
        };
        match failed {
            Some(end) => return end,
            None if left == 0 => return End::Saved,
            // Announced meanwhile.
            None => {}
        }
        facts = match hub.store.facts_to_fetch(vec![act]).await {
            Ok(mut found) => found.pop().unwrap_or_default(),
            Err(error) => return End::from(error),
        };
        if facts.is_empty() {
            return End::Failed { class: FailureClass::NotReady { retry_after: None }, code: "NON_ANCORA_PRESENTE" };
        }
    }
}

/// Of two ends of one job, the one that brings it forward sooner; what only a person can mend comes last.
fn sooner(one: End, other: End) -> End {
    let rank = |end: &End| match end {
        End::Stop { .. } => 0,
        End::Later { .. } => 1,
        End::Failed { class: FailureClass::NotReady { .. } | FailureClass::Temporary { .. }, .. } => 2,
        _ => 3,
    };
    if rank(&other) < rank(&one) { other } else { one }
}

async fn fetch_legal_fact(hub: &Arc<Hub>, channel: &Channel, fact: &LegalFactToFetch) -> Result<Arrived, End> {
    if fact.iun.is_empty() {
        return Err(End::Failed { class: FailureClass::NotReady { retry_after: None }, code: "NON_ANCORA_PRESENTE" });
    }
    let _room = hub.facts.downloads.acquire().await;
    let answer = channel.pnd.legal_fact(&fact.iun, &fact.key).await;
    heard(hub, channel, answer.as_ref().err());
    let (url, filename, length) = match answer {
        Ok(LegalFactLink::Ready { url, filename, length }) => (url, filename, length),
        Ok(LegalFactLink::NotReady { retry_after }) => {
            let retry_after = retry_after.and_then(|wait| SignedDuration::try_from(wait).ok());
            return Err(End::Failed { class: FailureClass::NotReady { retry_after }, code: "ATTESTAZIONE_NON_PRONTA" });
        }
        Err(error) => return Err(after_error_about_known(hub, channel, &error)),
    };
    let download = channel.pnd.download(&url, length).await.map_err(|error| after_error(hub, channel, &error))?;
    facts::arrive(hub, fact, &filename, download).await.map_err(|fault| after_fact_fault(hub, channel, fault))
}

fn after_fact_fault(hub: &Hub, channel: &Channel, fault: FactFault) -> End {
    match fault {
        FactFault::Remote(error) => after_error(hub, channel, &error),
        FactFault::Store(error) => End::from(error),
        FactFault::Disk(error) => {
            tracing::error!(%error, "un'attestazione non può essere scritta");
            End::Failed { class: FailureClass::Temporary { retry_after: None }, code: "DISCO" }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connectors::ProblemError;

    #[test]
    fn who_is_refused_as_a_sender_is_stopped_under_the_code_that_says_what_to_do() {
        let table = [
            ("PN_DELIVERY_NOTIFICATION_LIMIT_EXCEEDED", "QUOTA_SEND_ESAURITA"),
            ("PN_DELIVERY_INVALIDPARAMETER_GROUP", "GRUPPO_RIFIUTATO"),
            ("PN_DELIVERY_SEND_IS_DISABLED", "ENTE_NON_ABILITATO"),
            ("PN_DELIVERY_INVALID_SENDER_TAX_ID", "ENTE_NON_ABILITATO"),
            ("Forbidden", "CHIAVE_RIFIUTATA"),
        ];
        for (told, want) in table {
            let error = ProblemError { code: told.to_owned(), ..ProblemError::default() };
            let problem = Problem { status: 403, errors: vec![error], ..Problem::default() };
            assert_eq!(stop_code(&problem), want, "{told}");
            assert!(crate::store::STOP_CODES.contains(&want), "{want}");
        }
    }
}
