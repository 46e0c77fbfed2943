//! The cloth itself: one process, one writer, groups, crashes, and queries that use their indexes.

use super::*;

#[tokio::test]
async fn one_process_at_a_time() {
    let world = World::new();
    assert!(matches!(Store::open(world.dir.path()), Err(StoreError::InUse)));
    let World { store, dir, .. } = world;
    let other = store.clone();
    drop(store);
    assert!(matches!(Store::open(dir.path()), Err(StoreError::InUse)), "a clone still has it");
    drop(other);
    assert!(Store::open(dir.path()).is_ok(), "free with the last one");
}

#[tokio::test]
async fn what_was_answered_is_there_after_a_drop_without_close() {
    let world = World::new();
    world.listen().await;
    world.accept(vec![act("a"), act("b")], flow(0)).await;
    world.settle_but(|effect| *effect == Effect::Send).await;
    let World { store, dir, now, .. } = world;
    drop(store);
    let world = World { store: Store::open(dir.path()).unwrap(), dir, now, ..World::new() };
    assert_eq!(world.store.free_leases().await.unwrap(), 2);
    assert_eq!((world.state("a").await.as_str(), world.lines().await.len()), ("IN_INVIO", 2));
    world.settle().await;
    assert_eq!(world.state("b").await, "INVIATO");
    world.is_sound().await;
}

/// The machine dies: what the WAL holds is what was committed, whatever had not been checkpointed.
#[tokio::test]
async fn a_copy_of_the_files_taken_while_it_runs_holds_every_answered_write() {
    let world = World::new();
    world.accept(vec![act("a")], flow(0)).await;
    world.settle().await;
    let copy = tempfile::tempdir().unwrap();
    for name in ["messo.db", "messo.db-wal"] {
        std::fs::copy(world.dir.path().join(name), copy.path().join(name)).unwrap();
    }
    let store = Store::open(copy.path()).unwrap();
    assert_eq!(store.find_acts("a").await.unwrap()[0].state, "INVIATO");
    assert_eq!(store.lines(SOURCE, 1, 10, 10).await.unwrap().len(), 2);
}

#[tokio::test]
async fn after_close_nothing_is_taken_and_what_was_queued_is_saved() {
    let world = World::new();
    world.accept(vec![act("a")], flow(0)).await;
    world.store.close();
    let refused = world.store.finish_job(JobRef { id: clock::new_uuid(), fence: 0 }).await;
    assert!(matches!(refused, Err(StoreError::Stopping)));
    assert_eq!(world.store.batches(10).await.unwrap().len(), 1, "readers still answer");
}

#[tokio::test]
async fn one_change_that_fails_or_panics_leaves_the_others_of_its_group_alone() {
    let world = World::new();
    let store = &world.store;
    // The writer is kept busy, so that all the rest falls into one group.
    let busy = store.write(|_| {
        std::thread::sleep(std::time::Duration::from_millis(100));
        Ok(())
    });
    let insert = |code: &'static str| {
        move |db: &Connection| {
            engine::raise_alert_for(db, code, None, None, "", Timestamp::UNIX_EPOCH)?;
            match code {
                "FALLISCE" => Err(StoreError::NotFound("prova")),
                "VA_IN_PANICO" => panic!("prova"),
                "SQL_SBAGLIATO" => Ok(db.execute("INSERT INTO batch (id) VALUES (NULL)", []).map(drop)?),
                _ => Ok(()),
            }
        }
    };
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let (_, first, fails, panics, wrong, last) = tokio::join!(
        busy,
        store.write(insert("PRIMO")),
        store.write(insert("FALLISCE")),
        store.write(insert("VA_IN_PANICO")),
        store.write(insert("SQL_SBAGLIATO")),
        store.write(insert("ULTIMO")),
    );
    std::panic::set_hook(hook);
    assert!(first.is_ok() && last.is_ok());
    assert!(matches!(fails, Err(StoreError::NotFound(_))));
    assert!(matches!(panics, Err(StoreError::Corrupt(_))));
    assert!(matches!(wrong, Err(StoreError::Database(_))));
    let kept: Vec<String> = store.alerts(Timestamp::UNIX_EPOCH, 10).await.unwrap().into_iter().map(|alert| alert.code).collect();
    assert_eq!(kept, ["ULTIMO", "PRIMO"]);
}

