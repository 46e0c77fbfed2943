//! Deleting personal data, and the books of operators.

use super::*;
use crate::batch::problem::{Code, Problem};
use crate::domain::money::Cents;
use crate::domain::position::{CostChannel, Held, HeldState};
use crate::flow::position::PositionFact;
use crate::store::audit::OrderLine;

/// Invented; in every act of [`act`].
const PERSON: &str = "RSSMRA80A01H501U";

impl World {
    /// An act that was completed long ago, with nothing left to do.
    async fn completed(&self, reference: &str) -> ActId {
        self.listen().await;
        self.accept(vec![act(reference)], flow(0)).await;
        self.finish_story(reference).await;
        self.act_id(reference).await
    }

    /// SEND accepts it and its recipient sees it.
    async fn finish_story(&self, reference: &str) {
        self.accepted(&[reference]).await;
        self.hear(reference, "NOTIFICATION_VIEWED", json!({ "recIndex": 0, "delegateInfo": { "taxId": "BNRMHL75C06G702B" } })).await;
        self.settle().await;
    }

    fn bytes(&self) -> Vec<u8> {
        let read = |name: &str| std::fs::read(self.dir.path().join(name)).unwrap_or_default();
        [read("messo.db"), read("messo.db-wal")].concat()
    }

    fn holds(&self, text: &str) -> bool {
        self.bytes().windows(text.len()).any(|window| window == text.as_bytes())
    }

    async fn erase(&self, act: ActId) {
        assert_eq!(self.store.begin_erasing(vec![act], Cause::Retention, self.now()).await.unwrap(), 1);
        self.store.end_erasing(vec![act], self.now()).await.unwrap();
    }
}

fn receipt(name: &str, subject: uuid::Uuid, at: Timestamp) -> Publication {
    Publication {
        id: clock::new_uuid(),
        source: SOURCE.to_owned(),
        kind: "RICEVUTA".to_owned(),
        number: None,
        folder: "ricevute".to_owned(),
        name: name.to_owned(),
        temporary: ".messo-1.part".to_owned(),
        sha256: Sha256::of(b""),
        size: 0,
        lines: None,
        subject: Some(subject),
        published: false,
        created_at: at,
    }
}

#[tokio::test]
async fn only_what_is_over_can_be_erased() {
    let world = World::new();
    let closed = world.completed("chiuso").await;
    world.accept(vec![act("aperto"), act("fermo")], flow(0)).await;
    let open = world.act_id("aperto").await;
    let later = world.now() + SignedDuration::from_hours(24 * 400);
    assert_eq!(world.store.acts_to_erase(ENTE, later, 10).await.unwrap(), [closed]);
    assert_eq!(world.store.acts_to_erase(ENTE, world.now() - SignedDuration::from_hours(1), 10).await.unwrap(), []);
    assert_eq!(world.store.acts_to_erase("99999999999", later, 10).await.unwrap(), []);
    assert_eq!(world.store.begin_erasing(vec![open], Cause::Request, later).await.unwrap(), 0, "an open act is never begun");
    // Decided once: not offered again, and not doubled.
    assert_eq!(world.store.begin_erasing(vec![closed], Cause::Retention, later).await.unwrap(), 1);
    assert_eq!(world.store.begin_erasing(vec![closed], Cause::Retention, later).await.unwrap(), 0);
    assert_eq!(world.store.acts_to_erase(ENTE, later, 10).await.unwrap(), []);
    assert_eq!(world.store.erased(closed.0).await.unwrap(), None, "decided is not done");
    world.store.end_erasing(vec![closed, open], later).await.unwrap();
    assert_eq!(world.store.erased(closed.0).await.unwrap().map(|erased| erased.cause), Some(Cause::Retention));
    assert_eq!(world.store.erased(open.0).await.unwrap(), None, "what was not decided is not done");
    assert!(world.store.material(vec![open]).await.unwrap().of(open).is_some());
}

