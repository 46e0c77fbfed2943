//! Jobs: who has them, for how long, in which order, and what happens when they fail.

use super::*;
use crate::flow::retry::Next;

async fn world_with(count: usize) -> World {
    let world = World::new();
    world.listen().await;
    world.accept((0..count).map(|number| act(&format!("n{number}"))).collect(), flow(0)).await;
    world.settle_but(|effect| *effect == Effect::Upload).await;
    world.store.free_leases().await.unwrap();
    world
}

fn park(code: &'static str) -> Next {
    Next::Park { code }
}

#[tokio::test]
async fn a_lease_that_ended_proves_nothing_any_more() {
    let world = world_with(1).await;
    let id = world.act("n0").await.id;
    let first = world.lease_one(id, "CARICA").await.job;
    assert!(world.lease(10).await.is_empty(), "taken");
    world.pass(SignedDuration::from_mins(31));
    let second = world.lease_one(id, "CARICA").await.job;
    assert!(second.fence > first.fence);
    for outcome in [
        world.store.finish_job(first).await,
        world.store.record(id, Fact::Uploaded, Some(first), world.now()).await,
        world.store.fail_job(first, Next::At(world.now()), "X", world.now()).await,
        world.store.fail_job(first, park("X"), "X", world.now()).await,
        world.store.postpone_job(first, world.now(), "X").await,
    ] {
        assert!(matches!(outcome, Err(StoreError::Stale)), "{outcome:?}");
    }
    assert_eq!(world.state("n0").await, "IN_CARICAMENTO");
    world.store.record(id, Fact::Uploaded, Some(second), world.now()).await.unwrap();
    assert_eq!(world.state("n0").await, "IN_INVIO");
}

#[tokio::test]
async fn a_restart_frees_what_the_process_before_had_taken() {
    let world = world_with(3).await;
    let taken = world.lease(10).await;
    assert_eq!(taken.len(), 3);
    assert_eq!(world.store.free_leases().await.unwrap(), 3);
    assert!(matches!(world.store.finish_job(taken[0].job).await, Err(StoreError::Stale)));
    assert_eq!(world.lease(10).await.len(), 3);
}

#[tokio::test]
async fn a_failure_waits_counts_and_comes_back() {
    let world = world_with(1).await;
    let id = world.act("n0").await.id;
    let due = world.now() + SignedDuration::from_mins(5);
    // A lease that ran out counts as an attempt too: who had it may have done it.
    let leased = world.lease_one(id, "CARICA").await;
    let failures = leased.attempts + 1;
    world.store.fail_job(leased.job, Next::At(due), "SEND_NON_RISPONDE", world.now()).await.unwrap();
    assert!(world.lease(10).await.is_empty());
    assert_eq!(world.store.next_due().await.unwrap(), Some(due));
    let row = world.store.jobs_of(id.0).await.unwrap().remove(0);
    assert_eq!((row.state.as_str(), row.attempts, row.error.as_deref()), ("ATTESA", failures, Some("SEND_NON_RISPONDE")));
    world.now.set(due);
    let again = world.lease_one(id, "CARICA").await;
    assert_eq!(again.attempts, failures);
    // Its hour has not come: no failure.
    world.store.postpone_job(again.job, due + SignedDuration::from_mins(5), "FASCIA_ORARIA").await.unwrap();
    assert_eq!(world.store.jobs_of(id.0).await.unwrap()[0].attempts, failures);
}

