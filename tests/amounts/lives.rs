//! A hundred thousand lives of an act, drawn: what is asked is the rule and SEND's price, once. The reckoning it is compared with
//! shares nothing with messo: it walks the days one at a time on a table of feasts written by hand.

use jiff::ToSpan;
use jiff::civil::{Date, Weekday, date};
use messo::domain::act::{Act, PagoPaIntMode};
use messo::domain::amount_rule::{
    AmountFacts, AmountFault, AmountPreset, AmountRule, AmountStep, BreakdownLine, Charge, CostBearers, CostPolicy, FromEvent,
    HolidayPolicy, PercentOf, RecipientFacts, Rounding, SanctionTable, StepAmount, Suspension, WhenMissing, WhoseCompletion, amount_due,
    next_change,
};
use messo::domain::calendar::Calendar;
use messo::domain::ids::{ActId, PositionId};
use messo::domain::money::Cents;
use messo::domain::position::{Capabilities, CostChannel};
use messo::flow::definition;
use messo::flow::position::PositionState;
use messo::service::positions::reckon::reckon;
use messo::store::{PositionMaterial, costs_of};
use proptest::prelude::*;

const LIVES: usize = 100_000;
const FIRST: Date = date(2024, 1, 1);
/// Days of the drawn world, from the first of 2024 to the end of 2031.
const DAYS: i32 = 2_922;
const EASTERS: [(i16, i8, i8); 8] =
    [(2024, 3, 31), (2025, 4, 20), (2026, 4, 5), (2027, 3, 28), (2028, 4, 16), (2029, 4, 1), (2030, 4, 21), (2031, 4, 13)];

struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % sides
    }

    fn one_in(&mut self, sides: u64) -> bool {
        self.roll(sides) == 0
    }

    fn day(&mut self, from: i32, to: i32) -> i32 {
        from + i32::try_from(self.roll(u64::try_from(to - from).unwrap())).unwrap()
    }
}

/// The world by day number: closed on that day, closed or a Saturday, in August.
struct World {
    closed: Vec<bool>,
    saturday: Vec<bool>,
    august: Vec<bool>,
}

impl World {
    fn new() -> World {
        let mut world = World { closed: Vec::new(), saturday: Vec::new(), august: Vec::new() };
        for number in 0..DAYS {
            let day = date_of(number);
            let (month, of_month) = (day.month(), day.day());
            let fixed = [(1, 1), (1, 6), (4, 25), (5, 1), (6, 2), (8, 15), (11, 1), (12, 8), (12, 25), (12, 26)];
            let francis = (month, of_month) == (10, 4) && day.year() >= 2026;
            let easter = EASTERS.iter().any(|(year, month, of)| {
                let easter = date(*year, *month, *of);
                day == easter || day == easter.tomorrow().unwrap()
            });
            world.closed.push(day.weekday() == Weekday::Sunday || fixed.contains(&(month, of_month)) || francis || easter);
            world.saturday.push(day.weekday() == Weekday::Saturday);
            world.august.push(month == 8);
        }
        world
    }
}

fn date_of(number: i32) -> Date {
    FIRST.checked_add(number.days()).unwrap()
}

/// What happens to one recipient at SEND.
#[derive(Clone, Debug, Default)]
struct Served {
    /// Days of the paper sends and what each costs.
    letters: Vec<(i32, i64)>,
    /// Its rework declares the first letter void.
    voids: bool,
    viewed: Option<i32>,
    refined: Option<i32>,
    /// From that day the term is another one: a rework.
    reworked: Option<(i32, i32)>,
}