/// When the log cannot be brought to the disk nobody may be told that anything is saved, nor shown what may be gone after a
/// restart: not now, and not when the disk says yes again.
#[tokio::test]
async fn a_log_that_does_not_reach_the_disk_ends_every_answer() {
    let world = World::new();
    world.listen().await;
    let World { store, dir, .. } = world;
    store.close();
    drop(store);
    let store = Store::open(dir.path()).unwrap();
    // Its first flush does not find the log.
    std::fs::rename(dir.path().join("messo.db-wal"), dir.path().join("altrove")).unwrap();
    let now = Timestamp::UNIX_EPOCH;
    for _ in 0..2 {
        let told = store.alert("PROVA", None, None, "", now).await;
        assert!(matches!(told, Err(StoreError::Database(_))), "{told:?}");
        let read = store.stream(CHANNEL).await;
        assert!(matches!(read, Err(StoreError::Database(_))), "{read:?}");
        std::fs::write(dir.path().join("messo.db-wal"), b"").unwrap();
    }
}

/// A full disk makes SQLite roll the whole transaction back by itself: then nobody in the group may be told it was saved,
/// and nothing may be saved outside a transaction.
#[tokio::test]
async fn a_transaction_that_the_database_ends_by_itself_is_nobodys_success() {
    let world = World::new();
    let store = &world.store;
    let busy = store.write(|_| {
        std::thread::sleep(std::time::Duration::from_millis(100));
        Ok(())
    });
    let alert = |code: &'static str| move |db: &Connection| engine::raise_alert_for(db, code, None, None, "", Timestamp::UNIX_EPOCH);
    let ends = |db: &Connection| Ok(db.execute_batch("ROLLBACK")?);
    let (_, first, broken, last) = tokio::join!(busy, store.write(alert("PRIMO")), store.write(ends), store.write(alert("ULTIMO")));
    assert!(matches!((&first, &broken), (Err(StoreError::Database(_)), Err(_))), "{first:?} {broken:?}");
    assert!(last.is_ok(), "a new transaction");
    let kept: Vec<String> = store.alerts(Timestamp::UNIX_EPOCH, 10).await.unwrap().into_iter().map(|alert| alert.code).collect();
    assert_eq!(kept, ["ULTIMO"]);
}

/// Statements that may read a whole table, each with its reason. Everything else in the store must find its rows by an index.
const MAY_SCAN: &[(&str, &str)] = &[
    ("SELECT state, count(*) FROM act", "the overview and the day of an ente, from an index alone"),
    ("SELECT count(*) FROM act WHERE staged = 1", "the overview: a partial index of rows under reading"),
    ("SELECT state, count(*) FROM batch", "the overview, from an index alone"),
    ("SELECT state, count(*) FROM job", "the overview, from an index alone"),
    ("SELECT kind, count(*) FROM job", "what is left, asked by the benches"),
    ("SELECT {SUMMARY} FROM batch ORDER BY received_at", "in the order of an index, up to a limit"),
    ("FROM job INDEXED BY job_due WHERE state = 'ATTESA' AND lane = 1", "in the order of a partial index, up to the first"),
    (" FROM channel_stop", "one row per stopped key"),
    ("SELECT code, about, since, data FROM trouble", "a few rows"),
    ("FROM act INDEXED BY act_staged WHERE staged = 1 AND sender", "a partial index of rows under reading"),
    ("SELECT code, count(*) FROM trouble", "a few rows"),
    ("SELECT lane, count(*), min(due_at) FROM job WHERE state = 'PRONTO'", "monitoring: a partial index of what is ready"),
    ("DELETE FROM orphan_event WHERE received_at", "a few rows, once a minute"),
    ("SELECT source FROM counter", "one row per gestionale"),
    ("original_name IS NOT NULL ORDER BY received_at", "in the order of an index, up to a limit"),
    ("FROM erasure e INDEXED BY erasure_to_note", "a partial index of what is still to be written outside"),
    ("SELECT DISTINCT archive FROM erasure", "a partial index of deletions under way"),
    ("SELECT count(*), min(due_at) FROM mail", "mails that wait, from a partial index"),
    ("UPDATE mail SET state = 'ATTESA', lease_until = NULL WHERE state = 'IN_CORSO'", "the few that are leased, from a partial index"),
    ("UPDATE batch_order SET due_at = due_at + ?1 WHERE done = 0", "a partial index of open orders, when the clock has jumped back"),
    (" FROM batch_pause)", "a row per stopped batch"),
    (" FROM batch_pause ORDER BY since", "a row per stopped batch"),
    ("SELECT EXISTS (SELECT 1 FROM job WHERE state = 'FERMO')", "a partial index of the jobs set aside, its first row"),
    ("SELECT j.id FROM job j JOIN act a", "the same index: a thousand of them a call"),
    (" FROM restore ORDER BY id DESC LIMIT 1", "in the order of its key, the first row"),
    ("FROM restore_open WHERE queued = 0", "a partial index of what is still to be queued"),
    ("FROM restore_open r JOIN act a", "after a restore, for the status: what is still to be asked"),
    ("SELECT (SELECT count(*) FROM restore_open)", "the same"),
    ("DELETE FROM payment_route WHERE true", "a row per configured route, at a start and a reload"),
    ("SELECT EXISTS (SELECT 1 FROM payment_route)", "its first row"),
    ("SELECT count(*) FROM position WHERE asked IS NOT", "asked by the benches"),
    ("SELECT state, pt, count(*) FROM position", "monitoring, from an index alone"),
];