#[tokio::test]
async fn a_parked_act_is_seen_told_and_resumed() {
    let world = world_with(3).await;
    for (reference, code) in [("n0", "FILE_CAMBIATO"), ("n1", "FILE_CAMBIATO"), ("n2", "ALTRO")] {
        let id = world.act(reference).await.id;
        let job = world.lease_one(id, "CARICA").await.job;
        world.store.fail_job(job, park(code), "X", world.now()).await.unwrap();
    }
    let overview = world.store.overview().await.unwrap();
    assert_eq!(overview.parked, [("ALTRO".to_owned(), 1), ("FILE_CAMBIATO".to_owned(), 2)]);
    assert_eq!(overview.acts, [("IN_CARICAMENTO".to_owned(), 3)]);
    let line = world.lines().await.into_iter().find(|line| line.state == OutcomeState::Parked).unwrap();
    assert_eq!(line.code.as_deref(), Some("FILE_CAMBIATO"));
    world.is_sound().await;
    assert!(world.lease(10).await.is_empty());

    assert_eq!(world.store.retry(None, Some("NIENTE"), "op", "", world.now()).await.unwrap(), 0);
    assert_eq!(world.store.retry(Some(world.act("n2").await.id), Some("FILE_CAMBIATO"), "op", "", world.now()).await.unwrap(), 0);
    assert_eq!(world.store.retry(None, Some("FILE_CAMBIATO"), "op", "file ripristinato", world.now()).await.unwrap(), 2);
    assert_eq!(world.store.retry(None, None, "op", "", world.now()).await.unwrap(), 1);
    world.settle().await;
    assert_eq!(world.store.overview().await.unwrap().acts, [("INVIATO".to_owned(), 3)]);
    assert!(world.told("n0").await.contains(&(OutcomeState::Info, "RIPRESO".to_owned())));
    world.is_sound().await;
}

/// Parked while SEND already has it: the event that says so ends the parking with the job.
#[tokio::test]
async fn a_fact_that_makes_the_parked_job_pointless_ends_the_parking() {
    let world = World::new();
    world.listen().await;
    world.lost.borrow_mut().insert("n0".to_owned());
    world.accept(vec![act("n0")], flow(0)).await;
    world.settle().await;
    world.store.free_leases().await.unwrap();
    let act = world.act("n0").await;
    let job = world.lease_one(act.id, "INVIA").await.job;
    world.store.fail_job(job, park("RIFIUTO_SCONOSCIUTO"), "X", world.now()).await.unwrap();
    let token = world.material(act.id).await.token;
    world.tell(vec![world.event_of(&token, "REQUEST_ACCEPTED", json!({"idempotenceToken": token}))]).await;
    let after = world.act("n0").await;
    assert_eq!((after.state.as_str(), after.park_code), ("IN_CONSEGNA", None));
    assert!(world.store.jobs_of(act.id.0).await.unwrap().is_empty());
    world.is_sound().await;
}

/// The act has moved on while the worker was out: its failure is nobody's any more.
#[tokio::test]
async fn a_job_that_became_pointless_under_way_is_dropped_instead_of_retried_or_parked() {
    for next in [Next::At("2026-11-23T00:00:00Z".parse().unwrap()), park("X")] {
        let world = World::new();
        world.listen().await;
        world.lost.borrow_mut().insert("n0".to_owned());
        world.accept(vec![act("n0")], flow(0)).await;
        world.settle().await;
        world.store.free_leases().await.unwrap();
        let act = world.act("n0").await;
        let job = world.lease_one(act.id, "INVIA").await.job;
        let token = world.material(act.id).await.token;
        world.tell(vec![world.event_of(&token, "REQUEST_ACCEPTED", json!({"idempotenceToken": token}))]).await;
        world.store.fail_job(job, next, "SEND_NON_RISPONDE", world.now()).await.unwrap();
        let after = world.act("n0").await;
        assert_eq!((after.state.as_str(), after.park_code), ("IN_CONSEGNA", None), "{next:?}");
        assert!(world.store.jobs_of(act.id.0).await.unwrap().is_empty(), "{next:?}");
    }
}

#[tokio::test]
async fn the_suspended_work_of_a_batch_is_seen_and_resumed() {
    let world = World::new();
    let batch = world.accept(vec![act("n0")], flow(0)).await;
    for leased in world.lease(10).await {
        world.store.fail_job(leased.job, park("DISCO"), "DISCO", world.now()).await.unwrap();
    }
    assert_eq!(world.store.overview().await.unwrap().parked_batches, [batch]);
    assert_eq!(world.store.retry_batch(batch, "op", "", world.now()).await.unwrap(), 2);
    for leased in world.lease(10).await {
        world.store.fail_job(leased.job, park("DISCO"), "DISCO", world.now()).await.unwrap();
    }
    assert_eq!(world.store.retry(None, Some("ALTRO"), "op", "", world.now()).await.unwrap(), 0);
    assert_eq!(world.store.retry(None, Some("DISCO"), "op", "", world.now()).await.unwrap(), 2);
    world.settle().await;
    assert_eq!(world.states(batch).await, [("INVIATO".to_owned(), 1)]);
}