/// A life of an act: everything that will happen, by day number.
#[derive(Clone, Debug)]
struct Life {
    rule: AmountRule,
    /// How SEND takes the act, and how its route says that the cost goes: together they make one channel.
    mode: Option<PagoPaIntMode>,
    route: CostChannel,
    /// Notices of the act; of two, the one that is looked at is of the whole or of the few cents that its PT held.
    notices: Notices,
    amount: i64,
    minimum: i64,
    maximum: i64,
    act: i32,
    contestation: i32,
    violation: i32,
    accepted: Option<i32>,
    withdrawn: Option<i32>,
    applies: bool,
    holder: usize,
    served: Vec<Served>,
    held: Vec<(i32, Option<i32>)>,
    /// So many days ago SEND was asked for the price (else it is reckoned from the timeline). Letters that came after it make it stale.
    priced: Option<i32>,
    pa_fee: u32,
    vat: u32,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Notices {
    One,
    /// Who owes jointly has each a notice of the whole.
    EachOfTheWhole,
    /// Instalments of one recipient: this one is of so many cents.
    Part(i64),
}

/// Which ways of an act and of its route the PT's amount has SEND's cost in it, and which answer it when the PT asks.
fn asked_by_messo(mode: Option<PagoPaIntMode>, route: CostChannel) -> (bool, bool) {
    match (mode, route) {
        // SEND writes it itself.
        (Some(PagoPaIntMode::Async), _) => (false, false),
        (_, CostChannel::Push) => (true, false),
        (_, CostChannel::Pull) => (false, true),
        (_, CostChannel::Async | CostChannel::None) => (false, false),
    }
}

fn drawn(dice: &mut Dice) -> Life {
    let preset = AmountPreset::ALL[usize::try_from(dice.roll(AmountPreset::ALL.len() as u64)).unwrap()];
    let mut rule = preset.rule();
    rule.costs = CostPolicy::ALL[usize::try_from([0, 0, 0, 1, 2][dice.roll(5) as usize]).unwrap_or(0)];
    rule.bearers = if dice.one_in(4) { CostBearers::All } else { CostBearers::Holder };
    rule.completion = WhoseCompletion::ALL[dice.roll(3) as usize];
    rule.holidays = HolidayPolicy::ALL[dice.roll(3) as usize];
    rule.rounding = Rounding::ALL[dice.roll(3) as usize];
    if dice.one_in(4) {
        rule.extra = Some(Cents(i64::try_from(dice.roll(2_000)).unwrap()));
    }
    if dice.one_in(6) {
        // A rule of the ente's own, on all events.
        let first = 1 + dice.roll(20) as u32;
        let from = [FromEvent::ActDate, FromEvent::Contestation, FromEvent::Completion][dice.roll(3) as usize];
        rule.steps = vec![
            AmountStep::percent(from, Some(first), 5_000 + dice.roll(5_000) as u32),
            AmountStep { summer: dice.one_in(2), ..AmountStep::fixed(FromEvent::Completion, Some(first + 30), Cents(9_999)) },
            AmountStep { of: PercentOf::Maximum, ..AmountStep::percent(FromEvent::Completion, None, 10_000) },
        ];
    }
    let act = dice.day(0, 1_000);
    let send = dice.day(act, act + 60);
    let recipients = 1 + dice.roll(3) as usize;
    let served = (0..recipients).map(|_| {
        let mut one = Served::default();
        for _ in 0..dice.roll(3) {
            one.letters.push((dice.day(send, send + 90), 300 + i64::try_from(dice.roll(1_500)).unwrap()));
        }
        one.viewed = dice.one_in(2).then(|| dice.day(send, send + 200));
        one.refined = (!dice.one_in(4)).then(|| dice.day(send + 7, send + 120));
        if let Some(refined) = one.refined.filter(|_| dice.one_in(5)) {
            one.reworked = Some((dice.day(refined, refined + 100), dice.day(send, refined + 30)));
            one.voids = dice.one_in(2);
        }
        one
    });
    let served: Vec<Served> = served.collect();
    let held = (0..dice.roll(3)).map(|_| {
        let from = dice.day(send, send + 250);
        (from, (!dice.one_in(3)).then(|| dice.day(from, from + 80)))
    });
    let held = held.collect();
    let minimum = 1_000 + i64::try_from(dice.roll(50_000)).unwrap();
    Life {
        mode: [None, Some(PagoPaIntMode::None), Some(PagoPaIntMode::Sync), Some(PagoPaIntMode::Async)][dice.roll(4) as usize],
        route: CostChannel::ALL[dice.roll(4) as usize],
        notices: match dice.roll(4) {
            0 if recipients > 1 => Notices::EachOfTheWhole,
            1 => Notices::Part(7 + i64::try_from(dice.roll(90)).unwrap()),
            _ => Notices::One,
        },
        amount: minimum,
        minimum,
        maximum: minimum * 4,
        act,
        contestation: dice.day(act, act + 10),
        violation: act,
        accepted: (!dice.one_in(10)).then(|| send + i32::try_from(dice.roll(3)).unwrap()),
        withdrawn: dice.one_in(10).then(|| dice.day(send + 1, send + 200)),
        applies: !dice.one_in(8),
        holder: dice.roll(recipients as u64) as usize,
        served,
        held,
        priced: dice.one_in(2).then(|| if dice.one_in(3) { 0 } else { dice.day(1, 300) }),
        pa_fee: dice.roll(101) as u32,
        vat: [0, 10, 22][dice.roll(3) as usize],
        rule,
    }
}

impl Life {
    fn notified(&self, on: i32) -> bool {
        self.accepted.is_some_and(|at| at <= on) && self.withdrawn.is_none_or(|at| at > on)
    }

