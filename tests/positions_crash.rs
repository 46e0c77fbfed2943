//! The real process killed between judging an act, computing an amount, telling it to the PT and recording it, and between learning a
//! payment and telling SEND of it, again and again: every position ends with the right amount at its PT, no amount is told twice, and
//! each payment is told once.
//!
//! Real `messo run` and SEND simulator; the PT simulator lives in this process, so that what it was told is looked at directly. The
//! business clock runs [`FACTOR`] times as fast, so that the windows of the rule pass within the test.
//!
//! `MESSO_CRASH_SEED` repeats the choices of a run.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a failed step ends the test")]

mod common;
#[path = "crash/house.rs"]
mod house;
#[path = "crash/lot.rs"]
mod lot;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::sync::Arc;
use std::time::Duration;

use common::{Child, Dice, wait_for};
use house::{House, POLIZIA, Simulator, clock_from_now};
use lot::{Act, Lot, SEEN, UNREACHABLE};
use messo::clock::{Clock, monotonic};
use messo::failpoint;
use messo::sandbox::pt::{Debt, DebtState, Debts, PtOptions};

/// Business seconds in a real one: a day in two seconds.
const FACTOR: u32 = 43_200;
/// A named point is reached within this.
const PATIENCE: Duration = Duration::from_secs(90);
/// Whether one of all points kills is chance: nobody waits longer for it.
const CHANCE: Duration = Duration::from_secs(20);
/// So long without the named point, and there is nothing left to do that passes it: more acts come.
const IDLE: Duration = Duration::from_secs(10);
/// Everything has passed its last window within this after the last kill.
const QUIET: Duration = Duration::from_secs(90);
const KILLS: usize = 40;
/// What the act asks for, cents; and what each window asks of it, percent.
const AMOUNT: i64 = 10_000;
const WINDOWS: [i64; 3] = [70, 100, 150];

/// Reduced for two days after completion, whole up to the fourth, half as much again afterwards; SEND's cost added.
const FLOW: &str = r#"
name = "multe"
title = "Multe di prova"
taxonomy_code = "010101P"
communication_type = "REGISTERED_LETTER_890"
fee_policy = "DELIVERY_MODE"
pago_pa_int_mode = "SYNC"
pa_fee = 100
vat = 22
payment = "required"
[amount_rule]
base = 10000
costs = "aggiunti"
# A last day that moved would make two windows end together on some dates.
holidays = "non_sposta"
steps = [
  { from = "perfezionamento", days = 2, due = { percent = 7000 } },
  { from = "perfezionamento", days = 4, due = { percent = 10000 } },
  { from = "perfezionamento", due = { percent = 15000 } },
]
[guard]
first_acts = 10000
max_refused_percent = 100
[pagamenti]
verify = "refuse"
notify_paid_to_send = true
"#;

/// One act and what becomes of it.
struct Told {
    reference: String,
    notice: String,
    /// Its paper, if it has any, must go on: it is never paid.
    on_paper: bool,
    paid: bool,
}

struct World {
    house: House,
    debts: Arc<Debts>,
    acts: Vec<Told>,
    next: u64,
}

impl World {
    /// Drops a batch of `count` acts whose positions are at the PT already.
    fn drop_acts(&mut self, count: usize) {
        let mut acts = Vec::new();
        for _ in 0..count {
            self.next += 1;
            let (reference, story) = (format!("M-{}", self.next), if self.next.is_multiple_of(3) { UNREACHABLE } else { SEEN });
            let act = Act { notice: Some(self.next), amount: Some("100,00"), ..Act::new(reference.clone(), story) };
            let notice = lot::notice_code(self.next);
            self.debts.put(debt(POLIZIA.1, &notice, self.next));
            self.acts.push(Told { reference, notice, on_paper: self.next.is_multiple_of(3), paid: false });
            acts.push(act);
        }
        self.house.drop_file(POLIZIA.0, &format!("multe/lotto-{}.zip", self.next), &Lot::of(POLIZIA.1, acts).zip());
    }

    /// Place in `acts` of one more that SEND has and that is not paid yet.
    fn payable(&self) -> Option<usize> {
        let sql = "SELECT count(*) FROM notice n JOIN act a ON a.id = n.act_id WHERE a.iun IS NOT NULL AND n.notice_code";
        let at_send = |act: &Told| self.house.count(&format!("{sql} = '{}'", act.notice)) == Some(1);
        self.acts.iter().position(|act| !act.on_paper && !act.paid && at_send(act))
    }

    /// A citizen pays what the PT asks; where SEND has none that is not paid, a hub takes acts there first.
    fn pay(&mut self, clock: &Clock) {
        if self.payable().is_none() {
            self.drop_acts(2);
            let mut hub = self.house.run();
            wait_for("an act that can be paid", PATIENCE, || self.payable());
            hub.kill();
        }
        let at = self.payable().unwrap();
        let act = &mut self.acts[at];
        let debt = self.debts.get(POLIZIA.1, &act.notice).unwrap();
        let (amount, now) = (debt.amount, clock.now().as_millisecond());
        let paid = Debt { state: DebtState::Paid, paid_amount: Some(amount), paid_at: Some(now), ..debt };
        act.paid = self.debts.replace(DebtState::Unpaid, paid);
        assert!(act.paid, "{}: its PT changed it meanwhile", act.reference);
    }