#[tokio::test]
async fn what_is_erased_leaves_the_file_and_what_comes_later_is_followed_without_words() {
    let world = World::new();
    let id = world.completed("chiuso").await;
    let token = world.material(id).await.token;
    let before = (world.lines().await, world.store.history(id.0).await.unwrap(), world.store.recipients_of(id).await.unwrap());
    assert!(world.holds(PERSON) && world.holds("BNRMHL75C06G702B"), "there before");
    world.erase(id).await;
    assert!(world.store.owes_compaction().await.unwrap());
    world.store.compact().await.unwrap();
    assert!(!world.store.owes_compaction().await.unwrap());
    assert!(!world.holds(PERSON) && !world.holds("BNRMHL75C06G702B"), "in no page and not in the log");
    assert!(world.store.material(vec![id]).await.unwrap().of(id).is_none());
    assert_eq!(world.lines().await, before.0);
    assert_eq!(world.store.recipients_of(id).await.unwrap(), before.2);
    let history = world.store.history(id.0).await.unwrap();
    assert_eq!(history[..before.1.len()], before.1[..]);
    assert_eq!(history.last().unwrap().event, "DATI_CANCELLATI");
    // SEND goes on telling: followed, not quoted.
    world.pass(SignedDuration::from_hours(24));
    let late = world.event_of(&token, "PAYMENT", json!({ "recIndex": 0, "delegateInfo": { "taxId": "BNRMHL75C06G702B" } }));
    assert_eq!(world.tell(vec![late]).await.new, 1);
    assert!(world.store.history(id.0).await.unwrap().iter().any(|row| row.event == "PAYMENT"));
    assert!(!world.holds("BNRMHL75C06G702B"));
    world.is_sound().await;
}

