//! From the claim of a file to an acknowledged batch: what is said of each row, and what a crash in between leaves.

use super::*;
use crate::batch::problem::{Code, Problem};

#[tokio::test]
async fn a_drop_claimed_twice_is_one_and_tells_how_far_it_is() {
    let world = World::new();
    let id = world.claim(false).await;
    let again = NewDrop {
        id,
        source: SOURCE.to_owned(),
        original_name: "lotto.zip".to_owned(),
        flow_hint: Some("cds".to_owned()),
        dry_run: false,
        received_at: world.now(),
    };
    assert_eq!(world.store.claim(again.clone()).await.unwrap().state, None);
    assert_eq!(world.store.batches(10).await.unwrap().len(), 1);
    world.begin(id, flow(20)).await;
    world.finish(id, false).await;
    assert_eq!(world.store.claim(again).await.unwrap().state, Some(ReceiptState::Taken));
    assert!(world.store.unfinished().await.unwrap().is_empty());
}

/// One known act in a state, then a row about it.
#[tokio::test]
async fn rows_meet_what_is_live() {
    let other = |reference: &str| Act { subject: Some("Altro".to_owned()), ..act(reference) };
    let keys = |reference: &str| Act { protocol: None, documents: vec![], recipients: vec![recipient("X", None)], ..act(reference) };
    let protocol = Act { protocol: Some("P-noto".to_owned()), ..keys("nuovo") };
    let document = Act { documents: act("noto").documents, recipients: act("noto").recipients, ..keys("nuovo") };
    let document = Act { recipients: document.recipients.into_iter().map(|r| Recipient { payments: vec![], ..r }).collect(), ..document };
    let notice = Act { recipients: act("noto").recipients, ..keys("nuovo") };
    let forced = |act: Act| Act { force: Some("richiesta dell'ufficio".to_owned()), ..act };
    let table = [
        ("another act", act("nuovo"), Verdict::New),
        ("the same again", act("noto"), Verdict::Duplicate),
        ("forced makes no other content", forced(act("noto")), Verdict::Duplicate),
        ("same reference, other content", other("noto"), Verdict::Exists),
        ("same protocol", protocol.clone(), live(Claim::Protocol, "noto")),
        ("same protocol, with a reason", forced(protocol), Verdict::New),
        ("same document for the same person", document.clone(), live(Claim::Document, "noto")),
        ("same document, with a reason", forced(document), Verdict::New),
        ("same notice", notice.clone(), live(Claim::Notice, "noto")),
        ("same notice: no reason helps", forced(notice), live(Claim::Notice, "noto")),
        ("change of the unknown", order(Action::Modify, act("ignoto")), Verdict::Unknown),
        ("cancel of the unknown", order(Action::Cancel, act("ignoto")), Verdict::Unknown),
        ("replacement of the unknown", order(Action::Replace, act("ignoto")), Verdict::Unknown),
        ("change", order(Action::Modify, other("noto")), Verdict::New),
        ("cancel", order(Action::Cancel, act("noto")), Verdict::New),
        ("replacement", order(Action::Replace, other("noto")), Verdict::New),
    ];
    for (what, row, want) in table {
        let world = World::new();
        world.accept(vec![act("noto")], flow(0)).await;
        world.settle_but(|effect| *effect == Effect::Upload).await;
        let (_, verdicts) = world.stage(vec![row], flow(0)).await;
        assert_eq!(verdicts, [want], "{what}");
    }
}

#[tokio::test]
async fn an_act_at_send_cannot_be_changed_and_a_closed_one_takes_no_orders_but_comes_back_as_a_new_submission() {
    let world = World::new();
    world.listen().await;
    world.accept(vec![act("a"), act("b"), act("c"), act("d")], flow(0)).await;
    world.settle().await;
    let order_of = |action, reference| order(action, act(reference));
    let rows = vec![order_of(Action::Modify, "a"), order_of(Action::Cancel, "b")];
    assert_eq!(world.stage(rows, flow(0)).await.1, [Verdict::AlreadySent, Verdict::New]);

    // a: refused. b: cancelled by SEND. c: still live.
    let refusal = json!({"refusalReasons": [{"errorCode": "NOT_VALID_ADDRESS"}]});
    world.hear("a", "REQUEST_REFUSED", refusal.clone()).await;
    world.hear("d", "REQUEST_REFUSED", refusal).await;
    world.accepted(&["b", "c"]).await;
    world.store.order(world.act("b").await.id, crate::flow::event::Order::Cancel, "op", "", world.now()).await.unwrap();
    world.hear("b", "NOTIFICATION_CANCELLED", json!({})).await;
    assert_eq!((world.state("a").await.as_str(), world.state("b").await.as_str()), ("RIFIUTATO", "ANNULLATO"));
    for (action, reference) in [(Action::Cancel, "a"), (Action::Modify, "b"), (Action::Cancel, "b")] {
        assert_eq!(world.stage(vec![order_of(action, reference)], flow(0)).await.1, [Verdict::Closed], "{action} {reference}");
    }
    let first = world.material(world.act("a").await.id).await.token;
    // The reject of a change that SEND refused says `modifica`: corrected, it goes in as it is.
    world.accept(vec![act("d"), order(Action::Replace, act("b")), order_of(Action::Modify, "a")], flow(0)).await;
    world.settle().await;
    assert_eq!(world.material(world.act("a").await.id).await.content.action, Action::Insert);
    for reference in ["a", "b", "d"] {
        let act = world.act(reference).await;
        assert_eq!((act.submission, act.state.as_str()), (2, "INVIATO"), "{reference}");
    }
    assert_ne!(world.material(world.act("a").await.id).await.token, first, "a deliberate submission has its own token");
    world.is_sound().await;
}

