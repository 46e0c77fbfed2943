//! Where an act stands for those who keep accounts: what one row of a nightly export prints, for each of its recipients.
//!
//! It follows from the lines of the ledger and from what the act asks for, line by line: [`follow`] is pure, so whoever knows
//! the lines up to one of them knows what was printed then. No names, no tax ids of citizens.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::act::vocabulary;
use super::outcome::{OutcomeLine, OutcomeState, Perfection};

/// What SEND charges the ente for a recipient of an accepted notification, before paper (cents, net of VAT).
pub const BASE_FEE: i64 = 100;
/// Between several notices in one cell.
pub const LIST_SEPARATOR: &str = "|";

vocabulary!(
    /// What an export lists. Written in files: never renamed.
    ExportKind {
        /// Every act that changed in the window.
        Changed = "VARIATI",
        /// Every act of which something is still expected, as it stands at the end of the window.
        Open = "APERTI",
    }
);

/// One recipient of one act, after one line of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// From 0, in the order of the batch.
    pub recipient: u32,
    pub state: OutcomeState,
    /// Nothing more is expected of the whole act.
    pub closed: bool,
    /// Why the act waits for a person.
    pub suspended: Option<String>,
    /// Why SEND refused it.
    pub code: Option<String>,
    pub protocol: Option<String>,
    pub iun: Option<String>,
    /// Notice codes of the recipient, between [`LIST_SEPARATOR`].
    pub notices: String,
    /// What the act asks for, cents.
    pub amount: Option<i64>,
    /// As the act asks for them: VAT on paper (percent), share of the ente (cents).
    pub vat: Option<u32>,
    pub pa_fee: Option<u32>,
    /// What SEND charges the ente, cents: base fee and paper.
    pub base_fee: Option<i64>,
    pub paper: Option<i64>,
    /// What SEND adds to the payment of the citizen, cents.
    pub citizen_cost: Option<i64>,
    pub accepted_at: Option<Timestamp>,
    pub completed_at: Option<Timestamp>,
    pub perfection: Option<Perfection>,
    /// How many attestations are kept: of the recipient and of the whole act.
    pub attestations: u32,
    /// The notices ask for one debt between them (`gruppo_avvisi`): one of them is paid.
    pub alternatives: bool,
    /// What each notice asks for and what was paid with it, cents, in the order of `notices`; empty until a PT is followed.
    pub payments: Vec<NoticeStanding>,
    /// When something was paid last.
    pub paid_at: Option<Timestamp>,
}

/// Code of a payment whose amount nobody told.
const UNTOLD: &str = "PAGATO_IMPORTO_NON_COMUNICATO";

/// One notice of a recipient.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NoticeStanding {
    /// As it was last reckoned, cost of notification included, cents.
    pub due: Option<i64>,
    pub paid: Option<i64>,
    /// The PT said that it is paid and not how much: `paid` is what it asked for, until somebody tells.
    pub presumed: bool,
}

/// What an act asks for, for one recipient.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Terms {
    pub notices: String,
    /// The notices are alternatives: one of them is paid.
    pub alternatives: bool,
    pub amount: Option<i64>,
    pub vat: Option<u32>,
    pub pa_fee: Option<u32>,
}

impl Standing {
    /// Before any line.
    pub fn new(recipient: u32, terms: Terms) -> Standing {
        Standing {
            recipient,
            state: OutcomeState::Taken,
            closed: false,
            suspended: None,
            code: None,
            protocol: None,
            iun: None,
            notices: terms.notices,
            amount: terms.amount,
            vat: terms.vat,
            pa_fee: terms.pa_fee,
            base_fee: None,
            paper: None,
            citizen_cost: None,
            accepted_at: None,
            completed_at: None,
            perfection: None,
            attestations: 0,
            alternatives: terms.alternatives,
            payments: Vec::new(),
            paid_at: None,
        }
    }