#[tokio::test]
async fn a_stopped_channel_gives_no_work_until_it_is_resumed() {
    let world = world_with(2).await;
    world.store.stop_channel(CHANNEL, "CHIAVE_RIFIUTATA", world.now()).await.unwrap();
    world.store.stop_channel(CHANNEL, "CHIAVE_RIFIUTATA", world.now()).await.unwrap();
    assert!(world.lease(10).await.is_empty());
    let stopped = world.store.stopped_channels().await.unwrap();
    assert_eq!(stopped, [(CHANNEL.to_owned(), "CHIAVE_RIFIUTATA".to_owned(), world.now())]);
    let alerts = world.store.alerts(Timestamp::UNIX_EPOCH, 10).await.unwrap();
    assert_eq!(alerts.iter().filter(|alert| alert.code == "CHIAVE_RIFIUTATA").count(), 1, "told once");
    assert!(world.store.resume_channel_by(CHANNEL, "op", "prova", world.now()).await.unwrap());
    assert!(!world.store.resume_channel_by(CHANNEL, "op", "prova", world.now()).await.unwrap());
    assert_eq!(world.lease(10).await.len(), 2);
}

/// Twenty-five acts at ten a transaction: one alert, one line each, and one order brings all back. The neighbour goes on.
#[tokio::test]
async fn a_refused_key_parks_the_acts_of_its_ente_and_one_order_resumes_them() {
    let world = World::new();
    world.listen().await;
    let names: Vec<String> = (0..25).map(|number| format!("n{number:02}")).collect();
    let batch = world.accept(names.iter().map(|name| act(name)).collect(), flow(0)).await;
    world.settle_but(|effect| *effect == Effect::Upload).await;
    world.store.free_leases().await.unwrap();
    // The work under way was refused and given back; another key of the ente is refused as well.
    let leased = world.lease(1).await.remove(0);
    world.store.give_back_job(leased.job, "CHIAVE_RIFIUTATA").await.unwrap();
    let other = format!("{ENTE}/altra");
    world.store.stop_channel(CHANNEL, "CHIAVE_RIFIUTATA", world.now()).await.unwrap();
    world.pass(SignedDuration::from_secs(1));
    world.store.stop_channel(&other, "GRUPPO_RIFIUTATO", world.now()).await.unwrap();
    let mut turns = 0;
    while world.store.follow_stops(world.now()).await.unwrap() {
        turns += 1;
    }
    assert_eq!(turns, 3, "ten at a time");
    assert_eq!(world.states(batch).await, [("SOSPESO".to_owned(), 25)]);
    let parked = world.lines().await.into_iter().filter(|line| line.state == OutcomeState::Parked).collect::<Vec<_>>();
    assert!(parked.len() == 25 && parked.iter().all(|line| line.code.as_deref() == Some("CHIAVE_RIFIUTATA")), "{parked:?}");
    let alerts = world.store.alerts(Timestamp::UNIX_EPOCH, 100).await.unwrap();
    assert_eq!(alerts.iter().filter(|alert| alert.sender.as_deref() == Some(ENTE)).count(), 2, "one for each key: {alerts:?}");
    assert!(world.lease(100).await.is_empty());
    world.is_sound().await;

    // With the first key nothing moves yet; with the second all does, attempts notwithstanding.
    assert!(world.store.resume_channel_by(CHANNEL, "op", "chiave nuova", world.now()).await.unwrap());
    while world.store.follow_stops(world.now()).await.unwrap() {}
    assert_eq!(world.states(batch).await, [("SOSPESO".to_owned(), 25)]);
    assert!(world.store.resume_channel_by(&other, "op", "gruppo tolto", world.now()).await.unwrap());
    while world.store.follow_stops(world.now()).await.unwrap() {}
    assert_eq!((world.store.stopped_channels().await.unwrap(), world.count("SELECT count(*) FROM channel_stop")), (vec![], 0));
    let resumed = world.lines().await.into_iter().filter(|line| line.event == "RIPRESO").count();
    assert_eq!(resumed, 25);
    world.settle().await;
    assert_eq!(world.states(batch).await, [("INVIATO".to_owned(), 25)]);
    world.is_sound().await;
}

