//! The stage before the upload: whether an act may go to SEND, by what the PTs say of its notices. Pure.
//!
//! A PT that has not answered is waited for. What does not agree ends the act, is told, or is let pass, as the flow says; but
//! a position that SEND itself must find at GPD (ASYNC) has to have been seen there whatever the flow says, for SEND would refuse the
//! act and charge it.

use super::definition::{PaymentCheck, Payments};
use crate::domain::money::Cents;
use crate::domain::notice_qr::Mismatch;
use crate::domain::position::HeldState;

/// Codes under which a notice does not agree with its act. In esiti, rejects and `docs/codici.md`: never renamed.
pub mod code {
    /// Its PT does not know the notice.
    pub const UNKNOWN: &str = "IUV_SCONOSCIUTO";
    /// Draft, cancelled, past its last day.
    pub const NOT_PAYABLE: &str = "IUV_NON_PAGABILE";
    pub const OTHER_AMOUNT: &str = "IMPORTO_DIVERSO_DAL_PT";
    pub const ALREADY_PAID: &str = "POSIZIONE_GIA_PAGATA";
    /// Its PT answers with another creditor, or about another notice.
    pub const OTHER_CREDITOR: &str = "AVVISO_DI_ALTRO_ENTE";
    /// Rule and data of the act give no sum.
    pub const NO_SUM: &str = "IMPORTO_NON_CALCOLABILE";
    /// Its PT knows positions by their own id alone, which the act does not say.
    pub const NO_ID: &str = "ID_POSIZIONE_MANCANTE";
    /// Its PT wants the whole position back when it asks the price, does not hold it, and the act does not say enough of it.
    pub const NOT_DESCRIBED: &str = "POSIZIONE_NON_DESCRITTA";
    /// Nobody says how another amount is shared out among the parts of the position.
    pub const PARTS: &str = "IMPORTO_NON_RIPARTIBILE";
    /// One among several notices, of which its PT does not tell what it asks for: its amount stays, and the cost is not in it. Told,
    /// never a reason to refuse.
    pub const COST_NOT_ASKED: &str = "COSTO_NON_RICHIESTO";
    /// SEND takes the act as ASYNC and looks for the notice at GPD; the configuration says that another PT has it.
    pub const ASYNC_ELSEWHERE: &str = "AVVISO_ASYNC_FUORI_DA_GPD";
    /// The wait for a PT is over: a person resumes the act.
    pub const PT_SILENT: &str = "PT_NON_RISPONDE";
    /// The job of an act that waits for its PTs.
    pub const WAITS: &str = "IN_VERIFICA_AL_PT";
}

/// Codes of [`Verdict::Refuse`]: nothing of the act went to SEND, and SEND charges nothing.
pub const REFUSALS: [&str; 13] = [
    code::UNKNOWN,
    code::NOT_PAYABLE,
    code::OTHER_AMOUNT,
    code::ALREADY_PAID,
    code::OTHER_CREDITOR,
    code::NO_SUM,
    code::NO_ID,
    code::NOT_DESCRIBED,
    code::PARTS,
    Mismatch::Notice.code(),
    Mismatch::Creditor.code(),
    Mismatch::Amount.code(),
    Mismatch::NoCode.code(),
];

/// What is known of a notice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// Nobody verifies it.
    Unmanaged,
    /// Its PT has not answered yet, or a payment is under way.
    Waits,
    /// What its PT holds; amounts without the fee that it keeps apart. `None`: it does not tell.
    Held { state: HeldState, asked: Option<Cents>, wanted: Option<Cents> },
    /// It does not agree, by that code of [`code`].
    Wrong(&'static str),
}

/// One notice of an act that a PT has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Noticed {
    /// From 0.
    pub recipient: u32,
    /// SEND writes its cost on it at GPD.
    pub by_send: bool,
    pub seen: Seen,
}

/// What becomes of the act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on; of these notices (by place in the list) the gestionale is told that they do not agree.
    Go {
        remarks: Vec<(usize, &'static str)>,
    },
    Wait,
    /// Because of the notice at that place.
    Refuse {
        notice: usize,
        code: &'static str,
    },
}

