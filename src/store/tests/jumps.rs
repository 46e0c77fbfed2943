//! A clock that is set an hour back or a day on: what waits goes on, what is leased stays leased, what is due comes in its order.

use super::*;

async fn leased(world: &World) -> usize {
    let until = world.now() + SignedDuration::from_mins(30);
    let wanted = vec![(CHANNEL.to_owned(), 0, 9), (CHANNEL.to_owned(), 1, 9), (String::new(), 0, 9), (String::new(), 1, 9)];
    world.store.lease("prova", wanted, until, world.now()).await.unwrap().len()
}

#[tokio::test]
async fn a_lease_outlives_a_jump_on_and_a_wait_is_not_longer_for_a_jump_back() {
    for (hours, what) in [(24, "a day on"), (-1, "an hour back"), (-24 * 365 * 10, "from the year 2036")] {
        let world = World::new();
        world.listen().await;
        world.accept(vec![act("a"), act("b")], flow(0)).await;
        world.settle_but(|effect| *effect == Effect::Upload).await;
        // What was taken by the test's worker is given back, then taken once more: one job stays with its worker, one waits a minute.
        world.store.free_leases().await.unwrap();
        let until = world.now() + SignedDuration::from_mins(30);
        let taken = world.store.lease("prova", vec![(CHANNEL.to_owned(), 1, 9)], until, world.now()).await.unwrap();
        assert_eq!(taken.len(), 2, "{what}");
        world.store.postpone_job(taken[1].job, world.now() + SignedDuration::from_mins(1), "FASCIA_ORARIA").await.unwrap();
        let jump = SignedDuration::from_hours(hours);
        world.pass(jump);
        world.store.clock_jumped(jump, world.now()).await.unwrap();
        if hours > 0 {
            assert_eq!(leased(&world).await, 1, "{what}: only what waited is due, the lease has not ended");
        } else {
            assert_eq!(leased(&world).await, 0, "{what}: nothing is due yet");
            world.pass(SignedDuration::from_secs(61));
            assert_eq!(leased(&world).await, 1, "{what}: a minute is a minute");
        }
        world.store.finish_job(taken[0].job).await.unwrap();
        let told = world.store.alerts(Timestamp::UNIX_EPOCH, 9).await.unwrap();
        assert_eq!(told.iter().filter(|alert| alert.code == "OROLOGIO_SPOSTATO").count(), 1, "{what}");
    }
}

#[tokio::test]
async fn the_clock_of_the_last_run_is_remembered() {
    let world = World::new();
    assert_eq!(world.store.clock_said().await.unwrap(), None);
    let before = world.now();
    world.store.clock_says(before).await.unwrap();
    let back = SignedDuration::from_hours(-3);
    world.pass(back);
    // Whoever sweeps may look before the jump is seen: were it written down now, a crash would make everybody wait three hours.
    world.store.clock_says(world.now()).await.unwrap();
    assert_eq!(world.store.clock_said().await.unwrap(), Some(before), "the jump is still to be moved with");
    // Moved with, and known to be in the same transaction: a crash right after does not move twice.
    world.store.clock_jumped(back, world.now()).await.unwrap();
    assert_eq!(world.store.clock_said().await.unwrap(), Some(world.now()));
    world.pass(SignedDuration::from_mins(1));
    world.store.clock_says(world.now()).await.unwrap();
    assert_eq!(world.store.clock_said().await.unwrap(), Some(world.now()));
}

#[tokio::test]
async fn mails_are_moved_too() {
    let router = mail::all_to(&["a@e.it"], None);
    for (hours, what) in [(24, "a day on"), (-1, "an hour back"), (-24 * 365 * 10, "from the year 2036")] {
        let world = World::new();
        world.raise("TENTATIVI_ESAURITI", 1).await;
        world.collect(&router).await;
        // One is under way, one was put off for a minute.
        let under_way = world.store.lease_mail(world.now() + SignedDuration::from_hours(1), world.now()).await.unwrap().unwrap();
        world.raise("LOTTO_SCARTATO", 1).await;
        world.collect(&router).await;
        let put_off = world.lease_mail().await.unwrap();
        let minute = SignedDuration::from_mins(1);
        world.store.mail_put_off(put_off.lease, "DESTINATARIO 450", false, world.now() + minute, world.now()).await.unwrap();
        let jump = SignedDuration::from_hours(hours);
        world.pass(jump);
        world.store.clock_jumped(jump, world.now()).await.unwrap();
        let first = world.now();
        if hours < 0 {
            assert!(world.lease_mail().await.is_none(), "{what}: nothing is due yet");
            world.pass(minute);
        }
        let again = world.lease_mail().await.unwrap_or_else(|| panic!("{what}: a minute is a minute"));
        assert_eq!((again.lease.id, again.failed_at), (put_off.lease.id, Some(first)), "{what}: tried for a minute");
        assert!(world.lease_mail().await.is_none(), "{what}: the other is still under way");
        world.store.mail_sent(again.lease, world.now()).await.unwrap();
        world.store.mail_sent(under_way.lease, world.now()).await.unwrap();
        // What comes now is collected until the end of the window, and no longer.
        world.raise("TENTATIVI_ESAURITI", 1).await;
        world.collect(&router).await;
        world.pass(mail::WINDOW);
        let sent = world.post().await;
        assert!(sent.contains(&("persona".to_owned(), 1)), "{what}: a window is a window, {sent:?}");
    }
}