/// An act that waits only for an attestation is complete: nothing is said of it. One that comes to its turn later is parked then.
#[tokio::test]
async fn a_stop_parks_acts_when_their_turn_comes_and_not_complete_ones() {
    let world = world_with(2).await;
    world.accepted(&["n0", "n1"]).await;
    let mut viewed = world.event("n0", "NOTIFICATION_VIEWED", json!({"recIndex": 0})).await;
    viewed.element.legal_facts_ids = vec![fact("accesso", "RECIPIENT_ACCESS")];
    world.tell(vec![viewed]).await;
    world.store.stop_channel(CHANNEL, "QUOTA_SEND_ESAURITA", world.now()).await.unwrap();
    assert!(!world.store.follow_stops(world.now()).await.unwrap(), "nothing of n1 is due, n0 is complete");
    let mut sent = world.event("n1", "SEND_ANALOG_DOMICILE", json!({"recIndex": 0})).await;
    sent.element.legal_facts_ids = vec![fact("carta", "ANALOG_DELIVERY")];
    world.tell(vec![sent]).await;
    assert!(world.store.follow_stops(world.now()).await.unwrap());
    assert_eq!((world.act("n0").await.park_code, world.act("n1").await.park_code.as_deref()), (None, Some("QUOTA_SEND_ESAURITA")));
    // Refused again at once: a new stop, told again.
    world.store.resume_channel_by(CHANNEL, "op", "", world.now()).await.unwrap();
    world.store.stop_channel(CHANNEL, "QUOTA_SEND_ESAURITA", world.now()).await.unwrap();
    let alerts = world.store.alerts(Timestamp::UNIX_EPOCH, 100).await.unwrap();
    assert_eq!(alerts.iter().filter(|alert| alert.code == "QUOTA_SEND_ESAURITA").count(), 2);
    world.is_sound().await;
}

#[tokio::test]
async fn a_trouble_is_told_once_when_it_begins_and_once_when_it_ends() {
    let world = World::new();
    let codes = || async {
        let alerts = world.store.alerts(Timestamp::UNIX_EPOCH, 10).await.unwrap();
        alerts.into_iter().map(|alert| (alert.code, alert.sender.unwrap())).rev().collect::<Vec<_>>()
    };
    world.store.trouble_ends("GIU", "SU", ENTE, world.now()).await.unwrap();
    assert_eq!(codes().await, []);
    for _ in 0..2 {
        world.store.trouble_begins("GIU", ENTE, world.now()).await.unwrap();
    }
    let open = world.store.troubles().await.unwrap();
    assert_eq!(open.iter().map(|trouble| (trouble.code.as_str(), trouble.about.as_str())).collect::<Vec<_>>(), [("GIU", ENTE)]);
    for _ in 0..2 {
        world.store.trouble_ends("GIU", "SU", ENTE, world.now()).await.unwrap();
    }
    assert_eq!(codes().await, [("GIU".to_owned(), ENTE.to_owned()), ("SU".to_owned(), ENTE.to_owned())]);
    assert_eq!(world.store.troubles().await.unwrap(), []);
}

/// When a stream was last read: by a page that holds something, or as the listener notes it.
#[tokio::test]
async fn a_stream_knows_when_it_was_read() {
    let world = world_with(1).await;
    world.settle().await;
    let read_at = async || world.store.streams_of(CHANNEL).await.unwrap().read_at;
    let made = read_at().await.unwrap();
    world.pass(SignedDuration::from_hours(30));
    let accepted = world.event("n0", "REQUEST_ACCEPTED", json!({})).await;
    assert_eq!(read_at().await, Some(made), "nothing was read since");
    world.tell(vec![accepted]).await;
    assert_eq!(read_at().await, Some(world.now()));
    world.pass(SignedDuration::from_hours(200));
    world.store.stream_was_read(CHANNEL, "altro", world.now()).await.unwrap();
    assert_eq!(read_at().await, Some(world.now() - SignedDuration::from_hours(200)));
    world.store.stream_was_read(CHANNEL, "flusso", world.now()).await.unwrap();
    assert_eq!(read_at().await, Some(world.now()));
}

