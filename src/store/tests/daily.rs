//! The day of an ente, and the alerts around it.

use jiff::civil::Date;

use super::*;
use crate::domain::calendar::{in_rome, rome_day};
use crate::domain::daily::DailyReport;
use crate::flow::forecast::Limits;

fn ask(world: &World, day: &str) -> DailyAsk {
    let day: Date = day.parse().unwrap();
    let (from, to) = rome_day(day).unwrap();
    DailyAsk {
        day,
        from,
        to,
        sender: ENTE.to_owned(),
        denomination: "Comune di Prova".to_owned(),
        environment: "COLLAUDO".to_owned(),
        sources: vec![SOURCE.to_owned()],
        own_sources: vec![SOURCE.to_owned()],
        limits: Limits { spend_per_day: 200, ..Limits::default() },
        now: world.now(),
        wall: in_rome(world.now()).datetime(),
    }
}

async fn day_of(world: &World, day: &str) -> DailyReport {
    world.store.daily(ask(world, day)).await.unwrap()
}

fn states(report: &DailyReport) -> Vec<(&str, u64)> {
    report.states.iter().map(|(state, count)| (state.as_str(), *count)).collect()
}

/// Two days: what happened on each is told of that one, and the states are those at its end, whenever it is asked.
#[tokio::test]
async fn a_day_tells_what_happened_in_it_whenever_it_is_asked() {
    let world = World::new();
    world.listen().await;
    world.accept((0..4).map(|n| act(&format!("n{n}"))).collect(), flow(0)).await;
    world.settle().await;
    world.accepted(&["n0", "n1"]).await;
    let paper = world.event("n0", "SEND_ANALOG_DOMICILE", json!({"recIndex": 0, "analogCost": 312})).await;
    world.tell(vec![paper]).await;
    let first = day_of(&world, "2026-11-22").await;
    assert_eq!((first.sent, first.accepted, first.completed, first.cost_cents), (4, 2, 0, 4 * 100 + 312));
    assert_eq!(states(&first), [("INVIATO", 2), ("IN_CONSEGNA", 2)]);
    assert_eq!((first.batches_total, first.batches[0].source.as_str(), first.batches[0].state.as_str()), (1, SOURCE, "PRESA_IN_CARICO"));

    // The next day: one is complete, one refused, one parked; new ones come, of which none has left.
    world.pass(SignedDuration::from_hours(24));
    let viewed = world.event("n0", "NOTIFICATION_VIEWED", json!({"recIndex": 0})).await;
    let token = world.material(world.act_id("n2").await).await.token;
    let reasons = json!({"refusalReasons": [{"errorCode": "NOT_VALID_ADDRESS"}]});
    world.tell(vec![viewed, world.event_of(&token, "REQUEST_REFUSED", reasons)]).await;
    world.accept((4..9).map(|n| act(&format!("n{n}"))).collect(), flow(0)).await;
    world.settle_but(|effect| *effect == Effect::Send).await;
    world.store.free_leases().await.unwrap();
    let job = world.lease_one(world.act_id("n4").await, "INVIA").await.job;
    world.store.fail_job(job, crate::flow::retry::Next::Park { code: "TENTATIVI_ESAURITI" }, "X", world.now()).await.unwrap();
    world.store.free_leases().await.unwrap();
    let second = day_of(&world, "2026-11-23").await;
    assert_eq!((second.sent, second.accepted, second.completed, second.refused), (0, 0, 1, 1));
    assert_eq!(second.refusals.iter().map(|(code, count)| (code.as_str(), *count)).collect::<Vec<_>>(), [("NOT_VALID_ADDRESS", 1)]);
    let want = [("INVIATO", 1), ("IN_CONSEGNA", 1), ("IN_INVIO", 5), ("PERFEZIONATO", 1), ("RIFIUTATO", 1)];
    assert_eq!(states(&second), want);
    assert_eq!(second.parked.iter().map(|(code, count)| (code.as_str(), *count)).collect::<Vec<_>>(), [("TENTATIVI_ESAURITI", 1)]);
    let stuck = &second.oldest_stuck;
    assert_eq!((stuck.len(), stuck[0].reference.as_str(), stuck[0].code.as_deref()), (1, "n4", Some("TENTATIVI_ESAURITI")));
    // Four wait, two a day.
    assert_eq!((second.waiting, second.last_send.map(|day| day.to_string())), (4, Some("2026-11-24".to_owned())));
    assert!(second.next_send.is_some());

    // The first day again, from the second: what moved since is told back.
    let again = day_of(&world, "2026-11-22").await;
    let told = |report: &DailyReport| (report.states.clone(), report.sent, report.accepted, report.completed, report.refused);
    assert_eq!(told(&again), told(&first));
    // And after so many lines that every act is looked at.
    world.settle().await;
    world.pass(SignedDuration::from_hours(24));
    assert_eq!(told(&day_of(&world, "2026-11-22").await), told(&first));
    assert_eq!(states(&day_of(&world, "2026-11-21").await), []);
    // Another ente has nothing of it.
    let other = DailyAsk { sender: "09876543217".to_owned(), own_sources: Vec::new(), ..ask(&world, "2026-11-22") };
    let other = world.store.daily(other).await.unwrap();
    assert_eq!((other.batches_total, other.sent, other.cost_cents, other.states.len()), (0, 0, 0, 0));
}

