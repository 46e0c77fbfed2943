//! Where acts stand after each line of the ledger: any window can be printed, now and later, as it was.

use std::io;

use super::*;
use crate::domain::standing::{ExportKind, Standing, Statement, Terms, follow};

/// A row as text: what two printings are compared by.
#[derive(Default)]
struct Rows(Vec<(u64, u32, String)>);

impl Statements for Rows {
    fn row(&mut self, row: &Statement<'_>) -> io::Result<()> {
        self.0.push((row.line, row.recipient, format!("{row:?}")));
        Ok(())
    }
}

fn export(after: u64, to: u64, kind: ExportKind) -> Export {
    let (day, created_at) = (jiff::civil::Date::constant(2026, 11, 23), Timestamp::UNIX_EPOCH);
    Export { source: SOURCE.into(), number: 1, kind, day, after, to, created_at, previous_csv: None, previous_xml: None }
}

impl World {
    async fn statements(&self, export: &Export) -> Vec<(u64, u32, String)> {
        let (rows, outcome) = self.store.statements(export, export.after + 1, export.to, Rows::default()).await.unwrap();
        outcome.unwrap();
        rows.0
    }

    /// Takes the number and the window of an export, as its publisher does.
    async fn exported(&self, number: u64, after: u64, to: u64) -> Result<(), StoreError> {
        let export = Export { number, created_at: self.now(), ..export(after, to, ExportKind::Changed) };
        self.store.prepare_export(export, Vec::new()).await
    }
}

fn paid(reference: &str) -> Act {
    Act { amount: Some(crate::domain::money::Cents(4_200)), vat: Some(22), pa_fee: Some(100), ..act(reference) }
}

/// Acts that end in every way, with lines of all kinds.
async fn busy() -> World {
    let world = World::new();
    world.listen().await;
    let mut two = paid("due");
    two.recipients.push(recipient("VRDLGI85B15F205X", Some("302000000000000019".to_owned())));
    world.accept(vec![paid("a"), two, paid("c"), paid("rifiutato"), paid("resta")], flow(20)).await;
    world.settle().await;
    for reference in ["a", "due", "c", "resta"] {
        let mut accepted = world.event(reference, "REQUEST_ACCEPTED", json!({})).await;
        accepted.element.legal_facts_ids = vec![fact(&format!("presa-{reference}"), "SENDER_ACK")];
        world.tell(vec![accepted]).await;
    }
    let refused = json!({"refusalReasons": [{"errorCode": "NOT_VALID_ADDRESS"}], "notificationCost": 100});
    world.hear("rifiutato", "REQUEST_REFUSED", refused).await;
    world.settle().await;
    world.pass(SignedDuration::from_hours(24));
    world.hear("a", "SEND_ANALOG_DOMICILE", json!({"recIndex": 0, "analogCost": 530, "sentAttemptMade": 0})).await;
    world.hear("due", "NOTIFICATION_VIEWED", json!({"recIndex": 1, "notificationCost": 100})).await;
    world.pass(SignedDuration::from_hours(24));
    let end = world.event("a", "REFINEMENT", json!({"recIndex": 0, "notificationCost": 100})).await;
    world.tell(vec![end.clone()]).await;
    world.settle().await;
    let voids = json!({"recIndex": 0, "invalidatedTimelineAndStatusHistory": [{"relatedTimelineElements": [{"elementId": end.element.element_id}]}]});
    world.hear("a", "NOTIFICATION_TIMELINE_REWORKED", voids).await;
    world.pass(SignedDuration::from_hours(24));
    world.hear("a", "REFINEMENT", json!({"recIndex": 0, "notificationCost": 100})).await;
    world.hear("due", "REFINEMENT", json!({"recIndex": 0, "notificationCost": 100})).await;
    let id = world.act("c").await.id;
    world.store.order(id, crate::flow::event::Order::Cancel, "operatore", "prova", world.now()).await.unwrap();
    world.hear("c", "NOTIFICATION_CANCELLED", json!({"notificationCost": 100})).await;
    world.settle().await;
    world
}

