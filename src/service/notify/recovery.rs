//! After a restore: what SEND has of an act that the store may know less of than SEND does. Asked by token, request or IUN, until
//! SEND has nothing more to say.
//!
//! Acts of the copy are asked about before anything new is sent ([`recover`]). Acts that were lost come back when their batch is
//! dropped again, with the tokens they had: they are looked for before their first upload ([`not_at_send`]), so that none is sent
//! twice, uploaded in vain or counted as money to be spent.

use std::sync::Arc;

use futures_util::future::join_all;

use super::super::channels::Channel;
use super::super::dispatch::{End, settle};
use super::{Hub, act_of, after_error, after_error_about_known, channel, fact_of, heard};
use crate::connectors::ConnectorError;
use crate::connectors::pnd::RequestState;
use crate::domain::ids::ActId;
use crate::domain::send::cleaned_reasons;
use crate::flow::event::Fact;
use crate::flow::state::State;
use crate::store::{JobRef, Leased, StoreError};

/// Steps of one act in one turn: taken, accepted, its timeline.
const STEPS: usize = 4;

/// Asks SEND all that it knows of an act, and saves it.
pub async fn recover(hub: &Arc<Hub>, job: &Leased, act: ActId) -> End {
    let channel = match channel(hub, &job.channel) {
        Ok(channel) => channel,
        Err(end) => return end,
    };
    for _ in 0..STEPS {
        let state = match hub.store.state_of(act).await {
            Ok(state) => state,
            Err(StoreError::NotFound(_)) => break,
            Err(error) => return End::from(error),
        };
        let more = match state {
            State::Held { .. } | State::Preparing | State::Uploading | State::Sending => look_for(hub, &channel, act, None).await,
            State::AwaitingAcceptance { request_id } => ask_request(hub, &channel, act, &request_id).await,
            State::InDelivery { iun } | State::Completed { iun } | State::Cancelling { iun } | State::Cancelled { iun } => {
                read_all(hub, &channel, act, &iun).await
            }
            State::Refused { .. } | State::Withdrawn => Ok(false),
        };
        match more {
            Ok(true) => {}
            Ok(false) => break,
            Err(end) => return end,
        }
    }
    hub.store.restore_checked(act, job.job).await.map_or_else(End::from, |()| End::Saved)
}

/// Looks for the act under its token, and under those of submissions that may have followed. True: it is there, and was saved.
async fn look_for(hub: &Hub, channel: &Channel, act: ActId, job: Option<JobRef>) -> Result<bool, End> {
    let asked = hub.store.tokens_to_ask(act).await.map_err(End::from)?;
    let mut newest = None;
    for (submission, token) in asked.tokens {
        let answer = channel.pnd.request_by_token(&asked.protocol, &token).await;
        heard(hub, channel, answer.as_ref().err());
        match answer {
            Ok(state) => newest = Some((submission, state)),
            // The number before may have gone under another protocol.
            Err(ConnectorError::NotFound(_)) => {}
            Err(error) => return Err(after_error(hub, channel, &error)),
        }
    }
    let Some((submission, state)) = newest else { return Ok(false) };
    let now = hub.clock.now();
    tracing::info!(act.id = %act, submission, "SEND ha già l'atto: viene ripreso da lì");
    let request_id = match &state {
        RequestState::Waiting { request_id, .. } | RequestState::Accepted { request_id, .. } | RequestState::Refused { request_id, .. } => {
            request_id
        }
    };
    let mut facts = vec![Fact::Taken { request_id: request_id.clone() }];
    if let RequestState::Refused { .. } = &state {
        facts.push(fact_of(state, now));
    }
    hub.store.found_at_send(act, submission, facts, job, now).await.map_err(End::from)?;
    Ok(true)
}

async fn ask_request(hub: &Hub, channel: &Channel, act: ActId, request_id: &str) -> Result<bool, End> {
    let answer = channel.pnd.request_by_id(request_id).await;
    heard(hub, channel, answer.as_ref().err());
    match answer {
        // The stream, or the question that waits for it, will tell.
        Ok(RequestState::Waiting { .. }) => Ok(false),
        Ok(RequestState::Accepted { iun, .. }) => read_all(hub, channel, act, &iun).await,
        Ok(RequestState::Refused { reasons, .. }) => {
            let now = hub.clock.now();
            let fact = Fact::Refused { reasons: cleaned_reasons(reasons), at: now, cost: None };
            hub.store.record(act, fact, None, now).await.map_err(End::from)?;
            Ok(false)
        }
        Err(error) => Err(after_error_about_known(hub, channel, &error)),
    }
}

/// The whole timeline: nothing comes after it.
async fn read_all(hub: &Hub, channel: &Channel, act: ActId, iun: &str) -> Result<bool, End> {
    let answer = channel.pnd.sent(iun).await;
    heard(hub, channel, answer.as_ref().err());
    match answer {
        Ok(sent) => {
            hub.store.record_timeline(act, iun, sent.timeline, None, hub.clock.now()).await.map_err(End::from)?;
            Ok(false)
        }
        Err(error) => Err(after_error_about_known(hub, channel, &error)),
    }
}

/// Of acts about to be uploaded, those that SEND does not have. The others are saved as SEND has them. While no restore is
/// recent, all of them, unasked.
pub async fn not_at_send(hub: &Arc<Hub>, channel: &Channel, jobs: &[Leased]) -> Vec<Leased> {
    match hub.store.watches_for_lost(hub.clock.now()).await {
        Ok(false) => return jobs.to_vec(),
        Ok(true) => {}
        Err(error) => {
            super::settle_all(hub, jobs, || End::from(StoreError::Database(error.to_string()))).await;
            return Vec::new();
        }
    }
    let looked = jobs.iter().map(|job| async move {
        match act_of(job) {
            None => Ok(Some(job)),
            Some(act) => match look_for(hub, channel, act, Some(job.job)).await {
                Ok(false) => Ok(Some(job)),
                Ok(true) => Err((job, End::Saved)),
                Err(end) => Err((job, end)),
            },
        }
    });
    let mut left = Vec::new();
    for outcome in join_all(looked).await {
        match outcome {
            Ok(job) => left.extend(job.cloned()),
            Err((job, end)) => settle(hub, job, end).await,
        }
    }
    left
}
