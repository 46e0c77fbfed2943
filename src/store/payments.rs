//! Payments that PTs told, each once, however often and by whichever way it was told.

use jiff::Timestamp;
use jiff::civil::Date;
use rusqlite::{Connection, params};

use super::acts::Flows;
use super::alerts::Alert;
use super::codec::{at, ms, optional};
use super::engine;
use super::jobs::{self, JobRef};
use super::position_material::{self, PositionMaterial};
use super::positions::{self, Beside, PositionRow};
use super::{Store, StoreError};
use crate::domain::calendar::in_rome;
use crate::domain::ids::{ActId, PositionId};
use crate::domain::money::Cents;
use crate::domain::outcome::OutcomeLine;
use crate::domain::position::{PaymentEvent, PaymentSeen};
use crate::flow::position::{PositionFact, PositionState, code, event};

/// Alert of a payment of a notice that nobody names, or that its PT has not.
const UNKNOWN: &str = "PAGAMENTO_SCONOSCIUTO";

/// What became of a payment that was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    New(PositionId),
    /// Told before.
    Repeated,
    /// No act names the notice, or its position is at another PT: kept, and a person is told.
    Unknown,
}

impl Store {
    /// Keeps a payment and moves its position, together.
    pub async fn take_payment(&self, event: PaymentEvent, now: Timestamp) -> Result<Taken, StoreError> {
        self.take_payment_by(event, |_| None, now).await
    }

    /// The same. `due`: what the rule asks for on its day, cost of notification apart, by what is known of the position when it is kept.
    pub async fn take_payment_by(
        &self,
        event: PaymentEvent,
        due: impl Fn(&PositionMaterial) -> Option<Cents> + Send + 'static,
        now: Timestamp,
    ) -> Result<Taken, StoreError> {
        let taken = self.write(move |db| take(db, &event, &due, now)).await?;
        self.ring();
        Ok(taken)
    }

    /// A payment was told of a notice that its PT has not: a person is told once, as of one that no act names.
    pub async fn payment_of_nobody(&self, pt: &str, creditor: &str, notice: &str, now: Timestamp) -> Result<(), StoreError> {
        let (about, creditor) = (format!("{pt} {notice}"), creditor.to_owned());
        let told = move |db: &Connection| Alert::new(UNKNOWN, &about).sender(Some(&creditor)).raise_unless_told(db, None, now).map(drop);
        self.write(told).await
    }

    /// The payments of a notice, in the order in which they were learnt.
    pub async fn payments_of(&self, creditor: &str, notice: &str) -> Result<Vec<PaymentEvent>, StoreError> {
        let (creditor, notice) = (creditor.to_owned(), notice.to_owned());
        self.read(move |db| payments_of(db, &creditor, &notice)).await
    }
}

impl Store {
    /// SEND was told that a position is paid: kept in its history, and the job is over.
    pub async fn payment_told(&self, id: PositionId, job: JobRef, now: Timestamp) -> Result<(), StoreError> {
        self.write(move |db| {
            jobs::finish(db, job)?;
            engine::append_history(db, positions::KIND, id.0.as_bytes(), "COMUNICATO_A_SEND", None, None, now)
        })
        .await
    }
}