    /// What the notices ask for together, known once each of them was reckoned: of alternatives (reduced or full, all at once or by
    /// instalments) one is paid, so it is what the largest asks for.
    #[must_use]
    pub fn due(&self) -> Option<i64> {
        let notices = self.notices.split(LIST_SEPARATOR).count();
        let known: Vec<i64> = self.payments.iter().map_while(|notice| notice.due).collect();
        match known.len() == notices {
            true if self.alternatives => known.into_iter().max(),
            true => Some(known.into_iter().sum()),
            false => None,
        }
    }

    /// Takes over what was told of the notices that stay, when the act gets other content.
    pub fn keep_payments(&mut self, before: &[Standing]) {
        let of = |notice: &str| {
            before.iter().find_map(|one| {
                let index = one.notices.split(LIST_SEPARATOR).position(|known| known == notice)?;
                Some((*one.payments.get(index)?, one.paid_at))
            })
        };
        let kept: Vec<_> = self.notices.split(LIST_SEPARATOR).map(of).collect();
        if kept.iter().any(Option::is_some) {
            self.paid_at = kept.iter().flatten().filter(|(notice, _)| notice.paid.is_some()).filter_map(|(_, at)| *at).max();
            self.payments = kept.into_iter().map(|told| told.map(|(notice, _)| notice).unwrap_or_default()).collect();
        }
    }

    /// What was paid with the notices together.
    #[must_use]
    pub fn paid(&self) -> Option<i64> {
        self.payments.iter().filter_map(|notice| notice.paid).fold(None, |sum, paid| Some(sum.unwrap_or(0) + paid))
    }

    /// Takes what a line says of one notice.
    fn follow_notice(&mut self, line: &OutcomeLine) {
        let Some(told) = &line.position else { return };
        let mut notices = self.notices.split(LIST_SEPARATOR);
        let (count, Some(index)) = (notices.clone().count(), notices.position(|mine| mine == told.notice)) else { return };
        self.payments.resize(count, NoticeStanding::default());
        let Some(standing) = self.payments.get_mut(index) else { return };
        if let Some(due) = told.due(&line.event) {
            standing.due = Some(due);
        }
        if let Some(paid) = told.paid(&line.event) {
            let before = standing.paid.filter(|_| !standing.presumed).unwrap_or(0);
            standing.paid = Some(before + paid);
            standing.presumed = line.code.as_deref() == Some(UNTOLD);
            self.paid_at = Some(line.happened_at);
        }
    }

    fn is_over(&self) -> bool {
        use OutcomeState as S;
        matches!(self.state, S::Completed | S::ReturnedToSender | S::Cancelled | S::Refused)
    }
}

/// What the citizen owes by each row, cents, in the order of `all`: what its notices ask for, as it was reckoned; of notices that no
/// managed PT has, what the act asks for and SEND's cost where it is added. Who has no notice, where another has one, is asked for
/// nothing: they owe one debt, and it is told where its notice is. An act without any tells it with its first recipient.
#[must_use]
pub fn owed(all: &[Standing]) -> Vec<Option<i64>> {
    let any = all.iter().any(|one| !one.notices.is_empty());
    let tells = |one: &Standing| if any { !one.notices.is_empty() } else { one.recipient == 0 };
    let stated = |one: &Standing| one.amount.map(|amount| amount + one.citizen_cost.unwrap_or(0)).filter(|_| tells(one));
    all.iter().map(|one| one.due().or_else(|| stated(one))).collect()
}

/// Takes one more line of an act into account. Answers whether anything that is printed has changed.
pub fn follow(all: &mut [Standing], line: &OutcomeLine) -> bool {
    let before = all.to_vec();
    let count = all.len();
    for (index, standing) in all.iter_mut().enumerate() {
        standing.protocol.clone_from(&line.protocol);
        standing.iun.clone_from(&line.iun);
        standing.accepted_at = line.sender_completed_at.or(standing.accepted_at);
        match line.recipient {
            None => follow_act(standing, line, index, count),
            Some(recipient) if recipient == standing.recipient => follow_recipient(standing, line),
            Some(_) => {}
        }
    }
    let closed = all.iter().all(Standing::is_over);
    all.iter_mut().for_each(|standing| standing.closed = closed);
    all != before
}

