//! What is counted: files and their lines, quotas, terms, silences, lookups.

use super::*;
use crate::domain::send::RefusalReason;
use uuid::Uuid;

fn file(kind: &str, name: &str, number: Option<u64>, lines: Option<(u64, u64)>, now: Timestamp) -> Publication {
    Publication {
        id: clock::new_uuid(),
        source: SOURCE.to_owned(),
        kind: kind.to_owned(),
        number,
        folder: "esiti".to_owned(),
        name: name.to_owned(),
        temporary: format!(".{name}.tmp"),
        sha256: Sha256::of(name.as_bytes()),
        size: 10,
        lines,
        subject: None,
        published: false,
        created_at: now,
    }
}

#[tokio::test]
async fn a_file_is_prepared_then_published_and_a_crash_in_between_is_seen() {
    let world = World::new();
    let subject = Uuid::from_u128(7);
    let receipt = Publication { subject: Some(subject), ..file("RICEVUTA", "r.xml", None, None, world.now()) };
    world.store.prepare_publications(vec![receipt.clone()]).await.unwrap();
    assert_eq!(world.store.open_publications().await.unwrap(), vec![receipt.clone()]);
    assert_eq!(world.store.publication(SOURCE, "esiti", "r.xml").await.unwrap(), Some(receipt.clone()));
    world.store.published(vec![receipt.id]).await.unwrap();
    assert!(world.store.open_publications().await.unwrap().is_empty());
    let of_subject = world.store.publications_of(subject).await.unwrap();
    assert_eq!(of_subject, [Publication { published: true, ..receipt.clone() }]);
    // The same name is never given twice.
    let other = Publication { sha256: Sha256::of(b"x"), ..file("RICEVUTA", "r.xml", None, None, world.now()) };
    world.store.prepare_publications(vec![other]).await.unwrap();
    assert_eq!(world.store.publication(SOURCE, "esiti", "r.xml").await.unwrap().unwrap().sha256, receipt.sha256);
}

#[tokio::test]
async fn outcome_files_take_every_line_once_and_numbers_without_gaps() {
    let world = World::new();
    world.listen().await;
    assert_eq!(world.store.pending_lines(SOURCE).await.unwrap(), None);
    let begun = world.now();
    world.accept(vec![act("a")], flow(0)).await;
    world.settle().await;
    let pending = world.store.pending_lines(SOURCE).await.unwrap().unwrap();
    assert_eq!(pending, PendingLines { first: 1, last: 2, number: 1, flows: vec![("cds".to_owned(), begun)] });

    // Written while the file was: it is in the next one.
    world.pass(SignedDuration::from_mins(5));
    world.hear("a", "REQUEST_ACCEPTED", json!({})).await;
    let pair = |number, lines| {
        let names = [format!("{number}.csv"), format!("{number}.xml")];
        names.map(|name| file("ESITO", &name, Some(number), Some(lines), world.now())).to_vec()
    };
    for (what, files) in [("a gap", pair(1, (2, 3))), ("lines that are not", pair(1, (1, 9)))] {
        let outcome = world.store.prepare_outcome_files(SOURCE, 1, files).await;
        assert!(matches!(outcome, Err(StoreError::Stale)), "{what}: {outcome:?}");
    }
    world.store.prepare_outcome_files(SOURCE, 1, pair(1, (1, 2))).await.unwrap();
    assert!(matches!(world.store.prepare_outcome_files(SOURCE, 1, pair(1, (3, 3))).await, Err(StoreError::Stale)), "the number is taken");
    let pending = world.store.pending_lines(SOURCE).await.unwrap().unwrap();
    assert_eq!(pending, PendingLines { first: 3, last: 3, number: 2, flows: vec![("cds".to_owned(), world.now())] });
    world.store.prepare_outcome_files(SOURCE, 2, pair(2, (3, 3))).await.unwrap();
    assert_eq!(world.store.pending_lines(SOURCE).await.unwrap(), None);
    let names: Vec<String> = world.store.outcome_files(SOURCE, 2).await.unwrap().into_iter().map(|file| file.name).collect();
    assert_eq!(names, ["2.csv", "2.xml"]);

    let echo = world.store.lines(SOURCE, 2, 3, 10).await.unwrap();
    assert_eq!(echo.len(), 2);
    assert_eq!(echo[0].echo, [("pratica".to_owned(), "a".to_owned())]);
    assert_eq!(world.store.lines(SOURCE, 1, 3, 2).await.unwrap().len(), 2);
    assert_eq!(world.store.sources_with_lines().await.unwrap(), [SOURCE]);
}