/// The rows of a window, made of nothing but the lines up to its end.
fn folded(lines: &[OutcomeLine], after: u64, to: u64, kind: ExportKind) -> Vec<(u64, u32, Standing)> {
    let mut acts: BTreeMap<ActId, (u64, Vec<Standing>)> = BTreeMap::new();
    for line in lines.iter().filter(|line| line.line <= to) {
        let recipients = if line.reference == "due" { 2 } else { 1 };
        let begin = || (0, (0..recipients).map(|recipient| Standing::new(recipient, Terms::default())).collect());
        let (changed, all) = acts.entry(line.act).or_insert_with(begin);
        if follow(all, line) || *changed == 0 {
            *changed = line.line;
        }
    }
    let rows = acts.into_values().filter(|(changed, _)| *changed > after);
    let mut rows: Vec<_> = rows.flat_map(|(line, all)| all.into_iter().map(move |one| (line, one.recipient, one))).collect();
    rows.retain(|(_, _, standing)| kind == ExportKind::Changed || !standing.closed);
    rows.sort_by_key(|row| (row.0, row.1));
    rows
}

#[tokio::test]
async fn every_window_is_what_its_lines_say_and_stays_so() {
    let world = busy().await;
    let lines = world.lines().await;
    let last = lines.len() as u64;
    assert!(last > 25, "{last} lines");
    let mut seen = Vec::new();
    for to in 0..=last {
        for (after, kind) in [(0, ExportKind::Changed), (to / 2, ExportKind::Changed), (to, ExportKind::Changed), (0, ExportKind::Open)] {
            let window = export(after, to, kind);
            let printed = world.statements(&window).await;
            let want = folded(&lines, after, to, kind);
            let keys = |(line, recipient, _): &(u64, u32, String)| (*line, *recipient);
            assert_eq!(
                printed.iter().map(keys).collect::<Vec<_>>(),
                want.iter().map(|row| (row.0, row.1)).collect::<Vec<_>>(),
                "{window:?}"
            );
            for ((_, _, text), (_, _, standing)) in printed.iter().zip(&want) {
                for told in [
                    format!("state: \"{}\"", standing.state),
                    format!("closed: {}", standing.closed),
                    format!("citizen_cost: {:?}", standing.citizen_cost),
                    format!("paper: {:?}", standing.paper),
                    format!("completed_at: {:?}", standing.completed_at),
                    "amount: Some(4200), vat: Some(22), pa_fee: Some(100)".to_owned(),
                ] {
                    assert!(text.contains(&told), "{window:?}: {told} not in {text}");
                }
                let files = text.matches(".pdf").count();
                assert_eq!(files, standing.attestations as usize, "{window:?}: {text}");
            }
            seen.push((window, printed));
        }
    }
    // More happens: what was printed is printed again.
    world.pass(SignedDuration::from_hours(24));
    let mut viewed = world.event("resta", "NOTIFICATION_VIEWED", json!({"recIndex": 0, "notificationCost": 100})).await;
    viewed.element.legal_facts_ids = vec![fact("accesso", "RECIPIENT_ACCESS")];
    world.tell(vec![viewed]).await;
    world.hear("a", "SEND_SIMPLE_REGISTERED_LETTER", json!({"recIndex": 0, "analogCost": 111})).await;
    world.settle().await;
    assert!(world.lines().await.len() as u64 > last);
    for (window, printed) in seen {
        assert_eq!(world.statements(&window).await, printed, "{window:?}");
    }
}