    /// Paper of a recipient on a day. A rework that takes the completion away may declare a letter void.
    fn paper(&self, recipient: usize, on: i32) -> i64 {
        let one = &self.served[recipient];
        let void = usize::from(one.voids && one.reworked.is_some_and(|(at, _)| at <= on));
        one.letters.iter().skip(void).filter(|(at, _)| *at <= on).map(|(_, cost)| cost).sum()
    }

    /// SEND's price of a recipient on a day, as its documentation has it.
    fn price(&self, recipient: usize, on: i32) -> i64 {
        let paper = self.paper(recipient, on);
        let with_vat = paper as f64 * (1.0 + f64::from(self.vat) / 100.0);
        // Half up; drawn sums are far from where a double is inexact, but for the halves themselves.
        100 + (with_vat + 0.5 + 1e-9).floor() as i64 + i64::from(self.pa_fee)
    }

    fn completed(&self, recipient: usize, on: i32) -> Option<i32> {
        let one = &self.served[recipient];
        let refined = match one.reworked {
            Some((at, instead)) if at <= on => Some(instead),
            _ => one.refined,
        };
        [one.viewed, refined].into_iter().flatten().filter(|at| *at <= on).min()
    }

    /// What messo knows on a day.
    fn facts(&self, on: i32) -> AmountFacts {
        let recipients = (0..self.served.len()).map(|index| RecipientFacts {
            completed: self.completed(index, on).map(date_of),
            price: self.priced.filter(|_| index == self.holder).map(|ago| Cents(self.price(index, on - ago))),
            priced_paper: Cents(self.priced.map_or(0, |ago| self.paper(index, on - ago))),
            analog_cost: Cents(self.paper(index, on)),
        });
        AmountFacts {
            amount: Some(Cents(self.amount)),
            minimum: Some(Cents(self.minimum)),
            maximum: Some(Cents(self.maximum)),
            act_date: Some(date_of(self.act)),
            violation: Some(date_of(self.violation)),
            contestation: Some(date_of(self.contestation)),
            holder: self.holder,
            recipients: recipients.collect(),
            suspensions: self.held.iter().map(|(from, until)| Suspension { from: date_of(*from), until: until.map(date_of) }).collect(),
            applies_cost: self.applies,
            notified: self.notified(on),
            pa_fee: self.pa_fee,
            vat: self.vat,
            ..AmountFacts::default()
        }
    }

    fn stands_still(&self, on: i32) -> bool {
        self.held.iter().any(|(from, until)| *from <= on && until.is_none_or(|until| on <= until))
    }