#[tokio::test]
async fn legal_facts_are_stored_once_told_once_and_indexed_once() {
    let world = World::new();
    world.listen().await;
    world.accept(vec![act("a")], flow(0)).await;
    world.settle().await;
    for _ in 0..2 {
        let mut event = world.event("a", "REQUEST_ACCEPTED", json!({})).await;
        event.element.legal_facts_ids = vec![fact("k1", "SENDER_ACK"), fact("k2", "SENDER_ACK")];
        world.tell(vec![event]).await;
    }
    world.settle().await;
    assert_eq!(world.told("a").await.iter().filter(|(_, event)| event == "ATTESTAZIONE").count(), 2);
    let id = world.act("a").await.id;
    assert_eq!(world.store.facts_to_fetch(vec![id]).await.unwrap(), [vec![]]);
    let facts = world.store.facts_to_index(SOURCE).await.unwrap();
    assert_eq!(facts.iter().map(|fact| fact.key.as_str()).collect::<Vec<_>>(), ["k1", "k2"]);
    assert_eq!(world.store.next_index_number(SOURCE).await.unwrap(), 1);
    let index = file("INDICE", "indice-1.csv", Some(1), None, world.now());
    world.store.prepare_index(vec![index], facts).await.unwrap();
    assert!(world.store.facts_to_index(SOURCE).await.unwrap().is_empty());
    assert_eq!(world.store.next_index_number(SOURCE).await.unwrap(), 2);
    // A page at a time; each fact says which index lists it.
    let (first, next) = world.store.stored_facts(SOURCE, None, 1).await.unwrap();
    let (second, last) = world.store.stored_facts(SOURCE, next, 1).await.unwrap();
    let (none, end) = world.store.stored_facts(SOURCE, last, 1).await.unwrap();
    let listed: Vec<_> = first.iter().chain(&second).map(|stored| (stored.fact.key.as_str(), stored.index)).collect();
    assert_eq!((listed, none.len(), end), (vec![("k1", 1), ("k2", 1)], 0, None));
    assert!(world.store.stored_facts("altri", None, 10).await.unwrap().0.is_empty());
    let numbers = |files: Vec<Publication>| files.into_iter().map(|file| file.number).collect::<Vec<_>>();
    assert_eq!(numbers(world.store.index_files(SOURCE, 1).await.unwrap()), [Some(1)]);
    assert_eq!(numbers(world.store.index_files(SOURCE, 2).await.unwrap()), []);
}

#[tokio::test]
async fn calls_of_a_day_are_reserved_all_or_none() {
    let world = World::new();
    let take = |calls, limit| world.store.reserve_calls(ENTE, "2026-11-22", calls, limit);
    let table = [(60, 100, true), (60, 100, false), (40, 100, true), (1, 100, false), (1, 101, true), (5_000, 0, true), (1, 101, false)];
    for (calls, limit, want) in table {
        assert_eq!(take(calls, limit).await.unwrap(), want, "{calls} of {limit}");
    }
    assert!(world.store.reserve_calls(ENTE, "2026-11-23", 100, 100).await.unwrap(), "another day");
    assert!(world.store.reserve_calls("09876543210", "2026-11-22", 100, 100).await.unwrap(), "another ente");
}

