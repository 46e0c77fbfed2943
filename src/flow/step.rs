//! The transitions of a `notifica`: total, pure. The caller saves the whole step in one transaction, then workers run its effects.

use jiff::Timestamp;

use super::effect::{Corrected, Effect, Flag, LineDraft};
use super::event::{Fact, Order, OrderRefused};
use super::state::{HoldReason, State};
use super::timeline::Summary;
use crate::domain::outcome::OutcomeState;
use crate::domain::send::{NO_REASON, RefusalReason, TimelineElement};

/// Everything that follows one fact or order.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    pub next: State,
    pub effects: Vec<Effect>,
    pub lines: Vec<LineDraft>,
    pub flags: Vec<Flag>,
}

impl Step {
    fn to(next: State) -> Step {
        Step { next, effects: Vec::new(), lines: Vec::new(), flags: Vec::new() }
    }
    fn stay(state: &State) -> Step {
        Step::to(state.clone())
    }
    fn then(mut self, effect: Effect) -> Step {
        self.effects.push(effect);
        self
    }
    fn tell(mut self, line: LineDraft) -> Step {
        self.lines.push(line);
        self
    }
    fn flag(mut self, code: &'static str, about: impl Into<String>) -> Step {
        self.flags.push(Flag { code, about: about.into() });
        self
    }
}

/// What of the act, beside its state, decisions depend on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ActFacts {
    /// Automatic re-submissions so far, this act's earlier rows included.
    pub resubmissions: u32,
    /// Another act waits for this one's cancellation.
    pub has_replacement: bool,
    /// An operator or the gestionale wants it gone as soon as that is possible.
    pub cancel_wanted: bool,
    /// Refused, it is about to be sent again by itself.
    pub resubmission_waits: bool,
    /// Some notice adds SEND's cost to what the citizen pays.
    pub applies_cost: bool,
    /// A POST may have left: only SEND can say what became of it.
    pub posted: bool,
    /// The stage before the upload has nothing to do: it has its protocol.
    pub prepared: bool,
}

impl ActFacts {
    /// Nothing of the act can have reached SEND: it may still be changed or withdrawn.
    pub fn is_unsent(self, state: &State) -> bool {
        !self.posted && (state.is_unsent() || matches!(state, State::Sending))
    }
}

/// Technical refusals that a fresh upload or a later moment mends (`reference send.md` 4).
const RESUBMITTED: [&str; 5] = ["FILE_NOTFOUND", "FILE_GONE", "FILE_SHA_ERROR", "ADDRESS_SEARCH_FAILED", "SERVICE_UNAVAILABLE"];

/// How an act begins. `prepared`: as in [`ActFacts`].
pub fn begin(hold: Option<HoldReason>, prepared: bool, now: Timestamp) -> Step {
    match hold {
        Some(reason) => Step::to(State::Held { reason }).tell(line_with_code(OutcomeState::Held, reason.as_str(), now)),
        None => set_out(prepared).tell(LineDraft::new(OutcomeState::Taken, "PRESO_IN_CARICO", now)),
    }
}

/// The stage before the upload, passed over when there is nothing to do in it.
fn set_out(prepared: bool) -> Step {
    if prepared { Step::to(State::Uploading).then(Effect::Upload) } else { Step::to(State::Preparing).then(Effect::Prepare) }
}