    /// The step in force, by walking the days. `None`: beyond the drawn world.
    fn step(&self, world: &World, on: i32) -> Option<usize> {
        let whose: Vec<Option<i32>> = (0..self.served.len()).map(|index| self.completed(index, on)).collect();
        let completed = match self.rule.completion {
            WhoseCompletion::Holder => whose[self.holder],
            WhoseCompletion::First => whose.iter().flatten().min().copied(),
            WhoseCompletion::Last if whose.iter().all(Option::is_some) => whose.iter().flatten().max().copied(),
            WhoseCompletion::Last => None,
        };
        let mut before = None;
        for (index, step) in self.rule.steps.iter().enumerate() {
            let event = match step.from {
                FromEvent::Completion => completed,
                FromEvent::ActDate => Some(self.act),
                FromEvent::Contestation => Some(self.contestation),
                FromEvent::Enforceable => before.map(|before: i32| before + 1),
            };
            let (Some(event), Some(days)) = (event, step.days) else { return Some(index) };
            let still = |at: i32| self.stands_still(at) || (step.summer && world.august[at as usize]);
            let mut at = event;
            let mut left = days;
            while left > 0 {
                at += 1;
                if at >= DAYS - 1 {
                    // It stands still for ever, as far as this world goes.
                    return Some(index);
                }
                if !still(at) {
                    left -= 1;
                }
            }
            let closed = |at: i32| match self.rule.holidays {
                HolidayPolicy::Stays => false,
                HolidayPolicy::Moves => world.closed[at as usize],
                HolidayPolicy::MovesSaturday => world.closed[at as usize] || world.saturday[at as usize],
            };
            if closed(at) {
                while closed(at) || still(at) {
                    at += 1;
                    if at >= DAYS - 1 {
                        return Some(index);
                    }
                }
            }
            if on <= at {
                return Some(index);
            }
            before = Some(at);
        }
        Some(self.rule.steps.len() - 1)
    }

    /// What the rule asks for, by hand.
    fn due(&self, world: &World, on: i32) -> i64 {
        let step = &self.rule.steps[self.step(world, on).unwrap()];
        let round = |whole: i64, percent: i64| match self.rule.rounding {
            Rounding::HalfUp | Rounding::Euro => (whole * percent + 5_000) / 10_000,
            Rounding::Down => whole * percent / 10_000,
            Rounding::Up => (whole * percent + 9_999) / 10_000,
        };
        let of = match step.of {
            PercentOf::Base => self.amount,
            PercentOf::Minimum => self.minimum,
            PercentOf::Maximum => self.maximum,
        };
        let due = match step.due {
            StepAmount::Fixed(amount) => amount.0,
            StepAmount::Percent(percent) => round(of, i64::from(percent)),
        };
        let charge = step.charge.map_or(0, |charge| {
            let asked = round(due, i64::from(charge.percent));
            charge.cap.map_or(asked, |cap| asked.min(cap.0))
        });
        due + charge + self.rule.extra.map_or(0, |extra| extra.0)
    }

    /// What the store knows of its position on a day.
    fn material(&self, blank: &PositionMaterial, on: i32) -> PositionMaterial {
        let mut material = PositionMaterial { facts: self.facts(on), costs: costs_of(self.route, self.mode), ..blank.clone() };
        material.live = self.withdrawn.is_none_or(|at| at > on);
        material.iun = self.accepted.filter(|at| *at <= on).map(|_| "IUN-1".to_owned());
        material.content.amount = Some(Cents(self.amount));
        material.content.amount_rule = Some(self.rule.clone());
        let owes = material.content.recipients.remove(0);
        let with = |codes: &[&str]| {
            let mut one = owes.clone();
            one.payments.retain(|payment| {
                matches!(payment, messo::domain::act::Payment::PagoPa { notice_code, .. } if codes.contains(&notice_code.as_str()))
            });
            one
        };
        material.content.recipients = (0..self.served.len())
            .map(|index| match self.notices {
                Notices::One | Notices::EachOfTheWhole if index == self.holder => with(&NOTICES[..1]),
                Notices::EachOfTheWhole if index == (self.holder + 1) % self.served.len() => with(&NOTICES[1..]),
                Notices::Part(_) if index == self.holder => with(&NOTICES),
                _ => with(&[]),
            })
            .collect();
        material.notices = material.content.notices().count();
        material.base = Some(Cents(if let Notices::Part(base) = self.notices { base } else { self.amount }));
        material
    }