/// Judges the notices of an act whose own amount is `amount`.
#[must_use]
pub fn judge(policy: &Payments, amount: Option<Cents>, notices: &[Noticed]) -> Verdict {
    let mut missing = notices.iter().enumerate().filter_map(|(notice, one)| Some((notice, not_there(one)?)));
    if let Some((notice, code)) = missing.next() {
        return Verdict::Refuse { notice, code };
    }
    // Who ignores what a PT says waits only for what SEND will look for.
    let asks = policy.verify != PaymentCheck::Ignore;
    let waits = |one: &Noticed| (one.seen == Seen::Waits && (one.by_send || asks)) || (asks && is_open(policy, amount, one, notices));
    let wrong: Vec<(usize, &'static str)> = match policy.verify {
        PaymentCheck::Ignore => Vec::new(),
        _ => notices.iter().enumerate().filter_map(|(place, one)| Some((place, disagrees(policy, amount, one, notices)?))).collect(),
    };
    match (policy.verify, wrong.first()) {
        (PaymentCheck::Refuse, Some((notice, code))) => Verdict::Refuse { notice: *notice, code },
        _ if notices.iter().any(waits) => Verdict::Wait,
        _ => Verdict::Go { remarks: wrong },
    }
}

/// The same with what the QR of each printed notice was found to say (`None`: it agrees, or nothing is printed).
#[must_use]
pub fn with_printed(policy: &Payments, verdict: Verdict, printed: &[Option<&'static str>]) -> Verdict {
    let mut wrong = printed.iter().enumerate().filter_map(|(place, code)| Some((place, (*code)?)));
    match (verdict, policy.qr) {
        (Verdict::Go { mut remarks }, PaymentCheck::Warn) => {
            remarks.extend(wrong);
            Verdict::Go { remarks }
        }
        (Verdict::Go { remarks }, PaymentCheck::Refuse) => match wrong.next() {
            Some((notice, code)) => Verdict::Refuse { notice, code },
            None => Verdict::Go { remarks },
        },
        (verdict, _) => verdict,
    }
}

/// Why SEND would not find at GPD a position on which it is to write its cost: nobody has seen it there, or it cannot take a cost any
/// more.
fn not_there(one: &Noticed) -> Option<&'static str> {
    match &one.seen {
        _ if !one.by_send => None,
        Seen::Wrong(code @ (code::UNKNOWN | code::NO_ID | code::OTHER_CREDITOR)) => Some(code),
        Seen::Held { state: HeldState::Cancelled, .. } => Some(code::NOT_PAYABLE),
        _ => None,
    }
}

/// Why a notice does not agree with its act, if it does not.
fn disagrees(policy: &Payments, amount: Option<Cents>, one: &Noticed, all: &[Noticed]) -> Option<&'static str> {
    match &one.seen {
        Seen::Unmanaged | Seen::Waits => None,
        Seen::Wrong(code) => Some(code),
        Seen::Held { state, asked, wanted } => match state {
            HeldState::Payable => {
                let agrees = |asked: &Cents| is_near(policy, amount, *asked) || is_near(policy, *wanted, *asked);
                let agree = asked.as_ref().is_none_or(agrees) || wanted.is_none() || in_parts(policy, amount, all);
                (!agree).then_some(code::OTHER_AMOUNT)
            }
            HeldState::NotActive | HeldState::Cancelled | HeldState::Expired => Some(code::NOT_PAYABLE),
            HeldState::Paid | HeldState::PaidElsewhere => Some(code::ALREADY_PAID),
            HeldState::BeingPaid => None,
        },
    }
}

/// Whether only the reckoning, which is still to come, can say if the amounts agree: the rule may ask for less than the act states.
fn is_open(policy: &Payments, amount: Option<Cents>, one: &Noticed, all: &[Noticed]) -> bool {
    match &one.seen {
        Seen::Held { state: HeldState::Payable, asked: Some(asked), wanted: None } => {
            amount.is_some() && !is_near(policy, amount, *asked) && !in_parts(policy, amount, all)
        }
        _ => false,
    }
}