#[tokio::test]
async fn a_crash_while_reading_leaves_nothing_behind() {
    let world = World::new();
    let id = world.claim(false).await;
    world.begin(id, flow(20)).await;
    world.store.stage(id, rows(vec![act("a"), act("b")]), world.now()).await.unwrap();
    world.store.add_problems(id, vec![Problem::of_drop("lotto.csv", Code::EmptyBatch)]).await.unwrap();
    world.store.add_rejects(id, vec![(1, "{}".to_owned())]).await.unwrap();

    // Read again: the same rows are new again, nothing is counted twice.
    world.begin(id, flow(20)).await;
    assert_eq!(world.store.problems(id, 0).await.unwrap(), []);
    assert_eq!(world.store.stage(id, rows(vec![act("a"), act("b")]), world.now()).await.unwrap(), [Verdict::New, Verdict::New]);
    world.store.add_problems(id, vec![Problem::of_drop("lotto.csv", Code::EmptyBatch)]).await.unwrap();
    world.finish(id, false).await;
    world.settle().await;
    assert_eq!(world.states(id).await, [("INVIATO".to_owned(), 2)]);
    assert_eq!(world.store.batch(id).await.unwrap().problems, 1);
    assert_eq!(world.store.problems(id, 0).await.unwrap().len(), 1);
    assert!(world.store.rejects(id, 0).await.unwrap().is_empty());
    world.is_sound().await;
}

#[tokio::test]
async fn what_was_acknowledged_cannot_be_read_again_nor_thrown_away() {
    let world = World::new();
    let id = world.accept(vec![act("a")], flow(20)).await;
    assert!(matches!(world.store.begin_staging(staging(id, flow(20))).await, Err(StoreError::Stale)));
    assert!(matches!(world.store.discard_staged(id).await, Err(StoreError::Stale)));
    assert!(matches!(world.store.stage(id, rows(vec![act("b")]), world.now()).await, Err(StoreError::Stale)));
    // Told twice, finished once: one start, one receipt.
    world.finish(id, false).await;
    assert_eq!(world.store.jobs_of(id.0).await.unwrap().len(), 2);
    assert_eq!(world.store.history(id.0).await.unwrap().len(), 1);
    world.settle().await;
    world.finish(id, true).await;
    assert!(world.store.jobs_of(id.0).await.unwrap().is_empty());
    assert_eq!(world.states(id).await, [("INVIATO".to_owned(), 1)]);
}

#[tokio::test]
async fn a_refused_batch_and_a_trial_leave_no_rows() {
    for (state, dry_run) in [(ReceiptState::Rejected, false), (ReceiptState::Taken, true)] {
        let world = World::new();
        world.accept(vec![act("noto")], flow(0)).await;
        let id = world.claim(dry_run).await;
        world.begin(id, flow(20)).await;
        let staged = vec![act("a"), order(Action::Cancel, act("noto"))];
        assert_eq!(world.store.stage(id, rows(staged), world.now()).await.unwrap(), [Verdict::New, Verdict::New]);
        world.store.add_rejects(id, vec![(3, "{}".to_owned())]).await.unwrap();
        let end = Finished {
            state,
            acts: 2,
            accepted: 0,
            refused: 2,
            duplicates: 0,
            duplicate_of: None,
            held: false,
            forecast: None,
            forecasts: vec![],
        };
        world.store.finish_batch(id, end, world.now()).await.unwrap();
        let jobs: Vec<String> = world.store.jobs_of(id.0).await.unwrap().into_iter().map(|job| job.kind).collect();
        assert_eq!(jobs.contains(&"SCARTI".to_owned()), !dry_run, "{state} {dry_run}");
        assert!(jobs.contains(&"RICEVUTA".to_owned()) && !jobs.contains(&"AVVIA".to_owned()), "{jobs:?}");
        world.settle().await;
        assert_eq!(world.state("noto").await, "INVIATO");
        for table in ["act", "act_content", "recipient", "notice"] {
            assert_eq!(world.count(&format!("SELECT count(*) FROM {table}")), 1, "{table}");
        }
        assert_eq!(world.count("SELECT count(*) FROM batch_order"), 0);
        assert_eq!(world.stage(vec![act("a")], flow(20)).await.1, [Verdict::New]);
    }
}