#[tokio::test]
async fn the_spending_ceiling_counts_each_act_once() {
    let world = World::new();
    world.accept(vec![act("a"), act("b"), act("c")], flow(0)).await;
    let early = world.act_id("a").await;
    assert!(matches!(world.spend(early, None, "2026-11-22", 200).await, Err(StoreError::Stale)), "not before it is sent");
    world.settle_but(|effect| *effect == Effect::Send).await;
    let (a, b, c) = (world.act_id("a").await, world.act_id("b").await, world.act_id("c").await);
    let spend = |act, day: &'static str| world.spend(act, None, day, 200);
    // A ceiling under the fee of one act will never do; nothing is told twice: whoever asks parks the act.
    assert_eq!(world.spend(a, None, "2026-11-22", 99).await.unwrap(), Spend::Never);
    assert_eq!(spend(a, "2026-11-22").await.unwrap(), Spend::Reserved);
    assert_eq!(spend(a, "2026-11-22").await.unwrap(), Spend::Reserved, "a repetition costs nothing");
    assert_eq!(spend(b, "2026-11-22").await.unwrap(), Spend::Reserved);
    for _ in 0..2 {
        assert_eq!(spend(c, "2026-11-22").await.unwrap(), Spend::NotToday);
    }
    let told = world.store.alerts(Timestamp::UNIX_EPOCH, 10).await.unwrap();
    assert_eq!(told.iter().filter(|alert| alert.code == "TETTO_DI_SPESA_RAGGIUNTO").count(), 1);
    assert_eq!(spend(c, "2026-11-23").await.unwrap(), Spend::Reserved, "tomorrow");
    assert_eq!(spend(a, "2026-11-23").await.unwrap(), Spend::Reserved);
    assert_eq!(world.count("SELECT spent FROM quota WHERE day = '2026-11-23'"), 100);
}

/// In the transaction that ends the act, for all its recipients, in the day in which it was reserved.
#[tokio::test]
async fn what_never_reached_send_goes_back_to_the_day_it_was_reserved_in() {
    let reasons = || vec![RefusalReason::of("NOT_VALID_ADDRESS")];
    let when: Timestamp = "2026-11-23T10:00:00Z".parse().unwrap();
    let taken = || Fact::Taken { request_id: "r".to_owned() };
    let table = [
        ("400", vec![Fact::NotTaken { reasons: reasons(), at: when }], "RIFIUTATO", 100),
        ("SEND never had it", vec![Fact::NeverArrived], "RITIRATO", 100),
        ("told twice", vec![Fact::NeverArrived, Fact::NeverArrived], "RITIRATO", 100),
        ("taken, then refused: paid", vec![taken(), Fact::Refused { reasons: reasons(), at: when, cost: Some(200) }], "RIFIUTATO", 300),
        (
            "refused, and a late 404",
            vec![taken(), Fact::Refused { reasons: reasons(), at: when, cost: None }, Fact::NeverArrived],
            "RIFIUTATO",
            300,
        ),
        ("taken", vec![taken()], "INVIATO", 300),
    ];
    for (what, facts, state, spent) in table {
        let world = World::new();
        let two = Act { recipients: vec![act("a").recipients.remove(0), act("altro").recipients.remove(0)], ..act("a") };
        world.accept(vec![two, act("b")], flow(0)).await;
        world.settle_but(|effect| *effect == Effect::Send).await;
        let (a, b) = (world.act_id("a").await, world.act_id("b").await);
        for id in [a, b] {
            assert_eq!(world.spend(id, None, "2026-11-22", 300).await.unwrap(), Spend::Reserved, "{what}");
        }
        for fact in facts {
            world.store.record(a, fact, None, when).await.unwrap();
        }
        assert_eq!(world.state("a").await, state, "{what}");
        assert_eq!(world.count("SELECT spent FROM quota WHERE day = '2026-11-22'"), spent, "{what}");
        assert_eq!(world.count("SELECT count(*) FROM quota WHERE spent <> 0"), 1, "{what}");
    }
}