#[tokio::test]
async fn pages_of_lines_give_each_act_once() {
    let world = busy().await;
    let last = world.lines().await.len() as u64;
    let window = export(3, last, ExportKind::Changed);
    let whole = world.statements(&window).await;
    let mut paged = Rows::default();
    for first in (4..=last).step_by(5) {
        let outcome;
        (paged, outcome) = world.store.statements(&window, first, first + 4, paged).await.unwrap();
        outcome.unwrap();
    }
    assert_eq!(paged.0, whole);
    let acts: BTreeSet<&str> = whole.iter().filter_map(|row| row.2.split("act: ").nth(1)?.split(',').next()).collect();
    assert_eq!((acts.len(), whole.len()), (5, 6), "one act has two recipients");
}

#[tokio::test]
async fn new_content_is_printed_from_the_line_that_tells_it() {
    let world = World::new();
    world.listen().await;
    world.accept(vec![paid("a")], flow(20)).await;
    world.settle_but(|effect| *effect == Effect::Upload).await;
    world.store.free_leases().await.unwrap();
    let mut changed = order(Action::Modify, Act { amount: Some(crate::domain::money::Cents(9_900)), ..paid("a") });
    changed.recipients.push(recipient("VRDLGI85B15F205X", Some("302000000000000019".to_owned())));
    let before = world.lines().await.len() as u64;
    let (batch, _) = world.stage(vec![changed], flow(20)).await;
    world.finish(batch, false).await;
    world.settle().await;
    let lines = world.lines().await;
    let modified = lines.iter().find(|line| line.state == OutcomeState::Modified).unwrap().line;
    let old = world.statements(&export(0, before, ExportKind::Changed)).await;
    assert!(old.len() == 1 && old[0].2.contains("amount: Some(4200)"), "{old:?}");
    let new = world.statements(&export(before, modified, ExportKind::Changed)).await;
    assert!(new.len() == 2 && new[1].2.contains("amount: Some(9900)") && new[1].2.contains("302000000000000019"), "{new:?}");
}

#[tokio::test]
async fn acts_older_than_their_standings_are_caught_up() {
    let world = busy().await;
    let last = world.lines().await.len() as u64;
    let want = world.statements(&export(0, last, ExportKind::Changed)).await;
    let db = rusqlite::Connection::open(world.dir.path().join("messo.db")).unwrap();
    db.execute("DELETE FROM standing", []).unwrap();
    assert!(world.statements(&export(0, last, ExportKind::Changed)).await.is_empty());
    let one = world.act("resta").await.id;
    world.hear("resta", "SEND_ANALOG_DOMICILE", json!({"recIndex": 0, "analogCost": 530, "sentAttemptMade": 0})).await;
    let after = world.statements(&export(last, last + 1, ExportKind::Changed)).await;
    let before = want.iter().find(|row| row.2.contains(&one.to_string())).unwrap();
    let kept = |text: &str| text.split("accepted_at").nth(1).unwrap().to_owned();
    assert_eq!(after.len(), 1);
    assert_eq!(kept(&after[0].2), kept(&before.2), "acceptance and attestations are known as before");
    assert!(after[0].2.contains("paper: Some(530)"), "{after:?}");
}

#[tokio::test]
async fn numbers_have_no_gaps_and_windows_follow_each_other() {
    let world = busy().await;
    let known = world.store.exports_of(SOURCE).await.unwrap();
    assert_eq!((known.last_line, known.last), (world.lines().await.len() as u64, None));
    assert!(matches!(world.exported(2, 0, 5).await, Err(StoreError::Stale)), "the first is number 1");
    world.exported(1, 0, 5).await.unwrap();
    for (number, after) in [(1, 5), (3, 5), (2, 4), (2, 6)] {
        assert!(matches!(world.exported(number, after, 9).await, Err(StoreError::Stale)), "{number} {after}");
    }
    world.exported(2, 5, 9).await.unwrap();
    let open = |number, to| Export { number, ..export(0, to, ExportKind::Open) };
    assert!(matches!(world.store.prepare_export(open(3, 8), Vec::new()).await, Err(StoreError::Stale)));
    world.store.prepare_export(open(3, 9), Vec::new()).await.unwrap();
    world.exported(4, 9, 9).await.unwrap();
    let all = world.store.exports(SOURCE, WantedExports::Numbers(1, u64::MAX)).await.unwrap();
    assert_eq!(all.iter().map(|export| export.number).collect::<Vec<_>>(), [1, 2, 3, 4]);
    let day = jiff::civil::Date::constant(2026, 11, 23);
    assert_eq!(world.store.exports(SOURCE, WantedExports::Days(day, day)).await.unwrap(), all);
    let known = world.store.exports_of(SOURCE).await.unwrap();
    assert_eq!(known.open.unwrap().number, 3);
    assert_eq!((known.changed.unwrap().number, known.last.unwrap().number), (4, 4));
}