fn is_near(policy: &Payments, amount: Option<Cents>, asked: Cents) -> bool {
    amount.is_some_and(|amount| amount.get().abs_diff(asked.get()) <= u64::from(policy.tolerance_cents))
}

/// Whether the notices of the act are its instalments: together they ask for its amount.
fn in_parts(policy: &Payments, amount: Option<Cents>, all: &[Noticed]) -> bool {
    let asked = all.iter().map(|one| match &one.seen {
        Seen::Held { asked, .. } => asked.map(Cents::get),
        _ => None,
    });
    let sum: Option<i64> = asked.sum();
    all.len() > 1 && sum.is_some_and(|sum| is_near(policy, amount, Cents(sum)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(state: HeldState, asked: Option<i64>) -> Noticed {
        Noticed { recipient: 0, by_send: false, seen: Seen::Held { state, asked: asked.map(Cents), wanted: Some(Cents(4_200)) } }
    }
    fn seen(seen: Seen) -> Noticed {
        Noticed { recipient: 0, by_send: false, seen }
    }
    fn policy(verify: PaymentCheck) -> Payments {
        Payments { verify, tolerance_cents: 1, ..Payments::default() }
    }
    fn refused(code: &'static str) -> Verdict {
        Verdict::Refuse { notice: 0, code }
    }
    fn told(code: &'static str) -> Verdict {
        Verdict::Go { remarks: vec![(0, code)] }
    }
    fn go() -> Verdict {
        Verdict::Go { remarks: vec![] }
    }

    #[test]
    fn each_answer_of_a_pt_by_each_policy() {
        use HeldState as H;
        let wanted = |wanted: Option<i64>| seen(Seen::Held { state: H::Payable, asked: Some(Cents(2_940)), wanted: wanted.map(Cents) });
        // What is seen; refuse, warn, ignore. The act asks for 42,00.
        let table = [
            (held(H::Payable, Some(4_200)), [go(), go(), go()]),
            (held(H::Payable, Some(4_199)), [go(), go(), go()]),
            (held(H::Payable, None), [go(), go(), go()]),
            (held(H::Payable, Some(4_202)), [refused(code::OTHER_AMOUNT), told(code::OTHER_AMOUNT), go()]),
            // What the rule asks for at first is as good: the reduced fine.
            (wanted(Some(2_940)), [go(), go(), go()]),
            // Not reckoned yet.
            (wanted(None), [Verdict::Wait, Verdict::Wait, go()]),
            (wanted(Some(2_950)), [refused(code::OTHER_AMOUNT), told(code::OTHER_AMOUNT), go()]),
            (held(H::NotActive, Some(4_200)), [refused(code::NOT_PAYABLE), told(code::NOT_PAYABLE), go()]),
            (held(H::Cancelled, None), [refused(code::NOT_PAYABLE), told(code::NOT_PAYABLE), go()]),
            (held(H::Expired, None), [refused(code::NOT_PAYABLE), told(code::NOT_PAYABLE), go()]),
            (held(H::Paid, Some(4_200)), [refused(code::ALREADY_PAID), told(code::ALREADY_PAID), go()]),
            (held(H::PaidElsewhere, Some(4_200)), [refused(code::ALREADY_PAID), told(code::ALREADY_PAID), go()]),
            (seen(Seen::Wrong(code::UNKNOWN)), [refused(code::UNKNOWN), told(code::UNKNOWN), go()]),
            (seen(Seen::Wrong(code::OTHER_CREDITOR)), [refused(code::OTHER_CREDITOR), told(code::OTHER_CREDITOR), go()]),
            (seen(Seen::Wrong(code::NO_SUM)), [refused(code::NO_SUM), told(code::NO_SUM), go()]),
            (seen(Seen::Unmanaged), [go(), go(), go()]),
            (seen(Seen::Waits), [Verdict::Wait, Verdict::Wait, go()]),
        ];
        for (notice, want) in table {
            for (verify, want) in [PaymentCheck::Refuse, PaymentCheck::Warn, PaymentCheck::Ignore].into_iter().zip(want) {
                assert_eq!(judge(&policy(verify), Some(Cents(4_200)), std::slice::from_ref(&notice)), want, "{verify:?} {notice:?}");
            }
        }
        let stateless = seen(Seen::Held { state: H::Payable, asked: Some(Cents(1)), wanted: None });
        assert_eq!(judge(&policy(PaymentCheck::Refuse), None, &[stateless]), go(), "an act that states no amount");
    }

    #[test]
    fn a_printed_notice_that_says_otherwise_by_each_policy() {
        let code = Mismatch::Notice.code();
        let qr = |qr| Payments { qr, ..Payments::default() };
        let refused = Verdict::Refuse { notice: 1, code };
        let told = Verdict::Go { remarks: vec![(0, code::OTHER_AMOUNT), (1, code)] };
        let go = || Verdict::Go { remarks: vec![(0, code::OTHER_AMOUNT)] };
        for (policy, want) in [(PaymentCheck::Refuse, refused), (PaymentCheck::Warn, told), (PaymentCheck::Ignore, go())] {
            assert_eq!(with_printed(&qr(policy), go(), &[None, Some(code)]), want, "{policy:?}");
            assert_eq!(with_printed(&qr(policy), go(), &[None, None]), go(), "{policy:?}");
            assert_eq!(with_printed(&qr(policy), Verdict::Wait, &[Some(code)]), Verdict::Wait, "{policy:?}");
        }
    }

    #[test]
    fn what_send_looks_for_at_gpd_must_be_there_whatever_the_flow_says() {
        for verify in [PaymentCheck::Refuse, PaymentCheck::Warn, PaymentCheck::Ignore] {
            let judge = |seen| judge(&policy(verify), Some(Cents(4_200)), &[Noticed { recipient: 0, by_send: true, seen }]);
            let held = |state| Seen::Held { state, asked: Some(Cents(4_200)), wanted: Some(Cents(4_200)) };
            let table = [
                (Seen::Wrong(code::UNKNOWN), Some(refused(code::UNKNOWN))),
                (Seen::Wrong(code::NO_ID), Some(refused(code::NO_ID))),
                (Seen::Wrong(code::OTHER_CREDITOR), Some(refused(code::OTHER_CREDITOR))),
                (held(HeldState::Cancelled), Some(refused(code::NOT_PAYABLE))),
                (Seen::Waits, Some(Verdict::Wait)),
                (held(HeldState::Payable), Some(go())),
                // It is there: the flow says what to do with the rest.
                (held(HeldState::Paid), None),
                (Seen::Wrong(code::NO_SUM), None),
            ];
            for (seen, want) in table {
                let by_flow =
                    super::judge(&policy(verify), Some(Cents(4_200)), &[Noticed { recipient: 0, by_send: false, seen: seen.clone() }]);
                assert_eq!(judge(seen.clone()), want.unwrap_or(by_flow), "{verify:?} {seen:?}");
            }
        }
    }

    #[test]
    fn several_notices_are_alternatives_or_instalments_and_one_wrong_is_enough() {
        use HeldState as H;
        let table = [
            // Each asks for the whole: alternatives.
            (vec![held(H::Payable, Some(4_200)), held(H::Payable, Some(4_200))], go()),
            (vec![held(H::Payable, Some(1_200)), held(H::Payable, Some(3_000))], go()),
            (vec![held(H::Payable, Some(1_200)), held(H::Payable, Some(3_010))], refused(code::OTHER_AMOUNT)),
            (vec![held(H::Payable, Some(4_200)), seen(Seen::Wrong(code::UNKNOWN))], Verdict::Refuse { notice: 1, code: code::UNKNOWN }),
            // One that is wrong is told at once, whatever the others will say.
            (vec![seen(Seen::Waits), held(H::Paid, None)], Verdict::Refuse { notice: 1, code: code::ALREADY_PAID }),
            (vec![seen(Seen::Unmanaged), seen(Seen::Waits)], Verdict::Wait),
        ];
        for (notices, want) in table {
            assert_eq!(judge(&policy(PaymentCheck::Refuse), Some(Cents(4_200)), &notices), want, "{notices:?}");
        }
        assert_eq!(judge(&policy(PaymentCheck::Refuse), Some(Cents(4_200)), &[]), go());
    }
}
