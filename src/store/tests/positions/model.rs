//! Random lives of a position at a PT of any kind: facts in any order, calls that are lost, answered late or refused. Whatever happens
//! nothing is pushed that is not wanted, what is paid stays paid, something always wakes what is not over, and once the PT behaves the
//! citizen is asked the right sum until a day that has not passed.

use jiff::ToSpan;
use rusqlite::{Connection, params};

use super::*;
use crate::domain::calendar::in_rome;
use crate::flow::definition::OnCancel;
use crate::flow::position::dice::Dice;
use crate::flow::position::{Pending, Stage as At};
use crate::store::positions::{PositionRow, observe_one};

const BASE: i64 = 10_000;
const STORIES: u64 = 50;
const TURNS: u64 = 45;

/// What a PT can do, as capabilities say it.
#[derive(Debug, Clone, Copy)]
struct Kind {
    verify: bool,
    tells_amount: bool,
    tells_date: bool,
    later: bool,
    cancel: bool,
}

const KINDS: [Kind; 5] = [
    Kind { verify: true, tells_amount: true, tells_date: true, later: false, cancel: true },
    Kind { verify: true, tells_amount: true, tells_date: false, later: false, cancel: false },
    Kind { verify: true, tells_amount: false, tells_date: false, later: false, cancel: true },
    Kind { verify: true, tells_amount: true, tells_date: true, later: true, cancel: true },
    Kind { verify: false, tells_amount: false, tells_date: false, later: true, cancel: true },
];

/// What the PT really has.
#[derive(Debug, Clone)]
struct AtPt {
    state: HeldState,
    amount: i64,
    due: Date,
    /// Taken in charge and not done yet.
    waiting: Vec<(String, Pending)>,
    tickets: u32,
}

struct Life<'d> {
    db: &'d Connection,
    id: PositionId,
    kind: Kind,
    /// `annulla` in the flow.
    ends_debt: bool,
    now: Timestamp,
    dice: Dice,
    pt: AtPt,
    /// What the rule asks for while the act lives.
    target: i64,
    live: bool,
    /// Nothing goes wrong any more.
    honest: bool,
    tale: Vec<String>,
}

type Broken = String;