/// What follows a fact. Never refuses one; what it did not expect it keeps and flags.
pub fn observe(state: &State, act: ActFacts, fact: &Fact, now: Timestamp) -> Step {
    use {Effect as Do, Fact as F, State as S};
    match (state, fact) {
        (S::Preparing, F::Prepared) => Step::to(S::Uploading).then(Do::Upload),
        (_, F::Remarked { recipient, told, code }) => {
            let mut line = line_with_code(OutcomeState::Info, code, now);
            line.event = fact.name();
            line.recipient = Some(*recipient);
            line.position = Some(told.clone());
            Step::stay(state).tell(line)
        }
        (S::Preparing, F::NotPayable { recipient, notice, code, at }) => {
            let element = Some(format!("avviso {notice}"));
            let reason = RefusalReason { element, rec_index: Some(*recipient), ..RefusalReason::of(*code) };
            let mut line = refusal_line(&[reason], *at, None);
            line.event = fact.name();
            Step::to(S::Refused { code: (*code).to_owned() }).then(after_refusal(act, Do::WriteReject)).tell(line)
        }
        (S::Uploading, F::Uploaded) => Step::to(S::Sending).then(Do::Send),
        (S::Sending, F::UploadsStale) => Step::to(S::Uploading).then(Do::Upload),
        (S::Sending, F::Taken { request_id }) => Step::to(S::AwaitingAcceptance { request_id: request_id.clone() })
            .then(Do::AskRequest)
            .tell(LineDraft::new(OutcomeState::Sent, "INVIATO", now)),
        (S::Sending, F::NotTaken { reasons, at }) => {
            let line = refusal_line(reasons, *at, None);
            let step = Step::to(S::Refused { code: first_code(reasons).to_owned() }).then(after_refusal(act, Do::WriteReject)).tell(line);
            unexplained(step, reasons, fact)
        }
        (S::Sending | S::AwaitingAcceptance { .. }, F::Accepted { iun, .. }) => Step::to(S::InDelivery { iun: iun.clone() }),
        // SEND has it although we thought otherwise (a lost answer, a store restored from a copy): what SEND says counts.
        (S::Held { .. } | S::Preparing | S::Uploading, F::Accepted { iun, .. }) => {
            Step::to(S::InDelivery { iun: iun.clone() }).flag("FATTO_INATTESO", format!("{} in {}", fact.name(), state.name()))
        }
        (S::Refused { .. }, F::Accepted { iun, at, .. }) => {
            let mut line = LineDraft::new(OutcomeState::Info, "RETTIFICA", at.unwrap_or(now));
            line.corrects = Some(Corrected::State(OutcomeState::Refused));
            let step = Step::to(S::InDelivery { iun: iun.clone() }).tell(line);
            step.flag("FATTO_INATTESO", format!("{} in {}", fact.name(), state.name()))
        }
        // The office took it back: the order still holds.
        (S::Withdrawn, F::Accepted { iun, at, .. }) => {
            let mut line = LineDraft::new(OutcomeState::Cancelling, "RETTIFICA", at.unwrap_or(now));
            line.corrects = Some(Corrected::State(OutcomeState::Cancelled));
            let step = Step::to(S::Cancelling { iun: iun.clone() }).then(Do::Cancel).tell(line);
            step.flag("FATTO_INATTESO", format!("{} in {}", fact.name(), state.name()))
        }
        // The stream repeats itself; a request status may come after it.
        (S::InDelivery { iun } | S::Completed { iun } | S::Cancelling { iun } | S::Cancelled { iun }, F::Accepted { iun: again, .. })
            if iun == again =>
        {
            Step::stay(state)
        }
        (S::Sending | S::AwaitingAcceptance { .. }, F::Refused { reasons, at, cost }) => {
            unexplained(refused(act, reasons, *at, *cost), reasons, fact)
        }
        (S::Held { .. } | S::Preparing | S::Uploading, F::Refused { reasons, at, cost }) => {
            let step = unexplained(refused(act, reasons, *at, *cost), reasons, fact);
            step.flag("FATTO_INATTESO", format!("{} in {}", fact.name(), state.name()))
        }
        // Learnt by asking before: the element of the timeline alone says what it cost.
        (S::Refused { code }, F::Refused { reasons, at, cost: Some(cost) }) => {
            let mut line = refusal_line(reasons, *at, Some(*cost));
            line.event = "RETTIFICA".to_owned();
            line.corrects = Some(Corrected::State(OutcomeState::Refused));
            if reasons.is_empty() {
                line.code = Some(code.clone());
            }
            Step::stay(state).tell(line)
        }
        // SEND has it although we thought otherwise: asked by token, for an order to cancel it or after a restore.
        (S::Held { .. } | S::Preparing | S::Uploading, F::Taken { request_id }) => {
            Step::to(S::AwaitingAcceptance { request_id: request_id.clone() }).then(Do::AskRequest).tell(LineDraft::new(
                OutcomeState::Sent,
                "INVIATO",
                now,
            ))
        }
        (S::Preparing | S::Uploading | S::Sending, F::NeverArrived) => withdrawn(act, now),
        (_, F::NeverArrived)
        | (S::Refused { .. }, F::Refused { .. })
        | (_, F::Taken { .. } | F::Uploaded | F::UploadsStale | F::Prepared | F::NotPayable { .. }) => Step::stay(state),
        (S::Cancelling { .. }, F::NothingToCancel) => {
            let code = "NOTIFICATION_REFUSED";
            let step = Step::to(S::Refused { code: code.to_owned() }).tell(line_with_code(OutcomeState::Refused, code, now));
            let step = if act.has_replacement { step.then(Do::StartReplacement) } else { step };
            step.flag("FATTO_INATTESO", code)
        }
        (S::Held { reason: HoldReason::Cancellation }, F::PredecessorCancelled) => begin(None, act.prepared, now),
        (_, F::PriceKnown { recipient, total, .. }) => {
            let mut line = LineDraft::new(OutcomeState::Info, "COSTO", now);
            line.recipient = Some(*recipient);
            line.citizen_cost = Some(*total);
            line.corrects = Some(Corrected::Event("COSTO"));
            Step::stay(state).tell(line)
        }
        (_, F::LegalFactStored { recipient, name, at }) => {
            let mut line = LineDraft::new(OutcomeState::Info, "ATTESTAZIONE", *at);
            line.recipient = *recipient;
            line.legal_facts = vec![name.clone()];
            Step::stay(state).tell(line)
        }
        (_, F::Element { element, before, after }) => told(state, act, element, before, after, now),
        // Kept, shown, and a person told: never an error that would block the stream behind it.
        (state, fact) => Step::stay(state).flag("FATTO_INATTESO", format!("{} in {}", fact.name(), state.name())),
    }
}