#[tokio::test]
async fn acts_that_an_operator_must_release_are_among_those_that_stand_still() {
    let world = World::new();
    let (batch, _) = world.stage(vec![act("a")], flow(0)).await;
    world.finish(batch, true).await;
    world.settle().await;
    let report = day_of(&world, "2026-11-22").await;
    assert_eq!(report.oldest_stuck.iter().map(|stuck| stuck.code.as_deref()).collect::<Vec<_>>(), [Some("OPERATORE")]);
    assert_eq!((report.waiting, report.last_send, report.next_send), (0, None, None));
}

#[tokio::test]
async fn the_report_of_a_night_is_made_once_and_a_new_ente_begins_with_the_next() {
    let world = World::new();
    let day = |text: &str| text.parse::<Date>().unwrap();
    let due = async |text: &str| world.store.report_is_due(ENTE, day(text)).await.unwrap();
    assert!(!due("2026-11-21").await && !due("2026-11-21").await, "before it was there nothing is told");
    assert!(due("2026-11-22").await);
    let report = day_of(&world, "2026-11-22").await;
    for (nightly, want) in [(true, true), (true, false), (false, true)] {
        assert_eq!(world.store.tell_report(&report, nightly, world.now()).await.unwrap(), want, "{nightly}");
    }
    assert!(!due("2026-11-22").await && due("2026-11-25").await, "after a stop of days only the last one");
    let told = world.store.alerts_between(Timestamp::UNIX_EPOCH, Timestamp::MAX, 10).await.unwrap();
    assert_eq!(told.len(), 2);
    for alert in told {
        assert_eq!((alert.code.as_str(), alert.about.as_str(), alert.sender.as_deref()), ("RAPPORTO_DEL_GIORNO", "2026-11-22", Some(ENTE)));
        assert_eq!(serde_json::from_value::<DailyReport>(alert.data.unwrap()).unwrap(), report);
    }
    assert_eq!(world.store.alerts(Timestamp::UNIX_EPOCH, 10).await.unwrap(), [], "not among what needs somebody");
}