/// The old stream keeps its position until it is read to its end, whatever interrupts.
#[tokio::test]
async fn a_replaced_stream_is_kept_beside_its_successor() {
    let world = world_with(1).await;
    world.settle().await;
    let accepted = world.event("n0", "REQUEST_ACCEPTED", json!({})).await;
    world.tell(vec![accepted.clone()]).await;
    let new = StreamRow { stream_id: "nuovo".to_owned(), title: "messo b".to_owned(), last_event_id: None };
    world.store.save_stream(CHANNEL, new.clone(), world.now()).await.unwrap();
    assert_eq!(world.store.stream(CHANNEL).await.unwrap(), Some(new));
    let old: Vec<_> = world.store.streams_of(CHANNEL).await.unwrap().replaced.into_iter().collect();
    assert_eq!((old.len(), old[0].stream_id.as_str(), old[0].last_event_id.as_deref()), (1, "flusso", Some(accepted.event_id.as_str())));
    // The same element from both: taken once. Each has its own position.
    let again = world.store.record_events(CHANNEL, "nuovo", vec![accepted], world.now()).await.unwrap();
    assert_eq!((again.new, again.known), (0, 1));
    let refined = world.event("n0", "REFINEMENT", json!({"recIndex": 0})).await;
    assert_eq!(world.tell(vec![refined.clone()]).await.new, 1);
    assert_eq!(world.store.streams_of(CHANNEL).await.unwrap().replaced.unwrap().last_event_id, Some(refined.event_id));
    world.store.forget_stream(CHANNEL, "flusso", false, world.now()).await.unwrap();
    assert_eq!(world.store.streams_of(CHANNEL).await.unwrap().replaced, None);
    assert!(world.store.stream(CHANNEL).await.unwrap().unwrap().last_event_id.is_some());
    assert_eq!(world.store.alerts(Timestamp::UNIX_EPOCH, 10).await.unwrap(), [], "as it should be: nobody is told");
}

#[tokio::test]
async fn the_nearest_term_goes_first_and_follow_ups_have_a_lane_of_their_own() {
    let world = World::new();
    world.listen().await;
    let batch = world.claim(false).await;
    world.begin(batch, flow(0)).await;
    let mut staged = rows(vec![act("n0"), act("n1"), act("n2")]);
    staged[1].notify_by = Some(world.now() + SignedDuration::from_hours(24 * 90));
    staged[2].notify_by = Some(world.now() + SignedDuration::from_hours(24 * 30));
    world.store.stage(batch, staged, world.now()).await.unwrap();
    world.finish(batch, false).await;
    world.settle_but(|effect| *effect == Effect::Upload).await;
    world.store.free_leases().await.unwrap();
    let mut order = Vec::new();
    for _ in 0..3 {
        let leased = world.store.lease("x", vec![(CHANNEL.to_owned(), 1, 1)], world.now(), world.now()).await.unwrap().remove(0);
        let Subject::Notifica { act, .. } = leased.subject else { panic!("{leased:?}") };
        order.push(world.material(act).await.content.reference);
    }
    assert_eq!(order, ["n2", "n1", "n0"]);
    world.pass(SignedDuration::from_secs(1));
    world.settle().await;
    world.hear("n0", "REQUEST_ACCEPTED", json!({})).await;
    let mut viewed = world.event("n0", "NOTIFICATION_VIEWED", json!({"recIndex": 0})).await;
    viewed.element.legal_facts_ids = vec![fact("accesso", "RECIPIENT_ACCESS")];
    world.tell(vec![viewed]).await;
    let of = |lane: u8| world.store.lease("x", vec![(CHANNEL.to_owned(), lane, 10)], world.now(), world.now());
    assert_eq!(of(1).await.unwrap().len(), 0);
    assert_eq!(of(0).await.unwrap().len(), 0);
    assert_eq!(of(2).await.unwrap().len(), 2, "price and legal fact make room for all else");
}