/// Every literal handed to `prepare_cached`, `execute` or kept in a `sql` of the store's sources.
fn statements() -> Vec<(String, String)> {
    let room = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store");
    let files = std::fs::read_dir(room).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    let mut found = Vec::new();
    for path in files {
        let file = path.file_stem().unwrap().to_string_lossy().into_owned();
        let source = std::fs::read_to_string(&path).unwrap();
        for literal in source.split('"').skip(1).step_by(2) {
            let joined = literal.split("\\\n").map(str::trim_start).collect::<String>();
            if ["SELECT ", "UPDATE ", "DELETE ", "INSERT "].iter().any(|verb| joined.starts_with(verb)) {
                found.push((file.clone(), joined));
            }
        }
    }
    found
}

#[test]
fn every_query_finds_its_rows_by_an_index() {
    let dir = tempfile::tempdir().unwrap();
    drop(Store::open(dir.path()).unwrap());
    let db = rusqlite::Connection::open(dir.path().join("messo.db")).unwrap();
    let statements = statements();
    assert!(statements.len() > 120, "only {} statements were found", statements.len());
    let mut used = BTreeSet::new();
    let mut faults = Vec::new();
    for (file, sql) in &statements {
        if sql.starts_with("INSERT INTO publication ({") || sql.contains("{condition}") {
            continue; // no search in it; and the conditions below
        }
        let plain = sql.replace("{SUMMARY}", "*").replace("{COLUMNS}", "*").replace("{VIEW}", "*").replace("{{", "{").replace("}}", "}");
        let mut explain = db.prepare(&format!("EXPLAIN QUERY PLAN {plain}")).unwrap_or_else(|error| panic!("{file}: {sql}: {error}"));
        let parameters: Vec<rusqlite::types::Null> = vec![rusqlite::types::Null; explain.parameter_count()];
        let plan: Vec<String> =
            explain.query_map(rusqlite::params_from_iter(parameters), |row| row.get(3)).unwrap().collect::<Result<_, _>>().unwrap();
        let scans: Vec<&String> = plan.iter().filter(|step| step.starts_with("SCAN") && !step.contains("CONSTANT ROW")).collect();
        if scans.is_empty() {
            continue;
        }
        match MAY_SCAN.iter().find(|(allowed, _)| sql.contains(allowed)) {
            Some((allowed, _)) => drop(used.insert(*allowed)),
            None => faults.push(format!("{file}: {sql}\n    {scans:?}")),
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    let unused: Vec<&str> = MAY_SCAN.iter().map(|(sql, _)| *sql).filter(|sql| !used.contains(sql)).collect();
    assert!(unused.is_empty(), "no longer needed: {unused:?}");
}