#[tokio::test]
async fn terms_are_told_at_fifteen_five_and_one_day_once_each() {
    let world = World::new();
    world.listen().await;
    let begin = world.now();
    let batch = world.claim(false).await;
    world.begin(batch, flow(0)).await;
    let mut staged = rows(vec![act("a"), act("b"), act("c")]);
    for (row, days) in staged.iter_mut().zip([20, 20, 3]) {
        row.notify_by = Some(begin + SignedDuration::from_hours(24 * days));
    }
    world.store.stage(batch, staged, begin).await.unwrap();
    assert_eq!(world.store.tell_deadlines(begin).await.unwrap(), 0, "not accepted yet");
    world.finish(batch, false).await;
    world.settle().await;
    world.hear("b", "REQUEST_ACCEPTED", json!({})).await;
    let mut told = Vec::new();
    for day in 0..=21 {
        world.now.set(begin + SignedDuration::from_hours(24 * day));
        for _ in 0..2 {
            let count = world.store.tell_deadlines(world.now()).await.unwrap();
            told.extend((count > 0).then_some((day, count)));
        }
    }
    assert_eq!(told, [(0, 1), (2, 1), (5, 1), (15, 1), (19, 1)], "c at 3 days and 1; a at 15, 5 and 1; b is accepted");
}

#[tokio::test]
async fn a_lost_stream_or_a_long_silence_reads_every_open_act_again_once() {
    let world = World::new();
    world.listen().await;
    let names: Vec<String> = (0..25).map(|number| format!("n{number}")).collect();
    world.accept(names.iter().map(|name| act(name)).collect(), flow(0)).await;
    world.accepted(&["n0", "n1"]).await;
    world.hear("n1", "REFINEMENT", json!({"recIndex": 0})).await;
    world.settle().await;
    let rounds = |silent_since, channel: Option<&'static str>| {
        let world = &world;
        async move {
            let mut counts = Vec::new();
            loop {
                match world.store.resync(silent_since, channel, world.now()).await.unwrap() {
                    0 => return counts,
                    count => counts.push(count),
                }
                assert!(counts.len() < 10, "it never ends: {counts:?}");
            }
        }
    };
    let week = SignedDuration::from_hours(24 * 7);
    assert_eq!(rounds(world.now() - week, None).await, [] as [usize; 0]);
    assert_eq!(rounds(world.now(), Some("altro/chiave")).await, [] as [usize; 0]);
    assert_eq!(rounds(world.now(), Some(CHANNEL)).await, [10, 10, 5], "the completed one too: its late facts");
    let jobs = |jobs: Vec<JobRow>| jobs.into_iter().map(|job| (job.kind, job.state)).collect::<Vec<_>>();
    let pair = |kind: &str| vec![(kind.to_owned(), "PRONTO".to_owned())];
    assert_eq!(jobs(world.store.jobs_of(world.act_id("n0").await.0).await.unwrap()), pair("RILEGGI"));
    assert_eq!(jobs(world.store.jobs_of(world.act_id("n5").await.0).await.unwrap()), pair("CHIEDI_ESITO"));
    world.settle().await;
    world.pass(week + SignedDuration::from_mins(1));
    assert_eq!(rounds(world.now() - week, None).await.iter().sum::<usize>(), 24, "silent for a week");
    world.is_sound().await;
}

#[tokio::test]
async fn a_forgotten_stream_is_told_and_begins_anew() {
    let world = World::new();
    world.listen().await;
    world.store.forget_stream(CHANNEL, "flusso", true, world.now()).await.unwrap();
    assert_eq!(world.store.stream(CHANNEL).await.unwrap(), None);
    assert_eq!(world.store.alerts(Timestamp::UNIX_EPOCH, 10).await.unwrap()[0].code, "FLUSSO_EVENTI_PERSO");
}

#[tokio::test]
async fn an_act_is_found_by_everything_that_names_it() {
    let world = World::new();
    world.listen().await;
    world.accept(vec![act("a"), act("b")], flow(0)).await;
    world.accepted(&["a"]).await;
    let found = world.act("a").await;
    let notice = world.store.notices(found.id, 0).await.unwrap().remove(0).1;
    for text in ["a", "P-a", &notice, found.iun.as_deref().unwrap(), &found.id.to_string(), "  a "] {
        let acts = world.store.find_acts(text).await.unwrap();
        assert_eq!(acts.iter().map(|act| act.reference.as_str()).collect::<Vec<_>>(), ["a"], "{text}");
    }
    assert!(world.store.find_acts("niente").await.unwrap().is_empty());
    assert_eq!(world.store.acts_of_batch(found.batch, 1, 10).await.unwrap()[0].reference, "b");
}