/// A line that speaks of the whole act.
fn follow_act(standing: &mut Standing, line: &OutcomeLine, index: usize, count: usize) {
    use OutcomeState as S;
    if line.event == "RIPRESO" || !matches!(line.state, S::Info | S::Modified | S::Parked) {
        standing.suspended = None;
    }
    standing.attestations += u32::try_from(line.legal_facts.len()).unwrap_or(u32::MAX);
    match line.state {
        S::Parked => standing.suspended = Some(line.code.clone().unwrap_or_else(|| S::Parked.as_str().to_owned())),
        S::Taken | S::Held | S::Sent | S::Cancelling => standing.state = line.state,
        S::Accepted => accepted(standing),
        // SEND has it after all.
        S::Info if line.event == "RETTIFICA" && standing.state == S::Refused => {
            standing.code = None;
            standing.state = S::Sent;
            accepted(standing);
        }
        S::Refused => {
            standing.state = S::Refused;
            standing.code.clone_from(&line.code);
            // Of the whole request: shared out, what cannot be divided to the first.
            if let (Some(cost), Ok(count)) = (line.institution_cost, i64::try_from(count.max(1))) {
                let first = if index == 0 { cost % count } else { 0 };
                standing.base_fee = Some(cost / count + first);
                standing.paper = Some(0);
            }
        }
        S::Cancelled => {
            standing.state = S::Cancelled;
            // A cancellation frees the notice: there is no price any more.
            standing.citizen_cost = None;
        }
        _ => {}
    }
}

fn accepted(standing: &mut Standing) {
    use OutcomeState as S;
    if matches!(standing.state, S::Taken | S::Held | S::Sent) {
        standing.state = S::Accepted;
    }
    standing.base_fee = Some(BASE_FEE);
    standing.paper = standing.paper.or(Some(0));
}

/// A line that speaks of this recipient.
fn follow_recipient(standing: &mut Standing, line: &OutcomeLine) {
    use OutcomeState as S;
    let ended = matches!(standing.state, S::Cancelled | S::Refused);
    standing.follow_notice(line);
    standing.attestations += u32::try_from(line.legal_facts.len()).unwrap_or(u32::MAX);
    if let Some(cost) = line.institution_cost {
        standing.base_fee = Some(BASE_FEE);
        standing.paper = Some(cost - BASE_FEE);
    }
    if line.event == "COSTO" && !ended {
        standing.citizen_cost = line.citizen_cost;
    }
    // One that takes a completion away says where the recipient stands without it, if that is known.
    let corrected = line.state != S::Completed && line.event == "RETTIFICA";
    if line.state == S::Completed || corrected {
        standing.completed_at = line.recipient_completed_at;
        standing.perfection = line.perfection;
    }
    if ended || standing.state == S::Cancelling {
        return;
    }
    standing.state = match (standing.completed_at, line.state) {
        (Some(_), _) => S::Completed,
        // Taken away by a rework.
        (None, S::Delivered | S::Unreachable | S::ReturnedToSender) if standing.state == S::Completed => line.state,
        (None, _) if standing.state == S::Completed => S::Delivering,
        (None, S::Info) if corrected && matches!(standing.state, S::ReturnedToSender | S::Unreachable | S::Delivered) => S::Delivering,
        (None, S::Delivering | S::Delivered | S::Unreachable) if standing.state == S::ReturnedToSender => S::ReturnedToSender,
        (None, S::Delivering | S::Delivered | S::Unreachable | S::ReturnedToSender) => line.state,
        (None, _) => standing.state,
    };
}