/// The alert of a batch has what a mail needs, and is in the transaction that ends the batch.
#[tokio::test]
async fn a_batch_that_is_not_wholly_accepted_is_told_with_its_counts() {
    let end = |state, accepted, refused| Finished {
        state,
        acts: accepted + refused,
        accepted,
        refused,
        duplicates: 0,
        duplicate_of: None,
        held: false,
        forecast: None,
        forecasts: Vec::new(),
    };
    let table = [
        (ReceiptState::Taken, 2, 0, false, None, None),
        (ReceiptState::Duplicate, 0, 0, false, None, None),
        (ReceiptState::Partial, 1, 7, false, None, Some("LOTTO_PARZIALE")),
        (ReceiptState::Rejected, 0, 7, false, None, Some("LOTTO_SCARTATO")),
        (ReceiptState::Rejected, 0, 0, false, Some("DEPOSITO_MAI_COMPLETATO"), Some("DEPOSITO_MAI_COMPLETATO")),
        (ReceiptState::Rejected, 0, 7, true, None, None),
    ];
    for (state, accepted, refused, dry_run, code, want) in table {
        let world = World::new();
        let batch = world.claim(dry_run).await;
        world.begin(batch, flow(0)).await;
        let problem = |n: u64| crate::batch::problem::Problem {
            row: Some(n.to_string().parse().unwrap()),
            severity: if n == 1 { crate::batch::problem::Severity::Warning } else { crate::batch::problem::Severity::Error },
            ..crate::batch::problem::Problem::of_drop("lotto.csv", crate::batch::problem::Code::ActExists)
        };
        world.store.add_problems(batch, (1..=refused).map(problem).collect()).await.unwrap();
        if refused > 0 {
            world.store.add_rejects(batch, vec![(1, "{}".to_owned())]).await.unwrap();
        }
        let telling = Telling { code, sender: Some("09876543217".to_owned()).filter(|_| code.is_some()) };
        for _ in 0..2 {
            world.store.finish_batch_telling(batch, end(state, accepted, refused), telling.clone(), world.now()).await.unwrap();
        }
        let told = world.store.alerts(Timestamp::UNIX_EPOCH, 10).await.unwrap();
        assert_eq!(told.iter().map(|alert| alert.code.as_str()).collect::<Vec<_>>(), want.into_iter().collect::<Vec<_>>(), "{state:?}");
        let Some(alert) = told.into_iter().next() else { continue };
        assert_eq!((alert.source.as_deref(), alert.flow.as_deref(), alert.batch), (Some(SOURCE), Some(flow(0).name.as_str()), Some(batch)));
        let data = alert.data.unwrap();
        assert_eq!((data["acts"].as_u64(), data["refused"].as_u64()), (Some(accepted + refused), Some(refused)));
        let rows: Vec<_> = data["problems"].as_array().unwrap().iter().map(|problem| problem["row"].as_u64().unwrap()).collect();
        assert_eq!(rows, if refused > 0 { vec![2, 3, 4, 5, 6] } else { vec![] }, "the first five errors");
        assert_eq!(data["rejects"].is_string(), refused > 0);
        assert!(!data.to_string().contains("lotto"), "no name of a file: {data}");
    }
}

#[tokio::test]
async fn quotas_are_told_once_a_day_and_free_once() {
    let world = World::new();
    let told = async || {
        let alerts = world.store.alerts(Timestamp::UNIX_EPOCH, 100).await.unwrap();
        alerts.into_iter().rev().map(|alert| alert.code).collect::<Vec<_>>()
    };
    for day in ["2026-11-22", "2026-11-22", "2026-11-23"] {
        world.store.calls_spent(ENTE, day, 100, world.now()).await.unwrap();
    }
    assert_eq!(told().await, [CALLS_SPENT, "QUOTE_DI_NUOVO_LIBERE", CALLS_SPENT], "the next day is another trouble");
    world.store.quotas_free(ENTE, vec![CALLS_SPENT.to_owned(), MONEY_SPENT.to_owned()], world.now()).await.unwrap();
    world.store.quotas_free(ENTE, vec![CALLS_SPENT.to_owned()], world.now()).await.unwrap();
    assert_eq!(told().await[3..], ["QUOTE_DI_NUOVO_LIBERE"]);
}