#[tokio::test]
async fn the_same_work_asked_for_again_while_it_runs_is_done_once_more() {
    let world = world_with(1).await;
    world.accepted(&["n0"]).await;
    world.hear("n0", "NOTIFICATION_VIEWED", json!({"recIndex": 0})).await;
    let id = world.act("n0").await.id;
    let job = world.lease_one(id, "CHIEDI_COSTO").await.job;
    world.hear("n0", "SEND_ANALOG_DOMICILE", json!({"recIndex": 0, "analogCost": 530})).await;
    let outcome = world.store.record(id, Fact::PriceKnown { recipient: 0, total: 200, paper: None }, Some(job), world.now()).await;
    assert!(matches!(outcome, Err(StoreError::Stale)), "the old price is not told");
    assert_eq!(world.store.jobs_of(id.0).await.unwrap().len(), 1);
    world.settle().await;
    assert_eq!(world.lines().await.last().unwrap().citizen_cost, Some(847));
}

/// Each is one cell that cannot be decoded: only its act is parked, with an alert, and what was leased with it goes on.
#[tokio::test]
async fn one_row_that_cannot_be_read_parks_its_act_alone() {
    let table = [
        ("content", "UPDATE act_content SET json = '{' WHERE act_id = ?1"),
        ("content, no text", "UPDATE act_content SET json = x'ff00' WHERE act_id = ?1"),
        ("state", "UPDATE act SET state_data = '\"Altro\"' WHERE id = ?1"),
        ("job", "UPDATE job SET payload = '{}' WHERE subject_id = ?1"),
    ];
    for (what, sql) in table {
        let world = World::new();
        world.listen().await;
        world.accept(vec![act("a"), act("b"), act("c")], flow(0)).await;
        world.settle_but(|effect| *effect == Effect::Upload).await;
        world.store.free_leases().await.unwrap();
        let (a, b, c) = (world.act_id("a").await, world.act_id("b").await, world.act_id("c").await);
        let db = rusqlite::Connection::open(world.dir.path().join("messo.db")).unwrap();
        assert_eq!(db.execute(sql, [b.0.as_bytes()]).unwrap(), 1, "{what}");
        drop(db);

        let leased = world.lease(64).await;
        let materials = world.store.material(vec![a, b, c]).await.unwrap();
        let ready: Vec<ActId> = materials.ready.iter().map(|material| material.id).collect();
        if what == "job" {
            assert_eq!((leased.len(), ready.len()), (2, 3), "{what}");
        } else {
            assert_eq!((leased.len(), ready, materials.unreadable), (3, vec![a, c], vec![b]), "{what}");
            let hers = leased.iter().find(|job| matches!(&job.subject, Subject::Notifica { act, .. } if *act == b)).unwrap();
            let next = crate::flow::retry::Next::Park { code: "DATI_ILLEGGIBILI" };
            world.store.fail_job(hers.job, next, "DATI_ILLEGGIBILI", world.now()).await.unwrap();
        }
        let parked = world.act("b").await;
        assert_eq!(parked.park_code.as_deref(), Some("DATI_ILLEGGIBILI"), "{what}");
        assert_eq!(world.told("b").await.last().unwrap().0, OutcomeState::Parked, "{what}");
        let alerts = world.store.alerts(Timestamp::UNIX_EPOCH, 10).await.unwrap();
        assert_eq!(alerts.iter().map(|alert| alert.code.as_str()).collect::<Vec<_>>(), ["DATI_ILLEGGIBILI"], "{what}");
        for job in leased {
            if !matches!(&job.subject, Subject::Notifica { act, .. } if *act == b) {
                world.work(job).await;
            }
        }
        world.settle().await;
        assert_eq!((world.state("a").await.as_str(), world.state("c").await.as_str()), ("INVIATO", "INVIATO"), "{what}");
    }
}