#[tokio::test]
async fn what_a_pt_that_asks_held_is_kept_for_it_alone_and_goes_with_the_content_of_the_act() {
    const PAYER: &str = "VRDLGU70A01F205X";
    let held = |unfit| Held {
        state: HeldState::Payable,
        amount: Some(Cents(10_000)),
        fee: None,
        creditor: None,
        notice: None,
        position_id: Some("P-1".to_owned()),
        due_date: None,
        payment: None,
        whole: Some(format!(r#"{{"soggettoPagatore":"{PAYER}"}}"#)),
        unfit,
    };
    // (way of the cost, unfit, kept, state)
    let table = [
        (CostChannel::Push, None, false, "APERTA"),
        (CostChannel::Pull, Some("IMPORTO_NON_RIPARTIBILE"), true, "FERMA"),
        (CostChannel::Pull, None, true, "APERTA"),
    ];
    for (costs, unfit, kept, state) in table {
        let world = World::new();
        let route = Route { creditor: ENTE.to_owned(), aux: Some(3), code: None, pt: "regione".to_owned(), costs, managed: true };
        world.store.set_payment_routes(vec![route]).await.unwrap();
        let act = world.completed("a").await;
        let position = world.store.positions_of_act(act).await.unwrap().remove(0).id;
        let say = || world.store.observe_position(position, PositionFact::Verified { held: held(unfit) }, Beside::default(), world.now());
        assert_eq!(say().await.unwrap().name(), state, "{costs} {unfit:?}");
        let seen = || async { (world.store.position_whole(position).await.unwrap().is_some(), world.holds(PAYER)) };
        assert_eq!(seen().await, (kept, kept), "{costs}");
        world.erase(act).await;
        world.store.compact().await.unwrap();
        assert_eq!(seen().await, (false, false), "{costs}: it named somebody");
        // The answer to a question that was asked before.
        say().await.unwrap();
        assert_eq!(seen().await, (false, false), "{costs}: kept again");
    }
}

#[tokio::test]
async fn a_batch_goes_after_its_acts_with_names_problems_and_the_door() {
    let world = World::new();
    let id = world.completed("chiuso").await;
    let batch = world.store.find_acts("chiuso").await.unwrap()[0].batch;
    let sha256 = world.store.batch(batch).await.unwrap().sha256.unwrap();
    let event = |name: &str, sha256| DoorEvent {
        at: world.now(),
        act: "CARICAMENTO".to_owned(),
        account: Some(SOURCE.to_owned()),
        address: "192.0.2.1".to_owned(),
        client: None,
        name: Some(name.to_owned()),
        target: None,
        bytes: Some(5),
        sha256,
        outcome: "OK".to_owned(),
    };
    let events = vec![
        event("/in/verdi_luca.zip", Some(sha256)),
        event("/in/altro.zip", None),
        event("/ricevute/ricevuta_1_verdi_luca.xml", None),
        event("/ricevute/ricevuta_2.xml", None),
    ];
    world.store.note_door(events).await.unwrap();
    world.store.prepare_publications(vec![receipt("ricevuta_1_verdi_luca.xml", batch.0, world.now())]).await.unwrap();
    let problem = Problem::of_drop("verdi_luca.zip", Code::DropChanged).found("Luca Verdi");
    world.store.add_problems(batch, vec![problem]).await.unwrap();
    world.store.add_rejects(batch, vec![(9, "{\"Luca Verdi\"}".to_owned())]).await.unwrap();
    let later = world.now() + SignedDuration::from_hours(24 * 400);
    assert_eq!(world.store.batches_to_erase(later, None, 10).await.unwrap(), [], "an act of it has its data");
    world.erase(id).await;
    let due = world.store.batches_to_erase(later, None, 10).await.unwrap();
    assert_eq!(due.iter().map(|due| due.batch).collect::<Vec<_>>(), [batch]);
    world.store.begin_erasing_batches(vec![batch], Cause::Retention, later).await.unwrap();
    let spans = world.store.spans_to_erase(Some(sha256)).await.unwrap();
    assert_eq!((spans.whole, spans.batches.as_slice()), (true, [batch].as_slice()));
    world.store.end_erasing_batches(vec![batch], later).await.unwrap();
    world.store.compact().await.unwrap();
    assert!(!world.holds("Luca Verdi") && !world.holds("verdi_luca") && !world.holds(PERSON));
    let kept = world.store.batch(batch).await.unwrap();
    assert_eq!((kept.original_name.as_str(), kept.sha256, kept.erased_at.is_some()), ("", Some(sha256), true), "the digest stays");
    assert_eq!(world.store.problem_counts(batch).await.unwrap()[0].code, "FILE_CAMBIATO_IN_LAVORAZIONE", "codes stay");
    let names: Vec<Option<String>> = world
        .store
        .door_events(None, Timestamp::UNIX_EPOCH, Timestamp::MAX, 10)
        .await
        .unwrap()
        .into_iter()
        .map(|event| event.name)
        .collect();
    let left = [Some("/ricevute/ricevuta_2.xml".to_owned()), None, Some("/in/altro.zip".to_owned()), None];
    assert_eq!(names, left, "of others nothing is taken");
    // The rest of the names goes by its age.
    assert_eq!(world.store.forget_names(world.now()).await.unwrap(), 0);
    let after = world.now() + SignedDuration::from_secs(1);
    assert_eq!(world.store.forget_names(after).await.unwrap(), 2, "those that had one");
    assert!(
        world.store.door_events(None, Timestamp::UNIX_EPOCH, Timestamp::MAX, 10).await.unwrap().iter().all(|event| event.name.is_none())
    );
    assert_eq!(world.store.content_seen(SOURCE, sha256, BatchId(clock::new_uuid())).await.unwrap().map(|seen| seen.id), Some(batch));
}

#[tokio::test]
async fn a_batch_file_waits_for_acts_that_may_still_need_it() {
    let world = World::new();
    world.listen().await;
    let batch = world.accept(vec![act("a")], flow(0)).await;
    world.settle_but(|effect| *effect == Effect::Send).await;
    let sha256 = world.store.batch(batch).await.unwrap().sha256;
    world.store.begin_erasing_batches(vec![batch], Cause::Request, world.now()).await.unwrap();
    assert_eq!(world.store.open_erasures().await.unwrap(), [sha256]);
    assert_eq!(world.store.spans_to_erase(sha256).await.unwrap().batches, [], "SEND may refuse the act: its row would be given back");
    // The POST was left as it was: its answer comes.
    let act = world.act("a").await.id;
    let token = world.material(act).await.token;
    world.store.record(act, Fact::Taken { request_id: request_id(&token) }, None, world.now()).await.unwrap();
    world.accepted(&["a"]).await;
    let spans = world.store.spans_to_erase(sha256).await.unwrap();
    assert_eq!((spans.batches.as_slice(), spans.whole), ([batch].as_slice(), false), "the act's own files stay");
}

#[tokio::test]
async fn the_books_are_appended_only() {
    let world = World::new();
    let line =
        |command: &str| OrderLine { who: "mrossi (uid 1000)".to_owned(), command: command.to_owned(), about: "{}".to_owned(), why: None };
    let first = world.store.note_order(line("retry_act"), world.now()).await.unwrap();
    world.store.note_outcome(first, "OK", world.now()).await.unwrap();
    let second = world.store.note_order(line("cancel_act"), world.now()).await.unwrap();
    let all = (Timestamp::UNIX_EPOCH, Timestamp::MAX);
    let told = |orders: Vec<OrderEvent>| -> Vec<(String, Option<String>)> {
        orders.into_iter().map(|order| (order.line.command, order.outcome)).collect()
    };
    let want = [("cancel_act".to_owned(), None), ("retry_act".to_owned(), Some("OK".to_owned()))];
    assert_eq!(told(world.store.orders(all, None, None, 10).await.unwrap()), want);
    assert_eq!(told(world.store.orders(all, Some("mrossi"), Some("retry_act"), 10).await.unwrap()), want[1..]);
    assert_eq!(told(world.store.orders(all, Some("verdi"), None, 10).await.unwrap()), []);
    assert!(world.store.note_outcome(first, "ALTRO", world.now()).await.is_err(), "an order ends once");
    assert_eq!(world.store.check_seals().await.unwrap(), Seals { rows: 3, broken: None });

    let db = rusqlite::Connection::open(world.dir.path().join("messo.db")).unwrap();
    let event = DoorEvent {
        at: world.now(),
        act: "RINOMINA".to_owned(),
        account: None,
        address: "192.0.2.1".to_owned(),
        client: None,
        name: Some("/in/a".to_owned()),
        target: Some("/in/b".to_owned()),
        bytes: None,
        sha256: None,
        outcome: "OK".to_owned(),
    };
    world.store.note_door(vec![event]).await.unwrap();
    for sql in [
        "UPDATE operator_event SET who = 'altri'",
        "UPDATE operator_event SET at = 0",
        "DELETE FROM operator_event",
        "INSERT OR REPLACE INTO operator_event SELECT id, at, of, 'altri', command, about, why, outcome, seal FROM operator_event WHERE id = 1",
        "DELETE FROM door_event",
        "UPDATE door_event SET name = 'altro'",
        "UPDATE door_event SET target = 'altro'",
        "UPDATE door_event SET outcome = 'X'",
    ] {
        let refused = db.execute(sql, []).unwrap_err().to_string();
        assert!(refused.contains("append only"), "{sql}: {refused}");
    }
    db.execute("UPDATE door_event SET name = NULL, target = NULL", []).unwrap();
    // Whoever takes the triggers away is seen.
    db.execute_batch("DROP TRIGGER operator_event_is_final; UPDATE operator_event SET why = 'altro' WHERE id = 2").unwrap();
    assert_eq!(world.store.check_seals().await.unwrap().broken, Some(2));
    drop(db);
    assert_eq!(second, 3);

    // Retention alone shortens them, from the beginning, and what is left still fits.
    world.pass(SignedDuration::from_hours(1));
    let third = world.store.note_order(line("release_act"), world.now()).await.unwrap();
    assert_eq!(world.store.shorten_books(world.now()).await.unwrap(), 4);
    assert_eq!(told(world.store.orders(all, None, None, 10).await.unwrap()), [("release_act".to_owned(), None)]);
    world.store.note_outcome(third, "OK", world.now()).await.unwrap();
    assert_eq!(world.store.check_seals().await.unwrap(), Seals { rows: 2, broken: None });
}

/// What the books told is overwritten when they are shortened; when nothing goes, the database is not written anew every night.
#[tokio::test]
async fn shortened_books_leave_nothing_and_a_round_without_work_owes_nothing() {
    let world = World::new();
    let line = OrderLine { who: "operatore Zanobi".to_owned(), command: "prova".to_owned(), about: "{}".to_owned(), why: None };
    world.store.note_order(line, world.now()).await.unwrap();
    let event = DoorEvent {
        at: world.now(),
        act: "CARICAMENTO".to_owned(),
        account: Some(SOURCE.to_owned()),
        address: "192.0.2.1".to_owned(),
        client: None,
        name: Some("/in/neri_zenobia.zip".to_owned()),
        target: None,
        bytes: Some(5),
        sha256: None,
        outcome: "OK".to_owned(),
    };
    world.store.note_door(vec![event.clone(), DoorEvent { name: None, ..event }]).await.unwrap();
    let minute = SignedDuration::from_mins(1);
    assert_eq!(world.store.forget_names(world.now() - minute).await.unwrap(), 0);
    assert_eq!(world.store.shorten_books(world.now() - minute).await.unwrap(), 0);
    assert!(!world.store.owes_compaction().await.unwrap(), "nothing went");
    assert_eq!(world.store.forget_names(world.now() + minute).await.unwrap(), 1, "one had a name");
    assert!(world.store.owes_compaction().await.unwrap());
    world.store.compact().await.unwrap();
    assert!(!world.holds("zenobia") && world.holds("Zanobi"));
    assert_eq!(world.store.shorten_books(world.now() + minute).await.unwrap(), 3);
    assert!(world.store.owes_compaction().await.unwrap(), "rows went: their pages are to be written anew");
    world.store.empty_log().await.unwrap();
    assert!(!world.holds("Zanobi"), "overwritten in its page");
}

/// Something of another gestionale that was never published does not keep this one's files from going.
#[tokio::test]
async fn what_another_gestionale_has_in_hand_holds_no_old_files_up() {
    let world = World::new();
    let subject = clock::new_uuid();
    let open = Publication { source: "altro".to_owned(), ..receipt("sospesa.xml", subject, world.now()) };
    let own = receipt("una.xml", subject, world.now());
    world.store.prepare_publications(vec![open, own.clone()]).await.unwrap();
    world.store.published(vec![own.id]).await.unwrap();
    let (files, last) = world.store.old_files(SOURCE, world.now(), 10).await.unwrap();
    assert_eq!((files.iter().map(|file| file.name.as_str()).collect::<Vec<_>>(), last), (vec!["una.xml"], Some(own.id)));
    assert_eq!(world.store.old_files("altro", world.now(), 10).await.unwrap(), (Vec::new(), None), "its own is looked at again");
}

/// An attestation that waits for its copy holds nothing up either, and is not forgotten once it is made.
#[tokio::test]
async fn what_waits_for_its_copy_holds_no_old_files_up_and_is_looked_at_once_it_is_made() {
    let world = World::new();
    let subject = clock::new_uuid();
    let all: Vec<Publication> = ["prima.xml", "copia.pdf", "dopo.xml"].map(|name| receipt(name, subject, world.now())).into();
    let (copy, others) =
        (Publication { temporary: String::new(), kind: "ATTESTAZIONE".to_owned(), ..all[1].clone() }, [all[0].id, all[2].id]);
    world.store.prepare_publications(vec![all[0].clone(), copy.clone(), all[2].clone()]).await.unwrap();
    let old = async || {
        let (files, last) = world.store.old_files(SOURCE, world.now(), 10).await.unwrap();
        (files.into_iter().map(|file| file.name).collect::<Vec<_>>(), last)
    };
    assert_eq!(old().await, (vec![], None), "what is about to be published is looked at again");
    world.store.published(others.to_vec()).await.unwrap();
    assert_eq!(old().await, (vec!["prima.xml".to_owned(), "dopo.xml".to_owned()], Some(all[2].id)));
    world.store.old_files_removed(SOURCE, all[2].id).await.unwrap();
    assert_eq!(old().await, (vec![], None));
    world.store.copies_made(vec![(copy.id, ".messo-copia.part".to_owned())]).await.unwrap();
    assert_eq!(old().await, (vec![], None), "about to be published");
    world.store.published(vec![copy.id]).await.unwrap();
    assert_eq!(old().await, (vec!["copia.pdf".to_owned(), "dopo.xml".to_owned()], Some(all[2].id)));
    world.store.old_files_removed(SOURCE, all[2].id).await.unwrap();
    assert_eq!(old().await, (vec![], None));
}