/// One row of an export: a standing as it lies in the store, with what never changes of its act. Nothing is copied to print it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Statement<'a> {
    /// Ledger line after which the act stands so.
    pub line: u64,
    /// When that line was written.
    pub at: Timestamp,
    pub act: uuid::Uuid,
    /// From 0.
    pub recipient: u32,
    /// How many the act has.
    pub recipients: u32,
    /// Tax id of the ente.
    pub sender: &'a str,
    pub flow: &'a str,
    pub reference: &'a str,
    pub submission: u32,
    pub protocol: Option<&'a str>,
    pub iun: Option<&'a str>,
    pub notices: &'a str,
    /// Word of [`OutcomeState`].
    pub state: &'a str,
    pub closed: bool,
    pub suspended: Option<&'a str>,
    pub code: Option<&'a str>,
    pub amount: Option<i64>,
    pub vat: Option<u32>,
    pub pa_fee: Option<u32>,
    pub base_fee: Option<i64>,
    pub paper: Option<i64>,
    pub citizen_cost: Option<i64>,
    pub accepted_at: Option<Timestamp>,
    pub completed_at: Option<Timestamp>,
    /// Word of [`Perfection`].
    pub perfection: Option<&'a str>,
    /// Names under `attestazioni/`, between [`LIST_SEPARATOR`].
    pub attestations: Option<&'a str>,
    /// What the citizen owes by this row, cents ([`owed`]).
    pub due: Option<i64>,
    /// What was paid with them, cents, and when last.
    pub paid: Option<i64>,
    pub paid_at: Option<Timestamp>,
}

impl Statement<'_> {
    /// What SEND charges the ente, cents.
    pub fn institution_cost(&self) -> Option<i64> {
        match (self.base_fee, self.paper) {
            (None, None) => None,
            (base, paper) => Some(base.unwrap_or(0) + paper.unwrap_or(0)),
        }
    }
}

/// Sums of the rows of an export, cents.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    pub rows: u64,
    pub acts: u64,
    /// Of all rows, and counting each act once.
    pub amount: i64,
    pub amount_of_acts: i64,
    pub base_fee: i64,
    pub paper: i64,
    pub institution_cost: i64,
    pub citizen_cost: i64,
    pub due: i64,
    pub paid: i64,
}

impl Totals {
    /// Adds a row.
    pub fn add(&mut self, row: &Statement<'_>) {
        self.rows += 1;
        self.amount += row.amount.unwrap_or(0);
        if row.recipient == 0 {
            self.acts += 1;
            self.amount_of_acts += row.amount.unwrap_or(0);
        }
        self.base_fee += row.base_fee.unwrap_or(0);
        self.paper += row.paper.unwrap_or(0);
        self.institution_cost += row.institution_cost().unwrap_or(0);
        self.citizen_cost += row.citizen_cost.unwrap_or(0);
        self.due += row.due.unwrap_or(0);
        self.paid += row.paid.unwrap_or(0);
    }
}

#[cfg(test)]
mod tests {
    use OutcomeState as S;

    use super::*;
    use crate::domain::ids::{ActId, BatchId};
    use crate::domain::outcome::PositionTold;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn line(state: S, event: &str, recipient: Option<u32>) -> OutcomeLine {
        OutcomeLine {
            line: 1,
            corrects: None,
            batch: BatchId(uuid::Uuid::nil()),
            act: ActId(uuid::Uuid::nil()),
            sender_tax_id: "01234567897".into(),
            flow: "cds".into(),
            reference: "V-1".into(),
            submission: 1,
            protocol: Some("P-1".into()),
            iun: None,
            recipient,
            state,
            event: event.into(),
            happened_at: at("2026-11-22T08:00:00Z"),
            written_at: at("2026-11-22T08:00:00Z"),
            attempt: None,
            registered_letter: None,
            delivery_detail: None,
            failure_cause: None,
            sender_completed_at: None,
            recipient_completed_at: None,
            perfection: None,
            institution_cost: None,
            citizen_cost: None,
            legal_facts: Vec::new(),
            code: None,
            position: None,
        }
    }

    fn completed(recipient: u32, when: &str) -> OutcomeLine {
        OutcomeLine {
            recipient_completed_at: Some(at(when)),
            perfection: Some(Perfection::Viewed),
            institution_cost: Some(100),
            ..line(S::Completed, "NOTIFICATION_VIEWED", Some(recipient))
        }
    }

    fn act(recipients: u32) -> Vec<Standing> {
        (0..recipients).map(|recipient| Standing::new(recipient, Terms::default())).collect()
    }

