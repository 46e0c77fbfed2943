//! What counts as recovered after a restore.

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