/// What the receipt's forecast is made of: the queue of each ente, as far as it goes before the batch.
#[tokio::test]
async fn a_batch_stands_in_the_queue_of_each_ente_by_its_terms() {
    use crate::flow::forecast::{Used, Work};
    let world = World::new();
    let day = |n: i64| Some(world.now() + SignedDuration::from_hours(24 * n));
    let term = |rows: Vec<Staged>, terms: &[Option<Timestamp>]| -> Vec<Staged> {
        rows.into_iter().zip(terms).map(|(row, notify_by)| Staged { notify_by: *notify_by, ..row }).collect()
    };
    // Under way: one by tomorrow, one in a month, one without term; one parked and one held by an operator count for nobody.
    let open = world.claim(false).await;
    world.begin(open, flow(0)).await;
    let rows = term(rows(["a", "b", "c", "d"].map(act).to_vec()), &[day(1), day(30), None, day(1)]);
    world.store.stage(open, rows, world.now()).await.unwrap();
    world.finish(open, false).await;
    world.settle_but(|effect| *effect == Effect::Upload).await;
    let parked = world.act_id("d").await;
    let db = rusqlite::Connection::open(world.dir.path().join("messo.db")).unwrap();
    db.execute("UPDATE act SET park_code = 'X' WHERE id = ?1", [parked.0.as_bytes()]).unwrap();
    drop(db);
    let held = world.stage(vec![act("e")], flow(0)).await.0;
    world.finish(held, true).await;
    world.settle_but(|effect| *effect == Effect::Upload).await;
    assert!(world.store.reserve_calls(ENTE, "2026-11-22", 40, 0).await.unwrap());

    let new = world.claim(false).await;
    world.begin(new, flow(0)).await;
    let other = Act { sender_tax_id: "09876543210".to_owned(), ..act("h") };
    let two = Act { recipients: [act("g").recipients, vec![recipient("Y", None)]].concat(), ..act("g") };
    let staged = term(super::rows(vec![act("f"), two, other]), &[day(2), day(5), None]);
    assert_eq!(world.store.stage(new, staged, world.now()).await.unwrap(), [Verdict::New, Verdict::New, Verdict::New]);
    let files = act("f").files().count() as u64;
    let work = |acts, recipients| Work { acts, recipients, files: acts * files };
    let want = [
        Queue { sender: ENTE.to_owned(), own: work(2, 3), ahead: work(1, 1), used: Used { calls: 40, cents: 0 } },
        Queue { sender: "09876543210".to_owned(), own: work(1, 1), ahead: Work::default(), used: Used::default() },
    ];
    assert_eq!(world.store.queues(new, "2026-11-22").await.unwrap(), want);
    // With an act that has no term everything goes before.
    let late = world.stage(vec![act("i")], flow(0)).await.0;
    assert_eq!(world.store.queues(late, "2026-11-23").await.unwrap()[0].ahead, work(3, 3));

    let forecasts = vec![(ENTE.to_owned(), Some(jiff::civil::date(2026, 11, 24))), ("09876543210".to_owned(), None)];
    let end = Finished {
        state: ReceiptState::Taken,
        acts: 3,
        accepted: 3,
        refused: 0,
        duplicates: 0,
        duplicate_of: None,
        held: false,
        forecast: None,
        forecasts: forecasts.clone(),
    };
    world.store.finish_batch(new, end, world.now()).await.unwrap();
    assert_eq!(world.store.forecasts(new).await.unwrap(), forecasts);
}