/// Years of days to come were done by a clock that was ahead: they are not done.
#[tokio::test]
async fn what_a_clock_that_was_ahead_wrote_down_silences_nothing() {
    let world = World::new();
    let day = |text: &str| text.parse::<jiff::civil::Date>().unwrap();
    let true_now = world.now();
    // An ente whose reports are made up to the day before yesterday, by a clock that was right.
    assert!(!world.store.report_is_due("altro", day("2026-11-20")).await.unwrap());
    let ahead = SignedDuration::from_hours(24 * 365 * 10);
    world.pass(ahead);
    assert!(!world.store.report_is_due(ENTE, day("2036-11-18")).await.unwrap());
    world.store.set_setting("conservazione.giorno", "2036-11-19").await.unwrap();
    assert_eq!(world.store.known_since("atteso/sicurvia", world.now()).await.unwrap(), world.now());
    let tell = async || {
        let notice = Notice::of_source("NOME_GIA_PRESENTE", SOURCE, "sicurvia/esiti");
        world.store.tell_once(notice, Some(SignedDuration::from_hours(1)), world.now()).await.unwrap()
    };
    assert!(tell().await);
    world.pass(-ahead);
    world.store.clock_jumped(-ahead, world.now()).await.unwrap();
    assert_eq!(world.now(), true_now);
    assert!(tell().await, "ten years from now is not less than an hour ago");
    assert!(!tell().await);
    assert!(!world.store.report_is_due(ENTE, day("2026-11-21")).await.unwrap(), "yesterday's is not made twice");
    assert!(world.store.report_is_due(ENTE, day("2026-11-22")).await.unwrap(), "today's will be made");
    assert!(world.store.report_is_due("altro", day("2026-11-21")).await.unwrap(), "of the others nothing is changed");
    assert_eq!(world.store.setting("conservazione.giorno").await.unwrap().as_deref(), Some("2026-11-22"));
    assert_eq!(world.store.known_since("atteso/sicurvia", world.now()).await.unwrap(), true_now);
}

/// A day that was not: what was counted in it stays there, and the day that is counts on from where it was.
#[tokio::test]
async fn quotas_of_two_days_do_not_mix_when_the_clock_goes_on_and_back() {
    let world = World::new();
    let reserve = |day: &'static str, calls| world.store.reserve_calls(ENTE, day, calls, 100);
    assert!(reserve("2026-11-22", 90).await.unwrap());
    assert!(reserve("2026-11-23", 60).await.unwrap(), "a day on");
    assert!(!reserve("2026-11-22", 20).await.unwrap(), "and back: ninety are spent");
    assert!(reserve("2026-11-22", 10).await.unwrap());
    assert!(!reserve("2026-11-23", 50).await.unwrap(), "never more than the limit");
}

#[tokio::test]
async fn a_stopped_batch_and_a_restored_store_let_nothing_through() {
    let world = World::new();
    world.listen().await;
    let batch = world.accept(vec![act("a")], flow(0)).await;
    world.settle_but(|effect| *effect == Effect::Send).await;
    world.store.free_leases().await.unwrap();
    let id = world.store.find_acts("a").await.unwrap()[0].id;
    let reserve = || world.store.reserve_spends(vec![(id, None)], "2026-11-22", 0, world.now());
    let spend = |outcome: Vec<Result<Spend, StoreError>>| outcome.into_iter().next().unwrap().unwrap();
    assert!(world.store.pause_batch(batch, "prova", "perché", world.now()).await.unwrap());
    assert_eq!((leased(&world).await, spend(reserve().await.unwrap())), (0, Spend::Held));
    assert!(world.store.unpause_batch(batch, "prova", "perché", world.now()).await.unwrap());
    assert_eq!(leased(&world).await, 1, "back with its batch");
    world.store.free_leases().await.unwrap();
    assert_eq!(world.store.begin_restore("copia", world.now(), world.now()).await.unwrap(), 1);
    assert_eq!((leased(&world).await, spend(reserve().await.unwrap())), (0, Spend::Held));
    assert_eq!(world.store.queue_restore(world.now()).await.unwrap(), 1);
    assert_eq!(leased(&world).await, 1, "SEND is asked");
    let restored = world.store.restored().await.unwrap().unwrap();
    assert_eq!((restored.open, restored.released_at), (1, None));
    assert!(world.store.release_restore("prova", "perché", world.now()).await.unwrap());
    assert!(!world.store.release_restore("prova", "perché", world.now()).await.unwrap());
    assert_eq!(spend(reserve().await.unwrap()), Spend::Reserved);
}
