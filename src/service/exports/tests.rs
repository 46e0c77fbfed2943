//! Exports of a hub whose tasks do not run.

use super::*;
use crate::service::tests::{House, SOURCE};

/// Writing never ends.
struct Hangs(Arc<tokio::sync::Notify>);

impl Statements for Hangs {
    fn row(&mut self, _: &Statement<'_>) -> io::Result<()> {
        Ok(())
    }
}

impl Sink for Hangs {
    fn put_out(&mut self) -> io::Result<()> {
        self.0.notify_one();
        std::thread::sleep(Duration::from_secs(3_600));
        Ok(())
    }
}

/// More exports hang than the store has readers: it is read all the same, its log is emptied, and the service can stop.
#[tokio::test(flavor = "multi_thread")]
async fn a_share_that_hangs_holds_nothing_of_the_store() {
    let house = House::new();
    let export = house.hub.store.fill_for_export(100).await.unwrap();
    let mut hanging = Vec::new();
    for _ in 0..8 {
        let (hub, export, there) = (house.hub.clone(), export.clone(), Arc::new(tokio::sync::Notify::new()));
        let sink = Hangs(there.clone());
        hanging.push(tokio::spawn(async move { pages(&hub.store, &export, &hub.stopping, sink).await.map(drop) }));
        there.notified().await;
    }
    let reading = tokio::time::timeout(Duration::from_secs(10), house.hub.store.exports_of(&export.source));
    assert_eq!(reading.await.expect("readers are free").unwrap().last_line, export.to);
    assert!(house.hub.store.empties_its_log().await, "no snapshot is kept");
    house.hub.stopping.cancel();
    for one in hanging {
        let ended = tokio::time::timeout(2 * crate::service::shares::GRACE, one).await.expect("given up").unwrap();
        assert!(matches!(ended, Err(PublishError::Store(StoreError::Stopping))), "{ended:?}");
    }
}

/// However small the pages are, and wherever they end, the rows are the same.
#[tokio::test(flavor = "multi_thread")]
async fn pages_print_the_same_bytes_as_a_whole() {
    struct Few(CsvFile<Vec<u8>>, usize, usize);
    impl Statements for Few {
        fn row(&mut self, row: &Statement<'_>) -> io::Result<()> {
            self.2 += 1;
            self.0.row(row)
        }
        fn is_full(&self) -> bool {
            self.2 >= self.1
        }
    }
    impl Sink for Few {
        fn put_out(&mut self) -> io::Result<()> {
            self.2 = 0;
            Ok(())
        }
    }
    let house = House::new();
    let export = house.hub.store.fill_for_export(100).await.unwrap();
    let mut printed = Vec::new();
    for rows in [usize::MAX, 1, 7] {
        let sink = Few(CsvFile::begin(header(&export, None), Vec::new()).unwrap(), rows, 0);
        printed.push(pages(&house.hub.store, &export, &house.hub.stopping, sink).await.unwrap().0.end().unwrap());
    }
    assert!(printed[0].len() > 10_000 && printed[0] == printed[1] && printed[0] == printed[2]);
}

/// Told before a restart: the first time that nothing is late it is over, and the next one is told again. Switched off, it is
/// forgotten without a word.
#[tokio::test(flavor = "multi_thread")]
async fn a_trouble_from_before_the_start_ends() {
    for (more, told) in [("", vec![MADE, LATE]), ("[gestionale.rendicontazione]\nattiva = false\n", vec![LATE])] {
        let house = House::with("", more);
        let store = &house.hub.store;
        store.begins(Notice::of_source(LATE, SOURCE, SOURCE), None, house.hub.clock.now()).await.unwrap();
        let running = tokio::spawn(run(house.hub.clone()));
        let begun = monotonic();
        while !store.troubles().await.unwrap().is_empty() {
            assert!(begun.elapsed() < Duration::from_secs(10), "{more}: still late");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        house.hub.stopping.cancel();
        running.await.unwrap();
        assert_eq!(house.alerts().await, told, "{more}");
    }
}

/// A defect that ends the work of one gestionale badly is a failure like any other: told, and tried again later.
#[tokio::test(flavor = "multi_thread")]
async fn work_that_ends_badly_is_judged() {
    let house = House::new();
    let pace = Pace { pause: Duration::ZERO, later: Duration::from_secs(3_600), slow: Duration::from_secs(3_600) };
    let (mut book, (tell_end, mut ended)) = (Book::default(), mpsc::unbounded_channel());
    book.begin(SOURCE, async { panic!("a defect") }, &tell_end);
    while !book.under_way[SOURCE].task.is_finished() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    book.look(&house.hub, SOURCE, pace, &tell_end).await;
    let (source, outcome) = tokio::time::timeout(Duration::from_secs(10), ended.recv()).await.expect("told").unwrap();
    book.judge(&house.hub, source, outcome).await;
    assert_eq!(house.alerts().await, [LATE]);
    book.look(&house.hub, SOURCE, pace, &tell_end).await;
    assert!(book.under_way.is_empty(), "not before its time");
}