impl Life<'_> {
    fn today(&self) -> Date {
        in_rome(self.now).date()
    }

    fn row(&self) -> PositionRow {
        PositionRow::load(self.db, self.id).unwrap()
    }

    fn say(&mut self, fact: PositionFact) -> Result<PositionState, Broken> {
        let before = self.row();
        let after = observe_one(self.db, self.id, &fact, Beside::default(), self.now).map_err(|error| error.to_string())?;
        self.tale.push(format!("{} {fact:?}\n      {:?} -> {after:?}", self.today(), before.state));
        if before.state == PositionState::Paid && after != PositionState::Paid {
            return Err("paid, and goes on".to_owned());
        }
        Ok(after)
    }

    fn held(&self) -> Held {
        let (pt, kind) = (&self.pt, self.kind);
        let expired = pt.state == HeldState::Payable && pt.due < self.today();
        Held {
            state: if expired { HeldState::Expired } else { pt.state },
            amount: kind.tells_amount.then_some(Cents(pt.amount)),
            due_date: kind.tells_date.then_some(pt.due),
            ..Held::of(HeldState::Payable)
        }
    }

    fn has_job(&self, kind: &str) -> bool {
        let sql = "SELECT EXISTS (SELECT 1 FROM job WHERE subject_kind = 'posizione' AND subject_id = ?1 AND kind = ?2)";
        self.db.query_row(sql, params![self.id.0.as_bytes(), kind], |row| row.get(0)).unwrap()
    }

    /// The first job, with the instant from which it is due.
    fn next_job(&self) -> Option<(PositionEffect, i64)> {
        let sql = "SELECT payload, due_at FROM job WHERE subject_kind = 'posizione' AND subject_id = ?1 ORDER BY due_at, lane LIMIT 1";
        let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, row.get(1)?));
        let found = self.db.query_row(sql, [self.id.0.as_bytes()], read).ok()?;
        Some((serde_json::from_str(&found.0).unwrap(), found.1))
    }

    fn end_job(&self, effect: &PositionEffect) {
        let sql = "DELETE FROM job WHERE subject_kind = 'posizione' AND subject_id = ?1 AND kind = ?2";
        self.db.execute(sql, params![self.id.0.as_bytes(), effect.name()]).unwrap();
    }

    fn reckoning(&self) -> Reckoning {
        let row = self.row();
        let cancels = (self.ends_debt && !self.live).then_some(self.kind.cancel);
        let ends = cancels == Some(true) || (cancels == Some(false) && !row.touched);
        let amount = if ends { row.asked.unwrap_or(Cents(BASE)) } else { Cents(if self.live { self.target } else { BASE }) };
        Reckoning {
            day: self.today(),
            open_until: self.today().checked_add(180.days()).ok().filter(|_| !ends),
            stated_due: Some(self.pt.due).filter(|_| !ends && !self.kind.tells_date),
            restates: !self.kind.tells_date,
            may_push: !ends && (self.live || row.touched),
            last: !self.live,
            cancels,
            ..sum(amount.get(), None)
        }
    }

    /// The PT is told; `None`: it refuses.
    fn tell(&mut self, change: &Pending) -> Option<()> {
        let open = matches!(self.pt.state, HeldState::Payable | HeldState::NotActive);
        if !open {
            return None;
        }
        if change.cancel {
            self.pt.state = HeldState::Cancelled;
        } else {
            self.pt.amount = change.amount.get();
            self.pt.due = change.due_date.unwrap_or(self.pt.due);
        }
        Some(())
    }

    /// What the worker of a push does after it may leave.
    fn call(&mut self, change: &Pending) -> Result<(), Broken> {
        if !self.honest && self.dice.one_in(6) {
            // Killed, or it never arrives: the job is there still.
            return Ok(());
        }
        if self.kind.later {
            self.pt.tickets += 1;
            let ticket = format!("{}/{}", change.key, self.pt.tickets);
            self.pt.waiting.push((ticket.clone(), change.clone()));
            if !self.honest && self.dice.one_in(6) {
                return Ok(());
            }
            self.end_job(&PositionEffect::Push { raise: false });
            return self.say(PositionFact::TakenInCharge { ticket }).map(drop);
        }
        let refuses = !self.honest && self.dice.one_in(8);
        let done = if refuses { None } else { self.tell(change) };
        if !self.honest && self.dice.one_in(6) {
            return Ok(());
        }
        self.end_job(&PositionEffect::Push { raise: false });
        let (held, asked) = (self.held(), self.row().asked);
        let fact = match done {
            Some(()) if self.honest || !self.dice.one_in(5) => PositionFact::ReadBack { held, told: true },
            Some(()) => PositionFact::Pushed { reads: true },
            None if change.cancel && held.state != HeldState::Cancelled => PositionFact::PushRefused { code: code::NOT_CANCELLED },
            None if held.state == HeldState::Payable && !change.is_in(&held, false, asked) => {
                PositionFact::PushRefused { code: code::REFUSED }
            }
            None => PositionFact::ReadBack { held, told: false },
        };
        self.say(fact).map(drop)
    }

    fn push(&mut self) -> Result<(), Broken> {
        let row = self.row();
        let PositionState::Changing { change } = row.state else {
            self.end_job(&PositionEffect::Push { raise: false });
            return Ok(());
        };
        match change.stage {
            At::ToPush => {
                if change.cancel && self.live {
                    return Err("cancelled while an act names it".to_owned());
                }
                if !change.cancel && !self.live && change.amount != Cents(BASE) {
                    return Err(format!("{:?} is pushed of an act that is over", change.amount));
                }
                if !change.cancel && row.wanted != Some(change.amount) {
                    return Err(format!("{:?} is pushed, wanted is {:?}", change.amount, row.wanted));
                }
                match self.say(PositionFact::Offered)? {
                    PositionState::Changing { change } if change.stage == At::Offered => self.call(&change),
                    _ => Ok(()),
                }
            }
            // Its answer was lost: the worker is patient, and by then it has done it.
            At::Offered if self.kind.verify => {
                while self.pt.waiting.iter().any(|(_, waiting)| waiting.key == change.key) {
                    self.outcome()?;
                }
                self.end_job(&PositionEffect::Push { raise: false });
                let held = self.held();
                self.say(PositionFact::ReadBack { held, told: false }).map(drop)
            }
            At::Offered => self.call(&change),
            At::ToReadBack | At::TakenInCharge { .. } => {
                self.end_job(&PositionEffect::Push { raise: false });
                Ok(())
            }
        }
    }

    /// Does the first job, when its time has come.
    fn work(&mut self) -> Result<bool, Broken> {
        let Some((effect, due)) = self.next_job() else { return Ok(false) };
        self.now = self.now.max(Timestamp::from_millisecond(due).unwrap());
        if let PositionEffect::Push { .. } = effect {
            return self.push().map(|()| true);
        }
        self.end_job(&effect);
        let held = self.held();
        let fact = match effect {
            PositionEffect::Verify if !self.kind.verify => PositionFact::Unverifiable,
            PositionEffect::Verify => PositionFact::Verified { held },
            PositionEffect::Reckon => PositionFact::Reckoned(Box::new(self.reckoning())),
            PositionEffect::ReadBack if !self.kind.verify => PositionFact::Pushed { reads: false },
            PositionEffect::ReadBack => PositionFact::ReadBack { held, told: false },
            PositionEffect::PollPayment if self.kind.verify => PositionFact::Verified { held },
            PositionEffect::PollPayment | PositionEffect::TellPayment | PositionEffect::Push { .. } => return Ok(true),
        };
        self.say(fact).map(|_| true)
    }

    /// What the PT had only taken in charge is done, or not, and told to whoever waits for it.
    fn outcome(&mut self) -> Result<(), Broken> {
        if self.pt.waiting.is_empty() {
            return Ok(());
        }
        let (ticket, change) = self.pt.waiting.remove(0);
        let undone = if !self.honest && self.dice.one_in(3) {
            Some(self.dice.of(&[WhyUndone::Again, WhyUndone::Again, WhyUndone::Refused]))
        } else if self.tell(&change).is_none() {
            Some(match self.pt.state {
                HeldState::Paid => WhyUndone::Paid,
                HeldState::Cancelled => WhyUndone::Cancelled,
                _ => WhyUndone::BeingPaid,
            })
        } else {
            None
        };
        let sql = "SELECT EXISTS (SELECT 1 FROM position WHERE id = ?1 AND ticket = ?2)";
        let known: bool = self.db.query_row(sql, params![self.id.0.as_bytes(), ticket], |row| row.get(0)).unwrap();
        if known {
            let undone = undone.map(|why| Undone { why, code: "X".to_owned() });
            self.say(PositionFact::ToldLater { undone, reads: self.kind.verify })?;
        }
        Ok(())
    }

    fn act(&mut self, live: bool) -> Result<(), Broken> {
        self.live = live;
        let (live, state) = if live { (1, "IN_CONSEGNA") } else { (0, "ANNULLATO") };
        self.db.execute("UPDATE act SET live = ?1, state = ?2", params![live, state]).unwrap();
        let fact = if live == 1 { PositionFact::Joined { managed: true } } else { PositionFact::Left { last: true } };
        self.say(fact).map(drop)
    }

    /// One thing that happens.
    fn turn(&mut self) -> Result<(), Broken> {
        match self.dice.roll(24) {
            0..=11 => self.work().map(drop),
            12..=14 => {
                self.target = self.dice.of(&[7_847, 10_000, 10_847, 15_000]);
                self.say(PositionFact::Moved).map(drop)
            }
            15 | 16 => self.act(!self.live),
            17 => {
                self.now += SignedDuration::from_hours(24 * self.dice.of(&[1, 5, 40]));
                Ok(())
            }
            18 if self.kind.verify => {
                let held = self.held();
                self.say(PositionFact::Verified { held }).map(drop)
            }
            18..=20 => self.outcome(),
            21 if matches!(self.row().state, PositionState::Parked { .. }) => self.say(PositionFact::Resumed).map(drop),
            22 if matches!(self.pt.state, HeldState::Payable | HeldState::BeingPaid) => {
                self.pt.state = self.dice.of(&[HeldState::Payable, HeldState::BeingPaid]);
                Ok(())
            }
            23 if self.dice.one_in(8) && self.pt.state == HeldState::Payable => {
                self.pt.state = HeldState::Paid;
                let payment = PaymentSeen { paid_at: self.now, amount: Cents(self.pt.amount), receipt: Some("r1".to_owned()) };
                self.say(PositionFact::Paid { payment, whole: true }).map(drop)
            }
            _ => Ok(()),
        }
    }

    /// Something wakes what is not over.
    fn wakes(&self) -> Result<(), Broken> {
        let row = self.row();
        let wanted: &[&str] = match &row.state {
            PositionState::Unverified => &["VERIFICA_POSIZIONE"],
            PositionState::Changing { change } if matches!(change.stage, At::ToPush | At::Offered) => &["AGGIORNA_IMPORTO"],
            PositionState::Changing { .. } => &["RILEGGI_POSIZIONE"],
            PositionState::Open if row.wanted.is_none() || !self.live => &["RICALCOLA"],
            // What was reckoned while something else was under way.
            PositionState::Open if row.asked.is_some() && row.asked != row.wanted => &["RICALCOLA"],
            PositionState::Parked { code } if code == code::BEING_PAID => &["VERIFICA_POSIZIONE"],
            _ => &[],
        };
        wanted.iter().all(|kind| self.has_job(kind)).then_some(()).ok_or(format!("nothing wakes it: {:?}", row.state))
    }

    /// From here on the PT behaves: where it all ends.
    fn end(&mut self) -> Result<(), Broken> {
        self.honest = true;
        if self.pt.state == HeldState::BeingPaid {
            self.pt.state = HeldState::Payable;
        }
        let until = self.now + SignedDuration::from_hours(24 * 12);
        for _ in 0..600 {
            self.outcome()?;
            if self.next_job().is_none_or(|(_, due)| due > until.as_millisecond()) {
                if self.pt.waiting.is_empty() {
                    break;
                }
                continue;
            }
            self.work()?;
            self.wakes()?;
        }
        let (row, pt) = (self.row(), &self.pt);
        let told = matches!(pt.state, HeldState::Payable);
        match &row.state {
            PositionState::Open if !self.live => Err("its act is over, and it is followed for ever".to_owned()),
            PositionState::Unverified | PositionState::Changing { .. } => Err("it never ends".to_owned()),
            PositionState::Open if told && pt.amount != self.target => Err(format!("{} is asked, {} is due", pt.amount, self.target)),
            PositionState::Open if told && self.kind.tells_date && pt.due < self.today() => Err(format!("closed since {}", pt.due)),
            PositionState::Closed if told && row.touched && !self.ends_debt && pt.amount != BASE => {
                Err(format!("{} is asked of an act that is over", pt.amount))
            }
            PositionState::Paid if told => Err("taken for paid, and is not".to_owned()),
            _ => Ok(()),
        }
    }
}