#[tokio::test]
async fn a_silent_gestionale_is_heard_with_its_next_drop() {
    let world = World::new();
    let (whole, folder) = (Notice::of_source(SILENT, SOURCE, SOURCE), Notice::of_source(SILENT, SOURCE, &format!("{SOURCE}/tari")));
    for notice in [whole, folder] {
        assert!(world.store.begins(notice.clone(), None, world.now()).await.unwrap());
        assert!(!world.store.begins(notice, None, world.now()).await.unwrap(), "told once");
    }
    let ago = |hours: i64| world.now() - SignedDuration::from_hours(hours);
    world.claim(true).await;
    assert!(!world.store.has_dropped(SOURCE, None, ago(1), world.now()).await.unwrap(), "a trial is no drop");
    assert_eq!(world.store.troubles().await.unwrap().len(), 2);
    world.claim(false).await;
    let left: Vec<String> = world.store.troubles().await.unwrap().into_iter().map(|trouble| trouble.about).collect();
    assert_eq!(left, [format!("{SOURCE}/tari")], "it came into `in/` itself");
    for (folder, after, want) in [(None, 1, true), (Some("tari"), 1, false), (None, 0, false)] {
        assert_eq!(world.store.has_dropped(SOURCE, folder, ago(after), world.now()).await.unwrap(), want, "{folder:?} {after}");
    }
}

/// The drop comes between the question and the alert.
#[tokio::test]
async fn a_gestionale_that_drops_while_it_is_looked_for_is_not_silent() {
    let world = World::new();
    let from = world.now() - SignedDuration::from_hours(1);
    let begins = async |source: &str| {
        let notice = Notice::of_source(SILENT, source, source);
        world.store.silence_begins(notice, serde_json::Value::Null, None, (from, world.now()), world.now()).await.unwrap()
    };
    world.claim(false).await;
    assert!(!begins(SOURCE).await);
    assert!(begins("un-altro").await);
    assert_eq!(world.store.troubles().await.unwrap().len(), 1);
}

#[tokio::test]
async fn an_ente_goes_on_with_its_last_key() {
    let world = World::new();
    let other = format!("{ENTE}/altra");
    let told =
        async |code: &str| world.store.alerts(Timestamp::UNIX_EPOCH, 100).await.unwrap().iter().filter(|alert| alert.code == code).count();
    world.store.stop_channel(CHANNEL, "CHIAVE_RIFIUTATA", world.now()).await.unwrap();
    world.store.stop_channel(&other, "GRUPPO_RIFIUTATO", world.now()).await.unwrap();
    assert_eq!(world.store.troubles().await.unwrap().len(), 2);
    world.store.resume_channel_by(CHANNEL, "op", "", world.now()).await.unwrap();
    assert_eq!(told("ENTE_RIPRESO").await, 0, "another key still stops it");
    world.store.resume_channel_by(&other, "op", "", world.now()).await.unwrap();
    assert_eq!((told("ENTE_RIPRESO").await, world.store.troubles().await.unwrap().len()), (1, 0));
    // Refused again before its acts were resumed: a new trouble, with an end of its own.
    world.store.stop_channel(&other, "GRUPPO_RIFIUTATO", world.now()).await.unwrap();
    world.store.resume_channel_by(&other, "op", "", world.now()).await.unwrap();
    assert_eq!((told("GRUPPO_RIFIUTATO").await, told("ENTE_RIPRESO").await), (2, 2));
}