/// What follows an order, or why it cannot be done now.
pub fn command(state: &State, act: ActFacts, order: Order, now: Timestamp) -> Result<Step, OrderRefused> {
    match (state, order) {
        (state, Order::Modify) if act.is_unsent(state) => {
            let step = match state {
                State::Held { .. } => Step::stay(state),
                _ => set_out(act.prepared),
            };
            Ok(step.tell(LineDraft::new(OutcomeState::Modified, "MODIFICATO", now)))
        }
        (state, Order::Cancel) if act.is_unsent(state) => Ok(withdrawn(act, now)),
        (State::InDelivery { iun } | State::Completed { iun }, Order::Cancel) => Ok(Step::to(State::Cancelling { iun: iun.clone() })
            .then(Effect::Cancel)
            .tell(LineDraft::new(OutcomeState::Cancelling, "ANNULLAMENTO_CHIESTO", now))),
        (State::Cancelling { .. }, Order::Cancel) => Ok(Step::stay(state)),
        (State::Preparing | State::Uploading | State::Sending | State::AwaitingAcceptance { .. }, Order::Cancel) => {
            Err(OrderRefused::NoIunYet)
        }
        (State::Held { reason: HoldReason::Operator | HoldReason::Guard }, Order::Release) => {
            Ok(set_out(act.prepared).tell(LineDraft::new(OutcomeState::Taken, "RILASCIATO", now)))
        }
        // SEND has said no, and is not asked again.
        (State::Refused { .. }, Order::Cancel) if act.resubmission_waits => {
            Ok(Step::stay(state).then(Effect::WriteReject).tell(LineDraft::new(OutcomeState::Info, "REINVIO_ANNULLATO", now)))
        }
        (State::Refused { .. } | State::Cancelled { .. } | State::Withdrawn, _) => Err(OrderRefused::Closed),
        (_, Order::Modify) => Err(OrderRefused::AlreadySent),
        (_, Order::Release) => Err(OrderRefused::NotHeld),
        (_, Order::Cancel) => Err(OrderRefused::Closed),
    }
}

