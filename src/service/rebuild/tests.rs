//! A share that hangs while its files are given again.

use super::*;
use crate::service::shares::HANGS;
use crate::service::tests::{House, SOURCE};
use crate::service::{dispatch, ingest};

impl House {
    /// A receipt was published, and its reader took it away.
    async fn receipt_taken_away(&self) {
        let claimed = self.claimed("lotto.zip", Some(b"non e un archivio"));
        ingest::ingest(&self.hub, &claimed).await.unwrap();
        let working = tokio::spawn(dispatch::run(self.hub.clone()));
        let begun = monotonic();
        while self.hub.store.published_in(SOURCE, "ricevute", "", 10).await.unwrap().len() < 2 {
            assert!(begun.elapsed() < Duration::from_secs(60), "the receipt is written");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        working.abort();
        std::fs::remove_dir_all(self.dir.path().join("casa/ricevute")).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_share_that_hangs_is_left_and_told() {
    let house = House::new();
    house.receipt_taken_away().await;
    let rebuild = async |patience| within(&house.hub, SOURCE, patience, again(&house.hub, SOURCE, Wanted::Everything)).await;
    house.hub.shares.hung.lock().unwrap().insert(SOURCE.to_owned());
    let left = rebuild(Duration::from_millis(300)).await;
    assert!(matches!(left, Err(PublishError::Hangs)), "{left:?}");
    house.hub.shares.hung.lock().unwrap().clear();
    while house.hub.shares.touches(SOURCE) > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // Known to hang: not even begun.
    let hangs = house.hub.shares.silent_for(SOURCE, HANGS);
    let told = Rebuilder(house.hub.clone()).rebuild(Some(SOURCE), None).await.unwrap_err();
    assert_eq!(told, OperateError::PublishFailed { code: "CARTELLA_NON_RISPONDE".to_owned() });
    let sentence = told.to_string();
    assert!(sentence.contains("non risponde") && sentence.contains("Verificare la condivisione"), "{sentence}");
    drop(hangs);
    let given = rebuild(PATIENCE).await.unwrap();
    assert!(given.written > 0, "{given:?}");
}