fn payments_of(db: &Connection, creditor: &str, notice: &str) -> Result<Vec<PaymentEvent>, StoreError> {
    let mut select = db.prepare_cached(
        "SELECT receipt, named, pt, paid_at, amount, whole, polled FROM payment WHERE creditor = ?1 AND notice = ?2 \
         ORDER BY learnt_at, paid_at",
    )?;
    let rows = select.query_map([creditor, notice], |row| {
        let (receipt, named): (String, bool) = (row.get(0)?, row.get(1)?);
        Ok(PaymentEvent {
            pt: row.get(2)?,
            creditor: creditor.to_owned(),
            notice: notice.to_owned(),
            payment: PaymentSeen { paid_at: at(row.get(3)?), amount: Cents(row.get(4)?), receipt: named.then_some(receipt) },
            whole: row.get(5)?,
            polled: row.get(6)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// What tells a payment from others of its notice.
fn key(event: &PaymentEvent) -> String {
    let PaymentEvent { payment, whole, .. } = event;
    let of_itself = || format!("{}/{}{}", ms(payment.paid_at), payment.amount.get(), if *whole { "" } else { "/parte" });
    payment.receipt.clone().unwrap_or_else(of_itself)
}

/// A payment that is known is told again: one without a name gets it, and the name that a PT tells by itself holds.
fn rename(db: &Connection, known: &PaymentEvent, event: &PaymentEvent) -> Result<(), StoreError> {
    let better = known.payment.receipt.is_none() || (known.polled && !event.polled);
    let Some(receipt) = event.payment.receipt.as_ref().filter(|_| better) else { return Ok(()) };
    db.prepare_cached(
        "UPDATE payment SET receipt = ?4, named = 1, polled = ?5 WHERE creditor = ?1 AND notice = ?2 AND receipt = ?3 \
         AND NOT EXISTS (SELECT 1 FROM payment o WHERE o.creditor = ?1 AND o.notice = ?2 AND o.receipt = ?4 AND o.receipt <> ?3)",
    )?
    .execute(params![event.creditor, event.notice, key(known), receipt, event.polled])?;
    Ok(())
}

fn take(
    db: &Connection,
    event: &PaymentEvent,
    due: &dyn Fn(&PositionMaterial) -> Option<Cents>,
    now: Timestamp,
) -> Result<Taken, StoreError> {
    let PaymentEvent { creditor, notice, payment, .. } = event;
    let known = payments_of(db, creditor, notice)?;
    let same = |one: &&PaymentEvent| one.payment.receipt == payment.receipt && payment.receipt.is_some();
    if let Some(known) = known.iter().find(same).or_else(|| known.iter().find(|known| event.repeats(known))) {
        rename(db, known, event)?;
        return Ok(Taken::Repeated);
    }
    db.prepare_cached(
        "INSERT INTO payment (creditor, notice, receipt, named, pt, paid_at, amount, whole, polled, learnt_at) VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10)",
    )?
    .execute(params![
        creditor,
        notice,
        key(event),
        payment.receipt.is_some(),
        event.pt,
        ms(payment.paid_at),
        payment.amount.get(),
        event.whole,
        event.polled,
        ms(now)
    ])?;
    match PositionRow::of_notice(db, creditor, notice)? {
        Some(row) if row.pt == event.pt => {
            let fact = PositionFact::Paid { payment: payment.clone(), whole: event.whole };
            // Of an act that is over nothing is due by its rule any more: what was asked for when it was paid is compared.
            let material = position_material::material(db, row.id, &mut Flows::default())?.filter(|material| material.live);
            let beside = Beside { due: material.as_ref().and_then(due), ..Beside::default() };
            positions::observe_one(db, row.id, &fact, beside, now)?;
            Ok(Taken::New(row.id))
        }
        _ => {
            Alert::new(UNKNOWN, &format!("{} {notice}", event.pt)).sender(Some(creditor)).raise(db, now)?;
            Ok(Taken::Unknown)
        }
    }
}

/// What was due on the day of a payment that is told; one that is known is compared anew. `due`: see [`Beside::due`].
pub(super) fn due_of(
    db: &Connection,
    row: &PositionRow,
    fact: &PositionFact,
    due: Option<Cents>,
    now: Timestamp,
) -> Result<Option<Cents>, StoreError> {
    match fact {
        PositionFact::Paid { payment, whole: true } => due_then(db, row, due, in_rome(payment.paid_at).date()),
        PositionFact::Compared => compare(db, row, due, now).map(|()| None),
        _ => Ok(None),
    }
}

/// What the citizen had to pay on a day: by the rule as it is known today, with the cost that was asked for then. Of one that was never
/// reckoned nobody can say.
fn due_then(db: &Connection, row: &PositionRow, due: Option<Cents>, day: Date) -> Result<Option<Cents>, StoreError> {
    let Some(due) = due.filter(|_| row.wanted.is_some()) else { return Ok(None) };
    Ok(due.get().checked_add(super::position_past::cost_on(db, row, day)?.get()).map(Cents))
}

/// The act of a paid position has moved (its completion was learnt late): the payment is looked at again, and told once if it was of
/// another sum than was due on its day.
fn compare(db: &Connection, row: &PositionRow, due: Option<Cents>, now: Timestamp) -> Result<(), StoreError> {
    let sql = "SELECT paid, paid_at FROM position WHERE id = ?1";
    let (paid, paid_at): (Option<i64>, Option<i64>) =
        db.prepare_cached(sql)?.query_row([row.id.0.as_bytes()], |found| Ok((found.get(0)?, found.get(1)?)))?;
    let (Some(paid), Some(paid_at)) = (paid, paid_at) else { return Ok(()) };
    let due = due_then(db, row, due, in_rome(at(paid_at)).date())?;
    if due.is_some_and(|due| due.get() != paid) {
        let about = row.id.to_string();
        let act = engine::ActRow::load(db, row.act)?;
        Alert::new(code::OTHER_AMOUNT, &about).act(&act).raise_unless_told(db, None, now)?;
    }
    Ok(())
}

/// A position has just been joined by an act: what was paid before is told now. `alone`: nobody had it, so that parts too are news.
pub(super) fn adopt(db: &Connection, id: PositionId, act: ActId, alone: bool, now: Timestamp) -> Result<(), StoreError> {
    let row = PositionRow::load(db, id)?;
    if row.state == PositionState::Paid {
        return Ok(());
    }
    let known = payments_of(db, &row.creditor, &row.notice)?.into_iter().filter(|event| event.pt == row.pt && (event.whole || alone));
    let mut told: Option<Vec<OutcomeLine>> = None;
    for PaymentEvent { payment, whole, .. } in known {
        if !whole {
            // The act may have it already: it got other content, and names the notice again.
            let told = match &mut told {
                Some(told) => told,
                None => told.insert(lines_of(db, act, &row.notice)?),
            };
            if told.iter().any(|line| tells(line, &payment)) {
                continue;
            }
        }
        positions::observe_one(db, id, &PositionFact::Paid { payment, whole }, Beside::default(), now)?;
    }
    Ok(())
}

/// Lines of an act about payments of a notice.
fn lines_of(db: &Connection, act: ActId, notice: &str) -> Result<Vec<OutcomeLine>, StoreError> {
    let mut select = db.prepare_cached("SELECT data FROM line WHERE act_id = ?1 ORDER BY line")?;
    let mut found = Vec::new();
    for data in select.query_map([act.0.as_bytes()], |row| row.get::<_, String>(0))? {
        let line: OutcomeLine = serde_json::from_str(&data?)?;
        if line.event == event::PAID && line.position.as_ref().is_some_and(|told| told.notice == notice) {
            found.push(line);
        }
    }
    Ok(found)
}

/// Whether a line tells a payment. Its name may have been learnt after it.
fn tells(line: &OutcomeLine, payment: &PaymentSeen) -> bool {
    let told = line.position.as_ref().filter(|told| told.amount == Some(payment.amount.get()) && line.happened_at == payment.paid_at);
    told.is_some_and(|told| told.receipt.is_none() || told.receipt == payment.receipt)
}

/// Whether SEND is to be told of payments of an act, by its flow.
pub(super) fn tells_send(db: &Connection, act: ActId) -> Result<bool, StoreError> {
    let sql = "SELECT json_extract(d.json, '$.pagamenti.notify_paid_to_send') FROM act a JOIN flow_definition d ON d.digest = a.flow_digest WHERE a.id = ?1";
    Ok(optional(db.prepare_cached(sql)?.query_row([act.0.as_bytes()], |row| row.get::<_, Option<bool>>(0)))?.flatten().unwrap_or(false))
}