    /// What the citizen bears of SEND's price.
    fn cost(&self, on: i32) -> i64 {
        let (pushed, told) = asked_by_messo(self.mode, self.route);
        let asked = (pushed || told) && self.rule.costs == CostPolicy::Added;
        if !asked || !self.applies || !self.notified(on) {
            return 0;
        }
        match self.rule.bearers {
            CostBearers::Holder => self.price(self.holder, on),
            CostBearers::All => (0..self.served.len()).map(|index| self.price(index, on)).sum(),
        }
    }
}

const NOTICES: [&str; 2] = ["302000000000000184", "302000000000000285"];

/// A position to be filled in, of an act whose one recipient has both notices.
fn blank() -> PositionMaterial {
    let creditor = "01234567897".to_owned();
    let payments =
        NOTICES.map(|code| serde_json::json!({ "kind": "pagopa", "notice_code": code, "creditor_tax_id": creditor, "apply_cost": true }));
    let content: Act = serde_json::from_value(serde_json::json!({
        "sender_tax_id": creditor, "reference": "V-1", "action": "inserisci", "documents": [],
        "recipients": [{ "recipient_type": "PF", "tax_id": "RSSMRA80A01H501U", "denomination": "Mario Rossi", "payments": payments }],
    }))
    .unwrap();
    PositionMaterial {
        id: PositionId(uuid::Uuid::nil()),
        creditor: creditor.clone(),
        notice: NOTICES[0].to_owned(),
        pt: "regione".to_owned(),
        costs: CostChannel::None,
        state: PositionState::Open,
        revision: 0,
        asked: None,
        wanted: None,
        pt_id: None,
        base: None,
        paid: None,
        notices: 1,
        touched: false,
        next_day: None,
        paid_on: None,
        created_at: jiff::Timestamp::UNIX_EPOCH,
        act: ActId(uuid::Uuid::nil()),
        sender: creditor,
        live: true,
        cancels: false,
        iun: None,
        flow: definition::shipped().into_iter().find(|flow| flow.name == "cds").unwrap(),
        content,
        facts: AmountFacts::default(),
        viewed: None,
    }
}

/// What the PT holds when messo has done its part, and what it is told when it asks: together the rule and SEND's price, once,
/// whatever the act, its route and its other notices.
fn reaches_the_citizen_once(what: usize, life: &Life, blank: &PositionMaterial, on: i32, due: i64, cost: i64) {
    let can = Capabilities { verify: true, tells_amount: true, update: true, moves_date: true, ..Capabilities::NOTHING };
    let (sum, sheet) = reckon(&life.material(blank, on), Calendar::default(), Some(can), date_of(on))
        .unwrap_or_else(|fault| panic!("{what}: {fault}: {life:?} on {}", date_of(on)));
    let (pushed, told) = asked_by_messo(life.mode, life.route);
    // Of an act that is withdrawn the PT asks for what it held before messo.
    let over = life.withdrawn.is_some_and(|at| at <= on);
    let due = if over && !matches!(life.notices, Notices::Part(_)) { life.amount } else { due };
    let in_amount = if pushed { cost } else { 0 };
    assert_eq!((sum.amount.0, sum.cost.0), (due + in_amount, in_amount), "{what}: {life:?} on {}: {sum:?}", date_of(on));
    assert_eq!(sum.may_push, !told && life.notified(on), "{what}: pushed where the PT does not ask, and only what SEND has: {life:?}");
    let price = sheet.and_then(|sheet| sheet.on(date_of(on))).map(|price| (price.day.due.0, price.day.cost.0, price.day.total.0));
    // Answered to a PT that asks; elsewhere nobody is told it.
    let known = life.notified(on) || (over && life.accepted.is_some_and(|at| at <= on));
    assert_eq!(price, known.then_some((due, cost, due + cost)), "{what}: {life:?} on {}", date_of(on));
}

#[test]
fn what_is_asked_is_the_rule_and_the_price_once() {
    let world = World::new();
    let blank = blank();
    let (mut ways, mut parts) = (std::collections::BTreeMap::new(), 0);
    let mut dice = Dice(0x5EED_0F4A_C0FF_EE11);
    let (mut with_cost, mut stale, mut suspended, mut steps) = (0, 0, 0, [0_usize; 3]);
    for life in 0..LIVES {
        let life_of = drawn(&mut dice);
        let rule = life_of.rule.under(costs_of(life_of.route, life_of.mode));
        let on = dice.day(life_of.act, life_of.act + 420);
        *ways.entry((life_of.mode, life_of.route, life_of.notices == Notices::EachOfTheWhole)).or_insert(0) += 1;
        let facts = life_of.facts(on);
        if let Notices::Part(base) = life_of.notices {
            // The steps are of the whole: this one stays as its PT had it.
            parts += 1;
            reaches_the_citizen_once(life, &life_of, &blank, on, base, life_of.cost(on));
            continue;
        }
        let got = amount_due(&rule, &facts, date_of(on)).unwrap_or_else(|fault| panic!("{life}: {fault}: {life_of:?} on {}", date_of(on)));
        let (due, cost) = (life_of.due(&world, on), life_of.cost(on));
        assert_eq!((got.due.0, got.cost.0, got.total.0), (due, cost, due + cost), "{life}: {life_of:?} on {}: {got:?}", date_of(on));
        let told: i64 = got.lines.iter().map(|line| if let BreakdownLine::Cost { amount, .. } = line { amount.0 } else { 0 }).sum();
        assert_eq!(told, cost, "{life}: the lines tell the cost once: {got:?}");
        // The day after the last one is another sum, the last one is not, unless the days stand still for ever.
        if let Some(change) = next_change(&rule, &facts, date_of(on)) {
            let before = amount_due(&rule, &facts, change.yesterday().unwrap()).unwrap();
            let then = amount_due(&rule, &facts, change).unwrap();
            assert!(change > date_of(on) && before.total == got.total && then.total != got.total, "{life}: {life_of:?} {change}");
        }
        reaches_the_citizen_once(life, &life_of, &blank, on, due, cost);
        with_cost += usize::from(cost > 0);
        let holder = &facts.recipients[life_of.holder];
        stale += usize::from(cost > 0 && holder.price.is_some() && holder.priced_paper != holder.analog_cost);
        suspended += usize::from(got.suspended);
        steps[got.step] += 1;
    }
    // The draw reaches what it is about.
    assert!(
        with_cost > LIVES / 20 && stale > LIVES / 100 && suspended > LIVES / 20 && steps.iter().all(|count| *count > LIVES / 50),
        "{with_cost} {stale} {suspended} {steps:?}"
    );
    assert!(ways.len() == 32 && ways.values().all(|count| *count > LIVES / 200) && parts > LIVES / 10, "{parts} {ways:?}");
}

#[test]
fn more_facts_never_ask_less_and_a_stop_never_asks_more() {
    let mut dice = Dice(0xFACE_B00C_1234_5678);
    for life in 0..5_000 {
        let mut drawn = drawn(&mut dice);
        // Rules whose steps only grow.
        drawn.rule = AmountRule { steps: AmountPreset::Cds.rule().steps, ..drawn.rule };
        let rule = drawn.rule.under(costs_of(drawn.route, drawn.mode));
        let on = dice.day(drawn.act, drawn.act + 420);
        let facts = drawn.facts(on);
        let sum = |facts: &AmountFacts, day: Date| amount_due(&rule, facts, day).unwrap().total;
        let now = sum(&facts, date_of(on));
        assert!(sum(&facts, date_of(on + 1)) >= now, "{life}: a day more: {drawn:?}");
        let mut letter = facts.clone();
        letter.recipients.iter_mut().for_each(|recipient| {
            recipient.analog_cost.0 += 500;
            recipient.priced_paper.0 += 500;
            recipient.price = recipient.price.map(|price| Cents(price.0 + 610));
        });
        assert!(sum(&letter, date_of(on)) >= now, "{life}: a letter more: {drawn:?}");
        let mut earlier = facts.clone();
        earlier.recipients.iter_mut().for_each(|recipient| recipient.completed = recipient.completed.and_then(|day| day.yesterday().ok()));
        assert!(sum(&earlier, date_of(on)) >= now, "{life}: complete a day earlier: {drawn:?}");
        let from = date_of(dice.day(on - 100, on + 1));
        let mut held = facts.clone();
        held.suspensions.push(Suspension { from, until: Some(date_of(on)) });
        assert!(sum(&held, date_of(on)) <= now, "{life}: suspended since {from}: {drawn:?}");
    }
}

fn cents() -> impl Strategy<Value = Cents> {
    prop_oneof![any::<i64>(), -10_i64..1_000_000, Just(99_999_999_999), Just(i64::MAX), Just(i64::MIN)].prop_map(Cents)
}

fn some_day() -> impl Strategy<Value = Date> {
    prop_oneof![(-9_999_i16..=9_999, 1_i8..=12, 1_i8..=28), (2_020_i16..2_030, 1_i8..=12, 1_i8..=28)]
        .prop_map(|(year, month, of)| date(year, month, of))
}

fn of<T: Copy + std::fmt::Debug + 'static>(all: &'static [T]) -> impl Strategy<Value = T> {
    proptest::sample::select(all)
}