fn live(db: &Connection, id: PositionId, ends_debt: bool, now: Timestamp, story: u64) -> Option<String> {
    let mut dice = Dice(story);
    let kind = dice.of(&KINDS);
    let due = in_rome(now).date().checked_add(dice.of(&[3_i64, 9, 40]).days()).unwrap();
    let pt = AtPt { state: HeldState::Payable, amount: BASE, due, waiting: Vec::new(), tickets: 0 };
    let mut life = Life { db, id, kind, ends_debt, now, dice, pt, target: BASE, live: true, honest: false, tale: Vec::new() };
    for _ in 0..TURNS {
        if let Err(broken) = life.turn().and_then(|()| life.wakes()) {
            return Some(format!("story {story}, {kind:?}: {broken}\n  {}\n  {:?}", life.tale.join("\n  "), life.pt));
        }
    }
    let broken = life.end().err()?;
    Some(format!("story {story}, {kind:?}: {broken}\n  {}\n  {:?}", life.tale.join("\n  "), life.pt))
}

#[tokio::test]
async fn whatever_happens_the_right_sum_is_asked_in_the_end() {
    for ends_debt in [false, true] {
        let world = World::new();
        world.routes(CostChannel::Push, true).await;
        world.listen().await;
        let mut flow = flow(0);
        flow.payments.on_cancel = if ends_debt { OnCancel::Cancel } else { OnCancel::Leave };
        world.accept(vec![Act { amount: Some(Cents(BASE)), ..act("a") }], flow).await;
        world.accepted(&["a"]).await;
        let (id, now) = (world.position("a").await.id, world.now());
        let stories = std::env::var("MESSO_STORIES").ok().and_then(|count| count.parse().ok()).unwrap_or(STORIES);
        let lives = move |db: &Connection| {
            let one = |story| {
                db.execute_batch("BEGIN").unwrap();
                let broken = live(db, id, ends_debt, now, story);
                db.execute_batch("ROLLBACK").unwrap();
                broken
            };
            Ok((0..stories).filter_map(one).collect::<Vec<_>>())
        };
        let broken = world.store.alone(lives).await.unwrap();
        let all: Vec<&str> = broken.iter().filter_map(|tale| tale.lines().next()).collect();
        let shortest = broken.iter().min_by_key(|tale| tale.len());
        assert!(broken.is_empty(), "debt ends with its act: {ends_debt}: {all:#?}, such as {}", shortest.map_or("", |tale| tale));
    }
}