fn refused(act: ActFacts, reasons: &[RefusalReason], at: Timestamp, cost: Option<i64>) -> Step {
    let mut line = refusal_line(reasons, at, cost);
    line.event = "REQUEST_REFUSED".to_owned();
    let step = Step::to(State::Refused { code: first_code(reasons).to_owned() }).tell(line);
    let technical = !reasons.is_empty() && reasons.iter().all(|reason| RESUBMITTED.contains(&reason.code.as_str()));
    let again = technical && act.resubmissions == 0 && !act.cancel_wanted;
    let next = if again { Effect::Resubmit } else { Effect::WriteReject };
    step.then(after_refusal(act, next))
}

/// A refusal that says not why can only be cleared up with SEND: a person is told.
fn unexplained(step: Step, reasons: &[RefusalReason], fact: &Fact) -> Step {
    let said = reasons.iter().any(|reason| reason.code != NO_REASON);
    if said { step } else { step.flag(NO_REASON, fact.name()) }
}

fn first_code(reasons: &[RefusalReason]) -> &str {
    reasons.first().map_or(NO_REASON, |reason| reason.code.as_str())
}

/// Nobody but the timeline knows the cost of a refusal: until it tells, none is written.
fn refusal_line(reasons: &[RefusalReason], at: Timestamp, cost: Option<i64>) -> LineDraft {
    let mut line = line_with_code(OutcomeState::Refused, first_code(reasons), at);
    line.reasons = reasons.to_vec();
    line.institution_cost = cost;
    line
}

/// Nothing of the act is at SEND, and nothing will be.
fn withdrawn(act: ActFacts, now: Timestamp) -> Step {
    let step = Step::to(State::Withdrawn).tell(LineDraft::new(OutcomeState::Cancelled, "RITIRATO", now));
    if act.has_replacement { step.then(Effect::StartReplacement) } else { step }
}

/// A refused act that was about to be replaced is neither sent again nor given back: its replacement goes.
fn after_refusal(act: ActFacts, otherwise: Effect) -> Effect {
    if act.has_replacement { Effect::StartReplacement } else { otherwise }
}

/// One timeline element: the line it deserves, the completions it moves, the files it announces.
fn told(state: &State, act: ActFacts, element: &TimelineElement, before: &Summary, after: &Summary, now: Timestamp) -> Step {
    let at = element.happened_at().unwrap_or(now);
    let mut step = Step::to(after_element(state, act, element, after));
    let expected = state.iun().is_some() || matches!(state, State::Sending | State::AwaitingAcceptance { .. });
    if !expected && !is_internal(&element.category) {
        step = step.flag("FATTO_INATTESO", format!("{} in {}", element.category, state.name()));
    }
    if !element.legal_facts_ids.is_empty() {
        step = step.then(Effect::FetchLegalFacts);
    }
    let recipient = element.rec_index();
    let moved = moved_completions(before, after);
    if !is_internal(&element.category) {
        let mut line = LineDraft::new(line_state(&element.category), element.category.clone(), at);
        line.recipient = recipient;
        line.attempt = element.detail_i64("sentAttemptMade").and_then(|n| u32::try_from(n + 1).ok());
        line.registered_letter = element.detail_str("registeredLetterCode").map(str::to_owned);
        line.delivery_detail = element.detail_str("deliveryDetailCode").map(str::to_owned);
        line.failure_cause = element.detail_str("deliveryFailureCause").map(str::to_owned);
        line.institution_cost = match recipient {
            Some(index) => after.recipient(index).map(|summary| summary.institution_cost()),
            None => element.detail_i64("notificationCost"),
        };
        // The completion that this very element made is told by its own line.
        if let Some((_, completion)) = moved.iter().find(|(index, _)| Some(*index) == recipient)
            && line.state == OutcomeState::Completed
        {
            let was = recipient.and_then(|index| before.recipient(index)).and_then(|summary| summary.completion);
            line.completion = *completion;
            line.corrects = was.map(|_| Corrected::State(OutcomeState::Completed));
        } else if line.state == OutcomeState::Completed {
            line.state = OutcomeState::Info;
        }
        step = step.tell(line);
    }
    let own_line_told = |index: u32| Some(index) == recipient && line_state(&element.category) == OutcomeState::Completed;
    for (index, completion) in moved.iter().filter(|(index, _)| !own_line_told(*index)) {
        // A rework took a completion away, or moved it: the earlier line is corrected, never changed.
        // Without it the recipient stands where SEND's status does: at a delivery that was not taken back, if there is one.
        let state = if completion.is_some() { OutcomeState::Completed } else { stands(after, *index) };
        let mut line = LineDraft::new(state, "RETTIFICA", at);
        line.recipient = Some(*index);
        line.completion = *completion;
        line.corrects = Some(Corrected::State(OutcomeState::Completed));
        line.institution_cost = after.recipient(*index).map(|summary| summary.institution_cost());
        step = step.tell(line);
    }
    for (index, state) in taken_back(before, after) {
        let mut line = LineDraft::new(OutcomeState::Info, "RETTIFICA", at);
        line.recipient = Some(index);
        line.corrects = Some(Corrected::State(state));
        line.completion = after.recipient(index).and_then(|summary| summary.completion);
        line.institution_cost = after.recipient(index).map(|summary| summary.institution_cost());
        step = step.tell(line);
    }
    if act.applies_cost && !matches!(step.next, State::Cancelled { .. }) {
        // Paper that was on its way at the completion is charged after it, and a rework moves sums as well as dates.
        let paper = |summary: &Summary, index: u32| summary.recipient(index).map(|recipient| recipient.analog_cost);
        for (index, recipient) in (0u32..).zip(&after.recipients) {
            let changed = moved.iter().any(|(other, _)| *other == index) || paper(before, index) != paper(after, index);
            if changed && recipient.completion.is_some() {
                step = step.then(Effect::AskPrice { recipient: index });
            }
        }
    }
    if element.category == "NOTIFICATION_TIMELINE_REWORKED" {
        step = step.flag("TIMELINE_RETTIFICATA", element.element_id.clone());
    }
    if !is_known(&element.category) {
        step = step.flag("EVENTO_SCONOSCIUTO", element.category.clone());
    }
    if matches!(step.next, State::Cancelled { .. }) && !matches!(state, State::Cancelled { .. }) && act.has_replacement {
        step = step.then(Effect::StartReplacement);
    }
    step
}

