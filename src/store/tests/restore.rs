//! What counts as recovered after a restore.

use super::mail::{WINDOW, all_to, offered};
use super::*;
use crate::batch::problem::{Code, Problem};
use crate::store::{Gap, GapKind};

impl World {
    async fn ended(&self, batch: BatchId, state: ReceiptState) {
        let end = Finished {
            state,
            acts: 1,
            accepted: 0,
            refused: 1,
            duplicates: 0,
            duplicate_of: None,
            held: false,
            forecast: None,
            forecasts: Vec::new(),
        };
        self.store.finish_batch(batch, end, self.now()).await.unwrap();
    }

    async fn gap(&self, kind: GapKind, about: &str, sha256: Sha256) {
        let (source, about) = (SOURCE.to_owned(), about.to_owned());
        let gap = Gap { kind, source, about, sender: None, iun: None, sha256: Some(sha256), data: json!({}), recovered: None };
        self.store.note_gaps(vec![gap]).await.unwrap();
    }
}

/// Dropped again and refused, a lost drop is still lost: what it ordered may be the withdrawal of an act that would go.
#[tokio::test]
async fn a_lost_drop_is_recovered_when_it_was_taken_and_not_when_it_was_refused() {
    let table = [
        (ReceiptState::Taken, false, true),
        (ReceiptState::Partial, false, true),
        (ReceiptState::Rejected, false, false),
        (ReceiptState::Taken, true, false),
    ];
    for (state, trial, want) in table {
        let world = World::new();
        let batch = world.claim(trial).await;
        world.begin(batch, flow(0)).await;
        world.gap(GapKind::Batch, "perso", Sha256::of(batch.to_string().as_bytes())).await;
        assert_eq!(world.store.count_gaps(GapKind::Batch).await.unwrap(), (1, 1), "being read");
        world.ended(batch, state).await;
        assert_eq!(world.store.count_gaps(GapKind::Batch).await.unwrap(), (1, u64::from(!want)), "{state:?}, trial: {trial}");
    }
}

/// One that was under reading is judged again, and whatever comes of it is what its gestionale is told; unless nobody could read it.
#[tokio::test]
async fn a_drop_under_reading_is_recovered_when_it_was_judged() {
    let table = [
        (ReceiptState::Taken, None, true),
        (ReceiptState::Rejected, Some(Code::SenderUnknown), true),
        (ReceiptState::Rejected, Some(Code::DropUnreadable), false),
        (ReceiptState::Rejected, Some(Code::DropChanged), false),
    ];
    for (state, code, want) in table {
        let world = World::new();
        let batch = world.claim(false).await;
        world.begin(batch, flow(0)).await;
        world.gap(GapKind::Drop, &batch.to_string(), Sha256::of(batch.to_string().as_bytes())).await;
        assert_eq!(world.store.count_gaps(GapKind::Drop).await.unwrap(), (1, 1), "being read");
        if let Some(code) = code {
            world.store.add_problems(batch, vec![Problem::of_drop("lotto.zip", code)]).await.unwrap();
        }
        world.ended(batch, state).await;
        assert_eq!(world.store.count_gaps(GapKind::Drop).await.unwrap(), (1, u64::from(!want)), "{state:?} {code:?}");
    }
}

/// What waited in the copy may have gone after it: once more under its Message-ID, counted, and nothing is added to it. What was no mail
/// yet becomes the mail that it became then; what happens from now on is told as ever.
#[tokio::test]
async fn mails_of_a_copy_are_repeats_and_none_of_its_alerts_is_lost() {
    let world = World::new();
    let router = all_to(&["a@e.it"], None);
    world.raise("TENTATIVI_ESAURITI", 1).await;
    world.collect(&router).await;
    // One is under way when the copy is made, one waits, two alerts are no mail yet.
    let under_way = world.lease_mail().await.unwrap();
    world.raise("LOTTO_SCARTATO", 1).await;
    world.collect(&router).await;
    world.raise("LOTTO_SCARTATO", 1).await;
    world.raise("DISCO_QUASI_PIENO", 1).await;
    let place = tempfile::tempdir().unwrap();
    let copied = place.path().join("messo.db");
    world.store.copy_to(&copied, || false).unwrap();
    // The first life goes on: everything is mailed.
    let mut sent = vec![under_way.message_id.clone()];
    world.store.offer_mail(under_way.lease, offered("x")).await.unwrap();
    world.store.mail_sent(under_way.lease, world.now()).await.unwrap();
    let waited = world.lease_mail().await.unwrap();
    world.store.offer_mail(waited.lease, offered("x")).await.unwrap();
    world.store.mail_sent(waited.lease, world.now()).await.unwrap();
    sent.push(waited.message_id);
    world.collect(&router).await;
    world.pass(WINDOW);
    while let Some(mail) = world.lease_mail().await {
        world.store.offer_mail(mail.lease, offered("x")).await.unwrap();
        world.store.mail_sent(mail.lease, world.now()).await.unwrap();
        sent.push(mail.message_id);
    }
    assert_eq!(sent.len(), 4, "{sent:?}");
    // The second.
    let store = Store::open(place.path()).unwrap();
    store.begin_restore("copia", world.now(), world.now()).await.unwrap();
    store.free_mails().await.unwrap();
    while store.collect_alerts(router.clone(), "e.it", WINDOW, world.now()).await.unwrap().alerts > 0 {}
    world.pass(WINDOW);
    let mut again = Vec::new();
    while let Some(mail) = store.lease_mail(world.now() + SignedDuration::from_hours(1), world.now()).await.unwrap() {
        store.offer_mail(mail.lease, offered("x")).await.unwrap();
        store.mail_sent(mail.lease, world.now()).await.unwrap();
        again.push(mail.message_id);
    }
    let new: Vec<&String> = again.iter().filter(|id| !sent.contains(id)).collect();
    assert_eq!((again.len(), new.len()), (5, 1), "the four under their names, and that of the restore: {again:?}");
    assert_eq!(store.mail_overview(world.now()).await.unwrap().repeats, 4, "each repeat is counted, the new one is none");
}