    fn count(&self, sql: &str) -> Option<i64> {
        self.house.count(sql)
    }
}

fn debt(creditor: &str, notice: &str, number: u64) -> Debt {
    Debt {
        creditor: creditor.to_owned(),
        notice: notice.to_owned(),
        position_id: format!("PEND-{number}"),
        amount: AMOUNT,
        fee: 0,
        state: DebtState::Unpaid,
        due_date: None,
        payer_tax_id: "RSSMRA80A01H501U".to_owned(),
        payer_name: "Mario Rossi".to_owned(),
        remittance: "Verbale".to_owned(),
        due_type: "CDS".to_owned(),
        more: serde_json::Value::Null,
        changes: Vec::new(),
        paid_amount: None,
        paid_at: None,
    }
}

/// The house of the crash tests, with a PT, a route and a flow of its own.
fn house(send_url: &str, clock: &str, pt: &str) -> House {
    let house = House::new(send_url, clock, "disk_reserve_bytes = 1048576");
    std::fs::create_dir_all(house.path("flussi")).unwrap();
    std::fs::write(house.path("flussi/multe.toml"), FLOW).unwrap();
    std::fs::write(house.path("password-pt"), "segreta").unwrap();
    let text = std::fs::read_to_string(house.path("messo.toml")).unwrap();
    let route = "[[ente.pagamenti]]\npt = \"govpay\"\naux = 3\ncosts = \"push\"\n[[gestionale]]\nname = \"polizia\"";
    let text = text.replacen("[[gestionale]]\nname = \"polizia\"", route, 1).replacen("flows = [\"cds\"", "flows = [\"multe\", \"cds\"", 1);
    let pts = format!(
        "\n[[pt]]\nname = \"govpay\"\nkind = \"govpay\"\nurl = \"{pt}/govpay/backend/api/pendenze/rs/basic/v2\"\nusername = \"messo\"\n\
         password = \"file:password-pt\"\nper_second = 1000\n"
    );
    std::fs::write(house.path("messo.toml"), format!("flows = \"flussi\"\n{text}{pts}")).unwrap();
    house
}

/// What each position must ask for in the end: the last window, and SEND's own price of the notice.
fn wanted(world: &World, simulator: &Simulator) -> BTreeMap<String, i64> {
    let price = |notice: &str| {
        let path = format!("/delivery/v2.3/price/{}/{notice}", POLIZIA.1);
        (0..50).find_map(|_| simulator.get(&path, POLIZIA.1)).and_then(|answer| answer["totalPrice"].as_i64()).expect("a price")
    };
    world.acts.iter().map(|act| (act.notice.clone(), AMOUNT * WINDOWS[2] / 100 + price(&act.notice))).collect()
}