fn after_element(state: &State, _act: ActFacts, element: &TimelineElement, after: &Summary) -> State {
    let Some(iun) = state.iun().map(str::to_owned) else { return state.clone() };
    if element.category == "NOTIFICATION_CANCELLED" || after.cancelled_at.is_some() {
        return State::Cancelled { iun };
    }
    match state {
        State::InDelivery { .. } if element.category == "NOTIFICATION_CANCELLATION_REQUEST" => State::Cancelling { iun },
        State::InDelivery { .. } | State::Completed { .. } => {
            if after.is_closed() {
                State::Completed { iun }
            } else {
                State::InDelivery { iun }
            }
        }
        other => other.clone(),
    }
}

type Completion = Option<(Timestamp, crate::domain::outcome::Perfection)>;

fn moved_completions(before: &Summary, after: &Summary) -> Vec<(u32, Completion)> {
    let was = |index: usize| before.recipients.get(index).and_then(|recipient| recipient.completion);
    let changed = after.recipients.iter().enumerate().filter(|(index, now)| now.completion != was(*index));
    changed.map(|(index, now)| (u32::try_from(index).unwrap_or(u32::MAX), now.completion)).collect()
}

/// Where a recipient who is not complete stands, by what is left of its timeline. `Info`: nothing of it says where.
fn stands(after: &Summary, index: u32) -> OutcomeState {
    match after.recipient(index) {
        Some(recipient) if recipient.deceased => OutcomeState::ReturnedToSender,
        Some(recipient) if recipient.delivered => OutcomeState::Delivered,
        Some(recipient) if recipient.unreachable => OutcomeState::Unreachable,
        _ => OutcomeState::Info,
    }
}