#[tokio::test]
async fn the_same_thing_is_not_told_again_and_again() {
    let world = World::new();
    for (minutes, want) in [(0, true), (30, false), (31, true)] {
        world.pass(SignedDuration::from_mins(minutes));
        let notice = Notice::of_source("NOME_GIA_PRESENTE", SOURCE, "sicurvia/esiti");
        assert_eq!(world.store.tell_once(notice, Some(SignedDuration::from_hours(1)), world.now()).await.unwrap(), want, "{minutes}");
    }
    for want in [true, false] {
        world.pass(SignedDuration::from_hours(1_000));
        let batch = BatchId(uuid::Uuid::from_u128(7));
        assert_eq!(world.store.tell_once(Notice::of_batch("DEPOSITO_INTERROTTO", batch), None, world.now()).await.unwrap(), want);
    }
}

/// 200,000 acts of one ente and a million lines, of which a day of 20,000: the report reads what happened in the day.
#[tokio::test]
async fn a_day_of_an_ente_with_200_000_acts_is_told_at_once() {
    const ACTS: i64 = 200_000;
    let world = World::new();
    let World { store, dir, now, .. } = world;
    store.close();
    drop(store);
    let day_ms = 86_400_000_i64;
    let begin = now.get().as_millisecond() - 40 * day_ms;
    {
        let db = rusqlite::Connection::open(dir.path().join("messo.db")).unwrap();
        let numbers = format!("WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {})", ACTS - 1);
        // Forty days of 5,000 acts; five lines each, on the days after.
        db.execute_batch(&format!(
            "PRAGMA synchronous = OFF; BEGIN;
             {numbers} INSERT INTO act (id, sender, source, reference, submission, batch_id, content_batch, ordinal, row, place, flow,
               flow_digest, key_id, token, staged, state, state_data, state_version, revision, live, content_digest, recipients, files,
               applies_cost, resubmissions, park_code, heard_at, closed_at, created_at, updated_at)
             SELECT CAST(printf('%016d', i) AS BLOB), '{ENTE}', '{SOURCE}', 'R' || i, 1, x'00', x'00', i, i, '', 'tari', x'00', 'k', 't' || i, 0,
               CASE i % 4 WHEN 0 THEN 'IN_INVIO' WHEN 1 THEN 'IN_CONSEGNA' ELSE 'PERFEZIONATO' END, '', 1, 1, 1, x'00', 1, 1, 0, 0,
               CASE WHEN i % 4 = 0 AND i % 100 = 0 THEN 'TENTATIVI_ESAURITI' END, i, {begin}, {begin}, {begin} + i / 5000 * {day_ms} FROM n;
             {numbers} INSERT INTO line (source, line, act_id, batch_id, state, event, happened_at, written_at, data)
             SELECT '{SOURCE}', i + 1, CAST(printf('%016d', i) AS BLOB), x'00', 'INVIATO', 'INVIATO', 0, {begin} + i / 5000 * {day_ms},
               hex(zeroblob(300)) FROM n;
             {numbers} INSERT INTO timeline (act_id, element_id, element_key, category, happened_at, received_at, analog_cost)
             SELECT CAST(printf('%016d', i) AS BLOB), '', x'00', 'SEND_ANALOG_DOMICILE', 0, {begin} + i / 5000 * {day_ms}, 100 FROM n;
             INSERT INTO counter (source, next_line, next_file) VALUES ('{SOURCE}', {ACTS} + 1, 1);
             COMMIT;"
        ))
        .unwrap();
    }
    let world = World { store: Store::open(dir.path()).unwrap(), dir, now, ..World::new() };
    // The last of the forty days (what comes after it is a few hours).
    let day = in_rome(world.now() - SignedDuration::from_hours(24)).date().to_string();
    let begun = clock::monotonic();
    let report = day_of(&world, &day).await;
    let took = begun.elapsed();
    println!("a day of 5,000 acts of 200,000: {took:?}");
    assert_eq!((report.sent, report.cost_cents, report.waiting), (5_000, 500_000, 48_000), "{day}");
    assert_eq!((report.parked.values().sum::<u64>(), report.oldest_stuck.len()), (2_000, 20));
    assert!(took < std::time::Duration::from_secs(10), "{took:?}");
}