#[tokio::test]
async fn what_retention_deleted_is_known_and_later_windows_are_the_same() {
    let world = busy().await;
    let last = world.lines().await.len() as u64;
    world.exported(1, 0, 8).await.unwrap();
    world.pass(SignedDuration::from_hours(24));
    world.exported(2, 8, 16).await.unwrap();
    let middle = world.now();
    world.pass(SignedDuration::from_hours(24));
    world.exported(3, 16, last).await.unwrap();
    let windows = [
        (export(8, 16, ExportKind::Changed)),
        export(16, last, ExportKind::Changed),
        export(0, 16, ExportKind::Open),
        export(0, last, ExportKind::Open),
    ];
    let mut printed = Vec::new();
    for window in &windows {
        assert_eq!(world.store.export_gone(window).await.unwrap(), None);
        printed.push(world.statements(window).await);
    }
    let rows = world.count("SELECT count(*) FROM standing");
    let before = middle + SignedDuration::from_secs(1);
    while world.store.forget_standings(SOURCE, before, world.now()).await.unwrap() {}
    assert!(world.count("SELECT count(*) FROM standing") < rows);
    assert!(!world.store.forget_standings(SOURCE, before, world.now()).await.unwrap(), "once");
    let first = export(0, 8, ExportKind::Changed);
    assert_eq!(world.store.export_gone(&first).await.unwrap().map(|gone| gone.at), Some(world.now()));
    for (window, printed) in windows.iter().zip(printed) {
        assert_eq!(world.store.export_gone(window).await.unwrap(), None, "{window:?}");
        assert_eq!(world.statements(window).await, printed, "{window:?}");
    }
    // One person's notices: windows that printed them say so, the others do not.
    let act = world.act("resta").await.id;
    let lines: Vec<u64> = world.lines().await.iter().filter(|line| line.act == act).map(|line| line.line).collect();
    world.store.blank_notices(act, world.now()).await.unwrap();
    let after = export(*lines.last().unwrap(), last, ExportKind::Changed);
    assert_eq!(world.store.export_gone(&after).await.unwrap(), None);
    assert!(world.store.export_gone(&export(0, last, ExportKind::Open)).await.unwrap().is_some());
    assert!(world.statements(&export(0, last, ExportKind::Open)).await.iter().any(|row| row.2.contains("notices: \"\"")));
    let touched = rusqlite::Connection::open(world.dir.path().join("messo.db")).unwrap().execute("UPDATE standing SET paper = 1", []);
    assert!(touched.is_err(), "standings are final");
}

/// After a restore SEND may show an act under another submission: what was printed of it before stays what it was.
#[tokio::test]
async fn a_submission_found_at_send_changes_no_row_that_was_printed() {
    let world = busy().await;
    let last = world.lines().await.len() as u64;
    let window = export(0, last, ExportKind::Changed);
    let printed = world.statements(&window).await;
    let act = world.act("resta").await;
    world.store.found_at_send(act.id, act.submission + 2, Vec::new(), None, world.now()).await.unwrap();
    assert_eq!(world.act("resta").await.submission, act.submission + 2);
    assert_eq!(world.statements(&window).await, printed);
}