/// Everything that a row has of others is told, each where it stands.
#[tokio::test]
async fn a_row_is_told_every_conflict_and_where() {
    let world = World::new();
    world.accept(vec![act("a"), act("b"), act("c")], flow(0)).await;
    let notice = |of: &str| act(of).recipients[0].payments[0].clone();
    let mut second = recipient("BNCLRA85D41F205X", None);
    second.payments = vec![notice("nuovo"), notice("c")];
    let documents = act("b").documents;
    let row = Act { protocol: Some("P-a".to_owned()), documents, recipients: vec![act("d").recipients.remove(0), second], ..act("d") };
    let (_, verdicts) = world.stage(vec![row], flow(0)).await;
    let Verdict::Conflicts(conflicts) = &verdicts[0] else { panic!("{verdicts:?}") };
    let told: Vec<_> = conflicts.iter().map(|found| (found.claim, found.other.as_str(), found.recipient, found.item)).collect();
    assert_eq!(told, [(Claim::Protocol, "a", 0, 0), (Claim::Document, "b", 0, 0), (Claim::Notice, "c", 1, 1)]);
}

/// A row that is taken back leaves nothing, frees what it claimed and tells what its reject needs; what was not taken is told so.
#[tokio::test]
async fn rows_are_taken_back_one_by_one() {
    let world = World::new();
    world.accept(vec![act("noto"), act("altro")], flow(0)).await;
    world.settle_but(|effect| *effect == Effect::Upload).await;
    let (other, replaced) = (Act { subject: Some("Altro".to_owned()), ..act("noto") }, Act { subject: None, ..act("altro") });
    let acts = vec![act("a"), act("b"), act("altro"), order(Action::Modify, other.clone()), order(Action::Replace, replaced)];
    let (batch, verdicts) = world.stage(acts, flow(0)).await;
    assert_eq!(verdicts, [Verdict::New, Verdict::New, Verdict::Duplicate, Verdict::New, Verdict::New]);
    let ordinals = rows(vec![act("a"); 5]).iter().map(|row| row.place.ordinal).collect::<Vec<_>>();
    let mut asked = ordinals.clone();
    asked.retain(|ordinal| *ordinal != ordinals[1]);
    asked.push(99);
    let back = world.store.unstage(batch, asked.clone()).await.unwrap();
    let told: Vec<_> = back.iter().map(|row| row.as_ref().map(|row| (row.reference.as_str(), row.place.ordinal))).collect();
    assert_eq!(told, [Some(("a", ordinals[0])), None, Some(("noto", ordinals[3])), Some(("altro", ordinals[4])), None]);
    assert!(back.iter().flatten().all(|row| row.act.as_ref().is_some_and(|act| act.documents.len() == 1)));
    assert_eq!(world.store.unstage(batch, asked).await.unwrap(), [None, None, None, None, None], "only once");
    assert_eq!(world.count("SELECT count(*) FROM batch_order"), 0);
    assert_eq!(world.count("SELECT count(*) FROM act WHERE staged = 1"), 1, "b is left");
    for table in ["act_content", "recipient", "notice"] {
        assert_eq!(world.count(&format!("SELECT count(*) FROM {table}")), 3, "{table}");
    }
    world.finish(batch, false).await;
    assert!(matches!(world.store.unstage(batch, vec![ordinals[1]]).await, Err(StoreError::Stale)), "it was acknowledged");
    assert_eq!(world.stage(vec![act("a")], flow(0)).await.1, [Verdict::New]);
    world.is_sound().await;
}