prop_compose! {
    fn any_step()(
        from in of(FromEvent::ALL),
        days in proptest::option::of(prop_oneof![any::<u32>(), 0_u32..100]),
        due in prop_oneof![any::<u32>().prop_map(StepAmount::Percent), cents().prop_map(StepAmount::Fixed)],
        of_what in of(PercentOf::ALL),
        charge in proptest::option::of((any::<u32>(), proptest::option::of(cents()))),
        summer in any::<bool>(),
    ) -> AmountStep {
        AmountStep { from, days, due, of: of_what, charge: charge.map(|(percent, cap)| Charge { percent, cap }), summer }
    }
}

prop_compose! {
    fn any_rule()(
        steps in proptest::collection::vec(any_step(), 0..5),
        base in proptest::option::of(cents()),
        extra in proptest::option::of(cents()),
        limits in (proptest::option::of(cents()), proptest::option::of(cents())),
        words in (of(CostPolicy::ALL), of(CostBearers::ALL), of(WhoseCompletion::ALL), of(HolidayPolicy::ALL), of(Rounding::ALL), of(WhenMissing::ALL)),
        sanction in proptest::option::of(Just(SanctionTable::OmittedPayment)),
        semester in proptest::option::of(any::<u32>()),
        valid in (proptest::option::of(some_day()), proptest::option::of(some_day())),
    ) -> AmountRule {
        let (costs, bearers, completion, holidays, rounding, missing) = words;
        AmountRule {
            preset: None, base, steps, costs, bearers, completion, holidays, rounding, extra, sanction, semester,
            floor: limits.0, ceiling: limits.1, valid_from: valid.0, valid_until: valid.1, missing,
        }
    }
}