    fn told(recipients: u32, lines: &[OutcomeLine]) -> Vec<Standing> {
        let mut all = act(recipients);
        for line in lines {
            follow(&mut all, line);
        }
        all
    }

    #[test]
    fn each_line_moves_the_state_of_those_it_speaks_of() {
        let sent = [line(S::Taken, "PRESO_IN_CARICO", None), line(S::Sent, "INVIATO", None)];
        let accepted = [&sent[..], &[line(S::Accepted, "REQUEST_ACCEPTED", None)]].concat();
        let refused = line(S::Refused, "REQUEST_REFUSED", None);
        let rework = line(S::Info, "RETTIFICA", Some(0));
        let delivered = [&accepted[..], &[line(S::Delivered, "ANALOG_SUCCESS_WORKFLOW", Some(0))]].concat();
        let stands = line(S::Delivered, "RETTIFICA", Some(0));
        let table: Vec<(Vec<OutcomeLine>, [S; 2], bool)> = vec![
            (sent.to_vec(), [S::Sent, S::Sent], false),
            (accepted.clone(), [S::Accepted, S::Accepted], false),
            ([&accepted[..], &[line(S::Delivering, "SEND_ANALOG_DOMICILE", Some(1))]].concat(), [S::Accepted, S::Delivering], false),
            ([&accepted[..], &[completed(0, "2026-11-23T08:00:00Z")]].concat(), [S::Completed, S::Accepted], false),
            (
                [&accepted[..], &[line(S::ReturnedToSender, "ANALOG_WORKFLOW_RECIPIENT_DECEASED", Some(0)), rework.clone()]].concat(),
                [S::Delivering, S::Accepted],
                false,
            ),
            (
                [&accepted[..], &[line(S::Delivered, "ANALOG_SUCCESS_WORKFLOW", Some(0)), rework.clone()]].concat(),
                [S::Delivering, S::Accepted],
                false,
            ),
            (
                [&accepted[..], &[line(S::Unreachable, "COMPLETELY_UNREACHABLE", Some(0)), rework.clone()]].concat(),
                [S::Delivering, S::Accepted],
                false,
            ),
            (
                [
                    &accepted[..],
                    &[completed(0, "2026-11-23T08:00:00Z"), line(S::ReturnedToSender, "ANALOG_WORKFLOW_RECIPIENT_DECEASED", Some(1))],
                ]
                .concat(),
                [S::Completed, S::ReturnedToSender],
                true,
            ),
            // Paper on its way at the view; a view after the term; a rework.
            (
                [&accepted[..], &[completed(0, "2026-11-23T08:00:00Z"), line(S::Delivering, "SEND_ANALOG_DOMICILE", Some(0))]].concat(),
                [S::Completed, S::Accepted],
                false,
            ),
            ([&accepted[..], &[completed(0, "2026-11-23T08:00:00Z"), rework.clone()]].concat(), [S::Delivering, S::Accepted], false),
            // Of the completion alone: the delivery stands, until it is taken back too.
            ([&delivered[..], &[completed(0, "2026-11-23T08:00:00Z"), stands.clone()]].concat(), [S::Delivered, S::Accepted], false),
            ([&delivered[..], &[completed(0, "2026-11-23T08:00:00Z"), stands, rework]].concat(), [S::Delivering, S::Accepted], false),
            ([&sent[..], std::slice::from_ref(&refused)].concat(), [S::Refused, S::Refused], true),
            ([&sent[..], &[refused, line(S::Info, "RETTIFICA", None)]].concat(), [S::Accepted, S::Accepted], false),
            (
                [&accepted[..], &[line(S::Cancelling, "ANNULLAMENTO_CHIESTO", None), completed(0, "2026-11-23T08:00:00Z")]].concat(),
                [S::Cancelling, S::Cancelling],
                false,
            ),
            ([&accepted[..], &[line(S::Cancelled, "NOTIFICATION_CANCELLED", None)]].concat(), [S::Cancelled, S::Cancelled], true),
            ([&accepted[..], &[line(S::Parked, "SOSPESO", None)]].concat(), [S::Accepted, S::Accepted], false),
        ];
        for (lines, states, closed) in table {
            let all = told(2, &lines);
            let events: Vec<&str> = lines.iter().map(|line| line.event.as_str()).collect();
            assert_eq!([all[0].state, all[1].state], states, "{events:?}");
            assert_eq!([all[0].closed, all[1].closed], [closed; 2], "{events:?}");
        }
    }