#[tokio::test]
async fn where_entries_lie_is_kept() {
    let world = World::new();
    let archive = Sha256::of(b"archivio");
    let entry = KeptEntry {
        entry: 3,
        data_start: 120,
        compressed: 90,
        size: 100,
        crc: u32::MAX,
        method: "8".to_owned(),
        sha256: Sha256::of(b"file"),
        header_offset: 80,
    };
    world.store.keep_entries(archive, vec![entry.clone()]).await.unwrap();
    world.store.keep_entries(archive, vec![entry.clone()]).await.unwrap();
    assert_eq!(world.store.kept_entry(archive, 3).await.unwrap(), entry);
    assert!(matches!(world.store.kept_entry(archive, 4).await, Err(StoreError::NotFound(_))));
}

#[tokio::test]
async fn a_protocol_given_late_is_kept_and_claimed() {
    let world = World::new();
    world.accept(vec![Act { protocol: None, ..act("a") }], flow(0)).await;
    let id = world.act_id("a").await;
    assert!(world.store.save_protocol(id, "2026/1".to_owned()).await.unwrap());
    assert!(world.store.save_protocol(id, "2026/2".to_owned()).await.unwrap());
    assert_eq!(world.material(id).await.protocol.as_deref(), Some("2026/1"));
    let other = Act { protocol: Some("2026/1".to_owned()), ..act("b") };
    let conflict = Conflict { claim: Claim::Protocol, found: "2026/1".to_owned(), other: "a".to_owned(), recipient: 0, item: 0 };
    assert_eq!(world.stage(vec![other], flow(0)).await.1, [Verdict::Conflicts(vec![conflict])]);
    world.store.forget_uploads(id).await.unwrap();
}

/// The rule of arrival holds for a protocol that is given later too.
#[tokio::test]
async fn a_protocol_given_late_is_not_taken_from_a_live_act() {
    let world = World::new();
    let nameless = |reference: &str| Act { protocol: None, ..act(reference) };
    let forced = Act { force: Some("voluto".to_owned()), ..nameless("forzato") };
    let foreign = Act { sender_tax_id: "09876543217".to_owned(), ..nameless("altrui") };
    world.accept(vec![act("a"), nameless("b"), forced, foreign], flow(0)).await;
    let save = async |reference: &str| world.store.save_protocol(world.act_id(reference).await, "P-a".to_owned()).await.unwrap();
    let id = world.act_id("b").await;
    assert!(!save("b").await, "of a, which is live");
    assert_eq!((world.material(id).await.protocol, world.count("SELECT count(*) FROM live_key WHERE kind = 'P'")), (None, 1));
    assert!(save("forzato").await && save("altrui").await, "wanted by the office; of another ente");
    world.settle_but(|_| true).await;
    for reference in ["a", "forzato"] {
        world.store.order(world.act_id(reference).await, crate::flow::event::Order::Cancel, "op", "", world.now()).await.unwrap();
    }
    assert!(save("b").await, "closed meanwhile");
    assert_eq!(world.material(id).await.protocol.as_deref(), Some("P-a"));
}

/// Sent anew by itself an act keeps the protocol that it was given, unless another has it by now.
#[tokio::test]
async fn a_protocol_given_late_is_not_taken_twice_by_a_new_submission() {
    for taken in [false, true] {
        let world = World::new();
        world.listen().await;
        world.accept(vec![Act { protocol: None, ..act("a") }], flow(0)).await;
        let id = world.act_id("a").await;
        assert!(world.store.save_protocol(id, "2026/1".to_owned()).await.unwrap());
        world.settle().await;
        world.hear("a", "REQUEST_REFUSED", json!({"refusalReasons": [{"errorCode": "FILE_NOTFOUND"}]})).await;
        if taken {
            world.accept(vec![Act { protocol: Some("2026/1".to_owned()), ..act("b") }], flow(0)).await;
        }
        world.settle_but(|effect| *effect == Effect::WriteReject).await;
        let newest = world.act("a").await;
        assert_eq!((newest.submission, newest.protocol.as_deref()), (if taken { 1 } else { 2 }, Some("2026/1")), "taken {taken}");
        assert_eq!(world.count("SELECT count(*) FROM live_key WHERE kind = 'P'"), 1, "taken {taken}");
    }
}