#[tokio::test]
async fn a_trial_under_reading_stands_in_nobodys_way() {
    let world = World::new();
    let trial = world.claim(true).await;
    world.begin(trial, flow(20)).await;
    assert_eq!(world.store.stage(trial, rows(vec![act("a")]), world.now()).await.unwrap(), [Verdict::New]);
    let same_notice = Act { reference: "b".to_owned(), protocol: None, documents: vec![], ..act("a") };
    let verdicts = world.store.stage(trial, rows(vec![same_notice.clone()]), world.now()).await.unwrap();
    assert_eq!(verdicts, [live(Claim::Notice, "a")], "inside the trial it counts");
    let (batch, verdicts) = world.stage(vec![act("a")], flow(20)).await;
    assert_eq!(verdicts, [Verdict::New]);
    world.finish(batch, false).await;
    // And the other way round.
    let trial = world.claim(true).await;
    world.begin(trial, flow(20)).await;
    let verdicts = world.store.stage(trial, rows(vec![act("a"), same_notice]), world.now()).await.unwrap();
    assert_eq!(verdicts, [Verdict::Duplicate, live(Claim::Notice, "a")]);
}

#[tokio::test]
async fn rows_of_a_batch_that_may_yet_be_refused_are_no_duplicates_and_take_no_orders() {
    let world = World::new();
    let (_, verdicts) = world.stage(vec![act("a")], flow(20)).await;
    assert_eq!(verdicts, [Verdict::New]);
    let rows = vec![act("a"), order(Action::Cancel, act("a")), order(Action::Modify, act("a")), order(Action::Replace, act("a"))];
    let (_, verdicts) = world.stage(rows, flow(20)).await;
    assert_eq!(verdicts, [Verdict::Exists, Verdict::Unknown, Verdict::Unknown, Verdict::Exists]);
}

/// An acknowledged batch is as good as started.
#[tokio::test]
async fn orders_about_a_batch_that_is_not_started_yet_wait_for_its_start() {
    let world = World::new();
    let first = world.accept(vec![act("a"), act("b")], flow(20)).await;
    let changed = Act { subject: Some("Altro".to_owned()), ..order(Action::Modify, act("b")) };
    let (second, verdicts) = world.stage(vec![order(Action::Cancel, act("a")), changed, act("b")], flow(20)).await;
    assert_eq!(verdicts, [Verdict::New, Verdict::New, Verdict::Duplicate]);
    world.finish(second, false).await;
    let jobs = world.lease(10).await;
    let of = |batch: BatchId| {
        let found = jobs.iter().find(|job| matches!(&job.subject, Subject::Lotto { batch: of, work: BatchWork::Start } if *of == batch));
        found.unwrap().clone()
    };
    world.work(of(second)).await;
    assert_eq!(world.count("SELECT count(*) FROM batch_order WHERE done = 0"), 2);
    world.work(of(first)).await;
    world.pass(SignedDuration::from_secs(2));
    world.settle().await;
    assert_eq!((world.state("a").await.as_str(), world.state("b").await.as_str()), ("RITIRATO", "INVIATO"));
    assert_eq!(world.material(world.act("b").await.id).await.content.subject.as_deref(), Some("Altro"));
    world.is_sound().await;
}

#[tokio::test]
async fn the_same_bytes_are_known_again_once_accepted() {
    let world = World::new();
    let first = world.accept(vec![act("a")], flow(20)).await;
    let sha256 = world.store.batch(first).await.unwrap().sha256.unwrap();
    let again = world.claim(false).await;
    assert_eq!(world.store.content_seen(SOURCE, sha256, again).await.unwrap().unwrap().id, first);
    assert_eq!(world.store.content_seen(SOURCE, sha256, first).await.unwrap(), None);
    assert_eq!(world.store.content_seen("altro", sha256, again).await.unwrap(), None);
}

#[tokio::test]
async fn refused_rows_are_read_a_page_at_a_time_in_the_order_of_the_file() {
    let world = World::new();
    let id = world.claim(false).await;
    world.begin(id, flow(0)).await;
    // Rows that messo refuses come before those that the store refuses, chunk by chunk.
    let numbers: Vec<u64> = (1..=25).rev().chain(40..=47).collect();
    for page in numbers.chunks(10) {
        world.store.add_rejects(id, page.iter().map(|n| (*n, n.to_string())).collect()).await.unwrap();
    }
    assert_eq!(world.store.count_rejects(id).await.unwrap(), 33);
    let (mut pages, mut seen, mut after) = (Vec::new(), Vec::new(), 0);
    loop {
        let page = world.store.rejects(id, after).await.unwrap();
        let Some((last, _)) = page.last() else { break };
        after = *last;
        pages.push(page.len());
        seen.extend(page.into_iter().map(|(number, data)| (number, data.parse::<u64>().unwrap())));
    }
    assert_eq!(pages, [10, 10, 10, 3], "a page is {CHUNK} rows in tests");
    assert!(seen.iter().all(|(number, data)| number == data) && seen.is_sorted());
}