    #[test]
    fn costs_are_told_by_component_and_a_cancellation_frees_the_notice() {
        let accepted = line(S::Accepted, "REQUEST_ACCEPTED", None);
        let paper = OutcomeLine { institution_cost: Some(630), ..line(S::Delivering, "SEND_ANALOG_DOMICILE", Some(0)) };
        let price = OutcomeLine { citizen_cost: Some(847), ..line(S::Info, "COSTO", Some(0)) };
        let all = told(2, &[accepted.clone(), paper.clone(), price.clone()]);
        let costs = |all: &[Standing]| -> Vec<_> { all.iter().map(|one| (one.base_fee, one.paper, one.citizen_cost)).collect() };
        assert_eq!(costs(&all), [(Some(100), Some(530), Some(847)), (Some(100), Some(0), None)]);
        let all = told(2, &[accepted, paper, price, line(S::Cancelled, "NOTIFICATION_CANCELLED", None)]);
        assert_eq!(costs(&all)[0], (Some(100), Some(530), None));
        // A refusal is charged as a whole: the shares add up to it.
        let refused = OutcomeLine { institution_cost: Some(200), ..line(S::Refused, "REQUEST_REFUSED", None) };
        let all = told(3, &[refused]);
        assert_eq!(costs(&all), [(Some(68), Some(0), None), (Some(66), Some(0), None), (Some(66), Some(0), None)]);
    }

    #[test]
    fn what_is_due_follows_the_notices_once_each_is_reckoned_and_payments_add_up() {
        let said = |event: &str, notice: &str, amount| OutcomeLine {
            position: Some(PositionTold {
                creditor: "01234567897".into(),
                notice: notice.to_owned(),
                pt: "regione".into(),
                amount: Some(amount),
                cost: None,
                receipt: None,
            }),
            ..line(S::Info, event, Some(0))
        };
        let terms = Terms { notices: "302000000000000019|302000000000000020".into(), ..Terms::default() };
        let mut all = [Standing::new(0, terms)];
        let steps = [
            (said("IMPORTO_AGGIORNATO", "302000000000000019", 4_200), (None, None)),
            (said("IMPORTO_AGGIORNATO", "302000000000000020", 3_047), (Some(7_247), None)),
            (said("IMPORTO_AGGIORNATO", "302000000000000019", 6_000), (Some(9_047), None)),
            // Of what a PT only calls paid the sum is presumed, until it is told.
            (OutcomeLine { code: Some(UNTOLD.to_owned()), ..said("PAGATO", "302000000000000019", 6_000) }, (Some(9_047), Some(6_000))),
            (said("PAGATO", "302000000000000019", 4_200), (Some(9_047), Some(4_200))),
            (said("PAGATO", "302000000000000019", 100), (Some(9_047), Some(4_300))),
            (said("POSIZIONE_FERMA", "302000000000000019", 1), (Some(9_047), Some(4_300))),
            (said("IMPORTO_AGGIORNATO", "302000000000000021", 1), (Some(9_047), Some(4_300))),
        ];
        for (line, want) in steps {
            follow(&mut all, &line);
            assert_eq!((all[0].due(), all[0].paid()), want, "{} {:?}", line.event, line.position);
        }
        assert_eq!((all[0].paid_at, all[0].state), (Some(at("2026-11-22T08:00:00Z")), S::Taken));
    }