prop_compose! {
    fn any_facts()(
        sums in (proptest::option::of(cents()), proptest::option::of(cents()), proptest::option::of(cents())),
        days in (proptest::option::of(some_day()), proptest::option::of(some_day()), proptest::option::of(some_day())),
        holder in 0_usize..4,
        recipients in proptest::collection::vec((proptest::option::of(some_day()), proptest::option::of(cents()), cents(), any::<bool>()), 0..4),
        suspensions in proptest::collection::vec((some_day(), proptest::option::of(some_day())), 0..4),
        flags in (any::<bool>(), any::<bool>()),
        fees in (any::<u32>(), any::<u32>()),
    ) -> AmountFacts {
        AmountFacts {
            amount: sums.0,
            minimum: sums.1,
            maximum: sums.2,
            act_date: days.0,
            violation: days.1,
            contestation: days.2,
            holder,
            recipients: recipients
                .into_iter()
                .map(|(completed, price, analog_cost, stale)| {
                    let priced_paper = if stale { Cents(0) } else { analog_cost };
                    RecipientFacts { completed, price, priced_paper, analog_cost }
                })
                .collect(),
            suspensions: suspensions.into_iter().map(|(from, until)| Suspension { from, until }).collect(),
            applies_cost: flags.0,
            notified: flags.1,
            pa_fee: fees.0,
            vat: fees.1,
            ..AmountFacts::default()
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_comes_in_a_sum_is_sound_or_a_fault(rule in any_rule(), facts in any_facts(), on in some_day()) {
        match amount_due(&rule, &facts, on) {
            Ok(sum) => {
                prop_assert!(sum.due.0 > 0 && sum.cost.0 >= 0 && sum.total.0 <= 99_999_999_999, "{:?}", sum);
                prop_assert_eq!(sum.due.0 + sum.cost.0, sum.total.0);
                prop_assert!(sum.until.is_none_or(|until| until >= on), "{:?}", sum);
            }
            Err(fault) => prop_assert!(!fault.to_string().is_empty() && fault != AmountFault::DoesNotAddUp),
        }
        let _ = next_change(&rule, &facts, on);
    }
}