/// What a rework says did not happen: the recipient is neither dead nor unreachable, nor has anything been delivered, as far as is
/// known now.
fn taken_back(before: &Summary, after: &Summary) -> Vec<(u32, OutcomeState)> {
    let mut found = Vec::new();
    for ((index, was), now) in (0u32..).zip(&before.recipients).zip(&after.recipients) {
        if was.deceased && !now.deceased {
            found.push((index, OutcomeState::ReturnedToSender));
        }
        if was.unreachable && !now.unreachable {
            found.push((index, OutcomeState::Unreachable));
        }
        if was.delivered && !now.delivered {
            found.push((index, OutcomeState::Delivered));
        }
    }
    found
}

fn line_with_code(state: OutcomeState, code: &str, at: Timestamp) -> LineDraft {
    let mut line = LineDraft::new(state, state.as_str(), at);
    line.code = Some(code.to_owned());
    line
}

/// What a category says of the act, in the words of the esito.
fn line_state(category: &str) -> OutcomeState {
    match category {
        "REQUEST_ACCEPTED" => OutcomeState::Accepted,
        "SEND_DIGITAL_DOMICILE" | "SEND_ANALOG_DOMICILE" | "SEND_SIMPLE_REGISTERED_LETTER" => OutcomeState::Delivering,
        "DIGITAL_SUCCESS_WORKFLOW" | "ANALOG_SUCCESS_WORKFLOW" => OutcomeState::Delivered,
        "COMPLETELY_UNREACHABLE" => OutcomeState::Unreachable,
        "NOTIFICATION_VIEWED" | "REFINEMENT" => OutcomeState::Completed,
        "ANALOG_WORKFLOW_RECIPIENT_DECEASED" => OutcomeState::ReturnedToSender,
        "NOTIFICATION_CANCELLATION_REQUEST" => OutcomeState::Cancelling,
        "NOTIFICATION_CANCELLED" => OutcomeState::Cancelled,
        _ => OutcomeState::Info,
    }
}

/// Steps inside SEND that concern no one outside: kept in the timeline, not printed in the esito.
fn is_internal(category: &str) -> bool {
    matches!(
        category,
        "SENDER_ACK_CREATION_REQUEST"
            | "VALIDATE_NORMALIZE_ADDRESSES_REQUEST"
            | "NORMALIZED_ADDRESS"
            | "PUBLIC_REGISTRY_VALIDATION_CALL"
            | "PUBLIC_REGISTRY_VALIDATION_RESPONSE"
            | "AAR_CREATION_REQUEST"
            | "AAR_GENERATION"
            | "SEND_COURTESY_MESSAGE"
            | "GET_ADDRESS"
            | "PUBLIC_REGISTRY_CALL"
            | "PUBLIC_REGISTRY_RESPONSE"
            | "SCHEDULE_DIGITAL_WORKFLOW"
            | "PREPARE_DIGITAL_DOMICILE"
            | "DIGITAL_DELIVERY_CREATION_REQUEST"
            | "PREPARE_SIMPLE_REGISTERED_LETTER"
            | "SCHEDULE_ANALOG_WORKFLOW"
            | "PREPARE_ANALOG_DOMICILE"
            | "COMPLETELY_UNREACHABLE_CREATION_REQUEST"
            | "SCHEDULE_REFINEMENT"
            | "NOTIFICATION_VIEWED_CREATION_REQUEST"
            | "NOT_HANDLED"
    )
}

/// Categories of `TimelineElementCategoryV28`.
fn is_known(category: &str) -> bool {
    is_internal(category)
        || line_state(category) != OutcomeState::Info
        || matches!(
            category,
            "REQUEST_REFUSED"
                | "PROBABLE_SCHEDULING_ANALOG_DATE"
                | "SEND_DIGITAL_PROGRESS"
                | "SEND_DIGITAL_FEEDBACK"
                | "DIGITAL_FAILURE_WORKFLOW"
                | "SEND_SIMPLE_REGISTERED_LETTER_PROGRESS"
                | "PREPARE_ANALOG_DOMICILE_FAILURE"
                | "SEND_ANALOG_PROGRESS"
                | "SEND_ANALOG_FEEDBACK"
                | "ANALOG_FAILURE_WORKFLOW"
                | "NOTIFICATION_RADD_RETRIEVED"
                | "PAYMENT"
                | "NOTIFICATION_TIMELINE_REWORKED"
        )
}

#[cfg(test)]
mod tests;