    #[test]
    fn one_debt_is_owed_once_however_many_notices_and_recipients_it_has() {
        const TWO: &str = "302000000000000019|302000000000000020";
        const OTHER: &str = "302000000000000021";
        let reckoned = |dues: &[Option<i64>]| dues.iter().map(|due| NoticeStanding { due: *due, ..NoticeStanding::default() }).collect();
        // Notices of a recipient, whether they are alternatives, what each asks for.
        type One<'a> = (&'a str, bool, &'a [Option<i64>]);
        // What, the recipients, what each row says.
        type Case<'a> = (&'a str, &'a [One<'a>], &'a [Option<i64>]);
        let table: [Case<'_>; 10] = [
            ("reduced or full", &[(TWO, true, &[Some(2_940), Some(4_200)])], &[Some(4_200)]),
            ("instalments", &[(TWO, false, &[Some(2_940), Some(4_200)])], &[Some(7_140)]),
            ("one of them not reckoned yet", &[(TWO, true, &[Some(2_940), None])], &[Some(10_847)]),
            ("no managed PT", &[(TWO, true, &[])], &[Some(10_847)]),
            ("the notice travels with the first", &[(OTHER, false, &[Some(4_200)]), ("", false, &[])], &[Some(4_200), None]),
            ("the notice travels with the second", &[("", false, &[]), (OTHER, false, &[Some(4_200)])], &[None, Some(4_200)]),
            ("and no managed PT has it", &[(OTHER, false, &[]), ("", false, &[])], &[Some(10_847), None]),
            ("each has one", &[(TWO, true, &[Some(1), Some(2)]), (OTHER, false, &[Some(3)])], &[Some(2), Some(3)]),
            ("no notices", &[("", false, &[]), ("", false, &[])], &[Some(10_847), None]),
            ("nobody", &[], &[]),
        ];
        for (what, recipients, want) in table {
            let standing = |(index, (notices, alternatives, dues)): (u32, &One<'_>)| {
                let terms = Terms { notices: (*notices).to_owned(), alternatives: *alternatives, amount: Some(10_000), ..Terms::default() };
                Standing { citizen_cost: Some(847), payments: reckoned(dues), ..Standing::new(index, terms) }
            };
            let all: Vec<Standing> = (0..).zip(recipients.iter()).map(standing).collect();
            assert_eq!(owed(&all), want, "{what}");
        }
    }

    #[test]
    fn other_content_keeps_what_was_told_of_the_notices_that_stay() {
        let told = NoticeStanding { due: Some(4_200), paid: Some(1_000), presumed: false };
        let of = |notices: &str| Standing::new(0, Terms { notices: notices.to_owned(), ..Terms::default() });
        let when = Some(at("2026-11-22T08:00:00Z"));
        let before = Standing { payments: vec![NoticeStanding::default(), told], paid_at: when, ..of("301|302") };
        let table: [(&str, Vec<NoticeStanding>, Option<Timestamp>); 5] = [
            ("301|302", vec![NoticeStanding::default(), told], when),
            ("302", vec![told], when),
            ("302|303", vec![told, NoticeStanding::default()], when),
            ("301", vec![NoticeStanding::default()], None),
            ("303", Vec::new(), None),
        ];
        for (notices, payments, paid_at) in table {
            let mut fresh = of(notices);
            fresh.keep_payments(std::slice::from_ref(&before));
            assert_eq!((fresh.payments, fresh.paid_at), (payments, paid_at), "{notices}");
        }
    }

    #[test]
    fn what_prints_nothing_new_is_no_change() {
        let mut all = act(1);
        let table = [
            (line(S::Taken, "PRESO_IN_CARICO", None), true),
            (line(S::Info, "ANNULLAMENTO_IN_ATTESA", None), false),
            (OutcomeLine { code: Some("QUOTA".into()), ..line(S::Parked, "SOSPESO", None) }, true),
            (line(S::Info, "SEND_DIGITAL_PROGRESS", Some(0)), false),
            (line(S::Info, "RIPRESO", None), true),
            (OutcomeLine { legal_facts: vec!["2026/a.pdf".into()], ..line(S::Info, "ATTESTAZIONE", Some(0)) }, true),
            (line(S::Info, "SEND_DIGITAL_PROGRESS", Some(7)), false),
        ];
        for (line, want) in table {
            assert_eq!(follow(&mut all, &line), want, "{} {:?}", line.event, line.recipient);
        }
        assert_eq!((all[0].attestations, &all[0].suspended), (1, &None));
    }
}