/// The same for the work of a batch: its neighbours, acts and batches, are served, and it is resumed like any suspended work.
#[tokio::test]
async fn work_of_a_batch_that_cannot_be_read_is_suspended_alone() {
    let world = World::new();
    let broken = world.accept(vec![act("a")], flow(0)).await;
    world.accept(vec![act("b")], flow(0)).await;
    let db = rusqlite::Connection::open(world.dir.path().join("messo.db")).unwrap();
    let sql = "UPDATE job SET payload = ?2 WHERE subject_id = ?1 AND kind = 'AVVIA'";
    assert_eq!(db.execute(sql, rusqlite::params![broken.0.as_bytes(), "{"]).unwrap(), 1);

    world.listen().await;
    world.settle().await;
    assert_eq!((world.state("b").await.as_str(), world.count("SELECT count(*) FROM act WHERE staged = 1")), ("INVIATO", 1));
    let alerts = world.store.alerts(Timestamp::UNIX_EPOCH, 10).await.unwrap();
    assert_eq!(alerts.iter().map(|alert| alert.code.as_str()).collect::<Vec<_>>(), ["DATI_ILLEGGIBILI"], "told once");
    assert_eq!(world.store.overview().await.unwrap().parked_batches, [broken]);

    let payload: String = db.query_row("SELECT payload FROM job WHERE kind = 'AVVIA'", [], |row| row.get(0)).unwrap();
    assert_eq!(payload, "{");
    db.execute(sql, rusqlite::params![broken.0.as_bytes(), serde_json::to_string(&BatchWork::Start).unwrap()]).unwrap();
    assert_eq!(world.store.retry_batch(broken, "op", "riparato", world.now()).await.unwrap(), 1);
    world.settle().await;
    assert_eq!(world.state("a").await, "INVIATO");
}

/// Several works of an act that SEND does not show: the gestionale and the operators hear of it once, and one order resumes all.
#[tokio::test]
async fn an_act_parked_twice_for_one_reason_is_told_once() {
    let world = world_with(1).await;
    world.accepted(&["n0"]).await;
    let mut viewed = world.event("n0", "NOTIFICATION_VIEWED", json!({"recIndex": 0})).await;
    viewed.element.legal_facts_ids = vec![fact("accesso", "RECIPIENT_ACCESS"), fact("altro", "RECIPIENT_ACCESS")];
    world.tell(vec![viewed]).await;
    for leased in world.lease(10).await {
        world.store.fail_job(leased.job, park("NOTIFICA_NON_VISIBILE"), "NON_ANCORA_PRESENTE", world.now()).await.unwrap();
    }
    assert!(world.count("SELECT count(*) FROM job WHERE state = 'SOSPESO'") >= 2);
    assert_eq!(world.told("n0").await.iter().filter(|line| line.0 == OutcomeState::Parked).count(), 1);
    assert_eq!(world.store.alerts(Timestamp::UNIX_EPOCH, 10).await.unwrap().len(), 1);
    assert_eq!(world.store.retry(None, Some("NOTIFICA_NON_VISIBILE"), "op", "", world.now()).await.unwrap(), 1);
    assert_eq!(world.count("SELECT count(*) FROM job WHERE state = 'SOSPESO'"), 0);
    world.is_sound().await;
}

/// SEND stays silent about an act whose reading waits for a person: it is not read again, nor parked and told again, every day.
#[tokio::test]
async fn a_reading_that_is_parked_is_left_to_a_person() {
    let world = world_with(1).await;
    world.accepted(&["n0"]).await;
    let silent = |world: &World| world.now() - SignedDuration::from_hours(168);
    world.pass(SignedDuration::from_hours(200));
    assert_eq!(world.store.resync(silent(&world), None, world.now()).await.unwrap(), 1);
    let id = world.act("n0").await.id;
    let job = world.lease_one(id, "RILEGGI").await.job;
    world.store.fail_job(job, park("NOTIFICA_NON_VISIBILE"), "NON_ANCORA_PRESENTE", world.now()).await.unwrap();
    world.pass(SignedDuration::from_hours(200));
    assert_eq!(world.store.resync(silent(&world), None, world.now()).await.unwrap(), 1);
    assert_eq!(world.store.resync(silent(&world), None, world.now()).await.unwrap(), 0, "it ends");
    assert!(world.lease(10).await.is_empty());
    assert_eq!(world.act("n0").await.park_code.as_deref(), Some("NOTIFICA_NON_VISIBILE"));
    world.store.retry(Some(id), None, "op", "", world.now()).await.unwrap();
    assert_eq!(world.lease(10).await.len(), 1);
    world.is_sound().await;
}