#[test]
fn the_pt_ends_with_the_right_amount_told_once_however_often_the_process_is_killed() {
    let told = std::env::var("MESSO_CRASH_SEED").ok().and_then(|value| value.parse::<u64>().ok());
    let seed = told.unwrap_or(Clock::REAL.now().as_millisecond().unsigned_abs() % 1_000_000);
    println!("MESSO_CRASH_SEED={seed}");
    let mut dice = Dice(seed);
    let begin = monotonic();

    let clock = clock_from_now(FACTOR);
    let simulator = Simulator::start(&clock, &[]);
    let debts = Arc::new(Debts::default());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let pt = runtime
        .block_on(messo::sandbox::pt::start(PtOptions {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            clock: clock.parse().unwrap(),
            debts: debts.clone(),
            username: "messo".to_owned(),
            password: "segreta".to_owned(),
        }))
        .unwrap();
    let mut world = World { house: house(&simulator.url, &clock, &pt.url()), debts, acts: Vec::new(), next: 0 };

    let mut missed = Vec::new();
    for kill in 0..KILLS {
        let point = failpoint::AMOUNT_POINTS[kill % failpoint::AMOUNT_POINTS.len()];
        if kill % 3 == 0 || point.starts_with("prepare.") {
            world.drop_acts(2);
        }
        let paid = point.starts_with("payment.");
        if paid {
            world.pay(&clock.parse().unwrap());
        }
        let mut command = world.house.command();
        // Now and then at a later time that it is met, or anywhere at all.
        let at = if paid {
            format!("{point}:1")
        } else if kill % 5 == 4 {
            format!("*:p=0.03:seed={}", dice.roll(1_000_000))
        } else {
            format!("{point}:{}", 1 + dice.roll(2))
        };
        let mut hub = Child::spawn("messo run", command.env(failpoint::VARIABLE, &at));
        let by_chance = at.starts_with('*');
        let end = monotonic() + if by_chance { CHANCE } else { PATIENCE };
        let mut idle = monotonic() + IDLE;
        while hub.try_wait().is_none() && monotonic() < end {
            std::thread::sleep(Duration::from_millis(5));
            if monotonic() > idle && !by_chance {
                world.drop_acts(2);
                idle += IDLE;
            }
        }
        match hub.try_wait() {
            Some(status) => assert_eq!(status.signal(), Some(9), "{at}: {status:?}\n{}", hub.output()),
            None => {
                hub.kill();
                // Killed all the same, wherever it was.
                if !by_chance {
                    missed.push(at);
                }
            }
        }
    }
    println!("{KILLS} kills in {:.1} s; quiet now", begin.elapsed().as_secs_f64());

    let mut hub = world.house.run();
    let end = monotonic() + QUIET;
    let unrest = |world: &World| {
        let questions = [
            ("acts not complete", "SELECT count(*) FROM act WHERE state <> 'PERFEZIONATO'".to_owned()),
            (
                "positions not at rest",
                "SELECT count(*) FROM position WHERE state <> 'PAGATA' AND \
                 (state <> 'APERTA' OR next_day IS NOT NULL OR asked IS NOT wanted)"
                    .to_owned(),
            ),
            (
                "payments not learnt",
                format!("SELECT {} - count(*) FROM position WHERE state = 'PAGATA'", world.acts.iter().filter(|act| act.paid).count()),
            ),
            ("positions missing", format!("SELECT {} - count(*) FROM position", world.acts.len())),
            ("prices not known", "SELECT count(*) FROM recipient WHERE citizen_cost IS NULL".to_owned()),
            (
                "sums to compute",
                "SELECT count(*) FROM job WHERE kind IN ('RICALCOLA', 'AGGIORNA_IMPORTO', 'RILEGGI_POSIZIONE', 'CHIEDI_COSTO', 'COMUNICA_PAGAMENTO')".to_owned(),
            ),
        ];
        questions.into_iter().find_map(|(what, sql)| match world.count(&sql) {
            Some(0) => None,
            count => Some(format!("{count:?} {what}")),
        })
    };
    let mut calm = 0;
    while calm < 3 {
        assert!(hub.try_wait().is_none(), "the hub has ended\n{}", hub.output());
        match unrest(&world) {
            Some(why) if monotonic() > end => panic!("never quiet: {why}\n{}", hub.output()),
            Some(_) => calm = 0,
            None => calm += 1,
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let wanted = wanted(&world, &simulator);
    assert_eq!(hub.terminate(Duration::from_secs(30)).code(), Some(0), "{}", hub.output());

    let (mut changes, mut through_all) = (0, 0);
    for act in &world.acts {
        let debt = world.debts.get(POLIZIA.1, &act.notice).unwrap();
        let told: Vec<i64> = debt.changes.iter().map(|change| change.amount).collect();
        assert!(
            act.paid || debt.amount == wanted[&act.notice],
            "{} ends with another amount than {}: {told:?}",
            act.reference,
            wanted[&act.notice]
        );
        let mut before = AMOUNT;
        for amount in &told {
            assert_ne!(*amount, before, "{} was told {amount} twice: {told:?}", act.reference);
            before = *amount;
        }
        // Each of its amounts is one of the rule's, with what SEND asks for by then or without.
        let cost = wanted[&act.notice] - AMOUNT * WINDOWS[2] / 100;
        let is_of_the_rule = |told: &i64| WINDOWS.iter().any(|window| (0..=cost).contains(&(told - AMOUNT * window / 100)));
        assert!(told.iter().all(is_of_the_rule), "{}: {told:?}, cost {cost}", act.reference);
        // A window that passes while nobody is at work is not told.
        assert!(act.paid || !told.is_empty(), "{} never moved", act.reference);
        through_all += usize::from(!act.paid && told.len() >= WINDOWS.len());
        changes += told.len();
    }
    assert!(through_all > 0, "no act was told all its windows");
    let lines = world.count("SELECT count(*) FROM line WHERE event = 'IMPORTO_AGGIORNATO'");
    let paid = world.acts.iter().filter(|act| act.paid).count() as i64;
    // The last change of one that is paid may not have been read back before.
    let changes_told = changes as i64 - paid..=changes as i64;
    assert!(lines.is_some_and(|lines| changes_told.contains(&lines)), "a line for each change: {lines:?} of {changes_told:?}");
    assert!(paid > 4, "{paid} payments");
    for (what, sql) in [
        ("a line for each payment", "SELECT count(*) FROM line WHERE event = 'PAGATO'"),
        ("each told to SEND and kept once", "SELECT count(*) FROM history WHERE event = 'COMUNICATO_A_SEND'"),
        ("SEND has each once", "SELECT count(*) FROM line WHERE event = 'PAYMENT'"),
    ] {
        assert_eq!(world.count(sql), Some(paid), "{what}");
    }
    assert_eq!(missed, Vec::<String>::new(), "points never reached");
    println!(
        "positions: {KILLS} kills, {} positions, {changes} changes, {:.0} s, seed {seed}",
        world.acts.len(),
        begin.elapsed().as_secs_f64()
    );
}
